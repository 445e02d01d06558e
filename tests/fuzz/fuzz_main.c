/*
 * fuzz_main.c - run a fuzz target over its saved corpus and changes of it, within make check
 *
 * The corpus of fuzz_NAME is the folder tests/fuzz/corpus/NAME below $srcdir. Each input is tried
 * as it is, and then with changes that are the same in every run: as many as fit into MUTATE_MS.
 * If a signal ends the process, the input that was tried last is in fuzz_NAME.input. For a real
 * fuzzing run build the target with clang -fsanitize=fuzzer instead of this file.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX	(1024 * 1024)

#define MUTATED_MAX	4096	/* octets of an input that is changed */
#define CHANGES_MAX	2000	/* of one input */
#define MUTATE_MS	1000	/* for all changes of all inputs */

/* What was tried last, for tell_input(). */
static const uint8_t *last;
static size_t last_size;
static char last_path[256];

/* tell_input - the process ends: keep the input */
static void
tell_input(int number)
{
	int fd = open(last_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)!write(fd, last, last_size);
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

/* try_input - one input */
static void
try_input(const uint8_t *data, size_t size)
{
	last = data;
	last_size = size;
	(void)LLVMFuzzerTestOneInput(data, size);
}

/* next_random - the next of a row of numbers (xorshift) */
static uint32_t
next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* change_once - change an octet, leave out some, double some, or cut the end; the new size */
static size_t
change_once(uint8_t *data, size_t size, uint32_t *state)
{
	static const uint8_t odd[] = { 0, 1, '\n', ' ', '"', '(', '0', '9', 0x7f, 0x80, 0xff };
	size_t at = next_random(state) % size, len = 1 + next_random(state) % 8;

	if (len > size - at)
		len = size - at;
	switch (next_random(state) % 5) {
	case 0:
		data[at] = odd[next_random(state) % sizeof(odd)];
		return size;
	case 1:
		data[at] ^= (uint8_t)(1U << next_random(state) % 8);
		return size;
	case 2:
		memmove(data + at, data + at + len, size - at - len);
		return size - len > 0 ? size - len : 1;
	case 3:
		if (size + len > MUTATED_MAX)
			return size;
		memmove(data + at + len, data + at, size - at);
		return size + len;
	default:
		return next_random(state) % 4 == 0 ? at + 1 : size;
	}
}

/* now_ms - a clock */
static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* try_changes - changes of one input, until a time; how many */
static int
try_changes(const uint8_t *data, size_t size, int64_t until_ms)
{
	uint8_t changed[MUTATED_MAX];
	uint32_t state = 2463534242U;
	int n = 0;

	if (size == 0 || size > sizeof(changed))
		return 0;
	for (; n < CHANGES_MAX && now_ms() < until_ms; n++) {
		size_t len = size;

		memcpy(changed, data, size);
		for (uint32_t i = 1 + next_random(&state) % 4; i > 0; i--)
			len = change_once(changed, len, &state);
		try_input(changed, len);
	}
	return n;
}

/* run_file - one input; prints its TAP line. A finding ends the process. */
static void
run_file(const char *folder, const char *name, int number, int64_t share_ms)
{
	static uint8_t data[INPUT_MAX];
	char path[4096];
	FILE *file;
	size_t size;
	int changes;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "rb");
	if (file == NULL) {
		(void)printf("not ok %d - %s cannot be opened\n", number, name);
		return;
	}
	size = fread(data, 1, sizeof(data), file);
	(void)fclose(file);
	try_input(data, size);
	changes = try_changes(data, size, now_ms() + share_ms);
	(void)printf("ok %d - %s, and %d changes of it\n", number, name, changes);
}

/* is_input - a file of the corpus? */
static int
is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int
main(int argc, char **argv)
{
	const char *base = strstr(argv[0], "fuzz_");
	const char *srcdir = getenv("srcdir");
	char folder[2048];
	struct dirent **entries;
	int n;

	(void)argc;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s",
	    srcdir != NULL ? srcdir : ".", base != NULL ? base + 5 : "");
	(void)snprintf(last_path, sizeof(last_path), "%s.input", base != NULL ? base : "fuzz");
	n = scandir(folder, &entries, is_input, alphasort);
	if (n < 1) {
		(void)printf("Bail out! no corpus in %s\n", folder);
		return EXIT_FAILURE;
	}
	(void)signal(SIGABRT, tell_input);
	(void)signal(SIGSEGV, tell_input);
	try_input((const uint8_t *)"", 0);
	(void)printf("ok 1 - the empty input\n");
	for (int i = 0; i < n; i++) {
		run_file(folder, entries[i]->d_name, i + 2, MUTATE_MS / n);
		free(entries[i]);
	}
	free(entries);
	(void)printf("1..%d\n", n + 1);
	return EXIT_SUCCESS;
}

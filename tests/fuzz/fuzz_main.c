/*
 * fuzz_main.c - run a fuzz target over its saved corpus, within make check
 *
 * The corpus of fuzz_NAME is the folder tests/fuzz/corpus/NAME below $srcdir. For a
 * real fuzzing run build the target with clang -fsanitize=fuzzer instead of
 * this file.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX	(1024 * 1024)

/* run_file - one input; prints its TAP line. A finding ends the process. */
static void
run_file(const char *folder, const char *name, int number)
{
	static uint8_t data[INPUT_MAX];
	char path[4096];
	FILE *file;
	size_t size;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "rb");
	if (file == NULL) {
		(void)printf("not ok %d - %s cannot be opened\n", number, name);
		return;
	}
	size = fread(data, 1, sizeof(data), file);
	(void)fclose(file);
	(void)LLVMFuzzerTestOneInput(data, size);
	(void)printf("ok %d - %s\n", number, name);
}

int
main(int argc, char **argv)
{
	const char *base = strstr(argv[0], "fuzz_");
	const char *srcdir = getenv("srcdir");
	const struct dirent *entry;
	char folder[2048];
	int number = 0;
	DIR *directory;

	(void)argc;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s",
	    srcdir != NULL ? srcdir : ".", base != NULL ? base + 5 : "");
	directory = opendir(folder);
	if (directory == NULL) {
		(void)printf("Bail out! no corpus in %s\n", folder);
		return EXIT_FAILURE;
	}
	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	(void)printf("ok %d - the empty input\n", ++number);
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			run_file(folder, entry->d_name, ++number);
	(void)closedir(directory);
	(void)printf("1..%d\n", number);
	return EXIT_SUCCESS;
}

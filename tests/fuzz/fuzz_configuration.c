/*
 * fuzz_configuration.c - any octets as a configuration, and as a plans file
 *
 * An input that begins with '@' is the plans file of a configuration that is in order. What stands
 * behind a NUL is the file "more", for @include. Looks for memory errors, and for a refusal without
 * an error or an error without a file.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/config/load.h"
#include "policy/base/mem.h"
#include "tests/fuzz/folder.h"

#define BASE	"listen = \"unix:/run/x\"\nauthserv_id = \"mx.example.org\"\nplans_file = \"%s\"\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* leads_out - may an @include name a file outside the folder? */
static bool
leads_out(const uint8_t *data, size_t size)
{
	return memmem(data, size, "@include", 8) != NULL && memchr(data, '/', size) != NULL;
}

/* load_there - load from within the folder, where libconfig looks for an included file */
static void
load_there(TALLOC_CTX *ctx, const char *path)
{
	const char *error = NULL;
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (here < 0 || chdir(folder_path(ctx, ".")) != 0)
		abort();
	if (config_load(ctx, path, &error) == NULL && (error == NULL || error[0] == '\0'))
		abort();
	if (fchdir(here) != 0 || close(here) != 0)
		abort();
}

/* LLVMFuzzerTestOneInput - the entry that libFuzzer calls */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	bool plans = size > 0 && data[0] == '@' && (size < 2 || data[1] != 'i');
	const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
	size_t first = end != NULL ? (size_t)(end - data) : size;
	const char *path = folder_path(ctx, "input");

	if (leads_out(data, size)) {
		talloc_free(ctx);
		return 0;
	}
	folder_write(path, data + plans, first - plans);
	folder_write(folder_path(ctx, "more"), end != NULL ? end + 1 : data,
	    end != NULL ? size - first - 1 : 0);
	if (plans) {
		const char *text = mem_printf(ctx, BASE, path);

		path = folder_path(ctx, "base");
		folder_write(path, text, strlen(text));
	}
	load_there(ctx, path);
	talloc_free(ctx);
	return 0;
}

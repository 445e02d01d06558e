/*
 * fuzz_configuration.c - any octets as a configuration, and as a plans file
 *
 * An input that begins with '@' is the plans file of a configuration that is in order. Looks for
 * memory errors, and for a refusal without an error or an error without a file.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "filter/config/load.h"
#include "policy/base/mem.h"

#define BASE	"listen = \"unix:/run/x\"\nauthserv_id = \"mx.example.org\"\nplans_file = \"%s\"\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* make_file - a file in memory; its path on ctx */
static const char *
make_file(TALLOC_CTX *ctx, const void *octets, size_t size, int *fd_r)
{
	*fd_r = memfd_create("input", MFD_CLOEXEC);
	if (*fd_r < 0 || write(*fd_r, octets, size) != (ssize_t)size)
		abort();
	return mem_printf(ctx, "/proc/self/fd/%d", *fd_r);
}

/* LLVMFuzzerTestOneInput - the entry that libFuzzer calls */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	bool plans = size > 0 && data[0] == '@';
	const char *path, *error = NULL;
	int fd, base = -1;

	/* an included file would be one of this machine */
	if (memmem(data, size, "@include", 8) != NULL) {
		talloc_free(ctx);
		return 0;
	}
	path = make_file(ctx, data + plans, size - plans, &fd);
	if (plans) {
		const char *text = mem_printf(ctx, BASE, path);

		path = make_file(ctx, text, strlen(text), &base);
	}
	if (config_load(ctx, path, &error) == NULL && (error == NULL || error[0] == '\0'))
		abort();
	(void)close(fd);
	if (base >= 0)
		(void)close(base);
	talloc_free(ctx);
	return 0;
}

/*
 * fuzz_table.c - any octets as a table file or as a .cf file, and as a key
 *
 * The first line is the type ("texthash", "regexp", "mysql"...) and, behind a space, the key that
 * is looked up; the rest is the file. Tables with a server are opened and not asked. Looks for
 * memory errors, and for a failure without an error.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "filter/table/open.h"
#include "policy/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* is_one_of - is a word in a list? */
static bool
is_one_of(const char *word, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(word, *list) == 0)
			return true;
	return false;
}

/* LLVMFuzzerTestOneInput - the entry that libFuzzer calls */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const files[] = { "texthash", "cidr", "regexp", "pcre", NULL };
	static const char *const servers[] = { "sqlite", "mysql", "pgsql", "ldap", NULL };
	const uint8_t *end = memchr(data, '\n', size);
	size_t first = end == NULL ? size : (size_t)(end - data);
	const char *type, *key, *value = NULL, *error = NULL;
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	struct table *table = NULL;
	char *space;
	int fd = -1;

	type = mem_strndup(ctx, (const char *)data, first);
	space = strchr(type, ' ');
	key = space != NULL ? space + 1 : "alice@example.org";
	if (space != NULL)
		*space = '\0';
	if (end != NULL && (is_one_of(type, files) || is_one_of(type, servers))) {
		fd = memfd_create("input", MFD_CLOEXEC);
		if (fd < 0 || write(fd, end + 1, size - first - 1) < 0)
			abort();
		table = table_open(
		    ctx, mem_printf(ctx, "%s:/proc/self/fd/%d", type, fd), &error);
		if (table == NULL && (error == NULL || error[0] == '\0'))
			abort();
	}
	if (table != NULL && is_one_of(type, files) &&
	    table_get(table, ctx, key, 0, &value, &error) == TABLE_TEMPERROR && error == NULL)
		abort();
	if (fd >= 0)
		(void)close(fd);
	talloc_free(ctx);
	return 0;
}

/*
 * pages.c - the files of the console, read once into memory
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/web/pages.h"
#include "policy/base/mem.h"

/* page_type - of which kind a file is, by its name; NULL: not one that is served */
static const char *
page_type(const char *name)
{
	static const char *const types[][2] = { { ".html", "text/html; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" }, { ".js", "text/javascript; charset=utf-8" },
		{ ".svg", "image/svg+xml" } };
	const char *dot = strrchr(name, '.');

	if (dot == NULL || dot == name ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != strlen(name))
		return NULL;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(dot, types[i][0]) == 0)
			return types[i][1];
	return NULL;
}

/* page_read - the text of an open file, or NULL; closes it */
static char *
page_read(TALLOC_CTX *ctx, int fd)
{
	char *body = mem_array(ctx, char, PAGES_SIZE_MAX + 1);
	size_t len = 0;
	ssize_t got = 0;
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		while (len < PAGES_SIZE_MAX &&
		    (got = read(fd, body + len, PAGES_SIZE_MAX - len)) > 0)
			len += (size_t)got;
	(void)close(fd);
	if (got != 0 || len == 0 || len == PAGES_SIZE_MAX || memchr(body, '\0', len) != NULL)
		return NULL;
	body[len] = '\0';
	return mem_strdup(ctx, body);
}

/* page_take - one file; what is wrong with it, or NULL */
static const char *
page_take(struct pages *pages, int at, const char *name, const char *type)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(pages));
	int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char *body = fd >= 0 ? page_read(tmp, fd) : NULL;

	if (body != NULL && pages->n < PAGES_MAX)
		pages->items[pages->n++] = (struct page){ mem_strdup(pages, name), type,
			talloc_steal(pages, body) };
	else if (body != NULL)
		body = NULL;
	talloc_free(tmp);
	return body == NULL ? "cannot be read, or is not a text of 1 byte to 512 KiB" : NULL;
}

struct pages *
pages_read(TALLOC_CTX *ctx, const char *directory, const char **error_r)
{
	struct pages *pages = mem_new(ctx, struct pages);
	DIR *stream = opendir(directory);
	const struct dirent *entry;

	if (stream == NULL)
		*error_r = mem_printf(ctx, "%s: %s", directory, strerror(errno));
	while (stream != NULL && (entry = readdir(stream)) != NULL) {
		const char *type = page_type(entry->d_name), *problem = NULL;

		if (type != NULL)
			problem = page_take(pages, dirfd(stream), entry->d_name, type);
		if (problem != NULL)
			*error_r = mem_printf(ctx, "%s/%s: %s", directory, entry->d_name, problem);
	}
	if (stream != NULL)
		(void)closedir(stream);
	if (*error_r == NULL && pages_find(pages, "/") == NULL)
		*error_r = mem_printf(ctx, "%s: there is no index.html", directory);
	if (*error_r == NULL)
		return pages;
	talloc_free(pages);
	return NULL;
}

const struct page *
pages_find(const struct pages *pages, const char *path)
{
	const char *name = strcmp(path, "/") == 0 ? "/index.html" : path;

	for (size_t i = 0; name[0] == '/' && pages != NULL && i < pages->n; i++)
		if (strcmp(pages->items[i].name, name + 1) == 0)
			return &pages->items[i];
	return NULL;
}

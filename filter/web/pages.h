/*
 * pages.h - the files of the console, read once into memory
 *
 * A request is matched with the names that were found, so no path of a client reaches the file
 * system.
 *
 * Threads: read by the first thread; the rest is constant.
 */
#ifndef FILTER_WEB_PAGES_H
#define FILTER_WEB_PAGES_H

#include <stddef.h>
#include <talloc.h>

#define PAGES_MAX	64	/* files */
#define PAGES_SIZE_MAX	(512 * 1024) /* octets of one */

struct page {
	const char *name;	/* "console.js" */
	const char *content_type;
	const char *body;	/* text without NUL */
};

struct pages {
	struct page items[PAGES_MAX];
	size_t n;
};

/*
 * pages_read - all files of a directory whose kind is known: .html, .css, .js, .svg
 * Others are left alone. NULL and *error_r on ctx if it cannot be read or has no index.html.
 */
struct pages *pages_read(TALLOC_CTX *ctx, const char *directory, const char **error_r);

/* pages_find - the file of a path ("/" is index.html), or NULL. pages may be NULL. */
const struct page *pages_find(const struct pages *pages, const char *path);

#endif

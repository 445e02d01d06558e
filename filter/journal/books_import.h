/*
 * books_import.h - what earlier versions kept next to the counters' file, imported once
 *
 * Until SQLite these were FILE.history, a line of JSON for each decision, and FILE.daybook, a line
 * "day account row" (daybook_write()) for each account and day.
 *
 * Threads: the first.
 */
#ifndef FILTER_JOURNAL_BOOKS_IMPORT_H
#define FILTER_JOURNAL_BOOKS_IMPORT_H

#include <talloc.h>

#include "filter/journal/books_types.h"

/* Who takes what is read; both return 0, or -1 to end it. */
struct books_import {
	void *arg;
	int (*decision)(void *arg, const struct books_decision *item);
	int (*sums)(void *arg, int day, const char *account, const struct daybook_row *row);
};

/*
 * books_import - read the files next to file
 * A missing file is an empty one. Lines that cannot be read are skipped; how many of which file is
 * logged. Returns 0, or -1: a file cannot be read (*error_r on ctx), or a line was refused (NULL).
 */
int books_import(
    TALLOC_CTX *ctx, const char *file, const struct books_import *to, const char **error_r);

/* books_import_done - rename them to .imported, so that they are not imported again; logged */
void books_import_done(const char *file);

#endif

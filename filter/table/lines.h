/*
 * lines.h - the logical lines of a table's source
 *
 * Source is a file, or rules within braces as Postfix 3.7 has them: "{ { rule }, { rule } }". A
 * line that begins with white space goes on with the one before; lines that are empty or begin with
 * # are none, also within a continued one.
 */
#ifndef FILTER_TABLE_LINES_H
#define FILTER_TABLE_LINES_H

#include <stdbool.h>
#include <talloc.h>

/*
 * table_lines_read - call take for each logical line, in order
 * source: a path, or text that begins with "{". line is the number of the physical line that begins
 * it (of the rule within braces); text may be written to, has no end of line and no white space at
 * its end, and lives until take returns. take returns false with *why_r (on ctx or static) to end
 * the reading. Returns false and *error_r on ctx, with file:line in front.
 */
bool table_lines_read(TALLOC_CTX *ctx, const char *source,
    bool (*take)(void *arg, char *text, unsigned int line, const char **why_r), void *arg,
    const char **error_r);

#endif

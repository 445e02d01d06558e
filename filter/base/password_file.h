/*
 * password_file.h - a password in a file of its own
 */
#ifndef FILTER_BASE_PASSWORD_FILE_H
#define FILTER_BASE_PASSWORD_FILE_H

#include <talloc.h>

/* password_file_read - the first line of a file that others cannot read; NULL and *error_r on ctx.
 * Any thread. */
char *password_file_read(TALLOC_CTX *ctx, const char *path, const char **error_r);

/* password_wipe - overwrite a password that is about to be freed; NULL is fine. Any thread. */
void password_wipe(const char *password);

#endif

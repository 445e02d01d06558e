/*
 * password_file.c - a password in a file of its own
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "filter/base/password_file.h"
#include "filter/base/plain_file.h"
#include "policy/base/mem.h"

/* password_file_read - the first line of a file that others cannot read */
char *
password_file_read(TALLOC_CTX *ctx, const char *path, const char **error_r)
{
	char line[1024] = "";
	FILE *file = plain_file(path);
	struct stat st;
	char *password;

	if (file == NULL) {
		*error_r =
		    mem_printf(ctx, "password file %s cannot be opened: %s", path, plain_file_error(errno));
		return NULL;
	}
	if (fstat(fileno(file), &st) != 0 || (st.st_mode & 07) != 0) {
		*error_r = mem_printf(
		    ctx, "password file %s can be read by others; chmod o-rwx %s", path, path);
		(void)fclose(file);
		return NULL;
	}
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	(void)fclose(file);
	line[strcspn(line, "\r\n")] = '\0';
	if (line[0] == '\0') {
		*error_r = mem_printf(ctx,
		    "password file %s has no password in its first line", path);
		return NULL;
	}
	password = mem_strdup(ctx, line);
	explicit_bzero(line, sizeof(line));
	return password;
}

/* password_wipe - overwrite a password */
void
password_wipe(const char *password)
{
	if (password != NULL)
		explicit_bzero((void *)(uintptr_t)password, strlen(password));
}

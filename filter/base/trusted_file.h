/*
 * trusted_file.h - files that decide something: may others change them?
 *
 * Threads: any.
 */
#ifndef FILTER_BASE_TRUSTED_FILE_H
#define FILTER_BASE_TRUSTED_FILE_H

#include <stdbool.h>
#include <sys/types.h>
#include <talloc.h>

/* Who may change such files, apart from root. */
struct trusted_by {
	uid_t uid;		/* the daemon's user */
	gid_t gid;		/* its group */
};

/*
 * trusted_file_problem - who else may change a file, or put another one in its place
 * Checked are the file, every directory on its path, and those of the file that symbolic links lead
 * to. Each must belong to root or to the daemon's user; others must not be able to write to it, nor
 * a group that is neither root's nor the daemon's. In a directory with the sticky bit, such as
 * /tmp, others may make files of their own. NULL: no one, or the file is not there, which is for
 * the one who opens it to say. On ctx, with the command that corrects it.
 */
const char *trusted_file_problem(TALLOC_CTX *ctx, const char *path, const struct trusted_by *by);

/* trusted_file_is_readable - can others read it? */
bool trusted_file_is_readable(const char *path);

#endif

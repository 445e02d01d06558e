/*
 * keys.c - the commands that make key files and tables readable for countersign alone
 *
 * They are printed only. The files stay where they are, and the program that used them so far can
 * go on using them.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "filter/adopt/inside.h"
#include "policy/base/mem.h"

#define COMMANDS_MAX 20 /* for single files; more are done by one command */

const char *
adopt_group(void)
{
	const char *group = getenv("COUNTERSIGN_GROUP");

	return group != NULL && group[0] != '\0' ? group : "countersign";
}

/* group_id - its number; -1: there is no such group yet */
static gid_t
group_id(void)
{
	const struct group *group = getgrnam(adopt_group());

	return group != NULL ? group->gr_gid : (gid_t)-1;
}

void
adopt_own_table(struct adopt *adopt, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return;
	if (st.st_uid != 0)
		adopt_command(adopt, "chown root %s", adopt_shell(adopt, path));
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		adopt_command(adopt, "chmod go-w %s", adopt_shell(adopt, path));
}

/* let_in - let the group pass through the directories above a file */
static void
let_in(struct adopt *adopt, const char *path)
{
	char *part = mem_strdup(adopt, path), *slash;

	while ((slash = strrchr(part, '/')) != NULL && slash != part) {
		struct stat st;

		*slash = '\0';
		if (stat(part, &st) != 0)
			return;
		if ((st.st_mode & S_IXOTH) == 0 &&
		    (st.st_gid != group_id() || (st.st_mode & S_IXGRP) == 0)) {
			const char *shell = adopt_shell(adopt, part);

			adopt_command(
			    adopt, "chgrp %s %s && chmod g+x %s", adopt_group(), shell, shell);
		}
	}
}

/* key_files_is_ours - root's, and readable for the group alone */
static bool
key_files_is_ours(const struct stat *st)
{
	const mode_t mode = st->st_mode & 07777;

	return st->st_uid == 0 && st->st_gid == group_id() && (mode == 0640 || mode == 0440);
}

/* own_many - the key files that a table names, by their names there */
static void
own_many(struct adopt *adopt, size_t n, const char *key_table)
{
	const char *table = adopt_shell(adopt, key_table);

	adopt_note(adopt,
	    "%zu key files need another owner; the commands take their names from the KeyTable", n);
	adopt_command(adopt,
	    "sed -e 's/#.*//' %s | sed -n 's|.*:[[:space:]]*\\(/[^%%]*[^%%[:space:]]\\)[[:space:]]*$|"
	    "\\1|p' | sort -u >/root/dkim-keys",
	    table);
	adopt_command(adopt,
	    "xargs -d '\\n' chown root:%s </root/dkim-keys && xargs -d '\\n' chmod 0640 "
	    "</root/dkim-keys",
	    adopt_group());
}

void
adopt_own_keys(struct adopt *adopt, const struct adopt_texts *files, const char *key_table)
{
	struct adopt_texts other = { NULL, 0 };

	for (size_t i = 0; i < files->n; i++) {
		const char *path = files->items[i];
		struct stat st;

		if (stat(path, &st) != 0) {
			if (errno == ENOENT)
				adopt_note(adopt,
				    "the key %s does not exist: its mail is handled by on_missing_key",
				    path);
			else
				adopt_missing(adopt, "the key %s: %s", path, strerror(errno));
			continue;
		}
		let_in(adopt, path);
		if (!key_files_is_ours(&st))
			adopt_text(adopt, &other, "%s", path);
	}
	if (other.n > COMMANDS_MAX && key_table != NULL) {
		own_many(adopt, other.n, key_table);
		return;
	}
	for (size_t i = 0; i < other.n; i++) {
		const char *shell = adopt_shell(adopt, other.items[i]);

		adopt_command(
		    adopt, "chown root:%s %s && chmod 0640 %s", adopt_group(), shell, shell);
	}
}

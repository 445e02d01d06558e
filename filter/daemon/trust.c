/*
 * trust.c - the files that a configuration reads: may others change them?
 *
 * Keys are checked where they are loaded (key_file.c). Whoever may write to the other files decides
 * as much: who may send as whom, which key signs, what runs at each event.
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <sys/stat.h>

#include "filter/daemon/trust.h"
#include "filter/table/cf.h"
#include "policy/base/mem.h"

/* What is collected. */
struct trust {
	TALLOC_CTX *ctx;
	const struct trusted_by *by;
	const char *error;	/* lines, or NULL */
	const char *warnings;	/* the same */
};

/* trust_add_line - one more line */
static void
trust_add_line(TALLOC_CTX *ctx, const char **text, const char *line)
{
	*text = *text == NULL ? line : mem_printf(ctx, "%s\n%s", *text, line);
}

/* trust_check_file - one file */
static void
trust_check_file(struct trust *trust, const char *path)
{
	const char *problem = trusted_file_problem(trust->ctx, path, trust->by);

	if (problem != NULL)
		trust_add_line(trust->ctx, &trust->error, problem);
}

/*
 * trust_check_database - the database that a .cf file names
 * As the other files, but that its own user and group may write to it: that is how it is filled.
 */
static void
trust_check_database(struct trust *trust, const char *path)
{
	struct stat st;
	const char *problem = NULL;

	if (stat(path, &st) == 0)
		problem = trusted_file_problem(trust->ctx, path,
		    &(struct trusted_by){ .uid = st.st_uid, .gid = st.st_gid });
	if (problem != NULL)
		trust_add_line(trust->ctx, &trust->error, problem);
}

/* trust_check_cf - what is in one of Postfix's .cf files */
static void
trust_check_cf(struct trust *trust, const char *path)
{
	const char *ignored;
	struct table_cf *cf = table_cf_load(trust->ctx, path, &ignored);

	if (cf == NULL)
		return;
	if (trusted_file_is_readable(path) && (table_cf_text(cf, "password", "")[0] != '\0' ||
	    table_cf_text(cf, "bind_pw", "")[0] != '\0'))
		trust_add_line(trust->ctx, &trust->warnings,
		    mem_printf(trust->ctx,
			"%s has a password, and every user can read it; give it to the daemon's "
			"group and run: chmod o-r %s",
			path, path));
	if (table_cf_text(cf, "dbpath", "")[0] == '/')
		trust_check_database(trust, table_cf_text(cf, "dbpath", ""));
	talloc_free(cf);
}

/* trust_check_path - a file that a table has */
static void
trust_check_path(struct trust *trust, const char *path)
{
	size_t len = strlen(path);

	trust_check_file(trust, path);
	if (len > 3 && strcmp(path + len - 3, ".cf") == 0)
		trust_check_cf(trust, path);
}

/* trust_check_table - a table that is a file, or has one, or is made of such tables */
static void
trust_check_table(struct trust *trust, const char *spec)
{
	bool several = strncmp(spec, "unionmap:", 9) == 0 || strncmp(spec, "pipemap:", 8) == 0;
	const char *at;

	while (strncmp(spec, "proxy:", 6) == 0)
		spec += 6;
	if (!several) {
		at = strchr(spec, ':');
		if (at != NULL && at[1] == '/')
			trust_check_path(trust, at + 1);
		return;
	}
	for (at = strstr(spec, ":/"); at != NULL; at = strstr(at + 1, ":/"))
		trust_check_path(
		    trust, mem_strndup(trust->ctx, at + 1, strcspn(at + 1, " \t,}")));
}

/* trust_check_dataset - one of OpenDKIM's tables, with or without its type */
static void
trust_check_dataset(struct trust *trust, const char *spec)
{
	const char *path = spec == NULL ? NULL : strchr(spec, '/');

	if (path != NULL)
		trust_check_file(trust, path);
}

bool
trust_check(TALLOC_CTX *ctx, const struct config *config, const struct trusted_by *by,
    const char **warnings_r, const char **error_r)
{
	struct trust trust = { .ctx = ctx, .by = by };

	for (size_t i = 0; i < config->files.n; i++)
		trust_check_file(&trust, config->files.items[i]);
	for (size_t i = 0; i < config->tables.n; i++)
		trust_check_table(&trust, config->tables.items[i]);
	trust_check_dataset(&trust, config->dkim.key_table);
	trust_check_dataset(&trust, config->dkim.signing_table);
	if (config->event_command.n > 0)
		trust_check_file(&trust, config->event_command.items[0]);
	*warnings_r = trust.warnings;
	if (trust.error != NULL)
		*error_r = trust.error;
	return trust.error == NULL;
}

/*
 * check_store.c - what counts without Redis, and the tables: can they be used?
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/plain_file.h"
#include "filter/config/table_servers.h"
#include "filter/doctor/inside.h"
#include "filter/table/open.h"
#include "filter/table/table.h"
#include "policy/base/mem.h"

#define STORE_DAY_MS	86400000LL
#define TABLE_WAIT_MS	3500
#define TABLE_LINES_MAX 1000

/* --- without Redis --------------------------------------------------------- */

/* store_limits - does a plan limit anything, for so long at least? */
static bool
store_limits(const struct plan *plan, int64_t window_ms)
{
	for (size_t i = 0; plan != NULL && i < plan->n_limits; i++)
		if (!plan->limits[i].unlimited && plan->limits[i].window_ms >= window_ms)
			return true;
	return false;
}

/* limits_any - does any plan that somebody has? */
static bool
limits_any(const struct config *config, int64_t window_ms)
{
	const struct party_config *const parties[] = { &config->assign.account,
		&config->assign.domain, &config->assign.pool, &config->assign.network };

	for (size_t i = 0; i < 4; i++)
		if (store_limits(parties[i]->plan, window_ms) || parties[i]->plan_tables.n > 0)
			return true;
	for (size_t i = 0; i < config->n_accounts; i++)
		if (store_limits(config->accounts[i].plan, window_ms))
			return true;
	return false;
}

/* check_store_file - may the daemon write it? */
static void
check_store_file(struct exam *exam, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *directory = slash == NULL || slash == path
	    ? "/"
	    : mem_strndup(exam->ctx, path, (size_t)(slash - path));
	const char *cure = exam_text(exam, "install -d -o countersign -m 0700 %s", directory);
	struct stat st;

	if (stat(directory, &st) != 0)
		exam_add(exam, "store.unwritable", directory, cure,
		    "the directory of the counters cannot be used: %s", strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		exam_add(exam, "store.unwritable", directory, cure, "this is not a directory");
	else if (!site_writes(exam->site, directory) || !site_writes(exam->site, path))
		exam_add(exam, "store.unwritable", directory,
		    exam_text(exam, "chown %lu %s", (unsigned long)exam->site->reader.uid,
			directory),
		    "the daemon's account may not write the counters %s", path);
}

void
examine_store(struct exam *exam)
{
	const struct config *config = exam->site->config;
	bool users = false;

	if (config == NULL)
		return;
	for (size_t i = 0; i < config->n_listeners; i++)
		users = users || config->listeners[i].role == ROLE_SUBMISSION;
	if (users && exam->site->sends && !limits_any(config, 0))
		exam_add(exam, "quota.none", config->file,
		    "default_plan = \"person\", and plans = { person = { limits = "
		    "[\"100 recipients per hour\"] } }",
		    "no plan limits what users send");
	if (config->store_options.kind != STORE_EMBEDDED)
		return;
	if (config->store_options.file != NULL)
		check_store_file(exam, config->store_options.file);
	else if (limits_any(config, STORE_DAY_MS))
		exam_add(exam, "store.embedded", config->file,
		    "store = \"file:/var/lib/countersign/counters\"",
		    "there are limits of a day or more, and a restart forgets what counts towards "
		    "them");
}

/* --- tables ---------------------------------------------------------------- */

/* table_path - the file of a specification, or NULL */
static const char *
table_path(const char *spec)
{
	const char *colon;

	if (strncmp(spec, "proxy:", 6) == 0)
		spec += 6;
	colon = strchr(spec, ':');
	return colon != NULL && colon[1] == '/' ? colon + 1 : NULL;
}

/* holds_password - does a .cf file hold one? */
static bool
holds_password(const char *path)
{
	FILE *file = plain_file(path);
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	for (int n = 0; file != NULL && !found && n < TABLE_LINES_MAX &&
	     getline(&line, &size, file) > 0; n++) {
		size_t len = strcspn(line, " \t=");

		found = ((len == 8 && strncmp(line, "password", 8) == 0) ||
			    (len == 7 && strncmp(line, "bind_pw", 7) == 0)) &&
		    strspn(line + len, " \t=") < strcspn(line + len, "\r\n");
	}
	free(line);
	if (file != NULL)
		(void)fclose(file);
	return found;
}

/* store_check_table - one */
static void
store_check_table(struct exam *exam, const struct table_env *env, const char *spec)
{
	const char *path = table_path(spec), *error = NULL, *value = NULL;
	struct table *table;
	struct stat st;

	if (path != NULL && geteuid() != 0 && access(path, R_OK) != 0 && errno == EACCES) {
		exam_add_level(exam, DOCTOR_UNKNOWN, "owners.table", spec, "run this as root",
		    "the table cannot be read by this user");
		return;
	}
	table = table_open_with(exam->ctx, env, spec, &error);
	if (table == NULL)
		exam_add(exam, "owners.table", spec,
		    exam_text(exam, "countersignctl table check %s", spec), "%s", error);
	else if (!site_reads(exam->site, path != NULL ? path : ""))
		exam_add(exam, "owners.table", spec,
		    exam_text(exam, "chgrp %lu %s && chmod g+r %s",
			(unsigned long)exam->site->reader.gid, path, path),
		    "the daemon's account cannot read this table");
	/* any key will do: what is wanted is an answer */
	else if (table_get(table, exam->ctx, "countersign@check.invalid",
		     clock_ms() + TABLE_WAIT_MS, &value, &error) == TABLE_TEMPERROR)
		exam_add(exam, "owners.table", spec,
		    exam_text(exam, "countersignctl table check %s", spec),
		    "the table can be opened, but not queried: %s", error);
	talloc_free(table);
	if (path != NULL && stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0 &&
	    strlen(path) > 3 && strcmp(path + strlen(path) - 3, ".cf") == 0 && holds_password(path))
		exam_add(exam, "secret.open", path, exam_text(exam, "chmod o-r %s", path),
		    "everyone can read the password in this file (mode %04o)",
		    (unsigned int)(st.st_mode & 07777));
}

void
examine_tables(struct exam *exam)
{
	const struct config *config = exam->site->config;
	const struct table_env *env;

	if (config == NULL || config->tables.n == 0)
		return;
	env = table_config_env(exam->ctx, config);
	for (size_t i = 0; i < config->tables.n && clock_ms() < exam->site->deadline_ms; i++)
		store_check_table(exam, env, config->tables.items[i]);
}

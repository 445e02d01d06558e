/*
 * from_policyd.c - policyd v2 (cluebringer): the quotas in its database
 *
 * A quota belongs to a policy, whose members say for whom it is. Its MessageCount goes up at each
 * RCPT, so it is a limit of recipients. All policies that match a sender apply.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/adopt/inside.h"
#include "filter/adopt/policyd_db.h"
#include "filter/base/plain_file.h"
#include "policy/base/mem.h"

#define GROUP_DEPTH 5
#define KIB_BELOW 10000000 /* sizes below this are KiB; nobody allows so few bytes */

/* A row of quotas with its limit. */
enum {
	QUOTA_ID,
	QUOTA_NAME,
	QUOTA_TRACK,
	QUOTA_PERIOD,
	QUOTA_VERDICT,
	QUOTA_TYPE,
	QUOTA_LIMIT,
	QUOTA_POLICY,
	QUOTA_POLICY_NAME
};

/* policyd as it is read. */
struct policyd {
	struct adopt *adopt;
	const char *path;
	const char *prefix; /* of table names */
	struct policyd_place place;
	struct policyd_row *quotas, *members, *groups;
	size_t n_quotas, n_members, n_groups;
	const char *port; /* where Postfix asks it */
	size_t left;      /* quotas that stay */
};

/* For whom a member of a policy is. */
struct members {
	struct adopt_texts subjects; /* accounts and "@domain" */
	bool everyone;
	const char *why; /* what is not taken over, or NULL */
};

/* --- the configuration file ------------------------------------------------ */

/* dsn_value - "NAME=value" of a DSN, or NULL */
static const char *
dsn_value(struct adopt *adopt, const char *dsn, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = dsn; (at = strstr(at, name)) != NULL; at += len)
		if (at > dsn && strchr(":;", at[-1]) != NULL && at[len] == '=')
			return mem_strndup(adopt, at + len + 1, strcspn(at + len + 1, ";"));
	return NULL;
}

/* read_dsn - DBI:SQLite:dbname=/path, DBI:mysql:database=policyd;host=localhost */
static bool
read_dsn(struct policyd *policyd, const char *dsn, const char *where)
{
	struct adopt *adopt = policyd->adopt;
	struct policyd_place *place = &policyd->place;

	if (strncasecmp(dsn, "DBI:SQLite:", 11) == 0) {
		place->file = dsn_value(adopt, dsn, "dbname");
		if (place->file == NULL)
			place->file = dsn_value(adopt, dsn, "database");
		if (place->file == NULL && dsn[11] == '/')
			place->file = mem_strdup(adopt, dsn + 11);
		return place->file != NULL;
	}
	if (strncasecmp(dsn, "DBI:mysql:", 10) == 0 || strncasecmp(dsn, "DBI:MariaDB:", 12) == 0) {
		place->database = dsn_value(adopt, dsn, "database");
		if (place->database == NULL)
			place->database = dsn_value(adopt, dsn, "dbname");
		place->host = dsn_value(adopt, dsn, "host");
		place->port = dsn_value(adopt, dsn, "port");
		place->socket = dsn_value(adopt, dsn, "mysql_socket");
		return place->database != NULL;
	}
	adopt_missing(adopt,
	    "%s: policyd: DSN %s: only SQLite and MySQL are read here; write the limits of its "
	    "quotas to plans.conf yourself",
	    where, dsn);
	return false;
}

/* read_ini - the settings of interest; false: there is no database to ask */
static bool
read_ini(struct policyd *policyd)
{
	struct adopt *adopt = policyd->adopt;
	char *text = adopt_read_file(adopt, policyd->path), *line, section[32] = "";
	const char *dsn = NULL, *where = "";
	int number = 0;

	while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
		char *value;
		size_t len;

		line += strspn(line, " \t");
		if (line[0] == '[') {
			(void)snprintf(section, sizeof(section), "%.*s",
			    (int)strcspn(line + 1, "]"), line + 1);
			continue;
		}
		value = strchr(line, '=');
		if (value == NULL || line[0] == '#' || line[0] == ';')
			continue;
		len = strcspn(line, " \t=");
		value += 1 + strspn(value + 1, " \t");
		for (size_t n = strlen(value); n > 0 && strchr(" \t\r", value[n - 1]) != NULL; n--)
			value[n - 1] = '\0';
		if (strcasecmp(section, "server") == 0 && len == 4 &&
		    strncasecmp(line, "port", len) == 0)
			policyd->port = value;
		if (strcasecmp(section, "database") != 0)
			continue;
		if (len == 3 && strncasecmp(line, "DSN", len) == 0) {
			dsn = value;
			where = mem_printf(adopt, "%s:%d", policyd->path, number);
		} else if (len == 8 && strncasecmp(line, "Username", len) == 0)
			policyd->place.user = value;
		else if (len == 8 && strncasecmp(line, "Password", len) == 0)
			policyd->place.password = value;
		else if (strncasecmp(line, "table_prefix", len) == 0 && len == 12)
			policyd->prefix = value;
	}
	if (text == NULL && dsn == NULL)
		return false;
	if (dsn == NULL) {
		adopt_missing(adopt, "%s: policyd: [database] has no DSN", policyd->path);
		return false;
	}
	return read_dsn(policyd, dsn, where);
}

/* is_sqlite - is the file a database itself? */
static bool
is_sqlite(struct adopt *adopt, const char *path)
{
	static const char magic[] = "SQLite format 3";
	char head[sizeof(magic)] = "";
	FILE *file = plain_file(path);

	(void)adopt;
	if (file == NULL)
		return false;
	if (fread(head, 1, sizeof(head) - 1, file) != sizeof(head) - 1)
		head[0] = '\0';
	(void)fclose(file);
	return memcmp(head, magic, sizeof(head) - 1) == 0;
}

/* --- members --------------------------------------------------------------- */

static void add_sources(
    struct policyd *policyd, struct members *members, const char *list, int depth);

/* policyd_add_group - the members of %NAME */
static void
policyd_add_group(struct policyd *policyd, struct members *members, const char *name, int depth)
{
	for (size_t i = 0; i < policyd->n_groups; i++)
		if (strcasecmp(policyd->groups[i].columns[0], name) == 0 && depth < GROUP_DEPTH)
			add_sources(policyd, members, policyd->groups[i].columns[1], depth + 1);
}

/* add_source - one word of a source */
static void
add_source(struct policyd *policyd, struct members *members, const char *word, int depth)
{
	struct adopt *adopt = policyd->adopt;

	if (word[0] == '!' || strcmp(word, "$-") == 0)
		members->why = mem_printf(adopt, "its member %s is an exception", word);
	else if (strcasecmp(word, "any") == 0 || strcmp(word, "$*") == 0)
		members->everyone = true;
	else if (word[0] == '%')
		policyd_add_group(policyd, members, word + 1, depth);
	else if (word[0] == '$')
		adopt_text(adopt, &members->subjects, "%s", word + 1);
	else if (strchr(word, '@') != NULL)
		adopt_text(adopt, &members->subjects, "%s", word);
	else
		members->why = mem_printf(adopt, "its member %s is a client, not a login", word);
}

/* add_sources - a source: words with commas between, all of which must hold; of a group, one */
static void
add_sources(struct policyd *policyd, struct members *members, const char *list, int depth)
{
	const char *word;

	if (list[0] == '\0')
		members->everyone = true;
	while ((word = postfix_word(policyd->adopt, &list)) != NULL)
		add_source(policyd, members, word, depth);
}

/* add_member - a row of members of a policy; what is not understood in it keeps all of the row out,
 * because the limit would hold for more mail without it */
static void
add_member(struct policyd *policyd, struct members *members, const struct policyd_row *row)
{
	struct adopt *adopt = policyd->adopt;
	const char *source = row->columns[1], *words = source, *to = row->columns[2];
	struct members one = { .why = NULL };

	add_sources(policyd, &one, source, 0);
	(void)postfix_word(adopt, &words);
	if (one.why == NULL && one.subjects.n > 0 && postfix_word(adopt, &words) != NULL)
		one.why = mem_printf(adopt, "its member %s has several conditions", source);
	if (one.why == NULL && to != NULL && to[0] != '\0' && strcasecmp(to, "any") != 0)
		one.why = mem_printf(adopt, "it is for recipients %s only", to);
	if (one.why != NULL) {
		members->why = one.why;
		return;
	}
	members->everyone = members->everyone || (one.everyone && one.subjects.n == 0);
	for (size_t i = 0; i < one.subjects.n; i++)
		adopt_text(adopt, &members->subjects, "%s", one.subjects.items[i]);
}

/* members_of - for whom a policy is */
static struct members
members_of(struct policyd *policyd, const char *policy)
{
	struct members members = { .why = NULL };

	for (size_t i = 0; i < policyd->n_members; i++)
		if (strcmp(policyd->members[i].columns[0], policy) == 0)
			add_member(policyd, &members, &policyd->members[i]);
	if (members.everyone)
		members.subjects.n = 0;
	return members;
}

/* --- quotas ---------------------------------------------------------------- */

/* leave - a quota that stays in policyd */
static void
leave(struct policyd *policyd, const struct policyd_row *row, const char *why)
{
	policyd->left++;
	adopt_missing(policyd->adopt, "%s: policyd policy %s, quota %s (%s): %s", policyd->path,
	    row->columns[QUOTA_POLICY_NAME], row->columns[QUOTA_NAME], row->columns[QUOTA_TRACK],
	    why);
}

/* read_track - by what a quota counts; false: not by anything here */
static bool
read_track(struct policyd *policyd, const struct policyd_row *row, struct adopt_limit *limit)
{
	const char *track = row->columns[QUOTA_TRACK];

	if (strncasecmp(track, "SASLUsername", 12) == 0) {
		limit->party = PARTY_ACCOUNT;
		return true;
	}
	if (strncasecmp(track, "Sender:", 7) != 0)
		return false;
	limit->party = strcasecmp(track + 7, "@domain") == 0 ? PARTY_DOMAIN : PARTY_ACCOUNT;
	adopt_note(policyd->adopt,
	    "%s: policyd quota %s counted by envelope sender (%s), also mail from outside; here the "
	    "%s of the login is charged",
	    policyd->path, row->columns[QUOTA_NAME], track,
	    limit->party == PARTY_DOMAIN ? "domain" : "account");
	return true;
}

/* read_amount - how much, and of what */
static bool
read_amount(struct policyd *policyd, const struct policyd_row *row, struct adopt_limit *limit)
{
	uint64_t period;

	if (!adopt_number(row->columns[QUOTA_PERIOD], LIMIT_MAX_WINDOW_MS / 1000, &period) ||
	    period == 0 ||
	    !adopt_number(row->columns[QUOTA_LIMIT], LIMIT_MAX_COUNT / 1024, &limit->max))
		return false;
	limit->window_s = (int64_t)period;
	if (strcasecmp(row->columns[QUOTA_TYPE], "MessageCount") == 0) {
		limit->unit = LIMIT_RECIPIENTS;
		return true;
	}
	if (strcasecmp(row->columns[QUOTA_TYPE], "MessageCumulativeSize") != 0)
		return false;
	limit->unit = LIMIT_BYTES;
	adopt_note(policyd->adopt,
	    "%s: policyd quota %s: the size %s was taken as %s, which depends on its version; see "
	    "that it is meant",
	    policyd->path, row->columns[QUOTA_NAME], row->columns[QUOTA_LIMIT],
	    limit->max < KIB_BELOW ? "KiB" : "bytes");
	if (limit->max < KIB_BELOW)
		limit->max *= 1024;
	return true;
}

/* take_quota - a quota for each of its members */
static void
take_quota(struct policyd *policyd, const struct policyd_row *row)
{
	struct adopt *adopt = policyd->adopt;
	struct members members = members_of(policyd, row->columns[QUOTA_POLICY]);
	struct adopt_limit limit = { .adds = true };

	limit.action = adopt_action(row->columns[QUOTA_VERDICT]);
	limit.from = mem_printf(adopt, "%s: policyd policy %s, quota %s", policyd->path,
	    row->columns[QUOTA_POLICY_NAME], row->columns[QUOTA_NAME]);
	if (limit.action == NULL)
		leave(policyd, row,
		    mem_printf(
			adopt, "its action %s has no counterpart", row->columns[QUOTA_VERDICT]));
	else if (!read_track(policyd, row, &limit))
		leave(policyd, row, "it does not count by sender or login, and stays in policyd");
	else if (!read_amount(policyd, row, &limit))
		leave(policyd, row, "its limit cannot be read");
	else if (!members.everyone && members.subjects.n == 0)
		leave(policyd, row,
		    members.why != NULL ? members.why : "its policy has no member that is a login");
	else {
		if (members.why != NULL)
			leave(policyd, row,
			    mem_printf(adopt, "%s: that member was left out", members.why));
		if (members.subjects.n == 0)
			policyd->left += !adopt_limit(adopt, &limit);
		for (size_t i = 0; i < members.subjects.n; i++) {
			limit.subject = members.subjects.items[i];
			policyd->left += !adopt_limit(adopt, &limit);
		}
	}
}

/* policyd_ask_all - the three queries */
static bool
policyd_ask_all(struct policyd *policyd, struct policyd_db *db, const char **error_r)
{
	struct adopt *adopt = policyd->adopt;
	const char *p = policyd->prefix;
	char *quotas = mem_printf(adopt,
	    "SELECT q.ID, q.Name, q.Track, q.Period, q.Verdict, l.Type, l.CounterLimit, p.ID, p.Name "
	    "FROM %squotas q JOIN %squotas_limits l ON l.QuotasID = q.ID "
	    "JOIN %spolicies p ON p.ID = q.PolicyID "
	    "WHERE q.Disabled = 0 AND l.Disabled = 0 AND p.Disabled = 0 "
	    "ORDER BY p.Priority, p.ID, q.ID, l.ID",
	    p, p, p);
	char *members = mem_printf(adopt,
	    "SELECT PolicyID, Source, Destination FROM %spolicy_members WHERE Disabled = 0 ORDER BY ID",
	    p);
	char *groups = mem_printf(adopt,
	    "SELECT g.Name, m.Member FROM %spolicy_groups g "
	    "JOIN %spolicy_group_members m ON m.PolicyGroupID = g.ID "
	    "WHERE g.Disabled = 0 AND m.Disabled = 0 ORDER BY m.ID",
	    p, p);

	policyd->quotas = policyd_db_ask(adopt, db, quotas, &policyd->n_quotas, error_r);
	policyd->members = policyd_db_ask(adopt, db, members, &policyd->n_members, error_r);
	policyd->groups = policyd_db_ask(adopt, db, groups, &policyd->n_groups, error_r);
	return policyd->quotas != NULL && policyd->members != NULL && policyd->groups != NULL;
}

/* policyd_fail - its limits are not known */
static void
policyd_fail(struct policyd *policyd, const char *error)
{
	struct adopt *adopt = policyd->adopt;

	adopt_missing(adopt,
	    "%s: policyd: its database cannot be read, so its limits are missing here: %s",
	    policyd->path, error);
	adopt->limits_unread = true;
	adopt_service(adopt, "its database could not be read, so its limits are not known",
	    "inet:127.0.0.1:%s", policyd->port);
}

void
adopt_policyd(struct adopt *adopt, const char *path)
{
	struct policyd policyd = { .adopt = adopt, .path = path, .prefix = "", .port = "10031" };
	const char *error = NULL;
	struct policyd_db *db;

	if (is_sqlite(adopt, path))
		policyd.place.file = path;
	else if (!read_ini(&policyd)) {
		policyd_fail(&policyd, "its place is not known");
		return;
	}
	if (policyd.prefix[strspn(policyd.prefix,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] != '\0')
		policyd.prefix = "";
	db = policyd_db_open(adopt, &policyd.place, &error);
	if (db == NULL || !policyd_ask_all(&policyd, db, &error)) {
		policyd_fail(&policyd, error);
		return;
	}
	if (policyd.place.file != NULL)
		adopt_text(adopt, &adopt->report->read, "%s", policyd.place.file);
	for (size_t i = 0; i < policyd.n_quotas; i++)
		take_quota(&policyd, &policyd.quotas[i]);
	if (policyd.n_quotas > policyd.left)
		adopt_note(adopt,
		    "%s: policyd counts a message for each of its recipients, so its message counts "
		    "became recipients",
		    path);
	adopt_service(adopt,
	    policyd.left > 0
		? "quotas, and access control, greylisting and HELO checks if they are used"
		: "access control, greylisting and HELO checks, if they are used; its "
		  "quotas may be switched off once mode is enforce",
	    "inet:127.0.0.1:%s", policyd.port);
}

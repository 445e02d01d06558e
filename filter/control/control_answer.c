/*
 * control_answer.c - the commands of the control socket, in one table
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/control/control_answer.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define PERSON_MAX	64	/* octets */
#define PROBE_MS	2000	/* in which the listening socket has to answer */

/* edge_status - does the listening socket answer, and what was turned away there? */
static json_t *
edge_status(struct daemon *daemon)
{
	const char *problem = probe_listener(&daemon->listening, PROBE_MS);

	return json_pack("{s:{s:b, s:s}, s:I, s:I, s:{s:I, s:I, s:I}}", "listener", "answers",
	    problem == NULL, "problem", problem != NULL ? problem : "", "bad_packets",
	    (json_int_t)atomic_load(&daemon->edge.bad_packets), "refused_peers",
	    (json_int_t)atomic_load(&daemon->edge.no_peers), "shortage", "descriptors",
	    (json_int_t)atomic_load(&daemon->edge.no_descriptors), "threads",
	    (json_int_t)atomic_load(&daemon->edge.no_threads), "closed",
	    (json_int_t)atomic_load(&daemon->edge.closed));
}

/* add_store - what else there is to say of the store */
static void
add_store(struct daemon *daemon, json_t *object, const struct store_status *store)
{
	(void)json_object_set_new(object, "changes", json_integer((json_int_t)store->changes));
	(void)json_object_set_new(object, "emptied", json_integer((json_int_t)store->emptied));
	(void)pthread_mutex_lock(&daemon->lock);
	(void)json_object_set_new(object, "risks",
	    daemon->redis_risks != NULL ? json_deep_copy(daemon->redis_risks) : json_array());
	(void)pthread_mutex_unlock(&daemon->lock);
}

/* answer_status - the state of the daemon */
static json_t *
answer_status(const struct asked *asked)
{
	struct daemon *daemon = asked->daemon;
	struct store_status store = { 0 };
	struct journal_status journal = { 0 };
	json_t *answer, *edge;
	const char *servers;
	int64_t since;
	size_t known, withheld = 0;
	bool away;

	store_status(daemon->store, asked->ctx, &store);
	journal_status(daemon->journal, asked->ctx, &journal);
	answer = json_pack(
	    "{s:b, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:s, s:s, s:I, s:I}, s:{s:s, s:b, s:s, s:I, s:I, s:I, s:I}}",
	    "ok", 1, "version", PACKAGE_VERSION, "uptime_s",
	    (json_int_t)((clock_ms() - daemon->started_ms) / 1000), "draining",
	    (int)atomic_load(&daemon->draining), "sessions",
	    (json_int_t)atomic_load(&daemon->sessions), "in_flight",
	    (json_int_t)atomic_load(&daemon->in_flight), "accepted",
	    (json_int_t)atomic_load(&daemon->accepted), "held",
	    (json_int_t)atomic_load(&daemon->held), "deferred",
	    (json_int_t)atomic_load(&daemon->deferred), "refused",
	    (json_int_t)atomic_load(&daemon->refused), "reloads",
	    (json_int_t)atomic_load(&daemon->reloads), "journal_dropped",
	    (json_int_t)journal.dropped, "books", "place", journal.books, "problem",
	    journal.problem != NULL ? journal.problem : "", "waiting",
	    (json_int_t)journal.waiting, "events", (json_int_t)journal.events, "store", "kind", store.kind, "away",
	    (int)store.away, "problem", store.problem != NULL ? store.problem : "", "charged",
	    (json_int_t)store.charged, "refused", (json_int_t)store.refused, "pending",
	    (json_int_t)store.pending, "given_up", (json_int_t)store.dropped);
	(void)json_object_set_new(answer, "filter", json_string(journal_host(daemon->journal)));
	(void)json_object_set_new(answer, "configuration_age_s",
	    json_integer((clock_wall_ms() - atomic_load(&daemon->figures.reloaded_ms)) / 1000));
	add_store(daemon, json_object_get(answer, "store"), &store);
	away = daemon_resolver_away(daemon, &servers, &since);
	(void)json_object_set_new(answer, "resolver", json_pack("{s:s, s:b, s:I}", "servers",
	    servers, "away", (int)away, "since_s", (json_int_t)since));
	if (daemon->key_watch != NULL)
		key_watch_count(daemon->key_watch, &known, &withheld);
	(void)json_object_set_new(answer, "withheld_keys", json_integer((json_int_t)withheld));
	/* after the figures, of which its session must not be one */
	edge = edge_status(daemon);
	(void)json_object_update(answer, edge);
	json_decref(edge);
	return answer;
}

/* answer_reload - read the configuration again */
static json_t *
answer_reload(const struct asked *asked)
{
	const char *error = NULL;

	if (daemon_reload(asked->daemon, asked->ctx, &error))
		return json_pack("{s:b}", "ok", 1);
	return control_failed(error);
}

/* answer_dkim_look - ask past every cache whether the records of our keys are there */
static json_t *
answer_dkim_look(const struct asked *asked)
{
	daemon_look_for_keys(asked->daemon);
	return json_pack("{s:b}", "ok", 1);
}

#define FIELDS_MAX	6	/* of a request, besides its command */

/* A field of a request. */
struct field {
	const char *name;
	bool required;
	long long min, max;	/* of a whole number; both 0: a text */
};

#define ACCOUNT		{ "account", true, 0, 0 }
#define TEXT(name)	{ name, false, 0, 0 }
#define NUMBER(name, min, max) { name, false, min, max }

#define CHANGES	1U	/* it is not for those who may only read */
#define DAEMON	2U	/* it is of no use without a daemon */
#define LONG	4U	/* it reads the books, which may take seconds */

/* All commands, one row each. */
static const struct command {
	const char *name;
	control_command *answer;
	unsigned int is;	/* of the above */
	struct field fields[FIELDS_MAX];
} commands[] = {
	{ "status", answer_status, DAEMON, { { 0 } } },
	{ "metrics", control_metrics, DAEMON, { NUMBER("openmetrics", 0, 1) } },
	{ "rates", control_rates, LONG,
	    { NUMBER("hours", 1, BOOKS_HOURS_DAYS * DAYBOOK_HOURS), TEXT("host") } },
	{ "hours", control_hours, LONG, { ACCOUNT, NUMBER("days", 1, BOOKS_HOURS_DAYS) } },
	{ "reload", answer_reload, CHANGES | DAEMON, { { 0 } } },
	{ "dkim look", answer_dkim_look, CHANGES | DAEMON, { { 0 } } },
	{ "domains", control_domains, DAEMON, { { 0 } } },
	{ "doctor", control_doctor, DAEMON, { { 0 } } },
	{ "doctor look", control_doctor_look, CHANGES | DAEMON, { { 0 } } },
	{ "quota show", control_quota_show, 0, { ACCOUNT } },
	{ "quota reset", control_quota_reset, CHANGES, { ACCOUNT, TEXT("reason") } },
	{ "quota top", control_quota_top, LONG, { TEXT("by"), NUMBER("n", 1, 1000), TEXT("of") } },
	{ "quota set", control_quota_set, CHANGES,
	    { ACCOUNT, { "limit", true, 0, 0 }, { "for_ms", true, 1000, CONTROL_FOR_MAX_MS },
		TEXT("reason") } },
	{ "quota unset", control_quota_unset, CHANGES, { ACCOUNT, TEXT("reason") } },
	{ "quota suggest", control_suggest, LONG,
	    { NUMBER("days", 1, DAYBOOK_DAYS - 1), NUMBER("percentile", 50, 100),
		NUMBER("today", 0, 1) } },
	{ "block", control_block, CHANGES,
	    { ACCOUNT, NUMBER("for_ms", 1000, CONTROL_FOR_MAX_MS), TEXT("reason") } },
	{ "unblock", control_unblock, CHANGES, { ACCOUNT, TEXT("reason") } },
	{ "blocked", control_blocked, 0, { { 0 } } },
	{ "plan of", control_plan_of, 0, { ACCOUNT } },
	{ "report", control_report, LONG,
	    { NUMBER("day", 20000101, 99991231), NUMBER("from", 20000101, 99991231),
		NUMBER("to", 20000101, 99991231), NUMBER("n", 1, CONTROL_ROWS_MAX),
		TEXT("domain"), TEXT("match") } },
	{ "dmarc report", control_dmarc_report, LONG,
	    { NUMBER("day", 20000101, 99991231), TEXT("domain"), NUMBER("print", 0, 1),
		NUMBER("send", 0, 1) } },
	{ "last", control_last, LONG, { ACCOUNT, NUMBER("n", 1, BOOKS_ANSWER_MAX) } },
	{ "why", control_why, LONG, { { "queue_id", true, 0, 0 } } },
	{ "sent", control_sent, LONG, { { 0 } } },
	{ "queued", control_queued, LONG, { ACCOUNT } },
	{ "login allow", control_login_allow, DAEMON, { ACCOUNT, TEXT("client") } },
	{ "login report", control_login_report, DAEMON,
	    { ACCOUNT, TEXT("client"), NUMBER("success", 0, 1), TEXT("password_hash") } },
	{ "stolen", control_stolen, LONG, { ACCOUNT } },
	{ "events", control_events, LONG, { NUMBER("n", 1, 1000) } },
};

/* field_of - the row of a field, or NULL */
static const struct field *
field_of(const struct command *command, const char *name)
{
	for (size_t i = 0; i < FIELDS_MAX && command->fields[i].name != NULL; i++)
		if (strcmp(command->fields[i].name, name) == 0)
			return &command->fields[i];
	return NULL;
}

/* fields_text - the names of the fields of a command */
static const char *
fields_text(TALLOC_CTX *ctx, const struct command *command)
{
	char *text = mem_strdup(ctx, command->fields[0].name != NULL ? "" : "none");

	for (size_t i = 0; i < FIELDS_MAX && command->fields[i].name != NULL; i++)
		text = mem_check(talloc_asprintf_append(
		    text, "%s%s", i > 0 ? ", " : "", command->fields[i].name));
	return text;
}

/* field_problem - what is wrong with the value of a field, or NULL */
static const char *
field_problem(TALLOC_CTX *ctx, const struct field *field, const json_t *value)
{
	if (field->min == 0 && field->max == 0) {
		if (!json_is_string(value))
			return "must be a text";
		return text_has_controls(json_string_value(value))
		    ? "must be without line breaks and other control characters"
		    : NULL;
	}
	if (json_is_integer(value) && json_integer_value(value) >= field->min &&
	    json_integer_value(value) <= field->max)
		return NULL;
	return mem_printf(
	    ctx, "must be a whole number from %lld to %lld", field->min, field->max);
}

/* check_fields - what is wrong with the fields of a request, or NULL */
static const char *
check_fields(const struct asked *asked, const struct command *command)
{
	const char *name, *problem;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)asked->request, name, value) {
		const struct field *field = field_of(command, name);

		if (strcmp(name, "command") == 0 || strcmp(name, "person") == 0)
			continue;
		if (field == NULL)
			return mem_printf(asked->ctx,
			    "the request has the unknown field \"%.100s\"; the fields of \"%s\" are: %s",
			    name, command->name, fields_text(asked->ctx, command));
		problem = field_problem(asked->ctx, field, value);
		if (problem != NULL)
			return mem_printf(asked->ctx, "%s %s", name, problem);
	}
	for (size_t i = 0; i < FIELDS_MAX && command->fields[i].name != NULL; i++)
		if (command->fields[i].required &&
		    json_object_get(asked->request, command->fields[i].name) == NULL)
			return mem_printf(asked->ctx, "the request \"%s\" has no field \"%s\"",
			    command->name, command->fields[i].name);
	return NULL;
}

/* run_logged - a command that changes something; one about an owner logs what it did by itself */
static json_t *
run_logged(const struct asked *asked, const struct command *command)
{
	const char *first = command->fields[0].name;
	bool logs = first != NULL && strcmp(first, "account") == 0;
	json_t *answer;

	if (!logs)
		log_info("control: %s by %s", command->name, asked->asker->name);
	answer = command->answer(asked);
	if (logs && !json_is_true(json_object_get(answer, "ok")))
		log_info("control: %s by %s failed", command->name, asked->asker->name);
	return answer;
}

bool
control_answer_is_long(const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, 0, NULL);
	const char *name = json_string_value(json_object_get(request, "command"));
	bool is_long = false;

	for (size_t i = 0; name != NULL && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(name, commands[i].name) == 0)
			is_long = (commands[i].is & LONG) != 0;
	json_decref(request);
	return is_long;
}

/* control_answer_run - the command of a request */
static json_t *
control_answer_run(const struct asked *asked, const char *name)
{
	const char *problem;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		if ((commands[i].is & CHANGES) != 0 && !asked->asker->may_write)
			return control_failed_as(CONTROL_NOT_PERMITTED, mem_printf(
			    asked->ctx, "%s may read, but not change anything",
			    asked->asker->name));
		if ((commands[i].is & DAEMON) != 0 && asked->remote)
			return control_failed(
			    "this needs the running daemon; leave out --direct");
		problem = check_fields(asked, &commands[i]);
		if (problem != NULL)
			return control_failed_as(CONTROL_REQUEST, problem);
		return (commands[i].is & CHANGES) != 0 ? run_logged(asked, &commands[i])
					  : commands[i].answer(asked);
	}
	return control_failed_as(CONTROL_REQUEST, "this command is unknown here");
}

/*
 * control_asker_of - who asks: a program may say on behalf of which person
 * Only one that may change things by itself is believed. NULL: what it says is no name.
 */
static const char *
control_asker_of(TALLOC_CTX *ctx, const json_t *request, const struct asker *asker)
{
	const json_t *value = json_object_get(request, "person");
	const char *person = json_string_value(value);

	if (value == NULL || !asker->may_write)
		return asker->name;
	if (person == NULL || person[0] == '\0' || strlen(person) > PERSON_MAX ||
	    text_has_controls(person))
		return NULL;
	return mem_printf(ctx, "%s (by %s)", person, asker->name);
}

/* control_answer - the answer to one request */
json_t *
control_answer(struct daemon *daemon, TALLOC_CTX *ctx, const char *line, size_t len,
    const struct asker *asker, bool remote)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const struct asker person = { asker->may_write, control_asker_of(ctx, request, asker) };
	const struct asked asked = { daemon, ctx, request, &person, remote };
	const char *name = control_text(&asked, "command");
	json_t *answer;

	if (name == NULL)
		answer = control_failed_as(CONTROL_REQUEST,
		    "a request is one line: {\"command\": \"status\"}");
	else if (person.name == NULL)
		answer = control_failed_as(CONTROL_REQUEST, "person must be a name of 1 to 64 bytes");
	else
		answer = control_answer_run(&asked, name);

	json_decref(request);
	/* a value that is not UTF-8 makes no answer at all */
	return answer != NULL ? answer : control_failed("the answer holds text that is not UTF-8");
}

char *
control_answer_text(struct daemon *daemon, const char *line, size_t len, const struct asker *asker)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	json_t *answer = control_answer(daemon, ctx, line, len, asker, false);
	char *text = mem_check(json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII));

	json_decref(answer);
	talloc_free(ctx);
	return text;
}

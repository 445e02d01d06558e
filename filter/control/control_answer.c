/*
 * control_answer.c - the commands of the control socket, in one table
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/control/control_answer.h"
#include "policy/base/mem.h"

#define PROBE_MS	2000	/* in which the listening socket has to answer */

/* edge_status - does the listening socket answer, and what was turned away there? */
static json_t *
edge_status(struct daemon *daemon)
{
	const char *problem = probe_listener(&daemon->listening, PROBE_MS);

	return json_pack("{s:{s:b, s:s}, s:I, s:{s:I, s:I, s:I}}", "listener", "answers",
	    problem == NULL, "problem", problem != NULL ? problem : "", "bad_packets",
	    (json_int_t)atomic_load(&daemon->edge.bad_packets), "shortage", "descriptors",
	    (json_int_t)atomic_load(&daemon->edge.no_descriptors), "threads",
	    (json_int_t)atomic_load(&daemon->edge.no_threads), "closed",
	    (json_int_t)atomic_load(&daemon->edge.closed));
}

/* answer_status - how the daemon is doing */
static json_t *
answer_status(const struct asked *asked)
{
	struct daemon *daemon = asked->daemon;
	struct store_status store = { 0 };
	struct journal_status journal = { 0 };
	json_t *answer, *edge;

	store_status(daemon->store, asked->ctx, &store);
	journal_status(daemon->journal, asked->ctx, &journal);
	answer = json_pack(
	    "{s:b, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:s, s:s, s:I}, s:{s:s, s:b, s:s, s:I, s:I, s:I, s:I}}",
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
	    (json_int_t)journal.waiting, "store", "kind", store.kind, "away",
	    (int)store.away, "problem", store.problem != NULL ? store.problem : "", "charged",
	    (json_int_t)store.charged, "refused", (json_int_t)store.refused, "pending",
	    (json_int_t)store.pending, "given_up", (json_int_t)store.dropped);
	/* after the figures, of which its session must not be one */
	edge = edge_status(daemon);
	(void)json_object_update(answer, edge);
	json_decref(edge);
	return answer;
}

/* answer_reload - read the configuration anew */
static json_t *
answer_reload(const struct asked *asked)
{
	const char *error = NULL;

	if (daemon_reload(asked->daemon, asked->ctx, &error))
		return json_pack("{s:b}", "ok", 1);
	return control_failed(error);
}

/* All commands, one row each. */
static const struct {
	const char *name;
	control_command *answer;
	bool writes;		/* changes something */
	bool daemon;		/* of no use without a daemon */
} commands[] = {
	{ "status", answer_status, false, true },
	{ "reload", answer_reload, true, true },
	{ "quota show", control_quota_show, false, false },
	{ "quota reset", control_quota_reset, true, false },
	{ "quota top", control_quota_top, false, false },
	{ "quota set", control_quota_set, true, false },
	{ "quota unset", control_quota_unset, true, false },
	{ "quota suggest", control_suggest, false, false },
	{ "block", control_block, true, false },
	{ "unblock", control_unblock, true, false },
	{ "blocked", control_blocked, false, false },
	{ "plan of", control_plan_of, false, false },
	{ "report", control_report, false, false },
	{ "last", control_last, false, false },
	{ "why", control_why, false, false },
	{ "queued", control_queued, false, false },
	{ "events", control_events, false, false },
};

/* control_answer_run - the command of a request */
static json_t *
control_answer_run(const struct asked *asked, const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		if (commands[i].writes && !asked->asker->may_write)
			return control_failed(mem_printf(
			    asked->ctx, "%s may ask, but not change anything", asked->asker->name));
		if (commands[i].daemon && asked->remote)
			return control_failed(
			    "this is for a running daemon; without --direct it is asked");
		if (commands[i].writes)
			log_info("control: %s by %s", name, asked->asker->name);
		return commands[i].answer(asked);
	}
	return control_failed("this command is unknown here");
}

/* control_answer - the answer to one request */
json_t *
control_answer(struct daemon *daemon, TALLOC_CTX *ctx, const char *line, size_t len,
    const struct asker *asker, bool remote)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const struct asked asked = { daemon, ctx, request, asker, remote };
	const char *name = control_text(&asked, "command");
	json_t *answer = name != NULL ? control_answer_run(&asked, name) :
	    control_failed("a request is one line: {\"command\": \"status\"}");

	json_decref(request);
	/* a value that is no UTF-8 makes no answer at all */
	return answer != NULL ? answer : control_failed("the answer holds text that is no UTF-8");
}

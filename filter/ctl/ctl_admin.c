/*
 * ctl_admin.c - countersignctl status, metrics, reload
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdbool.h>
#include <stdio.h>

#include "filter/ctl/ctl.h"

static void
print_reload(const json_t *answer)
{
	(void)answer;
	(void)printf("the new configuration is in effect\n");
}

/* ctl_reload - read the configuration again */
int
ctl_reload(struct ctl *ctl, char **operands)
{
	(void)operands;
	return ctl_ask(ctl, json_pack("{s:s}", "command", "reload"), print_reload);
}

/* print_risks - what may lose counts, and what waits */
static void
print_risks(const json_t *store)
{
	const json_t *risks = json_object_get(store, "risks");

	if (ctl_number(store, "pending") > 0 || ctl_number(store, "changes") > 0)
		(void)printf("store WAITS for Redis: charges %lld, changes by operators %lld\n",
		    ctl_number(store, "pending"), ctl_number(store, "changes"));
	if (ctl_number(store, "emptied") > 0)
		(void)printf("store LOST what it held, times since the start: %lld\n",
		    ctl_number(store, "emptied"));
	for (size_t i = 0; i < json_array_size(risks); i++) {
		const json_t *risk = json_array_get(risks, i);

		(void)printf("store AT RISK (%s): %s; cure: %s\n", ctl_text(risk, "check"),
		    ctl_text(risk, "what"), ctl_text(risk, "cure"));
	}
}

static void
print_status(const json_t *answer)
{
	const json_t *store = json_object_get(answer, "store");
	const json_t *listener = json_object_get(answer, "listener");
	const json_t *shortage = json_object_get(answer, "shortage");
	bool answers = json_is_true(json_object_get(listener, "answers"));
	const json_t *books = json_object_get(answer, "books");
	const json_t *resolver = json_object_get(answer, "resolver");

	(void)printf("countersign %s, up %lld s%s\n", ctl_text(answer, "version"),
	    ctl_number(answer, "uptime_s"),
	    json_is_true(json_object_get(answer, "draining")) ? ", stopping" : "");
	(void)printf("connections %lld, messages in flight %lld\n", ctl_number(answer, "sessions"),
	    ctl_number(answer, "in_flight"));
	(void)printf("messages: accepted %lld, held %lld, deferred %lld, refused %lld\n",
	    ctl_number(answer, "accepted"), ctl_number(answer, "held"),
	    ctl_number(answer, "deferred"), ctl_number(answer, "refused"));
	(void)printf("listener %s%s\n", answers ? "answers" : "DOES NOT ANSWER: ",
	    answers ? "" : ctl_text(listener, "problem"));
	(void)printf("closed: bad packets %lld, refused peers %lld, no descriptors %lld, "
	    "no thread %lld; threads refused %lld\n", ctl_number(answer, "bad_packets"),
	    ctl_number(answer, "refused_peers"), ctl_number(shortage, "descriptors"), ctl_number(shortage, "closed"),
	    ctl_number(shortage, "threads"));
	if (json_is_true(json_object_get(resolver, "away")))
		(void)printf("resolver %s: DOES NOT ANSWER for %lld s\n",
		    ctl_text(resolver, "servers"), ctl_number(resolver, "since_s"));
	else
		(void)printf("resolver %s: no silence noticed for %lld s\n",
		    ctl_text(resolver, "servers"), ctl_number(resolver, "since_s"));
	(void)printf("store %s: charged %lld, refused %lld%s%s%s\n", ctl_text(store, "kind"),
	    ctl_number(store, "charged"), ctl_number(store, "refused"),
	    json_is_true(json_object_get(store, "away")) ? ", AWAY" : "",
	    ctl_text(store, "problem")[0] != '\0' ? ": " : "", ctl_text(store, "problem"));
	print_risks(store);
	(void)printf("books %s: waiting %lld, events %lld, given up %lld%s%s\n",
	    ctl_text(books, "place"), ctl_number(books, "waiting"), ctl_number(books, "events"),
	    ctl_number(answer, "journal_dropped"),
	    ctl_text(books, "problem")[0] != '\0' ? ", CANNOT BE WRITTEN: " : "",
	    ctl_text(books, "problem"));
}

/* ctl_status - the state of the daemon */
int
ctl_status(struct ctl *ctl, char **operands)
{
	(void)operands;
	return ctl_ask(ctl, json_pack("{s:s}", "command", "status"), print_status);
}

static void
print_metrics(const json_t *answer)
{
	(void)fputs(ctl_text(answer, "metrics"), stdout);
}

/* ctl_metrics - figures for Prometheus */
int
ctl_metrics(struct ctl *ctl, char **operands)
{
	(void)operands;
	return ctl_ask(ctl, json_pack("{s:s, s:i}", "command", "metrics", "openmetrics",
	    ctl_flag(ctl, "--openmetrics")), print_metrics);
}

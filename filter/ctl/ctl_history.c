/*
 * ctl_history.c - countersignctl last, why, hold-queue, events: what happened
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "filter/ctl/ctl.h"

/* print_member - "  name  value" if there is a value */
static void
print_member(const json_t *verdict, const char *name, const char *shown)
{
	if (ctl_text(verdict, name)[0] == '\0')
		return;
	(void)printf("    %-11s", shown);
	ctl_safe(ctl_text(verdict, name));
	(void)printf("\n");
}

/* outcome_of - what happened, in a word or two */
static const char *
outcome_of(const json_t *verdict)
{
	const char *action = ctl_text(verdict, "action");

	if (strcmp(action, "accept") == 0)
		return "accepted";
	if (strcmp(action, "warn") == 0)
		return strcmp(ctl_text(verdict, "would"), "warn") == 0
		    ? "accepted, with a warning"
		    : "accepted, because of mode watch";
	if (strcmp(action, "quarantine") == 0)
		return "held";
	return strcmp(action, "tempfail") == 0 ? "deferred" : "refused";
}

/* print_verdict - one verdict, in a few lines */
static void
print_verdict(const json_t *verdict, bool all)
{
	const char *reason = ctl_text(verdict, "reason");

	ctl_time(ctl_number(verdict, "at"));
	(void)printf("  ");
	ctl_safe(ctl_text(verdict, "queue_id"));
	(void)printf("  %s%s%s\n", outcome_of(verdict), reason[0] != '\0' ? ": " : "", reason);
	if (!all && reason[0] == '\0')
		return;
	print_member(verdict, "reply", "reply");
	print_member(verdict, "why", "why");
	print_member(verdict, "address", "address");
	print_member(verdict, "limit", "limit");
	print_member(verdict, "limit_of", "limit of");
	print_member(verdict, "quota", "used");
	if (all) {
		print_member(verdict, "account", "account");
		print_member(verdict, "client", "client");
		print_member(verdict, "from", "envelope");
		print_member(verdict, "header_from", "From");
		(void)printf("    %-11s%lld\n", "recipients", ctl_number(verdict, "recipients"));
		print_member(verdict, "spf", "SPF");
		print_member(verdict, "dkim", "DKIM");
		if (ctl_text(verdict, "reply")[0] == '\0')
			print_member(verdict, "sign", "signed as");
		print_member(verdict, "listener", "listener");
		print_member(verdict, "filter", "filter");
	}
	print_member(verdict, "advice", "advice");
	print_member(verdict, "next", "next");
}

/* print_verdicts - a list of them */
static void
print_verdicts(const json_t *answer, bool all, const char *none)
{
	const json_t *verdicts = json_object_get(answer, "verdicts");

	for (size_t i = 0; i < json_array_size(verdicts); i++)
		print_verdict(json_array_get(verdicts, i), all);
	if (json_array_size(verdicts) == 0)
		(void)printf("%s\n", none);
}

static void
print_last(const json_t *answer)
{
	print_verdicts(answer, false, "the history has no message of this account");
}

static void
print_why(const json_t *answer)
{
	print_verdicts(answer, true, "the history has no message of this queue id");
}

/* ctl_last - the last verdicts of an account */
int
ctl_last(struct ctl *ctl, char **operands)
{
	const char *n = ctl_option(ctl, "--count");
	json_t *request = json_pack("{s:s}", "command", "last");

	ctl_set(request, "account", operands[0]);
	if (n != NULL)
		json_object_set_new(request, "n", json_integer(ctl_count(n)));
	return ctl_ask(ctl, request, print_last);
}

/* ctl_why - what became of a message and why */
int
ctl_why(struct ctl *ctl, char **operands)
{
	json_t *request;

	request = json_pack("{s:s}", "command", "why");
	ctl_set(request, "queue_id", operands[0]);
	return ctl_ask_for(ctl, request, print_why, "verdicts");
}

/* print_stamp - the UTC time of an event as local time; as it is if it cannot be read */
static void
print_stamp(const char *text)
{
	struct tm tm = { 0 };
	int end = 0;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		&tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end) != 6 || text[end] != '\0') {
		ctl_safe(text);
		return;
	}
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	ctl_time((long long)timegm(&tm) * 1000);
}

static void
print_event(const json_t *event)
{
	print_stamp(ctl_text(event, "time"));
	(void)printf("  %-12s  ", ctl_text(event, "event"));
	ctl_safe(ctl_text(event, "text"));
	(void)printf("  (%s)\n", ctl_text(event, "filter"));
}

static void
print_events(const json_t *answer)
{
	const json_t *events = json_object_get(answer, "events");

	for (size_t i = json_array_size(events); i > 0; i--)
		print_event(json_array_get(events, i - 1));
	if (json_array_size(events) == 0)
		(void)printf("nothing happened that is an event\n");
}

/* ctl_events - the last events, the newest at the end */
int
ctl_events(struct ctl *ctl, char **operands)
{
	const char *n = ctl_option(ctl, "--count");
	json_t *request;

	(void)operands;
	request = json_pack("{s:s}", "command", "events");
	if (n != NULL)
		json_object_set_new(request, "n", json_integer(ctl_count(n)));
	return ctl_ask(ctl, request, print_events);
}

/* --- hold-queue --- */

/* ctl_history_is_word - only of these characters: it may stand in a command without quotes */
static bool
ctl_history_is_word(const char *text, const char *others)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t len;

	for (len = 0; text[len] != '\0'; len++)
		if (strchr(plain, text[len]) == NULL && strchr(others, text[len]) == NULL)
			return false;
	return len > 0;
}

/* print_ids - "postsuper -h -" with the queue ids of a filter */
static void
print_ids(const char *filter, const json_t *ids)
{
	(void)printf(
	    "# on %s: messages that countersign let pass; those that have left the queue are skipped\n",
	    filter);
	(void)printf("postsuper -h - <<'END'\n");
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const char *id = json_string_value(json_array_get(ids, i));

		if (ctl_history_is_word(id, ""))
			(void)printf("%s\n", id);
	}
	(void)printf("END\n\n");
}

/* print_sender - what is queued under another id, found by its envelope sender */
static void
print_sender(const char *from)
{
	size_t len = strlen(from);
	char sender[512];

	/* the null sender is everybody's; and what a stranger wrote must not become a command */
	if (len < 3 || len >= sizeof(sender) || from[0] != '<' || from[len - 1] != '>')
		return;
	(void)snprintf(sender, sizeof(sender), "%.*s", (int)len - 2, from + 1);
	if (!ctl_history_is_word(sender, "@.-_+="))
		return;
	(void)printf(
	    "postqueue -p | tail -n +2 | awk -v RS= '$7 == \"%s\" { sub(/[*!]$/, \"\", $1); print $1 }' | postsuper -h -\n",
	    sender);
}

static void
print_queued(const json_t *answer)
{
	const json_t *senders = json_object_get(answer, "senders");
	json_t *filters = json_object_get(answer, "filters");
	const char *filter;
	json_t *ids;

	if (json_object_size(filters) == 0) {
		(void)printf("# the history has no message of %s that passed\n",
		    ctl_text(answer, "account"));
		return;
	}
	json_object_foreach(filters, filter, ids)
		print_ids(filter, ids);
	(void)printf("# on each of them: what is queued under other ids, by envelope sender\n");
	for (size_t i = 0; i < json_array_size(senders); i++)
		print_sender(json_string_value(json_array_get(senders, i)));
	(void)printf(
	    "\n# to look at them: postqueue -p; to release one: postsuper -H ID; to delete one: postsuper -d ID\n");
}

/* ctl_hold_queue - the commands that hold what an account still has queued; it runs none of them */
int
ctl_hold_queue(struct ctl *ctl, char **operands)
{
	json_t *request;

	request = json_pack("{s:s}", "command", "queued");
	ctl_set(request, "account", operands[0]);
	return ctl_ask(ctl, request, print_queued);
}

/*
 * ctl_quota.c - countersignctl quota ...: what accounts use, and changing it
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/ctl/ctl.h"
#include "policy/base/text.h"

#define BAR		20		/* columns of a full bar */

/* print_limit - one limit: bar, figures, when room returns */
static void
print_limit(const json_t *limit)
{
	double percent = json_number_value(json_object_get(limit, "percent"));
	int full = percent >= 100 ? BAR : (int)(percent * BAR / 100);
	char span[32];

	/* rounded down, as in the log: 100% is said of a full limit only */
	(void)printf("  %-32s %10lld of %-10lld %4lld%%  [%.*s%.*s]", ctl_text(limit, "limit"),
	    ctl_number(limit, "used"), ctl_number(limit, "max"), (long long)percent, full,
	    "####################", BAR - full, "....................");
	if (ctl_number(limit, "wait_ms") != 0) {
		ctl_span(ctl_number(limit, "wait_ms"), span, sizeof(span));
		(void)printf("  over; room in %s", span);
	} else if (ctl_number(limit, "next_ms") > 0) {
		ctl_span(ctl_number(limit, "next_ms"), span, sizeof(span));
		(void)printf("  less in %s", span);
	}
	if (ctl_text(limit, "of")[0] != '\0')
		(void)printf("  of %s", ctl_text(limit, "of"));
	if (ctl_number(limit, "raised_ms") > 0) {
		ctl_span(ctl_number(limit, "raised_ms"), span, sizeof(span));
		(void)printf("  (set by hand for %s more)", span);
	}
	(void)printf("\n");
}

/* print_note - that a name may not be the one that was meant */
static void
print_note(const json_t *answer)
{
	if (ctl_text(answer, "note")[0] != '\0')
		(void)printf("note: %s\n", ctl_text(answer, "note"));
}

/* print_block - since when it is blocked, until when, by whom, why */
static void
print_block(const json_t *block)
{
	(void)printf("since ");
	ctl_time(ctl_number(block, "since"));
	(void)printf(" until ");
	if (ctl_number(block, "until") > 0)
		ctl_time(ctl_number(block, "until"));
	else
		(void)printf("%-19s", "unblocked");
	(void)printf(
	    "  by %s%s", ctl_text(block, "by"), ctl_text(block, "reason")[0] != '\0' ? ": " : "");
	ctl_safe(ctl_text(block, "reason"));
	(void)printf("%s\n", json_is_true(json_object_get(block, "passes")) ?
	    "; PASSES: mode watch refuses nothing" : "");
}

/* owner_of - whose limits an answer is about: "alice@example.org", "pool acme" */
static const char *
owner_of(const json_t *answer)
{
	return ctl_text(answer, ctl_text(answer, "account")[0] != '\0' ? "account" : "limit_of");
}

/* print_owner - the same as the first line of a page */
static void
print_owner(const json_t *answer)
{
	const char *of = ctl_text(answer, "limit_of");
	size_t kind = strcspn(of, " ");

	if (of[0] == '\0')
		(void)printf("%-8s %s\n", "account", ctl_text(answer, "account"));
	else
		(void)printf("%-8.*s %s\n", (int)kind, of, of[kind] != '\0' ? of + kind + 1 : "");
}

static void
print_quota(const json_t *answer)
{
	const json_t *limits = json_object_get(answer, "limits");
	const char *plan = ctl_text(answer, "plan");

	const json_t *blocked = json_object_get(answer, "blocked");

	print_owner(answer);
	if (plan[0] != '\0')
		(void)printf("plan     %s, from %s\n", plan, ctl_text(answer, "plan_from"));
	else
		(void)printf("plan     none (no limits)\n");
	if (ctl_text(answer, "home")[0] != '\0')
		(void)printf("home     %s; counters began empty when it came there\n",
		    ctl_text(answer, "home"));
	if (blocked != NULL) {
		(void)printf("BLOCKED  ");
		print_block(blocked);
	}
	if (strcmp(ctl_text(answer, "store"), "local") == 0)
		(void)printf("store    away; what this filter knows\n");
	else if (ctl_text(answer, "store")[0] != '\0')
		(void)printf("store    %s\n", ctl_text(answer, "store"));
	for (size_t i = 0; i < json_array_size(limits); i++)
		print_limit(json_array_get(limits, i));
	print_note(answer);
}

/* ask_about - a request about one account, or what else has limits */
static int
ask_about(struct ctl *ctl, const char *command, const char *account, void (*print)(const json_t *))
{
	json_t *request = json_pack("{s:s}", "command", command);

	ctl_set(request, "account", account);
	return ctl_ask(ctl, request, print);
}

/* ctl_quota_show - what is used of limits */
int
ctl_quota_show(struct ctl *ctl, char **operands)
{
	return ask_about(ctl, "quota show", operands[0], print_quota);
}

/* print_held - of a change: that Redis is away */
static void
print_held(const json_t *answer)
{
	if (ctl_text(answer, "held")[0] != '\0')
		(void)printf("%s\n", ctl_text(answer, "held"));
}

static void
print_reset(const json_t *answer)
{
	(void)printf(json_is_true(json_object_get(answer, "counted"))
	    ? "the counters of %s are empty\n"
	    : "nothing was counted for %s\n", owner_of(answer));
}

/* ctl_quota_reset - empty counters */
int
ctl_quota_reset(struct ctl *ctl, char **operands)
{
	return ask_about(ctl, "quota reset", operands[0], print_reset);
}

static void
print_set(const json_t *answer)
{
	char span[32];

	ctl_span(ctl_number(answer, "for_ms"), span, sizeof(span));
	(void)printf("for %s the limit of %s is %s\n", span, owner_of(answer),
	    ctl_text(answer, "limit"));
	print_held(answer);
	print_note(answer);
}

/* ctl_quota_set - another limit for a while */
int
ctl_quota_set(struct ctl *ctl, char **operands)
{
	const char *how_long = ctl_option(ctl, "--for");
	json_t *request;

	request = json_pack(
	    "{s:s, s:I}", "command", "quota set", "for_ms", (json_int_t)ctl_duration(how_long));
	ctl_set(request, "account", operands[0]);
	ctl_set(request, "limit", operands[1]);
	return ctl_ask(ctl, request, print_set);
}

static void
print_unset(const json_t *answer)
{
	long long n = ctl_number(answer, "unset");

	if (n == 0)
		(void)printf("%s: no limit had been set by hand\n", owner_of(answer));
	else
		(void)printf("%s: %lld limit%s set by hand removed; the limits of the plan apply\n",
		    owner_of(answer), n, text_s((uint64_t)n));
	print_held(answer);
	print_note(answer);
}

/* ctl_quota_unset - the plan's own limits again */
int
ctl_quota_unset(struct ctl *ctl, char **operands)
{
	return ask_about(ctl, "quota unset", operands[0], print_unset);
}

static void
print_top(const json_t *answer)
{
	const json_t *accounts = json_object_get(answer, "accounts");

	(void)printf("%-40s %10s %10s %8s  %s\n", "account, today (UTC)", "recipients", "messages",
	    "refused", "fullest limit");
	for (size_t i = 0; i < json_array_size(accounts); i++) {
		const json_t *account = json_array_get(accounts, i);

		(void)printf("%-40s %10lld %10lld %8lld  ", ctl_text(account, "account"),
		    ctl_number(account, "recipients"), ctl_number(account, "messages"),
		    ctl_number(account, "refused"));
		if (ctl_text(account, "limit")[0] != '\0')
			(void)printf("%3d%% of %s%s%s\n",
			    (int)json_number_value(json_object_get(account, "percent")),
			    ctl_text(account, "limit"),
			    ctl_text(account, "limit_of")[0] != '\0' ? " of " : "",
			    ctl_text(account, "limit_of"));
		else
			(void)printf("none\n");
	}
	if (json_array_size(accounts) == 0)
		(void)printf("no account has sent anything today\n");
}

/* ctl_quota_top - who sends most */
int
ctl_quota_top(struct ctl *ctl, char **operands)
{
	const char *by = ctl_option(ctl, "--by");
	const char *n = ctl_option(ctl, "--count");
	json_t *request;

	request = json_pack("{s:s}", "command", "quota top");
	if (operands[0] != NULL)
		ctl_set(request, "of", operands[0]);
	if (by != NULL)
		ctl_set(request, "by", by);
	if (n != NULL)
		json_object_set_new(request, "n", json_integer(ctl_count(n)));
	return ctl_ask(ctl, request, print_top);
}

static void
print_blocking(const json_t *answer)
{
	char span[32];

	ctl_span(ctl_number(answer, "for_ms"), span, sizeof(span));
	(void)printf("%s is blocked %s%s\n", ctl_text(answer, "account"),
	    ctl_number(answer, "for_ms") > 0 ? "for " : "until it is unblocked",
	    ctl_number(answer, "for_ms") > 0 ? span : "");
	print_held(answer);
	print_note(answer);
}

/* ctl_block - no mail from an account */
int
ctl_block(struct ctl *ctl, char **operands)
{
	const char *how_long = ctl_option(ctl, "--for");
	const char *reason = ctl_option(ctl, "--reason");
	json_t *request;

	request = json_pack("{s:s}", "command", "block");
	ctl_set(request, "account", operands[0]);
	if (how_long != NULL)
		json_object_set_new(request, "for_ms", json_integer(ctl_duration(how_long)));
	if (reason != NULL)
		ctl_set(request, "reason", reason);
	return ctl_ask(ctl, request, print_blocking);
}

static void
print_unblocking(const json_t *answer)
{
	(void)printf("%s %s\n", ctl_text(answer, "account"),
	    json_is_true(json_object_get(answer, "was_blocked")) ? "may send again"
								 : "was not blocked");
	print_held(answer);
	print_note(answer);
}

/* ctl_unblock - mail from an account again */
int
ctl_unblock(struct ctl *ctl, char **operands)
{
	return ask_about(ctl, "unblock", operands[0], print_unblocking);
}

static void
print_blocked(const json_t *answer)
{
	const json_t *blocked = json_object_get(answer, "blocked");

	for (size_t i = 0; i < json_array_size(blocked); i++) {
		const json_t *block = json_array_get(blocked, i);

		(void)printf("%-40s ", ctl_text(block, "account"));
		print_block(block);
	}
	if (json_array_size(blocked) == 0)
		(void)printf("no account is blocked\n");
}

/* ctl_blocked - who is blocked */
int
ctl_blocked(struct ctl *ctl, char **operands)
{
	(void)operands;
	return ctl_ask(ctl, json_pack("{s:s}", "command", "blocked"), print_blocked);
}

/* print_rules - what a plan says, a line each */
static void
print_rules(const json_t *plan)
{
	const json_t *limits = json_object_get(plan, "limits");
	const json_t *out = json_object_get(plan, "not_counted_in");
	const json_t *signs = json_object_get(plan, "block_on");
	char span[32];

	for (size_t i = 0; i < json_array_size(limits); i++)
		(void)printf("  %-15s %s\n", "limit", json_string_value(json_array_get(limits, i)));
	for (size_t i = 0; i < json_array_size(out); i++)
		(void)printf("  %-15s %s\n", "not_counted_in",
		    json_string_value(json_array_get(out, i)));
	if (ctl_text(plan, "on_over")[0] != '\0')
		(void)printf("  %-15s %s\n", "on_over", ctl_text(plan, "on_over"));
	if (ctl_number(plan, "warn_at") > 0)
		(void)printf("  %-15s %lld%%\n", "warn_at", ctl_number(plan, "warn_at"));
	if (ctl_number(plan, "max_recipients") > 0)
		(void)printf(
		    "  %-15s %lld\n", "max_recipients", ctl_number(plan, "max_recipients"));
	if (ctl_number(plan, "max_size") > 0)
		(void)printf("  %-15s %lld bytes\n", "max_size", ctl_number(plan, "max_size"));
	for (size_t i = 0; i < json_array_size(signs); i++)
		(void)printf(
		    "  %-15s %s\n", "block_on", json_string_value(json_array_get(signs, i)));
	if (ctl_number(plan, "block_for_ms") > 0) {
		ctl_span(ctl_number(plan, "block_for_ms"), span, sizeof(span));
		(void)printf("  %-15s %s\n", "block_for", span);
	}
	if (ctl_number(plan, "block_grows") > 0)
		(void)printf("  %-15s %lld\n", "block_grows", ctl_number(plan, "block_grows"));
	if (ctl_text(plan, "block_action")[0] != '\0')
		(void)printf("  %-15s %s\n", "block_action", ctl_text(plan, "block_action"));
}

/* print_plan_line - "plan     person, from default_plan", if there is one, and its rules */
static void
print_plan_line(const json_t *holder, const char *none)
{
	const json_t *plan = json_object_get(holder, "plan");

	if (plan == NULL) {
		(void)printf("plan     %s\n", none);
		return;
	}
	(void)printf(
	    "plan     %s, from %s\n", ctl_text(plan, "name"), ctl_text(holder, "plan_from"));
	print_rules(plan);
}

static void
print_plan(const json_t *answer)
{
	const json_t *parties = json_object_get(answer, "parties");

	print_owner(answer);
	print_plan_line(answer, "none (no limits)");
	for (size_t i = 0; i < json_array_size(parties); i++) {
		const json_t *party = json_array_get(parties, i);

		(void)printf("%-8s %s\n", ctl_text(party, "kind"), ctl_text(party, "name"));
		print_plan_line(party, json_is_true(json_object_get(party, "left_out"))
		    ? "none: accounts of its plan are not counted here" : "none");
	}
}

/* ctl_plan_of - which plan an account has, and where that is said */
int
ctl_plan_of(struct ctl *ctl, char **operands)
{
	return ask_about(ctl, "plan of", operands[0], print_plan);
}

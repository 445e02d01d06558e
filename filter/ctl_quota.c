/*
 * ctl_quota.c - countersignctl quota ...: what accounts use, and changing it
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>

#include "filter/ctl.h"

#define BAR		20		/* columns of a full bar */

/* span_text - milliseconds as a person says them */
static void
span_text(long long ms, char *buffer, size_t size)
{
	long long s = (ms + 999) / 1000;

	if (ms < 0)
		(void)snprintf(buffer, size, "never");
	else if (s < 120)
		(void)snprintf(buffer, size, "%lld s", s);
	else if (s < 7200)
		(void)snprintf(buffer, size, "%lld min", (s + 59) / 60);
	else
		(void)snprintf(buffer, size, "%lld h", (s + 3599) / 3600);
}

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
		span_text(ctl_number(limit, "wait_ms"), span, sizeof(span));
		(void)printf("  over; room in %s", span);
	} else if (ctl_number(limit, "next_ms") > 0) {
		span_text(ctl_number(limit, "next_ms"), span, sizeof(span));
		(void)printf("  less in %s", span);
	}
	(void)printf("\n");
}

static void
print_quota(const json_t *answer)
{
	const json_t *limits = json_object_get(answer, "limits");
	const char *plan = ctl_text(answer, "plan");

	(void)printf("account  %s\n", ctl_text(answer, "account"));
	(void)printf("plan     %s\n", plan[0] != '\0' ? plan : "none (no limits)");
	if (ctl_text(answer, "store")[0] != '\0')
		(void)printf("store    %s\n", ctl_text(answer, "store"));
	for (size_t i = 0; i < json_array_size(limits); i++)
		print_limit(json_array_get(limits, i));
}

/* ask_about - a request about one account */
static int
ask_about(struct ctl *ctl, const char *command, const char *account, void (*print)(const json_t *))
{
	json_t *request = json_pack("{s:s}", "command", command);

	ctl_set(request, "account", account);
	return ctl_ask(ctl, request, print);
}

/* ctl_quota_show - what an account has used of its limits */
int
ctl_quota_show(struct ctl *ctl, int argc, char **argv)
{
	return argc == 1 ? ask_about(ctl, "quota show", argv[0], print_quota) : CTL_USAGE;
}

static void
print_reset(const json_t *answer)
{
	(void)printf("the counters of %s are empty\n", ctl_text(answer, "account"));
}

/* ctl_quota_reset - empty the counters of an account */
int
ctl_quota_reset(struct ctl *ctl, int argc, char **argv)
{
	return argc == 1 ? ask_about(ctl, "quota reset", argv[0], print_reset) : CTL_USAGE;
}

/*
 * rspamd_ratelimit.c - rspamd's ratelimit: buckets of users
 *
 * A bucket that holds BURST and leaks at RATE lets BURST pass at once, and RATE in the long run.
 * The window that does the same has BURST in the time in which a full bucket leaks out.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/adopt/rspamd.h"
#include "policy/base/mem.h"

const char *
rspamd_where(struct adopt *adopt, const struct rspamd_file *file, const struct ucl_node *node)
{
	return mem_printf(adopt, "%s:%d", node->path != NULL ? node->path : file->path, node->line);
}

/* number_of - "40", "1.5k"; after it in *end_r; negative: it is none */
static double
number_of(const char *text, const char **end_r)
{
	char *end;
	double number;

	text += strspn(text, " \t");
	if (*text < '0' || *text > '9')
		return -1;
	number = strtod(text, &end);
	*end_r = end;
	if (*end != '\0' && strchr("kKmMgG", *end) != NULL && (end[1] == '\0' || end[1] == ' ')) {
		number *= *end == 'k' || *end == 'K' ? 1e3 : *end == 'm' || *end == 'M' ? 1e6 : 1e9;
		*end_r = end + 1;
	}
	return number;
}

/* seconds_of - "1h", "10 min", "s" in seconds; negative: it is none */
static double
seconds_of(const char *text)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = { { "ms", 0.001 }, { "s", 1 }, { "min", 60 }, { "m", 60 }, { "h", 3600 },
		{ "d", 86400 }, { "w", 604800 }, { "y", 31536000 } };
	const char *end = text + strspn(text, " \t");
	double number = *end >= '0' && *end <= '9' ? strtod(end, (char **)(uintptr_t)&end) : 1;

	end += strspn(end, " \t");
	if (*end == '\0')
		return number;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strncasecmp(end, units[i].unit, strlen(units[i].unit)) == 0)
			return number * units[i].seconds;
	return -1;
}

/* rate_of - "40 / 1h", or a number for each second; negative: it is none. *count_r, *seconds_r: as
 * written */
static bool
rate_of(const char *text, double *count_r, double *seconds_r)
{
	const char *end = "";

	*count_r = number_of(text, &end);
	end += strspn(end, " \t");
	*seconds_r = *end == '/' ? seconds_of(end + 1) : *end == '\0' ? 1 : -1;
	return *count_r > 0 && *seconds_r > 0;
}

/* A bucket as it is read. */
struct bucket {
	double burst;          /* negative: not given */
	double count, seconds; /* the rate */
	const struct ucl_node *node;
	bool messages;
};

/* add_bucket - a bucket as a limit of accounts */
static void
add_bucket(struct adopt *adopt, const struct rspamd_file *file, const struct bucket *bucket,
    const char *name)
{
	struct adopt_limit limit = {
		.party = PARTY_ACCOUNT, .unit = LIMIT_RECIPIENTS, .action = "tempfail"
	};
	double burst = bucket->burst > 0 ? bucket->burst : bucket->count;
	double window = burst * bucket->seconds / bucket->count;

	limit.from = mem_printf(adopt, "%s: ratelimit %s: burst %g, rate %g in %g s",
	    rspamd_where(adopt, file, bucket->node), name, burst, bucket->count, bucket->seconds);
	if (burst < 1 || burst > 1e15 || window < 1 || window > 366.0 * 86400) {
		adopt_missing(adopt, "%s: this is out of the range of limits", limit.from);
		return;
	}
	if (bucket->messages)
		limit.unit = LIMIT_MESSAGES;
	limit.max = (uint64_t)floor(burst);
	limit.window_s = (int64_t)llround(window);
	adopt_limit(adopt, &limit);
	if (fabs(burst - bucket->count) > 0.5)
		adopt_note(adopt,
		    "%s: a bucket that leaks became a window: as many at once, and as many in the "
		    "long run",
		    limit.from);
}

/* read_bucket - { burst, rate }, [burst, rate] or "40 / 1h" */
static void
read_bucket(struct adopt *adopt, const struct rspamd_file *file, const struct ucl_node *node,
    const char *name)
{
	struct bucket bucket = { .burst = -1, .node = node };
	const char *burst = ucl_text(node, "burst"), *rate = ucl_text(node, "rate"), *end = "";

	if (node->text != NULL)
		rate = node->text;
	else if (rate == NULL && node->members != NULL && node->members->text != NULL &&
	    node->members->next != NULL && node->members->name[0] == '\0') {
		burst = node->members->text;
		rate = node->members->next->text;
	}
	if (burst != NULL)
		bucket.burst = number_of(burst, &end);
	bucket.messages = ucl_bool(node, "skip_recipients", false);
	if (rate == NULL || !rate_of(rate, &bucket.count, &bucket.seconds) ||
	    (burst != NULL && bucket.burst <= 0)) {
		adopt_missing(adopt, "%s: ratelimit %s: its burst and rate cannot be read",
		    rspamd_where(adopt, file, node), name);
		return;
	}
	add_bucket(adopt, file, &bucket, name);
}

/* read_rate - the buckets of a name: one, or a list */
static void
read_rate(struct adopt *adopt, const struct rspamd_file *file, const struct ucl_node *rate)
{
	const struct ucl_node *bucket = ucl_find(rate, "bucket");

	if (bucket == NULL)
		bucket = rate;
	/* a list of buckets, but not [burst, rate] */
	if (bucket->text == NULL && bucket->members != NULL && bucket->members->name[0] == '\0' &&
	    bucket->members->text == NULL) {
		for (const struct ucl_node *one = bucket->members; one != NULL; one = one->next)
			read_bucket(adopt, file, one, rate->name);
		return;
	}
	read_bucket(adopt, file, bucket, rate->name);
}

/* is_of_users - does a limit count by login? */
static bool
is_of_users(const struct ucl_node *rate)
{
	const char *selector = ucl_text(rate, "selector");

	if (selector == NULL)
		return strcmp(rate->name, "user") == 0;
	return strcmp(selector, "user") == 0 || strcmp(selector, "user.lower") == 0 ||
	    strcmp(selector, "user.lower()") == 0;
}

/* What becomes of the settings of the module. */
static const struct {
	const char *name; /* or its beginning, with a star */
	const char *text; /* NULL: countersign has no need of it */
} settings[] = {
	{ "whitelisted_rcpts", "recipients that are not counted have no counterpart" },
	{ "whitelisted_ip",
	    "clients that are not counted have no counterpart; a listener of role "
	    "local has on_over = \"accept\" for them" },
	{ "whitelisted_user",
	    "give such logins a plan without limits: plan = \"unlimited\" in "
	    "accounts, or a table in plan_of" },
	{ "custom_keywords", "rules in Lua have no counterpart" },
	{ "max_rcpt*",
	    "what rspamd does with messages of more recipients than that has no "
	    "counterpart; here all recipients of every message are counted" },
	{ "limits", "limits in this old form have no counterpart; write rates" },
	{ "rates", NULL },
	{ "enabled", NULL },
	{ "servers", NULL },
	{ "read_servers", NULL },
	{ "write_servers", NULL },
	{ "password", NULL },
	{ "db*", NULL },
	{ "timeout", NULL },
	{ "prefix", NULL },
	{ "redis*", NULL },
	{ "expire*", NULL },
	{ "max_delay", NULL },
	{ "use_ip_score", NULL },
	{ "info_symbol", NULL },
	{ "symbol", NULL },
	{ "message_func", NULL },
	{ "ham_factor_*", "the rate changes there with what mail was; here it does not" },
	{ "spam_factor_*", "the rate changes there with what mail was; here it does not" },
	{ "dynamic_rate_limit", "the rate changes there with what mail was; here it does not" },
};

/* judge_setting - what becomes of a setting; false: something stays in rspamd */
static bool
judge_setting(struct adopt *adopt, const struct rspamd_file *file, const struct ucl_node *setting)
{
	const char *text = "this setting is not known here";

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		const char *name = settings[i].name;
		size_t len = strcspn(name, "*");

		if (name[len] == '*' ? strncmp(setting->name, name, len) == 0
				     : strcmp(setting->name, name) == 0) {
			text = settings[i].text;
			break;
		}
	}
	if (text != NULL)
		adopt_missing(adopt, "%s: rspamd ratelimit: %s: %s",
		    rspamd_where(adopt, file, setting), setting->name, text);
	return text == NULL;
}

void
rspamd_ratelimit(struct adopt *adopt, const struct rspamd_file *file)
{
	const struct ucl_node *rates = ucl_find(file->root, "rates");
	size_t taken = adopt->n_limits, left = file->incomplete != NULL;

	if (!ucl_bool(file->root, "enabled", true)) {
		adopt_note(adopt, "%s: ratelimit is switched off there", file->path);
		return;
	}
	for (const struct ucl_node *one = rates != NULL ? rates->members : NULL; one != NULL;
	     one = one->next)
		if (is_of_users(one)) {
			size_t before = adopt->report->missing.n;

			read_rate(adopt, file, one);
			left += adopt->report->missing.n > before;
		} else
			adopt_missing(adopt,
			    "%s: rspamd ratelimit %s is not of logins, and stays in rspamd",
			    rspamd_where(adopt, file, one), one->name);
	for (const struct ucl_node *one = file->root->members; one != NULL; one = one->next)
		left += !judge_setting(adopt, file, one);
	if (adopt->n_limits > taken)
		adopt_note(adopt,
		    "%s: rspamd counts each recipient of a message, so its limits of users became "
		    "recipients (messages with skip_recipients); %s once mode is enforce",
		    file->path,
		    left == 0
			? "switch its ratelimit of users off"
			: "for what could not be taken over its ratelimit of users stays, even");
}

/*
 * quota.c - which counters a message touches, and what their totals mean
 *
 * Planning lists, for one message, the keys and fields of all counters with what
 * the message costs in each; the store carries that out without knowing why.
 * Judging reads the totals that come back and picks the one limit worth telling:
 * to the sender the one that keeps the message out longest, to the log the one
 * nearest to full. Neither half knows time, except as the store reports it.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <string.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/quota/quota.h"
#include "policy/quota/window.h"

#define BLOCKED_AT_ONCE_MS	100	/* blocks of an account by several filters are one */

/* find_plan - the plan of that name, or NULL */
static struct plan *
find_plan(struct plan *plans, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(plans[i].name, name) == 0)
			return &plans[i];
	return NULL;
}

/* quota_inherit - take from one plan what the other leaves open */
static void
quota_inherit(struct plan *plan, const struct plan *from)
{
	if (!plan->has_limits && from->has_limits) {
		plan->limits = from->limits;
		plan->n_limits = from->n_limits;
		plan->has_limits = true;
	}
	if (!plan->has_on_over && from->has_on_over) {
		plan->on_over = from->on_over;
		plan->has_on_over = true;
	}
	if (!plan->has_max_recipients && from->has_max_recipients) {
		plan->max_recipients = from->max_recipients;
		plan->has_max_recipients = true;
	}
	if (!plan->has_max_size && from->has_max_size) {
		plan->max_size = from->max_size;
		plan->has_max_size = true;
	}
	if (!plan->has_warn_at && from->has_warn_at) {
		plan->warn_at = from->warn_at;
		plan->has_warn_at = true;
	}
	if (!plan->has_block_on && from->has_block_on) {
		plan->block_on = from->block_on;
		plan->n_block_on = from->n_block_on;
		plan->has_block_on = true;
	}
	if (plan->block_for_ms == 0)
		plan->block_for_ms = from->block_for_ms;
	if (plan->block_grows == 0)
		plan->block_grows = from->block_grows;
	if (!plan->has_block_action && from->has_block_action) {
		plan->block_action = from->block_action;
		plan->has_block_action = true;
	}
	if (!plan->has_left_out && from->has_left_out) {
		plan->left_out = from->left_out;
		plan->has_left_out = true;
	}
}

/* quota_resolve - inherit along the chain of one plan, nearest first */
static int
quota_resolve(
    TALLOC_CTX *ctx, struct plan *plans, size_t n, struct plan *plan, const char **error_r)
{
	const struct plan *from = plan;

	for (size_t steps = 0; from->like != NULL; steps++) {
		const struct plan *next = find_plan(plans, n, from->like);

		if (next == NULL) {
			*error_r = mem_printf(ctx,
			    "plan \"%s\" is like \"%s\", but there is no plan of that "
			    "name",
			    from->name, from->like);
			return -1;
		}
		if (next == plan || steps >= n) {
			*error_r = mem_printf(ctx,
			    "plan \"%s\" is like itself, by way of plan \"%s\"; take "
			    "one \"like\" away",
			    plan->name, from->name);
			return -1;
		}
		quota_inherit(plan, next);
		from = next;
	}
	return 0;
}

/* quota_plans_resolve - let each plan inherit from the one it is like */
int
quota_plans_resolve(TALLOC_CTX *ctx, struct plan *plans, size_t n, size_t *culprit_r,
    const char **error_r)
{
	for (size_t i = 0; i < n; i++) {
		*culprit_r = i;
		if (find_plan(plans, i, plans[i].name) != NULL) {
			*error_r =
			    mem_printf(ctx, "there are two plans named \"%s\"", plans[i].name);
			return -1;
		}
	}
	for (size_t i = 0; i < n; i++) {
		*culprit_r = i;
		if (quota_resolve(ctx, plans, n, &plans[i], error_r) < 0)
			return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (!plans[i].has_on_over)
			plans[i].on_over = ACTION_TEMPFAIL;
	return 0;
}

/* is_key_char - what stands in keys as it is: nothing that a tag, a pattern or a shell reads */
static inline bool
is_key_char(unsigned char c)
{
	/* a bit for each of + - . 0-9 = @ A-Z _ a-z, which is quicker than asking for each */
	static const uint32_t kept[8] = { 0, 0x23ff6800, 0x87ffffff, 0x07fffffe };

	return (kept[c >> 5] >> (c & 31) & 1) != 0;
}

/* encoded_length - how long a name is percent-encoded */
static size_t
encoded_length(const char *name)
{
	size_t len = 0;

	for (const char *c = name; *c != '\0'; c++)
		len += is_key_char((unsigned char)*c) ? 1 : 3;
	return len > 0 ? len : 1;
}

/* put_encoded - percent-encode a name; returns where it ends */
static char *
put_encoded(char *to, const char *name)
{
	static const char hex[] = "0123456789ABCDEF";

	if (name[0] == '\0')
		*to++ = '%';	/* an empty hash tag would be none at all */
	for (; *name != '\0'; name++) {
		unsigned char c = (unsigned char)*name;

		if (is_key_char(c)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	*to = '\0';
	return to;
}

/* quota_encode - percent-encode a name for use in a key */
char *
quota_encode(TALLOC_CTX *ctx, const char *name)
{
	size_t len = encoded_length(name);
	char *encoded = mem_check(talloc_array(ctx, char, mem_count(len + 1)));

	if (len == strlen(name))
		memcpy(encoded, name, len + 1);	/* as most do, it stays as it is */
	else
		(void)put_encoded(encoded, name);
	return encoded;
}

/* quota_hex_value - the value of a hexadecimal digit as quota_encode() writes it, or -1 */
static int
quota_hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* quota_decode - the name that quota_encode() made text of */
char *
quota_decode(TALLOC_CTX *ctx, const char *text)
{
	char *name = mem_strdup(ctx, text), *to = name;

	if (strcmp(text, "%") == 0)
		text = "";
	for (; *text != '\0'; text++) {
		int high, low;

		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		high = quota_hex_value(text[1]);
		low = high < 0 ? -1 : quota_hex_value(text[2]);
		if (low < 0) {
			talloc_free(name);
			return NULL;
		}
		*to++ = (char)(high * 16 + low);
		text += 2;
	}
	*to = '\0';
	return name;
}

/* quota_kind_word - what a subject is */
const char *
quota_kind_word(enum quota_subject_kind kind)
{
	switch (kind) {
	case QUOTA_ACCOUNT:
		return "account";
	case QUOTA_DOMAIN:
		return "domain";
	case QUOTA_POOL:
		return "pool";
	case QUOTA_NETWORK:
		return "network";
	case QUOTA_SIGNS:
		return "signs";
	}
	return "?";
}

static const enum quota_subject_kind shared_kinds[] = { QUOTA_DOMAIN, QUOTA_POOL, QUOTA_NETWORK };

/* quota_owner_read - whose limits an operator means */
enum quota_subject_kind
quota_owner_read(const char *text, const char **name_r)
{
	if (text[0] == '@') {
		*name_r = text + 1;
		return QUOTA_DOMAIN;
	}
	for (size_t i = 0; i < sizeof(shared_kinds) / sizeof(shared_kinds[0]); i++) {
		const char *word = quota_kind_word(shared_kinds[i]);
		size_t len = strlen(word);

		if (strnlen(text, len + 1) <= len || (text[len] != ':' && text[len] != ' ') ||
		    !text_equal_fold(text_span_of(text, len), text_span(word)))
			continue;
		*name_r = text + len + 1;
		return shared_kinds[i];
	}
	*name_r = text;
	return QUOTA_ACCOUNT;
}

/* quota_owner_text - whose limits, as an operator writes it */
const char *
quota_owner_text(TALLOC_CTX *ctx, enum quota_subject_kind kind, const char *name)
{
	if (kind == QUOTA_ACCOUNT)
		return mem_strdup(ctx, name);
	if (kind == QUOTA_DOMAIN)
		return mem_printf(ctx, "@%s", name);
	return mem_printf(ctx, "%s:%s", quota_kind_word(kind), name);
}

/* quota_subject_text - whose limits, as the log has it; NULL: an account's */
const char *
quota_subject_text(TALLOC_CTX *ctx, enum quota_subject_kind kind, const char *name)
{
	if (kind == QUOTA_ACCOUNT)
		return NULL;
	return mem_printf(ctx, "%s %s", quota_kind_word(kind), name);
}

/* at_most - a count that the stores can hold */
static uint64_t
at_most(uint64_t count)
{
	return count > (uint64_t)LIMIT_MAX_COUNT ? (uint64_t)LIMIT_MAX_COUNT : count;
}

/* at_least_one - the same, and 1 at least */
static uint64_t
at_least_one(uint64_t count)
{
	return count < 1 ? 1 : at_most(count);
}

/* cost_in - what the message costs in a unit */
static uint64_t
cost_in(const struct quota_cost *cost, enum limit_unit unit)
{
	switch (unit) {
	case LIMIT_MESSAGES:
		return at_least_one(cost->messages);
	case LIMIT_RECIPIENTS:
		return at_least_one(cost->recipients);
	case LIMIT_BYTES:
		return at_least_one(cost->bytes);
	case LIMIT_EXTERNAL:
		return at_most(cost->external);
	case LIMIT_NEW:
		return at_most(cost->n_marks);
	case LIMIT_CLIENTS:
	case LIMIT_COUNTRIES:
	case LIMIT_NETWORKS:
		return cost->things[unit].known ? 1 : 0;
	case LIMIT_FOREIGN:
	case LIMIT_REFUSED:
	case LIMIT_OVER:
	case LIMIT_BLOCKS:
	case LIMIT_LOGINS:
	case LIMIT_DUPLICATES:
	case LIMIT_BOUNCES:
	case LIMIT_SENT:
	case LIMIT_USUAL:
		return 0;	/* no message costs any: see event_cost() */
	}
	return 1;
}

/* event_cost - what an event costs in the unit that counts it */
static uint64_t
event_cost(const struct quota_cost *cost, enum limit_unit unit)
{
	if (unit == LIMIT_NEW)
		return at_most(cost->n_marks);
	return limit_is_distinct(unit) && !cost->things[unit].known ? 0 : 1;
}

/* one_in - what the smallest message costs in a unit: to one of us, written to before, from a known
 * client */
static uint64_t
one_in(enum limit_unit unit)
{
	return unit == LIMIT_MESSAGES || unit == LIMIT_RECIPIENTS || unit == LIMIT_BYTES ? 1 : 0;
}

/* stops - whether a plan's limits stop a message, as opposed to marking or holding it */
static bool
stops(enum action on_over)
{
	return on_over == ACTION_TEMPFAIL || on_over == ACTION_REJECT;
}

/* quota_home - the name of the home that parties share */
const char *
quota_home(const struct quota_party *parties, size_t n)
{
	const struct quota_party *home = &parties[0];

	for (size_t i = 1; i < n; i++) {
		if (parties[i].plan == NULL)
			continue;
		if (parties[i].kind == QUOTA_POOL)
			return parties[i].name;
		if (parties[i].kind == QUOTA_DOMAIN)
			home = &parties[i];
	}
	return home->name;
}

/* counts_in - whether one of n limits counts unit */
static bool
counts_in(const struct limit *limits, size_t n, enum limit_unit unit)
{
	for (size_t i = 0; i < n; i++)
		if (!limits[i].unlimited && limits[i].unit == unit)
			return true;
	return false;
}

/* quota_counts - whether some limit of some party counts unit */
bool
quota_counts(const struct quota_party *parties, size_t n, enum limit_unit unit)
{
	for (size_t i = 0; i < n; i++) {
		const struct plan *plan = parties[i].plan;

		if (plan != NULL && counts_in(plan->limits, plan->n_limits, unit))
			return true;
	}
	return false;
}

/* quota_plan_counts - whether limits or block_on of a plan count unit */
bool
quota_plan_counts(const struct plan *plan, enum limit_unit unit)
{
	return plan != NULL && (counts_in(plan->limits, plan->n_limits, unit) ||
	    counts_in(plan->block_on, plan->n_block_on, unit));
}

/* quota_watches - whether block_on of the account or a limit of some party counts unit */
bool
quota_watches(const struct quota_party *parties, size_t n, enum limit_unit unit)
{
	return quota_plan_counts(parties[0].plan, unit) || quota_counts(parties, n, unit);
}

/* key_of - "{HOME}:KIND:NAME" of two encoded names; a printf would cost a charge a tenth of its
 * time */
static char *
key_of(struct quota_plan *asked, const char *home, char kind, const char *name)
{
	size_t home_len = strlen(home), name_len = strlen(name);
	char *key = mem_check(talloc_array(asked, char, mem_count(home_len + name_len + 6)));
	char *to = key;

	*to++ = '{';
	memcpy(to, home, home_len);
	to += home_len;
	memcpy(to, "}:", 2);
	to[2] = kind;
	to[3] = ':';
	memcpy(to + 4, name, name_len + 1);
	return key;
}

/* add_subject - one more subject, for which there is room; returns its index */
static size_t
add_subject(struct quota_plan *asked, const struct quota_party *party, const char *home)
{
	struct quota_subject *subject = &asked->subjects[asked->n_subjects];
	const char *encoded = strcmp(party->name, home) == 0 ? asked->home :
	    quota_encode(asked, party->name);

	subject->kind = party->kind;
	subject->name =
	    party->kind == QUOTA_ACCOUNT ? asked->account : mem_strdup(asked, party->name);
	subject->key = key_of(asked, party->kind == QUOTA_NETWORK ? encoded : asked->home,
	    (char)party->kind, encoded);
	subject->known_key = NULL;
	if (asked->hand_key == NULL && party->kind == QUOTA_ACCOUNT)
		asked->hand_key = key_of(asked, asked->home, 's', encoded);
	else if (asked->hand_key == NULL)	/* never written: such limits are with the counts */
		asked->hand_key = mem_printf(
		    asked, "{%s}:s:%c:%s", asked->home, (char)party->kind, encoded);
	return asked->n_subjects++;
}

/* name_known - the key of the recipients that a subject wrote to */
static void
name_known(struct quota_plan *asked, size_t index)
{
	struct quota_subject *subject = &asked->subjects[index];
	const char *rest = strstr(subject->key, "}:") + 2;

	if (subject->known_key == NULL)
		subject->known_key = mem_printf(asked, "%.*sk:%s", (int)(rest - subject->key),
		    subject->key, rest);
}

/* find_counter - the counter in that field, as of "10 messages per hour" written twice */
static struct quota_counter *
find_counter(struct quota_plan *asked, size_t subject, const struct limit *limit)
{
	for (size_t i = 0; i < asked->n_counters; i++) {
		struct quota_counter *counter = &asked->counters[i];

		if (counter->subject == subject && counter->unit == limit->unit &&
		    counter->window_ms == limit->window_ms)
			return counter;
	}
	return NULL;
}

/* add_counter - one limit of a subject, for which there is room; of two for one window the smaller
 * counts */
static void
add_counter(struct quota_plan *asked, size_t subject, const struct limit *limit,
    const struct quota_party *party, uint64_t cost, uint64_t mark)
{
	struct quota_counter *counter = find_counter(asked, subject, limit);

	if (counter != NULL) {
		if (limit->max < counter->max) {
			counter->max = limit->max;
			counter->text = limit->text;
		}
		return;
	}
	counter = &asked->counters[asked->n_counters++];
	*counter = (struct quota_counter){
		.text = limit->text,
		.unit = limit->unit,
		.window_ms = limit->window_ms,
		.subject = subject,
		.field = limit->field,
		.width_ms = limit_is_distinct(limit->unit) ? limit->window_ms :
		    window_width(limit->window_ms),
		.max = limit->max,
		.cost = cost,
		.mark = limit_is_distinct(limit->unit) ? mark : 0,
		.level = limit_is_level(limit->unit),
		.one = one_in(limit->unit),
		.on_over = party->on_over,
		.warn_at = party->plan != NULL ? party->plan->warn_at : 0,
		.binding = !asked->observe_only && stops(party->on_over),
	};
	if (limit->unit == LIMIT_NEW)
		name_known(asked, subject);
}

/* add_party - a subject with all limits of its plan */
static void
add_party(struct quota_plan *asked, const struct quota_party *party, const char *home,
    const struct quota_cost *cost)
{
	const struct plan *plan = party->plan;
	size_t subject = add_subject(asked, party, home);

	for (size_t i = 0; plan != NULL && i < plan->n_limits; i++) {
		const struct limit *limit = &plan->limits[i];

		if (!limit->unlimited)
			add_counter(asked, subject, limit, party, cost_in(cost, limit->unit),
			    cost->things[limit->unit].mark);
	}
}

/* n_limits_of - how many limits the parties have */
static size_t
n_limits_of(const struct quota_party *parties, size_t n)
{
	size_t n_limits = 0;

	for (size_t i = 0; i < n; i++)
		n_limits += parties[i].plan != NULL ? parties[i].plan->n_limits : 0;
	return n_limits;
}

/* quota_begin - a plan without counters yet, with room for so many, and for more subjects than
 * parties; its parts come from one piece of memory */
static struct quota_plan *
quota_begin(TALLOC_CTX *ctx, const struct quota_party *parties, size_t n, size_t n_limits,
    size_t more, const uint8_t *id)
{
	const char *home = quota_home(parties, n);
	size_t names = strlen(home);
	struct quota_plan *asked;

	for (size_t i = 0; i < n; i++)
		names += strlen(parties[i].name);
	asked = mem_check(talloc_pooled_object(ctx, struct quota_plan, (unsigned int)(6 + 4 * n),
	    n_limits * sizeof(struct quota_counter) + (n + more) * sizeof(struct quota_subject) +
		16 * names + 256));
	memset(asked, 0, sizeof(*asked));
	asked->account = mem_strdup(asked, parties[0].name);
	asked->home = quota_encode(asked, home);
	asked->subjects =
	    mem_check(talloc_array(asked, struct quota_subject, (unsigned int)(n + more)));
	asked->counters =
	    mem_check(talloc_array(asked, struct quota_counter, (unsigned int)n_limits));
	if (id != NULL)
		memcpy(asked->id, id, sizeof(asked->id));
	return asked;
}

/* take_marks - what is known of recipients and client */
static void
take_marks(struct quota_plan *asked, const struct quota_cost *cost)
{
	asked->recipients = cost->recipients;
	asked->n_marks = cost->n_marks;
	if (cost->n_marks > 0)
		asked->marks =
		    mem_memdup(asked, cost->marks, cost->n_marks * sizeof(cost->marks[0]));
}

/* quota_plan_of - list the counters that one message of n parties touches */
struct quota_plan *
quota_plan_of(TALLOC_CTX *ctx, const struct quota_party *parties, size_t n,
    const struct quota_cost *cost, bool observe_only, const uint8_t *id)
{
	static const struct quota_cost nothing;
	struct quota_plan *asked = quota_begin(ctx, parties, n, n_limits_of(parties, n), 0, id);

	asked->observe_only = observe_only;
	if (cost != NULL)
		take_marks(asked, cost);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || parties[i].plan != NULL)
			add_party(asked, &parties[i], quota_home(parties, n),
			    cost != NULL ? cost : &nothing);
	return asked;
}

/* quota_plan_offence - the counter that decides whether the account is to be blocked */
struct quota_plan *
quota_plan_offence(TALLOC_CTX *ctx, const struct quota_party *parties, size_t n,
    const struct limit *limit, const struct quota_cost *cost, const uint8_t *id)
{
	const struct quota_party observed = { .kind = QUOTA_ACCOUNT, .name = parties[0].name,
	    .on_over = ACTION_WARN };
	const struct quota_party signs = { .kind = QUOTA_SIGNS, .name = parties[0].name,
	    .plan = parties[0].plan, .on_over = ACTION_WARN };
	struct quota_plan *asked = quota_begin(ctx, parties, n, 1, 1, id);
	const char *home = quota_home(parties, n);

	asked->observe_only = true;
	if (limit->unit == LIMIT_NEW)
		take_marks(asked, cost);
	(void)add_subject(asked, &observed, home);
	add_counter(asked, add_subject(asked, &signs, home), limit, &signs,
	    limit->unit == LIMIT_USUAL ? limit->max + 1 : event_cost(cost, limit->unit),
	    cost->things[limit->unit].mark);
	return asked;
}

/* quota_plan_event - the counters of all limits of the parties that count unit */
struct quota_plan *
quota_plan_event(TALLOC_CTX *ctx, const struct quota_party *parties, size_t n,
    enum limit_unit unit, int64_t window_ms, const struct quota_cost *cost, const uint8_t *id)
{
	struct quota_plan *asked = quota_begin(ctx, parties, n, n_limits_of(parties, n), 0, id);
	const char *home = quota_home(parties, n);

	asked->observe_only = true;
	for (size_t i = 0; i < n; i++) {
		const struct plan *plan = parties[i].plan;
		size_t subject;

		if (i > 0 && !quota_counts(&parties[i], 1, unit))
			continue;
		subject = add_subject(asked, &parties[i], home);
		for (size_t k = 0; plan != NULL && k < plan->n_limits; k++)
			if (!plan->limits[k].unlimited && plan->limits[k].unit == unit &&
			    (window_ms == 0 || plan->limits[k].window_ms == window_ms))
				add_counter(asked, subject, &plan->limits[k], &parties[i],
				    event_cost(cost, unit), cost->things[unit].mark);
	}
	return asked;
}

/* quota_plan_owner - the owner of plan alone, and an account's signs */
struct quota_plan *
quota_plan_owner(TALLOC_CTX *ctx, const struct quota_plan *plan)
{
	struct quota_plan *owner = mem_memdup(ctx, plan, sizeof(*plan));
	const char *rest = strstr(plan->subjects[0].key, "}:") + 2;

	owner->n_counters = 0;
	owner->n_subjects = plan->subjects[0].kind == QUOTA_ACCOUNT ? 2 : 1;
	owner->subjects = mem_array(owner, struct quota_subject, 2);
	owner->subjects[0] = owner->subjects[1] = plan->subjects[0];
	owner->subjects[1].kind = QUOTA_SIGNS;
	owner->subjects[1].known_key = NULL;
	owner->subjects[1].key = mem_printf(owner, "%.*s%c%s",
	    (int)(rest - plan->subjects[0].key), plan->subjects[0].key, QUOTA_SIGNS, rest + 1);
	return owner;
}

/* quota_left_out - are accounts of a plan left out of the limits of such a party? */
bool
quota_left_out(const struct plan *plan, enum quota_subject_kind kind)
{
	return plan != NULL &&
	    plan->left_out & (kind == QUOTA_DOMAIN ? PLAN_LEFT_OUT_DOMAIN
		: kind == QUOTA_POOL ? PLAN_LEFT_OUT_POOL
		: kind == QUOTA_NETWORK ? PLAN_LEFT_OUT_NETWORK : 0);
}

/* quota_plan_make - list the counters that one message of account alone touches */
struct quota_plan *
quota_plan_make(TALLOC_CTX *ctx, const struct plan *plan, const char *account,
    const struct quota_cost *cost, bool observe_only, const uint8_t *id)
{
	const struct quota_party party = { .kind = QUOTA_ACCOUNT, .name = account, .plan = plan,
	    .on_over = plan != NULL ? plan->on_over : ACTION_ACCEPT };

	return quota_plan_of(ctx, &party, 1, cost, observe_only, id);
}

/* quota_plan_copy - a copy that shares nothing */
struct quota_plan *
quota_plan_copy(TALLOC_CTX *ctx, const struct quota_plan *plan)
{
	struct quota_plan *copy = mem_memdup(ctx, plan, sizeof(*plan));

	copy->account = mem_strdup(copy, plan->account);
	copy->home = mem_strdup(copy, plan->home);
	copy->hand_key = mem_strdup(copy, plan->hand_key);
	copy->subjects = mem_array(copy, struct quota_subject, plan->n_subjects);
	for (size_t i = 0; i < plan->n_subjects; i++) {
		copy->subjects[i].kind = plan->subjects[i].kind;
		copy->subjects[i].name = mem_strdup(copy, plan->subjects[i].name);
		copy->subjects[i].key = mem_strdup(copy, plan->subjects[i].key);
		if (plan->subjects[i].known_key != NULL)
			copy->subjects[i].known_key = mem_strdup(copy, plan->subjects[i].known_key);
	}
	copy->counters = mem_array(copy, struct quota_counter, plan->n_counters);
	for (size_t i = 0; i < plan->n_counters; i++) {
		copy->counters[i] = plan->counters[i];
		copy->counters[i].text = NULL;
		copy->counters[i].field = mem_strdup(copy, plan->counters[i].field);
	}
	if (plan->n_marks > 0)
		copy->marks = mem_memdup(copy, plan->marks, plan->n_marks * sizeof(plan->marks[0]));
	return copy;
}

/* quota_plan_blocks - the counter of the blocks of an account */
struct quota_plan *
quota_plan_blocks(TALLOC_CTX *ctx, const struct quota_plan *offence, int64_t now)
{
	struct quota_plan *asked = quota_plan_copy(ctx, offence);
	uint64_t hash = UINT64_C(14695981039346656037);
	uint64_t span = (uint64_t)now / BLOCKED_AT_ONCE_MS;

	for (const char *c = asked->account; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
	memcpy(asked->id, &hash, sizeof(hash));
	memcpy(asked->id + sizeof(hash), &span, sizeof(span));
	asked->n_marks = 0;
	asked->n_counters = 1;
	asked->counters[0] = (struct quota_counter){
		.unit = LIMIT_BLOCKS,
		.window_ms = QUOTA_BLOCK_MEMORY_MS,
		.field = limit_field(asked, LIMIT_BLOCKS, QUOTA_BLOCK_MEMORY_MS),
		.width_ms = window_width(QUOTA_BLOCK_MEMORY_MS),
		.max = LIMIT_MAX_COUNT,
		.cost = 1,
		.one = 1,
		.on_over = ACTION_WARN,
	};
	return asked;
}

/* quota_block_length - how long the nth block lasts */
int64_t
quota_block_length(int64_t for_ms, long grows, uint64_t nth)
{
	for (; grows > 1 && nth > 1 && for_ms < QUOTA_BLOCK_MEMORY_MS; nth--)
		for_ms *= grows;
	return for_ms < QUOTA_BLOCK_MEMORY_MS ? for_ms : QUOTA_BLOCK_MEMORY_MS;
}

/* keeps_out_longer - whether waiting a ms is worse than b ms; -1 is for ever */
static bool
keeps_out_longer(int64_t a, int64_t b)
{
	if (a < 0 || b < 0)
		return b >= 0;
	return a > b;
}

/* hit_counter - of a refused message: of the binding limits with the severest on_over that with the
 * longest wait */
static size_t
hit_counter(const struct quota_plan *plan, const struct quota_reply *reply)
{
	size_t hit = 0;
	int64_t worst = 0;

	for (size_t i = 0; i < plan->n_counters; i++) {
		int64_t wait = reply->counts[i].wait_ms;

		if (!plan->counters[i].binding || wait == 0)
			continue;
		if (worst != 0 && (plan->counters[i].on_over < plan->counters[hit].on_over ||
		    (plan->counters[i].on_over == plan->counters[hit].on_over &&
		    !keeps_out_longer(wait, worst))))
			continue;
		hit = i;
		worst = wait;
	}
	return hit;
}

/* fullness - the part of a limit that is used; more than 1 when it is exceeded */
static double
fullness(const struct quota_count *count)
{
	if (count->max == 0)
		return (double)count->used + 1.0;
	return (double)count->used / (double)count->max;
}

/* weight - what an exceeded limit does; a limit that is not exceeded, or binding (it was exceeded
 * by merging), does nothing */
static int
weight(const struct quota_counter *counter, const struct quota_count *count)
{
	return count->used > count->max && !counter->binding ? (int)counter->on_over + 1 : 0;
}

/* fullest_counter - the exceeded limit that does most, else the limit nearest to full */
static size_t
fullest_counter(const struct quota_plan *plan, const struct quota_reply *reply)
{
	size_t fullest = 0;
	double most = -1.0;
	int heaviest = 0;

	for (size_t i = 0; i < plan->n_counters; i++) {
		double part = fullness(&reply->counts[i]);
		int heavy = weight(&plan->counters[i], &reply->counts[i]);

		if (heavy < heaviest || (heavy == heaviest && part <= most))
			continue;
		fullest = i;
		most = part;
		heaviest = heavy;
	}
	return fullest;
}

/* quota_limit_text - the limit of a counter that is in force */
const char *
quota_limit_text(TALLOC_CTX *ctx, const struct quota_counter *counter,
    const struct quota_count *count)
{
	if (counter->text == NULL || count->raised_ms > 0)
		return limit_text(ctx, counter->unit, count->max, counter->window_ms);
	return mem_strdup(ctx, counter->text);
}

/* quota_find_limit - the counter of plan's account on the unit and window of limit */
const struct quota_counter *
quota_find_limit(const struct quota_plan *plan, const struct limit *limit)
{
	for (size_t i = 0; i < plan->n_counters; i++) {
		const struct quota_counter *counter = &plan->counters[i];

		if (counter->subject == 0 && counter->unit == limit->unit &&
		    counter->window_ms == limit->window_ms)
			return counter;
	}
	return NULL;
}

/* quota_party_named - whose limit it was */
const struct quota_party *
quota_party_named(const struct quota_party *parties, size_t n, const char *subject)
{
	if (subject == NULL)
		return n > 0 ? &parties[0] : NULL;
	for (size_t i = 0; i < n; i++) {
		const char *word = quota_kind_word(parties[i].kind);
		size_t len = strlen(word);

		if (parties[i].kind != QUOTA_ACCOUNT && strncmp(subject, word, len) == 0 &&
		    subject[len] == ' ' && strcmp(subject + len + 1, parties[i].name) == 0)
			return &parties[i];
	}
	return NULL;
}

/* quota_name_limit - name one limit in the fact */
void
quota_name_limit(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct quota_reply *reply,
    size_t i, struct quota_fact *fact)
{
	const struct quota_subject *subject = &plan->subjects[plan->counters[i].subject];

	fact->limit = quota_limit_text(ctx, &plan->counters[i], &reply->counts[i]);
	fact->used = reply->counts[i].used;
	fact->max = reply->counts[i].max;
	fact->on_over = plan->counters[i].on_over;
	fact->level = plan->counters[i].level;
	fact->subject = quota_subject_text(ctx, subject->kind, subject->name);
}

/* seconds - milliseconds to whole seconds, rounded up, 1 at least */
static uint32_t
seconds(int64_t ms)
{
	int64_t s = ms / 1000 + (ms % 1000 > 0);

	if (s < 1)
		return 1;
	return s > (int64_t)UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

/* judge_refused - a binding limit kept the message out */
static void
judge_refused(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct quota_reply *reply,
    struct quota_fact *fact)
{
	size_t hit = hit_counter(plan, reply);

	fact->outcome = OUTCOME_FAIL;
	quota_name_limit(ctx, plan, reply, hit, fact);
	if (reply->counts[hit].wait_ms >= 0)
		fact->retry_after = seconds(reply->counts[hit].wait_ms);
	else if (reply->counts[hit].max == 0)
		fact->problem = mem_strdup(ctx, "the limit lets nothing pass");
	else
		fact->problem =
		    mem_printf(ctx, "this message alone (%" PRIu64 ") is larger than the limit",
			reply->counts[hit].cost);
}

/* judge_charged - the message was counted; what it exceeds was only observed */
static void
judge_charged(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct quota_reply *reply,
    struct quota_fact *fact)
{
	size_t fullest = fullest_counter(plan, reply);

	fact->outcome = OUTCOME_PASS;
	fact->charged = true;
	for (size_t i = 0; i < plan->n_counters; i++)
		if (plan->counters[i].unit == LIMIT_NEW && reply->counts[i].cost > fact->fresh)
			fact->fresh = reply->counts[i].cost;
	quota_name_limit(ctx, plan, reply, fullest, fact);
	if (fact->used <= fact->max || plan->counters[fullest].binding)
		return;
	if (fact->on_over == ACTION_QUARANTINE && !plan->observe_only)
		fact->outcome = OUTCOME_FAIL;
	else
		fact->observed_over = true;
}

/* quota_block_fact - a block as the fact that the verdict reads */
void
quota_block_fact(TALLOC_CTX *ctx, const struct quota_block *block, struct quota_fact *fact)
{
	fact->blocked = true;
	fact->block_reason = mem_strdup(ctx, block->reason);
	if (!fact->charged)
		fact->retry_after = block->left_ms < 0 ? 0 : seconds(block->left_ms);
}

/* judge_state - by what came of the asking */
static void
judge_state(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct quota_reply *reply,
    struct quota_fact *fact_r)
{
	switch (reply->state) {
	case QUOTA_NONE:
		fact_r->outcome = OUTCOME_NONE;
		return;
	case QUOTA_UNKNOWN:
		fact_r->outcome = OUTCOME_TEMPERROR;
		return;
	case QUOTA_REFUSED:
		if (reply->counts != NULL)
			judge_refused(ctx, plan, reply, fact_r);
		fact_r->outcome = OUTCOME_FAIL;
		return;
	case QUOTA_CHARGED:
		judge_charged(ctx, plan, reply, fact_r);
		return;
	case QUOTA_READ:
		fact_r->outcome = OUTCOME_PASS;
		if (plan->n_counters > 0)
			quota_name_limit(ctx, plan, reply, fullest_counter(plan, reply), fact_r);
		return;
	}
}

/* quota_judge - turn the answer into the fact that the verdict reads */
void
quota_judge(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct quota_reply *reply,
    struct quota_fact *fact_r)
{
	memset(fact_r, 0, sizeof(*fact_r));
	fact_r->account = mem_strdup(ctx, plan->account);
	if (reply->store != NULL)
		fact_r->store = mem_strdup(ctx, reply->store);
	if (reply->problem != NULL)
		fact_r->problem = mem_strdup(ctx, reply->problem);
	judge_state(ctx, plan, reply, fact_r);
	if (reply->block != NULL)
		quota_block_fact(ctx, reply->block, fact_r);
}

/* at_mark - whether used is at percent of max or beyond */
static bool
at_mark(uint64_t used, uint64_t max, unsigned int percent)
{
	/* used and max are below 2^53 + 2^53 and percent at most 100: no overflow. */
	return used * 100 >= max * percent;
}

/* crosses_mark - whether a charge took a counter to its mark */
static bool
crosses_mark(const struct quota_counter *counter, const struct quota_count *count)
{
	uint64_t before = count->used > count->cost ? count->used - count->cost : 0;

	return counter->warn_at > 0 && at_mark(count->used, count->max, counter->warn_at) &&
	    !at_mark(before, count->max, counter->warn_at);
}

/* quota_marks - the limits whose mark this charge has just crossed */
size_t
quota_marks(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct quota_reply *reply,
    struct quota_mark **marks_r)
{
	size_t n = 0;

	*marks_r = NULL;
	if (reply->state != QUOTA_CHARGED)
		return 0;
	for (size_t i = 0; i < plan->n_counters && i < reply->n_counts; i++) {
		const struct quota_counter *counter = &plan->counters[i];

		if (!crosses_mark(counter, &reply->counts[i]))
			continue;
		if (*marks_r == NULL)
			*marks_r = mem_array(ctx, struct quota_mark, plan->n_counters);
		(*marks_r)[n++] = (struct quota_mark){
			.limit = quota_limit_text(ctx, counter, &reply->counts[i]),
			.subject = quota_subject_text(ctx, plan->subjects[counter->subject].kind,
			    plan->subjects[counter->subject].name),
			.percent = counter->warn_at,
			.on_over = counter->on_over,
		};
	}
	return n;
}

/* quota_one_wait - how long the account is over whatever it sends */
int64_t
quota_one_wait(const struct quota_plan *plan, const struct quota_reply *reply, size_t *fullest_r)
{
	int64_t worst = 0;
	size_t fullest = 0;

	for (size_t i = 0; i < plan->n_counters && i < reply->n_counts; i++) {
		int64_t wait = reply->counts[i].one_ms;

		if (!plan->counters[i].binding || !keeps_out_longer(wait, worst))
			continue;
		fullest = i;
		worst = wait;
	}
	if (fullest_r != NULL)
		*fullest_r = fullest;
	return worst;
}

/* quota_foretold - make a charge of counts that were read */
void
quota_foretold(const struct quota_plan *plan, bool refuse, struct quota_reply *reply)
{
	for (size_t i = 0; refuse && i < reply->n_counts; i++)
		if (plan->counters[i].binding && reply->counts[i].wait_ms != 0) {
			reply->state = QUOTA_REFUSED;
			return;
		}
	reply->state = QUOTA_CHARGED;
	for (size_t i = 0; i < reply->n_counts; i++) {
		reply->counts[i].used += reply->counts[i].cost;
		reply->counts[i].wait_ms = reply->counts[i].one_ms = reply->counts[i].next_ms = 0;
	}
}

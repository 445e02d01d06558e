/*
 * quota_command.c - a plan as a run of filter/store/quota.lua, and the script's answer
 *
 * Only what must lie in the plan's slot travels as KEYS; all else as ARGV, so that Cluster and key
 * patterns of an ACL see keys only. The counters are one argument, which quick.lua describes: Redis
 * and the script spend more on many short arguments than on a long one. Answers come from a server
 * that may be anything, so their shape is checked whole.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "filter/store/quota_command.h"
#include "policy/base/mem.h"
#include "policy/quota/window.h"

static const char *const op_names[] = {
	[QUOTA_OP_CHARGE] = "charge",
	[QUOTA_OP_READ] = "read",
	[QUOTA_OP_MERGE] = "merge",
	[QUOTA_OP_VOID] = "void",
	[QUOTA_OP_RESET] = "reset",
	[QUOTA_OP_BLOCK] = "block",
	[QUOTA_OP_UNBLOCK] = "unblock",
	[QUOTA_OP_RAISE] = "raise",
	[QUOTA_OP_UNRAISE] = "unraise",
};

#define FIXED_ARGS	6	/* ARGV but for the words of quota_command_by_hand() */
#define PLAN_HEAD	3	/* octets of a packed plan before its counters */
#define PLAN_COUNTER	41	/* octets of each counter */
#define QUICK_COUNTERS	16	/* most counters of a plan for quick.lua */
#define QUICK_DIGITS	15	/* most of the time in its answer */
#define QUICK_COUNTER	19	/* octets of each counter behind that: */
#define QUICK_USED	5	/* where its total is, */
#define USED_LEN	7	/* and of how many octets */
#define COUNTER_ANSWERS	5	/* numbers of each counter in the answer */
#define MARK_LEN	8	/* octets of a mark */

/* quota_command_push - one more argument */
void
quota_command_push(struct quota_command *command, const char *text)
{
	command->argv[command->argc] = text;
	command->argv_len[command->argc++] = strlen(text);
}

/* quota_command_push_number - one more argument, written out */
void
quota_command_push_number(struct quota_command *command, int64_t number)
{
	quota_command_push(command, mem_printf(command->argv, "%" PRId64, number));
}

/* id_key - the key that remembers a charge */
static const char *
id_key(struct quota_command *command, const char *prefix, const struct quota_plan *plan)
{
	static const char hex[] = "0123456789abcdef";
	char text[2 * QUOTA_ID_LEN + 1];

	for (size_t i = 0; i < QUOTA_ID_LEN; i++) {
		text[2 * i] = hex[plan->id[i] >> 4];
		text[2 * i + 1] = hex[plan->id[i] & 15];
	}
	text[2 * QUOTA_ID_LEN] = '\0';
	return mem_printf(command->argv, "%s{%s}:i:%s", prefix, plan->home, text);
}

/* n_known - how many subjects remember whom they wrote to, of the first n */
static size_t
n_known(const struct quota_plan *plan, size_t n)
{
	size_t known = 0;

	for (size_t i = 0; i < n; i++)
		if (plan->subjects[i].known_key != NULL)
			known++;
	return known;
}

/* windows_key - the key of an account's windows: "{HOME}:w:NAME"; NULL if there is no account */
static char *
windows_key(struct quota_command *command, const char *prefix, const struct quota_plan *plan)
{
	const struct quota_subject *subject = &plan->subjects[0];
	char *key, *end;

	if (plan->n_subjects == 0 || subject->kind != QUOTA_ACCOUNT)
		return NULL;
	key = mem_printf(command->argv, "%s%s", prefix, subject->key);
	end = strstr(key + strlen(prefix), "}:a:");
	if (end == NULL)
		return NULL;
	end[2] = 'w';
	return key;
}

/* push_keys - the number of keys, and the keys */
static void
push_keys(struct quota_command *command, const char *prefix, const struct quota_plan *plan)
{
	const char *windows = windows_key(command, prefix, plan);

	quota_command_push_number(command,
	    (int64_t)(plan->n_subjects + n_known(plan, plan->n_subjects)) + 2 + (windows != NULL));
	quota_command_push(command, id_key(command, prefix, plan));
	quota_command_push(command, mem_printf(command->argv, "%s%s", prefix, plan->hand_key));
	for (size_t i = 0; i < plan->n_subjects; i++)
		quota_command_push(
		    command, mem_printf(command->argv, "%s%s", prefix, plan->subjects[i].key));
	for (size_t i = 0; i < plan->n_subjects; i++)
		if (plan->subjects[i].known_key != NULL)
			quota_command_push(command,
			    mem_printf(command->argv, "%s%s", prefix, plan->subjects[i].known_key));
	if (windows != NULL)
		quota_command_push(command, windows);
}

/* quota_command_put_mark - a mark as octets, the highest first, so that they sort as the numbers
 * do */
static void
quota_command_put_mark(char *to, uint64_t mark)
{
	for (size_t i = 0; i < MARK_LEN; i++)
		to[i] = (char)(mark >> (8 * (MARK_LEN - 1 - i)) & 0xff);
}

/* push_marks - those of the recipients, and that of the thing of each counter */
static void
push_marks(struct quota_command *command, const struct quota_plan *plan)
{
	size_t len = plan->n_marks * MARK_LEN, things = 0;
	char *octets = mem_array(
	    command->argv, char, len + plan->n_counters * MARK_LEN + 1);

	for (size_t i = 0; i < plan->n_marks; i++)
		quota_command_put_mark(octets + i * MARK_LEN, plan->marks[i]);
	for (size_t i = 0; i < plan->n_counters; i++)
		if (limit_is_distinct(plan->counters[i].unit))
			quota_command_put_mark(
			    octets + len + things++ * MARK_LEN, plan->counters[i].mark);
	command->argv[command->argc] = octets;
	command->argv_len[command->argc++] = len;
	command->argv[command->argc] = octets + len;
	command->argv_len[command->argc++] = things * MARK_LEN;
}

/* kind_of - what kind of counter it is, as quick.lua distinguishes them */
static unsigned char
kind_of(const struct quota_plan *plan, const struct quota_counter *counter)
{
	if (limit_is_distinct(counter->unit))
		return 1;
	if (counter->unit == LIMIT_NEW)
		return (unsigned char)(3 + plan->n_subjects + n_known(plan, counter->subject));
	return 0;
}

/* quota_command_put_octets - the n lowest octets of a number, the lowest first */
static unsigned char *
quota_command_put_octets(unsigned char *to, uint64_t number, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*to++ = (unsigned char)(number >> (8 * i) & 0xff);
	return to;
}

/* put_double - a number as an IEEE 754 double */
static unsigned char *
put_double(unsigned char *to, int64_t number)
{
	double value = (double)number;
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return quota_command_put_octets(to, bits, sizeof(bits));
}

/* push_plan - the counters, as quick.lua describes them */
static void
push_plan(struct quota_command *command, const struct quota_plan *plan)
{
	const struct quota_counter *end = plan->counters + plan->n_counters;
	size_t len = PLAN_HEAD + PLAN_COUNTER * plan->n_counters;
	unsigned char *octets = mem_array(command->argv, unsigned char, len), *to = octets;

	to = quota_command_put_octets(to, plan->n_counters, 2);
	*to++ = plan->block_binds;
	for (const struct quota_counter *c = plan->counters; c < end; c++) {
		*to++ = (unsigned char)limit_unit_letter(c->unit);
		to = quota_command_put_octets(to, (uint64_t)c->window_ms, 5);
	}
	for (const struct quota_counter *c = plan->counters; c < end; c++) {
		to = put_double(to, c->width_ms);
		to = put_double(to, (int64_t)c->max);
		to = put_double(to, (int64_t)c->cost);
		*to++ = (unsigned char)(c->subject + 1);
		*to++ = (unsigned char)(c->binding + 2 * c->level);
		*to++ = kind_of(plan, c);
	}
	for (const struct quota_counter *c = plan->counters; c < end; c++)
		to = put_double(to, (int64_t)c->one);
	command->argv[command->argc] = (const char *)octets;
	command->argv_len[command->argc++] = len;
}

/* is_quick - whether quick.lua may charge a plan: an account and others with windows, of what a
 * message costs; *alone_r: an account alone, whatever its recipients */
static bool
is_quick(const struct quota_plan *plan, bool *alone_r)
{
	*alone_r = true;
	if (plan->subjects[0].kind != QUOTA_ACCOUNT || plan->n_counters == 0 ||
	    plan->n_counters > QUICK_COUNTERS)
		return false;
	for (size_t i = 0; i < plan->n_counters; i++) {
		const struct quota_counter *counter = &plan->counters[i];

		if (limit_is_distinct(counter->unit) || counter->level)
			return false;
		*alone_r = *alone_r && counter->subject == 0 && counter->unit != LIMIT_NEW;
	}
	return true;
}

/* push_rest - what follows the plan: the time, the operation, and what it needs */
static void
push_rest(struct quota_command *command, const char *op, const struct quota_plan *plan,
    const int64_t *now, int64_t said)
{
	if (now != NULL)
		quota_command_push_number(command, *now);
	else
		quota_command_push(command, "");
	quota_command_push(command, op);
	quota_command_push_number(command, said);
	push_marks(command, plan);
}

/* quota_command_begin - a run with room for n arguments after the fixed ones; keys and plan */
static struct quota_command *
quota_command_begin(TALLOC_CTX *ctx, const char *prefix, const char *digest,
    const struct quota_plan *plan, size_t n)
{
	struct quota_command *command = mem_new(ctx, struct quota_command);

	n += 3 + 3 + 2 * plan->n_subjects + FIXED_ARGS;
	command->argv = mem_array(command, const char *, n);
	command->argv_len = mem_array(command, size_t, n);
	quota_command_push(command, "EVALSHA");
	quota_command_push(command, digest);
	push_keys(command, prefix, plan);
	push_plan(command, plan);
	return command;
}

/* quota_command_make - the arguments of one run */
struct quota_command *
quota_command_make(TALLOC_CTX *ctx, const char *prefix, const char *digest, enum quota_op op,
    const struct quota_plan *plan, const int64_t *now, int64_t age_ms)
{
	struct quota_command *command = quota_command_begin(ctx, prefix, digest, plan, 0);
	bool alone = false, quick = op == QUOTA_OP_CHARGE && is_quick(plan, &alone);

	if (!quick || !alone)
		push_rest(command, quick ? "quick" : op_names[op], plan, now,
		    op == QUOTA_OP_RESET ? (int64_t)plan->n_subjects : age_ms);
	else if (now != NULL)
		quota_command_push_number(command, *now);
	return command;
}

/* quota_command_by_hand - the same for what operators set */
struct quota_command *
quota_command_by_hand(TALLOC_CTX *ctx, const char *prefix, const char *digest, enum quota_op op,
    const struct quota_plan *plan, const int64_t *now, int64_t stamp, const char *const *words,
    size_t n)
{
	struct quota_command *command = quota_command_begin(ctx, prefix, digest, plan, n);

	push_rest(command, op_names[op], plan, now, stamp);
	for (size_t i = 0; i < n; i++)
		quota_command_push(command, words[i]);
	return command;
}

/* all_integers - whether an answer is a list of integers, n of them, or more by threes */
static bool
all_integers(const struct redisReply *answer, size_t n)
{
	if (answer->type != REDIS_REPLY_ARRAY || answer->elements < n ||
	    (answer->elements - n) % 3 != 0)
		return false;
	for (size_t i = 0; i < answer->elements; i++)
		if (answer->element[i]->type != REDIS_REPLY_INTEGER)
			return false;
	return true;
}

/* state_of - the script's number for what it did */
static enum quota_state
state_of(long long number)
{
	switch (number) {
	case 0:
		return QUOTA_REFUSED;
	case 1:
	case 2:
		return QUOTA_CHARGED;
	case 4:
		return QUOTA_READ;
	default:
		return QUOTA_UNKNOWN;
	}
}

/* bounded - a number of an answer, small enough to be computed with */
static int64_t
bounded(const struct redisReply *number, int64_t min, int64_t max)
{
	return number->integer < min ? min : number->integer > max ? max : number->integer;
}

/* read_blocked - "refused, the account is blocked"; false when the answer is another one */
static bool
read_blocked(TALLOC_CTX *ctx, const struct redisReply *answer, struct quota_reply *reply,
    int64_t *stamp_r)
{
	struct redisReply **at = answer->element;
	struct quota_block *block;

	if (answer->type != REDIS_REPLY_ARRAY || answer->elements != 4 ||
	    at[0]->type != REDIS_REPLY_INTEGER || at[0]->integer != 5 ||
	    at[1]->type != REDIS_REPLY_INTEGER || at[2]->type != REDIS_REPLY_INTEGER ||
	    at[3]->type != REDIS_REPLY_STRING)
		return false;
	block = mem_new(ctx, struct quota_block);
	block->left_ms = bounded(at[2], -1, LIMIT_MAX_COUNT);
	block->reason = mem_strdup(ctx, at[3]->str);
	reply->state = QUOTA_REFUSED;
	reply->block = block;
	*stamp_r = bounded(at[1], 0, LIMIT_MAX_COUNT);
	return true;
}

/* read_raised - the limits that are raised, after all counters */
static void
read_raised(const struct redisReply *answer, size_t from, struct quota_reply *reply)
{
	for (size_t i = from; i + 2 < answer->elements; i += 3) {
		long long counter = answer->element[i]->integer;

		if (counter < 0 || (size_t)counter >= reply->n_counts)
			continue;
		reply->counts[counter].max =
		    (uint64_t)bounded(answer->element[i + 1], 0, LIMIT_MAX_COUNT);
		reply->counts[counter].raised_ms =
		    bounded(answer->element[i + 2], 0, LIMIT_MAX_COUNT);
	}
}

/* quota_command_read_octets - a number of n octets, the lowest first */
static uint64_t
quota_command_read_octets(const char *from, size_t n)
{
	uint64_t number = 0;

	while (n-- > 0)
		number = number << 8 | (unsigned char)from[n];
	return number;
}

/* read_quick - "charged by quick.lua": the time in digits, then the windows as they are now; each
 * counter cost what was asked, and no recipient is new; false when the answer is another one */
static bool
read_quick(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct redisReply *answer,
    struct quota_reply *reply, int64_t *stamp_r)
{
	size_t digits = 0;

	if (answer->type != REDIS_REPLY_STRING ||
	    answer->len < QUICK_COUNTER * plan->n_counters)
		return false;
	digits = answer->len - QUICK_COUNTER * plan->n_counters;
	if (digits == 0 || digits > QUICK_DIGITS || strspn(answer->str, "0123456789") < digits)
		return false;
	*stamp_r = 0;
	for (size_t i = 0; i < digits; i++)
		*stamp_r = 10 * *stamp_r + (answer->str[i] - '0');
	reply->state = QUOTA_CHARGED;
	reply->n_counts = plan->n_counters;
	reply->counts = mem_array(ctx, struct quota_count, plan->n_counters);
	for (size_t i = 0; i < plan->n_counters; i++) {
		const char *at = answer->str + digits + QUICK_COUNTER * i;
		uint64_t used = quota_command_read_octets(at + QUICK_USED, USED_LEN);

		reply->counts[i].used = used > LIMIT_MAX_COUNT ? LIMIT_MAX_COUNT : used;
		if (plan->counters[i].unit != LIMIT_NEW)
			reply->counts[i].cost = plan->counters[i].cost;
		reply->counts[i].max = plan->counters[i].max;
	}
	return true;
}

/* quota_command_read - the script's answer */
int
quota_command_read(TALLOC_CTX *ctx, const struct quota_plan *plan, const struct redisReply *answer,
    struct quota_reply *reply_r, int64_t *stamp_r)
{
	memset(reply_r, 0, sizeof(*reply_r));
	if (read_quick(ctx, plan, answer, reply_r, stamp_r) ||
	    read_blocked(ctx, answer, reply_r, stamp_r))
		return 0;
	if (!all_integers(answer, 2 + COUNTER_ANSWERS * plan->n_counters)) {
		reply_r->state = QUOTA_UNKNOWN;
		return -1;
	}
	reply_r->state = state_of(answer->element[0]->integer);
	*stamp_r = bounded(answer->element[1], 0, LIMIT_MAX_COUNT);
	reply_r->n_counts = plan->n_counters;
	reply_r->counts = mem_array(ctx, struct quota_count, plan->n_counters);
	for (size_t i = 0; i < plan->n_counters; i++) {
		struct redisReply **at = &answer->element[2 + COUNTER_ANSWERS * i];

		reply_r->counts[i].used = (uint64_t)bounded(at[0], 0, LIMIT_MAX_COUNT);
		reply_r->counts[i].wait_ms = bounded(at[1], -1, LIMIT_MAX_COUNT);
		reply_r->counts[i].one_ms = bounded(at[2], -1, LIMIT_MAX_COUNT);
		reply_r->counts[i].next_ms = bounded(at[3], 0, LIMIT_MAX_COUNT);
		reply_r->counts[i].cost = (uint64_t)bounded(at[4], 0, LIMIT_MAX_COUNT);
		reply_r->counts[i].max = plan->counters[i].max;
	}
	read_raised(answer, 2 + COUNTER_ANSWERS * plan->n_counters, reply_r);
	return 0;
}

/* quota_command_done - how many things were changed */
int
quota_command_done(const struct redisReply *answer, bool *late_r, int64_t *now_r)
{
	long long state = all_integers(answer, 3) ? answer->element[0]->integer : -1;

	if (state != 6 && state != 7)
		return -1;
	*late_r = state == 7;
	*now_r = answer->element[1]->integer;
	return (int)answer->element[2]->integer;
}

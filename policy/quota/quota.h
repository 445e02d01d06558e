/*
 * quota.h - which counters a message touches, and what their totals mean
 *
 * The two pure halves around the store (filter/store/store.h):
 *
 *	quota_plan_make() -> store_charge() -> quota_judge()
 *
 * Binding and observed. A limit is binding when being over it stops the message
 * before it is charged. It is only observed when the message passes or is held
 * anyway: the caller asked to observe (mode watch), or the plan's on_over is
 * accept, warn or quarantine. Observed limits are charged past their size.
 *
 * Signs. What block_on counts of an account is a subject of its own, because a limit on the same
 * unit and window counts otherwise: only what passes, and up to another bound.
 *
 * Parties. A message is charged to its account, to the account's domain if that has a
 * plan, to its pool (a customer's accounts together), and to the client's network.
 *
 * Keys. All counters of one subject are one key, "{HOME}:a:NAME", with HOME and NAME
 * percent-encoded. HOME is the hash tag shared by all keys of a message, so that they live in
 * one slot of a Redis Cluster: that of the pool, if there is one with a plan, else of the
 * domain likewise, else of the account itself. Only a network's key has a home of its own. Limit
 * values are no part of keys or fields, so they may change without losing counts.
 *
 * Pure. Threads: no state; a struct belongs to one thread at a time.
 */
#ifndef POLICY_QUOTA_QUOTA_H
#define POLICY_QUOTA_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/base/facts.h"
#include "policy/quota/limit.h"

#define QUOTA_ID_LEN	16	/* octets of a charge id */

/* Bits of struct plan. */
#define PLAN_LEFT_OUT_DOMAIN	1U
#define PLAN_LEFT_OUT_POOL	2U
#define PLAN_LEFT_OUT_NETWORK	4U

/* What a block by block_on does with mail. */
enum plan_block {
	PLAN_BLOCK_REFUSE,	/* as on_blocked says */
	PLAN_BLOCK_HOLD,	/* all of it waits in the MTA's hold queue; limits count */
	PLAN_BLOCK_SLOW		/* a message in PLAN_SLOW_MS passes, the others are deferred */
};
#define PLAN_SLOW_MS	INT64_C(300000)

/* Blocks are remembered for so long, and last no longer. */
#define QUOTA_BLOCK_MEMORY_MS	(INT64_C(30) * 24 * 3600 * 1000)

/*
 * A plan as configured. The has_ members say what the administrator wrote; the
 * others are inherited from `like` by quota_plans_resolve(), else stay at their default.
 */
struct plan {
	const char *name;
	const char *where;		/* file:line, for errors; or NULL */
	const char *like;		/* name of the plan to inherit from, or NULL */
	struct limit *limits;
	size_t n_limits;
	enum action on_over;		/* default ACTION_TEMPFAIL */
	size_t max_recipients;		/* of one message; 0: no bound. Not checked here */
	uint64_t max_size; /* of one message in octets; 0: no bound. Not checked here */
	unsigned int warn_at;		/* percent of a limit, 1..100; 0: no warning */
	struct limit *block_on;		/* more than any of them blocks the account */
	size_t n_block_on;
	long block_for_ms;		/* ... for so long; 0: not said */
	long block_grows;		/* each further one is so many times longer; 0: not said */
	enum plan_block block_action;	/* what it does with mail */
	unsigned int left_out; /* PLAN_LEFT_OUT_...: of whose limits its accounts are no part */
	bool has_left_out;
	bool has_limits;		/* an empty list is a list: nothing is counted */
	bool has_on_over;
	bool has_max_recipients;
	bool has_max_size;
	bool has_warn_at;
	bool has_block_on;
	bool has_block_action;
};

/*
 * quota_plans_resolve - let each plan inherit from the one it is like
 * plans is an array of n; what is inherited is shared, not copied. Returns 0, or -1,
 * *culprit_r (the index of a plan) and *error_r (on ctx) for an unknown name, a circle, or a name
 * given twice.
 */
int quota_plans_resolve(TALLOC_CTX *ctx, struct plan *plans, size_t n, size_t *culprit_r,
    const char **error_r);

/* A thing that a unit counts (limit_is_distinct()). */
struct quota_thing {
	bool known;
	uint64_t mark;		/* keyed as those of recipients */
};

/* What one message costs. The first three count as 1 at least. */
struct quota_cost {
	uint64_t messages;
	uint64_t recipients;
	uint64_t bytes;
	uint64_t external;	/* of the recipients, those outside our own domains */
	const uint64_t *marks;	/* one for each recipient (recent.h), keyed with quota_home(); */
	size_t n_marks;		/* only if quota_counts() LIMIT_NEW */
	struct quota_thing things[LIMIT_LAST + 1]; /* by unit; what message or event shows of it */
};

/* Kinds of subjects; the letter in the key. */
enum quota_subject_kind {
	QUOTA_ACCOUNT = 'a',
	QUOTA_DOMAIN = 'd',
	QUOTA_POOL = 'p',
	QUOTA_NETWORK = 'n',
	QUOTA_SIGNS = 'b'	/* what block_on counts of an account, apart from its limits */
};

/* Somebody whom a message is charged to. */
struct quota_party {
	enum quota_subject_kind kind;
	const char *name;
	const struct plan *plan;	/* NULL: no limits */
	enum action on_over;		/* in force; else that of plan */
};

/* Who is counted. */
struct quota_subject {
	enum quota_subject_kind kind;
	const char *name;	/* as given */
	const char *key;	/* without the store's prefix */
	const char *known_key;	/* remembers who was written to; NULL: no counter of LIMIT_NEW */
};

/* One limit of one subject, as the store needs it. */
struct quota_counter {
	const char *text;	/* the limit as written; NULL in a copy (quota_plan_copy) */
	enum limit_unit unit;
	int64_t window_ms;	/* as the limit says */
	size_t subject;		/* index into subjects; counters are in this order */
	const char *field;	/* names the window within the subject's key: "r3600000.48" */
	int64_t width_ms;	/* of a bucket (window.h) */
	uint64_t max;
	uint64_t cost;		/* of this message, 0 .. LIMIT_MAX_COUNT; for LIMIT_NEW and
				 * different things the most it may be, as the store alone knows */
	uint64_t mark;		/* of the thing, if the unit counts different ones and cost is 1 */
	uint64_t one;		/* of the smallest message: one recipient, written to before */
	enum action on_over;
	unsigned int warn_at;	/* percent, 0: no warning */
	bool binding;
	bool level;		/* limit_is_level(): while used is over max, no message passes */
};

/* What a message asks of the store. */
struct quota_plan {
	const char *account;	/* as given */
	const char *home;	/* the hash tag, percent-encoded */
	uint64_t recipients;	/* of the message */
	uint8_t id[QUOTA_ID_LEN]; /* names this charge; asked twice, charged once */
	struct quota_subject *subjects;
	size_t n_subjects;
	struct quota_counter *counters;
	size_t n_counters;	/* 0: nothing to ask */
	const uint64_t *marks;	/* of the recipients */
	size_t n_marks;
	bool observe_only;	/* as given */
	bool block_binds;	/* a blocked account is refused; else its block is only reported.
				 * false; for the caller to set */
	const char
	    *hand_key; /* what operators set: a block, raised limits; without the store's prefix */
};

/*
 * quota_home - the name of the home that parties share; one of theirs. parties[0] is the account
 */
const char *quota_home(const struct quota_party *parties, size_t n);

/*
 * quota_party_named - whose limit it was
 * subject: as in quota_fact; NULL for the account, which is parties[0]. Returns NULL if it is
 * none of these.
 */
const struct quota_party *quota_party_named(
    const struct quota_party *parties, size_t n, const char *subject);

/* quota_left_out - whether accounts of plan (may be NULL) are left out of the limits of a kind of
 * party */
bool quota_left_out(const struct plan *plan, enum quota_subject_kind kind);

/* quota_counts - whether some limit of some party counts unit */
bool quota_counts(const struct quota_party *parties, size_t n, enum limit_unit unit);

/* quota_plan_counts - whether limits or block_on of a plan (or NULL) count unit */
bool quota_plan_counts(const struct plan *plan, enum limit_unit unit);

/* quota_watches - whether block_on of the first party, the account, or a limit of some party counts
 * unit */
bool quota_watches(const struct quota_party *parties, size_t n, enum limit_unit unit);

/*
 * quota_plan_of - list the counters that one message of n parties touches
 * parties[0] is the account. Each party's limits are binding or observed by its own on_over; the
 * rest is as for quota_plan_make().
 */
struct quota_plan *quota_plan_of(TALLOC_CTX *ctx, const struct quota_party *parties, size_t n,
    const struct quota_cost *cost, bool observe_only, const uint8_t *id);

/*
 * quota_plan_offence - the counter that decides whether the account is to be blocked
 * Charges limit (one of a plan's block_on), observed: the thing in cost, its new recipients, or
 * one. *ctx owns the result.
 */
struct quota_plan *quota_plan_offence(TALLOC_CTX *ctx, const struct quota_party *parties, size_t n,
    const struct limit *limit, const struct quota_cost *cost, const uint8_t *id);

/*
 * quota_plan_event - the counters of all limits of the parties that count unit, a level
 * window_ms: of those with this window; 0: of any. Charges each as quota_plan_offence() does.
 * n_counters 0: there are none. *ctx owns the result.
 */
struct quota_plan *quota_plan_event(TALLOC_CTX *ctx, const struct quota_party *parties, size_t n,
    enum limit_unit unit, int64_t window_ms, const struct quota_cost *cost, const uint8_t *id);

/*
 * quota_plan_owner - the owner of plan alone, without counters; of an account with its signs
 * *ctx owns the result, which points into plan.
 */
struct quota_plan *quota_plan_owner(TALLOC_CTX *ctx, const struct quota_plan *plan);

/*
 * quota_plan_blocks - the counter of the blocks of the account of offence
 * Charges one, observed; several filters that block at once (now, UNIX time in milliseconds) count
 * one. *ctx owns the result.
 */
struct quota_plan *quota_plan_blocks(
    TALLOC_CTX *ctx, const struct quota_plan *offence, int64_t now);

/* quota_block_length - for_ms, times grows for each block before the nth (from 1), bounded */
int64_t quota_block_length(int64_t for_ms, long grows, uint64_t nth);

/*
 * quota_plan_make - list the counters that one message of account alone touches
 * ctx owns the result, which points to nothing else but the limits' texts in plan: those
 * must live as long. plan may be NULL (no limits). id is 16 random octets, new for each
 * message, or NULL for plans that are only read or reset. observe_only turns all limits
 * into observed ones. Never NULL.
 */
struct quota_plan *quota_plan_make(TALLOC_CTX *ctx, const struct plan *plan,
    const char *account, const struct quota_cost *cost, bool observe_only,
    const uint8_t *id);

/*
 * quota_plan_copy - a copy on ctx that shares nothing with plan; texts are left out
 */
struct quota_plan *quota_plan_copy(TALLOC_CTX *ctx, const struct quota_plan *plan);

/* What came of the asking. */
enum quota_state {
	QUOTA_NONE,		/* no counters: nothing was asked */
	QUOTA_CHARGED,		/* every counter was charged (now, or before under the same id) */
	QUOTA_REFUSED,		/* a binding limit would be exceeded; nothing was charged */
	QUOTA_READ,		/* the answer of store_read */
	QUOTA_UNKNOWN		/* the store could not be asked and nothing is known */
};

/* One counter's answer. */
struct quota_count {
	uint64_t used;		/* in the window, with this message if charged */
	int64_t wait_ms;	/* until this message's cost would fit; 0 now, -1 never */
	int64_t one_ms;		/* until the smallest message would fit; 0 now, -1 never */
	int64_t next_ms;	/* until some of what is used leaves; 0 when nothing is used */
				/* the three times are 0 if state is QUOTA_CHARGED */
	uint64_t cost;		/* what the message cost, or would have */
	uint64_t max;		/* the limit in force: the counter's, or the one raised by hand */
	int64_t raised_ms;	/* for how long it is still raised; 0: it is not */
};

/* The account is blocked. */
struct quota_block {
	const char *reason;
	int64_t left_ms;	/* for how long; -1: until it is unblocked */
};

/* The store's answer. */
struct quota_reply {
	enum quota_state state;
	struct quota_count *counts; /* one for each counter of the plan; NULL for NONE, UNKNOWN
				 * and for an account refused because it is blocked */
	size_t n_counts;
	const struct quota_block *block; /* or NULL */
	const char *store;	/* static text: "redis", "embedded", "local" (Redis is away) */
	const char *problem;	/* for the log when the store failed, else NULL. Also set with
				 * CHARGED and REFUSED if the answer is local */
};

/*
 * quota_judge - turn the answer into the fact that the verdict reads
 *
 *	NONE	no limits			outcome NONE
 *	CHARGED	under all limits		PASS, charged
 *	CHARGED	over, on_over is quarantine	FAIL, charged
 *	CHARGED	over, otherwise observed	PASS, charged, observed_over
 *	REFUSED					FAIL, retry_after
 *	REFUSED, the account is blocked		FAIL, blocked, retry_after (0: until it is
 *unblocked) CHARGED, the account is blocked		as above, and blocked UNKNOWN
 *TEMPERROR, problem
 *
 * The limit named is the one that is exceeded (the one with the longest wait when there
 * are several), else the one nearest to full. retry_after is seconds, rounded up, until this
 * very message would fit, at least 1; if it alone is larger than a limit, no wait helps:
 * retry_after is then 0 and problem says so. Strings are copied to ctx.
 */
void quota_judge(TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct quota_reply *reply, struct quota_fact *fact_r);

/* A limit whose warn_at mark a charge has crossed. */
struct quota_mark {
	const char *limit;	/* as in struct quota_fact */
	const char *subject;	/* likewise */
	unsigned int percent;	/* warn_at */
	enum action on_over;	/* what the limit does beyond its size */
};

/*
 * quota_foretold - make counts that were read (QUOTA_READ) those of a charge
 * refuse: binding limits refuse; else all are charged past their size.
 */
void quota_foretold(const struct quota_plan *plan, bool refuse, struct quota_reply *reply);

/*
 * quota_marks - the limits whose warn_at mark this charge has just crossed
 * Only with QUOTA_CHARGED; the caller makes an event of each. *marks_r has one for each limit, on
 * ctx with its strings; NULL if there is none. Returns their number.
 */
size_t quota_marks(TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct quota_reply *reply, struct quota_mark **marks_r);

/*
 * quota_one_wait - how long the account is over whatever it sends
 * Milliseconds until the smallest message would fit all binding limits; 0 when it fits
 * now, -1 never. fullest_r, when not NULL, becomes the index of the counter to wait for.
 */
int64_t quota_one_wait(const struct quota_plan *plan, const struct quota_reply *reply,
    size_t *fullest_r);

/*
 * quota_block_fact - a block as the fact that the verdict reads; for one that is known beforehand
 * Only what a block changes is written. Strings are copied to ctx.
 */
void quota_block_fact(TALLOC_CTX *ctx, const struct quota_block *block, struct quota_fact *fact);

/*
 * quota_name_limit - write limit, subject, used, max and on_over of a fact: those of the counter at
 * index i Strings are copied to ctx.
 */
void quota_name_limit(TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct quota_reply *reply, size_t i, struct quota_fact *fact);

/*
 * quota_limit_text - the limit of a counter that is in force, as an administrator would write it
 * The counter's own text, unless it is raised. On ctx.
 */
const char *quota_limit_text(TALLOC_CTX *ctx, const struct quota_counter *counter,
    const struct quota_count *count);

/*
 * quota_find_limit - the counter of plan's account on the unit and window of limit; NULL: there is
 * none
 */
const struct quota_counter *quota_find_limit(const struct quota_plan *plan,
    const struct limit *limit);

/*
 * quota_owner_read - whose limits an operator means
 * "@example.org" or "domain:example.org", "pool:acme", "network:office", and as the log has them,
 * "pool acme"; all else is the name of an account. *name_r points into text and may be empty.
 * Returns the kind.
 */
enum quota_subject_kind quota_owner_read(const char *text, const char **name_r);

/* quota_owner_text - the same as an operator writes it: "@example.org", "pool:acme". On ctx. */
const char *quota_owner_text(TALLOC_CTX *ctx, enum quota_subject_kind kind, const char *name);

/* quota_subject_text - the same as the log has it: "pool acme"; NULL for an account. On ctx. */
const char *quota_subject_text(TALLOC_CTX *ctx, enum quota_subject_kind kind, const char *name);

/* quota_kind_word - "account", "domain", "pool", "network" */
const char *quota_kind_word(enum quota_subject_kind kind);

/*
 * quota_encode - percent-encode a name for use in a key
 * Kept are letters, digits and "-._@+="; an empty name becomes "%". On ctx.
 */
char *quota_encode(TALLOC_CTX *ctx, const char *name);

/* quota_decode - the name that quota_encode() made text of; NULL when it did not. On ctx. */
char *quota_decode(TALLOC_CTX *ctx, const char *text);

#endif

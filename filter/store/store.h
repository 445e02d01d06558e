/*
 * store.h - where counts live: one door to both kinds of store
 *
 * "embedded" keeps counts in this process, and in a file if one is named;
 * "redis" keeps them in Redis and, while that is away, does what on_away says.
 *
 * Threads: all functions but store_open and store_close may be called by any number of
 * threads at once. Redis needs one thread of its own, started by store_open: open after the
 * last fork. The process must ignore SIGPIPE.
 *
 * Deadlines are CLOCK_MONOTONIC in milliseconds (clock_ms()), absolute. No call
 * on the message's path waits longer; the embedded store never waits.
 */
#ifndef FILTER_STORE_STORE_H
#define FILTER_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/base/histogram.h"
#include "filter/store/types.h"
#include "policy/base/facts.h"
#include "policy/quota/quota.h"

struct store;

/*
 * store_open - open a store
 * Redis being down, refusing or unresolvable is no error here: the store is then away. A file
 * that cannot be read whole, is not ours, or is in use is one: NULL, and *error_r (on ctx)
 * is a full sentence. options are copied. The result is a talloc child of ctx whose
 * destructor is store_close.
 */
struct store *store_open(TALLOC_CTX *ctx, const struct store_options *options,
    const char **error_r);

/*
 * store_close - end it: joins the thread, hands pending charges to Redis if that works
 * within deadline_ms, saves the file. NULL is fine. No other call may be in progress.
 */
void store_close(struct store *store);

/*
 * store_renew - read the files of TLS again, and use these passwords of Redis from now on
 * Returns 0, also if there is nothing to renew, or -1 and *error_r (on ctx): what was there
 * before is kept.
 */
int store_renew(struct store *store, TALLOC_CTX *ctx, const struct redis_passwords *passwords,
    const char **error_r);

/*
 * store_options_equal - whether a reload may keep the open store
 * Two stores on one file refuse each other, so a reload keeps an equal one.
 */
bool store_options_equal(const struct store_options *a, const struct store_options *b);

/*
 * store_charge - charge one message to all counters of plan, or to none
 * The answer's memory is on ctx. If a binding limit is exceeded nothing is charged.
 * Asked again under the same id within 10 minutes, a charged message is not charged again.
 * Whatever happens in the store is in reply_r->state and problem. A blocked account has
 * reply_r->block; it is refused if plan->block_binds, else charged.
 */
void store_charge(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r);

/*
 * store_event - count what happened apart from messages (quota_plan_event)
 * As store_charge(), but neither blocks nor the figures of messages are touched.
 */
void store_event(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r);

/*
 * store_read - the counters of plan without charging; state QUOTA_READ or QUOTA_UNKNOWN
 */
void store_read(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r);

/*
 * store_foretell - what store_charge() would answer now; nothing is charged, counted or remembered
 */
void store_foretell(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, struct quota_reply *reply_r);

/*
 * store_reset - forget all counts of plan's owner, also those of windows it no longer has
 * The owner is the first subject of plan: an account, a domain, a pool or a network. If an account,
 * its domain and pool keep theirs; raised limits stay, and the recipients that were written to.
 * Returns 1, or 0 if nothing was counted, or -1 and *error_r (on ctx) when the store is away.
 */
int store_reset(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r);

/*
 * --- what operators change ---
 *
 * While Redis is away, a change holds in this process at once, survives a restart with what else is
 * kept, and is handed over when Redis is back; of two changes of one thing the later one wins. The
 * functions then succeed, and *error_r is a sentence that says so. Else it is left as it was when
 * they succeed: it should be NULL before.
 */

/*
 * store_block - block plan's account for for_ms milliseconds, 0: until it is unblocked
 * A block that exists is replaced. With Redis the next charge anywhere knows it; at MAIL, and while
 * Redis is away, other filters know it within STORE_BLOCKS_FRESH_MS. reason and by may hold any
 * octets (what is not printable becomes "?"). Returns 0, or -1 and *error_r (on ctx):
 * STORE_BLOCKS_MAX accounts are blocked, or the store is unavailable and this process does not
 * stay (options->holds).
 */
int store_block(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan, int64_t for_ms,
    const char *reason, const char *by, int64_t deadline_ms, const char **error_r);
#define STORE_BLOCKS_FRESH_MS	5000

/*
 * store_unblock - let plan's account send again
 * Returns 1, or 0 when it was not blocked, or -1 and *error_r (on ctx). Other filters go on
 * refusing for up to STORE_BLOCKS_FRESH_MS.
 */
int store_unblock(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r);

/*
 * store_blocked - all blocked accounts, by name, as this process knows them
 * *list_r, on ctx with its strings, has *n_r entries. No server is asked.
 */
void store_blocked(struct store *store, TALLOC_CTX *ctx, struct store_block **list_r, size_t *n_r);

/*
 * store_known_block - whether account is blocked; block_r may be NULL, its strings are on ctx
 * No server is asked.
 */
bool store_known_block(struct store *store, TALLOC_CTX *ctx, const char *account,
    struct store_block *block_r);

/*
 * store_offence - count an offence, off the message's path; if that makes more than the limit,
 * block the account offence is a plan of one counter (quota_plan_offence), which is copied. The
 * block is as long as rule says, by "block_on"; it is logged. With Redis counting and
 * blocking are the keeper thread's, within a second or when Redis is back; while there are too many
 * that wait, more are dropped.
 */
void store_offence(struct store *store, const struct quota_plan *offence,
    const struct store_block_rule *rule);

/*
 * store_take_near - the accounts that a sign took to warn_at of block_on here, but not blocked
 * Each is returned once. *n_r entries, on ctx with their strings; what is noted while 1000 wait is
 * dropped. No server is asked.
 */
struct store_near *store_take_near(struct store *store, TALLOC_CTX *ctx, size_t *n_r);

/* --- limits raised for a time --- */

/*
 * store_raise - for for_ms milliseconds (> 0), limit stands in for the limit of plan's owner on
 * the same unit and window; it may also be lower. The file of the plans is not touched, counts are
 * kept. What store_read answers then has max and raised_ms of struct quota_count. Returns 0, or -1
 * and *error_r (on ctx): as store_block(), or the owner's plan has no limit on that unit and
 * window (the text names those it has).
 */
int store_raise(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct limit *limit, int64_t for_ms, int64_t deadline_ms, const char **error_r);

/*
 * store_unraise - the plan's own limits hold again, all of the owner's
 * Returns how many were raised (0: none), or -1 and *error_r (on ctx).
 */
int store_unraise(struct store *store, TALLOC_CTX *ctx, const struct quota_plan *plan,
    int64_t deadline_ms, const char **error_r);

/*
 * store_known_over - whether account was just found to be over whatever it sends
 * True for at most 3 seconds after such a refusal; fact_r is then filled (outcome FAIL,
 * store "cache", strings on ctx; on_over is left to the caller, whose listener says it). Does not
 * ask the store. An account over an observed
 * limit is never remembered. parties: who would be charged now; if they do not have that limit any
 * more, or limits were changed by hand, the account is not known. What is changed by hand on
 * another filter is known within STORE_LIMITS_FRESH_MS.
 */
bool store_known_over(struct store *store, TALLOC_CTX *ctx, const char *account,
    const struct quota_party *parties, size_t n, struct quota_fact *fact_r);
#define STORE_LIMITS_FRESH_MS	500

/*
 * store_tick - the regular work: saves the file when counts have changed
 * To be called about every minute, by a thread that may wait for the disk.
 */
void store_tick(struct store *store);

/* store_latency - how long charges waited for the store; lives as long as it. Any thread. */
const struct histogram *store_latency(const struct store *store);

/*
 * store_status - how the store is doing; strings are on ctx
 */
void store_status(struct store *store, TALLOC_CTX *ctx, struct store_status *status_r);

#endif

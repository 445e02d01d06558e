/*
 * journal_redis.h - the Redis that holds what happened, in addition to the counters
 *
 * The same server and prefix as the counters, over a connection of its own, so that long
 * answers for operators never stand in the way of a message.
 *
 * Threads: any. Calls wait up to JOURNAL_REDIS_WAIT_MS; not for the message's path.
 */
#ifndef FILTER_JOURNAL_JOURNAL_REDIS_H
#define FILTER_JOURNAL_JOURNAL_REDIS_H

#include <stddef.h>
#include <talloc.h>

#include "filter/redis/script.h"
#include "filter/store/store.h"

#define JOURNAL_REDIS_WAIT_MS	3000

struct journal_redis;
struct redisReply;

/*
 * journal_redis_new - prepare connections; connects to nothing yet
 * options as the store's, passwords included; they are copied. NULL and *error_r (on ctx) if the
 * server cannot be read. A talloc child of ctx.
 */
struct journal_redis *journal_redis_new(TALLOC_CTX *ctx, const struct store_options *options,
    const char **error_r);

/* journal_redis_renew - as store_renew() */
int journal_redis_renew(struct journal_redis *redis, TALLOC_CTX *ctx,
    const struct redis_passwords *passwords, const char **error_r);

/* journal_redis_hurry - as redis_pool_hurry() */
void journal_redis_hurry(struct journal_redis *redis, int64_t until_ms);

/* The words of a command, as they are collected. */
struct journal_words {
	const struct redis_script *script; /* the command runs it, or NULL */
	const char **items;
	size_t *lens;
	size_t n;
};

/* journal_words_new - an empty list, on ctx */
struct journal_words *journal_words_new(TALLOC_CTX *ctx);

/* journal_script - begin a command that runs a script; it must live as long as the list */
void journal_script(struct journal_words *words, const struct redis_script *script);

/* journal_word - one more word; it must live as long as the list */
void journal_word(struct journal_words *words, const char *word);

/* journal_octets - one more word, of any octets */
void journal_octets(struct journal_words *words, const char *data, size_t len);

/* journal_number - one more word, a number */
void journal_number(struct journal_words *words, long long number);

/* journal_key - one more word, a key: the store's prefix, then name (with the hash tag) */
void journal_key(const struct journal_redis *redis, struct journal_words *words, const char *name);

/*
 * journal_redis_call - one command, one answer
 * Returns the reply, for freeReplyObject(), or NULL and *error_r on ctx. again: whether the command
 * may be sent twice if a connection breaks.
 */
struct redisReply *journal_redis_call(struct journal_redis *redis, TALLOC_CTX *ctx,
    struct journal_words *words, bool again, const char **error_r);

/*
 * journal_redis_number - journal_redis_call() of a command that changes something; frees words
 * Returns the number that it answers, or 0, or -1 and *error_r.
 */
int journal_redis_number(struct journal_redis *redis, TALLOC_CTX *ctx,
    struct journal_words *words, const char **error_r);

/* journal_redis_text - a string of a reply, or NULL */
const char *journal_redis_text(const struct redisReply *reply);

/*
 * journal_redis_scan - HSCAN until its end: each is called for each field with its value
 * key: without the prefix. A field may come twice if the hash grows meanwhile. Returns 0, or -1 and
 * *error_r: no answer, one of another shape, or no end after JOURNAL_SCAN_STEPS answers.
 */
typedef void journal_scan_each(void *arg, const char *field, const char *value, size_t len);
int journal_redis_scan(struct journal_redis *redis, TALLOC_CTX *ctx, const char *key,
    journal_scan_each *each, void *arg, const char **error_r);

/* The most answers that one question takes, of JOURNAL_PAGE entries each: a bound for a server
 * that never comes to an end. */
#define JOURNAL_PAGE	500
#define JOURNAL_SCAN_STEPS	200000

#endif

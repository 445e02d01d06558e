/*
 * books_redis_dmarc.c - what aggregate reports of DMARC say, in the books in Redis
 *
 * Of a day there are a hash of its domains, one of their figures, and one of rows for each domain
 * (dmarc.lua). All have one hash tag, so that a batch is one script; that is little compared to the
 * counters.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/journal/books_kind.h"
#include "filter/journal/books_redis.h"
#include "policy/base/mem.h"

#define BATCH	25		/* rows in one call */
#define DAY_S	86400

#define LEASE	"local owner = redis.call('GET', KEYS[1]) " \
		"if owner and owner ~= ARGV[1] then return 0 end " \
		"redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1"

/* The day may be forgotten while its reports are sent: the key must not stay for ever. */
#define SET_STATE	"redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) " \
			"return redis.call('EXPIRE', KEYS[1], ARGV[3])"

/* dmarc_name - a key of a day, without the prefix */
static const char *
dmarc_name(TALLOC_CTX *ctx, int day, const char *what, const char *domain)
{
	return mem_printf(ctx, "{dmarc}:%d:%s%s", day, what, domain);
}

/* dmarc_key - the same as one more word */
static void
dmarc_key(const struct journal_redis *redis, struct journal_words *words, int day, const char *what,
    const char *domain)
{
	journal_key(redis, words, dmarc_name(words, day, what, domain));
}

/* add_batch - some rows; how many messages were beyond the bounds, or -1 */
static int
add_batch(struct redis_books *books, TALLOC_CTX *ctx, int day, const struct dmarc_sum *sums,
    size_t n, const char **error_r)
{
	struct journal_redis *redis = books->redis;
	struct journal_words *words = journal_words_new(ctx);

	journal_script(words, &books->dmarc);
	journal_number(words, (long long)n + 2);
	dmarc_key(redis, words, day, "domains", "");
	dmarc_key(redis, words, day, "figures", "");
	for (size_t i = 0; i < n; i++)
		dmarc_key(redis, words, day, "rows:", sums[i].domain);
	journal_number(words, (long long)BOOKS_DMARC_DAYS * DAY_S);
	journal_number(words, BOOKS_DMARC_DOMAINS);
	journal_number(words, BOOKS_DMARC_ROWS);
	journal_number(words, BOOKS_DMARC_ROWS_DOMAIN);
	for (size_t i = 0; i < n; i++) {
		journal_word(words, sums[i].domain);
		journal_word(words, sums[i].record);
		journal_word(words, sums[i].row);
		journal_number(words, (long long)sums[i].n);
	}
	return journal_redis_number(redis, ctx, words, error_r);
}

static int
redis_dmarc_add(void *impl, TALLOC_CTX *ctx, int day, const struct dmarc_sum *sums,
    size_t n, size_t *done_r, const char **error_r)
{
	struct redis_books *books = impl;
	int beyond = 0;

	while (*done_r < n) {
		size_t batch = n - *done_r < BATCH ? n - *done_r : BATCH;
		int more = add_batch(books, ctx, day, &sums[*done_r], batch, error_r);

		if (more < 0)
			return -1;
		*done_r += batch;
		beyond += more;
	}
	return beyond;
}

/* redis_dmarc_count - a number in a reply; 0: there is none */
static uint64_t
redis_dmarc_count(const redisReply *reply)
{
	const char *text = journal_redis_text(reply);

	return text != NULL ? strtoull(text, NULL, 10) : 0;
}

/* What a hash holds, as it is collected. */
struct hash {
	TALLOC_CTX *ctx;
	const char **names, **values;
	size_t n;
};

/* take_field - one more name and value */
static void
take_field(void *arg, const char *name, const char *value, size_t len)
{
	struct hash *hash = arg;

	(void)len;
	if (hash->n % JOURNAL_PAGE == 0) {
		hash->names =
		    mem_grow(hash->ctx, hash->names, const char *, hash->n + JOURNAL_PAGE);
		hash->values =
		    mem_grow(hash->ctx, hash->values, const char *, hash->n + JOURNAL_PAGE);
	}
	hash->names[hash->n] = mem_strdup(hash->ctx, name);
	hash->values[hash->n++] = mem_strdup(hash->ctx, value);
}

/* read_figures - of some domains; 0 or -1 */
static int
read_figures(struct journal_redis *redis, TALLOC_CTX *ctx, int day,
    struct books_dmarc_domain *domains, size_t n, const char **error_r)
{
	static const char kinds[] = "mbs";
	struct journal_words *words = journal_words_new(ctx);
	redisReply *reply;

	journal_word(words, "HMGET");
	dmarc_key(redis, words, day, "figures", "");
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < 3; k++)
			journal_word(words,
			    mem_printf(words, "%c:%s", kinds[k], domains[i].domain));
	reply = journal_redis_call(redis, ctx, words, true, error_r);
	talloc_free(words);
	if (reply == NULL)
		return -1;
	for (size_t i = 0; i < n && reply->type == REDIS_REPLY_ARRAY &&
	     reply->elements == 3 * n; i++) {
		redisReply **of = &reply->element[3 * i];
		const char *state = journal_redis_text(of[2]);

		domains[i].messages = redis_dmarc_count(of[0]);
		domains[i].beyond = redis_dmarc_count(of[1]);
		domains[i].state = state != NULL ? mem_strdup(ctx, state) : NULL;
	}
	freeReplyObject(reply);
	return 0;
}

static int
redis_dmarc_domains(void *impl, TALLOC_CTX *ctx, int day,
    struct books_dmarc_domain **domains_r, size_t *n_r, const char **error_r)
{
	struct redis_books *books = impl;
	struct hash hash = { .ctx = ctx };

	if (journal_redis_scan(books->redis, ctx, dmarc_name(ctx, day, "domains", ""), take_field,
		&hash, error_r) != 0)
		return -1;
	*domains_r = mem_array(ctx, struct books_dmarc_domain, hash.n + 1);
	*n_r = hash.n;
	for (size_t i = 0; i < hash.n; i++)
		(*domains_r)[i] = (struct books_dmarc_domain){ .domain = hash.names[i],
			.record = hash.values[i] };
	for (size_t i = 0; i < hash.n; i += BATCH)
		if (read_figures(books->redis, ctx, day, &(*domains_r)[i],
			hash.n - i < BATCH ? hash.n - i : BATCH, error_r) != 0)
			return -1;
	return 0;
}

static int
redis_dmarc_rows(void *impl, TALLOC_CTX *ctx, int day, const char *domain,
    struct books_dmarc_row **rows_r, size_t *n_r, const char **error_r)
{
	struct redis_books *books = impl;
	struct hash hash = { .ctx = ctx };

	if (journal_redis_scan(books->redis, ctx, dmarc_name(ctx, day, "rows:", domain), take_field,
		&hash, error_r) != 0)
		return -1;
	*rows_r = mem_array(ctx, struct books_dmarc_row, hash.n + 1);
	*n_r = hash.n;
	for (size_t i = 0; i < hash.n; i++)
		(*rows_r)[i] = (struct books_dmarc_row){ hash.names[i],
			strtoull(hash.values[i], NULL, 10) };
	return 0;
}

static int
redis_dmarc_set(void *impl, TALLOC_CTX *ctx, int day, const char *domain,
    const char *state, const char **error_r)
{
	struct redis_books *books = impl;
	struct journal_words *words = journal_words_new(ctx);

	journal_word(words, "EVAL");
	journal_word(words, SET_STATE);
	journal_number(words, 1);
	dmarc_key(books->redis, words, day, "figures", "");
	journal_word(words, mem_printf(words, "s:%s", domain));
	journal_word(words, state);
	journal_number(words, (long long)BOOKS_DMARC_DAYS * DAY_S);
	return journal_redis_number(books->redis, ctx, words, error_r) < 0 ? -1 : 0;
}

static int
redis_dmarc_lease(void *impl, TALLOC_CTX *ctx, const char *what,
    const char *owner, int64_t for_ms, const char **error_r)
{
	struct redis_books *books = impl;
	struct journal_words *words = journal_words_new(ctx);

	journal_word(words, "EVAL");
	journal_word(words, LEASE);
	journal_number(words, 1);
	journal_key(books->redis, words, mem_printf(words, "{dmarc}:lease:%s", what));
	journal_word(words, owner);
	journal_number(words, for_ms);
	return journal_redis_number(books->redis, ctx, words, error_r);
}

const struct books_dmarc_kind books_redis_dmarc = {
	.add = redis_dmarc_add,
	.domains = redis_dmarc_domains,
	.rows = redis_dmarc_rows,
	.set = redis_dmarc_set,
	.lease = redis_dmarc_lease,
};

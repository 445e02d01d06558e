/*
 * books_kind.h - a kind of books as a row of functions; for books*.c alone
 *
 * The functions are those of books.h of the same name; impl is the kind's own object.
 */
#ifndef FILTER_JOURNAL_BOOKS_KIND_H
#define FILTER_JOURNAL_BOOKS_KIND_H

#include <jansson.h>
#include <talloc.h>

#include "filter/journal/books_types.h"

struct books_kind {
	/* impl is a talloc child of ctx */
	void *(*open)(TALLOC_CTX *ctx, const struct books_options *, const char **error_r);
	int (*renew)(void *impl, TALLOC_CTX *, const struct redis_passwords *,
	    const char **error_r); /* or NULL */
	void (*hurry)(void *impl, int64_t until_ms); /* or NULL */
	const char *(*place)(const void *impl);
	size_t batch;		/* decisions in one call, BOOKS_BATCH_MAX at most */
	int (*add_decisions)(void *impl, TALLOC_CTX *, const struct books_decision *, size_t n,
	    const char **error_r);
	json_t *(*find)(
	    void *impl, TALLOC_CTX *, const struct books_query *, const char **error_r);
	bool (*event_is_news)(
	    void *impl, TALLOC_CTX *, const struct books_event *, int64_t quiet_ms);
	size_t (*add_events)(void *impl, TALLOC_CTX *, const struct books_event *, size_t n,
	    const char **error_r);
	json_t *(*last_events)(void *impl, TALLOC_CTX *, size_t n, const char **error_r);
};

extern const struct books_kind books_redis, books_sqlite;

/* Sums, in books of the same kind: impl is theirs. */
struct books_sums_kind {
	int (*add)(void *impl, TALLOC_CTX *, int64_t at_ms, const struct daybook_delta *, size_t n,
	    size_t *done_r, const char **error_r); /* *done_r: 0 before */
	int (*read)(void *impl, TALLOC_CTX *, int day, books_sums_each *, void *arg,
	    const char **error_r);
	int (*read_hours)(void *impl, TALLOC_CTX *, const char *account, int day,
	    struct daybook_hour hours[DAYBOOK_HOURS], const char **error_r);
	int (*add_signed)(void *impl, TALLOC_CTX *, int64_t at_ms, const struct daybook_delta *,
	    size_t n, size_t *done_r, const char **error_r); /* *done_r: 0 before */
	int (*read_signed)(void *impl, TALLOC_CTX *, int day, books_sums_each *, void *arg,
	    const char **error_r);
	int (*add_rates)(void *impl, TALLOC_CTX *, int64_t at_ms, const char *host,
	    const struct rates *, const char **error_r);
	int (*read_rates)(void *impl, TALLOC_CTX *, bool by_hour, int64_t from_ms, int64_t to_ms,
	    books_rates_each *, void *arg, const char **error_r);
};

extern const struct books_sums_kind books_redis_sums, books_sqlite_sums;

/* What aggregate reports of DMARC say, in books of the same kind: impl is theirs. */
struct books_dmarc_kind {
	int (*add)(void *impl, TALLOC_CTX *, int day, const struct dmarc_sum *, size_t n,
	    size_t *done_r, const char **error_r); /* *done_r: 0 before */
	int (*domains)(void *impl, TALLOC_CTX *, int day, struct books_dmarc_domain **,
	    size_t *n_r, const char **error_r);
	int (*rows)(void *impl, TALLOC_CTX *, int day, const char *domain,
	    struct books_dmarc_row **, size_t *n_r, const char **error_r);
	int (*set)(void *impl, TALLOC_CTX *, int day, const char *domain, const char *state,
	    const char **error_r);
	int (*lease)(void *impl, TALLOC_CTX *, const char *what, const char *owner, int64_t for_ms,
	    const char **error_r); /* or NULL: there is no other */
};

extern const struct books_dmarc_kind books_redis_dmarc, books_sqlite_dmarc;

#endif

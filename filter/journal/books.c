/*
 * books.c - one door to both kinds of books
 *
 * Thread rule: nothing changes after books_open(); each kind has rules of its own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/journal/books.h"
#include "filter/journal/books_kind.h"
#include "policy/base/mem.h"

struct books {
	const struct books_kind *kind;
	const struct books_sums_kind *sums;
	const struct books_dmarc_kind *dmarc;
	void *impl;
	bool keep_decisions;
};

/* books_open - open the books */
struct books *
books_open(TALLOC_CTX *ctx, const struct books_options *options, const char **error_r)
{
	struct books *books = mem_new(ctx, struct books);

	if (options->store->kind == STORE_REDIS) {
		books->kind = &books_redis;
		books->sums = &books_redis_sums;
		books->dmarc = &books_redis_dmarc;
	} else {
		books->kind = &books_sqlite;
		books->sums = &books_sqlite_sums;
		books->dmarc = &books_sqlite_dmarc;
	}
	books->keep_decisions = options->decisions > 0;
	books->impl = talloc_steal(books, books->kind->open(ctx, options, error_r));
	if (books->impl != NULL)
		return books;
	talloc_free(books);
	return NULL;
}

/* books_renew - files of TLS and passwords may be new */
int
books_renew(struct books *books, TALLOC_CTX *ctx, const struct redis_passwords *passwords,
    const char **error_r)
{
	return books->kind->renew != NULL
	    ? books->kind->renew(books->impl, ctx, passwords, error_r)
	    : 0;
}

void
books_hurry(struct books *books, int64_t until_ms)
{
	if (books->kind->hurry != NULL)
		books->kind->hurry(books->impl, until_ms);
}

/* books_place - where the books are */
const char *
books_place(const struct books *books)
{
	return books->kind->place(books->impl);
}

/* books_keep_decisions - are decisions kept at all? */
bool
books_keep_decisions(const struct books *books)
{
	return books->keep_decisions;
}

size_t
books_batch(const struct books *books)
{
	return books->kind->batch;
}

/* books_add_decisions - keep n decisions */
int
books_add_decisions(struct books *books, TALLOC_CTX *ctx, const struct books_decision *items,
    size_t n, const char **error_r)
{
	if (n == 0 || !books->keep_decisions)
		return 0;
	return books->kind->add_decisions(books->impl, ctx, items, n, error_r);
}

/* books_find - decisions, newest first */
json_t *
books_find(struct books *books, TALLOC_CTX *ctx, const struct books_query *query,
    const char **error_r)
{
	return books->kind->find(books->impl, ctx, query, error_r);
}

/* books_add_sums - add to the sums of a day */
int
books_add_sums(struct books *books, TALLOC_CTX *ctx, int64_t at_ms,
    const struct daybook_delta *deltas, size_t n, size_t *done_r, const char **error_r)
{
	size_t done = 0;
	int beyond = books->sums->add(books->impl, ctx, at_ms, deltas, n, &done, error_r);

	if (done_r != NULL)
		*done_r = done;
	return beyond;
}

/* books_read_sums - each account of a day */
int
books_read_sums(struct books *books, TALLOC_CTX *ctx, int day, books_sums_each *each, void *arg,
    const char **error_r)
{
	return books->sums->read(books->impl, ctx, day, each, arg, error_r);
}

/* books_read_hours - what an account did in the last n hours */
int
books_read_hours(struct books *books, TALLOC_CTX *ctx, const char *account, int64_t now_ms,
    struct daybook_hour *hours_r, size_t n, const char **error_r)
{
	int64_t first = now_ms / CLOCK_HOUR_MS - (int64_t)n + 1;

	memset(hours_r, 0, n * sizeof(*hours_r));
	for (size_t i = 0; i < n;) {
		int64_t at_ms = (first + (int64_t)i) * CLOCK_HOUR_MS;
		struct daybook_hour day[DAYBOOK_HOURS] = { { 0 } };

		if (books->sums->read_hours(
			books->impl, ctx, account, daybook_day(at_ms), day, error_r) != 0)
			return -1;
		for (size_t hour = daybook_hour(at_ms); hour < DAYBOOK_HOURS && i < n; hour++)
			hours_r[i++] = day[hour];
	}
	return 0;
}

/* books_add_signed - add to the sums of a day of what was signed */
int
books_add_signed(struct books *books, TALLOC_CTX *ctx, int64_t at_ms,
    const struct daybook_delta *deltas, size_t n, size_t *done_r, const char **error_r)
{
	*done_r = 0;
	return books->sums->add_signed(books->impl, ctx, at_ms, deltas, n, done_r, error_r);
}

/* books_read_signed - each domain of a day */
int
books_read_signed(struct books *books, TALLOC_CTX *ctx, int day, books_sums_each *each, void *arg,
    const char **error_r)
{
	return books->sums->read_signed(books->impl, ctx, day, each, arg, error_r);
}

/* books_add_rates - what the filter of a host did in a minute */
int
books_add_rates(struct books *books, TALLOC_CTX *ctx, int64_t at_ms, const char *host,
    const struct rates *rates, const char **error_r)
{
	return books->sums->add_rates(books->impl, ctx, at_ms, host, rates, error_r);
}

/* books_read_rates - what filters did from a time on */
int
books_read_rates(struct books *books, TALLOC_CTX *ctx, bool by_hour, int64_t from_ms,
    int64_t to_ms, books_rates_each *each, void *arg, const char **error_r)
{
	return books->sums->read_rates(
	    books->impl, ctx, by_hour, from_ms, to_ms, each, arg, error_r);
}

/* books_add_dmarc - add to the rows of a day */
int
books_add_dmarc(struct books *books, TALLOC_CTX *ctx, int day, const struct dmarc_sum *sums,
    size_t n, size_t *done_r, const char **error_r)
{
	size_t done = 0;
	int beyond = books->dmarc->add(books->impl, ctx, day, sums, n, &done, error_r);

	if (done_r != NULL)
		*done_r = done;
	return beyond;
}

/* compare_domains - by name */
static int
compare_domains(const void *a, const void *b)
{
	return strcmp(((const struct books_dmarc_domain *)a)->domain,
	    ((const struct books_dmarc_domain *)b)->domain);
}

/* compare_rows - by text */
static int
compare_rows(const void *a, const void *b)
{
	return strcmp(((const struct books_dmarc_row *)a)->text,
	    ((const struct books_dmarc_row *)b)->text);
}

/* books_dmarc_domains - the domains of a day */
int
books_dmarc_domains(struct books *books, TALLOC_CTX *ctx, int day,
    struct books_dmarc_domain **domains_r, size_t *n_r, const char **error_r)
{
	*n_r = 0;
	*domains_r = NULL;
	if (books->dmarc->domains(books->impl, ctx, day, domains_r, n_r, error_r) != 0)
		return -1;
	if (*n_r > 0)
		qsort(*domains_r, *n_r, sizeof(**domains_r), compare_domains);
	/* a hash of Redis that grows while it is read may name one twice */
	for (size_t i = 0, n = *n_r; i < n; i++)
		if (i == 0)
			*n_r = 1;
		else if (compare_domains(&(*domains_r)[*n_r - 1], &(*domains_r)[i]) != 0)
			(*domains_r)[(*n_r)++] = (*domains_r)[i];
	return 0;
}

/* books_dmarc_rows - the rows of a domain of a day */
int
books_dmarc_rows(struct books *books, TALLOC_CTX *ctx, int day, const char *domain,
    struct books_dmarc_row **rows_r, size_t *n_r, const char **error_r)
{
	*n_r = 0;
	*rows_r = NULL;
	if (books->dmarc->rows(books->impl, ctx, day, domain, rows_r, n_r, error_r) != 0)
		return -1;
	if (*n_r > 0)
		qsort(*rows_r, *n_r, sizeof(**rows_r), compare_rows);
	for (size_t i = 0, n = *n_r; i < n; i++)
		if (i == 0)
			*n_r = 1;
		else if (compare_rows(&(*rows_r)[*n_r - 1], &(*rows_r)[i]) != 0)
			(*rows_r)[(*n_r)++] = (*rows_r)[i];
	return 0;
}

/* books_set_dmarc - what became of a report */
int
books_set_dmarc(struct books *books, TALLOC_CTX *ctx, int day, const char *domain,
    const char *state, const char **error_r)
{
	return books->dmarc->set(books->impl, ctx, day, domain, state, error_r);
}

/* books_lease - be the only one who does something */
int
books_lease(struct books *books, TALLOC_CTX *ctx, const char *what, const char *owner,
    int64_t for_ms, const char **error_r)
{
	return books->dmarc->lease == NULL ? 1 :
	    books->dmarc->lease(books->impl, ctx, what, owner, for_ms, error_r);
}

/* books_event_is_news - was no event like it kept lately? */
bool
books_event_is_news(
    struct books *books, TALLOC_CTX *ctx, const struct books_event *event, int64_t quiet_ms)
{
	return books->kind->event_is_news(books->impl, ctx, event, quiet_ms);
}

/* books_add_events - keep events */
size_t
books_add_events(struct books *books, TALLOC_CTX *ctx, const struct books_event *events, size_t n,
    const char **error_r)
{
	return n > 0 ? books->kind->add_events(books->impl, ctx, events, n, error_r) : 0;
}

/* books_last_events - the last n events, newest first */
json_t *
books_last_events(struct books *books, TALLOC_CTX *ctx, size_t n, const char **error_r)
{
	return books->kind->last_events(books->impl, ctx, n, error_r);
}

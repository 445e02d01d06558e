/*
 * books.c - one door to both kinds of books
 *
 * Thread rule: nothing changes after books_open(); each kind has rules of its own.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/journal/books.h"
#include "filter/journal/books_kind.h"
#include "policy/base/mem.h"

struct books {
	const struct books_kind *kind;
	void *impl;
	bool keep_decisions;
};

/* books_open - open the books */
struct books *
books_open(TALLOC_CTX *ctx, const struct books_options *options, const char **error_r)
{
	struct books *books = mem_new(ctx, struct books);

	books->kind = options->store->kind == STORE_REDIS ? &books_redis : &books_sqlite;
	books->keep_decisions = options->decisions > 0;
	books->impl = talloc_steal(books, books->kind->open(ctx, options, error_r));
	if (books->impl != NULL)
		return books;
	talloc_free(books);
	return NULL;
}

/* books_renew - read the files of TLS again */
int
books_renew(struct books *books, TALLOC_CTX *ctx, const char **error_r)
{
	return books->kind->renew != NULL ? books->kind->renew(books->impl, ctx, error_r) : 0;
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
    const struct daybook_delta *deltas, size_t n, const char **error_r)
{
	return books->kind->add_sums(books->impl, ctx, at_ms, deltas, n, error_r);
}

/* books_read_sums - each account of a day */
int
books_read_sums(struct books *books, TALLOC_CTX *ctx, int day, books_sums_each *each, void *arg,
    const char **error_r)
{
	return books->kind->read_sums(books->impl, ctx, day, each, arg, error_r);
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

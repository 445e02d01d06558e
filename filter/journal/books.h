/*
 * books.h - what happened, kept: decisions, the sums of each day, events
 *
 * One row of functions for both kinds. With Redis, all filters share the books there. Without it,
 * they are in a SQLite database beside the counters' file (books_schema.c describes its tables), or
 * in the memory of this process if the counters have no file.
 *
 * A decision is a JSON object, one line of printable ASCII: "at" (UNIX time in milliseconds),
 * "filter" (host name), "reply" if the client was refused, and the fields of the log line
 * (logline.h). The sums are described in daybook.h, an event in event.h.
 *
 * Threads: any. Every function may wait for Redis or the disk: not for the message's path. Unless
 * it says otherwise a function returns 0, or -1 and *error_r on ctx.
 */
#ifndef FILTER_JOURNAL_BOOKS_H
#define FILTER_JOURNAL_BOOKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/journal/books_types.h"

struct books;

/*
 * books_open - open the books
 * Redis need not answer yet. A file that cannot be opened, is not ours, is damaged or was written
 * by a newer version is an error: NULL and *error_r on ctx. What an earlier version kept beside the
 * counters' file (.history, .daybook) is imported when the database is made, and the log says so.
 * options are copied. A talloc child of ctx.
 */
struct books *books_open(
    TALLOC_CTX *ctx, const struct books_options *options, const char **error_r);

/* books_renew - as store_renew() */
int books_renew(struct books *books, TALLOC_CTX *ctx, const struct redis_passwords *passwords,
    const char **error_r);

/* books_hurry - the process ends: no call to a server waits beyond until_ms (clock_ms()) */
void books_hurry(struct books *books, int64_t until_ms);

/* books_place - where the books are, for people: "Redis", "memory", or the path of the file */
const char *books_place(const struct books *books);

/* --- decisions --- */

/* books_keep_decisions - are decisions kept at all? */
bool books_keep_decisions(const struct books *books);

/* books_batch - how many decisions one call is given, BOOKS_BATCH_MAX at most */
size_t books_batch(const struct books *books);

/* books_add_decisions - keep n decisions: all or, after an error, perhaps none */
int books_add_decisions(struct books *books, TALLOC_CTX *ctx, const struct books_decision *items,
    size_t n, const char **error_r);

/* books_find - decisions, newest first, as an array of objects; NULL and *error_r on ctx */
json_t *books_find(struct books *books, TALLOC_CTX *ctx, const struct books_query *query,
    const char **error_r);

/* --- sums --- */

/*
 * books_add_sums - add to the sums of the day and hour of at_ms (UNIX time), each account once
 * Returns how many of the deltas went to "*", or -1 and *error_r on ctx. *done_r: how many deltas,
 * from the first on, are in the books, also after an error; may be NULL.
 */
int books_add_sums(struct books *books, TALLOC_CTX *ctx, int64_t at_ms,
    const struct daybook_delta *deltas, size_t n, size_t *done_r, const char **error_r);

/*
 * books_read_sums - each account of a day (daybook_day()), in no order
 * Once; or twice on the day on which a filter of an earlier version wrote to the same Redis: then
 * its rows add up.
 */
int books_read_sums(struct books *books, TALLOC_CTX *ctx, int day, books_sums_each *each, void *arg,
    const char **error_r);

/*
 * books_read_hours - what an account did in the last n hours, that of now_ms (UNIX time) the last
 * n: BOOKS_HOURS_DAYS * 24 at most. hours_r[0] is the oldest; of hours without mail the
 * counts are 0.
 */
int books_read_hours(struct books *books, TALLOC_CTX *ctx, const char *account, int64_t now_ms,
    struct daybook_hour *hours_r, size_t n, const char **error_r);

/*
 * books_add_signed - add to the sums of the day of at_ms of what was signed, each domain (d=) once
 * Of a delta count its account, which is the domain, and its sums. Bounds, *done_r and what is
 * returned as books_add_sums().
 */
int books_add_signed(struct books *books, TALLOC_CTX *ctx, int64_t at_ms,
    const struct daybook_delta *deltas, size_t n, size_t *done_r, const char **error_r);

/* books_read_signed - each domain with signatures of a day, in no order; of a row count the sums of
 * the day */
int books_read_signed(struct books *books, TALLOC_CTX *ctx, int day, books_sums_each *each,
    void *arg, const char **error_r);

/* books_add_rates - what the filter of a host did in the minute of at_ms (UNIX time); it counts for
 * the hour, too */
int books_add_rates(struct books *books, TALLOC_CTX *ctx, int64_t at_ms, const char *host,
    const struct rates *rates, const char **error_r);

/*
 * books_read_rates - what filters did from a time on, in no order
 * By minute for BOOKS_MINUTES_DAYS, by hour for BOOKS_HOURS_DAYS. Times without mail are left out.
 * to_ms: now. A row of host "*" may come more than once for a time.
 */
int books_read_rates(struct books *books, TALLOC_CTX *ctx, bool by_hour, int64_t from_ms,
    int64_t to_ms, books_rates_each *each, void *arg, const char **error_r);

/* --- what aggregate reports of DMARC say --- */

/*
 * books_add_dmarc - add to the rows of a day (daybook_day())
 * Bounds: BOOKS_DMARC_DOMAINS domains, BOOKS_DMARC_ROWS rows a day, BOOKS_DMARC_ROWS_DOMAIN of them
 * for one domain. Messages beyond them are only counted. Days older than BOOKS_DMARC_DAYS go.
 * Returns how many messages were beyond, or -1 and *error_r on ctx. *done_r: as books_add_sums().
 */
int books_add_dmarc(struct books *books, TALLOC_CTX *ctx, int day, const struct dmarc_sum *sums,
    size_t n, size_t *done_r, const char **error_r);

/* books_dmarc_domains - the domains of a day, sorted; *domains_r on ctx */
int books_dmarc_domains(struct books *books, TALLOC_CTX *ctx, int day,
    struct books_dmarc_domain **domains_r, size_t *n_r, const char **error_r);

/* books_dmarc_rows - the rows of a domain of a day, sorted; *rows_r on ctx */
int books_dmarc_rows(struct books *books, TALLOC_CTX *ctx, int day, const char *domain,
    struct books_dmarc_row **rows_r, size_t *n_r, const char **error_r);

/* books_set_dmarc - what became of the report to a domain of a day, which must be in the books */
int books_set_dmarc(struct books *books, TALLOC_CTX *ctx, int day, const char *domain,
    const char *state, const char **error_r);

/*
 * books_lease - for_ms from now on, be the only one of all filters who does this
 * owner: who asks. 1: yes, also if it had it already; 0: another has it; -1 and *error_r on ctx.
 * Without Redis there is no other.
 */
int books_lease(struct books *books, TALLOC_CTX *ctx, const char *what, const char *owner,
    int64_t for_ms, const char **error_r);

/* --- events --- */

/*
 * books_event_is_news - was no event of this kind and key kept within quiet_ms before it?
 * With Redis, the first of all filters that asks is answered true, and the others false from then
 * on. If it cannot be determined: true.
 */
bool books_event_is_news(
    struct books *books, TALLOC_CTX *ctx, const struct books_event *event, int64_t quiet_ms);

/* books_add_events - keep events, in their order; how many were kept, and *error_r on ctx if those
 * are fewer than n */
size_t books_add_events(struct books *books, TALLOC_CTX *ctx, const struct books_event *events,
    size_t n, const char **error_r);

/* books_last_events - the last n events, newest first, as books_find() */
json_t *books_last_events(struct books *books, TALLOC_CTX *ctx, size_t n, const char **error_r);

#endif

/*
 * books_types.h - the words that the door (books.h) shares with what is behind it
 */
#ifndef FILTER_JOURNAL_BOOKS_TYPES_H
#define FILTER_JOURNAL_BOOKS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter/journal/daybook.h"
#include "filter/journal/dmarc_sums.h"
#include "filter/journal/rates.h"
#include "filter/store/types.h"

#define BOOKS_PER_ACCOUNT	20	/* decisions in an account's own list in Redis */
#define BOOKS_ANSWER_MAX	100	/* decisions in one answer to people */
#define BOOKS_EVENTS		10000	/* events kept, about */
#define BOOKS_EVENTS_DAYS	400	/* in Redis, all go if there was none for so long */

/* What is kept, and where. */
struct books_options {
	const struct store_options *store; /* kind, file, and Redis with its passwords */
	size_t decisions;	/* kept at most; 0: none */
	int days;		/* for how long decisions are kept */
	size_t accounts;	/* accounts with sums a day; what the others do is added up as "*" */
};

/* One decision to be kept. */
#define BOOKS_BATCH_MAX	200	/* decisions in one call */

struct books_decision {
	int64_t at_ms;		/* UNIX time */
	const char *account;	/* or NULL */
	const char *queue_id;	/* or NULL */
	bool passed;		/* accepted or held */
	const char *text;	/* JSON */
};

/* Which decisions are wanted; members that are not set match all. */
struct books_query {
	const char *account;	/* normal form */
	const char *queue_id;
	bool passed;		/* only those that passed */
	size_t n;		/* so many at most */
};

/* What books_read_sums() calls; account "*" stands for those beyond the bound. */
typedef void books_sums_each(void *arg, const char *account, const struct daybook_row *row);

#define BOOKS_HOURS_DAYS	14	/* for so long, what accounts and filters did by hour */
#define BOOKS_MINUTES_DAYS	1	/* for so long, what filters did by minute */
#define BOOKS_HOSTS		64	/* whose filters are counted; what others do is "*" */

/* What books_read_rates() calls: what the filter of a host did in the minute or hour of at_ms. */
typedef void books_rates_each(
    void *arg, int64_t at_ms, const char *host, const struct rates *rates);

#define BOOKS_DMARC_DAYS	7	/* kept for reports */
#define BOOKS_DMARC_DOMAINS	10000	/* a day, whose reports are prepared */
#define BOOKS_DMARC_ROWS	100000	/* a day, of all domains: about 50 MB */
#define BOOKS_DMARC_ROWS_DOMAIN 10000	/* a day, of one domain */

/* A domain of a day. */
struct books_dmarc_domain {
	const char *domain;
	const char *record;	/* the last one seen */
	uint64_t messages;
	uint64_t beyond;	/* of these, not in its rows */
	const char *state;	/* of its report, as it was set; or NULL */
};

/* One of its rows. */
struct books_dmarc_row {
	const char *text;	/* dmarc_sums.h */
	uint64_t n;		/* messages */
};

/* One event to be kept. */
struct books_event {
	int64_t at_ms;		/* UNIX time of its raising */
	const char *kind;	/* its word */
	const char *key;	/* what it is about */
	const char *text;	/* JSON */
};

#endif

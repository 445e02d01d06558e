/*
 * entry.h - one decision on its way into the books
 *
 * Threads: an entry belongs to one thread at a time.
 */
#ifndef FILTER_JOURNAL_ENTRY_H
#define FILTER_JOURNAL_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter/journal/dmarc_sums.h"
#include "policy/quota/quota.h"
#include "policy/verdict/logline.h"
#include "policy/verdict/verdict.h"

/* One decision about a message. Owns what it points to. */
struct entry {
	struct entry *next;
	int64_t at_ms;		/* UNIX time */
	struct logline *line;	/* NULL: it was kept over a restart, and its events were raised */
	const char *text;	/* as the history keeps it, JSON; NULL: not made yet */
	const char *queue_id;	/* or NULL */
	const char *account;	/* or NULL */
	const char *reply;	/* the reply to the client, or NULL */
	enum action action;
	enum action would;
	enum reason reason;
	enum outcome sign;
	const char *sign_domain; /* or NULL */
	size_t recipients;
	uint64_t fresh;		/* of these, new ones, if a limit counts them */
	uint64_t bytes;
	bool connection;
	struct quota_mark *marks; /* limits whose warn_at was crossed */
	size_t n_marks;
	const char *sign_risk;	/* static text, or NULL */
	const char *country;	/* of the client, and its network (AS); NULL: not known */
	const char *network;
	const struct dmarc_sum *dmarc; /* what an aggregate report says of it, or NULL */
	bool in_history;	/* was written */
	bool in_usage;
	bool in_signed;		/* true, too, if it was not signed */
	bool in_rates;
	bool in_dmarc;
	int64_t number;		/* of its row in the backlog (backlog.h); 0: it has none */
	unsigned int kept;	/* what backlog_put_entry() noted */
};

#endif

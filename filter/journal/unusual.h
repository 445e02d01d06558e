/*
 * unusual.h - accounts that send far more than they usually do, seen off the message's path
 *
 * A message of an account whose plan has "N times usual" leaves a note of it. The journal compares
 * what the books have of the account in this hour, from all filters, with what is usual (usual.h),
 * at most once in UNUSUAL_EVERY_MS, and has it blocked: once an hour of one filter of all, so that
 * who unblocks it is not contradicted. Bounded: UNUSUAL_ACCOUNTS are noted at once.
 *
 * Threads: unusual_note() any; the others the journal's. Times are UNIX time in milliseconds.
 */
#ifndef FILTER_JOURNAL_UNUSUAL_H
#define FILTER_JOURNAL_UNUSUAL_H

#include <stdint.h>
#include <talloc.h>

#include "filter/journal/books.h"
#include "filter/store/store.h"
#include "policy/quota/quota.h"

#define UNUSUAL_ACCOUNTS	4096
#define UNUSUAL_EVERY_MS	2000

struct unusual;

/* unusual_new - nothing is noted. host: of this filter. A talloc child of ctx. */
struct unusual *unusual_new(TALLOC_CTX *ctx, const char *host);

/*
 * unusual_note - an account sent a message, which the journal knows already
 * recipients: of it. offence: what store_offence() shall count if it is too much; its one counter
 * has how many times the usual are. It is copied, as is rule.
 */
void unusual_note(struct unusual *unusual, const struct quota_plan *offence,
    const struct store_block_rule *rule, uint64_t recipients, int64_t now_ms);

/* unusual_begin - what is noted from now on may not be in the books when they are written next */
void unusual_begin(struct unusual *unusual);

/* unusual_look - compare the accounts that were noted before unusual_begin(). After the books were
 * written. */
void unusual_look(
    struct unusual *unusual, struct books *books, struct store *store, int64_t now_ms);

/*
 * unusual_read - what is usual for an account at this hour; *recipients_r: what it has sent in it
 * 0: too little is known, or the books cannot be read.
 */
uint64_t unusual_read(
    struct books *books, const char *account, int64_t now_ms, uint64_t *recipients_r);

#endif

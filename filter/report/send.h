/*
 * send.h - send the report to a domain, through sendmail(1)
 *
 * To each address of the record that is allowed to get it (filter/dmarc/destinations.h), one mail.
 * What became of it is kept in the books as JSON:
 *
 *	state	"sent", "waiting" (some address is tried again), "failed", or "none" (no address)
 *	to	the addresses that got it
 *	why	what is wrong, or ""
 *	tries, next	how often it was tried, and when it is tried again (UNIX time in seconds)
 *
 * Threads: a sender belongs to one.
 */
#ifndef FILTER_REPORT_SEND_H
#define FILTER_REPORT_SEND_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/config/configuration.h"
#include "filter/dns/resolver.h"
#include "filter/journal/books.h"
#include "policy/base/map.h"

#define REPORT_ADDRESSES_MAX	5	/* of one domain that get a report */
#define REPORT_HOST_MAX		1000	/* reports to one host of addresses in a round of a day */
#define REPORT_TRIES_MAX	8	/* over some 42 hours */
#define REPORT_MAIL_MAX		(10 * 1024 * 1024) /* octets of a mail; larger ones are not sent */

/* Who sends. */
struct report_sender {
	struct books *books;
	struct resolver *resolver;
	const struct dmarc_report_config *config;
	struct map *hosts;	/* host of addresses => size_t: reports to it */
};

/* report_is_due - is there something left to do for the report, now? by_hand: also if it failed, or
 * waits for its next try */
bool report_is_due(const struct books_dmarc_domain *domain, int64_t now_s, bool by_hand);

/*
 * report_send - send the report of a day, as far as it goes, and keep what became of it
 * Waits for DNS and for sendmail(1). 0, or -1 and *error_r on ctx: the books do not answer.
 */
int report_send(TALLOC_CTX *ctx, const struct report_sender *sender, int day,
    const struct books_dmarc_domain *domain, int64_t now_s, const char **error_r);

#endif

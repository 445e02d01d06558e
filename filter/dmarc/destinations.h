/*
 * destinations.h - where the reports that a record asks for may go (RFC 9990 section 4)
 *
 * An address of another organisation gets reports only if its domain says in DNS that it wants
 * them; else a record could aim our mail at anybody.
 *
 * Threads: as for struct dmarc_asking.
 */
#ifndef FILTER_DMARC_DESTINATIONS_H
#define FILTER_DMARC_DESTINATIONS_H

#include "filter/dmarc/ask.h"
#include "policy/dmarc/address.h"

enum dmarc_destination_state {
	DMARC_DESTINATION_OK,
	DMARC_DESTINATION_REFUSED, /* it has not said that it wants them, or cannot get them */
	DMARC_DESTINATION_UNKNOWN /* DNS does not answer now */
};

struct dmarc_destination {
	enum dmarc_destination_state state;
	const char *uri;	/* as in the record, without the size limit */
	const char *mailbox;	/* where mail goes, normal form; NULL: nowhere */
	const char *host;	/* its domain */
	uint64_t max;		/* octets that it takes; 0: any */
	const char *question;	/* the name that was asked in DNS; NULL: of the same organisation */
	const char *why;	/* for all but OK */
};

/*
 * dmarc_destinations - the addresses of a record, in its order
 * domain: whose record it is; rua: its value. At most DMARC_ADDRESSES_MAX; how many. Texts are on
 * asking.
 */
size_t dmarc_destinations(struct dmarc_asking *asking, const char *domain, const char *rua,
    struct dmarc_destination destinations_r[DMARC_ADDRESSES_MAX]);

#endif

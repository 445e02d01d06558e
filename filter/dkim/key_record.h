/*
 * key_record.h - the DNS record of a DKIM key: written, and compared with the key
 *
 * A key does not sign until the record at <selector>._domainkey.<domain> contains its public
 * half (RFC 6376 section 3.6). Here is what that record must contain, and what
 * an answer of DNS means for a key; key_watch.h decides when to query.
 *
 * Threads: no state; any thread.
 */
#ifndef FILTER_DKIM_KEY_RECORD_H
#define FILTER_DKIM_KEY_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/dkim/keyring.h"
#include "filter/dns/resolver.h"

#define KEY_RECORD_STRING	255	/* octets of one character-string (RFC 1035 section 3.3) */

/* The name of a key's record, without a dot at the end. */
char *key_record_name(TALLOC_CTX *ctx, const char *selector, const char *domain);

/* key_record_text - what the record must say: "v=DKIM1; k=rsa; p=..." */
char *key_record_text(TALLOC_CTX *ctx, const struct keyring_public *key);

/*
 * key_record_zone - the same as it stands in a zone file (RFC 1035 section 5.1)
 * The name is absolute, so the zone's origin does not matter; the text is cut into strings
 * of at most KEY_RECORD_STRING octets. Ends with a line feed.
 */
char *key_record_zone(TALLOC_CTX *ctx, const char *selector, const char *domain,
    const struct keyring_public *key);

/* What DNS says of a key. */
enum key_state {
	KEY_MATCHES, /* others can verify what it signs */
	KEY_UNSEEN,  /* there is no record, or none yet */
	KEY_OTHER,   /* the record contains another key */
	KEY_REVOKED, /* the record says that there is no key any more: p= is empty */
	KEY_UNFIT,   /* the record has the key's name and cannot be used to verify mail */
	KEY_UNKNOWN  /* DNS failed */
};

struct key_finding {
	enum key_state state;
	const char *problem;	/* more about it, or NULL */
	bool testing;		/* t=y: signatures count as if they were not there */
	bool strict;		/* t=s: i= must have the very domain of d= */
	size_t records;		/* TXT records at the name */
};

/* key_state_word - for people and logs: "matches", "not visible yet" ...; never NULL */
const char *key_state_word(enum key_state state);

/*
 * key_record_judge - what an answer to the question for the record (DNS_TXT) says of a key
 * Of several records at the name the one that speaks best for the key counts. problem is on ctx, or
 * static.
 */
void key_record_judge(TALLOC_CTX *ctx, const struct keyring_public *key,
    const struct dns_answer *answer, struct key_finding *finding_r);

#endif

/*
 * record.h - SPF records as values: selecting and parsing them
 *
 * Pure. Text is (pointer, length) throughout: a record may hold any octet, NUL
 * included, and a record that does is a syntax error and never a shorter record.
 * Source: RFC 7208 sections 3, 4.5, 4.6, 5, 6, 7.1 and 12.
 */
#ifndef POLICY_SPF_RECORD_H
#define POLICY_SPF_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

/* Octets that belong to somebody else; no NUL need follow. */
struct spf_text {
	const char *data;	/* NULL: absent */
	size_t len;
};

/* The mechanisms of RFC 7208 section 5. */
enum spf_mechanism {
	SPF_MECH_ALL,
	SPF_MECH_INCLUDE,
	SPF_MECH_A,
	SPF_MECH_MX,
	SPF_MECH_PTR,
	SPF_MECH_IP4,
	SPF_MECH_IP6,
	SPF_MECH_EXISTS
};

/* One directive: qualifier and mechanism. */
struct spf_term {
	enum spf_mechanism mechanism;
	char qualifier;		/* '+', '-', '~' or '?' */
	unsigned char prefix4;	/* IPv4 prefix length: ip4, a, mx; 32 if none was given */
	unsigned char prefix6;	/* IPv6 prefix length: ip6, a, mx; 128 if none was given */
	unsigned char network[16]; /* ip4: the first 4 octets; ip6: all */
	struct spf_text spec;	/* domain-spec, not expanded; absent if none was given */
	struct spf_text text;	/* the whole term as written */
};

/* A record that obeys the grammar. All text points into the text parsed. */
struct spf_record {
	struct spf_term *terms;	/* in the order written */
	size_t n_terms;
	struct spf_text redirect; /* domain-spec of redirect=, or absent */
	struct spf_text exp;	/* domain-spec of exp=, or absent */
};

/* What a set of TXT records holds. */
enum spf_selection {
	SPF_SELECT_NONE,	/* no SPF record */
	SPF_SELECT_ONE,
	SPF_SELECT_SEVERAL	/* a permanent error, RFC 7208 section 4.5 */
};

/*
 * spf_record_is_spf - whether a TXT record is an SPF record
 * True if it begins with "v=spf1" in any case, followed by a space or the
 * end (RFC 7208 section 4.5). What follows may still be nonsense.
 */
bool spf_record_is_spf(const char *text, size_t len);

/*
 * spf_record_select - find the SPF record in a TXT set
 * *index_r is the place of the first one found; unset for SPF_SELECT_NONE.
 */
enum spf_selection spf_record_select(const struct spf_text *texts, size_t n_texts,
    size_t *index_r);

/*
 * spf_record_parse - read a record for which spf_record_is_spf() is true
 * Returns a new record on ctx, which points into text, so text must outlive it.
 * Returns NULL on any syntax error anywhere (RFC 7208 section 4.6) with
 * *error_r, printable ASCII of bounded length on ctx, naming the term.
 * Takes time and memory linear in len.
 */
struct spf_record *spf_record_parse(TALLOC_CTX *ctx, const char *text, size_t len,
    const char **error_r);

/*
 * spf_record_domain_spec_ok - whether text is a domain-spec
 * RFC 7208 section 7.1: visible characters and macros, at the end a macro or a
 * top label. The explanation-only macros (c, r, t) are not accepted.
 */
bool spf_record_domain_spec_ok(const char *text, size_t len);

#endif

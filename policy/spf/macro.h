/*
 * macro.h - SPF macros: checking and expanding them
 *
 * Pure. The values are handed in; %{p} needs DNS, so the caller asks with
 * spf_macro_uses() first whether it has to find the name out.
 * Source: RFC 7208 section 7.
 */
#ifndef POLICY_SPF_MACRO_H
#define POLICY_SPF_MACRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/base/dns.h"

/* Longest explanation that is made. Our bound: it has to fit into an SMTP
 * reply line of 512 octets (RFC 5321 section 4.5.3.1.5) together with our own words. */
#define SPF_EXPLANATION_MAX 400

/* What the macro letters stand for (RFC 7208 section 7.2). All NUL-terminated, never NULL. */
struct spf_values {
	const char *local;	/* l: local part of the sender */
	const char *sender_domain; /* o: domain of the sender; s is l@o */
	const char *domain;	/* d: the domain whose record is read */
	const char *helo;	/* h: HELO or EHLO argument */
	const char *validated;	/* p: validated name of the client, or "unknown" */
	const char *receiver;	/* r: name of the receiving host; explanations only */
	uint64_t time;		/* t: seconds since 1970; explanations only */
	bool ipv6;		/* family of address */
	unsigned char address[16]; /* i, c, v: client; 4 or 16 octets in network order */
};

/*
 * spf_macro_length - length of the macro at the start of text
 * Returns 0 if text does not begin with a valid macro-expand (that includes
 * "%%", "%_" and "%-"). explanation also admits the letters c, r and t.
 */
size_t spf_macro_length(const char *text, size_t len, bool explanation);

/*
 * spf_macro_string_ok - whether text is a macro-string
 * Visible ASCII without a stray "%". explanation admits c, r, t and spaces.
 */
bool spf_macro_string_ok(const char *text, size_t len, bool explanation);

/*
 * spf_macro_uses - whether a valid macro-string uses a macro letter
 * letter is lower case and matches both cases.
 */
bool spf_macro_uses(const char *text, size_t len, char letter);

/*
 * spf_macro_expand_name - expand a valid domain-spec to a name to query
 * One dot at the end is taken off, then labels from the left until the name has
 * at most DNS_NAME_MAX octets. The result is NUL-terminated on ctx, its
 * length is in *len_r; it may hold any octet, and need not be a legal name.
 */
char *spf_macro_expand_name(TALLOC_CTX *ctx, const char *text, size_t len,
    const struct spf_values *values, size_t *len_r);

/*
 * spf_macro_expand_explanation - expand the TXT record that exp= names
 * Returns NULL if text breaks the grammar of explain-string (RFC 7208 section 12).
 * Else printable ASCII on ctx, at most SPF_EXPLANATION_MAX octets; octets of
 * the sender's or the HELO that are not printable become "?".
 */
char *spf_macro_expand_explanation(TALLOC_CTX *ctx, const char *text, size_t len,
    const struct spf_values *values);

/*
 * spf_name_within - whether name equals parent or lies below it, case ignored
 */
bool spf_name_within(const char *name, const char *parent);

/*
 * spf_reverse_name - the name below which an address has its PTR records
 * address as in struct spf_values; the result is on ctx.
 */
char *spf_reverse_name(TALLOC_CTX *ctx, const unsigned char *address, bool ipv6);

#endif

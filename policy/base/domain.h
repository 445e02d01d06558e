/*
 * domain.h - domain names in their normal form, and comparing them
 *
 * The normal form of a name: A-labels (RFC 5891), lower case, no trailing dot.
 * Of an address literal (RFC 5321 section 4.1.3): "[192.0.2.1]" or
 * "[ipv6:2001:db8::7]", as inet_ntop writes it. A literal is a domain like any
 * other to the parsers; no account owns one unless it is listed exactly.
 *
 * Memory: results live in the given talloc context. Threads: any.
 */
#ifndef POLICY_BASE_DOMAIN_H
#define POLICY_BASE_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#define DOMAIN_MAX		253	/* octets of a normal name, RFC 1035 2.3.4 less root */
#define DOMAIN_LABEL_MAX	63	/* octets of a label, RFC 1035 section 2.3.4 */
#define DOMAIN_INPUT_MAX	1024	/* octets looked at before conversion */

/*
 * domain_normalise - the normal form of a name or an address literal
 *
 * text: len octets, ASCII or UTF-8, without white space. One trailing dot is
 * stripped. Labels are letters, digits, hyphens and underscores (which occur in
 * mail though not in host names); UTF-8 is mapped by UTS 46, non-transitional,
 * and must be valid in IDNA2008. ASCII labels that begin with "xn--" are compared
 * as they stand. Invisible characters are refused, except for the joiners where
 * IDNA2008 allows them.
 *
 * Returns the normal form, or NULL with *error_r a clause such as "a label of the
 * domain is empty" (static text, without the stranger's octets). error_r may be
 * NULL.
 */
char *domain_normalise(TALLOC_CTX *ctx, const char *text, size_t len,
    const char **error_r);

/*
 * domain_is_plain - is the text its normal form but for case, NFC and A-labels?
 *
 * UTS 46 also maps fullwidth letters, ligatures and ideographic dots. A reader of
 * addresses follows it; a login that needs it is another's name in disguise. text:
 * what domain_normalise() made normal of.
 */
bool domain_is_plain(const char *text, size_t len, const char *normal);

/*
 * domain_unicode - a normal name with its A-labels as U-labels, in lower case
 *
 * Returns NULL if there is no A-label, or the name that comes out is not one whose normal form
 * this is.
 */
char *domain_unicode(TALLOC_CTX *ctx, const char *domain);

/*
 * domain_is_labels - letters, digits, hyphens and underscores, single dots between labels
 *
 * What DNS is asked for as it stands: selectors and d= (RFC 6376 section 3.1). NUL-terminated.
 */
bool domain_is_labels(const char *text);

/* True if a normal form is an address literal. */
bool domain_is_literal(const char *domain);

/* True if two normal forms are the same domain. */
bool domain_equal(const char *a, const char *b);

/*
 * domain_is_or_below - is child the parent itself or a name below it?
 *
 * Both in normal form; compared by whole labels. Nothing is below a literal.
 */
bool domain_is_or_below(const char *child, const char *parent);

#endif

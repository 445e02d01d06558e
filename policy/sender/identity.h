/*
 * identity.h - accounts, and which addresses belong to them
 *
 * Pure rules only: the lookups in owners tables are filter/'s, the verdict is
 * verdict.c's. Addresses are in normal form (address.h) throughout.
 *
 * Memory: results live in the given talloc context. Threads: any.
 */
#ifndef POLICY_SENDER_IDENTITY_H
#define POLICY_SENDER_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#define IDENTITY_LOGIN_MAX	512	/* octets of a login */
#define IDENTITY_KEYS_MAX	9	/* keys that one address is looked up by */

/* One key of an address. */
struct identity_key {
	const char *text;
	bool whole;		/* it spells the address in full; else it is a partial key */
};

/*
 * identity_account - the normal form of a login
 *
 * Lower-cased and in NFC; what follows the last "@" is normalised as a domain; a
 * login without "@" gets "@realm", if realm (a normal domain) is not NULL or
 * empty, and is used as it is otherwise. Refused: the empty login, control
 * characters, white space and commas (no table could list it), malformed UTF-8 and
 * invisible characters, "@" at the start or end, a domain that is none or is spelt with
 * characters that stand for others (domain_is_plain), more than IDENTITY_LOGIN_MAX
 * octets. Returns NULL with *error_r, a clause of static text;
 * error_r may be NULL.
 */
char *identity_account(TALLOC_CTX *ctx, const char *login, const char *realm,
    const char **error_r);

/*
 * identity_owner_keys - what an owners table is asked for an address, in order
 *
 * The partial keys of Postfix smtpd_sender_login_maps, first hit wins:
 *   user+tag@domain, user@domain, user+tag, user, @domain
 * the second and fourth if there is a sub-address (delimiters, see
 * address_base), the third and fourth if domain is one of local_domains (normal
 * domains divided by commas or white space; NULL for none) or there is no domain,
 * the last if there is a domain. A local part that is quoted for the places of its
 * dots alone (foo..bar, foo.) is looked up without quotes too, right after, as Postfix
 * does: people write it so. keys_r gets at most IDENTITY_KEYS_MAX strings.
 * Returns how many.
 */
size_t identity_owner_keys(TALLOC_CTX *ctx, const char *address,
    const char *delimiters, const char *local_domains,
    struct identity_key keys_r[IDENTITY_KEYS_MAX]);

/*
 * identity_key_unicode - the other spelling of a key: its domain in U-labels
 *
 * key: an address, "@domain" or a domain, in normal form. Administrators write
 * info@bücher.example where the normal form has A-labels, and Postfix finds it. Returns
 * NULL if the domain has no A-label that decodes to a valid name.
 */
char *identity_key_unicode(TALLOC_CTX *ctx, const char *key);

/*
 * identity_list_has - does a table's value name this account?
 *
 * value: logins divided by commas or white space. Each is brought to the form of
 * identity_account() and compared with account and, if login is not NULL, with
 * the account form of login (they differ if a login map is in use). An entry
 * that is no login is passed over.
 */
bool identity_list_has(const char *value, const char *account, const char *login,
    const char *realm);

/*
 * Does the account's own name, quoted as an address must be, or a sub-address of it, equal the
 * address? An address that is not plain (address_is_plain) has no sub-address here.
 */
bool identity_owns_itself(const char *account, const char *address,
    const char *delimiters);

/* What a pattern of an account's "owns" list covers. */
enum identity_pattern_kind {
	IDENTITY_ADDRESS,	/* info@example.org, and its sub-addresses */
	IDENTITY_DOMAIN,	/* @example.net: every address of exactly this domain */
	IDENTITY_SUBDOMAINS,	/* @.example.net: of this domain and all below it */
	IDENTITY_ANY		/* *: every address */
};

/* A pattern, normalised once when the configuration is loaded. */
struct identity_pattern {
	enum identity_pattern_kind kind;
	const char *text;	/* normal address or domain; "" for ANY */
};

/*
 * identity_pattern_read - read and check an entry of an "owns" list
 *
 * fold_local: as in struct address_rules. Returns 0, or -1 with *error_r, a clause
 * that says what is wrong and what to write instead (in ctx or static).
 */
int identity_pattern_read(TALLOC_CTX *ctx, const char *text, bool fold_local,
    struct identity_pattern *pattern_r, const char **error_r);

/* Does a pattern cover an address? One that is not plain (address_is_plain) must be listed whole,
 * unless the pattern covers every address. */
bool identity_pattern_matches(const struct identity_pattern *pattern,
    const char *address, const char *delimiters);

#endif

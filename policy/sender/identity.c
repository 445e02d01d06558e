/*
 * identity.c - accounts, and which addresses belong to them
 *
 * An account is a login in one spelling. Owners come from three places: the login
 * itself (it owns the address equal to it), tables that lead from an address to
 * logins in the manner of Postfix's smtpd_sender_login_maps, and the "owns" lists
 * of the configuration, which lead from an account to addresses. The rules of all
 * three are here; who asks the tables is filter/'s business.
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/address.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/sender/identity.h"

/* login_error - what is wrong with the octets of a login, or NULL */
static const char *
login_error(const char *login, size_t len)
{
	if (len == 0)
		return "the login is empty";
	if (len > IDENTITY_LOGIN_MAX)
		return "the login is too long";
	if (text_has_strange(login, len))
		return "the login holds a character that no login has";
	for (size_t i = 0; i < len; i++)
		if (text_is_space(login[i]) || login[i] == ',')
			return "the login holds white space or a comma";
	if (login[0] == '@' || login[len - 1] == '@')
		return "the login has nothing before or after its at sign";
	return NULL;
}

/* account_of - the normal form of len octets of a login */
static char *
account_of(TALLOC_CTX *ctx, const char *login, size_t len, const char *realm,
    const char **error_r)
{
	const char *at = NULL;
	char *local, *domain = NULL, *account;

	*error_r = login_error(login, len);
	if (*error_r != NULL)
		return NULL;
	at = memrchr(login, '@', len);
	if (at != NULL) {
		domain = domain_normalise(ctx, at + 1,
		    len - (size_t)(at + 1 - login), error_r);
		if (domain == NULL)
			return NULL;
		if (!domain_is_plain(at + 1, len - (size_t)(at + 1 - login), domain)) {
			*error_r = "the domain of the login is not in its plain spelling";
			talloc_free(domain);
			return NULL;
		}
		len = (size_t)(at - login);
	} else if (realm != NULL && realm[0] != '\0') {
		domain = mem_strdup(ctx, realm);
	}
	local = mem_check(text_fold_utf8(ctx, login, len, true));
	if (domain == NULL)
		return local;
	account = mem_printf(ctx, "%s@%s", local, domain);
	talloc_free(local);
	talloc_free(domain);
	return account;
}

/* identity_account - the normal form of a login */
char *
identity_account(TALLOC_CTX *ctx, const char *login, const char *realm,
    const char **error_r)
{
	const char *ignored;

	return account_of(ctx, login, strlen(login), realm,
	    error_r == NULL ? &ignored : error_r);
}

/* is_local - is the domain one of a list, or absent? */
static bool
is_local(const char *domain, const char *local_domains)
{
	struct span rest = text_span(local_domains), item;

	if (domain[0] == '\0')
		return true;
	while (text_list_next(&rest, &item))
		if (text_equal_fold(item, text_span(domain)))
			return true;
	return false;
}

/* local_text - the local part as it stands in an address, quotes and all */
static const char *
local_text(TALLOC_CTX *ctx, const char *full, const struct address *address)
{
	size_t len = (size_t)(address->domain - address->full);

	if (address->domain[0] != '\0')
		len--;		/* the at sign */
	return mem_strndup(ctx, full, len);
}

/* identity_is_dotted - is the local part quoted for the places of its dots alone? */
static bool
identity_is_dotted(const struct address *address)
{
	return address->full[0] == '"' && address->local[0] != '\0' &&
	    strpbrk(address->local, " \t\"(),:;<>@[\\]") == NULL;
}

/* identity_add_keys - the key of one address, or of its local part; also without quotes if
 * only dots need them */
static size_t
identity_add_keys(TALLOC_CTX *ctx, const struct address *address, bool with_domain,
    bool whole, struct identity_key keys_r[IDENTITY_KEYS_MAX], size_t n)
{
	keys_r[n++] = (struct identity_key){
		with_domain ? address->full : local_text(ctx, address->full, address), whole };
	if (identity_is_dotted(address))
		keys_r[n++] = (struct identity_key){
			with_domain ? mem_printf(ctx, "%s@%s", address->local, address->domain) :
			    address->local, whole };
	return n;
}

/* identity_owner_keys - what an owners table is asked for an address, in order */
size_t
identity_owner_keys(TALLOC_CTX *ctx, const char *address, const char *delimiters,
    const char *local_domains, struct identity_key keys_r[IDENTITY_KEYS_MAX])
{
	const char *base = address_base(ctx, address, delimiters);
	struct address whole, plain;
	bool has_domain;
	size_t n = 0;

	address_split(ctx, address, &whole);
	has_domain = whole.domain[0] != '\0';
	if (base != NULL)
		address_split(ctx, base, &plain);

	if (has_domain)
		n = identity_add_keys(ctx, &whole, true, true, keys_r, n);
	if (has_domain && base != NULL)
		n = identity_add_keys(ctx, &plain, true, false, keys_r, n);
	if (is_local(whole.domain, local_domains)) {
		n = identity_add_keys(ctx, &whole, false, !has_domain, keys_r, n);
		if (base != NULL)
			n = identity_add_keys(ctx, &plain, false, false, keys_r, n);
	}
	if (has_domain)
		keys_r[n++] =
		    (struct identity_key){ mem_printf(ctx, "@%s", whole.domain), false };
	return n;
}

/* identity_key_unicode - the other spelling of a key: its domain in U-labels */
char *
identity_key_unicode(TALLOC_CTX *ctx, const char *key)
{
	const char *at = strrchr(key, '@');
	const char *domain = at != NULL ? at + 1 : key;
	char *unicode = domain_unicode(ctx, domain), *spelled;

	if (unicode == NULL)
		return NULL;
	spelled = mem_printf(ctx, "%.*s%s", (int)(domain - key), key, unicode);
	talloc_free(unicode);
	return spelled;
}

/* names - is this entry of a table the login that is meant? */
static bool
names(TALLOC_CTX *work, struct span entry, const char *account, const char *mapped,
    const char *realm)
{
	const char *ignored;
	char *normal = account_of(work, entry.at, entry.len, realm, &ignored);
	bool same;

	if (normal == NULL)
		return false;
	same = strcmp(normal, account) == 0 ||
	    (mapped != NULL && strcmp(normal, mapped) == 0);
	talloc_free(normal);
	return same;
}

/* identity_list_has - does a table's value name this account? */
bool
identity_list_has(const char *value, const char *account, const char *login,
    const char *realm)
{
	TALLOC_CTX *work = mem_check(talloc_new(NULL));
	const char *mapped = login == NULL ? NULL :
	    identity_account(work, login, realm, NULL);
	struct span rest = text_span(value), entry;
	bool found = false;

	while (!found && text_list_next(&rest, &entry))
		found = names(work, entry, account, mapped, realm);
	talloc_free(work);
	return found;
}

/* is_or_base_is - is the address this one, or a sub-address of it? */
static bool
is_or_base_is(const char *address, const char *wanted, const char *delimiters)
{
	char *base;
	bool same;

	if (strcmp(address, wanted) == 0)
		return true;
	if (!address_is_plain(address))
		return false;
	base = address_base(NULL, address, delimiters);
	same = base != NULL && strcmp(base, wanted) == 0;
	talloc_free(base);
	return same;
}

/*
 * identity_owns_itself - is the address the account's own name?
 *
 * A login is written without quotes although its address needs them: foo..bar@docomo.example
 * owns "foo..bar"@docomo.example.
 */
bool
identity_owns_itself(const char *account, const char *address, const char *delimiters)
{
	static const struct address_rules rules = { .fold_local = true };
	const char *at = strrchr(account, '@');
	struct address own;
	TALLOC_CTX *work;
	bool same;

	if (is_or_base_is(address, account, delimiters))
		return true;
	if (at == NULL || address[0] != '"')
		return false;
	work = mem_check(talloc_new(NULL));
	same = address_normalise(work, account, (size_t)(at - account), at + 1,
	    strlen(at + 1), &rules, &own, NULL) == 0 &&
	    is_or_base_is(address, own.full, delimiters);
	talloc_free(work);
	return same;
}

/* identity_pattern_domain - read what follows "@" in a pattern */
static int
identity_pattern_domain(TALLOC_CTX *ctx, const char *text, struct identity_pattern *pattern_r,
    const char **error_r)
{
	const char *problem = NULL;

	pattern_r->kind = IDENTITY_DOMAIN;
	if (text[0] == '.') {
		pattern_r->kind = IDENTITY_SUBDOMAINS;
		text++;
	}
	pattern_r->text = domain_normalise(ctx, text, strlen(text), &problem);
	if (pattern_r->text != NULL)
		return 0;
	*error_r = mem_printf(ctx, "%s; write @example.org, or @.example.org to "
	    "cover what is below it too", problem);
	return -1;
}

/* pattern_address - read a pattern that is one address */
static int
pattern_address(TALLOC_CTX *ctx, const char *text, bool fold_local,
    struct identity_pattern *pattern_r, const char **error_r)
{
	struct address_rules rules = { .fold_local = fold_local };
	struct address address;
	const char *problem = NULL;

	if (address_parse_path(ctx, text, strlen(text), &rules, &address,
	    &problem) != ADDRESS_PATH_MAILBOX) {
		*error_r = problem != NULL ? problem : "this is not an address";
		return -1;
	}
	if (address.domain[0] == '\0') {
		*error_r = strchr(text, '.') != NULL ?
		    "this is not an address; for all addresses of a domain write it as "
		    "@example.org" :
		    "the address has no domain; write info@example.org";
		return -1;
	}
	pattern_r->kind = IDENTITY_ADDRESS;
	pattern_r->text = address.full;
	return 0;
}

/* identity_pattern_read - read and check an entry of an "owns" list */
int
identity_pattern_read(TALLOC_CTX *ctx, const char *text, bool fold_local,
    struct identity_pattern *pattern_r, const char **error_r)
{
	const char *ignored;
	const char **problem_r = error_r == NULL ? &ignored : error_r;

	*problem_r = NULL;
	if (text[0] == '\0' || strcmp(text, "<>") == 0) {
		*problem_r = "an empty entry covers nothing; remove it";
		return -1;
	}
	if (strcmp(text, "*") == 0) {
		pattern_r->kind = IDENTITY_ANY;
		pattern_r->text = "";
		return 0;
	}
	if (strncmp(text, "*@", 2) == 0) {
		*problem_r = "for all addresses of a domain write @example.org, without the star";
		return -1;
	}
	if (strchr(text, '*') != NULL) {
		*problem_r = "a star stands only by itself, for every address";
		return -1;
	}
	if (text[0] == '@')
		return identity_pattern_domain(ctx, text + 1, pattern_r, problem_r);
	return pattern_address(ctx, text, fold_local, pattern_r, problem_r);
}

/* identity_pattern_matches - does a pattern cover an address? */
bool
identity_pattern_matches(const struct identity_pattern *pattern,
    const char *address, const char *delimiters)
{
	const char *at = strrchr(address, '@');

	switch (pattern->kind) {
	case IDENTITY_ANY:
		return true;
	case IDENTITY_ADDRESS:
		return is_or_base_is(address, pattern->text, delimiters);
	case IDENTITY_DOMAIN:
		return at != NULL && address_is_plain(address) &&
		    domain_equal(at + 1, pattern->text);
	case IDENTITY_SUBDOMAINS:
		return at != NULL && address_is_plain(address) &&
		    domain_is_or_below(at + 1, pattern->text);
	}
	return false;
}

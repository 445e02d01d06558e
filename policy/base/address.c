/*
 * address.c - mail addresses: SMTP paths, normal form, parts
 *
 * address_list.c reads the lists of mailboxes in header fields.
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

/*
 * Characters
 */

/* address_is_atext - may this octet stand in an atom? RFC 5322 section 3.2.3, RFC 6532 3.2 */
bool
address_is_atext(char c)
{
	static const char others[] = "!#$%&'*+-/=?^_`{|}~";

	if ((unsigned char)c >= 0x80 || text_is_alnum(c))
		return true;
	return c != '\0' && strchr(others, c) != NULL;
}

/* address_is_dotted - may this octet stand in an unquoted local part? */
bool
address_is_dotted(char c)
{
	return c == '.' || address_is_atext(c);
}

/*
 * The normal form
 */

/* local_needs_quotes - is this local part no dot-atom? */
static bool
local_needs_quotes(const char *local, size_t len)
{
	if (len == 0 || local[0] == '.' || local[len - 1] == '.')
		return true;
	for (size_t i = 0; i < len; i++) {
		if (!address_is_dotted(local[i]))
			return true;
		if (local[i] == '.' && local[i + 1] == '.')
			return true;
	}
	return false;
}

/* local_quote - a local part as it is written in an address */
static char *
local_quote(TALLOC_CTX *ctx, const char *local)
{
	size_t len = strlen(local), n = 0;
	char *quoted;

	if (!local_needs_quotes(local, len))
		return mem_strndup(ctx, local, len);
	quoted = mem_array(ctx, char, 2 * len + 3);
	quoted[n++] = '"';
	for (size_t i = 0; i < len; i++) {
		if (local[i] == '"' || local[i] == '\\')
			quoted[n++] = '\\';
		quoted[n++] = local[i];
	}
	quoted[n] = '"';
	return quoted;
}

/* address_build - put a normal local part and a normal domain together */
static void
address_build(TALLOC_CTX *ctx, const char *local, const char *domain,
    struct address *address_r)
{
	char *quoted = local_quote(ctx, local);
	size_t len = strlen(quoted);

	address_r->local = local;
	address_r->full = domain[0] == '\0' ? mem_strdup(ctx, quoted) :
	    mem_printf(ctx, "%s@%s", quoted, domain);
	address_r->domain = address_r->full + len + (domain[0] != '\0');
	talloc_free(quoted);
}

/* local_error - what is wrong with an unquoted local part, or NULL */
static const char *
local_error(const char *local, size_t len)
{
	if (len > ADDRESS_LOCAL_MAX)
		return "the local part is too long";
	if (!text_is_utf8(local, len))
		return "the local part is not valid UTF-8";
	if (text_has_strange(local, len))
		return "the local part holds a character that no address has";
	return NULL;
}

/* address_normalise - put together an address from its parts */
int
address_normalise(TALLOC_CTX *ctx, const char *local, size_t local_len,
    const char *domain, size_t domain_len, const struct address_rules *rules,
    struct address *address_r, const char **error_r)
{
	const char *ignored;
	const char **problem_r = error_r == NULL ? &ignored : error_r;
	char *folded, *normal;

	*problem_r = local_error(local, local_len);
	if (*problem_r != NULL)
		return -1;
	if (domain_len > 0)
		normal = domain_normalise(ctx, domain, domain_len, problem_r);
	else
		normal = mem_strdup(ctx, rules->default_domain == NULL ? "" :
		    rules->default_domain);
	if (normal == NULL)
		return -1;
	if (domain_len > 0 && !domain_is_plain(domain, domain_len, normal)) {
		*problem_r = "the domain is written with characters that stand for others";
		talloc_free(normal);
		return -1;
	}
	folded = mem_check(text_fold_utf8(ctx, local, local_len, rules->fold_local));
	address_build(ctx, folded, normal, address_r);
	talloc_free(normal);
	return 0;
}

/* address_unquote - the text of a quoted string; returns octets consumed, or 0 if it has no end */
size_t
address_unquote(const char *at, size_t len, char *out, size_t *len_r)
{
	size_t n = 0;

	for (size_t i = 1; i < len; i++) {
		if (at[i] == '"') {
			*len_r = n;
			return i + 1;
		}
		if (at[i] == '\\' && ++i == len)
			break;
		if (at[i] != '\r' && at[i] != '\n')	/* unfolding, RFC 5322 2.2.3 */
			out[n++] = at[i];
	}
	return 0;
}

/* address_split - the parts of an address in normal form */
void
address_split(TALLOC_CTX *ctx, const char *full, struct address *address_r)
{
	size_t len = strlen(full), n = 0, end;
	char *local = mem_array(ctx, char, len + 1);
	char *copy = mem_strndup(ctx, full, len);

	if (full[0] == '"') {
		end = address_unquote(full, len, local, &n);
	} else {
		const char *at = strrchr(full, '@');

		end = at == NULL ? len : (size_t)(at - full);
		memcpy(local, full, end);
	}
	address_r->full = copy;
	address_r->local = local;
	address_r->domain = copy + end + (copy[end] == '@');
}

/* is_indivisible - is this a local part that Postfix never cuts? */
static bool
is_indivisible(const char *local, const char *delimiters)
{
	static const char *const whole[] = { "postmaster", "mailer-daemon", "double-bounce" };
	struct span text = text_span(local);
	struct span owner = text_span("owner-"), request = text_span("-request");

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (text_equal_fold(text, text_span(whole[i])))
			return true;
	if (strchr(delimiters, '-') == NULL)
		return false;
	if (text.len > owner.len &&
	    text_equal_fold(text_span_of(local, owner.len), owner))
		return true;
	return text.len > request.len &&
	    text_equal_fold(text_span(local + text.len - request.len), request);
}

/* address_base - an address without its sub-address */
char *
address_base(TALLOC_CTX *ctx, const char *full, const char *delimiters)
{
	struct address whole, base;
	TALLOC_CTX *work;
	char *result = NULL;
	size_t n;

	if (delimiters == NULL || delimiters[0] == '\0')
		return NULL;
	work = mem_check(talloc_new(ctx));
	address_split(work, full, &whole);
	n = strcspn(whole.local, delimiters);
	if (n > 0 && whole.local[n] != '\0' &&
	    !is_indivisible(whole.local, delimiters)) {
		address_build(work, mem_strndup(work, whole.local, n),
		    whole.domain, &base);
		result = mem_strdup(ctx, base.full);
	}
	talloc_free(work);
	return result;
}

/* address_is_plain - has the local part nothing that a sloppy reader takes for an address? */
bool
address_is_plain(const char *full)
{
	const char *end;

	if (full[0] != '"')
		return true;
	end = strrchr(full, '"');
	for (const char *at = full + 1; at < end; at++)
		if (strchr("@<>()[],:;\"\\", *at) != NULL)
			return false;
	return true;
}

/* address_may_route - may an MTA find another address inside the local part? */
bool
address_may_route(const char *full)
{
	const char *end = strrchr(full, full[0] == '"' ? '"' : '@');
	size_t len = end == NULL ? strlen(full) : (size_t)(end - full);

	for (size_t i = 0; i < len; i++)
		if (full[i] == '%' || full[i] == '!' || full[i] == '@')
			return true;
	return false;
}

/* inner_add - the address local@domain, both cut out of a local part, if it is one */
static size_t
inner_add(TALLOC_CTX *ctx, struct span local, struct span domain,
    const char *inner_r[ADDRESS_INNER_MAX], size_t n)
{
	static const struct address_rules rules = { .fold_local = true };
	struct address address;

	if (local.len == 0 || domain.len == 0 ||
	    address_normalise(ctx, local.at, local.len, domain.at, domain.len, &rules,
	    &address, NULL) < 0)
		return n;
	inner_r[n] = address.full;
	return n + 1;
}

/* address_inner - the addresses that an MTA may find inside a local part */
size_t
address_inner(TALLOC_CTX *ctx, const char *full, const char *inner_r[ADDRESS_INNER_MAX])
{
	struct address address;
	const char *at, *percent, *bang;
	size_t n = 0;

	address_split(ctx, full, &address);
	at = strrchr(address.local, '@');
	percent = strrchr(address.local, '%');
	bang = strchr(address.local, '!');
	if (at != NULL)
		n = inner_add(ctx, text_span_of(address.local, (size_t)(at - address.local)),
		    text_span(at + 1), inner_r, n);
	if (percent != NULL)
		n = inner_add(ctx, text_span_of(address.local, (size_t)(percent - address.local)),
		    text_span(percent + 1), inner_r, n);
	if (bang != NULL)
		n = inner_add(ctx, text_span(bang + 1),
		    text_span_of(address.local, (size_t)(bang - address.local)), inner_r, n);
	return n;
}

/*
 * SMTP paths
 */

/* path_after_route - where the mailbox begins after a source route, or NULL */
static const char *
path_after_route(const char *path, size_t len)
{
	bool literal = false;

	for (size_t i = 0; i < len; i++) {
		if (path[i] == '[' || path[i] == ']')
			literal = path[i] == '[';
		else if (path[i] == ':' && !literal)
			return path + i + 1;
		else if (!text_is_alnum(path[i]) && (unsigned char)path[i] < 0x80 &&
		    strchr("@,.-_:", path[i]) == NULL)
			return NULL;
	}
	return NULL;
}

/* path_local - read the local part; octets consumed, or 0 with *error_r */
static size_t
path_local(const char *path, size_t len, char *local, size_t *local_len_r,
    const char **error_r)
{
	size_t n = 0;

	if (path[0] == '"') {
		n = address_unquote(path, len, local, local_len_r);
		if (n == 0)
			*error_r = "a quoted string has no end";
		return n;
	}
	while (n < len && address_is_dotted(path[n]))
		n++;
	if (n == 0)
		*error_r = "the address has no local part";
	memcpy(local, path, n);
	*local_len_r = n;
	return n;
}

/* path_mailbox - read local@domain */
static enum address_path
path_mailbox(TALLOC_CTX *ctx, const char *path, size_t len,
    const struct address_rules *rules, struct address *address_r,
    const char **error_r)
{
	char *local = mem_array(ctx, char, len + 1);
	size_t local_len = 0;
	size_t n = path_local(path, len, local, &local_len, error_r);
	int rc = -1;

	if (n > 0 && n < len && path[n] != '@') {
		*error_r = "the address holds a character that must be quoted";
	} else if (n > 0 && n + 1 == len) {
		*error_r = "the address has no domain";
	} else if (n > 0) {
		size_t skip = n < len ? n + 1 : n;

		rc = address_normalise(ctx, local, local_len, path + skip,
		    len - skip, rules, address_r, error_r);
	}
	talloc_free(local);
	return rc == 0 ? ADDRESS_PATH_MAILBOX : ADDRESS_PATH_MALFORMED;
}

/* address_parse_path - read the argument of MAIL FROM or RCPT TO */
enum address_path
address_parse_path(TALLOC_CTX *ctx, const char *path, size_t len,
    const struct address_rules *rules, struct address *address_r,
    const char **error_r)
{
	const char *ignored, *mailbox;
	const char **problem_r = error_r == NULL ? &ignored : error_r;

	memset(address_r, 0, sizeof(*address_r));
	*problem_r = NULL;
	if (len > 0 && path[0] == '<') {
		if (path[len - 1] != '>') {
			*problem_r = "the angle brackets do not match";
			return ADDRESS_PATH_MALFORMED;
		}
		path++;
		len -= 2;
	}
	if (len == 0) {
		address_r->full = address_r->local = address_r->domain = "";
		return ADDRESS_PATH_NULL;
	}
	if (path[0] == '@') {
		mailbox = path_after_route(path, len);
		if (mailbox == NULL || mailbox == path + len) {
			*problem_r = "the source route leads to no address";
			return ADDRESS_PATH_MALFORMED;
		}
		len -= (size_t)(mailbox - path);
		path = mailbox;
	}
	if (len > 4 * (ADDRESS_LOCAL_MAX + DOMAIN_INPUT_MAX)) {
		*problem_r = "the address is too long";
		return ADDRESS_PATH_MALFORMED;
	}
	return path_mailbox(ctx, path, len, rules, address_r, problem_r);
}

/* address_folded - the address as display names are compared with it */
const char *
address_folded(TALLOC_CTX *ctx, const struct address *address)
{
	struct address folded;
	char *local = mem_check(text_fold_utf8(ctx, address->local,
	    strlen(address->local), true));

	address_build(ctx, local, address->domain, &folded);
	return folded.full;
}

/*
 * address.c - report addresses: the URIs of rua=, and the mailboxes that they mean
 *
 * Threads: see address.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/dmarc/address.h"

#define LOCAL_MAX	64	/* octets of a local part (RFC 5321 section 4.5.3.1.1) */
#define MAX_LARGEST	(UINT64_C(1) << 50) /* more octets than that are no limit */

/* scheme_length - octets of the scheme before the colon (RFC 3986 section 3.1); 0: there is none */
static size_t
scheme_length(struct span uri)
{
	size_t n = 0;

	while (n < uri.len &&
	    (text_is_alpha(uri.at[n]) ||
		(n > 0 && (text_is_digit(uri.at[n]) || strchr("+-.", uri.at[n]) != NULL))))
		n++;
	return n < uri.len && uri.at[n] == ':' ? n : 0;
}

/* is_uri_text - only octets that a URI may hold (RFC 3986 section 2), and at least one */
static bool
is_uri_text(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] <= ' ' || text.at[i] > '~' ||
		    strchr("<>\"\\^`{|}", text.at[i]) != NULL)
			return false;
	return text.len > 0;
}

/* is_address - something, an at sign, and something; the rest is for who sends there */
static bool
is_address(struct span text)
{
	const char *at = memchr(text.at, '@', text.len);

	return at != NULL && at > text.at && at + 1 < text.at + text.len;
}

/* read_max - the size limit after an exclamation mark: digits, then k, m, g, t or nothing */
static uint64_t
read_max(struct span text)
{
	static const char units[] = "kmgt";
	uint64_t max = 0;
	size_t i = 0;

	for (; i < text.len && text_is_digit(text.at[i]) && max < MAX_LARGEST; i++)
		max = 10 * max + (uint64_t)(text.at[i] - '0');
	if (i + 1 == text.len && strchr(units, text_lower(text.at[i])) != NULL)
		for (const char *unit = units; max < MAX_LARGEST; unit++) {
			max *= 1024;
			if (*unit == text_lower(text.at[i]))
				break;
		}
	else if (i < text.len)
		max = 0;
	return max >= MAX_LARGEST ? 0 : max;
}

bool
dmarc_uri_next(struct span *rest, struct dmarc_uri *uri_r)
{
	while (rest->at != NULL) {
		const char *comma = memchr(rest->at, ',', rest->len);
		size_t len = comma == NULL ? rest->len : (size_t)(comma - rest->at);
		struct span text = text_trim(text_span_of(rest->at, len)), after;
		const char *mark = text.len == 0 ? NULL : memchr(text.at, '!', text.len);
		size_t scheme;

		*uri_r = (struct dmarc_uri){ .max = 0 };
		*rest = comma == NULL ? text_span_of(NULL, 0) :
		    text_span_of(comma + 1, rest->len - len - 1);
		if (mark != NULL) {
			size_t before = (size_t)(mark - text.at);

			uri_r->max = read_max(text_span_of(mark + 1, text.len - before - 1));
			text.len = before;
		}
		scheme = scheme_length(text);
		after = text_span_of(text.at + scheme + 1, text.len - scheme - 1);
		if (scheme == 0 || !is_uri_text(after))
			continue;
		uri_r->text = text;
		if (!text_equal_fold(text_span_of(text.at, scheme), text_span("mailto")))
			return true;
		if (!is_address(after))
			continue;
		uri_r->mailto = after;
		return true;
	}
	return false;
}

/* hex_value - of a digit, or -1 */
static int
hex_value(char c)
{
	return text_is_digit(c) ? c - '0' :
	    text_lower(c) >= 'a' && text_lower(c) <= 'f' ? text_lower(c) - 'a' + 10 : -1;
}

/* decode - percent-encoding undone, up to a question mark; false: it is wrong */
static bool
decode(struct span text, char *out)
{
	for (size_t i = 0; i < text.len && text.at[i] != '?'; i++) {
		if (text.at[i] != '%') {
			*out++ = text.at[i];
			continue;
		}
		if (i + 2 >= text.len || hex_value(text.at[i + 1]) < 0 ||
		    hex_value(text.at[i + 2]) < 0)
			return false;
		*out = (char)(16 * hex_value(text.at[i + 1]) + hex_value(text.at[i + 2]));
		if (*out++ == '\0')
			return false;
		i += 2;
	}
	*out = '\0';
	return true;
}

/* is_plain_local - atoms and dots, that no program takes for an option */
static bool
is_plain_local(const char *local, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!text_is_alnum(local[i]) && strchr(".#$&'*+/=?^_{|}~-", local[i]) == NULL)
			return false;
	return len > 0 && len <= LOCAL_MAX && local[0] != '-' && local[0] != '|' &&
	    local[0] != '/';
}

const char *
dmarc_mailbox(TALLOC_CTX *ctx, struct span mailto, const char **domain_r, const char **error_r)
{
	char *text = mem_array(ctx, char, mailto.len + 1), *at, *mailbox;
	const char *domain = NULL;

	*error_r = "it is not a plain address";
	if (!decode(mailto, text) || (at = strrchr(text, '@')) == NULL ||
	    !is_plain_local(text, (size_t)(at - text)))
		return NULL;
	domain = domain_normalise(ctx, at + 1, strlen(at + 1), error_r);
	if (domain == NULL)
		return NULL;
	*error_r = "its domain is not a mail domain";
	if (domain_is_literal(domain) || strchr(domain, '.') == NULL)
		return NULL;
	*error_r = NULL;
	mailbox = mem_printf(ctx, "%.*s@%s", (int)(at - text), text, domain);
	*domain_r = mailbox + (at - text) + 1;
	return mailbox;
}

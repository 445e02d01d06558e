/*
 * domain.c - domain names in their normal form
 *
 * Two spellings of a domain are one domain when their A-labels are the same; so
 * that is the normal form, and comparing is strcmp(). libidn2 converts; its
 * result goes through the same check as ASCII input, so that nothing which UTS 46
 * maps to odd ASCII gets by.
 *
 * ASCII names do not pass libidn2: most names are ASCII, and an "xn--" label is
 * what DNS asks for whether or not it decodes to anything sensible.
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <idn2.h>
#include <stdint.h>
#include <string.h>

#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

static const char error_length[] = "the domain is too long";
static const char error_literal[] = "the address literal holds no IP address";
static const char error_utf8[] = "the domain is not valid UTF-8";
static const char error_invisible[] = "the domain holds a character that cannot be seen";
static const char error_idna[] = "the domain is not a valid international name";
static const char error_empty[] = "the domain is empty";
static const char error_label_empty[] = "a label of the domain is empty";
static const char error_label_length[] = "a label of the domain is too long";
static const char error_character[] = "the domain holds a character that no domain has";

/* ascii_error - what is wrong with an ASCII name, or NULL */
static const char *
ascii_error(const char *name, size_t len)
{
	size_t label = 0;

	if (len == 0)
		return error_empty;
	if (len > DOMAIN_MAX)
		return error_length;
	for (size_t i = 0; i <= len; i++) {
		if (i == len || name[i] == '.') {
			if (label == 0)
				return error_label_empty;
			if (label > DOMAIN_LABEL_MAX)
				return error_label_length;
			label = 0;
			continue;
		}
		if (!text_is_alnum(name[i]) && name[i] != '-' && name[i] != '_')
			return error_character;
		label++;
	}
	return NULL;
}

/* ascii_normalise - the normal form of an ASCII name */
static char *
ascii_normalise(TALLOC_CTX *ctx, const char *name, size_t len, const char **error_r)
{
	*error_r = ascii_error(name, len);
	return *error_r == NULL ? text_lower_copy(ctx, name, len) : NULL;
}

/* is_joiner - ZERO WIDTH (NON-)JOINER, which IDNA2008 allows in places (RFC 5892 A.1) */
static bool
is_joiner(const char *bytes, size_t len)
{
	return len == 3 && memcmp(bytes, "\xe2\x80", 2) == 0 &&
	    (bytes[2] == (char)0x8c || bytes[2] == (char)0x8d);
}

/* has_invisible - would UTS 46 drop a character without anybody seeing it? */
static bool
has_invisible(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t n = text_invisible(name + i, len - i);

		if (n > 0 && !is_joiner(name + i, n))
			return true;
	}
	return false;
}

/* idn_normalise - the normal form of a name in UTF-8 */
static char *
idn_normalise(TALLOC_CTX *ctx, const char *name, size_t len, const char **error_r)
{
	char *copy, *normal;
	uint8_t *converted = NULL;
	int rc;

	if (!text_is_utf8(name, len)) {
		*error_r = error_utf8;
		return NULL;
	}
	if (has_invisible(name, len)) {
		*error_r = error_invisible;
		return NULL;
	}
	copy = mem_strndup(ctx, name, len);
	rc = idn2_lookup_u8((const uint8_t *)copy, &converted,
	    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	talloc_free(copy);
	if (rc == IDN2_MALLOC)
		mem_check(NULL);
	if (rc != IDN2_OK) {
		*error_r = rc == IDN2_TOO_BIG_LABEL ? error_label_length :
		    rc == IDN2_TOO_BIG_DOMAIN ? error_length : error_idna;
		return NULL;
	}
	normal = ascii_normalise(ctx, (const char *)converted,
	    strlen((const char *)converted), error_r);
	idn2_free(converted);
	return normal;
}

/* literal_normalise - the normal form of "[...]", RFC 5321 section 4.1.3 */
static char *
literal_normalise(TALLOC_CTX *ctx, const char *text, size_t len, const char **error_r)
{
	static const char tag[] = "ipv6:";
	const size_t n_tag = sizeof(tag) - 1;
	struct span content = text_trim(text_span_of(text + 1, len - 2));
	char plain[INET6_ADDRSTRLEN + sizeof(tag)], printed[INET6_ADDRSTRLEN];
	struct in6_addr six;
	struct in_addr four;

	*error_r = error_literal;
	if (text[len - 1] != ']' || content.len >= sizeof(plain) ||
	    memchr(content.at, '\0', content.len) != NULL)
		return NULL;
	memcpy(plain, content.at, content.len);
	plain[content.len] = '\0';
	if (inet_pton(AF_INET, plain, &four) == 1) {
		inet_ntop(AF_INET, &four, printed, sizeof(printed));
		return mem_printf(ctx, "[%s]", printed);
	}
	if (content.len > n_tag &&
	    text_equal_fold(text_span_of(plain, n_tag), text_span(tag)) &&
	    inet_pton(AF_INET6, plain + n_tag, &six) == 1) {
		inet_ntop(AF_INET6, &six, printed, sizeof(printed));
		return mem_printf(ctx, "[ipv6:%s]", printed);
	}
	return NULL;
}

/* domain_normalise - the normal form of a name or an address literal */
char *
domain_normalise(TALLOC_CTX *ctx, const char *text, size_t len, const char **error_r)
{
	const char *ignored, *problem = NULL;
	const char **problem_r = error_r == NULL ? &ignored : error_r;
	char *normal;

	if (len > DOMAIN_INPUT_MAX) {
		*problem_r = error_length;
		return NULL;
	}
	if (len >= 2 && text[0] == '[') {
		normal = literal_normalise(ctx, text, len, &problem);
	} else {
		if (len > 0 && text[len - 1] == '.')
			len--;
		normal = text_is_ascii(text, len) ?
		    ascii_normalise(ctx, text, len, &problem) :
		    memchr(text, '\0', len) != NULL ? NULL :
		    idn_normalise(ctx, text, len, &problem);
	}
	if (normal == NULL)
		*problem_r = problem != NULL ? problem : error_character;
	return normal;
}

/* domain_unicode - a normal name with its A-labels as U-labels */
char *
domain_unicode(TALLOC_CTX *ctx, const char *domain)
{
	char *converted = NULL, *unicode = NULL, *back;

	if (strstr(domain, "xn--") == NULL ||
	    idn2_to_unicode_8z8z(domain, &converted, 0) != IDN2_OK)
		return NULL;
	if (!text_is_ascii(converted, strlen(converted)))
		unicode = text_fold_utf8(ctx, converted, strlen(converted), true);
	idn2_free(converted);
	if (unicode == NULL)
		return NULL;
	back = domain_normalise(ctx, unicode, strlen(unicode), NULL);
	if (back == NULL || strcmp(back, domain) != 0) {
		talloc_free(unicode);
		unicode = NULL;
	}
	talloc_free(back);
	return unicode;
}

/* domain_is_plain - is the text its normal form but for case, NFC and A-labels? */
bool
domain_is_plain(const char *text, size_t len, const char *normal)
{
	char *folded, *unicode = NULL;
	bool same;

	if (text_is_ascii(text, len))
		return true;
	if (len > 0 && text[len - 1] == '.')
		len--;
	if (idn2_to_unicode_8z8z(normal, &unicode, 0) != IDN2_OK)
		return false;
	folded = text_fold_utf8(NULL, text, len, true);
	same = folded != NULL && strcmp(folded, unicode) == 0;
	talloc_free(folded);
	idn2_free(unicode);
	return same;
}

/* domain_is_literal - is a normal form an address literal? */
bool
domain_is_literal(const char *domain)
{
	return domain[0] == '[';
}

/* domain_is_labels - labels with dots between, as DNS is asked for them */
bool
domain_is_labels(const char *text)
{
	size_t label = 0;

	for (; *text != '\0'; text++) {
		if (*text == '.' && label == 0)
			return false;
		if (*text != '.' && *text != '-' && *text != '_' && !text_is_alnum(*text))
			return false;
		label = *text == '.' ? 0 : label + 1;
		if (label > DOMAIN_LABEL_MAX)
			return false;
	}
	return label > 0;
}

/* domain_equal - are two normal forms one domain? */
bool
domain_equal(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* domain_is_or_below - is child the parent itself or below it? */
bool
domain_is_or_below(const char *child, const char *parent)
{
	size_t n_child = strlen(child), n_parent = strlen(parent);

	if (n_child == n_parent)
		return domain_equal(child, parent);
	if (n_parent == 0 || n_child < n_parent || domain_is_literal(child) ||
	    domain_is_literal(parent))
		return false;
	return child[n_child - n_parent - 1] == '.' &&
	    domain_equal(child + n_child - n_parent, parent);
}

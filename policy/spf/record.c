/*
 * record.c - SPF records as values: selecting and parsing them
 *
 * The parser is strict, because a lenient one is a security defect here: what
 * it lets through as "some other domain" or "no network" decides who may use a
 * name. A syntax error anywhere spoils the whole record (RFC 7208 section 4.6).
 *
 * Terms are separated by spaces only. A term is a modifier if a name is
 * directly followed by "=", else it has to be a mechanism, whose name is looked
 * up in a table with what may follow it. Prefix lengths are taken from the
 * right end, because a domain-spec may hold slashes of its own:
 *
 *	directive   = [ qualifier ] mechanism
 *	a, mx       = name [ ":" domain-spec ] [ dual-cidr-length ]
 *	ptr         = name [ ":" domain-spec ]
 *	include, exists = name ":" domain-spec
 *	ip4, ip6    = name ":" network [ "/" length ]
 *	domain-spec = macro-string ( macro-expand / "." toplabel [ "." ] )
 *	toplabel    = letters and digits, not digits only; hyphens inside
 *
 * Threads: no state; everything belongs to the caller.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/spf/macro.h"
#include "policy/spf/record.h"

/* The version section, without what ends it. */
#define SPF_VERSION		"v=spf1"
#define VERSION_LEN	(sizeof(SPF_VERSION) - 1)

/* Octets of a term that an error message shows. */
#define SHOWN_MAX	60

/* What may follow the name of a mechanism. */
enum argument {
	ARGUMENT_NONE,
	ARGUMENT_DOMAIN,	/* a domain-spec, required */
	ARGUMENT_DOMAIN_OPTIONAL,
	ARGUMENT_DOMAIN_CIDR,	/* an optional domain-spec and prefix lengths */
	ARGUMENT_NETWORK	/* an address and a prefix length */
};

/* The mechanisms by name. */
static const struct {
	const char *name;
	enum spf_mechanism mechanism;
	enum argument argument;
} mechanisms[] = {
	{ "all",	SPF_MECH_ALL,		ARGUMENT_NONE },
	{ "include",	SPF_MECH_INCLUDE,	ARGUMENT_DOMAIN },
	{ "a",		SPF_MECH_A,		ARGUMENT_DOMAIN_CIDR },
	{ "mx",		SPF_MECH_MX,		ARGUMENT_DOMAIN_CIDR },
	{ "ptr",	SPF_MECH_PTR,		ARGUMENT_DOMAIN_OPTIONAL },
	{ "ip4",	SPF_MECH_IP4,		ARGUMENT_NETWORK },
	{ "ip6",	SPF_MECH_IP6,		ARGUMENT_NETWORK },
	{ "exists",	SPF_MECH_EXISTS,	ARGUMENT_DOMAIN },
};

/* text_is - whether text equals an ASCII word, case ignored */
static bool
text_is(struct spf_text text, const char *word)
{
	return text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0;
}

/* text_from - the rest of text from an offset on */
static struct spf_text
text_from(struct spf_text text, size_t at)
{
	struct spf_text rest = { text.data + at, text.len - at };

	return rest;
}

/* spf_record_complain - note what is wrong with a term, in printable text; always false */
static bool
spf_record_complain(TALLOC_CTX *ctx, const char *what, struct spf_text term, const char **error_r)
{
	char shown[SHOWN_MAX + 1];
	size_t i, n = term.len < SHOWN_MAX ? term.len : SHOWN_MAX;

	for (i = 0; i < n; i++)
		shown[i] = term.data[i] >= ' ' && term.data[i] <= '~' ? term.data[i] : '?';
	shown[n] = '\0';
	*error_r = mem_printf(ctx, "%s in \"%s%s\"", what, shown,
	    n < term.len ? "..." : "");
	return false;
}

bool
spf_record_is_spf(const char *text, size_t len)
{
	if (len < VERSION_LEN || strncasecmp(text, SPF_VERSION, VERSION_LEN) != 0)
		return false;
	return len == VERSION_LEN || text[VERSION_LEN] == ' ';
}

enum spf_selection
spf_record_select(const struct spf_text *texts, size_t n_texts, size_t *index_r)
{
	enum spf_selection found = SPF_SELECT_NONE;
	size_t i;

	for (i = 0; i < n_texts; i++) {
		if (!spf_record_is_spf(texts[i].data, texts[i].len))
			continue;
		if (found == SPF_SELECT_ONE)
			return SPF_SELECT_SEVERAL;
		found = SPF_SELECT_ONE;
		*index_r = i;
	}
	return found;
}

/* toplabel_ok - whether text is a top label (RFC 7208 section 7.1) */
static bool
toplabel_ok(const char *text, size_t len)
{
	bool only_digits = true;
	size_t i;

	if (len == 0 || text[0] == '-' || text[len - 1] == '-')
		return false;
	for (i = 0; i < len; i++) {
		if (!text_is_alnum(text[i]) && text[i] != '-')
			return false;
		if (!text_is_digit(text[i]))
			only_digits = false;
	}
	return !only_digits;
}

/* last_dot - offset of the last dot of text, or len if there is none */
static size_t
last_dot(const char *text, size_t len)
{
	size_t i;

	for (i = len; i > 0; i--)
		if (text[i - 1] == '.')
			return i - 1;
	return len;
}

bool
spf_record_domain_spec_ok(const char *text, size_t len)
{
	size_t at = 0, literal = 0, dot, n;

	/* literal becomes the offset of what follows the last macro. */
	while (at < len) {
		if (text[at] == '%') {
			n = spf_macro_length(text + at, len - at, false);
			if (n == 0)
				return false;
			at += n;
			literal = at;
			continue;
		}
		if (text[at] < '!' || text[at] > '~')
			return false;
		at++;
	}
	if (len == 0)
		return false;
	if (literal == len)
		return true;

	text += literal;
	len -= literal;
	if (text[len - 1] == '.')
		len--;
	dot = last_dot(text, len);
	return dot < len && toplabel_ok(text + dot + 1, len - dot - 1);
}

/* number_ok - read a prefix length: digits without a leading zero, up to max */
static bool
number_ok(const char *text, size_t len, unsigned int max, unsigned char *number_r)
{
	unsigned int number = 0;
	size_t i;

	if (len == 0 || len > 3 || (len > 1 && text[0] == '0'))
		return false;
	for (i = 0; i < len; i++) {
		if (!text_is_digit(text[i]))
			return false;
		number = number * 10 + (unsigned int)(text[i] - '0');
	}
	if (number > max)
		return false;
	*number_r = (unsigned char)number;
	return true;
}

/* digits_at_end - how many digits text ends with */
static size_t
digits_at_end(struct spf_text text)
{
	size_t n = 0;

	while (n < text.len && text_is_digit(text.data[text.len - n - 1]))
		n++;
	return n;
}

/* take_slashes - cut a prefix length after slashes ("/" or "//") off the end
 * False if there is one that is no valid length. */
static bool
take_slashes(struct spf_text *rest, const char *slashes, unsigned int max,
    unsigned char *number)
{
	size_t digits = digits_at_end(*rest), n = strlen(slashes);

	if (digits == 0 || rest->len < digits + n ||
	    memcmp(rest->data + rest->len - digits - n, slashes, n) != 0)
		return true;
	if (!number_ok(rest->data + rest->len - digits, digits, max, number))
		return false;
	rest->len -= digits + n;
	return true;
}

/* spf_record_read_domain - the domain-spec after the colon that rest begins with */
static bool
spf_record_read_domain(struct spf_text rest, struct spf_text *spec_r)
{
	if (rest.len == 0 || rest.data[0] != ':')
		return false;
	*spec_r = text_from(rest, 1);
	return spf_record_domain_spec_ok(spec_r->data, spec_r->len);
}

/* read_network - address and prefix length of ip4 and ip6 (RFC 7208 section 5.6) */
static bool
read_network(struct spf_text rest, struct spf_term *term)
{
	bool ipv6 = term->mechanism == SPF_MECH_IP6;
	char address[INET6_ADDRSTRLEN];

	if (rest.len == 0 || rest.data[0] != ':')
		return false;
	rest = text_from(rest, 1);
	if (!(ipv6 ? take_slashes(&rest, "/", 128, &term->prefix6) :
	    take_slashes(&rest, "/", 32, &term->prefix4)))
		return false;

	/* inet_pton() wants a string, and would end at a NUL inside. */
	if (rest.len >= sizeof(address) || memchr(rest.data, '\0', rest.len) != NULL)
		return false;
	memcpy(address, rest.data, rest.len);
	address[rest.len] = '\0';
	return inet_pton(ipv6 ? AF_INET6 : AF_INET, address, term->network) == 1;
}

/* read_argument - what follows the name of a mechanism */
static bool
read_argument(enum argument argument, struct spf_text rest, struct spf_term *term)
{
	switch (argument) {
	case ARGUMENT_NONE:
		return rest.len == 0;
	case ARGUMENT_DOMAIN:
		return spf_record_read_domain(rest, &term->spec);
	case ARGUMENT_DOMAIN_OPTIONAL:
		return rest.len == 0 || spf_record_read_domain(rest, &term->spec);
	case ARGUMENT_DOMAIN_CIDR:
		/* dual-cidr-length = [ "/" ip4-length ] [ "//" ip6-length ] */
		if (!take_slashes(&rest, "//", 128, &term->prefix6) ||
		    !take_slashes(&rest, "/", 32, &term->prefix4))
			return false;
		return rest.len == 0 || spf_record_read_domain(rest, &term->spec);
	case ARGUMENT_NETWORK:
		return read_network(rest, term);
	}
	return false;
}

/* add_term - room for one more term; the array doubles, so this is linear */
static struct spf_term *
add_term(struct spf_record *record)
{
	struct spf_term *term;
	size_t room = talloc_array_length(record->terms);

	/* talloc counts elements with an unsigned int; a TXT record has 64 KB at most. */
	if (record->n_terms == room)
		record->terms = mem_grow(record, record->terms, struct spf_term,
		    room == 0 ? 8 : (unsigned int)room * 2);
	term = &record->terms[record->n_terms++];
	memset(term, 0, sizeof(*term));
	term->qualifier = '+';
	term->prefix4 = 32;
	term->prefix6 = 128;
	return term;
}

/* parse_mechanism - read a directive */
static bool
parse_mechanism(struct spf_record *record, struct spf_text text, const char **error_r)
{
	struct spf_term *term = add_term(record);
	struct spf_text name = text, rest;
	size_t i, n = 0;

	term->text = text;
	if (text.data[0] == '+' || text.data[0] == '-' || text.data[0] == '?' ||
	    text.data[0] == '~') {
		term->qualifier = text.data[0];
		name = text_from(text, 1);
	}
	while (n < name.len && name.data[n] != ':' && name.data[n] != '/')
		n++;
	rest = text_from(name, n);
	name.len = n;

	for (i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++) {
		if (!text_is(name, mechanisms[i].name))
			continue;
		term->mechanism = mechanisms[i].mechanism;
		if (read_argument(mechanisms[i].argument, rest, term))
			return true;
		return spf_record_complain(record, "bad argument", text, error_r);
	}
	return spf_record_complain(record, "unknown mechanism", text, error_r);
}

/* modifier_name - length of the name of a modifier, 0 if text is none
 * name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ), directly followed by "=" */
static size_t
modifier_name(struct spf_text text)
{
	size_t n = 0;

	if (!text_is_alpha(text.data[0]))
		return 0;
	while (n < text.len && (text_is_alnum(text.data[n]) || text.data[n] == '-' ||
	    text.data[n] == '_' || text.data[n] == '.'))
		n++;
	return n < text.len && text.data[n] == '=' ? n : 0;
}

/* parse_modifier - read a modifier whose name has name_len octets */
static bool
parse_modifier(struct spf_record *record, struct spf_text text, size_t name_len,
    const char **error_r)
{
	struct spf_text name = { text.data, name_len }, value = text_from(text, name_len + 1);
	struct spf_text *place;

	if (text_is(name, "redirect")) {
		place = &record->redirect;
	} else if (text_is(name, "exp")) {
		place = &record->exp;
	} else {
		/* An unknown one is ignored, but has to be a macro-string. */
		if (spf_macro_string_ok(value.data, value.len, true))
			return true;
		return spf_record_complain(record, "bad macro", text, error_r);
	}
	if (place->data != NULL)
		return spf_record_complain(record, "second modifier of its kind", text, error_r);
	if (!spf_record_domain_spec_ok(value.data, value.len))
		return spf_record_complain(record, "bad domain", text, error_r);
	*place = value;
	return true;
}

/* parse_term - read one term, which has at least one octet */
static bool
parse_term(struct spf_record *record, struct spf_text text, const char **error_r)
{
	size_t name_len = modifier_name(text);

	if (name_len > 0)
		return parse_modifier(record, text, name_len, error_r);
	return parse_mechanism(record, text, error_r);
}

struct spf_record *
spf_record_parse(TALLOC_CTX *ctx, const char *text, size_t len, const char **error_r)
{
	struct spf_record *record = mem_new(ctx, struct spf_record);
	const char *error = NULL, *space;
	struct spf_text term;
	size_t at = VERSION_LEN;

	while (at < len) {
		if (text[at] == ' ') {
			at++;
			continue;
		}
		space = memchr(text + at, ' ', len - at);
		term.data = text + at;
		term.len = space == NULL ? len - at : (size_t)(space - term.data);
		if (!parse_term(record, term, &error)) {
			*error_r = talloc_steal(ctx, error);
			talloc_free(record);
			return NULL;
		}
		at += term.len;
	}
	return record;
}

/*
 * macro.c - SPF macros: checking and expanding them
 *
 * Two kinds of text hold macros: a domain-spec, which becomes a name to query,
 * and an explanation, which becomes a line for a human reader. Both are walked
 * once from left to right; what they expand to goes into a sink. Neither sink
 * grows with the input: a name can use no more than its last 253 octets, so
 * its sink forgets what is left of them, and an explanation is cut off where
 * an SMTP reply would have no room for more. Of a long domain-spec only the end is
 * expanded, as far to the left as the name can reach. A record of 64 KB full of
 * macros therefore costs little more than reading it once.
 *
 * The grammar, from RFC 7208 section 12:
 *
 *	macro-string  = *( macro-expand / macro-literal )
 *	macro-expand  = ( "%{" macro-letter transformers *delimiter "}" )
 *	                / "%%" / "%_" / "%-"
 *	macro-literal = %x21-24 / %x26-7E
 *	macro-letter  = "s" / "l" / "o" / "d" / "i" / "p" / "h" / "c" / "r" / "t" / "v"
 *	transformers  = *DIGIT [ "r" ]
 *	delimiter     = "." / "-" / "+" / "," / "/" / "_" / "="
 *
 * Threads: no state; everything belongs to the caller.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/spf/macro.h"

/* Parts that a macro can ask for; no value that fits into a name has more. */
#define PARTS_MAX	10000

/* Longest text that a number or an address expands to: 32 nibbles with dots. */
#define SHORT_MAX	80

/* Octets of a name that its sink never forgets: the longest name, the dot
 * before it, which shows that a label begins there, and a dot at its end. */
#define TAIL_KEEP	(DNS_NAME_MAX + 2)

/* Octets of a domain-spec from which on it is worth finding out what is needed of it. */
#define LONG_SPEC	1024

/* One macro, taken apart. */
struct macro {
	char letter;		/* lower case; or '%', '_', '-' for the three constants */
	bool escape;		/* the letter was upper case: URL-escape the result */
	bool reverse;		/* parts in reverse order */
	unsigned int parts;	/* right-hand parts to keep; 0: all */
	const char *delimiters;	/* what splits the value; n_delimiters of them */
	size_t n_delimiters;	/* 0: split at dots */
};

/* Where expanded text goes. */
struct sink {
	char data[1024];
	size_t len;
	bool tail;		/* keep the end of what comes; else the beginning */
	bool cut;		/* something was dropped */
};

/* is_delimiter - whether c may stand in a macro's list of delimiters */
static bool
is_delimiter(char c)
{
	return c != '\0' && strchr(".-+,/_=", c) != NULL;
}

/* read_parts - the digits of a macro; false if they make zero
 * A number that no value can reach is as good as a smaller one, so it saturates. */
static bool
read_parts(const char *text, size_t len, size_t *at, unsigned int *parts_r)
{
	unsigned int parts = 0;
	bool seen = false;

	for (; *at < len && text_is_digit(text[*at]); (*at)++) {
		seen = true;
		if (parts < PARTS_MAX)
			parts = parts * 10 + (unsigned int)(text[*at] - '0');
	}
	*parts_r = parts;
	return !seen || parts > 0;
}

/* read_macro - take the macro at the start of text apart
 * Returns its length, 0 if there is no valid one. */
static size_t
read_macro(const char *text, size_t len, bool explanation, struct macro *macro_r)
{
	size_t at = 2;

	memset(macro_r, 0, sizeof(*macro_r));
	if (len < 2 || text[0] != '%')
		return 0;
	macro_r->letter = text[1];
	if (text[1] == '%' || text[1] == '_' || text[1] == '-')
		return 2;
	if (text[1] != '{' || at >= len || !text_is_alpha(text[at]))
		return 0;

	macro_r->letter = text_lower(text[at]);
	macro_r->escape = macro_r->letter != text[at];
	if (strchr(explanation ? "slodiphcrtv" : "slodiphv", macro_r->letter) == NULL)
		return 0;
	at++;
	if (!read_parts(text, len, &at, &macro_r->parts))
		return 0;
	if (at < len && text_lower(text[at]) == 'r') {
		macro_r->reverse = true;
		at++;
	}
	macro_r->delimiters = text + at;
	while (at < len && is_delimiter(text[at])) {
		macro_r->n_delimiters++;
		at++;
	}
	return at < len && text[at] == '}' ? at + 1 : 0;
}

size_t
spf_macro_length(const char *text, size_t len, bool explanation)
{
	struct macro macro;

	return read_macro(text, len, explanation, &macro);
}

bool
spf_macro_string_ok(const char *text, size_t len, bool explanation)
{
	size_t at = 0, n;

	while (at < len) {
		if (text[at] == '%') {
			n = spf_macro_length(text + at, len - at, explanation);
			if (n == 0)
				return false;
			at += n;
			continue;
		}
		if ((text[at] < '!' || text[at] > '~') && !(explanation && text[at] == ' '))
			return false;
		at++;
	}
	return true;
}

bool
spf_macro_uses(const char *text, size_t len, char letter)
{
	struct macro macro;
	size_t at = 0, n;

	while (at < len) {
		n = read_macro(text + at, len - at, true, &macro);
		if (n > 0 && macro.letter == letter)
			return true;
		at += n > 0 ? n : 1;
	}
	return false;
}

/* sink_put - add octets to a sink */
static void
sink_put(struct sink *sink, const char *data, size_t len)
{
	size_t room = sizeof(sink->data) - sink->len;

	if (len > room && sink->tail) {
		if (len > sizeof(sink->data) - TAIL_KEEP) {
			data += len - (sizeof(sink->data) - TAIL_KEEP);
			len = sizeof(sink->data) - TAIL_KEEP;
		}
		if (sink->len > TAIL_KEEP) {
			memmove(sink->data, sink->data + sink->len - TAIL_KEEP, TAIL_KEEP);
			sink->len = TAIL_KEEP;
		}
		sink->cut = true;
		room = sizeof(sink->data) - sink->len;
	}
	if (len > room) {
		len = room;
		sink->cut = true;
	}
	memcpy(sink->data + sink->len, data, len);
	sink->len += len;
}

/* sink_put_escaped - add octets, URL-escaping all but the unreserved ones
 * RFC 7208 section 7.3, RFC 3986 section 2.3. */
static void
sink_put_escaped(struct sink *sink, const char *data, size_t len)
{
	char escaped[4];
	size_t i;

	for (i = 0; i < len; i++) {
		if (text_is_alpha(data[i]) || text_is_digit(data[i]) ||
		    (data[i] != '\0' && strchr("-._~", data[i]) != NULL)) {
			sink_put(sink, &data[i], 1);
			continue;
		}
		snprintf(escaped, sizeof(escaped), "%%%02X", (unsigned int)(unsigned char)data[i]);
		sink_put(sink, escaped, 3);
	}
}

/* put_part - add one part of a value as the macro wants it */
static void
put_part(struct sink *sink, const struct macro *macro, const char *part, size_t len)
{
	if (macro->escape)
		sink_put_escaped(sink, part, len);
	else
		sink_put(sink, part, len);
}

/* splits - whether c separates two parts of a value */
static bool
splits(const struct macro *macro, char c)
{
	if (macro->n_delimiters == 0)
		return c == '.';
	return memchr(macro->delimiters, c, macro->n_delimiters) != NULL;
}

/* put_forward - add the parts of value in their order, without the first skip */
static void
put_forward(struct sink *sink, const struct macro *macro, const char *value, size_t len,
    size_t skip)
{
	size_t i, start = 0;

	for (i = 0; i <= len; i++) {
		if (i < len && !splits(macro, value[i]))
			continue;
		if (skip > 0) {
			skip--;
		} else {
			put_part(sink, macro, value + start, i - start);
			if (i < len)
				sink_put(sink, ".", 1);
		}
		start = i + 1;
	}
}

/* put_backward - add the parts of value from the last to the first, without
 * those that come first then */
static void
put_backward(struct sink *sink, const struct macro *macro, const char *value, size_t len,
    size_t skip)
{
	size_t i, end = len;

	for (i = len + 1; i-- > 0;) {
		if (i > 0 && !splits(macro, value[i - 1]))
			continue;
		if (skip > 0) {
			skip--;
		} else {
			put_part(sink, macro, value + i, end - i);
			if (i > 0)
				sink_put(sink, ".", 1);
		}
		end = i > 0 ? i - 1 : 0;
	}
}

/* put_value - add a value, transformed (RFC 7208 section 7.3) */
static void
put_value(struct sink *sink, const struct macro *macro, const char *value, size_t len)
{
	size_t i, parts = 1, skip = 0;

	for (i = 0; i < len; i++)
		if (splits(macro, value[i]))
			parts++;
	if (macro->parts > 0 && macro->parts < parts)
		skip = parts - macro->parts;
	if (macro->reverse)
		put_backward(sink, macro, value, len, skip);
	else
		put_forward(sink, macro, value, len, skip);
}

/* write_nibbles - an IPv6 address as 32 nibbles with dots (RFC 7208 section 7.3)
 * Upper case, as the openspf suite has it. */
static void
write_nibbles(char out[SHORT_MAX], const unsigned char *address)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t i;

	for (i = 0; i < 16; i++) {
		out[4 * i] = digits[address[i] >> 4];
		out[4 * i + 1] = '.';
		out[4 * i + 2] = digits[address[i] & 15];
		out[4 * i + 3] = '.';
	}
	out[63] = '\0';
}

/* value_of - the value of a letter; scratch is room for what has to be written */
static const char *
value_of(char letter, const struct spf_values *values, char scratch[SHORT_MAX])
{
	switch (letter) {
	case 'l':
		return values->local;
	case 'o':
		return values->sender_domain;
	case 'd':
		return values->domain;
	case 'h':
		return values->helo;
	case 'p':
		return values->validated;
	case 'r':
		return values->receiver;
	case 'v':
		return values->ipv6 ? "ip6" : "in-addr";
	case 't':
		snprintf(scratch, SHORT_MAX, "%" PRIu64, values->time);
		return scratch;
	case 'i':
		if (values->ipv6) {
			write_nibbles(scratch, values->address);
			return scratch;
		}
		break;
	default:
		break;
	}
	/* c, and i of an IPv4 client: the usual form of the address */
	if (inet_ntop(values->ipv6 ? AF_INET6 : AF_INET, values->address, scratch,
	    SHORT_MAX) == NULL)
		scratch[0] = '\0';
	return scratch;
}

/* put_sender - add %{s}, the only value that has to be put together
 * Its parts may cross the "@", so it is written out first. */
static void
put_sender(struct sink *sink, const struct macro *macro, const struct spf_values *values)
{
	char *sender;

	sender = mem_printf(NULL, "%s@%s", values->local, values->sender_domain);
	put_value(sink, macro, sender, strlen(sender));
	talloc_free(sender);
}

/* put_macro - add what a macro expands to */
static void
put_macro(struct sink *sink, const struct macro *macro, const struct spf_values *values)
{
	char scratch[SHORT_MAX];
	const char *value;

	switch (macro->letter) {
	case '%':
		sink_put(sink, "%", 1);
		return;
	case '_':
		sink_put(sink, " ", 1);
		return;
	case '-':
		sink_put(sink, "%20", 3);
		return;
	case 's':
		put_sender(sink, macro, values);
		return;
	default:
		value = value_of(macro->letter, values, scratch);
		put_value(sink, macro, value, strlen(value));
	}
}

/* spf_macro_expand - walk valid text and add all of it to a sink
 * A sink that keeps the beginning ends the walk when it is full. */
static void
spf_macro_expand(struct sink *sink, const char *text, size_t len, bool explanation,
    const struct spf_values *values)
{
	struct macro macro;
	size_t at = 0, n;

	while (at < len && (sink->tail || !sink->cut)) {
		n = read_macro(text + at, len - at, explanation, &macro);
		if (n > 0) {
			put_macro(sink, &macro, values);
		} else {
			sink_put(sink, text + at, 1);
			n = 1;
		}
		at += n;
	}
}

/* item_octets - how many octets the macro or literal at the start of text expands to, as far as
 * that matters */
static size_t
item_octets(const char *text, size_t len, const struct spf_values *values)
{
	struct sink sink = { .tail = true };
	struct macro macro;

	if (read_macro(text, len, false, &macro) == 0)
		return 1;
	put_macro(&sink, &macro, values);
	return sink.len;
}

/*
 * needed_from - where the part of a long domain-spec begins that its name can be made of
 * The items before it are expanded to octets that are all cut off again, and a stranger
 * may have written thousands of them. 0: all of it.
 */
static size_t
needed_from(const char *text, size_t len, const struct spf_values *values)
{
	unsigned int *starts;
	struct macro macro;
	size_t at, n = 0, octets = 0, from = 0;

	if (len <= LONG_SPEC)
		return 0;
	starts = mem_array(NULL, unsigned int, len);
	for (at = 0; at < len;) {
		size_t item = read_macro(text + at, len - at, false, &macro);

		starts[n++] = (unsigned int)at;
		at += item > 0 ? item : 1;
	}
	/* one octet more than a sink keeps, so that the rest looks cut, as it is */
	while (n > 0 && octets <= TAIL_KEEP) {
		from = starts[--n];
		octets += item_octets(text + from, len - from, values);
	}
	talloc_free(starts);
	return from;
}

/* drop_label - the rest of a name after its first label, or NULL */
static const char *
drop_label(const char *name, const char *end)
{
	const char *dot = memchr(name, '.', (size_t)(end - name));

	return dot == NULL ? NULL : dot + 1;
}

char *
spf_macro_expand_name(TALLOC_CTX *ctx, const char *text, size_t len,
    const struct spf_values *values, size_t *len_r)
{
	struct sink sink = { .tail = true };
	const char *name = sink.data, *end, *rest;
	size_t from = needed_from(text, len, values);

	spf_macro_expand(&sink, text + from, len - from, false, values);
	if (from > 0)
		sink.cut = true;
	if (sink.len > 0 && sink.data[sink.len - 1] == '.')
		sink.len--;
	end = sink.data + sink.len;

	/* What follows a cut begins in the middle of a label. */
	if (sink.cut) {
		rest = drop_label(name, end);
		name = rest == NULL ? end : rest;
	}
	while (end - name > DNS_NAME_MAX && (rest = drop_label(name, end)) != NULL)
		name = rest;
	*len_r = (size_t)(end - name);
	return mem_strndup(ctx, name, *len_r);
}

char *
spf_macro_expand_explanation(TALLOC_CTX *ctx, const char *text, size_t len,
    const struct spf_values *values)
{
	struct sink sink = { .tail = false };
	size_t i;

	if (!spf_macro_string_ok(text, len, true))
		return NULL;
	spf_macro_expand(&sink, text, len, true, values);
	if (sink.len > SPF_EXPLANATION_MAX)
		sink.len = SPF_EXPLANATION_MAX;

	/* Sender and HELO are strangers' text: no control character of theirs
	 * may reach an SMTP reply or a log. */
	for (i = 0; i < sink.len; i++)
		if (sink.data[i] < ' ' || sink.data[i] > '~')
			sink.data[i] = '?';
	return mem_strndup(ctx, sink.data, sink.len);
}

bool
spf_name_within(const char *name, const char *parent)
{
	size_t name_len = strlen(name), parent_len = strlen(parent);

	if (parent_len > name_len ||
	    strcasecmp(name + name_len - parent_len, parent) != 0)
		return false;
	return name_len == parent_len || name[name_len - parent_len - 1] == '.';
}

char *
spf_reverse_name(TALLOC_CTX *ctx, const unsigned char *address, bool ipv6)
{
	static const char digits[] = "0123456789abcdef";
	char nibbles[65];
	size_t i;

	if (!ipv6)
		return mem_printf(ctx, "%u.%u.%u.%u.in-addr.arpa", address[3], address[2],
		    address[1], address[0]);
	for (i = 0; i < 16; i++) {
		nibbles[4 * i] = digits[address[15 - i] & 15];
		nibbles[4 * i + 1] = '.';
		nibbles[4 * i + 2] = digits[address[15 - i] >> 4];
		nibbles[4 * i + 3] = '.';
	}
	nibbles[64] = '\0';
	return mem_printf(ctx, "%sip6.arpa", nibbles);
}

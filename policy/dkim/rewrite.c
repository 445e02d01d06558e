/*
 * rewrite.c - address fields that Sendmail rewrites after they were signed
 *
 * The value is cut into elements at commas, colons and semicolons outside quotes, comments,
 * brackets and angles; each is then looked at by itself. What is in doubt counts as rewritten.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/dkim/rewrite.h"

#define ELEMENT_MAX	250	/* octets of an address with its name; 252 still leave whole */
#define PARAMETER_MAX	1000	/* octets of a parameter of a MIME field */

/* What one octet stands in, and what it is there. */
struct rewrite_scan {
	struct span text;
	size_t at;		/* the next octet */
	int comment;		/* depth */
	bool quoted, literal, angle;
};

/* rewrite_next - the next octet: itself if it is structure, 'a' if it is content; NUL at the end */
static char
rewrite_next(struct rewrite_scan *scan)
{
	bool inside = scan->quoted || scan->literal || scan->comment > 0;

	if (scan->at == scan->text.len)
		return '\0';

	char c = scan->text.at[scan->at++];

	if (c == '\\' && inside && scan->at < scan->text.len) {
		scan->at++;
		return 'a';
	}
	if (c == '"' && scan->comment == 0 && !scan->literal) {
		scan->quoted = !scan->quoted;
		return 'a';
	}
	if (c == '(' && !scan->quoted && !scan->literal)
		return scan->comment++ == 0 ? '(' : 'a';
	if (c == ')' && scan->comment > 0)
		return --scan->comment == 0 ? ')' : 'a';
	if (inside)
		scan->literal = scan->literal && c != ']';
	else
		scan->literal = c == '[';
	if (inside)
		return 'a';
	if (c == '<' || c == '>')
		scan->angle = c == '<';
	return text_is_space(c) ? ' ' : strchr(",:;<>@", c) != NULL ? c : 'a';
}

/* rewrite_domain_kept - does the text from an at sign to the next structure name a full domain? */
static bool
rewrite_domain_kept(const struct rewrite_scan *scan)
{
	const char *start = scan->text.at + scan->at, *end = scan->text.at + scan->text.len;
	bool dot = false;

	if (start < end && *start == '[')
		return true;
	for (; start < end && !text_is_space(*start) && strchr(",;>(<:", *start) == NULL; start++)
		dot = dot || *start == '.';
	return dot && start[-1] != '.';
}

/* What an element holds so far. */
struct rewrite_element {
	size_t words;		/* runs of content outside comments, up to an angle */
	size_t ats;		/* at signs before an angle */
	bool angle;		/* it has one */
	bool good;		/* an address with a full domain */
	char last;		/* the last octet as rewrite_next() has it; NUL: none */
};

/* rewrite_ends - may the element end here? c: what ends it */
static bool
rewrite_ends(const struct rewrite_element *element, char c, bool group)
{
	bool empty = element->words == 0 && !element->angle;

	if (c == ':')
		return !empty && !element->angle && element->ats == 0 && !group;
	if (empty)
		return c == ';' && group && element->last != ' ';
	if (c != '\0' && element->last == ' ')
		return false;
	return element->angle ? element->ats == 0 && element->good : element->words == 1 &&
	    element->ats == 1 && element->good;
}

/* rewrite_step - one octet within an element; false: Sendmail would write it otherwise */
static bool
rewrite_step(struct rewrite_element *element, const struct rewrite_scan *scan, char c)
{
	char last = element->last;

	element->last = c;
	switch (c) {
	case '<':
		if (element->angle)
			return false;
		element->angle = true;
		return true;
	case '>':
		return last != ' ';
	case '@':
		if (last == ' ' || last == ')' || last == '<' || last == '\0')
			return false;
		element->ats += !scan->angle;
		element->good = rewrite_domain_kept(scan);
		return element->good;
	case '(':
		return !scan->angle && last != 'a';
	case 'a':
		if (scan->angle)
			return last != ' ' && last != ')';
		if (element->angle)
			return false;
		element->words += last != 'a' && last != '@' && scan->comment == 0;
		return last != ')';
	default:
		return true;
	}
}

bool
rewrite_keeps(struct span value)
{
	struct rewrite_scan scan = { .text = text_trim(value) };
	struct rewrite_element element = { 0 };
	bool group = false, closed = false;
	size_t start = 0;

	if (scan.text.len == 0)
		return true;
	for (;;) {
		char c = rewrite_next(&scan);
		bool space = scan.at < scan.text.len && text_is_space(scan.text.at[scan.at]);

		if (scan.comment > 0 && c == 'a')
			continue;
		if (scan.angle && c != '<' && (c == ',' || c == ';' || c == ':'))
			return false;
		if (c != ',' && c != ';' && c != ':' && c != '\0') {
			if (closed && c != ' ')
				return false;
			if (!rewrite_step(&element, &scan, c))
				return false;
			continue;
		}
		if (scan.at - start > ELEMENT_MAX)
			return false;
		start = scan.at;
		if (!(closed && (c == ',' || c == '\0')) && !rewrite_ends(&element, c, group))
			return false;
		if (c == '\0')
			return !group && !scan.quoted && !scan.literal && !scan.angle &&
			    scan.comment == 0;
		if (c == ',' && !space)
			return false;
		if (c == ';' && !group)
			return false;
		closed = c == ';';
		group = c == ':' || (group && c != ';');
		element = (struct rewrite_element){ 0 };
	}
}

bool
rewrite_keeps_mime(struct span value)
{
	size_t length = 0;
	bool quoted = false;

	for (size_t i = 0; i < value.len; i++) {
		quoted = quoted != (value.at[i] == '"');
		length = value.at[i] == ';' && !quoted ? 0 : length + 1;
		if (length > PARAMETER_MAX)
			return false;
	}
	return true;
}

/*
 * received.c - the client that a relay of ours names in its Received field
 *
 * The field is our relay's, but half of what stands in it is the stranger's: the
 * HELO argument, the name in reverse DNS, the answer of an ident server. RFC
 * 5321 section 4.4 puts the address where the stranger cannot write:
 *
 *	from HELO (NAME [ADDRESS]) by ...		Postfix, Sendmail, OpenSMTPD
 *	from NAME ([ADDRESS]:PORT helo=HELO) by ...	Exim, name verified
 *	from [ADDRESS] (helo=HELO) by ...		Exim, no name
 *	from HELO (ADDRESS) by ...			Exchange
 *
 * Exim's "key=" items hold a stranger's text, so the comment is cut before the
 * first of them. In what remains there must be exactly one address in
 * brackets; two mean that somebody tries to be read instead of the other, and the
 * field is unreadable. No field of another program is guessed at.
 *
 * Pure, no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/sender/received.h"

#define WORD_MAX	512	/* octets of a HELO argument that are kept */

/* skip_space - move over white space */
static void
skip_space(struct span *rest)
{
	while (rest->len > 0 && text_is_space(rest->at[0])) {
		rest->at++;
		rest->len--;
	}
}

/* take_word - the octets up to white space, a comment or the semicolon before the date */
static struct span
take_word(struct span *rest)
{
	struct span word = { rest->at, 0 };

	while (rest->len > 0 && !text_is_space(rest->at[0]) && rest->at[0] != '(' &&
	    rest->at[0] != ';') {
		rest->at++;
		rest->len--;
		word.len++;
	}
	return word;
}

/* take_comment - what the comment that rest begins with holds; false if it does not end */
static bool
take_comment(struct span *rest, struct span *comment_r)
{
	size_t depth = 0;

	for (size_t i = 0; i < rest->len; i++) {
		if (rest->at[i] == '\\') {
			i++;
		} else if (rest->at[i] == '(') {
			depth++;
		} else if (rest->at[i] == ')' && --depth == 0) {
			*comment_r = (struct span){ rest->at + 1, i - 1 };
			rest->at += i + 1;
			rest->len -= i + 1;
			return true;
		}
	}
	return false;
}

/* read_address - text as an address and nothing else */
static bool
read_address(struct span text, struct ip_address *ip_r)
{
	char copy[INET6_ADDRSTRLEN + 5];

	if (text.len >= sizeof(copy) || memchr(text.at, '\0', text.len) != NULL)
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	return ip_address_parse(copy, ip_r);
}

/* read_literal - text as "[ADDRESS]", which a port may follow */
static bool
read_literal(struct span text, struct ip_address *ip_r)
{
	const char *end = text.len == 0 ? NULL : memchr(text.at, ']', text.len);

	if (end == NULL || text.at[0] != '[' ||
	    !read_address((struct span){ text.at + 1, (size_t)(end - text.at - 1) }, ip_r))
		return false;
	return end + 1 == text.at + text.len || end[1] == ':';
}

/* literals_in - how many bracketed addresses a text holds; the last one is in *ip_r */
static size_t
literals_in(struct span text, struct ip_address *ip_r)
{
	struct ip_address found;
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		const char *end;

		if (text.at[i] != '[')
			continue;
		end = memchr(text.at + i, ']', text.len - i);
		/* what is no address leaves one found before as it is */
		if (end == NULL || !read_address((struct span){ text.at + i + 1,
		    (size_t)(end - text.at) - i - 1 }, &found))
			continue;
		*ip_r = found;
		n++;
	}
	return n;
}

/* cut_items - the text before Exim's first "key=" item; the value of helo= is in *helo_r */
static struct span
cut_items(struct span comment, struct span *helo_r)
{
	static const char *const keys[] = { "helo=", "ident=", "port=" };
	size_t cut = comment.len;

	for (size_t i = 0; i < comment.len; i++) {
		if (i > 0 && !text_is_space(comment.at[i - 1]))
			continue;
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
			size_t len = strlen(keys[k]);
			struct span rest = { comment.at + i + len, comment.len - i - len };

			if (comment.len - i < len || strncasecmp(comment.at + i, keys[k], len) != 0)
				continue;
			if (cut == comment.len)
				cut = i;
			if (k == 0 && helo_r->at == NULL)
				*helo_r = take_word(&rest);
		}
	}
	return (struct span){ comment.at, cut };
}

/* find_address - the address of the client, from the word after "from" and the comment after it */
static bool
find_address(struct span word, bool has_comment, struct span comment, struct ip_address *ip_r,
    struct span *helo_r)
{
	struct span head = has_comment ? cut_items(comment, helo_r) : (struct span){ NULL, 0 };
	size_t n = has_comment ? literals_in(head, ip_r) : 0;
	struct ip_address other;

	if (n > 1)
		return false;
	if (n == 1) {
		if (helo_r->at == NULL)
			*helo_r = word;
		return true;
	}
	/* only Exim writes its client first and nothing of its own after it */
	if (read_literal(word, ip_r)) {
		if (helo_r->at == NULL)
			*helo_r = word;
		return text_trim(head).len == 0;
	}
	*helo_r = word;
	return has_comment && literals_in(comment, &other) == 0 &&
	    read_address(text_trim(comment), ip_r);
}

/* address_text - an address as text */
static const char *
address_text(TALLOC_CTX *ctx, const struct ip_address *ip)
{
	char text[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(ip->bits == 32 ? AF_INET : AF_INET6, ip->octets, text, sizeof(text));
	return mem_strdup(ctx, text);
}

/* with_login - does the rest of a field say that the client had logged in (RFC 3848, RFC 6531)? */
static bool
with_login(struct span rest)
{
	static const char *const protocols[] = { "ESMTPA", "ESMTPSA", "LMTPA", "LMTPSA",
	    "UTF8SMTPA", "UTF8SMTPSA", "UTF8LMTPA", "UTF8LMTPSA" };
	struct span word, comment;
	bool with = false;

	for (skip_space(&rest); rest.len > 0 && rest.at[0] != ';'; skip_space(&rest)) {
		if (rest.at[0] == '(') {
			if (!take_comment(&rest, &comment))
				return false;
			continue;
		}
		word = take_word(&rest);
		for (size_t i = 0; with && i < sizeof(protocols) / sizeof(protocols[0]); i++)
			if (text_equal_fold(word, text_span(protocols[i])))
				return true;
		with = text_equal_fold(word, text_span("with"));
	}
	return false;
}

/* received_read - the client that one Received field names */
enum received_outcome
received_read(TALLOC_CTX *ctx, const char *value, size_t len, struct received_client *client_r)
{
	struct span rest = { value, len }, comment = { NULL, 0 }, helo = { NULL, 0 };
	struct span word;
	bool has_comment;

	memset(client_r, 0, sizeof(*client_r));
	skip_space(&rest);
	/* "by HOST": written by the program that made the message; "(qmail 123 ...)" tells
	 * nothing */
	if (rest.len >= 3 && strncasecmp(rest.at, "by", 2) == 0 && text_is_space(rest.at[2]))
		return RECEIVED_LOCAL;
	if (rest.len < 5 || strncasecmp(rest.at, "from", 4) != 0 || !text_is_space(rest.at[4]))
		return RECEIVED_UNREADABLE;
	rest.at += 4;
	rest.len -= 4;
	skip_space(&rest);
	word = take_word(&rest);
	skip_space(&rest);
	has_comment = rest.len > 0 && rest.at[0] == '(';
	if (word.len == 0 || (has_comment && !take_comment(&rest, &comment)) ||
	    !find_address(word, has_comment, comment, &client_r->ip, &helo))
		return RECEIVED_UNREADABLE;
	if (with_login(rest))
		return RECEIVED_LOCAL;
	client_r->address = address_text(ctx, &client_r->ip);
	if (helo.at != NULL)
		client_r->helo =
		    mem_strndup(ctx, helo.at, helo.len < WORD_MAX ? helo.len : WORD_MAX);
	return RECEIVED_CLIENT;
}

/* received_find_client - the first client that is no relay of ours */
enum received_outcome
received_find_client(TALLOC_CTX *ctx, const struct header_list *list, const struct netblock *relays,
    size_t n, struct received_client *client_r)
{
	size_t hops = 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct header_field *field = &list->fields[i];
		enum received_outcome outcome;

		if (!header_is(field, "Received"))
			continue;
		outcome = received_read(ctx, field->value, field->value_len, client_r);
		if (outcome != RECEIVED_CLIENT || !netblock_contains(relays, n, &client_r->ip))
			return outcome;
		if (++hops >= RECEIVED_RELAYS_MAX)
			return RECEIVED_UNREADABLE;
	}
	return RECEIVED_LOCAL;
}

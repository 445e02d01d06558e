/*
 * address_lexer.c - the tokens of a header field with addresses
 *
 * White space and comments are skipped. Since comments only need a counter, nothing recurses.
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/address.h"
#include "policy/base/address_lexer.h"

/* Octets looked at to see whether an encoded word is one; longer ones are lexed as usual. */
#define ENCODED_WORD_MAX	256

/* skip_pair - step over a backslash and what it quotes; 0, or -1 if that is nothing */
static int
skip_pair(struct lexer *lexer, const char **error_r)
{
	if (lexer->pos + 1 < lexer->len && lexer->at[lexer->pos + 1] != '\r' &&
	    lexer->at[lexer->pos + 1] != '\n') {
		lexer->pos += 2;
		return 0;
	}
	*error_r = "a backslash quotes nothing";
	return -1;
}

/* skip_comment - step over a comment and those inside it, RFC 5322 section 3.2.2 */
static int
skip_comment(struct lexer *lexer, const char **error_r)
{
	size_t depth = 0;

	while (lexer->pos < lexer->len) {
		char c = lexer->at[lexer->pos];

		if (c == '\\') {
			if (skip_pair(lexer, error_r) < 0)
				return -1;
			continue;
		}
		lexer->pos++;
		if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return 0;
	}
	*error_r = "a comment has no end";
	return -1;
}

/* skip_quoted - step over a quoted string, RFC 5322 section 3.2.4 */
static int
skip_quoted(struct lexer *lexer, const char **error_r)
{
	lexer->pos++;
	while (lexer->pos < lexer->len) {
		char c = lexer->at[lexer->pos];

		if (c == '\\') {
			if (skip_pair(lexer, error_r) < 0)
				return -1;
			continue;
		}
		lexer->pos++;
		if (c == '"')
			return 0;
	}
	*error_r = "a quoted string has no end";
	return -1;
}

/* skip_literal - step over a domain literal, RFC 5322 section 3.4.1 */
static int
skip_literal(struct lexer *lexer, const char **error_r)
{
	lexer->pos++;
	while (lexer->pos < lexer->len) {
		char c = lexer->at[lexer->pos++];

		if (c == ']')
			return 0;
		if (c == '[' || c == '\\' || c == '\r' || c == '\n')
			break;
	}
	*error_r = "an address literal has no end";
	return -1;
}

/* skip_gap - step over white space and comments */
static int
skip_gap(struct lexer *lexer, bool *gap_r, const char **error_r)
{
	*gap_r = false;
	while (lexer->pos < lexer->len) {
		char c = lexer->at[lexer->pos];

		if (c == '(') {
			if (skip_comment(lexer, error_r) < 0)
				return -1;
		} else if (text_is_space(c)) {
			lexer->pos++;
		} else {
			break;
		}
		*gap_r = true;
	}
	return 0;
}

/*
 * encoded_word_len - octets of an encoded word with dividers in it, or 0
 *
 * Sloppy encoders leave commas, colons and semicolons as they are in Q words:
 * "=?utf-8?Q?Example,_Inc.?= <x@y>". With nothing else in the word that means
 * anything in an address, no reader finds another address in it.
 */
static size_t
encoded_word_len(const char *at, size_t len)
{
	size_t marks = 0;	/* question marks so far: charset, encoding, text */

	if (len > ENCODED_WORD_MAX)
		len = ENCODED_WORD_MAX;
	for (size_t i = 1; i + 1 < len; i++) {
		if (at[i] == '?' && marks >= 3 && at[i + 1] == '=')
			return i + 2;
		if (at[i] == '?')
			marks++;
		else if (!address_is_dotted(at[i]) &&
		    (marks < 3 || strchr(",:;", at[i]) == NULL))
			return 0;
	}
	return 0;
}

/* lexer_word - step over the token that begins here, which is not the end */
static int
lexer_word(struct lexer *lexer, struct token *token_r, const char **error_r)
{
	char c = lexer->at[lexer->pos];

	if (c == '"') {
		token_r->type = TOKEN_QUOTED;
		return skip_quoted(lexer, error_r);
	}
	if (c == '[' && lexer->after_at) {
		token_r->type = TOKEN_LITERAL;
		return skip_literal(lexer, error_r);
	}
	if (!address_is_atext(c)) {
		token_r->type = TOKEN_SPECIAL;
		token_r->special = c;
		lexer->pos++;
		return 0;
	}
	token_r->type = TOKEN_ATOM;
	if (c == '=')
		lexer->pos += encoded_word_len(lexer->at + lexer->pos,
		    lexer->len - lexer->pos);
	while (lexer->pos < lexer->len && address_is_atext(lexer->at[lexer->pos]))
		lexer->pos++;
	return 0;
}

int
address_lexer_next(struct lexer *lexer, struct token *token_r, const char **error_r)
{
	size_t start;

	memset(token_r, 0, sizeof(*token_r));
	if (skip_gap(lexer, &token_r->gap, error_r) < 0)
		return -1;
	start = lexer->pos;
	if (start < lexer->len && lexer_word(lexer, token_r, error_r) < 0)
		return -1;
	lexer->after_at = token_r->special == '@';
	token_r->text = text_span_of(lexer->at + start, lexer->pos - start);
	return 0;
}

/*
 * address_lexer.h - the tokens of a header field with addresses (RFC 5322 section 3.2)
 *
 * Pure. Threads: any.
 */
#ifndef POLICY_BASE_ADDRESS_LEXER_H
#define POLICY_BASE_ADDRESS_LEXER_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/base/text.h"

enum token_type {
	TOKEN_END,
	TOKEN_ATOM,
	TOKEN_QUOTED,		/* with its quotation marks */
	TOKEN_LITERAL,		/* with its brackets; only after "@" */
	TOKEN_SPECIAL		/* one character */
};

struct token {
	enum token_type type;
	char special;		/* of TOKEN_SPECIAL, else NUL */
	bool gap;		/* white space or a comment before it */
	struct span text;
};

struct lexer {
	const char *at;		/* the field value */
	size_t len;
	size_t pos;		/* next octet to read */
	bool after_at;		/* the last token was "@": "[" begins a literal */
};

/* address_lexer_next - the next token; 0, or -1 with *error_r (static text) */
int address_lexer_next(struct lexer *lexer, struct token *token_r, const char **error_r);

#endif

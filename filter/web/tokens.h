/*
 * tokens.h - who may ask countersign-web, by a file of tokens
 *
 *	tokens = (
 *	  { name = "anna"  hash = "$y$j9T$..."  role = "admin" },
 *	  { name = "shop"  hash = "$y$j9T$..."  role = "operator"  domains = ["example.org"] },
 *	  { name = "carl"  proxy = true  role = "read" }
 *	)
 *
 * A token is NAME.SECRET; the file has a hash of the secret (crypt(3)). One with "proxy" has no
 * secret: a reverse proxy vouches for the name.
 *
 * Threads: tokens_check() and tokens_proxied() any number at once.
 */
#ifndef FILTER_WEB_TOKENS_H
#define FILTER_WEB_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/web/guesses.h"

#define TOKENS_NAME_MAX	32	/* letters, digits, - and _ */

enum token_role {
	TOKEN_READ,		/* sees everything of its domains, or of all */
	TOKEN_OPERATOR,		/* blocks accounts, changes their limits */
	TOKEN_ADMIN		/* reloads, and tries messages */
};

/* One that may ask; belongs to its struct tokens. */
struct token {
	const char *name;
	const char *hash;	/* NULL: proxy */
	enum token_role role;
	const char **domains;	/* lower case */
	size_t n_domains;	/* 0: all */
};

struct tokens;

/* tokens_read - read a file; NULL and *error_r on ctx, with file:line. A talloc child of ctx. */
struct tokens *tokens_read(TALLOC_CTX *ctx, const char *path, const char **error_r);

/*
 * tokens_inherit - take over which tokens were good, of those that the file had before, too
 * So a reload locks out no one that was good before while others try wrong ones for its name.
 * tokens: new, not yet in use; old: may be in use.
 */
void tokens_inherit(struct tokens *tokens, struct tokens *old);

enum tokens_result { TOKENS_GOOD, TOKENS_BAD, TOKENS_TOO_MANY };

/* Who presents a token, and when. */
struct tokens_asked {
	struct guesses *guesses;
	const char *place;	/* guesses_place() */
	int64_t now_ms;		/* clock_ms() */
};

/*
 * tokens_check - whose token is it?
 * TOKENS_TOO_MANY: it was not looked at, because there were too many wrong ones in the last minute
 * (guesses.h). One that was good before is never turned away for that. Takes a while the first
 * time. Neither the result nor the time says whether there is a token of that name.
 */
enum tokens_result tokens_check(struct tokens *tokens, const char *presented,
    const struct tokens_asked *asked, const struct token **token_r);

/* tokens_named - the one of that name, or NULL */
const struct token *tokens_named(const struct tokens *tokens, const char *name);

/* tokens_proxied - the one of that name that a proxy vouches for, or NULL */
const struct token *tokens_proxied(const struct tokens *tokens, const char *name);

/* tokens_have_proxied - is there one? */
bool tokens_have_proxied(const struct tokens *tokens);

/* token_has_account - may it see this account? account: a plain address; one without a domain, or
 * anything but an address, belongs to no domain */
bool token_has_account(const struct token *token, const char *account);

/* token_has_domain - the same for a domain */
bool token_has_domain(const struct token *token, const char *domain);

/* token_role_word - "read", "operator", "admin" */
const char *token_role_word(enum token_role role);

/*
 * tokens_make - a new token, and the line for the file; prints both
 * domains: n of them. 0, or -1 and *error_r on ctx.
 */
int tokens_make(TALLOC_CTX *ctx, const char *name, const char *role, char *const *domains, size_t n,
    const char **error_r);

#endif

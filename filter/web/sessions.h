/*
 * sessions.h - who is logged in to the console
 *
 * A browser has a cookie with a random name of its session. Here is a keyed hash of it, and the
 * token that it stands for. The table is bounded, in all and for each token.
 *
 * Threads: any number at once.
 */
#ifndef FILTER_WEB_SESSIONS_H
#define FILTER_WEB_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/web/tokens.h"

#define SESSIONS_MAX	256	/* at once; one more ends the one that was idle longest */
#define SESSIONS_NAME	16	/* the same of one token */
#define SESSIONS_IDLE_S	(60 * 60) /* without a request */
#define SESSIONS_LIFE_S	(12 * 60 * 60)
#define SESSIONS_TEXT	65	/* octets of an id or a proof, with the NUL */

struct sessions;

/* sessions_new - an empty table; NULL: there are no random numbers */
struct sessions *sessions_new(TALLOC_CTX *ctx);

/* sessions_begin - log a token in; id_r is for the cookie. False: there are no random numbers. */
bool sessions_begin(struct sessions *sessions, const struct token *token, int64_t now_ms,
    char id_r[SESSIONS_TEXT]);

/* sessions_find - the token of a session, or NULL: it is unknown, over, or its token has changed */
const struct token *sessions_find(struct sessions *sessions, const struct tokens *tokens,
    const char *id, int64_t now_ms);

/* sessions_end - log out */
void sessions_end(struct sessions *sessions, const char *id);

/*
 * sessions_proof - what a change must carry besides the cookie, which a browser sends by itself
 * Pages of other sites can neither read nor guess it.
 */
void sessions_proof(const struct sessions *sessions, const char *id, char proof_r[SESSIONS_TEXT]);

/* sessions_proven - is this the proof? In constant time. text may be NULL. */
bool sessions_proven(const struct sessions *sessions, const char *id, const char *text);

#endif

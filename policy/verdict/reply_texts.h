/*
 * reply_texts.h - the sentences that clients read, in English, French, or the site's own words
 *
 * The items of a text are %{account}, %{address} and so on: see reply_text(). A text has only items
 * that its own sentence in English or its neighbors have; reply_texts_check() says which are known.
 */
#ifndef POLICY_VERDICT_REPLY_TEXTS_H
#define POLICY_VERDICT_REPLY_TEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/verdict/reasons.h"

/* The texts: one for each reason, and these. */
enum reply_piece {
	REPLY_OVER_SHARED = REASON_COUNT, /* over, for a limit that accounts share */
	REPLY_OVER_LEVEL,	/* over, for a limit that counts what happened before */
	REPLY_OVER_LEVEL_SHARED, /* the same, for a limit that accounts share */
	REPLY_OVER_HELD,	/* over, of a message that is held */
	REPLY_NEVER_FITS_ZERO,	/* never-fits, for a limit of 0 */
	REPLY_BAD_LOGIN_UNKNOWN, /* bad-login, if the MTA does not send the login */
	REPLY_DISGUISED_OVERRIDE, /* disguised-from, by a bidirectional override */
	REPLY_LATER,		/* behind the text of a tempfail */
	REPLY_RETRY,		/* the same if the time is known */
	REPLY_HELP,		/* behind all, before help_url */
	REPLY_EXPLAINS,		/* before the explanation of an SPF record */
	REPLY_DMARC_POLICY,	/* behind the domain that DMARC is about */
	REPLY_WHO_LOGIN, REPLY_WHO_ACCOUNT, /* %{who} */
	REPLY_YOUR_DOMAIN, REPLY_YOUR_POOL, REPLY_YOUR_NETWORK, /* %{party} */
	REPLY_SECOND, REPLY_SECONDS, REPLY_MINUTES, REPLY_HOURS, /* of %{time} */
	REPLY_TEXTS
};

#define REPLY_TEMPLATE_MAX	200	/* octets of a text, as it is written */
#define REPLY_PIECE_MAX		60
#define REPLY_HELP_MAX		200	/* octets of help_url */

struct reply_texts {
	const char *name;	/* "en", "fr"; NULL: the site's own */
	const char *text[REPLY_TEXTS]; /* NULL: that of English */
	const char *const (*limit_words)[2]; /* of %{limit}: English, ours; ends in NULL; or NULL */
};

/* reply_texts_named - "en" or "fr"; NULL: unknown. Any thread. */
const struct reply_texts *reply_texts_named(const char *name);

/* reply_texts_option - the name of a text in the configuration: "over", "over_shared", "foreign_from";
 * on ctx. Any thread. */
const char *reply_texts_option(TALLOC_CTX *ctx, size_t index);

/* reply_texts_get - a text; texts may be NULL. Never NULL. Any thread. */
const char *reply_texts_get(const struct reply_texts *texts, size_t index);

/*
 * reply_texts_ascii - a text without its accents: "réessayez" as "reessayez"
 * On ctx; NULL: it is no UTF-8, or has characters that are no letters with accents. Any thread.
 */
char *reply_texts_ascii(TALLOC_CTX *ctx, const char *text);

/*
 * reply_texts_check - may this be text index? Else *error_r, on ctx, says why not
 * One line of printable ASCII and letters with accents, with known items, REPLY_TEMPLATE_MAX octets
 * at most, from REPLY_LATER on REPLY_PIECE_MAX. Any thread.
 */
bool reply_texts_check(TALLOC_CTX *ctx, size_t index, const char *text, const char **error_r);

#endif

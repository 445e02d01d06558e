/*
 * limit.h - one limit as an administrator writes it
 *
 *	100 recipients per hour
 *	500 messages per 30 minutes
 *	1.5 GB per day
 *	unlimited			counts nothing
 *	0				lets nothing pass
 *	8 times usual			of block_on alone
 *
 * Grammar (words in any case, white space free around words, "/" for "per"):
 *
 *	limit  = "unlimited" / "0" / number unit "per" [count] span /
 *		 number "times" "usual"
 *	number = 1*DIGIT ["." 1*DIGIT]	; a fraction only before KB and larger
 *	unit   = "message" / "recipient" / "external-recipient" / "new-recipient" /
 *		 "client-address" / "foreign-sender" / "refused-recipient" /
 *		 "country" / "network" / "failed-login" / "duplicate" / "bounce" / "byte", each
 *		 also in the plural;
 *		 KB MB GB TB PB (powers of 1000), KiB MiB GiB TiB PiB (of 1024)
 *	span   = "second" / "minute" / "hour" / "day" / "week", also with "s",
 *		 and the short forms of duration.h
 *
 * Pure. Threads: no state.
 */
#ifndef POLICY_QUOTA_LIMIT_H
#define POLICY_QUOTA_LIMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/quota/window.h"

/* Bounds of a window: one second, and 366 days. */
#define LIMIT_MIN_WINDOW_MS	INT64_C(1000)
#define LIMIT_MAX_WINDOW_MS	(INT64_C(366) * 24 * 3600 * 1000)

/* The largest count of a unit whose instances are kept each: client addresses and such. */
#define LIMIT_MAX_CLIENTS	1000

/* What is counted. New units are added at the end, with a row in limit.c. */
enum limit_unit {
	LIMIT_MESSAGES,
	LIMIT_RECIPIENTS,
	LIMIT_BYTES,
	LIMIT_EXTERNAL,		/* recipients outside our own domains */
	LIMIT_NEW,		/* recipients that were not written to for 30 days */
	LIMIT_CLIENTS,		/* different addresses of clients */
	LIMIT_FOREIGN,		/* messages refused for a foreign sender */
	LIMIT_REFUSED,		/* different recipients that the MTA refused */
	LIMIT_OVER,		/* different messages refused over a limit; for block_on only */
	LIMIT_COUNTRIES,	/* different countries of clients */
	LIMIT_NETWORKS,		/* different networks (AS) of clients */
	LIMIT_BLOCKS,		/* blocks by block_on, for block_grows; has no word */
	LIMIT_LOGINS,		/* different wrong passwords at log-in */
	LIMIT_DUPLICATES,	/* different recipients of a body that was sent before */
	LIMIT_BOUNCES,		/* different messages that came back */
	LIMIT_SENT,		/* Message-IDs of accepted mail, for bounces; has no word */
	LIMIT_USUAL		/* times as many recipients in an hour as usual (usual.h) */
};
#define LIMIT_LAST	LIMIT_USUAL

/* One limit. A limit that is unlimited has no window and is never counted. */
struct limit {
	const char *text;	/* as written, without white space at its ends */
	enum limit_unit unit;
	uint64_t max;		/* 0 .. LIMIT_MAX_COUNT; 0 lets nothing pass */
	int64_t window_ms;	/* length of the sliding window in milliseconds */
	bool unlimited;
	const char *field;	/* names its counter within a subject's key: "r3600000.48" */
};

/*
 * limit_parse - read one limit
 * ctx owns limit_r->text and *error_r. Returns 0, or -1 with *error_r set to a
 * full sentence without a final newline that names the slip and shows the right
 * spelling; limit_r is then undefined. Strings of any length and content are safe.
 */
int limit_parse(TALLOC_CTX *ctx, const char *text, struct limit *limit_r,
    const char **error_r);

/* limit_parse_sign - as limit_parse(), with errors for who writes block_on; whether it is a sign is
 * left to limit_is_sign() */
int limit_parse_sign(TALLOC_CTX *ctx, const char *text, struct limit *limit_r,
    const char **error_r);

/* limit_signs - what block_on may count, as an error has it; on ctx */
const char *limit_signs(TALLOC_CTX *ctx);

/*
 * limit_parse_size - read a size: "25 MB", "25M", "30000 bytes"; octets, 1 at least
 * As limit_parse().
 */
int limit_parse_size(TALLOC_CTX *ctx, const char *text, uint64_t *size_r, const char **error_r);

/*
 * limit_field - the name of the counter of a unit and a window, on ctx
 */
char *limit_field(TALLOC_CTX *ctx, enum limit_unit unit, int64_t window_ms);

/*
 * limit_text - a limit as one would write it, on ctx: "500 recipients per hour"
 */
char *limit_text(TALLOC_CTX *ctx, enum limit_unit unit, uint64_t max, int64_t window_ms);

/*
 * limit_unit_name - the plural name of a unit: "messages", "recipients", "bytes"
 */
const char *limit_unit_name(enum limit_unit unit);

/*
 * limit_is_distinct - whether a unit counts different things, each kept with its time
 * Of such a unit each thing counts once in a window, however often it comes.
 */
bool limit_is_distinct(enum limit_unit unit);

/* limit_is_sign - whether a unit may be in block_on */
bool limit_is_sign(enum limit_unit unit);

/*
 * limit_is_level - whether a unit counts what happens apart from accepted messages
 * A message costs nothing in such a unit; while the count is over the limit, none passes.
 */
bool limit_is_level(enum limit_unit unit);

/*
 * limit_unit_letter - the letter that stands for a unit in store fields
 * Never changes for a given unit: counters in stores depend on it.
 */
char limit_unit_letter(enum limit_unit unit);

#endif

/*
 * key_watch.h - is a key's record visible yet, so that it may sign?
 *
 * A signature by a key whose record is not visible is worse than none: it fails at every
 * receiver. So a key is asked for in DNS before it signs for the first time, and
 * now and then as long as it is in use.
 *
 *	no record, another key, revoked, unusable	the key is not used, and the log says
 *						what to publish, once
 *	DNS failure, no answer in time		cannot be told: the key is used
 *
 * One watch serves the process and outlives reloads; what it knows of a key is forgotten
 * when another key takes that name.
 *
 * Threads: making and freeing belong to one thread; everything else may be called by all
 * threads at once.
 */
#ifndef FILTER_DKIM_KEY_WATCH_H
#define FILTER_DKIM_KEY_WATCH_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/dkim/dkim.h"
#include "filter/dkim/signers.h"

#define KEY_WATCH_MAX \
	32768 /* keys remembered; of more, those used last */
#define KEY_WATCH_WAIT_MS	1000	/* a message's wait for DNS */
#define KEY_WATCH_SEEN_MIN_S \
	300 /* seconds until a visible key is asked for again: its TTL, within these */
#define KEY_WATCH_SEEN_MAX_S	3600
#define KEY_WATCH_UNSEEN_S	15	/* the same for one that is not used, whatever the TTL */
#define KEY_WATCH_LOOK_MS	3000	/* the wait for name servers of zones */
#define KEY_WATCH_LOOK_MAX	256	/* keys looked for at once */
#define KEY_WATCH_FAILED_S	60	/* after DNS failed */
#define KEY_WATCH_LATE_S	10	/* overdue for longer, a message asks itself */
#define KEY_WATCH_LINES		50	/* keys reported in the log within an hour */

struct key_watch;

/*
 * key_watch_new - with a thread, if dns has an authority: it looks there for keys that are not
 * used but wanted, every KEY_WATCH_UNSEEN_S. dns: whom to ask; its state must outlive the watch.
 * A talloc child of ctx.
 */
struct key_watch *key_watch_new(TALLOC_CTX *ctx, const struct dkim_dns *dns);

/*
 * key_watch_filter - leave in a choice only signatures that others can verify
 *
 * If no key is left, or no RSA key of those there were (Ed25519 alone verifies at few receivers,
 * RFC 8463 section 6), the outcome becomes FAIL with a problem on ctx. Keys that cannot be read
 * stay: signing reports them. now_ms: clock_ms(). Waits for DNS, at most KEY_WATCH_WAIT_MS in
 * all, and only if nothing recent is known of a key.
 */
void key_watch_filter(
    struct key_watch *watch, TALLOC_CTX *ctx, struct sign_choice *choice, int64_t now_ms);

/*
 * key_watch_foretell - as key_watch_filter(), and leave no trace
 * Nothing is remembered or logged; a key of which nothing is known is asked for, which waits for
 * DNS, at most KEY_WATCH_LOOK_MS for each.
 */
void key_watch_foretell(
    struct key_watch *watch, TALLOC_CTX *ctx, struct sign_choice *choice, int64_t now_ms);

/* key_watch_count - keys that a message wanted and that are remembered, and those of them that are
 * not used because of their records */
void key_watch_count(struct key_watch *watch, size_t *known_r, size_t *withheld_r);

/*
 * key_watch_look - ask for the keys past every cache; what is seen holds at once
 * Those that are not used come first; of all together KEY_WATCH_LOOK_MAX are looked for. Waits
 * KEY_WATCH_LOOK_MS at most. Does nothing if dns has no authority.
 */
void key_watch_look(struct key_watch *watch);

/*
 * key_watch_tick - query keys in use that are due again, without waiting
 * To be called about once a second; an answer is looked at by a later call.
 */
void key_watch_tick(struct key_watch *watch, int64_t now_ms);

#endif

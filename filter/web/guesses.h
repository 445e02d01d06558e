/*
 * guesses.h - how many wrong secrets may be tried, by the place they come from
 *
 * A place is where a request comes from: the address that a proxy reports, else the peer of the
 * connection. Wrong secrets are counted for each name at each place, for each place, and in all.
 * So one who guesses locks the owner of a token out at the place of the guesses alone, and a name
 * that does not exist is counted as one that does.
 *
 * Threads: any number at once.
 */
#ifndef FILTER_WEB_GUESSES_H
#define FILTER_WEB_GUESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#define GUESSES_NAME	10	/* wrong secrets in a minute for one name from one place */
#define GUESSES_PLACE	50	/* the same for all names from one place */
#define GUESSES_ALL	300	/* the same from all places */
#define GUESSES_MS	60000

struct guesses;

/* guesses_new - none yet; NULL: there are no random numbers */
struct guesses *guesses_new(TALLOC_CTX *ctx);

/*
 * guesses_take - count a secret as wrong before it is looked at
 * False: there were too many in the last minute, and nothing is counted. name: len octets, of a
 * token or not. now_ms: clock_ms().
 */
bool guesses_take(struct guesses *guesses, const char *place, const char *name, size_t len,
    int64_t now_ms);

/* guesses_return - it was right: take the count back */
void guesses_return(struct guesses *guesses, const char *place, const char *name, size_t len,
    int64_t now_ms);

/*
 * guesses_place - the place of a request, on ctx
 * fd: the connection. forwarded: what the last proxy wrote into X-Forwarded-For, or NULL; its last
 * address counts, of IPv6 the /64. One who can write that field at will is bounded by GUESSES_ALL.
 */
const char *guesses_place(TALLOC_CTX *ctx, int fd, const char *forwarded);

#endif

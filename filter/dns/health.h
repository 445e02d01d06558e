/*
 * health.h - does our resolver answer at all?
 *
 * A question without answer does not say who is silent: our resolver, or the servers of the
 * domain that it asks for us. So the resolver is asked something that it knows by itself.
 *
 * Threads: belongs to one thread, the dispatcher of resolver.c.
 */
#ifndef FILTER_DNS_HEALTH_H
#define FILTER_DNS_HEALTH_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#define HEALTH_SERVERS_MAX	8
#define HEALTH_AGAIN_MS		500	/* a probe without answer is repeated after that */
#define HEALTH_SILENCE_MS	1400	/* and after that the resolver is away */

struct health {
	const char **servers;
	int fds[HEALTH_SERVERS_MAX]; /* -1: not open */
	size_t n;
	const char *names;	/* of the servers, for people */
	int64_t heard_ms;	/* when a probe was answered last; 0: never */
	int64_t asked_ms;	/* first of the probes without answer; 0: none is under way */
	int64_t sent_ms;	/* last of them */
	unsigned int sent;	/* probes so far */
	uint16_t id;		/* of them */
	bool away;		/* none of the servers answers */
};

/* health_new - servers: as upstream_servers() gives them; they must outlive it.
 * A talloc child of ctx. */
struct health *health_new(TALLOC_CTX *ctx, const char **servers);

/* health_ask - send a probe, if none is under way */
void health_ask(struct health *health, int64_t now_ms);

/* health_fds - what poll(2) should watch: at most HEALTH_SERVERS_MAX; returns their number */
size_t health_fds(const struct health *health, struct pollfd *fds);

/* health_look - read what came, repeat what is due, and decide; away and heard_ms are new then */
void health_look(struct health *health, int64_t now_ms);

/*
 * health_heard - a question that was sent at asked_ms has an answer
 * If a probe is under way and was sent before, this is as good: there are resolvers that
 * take no probes.
 */
void health_heard(struct health *health, int64_t asked_ms, int64_t now_ms);

#endif

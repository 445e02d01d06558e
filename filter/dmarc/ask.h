/*
 * ask.h - the questions of DMARC to DNS
 *
 * All names of a walk are asked side by side, each name once for a message. What the answers mean
 * is decided in policy/dmarc.
 *
 * Threads: a struct dmarc_asking belongs to one message, so to one thread at a time.
 */
#ifndef FILTER_DMARC_ASK_H
#define FILTER_DMARC_ASK_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/dns/resolver.h"
#include "policy/dmarc/judge.h"
#include "policy/dmarc/walk.h"

#define DMARC_QUESTIONS_MAX	200	/* names asked for one message; more are taken as silent */

/* The answers so far. */
struct dmarc_asking {
	struct resolver *resolver;
	int64_t deadline_ms;	/* CLOCK_MONOTONIC, for all questions together */
	struct dmarc_answers answers;
	struct dmarc_answer *items; /* that answers point to; a talloc child of the asking */
};

/* dmarc_asking_new - nothing asked yet; a talloc child of ctx. resolver must outlive it. */
struct dmarc_asking *dmarc_asking_new(TALLOC_CTX *ctx, struct resolver *resolver,
    int64_t deadline_ms);

/* dmarc_prefetch - start the questions of a walk whose answers will be asked for soon */
void dmarc_prefetch(struct resolver *resolver, const char *domain);

/*
 * dmarc_ask_walk - have the answers to every name of a walk from a domain
 * domain: normal form; copied. Names that were asked before are not asked again.
 */
void dmarc_ask_walk(struct dmarc_asking *asking, const char *domain);

/* dmarc_ask_existence - is the domain in DNS (RFC 9989 section 3.2.13)? */
enum dmarc_existence dmarc_ask_existence(const struct dmarc_asking *asking, const char *domain);

#endif

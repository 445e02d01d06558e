/*
 * figures.h - what is counted of messages since the start, for the command "metrics"
 *
 * A message adds a few times one to a place in memory, without a lock. Labels are few: names of
 * listeners, words of ours, types of tables. What strangers choose is never one.
 *
 * Threads: any number may count and read at once.
 */
#ifndef FILTER_DAEMON_FIGURES_H
#define FILTER_DAEMON_FIGURES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "filter/base/histogram.h"
#include "policy/base/facts.h"
#include "policy/verdict/verdict.h"

/* A counter; it wraps after centuries. */
typedef atomic_uint_fast64_t figures_number;

#define FIGURES_LISTENERS	64	/* pairs of listener and role; more share the last */
#define FIGURES_OTHER		"other"	/* the name of that */
#define FIGURES_UNMATCHED	"none"	/* of messages that no listener matches */
#define FIGURES_ACTIONS		(ACTION_REJECT + 1)
#define FIGURES_OUTCOMES	(OUTCOME_PERMERROR + 1)
#define FIGURES_SPF		(SPF_IS_PERMERROR + 1)
#define FIGURES_DKIM		(DKIM_IS_PERMERROR + 1)
#define FIGURES_DMARC		(DMARC_IS_PERMERROR + 1)
#define FIGURES_TABLES		24	/* types of tables, more than there are */

/* Decisions of one listener in one role. A talloc root. */
struct figures_listener {
	const char *name;
	enum role role;
	figures_number done[FIGURES_ACTIONS][REASON_COUNT];
	figures_number would[FIGURES_ACTIONS][REASON_COUNT]; /* mode watch: what was not done */
};

/* Stages of a message. */
enum figures_stage { FIGURES_MAIL, FIGURES_RCPT, FIGURES_HEADER, FIGURES_BODY, FIGURES_END,
	FIGURES_STAGES };

/* All of it; zero is fine to begin with. */
struct figures {
	_Atomic(struct figures_listener *) listeners[FIGURES_LISTENERS];
	struct histogram stages[FIGURES_STAGES];
	figures_number signatures[FIGURES_OUTCOMES];	/* messages, by our signature */
	figures_number verifications[FIGURES_DKIM];	/* signatures of others */
	figures_number unsigned_mail;			/* messages from outside without any */
	figures_number spf_mailfrom[FIGURES_SPF];
	figures_number spf_helo[FIGURES_SPF];
	figures_number dmarc[FIGURES_DMARC];
	figures_number tables[FIGURES_TABLES][3];	/* by table_type_index() and outcome */
	figures_number reloads_failed;
	atomic_bool reload_failed;		/* the last one */
	atomic_int_least64_t reloaded_ms;	/* UNIX time of the last that was good, or start */
};

/* figures_count - one more */
static inline void
figures_count(figures_number *one)
{
	(void)atomic_fetch_add_explicit(one, 1, memory_order_relaxed);
}

/* figures_read - how many so far */
static inline double
figures_read(const figures_number *one)
{
	return (double)atomic_load_explicit(one, memory_order_relaxed);
}

/* figures_listener - the decisions of a listener in a role; name NULL: no listener matches */
struct figures_listener *figures_listener(struct figures *figures, const char *name,
    enum role role);

/* figures_message - a message, or a recipient of it, was decided */
void figures_message(struct figures *figures, const struct facts *facts,
    const struct verdict *verdict);

/* figures_free - free what is below; figures itself belongs to the caller */
void figures_free(struct figures *figures);

#endif

/*
 * control_asked.h - one request, and what the files of the commands use to answer it
 *
 * Threads: no state.
 */
#ifndef FILTER_CONTROL_CONTROL_ASKED_H
#define FILTER_CONTROL_CONTROL_ASKED_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/daemon/daemon.h"

/* Who asks. */
struct asker {
	bool may_write;		/* change things, not only ask */
	const char *name;	/* for the log and for blocks */
};

/* One request. */
struct asked {
	struct daemon *daemon;
	TALLOC_CTX *ctx;	/* for the length of the answer */
	const json_t *request;
	const struct asker *asker;
	bool remote;		/* there is no daemon: only its store is open */
};

typedef json_t *control_command(const struct asked *asked);

/* Kinds of failures, the member "code" of an answer: programs read it, people read "error". */
#define CONTROL_FAILED		"failed"
#define CONTROL_BUSY		"busy"		/* the same request may succeed soon */
#define CONTROL_NOT_ACCOUNT	"not-account"	/* the name is none of an account */
#define CONTROL_NOT_PERMITTED	"not-permitted"	/* the asker may not do this */
#define CONTROL_REQUEST		"request"	/* a command or field is unknown, or its value wrong */
#define CONTROL_UNAVAILABLE	"unavailable"	/* the store or the books do not answer now */

/* control_failed_as - an answer that says what is wrong; code: one of the above */
json_t *control_failed_as(const char *code, const char *error);

/* control_failed - the same as CONTROL_FAILED */
json_t *control_failed(const char *error);

/* control_unread - the same if something of the books or the store cannot be read now, and why */
json_t *control_unread(const struct asked *asked, const char *what, const char *why);

/* control_text - a text member of the request, or NULL */
const char *control_text(const struct asked *asked, const char *name);

/* control_number - a whole number of the request within bounds, or what it is by default */
long long control_number(const struct asked *asked, const char *name, long long min, long long max,
    long long otherwise);

/* control_account - the account the request names, in normal form; NULL and an answer if it
 * names none */
const char *control_account(const struct asked *asked, json_t **answer_r);

/* control_advise - add "advice", and "next" if a command helps, to each decision of the history */
void control_advise(const struct asked *asked, json_t *decisions); /* control_advice.c */

/* control_add_queued - a decision's queue id below the filter it was on, and the envelope sender it
 * had */
void control_add_queued(json_t *filters, json_t *senders, const json_t *verdict);

/* control_block_of - an account's block, or NULL */
json_t *control_block_of(const struct asked *asked, const char *account); /* control_account.c */

/* control_watch_note - that a block refuses nothing, because the mode of the account is watch; or
 * NULL */
const char *control_watch_note(const struct asked *asked, const struct config *config,
    const char *account); /* control_account.c */

/* Bounds of the numbers in requests. */
#define CONTROL_FOR_MAX_MS	(INT64_C(366) * 24 * 3600 * 1000)
#define CONTROL_ROWS_MAX	1000	/* accounts or domains in an answer */
#define CONTROL_QUEUED_MAX	10000	/* messages that are looked up in the history */

/* How long an answer may wait for the store. */
#define CONTROL_STORE_WAIT_MS	5000

control_command control_block, control_blocked, control_plan_of, control_quota_reset,
    control_quota_set, control_quota_show, control_quota_unset,
    control_unblock;                                                    /* control_account.c */
control_command control_report, control_suggest;			/* control_daybook.c */
control_command control_dmarc_report;				/* control_dmarc.c */
control_command control_doctor, control_doctor_look, control_domains;	/* control_domains.c */
control_command control_events, control_last, control_queued, control_sent,
    control_why; /* control_history.c */
control_command control_metrics;					/* control_metrics.c */
control_command control_hours, control_rates;			/* control_rates.c */
control_command control_login_allow, control_login_report;		/* control_login.c */
control_command control_stolen;					/* control_stolen.c */
control_command control_quota_top;					/* control_top.c */

#endif

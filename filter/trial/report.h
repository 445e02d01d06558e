/*
 * report.h - what a trial found, as JSON; for trial.c
 *
 * Threads: that of the trial.
 */
#ifndef FILTER_TRIAL_REPORT_H
#define FILTER_TRIAL_REPORT_H

#include <jansson.h>
#include <talloc.h>

#include "filter/message/session.h"

/* One run of a message. */
struct trial_run {
	struct session *session;	/* message and witness live until it is freed */
	json_t *recipients;	/* {"address", "reply", "reason"} of each */
	const char *stage;	/* where it was decided */
	const char *mta;	/* "postfix", "pickup", "sendmail" */
};

/* trial_reply - "550 5.7.1 ..." as the client would read it, on ctx; NULL: it passes */
const char *trial_reply(TALLOC_CTX *ctx, const struct verdict *verdict);

/* trial_report - all of a run; verdict and reply come first. The caller owns it. */
json_t *trial_report(TALLOC_CTX *ctx, const struct trial_run *run);

/* trial_report_other - what the other mode makes of the message */
json_t *trial_report_other(TALLOC_CTX *ctx, const struct trial_run *run);

/* trial_report_header - the header section as it would go on, base64; NULL: the message does not */
json_t *trial_report_header(TALLOC_CTX *ctx, const struct trial_run *run);

#endif

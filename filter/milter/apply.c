/*
 * apply.c - a verdict carried out through libmilter
 *
 * Computes nothing: the verdict and the edits are values made before. The order
 * of edits is theirs, too: all deletions from the last index to the first, then the changes, then
 * the insertions, each at the top (index 0, above the MTA's own Received).
 *
 * Thread rule: called from a callback, for its session only.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdint.h>
#include <string.h>

#include "filter/base/log.h"
#include "filter/milter/apply.h"
#include "policy/base/mem.h"
#include "policy/base/mem.h"

/* writable - libmilter's prototypes lack const; it does not write to these */
static char *
writable(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* apply_escaped - a reply as smfi_setreply wants it: a % is written twice, as for printf(3);
 * MTAs undo it */
static char *
apply_escaped(TALLOC_CTX *ctx, const char *text)
{
	char *copy = mem_array(ctx, char, 2 * strlen(text) + 1);
	char *p = copy;

	for (; *text != '\0'; *p++ = *text++)
		if (*text == '%')
			*p++ = '%';
	return copy;
}

/* apply_reply - set the SMTP reply of a verdict */
sfsistat
apply_reply(SMFICTX *ctx, const struct verdict *verdict)
{
	char *text;

	if (verdict_passes(verdict))
		return SMFIS_CONTINUE;
	text = apply_escaped(NULL, verdict->reply_text);
	if (smfi_setreply(ctx, writable(verdict->reply_code), writable(verdict->reply_status),
	    text) != MI_SUCCESS)
		log_error("libmilter refused the reply %s %s %s", verdict->reply_code,
		    verdict->reply_status, verdict->reply_text);
	talloc_free(text);
	return verdict->action == ACTION_REJECT ? SMFIS_REJECT : SMFIS_TEMPFAIL;
}

/* apply_edits - carry out the header edits; -1 if the MTA or libmilter refused one */
static int
apply_edits(SMFICTX *ctx, const struct edits *edits)
{
	for (size_t i = 0; i < edits->n_deletes; i++)
		if (smfi_chgheader(ctx, writable(edits->deletes[i].name),
			(int)edits->deletes[i].index, NULL) != MI_SUCCESS)
			return -1;
	for (size_t i = 0; i < edits->n_changes; i++)
		if (smfi_chgheader(ctx, writable(edits->changes[i].name),
			(int)edits->changes[i].index,
			writable(edits->changes[i].value)) != MI_SUCCESS)
			return -1;
	for (size_t i = 0; i < edits->n_inserts; i++)
		if (smfi_insheader(ctx, 0, writable(edits->inserts[i].name),
		    writable(edits->inserts[i].value)) != MI_SUCCESS)
			return -1;
	return 0;
}

/* quarantine - into the MTA's hold queue, with the rule and what it found as the reason shown
 * there */
static int
quarantine(SMFICTX *ctx, const struct verdict *verdict)
{
	char *reason = mem_printf(NULL, "countersign %s: %s", reply_row(verdict->reason)->word,
	    verdict->hold_text != NULL ? verdict->hold_text : "held");
	int result = smfi_quarantine(ctx, reason);

	talloc_free(reason);
	return result;
}

/* apply_end - at end of message */
sfsistat
apply_end(SMFICTX *ctx, const struct verdict *verdict, const struct edits *edits)
{
	if (!verdict_passes(verdict))
		return apply_reply(ctx, verdict);
	if (apply_edits(ctx, edits) != 0) {
		log_error("the MTA refused a header edit; the message is tempfailed");
		return SMFIS_TEMPFAIL;
	}
	if (verdict->action == ACTION_QUARANTINE && quarantine(ctx, verdict) != MI_SUCCESS) {
		log_error("the MTA refused to quarantine; the message is tempfailed");
		return SMFIS_TEMPFAIL;
	}
	return SMFIS_CONTINUE;
}

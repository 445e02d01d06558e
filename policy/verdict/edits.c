/*
 * edits.c - which header fields go and which come
 *
 * Deleting forward through fields of one name leaves every second one if the
 * MTA renumbers at once, as Postfix does; so the list of deletions begins with
 * the last. The signatures go in first and Authentication-Results last, each at
 * the top, so that it ends above everything, the MTA's Received included.
 *
 * Pure, no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "policy/base/mem.h"
#include "policy/verdict/authres.h"
#include "policy/verdict/edits.h"

#define AUTHRES_NAME	"Authentication-Results"

/* plan_deletes - forged results, last field first */
static void
plan_deletes(TALLOC_CTX *ctx, const struct header_list *list, const char *authserv_id,
    struct edits *edits)
{
	size_t index = header_count(list, AUTHRES_NAME);

	edits->deletes = mem_array(ctx, struct edit_delete, index + 1);
	for (size_t i = list->n; i-- > 0;) {
		const struct header_field *field = &list->fields[i];

		if (!header_is(field, AUTHRES_NAME))
			continue;
		if (authres_is_ours(field->value, field->value_len, authserv_id))
			edits->deletes[edits->n_deletes++] =
			    (struct edit_delete){ AUTHRES_NAME, index };
		index--;
	}
}

/* edits_plan - the edits for a message that passes */
void
edits_plan(TALLOC_CTX *ctx, const struct header_list *list, const struct facts *facts,
    const char *authserv_id, const char *const *signatures, struct edits *edits_r)
{
	const struct authres_options options = { .authserv_id = authserv_id };
	size_t n = 0;

	*edits_r = (struct edits){ 0 };
	plan_deletes(ctx, list, authserv_id, edits_r);
	while (signatures != NULL && signatures[n] != NULL)
		n++;
	edits_r->inserts = mem_array(ctx, struct edit_insert, n + 1);
	for (size_t i = n; i-- > 0;)
		edits_r->inserts[edits_r->n_inserts++] =
		    (struct edit_insert){ "DKIM-Signature", signatures[i] };
	if (facts->role == ROLE_INBOUND)
		edits_r->inserts[edits_r->n_inserts++] =
		    (struct edit_insert){ AUTHRES_NAME, authres_write(ctx, &options, facts) };
}

void
edits_fold(
    TALLOC_CTX *ctx, const struct header_list *list, const char *const *folded, struct edits *edits)
{
	edits->changes = mem_array(ctx, struct edit_change, list->n + 1);
	for (size_t i = 0; i < list->n; i++) {
		const char *name = list->fields[i].name;
		size_t index = 1;

		if (folded[i] == NULL)
			continue;
		for (size_t j = 0; j < i; j++)
			index += header_is(&list->fields[j], name);
		edits->changes[edits->n_changes++] =
		    (struct edit_change){ name, index, folded[i] };
	}
}

/*
 * edits.h - what is changed in the header of a message that passes
 */
#ifndef POLICY_VERDICT_EDITS_H
#define POLICY_VERDICT_EDITS_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/facts.h"
#include "policy/sender/header.h"

/* One field to be deleted. */
struct edit_delete {
	const char *name;
	size_t index;		/* 1 for the first field of that name, as smfi_chgheader counts */
};

/* One field that gets another value. */
struct edit_change {
	const char *name;
	size_t index;		/* as that of edit_delete */
	const char *value;	/* with its leading space, LF folds */
};

/* One field to be inserted at the top. */
struct edit_insert {
	const char *name;
	const char *value;	/* with its leading space, LF folds */
};

/* Carried out in this order: all deletions as listed, then all changes, then all insertions. */
struct edits {
	struct edit_delete *deletes; /* last field first: MTAs renumber at once (CVE-2022-48521) */
	size_t n_deletes;
	struct edit_change *changes;
	size_t n_changes;
	struct edit_insert *inserts; /* each goes above the one before it */
	size_t n_inserts;
};

/*
 * edits_plan - the edits for a message that passes
 *
 * Deleted: every Authentication-Results that contains authserv_id or might. Inserted: signatures
 * (values, NULL-terminated, or NULL for none), and on role inbound one
 * Authentication-Results of our own, uppermost. Memory is on ctx. Pure; any thread.
 */
void edits_plan(TALLOC_CTX *ctx, const struct header_list *list, const struct facts *facts,
    const char *authserv_id, const char *const *signatures, struct edits *edits_r);

/*
 * edits_fold - add the changes that make the header the one that was signed
 * folded: for each field of the list its new value, or NULL. Memory is on ctx. Pure; any thread.
 */
void edits_fold(TALLOC_CTX *ctx, const struct header_list *list, const char *const *folded,
    struct edits *edits);

#endif

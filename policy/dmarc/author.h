/*
 * author.h - the author domains of a message
 *
 * RFC 9989 sections 5.3.1 and 11.5: every domain of every From field. Readers differ in the one
 * they show, so none may be left out: a field that cannot be read in one way gives each domain that
 * stands after an at sign in it, or after what looks like one, as a reader sees it.
 *
 * Memory: results live in the given talloc context. Threads: no state; any thread.
 */
#ifndef POLICY_DMARC_AUTHOR_H
#define POLICY_DMARC_AUTHOR_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/sender/header.h"

#define DMARC_AUTHORS_MAX	8	/* author domains of one message that are judged */

struct dmarc_authors {
	const char *domains[DMARC_AUTHORS_MAX]; /* normal form, each once */
	size_t n;
	bool too_many;		/* there are more */
	size_t fields;		/* From fields */
	const char *problem; /* why a field cannot be read in one way, or has no domain; or NULL */
};

/* dmarc_authors_read - from a header section to its author domains */
void dmarc_authors_read(TALLOC_CTX *ctx, const struct header_list *list,
    struct dmarc_authors *authors_r);

#endif

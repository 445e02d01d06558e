/*
 * merge.c - which refused messages count, if many have one subject
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/mem.h"
#include "policy/quota/merge.h"

/* merge_counts - one more message with that subject is refused; does it count? */
bool
merge_counts(struct merge *merge, int64_t now, int64_t window_ms)
{
	if (merge->n > 0 && (now - merge->seen_ms >= window_ms || now < merge->seen_ms - window_ms))
		*merge = (struct merge){ 0 };
	merge->seen_ms = now;
	if (merge->n < UINT32_MAX)
		merge->n++;
	if (merge->n > MERGE_FIRST && ++merge->uncounted < MERGE_EVERY &&
	    now - merge->counted_ms < MERGE_PAUSE_MS)
		return false;
	merge->uncounted = 0;
	merge->counted_ms = now;
	return true;
}

/* merge_subject - what the subjects of a mail merge have in common */
char *
merge_subject(TALLOC_CTX *ctx, const char *subject)
{
	char *text = mem_strdup(ctx, subject), *to = text;

	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c > ' ' && (*c < '0' || *c > '9'))
			*to++ = *c >= 'A' && *c <= 'Z' ? (char)(*c + ('a' - 'A')) : *c;
	*to = '\0';
	return text;
}

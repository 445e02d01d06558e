/*
 * walk.c - the DNS tree walk: which names are asked, and what the answers mean
 *
 * Threads: see walk.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/dmarc/walk.h"

/* count_labels - how many a domain has */
static size_t
count_labels(const char *domain)
{
	size_t n = 1;

	for (; *domain != '\0'; domain++)
		n += *domain == '.';
	return n;
}

/* without_first - a domain without its first label; NULL: it has no other */
static const char *
without_first(const char *domain)
{
	const char *dot = strchr(domain, '.');

	return dot == NULL ? NULL : dot + 1;
}

size_t
dmarc_walk_names(const char *domain, const char *names_r[DMARC_WALK_MAX])
{
	size_t labels = count_labels(domain), n = 0;

	names_r[n++] = domain;
	do {
		domain = without_first(domain);
		labels--;
	} while (domain != NULL && labels >= DMARC_WALK_MAX);
	for (; domain != NULL && n < DMARC_WALK_MAX; domain = without_first(domain))
		names_r[n++] = domain;
	return n;
}

void
dmarc_answer_read(TALLOC_CTX *ctx, const char *name, const char *const *records, const size_t *lens,
    size_t n, struct dmarc_answer *answer_r)
{
	struct dmarc_record record;

	*answer_r = (struct dmarc_answer){ .name = name, .state = DMARC_NO_RECORD };
	for (size_t i = 0; i < n; i++) {
		if (!dmarc_record_read(ctx, records[i], lens[i], &record))
			continue;
		if (answer_r->state == DMARC_HAS_RECORD) {
			*answer_r = (struct dmarc_answer){ .name = name };
			return;
		}
		answer_r->state = DMARC_HAS_RECORD;
		answer_r->record = record;
	}
}

const struct dmarc_answer *
dmarc_answer_find(const struct dmarc_answers *answers, const char *name)
{
	for (size_t i = 0; i < answers->n; i++)
		if (strcmp(answers->items[i].name, name) == 0)
			return &answers->items[i];
	return NULL;
}

/* one_below - the name one label below an ancestor of a domain, on the way to it */
static const char *
one_below(const char *domain, const char *ancestor)
{
	const char *below = domain + strlen(domain) - strlen(ancestor) - 1;

	while (below > domain && below[-1] != '.')
		below--;
	return below;
}

/* find_policies - the records that may say the policy, once the organisation is known */
static void
find_policies(const char *domain, const struct dmarc_answers *answers, struct dmarc_walk *walk)
{
	const struct dmarc_answer *upper;

	if (strcmp(walk->organisation, domain) == 0)
		return;
	upper = dmarc_answer_find(answers, walk->organisation);
	if (upper != NULL && upper->state == DMARC_HAS_RECORD)
		walk->upper = upper;
}

void
dmarc_walk(const char *domain, const struct dmarc_answers *answers, struct dmarc_walk *walk_r)
{
	const char *names[DMARC_WALK_MAX], *shortest = NULL;
	size_t n = dmarc_walk_names(domain, names);

	*walk_r = (struct dmarc_walk){ .domain = domain, .highest = domain };
	for (size_t i = 0; i < n; i++) {
		const struct dmarc_answer *answer = dmarc_answer_find(answers, names[i]);

		if (answer == NULL || answer->state == DMARC_SILENT) {
			if (walk_r->silent == NULL)
				walk_r->silent = names[i];
			walk_r->highest = names[i];
			continue;
		}
		if (answer->state == DMARC_NO_RECORD)
			continue;
		if (i == 0)
			walk_r->own = answer;
		walk_r->highest = shortest = names[i];
		if (answer->record.psd == DMARC_PSD_NO)
			break;
		if (answer->record.psd == DMARC_PSD_YES) {
			if (i > 0) {
				walk_r->registry = answer;
				walk_r->highest = shortest = one_below(domain, names[i]);
			}
			break;
		}
	}
	if (walk_r->silent != NULL) {
		walk_r->registry = NULL;
		return;
	}
	walk_r->organisation = shortest != NULL ? shortest : domain;
	find_policies(domain, answers, walk_r);
}

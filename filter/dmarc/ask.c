/*
 * ask.c - the questions of DMARC to DNS
 *
 * Threads: see ask.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/dmarc/ask.h"
#include "policy/base/mem.h"

#define PREFIX	"_dmarc."

struct dmarc_asking *
dmarc_asking_new(TALLOC_CTX *ctx, struct resolver *resolver, int64_t deadline_ms)
{
	struct dmarc_asking *asking = mem_new(ctx, struct dmarc_asking);

	asking->resolver = resolver;
	asking->deadline_ms = deadline_ms;
	asking->items = mem_array(asking, struct dmarc_answer, DMARC_QUESTIONS_MAX);
	asking->answers.items = asking->items;
	return asking;
}

/* prefetch_names - start the questions for some names */
static void
prefetch_names(struct resolver *resolver, const char *const *names, size_t n)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);

	for (size_t i = 0; i < n; i++) {
		const char *name = mem_printf(scratch, PREFIX "%s", names[i]);

		if (dns_name_ok(name, strlen(name)))
			resolver_prefetch(resolver, name, strlen(name), DNS_TXT);
	}
	talloc_free(scratch);
}

void
dmarc_prefetch(struct resolver *resolver, const char *domain)
{
	const char *names[DMARC_WALK_MAX];

	prefetch_names(resolver, names, dmarc_walk_names(domain, names));
}

/* read_answer - what DNS said of one name */
static void
read_answer(TALLOC_CTX *ctx, const char *name, const struct dns_answer *answer,
    struct dmarc_answer *answer_r)
{
	const char **records = mem_array(ctx, const char *, answer->count + 1);
	size_t *lens = mem_array(ctx, size_t, answer->count + 1);

	for (size_t i = 0; i < answer->count; i++) {
		records[i] = (const char *)answer->records[i].data;
		lens[i] = answer->records[i].len;
	}
	dmarc_answer_read(ctx, name, records, lens, answer->count, answer_r);
	if (answer->status == DNS_TIMEOUT || answer->status == DNS_FAILURE)
		answer_r->state = DMARC_SILENT;
}

/* ask_name - ask for one name, and keep the answer */
static void
ask_name(struct dmarc_asking *asking, const char *name)
{
	struct dmarc_answer *answer = &asking->items[asking->answers.n];
	const char *full = mem_printf(asking, PREFIX "%s", name);

	if (dns_name_ok(full, strlen(full)))
		read_answer(asking, name,
		    resolver_ask(asking->resolver, asking, full, strlen(full), DNS_TXT,
			asking->deadline_ms),
		    answer);
	else
		*answer = (struct dmarc_answer){ .name = name, .state = DMARC_NO_RECORD };
	asking->answers.n++;
}

void
dmarc_ask_walk(struct dmarc_asking *asking, const char *domain)
{
	const char *names[DMARC_WALK_MAX], *missing[DMARC_WALK_MAX] = { NULL };
	size_t n = dmarc_walk_names(mem_strdup(asking, domain), names), n_missing = 0;

	for (size_t i = 0; i < n; i++)
		if (dmarc_answer_find(&asking->answers, names[i]) == NULL)
			missing[n_missing++] = names[i];
	prefetch_names(asking->resolver, missing, n_missing);
	for (size_t i = 0; i < n_missing && asking->answers.n < DMARC_QUESTIONS_MAX; i++)
		ask_name(asking, missing[i]);
}

enum dmarc_existence
dmarc_ask_existence(const struct dmarc_asking *asking, const char *domain)
{
	struct dns_answer *answer = resolver_ask(asking->resolver, NULL, domain, strlen(domain),
	    DNS_A, asking->deadline_ms);
	/* a CNAME that leads nowhere is there itself */
	enum dmarc_existence existence =
	    answer->status == DNS_NXDOMAIN && !answer->alias ? DMARC_ABSENT :
	    answer->status == DNS_OK || answer->status == DNS_NODATA || answer->alias ?
	    DMARC_EXISTS :
	    DMARC_EXISTENCE_UNKNOWN;

	talloc_free(answer);
	return existence;
}

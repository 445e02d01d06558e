/*
 * ctl_dmarc_check.c - countersignctl dmarc check: what receivers make of a domain's record
 *
 * Works on its own, with the DNS servers that the configuration names; no daemon is involved.
 *
 * Threads: one, and those of the resolver.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/ctl/ctl_dmarc.h"
#include "filter/config/configuration.h"
#include "filter/dmarc/destinations.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/verdict/reply.h"

#define CHECK_WAIT_MS	10000	/* for all questions */

/* check_resolver - the one that the configuration describes, or that of this host */
static struct resolver *
check_resolver(struct ctl *ctl)
{
	struct resolver_options options = { .cache_entries = 1000 };
	struct resolver *resolver;
	const char *error = NULL;

	if (access(ctl->file, F_OK) == 0 || errno != ENOENT)
		options = ctl_config(ctl)->resolver;
	resolver = resolver_new(ctl->memory, &options, &error);
	if (resolver == NULL)
		ctl_fail("%s", error);
	return resolver;
}

/* ctl_dmarc_shown - a stranger's text, printable */
json_t *
ctl_dmarc_shown(TALLOC_CTX *ctx, const char *text)
{
	return text == NULL ? json_null() :
	    json_string(text_escape(ctx, text, strlen(text), DMARC_RECORD_MAX));
}

/* ctl_dmarc_walk - each name of the walk, and what is there */
json_t *
ctl_dmarc_walk(struct dmarc_asking *asking, const char *domain)
{
	const char *names[DMARC_WALK_MAX];
	size_t n = dmarc_walk_names(domain, names);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct dmarc_answer *answer = dmarc_answer_find(&asking->answers, names[i]);
		bool silent = answer == NULL || answer->state == DMARC_SILENT;
		bool found = !silent && answer->state == DMARC_HAS_RECORD;

		(void)json_array_append_new(list,
		    json_pack("{s:s, s:b, s:o, s:o}", "name", names[i], "answers", !silent,
			"record",
			ctl_dmarc_shown(asking, found ? answer->record.text : NULL), "fault",
			ctl_dmarc_shown(asking, found ? answer->record.fault : NULL)));
	}
	return list;
}

/* addresses_json - where reports go; false in *good_r: some go nowhere */
static json_t *
addresses_json(struct dmarc_asking *asking, const struct dmarc_answer *answer, bool *good_r)
{
	static const char *const words[] = { "ok", "refused", "unknown" };
	struct dmarc_destination destinations[DMARC_ADDRESSES_MAX];
	size_t n = answer->record.rua == NULL ? 0 :
	    dmarc_destinations(asking, answer->name, answer->record.rua, destinations);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		*good_r = *good_r && destinations[i].state == DMARC_DESTINATION_OK;
		(void)json_array_append_new(list,
		    json_pack("{s:o, s:o, s:s, s:o, s:o}", "uri", ctl_dmarc_shown(asking,
			    destinations[i].uri),
			"mailbox", ctl_dmarc_shown(asking, destinations[i].mailbox), "state",
			words[destinations[i].state], "why", ctl_dmarc_shown(asking,
			    destinations[i].why),
			"consent", ctl_dmarc_shown(asking, destinations[i].question)));
	}
	return list;
}

/* policy_json - the record that applies to mail of the domain, and what it asks for */
static json_t *
policy_json(struct dmarc_asking *asking, const char *domain, const struct dmarc_walk *walk,
    bool *good_r)
{
	struct dmarc_fact fact;
	const struct dmarc_answer *answer;
	enum dmarc_existence existence = dmarc_needs_existence(walk) ?
	    dmarc_ask_existence(asking, domain) : DMARC_EXISTS;

	dmarc_judge(asking, walk, &asking->answers, NULL, 0, existence, &fact);
	answer = fact.policy_domain == NULL ? NULL :
	    dmarc_answer_find(&asking->answers, fact.policy_domain);
	*good_r = answer != NULL && answer->record.fault == NULL;
	if (answer == NULL)
		return json_pack("{s:s, s:o}", "result", dmarc_result_word(fact.result), "problem",
		    ctl_dmarc_shown(asking, fact.problem));
	return json_pack("{s:s, s:s, s:s, s:b, s:s, s:s, s:o}", "domain", answer->name, "tag",
	    fact.tag, "policy", dmarc_policy_word(fact.policy), "testing", fact.testing, "adkim",
	    answer->record.strict_dkim ? "strict" : "relaxed", "aspf",
	    answer->record.strict_spf ? "strict" : "relaxed", "addresses",
	    addresses_json(asking, answer, good_r));
}

/* ctl_dmarc_print_walk - the names of the walk */
void
ctl_dmarc_print_walk(const json_t *walk)
{
	for (size_t i = 0; i < json_array_size(walk); i++) {
		const json_t *step = json_array_get(walk, i);

		(void)printf("_dmarc.%s: %s\n", ctl_text(step, "name"),
		    !json_is_true(json_object_get(step, "answers")) ? "DNS does not answer" :
		    *ctl_text(step, "record") != '\0' ? ctl_text(step, "record") : "no record");
		if (*ctl_text(step, "fault") != '\0')
			(void)printf("  in error: %s\n", ctl_text(step, "fault"));
	}
}

/* print_report_addresses - where reports go */
static void
print_report_addresses(const json_t *addresses)
{
	if (json_array_size(addresses) == 0)
		(void)printf("reports: none are requested; add rua=mailto:...\n");
	for (size_t i = 0; i < json_array_size(addresses); i++) {
		const json_t *address = json_array_get(addresses, i);

		(void)printf("reports to %s: %s", ctl_text(address, "uri"),
		    ctl_text(address, "state"));
		if (*ctl_text(address, "why") != '\0')
			(void)printf(": %s", ctl_text(address, "why"));
		if (strcmp(ctl_text(address, "state"), "refused") == 0 &&
		    *ctl_text(address, "consent") != '\0')
			(void)printf("; publish %s. IN TXT \"v=DMARC1\"",
			    ctl_text(address, "consent"));
		(void)printf("\n");
	}
}

/* print_check - all of it */
static void
print_check(const json_t *answer)
{
	const json_t *policy = json_object_get(answer, "policy");

	ctl_dmarc_print_walk(json_object_get(answer, "walk"));
	(void)printf("organization: %s\n", *ctl_text(answer, "organisation") != '\0' ?
	    ctl_text(answer, "organisation") : "not known");
	if (*ctl_text(policy, "policy") == '\0') {
		(void)printf("policy: none applies (%s)\n", *ctl_text(policy, "problem") != '\0' ?
		    ctl_text(policy, "problem") : ctl_text(policy, "result"));
		return;
	}
	(void)printf("policy: %s, by %s of %s%s\n", ctl_text(policy, "policy"),
	    ctl_text(policy, "tag"), ctl_text(policy, "domain"),
	    json_is_true(json_object_get(policy, "testing")) ? ", one step less because of t=y" :
							       "");
	(void)printf("alignment: DKIM %s, SPF %s\n", ctl_text(policy, "adkim"),
	    ctl_text(policy, "aspf"));
	print_report_addresses(json_object_get(policy, "addresses"));
}

struct dmarc_asking *
ctl_dmarc_asking(struct ctl *ctl)
{
	return dmarc_asking_new(ctl->memory, check_resolver(ctl), clock_ms() + CHECK_WAIT_MS);
}

int
ctl_dmarc_domain(struct ctl *ctl, const char *given)
{
	const char *error = NULL;
	const char *domain =
	    domain_normalise(ctl->memory, given, strlen(given), &error);
	struct dmarc_asking *asking;
	struct dmarc_walk walk;
	bool good = false;
	json_t *answer;

	if (domain == NULL || domain_is_literal(domain))
		ctl_wrong("\"%s\" is not a domain%s%s", given, error != NULL ? ": " : "",
		    error != NULL ? error : "");
	asking = ctl_dmarc_asking(ctl);
	dmarc_ask_walk(asking, domain);
	dmarc_walk(domain, &asking->answers, &walk);
	answer = json_pack("{s:b, s:s, s:o, s:o, s:o}", "ok", 1, "domain", domain, "walk",
	    ctl_dmarc_walk(asking, domain), "organisation", ctl_dmarc_shown(asking,
			    walk.organisation), "policy",
	    policy_json(asking, domain, &walk, &good));
	if (ctl->json) {
		char *line = mem_check(json_dumps(answer, JSON_COMPACT));

		(void)printf("%s\n", line);
		free(line);
	} else {
		print_check(answer);
	}
	json_decref(answer);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

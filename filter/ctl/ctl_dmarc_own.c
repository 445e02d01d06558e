/*
 * ctl_dmarc_own.c - countersignctl dmarc check --own: may our domains publish p=reject?
 *
 * The daemon's history says what was sent today, with the signature that each message got; DNS is
 * asked here for the records.
 *
 * Threads: one, and those of the resolver.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/config/configuration.h"
#include "filter/ctl/ctl_dkim.h"
#include "filter/ctl/ctl_dmarc.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define OWN_EXAMPLES	5	/* senders that are named for a domain */

/* One domain of ours. */
struct own_domain {
	const char *name;	/* normal form */
	long long aligned, unaligned, unknown; /* messages; unknown: DNS does not answer */
	json_t *examples;	/* of the unaligned */
};

/* All of them. */
struct own_domains {
	struct own_domain *items;
	size_t n;
};

/* own_add - a domain, once */
static void
own_add(struct ctl *ctl, struct own_domains *all, const char *name)
{
	const char *error = NULL;

	name = name == NULL ? NULL : domain_normalise(ctl->memory, name, strlen(name), &error);
	if (name == NULL || domain_is_literal(name))
		return;
	for (size_t i = 0; i < all->n; i++)
		if (domain_equal(all->items[i].name, name))
			return;
	all->items = mem_check(
	    talloc_realloc(ctl->memory, all->items, struct own_domain, (unsigned)all->n + 1));
	all->items[all->n++] = (struct own_domain){ .name = name, .examples = json_array() };
}

/* own_find - own_domains; else the realm and the domains that sign */
static void
own_find(struct ctl *ctl, const struct config *config, struct own_domains *all)
{
	size_t n;

	for (size_t i = 0; i < config->own_domains.n; i++)
		own_add(ctl, all, config->own_domains.items[i] +
		    (*config->own_domains.items[i] == '.'));
	if (!config->own_set) {
		own_add(ctl, all, config->realm);
		if (config_signs(config)) {
			struct keyring_key *keys = ctl_dkim_keys(ctl, ctl_dkim_load(ctl, config),
			    NULL, &n);

			for (size_t i = 0; i < n; i++)
				own_add(ctl, all, keys[i].domain);
		}
	}
	if (all->n == 0)
		ctl_fail("%s names no domain; add for example: own_domains = [\"example.org\"]",
		    ctl->file);
}

/* own_above - the domain of ours that a From domain is of, the longest; or NULL */
static struct own_domain *
own_above(const struct own_domains *all, const char *domain)
{
	struct own_domain *found = NULL;

	for (size_t i = 0; i < all->n; i++)
		if (domain_is_or_below(domain, all->items[i].name) &&
		    (found == NULL || strlen(found->name) < strlen(all->items[i].name)))
			found = &all->items[i];
	return found;
}

/* own_alignment - is d= aligned with a From domain? Without a record: as if it were relaxed */
static enum dkim_alignment
own_alignment(struct dmarc_asking *asking, const char *author, const char *d)
{
	struct dmarc_walk walk;
	const struct dmarc_answer *record;

	if (domain_equal(author, d))
		return DKIM_ALIGNED;
	dmarc_ask_walk(asking, author);
	dmarc_ask_walk(asking, d);
	dmarc_walk(author, &asking->answers, &walk);
	record = walk.own != NULL ? walk.own : walk.upper != NULL ? walk.upper : walk.registry;
	if (record != NULL)
		return record->record.strict_dkim ? DKIM_NOT_ALIGNED :
		    dmarc_alignment(&walk, d, &asking->answers);
	if (walk.silent != NULL)
		return DKIM_ALIGNMENT_UNKNOWN;
	return domain_is_or_below(author, d) || domain_is_or_below(d, author) ? DKIM_ALIGNED :
	    DKIM_NOT_ALIGNED;
}

/* own_count - messages with one From domain, account and signature */
static void
own_count(struct ctl *ctl, struct dmarc_asking *asking, const struct own_domains *all,
    const json_t *row)
{
	const char *error = NULL, *from = ctl_text(row, "domain"), *d = ctl_text(row, "sign");
	const char *author = domain_normalise(ctl->memory, from, strlen(from), &error);
	const char *slash = strchr(d, '/');
	struct own_domain *own = author == NULL ? NULL : own_above(all, author);
	enum dkim_alignment aligned = DKIM_NOT_ALIGNED;

	if (own == NULL)
		return;
	if (slash != NULL)
		aligned = own_alignment(asking, author,
		    mem_printf(ctl->memory, "%.*s", (int)(slash - d), d));
	if (aligned == DKIM_ALIGNED) {
		own->aligned += ctl_number(row, "messages");
	} else if (aligned == DKIM_ALIGNMENT_UNKNOWN) {
		own->unknown += ctl_number(row, "messages");
	} else {
		own->unaligned += ctl_number(row, "messages");
		if (json_array_size(own->examples) < OWN_EXAMPLES)
			(void)json_array_append_new(own->examples, json_deep_copy(row));
	}
}

/* own_record - a record with another p=, with t=y or without; its other tags stay */
static char *
own_record(TALLOC_CTX *ctx, const char *record, const char *policy, bool testing)
{
	char *made = mem_printf(ctx, "v=DMARC1; p=%s%s", policy, testing ? "; t=y" : "");

	while (*record != '\0') {
		size_t len = strcspn(record, ";");
		struct span tag = text_trim((struct span){ record, len });
		size_t name = 0;

		while (name < tag.len && tag.at[name] != '=' && tag.at[name] != ' ' &&
		    tag.at[name] != '\t')
			name++;
		if (tag.len > 0 && !(name == 1 && strchr("vVpPtT", tag.at[0]) != NULL))
			made = mem_check(talloc_asprintf_append_buffer(made, "; %.*s",
			    (int)tag.len, tag.at));
		record += len + (record[len] == ';');
	}
	return made;
}

/* own_next - the record to publish next, or NULL: none; *say_r: the conclusion */
static const char *
own_next(TALLOC_CTX *ctx, const struct own_domain *own, const struct dmarc_answer *answer,
    const struct dmarc_walk *walk, const char **say_r)
{
	const struct dmarc_record *record = &answer->record;
	bool found = answer->state == DMARC_HAS_RECORD;
	bool inherits = !found && (walk->upper != NULL || walk->registry != NULL);
	const char *first = found || inherits ? NULL :
	    mem_printf(ctx, "v=DMARC1; p=none; rua=mailto:dmarc@%s", own->name);

	*say_r = "DNS does not answer; try again";
	if (walk->silent != NULL || own->unknown > 0)
		return NULL;
	*say_r = "not ready: messages of today are not signed by the domain";
	if (own->unaligned > 0)
		return found && record->p != DMARC_POLICY_NONE ?
		    own_record(ctx, record->text, "none", false) : first;
	*say_r = "not known: no message of today is from this domain";
	if (own->aligned == 0)
		return first;
	*say_r = "all of today aligns; the record of the organization above applies";
	if (inherits)
		return NULL;
	*say_r = "all of today aligns; first publish rua= to receive reports";
	if (!found)
		return first;
	*say_r = "done: p=reject is published, and all of today aligns";
	if (record->p == DMARC_POLICY_REJECT && !record->testing && !record->broken)
		return NULL;
	*say_r = "ready for the next step: all of today aligns";
	return own_record(ctx, record->text, "reject",
	    !(record->p == DMARC_POLICY_REJECT && record->testing && !record->broken));
}

/* own_json - what is known of a domain */
static json_t *
own_json(struct dmarc_asking *asking, const struct own_domain *own, bool *good_r)
{
	struct dmarc_walk walk;
	const struct dmarc_answer *answer;
	const char *say, *next;
	bool found;

	dmarc_ask_walk(asking, own->name);
	dmarc_walk(own->name, &asking->answers, &walk);
	answer = dmarc_answer_find(&asking->answers, own->name);
	if (answer == NULL)
		ctl_fail("too many names to look up");
	found = answer->state == DMARC_HAS_RECORD;
	next = own_next(asking, own, answer, &walk, &say);
	*good_r = walk.silent == NULL && own->unknown == 0 && own->unaligned == 0 &&
	    own->aligned > 0;
	return json_pack("{s:s, s:b, s:o, s:o, s:I, s:I, s:I, s:O, s:s, s:o}", "domain", own->name,
	    "ready", *good_r, "walk", ctl_dmarc_walk(asking, own->name), "record",
	    ctl_dmarc_shown(asking, found ? answer->record.text : NULL), "aligned",
	    (json_int_t)own->aligned, "unaligned", (json_int_t)own->unaligned, "unknown",
	    (json_int_t)own->unknown, "examples", own->examples, "conclusion", say, "next",
	    ctl_dmarc_shown(asking, next));
}

/* print_own - a domain */
static void
print_own(const json_t *domain)
{
	const json_t *examples = json_object_get(domain, "examples");

	(void)printf("%s: aligned %lld, not aligned %lld\n", ctl_text(domain, "domain"),
	    ctl_number(domain, "aligned"), ctl_number(domain, "unaligned"));
	ctl_dmarc_print_walk(json_object_get(domain, "walk"));
	for (size_t i = 0; i < json_array_size(examples); i++) {
		const json_t *row = json_array_get(examples, i);

		(void)printf("  not aligned: %lld from ", ctl_number(row, "messages"));
		ctl_safe(ctl_text(row, "domain"));
		(void)printf(", account ");
		ctl_safe(*ctl_text(row, "account") != '\0' ? ctl_text(row, "account") : "-");
		(void)printf(*ctl_text(row, "sign") != '\0' ? ", signed by " : ", not signed");
		ctl_safe(ctl_text(row, "sign"));
		(void)printf("\n");
	}
	(void)printf("  %s\n", ctl_text(domain, "conclusion"));
	if (*ctl_text(domain, "next") != '\0')
		(void)printf("  publish _dmarc.%s. IN TXT \"%s\"\n", ctl_text(domain, "domain"),
		    ctl_text(domain, "next"));
}

/* own_history - what the daemon says was sent today */
static json_t *
own_history(struct ctl *ctl)
{
	char *line = ctl_talk(ctl, "{\"command\":\"sent\"}\n");
	json_t *answer = json_loads(line, 0, NULL);

	talloc_free(line);
	if (!json_is_true(json_object_get(answer, "ok")))
		ctl_fail("%s", *ctl_text(answer, "error") != '\0' ? ctl_text(answer, "error") :
		    "the daemon does not know what was sent");
	return answer;
}

/* own_check - dmarc check --own */
static int
own_check(struct ctl *ctl, struct dmarc_asking *asking)
{
	struct own_domains all = { NULL, 0 };
	json_t *history, *domains = json_array(), *answer;
	const json_t *rows;
	bool good = true;

	own_find(ctl, ctl_config(ctl), &all);
	history = own_history(ctl);
	rows = json_object_get(history, "sent");
	for (size_t i = 0; i < json_array_size(rows); i++)
		own_count(ctl, asking, &all, json_array_get(rows, i));
	for (size_t i = 0; i < all.n; i++) {
		bool ready;

		(void)json_array_append_new(domains, own_json(asking, &all.items[i], &ready));
		json_decref(all.items[i].examples);
		good = good && ready;
	}
	answer = json_pack("{s:b, s:b, s:o}", "ok", 1, "all_of_today",
	    json_is_true(json_object_get(history, "all")), "domains", domains);
	json_decref(history);
	for (size_t i = 0; !ctl->json && i < json_array_size(domains); i++)
		print_own(json_array_get(domains, i));
	if (!ctl->json && !json_is_true(json_object_get(answer, "all_of_today")))
		(void)printf("only the last messages of today were counted\n");
	return ctl_dkim_finish(ctl, answer, good ? EXIT_SUCCESS : EXIT_FAILURE);
}

int
ctl_dmarc_check(struct ctl *ctl, char **operands)
{
	bool own = ctl_flag(ctl, "--own");

	if (own == (operands[0] != NULL))
		ctl_misuse(ctl, "takes DOMAIN or --own");
	if (own && ctl->direct)
		ctl_misuse(ctl, "takes no --direct with --own, which needs the daemon");
	return own ? own_check(ctl, ctl_dmarc_asking(ctl)) : ctl_dmarc_domain(ctl, operands[0]);
}

/*
 * ctl_dkim_check.c - countersignctl dkim check: compare each key with its DNS record
 *
 * Asks the DNS servers of the configuration, as the daemon does, and judges the answers with the
 * daemon's code (key_record.h). Questions are sent some keys ahead, so that checking
 * many domains is not as slow as their slowest server times their number.
 *
 * Threads: one, and those of the resolver.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/ctl/ctl_dkim.h"
#include "filter/dkim/key_record.h"
#include "filter/dkim/key_watch.h"
#include "filter/dns/resolver.h"
#include "policy/base/mem.h"

#define WAIT_MS		10000	/* for the answer about one key */
#define AHEAD		64	/* questions under way */
#define BITS_ADVISED	2048	/* RFC 8301 section 3.2 */

/* Exit statuses: the worst of all keys, where not knowing is better than knowing that it is
 * wrong. */
enum {
	STATUS_GOOD = 0,
	STATUS_WRONG = 1,  /* some key cannot be verified by others */
	STATUS_UNKNOWN = 2 /* DNS could not tell of some, and of none is known that it is wrong */
};

/* A check of some keys. */
struct check {
	struct ctl *ctl;
	struct resolver *resolver;
	const struct keyring_key *keys;
	size_t n;
	bool explain;		/* say what to publish */
	json_t *list;
	int status;
};

/* ctl_dkim_check_note - make the status worse, if it is */
static void
ctl_dkim_check_note(struct check *check, enum key_state state)
{
	if (state == KEY_UNKNOWN && check->status == STATUS_GOOD)
		check->status = STATUS_UNKNOWN;
	else if (state != KEY_UNKNOWN && state != KEY_MATCHES)
		check->status = STATUS_WRONG;
}

/* remarks - what else is to be said of a key and its record, each with a semicolon in front */
static char *
remarks(TALLOC_CTX *ctx, const struct keyring_public *half, const struct key_finding *finding)
{
	char *text = mem_strdup(ctx, "");

	if (finding->problem != NULL)
		text = mem_printf(ctx, ": %s", finding->problem);
	if (finding->testing)
		text = mem_check(talloc_strdup_append_buffer(text,
		    "; t=y: receivers may treat signed mail as if it were not signed"));
	if (finding->strict)
		text = mem_check(
		    talloc_strdup_append_buffer(text, "; t=s: i= must not be of a subdomain"));
	if (finding->records > 1)
		text = mem_check(talloc_asprintf_append_buffer(text,
		    "; %zu TXT records at this name, which "
		    "verifiers may take in any order: leave one",
		    finding->records));
	if (half->type == KEYRING_RSA && half->bits < BITS_ADVISED)
		text = mem_check(talloc_asprintf_append_buffer(
		    text, "; weak: %u bits, use %d (RFC 8301)", half->bits, BITS_ADVISED));
	return text;
}

/* add_object - one key for JSON */
static void
add_object(struct check *check, const struct keyring_key *key, const struct keyring_public *half,
    const struct key_finding *finding, const char *name)
{
	(void)json_array_append_new(check->list,
	    json_pack("{s:s,s:s,s:s,s:i,s:s,s:s,s:s,s:s*,s:b,s:b,s:i,s:o}", "domain", key->domain,
		"selector", key->selector, "type", ctl_dkim_type(half->type), "bits",
		(int)half->bits, "file", key->file, "name", name, "state",
		key_state_word(finding->state), "problem", finding->problem, "testing",
		finding->testing, "strict", finding->strict, "records", (int)finding->records,
		"record", json_string(key_record_text(check->ctl->memory, half))));
}

/* ctl_dkim_check_tell - one key, for the reader */
static void
ctl_dkim_check_tell(const struct check *check, const struct keyring_key *key,
    const struct keyring_public *half, const struct key_finding *finding)
{
	char *text = remarks(check->ctl->memory, half, finding);

	(void)printf("%-30s %-20s %-7s %4u  ", key->domain, key->selector,
	    ctl_dkim_type(half->type), half->bits);
	/* strangers may have written the record */
	ctl_safe(mem_printf(text, "%s%s", key_state_word(finding->state), text));
	(void)printf("\n");
	if (check->explain && finding->state != KEY_MATCHES && finding->state != KEY_UNKNOWN)
		(void)printf(
		    "publish:\n%s", key_record_zone(text, key->selector, key->domain, half));
	talloc_free(text);
}

/* fail_key - a key that cannot be checked */
static void
fail_key(struct check *check, const struct keyring_key *key, const char *why)
{
	check->status = STATUS_WRONG;
	if (!check->ctl->json)
		(void)printf("%-30s %-20s %s\n", key->domain, key->selector, why);
	(void)json_array_append_new(check->list,
	    json_pack("{s:s,s:s,s:s,s:s}", "domain", key->domain, "selector", key->selector,
		"state", "unusable key", "problem", why));
}

/* ctl_dkim_check_key - ask for one key */
static void
ctl_dkim_check_key(struct check *check, const struct keyring_key *key)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	const char *error = NULL, *name = key_record_name(scratch, key->selector, key->domain);
	struct keyring_public half;
	struct key_finding finding;

	if (key->secret == NULL && !check->ctl->json)
		(void)printf("%-30s %-20s depends on the sender; name a domain\n", key->domain,
		    key->selector);
	if (key->secret == NULL) {
		talloc_free(scratch);
		return;
	}
	if (keyring_public(scratch, key, &half, &error) != 0) {
		fail_key(check, key, error);
	} else {
		key_record_judge(scratch, &half,
		    resolver_ask(check->resolver, scratch, name, strlen(name), DNS_TXT,
			clock_ms() + WAIT_MS),
		    &finding);
		/* caches keep what is no more, and that there was nothing */
		if (finding.state != KEY_UNKNOWN &&
		    (check->explain || finding.state != KEY_MATCHES))
			key_record_judge(scratch, &half,
			    resolver_ask_authority(check->resolver, scratch, &name, 1, DNS_TXT,
				clock_ms() + KEY_WATCH_LOOK_MS)[0], &finding);
		ctl_dkim_check_note(check, finding.state);
		add_object(check, key, &half, &finding, name);
		if (!check->ctl->json)
			ctl_dkim_check_tell(check, key, &half, &finding);
	}
	talloc_free(scratch);
}

/* ctl_dkim_check_ask_ahead - send the question for a key */
static void
ctl_dkim_check_ask_ahead(const struct check *check, size_t i)
{
	if (i >= check->n || check->keys[i].secret == NULL)
		return;

	char *name = key_record_name(NULL, check->keys[i].selector, check->keys[i].domain);

	resolver_prefetch(check->resolver, name, strlen(name), DNS_TXT);
	talloc_free(name);
}

/* ctl_dkim_check_choose - the keys asked for; if the KeyTable has % for a domain, those that
 * sign its mail */
static void
ctl_dkim_check_choose(
    struct check *check, const struct signers *signers, const char *domain, const char *selector)
{
	struct keyring_key *keys = ctl_dkim_keys(check->ctl, signers, domain, &check->n);
	struct sign_choice choice;
	size_t n = 0;

	if (check->n == 0 && domain != NULL) {
		signers_choose(check->ctl->memory, signers,
		    mem_printf(check->ctl->memory, "postmaster@%s", domain), NULL, &choice);
		keys = mem_array(check->ctl->memory, struct keyring_key, choice.n + 1);
		for (; check->n < choice.n; check->n++)
			keys[check->n] = *choice.requests[check->n].key;
	}
	for (size_t i = 0; i < check->n; i++)
		if (selector == NULL || strcmp(keys[i].selector, selector) == 0)
			keys[n++] = keys[i];
	check->keys = keys;
	check->n = n;
	if (n == 0 && domain != NULL)
		ctl_fail("there is no key%s%s for %s", selector != NULL ? " " : "",
		    selector != NULL ? selector : "", domain);
}

/* ctl_dkim_check - compare keys and DNS */
int
ctl_dkim_check(struct ctl *ctl, char **operands)
{
	bool all = ctl_flag(ctl, "--all");
	const char *selector = ctl_option(ctl, "--selector"), *error = NULL;
	const char *domain = operands[0] != NULL ? ctl_dkim_domain(ctl, operands[0]) : NULL;
	struct check check = { .ctl = ctl, .explain = domain != NULL, .list = json_array() };
	const struct config *config;

	if (all && domain != NULL)
		ctl_misuse(ctl, "takes a domain or --all");
	if (selector != NULL && domain == NULL)
		ctl_misuse(ctl, "needs a domain with --selector");
	config = ctl_config(ctl);
	ctl_dkim_check_choose(&check, ctl_dkim_load(ctl, config), domain, selector);
	check.resolver = resolver_new(ctl->memory, &config->resolver, &error);
	if (check.resolver == NULL)
		ctl_fail("%s", error);
	for (size_t i = 0; i < AHEAD; i++)
		ctl_dkim_check_ask_ahead(&check, i);
	for (size_t i = 0; i < check.n; i++) {
		ctl_dkim_check_ask_ahead(&check, i + AHEAD);
		ctl_dkim_check_key(&check, &check.keys[i]);
	}
	/* what is seen here, the daemon sees, too */
	ctl_tell(ctl, "{\"command\": \"dkim look\"}\n");
	return ctl_dkim_finish(ctl,
	    json_pack("{s:b,s:o}", "ok", check.status == STATUS_GOOD, "keys", check.list),
	    check.status);
}

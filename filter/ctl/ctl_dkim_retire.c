/*
 * ctl_dkim_retire.c - countersignctl dkim retire: no longer sign with a key
 *
 * The key's file gets a name that the daemon does not look at, and stays, should it be
 * wanted back. The record stays in DNS: mail that the key signed is still under way.
 *
 * Threads: one.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/ctl/ctl_dkim.h"
#include "policy/base/mem.h"

#define SUFFIX		".retired"

/* ctl_dkim_retire_find - the key of a selector among a domain's */
static const struct keyring_key *
ctl_dkim_retire_find(const struct keyring_key *keys, size_t n, const char *selector)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i].selector, selector) == 0)
			return &keys[i];
	return NULL;
}

/* is_last_rsa - does no RSA key stay? Ed25519 alone verifies at few receivers (RFC 8463 section
 * 6). */
static bool
is_last_rsa(
    struct ctl *ctl, const struct keyring_key *keys, size_t n, const struct keyring_key *key)
{
	const char *error = NULL;
	struct keyring_ready ready;

	for (size_t i = 0; i < n; i++)
		if (&keys[i] != key && keyring_ready(ctl->memory, &keys[i], &ready, &error) == 0 &&
		    ready.type == KEYRING_RSA)
			return false;
	/* if there was none before, nothing gets worse, but for the very last key */
	return n == 1 || keyring_ready(ctl->memory, key, &ready, &error) != 0 ||
	    ready.type == KEYRING_RSA;
}

/* put_away - give the file its new name; never in place of another */
static const char *
put_away(struct ctl *ctl, const char *file)
{
	const char *to = mem_printf(ctl->memory, "%s" SUFFIX, file);

	if (link(file, to) != 0)
		ctl_fail("%s: %s", to, strerror(errno));
	if (unlink(file) != 0)
		ctl_fail("%s: %s", file, strerror(errno));
	return to;
}

/* ctl_dkim_retire - take a key out of use */
int
ctl_dkim_retire(struct ctl *ctl, char **operands)
{
	const char *selector = ctl_option(ctl, "--selector");
	bool last = ctl_flag(ctl, "--last");
	const struct keyring_key *keys, *key;
	const struct config *config;
	const char *domain, *to;
	size_t n;

	domain = ctl_dkim_domain(ctl, operands[0]);
	config = ctl_config(ctl);
	if (config->dkim.key_table != NULL)
		ctl_fail(
		    "the keys are in the KeyTable %s: remove the lines of %s there and in the SigningTable",
		    config->dkim.key_table, selector);
	keys = ctl_dkim_keys(ctl, ctl_dkim_load(ctl, config), domain, &n);
	key = ctl_dkim_retire_find(keys, n, selector);
	if (key == NULL)
		ctl_fail("there is no key %s for %s", selector, domain);
	if (!last && is_last_rsa(ctl, keys, n, key))
		ctl_fail("%s has no other %skey than %s; make one first, or use --last", domain,
		    n > 1 ? "RSA " : "", selector);
	to = put_away(ctl, key->file);
	if (!ctl->json)
		(void)printf(
		    "key     %s\n\nRun:\n  countersignctl reload\n"
		    "and leave %s._domainkey.%s in DNS for a week, for mail that is under way.\n",
		    to, selector, domain);
	return ctl_dkim_finish(ctl,
	    json_pack("{s:b,s:s,s:s,s:s}", "ok", true, "domain", domain, "selector", selector,
		"file", to),
	    EXIT_SUCCESS);
}

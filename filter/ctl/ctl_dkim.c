/*
 * ctl_dkim.c - countersignctl dkim list: the private keys of a configuration, and what the other
 * commands share
 *
 * Works on its own and finds the keys as the daemon does, with the daemon's code, in the
 * directory or through the KeyTable. What the daemon would refuse to start with is
 * refused here with the same words.
 *
 * Threads: one.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/ctl/ctl_dkim.h"
#include "filter/daemon/snapshot.h"
#include "filter/dkim/signers.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/dkim/signing_table.h"

void
ctl_dkim_reader(struct ctl *ctl, const struct config *config, const char *place,
    struct keyring_options *options_r)
{
	const char *error = NULL;
	struct stat st;

	*options_r = (struct keyring_options){ .uid = geteuid(), .gid = getegid(), .eager = 1 };
	if (config != NULL && snapshot_key_options(ctl->memory, config, options_r, &error) != 0)
		ctl_fail("%s", error);
	if ((config != NULL && config->user != NULL) || geteuid() != 0 || stat(place, &st) != 0)
		return;
	options_r->uid = st.st_uid;
	options_r->gid = st.st_gid;
}

const char *
ctl_dkim_domain(struct ctl *ctl, const char *text)
{
	const char *error = "it is not a name";
	const char *domain = domain_normalise(ctl->memory, text, strlen(text), &error);

	if (domain == NULL || domain_is_literal(domain))
		ctl_wrong("\"%s\" is not a domain: %s", text, error);
	return domain;
}

const char *
ctl_dkim_type(enum keyring_type type)
{
	return type == KEYRING_ED25519 ? "ed25519" : "rsa";
}

int
ctl_dkim_finish(const struct ctl *ctl, json_t *answer, int status)
{
	if (ctl->json) {
		char *line = mem_check(json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII));

		(void)printf("%s\n", line);
		free(line);
	}
	json_decref(answer);
	return status;
}

const char *
ctl_dkim_place(struct ctl *ctl, const struct config *config)
{
	enum dataset_kind kind;
	const char *path = config->keys, *error = NULL;

	if (config->dkim.key_table != NULL)
		(void)dataset_read_spec(ctl->memory, config->dkim.key_table, &kind, &path, &error);
	return path;
}

struct signers *
ctl_dkim_load(struct ctl *ctl, const struct config *config)
{
	const char *warnings = NULL, *error = NULL;
	struct keyring_options options;
	struct signers *signers;

	if (!config_signs(config))
		ctl_fail("%s names no keys; add for example: keys = \"" SYSCONFDIR "/countersign/keys\"",
		    ctl->file);
	ctl_dkim_reader(ctl, config, ctl_dkim_place(ctl, config), &options);
	signers = signers_load(ctl->memory, config, &options, &warnings, &error);
	if (signers == NULL)
		ctl_fail("%s", error);
	if (warnings != NULL)
		(void)fprintf(stderr, "%s\n", warnings);
	return signers;
}

/* compare_keys - by domain, then selector */
static int
compare_keys(const void *a, const void *b)
{
	const struct keyring_key *x = a, *y = b;
	int order = strcmp(x->domain, y->domain);

	return order != 0 ? order : strcmp(x->selector, y->selector);
}

struct keyring_key *
ctl_dkim_keys(struct ctl *ctl, const struct signers *signers, const char *domain, size_t *n_r)
{
	size_t all, n = 0;
	struct keyring_key *keys = signers_all(ctl->memory, signers, &all);

	for (size_t i = 0; i < all; i++)
		if (domain == NULL || strcmp(keys[i].domain, domain) == 0)
			keys[n++] = keys[i];
	if (n > 1)
		qsort(keys, n, sizeof(keys[0]), compare_keys);
	*n_r = n;
	return keys;
}

/* list_key - one key for the reader, or as an object; false if it cannot be used */
static bool
list_key(struct ctl *ctl, const struct keyring_key *key, json_t *list)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	struct keyring_ready ready = { 0 };
	const char *error = NULL;
	bool depends = key->secret == NULL;
	bool good = depends || keyring_ready(scratch, key, &ready, &error) == 0;
	const char *type = depends || !good ? "-" : ctl_dkim_type(ready.type);

	if (ctl->json)
		(void)json_array_append_new(list,
		    json_pack("{s:s,s:s,s:s,s:i,s:s,s:s*}", "domain", key->domain, "selector",
			key->selector, "type", type, "bits", (int)ready.bits, "file", key->file,
			"error", error));
	else if (!good)
		(void)printf("%-30s %-20s %s\n", key->domain, key->selector, error);
	else
		(void)printf("%-30s %-20s %-7s %4u  %s\n", key->domain, key->selector, type,
		    ready.bits, key->file);
	talloc_free(scratch);
	return good;
}

/* ctl_dkim_list - the private keys */
int
ctl_dkim_list(struct ctl *ctl, char **operands)
{
	const char *domain = operands[0] != NULL ? ctl_dkim_domain(ctl, operands[0]) : NULL;
	const struct keyring_key *keys;
	json_t *list = json_array();
	int status = EXIT_SUCCESS;
	size_t n;

	keys = ctl_dkim_keys(ctl, ctl_dkim_load(ctl, ctl_config(ctl)), domain, &n);
	if (n == 0 && domain != NULL)
		ctl_fail("there is no key for %s", domain);
	for (size_t i = 0; i < n; i++)
		if (!list_key(ctl, &keys[i], list))
			status = EXIT_FAILURE;
	return ctl_dkim_finish(ctl, json_pack("{s:b,s:o}", "ok", true, "keys", list), status);
}

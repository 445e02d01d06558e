/*
 * snapshot.c - the configuration in force, whole and immutable
 *
 * Built in one thread (main) at start and at each reload, checked whole before
 * anybody sees it. Keys are the dearest part: they are wiped by OpenSSL when
 * the last message that may sign with them is done and the snapshot goes.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "filter/config/load.h"
#include "filter/config/table_servers.h"
#include "filter/daemon/snapshot.h"
#include "filter/daemon/trust.h"
#include "filter/table/open.h"
#include "policy/base/mem.h"

/* open_tables - every table that some option names */
static bool
open_tables(TALLOC_CTX *ctx, struct snapshot *snapshot, const char **error_r)
{
	const struct words *specs = &snapshot->config->tables;
	const struct table_env *env = table_config_env(snapshot, snapshot->config);

	snapshot->tables = mem_array(snapshot, struct table *, specs->n + 1);
	for (size_t i = 0; i < specs->n; i++) {
		snapshot->tables[i] = table_open_with(snapshot, env, specs->items[i], error_r);
		if (snapshot->tables[i] == NULL) {
			*error_r = mem_printf(ctx, "%s: table %s: %s",
			    snapshot->config->tables_where[i], specs->items[i], *error_r);
			return false;
		}
	}
	return true;
}

int
snapshot_key_options(TALLOC_CTX *ctx, const struct config *config,
    struct keyring_options *options_r, const char **error_r)
{
	const struct passwd *user;

	options_r->uid = geteuid();
	options_r->gid = getegid();
	if (config->user == NULL || geteuid() != 0)
		return 0;
	errno = 0;
	user = getpwnam(config->user);	/* one reload at a time, and no other caller */
	if (user == NULL) {
		*error_r = mem_printf(ctx,
		    "%s: user = \"%s\" is not a user of this host; create it with: adduser "
		    "--system --group %s",
		    config->file, config->user, config->user);
		return -1;
	}
	options_r->uid = user->pw_uid;
	options_r->gid = user->pw_gid;
	return 0;
}

/* snapshot_load_keys - the private keys */
static bool
snapshot_load_keys(
    TALLOC_CTX *ctx, struct snapshot *snapshot, const char **warnings_r, const char **error_r)
{
	struct keyring_options options = { 0 };

	if (snapshot_key_options(ctx, snapshot->config, &options, error_r) != 0)
		return false;
	if (!config_signs(snapshot->config))
		return true;
	snapshot->signers = talloc_steal(
	    snapshot, signers_load(ctx, snapshot->config, &options, warnings_r, error_r));
	return snapshot->signers != NULL;
}

/* snapshot_bind - DKIM with its source of keys */
int
snapshot_bind(TALLOC_CTX *ctx, struct snapshot *snapshot, struct resolver *resolver,
    const char **error_r)
{
	const struct dkim_config *config = &snapshot->config->dkim;
	struct dkim_options options = {
		.dns = {
			.ask = dkim_dns_ask_resolver,
			.prefetch = dkim_dns_prefetch_resolver,
			.state = resolver,
		},
		.min_key_bits = (unsigned int)config->min_key_bits,
		.max_signatures = (unsigned int)config->max_signatures,
		.clock_drift = (unsigned int)(config->clock_drift_ms / 1000),
		.trust_partial = config->trust_partial_body != 0,
	};

	talloc_free(snapshot->dkim);
	snapshot->dkim = talloc_steal(snapshot, dkim_service_new(ctx, &options, error_r));
	return snapshot->dkim != NULL ? 0 : -1;
}

/* check_program - can the event_command be run? Not a matter of the file alone, so not
 * config_load()'s */
static bool
check_program(TALLOC_CTX *ctx, const struct config *config, const char **error_r)
{
	if (config->event_command.n == 0 || access(config->event_command.items[0], X_OK) == 0)
		return true;
	*error_r = mem_printf(ctx,
	    "%s: event_command = \"%s\" cannot be run: %s; is it there, and chmod +x?",
	    config_where(config, &config->event_command), config->event_command.items[0],
	    strerror(errno));
	return false;
}

/* snapshot_trusts - can no other user change what is read? */
static bool
snapshot_trusts(TALLOC_CTX *ctx, struct snapshot *snapshot, const char **error_r)
{
	struct keyring_options options = { 0 };
	struct trusted_by by;
	const char *warnings = NULL;

	if (snapshot_key_options(ctx, snapshot->config, &options, error_r) != 0)
		return false;
	by = (struct trusted_by){ .uid = options.uid, .gid = options.gid };
	if (!trust_check(ctx, snapshot->config, &by, &warnings, error_r))
		return false;
	snapshot->warnings = snapshot->config->warnings;
	if (warnings != NULL)
		snapshot->warnings = snapshot->warnings == NULL ? mem_strdup(snapshot, warnings) :
		    mem_printf(snapshot, "%s\n%s", snapshot->warnings, warnings);
	return true;
}

/* snapshot_build - read, check and open everything */
struct snapshot *
snapshot_build(TALLOC_CTX *ctx, const char *file, struct resolver *resolver,
    const char **warnings_r, const char **error_r)
{
	/* not below ctx: it lives until the last session lets go of it */
	struct snapshot *snapshot = mem_new(NULL, struct snapshot);

	*warnings_r = NULL;
	atomic_init(&snapshot->references, 1);
	snapshot->config = talloc_steal(snapshot, config_load(ctx, file, error_r));
	if (snapshot->config == NULL || !snapshot_trusts(ctx, snapshot, error_r) ||
	    !open_tables(ctx, snapshot, error_r) ||
	    !check_program(ctx, snapshot->config, error_r) ||
	    !snapshot_load_keys(ctx, snapshot, warnings_r, error_r) ||
	    (resolver != NULL && snapshot_bind(ctx, snapshot, resolver, error_r) != 0)) {
		talloc_free(snapshot);
		return NULL;
	}
	if (*warnings_r != NULL && snapshot->warnings != NULL)
		*warnings_r = mem_printf(ctx, "%s\n%s", snapshot->warnings, *warnings_r);
	else if (*warnings_r != NULL || snapshot->warnings != NULL)
		*warnings_r =
		    mem_strdup(ctx, *warnings_r != NULL ? *warnings_r : snapshot->warnings);
	return snapshot;
}

/* snapshot_build_tables - the same without keys */
struct snapshot *
snapshot_build_tables(TALLOC_CTX *ctx, const char *file, const char **error_r)
{
	struct snapshot *snapshot = mem_new(NULL, struct snapshot);

	atomic_init(&snapshot->references, 1);
	snapshot->config = talloc_steal(snapshot, config_load(ctx, file, error_r));
	if (snapshot->config != NULL && snapshot_trusts(ctx, snapshot, error_r) &&
	    open_tables(ctx, snapshot, error_r))
		return snapshot;
	talloc_free(snapshot);
	return NULL;
}

/* snapshot_hold - one more reference */
struct snapshot *
snapshot_hold(struct snapshot *snapshot)
{
	atomic_fetch_add(&snapshot->references, 1);
	return snapshot;
}

/* snapshot_release - one reference less */
void
snapshot_release(struct snapshot *snapshot)
{
	if (snapshot != NULL && atomic_fetch_sub(&snapshot->references, 1) == 1)
		talloc_free(snapshot);
}

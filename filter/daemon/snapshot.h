/*
 * snapshot.h - the configuration in force, whole and immutable
 *
 * Options, opened tables and private keys of one reading of the configuration. A
 * session holds a reference, so a reload never pulls anything from under a message.
 *
 * Threads: a published snapshot is read by all threads; only the count changes,
 * atomically. Nothing is allocated below it.
 */
#ifndef FILTER_DAEMON_SNAPSHOT_H
#define FILTER_DAEMON_SNAPSHOT_H

#include <stdatomic.h>
#include <talloc.h>

#include "filter/config/configuration.h"
#include "filter/dkim/dkim.h"
#include "filter/dkim/signers.h"
#include "filter/table/table.h"

struct snapshot {
	atomic_uint references;
	const struct config *config;
	const char *warnings; /* of the configuration and its files: lines for the log, or NULL */
	struct table **tables;	/* as config->tables lists them */
	struct signers *signers; /* NULL: nothing is signed */
	struct dkim_service *dkim;
};

/*
 * snapshot_build - read, check and open everything a configuration file names
 *
 * resolver: where DKIM keys come from, or NULL for a check without DNS. Returns a
 * snapshot with one reference, or NULL and *error_r on ctx (lines of file:line).
 * *warnings_r, on ctx or NULL: what works, but should be fixed.
 */
struct snapshot *snapshot_build(TALLOC_CTX *ctx, const char *file, struct resolver *resolver,
    const char **warnings_r, const char **error_r);

/*
 * snapshot_build_tables - the same without keys, for who only asks about accounts
 * Its keyring is NULL, and nothing may be signed with it.
 */
struct snapshot *snapshot_build_tables(TALLOC_CTX *ctx, const char *file, const char **error_r);

/*
 * snapshot_key_options - who will read the keys that a configuration names, once rights are dropped
 * Returns 0, or -1 and *error_r on ctx: its user is no account.
 */
int snapshot_key_options(TALLOC_CTX *ctx, const struct config *config,
    struct keyring_options *options_r, const char **error_r);

/*
 * snapshot_bind - give the signature checks of a snapshot their resolver
 * For the first snapshot, which is built before the resolver whose options it holds.
 */
int snapshot_bind(TALLOC_CTX *ctx, struct snapshot *snapshot, struct resolver *resolver,
    const char **error_r);

/* snapshot_hold - one more reference */
struct snapshot *snapshot_hold(struct snapshot *snapshot);

/* snapshot_release - one reference less; the last one frees it. NULL is fine. */
void snapshot_release(struct snapshot *snapshot);

#endif

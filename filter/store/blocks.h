/*
 * blocks.h - the blocked accounts, as this process knows them
 *
 * With the embedded store this is the record; with Redis a copy that is renewed every few
 * seconds, so that blocks are known at MAIL and hold while Redis is away.
 *
 * Threads: any number at once. Times are UNIX time in milliseconds.
 */
#ifndef FILTER_STORE_BLOCKS_H
#define FILTER_STORE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/store/types.h"
#include "policy/quota/quota.h"

struct blocks;

/* blocks_new - no account is blocked. A talloc child of ctx. */
struct blocks *blocks_new(TALLOC_CTX *ctx);

/* blocks_set - block, or change a block; texts are copied. False: there are STORE_BLOCKS_MAX
 * already */
bool blocks_set(struct blocks *blocks, const struct store_block *block);

/* blocks_remove - whether it was blocked at now */
bool blocks_remove(struct blocks *blocks, const char *account, int64_t now);

/* blocks_any - whether anybody is blocked, or was until a moment ago */
bool blocks_any(const struct blocks *blocks);

/* blocks_find - whether account is blocked at now; block_r (or NULL) has its strings on ctx */
bool blocks_find(struct blocks *blocks, TALLOC_CTX *ctx, const char *account, int64_t now,
    struct store_block *block_r);

/* blocks_list - all that are blocked at now, by name; on ctx */
struct store_block *blocks_list(struct blocks *blocks, TALLOC_CTX *ctx, int64_t now, size_t *n_r);

/* blocks_changes - how often a block was set or removed so far, blocks_replace() left out */
unsigned long blocks_changes(struct blocks *blocks);

/* blocks_replace - these n instead of all before, unless there were other changes than changes:
 * then the list is older than what was changed here, and it must be read again; false */
bool blocks_replace(
    struct blocks *blocks, const struct store_block *list, size_t n, unsigned long changes);

/* blocks_clean - text on ctx with everything but printable ASCII as "?", cut at STORE_TEXT_MAX
 * octets */
char *blocks_clean(TALLOC_CTX *ctx, const char *text);

/* blocks_offence_text - why block_on blocks, on ctx */
char *blocks_offence_text(TALLOC_CTX *ctx, const struct quota_counter *counter);

/*
 * blocks_offender - note that plan's account is blocked by block_on, and log it
 * nth: which block it is within QUOTA_BLOCK_MEMORY_MS, from 1. False if it is blocked already.
 */
bool blocks_offender(struct blocks *blocks, const struct store_options *options,
    const struct quota_plan *offence, const struct store_block_rule *rule, uint64_t nth);

/* blocks_near - note that offence took a sign to warn_at, and not beyond block_on; reply has one
 * count */
void blocks_near(struct blocks *blocks, const struct quota_plan *offence,
    const struct quota_reply *reply);

/* blocks_take_near - what was noted since the last call, on ctx, *n_r of them */
struct store_near *blocks_take_near(struct blocks *blocks, TALLOC_CTX *ctx, size_t *n_r);

#endif

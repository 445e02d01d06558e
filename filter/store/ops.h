/*
 * ops.h - a kind of store as a row of functions; for store.c and the two kinds
 *
 * The functions are those of store.h of the same name. Threads: as store.h says.
 */
#ifndef FILTER_STORE_OPS_H
#define FILTER_STORE_OPS_H

#include <stdint.h>
#include <talloc.h>

#include "filter/store/blocks.h"
#include "filter/store/over.h"
#include "filter/store/types.h"
#include "policy/quota/quota.h"

/* What a kind of store can do; impl is its object. */
struct store_ops {
	/* the error is on ctx, impl a talloc root; the others live longer than it */
	void *(*open)(TALLOC_CTX *, const struct store_options *, struct blocks *,
	    struct over_table *, const char **error_r);
	void (*close)(void *impl);
	void (*charge)(void *impl, TALLOC_CTX *, const struct quota_plan *, int64_t,
	    struct quota_reply *);
	void (*read)(void *impl, TALLOC_CTX *, const struct quota_plan *, int64_t,
	    struct quota_reply *);
	/* what charge would answer, or QUOTA_READ if the counts alone decide; changes nothing */
	void (*foretell)(void *impl, TALLOC_CTX *, const struct quota_plan *, int64_t,
	    struct quota_reply *);
	int (*reset)(void *impl, TALLOC_CTX *, const struct quota_plan *, int64_t, const char **);
	int (*block)(void *impl, TALLOC_CTX *, const struct quota_plan *,
	    const struct store_block *, int64_t for_ms, int64_t, const char **);
	int (*unblock)(void *impl, TALLOC_CTX *, const struct quota_plan *, int64_t, const char **);
	void (*offence)(void *impl, const struct quota_plan *, const struct store_block_rule *);
	int (*raise)(void *impl, TALLOC_CTX *, const struct quota_plan *,
	    const struct quota_counter *, uint64_t max, int64_t for_ms, int64_t, const char **);
	int (*unraise)(void *impl, TALLOC_CTX *, const struct quota_plan *, int64_t, const char **);
	int (*renew)(void *impl, TALLOC_CTX *, const struct redis_passwords *,
	    const char **error_r); /* or NULL: reads no files but its own */
	void (*tick)(void *impl); /* or NULL */
	void (*look)(void *impl); /* an account is remembered to be over; NULL: no other filters */
	void (*status)(void *impl, TALLOC_CTX *, struct store_status *);
};

extern const struct store_ops embedded_ops, store_redis_ops;

#endif

/*
 * quota_command.h - a plan as a run of filter/store/quota.lua, and the script's answer
 *
 * Threads: no state.
 */
#ifndef FILTER_STORE_QUOTA_COMMAND_H
#define FILTER_STORE_QUOTA_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "policy/quota/quota.h"

/* The operations of filter/store/quota.lua. */
enum quota_op {
	QUOTA_OP_CHARGE,
	QUOTA_OP_READ,
	QUOTA_OP_MERGE,
	QUOTA_OP_VOID,
	QUOTA_OP_RESET,
	QUOTA_OP_BLOCK,		/* this and the next: quota_command_by_hand() */
	QUOTA_OP_UNBLOCK,
	QUOTA_OP_RAISE,
	QUOTA_OP_UNRAISE
};

/* For how long Redis remembers charge ids. */
#define QUOTA_ID_TTL_MS	INT64_C(600000)

/* One run of the script, as arguments of EVALSHA. */
struct quota_command {
	int argc;
	const char **argv;	/* argv[0] "EVALSHA", argv[1] the digest */
	size_t *argv_len;
};

/* quota_command_push - one more argument; argv and argv_len have room for it, and text lives as
 * long */
void quota_command_push(struct quota_command *command, const char *text);

/* quota_command_push_number - the same, written out */
void quota_command_push_number(struct quota_command *command, int64_t number);

/*
 * quota_command_make - the arguments of one run, on ctx
 * digest is the script's SHA-1 in hex; now NULL (the store's clock) or, in tests, milliseconds;
 * age_ms is for merges.
 */
struct quota_command *quota_command_make(TALLOC_CTX *ctx, const char *prefix, const char *digest,
    enum quota_op op, const struct quota_plan *plan, const int64_t *now, int64_t age_ms);

/*
 * quota_command_by_hand - the same for what operators set: the n words that op takes (quota.lua)
 * stamp: when they set it, by Redis's clock; a later change is not undone.
 */
struct quota_command *quota_command_by_hand(TALLOC_CTX *ctx, const char *prefix,
    const char *digest, enum quota_op op, const struct quota_plan *plan, const int64_t *now,
    int64_t stamp, const char *const *words, size_t n);

struct redisReply;

/*
 * quota_command_read - the script's answer to the first five operations
 * Fills reply_r (counts on ctx) and *stamp_r, Redis's time. Returns 0, or -1 when the answer
 * is not of the expected shape.
 */
int quota_command_read(TALLOC_CTX *ctx, const struct quota_plan *plan,
    const struct redisReply *answer, struct quota_reply *reply_r, int64_t *stamp_r);

/*
 * quota_command_done - the script's answer to the others: how many things were changed, -1 when it
 * is not of the expected shape
 * *late_r: nothing was, as there is a later change; *now_r: Redis's time.
 */
int quota_command_done(const struct redisReply *answer, bool *late_r, int64_t *now_r);

#endif

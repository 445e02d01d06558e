/*
 * away_file.h - what must not be forgotten while Redis is away, in a file
 *
 * A SQLite database: the charges and the changes by operators that Redis does not have yet, what
 * is known of each account's use, and who is blocked. away.c writes it while Redis is away, and
 * whole at the end; it is read at start. Times in it are UNIX time in milliseconds.
 *
 * Durable: what was committed survives the end of the process, also by a signal. It is synced to
 * the disk by away_file_sync(), which is called about every two seconds; a crash of the machine may
 * lose what came after.
 *
 * Threads: one at a time, but for away_file_sync(), which one other thread may call meanwhile.
 * NULL is no file: nothing is done then.
 */
#ifndef FILTER_STORE_AWAY_FILE_H
#define FILTER_STORE_AWAY_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/store/quota_command.h"
#include "filter/store/types.h"
#include "policy/quota/quota.h"

struct away_file;

/* A charge that Redis does not have. */
struct away_charge {
	int64_t number;		/* names the row; they are in the order of these */
	int64_t at;		/* when it was accepted here */
	int64_t ambiguous_at; /* since when Redis may have executed it; 0: it has not */
	bool annul;		/* as in struct away_pending */
	const struct quota_plan *plan;
};

/* A change by an operator that Redis does not have. */
struct away_change {
	int64_t number;
	enum quota_op op;	/* QUOTA_OP_BLOCK to QUOTA_OP_UNRAISE */
	int64_t stamp;		/* when it was made, by Redis's clock as far as we know it */
	int64_t until;		/* of a block or a limit; 0: no end */
	const char *field;	/* of a limit, or NULL */
	uint64_t max;		/* the limit */
	const char *reason;	/* of a block, or NULL */
	const char *by;		/* likewise */
	int64_t since;		/* likewise */
	const struct quota_plan *plan; /* whose it is */
};

/*
 * away_file_open - open or make the file, for us alone
 * NULL and *error_r on ctx, a full sentence: it is not ours, damaged, of a newer version, in use by
 * another process, or cannot be made. A talloc child of ctx. log may be NULL.
 */
struct away_file *away_file_open(TALLOC_CTX *ctx, const char *path, store_log_fn *log,
    void *log_arg, const char **error_r);

/* Who is given what is in a file; false: it is not well-formed. Strings live until it returns. */
struct away_file_reader {
	void *arg;
	bool (*subject)(void *arg, char *lines);	/* embedded_load(); may be changed */
	bool (*charge)(void *arg, const struct away_charge *charge);
	bool (*block)(void *arg, const struct store_block *block);
	bool (*change)(void *arg, const struct away_change *change);
};

/* away_file_read - all of it; charges and changes in the order of their numbers. -1: *error_r on
 * ctx */
int away_file_read(struct away_file *file, TALLOC_CTX *ctx, const struct away_file_reader *reader,
    const char **error_r);

/*
 * away_file_begin, away_file_end - what is done in between is kept whole or not at all
 * A failure is logged once until it works again; the caller goes on without.
 */
void away_file_begin(struct away_file *file);
void away_file_end(struct away_file *file);

/* away_file_add_charge - one more; plan as text */
void away_file_add_charge(struct away_file *file, const struct away_charge *charge);

/* away_file_mark_charge - since when Redis may have executed it; 0: it has not */
void away_file_mark_charge(struct away_file *file, int64_t number, int64_t ambiguous_at);

/* away_file_remove_charge - it needs no more to be handed over */
void away_file_remove_charge(struct away_file *file, int64_t number);

/* away_file_put_subject - lines of embedded_text() for a key; NULL: nothing counts */
void away_file_put_subject(struct away_file *file, const char *key, const char *lines);

/* away_file_clear_subjects, away_file_clear_blocks - forget all, which are to be put again */
void away_file_clear_subjects(struct away_file *file);
void away_file_clear_blocks(struct away_file *file);

/* away_file_put_block, away_file_remove_block - who is blocked */
void away_file_put_block(struct away_file *file, const struct store_block *block);
void away_file_remove_block(struct away_file *file, const char *account);

/* away_file_add_change, away_file_remove_change - what operators did */
void away_file_add_change(struct away_file *file, const struct away_change *change);
void away_file_remove_change(struct away_file *file, int64_t number);

/* away_file_sync - bring it to the disk if something was written since; may wait for the disk */
void away_file_sync(struct away_file *file);

#endif

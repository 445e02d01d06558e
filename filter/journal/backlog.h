/*
 * backlog.h - what waits for the books, in a file
 *
 * With Redis, decisions, sums and events wait in this process while the books there cannot be
 * written. So that they survive a restart meanwhile, or a crash, they are kept in a SQLite database
 * beside away_file, and taken out when the books have them. What was written to the books in the
 * second before a crash may be written twice.
 *
 * Threads: the journal's. NULL is no file: nothing is kept then.
 */
#ifndef FILTER_JOURNAL_BACKLOG_H
#define FILTER_JOURNAL_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/journal/entry.h"

struct backlog;

/* An event that waits. */
struct backlog_event {
	int64_t at_ms;		/* UNIX time */
	const char *kind;	/* its word */
	const char *key;	/* what it is about */
	const char *text;	/* JSON */
	bool run;		/* the program was given it */
	bool told;		/* it is not for the books */
	int64_t number;		/* of its row; 0: it has none */
	unsigned int kept;	/* what backlog_put_event() noted */
};

/*
 * backlog_open - open or make the file
 * NULL and *error_r on ctx, a full sentence: it is not ours, damaged or of a newer version, or it
 * cannot be made. A talloc child of ctx.
 */
struct backlog *backlog_open(TALLOC_CTX *ctx, const char *path, const char **error_r);

/* Who is given what is in the file, in its order. */
struct backlog_reader {
	void *arg;
	void (*entry)(void *arg, struct entry *entry);	/* a talloc root, to be freed */
	void (*event)(void *arg, const struct backlog_event *event);	/* until it returns */
};

/* backlog_read - all of it; -1 and *error_r on ctx: the file is damaged */
int backlog_read(struct backlog *backlog, TALLOC_CTX *ctx, const struct backlog_reader *reader,
    const char **error_r);

/*
 * backlog_put_entry, backlog_put_event - keep one, as it is now
 * Nothing is done if it was kept like this before. What is put or removed counts from
 * backlog_commit() on.
 */
void backlog_put_entry(struct backlog *backlog, struct entry *entry);
void backlog_put_event(struct backlog *backlog, struct backlog_event *event);

/* backlog_remove_entry, backlog_remove_event - it need not be kept any more */
void backlog_remove_entry(struct backlog *backlog, const struct entry *entry);
void backlog_remove_event(struct backlog *backlog, const struct backlog_event *event);

/* backlog_commit - bring it to the disk. A failure is logged once until it works again; all is then
 * to be put again. */
void backlog_commit(struct backlog *backlog);

/* backlog_has_entry, backlog_has_event - is it in the file, as of the last commit? */
bool backlog_has_entry(const struct backlog *backlog, const struct entry *entry);
bool backlog_has_event(const struct backlog *backlog, const struct backlog_event *event);

#endif

/*
 * tender.h - the thread that looks after the tables
 */
#ifndef FILTER_DAEMON_TENDER_H
#define FILTER_DAEMON_TENDER_H

#include <talloc.h>

struct daemon;
struct tender;

/*
 * tender_start - about every second, table_tend() for each table of the snapshot in force
 * daemon must be open. NULL if no thread can be started.
 */
struct tender *tender_start(TALLOC_CTX *ctx, struct daemon *daemon);

/* tender_stop - ends the thread and waits for it; before daemon_close. NULL is fine. */
void tender_stop(struct tender *tender);

#endif

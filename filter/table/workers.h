/*
 * workers.h - servers asked through libraries that may block
 *
 * The client libraries of databases and directories bound their waiting badly or not at all: names
 * are looked up, TLS is spoken, a lock waited for in the caller's thread. So connections live on
 * threads of their own, at most so many for each table; who asks waits for an answer until a
 * deadline and goes on then, whatever the library does.
 *
 * Threads: workers_ask from any number at once. A driver's functions run on worker threads, one at
 * a time for each connection.
 */
#ifndef FILTER_TABLE_WORKERS_H
#define FILTER_TABLE_WORKERS_H

#include "filter/table/type.h"

/* What a driver says of a question. */
enum worker_result {
	WORKER_ANSWER, /* value_r, or NULL: not found */
	WORKER_ERROR,  /* the server answered that it cannot, or the answer cannot be used */
	WORKER_LOST    /* the connection is no good any more */
};

struct worker_driver {
	/* connect: to the server of that index, within the deadline as far as the library allows;
	 * NULL and *error_r on ctx. The connection may hang from ctx, which lives until close. */
	void *(*connect)(TALLOC_CTX *ctx, const void *config, size_t server, int64_t deadline_ms,
	    const char **error_r);
	/* ask: strings on ctx */
	enum worker_result (*ask)(const void *config, void *connection, TALLOC_CTX *ctx,
	    const char *key, int64_t deadline_ms, const char **value_r, const char **error_r);
	void (*close)(void *connection);
	void (*thread_end)(void);	/* or NULL; before a worker thread ends */
};

struct workers;

/* The servers of a table, by index. Those that failed in the last minute are tried last. */
struct worker_servers {
	size_t n;		/* >= 1; beyond 32 they are not tried */
	size_t n_local;		/* the first so many are tried before the others */
	bool in_order;		/* as they stand, instead of at random */
};

/*
 * workers_new - no connection yet, no thread yet
 * config is a talloc root (its parent must be NULL); it goes to the workers, is only read from here
 * on, and is freed with the last of them, which may be after the table.
 */
struct workers *workers_new(TALLOC_CTX *ctx, const struct worker_driver *driver, void *config,
    const struct worker_servers *servers, const struct table_limits *limits);

/* workers_ask - get of struct table_type */
void workers_ask(struct workers *workers, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r);

/*
 * workers_settle - before the process ends: wait, at most so many milliseconds, for worker threads
 * to end Their tables must have been freed. Libraries clean up at exit, and no thread should be in
 * them then.
 */
void workers_settle(int64_t wait_ms);

#endif

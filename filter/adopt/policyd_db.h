/*
 * policyd_db.h - policyd's database, SQLite or MySQL, for reading
 */
#ifndef FILTER_ADOPT_POLICYD_DB_H
#define FILTER_ADOPT_POLICYD_DB_H

#include <stddef.h>
#include <talloc.h>

#define POLICYD_COLUMNS_MAX 10

/* Where it is. */
struct policyd_place {
	const char *file;                 /* SQLite; else NULL */
	const char *host, *port, *socket; /* MySQL; each may be NULL */
	const char *database, *user, *password;
};

/* A row; NULL in SQL is "". */
struct policyd_row {
	const char *columns[POLICYD_COLUMNS_MAX];
};

struct policyd_db;

/* policyd_db_open - connect; NULL and *error_r, both on ctx. Freeing it closes it. */
struct policyd_db *policyd_db_open(
    TALLOC_CTX *ctx, const struct policyd_place *place, const char **error_r);

/* policyd_db_ask - the rows of a query, *n_r of them, at most some thousands; NULL with *error_r
 * set if it failed. On ctx. */
struct policyd_row *policyd_db_ask(
    TALLOC_CTX *ctx, struct policyd_db *db, const char *query, size_t *n_r, const char **error_r);

#endif

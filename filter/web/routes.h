/*
 * routes.h - the interface of countersign-web, one row for each operation
 *
 * The table is read by those who answer (api.c) and by the OpenAPI document, so both say the same.
 *
 * Threads: no state.
 */
#ifndef FILTER_WEB_ROUTES_H
#define FILTER_WEB_ROUTES_H

#include <jansson.h>
#include <stdbool.h>

#include "filter/web/tokens.h"

#define ROUTE_PREFIX	"/api/v1"
#define ROUTE_PARAMS	6

/* How a value is read. */
enum route_kind {
	ROUTE_TEXT,
	ROUTE_NUMBER,		/* min to max */
	ROUTE_SECONDS,		/* the same; milliseconds for the daemon */
	ROUTE_DAY,		/* 2026-11-29; 20261129 for the daemon */
	ROUTE_LIST		/* texts; in a body only */
};

/* A value in the query of a GET, else a member of the body. */
struct route_param {
	const char *name;	/* NULL ends a list */
	const char *field;	/* of the request to the daemon */
	enum route_kind kind;
	long long min, max;
	bool required;
	const char *help;
};

/* Whom an operation is about, which says what tokens with domains may see. */
enum route_scope {
	ROUTE_SITE,		/* all of it: not for them */
	ROUTE_ACCOUNT,		/* the account of the path */
	ROUTE_LINES,		/* lines with an account each: those of their domains */
	ROUTE_DOMAIN		/* one domain, which must be named */
};

struct route {
	const char *method;
	const char *path;	/* below the prefix; {account}, {queue_id}: any one part */
	const char *command;	/* of the control socket */
	const char *field;	/* where the part in braces goes, or NULL */
	enum token_role role;
	enum route_scope scope;
	const char *lines;	/* the array of the answer, which has pages; or NULL */
	const char *count;	/* the field that limits it, or NULL */
	long long most;		/* its largest value */
	const char *help;
	struct route_param params[ROUTE_PARAMS + 1];
};

/* All of them; a NULL path ends the table. */
extern const struct route routes[];

/* routes_openapi - the OpenAPI document; a new reference */
json_t *routes_openapi(void);

#endif

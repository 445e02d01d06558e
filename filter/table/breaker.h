/*
 * breaker.h - not asking a server that has just failed
 *
 * After some failures in a row queries pause. The pause doubles from failure to failure up to
 * some seconds; then one may try, and the others go on without asking until that one is back.
 *
 * Threads: any number at once.
 */
#ifndef FILTER_TABLE_BREAKER_H
#define FILTER_TABLE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

struct table_breaker;

/* table_breaker_new - closed: everybody asks */
struct table_breaker *table_breaker_new(TALLOC_CTX *ctx);

/*
 * table_breaker_may - may the caller ask at now_ms?
 * If so, table_breaker_report() must follow. If not, *why_r (on ctx) says what failed and when it
 * is tried again.
 */
bool table_breaker_may(
    struct table_breaker *breaker, TALLOC_CTX *ctx, int64_t now_ms, const char **why_r);

/*
 * table_breaker_report - how it went: problem is NULL for an answer of any kind
 * Returns whether that is news: the first failure after answers, or the first answer after
 * failures.
 */
bool table_breaker_report(struct table_breaker *breaker, int64_t now_ms, const char *problem);

#endif

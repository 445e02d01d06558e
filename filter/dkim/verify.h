/*
 * verify.h - verify the signatures of one message, body streamed
 *
 * Every signature gets a result; a failure to fetch a key is temperror.
 * What a result means for the message is policy's affair.
 *
 * Threads: a verification belongs to one message, so to one thread at a time.
 */
#ifndef FILTER_DKIM_VERIFY_H
#define FILTER_DKIM_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/dkim/dkim.h"
#include "policy/base/facts.h"

struct dkim_verification;

/*
 * dkim_verify_start - begin, with the header as the MTA gave it
 *
 * author: domain of the From mailbox in normal form, or NULL; signatures of this domain
 * or one above it are verified first if there are more than the limit. Key records
 * are asked for now, so that they arrive while the body does. service must outlive
 * the verification; list is not looked at again. Never returns NULL. A talloc child of ctx.
 */
struct dkim_verification *dkim_verify_start(TALLOC_CTX *ctx, struct dkim_service *service,
    const struct header_list *list, const char *author);

/*
 * dkim_verify_domains - d= of the signatures that may pass, in normal form
 * At most max are filled in; they belong to the verification. Returns how many.
 */
size_t dkim_verify_domains(const struct dkim_verification *verification, const char **domains_r,
    size_t max);

/* Is the body of use at all? False if no signature can verify anyway. */
bool dkim_verify_wants_body(const struct dkim_verification *verification);

/* The next octets of the body, with CRLF line ends. */
void dkim_verify_body(struct dkim_verification *verification, const char *bytes, size_t len);

/*
 * dkim_verify_finish - the results, once
 *
 * deadline_ms: CLOCK_MONOTONIC in milliseconds, for all key records together. The
 * facts are an array on ctx in the order of the header, at most
 * DKIM_FACTS_MAX; *n_r is 0 if there is no signature.
 */
void dkim_verify_finish(struct dkim_verification *verification, TALLOC_CTX *ctx,
    int64_t deadline_ms, struct dkim_fact **facts_r, size_t *n_r);

#endif

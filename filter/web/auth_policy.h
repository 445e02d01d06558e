/*
 * auth_policy.h - the auth policy protocol of Dovecot
 *
 *	POST /?command=allow	{"login":"alice@example.org","remote":"192.0.2.7","pwhash":"1c",...}
 *	POST /?command=report	the same, with "success" and "policy_reject"
 *
 * The answer is {"status":N,"msg":"..."}: -1 refuses the log-in, 0 allows it. If the daemon does
 * not answer, all may log in.
 *
 * Threads: any number at once.
 */
#ifndef FILTER_WEB_AUTH_POLICY_H
#define FILTER_WEB_AUTH_POLICY_H

#include "filter/web/api.h"

#define AUTH_POLICY_WAIT_MS	1500	/* for the daemon; Dovecot waits 2 s */

/* The secret field of requests: auth_policy_server_api_header of Dovecot. */
struct auth_policy;

/* auth_policy_read - "NAME: VALUE", the first line of a file that others cannot read; NULL and
 * *error_r on ctx */
struct auth_policy *auth_policy_read(TALLOC_CTX *ctx, const char *path, const char **error_r);

/* auth_policy_field - the name of the field */
const char *auth_policy_field(const struct auth_policy *policy);

/* auth_policy_body_max - how large a body may be; 0: the request has not the secret. value: as for
 * auth_policy_answer() */
size_t auth_policy_body_max(const struct auth_policy *policy, const char *value);

/* auth_policy_answer - answer a request; value: that of the field, or NULL */
void auth_policy_answer(struct auth_policy *policy, const struct api_request *request,
    const char *value, struct api_reply *reply_r);

#endif

/*
 * control_asked.c - what the files of the commands use to answer a request
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/control/control_asked.h"
#include "policy/base/mem.h"
#include "policy/quota/quota.h"
#include "policy/sender/identity.h"

/* control_failed_as - an answer that says what is wrong, and of which kind it is */
json_t *
control_failed_as(const char *code, const char *error)
{
	json_t *text = json_string(error);

	return json_pack("{s:b, s:s, s:o}", "ok", 0, "code", code, "error",
	    text != NULL ? text : json_string("an error that is not UTF-8"));
}

/* control_failed - the same for what programs need not tell apart */
json_t *
control_failed(const char *error)
{
	return control_failed_as(CONTROL_FAILED, error);
}

json_t *
control_unread(const struct asked *asked, const char *what, const char *why)
{
	return control_failed_as(CONTROL_UNAVAILABLE,
	    mem_printf(asked->ctx, "%s cannot be read: %s", what, why));
}

/* control_text - a text member of the request */
const char *
control_text(const struct asked *asked, const char *name)
{
	return json_string_value(json_object_get(asked->request, name));
}

/* control_number - a whole number of the request */
long long
control_number(
    const struct asked *asked, const char *name, long long min, long long max, long long otherwise)
{
	const json_t *value = json_object_get(asked->request, name);

	if (!json_is_integer(value) || json_integer_value(value) < min ||
	    json_integer_value(value) > max)
		return otherwise;
	return json_integer_value(value);
}

/* control_account - the account the request names */
const char *
control_account(const struct asked *asked, json_t **answer_r)
{
	struct snapshot *snapshot = daemon_snapshot(asked->daemon);
	const char *name = control_text(asked, "account");
	const char *error = NULL, *account = NULL, *rest;
	enum quota_subject_kind kind = name != NULL ? quota_owner_read(name, &rest) : QUOTA_ACCOUNT;

	if (name != NULL && kind == QUOTA_ACCOUNT)
		account = identity_account(asked->ctx, name, snapshot->config->realm, &error);
	if (kind != QUOTA_ACCOUNT)
		*answer_r = control_failed_as(CONTROL_NOT_ACCOUNT, mem_printf(asked->ctx,
		    "\"%.100s\" is a %s; this is about one account", name, quota_kind_word(kind)));
	else if (name == NULL)
		*answer_r = control_failed_as(CONTROL_REQUEST, "the request names no account");
	else if (account == NULL)
		*answer_r = control_failed_as(CONTROL_NOT_ACCOUNT,
		    mem_printf(asked->ctx, "\"%.100s\" is not an account: %s", name, error));
	snapshot_release(snapshot);
	return account;
}

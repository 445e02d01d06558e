/*
 * auth_policy.c - the auth policy protocol of Dovecot
 *
 * Thread rule: seldom has a lock; the rest is constant.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <openssl/crypto.h>
#include <stdint.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/password_file.h"
#include "filter/base/seldom.h"
#include "filter/web/ask.h"
#include "filter/web/auth_policy.h"
#include "policy/base/mem.h"

struct auth_policy {
	const char *field, *value;
	struct seldom seldom;
};

struct auth_policy *
auth_policy_read(TALLOC_CTX *ctx, const char *path, const char **error_r)
{
	const char *line = password_file_read(ctx, path, error_r), *colon;
	struct auth_policy *policy;

	if (line == NULL)
		return NULL;
	colon = strchr(line, ':');
	if (colon == NULL || colon == line || strcspn(line, " \t") < (size_t)(colon - line) ||
	    colon[1 + strspn(colon + 1, " \t")] == '\0') {
		*error_r = mem_printf(ctx, "%s: the first line must be auth_policy_server_api_header "
		    "of Dovecot, such as \"X-API-Key: SECRET\"", path);
		return NULL;
	}
	policy = mem_new(ctx, struct auth_policy);
	(void)pthread_mutex_init(&policy->seldom.lock, NULL);
	policy->field = mem_strndup(policy, line, (size_t)(colon - line));
	colon++;
	policy->value = mem_strdup(policy, colon + strspn(colon, " \t"));
	return policy;
}

const char *
auth_policy_field(const struct auth_policy *policy)
{
	return policy->field;
}

/* is_secret - is that the value? In constant time for values of its length. */
static bool
is_secret(const struct auth_policy *policy, const char *value)
{
	size_t len = strlen(policy->value);

	return value != NULL && strlen(value) == len &&
	    CRYPTO_memcmp(value, policy->value, len) == 0;
}

size_t
auth_policy_body_max(const struct auth_policy *policy, const char *value)
{
	return is_secret(policy, value) ? API_BODY_MAX : 0;
}

/* policy_status - an answer of the protocol */
static void
policy_status(TALLOC_CTX *ctx, int status, const char *msg, struct api_reply *reply_r)
{
	api_json(ctx, 200, "application/json",
	    json_pack("{s:i, s:s}", "status", status, "msg", msg), reply_r);
}

/* log_seldom - a problem, once a minute */
static void
log_seldom(struct auth_policy *policy, const char *problem)
{
	unsigned long skipped = 0;

	if (!seldom_may(&policy->seldom, problem, clock_ms(), &skipped))
		return;
	if (skipped == 0)
		log_warning("web: auth policy: %s; log-ins are allowed meanwhile", problem);
	else
		log_warning("web: auth policy: %s; log-ins are allowed meanwhile (and %lu more since this "
		    "was last logged)", problem, skipped);
}

/* attempt_problem - what is wrong with an attempt, or NULL; other members are not looked at */
static const char *
attempt_problem(TALLOC_CTX *ctx, const json_t *attempt)
{
	static const struct { const char *name; size_t most; } texts[] = {
		{ "login", SIZE_MAX }, { "remote", 64 }, { "pwhash", 256 },
	};
	static const char *const flags[] = { "success", "policy_reject" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const json_t *value = json_object_get(attempt, texts[i].name);

		if (value != NULL && !json_is_string(value))
			return mem_printf(ctx, "%s must be a text", texts[i].name);
		if (value != NULL && json_string_length(value) > texts[i].most)
			return mem_printf(ctx, "%s is too long", texts[i].name);
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		const json_t *value = json_object_get(attempt, flags[i]);

		if (value != NULL && !json_is_boolean(value))
			return mem_printf(ctx, "%s must be true or false", flags[i]);
	}
	return NULL;
}

/* request_of - what the daemon is asked; a new reference, or NULL: nothing */
static json_t *
request_of(const json_t *attempt, bool report)
{
	const char *login = json_string_value(json_object_get(attempt, "login"));
	const char *remote = json_string_value(json_object_get(attempt, "remote"));
	const char *hash = json_string_value(json_object_get(attempt, "pwhash"));
	bool success = json_is_true(json_object_get(attempt, "success"));
	json_t *request;

	/* what this server refused says nothing of the password */
	if (login == NULL || login[0] == '\0' ||
	    (report && !success && json_is_true(json_object_get(attempt, "policy_reject"))))
		return NULL;
	request = json_pack("{s:s, s:s, s:s}", "command", report ? "login report" : "login allow",
	    "account", login, "client", remote != NULL ? remote : "");
	if (report)
		(void)json_object_set_new(request, "success", json_integer(success));
	if (report && !success && hash != NULL)
		(void)json_object_set_new(request, "password_hash", json_string(hash));
	/* a login of that length is no account */
	if (json_dumpb(request, NULL, 0, JSON_COMPACT) <= ASK_REQUEST_MAX)
		return request;
	json_decref(request);
	return NULL;
}

/* policy_ask - ask the daemon about an attempt; used up */
static void
policy_ask(struct auth_policy *policy, const struct api_request *request, json_t *question,
    struct api_reply *reply_r)
{
	const char *error = NULL, *why;
	json_t *answer = ask_daemon(request->ctx, request->control, question, NULL,
	    AUTH_POLICY_WAIT_MS, &error);
	const char *problem = json_string_value(json_object_get(answer, "error"));
	const char *code = json_string_value(json_object_get(answer, "code"));
	bool refused = json_is_false(json_object_get(answer, "allow"));

	/* a name that is no account is not a problem of ours */
	if (answer == NULL)
		log_seldom(policy, error);
	else if (problem != NULL && (code == NULL || strcmp(code, "not-account") != 0))
		log_seldom(policy, problem);
	why = json_string_value(json_object_get(answer, "why"));
	policy_status(request->ctx, refused ? -1 : 0, refused && why != NULL ? why : "", reply_r);
	json_decref(answer);
	json_decref(question);
}

void
auth_policy_answer(struct auth_policy *policy, const struct api_request *request,
    const char *value, struct api_reply *reply_r)
{
	const char *command = json_string_value(json_object_get(request->query, "command"));
	bool report = command != NULL && strcmp(command, "report") == 0;
	const char *problem;
	json_t *attempt, *question;

	if (!is_secret(policy, value)) {
		log_seldom(policy, "a request lacks the secret of auth_policy_server_api_header");
		api_problem(request->ctx, 401, "the secret field is missing or wrong", reply_r);
		return;
	}
	if (strcmp(request->method, "POST") != 0 || command == NULL ||
	    (!report && strcmp(command, "allow") != 0)) {
		api_problem(request->ctx, 404, "send POST with ?command=allow or ?command=report",
		    reply_r);
		return;
	}
	attempt = request->body != NULL
	    ? json_loadb(request->body, request->body_len, 0, NULL) : NULL;
	problem = json_is_object(attempt) ? attempt_problem(request->ctx, attempt)
	    : "the body is not a JSON object";
	if (problem != NULL) {
		json_decref(attempt);
		api_problem(request->ctx, 400, problem, reply_r);
		return;
	}
	question = request_of(attempt, report);
	json_decref(attempt);
	if (question == NULL)
		policy_status(request->ctx, 0, "", reply_r);
	else
		policy_ask(policy, request, question, reply_r);
}

/*
 * console.c - the console: its pages, logging in and out
 *
 * /session is what a browser has instead of a token in each request: POST logs in with a token, GET
 * says who is logged in, DELETE logs out. A form of another site cannot post JSON, and what changes
 * something needs the proof of the session (sessions.h).
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/web/console.h"
#include "policy/base/mem.h"

#define TOKEN_BODY_MAX	1024	/* of anyone, for no one is logged in yet */

const char *
console_cookie(bool secure)
{
	return secure ? "__Host-countersign" : "countersign";
}

/* console_set_cookie - the field Set-Cookie; id: empty to take it away */
static const char *
console_set_cookie(const struct api_request *request, const char *id)
{
	return mem_printf(request->ctx, "%s=%s; Path=/; HttpOnly; SameSite=Strict%s%s",
	    console_cookie(request->secure), id, request->secure ? "; Secure" : "",
	    id[0] == '\0' ? "; Max-Age=0" : "");
}

/* console_who - who is logged in; session: its id, or NULL if a proxy or a token vouches */
static void
console_who(const struct api_request *request, const struct token *token, const char *session,
    struct api_reply *reply_r)
{
	char proof[SESSIONS_TEXT] = "";
	json_t *domains = json_array();

	for (size_t i = 0; i < token->n_domains; i++)
		json_array_append_new(domains, json_string(token->domains[i]));
	if (session != NULL)
		sessions_proof(request->sessions, session, proof);
	api_json(request->ctx, 200, "application/json",
	    json_pack("{s:s, s:s, s:o, s:s, s:b, s:s}", "name", token->name, "role",
		token_role_word(token->role), "domains", domains, "csrf", proof, "session",
		session != NULL, "version", PACKAGE_VERSION),
	    reply_r);
}

/* console_log_in - with a token in the body */
static void
console_log_in(const struct api_request *request, struct api_reply *reply_r)
{
	json_t *body = request->body_is_json && request->body_len > 0
	    ? json_loadb(request->body, request->body_len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *presented = json_string_value(json_object_get(body, "token"));
	const struct token *token = NULL;
	enum tokens_result result = TOKENS_BAD;
	char id[SESSIONS_TEXT];

	if (presented != NULL)
		result = tokens_check(request->tokens, presented,
		    &(struct tokens_asked){ request->guesses, request->place, clock_ms() },
		    &token);
	if (presented == NULL)
		api_problem(request->ctx, 400,
		    "the body must be JSON: {\"token\": \"...\"}", reply_r);
	else if (result == TOKENS_TOO_MANY)
		api_problem(request->ctx, 429, API_TOO_MANY, reply_r);
	else if (result == TOKENS_BAD)
		api_problem(request->ctx, 401, "this token is not known", reply_r);
	else if (!sessions_begin(request->sessions, token, clock_ms(), id))
		api_problem(request->ctx, 503, "there are no random numbers", reply_r);
	else {
		log_info("web: %s (%s) logged in", token->name, token_role_word(token->role));
		reply_r->cookie = console_set_cookie(request, id);
		console_who(request, token, id, reply_r);
	}
	json_decref(body);
}

/* console_log_out - end the session */
static void
console_log_out(const struct api_request *request, struct api_reply *reply_r)
{
	if (!api_changes(request, reply_r))
		return;
	if (request->session != NULL)
		sessions_end(request->sessions, request->session);
	reply_r->cookie = console_set_cookie(request, "");
	api_json(request->ctx, 200, "application/json", json_object(), reply_r);
}

/* console_session - /session */
static void
console_session(const struct api_request *request, struct api_reply *reply_r)
{
	if (strcmp(request->method, "POST") == 0)
		console_log_in(request, reply_r);
	else if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "DELETE") != 0) {
		reply_r->allow = "GET, POST, DELETE";
		api_problem(request->ctx, 405, "use GET, POST or DELETE here", reply_r);
	} else if (request->token == NULL)
		api_unknown(request, reply_r);
	else if (strcmp(request->method, "GET") == 0)
		console_who(request, request->token, request->session, reply_r);
	else
		console_log_out(request, reply_r);
}

size_t
console_body_max(const struct api_request *request)
{
	return strcmp(request->path, "/session") == 0 && strcmp(request->method, "POST") == 0
	    ? TOKEN_BODY_MAX : 0;
}

bool
console_answer(const struct api_request *request, struct api_reply *reply_r)
{
	const struct page *page = pages_find(request->files, request->path);

	if (strcmp(request->path, "/session") == 0) {
		console_session(request, reply_r);
		return true;
	}
	if (page == NULL)
		return false;
	if (strcmp(request->method, "GET") != 0) {
		reply_r->allow = "GET";
		api_problem(request->ctx, 405, "use GET here", reply_r);
		return true;
	}
	reply_r->status = 200;
	reply_r->content_type = page->content_type;
	reply_r->body = page->body;
	reply_r->page = true;
	return true;
}

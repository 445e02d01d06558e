/*
 * api.c - requests to countersign-web, and what they are answered with
 *
 * A request is matched with a row of routes[], its values are read as that row says, the daemon is
 * asked, and its answer is handed on: cut to a page, and without what the token may not see. What
 * is not for a token is answered as what does not exist.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/web/api.h"
#include "filter/web/ask.h"
#include "filter/web/routes.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define PART_MAX	320	/* octets of an account or queue id */
#define LIMIT_DEFAULT	100
#define LIMIT_MAX	1000
#define OFFSET_MAX	100000

/* What is known of a request. */
struct asking {
	const struct api_request *request;
	const struct route *route;
	const char *part;	/* what stands where the path has braces, or NULL */
	json_t *values;		/* the query, or the body */
	json_t *ask;		/* for the daemon */
	const char *message;	/* to be tried, or NULL */
	size_t offset, limit;
	const char *problem;	/* what is wrong with it, or NULL */
	const char *field;	/* and with which of its values, or NULL */
};

/* --- replies --- */

static const char *
api_title(unsigned int status)
{
	static const struct { unsigned int status; const char *title; } titles[] = {
		{ 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" },
		{ 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 413, "Content Too Large" }, { 415, "Unsupported Media Type" },
		{ 422, "Unprocessable Content" }, { 429, "Too Many Requests" },
		{ 503, "Service Unavailable" },
	};

	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Error";
}

void
api_json(TALLOC_CTX *ctx, unsigned int status, const char *content_type, json_t *json,
    struct api_reply *reply_r)
{
	char *dumped = mem_check(json_dumps(json, JSON_COMPACT));

	reply_r->status = status;
	reply_r->content_type = content_type;
	reply_r->body = mem_printf(ctx, "%s\n", dumped);
	free(dumped);
	json_decref(json);
}

/* api_problem_of - as api_problem(); field: the value that is wrong, or NULL */
static void
api_problem_of(TALLOC_CTX *ctx, unsigned int status, const char *detail, const char *field,
    struct api_reply *reply_r)
{
	char *clean = mem_strdup(ctx, detail);
	json_t *problem;

	text_replace_controls(clean, ' ', '\0');
	if (!text_is_utf8(clean, strlen(clean)))
		clean = mem_strdup(ctx, "the request holds text that is not UTF-8");
	problem = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title",
	    api_title(status), "status", (int)status, "detail", clean);
	if (field != NULL)
		(void)json_object_set_new(problem, "field", json_string(field));
	api_json(ctx, status, "application/problem+json", problem, reply_r);
}

void
api_problem(TALLOC_CTX *ctx, unsigned int status, const char *detail, struct api_reply *reply_r)
{
	api_problem_of(ctx, status, detail, NULL, reply_r);
}

/* --- which operation --- */

/*
 * api_match - does the path fit a row? part_r: what stands where the braces are
 * A login may have a slash (host/mail); what follows the account is the end of the path.
 */
static bool
api_match(TALLOC_CTX *ctx, const char *pattern, const char *path, const char **part_r)
{
	const char *open = strchr(pattern, '{');
	const char *rest = open != NULL ? strchr(open, '}') + 1 : NULL;
	size_t before = open != NULL ? (size_t)(open - pattern) : 0, after, len = strlen(path);

	if (open == NULL)
		return strcmp(pattern, path) == 0;
	after = strlen(rest);
	if (strncmp(path, pattern, before) != 0 || len <= before + after ||
	    strcmp(path + len - after, rest) != 0)
		return false;
	*part_r = mem_strndup(ctx, path + before, len - before - after);
	return after > 0 || strchr(*part_r, '/') == NULL;
}

/* api_find - the row of a request; NULL: there is none, and allow_r has what there is */
static const struct route *
api_find(const struct api_request *request, const char *path, const char **part_r, char **allow_r)
{
	for (const struct route *route = routes; route->path != NULL; route++) {
		if (!api_match(request->ctx, route->path, path, part_r))
			continue;
		if (strcmp(route->method, request->method) == 0)
			return route;
		*allow_r = *allow_r == NULL ? mem_strdup(request->ctx, route->method)
		    : mem_check(talloc_asprintf_append(*allow_r, ", %s", route->method));
	}
	return NULL;
}

/* --- values --- */

/* api_whole - a value as a whole number: a number of a body, the text of one in a query */
static bool
api_whole(const struct asking *asking, const json_t *value, long long *number_r)
{
	bool query = strcmp(asking->request->method, "GET") == 0;
	const char *text = query ? json_string_value(value) : NULL;
	char *end;

	if (json_is_integer(value)) {
		*number_r = json_integer_value(value);
		return true;
	}
	if (text == NULL || text[0] < '0' || text[0] > '9' || strlen(text) > 15)
		return false;
	*number_r = strtoll(text, &end, 10);
	return *end == '\0';
}

/* api_number - a value within bounds; sets problem */
static json_t *
api_number(struct asking *asking, const char *name, const json_t *value, long long min,
    long long max, long long times)
{
	long long number;

	if (api_whole(asking, value, &number) && number >= min && number <= max)
		return json_integer(number * times);
	asking->problem = mem_printf(asking->request->ctx,
	    "%s must be a whole number from %lld to %lld", name, min, max);
	return NULL;
}

/* api_day - "2026-11-29" as the daemon has it; sets problem */
static json_t *
api_day(struct asking *asking, const char *name, const json_t *value)
{
	const char *text = json_string_value(value);
	int year, month, day, n = 0;

	/* sscanf() would take blanks and signs, too */
	if (text != NULL && strlen(text) == 10 && strspn(text, "0123456789-") == 10 &&
	    strchr(text + 5, '-') == text + 7 && text[8] != '-' &&
	    sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &n) == 3 && n == 10 &&
	    year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= 31)
		return json_integer(year * 10000 + month * 100 + day);
	asking->problem =
	    mem_printf(asking->request->ctx, "%s must be a day such as 2026-11-29", name);
	return NULL;
}

/* api_texts - a list of texts; sets problem */
static json_t *
api_texts(struct asking *asking, const char *name, json_t *value)
{
	bool good = json_is_array(value) && json_array_size(value) > 0;

	for (size_t i = 0; i < json_array_size(value); i++)
		good = good && json_is_string(json_array_get(value, i));
	if (good)
		return json_incref(value);
	asking->problem = mem_printf(asking->request->ctx, "%s must be a list of texts", name);
	return NULL;
}

/* api_value - a value as the daemon has it, a new reference; or NULL and problem */
static json_t *
api_value(struct asking *asking, const struct route_param *param, json_t *value)
{
	switch (param->kind) {
	case ROUTE_NUMBER:
		return api_number(asking, param->name, value, param->min, param->max, 1);
	case ROUTE_SECONDS:
		return api_number(asking, param->name, value, param->min, param->max, 1000);
	case ROUTE_DAY:
		return api_day(asking, param->name, value);
	case ROUTE_LIST:
		return api_texts(asking, param->name, value);
	case ROUTE_TEXT:
		break;
	}
	if (!json_is_string(value))
		asking->problem =
		    mem_printf(asking->request->ctx, "%s must be one text", param->name);
	else if (strcmp(param->field, "of") == 0)
		return json_string(
		    mem_printf(asking->request->ctx, "@%s", json_string_value(value)));
	return asking->problem == NULL ? json_incref(value) : NULL;
}

/* api_param - the row of a value, or NULL */
static const struct route_param *
api_param(const struct route *route, const char *name)
{
	for (const struct route_param *param = route->params; param->name != NULL; param++)
		if (strcmp(param->name, name) == 0)
			return param;
	return NULL;
}

/* api_page - offset and limit */
static bool
api_page(struct asking *asking, const char *name, const json_t *value)
{
	bool offset = strcmp(name, "offset") == 0;
	json_t *number;

	if (asking->route->lines == NULL || (!offset && strcmp(name, "limit") != 0))
		return false;
	number = api_number(
	    asking, name, value, offset ? 0 : 1, offset ? OFFSET_MAX : LIMIT_MAX, 1);
	if (number != NULL)
		*(offset ? &asking->offset : &asking->limit) = (size_t)json_integer_value(number);
	json_decref(number);
	return true;
}

/* api_take - one value of the request */
static void
api_take(struct asking *asking, const char *name, json_t *value)
{
	const struct route_param *param = api_param(asking->route, name);
	json_t *taken;

	if (param == NULL && api_page(asking, name, value))
		return;
	if (param == NULL) {
		asking->problem = mem_printf(asking->request->ctx,
		    "\"%.100s\" is unknown here; /api/v1/openapi.json has what there is", name);
		return;
	}
	taken = api_value(asking, param, value);
	if (taken != NULL && strcmp(param->field, "message") == 0) {
		asking->message = mem_strdup(asking->request->ctx, json_string_value(taken));
		json_decref(taken);
	} else if (taken != NULL)
		json_object_set_new(asking->ask, param->field, taken);
}

/* api_read - all values of the request into what the daemon is asked */
static void
api_read(struct asking *asking)
{
	const struct route *route = asking->route;
	const char *name;
	json_t *value;

	json_object_foreach(asking->values, name, value) {
		api_take(asking, name, value);
		if (asking->problem != NULL) {
			asking->field = name;
			return;
		}
	}
	for (const struct route_param *param = route->params; param->name != NULL; param++)
		if (param->required && json_object_get(asking->values, param->name) == NULL) {
			asking->problem =
			    mem_printf(asking->request->ctx, "%s is missing", param->name);
			asking->field = param->name;
			return;
		}
	if (route->count != NULL) {
		size_t n = asking->offset + asking->limit + 1;

		json_object_set_new(asking->ask, route->count,
		    json_integer(n < (size_t)route->most ? (json_int_t)n : route->most));
	}
	if (route->field != NULL)
		json_object_set_new(asking->ask, route->field, json_string(asking->part));
}

/* --- who may --- */

/*
 * api_domain - may the token see the domain that the request names?
 * A token of one domain need not name it.
 */
static bool
api_domain(struct asking *asking)
{
	const struct token *token = asking->request->token;
	const char *named = json_string_value(json_object_get(asking->values, "domain"));

	if (token->n_domains == 0)
		return true;
	if (json_object_get(asking->values, "domain") == NULL && token->n_domains == 1) {
		json_object_set_new(asking->values, "domain", json_string(token->domains[0]));
		return true;
	}
	if (named == NULL) {
		asking->problem = "name one domain: domain=example.org";
		asking->field = "domain";
	}
	return named == NULL || token_has_domain(token, named);
}

/* api_may_see - is the operation for this token? If not, there is no such thing. */
static bool
api_may_see(struct asking *asking)
{
	switch (asking->route->scope) {
	case ROUTE_SITE:
		return asking->request->token->n_domains == 0;
	case ROUTE_ACCOUNT:
		return token_has_account(asking->request->token, asking->part);
	case ROUTE_LINES:
		return true;
	case ROUTE_DOMAIN:
		return api_domain(asking);
	}
	return false;
}

/* --- the answer --- */

/* api_line_account - whose line it is, or NULL */
static const char *
api_line_account(const json_t *line)
{
	const char *account = json_string_value(json_object_get(line, "account"));

	return account != NULL ? account : json_string_value(json_object_get(line, "name"));
}

/* api_cut - of an array, the lines that the token may see, and of these the page */
static void
api_cut(const struct asking *asking, json_t *answer)
{
	const struct route *route = asking->route;
	json_t *lines = json_object_get(answer, route->lines), *page = json_array(), *line;
	bool all = route->scope == ROUTE_ACCOUNT;
	size_t i, n = 0;

	json_array_foreach(lines, i, line) {
		const char *account = api_line_account(line);

		if (!all && !token_has_account(asking->request->token, account))
			continue;
		if (n >= asking->offset && n < asking->offset + asking->limit)
			json_array_append(page, line);
		n++;
	}
	json_object_set_new(answer, route->lines, page);
	json_object_set_new(answer, "page", json_pack("{s:I, s:I, s:o}", "offset",
	    (json_int_t)asking->offset, "limit", (json_int_t)asking->limit, "next",
	    n > asking->offset + asking->limit
		? json_integer((json_int_t)(asking->offset + asking->limit)) : json_null()));
}

/* api_log - every change, with the person */
static void
api_log(const struct asking *asking, const char *outcome)
{
	const struct token *token = asking->request->token;

	if (strcmp(asking->route->method, "GET") != 0)
		log_info("web: %s (%s%s) %s%s%s: %s", token->name, token_role_word(token->role),
		    asking->request->proxied ? ", by the proxy" : "", asking->route->command,
		    asking->part != NULL ? " " : "", asking->part != NULL ? asking->part : "",
		    outcome);
}

/* api_hand_on - the daemon's answer as a reply */
static void
api_hand_on(struct asking *asking, json_t *answer, struct api_reply *reply_r)
{
	TALLOC_CTX *ctx = asking->request->ctx;
	const char *error = json_string_value(json_object_get(answer, "error"));
	const char *code = json_string_value(json_object_get(answer, "code"));
	bool away = code != NULL && strcmp(code, "unavailable") == 0;

	if (!json_is_true(json_object_get(answer, "ok"))) {
		error = error != NULL ? error : "the daemon gives no reason";
		api_log(asking, error);
		api_problem(ctx, away ? 503 : 422, error, reply_r);
		return;
	}
	api_log(asking, "done");
	(void)json_object_del(answer, "ok");
	if (asking->request->token->n_domains > 0)
		(void)json_object_del(answer, "beyond");
	if (asking->route->lines != NULL)
		api_cut(asking, answer);
	if (strcmp(asking->route->command, "why") == 0 &&
	    json_array_size(json_object_get(answer, "verdicts")) == 0)
		api_problem(ctx, 404, "there is no such message", reply_r);
	else
		api_json(ctx, 200, "application/json", json_incref(answer), reply_r);
}

/* api_ask - ask the daemon */
static void
api_ask(struct asking *asking, struct api_reply *reply_r)
{
	const struct api_request *request = asking->request;
	const char *error = NULL;
	bool trying = strcmp(asking->route->command, "try") == 0;
	json_t *answer;

	if (!trying) {
		json_object_set_new(asking->ask, "command", json_string(asking->route->command));
		if (strcmp(request->method, "GET") != 0)
			json_object_set_new(
			    asking->ask, "person", json_string(request->token->name));
	}
	if (json_dumpb(asking->ask, NULL, 0, JSON_COMPACT) >
	    (trying ? ASK_TRY_MAX : ASK_REQUEST_MAX)) {
		api_problem(request->ctx, 413, "the values are too long", reply_r);
		return;
	}
	answer = ask_daemon(request->ctx, request->control, asking->ask,
	    trying ? asking->message : NULL, trying ? API_TRY_WAIT_MS : API_WAIT_MS, &error);
	if (answer != NULL)
		api_hand_on(asking, answer, reply_r);
	else {
		api_log(asking, error);
		api_problem(request->ctx, 503, error, reply_r);
	}
	json_decref(answer);
}

/* api_operate - one operation of one that may ask */
static void
api_operate(struct asking *asking, struct api_reply *reply_r)
{
	TALLOC_CTX *ctx = asking->request->ctx;

	if (!api_may_see(asking)) {
		api_log(asking, "refused: not of its domains");
		api_problem(ctx, 404, "there is no such thing", reply_r);
		return;
	}
	if (asking->request->token->role < asking->route->role) {
		api_log(asking, "refused: its role does not suffice");
		api_problem(ctx, 403, mem_printf(ctx, "this needs the role %s",
		    token_role_word(asking->route->role)), reply_r);
		return;
	}
	if (asking->problem == NULL)
		api_read(asking);
	if (asking->problem != NULL)
		api_problem_of(ctx, 400, asking->problem, asking->field, reply_r);
	else
		api_ask(asking, reply_r);
}

bool
api_changes(const struct api_request *request, struct api_reply *reply_r)
{
	const char *problem = NULL;

	if (request->proxied && !request->own_header)
		problem = "a change needs the field X-Requested-With if a proxy vouches for its "
		    "name";
	else if (request->session != NULL &&
	    !sessions_proven(request->sessions, request->session, request->proof))
		problem = "a change in a session needs the field X-CSRF-Token";
	if (problem != NULL)
		api_problem(request->ctx, 403, problem, reply_r);
	return problem == NULL;
}

/* api_values - the values of a request: of a body or of the query; or NULL and a reply */
static json_t *
api_values(const struct api_request *request, struct api_reply *reply_r)
{
	json_error_t error = { .text = "" };
	json_t *values;

	if (strcmp(request->method, "GET") == 0)
		return json_deep_copy(request->query);
	if (!api_changes(request, reply_r))
		return NULL;
	if (json_object_size(request->query) > 0) {
		api_problem(request->ctx, 400, "values of a change are in its body", reply_r);
		return NULL;
	}
	if (request->body_len == 0)
		return json_object();
	if (!request->body_is_json) {
		api_problem(
		    request->ctx, 415, "write the field Content-Type: application/json", reply_r);
		return NULL;
	}
	values = json_loadb(request->body, request->body_len, JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(values))
		return values;
	api_problem(request->ctx, 400, mem_printf(request->ctx,
	    "the body is not an object of JSON%s%s", values == NULL ? ": " : "", error.text),
	    reply_r);
	json_decref(values);
	return NULL;
}

/* api_part_ok - may what stands in the path be a name? */
static bool
api_part_ok(const char *part)
{
	return part == NULL || (strlen(part) <= PART_MAX && text_is_utf8(part, strlen(part)) &&
				   !text_has_controls(part));
}

void
api_unknown(const struct api_request *request, struct api_reply *reply_r)
{
	if (request->too_many)
		api_problem(request->ctx, 429, API_TOO_MANY, reply_r);
	else
		api_problem(request->ctx, 401,
		    "write the field Authorization: Bearer TOKEN, or log in", reply_r);
}

/* api_v1 - a request below the prefix */
static void
api_v1(const struct api_request *request, const char *path, struct api_reply *reply_r)
{
	struct asking asking = { .request = request, .limit = LIMIT_DEFAULT };
	char *allow = NULL;

	if (request->token == NULL) {
		api_unknown(request, reply_r);
		return;
	}
	asking.route = api_find(request, path, &asking.part, &allow);
	if (asking.route == NULL && allow != NULL) {
		reply_r->allow = allow;
		api_problem(request->ctx, 405,
		    mem_printf(request->ctx, "use %s here", allow), reply_r);
		return;
	}
	if (asking.route == NULL || !api_part_ok(asking.part)) {
		api_problem(request->ctx, 404, "there is no such thing", reply_r);
		return;
	}
	asking.values = api_values(request, reply_r);
	if (asking.values == NULL)
		return;
	asking.ask = json_object();
	api_operate(&asking, reply_r);
	json_decref(asking.ask);
	json_decref(asking.values);
}

/* --- for everyone --- */

/* api_metrics - the figures, as Prometheus wants them */
static void
api_metrics(const struct api_request *request, struct api_reply *reply_r)
{
	json_t *ask = json_pack("{s:s, s:i}", "command", "metrics", "openmetrics",
	    request->openmetrics);
	const char *error = NULL, *text;
	json_t *answer =
	    ask_daemon(request->ctx, request->control, ask, NULL, API_WAIT_MS, &error);

	text = json_string_value(json_object_get(answer, "metrics"));
	if (text == NULL) {
		if (error == NULL)
			error = json_string_value(json_object_get(answer, "error"));
		api_problem(request->ctx, 503, error != NULL ? error : "no figures", reply_r);
	} else {
		reply_r->status = 200;
		reply_r->content_type = mem_strdup(request->ctx,
		    json_string_value(json_object_get(answer, "content_type")));
		reply_r->body = mem_strdup(request->ctx, text);
	}
	json_decref(answer);
	json_decref(ask);
}

/* api_health_of - the parts that must work, from what "status" answers */
static json_t *
api_health_of(const json_t *status, bool *healthy_r)
{
	const json_t *listener = json_object_get(status, "listener");
	const json_t *store = json_object_get(status, "store");
	const json_t *resolver = json_object_get(status, "resolver");
	bool answers = json_is_true(json_object_get(listener, "answers"));
	bool store_up = store != NULL && !json_is_true(json_object_get(store, "away"));
	bool resolver_up = resolver != NULL && !json_is_true(json_object_get(resolver, "away"));
	bool keys = json_integer_value(json_object_get(status, "withheld_keys")) == 0;

	*healthy_r = answers && store_up && resolver_up && keys;
	return json_pack("{s:b, s:b, s:b, s:b, s:b, s:b}", "healthy", *healthy_r, "daemon",
	    status != NULL, "listener", answers, "store", store_up, "resolver", resolver_up,
	    "keys", status != NULL && keys);
}

/* api_health - 200 if mail is filtered as it should be, else 503; no details */
static void
api_health(const struct api_request *request, struct api_reply *reply_r)
{
	json_t *ask = json_pack("{s:s}", "command", "status"), *health;
	const char *error = NULL;
	json_t *answer =
	    ask_daemon(request->ctx, request->control, ask, NULL, API_WAIT_MS, &error);
	bool healthy = false;

	health = api_health_of(
	    json_is_true(json_object_get(answer, "ok")) ? answer : NULL, &healthy);
	api_json(request->ctx, healthy ? 200 : 503, "application/json", health, reply_r);
	json_decref(answer);
	json_decref(ask);
}

typedef void api_open_fn(const struct api_request *request, struct api_reply *reply_r);

/* api_keep - a page as it was a moment ago, else as it is now */
static void
api_keep(const struct api_request *request, struct api_page *page, api_open_fn *answer,
    struct api_reply *reply_r)
{
	(void)pthread_mutex_lock(&page->lock);
	if (page->at_ms == 0 || clock_ms() - page->at_ms > API_FRESH_MS) {
		answer(request, reply_r);
		talloc_free(page->content_type);
		talloc_free(page->body);
		page->status = reply_r->status;
		page->content_type = mem_strdup(NULL, reply_r->content_type);
		page->body = mem_strdup(NULL, reply_r->body);
		page->at_ms = clock_ms();
	}
	reply_r->status = page->status;
	reply_r->content_type = mem_strdup(request->ctx, page->content_type);
	reply_r->body = mem_strdup(request->ctx, page->body);
	(void)pthread_mutex_unlock(&page->lock);
}

/* api_open - a page without a token; false: there is none of that path */
static bool
api_open(const struct api_request *request, struct api_reply *reply_r)
{
	bool health = strcmp(request->path, "/health") == 0;
	enum api_kept kept = health ? API_HEALTH
	    : request->openmetrics  ? API_OPENMETRICS
				    : API_METRICS;

	if (!health && strcmp(request->path, "/metrics") != 0)
		return false;
	if (strcmp(request->method, "GET") == 0)
		api_keep(request, &request->pages[kept], health ? api_health : api_metrics,
		    reply_r);
	else {
		reply_r->allow = "GET";
		api_problem(request->ctx, 405, "use GET here", reply_r);
	}
	return true;
}

size_t
api_body_max(const struct api_request *request)
{
	const char *path = request->path, *part = NULL;
	const struct route *route = NULL;
	char *allow = NULL;
	struct api_reply none = { 0 };

	if (request->token != NULL && strncmp(path, ROUTE_PREFIX "/", strlen(ROUTE_PREFIX) + 1) == 0)
		route = api_find(request, path + strlen(ROUTE_PREFIX), &part, &allow);
	if (route == NULL || strcmp(route->method, "GET") == 0 ||
	    request->token->role < route->role || !api_changes(request, &none) ||
	    (route->scope == ROUTE_SITE && request->token->n_domains > 0))
		return 0;
	return strcmp(route->command, "try") == 0 ? API_TRY_MAX : API_BODY_MAX;
}

void
api_answer(const struct api_request *request, struct api_reply *reply_r)
{
	size_t prefix = strlen(ROUTE_PREFIX);
	bool openapi = strcmp(request->path, ROUTE_PREFIX "/openapi.json") == 0;

	if (api_open(request, reply_r))
		return;
	if (openapi && strcmp(request->method, "GET") == 0)
		api_json(request->ctx, 200, "application/json", routes_openapi(), reply_r);
	else if (openapi) {
		reply_r->allow = "GET";
		api_problem(request->ctx, 405, "use GET here", reply_r);
	} else if (strncmp(request->path, ROUTE_PREFIX "/", prefix + 1) == 0)
		api_v1(request, request->path + prefix, reply_r);
	else
		api_problem(request->ctx, 404, "there is no such thing", reply_r);
}

/*
 * routes.c - the interface of countersign-web, one row for each operation; its OpenAPI document
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/web/routes.h"

#define YEAR_S	(366LL * 24 * 3600)

#define DAY(name, help)	{ name, name, ROUTE_DAY, 0, 0, false, help }
#define DOMAIN(field) \
	{ "domain", field, ROUTE_TEXT, 0, 0, false, \
	    "accounts of it only; a token with more than one domain must name it" }
#define WHY	{ "reason", "reason", ROUTE_TEXT, 0, 0, false, "a note for operators" }
#define FOR(must) \
	{ "for_seconds", "for_ms", ROUTE_SECONDS, 1, YEAR_S, must, "how long it applies" }

const struct route routes[] = {
	{ "GET", "/status", "status", NULL, TOKEN_READ, ROUTE_SITE, NULL, NULL, 0,
	    "the state of the daemon", { { 0 } } },
	{ "GET", "/rates", "rates", NULL, TOKEN_READ, ROUTE_SITE, NULL, NULL, 0,
	    "decisions by time and host, of all filters that share the store",
	    { { "hours", "hours", ROUTE_NUMBER, 1, 336, false,
		  "to 6: by minute; to 24: by ten minutes; more: by hour" },
		{ "host", "host", ROUTE_TEXT, 0, 0, false, "of the filter on this host only" } } },
	{ "GET", "/accounts", "quota top", NULL, TOKEN_READ, ROUTE_DOMAIN, "accounts", "n", 1000,
	    "the accounts that send most today",
	    { { "by", "by", ROUTE_TEXT, 0, 0, false,
		  "recipients, messages, refused or percent" },
		DOMAIN("of") } },
	{ "GET", "/accounts/{account}/limits", "quota show", "account", TOKEN_READ, ROUTE_ACCOUNT,
	    NULL, NULL, 0, "what an account has used of its limits", { { 0 } } },
	{ "PUT", "/accounts/{account}/limits", "quota set", "account", TOKEN_OPERATOR,
	    ROUTE_ACCOUNT, NULL, NULL, 0, "replace a limit for a while",
	    { { "limit", "limit", ROUTE_TEXT, 0, 0, true, "such as 500 recipients per hour" },
		FOR(true), WHY } },
	{ "DELETE", "/accounts/{account}/limits", "quota unset", "account", TOKEN_OPERATOR,
	    ROUTE_ACCOUNT, NULL, NULL, 0, "restore the limits set by the plan", { WHY } },
	{ "POST", "/accounts/{account}/reset", "quota reset", "account", TOKEN_OPERATOR,
	    ROUTE_ACCOUNT, NULL, NULL, 0, "empty the counters of an account", { WHY } },
	{ "GET", "/accounts/{account}/plan", "plan of", "account", TOKEN_READ, ROUTE_ACCOUNT, NULL,
	    NULL, 0, "the plan of an account and what selects it", { { 0 } } },
	{ "GET", "/accounts/{account}/history", "last", "account", TOKEN_READ, ROUTE_ACCOUNT,
	    "verdicts", "n", 100, "the last messages of an account", { { 0 } } },
	{ "GET", "/accounts/{account}/hours", "hours", "account", TOKEN_READ, ROUTE_ACCOUNT, NULL,
	    NULL, 0, "what an account sent, and what was refused, by hour",
	    { { "days", "days", ROUTE_NUMBER, 1, 14, false, "how many (default 1)" } } },
	{ "PUT", "/accounts/{account}/block", "block", "account", TOKEN_OPERATOR, ROUTE_ACCOUNT,
	    NULL, NULL, 0, "refuse all mail from an account",
	    { FOR(false), WHY } },
	{ "DELETE", "/accounts/{account}/block", "unblock", "account", TOKEN_OPERATOR,
	    ROUTE_ACCOUNT, NULL, NULL, 0, "allow mail from a blocked account again", { WHY } },
	{ "GET", "/blocks", "blocked", NULL, TOKEN_READ, ROUTE_LINES, "blocked", NULL, 0,
	    "the blocked accounts", { { 0 } } },
	{ "GET", "/messages/{queue_id}", "why", "queue_id", TOKEN_READ, ROUTE_LINES, "verdicts",
	    NULL, 0, "the decisions about a message", { { 0 } } },
	{ "GET", "/report", "report", NULL, TOKEN_READ, ROUTE_DOMAIN, "accounts", "n", 1000,
	    "the mail of some days by account and domain",
	    { DAY("day", "one day"), DAY("from", "the first day"), DAY("to", "the last day"),
		DOMAIN("domain"),
		{ "match", "match", ROUTE_TEXT, 0, 0, false, "accounts that contain it only" } } },
	{ "GET", "/events", "events", NULL, TOKEN_READ, ROUTE_SITE, "events", "n", 1000,
	    "what operators should know", { { 0 } } },
	{ "GET", "/domains", "domains", NULL, TOKEN_READ, ROUTE_SITE, "keys", NULL, 0,
	    "the keys that sign, by domain", { { 0 } } },
	{ "GET", "/doctor", "doctor", NULL, TOKEN_READ, ROUTE_SITE, NULL, NULL, 0,
	    "what the daemon's own checks found last", { { 0 } } },
	{ "POST", "/doctor", "doctor look", NULL, TOKEN_OPERATOR, ROUTE_SITE, NULL, NULL, 0,
	    "make these checks now; GET has them in some seconds", { { 0 } } },
	{ "GET", "/suggestion", "quota suggest", NULL, TOKEN_READ, ROUTE_SITE, NULL, NULL, 0,
	    "limits proposed from what accounts send",
	    { { "days", "days", ROUTE_NUMBER, 1, 30, false, "whole days to look at" },
		{ "percentile", "percentile", ROUTE_NUMBER, 50, 100, false,
		    "share of days and accounts to fit" } } },
	{ "GET", "/dmarc-reports", "dmarc report", NULL, TOKEN_READ, ROUTE_SITE, NULL, NULL, 0,
	    "the aggregate reports of a day", { DAY("day", "the day") } },
	{ "POST", "/reload", "reload", NULL, TOKEN_ADMIN, ROUTE_SITE, NULL, NULL, 0,
	    "read the configuration again", { { 0 } } },
	{ "POST", "/try", "try", NULL, TOKEN_ADMIN, ROUTE_SITE, NULL, NULL, 0,
	    "what would become of a message",
	    { { "listener", "listener", ROUTE_TEXT, 0, 0, false, "that the message comes to" },
		{ "login", "login", ROUTE_TEXT, 0, 0, false, "SASL login" },
		{ "client", "client", ROUTE_TEXT, 0, 0, false, "address of the client" },
		{ "from", "from", ROUTE_TEXT, 0, 0, true, "envelope sender" },
		{ "rcpt", "rcpts", ROUTE_LIST, 0, 0, true, "envelope recipients" },
		{ "message", "message", ROUTE_TEXT, 0, 0, true, "the message, with its header" } } },
	{ .path = NULL },
};

/* openapi_schema - of what kind a value is */
static json_t *
openapi_schema(const struct route_param *param)
{
	switch (param->kind) {
	case ROUTE_NUMBER:
	case ROUTE_SECONDS:
		return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum",
		    (json_int_t)param->min, "maximum", (json_int_t)param->max);
	case ROUTE_DAY:
		return json_pack("{s:s, s:s}", "type", "string", "format", "date");
	case ROUTE_LIST:
		return json_pack("{s:s, s:{s:s}}", "type", "array", "items", "type", "string");
	case ROUTE_TEXT:
		break;
	}
	return json_pack("{s:s}", "type", "string");
}

/* openapi_query - a value in the query or the path */
static json_t *
openapi_query(const char *name, const char *where, const char *help, json_t *schema)
{
	return json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", name, "in", where, "required",
	    strcmp(where, "path") == 0, "description", help, "schema", schema);
}

/* openapi_pages - the two values of what has pages */
static void
openapi_pages(json_t *parameters)
{
	json_array_append_new(parameters, openapi_query("offset", "query", "lines to leave out",
	    json_pack("{s:s, s:i, s:i}", "type", "integer", "minimum", 0, "maximum", 100000)));
	json_array_append_new(parameters, openapi_query("limit", "query", "lines of a page",
	    json_pack("{s:s, s:i, s:i, s:i}", "type", "integer", "minimum", 1, "maximum", 1000,
		"default", 100)));
}

/* openapi_parameters - the path's and the query's */
static json_t *
openapi_parameters(const struct route *route)
{
	json_t *parameters = json_array();

	if (route->field != NULL)
		json_array_append_new(parameters, openapi_query(route->field, "path",
		    strcmp(route->field, "account") == 0 ? "a login or address" : "a queue id",
		    json_pack("{s:s, s:i}", "type", "string", "maxLength", 320)));
	for (size_t i = 0; strcmp(route->method, "GET") == 0 && route->params[i].name != NULL; i++)
		json_array_append_new(parameters, openapi_query(route->params[i].name, "query",
		    route->params[i].help, openapi_schema(&route->params[i])));
	if (route->lines != NULL)
		openapi_pages(parameters);
	return parameters;
}

/* openapi_body - the body of a change */
static json_t *
openapi_body(const struct route *route)
{
	json_t *properties = json_object(), *required = json_array(), *schema;

	for (size_t i = 0; route->params[i].name != NULL; i++) {
		json_object_set_new(
		    properties, route->params[i].name, openapi_schema(&route->params[i]));
		if (route->params[i].required)
			json_array_append_new(required, json_string(route->params[i].name));
	}
	schema = json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties,
	    "additionalProperties", 0);
	if (json_array_size(required) > 0)
		json_object_set(schema, "required", required);
	json_decref(required);
	return json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content", "application/json",
	    "schema", schema);
}

/* openapi_responses - what comes back */
static json_t *
openapi_responses(void)
{
	static const char *const problems[][2] = { { "400", "the request is not valid" },
		{ "401", "no token, or a wrong one" }, { "403", "the role does not suffice" },
		{ "404", "there is no such thing, or it is of another domain" },
		{ "422", "the daemon refuses" },
		{ "429", "too many wrong tokens" },
		{ "503", "the daemon, the store or the books do not answer" } };
	json_t *responses = json_pack("{s:{s:s, s:{s:{s:{s:s}}}}}", "200", "description",
	    "the answer", "content", "application/json", "schema", "type", "object");

	for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++)
		json_object_set_new(responses, problems[i][0],
		    json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", problems[i][1], "content",
			"application/problem+json", "schema", "$ref",
			"#/components/schemas/Problem"));
	return responses;
}

/* openapi_name - "put_accounts_limits", which no other operation has */
static json_t *
openapi_name(const struct route *route)
{
	char name[128];
	size_t len = 0;

	for (const char *at = route->method; *at != '\0' && len < sizeof(name) - 1; at++)
		name[len++] = (char)(*at - 'A' + 'a');
	for (const char *at = route->path; *at != '\0' && len < sizeof(name) - 1; at++)
		if (*at != '{' && *at != '}')
			name[len++] = *at == '/' || *at == '-' ? '_' : *at;
	name[len] = '\0';
	return json_string(name);
}

json_t *
routes_openapi(void)
{
	json_t *paths = json_object();

	for (const struct route *route = routes; route->path != NULL; route++) {
		json_t *path = json_object_get(paths, route->path), *operation;
		char method[8] = "";

		if (path == NULL) {
			path = json_object();
			json_object_set_new(paths, route->path, path);
		}
		for (size_t i = 0; route->method[i] != '\0' && i < sizeof(method) - 1; i++)
			method[i] = (char)(route->method[i] - 'A' + 'a');
		operation = json_pack("{s:o, s:s, s:s, s:o, s:o}", "operationId",
		    openapi_name(route), "summary", route->help, "x-role",
		    token_role_word(route->role), "parameters", openapi_parameters(route),
		    "responses", openapi_responses());
		if (strcmp(route->method, "GET") != 0 && route->params[0].name != NULL)
			json_object_set_new(operation, "requestBody", openapi_body(route));
		json_object_set_new(path, method, operation);
	}
	return json_pack("{s:s, s:{s:s, s:s}, s:[{s:s}], s:[{s:[]}], s:{s:{s:{s:s, s:s}}, "
	    "s:{s:{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}}}}, s:o}",
	    "openapi", "3.0.3", "info", "title", "countersign", "version", PACKAGE_VERSION,
	    "servers", "url", ROUTE_PREFIX, "security", "token", "components", "securitySchemes",
	    "token", "type", "http", "scheme", "bearer", "schemas", "Problem", "type", "object",
	    "properties", "type", "type", "string", "title", "type", "string", "status", "type",
	    "integer", "detail", "type", "string", "field", "type", "string", "paths", paths);
}

/*
 * from_rate_limit.c - policyd-rate-limit: the limits of its YAML file
 *
 * It counts each RCPT of a login, so its limits are recipients. An entry of limits_by_id replaces
 * limits for that login; an empty list is no limit. libyaml reads the file.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "filter/adopt/inside.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"

/* The document while it is read. */
struct rate_limit {
	struct adopt *adopt;
	const char *path;
	yaml_document_t document;
	const char *action;
	bool by_login;
	size_t left; /* what it does and what is not taken over */
};

/* --- nodes ----------------------------------------------------------------- */

/* scalar - the text of a node, or NULL */
static const char *
scalar(const yaml_node_t *node)
{
	return node != NULL && node->type == YAML_SCALAR_NODE
	    ? (const char *)node->data.scalar.value
	    : NULL;
}

/* node_where - "file:line: name" of a node */
static const char *
node_where(struct rate_limit *read, const yaml_node_t *node, const char *name)
{
	return mem_printf(read->adopt, "%s:%zu: %s", read->path, node->start_mark.line + 1, name);
}

/* member - the value of a name of the document, or NULL */
static yaml_node_t *
member(struct rate_limit *read, const char *name)
{
	yaml_node_t *root = yaml_document_get_root_node(&read->document);

	if (root == NULL || root->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
	     pair < root->data.mapping.pairs.top; pair++) {
		const char *key = scalar(yaml_document_get_node(&read->document, pair->key));

		if (key != NULL && strcmp(key, name) == 0)
			return yaml_document_get_node(&read->document, pair->value);
	}
	return NULL;
}

/* truth - a Boolean of the document */
static bool
truth(struct rate_limit *read, const char *name, bool standard)
{
	const char *text = scalar(member(read, name));

	return text == NULL ? standard
			    : strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0 ||
		strcasecmp(text, "on") == 0;
}

/* rate_limit_leave - something that stays there */
static void
rate_limit_leave(struct rate_limit *read, const char *where, const char *why)
{
	read->left++;
	adopt_missing(read->adopt, "%s: %s", where, why);
}

/* --- limits ---------------------------------------------------------------- */

/* add_pair - [count, seconds]; false: it is none */
static bool
add_pair(struct rate_limit *read, const yaml_node_t *pair, struct adopt_limit *limit)
{
	const yaml_node_item_t *items;
	const char *count, *span;
	uint64_t seconds;

	if (pair == NULL || pair->type != YAML_SEQUENCE_NODE)
		return false;
	items = pair->data.sequence.items.start;
	if (pair->data.sequence.items.top - items != 2)
		return false;
	count = scalar(yaml_document_get_node(&read->document, items[0]));
	span = scalar(yaml_document_get_node(&read->document, items[1]));
	if (count == NULL || span == NULL || !adopt_number(count, LIMIT_MAX_COUNT, &limit->max) ||
	    !adopt_number(span, LIMIT_MAX_WINDOW_MS / 1000, &seconds) || seconds == 0)
		return false;
	limit->window_s = (int64_t)seconds;
	read->left += !adopt_limit(read->adopt, limit);
	return true;
}

/* add_list - the limits of a login, or of everyone */
static void
add_list(struct rate_limit *read, const yaml_node_t *list, const char *subject, const char *name)
{
	struct adopt_limit limit = { .party = PARTY_ACCOUNT,
		.subject = subject,
		.unit = LIMIT_RECIPIENTS,
		.action = read->action,
		.from = node_where(read, list, name) };

	if (list->type != YAML_SEQUENCE_NODE) {
		rate_limit_leave(read, limit.from, "this is not a list of [number, seconds]");
		return;
	}
	if (list->data.sequence.items.start == list->data.sequence.items.top && subject != NULL) {
		limit.unlimited = true;
		read->left += !adopt_limit(read->adopt, &limit);
	}
	for (const yaml_node_item_t *item = list->data.sequence.items.start;
	     item < list->data.sequence.items.top; item++) {
		const yaml_node_t *pair = yaml_document_get_node(&read->document, *item);

		if (pair != NULL)
			limit.from = node_where(read, pair, name);
		if (!add_pair(read, pair, &limit))
			rate_limit_leave(read, limit.from, "this is not [number, seconds]");
	}
}

/* add_ids - limits_by_id */
static void
add_ids(struct rate_limit *read, const yaml_node_t *ids)
{
	if (ids->type != YAML_MAPPING_NODE) {
		if (ids->type != YAML_SCALAR_NODE || scalar(ids)[0] != '\0')
			rate_limit_leave(read, node_where(read, ids, "limits_by_id"),
			    "this is not a mapping of logins to limits");
		return;
	}
	for (const yaml_node_pair_t *pair = ids->data.mapping.pairs.start;
	     pair < ids->data.mapping.pairs.top; pair++) {
		const yaml_node_t *list = yaml_document_get_node(&read->document, pair->value);
		const char *id = scalar(yaml_document_get_node(&read->document, pair->key));
		struct ip_address ip;
		const char *name;

		if (id == NULL || list == NULL)
			continue;
		name = mem_printf(read->adopt, "limits_by_id %s", id);
		if (ip_address_parse(id, &ip))
			rate_limit_leave(read, node_where(read, list, name),
			    "limits of client addresses have no counterpart; see network_of in "
			    "countersign-limits(5)");
		else
			add_list(read, list, mem_strdup(read->adopt, id), name);
	}
}

/* --- options --------------------------------------------------------------- */

/* What becomes of an option. */
enum rate_limit_fate {
	RATE_TAKEN,   /* read elsewhere */
	RATE_NOTHING, /* countersign has no need of it */
	RATE_TRUE,    /* something is lost if it is on */
	RATE_SET,     /* something is lost if it is not empty */
	RATE_BESIDE   /* as RATE_TRUE, but mail is limited the same without it */
};

/* All options of policyd-rate-limit.yaml. */
static const struct {
	const char *name;
	enum rate_limit_fate fate;
	const char *text;
} rate_options[] = {
	{ "limits", RATE_TAKEN, NULL },
	{ "limits_by_id", RATE_TAKEN, NULL },
	{ "limit_by_sasl", RATE_TAKEN, NULL },
	{ "fail_action", RATE_TAKEN, NULL },
	{ "SOCKET", RATE_TAKEN, NULL },
	{ "count_mode", RATE_TAKEN, NULL },
	{ "success_action", RATE_TAKEN, NULL },
	{ "limit_by_ip", RATE_TRUE,
	    "mail without a login is limited by client address; that has no counterpart, but see "
	    "network_of in countersign-limits(5)" },
	{ "limit_by_sender", RATE_TRUE,
	    "mail without a login is limited by envelope sender; only accounts have limits here" },
	{ "limited_networks", RATE_SET,
	    "clients of these networks are limited by their address (limit_by_ip); that has no "
	    "counterpart, but see network_of in countersign-limits(5)" },
	{ "report", RATE_BESIDE,
	    "it reports exceeded limits by mail; events take its place, see event_command in "
	    "countersign.conf(5)" },
	{ "report_from", RATE_NOTHING, NULL },
	{ "report_to", RATE_NOTHING, NULL },
	{ "report_subject", RATE_NOTHING, NULL },
	{ "report_limits", RATE_NOTHING, NULL },
	{ "report_only_if_needed", RATE_NOTHING, NULL },
	{ "smtp_server", RATE_NOTHING, NULL },
	{ "smtp_starttls", RATE_NOTHING, NULL },
	{ "smtp_credentials", RATE_NOTHING, NULL },
	{ "db_error_action", RATE_NOTHING, NULL },
	{ "backend", RATE_NOTHING, NULL },
	{ "sqlite_config", RATE_NOTHING, NULL },
	{ "mysql_config", RATE_NOTHING, NULL },
	{ "pgsql_config", RATE_NOTHING, NULL },
	{ "config_file", RATE_NOTHING, NULL },
	{ "debug", RATE_NOTHING, NULL },
	{ "log_level", RATE_NOTHING, NULL },
	{ "user", RATE_NOTHING, NULL },
	{ "group", RATE_NOTHING, NULL },
	{ "pidfile", RATE_NOTHING, NULL },
	{ "socket_permission", RATE_NOTHING, NULL },
};

/* is_empty - a node that says nothing */
static bool
is_empty(const yaml_node_t *node)
{
	const char *text = scalar(node);

	if (node == NULL)
		return true;
	if (text != NULL)
		return text[0] == '\0' || text[0] == '~' || strcasecmp(text, "null") == 0 ||
		    strcasecmp(text, "false") == 0;
	if (node->type == YAML_SEQUENCE_NODE)
		return node->data.sequence.items.start == node->data.sequence.items.top;
	return node->data.mapping.pairs.start == node->data.mapping.pairs.top;
}

/* judge_option - an option and what becomes of it; false: it is not known */
static bool
judge_option(struct rate_limit *read, const char *name, const yaml_node_t *value, char **idle)
{
	for (size_t i = 0; i < sizeof(rate_options) / sizeof(rate_options[0]); i++) {
		if (strcmp(rate_options[i].name, name) != 0)
			continue;
		if (rate_options[i].fate == RATE_NOTHING ||
		    ((rate_options[i].fate == RATE_TRUE || rate_options[i].fate == RATE_BESIDE) &&
			!truth(read, name, false)) ||
		    (rate_options[i].fate == RATE_SET && is_empty(value)))
			*idle = *idle == NULL ? mem_strdup(read->adopt, name)
					      : mem_printf(read->adopt, "%s %s", *idle, name);
		else if (rate_options[i].fate == RATE_BESIDE)
			adopt_missing(read->adopt, "%s: %s", node_where(read, value, name),
			    rate_options[i].text);
		else if (rate_options[i].text != NULL)
			rate_limit_leave(read, node_where(read, value, name), rate_options[i].text);
		return true;
	}
	return false;
}

/* judge_options - each option of the file */
static void
judge_options(struct rate_limit *read)
{
	const yaml_node_t *root = yaml_document_get_root_node(&read->document);
	char *idle = NULL;

	if (root == NULL || root->type != YAML_MAPPING_NODE) {
		rate_limit_leave(read, read->path, "this is not a mapping of options");
		return;
	}
	for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
	     pair < root->data.mapping.pairs.top; pair++) {
		const yaml_node_t *value = yaml_document_get_node(&read->document, pair->value);
		const char *name = scalar(yaml_document_get_node(&read->document, pair->key));

		if (name != NULL && value != NULL && !judge_option(read, name, value, &idle))
			rate_limit_leave(read, node_where(read, value, name),
			    "this option of policyd-rate-limit is not known here");
	}
	if (idle != NULL)
		adopt_note(read->adopt, "%s: nothing to do for: %s", read->path, idle);
}

/* --- the file -------------------------------------------------------------- */

/* rate_limit_service - where Postfix asks it, and whether it may go */
static void
rate_limit_service(struct rate_limit *read, const yaml_node_t *node, const char *stays)
{
	struct adopt *adopt = read->adopt;
	const char *path = node == NULL ? "/var/spool/postfix/ratelimit/policy" : scalar(node);
	const char *host, *port;

	if (path != NULL) {
		adopt_service(adopt, stays, "unix:%s", path);
		return;
	}
	if (node->type != YAML_SEQUENCE_NODE ||
	    node->data.sequence.items.top - node->data.sequence.items.start != 2)
		return;
	host = scalar(yaml_document_get_node(&read->document, node->data.sequence.items.start[0]));
	port = scalar(yaml_document_get_node(&read->document, node->data.sequence.items.start[1]));
	if (host != NULL && port != NULL)
		adopt_service(adopt, stays, "inet:%s:%s", host, port);
}

/* note_counting - what it counts; count_mode depends on its version */
static void
note_counting(struct rate_limit *read)
{
	const yaml_node_t *mode = member(read, "count_mode");
	const char *text = scalar(mode);

	if (text != NULL && strcmp(text, "0") != 0)
		adopt_note(read->adopt,
		    "%s: %s: what it counts in this mode, messages or recipients, is not certain, so "
		    "its limits became recipients; see that this is meant",
		    node_where(read, mode, "count_mode"), text);
	else
		adopt_note(read->adopt,
		    "%s: policyd-rate-limit counts each RCPT command, so its limits became recipients; "
		    "a message that is refused later is counted there, and not here",
		    read->path);
}

/* rate_limit_read_limits - limits and limits_by_id */
static void
rate_limit_read_limits(struct rate_limit *read)
{
	yaml_node_t *node = member(read, "limits");

	if (node != NULL)
		add_list(read, node, NULL, "limits");
	else
		rate_limit_leave(read, read->path,
		    "limits is not set, so policyd-rate-limit's own default applies, which is not "
		    "read here");
	node = member(read, "limits_by_id");
	if (node != NULL)
		add_ids(read, node);
	note_counting(read);
}

/* read_actions - fail_action and success_action */
static void
read_actions(struct rate_limit *read)
{
	const char *fail = scalar(member(read, "fail_action"));
	const char *success = scalar(member(read, "success_action"));

	read->action = adopt_action(fail != NULL ? fail : "defer_if_permit");
	if (read->action == NULL) {
		rate_limit_leave(read, node_where(read, member(read, "fail_action"), "fail_action"),
		    mem_printf(read->adopt, "%s has no counterpart; on_over is tempfail", fail));
		read->action = "tempfail";
	}
	if (success != NULL && strcasecmp(success, "dunno") != 0)
		rate_limit_leave(read,
		    node_where(read, member(read, "success_action"), "success_action"),
		    mem_printf(read->adopt,
			"%s has no counterpart: mail within its limits is "
			"accepted, and other rules decide",
			success));
}

/* read_document - all that it says */
static void
read_document(struct rate_limit *read)
{
	read_actions(read);
	judge_options(read);
	read->by_login = truth(read, "limit_by_sasl", true);
	if (read->by_login)
		rate_limit_read_limits(read);
	else
		rate_limit_leave(
		    read, read->path, "limit_by_sasl is off: its limits are not those of logins");
	rate_limit_service(read, member(read, "SOCKET"),
	    read->left > 0 ? mem_printf(read->adopt, "limits and options of %s", read->path)
			   : NULL);
}

/* rate_limit_fail - a file that cannot be read */
static void
rate_limit_fail(struct rate_limit *read)
{
	read->adopt->limits_unread = true;
	rate_limit_service(read, NULL, mem_printf(read->adopt, "%s could not be read", read->path));
}

void
adopt_rate_limit(struct adopt *adopt, const char *path)
{
	struct rate_limit read = { .adopt = adopt, .path = path };
	size_t len = strlen(path);
	yaml_parser_t parser;
	char *text;

	if (len > 5 && strcmp(path + len - 5, ".conf") == 0) {
		adopt_missing(adopt,
		    "%s: this is policyd-rate-limit's old configuration, a Python program; write "
		    "policyd-rate-limit.yaml with the same limits, and run adopt again",
		    path);
		rate_limit_fail(&read);
		return;
	}
	text = adopt_read_file(adopt, path);
	if (text == NULL || yaml_parser_initialize(&parser) == 0) {
		rate_limit_fail(&read);
		return;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
	if (yaml_parser_load(&parser, &read.document) != 0) {
		read_document(&read);
		yaml_document_delete(&read.document);
	} else {
		adopt_missing(adopt, "%s:%zu: this is not YAML, so its limits are missing here: %s",
		    path, parser.problem_mark.line + 1,
		    parser.problem != NULL ? parser.problem : "error");
		rate_limit_fail(&read);
	}
	yaml_parser_delete(&parser);
}

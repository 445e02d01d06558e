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
	adopt_limit(read->adopt, limit);
	return true;
}

/* add_list - the limits of a login, or of everyone */
static void
add_list(struct rate_limit *read, const yaml_node_t *list, const char *subject, const char *name)
{
	struct adopt *adopt = read->adopt;
	struct adopt_limit limit = { .party = PARTY_ACCOUNT,
		.subject = subject,
		.unit = LIMIT_RECIPIENTS,
		.action = read->action,
		.from = node_where(read, list, name) };

	if (list->type != YAML_SEQUENCE_NODE) {
		adopt_missing(adopt, "%s: this is not a list of [number, seconds]", limit.from);
		return;
	}
	if (list->data.sequence.items.start == list->data.sequence.items.top && subject != NULL) {
		limit.unlimited = true;
		adopt_limit(adopt, &limit);
	}
	for (const yaml_node_item_t *item = list->data.sequence.items.start;
	     item < list->data.sequence.items.top; item++) {
		const yaml_node_t *pair = yaml_document_get_node(&read->document, *item);

		if (pair != NULL)
			limit.from = node_where(read, pair, name);
		if (!add_pair(read, pair, &limit))
			adopt_missing(adopt, "%s: this is not [number, seconds]", limit.from);
	}
}

/* add_ids - limits_by_id */
static void
add_ids(struct rate_limit *read, const yaml_node_t *ids)
{
	if (ids->type != YAML_MAPPING_NODE)
		return;
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
			adopt_missing(read->adopt,
			    "%s: limits of client addresses have no counterpart; see network_of in "
			    "countersign-limits(5)",
			    node_where(read, list, name));
		else
			add_list(read, list, mem_strdup(read->adopt, id), name);
	}
}

/* --- the file -------------------------------------------------------------- */

/* add_socket - where Postfix asks it */
static void
add_socket(struct rate_limit *read)
{
	const yaml_node_t *node = member(read, "SOCKET");
	struct adopt *adopt = read->adopt;
	const char *path = node == NULL ? "/var/spool/postfix/ratelimit/policy" : scalar(node);
	const char *host, *port;

	if (path != NULL) {
		adopt_text(adopt, &adopt->replaced_services, "unix:%s", path);
		return;
	}
	if (node->type != YAML_SEQUENCE_NODE ||
	    node->data.sequence.items.top - node->data.sequence.items.start != 2)
		return;
	host = scalar(yaml_document_get_node(&read->document, node->data.sequence.items.start[0]));
	port = scalar(yaml_document_get_node(&read->document, node->data.sequence.items.start[1]));
	if (host != NULL && port != NULL)
		adopt_text(adopt, &adopt->replaced_services, "inet:%s:%s", host, port);
}

/* note_uncounted - what it limits in addition to logins */
static void
note_uncounted(struct rate_limit *read)
{
	struct adopt *adopt = read->adopt;

	if (truth(read, "limit_by_ip", false))
		adopt_missing(adopt,
		    "%s: limit_by_ip: mail without a login was limited by client address; that has no "
		    "counterpart, but see network_of in countersign-limits(5)",
		    node_where(read, member(read, "limit_by_ip"), "limit_by_ip"));
	if (truth(read, "limit_by_sender", false))
		adopt_missing(adopt,
		    "%s: limit_by_sender: mail without a login was limited by envelope sender; only "
		    "accounts have limits here",
		    node_where(read, member(read, "limit_by_sender"), "limit_by_sender"));
	if (truth(read, "report", false))
		adopt_missing(adopt,
		    "%s: report: events take its place, see event_command in countersign.conf(5)",
		    node_where(read, member(read, "report"), "report"));
}

/* read_document - all that it says */
static void
read_document(struct rate_limit *read)
{
	const char *action = scalar(member(read, "fail_action"));
	yaml_node_t *node;

	read->action = adopt_action(action != NULL ? action : "defer_if_permit");
	read->by_login = truth(read, "limit_by_sasl", true);
	add_socket(read);
	note_uncounted(read);
	if (!read->by_login) {
		adopt_missing(read->adopt,
		    "%s: limit_by_sasl is off: its limits are not those of logins", read->path);
		return;
	}
	node = member(read, "limits");
	if (node != NULL)
		add_list(read, node, NULL, "limits");
	node = member(read, "limits_by_id");
	if (node != NULL)
		add_ids(read, node);
	adopt_note(read->adopt,
	    "%s: policyd-rate-limit counts each RCPT command, so its limits became recipients; a "
	    "message that is refused later is counted there, and not here",
	    read->path);
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
		return;
	}
	text = adopt_read_file(adopt, path);
	if (text == NULL || yaml_parser_initialize(&parser) == 0)
		return;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
	if (yaml_parser_load(&parser, &read.document) != 0) {
		read_document(&read);
		yaml_document_delete(&read.document);
	} else
		adopt_missing(adopt, "%s:%zu: %s", path, parser.problem_mark.line + 1,
		    parser.problem != NULL ? parser.problem : "this is not YAML");
	yaml_parser_delete(&parser);
}

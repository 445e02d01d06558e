/*
 * stolen_queue.c - the queue of Postfix on this host, by postqueue(1) and postsuper(1)
 *
 * The commands are constant texts: nothing of a message reaches the shell. Queue ids go to
 * postsuper's standard input, after a check.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/ctl/ctl.h"
#include "filter/ctl/stolen.h"

#define IN_PATH	"PATH=\"$PATH:/usr/sbin:/sbin:/usr/local/sbin\"; export PATH; "

void
stolen_bump(json_t *object, const char *name, json_int_t n)
{
	(void)json_object_set_new(object, name,
	    json_integer(json_integer_value(json_object_get(object, name)) + n));
}

json_t *
stolen_domain(json_t *domains, const char *address, size_t len)
{
	char name[256] = "";
	size_t at = len;
	json_t *domain;

	while (at > 0 && address[at - 1] != '@')
		at--;
	if (at > 0 && len > at && len - at < sizeof(name))
		(void)snprintf(name, sizeof(name), "%.*s", (int)(len - at), address + at);
	for (char *c = name; *c != '\0'; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	if (name[0] == '\0')
		(void)snprintf(name, sizeof(name), "(no domain)");
	domain = json_object_get(domains, name);
	if (domain == NULL && json_object_size(domains) >= STOLEN_DOMAINS_MAX) {
		(void)snprintf(name, sizeof(name), "other");
		domain = json_object_get(domains, name);
	}
	if (domain == NULL && json_object_set_new(domains, name, json_object()) == 0)
		domain = json_object_get(domains, name);
	return domain;	/* NULL: the name is not UTF-8; jansson takes that as no object */
}

bool
stolen_is_id(const char *text)
{
	return text[0] != '\0' && strlen(text) <= 32 &&
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") ==
	    strlen(text);
}

bool
stolen_has_sender(const json_t *answer, const char *sender)
{
	const json_t *senders = json_object_get(answer, "senders"), *item;
	size_t i, len = strlen(sender);

	if (strcmp(sender, "MAILER-DAEMON") == 0)
		return false;
	json_array_foreach(senders, i, item) {
		const char *text = json_string_value(item);

		if (len > 0 && strlen(text) == len + 2 && text[0] == '<' &&
		    memcmp(text + 1, sender, len) == 0)
			return true;
	}
	return false;
}

json_t *
stolen_ids(const json_t *answer)
{
	json_t *known = json_object(), *ids;
	const char *filter;
	const json_t *id;
	size_t i;

	json_object_foreach(json_object_get(answer, "filters"), filter, ids)
		json_array_foreach(ids, i, id)
			(void)json_object_set_new(known, json_string_value(id), json_true());
	return known;
}

/* add_entry - a message of the queue */
static void
add_entry(json_t *queue, const json_t *answer, const json_t *known, const json_t *entry)
{
	const char *id = ctl_text(entry, "queue_id");
	const json_t *recipient;
	size_t i;

	if (!stolen_is_id(id) || (json_object_get(known, id) == NULL &&
	    !stolen_has_sender(answer, ctl_text(entry, "sender"))))
		return;
	(void)json_array_append_new(json_object_get(queue, "ids"), json_string(id));
	stolen_bump(json_object_get(queue, "queues"), ctl_text(entry, "queue_name"), 1);
	json_array_foreach(json_object_get(entry, "recipients"), i, recipient) {
		const char *address = ctl_text(recipient, "address");

		stolen_bump(stolen_domain(json_object_get(queue, "domains"), address,
		    strlen(address)), "queued", 1);
	}
}

json_t *
stolen_queue(const json_t *answer)
{
	FILE *from = popen(IN_PATH "exec postqueue -j 2>/dev/null", "r");
	json_t *queue = json_pack("{s:[], s:{}, s:{}}", "ids", "queues", "domains");
	json_t *known = stolen_ids(answer), *entry;
	char *line = NULL;
	size_t room = 0;

	while (from != NULL && getline(&line, &room, from) > 0) {
		entry = json_loads(line, 0, NULL);
		add_entry(queue, answer, known, entry);
		json_decref(entry);
	}
	free(line);
	json_decref(known);
	if (from != NULL && pclose(from) == 0)
		return queue;
	json_decref(queue);
	return NULL;
}

bool
stolen_pull(const json_t *ids)
{
	FILE *to = popen(IN_PATH "exec postsuper -h - 1>&2", "w");
	const json_t *id;
	size_t i;

	if (to == NULL)
		return false;
	json_array_foreach(ids, i, id)
		(void)fprintf(to, "%s\n", json_string_value(id));
	return pclose(to) == 0;
}

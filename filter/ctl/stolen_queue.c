/*
 * stolen_queue.c - the queue of Postfix on this host, by postqueue(1) and postsuper(1)
 *
 * No shell is in between (filter/mta/command.h). Queue ids go to postsuper's standard input, after
 * a check.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/ctl/ctl.h"
#include "filter/ctl/stolen.h"
#include "policy/base/mem.h"

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

/* What a line of a queue is taken into. */
struct queue_reading {
	json_t *queue;
	const json_t *answer;
	const json_t *known;
};

/* take_entry - command_line_fn: a message of the queue, in JSON */
static void
take_entry(void *arg, char *text)
{
	const struct queue_reading *reading = arg;
	json_t *entry = json_loads(text, 0, NULL);

	add_entry(reading->queue, reading->answer, reading->known, entry);
	json_decref(entry);
}

int
stolen_lines(const char *program, const char *option, command_line_fn *line, void *arg)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *argv[] = { command_find(tmp, program), option, NULL }, *error = NULL;
	int status = argv[0] == NULL ? -1 :
	    command_lines(tmp, argv, clock_ms() + STOLEN_WAIT_MS, line, arg, &error);

	talloc_free(tmp);
	return status;
}

json_t *
stolen_queue(const json_t *answer)
{
	json_t *queue = json_pack("{s:[], s:{}, s:{}}", "ids", "queues", "domains");
	json_t *known = stolen_ids(answer);
	struct queue_reading reading = { queue, answer, known };

	if (stolen_lines("postqueue", "-j", take_entry, &reading) != 0) {
		json_decref(queue);
		queue = NULL;
	}
	json_decref(known);
	return queue;
}

bool
stolen_run(const char *const *words, const char *input)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *argv[4] = { command_find(tmp, words[0]), words[1], words[2], NULL };
	struct command_output output = { 0 };
	const char *error = NULL;
	bool good = argv[0] != NULL && command_feed(tmp, argv, input, strlen(input),
	    clock_ms() + STOLEN_WAIT_MS, &output, &error) == 0;

	if (good)
		(void)fprintf(stderr, "%s%s", output.out, output.error);
	else if (error != NULL)
		(void)fprintf(stderr, "%s\n", error);
	good = good && output.status == 0;
	talloc_free(tmp);
	return good;
}

bool
stolen_pull(const json_t *ids)
{
	static const char *const words[] = { "postsuper", "-h", "-" };
	char *input = mem_strdup(NULL, "");
	const json_t *id;
	size_t i;
	bool good;

	json_array_foreach(ids, i, id)
		input = mem_check(talloc_asprintf_append_buffer(input, "%s\n", json_string_value(id)));
	good = stolen_run(words, input);
	talloc_free(input);
	return good;
}

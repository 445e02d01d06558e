/*
 * stolen_sendmail.c - the queue of Sendmail on this host, by mailq(1) and sendmail(8)
 *
 * mailq prints an entry as
 *
 *	6ATAQE7H030451       38 Sun Nov 29 10:26 <bob@example.org>
 *	     QUARANTINE: countersign blocked: ...
 *	                 (Deferred: Connection refused)
 *						 <good@elsewhere.example>
 *
 * and ends with "Total requests: N"; long addresses are cut.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/ctl/ctl.h"
#include "filter/ctl/stolen.h"

/* take_address - cut the address out of the end of a line, without its brackets; "" if there is
 * none */
static char *
take_address(char *line)
{
	char *from = strrchr(line, ' '), *tab = strrchr(line, '\t');

	if (tab != NULL && (from == NULL || tab > from))
		from = tab;
	from = from != NULL ? from + 1 : line;
	from += from[0] == '<';
	from[strcspn(from, ">")] = '\0';
	return from;
}

/* mailq_entry - the first line of an entry; whether the account sent it */
static bool
mailq_entry(json_t *queue, const json_t *answer, const json_t *known, const char *name, char *line)
{
	size_t len = strcspn(line, " *-X?\t");
	char id[64];

	(void)snprintf(id, sizeof(id), "%.*s", len < sizeof(id) ? (int)len : 0, line);
	if (!stolen_is_id(id) || (json_object_get(known, id) == NULL &&
	    !stolen_has_sender(answer, take_address(line))))
		return false;
	(void)json_array_append_new(json_object_get(queue, "ids"), json_string(id));
	stolen_bump(json_object_get(queue, "queues"), name, 1);
	return true;
}

/* What one of Sendmail's queues is read into. */
struct mailq_reading {
	json_t *queue;
	const json_t *answer;
	const json_t *known;
	const char *name;	/* of the queue */
	bool ours;		/* the lines are of an entry of the account */
	bool ended;		/* the last line was there: this is Sendmail */
};

/* take_mailq_line - command_line_fn */
static void
take_mailq_line(void *arg, char *line)
{
	struct mailq_reading *reading = arg;
	char *address;

	line[strcspn(line, "\r")] = '\0';
	reading->ended |= strstr(line, "Total requests:") != NULL;
	if (line[0] != ' ' && line[0] != '\t') {
		reading->ours = mailq_entry(
		    reading->queue, reading->answer, reading->known, reading->name, line);
		return;
	}
	address = take_address(line);
	if (reading->ours && strchr(line, '(') == NULL && strstr(line, "QUARANTINE:") == NULL &&
	    strchr(address, '@') != NULL)
		stolen_bump(stolen_domain(json_object_get(reading->queue, "domains"), address,
		    strlen(address)), "queued", 1);
}

/* read_mailq - one of Sendmail's queues; false: this is no Sendmail */
static bool
read_mailq(json_t *queue, const json_t *answer, const json_t *known, const char *option,
    const char *name)
{
	struct mailq_reading reading = { queue, answer, known, name, false, false };

	return stolen_lines("mailq", option, take_mailq_line, &reading) == 0 && reading.ended;
}

json_t *
stolen_sendmail(const json_t *answer)
{
	json_t *queue = json_pack("{s:[], s:{}, s:{}, s:s}", "ids", "queues", "domains", "mta",
	    "sendmail");
	json_t *known = stolen_ids(answer);

	if (!read_mailq(queue, answer, known, NULL, "deferred") ||
	    !read_mailq(queue, answer, known, "-qQ", "hold")) {
		json_decref(queue);
		queue = NULL;
	}
	json_decref(known);
	return queue;
}

bool
stolen_sendmail_pull(const json_t *ids)
{
	char select[64];
	const char *const words[] = { "sendmail", "-Qstolen", select };
	const json_t *id;
	bool good = true;
	size_t i;

	json_array_foreach(ids, i, id) {
		if (!stolen_is_id(json_string_value(id)))
			continue;
		(void)snprintf(select, sizeof(select), "-qI%s", json_string_value(id));
		good &= stolen_run(words, "");
	}
	return good;
}

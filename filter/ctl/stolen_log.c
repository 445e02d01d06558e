/*
 * stolen_log.c - what became of an account's messages, by the mail log of Postfix on this host
 *
 *	... postfix/smtp[12]: 4bVZ3x1DqGz8: to=<joe@elsewhere.example>, ..., status=bounced (...)
 *
 * A log is strangers' text: one line at a time is looked at, and only the queue ids of the history
 * count.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/ctl/ctl.h"
#include "filter/ctl/stolen.h"

#define LINE_MAX_OCTETS	8192
#define ID_MAX		32

/* count_line - count a delivery of one of these messages */
static void
count_line(const json_t *known, const char *line, json_t *domains)
{
	static const char *const states[] = { "sent", "bounced", "deferred" };
	const char *to = strstr(line, ": to=<"), *start = to, *end, *status;
	char id[ID_MAX + 1];

	if (to == NULL)
		return;
	while (start > line && start[-1] != ' ')
		start--;
	if (to == start || to - start > ID_MAX)
		return;
	(void)snprintf(id, sizeof(id), "%.*s", (int)(to - start), start);
	end = strstr(to, ">, ");
	status = end != NULL ? strstr(end, ", status=") : NULL;
	if (status == NULL || json_object_get(known, id) == NULL)
		return;
	to += strlen(": to=<");
	status += strlen(", status=");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strncmp(status, states[i], strlen(states[i])) == 0)
			stolen_bump(stolen_domain(domains, to, (size_t)(end - to)), states[i], 1);
}

bool
stolen_log(const json_t *answer, const char *path, json_t *domains)
{
	FILE *from = fopen(path, "re");
	json_t *known;
	char *line;

	if (from == NULL)
		return false;
	known = stolen_ids(answer);
	line = malloc(LINE_MAX_OCTETS);
	while (line != NULL && fgets(line, LINE_MAX_OCTETS, from) != NULL)
		count_line(known, line, domains);
	free(line);
	json_decref(known);
	(void)fclose(from);
	return true;
}

/*
 * opendmarc.c - OpenDMARC, which stays: countersign evaluates DMARC, by settings of its own
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/adopt/inside.h"
#include "policy/base/mem.h"

/* opendmarc_value - the value of an option, or NULL; cut out of the line */
static const char *
opendmarc_value(char *line, const char *name)
{
	size_t len = strlen(name);

	line[strcspn(line, "#")] = '\0';
	line += strspn(line, " \t");
	if (strncasecmp(line, name, len) != 0 || (line[len] != ' ' && line[len] != '\t'))
		return NULL;
	line += len + strspn(line + len, " \t");
	line[strcspn(line, " \t")] = '\0';
	return line;
}

void
adopt_note_opendmarc(struct adopt *adopt, const char *where, const char *endpoint)
{
	static const char path[] = "/etc/opendmarc.conf";
	char *text = adopt_file(adopt, path), *line;
	const char *what = "";
	bool rejects = false, reports = false;
	int number = 0;

	while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
		const char *value = opendmarc_value(line, "RejectFailures");

		if (value != NULL)
			rejects = value[0] != '\0' && strchr("tTyY1", value[0]) != NULL;
		reports =
		    reports || (value == NULL && opendmarc_value(line, "HistoryFile") != NULL);
	}
	if (rejects || reports)
		what = mem_printf(adopt, " (%s%s%s)", rejects ? "RejectFailures" : "",
		    rejects && reports ? ", " : "", reports ? "HistoryFile" : "");
	adopt_note(adopt,
	    "%s: %s is OpenDMARC's and stays%s. countersign evaluates DMARC itself and refuses "
	    "nothing for it by default: set on_dmarc_fail and reports as they are set there (see "
	    "countersign-inbound(5)), then it may go once mode is enforce",
	    where, endpoint, what);
}

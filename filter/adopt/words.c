/*
 * words.c - words that several sources share: actions of Postfix, numbers
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/adopt/inside.h"

const char *
adopt_action(const char *text)
{
	static const struct {
		const char *word, *action;
	} words[] = {
		{ "defer", "tempfail" },
		{ "421", "tempfail" },
		{ "reject", "reject" },
		{ "discard", "reject" },
		{ "hold", "quarantine" },
		{ "warn", "warn" },
		{ "dunno", "warn" },
		{ "ok", "warn" },
		{ "prepend", "warn" },
		{ "info", "warn" },
	};

	text += strspn(text, " \t");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncasecmp(text, words[i].word, strlen(words[i].word)) == 0 &&
		    text[strlen(words[i].word)] != '(')
			return words[i].action;
	return text[0] == '5' ? "reject" : text[0] == '4' ? "tempfail" : NULL;
}

bool
adopt_number(const char *text, uint64_t max, uint64_t *number_r)
{
	char *end;

	text += strspn(text, " \t");
	if (*text < '0' || *text > '9')
		return false;
	*number_r = strtoull(text, &end, 10);
	end += strspn(end, " \t");
	return *end == '\0' && *number_r <= max;
}

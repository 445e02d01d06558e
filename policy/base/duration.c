/*
 * duration.c - a length of time as people write it
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/base/duration.h"

#define BLANKS	" \t"

/* duration_unit_ms - milliseconds of a unit of time */
long long
duration_unit_ms(const char *word, size_t len)
{
	static const struct { const char *name; long long ms; } units[] = {
		{ "ms", 1 },
		{ "s", 1000 },
		{ "sec", 1000 },
		{ "second", 1000 },
		{ "m", 60000 },
		{ "min", 60000 },
		{ "minute", 60000 },
		{ "h", 3600000 },
		{ "hour", 3600000 },
		{ "d", 86400000 },
		{ "day", 86400000 },
		{ "w", 604800000 },
		{ "week", 604800000 },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t n = strlen(units[i].name);

		if (len >= n && strncasecmp(word, units[i].name, n) == 0 &&
		    (len == n || (n > 2 && len == n + 1 && (word[n] == 's' || word[n] == 'S'))))
			return units[i].ms;
	}
	return 0;
}

/* duration_parse - read "200 ms", "2h", "1.5 hours" */
bool
duration_parse(const char *text, double *ms_r)
{
	size_t digits, len;
	long long unit;
	char *end;
	double value;

	digits = strspn(text, "0123456789.");
	value = strtod(text, &end);
	/* strtod() also takes a sign, "nan", "inf", exponents and hexadecimal numbers */
	if (digits == 0 || digits != (size_t)(end - text))
		return false;
	end += strspn(end, BLANKS);
	len = strcspn(end, BLANKS);
	unit = duration_unit_ms(end, len);
	if (unit == 0 || end[len + strspn(end + len, BLANKS)] != '\0')
		*ms_r = -1;
	else
		*ms_r = value * (double)unit;
	return true;
}

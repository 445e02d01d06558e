/*
 * sendmail_mc.c - a sendmail.mc as the lines that sendmail.cf would have
 *
 * m4 is not run: calls that stand in the file itself are read, with their arguments in quotes.
 * What a DOMAIN or a FEATURE file of the site adds is not seen.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/adopt/sendmail_mc.h"
#include "policy/base/mem.h"

#define ARGUMENTS_MAX 3
#define CALLS_MAX 2000

/* Calls, and the lines that they make. */
static const struct {
	const char *call, *name;
	char kind;
	const char *line;
} calls[] = {
	{ "DAEMON_OPTIONS", NULL, 'O', "DaemonPortOptions" },
	{ "define", "confINPUT_MAIL_FILTERS", 'O', "InputMailFilters" },
	{ "define", "confMUST_QUOTE_CHARS", 'O', "MustQuoteChars" },
	{ "define", "confCONNECTION_RATE_THROTTLE", 'O', "ConnectionRateThrottle" },
	{ "define", "confCONNECTION_RATE_WINDOW_SIZE", 'O', "ConnectionRateWindowSize" },
	{ "define", "confMAX_RCPTS_PER_MESSAGE", 'O', "MaxRecipientsPerMessage" },
	{ "define", "confBAD_RCPT_THROTTLE", 'O', "BadRcptThrottle" },
	{ "define", "confMAX_MESSAGE_SIZE", 'O', "MaxMessageSize" },
	{ "define", "confMAX_DAEMON_CHILDREN", 'O', "MaxDaemonChildren" },
	{ "define", "confAUTH_MECHANISMS", 'O', "AuthMechanisms" },
	{ "define", "confAUTH_REALM", 'O', "AuthRealm" },
	{ "define", "confDOMAIN_NAME", 'D', "j" },
	{ "MASQUERADE_AS", NULL, 'D', "M" },
};

/* mc_argument - the next one, without its quotes; NULL: the call ends. Quotes may be nested. */
static const char *
mc_argument(struct adopt *adopt, const char **at)
{
	const char *from = *at + strspn(*at, " \t\n"), *end;
	int depth = 0;

	for (end = from; *end != '\0' && (depth > 0 || strchr(",)", *end) == NULL); end++)
		depth += *end == '`' ? 1 : *end == '\'' && depth > 0 ? -1 : 0;
	if (*end == '\0' || (end == from && *end == ')'))
		return NULL;
	*at = end + (*end == ',');
	while (end > from && strchr(" \t\n", end[-1]) != NULL)
		end--;
	if (end - from > 1 && from[0] == '`' && end[-1] == '\'')
		return mem_strndup(adopt, from + 1, (size_t)(end - from) - 2);
	return mem_strndup(adopt, from, (size_t)(end - from));
}

/* mc_add_line - a line of sendmail.cf */
static void
mc_add_line(struct sendmail *sendmail, char kind, const char *name, const char *value, int line)
{
	if (sendmail->n == CALLS_MAX)
		return;
	sendmail->lines =
	    mem_grow(sendmail, sendmail->lines, struct sendmail_line, sendmail->n + 1);
	sendmail->lines[sendmail->n++] =
	    (struct sendmail_line){ .kind = kind, .name = name, .value = value, .line = line };
}

/* take_call - a call with its arguments */
static void
take_call(struct sendmail *sendmail, const char *call, size_t len,
    const char *const arguments[ARGUMENTS_MAX], int line)
{
	const char *first = arguments[0] != NULL ? arguments[0] : "";
	const char *second = arguments[1] != NULL ? arguments[1] : "";

	if ((len == 17 && memcmp(call, "INPUT_MAIL_FILTER", len) == 0) ||
	    (len == 11 && memcmp(call, "MAIL_FILTER", len) == 0))
		mc_add_line(sendmail, 'X', first, second, line);
	if (len == 7 && memcmp(call, "FEATURE", len) == 0)
		mc_add_line(sendmail, 'F', first, second, line);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strlen(calls[i].call) == len && memcmp(calls[i].call, call, len) == 0 &&
		    (calls[i].name == NULL || strcmp(calls[i].name, first) == 0))
			mc_add_line(sendmail, calls[i].kind, calls[i].line,
			    calls[i].name == NULL ? first : second, line);
}

/* mc_read_line - the calls of a line, which may go on in the next ones; returns where to go on */
static const char *
mc_read_line(struct adopt *adopt, struct sendmail *sendmail, const char *at, int line)
{
	const char *end = at + strcspn(at, "\n");

	while (at < end) {
		const char *arguments[ARGUMENTS_MAX] = { NULL };
		size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");

		if (len == 3 && memcmp(at, "dnl", 3) == 0)
			return at + strcspn(at, "\n");
		if (len == 0 || at[len] != '(') {
			at += len > 0 ? len : 1;
			continue;
		}
		const char *inside = at + len + 1;

		for (size_t n = 0;
		     n < ARGUMENTS_MAX && (arguments[n] = mc_argument(adopt, &inside)) != NULL;)
			n++;
		take_call(sendmail, at, len, arguments, line);
		at = inside + (*inside == ')');
	}
	return at > end ? at : end;
}

bool
sendmail_mc_is(const char *path)
{
	size_t len = strlen(path);

	return len > 3 && strcmp(path + len - 3, ".mc") == 0;
}

struct sendmail *
sendmail_mc_read(struct adopt *adopt, const char *path)
{
	struct sendmail *sendmail = mem_new(adopt, struct sendmail);
	const char *text = adopt_read_file(adopt, path), *at;
	int line = 1;

	if (text == NULL)
		return NULL;
	sendmail->path = path;
	for (at = text; *at != '\0';) {
		const char *next = mc_read_line(adopt, sendmail, at, line);

		next += *next == '\n';
		for (; at < next; at++)
			line += *at == '\n';
	}
	return sendmail;
}

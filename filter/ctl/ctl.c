/*
 * ctl.c - what the commands of countersignctl share: their options, and the daemon's answer
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filter/config/load.h"
#include "filter/ctl/ctl.h"
#include "policy/base/duration.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define MOST_MS		(1e6 * 86400 * 1000)	/* of a time: a million days */

static bool errors_as_json;	/* there is one thread */

/* ctl_text - a text member, never NULL */
const char *
ctl_text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value != NULL ? value : "";
}

/* ctl_number - a number member */
long long
ctl_number(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

/* ctl_span - milliseconds as a person says them */
void
ctl_span(long long ms, char *buffer, size_t size)
{
	long long s = (ms + 999) / 1000;

	if (ms < 0)
		(void)snprintf(buffer, size, "never");
	else if (s < 120)
		(void)snprintf(buffer, size, "%lld s", s);
	else if (s < 7200)
		(void)snprintf(buffer, size, "%lld min", (s + 59) / 60);
	else if (s <= 48 * 3600)
		(void)snprintf(buffer, size, "%lld h", (s + 3599) / 3600);
	else if (s % 86400 == 0 || s > 14 * 86400)
		(void)snprintf(buffer, size, "%lld days", (s + 86399) / 86400);
	else
		(void)snprintf(buffer, size, "%lld d %lld h", (s + 3599) / 86400,
		    (s + 3599) % 86400 / 3600);
}

/* ctl_time - UNIX time in milliseconds as local time, with its zone */
void
ctl_time(long long ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char text[64] = "?";

	if (localtime_r(&seconds, &tm) != NULL)
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &tm);
	(void)printf("%s", text);
}

/* ctl_safe - strangers' text */
void
ctl_safe(const char *text)
{
	char *copy = mem_strdup(NULL, text);

	text_replace_controls(copy, '?', '\0');
	(void)fputs(copy, stdout);
	talloc_free(copy);
}

/* ctl_clean - the same for all texts of an answer; those of errors may have lines */
void
ctl_clean(json_t *answer)
{
	const char *name;
	json_t *item;
	size_t i;

	json_array_foreach(answer, i, item)
		ctl_clean(item);
	json_object_foreach(answer, name, item) {
		char *copy;
		bool lines;

		ctl_clean(item);
		if (!json_is_string(item) || !text_has_controls(json_string_value(item)))
			continue;
		copy = mem_strdup(NULL, json_string_value(item));
		lines = strcmp(name, "error") == 0 || strcmp(name, "xml") == 0 || strcmp(name, "metrics") == 0;
		text_replace_controls(copy, '?', lines ? '\n' : '\0');
		(void)json_string_set(item, copy);
		talloc_free(copy);
	}
}

/* ctl_count - a whole number from 1 on */
long long
ctl_count(const char *text)
{
	char *end;
	long long value = strtoll(text, &end, 10);

	if (end == text || *end != '\0' || value < 1)
		ctl_wrong("\"%s\" must be a whole number from 1 on", text);
	return value;
}

/* ctl_duration - "2h", "30 min", "4 hours" in milliseconds */
long long
ctl_duration(const char *text)
{
	double ms;

	if (!duration_parse(text, &ms) || ms < 1 || ms > MOST_MS)
		ctl_wrong("\"%s\" is not a time; write a number with its unit, ms, s, min, h, d or "
		    "w, for example "
		    "30m, 2h or \"3 days\"", text);
	return (long long)ms;
}

/* ctl_printable - a text with what is not printable ASCII as "?" */
static char *
ctl_printable(const char *text)
{
	char *copy = mem_strdup(NULL, text);

	for (char *c = copy; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return copy;
}

/* print_error - for people */
static void
print_error(const char *text, const char *usage)
{
	char *copy = mem_strdup(NULL, text);

	text_replace_controls(copy, '?', '\n');
	(void)fprintf(stderr, "countersignctl: %s%s%s\n", copy,
	    usage != NULL ? "; usage: countersignctl " : "", usage != NULL ? usage : "");
	talloc_free(copy);
}

/* print_error_json - as an answer */
static void
print_error_json(const char *text, const char *usage)
{
	char *copy = ctl_printable(text);
	json_t *answer = json_pack("{s:b, s:s}", "ok", 0, "error", text);

	if (answer == NULL)	/* not UTF-8 */
		answer = json_pack("{s:b, s:s}", "ok", 0, "error", copy);
	if (usage != NULL)
		(void)json_object_set_new(answer, "usage", json_string(usage));
	(void)json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	(void)printf("\n");
	json_decref(answer);
	talloc_free(copy);
}

/* ctl_end - print an error as the answer is wanted, and end the program; text is used up */
static void __attribute__((noreturn))
ctl_end(int status, char *text, const char *usage)
{
	(errors_as_json ? print_error_json : print_error)(text, usage);
	talloc_free(text);
	exit(status);
}

void
ctl_errors_as_json(void)
{
	errors_as_json = true;
}

/* ctl_fail - say why and end */
void
ctl_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ctl_end(EXIT_FAILURE, mem_check(talloc_vasprintf(NULL, format, args)), NULL);
}

/* ctl_wrong - the command line is wrong */
void
ctl_wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ctl_end(CTL_USAGE, mem_check(talloc_vasprintf(NULL, format, args)), NULL);
}

/* ctl_set - a text into a request */
void
ctl_set(json_t *request, const char *name, const char *text)
{
	if (json_object_set_new(request, name, json_string(text)) != 0)
		ctl_wrong("\"%s\" is not UTF-8", text);
}

/* ctl_usage - the words of a command */
const char *
ctl_usage(TALLOC_CTX *ctx, const struct ctl_command *command)
{
	char *text = mem_strdup(ctx, command->name);

	if (command->usage != NULL)
		return mem_printf(ctx, "%s %s", command->name, command->usage);
	for (size_t i = 0; command->operands[i] != NULL; i++)
		text = mem_check(talloc_asprintf_append_buffer(text, " %s", command->operands[i]));
	for (const struct ctl_option *option = command->options; option->name != NULL; option++)
		text = mem_check(talloc_asprintf_append_buffer(text, " %s%s%s%s%s",
		    option->times == REQUIRED ? "" : "[", option->name,
		    option->value != NULL ? " " : "", option->value != NULL ? option->value : "",
		    option->times == REQUIRED ? "" : "]"));
	return text;
}

/* ctl_misuse - words that do not fit together */
void
ctl_misuse(const struct ctl *ctl, const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	text = mem_check(talloc_vasprintf(ctl->memory, format, args));
	ctl_end(CTL_USAGE, mem_printf(ctl->memory, "%s %s", ctl->command->name, text),
	    ctl_usage(ctl->memory, ctl->command));
}

/* ctl_option_next - the next value of an option that may be given several times */
const char *
ctl_option_next(const struct ctl *ctl, const char *name, size_t *at)
{
	while (*at < ctl->n_given) {
		const struct ctl_given *given = &ctl->given[(*at)++];

		if (strcmp(given->option->name, name) == 0)
			return given->value != NULL ? given->value : "";
	}
	return NULL;
}

/* ctl_option - the value of an option */
const char *
ctl_option(const struct ctl *ctl, const char *name)
{
	size_t at = 0;

	return ctl_option_next(ctl, name, &at);
}

/* ctl_flag - is the option given? */
bool
ctl_flag(const struct ctl *ctl, const char *name)
{
	return ctl_option(ctl, name) != NULL;
}

/* ctl_config - the configuration */
const struct config *
ctl_config(struct ctl *ctl)
{
	const char *error = NULL;
	const struct config *config = config_load(ctl->memory, ctl->file, &error);

	if (config == NULL)
		ctl_fail("%s", error);
	return config;
}

/* ctl_config_if_any - the configuration, for commands that can do without it */
const struct config *
ctl_config_if_any(struct ctl *ctl, const char *instead)
{
	const char *error = NULL;
	const struct config *config;

	if (access(ctl->file, F_OK) != 0) {
		(void)fprintf(stderr, "countersignctl: %s: %s; %s; name a file with -c FILE\n",
		    ctl->file, strerror(errno), instead);
		return NULL;
	}
	config = config_load(ctl->memory, ctl->file, &error);
	if (config == NULL)
		(void)fprintf(stderr, "%s\ncountersignctl: %s has errors; %s\n", error, ctl->file,
		    instead);
	return config;
}

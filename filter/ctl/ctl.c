/*
 * ctl.c - countersignctl, the operator's tool
 *
 * Reads the command line by the table of commands and runs the command; asks the daemon over
 * its control socket for those that need it. What a command does with its words and its
 * answer is in a file about its subject, see ctl.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <jansson.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filter/config/load.h"
#include "filter/control/control_answer.h"
#include "filter/ctl/commands.h"
#include "filter/ctl/ctl.h"
#include "filter/daemon/daemon.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define DEFAULT_FILE	SYSCONFDIR "/countersign/countersign.conf"

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
	else
		(void)snprintf(buffer, size, "%lld h", (s + 3599) / 3600);
}

/* ctl_time - UNIX time in milliseconds as local time */
void
ctl_time(long long ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char text[32] = "?";

	if (localtime_r(&seconds, &tm) != NULL)
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	(void)printf("%s", text);
}

/* ctl_safe - strangers' text */
void
ctl_safe(const char *text)
{
	for (; *text != '\0'; text++)
		(void)putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

/* ctl_count - a whole number from 1 on */
long long
ctl_count(const char *text)
{
	char *end;
	long long value = strtoll(text, &end, 10);

	if (end == text || *end != '\0' || value < 1)
		ctl_fail("\"%s\" must be a whole number from 1 on", text);
	return value;
}

/* ctl_duration - "2h", "30 min", "4 hours" in milliseconds */
long long
ctl_duration(const char *text)
{
	static const struct { const char *unit; long long ms; } units[] = {
		{ "s", 1000 }, { "sec", 1000 }, { "second", 1000 }, { "seconds", 1000 },
		{ "m", 60000 }, { "min", 60000 }, { "minute", 60000 }, { "minutes", 60000 },
		{ "h", 3600000 }, { "hour", 3600000 }, { "hours", 3600000 },
		{ "d", 86400000 }, { "day", 86400000 }, { "days", 86400000 },
	};
	char *end;
	long long value = strtoll(text, &end, 10);

	end += strspn(end, " ");
	for (size_t i = 0;
	     end != text && value > 0 && value < 1000000 && i < sizeof(units) / sizeof(units[0]);
	     i++)
		if (strcmp(end, units[i].unit) == 0)
			return value * units[i].ms;
	ctl_fail("\"%s\" is no time; write for example 30m, 2h or 3d", text);
}

/* ctl_fail - say why and end */
void
ctl_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)fprintf(stderr, "countersignctl: ");
	(void)vfprintf(stderr, format, args);
	(void)fprintf(stderr, "\n");
	va_end(args);
	exit(EXIT_FAILURE);
}

/* ctl_set - a text into a request */
void
ctl_set(json_t *request, const char *name, const char *text)
{
	if (json_object_set_new(request, name, json_string(text)) != 0)
		ctl_fail("\"%s\" is not UTF-8", text);
}

/* ctl_misuse - words that do not fit together */
void
ctl_misuse(const struct ctl *ctl, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)fprintf(stderr, "countersignctl: %s ", ctl->command->name);
	(void)vfprintf(stderr, format, args);
	(void)fprintf(
	    stderr, "; usage: countersignctl %s\n", commands_usage(ctl->memory, ctl->command));
	va_end(args);
	exit(EXIT_FAILURE);
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

/* user_name - who asks, for the log and for blocks */
static const char *
user_name(struct ctl *ctl)
{
	const struct passwd *entry = getpwuid(getuid());

	return entry != NULL ? mem_strdup(ctl->memory, entry->pw_name) :
	    mem_printf(ctl->memory, "uid %lu", (unsigned long)getuid());
}

/* direct - answer the request here, on the store that the configuration names */
static char *
direct(struct ctl *ctl, const char *request)
{
	static struct daemon daemon;
	const struct asker asker = { true, user_name(ctl) };
	const char *error = NULL;
	struct snapshot *snapshot = snapshot_build_tables(ctl->memory, ctl->file, &error);
	json_t *answer;
	char *dumped;
	char *line;

	if (snapshot == NULL)
		ctl_fail("%s", error);
	if (snapshot->config->store_options.kind != STORE_REDIS)
		ctl_fail(
		    "%s keeps the counters in the daemon; --direct is for store = \"redis:NAME\"",
		    ctl->file);
	(void)signal(SIGPIPE, SIG_IGN);
	/* what is changed is told where the daemon would have told it */
	log_open(true);
	if (daemon_open_store(ctl->memory, &daemon, snapshot, &error) != 0)
		ctl_fail("%s", error);
	answer = control_answer(&daemon, ctl->memory, request, strlen(request), &asker, true);
	dumped = mem_check(json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII));
	line = mem_printf(NULL, "%s\n", dumped);
	free(dumped);
	json_decref(answer);
	daemon_close(&daemon);
	return line;
}

/* show - the answer for the reader; the exit status */
static int
show(const struct ctl *ctl, const char *line, void (*print)(const json_t *))
{
	json_error_t error;
	json_t *answer = json_loads(line, 0, &error);
	bool good = json_is_true(json_object_get(answer, "ok"));

	if (answer == NULL)
		ctl_fail("the answer is no JSON: %s", error.text);
	if (ctl->json)
		(void)printf("%s", line);
	else if (good)
		print(answer);
	else
		(void)fprintf(stderr, "countersignctl: %s\n", ctl_text(answer, "error"));
	json_decref(answer);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ctl_ask - ask the daemon, print its answer */
int
ctl_ask(struct ctl *ctl, json_t *request, void (*print)(const json_t *answer))
{
	char *dumped = mem_check(json_dumps(request, JSON_COMPACT));
	char *answer = ctl->direct ? direct(ctl, dumped) :
	    ctl_talk(ctl, mem_printf(ctl->memory, "%s\n", dumped));
	int status = show(ctl, answer, print);

	talloc_free(answer);
	free(dumped);
	json_decref(request);
	return status;
}

/* fail_option - an option that nothing knows, with the nearest one */
static void __attribute__((noreturn))
fail_option(const struct ctl *ctl, const char *name, size_t len)
{
	const struct ctl_option *lists[] = { ctl_global_options,
		ctl->command != NULL ? ctl->command->options : ctl_global_options };
	char *typed = mem_printf(ctl->memory, "%.*s", (int)len, name);
	const char *near = NULL;
	unsigned int least = 4;

	for (size_t i = 0; i < 2; i++)
		for (const struct ctl_option *option = lists[i]; option->name != NULL; option++)
			if (text_distance(typed, option->name) <= least && len > 2 &&
			    option->name[1] == '-') {
				least = text_distance(typed, option->name);
				near = option->name;
			}
	if (near != NULL && least < 4)
		ctl_fail("%s option %s; did you mean %s?",
		    ctl->command != NULL ? mem_printf(ctl->memory, "%s has no", ctl->command->name)
					 : "there is no",
		    typed, near);
	if (ctl->command != NULL)
		ctl_misuse(ctl, "has no option %s", typed);
	ctl_fail("there is no option %s; countersignctl --help lists them", typed);
}

/* check_value - a value that must be one of some words */
static void
check_value(const struct ctl *ctl, const struct ctl_option *option, const char *value)
{
	struct span rest = text_span(option->words), word;
	const char *near = NULL;
	unsigned int least = 3;

	if (option->words == NULL || strcmp(option->words, "FILE") == 0)
		return;
	while (text_list_next(&rest, &word)) {
		const char *known = mem_printf(ctl->memory, "%.*s", (int)word.len, word.at);

		if (strcmp(known, value) == 0 || strcmp(known, "...") == 0)
			return;
		if (text_distance(known, value) < least) {
			least = text_distance(known, value);
			near = known;
		}
	}
	if (near != NULL)
		ctl_fail("%s %s is not known; did you mean %s?", option->name, value, near);
	ctl_fail("%s %s is not known; known are: %s", option->name, value, option->words);
}

/* print_version - of the program */
static void
print_version(void)
{
	(void)printf("countersignctl " PACKAGE_VERSION "\n");
}

/* What a word of the command line leads to, before any command is run. */
struct wanted {
	bool help;
	const char *completion;
};

/* take_global - an option that every command has; false if this is none */
static bool
take_global(struct ctl *ctl, const struct ctl_option *option, const char *value,
    struct wanted *wanted)
{
	if (strcmp(option->name, "-c") == 0)
		ctl->file = value;
	else if (strcmp(option->name, "-s") == 0)
		ctl->socket = value;
	else if (strcmp(option->name, "--direct") == 0)
		ctl->direct = true;
	else if (strcmp(option->name, "--json") == 0)
		ctl->json = true;
	else if (strcmp(option->name, "--help") == 0)
		wanted->help = true;
	else if (strcmp(option->name, "--completion") == 0)
		wanted->completion = value;
	else if (strcmp(option->name, "--version") == 0) {
		print_version();
		exit(EXIT_SUCCESS);
	} else
		return false;
	return true;
}

/* short_name - the long name of a one-letter option, or the option itself */
static const char *
short_name(const char *word)
{
	static const struct { const char *letter, *name; } letters[] = { { "-d", "--direct" },
		{ "-j", "--json" }, { "-h", "--help" }, { "-V", "--version" } };

	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (strcmp(word, letters[i].letter) == 0)
			return letters[i].name;
	return word;
}

/* take_option - the option that words begin with; returns how many words that is */
static int
take_option(struct ctl *ctl, char **words, struct wanted *wanted)
{
	const char *name = short_name(words[0]);
	bool attached = name[1] != '-' && name[2] != '\0';	/* -cFILE */
	size_t len = attached ? 2 : name[1] != '-' ? strlen(name) : strcspn(name, "=");
	const struct ctl_option *option = commands_option(ctl->command, name, len);
	const char *value = NULL;
	int n = 1;

	if (option == NULL || (attached && option->value == NULL))
		fail_option(ctl, name, strcspn(name, "="));
	if (name[len] != '\0')
		value = name + len + (attached ? 0 : 1);
	if (option->value == NULL && value != NULL)
		ctl_fail("%s takes no value", option->name);
	if (option->value != NULL && value == NULL) {
		value = words[n++];
		if (value == NULL)
			ctl_fail("%s needs a value: %s %s", option->name, option->name,
			    option->value);
	}
	if (value != NULL)
		check_value(ctl, option, value);
	if (take_global(ctl, option, value, wanted))
		return n;
	if (option->times != REPEATED && ctl_flag(ctl, option->name))
		ctl_fail("%s is given twice", option->name);
	ctl->given = mem_grow(ctl->memory, ctl->given, struct ctl_given, ctl->n_given + 1);
	ctl->given[ctl->n_given++] = (struct ctl_given){ option, value };
	return n;
}

/* is_option - does a word begin an option? "-" alone is an operand */
static bool
is_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

/* check_words - are there as many operands as the command takes, and all options that it needs? */
static void
check_words(const struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_command *command = ctl->command;
	int n = 0;

	for (; command->operands[n] != NULL; n++)
		if (n >= argc && command->operands[n][0] != '[')
			ctl_misuse(ctl, "needs %s", command->operands[n]);
	if (argc > n)
		ctl_misuse(ctl, "takes %s; \"%s\" is one word too many%s",
		    n == 0 ? "no words" : n == 1 ? "one word" : "two words", argv[n],
		    n > 1 ? " (quote a value that has spaces)" : "");
	for (const struct ctl_option *option = command->options; option->name != NULL; option++)
		if (option->times == REQUIRED && !ctl_flag(ctl, option->name))
			ctl_misuse(ctl, "needs %s%s%s", option->name,
			    option->value != NULL ? " " : "",
			    option->value != NULL ? option->value : "");
}

/*
 * parse - the command line: options before the command, the command, its words
 * Leaves the operands in argv and returns their number, or -1 if the work is to print a text, which
 * wanted names; then argv holds the words behind the options.
 */
static int
parse(struct ctl *ctl, char **argv, struct wanted *wanted)
{
	char **words = argv + 1;
	int n, argc = 0;

	while (words[0] != NULL && is_option(words[0]) && strcmp(words[0], "--") != 0)
		words += take_option(ctl, words, wanted);
	if (words[0] != NULL && strcmp(words[0], "--") == 0)
		words++;
	ctl->command = commands_find(words, &n);
	if (wanted->completion != NULL || wanted->help || ctl->command == NULL) {
		do
			*argv++ = *words;
		while (*words++ != NULL);
		return -1;
	}
	for (words += n; words[0] != NULL;) {
		if (strcmp(words[0], "--") == 0) {
			for (words++; words[0] != NULL; words++)
				argv[argc++] = words[0];
			break;
		}
		if (is_option(words[0]))
			words += take_option(ctl, words, wanted);
		else
			argv[argc++] = *words++;
	}
	argv[argc] = NULL;
	if (!wanted->help)
		check_words(ctl, argc, argv);
	return argc;
}

/* print_help - of all commands, or of those that the words name */
static int
print_help(const struct ctl *ctl, char **words)
{
	if (words[0] == NULL)
		commands_print_all(stdout);
	else if (!commands_print_named(ctl->memory, stdout, words))
		ctl_fail("%s", commands_unknown(ctl->memory, words));
	return EXIT_SUCCESS;
}

/* run - do what the command line says; the exit status */
static int
run(struct ctl *ctl, char **argv)
{
	struct wanted wanted = { false, NULL };
	int argc = parse(ctl, argv, &wanted);

	if (wanted.completion != NULL)
		return completion_print(stdout, wanted.completion) ? EXIT_SUCCESS : EXIT_FAILURE;
	if (wanted.help && argc < 0)
		return print_help(ctl, argv);
	if (argc < 0)
		ctl_fail("%s", commands_unknown(ctl->memory, argv));
	if (wanted.help) {
		commands_print(ctl->memory, stdout, ctl->command);
		return EXIT_SUCCESS;
	}
	return ctl->command->run(ctl, argv);
}

int
main(int argc, char **argv)
{
	struct ctl ctl = { .memory = mem_check(talloc_new(NULL)), .file = DEFAULT_FILE };
	int status;

	(void)argc;
	status = run(&ctl, argv);
	talloc_free(ctl.memory);
	return status;
}

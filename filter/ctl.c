/*
 * ctl.c - countersignctl, the operator's tool
 *
 * Turns words into one JSON request on the daemon's control socket, and the
 * answer into something to read (or, with --json, leaves it as it is).
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "filter/configuration.h"
#include "filter/unix_socket.h"
#include "policy/mem.h"

#define DEFAULT_FILE	SYSCONFDIR "/countersign/countersign.conf"
#define ANSWER_MAX	(1024 * 1024)	/* octets of an answer */
#define WAIT_S		30		/* for the daemon's answer */
#define BAR		20		/* columns of a full bar */

struct arguments {
	const char *file;
	const char *socket;	/* or NULL: as the configuration says */
	bool json;
};

struct command {
	const char *words[2];	/* the second may be NULL */
	const char *operand;	/* name of the operand in the request, or NULL */
	const char *help;
	void (*print)(const json_t *answer);
};

/* text - a text member, never NULL */
static const char *
text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value != NULL ? value : "";
}

/* number - a number member */
static long long
number(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

/* span_text - milliseconds as a person says them */
static void
span_text(long long ms, char *buffer, size_t size)
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

/* print_limit - one limit: bar, figures, when room returns */
static void
print_limit(const json_t *limit)
{
	double percent = json_number_value(json_object_get(limit, "percent"));
	int full = percent >= 100 ? BAR : (int)(percent * BAR / 100);
	char span[32];

	/* rounded down, as in the log: 100% is said of a full limit only */
	(void)printf("  %-32s %10lld of %-10lld %4lld%%  [%.*s%.*s]", text(limit, "limit"),
	    number(limit, "used"), number(limit, "max"), (long long)percent, full, "####################",
	    BAR - full, "....................");
	if (number(limit, "wait_ms") != 0) {
		span_text(number(limit, "wait_ms"), span, sizeof(span));
		(void)printf("  over; room in %s", span);
	} else if (number(limit, "next_ms") > 0) {
		span_text(number(limit, "next_ms"), span, sizeof(span));
		(void)printf("  less in %s", span);
	}
	(void)printf("\n");
}

static void
print_quota(const json_t *answer)
{
	const json_t *limits = json_object_get(answer, "limits");

	(void)printf("account  %s\n", text(answer, "account"));
	(void)printf("plan     %s\n", text(answer, "plan")[0] != '\0' ? text(answer, "plan") : "none (no limits)");
	if (text(answer, "store")[0] != '\0')
		(void)printf("store    %s\n", text(answer, "store"));
	for (size_t i = 0; i < json_array_size(limits); i++)
		print_limit(json_array_get(limits, i));
}

static void
print_reset(const json_t *answer)
{
	(void)printf("the counters of %s are empty\n", text(answer, "account"));
}

static void
print_reload(const json_t *answer)
{
	(void)answer;
	(void)printf("the new configuration is in force\n");
}

static void
print_status(const json_t *answer)
{
	const json_t *store = json_object_get(answer, "store");

	(void)printf("countersign %s, up %lld s%s\n", text(answer, "version"), number(answer, "uptime_s"),
	    json_is_true(json_object_get(answer, "draining")) ? ", stopping" : "");
	(void)printf("connections %lld, messages in flight %lld\n", number(answer, "sessions"),
	    number(answer, "in_flight"));
	(void)printf("messages: accepted %lld, held %lld, deferred %lld, refused %lld\n",
	    number(answer, "accepted"), number(answer, "held"), number(answer, "deferred"),
	    number(answer, "refused"));
	(void)printf("store %s: charged %lld, refused %lld%s%s%s\n", text(store, "kind"),
	    number(store, "charged"), number(store, "refused"),
	    json_is_true(json_object_get(store, "away")) ? ", AWAY" : "",
	    text(store, "problem")[0] != '\0' ? ": " : "", text(store, "problem"));
}

static const struct command commands[] = {
	{ { "status", NULL }, NULL, "how the daemon is doing", print_status },
	{ { "reload", NULL }, NULL, "read the configuration anew", print_reload },
	{ { "quota", "show" }, "account", "what an account has used of its limits", print_quota },
	{ { "quota", "reset" }, "account", "empty the counters of an account", print_reset },
};

static void
usage(FILE *to)
{
	(void)fprintf(to, "usage: countersignctl [-c FILE | -s SOCKET] [--json] COMMAND\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *command = &commands[i];
		int len = fprintf(to, "  %s%s%s%s", command->words[0], command->words[1] != NULL ? " " : "",
		    command->words[1] != NULL ? command->words[1] : "",
		    command->operand != NULL ? " ACCOUNT" : "");

		(void)fprintf(to, "%*s%s\n", len < 24 ? 24 - len : 1, "", command->help);
	}
	(void)fprintf(to, "  -c FILE    configuration file (default " DEFAULT_FILE ")\n"
	    "  -s SOCKET  control socket, instead of the one the file names\n"
	    "  --json     print the answer as JSON\n");
}

/* fail - say why and end */
static void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)fprintf(stderr, "countersignctl: ");
	(void)vfprintf(stderr, format, args);
	(void)fprintf(stderr, "\n");
	va_end(args);
	exit(EXIT_FAILURE);
}

/* find_command - the command of the words; moves *words behind it */
static const struct command *
find_command(char ***words)
{
	char **word = *words;

	for (size_t i = 0; word[0] != NULL && i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *command = &commands[i];

		if (strcmp(word[0], command->words[0]) != 0 || (command->words[1] != NULL &&
		    (word[1] == NULL || strcmp(word[1], command->words[1]) != 0)))
			continue;
		*words += command->words[1] != NULL ? 2 : 1;
		return command;
	}
	return NULL;
}

/* socket_path - where the daemon listens */
static const char *
socket_path(TALLOC_CTX *ctx, const struct arguments *arguments)
{
	const char *error = NULL;
	const struct config *config;

	if (arguments->socket != NULL)
		return arguments->socket;
	config = config_load(ctx, arguments->file, &error);
	if (config == NULL)
		fail("%s\ncountersignctl: give the socket itself with -s SOCKET", error);
	if (config->control == NULL)
		fail("%s names no control socket; add for example: control = \"/run/countersign/control\"",
		    arguments->file);
	return config->control;
}

/* ask - send one request and read one line of answer */
static char *
ask(const char *path, const char *request)
{
	const struct timeval wait = { .tv_sec = WAIT_S };
	char *answer = mem_array(NULL, char, ANSWER_MAX);
	int fd = unix_socket_connect(path);
	size_t len = 0;
	ssize_t got;

	if (fd < 0)
		fail("no daemon answers on %s: %s", path, strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
		fail("%s: %s", path, strerror(errno));
	while (len < ANSWER_MAX - 1 && (got = recv(fd, answer + len, ANSWER_MAX - 1 - len, 0)) > 0) {
		len += (size_t)got;
		if (answer[len - 1] == '\n')
			break;
	}
	(void)close(fd);
	if (len == 0)
		fail("the daemon on %s gave no answer", path);
	return answer;
}

/* request_text - the request as one line */
static char *
request_text(const struct command *command, const char *operand)
{
	TALLOC_CTX *ctx = NULL;
	char *name = command->words[1] == NULL ? mem_strdup(ctx, command->words[0]) :
	    mem_printf(ctx, "%s %s", command->words[0], command->words[1]);
	json_t *request = json_pack("{s:s}", "command", name);
	char *dumped;
	char *line;

	if (operand != NULL && json_object_set_new(request, command->operand, json_string(operand)) != 0)
		fail("\"%s\" is not UTF-8", operand);
	dumped = mem_check(json_dumps(request, JSON_COMPACT));
	line = mem_printf(ctx, "%s\n", dumped);
	free(dumped);
	json_decref(request);
	talloc_free(name);
	return line;
}

/* show - the answer for the reader; the exit status */
static int
show(const struct command *command, const struct arguments *arguments, const char *line)
{
	json_error_t error;
	json_t *answer = json_loads(line, 0, &error);
	bool good = json_is_true(json_object_get(answer, "ok"));

	if (answer == NULL)
		fail("the answer is no JSON: %s", error.text);
	if (arguments->json)
		(void)printf("%s", line);
	else if (good)
		command->print(answer);
	else
		(void)fprintf(stderr, "countersignctl: %s\n", text(answer, "error"));
	json_decref(answer);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* parse_arguments - options before the command; moves *argv_r behind them */
static struct arguments
parse_arguments(int argc, char **argv, char ***words_r)
{
	static const struct option long_options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct arguments arguments = { .file = DEFAULT_FILE };
	int option;

	while ((option = getopt_long(argc, argv, "c:s:jh", long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			arguments.file = optarg;
			break;
		case 's':
			arguments.socket = optarg;
			break;
		case 'j':
			arguments.json = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			exit(EXIT_FAILURE);
		}
	}
	*words_r = argv + optind;
	return arguments;
}

int
main(int argc, char **argv)
{
	char **words;
	struct arguments arguments = parse_arguments(argc, argv, &words);
	const struct command *command = find_command(&words);
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	char *request;
	char *answer;
	int status;

	if (command == NULL || (command->operand != NULL) != (words[0] != NULL) ||
	    (words[0] != NULL && words[1] != NULL)) {
		usage(stderr);
		return EXIT_FAILURE;
	}
	request = request_text(command, words[0]);
	answer = ask(socket_path(ctx, &arguments), request);
	status = show(command, &arguments, answer);
	talloc_free(request);
	talloc_free(answer);
	talloc_free(ctx);
	return status;
}

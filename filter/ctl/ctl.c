/*
 * ctl.c - countersignctl, the operator's tool
 *
 * Finds the command of the command line in a table and runs it; asks the daemon over its
 * control socket for those that need it. What a command does with its words and its
 * answer is in a file about its subject, see ctl.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "filter/base/unix_socket.h"
#include "filter/config/load.h"
#include "filter/control/control_answer.h"
#include "filter/ctl/ctl.h"
#include "filter/daemon/daemon.h"
#include "policy/base/mem.h"

#define DEFAULT_FILE	SYSCONFDIR "/countersign/countersign.conf"
#define ANSWER_MAX	(64 * 1024 * 1024) /* octets of an answer */
#define CHUNK		65536
#define WAIT_S		30		/* for the daemon's answer */

/* All commands, one row each, sorted by subject. */
static const struct ctl_command commands[] = {
	{ "status", "", "how the daemon is doing", ctl_status },
	{ "reload", "", "read the configuration anew", ctl_reload },
	{ "last", "ACCOUNT [--count N]", "its last messages: what became of them and why",
	    ctl_last },
	{ "why", "QUEUEID", "what became of a message and why", ctl_why },
	{ "hold-queue", "ACCOUNT --print", "the commands that hold what it still has queued",
	    ctl_hold_queue },
	{ "events", "[--count N]", "what happened lately that operators should know", ctl_events },
	{ "quota show", "ACCOUNT", "what an account has used of its limits", ctl_quota_show },
	{ "quota top", "[--by ORDER] [--count N]",
	    "who sends most: by recipients, messages, refused, percent", ctl_quota_top },
	{ "quota set", "ACCOUNT LIMIT --for TIME", "another limit for a while", ctl_quota_set },
	{ "quota unset", "ACCOUNT", "the plan's own limits again", ctl_quota_unset },
	{ "quota reset", "ACCOUNT", "empty the counters of an account", ctl_quota_reset },
	{ "quota suggest", "[--days N] [--percentile P] [--today]",
	    "a plans file from what accounts really send", ctl_quota_suggest },
	{ "plan of", "ACCOUNT", "which plan it has, and where that is said", ctl_plan_of },
	{ "block", "ACCOUNT [--for TIME] [--reason TEXT]", "no mail from an account", ctl_block },
	{ "unblock", "ACCOUNT", "mail from an account again", ctl_unblock },
	{ "blocked", "", "who is blocked", ctl_blocked },
	{ "report", "[--day D] [--domain D] [--top N]", "a day's mail by account and domain",
	    ctl_report },
	{ "table get", "SPEC KEY",
	    "what a table answers; KEY \"-\": keys from standard input, as they are",
	    ctl_table_get },
	{ "table check", "SPEC", "whether a table can be opened and its server answers",
	    ctl_table_check },
	{ "dkim list", "[DOMAIN]", "the private keys, their types and files", ctl_dkim_list },
	{ "dkim check", "[DOMAIN [--selector S] | --all]",
	    "whether DNS bears the public half of each key", ctl_dkim_check },
	{ "dkim genkey", "DOMAIN [--selector S] [--type T] [--directory D]",
	    "a new key and its DNS record; T: rsa2048, rsa4096, ed25519", ctl_dkim_genkey },
	{ "dkim retire", "DOMAIN --selector S [--last]", "no longer sign with a key",
	    ctl_dkim_retire },
	{ "spf check", "--ip A --from B [--helo C] | --own DOMAIN", "explain an SPF check",
	    ctl_spf_check },
};

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

static void
usage(FILE *to)
{
	(void)fprintf(
	    to, "usage: countersignctl [-c FILE | -s SOCKET] [--direct] [--json] COMMAND\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct ctl_command *command = &commands[i];
		int len = fprintf(to, "  %s%s%s", command->name,
		    command->arguments[0] != '\0' ? " " : "", command->arguments);

		(void)fprintf(to, "%*s%s\n", len < 42 ? 42 - len : 1, "", command->help);
	}
	(void)fprintf(to, "  -c FILE    configuration file (default " DEFAULT_FILE ")\n"
	    "  -s SOCKET  control socket, instead of the one the file names\n"
	    "  --direct   work on the Redis that the configuration names, without a daemon\n"
	    "  --json     print the answer as JSON\n");
}

/* words_of - how many words a command line begins with the command's name; 0: it does not */
static int
words_of(const struct ctl_command *command, char **words)
{
	const char *space = strchr(command->name, ' ');
	size_t first = space != NULL ? (size_t)(space - command->name) : strlen(command->name);

	if (words[0] == NULL || strlen(words[0]) != first ||
	    memcmp(words[0], command->name, first) != 0)
		return 0;
	if (space == NULL)
		return 1;
	return words[1] != NULL && strcmp(words[1], space + 1) == 0 ? 2 : 0;
}

/* ctl_set - a text into a request */
void
ctl_set(json_t *request, const char *name, const char *text)
{
	if (json_object_set_new(request, name, json_string(text)) != 0)
		ctl_fail("\"%s\" is not UTF-8", text);
}

/* take_words - take n words from place i out of a command's words */
static void
take_words(int *argc, char **argv, int i, int n)
{
	for (; i + n <= *argc; i++)
		argv[i] = argv[i + n];
	*argc -= n;
}

/* ctl_option - take "NAME VALUE" out of a command's words */
const char *
ctl_option(int *argc, char **argv, const char *name)
{
	for (int i = 0; i < *argc; i++) {
		const char *value = argv[i + 1];

		if (strcmp(argv[i], name) != 0)
			continue;
		if (value == NULL)
			ctl_fail("%s needs a value", name);
		take_words(argc, argv, i, 2);
		return value;
	}
	return NULL;
}

/* ctl_flag - take NAME out of a command's words */
bool
ctl_flag(int *argc, char **argv, const char *name)
{
	for (int i = 0; i < *argc; i++) {
		if (strcmp(argv[i], name) != 0)
			continue;
		take_words(argc, argv, i, 1);
		return true;
	}
	return false;
}

/* find_command - the command of the words; moves *words behind its name */
static const struct ctl_command *
find_command(char ***words)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int n = words_of(&commands[i], *words);

		*words += n;
		if (n > 0)
			return &commands[i];
	}
	return NULL;
}

/* ctl_config - the configuration */
const struct config *
ctl_config(struct ctl *ctl)
{
	const char *error = NULL;
	const struct config *config = config_load(ctl->memory, ctl->file, &error);

	if (config == NULL)
		ctl_fail("%s\ncountersignctl: give the socket itself with -s SOCKET", error);
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

/* socket_path - where the daemon listens */
static const char *
socket_path(struct ctl *ctl)
{
	const struct config *config;

	if (ctl->socket != NULL)
		return ctl->socket;
	config = ctl_config(ctl);
	if (config->control == NULL)
		ctl_fail(
		    "%s names no control socket; add for example: control = \"/run/countersign/control\"",
		    ctl->file);
	return config->control;
}

/* hear - read one line of answer */
static char *
hear(int fd, const char *path)
{
	char *answer = NULL;
	size_t len = 0;
	ssize_t got;

	do {
		answer = mem_grow(NULL, answer, char, len + CHUNK + 1);
		got = recv(fd, answer + len, CHUNK, 0);
		len += got > 0 ? (size_t)got : 0;
	} while (got > 0 && answer[len - 1] != '\n' && len < ANSWER_MAX);
	answer[len] = '\0';
	if (len == 0)
		ctl_fail("the daemon on %s gave no answer", path);
	return answer;
}

/* talk - send one request to the daemon and read the answer */
static char *
talk(const char *path, const char *request)
{
	const struct timeval wait = { .tv_sec = WAIT_S };
	int fd = unix_socket_connect(path);
	char *answer;

	if (fd < 0)
		ctl_fail("no daemon answers on %s: %s", path, strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	/* one that turns us away says why before it reads; its words are heard in any case */
	(void)send(fd, request, strlen(request), MSG_NOSIGNAL);
	answer = hear(fd, path);
	(void)close(fd);
	return answer;
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
	    talk(socket_path(ctl), mem_printf(ctl->memory, "%s\n", dumped));
	int status = show(ctl, answer, print);

	talloc_free(answer);
	free(dumped);
	json_decref(request);
	return status;
}

/* take_json - --json may stand anywhere; takes it out of the words */
static bool
take_json(char **words)
{
	bool found = false;
	char **to = words;

	for (; *words != NULL; words++) {
		if (strcmp(*words, "--json") == 0)
			found = true;
		else
			*to++ = *words;
	}
	*to = NULL;
	return found;
}

/* parse_arguments - options before the command; moves *words_r behind them */
static void
parse_arguments(struct ctl *ctl, int argc, char **argv, char ***words_r)
{
	static const struct option long_options[] = {
		{ "direct", no_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	/* "+": options behind the command are the command's */
	while ((option = getopt_long(argc, argv, "+c:s:djh", long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			ctl->file = optarg;
			break;
		case 's':
			ctl->socket = optarg;
			break;
		case 'd':
			ctl->direct = true;
			break;
		case 'j':
			ctl->json = true;
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
	if (take_json(*words_r))
		ctl->json = true;
}

int
main(int argc, char **argv)
{
	struct ctl ctl = { .memory = mem_check(talloc_new(NULL)), .file = DEFAULT_FILE };
	const struct ctl_command *command;
	char **words;
	int status = CTL_USAGE;
	int n = 0;

	parse_arguments(&ctl, argc, argv, &words);
	command = find_command(&words);
	if (command != NULL) {
		while (words[n] != NULL)
			n++;
		status = command->run(&ctl, n, words);
	}
	if (status == CTL_USAGE) {
		usage(stderr);
		status = EXIT_FAILURE;
	}
	talloc_free(ctl.memory);
	return status;
}

/*
 * ctl_try.c - countersignctl try: what would become of a message, and why
 *
 * The message is tried by the running daemon, or here with the same code (filter/trial). What comes
 * back is JSON in both cases; this prints it.
 *
 * Threads: one, and those of the resolver and the store.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/control/control_try.h"
#include "filter/ctl/ctl.h"
#include "filter/ctl/ctl_try_print.h"
#include "filter/trial/trial.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define BLOCKS_WAIT_MS	1000	/* until Redis has said who is blocked */
#define ANSWER_WAIT_S	180	/* DNS of two runs */
#define READ_SIZE	65536
#define BUSY_TRIES	1200	/* about a minute */

/* --- the message and the request --- */

/* try_read - standard input */
static char *
try_read(struct ctl *ctl, size_t *len_r)
{
	char *text = NULL;
	size_t len = 0, got;

	do {
		text = mem_grow(ctl->memory, text, char, len + READ_SIZE + 1);
		got = fread(text + len, 1, READ_SIZE, stdin);
		len += got;
	} while (got > 0 && len <= TRIAL_TEXT_MAX);
	if (ferror(stdin))
		ctl_fail("the message on standard input cannot be read");
	if (len > TRIAL_TEXT_MAX)
		ctl_fail("the message on standard input is larger than %d MiB",
		    TRIAL_TEXT_MAX >> 20);
	*len_r = len;
	return text;
}

/* try_plain - a message of its own */
static char *
try_plain(struct ctl *ctl)
{
	const char *from = ctl_option(ctl, "--from");
	const char *to = ctl_option(ctl, "--rcpt");
	time_t now = time(NULL);
	char date[64] = "";
	struct tm tm;

	if (gmtime_r(&now, &tm) != NULL)
		(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	if (strcmp(from, "<>") == 0 || from[0] == '\0')
		from = "MAILER-DAEMON@client.example";
	return mem_printf(ctl->memory,
	    "From: %s\nTo: %s\nSubject: try\nDate: %s\nMessage-ID: <try.%lld@client.example>\n\n"
	    "Hello.\n", from, to, date, (long long)now);
}

/* try_text - the message that is tried, with LF line ends */
static char *
try_text(struct ctl *ctl)
{
	const char *error = NULL;
	char *text;
	size_t len;

	if (ctl_flag(ctl, "--plain") || isatty(STDIN_FILENO))
		return try_plain(ctl);
	text = try_read(ctl, &len);
	if (len == 0)
		return try_plain(ctl);
	text = trial_text_read(ctl->memory, text, len, &error);
	if (text == NULL)
		ctl_fail("%s", error);
	return text;
}

/* try_request - the options as a request */
static json_t *
try_request(struct ctl *ctl)
{
	static const char *const texts[] = { "listener", "login", "client", "helo", "from", "mta",
		"daemon" };
	static const char *const flags[] = { "verify", "tls", "print" };
	json_t *request = json_object(), *rcpts = json_array();
	const char *value;
	size_t at = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		value = ctl_option(ctl, mem_printf(ctl->memory, "--%s", texts[i]));
		if (value != NULL)
			ctl_set(request, texts[i], value);
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (ctl_flag(ctl, mem_printf(ctl->memory, "--%s", flags[i])))
			(void)json_object_set_new(request, flags[i], json_true());
	while ((value = ctl_option_next(ctl, "--rcpt", &at)) != NULL)
		if (json_array_append_new(rcpts, json_string(value)) != 0)
			ctl_wrong("\"%s\" is not UTF-8", value);
	(void)json_object_set_new(request, "rcpts", rcpts);
	return request;
}

/* --- by the running daemon --- */

/* try_send - all of it; what is not taken shows in the answer */
static void
try_send(int fd, const char *octets, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, octets, len, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		octets += sent;
		len -= (size_t)sent;
	}
}

/* try_running - what the daemon on the connection answers */
static json_t *
try_running(struct ctl *ctl, int fd, const char *path, const json_t *request, const char *text)
{
	char *dumped = mem_check(json_dumps(request, JSON_COMPACT));
	size_t n_request = strlen(dumped), n_text = strlen(text);
	const char *head = mem_printf(ctl->memory,
	    "{\"command\":\"try\",\"request\":%zu,\"message\":%zu}\n", n_request, n_text);
	json_error_t error;
	json_t *json;
	char *answer;

	if (n_request > TRIAL_REQUEST_MAX)
		ctl_wrong("these are too many recipients for one message");
	try_send(fd, head, strlen(head));
	try_send(fd, dumped, n_request);
	try_send(fd, text, n_text);
	answer = ctl_hear(fd, path, ANSWER_WAIT_S);
	(void)close(fd);
	json = json_loads(answer, 0, &error);
	if (json == NULL)
		ctl_fail("the answer is not JSON: %s", error.text);
	talloc_free(answer);
	free(dumped);
	return json;
}

/* try_patiently - the same; while the daemon is busy with others, again and again */
static json_t *
try_patiently(struct ctl *ctl, int fd, const char *path, const json_t *request, const char *text)
{
	const char *why = NULL;
	json_t *answer = NULL;

	for (int i = 0; i < BUSY_TRIES; i++) {
		json_decref(answer);
		answer = try_running(ctl, fd, path, request, text);
		if (strcmp(ctl_text(answer, "code"), CONTROL_BUSY) != 0)
			break;
		clock_pause(50);
		fd = ctl_connect(ctl, &path, &why);
		if (fd < 0)
			ctl_fail("%s", why);
	}
	return answer;
}

/* same_file - is this the configuration file that is asked about? */
static bool
same_file(const struct ctl *ctl, const char *file)
{
	char *ours = realpath(ctl->file, NULL), *theirs = realpath(file, NULL);
	bool same = ours != NULL && theirs != NULL && strcmp(ours, theirs) == 0;

	free(ours);
	free(theirs);
	return same;
}

/* --- here --- */

/* try_await_blocks - until the store's thread has read who is blocked */
static void
try_await_blocks(struct ctl *ctl, struct daemon *daemon)
{
	struct store_block *list = NULL;
	size_t n = 0;

	for (int i = 0; daemon->current->config->store_options.kind == STORE_REDIS && n == 0 &&
	     i < BLOCKS_WAIT_MS / 20; i++) {
		clock_pause(20);
		store_blocked(daemon->store, ctl->memory, &list, &n);
	}
}

/* try_direct - what this process finds, by the configuration file as it is now */
static json_t *
try_direct(struct ctl *ctl, const json_t *request, const char *text)
{
	static struct daemon daemon; /* the resolver's threads may outlive the command */
	const char *warnings = NULL, *error = NULL;
	struct snapshot *first = snapshot_build(ctl->memory, ctl->file, NULL, &warnings, &error);

	if (first == NULL)
		ctl_fail("%s", error);
	daemon.file = ctl->file;
	if (daemon_open_dry(ctl->memory, &daemon, first, &error) != 0)
		ctl_fail("%s", error);
	try_await_blocks(ctl, &daemon);
	return trial_answer(&daemon, ctl->memory, request, text);
}

/* try_note - say in the answer how it was found; why may be NULL */
static json_t *
try_note(json_t *answer, const char *used, const char *file, const char *why)
{
	(void)json_object_set_new(answer, "used", json_string(used));
	(void)json_object_set_new(answer, "file", json_string(file));
	(void)json_object_set_new(answer, "why", why != NULL ? json_string(why) : json_null());
	return answer;
}

/*
 * try_answer - by the daemon if one runs on this configuration, else here
 * Another configuration file than the daemon's is one that the operator is writing.
 */
static json_t *
try_answer(struct ctl *ctl, const json_t *request, const char *text)
{
	bool wanted = ctl_flag(ctl, "--running");
	const char *path, *why = NULL, *file;
	json_t *answer;
	int fd;

	if (ctl->direct)
		return try_note(try_direct(ctl, request, text), "direct", ctl->file, NULL);
	fd = ctl_connect(ctl, &path, &why);
	if (fd < 0 && wanted)
		ctl_fail("%s", why);
	if (fd >= 0) {
		answer = try_patiently(ctl, fd, path, request, text);
		file = ctl_text(answer, "file");
		if (wanted || ctl->socket != NULL || file[0] == '\0' || same_file(ctl, file))
			return try_note(answer, "running",
			    mem_strdup(ctl->memory, file), mem_strdup(ctl->memory, path));
		why = mem_printf(ctl->memory, "the daemon on %s runs with %s", path, file);
		json_decref(answer);
	}
	return try_note(try_direct(ctl, request, text), "direct", ctl->file, why);
}

/* --- the command --- */

/* try_result - the message as it would go on, line ends LF; NULL: its header is too large */
static const char *
try_result(struct ctl *ctl, const json_t *answer, const char *text)
{
	const char *coded = ctl_text(answer, "header"), *body = trial_text_body(text);
	size_t len = strlen(coded), padding = 0;
	char *header = mem_array(ctl->memory, char, 3 * (len / 4) + 1);
	int n = EVP_DecodeBlock((unsigned char *)header, (const unsigned char *)coded, (int)len);

	while (padding < 2 && padding < len && coded[len - 1 - padding] == '=')
		padding++;
	if (n < (int)padding || len == 0)
		return NULL;
	header[(size_t)n - padding] = '\0';
	return mem_printf(ctl->memory, "%s\n%s%s", header, body,
	    body[0] == '\0' || body[strlen(body) - 1] == '\n' ? "" : "\n");
}

/* try_status - exit status by action */
static int
try_status(const char *verdict)
{
	static const struct { const char *verdict; int status; } statuses[] = {
		{ "accept", 0 }, { "warn", 0 }, { "quarantine", 3 }, { "tempfail", 4 },
		{ "reject", 5 },
	};

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (strcmp(statuses[i].verdict, verdict) == 0)
			return statuses[i].status;
	return EXIT_FAILURE;
}

/* try_show - the answer as it is wanted */
static void
try_show(struct ctl *ctl, json_t *answer, const char *text)
{
	const char *reply = json_string_value(json_object_get(answer, "reply"));
	const char *result;

	if (!json_is_true(json_object_get(answer, "ok")))
		ctl_fail("%s", ctl_text(answer, "error"));
	result = reply == NULL && ctl_flag(ctl, "--print") ? try_result(ctl, answer, text) : NULL;
	if (ctl->json) {
		if (result != NULL)	/* what is not UTF-8 is not put in */
			(void)json_object_set_new(answer, "message", json_string(result));
		(void)json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		(void)printf("\n");
	} else if (!ctl_flag(ctl, "--print"))
		ctl_try_print(answer);
	else if (result != NULL)
		(void)fputs(result, stdout);
	else if (reply != NULL)
		(void)fprintf(stderr, "%s\n", reply);
	else
		ctl_fail("the header is too large to be printed");
	(void)fflush(stdout);
}

/* ctl_try - show what would become of a message */
int
ctl_try(struct ctl *ctl, char **operands)
{
	json_t *request, *answer;
	const char *text;

	(void)operands;
	if (ctl_option(ctl, "--rcpt") == NULL)
		ctl_misuse(ctl, "needs --rcpt ADDRESS");
	if (ctl->direct && ctl_flag(ctl, "--running"))
		ctl_misuse(ctl, "takes --running or --direct");
	(void)signal(SIGPIPE, SIG_IGN);
	request = try_request(ctl);
	text = try_text(ctl);
	answer = try_answer(ctl, request, text);
	try_show(ctl, answer, text);
	/* the threads of the resolver and the store go with the process */
	_exit(try_status(ctl_text(answer, "verdict")));
}

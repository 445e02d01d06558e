/*
 * options.c - the command line of the load generator
 *
 * One row per option; numbers have a range, so that a slip of the finger is
 * told and not measured.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "policy/base/mem.h"
#include "tests/bench/options.h"

static const char usage[] =
    "Usage: load [OPTION...] SOCKET\n"
    "Speaks the milter protocol to the filter at SOCKET (inet:HOST:PORT or unix:PATH) as Postfix does,\n"
    "and prints what it measured as one line of JSON. The status is 0 when every message got its answer.\n"
    "\n"
    "  --connections N       connections at once (8)\n"
    "  --per-connection N    messages on each before it is opened again (10)\n"
    "  --idle N              further connections that send nothing (0)\n"
    "  --messages N          messages measured (2000)\n"
    "  --warmup N            messages before them (200)\n"
    "  --rate N              messages a second; 0: as fast as answers come (0)\n"
    "  --recipients N        of each message (1)\n"
    "  --fields N            header fields of each message (18)\n"
    "  --body N              octets of body (4096)\n"
    "  --letter FILE         send this message instead\n"
    "  --users N             senders (1: alice@example.org; more: u0, u1, ...)\n"
    "  --domains N           of the senders (1: example.org; more: d0.example, d1.example, ...)\n"
    "  --role ROLE           submission, inbound or local (submission)\n"
    "  --macros HOW          each: a packet before every command, as Postfix; few: as Sendmail (each)\n"
    "  --answer LETTER       what every message must be answered: c continue, r reject, t tempfail, y reply code;\n"
    "                        any: do not look (c)\n"
    "  --expect TEXT         a header edit of every message must hold TEXT\n"
    "  --pid PID             process of the filter, to measure it and its children\n"
    "  --also NAME=PID       another process to measure; may be repeated\n"
    "  --stall SECONDS       give up after so long without an answer (30)\n"
    "  --name NAME           what the run is called in the report\n"
    "  --print-letter        write the message to standard output, and end\n";

/* fail - tell a mistake and end */
static void __attribute__((noreturn))
fail(const char *what, const char *value)
{
	fprintf(stderr, "load: %s: %s\n", what, value);
	exit(2);
}

/* number - a number within a range */
static size_t
number(const char *option, const char *text, size_t least, size_t most)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value < least ||
	    value > most) {
		fprintf(stderr, "load: --%s %s: write a whole number from %zu to %zu\n", option,
		    text, least, most);
		exit(2);
	}
	return (size_t)value;
}

/* choice - one of some words; its place in the list */
static int
choice(const char *option, const char *text, const char *const *words)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	fprintf(stderr, "load: --%s %s: not one of", option, text);
	for (int i = 0; words[i] != NULL; i++)
		fprintf(stderr, " %s", words[i]);
	fputc('\n', stderr);
	exit(2);
}

/* read_unix - the address of a unix socket */
static void
read_unix(const char *path, struct mta_traffic *traffic)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(name.sun_path))
		fail("the path of the socket is too long", path);
	memcpy(name.sun_path, path, strlen(path) + 1);
	memcpy(&traffic->address, &name, sizeof(name));
	traffic->address_len = sizeof(name);
}

/* read_socket - where the filter is */
static void
read_socket(const char *text, struct mta_traffic *traffic)
{
	struct sockaddr_in name = { .sin_family = AF_INET };
	const char *colon = strrchr(text, ':');
	char host[64];

	if (strncmp(text, "unix:", 5) == 0) {
		read_unix(text + 5, traffic);
		return;
	}
	if (strncmp(text, "inet:", 5) != 0 || colon < text + 6 ||
	    (size_t)(colon - text) - 5 >= sizeof(host))
		fail("write inet:HOST:PORT or unix:PATH", text);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text - 5), text + 5);
	name.sin_port = htons((uint16_t)number("port", colon + 1, 1, 65535));
	if (inet_pton(AF_INET, host, &name.sin_addr) != 1)
		fail("not an IPv4 address", host);
	memcpy(&traffic->address, &name, sizeof(name));
	traffic->address_len = sizeof(name);
}

/* Options by the letter that getopt_long() gives. */
enum option_key {
	OPT_CONNECTIONS = 256,
	OPT_PER_CONNECTION,
	OPT_IDLE,
	OPT_MESSAGES,
	OPT_WARMUP,
	OPT_RATE,
	OPT_RECIPIENTS,
	OPT_FIELDS,
	OPT_BODY,
	OPT_LETTER,
	OPT_USERS,
	OPT_DOMAINS,
	OPT_ROLE,
	OPT_MACROS,
	OPT_ANSWER,
	OPT_EXPECT,
	OPT_PID,
	OPT_ALSO,
	OPT_STALL,
	OPT_NAME,
	OPT_PRINT_LETTER,
	OPT_HELP
};

static const struct option table[] = {
	{ "also", required_argument, NULL, OPT_ALSO },
	{ "answer", required_argument, NULL, OPT_ANSWER },
	{ "body", required_argument, NULL, OPT_BODY },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "domains", required_argument, NULL, OPT_DOMAINS },
	{ "expect", required_argument, NULL, OPT_EXPECT },
	{ "fields", required_argument, NULL, OPT_FIELDS },
	{ "fields", required_argument, NULL, OPT_FIELDS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "idle", required_argument, NULL, OPT_IDLE },
	{ "letter", required_argument, NULL, OPT_LETTER },
	{ "macros", required_argument, NULL, OPT_MACROS },
	{ "messages", required_argument, NULL, OPT_MESSAGES },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "per-connection", required_argument, NULL, OPT_PER_CONNECTION },
	{ "pid", required_argument, NULL, OPT_PID },
	{ "print-letter", no_argument, NULL, OPT_PRINT_LETTER },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "recipients", required_argument, NULL, OPT_RECIPIENTS },
	{ "role", required_argument, NULL, OPT_ROLE },
	{ "stall", required_argument, NULL, OPT_STALL },
	{ "users", required_argument, NULL, OPT_USERS },
	{ "warmup", required_argument, NULL, OPT_WARMUP },
	{ NULL, 0, NULL, 0 },
};

/* What the letter is made of, until all options are known. */
struct letter_options {
	size_t fields;
	size_t body;
	const char *file;	/* or NULL */
	bool print;
};

/* add_also - another process */
static void
add_also(struct options *options, const char *text)
{
	const char *equals = strchr(text, '=');

	if (equals == NULL || options->n_also == OPTIONS_ALSO_MAX)
		fail("--also: write NAME=PID, at most 8 times", text);
	options->also[options->n_also].name = mem_strndup(NULL, text, (size_t)(equals - text));
	options->also[options->n_also++].pid = (pid_t)number("also", equals + 1, 1, 1u << 30);
}

/* read_words - options that are not numbers; false if key is none */
static bool
read_words(struct options *options, struct letter_options *letter, int key)
{
	static const char *const roles[] = { "submission", "inbound", "local", NULL };
	static const char *const manners[] = { "few", "each", NULL };
	static const char *const answers[] = { "any", "c", "r", "t", "y", NULL };

	switch (key) {
	case OPT_LETTER:
		letter->file = optarg;
		return true;
	case OPT_PRINT_LETTER:
		letter->print = true;
		return true;
	case OPT_ROLE:
		options->traffic.role = (enum mta_role)choice("role", optarg, roles);
		return true;
	case OPT_MACROS:
		options->traffic.macros_each = choice("macros", optarg, manners) == 1;
		return true;
	case OPT_ANSWER:
		options->answer = choice("answer", optarg, answers) == 0 ? '\0' : optarg[0];
		return true;
	case OPT_EXPECT:
		options->traffic.expected = optarg;
		return true;
	case OPT_ALSO:
		add_also(options, optarg);
		return true;
	case OPT_NAME:
		options->name = optarg;
		return true;
	default:
		return false;
	}
}

/* An option that is a number: its range and where it goes. */
struct number_row {
	int key;
	size_t least, most;
	size_t *to;
};

/* read_numbers - the others */
static bool
read_numbers(struct options *options, struct letter_options *letter, int key, const char *name)
{
	size_t rate = 0, pid = 0;
	const struct number_row rows[] = {
		{ OPT_CONNECTIONS, 1, 100000, &options->connections },
		{ OPT_PER_CONNECTION, 1, SIZE_MAX / 2, &options->per_connection },
		{ OPT_IDLE, 0, 100000, &options->idle },
		{ OPT_MESSAGES, 1, 100000000, &options->messages },
		{ OPT_WARMUP, 0, 100000000, &options->warmup },
		{ OPT_RATE, 0, 10000000, &rate },
		{ OPT_RECIPIENTS, 1, 100000, &options->traffic.recipients },
		{ OPT_FIELDS, 1, 100000, &letter->fields },
		{ OPT_BODY, 0, 1u << 30, &letter->body },
		{ OPT_USERS, 1, 1u << 30, &options->traffic.users },
		{ OPT_DOMAINS, 1, 1u << 30, &options->traffic.domains },
		{ OPT_PID, 1, 1u << 30, &pid },
		{ OPT_STALL, 1, 3600, &options->stall_s },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].key != key)
			continue;
		*rows[i].to = number(name, optarg, rows[i].least, rows[i].most);
		if (key == OPT_RATE)
			options->rate = (double)rate;
		if (key == OPT_PID)
			options->pid = (pid_t)pid;
		return true;
	}
	return false;
}

/* make_letter - the message of the run; --print-letter ends here */
static void
make_letter(TALLOC_CTX *ctx, struct options *options, const struct letter_options *letter)
{
	const char *error = NULL;
	char from[129] = " ";

	options->traffic.letter = letter->file != NULL ? letter_read(ctx, letter->file, &error) :
	    letter_make(ctx, letter->fields, letter->body);
	if (options->traffic.letter == NULL)
		fail("the letter cannot be read", error);
	if (!letter->print)
		return;
	mta_sender(&options->traffic, 0, from + 1, sizeof(from) - 1);
	letter_print(options->traffic.letter, from, stdout);
	exit(0);
}

void
options_read(TALLOC_CTX *ctx, int argc, char **argv, struct options *options_r)
{
	struct letter_options letter = { .fields = 18, .body = 4096 };
	int key, index = 0;

	*options_r = (struct options){ .name = "run",
		.connections = 8,
		.per_connection = 10,
		.messages = 2000,
		.warmup = 200,
		.answer = 'c',
		.stall_s = 30,
		.traffic = { .recipients = 1, .users = 1, .domains = 1, .macros_each = true } };
	while ((key = getopt_long(argc, argv, "", table, &index)) != -1) {
		if (key == OPT_HELP) {
			fputs(usage, stdout);
			exit(0);
		}
		if (key == '?' || (!read_words(options_r, &letter, key) &&
		    !read_numbers(options_r, &letter, key, table[index].name)))
			exit(2);
	}
	if (options_r->traffic.domains > options_r->traffic.users)
		options_r->traffic.users = options_r->traffic.domains;
	make_letter(ctx, options_r, &letter);
	if (optind != argc - 1)
		fail("one socket is needed", "see --help");
	read_socket(argv[optind], &options_r->traffic);
}

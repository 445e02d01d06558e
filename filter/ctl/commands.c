/*
 * commands.c - the table of commands, and its texts
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/ctl/commands.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define NO_OPTIONS	{ { .name = NULL } }

#define DEFAULT_FILE	SYSCONFDIR "/countersign/countersign.conf"
#define NAME_COLUMN	20	/* where the help of a command begins */

/* Options that several commands have. */
#define COUNT(what) \
	{ "--count", "N", what, NULL, OPTIONAL }
#define FOR(what, times) \
	{ "--for", "TIME", what, "30min 1h 2h 1d ...", times }
#define SELECTOR(what, times) \
	{ "--selector", "NAME", what, NULL, times }

const struct ctl_option ctl_global_options[] = {
	{ "-c", "FILE", "configuration file", "FILE", OPTIONAL },
	{ "-s", "SOCKET", "control socket, instead of the one in the file", "FILE", OPTIONAL },
	{ "--direct", NULL, "use the Redis of the configuration, without a daemon", NULL,
	    OPTIONAL },
	{ "--json", NULL, "print the answer as JSON", NULL, OPTIONAL },
	{ "--help", NULL, "show the commands, or the arguments of one", NULL, OPTIONAL },
	{ "--version", NULL, "print the version", NULL, OPTIONAL },
	{ "--completion", "SHELL", "print the completion for a shell", "bash zsh fish", OPTIONAL },
	{ .name = NULL },
};

const struct ctl_command ctl_commands[] = {
	{ "status", { NULL }, NO_OPTIONS, "show the state of the daemon", NULL, ctl_status },
	{ "metrics", { NULL },
	    { { "--openmetrics", NULL, "OpenMetrics 1.0, not Prometheus' own format", NULL,
	      OPTIONAL } },
	    "print figures for Prometheus", NULL, ctl_metrics },
	{ "reload", { NULL }, NO_OPTIONS, "read the configuration again", NULL, ctl_reload },
	{ "last", { "ACCOUNT" }, { COUNT("number of messages, 1 to 100 (default 10)") },
	    "show the last messages of an account", NULL, ctl_last },
	{ "hours", { "ACCOUNT" }, { { "--days", "N", "days, 1 to 14 (default 1)", NULL, OPTIONAL } },
	    "show mail of an account, sent and refused, by hour", NULL, ctl_hours },
	{ "why", { "QUEUEID" }, NO_OPTIONS, "show the decisions about a message", NULL, ctl_why },
	{ "hold-queue", { "ACCOUNT" },
	    { { "--print", NULL, "print the commands; nothing is run", NULL, REQUIRED } },
	    "print the commands that hold what an account has queued", NULL, ctl_hold_queue },
	{ "stolen", { "ACCOUNT" },
	    { { "--log", "PATH", "a mail log of this host (default: /var/log/mail.log)", "FILE",
		  REPEATED },
		{ "--pull", NULL, "put on hold what it has queued on this host", NULL,
		  OPTIONAL } },
	    "show a theft on one page, and the commands in order", NULL, ctl_stolen },
	{ "login-failed", { "ACCOUNT", "ADDRESS" }, NO_OPTIONS,
	    "count a wrong password, for failed-logins of block_on", NULL, ctl_login_failed },
	{ "events", { NULL }, { COUNT("number of events (default 20)") },
	    "show the last events that operators should know", NULL, ctl_events },
	{ "quota show", { "OWNER" }, NO_OPTIONS, "show what is used of limits", NULL,
	    ctl_quota_show },
	{ "quota top", { "[OWNER]" },
	    { { "--by", "ORDER", "recipients (default), messages, refused or percent",
		  "recipients messages refused percent", OPTIONAL },
		COUNT("number of accounts (default 10)") },
	    "show the accounts that send most today", NULL, ctl_quota_top },
	{ "quota set", { "OWNER", "LIMIT" },
	    { FOR("how long it applies, for example 2h", REQUIRED) },
	    "replace a limit for a while", NULL, ctl_quota_set },
	{ "quota unset", { "OWNER" }, NO_OPTIONS, "restore the limits set by the plan", NULL,
	    ctl_quota_unset },
	{ "quota reset", { "OWNER" }, NO_OPTIONS, "empty the counters of an owner", NULL,
	    ctl_quota_reset },
	{ "quota suggest", { NULL },
	    { { "--days", "N", "whole days to look at, 1 to 30 (default 14)", NULL, OPTIONAL },
		{ "--percentile", "P", "share of days and accounts to fit (default 95)", NULL,
		  OPTIONAL },
		{ "--today", NULL, "take today as the last day", NULL, OPTIONAL } },
	    "propose a plans file from what accounts send", NULL, ctl_quota_suggest },
	{ "plan of", { "OWNER" }, NO_OPTIONS,
	    "show a plan and what selects it", NULL, ctl_plan_of },
	{ "block", { "ACCOUNT" },
	    { FOR("how long (default: until it is unblocked)", OPTIONAL),
		{ "--reason", "TEXT", "a note for operators", NULL, OPTIONAL } },
	    "refuse all mail from an account", NULL, ctl_block },
	{ "unblock", { "ACCOUNT" }, NO_OPTIONS, "allow mail from a blocked account again", NULL,
	    ctl_unblock },
	{ "blocked", { NULL }, NO_OPTIONS, "list the blocked accounts", NULL, ctl_blocked },
	{ "rates", { NULL },
	    { { "--hours", "N", "hours, 1 to 336 (default 1)", NULL, OPTIONAL },
		{ "--host", "NAME", "the filter of this host only", NULL, OPTIONAL } },
	    "show the decisions by time and filter", NULL, ctl_rates },
	{ "report", { NULL },
	    { { "--day", "DAY", "today (default), yesterday, 2026-11-22, or the last 7d",
		  "today yesterday 7d 31d ...", OPTIONAL },
		{ "--from", "DAY", "the first day, instead of --day", "yesterday ...",
		  OPTIONAL },
		{ "--to", "DAY", "the last day (default: today)", "today yesterday ...",
		  OPTIONAL },
		{ "--domain", "DOMAIN", "accounts of this domain only", NULL, OPTIONAL },
		{ "--top", "N", "number of lines, 1 to 1000 (default 20)", NULL, OPTIONAL } },
	    "show the mail of some days by account and domain", NULL, ctl_report },
	{ "table get", { "SPEC", "KEY" }, NO_OPTIONS,
	    "show the answer of a lookup table", NULL, ctl_table_get },
	{ "table check", { "SPEC" }, NO_OPTIONS,
	    "check that a lookup table can be opened and answers", NULL, ctl_table_check },
	{ "dkim list", { "[DOMAIN]" }, NO_OPTIONS, "list the private keys", NULL,
	    ctl_dkim_list },
	{ "dkim check", { "[DOMAIN]" },
	    { SELECTOR("this key of the domain only", OPTIONAL),
		{ "--all", NULL, "all keys, as without a domain", NULL, OPTIONAL } },
	    "compare each private key with its DNS record", "[DOMAIN [--selector NAME] | --all]",
	    ctl_dkim_check },
	{ "dkim genkey", { "DOMAIN" },
	    { SELECTOR("name of the key (default: r or e and the date)", OPTIONAL),
		{ "--type", "TYPE", "rsa2048 (default), rsa4096 or ed25519",
		  "rsa2048 rsa4096 ed25519", OPTIONAL },
		{ "--directory", "PATH", "directory of keys, instead of the configured one",
		  "FILE", OPTIONAL } },
	    "make a key and print its DNS record", NULL, ctl_dkim_genkey },
	{ "dkim retire", { "DOMAIN" },
	    { SELECTOR("the key", REQUIRED),
		{ "--last", NULL, "even if it is the last key of the domain", NULL, OPTIONAL } },
	    "stop signing with a key", NULL, ctl_dkim_retire },
	{ "dmarc check", { "[DOMAIN]" },
	    { { "--own", NULL, "our domains: are they ready for p=reject?", NULL, OPTIONAL } },
	    "explain the DMARC record of a domain and its addresses", "DOMAIN | --own",
	    ctl_dmarc_check },
	{ "dmarc report", { NULL },
	    { { "--day", "DAY", "yesterday (default), today, or 2026-11-22",
		  "today yesterday ...", OPTIONAL },
		{ "--domain", "DOMAIN", "the report to this domain only", NULL, OPTIONAL },
		{ "--print", NULL, "print the reports (XML)", NULL, OPTIONAL },
		{ "--send", NULL, "send the unsent reports now, also failed ones", NULL,
		    OPTIONAL } },
	    "show the aggregate reports of a day and their state", NULL, ctl_dmarc_report },
	{ "spf check", { NULL },
	    { { "--ip", "ADDRESS", "address of the client", NULL, REPEATED },
		{ "--from", "SENDER", "envelope sender; <> is the null sender", NULL, OPTIONAL },
		{ "--helo", "NAME", "name in HELO", NULL, OPTIONAL },
		{ "--own", "DOMAIN", "check mail of this domain from this host", NULL, OPTIONAL } },
	    "explain an SPF check",
	    "--ip ADDRESS --from SENDER [--helo NAME] | --own DOMAIN [--ip ADDRESS]...",
	    ctl_spf_check },
	{ "adopt", { "[FILE]", "[FILE]", "[FILE]" },
	    { { "--output", "DIR", "directory for the files", "FILE", REQUIRED },
		{ "--postfix-config", "PATH", "directory of main.cf", "FILE", OPTIONAL },
		{ "--sendmail-cf", "PATH", "sendmail.cf, instead of Postfix", "FILE", OPTIONAL },
		{ "--opendkim", "PATH", "opendkim.conf", "FILE", OPTIONAL },
		{ "--from", "KIND", "read limits: policyd, postfwd ...; or KIND:FILE",
		  "policyd policyd-rate-limit postfwd rspamd ...", REPEATED },
		{ "--force", NULL, "overwrite files that were changed", NULL, OPTIONAL } },
	    "write a configuration from what runs on this host",
	    "--output DIR [--postfix-config DIR | --sendmail-cf FILE] [--opendkim FILE] "
	    "[--from KIND [FILE]]... [--force]",
	    ctl_adopt },
	{ "doctor", { NULL },
	    { { "--postfix-config", "PATH", "directory of main.cf", "FILE", OPTIONAL },
		{ "--sendmail-cf", "PATH", "sendmail.cf, instead of Postfix", "FILE", OPTIONAL },
		{ "--ip", "ADDRESS", "address that others see (behind NAT)", NULL, REPEATED },
		{ "--only", "ID", "this check only, such as spf.missing", NULL, REPEATED },
		{ "--skip", "ID", "all checks but this one", NULL, REPEATED } },
	    "find what is wrong with this site, and the cure", NULL, ctl_doctor },
	{ "try", { NULL },
	    { { "--running", NULL, "use the running daemon, or fail", NULL, OPTIONAL },
		{ "--listener", "NAME", "listener that the message comes to", NULL, OPTIONAL },
		{ "--verify", NULL, "as from outside, to a listener of role inbound", NULL,
		  OPTIONAL },
		{ "--daemon", "NAME", "daemon name of the connection", NULL, OPTIONAL },
		{ "--mta", "MTA", "MTA to imitate (default: by the listener)",
		  "postfix pickup sendmail", OPTIONAL },
		{ "--login", "LOGIN", "SASL login (default: none)", NULL, OPTIONAL },
		{ "--client", "ADDRESS", "address of the client", NULL, OPTIONAL },
		{ "--helo", "NAME", "name in HELO (default client.example)", NULL, OPTIONAL },
		{ "--tls", NULL, "the connection is encrypted", NULL, OPTIONAL },
		{ "--from", "SENDER", "envelope sender; <> is the null sender", NULL, REQUIRED },
		{ "--rcpt", "ADDRESS", "envelope recipient", NULL, REPEATED },
		{ "--plain", NULL, "take a made-up message, not standard input", NULL, OPTIONAL },
		{ "--print", NULL, "print the message as it would go on", NULL, OPTIONAL } },
	    "show what would become of a message; change nothing",
	    "[--running | --direct] [--listener NAME | --verify] [--login LOGIN] [--client ADDRESS] "
	    "[--helo NAME] [--tls] [--daemon NAME] [--mta MTA] --from SENDER --rcpt ADDRESS... [--plain] [--print] "
	    "[<MESSAGE]", ctl_try },
	{ "help", { "[TASK]" }, NO_OPTIONS, "list tasks with the page, options and commands for each",
	    NULL, ctl_help },
	{ .name = NULL },
};

/* operand_help - what an operand is; "" if there is no note */
static const char *
operand_help(const char *operand)
{
	static const struct { const char *name, *help; } notes[] = {
		{ "ACCOUNT", "a login or address; without a domain, the realm is added" },
		{ "OWNER", "an account, @DOMAIN, pool:NAME or network:ADDRESS" },
		{ "LIMIT", "for example \"500 recipients per hour\"" },
		{ "QUEUEID", "the queue id of the MTA" },
		{ "SPEC", "a table as in the configuration, type:path" },
		{ "KEY", "what to look up; - reads keys from standard input" },
		{ "DOMAIN", "the signing domain" },
		{ "ADDRESS", "the address of the client" },
		{ "TASK", "a word, such as stolen, backup or dmarc" },
		{ "FILE", "the file of --from, in the same order" },
	};

	operand += operand[0] == '[';
	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
		if (strncmp(operand, notes[i].name, strlen(notes[i].name)) == 0)
			return notes[i].help;
	return "";
}

/* command_first - length of the first word of a command's name */
static size_t
command_first(const struct ctl_command *command)
{
	return strcspn(command->name, " ");
}

/* command_in_group - is the first word of the command this one? */
static bool
command_in_group(const struct ctl_command *command, const char *word)
{
	return strlen(word) == command_first(command) &&
	    memcmp(word, command->name, command_first(command)) == 0;
}

const struct ctl_command *
commands_find(char **words, int *n_r)
{
	*n_r = 0;
	for (const struct ctl_command *command = ctl_commands; command->name != NULL; command++) {
		size_t first = command_first(command);

		if (words[0] == NULL || !command_in_group(command, words[0]))
			continue;
		if (command->name[first] != '\0' &&
		    (words[1] == NULL || strcmp(words[1], command->name + first + 1) != 0))
			continue;
		*n_r = command->name[first] != '\0' ? 2 : 1;
		return command;
	}
	return NULL;
}

/* is_near - is a distance small enough for words of that length to suggest one for the other? */
static bool
is_near(unsigned int distance, const char *text)
{
	size_t len = strlen(text);

	return distance <= (len < 7 ? len / 2 : 3);
}

/* group_words - "show, top, set": the second words of a group; NULL: there is no such group */
static const char *
group_words(TALLOC_CTX *ctx, const char *group)
{
	char *list = NULL;

	for (const struct ctl_command *command = ctl_commands; command->name != NULL; command++)
		if (command_in_group(command, group))
			list = list == NULL
			    ? mem_strdup(ctx, command->name + command_first(command) + 1)
			    : mem_check(talloc_asprintf_append_buffer(list, ", %s",
				  command->name + command_first(command) + 1));
	return list;
}

/* command_distance - how far typed words are from a command: its name, its first or last word */
static unsigned int
command_distance(const struct ctl_command *command, const char *both, const char *first)
{
	unsigned int least = text_distance(both, command->name);
	const char *last = command->name + command_first(command);

	if (text_distance(first, command->name) < least)
		least = text_distance(first, command->name);
	if (*last == ' ' && strcmp(first, last + 1) == 0)
		least = 1;	/* "genkey" */
	return least;
}

/* nearest_command - the command or group most like the words; NULL: none is like them */
static const char *
nearest_command(TALLOC_CTX *ctx, char **words)
{
	const char *both = words[1] != NULL ? mem_printf(ctx, "%s %s", words[0], words[1])
					    : words[0];
	bool group = group_words(ctx, words[0]) != NULL;
	unsigned int least = 99;
	const char *best = NULL;

	for (const struct ctl_command *command = ctl_commands; command->name != NULL; command++) {
		unsigned int distance = command_distance(command, both, words[0]);
		const char *shorter;

		if (group && !command_in_group(command, words[0]))
			continue;
		if (distance < least && is_near(distance, group ? words[1] : words[0])) {
			least = distance;
			best = command->name;
		}
		shorter = mem_printf(ctx, "%.*s", (int)command_first(command), command->name);
		if (!group && text_distance(words[0], shorter) < least &&
		    is_near(text_distance(words[0], shorter), words[0])) {
			least = text_distance(words[0], shorter);
			best = shorter;
		}
	}
	return best;
}

const char *
commands_unknown(TALLOC_CTX *ctx, char **words)
{
	const char *group = words[0] != NULL ? group_words(ctx, words[0]) : NULL;
	const char *near, *typed;

	if (words[0] == NULL)
		return "no command is given; countersignctl --help lists them";
	if (group != NULL && words[1] == NULL)
		return mem_printf(ctx, "\"%s\" needs one more word: %s", words[0], group);
	typed = group != NULL ? mem_printf(ctx, "%s %s", words[0], words[1]) : words[0];
	near = group != NULL && strchr(group, ',') == NULL
	    ? mem_printf(ctx, "%s %s", words[0], group)
	    : nearest_command(ctx, words);
	if (near != NULL)
		return mem_printf(
		    ctx, "\"%s\" is not a command; did you mean \"%s\"?", typed, near);
	if (group != NULL)
		return mem_printf(
		    ctx, "\"%s\" is not a command; %s takes: %s", typed, words[0], group);
	return mem_printf(ctx, "\"%s\" is not a command; countersignctl --help lists them", typed);
}

/* option_in - the row of an option in a list */
static const struct ctl_option *
option_in(const struct ctl_option *options, const char *name, size_t len)
{
	for (; options->name != NULL; options++)
		if (strlen(options->name) == len && memcmp(options->name, name, len) == 0)
			return options;
	return NULL;
}

const struct ctl_option *
commands_option(const struct ctl_command *command, const char *name, size_t len)
{
	const struct ctl_option *option =
	    command != NULL ? option_in(command->options, name, len) : NULL;

	return option != NULL ? option : option_in(ctl_global_options, name, len);
}

/* print_option - one line about an option */
static void
print_option(FILE *to, const struct ctl_option *option)
{
	int len = fprintf(to, "  %s%s%s", option->name, option->value != NULL ? " " : "",
	    option->value != NULL ? option->value : "");

	(void)fprintf(to, "%*s%s\n", len < NAME_COLUMN + 2 ? NAME_COLUMN + 2 - len : 1, "",
	    option->help);
}

/* print_command - one line about a command */
static void
print_command(FILE *to, const struct ctl_command *command)
{
	(void)fprintf(to, "  %-*s%s\n", NAME_COLUMN, command->name, command->help);
}

void
commands_print_all(FILE *to)
{
	(void)fprintf(to,
	    "usage: countersignctl [-c FILE | -s SOCKET] [--direct] [--json] COMMAND ...\n"
	    "\n"
	    "Commands; countersignctl --help COMMAND shows its arguments:\n");
	for (const struct ctl_command *command = ctl_commands; command->name != NULL; command++)
		print_command(to, command);
	(void)fprintf(to, "\nOptions:\n");
	for (const struct ctl_option *option = ctl_global_options; option->name != NULL; option++)
		print_option(to, option);
	(void)fprintf(to, "The configuration file is " DEFAULT_FILE ".\n");
}

/* usage_piece - length of what must stay on one line: a word, or all between brackets */
static size_t
usage_piece(const char *text)
{
	size_t len = 0;
	int depth = 0;

	for (; text[len] != '\0' && (text[len] != ' ' || depth > 0); len++)
		depth += (text[len] == '[') - (text[len] == ']');
	/* an option and its value */
	if (text[0] == '-' && text[len] == ' ' && text[len + 1] >= 'A' && text[len + 1] <= 'Z')
		len += 1 + strcspn(text + len + 1, " ");
	return len;
}

/* print_usage - "usage: countersignctl " and the words of a command, in lines of 80 columns */
static void
print_usage(FILE *to, const char *words)
{
	size_t column = (size_t)fprintf(to, "usage: countersignctl");

	while (*words != '\0') {
		size_t len = usage_piece(words);

		if (column + 1 + len > 80)
			column = (size_t)fprintf(to, "\n%*s", 12, "") - 1;
		column += (size_t)fprintf(to, " %.*s", (int)len, words);
		words += len;
		words += strspn(words, " ");
	}
	(void)fprintf(to, "\n");
}

void
commands_print(TALLOC_CTX *ctx, FILE *to, const struct ctl_command *command)
{
	print_usage(to, ctl_usage(ctx, command));
	(void)fprintf(to, "\n%c%s.\n\n", command->help[0] - 'a' + 'A', command->help + 1);
	for (size_t i = 0; command->operands[i] != NULL; i++) {
		if (i > 0 && strcmp(command->operands[i], command->operands[i - 1]) == 0)
			continue;
		(void)fprintf(to, "  %-*s%s\n", NAME_COLUMN, command->operands[i],
		    operand_help(command->operands[i]));
	}
	for (const struct ctl_option *option = command->options; option->name != NULL; option++)
		print_option(to, option);
	(void)fprintf(to, "%sSee countersignctl(8).\n",
	    command->operands[0] != NULL || command->options[0].name != NULL ? "\n" : "");
}

bool
commands_print_named(TALLOC_CTX *ctx, FILE *to, char **words)
{
	int n;
	const struct ctl_command *command = commands_find(words, &n);

	if (command != NULL) {
		commands_print(ctx, to, command);
		return true;
	}
	if (words[1] != NULL || group_words(ctx, words[0]) == NULL)
		return false;
	for (command = ctl_commands; command->name != NULL; command++)
		if (command_in_group(command, words[0]))
			print_command(to, command);
	return true;
}

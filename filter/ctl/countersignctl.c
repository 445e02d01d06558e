/*
 * countersignctl.c - countersignctl, the operator's tool
 *
 * Reads the command line by the table of commands and runs the command. What a command does is in
 * a file about its subject, see ctl.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/ctl/commands.h"
#include "filter/ctl/ctl.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define DEFAULT_FILE	SYSCONFDIR "/countersign/countersign.conf"

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
		ctl_wrong("%s option %s; did you mean %s?",
		    ctl->command != NULL ? mem_printf(ctl->memory, "%s has no", ctl->command->name)
					 : "there is no",
		    typed, near);
	if (ctl->command != NULL)
		ctl_misuse(ctl, "has no option %s", typed);
	ctl_wrong("there is no option %s; countersignctl --help lists them", typed);
}

/* command_line_check_value - a value that must be one of some words */
static void
command_line_check_value(const struct ctl *ctl, const struct ctl_option *option, const char *value)
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
		ctl_wrong("%s %s is not known; did you mean %s?", option->name, value, near);
	ctl_wrong("%s %s is not known; known are: %s", option->name, value, option->words);
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
		ctl_wrong("%s takes no value", option->name);
	if (option->value != NULL && value == NULL) {
		value = words[n++];
		if (value == NULL)
			ctl_wrong("%s needs a value: %s %s", option->name, option->name,
			    option->value);
	}
	if (value != NULL)
		command_line_check_value(ctl, option, value);
	if (take_global(ctl, option, value, wanted))
		return n;
	if (option->times != REPEATED && ctl_flag(ctl, option->name))
		ctl_wrong("%s is given twice", option->name);
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
 * wanted names; then argv holds the words after the options.
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
		ctl_wrong("%s", commands_unknown(ctl->memory, words));
	return EXIT_SUCCESS;
}

/* command_line_run - do what the command line says; the exit status */
static int
command_line_run(struct ctl *ctl, char **argv)
{
	struct wanted wanted = { false, NULL };
	int argc = parse(ctl, argv, &wanted);

	if (wanted.completion != NULL)
		return completion_print(stdout, wanted.completion) ? EXIT_SUCCESS : EXIT_FAILURE;
	if (wanted.help && argc < 0)
		return print_help(ctl, argv);
	if (argc < 0)
		ctl_wrong("%s", commands_unknown(ctl->memory, argv));
	if (wanted.help) {
		commands_print(ctl->memory, stdout, ctl->command);
		return EXIT_SUCCESS;
	}
	return ctl->command->run(ctl, argv);
}

int
main(int argc, char **argv)
{
	/* static, because errors end the program anywhere, and its memory must stay reachable */
	static struct ctl ctl = { .file = DEFAULT_FILE };
	int status;

	/* an error may stand before it on the command line */
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "-j") == 0)
			ctl_errors_as_json();
	/* not empty: a pointer to the end of a block is not seen by those who look for leaks */
	ctl.memory = mem_check(talloc_size(NULL, 1));
	status = command_line_run(&ctl, argv);
	talloc_free(ctl.memory);
	return status;
}

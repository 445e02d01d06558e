/*
 * completion.c - completion for bash, zsh and fish, made from the table of commands
 *
 * The build runs countersignctl --completion SHELL and installs what it prints.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "filter/ctl/commands.h"

/* known_words - the values of an option that are worth offering; length 0: none */
static int
known_words(const struct ctl_option *option)
{
	size_t len = option->words != NULL ? strlen(option->words) : 0;

	if (len == 0 || strcmp(option->words, "FILE") == 0)
		return 0;
	if (len > 4 && strcmp(option->words + len - 4, " ...") == 0)
		len -= 4;
	return (int)len;
}

/* is_path - is the value of the option a path? */
static bool
is_path(const struct ctl_option *option)
{
	return option->words != NULL && strcmp(option->words, "FILE") == 0;
}

/* print_escaped - a text between single quotation marks, with a backslash before special ones */
static void
print_escaped(FILE *to, const char *text, const char *special)
{
	for (; *text != '\0'; text++)
		if (*text == '\'')
			(void)fprintf(to, "'\\''");
		else
			(void)fprintf(
			    to, "%s%c", strchr(special, *text) != NULL ? "\\" : "", *text);
}

/* print_option_names - " --for --reason" */
static void
print_option_names(FILE *to, const struct ctl_option *options)
{
	for (; options->name != NULL; options++)
		(void)fprintf(to, " %s", options->name);
}

/* bash_values - the cases of options that take a value, for one list of options */
static void
bash_values(FILE *to, const char *command, const struct ctl_option *options)
{
	for (; options->name != NULL; options++) {
		int len = known_words(options);

		if (options->value == NULL)
			continue;
		(void)fprintf(to, "\t\"%s %s\")", command, options->name);
		if (is_path(options))
			(void)fprintf(to, " COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n");
		else
			(void)fprintf(to, " words=\"%.*s\" ;;\n", len,
			    len > 0 ? options->words : "");
	}
}

/* second_of - the second word of a command's name, or NULL */
static const char *
second_of(const struct ctl_command *command)
{
	const char *space = strchr(command->name, ' ');

	return space != NULL ? space + 1 : NULL;
}

/* first_len - length of the first word of a command's name */
static int
first_len(const struct ctl_command *command)
{
	return (int)strcspn(command->name, " ");
}

/* begins_group - is this the first row with its first word? Rows of a group follow each other. */
static bool
begins_group(const struct ctl_command *command)
{
	return command == ctl_commands || first_len(command) != first_len(command - 1) ||
	    memcmp(command->name, command[-1].name, (size_t)first_len(command)) != 0;
}

/* bash_names - a pattern that all commands and groups match */
static void
bash_names(FILE *to)
{
	for (const struct ctl_command *c = ctl_commands; c->name != NULL; c++) {
		if (begins_group(c) && second_of(c) != NULL)
			(void)fprintf(to, "\t\t\t%.*s | \\\n", first_len(c), c->name);
		(void)fprintf(to, "\t\t\t\"%s\"%s", c->name,
		    c[1].name != NULL ? " | \\\n" : ") command=${command:+$command }$word ;;\n");
	}
}

/* bash_commands - what may come next, for each beginning of a command's name */
static void
bash_commands(FILE *to)
{
	(void)fprintf(to, "\t\"\") words=\"");
	for (const struct ctl_command *c = ctl_commands; c->name != NULL; c++)
		if (begins_group(c))
			(void)fprintf(to, "%.*s ", first_len(c), c->name);
	print_option_names(to, ctl_global_options);
	(void)fprintf(to, "\" ;;\n");
	for (const struct ctl_command *c = ctl_commands; c->name != NULL; c++) {
		if (second_of(c) == NULL)
			continue;
		if (begins_group(c))
			(void)fprintf(to, "\t%.*s) words=\"", first_len(c), c->name);
		(void)fprintf(to, "%s%s", begins_group(c) ? "" : " ", second_of(c));
		if (c[1].name == NULL || begins_group(c + 1))
			(void)fprintf(to, "\" ;;\n");
	}
	for (const struct ctl_command *c = ctl_commands; c->name != NULL; c++) {
		(void)fprintf(to, "\t\"%s\") words=\"", c->name);
		print_option_names(to, c->options);
		(void)fprintf(to, " --json --direct --help\" ;;\n");
	}
}

static void
print_bash(FILE *to)
{
	(void)fprintf(to,
	    "# bash completion for countersignctl; made by countersignctl --completion bash\n"
	    "_countersignctl()\n"
	    "{\n"
	    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev= command= words= word i skip=\n"
	    "\n"
	    "\tCOMPREPLY=()\n"
	    "\t((COMP_CWORD > 1)) && prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	    "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	    "\t\tword=${COMP_WORDS[i]}\n"
	    "\t\tcase ${skip:+skip}$word in\n"
	    "\t\tskip*) skip= ;;\n"
	    "\t\t-c | -s) skip=yes ;;\n"
	    "\t\t-*) ;;\n"
	    "\t\t*)\n"
	    "\t\t\tcase ${command:+$command }$word in\n");
	bash_names(to);
	(void)fprintf(to,
	    "\t\t\tesac\n"
	    "\t\t\t;;\n"
	    "\t\tesac\n"
	    "\tdone\n"
	    "\tcase \"$command $prev\" in\n");
	for (const struct ctl_command *c = ctl_commands; c->name != NULL; c++)
		bash_values(to, c->name, c->options);
	(void)fprintf(to, "\t*\" -c\" | *\" -s\") COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
			  "\t*\" --completion\") words=\"bash zsh fish\" ;;\n"
			  "\t*)\n"
			  "\t\tcase $command in\n");
	bash_commands(to);
	(void)fprintf(to, "\t\tesac\n"
			  "\t\t;;\n"
			  "\tesac\n"
			  "\t[[ -z $words ]] || COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
			  "}\n"
			  "complete -F _countersignctl countersignctl\n");
}

/* zsh_option - an argument of _arguments */
static void
zsh_option(FILE *to, const struct ctl_option *option)
{
	int len = known_words(option);

	(void)fprintf(to, " \\\n\t\t'%s%s[", option->times == REPEATED ? "*" : "", option->name);
	print_escaped(to, option->help, "[]:\\");
	(void)fprintf(to, "]");
	if (option->value != NULL && is_path(option))
		(void)fprintf(to, ":%s:_files", option->value);
	else if (option->value != NULL && len > 0)
		(void)fprintf(to, ":%s:(%.*s)", option->value, len, option->words);
	else if (option->value != NULL)
		(void)fprintf(to, ":%s: ", option->value);
	(void)fprintf(to, "'");
}

/* zsh_command - the case of one command */
static void
zsh_command(FILE *to, const struct ctl_command *command)
{
	(void)fprintf(to, "\t'%s')\n\t\t_arguments", command->name);
	for (const struct ctl_option *o = command->options; o->name != NULL; o++)
		zsh_option(to, o);
	for (size_t i = 0; command->operands[i] != NULL; i++)
		(void)fprintf(to, " \\\n\t\t':%s: '", command->operands[i]);
	(void)fprintf(to, " \\\n\t\t'--json[print the answer as JSON]'"
			  " \\\n\t\t'--help[show the words of the command]'\n\t\t;;\n");
}

static void
print_zsh(FILE *to)
{
	(void)fprintf(to,
	    "#compdef countersignctl\n"
	    "# zsh completion for countersignctl; made by countersignctl --completion zsh\n"
	    "_countersignctl()\n"
	    "{\n"
	    "\tlocal curcontext=$curcontext state line command\n"
	    "\tlocal -A opt_args\n"
	    "\tlocal -a commands\n"
	    "\n"
	    "\tcommands=(\n");
	for (const struct ctl_command *c = ctl_commands; c->name != NULL; c++) {
		(void)fprintf(to, "\t\t'%s:", c->name);
		print_escaped(to, c->help, ":\\");
		(void)fprintf(to, "'\n");
	}
	(void)fprintf(to, "\t)\n\t_arguments -C");
	for (const struct ctl_option *o = ctl_global_options; o->name != NULL; o++)
		zsh_option(to, o);
	(void)fprintf(to,
	    " \\\n\t\t'*:: :->words' && return\n"
	    "\tif ((CURRENT == 1)); then\n"
	    "\t\tlocal -aU firsts=(${${commands%%%%:*}%%%% *})\n"
	    "\t\t_describe -t commands command firsts\n"
	    "\t\treturn\n"
	    "\tfi\n"
	    "\tif ((CURRENT == 2)) && [[ -n ${(M)commands:#${words[1]} *} ]]; then\n"
	    "\t\tlocal -a seconds=(${${(M)commands:#${words[1]} *}#* })\n"
	    "\t\t_describe -t commands command seconds\n"
	    "\t\treturn\n"
	    "\tfi\n"
	    "\tcommand=${words[1]}\n"
	    "\tif [[ -n ${(M)commands:#${words[1]} *} ]]; then\n"
	    "\t\tcommand=\"${words[1]} ${words[2]}\"\n"
	    "\t\tshift words\n"
	    "\t\t((CURRENT--))\n"
	    "\tfi\n"
	    "\tcase $command in\n");
	for (const struct ctl_command *c = ctl_commands; c->name != NULL; c++)
		zsh_command(to, c);
	(void)fprintf(to, "\tesac\n"
			  "}\n"
			  "if [[ $funcstack[1] == _countersignctl ]]; then\n"
			  "\t_countersignctl \"$@\"\n"
			  "else\n"
			  "\tcompdef _countersignctl countersignctl\n"
			  "fi\n");
}

/* fish_option - one line; condition is what must be there for it */
static void
fish_option(FILE *to, const char *condition, const struct ctl_option *option)
{
	int len = known_words(option);

	(void)fprintf(to, "complete -c countersignctl%s", condition);
	if (option->name[1] == '-')
		(void)fprintf(to, " -l %s", option->name + 2);
	else
		(void)fprintf(to, " -s %s", option->name + 1);
	if (option->value != NULL)
		(void)fprintf(to, is_path(option) ? " -r -F" : " -x");
	if (len > 0)
		(void)fprintf(to, " -a '%.*s'", len, option->words);
	(void)fprintf(to, " -d '");
	print_escaped(to, option->help, "\\");
	(void)fprintf(to, "'\n");
}

/* fish_command - the lines of one command: its name, its second word, its options */
static void
fish_command(FILE *to, const struct ctl_command *command)
{
	const char *second = second_of(command);
	int first = first_len(command);
	char condition[256];

	if (begins_group(command)) {
		(void)fprintf(to,
		    "complete -c countersignctl -n __countersignctl_first -a '%.*s' -d '", first,
		    command->name);
		print_escaped(to, second != NULL ? "..." : command->help, "\\");
		(void)fprintf(to, "'\n");
	}
	if (second != NULL) {
		(void)fprintf(to,
		    "complete -c countersignctl -n '__countersignctl_after %.*s' -a '%s' -d '",
		    first, command->name, second);
		print_escaped(to, command->help, "\\");
		(void)fprintf(to, "'\n");
	}
	(void)snprintf(
	    condition, sizeof(condition), " -n '__countersignctl_has %s'", command->name);
	for (const struct ctl_option *o = command->options; o->name != NULL; o++)
		fish_option(to, condition, o);
}

static void
print_fish(FILE *to)
{
	(void)fprintf(to,
	    "# fish completion for countersignctl; made by countersignctl --completion fish\n"
	    "function __countersignctl_words\n"
	    "    set -l words (commandline -opc)[2..-1]\n"
	    "    set -l skip 0\n"
	    "    for word in $words\n"
	    "        if test $skip = 1\n"
	    "            set skip 0\n"
	    "        else if contains -- $word -c -s\n"
	    "            set skip 1\n"
	    "        else if not string match -q -- '-*' $word\n"
	    "            echo $word\n"
	    "        end\n"
	    "    end\n"
	    "end\n"
	    "function __countersignctl_first\n"
	    "    test (count (__countersignctl_words)) -eq 0\n"
	    "end\n"
	    "function __countersignctl_after\n"
	    "    set -l words (__countersignctl_words)\n"
	    "    test (count $words) -eq 1; and test $words[1] = $argv[1]\n"
	    "end\n"
	    "function __countersignctl_has\n"
	    "    set -l words (__countersignctl_words)\n"
	    "    set -l n (count $argv)\n"
	    "    test (count $words) -ge $n; and test \"$words[1..$n]\" = \"$argv\"\n"
	    "end\n"
	    "complete -c countersignctl -f\n");
	for (const struct ctl_option *o = ctl_global_options; o->name != NULL; o++)
		fish_option(to, "", o);
	for (const struct ctl_command *c = ctl_commands; c->name != NULL; c++)
		fish_command(to, c);
}

bool
completion_print(FILE *to, const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		print_bash(to);
	else if (strcmp(shell, "zsh") == 0)
		print_zsh(to);
	else if (strcmp(shell, "fish") == 0)
		print_fish(to);
	else
		return false;
	return true;
}

#ifdef PRINT_COMPLETION
/* main - of a program that only prints completions, for builds that cannot run countersignctl */
int
main(int argc, char **argv)
{
	return argc == 3 && completion_print(stdout, argv[2]) ? EXIT_SUCCESS : EXIT_FAILURE;
}
#endif

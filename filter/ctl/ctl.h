/*
 * ctl.h - what the commands of countersignctl share
 *
 * A command is one row in commands.c and one function in a file about its subject (ctl_quota.c,
 * ctl_admin.c ...). It may ask the daemon with ctl_ask(), or work on its own, say on
 * the configuration file.
 *
 * Threads: there is one.
 */
#ifndef FILTER_CTL_CTL_H
#define FILTER_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <talloc.h>

struct config;
struct ctl;

/*
 * A command's function: operands ends in NULL. Their number and the options are as the table of
 * commands allows. Returns the exit status.
 */
typedef int ctl_run(struct ctl *ctl, char **operands);

#define COMMAND_OPERANDS_MAX	3
#define COMMAND_OPTIONS_MAX	14

/* An option of a command, or of all of them. */
struct ctl_option {
	const char *name;	/* "--for"; NULL ends a list */
	const char *value;	/* "TIME"; NULL: a flag */
	const char *help;	/* a verb phrase or a noun phrase, 50 columns at most */
	const char *words;	/* values, separated by spaces; others are errors unless the last is
				 * "..."; "FILE": a path; NULL: any */
	enum { OPTIONAL, REQUIRED, REPEATED } times;
};

struct ctl_command {
	const char *name;	/* one word or two: "quota show"; NULL ends the table */
	const char *operands[COMMAND_OPERANDS_MAX + 1];	/* "ACCOUNT"; in brackets if optional */
	struct ctl_option options[COMMAND_OPTIONS_MAX + 1];
	const char *help;	/* a verb phrase, 60 columns at most */
	const char *usage;	/* the words after the name; NULL: as the rows say */
	ctl_run *run;
};

/* An option that was given on the command line. */
struct ctl_given {
	const struct ctl_option *option;
	const char *value;	/* NULL: a flag */
};

/* The command line. */
struct ctl {
	TALLOC_CTX *memory;	/* until the program ends */
	const char *file;	/* configuration file */
	const char *socket;	/* control socket, or NULL: as the configuration says */
	bool json;		/* --json: answers as they are */
	bool direct;		/* --direct: the store itself, without a daemon */
	const struct ctl_command *command;
	struct ctl_given *given;	/* the command's options, in order */
	size_t n_given;
};

#define CTL_USAGE	64	/* exit status of a wrong command line; no result has it */

/* ctl_fail - say why and end the program with status 1: on standard error, or with --json as the
 * answer {"ok": false, "error": ...} */
void ctl_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* ctl_wrong - as ctl_fail, for an error on the command line: status CTL_USAGE */
void ctl_wrong(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* ctl_errors_as_json - errors from now on are answers in JSON */
void ctl_errors_as_json(void);

/* ctl_misuse - as ctl_wrong, for words that do not fit together; adds the usage of the command */
void ctl_misuse(const struct ctl *ctl, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* ctl_usage - "quota set OWNER LIMIT --for TIME", on ctx */
const char *ctl_usage(TALLOC_CTX *ctx, const struct ctl_command *command);

/* ctl_config - the configuration; if it has errors, they are printed and the program ends */
const struct config *ctl_config(struct ctl *ctl);

/*
 * ctl_config_if_any - the configuration, for commands that can do without it
 * NULL: there is none, or it has errors. stderr then says so, and what is used instead.
 */
const struct config *ctl_config_if_any(struct ctl *ctl, const char *instead);

/*
 * ctl_tell - let the daemon do something, if one runs here and obeys; waits until it has
 * request: a line of JSON. There is no sign of what became of it.
 */
void ctl_tell(struct ctl *ctl, const char *request);

/*
 * ctl_ask - ask the daemon, print its answer
 * request (with "command" and what belongs to it) is used up. A good answer goes to print, or as it
 * is to standard output with --json; a bad one to standard error. Returns the exit status.
 */
int ctl_ask(struct ctl *ctl, json_t *request, void (*print)(const json_t *answer));

/* ctl_ask_for - as ctl_ask, with status 1 if the list of that name in a good answer is empty */
int ctl_ask_for(struct ctl *ctl, json_t *request, void (*print)(const json_t *answer),
    const char *list);

/*
 * ctl_answer - ask the daemon, or with --direct the store, for a good answer, cleaned
 * request is used up. A bad answer ends the program with its error.
 */
json_t *ctl_answer(struct ctl *ctl, json_t *request);

/*
 * ctl_talk - send one line to the daemon and read its answer (talloc, no parent)
 * Ends the program if no daemon answers. The configuration may have errors.
 */
char *ctl_talk(struct ctl *ctl, const char *request);

/*
 * ctl_connect - a connection to the daemon, and its path
 * Returns -1 and *why_r if there is none. The configuration may have errors.
 */
int ctl_connect(struct ctl *ctl, const char **path_r, const char **why_r);

/* ctl_hear - read one line of answer (talloc, no parent); ends the program if none comes in time */
char *ctl_hear(int fd, const char *path, long wait_s);

/* ctl_text, ctl_number - a member of an answer; "" and 0 if it has none */
const char *ctl_text(const json_t *object, const char *name);
long long ctl_number(const json_t *object, const char *name);

/* ctl_set - a text into a request; ends the program if it is no UTF-8 */
void ctl_set(json_t *request, const char *name, const char *text);

/* ctl_option, ctl_flag - the value of an option of the command, NULL if it is not given */
const char *ctl_option(const struct ctl *ctl, const char *name);
bool ctl_flag(const struct ctl *ctl, const char *name);

/* ctl_option_next - the same for each time that it is given; *at is 0 at first */
const char *ctl_option_next(const struct ctl *ctl, const char *name, size_t *at);

/* ctl_duration - "2h", "30 min", "4 hours" in milliseconds; ends the program if it is none */
long long ctl_duration(const char *text);

/* ctl_count - a whole number from 1 on; ends the program if it is none */
long long ctl_count(const char *text);

/* ctl_day - "2026-11-22", "today", "yesterday" as a number; ends the program if it is none */
long long ctl_day(const char *text);

/* ctl_span - milliseconds as a person says them; negative: "never" */
void ctl_span(long long ms, char *buffer, size_t size);

/* ctl_time - UNIX time in milliseconds as local time with its zone, printed */
void ctl_time(long long ms);

/* ctl_safe - strangers' text, printed without what a terminal would obey */
void ctl_safe(const char *text);

/* ctl_clean - replace the same in all texts of an answer, before it is printed */
void ctl_clean(json_t *answer);

/* The commands, by file. */
ctl_run ctl_adopt;					/* ctl_adopt.c */
ctl_run ctl_metrics, ctl_reload, ctl_status;				/* ctl_admin.c */
ctl_run ctl_events, ctl_hold_queue, ctl_last, ctl_why;	/* ctl_history.c */
ctl_run ctl_quota_suggest, ctl_report;			/* ctl_daybook.c */
ctl_run ctl_hours, ctl_rates;				/* ctl_rates.c */
ctl_run ctl_block, ctl_blocked, ctl_plan_of, ctl_quota_reset, ctl_quota_set, ctl_quota_show,
    ctl_quota_top, ctl_quota_unset, ctl_unblock;        /* ctl_quota.c */
ctl_run ctl_login_failed;				/* ctl_login.c */
ctl_run ctl_stolen;					/* ctl_stolen.c */
ctl_run ctl_table_check, ctl_table_get;			/* ctl_table.c */
ctl_run ctl_dkim_list;					/* ctl_dkim.c */
ctl_run ctl_dkim_check;					/* ctl_dkim_check.c */
ctl_run ctl_dkim_genkey;				/* ctl_dkim_genkey.c */
ctl_run ctl_dkim_retire;				/* ctl_dkim_retire.c */
ctl_run ctl_doctor;					/* ctl_doctor.c */
ctl_run ctl_help;					/* ctl_help.c */
ctl_run ctl_dmarc_check;				/* ctl_dmarc_own.c */
ctl_run ctl_dmarc_report;				/* ctl_dmarc.c */
ctl_run ctl_spf_check;					/* ctl_spf.c */
ctl_run ctl_try;					/* ctl_try.c */

#endif

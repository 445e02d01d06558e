/*
 * options.h - settings of a configuration file into struct members, by table
 *
 * One row an option: its name, its type, where the value goes. What no row names
 * is an error with the nearest name; so is a wrong type or a value out of bounds.
 * libconfig reads the file; this turns its tree into values.
 */
#ifndef FILTER_CONFIG_OPTIONS_H
#define FILTER_CONFIG_OPTIONS_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/config/configuration.h"

/* Collects errors; reading goes on after one, so that all are reported at once. */
struct options_reader {
	TALLOC_CTX *ctx;	/* owns the values */
	const char *file;	/* the file being read */
	char *errors;		/* lines, or NULL */
	size_t n_errors;	/* the first OPTIONS_ERRORS_MAX are kept */
	struct words files;	/* that were read: this one and what it includes */
	struct option_given *given; /* what was given and may be without effect, for effect.h */
	size_t n_given;
	const struct option_group *top; /* the options of the configuration file, for messages */
};

#define OPTIONS_ERRORS_MAX	20

enum option_type {
	OPTION_STRING,		/* const char * */
	OPTION_WORDS,		/* struct words: a string, or a list or array of strings */
	OPTION_BOOL,		/* int: 0 or 1 */
	OPTION_COUNT,		/* long, within min and max */
	OPTION_DURATION,	/* long, milliseconds; "200 ms", "4 hours" */
	OPTION_CHOICE,		/* int, from choices */
	OPTION_OCTAL,		/* long; a string such as "0660" */
	OPTION_CUSTOM		/* read() does it */
};

/* A word and the number it stands for; ends with NULL. */
struct option_choice {
	const char *word;
	int value;
};

/*
 * Where an option has an effect. effect.c has a row for each, with the roles and the companions
 * that the option needs; without them, the option is an error.
 */
enum option_works {
	WORKS_UNSAID,		/* an error in the table of options */
	WORKS_ALWAYS,
	/* roles of listeners */
	WORKS_SUBMISSION,
	WORKS_RELAY,
	WORKS_INBOUND,
	WORKS_SENDING,		/* all but inbound */
	/* companions */
	WORKS_UNIX_SOCKET,
	WORKS_OPEN_SOCKET,
	WORKS_CONTROL,
	WORKS_EVENT_COMMAND,
	WORKS_RESOLVER,
	WORKS_WAITING,
	WORKS_HISTORY,
	WORKS_SERVER_TABLE,
	WORKS_TABLE_CACHE,
	WORKS_KEYS,
	WORKS_KEYS_DIRECTORY,
	WORKS_SIGNING_TABLE,
	WORKS_DOMAIN_SETTING,
	WORKS_REDIS_USED,
	WORKS_REDIS_STORE,
	WORKS_REDIS_PASSWORD,
	WORKS_REDIS_TLS,
	WORKS_SENTINELS,
	WORKS_PLANS,
	WORKS_PLAN_LIMITS,
	WORKS_PLAN_ACCOUNTS,
	WORKS_PLAN_LEFT_OUT,
	WORKS_PLAN_BLOCK_ON,
	/* companions of actions */
	WORKS_UNMATCHED,
	WORKS_LISTENERS,
	WORKS_DMARC_POLICY,
	WORKS_REQUIRE_TLS,
	WORKS_CLIENT_ACCOUNTS,
	WORKS_ALLOWED_NETWORKS,
	WORKS_RESTRICTED,
	WORKS_MAX_RECIPIENTS,
	WORKS_MAX_SIZE,
	WORKS_COUNTRIES,
	WORKS_NETWORKS,
	WORKS_TABLES,
	WORKS_LIMITS,
	WORKS_COUNT
};

struct option {
	const char *name;
	enum option_type type;
	enum option_works works;
	size_t offset;		/* of the member in the target struct */
	const struct option_choice *choices; /* OPTION_CHOICE */
	long min, max;		/* OPTION_COUNT, OPTION_DURATION (ms) */
	void (*read)(struct options_reader *reader, config_setting_t *setting, void *target);
};

/* What a group of options is about. */
enum option_scope {
	OPTION_SCOPE_FILE,	/* all listeners */
	OPTION_SCOPE_LISTENER,	/* the struct listener that is its target */
	OPTION_SCOPE_TARGET	/* its target, which stays where it is */
};

/* A group of options; the end of rows is a NULL name. */
struct option_group {
	const char *what;	/* for messages: "a listener", "a plan" */
	const struct option *rows;
	long actions_offset;	/* of a struct action_set for on_ words, or -1: there are none */
	enum option_scope scope;
};

/* An option that stands in a file. */
struct option_given {
	const struct option *option; /* NULL: the on_ word of reason */
	enum reason reason;
	enum action action;	/* of reason */
	const char *name;
	const char *where;	/* file:line */
	enum option_scope scope;
	const void *target;	/* NULL with OPTION_SCOPE_FILE */
};

/* options_error - note a mistake at a setting (NULL: the file as a whole) */
void options_error(struct options_reader *reader, const config_setting_t *setting,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* options_error_at - note a mistake at "file:line" */
void options_error_at(struct options_reader *reader, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* options_where - "file:line" of a setting, on the reader's context */
const char *options_where(struct options_reader *reader, const config_setting_t *setting);

/*
 * options_beside - a path as the configuration file means it: one that is not absolute begins in
 * the directory of the file
 * On ctx, or path itself; path may be NULL. Any thread.
 */
const char *options_beside(TALLOC_CTX *ctx, const char *file, const char *path);

/*
 * options_group - read every setting of a group into target
 * Notes a mistake when setting is no group.
 */
void options_group(struct options_reader *reader, config_setting_t *setting,
    const struct option_group *group, void *target);

/* options_string - a setting that must be a string; NULL after a mistake */
const char *options_string(struct options_reader *reader, const config_setting_t *setting);

/* options_words - a setting that is a string or a list of strings */
void options_words(struct options_reader *reader, config_setting_t *setting, struct words *words_r);

/*
 * options_networks - a setting that is an address or network, or a list of them
 * Returns an array on the reader's context with *n_r entries; what cannot be read is noted.
 */
struct netblock *options_networks(struct options_reader *reader, config_setting_t *setting,
    size_t *n_r);

/*
 * options_parse_file - parse a file with libconfig
 * On failure notes the mistake and returns false; the tree must be destroyed in either case.
 */
bool options_parse_file(struct options_reader *reader, config_t *tree);

/* options_action - the action a word names, or -1 */
int options_action(const char *word);

#endif

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

/* Collects mistakes; reading goes on after one, so that all are told at once. */
struct options_reader {
	TALLOC_CTX *ctx;	/* owns the values */
	const char *file;	/* the file being read */
	char *errors;		/* lines, or NULL */
	size_t n_errors;	/* the first OPTIONS_ERRORS_MAX are kept */
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

struct option {
	const char *name;
	enum option_type type;
	size_t offset;		/* of the member in the target struct */
	const struct option_choice *choices; /* OPTION_CHOICE */
	long min, max;		/* OPTION_COUNT, OPTION_DURATION (ms) */
	void (*read)(struct options_reader *reader, config_setting_t *setting, void *target);
};

/* A group of options; the end of rows is a NULL name. */
struct option_group {
	const char *what;	/* for messages: "a listener", "a plan" */
	const struct option *rows;
	long actions_offset;	/* of a struct action_set for on_ words, or -1: there are none */
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
 * options_parse_file - parse a file with libconfig
 * On failure notes the mistake and returns false; the tree must be destroyed in either case.
 */
bool options_parse_file(struct options_reader *reader, config_t *tree);

/* options_action - the action a word names, or -1 */
int options_action(const char *word);

#endif

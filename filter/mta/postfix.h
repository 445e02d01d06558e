/*
 * postfix.h - a Postfix configuration as values, as postconf(1) reports it
 *
 * Threads: read once, then read only; functions take a context for what they return.
 */
#ifndef FILTER_MTA_POSTFIX_H
#define FILTER_MTA_POSTFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

/* name = value */
struct postfix_parameter {
	const char *name;
	const char *value;
	const char *written;	/* -o: the value as it is in master.cf, not expanded */
	int line;		/* of main.cf or master.cf; 0: not set there */
};

/* One service of master.cf. */
struct postfix_service {
	const char *name;	/* first field: "submission", "127.0.0.1:10026" */
	const char *type;	/* inet, unix, pass ... */
	const char *program;	/* smtpd, cleanup ... */
	const char *arguments;	/* all that stands after it */
	int process_limit;	/* of processes at a time; 0: none; -1: default_process_limit */
	bool chroot;
	int line;
	const char *text;	/* the whole line, as postconf -M prints it */
	struct postfix_parameter *overrides; /* -o, expanded */
	size_t n_overrides;
	const char **broken;	/* words of -o that hold no "=" */
	size_t n_broken;
	const char *host;	/* inet: before the colon, without brackets, or NULL */
	int port;		/* inet: its number; 0: unknown */
};

/* A parameter that nothing uses: a misspelt one. */
struct postfix_unused {
	const char *file;	/* its path */
	const char *name;
	const char *value;
};

struct postfix {
	const char *directory;
	const char *main_cf;	/* paths */
	const char *master_cf;
	struct postfix_parameter *raw; /* all, sorted by name; not expanded */
	size_t n_raw;
	struct postfix_parameter *expanded; /* the same, expanded */
	size_t n_expanded;
	struct postfix_service *services;
	size_t n_services;
	struct postfix_unused *unused;
	size_t n_unused;
};

/*
 * postfix_read - ask postconf for all settings of a directory (NULL: its own default)
 * Returns NULL and *error_r, both on ctx.
 */
struct postfix *postfix_read(
    TALLOC_CTX *ctx, const char *directory, int64_t deadline_ms, const char **error_r);

/*
 * postfix_read_files - the same from the files of a directory, without postconf
 * Only a few of Postfix's defaults are known; other parameters that main.cf does not set are "".
 */
struct postfix *postfix_read_files(
    TALLOC_CTX *ctx, const char *directory, const char **error_r);

/*
 * postfix_value - the value in effect for a service (NULL: main.cf), expanded; "" if it has none
 * On ctx, or part of postfix.
 */
const char *postfix_value(TALLOC_CTX *ctx, const struct postfix *postfix,
    const struct postfix_service *service, const char *name);

/* postfix_yes - the same of a parameter that is yes or no */
bool postfix_yes(TALLOC_CTX *ctx, const struct postfix *postfix,
    const struct postfix_service *service, const char *name);

/* postfix_time - "30s", "1h" in milliseconds; -1: it is no time */
int64_t postfix_time(const char *text);

/* postfix_ms - the same of a time, "30s", "1h", in milliseconds; -1: none can be read */
int64_t postfix_ms(TALLOC_CTX *ctx, const struct postfix *postfix,
    const struct postfix_service *service, const char *name);

/* postfix_override - the -o of a service, or NULL */
const struct postfix_parameter *postfix_override(
    const struct postfix_service *service, const char *name);

/* postfix_set - is the parameter set in main.cf? */
bool postfix_set(const struct postfix *postfix, const char *name);

/* postfix_raw - the value of main.cf as written, not expanded; "" if it has none */
const char *postfix_raw(const struct postfix *postfix, const char *name);

/* postfix_where - "file:line" of the setting in effect; of the service if it is a default */
const char *postfix_where(TALLOC_CTX *ctx, const struct postfix *postfix,
    const struct postfix_service *service, const char *name);

/* postfix_service_where - "master.cf:line" */
const char *postfix_service_where(
    TALLOC_CTX *ctx, const struct postfix *postfix, const struct postfix_service *service);

/* postfix_is_smtpd - does it take mail by SMTP: smtpd of inet, or behind postscreen? */
bool postfix_is_smtpd(const struct postfix_service *service);

/* postfix_has_auth - an smtpd that offers AUTH */
bool postfix_has_auth(
    TALLOC_CTX *ctx, const struct postfix *postfix, const struct postfix_service *service);

/* postfix_is_loopback - an inet service that listens on loopback only */
bool postfix_is_loopback(const struct postfix_service *service);

/* One milter of a list. */
struct postfix_milter {
	const char *endpoint;	/* as written: "inet:127.0.0.1:8891" */
	const char *options;	/* inside braces, after the endpoint; "" */
};

/* postfix_milters - the milters of a list; *n_r of them, on ctx */
struct postfix_milter *postfix_milters(TALLOC_CTX *ctx, const char *value, size_t *n_r);

/* postfix_milter_option - "name=value" of a milter's own, or NULL; on ctx */
const char *postfix_milter_option(
    TALLOC_CTX *ctx, const struct postfix_milter *milter, const char *name);

/* postfix_word - take the next word off a list: words are divided by white space and commas, a
 * brace goes to the one that closes it; NULL at the end. On ctx. */
const char *postfix_word(TALLOC_CTX *ctx, const char **list);

/* postfix_has_word - does a list hold a word? */
bool postfix_has_word(TALLOC_CTX *ctx, const char *list, const char *word);

#endif

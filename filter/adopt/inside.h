/*
 * inside.h - what the parts of adopt share
 *
 * Each part reads one program's configuration and notes what it found: settings of
 * countersign.conf, limits, listeners, and the words for the report. write.c makes files of them
 * at the end.
 */
#ifndef FILTER_ADOPT_INSIDE_H
#define FILTER_ADOPT_INSIDE_H

#include <stdint.h>
#include <stdio.h>

#include "filter/adopt/types.h"
#include "filter/mta/postfix.h"
#include "filter/mta/sendmail.h"
#include "policy/quota/limit.h"

#define ADOPT_FILE_MAX (8u * 1024 * 1024) /* bytes of a file that is read */
#define ADOPT_TEXTS_MAX 2000              /* of one kind in the report */
#define ADOPT_LIMITS_MAX 5000
#define ADOPT_INSTANCES_MAX 16
#define ADOPT_SAMPLES_MAX 24

/* Where a setting stands in countersign.conf, in this order. */
enum adopt_place {
	PLACE_LISTEN,
	PLACE_IDENTITY,
	PLACE_RESULTS,   /* names and actions of what is verified */
	PLACE_DKIM,      /* inside dkim = { } */
	PLACE_LISTENERS, /* inside listeners = { } */
	PLACE_ACCOUNTS,  /* inside accounts = ( ) */
	PLACE_COUNT
};

/* A setting as it is written, and where it comes from. */
struct adopt_setting {
	enum adopt_place place;
	const char *text;
	const char *from; /* "FILE:LINE: what" */
};

/* What a limit holds for. */
enum adopt_party { PARTY_ACCOUNT, PARTY_DOMAIN };

/* A limit of a policy service. */
struct adopt_limit {
	enum adopt_party party;
	const char *subject; /* account, or NULL: everyone */
	bool unlimited;      /* nothing limits the subject */
	enum limit_unit unit;
	uint64_t max;
	int64_t window_s;
	bool adds;          /* with a subject: holds in addition to what holds for everyone */
	const char *action; /* "tempfail", "reject", "warn", "quarantine" */
	const char *from;   /* "FILE:LINE: what" */
};

/* A policy service that was read. */
struct adopt_service {
	const char *endpoint;
	const char *stays; /* why it is still needed; NULL: all that it did is taken over */
};

struct adopt {
	const struct adopt_options *options;
	const char *output; /* absolute path of the directory */
	struct adopt_report *report;
	const struct postfix *instances[ADOPT_INSTANCES_MAX]; /* the first is the one asked for */
	size_t n_instances;
	const struct sendmail *sendmail;
	struct adopt_setting *settings;
	size_t n_settings;
	struct adopt_limit *limits;
	size_t n_limits;

	/* what one part finds and another one needs */
	const char *domain;                  /* the host's own domain, or NULL */
	struct adopt_texts domains;          /* all own ones that are written out */
	const char *realm;                   /* NULL: logins are complete */
	bool owners_lost;                    /* a table of owners cannot be used */
	struct adopt_texts owners;           /* table specifications */
	bool opendkim;                       /* an opendkim.conf was read */
	const char *opendkim_stays;          /* why OpenDKIM goes on signing, or NULL */
	const char *rspamd_stays;            /* likewise rspamd */
	bool signs_here;                     /* keys were found: dkim settings are written */
	struct adopt_texts opendkim_sockets; /* endpoints of OpenDKIM as Postfix may write them */
	struct adopt_service *services;
	size_t n_services;
	size_t limits_lost;          /* limits that plans.conf cannot hold */
	bool limits_unread;          /* a source of limits could not be read */
	struct adopt_texts networks; /* of hosts that may send without a login */
	struct adopt_texts excepted; /* hosts among them that may not */
	const char *networks_from;
	const char *endpoint; /* of countersign, as the MTA writes it */
	char *key_table;      /* lines to write, or NULL */
	char *signing_table;
	char *plan_of; /* likewise, of many logins */
};

/* --- notes.c --------------------------------------------------------------- */

/* adopt_text - add to a list, formatted; what is there already is not added again */
void adopt_text(struct adopt *adopt, struct adopt_texts *list, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* adopt_has - is it in a list? */
bool adopt_has(const struct adopt_texts *list, const char *text);

/* adopt_missing, adopt_note, adopt_command - to the report */
#define adopt_missing(adopt, ...) adopt_text((adopt), &(adopt)->report->missing, __VA_ARGS__)
#define adopt_note(adopt, ...) adopt_text((adopt), &(adopt)->report->notes, __VA_ARGS__)
#define adopt_command(adopt, ...) adopt_text((adopt), &(adopt)->report->commands, __VA_ARGS__)
#define adopt_back(adopt, ...) adopt_text((adopt), &(adopt)->report->back, __VA_ARGS__)

/* adopt_edit - a line to write in a file of the MTA */
void adopt_edit(struct adopt *adopt, const char *file, const char *service, const char *why,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* adopt_set - a setting of countersign.conf */
void adopt_set(struct adopt *adopt, enum adopt_place place, const char *from, const char *format,
    ...) __attribute__((format(printf, 4, 5)));

/* adopt_service - a policy service that was read; stays: why it is still needed, or NULL */
void adopt_service(struct adopt *adopt, const char *stays, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* adopt_limit - a limit; false, and noted in the report: it cannot be taken over */
bool adopt_limit(struct adopt *adopt, const struct adopt_limit *limit);

/* adopt_quoted - a text in quotation marks, as libconfig reads it; on adopt */
const char *adopt_quoted(struct adopt *adopt, const char *text);

/* adopt_list - texts as a list of libconfig: ["a", "b"] */
const char *adopt_list(struct adopt *adopt, const struct adopt_texts *texts);

/* adopt_shell - a text as one word of a shell */
const char *adopt_shell(struct adopt *adopt, const char *text);

/* adopt_file - a whole file, bounded; NULL and errno, or EFBIG */
char *adopt_file(struct adopt *adopt, const char *path);

/* adopt_read_file - the same, noted in the report: as read, or as missing if it cannot be read */
char *adopt_read_file(struct adopt *adopt, const char *path);

/* adopt_next_line - cut the next line off a text; NULL at the end. *number counts. */
char *adopt_next_line(char **text, int *number);

/* adopt_add_domain - an own domain */
void adopt_add_domain(struct adopt *adopt, const char *domain);

/* adopt_first - the first of some paths, ended by NULL, that exists; or NULL */
const char *adopt_first(const char *const *paths);

/* --- words.c --------------------------------------------------------------- */

/* adopt_action - what an action of Postfix's access(5) does: "tempfail", "reject" ...; NULL: an
 * action that no limit has here */
const char *adopt_action(const char *text);

/* adopt_number - a whole number up to max, with blanks around it */
bool adopt_number(const char *text, uint64_t max, uint64_t *number_r);

/* --- the parts ------------------------------------------------------------- */

/* from_postfix.c: the instances; false and *error_r: none can be read */
bool adopt_postfix_read(struct adopt *adopt, const char **error_r);
void adopt_postfix(struct adopt *adopt);
/* postfix_services.c: a service for a content filter of this host */
bool adopt_takes_mail_back(const struct postfix_service *service);

/* adopt_back_service - the command that restores a -o of a service, as it was written or absent */
void adopt_back_service(struct adopt *adopt, const struct postfix *postfix,
    const struct postfix_service *service, const char *name);
/* postfix_listeners.c, postfix_milters.c, postfix_owners.c */
void adopt_postfix_listeners(struct adopt *adopt);
void adopt_postfix_milters(struct adopt *adopt, const struct postfix *postfix);
/* postfix_policies.c: what may go; after the limits are written */
bool adopt_same_place(
    struct adopt *adopt, const struct postfix *postfix, const char *ours, const char *theirs);
void adopt_postfix_policies(struct adopt *adopt);
void adopt_postfix_owners(struct adopt *adopt);
/* networks.c: mynetworks and the like to a listener of role relay */
void adopt_networks(struct adopt *adopt, const char *value, const char *from);

/* adopt_except - hosts of these networks that may not; network: one, without the "!" */
void adopt_except(struct adopt *adopt, const char *network, const char *from);
void adopt_set_networks(struct adopt *adopt);
/* from_sendmail.c */
bool adopt_sendmail_read(struct adopt *adopt, const char **error_r);
void adopt_sendmail(struct adopt *adopt);
/* from_opendkim.c */
void adopt_opendkim(struct adopt *adopt);
/* opendmarc.c: what is to be known of OpenDMARC before it may go */
void adopt_note_opendmarc(struct adopt *adopt, const char *where, const char *endpoint);
/* keys.c: the commands that make key files readable, and the daemon's group */
const char *adopt_group(void);
void adopt_own_table(struct adopt *adopt, const char *path);
void adopt_own_keys(struct adopt *adopt, const struct adopt_texts *files, const char *key_table);
/* sources.c: the policy services; each reader takes a path */
void adopt_sources(struct adopt *adopt);
void adopt_policyd(struct adopt *adopt, const char *path);
void adopt_postfwd(struct adopt *adopt, const char *path);
void adopt_rate_limit(struct adopt *adopt, const char *path);
void adopt_rspamd(struct adopt *adopt, const char *path);
/* listen.c: a port that is free, or a socket */
void adopt_listen(struct adopt *adopt);
/* plans.c: the limits as plans.conf */
void adopt_write_plans(struct adopt *adopt, FILE *file);
/* write.c */
bool adopt_write(struct adopt *adopt, const char **error_r);

#endif

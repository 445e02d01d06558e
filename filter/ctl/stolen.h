/*
 * stolen.h - what this host alone knows about a theft: the queue and the mail log of the MTA
 *
 * For ctl_stolen.c. Threads: there is one.
 */
#ifndef FILTER_CTL_STOLEN_H
#define FILTER_CTL_STOLEN_H

#include <jansson.h>
#include <stdbool.h>

#include "filter/mta/command.h"

#define STOLEN_WAIT_MS	600000	/* for a program of the MTA: a queue may be large */
#define STOLEN_DOMAINS_MAX	10000	/* counted each; others are "other" */

/* stolen_bump - add n to a number of an object */
void stolen_bump(json_t *object, const char *name, json_int_t n);

/* stolen_domain - the object of a domain in domains, made if it is not there */
json_t *stolen_domain(json_t *domains, const char *address, size_t len);

/* stolen_ids - the queue ids of an answer, as the members of an object; a new reference */
json_t *stolen_ids(const json_t *answer);

/*
 * stolen_queue - what the account of an answer has in the queue of Postfix on this host
 * {"ids": [...], "queues": {"deferred": 3}, "domains": {...}}: messages by queue id, or by an
 * envelope sender of the account. NULL: there is no postqueue here, or it fails. A new reference.
 */
json_t *stolen_queue(const json_t *answer);

/* stolen_lines - run a program of the MTA with one option, or NULL, and take its lines; its exit
 * status, or -1: it is not there, or did not end */
int stolen_lines(const char *program, const char *option, command_line_fn *line, void *arg);

/* stolen_run - run a program of the MTA with two options and an input, and print what it says to
 * standard error; false: it failed */
bool stolen_run(const char *const *words, const char *input);

/* stolen_sendmail - the same of Sendmail, with "mta": "sendmail" */
json_t *stolen_sendmail(const json_t *answer);

/* stolen_sendmail_pull - put these in quarantine with sendmail(8); false: it failed */
bool stolen_sendmail_pull(const json_t *ids);

/* stolen_is_id - a queue id, and nothing else? */
bool stolen_is_id(const char *text);

/* stolen_has_sender - is that an envelope sender of the account? The null sender is everyone's. */
bool stolen_has_sender(const json_t *answer, const char *sender);

/* stolen_pull - put these on hold with postsuper(1), printing each; false: it failed */
bool stolen_pull(const json_t *ids);

/*
 * stolen_log - count in domains what the mail log at path says of the messages of an answer:
 * {"sent": 3, "bounced": 1, "deferred": 2} for each domain
 * False: it cannot be read.
 */
bool stolen_log(const json_t *answer, const char *path, json_t *domains);

#endif

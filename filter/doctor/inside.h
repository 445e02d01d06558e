/*
 * inside.h - what the checks of the doctor share
 *
 * A check is a row of the table in doctor.c. Its function gets an exam: the site, which is
 * read only by then, and a context of its own for findings and everything else. Several rows may
 * share a function that finds several things in one pass.
 */
#ifndef FILTER_DOCTOR_INSIDE_H
#define FILTER_DOCTOR_INSIDE_H

#include <stdint.h>

#include "filter/dns/resolver.h"
#include "filter/doctor/types.h"
#include "filter/mta/postfix.h"
#include "filter/mta/sendmail.h"
#include "policy/base/netblock.h"

#define SITE_ADDRESSES_MAX	16
#define SITE_DOMAINS_MAX	200

/* An address that others see. */
struct site_address {
	const char *text;
	struct ip_address ip;
};

/* What is known of a site before the checks begin. */
struct site {
	const struct doctor_options *options;
	int64_t deadline_ms;	/* clock_ms() by which every check must be done */
	const struct config *config; /* NULL: it has errors */
	const char *config_errors; /* lines, with config NULL */
	const struct postfix *postfix; /* NULL: none was found, or it cannot be read */
	const struct sendmail *sendmail; /* the same */
	const char *mta_problem; /* why an MTA that is there cannot be read, or NULL */
	struct resolver *resolver; /* NULL: no DNS */
	const char *const *dns_servers; /* NULL-terminated, "ADDRESS" or "ADDRESS@PORT" */
	const bool *dns_alive;	/* of each */
	const int64_t *dns_ms;	/* how long each took */
	size_t n_dns_servers;
	bool dns_strips;	/* a trust anchor is set, and servers give no signatures */
	struct site_address addresses[SITE_ADDRESSES_MAX];
	size_t n_addresses;	/* 0: not known, see hidden */
	const char *hidden;	/* why addresses are not known, or NULL */
	bool smarthost;		/* mail goes out through another host */
	bool sends;		/* mail of own domains is sent here, not only taken */
	const struct postfix_service *client; /* that sends mail out, or NULL */
	const char *helo;	/* the name this host says to others, or NULL */
	const char *helo_where;
	const char *domains[SITE_DOMAINS_MAX]; /* own ones, normal form */
	size_t n_domains;
	const char *mta_domains[SITE_DOMAINS_MAX]; /* those for which the MTA takes mail */
	size_t n_mta_domains;
	const struct signers *signers; /* NULL: nothing is signed, or keys have errors */
	const char *signers_errors; /* lines, or NULL */
	struct keyring_options reader; /* as whom the daemon reads */
	bool reader_known;
};

/* One run of one check. */
struct exam {
	const struct site *site;
	TALLOC_CTX *ctx;	/* of this exam alone */
	struct doctor_finding *findings;
	size_t n;
};

typedef void exam_fn(struct exam *exam);

/*
 * exam_add - a finding with the level of the table
 * where and cure may be NULL. A second finding of this id and place is dropped.
 */
void exam_add(struct exam *exam, const char *id, const char *where, const char *cure,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* exam_add_level - the same with another level */
void exam_add_level(struct exam *exam, enum doctor_level level, const char *id, const char *where,
    const char *cure, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* exam_text - a text on the exam's context */
const char *exam_text(struct exam *exam, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* exam_shown - strangers' octets, printable and not too long */
const char *exam_shown(struct exam *exam, const char *text, size_t len);

/* exam_ask - a DNS question, within the deadline; never NULL. DNS_FAILURE without DNS. */
struct dns_answer *exam_ask(struct exam *exam, const char *name, enum dns_type type);

/* exam_deadline - so many milliseconds from now, but not later than that of all checks */
int64_t exam_deadline(const struct exam *exam, int64_t ms);

/* exam_ahead - ask ahead what exam_ask will ask */
void exam_ahead(struct exam *exam, const char *name, enum dns_type type);

/* exam_dns_unknown - is the answer none? Then a finding of id says so, once a name. */
bool exam_dns_unknown(struct exam *exam, const char *id, const char *name,
    const struct dns_answer *answer);

/* exam_daemon_answers - does a daemon answer on the control socket? */
bool exam_daemon_answers(struct exam *exam);

/* exam_daemon_pid - the process that listens on the control socket, or 0 */
pid_t exam_daemon_pid(const char *control);

/* helo_fault - what is wrong with a HELO name itself, or NULL */
const char *helo_fault(const char *name);

/* exam_file_where - "file:line" of the first line of the configuration that begins with a name */
const char *exam_file_where(struct exam *exam, const char *name);

/* An endpoint, Postfix's or libmilter's, well written or not. */
struct endpoint {
	const char *path;	/* of a unix socket, or NULL */
	const char *host;	/* else these; may be "" */
	const char *port;
};

/* endpoint_is_number - digits only */
bool endpoint_is_number(const char *text);

/* endpoint_read - generous: errors that postfix.milter-address reports are read as meant; parts
 * are on ctx or point into text */
struct endpoint endpoint_read(TALLOC_CTX *ctx, const char *text);

/* site_milters_off - does receive_override_options switch the milters of a service off? */
bool site_milters_off(
    TALLOC_CTX *ctx, const struct site *site, const struct postfix_service *service);

/* site_outside - does the host's name or address in a service's field reach strangers? */
bool site_outside(const struct site *site, const struct postfix_service *service);

/* site_same_endpoint - do two ways to write an endpoint lead to one place? a: seen from Postfix */
bool site_same_endpoint(
    TALLOC_CTX *ctx, const struct site *site, const char *a, const char *b);

/* site_names_us - does a milter's endpoint lead to our socket, for a service (NULL: cleanup)? */
bool site_names_us(TALLOC_CTX *ctx, const struct site *site,
    const struct postfix_service *service, const char *endpoint);

/* site_our_milter - ours in a list of a service, or NULL; on ctx */
const struct postfix_milter *site_our_milter(TALLOC_CTX *ctx, const struct site *site,
    const struct postfix_service *service, const char *parameter);

/* site_cleanup - the service that runs non_smtpd_milters, or NULL. With Postfix only. */
const struct postfix_service *site_cleanup(const struct site *site);

/* site_misspelt - has Postfix an unused parameter whose name holds this? Then what its absence
 * causes is no finding of its own. */
bool site_misspelt(const struct site *site, const char *part);

/* site_sendmail_filter - the X line of sendmail.cf with our socket, or NULL. With Sendmail only. */
const struct sendmail_line *site_sendmail_filter(TALLOC_CTX *ctx, const struct site *site);

/* site_text_table - the file of a table that is text (texthash:, or what hash: and the like were
 * made of), or NULL */
const char *site_text_table(const char *spec);

/* site_sendmail_asks - has Sendmail a listener that asks for logins (M=a)? */
bool site_sendmail_asks(TALLOC_CTX *ctx, const struct sendmail *sendmail);

/* site_reads, site_writes - may the daemon's account read a file, write to a directory? True if
 * that account or the file is not known. */
bool site_reads(const struct site *site, const char *path);
bool site_writes(const struct site *site, const char *path);

/* The checks, by file. */
exam_fn examine_config, examine_control;		/* check_config.c */
exam_fn examine_disk, examine_clock, examine_descriptors, examine_libraries,
    examine_mtas;						/* check_host.c */
exam_fn examine_milter, examine_milter_parameters, examine_reinjection, examine_local_mail,
    examine_timeouts;						/* check_milter.c */
exam_fn examine_signing;					/* check_signing.c */
exam_fn examine_queue, examine_log;				/* check_queue.c */
exam_fn examine_rbl;						/* check_rbl.c */
exam_fn examine_socket;						/* check_socket.c */
exam_fn examine_listeners, examine_owners, examine_realm;		/* check_listeners.c */
exam_fn examine_sendmail;						/* check_sendmail.c */
exam_fn examine_addresses, examine_helo, examine_mx, examine_resolver;	/* check_dns.c */
exam_fn examine_spf;						/* check_spf.c */
exam_fn examine_dkim;						/* check_dkim.c */
exam_fn examine_dmarc;						/* check_dmarc.c */
exam_fn examine_certificates, examine_tls_settings;			/* check_tls.c */
exam_fn examine_ports;						/* check_ports.c */
exam_fn examine_auth, examine_relay;				/* check_relay.c */
exam_fn examine_redis, examine_redis_state;			/* check_redis.c */
exam_fn examine_store, examine_tables;				/* check_store.c */

#endif

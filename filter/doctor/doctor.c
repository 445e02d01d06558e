/*
 * doctor.c - what is wrong with a site: the table of checks, and running them
 *
 * Each function of the table runs once, in a thread of its own, with a context of its own; so no
 * check waits for another's server. Threads that do not end by the deadline are left behind with
 * all that they use; the last of them frees it.
 *
 * Thread rule: the site is complete before the first thread starts and only read from then on. An
 * exam belongs to its thread until that has set `done` under the crew's lock.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/doctor/doctor.h"
#include "filter/doctor/inside.h"
#include "filter/doctor/site.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define DOCTOR_NEAR	5	/* letters of an id that may be wrong, and one */

/* When a check is made. */
enum doctor_when {
	BY_HAND,		/* by countersignctl doctor */
	BY_DAEMON,		/* the daemon makes it by itself, too */
	ON_REQUEST		/* only if --only names it */
};

/* One check. */
struct doctor_check {
	const char *id;
	enum doctor_level level; /* of its worst finding */
	exam_fn *run;
	enum doctor_when when;
	const char *what;	/* when it is found */
};

static const struct doctor_check doctor_checks[] = {
	/* mail passes unchecked, is lost, or no user can send */
	{ "config.syntax", DOCTOR_ERROR, examine_config, BY_HAND,
	    "countersign would not start with its configuration" },
	{ "config.not-loaded", DOCTOR_WARNING, examine_config, BY_HAND,
	    "a file of the configuration is newer than what the daemon has read, or its program "
	    "was replaced" },
	{ "config.watch", DOCTOR_WARNING, examine_config, BY_HAND,
	    "mode is watch, and the file has been as it is for two weeks" },
	{ "postfix.milter-missing", DOCTOR_ERROR, examine_milter, BY_HAND,
	    "a service with AUTH does not use countersign" },
	{ "postfix.milter-off-by-override", DOCTOR_ERROR, examine_milter, BY_HAND,
	    "a service with AUTH switches the milters off in master.cf" },
	{ "postfix.milter-default-action", DOCTOR_ERROR, examine_milter, BY_HAND,
	    "mail passes unchecked, or is rejected, while countersign is away" },
	{ "postfix.milter-maps", DOCTOR_ERROR, examine_milter, BY_HAND,
	    "smtpd_milter_maps switches the milters off for clients that may log in" },
	{ "postfix.milter-protocol", DOCTOR_ERROR, examine_milter, BY_HAND,
	    "milter_protocol is below 6, so that countersign defers all mail" },
	{ "postfix.milter-address", DOCTOR_ERROR, examine_milter_parameters, BY_HAND,
	    "a milter is written in a way that Postfix does not understand" },
	{ "postfix.unused-parameter", DOCTOR_ERROR, examine_milter_parameters, BY_HAND,
	    "a parameter has no effect because its name is misspelled" },
	{ "postfix.master-syntax", DOCTOR_ERROR, examine_milter_parameters, BY_HAND,
	    "a line of master.cf cannot be read, such as an -o with blanks around its \"=\"" },
	{ "postfix.postscreen-override", DOCTOR_ERROR, examine_milter_parameters, BY_HAND,
	    "options about milters are set at postscreen, which ignores them" },
	{ "postfix.reinjection", DOCTOR_ERROR, examine_reinjection, BY_HAND,
	    "mail that a content filter hands back is checked, counted and signed again" },
	{ "postfix.local-mail", DOCTOR_WARNING, examine_local_mail, BY_HAND,
	    "mail of sendmail(1) is not signed" },
	{ "socket.chroot", DOCTOR_ERROR, examine_socket, BY_HAND,
	    "the milter socket is outside of the chroot of the service" },
	{ "socket.permission", DOCTOR_ERROR, examine_socket, BY_HAND,
	    "Postfix may not use the milter socket" },
	{ "socket.dead", DOCTOR_ERROR, examine_socket, BY_DAEMON,
	    "no countersign answers on the milter socket" },
	{ "socket.open-to-network", DOCTOR_ERROR, examine_socket, BY_HAND,
	    "the milter socket can be reached from other hosts" },
	{ "listener.no-match", DOCTOR_ERROR, examine_listeners, BY_HAND,
	    "no listener matches the mail of a service" },
	{ "listener.wrong-role", DOCTOR_ERROR, examine_listeners, BY_HAND,
	    "a service with AUTH has the role inbound or relay" },
	{ "listener.never-reached", DOCTOR_ERROR, examine_config, BY_HAND,
	    "an earlier listener takes all that a listener could take" },
	{ "sendmail.no-filter", DOCTOR_ERROR, examine_sendmail, BY_HAND,
	    "Sendmail does not use countersign" },
	{ "sendmail.flag", DOCTOR_ERROR, examine_sendmail, BY_HAND,
	    "mail passes unchecked, or is rejected, while countersign is away" },
	{ "sendmail.socket-unsafe", DOCTOR_ERROR, examine_sendmail, BY_HAND,
	    "Sendmail refuses the socket because others can write to its path" },
	{ "owners.none", DOCTOR_ERROR, examine_owners, BY_HAND,
	    "Postfix knows who owns which address, and countersign does not" },
	{ "owners.differ", DOCTOR_WARNING, examine_owners, BY_HAND,
	    "Postfix and countersign use different tables of owners" },
	{ "owners.table", DOCTOR_ERROR, examine_tables, BY_HAND,
	    "a table cannot be opened, or its server does not answer" },
	{ "realm.missing", DOCTOR_ERROR, examine_realm, BY_HAND,
	    "logins have no domain, and realm is not set" },
	{ "delimiter.differs", DOCTOR_WARNING, examine_owners, BY_HAND,
	    "recipient_delimiter differs between Postfix and countersign" },

	/* others refuse it */
	{ "rdns.missing", DOCTOR_ERROR, examine_addresses, BY_HAND,
	    "an outgoing address has no name in DNS" },
	{ "rdns.not-confirmed", DOCTOR_ERROR, examine_addresses, BY_HAND,
	    "the name of an outgoing address does not lead back to it" },
	{ "rdns.generic", DOCTOR_WARNING, examine_addresses, BY_HAND,
	    "the name of an outgoing address looks like one of a provider's pool" },
	{ "rdns.other-than-helo", DOCTOR_WARNING, examine_addresses, BY_HAND,
	    "the name of an outgoing address is not the HELO name" },
	{ "helo.bad", DOCTOR_ERROR, examine_helo, BY_HAND,
	    "the HELO name is not a name that others can look up" },
	{ "helo.elsewhere", DOCTOR_WARNING, examine_helo, BY_HAND,
	    "the HELO name has other addresses than the outgoing ones" },
	{ "spf.missing", DOCTOR_ERROR, examine_spf, BY_DAEMON, "an own domain has no SPF record" },
	{ "spf.several", DOCTOR_ERROR, examine_spf, BY_DAEMON,
	    "an own domain has several SPF records" },
	{ "spf.misses-us", DOCTOR_ERROR, examine_spf, BY_DAEMON,
	    "the SPF record of an own domain does not pass an outgoing address" },
	{ "spf.too-many", DOCTOR_ERROR, examine_spf, BY_DAEMON,
	    "an SPF record needs more DNS queries than are allowed, or nearly" },
	{ "spf.syntax", DOCTOR_ERROR, examine_spf, BY_DAEMON, "an SPF record is in error" },
	{ "spf.pass-all", DOCTOR_ERROR, examine_spf, BY_DAEMON,
	    "an SPF record passes every client" },
	{ "spf.open-end", DOCTOR_WARNING, examine_spf, BY_HAND,
	    "an SPF record ends without all and redirect, or in ?all" },
	{ "spf.ptr", DOCTOR_WARNING, examine_spf, BY_HAND, "an SPF record uses ptr" },
	{ "spf.helo", DOCTOR_WARNING, examine_spf, BY_HAND, "the HELO name has no SPF record" },
	{ "dkim.no-record", DOCTOR_ERROR, examine_dkim, BY_DAEMON, "a key has no DNS record" },
	{ "dkim.other-key", DOCTOR_ERROR, examine_dkim, BY_DAEMON,
	    "the DNS record of a key holds another key" },
	{ "dkim.revoked", DOCTOR_ERROR, examine_dkim, BY_DAEMON,
	    "the DNS record of a key revokes it" },
	{ "dkim.unusable", DOCTOR_ERROR, examine_dkim, BY_DAEMON,
	    "the DNS record of a key cannot be used to verify" },
	{ "dkim.several-records", DOCTOR_ERROR, examine_dkim, BY_DAEMON,
	    "there are several TXT records at the name of a key" },
	{ "dkim.test-flag", DOCTOR_WARNING, examine_dkim, BY_HAND,
	    "the DNS record of a key has t=y" },
	{ "dkim.short", DOCTOR_ERROR, examine_dkim, BY_HAND,
	    "an RSA key is below 1024 bits (warning: below 2048)" },
	{ "dkim.no-key", DOCTOR_WARNING, examine_dkim, BY_DAEMON, "an own domain has no key" },
	{ "dkim.key-old", DOCTOR_WARNING, examine_dkim, BY_HAND,
	    "all keys of a domain are older than a year" },
	{ "dmarc.missing", DOCTOR_WARNING, examine_dmarc, BY_DAEMON,
	    "an own domain has no DMARC record" },
	{ "dmarc.several", DOCTOR_ERROR, examine_dmarc, BY_DAEMON,
	    "an own domain has several DMARC records" },
	{ "dmarc.syntax", DOCTOR_ERROR, examine_dmarc, BY_DAEMON, "a DMARC record is in error" },
	{ "dmarc.none-no-rua", DOCTOR_WARNING, examine_dmarc, BY_DAEMON,
	    "a DMARC record has p=none and requests no reports" },
	{ "dmarc.rua-unauthorised", DOCTOR_WARNING, examine_dmarc, BY_DAEMON,
	    "the receiver of DMARC reports has not agreed to get them" },
	{ "mx.missing", DOCTOR_WARNING, examine_mx, BY_HAND, "an own domain cannot get mail" },
	{ "mx.unresolved", DOCTOR_ERROR, examine_mx, BY_HAND, "an MX host has no address" },
	{ "mx.is-address", DOCTOR_ERROR, examine_mx, BY_HAND, "an MX is an address, not a name" },
	{ "mx.cname", DOCTOR_WARNING, examine_mx, BY_HAND, "an MX is an alias" },
	{ "mx.not-here", DOCTOR_OK, examine_mx, BY_HAND,
	    "mail to an own domain goes to another host" },
	{ "dns.bogus", DOCTOR_ERROR, examine_mx, BY_HAND, "DNSSEC of an own domain fails" },

	/* TLS and passwords */
	{ "tls.expired", DOCTOR_ERROR, examine_certificates, BY_HAND, "a certificate has expired" },
	{ "tls.expires-soon", DOCTOR_WARNING, examine_certificates, BY_HAND,
	    "a certificate expires within 14 days" },
	{ "tls.served-old", DOCTOR_ERROR, examine_ports, BY_HAND,
	    "a port serves another certificate than the one in the file" },
	{ "tls.name", DOCTOR_ERROR, examine_certificates, BY_HAND,
	    "a certificate does not have the name of this host" },
	{ "tls.key-mismatch", DOCTOR_ERROR, examine_certificates, BY_HAND,
	    "the key does not belong to the certificate" },
	{ "tls.unreadable", DOCTOR_ERROR, examine_certificates, BY_HAND,
	    "a certificate or its key cannot be read" },
	{ "tls.chain", DOCTOR_ERROR, examine_certificates, BY_HAND,
	    "the intermediate certificate is missing" },
	{ "tls.self-signed", DOCTOR_WARNING, examine_certificates, BY_HAND,
	    "users get a self-signed certificate" },
	{ "tls.key-open", DOCTOR_ERROR, examine_certificates, BY_HAND,
	    "others can read the key of a certificate" },
	{ "tls.not-offered", DOCTOR_ERROR, examine_tls_settings, BY_HAND,
	    "users cannot use TLS (port 25: warning)" },
	{ "tls.wrapper", DOCTOR_ERROR, examine_tls_settings, BY_HAND,
	    "port 465 without smtpd_tls_wrappermode, or 587 with it" },
	{ "tls.old-protocol", DOCTOR_WARNING, examine_tls_settings, BY_HAND,
	    "TLS before 1.2 is allowed" },
	{ "auth.without-tls", DOCTOR_ERROR, examine_tls_settings, BY_HAND,
	    "passwords may be sent without TLS" },
	{ "auth.on-25", DOCTOR_WARNING, examine_auth, BY_HAND, "port 25 offers AUTH" },
	{ "auth.anonymous", DOCTOR_ERROR, examine_auth, BY_HAND, "anonymous logins are allowed" },
	{ "auth.none", DOCTOR_ERROR, examine_auth, BY_HAND,
	    "a listener has the role submission, and nothing offers AUTH" },
	{ "relay.open", DOCTOR_ERROR, examine_relay, BY_HAND, "strangers can relay" },
	{ "relay.networks", DOCTOR_ERROR, examine_relay, BY_HAND,
	    "mynetworks holds networks of strangers (warning: is wider than it should be)" },
	{ "relay.submission-networks", DOCTOR_WARNING, examine_relay, BY_HAND,
	    "mynetworks may send on the submission port without a login" },

	/* signatures */
	{ "sign.twice", DOCTOR_WARNING, examine_signing, BY_HAND,
	    "another filter signs for the same domains" },
	{ "sign.order", DOCTOR_WARNING, examine_signing, BY_HAND,
	    "another filter may change mail after it was signed" },
	{ "sign.smtp-header-checks", DOCTOR_WARNING, examine_signing, BY_HAND,
	    "Postfix may rewrite mail after it was signed" },
	{ "sendmail.masquerade", DOCTOR_ERROR, examine_sendmail, BY_HAND,
	    "Sendmail rewrites From after the message was signed" },
	{ "sendmail.quote-chars", DOCTOR_WARNING, examine_sendmail, BY_HAND,
	    "Sendmail quotes names with a full stop after they were signed" },
	{ "ar.authserv-id", DOCTOR_WARNING, examine_signing, BY_HAND,
	    "another filter writes Authentication-Results under the name of countersign" },
	{ "timeout.command", DOCTOR_ERROR, examine_timeouts, BY_HAND,
	    "the MTA waits less long than an SPF check may take" },
	{ "timeout.content", DOCTOR_WARNING, examine_timeouts, BY_HAND,
	    "the MTA waits less than a minute for the end of a message" },

	/* limits, Redis, files, host */
	{ "quota.none", DOCTOR_WARNING, examine_store, BY_HAND, "no plan limits what users send" },
	{ "redis.away", DOCTOR_ERROR, examine_redis, BY_DAEMON, "Redis does not answer" },
	{ "redis.auth", DOCTOR_ERROR, examine_redis, BY_DAEMON,
	    "Redis does not accept the password" },
	{ "redis.evicts", DOCTOR_ERROR, examine_redis, BY_DAEMON,
	    "Redis may throw counters away when its memory is full" },
	{ "redis.forgets", DOCTOR_WARNING, examine_redis, BY_DAEMON,
	    "Redis keeps nothing on disk" },
	{ "redis.replica", DOCTOR_ERROR, examine_redis, BY_DAEMON, "Redis is a replica" },
	{ "redis.refuses-writes", DOCTOR_ERROR, examine_redis, BY_DAEMON, "Redis refuses writes" },
	{ "redis.acl", DOCTOR_ERROR, examine_redis, BY_DAEMON,
	    "the user of Redis may not do what countersign needs" },
	{ "redis.version", DOCTOR_ERROR, examine_redis, BY_HAND, "Redis is older than version 5" },
	{ "redis.lua-hole", DOCTOR_WARNING, examine_redis, BY_HAND,
	    "Redis is of a version with a known hole" },
	{ "redis.cluster-mode", DOCTOR_ERROR, examine_redis, BY_HAND,
	    "Redis is a Cluster and cluster is not set, or the reverse" },
	{ "redis.open", DOCTOR_ERROR, examine_redis, BY_HAND,
	    "Redis can be reached from other hosts without a password" },
	{ "redis.clock", DOCTOR_WARNING, examine_redis, BY_HAND,
	    "the clocks of Redis and of this host differ by more than 2 s" },
	{ "redis.slow", DOCTOR_WARNING, examine_redis, BY_HAND,
	    "Redis needs more than half of its deadline to answer" },
	{ "store.unwritable", DOCTOR_ERROR, examine_store, BY_HAND,
	    "the daemon may not write the file of the counters" },
	{ "store.embedded", DOCTOR_WARNING, examine_store, BY_HAND,
	    "a restart forgets what counts towards limits of a day" },
	{ "key.open", DOCTOR_ERROR, examine_config, BY_HAND, "others can read or change a key" },
	{ "key.unreadable", DOCTOR_ERROR, examine_config, BY_HAND, "the daemon cannot read a key" },
	{ "key.directory", DOCTOR_ERROR, examine_config, BY_HAND,
	    "others can put keys into a directory of keys" },
	{ "secret.open", DOCTOR_WARNING, examine_tables, BY_HAND,
	    "others can read a file that holds a password" },
	{ "control.missing", DOCTOR_WARNING, examine_control, BY_HAND,
	    "no control socket is configured" },
	{ "control.open", DOCTOR_WARNING, examine_control, BY_HAND,
	    "the control socket is open to everyone, or to a group of users or servers" },
	{ "clock.off", DOCTOR_ERROR, examine_clock, BY_HAND, "the clock of this host is wrong" },
	{ "disk.full", DOCTOR_ERROR, examine_disk, BY_HAND,
	    "less than 2 % of a disk is free (warning: less than 10 %)" },
	{ "fd.limit", DOCTOR_WARNING, examine_descriptors, BY_HAND,
	    "the MTA may begin more sessions than countersign may have files open" },
	{ "resolver.dead", DOCTOR_ERROR, examine_resolver, BY_HAND, "no DNS server answers" },
	{ "resolver.slow", DOCTOR_WARNING, examine_resolver, BY_HAND,
	    "a DNS server needs more than a second" },
	{ "resolver.no-tcp", DOCTOR_WARNING, examine_resolver, BY_HAND,
	    "a DNS server does not answer by TCP" },
	{ "resolver.lies", DOCTOR_WARNING, examine_resolver, BY_HAND,
	    "names that do not exist have an address" },
	{ "resolver.not-validating", DOCTOR_WARNING, examine_resolver, BY_HAND,
	    "a DNS server of the list is dead, or leaves out what trust_anchor needs" },
	{ "library.hole", DOCTOR_WARNING, examine_libraries, BY_HAND,
	    "a library in use is of a version with a known hole" },
	{ "log.milter-warnings", DOCTOR_WARNING, examine_log, BY_HAND,
	    "within a day, Postfix has warned of countersign" },
	{ "queue.long", DOCTOR_WARNING, examine_queue, BY_HAND,
	    "over 100 messages are deferred, and most are of one sender" },
	{ "two.mtas", DOCTOR_WARNING, examine_mtas, BY_HAND,
	    "Postfix and Sendmail are both there, or another MTA has port 25" },
	{ "rbl.listed", DOCTOR_WARNING, examine_rbl, ON_REQUEST,
	    "a blocklist has an outgoing address (only if --only names this check)" },
};
#define DOCTOR_CHECKS	(sizeof(doctor_checks) / sizeof(doctor_checks[0]))

/* Checks that a second function makes, too. */
static const struct { const char *id; exam_fn *run; } doctor_also[] = {
	{ "relay.open", examine_sendmail },
	{ "auth.none", examine_sendmail },
	{ "auth.without-tls", examine_sendmail },
	{ "auth.without-tls", examine_ports },
	{ "tls.not-offered", examine_ports },
	{ "key.unreadable", examine_dkim },
	{ "dkim.short", examine_config },
	{ "clock.off", examine_redis },
};

static const struct doctor_check *
doctor_find(const char *id)
{
	for (size_t i = 0; i < DOCTOR_CHECKS; i++)
		if (strcmp(doctor_checks[i].id, id) == 0)
			return &doctor_checks[i];
	return NULL;
}

bool
doctor_known(const char *id, const char **near_r)
{
	unsigned int least = DOCTOR_NEAR;

	*near_r = NULL;
	if (doctor_find(id) != NULL)
		return true;
	for (size_t i = 0; i < DOCTOR_CHECKS; i++) {
		const char *behind = strchr(doctor_checks[i].id, '.') + 1;
		unsigned int away = text_distance(id, doctor_checks[i].id);

		/* without the part before the dot, it is meant as well */
		if (away > text_distance(id, behind) + 1)
			away = text_distance(id, behind) + 1;
		if (away < least) {
			least = away;
			*near_r = doctor_checks[i].id;
		}
	}
	return false;
}

const char *
doctor_level_word(enum doctor_level level)
{
	static const char *const words[DOCTOR_LEVELS] = { "ok", "unknown", "warning", "error" };

	return words[level];
}

/* --- running --------------------------------------------------------------- */

/* All exams of one examination. */
struct crew {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	struct site *site;
	size_t running;		/* under lock */
	bool left;		/* no one waits any more: the last thread cleans up */
	struct crew_member *members;
	size_t n;		/* of members */
};

/* One thread. */
struct crew_member {
	struct crew *crew;
	exam_fn *run;
	const char *id;		/* of the first row with this function */
	struct exam exam;
	bool started;
	bool done;		/* under the crew's lock */
};

/* crew_free - with the site and what exams have that were not collected */
static void
crew_free(struct crew *crew)
{
	struct site *site = crew->site;

	for (size_t i = 0; i < crew->n; i++)
		talloc_free(crew->members[i].exam.ctx);
	(void)pthread_cond_destroy(&crew->ended);
	(void)pthread_mutex_destroy(&crew->lock);
	site_free(site);	/* the crew is below it */
}

/* crew_work - the thread */
static void *
crew_work(void *arg)
{
	struct crew_member *member = arg;
	struct crew *crew = member->crew;
	bool last;

	member->run(&member->exam);
	(void)pthread_mutex_lock(&crew->lock);
	member->done = true;
	last = --crew->running == 0 && crew->left;
	(void)pthread_cond_signal(&crew->ended);
	(void)pthread_mutex_unlock(&crew->lock);
	if (last)
		crew_free(crew);
	return NULL;
}

/* crew_finds - does a function find what a row is about? */
static bool
crew_finds(exam_fn *run, const struct doctor_check *check)
{
	bool finds = check->run == run;

	for (size_t i = 0; i < sizeof(doctor_also) / sizeof(doctor_also[0]); i++)
		finds = finds ||
		    (doctor_also[i].run == run && strcmp(doctor_also[i].id, check->id) == 0);
	return finds;
}

/* crew_wanted - is any row with this function asked for? */
static bool
crew_wanted(const struct doctor_options *options, exam_fn *run)
{
	for (size_t i = 0; i < DOCTOR_CHECKS; i++) {
		bool named = options->n_only == 0 && doctor_checks[i].when != ON_REQUEST;

		for (size_t k = 0; k < options->n_only; k++)
			named = named || strcmp(options->only[k], doctor_checks[i].id) == 0;
		if (crew_finds(run, &doctor_checks[i]) && named &&
		    (!options->by_daemon || doctor_checks[i].when == BY_DAEMON))
			return true;
	}
	return false;
}

/* crew_start - one thread for each function of the table */
static size_t
crew_start(struct crew *crew, struct crew_member *members)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	size_t n = 0;

	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	for (size_t i = 0; i < DOCTOR_CHECKS; i++) {
		struct crew_member *member = &members[n];
		pthread_t thread;
		bool known = false;

		for (size_t k = 0; k < n; k++)
			known = known || members[k].run == doctor_checks[i].run;
		if (known || !crew_wanted(crew->site->options, doctor_checks[i].run))
			continue;
		*member = (struct crew_member){ .crew = crew, .run = doctor_checks[i].run,
			.id = doctor_checks[i].id };
		/* not below ctx: it may outlive the examination */
		member->exam = (struct exam){ .site = crew->site,
			.ctx = mem_check(talloc_new(NULL)) };
		(void)pthread_mutex_lock(&crew->lock);
		crew->running++;
		(void)pthread_mutex_unlock(&crew->lock);
		member->started =
		    pthread_create(&thread, &attributes, crew_work, member) == 0;
		if (!member->started)
			(void)crew_work(member);
		n++;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	return n;
}

/* crew_wait - until all have ended, or the deadline and a little more */
static void
crew_wait(struct crew *crew)
{
	int64_t until_ms = crew->site->deadline_ms + 300;
	const struct timespec until = { .tv_sec = until_ms / 1000,
		.tv_nsec = until_ms % 1000 * 1000000 };

	while (crew->running > 0 &&
	    pthread_cond_timedwait(&crew->ended, &crew->lock, &until) == 0)
		;
}

/* --- the report ------------------------------------------------------------ */

/* report_wants - is this finding asked for? */
static bool
report_wants(const struct doctor_options *options, const char *id)
{
	const struct doctor_check *check = doctor_find(id);
	bool wanted = options->n_only == 0;

	for (size_t i = 0; i < options->n_only; i++)
		wanted = wanted || strcmp(options->only[i], id) == 0;
	for (size_t i = 0; i < options->n_skip; i++)
		wanted = wanted && strcmp(options->skip[i], id) != 0;
	return wanted && (!options->by_daemon || (check != NULL && check->when == BY_DAEMON));
}

/* report_add - copy a finding, if it is wanted and new */
static void
report_add(struct doctor_report *report, const struct doctor_options *options,
    const struct doctor_finding *finding)
{
	const struct doctor_check *check = doctor_find(finding->id);
	enum doctor_level level = finding->level;

	if (!report_wants(options, finding->id))
		return;
	for (size_t i = 0; i < report->n; i++)
		if (strcmp(report->findings[i].id, finding->id) == 0 &&
		    strcmp(report->findings[i].where, finding->where) == 0)
			return;
	report->findings =
	    mem_grow(report, report->findings, struct doctor_finding, report->n + 1);
	if (level == DOCTOR_LEVELS)
		level = check != NULL ? check->level : DOCTOR_ERROR;
	report->findings[report->n++] = (struct doctor_finding){ level,
		mem_strdup(report, finding->id), mem_strdup(report, finding->where),
		mem_strdup(report, finding->what), mem_strdup(report, finding->cure) };
	report->counts[level]++;
}

/* report_collect - what the exams found; those that did not end are unknown */
static void
report_collect(struct doctor_report *report, const struct doctor_options *options,
    struct crew_member *members, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct exam *exam = &members[i].exam;
		const struct doctor_finding late = { DOCTOR_UNKNOWN, members[i].id, "",
			"the check did not end in time", "" };

		if (!members[i].done)
			report_add(report, options, &late);
		for (size_t k = 0; members[i].done && k < exam->n; k++)
			report_add(report, options, &exam->findings[k]);
	}
}

/* report_order - errors first; in each level as the table has them */
static int
report_order(const void *a, const void *b)
{
	const struct doctor_finding *x = a, *y = b;
	const struct doctor_check *of_x = doctor_find(x->id), *of_y = doctor_find(y->id);

	if (x->level != y->level)
		return x->level > y->level ? -1 : 1;
	if (of_x != of_y)
		return of_x < of_y ? -1 : 1;
	return strcmp(x->where, y->where);
}

/* crew_new - with a condition that waits by the clock of deadlines */
static struct crew *
crew_new(struct site *site)
{
	struct crew *crew = mem_new(site, struct crew);
	pthread_condattr_t attributes;

	crew->site = site;
	(void)pthread_mutex_init(&crew->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&crew->ended, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	return crew;
}

struct doctor_report *
doctor_look_at_redis(TALLOC_CTX *ctx, const struct config *config)
{
	const struct doctor_options options = { .file = config->file, .by_daemon = true };
	struct doctor_report *report = mem_new(ctx, struct doctor_report);
	const struct site site = { .options = &options, .config = config };
	struct exam exam = { .site = &site, .ctx = report };

	examine_redis_state(&exam);
	for (size_t i = 0; i < exam.n; i++)
		report_add(report, &options, &exam.findings[i]);
	return report;
}

struct doctor_report *
doctor_examine(TALLOC_CTX *ctx, const struct doctor_options *options)
{
	struct doctor_report *report = mem_new(ctx, struct doctor_report);
	struct site *site = site_prepare(options, clock_ms() + DOCTOR_TIME_MS);
	struct crew *crew = crew_new(site);
	bool all;

	report->no_dns = site->resolver == NULL;
	crew->members = mem_array(site, struct crew_member, DOCTOR_CHECKS);
	crew->n = crew_start(crew, crew->members);
	(void)pthread_mutex_lock(&crew->lock);
	crew_wait(crew);
	all = crew->running == 0;
	crew->left = !all;
	report_collect(report, options, crew->members, crew->n);
	(void)pthread_mutex_unlock(&crew->lock);
	if (report->n > 1)
		qsort(report->findings, report->n, sizeof(report->findings[0]), report_order);
	if (all)
		crew_free(crew);
	return report;
}

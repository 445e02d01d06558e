/*
 * control_metrics.c - the command "metrics": all that is counted, as text for Prometheus
 *
 * Labels are bounded: names of listeners, which are the operator's, and words of this program.
 * No account, address or domain is ever one.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unbound.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/exposition.h"
#include "filter/control/control_asked.h"
#include "filter/dkim/key_watch.h"
#include "filter/dkim/signers.h"
#include "filter/dns/resolver.h"
#include "filter/table/open.h"
#include "policy/base/mem.h"
#include "policy/verdict/reply.h"

/* metrics_counter, metrics_gauge - a family of one sample */
static void
metrics_counter(struct exposition *out, const char *name, const char *help, double value)
{
	exposition_family(out, EXPOSITION_COUNTER, name, NULL, help);
	exposition_value(out, value, NULL);
}

static void
metrics_gauge(struct exposition *out, const char *name, const char *unit, const char *help,
    double value)
{
	exposition_family(out, EXPOSITION_GAUGE, name, unit, help);
	exposition_value(out, value, NULL);
}

/* reason_label - the word of a reason, as in the log */
static const char *
reason_label(int reason)
{
	return reason == REASON_NONE ? "none" : reply_row((enum reason)reason)->word;
}

/* put_listener - the decisions of one listener in one role that occurred, and "accept" always */
static void
put_listener(struct exposition *out, const struct figures_listener *listener,
    const figures_number counts[FIGURES_ACTIONS][REASON_COUNT], const char *label)
{
	for (int action = 0; action < FIGURES_ACTIONS; action++)
		for (int reason = 0; reason < REASON_COUNT; reason++) {
			double n = figures_read(&counts[action][reason]);

			if (n == 0 && (action != ACTION_ACCEPT || reason != REASON_NONE))
				continue;
			exposition_value(out, n, "listener", listener->name, "role",
			    role_word(listener->role), label, action_word((enum action)action),
			    "reason", reason_label(reason), NULL);
		}
}

/* name_listeners - those of the configuration are there before their first message */
static void
name_listeners(struct daemon *daemon)
{
	struct snapshot *snapshot = daemon_snapshot(daemon);
	const struct config *config = snapshot->config;

	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].role != ROLE_AUTO)
			(void)figures_listener(&daemon->figures, config->listeners[i].name,
			    config->listeners[i].role);
	snapshot_release(snapshot);
}

/* put_messages - decisions about messages */
static void
put_messages(struct exposition *out, const struct figures *figures)
{
	const struct figures_listener *listener;

	exposition_family(out, EXPOSITION_COUNTER, "countersign_messages", NULL,
	    "Decisions about messages, and about recipients refused one by one, by what was done.");
	for (size_t i = 0; i < FIGURES_LISTENERS; i++)
		if ((listener = atomic_load(&figures->listeners[i])) != NULL)
			put_listener(out, listener, listener->done, "action");
	exposition_family(out, EXPOSITION_COUNTER, "countersign_watched_messages", NULL,
	    "Decisions that mode watch did not carry out, by what mode enforce would have done.");
	for (size_t i = 0; i < FIGURES_LISTENERS; i++)
		if ((listener = atomic_load(&figures->listeners[i])) != NULL)
			put_listener(out, listener, listener->would, "would");
}

/* put_stages - how long each stage of a message took */
static void
put_stages(struct exposition *out, const struct figures *figures)
{
	static const char *const words[] = { [FIGURES_MAIL] = "mail", [FIGURES_RCPT] = "rcpt",
		[FIGURES_HEADER] = "header", [FIGURES_BODY] = "body", [FIGURES_END] = "end" };

	exposition_family(out, EXPOSITION_HISTOGRAM, "countersign_stage_duration_seconds",
	    "seconds", "Time that messages spent in each stage, waiting for DNS, tables and the "
	    "store included; rcpt is per recipient.");
	for (size_t i = 0; i < FIGURES_STAGES; i++)
		exposition_histogram(out, &figures->stages[i], "stage", words[i]);
}

/* put_checks - signatures, and the results of SPF, DKIM and DMARC */
static void
put_checks(struct exposition *out, const struct figures *figures)
{
	exposition_family(out, EXPOSITION_COUNTER, "countersign_signatures", NULL,
	    "Messages by our DKIM signature: pass is sent with one, fail has no usable key.");
	for (int i = OUTCOME_PASS; i < FIGURES_OUTCOMES; i++)
		exposition_value(out, figures_read(&figures->signatures[i]), "result",
		    outcome_word((enum outcome)i), NULL);
	exposition_family(out, EXPOSITION_COUNTER, "countersign_dkim_verifications", NULL,
	    "DKIM signatures of messages from outside, by result; none: messages without one.");
	for (int i = DKIM_IS_PASS; i < FIGURES_DKIM; i++)
		exposition_value(out, figures_read(&figures->verifications[i]), "result",
		    dkim_result_word((enum dkim_result)i), NULL);
	exposition_value(out, figures_read(&figures->unsigned_mail), "result", "none", NULL);
	exposition_family(out, EXPOSITION_COUNTER, "countersign_spf_checks", NULL,
	    "SPF checks by identity and result.");
	for (int i = SPF_IS_NONE; i < FIGURES_SPF; i++) {
		const char *word = spf_result_word((enum spf_result)i);

		exposition_value(out, figures_read(&figures->spf_mailfrom[i]), "identity",
		    "mailfrom", "result", word, NULL);
		exposition_value(out, figures_read(&figures->spf_helo[i]), "identity", "helo",
		    "result", word, NULL);
	}
	exposition_family(out, EXPOSITION_COUNTER, "countersign_dmarc_evaluations", NULL,
	    "DMARC evaluations by result.");
	for (int i = DMARC_IS_NONE; i < FIGURES_DMARC; i++)
		exposition_value(out, figures_read(&figures->dmarc[i]), "result",
		    dmarc_result_word((enum dmarc_result)i), NULL);
}

/* put_tables - lookups for messages, by type of table */
static void
put_tables(struct exposition *out, const struct figures *figures)
{
	static const char *const words[] = { [TABLE_FOUND] = "hit", [TABLE_NOT_FOUND] = "miss",
		[TABLE_TEMPERROR] = "failure" };
	const char *type;

	exposition_family(out, EXPOSITION_COUNTER, "countersign_table_lookups", NULL,
	    "Lookups in tables for messages, by type of table and result.");
	for (size_t i = 0; i < FIGURES_TABLES && (type = table_type_name(i)) != NULL; i++) {
		double sum = 0;

		for (int j = 0; j < 3; j++)
			sum += figures_read(&figures->tables[i][j]);
		for (int j = 0; j < 3 && sum > 0; j++)
			exposition_value(out, figures_read(&figures->tables[i][j]), "type", type,
			    "result", words[j], NULL);
	}
}

/* put_store_state - is the store there, and what waits for it? */
static void
put_store_state(struct exposition *out, const struct store_status *store)
{
	exposition_family(out, EXPOSITION_GAUGE, "countersign_store_up", NULL,
	    "Whether the store is available (1) or not (0).");
	exposition_value(out, !store->away, "kind", store->kind, NULL);
	metrics_gauge(out, "countersign_store_away_seconds", "seconds",
	    "For how long the store has been unavailable; 0 if it is available.",
	    (double)store->away_ms / 1000);
	metrics_gauge(out, "countersign_store_pending_charges", NULL,
	    "Charges that wait for the store.", (double)store->pending);
	metrics_gauge(out, "countersign_store_pending_changes", NULL,
	    "Changes by operators that wait for the store.", (double)store->changes);
	metrics_gauge(out, "countersign_store_accounts", NULL, "Accounts kept in this process.",
	    (double)store->accounts);
}

/* put_store - charges, what failed, and what was lost */
static void
put_store(const struct asked *asked, struct exposition *out)
{
	struct daemon *daemon = asked->daemon;
	struct store_status store = { 0 };

	store_status(daemon->store, asked->ctx, &store);
	put_store_state(out, &store);
	exposition_family(out, EXPOSITION_COUNTER, "countersign_store_charges", NULL,
	    "Messages that were to be charged, by result; unknown: the store was away.");
	exposition_value(out, (double)store.charged, "result", "charged", NULL);
	exposition_value(out, (double)store.refused, "result", "refused", NULL);
	exposition_value(out, (double)store.unknown, "result", "unknown", NULL);
	exposition_family(out, EXPOSITION_HISTOGRAM, "countersign_store_charge_duration_seconds",
	    "seconds", "Time that charges waited for the store.");
	exposition_histogram(out, store_latency(daemon->store), NULL, NULL);
	metrics_counter(out, "countersign_store_local_decisions",
	    "Charges decided in this process because the store was away.", (double)store.local);
	metrics_counter(out, "countersign_store_failed_calls",
	    "Calls to the store that failed or timed out.", (double)store.failed);
	metrics_counter(out, "countersign_store_merged_charges",
	    "Charges handed over when the store came back.", (double)store.merged);
	metrics_counter(out, "countersign_store_given_up_charges",
	    "Charges given up while the store was away.", (double)store.dropped);
	metrics_counter(out, "countersign_store_losses",
	    "Times that the store was found to have lost what it held.", (double)store.emptied);
	metrics_counter(out, "countersign_store_evicted_accounts",
	    "Accounts with counts forgotten in this process for lack of room.",
	    (double)store.evicted);
	(void)pthread_mutex_lock(&daemon->lock);
	metrics_gauge(out, "countersign_store_risks", NULL,
	    "Settings of Redis that may lose counts; countersignctl status lists them.",
	    (double)json_array_size(daemon->redis_risks));
	(void)pthread_mutex_unlock(&daemon->lock);
}

/* put_dns - questions and answers */
static void
put_dns(const struct asked *asked, struct exposition *out)
{
	static const char *const words[] = { [DNS_OK] = "ok", [DNS_NODATA] = "nodata",
		[DNS_NXDOMAIN] = "nxdomain", [DNS_TIMEOUT] = "timeout", [DNS_FAILURE] = "failure" };
	const struct resolver_figures *figures = resolver_figures(asked->daemon->resolver);
	const char *servers;
	int64_t since;

	metrics_gauge(out, "countersign_resolver_up", NULL,
	    "Whether a server of DNS answers (1) or none does (0).",
	    !daemon_resolver_away(asked->daemon, &servers, &since));
	exposition_family(out, EXPOSITION_COUNTER, "countersign_dns_answers", NULL,
	    "Answers to DNS queries of checks, from the cache or not, by result.");
	for (int i = 0; i <= DNS_FAILURE; i++)
		exposition_value(
		    out, figures_read(&figures->answers[i]), "result", words[i], NULL);
	metrics_counter(out, "countersign_dns_cache_hits", "Of those, answers from the cache.",
	    figures_read(&figures->cached));
	metrics_counter(out, "countersign_dns_stale_answers",
	    "Of those, answers that DNS gave before it failed.", figures_read(&figures->stale));
	metrics_counter(out, "countersign_dns_questions",
	    "Queries sent to a server, including those ahead of need.",
	    figures_read(&figures->questions));
	exposition_family(out, EXPOSITION_HISTOGRAM, "countersign_dns_wait_duration_seconds",
	    "seconds", "Time that checks waited for answers that were not in the cache.");
	exposition_histogram(out, &figures->waits, NULL, NULL);
}

/* put_keys - keys, and those that DNS says may not be used */
static void
put_keys(const struct asked *asked, struct exposition *out)
{
	struct snapshot *snapshot = daemon_snapshot(asked->daemon);
	size_t known, withheld;

	metrics_gauge(out, "countersign_dkim_keys", NULL, "Private keys that are loaded.",
	    snapshot->signers != NULL ? (double)signers_keys(snapshot->signers) : 0);
	snapshot_release(snapshot);
	key_watch_count(asked->daemon->key_watch, &known, &withheld);
	metrics_gauge(out, "countersign_dkim_withheld_keys", NULL,
	    "Keys that mail wanted and that do not sign because of their DNS records.",
	    (double)withheld);
}

/* put_edge - connections of MTAs, and those turned away */
static void
put_edge(const struct asked *asked, struct exposition *out)
{
	struct daemon *daemon = asked->daemon;
	const struct { const char *cause; const atomic_ulong *n; } causes[] = {
		{ "bad_packet", &daemon->edge.bad_packets },
		{ "no_descriptor", &daemon->edge.no_descriptors },
		{ "no_thread", &daemon->edge.closed },
		{ "peer_refused", &daemon->edge.no_peers },
	};

	metrics_gauge(out, "countersign_sessions", NULL, "Open connections of MTAs.",
	    (double)atomic_load(&daemon->sessions));
	metrics_gauge(out, "countersign_messages_in_progress", NULL,
	    "Messages between MAIL and their end.", (double)atomic_load(&daemon->in_flight));
	metrics_gauge(out, "countersign_draining", NULL,
	    "Whether new messages are turned away because the daemon stops (1) or not (0).",
	    atomic_load(&daemon->draining));
	exposition_family(out, EXPOSITION_COUNTER, "countersign_closed_sessions", NULL,
	    "Connections of MTAs that the daemon closed, by cause.");
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		exposition_value(
		    out, (double)atomic_load(causes[i].n), "cause", causes[i].cause, NULL);
	metrics_counter(out, "countersign_refused_threads", "Threads that the system refused.",
	    (double)atomic_load(&daemon->edge.no_threads));
}

/* put_journal - what waits to be written, and what was given up */
static void
put_journal(const struct asked *asked, struct exposition *out)
{
	struct journal_status journal = { 0 };

	journal_status(asked->daemon->journal, asked->ctx, &journal);
	metrics_gauge(out, "countersign_journal_up", NULL,
	    "Whether the books accept entries (1) or not (0).", journal.problem == NULL);
	metrics_gauge(out, "countersign_journal_queue", NULL,
	    "Entries of the journal that wait to be written.", (double)journal.waiting);
	metrics_counter(out, "countersign_journal_given_up_entries",
	    "Entries of the journal given up.", (double)journal.dropped);
}

/* put_reloads - of the configuration */
static void
put_reloads(const struct asked *asked, struct exposition *out)
{
	struct figures *figures = &asked->daemon->figures;

	exposition_family(out, EXPOSITION_COUNTER, "countersign_reloads", NULL,
	    "Reloads of the configuration, by result.");
	exposition_value(out, (double)atomic_load(&asked->daemon->reloads), "result", "success", NULL);
	exposition_value(out, figures_read(&figures->reloads_failed), "result", "failure", NULL);
	metrics_gauge(out, "countersign_last_reload_successful", NULL,
	    "Whether the last reload, if there was one, succeeded (1) or failed (0).",
	    !atomic_load(&figures->reload_failed));
	metrics_gauge(out, "countersign_last_successful_reload_timestamp_seconds", "seconds",
	    "When the configuration in effect was read, in UNIX time.",
	    (double)atomic_load(&figures->reloaded_ms) / 1000);
}

/* metrics_open_files - how many files this process has open; 0: not known */
static double
metrics_open_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	double n = 0;

	while (directory != NULL && readdir(directory) != NULL)
		n++;
	if (directory != NULL)
		(void)closedir(directory);
	return n > 3 ? n - 3 : 0;	/* ".", "..", and the directory itself */
}

/* metrics_of_process - a line of /proc/self/status as a number; 0: not known */
static double
metrics_of_process(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long value = 0;
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0 &&
		    sscanf(line + strlen(name), ": %lu", &value) == 1)
			break;
	if (file != NULL)
		(void)fclose(file);
	return (double)value;
}

/* metrics_seconds - a struct timeval as a number */
static double
metrics_seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

/* put_process - by the names that Prometheus' own libraries use */
static void
put_process(const struct asked *asked, struct exposition *out)
{
	struct rusage usage = { 0 };
	struct rlimit files = { 0 };

	(void)getrusage(RUSAGE_SELF, &usage);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	exposition_family(out, EXPOSITION_COUNTER, "process_cpu_seconds", "seconds",
	    "CPU time of the daemon, user and system.");
	exposition_value(
	    out, metrics_seconds(&usage.ru_utime) + metrics_seconds(&usage.ru_stime), NULL);
	metrics_gauge(out, "process_resident_memory_bytes", "bytes", "Resident memory of the daemon.",
	    metrics_of_process("VmRSS") * 1024);
	metrics_gauge(out, "process_open_fds", NULL, "Files that the daemon has open.",
	    metrics_open_files());
	metrics_gauge(out, "process_max_fds", NULL, "Files that the daemon may have open.",
	    (double)files.rlim_cur);
	metrics_gauge(out, "process_start_time_seconds", "seconds",
	    "When the daemon started, in UNIX time.",
	    (double)(clock_wall_ms() - clock_ms() + asked->daemon->started_ms) / 1000);
	metrics_gauge(out, "process_threads", NULL, "Threads of the daemon.",
	    metrics_of_process("Threads"));
}

json_t *
control_metrics(const struct asked *asked)
{
	bool openmetrics = control_number(asked, "openmetrics", 0, 1, 0) != 0;
	struct exposition *out = exposition_new(asked->ctx, openmetrics);
	const struct figures *figures = &asked->daemon->figures;

	exposition_family(out, EXPOSITION_INFO, "countersign_build", NULL,
	    "Versions of countersign and of the libraries that it runs with.");
	exposition_value(out, 1, "version", PACKAGE_VERSION, "openssl",
	    OpenSSL_version(OPENSSL_VERSION), "unbound", ub_version(), NULL);
	name_listeners(asked->daemon);
	put_messages(out, figures);
	put_stages(out, figures);
	put_checks(out, figures);
	put_tables(out, figures);
	put_store(asked, out);
	put_dns(asked, out);
	put_keys(asked, out);
	put_edge(asked, out);
	put_journal(asked, out);
	put_reloads(asked, out);
	put_process(asked, out);
	return json_pack("{s:b, s:s, s:s}", "ok", 1, "content_type",
	    openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
			: "text/plain; version=0.0.4; charset=utf-8",
	    "metrics", exposition_text(out));
}

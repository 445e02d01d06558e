/*
 * main.c - the daemon, from options to exit
 *
 * In order: options, configuration (checked whole), sockets, rights dropped, store
 * and resolver (which have threads), callbacks, libmilter in a second thread,
 * and this first thread waiting for signals: HUP reloads, TERM and INT drain.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <hiredis/hiredis.h>
#include <libconfig.h>
#include <libmilter/mfapi.h>
#include <opendkim/dkim.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unbound.h>
#include <unistd.h>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <spf2/spf.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/process.h"
#include "filter/base/signals.h"
#include "filter/base/supervisor.h"
#include "filter/base/system.h"
#include "filter/control/control.h"
#include "filter/daemon/daemon.h"
#include "filter/daemon/places.h"
#include "filter/daemon/shortage.h"
#include "filter/daemon/reporter.h"
#include "filter/daemon/rounds.h"
#include "filter/daemon/tender.h"
#include "filter/daemon/watchdog.h"
#include "filter/dkim/key_shortcut.h"
#include "filter/journal/books.h"
#include "filter/milter/callbacks.h"
#include "filter/milter/doors.h"
#include "filter/milter/edge.h"
#include "filter/milter/listen.h"
#include "filter/table/open.h"
#include "filter/table/workers.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define DEFAULT_FILE	SYSCONFDIR "/countersign/countersign.conf"
#define TICK_MS		1000	/* how often the first thread looks around */
#define SETTLE_MS	1000	/* for connections of tables to be closed, at the end */
#define LINGER_MS	10000	/* for sessions to end that may have another message */
#define STOP_MS		2000	/* for what is to be written at the end, if a server hangs */
#define SAVE_EVERY_MS	60000	/* how often counters are saved */

/* What the command line asked for. */
struct arguments {
	const char *file;
	bool test;
};

static void
usage(FILE *to)
{
	(void)fprintf(to, "usage: countersign [-c FILE] [-t] [-V]\n"
	    "  -c FILE        configuration file (default\n"
	    "                 " DEFAULT_FILE ")\n"
	    "  -t             check the configuration and exit\n"
	    "  -V, --version  print the versions of countersign and its libraries\n"
	    "  -h, --help     print this\n"
	    "countersign stays in the foreground; see countersign(8).\n");
}

static void
print_versions(void)
{
	int major, minor, patch;
	unsigned int milter_major, milter_minor, milter_patch;
	uint32_t dkim = dkim_libversion();
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));

	SPF_get_lib_version(&major, &minor, &patch);
	(void)smfi_version(&milter_major, &milter_minor, &milter_patch);
	(void)printf("countersign " PACKAGE_VERSION "\n");
	(void)printf("libmilter %u.%u.%u\n", milter_major, milter_minor, milter_patch);
	(void)printf("libopendkim %u.%u.%u\n", dkim >> 24, dkim >> 16 & 0xff, dkim >> 8 & 0xff);
	(void)printf(
	    "libspf2 %d.%d.%d (1.2.10 as some systems ship it has an open stack overflow in its macro code;\n"
	    "  countersign never lets a stranger's text reach that code)\n",
	    major, minor, patch);
	(void)printf("hiredis %d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
	(void)printf("libunbound %s\n", ub_version());
	(void)printf("libconfig %d.%d.%d\n", LIBCONFIG_VER_MAJOR, LIBCONFIG_VER_MINOR,
	    LIBCONFIG_VER_REVISION);
	(void)printf("%s\n", OpenSSL_version(OPENSSL_VERSION));
	(void)printf("tables: %s\n", table_types(ctx));
	(void)printf("system: %s\n", system_ways());
	talloc_free(ctx);
}

/* parse_arguments - the command line; ends the process if it says so */
static struct arguments
parse_arguments(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct arguments arguments = { .file = DEFAULT_FILE };
	int option;

	while ((option = getopt_long(argc, argv, "c:tVh", long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			arguments.file = optarg;
			break;
		case 't':
			arguments.test = true;
			break;
		case 'V':
			print_versions();
			exit(EXIT_SUCCESS);
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			exit(EXIT_FAILURE);
		}
	}
	if (optind == argc)
		return arguments;
	(void)fprintf(stderr, "countersign: \"%s\" is not an option\n", argv[optind]);
	usage(stderr);
	exit(EXIT_FAILURE);
}

/* drop_rights - become the configured user, for good */
static int
drop_rights(TALLOC_CTX *ctx, const struct config *config, const char **error_r)
{
	const struct passwd *user;

	if (config->user == NULL || geteuid() != 0)
		return 0;
	user = getpwnam(config->user);
	if (user == NULL) {
		*error_r = mem_printf(ctx,
		    "%s: user = \"%s\" is not a user of this host; create it with: adduser "
		    "--system --group %s",
		    config->file, config->user, config->user);
		return -1;
	}
	if (initgroups(config->user, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
	    setuid(user->pw_uid) != 0) {
		*error_r = mem_printf(ctx, "%s: cannot become user \"%s\": %s", config->file,
		    config->user, strerror(errno));
		return -1;
	}
	return 0;
}

/*
 * read_again - the configuration as the user reads it who will reload it
 * What only root may read would start well and fail at the first reload, in the middle of a night.
 */
static struct snapshot *
main_read_again(TALLOC_CTX *ctx, struct snapshot *first, const char *file, bool by_root,
    const char **error_r)
{
	const char *user = first->config->user;
	const char *warnings = NULL;
	struct snapshot *again;

	if (user == NULL || !by_root)
		return first;
	again = snapshot_build(ctx, file, NULL, &warnings, error_r);
	if (warnings != NULL)
		log_lines(LOG_LEVEL_WARNING, warnings);
	if (again == NULL)
		*error_r = mem_printf(ctx,
		    "%s\n%s: the above was seen by user \"%s\", who reads everything again at each reload",
		    *error_r, file, user);
	else
		snapshot_release(first);
	return again;
}

/* raise_descriptors - two descriptors a connection, as many as the system lets us have */
static void
raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* run_milter - the thread that is libmilter's */
static void *
run_milter(void *arg)
{
	struct daemon *daemon = arg;
	int result = smfi_main();

	/* once it was stopped, an error is how its listener sees its closed socket */
	if (atomic_load(&daemon->draining))
		return NULL;
	log_error("libmilter ended by itself%s; exiting with status 1, to be started again",
	    result != MI_SUCCESS ? " with an error" : "");
	atomic_store(&daemon->milter_ended, true);
	(void)kill(getpid(), SIGTERM);
	return NULL;
}

/*
 * linger - let the sessions that are open end by themselves
 * With a socket of the service manager no client is turned away: new connections wait there for
 * the next process.
 */
static void
linger(long timeout_ms)
{
	int64_t deadline = clock_ms() + (timeout_ms < LINGER_MS ? timeout_ms : LINGER_MS);
	struct signals_seen seen;

	log_info("stopping: new connections wait for the next process; %lu session%s open",
	    edge_connections(), edge_connections() == 1 ? " is" : "s are");
	while (edge_connections() > 0 && clock_ms() < deadline)
		signals_wait(50, &seen);
}

/* drain - turn new messages away and wait for those in flight */
static void
drain(struct daemon *daemon, long timeout_ms)
{
	int64_t deadline = clock_ms() + timeout_ms;
	struct signals_seen seen;

	if (edge_inherited() >= 0) {
		edge_rest();
		linger(timeout_ms);
	}
	atomic_store(&daemon->draining, true);
	log_info("stopping: %lu message%s in flight, waiting up to %ld s",
	    atomic_load(&daemon->in_flight), text_s(atomic_load(&daemon->in_flight)),
	    timeout_ms / 1000);
	while (atomic_load(&daemon->in_flight) > 0 && clock_ms() < deadline)
		signals_wait(50, &seen);
	if (atomic_load(&daemon->in_flight) > 0)
		log_warning("stopping: unfinished messages: %lu; their MTA will defer them",
		    atomic_load(&daemon->in_flight));
}

/* serve_until_stopped - the first thread's life */
static void
serve_until_stopped(struct daemon *daemon)
{
	struct shortage shortage = { 0 };
	int64_t saved_ms = clock_ms();
	struct signals_seen seen = { false, false };

	while (!seen.stop) {
		signals_wait(TICK_MS, &seen);
		if (seen.reload && !seen.stop) {
			TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
			const char *error = NULL;

			(void)daemon_reload(daemon, tmp, &error);
			talloc_free(tmp);
		}
		key_watch_tick(daemon->key_watch, clock_ms());
		daemon_watch_resolver(daemon);
		edge_tick(clock_ms());
		shortage_tick(&shortage, daemon, clock_ms());
		if (clock_ms() - saved_ms >= SAVE_EVERY_MS) {
			store_tick(daemon->store);
			saved_ms = clock_ms();
		}
	}
}

/* What runs beside the sessions. */
struct main_helpers {
	struct control *control; /* NULL: not configured */
	struct tender *tender;
	struct rounds *rounds;
	struct watchdog *watchdog;
	pthread_t milter;
};

/*
 * main_open - open the sockets, give up rights, read the configuration again if it must be
 * Returns the snapshot to begin with, or NULL and *error_r on ctx.
 */
static struct snapshot *
main_open(TALLOC_CTX *ctx, struct daemon *daemon, struct snapshot *first,
    struct control **control_r, const char **error_r)
{
	const struct config *config = first->config;
	const bool by_root = geteuid() == 0;

	edge_open(&daemon->edge);
	doors_open(daemon);
	if (milter_socket_open(ctx, config, error_r) != 0 ||
	    (config->control != NULL &&
		(*control_r = control_open(ctx, config->control, config->control_group,
		     config->control_read_group, error_r)) == NULL) ||
	    drop_rights(ctx, config, error_r) != 0 || key_shortcut_selftest(ctx, error_r) != 0)
		return NULL;
	return main_read_again(ctx, first, daemon->file, by_root, error_r);
}

/* main_start - all threads but the watchdog; false after a line in the log */
static bool
main_start(TALLOC_CTX *ctx, struct daemon *daemon, struct snapshot *first,
    struct main_helpers *helpers)
{
	const char *error = NULL;

	if (daemon_open(ctx, daemon, first, &error) != 0 ||
	    (daemon->reporter = reporter_start(daemon)) == NULL ||
	    (helpers->control != NULL && control_serve(helpers->control, daemon) != 0)) {
		log_start_error(error != NULL ? error : "a thread cannot be started");
		control_close(helpers->control);
		return false;
	}
	helpers->tender = tender_start(ctx, daemon);
	helpers->rounds = rounds_start(daemon);
	if (helpers->tender == NULL || helpers->rounds == NULL || signals_receive() != 0 ||
	    pthread_create(&helpers->milter, NULL, run_milter, daemon) != 0) {
		log_error("signals or threads cannot be set up: %s", strerror(errno));
		return false;
	}
	return true;
}

/* main_stop - end everything in its order; returns the exit status */
static int
main_stop(struct daemon *daemon, const struct config *config, struct main_helpers *helpers)
{
	bool ended = atomic_load(&daemon->milter_ended);

	supervisor_notify("STOPPING=1");
	/* nothing that is in flight can end without libmilter */
	drain(daemon, ended ? 0 : daemon->current->config->drain_timeout_ms);
	books_hurry(journal_books(daemon->journal), clock_ms() + STOP_MS);
	watchdog_stop(helpers->watchdog);
	control_close(helpers->control);
	rounds_stop(helpers->rounds);
	reporter_stop(daemon->reporter);
	tender_stop(helpers->tender);
	if (!ended)
		milter_socket_stop();
	(void)pthread_join(helpers->milter, NULL);
	milter_socket_remove(config);
	/* libmilter answers no one and closes nothing after smfi_stop(); sessions that are still
	 * open may be in use by its threads, so what they point to is left to the end of the
	 * process */
	if (atomic_load(&daemon->sessions) == 0)
		daemon_close(daemon);
	else {
		journal_stop(daemon->journal);
		store_tick(daemon->store);
	}
	return ended ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* main_run - everything after the configuration was read. Returns the exit status. */
static int
main_run(TALLOC_CTX *ctx, struct daemon *daemon, struct snapshot *first)
{
	struct main_helpers helpers = { .control = NULL };
	const struct config *config;
	const char *error = NULL;
	size_t n_keys;
	int status;

	if (callbacks_register(daemon) != 0) {
		log_error("libmilter refused our callbacks; is it older than 8.14?");
		return EXIT_FAILURE;
	}
	first = main_open(ctx, daemon, first, &helpers.control, &error);
	if (first == NULL) {
		log_lines(LOG_LEVEL_ERROR, error);
		control_close(helpers.control);
		return EXIT_FAILURE;
	}
	milter_socket_address(&daemon->listening);
	/* a reload replaces the first configuration; what was opened by it is closed by it */
	config = snapshot_hold(first)->config;
	process_hide();	/* private keys stay out of core dumps, of others' sight */
	raise_descriptors();
	signals_block();
	/* from here on there are threads, and the log must not change under them */
	log_open(strcmp(config->log, "syslog") == 0);
	if (!main_start(ctx, daemon, first, &helpers))
		return EXIT_FAILURE;
	n_keys = first->signers != NULL ? signers_keys(first->signers) : 0;
	log_info("countersign " PACKAGE_VERSION " is ready on %s, mode %s, %zu listener%s, %zu key%s",
	    config->listen, mode_word(config->mode), config->n_listeners,
	    text_s(config->n_listeners), n_keys, text_s(n_keys));
	supervisor_notify("READY=1");
	helpers.watchdog = watchdog_start(ctx, &daemon->listening);
	serve_until_stopped(daemon);
	status = main_stop(daemon, config, &helpers);
	snapshot_release(first);
	workers_settle(SETTLE_MS);
	log_info("stopped");
	return status;
}

/*
 * build_first - the configuration as it is at the start
 * If rights will be given up, the keys are read after that, by main_read_again(): to look at a
 * hundred thousand files twice takes as long again.
 */
static struct snapshot *
build_first(TALLOC_CTX *ctx, const char *file, const char **warnings_r, const char **error_r)
{
	struct snapshot *first;

	if (geteuid() == 0) {
		first = snapshot_build_tables(ctx, file, error_r);
		if (first == NULL || first->config->user != NULL)
			return first;
		snapshot_release(first);
	}
	return snapshot_build(ctx, file, NULL, warnings_r, error_r);
}

/*
 * check - check the configuration as the user who will run the daemon; the exit status
 * What root may read and the daemon may not would be found at the start, or worse at a reload.
 */
static int
main_check(TALLOC_CTX *ctx, struct snapshot *first, const char *file)
{
	bool by_root = geteuid() == 0;
	const char *warnings = NULL, *error = NULL;

	if (by_root && (drop_rights(ctx, first->config, &error) != 0 ||
	    (first = main_read_again(ctx, first, file, by_root, &error)) == NULL)) {
		log_lines(LOG_LEVEL_ERROR, error);
		return EXIT_FAILURE;
	}
	if (places_check(ctx, first->config, by_root, &warnings, &error) != 0) {
		log_lines(LOG_LEVEL_ERROR, error);
		return EXIT_FAILURE;
	}
	if (warnings != NULL)
		log_lines(LOG_LEVEL_WARNING, warnings);
	(void)printf("%s: the configuration is good\n", file);
	snapshot_release(first);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	struct arguments arguments = parse_arguments(argc, argv);
	static struct daemon daemon;	/* outlives every thread */
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	const char *warnings = NULL;
	const char *error = NULL;
	struct snapshot *first;
	int status;

	signals_begin();
	first = build_first(ctx, arguments.file, &warnings, &error);
	if (warnings != NULL)
		log_lines(LOG_LEVEL_WARNING, warnings);
	if (first == NULL) {
		log_lines(LOG_LEVEL_ERROR, error);
		return EXIT_FAILURE;
	}
	daemon.file = arguments.file;
	status =
	    arguments.test ? main_check(ctx, first, arguments.file) : main_run(ctx, &daemon, first);
	talloc_free(ctx);
	return status;
}

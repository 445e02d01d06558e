/*
 * daemon.c - what the process has one of: snapshot, store, resolver
 *
 * Thread rule: see struct daemon. Reloads happen one at a time, at a signal in
 * the first thread or on demand in the control thread; milter threads only
 * take references.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/password_file.h"
#include "filter/daemon/daemon.h"
#include "filter/daemon/places.h"
#include "policy/base/mem.h"

/* log_store - the store's changes of state, as log lines */
static void
log_store(void *arg, enum store_log_level level, const char *text)
{
	static const enum log_level levels[] = {
		[STORE_LOG_INFO] = LOG_LEVEL_INFO,
		[STORE_LOG_WARNING] = LOG_LEVEL_WARNING,
		[STORE_LOG_ERROR] = LOG_LEVEL_ERROR,
	};

	(void)arg;
	log_text(levels[level], text);
}

/* read_passwords - those of the store, on ctx; 0, or -1 and *error_r */
static int
read_passwords(const struct daemon *daemon, TALLOC_CTX *ctx, struct redis_passwords *passwords_r,
    const char **error_r)
{
	*passwords_r = (struct redis_passwords){ 0 };
	if (daemon->password_file != NULL) {
		passwords_r->password = password_file_read(ctx, daemon->password_file, error_r);
		if (passwords_r->password == NULL)
			return -1;
	}
	if (daemon->sentinel_password_file != NULL) {
		passwords_r->sentinel_password =
		    password_file_read(ctx, daemon->sentinel_password_file, error_r);
		if (passwords_r->sentinel_password == NULL)
			return -1;
	}
	return 0;
}

/* away_file_of - where charges survive a restart while Redis is away; NULL: nowhere, on ctx */
static const char *
away_file_of(TALLOC_CTX *ctx, const struct config *config)
{
	const char *slash = strrchr(config->file, '/');
	const char *name = slash != NULL ? slash + 1 : config->file;
	const char *written = config->store_options.away_file;
	size_t len = strlen(name);

	if (config->store_options.kind != STORE_REDIS)
		return NULL;
	if (written != NULL)
		return strcmp(written, "none") == 0 ? NULL : written;
	if (len > 5 && strcmp(name + len - 5, ".conf") == 0)
		len -= 5;
	if (access(PLACES_STATE_DIRECTORY, W_OK | X_OK) == 0)
		return mem_printf(ctx, PLACES_STATE_DIRECTORY "/%.*s.away", (int)len, name);
	log_warning("store: a restart while Redis is away forgets what passed meanwhile, because the "
	    "daemon cannot write in " PLACES_STATE_DIRECTORY "; set away_file, or away_file = \"none\"");
	return NULL;
}

/* open_store - the store the configuration names; countersignctl keeps nothing */
static int
open_store(TALLOC_CTX *ctx, struct daemon *daemon, const struct config *config, bool keeps,
    const char **error_r)
{
	struct store_options options = config->store_options;
	struct redis_passwords passwords;

	options.log = log_store;
	options.holds = keeps;
	options.away_file = keeps ? away_file_of(ctx, config) : NULL;
	daemon->store_files = mem_check(talloc_new(NULL));
	daemon->password_file =
	    mem_strdup_or_null(daemon->store_files, config->store_password_file);
	daemon->sentinel_password_file =
	    mem_strdup_or_null(daemon->store_files, config->store_sentinel_password_file);
	if (read_passwords(daemon, ctx, &passwords, error_r) != 0)
		return -1;
	options.redis.password = passwords.password;
	options.redis.sentinel_password = passwords.sentinel_password;
	options.look_only = daemon->dry;
	daemon->store = store_open(NULL, &options, error_r);
	if (daemon->store == NULL)
		return -1;
	daemon->repeats = repeats_new(NULL);
	if (daemon->dry)
		return 0;
	daemon->journal = journal_open(NULL, config, &options, error_r);
	return daemon->journal != NULL ? 0 : -1;
}

/* make_locks - the mutexes; 0 or -1 */
static int
make_locks(struct daemon *daemon, const char **error_r)
{
	if (pthread_mutex_init(&daemon->lock, NULL) == 0 &&
	    pthread_mutex_init(&daemon->reload_lock, NULL) == 0)
		return 0;
	*error_r = "no mutex could be made";
	return -1;
}

/* daemon_open_store - only the store and the journal's parts */
int
daemon_open_store(
    TALLOC_CTX *ctx, struct daemon *daemon, struct snapshot *snapshot, const char **error_r)
{
	daemon->started_ms = clock_ms();
	daemon->current = snapshot;
	if (make_locks(daemon, error_r) != 0)
		return -1;
	return open_store(ctx, daemon, snapshot->config, false, error_r);
}

/* watch_keys - who looks whether the records of our keys are visible */
static void
watch_keys(struct daemon *daemon)
{
	const struct dkim_dns dns = {
		.ask = dkim_dns_ask_resolver,
		.prefetch = dkim_dns_prefetch_resolver,
		.authority = dkim_dns_authority_resolver,
		.state = daemon->resolver,
	};

	daemon->key_watch = key_watch_new(NULL, &dns);
}

/* event_program - what the configuration in force runs for each event */
static void
event_program(void *arg, TALLOC_CTX *ctx, struct event_program *program_r)
{
	struct snapshot *snapshot = daemon_snapshot(arg);
	const struct words *words = &snapshot->config->event_command;
	const char **argv = mem_array(ctx, const char *, words->n + 1);

	for (size_t i = 0; i < words->n; i++)
		argv[i] = mem_strdup(argv, words->items[i]);
	program_r->argv = argv;
	program_r->n = words->n;
	program_r->timeout_ms = snapshot->config->event_timeout_ms;
	snapshot_release(snapshot);
}

/* open_parts - all but the journal's thread */
static int
open_parts(TALLOC_CTX *ctx, struct daemon *daemon, struct snapshot *first, const char **error_r)
{
	daemon->started_ms = clock_ms();
	atomic_store(&daemon->figures.reloaded_ms, clock_wall_ms());
	if (make_locks(daemon, error_r) != 0)
		return -1;
	daemon->current = first;
	daemon->resolver = resolver_new(NULL, &first->config->resolver, error_r);
	if (daemon->resolver == NULL)
		return -1;
	watch_keys(daemon);
	if (snapshot_bind(ctx, first, daemon->resolver, error_r) != 0)
		return -1;
	return open_store(ctx, daemon, first->config, !daemon->dry, error_r);
}

/* daemon_open - first snapshot, store and resolver */
int
daemon_open(TALLOC_CTX *ctx, struct daemon *daemon, struct snapshot *first, const char **error_r)
{
	if (open_parts(ctx, daemon, first, error_r) != 0)
		return -1;
	return journal_start(
	    daemon->journal, ctx, daemon->store, event_program, daemon, error_r);
}

int
daemon_open_dry(
    TALLOC_CTX *ctx, struct daemon *daemon, struct snapshot *first, const char **error_r)
{
	daemon->dry = true;
	return open_parts(ctx, daemon, first, error_r);
}

/* forget_unmatched - a new configuration may match them, and if not, that is worth a new line */
static void
forget_unmatched(struct daemon *daemon)
{
	while (daemon->n_unmatched > 0)
		talloc_free(daemon->unmatched[--daemon->n_unmatched]);
}

/* daemon_close - the reverse */
void
daemon_close(struct daemon *daemon)
{
	forget_unmatched(daemon);
	figures_free(&daemon->figures);
	talloc_free(daemon->journal);
	daemon->journal = NULL;
	snapshot_release(daemon->current);
	daemon->current = NULL;
	store_close(daemon->store);
	daemon->store = NULL;
	talloc_free(daemon->repeats);
	daemon->repeats = NULL;
	talloc_free(daemon->store_files);
	talloc_free(daemon->logins);
	daemon->logins = NULL;
	daemon->store_files = NULL;
	talloc_free(daemon->key_watch);
	daemon->key_watch = NULL;
	talloc_free(daemon->resolver);
	daemon->resolver = NULL;
	json_decref(daemon->redis_risks);
	daemon->redis_risks = NULL;
	json_decref(daemon->findings);
	daemon->findings = NULL;
	(void)pthread_mutex_destroy(&daemon->lock);
	(void)pthread_mutex_destroy(&daemon->reload_lock);
}

/* daemon_snapshot - the snapshot in force */
struct snapshot *
daemon_snapshot(struct daemon *daemon)
{
	struct snapshot *snapshot;

	(void)pthread_mutex_lock(&daemon->lock);
	snapshot = snapshot_hold(daemon->current);
	(void)pthread_mutex_unlock(&daemon->lock);
	return snapshot;
}

void
daemon_peer_refused(struct daemon *daemon, const char *who, const char *text)
{
	event_raise(journal_events(daemon->journal), EVENT_PEER_REFUSED, "peer", who, NULL, text,
	    NULL);
}

/* daemon_first_time - is this daemon name without a listener seen for the first time? */
bool
daemon_first_time(struct daemon *daemon, const char *name)
{
	size_t i = 0;
	bool first;

	(void)pthread_mutex_lock(&daemon->lock);
	while (i < daemon->n_unmatched && strcmp(daemon->unmatched[i], name) != 0)
		i++;
	/* strangers cannot choose these names; should there be more, the rest goes untold */
	first = i == daemon->n_unmatched &&
	    i < sizeof(daemon->unmatched) / sizeof(daemon->unmatched[0]);
	if (first)
		daemon->unmatched[daemon->n_unmatched++] = mem_strdup(NULL, name);
	(void)pthread_mutex_unlock(&daemon->lock);
	return first;
}

/* swap - publish a new snapshot and let go of the old one */
static void
swap(struct daemon *daemon, struct snapshot *new)
{
	struct snapshot *old;

	(void)pthread_mutex_lock(&daemon->lock);
	old = daemon->current;
	daemon->current = new;
	forget_unmatched(daemon);
	(void)pthread_mutex_unlock(&daemon->lock);
	snapshot_release(old);
}

/* renew - certificates and passwords may be new, though the store stays; -1 and *error_r on ctx */
static int
renew(struct daemon *daemon, TALLOC_CTX *ctx, const char **error_r)
{
	struct redis_passwords passwords;
	const char *why;
	int result = -1;

	if (read_passwords(daemon, ctx, &passwords, &why) == 0 &&
	    store_renew(daemon->store, ctx, &passwords, &why) == 0 &&
	    journal_renew(daemon->journal, ctx, &passwords, &why) == 0)
		result = 0;
	else
		*error_r = mem_printf(ctx, "the store: %s; keeping what was read before", why);
	password_wipe(passwords.password);
	password_wipe(passwords.sentinel_password);
	return result;
}

/* reload - build a new snapshot and publish it */
static bool
reload(struct daemon *daemon, TALLOC_CTX *ctx, const char **error_r)
{
	const char *warnings = NULL;
	const char *fixed;
	struct snapshot *new =
	    snapshot_build(ctx, daemon->file, daemon->resolver, &warnings, error_r);

	if (new != NULL && renew(daemon, ctx, error_r) != 0) {
		snapshot_release(new);
		new = NULL;
	}
	if (new == NULL) {
		log_lines(LOG_LEVEL_ERROR, *error_r);
		event_raise(journal_events(daemon->journal), EVENT_RELOAD_FAILED, NULL, NULL, NULL,
		    "reload failed: the new configuration has errors; keeping the old one",
		    json_pack("{s:s}", "mistakes", *error_r));
		return false;
	}
	fixed = config_fixed_difference(daemon->current->config, new->config);
	if (fixed != NULL)
		log_warning("reload: %s was changed; that takes effect at the next restart", fixed);
	if (warnings != NULL)
		log_lines(LOG_LEVEL_WARNING, warnings);
	swap(daemon, new);
	atomic_fetch_add(&daemon->reloads, 1);
	event_raise(journal_events(daemon->journal), EVENT_RELOAD, NULL, NULL, NULL,
	    "the new configuration is in effect", NULL);
	return true;
}

void
daemon_watch_resolver(struct daemon *daemon)
{
	struct resolver_status status;
	char *text;

	resolver_status(daemon->resolver, &status);
	if (status.away == daemon->resolver_away)
		return;
	daemon->resolver_away = status.away;
	text = mem_printf(NULL, "the resolver %s %s", status.servers,
	    status.away ? "does not answer: SPF and DKIM use earlier answers of DNS, if any"
			: "answers again");
	event_raise(journal_events(daemon->journal),
	    status.away ? EVENT_RESOLVER_AWAY : EVENT_RESOLVER_BACK, NULL, NULL, NULL, text, NULL);
	talloc_free(text);
}

bool
daemon_resolver_away(struct daemon *daemon, const char **servers_r, int64_t *since_r)
{
	struct resolver_status status;

	resolver_status(daemon->resolver, &status);
	*servers_r = status.servers;
	*since_r = (clock_ms() - status.since_ms) / 1000;
	return status.away;
}

void
daemon_look_for_keys(struct daemon *daemon)
{
	if (daemon->key_watch != NULL)
		key_watch_look(daemon->key_watch);
}

/* daemon_reload - read the configuration again, check it whole, swap */
bool
daemon_reload(struct daemon *daemon, TALLOC_CTX *ctx, const char **error_r)
{
	bool good;

	(void)pthread_mutex_lock(&daemon->reload_lock);
	good = reload(daemon, ctx, error_r);
	(void)pthread_mutex_unlock(&daemon->reload_lock);
	atomic_store(&daemon->figures.reload_failed, !good);
	if (good)
		atomic_store(&daemon->figures.reloaded_ms, clock_wall_ms());
	else
		figures_count(&daemon->figures.reloads_failed);
	/* what was published before the reload holds after it */
	if (good)
		daemon_look_for_keys(daemon);
	return good;
}

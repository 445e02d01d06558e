/*
 * daemon.h - what the process has one of
 */
#ifndef FILTER_DAEMON_DAEMON_H
#define FILTER_DAEMON_DAEMON_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/daemon/figures.h"
#include "filter/daemon/probe.h"
#include "filter/daemon/repeats.h"
#include "filter/daemon/snapshot.h"
#include "filter/dkim/key_watch.h"
#include "filter/dns/resolver.h"
#include "filter/journal/journal.h"
#include "filter/store/store.h"

/* What the edge to the MTAs turned away, since the start; see filter/milter/edge.h. */
struct edge_figures {
	atomic_ulong bad_packets;	/* connections closed because of what the peer sent */
	atomic_ulong no_descriptors;	/* connections closed because few descriptors were left */
	atomic_ulong no_threads;	/* threads that the system refused */
	atomic_ulong no_peers;		/* connections closed because the peer may not connect */
	atomic_ulong closed;		/* sessions that no thread was free for in time */
};

/*
 * Threads: `current` is read and replaced under `lock`; the atomics by anybody; the
 * rest is set before milter threads start and then only read.
 */
struct daemon {
	const char *file;	/* the configuration file */
	pthread_mutex_t lock;
	pthread_mutex_t reload_lock; /* one reload at a time */
	struct snapshot *current;
	struct store *store;
	struct repeats *repeats; /* a talloc root */
	const char *password_file; /* of the store, as at start; or NULL; on store_files */
	const char *sentinel_password_file; /* of its Sentinels; the same */
	TALLOC_CTX *store_files;
	struct resolver *resolver;
	bool resolver_away;	/* as of the last look; the first thread's alone */
	struct key_watch *key_watch; /* below resolver, whom it asks */
	struct journal *journal;
	json_t *redis_risks;	/* under lock: an array of what is wrong with Redis, or NULL */
	json_t *findings;	/* under lock: what the last round found (rounds.h), or NULL */
	atomic_bool round_wanted; /* somebody asks for one now */
	struct reporter *reporter; /* or NULL: nothing is sent from here */
	char *unmatched[32]; /* under lock: daemon names that no listener matches, logged already */
	size_t n_unmatched;
	int64_t started_ms;	/* clock_ms() at start */
	struct logins *logins;	/* the control thread's (control_login.c), or NULL */
	bool dry;		/* all messages are only tried: there is no journal */
	atomic_bool draining;	/* new messages are turned away */
	atomic_bool milter_ended; /* libmilter, without being stopped */
	atomic_ulong in_flight;	/* messages between MAIL and their end */
	atomic_uint trials;	/* messages that are only tried for countersignctl */
	atomic_ulong sessions;	/* open connections from MTAs */
	atomic_ulong accepted, refused, deferred, held; /* messages, for status */
	atomic_int_least64_t
	    key_told_ms; /* when a missing key was last reported, CLOCK_MONOTONIC; 0: never */
	atomic_ulong reloads;
	struct edge_figures edge;
	struct figures figures;
	struct probe_address listening; /* set before threads start */
};

/*
 * daemon_open - first snapshot, store and resolver
 * Returns 0, or -1 and *error_r on ctx. Call in the thread and as the user that
 * goes on: the store and the resolver start threads.
 */
int daemon_open(TALLOC_CTX *ctx, struct daemon *daemon, struct snapshot *first,
    const char **error_r);

/*
 * daemon_open_store - only the store and the journal's parts, for countersignctl without a daemon
 * Nothing of the journal runs. snapshot becomes the current one. As daemon_open().
 */
int daemon_open_store(TALLOC_CTX *ctx, struct daemon *daemon, struct snapshot *snapshot,
    const char **error_r);

/*
 * daemon_open_dry - as daemon_open(), for messages that are only tried (countersignctl try)
 * Nothing of the journal is opened. A store in this process begins with what its file holds, which
 * is neither locked nor written.
 */
int daemon_open_dry(TALLOC_CTX *ctx, struct daemon *daemon, struct snapshot *first,
    const char **error_r);

/* daemon_watch_resolver - raise an event if the resolver went away or came back since the last
 * call. Always the same thread. */
void daemon_watch_resolver(struct daemon *daemon);

/* daemon_resolver_away - does no server of DNS answer? servers_r: their addresses, which live as
 * long as the daemon; since_r: seconds that it is so, or otherwise. Any thread. */
bool daemon_resolver_away(struct daemon *daemon, const char **servers_r, int64_t *since_r);

/* daemon_look_for_keys - ask past every cache whether the records of our keys are there; what is
 * seen holds at once. Waits for DNS. Any thread. */
void daemon_look_for_keys(struct daemon *daemon);

/* daemon_close - the reverse; no session may be in use */
void daemon_close(struct daemon *daemon);

/* daemon_snapshot - the snapshot in force, with a reference for the caller. Any thread. */
struct snapshot *daemon_snapshot(struct daemon *daemon);

/* daemon_peer_refused - raise an event: this user or address may not connect as an MTA. Any
 * thread. */
void daemon_peer_refused(struct daemon *daemon, const char *who, const char *text);

/* daemon_first_time - is this daemon name without a listener seen for the first time? Any
 * thread. */
bool daemon_first_time(struct daemon *daemon, const char *name);

/*
 * daemon_reload - read the configuration again, check it whole, swap
 * A bad one is logged with file:line and changes nothing: false, and *error_r on ctx. Any thread.
 */
bool daemon_reload(struct daemon *daemon, TALLOC_CTX *ctx, const char **error_r);

#endif

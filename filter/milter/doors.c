/*
 * doors.c - who may connect as an MTA
 *
 * A peer on this host is judged by its user, over TCP as well, because every account of a host can
 * connect from its addresses; another one by its address. What the system does not say is refused.
 * The daemon's own connections are let in: it tests its socket.
 *
 * Thread rule: `owner` is set once, before there are threads.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/base/peer.h"
#include "filter/base/seldom.h"
#include "filter/base/socket_owner.h"
#include "filter/milter/doors.h"
#include "policy/base/mem.h"

static struct daemon *owner;
static struct seldom refusals = { .lock = PTHREAD_MUTEX_INITIALIZER };

void
doors_open(struct daemon *daemon)
{
	owner = daemon;
}

/* is_user - is the user among those that may connect? */
static bool
is_user(const struct peers *peers, uid_t uid)
{
	for (size_t i = 0; i < peers->n_users; i++)
		if (peers->users[i] == uid)
			return true;
	return false;
}

/* is_network - is the peer's address in one of the networks? */
static bool
is_network(const struct peers *peers, const struct peer *peer)
{
	struct ip_address address;

	return ip_address_parse(peer->who, &address) &&
	    netblock_contains(peers->networks, peers->n_networks, &address);
}

/* may_connect - what the option says */
static bool
may_connect(const struct peers *peers, enum socket_owner kind, uid_t uid, const struct peer *peer)
{
	switch (kind) {
	case SOCKET_OWNER_LOCAL:
		return is_user(peers, uid);
	case SOCKET_OWNER_REMOTE:
		return is_network(peers, peer);
	case SOCKET_OWNER_UNKNOWN:
		break;
	}
	return false;
}

/* doors_user_name - the name of a user, or its number */
static void
doors_user_name(uid_t uid, char *name, size_t size)
{
	char buffer[4096];
	struct passwd entry;
	struct passwd *found = NULL;

	if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found != NULL)
		(void)snprintf(name, size, "user %.60s", found->pw_name);
	else
		(void)snprintf(name, size, "user %lu", (unsigned long)uid);
}

/* doors_refuse - log it, and make it an event */
static void
doors_refuse(enum socket_owner kind, uid_t uid, const struct peer *peer)
{
	unsigned long skipped;
	char who[PEER_TEXT], more[96] = "";
	char text[512];

	atomic_fetch_add(&owner->edge.no_peers, 1);
	if (kind == SOCKET_OWNER_LOCAL)
		doors_user_name(uid, who, sizeof(who));
	else
		(void)snprintf(who, sizeof(who), "%s", peer->who);
	if (!seldom_may(&refusals, who, clock_ms(), &skipped))
		return;
	if (skipped > 0)
		(void)snprintf(more, sizeof(more),
		    "; %lu more of its connections were closed since the last such line", skipped);
	(void)snprintf(text, sizeof(text),
	    "connection of %s (%s) closed: peers does not name it, so it may not act as an MTA%s",
	    who, peer->text, more);
	log_warning("milter: %s", text);
	daemon_peer_refused(owner, who, text);
}

bool
doors_admit(int fd)
{
	struct snapshot *snapshot;
	enum socket_owner kind;
	struct peer peer;
	bool own = false, admitted;
	uid_t uid = 0;

	if (owner == NULL)
		return true;
	snapshot = daemon_snapshot(owner);
	admitted = !snapshot->config->peers.given;
	if (!admitted) {
		kind = socket_owner(fd, &uid, &own);
		peer_of(fd, &peer);
		admitted = own || may_connect(&snapshot->config->peers, kind, uid, &peer);
		if (!admitted)
			doors_refuse(kind, uid, &peer);
	}
	snapshot_release(snapshot);
	return admitted;
}

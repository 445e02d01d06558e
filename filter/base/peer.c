/*
 * peer.c - who is at the other end of a connection
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter/base/peer.h"

#define PEER_GROUPS_MAX	1024

#ifdef PORTABLE_ONLY
/* getpeereid - Linux has none, so here it is as libbsd has it */
static int
getpeereid(int fd, uid_t *uid, gid_t *gid)
{
	struct ucred user;
	socklen_t len = sizeof(user);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &len) != 0)
		return -1;
	*uid = user.uid;
	*gid = user.gid;
	return 0;
}
#endif

bool
peer_user(int fd, struct peer_user *user_r)
{
#ifdef HAVE_STRUCT_UCRED_PID
	struct ucred user;
	socklen_t len = sizeof(user);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &len) != 0)
		return false;
	*user_r = (struct peer_user){ .uid = user.uid, .gid = user.gid, .pid = user.pid };
	return true;
#elif defined(HAVE_GETPEEREID)
	user_r->pid = 0;
	return getpeereid(fd, &user_r->uid, &user_r->gid) == 0;
#else
	(void)fd;
	(void)user_r;
	return false;
#endif
}

/* peer_groups - all groups of the peer but its first; how many, 0 if they are not known */
static size_t
peer_groups(int fd, const struct peer_user *user, gid_t *groups)
{
#if HAVE_DECL_SO_PEERGROUPS
	socklen_t len = PEER_GROUPS_MAX * sizeof(groups[0]);

	(void)user;
	return getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0
	    ? 0 : len / sizeof(groups[0]);
#else
	char buffer[4096];
	struct passwd entry;
	struct passwd *found = NULL;
	int n = PEER_GROUPS_MAX;

	(void)fd;
	if (getpwuid_r(user->uid, &entry, buffer, sizeof(buffer), &found) != 0 || found == NULL ||
	    getgrouplist(found->pw_name, user->gid, groups, &n) < 0)
		return 0;
	return (size_t)n;
#endif
}

bool
peer_in_group(int fd, const struct peer_user *user, gid_t group)
{
	gid_t groups[PEER_GROUPS_MAX];
	size_t n;

	if (user->gid == group)
		return true;
	n = peer_groups(fd, user, groups);
	for (size_t i = 0; i < n; i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* peer_name_user - the UNIX user that connected to a unix socket */
static void
peer_name_user(int fd, struct peer *peer)
{
	struct peer_user user;

	if (!peer_user(fd, &user))
		return;
	(void)snprintf(peer->who, sizeof(peer->who), "user %lu", (unsigned long)user.uid);
	if (user.pid > 0)
		(void)snprintf(peer->text, sizeof(peer->text), "user %lu (process %ld)",
		    (unsigned long)user.uid, (long)user.pid);
	else
		(void)snprintf(peer->text, sizeof(peer->text), "%s", peer->who);
}

void
peer_of(int fd, struct peer *peer_r)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage room;
	} address;
	socklen_t len = sizeof(address);
	unsigned int port = 0;

	(void)snprintf(peer_r->who, sizeof(peer_r->who), "an unknown peer");
	(void)snprintf(peer_r->text, sizeof(peer_r->text), "an unknown peer");
	if (getpeername(fd, &address.any, &len) != 0)
		return;
	if (address.any.sa_family == AF_UNIX) {
		peer_name_user(fd, peer_r);
		return;
	}
	if (address.any.sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &address.in.sin_addr, peer_r->who, sizeof(peer_r->who));
		port = ntohs(address.in.sin_port);
	} else if (address.any.sa_family == AF_INET6) {
		(void)inet_ntop(
		    AF_INET6, &address.in6.sin6_addr, peer_r->who, sizeof(peer_r->who));
		port = ntohs(address.in6.sin6_port);
	}
	(void)snprintf(peer_r->text, sizeof(peer_r->text), "%.60s port %u", peer_r->who, port);
}

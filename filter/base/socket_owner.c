/*
 * socket_owner.c - the UNIX user at the other end of a connection from this host
 *
 * TCP has no SO_PEERCRED. The kernel's sock_diag(7), asked for the socket whose own end is our
 * peer's address, answers with the user who made it. It needs no rights, but AF_NETLINK. Three
 * traps: without such a connection it answers with a socket that listens on that address; a socket
 * that its program has closed is said to be root's; a client in a container is not found and is
 * judged by its address. So only a connected socket with an inode counts.
 *
 * A system without sock_diag knows the user for unix sockets alone, so there `peers` admits no
 * user over TCP.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#ifdef HAVE_LINUX_SOCK_DIAG_H
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#endif

#include "filter/base/peer.h"
#include "filter/base/socket_owner.h"

#define PATIENCE_S	1	/* the kernel answers at once, or not at all */
#define OWN_SEARCH_MAX	1024	/* descriptors of this process that are looked at */

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage room;
};

/* unmap - an IPv4 address in IPv6 form as IPv4: that is how the other end has it */
static void
unmap(union address *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = address->in6.sin6_port };

	if (address->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr))
		return;
	memcpy(&in.sin_addr, &address->in6.sin6_addr.s6_addr[12], sizeof(in.sin_addr));
	address->in = in;
}

/* is_loopback - an address of this host, whatever else is known */
static bool
is_loopback(const union address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohl(address->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
}

/* same_host - have both ends one address? */
static bool
same_host(const union address *a, const union address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
}

#ifdef HAVE_LINUX_SOCK_DIAG_H

/* fill - one end of a connection for the kernel */
static void
fill(const union address *address, __be16 *port, __be32 *words)
{
	if (address->any.sa_family == AF_INET) {
		*port = address->in.sin_port;
		memcpy(words, &address->in.sin_addr, sizeof(address->in.sin_addr));
	} else {
		*port = address->in6.sin6_port;
		memcpy(words, &address->in6.sin6_addr, sizeof(address->in6.sin6_addr));
	}
}

/* ask_kernel - the connected socket whose own end is `from`; false: there is none, or no answer */
static bool
ask_kernel(const union address *from, const union address *to, struct inet_diag_msg *found_r)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 question;
	} request = {
		.head = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST,
		},
		.question = {
			.sdiag_family = (uint8_t)from->any.sa_family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = 1u << TCP_ESTABLISHED,
			.id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE },
		},
	};
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	union {
		struct nlmsghdr head;
		char room[4096];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	ssize_t got = -1;

	if (fd < 0)
		return false;
	fill(from, &request.question.id.idiag_sport, request.question.id.idiag_src);
	fill(to, &request.question.id.idiag_dport, request.question.id.idiag_dst);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request))
		got = recv(fd, &answer, sizeof(answer), 0);
	(void)close(fd);
	if (got < (ssize_t)NLMSG_LENGTH(sizeof(*found_r)) ||
	    answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return false;
	memcpy(found_r, NLMSG_DATA(&answer.head), sizeof(*found_r));
	return found_r->idiag_state == TCP_ESTABLISHED && found_r->idiag_inode != 0 &&
	    found_r->id.idiag_dport == request.question.id.idiag_dport &&
	    found_r->id.idiag_sport == request.question.id.idiag_sport;
}

/*
 * socket_owner_is_ours - has this process the socket with that inode?
 * Other threads close descriptors meanwhile, which is no matter: the one that is looked for, the
 * probe's, stays open. fstatat() is a way to say so to ThreadSanitizer, which watches fstat().
 */
static bool
socket_owner_is_ours(uint32_t inode)
{
	struct stat st;

	for (int fd = 0; fd < OWN_SEARCH_MAX; fd++)
		if (fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 && S_ISSOCK(st.st_mode) &&
		    st.st_ino == inode)
			return true;
	return false;
}

/* socket_owner_find - the user of the socket at the other end; false: there is no such socket */
static bool
socket_owner_find(const union address *from, const union address *to, uid_t *uid_r, bool *own_r)
{
	struct inet_diag_msg found;

	if (!ask_kernel(from, to, &found))
		return false;
	*uid_r = found.idiag_uid;
	*own_r = found.idiag_uid == geteuid() && socket_owner_is_ours(found.idiag_inode);
	return true;
}

#else

/* same_end - one address and port? */
static bool
same_end(const union address *a, const union address *b)
{
	return same_host(a, b) && (a->any.sa_family == AF_INET
	    ? a->in.sin_port == b->in.sin_port : a->in6.sin6_port == b->in6.sin6_port);
}

/* is_end - has the socket these two ends? */
static bool
is_end(int fd, const union address *own, const union address *other)
{
	union address at = { .any.sa_family = AF_UNSPEC }, to = { .any.sa_family = AF_UNSPEC };
	socklen_t at_len = sizeof(at), to_len = sizeof(to);

	if (getsockname(fd, &at.any, &at_len) != 0 || getpeername(fd, &to.any, &to_len) != 0)
		return false;
	unmap(&at);
	unmap(&to);
	return same_end(&at, own) && same_end(&to, other);
}

/* socket_owner_find - this system reports no users of TCP; but what we have ourselves is ours */
static bool
socket_owner_find(const union address *from, const union address *to, uid_t *uid_r, bool *own_r)
{
	for (int fd = 0; fd < OWN_SEARCH_MAX && !*own_r; fd++)
		*own_r = is_end(fd, from, to);
	*uid_r = geteuid();
	return *own_r;
}

#endif

enum socket_owner
socket_owner(int fd, uid_t *uid_r, bool *own_r)
{
	union address from = { .any.sa_family = AF_UNSPEC }, to = { .any.sa_family = AF_UNSPEC };
	socklen_t from_len = sizeof(from), to_len = sizeof(to);
	struct peer_user user;

	*own_r = false;
	if (getpeername(fd, &from.any, &from_len) != 0 || getsockname(fd, &to.any, &to_len) != 0)
		return SOCKET_OWNER_UNKNOWN;
	if (from.any.sa_family == AF_UNIX) {
		if (!peer_user(fd, &user))
			return SOCKET_OWNER_UNKNOWN;
		*uid_r = user.uid;
		*own_r = user.pid > 0 ? user.pid == getpid() : user.uid == geteuid();
		return SOCKET_OWNER_LOCAL;
	}
	if (from.any.sa_family != AF_INET && from.any.sa_family != AF_INET6)
		return SOCKET_OWNER_UNKNOWN;
	unmap(&from);
	unmap(&to);
	if (socket_owner_find(&from, &to, uid_r, own_r))
		return SOCKET_OWNER_LOCAL;
	return is_loopback(&from) || same_host(&from, &to) ? SOCKET_OWNER_UNKNOWN
	    : SOCKET_OWNER_REMOTE;
}

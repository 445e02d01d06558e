/*
 * check_socket.c - does the milter socket lead to a countersign that Postfix may talk to?
 *
 * A connection is opened and the first packet of the milter protocol is exchanged, no more: no
 * message is begun.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/socket.h"
#include "filter/doctor/inside.h"
#include "policy/base/mem.h"

#define SOCKET_WAIT_MS	2000	/* for connecting, and again for the answer */
#define SOCKET_GROUPS	64

/* Of libmilter's protocol: what we always ask an MTA for that offers it. */
#define MILTER_SETSYMLIST	0x00000100UL
#define MILTER_LEADSPC		0x00100000UL

/* --- who answers ----------------------------------------------------------- */

/* socket_number - four octets of the protocol */
static unsigned long
socket_number(const unsigned char *at)
{
	return (unsigned long)at[0] << 24 | (unsigned long)at[1] << 16 | (unsigned long)at[2] << 8 |
	    at[3];
}

/* socket_negotiate - is it a countersign? NULL, or why not */
static const char *
socket_negotiate(int fd, int64_t deadline_ms)
{
	/* length 13, 'O', version 6, all actions, all steps */
	static const unsigned char offer[] = { 0, 0, 0, 13, 'O', 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f,
		0xff, 0xff };
	unsigned char answer[17];
	size_t len = 0;

	if (send(fd, offer, sizeof(offer), MSG_NOSIGNAL) != (ssize_t)sizeof(offer))
		return "the connection was closed at once";
	while (len < sizeof(answer)) {
		ssize_t got;

		if (!socket_wait(fd, POLLIN, deadline_ms))
			return "the program that listens there does not answer";
		got = recv(fd, answer + len, sizeof(answer) - len, 0);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return "the connection was closed without an answer";
		len += got > 0 ? (size_t)got : 0;
		if (len > 4 && (answer[4] != 'O' || socket_number(answer) < 13))
			return "the program that listens there is not a milter";
	}
	if ((socket_number(answer + 9) & MILTER_SETSYMLIST) == 0 ||
	    (socket_number(answer + 13) & MILTER_LEADSPC) == 0)
		return "another milter answers there, not countersign";
	return NULL;
}

/* socket_open - a connection to an endpoint; -1 with errno */
static int
socket_open(const struct endpoint *endpoint, int64_t deadline_ms)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	const char *host = endpoint->host;
	int fd = -1;

	if (endpoint->path != NULL) {
		if (strlen(endpoint->path) >= sizeof(name.sun_path)) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name.sun_path, endpoint->path, strlen(endpoint->path) + 1);
		return socket_connect(
		    (const struct sockaddr *)&name, sizeof(name), deadline_ms);
	}
	if (strcmp(host, "0.0.0.0") == 0 || host[0] == '\0')
		host = "127.0.0.1";
	else if (strcmp(host, "::") == 0)
		host = "::1";
	errno = EHOSTUNREACH;
	if (getaddrinfo(host, endpoint->port, &hints, &list) != 0)
		return -1;
	for (const struct addrinfo *one = list; one != NULL && fd < 0; one = one->ai_next)
		fd = socket_connect(one->ai_addr, one->ai_addrlen, deadline_ms);
	freeaddrinfo(list);
	return fd;
}

/* is_peer - does peers let a user of this host in? */
static bool
is_peer(const struct config *config, uid_t uid)
{
	bool found = !config->peers.given;

	for (size_t i = 0; i < config->peers.n_users; i++)
		found = found || config->peers.users[i] == uid;
	return found;
}

/* check_alive - connect and say hello; for a user that peers does not let in, by the control
 * socket, so that the daemon need not close a connection and raise an event */
static void
check_alive(struct exam *exam, const struct endpoint *ours)
{
	static const char cure[] = "systemctl start countersign";
	const char *listen = exam->site->config->listen, *why;
	bool admitted =
	    exam->site->options->by_daemon || is_peer(exam->site->config, geteuid());
	int fd;

	if (!admitted && exam_daemon_answers(exam))
		return;
	fd = socket_open(ours, clock_ms() + SOCKET_WAIT_MS);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		exam_add_level(exam, DOCTOR_UNKNOWN, "socket.dead", listen,
		    "run this as root", "the socket may not be used by this user");
	else if (fd < 0)
		exam_add(exam, "socket.dead", listen, cure, "%s: %s", errno == ENOENT
			? "there is no socket"
			: "nothing accepts connections there", strerror(errno));
	if (fd < 0)
		return;
	why = socket_negotiate(fd, clock_ms() + SOCKET_WAIT_MS);
	if (why != NULL && !admitted && strncmp(why, "the connection was closed", 25) == 0)
		exam_add_level(exam, DOCTOR_UNKNOWN, "socket.dead", listen,
		    "run this as a user that peers names",
		    "peers does not let this user in, and no daemon answers on a control socket");
	else if (why != NULL)
		exam_add(exam, "socket.dead", listen, cure, "%s", why);
	(void)close(fd);
}

/* --- may Postfix get there ------------------------------------------------- */

/* An account. */
struct account_ids {
	const char *name;
	uid_t uid;
	gid_t groups[SOCKET_GROUPS];
	int n;
};

/* find_account - of Postfix; false: there is none */
static bool
find_account(const char *name, struct account_ids *ids)
{
	struct passwd entry, *found = NULL;
	char buffer[4096];

	*ids = (struct account_ids){ .name = name, .n = SOCKET_GROUPS };
	if (getpwnam_r(name, &entry, buffer, sizeof(buffer), &found) != 0 || found == NULL)
		return false;
	ids->uid = entry.pw_uid;
	if (getgrouplist(name, entry.pw_gid, ids->groups, &ids->n) < 0)
		ids->n = SOCKET_GROUPS;
	return true;
}

/* account_may - by mode bits: 2 write, 1 search */
static bool
account_may(const struct account_ids *ids, const struct stat *st, unsigned int bit)
{
	if (ids->uid == 0)
		return true;
	if (st->st_uid == ids->uid)
		return (st->st_mode >> 6 & bit) != 0;
	for (int i = 0; i < ids->n; i++)
		if (ids->groups[i] == st->st_gid)
			return (st->st_mode >> 3 & bit) != 0;
	return (st->st_mode & bit) != 0;
}

/* check_permission - each directory, then the socket */
static void
check_permission(struct exam *exam, const char *path)
{
	const char *owner = postfix_value(exam->ctx, exam->site->postfix, NULL, "mail_owner");
	char *part = mem_strdup(exam->ctx, path);
	struct account_ids ids;
	struct stat st;

	if (!find_account(owner, &ids))
		return;
	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (stat(part, &st) == 0 && !account_may(&ids, &st, 1)) {
			exam_add(exam, "socket.permission", part,
			    exam_text(exam, "chgrp %s %s && chmod g+x %s", owner, part, part),
			    "user %s may not pass this directory (mode %04o), so Postfix cannot "
			    "reach the socket %s", owner, (unsigned int)(st.st_mode & 07777), path);
			return;
		}
		*slash = '/';
	}
	if (stat(path, &st) == 0 && !account_may(&ids, &st, 2))
		exam_add(exam, "socket.permission", path, "listen_group = \"postfix\"",
		    "user %s may not write to the socket (mode %04o), so Postfix cannot connect",
		    owner, (unsigned int)(st.st_mode & 07777));
}

/* seen_by - our socket as a service sees a path */
static bool
seen_by(struct exam *exam, const struct postfix_service *service, const char *path,
    const char *ours)
{
	const char *queue =
	    postfix_value(exam->ctx, exam->site->postfix, NULL, "queue_directory");
	const char *seen = service->chroot || path[0] != '/'
	    ? exam_text(exam, "%s%s%s", queue, path[0] == '/' ? "" : "/", path)
	    : path;
	struct stat a, b;

	return strcmp(seen, ours) == 0 ||
	    (stat(seen, &a) == 0 && stat(ours, &b) == 0 && a.st_dev == b.st_dev &&
		a.st_ino == b.st_ino);
}

/* check_chroot - one service; true: it uses our unix socket */
static bool
check_chroot(struct exam *exam, const struct postfix_service *service, const char *parameter,
    const char *ours)
{
	const struct site *site = exam->site;
	const struct postfix_milter *milter =
	    site_our_milter(exam->ctx, site, service, parameter);
	const char *queue = postfix_value(exam->ctx, site->postfix, NULL, "queue_directory");
	struct endpoint theirs;

	if (milter == NULL)
		return false;
	theirs = endpoint_read(exam->ctx, milter->endpoint);
	if (!seen_by(exam, service, theirs.path, ours))
		exam_add(exam, "socket.chroot",
		    postfix_service_where(exam->ctx, site->postfix, service),
		    service->chroot
			? exam_text(exam, "listen = \"unix:%s%s\", or an inet socket", queue,
			      theirs.path)
			: exam_text(exam, "%s = unix:%s", parameter, ours),
		    service->chroot
			? "service %s runs in the chroot %s, where %s is not the socket %s"
			: "service %s does not run in the chroot %s, so %s is not the socket %s",
		    service->name, queue, theirs.path, ours);
	return true;
}

/* check_services - all that use our unix socket */
static void
check_services(struct exam *exam, const char *ours)
{
	const struct postfix *postfix = exam->site->postfix;
	const struct postfix_service *cleanup = site_cleanup(exam->site);
	bool used = false;

	for (size_t i = 0; i < postfix->n_services; i++)
		if (postfix_is_smtpd(&postfix->services[i]))
			used = check_chroot(exam, &postfix->services[i], "smtpd_milters", ours) ||
			    used;
	if (cleanup != NULL)
		used = check_chroot(exam, cleanup, "non_smtpd_milters", ours) || used;
	if (used)
		check_permission(exam, ours);
}

/* check_peers - does peers let the MTA of this host in, if it uses us? */
static void
check_peers(struct exam *exam)
{
	const struct site *site = exam->site;
	const char *owner = "root";
	struct account_ids ids = { .uid = 0 };
	bool used = site->sendmail != NULL && site_sendmail_filter(exam->ctx, site) != NULL &&
	    sendmail_find(site->sendmail, 'O', "RunAsUser") == NULL;

	if (site->postfix != NULL) {
		owner = postfix_value(exam->ctx, site->postfix, NULL, "mail_owner");
		for (size_t i = 0; i < site->postfix->n_services; i++)
			used = used ||
			    (postfix_is_smtpd(&site->postfix->services[i]) &&
				site_our_milter(exam->ctx, site, &site->postfix->services[i],
				    "smtpd_milters") != NULL);
		used = used && find_account(owner, &ids);
	}
	if (used && !is_peer(site->config, ids.uid))
		exam_add(exam, "socket.permission", exam_file_where(exam, "peers"),
		    exam_text(exam, "peers = { users = [\"%s\"] }", owner),
		    "peers does not let in the user %s, as which the MTA of this host connects",
		    owner);
}

/* peers_all - does peers let every host in? */
static bool
peers_all(const struct config *config)
{
	for (size_t i = 0; i < config->peers.n_networks; i++)
		if (config->peers.networks[i].prefix == 0)
			return true;
	return false;
}

void
examine_socket(struct exam *exam)
{
	const struct site *site = exam->site;
	struct endpoint ours;

	if (site->config == NULL)
		return;
	if (config_listen_inherited(site->config)) {
		exam_add_level(exam, DOCTOR_UNKNOWN, "socket.dead", site->config->listen,
		    "countersignctl status",
		    "only the service manager knows the address of this socket");
		return;
	}
	ours = endpoint_read(exam->ctx, site->config->listen_spec);
	check_alive(exam, &ours);
	if (!site->options->by_daemon)
		check_peers(exam);
	if (ours.path != NULL) {
		if (site->postfix != NULL)
			check_services(exam, ours.path);
	} else if (config_listens_beyond(site->config) &&
	    (!site->config->peers.given || peers_all(site->config))) {
		exam_add(exam, "socket.open-to-network",
		    exam_file_where(exam, site->config->peers.given ? "peers" : "listen"),
		    exam_text(exam, "listen = \"inet:127.0.0.1:%s\", or peers", ours.port),
		    "%s can be reached from other hosts, which may then claim any login and use up "
		    "its limits", site->config->listen);
	}
}

/*
 * check_ports.c - what the ports of the MTA really offer and serve
 *
 * A port that answers under our name is greeted with EHLO and asked for TLS, no more: no login is
 * tried and no message begun. So a certificate that was renewed and never loaded is seen, and
 * passwords that are asked for before TLS.
 *
 * Threads: each port has one; they write to their own struct port, and exams are told by the one
 * that waits for them.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

#include "filter/base/clock.h"
#include "filter/base/socket.h"
#include "filter/doctor/tls.h"
#include "policy/base/mem.h"

#define PORTS_MAX	16
#define PORT_WAIT_MS	1500	/* for each step of a conversation */

/* A port of the MTA. */
struct port {
	/* by settings */
	const struct postfix_service *service; /* NULL: of Sendmail */
	const char *label;
	const char *where;
	const char *host;	/* where it listens; NULL: everywhere */
	const char *name;	/* that it must greet with */
	const char *options;	/* where AUTH without TLS is switched off, for people */
	int number;
	bool wrapped;		/* TLS from the start */
	bool auth;
	bool outside;		/* strangers can reach it */

	/* as it was found */
	pthread_t thread;
	bool started;
	bool answers;		/* it is ours, and has answered EHLO, or begun TLS */
	bool starttls;		/* offered, and not for nothing */
	bool clear_auth;	/* AUTH before TLS */
	X509 *leaf;		/* that it serves, or NULL */
};

/* A conversation. */
struct talk {
	int fd;
	SSL *ssl;		/* once TLS is on */
	char reply[8192];
};

/* --- conversations --------------------------------------------------------- */

/* talk_open - to where a port is; false: nothing listens */
static bool
talk_open(struct talk *talk, const struct port *port)
{
	const struct timeval wait = { .tv_sec = PORT_WAIT_MS / 1000,
		.tv_usec = PORT_WAIT_MS % 1000 * 1000 };
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port->number) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)port->number) };
	bool named = port->host != NULL && strcasecmp(port->host, "localhost") != 0;
	int64_t deadline = clock_ms() + PORT_WAIT_MS;

	*talk = (struct talk){ .fd = -1 };
	if (inet_pton(AF_INET, named ? port->host : "127.0.0.1", &v4.sin_addr) == 1)
		talk->fd = socket_connect((const struct sockaddr *)&v4, sizeof(v4), deadline);
	if (talk->fd < 0 && inet_pton(AF_INET6, named ? port->host : "::1", &v6.sin6_addr) == 1)
		talk->fd = socket_connect((const struct sockaddr *)&v6, sizeof(v6), deadline);
	if (talk->fd < 0)
		return false;
	(void)fcntl(talk->fd, F_SETFL, 0);
	(void)setsockopt(talk->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	(void)setsockopt(talk->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	return true;
}

static void
talk_close(struct talk *talk)
{
	SSL_free(talk->ssl);
	if (talk->fd >= 0)
		(void)close(talk->fd);
	ERR_clear_error();
}

/* talk_reply - one SMTP reply, into talk->reply; its code, or 0 */
static int
talk_reply(struct talk *talk)
{
	size_t len = 0;

	for (;;) {
		size_t room = sizeof(talk->reply) - len - 1;
		ssize_t got = talk->ssl != NULL
		    ? SSL_read(talk->ssl, talk->reply + len, (int)room)
		    : recv(talk->fd, talk->reply + len, room, 0);
		const char *last;

		if (got <= 0)
			return 0;
		len += (size_t)got;
		talk->reply[len] = '\0';
		last = len > 1 ? memrchr(talk->reply, '\n', len - 1) : NULL;
		last = last != NULL ? last + 1 : talk->reply;
		if (talk->reply[len - 1] == '\n' && strlen(last) > 3 && last[3] != '-')
			return atoi(last);
		if (len + 1 >= sizeof(talk->reply))
			return 0;
	}
}

/* talk_ask - a command; the code of its reply, or 0 */
static int
talk_ask(struct talk *talk, const char *line)
{
	size_t len = strlen(line);

	return send(talk->fd, line, len, MSG_NOSIGNAL) == (ssize_t)len ? talk_reply(talk) : 0;
}

/* talk_offers - is a word the keyword of a line of the last reply? */
static bool
talk_offers(const struct talk *talk, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = talk->reply; at != NULL && strlen(at) > 4;
	     at = strchr(at, '\n'), at = at != NULL ? at + 1 : NULL)
		if (strncasecmp(at + 4, word, len) == 0 && strchr(" =\r\n", at[4 + len]) != NULL)
			return true;
	return false;
}

/* talk_begin - to the end of EHLO, or with wrapped TLS to nowhere; false: another host is there */
static bool
talk_begin(struct talk *talk, const struct port *port)
{
	return port->wrapped ||
	    (talk_reply(talk) == 220 && strcasestr(talk->reply, port->name) != NULL &&
		talk_ask(talk, "EHLO countersign.invalid\r\n") == 250);
}

/* talk_secure - TLS; false: none was agreed upon */
static bool
talk_secure(struct talk *talk, const struct port *port)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	char *name = mem_strdup(NULL, port->name); /* OpenSSL takes no const, and copies it */
	bool good = false;

	talk->ssl = context != NULL ? SSL_new(context) : NULL;
	if (talk->ssl != NULL)
		good = SSL_set_tlsext_host_name(talk->ssl, name) == 1 &&
		    SSL_set_fd(talk->ssl, talk->fd) == 1 && SSL_connect(talk->ssl) == 1;
	talloc_free(name);
	SSL_CTX_free(context);
	return good;
}

/* port_look - the thread of a port */
static void *
port_look(void *arg)
{
	struct port *port = arg;
	struct talk talk;
	int code = 220;

	if (talk_open(&talk, port) && talk_begin(&talk, port)) {
		port->answers = !port->wrapped;
		port->clear_auth = !port->wrapped && talk_offers(&talk, "AUTH");
		port->starttls = !port->wrapped && talk_offers(&talk, "STARTTLS");
		if (port->starttls)
			code = talk_ask(&talk, "STARTTLS\r\n");
		/* Without its key Postfix goes on to offer it, then says "TLS not available". With
		 * the same code it says that a milter is away. */
		if (code == 454 && strcasestr(talk.reply, "TLS") != NULL)
			port->starttls = false;
		if (code == 220 && (port->wrapped || port->starttls)) {
			if (talk_secure(&talk, port))
				port->leaf = SSL_get1_peer_certificate(talk.ssl);
			/* behind TLS from the start, the greeting says only now who it is */
			if (port->leaf != NULL && port->wrapped &&
			    (talk_reply(&talk) != 220 ||
				strcasestr(talk.reply, port->name) == NULL)) {
				X509_free(port->leaf);
				port->leaf = NULL;
			}
		}
	}
	talk_close(&talk);
	port->answers = port->answers || port->leaf != NULL;
	return NULL;
}

/* --- findings -------------------------------------------------------------- */

/* port_served - is what it serves in one of the files, and good? */
static void
port_served(struct exam *exam, const struct port *port)
{
	struct tls_file files[TLS_FILES] = { { .n = 0 } };
	size_t n = tls_files_find(exam, port->service, files);
	const char *path = NULL;
	bool same = false, some = false;
	time_t now = time(NULL);

	for (size_t i = 0; i < n; i++) {
		if (files[i].cert == NULL || !tls_file_read(&files[i]))
			continue;
		path = path != NULL ? path : files[i].cert;
		some = true;
		same = same || X509_cmp(port->leaf, files[i].chain[0]) == 0;
		tls_file_free(&files[i]);
	}
	if (some && !same)
		exam_add(exam, "tls.served-old", port->where,
		    port->service != NULL
			? "postfix reload, also as deploy hook of whatever renews certificates"
			: "restart Sendmail, also as deploy hook of whatever renews certificates",
		    "port %d serves %s certificate than %s holds", port->number,
		    X509_cmp_time(X509_get0_notAfter(port->leaf), &now) < 0
			? "an expired and other"
			: "another",
		    path);
}

/* port_tell - what was found at one */
static void
port_tell(struct exam *exam, const struct port *port)
{
	bool settled = port->service == NULL ||
	    strcasecmp(postfix_value(exam->ctx, exam->site->postfix, port->service,
			   "smtpd_tls_security_level"), "none") != 0;
	struct tls_file files[TLS_FILES] = { { .n = 0 } };

	if (!port->answers)
		return;
	if (port->leaf != NULL)
		port_served(exam, port);
	if (!port->outside)
		return;
	/* if the settings say so, too, it is said where they stand */
	if (!port->wrapped && !port->starttls && settled &&
	    tls_files_find(exam, port->service, files) > 0)
		exam_add_level(exam, port->auth ? DOCTOR_ERROR : DOCTOR_WARNING, "tls.not-offered",
		    port->where, "look for \"TLS\" in the log of the MTA, and restart it",
		    "port %d has no STARTTLS that works, though it is set up", port->number);
	if (port->clear_auth && port->auth)
		exam_add(exam, "auth.without-tls", port->options,
		    port->service != NULL ? "smtpd_tls_auth_only = yes"
					  : "define(`confAUTH_OPTIONS', `A,p')dnl",
		    "port %d offers AUTH before TLS: %s takes passwords in the clear", port->number,
		    port->label);
}

/* --- which ports ----------------------------------------------------------- */

/* ports_postfix - the inet services of Postfix that run smtpd */
static size_t
ports_postfix(struct exam *exam, struct port *ports)
{
	const struct site *site = exam->site;
	const struct postfix *postfix = site->postfix;
	size_t n = 0;

	for (size_t i = 0; i < postfix->n_services && n < PORTS_MAX; i++) {
		const struct postfix_service *service = &postfix->services[i];

		if (!postfix_is_smtpd(service) || service->port == 0 || service->n_broken > 0)
			continue;
		ports[n++] = (struct port){ .service = service,
			.label = exam_text(exam, "service %s", service->name),
			.where = postfix_service_where(exam->ctx, postfix, service),
			.options = postfix_where(
			    exam->ctx, postfix, service, "smtpd_tls_auth_only"),
			.host = service->host,
			.number = service->port,
			.name = postfix_value(exam->ctx, postfix, service, "myhostname"),
			.wrapped =
			    postfix_yes(exam->ctx, postfix, service, "smtpd_tls_wrappermode"),
			.auth = postfix_has_auth(exam->ctx, postfix, service),
			.outside = site_outside(site, service) };
	}
	return n;
}

/* ports_sendmail - the listeners of Sendmail */
static size_t
ports_sendmail(struct exam *exam, struct port *ports)
{
	const struct site *site = exam->site;
	const struct sendmail *sendmail = site->sendmail;
	size_t n = 0;

	for (size_t i = 0; i < sendmail->n && n < PORTS_MAX && site->helo != NULL; i++) {
		const struct sendmail_line *line = &sendmail->lines[i];
		const char *port, *modifiers, *name;
		struct ip_address ip;

		if (line->kind != 'O' || strcasecmp(line->name, "DaemonPortOptions") != 0)
			continue;
		port = sendmail_key(exam->ctx, line->value, "Port");
		modifiers = sendmail_key(exam->ctx, line->value, "M");
		name = sendmail_key(exam->ctx, line->value, "Name");
		ports[n] = (struct port){ .where = sendmail_where(exam->ctx, sendmail, line),
			.options = sendmail_where(exam->ctx, sendmail,
			    sendmail_find(sendmail, 'O', "AuthOptions")),
			.label = exam_text(exam, "daemon %s", name != NULL ? name : "of Sendmail"),
			.host = sendmail_key(exam->ctx, line->value, "Addr"),
			.number = sendmail_port(port),
			.name = site->helo,
			.wrapped = modifiers != NULL && strchr(modifiers, 's') != NULL,
			.auth = modifiers != NULL && strchr(modifiers, 'a') != NULL };
		ports[n].outside = ports[n].host == NULL ||
		    !ip_address_parse(ports[n].host, &ip) || !ip_address_is_loopback(&ip) ||
		    ports[n].auth;
		n++;
	}
	return n;
}

void
examine_ports(struct exam *exam)
{
	const struct site *site = exam->site;
	struct port ports[PORTS_MAX];
	size_t n = site->postfix != NULL ? ports_postfix(exam, ports)
	    : site->sendmail != NULL	 ? ports_sendmail(exam, ports)
					 : 0;

	for (size_t i = 0; i < n; i++)
		ports[i].started =
		    pthread_create(&ports[i].thread, NULL, port_look, &ports[i]) == 0;
	for (size_t i = 0; i < n; i++) {
		if (ports[i].started)
			(void)pthread_join(ports[i].thread, NULL);
		port_tell(exam, &ports[i]);
		X509_free(ports[i].leaf);
	}
}

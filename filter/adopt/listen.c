/*
 * listen.c - where countersign listens: a socket that Postfix reaches, or a port that is free
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/adopt/inside.h"
#include "policy/base/mem.h"

/* of countersign.socket, and without it of countersign.service */
#define SENDMAIL_UNIT_DIRECTORY "/run/countersign-milter"
#define SENDMAIL_DIRECTORY "/run/countersign"
#define FIRST_PORT 8891
#define LAST_PORT 8999

/* names_port - does a text hold a port number as a word of its own? */
static bool
names_port(const char *text, int port)
{
	char word[8];
	size_t len = (size_t)snprintf(word, sizeof(word), "%d", port);

	for (const char *at = text; (at = strstr(at, word)) != NULL; at += len)
		if ((at == text || strchr(":@ {,", at[-1]) != NULL) &&
		    (at[len] == '\0' || strchr("@ ,}/", at[len]) != NULL))
			return true;
	return false;
}

/* opendmarc_has - is it the port of OpenDMARC, which its clients name only while it is used? */
static bool
opendmarc_has(struct adopt *adopt, int port)
{
	char *text = adopt_file(adopt, "/etc/opendmarc.conf"), *line;
	int number = 0;

	while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL)
		if (strncasecmp(line, "Socket", 6) == 0 && names_port(line, port))
			return true;
	return false;
}

/* is_named - does a program of this host have the port by its configuration? */
static bool
is_named(struct adopt *adopt, int port)
{
	static const char *const names[] = { "smtpd_milters", "non_smtpd_milters", "content_filter",
		"smtpd_recipient_restrictions", "smtpd_relay_restrictions",
		"smtpd_sender_restrictions", "smtpd_end_of_data_restrictions",
		"smtpd_data_restrictions", "smtpd_client_restrictions" };

	for (size_t i = 0; i < adopt->opendkim_sockets.n; i++)
		if (names_port(adopt->opendkim_sockets.items[i], port))
			return true;
	for (size_t i = 0; i < adopt->n_services; i++)
		if (names_port(adopt->services[i].endpoint, port))
			return true;
	if (opendmarc_has(adopt, port))
		return true;
	for (size_t i = 0; adopt->sendmail != NULL && i < adopt->sendmail->n; i++)
		if (names_port(adopt->sendmail->lines[i].value, port))
			return true;
	for (size_t i = 0; i < adopt->n_instances; i++) {
		const struct postfix *postfix = adopt->instances[i];

		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
			if (names_port(postfix_value(adopt, postfix, NULL, names[k]), port))
				return true;
		for (size_t k = 0; k < postfix->n_services; k++) {
			const struct postfix_service *service = &postfix->services[k];

			if (service->port == port)
				return true;
			for (size_t m = 0; m < service->n_overrides; m++)
				if (names_port(service->overrides[m].value, port))
					return true;
		}
	}
	return false;
}

/* is_bound - does a program listen there now? */
static bool
is_bound(int port)
{
	const struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool bound;

	if (fd < 0)
		return false;
	bound = bind(fd, (const struct sockaddr *)(const void *)&address, sizeof(address)) != 0;
	(void)close(fd);
	return bound;
}

/* free_port - the first one that nothing has */
static int
free_port(struct adopt *adopt)
{
	for (int port = FIRST_PORT; port < LAST_PORT; port++)
		if (!is_named(adopt, port) && !is_bound(port))
			return port;
	return LAST_PORT;
}

/* mail_owner - the account that the MTA connects as */
static const char *
mail_owner(struct adopt *adopt)
{
	const char *owner = adopt->n_instances == 0
	    ? "root"
	    : postfix_value(adopt, adopt->instances[0], NULL, "mail_owner");

	return owner[0] != '\0' ? owner : "postfix";
}

/* listen_on_port - on loopback */
static void
listen_on_port(struct adopt *adopt, const char *why)
{
	const char *owner = mail_owner(adopt);
	int port = free_port(adopt);

	adopt->endpoint = mem_printf(adopt, "inet:127.0.0.1:%d", port);
	adopt_set(adopt, PLACE_LISTEN,
	    mem_printf(
		adopt, "a port that no program here has%s%s", why[0] != '\0' ? "; " : "", why),
	    "listen = \"inet:127.0.0.1:%d\"", port);
	if (getpwnam(owner) != NULL)
		adopt_set(adopt, PLACE_LISTEN,
		    "the account that the MTA connects as; others of this host may not",
		    "peers = { users = [%s] }", adopt_quoted(adopt, owner));
	else
		adopt_note(adopt,
		    "listen is a port that every user of this host can connect to, because there is no "
		    "user %s (mail_owner): add peers = { users = [\"NAME\"] } with the user that the MTA "
		    "runs as",
		    owner);
}

/* listen_below_queue - a socket that a chrooted Postfix reaches, too; false: no directory for it */
static bool
listen_below_queue(struct adopt *adopt)
{
	const char *queue = postfix_value(adopt, adopt->instances[0], NULL, "queue_directory");
	const char *directory = mem_printf(adopt, "%s/countersign", queue);
	struct stat st;

	if (adopt->n_instances > 1) {
		listen_on_port(adopt, "each instance of Postfix reaches it");
		return true;
	}
	if (stat(directory, &st) != 0 || !S_ISDIR(st.st_mode)) {
		adopt_note(adopt,
		    "listen is a port, because the directory %s does not exist. A unix socket that "
		    "only Postfix can open is the better choice: run install -d -m 2750 -o countersign "
		    "-g %s %s, then adopt again",
		    directory, adopt_shell(adopt, mail_owner(adopt)),
		    adopt_shell(adopt, directory));
		return false;
	}
	adopt->endpoint = "unix:countersign/milter";
	adopt_set(adopt, PLACE_LISTEN,
	    "below the queue directory of Postfix, so that it is right in a chroot and outside",
	    "listen = %s", adopt_quoted(adopt, mem_printf(adopt, "unix:%s/milter", directory)));
	return true;
}

/* listen_for_sendmail - the socket that a unit of systemd makes, or has a directory for */
static void
listen_for_sendmail(struct adopt *adopt)
{
	bool unit = access(SENDMAIL_UNIT_DIRECTORY, F_OK) == 0;
	const char *directory = unit ? SENDMAIL_UNIT_DIRECTORY : SENDMAIL_DIRECTORY;

	adopt->endpoint = mem_printf(adopt, "local:%s/milter", directory);
	adopt_set(adopt, PLACE_LISTEN,
	    unit ? "countersign.socket makes it; Sendmail connects as root"
		 : "countersign.service makes the directory; Sendmail connects as root",
	    "listen = \"unix:%s/milter\"", directory);
}

void
adopt_listen(struct adopt *adopt)
{
	if (adopt->n_instances == 0) {
		listen_for_sendmail(adopt);
	} else if (!listen_below_queue(adopt))
		listen_on_port(adopt, "");
}

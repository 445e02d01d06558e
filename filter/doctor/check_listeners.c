/*
 * check_listeners.c - is each service of the MTA taken for what it is, and by whose names?
 *
 * The daemon's own lookups are asked: listener_find() with what each service would send.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/base/plain_file.h"
#include "filter/config/listener.h"
#include "filter/doctor/inside.h"
#include "policy/base/mem.h"

#define LISTENER_LINES	1000 /* of a file that is looked through */
#define LISTENER_STRANGER "9.20.30.40" /* a client of which no configuration speaks */

/* A service of either MTA, as a milter sees it. */
struct listener_service {
	const char *label;	/* for people */
	const char *where;
	const char *daemon_name;
	int port;		/* 0: none */
	bool pickup;
	bool auth;
	bool local;		/* clients are on loopback only */
	bool names_itself;	/* the daemon's name was set for it */
};

/* --- listeners ------------------------------------------------------------- */

/* wants_daemon - has a submission listener a condition on daemon names? Its first one, or NULL */
static const char *
wants_daemon(const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].role == ROLE_SUBMISSION &&
		    config->listeners[i].daemons.n > 0)
			return config->listeners[i].daemons.items[0];
	return NULL;
}

/* asks_any - does a service offer AUTH, as far as its settings are written well? */
static bool
asks_any(struct exam *exam)
{
	const struct site *site = exam->site;

	if (site->sendmail != NULL)
		return site_sendmail_asks(exam->ctx, site->sendmail);
	for (size_t i = 0; i < site->postfix->n_services && !site_misspelt(site, "sasl"); i++)
		if (postfix_has_auth(exam->ctx, site->postfix, &site->postfix->services[i]))
			return true;
	return false;
}

/* check_one - which listener takes its mail? */
static void
check_one(struct exam *exam, const struct listener_service *service)
{
	const struct config *config = exam->site->config;
	const char *port = service->port > 0 ? exam_text(exam, "%d", service->port) : NULL;
	struct listener_traits traits = { .daemon_name = service->daemon_name,
		.daemon_port = port,
		.pickup = service->pickup,
		.login = service->auth };
	const char *wanted = wants_daemon(config);
	const struct listener *listener;
	bool nameless;

	(void)ip_address_parse(
	    service->local || service->pickup ? "127.0.0.1" : LISTENER_STRANGER, &traits.client);
	listener = listener_find(config, &traits);
	nameless = service->auth && !service->names_itself && wanted != NULL;
	if (listener == NULL && !nameless)
		exam_add(exam, "listener.no-match", service->where,
		    exam_text(exam, "add \"%s\" to the daemon of a listener", service->daemon_name),
		    "no listener of %s takes the mail of %s (daemon name \"%s\"): all of it is "
		    "deferred", config->file, service->label, service->daemon_name);
	/* on port 25 the AUTH itself is what is wrong, which auth.on-25 says */
	else if (service->auth && service->port != 25 &&
	    (listener == NULL || listener->role == ROLE_INBOUND || listener->role == ROLE_RELAY))
		exam_add(exam, "listener.wrong-role", service->where,
		    exam_text(exam, "-o milter_macro_daemon_name=%s",
			wanted != NULL ? wanted : "ORIGINATING"),
		    "%s takes mail of users, and no submission listener takes it%s%s (daemon name "
		    "\"%s\"): it is neither limited nor signed", service->label,
		    listener != NULL ? ", but the listener " : "",
		    listener != NULL ? listener->name : "", service->daemon_name);
	/* if nothing offers AUTH, auth.none says it */
	else if (asks_any(exam) && !service->auth && !service->pickup && !service->local &&
	    listener != NULL && listener->role == ROLE_SUBMISSION && listener->login != 0)
		exam_add(exam, "listener.wrong-role", service->where,
		    "set milter_macro_daemon_name in master.cf for submission only",
		    "%s offers no AUTH, and the listener %s has role submission: all its mail is "
		    "refused for lack of a login", service->label, listener->name);
}

/* postfix_listeners - each smtpd that uses us, and sendmail(1) */
static void
postfix_listeners(struct exam *exam)
{
	const struct site *site = exam->site;
	const struct postfix *postfix = site->postfix;
	static const char name[] = "milter_macro_daemon_name";

	for (size_t i = 0; i < postfix->n_services; i++) {
		const struct postfix_service *one = &postfix->services[i];
		struct listener_service service = { .port = one->port > 0 ? one->port : 25 };

		if (!postfix_is_smtpd(one) || site_milters_off(exam->ctx, site, one) ||
		    one->n_broken > 0 ||
		    site_our_milter(exam->ctx, site, one, "smtpd_milters") == NULL)
			continue;
		service.label = exam_text(exam, "service %s", one->name);
		service.daemon_name = postfix_value(exam->ctx, postfix, one, name);
		service.names_itself = postfix_override(one, name) != NULL;
		service.where = service.names_itself
		    ? postfix_where(exam->ctx, postfix, one, name)
		    : postfix_service_where(exam->ctx, postfix, one);
		service.auth = postfix_has_auth(exam->ctx, postfix, one);
		service.local = !site_outside(site, one);
		check_one(exam, &service);
	}
	if (site_our_milter(exam->ctx, site, site_cleanup(site), "non_smtpd_milters") != NULL) {
		const struct listener_service service = { .label = "sendmail(1)",
			.where = postfix_where(exam->ctx, postfix, NULL, "non_smtpd_milters"),
			.daemon_name = postfix_value(exam->ctx, postfix, site_cleanup(site), name),
			.pickup = true };

		check_one(exam, &service);
	}
}

/* sendmail_listeners - the ports of DaemonPortOptions */
static void
sendmail_listeners(struct exam *exam)
{
	const struct sendmail *sendmail = exam->site->sendmail;

	if (site_sendmail_filter(exam->ctx, exam->site) == NULL)
		return;
	for (size_t i = 0; i < sendmail->n; i++) {
		const struct sendmail_line *line = &sendmail->lines[i];
		struct listener_service service = { .names_itself = true };
		const char *port, *modifiers, *host;
		struct ip_address ip;

		if (line->kind != 'O' || strcasecmp(line->name, "DaemonPortOptions") != 0)
			continue;
		service.daemon_name = sendmail_key(exam->ctx, line->value, "Name");
		port = sendmail_key(exam->ctx, line->value, "Port");
		modifiers = sendmail_key(exam->ctx, line->value, "M");
		host = sendmail_key(exam->ctx, line->value, "Addr");
		service.port = sendmail_port(port);
		service.auth = modifiers != NULL && strchr(modifiers, 'a') != NULL;
		service.local = host != NULL && ip_address_parse(host, &ip) &&
		    ip_address_is_loopback(&ip) && !service.auth;
		service.where = sendmail_where(exam->ctx, sendmail, line);
		service.label = exam_text(exam, "daemon %s",
		    service.daemon_name != NULL ? service.daemon_name : "without a name");
		if (service.daemon_name == NULL)
			service.daemon_name = "";
		check_one(exam, &service);
	}
}

void
examine_listeners(struct exam *exam)
{
	const struct site *site = exam->site;

	if (site->config == NULL)
		return;
	if (site->postfix != NULL)
		postfix_listeners(exam);
	if (site->sendmail != NULL)
		sendmail_listeners(exam);
}

/* --- owners ---------------------------------------------------------------- */

/* table_argument - what identifies a table: its file, if it is text, else all of it */
static const char *
table_argument(const char *spec)
{
	const char *text = site_text_table(spec);

	return text != NULL ? text : strncmp(spec, "proxy:", 6) == 0 ? spec + 6 : spec;
}

/* has_table - is a table of Postfix one of ours? */
static bool
has_table(const struct words *owners, const char *spec)
{
	for (size_t i = 0; i < owners->n; i++)
		if (strcmp(table_argument(owners->items[i]), table_argument(spec)) == 0)
			return true;
	return false;
}

/* enforces - does Postfix refuse senders that a login does not own? */
static bool
enforces(struct exam *exam, const struct postfix_service *service)
{
	static const char *const lists[] = { "smtpd_sender_restrictions",
		"smtpd_recipient_restrictions", "smtpd_relay_restrictions",
		"smtpd_client_restrictions", "smtpd_data_restrictions" };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strstr(postfix_value(exam->ctx, exam->site->postfix, service, lists[i]),
			"sender_login_mismatch") != NULL)
			return true;
	return false;
}

/* knows_owners - does countersign know of owned addresses anyhow? */
static bool
knows_owners(const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].owners.n > 0)
			return true;
	for (size_t i = 0; i < config->n_accounts; i++)
		if (config->accounts[i].owns.n > 0)
			return true;
	return config->owners.n > 0;
}

/* check_service_owners - smtpd_sender_login_maps against owners */
static void
check_service_owners(struct exam *exam, const struct postfix_service *service)
{
	static const char name[] = "smtpd_sender_login_maps";
	const struct site *site = exam->site;
	const char *list = postfix_value(exam->ctx, site->postfix, service, name), *spec;
	const char *where = postfix_where(exam->ctx, site->postfix, service, name);
	const char *rest = list, *quoted = NULL;

	if (list[0] == '\0')
		return;
	while ((spec = postfix_word(exam->ctx, &rest)) != NULL)
		quoted = quoted == NULL ? exam_text(exam, "\"%s\"", spec)
					: exam_text(exam, "%s, \"%s\"", quoted, spec);
	if (!knows_owners(site->config)) {
		exam_add(exam, "owners.none", where, exam_text(exam, "owners = [%s]", quoted),
		    "Postfix knows who owns an address from %s, and countersign has no owners: it "
		    "will refuse the aliases of users", list);
		return;
	}
	for (rest = list; site->config->owners.n > 0 && enforces(exam, service) &&
	     (spec = postfix_word(exam->ctx, &rest)) != NULL;)
		if (!has_table(&site->config->owners, spec))
			exam_add(exam, "owners.differ", where,
			    exam_text(exam, "owners = [%s]", quoted),
			    "Postfix looks for owners in %s, and countersign does not", spec);
}

void
examine_owners(struct exam *exam)
{
	const struct site *site = exam->site;
	const char *delimiter;

	if (site->postfix == NULL || site->config == NULL)
		return;
	for (size_t i = 0; i < site->postfix->n_services; i++)
		if (postfix_has_auth(exam->ctx, site->postfix, &site->postfix->services[i]))
			check_service_owners(exam, &site->postfix->services[i]);
	delimiter = postfix_value(exam->ctx, site->postfix, NULL, "recipient_delimiter");
	/* without one in Postfix our default does no harm */
	if (strcmp(delimiter, site->config->delimiter) != 0 &&
	    (delimiter[0] != '\0' || strcmp(site->config->delimiter, "+") != 0))
		exam_add(exam, "delimiter.differs",
		    postfix_where(exam->ctx, site->postfix, NULL, "recipient_delimiter"),
		    exam_text(exam, "recipient_delimiter = \"%s\"", delimiter),
		    "recipient_delimiter is \"%s\" in Postfix and \"%s\" in countersign", delimiter,
		    site->config->delimiter);
}

/* --- logins ---------------------------------------------------------------- */

/* file_holds - does a line of a file, outside of comments, match "NAME SEPARATOR ... WORD"? */
static bool
file_holds(const char *path, const char *name, const char *word)
{
	FILE *file = plain_file(path);
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	for (int n = 0; file != NULL && n < LISTENER_LINES && !found &&
	     getline(&line, &size, file) > 0; n++) {
		const char *at = line + strspn(line, " \t");

		found = strncmp(at, name, strlen(name)) == 0 && strstr(at, word) != NULL;
	}
	free(line);
	if (file != NULL)
		(void)fclose(file);
	return found;
}

/* bare_cyrus - sasldb or PAM through Cyrus SASL; the file that says so, or NULL */
static const char *
bare_cyrus(struct exam *exam, const struct postfix_service *service)
{
	const struct postfix *postfix = exam->site->postfix;
	const char *paths = postfix_value(exam->ctx, postfix, service, "cyrus_sasl_config_path");
	const char *list = paths[0] != '\0'
	    ? paths
	    : exam_text(exam, "%s/sasl:/etc/postfix/sasl:/etc/sasl2:/usr/lib/sasl2",
		  postfix->directory);

	while (*list != '\0') {
		size_t len = strcspn(list, ":");
		const char *path = exam_text(exam, "%.*s/%s.conf", (int)len, list,
		    postfix_value(exam->ctx, postfix, service, "smtpd_sasl_path"));

		if (file_holds(path, "pwcheck_method", "saslauthd") ||
		    file_holds(path, "auxprop_plugin", "sasldb"))
			return path;
		list += len + (list[len] == ':');
	}
	return NULL;
}

/* bare_dovecot - a format that cuts the domain off; the file that says so, or NULL */
static const char *
bare_dovecot(void)
{
	static const char *const paths[] = { "/etc/dovecot/dovecot.conf", "/etc/dovecot/local.conf",
		"/etc/dovecot/conf.d/10-auth.conf" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (file_holds(paths[i], "auth_username_format", "%n") ||
		    file_holds(paths[i], "auth_username_format", "%Ln") ||
		    file_holds(paths[i], "auth_username_format", "| username"))
			return paths[i];
	return NULL;
}

/* knows_bare - are accounts configured by logins without a domain? */
static bool
knows_bare(const struct config *config)
{
	for (size_t i = 0; i < config->n_accounts; i++)
		if (config->accounts[i].owns.n > 0 && config->accounts[i].login != NULL &&
		    strchr(config->accounts[i].login, '@') == NULL)
			return true;
	return false;
}

void
examine_realm(struct exam *exam)
{
	const struct site *site = exam->site;
	const char *found = NULL, *local;

	if (site->postfix == NULL || site->config == NULL || site->config->realm != NULL ||
	    site->config->login_map.n > 0 || site->config->owners.n > 0 ||
	    knows_bare(site->config))
		return;
	for (size_t i = 0; i < site->postfix->n_services && found == NULL; i++) {
		const struct postfix_service *service = &site->postfix->services[i];
		const char *type =
		    postfix_value(exam->ctx, site->postfix, service, "smtpd_sasl_type");

		if (!postfix_has_auth(exam->ctx, site->postfix, service))
			continue;
		local = postfix_value(exam->ctx, site->postfix, service, "smtpd_sasl_local_domain");
		if (strcasecmp(type, "cyrus") == 0 && local[0] == '\0')
			found = bare_cyrus(exam, service);
		else if (strcasecmp(type, "dovecot") == 0)
			found = bare_dovecot();
	}
	if (found != NULL)
		exam_add(exam, "realm.missing", site->config->file,
		    exam_text(exam, "realm = \"%s\"",
			postfix_value(exam->ctx, site->postfix, NULL, "mydomain")),
		    "logins have no domain (%s), and realm is not set: no login owns an address",
		    found);
}

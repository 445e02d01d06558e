/*
 * site.c - what is known of a site before the checks begin
 *
 * The configuration by the daemon's own loader, the MTA by postconf or its sendmail.cf, the keys by
 * the daemon's keyring; then which addresses others see, which name we say, which domains are ours.
 *
 * Threads: site_prepare() belongs to one; the rest only reads.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/interfaces.h"
#include "filter/base/plain_file.h"
#include "filter/config/load.h"
#include "filter/dkim/signers.h"
#include "filter/doctor/dns_probe.h"
#include "filter/doctor/site.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"

#define SITE_POSTCONF_MS	4000	/* for all that postconf prints */
#define SITE_POSTFIX		"/etc/postfix/main.cf"
#define SITE_SENDMAIL		"/etc/mail/sendmail.cf"
#define SITE_LINES_MAX		5000	/* of a table whose keys are read */

/* --- addresses ------------------------------------------------------------- */

/* site_add_address - one under which others see this host */
static void
site_add_address(struct site *site, const struct ip_address *ip)
{
	struct site_address *address = &site->addresses[site->n_addresses];

	if (site->n_addresses == SITE_ADDRESSES_MAX)
		return;
	address->ip = *ip;
	address->text = ip_address_text(site, ip);
	site->n_addresses++;
}

/* site_is_seen - can others see this address? */
static bool
site_is_seen(const struct ip_address *ip)
{
	return !ip_address_is_inner(ip) && !ip_address_is_private(ip);
}

/* site_find_client - the service of Postfix that sends mail out */
static void
site_find_client(struct site *site)
{
	const char *transport = postfix_value(site, site->postfix, NULL, "default_transport");
	size_t len = strcspn(transport, ":");

	for (size_t i = 0; i < site->postfix->n_services; i++) {
		const struct postfix_service *service = &site->postfix->services[i];

		if (strcmp(service->type, "unix") == 0 && strlen(service->name) == len &&
		    strncmp(service->name, transport, len) == 0)
			site->client = service;
	}
}

/* site_client_value - of a parameter, for the service that sends mail out */
static const char *
site_client_value(struct site *site, const char *name)
{
	return postfix_value(site, site->postfix, site->client, name);
}

/* site_uses - does Postfix send by this protocol? */
static bool
site_uses(struct site *site, const struct ip_address *ip)
{
	const char *protocols, *preference;

	if (site->postfix == NULL)
		return true;
	protocols = site_client_value(site, "inet_protocols");
	preference = site_client_value(site, "smtp_address_preference");
	/* what is only the second choice is hardly ever used */
	if (strcasecmp(preference, ip->bits == 128 ? "ipv4" : "ipv6") == 0)
		return false;
	return strstr(protocols, "all") != NULL ||
	    strstr(protocols, ip->bits == 128 ? "ipv6" : "ipv4") != NULL;
}

/* site_bound_addresses - those that Postfix is set to send from; false: none is set */
static bool
site_bound_addresses(struct site *site)
{
	static const char *const names[] = { "smtp_bind_address", "smtp_bind_address6",
		"inet_interfaces" };
	bool told = false;

	for (size_t i = 0; site->postfix != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
		const char *list = site_client_value(site, names[i]), *word;
		bool here = false;

		while ((word = postfix_word(site, &list)) != NULL) {
			struct ip_address ip;
			size_t len = strlen(word);

			if (word[0] == '[' && word[len - 1] == ']')
				word = mem_strndup(site, word + 1, len - 2);
			if (!ip_address_parse(word, &ip) || ip_address_is_loopback(&ip) ||
			    !site_uses(site, &ip))
				continue;
			here = true;
			if (site_is_seen(&ip))
				site_add_address(site, &ip);
		}
		told = told || here;
		if (i == 1 && told)
			break;
	}
	return told;
}

/* site_find_smarthost - does mail go out through another host? */
static void
site_find_smarthost(struct site *site)
{
	const struct sendmail_line *line =
	    site->sendmail != NULL ? sendmail_find(site->sendmail, 'D', "S") : NULL;
	const char *transport;

	site->smarthost = line != NULL && line->value[0] != '\0';
	if (site->postfix == NULL)
		return;
	transport = postfix_value(site, site->postfix, NULL, "default_transport");
	transport = strchr(transport, ':');
	site->smarthost = site->smarthost || (transport != NULL && transport[1] != '\0') ||
	    postfix_value(site, site->postfix, NULL, "relayhost")[0] != '\0';
}

/* site_find_addresses - those of the command line, of Postfix, of the host */
static void
site_find_addresses(struct site *site)
{
	struct interface_address *all;
	size_t n = 0;

	site_find_smarthost(site);
	for (size_t i = 0; i < site->options->n_addresses; i++) {
		struct ip_address ip;

		if (ip_address_parse(site->options->addresses[i], &ip))
			site_add_address(site, &ip);
	}
	if (site->options->n_addresses > 0)
		return;
	if (site->smarthost) {
		site->hidden = "mail goes out through another host, whose addresses are not known "
			       "here";
		return;
	}
	all = interfaces_read(site, &n);
	if (!site_bound_addresses(site))
		for (size_t i = 0; i < n; i++)
			if (site_is_seen(&all[i].ip) && site_uses(site, &all[i].ip))
				site_add_address(site, &all[i].ip);
	if (site->n_addresses == 0)
		site->hidden = "this host has private addresses only";
}

/* site_find_helo - the name that this host says to others */
static void
site_find_helo(struct site *site)
{
	const struct sendmail_line *line;

	if (site->postfix != NULL) {
		site->helo = site_client_value(site, "smtp_helo_name");
		site->helo_where = postfix_where(site, site->postfix, site->client,
		    postfix_set(site->postfix, "smtp_helo_name") ||
			    postfix_override(site->client, "smtp_helo_name") != NULL
			? "smtp_helo_name"
			: "myhostname");
	}
	line = site->sendmail != NULL ? sendmail_find(site->sendmail, 'D', "j") : NULL;
	if (line != NULL && strchr(line->value, '$') == NULL) {
		site->helo = line->value;
		site->helo_where = sendmail_where(site, site->sendmail, line);
	}
}

/* --- domains --------------------------------------------------------------- */

/* A list of own domains. */
struct site_domains {
	const char **items;
	size_t *n;		/* at most SITE_DOMAINS_MAX */
};

/* domains_hold - is a normal name one of a list? below: or one below one of it */
static bool
domains_hold(const char *const *items, size_t n, const char *name, bool below)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(items[i], name) == 0 || (below && domain_is_or_below(name, items[i])))
			return true;
	return false;
}

/* site_add_domain - an own one, once */
static void
site_add_domain(struct site *site, const struct site_domains *list, const char *name)
{
	const char *error = NULL;
	char *normal;

	if (name == NULL || name[0] == '.' || strchr(name, '%') != NULL ||
	    *list->n == SITE_DOMAINS_MAX)
		return;
	normal = domain_normalise(site, name, strlen(name), &error);
	if (normal != NULL && !domain_is_literal(normal) && strchr(normal, '.') != NULL &&
	    !domains_hold(list->items, *list->n, normal, false))
		list->items[(*list->n)++] = normal;
}

/* site_add_keys - the domains of the keys of a table that is a text file: "domain",
 * "user@domain" */
static void
site_add_keys(struct site *site, const struct site_domains *list, const char *spec)
{
	const char *path = spec[0] == '/' ? spec : site_text_table(spec);
	FILE *file = plain_file(path);
	char *line = NULL;
	size_t size = 0;

	for (int n = 0;
	     file != NULL && n < SITE_LINES_MAX && getline(&line, &size, file) > 0; n++) {
		char *at;

		line[strcspn(line, " \t\r\n:")] = '\0';
		at = strrchr(line, '@');
		if (line[0] != '#' && line[0] != '\0' && (at != NULL || strchr(line, '.') != NULL))
			site_add_domain(site, list, at != NULL ? at + 1 : line);
	}
	free(line);
	if (file != NULL)
		(void)fclose(file);
}

/* site_find_mta_domains - for which the MTA takes mail. Names below others of them are hosts. */
static void
site_find_mta_domains(struct site *site)
{
	static const char *const names[] = { "virtual_mailbox_domains", "virtual_alias_domains",
		"mydestination", "myorigin" };
	const struct site_domains list = { site->mta_domains, &site->n_mta_domains };
	const char *host = postfix_value(site, site->postfix, NULL, "myhostname");
	size_t n = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *words = postfix_value(site, site->postfix, NULL, names[i]), *word;

		while ((word = postfix_word(site, &words)) != NULL)
			if (strchr(word, ':') != NULL || word[0] == '/') {
				if (i < 2)
					site_add_keys(site, &list, word);
			} else if (strncasecmp(word, "localhost", 9) != 0 &&
			    strcasecmp(word, host) != 0)
				site_add_domain(site, &list, word);
	}
	for (size_t i = 0; i < site->n_mta_domains; i++) {
		const char *name = site->mta_domains[i], *above = strchr(name, '.');

		if (above == NULL ||
		    (!domains_hold(site->mta_domains, site->n_mta_domains, above + 1, true) &&
			!domains_hold(site->domains, site->n_domains, name, true)))
			site->mta_domains[n++] = name;
	}
	site->n_mta_domains = n;
}

/* site_find_domains - of the realm, the accounts, owners and keys; for lack of those, the MTA's */
static void
site_find_domains(struct site *site)
{
	const struct site_domains list = { site->domains, &site->n_domains };
	const struct config *config = site->config;

	if (config == NULL)
		return;
	site_add_domain(site, &list, config->realm);
	for (size_t i = 0; i < config->domains.n; i++)
		site_add_domain(site, &list, config->domains.items[i]);
	for (size_t i = 0; i < config->own_domains.n; i++)
		site_add_domain(site, &list, config->own_domains.items[i]);
	for (size_t i = 0; i < config->owners.n; i++)
		site_add_keys(site, &list, config->owners.items[i]);
	if (site->signers != NULL) {
		size_t n;
		const struct keyring_key *keys = signers_all(site, site->signers, &n);

		for (size_t i = 0; i < n; i++)
			site_add_domain(site, &list, keys[i].domain);
	}
	if (site->postfix != NULL)
		site_find_mta_domains(site);
	for (size_t i = 0; site->n_domains == 0 && i < site->n_mta_domains; i++)
		site_add_domain(site, &list, site->mta_domains[i]);
}

/* --- what is sent here ------------------------------------------------------ */

/* site_find_sending - is mail of own domains sent here, or only taken from outside? */
static void
site_find_sending(struct site *site)
{
	const struct config *config = site->config;

	if (config == NULL)
		return;
	if (!config->auto_roles || site->postfix == NULL) {
		for (size_t i = 0; i < config->n_listeners; i++)
			site->sends = site->sends || config->listeners[i].role != ROLE_INBOUND;
		return;
	}
	site->sends = site_our_milter(site, site, site_cleanup(site), "non_smtpd_milters") != NULL;
	for (size_t i = 0; i < site->postfix->n_services; i++)
		site->sends = site->sends ||
		    postfix_has_auth(site, site->postfix, &site->postfix->services[i]);
}

/* --- the daemon's account -------------------------------------------------- */

/* site_may - by mode bits: 4 read, 2 write, 1 search */
static bool
site_may(const struct site *site, const struct stat *st, unsigned int bit)
{
	if (site->reader.uid == 0)
		return true;
	if (st->st_uid == site->reader.uid)
		return (st->st_mode >> 6 & bit) != 0;
	if (st->st_gid == site->reader.gid)
		return (st->st_mode >> 3 & bit) != 0;
	return (st->st_mode & bit) != 0;
}

/* site_reaches - every directory on the way to a file */
static bool
site_reaches(const struct site *site, const char *path)
{
	char *part = mem_strdup(NULL, path);
	bool good = true;

	for (char *slash = strchr(part + 1, '/'); slash != NULL && good;
	     slash = strchr(slash + 1, '/')) {
		struct stat st;

		*slash = '\0';
		good = stat(part, &st) != 0 || site_may(site, &st, 1);
		*slash = '/';
	}
	talloc_free(part);
	return good;
}

bool
site_reads(const struct site *site, const char *path)
{
	struct stat st;

	return !site->reader_known || path[0] != '/' || stat(path, &st) != 0 ||
	    (site_reaches(site, path) && site_may(site, &st, 4));
}

bool
site_writes(const struct site *site, const char *path)
{
	struct stat st;

	return !site->reader_known || path[0] != '/' || stat(path, &st) != 0 ||
	    (site_reaches(site, path) && site_may(site, &st, S_ISDIR(st.st_mode) ? 3 : 2));
}

/* --- preparing ------------------------------------------------------------- */

/* site_read_mta - Postfix or Sendmail: the one that was named, or what is there */
static void
site_read_mta(struct site *site)
{
	const struct doctor_options *options = site->options;
	bool postfix = options->postfix_config != NULL ||
	    (options->sendmail_cf == NULL &&
		(getenv("MAIL_CONFIG") != NULL || access(SITE_POSTFIX, F_OK) == 0));
	const char *cf = options->sendmail_cf;

	if (options->by_daemon)
		return;
	if (postfix)
		site->postfix = postfix_read(site, options->postfix_config,
		    clock_ms() + SITE_POSTCONF_MS, &site->mta_problem);
	if (cf == NULL && !postfix && access(SITE_SENDMAIL, F_OK) == 0)
		cf = SITE_SENDMAIL;
	if (cf != NULL)
		site->sendmail = sendmail_read(site, cf, &site->mta_problem);
	if (!postfix && cf == NULL)
		site->mta_problem = "neither Postfix nor Sendmail was found on this host";
}

/* site_read_keys - as the daemon reads them */
static void
site_read_keys(struct site *site)
{
	const char *warnings = NULL;

	if (site->options->reader != NULL)
		site->reader_known = site->options->reader(site->options->reader_state, site,
					 site->config, &site->reader, &site->signers_errors) == 0;
	if (!site->reader_known || !config_signs(site->config))
		return;
	site->signers =
	    signers_load(site, site->config, &site->reader, &warnings, &site->signers_errors);
}

/* site_open_dns - which servers answer, and a resolver if one does; without a configuration it is
 * not known whom to ask */
static void
site_open_dns(struct site *site)
{
	struct resolver_options options = { .cache_entries = 4000 };
	const char *error = NULL;

	if (site->config == NULL)
		return;
	options.servers = site->config->resolver.servers;
	options.trust_anchor = site->config->resolver.trust_anchor;
	dns_probe(site, options.servers);
	if (options.trust_anchor != NULL)
		dns_probe_signatures(site, options.trust_anchor);
	for (size_t i = 0; i < site->n_dns_servers && site->resolver == NULL; i++)
		if (site->dns_alive[i])
			site->resolver = resolver_new(NULL, &options, &error);
}

struct site *
site_prepare(const struct doctor_options *options, int64_t deadline_ms)
{
	struct site *site = mem_new(NULL, struct site);

	site->options = mem_memdup(site, options, sizeof(*options));
	site->deadline_ms = deadline_ms;
	site->config = config_load(site, options->file, &site->config_errors);
	site_read_mta(site);
	if (site->config != NULL)
		site_read_keys(site);
	site_open_dns(site);
	if (site->postfix != NULL)
		site_find_client(site);
	site_find_addresses(site);
	site_find_helo(site);
	site_find_domains(site);
	site_find_sending(site);
	return site;
}

void
site_free(struct site *site)
{
	talloc_free(site->resolver);
	talloc_free(site);
}

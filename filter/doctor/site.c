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

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/config/load.h"
#include "filter/dkim/signers.h"
#include "filter/doctor/dns_probe.h"
#include "filter/doctor/site.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"

#define SITE_POSTCONF_MS	4000	/* for all that postconf prints */
#define SITE_POSTFIX		"/etc/postfix/main.cf"
#define SITE_SENDMAIL		"/etc/mail/sendmail.cf"

/* --- addresses ------------------------------------------------------------- */

bool
site_is_private(const struct ip_address *ip)
{
	static const char *const networks[] = { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
		"100.64.0.0/10", "169.254.0.0/16", "0.0.0.0/8", "fc00::/7", "fe80::/10" };
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	bool found = ip_address_is_loopback(ip);
	const char *error = NULL;

	for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]) && !found; i++) {
		struct netblock block;

		found = netblock_parse(ctx, networks[i], &block, &error) &&
		    netblock_contains(&block, 1, ip);
	}
	talloc_free(ctx);
	return found;
}

/* site_add_address - one that others may see; false: it is private, or none */
static bool
site_add_address(struct site *site, const char *text)
{
	struct site_address *address = &site->addresses[site->n_addresses];

	if (site->n_addresses == SITE_ADDRESSES_MAX || !ip_address_parse(text, &address->ip) ||
	    site_is_private(&address->ip))
		return false;
	address->text = mem_strdup(site, text);
	site->n_addresses++;
	return true;
}

/* site_uses - does Postfix send by this protocol? */
static bool
site_uses(const struct site *site, int family)
{
	const char *protocols = site->postfix == NULL
	    ? "all"
	    : postfix_value((void *)(uintptr_t)site, site->postfix, NULL, "inet_protocols");

	return strstr(protocols, "all") != NULL ||
	    strstr(protocols, family == AF_INET6 ? "ipv6" : "ipv4") != NULL;
}

/* site_interface_addresses - those of this host; false: all of them are private */
static bool
site_interface_addresses(struct site *site)
{
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
		int family = one->ifa_addr != NULL ? one->ifa_addr->sa_family : AF_UNSPEC;
		char text[INET6_ADDRSTRLEN];
		const void *octets;

		if ((family != AF_INET && family != AF_INET6) || !site_uses(site, family) ||
		    (one->ifa_flags & IFF_UP) == 0)
			continue;
		octets = family == AF_INET
		    ? (const void *)&((const struct sockaddr_in *)(const void *)one->ifa_addr)
			  ->sin_addr
		    : (const void *)&((const struct sockaddr_in6 *)(const void *)one->ifa_addr)
			  ->sin6_addr;
		if (inet_ntop(family, octets, text, sizeof(text)) != NULL)
			found = site_add_address(site, text) || found;
	}
	freeifaddrs(all);
	return found;
}

/* site_bound_addresses - those that Postfix is told to send from; false: it is not told */
static bool
site_bound_addresses(struct site *site)
{
	static const char *const names[] = { "smtp_bind_address", "smtp_bind_address6",
		"inet_interfaces" };
	bool told = false;

	for (size_t i = 0; site->postfix != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
		const char *list = postfix_value(site, site->postfix, NULL, names[i]), *word;
		bool here = false;

		while ((word = postfix_word(site, &list)) != NULL) {
			struct ip_address ip;
			size_t len = strlen(word);

			if (word[0] == '[' && word[len - 1] == ']')
				word = mem_strndup(site, word + 1, len - 2);
			if (!ip_address_parse(word, &ip) || ip_address_is_loopback(&ip) ||
			    !site_uses(site, ip.bits == 128 ? AF_INET6 : AF_INET))
				continue;
			here = true;
			(void)site_add_address(site, word);
		}
		told = told || here;
		if (i == 1 && told)
			break;
	}
	return told;
}

/* site_find_addresses - those of the command line, of Postfix, of the host */
static void
site_find_addresses(struct site *site)
{
	const struct sendmail_line *line;

	if (site->postfix != NULL)
		site->smarthost =
		    postfix_value(site, site->postfix, NULL, "relayhost")[0] != '\0';
	line = site->sendmail != NULL ? sendmail_find(site->sendmail, 'D', "S") : NULL;
	site->smarthost = site->smarthost || (line != NULL && line->value[0] != '\0');
	for (size_t i = 0; i < site->options->n_addresses; i++)
		(void)site_add_address(site, site->options->addresses[i]);
	if (site->options->n_addresses > 0)
		return;
	if (site->smarthost) {
		site->hidden = "mail goes out through another host, whose addresses are not known "
			       "here";
		return;
	}
	if (!site_bound_addresses(site))
		(void)site_interface_addresses(site);
	if (site->n_addresses == 0)
		site->hidden = "this host has private addresses only";
}

/* site_find_helo - the name that this host says to others */
static void
site_find_helo(struct site *site)
{
	const struct sendmail_line *line;

	if (site->postfix != NULL) {
		const struct postfix_service *smtp = NULL;

		for (size_t i = 0; i < site->postfix->n_services; i++)
			if (strcmp(site->postfix->services[i].name, "smtp") == 0 &&
			    strcmp(site->postfix->services[i].type, "unix") == 0)
				smtp = &site->postfix->services[i];
		site->helo = postfix_value(site, site->postfix, smtp, "smtp_helo_name");
		site->helo_where = postfix_where(site, site->postfix, smtp,
		    postfix_set(site->postfix, "smtp_helo_name") ||
			    postfix_override(smtp, "smtp_helo_name") != NULL
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

/* site_add_domain - an own one, once */
static void
site_add_domain(struct site *site, const char *name)
{
	const char *error = NULL;
	char *normal;

	if (name == NULL || name[0] == '.' || strchr(name, '%') != NULL ||
	    site->n_domains == SITE_DOMAINS_MAX)
		return;
	normal = domain_normalise(site, name, strlen(name), &error);
	if (normal == NULL || domain_is_literal(normal) || strchr(normal, '.') == NULL)
		return;
	for (size_t i = 0; i < site->n_domains; i++)
		if (strcmp(site->domains[i], normal) == 0)
			return;
	site->domains[site->n_domains++] = normal;
}

/* site_find_domains - of the realm, the accounts and the keys; for lack of those, the MTA's */
static void
site_find_domains(struct site *site)
{
	static const char *const names[] = { "virtual_mailbox_domains", "virtual_alias_domains",
		"mydestination", "myorigin" };

	if (site->config == NULL)
		return;
	site_add_domain(site, site->config->realm);
	for (size_t i = 0; i < site->config->domains.n; i++)
		site_add_domain(site, site->config->domains.items[i]);
	if (site->signers != NULL) {
		size_t n;
		const struct keyring_key *keys = signers_all(site, site->signers, &n);

		for (size_t i = 0; i < n; i++)
			site_add_domain(site, keys[i].domain);
	}
	for (size_t i = 0; site->n_domains == 0 && site->postfix != NULL && i < 4; i++) {
		const char *list = postfix_value(site, site->postfix, NULL, names[i]), *word;

		while ((word = postfix_word(site, &list)) != NULL)
			if (strchr(word, ':') == NULL && strchr(word, '/') == NULL &&
			    strncasecmp(word, "localhost", 9) != 0 &&
			    strcasecmp(word,
				postfix_value(site, site->postfix, NULL, "myhostname")) != 0)
				site_add_domain(site, word);
	}
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

/* site_read_mta - Postfix or Sendmail: as told, or what is there */
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
	site_find_addresses(site);
	site_find_helo(site);
	site_find_domains(site);
	return site;
}

void
site_free(struct site *site)
{
	talloc_free(site->resolver);
	talloc_free(site);
}

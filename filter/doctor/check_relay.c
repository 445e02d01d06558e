/*
 * check_relay.c - who may log in, and who may send without
 *
 * The restriction lists of Postfix are walked as Postfix does, for a stranger who writes to a
 * stranger: what is open to such a one is open to all.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <ctype.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/doctor/inside.h"
#include "filter/table/open.h"
#include "filter/table/table.h"
#include "policy/base/mem.h"

#define RELAY_DEPTH	5	/* of restriction classes */
#define RELAY_WORDS	200	/* of a list */
#define RELAY_TABLE_MS	500
#define RELAY_PUBLIC	16	/* bits: a wider public network is one of strangers */
#define RELAY_PUBLIC6	32

/* Who asks. */
struct relay_client {
	bool in_mynetworks;
	const struct postfix_service *service;
};

/* What a list says. */
enum relay_answer {
	RELAY_NEXT,		/* nothing: the next list decides */
	RELAY_PERMIT,
	RELAY_REJECT
};

static enum relay_answer relay_walk(
    struct exam *exam, const struct relay_client *client, const char *list, int depth);

/* --- tables ---------------------------------------------------------------- */

/* relay_keys - what a check_*_access asks for, of a stranger; NULL-terminated */
static const char *const *
relay_keys(const char *restriction)
{
	static const char *const client[] = { "9.20.30.40", "9.20.30", "9.20", "9", NULL };
	static const char *const helo[] = { "client.stranger.example", "stranger.example",
		"example", NULL };
	static const char *const sender[] = { "user@stranger.example", "stranger.example",
		"example", "user@", NULL };
	static const char *const recipient[] = { "user@elsewhere.example", "elsewhere.example",
		"example", "user@", NULL };
	static const char *const none[] = { NULL };

	if (strcmp(restriction, "check_client_access") == 0)
		return client;
	if (strcmp(restriction, "check_helo_access") == 0)
		return helo;
	if (strcmp(restriction, "check_sender_access") == 0)
		return sender;
	return strcmp(restriction, "check_recipient_access") == 0 ? recipient : none;
}

/* relay_value - what an action of an access table comes to */
static enum relay_answer
relay_value(struct exam *exam, const struct relay_client *client, const char *value, int depth)
{
	if (strncasecmp(value, "OK", 2) == 0 && !isalnum((unsigned char)value[2]))
		return RELAY_PERMIT;
	if (isdigit((unsigned char)value[0]))
		return (value[0] == '4' || value[0] == '5') && strcspn(value, " \t") == 3
		    ? RELAY_REJECT
		    : RELAY_PERMIT;
	if (strncasecmp(value, "REJECT", 6) == 0 || strncasecmp(value, "DEFER", 5) == 0)
		return RELAY_REJECT;
	return relay_walk(exam, client, value, depth + 1);
}

/* relay_table - a check_*_access, by the daemon's own tables; those with a server are not asked */
static enum relay_answer
relay_table(struct exam *exam, const struct relay_client *client, const char *restriction,
    const char *spec, int depth)
{
	static const char *const files[] = { "hash:", "btree:", "lmdb:", "texthash:", "cidr:",
		"pcre:", "regexp:", "inline:" };
	const char *const *keys = relay_keys(restriction), *error = NULL;
	enum relay_answer answer = RELAY_NEXT;
	struct table *table = NULL;

	if (strncmp(spec, "static:", 7) == 0 && keys[0] != NULL)
		return relay_value(exam, client, spec + 7, depth);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strncmp(spec, files[i], strlen(files[i])) == 0)
			table = table_open_with(exam->ctx, NULL, spec, &error);
	for (; table != NULL && *keys != NULL && answer == RELAY_NEXT; keys++) {
		const char *value = NULL;

		if (table_get(table, exam->ctx, *keys, clock_ms() + RELAY_TABLE_MS, &value,
			&error) == TABLE_FOUND)
			answer = relay_value(exam, client, value, depth);
	}
	talloc_free(table);
	return answer;
}

/* --- lists ----------------------------------------------------------------- */

/* relay_word - one restriction; rest: what follows it, for its argument */
static enum relay_answer
relay_word(struct exam *exam, const struct relay_client *client, const char *word,
    const char **rest, int depth)
{
	static const char *const closing[] = { "reject", "defer", "reject_unauth_destination",
		"defer_unauth_destination", "defer_if_permit", "check_relay_domains",
		"reject_plaintext_session" };
	const struct postfix *postfix = exam->site->postfix;

	for (size_t i = 0; i < sizeof(closing) / sizeof(closing[0]); i++)
		if (strcasecmp(word, closing[i]) == 0)
			return RELAY_REJECT;
	if (strcasecmp(word, "permit") == 0)
		return RELAY_PERMIT;
	if (strcasecmp(word, "permit_mynetworks") == 0)
		return client->in_mynetworks ? RELAY_PERMIT : RELAY_NEXT;
	if (strncasecmp(word, "check_", 6) == 0) {
		const char *argument = postfix_word(exam->ctx, rest);

		return argument == NULL || strcasecmp(word, "check_policy_service") == 0
		    ? RELAY_NEXT
		    : relay_table(exam, client, word, argument, depth);
	}
	if (postfix_has_word(exam->ctx,
		postfix_value(exam->ctx, postfix, client->service, "smtpd_restriction_classes"),
		word))
		return relay_walk(exam, client,
		    postfix_value(exam->ctx, postfix, client->service, word), depth + 1);
	return RELAY_NEXT;
}

/* relay_walk - a list, to its first decision */
static enum relay_answer
relay_walk(struct exam *exam, const struct relay_client *client, const char *list, int depth)
{
	bool only_warns = false;
	const char *word;

	for (int n = 0; depth < RELAY_DEPTH && n < RELAY_WORDS &&
	     (word = postfix_word(exam->ctx, &list)) != NULL; n++) {
		enum relay_answer answer = relay_word(exam, client, word, &list, depth);

		if (answer == RELAY_PERMIT || (answer == RELAY_REJECT && !only_warns))
			return answer;
		only_warns = strcasecmp(word, "warn_if_reject") == 0;
	}
	return RELAY_NEXT;
}

/* relay_open - do all lists of a service let this client through to strangers? */
static bool
relay_open(struct exam *exam, const struct relay_client *client)
{
	static const char *const lists[] = { "smtpd_client_restrictions", "smtpd_helo_restrictions",
		"smtpd_sender_restrictions", "smtpd_relay_restrictions",
		"smtpd_recipient_restrictions" };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (relay_walk(exam, client,
			postfix_value(
			    exam->ctx, exam->site->postfix, client->service, lists[i]),
			0) == RELAY_REJECT)
			return false;
	return true;
}

/* --- mynetworks ------------------------------------------------------------ */

/* network_read - one word of mynetworks; false: it is no network */
static bool
network_read(struct exam *exam, const char *word, struct netblock *block)
{
	char *text = mem_strdup(exam->ctx, word), *to = text;
	const char *error = NULL;

	for (const char *from = word; *from != '\0'; from++)
		if (*from != '[' && *from != ']')
			*to++ = *from;
	*to = '\0';
	return netblock_parse(exam->ctx, text, block, &error);
}

/* holds_address - is one of the addresses of this host in a network? interface: of bridges only */
static bool
holds_address(const struct netblock *block, bool bridges)
{
	static const char *const names[] = { "docker", "br-", "podman", "cni" };
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *one = all; one != NULL && !found; one = one->ifa_next) {
		char text[INET6_ADDRSTRLEN];
		struct ip_address ip;
		bool is_bridge = false;

		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			is_bridge =
			    is_bridge || strncmp(one->ifa_name, names[i], strlen(names[i])) == 0;
		if (one->ifa_addr == NULL || one->ifa_addr->sa_family != AF_INET ||
		    (bridges && !is_bridge))
			continue;
		found = inet_ntop(AF_INET,
			    &((const struct sockaddr_in *)(const void *)one->ifa_addr)->sin_addr,
			    text, sizeof(text)) != NULL &&
		    ip_address_parse(text, &ip) && netblock_contains(block, 1, &ip);
	}
	freeifaddrs(all);
	return found;
}

/* holds_gateway - in a container, the gateway stands for every client */
static bool
holds_gateway(const struct netblock *block)
{
	FILE *file;
	char line[256];
	bool found = false;

	if (access("/.dockerenv", F_OK) != 0 && access("/run/.containerenv", F_OK) != 0)
		return false;
	file = fopen("/proc/net/route", "re");
	while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
		unsigned int to, gateway;
		struct ip_address ip;
		char text[INET_ADDRSTRLEN];

		if (sscanf(line, "%*s %x %x", &to, &gateway) != 2 || to != 0 || gateway == 0)
			continue;
		found = inet_ntop(AF_INET, &gateway, text, sizeof(text)) != NULL &&
		    ip_address_parse(text, &ip) && netblock_contains(block, 1, &ip);
	}
	if (file != NULL)
		(void)fclose(file);
	return found;
}

/* holds_ours - an address under which others see us */
static bool
holds_ours(const struct site *site, const struct netblock *block)
{
	for (size_t i = 0; i < site->n_addresses; i++)
		if (netblock_contains(block, 1, &site->addresses[i].ip))
			return true;
	return false;
}

/* check_network - one word */
static void
check_network(struct exam *exam, const char *where, const char *word)
{
	static const char cure[] = "mynetworks = 127.0.0.0/8 [::1]/128";
	struct netblock block;
	bool wide;

	if (!network_read(exam, word, &block) || ip_address_is_loopback(&block.network))
		return;
	wide = block.prefix <= (block.network.bits == 32 ? RELAY_PUBLIC : RELAY_PUBLIC6);
	if (block.prefix == 0 || (wide && !site_is_private(&block.network)))
		exam_add(exam, "relay.networks", where, cure,
		    "mynetworks holds %s: strangers may send without a login", word);
	else if (block.network.bits == 32 && holds_gateway(&block))
		exam_add(exam, "relay.networks", where, cure,
		    "mynetworks holds %s, and with it the gateway of this container, as which "
		    "every client appears", word);
	else if (block.prefix < 32 && block.network.bits == 32 && holds_address(&block, true))
		exam_add(exam, "relay.networks", where, cure,
		    "mynetworks holds %s, and with it the bridge of containers, as which clients "
		    "may appear", word);
	else if (!site_is_private(&block.network) && block.prefix < block.network.bits &&
	    !holds_ours(exam->site, &block) && !holds_address(&block, false))
		exam_add_level(exam, DOCTOR_WARNING, "relay.networks", where, cure,
		    "mynetworks holds %s, in which this host has no address", word);
}

/* relay_networks - mynetworks as written, or its style */
static bool
relay_networks(struct exam *exam)
{
	const struct postfix *postfix = exam->site->postfix;
	const char *list = postfix_value(exam->ctx, postfix, NULL, "mynetworks"), *word;
	const char *where = postfix_where(exam->ctx, postfix, NULL, "mynetworks");
	const char *style = postfix_value(exam->ctx, postfix, NULL, "mynetworks_style");
	bool others = false;

	if (!postfix_set(postfix, "mynetworks")) {
		if (postfix_set(postfix, "mynetworks_style") && strcasecmp(style, "host") != 0)
			exam_add_level(exam, DOCTOR_WARNING, "relay.networks",
			    postfix_where(exam->ctx, postfix, NULL, "mynetworks_style"),
			    "mynetworks_style = host",
			    "mynetworks_style = %s lets neighbors send without a login", style);
		return false;
	}
	while ((word = postfix_word(exam->ctx, &list)) != NULL) {
		struct netblock block;

		if (word[0] == '!')
			continue;
		check_network(exam, where, word);
		others = others ||
		    (network_read(exam, word, &block) && !ip_address_is_loopback(&block.network));
	}
	return others;
}

/* --- checks ---------------------------------------------------------------- */

void
examine_relay(struct exam *exam)
{
	const struct site *site = exam->site;
	bool others;

	if (site->postfix == NULL)
		return;
	others = relay_networks(exam);
	for (size_t i = 0; i < site->postfix->n_services; i++) {
		const struct postfix_service *service = &site->postfix->services[i];
		const struct relay_client stranger = { .service = service };
		const struct relay_client neighbor = { true, service };

		if (!postfix_is_smtpd(service) || !site_outside(site, service) ||
		    service->n_broken > 0)
			continue;
		if (relay_open(exam, &stranger))
			exam_add(exam, "relay.open",
			    postfix_where(exam->ctx, site->postfix, service,
				postfix_override(service, "smtpd_recipient_restrictions") != NULL
				    ? "smtpd_recipient_restrictions"
				    : "smtpd_relay_restrictions"),
			    "smtpd_relay_restrictions = permit_mynetworks, "
			    "permit_sasl_authenticated, reject_unauth_destination",
			    "service %s relays mail from strangers to strangers", service->name);
		else if (others && postfix_has_auth(exam->ctx, site->postfix, service) &&
		    service->port != 25 && relay_open(exam, &neighbor))
			exam_add(exam, "relay.submission-networks",
			    postfix_where(
				exam->ctx, site->postfix, service, "smtpd_relay_restrictions"),
			    "-o smtpd_relay_restrictions=permit_sasl_authenticated,reject",
			    "service %s takes mail from mynetworks without a login", service->name);
	}
}

/* lacks_noanonymous - of the two lists of a service */
static const char *
lacks_noanonymous(struct exam *exam, const struct postfix_service *service)
{
	static const char *const names[] = { "smtpd_sasl_security_options",
		"smtpd_sasl_tls_security_options" };

	for (size_t i = 0; i < 2; i++)
		if (!postfix_has_word(exam->ctx,
			postfix_value(exam->ctx, exam->site->postfix, service, names[i]),
			"noanonymous"))
			return names[i];
	return NULL;
}

void
examine_auth(struct exam *exam)
{
	const struct site *site = exam->site;
	bool auth = false, broken = false, wanted = false;

	if (site->postfix == NULL)
		return;
	for (size_t i = 0; i < site->postfix->n_services; i++) {
		const struct postfix_service *service = &site->postfix->services[i];
		const char *lacking;

		broken = broken || service->n_broken > 0;
		if (!postfix_has_auth(exam->ctx, site->postfix, service))
			continue;
		auth = true;
		lacking = lacks_noanonymous(exam, service);
		if (lacking != NULL)
			exam_add(exam, "auth.anonymous",
			    postfix_where(exam->ctx, site->postfix, service, lacking),
			    exam_text(exam, "%s = noanonymous", lacking),
			    "%s does not hold noanonymous: everyone may log in", lacking);
		if (service->port == 25 || strcmp(service->type, "pass") == 0)
			exam_add(exam, "auth.on-25",
			    postfix_where(
				exam->ctx, site->postfix, service, "smtpd_sasl_auth_enable"),
			    "set smtpd_sasl_auth_enable=yes in master.cf for submission only",
			    "service %s offers AUTH on port 25, where stolen passwords are tried "
			    "first", service->name);
	}
	for (size_t i = 0; site->config != NULL && !site->config->auto_roles &&
	     i < site->config->n_listeners; i++)
		wanted = wanted || site->config->listeners[i].role == ROLE_SUBMISSION;
	if (!auth && wanted && !broken && !site_misspelt(site, "sasl"))
		exam_add(exam, "auth.none", site->postfix->master_cf,
		    "-o smtpd_sasl_auth_enable=yes",
		    "a listener has the role submission, and no service offers AUTH");
}

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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/interfaces.h"
#include "filter/base/plain_file.h"
#include "filter/doctor/inside.h"
#include "filter/table/open.h"
#include "filter/table/table.h"
#include "policy/base/mem.h"

#define RELAY_DEPTH	5	/* of restriction classes */
#define RELAY_WORDS	200	/* of a list */
#define RELAY_TABLE_MS	500
#define RELAY_WIDE	16	/* bits: so wide a public network is one of strangers */
#define RELAY_WIDE6	32
#define RELAY_OTHERS	24	/* the same, if this host has no address in it */
#define RELAY_OTHERS6	48
#define RELAY_HIDDEN	8	/* the widest that is for inner use */
#define RELAY_HIDDEN6	7
#define RELAY_LINES	1000	/* of a file of networks */
#define RELAY_DOMAINS	10	/* own ones that are tried as senders */
#define RELAY_ELSEWHERE	"elsewhere.example" /* a recipient's domain that is not ours */

/* Who asks. */
struct relay_client {
	bool in_mynetworks;
	const char *sender;	/* the domain of MAIL FROM */
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
relay_keys(struct exam *exam, const struct relay_client *client, const char *restriction)
{
	static const char *const address[] = { "9.20.30.40", "9.20.30", "9.20", "9", NULL };
	static const char *const helo[] = { "client.stranger.example", "stranger.example",
		"example", NULL };
	static const char *const recipient[] = { "user@" RELAY_ELSEWHERE, RELAY_ELSEWHERE,
		"example", "user@", NULL };
	static const char *const none[] = { NULL };
	const char **sender;

	if (strcmp(restriction, "check_client_access") == 0)
		return address;
	if (strcmp(restriction, "check_helo_access") == 0)
		return helo;
	if (strcmp(restriction, "check_sender_access") != 0)
		return strcmp(restriction, "check_recipient_access") == 0 ? recipient : none;
	sender = mem_array(exam->ctx, const char *, 5);
	sender[0] = exam_text(exam, "user@%s", client->sender);
	sender[1] = client->sender;
	sender[2] = strchr(client->sender, '.') + 1;
	sender[3] = "user@";
	return sender;
}

/* relay_open_table - a table that is a file, by the daemon's own code; NULL: of another kind */
static struct table *
relay_open_table(struct exam *exam, const char *spec)
{
	static const char *const files[] = { "hash:", "btree:", "lmdb:", "texthash:", "cidr:",
		"pcre:", "regexp:", "inline:" };
	const char *error = NULL;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strncmp(spec, files[i], strlen(files[i])) == 0)
			return table_open_with(exam->ctx, NULL, spec, &error);
	return NULL;
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

/* relay_table - a check_*_access; tables that have a server are not asked */
static enum relay_answer
relay_table(struct exam *exam, const struct relay_client *client, const char *restriction,
    const char *spec, int depth)
{
	const char *const *keys = relay_keys(exam, client, restriction), *error = NULL;
	enum relay_answer answer = RELAY_NEXT;
	struct table *table;

	if (strncmp(spec, "static:", 7) == 0 && keys[0] != NULL)
		return relay_value(exam, client, spec + 7, depth);
	table = relay_open_table(exam, spec);
	for (; table != NULL && *keys != NULL && answer == RELAY_NEXT; keys++) {
		const char *value = NULL;

		if (table_get(table, exam->ctx, *keys, clock_ms() + RELAY_TABLE_MS, &value,
			&error) == TABLE_FOUND)
			answer = relay_value(exam, client, value, depth);
	}
	talloc_free(table);
	return answer;
}

/* relay_all_ours - does a list of domains hold every domain? */
static bool
relay_all_ours(struct exam *exam, const struct relay_client *client, const char *parameter)
{
	const char *list = postfix_value(
	    exam->ctx, exam->site->postfix, client->service, parameter), *word;
	bool found = false;

	while (!found && (word = postfix_word(exam->ctx, &list)) != NULL) {
		struct table *table = relay_open_table(exam, word);
		const char *value = NULL, *error = NULL;

		found = strncmp(word, "static:", 7) == 0 ||
		    (table != NULL &&
			table_get(table, exam->ctx, RELAY_ELSEWHERE, clock_ms() + RELAY_TABLE_MS,
			    &value, &error) == TABLE_FOUND);
		talloc_free(table);
	}
	return found;
}

/* relay_unauth - does reject_unauth_destination refuse a stranger's recipient? */
static bool
relay_unauth(struct exam *exam, const struct relay_client *client)
{
	static const char *const names[] = { "relay_domains", "mydestination",
		"virtual_alias_domains", "virtual_mailbox_domains" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (relay_all_ours(exam, client, names[i]))
			return false;
	return true;
}

/* --- lists ----------------------------------------------------------------- */

/* relay_word - one restriction; rest: what follows it, for its argument */
static enum relay_answer
relay_word(struct exam *exam, const struct relay_client *client, const char *word,
    const char **rest, int depth)
{
	static const char *const closing[] = { "reject", "defer", "defer_if_permit",
		"reject_plaintext_session" };
	static const char *const unauth[] = { "reject_unauth_destination",
		"defer_unauth_destination", "check_relay_domains" };
	const struct postfix *postfix = exam->site->postfix;

	for (size_t i = 0; i < sizeof(unauth) / sizeof(unauth[0]); i++)
		if (strcasecmp(word, unauth[i]) == 0)
			return relay_unauth(exam, client) ? RELAY_REJECT : RELAY_PERMIT;
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

/* What is known of mynetworks. */
struct relay_networks {
	struct exam *exam;
	const char *where;
	const struct interface_address *own; /* of this host */
	size_t n_own;
	bool others;		/* it holds more than loopback */
};

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

/* network_holds_bridge - to which containers are connected */
static bool
network_holds_bridge(const struct relay_networks *networks, const struct netblock *block)
{
	static const char *const names[] = { "docker", "br-", "podman", "cni" };

	for (size_t i = 0; i < networks->n_own; i++)
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
			if (strncmp(networks->own[i].interface, names[k], strlen(names[k])) == 0 &&
			    netblock_contains(block, 1, &networks->own[i].ip))
				return true;
	return false;
}

/* network_holds_gateway - in a container, the gateway stands for every client */
static bool
network_holds_gateway(const struct netblock *block)
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

/* network_is_ours - does it hold an address of this host? wider: in a network of an interface, or
 * at an address that others see, and more than that */
static bool
network_is_ours(const struct relay_networks *networks, const struct netblock *block, bool wider)
{
	const struct site *site = networks->exam->site;

	for (size_t i = 0; i < site->n_addresses; i++)
		if (netblock_contains(block, 1, &site->addresses[i].ip))
			return true;
	for (size_t i = 0; i < networks->n_own; i++)
		if (netblock_contains(block, 1, &networks->own[i].ip) &&
		    (!wider || block->prefix < networks->own[i].prefix))
			return true;
	return false;
}

/* network_is_meant - does a listener of role relay name its clients? */
static bool
network_is_meant(const struct site *site, const struct netblock *block)
{
	for (size_t i = 0; site->config != NULL && i < site->config->n_listeners; i++) {
		const struct listener *listener = &site->config->listeners[i];

		for (size_t k = 0; listener->role == ROLE_RELAY && k < listener->n_clients; k++)
			if (listener->clients[k].prefix <= block->prefix &&
			    netblock_contains(&listener->clients[k], 1, &block->network))
				return true;
	}
	return false;
}

/* network_is_hidden - are all its addresses inside of some network only? */
static bool
network_is_hidden(const struct netblock *block)
{
	struct ip_address last = block->network;

	if (block->prefix < (block->network.bits == 32 ? RELAY_HIDDEN : RELAY_HIDDEN6))
		return false;
	for (unsigned int bit = block->prefix; bit < last.bits; bit++)
		last.octets[bit / 8] |= (unsigned char)(0x80 >> bit % 8);
	return (ip_address_is_private(&block->network) || ip_address_is_inner(&block->network)) &&
	    (ip_address_is_private(&last) || ip_address_is_inner(&last));
}

/* check_network - one word */
static void
check_network(struct relay_networks *networks, const char *word)
{
	static const char cure[] = "mynetworks = 127.0.0.0/8 [::1]/128";
	struct exam *exam = networks->exam;
	const char *where = networks->where;
	struct netblock block;
	bool v4, hidden;

	if (!network_read(exam, word, &block) || ip_address_is_loopback(&block.network))
		return;
	networks->others = true;
	v4 = block.network.bits == 32;
	hidden = network_is_hidden(&block);
	if (block.prefix == 0 ||
	    (!hidden &&
		(block.prefix <= (v4 ? RELAY_WIDE : RELAY_WIDE6) ||
		    (block.prefix <= (v4 ? RELAY_OTHERS : RELAY_OTHERS6) &&
			!network_is_ours(networks, &block, false) &&
			!network_is_meant(exam->site, &block)))))
		exam_add(exam, "relay.networks", where, cure,
		    "mynetworks holds %s: strangers may send without a login", word);
	else if (v4 && network_holds_gateway(&block))
		exam_add(exam, "relay.networks", where, cure,
		    "mynetworks holds %s, and with it the gateway of this container, as which "
		    "every client appears", word);
	else if (block.prefix < block.network.bits && network_holds_bridge(networks, &block))
		exam_add(exam, "relay.networks", where, cure,
		    "mynetworks holds %s, and with it the bridge of containers, as which clients "
		    "may appear", word);
	else if (block.prefix == block.network.bits || network_is_meant(exam->site, &block))
		return;
	else if (network_is_ours(networks, &block, true))
		exam_add_level(exam, DOCTOR_WARNING, "relay.networks", where, cure,
		    "mynetworks holds %s, which is wider than the networks of this host", word);
	else if (!hidden && !network_is_ours(networks, &block, false))
		exam_add_level(exam, DOCTOR_WARNING, "relay.networks", where, cure,
		    "mynetworks holds %s, in which this host has no address", word);
}

/* check_network_file - the first words of the lines of a file, or of a cidr: table */
static void
check_network_file(struct relay_networks *networks, const char *path)
{
	FILE *file = plain_file(path);
	char *line = NULL;
	size_t size = 0;

	for (int n = 1;
	     file != NULL && n < RELAY_LINES && getline(&line, &size, file) > 0; n++) {
		const char *rest = line, *word = postfix_word(networks->exam->ctx, &rest);

		if (word == NULL || word[0] == '#' || word[0] == '!')
			continue;
		networks->where = exam_text(networks->exam, "%s:%d", path, n);
		check_network(networks, word);
	}
	free(line);
	if (file != NULL)
		(void)fclose(file);
}

/* relay_networks_check - mynetworks of a service, or of all (NULL), as written, or its style;
 * true: it holds more than loopback */
static bool
relay_networks_check(struct exam *exam, const struct postfix_service *service)
{
	const struct postfix *postfix = exam->site->postfix;
	const char *list = postfix_value(exam->ctx, postfix, service, "mynetworks"), *word;
	const char *style = postfix_value(exam->ctx, postfix, service, "mynetworks_style");
	struct relay_networks networks = { .exam = exam };

	if (postfix_override(service, "mynetworks") == NULL &&
	    !postfix_set(postfix, "mynetworks")) {
		if (strcasecmp(style, "host") == 0)
			return false;
		exam_add_level(exam, DOCTOR_WARNING, "relay.networks",
		    postfix_where(exam->ctx, postfix, service, "mynetworks_style"),
		    "mynetworks_style = host",
		    "mynetworks_style = %s lets neighbors send without a login", style);
		return true;
	}
	networks.own = interfaces_read(exam->ctx, &networks.n_own);
	while ((word = postfix_word(exam->ctx, &list)) != NULL) {
		const char *path = word[0] == '/'	  ? word
		    : strncmp(word, "cidr:/", 6) == 0 ? word + 5
						      : site_text_table(word);

		networks.where = postfix_where(exam->ctx, postfix, service, "mynetworks");
		if (path != NULL)
			check_network_file(&networks, path);
		else if (word[0] != '!')
			check_network(&networks, word);
	}
	return networks.others;
}

/* relay_is_open - is a service open to a stranger, under any sender address? */
static bool
relay_is_open(struct exam *exam, const struct postfix_service *service)
{
	struct relay_client client = { .sender = "stranger.example", .service = service };

	if (relay_open(exam, &client))
		return true;
	for (size_t i = 0; i < exam->site->n_domains && i < RELAY_DOMAINS; i++) {
		client.sender = exam->site->domains[i];
		if (relay_open(exam, &client))
			return true;
	}
	return false;
}

/* --- checks ---------------------------------------------------------------- */

void
examine_relay(struct exam *exam)
{
	const struct site *site = exam->site;
	bool all, others;

	if (site->postfix == NULL)
		return;
	all = relay_networks_check(exam, NULL);
	for (size_t i = 0; i < site->postfix->n_services; i++) {
		const struct postfix_service *service = &site->postfix->services[i];
		const struct relay_client neighbor = { true, "stranger.example", service };

		if (!postfix_is_smtpd(service) || !site_outside(site, service) ||
		    service->n_broken > 0)
			continue;
		others = postfix_override(service, "mynetworks") != NULL
		    ? relay_networks_check(exam, service)
		    : all;
		if (relay_is_open(exam, service))
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

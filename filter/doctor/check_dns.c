/*
 * check_dns.c - what DNS says of this host: its addresses, its name, who gets its mail
 *
 * Threads: any; the site is only read, and the resolver is anyone's.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filter/base/clock.h"
#include "filter/doctor/dns_probe.h"
#include "filter/doctor/dns_question.h"
#include "filter/doctor/inside.h"
#include "policy/base/dns.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/spf/macro.h"

#define DNS_SLOW_MS	1000
#define DNS_NAMES	10	/* of an address that are looked at */
#define DNS_TRIED	5	/* own domains whose length is tried */
#define DNS_ROOM	1232	/* octets of a packet that no network divides */
#define DNS_ROOM_LEAST	512

/* has_address - does a name have this address? 1 yes, 0 no, -1 not known */
static int
has_address(struct exam *exam, const char *name, const struct ip_address *ip)
{
	const struct dns_answer *answer =
	    exam_ask(exam, name, ip->bits == 128 ? DNS_AAAA : DNS_A);

	if (answer->status == DNS_TIMEOUT || answer->status == DNS_FAILURE)
		return -1;
	for (size_t i = 0; i < answer->count; i++)
		if (answer->records[i].len == ip->bits / 8 &&
		    memcmp(answer->records[i].data, ip->octets, ip->bits / 8) == 0)
			return 1;
	return 0;
}

/* resolves - has a name any address? 1 yes, 0 no, -1 not known */
static int
resolves(struct exam *exam, const char *name)
{
	const struct dns_answer *v4 = exam_ask(exam, name, DNS_A);
	const struct dns_answer *v6 = exam_ask(exam, name, DNS_AAAA);

	if (v4->count > 0 || v6->count > 0)
		return 1;
	return v4->status == DNS_TIMEOUT || v4->status == DNS_FAILURE ||
		v6->status == DNS_TIMEOUT || v6->status == DNS_FAILURE
	    ? -1
	    : 0;
}

/* --- reverse --------------------------------------------------------------- */

/* reverse_name - under which the PTR records of an address are */
static const char *
reverse_name(struct exam *exam, const struct ip_address *ip)
{
	return spf_reverse_name(exam->ctx, ip->octets, ip->bits == 128);
}

const char *
helo_fault(const char *name)
{
	static const char *const ends[] = { ".local", ".localdomain", ".localhost", ".lan",
		".internal", ".home", ".invalid" };
	struct ip_address ip;
	size_t len = strlen(name);

	if (name[0] == '[' || ip_address_parse(name, &ip))
		return "is an address";
	if (strncasecmp(name, "localhost", 9) == 0)
		return "means every host";
	if (strchr(name, '.') == NULL)
		return "has no domain";
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (len > strlen(ends[i]) && strcasecmp(name + len - strlen(ends[i]), ends[i]) == 0)
			return "exists inside of a network only";
	return NULL;
}

/* holds_octets - does a name hold the four numbers of an address, in either order? */
static bool
holds_octets(struct exam *exam, const char *name, const unsigned char *o)
{
	static const char *const between[] = { "-", ".", "x", "_", "" };

	for (size_t i = 0; i < sizeof(between) / sizeof(between[0]); i++) {
		const char *b = between[i];

		/* without anything between, short numbers would be found in any name */
		if (b[0] == '\0' && (o[0] < 10 || o[1] < 10 || o[2] < 10 || o[3] < 10))
			continue;
		if (strstr(name,
			exam_text(exam, "%u%s%u%s%u%s%u", o[0], b, o[1], b, o[2], b, o[3])) ||
		    strstr(name,
			exam_text(exam, "%u%s%u%s%u%s%u", o[3], b, o[2], b, o[1], b, o[0])))
			return true;
	}
	return strstr(name, exam_text(exam, "%03u-%03u-%03u-%03u", o[0], o[1], o[2], o[3])) !=
		NULL ||
	    strcasestr(name, exam_text(exam, "%02x%02x%02x%02x", o[0], o[1], o[2], o[3])) != NULL;
}

/* is_generic - does a name look like one of a provider's pool? One in an own domain does not. */
static bool
is_generic(struct exam *exam, const char *name, const struct ip_address *ip)
{
	static const char *const words[] = { "dynamic", "dyn", "dynip", "pool", "dhcp", "dialup",
		"dial", "dsl", "adsl", "vdsl", "xdsl", "static", "staticip", "vps", "ppp", "cust",
		"customer", "customers", "client", "clients", "broadband", "cable" };
	static const char between[] = ".-_0123456789";

	for (size_t i = 0; i < exam->site->n_domains; i++)
		if (domain_is_or_below(name, exam->site->domains[i]))
			return false;
	for (const char *at = name + strspn(name, between); *at != '\0';
	     at += strspn(at, between)) {
		size_t len = strcspn(at, between);

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i]) == len && strncasecmp(at, words[i], len) == 0)
				return true;
		at += len;
	}
	return ip->bits == 32 && holds_octets(exam, name, ip->octets);
}

/* check_names - the names of an address: one must lead back */
static void
check_names(struct exam *exam, const struct site_address *address, const struct dns_answer *answer)
{
	const char *first = NULL, *confirmed = NULL, *helo = exam->site->helo;
	bool unknown = false, is_helo = false;

	for (size_t i = 0; i < answer->count && i < DNS_NAMES; i++) {
		const char *name = exam_shown(
		    exam, (const char *)answer->records[i].data, answer->records[i].len);
		int has = has_address(exam, name, &address->ip);

		first = first != NULL ? first : name;
		confirmed = has > 0 && confirmed == NULL ? name : confirmed;
		unknown = unknown || has < 0;
		is_helo = is_helo || (helo != NULL && strcasecmp(name, helo) == 0);
	}
	if (confirmed == NULL && unknown)
		exam_add_level(exam, DOCTOR_UNKNOWN, "rdns.not-confirmed", address->text, NULL,
		    "DNS gave no answer about the address of %s", first);
	else if (confirmed == NULL)
		exam_add(exam, "rdns.not-confirmed", address->text,
		    exam_text(exam, "%s. IN %s %s", first, address->ip.bits == 128 ? "AAAA" : "A",
			address->text),
		    "the name of this address is %s, and that name does not have this address",
		    first);
	else if (is_generic(exam, confirmed, &address->ip))
		exam_add(exam, "rdns.generic", address->text,
		    exam_text(exam, "have the provider set the name %s",
			helo != NULL ? helo : "of this host"),
		    "the name of this address, %s, looks like one of a provider's pool", confirmed);
	else if (helo != NULL && !is_helo && helo_fault(helo) == NULL)
		exam_add(exam, "rdns.other-than-helo", address->text,
		    exam_text(exam, "have the provider set the name %s", helo),
		    "the name of this address is %s, and this host calls itself %s", confirmed,
		    helo);
}

void
examine_addresses(struct exam *exam)
{
	const struct site *site = exam->site;

	if (site->hidden != NULL && site->resolver != NULL)
		exam_add_level(exam, DOCTOR_UNKNOWN, "rdns.missing", NULL,
		    "name the address that others see with --ip ADDR",
		    "the outgoing address was not looked at: %s", site->hidden);
	for (size_t i = 0; i < site->n_addresses; i++)
		exam_ahead(exam, reverse_name(exam, &site->addresses[i].ip), DNS_PTR);
	for (size_t i = 0; i < site->n_addresses; i++) {
		const struct site_address *address = &site->addresses[i];
		const struct dns_answer *answer =
		    exam_ask(exam, reverse_name(exam, &address->ip), DNS_PTR);

		if (exam_dns_unknown(exam, "rdns.missing", address->text, answer))
			continue;
		if (answer->count > 0)
			check_names(exam, address, answer);
		else
			exam_add(exam, "rdns.missing", address->text,
			    exam_text(exam,
				address->ip.bits == 128
				    ? "have the provider set its name to %s, or try IPv4 first: "
				      "smtp_address_preference = ipv4"
				    : "have the provider set its name to %s",
				site->helo != NULL ? site->helo : "the name of this host"),
			    "this address has no name in DNS (PTR); big receivers refuse its mail");
	}
}

/* --- HELO ------------------------------------------------------------------ */

void
examine_helo(struct exam *exam)
{
	const struct site *site = exam->site;
	const char *fault, *cure;
	bool some = false, unknown = false;
	int found;

	if (site->helo == NULL || site->helo[0] == '\0')
		return;
	cure = exam_text(exam, "myhostname = mail.%s",
	    site->n_domains > 0 ? site->domains[0] : "DOMAIN");
	fault = helo_fault(site->helo);
	if (fault != NULL) {
		exam_add(exam, "helo.bad", site->helo_where, cure,
		    "this host calls itself %s, which %s", site->helo, fault);
		return;
	}
	/* a smarthost does not look the name up */
	if (site->resolver == NULL || (site->smarthost && site->n_addresses == 0))
		return;
	found = resolves(exam, site->helo);
	if (found < 0)
		exam_add_level(exam, DOCTOR_UNKNOWN, "helo.bad", site->helo, NULL,
		    "DNS gave no answer about this name");
	else if (found == 0)
		exam_add(exam, "helo.bad", site->helo_where,
		    exam_text(exam, "%s. IN A %s", site->helo,
			site->n_addresses > 0 ? site->addresses[0].text : "ADDRESS"),
		    "this host calls itself %s, and that name has no address in DNS", site->helo);
	for (size_t i = 0; found > 0 && i < site->n_addresses; i++) {
		int has = has_address(exam, site->helo, &site->addresses[i].ip);

		some = some || has > 0;
		unknown = unknown || has < 0;
	}
	if (found > 0 && site->n_addresses > 0 && !some && !unknown)
		exam_add(exam, "helo.elsewhere", site->helo_where,
		    exam_text(exam, "%s. IN A %s", site->helo, site->addresses[0].text),
		    "this host calls itself %s, and that name has other addresses than %s",
		    site->helo, site->addresses[0].text);
}

/* --- MX -------------------------------------------------------------------- */

/* is_alias - has a name a CNAME? */
static bool
is_alias(struct exam *exam, const char *name)
{
	const struct dns_question question = { .name = name,
		.type = DNS_TYPE_CNAME,
		.room = DNS_ROOM };
	const struct site *site = exam->site;
	struct dns_reply reply;

	for (size_t i = 0; i < site->n_dns_servers; i++)
		if (site->dns_alive[i])
			return dns_question_ask(site->dns_servers[i], &question,
				   exam_deadline(exam, DNS_SLOW_MS), &reply) &&
			    reply.answers > 0 && reply.has_alias;
	return false;
}

/* check_mx_host - one of a domain; true: it is this host */
static bool
check_mx_host(struct exam *exam, const char *domain, const struct dns_record *record)
{
	const struct site *site = exam->site;
	const char *name = exam_shown(exam, (const char *)record->data, record->len);
	struct ip_address ip;

	if (record->len == 0)
		return true; /* a null MX (RFC 7505): the domain gets no mail, and says so */
	if (ip_address_parse(name, &ip)) {
		exam_add(exam, "mx.is-address", domain,
		    exam_text(exam, "%s. IN MX 10 mail.%s.", domain, domain),
		    "the MX of this domain is the address %s; it must be a name", name);
		return true;
	}
	if (resolves(exam, name) == 0)
		exam_add(exam, "mx.unresolved", domain, exam_text(exam, "%s. IN A ADDRESS", name),
		    "the MX %s of this domain has no address", name);
	else if (is_alias(exam, name))
		exam_add(exam, "mx.cname", domain,
		    exam_text(exam, "%s. IN MX %u the name that %s stands for", domain,
			record->preference, name),
		    "the MX %s of this domain is an alias (CNAME), which RFC 2181 section 10.3 "
		    "forbids", name);
	for (size_t i = 0; i < site->n_addresses; i++)
		if (has_address(exam, name, &site->addresses[i].ip) != 0)
			return true;
	return site->helo != NULL && strcasecmp(name, site->helo) == 0;
}

/* says_bogus - does our own validation say that DNSSEC fails? */
static bool
says_bogus(const struct site *site, const struct dns_answer *answer)
{
	return answer->problem != NULL && site->config->resolver.trust_anchor != NULL &&
	    (strcasestr(answer->problem, "validation") != NULL ||
		strcasestr(answer->problem, "DNSSEC") != NULL ||
		strcasestr(answer->problem, "bogus") != NULL);
}

/* server_refuses - does a server that validates know the answer, and keep it to itself? */
static bool
server_refuses(struct exam *exam, const char *server, const char *domain)
{
	struct dns_question question = { .name = domain, .type = DNS_MX, .room = DNS_ROOM };
	struct dns_reply reply;

	if (!dns_question_ask(server, &question, exam_deadline(exam, DNS_SLOW_MS), &reply) ||
	    reply.rcode != DNS_RCODE_SERVFAIL)
		return false;
	question.unchecked = true;
	return dns_question_ask(server, &question, exam_deadline(exam, DNS_SLOW_MS), &reply) &&
	    reply.rcode == 0;
}

/* check_bogus - no answer: because DNSSEC fails? */
static bool
check_bogus(struct exam *exam, const char *domain, const struct dns_answer *answer)
{
	const struct site *site = exam->site;
	bool bogus = says_bogus(site, answer);

	if (answer->status != DNS_FAILURE || site->dns_strips)
		return false;
	for (size_t i = 0; i < site->n_dns_servers && !bogus; i++)
		bogus = site->dns_alive[i] && server_refuses(exam, site->dns_servers[i], domain);
	if (bogus)
		exam_add(exam, "dns.bogus", domain, "correct the DS record at the registrar",
		    "validating resolvers refuse this domain: %s",
		    answer->problem != NULL ? answer->problem : "SERVFAIL");
	return bogus;
}

/* check_domain_mx - of one domain; also whether DNSSEC lets anyone see it */
static void
check_domain_mx(struct exam *exam, const char *domain)
{
	const struct dns_answer *answer = exam_ask(exam, domain, DNS_MX);
	const struct site *site = exam->site;
	bool here = false;

	if (check_bogus(exam, domain, answer) ||
	    exam_dns_unknown(exam, "mx.missing", domain, answer))
		return;
	for (size_t i = 0; i < answer->count && i < DNS_NAMES; i++)
		here = check_mx_host(exam, domain, &answer->records[i]) || here;
	if (answer->count > 0 && !here && site->n_addresses > 0)
		exam_add(exam, "mx.not-here", domain, NULL,
		    "mail to this domain goes to %s, another host",
		    exam_shown(exam, (const char *)answer->records[0].data,
			answer->records[0].len));
	if (answer->count == 0 && resolves(exam, domain) == 0)
		exam_add(exam, "mx.missing", domain,
		    exam_text(exam, "%s. IN MX 10 %s.", domain,
			site->helo != NULL ? site->helo : "HOST"),
		    "this domain has neither an MX nor an address: some receivers refuse senders "
		    "that cannot get mail");
}

void
examine_mx(struct exam *exam)
{
	const struct site *site = exam->site;

	if (site->resolver == NULL)
		return;
	for (size_t i = 0; i < site->n_domains; i++)
		exam_ahead(exam, site->domains[i], DNS_MX);
	for (size_t i = 0; i < site->n_domains; i++)
		check_domain_mx(exam, site->domains[i]);
}

/* --- the servers ----------------------------------------------------------- */

/* check_lies - a name that no domain has must not exist */
static void
check_lies(struct exam *exam)
{
	const char *name =
	    exam_text(exam, "x%llx.countersign-%llx.com", (unsigned long long)clock_wall_ms(),
		(unsigned long long)clock_ms() * 2654435761ULL % 0xffffffffULL);

	if (exam_ask(exam, name, DNS_A)->count > 0)
		exam_add(exam, "resolver.lies", exam->site->dns_servers[0],
		    "run a resolver on this host, such as unbound",
		    "a name that does not exist has an address: SPF and DKIM checks go wrong");
}

/* loses_long - does a server promise more by TCP, and not keep that? The root's keys do not fit
 * into 512 octets; nor may what our domains have fit into a packet. */
static bool
loses_long(struct exam *exam, const char *server)
{
	const struct site *site = exam->site;
	struct dns_question question = { .name = "",
		.type = DNS_TYPE_DNSKEY,
		.room = DNS_ROOM_LEAST,
		.dnssec = true };
	struct dns_reply reply;

	for (size_t i = 0; i <= site->n_domains && i <= DNS_TRIED; i++) {
		if (i > 0)
			question = (struct dns_question){ .name = site->domains[i - 1],
				.type = DNS_TXT,
				.room = DNS_ROOM };
		if (!dns_question_ask(server, &question, exam_deadline(exam, DNS_SLOW_MS),
			&reply) || !reply.truncated)
			continue;
		question.tcp = true;
		return !dns_question_ask(
			   server, &question, exam_deadline(exam, DNS_SLOW_MS), &reply) ||
		    reply.truncated;
	}
	return false;
}

/* is_slow - does a server need as long the second time? This host may have been busy. */
static bool
is_slow(struct exam *exam, const char *server)
{
	const struct dns_question question = { .name = "", .type = DNS_TYPE_NS, .room = DNS_ROOM };
	int64_t before = clock_ms();
	struct dns_reply reply;

	return !dns_question_ask(server, &question, exam_deadline(exam, DNS_PROBE_MS), &reply) ||
	    clock_ms() - before > DNS_SLOW_MS;
}

/* check_server - one that answers */
static void
check_server(struct exam *exam, const char *server, int64_t ms)
{
	static const char cure[] = "run a resolver on this host, such as unbound";

	if (ms > DNS_SLOW_MS && is_slow(exam, server))
		exam_add(exam, "resolver.slow", server, cure,
		    "this DNS server needed %lld ms for an answer", (long long)ms);
	if (exam->site->dns_strips)
		exam_add(exam, "resolver.not-validating", server, cure,
		    "trust_anchor is set, and this DNS server leaves out the signatures of DNSSEC");
	if (loses_long(exam, server))
		exam_add(exam, "resolver.no-tcp", server,
		    "let TCP to port 53 through the firewall",
		    "this DNS server gives no answers by TCP: those too long for UDP, such as "
		    "DKIM records, are lost");
}

void
examine_resolver(struct exam *exam)
{
	const struct site *site = exam->site;
	const char *list = NULL;

	if (site->config == NULL)
		return;
	for (size_t i = 0; i < site->n_dns_servers; i++)
		list = list == NULL ? site->dns_servers[i]
				    : exam_text(exam, "%s, %s", list, site->dns_servers[i]);
	if (site->resolver == NULL) {
		exam_add(exam, "resolver.dead", list != NULL ? list : "/etc/resolv.conf",
		    "dns = { servers = [\"127.0.0.1\"] } with a resolver on this host",
		    "no DNS server answers; nothing that others see of this site was checked");
		return;
	}
	for (size_t i = 0; i < site->n_dns_servers; i++) {
		if (!site->dns_alive[i])
			exam_add(exam, "resolver.not-validating", site->dns_servers[i],
			    "take it out of the list", "this DNS server does not answer");
		else
			check_server(exam, site->dns_servers[i], site->dns_ms[i]);
	}
	check_lies(exam);
}

/*
 * check_rbl.c - do blocklists have our addresses? Only on request: --only rbl.listed
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/doctor/inside.h"
#include "policy/spf/macro.h"

/* A blocklist of addresses. */
struct rbl {
	const char *zone;
	const char *page;	/* where to be taken off it */
	bool has_ipv6;
};

static const struct rbl rbls[] = {
	{ "zen.spamhaus.org", "https://check.spamhaus.org/", true },
	{ "bl.spamcop.net", "https://www.spamcop.net/bl.shtml", false },
	{ "b.barracudacentral.org", "https://www.barracudacentral.org/lookups", false },
};

/* rbl_name - what a list is asked for */
static const char *
rbl_name(struct exam *exam, const struct ip_address *ip, const char *zone)
{
	char *name = spf_reverse_name(exam->ctx, ip->octets, ip->bits == 128);

	*strstr(name, ip->bits == 128 ? "ip6.arpa" : "in-addr.arpa") = '\0';
	return exam_text(exam, "%s%s", name, zone);
}

/* rbl_ask - one list of one address */
static void
rbl_ask(struct exam *exam, const struct site_address *address, const struct rbl *rbl)
{
	const char *name = rbl_name(exam, &address->ip, rbl->zone);
	const struct dns_answer *answer = exam_ask(exam, name, DNS_A);
	const char *where = exam_text(exam, "%s at %s", address->text, rbl->zone);

	if (exam_dns_unknown(exam, "rbl.listed", where, answer))
		return;
	for (size_t i = 0; i < answer->count; i++) {
		const unsigned char *octets = answer->records[i].data;

		if (octets[0] != 127)
			continue;
		if (octets[1] == 255 && octets[2] == 255)
			exam_add_level(exam, DOCTOR_UNKNOWN, "rbl.listed", where,
			    "use a resolver of your own, such as unbound on this host",
			    "the list refused to answer (127.255.255.%u), as it does for public "
			    "resolvers", octets[3]);
		else
			exam_add(exam, "rbl.listed", where, rbl->page,
			    "the address is on this list (127.%u.%u.%u)", octets[1], octets[2],
			    octets[3]);
	}
}

void
examine_rbl(struct exam *exam)
{
	const struct site *site = exam->site;

	if (site->hidden != NULL)
		exam_add_level(exam, DOCTOR_UNKNOWN, "rbl.listed", NULL,
		    "name the address that others see with --ip ADDR",
		    "no list was queried: %s", site->hidden);
	for (int ahead = 1; site->resolver != NULL && ahead >= 0; ahead--)
		for (size_t i = 0; i < site->n_addresses; i++)
			for (size_t k = 0; k < sizeof(rbls) / sizeof(rbls[0]); k++) {
				const struct site_address *address = &site->addresses[i];

				if (address->ip.bits == 128 && !rbls[k].has_ipv6)
					continue;
				if (ahead)
					exam_ahead(exam,
					    rbl_name(exam, &address->ip, rbls[k].zone), DNS_A);
				else
					rbl_ask(exam, address, &rbls[k]);
			}
}

/*
 * spf_zone.h - DNS from memory, for tests of SPF
 *
 * A struct zone stands in for the resolver behind struct spf_dns, so that a
 * test says in a few lines which records exist. It follows CNAMEs, compares
 * names without case, counts the questions, and can be told to be silent. It
 * also counts the round trips that a check would wait for if each answer took
 * one: an answer that was asked for ahead is there one trip after that.
 * Included by the tests that need it; each gets its own copy.
 */
#ifndef TESTS_SUPPORT_SPF_ZONE_H
#define TESTS_SUPPORT_SPF_ZONE_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "filter/dns/resolver.h"
#include "filter/spf/spf.h"
#include "policy/base/mem.h"

/* Entries of a zone beside the record types. */
#define ZONE_CNAME	5	/* another name; data is its text */
#define ZONE_SILENT	1000	/* whatever is asked and not listed before gets no answer */
#define ZONE_WILD	1001	/* data is a TXT record for every name below this one */

/* Longest chain of CNAMEs that is followed. */
#define ZONE_CHAIN	8

struct zone_entry {
	char *name;		/* without a dot at the end */
	int type;		/* enum dns_type, or one of the above */
	unsigned char *data;	/* as in struct dns_record */
	size_t len;
	unsigned int preference;
};

/* A question asked ahead. */
struct zone_coming {
	char *name;
	enum dns_type type;
	unsigned int ready;	/* the trip that brings the answer */
};

struct zone {
	struct zone_entry *entries;
	unsigned int n;
	unsigned int questions;	/* asked so far */
	unsigned int ahead;	/* asked ahead so far */
	unsigned int trips;	/* round trips waited for */
	struct zone_coming
	    *coming; /* what was asked ahead and is not in yet; kept if watch_trips is set */
	bool watch_trips;
};

/* zone_put - add an entry of any type */
static inline void
zone_put(struct zone *zone, const char *name, int type, const void *data, size_t len,
    unsigned int preference)
{
	struct zone_entry *entry;

	zone->entries = mem_grow(zone, zone->entries, struct zone_entry, zone->n + 1);
	entry = &zone->entries[zone->n++];
	entry->name = mem_strdup(zone, name);
	if (entry->name[0] != '\0' && entry->name[strlen(name) - 1] == '.')
		entry->name[strlen(name) - 1] = '\0';
	entry->type = type;
	entry->data = mem_array(zone, unsigned char, (unsigned int)len + 1);
	memcpy(entry->data, data, len);
	entry->len = len;
	entry->preference = preference;
}

/* zone_add - add an entry from text: an address, a name, or the text of a TXT */
static inline void
zone_add(struct zone *zone, const char *name, int type, const char *text)
{
	unsigned char address[16];
	size_t len = strlen(text);

	if (type == DNS_A && inet_pton(AF_INET, text, address) == 1) {
		zone_put(zone, name, type, address, 4, 0);
	} else if (type == DNS_AAAA && inet_pton(AF_INET6, text, address) == 1) {
		zone_put(zone, name, type, address, 16, 0);
	} else {
		if (type != DNS_TXT && type != ZONE_WILD && len > 0 && text[len - 1] == '.')
			len--;
		zone_put(zone, name, type, text, len, 0);
	}
}

/* zone_is - whether an entry has a name */
static inline bool
zone_is(const struct zone_entry *entry, const char *name, size_t len)
{
	size_t own = strlen(entry->name);

	if (entry->type == ZONE_WILD)
		return len > own && name[len - own - 1] == '.' &&
		    strncasecmp(name + len - own, entry->name, own) == 0;
	return own == len && strncasecmp(name, entry->name, len) == 0;
}

/* zone_take - copy an entry into an answer */
static inline void
zone_take(struct dns_answer *answer, const struct zone_entry *entry)
{
	struct dns_record *record;
	unsigned char *data;

	answer->records = mem_grow(answer, answer->records, struct dns_record,
	    (unsigned int)answer->count + 1);
	record = &answer->records[answer->count++];
	data = mem_array(answer, unsigned char, (unsigned int)entry->len + 1);
	memcpy(data, entry->data, entry->len);
	record->data = data;
	record->len = entry->len;
	record->preference = entry->preference;
	answer->status = DNS_OK;
}

/* zone_wait - count the round trip that an answer takes, unless it is there */
static inline void
zone_wait(struct zone *zone, const char *name, size_t name_len, enum dns_type type)
{
	unsigned int i;

	for (i = 0; i < zone->ahead; i++) {
		const struct zone_coming *coming = &zone->coming[i];

		if (coming->type != type || strlen(coming->name) != name_len ||
		    strncasecmp(coming->name, name, name_len) != 0)
			continue;
		if (zone->trips < coming->ready)
			zone->trips = coming->ready;
		return;
	}
	zone->trips++;
}

/* zone_ask - the ask of struct spf_dns */
static inline struct dns_answer *
zone_ask(void *state, TALLOC_CTX *ctx, const char *name, size_t name_len, enum dns_type type,
    int64_t deadline_ms)
{
	struct dns_answer *answer = mem_new(ctx, struct dns_answer);
	const struct zone_entry *entry, *alias;
	struct zone *zone = state;
	unsigned int i, chain;

	(void)deadline_ms;
	zone->questions++;
	if (zone->watch_trips)
		zone_wait(zone, name, name_len, type);
	answer->status = DNS_NXDOMAIN;
	for (chain = 0; chain < ZONE_CHAIN; chain++) {
		alias = NULL;
		for (i = 0; i < zone->n; i++) {
			entry = &zone->entries[i];
			if (!zone_is(entry, name, name_len))
				continue;
			if (answer->status == DNS_NXDOMAIN)
				answer->status = DNS_NODATA;
			if (entry->type == ZONE_SILENT && answer->count == 0) {
				answer->status = DNS_TIMEOUT;
				answer->problem = "no answer";
				return answer;
			}
			if (entry->type == (int)type ||
			    (entry->type == ZONE_WILD && type == DNS_TXT))
				zone_take(answer, entry);
			else if (entry->type == ZONE_CNAME)
				alias = entry;
		}
		if (alias == NULL || answer->count > 0)
			return answer;
		name = (const char *)alias->data;
		name_len = alias->len;
	}
	answer->status = DNS_FAILURE;
	answer->problem = "CNAME loop";
	return answer;
}

/* zone_ahead - the prefetch of struct spf_dns */
static inline void
zone_ahead(void *state, const char *name, size_t name_len, enum dns_type type)
{
	struct zone *zone = state;

	if (zone->watch_trips) {
		zone->coming = mem_grow(zone, zone->coming, struct zone_coming, zone->ahead + 1);
		zone->coming[zone->ahead].name = mem_strndup(zone, name, name_len);
		zone->coming[zone->ahead].type = type;
		zone->coming[zone->ahead].ready = zone->trips + 1;
	}
	zone->ahead++;
}

/* zone_service - an SPF service over a zone, with the limits of RFC 7208 */
static inline void
zone_service(struct zone *zone, struct spf_service *service)
{
	spf_service_init(service, NULL, "mx.receiver.example");
	service->dns.ask = zone_ask;
	service->dns.prefetch = NULL;
	service->dns.state = zone;
}

/* zone_deadline - a deadline that no test reaches: a minute from now */
static inline int64_t
zone_deadline(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + 60000;
}

#endif

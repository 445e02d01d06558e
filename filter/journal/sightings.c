/*
 * sightings.c - what this filter saw of each account within the last hour
 *
 * An account has a ring of spans of five minutes, and the addresses that it used lately.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "filter/journal/sightings.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define ACCOUNTS_MAX	4096
#define SPAN_MS		INT64_C(300000)
#define SPANS		12	/* an hour */
#define CLIENTS_MAX	50	/* addresses of an account; of more, "50 or more" */
#define PLACES_MAX	12	/* countries and networks of an account, each */
#define PLACE_SIZE	16	/* octets of a name that are kept, with its NUL */

/* A country or a network that mail came from. */
struct sighting_place {
	char name[PLACE_SIZE];
	int64_t seen_ms;
};

/* Five minutes. */
struct seen {
	int64_t number;		/* of the span, since 1970 */
	int64_t first_ms;	/* the first message in it */
	uint32_t messages, recipients, fresh; /* that passed; fresh: recipients that are new */
	uint32_t refused;
};

struct sighting {
	struct seen spans[SPANS];
	struct { uint64_t hash; int64_t seen_ms; } clients[CLIENTS_MAX];
	struct sighting_place countries[PLACES_MAX], networks[PLACES_MAX];
};

struct sightings {
	struct map *accounts;	/* account => struct sighting */
};

/* sightings_new - nothing was seen */
struct sightings *
sightings_new(TALLOC_CTX *ctx)
{
	struct sightings *sightings = mem_new(ctx, struct sightings);

	sightings->accounts = map_new(sightings,
	    &(struct map_options){ .value_size = sizeof(struct sighting), .max = ACCOUNTS_MAX });
	return sightings;
}

/* sighting_address - note an address, in place of the one that is not seen for longest */
static void
sighting_address(struct sighting *sighting, const char *client, int64_t now)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	size_t place = 0;

	for (const char *c = client; *c != '\0' && *c != ']'; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (sighting->clients[i].hash == hash) {
			place = i;
			break;
		}
		if (sighting->clients[i].seen_ms < sighting->clients[place].seen_ms)
			place = i;
	}
	sighting->clients[place].hash = hash;
	sighting->clients[place].seen_ms = now;
}

/* sighting_place - note a country or a network, in place of the one that is not seen for longest */
static void
sighting_place(struct sighting_place *places, const char *name, int64_t now)
{
	char kept[PLACE_SIZE];
	size_t place = 0;

	if (name == NULL || name[0] == '\0')
		return;
	(void)snprintf(kept, sizeof(kept), "%s", name);
	for (char *c = kept; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	for (size_t i = 0; i < PLACES_MAX; i++) {
		if (strcmp(places[i].name, kept) == 0) {
			place = i;
			break;
		}
		if (places[i].seen_ms < places[place].seen_ms)
			place = i;
	}
	memcpy(places[place].name, kept, sizeof(kept));
	places[place].seen_ms = now;
}

/* sighting_places - how many were seen since a time; their names, with ", " between, on ctx */
static size_t
sighting_places(const struct sighting_place *places, TALLOC_CTX *ctx, int64_t since,
    const char **names_r)
{
	size_t n = 0;

	*names_r = "";
	for (size_t i = 0; i < PLACES_MAX; i++)
		if (places[i].seen_ms > since)
			*names_r = mem_printf(ctx, "%s%s%s", *names_r, n++ > 0 ? ", " : "",
			    places[i].name);
	return n;
}

/* sightings_where - " in 3 countries (DE, NG, VN) and 5 networks", or ""; the names are details, too */
static const char *
sightings_where(const struct sighting *sighting, TALLOC_CTX *ctx, int64_t since, json_t *details)
{
	const char *countries, *networks, *where = "";
	size_t n_countries = sighting_places(sighting->countries, ctx, since, &countries);
	size_t n_networks = sighting_places(sighting->networks, ctx, since, &networks);

	if (n_countries > 0) {
		json_object_set_new(details, "countries", json_string(countries));
		where = mem_printf(ctx, " in %zu%s countr%s (%s)", n_countries,
		    n_countries == PLACES_MAX ? " or more" : "", n_countries == 1 ? "y" : "ies",
		    countries);
	}
	if (n_networks > 0) {
		json_object_set_new(details, "networks", json_string(networks));
		where = mem_printf(ctx, "%s %s %zu%s network%s", where,
		    n_countries > 0 ? "and" : "in", n_networks,
		    n_networks == PLACES_MAX ? " or more" : "", text_s(n_networks));
	}
	return where;
}

/* sightings_note - a decision about a message of an account */
void
sightings_note(struct sightings *sightings, const struct entry *entry)
{
	int64_t number = entry->at_ms / SPAN_MS;
	struct sighting *sighting;
	struct seen *seen;
	const char *client;

	if (entry->account == NULL || entry->line == NULL || entry->at_ms < 0)
		return;
	sighting = map_put(sightings->accounts, entry->account, NULL);
	map_used(sightings->accounts, sighting);
	seen = &sighting->spans[number % SPANS];
	if (seen->number != number)
		*seen = (struct seen){ .number = number, .first_ms = entry->at_ms };
	if (entry->action < ACTION_TEMPFAIL) {
		seen->messages++;
		seen->recipients += (uint32_t)entry->recipients;
		seen->fresh += (uint32_t)entry->fresh;
	} else {
		seen->refused++;
	}
	client = logline_value(entry->line, "client");
	if (client != NULL)
		sighting_address(sighting, client, entry->at_ms);
	sighting_place(sighting->countries, entry->country, entry->at_ms);
	sighting_place(sighting->networks, entry->network, entry->at_ms);
}

/* sighting_sum - all spans of the hour before now */
static struct seen
sighting_sum(const struct sighting *sighting, int64_t now)
{
	struct seen sum = { .first_ms = now };

	for (size_t i = 0; i < SPANS; i++) {
		const struct seen *seen = &sighting->spans[i];

		if (seen->number <= now / SPAN_MS - SPANS || seen->number > now / SPAN_MS)
			continue;
		sum.messages += seen->messages;
		sum.recipients += seen->recipients;
		sum.fresh += seen->fresh;
		sum.refused += seen->refused;
		if (seen->first_ms < sum.first_ms)
			sum.first_ms = seen->first_ms;
	}
	return sum;
}

/* sightings_text - what was seen of account in the hour before now */
const char *
sightings_text(const struct sightings *sightings, TALLOC_CTX *ctx, const char *account, int64_t now,
    json_t *details)
{
	const struct sighting *sighting = map_find(sightings->accounts, account);
	const int64_t hour = SPANS * SPAN_MS;
	struct seen sum;
	size_t clients = 0;
	int64_t minutes;
	char *text;

	if (sighting == NULL)
		return NULL;
	sum = sighting_sum(sighting, now);
	if (sum.messages + sum.refused == 0)
		return NULL;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		clients += sighting->clients[i].seen_ms > now - hour;
	minutes = (now - sum.first_ms) / 60000 + 1;
	json_object_set_new(details, "seen",
	    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "minutes", (json_int_t)minutes, "messages",
		(json_int_t)sum.messages, "recipients", (json_int_t)sum.recipients,
		"new_recipients", (json_int_t)sum.fresh, "refused", (json_int_t)sum.refused,
		"client_addresses", (json_int_t)clients));
	text = mem_printf(ctx, "%" PRIu32 " message%s to %" PRIu32 " recipient%s", sum.messages,
	    text_s(sum.messages), sum.recipients, text_s(sum.recipients));
	if (sum.fresh > 0)
		text = mem_printf(ctx, "%s, %" PRIu32 " of them new,", text, sum.fresh);
	return mem_printf(ctx, "%s passed in %" PRId64 " minute%s, %" PRIu32
	    " %s refused; from %zu%s address%s%s", text, minutes, text_s((uint64_t)minutes),
	    sum.refused, sum.refused == 1 ? "was" : "were", clients,
	    clients == CLIENTS_MAX ? " or more" : "", clients == 1 ? "" : "es",
	    sightings_where(sighting, ctx, now - hour, json_object_get(details, "seen")));
}

/*
 * control_rates.c - commands about the sums by time: rates, hours
 *
 * They are those of the books, which get to know a message within a second or two, and those of
 * all filters if these share a Redis.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/control/control_asked.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"

#define MINUTES_HOURS	6	/* up to so many hours the answer is by minute */
#define TENS_HOURS	24	/* and up to so many by ten minutes, then by hour */
#define PLACES_MAX	10000	/* in an answer, of some 400 octets each */
#define HOURS_MAX	(BOOKS_HOURS_DAYS * DAYBOOK_HOURS)

/* One place of the answer. */
struct place {
	int64_t at_ms;
	const char *host;	/* in the key of the place */
	struct rates rates;
};

/* What is read. */
struct rates_read {
	TALLOC_CTX *ctx;
	struct map *places;	/* "time host" => struct place */
	int64_t step_ms;
	const char *host;	/* this one only, or NULL */
};

/* put_place - add to the place of a time and host */
static void
put_place(struct rates_read *read, int64_t at_ms, const char *host, const struct rates *rates)
{
	char *key = mem_printf(read->ctx, "%lld %s", (long long)at_ms, host);
	struct place *place;

	place = map_put(read->places, key, NULL);
	place->at_ms = at_ms;
	place->host = strchr(map_key(read->places, place), ' ') + 1;
	rates_sum(&place->rates, rates);
	talloc_free(key);
}

/* take_rates - books_rates_each: a minute or hour of a host */
static void
take_rates(void *arg, int64_t at_ms, const char *host, const struct rates *rates)
{
	struct rates_read *read = arg;

	if (read->host == NULL || strcmp(host, read->host) == 0)
		put_place(read, at_ms - at_ms % read->step_ms, host, rates);
}

/* take_host - books_rates_each: remember the host alone */
static void
take_host(void *arg, int64_t at_ms, const char *host, const struct rates *rates)
{
	(void)at_ms, (void)rates;
	(void)map_put(arg, host, NULL);
}

/*
 * host_unknown - what is wrong with the host of a request, for which nothing was found; NULL: some
 * filter has that name, or has been counted below "*"
 */
static const char *
host_unknown(const struct asked *asked, const char *host, int64_t now)
{
	struct map *hosts = map_new(asked->ctx, &(struct map_options){ .value_size = 1 });
	const char *error = NULL, *names = "";
	const void *entry = NULL;

	(void)map_put(hosts, journal_host(asked->daemon->journal), NULL);
	if (books_read_rates(journal_books(asked->daemon->journal), asked->ctx, true,
		now - HOURS_MAX * CLOCK_HOUR_MS, now, take_host, hosts, &error) != 0 ||
	    map_find(hosts, host) != NULL || map_find(hosts, "*") != NULL)
		return NULL;
	while ((entry = map_next(hosts, entry)) != NULL)
		names = mem_printf(asked->ctx, "%s%s%s", names, names[0] != '\0' ? ", " : "",
		    map_key(hosts, entry));
	return mem_printf(asked->ctx, "no filter on a host \"%.100s\" has been known for %d days; known "
	    "are: %s", host, BOOKS_HOURS_DAYS, names);
}

/* places_new - no places yet */
static struct map *
places_new(TALLOC_CTX *ctx)
{
	return map_new(ctx, &(struct map_options){ .value_size = sizeof(struct place) });
}

/* --- too many hosts --- */

/* What the filter of a host did in all places. */
struct host {
	uint64_t messages;
	const char *name;
	bool kept;
};

/* compare_hosts - the most messages first, then by name; "*" is the last */
static int
compare_hosts(const void *a, const void *b)
{
	const struct host *one = *(struct host *const *)a, *two = *(struct host *const *)b;
	bool one_rest = strcmp(one->name, "*") == 0, two_rest = strcmp(two->name, "*") == 0;

	if (one_rest != two_rest)
		return one_rest - two_rest;
	if (one->messages != two->messages)
		return one->messages > two->messages ? -1 : 1;
	return strcmp(one->name, two->name);
}

/* add_host - what was done in a place */
static void
add_host(struct map *hosts, const struct place *place)
{
	struct host *host = map_put(hosts, place->host, NULL);

	host->name = map_key(hosts, host);
	for (int action = 0; action < RATES_ACTIONS; action++)
		host->messages += place->rates.actions[action];
}

/* keep_hosts - of all hosts, those with the most messages */
static void
keep_hosts(const struct rates_read *read, const struct map *hosts, size_t most)
{
	struct host **sorted = mem_array(read->ctx, struct host *, map_count(hosts) + 1);
	struct host *host = NULL;
	size_t n = 0;

	while ((host = map_next(hosts, host)) != NULL)
		sorted[n++] = host;
	qsort(sorted, n, sizeof(sorted[0]), compare_hosts);
	for (size_t i = 0; i < n && i < most; i++)
		sorted[i]->kept = true;
}

/* join_quiet - if an answer of so many times would be too long, the quietest hosts become "*" */
static void
join_quiet(struct rates_read *read, size_t times)
{
	struct map *all = read->places, *hosts;
	struct place *place = NULL;

	if (map_count(all) <= PLACES_MAX)
		return;
	hosts = map_new(read->ctx, &(struct map_options){ .value_size = sizeof(struct host) });
	while ((place = map_next(all, place)) != NULL)
		add_host(hosts, place);
	keep_hosts(read, hosts, PLACES_MAX / times - 1);
	read->places = places_new(read->ctx);
	while ((place = map_next(all, place)) != NULL) {
		const struct host *host = map_find(hosts, place->host);

		put_place(read, place->at_ms, host->kept ? place->host : "*", &place->rates);
	}
	talloc_free(all);
	talloc_free(hosts);
}

/* --- the answer --- */

/* compare_places - by time, then by host */
static int
compare_places(const void *a, const void *b)
{
	const struct place *one = *(struct place *const *)a, *two = *(struct place *const *)b;

	if (one->at_ms != two->at_ms)
		return one->at_ms < two->at_ms ? -1 : 1;
	return strcmp(one->host, two->host);
}

/* rates_counts_json - counts by reason */
static json_t *
rates_counts_json(const uint32_t *counts)
{
	json_t *object = json_object();

	for (int reason = 0; reason < REASON_COUNT; reason++)
		if (counts[reason] > 0)
			json_object_set_new(object, reply_row((enum reason)reason)->word,
			    json_integer(counts[reason]));
	return object;
}

/* place_json - what one filter did in a time */
static json_t *
place_json(const struct place *place)
{
	json_t *actions = json_object();

	for (int action = 0; action < RATES_ACTIONS; action++)
		if (place->rates.actions[action] > 0)
			json_object_set_new(actions, action_word((enum action)action),
			    json_integer(place->rates.actions[action]));
	return json_pack("{s:I, s:s, s:o, s:o, s:o}", "at", (json_int_t)place->at_ms, "host",
	    place->host, "actions", actions, "reasons",
	    rates_counts_json(place->rates.reasons), "would",
	    rates_counts_json(place->rates.would));
}

/* places_json - all of them, the oldest first */
static json_t *
places_json(const struct rates_read *read)
{
	size_t n = 0, count = map_count(read->places);
	struct place **sorted = mem_array(read->ctx, struct place *, count + 1);
	struct place *place = NULL;
	json_t *array = json_array();

	while ((place = map_next(read->places, place)) != NULL)
		sorted[n++] = place;
	qsort(sorted, n, sizeof(sorted[0]), compare_places);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, place_json(sorted[i]));
	return array;
}

static int
rates_compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* hosts_json - the hosts of the places, each once, sorted */
static json_t *
hosts_json(const struct rates_read *read)
{
	size_t n = 0, count = map_count(read->places);
	const char **names = mem_array(read->ctx, const char *, count + 1);
	struct place *place = NULL;
	json_t *array = json_array();

	while ((place = map_next(read->places, place)) != NULL)
		names[n++] = place->host;
	qsort(names, n, sizeof(names[0]), rates_compare_names);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(names[i - 1], names[i]) != 0)
			json_array_append_new(array, json_string(names[i]));
	return array;
}

/* control_rates - decisions by time and filter */
json_t *
control_rates(const struct asked *asked)
{
	int64_t hours = control_number(asked, "hours", 1, HOURS_MAX, 1), now = clock_wall_ms();
	struct rates_read read = { .ctx = asked->ctx, .host = control_text(asked, "host"),
		.places = places_new(asked->ctx),
		.step_ms = hours <= MINUTES_HOURS ? CLOCK_MINUTE_MS
		    : hours <= TENS_HOURS	  ? 10 * CLOCK_MINUTE_MS
						  : CLOCK_HOUR_MS };
	/* whole steps, the one that is now among them */
	int64_t from = now - now % read.step_ms - hours * CLOCK_HOUR_MS + read.step_ms;
	const char *error = NULL;

	if (books_read_rates(journal_books(asked->daemon->journal), asked->ctx, hours > TENS_HOURS,
		from, now, take_rates, &read, &error) != 0)
		return control_unread(asked, "the counts by time", error);
	if (read.host != NULL && map_count(read.places) == 0 &&
	    (error = host_unknown(asked, read.host, now)) != NULL)
		return control_failed_as(CONTROL_REQUEST, error);
	join_quiet(&read, (size_t)(hours * CLOCK_HOUR_MS / read.step_ms));
	return json_pack("{s:b, s:s, s:I, s:I, s:o, s:o}", "ok", 1, "filter",
	    journal_host(asked->daemon->journal), "now", (json_int_t)now, "step_s",
	    (json_int_t)(read.step_ms / 1000), "hosts", hosts_json(&read), "places",
	    places_json(&read));
}

/* control_hours - what an account sent and was refused by hour */
json_t *
control_hours(const struct asked *asked)
{
	struct daybook_hour hours[HOURS_MAX];
	size_t n = DAYBOOK_HOURS * (size_t)control_number(asked, "days", 1, BOOKS_HOURS_DAYS, 1);
	int64_t now = clock_wall_ms(), first = now / CLOCK_HOUR_MS - (int64_t)n + 1;
	const char *error = NULL;
	json_t *answer = NULL, *array;
	const char *account = control_account(asked, &answer);

	if (account == NULL)
		return answer;
	if (books_read_hours(journal_books(asked->daemon->journal), asked->ctx, account, now, hours,
		n, &error) != 0)
		return control_unread(asked, "the sums by hour", error);
	array = json_array();
	for (size_t i = 0; i < n; i++) {
		const struct daybook_hour *hour = &hours[i];

		if (hour->messages == 0 && hour->recipients == 0 && hour->refused == 0)
			continue;
		json_array_append_new(array,
		    json_pack("{s:I, s:I, s:I, s:I}", "at",
			(json_int_t)(first + (int64_t)i) * CLOCK_HOUR_MS, "messages",
			(json_int_t)hour->messages, "recipients", (json_int_t)hour->recipients,
			"refused", (json_int_t)hour->refused));
	}
	return json_pack("{s:b, s:s, s:I, s:o}", "ok", 1, "account", account, "now",
	    (json_int_t)now, "hours", array);
}

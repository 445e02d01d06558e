/*
 * reach.c - listeners that no connection can reach
 *
 * The first listener whose conditions all hold takes a message, so a listener after a wider one
 * is dead, and its users are judged by the rules of the other. Whether a listener can be reached
 * is decided by trying connections: every combination of a daemon name and a port that some
 * listener names, or none does, and of the client addresses at which some network begins or has
 * just ended. Conditions change their value nowhere else, so these stand for all connections.
 *
 * Threads: no state; runs at start and at reload, in one thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/config/listener.h"
#include "filter/config/reach.h"
#include "policy/base/mem.h"

#define OTHER	"\x01"	/* a daemon name or port that no configuration names */

/* The values of each trait that are tried. */
struct samples {
	const char **daemons;
	size_t n_daemons;
	const char **ports;
	size_t n_ports;
	struct ip_address *clients;
	size_t n_clients;
};

/* add_words - the words of a condition */
static void
add_words(TALLOC_CTX *ctx, const char ***list, size_t *n, const struct words *words)
{
	*list = mem_grow(ctx, *list, const char *, *n + words->n + 1);
	for (size_t i = 0; i < words->n; i++)
		(*list)[(*n)++] = words->items[i];
}

/* add_block - the first address of a network, and the first one after it if there is one */
static void
add_block(TALLOC_CTX *ctx, struct samples *samples, const struct netblock *block)
{
	struct ip_address behind = block->network;

	samples->clients =
	    mem_grow(ctx, samples->clients, struct ip_address, samples->n_clients + 2);
	samples->clients[samples->n_clients++] = block->network;
	for (unsigned int bit = block->prefix; bit > 0; bit--) {
		unsigned char mask = (unsigned char)(0x80 >> ((bit - 1) % 8));

		behind.octets[(bit - 1) / 8] ^= mask;
		if ((behind.octets[(bit - 1) / 8] & mask) != 0) {
			samples->clients[samples->n_clients++] = behind;
			return;
		}
	}
}

/* add_blocks - networks in text */
static void
add_blocks(TALLOC_CTX *ctx, struct samples *samples, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *error = NULL;
		struct netblock block;

		if (netblock_parse(ctx, texts[i], &block, &error))
			add_block(ctx, samples, &block);
	}
}

/* samples_of - what is tried for a listener; NULL: for connections that match none */
static struct samples
samples_of(TALLOC_CTX *ctx, const struct config *config, const struct listener *wanted)
{
	/* the whole of both families, and the loopback networks, on which pickup depends */
	static const char *const always[] = { "0.0.0.0/0", "::/0", "127.0.0.0/8", "::1" };
	static const char *other_items[] = { OTHER, NULL };
	static const struct words other = { .items = other_items, .n = 1 };
	struct samples samples = { 0 };

	add_words(ctx, &samples.daemons, &samples.n_daemons, &other);
	add_words(ctx, &samples.ports, &samples.n_ports, &other);
	/* a client without an address, as of a unix socket */
	samples.clients = mem_array(ctx, struct ip_address, 1);
	samples.n_clients = 1;
	add_blocks(ctx, &samples, always, sizeof(always) / sizeof(always[0]));
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener *listener = &config->listeners[i];

		/* what only later listeners name makes no difference for this one */
		if (wanted != NULL && listener > wanted)
			break;
		add_words(ctx, &samples.daemons, &samples.n_daemons, &listener->daemons);
		add_words(ctx, &samples.ports, &samples.n_ports, &listener->ports);
		for (size_t k = 0; k < listener->n_clients; k++)
			add_block(ctx, &samples, &listener->clients[k]);
	}
	return samples;
}

/* What came of trying. */
struct reach {
	const struct listener *wanted; /* NULL: no listener */
	bool reached;
	bool met;		/* some connection meets its conditions */
	bool *takers;		/* by index: listeners that took such connections */
};

/* try_one - one connection; true: the wanted listener took it */
static bool
try_one(const struct config *config, const struct listener_traits *traits, struct reach *reach)
{
	const struct listener *found;

	if (reach->wanted != NULL && !listener_matches(reach->wanted, traits))
		return false;
	reach->met = true;
	found = listener_find(config, traits);
	if (found == reach->wanted)
		return true;
	if (found != NULL)
		reach->takers[found - config->listeners] = true;
	return false;
}

/* try_client - one client: without a login, with one, and as sendmail(1) */
static bool
try_client(const struct config *config, struct listener_traits *traits, struct reach *reach)
{
	traits->pickup = traits->login = false;
	if (try_one(config, traits, reach))
		return true;
	traits->login = true;
	if (try_one(config, traits, reach))
		return true;
	/* sendmail(1) comes from loopback, and never logs in */
	traits->login = false;
	traits->pickup = ip_address_is_loopback(&traits->client);
	return traits->pickup && try_one(config, traits, reach);
}

/* try_clients - all clients, with one daemon name and one port */
static bool
try_clients(const struct config *config, const struct samples *samples,
    struct listener_traits *traits, struct reach *reach)
{
	for (size_t i = 0; i < samples->n_clients; i++) {
		traits->client = samples->clients[i];
		if (try_client(config, traits, reach))
			return true;
	}
	return false;
}

/* try_all - all combinations, until the wanted listener is reached */
static struct reach
try_all(TALLOC_CTX *ctx, const struct config *config, const struct listener *wanted)
{
	const struct samples samples = samples_of(ctx, config, wanted);
	struct reach reach = {
		.wanted = wanted,
		.takers = mem_array(ctx, bool, config->n_listeners + 1),
	};
	struct listener_traits traits = { 0 };

	for (size_t i = 0; i < samples.n_daemons && !reach.reached; i++) {
		traits.daemon_name = samples.daemons[i];
		for (size_t k = 0; k < samples.n_ports && !reach.reached; k++) {
			traits.daemon_port = samples.ports[k];
			reach.reached = try_clients(config, &samples, &traits, &reach);
		}
	}
	return reach;
}

/* takes_as_much - would a be dead, too, if b came first? */
static bool
takes_as_much(TALLOC_CTX *ctx, const struct listener *a, const struct listener *b)
{
	struct config pair = { .n_listeners = 2 };

	pair.listeners = mem_array(ctx, struct listener, 2);
	pair.listeners[0] = *b;
	pair.listeners[1] = *a;
	return !try_all(ctx, &pair, &pair.listeners[1]).reached;
}

/* note_dead - which listeners stand before it, and in which order they work */
static void
note_dead(struct options_reader *reader, const struct config *config,
    const struct listener *listener, const struct reach *reach)
{
	const struct listener *first = NULL;
	char *names = NULL;
	size_t n = 0;

	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener *taker = &config->listeners[i];

		if (!reach->takers[i])
			continue;
		if (n++ == 0) {
			first = taker;
			names = mem_printf(reader->ctx, "%s (%s)", taker->name, taker->where);
		} else
			names = mem_check(talloc_asprintf_append(
			    names, " and %s (%s)", taker->name, taker->where));
	}
	if (first == NULL)
		return;
	if (n == 1 && takes_as_much(reader->ctx, first, listener))
		options_error_at(reader, listener->where,
		    "listener %s can never match: %s has the same conditions and comes first; give "
		    "one of the two a condition of its own (daemon, port, client, pickup, login)",
		    listener->name, names);
	else
		options_error_at(reader, listener->where,
		    "listener %s can never match: the first listener that matches takes a message, "
		    "and %s before it match%s all of its connections; write %s before %s",
		    listener->name, names, n == 1 ? "es" : "", listener->name, first->name);
}

void
reach_check(struct options_reader *reader, const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener *listener = &config->listeners[i];
		TALLOC_CTX *tmp = mem_check(talloc_new(reader->ctx));
		const struct reach reach = try_all(tmp, config, listener);

		if (!reach.met && listener->pickup == 1 && listener->login == 1)
			options_error_at(reader, listener->where,
			    "listener %s can never match: mail from sendmail(1) (pickup = true) has no "
			    "login; remove one of the two",
			    listener->name);
		else if (!reach.met)
			options_error_at(reader, listener->where,
			    "listener %s can never match: pickup = true is for clients on "
			    "loopback, and client names none of these; remove client",
			    listener->name);
		else if (!reach.reached)
			note_dead(reader, config, listener, &reach);
		talloc_free(tmp);
	}
}

bool
reach_leaves_room(TALLOC_CTX *ctx, const struct config *config)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(ctx));
	const bool reached = try_all(tmp, config, NULL).reached;

	talloc_free(tmp);
	return reached;
}

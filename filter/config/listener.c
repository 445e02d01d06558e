/*
 * listener.c - which listener a message belongs to
 *
 * The first in file order whose conditions all hold. A login does not turn an
 * inbound port into a submission port, unless a listener has it as a condition.
 * Reads the snapshot only; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/config/listener.h"

/* one_of - is the word in the list? An empty list holds every word. */
static bool
one_of(const struct words *words, const char *word)
{
	if (words->n == 0)
		return true;
	for (size_t i = 0; word != NULL && i < words->n; i++)
		if (strcasecmp(words->items[i], word) == 0)
			return true;
	return false;
}

/* section_fails - the first condition of a section that does not hold */
static enum listener_condition
section_fails(const struct listener *listener, const struct listener_traits *traits)
{
	if (listener->pickup >= 0 && (listener->pickup == 1) != traits->pickup)
		return LISTENER_PICKUP;
	if (listener->login >= 0 && (listener->login == 1) != traits->login)
		return LISTENER_LOGIN;
	if (listener->n_clients > 0 &&
	    !netblock_contains(listener->clients, listener->n_clients, &traits->client))
		return LISTENER_CLIENTS;
	if (!one_of(&listener->daemons, traits->daemon_name))
		return LISTENER_DAEMON;
	return one_of(&listener->ports, traits->daemon_port) ? LISTENER_ANY : LISTENER_PORT;
}

/* listener_matches - do all conditions hold? */
bool
listener_matches(const struct listener *listener, const struct listener_traits *traits)
{
	return section_fails(listener, traits) == LISTENER_ANY;
}

/* listener_fails - the first condition that does not hold */
enum listener_condition
listener_fails(const struct config *config, const struct listener *listener,
    const struct listener_traits *traits)
{
	enum role role = traits->login ? ROLE_SUBMISSION
	    : traits->pickup           ? ROLE_LOCAL
				       : ROLE_INBOUND;

	if (config->auto_roles)
		return listener->role == role ? LISTENER_ANY : LISTENER_ROLE;
	return section_fails(listener, traits);
}

/* listener_find - the listener of a message */
const struct listener *
listener_find(const struct config *config, const struct listener_traits *traits)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (listener_fails(config, &config->listeners[i], traits) == LISTENER_ANY)
			return &config->listeners[i];
	return NULL;
}

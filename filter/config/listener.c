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

/* listener_matches - do all conditions hold? */
bool
listener_matches(const struct listener *listener, const struct listener_traits *traits)
{
	if (listener->pickup >= 0 && (listener->pickup == 1) != traits->pickup)
		return false;
	if (listener->login >= 0 && (listener->login == 1) != traits->login)
		return false;
	if (listener->n_clients > 0 &&
	    !netblock_contains(listener->clients, listener->n_clients, &traits->client))
		return false;
	return one_of(&listener->daemons, traits->daemon_name) &&
	    one_of(&listener->ports, traits->daemon_port);
}

/* listener_find - the listener of a message */
const struct listener *
listener_find(const struct config *config, const struct listener_traits *traits)
{
	enum role role = traits->login ? ROLE_SUBMISSION
	    : traits->pickup           ? ROLE_LOCAL
				       : ROLE_INBOUND;

	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener *listener = &config->listeners[i];

		if (config->auto_roles ? listener->role == role
				       : listener_matches(listener, traits))
			return listener;
	}
	return NULL;
}

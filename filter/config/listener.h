/*
 * listener.h - which listener a message belongs to
 */
#ifndef FILTER_CONFIG_LISTENER_H
#define FILTER_CONFIG_LISTENER_H

#include <stdbool.h>

#include "filter/config/configuration.h"
#include "policy/base/netblock.h"

/* What listeners are chosen by. */
struct listener_traits {
	const char *daemon_name; /* {daemon_name} at CONNECT, or NULL */
	const char *daemon_port; /* or NULL */
	struct ip_address client;
	bool pickup;		/* from sendmail(1): client port 0 */
	bool login;		/* with a SASL login, or a sign of one (auth_type) */
};

/* A condition of a listener. */
enum listener_condition {
	LISTENER_ANY,		/* all hold */
	LISTENER_ROLE,		/* without listener sections: the role of the connection */
	LISTENER_PICKUP,
	LISTENER_LOGIN,
	LISTENER_CLIENTS,
	LISTENER_DAEMON,
	LISTENER_PORT
};

/* listener_fails - the first condition of a listener that does not hold, or LISTENER_ANY. Any
 * thread. */
enum listener_condition listener_fails(const struct config *config,
    const struct listener *listener, const struct listener_traits *traits);

/* listener_matches - do all conditions of a listener section hold? Any thread. */
bool listener_matches(const struct listener *listener, const struct listener_traits *traits);

/*
 * listener_find - the first listener whose conditions all hold, or NULL
 * Without listener sections the role follows from the connection. Any thread.
 */
const struct listener *listener_find(
    const struct config *config, const struct listener_traits *traits);

#endif

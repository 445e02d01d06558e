/*
 * message.c - what is known of a message and of its connection
 *
 * Thread rule: as for session.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/base/clock.h"
#include "filter/message/message.h"

struct lookup
message_lookup(struct message *message)
{
	const struct session *session = message->session;

	return (struct lookup){ message, session->snapshot,
		clock_ms() + session->snapshot->config->dns_timeout_ms, session->witness,
		session->witness == NULL ? &session->daemon->figures : NULL };
}

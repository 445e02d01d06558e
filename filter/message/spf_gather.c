/*
 * spf_gather.c - the SPF facts of a message on role inbound
 *
 *	client in trusted_relays	at the end of header, for the client that
 *					the relay names in Received
 *	client in exempt		not checked
 *	else				at MAIL
 *
 * The client that a relay names may itself be exempt. A field that cannot be
 * read is a temperror of MAIL FROM: to take it for "nothing to check" would let a
 * stranger out of the check who knows how to make a relay write such a field.
 *
 * MAIL FROM is checked first, because more depends on it; the first question
 * for HELO is under way meanwhile. Both share one deadline, below the 30 s that MTAs
 * wait, and a budget of questions and octets.
 *
 * Thread rule: a message belongs to one thread at a time; this waits for DNS.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/clock.h"
#include "filter/message/spf_gather.h"
#include "filter/spf/spf.h"
#include "policy/base/mem.h"
#include "policy/sender/received.h"

/* spf_gather_settings_of - the spf group that a message is judged by */
static const struct spf_config *
spf_gather_settings_of(const struct message *message)
{
	return &message->session->snapshot->config->spf;
}

/* by_relay - does a relay of ours bring this message? */
static bool
by_relay(const struct message *message)
{
	const struct spf_config *spf = spf_gather_settings_of(message);

	return netblock_contains(spf->relays, spf->n_relays, &message->session->connection.ip);
}

/* wanted - is SPF checked for this message at all? */
static bool
wanted(const struct message *message)
{
	return message->facts.role == ROLE_INBOUND && message->listener != NULL &&
	    message->facts.client_addr != NULL;
}

/* leave_rest - what the budget of a message leaves for its second check */
static void
leave_rest(struct spf_limits *limits, const struct spf_counts *spent)
{
	unsigned int queries = SPF_MESSAGE_QUERIES - spent->queries;
	size_t bytes = spent->bytes < SPF_MESSAGE_BYTES ? SPF_MESSAGE_BYTES - spent->bytes : 0;

	limits->queries = limits->queries < queries ? limits->queries : queries;
	limits->bytes = limits->bytes < bytes ? limits->bytes : bytes;
}

/* spf_gather_check - both identities for a client */
static void
spf_gather_check(
    struct message *message, const struct ip_address *ip, const char *address, const char *helo)
{
	const struct config *config = message->session->snapshot->config;
	const struct spf_config *spf = spf_gather_settings_of(message);
	const struct spf_client client = { .address = address, .helo = helo };
	struct facts *facts = &message->facts;
	int64_t deadline = clock_ms() + spf->timeout_ms;
	struct spf_service service;
	struct spf_counts spent;

	if (netblock_contains(spf->exempt, spf->n_exempt, ip))
		return;
	facts->spf_client = address;
	facts->spf_client_helo = helo;
	config_spf_service(spf, message->session->daemon->resolver, config->authserv_id, &service);
	if (message->session->witness != NULL) {
		service.trace = witness_spf;
		service.trace_state = message->session->witness;
	}
	spf_begin_helo(&service, &client);
	spf_check(
	    message, &service, &client, facts->sender, deadline, &facts->spf_mailfrom, &spent);
	/* a null sender stands for postmaster@HELO: that was the same check */
	if (facts->sender == NULL || facts->sender[0] == '\0') {
		facts->spf_helo = facts->spf_mailfrom;
		return;
	}
	leave_rest(&service.limits, &spent);
	spf_check_helo(message, &service, &client, deadline, &facts->spf_helo);
}

/* spf_gather_count - the results, for the metrics */
static void
spf_gather_count(const struct message *message)
{
	struct figures *figures = &message->session->daemon->figures;

	if (message->session->witness != NULL)
		return;
	figures_count(&figures->spf_mailfrom[message->facts.spf_mailfrom.result]);
	figures_count(&figures->spf_helo[message->facts.spf_helo.result]);
}

/* spf_gather_mail - at MAIL */
void
spf_gather_mail(struct message *message)
{
	if (!wanted(message) || by_relay(message))
		return;
	spf_gather_check(message, &message->session->connection.ip, message->facts.client_addr,
	    message->facts.helo);
	spf_gather_count(message);
}

/* spf_gather_header - at the end of header */
void
spf_gather_header(struct message *message)
{
	const struct spf_config *spf = spf_gather_settings_of(message);
	struct facts *facts = &message->facts;
	struct received_client client;
	const char *at;

	if (!wanted(message) || !by_relay(message))
		return;
	switch (
	    received_find_client(message, message->header, spf->relays, spf->n_relays, &client)) {
	case RECEIVED_CLIENT:
		spf_gather_check(message, &client.ip, client.address, client.helo);
		break;
	case RECEIVED_LOCAL:
		break;
	case RECEIVED_UNREADABLE:
		at = facts->sender == NULL ? NULL : strrchr(facts->sender, '@');
		facts->spf_mailfrom.result = SPF_IS_TEMPERROR;
		facts->spf_mailfrom.sender = facts->sender;
		facts->spf_mailfrom.domain = at != NULL ? at + 1 : "";
		facts->spf_mailfrom.problem =
		    "a Received field of a trusted relay does not name its client";
		break;
	}
	spf_gather_count(message);
}

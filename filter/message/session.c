/*
 * session.c - a connection from the MTA, and the message on it
 *
 * Construction, destruction and storing of what the MTA sends; the thinking is
 * in stages.c. Message memory is one talloc tree below the session.
 *
 * Thread rule: a session is used by one thread at a time. session_free() may
 * run in libmilter's controller thread with a lock held, so it never blocks.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <sys/random.h>

#include "filter/base/clock.h"
#include "filter/message/session.h"
#include "filter/message/stages.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"
#include "policy/sender/identity.h"

/* session_new - a session on the snapshot in force */
struct session *
session_new(struct daemon *daemon)
{
	struct session *session = mem_new(NULL, struct session);

	session->daemon = daemon;
	session->snapshot = daemon_snapshot(daemon);
	if (daemon->dry)
		session_try(session);
	atomic_fetch_add(&daemon->sessions, 1);
	return session;
}

struct witness *
session_try(struct session *session)
{
	if (session->witness == NULL)
		session->witness = witness_new(session);
	return session->witness;
}

/* session_free - end the message, then the session */
void
session_free(struct session *session)
{
	if (session == NULL)
		return;
	message_finish(session);
	snapshot_release(session->snapshot);
	atomic_fetch_sub(&session->daemon->sessions, 1);
	talloc_free(session);
}

/* snapshot_needs_helo - does some listener look at HELO? */
static bool
snapshot_needs_helo(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->config->n_listeners; i++)
		if (snapshot->config->listeners[i].role == ROLE_INBOUND)
			return true;
	return false;
}

/* session_needs_helo - does some listener of the snapshot look at HELO? */
bool
session_needs_helo(const struct session *session)
{
	return snapshot_needs_helo(session->snapshot);
}

/* session_wants_refused_rcpt - does some plan count recipients that the MTA refuses? */
bool
session_wants_refused_rcpt(const struct session *session)
{
	return config_counts(session->snapshot->config, LIMIT_REFUSED);
}

/* session_keep - a bounded copy of a stranger's word; NULL stays NULL */
static char *
session_keep(TALLOC_CTX *ctx, const char *word, size_t max)
{
	return word == NULL ? NULL : mem_strndup(ctx, word, max);
}

/* session_connect - note the values of CONNECT */
void
session_connect(struct session *session, const char *client_name, const char *client_addr,
    unsigned int client_port, const char *daemon_name, const char *daemon_port, const char *mta)
{
	struct connection *connection = &session->connection;

	connection->known = true;
	connection->client_name = session_keep(session, client_name, SESSION_WORD_MAX);
	connection->client_addr = session_keep(session, client_addr, SESSION_WORD_MAX);
	connection->client_port = client_port;
	connection->daemon_name = session_keep(session, daemon_name, SESSION_WORD_MAX);
	connection->daemon_port = session_keep(session, daemon_port, SESSION_WORD_MAX);
	/* Postfix adds them before; Sendmail, and an unknown MTA, may do so after */
	connection->completes = mta == NULL || strncmp(mta, "Postfix", 7) != 0;
	if (client_addr == NULL || !ip_address_parse(client_addr, &connection->ip))
		connection->ip.bits = 0;
	else
		connection->client_addr = ip_address_text(session, &connection->ip);
}

/* session_resolved - the words of {client_resolve} in those of RFC 8601 section 2.7.3 */
void
session_resolved(struct session *session, const char *word)
{
	static const struct { const char *word; enum outcome outcome; } words[] = {
		{ "OK", OUTCOME_PASS }, { "FORGED", OUTCOME_FAIL }, { "FAIL", OUTCOME_PERMERROR },
		{ "TEMP", OUTCOME_TEMPERROR },
	};

	session->connection.iprev = OUTCOME_NONE;
	for (size_t i = 0; word != NULL && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0)
			session->connection.iprev = words[i].outcome;
}

/* session_helo - HELO, EHLO or LHLO */
void
session_helo(struct session *session, const char *helo, const char *tls_version)
{
	/* A message in progress keeps its own copy: on a second EHLO Postfix sends HELO
	 * before the ABORT of the transaction that it ends. */
	talloc_free(session->connection.helo);
	session->connection.helo = session_keep(session, helo, SESSION_WORD_MAX);
	if (tls_version != NULL && tls_version[0] != '\0')
		session->connection.tls = true;
}

/* renew_snapshot - move to the newest configuration if its steps fit what was negotiated */
static void
renew_snapshot(struct session *session)
{
	struct snapshot *newest = daemon_snapshot(session->daemon);

	if (newest == session->snapshot ||
	    (snapshot_needs_helo(newest) && !session->helo_negotiated)) {
		snapshot_release(newest);
		return;
	}
	snapshot_release(session->snapshot);
	session->snapshot = newest;
}

/* fill_connection - the facts of the connection */
static void
fill_connection(struct message *message, struct facts *facts)
{
	const struct connection *connection = &message->session->connection;

	facts->daemon_name = connection->daemon_name;
	facts->client_addr = connection->client_addr;
	facts->client_name = connection->client_name;
	facts->client_port = connection->client_port;
	facts->iprev = connection->iprev;
	facts->helo = session_keep(message, connection->helo, SESSION_WORD_MAX);
	facts->tls = connection->tls;
	facts->loopback = ip_address_is_loopback(&connection->ip);
}

/* new_message - a message in its first state */
static struct message *
new_message(struct session *session)
{
	struct message *message = mem_new(session, struct message);

	message->session = session;
	message->header = header_list_new(message, SESSION_HEADER_OCTETS);
	message->recipients =
	    map_new(message, &(struct map_options){ .seed = (uint64_t)(uintptr_t)message });
	fill_connection(message, &message->facts);
	/* without randomness a charge could be taken for another's */
	if (getrandom(message->charge_id, sizeof(message->charge_id), 0) !=
	    (ssize_t)sizeof(message->charge_id))
		mem_end("the system returns no random bytes");
	atomic_fetch_add(&session->daemon->in_flight, 1);
	return message;
}

/* message_finish - the message is over */
void
message_finish(struct session *session)
{
	if (session->message == NULL)
		return;
	talloc_free(session->message);
	session->message = NULL;
	atomic_fetch_sub(&session->daemon->in_flight, 1);
}

/* learn_queue_id - the MTA may send it late: Postfix after the first recipient */
static void
learn_queue_id(struct message *message, const char *queue_id)
{
	if (queue_id != NULL && queue_id[0] != '\0' && message->facts.queue_id == NULL)
		message->facts.queue_id = session_keep(message, queue_id, SESSION_WORD_MAX);
}

/* count_stage - a stage of a real message began at since and is over */
static void
count_stage(struct session *session, enum figures_stage stage, uint64_t since)
{
	if (session->witness == NULL)
		histogram_since(&session->daemon->figures.stages[stage], since);
}

/* message_mail - MAIL FROM */
const struct verdict *
message_mail(struct session *session, const char *path, const struct mail_macros *macros)
{
	uint64_t since = histogram_now();
	struct message *message;

	message_finish(session);
	renew_snapshot(session);
	message = session->message = new_message(session);
	if (macros->tls_version != NULL && macros->tls_version[0] != '\0')
		message->facts.tls = true;
	if (macros->auth_authen != NULL && macros->auth_authen[0] != '\0')
		message->facts.login = session_keep(message, macros->auth_authen, SESSION_WORD_MAX);
	message->facts.auth_without_login = message->facts.login == NULL &&
	    macros->auth_type != NULL && macros->auth_type[0] != '\0';
	message->facts.declared_size = macros->size;
	message->facts.smtputf8 = macros->smtputf8;
	learn_queue_id(message, macros->queue_id);
	stage_mail(message, path);
	count_stage(session, FIGURES_MAIL, since);
	return &message->verdict;
}

/* message_rcpt - RCPT TO */
const struct verdict *
message_rcpt(struct session *session, const char *path, const char *resolved, const char *queue_id)
{
	struct message *message = session->message;
	uint64_t since = histogram_now();

	learn_queue_id(message, queue_id);
	stage_rcpt(message, path, resolved);
	count_stage(session, FIGURES_RCPT, since);
	return &message->verdict;
}

/* is_unverified - does the MTA not know yet whether there is such an address? Postfix says so with
 * the code of an unknown one. */
static bool
is_unverified(const char *text)
{
	return text != NULL && (strstr(text, "rejected: unverified address") != NULL ||
	    strstr(text, "rejected: address verification problem") != NULL);
}

/* message_rcpt_refused - RCPT TO: a recipient that the MTA itself refused */
void
message_rcpt_refused(struct session *session, const char *path, const char *code,
    const char *text)
{
	/* Of the temporary ones, addresses alone count: a host that is busy is no sign. */
	if (session->witness == NULL && code != NULL &&
	    (code[0] == '5' || (strncmp(code, "4.1.", 4) == 0 && !is_unverified(text))))
		stage_rcpt_refused(session->message, path);
}

/* message_header - one header field */
void
message_header(struct session *session, const char *name, const char *value)
{
	size_t name_len = strlen(name);
	size_t value_len = strlen(value);

	header_append(session->message->header, name, name_len, value, value_len);
	/* colon and line end make it the octets that are stored */
	session->message->facts.size += name_len + value_len + 3;
}

/* message_header_end - end of header */
const struct verdict *
message_header_end(struct session *session, const char *queue_id)
{
	uint64_t since = histogram_now();

	learn_queue_id(session->message, queue_id);
	session->message->facts.size += 2;
	stage_header(session->message);
	count_stage(session, FIGURES_HEADER, since);
	return &session->message->verdict;
}

/* message_body - a piece of the body */
void
message_body(struct session *session, const unsigned char *bytes, size_t len)
{
	uint64_t since = histogram_now();

	session->message->facts.size += len;
	stage_body(session->message, (const char *)bytes, len);
	session->message->body_us += histogram_now() - since;
}

/* message_end - end of message */
const struct verdict *
message_end(struct session *session, const char *queue_id)
{
	uint64_t since = histogram_now();

	learn_queue_id(session->message, queue_id);
	stage_end(session->message);
	count_stage(session, FIGURES_END, since);
	if (session->witness == NULL)
		histogram_add(&session->daemon->figures.stages[FIGURES_BODY],
		    session->message->body_us);
	return &session->message->verdict;
}

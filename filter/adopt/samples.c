/*
 * samples.c - does what adopt wrote do what the host did? The check, and sample messages
 *
 * The samples go through the session and the stages of filter/message, on a daemon that is dry. In
 * mode watch everything passes, so what counts is what mode enforce would do.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "filter/adopt/samples.h"
#include "filter/message/session.h"
#include "policy/base/mem.h"

#define QUEUE_ID "ADOPT"

/* A sample: who sends as whom, and how it comes. */
struct sample {
	const char *text;  /* as in the report */
	const char *login; /* or NULL */
	const char *client;
	const char *address;
	const struct listener *listener;
};

/* connect_as - a connection that the listener is for */
static void
connect_as(struct session *session, const struct sample *sample)
{
	const struct listener *listener = sample->listener;

	session->helo_negotiated = session_needs_helo(session);
	session_connect(session, "client.example", sample->client, 1234,
	    listener->daemons.n > 0 ? listener->daemons.items[0] : "smtpd",
	    listener->ports.n > 0 ? listener->ports.items[0] : NULL, "Postfix");
	if (session->helo_negotiated)
		session_helo(session, "client.example", NULL);
}

/* send_sample - a plain message */
static const struct verdict *
send_sample(TALLOC_CTX *ctx, struct session *session, const struct sample *sample)
{
	const struct mail_macros macros = { .auth_authen = sample->login,
		.auth_type = sample->login != NULL ? "PLAIN" : NULL,
		.tls_version = "TLSv1.3",
		.queue_id = QUEUE_ID };
	static const char body[] = "Hello.\r\n";
	const struct verdict *verdict;

	connect_as(session, sample);
	verdict = message_mail(session, mem_printf(ctx, "<%s>", sample->address), &macros);
	if (!verdict_passes(verdict))
		return verdict;
	verdict = message_rcpt(session, "<bob@example.net>", NULL, QUEUE_ID);
	if (!verdict_passes(verdict))
		return verdict;
	message_header(session, "From", mem_printf(ctx, " %s", sample->address));
	message_header(session, "To", " bob@example.net");
	message_header(session, "Subject", " sample");
	message_header(session, "Date", " Sat, 28 Nov 2026 12:00:00 +0000");
	message_header(session, "Message-ID", " <sample@client.example>");
	verdict = message_header_end(session, QUEUE_ID);
	if (!verdict_passes(verdict))
		return verdict;
	message_body(session, (const unsigned char *)body, sizeof(body) - 1);
	return message_end(session, QUEUE_ID);
}

/* try_sample - send it, and count */
static void
try_sample(struct daemon *daemon, struct adopt_trial *trial, const struct sample *sample)
{
	struct session *session = session_new(daemon);
	const struct verdict *verdict = send_sample(trial, session, sample);
	const char *reason = reply_row(verdict->reason)->word;

	trial->tried++;
	for (size_t i = 0; i < session->message->edits.n_inserts; i++)
		if (strcasecmp(session->message->edits.inserts[i].name, "DKIM-Signature") == 0) {
			trial->with_signature++;
			break;
		}
	if (verdict->would == ACTION_ACCEPT || verdict->would == ACTION_WARN)
		trial->accepted++;
	else {
		trial->refusals =
		    mem_grow(trial, trial->refusals, struct adopt_refusal, trial->n_refusals + 1);
		trial->refusals[trial->n_refusals++] = (struct adopt_refusal){ sample->text,
			verdict_passes(verdict)
			    ? mem_strdup(trial, reason)
			    : mem_printf(trial, "%s %s %s (%s)", verdict->reply_code,
				  verdict->reply_status, verdict->reply_text, reason) };
	}
	session_free(session);
}

/* of_role - the first listener of a role, or NULL */
static const struct listener *
of_role(const struct config *config, enum role role)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].role == role)
			return &config->listeners[i];
	return NULL;
}

/* client_in - an address that a listener is for */
static const char *
client_in(TALLOC_CTX *ctx, const struct listener *listener)
{
	char text[INET6_ADDRSTRLEN];

	if (listener->n_clients > 0 &&
	    inet_ntop(listener->clients[0].network.bits == 128 ? AF_INET6 : AF_INET,
		listener->clients[0].network.octets, text, sizeof(text)) != NULL)
		return mem_strdup(ctx, text);
	return "192.0.2.1";
}

/* try_list - all samples of a role */
static void
try_list(struct daemon *daemon, const struct config *config, struct adopt_trial *trial,
    const struct adopt_texts *list, enum role role)
{
	const struct listener *listener = of_role(config, role);

	for (size_t i = 0; listener != NULL && i < list->n; i++) {
		const char *space = strrchr(list->items[i], ' ');
		struct sample sample = { .text = list->items[i], .listener = listener };

		if (space == NULL)
			continue;
		sample.client = client_in(trial, listener);
		sample.address = space + 1;
		if (role == ROLE_SUBMISSION)
			sample.login =
			    mem_strndup(trial, list->items[i], (size_t)(space - list->items[i]));
		try_sample(daemon, trial, &sample);
	}
}

const struct adopt_trial *
adopt_try(TALLOC_CTX *ctx, const struct adopt_report *report)
{
	static struct daemon daemon; /* threads may outlive the command */
	struct adopt_trial *trial = mem_new(ctx, struct adopt_trial);
	struct snapshot *first =
	    snapshot_build(ctx, report->conf, NULL, &trial->warnings, &trial->errors);

	if (first == NULL)
		return trial;
	if (report->senders.n == 0 && report->relay_senders.n == 0)
		return trial;
	daemon.file = report->conf;
	if (daemon_open_dry(ctx, &daemon, first, &trial->errors) != 0)
		return trial;
	trial->errors = NULL;
	try_list(&daemon, first->config, trial, &report->senders, ROLE_SUBMISSION);
	try_list(&daemon, first->config, trial, &report->relay_senders, ROLE_RELAY);
	return trial;
}

/*
 * trial.c - a message that is only tried: the whole chain, and what each step of it found
 *
 * Plays the MTA: connection and macros are those that the listener's conditions ask for, in the
 * way of Postfix or Sendmail. The message is run twice, as it is and in the other mode, because
 * mode watch changes more than the verdict: what is charged, and what is signed.
 *
 * Thread rule: one thread for each trial.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <string.h>

#include "filter/trial/report.h"
#include "filter/trial/trial.h"
#include "policy/base/mem.h"

#define QUEUE_ID	"TRY"
#define CLIENT_NAME	"client.example"
#define RCPTS_MAX	50000

/* What is tried, and what is wrong with the request. */
struct trial {
	struct daemon *daemon;
	TALLOC_CTX *ctx;
	const json_t *request;
	const char *text;
	const struct listener *listener; /* of snapshot; NULL: whichever takes the connection */
	struct snapshot *snapshot;	/* reference held */
	const char *client;
	bool sendmail;			/* the MTA, else Postfix */
	bool pickup;			/* mail of sendmail(1), by Postfix */
	const char *error;
};

/* trial_text - a text member of the request, or NULL */
static const char *
trial_text(const struct trial *trial, const char *name)
{
	return json_string_value(json_object_get(trial->request, name));
}

/* trial_flag - is a member of the request true? */
static bool
trial_flag(const struct trial *trial, const char *name)
{
	return json_is_true(json_object_get(trial->request, name));
}

/* --- the request --- */

/* check_members - is everything of the right type? */
static bool
check_members(struct trial *trial)
{
	static const char *const texts[] = { "listener", "login", "client", "helo", "from", "mta",
		"daemon" };
	const json_t *rcpts = json_object_get(trial->request, "rcpts"), *rcpt;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const json_t *value = json_object_get(trial->request, texts[i]);

		if (value != NULL && !json_is_string(value))
			trial->error = mem_printf(trial->ctx, "%s must be a text", texts[i]);
	}
	if (trial_text(trial, "from") == NULL)
		trial->error = "the request has no field \"from\"";
	if (json_array_size(rcpts) == 0 || json_array_size(rcpts) > RCPTS_MAX)
		trial->error = "rcpts must be a list of recipients";
	json_array_foreach(rcpts, i, rcpt)
		if (!json_is_string(rcpt))
			trial->error = "rcpts must be a list of texts";
	return trial->error == NULL;
}

/* listener_names - those of role inbound, or all */
static const char *
listener_names(struct trial *trial, bool inbound)
{
	const struct config *config = trial->snapshot->config;
	char *names = mem_strdup(trial->ctx, "");

	for (size_t i = 0; i < config->n_listeners; i++)
		if (!inbound || config->listeners[i].role == ROLE_INBOUND)
			names = mem_check(talloc_asprintf_append_buffer(names, "%s%s",
			    names[0] != '\0' ? ", " : "", config->listeners[i].name));
	return names[0] != '\0' ? names : "none";
}

/* wanted_listener - the listener that is named, or the first of the role that fits */
static const struct listener *
wanted_listener(struct trial *trial)
{
	const struct config *config = trial->snapshot->config;
	const char *name = trial_text(trial, "listener");
	enum role role = !trial_flag(trial, "verify") && trial_text(trial, "login") != NULL
	    ? ROLE_SUBMISSION : ROLE_INBOUND;

	for (size_t i = 0; i < config->n_listeners; i++)
		if (name != NULL ? strcmp(config->listeners[i].name, name) == 0
				 : config->listeners[i].role == role)
			return &config->listeners[i];
	if (name != NULL)
		trial->error = mem_printf(trial->ctx, "%s has no listener \"%s\"; it has: %s",
		    config->file, name, listener_names(trial, false));
	else
		trial->error = mem_printf(trial->ctx, "%s has no listener of role %s; name one of: %s",
		    config->file, role_word(role), listener_names(trial, false));
	return NULL;
}

/* is_sendmail_name - is this daemon name one of Sendmail's own? */
static bool
is_sendmail_name(const char *name)
{
	return strncmp(name, "MTA", 3) == 0 || strncmp(name, "MSA", 3) == 0;
}

/* looks_like_sendmail - are the daemon names Sendmail's? */
static bool
looks_like_sendmail(const struct trial *trial)
{
	const char *given = trial_text(trial, "daemon");
	const struct words none = { 0 };
	const struct words *names = trial->listener != NULL ? &trial->listener->daemons : &none;

	if (given != NULL)
		return is_sendmail_name(given);
	for (size_t i = 0; i < names->n; i++)
		if (is_sendmail_name(names->items[i]))
			return true;
	return false;
}

/* choose_mta - which MTA is played */
static bool
choose_mta(struct trial *trial)
{
	const struct listener *listener = trial->listener;
	const char *mta = trial_text(trial, "mta");

	if (mta == NULL) {
		trial->sendmail = looks_like_sendmail(trial);
		/* Sendmail gets the mail of sendmail(1) by SMTP, from this host */
		trial->pickup = !trial->sendmail && listener != NULL &&
		    (listener->pickup == 1 || listener->role == ROLE_LOCAL);
		return true;
	}
	trial->sendmail = strcmp(mta, "sendmail") == 0;
	trial->pickup = strcmp(mta, "pickup") == 0;
	if (!trial->sendmail && !trial->pickup && strcmp(mta, "postfix") != 0) {
		trial->error = "mta must be postfix, pickup or sendmail";
		return false;
	}
	return true;
}

/* choose_client - the client: as given, else one that the listener is for */
static bool
choose_client(struct trial *trial)
{
	const struct listener *listener = trial->listener;
	char text[INET6_ADDRSTRLEN];
	struct ip_address ip;

	trial->client = trial_text(trial, "client");
	if (trial->client != NULL && !ip_address_parse(trial->client, &ip)) {
		trial->error =
		    mem_printf(trial->ctx, "client: \"%s\" is not an address", trial->client);
		return false;
	}
	if (trial->client != NULL)
		return true;
	trial->client = "127.0.0.1";
	if (listener != NULL ? listener->role == ROLE_INBOUND : trial_text(trial, "login") == NULL)
		trial->client = trial->pickup ? "127.0.0.1" : "192.0.2.1";
	if (listener != NULL && listener->n_clients > 0 && !trial->pickup &&
	    inet_ntop(listener->clients[0].network.bits == 128 ? AF_INET6 : AF_INET,
		listener->clients[0].network.octets, text, sizeof(text)) != NULL)
		trial->client = mem_strdup(trial->ctx, text);
	return true;
}

/* trial_read_request - what the request asks for; false: trial->error says why it is not tried */
static bool
trial_read_request(struct trial *trial)
{
	if (!check_members(trial))
		return false;
	/* a connection that is described by its daemon name comes to whichever listener takes it */
	if (trial_text(trial, "daemon") == NULL || trial_text(trial, "listener") != NULL ||
	    trial_flag(trial, "verify")) {
		trial->listener = wanted_listener(trial);
		if (trial->listener == NULL)
			return false;
	}
	if (!choose_mta(trial) || !choose_client(trial))
		return false;
	if (!trial_flag(trial, "verify") || trial->listener->role == ROLE_INBOUND)
		return true;
	trial->error = mem_printf(trial->ctx,
	    "verify is for a listener of role inbound, and %s has role %s; of role inbound: %s",
	    trial->listener->name, role_word(trial->listener->role), listener_names(trial, true));
	return false;
}

/* --- the MTA --- */

/* daemon_name - {daemon_name} of the connection */
static const char *
daemon_name(const struct trial *trial)
{
	const char *given = trial_text(trial, "daemon");

	if (given != NULL)
		return given[0] != '\0' ? given : NULL;
	if (trial->listener->daemons.n > 0)
		return trial->listener->daemons.items[0];
	if (trial->sendmail)
		return trial_text(trial, "login") != NULL ? "MSA" : "MTA";
	return trial->pickup ? "local" : "smtpd";
}

/* open_connection - CONNECT and HELO, as the listener's conditions want them */
static void
open_connection(const struct trial *trial, struct session *session)
{
	const struct listener *listener = trial->listener;
	const char *helo = trial_text(trial, "helo");

	session->helo_negotiated = session_needs_helo(session);
	session_connect(session, trial->pickup ? "localhost" : CLIENT_NAME, trial->client,
	    trial->pickup ? 0 : 1234, daemon_name(trial),
	    listener != NULL && listener->ports.n > 0 ? listener->ports.items[0] : NULL,
	    trial->sendmail ? "8.17.1" : "Postfix 3.7.11");
	if (session->helo_negotiated)
		session_helo(session, trial->pickup ? "localhost" : helo != NULL ? helo : CLIENT_NAME,
		    trial_flag(trial, "tls") ? "TLSv1.3" : NULL);
}

/* path_of - an address as MAIL and RCPT have it: in brackets, but for mail of sendmail(1) */
static const char *
path_of(const struct trial *trial, const char *address)
{
	size_t len = strlen(address);

	if (trial->pickup)
		return address[0] == '<' && address[len - 1] == '>'
		    ? mem_strndup(trial->ctx, address + 1, len - 2) : address;
	return address[0] == '<' ? address : mem_printf(trial->ctx, "<%s>", address);
}

/* is_utf8_envelope - is there more than ASCII in the envelope? Clients must then say SMTPUTF8 */
static bool
is_utf8_envelope(const struct trial *trial)
{
	const json_t *rcpt;
	size_t i;

	for (const char *c = trial_text(trial, "from"); *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80)
			return true;
	json_array_foreach(json_object_get(trial->request, "rcpts"), i, rcpt)
		for (const char *c = json_string_value(rcpt); *c != '\0'; c++)
			if ((unsigned char)*c >= 0x80)
				return true;
	return false;
}

/* give_recipients - each RCPT; is one accepted? The verdict is then that of the last */
static bool
give_recipients(const struct trial *trial, struct trial_run *run)
{
	const json_t *rcpt;
	bool accepted = false;
	size_t i;

	json_array_foreach(json_object_get(trial->request, "rcpts"), i, rcpt) {
		/* Postfix has a queue id from the second recipient on */
		const char *id = i > 0 || trial->sendmail || trial->pickup ? QUEUE_ID : NULL;
		const struct verdict *verdict = message_rcpt(
		    run->session, path_of(trial, json_string_value(rcpt)), NULL, id);
		const char *reply = trial_reply(trial->ctx, verdict);

		accepted |= reply == NULL;
		(void)json_array_append_new(run->recipients, json_pack("{s:s, s:o, s:o}", "address",
		    json_string_value(rcpt), "reply", witness_text(reply), "reason",
		    witness_text(reply != NULL ? reply_row(verdict->reason)->word : NULL)));
	}
	return accepted;
}

/* give_message - all commands of a message, as far as it is accepted */
static void
give_message(const struct trial *trial, struct trial_run *run)
{
	const char *login = trial_text(trial, "login");
	const struct mail_macros macros = {
		.auth_authen = login,
		.auth_type = login != NULL ? "PLAIN" : NULL,
		.tls_version = trial_flag(trial, "tls") ? "TLSv1.3" : NULL,
		.queue_id = trial->sendmail || trial->pickup ? QUEUE_ID : NULL,
		.smtputf8 = is_utf8_envelope(trial),
	};

	run->stage = "MAIL";
	if (!verdict_passes(message_mail(
		run->session, path_of(trial, trial_text(trial, "from")), &macros)))
		return;
	run->stage = "RCPT";
	if (!give_recipients(trial, run))
		return;
	run->stage = "header";
	trial_text_header(run->session, trial->text);
	if (!verdict_passes(message_header_end(run->session, QUEUE_ID)))
		return;
	trial_text_give(run->session, trial_text_body(trial->text));
	run->stage = "end of message";
	(void)message_end(run->session, QUEUE_ID);
}

/* run_message - the message on a connection of its own; false: another listener takes it */
static bool
run_message(struct trial *trial, bool other_mode, struct trial_run *run)
{
	const struct listener *found;

	run->recipients = json_array();
	run->mta = trial->sendmail ? "sendmail" : trial->pickup ? "pickup" : "postfix";
	run->session = session_new(trial->daemon);
	session_try(run->session)->other_mode = other_mode;
	open_connection(trial, run->session);
	give_message(trial, run);
	found = run->session->message->listener;
	/* a reload may have come between */
	if (trial->listener == NULL ||
	    (found != NULL && strcmp(found->name, trial->listener->name) == 0))
		return true;
	trial->error = mem_printf(trial->ctx, "a connection like this comes to the listener %s, "
	    "not to %s: the first whose conditions hold takes it; give another client or login, or "
	    "another mta", found != NULL ? found->name : "(none)", trial->listener->name);
	return false;
}

/* end_run - free what a run holds */
static void
end_run(struct trial_run *run)
{
	json_decref(run->recipients);
	session_free(run->session);
}

/* try_message - run the message, and say what was found; NULL: trial->error says why not */
static json_t *
try_message(struct trial *trial)
{
	struct trial_run run, other;
	json_t *json;

	if (!run_message(trial, false, &run)) {
		end_run(&run);
		return NULL;
	}
	json = trial_report(trial->ctx, &run);
	if (trial_flag(trial, "print"))
		(void)json_object_set_new(
		    json, "header", trial_report_header(trial->ctx, &run));
	if (run_message(trial, true, &other))
		(void)json_object_set_new(
		    json, "other_mode", trial_report_other(trial->ctx, &other));
	trial->error = NULL;
	end_run(&other);
	end_run(&run);
	return json;
}

json_t *
trial_answer(struct daemon *daemon, TALLOC_CTX *ctx, const json_t *request, const char *text)
{
	struct trial trial = { .daemon = daemon, .ctx = ctx, .request = request, .text = text };
	json_t *json = NULL;

	trial.snapshot = daemon_snapshot(daemon);
	if (trial_read_request(&trial))
		json = try_message(&trial);
	snapshot_release(trial.snapshot);
	return json != NULL ? json
			    : json_pack("{s:b, s:o}", "ok", 0, "error", witness_text(trial.error));
}

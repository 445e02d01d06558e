/*
 * ctl_try.c - countersignctl try: what would become of a message, and why
 *
 * The session and stages of filter/message run here as they do in the daemon, on an MTA made of the
 * arguments. struct daemon has dry set, so nothing is charged, logged or kept.
 *
 * Threads: one, and those of the resolver and the store.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "filter/ctl/ctl.h"
#include "filter/message/session.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define MESSAGE_MAX	(64 * 1024 * 1024) /* octets of standard input */
#define PIECE		65535		/* octets of body that an MTA hands over at once */
#define BLOCKS_WAIT_MS	1000		/* until Redis has said who is blocked */
#define QUEUE_ID	"TRY"

/* Exit status by action. */
static const int statuses[] = {
	[ACTION_ACCEPT] = 0,
	[ACTION_WARN] = 0,
	[ACTION_QUARANTINE] = 3,
	[ACTION_TEMPFAIL] = 4,
	[ACTION_REJECT] = 5,
};

/* What is tried. */
struct trial {
	struct ctl *ctl;
	struct daemon *daemon;
	struct session *session;
	const struct listener *listener;
	char *text;		/* the message, lines ended by LF */
	char *body;		/* its body, lines ended by CRLF */
	size_t body_len;
	json_t *recipients;	/* each with its reply */
	const char *stage;	/* where it was decided */
};

/* trial_input - standard input with LF line ends; ends the program for what no MTA hands on */
static char *
trial_input(struct ctl *ctl)
{
	char *text = mem_array(ctl->memory, char, MESSAGE_MAX + 1);
	size_t len = fread(text, 1, MESSAGE_MAX, stdin), n = 0;

	if (ferror(stdin) || (len == MESSAGE_MAX && !feof(stdin)))
		ctl_fail("the message on standard input cannot be read, or is larger than %d MiB",
		    MESSAGE_MAX >> 20);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\0')
			ctl_fail("the message holds a NUL (octet %zu), which MTAs do not hand on; "
			    "remove it", i + 1);
		if (text[i] == '\r' && (i + 1 == len || text[i + 1] != '\n'))
			ctl_fail("the message holds a bare CR (octet %zu), which MTAs do not hand "
			    "on alike; end lines with LF or CRLF", i + 1);
		if (text[i] != '\r')
			text[n++] = text[i];
	}
	text[n] = '\0';
	return text;
}

/* trial_plain - a message of its own */
static char *
trial_plain(struct ctl *ctl)
{
	const char *from = ctl_option(ctl, "--from");
	const char *to = ctl_option(ctl, "--rcpt");
	time_t now = time(NULL);
	char date[64] = "";
	struct tm tm;

	if (gmtime_r(&now, &tm) != NULL)
		(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	if (strcmp(from, "<>") == 0)
		from = "MAILER-DAEMON@client.example";
	return mem_printf(ctl->memory,
	    "From: %s\nTo: %s\nSubject: try\nDate: %s\nMessage-ID: <try.%lld@client.example>\n\n"
	    "Hello.\n", from, to, date, (long long)now);
}

/* field_colon - the colon of a header line as Postfix sees it, or NULL: the body begins here */
static char *
field_colon(char *line)
{
	char *p = line;

	while (*p > ' ' && *p < 0x7f && *p != ':')
		p++;
	if (p == line)
		return NULL;
	p += strspn(p, " \t");
	return *p == ':' ? p : NULL;
}

/* take_field - one header field to the session; returns what follows it */
static char *
take_field(struct trial *trial, char *line, char *colon)
{
	char *end = colon;

	do
		end += 1 + strcspn(end + 1, "\n");
	while (*end == '\n' && (end[1] == ' ' || end[1] == '\t'));
	message_header(trial->session,
	    mem_strndup(trial->ctl->memory, line, (size_t)(colon - line)),
	    mem_strndup(trial->ctl->memory, colon + 1, (size_t)(end - colon - 1)));
	return end + (*end == '\n');
}

/* take_header - all header fields; returns the body */
static char *
take_header(struct trial *trial, char *text)
{
	char *colon;

	while ((colon = field_colon(text)) != NULL)
		text = take_field(trial, text, colon);
	return text + (*text == '\n');
}

/* crlf - a body with CRLF line ends */
static void
crlf(struct trial *trial, const char *text)
{
	size_t n = 0;

	trial->body = mem_array(trial->ctl->memory, char, 2 * strlen(text) + 3);
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\n')
			trial->body[n++] = '\r';
		trial->body[n++] = *p;
	}
	if (n > 0 && trial->body[n - 1] != '\n') {
		trial->body[n++] = '\r';
		trial->body[n++] = '\n';
	}
	trial->body_len = n;
}

/* reply_of - "550 5.7.1 ...", or NULL */
static const char *
reply_of(TALLOC_CTX *ctx, const struct verdict *verdict)
{
	return verdict_passes(verdict) ? NULL
				       : mem_printf(ctx, "%s %s %s", verdict->reply_code,
					     verdict->reply_status, verdict->reply_text);
}

/* path_of - an address as a client writes it in MAIL and RCPT */
static const char *
path_of(TALLOC_CTX *ctx, const char *address)
{
	return address[0] == '<' ? address : mem_printf(ctx, "<%s>", address);
}

/* give_recipients - each RCPT; is one accepted? The verdict is then that of the last */
static bool
give_recipients(struct trial *trial)
{
	const char *address;
	bool accepted = false;
	size_t at = 0;

	while ((address = ctl_option_next(trial->ctl, "--rcpt", &at)) != NULL) {
		const struct verdict *verdict = message_rcpt(trial->session,
		    path_of(trial->ctl->memory, address), NULL, QUEUE_ID);
		const char *reply = reply_of(trial->ctl->memory, verdict);

		accepted |= reply == NULL;
		json_array_append_new(trial->recipients,
		    json_pack("{s:s, s:s?}", "address", address, "reply", reply));
	}
	return accepted;
}

/* give_message - all commands of a message, as far as it is accepted */
static void
give_message(struct trial *trial)
{
	const char *login = ctl_option(trial->ctl, "--login");
	const struct mail_macros macros = {
		.auth_authen = login,
		.auth_type = login != NULL ? "PLAIN" : NULL,
		.tls_version = ctl_flag(trial->ctl, "--tls") ? "TLSv1.3" : NULL,
		.queue_id = QUEUE_ID,
	};

	trial->stage = "MAIL";
	if (!verdict_passes(message_mail(trial->session,
		path_of(trial->ctl->memory, ctl_option(trial->ctl, "--from")), &macros)))
		return;
	trial->stage = "RCPT";
	if (!give_recipients(trial))
		return;
	trial->stage = "header";
	crlf(trial, take_header(trial, trial->text));
	if (!verdict_passes(message_header_end(trial->session, QUEUE_ID)))
		return;
	for (size_t at = 0; at < trial->body_len; at += PIECE)
		message_body(trial->session, (const unsigned char *)trial->body + at,
		    trial->body_len - at < PIECE ? trial->body_len - at : PIECE);
	trial->stage = "end of message";
	(void)message_end(trial->session, QUEUE_ID);
}

/* find_listener - the listener that is named; ends the program if there is none */
static const struct listener *
find_listener(const struct ctl *ctl, const struct config *config)
{
	const char *name = ctl_option(ctl, "--listener");
	const char *names = "";

	for (size_t i = 0; i < config->n_listeners; i++) {
		if (strcmp(config->listeners[i].name, name) == 0)
			return &config->listeners[i];
		names = mem_printf(
		    ctl->memory, "%s%s%s", names, i > 0 ? ", " : "", config->listeners[i].name);
	}
	ctl_fail("%s has no listener \"%s\"; it has: %s", config->file, name, names);
}

/* client_text - the client: as given, else one that the listener is for */
static const char *
client_text(const struct ctl *ctl, const struct listener *listener)
{
	const char *given = ctl_option(ctl, "--client");
	char text[INET6_ADDRSTRLEN];
	struct ip_address ip;

	if (given != NULL && !ip_address_parse(given, &ip))
		ctl_misuse(ctl, "--client %s: this is not an address", given);
	if (given != NULL)
		return given;
	if (listener->n_clients > 0 &&
	    inet_ntop(listener->clients[0].network.bits == 128 ? AF_INET6 : AF_INET,
		listener->clients[0].network.octets, text, sizeof(text)) != NULL)
		return mem_strdup(ctl->memory, text);
	return listener->role == ROLE_INBOUND ? "192.0.2.1" : "127.0.0.1";
}

/* open_connection - CONNECT and HELO, as the listener's conditions want them */
static void
open_connection(struct trial *trial)
{
	const struct listener *listener = trial->listener;
	const char *client = client_text(trial->ctl, listener);
	const char *helo = ctl_option(trial->ctl, "--helo");
	bool pickup = listener->pickup == 1 || listener->role == ROLE_LOCAL;

	if (helo == NULL)
		helo = "client.example";
	trial->session->helo_negotiated = session_needs_helo(trial->session);
	session_connect(trial->session, "client.example", client, pickup ? 0 : 1234,
	    listener->daemons.n > 0 ? listener->daemons.items[0] : "smtpd",
	    listener->ports.n > 0 ? listener->ports.items[0] : NULL, "Postfix");
	if (trial->session->helo_negotiated)
		session_helo(trial->session, helo, NULL);
}

/* run_session - the message on a new connection */
static void
run_session(struct trial *trial)
{
	if (trial->session != NULL) {
		session_free(trial->session);
		json_array_clear(trial->recipients);
	}
	trial->session = session_new(trial->daemon);
	open_connection(trial);
	give_message(trial);
	if (trial->session->message->listener != trial->listener)
		ctl_fail("a connection like this comes to the listener %s, not to %s: the first "
		    "whose conditions hold is taken; add --client ADDRESS or --login LOGIN",
		    trial->session->message->listener != NULL
		    ? trial->session->message->listener->name : "(none)",
		    trial->listener->name);
}

/* trial_await_blocks - until the store's thread has read who is blocked */
static void
trial_await_blocks(struct trial *trial, const struct config *config)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000000 };
	struct store_block *list = NULL;
	size_t n = 0;

	for (int i = 0; config->store_options.kind == STORE_REDIS && n == 0 &&
	     i < BLOCKS_WAIT_MS / 20; i++) {
		(void)nanosleep(&pause, NULL);
		store_blocked(trial->daemon->store, trial->ctl->memory, &list, &n);
	}
}

/* owned_word - whether an address is the account's */
static const char *
owned_word(enum ownership owned)
{
	switch (owned) {
	case OWNED_YES:
		return "owned";
	case OWNED_NO:
	case OWNED_NO_DOMAIN:
		return "foreign";
	case OWNED_TEMPERROR:
		return "not known";
	case OWNED_NOT_ASKED:
		break;
	}
	return "not asked";
}

/* place_word - where an address is claimed */
static const char *
place_word(enum claim_place place)
{
	static const char *const words[] = {
		[CLAIM_ENVELOPE] = "MAIL FROM", [CLAIM_FROM] = "From", [CLAIM_SENDER] = "Sender",
		[CLAIM_RESENT_FROM] = "Resent-From", [CLAIM_RESENT_SENDER] = "Resent-Sender",
		[CLAIM_DISPLAY] = "display name", [CLAIM_DISGUISE] = "disguise in a display name",
	};

	return words[place];
}

/* text_json - strangers' octets as JSON; what is no UTF-8 is left out */
static json_t *
text_json(const char *text)
{
	json_t *value = text != NULL ? json_string(text) : NULL;

	return value != NULL ? value : json_null();
}

/* claims_json - each address that is claimed */
static json_t *
claims_json(const struct facts *facts)
{
	json_t *claims = json_array();

	for (size_t i = 0; i < facts->n_claims; i++)
		json_array_append_new(claims,
		    json_pack("{s:s, s:o, s:s}", "place", place_word(facts->claims[i].place),
			"address", text_json(facts->claims[i].address), "owned",
			owned_word(facts->claims[i].owned)));
	return claims;
}

/* inserts_json - the fields that are added */
static json_t *
inserts_json(const struct edits *edits)
{
	json_t *added = json_array();

	for (size_t i = edits->n_inserts; i-- > 0;)
		json_array_append_new(added,
		    json_pack("{s:s, s:o}", "name", edits->inserts[i].name, "value",
			text_json(edits->inserts[i].value)));
	return added;
}

/* trial_json - all that is reported */
static json_t *
trial_json(const struct trial *trial)
{
	const struct message *message = trial->session->message;
	const struct facts *facts = &message->facts;
	const struct verdict *verdict = &message->verdict;
	const struct plans *plans = &message->plans;
	json_t *json = json_pack("{s:s, s:o, s:s, s:s, s:o, s:s}", "verdict",
	    action_word(verdict->action), "reply", text_json(reply_of(trial->ctl->memory, verdict)),
	    "would", action_word(verdict->would), "reason", reply_row(verdict->reason)->word,
	    "line", text_json(message->line), "stage", trial->stage);

	json_object_update_new(json,
	    json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s}", "listener", trial->listener->name,
		"where", trial->listener->where != NULL ? trial->listener->where : "", "role",
		role_word(facts->role), "mode", mode_word(message->rules.mode), "account",
		text_json(facts->account), "plan",
		plans->n > 0 && plans->parties[0].plan != NULL ? plans->parties[0].plan->name : "",
		"plan_from", plans->n > 0 && plans->from[0] != NULL ? plans->from[0] : ""));
	json_object_update_new(json,
	    json_pack("{s:o, s:O, s:o, s:o, s:I, s:I, s:s, s:s}", "claims", claims_json(facts),
		"recipients", trial->recipients, "added", inserts_json(&message->edits), "limit",
		text_json(facts->quota.limit), "used", (json_int_t)facts->quota.used, "max",
		(json_int_t)facts->quota.max, "spf", spf_result_word(facts->spf_mailfrom.result),
		"dmarc", dmarc_result_word(facts->dmarc.result)));
	return json;
}

/* print_pair - a line of two columns */
static void
print_pair(const char *name, const char *text)
{
	char *copy = mem_strdup(NULL, text);

	text_replace_controls(copy, ' ', '\n');
	(void)printf("%-10s ", name);
	for (const char *at = copy; *at != '\0'; at++)
		if (*at == '\n')
			(void)printf("\n%-10s ", "");
		else
			(void)putchar(*at);
	(void)printf("\n");
	talloc_free(copy);
}

/* print_lists - claims, recipients, fields */
static void
print_lists(TALLOC_CTX *ctx, const json_t *json)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(json, "claims"), i, item)
		print_pair("claim", mem_printf(ctx, "%s %s: %s", ctl_text(item, "place"),
		    ctl_text(item, "address"), ctl_text(item, "owned")));
	json_array_foreach(json_object_get(json, "recipients"), i, item)
		print_pair("recipient", mem_printf(ctx, "%s: %s", ctl_text(item, "address"),
		    json_is_null(json_object_get(item, "reply")) ? "accepted"
								 : ctl_text(item, "reply")));
	json_array_foreach(json_object_get(json, "added"), i, item)
		print_pair("adds", mem_printf(ctx, "%s:%s", ctl_text(item, "name"),
		    ctl_text(item, "value")));
}

/* print_trial - for people */
static void
print_trial(const struct trial *trial, const json_t *json)
{
	TALLOC_CTX *ctx = trial->ctl->memory;
	const char *account = ctl_text(json, "account"), *plan = ctl_text(json, "plan");

	print_pair("listener", mem_printf(ctx, "%s, role %s, mode %s", ctl_text(json, "listener"),
	    ctl_text(json, "role"), ctl_text(json, "mode")));
	print_pair("account", account[0] != '\0' ? account : "none");
	if (strcmp(ctl_text(json, "role"), "inbound") == 0)
		print_pair("checks", mem_printf(ctx, "spf %s, dmarc %s", ctl_text(json, "spf"),
		    ctl_text(json, "dmarc")));
	else
		print_pair("plan", plan[0] != '\0'
		    ? mem_printf(ctx, "%s, from %s", plan, ctl_text(json, "plan_from")) : "none");
	if (ctl_text(json, "limit")[0] != '\0')
		print_pair("limit", mem_printf(ctx, "%s: %lld used of %lld",
		    ctl_text(json, "limit"), ctl_number(json, "used"), ctl_number(json, "max")));
	print_lists(ctx, json);
	print_pair("verdict", mem_printf(ctx, "%s, at %s", ctl_text(json, "verdict"),
	    ctl_text(json, "stage")));
	if (strcmp(ctl_text(json, "verdict"), ctl_text(json, "would")) != 0)
		print_pair("", mem_printf(ctx, "mode enforce would: %s (%s)",
		    ctl_text(json, "would"), ctl_text(json, "reason")));
	if (ctl_text(json, "reply")[0] != '\0')
		print_pair("reply", ctl_text(json, "reply"));
	print_pair("log", ctl_text(json, "line"));
}

/* edited - the value of a field after the edits; NULL: it is deleted */
static const char *
edited(const struct edits *edits, const struct header_field *field, size_t index)
{
	const char *value = field->value;

	for (size_t i = 0; i < edits->n_deletes; i++)
		if (edits->deletes[i].index == index && header_is(field, edits->deletes[i].name))
			return NULL;
	for (size_t i = 0; i < edits->n_changes; i++)
		if (edits->changes[i].index == index && header_is(field, edits->changes[i].name))
			value = edits->changes[i].value;
	return value;
}

/* print_message - the message as it goes on, line ends LF */
static void
print_message(const struct trial *trial)
{
	const struct message *message = trial->session->message;
	const struct header_list *list = message->header;

	for (size_t i = message->edits.n_inserts; i-- > 0;)
		(void)printf("%s:%s\n", message->edits.inserts[i].name,
		    message->edits.inserts[i].value);
	for (size_t i = 0; i < list->n; i++) {
		size_t index = 1;
		const char *value;

		for (size_t k = 0; k < i; k++)
			index += strcasecmp(list->fields[k].name, list->fields[i].name) == 0;
		value = edited(&message->edits, &list->fields[i], index);
		if (value != NULL)
			(void)printf("%s:%s\n", list->fields[i].name, value);
	}
	(void)printf("\n");
	for (size_t i = 0; i < trial->body_len; i++)
		if (trial->body[i] != '\r')
			(void)putchar(trial->body[i]);
}

/* trial_open - a daemon of the configuration that changes nothing */
static void
trial_open(struct trial *trial)
{
	static struct daemon daemon; /* the resolver's threads may outlive the command */
	struct ctl *ctl = trial->ctl;
	const char *warnings = NULL, *error = NULL;
	struct snapshot *first = snapshot_build(ctl->memory, ctl->file, NULL, &warnings, &error);

	if (first == NULL)
		ctl_fail("%s", error);
	daemon.file = ctl->file;
	if (daemon_open_dry(ctl->memory, &daemon, first, &error) != 0)
		ctl_fail("%s", error);
	trial->daemon = &daemon;
	trial->listener = find_listener(ctl, first->config);
	trial_await_blocks(trial, first->config);
}

/* ctl_try - show what would become of a message */
int
ctl_try(struct ctl *ctl, char **operands)
{
	struct trial trial = { .ctl = ctl, .recipients = json_array() };
	const struct message *message;
	json_t *json;

	(void)operands;
	if (ctl_option(ctl, "--rcpt") == NULL)
		ctl_misuse(ctl, "needs --rcpt ADDRESS");
	(void)signal(SIGPIPE, SIG_IGN);
	trial.text = ctl_flag(ctl, "--plain") || isatty(STDIN_FILENO) ? trial_plain(ctl)
								      : trial_input(ctl);
	trial_open(&trial);
	run_session(&trial);
	/* a daemon has looked for the record of a key before it signs with it */
	if (trial.session->message->signing != NULL) {
		daemon_look_for_keys(trial.daemon);
		run_session(&trial);
	}
	message = trial.session->message;
	json = trial_json(&trial);
	if (ctl->json) {
		(void)json_dumpf(json, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		(void)printf("\n");
	} else if (!ctl_flag(ctl, "--print"))
		print_trial(&trial, json);
	else if (verdict_passes(&message->verdict))
		print_message(&trial);
	else
		(void)fprintf(stderr, "%s\n", reply_of(ctl->memory, &message->verdict));
	(void)fflush(stdout);
	/* the threads of the resolver and the store go with the process */
	_exit(statuses[message->verdict.action]);
}

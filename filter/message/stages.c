/*
 * stages.c - what is gathered and decided at each stage of a message
 *
 *	MAIL	listener, account, envelope sender; SPF on role inbound
 *	RCPT	distinct recipients
 *	EOH	sender fields, owners; SPF of mail by a trusted relay; signing or verifying begins
 *	BODY	fed to the signer or verifier
 *	EOM	signature, charge, final verdict, edits, the log line
 *
 * Gatherers only write facts; verdict_decide() judges them, here and nowhere
 * else. Mail of role local is judged at its end alone: Postfix cannot refuse a
 * recipient of sendmail(1) mail, it would retry the whole message for ever.
 *
 * Thread rule: a message belongs to one thread at a time.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/config/listener.h"
#include "filter/message/alike.h"
#include "filter/message/bounces.h"
#include "filter/message/charge.h"
#include "filter/message/dmarc_gather.h"
#include "filter/message/lookup.h"
#include "filter/message/owners.h"
#include "filter/message/restricted.h"
#include "filter/message/spf_gather.h"
#include "filter/message/stages.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"
#include "policy/dkim/fold.h"
#include "policy/sender/identity.h"
#include "policy/verdict/logline.h"
#include "policy/verdict/received_spf.h"

#define KEY_TOLD_MS	60000	/* between warnings of missing keys */

/* stage_config_of - the configuration a message is judged by */
static const struct config *
stage_config_of(const struct message *message)
{
	return message->session->snapshot->config;
}

/* dns_deadline - until when a message may wait for DNS or tables from now */
static int64_t
dns_deadline(const struct message *message)
{
	return clock_ms() + stage_config_of(message)->dns_timeout_ms;
}

/* count_outcome - the figures that status shows */
static void
count_outcome(struct daemon *daemon, enum action action)
{
	switch (action) {
	case ACTION_ACCEPT:
	case ACTION_WARN:
		atomic_fetch_add(&daemon->accepted, 1);
		break;
	case ACTION_QUARANTINE:
		atomic_fetch_add(&daemon->held, 1);
		break;
	case ACTION_TEMPFAIL:
		atomic_fetch_add(&daemon->deferred, 1);
		break;
	case ACTION_REJECT:
		atomic_fetch_add(&daemon->refused, 1);
		break;
	}
}

/* is_first_of_account - is this the account's first message on this connection? */
static bool
is_first_of_account(struct message *message)
{
	struct session *session = message->session;
	const char *account = message->facts.account;

	if (account == NULL ||
	    (session->told_account != NULL && strcmp(session->told_account, account) == 0))
		return false;
	talloc_free(session->told_account);
	session->told_account = mem_strdup(session, account);
	return true;
}

/* log_verdict - the one line of a message */
static void
log_verdict(struct message *message)
{
	struct logline *made =
	    logline_make(NULL, &message->facts, message->rules.mode, &message->verdict);

	if (message->session->witness != NULL) {
		message->line = logline_text(message, made);
		talloc_free(made);
		return;
	}
	count_outcome(message->session->daemon, message->verdict.action);
	figures_message(
	    &message->session->daemon->figures, &message->facts, &message->verdict);
	charge_offence(message);
	alike_count(message);
	bounces_count(message);
	if (stage_config_of(message)->log_format == LOG_FORMAT_JSON)
		log_json(logline_json(made, made));
	else
		log_text(LOG_LEVEL_INFO, logline_text(made, made));
	journal_message(message->session->daemon->journal, made, &message->facts, &message->verdict,
	    is_first_of_account(message), message->marks, message->n_marks);
	message->n_marks = 0;
	charge_usual(message);
}

/* stage_decide - ask policy */
static void
stage_decide(struct message *message, enum stage stage)
{
	struct witness *witness = message->session->witness;

	if (witness != NULL) {
		witness->stage = stage;
		witness->rules = mem_array(message, struct verdict_step, verdict_rules());
	}
	verdict_trace(message, &message->rules, &message->facts, stage, &message->verdict,
	    witness != NULL ? witness->rules : NULL);
}

/* answer_early - what is said before the end of message: to local mail nothing; a refusal is
 * logged */
static void
answer_early(struct message *message)
{
	if (message->facts.role == ROLE_LOCAL)
		message->verdict = (struct verdict){ 0 };
	else if (!verdict_passes(&message->verdict))
		log_verdict(message);
}

/* decide_early - ask policy before the end of message */
static void
decide_early(struct message *message, enum stage stage)
{
	stage_decide(message, stage);
	answer_early(message);
}

/* log_unmatched - say once per name which listener is missing, with the cure */
static void
log_unmatched(const struct message *message)
{
	const struct connection *connection = &message->session->connection;

	if (message->session->witness != NULL || !daemon_first_time(message->session->daemon,
	    connection->daemon_name != NULL ? connection->daemon_name : ""))
		return;
	log_warning(
	    "no listener matches a connection from %s with daemon_name %s; add for example: "
	    "listeners = { NAME = { role = \"inbound\" daemon = [\"%s\"] } }",
	    connection->client_addr != NULL ? connection->client_addr : "an unknown client",
	    connection->daemon_name != NULL ? connection->daemon_name : "(none)",
	    connection->daemon_name != NULL ? connection->daemon_name : "NAME");
}

/* log_inbound_login - say once per listener that users come in where strangers do, with the cure */
static void
log_inbound_login(const struct message *message, const struct listener *listener)
{
	const struct connection *connection = &message->session->connection;
	const char *daemon =
	    connection->daemon_name != NULL ? connection->daemon_name : "NAME";

	if (listener->role != ROLE_INBOUND || message->session->witness != NULL ||
	    (message->facts.login == NULL && !message->facts.auth_without_login) ||
	    !daemon_first_time(message->session->daemon,
		mem_printf(message, "inbound-login %s", listener->name)))
		return;
	log_warning("listener %s is for strangers (role inbound), but %s sends there with the login "
	    "%s: no rule checks its sender, so on_inbound_login refuses such mail in mode enforce. "
	    "If users send there, write before listener %s (%s) for example: "
	    "users = { role = \"submission\" daemon = [\"%s\"] }; if not, turn AUTH off on that "
	    "port (Postfix: smtpd_sasl_auth_enable = no)",
	    listener->name,
	    connection->client_addr != NULL ? connection->client_addr : "a client",
	    message->facts.login != NULL ? message->facts.login : "(unknown)", listener->name,
	    listener->where, daemon);
}

/* choose_listener - whose message is it, and by which rules? */
static void
choose_listener(struct message *message)
{
	const struct connection *connection = &message->session->connection;
	const struct config *config = stage_config_of(message);
	const struct listener_traits traits = {
		.daemon_name = connection->daemon_name,
		.daemon_port = connection->daemon_port,
		.client = connection->ip,
		.pickup = connection->known && connection->client_port == 0 &&
		    ip_address_is_loopback(&connection->ip),
		.login = message->facts.login != NULL || message->facts.auth_without_login,
	};
	const struct listener *listener = listener_find(config, &traits);
	struct rules *rules = &message->rules;

	if (message->session->witness != NULL)
		message->session->witness->traits = traits;
	message->listener = listener;
	rules->help_url = config->help_url;
	rules->texts = config->replies;
	rules->draining = atomic_load(&message->session->daemon->draining);
	if (listener == NULL) {
		/* the reply must be carried out: nothing may pass unchecked */
		rules->mode = MODE_ENFORCE;
		for (int reason = 0; reason < REASON_COUNT; reason++)
			rules->actions[reason] =
			    reply_default_action((enum reason)reason, ROLE_INBOUND);
		if (config->set.of[REASON_NO_LISTENER] >= 0)
			rules->actions[REASON_NO_LISTENER] =
			    (enum action)config->set.of[REASON_NO_LISTENER];
		message->facts.role = ROLE_INBOUND;
		log_unmatched(message);
		return;
	}
	message->facts.listener = listener->name;
	message->facts.role = listener->role;
	rules->mode = listener->mode;
	rules->require_tls = listener->require_tls;
	rules->dmarc_by_policy = listener->dmarc_by_policy;
	memcpy(rules->actions, listener->actions, sizeof(rules->actions));
	log_inbound_login(message, listener);
}

/* read_sender - MAIL FROM into facts and, unless null or malformed, into a claim */
static void
read_sender(struct message *message, const char *path)
{
	const struct config *config = stage_config_of(message);
	const struct address_rules rules = {
		.fold_local = config->fold_local,
		.default_domain = config->realm,
	};
	struct facts *facts = &message->facts;
	size_t len = strnlen(path, SESSION_PATH_MAX + 1);
	struct address address;
	const char *error = NULL;

	facts->sender = mem_strndup(message, path + (path[0] == '<'),
	    len - (path[0] == '<') - (len > 1 && path[0] == '<' && path[len - 1] == '>'));
	if (len > SESSION_PATH_MAX) {
		facts->sender_malformed = "it is too long";
		return;
	}
	switch (address_parse_path(message, path, len, &rules, &address, &error)) {
	case ADDRESS_PATH_MAILBOX:
		facts->claims = mem_array(message, struct claim, 1);
		facts->claims[0] = (struct claim){
			.place = CLAIM_ENVELOPE,
			.address = address.full,
			.domain = address.domain,
		};
		facts->n_claims = 1;
		break;
	case ADDRESS_PATH_NULL:
		facts->sender = "";
		break;
	case ADDRESS_PATH_MALFORMED:
		facts->sender_malformed = error;
		break;
	}
}

/* map_login - the account that the login map gives a login, or the login's own name */
static const char *
map_login(struct message *message, const char *account)
{
	const struct config *config = stage_config_of(message);
	struct facts *facts = &message->facts;
	const char *value = NULL;
	const struct lookup lookup = message_lookup(message);
	enum table_outcome outcome;

	witness_topic(lookup.witness, "account", facts->login);
	outcome = lookup_key(&lookup, &config->login_tables, account, false, &value);
	if (outcome == TABLE_NOT_FOUND && strcmp(account, facts->login) != 0)
		outcome = lookup_key(&lookup, &config->login_tables, facts->login, false, &value);
	if (outcome == TABLE_TEMPERROR)
		facts->lookup_failed = account;
	if (outcome != TABLE_FOUND)
		return account;
	return identity_account(message, value, config->realm, &facts->login_malformed);
}

/* client_account - the account of a relay's client: by its tables, else the listener's own */
static const char *
client_account(struct message *message)
{
	const struct listener *listener = message->listener;
	const struct lookup lookup = message_lookup(message);
	struct facts *facts = &message->facts;
	const char *value = NULL;

	witness_topic(lookup.witness, "account", facts->client_addr);
	if (listener->client_tables.n == 0 || facts->client_addr == NULL)
		return listener->account;
	switch (lookup_key(
	    &lookup, &listener->client_tables, facts->client_addr, false, &value)) {
	case TABLE_FOUND:
		return identity_account(message, value, stage_config_of(message)->realm, NULL);
	case TABLE_TEMPERROR:
		facts->lookup_failed = facts->client_addr;
		break;
	case TABLE_NOT_FOUND:
		break;
	}
	return listener->account;
}

/* name_account - who answers for the message */
static void
name_account(struct message *message)
{
	const struct config *config = stage_config_of(message);
	struct facts *facts = &message->facts;

	switch (facts->role) {
	case ROLE_SUBMISSION:
		if (facts->login != NULL)
			facts->account = identity_account(message, facts->login, config->realm,
			    &facts->login_malformed);
		if (facts->account != NULL && config->login_tables.n > 0)
			facts->account = map_login(message, facts->account);
		break;
	case ROLE_RELAY:
		facts->account = client_account(message);
		break;
	case ROLE_LOCAL:
		/* Postfix hides the UNIX user, so the envelope sender answers; a null sender
		 * cannot be told from a bounce and gets an account of the listener's own. */
		facts->account = facts->n_claims > 0 ? facts->claims[0].address :
		    identity_account(message, mem_printf(message, "null-sender/%s",
			message->listener->name), config->realm, NULL);
		break;
	case ROLE_INBOUND:
	case ROLE_AUTO:
		break;
	}
}

/* check_owners - gather who owns the claims from index first on */
static void
check_owners(struct message *message, size_t first)
{
	const struct lookup lookup = message_lookup(message);
	struct facts *facts = &message->facts;

	if (facts->role == ROLE_INBOUND || facts->account == NULL || facts->n_claims == first)
		return;
	owners_check(&lookup, message->listener, facts, facts->claims + first,
	    facts->n_claims - first);
}

/* in_listed_networks - is the client in one of the networks of a table's value? -1: the value is
 * nonsense */
static int
in_listed_networks(struct message *message, const char *value)
{
	struct span rest = text_span(value);
	struct span item;

	while (text_list_next(&rest, &item)) {
		struct netblock block;
		const char *error = NULL;

		if (!netblock_parse(
			message, mem_strndup(message, item.at, item.len), &block, &error)) {
			log_warning("allowed_networks of %s: %s", message->facts.account, error);
			return -1;
		}
		if (netblock_contains(&block, 1, &message->session->connection.ip))
			return 1;
	}
	return 0;
}

/* check_networks - gather whether the account may send from this client */
static void
check_networks(struct message *message)
{
	const struct config *config = stage_config_of(message);
	struct facts *facts = &message->facts;
	const struct account *account = message->account;
	const struct lookup lookup = message_lookup(message);
	const char *value = NULL;
	int inside;

	if (facts->role != ROLE_SUBMISSION || facts->account == NULL)
		return;
	if (account != NULL && account->n_networks > 0) {
		facts->network_refused = !netblock_contains(account->networks, account->n_networks,
		    &message->session->connection.ip);
		return;
	}
	witness_topic(lookup.witness, "networks", facts->account);
	switch (lookup_key(&lookup, &config->network_tables, facts->account, false, &value)) {
	case TABLE_FOUND:
		inside = in_listed_networks(message, value);
		facts->network_refused = inside == 0;
		if (inside < 0)
			facts->lookup_failed = facts->account;
		break;
	case TABLE_TEMPERROR:
		facts->lookup_failed = facts->account;
		break;
	case TABLE_NOT_FOUND:
		break;
	}
}

/* change_mode - a trial may be of the other mode */
static void
change_mode(struct message *message)
{
	if (message->session->witness != NULL && message->session->witness->other_mode &&
	    message->listener != NULL)
		message->rules.mode =
		    message->rules.mode == MODE_WATCH ? MODE_ENFORCE : MODE_WATCH;
}

/* stage_mail - MAIL FROM */
void
stage_mail(struct message *message, const char *path)
{
	choose_listener(message);
	read_sender(message, path);
	name_account(message);
	charge_plan(message);
	change_mode(message);
	check_networks(message);
	check_owners(message, 0);
	spf_gather_mail(message);
	charge_known(message);
	decide_early(message, STAGE_MAIL);
}

/*
 * read_recipient - a path in normal form, without sub-address unless it may be a route
 *
 * Returns NULL if it cannot be read, or if it has to have a domain and has none.
 */
static const char *
read_recipient(struct message *message, const char *path, bool needs_domain)
{
	const struct config *config = stage_config_of(message);
	const struct address_rules rules = {
		.fold_local = true,
		.default_domain = needs_domain ? NULL : config->realm,
	};
	struct address address;
	const char *base;

	if (address_parse_path(message, path, strnlen(path, SESSION_PATH_MAX), &rules, &address,
		NULL) != ADDRESS_PATH_MAILBOX ||
	    (needs_domain && address.domain[0] == '\0'))
		return NULL;
	/* what a route ends at is not in the part before the delimiter */
	base = address_may_route(address.full) ? NULL :
	    address_base(message, address.full, config->delimiter);
	return base != NULL ? base : address.full;
}

/*
 * normal_recipient - a recipient as it is counted
 *
 * The MTA delivers to its own reading: of <v%example.net> Postfix makes v@example.net. A reading
 * without domain, which is Sendmail's of a local user, has lost the domain that was written.
 */
static const char *
normal_recipient(struct message *message, const char *path, const char *resolved)
{
	const char *recipient = NULL;

	if (resolved != NULL)
		recipient = read_recipient(message, resolved, true);
	if (recipient == NULL)
		recipient = read_recipient(message, path, false);
	/* what cannot be read is the MTA's to refuse; it counts as it is written */
	return recipient != NULL ? recipient :
				   mem_strndup(message, path, strnlen(path, SESSION_PATH_MAX));
}

/* stage_rcpt - RCPT TO */
void
stage_rcpt(struct message *message, const char *path, const char *resolved)
{
	const struct lookup lookup = message_lookup(message);
	const char *recipient = normal_recipient(message, path, resolved);
	const char *restricted = message->facts.restricted;
	const char *lookup_failed = message->facts.lookup_failed;
	bool new;
	void *entry = map_put(message->recipients, recipient, &new);

	message->facts.recipients = map_count(message->recipients);
	witness_topic(lookup.witness, "recipient", recipient);
	restricted_check(&lookup, &message->facts, path, resolved);
	decide_early(message, STAGE_RCPT);
	if (verdict_passes(&message->verdict))
		return;
	/* a recipient that is refused here is not part of the message, nor is what was found of
	 * it */
	message->facts.restricted = restricted;
	message->facts.lookup_failed = lookup_failed;
	if (new) {
		map_remove(message->recipients, entry);
		message->facts.recipients = map_count(message->recipients);
	}
}

/* stage_rcpt_refused - RCPT TO: the MTA refused this recipient itself */
void
stage_rcpt_refused(struct message *message, const char *path)
{
	charge_thing(message, LIMIT_REFUSED, normal_recipient(message, path, NULL));
}

/* add_displays - addresses that display names show, after all other claims */
static void
add_displays(struct message *message, const struct header_displays *displays)
{
	struct facts *facts = &message->facts;

	facts->claims =
	    mem_grow(message, facts->claims, struct claim, facts->n_claims + displays->n + 1);
	for (size_t i = 0; i < displays->n; i++) {
		const struct header_display *display = &displays->items[i];
		const char *at = display->shown == NULL ? NULL : strrchr(display->shown, '@');

		if (display->finding == ADDRESS_DISPLAY_OVERRIDE && !facts->header.override) {
			facts->header.override = true;
			facts->header.override_field = display->field;
			facts->header.override_text = display->text;
		}
		if (at != NULL)
			facts->claims[facts->n_claims++] = (struct claim){
				.place = display->finding == ADDRESS_DISPLAY_MAILBOX ?
				    CLAIM_DISGUISE : CLAIM_DISPLAY,
				.address = display->shown,
				.domain = at + 1,
				.field = display->field,
				.text = display->text,
			};
	}
}

/* read_senders - the claims of the header, after that of the envelope */
static void
read_senders(struct message *message)
{
	const struct config *config = stage_config_of(message);
	struct facts *facts = &message->facts;
	const struct address_rules rules = {
		.fold_local = config->fold_local,
		/* programs on this host write "From: root"; Sendmail completes it after the
		 * filter */
		.default_domain = facts->role == ROLE_LOCAL ? config->realm : NULL,
	};
	size_t first = facts->n_claims;
	struct header_displays displays = { NULL, 0 };
	struct claim *claims = NULL;
	size_t n = 0;

	header_read_senders(
	    message, message->header, &rules, &facts->header, &claims, &n, &displays);
	facts->claims = mem_grow(message, facts->claims, struct claim, first + n + 1);
	for (size_t i = 0; i < n; i++)
		facts->claims[first + i] = claims[i];
	facts->n_claims = first + n;
	add_displays(message, &displays);
	check_owners(message, first);
}

/* from_domain - domain of the first From mailbox, or NULL */
static const char *
from_domain(const struct facts *facts)
{
	for (size_t i = 0; i < facts->n_claims; i++)
		if (facts->claims[i].place == CLAIM_FROM)
			return facts->claims[i].domain;
	return NULL;
}

/*
 * use_missing_key - what a domain says of mail without its key goes before what the listener says
 * Not a tempfail for role local: the mail would stay in maildrop and come back every minute.
 */
static void
use_missing_key(struct message *message, int action)
{
	if (action >= 0 && !(message->facts.role == ROLE_LOCAL && action == ACTION_TEMPFAIL))
		message->rules.actions[REASON_MISSING_KEY] = (enum action)action;
}

/* line_max - octets of a line that the MTA leaves whole; 0: any (policy/dkim/fold.h) */
static size_t
line_max(const struct message *message)
{
	long configured = stage_config_of(message)->dkim.line_length_limit;

	if (configured >= 0)
		return (size_t)configured;
	return message->session->connection.completes ? SIGN_LINE_SENDMAIL : SIGN_LINE_POSTFIX;
}

/* start_signing - begin to sign, if the message may have our signature */
static void
start_signing(struct message *message)
{
	const struct snapshot *snapshot = message->session->snapshot;
	const struct facts *facts = &message->facts;
	struct signing_rules rules = snapshot->config->dkim.rules;
	const struct claim *author;
	struct sign_choice choice;
	size_t n = 0;

	/* display names come last and are no addresses to sign for */
	while (n < facts->n_claims && facts->claims[n].place < CLAIM_DISPLAY)
		n++;
	if (snapshot->signers == NULL || !verdict_may_sign(facts, &message->verdict) ||
	    (author = signing_author(facts->claims, n)) == NULL)
		return;
	signers_choose(
	    message, snapshot->signers, author->address, message->listener->sign_as, &choice);
	if (choice.outcome == OUTCOME_NONE)
		return;
	/* samples of adopt are about the configuration; DNS is doctor's affair */
	if (snapshot->config->dkim.check_dns != 0 &&
	    (message->session->witness != NULL || !message->session->daemon->dry))
		(message->session->witness != NULL ? key_watch_foretell : key_watch_filter)(
		    message->session->daemon->key_watch, message, &choice, clock_ms());
	use_missing_key(message, choice.on_missing_key);
	rules.mta_completes = message->session->connection.completes;
	rules.line_max = line_max(message);
	message->sign_plan = signing_plan(message, &rules, choice.domain, message->header);
	message->signing = dkim_sign_start(
	    message, snapshot->dkim, &choice, message->sign_plan, message->header);
}

/* begin_verification - read the signatures, and start the questions of DKIM and DMARC */
static void
begin_verification(struct message *message)
{
	message->verification = dkim_verify_start(message, message->session->snapshot->dkim,
	    message->header, from_domain(&message->facts));
	dmarc_gather_header(message);
}

/* stage_header - end of header */
void
stage_header(struct message *message)
{
	read_senders(message);
	spf_gather_header(message);
	/* judged in full for the signature, though role local answers at the end only */
	stage_decide(message, STAGE_HEADER);
	if (message->facts.role == ROLE_INBOUND)
		begin_verification(message);
	else if (verdict_passes(&message->verdict))
		start_signing(message);
	if (verdict_passes(&message->verdict)) {
		alike_begin(message);
		bounces_begin(message);
	}
	answer_early(message);
}

/* stage_body - a piece of the body */
void
stage_body(struct message *message, const char *bytes, size_t len)
{
	if (message->signing != NULL)
		dkim_sign_body(message->signing, bytes, len);
	if (message->verification != NULL)
		dkim_verify_body(message->verification, bytes, len);
	if (message->print != NULL)
		body_print_add(message->print, bytes, len);
	if (message->bounce != NULL)
		bounce_add(message->bounce, bytes, len);
}

/* count_verification - the results of DKIM and DMARC, for the metrics */
static void
count_verification(const struct message *message)
{
	struct figures *figures = &message->session->daemon->figures;
	const struct facts *facts = &message->facts;

	if (message->session->witness != NULL)
		return;
	if (facts->n_dkim == 0)
		figures_count(&figures->unsigned_mail);
	for (size_t i = 0; i < facts->n_dkim; i++)
		figures_count(&figures->verifications[facts->dkim[i].result]);
	figures_count(&figures->dmarc[facts->dmarc.result]);
}

/* finish_verification - gather the DKIM results */
static void
finish_verification(struct message *message)
{
	struct facts *facts = &message->facts;
	int64_t deadline = dns_deadline(message);

	if (message->verification == NULL)
		return;
	dkim_verify_finish(
	    message->verification, message, deadline, &facts->dkim, &facts->n_dkim);
	facts->dkim_checked = true;
	dmarc_gather_end(message, deadline);
	count_verification(message);
}

/* tell_missing_key - say aloud that mail has no key; not for each message, whose own line says so
 * too */
static void
tell_missing_key(const struct message *message)
{
	atomic_int_least64_t *told = &message->session->daemon->key_told_ms;
	int_least64_t last = atomic_load(told), now = clock_ms();

	if (message->facts.sign.outcome != OUTCOME_FAIL || message->session->witness != NULL ||
	    (last != 0 && now - last < KEY_TOLD_MS) ||
	    !atomic_compare_exchange_strong(told, &last, now))
		return;
	log_warning("DKIM: %s (the mail is handled by on_missing_key; logged at most once a "
	    "minute)",
	    message->facts.sign.problem != NULL ? message->facts.sign.problem
						: "there is no usable key");
}

/* finish_signing - gather the signatures; they are not sent yet */
static const char **
finish_signing(struct message *message)
{
	const char **values = NULL;

	if (message->signing != NULL)
		dkim_sign_finish(message->signing, message, &message->facts.sign, &values);
	tell_missing_key(message);
	return values;
}

/* count_signature - what became of our signature, for the metrics; one that is not sent is none */
static void
count_signature(const struct message *message)
{
	enum outcome outcome = message->facts.sign.outcome;

	if (message->session->witness != NULL ||
	    (outcome == OUTCOME_PASS && !verdict_passes(&message->verdict)))
		return;
	figures_count(&message->session->daemon->figures.signatures[outcome]);
}

/* stage_end - end of message: DESIGN's fixed order, nothing refused is ever charged */
void
stage_end(struct message *message)
{
	const char **signatures = NULL;

	finish_verification(message);
	stage_decide(message, STAGE_CONTENT);
	if (verdict_passes(&message->verdict)) {
		signatures = finish_signing(message);
		stage_decide(message, STAGE_SIGNED);
	}
	if (verdict_passes(&message->verdict)) {
		charge_message(message);
		stage_decide(message, STAGE_CHARGED);
	}
	if (verdict_passes(&message->verdict)) {
		if (!verdict_may_sign(&message->facts, &message->verdict))
			signatures = NULL;
		if (signatures == NULL && message->facts.sign.outcome == OUTCOME_PASS)
			message->facts.sign = (struct sign_fact){ 0 };
		edits_plan(message, message->header, &message->facts,
		    stage_config_of(message)->authserv_id, signatures, &message->edits);
		if (signatures != NULL)
			edits_fold(message, message->header, message->sign_plan->folded,
			    &message->edits);
		if (message->facts.role == ROLE_INBOUND)
			received_spf_plan(message, message->header, &message->facts,
			    stage_config_of(message)->authserv_id,
			    stage_config_of(message)->spf.received_spf, &message->edits);
	}
	count_signature(message);
	log_verdict(message);
}

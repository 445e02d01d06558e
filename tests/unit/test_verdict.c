/*
 * test_verdict.c - each rule at each stage, which finding wins, watch mode, and who is signed
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/base/mem.h"
#include "policy/verdict/verdict.h"

#define COUNT(rows)	(sizeof(rows) / sizeof((rows)[0]))

/* A message, the rules for it, and room for its claims. */
struct message {
	struct facts facts;
	struct rules rules;
	struct claim claims[8];
};

/* add_claim - one more sender */
static void
add_claim(struct message *m, enum claim_place place, const char *address, enum ownership owned)
{
	m->claims[m->facts.n_claims++] =
	    (struct claim){ place, address, strchr(address, '@') + 1, owned, NULL, NULL };
}

/* sound - a message from alice against which nothing can be said; every reason would refuse */
static void
sound(struct message *m)
{
	memset(m, 0, sizeof(*m));
	m->rules.mode = MODE_ENFORCE;
	m->rules.require_tls = true;
	m->rules.max_recipients = 100;
	for (int i = 0; i < REASON_COUNT; i++)
		m->rules.actions[i] = ACTION_REJECT;
	m->facts.listener = "users";
	m->facts.role = ROLE_SUBMISSION;
	m->facts.tls = true;
	m->facts.client_addr = "192.0.2.7";
	m->facts.login = "alice";
	m->facts.account = "alice@example.org";
	m->facts.sender = "alice@example.org";
	m->facts.recipients = 1;
	m->facts.header.from_fields = 1;
	m->facts.header.fields = 10;
	m->facts.claims = m->claims;
	m->facts.sign.outcome = OUTCOME_PASS;
	m->facts.quota.outcome = OUTCOME_PASS;
	m->facts.spf_helo.result = m->facts.spf_mailfrom.result = SPF_IS_PASS;
	add_claim(m, CLAIM_ENVELOPE, "alice@example.org", OWNED_YES);
	add_claim(m, CLAIM_FROM, "alice@example.org", OWNED_YES);
}

/* What is wrong with a message; each changes the sound one. */
static void nothing(struct message *m) { (void)m; }
static void draining(struct message *m) { m->rules.draining = true; }
static void no_listener(struct message *m) { m->facts.listener = NULL; }
static void
auth_without_login(struct message *m)
{
	m->facts.auth_without_login = true;
	m->facts.login = NULL;
}
static void
bad_login(struct message *m)
{
	m->facts.account = NULL;
	m->facts.login_malformed = "it is empty";
}
static void inbound_login(struct message *m) { m->facts.role = ROLE_INBOUND; }
static void
inbound_auth_type(struct message *m)
{
	m->facts.role = ROLE_INBOUND;
	m->facts.login = m->facts.account = NULL;
	m->facts.auth_without_login = true;
}
static void no_account(struct message *m) { m->facts.account = NULL; }
static void no_login(struct message *m) { m->facts.login = m->facts.account = NULL; }
static void no_tls(struct message *m) { m->facts.tls = false; }
static void
bad_envelope(struct message *m)
{
	m->facts.sender = "a@@b";
	m->facts.sender_malformed = "two of them";
}
static void
foreign_envelope(struct message *m)
{
	add_claim(m, CLAIM_ENVELOPE, "bob@example.net", OWNED_NO);
}
static void null_sender(struct message *m) { m->facts.sender = ""; }
static void
unknown_envelope(struct message *m)
{
	add_claim(m, CLAIM_ENVELOPE, "bob@example.net", OWNED_TEMPERROR);
}
static void
unknown_resent(struct message *m)
{
	add_claim(m, CLAIM_RESENT_SENDER, "carol@example.net", OWNED_TEMPERROR);
}
#define SPF(name, identity, wanted, checked, whole, why) \
	static void name(struct message *m) \
	{ \
		m->facts.spf_##identity = (struct spf_fact){ .result = SPF_IS_##wanted, \
			.domain = checked, \
			.sender = whole, \
			.problem = why }; \
	}
SPF(spf_fail, mailfrom, FAIL, "example.com", "x@example.com", NULL)
SPF(spf_helo_fail, helo, FAIL, "mail.example.com", "postmaster@mail.example.com", NULL)
SPF(spf_softfail, mailfrom, SOFTFAIL, "example.com", "x@example.com", NULL)
SPF(spf_temperror, mailfrom, TEMPERROR, "example.com", "x@example.com", "timeout")
SPF(spf_no, mailfrom, NONE, "example.com", "x@example.com", NULL)
SPF(spf_maybe, mailfrom, NEUTRAL, "example.com", "x@example.com", NULL)
SPF(spf_helo_softfail, helo, SOFTFAIL, "mail.example.com", "postmaster@mail.example.com", NULL)
SPF(spf_helo_maybe, helo, NEUTRAL, "mail.example.com", "postmaster@mail.example.com", NULL)
SPF(spf_helo_no, helo, NONE, "mail.example.com", "postmaster@mail.example.com", NULL)
SPF(spf_helo_temperror, helo, TEMPERROR, "mail.example.com", "postmaster@mail.example.com",
    "timeout")
SPF(spf_helo_permerror, helo, PERMERROR, "mail.example.com", "postmaster@mail.example.com",
    "two records")
SPF(spf_permerror, mailfrom, PERMERROR, "example.com", "x@example.com", "two records")
static void
over(struct message *m)
{
	m->facts.quota.outcome = OUTCOME_FAIL;
	m->facts.quota.retry_after = 60;
}
static void
blocked(struct message *m)
{
	m->facts.quota.outcome = OUTCOME_FAIL;
	m->facts.quota.blocked = true;
	m->facts.quota.block_reason = "sends spam";
}
static void
blocked_held(struct message *m)
{
	blocked(m);
	m->facts.quota.outcome = OUTCOME_PASS;
	m->facts.quota.charged = true;
}
static void too_large(struct message *m) { m->rules.max_size = 1000; m->facts.size = 1001; }
static void
declared_large(struct message *m)
{
	m->rules.max_size = 1000;
	m->facts.declared_size = 1001;
}
static void
held_over(struct message *m)
{
	m->facts.quota.outcome = OUTCOME_FAIL;
	m->facts.quota.charged = true;
}
static void never_fits(struct message *m) { m->facts.quota.outcome = OUTCOME_FAIL; }
static void observed_over(struct message *m) { m->facts.quota.observed_over = true; }
static void many_recipients(struct message *m) { m->facts.recipients = 101; }
static void large_header(struct message *m) { m->facts.header.too_many = true; }
static void
dmarc_fail(struct message *m)
{
	m->facts.dmarc = (struct dmarc_fact){ .result = DMARC_IS_FAIL, .domain = "bank.example",
		.policy = DMARC_POLICY_REJECT, .disposition = DMARC_POLICY_REJECT };
}
static void
dmarc_held(struct message *m)
{
	dmarc_fail(m);
	m->facts.dmarc.policy = m->facts.dmarc.disposition = DMARC_POLICY_QUARANTINE;
	m->rules.dmarc_by_policy = true;
}
static void
dmarc_silent(struct message *m)
{
	m->facts.dmarc = (struct dmarc_fact){ .result = DMARC_IS_TEMPERROR,
		.domain = "bank.example", .problem = "no answer about bank.example" };
}
static void own_domain(struct message *m) { m->facts.own_domain = "example.org"; }
static void several_from(struct message *m) { m->facts.header.from_fields = 2; }
static void no_from(struct message *m) { m->facts.header.from_fields = 0; }
static void
bad_from(struct message *m)
{
	m->facts.header.malformed = "no end of the comment";
	m->facts.header.malformed_field = "Sender";
}
static void
foreign_from(struct message *m)
{
	add_claim(m, CLAIM_FROM, "bob@example.net", OWNED_NO);
}
static void
foreign_sender(struct message *m)
{
	add_claim(m, CLAIM_SENDER, "bob@example.net", OWNED_NO);
}
static void
foreign_resent_from(struct message *m)
{
	add_claim(m, CLAIM_RESENT_FROM, "bob@example.net", OWNED_NO);
}
static void
foreign_resent_sender(struct message *m)
{
	add_claim(m, CLAIM_RESENT_SENDER, "bob@example.net", OWNED_NO);
}
static void
foreign_domain(struct message *m)
{
	add_claim(m, CLAIM_FROM, "bob@example.com", OWNED_NO_DOMAIN);
}
static void
foreign_display(struct message *m)
{
	add_claim(m, CLAIM_DISPLAY, "ceo@example.com", OWNED_NO);
}
static void
disguised_from(struct message *m)
{
	add_claim(m, CLAIM_DISGUISE, "ceo@example.com", OWNED_NO);
}
static void
own_disguise(struct message *m)
{
	add_claim(m, CLAIM_DISGUISE, "alice@example.org", OWNED_YES);
}
static void override_display(struct message *m) { m->facts.header.override = true; }
static void foreign_network(struct message *m) { m->facts.network_refused = true; }
static void restricted(struct message *m) { m->facts.restricted = "announce@example.org"; }
static void lookup_failed(struct message *m) { m->facts.lookup_failed = "announce@example.org"; }
static void
own_display(struct message *m)
{
	add_claim(m, CLAIM_DISPLAY, "alice@example.org", OWNED_YES);
}
static void
unknown_display(struct message *m)
{
	add_claim(m, CLAIM_DISPLAY, "x@example.com", OWNED_TEMPERROR);
}
static void
relay_unknown(struct message *m)
{
	m->facts.login = m->facts.account = NULL;
	m->facts.role = ROLE_RELAY;
}
static void
missing_key(struct message *m)
{
	m->facts.sign.outcome = OUTCOME_FAIL;
	m->facts.sign.problem = "no file";
}
static void
unusable_key(struct message *m)
{
	m->facts.sign.outcome = OUTCOME_PERMERROR;
	m->facts.sign.problem = "too short";
}
static void
signing_failure(struct message *m)
{
	m->facts.sign.outcome = OUTCOME_TEMPERROR;
	m->facts.sign.problem = "no memory";
}
static void
store_away(struct message *m)
{
	m->facts.quota.outcome = OUTCOME_TEMPERROR;
	m->facts.quota.problem = "timeout";
}

/* silent - SPF results that say nothing are found only if something is done about them */
static bool
silent(enum reason reason, enum action action)
{
	return action == ACTION_ACCEPT &&
	    (reason == REASON_SPF_NONE || reason == REASON_SPF_NEUTRAL ||
		reason == REASON_SPF_HELO_NONE || reason == REASON_SPF_HELO_NEUTRAL);
}

/*
 * Every rule, in the order in which equals win. Cases of one group write to the same
 * fact, so that no message can show two of them.
 */
static const struct {
	const char *label;
	void (*change)(struct message *);
	int group;
	enum reason reason;
	enum stage stage;	/* found from here on */
	const char *address, *problem;
} rules[] = {
	{ "draining", draining, 1, REASON_SHUTTING_DOWN, STAGE_MAIL, NULL, NULL },
	{ "no listener", no_listener, 2, REASON_NO_LISTENER, STAGE_MAIL, NULL, NULL },
	{ "auth_type without auth_authen", auth_without_login, 3, REASON_BAD_LOGIN, STAGE_MAIL,
	    NULL, "the MTA does not send the auth_authen macro" },
	{ "malformed login", bad_login, 3, REASON_BAD_LOGIN, STAGE_MAIL, NULL, "it is empty" },
	{ "login without account", no_account, 3, REASON_BAD_LOGIN, STAGE_MAIL, NULL,
	    "it is not an account name" },
	{ "no login", no_login, 3, REASON_NO_LOGIN, STAGE_MAIL, NULL, NULL },
	{ "relay's client without account", relay_unknown, 3, REASON_NO_ACCOUNT, STAGE_MAIL, NULL,
	    NULL },
	{ "no TLS", no_tls, 4, REASON_NO_TLS, STAGE_MAIL, NULL, NULL },
	{ "blocked", blocked, 9, REASON_BLOCKED, STAGE_MAIL, NULL, "sends spam" },
	{ "blocked, charged to be held", blocked_held, 9, REASON_BLOCKED, STAGE_MAIL, NULL,
	    "sends spam" },
	{ "foreign network", foreign_network, 17, REASON_FOREIGN_NETWORK, STAGE_MAIL, NULL, NULL },
	{ "malformed envelope", bad_envelope, 5, REASON_MALFORMED_ENVELOPE, STAGE_MAIL, "a@@b",
	    "two of them" },
	{ "foreign envelope", foreign_envelope, 6, REASON_FOREIGN_ENVELOPE, STAGE_MAIL,
	    "bob@example.net", "MAIL FROM" },
	{ "null sender", null_sender, 5, REASON_NULL_SENDER, STAGE_MAIL, NULL, NULL },
	{ "owner of the envelope unknown", unknown_envelope, 7, REASON_LOOKUP_FAILURE, STAGE_MAIL,
	    "bob@example.net", "MAIL FROM" },
	{ "a lookup that failed", lookup_failed, 7, REASON_LOOKUP_FAILURE, STAGE_MAIL,
	    "announce@example.org", NULL },
	{ "owner of a resender unknown", unknown_resent, 7, REASON_LOOKUP_FAILURE, STAGE_MAIL,
	    "carol@example.net", "Resent-Sender" },
	{ "SPF fail", spf_fail, 8, REASON_SPF_FAIL, STAGE_MAIL, "x@example.com", NULL },
	{ "SPF fail of HELO", spf_helo_fail, 19, REASON_SPF_HELO_FAIL, STAGE_MAIL,
	    "mail.example.com", NULL },
	{ "SPF permerror", spf_permerror, 8, REASON_SPF_PERMERROR, STAGE_MAIL, "x@example.com",
	    "two records" },
	{ "SPF permerror of HELO", spf_helo_permerror, 19, REASON_SPF_HELO_PERMERROR, STAGE_MAIL,
	    "mail.example.com", "two records" },
	{ "SPF temperror", spf_temperror, 8, REASON_SPF_TEMPERROR, STAGE_MAIL, "x@example.com",
	    "timeout" },
	{ "SPF temperror of HELO", spf_helo_temperror, 19, REASON_SPF_HELO_TEMPERROR, STAGE_MAIL,
	    "mail.example.com", "timeout" },
	{ "SPF softfail", spf_softfail, 8, REASON_SPF_SOFTFAIL, STAGE_MAIL, "x@example.com", NULL },
	{ "SPF softfail of HELO", spf_helo_softfail, 19, REASON_SPF_HELO_SOFTFAIL, STAGE_MAIL,
	    "mail.example.com", NULL },
	{ "SPF neutral", spf_maybe, 8, REASON_SPF_NEUTRAL, STAGE_MAIL, "x@example.com", NULL },
	{ "SPF neutral of HELO", spf_helo_maybe, 19, REASON_SPF_HELO_NEUTRAL, STAGE_MAIL,
	    "mail.example.com", NULL },
	{ "SPF none", spf_no, 8, REASON_SPF_NONE, STAGE_MAIL, "x@example.com", NULL },
	{ "SPF none of HELO", spf_helo_no, 19, REASON_SPF_HELO_NONE, STAGE_MAIL, "mail.example.com",
	    NULL },
	{ "over", over, 9, REASON_OVER, STAGE_MAIL, NULL, NULL },
	{ "over, charged to be held", held_over, 9, REASON_OVER, STAGE_MAIL, NULL, NULL },
	{ "over, observed", observed_over, 9, REASON_OVER, STAGE_MAIL, NULL, NULL },
	{ "larger than a limit by itself", never_fits, 9, REASON_NEVER_FITS, STAGE_MAIL, NULL,
	    NULL },
	{ "restricted recipient", restricted, 18, REASON_RESTRICTED_RECIPIENT, STAGE_RCPT,
	    "announce@example.org", NULL },
	{ "too many recipients", many_recipients, 10, REASON_TOO_MANY_RECIPIENTS, STAGE_RCPT, NULL,
	    "100" },
	{ "too large", too_large, 30, REASON_TOO_LARGE, STAGE_MAIL, NULL, "1000" },
	{ "too large by what it declares", declared_large, 30, REASON_TOO_LARGE, STAGE_MAIL, NULL,
	    "1000" },
	{ "oversized header", large_header, 11, REASON_OVERSIZED_HEADER, STAGE_HEADER, NULL, NULL },
	{ "several From", several_from, 12, REASON_SEVERAL_FROM, STAGE_HEADER, NULL, NULL },
	{ "no From", no_from, 12, REASON_NO_FROM, STAGE_HEADER, NULL, NULL },
	{ "malformed From", bad_from, 13, REASON_MALFORMED_FROM, STAGE_HEADER, NULL,
	    "no end of the comment" },
	{ "foreign From", foreign_from, 14, REASON_FOREIGN_FROM, STAGE_HEADER, "bob@example.net",
	    "From" },
	{ "foreign From of a foreign domain", foreign_domain, 19, REASON_FOREIGN_DOMAIN,
	    STAGE_HEADER, "bob@example.com", "From" },
	{ "foreign Sender", foreign_sender, 15, REASON_FOREIGN_SENDER, STAGE_HEADER,
	    "bob@example.net", "Sender" },
	{ "foreign Resent-From", foreign_resent_from, 20, REASON_FOREIGN_RESENT, STAGE_HEADER,
	    "bob@example.net", "Resent-From" },
	{ "foreign Resent-Sender", foreign_resent_sender, 20, REASON_FOREIGN_RESENT, STAGE_HEADER,
	    "bob@example.net", "Resent-Sender" },
	{ "a display name that looks like a mailbox", disguised_from, 21, REASON_DISGUISED_FROM,
	    STAGE_HEADER, "ceo@example.com", "From display name" },
	{ "a display name written backwards", override_display, 21, REASON_DISGUISED_FROM,
	    STAGE_HEADER, "text written backwards", "From display name" },
	{ "a display name that shows another's address", foreign_display, 22,
	    REASON_FOREIGN_DISPLAY, STAGE_HEADER, "ceo@example.com", "From display name" },
	{ "a domain of ours", own_domain, 31, REASON_OWN_DOMAIN, STAGE_CONTENT, "example.org",
	    NULL },
	{ "DMARC fail", dmarc_fail, 32, REASON_DMARC_FAIL, STAGE_CONTENT, "bank.example", NULL },
	{ "DMARC fail, held", dmarc_held, 32, REASON_DMARC_QUARANTINE, STAGE_CONTENT,
	    "bank.example", NULL },
	{ "DMARC temperror", dmarc_silent, 32, REASON_DMARC_TEMPERROR, STAGE_CONTENT,
	    "bank.example", "no answer about bank.example" },
	{ "missing key", missing_key, 16, REASON_MISSING_KEY, STAGE_SIGNED, NULL, "no file" },
	{ "unusable key", unusable_key, 16, REASON_MISSING_KEY, STAGE_SIGNED, NULL, "too short" },
	{ "signing failure", signing_failure, 16, REASON_SIGNING_FAILURE, STAGE_SIGNED, NULL,
	    "no memory" },
	{ "store away", store_away, 9, REASON_STORE_AWAY, STAGE_CHARGED, NULL, "timeout" },
};

/* check - is the verdict just this? */
static void
check(const char *label, const struct verdict *verdict, enum reason reason, enum action action)
{
	if (verdict->reason != reason || verdict->action != action)
		fail_msg("%s: %s %s, not %s %s", label, action_word(verdict->action),
		    reply_row(verdict->reason)->word, action_word(action), reply_row(reason)->word);
}

/* same - two texts that may be NULL */
static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Each rule is silent before its stage, and speaks at it and at every later one. */
static void
test_each_rule_at_each_stage(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rules); i++) {
		for (enum stage stage = STAGE_MAIL; stage <= STAGE_CHARGED; stage++) {
			TALLOC_CTX *ctx = talloc_new(NULL);
			struct verdict verdict;
			struct message m;

			sound(&m);
			rules[i].change(&m);
			verdict_decide(ctx, &m.rules, &m.facts, stage, &verdict);
			if (stage < rules[i].stage) {
				check(rules[i].label, &verdict, REASON_NONE, ACTION_ACCEPT);
				talloc_free(ctx);
				continue;
			}
			check(rules[i].label, &verdict, rules[i].reason, ACTION_REJECT);
			if (!same(verdict.address, rules[i].address) ||
			    !same(verdict.problem, rules[i].problem))
				fail_msg(
				    "%s: %s, %s", rules[i].label, verdict.address, verdict.problem);
			talloc_free(ctx);
		}
	}
}

/* Every reason but NONE has a rule here: a new reason needs a row. */
static void
test_every_reason_has_a_rule(void **state)
{
	(void)state;
	for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
		size_t i = 0;

		/* test_dkim has a table of its own for these, test_inbound_login another role */
		if (reason == REASON_INBOUND_LOGIN)
			continue;
		if (reason >= REASON_DKIM_NONE && reason <= REASON_DKIM_UNALIGNED)
			continue;
		while (i < COUNT(rules) && rules[i].reason != reason)
			i++;
		if (i == COUNT(rules))
			fail_msg("%s", reply_row(reason)->word);
	}
}

/* A user among strangers is refused from MAIL on, unless no listener matches at all. */
static void
test_inbound_login(void **state)
{
	static void (*const changes[])(struct message *) = { inbound_login, inbound_auth_type };

	(void)state;
	for (size_t i = 0; i < COUNT(changes); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct verdict verdict;
		struct message m;

		sound(&m);
		changes[i](&m);
		verdict_decide(ctx, &m.rules, &m.facts, STAGE_MAIL, &verdict);
		check("login", &verdict, REASON_INBOUND_LOGIN, ACTION_REJECT);
		m.rules.mode = MODE_WATCH;
		verdict_decide(ctx, &m.rules, &m.facts, STAGE_MAIL, &verdict);
		check("login in watch", &verdict, REASON_INBOUND_LOGIN, ACTION_WARN);
		m.facts.listener = NULL;
		verdict_decide(ctx, &m.rules, &m.facts, STAGE_MAIL, &verdict);
		assert_int_equal(verdict.reason, REASON_NO_LISTENER);
		talloc_free(ctx);
	}
}

static void
role_relay(struct message *m)
{
	no_login(m);
	m->facts.role = ROLE_RELAY;
	m->facts.tls = false;
	m->facts.account = "lists@example.org";
}
static void
role_local(struct message *m)
{
	no_login(m);
	m->facts.role = ROLE_LOCAL;
	m->facts.tls = false;
}
static void
role_inbound(struct message *m)
{
	no_login(m);
	m->facts.role = ROLE_INBOUND;
	m->facts.tls = false;
}
static void
relay_with_auth_type(struct message *m)
{
	role_relay(m);
	m->facts.auth_without_login = true;
}
static void local_with_login(struct message *m) { bad_login(m); m->facts.role = ROLE_LOCAL; }
static void from_loopback(struct message *m) { no_tls(m); m->facts.loopback = true; }
static void tls_not_required(struct message *m) { no_tls(m); m->rules.require_tls = false; }
static void inbound_bounce(struct message *m) { role_inbound(m); m->facts.sender = ""; }
static void sender_unknown(struct message *m) { m->facts.sender = NULL; }
static void hundred_recipients(struct message *m) { m->facts.recipients = 100; }
static void
no_bound(struct message *m)
{
	m->facts.recipients = 100000;
	m->rules.max_recipients = 0;
}
static void
not_asked(struct message *m)
{
	m->claims[0].owned = m->claims[1].owned = OWNED_NOT_ASKED;
}
static void no_claims(struct message *m) { m->facts.claims = NULL; m->facts.n_claims = 0; }
static void
other_senders(struct message *m)
{
	add_claim(m, CLAIM_SENDER, "alice@example.org", OWNED_YES);
	add_claim(m, CLAIM_RESENT_FROM, "alice@example.org", OWNED_YES);
}
static void
spf_silence(struct message *m)
{
	m->rules.actions[REASON_SPF_NONE] = m->rules.actions[REASON_SPF_HELO_NONE] =
	    m->rules.actions[REASON_SPF_NEUTRAL] = m->rules.actions[REASON_SPF_HELO_NEUTRAL] =
		ACTION_ACCEPT;
}
static void
spf_neutral(struct message *m)
{
	spf_silence(m);
	m->facts.spf_mailfrom.result = m->facts.spf_helo.result = SPF_IS_NEUTRAL;
}
static void
spf_none(struct message *m)
{
	spf_silence(m);
	m->facts.spf_mailfrom.result = m->facts.spf_helo.result = SPF_IS_NONE;
}
static void
spf_unchecked(struct message *m)
{
	m->facts.spf_mailfrom.result = m->facts.spf_helo.result = SPF_NOT_CHECKED;
}
static void
not_signed(struct message *m)
{
	m->facts.sign.outcome = OUTCOME_NONE;
	m->facts.sign.problem = "nothing asked";
}
static void no_limits(struct message *m) { m->facts.quota.outcome = OUTCOME_NONE; }
static void
local_store(struct message *m)
{
	m->facts.quota.problem = "redis is away";
	m->facts.quota.store = "local";
}
static void fields_within(struct message *m) { m->facts.header.fields = 10000; }

/* What comes near to a rule and is not meant by it. */
static void
test_not_found(void **state)
{
	static const struct {
		const char *label;
		void (*change)(struct message *);
	} rows[] = {
		{ "a sound message", nothing },
		{ "relay needs no login and no TLS", role_relay },
		{ "local needs no login and no TLS", role_local },
		{ "inbound needs no login and no TLS", role_inbound },
		{ "a login elsewhere than at submission: local", local_with_login },
		{ "auth_type elsewhere than at submission", relay_with_auth_type },
		{ "no TLS from loopback", from_loopback },
		{ "TLS not required", tls_not_required },
		{ "a bounce from outside", inbound_bounce },
		{ "no MAIL FROM known", sender_unknown },
		{ "just as many recipients as allowed", hundred_recipients },
		{ "no bound of recipients", no_bound },
		{ "claims that nobody asked for", not_asked },
		{ "no claims", no_claims },
		{ "Sender and Resent-From that are owned", other_senders },
		{ "SPF neutral, to be accepted", spf_neutral },
		{ "SPF none, to be accepted", spf_none },
		{ "SPF not checked", spf_unchecked },
		{ "nothing was to be signed", not_signed },
		{ "no limits", no_limits },
		{ "counted locally while Redis is away", local_store },
		{ "many header fields", fields_within },
		{ "a display name that shows an own address", own_display },
		{ "an own address written like a mailbox", own_disguise },
		{ "a display name whose owner is unknown", unknown_display },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (enum stage stage = STAGE_MAIL; stage <= STAGE_CHARGED; stage++) {
			struct verdict verdict;
			struct message m;

			sound(&m);
			rows[i].change(&m);
			verdict_decide(NULL, &m.rules, &m.facts, stage, &verdict);
			check(rows[i].label, &verdict, REASON_NONE, ACTION_ACCEPT);
			assert_null(verdict.address);
			assert_null(verdict.problem);
			assert_null(verdict.reply_code);
			assert_null(verdict.reply_status);
			assert_null(verdict.reply_text);
			assert_int_equal(verdict.would, ACTION_ACCEPT);
			assert_true(verdict_passes(&verdict));
		}
	}
}

/* Of a login that is there, but no name, it is not said that it is missing; nor the reverse. */
static void
test_login_reasons_are_apart(void **state)
{
	struct verdict verdict;
	struct message m;

	(void)state;
	sound(&m);
	auth_without_login(&m);
	m.rules.actions[REASON_BAD_LOGIN] = ACTION_ACCEPT;
	verdict_decide(NULL, &m.rules, &m.facts, STAGE_MAIL, &verdict);
	check("auth without login", &verdict, REASON_BAD_LOGIN, ACTION_ACCEPT);
	sound(&m);
	no_login(&m);
	m.rules.actions[REASON_NO_LOGIN] = ACTION_ACCEPT;
	verdict_decide(NULL, &m.rules, &m.facts, STAGE_MAIL, &verdict);
	check("no login", &verdict, REASON_NO_LOGIN, ACTION_ACCEPT);
}

/* A relay's client that no table gives an account is nobody: it does not pass unchecked. */
static void
test_relay_without_account(void **state)
{
	struct verdict verdict;
	struct message m;

	(void)state;
	sound(&m);
	relay_unknown(&m);
	verdict_decide(NULL, &m.rules, &m.facts, STAGE_MAIL, &verdict);
	check("relay without account", &verdict, REASON_NO_ACCOUNT, ACTION_REJECT);
	talloc_free((void *)(uintptr_t)verdict.reply_text);
	/* where the table could not be read, that is what is said */
	m.facts.lookup_failed = "192.0.2.7";
	m.rules.actions[REASON_LOOKUP_FAILURE] = ACTION_TEMPFAIL;
	verdict_decide(NULL, &m.rules, &m.facts, STAGE_MAIL, &verdict);
	check("relay whose table failed", &verdict, REASON_LOOKUP_FAILURE, ACTION_TEMPFAIL);
	talloc_free((void *)(uintptr_t)verdict.reply_text);
}

/* The first claim that is wrong is the one that is named. */
static void
test_first_claim_is_named(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct verdict verdict;
	struct message m;

	(void)state;
	sound(&m);
	add_claim(&m, CLAIM_FROM, "first@example.net", OWNED_NO);
	add_claim(&m, CLAIM_FROM, "second@example.net", OWNED_NO);
	verdict_decide(ctx, &m.rules, &m.facts, STAGE_HEADER, &verdict);
	assert_string_equal(verdict.address, "first@example.net");
	talloc_free(ctx);
}

/* Of two SPF checks with the same result, MAIL FROM's is named. */
static void
test_spf_names_mailfrom_first(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct verdict verdict;
	struct message m;

	(void)state;
	sound(&m);
	spf_helo_fail(&m);
	spf_fail(&m);
	verdict_decide(ctx, &m.rules, &m.facts, STAGE_MAIL, &verdict);
	assert_string_equal(verdict.address, "x@example.com");
	talloc_free(ctx);
}

/*
 * All pairs of rules, with all pairs of actions: the more severe wins, among equals the first.
 * A drain has a test of its own.
 */
static void
test_pairs(void **state)
{
	size_t pairs = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(rules); i++) {
		for (size_t j = i + 1; j < COUNT(rules); j++) {
			if (rules[i].group == rules[j].group ||
			    rules[i].reason == rules[j].reason ||
			    rules[i].reason == REASON_SHUTTING_DOWN ||
			    /* seen in role relay only, where others are not */
			    rules[i].reason == REASON_NO_ACCOUNT ||
			    rules[j].reason == REASON_NO_ACCOUNT)
				continue;
			pairs++;
			for (int pair = 0; pair < 25; pair++) {
				enum action first = (enum action)(pair / 5);
				enum action second = (enum action)(pair % 5);
				TALLOC_CTX *ctx;
				struct verdict verdict;
				struct message m;

				if (silent(rules[i].reason, first) ||
				    silent(rules[j].reason, second))
					continue;
				ctx = talloc_new(NULL);
				sound(&m);
				m.rules.actions[rules[i].reason] = first;
				m.rules.actions[rules[j].reason] = second;
				rules[j].change(&m);
				rules[i].change(&m);
				verdict_decide(ctx, &m.rules, &m.facts, STAGE_CHARGED, &verdict);
				if (second > first)
					check(rules[j].label, &verdict, rules[j].reason, second);
				else
					check(rules[i].label, &verdict, rules[i].reason, first);
				talloc_free(ctx);
			}
		}
	}
	assert_true(pairs > 400);
}

/* The address and the problem are those of the finding that won, not of one that lost. */
static void
test_no_mixture(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct verdict verdict;
	struct message m;

	(void)state;
	sound(&m);
	bad_envelope(&m);
	no_tls(&m);
	verdict_decide(ctx, &m.rules, &m.facts, STAGE_MAIL, &verdict);
	check("no TLS before a malformed envelope", &verdict, REASON_NO_TLS, ACTION_REJECT);
	assert_null(verdict.address);
	assert_null(verdict.problem);
	talloc_free(ctx);
}

/* Code, status and class follow the action. */
static void
test_reply_follows_action(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rules); i++) {
		const struct reply_row *row = reply_row(rules[i].reason);

		for (enum action action = ACTION_ACCEPT; action <= ACTION_REJECT; action++) {
			TALLOC_CTX *ctx;
			struct verdict verdict;
			struct message m;

			if (silent(rules[i].reason, action))
				continue;
			ctx = talloc_new(NULL);
			sound(&m);
			rules[i].change(&m);
			m.rules.actions[rules[i].reason] = action;
			m.rules.help_url = "https://help.example/";
			verdict_decide(ctx, &m.rules, &m.facts, STAGE_CHARGED, &verdict);
			check(rules[i].label, &verdict, rules[i].reason, action);
			assert_int_equal(verdict.would, action);
			assert_int_equal(verdict_passes(&verdict), action < ACTION_TEMPFAIL);
			if (action < ACTION_TEMPFAIL) {
				assert_null(verdict.reply_code);
				assert_null(verdict.reply_status);
				assert_null(verdict.reply_text);
				assert_int_equal(
				    verdict.hold_text != NULL, action == ACTION_QUARANTINE);
			} else {
				assert_string_equal(verdict.reply_code,
				    action == ACTION_REJECT ? row->reject_code
							    : row->tempfail_code);
				assert_string_equal(verdict.reply_status,
				    action == ACTION_REJECT ? row->reject_status
							    : row->tempfail_status);
				assert_non_null(
				    strstr(verdict.reply_text, "https://help.example/"));
			}
			talloc_free(ctx);
		}
	}
}

/* Watch decides as enforce does, and refuses nothing; only a daemon that drains cannot take
 * mail. */
static void
test_watch(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rules); i++) {
		for (enum action action = ACTION_ACCEPT; action <= ACTION_REJECT; action++) {
			bool drains = rules[i].reason == REASON_SHUTTING_DOWN;
			TALLOC_CTX *ctx;
			struct verdict verdict;
			struct message m;

			if (silent(rules[i].reason, action))
				continue;
			ctx = talloc_new(NULL);
			sound(&m);
			rules[i].change(&m);
			m.rules.mode = MODE_WATCH;
			m.rules.actions[rules[i].reason] = action;
			verdict_decide(ctx, &m.rules, &m.facts, STAGE_CHARGED, &verdict);
			check(rules[i].label, &verdict, rules[i].reason,
			    action > ACTION_WARN && !drains ? ACTION_WARN : action);
			assert_int_equal(verdict.would, action);
			assert_true(same(verdict.address, rules[i].address));
			assert_int_equal(
			    verdict_passes(&verdict), !drains || action < ACTION_TEMPFAIL);
			if (verdict_passes(&verdict))
				assert_null(verdict.reply_text);
			else
				assert_non_null(verdict.reply_text);
			talloc_free(ctx);
		}
	}
}

/* A drain is told as a drain, even if something severer is only watched. */
static void
test_drain_and_watch(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct verdict verdict;
	struct message m;

	(void)state;
	sound(&m);
	draining(&m);
	m.rules.mode = MODE_WATCH;
	m.rules.actions[REASON_SHUTTING_DOWN] = ACTION_TEMPFAIL;
	verdict_decide(ctx, &m.rules, &m.facts, STAGE_MAIL, &verdict);
	check("drain", &verdict, REASON_SHUTTING_DOWN, ACTION_TEMPFAIL);
	assert_string_equal(verdict.reply_code, "421");
	assert_string_equal(verdict.reply_status, "4.3.2");

	foreign_envelope(&m);
	verdict_decide(ctx, &m.rules, &m.facts, STAGE_MAIL, &verdict);
	if (verdict_passes(&verdict))
		fail_msg("a watched %s let a message into a daemon that drains",
		    reply_row(verdict.reason)->word);
	talloc_free(ctx);
}

/* The sentence to the client is of one line, whatever the sender wrote. */
static void
test_hostile_reply(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct verdict verdict;
	struct message m;

	(void)state;
	sound(&m);
	add_claim(&m, CLAIM_FROM, "\"%n\r\n250 ok\"@example.net", OWNED_NO);
	verdict_decide(ctx, &m.rules, &m.facts, STAGE_HEADER, &verdict);
	assert_null(strpbrk(verdict.reply_text, "\r\n"));
	talloc_free(ctx);
}

/* may_sign - what verdict_may_sign() says of a message before it is signed */
static bool
may_sign(struct message *m)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct verdict verdict;
	bool may;

	verdict_decide(ctx, &m->rules, &m->facts, STAGE_CONTENT, &verdict);
	may = verdict_may_sign(&m->facts, &verdict);
	talloc_free(ctx);
	return may;
}

static void unowned_envelope(struct message *m) { m->claims[0].owned = OWNED_NO; }
static void unowned_from(struct message *m) { m->claims[1].owned = OWNED_NO; }
static void unasked_envelope(struct message *m) { m->claims[0].owned = OWNED_NOT_ASKED; }
static void unasked_from(struct message *m) { m->claims[1].owned = OWNED_NOT_ASKED; }
static void unknown_from(struct message *m) { m->claims[1].owned = OWNED_TEMPERROR; }
static void from_unclaimed(struct message *m) { m->facts.n_claims = 1; }
static void sender_instead_of_from(struct message *m) { m->claims[1].place = CLAIM_SENDER; }
static void
one_of_two_from(struct message *m)
{
	add_claim(m, CLAIM_FROM, "bob@example.net", OWNED_NO);
}
static void inbound_with_all(struct message *m) { m->facts.role = ROLE_INBOUND; }

/*
 * None of these is signed, whatever the configuration calls the finding: the table is tried
 * with every finding accepted, warned of, held, and watched.
 */
static void
test_may_not_sign(void **state)
{
	static const struct {
		const char *label;
		void (*change)(struct message *);
	} rows[] = {
		{ "role inbound", inbound_with_all },
		{ "no account", no_account },
		{ "no login and no account", no_login },
		{ "foreign envelope", unowned_envelope },
		{ "foreign From", unowned_from },
		{ "envelope not asked for", unasked_envelope },
		{ "From not asked for", unasked_from },
		{ "owner of From unknown", unknown_from },
		{ "owner of another claim unknown", unknown_resent },
		{ "one From mailbox of two is foreign", one_of_two_from },
		{ "foreign Sender", foreign_sender },
		{ "foreign Resent-From", foreign_resent_from },
		{ "foreign Resent-Sender", foreign_resent_sender },
		{ "no claims at all", no_claims },
		{ "no claim of From", from_unclaimed },
		{ "a Sender does not stand for From", sender_instead_of_from },
		{ "no From field", no_from },
		{ "several From fields", several_from },
		{ "malformed From", bad_from },
		{ "header cut short: a second From may follow", large_header },
		{ "malformed envelope", bad_envelope },
	};
	static const enum action actions[] = { ACTION_ACCEPT, ACTION_WARN, ACTION_QUARANTINE };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t a = 0; a <= COUNT(actions); a++) {
			struct message m;

			sound(&m);
			rows[i].change(&m);
			for (int k = 0; k < REASON_COUNT && a < COUNT(actions); k++)
				m.rules.actions[k] = actions[a];
			if (a == COUNT(actions))
				m.rules.mode = MODE_WATCH;
			if (may_sign(&m))
				fail_msg("%s, %s", rows[i].label, a < COUNT(actions) ?
				    action_word(actions[a]) : "watched");
		}
	}
}

/* What passes only because it is watched is not signed, whatever the finding. */
static void
test_watched_is_not_signed(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rules); i++) {
		for (enum action action = ACTION_QUARANTINE; action <= ACTION_REJECT; action++) {
			struct message m;

			if (rules[i].stage > STAGE_CONTENT ||
			    rules[i].reason == REASON_SHUTTING_DOWN)
				continue;
			sound(&m);
			rules[i].change(&m);
			m.rules.mode = MODE_WATCH;
			m.rules.actions[rules[i].reason] = action;
			if (may_sign(&m))
				fail_msg("%s, would %s", rules[i].label, action_word(action));
		}
	}
}

static void
relay_sound(struct message *m)
{
	m->facts.role = ROLE_RELAY;
	m->facts.login = NULL;
	m->facts.account = "alice@example.org";
}
static void
local_sound(struct message *m)
{
	m->facts.role = ROLE_LOCAL;
	m->facts.login = NULL;
	m->facts.account = "alice@example.org";
}
static void watch_sound(struct message *m) { m->rules.mode = MODE_WATCH; }
static void
two_from_mailboxes(struct message *m)
{
	add_claim(m, CLAIM_FROM, "info@example.org", OWNED_YES);
}
static void
envelope_only_null(struct message *m)
{
	relay_sound(m);
	m->facts.sender = "";
	m->claims[0] = m->claims[1];
	m->facts.n_claims = 1;
	m->rules.actions[REASON_NULL_SENDER] = ACTION_ACCEPT;
}
static void
warned_no_tls(struct message *m)
{
	no_tls(m);
	m->rules.actions[REASON_NO_TLS] = ACTION_WARN;
}

static void
test_may_sign(void **state)
{
	static const struct {
		const char *label;
		void (*change)(struct message *);
	} rows[] = {
		{ "a sound message", nothing },
		{ "relay", relay_sound },
		{ "local", local_sound },
		{ "watch mode with nothing found", watch_sound },
		{ "more senders, all owned", other_senders },
		{ "two mailboxes in From, both owned", two_from_mailboxes },
		{ "a bounce of our own, where null senders are accepted", envelope_only_null },
		{ "no TLS, only warned of: the sender is known all the same", warned_no_tls },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct message m;

		sound(&m);
		rows[i].change(&m);
		if (!may_sign(&m))
			fail_msg("%s", rows[i].label);
	}
}

/* DKIM of incoming mail: which word is about which results, each signature as "result sdid" or with
 * a ! for t=y. */
static void
test_dkim(void **state)
{
	static const struct {
		const char *label;
		const char *signatures[4];
		bool unchecked;
		const char *reasons; /* those found when each alone refuses, with blanks between */
	} rows[] = {
		{ "not checked", { NULL }, true, "" },
		{ "no signature", { NULL }, false, "dkim-none dkim-unaligned" },
		{ "one that passes", { "pass example.com" }, false, "" },
		{ "one of the domain above", { "pass com.example", "pass example.com" }, false, "" },
		{ "a top-level domain is nobody's", { "pass com" }, false, "dkim-unaligned" },
		{ "one below the domain of From", { "pass mail.example.com" }, false, "dkim-unaligned" },
		{ "one that only ends alike", { "pass ample.com" }, false, "dkim-unaligned" },
		{ "another's that passes", { "pass lists.example" }, false, "dkim-unaligned" },
		{ "another's that passes beside a broken own one", { "fail example.com", "pass lists.example" }, false, "dkim-unaligned" },
		{ "own that passes beside a broken one of others", { "fail lists.example", "pass example.com" }, false, "" },
		{ "one that fails", { "fail example.com" }, false, "dkim-fail dkim-unaligned" },
		{ "one that is too weak", { "policy example.com" }, false, "dkim-fail dkim-unaligned" },
		{ "one that cannot be read", { "neutral example.com" }, false, "dkim-fail dkim-unaligned" },
		{ "one in error", { "permerror example.com" }, false, "dkim-permerror dkim-unaligned" },
		{ "fail and permerror", { "permerror example.com", "fail example.com" }, false, "dkim-fail dkim-unaligned" },
		{ "one that cannot be checked now", { "temperror example.com" }, false, "dkim-temperror" },
		{ "fail and temperror: it may pass the next time", { "fail example.com", "temperror example.com" }, false, "dkim-temperror" },
		{ "temperror of another's", { "temperror lists.example" }, false, "dkim-temperror dkim-unaligned" },
		{ "pass and temperror", { "pass lists.example", "temperror example.com" }, false, "" },
		{ "a failure while the key is tried out is no signature", { "!fail example.com" }, false, "dkim-none dkim-unaligned" },
		{ "a pass while the key is tried out", { "!pass example.com" }, false, "" },
		{ "tried out beside a real failure", { "!fail example.com", "fail lists.example" }, false, "dkim-fail dkim-unaligned" },
	};
	static const enum reason reasons[] = { REASON_DKIM_NONE, REASON_DKIM_TEMPERROR,
		REASON_DKIM_FAIL, REASON_DKIM_PERMERROR, REASON_DKIM_UNALIGNED };
	struct claim from = { CLAIM_FROM, "x@example.com", "example.com", OWNED_NOT_ASKED, NULL,
		NULL };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct dkim_fact dkim[4];
		struct facts facts = { .listener = "mx",
			.role = ROLE_INBOUND,
			.sender = "x@example.com",
			.header = { .from_fields = 1 },
			.claims = &from,
			.n_claims = 1,
			.dkim = dkim,
			.dkim_checked = !rows[i].unchecked };
		char *found = mem_strdup(ctx, "");

		for (const char *const *text = rows[i].signatures; *text != NULL; text++) {
			bool testing = **text == '!';
			const char *blank = strchr(*text, ' ');
			struct dkim_fact *fact = &dkim[facts.n_dkim++];

			*fact = (struct dkim_fact){
				.testing = testing, .sdid = blank + 1, .problem = "why"
			};
			for (enum dkim_result r = DKIM_IS_NONE; r <= DKIM_IS_PERMERROR; r++)
				if (strncmp(*text + testing, dkim_result_word(r),
					(size_t)(blank - *text) - testing) == 0)
					fact->result = r;
		}
		for (size_t k = 0; k < COUNT(reasons); k++) {
			struct rules config = { .mode = MODE_ENFORCE };
			struct verdict verdict;

			config.actions[reasons[k]] = ACTION_REJECT;
			verdict_decide(ctx, &config, &facts, STAGE_CONTENT, &verdict);
			if (verdict.reason == reasons[k])
				found = mem_printf(ctx, "%s%s%s", found, *found != '\0' ? " " : "",
				    reply_row(verdict.reason)->word);
			assert_int_equal(verdict.action,
			    verdict.reason == reasons[k] ? ACTION_REJECT : ACTION_ACCEPT);
			/* not before the whole message was seen, and not a word if nothing is
			 * done */
			verdict_decide(ctx, &config, &facts, STAGE_HEADER, &verdict);
			assert_int_equal(verdict.reason, REASON_NONE);
			config.actions[reasons[k]] = ACTION_ACCEPT;
			verdict_decide(ctx, &config, &facts, STAGE_CONTENT, &verdict);
			assert_int_equal(verdict.reason, REASON_NONE);
		}
		if (strcmp(found, rows[i].reasons) != 0)
			fail_msg(
			    "%s: \"%s\" instead of \"%s\"", rows[i].label, found, rows[i].reasons);
		talloc_free(ctx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_rule_at_each_stage),
		cmocka_unit_test(test_every_reason_has_a_rule),
		cmocka_unit_test(test_inbound_login),
		cmocka_unit_test(test_dkim),
		cmocka_unit_test(test_not_found),
		cmocka_unit_test(test_login_reasons_are_apart),
		cmocka_unit_test(test_relay_without_account),
		cmocka_unit_test(test_first_claim_is_named),
		cmocka_unit_test(test_spf_names_mailfrom_first),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_no_mixture),
		cmocka_unit_test(test_reply_follows_action),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_drain_and_watch),
		cmocka_unit_test(test_hostile_reply),
		cmocka_unit_test(test_may_not_sign),
		cmocka_unit_test(test_watched_is_not_signed),
		cmocka_unit_test(test_may_sign),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * facts.h - the vocabulary: everything that is known of one message
 *
 * This is the header to read first. Gatherers in filter/ fill a struct facts;
 * policy/verdict/verdict.c reads it and decides; nothing else travels between them.
 * A gatherer never decides what a failure means: it writes TEMPERROR here.
 *
 * Memory: all strings belong to the talloc context of the message (or of its
 * session, or of the configuration snapshot, which both outlive it). They are
 * NUL-terminated and may hold any other octet a stranger sent, unless a
 * comment says that they are in normal form.
 *
 * Threads: a struct facts is used by one thread at a time.
 */
#ifndef POLICY_BASE_FACTS_H
#define POLICY_BASE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a listener is for (DESIGN: listeners, roles, modes). */
enum role {
	ROLE_AUTO,		/* chosen from the connection: login, pickup, else inbound */
	ROLE_SUBMISSION,	/* users with a login */
	ROLE_RELAY,		/* trusted networks without login */
	ROLE_LOCAL,		/* mail from sendmail(1) */
	ROLE_INBOUND		/* strangers */
};

/* Whether refusals are carried out. */
enum mode {
	MODE_WATCH,		/* decide, log would=, refuse nothing */
	MODE_ENFORCE
};

/* What is done with a message, in rising severity: the highest wins. */
enum action {
	ACTION_ACCEPT,
	ACTION_WARN,		/* accept, and say so in the log */
	ACTION_QUARANTINE,	/* accept into the MTA's hold queue */
	ACTION_TEMPFAIL,
	ACTION_REJECT
};

/* The outcome of a check whose details do not matter to the reader. */
enum outcome {
	OUTCOME_NONE,		/* not done, or nothing to check */
	OUTCOME_PASS,
	OUTCOME_FAIL,
	OUTCOME_TEMPERROR,	/* could not be found out now; later may help */
	OUTCOME_PERMERROR	/* cannot be found out, ever */
};

/* Where in a message a sender is named. */
enum claim_place {
	CLAIM_ENVELOPE, /* MAIL FROM */
	CLAIM_FROM,
	CLAIM_SENDER,
	CLAIM_RESENT_FROM,
	CLAIM_RESENT_SENDER,
	CLAIM_DISPLAY, /* shown in a display name; claims nothing, but readers see it */
	CLAIM_DISGUISE /* the same, written so that some readers take it for the mailbox */
};

/* Whether the account owns an address that the message claims. */
enum ownership {
	OWNED_NOT_ASKED,
	OWNED_YES,
	OWNED_NO,
	OWNED_NO_DOMAIN,	/* From only: no, and its domain is none of ours at all */
	OWNED_TEMPERROR		/* the owners table could not be read */
};

/* One address that the message claims as its sender. */
struct claim {
	enum claim_place place;
	const char *address;	/* normal form (address.h), e.g. alice@example.org */
	const char *domain;	/* its domain: A-labels, lower case; points into address */
	enum ownership owned;
	const char *field;	/* DISPLAY and DISGUISE: the name of the field, else NULL */
	const char *text;	/* ... and its value as sent */
};

/* What the header section says of its author, as the parser reads it. */
struct header_facts {
	size_t from_fields;	/* how many From fields there are */
	const char *malformed;	/* why a sender field cannot be read in one way, or NULL */
	const char *malformed_field; /* the name of that field: "From", "Sender", ... */
	const char *malformed_text; /* its value as sent, or NULL */
	const char *from_text;	/* the first values, " | " between them, if there are several */
	bool override;		/* a display name holds a bidirectional override */
	const char *override_field;	/* in which field; NULL: From */
	const char *override_text;	/* its value as sent, or NULL */
	size_t fields;		/* all header fields, also those beyond the bound */
	bool too_many;		/* more fields or octets than are kept */
};

/* SPF results, RFC 7208 section 2.6. */
enum spf_result {
	SPF_NOT_CHECKED,
	SPF_IS_NONE,
	SPF_IS_NEUTRAL,
	SPF_IS_PASS,
	SPF_IS_FAIL,
	SPF_IS_SOFTFAIL,
	SPF_IS_TEMPERROR,
	SPF_IS_PERMERROR
};

/* The SPF check of one identity. */
struct spf_fact {
	enum spf_result result;
	const char *domain;	/* the domain that was checked */
	const char *sender;	/* local@domain that macros saw */
	const char *problem;	/* for temperror and permerror: what was wrong; else NULL */
	const char *explanation; /* the domain's own text for fail, printable ASCII; or NULL */
	const char *mechanism;	/* the term that decided, printable ASCII; "default": none; or NULL */
	bool local;		/* by a record of the configuration, not by the published one */
	bool stale;		/* DNS failed: by what it said before */
};

/* DKIM results of one signature, RFC 8601 section 2.7.1. */
enum dkim_result {
	DKIM_IS_NONE,
	DKIM_IS_PASS,
	DKIM_IS_FAIL,
	DKIM_IS_POLICY,		/* verifies, but is not good enough for us */
	DKIM_IS_NEUTRAL,	/* could not be read */
	DKIM_IS_TEMPERROR,
	DKIM_IS_PERMERROR
};

/* Whether a signature is of the author's organisation (RFC 9989 section 4.4.1, relaxed). */
enum dkim_alignment {
	DKIM_ALIGNMENT_UNKNOWN, /* no DMARC record says where the organisation begins */
	DKIM_ALIGNED,
	DKIM_NOT_ALIGNED
};

/* One DKIM-Signature of an incoming message. Strangers' text throughout. */
struct dkim_fact {
	enum dkim_result result;
	const char *sdid;	/* d= */
	const char *selector;	/* s= */
	const char *auid;	/* i=, or NULL */
	const char *algorithm;	/* a= */
	const char *b_prefix;	/* first 8 characters of b= (RFC 6008) */
	unsigned int key_bits;	/* 0 if no key was read */
	enum dkim_alignment alignment; /* by the tree walk */
	bool testing; /* the key says t=y: a failure must not count (RFC 6376 section 3.6.1) */
	bool stale;		/* DNS failed: by the key that it had before */
	const char *problem;	/* why it is no pass, or NULL */
};

/* DMARC results, RFC 9989 section 9.1. */
enum dmarc_result {
	DMARC_NOT_CHECKED,
	DMARC_IS_NONE,		/* no record, or no author domain: DMARC does not apply */
	DMARC_IS_PASS,
	DMARC_IS_FAIL,
	DMARC_IS_TEMPERROR,
	DMARC_IS_PERMERROR
};

/* What a domain owner wants done with mail that fails, in rising severity. */
enum dmarc_policy {
	DMARC_POLICY_NONE,
	DMARC_POLICY_QUARANTINE,
	DMARC_POLICY_REJECT
};

/* The DMARC evaluation of a message: of the author domain whose policy counts. */
struct dmarc_fact {
	enum dmarc_result result;
	const char *domain;	/* author domain, normal form; NULL: there is none */
	const char *organisation; /* its organisational domain; NULL: not known */
	const char *policy_domain; /* whose record applies; NULL: none */
	const char *tag;	/* the tag that gave the policy: "p", "sp" or "np"; NULL: none */
	enum dmarc_policy policy; /* to be applied: after sp, np and t, before local exceptions */
	enum dmarc_policy disposition; /* for fail: the policy after local exceptions */
	bool testing;		/* t=y took the policy one step down */
	const char *dkim_domain; /* d= of the signature that is aligned and passed, or NULL */
	const char *dkim_selector; /* its s= */
	bool spf_aligned;	/* MAIL FROM is aligned and SPF passed */
	size_t domains;		/* author domains that were evaluated */
	const char *exception; /* why the policy is not applied here, a word of RFC 9990: or NULL */
	const char *record;	/* the text of the record that applies; NULL: none */
	bool wants_reports;	/* that record has an address for aggregate reports */
	bool counted;		/* the message goes into the aggregate report of policy_domain */
	const char *problem;	/* for temperror, permerror and none: why; else NULL */
};

/* The signature that was asked for. */
struct sign_fact {
	enum outcome outcome;	/* NONE: not asked; PASS: made; FAIL: no usable key; TEMPERROR */
	const char *sdid;	/* d= */
	const char *selector;	/* s= */
	const char *value;	/* the field's value, LF folds, with its leading space; for PASS */
	const char *problem;	/* for the log, else NULL */
	const char *risk; /* what the MTA will do to signed text: "long-line", "rewritten-from";
			   * else NULL */
};

/* What the charge said. */
struct quota_fact {
	enum outcome outcome;   /* NONE: no limit applies; PASS; FAIL: over; TEMPERROR: store away,
				   nothing known */
	bool charged;		/* the message was counted */
	uint64_t fresh;		/* recipients of it that are new, if a limit counts these */
	bool observed_over;	/* over a limit that only observes (watch, warn) */
	bool blocked;		/* the account is blocked, whatever outcome says */
	const char *block_reason; /* for the log */
	const char *account;	/* who was charged */
	const char *limit; /* the limit nearest to full, or the one hit, as the admin wrote it */
	const char
	    *subject; /* whose limit that is if not the account's: "pool acme"; else NULL */
	enum action on_over;	/* what that limit does when it is exceeded */
	uint64_t used;		/* of that limit, with this message if charged */
	uint64_t max;		/* its size */
	bool level;		/* it counts what happened before, and not this message */
	uint32_t retry_after;	/* seconds until one message would fit; 0 unless over. Of a blocked
				 * account: until the block ends, 0: not known */
	const char *store;	/* "redis", "embedded", "local" (Redis is away), "cache" */
	const char *problem;	/* for the log, else NULL */
};

/* All that is known of a message, filled stage by stage. */
struct facts {
	/* the connection */
	const char *listener;	/* name of the listener section, or "auto" */
	enum role role;		/* never ROLE_AUTO once MAIL was seen */
	const char *daemon_name; /* {daemon_name} as sent at CONNECT, or NULL */
	const char *client_addr; /* textual IPv4 or IPv6 address, or NULL */
	const char *client_name; /* PTR name as the MTA gives it */
	/* its country and network (AS) by tables; NULL: unknown, or no plan counts them */
	const char *client_country;
	const char *client_network;
	enum outcome
	    iprev; /* what the MTA found of it, RFC 8601 section 2.7.3; NONE: it does not say */
	unsigned int client_port; /* 0: unknown or pickup */
	const char *helo;	/* last HELO/EHLO argument, or NULL */
	bool tls;		/* the session is encrypted */
	bool loopback;		/* the client is this host */

	/* the envelope */
	const char *login;	/* {auth_authen} as sent, or NULL */
	bool auth_without_login; /* {auth_type} came without {auth_authen} */
	const char
	    *account; /* who answers for the message: normal form of the login, the listener's
		       * account, or the envelope sender of local mail; NULL: nobody */
	const char *login_malformed; /* why the login is no account, or NULL */
	const char *lookup_failed; /* what could not be looked up (a login, a recipient), or NULL */
	bool network_refused;	/* the account may not send from this client's network */
	const char *restricted;	/* a recipient that the sender may not post to, or NULL */
	const char *queue_id;	/* {i}, or NULL as long as it is unknown */
	bool smtputf8;		/* MAIL came with SMTPUTF8: replies may be UTF-8 (RFC 6531) */
	const char *sender;	/* MAIL FROM as sent, without <>; "" is the null sender */
	const char *sender_malformed; /* why MAIL FROM cannot be read, or NULL */
	size_t recipients;	/* distinct ones seen at RCPT */
	uint64_t size;		/* octets of header and body seen */
	uint64_t declared_size;	/* SIZE= of MAIL, 0: not given */

	/* the header */
	struct header_facts header;
	struct claim *claims;	/* all claims, envelope first, display names last */
	size_t n_claims;

	/* the checks */
	struct spf_fact spf_helo;
	struct spf_fact spf_mailfrom;
	const char *spf_client;      /* whose address SPF judges: client_addr, or the client that a
				      * trusted relay      names in Received; NULL: nobody's */
	const char *spf_client_helo; /* the HELO argument of that client, or NULL */
	struct dkim_fact *dkim;
	size_t n_dkim;
	bool dkim_checked;	/* verification ran: n_dkim == 0 then means none */
	struct dmarc_fact dmarc;
	const char *own_domain;	/* inbound: a domain of ours that From or MAIL FROM names, and that
				 * neither SPF nor DKIM verifies; or NULL */
	struct sign_fact sign;
	struct quota_fact quota;
};

#endif

/*
 * reasons.h - every reason for which a message is refused, held or marked
 *
 * One row a reason: its word (log, metrics, "why"), the option that sets its
 * action, the SMTP codes, and the sentence the client reads. Everything that
 * names a reason anywhere takes it from here.
 */
#ifndef POLICY_VERDICT_REASONS_H
#define POLICY_VERDICT_REASONS_H

#include <stdbool.h>

#include "policy/base/facts.h"

enum reason {
	REASON_NONE,
	REASON_NO_LISTENER,   /* the connection matches no listener section */
	REASON_INBOUND_LOGIN, /* a login on a listener of role inbound */
	REASON_SHUTTING_DOWN, /* the daemon drains */
	REASON_NO_LOGIN,      /* submission without SASL login */
	REASON_NO_ACCOUNT,    /* relay: the client's network has no account */
	REASON_NO_TLS,        /* submission without TLS */
	REASON_BAD_LOGIN,     /* {auth_type} without {auth_authen}, or a login that is no name */
	REASON_MALFORMED_ENVELOPE,   /* MAIL FROM cannot be read */
	REASON_FOREIGN_NETWORK,      /* the account may not send from this client */
	REASON_FOREIGN_ENVELOPE,     /* MAIL FROM is not the account's */
	REASON_NULL_SENDER,          /* <> from a login */
	REASON_RESTRICTED_RECIPIENT, /* only some may post to this recipient */
	REASON_TOO_MANY_RECIPIENTS,  /* more than the plan's max_recipients */
	REASON_TOO_LARGE,            /* more octets than the plan's max_size */
	REASON_OVERSIZED_HEADER,     /* more header fields or octets than are kept */
	REASON_NO_FROM,              /* no From field */
	REASON_SEVERAL_FROM,         /* more than one From field */
	REASON_MALFORMED_FROM,       /* From, Sender or Resent-* that cannot be read in one way */
	REASON_FOREIGN_FROM,         /* a From mailbox is not the account's */
	REASON_FOREIGN_DOMAIN,       /* the same, and its domain is none of ours */
	REASON_FOREIGN_SENDER,       /* a Sender is not */
	REASON_FOREIGN_RESENT,       /* a Resent-From or Resent-Sender is not */
	REASON_DISGUISED_FROM,  /* a From display name is written like a mailbox, or backwards */
	REASON_FOREIGN_DISPLAY, /* a From display name shows an address that is not */
	REASON_LOOKUP_FAILURE,  /* the owners table could not be read */
	REASON_SPF_FAIL,        /* the SPF result of MAIL FROM; each result has its own word */
	REASON_SPF_SOFTFAIL,
	REASON_SPF_NEUTRAL,
	REASON_SPF_NONE,
	REASON_SPF_TEMPERROR,
	REASON_SPF_PERMERROR,
	REASON_SPF_HELO_FAIL, /* and that of HELO */
	REASON_SPF_HELO_SOFTFAIL,
	REASON_SPF_HELO_NEUTRAL,
	REASON_SPF_HELO_NONE,
	REASON_SPF_HELO_TEMPERROR,
	REASON_SPF_HELO_PERMERROR,
	REASON_DKIM_NONE,      /* the message has no signature */
	REASON_DKIM_TEMPERROR, /* none passes, and one of them could not be checked now */
	REASON_DKIM_FAIL, /* none passes, and one of them does not verify or is not good enough */
	REASON_DKIM_PERMERROR,  /* none passes, and all are in error */
	REASON_DKIM_UNALIGNED,  /* none passes whose domain is that of From */
	REASON_DMARC_FAIL,      /* DMARC fails */
	REASON_DMARC_QUARANTINE, /* the same, and the domain asks for quarantine, which is obeyed */
	REASON_DMARC_TEMPERROR, /* DMARC cannot be evaluated now */
	REASON_OWN_DOMAIN,      /* a stranger uses a domain of ours */
	REASON_MISSING_KEY,     /* no usable key for the From domain */
	REASON_SIGNING_FAILURE, /* the signature could not be computed */
	REASON_BLOCKED,         /* the account is blocked */
	REASON_OVER,            /* over a limit */
	REASON_NEVER_FITS,      /* the message alone is larger than a limit, or the limit is 0 */
	REASON_STORE_AWAY,      /* the counters cannot be reached and on_away says tempfail */
	REASON_COUNT
};

struct reply_row {
	const char *word;	/* as in reason= and would= */
	const char *option;	/* option that sets the action, NULL: not to be set */
	enum action submission;	/* default action in that role */
	enum action relay;
	enum action local;
	enum action inbound;
	const char *reject_code, *reject_status; /* RFC 5321 code, RFC 3463 status */
	const char *tempfail_code, *tempfail_status;
	const char *text;	/* with %{...} items, see reply_text() */
};

/* reply_row - the row of a reason; never NULL. Any thread. */
const struct reply_row *reply_row(enum reason reason);

/* reply_reason_of_option - the reason whose action an option sets, REASON_NONE if none does */
enum reason reply_reason_of_option(const char *option);

/*
 * reply_heir - the reason whose configured action a finer one takes over if none is
 * configured for itself: on_inbound_login follows on_no_listener, on_foreign_domain follows
 * on_foreign_from, on_spf_helo_fail follows on_spf_fail, on_disguised_from follows
 * on_foreign_display. REASON_NONE: there is none.
 */
enum reason reply_heir(enum reason reason);

/* reply_is_offence - does a reason mean that the message claimed another sender's name, which
 * honest clients do not do again and again? It counts towards block_on. Any thread. */
bool reply_is_offence(enum reason reason);

/* reply_default_action - what a reason does in a role unless configured; ROLE_AUTO counts as
 * submission */
enum action reply_default_action(enum reason reason, enum role role);

#endif

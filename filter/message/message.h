/*
 * message.h - what is known of a message and of its connection, for all who gather and decide
 *
 * session.h has the lifetimes and the functions. Threads: as for session.h.
 */
#ifndef FILTER_MESSAGE_MESSAGE_H
#define FILTER_MESSAGE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter/daemon/daemon.h"
#include "filter/dkim/sign.h"
#include "filter/dkim/verify.h"
#include "filter/message/lookup.h"
#include "filter/message/plans.h"
#include "policy/base/facts.h"
#include "policy/base/netblock.h"
#include "policy/quota/body_print.h"
#include "policy/sender/bounce.h"
#include "policy/sender/header.h"
#include "policy/verdict/edits.h"
#include "policy/verdict/verdict.h"

/* Bounds of what strangers can make us keep. */
#define SESSION_HEADER_OCTETS	(2 * 1024 * 1024) /* header names and values of a message */
#define SESSION_WORD_MAX	1024	/* HELO, host names, macro values */
#define SESSION_PATH_MAX	2048	/* octets of an envelope path */

/* What the MTA sent of the connection. All texts belong to the session. */
struct connection {
	bool known;		/* CONNECT was seen */
	const char *client_addr; /* textual address, or NULL */
	const char *client_name;
	unsigned int client_port;
	struct ip_address ip;
	const char *daemon_name; /* macros as sent at CONNECT, or NULL */
	const char *daemon_port;
	enum outcome iprev;	/* of the client's name, as in struct facts */
	bool completes;		/* the MTA adds a missing Date or Message-ID after the filter */
	char *helo;
	bool tls;		/* {tls_version} was seen */
};

struct message {
	struct session *session;
	const struct listener *listener; /* NULL: none matches */
	const struct account *account;	/* the configured account, or NULL */
	struct plans plans; /* who is charged, by which plans; none without an account */
	struct rules rules;
	struct facts facts;
	struct verdict verdict;		/* the last one made */
	const char *line;	/* before a witness: its log line, or NULL */
	struct header_list *header;
	struct map *recipients;	/* address in normal form => nothing */
	struct dkim_signing *signing;	/* or NULL */
	const struct sign_plan *sign_plan; /* what it covers; NULL if signing is NULL */
	struct dkim_verification *verification; /* or NULL */
	struct dmarc_authors *authors; /* whom DMARC is evaluated for, or NULL: it is not */
	struct edits edits;		/* after message_end() passed the message */
	uint8_t charge_id[QUOTA_ID_LEN];
	bool block_holds;	/* the account is blocked, and its mail is held (block_action) */
	struct quota_mark *marks;	/* the limits whose warn_at mark it crossed */
	size_t n_marks;
	struct body_print *print;	/* of its body, or NULL: no plan asks for it */
	struct bounce *bounce;	/* what it reports, or NULL: it is no report, or no plan asks */
	uint64_t body_us;	/* what its body took so far, in microseconds */
};

struct session {
	struct daemon *daemon;
	struct snapshot *snapshot; /* reference held */
	bool helo_negotiated;	/* HELO was not negotiated away */
	struct connection connection;
	char *told_account;	/* the account the journal saw last here, or NULL */
	struct message *message; /* NULL between messages */
	struct witness *witness; /* messages are only tried: nothing is charged, logged or kept;
				  * NULL: they are real */
};

/* message_lookup - how tables are asked for a message: for as long as DNS may take, from now on */
struct lookup message_lookup(struct message *message);

#endif

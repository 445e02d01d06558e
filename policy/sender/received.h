/*
 * received.h - the client that a relay of ours names in its Received field
 *
 * Mail that comes by a relay of our own (a backup MX, a gateway) has the relay as
 * client. Who the stranger was stands in the Received field that the relay wrote:
 * the uppermost one, because the MTA adds its own after the filter. A field is
 * read only when a host that is trusted wrote it; those below are a stranger's.
 */
#ifndef POLICY_SENDER_RECEIVED_H
#define POLICY_SENDER_RECEIVED_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "policy/base/netblock.h"
#include "policy/sender/header.h"

#define RECEIVED_RELAYS_MAX	20	/* relays of ours in a row; more is unreadable */

/* Who handed a message to the host that wrote a Received field. */
struct received_client {
	struct ip_address ip;
	const char *address;	/* the same as text, in the usual form */
	const char *helo;	/* its HELO argument as the field has it, or NULL */
};

enum received_outcome {
	RECEIVED_CLIENT,    /* *client_r is the client */
	RECEIVED_LOCAL,     /* no stranger: the message began on the host that wrote the field, by a
			     * program there or by a user who had logged in (RFC 3848) */
	RECEIVED_UNREADABLE /* the field does not say, or could be read in two ways */
};

/*
 * received_read - the client that one Received field names
 *
 * value: what follows the colon, len octets, folds as LF or CRLF. Understood is how Postfix,
 * Sendmail and OpenSMTPD write it, "from HELO (NAME [ADDRESS])", and Exim, "from NAME
 * ([ADDRESS] helo=HELO)" and "from [ADDRESS] (helo=HELO)". Texts are on ctx.
 */
enum received_outcome received_read(TALLOC_CTX *ctx, const char *value, size_t len,
    struct received_client *client_r);

/*
 * received_find_client - the first client that is no relay of ours
 *
 * list: the header as it came from a relay of ours. relays: our networks, n of them.
 * RECEIVED_LOCAL also if the fields end before a stranger is found.
 */
enum received_outcome received_find_client(TALLOC_CTX *ctx, const struct header_list *list,
    const struct netblock *relays, size_t n, struct received_client *client_r);

#endif

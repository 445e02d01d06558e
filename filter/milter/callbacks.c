/*
 * callbacks.c - libmilter arguments and macros into session calls, verdicts into statuses
 *
 * Nothing else happens here. Negotiated away is what no listener uses (DATA,
 * unknown commands, HELO without SPF). Header fields and body pieces are taken
 * without reply if the MTA offers it: answering them is most of a filter's
 * CPU time. Under a no-reply bit every return but SMFIS_NOREPLY is an error,
 * so those callbacks only store, and what they found is said at the next
 * command that has a reply. CONNECT and end of header keep theirs.
 *
 * Thread rule: callbacks of one session run one at a time on any thread; those
 * of different sessions at once. `served` is the one pointer libmilter leaves
 * us no other way to pass; it is set before smfi_main() and only read after.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "filter/base/log.h"
#include "filter/message/session.h"
#include "filter/milter/apply.h"
#include "filter/milter/callbacks.h"

#define NEEDED_ACTIONS	(SMFIF_ADDHDRS | SMFIF_CHGHDRS)

static struct daemon *served;

/* What libmilter keeps for us per connection. */
struct private {
	struct session *session;
	bool header_without_reply;
	bool body_without_reply;
	bool sees_refused_rcpt;	/* RCPTs that the MTA refuses come, too */
};

/* private_of - what belongs to a connection, or NULL */
static struct private *
private_of(SMFICTX *ctx)
{
	return smfi_getpriv(ctx);
}

/* macro - a macro's value, or NULL */
static const char *
macro(SMFICTX *ctx, const char *name)
{
	return smfi_getsymval(ctx, (char *)(uintptr_t)name);
}

/*
 * ask_macros - the short list we need; Sendmail refuses all mail when it is long
 *
 * libmilter passes over a packet without macros and keeps those of the command's last
 * time. {mail_addr} always comes, so no login outlives its message.
 */
static void
ask_macros(SMFICTX *ctx)
{
	static const struct { int where; const char *names; } lists[] = {
		{ SMFIM_CONNECT, "v {daemon_name} {daemon_port} {client_resolve}" },
		{ SMFIM_HELO, "{tls_version}" },
		{ SMFIM_ENVFROM, "i {mail_addr} {auth_type} {auth_authen} {tls_version}" },
		{ SMFIM_ENVRCPT, "i {rcpt_addr} {rcpt_mailer} {rcpt_host}" },
		{ SMFIM_EOH, "i" },
		{ SMFIM_EOM, "i" },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (smfi_setsymlist(ctx, lists[i].where, (char *)(uintptr_t)lists[i].names) !=
		    MI_SUCCESS)
			log_warning("libmilter refused the macro list \"%s\"", lists[i].names);
}

/* can_serve - does the MTA offer what countersign cannot do without? */
static bool
can_serve(unsigned long actions, unsigned long steps)
{
	if ((actions & NEEDED_ACTIONS) != NEEDED_ACTIONS) {
		log_error(
		    "the MTA does not let filters change header fields; its connection is refused (milter protocol 6 is needed)");
		return false;
	}
	if ((steps & SMFIP_HDR_LEADSPC) == 0) {
		log_error(
		    "the MTA does not offer header values with leading space (SMFIP_HDR_LEADSPC), without which signatures "
		    "would break; its connection is refused (Postfix 2.5, Sendmail 8.14 or later are needed)");
		return false;
	}
	return true;
}

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps, unsigned long unused2,
    unsigned long unused3, unsigned long *actions_r, unsigned long *steps_r,
    unsigned long *unused2_r, unsigned long *unused3_r)
{
	struct private *private = calloc(1, sizeof(*private));
	unsigned long wanted =
	    SMFIP_HDR_LEADSPC | SMFIP_NODATA | SMFIP_NOUNKNOWN | SMFIP_NR_HDR | SMFIP_NR_BODY;

	(void)unused2, (void)unused3;
	if (private == NULL || !can_serve(actions, steps)) {
		free(private);
		return SMFIS_REJECT;
	}
	private->session = session_new(served);
	private->session->helo_negotiated = session_needs_helo(private->session);
	if (!private->session->helo_negotiated)
		wanted |= SMFIP_NOHELO;
	/* without its macros such a recipient would look like any other */
	if ((actions & SMFIF_SETSYMLIST) != 0 && session_wants_refused_rcpt(private->session))
		wanted |= SMFIP_RCPT_REJ;
	wanted &= steps;
	private->sees_refused_rcpt = (wanted & SMFIP_RCPT_REJ) != 0;
	private->header_without_reply = (wanted & SMFIP_NR_HDR) != 0;
	private->body_without_reply = (wanted & SMFIP_NR_BODY) != 0;
	if ((actions & SMFIF_SETSYMLIST) != 0)
		ask_macros(ctx);
	*actions_r = NEEDED_ACTIONS | (actions & (SMFIF_QUARANTINE | SMFIF_SETSYMLIST));
	*steps_r = wanted;
	*unused2_r = 0;
	*unused3_r = 0;
	if (smfi_setpriv(ctx, private) == MI_SUCCESS)
		return SMFIS_CONTINUE;
	session_free(private->session);
	free(private);
	return SMFIS_REJECT;
}

static sfsistat
on_connect(SMFICTX *ctx, char *name, _SOCK_ADDR *address)
{
	struct private *private = private_of(ctx);
	char text[INET6_ADDRSTRLEN];
	const char *client = NULL;
	unsigned int port = 0;

	if (private == NULL)
		return SMFIS_TEMPFAIL;
	if (address != NULL && address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;

		client = inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		port = ntohs(in->sin_port);
	} else if (address != NULL && address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;

		client = inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		port = ntohs(in6->sin6_port);
	}
	session_connect(private->session, name, client, port, macro(ctx, "{daemon_name}"),
	    macro(ctx, "{daemon_port}"), macro(ctx, "v"));
	session_resolved(private->session, macro(ctx, "{client_resolve}"));
	return SMFIS_CONTINUE;
}

static sfsistat
on_helo(SMFICTX *ctx, char *helo)
{
	struct private *private = private_of(ctx);

	if (private == NULL)
		return SMFIS_TEMPFAIL;
	session_helo(private->session, helo, macro(ctx, "{tls_version}"));
	return SMFIS_CONTINUE;
}

/* declared_size - SIZE= among the parameters of MAIL, 0 if there is none */
static uint64_t
declared_size(char **argv)
{
	for (size_t i = 1; argv[0] != NULL && argv[i] != NULL; i++)
		if (strncasecmp(argv[i], "SIZE=", 5) == 0)
			return strtoull(argv[i] + 5, NULL, 10);
	return 0;
}

/* declares_utf8 - is SMTPUTF8 among the parameters of MAIL (RFC 6531)? */
static bool
declares_utf8(char **argv)
{
	for (size_t i = 1; argv[0] != NULL && argv[i] != NULL; i++)
		if (strcasecmp(argv[i], "SMTPUTF8") == 0)
			return true;
	return false;
}

static sfsistat
on_mail(SMFICTX *ctx, char **argv)
{
	struct private *private = private_of(ctx);
	const struct mail_macros macros = {
		.auth_authen = macro(ctx, "{auth_authen}"),
		.auth_type = macro(ctx, "{auth_type}"),
		.tls_version = macro(ctx, "{tls_version}"),
		.queue_id = macro(ctx, "i"),
		.size = declared_size(argv),
		.smtputf8 = declares_utf8(argv),
	};

	if (private == NULL)
		return SMFIS_TEMPFAIL;
	return apply_reply(
	    ctx, message_mail(private->session, argv[0] != NULL ? argv[0] : "", &macros));
}

/* is_refused_rcpt - whether the MTA itself refuses this recipient: {rcpt_host} is then the enhanced
 * status code, {rcpt_addr} the text of its reply */
static bool
is_refused_rcpt(SMFICTX *ctx)
{
	const char *mailer = macro(ctx, "{rcpt_mailer}");

	return mailer != NULL && strcmp(mailer, "error") == 0;
}

static sfsistat
on_rcpt(SMFICTX *ctx, char **argv)
{
	struct private *private = private_of(ctx);

	if (private == NULL || private->session->message == NULL)
		return SMFIS_TEMPFAIL;
	if (private->sees_refused_rcpt && is_refused_rcpt(ctx)) {
		message_rcpt_refused(private->session, argv[0] != NULL ? argv[0] : "",
		    macro(ctx, "{rcpt_host}"), macro(ctx, "{rcpt_addr}"));
		return SMFIS_CONTINUE;
	}
	return apply_reply(ctx, message_rcpt(private->session, argv[0] != NULL ? argv[0] : "",
	    macro(ctx, "{rcpt_addr}"), macro(ctx, "i")));
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
	struct private *private = private_of(ctx);

	if (private == NULL)
		return SMFIS_TEMPFAIL;
	if (private->session->message != NULL)
		message_header(private->session, name, value);
	return private->header_without_reply ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static sfsistat
on_header_end(SMFICTX *ctx)
{
	struct private *private = private_of(ctx);

	if (private == NULL || private->session->message == NULL)
		return SMFIS_TEMPFAIL;
	return apply_reply(ctx, message_header_end(private->session, macro(ctx, "i")));
}

static sfsistat
on_body(SMFICTX *ctx, unsigned char *bytes, size_t len)
{
	struct private *private = private_of(ctx);

	if (private == NULL)
		return SMFIS_TEMPFAIL;
	if (private->session->message != NULL)
		message_body(private->session, bytes, len);
	return private->body_without_reply ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static sfsistat
on_end(SMFICTX *ctx)
{
	struct private *private = private_of(ctx);
	const struct verdict *verdict;
	sfsistat status;

	if (private == NULL || private->session->message == NULL)
		return SMFIS_TEMPFAIL;
	verdict = message_end(private->session, macro(ctx, "i"));
	status = apply_end(ctx, verdict, &private->session->message->edits);
	/* Sendmail sends nothing between messages, so this one ends here */
	message_finish(private->session);
	return status;
}

static sfsistat
on_abort(SMFICTX *ctx)
{
	struct private *private = private_of(ctx);

	if (private != NULL)
		message_finish(private->session);
	return SMFIS_CONTINUE;
}

static sfsistat
on_close(SMFICTX *ctx)
{
	struct private *private = private_of(ctx);

	/* without negotiation (a monitor that opens and closes the port) there is nothing */
	if (private == NULL)
		return SMFIS_CONTINUE;
	session_free(private->session);
	free(private);
	(void)smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

/* callbacks_register - register our callbacks with libmilter */
int
callbacks_register(struct daemon *daemon)
{
	static char name[] = "countersign";
	struct smfiDesc description = {
		.xxfi_name = name,
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = NEEDED_ACTIONS | SMFIF_QUARANTINE | SMFIF_SETSYMLIST,
		.xxfi_connect = on_connect,
		.xxfi_helo = on_helo,
		.xxfi_envfrom = on_mail,
		.xxfi_envrcpt = on_rcpt,
		.xxfi_header = on_header,
		.xxfi_eoh = on_header_end,
		.xxfi_body = on_body,
		.xxfi_eom = on_end,
		.xxfi_abort = on_abort,
		.xxfi_close = on_close,
		.xxfi_negotiate = on_negotiate,
	};

	served = daemon;
	return smfi_register(description) == MI_SUCCESS ? 0 : -1;
}

/*
 * check_sendmail.c - does mail get to countersign, by sendmail.cf?
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "filter/doctor/inside.h"
#include "policy/base/mem.h"

#define SENDMAIL_LINE "INPUT_MAIL_FILTER(`countersign', `S=inet:8891@127.0.0.1, F=T, " \
	"T=C:10s;S:30s;R:60s;E:2m')dnl"

/* names_filter - is it in a list of filters? */
static bool
names_filter(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (; list != NULL && *list != '\0'; list += strspn(list, ", ;\t")) {
		size_t word = strcspn(list, ", ;\t");

		if (word == len && strncmp(list, name, len) == 0)
			return true;
		list += word;
	}
	return false;
}

/* check_used - InputMailFilters of all, or of a listener */
static void
check_used(struct exam *exam, const struct sendmail_line *filter)
{
	const struct sendmail *sendmail = exam->site->sendmail;
	const struct sendmail_line *all = sendmail_find(sendmail, 'O', "InputMailFilters");
	bool general = all != NULL && names_filter(all->value, filter->name), some = general;

	for (size_t i = 0; i < sendmail->n; i++) {
		const struct sendmail_line *line = &sendmail->lines[i];
		const char *own;

		if (line->kind != 'O' || strcasecmp(line->name, "DaemonPortOptions") != 0)
			continue;
		own = sendmail_key(exam->ctx, line->value, "InputMailFilters");
		if (own != NULL && names_filter(own, filter->name))
			some = true;
		else if (own != NULL)
			exam_add(exam, "sendmail.no-filter",
			    sendmail_where(exam->ctx, sendmail, line),
			    exam_text(exam, "InputMailFilters=%s", filter->name),
			    "this listener has InputMailFilters=%s, without %s: its mail does not "
			    "come to countersign", own, filter->name);
	}
	if (!some)
		exam_add(exam, "sendmail.no-filter",
		    sendmail_where(exam->ctx, sendmail, all != NULL ? all : filter),
		    exam_text(exam, "O InputMailFilters=%s (INPUT_MAIL_FILTER writes it)",
			filter->name),
		    "the filter %s is defined, and InputMailFilters does not name it",
		    filter->name);
}

/* check_flag - what happens while we are away */
static void
check_flag(struct exam *exam, const struct sendmail_line *filter)
{
	const char *flags = sendmail_key(exam->ctx, filter->value, "F");
	const char *where = sendmail_where(exam->ctx, exam->site->sendmail, filter);

	if (flags == NULL || strpbrk(flags, "TR4") == NULL)
		exam_add(exam, "sendmail.flag", where, SENDMAIL_LINE,
		    "the filter %s has no F=T: while countersign is away, mail passes unchecked "
		    "and unsigned", filter->name);
	else if (strchr(flags, 'R') != NULL)
		exam_add_level(exam, DOCTOR_WARNING, "sendmail.flag", where, SENDMAIL_LINE,
		    "the filter %s has F=R: while countersign is away, mail is rejected instead of "
		    "deferred", filter->name);
}

/* blames - does DontBlameSendmail allow it? */
static bool
blames(const struct sendmail *sendmail, const char *word)
{
	const struct sendmail_line *line = sendmail_find(sendmail, 'O', "DontBlameSendmail");

	return line == NULL || strcasestr(line->value, word) == NULL;
}

/* check_safe - Sendmail refuses a socket that others could have put there */
static void
check_safe(struct exam *exam, const char *path)
{
	const struct sendmail *sendmail = exam->site->sendmail;
	char *part = mem_strdup(exam->ctx, path);
	struct stat st;

	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (stat(part, &st) == 0 &&
		    (((st.st_mode & S_IWOTH) != 0 &&
			 ((st.st_mode & S_ISVTX) == 0 || blames(sendmail, "TrustStickyBit"))) ||
			((st.st_mode & S_IWGRP) != 0 && (st.st_mode & S_ISVTX) == 0 &&
			    blames(sendmail, "GroupWritableDirPath"))))
			exam_add(exam, "sendmail.socket-unsafe", part,
			    exam_text(exam, "chmod go-w %s", part),
			    "others can write to this directory (mode %04o), so Sendmail refuses "
			    "the socket %s as unsafe", (unsigned int)(st.st_mode & 07777), path);
		*slash = '/';
	}
	if (stat(path, &st) == 0 && (st.st_mode & S_IWOTH) != 0)
		exam_add(exam, "sendmail.socket-unsafe", path,
		    exam_text(exam, "chmod o-w %s", path),
		    "everyone can write to the socket (mode %04o), so Sendmail refuses it",
		    (unsigned int)(st.st_mode & 07777));
}

/* check_rewriting - what changes From after us */
static void
check_rewriting(struct exam *exam)
{
	const struct sendmail *sendmail = exam->site->sendmail;
	const struct sendmail_line *masquerade = sendmail_find(sendmail, 'D', "M");
	const struct sendmail_line *generics = sendmail_find(sendmail, 'K', "generics");
	const struct sendmail_line *quote = sendmail_find(sendmail, 'O', "MustQuoteChars");

	if (!config_signs(exam->site->config))
		return;
	if (masquerade != NULL && masquerade->value[0] != '\0')
		exam_add(exam, "sendmail.masquerade",
		    sendmail_where(exam->ctx, sendmail, masquerade),
		    "take MASQUERADE_AS out of sendmail.mc, or set sign_as",
		    "MASQUERADE_AS(%s) rewrites From after the message was signed",
		    masquerade->value);
	if (generics != NULL)
		exam_add(exam, "sendmail.masquerade",
		    sendmail_where(exam->ctx, sendmail, generics),
		    "take FEATURE(genericstable) out of sendmail.mc, or set sign_as",
		    "genericstable rewrites From after the message was signed");
	if (quote == NULL || strchr(quote->value, '.') != NULL)
		exam_add(exam, "sendmail.quote-chars", sendmail_where(exam->ctx, sendmail, quote),
		    "define(`confMUST_QUOTE_CHARS', `')dnl",
		    "Sendmail puts names with a full stop into quotation marks after they were "
		    "signed");
}

/* has_submission - is there a listener section for users? */
static bool
has_submission(const struct config *config)
{
	for (size_t i = 0; !config->auto_roles && i < config->n_listeners; i++)
		if (config->listeners[i].role == ROLE_SUBMISSION)
			return true;
	return false;
}

/* check_passwords - M=a of the MSA, p of AuthOptions */
static void
check_passwords(struct exam *exam)
{
	const struct sendmail *sendmail = exam->site->sendmail;
	const struct sendmail_line *options = sendmail_find(sendmail, 'O', "AuthOptions");
	const struct sendmail_line *mechanisms = sendmail_find(sendmail, 'O', "AuthMechanisms");
	const struct sendmail_line *last = NULL;

	for (size_t i = 0; i < sendmail->n; i++) {
		const struct sendmail_line *line = &sendmail->lines[i];

		if (line->kind == 'O' && strcasecmp(line->name, "DaemonPortOptions") == 0 &&
		    (strcasestr(line->value, "Name=MSA") != NULL ||
			strcasestr(line->value, "submission") != NULL ||
			strstr(line->value, "587") != NULL))
			last = line;
	}
	if (!site_sendmail_asks(exam->ctx, sendmail) && has_submission(exam->site->config))
		exam_add(exam, "auth.none", sendmail_where(exam->ctx, sendmail, last),
		    "DAEMON_OPTIONS(`Name=MSA, Port=submission, M=Ea')dnl",
		    "a listener has the role submission, and no daemon of Sendmail requires a "
		    "login (M=a)");
	if (mechanisms != NULL && strpbrk(mechanisms->value, "PL") != NULL &&
	    (strstr(mechanisms->value, "PLAIN") != NULL ||
		strstr(mechanisms->value, "LOGIN") != NULL) &&
	    (options == NULL || strchr(options->value, 'p') == NULL))
		exam_add(exam, "auth.without-tls", sendmail_where(exam->ctx, sendmail, options),
		    "define(`confAUTH_OPTIONS', `A,p')dnl",
		    "AuthOptions has no p: passwords may be sent without TLS");
}

/* sendmail_relays - for strangers? FEATURE(promiscuous_relay) leaves out the ruleset that asks who
 * may; relay_local_from lets everyone who writes a local address into MAIL FROM */
static void
sendmail_relays(struct exam *exam)
{
	const struct sendmail *sendmail = exam->site->sendmail;
	const struct sendmail_line *rules = sendmail_find(sendmail, 'S', "Basic_check_rcpt");

	if (rules == NULL)
		return;
	if (sendmail_find(sendmail, 'S', "Relay_ok") == NULL)
		exam_add(exam, "relay.open", sendmail_where(exam->ctx, sendmail, rules),
		    "take FEATURE(promiscuous_relay) out of sendmail.mc",
		    "Sendmail relays mail from strangers to strangers");
	for (size_t i = 0; i < sendmail->n; i++) {
		const struct sendmail_line *line = &sendmail->lines[i];

		if (line->kind == 'R' && strstr(line->value, "$=w") != NULL &&
		    strstr(line->value, "$@ RELAY") != NULL &&
		    strstr(line->value, "FROM local") != NULL)
			exam_add(exam, "relay.open", sendmail_where(exam->ctx, sendmail, line),
			    "take FEATURE(relay_local_from) out of sendmail.mc",
			    "Sendmail relays for everyone who writes a local address into MAIL "
			    "FROM");
	}
}

void
examine_sendmail(struct exam *exam)
{
	const struct site *site = exam->site;
	const struct sendmail_line *filter;
	struct endpoint ours;

	if (site->sendmail == NULL || site->config == NULL)
		return;
	sendmail_relays(exam);
	filter = site_sendmail_filter(exam->ctx, site);
	if (filter == NULL) {
		exam_add(exam, "sendmail.no-filter", site->sendmail->path, SENDMAIL_LINE,
		    "no filter of Sendmail uses countersign's socket %s", site->config->listen);
		return;
	}
	ours = endpoint_read(exam->ctx, site->config->listen_spec);
	check_used(exam, filter);
	check_flag(exam, filter);
	if (ours.path != NULL)
		check_safe(exam, ours.path);
	check_rewriting(exam);
	check_passwords(exam);
}

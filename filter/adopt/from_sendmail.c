/*
 * from_sendmail.c - reading Sendmail: its daemons, filters, and the hosts that it relays for
 *
 * sendmail.cf is what it runs with; without one, sendmail.mc is read. The lines to change are those
 * of sendmail.mc in any case.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "filter/adopt/sendmail_mc.h"
#include "policy/base/mem.h"

#define MC_FILE "/etc/mail/sendmail.mc"

static const char *const usual[] = { "/etc/mail/sendmail.cf", "/etc/sendmail.cf", MC_FILE, NULL };

/* Daemons of DaemonPortOptions. */
struct daemons {
	struct adopt_texts users; /* names of those for users */
	struct adopt_texts strangers;
	const char *where;     /* of the first for users */
	bool login_everywhere; /* AUTH is offered to strangers, too */
};

/* --- reading --------------------------------------------------------------- */

bool
adopt_sendmail_read(struct adopt *adopt, const char **error_r)
{
	const char *path = adopt->options->sendmail_cf;

	if (path == NULL)
		path = adopt_first(usual);
	if (path == NULL)
		return false;
	if (sendmail_mc_is(path)) {
		adopt->sendmail = sendmail_mc_read(adopt, path);
		if (adopt->sendmail == NULL)
			*error_r = mem_printf(adopt, "%s cannot be read", path);
	} else {
		adopt->sendmail = sendmail_read(adopt, path, error_r);
		if (adopt->sendmail != NULL)
			adopt_text(adopt, &adopt->report->read, "%s", path);
	}
	return adopt->sendmail != NULL;
}

/* mc_file - the file to change */
static const char *
mc_file(const struct adopt *adopt)
{
	return sendmail_mc_is(adopt->sendmail->path) ? adopt->sendmail->path : MC_FILE;
}

/* --- names ----------------------------------------------------------------- */

/* host_names - the names that Sendmail takes mail for */
static void
host_names(struct adopt *adopt)
{
	static const char path[] = "/etc/mail/local-host-names";
	char *text = adopt_file(adopt, path), *line;
	int number = 0;

	if (text != NULL)
		adopt_text(adopt, &adopt->report->read, "%s", path);
	while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
		line[strcspn(line, "# \t")] = '\0';
		if (strncasecmp(line, "localhost", 9) != 0)
			adopt_add_domain(adopt, line);
	}
}

/* sendmail_find_names - the domain of the host, and of logins */
static void
sendmail_find_names(struct adopt *adopt)
{
	const struct sendmail_line *mask = sendmail_find(adopt->sendmail, 'D', "M");
	const struct sendmail_line *realm = sendmail_find(adopt->sendmail, 'O', "AuthRealm");
	char host[256] = "";

	if (mask != NULL && mask->value[0] != '\0') {
		adopt_add_domain(adopt, mask->value);
		adopt_note(adopt,
		    "%s: Sendmail writes addresses as %s after the filter, which breaks signatures of "
		    "mail that changes so; let mail programs write that domain, or leave MASQUERADE_AS "
		    "out",
		    sendmail_where(adopt, adopt->sendmail, mask), mask->value);
	}
	host_names(adopt);
	(void)gethostname(host, sizeof(host) - 1);
	if (adopt->domains.n == 0 && strchr(host, '.') != NULL)
		adopt_add_domain(adopt, strchr(host, '.') + 1);
	if (realm != NULL && strchr(realm->value, '.') != NULL)
		adopt_set(adopt, PLACE_IDENTITY, sendmail_where(adopt, adopt->sendmail, realm),
		    "realm = %s", adopt_quoted(adopt, realm->value));
	else if (adopt->domain != NULL)
		adopt_set(adopt, PLACE_IDENTITY,
		    "logins of Sendmail are UNIX users, without a domain", "realm = %s",
		    adopt_quoted(adopt, adopt->domain));
	adopt_note(adopt,
	    "Sendmail has no table of senders: so far a login could write as anyone. Now a login "
	    "owns the address equal to it, and nothing else; name addresses in accounts, or tables "
	    "in owners, before you set mode = \"enforce\"");
}

/* --- daemons --------------------------------------------------------------- */

/* is_for_users - the submission port, or one where a login is required */
static bool
is_for_users(struct adopt *adopt, const char *options)
{
	const char *port = sendmail_key(adopt, options, "Port");
	const char *modifiers = sendmail_key(adopt, options, "M");

	if (modifiers == NULL)
		modifiers = sendmail_key(adopt, options, "Modifiers");
	return (port != NULL &&
		   (strncasecmp(port, "submission", 10) == 0 || strcmp(port, "587") == 0 ||
		       strcasecmp(port, "smtps") == 0 || strcmp(port, "465") == 0)) ||
	    (modifiers != NULL && strchr(modifiers, 'a') != NULL);
}

/* add_daemon - one of DaemonPortOptions */
static void
add_daemon(struct adopt *adopt, struct daemons *daemons, const struct sendmail_line *line)
{
	const char *name = sendmail_key(adopt, line->value, "Name");
	const char *modifiers = sendmail_key(adopt, line->value, "M");

	if (name == NULL)
		adopt_missing(adopt, "%s: this daemon has no Name=, by which listeners know it",
		    sendmail_where(adopt, adopt->sendmail, line));
	else if (is_for_users(adopt, line->value)) {
		if (daemons->where == NULL)
			daemons->where = sendmail_where(adopt, adopt->sendmail, line);
		adopt_text(adopt, &daemons->users, "%s", name);
	} else {
		adopt_text(adopt, &daemons->strangers, "%s", name);
		daemons->login_everywhere = daemons->login_everywhere || modifiers == NULL ||
		    strchr(modifiers, 'A') == NULL;
	}
}

/* find_daemons - all of them, or Sendmail's own */
static void
find_daemons(struct adopt *adopt, struct daemons *daemons)
{
	const struct sendmail *sendmail = adopt->sendmail;
	bool own_msa = true;

	for (size_t i = 0; i < sendmail->n; i++) {
		const struct sendmail_line *line = &sendmail->lines[i];

		if (line->kind == 'O' && strcasecmp(line->name, "DaemonPortOptions") == 0)
			add_daemon(adopt, daemons, line);
		own_msa = own_msa && strcmp(line->name, "no_default_msa") != 0;
	}
	if (daemons->strangers.n == 0) {
		adopt_text(adopt, &daemons->strangers, "MTA");
		daemons->login_everywhere = true;
	}
	if (daemons->users.n == 0 && own_msa && sendmail_mc_is(sendmail->path)) {
		adopt_text(adopt, &daemons->users, "MSA");
		daemons->where = "the MSA that Sendmail adds by itself";
	}
	if (sendmail_find(sendmail, 'O', "AuthMechanisms") == NULL)
		daemons->login_everywhere = false;
}

/* --- hosts ----------------------------------------------------------------- */

/* as_network - "10.1" of an access table as 10.1.0.0/16; NULL: it is a name */
static const char *
as_network(struct adopt *adopt, const char *text)
{
	int parts = 1;

	if (strncasecmp(text, "IPv6:", 5) == 0)
		return mem_strdup(adopt, text + 5);
	if (strchr(text, ':') != NULL && text[strspn(text, "0123456789abcdefABCDEF:./")] == '\0')
		return text;
	if (text[0] == '\0' || text[strspn(text, "0123456789./")] != '\0')
		return NULL;
	if (strchr(text, '/') != NULL)
		return text;
	for (const char *p = text; *p != '\0'; p++)
		parts += *p == '.' && p[1] != '\0';
	return parts >= 4 ? text
			  : mem_printf(adopt, "%.*s%s/%d", (int)strlen(text), text,
				parts == 1       ? ".0.0.0"
				    : parts == 2 ? ".0.0"
						 : ".0",
				8 * parts);
}

/* relay_file - networks of a file: of relay-domains all, of access those with RELAY */
static void
relay_file(struct adopt *adopt, const char *path, bool access_table)
{
	char *text = adopt_file(adopt, path), *line;
	int number = 0;

	if (text != NULL)
		adopt_text(adopt, &adopt->report->read, "%s", path);
	while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
		char *key = line + strspn(line, " \t"), *value;
		const char *network, *where = mem_printf(adopt, "%s:%d", path, number);

		key[strcspn(key, "#")] = '\0';
		value = key + strcspn(key, " \t");
		if (*value != '\0')
			*value++ = '\0';
		value += strspn(value, " \t");
		if (access_table &&
		    (strncasecmp(key, "ClientRate:", 11) == 0 ||
			strncasecmp(key, "ClientConn:", 11) == 0)) {
			adopt_note(adopt,
			    "%s: %s %s is Sendmail's own limit and stays in effect in addition to "
			    "the plans",
			    where, key, value);
			continue;
		}
		if (strncasecmp(key, "Connect:", 8) == 0)
			key += 8;
		if (access_table && strncasecmp(value, "RELAY", 5) != 0)
			continue;
		network = as_network(adopt, key);
		if (network != NULL)
			adopt_networks(adopt, network, where);
		else if (key[0] != '\0' && access_table && strncasecmp(key, "localhost", 9) != 0)
			adopt_missing(adopt,
			    "%s: %s may relay by its name; write the addresses of its hosts into "
			    "client = [...] of a listener of role relay",
			    where, key);
	}
}

/* --- filters --------------------------------------------------------------- */

/* is_signer - OpenDKIM's filter */
static bool
is_signer(struct adopt *adopt, const struct sendmail_line *filter)
{
	const char *socket = sendmail_key(adopt, filter->value, "S");

	if (strcasestr(filter->name, "opendkim") != NULL || strcasecmp(filter->name, "dkim") == 0 ||
	    strcasecmp(filter->name, "dkim-filter") == 0 ||
	    strstr(filter->value, "opendkim") != NULL)
		return true;
	for (size_t i = 0; socket != NULL && i < adopt->opendkim_sockets.n; i++)
		if (strcmp(adopt->opendkim_sockets.items[i], socket) == 0)
			return true;
	return false;
}

/* signer_goes - a filter that countersign takes the place of */
static bool
signer_goes(struct adopt *adopt, const struct sendmail_line *filter)
{
	if (!is_signer(adopt, filter))
		return false;
	if (!adopt->opendkim)
		adopt_missing(adopt,
		    "%s: the filter %s signs, but no opendkim.conf was read: it stays. Name the file "
		    "with --opendkim FILE, and its keys are taken over",
		    sendmail_where(adopt, adopt->sendmail, filter), filter->name);
	else if (adopt->opendkim_stays != NULL)
		adopt_note(adopt, "%s: the filter %s (opendkim) stays, see above",
		    sendmail_where(adopt, adopt->sendmail, filter), filter->name);
	return adopt->opendkim && adopt->opendkim_stays == NULL;
}

/* back_define - the line of the way back for a define() that was changed */
static void
back_define(struct adopt *adopt, const char *option, const char *name)
{
	const struct sendmail_line *old = sendmail_find(adopt->sendmail, 'O', option);

	/* of a sendmail.cf, what the file has may be a default */
	if (old != NULL && (sendmail_mc_is(adopt->sendmail->path) || old->value[0] != '\0'))
		adopt_back(adopt, "#   define(`%s', `%s')dnl%s", name, old->value,
		    sendmail_mc_is(adopt->sendmail->path) ? ""
							  : ", or no such line if there was none");
	else
		adopt_back(adopt, "#   remove the line of %s", name);
}

/* keep_copy - the way back is a copy of the file */
static void
keep_copy(struct adopt *adopt, const char *file)
{
	const char *shell = adopt_shell(adopt, file);

	adopt_command(adopt, "cp -p %s %s.before-countersign", shell, shell);
	adopt_back(adopt, "cp -p %s.before-countersign %s", shell, shell);
	adopt_back(adopt, "# or, if other lines were changed since, in %s:", file);
}

/* note_filter - a filter that does what countersign does, too */
static void
note_filter(struct adopt *adopt, const struct sendmail_line *filter)
{
	if (strcasestr(filter->name, "dmarc") != NULL ||
	    strcasestr(filter->value, "opendmarc") != NULL ||
	    strstr(filter->value, "inet:8893@") != NULL)
		adopt_note_opendmarc(
		    adopt, sendmail_where(adopt, adopt->sendmail, filter), filter->name);
}

/* set_filters - the lines for sendmail.mc */
static void
set_filters(struct adopt *adopt)
{
	const struct sendmail *sendmail = adopt->sendmail;
	const struct sendmail_line *list = sendmail_find(sendmail, 'O', "InputMailFilters");
	const char *file = mc_file(adopt);
	char *others = mem_strdup(adopt, "countersign");
	bool several = false;

	keep_copy(adopt, file);
	for (size_t i = 0; i < sendmail->n; i++) {
		const struct sendmail_line *line = &sendmail->lines[i];

		if (line->kind != 'X')
			continue;
		note_filter(adopt, line);
		if (!signer_goes(adopt, line)) {
			others = mem_printf(adopt, "%s, %s", others, line->name);
			several = true;
			continue;
		}
		adopt_edit(adopt, file, NULL,
		    sendmail_mc_is(sendmail->path)
			? mem_printf(adopt, "in place of line %d: both would sign", line->line)
			: "in place of its line: both would sign",
		    "dnl INPUT_MAIL_FILTER(`%s', `%s')", line->name, line->value);
		adopt_back(adopt, "# in %s: INPUT_MAIL_FILTER(`%s', `%s')dnl", file, line->name,
		    line->value);
	}
	adopt_edit(adopt, file, NULL, "above the MAILER lines",
	    "INPUT_MAIL_FILTER(`countersign', `S=%s, F=T, T=C:10s;S:30s;R:60s;E:2m')dnl",
	    adopt->endpoint);
	adopt_back(adopt, "#   remove the INPUT_MAIL_FILTER line of countersign");
	if (several || (list != NULL && list->value[0] != '\0')) {
		adopt_edit(adopt, file, NULL,
		    "countersign comes first, before filters that change mail; below all "
		    "INPUT_MAIL_FILTER lines, in place of a line that is there",
		    "define(`confINPUT_MAIL_FILTERS', `%s')dnl", others);
		back_define(adopt, "InputMailFilters", "confINPUT_MAIL_FILTERS");
	}
	adopt_edit(adopt, file, NULL,
	    "Sendmail puts names such as J. Smith in quotation marks after they were signed",
	    "define(`confMUST_QUOTE_CHARS', `')dnl");
	back_define(adopt, "MustQuoteChars", "confMUST_QUOTE_CHARS");
	adopt_back(adopt, "make -C /etc/mail && systemctl restart sendmail");
}

/* note_limits - Sendmail's own limits for clients, which stay in effect */
static void
note_limits(struct adopt *adopt)
{
	static const char *const options[] = { "ConnectionRateThrottle", "ConnectionRateWindowSize",
		"MaxRecipientsPerMessage", "BadRcptThrottle", "MaxMessageSize", "MaxDaemonChildren",
		"MaxNOOPCommands" };
	static const char *const features[] = { "ratecontrol", "conncontrol" };

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const struct sendmail_line *line = sendmail_find(adopt->sendmail, 'O', options[i]);

		if (line != NULL && line->value[0] != '\0')
			adopt_note(adopt,
			    "%s: %s = %s is Sendmail's own limit and stays in effect in addition "
			    "to the plans",
			    sendmail_where(adopt, adopt->sendmail, line), options[i], line->value);
	}
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		const struct sendmail_line *line = sendmail_find(adopt->sendmail, 'F', features[i]);

		if (line != NULL)
			adopt_note(adopt,
			    "%s: FEATURE(`%s') is Sendmail's own limit and stays in effect in "
			    "addition "
			    "to the plans",
			    sendmail_where(adopt, adopt->sendmail, line), features[i]);
	}
}

/* --- listeners ------------------------------------------------------------- */

/* set_listeners - users, sendmail(1), hosts, strangers */
static void
set_listeners(struct adopt *adopt, const struct daemons *daemons)
{
	const char *over = adopt->n_limits > 0 ? "  on_over = \"warn\"" : "";
	const char *strangers = adopt_list(adopt, &daemons->strangers);

	if (daemons->users.n > 0)
		adopt_set(adopt, PLACE_LISTENERS, daemons->where,
		    "users = { role = \"submission\"  daemon = %s  login = true }",
		    adopt_list(adopt, &daemons->users));
	if (daemons->login_everywhere)
		adopt_set(adopt, PLACE_LISTENERS,
		    "AUTH is offered to strangers, too; M=A in DAEMON_OPTIONS would stop that",
		    "smtp = { role = \"submission\"  daemon = %s  login = true }", strangers);
	adopt_set(adopt, PLACE_LISTENERS, "sendmail(1) hands its mail to the MTA over loopback",
	    "msp = { role = \"local\"  client = [\"127.0.0.0/8\", \"::1\"]%s }", over);
	relay_file(adopt, "/etc/mail/relay-domains", false);
	relay_file(adopt, "/etc/mail/access", true);
	adopt_set_networks(adopt);
	adopt_set(adopt, PLACE_LISTENERS, "everyone else", "mx = { role = \"inbound\" }");
}

void
adopt_sendmail(struct adopt *adopt)
{
	struct daemons daemons = { .where = NULL };

	sendmail_find_names(adopt);
	find_daemons(adopt, &daemons);
	set_listeners(adopt, &daemons);
	set_filters(adopt);
	note_limits(adopt);
}

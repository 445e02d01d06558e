/*
 * postfix_milters.c - the milters of Postfix: which stay, which go, the lines for main.cf
 *
 * countersign comes first, because what another filter changes breaks its signature. OpenDKIM goes:
 * both would sign. The others stay, with the action they had if they are away.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/adopt/inside.h"
#include "policy/base/mem.h"

/* --- OpenDKIM -------------------------------------------------------------- */

/* is_opendkim - a milter that countersign can take the place of */
static bool
is_opendkim(struct adopt *adopt, const struct postfix *postfix, const char *endpoint)
{
	for (size_t i = 0; i < adopt->opendkim_sockets.n; i++)
		if (adopt_same_place(adopt, postfix, adopt->opendkim_sockets.items[i], endpoint))
			return true;
	return strstr(endpoint, "opendkim") != NULL;
}

/* goes - is it OpenDKIM's, and all that it did is taken over? */
static bool
goes(struct adopt *adopt, const struct postfix *postfix, const char *endpoint)
{
	return adopt->opendkim && adopt->opendkim_stays == NULL &&
	    is_opendkim(adopt, postfix, endpoint);
}

/* --- lists of milters ------------------------------------------------------ */

/* kept_milter - another milter as it stays in the list */
static const char *
kept_milter(struct adopt *adopt, const struct postfix *postfix, const struct postfix_milter *milter)
{
	const char *action = postfix_value(adopt, postfix, NULL, "milter_default_action");
	const char *options = milter->options + strspn(milter->options, ", \t\n");
	size_t len = strlen(options);

	while (len > 0 && strchr(", \t\n", options[len - 1]) != NULL)
		len--;
	options = mem_strndup(adopt, options, len);
	if (strcmp(action, "tempfail") != 0 &&
	    postfix_milter_option(adopt, milter, "default_action") == NULL)
		options = mem_printf(
		    adopt, "%s%sdefault_action=%s", options, len > 0 ? ", " : "", action);
	return options[0] == '\0' ? milter->endpoint
				  : mem_printf(adopt, "{ %s, %s }", milter->endpoint, options);
}

/* new_list - countersign, and what stays */
static const char *
new_list(struct adopt *adopt, const struct postfix *postfix, const char *value)
{
	size_t n;
	const struct postfix_milter *milters = postfix_milters(adopt, value, &n);
	char *list = mem_strdup(adopt, adopt->endpoint);

	for (size_t i = 0; i < n; i++)
		if (!goes(adopt, postfix, milters[i].endpoint) &&
		    strcmp(milters[i].endpoint, adopt->endpoint) != 0)
			list = mem_check(talloc_asprintf_append_buffer(
			    list, ", %s", kept_milter(adopt, postfix, &milters[i])));
	return list;
}

/* why_milters - a remark on a list */
static const char *
why_milters(struct adopt *adopt, const struct postfix *postfix, const char *value)
{
	size_t n;
	const struct postfix_milter *milters = postfix_milters(adopt, value, &n);
	const char *why = "";

	for (size_t i = 0; i < n; i++)
		if (goes(adopt, postfix, milters[i].endpoint))
			why = mem_printf(
			    adopt, "opendkim (%s) goes: both would sign", milters[i].endpoint);
	return why;
}

/* --- main.cf --------------------------------------------------------------- */

/* back_main - the command that restores a parameter of main.cf */
static void
back_main(struct adopt *adopt, const struct postfix *postfix, const char *name)
{
	const char *directory = adopt_shell(adopt, postfix->directory);

	if (!postfix_set(postfix, name))
		adopt_back(adopt, "postconf -c %s -X %s", directory, name);
	else
		adopt_back(adopt, "postconf -c %s -e %s", directory,
		    adopt_shell(
			adopt, mem_printf(adopt, "%s = %s", name, postfix_raw(postfix, name))));
}

/* set_main - a parameter of main.cf */
static void
set_main(struct adopt *adopt, const struct postfix *postfix, const char *name, const char *value,
    const char *why)
{
	if (postfix_set(postfix, name) &&
	    (strcmp(postfix_value(adopt, postfix, NULL, name), value) == 0 ||
		strcmp(postfix_raw(postfix, name), value) == 0))
		return;
	if (postfix_set(postfix, name))
		why = mem_printf(adopt, "in place of line %s%s%s",
		    strrchr(postfix_where(adopt, postfix, NULL, name), ':') + 1,
		    why[0] != '\0' ? "; " : "", why);
	adopt_edit(adopt, postfix->main_cf, NULL, why, "%s = %s", name, value);
	back_main(adopt, postfix, name);
}

/* set_milter_lists - smtpd_milters and non_smtpd_milters */
static void
set_milter_lists(struct adopt *adopt, const struct postfix *postfix)
{
	const char *smtpd = postfix_value(adopt, postfix, NULL, "smtpd_milters");
	const char *local = postfix_value(adopt, postfix, NULL, "non_smtpd_milters");
	const char *new_smtpd = new_list(adopt, postfix, smtpd);
	const char *new_local = new_list(adopt, postfix, local);
	const char *why = why_milters(adopt, postfix, local);

	set_main(adopt, postfix, "smtpd_milters", new_smtpd, why_milters(adopt, postfix, smtpd));
	set_main(adopt, postfix, "non_smtpd_milters",
	    strcmp(new_smtpd, new_local) == 0 ? "$smtpd_milters" : new_local,
	    local[0] == '\0' ? "mail from sendmail(1) was not filtered so far"
		: why[0] != '\0'
		? mem_printf(adopt, "%s; the listener cron signs mail from sendmail(1)", why)
		: "");
}

/* set_milter_options - what countersign needs of the others */
static void
set_milter_options(struct adopt *adopt, const struct postfix *postfix)
{
	int64_t wait = postfix_ms(adopt, postfix, NULL, "milter_command_timeout");

	if (strcmp(postfix_value(adopt, postfix, NULL, "milter_default_action"), "tempfail") != 0)
		set_main(adopt, postfix, "milter_default_action", "tempfail",
		    "while countersign is stopped, mail is deferred, not passed unchecked");
	if (postfix_set(postfix, "milter_protocol") &&
	    strcmp(postfix_value(adopt, postfix, NULL, "milter_protocol"), "6") != 0)
		set_main(adopt, postfix, "milter_protocol", "6", "countersign needs it");
	if (wait >= 0 && wait < 30000 && postfix_set(postfix, "milter_command_timeout"))
		set_main(adopt, postfix, "milter_command_timeout", "30s",
		    "a lookup of SPF may take 20 s");
	if (postfix_value(adopt, postfix, NULL, "message_strip_characters")[0] == '\0' &&
	    postfix_value(adopt, postfix, NULL, "message_reject_characters")[0] == '\0')
		set_main(adopt, postfix, "message_strip_characters", "\\0",
		    "a NUL would hide the rest of a field from every filter");
	if (postfix_value(adopt, postfix, NULL, "smtpd_milter_maps")[0] != '\0')
		adopt_note(adopt,
		    "%s: smtpd_milter_maps can switch milters off for some clients: see that no "
		    "client that logs in is among them",
		    postfix_where(adopt, postfix, NULL, "smtpd_milter_maps"));
}

/* --- master.cf ------------------------------------------------------------- */

/* set_service_options - take no_milters out of the options of a service where users log in */
static void
set_service_options(
    struct adopt *adopt, const struct postfix *postfix, const struct postfix_service *service)
{
	static const char name[] = "receive_override_options";
	const char *list = postfix_value(adopt, postfix, service, name), *word;
	char *kept = mem_strdup(adopt, "");

	if (!postfix_has_auth(adopt, postfix, service) ||
	    !postfix_has_word(adopt, list, "no_milters"))
		return;
	while ((word = postfix_word(adopt, &list)) != NULL)
		if (strcasecmp(word, "no_milters") != 0)
			kept = mem_printf(
			    adopt, "%s%s%s", kept, kept[0] != '\0' ? "," : "", word);
	adopt_edit(adopt, postfix->master_cf, service->name,
	    mem_printf(adopt, "%swithout no_milters: users log in here",
		postfix_override(service, name) != NULL ? "in place of its own; " : ""),
	    "  -o receive_override_options=%s", kept);
	adopt_back_service(adopt, postfix, service, name);
}

/* set_service_milters - a service that has milters of its own */
static void
set_service_milters(
    struct adopt *adopt, const struct postfix *postfix, const struct postfix_service *service)
{
	const struct postfix_parameter *own = postfix_override(service, "smtpd_milters");
	const char *value, *why;

	if (!postfix_is_smtpd(service) || adopt_takes_mail_back(service))
		return;
	set_service_options(adopt, postfix, service);
	if (own == NULL || (own->value[0] == '\0' && !postfix_has_auth(adopt, postfix, service)))
		return;
	value = new_list(adopt, postfix, own->value);
	if (strcmp(value, own->value) == 0)
		return;
	why = why_milters(adopt, postfix, own->value);
	why = mem_printf(adopt, "in place of its -o smtpd_milters%s%s",
	    why[0] != '\0' ? "; " : "", why);
	/* blanks divide the words of master.cf */
	if (strpbrk(value, " \t") != NULL)
		adopt_edit(adopt, postfix->master_cf, service->name, why,
		    "  -o { smtpd_milters = %s }", value);
	else
		adopt_edit(adopt, postfix->master_cf, service->name, why,
		    "  -o smtpd_milters=%s", value);
	adopt_back_service(adopt, postfix, service, "smtpd_milters");
}

/* --- what else there is ------------------------------------------------- */

/* note_milter - a milter that does what countersign does, too */
static void
note_milter(
    struct adopt *adopt, const struct postfix *postfix, const char *endpoint, const char *where)
{
	const char *colon = strrchr(endpoint, ':');

	if (is_opendkim(adopt, postfix, endpoint) && !adopt->opendkim)
		adopt_missing(adopt,
		    "%s names %s, but no opendkim.conf was read: it stays. Name the file with "
		    "--opendkim FILE, and its keys are taken over",
		    where, endpoint);
	else if (is_opendkim(adopt, postfix, endpoint) && adopt->opendkim_stays != NULL)
		adopt_note(adopt, "%s: opendkim (%s) stays, see above", where, endpoint);
	if (strstr(endpoint, "opendmarc") != NULL ||
	    (strncmp(endpoint, "inet:", 5) == 0 && colon != NULL && strcmp(colon, ":8893") == 0))
		adopt_note_opendmarc(adopt, where, endpoint);
}

/* note_milters - those of a list */
static void
note_milters(struct adopt *adopt, const struct postfix *postfix,
    const struct postfix_service *service, const char *name)
{
	size_t n;
	const struct postfix_milter *milters =
	    postfix_milters(adopt, postfix_value(adopt, postfix, service, name), &n);
	const char *where =
	    mem_printf(adopt, "%s: %s", postfix_where(adopt, postfix, service, name), name);

	for (size_t i = 0; i < n; i++)
		note_milter(adopt, postfix, milters[i].endpoint, where);
}

/* note_rates - Postfix's own limits for clients, which stay in effect */
static void
note_rates(
    struct adopt *adopt, const struct postfix *postfix, const struct postfix_service *service)
{
	static const char *const names[] = { "smtpd_client_message_rate_limit",
		"smtpd_client_recipient_rate_limit", "smtpd_client_connection_rate_limit",
		"smtpd_client_auth_rate_limit", "smtpd_client_newtls_rate_limit",
		"smtpd_client_connection_count_limit", "smtpd_recipient_limit",
		"smtpd_recipient_overshoot_limit", "message_size_limit" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		bool own = service != NULL && postfix_override(service, names[i]) != NULL;

		if (own || (service == NULL && postfix_set(postfix, names[i])))
			adopt_note(adopt,
			    "%s: %s = %s%s%s is Postfix's own limit and stays in effect in "
			    "addition to the plans",
			    postfix_where(adopt, postfix, service, names[i]), names[i],
			    postfix_value(adopt, postfix, service, names[i]),
			    own ? " of service " : "", own ? service->name : "");
	}
}

/* note_content_filter - a content filter, which sees mail after countersign */
static void
note_content_filter(
    struct adopt *adopt, const struct postfix *postfix, const struct postfix_service *service)
{
	const char *filter = postfix_value(adopt, postfix, service, "content_filter");

	if (filter[0] == '\0')
		return;
	adopt_note(adopt,
	    "%s: the content filter %s%s%s sees mail after countersign: if it signs with DKIM, "
	    "switch that off there",
	    postfix_where(adopt, postfix, service, "content_filter"), filter,
	    service != NULL ? " of service " : "", service != NULL ? service->name : "");
}

/* note_others - milters and filters that stay or go */
static void
note_others(struct adopt *adopt, const struct postfix *postfix)
{
	note_milters(adopt, postfix, NULL, "smtpd_milters");
	note_milters(adopt, postfix, NULL, "non_smtpd_milters");
	for (size_t i = 0; i < postfix->n_services; i++)
		if (postfix_is_smtpd(&postfix->services[i]) &&
		    postfix_override(&postfix->services[i], "smtpd_milters") != NULL)
			note_milters(adopt, postfix, &postfix->services[i], "smtpd_milters");
	note_content_filter(adopt, postfix, NULL);
	for (size_t i = 0; i < postfix->n_services; i++)
		if (postfix_override(&postfix->services[i], "content_filter") != NULL)
			note_content_filter(adopt, postfix, &postfix->services[i]);
}

/* keep_copies - for the way back, if nothing else is changed in between */
static void
keep_copies(struct adopt *adopt, const struct postfix *postfix)
{
	const char *const files[] = { postfix->main_cf, postfix->master_cf };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const char *shell = adopt_shell(adopt, files[i]);

		adopt_command(adopt, "cp -p %s %s.before-countersign", shell, shell);
	}
}

void
adopt_postfix_milters(struct adopt *adopt, const struct postfix *postfix)
{
	keep_copies(adopt, postfix);
	note_others(adopt, postfix);
	note_rates(adopt, postfix, NULL);
	for (size_t i = 0; i < postfix->n_services; i++)
		if (postfix_is_smtpd(&postfix->services[i]))
			note_rates(adopt, postfix, &postfix->services[i]);
	set_milter_lists(adopt, postfix);
	set_milter_options(adopt, postfix);
	for (size_t i = 0; i < postfix->n_services; i++)
		set_service_milters(adopt, postfix, &postfix->services[i]);
}

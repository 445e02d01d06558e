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

static const char *const policy_places[] = { "smtpd_client_restrictions", "smtpd_helo_restrictions",
	"smtpd_sender_restrictions", "smtpd_relay_restrictions", "smtpd_recipient_restrictions",
	"smtpd_data_restrictions", "smtpd_end_of_data_restrictions" };

/* --- endpoints ------------------------------------------------------------- */

/* port_of_endpoint - "8891" of inet:localhost:8891, inet:8891@localhost; NULL: another kind */
static const char *
port_of_endpoint(struct adopt *adopt, const char *endpoint)
{
	const char *at = strchr(endpoint, '@'), *colon = strrchr(endpoint, ':');

	if (strncmp(endpoint, "inet", 4) != 0)
		return NULL;
	if (at != NULL) {
		endpoint += strcspn(endpoint, ":");
		return mem_strndup(adopt, endpoint + 1, (size_t)(at - endpoint - 1));
	}
	return colon != NULL ? colon + 1 : NULL;
}

/* same_place - do two endpoints name one socket? Paths of Postfix begin in its queue directory */
static bool
same_place(struct adopt *adopt, const struct postfix *postfix, const char *ours, const char *theirs)
{
	const char *one = port_of_endpoint(adopt, ours), *two = port_of_endpoint(adopt, theirs);
	const char *queue = postfix_value(adopt, postfix, NULL, "queue_directory");
	size_t len = strlen(queue);

	if (one != NULL || two != NULL)
		return one != NULL && two != NULL && strcmp(one, two) == 0;
	one = strchr(ours, ':') != NULL ? strchr(ours, ':') + 1 : ours;
	two = strchr(theirs, ':') != NULL ? strchr(theirs, ':') + 1 : theirs;
	if (strncmp(one, queue, len) == 0)
		one += len;
	if (strncmp(two, queue, len) == 0)
		two += len;
	return strcmp(one + strspn(one, "/"), two + strspn(two, "/")) == 0;
}

/* milters_is_in - is an endpoint one of a list? */
static bool
milters_is_in(struct adopt *adopt, const struct postfix *postfix, const struct adopt_texts *list,
    const char *endpoint)
{
	for (size_t i = 0; i < list->n; i++)
		if (same_place(adopt, postfix, list->items[i], endpoint))
			return true;
	return false;
}

/* is_opendkim - a milter that countersign replaces */
static bool
is_opendkim(struct adopt *adopt, const struct postfix *postfix, const char *endpoint)
{
	return milters_is_in(adopt, postfix, &adopt->opendkim_sockets, endpoint) ||
	    strstr(endpoint, "opendkim") != NULL;
}

/* --- lists of milters ------------------------------------------------------ */

/* kept_milter - another milter as it stays in the list */
static const char *
kept_milter(struct adopt *adopt, const struct postfix *postfix, const struct postfix_milter *milter)
{
	const char *action = postfix_value(adopt, postfix, NULL, "milter_default_action");

	if (milter->options[0] != '\0')
		return mem_printf(adopt, "{ %s%s%s }", milter->endpoint,
		    milter->options[0] == ',' ? "" : ",", milter->options);
	if (strcmp(action, "tempfail") == 0)
		return milter->endpoint;
	return mem_printf(adopt, "{ %s, default_action=%s }", milter->endpoint, action);
}

/* new_list - countersign, and what stays */
static const char *
new_list(struct adopt *adopt, const struct postfix *postfix, const char *value)
{
	size_t n;
	const struct postfix_milter *milters = postfix_milters(adopt, value, &n);
	char *list = mem_strdup(adopt, adopt->endpoint);

	for (size_t i = 0; i < n; i++)
		if (!is_opendkim(adopt, postfix, milters[i].endpoint) &&
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
		if (is_opendkim(adopt, postfix, milters[i].endpoint))
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

	set_main(adopt, postfix, "smtpd_milters", new_smtpd, why_milters(adopt, postfix, smtpd));
	set_main(adopt, postfix, "non_smtpd_milters",
	    strcmp(new_smtpd, new_local) == 0 ? "$smtpd_milters" : new_local,
	    local[0] == '\0' ? "mail from sendmail(1) was not filtered so far" : "");
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

/* set_service_milters - a service that has milters of its own */
static void
set_service_milters(
    struct adopt *adopt, const struct postfix *postfix, const struct postfix_service *service)
{
	const struct postfix_parameter *own = postfix_override(service, "smtpd_milters");
	const char *value, *options;

	if (!postfix_is_smtpd(service) || adopt_takes_mail_back(service))
		return;
	options = postfix_value(adopt, postfix, service, "receive_override_options");
	if (postfix_has_auth(adopt, postfix, service) &&
	    postfix_has_word(adopt, options, "no_milters"))
		adopt_edit(adopt, postfix->master_cf, service->name,
		    "take no_milters out of it: users log in here",
		    "  -o receive_override_options=");
	if (own == NULL || (own->value[0] == '\0' && !postfix_has_auth(adopt, postfix, service)))
		return;
	value = new_list(adopt, postfix, own->value);
	if (strcmp(value, own->value) == 0)
		return;
	/* blanks divide the words of master.cf */
	if (strpbrk(value, " \t") != NULL)
		adopt_edit(adopt, postfix->master_cf, service->name,
		    why_milters(adopt, postfix, own->value), "  -o { smtpd_milters = %s }", value);
	else
		adopt_edit(adopt, postfix->master_cf, service->name,
		    why_milters(adopt, postfix, own->value), "  -o smtpd_milters=%s", value);
	adopt_back(adopt, "postconf -c %s -P %s", adopt_shell(adopt, postfix->directory),
	    adopt_shell(adopt,
		mem_printf(
		    adopt, "%s/%s/smtpd_milters=%s", service->name, service->type, own->value)));
}

/* --- policy services ------------------------------------------------------- */

/* note_policy - a check_policy_service: may it go? */
static void
note_policy(struct adopt *adopt, const struct postfix *postfix,
    const struct postfix_service *service, const char *name, const char *endpoint)
{
	const char *where =
	    mem_printf(adopt, "%s: %s", postfix_where(adopt, postfix, service, name), name);

	if (milters_is_in(adopt, postfix, &adopt->replaced_services, endpoint))
		adopt_note(adopt, "%s: check_policy_service %s may go once mode is enforce", where,
		    endpoint);
	else if (milters_is_in(adopt, postfix, &adopt->partly_services, endpoint))
		adopt_note(adopt,
		    "%s: check_policy_service %s stays for what could not be taken over; its limits "
		    "may go once mode is enforce",
		    where, endpoint);
	else if (strstr(endpoint, "spf") != NULL)
		adopt_note(adopt,
		    "%s: check_policy_service %s checks SPF; countersign does, too (on_spf_fail), so "
		    "it may go once mode is enforce",
		    where, endpoint);
	else
		adopt_missing(adopt,
		    "%s: check_policy_service %s stays: its rules were not read (--from KIND:FILE "
		    "reads policyd, postfwd, policyd-rate-limit)",
		    where, endpoint);
}

/* next_policy - the endpoint of the next check_policy_service of a list, or NULL */
static const char *
next_policy(struct adopt *adopt, const char **list)
{
	const char *word, *inside;

	while ((word = postfix_word(adopt, list)) != NULL) {
		if (strcasecmp(word, "check_policy_service") != 0)
			continue;
		word = postfix_word(adopt, list);
		if (word == NULL || word[0] != '{')
			return word;
		inside = mem_strndup(adopt, word + 1, strlen(word + 1));
		word = postfix_word(adopt, &inside);
		return word != NULL ? mem_strndup(adopt, word, strcspn(word, "}")) : NULL;
	}
	return NULL;
}

/* milters_find_policies - the policy services of main.cf, or of one service */
static void
milters_find_policies(
    struct adopt *adopt, const struct postfix *postfix, const struct postfix_service *service)
{
	for (size_t i = 0; i < sizeof(policy_places) / sizeof(policy_places[0]); i++) {
		const char *name = policy_places[i], *list, *endpoint;

		if (service != NULL && postfix_override(service, name) == NULL)
			continue;
		list = postfix_value(adopt, postfix, service, name);
		while ((endpoint = next_policy(adopt, &list)) != NULL)
			note_policy(adopt, postfix, service, name, endpoint);
	}
}

/* note_others - milters that do what countersign does, too */
static void
note_others(struct adopt *adopt, const struct postfix *postfix)
{
	const char *list = postfix_value(adopt, postfix, NULL, "smtpd_milters");
	const char *filter = postfix_value(adopt, postfix, NULL, "content_filter");
	size_t n;
	const struct postfix_milter *milters = postfix_milters(adopt, list, &n);

	for (size_t i = 0; i < n; i++) {
		const char *endpoint = milters[i].endpoint, *port;

		port = port_of_endpoint(adopt, endpoint);
		if (is_opendkim(adopt, postfix, endpoint) && !adopt->opendkim)
			adopt_missing(adopt,
			    "%s: smtpd_milters names %s, but no opendkim.conf was found: name it with "
			    "--opendkim FILE, or its keys are not taken over",
			    postfix_where(adopt, postfix, NULL, "smtpd_milters"), endpoint);
		if (strstr(endpoint, "opendmarc") != NULL ||
		    (port != NULL && strcmp(port, "8893") == 0))
			adopt_note(adopt,
			    "%s: %s is OpenDMARC's; countersign evaluates DMARC itself "
			    "(on_dmarc_fail), so it may go once mode is enforce",
			    postfix_where(adopt, postfix, NULL, "smtpd_milters"), endpoint);
	}
	if (filter[0] != '\0')
		adopt_note(adopt,
		    "%s: the content filter %s sees mail after countersign: if it signs with DKIM, "
		    "switch that off there",
		    postfix_where(adopt, postfix, NULL, "content_filter"), filter);
}

void
adopt_postfix_milters(struct adopt *adopt, const struct postfix *postfix)
{
	note_others(adopt, postfix);
	set_milter_lists(adopt, postfix);
	set_milter_options(adopt, postfix);
	milters_find_policies(adopt, postfix, NULL);
	for (size_t i = 0; i < postfix->n_services; i++) {
		set_service_milters(adopt, postfix, &postfix->services[i]);
		if (postfix_is_smtpd(&postfix->services[i]))
			milters_find_policies(adopt, postfix, &postfix->services[i]);
	}
}

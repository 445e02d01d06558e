/*
 * postfix_policies.c - the policy services of Postfix: which may go, and why the others stay
 *
 * A service may go only if all that it did for the mail is taken over. This is known once the
 * limits are written.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/adopt/inside.h"
#include "policy/base/mem.h"

/* --- endpoints ------------------------------------------------------------- */

/* is_here - is a name in an endpoint one of this host? */
static bool
is_here(struct adopt *adopt, const struct postfix *postfix, const char *host)
{
	static const char *const names[] = { "", "*", "localhost", "127.0.0.1", "::1", "[::1]",
		"0.0.0.0", "::", "[::]" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(host, names[i]) == 0)
			return true;
	return strcasecmp(host, postfix_value(adopt, postfix, NULL, "myhostname")) == 0;
}

/* split_inet - inet:HOST:PORT, inet:PORT, inet:PORT@HOST (inet6 also); false: another kind */
static bool
split_inet(struct adopt *adopt, const char *endpoint, const char **host_r, const char **port_r)
{
	const char *text, *at, *colon;

	if (strncasecmp(endpoint, "inet:", 5) != 0 && strncasecmp(endpoint, "inet6:", 6) != 0)
		return false;
	text = strchr(endpoint, ':') + 1;
	at = strchr(text, '@');
	colon = strrchr(text, ':');
	if (at != NULL) {
		*port_r = mem_strndup(adopt, text, (size_t)(at - text));
		*host_r = at + 1;
	} else if (colon != NULL) {
		*host_r = mem_strndup(adopt, text, (size_t)(colon - text));
		*port_r = colon + 1;
	} else {
		*host_r = "";
		*port_r = text;
	}
	return true;
}

/* below_queue - a path without the queue directory, in which paths of Postfix begin */
static const char *
below_queue(struct adopt *adopt, const struct postfix *postfix, const char *endpoint)
{
	const char *queue = postfix_value(adopt, postfix, NULL, "queue_directory");
	const char *path = strchr(endpoint, ':') != NULL ? strchr(endpoint, ':') + 1 : endpoint;
	size_t len = strlen(queue);

	if (len > 0 && strncmp(path, queue, len) == 0 && path[len] == '/')
		path += len;
	return path + strspn(path, "/");
}

bool
adopt_same_place(
    struct adopt *adopt, const struct postfix *postfix, const char *ours, const char *theirs)
{
	const char *host[2], *port[2];
	bool one = split_inet(adopt, ours, &host[0], &port[0]);
	bool two = split_inet(adopt, theirs, &host[1], &port[1]);

	if (one != two)
		return false;
	if (!one)
		return strcmp(below_queue(adopt, postfix, ours),
			   below_queue(adopt, postfix, theirs)) == 0;
	return strcmp(port[0], port[1]) == 0 &&
	    (strcasecmp(host[0], host[1]) == 0 ||
		(is_here(adopt, postfix, host[0]) && is_here(adopt, postfix, host[1])));
}

/* --- services -------------------------------------------------------------- */

/* policies_find_service - a service that was read, or NULL */
static const struct adopt_service *
policies_find_service(struct adopt *adopt, const struct postfix *postfix, const char *endpoint)
{
	for (size_t i = 0; i < adopt->n_services; i++)
		if (adopt_same_place(adopt, postfix, adopt->services[i].endpoint, endpoint))
			return &adopt->services[i];
	return NULL;
}

/* note_policy - a check_policy_service: may it go? */
static void
note_policy(struct adopt *adopt, const struct postfix *postfix,
    const struct postfix_service *service, const char *name, const char *endpoint)
{
	const struct adopt_service *known = policies_find_service(adopt, postfix, endpoint);
	const char *where =
	    mem_printf(adopt, "%s: %s", postfix_where(adopt, postfix, service, name), name);

	if (known != NULL && known->stays == NULL && adopt->limits_lost == 0)
		adopt_note(adopt, "%s: check_policy_service %s may go once mode is enforce", where,
		    endpoint);
	else if (known != NULL)
		adopt_missing(adopt,
		    "%s: check_policy_service %s stays for what could not be taken over: %s", where,
		    endpoint,
		    known->stays != NULL ? known->stays : "limits that plans.conf cannot hold");
	else if (strstr(endpoint, "spf") != NULL)
		adopt_missing(adopt,
		    "%s: check_policy_service %s checks SPF and stays: its settings were not read. "
		    "countersign checks SPF, too, and refuses nothing for it by default: set "
		    "on_spf_fail as it is set there, then it may go once mode is enforce",
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

/* policies_of - those of one list */
static void
policies_of(struct adopt *adopt, const struct postfix *postfix,
    const struct postfix_service *service, const char *name)
{
	const char *list, *endpoint;

	if (service != NULL && postfix_override(service, name) == NULL)
		return;
	list = postfix_value(adopt, postfix, service, name);
	while ((endpoint = next_policy(adopt, &list)) != NULL)
		note_policy(adopt, postfix, service, name, endpoint);
}

/* policies_find - the policy services of main.cf, or of one service; classes, too */
static void
policies_find(
    struct adopt *adopt, const struct postfix *postfix, const struct postfix_service *service)
{
	static const char *const places[] = { "smtpd_client_restrictions",
		"smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
		"smtpd_recipient_restrictions", "smtpd_data_restrictions",
		"smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions" };
	const char *classes = postfix_value(adopt, postfix, service, "smtpd_restriction_classes");
	const char *name;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		policies_of(adopt, postfix, service, places[i]);
	while ((name = postfix_word(adopt, &classes)) != NULL)
		policies_of(adopt, postfix, service, name);
}

void
adopt_postfix_policies(struct adopt *adopt)
{
	for (size_t i = 0; i < adopt->n_instances; i++) {
		const struct postfix *postfix = adopt->instances[i];

		policies_find(adopt, postfix, NULL);
		for (size_t k = 0; k < postfix->n_services; k++)
			if (postfix_is_smtpd(&postfix->services[k]))
				policies_find(adopt, postfix, &postfix->services[k]);
	}
}

/*
 * postfix_listeners.c - the services of master.cf as listeners
 *
 * Users come to services that offer AUTH. Such a service gets a daemon name of its own, so that
 * its mail is told from that of strangers; on port 25, where both come, the login does that.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/adopt/inside.h"
#include "policy/base/mem.h"

#define DAEMON_NAME "milter_macro_daemon_name"

/* What the services of all instances come to. */
struct services {
	struct adopt *adopt;
	struct adopt_texts daemons; /* names of services for users */
	const char *from;           /* the first of them */
	const char *mixed;          /* a service for users and strangers, or NULL */
	bool strangers;             /* mail without a login may come to the services for users */
	bool plain;                 /* a service for users does without TLS */
	bool mixed_plain;
	bool loops; /* a service takes mail back from a content filter, with milters */
};

/* --- services -------------------------------------------------------------- */

/* milters_off - has a service no milters whatever main.cf says? */
static bool
milters_off(
    struct adopt *adopt, const struct postfix *postfix, const struct postfix_service *service)
{
	const struct postfix_parameter *own = postfix_override(service, "smtpd_milters");

	return (own != NULL && own->value[0] == '\0') ||
	    postfix_has_word(adopt,
		postfix_value(adopt, postfix, service, "receive_override_options"), "no_milters");
}

/* is_for_strangers - port 25, or behind postscreen */
static bool
is_for_strangers(const struct postfix_service *service)
{
	return service->port == 25 || strcmp(service->type, "pass") == 0;
}

/* needs_login - does a service turn away clients without a login? */
static bool
needs_login(
    struct adopt *adopt, const struct postfix *postfix, const struct postfix_service *service)
{
	static const char *const names[] = { "smtpd_client_restrictions", "smtpd_helo_restrictions",
		"smtpd_sender_restrictions", "smtpd_relay_restrictions",
		"smtpd_recipient_restrictions" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *list = postfix_value(adopt, postfix, service, names[i]);

		if (postfix_has_word(adopt, list, "permit_sasl_authenticated") &&
		    (postfix_has_word(adopt, list, "reject") ||
			postfix_has_word(adopt, list, "defer")) &&
		    !postfix_has_word(adopt, list, "permit_mynetworks"))
			return true;
	}
	return false;
}

/* needs_tls - does a service take no login without TLS? */
static bool
needs_tls(struct adopt *adopt, const struct postfix *postfix, const struct postfix_service *service)
{
	return strcasecmp(postfix_value(adopt, postfix, service, "smtpd_tls_security_level"),
		   "encrypt") == 0 ||
	    postfix_yes(adopt, postfix, service, "smtpd_tls_wrappermode") ||
	    postfix_yes(adopt, postfix, service, "smtpd_enforce_tls") ||
	    postfix_yes(adopt, postfix, service, "smtpd_tls_auth_only");
}

/* new_name - the daemon name for services for users that have none of their own */
static const char *
new_name(struct adopt *adopt, const struct postfix *postfix)
{
	const char *general = postfix_value(adopt, postfix, NULL, DAEMON_NAME);

	for (size_t i = 0; i < postfix->n_services; i++) {
		const struct postfix_service *service = &postfix->services[i];
		const char *name = postfix_value(adopt, postfix, service, DAEMON_NAME);

		if (postfix_has_auth(adopt, postfix, service) && !is_for_strangers(service) &&
		    strcasecmp(name, general) != 0)
			return name;
	}
	return strcasecmp(general, "ORIGINATING") == 0 ? "SUBMISSION" : "ORIGINATING";
}

/* is_of_strangers - has a service for strangers this daemon name, too? */
static bool
is_of_strangers(struct adopt *adopt, const struct postfix *postfix, const char *name)
{
	for (size_t i = 0; i < postfix->n_services; i++) {
		const struct postfix_service *service = &postfix->services[i];

		if (postfix_is_smtpd(service) && is_for_strangers(service) &&
		    strcasecmp(postfix_value(adopt, postfix, service, DAEMON_NAME), name) == 0)
			return true;
	}
	return false;
}

/* add_user_service - a service where users log in */
static void
add_user_service(
    struct services *services, const struct postfix *postfix, const struct postfix_service *service)
{
	struct adopt *adopt = services->adopt;
	const char *name = postfix_value(adopt, postfix, service, DAEMON_NAME);

	if (strcasecmp(name, postfix_value(adopt, postfix, NULL, DAEMON_NAME)) == 0) {
		name = new_name(adopt, postfix);
		adopt_edit(adopt, postfix->master_cf, service->name,
		    "users log in here; countersign recognizes their mail by this name",
		    "  -o " DAEMON_NAME "=%s", name);
		adopt_back_service(adopt, postfix, service, DAEMON_NAME);
	}
	if (services->from == NULL)
		services->from = mem_printf(adopt, "%s: service %s",
		    postfix_service_where(adopt, postfix, service), service->name);
	adopt_text(adopt, &services->daemons, "%s", name);
	services->strangers = services->strangers || is_of_strangers(adopt, postfix, name);
	services->strangers = services->strangers || !needs_login(adopt, postfix, service);
	services->plain = services->plain || !needs_tls(adopt, postfix, service);
}

/* add_mixed_service - users log in where strangers come, too */
static void
add_mixed_service(
    struct services *services, const struct postfix *postfix, const struct postfix_service *service)
{
	struct adopt *adopt = services->adopt;

	if (services->mixed == NULL)
		services->mixed = mem_printf(adopt, "%s: service %s offers AUTH, too",
		    postfix_where(adopt, postfix, service, "smtpd_sasl_auth_enable"),
		    service->name);
	services->mixed_plain = services->mixed_plain || !needs_tls(adopt, postfix, service);
	adopt_note(adopt,
	    "%s: users may log in on port 25, where stolen passwords are tried first; if no one "
	    "needs it, write smtpd_sasl_auth_enable = no in main.cf and yes for the services for "
	    "users",
	    postfix_where(adopt, postfix, service, "smtpd_sasl_auth_enable"));
}

/* add_return_service - mail that comes back was judged when it came in */
static void
add_return_service(
    struct services *services, const struct postfix *postfix, const struct postfix_service *service)
{
	struct adopt *adopt = services->adopt;

	if (milters_off(adopt, postfix, service))
		return;
	services->loops = true;
	adopt_edit(adopt, postfix->master_cf, service->name,
	    "a content filter hands mail back here, which was judged, counted and signed when it "
	    "came in",
	    "  -o smtpd_milters=");
	adopt_back_service(adopt, postfix, service, "smtpd_milters");
}

/* sort_services - what each service of an instance is for */
static void
sort_services(struct services *services, const struct postfix *postfix)
{
	struct adopt *adopt = services->adopt;

	for (size_t i = 0; i < postfix->n_services; i++) {
		const struct postfix_service *service = &postfix->services[i];

		if (!postfix_is_smtpd(service))
			continue;
		if (adopt_takes_mail_back(service))
			add_return_service(services, postfix, service);
		else if (!postfix_has_auth(adopt, postfix, service))
			continue;
		else if (is_for_strangers(service))
			add_mixed_service(services, postfix, service);
		else
			add_user_service(services, postfix, service);
	}
}

/* --- listeners ------------------------------------------------------------- */

/* tls_words - the option for users who come without TLS today */
static const char *
tls_words(struct adopt *adopt, bool plain)
{
	if (plain)
		adopt_note(adopt,
		    "Postfix takes logins without TLS, so require_tls = false was written; set "
		    "smtpd_tls_auth_only = yes in main.cf, and remove it");
	return plain ? "  require_tls = false" : "";
}

/* set_users - the listeners of role submission */
static void
set_users(struct services *services)
{
	struct adopt *adopt = services->adopt;

	if (services->daemons.n > 0)
		adopt_set(adopt, PLACE_LISTENERS, services->from,
		    "users = { role = \"submission\"  daemon = %s%s%s }",
		    adopt_list(adopt, &services->daemons),
		    services->strangers ? "  login = true" : "", tls_words(adopt, services->plain));
	if (services->mixed != NULL)
		adopt_set(adopt, PLACE_LISTENERS, services->mixed,
		    "smtp = { role = \"submission\"  login = true%s }",
		    tls_words(adopt, services->mixed_plain));
	if (services->daemons.n == 0 && services->mixed == NULL)
		adopt_note(adopt, "%s: no service offers AUTH, so there is no listener for users",
		    adopt->instances[0]->master_cf);
}

/* over_words - limits so far were for mail by SMTP and with a login */
static const char *
over_words(const struct adopt *adopt)
{
	return adopt->n_limits > 0 ? "  on_over = \"warn\"" : "";
}

/* trusts_loopback - may programs of this host send without a login? */
static bool
trusts_loopback(struct adopt *adopt, const struct postfix *postfix)
{
	const char *list = postfix_value(adopt, postfix, NULL, "mynetworks");

	return !postfix_set(postfix, "mynetworks") || strstr(list, "127.0.0.") != NULL;
}

/* set_here - programs of this host that hand their mail to port 25 */
static void
set_here(struct services *services)
{
	struct adopt *adopt = services->adopt;
	const struct postfix *postfix = adopt->instances[0];

	if (!trusts_loopback(adopt, postfix))
		return;
	if (services->loops) {
		adopt_note(adopt,
		    "mail that programs of this host send by SMTP without a login is role inbound: it "
		    "is not signed. Once -o smtpd_milters= is set for the services of the content "
		    "filter, you may add, before mx: here = { role = \"local\"  client = "
		    "[\"127.0.0.0/8\", \"::1\"] }");
		return;
	}
	adopt_set(adopt, PLACE_LISTENERS,
	    mem_printf(adopt,
		"%s: mynetworks has loopback: web mail, list servers and others on this host",
		postfix_where(adopt, postfix, NULL, "mynetworks")),
	    "here = { role = \"local\"  client = [\"127.0.0.0/8\", \"::1\"]%s }",
	    over_words(adopt));
}

/* add_service_networks - hosts that one service trusts */
static void
add_service_networks(struct adopt *adopt, const struct postfix *postfix)
{
	for (size_t i = 0; i < postfix->n_services; i++) {
		const struct postfix_service *service = &postfix->services[i];
		const struct postfix_parameter *own = postfix_override(service, "mynetworks");

		if (own != NULL && postfix_is_smtpd(service) && !adopt_takes_mail_back(service))
			adopt_networks(adopt, own->value,
			    mem_printf(adopt, "%s: mynetworks of service %s",
				postfix_where(adopt, postfix, service, "mynetworks"),
				service->name));
	}
}

/* note_lists - list servers on this host. A service mailman is in the master.cf of every Debian: it
 * is in use if a table says so. */
static void
note_lists(struct adopt *adopt, const struct postfix *postfix)
{
	static const char *const names[] = { "transport_maps", "local_recipient_maps",
		"virtual_alias_maps", "alias_maps", "relay_domains" };
	bool found = false;

	for (size_t i = 0; i < postfix->n_services; i++)
		found = found || strstr(postfix->services[i].name, "mlmmj") != NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		found = found ||
		    strstr(postfix_value(adopt, postfix, NULL, names[i]), "mailman") != NULL;
	if (found)
		adopt_note(adopt,
		    "%s: Mailman or mlmmj sends mail of lists from this host in the names of its "
		    "authors; such mail passes, and is signed only if the list's address owns From. If "
		    "lists have a domain of their own, give them a listener of role relay with sign_as",
		    postfix->main_cf);
}

/* note_access - tables that let hosts or certificates relay */
static void
note_access(struct adopt *adopt, const struct postfix *postfix)
{
	static const char *const places[] = { "smtpd_relay_restrictions",
		"smtpd_recipient_restrictions" };
	static const char *const words[] = { "check_client_access", "check_ccert_access",
		"permit_tls_clientcerts", "permit_tls_all_clientcerts" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
			if (postfix_has_word(
				adopt, postfix_value(adopt, postfix, NULL, places[i]), words[k]))
				adopt_missing(adopt,
				    "%s: %s: %s may let hosts send without a login; name their networks "
				    "in client = [...] of a listener of role relay, or their mail is "
				    "treated as a stranger's, and not signed",
				    postfix_where(adopt, postfix, NULL, places[i]), places[i],
				    words[k]);
}

void
adopt_postfix_listeners(struct adopt *adopt)
{
	struct services services = { .adopt = adopt };

	for (size_t i = 0; i < adopt->n_instances; i++)
		sort_services(&services, adopt->instances[i]);
	set_users(&services);
	adopt_set(adopt, PLACE_LISTENERS,
	    "mail from sendmail(1), such as that of cron and of web sites; Postfix: "
	    "non_smtpd_milters",
	    "cron = { role = \"local\"  pickup = true%s }", over_words(adopt));
	set_here(&services);
	for (size_t i = 0; i < adopt->n_instances; i++) {
		const struct postfix *postfix = adopt->instances[i];

		add_service_networks(adopt, postfix);
		note_lists(adopt, postfix);
		note_access(adopt, postfix);
		if (postfix_set(postfix, "mynetworks"))
			adopt_networks(adopt, postfix_value(adopt, postfix, NULL, "mynetworks"),
			    mem_printf(adopt, "%s: mynetworks",
				postfix_where(adopt, postfix, NULL, "mynetworks")));
		else if (postfix_set(postfix, "mynetworks_style"))
			adopt_missing(adopt,
			    "%s: mynetworks_style lets hosts send without a login; write mynetworks with "
			    "their networks, and run adopt again",
			    postfix_where(adopt, postfix, NULL, "mynetworks_style"));
	}
	adopt_set_networks(adopt);
	adopt_set(adopt, PLACE_LISTENERS, "everyone else", "mx = { role = \"inbound\" }");
}

/*
 * check_milter.c - does mail get to countersign, by Postfix's settings?
 *
 * What counts is the value in effect for each service: an -o of master.cf beats main.cf, and a
 * milter's own options beat both.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/base/plain_file.h"
#include "filter/doctor/inside.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define MILTER_PROTOCOL		6
#define MILTER_CONTENT_MS	60000
#define MILTER_LINES_MAX	10000	/* of a map that is looked through */
#define MILTER_RETURN		10024	/* ports to which filters hand mail back */
#define MILTER_RETURN_LAST	10029
#define MILTER_NEAR		4	/* letters of a name that may be wrong */

/* --- is it used? ----------------------------------------------------------- */

/* milter_line - how Postfix is to name our socket: from its queue directory, if it is there, so
 * that the name is right in a chroot, too */
static const char *
milter_line(struct exam *exam)
{
	struct endpoint ours = endpoint_read(exam->ctx, exam->site->config->listen_spec);

	if (ours.path != NULL) {
		const char *queue =
		    postfix_value(exam->ctx, exam->site->postfix, NULL, "queue_directory");
		const size_t len = strlen(queue);

		if (len > 0 && strncmp(ours.path, queue, len) == 0 && ours.path[len] == '/')
			ours.path += len + 1;
		return exam_text(exam, "unix:%s", ours.path);
	}
	if (strcmp(ours.host, "0.0.0.0") == 0 || ours.host[0] == '\0')
		ours.host = "127.0.0.1";
	return exam_text(exam, strchr(ours.host, ':') != NULL ? "inet:[%s]:%s" : "inet:%s:%s",
	    ours.host, ours.port);
}

/* milter_cure - the line that puts us before the milters that a list has: of a service whose -o
 * beats main.cf, or of main.cf */
static const char *
milter_cure(struct exam *exam, const struct postfix_service *service, const char *name)
{
	const struct postfix_parameter *own = postfix_override(service, name);
	const char *others =
	    own != NULL ? own->written : postfix_raw(exam->site->postfix, name);
	const char *list = exam_text(
	    exam, "%s%s%s", milter_line(exam), others[0] != '\0' ? ", " : "", others);

	return exam_text(exam, own != NULL ? "-o { %s = %s }" : "%s = %s", name, list);
}

/* milter_missing - a service with AUTH whose mail does not come to us */
static void
milter_missing(struct exam *exam, const struct postfix_service *service)
{
	const struct postfix *postfix = exam->site->postfix;
	const char *value = postfix_value(exam->ctx, postfix, service, "smtpd_milters");
	const char *where = postfix_where(exam->ctx, postfix, service, "smtpd_milters");
	const char *cure = milter_cure(exam, service, "smtpd_milters");

	if (service->n_broken > 0)
		return;	/* whose mistake that is, postfix.master-syntax says */
	if (postfix_override(service, "smtpd_milters") != NULL && value[0] == '\0')
		exam_add(exam, "postfix.milter-off-by-override", where,
		    "delete the line \"-o smtpd_milters=\"",
		    "service %s takes mail of users, and -o smtpd_milters= switches countersign "
		    "off for it", service->name);
	else if (value[0] == '\0' && site_misspelt(exam->site, "milter"))
		return;	/* whose mistake that is, postfix.unused-parameter says */
	else if (value[0] == '\0')
		exam_add(exam, "postfix.milter-missing",
		    postfix_set(postfix, "smtpd_milters") ? where : postfix->main_cf, cure,
		    "service %s takes mail of users, and smtpd_milters is empty: their mail is "
		    "neither checked nor signed", service->name);
	else
		exam_add(exam, "postfix.milter-missing", where, cure,
		    "service %s takes mail of users, and smtpd_milters = %s does not name "
		    "countersign's socket %s", service->name, value,
		    exam->site->config->listen);
}

/* check_action - what happens while we are away */
static void
check_action(struct exam *exam, const struct postfix_service *service,
    const struct postfix_milter *milter, const char *parameter)
{
	const struct postfix *postfix = exam->site->postfix;
	const char *own = postfix_milter_option(exam->ctx, milter, "default_action");
	const char *value = own != NULL
	    ? own
	    : postfix_value(exam->ctx, postfix, service, "milter_default_action");
	const char *where = postfix_where(
	    exam->ctx, postfix, service, own != NULL ? parameter : "milter_default_action");
	const char *cure =
	    own != NULL ? "default_action=tempfail" : "milter_default_action = tempfail";

	if (strcasecmp(value, "accept") == 0)
		exam_add(exam, "postfix.milter-default-action", where, cure,
		    "the default action for countersign is accept: while it is away, mail passes "
		    "unchecked and unsigned");
	else if (strcasecmp(value, "reject") == 0)
		exam_add_level(exam, DOCTOR_WARNING, "postfix.milter-default-action", where, cure,
		    "the default action for countersign is reject: while it is away, mail is lost "
		    "instead of deferred");
}

/* check_protocol - below 6 we refuse the session */
static void
check_protocol(struct exam *exam, const struct postfix_service *service,
    const struct postfix_milter *milter, const char *parameter)
{
	const struct postfix *postfix = exam->site->postfix;
	const char *own = postfix_milter_option(exam->ctx, milter, "protocol");
	const char *value =
	    own != NULL ? own : postfix_value(exam->ctx, postfix, service, "milter_protocol");
	long number = strtol(value, NULL, 10);

	if (number > 0 && number < MILTER_PROTOCOL)
		exam_add(exam, "postfix.milter-protocol",
		    postfix_where(
			exam->ctx, postfix, service, own != NULL ? parameter : "milter_protocol"),
		    own != NULL ? "protocol=6" : "milter_protocol = 6",
		    "the milter protocol is %ld: countersign needs 6 and defers all mail", number);
}

/* maps_off - does a value of smtpd_milter_maps, or of a line of it, leave us out? */
static bool
maps_off(struct exam *exam, const struct postfix_service *service, const char *value)
{
	const struct postfix_milter *milters;
	size_t n;

	if (strcasestr(value, "DISABLE") != NULL)
		return true;
	if (strchr(value, ':') == NULL || strchr(value, '$') != NULL)
		return false;
	milters = postfix_milters(exam->ctx, value, &n);
	for (size_t i = 0; i < n; i++)
		if (site_names_us(exam->ctx, exam->site, service, milters[i].endpoint))
			return false;
	return n > 0;
}

/* maps_file - lines of a map that leave us out */
static void
maps_file(struct exam *exam, const struct postfix_service *service, const char *path)
{
	FILE *file = plain_file(path);
	char *line = NULL;
	size_t size = 0;

	for (int n = 1;
	     file != NULL && n < MILTER_LINES_MAX && getline(&line, &size, file) > 0; n++)
		if (strchr("# \t\r\n", line[0]) == NULL &&
		    maps_off(exam, service, line + strcspn(line, " \t\r\n")))
			exam_add(exam, "postfix.milter-maps", exam_text(exam, "%s:%d", path, n),
			    "delete the line",
			    "clients that match \"%.*s\" may log in at service %s, and their mail "
			    "does not come to countersign", (int)strcspn(line, " \t\r\n"), line,
			    service->name);
	free(line);
	if (file != NULL)
		(void)fclose(file);
}

/* check_maps - smtpd_milter_maps of a service with AUTH */
static void
check_maps(struct exam *exam, const struct postfix_service *service)
{
	const struct postfix *postfix = exam->site->postfix;
	const char *list = postfix_value(exam->ctx, postfix, service, "smtpd_milter_maps"), *spec;

	while ((spec = postfix_word(exam->ctx, &list)) != NULL) {
		const char *path = strchr(spec, ':');

		if (strcasestr(spec, "DISABLE") != NULL)
			exam_add(exam, "postfix.milter-maps",
			    postfix_where(exam->ctx, postfix, service, "smtpd_milter_maps"),
			    "smtpd_milter_maps =",
			    "clients that match %s may log in at service %s, and their mail does "
			    "not come to countersign", spec, service->name);
		else if (path != NULL && path[1] == '/')
			maps_file(exam, service, path + 1);
	}
}

/* check_service - one smtpd */
static void
check_service(struct exam *exam, const struct postfix_service *service)
{
	const struct postfix *postfix = exam->site->postfix;
	const struct postfix_milter *milter =
	    site_our_milter(exam->ctx, exam->site, service, "smtpd_milters");
	bool auth = postfix_has_auth(exam->ctx, postfix, service);

	if (milter == NULL) {
		if (auth)
			milter_missing(exam, service);
		return;
	}
	if (site_milters_off(exam->ctx, exam->site, service)) {
		if (auth && service->n_broken == 0)
			exam_add(exam, "postfix.milter-off-by-override",
			    postfix_where(exam->ctx, postfix, service, "receive_override_options"),
			    "take no_milters out of receive_override_options",
			    "service %s takes mail of users, and receive_override_options has "
			    "no_milters", service->name);
		return;
	}
	check_action(exam, service, milter, "smtpd_milters");
	check_protocol(exam, service, milter, "smtpd_milters");
	if (auth)
		check_maps(exam, service);
}

void
examine_milter(struct exam *exam)
{
	const struct site *site = exam->site;
	const struct postfix_milter *local;
	bool used = false, auth = false;

	if (site->postfix == NULL || site->config == NULL)
		return;
	for (size_t i = 0; i < site->postfix->n_services; i++) {
		const struct postfix_service *service = &site->postfix->services[i];

		if (!postfix_is_smtpd(service))
			continue;
		auth = auth || postfix_has_auth(exam->ctx, site->postfix, service);
		used = used ||
		    site_our_milter(exam->ctx, site, service, "smtpd_milters") != NULL;
		check_service(exam, service);
	}
	local = site_our_milter(exam->ctx, site, site_cleanup(site), "non_smtpd_milters");
	if (local != NULL) {
		check_action(exam, site_cleanup(site), local, "non_smtpd_milters");
		check_protocol(exam, site_cleanup(site), local, "non_smtpd_milters");
	}
	if (!used && !auth && local == NULL && !site_misspelt(site, "milter"))
		exam_add(exam, "postfix.milter-missing", site->postfix->main_cf,
		    milter_cure(exam, NULL, "smtpd_milters"),
		    "no service of Postfix uses countersign's socket %s", site->config->listen);
}

/* --- how it is written ----------------------------------------------------- */

/* near_parameter - the parameter that was meant, or NULL */
static const char *
near_parameter(const struct postfix *postfix, const char *name)
{
	unsigned int least = MILTER_NEAR;
	const char *best = NULL;

	for (size_t i = 0; i < postfix->n_raw; i++) {
		unsigned int away = text_distance(name, postfix->raw[i].name);

		if (away > 0 && away < least) {
			least = away;
			best = postfix->raw[i].name;
		}
	}
	return best;
}

/* file_line - the last line of a file that sets a name, also after -o */
static int
file_line(const char *path, const char *name)
{
	FILE *file = plain_file(path);
	char *line = NULL;
	size_t size = 0, len = strlen(name);
	int found = 0;

	for (int n = 1; file != NULL && n < MILTER_LINES_MAX && getline(&line, &size, file) > 0;
	     n++) {
		const char *at = line[0] == '#' ? NULL : strstr(line, name);

		if (at != NULL && (at == line || strchr(" \t{", at[-1]) != NULL) &&
		    at[len + strspn(at + len, " \t")] == '=')
			found = n;
	}
	free(line);
	if (file != NULL)
		(void)fclose(file);
	return found;
}

/* check_unused - names that mean nothing to Postfix */
static void
check_unused(struct exam *exam, const struct postfix_unused *unused)
{
	static const char *const grave[] = { "milter", "sasl", "tls", "restrictions" };
	const char *near = near_parameter(exam->site->postfix, unused->name);
	enum doctor_level level = DOCTOR_WARNING;

	for (size_t i = 0; i < sizeof(grave) / sizeof(grave[0]); i++)
		if (strstr(unused->name, grave[i]) != NULL ||
		    (near != NULL && strstr(near, grave[i]) != NULL))
			level = DOCTOR_ERROR;
	exam_add_level(exam, level, "postfix.unused-parameter",
	    exam_text(exam, "%s:%d", unused->file, file_line(unused->file, unused->name)),
	    near != NULL ? exam_text(exam, "%s = %s", near, unused->value) : "delete the line",
	    "Postfix has no parameter %s%s%s%s; the line has no effect", unused->name,
	    near != NULL ? " (did you mean " : "", near != NULL ? near : "",
	    near != NULL ? "?)" : "");
}

/* check_address - one endpoint: inet:HOST:PORT or unix:PATH, nothing else */
static void
check_address(struct exam *exam, const char *where, const char *text)
{
	const char *rest = strchr(text, ':') != NULL ? strchr(text, ':') + 1 : "";
	const char *colon = strrchr(rest, ':');
	struct endpoint meant = endpoint_read(exam->ctx, text);

	if (strncmp(text, "unix:", 5) == 0 && rest[0] != '\0')
		return;
	if (strncmp(text, "inet:", 5) == 0 && strchr(rest, '@') == NULL && colon != NULL &&
	    colon != rest && colon[1] != '\0' && strchr(colon, ']') == NULL &&
	    strchr(colon, '.') == NULL &&
	    !endpoint_is_number(mem_strndup(exam->ctx, rest, (size_t)(colon - rest))))
		return;
	/* non_smtpd_milters = $smtpd_milters: the place to correct is the first */
	for (size_t i = 0; i < exam->n; i++)
		if (strstr(exam->findings[i].what, exam_text(exam, "\"%s\"", text)) != NULL)
			return;
	exam_add(exam, "postfix.milter-address", where,
	    meant.path != NULL ? exam_text(exam, "unix:%s", meant.path)
		: meant.port[0] != '\0'
		? exam_text(exam, "inet:%s:%s", meant.host[0] != '\0' ? meant.host : "127.0.0.1",
		      meant.port)
		: exam_text(exam, "%s", "inet:HOST:PORT or unix:/PATH"),
	    "\"%s\" is not an address of a milter for Postfix", text);
}

/* check_family - an address that Postfix does not connect to, by inet_protocols */
static void
check_family(struct exam *exam, const struct postfix_service *service, const char *where,
    const char *text)
{
	const char *protocols =
	    postfix_value(exam->ctx, exam->site->postfix, service, "inet_protocols");
	struct endpoint meant = endpoint_read(exam->ctx, text);
	struct ip_address ip;
	bool v6;

	if (meant.path != NULL || !ip_address_parse(meant.host, &ip))
		return;
	v6 = ip.bits == 128;
	if (strstr(protocols, "all") == NULL && strstr(protocols, v6 ? "ipv6" : "ipv4") == NULL)
		exam_add(exam, "postfix.milter-address", where,
		    exam_text(exam, v6 ? "inet:127.0.0.1:%s, and listen there"
				       : "inet:[::1]:%s, and listen there", meant.port),
		    "inet_protocols = %s: Postfix cannot connect to \"%s\"", protocols, text);
}

/* check_addresses_of - the milters of a service */
static void
check_addresses_of(
    struct exam *exam, const struct postfix_service *service, const char *parameter)
{
	const struct postfix *postfix = exam->site->postfix;
	size_t n;
	const struct postfix_milter *milters = postfix_milters(
	    exam->ctx, postfix_value(exam->ctx, postfix, service, parameter), &n);

	for (size_t i = 0; i < n; i++) {
		const char *where = postfix_where(exam->ctx, postfix, service, parameter);

		check_address(exam, where, milters[i].endpoint);
		check_family(exam, service, where, milters[i].endpoint);
	}
}

void
examine_milter_parameters(struct exam *exam)
{
	const struct postfix *postfix = exam->site->postfix;

	if (postfix == NULL)
		return;
	for (size_t i = 0; i < postfix->n_unused; i++)
		check_unused(exam, &postfix->unused[i]);
	for (size_t i = 0; i < postfix->n_services; i++) {
		const struct postfix_service *service = &postfix->services[i];
		bool smtpd = postfix_is_smtpd(service);

		if (smtpd && service->n_broken == 0)
			check_addresses_of(exam, service, "smtpd_milters");
		if (smtpd && service->n_broken > 0)
			exam_add(exam, "postfix.master-syntax",
			    postfix_service_where(exam->ctx, postfix, service),
			    exam_text(exam, "-o %s=VALUE, or -o { %s = VALUE }", service->broken[0],
				service->broken[0]),
			    "service %s has \"-o %s\" with blanks around the equals sign: smtpd "
			    "does not start", service->name, service->broken[0]);
		for (size_t k = 0; k < service->n_overrides &&
		     strcmp(service->program, "postscreen") == 0; k++)
			if (strstr(service->overrides[k].name, "milter") != NULL)
				exam_add(exam, "postfix.postscreen-override",
				    exam_text(exam, "%s:%d", postfix->master_cf,
					service->overrides[k].line),
				    exam_text(exam, "put \"-o %s=%s\" below \"smtpd pass\"",
					service->overrides[k].name, service->overrides[k].value),
				    "postscreen does not use %s", service->overrides[k].name);
	}
	check_addresses_of(exam, NULL, "non_smtpd_milters");
}

/* --- twice, or not at all -------------------------------------------------- */

/* is_filtered - does mail of a service go through a content filter? */
static bool
is_filtered(struct exam *exam, const struct postfix_service *service)
{
	const struct postfix *postfix = exam->site->postfix;

	return postfix_value(exam->ctx, postfix, service, "content_filter")[0] != '\0' ||
	    (postfix_is_smtpd(service) &&
		postfix_value(exam->ctx, postfix, service, "smtpd_proxy_filter")[0] != '\0');
}

/* is_return - does a content filter hand mail back to a service? By its usual ports, or by options
 * that only such a service needs */
static bool
is_return(struct exam *exam, const struct postfix_service *service)
{
	static const char *const names[] = { "content_filter", "smtpd_proxy_filter",
		"receive_override_options", "smtpd_authorized_xforward_hosts" };
	bool usual = service->port >= MILTER_RETURN && service->port <= MILTER_RETURN_LAST;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		usual = usual ||
		    (postfix_is_loopback(service) && postfix_override(service, names[i]) != NULL);
	return usual && !is_filtered(exam, service) &&
	    !postfix_has_auth(exam->ctx, exam->site->postfix, service);
}

/* uses_us - does mail of a service come to us? */
static bool
uses_us(struct exam *exam, const struct postfix_service *service)
{
	const struct site *site = exam->site;

	if (strcmp(service->program, "pickup") == 0)
		return site_our_milter(exam->ctx, site, site_cleanup(site), "non_smtpd_milters") !=
		    NULL;
	return postfix_is_smtpd(service) && !site_milters_off(exam->ctx, site, service) &&
	    site_our_milter(exam->ctx, site, service, "smtpd_milters") != NULL;
}

void
examine_reinjection(struct exam *exam)
{
	const struct site *site = exam->site;
	const struct postfix *postfix = site->postfix;
	bool before = false;	/* mail of a service comes to us, and then to a filter */

	if (postfix == NULL || site->config == NULL)
		return;
	for (size_t i = 0; i < postfix->n_services; i++)
		before = before ||
		    (is_filtered(exam, &postfix->services[i]) &&
			uses_us(exam, &postfix->services[i]));
	for (size_t i = 0; before && i < postfix->n_services; i++) {
		const struct postfix_service *service = &postfix->services[i];

		if (postfix_is_smtpd(service) && is_return(exam, service) && uses_us(exam, service))
			exam_add(exam, "postfix.reinjection",
			    postfix_service_where(exam->ctx, postfix, service),
			    "-o smtpd_milters=",
			    "service %s takes mail back from the content filter and uses "
			    "countersign again: the message is counted and signed twice",
			    service->name);
	}
}

void
examine_local_mail(struct exam *exam)
{
	const struct site *site = exam->site;

	if (site->postfix == NULL || site->config == NULL || !config_signs(site->config) ||
	    site_misspelt(site, "non_smtpd") ||
	    site_our_milter(exam->ctx, site, site_cleanup(site), "non_smtpd_milters") != NULL)
		return;
	exam_add(exam, "postfix.local-mail",
	    postfix_where(exam->ctx, site->postfix, NULL, "non_smtpd_milters"),
	    milter_cure(exam, NULL, "non_smtpd_milters"),
	    "non_smtpd_milters does not name countersign: mail of cron, PHP and webmail that uses "
	    "sendmail(1) goes out unsigned");
}

/* --- time and later changes ------------------------------------------------ */

/* inbound - does any listener check SPF? */
static bool
inbound(const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].role == ROLE_INBOUND)
			return true;
	return false;
}

/* timeouts_of - one service */
static void
timeouts_of(struct exam *exam, const struct postfix_service *service,
    const struct postfix_milter *milter)
{
	static const struct { const char *own, *name; } rows[] = {
		{ "command_timeout", "milter_command_timeout" },
		{ "content_timeout", "milter_content_timeout" },
	};
	const struct site *site = exam->site;

	for (size_t i = 0; i < 2; i++) {
		const char *own = postfix_milter_option(exam->ctx, milter, rows[i].own);
		int64_t ms = own != NULL
		    ? postfix_time(own)
		    : postfix_ms(exam->ctx, site->postfix, service, rows[i].name);
		const char *where = postfix_where(exam->ctx, site->postfix, service,
		    own != NULL ? "smtpd_milters" : rows[i].name);

		if (ms < 0)
			continue;
		if (i == 0 && ms < site->config->spf.timeout_ms && inbound(site->config))
			exam_add(exam, "timeout.command", where,
			    own != NULL ? "command_timeout=30s" : "milter_command_timeout = 30s",
			    "Postfix waits %lld s for an answer, and an SPF check may take %ld s: "
			    "such mail is deferred", (long long)(ms / 1000),
			    site->config->spf.timeout_ms / 1000);
		if (i == 1 && ms < MILTER_CONTENT_MS)
			exam_add(exam, "timeout.content", where,
			    own != NULL ? "content_timeout=300s" : "milter_content_timeout = 300s",
			    "Postfix waits only %lld s for the end of a message",
			    (long long)(ms / 1000));
	}
}

/* timeouts_sendmail - T=R: of our X line; Sendmail's default is 10 s */
static void
timeouts_sendmail(struct exam *exam)
{
	const struct site *site = exam->site;
	const struct sendmail_line *line = site_sendmail_filter(exam->ctx, site);
	const char *times = line != NULL ? sendmail_key(exam->ctx, line->value, "T") : NULL;
	const char *at = times;
	int64_t ms = 10000;

	for (; at != NULL && *at != '\0'; at += strcspn(at, ";"), at += *at == ';')
		if (strncmp(at, "R:", 2) == 0)
			ms = postfix_time(mem_strndup(exam->ctx, at + 2, strcspn(at + 2, ";")));
	if (line != NULL && ms >= 0 && ms < site->config->spf.timeout_ms && inbound(site->config))
		exam_add(exam, "timeout.command", sendmail_where(exam->ctx, site->sendmail, line),
		    "T=C:10s;S:30s;R:60s;E:2m",
		    "Sendmail waits %lld s for an answer, and an SPF check may take %ld s: such "
		    "mail is deferred", (long long)(ms / 1000),
		    site->config->spf.timeout_ms / 1000);
}

void
examine_timeouts(struct exam *exam)
{
	const struct site *site = exam->site;

	if (site->config == NULL)
		return;
	if (site->sendmail != NULL)
		timeouts_sendmail(exam);
	for (size_t i = 0; site->postfix != NULL && i < site->postfix->n_services; i++) {
		const struct postfix_service *service = &site->postfix->services[i];
		const struct postfix_milter *milter = postfix_is_smtpd(service)
		    ? site_our_milter(exam->ctx, site, service, "smtpd_milters")
		    : NULL;

		if (milter != NULL && !site_milters_off(exam->ctx, exam->site, service))
			timeouts_of(exam, service, milter);
	}
}

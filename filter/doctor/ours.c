/*
 * ours.c - which milter of an MTA is countersign, and which services are open to strangers
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

bool
endpoint_is_number(const char *text)
{
	return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

struct endpoint
endpoint_read(TALLOC_CTX *ctx, const char *text)
{
	struct endpoint endpoint = { NULL, "", "" };
	static const char *const types[] = { "inet:", "inet6:", "tcp:" };
	const char *rest = text, *at, *last;

	if (strncmp(text, "unix:", 5) == 0 || strncmp(text, "local:", 6) == 0 || text[0] == '/') {
		endpoint.path = text[0] == '/' ? text : strchr(text, ':') + 1;
		return endpoint;
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strncmp(text, types[i], strlen(types[i])) == 0)
			rest = text + strlen(types[i]);
	at = strchr(rest, '@');
	last = strrchr(rest, ':');
	if (at != NULL) {
		endpoint.port = mem_strndup(ctx, rest, (size_t)(at - rest));
		endpoint.host = at + 1;
	} else if (last != NULL) {
		endpoint.port = last + 1;
		endpoint.host = mem_strndup(ctx, rest, (size_t)(last - rest));
	} else if (endpoint_is_number(rest)) {
		endpoint.port = rest;
		endpoint.host = "127.0.0.1";
	}
	if (endpoint_is_number(endpoint.host) && !endpoint_is_number(endpoint.port)) {
		const char *host = endpoint.port;

		endpoint.port = endpoint.host;
		endpoint.host = host;
	}
	if (endpoint.host[0] == '[')
		endpoint.host =
		    mem_strndup(ctx, endpoint.host + 1, strcspn(endpoint.host, "]") - 1);
	return endpoint;
}

/* endpoint_same_host - is a connection to `to` one to who listens on `on`? */
static bool
endpoint_same_host(const char *to, const char *on)
{
	struct ip_address a, b;
	bool a_known = ip_address_parse(to, &a), b_known = ip_address_parse(on, &b);
	bool a_local = strcasecmp(to, "localhost") == 0 || (a_known && ip_address_is_loopback(&a));
	bool b_local = strcasecmp(on, "localhost") == 0 || (b_known && ip_address_is_loopback(&b));

	if (strcasecmp(to, on) == 0 || strcmp(on, "0.0.0.0") == 0 || strcmp(on, "::") == 0)
		return true;
	if (a_local || b_local)
		return a_local && b_local;
	/* names are not resolved: with the same port they are taken to be the same host */
	return !a_known || !b_known ||
	    (a.bits == b.bits && memcmp(a.octets, b.octets, a.bits / 8) == 0);
}

/* endpoint_same_file - the same socket, also seen from a chroot or written relative to the queue */
static bool
endpoint_same_file(
    TALLOC_CTX *ctx, const struct site *site, const char *theirs, const char *ours)
{
	const char *queue = site->postfix == NULL
	    ? ""
	    : postfix_value(ctx, site->postfix, NULL, "queue_directory");
	const char *below = mem_printf(ctx, "%s%s%s", queue, theirs[0] == '/' ? "" : "/", theirs);
	struct stat a, b;

	if (strcmp(theirs, ours) == 0 || strcmp(below, ours) == 0)
		return true;
	if (stat(ours, &b) != 0)
		return false;
	return (stat(theirs, &a) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino) ||
	    (stat(below, &a) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

const char *
site_text_table(const char *spec)
{
	static const char *const types[] = { "hash:", "btree:", "lmdb:", "dbm:", "cdb:",
		"texthash:" };

	if (strncmp(spec, "proxy:", 6) == 0)
		spec += 6;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strncmp(spec, types[i], strlen(types[i])) == 0)
			return spec + strlen(types[i]);
	return NULL;
}

bool
site_same_endpoint(TALLOC_CTX *ctx, const struct site *site, const char *a, const char *b)
{
	struct endpoint theirs = endpoint_read(ctx, a), ours = endpoint_read(ctx, b);

	if ((theirs.path == NULL) != (ours.path == NULL))
		return false;
	if (theirs.path != NULL)
		return endpoint_same_file(ctx, site, theirs.path, ours.path);
	return strcmp(theirs.port, ours.port) == 0 && endpoint_same_host(theirs.host, ours.host);
}

bool
site_names_us(TALLOC_CTX *ctx, const struct site *site, const struct postfix_service *service,
    const char *text)
{
	(void)service;
	if (site->config == NULL)
		return false;
	/* The address is in the unit, so any milter may be ours: no error beats a wrong one. */
	return config_listen_inherited(site->config) ||
	    site_same_endpoint(ctx, site, text, site->config->listen_spec);
}

const struct postfix_milter *
site_our_milter(TALLOC_CTX *ctx, const struct site *site, const struct postfix_service *service,
    const char *parameter)
{
	size_t n;
	const struct postfix_milter *milters =
	    postfix_milters(ctx, postfix_value(ctx, site->postfix, service, parameter), &n);

	for (size_t i = 0; i < n; i++)
		if (site_names_us(ctx, site, service, milters[i].endpoint))
			return &milters[i];
	return NULL;
}

bool
site_outside(const struct site *site, const struct postfix_service *service)
{
	if (!postfix_is_loopback(service))
		return true;
	/* a site that is all on loopback: its loopback is the outside */
	for (size_t i = 0; i < site->postfix->n_services; i++)
		if (postfix_is_smtpd(&site->postfix->services[i]) &&
		    !postfix_is_loopback(&site->postfix->services[i]))
			return false;
	return true;
}

const struct postfix_service *
site_cleanup(const struct site *site)
{
	for (size_t i = 0; i < site->postfix->n_services; i++)
		if (strcmp(site->postfix->services[i].name, "cleanup") == 0)
			return &site->postfix->services[i];
	return NULL;
}

bool
site_misspelt(const struct site *site, const char *part)
{
	for (size_t i = 0; i < site->postfix->n_unused; i++)
		if (strstr(site->postfix->unused[i].name, part) != NULL)
			return true;
	return false;
}

bool
site_milters_off(TALLOC_CTX *ctx, const struct site *site, const struct postfix_service *service)
{
	return postfix_has_word(ctx,
	    postfix_value(ctx, site->postfix, service, "receive_override_options"), "no_milters");
}

const struct sendmail_line *
site_sendmail_filter(TALLOC_CTX *ctx, const struct site *site)
{
	for (size_t i = 0; site->config != NULL && i < site->sendmail->n; i++) {
		const struct sendmail_line *line = &site->sendmail->lines[i];
		const char *socket =
		    line->kind == 'X' ? sendmail_key(ctx, line->value, "S") : NULL;

		if (socket != NULL && site_names_us(ctx, site, NULL, socket))
			return line;
	}
	return NULL;
}

bool
site_sendmail_asks(TALLOC_CTX *ctx, const struct sendmail *sendmail)
{
	for (size_t i = 0; i < sendmail->n; i++) {
		const struct sendmail_line *line = &sendmail->lines[i];
		const char *modifiers;

		if (line->kind != 'O' || strcasecmp(line->name, "DaemonPortOptions") != 0)
			continue;
		modifiers = sendmail_key(ctx, line->value, "M");
		if (modifiers != NULL && strchr(modifiers, 'a') != NULL)
			return true;
	}
	return false;
}

/*
 * filters.c - which other filters an MTA uses, by their own configuration
 *
 * A filter is known by its socket: the one in its configuration, or that of a running process, or
 * a path that has its name. What it signs and writes is read from its configuration; what cannot
 * be found there is not known, and no finding.
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "filter/base/plain_file.h"
#include "filter/dkim/signers.h"
#include "filter/doctor/filters.h"
#include "policy/base/mem.h"

#define FILTERS_LINES	5000	/* of a file that is read */

/* A filter that is known. */
struct filter_kind {
	const char *name;
	const char *hint;	/* in paths of its socket, and its program */
	const char *port;	/* that only it has, or NULL */
	const char *confs[3];
	bool dkim;		/* configured as OpenDKIM is */
	bool writes;		/* Authentication-Results, under AuthservID */
	bool changes;
};

static const struct filter_kind filter_kinds[] = {
	{ "OpenDKIM", "opendkim", NULL, { "/etc/opendkim.conf", "/usr/local/etc/opendkim.conf" },
	    true, true, false },
	{ "dkimpy-milter", "dkimpy", NULL,
	    { "/etc/dkimpy-milter/dkimpy-milter.conf",
		"/usr/local/etc/dkimpy-milter/dkimpy-milter.conf" },
	    true, true, false },
	{ "OpenDMARC", "opendmarc", NULL,
	    { "/etc/opendmarc.conf", "/usr/local/etc/opendmarc.conf" }, false, true, false },
	{ "Rspamd", "rspamd", "11332",
	    { "/etc/rspamd/override.d/dkim_signing.conf", "/etc/rspamd/local.d/dkim_signing.conf" },
	    false, false, false },
	{ "spamass-milter", "spamass", NULL, { NULL }, false, false, true },
	{ "MIMEDefang", "mimedefang", NULL, { NULL }, false, false, true },
	{ "amavisd-milter", "amavis", NULL, { NULL }, false, false, true },
	{ "alterMIME", "altermime", NULL, { NULL }, false, false, true },
	{ "a disclaimer filter", "disclaimer", NULL, { NULL }, false, false, true },
	{ "Zeyple", "zeyple", NULL, { NULL }, false, false, true },
	{ "GPG-Mailgate", "gpg-mailgate", NULL, { NULL }, false, false, true },
	{ "CipherMail", "ciphermail", NULL, { NULL }, false, false, true },
};
#define FILTER_KINDS	(sizeof(filter_kinds) / sizeof(filter_kinds[0]))

/* --- files ----------------------------------------------------------------- */

/* filters_next_line - the next line of a file that is no comment, without blanks around it; false
 * at the end. line and size are getline()'s. */
static bool
filters_next_line(FILE *file, char **line, size_t *size, char **text_r, int *n)
{
	while (file != NULL && ++*n < FILTERS_LINES && getline(line, size, file) > 0) {
		char *text = *line + strspn(*line, " \t");

		text[strcspn(text, "\r\n")] = '\0';
		if (text[0] == '#' || text[0] == '\0')
			continue;
		*text_r = text;
		return true;
	}
	return false;
}

/* filters_close - what filters_next_line() used */
static void
filters_close(FILE *file, char *line)
{
	free(line);
	if (file != NULL)
		(void)fclose(file);
}

/* filters_value - of "NAME value", "NAME: value" or "NAME = value" in a file, or NULL */
static const char *
filters_value(struct exam *exam, const char *path, const char *name)
{
	FILE *file = plain_file(path);
	char *line = NULL, *text;
	const char *found = NULL;
	size_t size = 0, len = strlen(name);
	int n = 0;

	while (filters_next_line(file, &line, &size, &text, &n)) {
		if (strncasecmp(text, name, len) != 0 || strchr(" \t:=", text[len]) == NULL)
			continue;
		text += len + strspn(text + len, " \t:=");
		text[strcspn(text, "#;")] = '\0';
		for (size_t end = strlen(text); end > 0 && isspace((unsigned char)text[end - 1]);)
			text[--end] = '\0';
		found = exam_text(exam, "%s", text[0] == '"' ? text + 1 : text);
		((char *)(uintptr_t)found)[strcspn(found, "\"")] = '\0';
	}
	filters_close(file, line);
	return found;
}

/* filters_mentions - does a line of a file hold this domain, or begin with a *? */
static bool
filters_mentions(const char *path, const char *domain)
{
	FILE *file = plain_file(path);
	char *line = NULL, *text;
	size_t size = 0, len = strlen(domain);
	bool found = false;
	int n = 0;

	while (!found && filters_next_line(file, &line, &size, &text, &n)) {
		const char *at = text;

		found = text[0] == '*' && (text[1] == '\0' || isspace((unsigned char)text[1]));
		while (!found && (at = strcasestr(at, domain)) != NULL) {
			found = (at == text || !isalnum((unsigned char)at[-1])) &&
			    (at == text || at[-1] != '-') && !isalnum((unsigned char)at[len]) &&
			    at[len] != '.' && at[len] != '-';
			at += len;
		}
	}
	filters_close(file, line);
	return found;
}

/* --- which one it is ------------------------------------------------------- */

/* process_option - the value of an option in the words of a process, or NULL */
static const char *
process_option(const char *words, size_t len, const char *option)
{
	for (const char *at = words; at < words + len; at += strlen(at) + 1)
		if (strcmp(at, option) == 0 && at + strlen(at) + 1 < words + len)
			return at + strlen(at) + 1;
	return NULL;
}

/* process_conf - the file that a running filter was given, if an endpoint is its socket */
static const char *
process_conf(struct exam *exam, const struct filter_kind *kind, const char *pid,
    const char *endpoint)
{
	FILE *file = fopen(exam_text(exam, "/proc/%s/cmdline", pid), "re");
	char words[4096];
	size_t len = file != NULL ? fread(words, 1, sizeof(words) - 1, file) : 0;
	const char *conf, *socket;

	if (file != NULL)
		(void)fclose(file);
	words[len] = '\0';
	if (strstr(words, kind->hint) == NULL)
		return NULL;
	conf = process_option(words, len, kind->dkim ? "-x" : "-c");
	socket = process_option(words, len, "-p");
	if (socket == NULL)
		socket = filters_value(exam, conf, "Socket");
	if (conf == NULL || socket == NULL ||
	    !site_same_endpoint(exam->ctx, exam->site, endpoint, socket))
		return NULL;
	return exam_text(exam, "%s", conf);
}

/* filters_running - the same of all processes */
static const char *
filters_running(struct exam *exam, const struct filter_kind *kind, const char *endpoint)
{
	DIR *all = opendir("/proc");
	const struct dirent *entry;
	const char *found = NULL;

	while (all != NULL && found == NULL && (entry = readdir(all)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			found = process_conf(exam, kind, entry->d_name, endpoint);
	if (all != NULL)
		(void)closedir(all);
	return found;
}

/* filters_usual - the usual file that is there, or NULL */
static const char *
filters_usual(const struct filter_kind *kind)
{
	for (size_t i = 0; i < 3 && kind->confs[i] != NULL; i++)
		if (access(kind->confs[i], R_OK) == 0)
			return kind->confs[i];
	return NULL;
}

/* filters_is - does an endpoint lead to a filter of this kind? With its file */
static bool
filters_is(
    struct exam *exam, const struct filter_kind *kind, const char *endpoint, const char **conf_r)
{
	struct endpoint theirs = endpoint_read(exam->ctx, endpoint);
	const char *place = theirs.path != NULL ? theirs.path : theirs.host;
	const char *sockets[2] = { NULL };

	*conf_r = kind->writes ? filters_running(exam, kind, endpoint) : NULL;
	if (*conf_r != NULL)
		return true;
	*conf_r = filters_usual(kind);
	/* a path, or the host name of a container */
	if (strcasestr(place, kind->hint) != NULL ||
	    (theirs.path == NULL && kind->port != NULL && strcmp(theirs.port, kind->port) == 0))
		return true;
	if (!kind->writes)
		return false;
	sockets[0] = filters_value(exam, *conf_r, "Socket");
	sockets[1] =
	    filters_value(exam, exam_text(exam, "/etc/default/%s", kind->hint), "SOCKET");
	for (size_t i = 0; i < 2; i++)
		if (sockets[i] != NULL &&
		    site_same_endpoint(exam->ctx, exam->site, endpoint, sockets[i]))
			return true;
	return false;
}

/* --- what it does ---------------------------------------------------------- */

/* filters_set - does a data set of OpenDKIM hold a domain? "a,b", "file:/path", "refile:/path" */
static bool
filters_set(struct exam *exam, const char *set, const char *domain)
{
	const char *path = strchr(set, '/'), *word;

	if (set[0] == '/' || (path != NULL && strncmp(set, "csl:", 4) != 0))
		return filters_mentions(path, domain);
	while ((word = postfix_word(exam->ctx, &set)) != NULL)
		if (strcmp(word, "*") == 0 || strcasecmp(word, domain) == 0)
			return true;
	return false;
}

/* filters_signs - a domain that we sign for, and an OpenDKIM with this file, too; or NULL */
static const char *
filters_signs(struct exam *exam, const char *conf)
{
	const struct site *site = exam->site;
	const char *mode = filters_value(exam, conf, "Mode");
	const char *table = filters_value(exam, conf, "SigningTable");
	const char *list = table != NULL ? table : filters_value(exam, conf, "Domain");

	if (conf == NULL || list == NULL || (mode != NULL && strchr(mode, 's') == NULL))
		return NULL;
	for (size_t i = 0; i < site->n_domains; i++)
		if (signers_know(site->signers, site->domains[i]) &&
		    filters_set(exam, list, site->domains[i]))
			return site->domains[i];
	return NULL;
}

/* filters_rspamd - a domain that we sign for, and Rspamd, too; or NULL */
static const char *
filters_rspamd(struct exam *exam, const struct filter_kind *kind)
{
	const struct site *site = exam->site;
	const char *enabled = NULL;

	for (size_t i = 0; i < 2 && enabled == NULL; i++)
		enabled = filters_value(exam, kind->confs[i], "enabled");
	if (enabled != NULL && strcasecmp(enabled, "true") != 0)
		return NULL;
	for (size_t i = 0; i < site->n_domains; i++) {
		const char *domain = site->domains[i];
		DIR *keys = opendir("/var/lib/rspamd/dkim");
		const struct dirent *entry;
		size_t len = strlen(domain);
		bool found = filters_mentions(kind->confs[0], domain) ||
		    filters_mentions(kind->confs[1], domain);

		while (keys != NULL && (entry = readdir(keys)) != NULL)
			found = found || (strncasecmp(entry->d_name, domain, len) == 0 &&
			    entry->d_name[len] == '.');
		if (keys != NULL)
			(void)closedir(keys);
		if (found && signers_know(site->signers, domain))
			return domain;
	}
	return NULL;
}

/* filters_id - under which name a filter writes; its default is the MTA's */
static const char *
filters_id(struct exam *exam, const struct postfix_service *service, const char *conf)
{
	const char *id = filters_value(exam, conf, "AuthservID");

	if (conf == NULL || (id != NULL && id[0] != '\0' && strcmp(id, "HOSTNAME") != 0))
		return id;
	return postfix_value(exam->ctx, exam->site->postfix, service, "myhostname");
}

/* --- asking ---------------------------------------------------------------- */

bool
filters_milter(struct exam *exam, const struct postfix_service *service, const char *endpoint,
    struct mail_filter *filter_r)
{
	for (size_t i = 0; i < FILTER_KINDS; i++) {
		const struct filter_kind *kind = &filter_kinds[i];
		const char *conf = NULL;

		if (!filters_is(exam, kind, endpoint, &conf))
			continue;
		*filter_r = (struct mail_filter){ .name = kind->name,
			.conf = conf,
			.changes = kind->changes };
		if (kind->dkim)
			filter_r->signs = filters_signs(exam, conf);
		else if (kind->port != NULL)
			filter_r->signs = filters_rspamd(exam, kind);
		if (kind->writes)
			filter_r->authserv_id = filters_id(exam, service, conf);
		return true;
	}
	return false;
}

/* filters_amavis - a domain that we sign for, and amavis, too; its file in *conf_r; or NULL */
static const char *
filters_amavis(struct exam *exam, const char **conf_r)
{
	static const char *const files[] = { "/etc/amavis/conf.d/50-user",
		"/etc/amavis/conf.d/20-debian_defaults", "/etc/amavisd/amavisd.conf",
		"/etc/amavisd.conf" };
	const struct site *site = exam->site;
	const char *on = NULL;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const char *set = filters_value(exam, files[i], "$enable_dkim_signing");

		on = on != NULL ? on : set;
	}
	if (on == NULL || strcmp(on, "0") == 0)
		return NULL;
	for (size_t i = 0; i < site->n_domains; i++)
		for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++)
			if (signers_know(site->signers, site->domains[i]) &&
			    filters_mentions(files[k], exam_text(exam, "%s", site->domains[i]))) {
				*conf_r = files[k];
				return site->domains[i];
			}
	return NULL;
}

bool
filters_content(struct exam *exam, const char *content_filter, struct mail_filter *filter_r)
{
	const struct postfix *postfix = exam->site->postfix;
	size_t len = strcspn(content_filter, ":");

	*filter_r = (struct mail_filter){ .name = "amavis" };
	if (strcasestr(content_filter, "amavis") != NULL ||
	    strstr(content_filter, ":10024") != NULL || strstr(content_filter, ":10026") != NULL)
		filter_r->signs = filters_amavis(exam, &filter_r->conf);
	if (filter_r->signs != NULL)
		return true;
	for (size_t i = 0; i < postfix->n_services; i++) {
		const struct postfix_service *service = &postfix->services[i];

		if (strncmp(service->name, content_filter, len) != 0 ||
		    service->name[len] != '\0' || strcmp(service->program, "pipe") != 0)
			continue;
		for (size_t k = 0; k < FILTER_KINDS; k++)
			if (filter_kinds[k].changes &&
			    strcasestr(service->arguments, filter_kinds[k].hint) != NULL) {
				filter_r->name = filter_kinds[k].name;
				filter_r->changes = true;
				return true;
			}
	}
	return false;
}

/*
 * keyring_directory.c - the layout of the keys' directory: DIRECTORY/<domain>/<selector>.pem
 *
 * Looks at names, owners and modes, never at a secret. All errors are collected and reported at
 * once, each with its cure, because a site with a hundred domains should not have to fix them one
 * run at a time.
 *
 * Threads: loading belongs to one thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "filter/dkim/key_file.h"
#include "filter/dkim/keyring.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"

#define SUFFIX		".pem"

/* open_directory - open a directory and check who may write to it; NULL after a report, or for a
 * file that may be one */
static DIR *
open_directory(struct keyring_report *report, const struct keyring_options *options,
    const char *path, bool may_be_file)
{
	DIR *dir = opendir(path);
	struct stat st;

	if (dir == NULL && errno == ENOTDIR && may_be_file)
		return NULL;
	if (dir == NULL || fstat(dirfd(dir), &st) != 0) {
		keyring_report_error(report,
		    mem_printf(report->ctx,
			"%s: %s; it must be a directory that the daemon can read", path,
			strerror(errno)));
		if (dir != NULL)
			closedir(dir);
		return NULL;
	}
	if (st.st_uid != 0 && st.st_uid != options->uid)
		keyring_report_error(report,
		    key_file_owner_error(report->ctx, options, path, st.st_uid, "put keys there"));
	if ((st.st_mode & S_IWOTH) != 0 ||
	    ((st.st_mode & S_IWGRP) != 0 && st.st_gid != options->gid && st.st_gid != 0))
		keyring_report_error(report,
		    mem_printf(report->ctx, "%s: others could put keys there; run: chmod go-w %s",
			path, path));
	return dir;
}

/* compare_names - for qsort, last first */
static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)b, *(const char *const *)a);
}

/* read_names - the names in a directory that do not begin with a dot, last first */
static const char **
read_names(TALLOC_CTX *ctx, struct keyring_report *report,
    const struct keyring_options *options, const char *path, bool may_be_file, size_t *n_r)
{
	DIR *dir = open_directory(report, options, path, may_be_file);
	const char **names = NULL;
	struct dirent *entry;
	size_t room = 0;

	*n_r = 0;
	if (dir == NULL)
		return NULL;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (*n_r == room) {
			room = room == 0 ? 16 : room * 2;
			names = mem_grow(ctx, names, const char *, room);
		}
		names[(*n_r)++] = mem_strdup(ctx, entry->d_name);
	}
	closedir(dir);
	if (*n_r > 1)
		qsort(names, *n_r, sizeof(*names), compare_names);
	return names;
}

/* is_key_name - does this file name end in ".pem", with something before it? */
static bool
is_key_name(const char *name)
{
	size_t len = strlen(name), tail = sizeof(SUFFIX) - 1;

	return len > tail && strcmp(name + len - tail, SUFFIX) == 0;
}

/* advise_domain - an Ed25519 key alone is a signature few can verify (RFC 8463 section 6) */
static void
advise_domain(struct keyring_report *report, const struct keyring_domain *domain)
{
	for (size_t i = 0; i < domain->n; i++)
		if (!keyring_is_ed25519(&domain->keys[i]))
			return;
	keyring_report_warning(report, mem_printf(report->ctx,
	    "%s: has Ed25519 keys only, which many receivers "
	    "do not know; add an RSA key", domain->name));
}

/* load_keys - the key files among these names of a domain's directory, n_keys of them */
static void
load_keys(struct keyring *keyring, const char *name, const char *path, const char **names,
    size_t n, size_t n_keys, struct keyring_report *report)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	struct keyring_domain *domain = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!is_key_name(names[i]))
			continue;

		char *selector =
		    mem_strndup(scratch, names[i], strlen(names[i]) - (sizeof(SUFFIX) - 1));
		char *file = mem_printf(scratch, "%s/%s", path, names[i]);

		if (!keyring_is_selector(selector)) {
			keyring_report_error(report, mem_printf(report->ctx,
			    "%s: its name is not a selector; use letters, digits, "
			    "hyphens and single dots before " SUFFIX, file));
			continue;
		}
		if (domain == NULL)
			domain = keyring_add_domain(keyring, name, n_keys);
		keyring_add_key(keyring, domain, selector, file, report);
	}
	if (domain != NULL)
		advise_domain(report, domain);
	talloc_free(scratch);
}

/* load_domain - all keys of a domain's directory */
static void
load_domain(struct keyring *keyring, const char *path, const char *name,
    struct keyring_report *report)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	size_t n, keys = 0;
	const char **names =
	    read_names(scratch, report, keyring_options_of(keyring), path, true, &n);

	for (size_t i = 0; i < n; i++)
		keys += is_key_name(names[i]);
	if (keys > KEYRING_DOMAIN_KEYS)
		keyring_report_error(report, mem_printf(report->ctx,
		    "%s: holds %zu keys, %d are the most, because each signs; "
		    "remove the old ones", path, keys, KEYRING_DOMAIN_KEYS));
	else
		load_keys(keyring, name, path, names, n, keys, report);
	talloc_free(scratch);
}

/* load_entry - one name in the top directory */
static void
load_entry(struct keyring *keyring, const char *directory, const char *name,
    struct keyring_report *report)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	char *path = mem_printf(scratch, "%s/%s", directory, name);
	const char *normal = domain_normalise(scratch, name, strlen(name), NULL);
	struct stat st = { 0 };
	bool is_directory = true;

	/* the name of a domain is most likely that of its directory; opening it will show */
	if (normal == NULL || strcmp(normal, name) != 0 || is_key_name(name)) {
		if (stat(path, &st) != 0)
			keyring_report_error(report,
			    mem_printf(report->ctx, "%s: %s", path, strerror(errno)));
		is_directory = S_ISDIR(st.st_mode);
	}
	if (is_directory && (normal == NULL || domain_is_literal(normal)))
		keyring_report_error(
		    report, mem_printf(report->ctx, "%s: its name is not a domain", path));
	else if (is_directory && strcmp(normal, name) != 0)
		keyring_report_error(report,
		    mem_printf(report->ctx,
			"%s: must be written in lower case and A-labels; "
			"rename it to %s",
			path, normal));
	else if (is_directory)
		load_domain(keyring, path, name, report);
	else if (is_key_name(name))
		keyring_report_error(report, mem_printf(report->ctx,
		    "%s: is next to the domains' directories; move it to "
		    "%s/<domain>/<selector>" SUFFIX, path, directory));
	talloc_free(scratch);
}

struct keyring *
keyring_load(TALLOC_CTX *ctx, const char *directory, const struct keyring_options *options,
    const char **warnings_r, const char **error_r)
{
	struct keyring_report report = { .ctx = ctx };
	struct keyring *keyring = keyring_new(ctx, options);
	TALLOC_CTX *scratch = mem_new(NULL, char);
	size_t n;
	const char **names =
	    read_names(scratch, &report, keyring_options_of(keyring), directory, false, &n);

	for (size_t i = 0; i < n; i++)
		load_entry(keyring, directory, names[i], &report);
	talloc_free(scratch);

	*warnings_r = report.warnings;
	if (report.n_errors == 0)
		return keyring;
	*error_r = report.errors;
	talloc_free(keyring);
	return NULL;
}

/*
 * signers.c - which keys sign mail of an address
 *
 * The tables are read once for a snapshot, and with them every key file whose
 * name they say outright is looked at. Names with a % depend on the
 * sender, so these keys are borrowed from the keyring when they are needed.
 *
 * A key that cannot be used stops the start, unless the configuration says what becomes of
 * mail without it (on_missing_key): then it is reported, and each message
 * of that domain goes by that. A hundred thousand customers' mail must not
 * stand still because one of them lost a file.
 *
 * The tables may hold keys themselves. They are read into memory of its own, which is left out of
 * core dumps and wiped at the end.
 *
 * Threads: see signers.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "filter/dkim/signers.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/dkim/signing_table.h"

#define TABLE_OCTETS_MAX	(512L * 1024 * 1024)

/* The text of a table, in memory of its own. */
struct sheet {
	char *text;
	size_t len;		/* without the NUL after it */
	size_t size;		/* as mapped */
	struct stat st;
	const char *file;
};

struct signers {
	const struct config *config;
	struct keyring *keyring;
	struct key_table *key_table; /* NULL: the plain layout */
	struct signing_table *signing_table;
	struct keyring_key
	    *keys; /* of the rows of key_table; secret NULL: its file depends on the sender */
	size_t n_dynamic;	/* such rows */
};

/* --- reading ----------------------------------------------------------- */

/* sheet_free - destructor */
static int
sheet_free(struct sheet *sheet)
{
	OPENSSL_cleanse(sheet->text, sheet->size);
	(void)munmap(sheet->text, sheet->size);
	return 0;
}

/* signers_check_owner - may only root and the daemon change this file? */
static const char *
signers_check_owner(
    TALLOC_CTX *ctx, const struct sheet *sheet, const struct keyring_options *options)
{
	const struct stat *st = &sheet->st;

	if (!S_ISREG(st->st_mode))
		return mem_printf(ctx, "%s: is not a regular file", sheet->file);
	if (st->st_size > TABLE_OCTETS_MAX)
		return mem_printf(
		    ctx, "%s: is larger than %ld bytes", sheet->file, TABLE_OCTETS_MAX);
	if (st->st_uid != 0 && st->st_uid != options->uid)
		return mem_printf(ctx,
		    "%s: belongs to user id %lu, who could name other keys there; run: chown root %s",
		    sheet->file, (unsigned long)st->st_uid, sheet->file);
	if ((st->st_mode & S_IWOTH) != 0 ||
	    ((st->st_mode & S_IWGRP) != 0 && st->st_gid != 0 && st->st_gid != options->gid))
		return mem_printf(ctx, "%s: others could name other keys there; run: chmod go-w %s",
		    sheet->file, sheet->file);
	return NULL;
}

/* fill_sheet - read an open file; NULL, or what went wrong */
static const char *
fill_sheet(TALLOC_CTX *ctx, struct sheet *sheet, int fd)
{
	size_t want = (size_t)sheet->st.st_size;

	sheet->size = want + 1;
	sheet->text =
	    mmap(NULL, sheet->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sheet->text == MAP_FAILED)
		return mem_printf(ctx, "%s: %s", sheet->file, strerror(errno));
	talloc_set_destructor(sheet, sheet_free);
	(void)madvise(sheet->text, sheet->size, MADV_DONTDUMP);
	while (sheet->len < want) {
		ssize_t n = read(fd, sheet->text + sheet->len, want - sheet->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return mem_printf(ctx, "%s: %s", sheet->file, strerror(errno));
		if (n == 0)
			break;
		sheet->len += (size_t)n;
	}
	if (memchr(sheet->text, '\0', sheet->len) != NULL)
		return mem_printf(ctx, "%s: holds a NUL byte, so it is not text", sheet->file);
	return NULL;
}

/* read_sheet - the text of a table, or NULL and *error_r on ctx */
static struct sheet *
read_sheet(TALLOC_CTX *ctx, struct signers *signers, const char *file,
    const struct keyring_options *options, const char **error_r)
{
	struct sheet *sheet = mem_new(signers, struct sheet);
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	sheet->file = file;
	if (fd < 0 || fstat(fd, &sheet->st) != 0)
		*error_r = mem_printf(ctx, "%s: %s", file, strerror(errno));
	else if ((*error_r = signers_check_owner(ctx, sheet, options)) == NULL)
		*error_r = fill_sheet(ctx, sheet, fd);
	if (fd >= 0)
		close(fd);
	return *error_r == NULL ? sheet : NULL;
}

/* add_row - the key of a line of the KeyTable */
static void
add_row(struct signers *signers, size_t i, const struct sheet *sheet, struct keyring_report *report)
{
	const struct key_row *row = &signers->key_table->rows[i];
	const char *base = signers->config->dkim.base_directory;
	TALLOC_CTX *scratch = mem_new(NULL, char);
	const char *where = mem_printf(scratch, "%s:%u", sheet->file, row->line), *path = row->key;
	unsigned int mode = (unsigned int)sheet->st.st_mode & 07777;

	if (key_row_is_file(row) && *path != '/') {
		if (base == NULL)
			keyring_report_unusable(signers->keyring, report, row->domain,
			    mem_printf(scratch,
				"%s: %s is not an absolute path; set base_directory, from where it "
				"is meant",
				where, path));
		path = mem_printf(scratch, "%s/%s", base != NULL ? base : "", path);
	}
	if (!key_row_is_file(row) && (mode & 0027) != 0)
		keyring_report_unusable(signers->keyring, report, row->domain,
		    mem_printf(scratch,
			"%s: mode %04o is open to others, though this line holds a private key; run: chmod 0640 %s",
			where, mode, sheet->file));
	if (key_row_is_file(row) && strchr(path, '%') != NULL)
		signers->n_dynamic++;
	else if (key_row_is_file(row))
		signers->keys[i] =
		    keyring_add_file(signers->keyring, row->domain, row->selector, path, report);
	else
		signers->keys[i] = keyring_add_text(
		    signers->keyring, row->domain, row->selector, row->key, where, report);
	talloc_free(scratch);
}

/* add_lines - lines of one report to another */
static void
add_lines(TALLOC_CTX *ctx, char **text, const char *lines)
{
	if (lines == NULL)
		return;
	*text = *text == NULL ? mem_strdup(ctx, lines) :
	    mem_check(talloc_asprintf_append_buffer(*text, "\n%s", lines));
}

/* merge_reports - what the tables' readers had to say */
static void
merge_reports(
    struct signers *signers, struct keyring_report *report, const struct table_report *lines)
{
	const struct keyring_options *options = keyring_options_of(signers->keyring);
	bool tolerated = options->tolerates != NULL && options->tolerates(options->state, NULL);

	add_lines(report->ctx, &report->errors, lines->errors);
	add_lines(report->ctx, tolerated ? &report->warnings : &report->errors, lines->missing);
	add_lines(report->ctx, &report->warnings, lines->warnings);
}

/* load_tables - KeyTable, SigningTable, and the keys they name */
static void
load_tables(struct signers *signers, struct keyring_report *report)
{
	const struct dkim_config *dkim = &signers->config->dkim;
	const struct keyring_options *options = keyring_options_of(signers->keyring);
	struct table_report lines = { .ctx = report->ctx };
	enum dataset_kind key_kind = DATASET_FILE, signing_kind = DATASET_FILE;
	const char *key_file = NULL, *signing_file = NULL, *error = NULL;
	struct sheet *keys, *signing;

	/* the configuration has checked both specifications */
	(void)dataset_read_spec(report->ctx, dkim->key_table, &key_kind, &key_file, &error);
	(void)dataset_read_spec(
	    report->ctx, dkim->signing_table, &signing_kind, &signing_file, &error);
	keys = read_sheet(report->ctx, signers, key_file, options, &error);
	signing =
	    keys == NULL ? NULL : read_sheet(report->ctx, signers, signing_file, options, &error);
	if (signing == NULL) {
		add_lines(report->ctx, &report->errors, error);
		return;
	}
	signers->key_table =
	    key_table_read(signers, key_kind, key_file, keys->text, keys->len, &lines);
	signers->signing_table = signing_table_read(signers, signing_kind, signing_file,
	    signing->text, signing->len, signers->key_table, &lines);
	signers->keys = mem_array(signers, struct keyring_key, signers->key_table->n + 1);
	for (size_t i = 0; i < signers->key_table->n; i++)
		add_row(signers, i, keys, report);
	merge_reports(signers, report, &lines);
}

/* tolerates - is it said what becomes of a domain's mail without its key? */
static bool
tolerates(const void *state, const char *domain)
{
	const struct config *config = state;

	return config->set.of[REASON_MISSING_KEY] >= 0 ||
	    (domain != NULL && config_dkim_domain(config, domain)->on_missing_key >= 0);
}

struct signers *
signers_load(TALLOC_CTX *ctx, const struct config *config, const struct keyring_options *keyring,
    const char **warnings_r, const char **error_r)
{
	struct signers *signers = mem_new(ctx, struct signers);
	struct keyring_options options = *keyring;
	struct keyring_report report = { .ctx = ctx };

	signers->config = config;
	options.tolerates = tolerates;
	options.state = config;
	if (config->dkim.key_table == NULL) {
		signers->keyring =
		    keyring_load(signers, config->keys, &options, warnings_r, error_r);
		*warnings_r = talloc_steal(ctx, *warnings_r);
		if (signers->keyring != NULL)
			return signers;
		*error_r = talloc_steal(ctx, *error_r);
		talloc_free(signers);
		return NULL;
	}
	signers->keyring = keyring_new(signers, &options);
	load_tables(signers, &report);
	*warnings_r = report.warnings;
	if (report.errors == NULL)
		return signers;
	*error_r = report.errors;
	talloc_free(signers);
	return NULL;
}

size_t
signers_keys(const struct signers *signers)
{
	return keyring_keys(signers->keyring) + signers->n_dynamic;
}

struct keyring_key *
signers_all(TALLOC_CTX *ctx, const struct signers *signers, size_t *n_r)
{
	struct keyring_key *keys;

	if (signers->key_table == NULL)
		return keyring_all(ctx, signers->keyring, n_r);
	keys = mem_array(ctx, struct keyring_key, signers->key_table->n + 1);
	*n_r = signers->key_table->n;
	for (size_t i = 0; i < *n_r; i++) {
		const struct key_row *row = &signers->key_table->rows[i];

		keys[i] = signers->keys[i].secret != NULL ? signers->keys[i] :
		    (struct keyring_key){ row->domain, row->selector, row->key, NULL };
	}
	return keys;
}

bool
signers_know(const struct signers *signers, const char *domain)
{
	return signers->key_table == NULL ? keyring_find(signers->keyring, domain) != NULL :
	    signing_table_has_domain(signers->signing_table, domain);
}

/* --- choosing ---------------------------------------------------------- */

/* missing - there is no key for a domain */
static void
missing(TALLOC_CTX *ctx, const struct signers *signers, struct sign_choice *choice,
    const char *domain, char *problem)
{
	if (choice->problem == NULL)
		choice->problem = problem;
	if (choice->domain == NULL)
		choice->domain = mem_strdup(ctx, domain);
	if (choice->on_missing_key < 0)
		choice->on_missing_key =
		    config_dkim_domain(signers->config, domain)->on_missing_key;
	if (choice->outcome != OUTCOME_PASS)
		choice->outcome = OUTCOME_FAIL;
}

/* add_request - one more signature */
static void
add_request(TALLOC_CTX *ctx, const struct signers *signers, struct sign_choice *choice,
    const struct keyring_key *key, const char *address, const char *identity)
{
	const struct dkim_domain *domain = config_dkim_domain(signers->config, key->domain);

	if (identity == NULL || !signing_identity_fits(identity, key->domain))
		identity = signing_identity(ctx, domain->profile.identity, address, key->domain);
	choice->requests[choice->n++] = (struct sign_request){ .key = key, .identity = identity,
	    .profile = &domain->profile };
	if (choice->outcome != OUTCOME_PASS) {
		choice->outcome = OUTCOME_PASS;
		choice->domain = key->domain;
		choice->on_missing_key = domain->on_missing_key;
	}
}

/* find_plain - the keys of a domain, or of one above it that signs for its subdomains */
static const struct keyring_domain *
find_plain(const struct signers *signers, const char *domain, bool fixed)
{
	const struct keyring_domain *found = keyring_find(signers->keyring, domain);

	for (const char *p = strchr(domain, '.'); !fixed && found == NULL && p != NULL;
	     p = strchr(p + 1, '.'))
		if (config_dkim_domain(signers->config, p + 1)->subdomains == 1)
			found = keyring_find(signers->keyring, p + 1);
	return found;
}

/* choose_plain - every key of the domain */
static void
choose_plain(TALLOC_CTX *ctx, const struct signers *signers, const char *address,
    const char *domain, bool fixed, struct sign_choice *choice)
{
	const struct keyring_domain *found = find_plain(signers, domain, fixed);

	if (found == NULL) {
		missing(ctx, signers, choice, domain,
		    mem_printf(ctx, "there is no key for %s", domain));
		return;
	}
	choice->requests = mem_array(ctx, struct sign_request, found->n);
	for (size_t i = 0; i < found->n; i++)
		add_request(ctx, signers, choice, &found->keys[i], address, NULL);
}

/* row_key - the key of a line of the KeyTable for mail of this domain */
static const struct keyring_key *
row_key(
    TALLOC_CTX *ctx, const struct signers *signers, const struct key_row *row, const char *domain)
{
	const struct keyring_key *fixed = &signers->keys[row - signers->key_table->rows];
	const char *base = signers->config->dkim.base_directory;
	const char *sdid, *selector, *path;
	struct keyring_key *key;

	if (key_row_is_fixed(row))
		return fixed;
	sdid = table_substitute(ctx, row->domain, domain);
	selector = table_substitute(ctx, row->selector, domain);
	if (fixed->secret != NULL) {
		key = mem_new(ctx, struct keyring_key);
		*key = (struct keyring_key){ sdid, selector, fixed->file, fixed->secret };
		return key;
	}
	path = table_substitute(ctx, row->key, domain);
	if (*path != '/')
		path = mem_printf(ctx, "%s/%s", base != NULL ? base : "", path);
	return keyring_borrow(ctx, signers->keyring, sdid, selector, path);
}

/* choose_match - one line of the SigningTable */
static void
choose_match(TALLOC_CTX *ctx, const struct signers *signers, const char *address,
    const char *domain, const char *sign_as, const struct signing_match *match,
    struct sign_choice *choice)
{
	const struct key_row *row = key_table_find(signers->key_table, match->key);
	const char *sdid = row == NULL ? domain : table_substitute(ctx, row->domain, domain);

	if (sign_as != NULL && strcmp(sdid, sign_as) != 0)
		return;
	if (row == NULL)
		missing(ctx, signers, choice, sdid,
		    mem_printf(ctx,
			"line %u of the SigningTable names the key %s, "
			"which the KeyTable does not have",
			match->line, match->key));
	else
		add_request(ctx, signers, choice, row_key(ctx, signers, row, domain), address,
		    match->identity);
}

/* choose_tables - what the SigningTable says */
static void
choose_tables(TALLOC_CTX *ctx, const struct signers *signers, const char *address,
    const char *domain, const char *sign_as, struct sign_choice *choice)
{
	struct signing_match matches[SIGNING_MATCHES_MAX];
	bool more = false;
	size_t n = 0;

	signing_table_find(ctx, signers->signing_table, address,
	    signers->config->dkim.multiple_signatures != 0, matches, &n, &more);
	choice->requests = mem_array(ctx, struct sign_request, n + 1);
	for (size_t i = 0; i < n; i++)
		choose_match(ctx, signers, address, domain, sign_as, &matches[i], choice);
	if (more && choice->problem == NULL)
		choice->problem = mem_printf(
		    ctx, "more than %d lines of the SigningTable match", SIGNING_MATCHES_MAX);
}

void
signers_choose(TALLOC_CTX *ctx, const struct signers *signers, const char *address,
    const char *sign_as, struct sign_choice *choice_r)
{
	const char *at = strrchr(address, '@'), *domain = at == NULL ? "" : at + 1;

	*choice_r = (struct sign_choice){ .outcome = OUTCOME_NONE, .on_missing_key = -1 };
	if (*domain == '\0' || domain_is_literal(domain) ||
	    (sign_as != NULL && !domain_is_or_below(domain, sign_as)))
		return;
	if (signers->key_table == NULL)
		choose_plain(ctx, signers, address, sign_as != NULL ? sign_as : domain,
		    sign_as != NULL, choice_r);
	else
		choose_tables(ctx, signers, address, domain, sign_as, choice_r);
}

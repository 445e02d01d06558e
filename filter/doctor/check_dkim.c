/*
 * check_dkim.c - can others verify what our keys sign?
 *
 * The daemon's own judgement of a record (filter/dkim/key_record.h) decides.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "filter/dkim/key_record.h"
#include "filter/dkim/signers.h"
#include "filter/doctor/inside.h"
#include "policy/base/mem.h"

#define DKIM_AHEAD	64	/* questions under way */
#define DKIM_BITS	2048	/* RFC 8301 section 3.2 */
#define DKIM_OLD_S	(365 * 86400L)

/* A key and what DNS says of it. */
struct dkim_case {
	const struct keyring_key *key;
	struct keyring_public half;
	struct key_finding finding;
	const char *name;	/* of the record */
	bool judged;
};

/* dkim_record_line - the record as a zone file has it, in one line */
static const char *
dkim_record_line(struct exam *exam, const struct dkim_case *one)
{
	char *zone = key_record_zone(exam->ctx, one->key->selector, one->key->domain, &one->half);

	for (char *c = zone; *c != '\0'; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	return zone;
}

/* visible_beside - does the domain have another RSA key that others see? */
static bool
visible_beside(const struct dkim_case *cases, size_t n, const struct dkim_case *one)
{
	for (size_t i = 0; i < n; i++)
		if (&cases[i] != one && cases[i].judged &&
		    cases[i].finding.state == KEY_MATCHES && cases[i].half.type == KEYRING_RSA &&
		    strcmp(cases[i].key->domain, one->key->domain) == 0)
			return true;
	return false;
}

/* check_case - one key */
static void
check_case(struct exam *exam, const struct dkim_case *cases, size_t n, const struct dkim_case *one)
{
	const char *cure = dkim_record_line(exam, one);
	const char *problem = one->finding.problem != NULL ? one->finding.problem : "";

	switch (one->finding.state) {
	case KEY_MATCHES:
		break;
	case KEY_UNSEEN:
		exam_add_level(exam, visible_beside(cases, n, one) ? DOCTOR_OK : DOCTOR_ERROR,
		    "dkim.no-record", one->name, cure,
		    "the key %s has no DNS record, so countersign does not sign with it",
		    one->key->file);
		break;
	case KEY_OTHER:
		exam_add(exam, "dkim.other-key", one->name, cure,
		    "the DNS record is of another key than %s", one->key->file);
		break;
	case KEY_REVOKED:
		exam_add(exam, "dkim.revoked", one->name, cure,
		    "the DNS record says that the key is revoked (p= is empty)");
		break;
	case KEY_UNFIT:
		exam_add(exam, "dkim.unusable", one->name, cure,
		    "the DNS record cannot be used: %s", problem);
		break;
	case KEY_UNKNOWN:
		exam_add_level(exam, DOCTOR_UNKNOWN, "dkim.no-record", one->name, NULL,
		    "DNS gave no answer: %s", problem);
		break;
	}
	if (one->finding.records > 1 && one->finding.state != KEY_UNKNOWN)
		exam_add(exam, "dkim.several-records", one->name,
		    "delete all but the one of the key",
		    "%zu TXT records stand at this name; receivers fail or take any of them",
		    one->finding.records);
	if (one->finding.testing && one->finding.state == KEY_MATCHES)
		exam_add(exam, "dkim.test-flag", one->name, "delete t=y from the record",
		    "the DNS record has t=y: receivers may treat signed mail as unsigned");
}

/* check_old - are all keys of a domain old? By the newest file. */
static void
check_old(struct exam *exam, const struct keyring_key *keys, size_t n, const char *domain)
{
	const char *file = NULL;
	time_t newest = 0;
	struct stat st;

	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i].domain, domain) == 0 && stat(keys[i].file, &st) == 0 &&
		    st.st_mtime > newest) {
			newest = st.st_mtime;
			file = keys[i].file;
		}
	if (file != NULL && newest < time(NULL) - DKIM_OLD_S)
		exam_add(exam, "dkim.key-old", file,
		    exam_text(exam, "countersignctl dkim genkey %s", domain),
		    "the newest key of %s is %ld days old", domain,
		    (long)((time(NULL) - newest) / 86400));
}

/* check_domains - those without a key */
static void
check_domains(struct exam *exam, const char *const *domains, size_t n)
{
	for (size_t i = 0; i < n && config_signs(exam->site->config); i++)
		if (!signers_know(exam->site->signers, domains[i]))
			exam_add(exam, "dkim.no-key", domains[i],
			    exam_text(exam, "countersignctl dkim genkey %s", domains[i]),
			    "this domain has no key: its mail is not signed");
}

void
examine_dkim(struct exam *exam)
{
	const struct site *site = exam->site;
	const struct keyring_key *keys;
	struct dkim_case *cases;
	size_t n;

	if (site->config == NULL || site->signers == NULL)
		return;
	keys = signers_all(exam->ctx, site->signers, &n);
	cases = mem_array(exam->ctx, struct dkim_case, n + 1);
	for (size_t i = 0; i < n; i++) {
		cases[i].key = &keys[i];
		cases[i].name = key_record_name(exam->ctx, keys[i].selector, keys[i].domain);
		if (i < DKIM_AHEAD && keys[i].secret != NULL)
			exam_ahead(exam, cases[i].name, DNS_TXT);
	}
	for (size_t i = 0; i < n; i++) {
		const char *error = NULL;

		if (i + DKIM_AHEAD < n && keys[i + DKIM_AHEAD].secret != NULL)
			exam_ahead(exam, cases[i + DKIM_AHEAD].name, DNS_TXT);
		if (keys[i].secret == NULL)
			continue;
		if (keyring_public(exam->ctx, &keys[i], &cases[i].half, &error) != 0) {
			exam_add(exam, "key.unreadable", keys[i].file,
			    exam_text(exam, "countersignctl dkim genkey %s", keys[i].domain), "%s",
			    error);
			continue;
		}
		if (cases[i].half.type == KEYRING_RSA && cases[i].half.bits < DKIM_BITS)
			exam_add_level(exam, DOCTOR_WARNING, "dkim.short", keys[i].file,
			    exam_text(exam, "countersignctl dkim genkey %s", keys[i].domain),
			    "the key has %u bits; 2048 are advised (RFC 8301)", cases[i].half.bits);
		check_old(exam, keys, n, keys[i].domain);
		if (site->resolver == NULL)
			continue;
		key_record_judge(exam->ctx, &cases[i].half,
		    exam_ask(exam, cases[i].name, DNS_TXT), &cases[i].finding);
		cases[i].judged = true;
	}
	for (size_t i = 0; i < n; i++)
		if (cases[i].judged)
			check_case(exam, cases, n, &cases[i]);
	check_domains(exam, site->domains, site->n_domains);
	check_domains(exam, site->mta_domains, site->n_mta_domains);
}

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

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "filter/base/clock.h"
#include "filter/dkim/key_record.h"
#include "filter/dkim/signers.h"
#include "filter/doctor/inside.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define DKIM_AHEAD	64	/* questions under way */
#define DKIM_BITS	2048	/* RFC 8301 section 3.2 */
#define DKIM_OLD_S	(365 * 86400L)
/* Keys that the daemon looks at by itself; its key watch looks at each key that signs. */
#define DKIM_DAEMON_MAX	1000

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

	char *to = zone;

	for (const char *c = zone; *c != '\0'; c++)
		if (*c != '\n' && *c != '\t')
			*to++ = *c;
		else if (c[1] != '\0' && c[1] != '\t')
			*to++ = ' ';
	*to = '\0';
	return zone;
}

/* dkim_order - for qsort(): the keys of a domain side by side */
static int
dkim_order(const void *a, const void *b)
{
	const struct keyring_key *one = a, *other = b;

	return strcmp(one->domain, other->domain);
}

/* dkim_domain_end - the index behind the last key of a domain, whose first one is given */
static size_t
dkim_domain_end(const struct keyring_key *keys, size_t n, size_t first)
{
	size_t end = first + 1;

	while (end < n && strcmp(keys[end].domain, keys[first].domain) == 0)
		end++;
	return end;
}

/* dkim_late - is the time of all checks over? */
static bool
dkim_late(const struct exam *exam)
{
	return clock_ms() >= exam->site->deadline_ms;
}

/* visible_beside - do n keys of a domain hold another RSA key that others see? */
static bool
visible_beside(const struct dkim_case *cases, size_t n, const struct dkim_case *one)
{
	for (size_t i = 0; i < n; i++)
		if (&cases[i] != one && cases[i].judged &&
		    cases[i].finding.state == KEY_MATCHES && cases[i].half.type == KEYRING_RSA)
			return true;
	return false;
}

/* check_case - one of the n keys of a domain */
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
		    "the DNS record revokes the key (p= is empty)");
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
		    "there are %zu TXT records at this name; receivers fail or take any of them",
		    one->finding.records);
	if (one->finding.testing && one->finding.state == KEY_MATCHES)
		exam_add(exam, "dkim.test-flag", one->name, "delete t=y from the record",
		    "the DNS record has t=y: receivers may treat signed mail as unsigned");
}

/* check_old - are the n keys of a domain all old? By the newest file. */
static void
check_old(struct exam *exam, const struct keyring_key *keys, size_t n)
{
	const char *file = NULL;
	time_t newest = 0;
	struct stat st;

	for (size_t i = 0; i < n; i++)
		if (stat(keys[i].file, &st) == 0 && st.st_mtime > newest) {
			newest = st.st_mtime;
			file = keys[i].file;
		}
	if (file != NULL && newest < time(NULL) - DKIM_OLD_S)
		exam_add(exam, "dkim.key-old", file,
		    exam_text(exam, "countersignctl dkim genkey %s", keys->domain),
		    "the newest key of %s is %ld days old", keys->domain,
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

/* dkim_judge_case - read a key and ask for its record */
static void
dkim_judge_case(struct exam *exam, struct dkim_case *one)
{
	const struct keyring_key *key = one->key;
	const char *error = NULL;

	if (keyring_public(exam->ctx, key, &one->half, &error) != 0) {
		exam_add(exam, "key.unreadable", key->file,
		    exam_text(exam, "countersignctl dkim genkey %s", key->domain), "%s", error);
		return;
	}
	if (one->half.type == KEYRING_RSA && one->half.bits < DKIM_BITS)
		exam_add_level(exam, DOCTOR_WARNING, "dkim.short", key->file,
		    exam_text(exam, "countersignctl dkim genkey %s", key->domain),
		    "the key has %u bits; 2048 are advised (RFC 8301)", one->half.bits);
	if (exam->site->resolver == NULL)
		return;
	key_record_judge(
	    exam->ctx, &one->half, exam_ask(exam, one->name, DNS_TXT), &one->finding);
	one->judged = true;
}

/* dkim_judge_all - all n keys in the order of their domains; how many of them in time */
static size_t
dkim_judge_all(struct exam *exam, struct dkim_case *cases, const struct keyring_key *keys, size_t n)
{
	size_t asked = 0, done = 0;

	while (done < n && !dkim_late(exam)) {
		size_t end = dkim_domain_end(keys, n, done);

		check_old(exam, &keys[done], end - done);
		for (; done < end; done++) {
			for (; asked < n && asked < done + DKIM_AHEAD; asked++) {
				cases[asked].key = &keys[asked];
				cases[asked].name = key_record_name(
				    exam->ctx, keys[asked].selector, keys[asked].domain);
				if (keys[asked].secret != NULL)
					exam_ahead(exam, cases[asked].name, DNS_TXT);
			}
			if (keys[done].secret != NULL)
				dkim_judge_case(exam, &cases[done]);
		}
	}
	return done;
}

void
examine_dkim(struct exam *exam)
{
	const struct site *site = exam->site;
	struct keyring_key *keys;
	struct dkim_case *cases;
	size_t n, done;

	if (site->config == NULL || site->signers == NULL)
		return;
	keys = signers_all(exam->ctx, site->signers, &n);
	qsort(keys, n, sizeof(*keys), dkim_order);
	if (site->options->by_daemon && n > DKIM_DAEMON_MAX)
		n = DKIM_DAEMON_MAX;
	cases = mem_array(exam->ctx, struct dkim_case, n + 1);
	done = dkim_judge_all(exam, cases, keys, n);
	for (size_t i = 0, end; i < done; i = end) {
		end = dkim_domain_end(keys, done, i);
		for (size_t one = i; one < end; one++)
			if (cases[one].judged)
				check_case(exam, &cases[i], end - i, &cases[one]);
	}
	if (done < n)
		exam_add_level(exam, DOCTOR_UNKNOWN, "dkim.no-record", NULL,
		    "countersignctl dkim check", "not looked at in time: %zu of %zu key%s",
		    n - done, n, text_s(n));
	check_domains(exam, site->domains, site->n_domains);
	check_domains(exam, site->mta_domains, site->n_mta_domains);
}

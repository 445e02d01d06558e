/*
 * key_record.c - the DNS record of a DKIM key: written, and compared with the key
 *
 * Two answers must never be confused: "this key cannot be verified" (no record, another
 * key, revoked, a record that forbids it) and "not known" (DNS failed). The first is
 * a reason not to sign; the second never is.
 *
 * Keys are compared by the octets of p=, decoded, so that neither white space nor
 * the cutting into strings matters. Two errors of the published form, not of the
 * key, are distinguished, because they occur and puzzle people: an RSA key without its
 * SubjectPublicKeyInfo wrapper, and an Ed25519 key with it (RFC 8463 section 3.2 has it bare).
 *
 * Threads: see key_record.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "filter/dkim/dkim.h"
#include "filter/dkim/key_record.h"
#include "filter/dkim/public_key.h"
#include "policy/base/mem.h"

#define RECORDS_MAX	16	/* records at one name that are looked at */
#define RECORD_OCTETS	8192	/* longest one */
#define SPKI_RSA \
	24 /* octets of SubjectPublicKeyInfo before the bare RSA key, lengths of two octets */
#define SPKI_ED25519	12	/* the same for Ed25519 */

/* base64 - of some octets, in one line */
static char *
base64(TALLOC_CTX *ctx, const unsigned char *octets, size_t len)
{
	unsigned char *text = mem_array(ctx, unsigned char, 4 * ((len + 2) / 3) + 1);

	(void)EVP_EncodeBlock(text, octets, (int)len);
	return (char *)text;
}

/* type_word - what k= says */
static const char *
type_word(enum keyring_type type)
{
	return type == KEYRING_ED25519 ? "ed25519" : "rsa";
}

char *
key_record_name(TALLOC_CTX *ctx, const char *selector, const char *domain)
{
	return mem_printf(ctx, "%s._domainkey.%s", selector, domain);
}

char *
key_record_text(TALLOC_CTX *ctx, const struct keyring_public *key)
{
	char *p = base64(NULL, key->octets, key->len);
	char *text = mem_printf(ctx, "v=DKIM1; k=%s; p=%s", type_word(key->type), p);

	talloc_free(p);
	return text;
}

char *
key_record_zone(
    TALLOC_CTX *ctx, const char *selector, const char *domain, const struct keyring_public *key)
{
	char *text = key_record_text(NULL, key);
	char *zone = mem_printf(ctx, "%s._domainkey.%s. IN TXT (", selector, domain);

	/* nothing in it needs a backslash in front */
	for (size_t at = 0, len = strlen(text); at < len; at += KEY_RECORD_STRING)
		zone = mem_check(talloc_asprintf_append_buffer(
		    zone, "\n\t\"%.*s\"", KEY_RECORD_STRING, text + at));
	talloc_free(text);
	return mem_check(talloc_asprintf_append_buffer(zone, " )\n"));
}

const char *
key_state_word(enum key_state state)
{
	switch (state) {
	case KEY_MATCHES:
		return "matches";
	case KEY_UNSEEN:
		return "not visible yet";
	case KEY_OTHER:
		return "another key";
	case KEY_REVOKED:
		return "revoked";
	case KEY_UNFIT:
		return "unusable record";
	case KEY_UNKNOWN:
		break;
	}
	return "DNS failure";
}

/* --- judging ----------------------------------------------------------- */

/* key_record_shown - a stranger's text, for logs and terminals */
static char *
key_record_shown(TALLOC_CTX *ctx, const char *text)
{
	return text_escape(ctx, text, strlen(text), 60);
}

/* has_word - is this word in a list with colons between? */
static bool
has_word(const char *list, const char *word)
{
	for (const char *at = list; at != NULL; at = strchr(at, ':')) {
		size_t len;

		at += *at == ':';
		len = strcspn(at, ":");
		if (len == strlen(word) && strncasecmp(at, word, len) == 0)
			return true;
	}
	return false;
}

/* compare_octets - is p= this key? Sets state, and problem if there is more to say. */
static void
compare_octets(const struct keyring_public *key, const unsigned char *octets, size_t len,
    struct key_finding *finding)
{
	size_t wrap = key->type == KEYRING_RSA ? SPKI_RSA : SPKI_ED25519;

	finding->state = KEY_OTHER;
	if (len == key->len && memcmp(octets, key->octets, len) == 0) {
		finding->state = KEY_MATCHES;
	} else if (key->type == KEYRING_RSA && key->len > wrap && len == key->len - wrap &&
	    memcmp(octets, key->octets + wrap, len) == 0) {
		finding->state = KEY_UNFIT;
		finding->problem =
		    "p= is the right key without its SubjectPublicKeyInfo, which many verifiers cannot read";
	} else if (key->type == KEYRING_ED25519 && len == key->len + wrap &&
	    memcmp(octets + wrap, key->octets, key->len) == 0) {
		finding->state = KEY_UNFIT;
		finding->problem =
		    "p= is the right key inside a SubjectPublicKeyInfo; Ed25519 keys are published bare (RFC 8463)";
	}
}

/* judge_flags - what else a record says that fits: may it be used as we do? */
static void
judge_flags(TALLOC_CTX *ctx, const struct dkim_tags *tags, struct key_finding *finding)
{
	const char *hashes = dkim_tags_text(ctx, tags, "h", RECORD_OCTETS);
	const char *services = dkim_tags_text(ctx, tags, "s", RECORD_OCTETS);
	const char *flags = dkim_tags_text(ctx, tags, "t", RECORD_OCTETS);

	finding->testing = has_word(flags, "y");
	finding->strict = has_word(flags, "s");
	if (hashes != NULL && !has_word(hashes, "sha256")) {
		finding->state = KEY_UNFIT;
		finding->problem =
		    mem_printf(ctx, "h=%s does not allow sha256", key_record_shown(ctx, hashes));
	} else if (services != NULL && !has_word(services, "*") && !has_word(services, "email")) {
		finding->state = KEY_UNFIT;
		finding->problem =
		    mem_printf(ctx, "s=%s does not allow mail", key_record_shown(ctx, services));
	}
}

/* judge_record - what one record says of the key */
static void
judge_record(TALLOC_CTX *ctx, const struct keyring_public *key, const struct dns_record *record,
    struct key_finding *finding)
{
	const char *error = NULL, *version, *type, *p;
	unsigned char octets[PUBLIC_KEY_OCTETS + 3];
	struct dkim_tags tags;
	size_t len;

	*finding = (struct key_finding){ .state = KEY_UNFIT };
	if (record->len > RECORD_OCTETS ||
	    dkim_tags_read((const char *)record->data, record->len, &tags, &error) != 0) {
		finding->problem = mem_printf(
		    ctx, "it cannot be read: %s", error != NULL ? error : "it is too long");
		return;
	}
	version = dkim_tags_text(ctx, &tags, "v", RECORD_OCTETS);
	type = dkim_tags_text(ctx, &tags, "k", RECORD_OCTETS);
	p = dkim_tags_text(ctx, &tags, "p", RECORD_OCTETS);
	if (version != NULL &&
	    (strcmp(version, "DKIM1") != 0 || !text_equal(tags.tags[0].name, text_span("v"))))
		finding->problem = "v= must be DKIM1 and come first";
	else if (p == NULL)
		finding->problem = "it has no p=";
	else if (*p == '\0')
		finding->state = KEY_REVOKED;
	else if (strcasecmp(type != NULL ? type : "rsa", type_word(key->type)) != 0)
		finding->problem = mem_printf(ctx, "k=%s%s, and the key is of type %s",
		    type != NULL ? key_record_shown(ctx, type) : "rsa", type != NULL ? "" : " (by default)",
		    type_word(key->type));
	else if ((len = public_key_decode(p, octets, sizeof(octets))) == 0)
		finding->problem = "p= is not base64";
	else
		compare_octets(key, octets, len, finding);
	if (finding->state == KEY_MATCHES)
		judge_flags(ctx, &tags, finding);
}

/* rank - which of two records at a name speaks better for the key; 0 is best */
static int
rank(enum key_state state)
{
	static const enum key_state order[] = { KEY_MATCHES, KEY_REVOKED, KEY_OTHER, KEY_UNFIT };

	for (int i = 0; i < 4; i++)
		if (order[i] == state)
			return i;
	return 4;
}

void
key_record_judge(TALLOC_CTX *ctx, const struct keyring_public *key, const struct dns_answer *answer,
    struct key_finding *finding_r)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);

	*finding_r = (struct key_finding){ .state = KEY_UNSEEN };
	/* what DNS said before is no news of a key */
	if (dns_answer_failed(answer) || answer->stale) {
		finding_r->state = KEY_UNKNOWN;
		finding_r->problem = answer->problem != NULL ? mem_strdup(ctx, answer->problem) :
		    answer->status == DNS_TIMEOUT ? "no answer in time" : NULL;
	}
	for (size_t i = 0; finding_r->state != KEY_UNKNOWN && answer->status == DNS_OK &&
	     i < answer->count && i < RECORDS_MAX; i++) {
		struct key_finding finding;

		judge_record(scratch, key, &answer->records[i], &finding);
		if (i == 0 || rank(finding.state) < rank(finding_r->state))
			*finding_r = finding;
	}
	finding_r->records = answer->count;
	if (finding_r->problem != NULL && finding_r->state != KEY_UNKNOWN)
		finding_r->problem = mem_strdup(ctx, finding_r->problem);
	talloc_free(scratch);
}

/*
 * test_key_record.c - what a key's record must say, and what DNS's answers say of a key
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "filter/dkim/key_record.h"
#include "policy/base/mem.h"

/* Two keys of each type, and p= of the first. */
struct world {
	struct keyring_public rsa, ed, other_rsa, big;
	char *rsa_p, *ed_p, *other_p;
};

/* half_of - the public half of a new key */
static void
half_of(TALLOC_CTX *ctx, EVP_PKEY *key, struct keyring_public *half_r)
{
	assert_non_null(key);
	assert_true(keyring_encode_public(ctx, key, half_r));
	EVP_PKEY_free(key);
}

/* p_of - what stands behind p= */
static char *
p_of(TALLOC_CTX *ctx, const struct keyring_public *half)
{
	return strstr(key_record_text(ctx, half), "p=") + 2;
}

static int
set_up(void **state)
{
	struct world *world = mem_new(NULL, struct world);

	half_of(world, EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), &world->rsa);
	half_of(world, EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), &world->other_rsa);
	half_of(world, EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)4096), &world->big);
	half_of(world, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &world->ed);
	world->rsa_p = p_of(world, &world->rsa);
	world->ed_p = p_of(world, &world->ed);
	world->other_p = p_of(world, &world->other_rsa);
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	talloc_free(*state);
	return 0;
}

/* judge - what an answer of these texts says; the last is NULL */
static struct key_finding
judge(struct world *world, const struct keyring_public *key, const char *const *texts)
{
	struct dns_answer answer = { .status = DNS_OK };
	struct key_finding finding;

	answer.records = mem_array(world, struct dns_record, 16);
	for (; texts[answer.count] != NULL; answer.count++) {
		answer.records[answer.count].data =
		    mem_memdup(world, texts[answer.count], strlen(texts[answer.count]) + 1);
		answer.records[answer.count].len = strlen(texts[answer.count]);
	}
	key_record_judge(world, key, &answer, &finding);
	return finding;
}

/* fill - a text with @r, @e and @o replaced by p= of the RSA, the Ed25519 and the other key */
static char *
fill(struct world *world, const char *text)
{
	char *out = mem_strdup(world, "");

	for (; *text != '\0'; text++) {
		const char *more = NULL;

		if (*text == '@')
			more = *++text == 'r' ? world->rsa_p
			    : *text == 'e'    ? world->ed_p
					      : world->other_p;
		out = more != NULL ? mem_check(talloc_strdup_append_buffer(out, more)) :
		    mem_check(talloc_asprintf_append_buffer(out, "%c", *text));
	}
	return out;
}

static void
one_record(void **state)
{
	static const struct {
		const char *label;
		bool ed;
		const char *record;
		enum key_state state;
		const char *problem;	/* part of it */
	} rows[] = {
		{ "as we write it", false, "v=DKIM1; k=rsa; p=@r", KEY_MATCHES, NULL },
		{ "without v= and k=", false, "p=@r", KEY_MATCHES, NULL },
		{ "white space anywhere, a semicolon at the end", false, " v = DKIM1 ;\tk=rsa ; p= @r ; ", KEY_MATCHES, NULL },
		{ "Ed25519", true, "v=DKIM1; k=ed25519; p=@e", KEY_MATCHES, NULL },
		{ "another key", false, "v=DKIM1; k=rsa; p=@o", KEY_OTHER, NULL },
		{ "revoked", false, "v=DKIM1; k=rsa; p=", KEY_REVOKED, NULL },
		{ "revoked, of any type", true, "v=DKIM1; p=", KEY_REVOKED, NULL },
		{ "k= of the other type", false, "v=DKIM1; k=ed25519; p=@r", KEY_UNFIT, "k=ed25519, and the key is of type rsa" },
		{ "k= missing for Ed25519", true, "v=DKIM1; p=@e", KEY_UNFIT, "k=rsa (by default), and the key is of type ed25519" },
		{ "p= missing", false, "v=DKIM1; k=rsa", KEY_UNFIT, "it has no p=" },
		{ "p= cut off", false, "v=DKIM1; k=rsa; p=MIIBIjANBgkq", KEY_OTHER, NULL },
		{ "p= no base64", false, "v=DKIM1; k=rsa; p=MIIB*", KEY_UNFIT, "not base64" },
		{ "v= wrong", false, "v=DKIM2; k=rsa; p=@r", KEY_UNFIT, "v= must be DKIM1" },
		{ "v= not first", false, "k=rsa; v=DKIM1; p=@r", KEY_UNFIT, "v= must be DKIM1 and come first" },
		{ "a wildcard's SPF record", false, "v=spf1 -all", KEY_UNFIT, NULL },
		{ "quotation marks that were published", false, "\"v=DKIM1; k=rsa; p=@r\"", KEY_UNFIT, NULL },
		{ "sha1 only", false, "v=DKIM1; h=sha1; p=@r", KEY_UNFIT, "h=sha1 does not allow sha256" },
		{ "sha1 and sha256", false, "v=DKIM1; h=sha1:sha256; p=@r", KEY_MATCHES, NULL },
		{ "not for mail", false, "v=DKIM1; s=tlsrpt; p=@r", KEY_UNFIT, "s=tlsrpt does not allow mail" },
		{ "for all services", false, "v=DKIM1; s=tlsrpt:*; p=@r", KEY_MATCHES, NULL },
		{ "an escape in k=", false, "v=DKIM1; k=\033[2J; p=@r", KEY_UNFIT, NULL },
		{ "empty", false, "", KEY_UNFIT, NULL },
	};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *texts[] = { fill(world, rows[i].record), NULL };
		struct key_finding finding =
		    judge(world, rows[i].ed ? &world->ed : &world->rsa, texts);

		if (finding.state != rows[i].state)
			fail_msg("%s: %s (%s)", rows[i].label, key_state_word(finding.state),
			    finding.problem != NULL ? finding.problem : "");
		if (rows[i].problem != NULL &&
		    (finding.problem == NULL || strstr(finding.problem, rows[i].problem) == NULL))
			fail_msg("%s: problem %s", rows[i].label,
			    finding.problem != NULL ? finding.problem : "none");
		for (const char *p = finding.problem; p != NULL && *p != '\0'; p++)
			if ((unsigned char)*p < ' ')
				fail_msg("%s: a control character in the problem", rows[i].label);
	}
}

static void
flags(void **state)
{
	struct world *world = *state;
	const char *testing[] = { fill(world, "v=DKIM1; t=y; p=@r"), NULL };
	const char *strict[] = { fill(world, "v=DKIM1; t=x:s; p=@r"), NULL };
	struct key_finding finding = judge(world, &world->rsa, testing);

	assert_int_equal(finding.state, KEY_MATCHES);
	assert_true(finding.testing && !finding.strict);
	finding = judge(world, &world->rsa, strict);
	assert_int_equal(finding.state, KEY_MATCHES);
	assert_true(!finding.testing && finding.strict);
}

static void
several_records(void **state)
{
	struct world *world = *state;
	char *right = fill(world, "v=DKIM1; p=@r"), *other = fill(world, "v=DKIM1; p=@o");
	const char *good[] = { "v=spf1 -all", other, right, NULL },
		   *bad[] = { "v=spf1 -all", other, NULL };
	struct key_finding finding = judge(world, &world->rsa, good);

	assert_int_equal(finding.state, KEY_MATCHES);
	assert_int_equal(finding.records, 3);
	assert_int_equal(judge(world, &world->rsa, bad).state, KEY_OTHER);
}

/* The right key in the wrong wrapping is an error of its own. */
static void
wrapped_otherwise(void **state)
{
	struct world *world = *state;
	struct keyring_public bare = world->rsa, wrapped = world->ed;
	unsigned char spki[44] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21,
		0x00 };
	struct key_finding finding;

	bare.octets += 24;
	bare.len -= 24;
	const char *bare_text[] = { key_record_text(world, &bare), NULL };

	finding = judge(world, &world->rsa, bare_text);
	assert_int_equal(finding.state, KEY_UNFIT);
	assert_non_null(strstr(finding.problem, "without its SubjectPublicKeyInfo"));
	memcpy(spki + 12, world->ed.octets, 32);
	wrapped.octets = spki;
	wrapped.len = sizeof(spki);
	const char *wrapped_text[] = { key_record_text(world, &wrapped), NULL };

	finding = judge(world, &world->ed, wrapped_text);
	assert_int_equal(finding.state, KEY_UNFIT);
	assert_non_null(strstr(finding.problem, "inside a SubjectPublicKeyInfo"));
}

/* Not knowing is never "no". */
static void
no_answer(void **state)
{
	static const struct {
		enum dns_status status;
		enum key_state state;
	} rows[] = {
		{ DNS_NXDOMAIN, KEY_UNSEEN }, { DNS_NODATA, KEY_UNSEEN },
		{ DNS_TIMEOUT, KEY_UNKNOWN }, { DNS_FAILURE, KEY_UNKNOWN },
	};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dns_answer answer = { .status = rows[i].status };
		struct key_finding finding;

		key_record_judge(world, &world->rsa, &answer, &finding);
		assert_int_equal(finding.state, rows[i].state);
	}
}

static void
zone_form(void **state)
{
	struct world *world = *state;
	const char *zone = key_record_zone(world, "s1", "example.org", &world->big);
	const char *text = key_record_text(world, &world->big);
	char joined[2048] = "";

	assert_memory_equal(zone, "s1._domainkey.example.org. IN TXT (", 35);
	assert_string_equal(zone + strlen(zone) - 4, "\" )\n");
	for (const char *p = strchr(zone, '"'); p != NULL; p = strchr(p, '"')) {
		size_t len = strcspn(p + 1, "\"");

		assert_in_range(len, 1, 255);
		strncat(joined, p + 1, len);
		p += len + 2;
	}
	assert_string_equal(joined, text);
	assert_true(strlen(text) > 2 * 255);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_record),
		cmocka_unit_test(flags),
		cmocka_unit_test(several_records),
		cmocka_unit_test(wrapped_otherwise),
		cmocka_unit_test(no_answer),
		cmocka_unit_test(zone_form),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

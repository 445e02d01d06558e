/*
 * test_dkim.c - sign, verify, and everything strangers may do to either
 *
 * Keys are made afresh in a temporary directory; key records come from a small
 * zone in memory. Where python3-dkim is installed, it verifies what we signed and
 * signs what we verify, as an implementation that shares no code with ours; without
 * it those tests are skipped, and say so.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "filter/dkim/dkim.h"
#include "filter/dkim/key_shortcut.h"
#include "filter/dkim/keyring.h"
#include "filter/dkim/sign.h"
#include "filter/dkim/verify.h"
#include "policy/base/mem.h"
#include "policy/dkim/signing.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))
#define DOMAIN		"example.org"
#define SIGNATURE	"DKIM-Signature"

/* --- a zone in memory -------------------------------------------------- */

#define ZONE_MAX	64

struct zone_entry {
	char name[256];
	enum dns_status status;
	const char *records[4];	/* for DNS_OK; NULL-terminated if fewer */
};

struct zone {
	struct zone_entry entries[ZONE_MAX];
	size_t n;
	size_t asked;		/* questions so far */
	size_t prefetched;
};

/* zone_put - one name, in place of what it said before */
static void
zone_put(struct zone *zone, const char *name, enum dns_status status, const char *record)
{
	size_t i = 0;

	while (i < zone->n && strcasecmp(zone->entries[i].name, name) != 0)
		i++;
	assert_true(i < ZONE_MAX);
	zone->n = i == zone->n ? i + 1 : zone->n;
	zone->entries[i] = (struct zone_entry){ .status = status, .records = { record } };
	snprintf(zone->entries[i].name, sizeof(zone->entries[i].name), "%s", name);
}

static struct dns_answer *
zone_ask(void *state, TALLOC_CTX *ctx, const char *name, size_t name_len, enum dns_type type,
    int64_t deadline_ms)
{
	struct zone *zone = state;
	struct dns_answer *answer = mem_new(ctx, struct dns_answer);

	(void)deadline_ms;
	assert_int_equal(type, DNS_TXT);
	__atomic_fetch_add(&zone->asked, 1, __ATOMIC_RELAXED);
	answer->status = DNS_NXDOMAIN;
	for (size_t i = 0; i < zone->n; i++) {
		const struct zone_entry *entry = &zone->entries[i];

		if (strlen(entry->name) != name_len ||
		    strncasecmp(entry->name, name, name_len) != 0)
			continue;
		answer->status = entry->status;
		if (entry->status == DNS_FAILURE)
			answer->problem = "SERVFAIL";
		if (entry->status != DNS_OK)
			return answer;
		answer->records = mem_array(answer, struct dns_record, N(entry->records));
		for (size_t j = 0; j < N(entry->records) && entry->records[j] != NULL; j++)
			answer->records[answer->count++] =
			    (struct dns_record){ (const unsigned char *)entry->records[j],
				    strlen(entry->records[j]), 0 };
	}
	return answer;
}

static void
zone_prefetch(void *state, const char *name, size_t name_len, enum dns_type type)
{
	struct zone *zone = state;

	(void)name, (void)name_len;
	assert_int_equal(type, DNS_TXT);
	__atomic_fetch_add(&zone->prefetched, 1, __ATOMIC_RELAXED);
}

/* --- the world of all tests -------------------------------------------- */

struct world {
	char *dir;
	char *keys;		/* directory of the keyring */
	EVP_PKEY *rsa;		/* example.org, selector r1 */
	EVP_PKEY *ed;		/* example.org, selector e1 */
	char *rsa_record;
	char *ed_record;
	char *rsa_pem;
	struct zone zone;
	struct keyring *keyring;
	struct dkim_service *service;
	struct signing_rules rules;
};

/* world_options - the usual options */
static struct dkim_options
world_options(struct world *world)
{
	return (struct dkim_options){ .dns = { .ask = zone_ask,
		.prefetch = zone_prefetch, .state = &world->zone } };
}

/* write_key - a key as <keys>/<domain>/<selector>.pem, mode 0600 */
static char *
write_key(struct world *world, const char *domain, const char *selector, EVP_PKEY *key)
{
	char *dir = mem_printf(world, "%s/%s", world->keys, domain);
	char *path = mem_printf(world, "%s/%s.pem", dir, selector);

	mkdir(dir, 0700);
	umask(0077);

	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(fclose(file), 0);
	return path;
}

/* rsa_record - the record of an RSA key */
static char *
rsa_record(TALLOC_CTX *ctx, EVP_PKEY *key)
{
	unsigned char *der = NULL, text[4096];
	int len = i2d_PUBKEY(key, &der);

	assert_true(len > 0 && len < 2048);
	EVP_EncodeBlock(text, der, len);
	OPENSSL_free(der);
	return mem_printf(ctx, "v=DKIM1; k=rsa; p=%s", (char *)text);
}

/* ed_record - the record of an Ed25519 key (RFC 8463 section 4) */
static char *
ed_record(TALLOC_CTX *ctx, EVP_PKEY *key)
{
	unsigned char raw[32], text[64];
	size_t len = sizeof(raw);

	assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &len), 1);
	EVP_EncodeBlock(text, raw, (int)len);
	return mem_printf(ctx, "v=DKIM1; k=ed25519; p=%s", (char *)text);
}

/* pem_of - a private key as text */
static char *
pem_of(TALLOC_CTX *ctx, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data = NULL, *pem;

	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);

	long len = BIO_get_mem_data(bio, &data);

	pem = mem_strndup(ctx, data, (size_t)len);
	BIO_free(bio);
	return pem;
}

/* load_keys - the keyring of all keys written so far */
static struct keyring *
load_keys(struct world *world)
{
	struct keyring_options options = { .uid = geteuid(), .gid = getegid() };
	const char *warnings = NULL, *error = NULL;
	struct keyring *keyring = keyring_load(world, world->keys, &options, &warnings, &error);

	if (keyring == NULL)
		fail_msg("%s", error);
	return keyring;
}

static int
set_up(void **state)
{
	struct world *world = mem_new(NULL, struct world);
	char template[] = "/tmp/test_dkim.XXXXXX";
	struct dkim_options options = world_options(world);
	const char *error = NULL;

	world->dir = mem_strdup(world, mkdtemp(template));
	world->keys = mem_printf(world, "%s/keys", world->dir);
	mkdir(world->keys, 0700);
	world->rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	world->ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	world->rsa_record = rsa_record(world, world->rsa);
	world->ed_record = ed_record(world, world->ed);
	world->rsa_pem = pem_of(world, world->rsa);
	write_key(world, DOMAIN, "r1", world->rsa);
	write_key(world, DOMAIN, "e1", world->ed);
	zone_put(&world->zone, "r1._domainkey." DOMAIN, DNS_OK, world->rsa_record);
	zone_put(&world->zone, "e1._domainkey." DOMAIN, DNS_OK, world->ed_record);
	world->keyring = load_keys(world);
	world->service = dkim_service_new(world, &options, &error);
	if (world->service == NULL)
		fail_msg("%s", error);
	signing_rules_default(&world->rules);
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *world = *state;
	char *command = mem_printf(world, "rm -rf %s", world->dir);

	talloc_free(world->keyring);
	talloc_free(world->service);
	EVP_PKEY_free(world->rsa);
	EVP_PKEY_free(world->ed);
	if (system(command) != 0)
		return -1;
	talloc_free(world);
	return 0;
}

/* --- messages ---------------------------------------------------------- */

/* header_of - a header list from text: LF line ends, folds as LF and white space */
static struct header_list *
header_of(TALLOC_CTX *ctx, const char *text)
{
	struct header_list *list = header_list_new(ctx, 4 * 1024 * 1024);

	while (*text != '\0') {
		const char *colon = strchr(text, ':'), *end = colon;

		assert_non_null(colon);
		while ((end = strchr(end, '\n')) != NULL && (end[1] == ' ' || end[1] == '\t'))
			end++;
		assert_non_null(end);
		header_append(
		    list, text, (size_t)(colon - text), colon + 1, (size_t)(end - colon) - 1);
		text = end + 1;
	}
	return list;
}

/* crlf - text with its LFs as CRLF */
static char *
crlf(TALLOC_CTX *ctx, const char *text)
{
	char *out = mem_array(ctx, char, 2 * strlen(text) + 1), *p = out;

	for (; *text != '\0'; text++) {
		if (*text == '\n')
			*p++ = '\r';
		*p++ = *text;
	}
	*p = '\0';
	return out;
}

/* What signing gave. */
struct signed_message {
	struct sign_fact fact;
	const char **values;	/* or NULL */
	char *header;		/* text, with the signatures on top if made */
};

/* How the signatures of these tests are made; a test may change it for a while. */
static struct sign_profile profile;

/* choose - the keys of a domain, or the one with this selector */
static struct sign_choice
choose(TALLOC_CTX *ctx, const struct keyring *keyring, const char *domain, const char *selector)
{
	const struct keyring_domain *found = keyring_find(keyring, domain);
	struct sign_choice choice = {
		.outcome = OUTCOME_PASS, .domain = domain, .on_missing_key = -1
	};

	if (found == NULL) {
		choice.outcome = OUTCOME_FAIL;
		choice.problem = mem_printf(ctx, "there is no key for %s", domain);
		return choice;
	}
	choice.requests = mem_array(ctx, struct sign_request, found->n);
	for (size_t i = 0; i < found->n; i++)
		if (selector == NULL || strcmp(selector, found->keys[i].selector) == 0)
			choice.requests[choice.n++] =
			    (struct sign_request){ &found->keys[i], NULL, &profile };
	return choice;
}

/* sign_with - sign in the name of a domain; body in pieces of `piece` octets, 0: whole */
static struct signed_message
sign_with(struct world *world, TALLOC_CTX *ctx, const struct signing_rules *rules,
    const char *domain, const char *selector, const char *header, const char *body, size_t piece)
{
	struct signed_message out;
	struct header_list *list = header_of(ctx, header);
	struct sign_plan *plan = signing_plan(ctx, rules, domain, list);
	struct sign_choice choice = choose(ctx, world->keyring, domain, selector);
	struct dkim_signing *signing = dkim_sign_start(ctx, world->service, &choice, plan, list);
	size_t len = strlen(body);

	talloc_free(list);
	for (size_t i = 0; i < len; i += piece == 0 ? len : piece)
		dkim_sign_body(signing, body + i, piece == 0 || len - i < piece ? len - i : piece);
	dkim_sign_finish(signing, ctx, &out.fact, &out.values);
	talloc_free(signing);
	out.header = mem_strdup(ctx, header);
	for (size_t i = 0; out.values != NULL && out.values[i] != NULL; i++)
		out.header = mem_printf(ctx, SIGNATURE ":%s\n%s", out.values[i], out.header);
	return out;
}

static struct signed_message
sign(struct world *world, TALLOC_CTX *ctx, const char *header, const char *body)
{
	return sign_with(world, ctx, &world->rules, DOMAIN, NULL, header, body, 0);
}

/* verify_with - the facts of a message */
static struct dkim_fact *
verify_with(struct dkim_service *service, TALLOC_CTX *ctx, const char *header, const char *body,
    const char *author, size_t piece, size_t *n_r)
{
	struct header_list *list = header_of(ctx, header);
	struct dkim_verification *v = dkim_verify_start(ctx, service, list, author);
	struct dkim_fact *facts;
	size_t len = strlen(body);

	talloc_free(list);
	for (size_t i = 0; i < len; i += piece == 0 ? len : piece)
		dkim_verify_body(v, body + i, piece == 0 || len - i < piece ? len - i : piece);
	dkim_verify_finish(v, ctx, INT64_MAX, &facts, n_r);
	talloc_free(v);
	return facts;
}

static struct dkim_fact *
verify(struct world *world, TALLOC_CTX *ctx, const char *header, const char *body, size_t *n_r)
{
	return verify_with(world->service, ctx, header, body, DOMAIN, 0, n_r);
}

static const char *
result_name(enum dkim_result result)
{
	static const char *const names[] = { "none", "pass", "fail", "policy", "neutral",
		"temperror", "permerror" };

	return names[result];
}

/* expect - one fact must have this result and, if given, this in its problem */
static void
expect(
    const char *label, const struct dkim_fact *fact, enum dkim_result result, const char *problem)
{
	if (fact->result != result)
		fail_msg("%s: %s (%s), expected %s", label, result_name(fact->result),
		    fact->problem == NULL ? "-" : fact->problem, result_name(result));
	if (problem != NULL && (fact->problem == NULL || strstr(fact->problem, problem) == NULL))
		fail_msg("%s: problem \"%s\", expected \"%s\"", label,
		    fact->problem == NULL ? "-" : fact->problem, problem);
	if (result == DKIM_IS_PASS)
		assert_null(fact->problem);
	else
		assert_non_null(fact->problem);
}

/* --- round trips ------------------------------------------------------- */

#define BASE	"From: Alice <alice@example.org>\nTo: bob@example.net\nSubject: hello\n" \
		"Date: Mon, 1 Jan 2024 00:00:00 +0000\nMessage-ID: <1@example.org>\n"

/* Messages that are signed and verified, here and by the other implementation. */
static const struct round_trip {
	const char *label;
	const char *header;
	const char *body;	/* LF, fed as CRLF */
} round_trips[] = {
	{ "plain", BASE, "Hello.\n" },
	{ "empty body", BASE, "" },
	{ "one empty line", BASE, "\n" },
	{ "many empty lines at the end", BASE, "Hello.\n\n\n\n" },
	{ "only white space", BASE, " \t \n \n" },
	{ "white space in lines", BASE, "a  b\t\tc  \n  d\n\t\n" },
	{ "no line end at the end", BASE, "Hello" },
	{ "8-bit body", BASE,
	    "Gr\xc3\xbc\xc3\x9f"
	    "e \xff\xfe\n" },
	{ "8-bit header", BASE "Comments: \xc3\xa9\nList-ID: \xe9 <l.example.org>\n", "x\n" },
	{ "folded header",
	    "From: Alice\n <alice@example.org>\nTo: a@example.net,\n\tb@example.net,\n"
	    "  c@example.net\nSubject:\n hello\nDate: x\n",
	    "x\n" },
	{ "no space after colon", "From:alice@example.org\nSubject:x\nTo:  y\n", "x\n" },
	{ "space at end of fields", "From: alice@example.org  \nSubject: x \t\n", "x\n" },
	{ "empty fields", "From: alice@example.org\nSubject:\nTo: \n", "x\n" },
	{ "upper case names", "FROM: alice@example.org\nSUBJECT: x\nmime-version: 1.0\n", "x\n" },
	{ "names of several lines",
	    BASE "List-Unsubscribe: <a>\nList-Unsubscribe: <b>\nList-Post: <c>\n", "x\n" },
	{ "several To, Cc, Resent fields",
	    BASE "To: c@example.net\nCc: d\nCc: e\nResent-To: f\nResent-To: g\n", "x\n" },
	{ "dots and From lines", BASE, ".\n..\nFrom here\n" },
	{ "colon in value", BASE "List-Help: a:b; c=d\n", "x\n" },
};

/* Fields that may stand in any message, unsigned. */
static void
test_round_trip(void **state)
{
	static const size_t pieces[] = { 0, 1, 2, 3, 7 };
	struct world *world = *state;

	for (size_t i = 0; i < N(round_trips); i++) {
		for (size_t j = 0; j < N(pieces); j++) {
			/* every combination of canonicalisations, and i= and x= with some */
			profile = (struct sign_profile){ .simple_header = j % 2 == 1,
				.simple_body = j / 2 == 1,
				.ttl = j > 2 ? 3600 : 0 };

			const struct round_trip *row = &round_trips[i];
			TALLOC_CTX *ctx = mem_new(NULL, char);
			char *body = crlf(ctx, row->body);
			struct signed_message out = sign_with(
			    world, ctx, &world->rules, DOMAIN, NULL, row->header, body, pieces[j]);
			size_t n;

			if (out.fact.outcome != OUTCOME_PASS)
				fail_msg("%s: not signed: %s", row->label, out.fact.problem);
			assert_string_equal(out.fact.sdid, DOMAIN);
			assert_string_equal(out.fact.selector, "r1");
			assert_string_equal(out.fact.value, out.values[0]);

			struct dkim_fact *facts = verify_with(world->service, ctx, out.header, body,
			    NULL, pieces[(j + 1) % N(pieces)], &n);

			assert_int_equal(n, 2);
			for (size_t k = 0; k < n; k++)
				expect(row->label, &facts[k], DKIM_IS_PASS, NULL);
			assert_string_equal(facts[0].algorithm, "ed25519-sha256");
			assert_string_equal(facts[1].algorithm, "rsa-sha256");
			assert_string_equal(facts[0].selector, "e1");
			assert_int_equal(facts[0].key_bits, 256);
			assert_int_equal(facts[1].key_bits, 2048);
			assert_string_equal(facts[1].sdid, DOMAIN);
			assert_int_equal(strlen(facts[1].b_prefix), 8);
			talloc_free(ctx);
		}
	}
	profile = (struct sign_profile){ 0 };
}

/* What a domain's profile and the choice of keys put into the tags. */
static void
test_profile(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct header_list *list = header_of(ctx, BASE);
	struct sign_choice choice = choose(ctx, world->keyring, DOMAIN, "r1");
	struct dkim_signing *signing;
	struct sign_fact fact;
	struct dkim_tags tags;
	const char **values, *error;

	profile = (struct sign_profile){ .simple_header = true, .ttl = 86400 };
	choice.requests[0].identity = "alice@sub." DOMAIN;
	signing = dkim_sign_start(ctx, world->service, &choice,
	    signing_plan(ctx, &world->rules, DOMAIN, list), list);
	dkim_sign_body(signing, "x\r\n", 3);
	dkim_sign_finish(signing, ctx, &fact, &values);
	profile = (struct sign_profile){ 0 };
	assert_int_equal(fact.outcome, OUTCOME_PASS);
	assert_int_equal(dkim_tags_read(values[0], strlen(values[0]), &tags, &error), 0);
	assert_string_equal(dkim_tags_text(ctx, &tags, "c", 100), "simple/relaxed");
	assert_string_equal(dkim_tags_text(ctx, &tags, "i", 100), "alice@sub." DOMAIN);
	assert_int_equal(
	    atol(dkim_tags_text(ctx, &tags, "x", 100)) - atol(dkim_tags_text(ctx, &tags, "t", 100)),
	    86400);

	size_t n;
	struct dkim_fact *facts =
	    verify(world, ctx, mem_printf(ctx, SIGNATURE ":%s\n" BASE, values[0]), "x\r\n", &n);

	expect("with a profile", &facts[0], DKIM_IS_PASS, NULL);
	assert_string_equal(facts[0].auid, "alice@sub." DOMAIN);

	/* libopendkim writes another fold than it hashed, so Ed25519 never has the simple form */
	profile = (struct sign_profile){ .simple_header = true, .simple_body = true };

	struct signed_message both = sign(world, ctx, BASE, "x\r\n");

	profile = (struct sign_profile){ 0 };
	assert_non_null(strstr(both.values[0], "c=simple/simple"));
	assert_non_null(strstr(both.values[1], "a=ed25519-sha256; c=relaxed/simple"));
	talloc_free(ctx);
}

/* The field as it goes to the MTA. */
static void
test_shape(void **state)
{
	static const char *const never[] = { "received", "return-path", "bcc",
		"authentication-results", "dkim-signature", "x-other" };
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct signed_message out = sign(world, ctx,
	    BASE "Received: by x\nReturn-Path: <a>\nBcc: b\n"
		 "Authentication-Results: x; none\n" SIGNATURE ": v=1\nX-Other: y\n",
	    "x\r\n");

	assert_int_equal(out.fact.outcome, OUTCOME_PASS);
	for (size_t i = 0; i < 2; i++) {
		const char *value = out.values[i];
		struct dkim_tags tags;
		const char *error;

		assert_true(value[0] == ' ' && value[1] != ' ');
		assert_null(strchr(value, '\r'));
		assert_true(value[strlen(value) - 1] != '\n');
		for (const char *line = value; line != NULL; line = strchr(line + 1, '\n')) {
			assert_true(strcspn(line + 1, "\n") < 78);
			if (line != value)
				assert_true(line[1] == '\t');
		}
		assert_int_equal(dkim_tags_read(value, strlen(value), &tags, &error), 0);
		assert_string_equal(dkim_tags_text(ctx, &tags, "c", 100), "relaxed/relaxed");
		assert_string_equal(dkim_tags_text(ctx, &tags, "d", 100), DOMAIN);
		assert_null(dkim_tags_find(&tags, "l"));
		assert_null(dkim_tags_find(&tags, "x"));

		char *names = dkim_tags_text(ctx, &tags, "h", 4000);

		names = mem_printf(ctx, ":%s:", text_lower_copy(ctx, names, strlen(names)));
		for (size_t j = 0; j < N(never); j++)
			if (strstr(names, mem_printf(ctx, ":%s:", never[j])) != NULL)
				fail_msg("%s is signed", never[j]);
		/* from, to and subject once each because they are there, and once more to close */
		assert_non_null(strstr(names, ":from:reply-to:subject:to:cc:"));
		assert_true(strncmp(names, ":from:to:subject:date:message-id:", 33) == 0);
	}
	assert_null(out.values[2]);
	talloc_free(ctx);
}

/* Changes on the way, and whether they break the signatures. */
static void
test_changes(void **state)
{
	static const struct {
		const char *label, *before, *after;	/* lines of the header */
		const char *body;
		enum dkim_result result;
		const char *problem;
	} rows[] = {
		{ "nothing", "", "", "one\r\ntwo\r\n", DKIM_IS_PASS, NULL },
		{ "body", "", "", "one\r\nTwo\r\n", DKIM_IS_FAIL, "body" },
		{ "body longer", "", "", "one\r\ntwo\r\nthree\r\n", DKIM_IS_FAIL, "body" },
		{ "body shorter", "", "", "one\r\n", DKIM_IS_FAIL, "body" },
		{ "body gone", "", "", "", DKIM_IS_FAIL, "body" },
		{ "white space in body, relaxed", "", "", "one  \r\ntwo\r\n\r\n", DKIM_IS_PASS, NULL },
		{ "second From above", "From: eve@example.com\n", "", "one\r\ntwo\r\n", DKIM_IS_FAIL, "header" },
		{ "second From below", "", "From: eve@example.com\n", "one\r\ntwo\r\n", DKIM_IS_FAIL, "header" },
		{ "second Subject", "Subject: x\n", "", "one\r\ntwo\r\n", DKIM_IS_FAIL, "header" },
		{ "a Cc where none was", "Cc: x\n", "", "one\r\ntwo\r\n", DKIM_IS_FAIL, "header" },
		{ "a Reply-To where none was", "", "Reply-To: x\n", "one\r\ntwo\r\n", DKIM_IS_FAIL, "header" },
		{ "second Date", "", "Date: x\n", "one\r\ntwo\r\n", DKIM_IS_FAIL, "header" },
		{ "a Sender where none was", "Sender: x\n", "", "one\r\ntwo\r\n", DKIM_IS_PASS, NULL },
		{ "a List-ID where none was", "List-ID: x\n", "", "one\r\ntwo\r\n", DKIM_IS_PASS, NULL },
		{ "Received", "Received: x\n", "", "one\r\ntwo\r\n", DKIM_IS_PASS, NULL },
	};
	struct world *world = *state;

	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct signed_message out = sign(world, ctx, BASE, "one\r\ntwo\r\n");
		size_t n;
		struct dkim_fact *facts = verify(world, ctx,
		    mem_printf(ctx, "%s%s%s", rows[i].before, out.header, rows[i].after),
		    rows[i].body, &n);

		assert_int_equal(n, 2);
		expect(rows[i].label, &facts[0], rows[i].result, rows[i].problem);
		expect(rows[i].label, &facts[1], rows[i].result, rows[i].problem);
		talloc_free(ctx);
	}
}

/* Each octet of a signed field matters. */
static void
test_changed_fields(void **state)
{
	static const struct {
		const char *label, *from, *to;
		enum dkim_result result;
	} rows[] = {
		{ "From", "alice@example.org", "malice@example.org", DKIM_IS_FAIL },
		{ "Subject", "hello", "hullo", DKIM_IS_FAIL },
		{ "Date", "2024", "2025", DKIM_IS_FAIL },
		{ "field removed", "Message-ID: <1@example.org>\n", "", DKIM_IS_FAIL },
		{ "case of a name, relaxed", "\nSubject:", "\nSUBJECT:", DKIM_IS_PASS },
		{ "folded, relaxed", "Alice <", "Alice\n\t<", DKIM_IS_PASS },
		{ "selector in the signature", "s=r1", "s=e1", DKIM_IS_PERMERROR },
	};
	struct world *world = *state;

	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct signed_message out =
		    sign_with(world, ctx, &world->rules, DOMAIN, "r1", BASE, "x\r\n", 0);
		const char *at = strstr(out.header, rows[i].from);
		size_t n;

		assert_non_null(at);

		char *changed = mem_printf(ctx, "%.*s%s%s", (int)(at - out.header), out.header,
		    rows[i].to, at + strlen(rows[i].from));
		struct dkim_fact *facts = verify(world, ctx, changed, "x\r\n", &n);

		assert_int_equal(n, 1);
		expect(rows[i].label, &facts[0], rows[i].result, NULL);
		talloc_free(ctx);
	}
}

/* A Sendmail that completes the header behind us. */
static void
test_mta_completes(void **state)
{
	static const char *const words[] = { "(o)from", "(o)date", "(o)message-id", "(o)subject" };
	struct world *world = *state;
	const char *header = "From: alice@example.org\nSubject: x\n";

	for (int completes = 0; completes < 2; completes++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct signing_rules rules;
		const char *error;
		size_t n;

		assert_int_equal(signing_rules_read(ctx, words, N(words), &rules, &error), 0);
		rules.mta_completes = completes == 1;

		struct signed_message out =
		    sign_with(world, ctx, &rules, DOMAIN, NULL, header, "x\r\n", 0);
		struct dkim_fact *facts = verify(world, ctx,
		    mem_printf(ctx, "Date: now\nMessage-Id: <x@y>\n%s", out.header), "x\r\n", &n);

		assert_int_equal(n, 2);
		expect("completed", &facts[1], completes == 1 ? DKIM_IS_PASS : DKIM_IS_FAIL, NULL);
		facts =
		    verify(world, ctx, mem_printf(ctx, "Subject: y\n%s", out.header), "x\r\n", &n);
		expect("still closed", &facts[1], DKIM_IS_FAIL, NULL);
		talloc_free(ctx);
	}
}

/* --- signing that cannot be -------------------------------------------- */

static void
test_not_signed(void **state)
{
	static const struct {
		const char *label, *domain, *selector, *header;
		enum outcome outcome;
		const char *problem;
	} rows[] = {
		{ "another domain", "example.com", NULL, BASE, OUTCOME_FAIL, "no key for example.com" },
		{ "a subdomain", "sub.example.org", NULL, BASE, OUTCOME_FAIL, "no key" },
		{ "another selector", DOMAIN, "r2", BASE, OUTCOME_FAIL, "has no key" },
		{ "no From", DOMAIN, NULL, "To: x\n", OUTCOME_PERMERROR, "no From" },
		{ "two From", DOMAIN, NULL, BASE "From: x\n", OUTCOME_PERMERROR, "several From" },
	};
	struct world *world = *state;

	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct signed_message out = sign_with(world, ctx, &world->rules, rows[i].domain,
		    rows[i].selector, rows[i].header, "x\r\n", 0);

		if (out.fact.outcome != rows[i].outcome)
			fail_msg("%s: outcome %d", rows[i].label, (int)out.fact.outcome);
		assert_non_null(strstr(out.fact.problem, rows[i].problem));
		assert_null(out.fact.value);
		assert_null(out.values);
		talloc_free(ctx);
	}
}

/* A header of very many fields, a line without end, a key ring that is not there. */
static void
test_signing_bounds(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	char *header = mem_strdup(ctx, BASE);
	char *line = mem_array(ctx, char, DKIM_LINE_MAX + 10);

	memset(line, 'x', DKIM_LINE_MAX + 2);

	struct signed_message out = sign(world, ctx, BASE, line);

	assert_int_equal(out.fact.outcome, OUTCOME_PERMERROR);
	assert_non_null(strstr(out.fact.problem, "line"));
	line[DKIM_LINE_MAX / 2] = ' ';
	out = sign_with(world, ctx, &world->rules, DOMAIN, NULL, BASE, line, 65535);
	assert_int_equal(out.fact.outcome, OUTCOME_PASS);

	for (int i = 0; i < 600; i++)
		header = mem_check(talloc_asprintf_append_buffer(header, "List-Post: <%d>\n", i));
	out = sign(world, ctx, header, "x\r\n");
	assert_int_equal(out.fact.outcome, OUTCOME_PERMERROR);
	assert_non_null(strstr(out.fact.problem, "too many"));

	/* many fields that are not signed do not matter */
	header = mem_strdup(ctx, BASE);
	for (int i = 0; i < 5000; i++)
		header = mem_check(talloc_asprintf_append_buffer(header, "X-%d: x\n", i));
	out = sign(world, ctx, header, "x\r\n");
	assert_int_equal(out.fact.outcome, OUTCOME_PASS);

	/* nor does one very long field */
	char *longest = mem_array(ctx, char, 200001);

	memset(longest, 'y', 200000);
	header = mem_printf(ctx, BASE "References: %s\n", longest);
	out = sign(world, ctx, header, "x\r\n");
	assert_int_equal(out.fact.outcome, OUTCOME_PASS);

	size_t n;
	struct dkim_fact *facts = verify(world, ctx, out.header, "x\r\n", &n);

	expect("very long field", &facts[1], DKIM_IS_PASS, NULL);

	struct header_list *list = header_of(ctx, BASE);
	struct sign_plan *plan = signing_plan(ctx, &world->rules, DOMAIN, list);
	struct sign_choice choice = { .outcome = OUTCOME_NONE };
	struct dkim_signing *signing = dkim_sign_start(ctx, world->service, &choice, plan, list);

	dkim_sign_body(signing, "x\r\n", 3);
	dkim_sign_finish(signing, ctx, &out.fact, &out.values);
	assert_int_equal(out.fact.outcome, OUTCOME_NONE);
	assert_null(out.values);

	/* given up half way */
	choice = choose(ctx, world->keyring, DOMAIN, NULL);
	signing = dkim_sign_start(ctx, world->service, &choice, plan, list);
	dkim_sign_body(signing, "x\r\n", 3);
	talloc_free(signing);
	talloc_free(ctx);
}

/* A key that went away after it was checked, among keys that are parsed when first used. */
static void
test_key_went_away(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct keyring_options options = { .uid = geteuid(), .gid = getegid(), .eager = 1 };
	const char *warnings, *error;
	char *path = write_key(world, "lazy.example", "a-rsa", world->rsa);
	char *away = mem_printf(ctx, "%s/away", world->dir);
	struct keyring *whole = world->keyring;
	struct signed_message out;

	write_key(world, "lazy.example", "z-ed", world->ed);
	world->keyring = keyring_load(ctx, world->keys, &options, &warnings, &error);
	assert_non_null(world->keyring);

	/* the last domain's last selector was parsed at load; its Ed25519 key does not sign
	 * alone */
	assert_int_equal(rename(path, away), 0);
	out = sign_with(world, ctx, &world->rules, "lazy.example", NULL, BASE, "x\r\n", 0);
	assert_int_equal(out.fact.outcome, OUTCOME_FAIL);
	assert_non_null(strstr(out.fact.problem, "a-rsa.pem"));
	assert_null(out.values);

	/* another domain is not concerned */
	assert_int_equal(sign(world, ctx, BASE, "x\r\n").fact.outcome, OUTCOME_PASS);

	/* and back again */
	assert_int_equal(rename(away, path), 0);
	out = sign_with(world, ctx, &world->rules, "lazy.example", NULL, BASE, "x\r\n", 0);
	assert_int_equal(out.fact.outcome, OUTCOME_PASS);
	assert_non_null(out.values[1]);

	/* parsed once, the file does not matter any more */
	assert_int_equal(rename(path, away), 0);
	out = sign_with(world, ctx, &world->rules, "lazy.example", NULL, BASE, "x\r\n", 0);
	assert_int_equal(out.fact.outcome, OUTCOME_PASS);
	world->keyring = whole;
	talloc_free(ctx);
}

/* --- signatures of strangers ------------------------------------------- */

/* RFC 6376 appendix A.2, with errata 3192 and 4926; its key has a line of its own in appendix C. */
static void
test_rfc6376(void **state)
{
	static const char header[] =
	    "DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\n"
	    "      c=simple/simple; q=dns/txt; i=joe@football.example.com;\n"
	    "      h=Received : From : To : Subject : Date : Message-ID;\n"
	    "      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"
	    "      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\n"
	    "        4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\n"
	    "        KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\n"
	    "        4bmp/YzhwvcubU4=;\n"
	    "Received: from client1.football.example.com  [192.0.2.1]\n"
	    "      by submitserver.example.com with SUBMISSION;\n"
	    "      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\n"
	    "From: Joe SixPack <joe@football.example.com>\n"
	    "To: Suzie Q <suzie@shopping.example.net>\n"
	    "Subject: Is dinner ready?\n"
	    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\n"
	    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\n";
	static const char body[] =
	    "Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n";
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	size_t n;

	zone_put(&world->zone, "brisbane._domainkey.example.com", DNS_OK,
	    "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt"
	    "IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi"
	    "tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB");

	struct dkim_fact *facts = verify(world, ctx, header, body, &n);

	assert_int_equal(n, 1);
	expect("RFC 6376 A.2", &facts[0], DKIM_IS_PASS, NULL);
	assert_string_equal(facts[0].auid, "joe@football.example.com");
	assert_int_equal(facts[0].key_bits, 1024);
	facts = verify(world, ctx, header, "Hi.\r\n", &n);
	expect("RFC 6376 A.2, another body", &facts[0], DKIM_IS_FAIL, "body");
	talloc_free(ctx);
}

/* The example of RFC 8463 appendix A: one message, two signatures. */
static void
test_rfc8463(void **state)
{
	static const char header[] =
	    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\n"
	    " d=football.example.com; i=@football.example.com;\n"
	    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\n"
	    " subject : date : message-id : from : subject : date;\n"
	    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"
	    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\n"
	    " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\n"
	    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\n"
	    " d=football.example.com; i=@football.example.com;\n"
	    " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\n"
	    " date : message-id : from : subject : date;\n"
	    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"
	    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\n"
	    " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\n"
	    " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\n"
	    "From: Joe SixPack <joe@football.example.com>\n"
	    "To: Suzie Q <suzie@shopping.example.net>\n"
	    "Subject: Is dinner ready?\n"
	    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\n"
	    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\n";
	static const char body[] =
	    "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	size_t n;

	zone_put(&world->zone, "brisbane._domainkey.football.example.com", DNS_OK,
	    "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
	zone_put(&world->zone, "test._domainkey.football.example.com", DNS_OK,
	    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
	    "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC"
	    "DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3"
	    "Ip3G+2kryOTIKT+l/K4w3QIDAQAB");

	struct dkim_fact *facts = verify(world, ctx, header, body, &n);

	assert_int_equal(n, 2);
	expect("RFC 8463, Ed25519", &facts[0], DKIM_IS_PASS, NULL);
	expect("RFC 8463, RSA", &facts[1], DKIM_IS_PASS, NULL);
	assert_string_equal(facts[0].auid, "@football.example.com");
	assert_string_equal(facts[0].b_prefix, "/gCrinpc");
	talloc_free(ctx);
}

/* foreign_sign - what another signer with libopendkim might send; length: l=, or -1 */
static char *
foreign_sign(struct world *world, TALLOC_CTX *ctx, dkim_canon_t header_canon,
    dkim_canon_t body_canon, dkim_alg_t algorithm, ssize_t length, uint64_t time, uint64_t ttl,
    const char *header, const char *body)
{
	DKIM_LIB *lib = dkim_init(NULL, NULL);
	DKIM_STAT status;
	unsigned char *text;
	size_t len;

	dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FIXEDTIME, &time, sizeof(time));
	dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_SIGNATURETTL, &ttl, sizeof(ttl));

	DKIM *dkim = dkim_sign(lib, (const unsigned char *)"x", NULL, (dkim_sigkey_t)world->rsa_pem,
	    (const unsigned char *)"r1", (const unsigned char *)DOMAIN, header_canon, body_canon,
	    algorithm, length, &status);
	struct header_list *list = header_of(ctx, header);
	char *octets = mem_strdup(ctx, body);

	assert_non_null(dkim);
	for (size_t i = 0; i < list->n; i++)
		assert_int_equal(dkim_feed_field(dkim, ctx, &list->fields[i]), DKIM_STAT_OK);
	assert_int_equal(dkim_eoh(dkim), DKIM_STAT_OK);
	if (*body != '\0')
		assert_int_equal(
		    dkim_body(dkim, (unsigned char *)octets, strlen(body)), DKIM_STAT_OK);
	assert_int_equal(dkim_eom(dkim, NULL), DKIM_STAT_OK);
	assert_int_equal(dkim_getsighdr_d(dkim, 16, &text, &len), DKIM_STAT_OK);

	char *value = mem_strndup(ctx, (char *)text, len), *out = value;

	for (char *p = value; *p != '\0'; p++)
		if (*p != '\r')
			*out++ = *p;
	*out = '\0';
	dkim_free(dkim);
	dkim_close(lib);
	return mem_printf(ctx, SIGNATURE ": %s\n%s", value, header);
}

/* All four forms, with headers where they differ. */
static void
test_canonicalisation(void **state)
{
	static const char header[] =
	    "From: Alice\n <alice@example.org> \nSubject:  a  b\t c\nX-Fold: a\n"
	    "\tb\n   c\nempty:\n";
	static const char *const bodies[] = { "", "\r\n", "x\r\n", " x  y \r\n\r\n\t\r\n\r\n" };
	struct world *world = *state;

	for (int i = 0; i < 4; i++) {
		for (size_t j = 0; j < N(bodies); j++) {
			TALLOC_CTX *ctx = mem_new(NULL, char);
			char *text = foreign_sign(world, ctx, i & 1, i >> 1, DKIM_SIGN_RSASHA256,
			    -1, 0, 0, header, bodies[j]);
			size_t n;
			struct dkim_fact *facts = verify(world, ctx, text, bodies[j], &n);

			assert_int_equal(n, 1);
			expect("canonicalisation", &facts[0], DKIM_IS_PASS, NULL);

			/* simple: a fold that changed matters */
			char *fold = strstr(text, "\n\tb");

			assert_non_null(fold);
			fold[1] = ' ';
			facts = verify(world, ctx, text, bodies[j], &n);
			expect("fold changed", &facts[0],
			    (i & 1) == DKIM_CANON_SIMPLE ? DKIM_IS_FAIL : DKIM_IS_PASS, NULL);
			talloc_free(ctx);
		}
	}
}

/* What verifies, and still does not pass. */
static void
test_policy(void **state)
{
	const uint64_t now = (uint64_t)time(NULL);
	const struct {
		const char *label;
		dkim_canon_t canon;	/* of the body */
		dkim_alg_t algorithm;
		ssize_t length;
		uint64_t time, ttl;
		const char *body;	/* signed */
		const char *more;	/* added later */
		enum dkim_result result;
		const char *problem;
	} rows[] = {
		{ "plain", 0, DKIM_SIGN_RSASHA256, -1, 0, 0, "abc\r\n", "", DKIM_IS_PASS, NULL },
		{ "valid until tomorrow", 0, DKIM_SIGN_RSASHA256, -1, now, 86400, "abc\r\n", "", DKIM_IS_PASS, NULL },
		{ "expired", 0, DKIM_SIGN_RSASHA256, -1, now - 90000, 86400, "abc\r\n", "", DKIM_IS_POLICY, "expired" },
		{ "just expired", 0, DKIM_SIGN_RSASHA256, -1, now - 200, 100, "abc\r\n", "", DKIM_IS_PASS, NULL },
		{ "tomorrow", 0, DKIM_SIGN_RSASHA256, -1, now + 86400, 0, "abc\r\n", "", DKIM_IS_POLICY, "future" },
		{ "a clock a bit fast", 0, DKIM_SIGN_RSASHA256, -1, now + 100, 0, "abc\r\n", "", DKIM_IS_PASS, NULL },
		{ "SHA-1", 0, DKIM_SIGN_RSASHA1, -1, 0, 0, "abc\r\n", "", DKIM_IS_POLICY, "rsa-sha1" },
		{ "l= all, simple", 0, DKIM_SIGN_RSASHA256, 5, 0, 0, "abc\r\n", "", DKIM_IS_PASS, NULL },
		{ "l= all, more blank lines", 0, DKIM_SIGN_RSASHA256, 5, 0, 0, "abc\r\n", "\r\n\r\n", DKIM_IS_PASS, NULL },
		{ "l= part", 0, DKIM_SIGN_RSASHA256, 3, 0, 0, "abc\r\n", "", DKIM_IS_POLICY, "l= covers 3 of 5" },
		{ "l= none", 0, DKIM_SIGN_RSASHA256, 0, 0, 0, "abc\r\n", "", DKIM_IS_POLICY, "l= covers 0 of 5" },
		{ "l= appended", 0, DKIM_SIGN_RSASHA256, 5, 0, 0, "abc\r\n", "evil\r\n", DKIM_IS_POLICY, "l= covers 5 of 11" },
		{ "l= all, relaxed", 1, DKIM_SIGN_RSASHA256, 7, 0, 0, "a  b \t c  \r\n", "", DKIM_IS_PASS, NULL },
		{ "l= appended, relaxed", 1, DKIM_SIGN_RSASHA256, 7, 0, 0, "a  b \t c  \r\n", "d", DKIM_IS_POLICY, "l= covers 7 of 10" },
		{ "l= inner blank lines, relaxed", 1, DKIM_SIGN_RSASHA256, 10, 0, 0, "a\r\n \r\n\r\n b\r\n\t\r\n", "", DKIM_IS_POLICY, "l= covers 10 of 11" },
		{ "l= all inner blank lines, relaxed", 1, DKIM_SIGN_RSASHA256, 11, 0, 0, "a\r\n \r\n\r\n b\r\n\t\r\n", "", DKIM_IS_PASS, NULL },
		{ "l= empty body, simple", 0, DKIM_SIGN_RSASHA256, 2, 0, 0, "", "", DKIM_IS_PASS, NULL },
		{ "l=0 of an empty body, relaxed", 1, DKIM_SIGN_RSASHA256, 0, 0, 0, "", "", DKIM_IS_PASS, NULL },
	};
	struct world *world = *state;
	struct dkim_options trusting = world_options(world);
	const char *error;

	trusting.trust_partial = true;

	struct dkim_service *trusts = dkim_service_new(world, &trusting, &error);

	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		char *header = foreign_sign(world, ctx, 0, rows[i].canon, rows[i].algorithm,
		    rows[i].length, rows[i].time, rows[i].ttl, BASE, rows[i].body);
		char *body = mem_printf(ctx, "%s%s", rows[i].body, rows[i].more);
		size_t n;

		for (size_t piece = 0; piece < 3; piece++) {
			struct dkim_fact *facts =
			    verify_with(world->service, ctx, header, body, NULL, piece, &n);

			assert_int_equal(n, 1);
			expect(rows[i].label, &facts[0], rows[i].result, rows[i].problem);
		}
		if (rows[i].problem != NULL && strncmp(rows[i].problem, "l= covers", 9) == 0) {
			struct dkim_fact *facts =
			    verify_with(trusts, ctx, header, body, NULL, 0, &n);

			expect(rows[i].label, &facts[0], DKIM_IS_PASS, NULL);
		}
		talloc_free(ctx);
	}
	talloc_free(trusts);
}

/* Signatures as strangers write them; most never reach a key. */
#define GOOD_BH	"bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;"
#define GOOD	"v=1; a=rsa-sha256; d=example.org; s=r1; h=from; " GOOD_BH " b=AAAA"

static void
test_malformed(void **state)
{
	static const struct {
		const char *label, *value;
		enum dkim_result result;
		const char *problem;
	} rows[] = {
		{ "well-formed, wrong", GOOD, DKIM_IS_FAIL, "header" },
		{ "semicolon at the end", GOOD ";", DKIM_IS_FAIL, "header" },
		{ "unknown tag", GOOD "; foo=bar; z1_2=", DKIM_IS_FAIL, "header" },
		{ "empty", "", DKIM_IS_PERMERROR, "a=" },
		{ "rubbish", "hello", DKIM_IS_NEUTRAL, "value" },
		{ "semicolons", ";;;", DKIM_IS_NEUTRAL, "value" },
		{ "empty tag in the middle", "v=1;; a=rsa-sha256", DKIM_IS_NEUTRAL, "value" },
		{ "no name", "=1; " GOOD, DKIM_IS_NEUTRAL, "name" },
		{ "name with a digit first", "1a=b; " GOOD, DKIM_IS_NEUTRAL, "name" },
		{ "name with a space", "a b=c; " GOOD, DKIM_IS_NEUTRAL, "name" },
		{ "8-bit octet", GOOD "; n=\xc3\xa9", DKIM_IS_NEUTRAL, "ASCII" },
		{ "control character", GOOD "; n=\x01", DKIM_IS_NEUTRAL, "ASCII" },
		{ "tag twice", GOOD "; d=example.com", DKIM_IS_NEUTRAL, "twice" },
		{ "b twice", GOOD "; b=BBBB", DKIM_IS_NEUTRAL, "twice" },
		{ "no version", "a=rsa-sha256; d=example.org; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "v=" },
		{ "version 2", "v=2; a=rsa-sha256; d=example.org; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "v=" },
		{ "no a", "v=1; d=example.org; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "a=" },
		{ "unknown a", "v=1; a=rsa-sha512; d=example.org; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_NEUTRAL, "algorithm" },
		{ "SHA-1", "v=1; a=rsa-sha1; d=example.org; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_POLICY, "rsa-sha1" },
		{ "upper case a", "v=1; a=RSA-SHA256; d=example.org; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_FAIL, "header" },
		{ "no d", "v=1; a=rsa-sha256; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "d=" },
		{ "empty d", "v=1; a=rsa-sha256; d=; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "domain" },
		{ "comment in d", "v=1; a=rsa-sha256; d=example.org(.example.com; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "domain" },
		{ "d with two dots", "v=1; a=rsa-sha256; d=example..org; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "domain" },
		{ "d a literal", "v=1; a=rsa-sha256; d=[192.0.2.1]; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "domain" },
		{ "no s", "v=1; a=rsa-sha256; d=example.org; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "s=" },
		{ "s with a slash", "v=1; a=rsa-sha256; d=example.org; s=../x; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "domain" },
		{ "no h", "v=1; a=rsa-sha256; d=example.org; s=r1; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "From" },
		{ "empty h", "v=1; a=rsa-sha256; d=example.org; s=r1; h=; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "h=" },
		{ "h without From", "v=1; a=rsa-sha256; d=example.org; s=r1; h=to:subject; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "From" },
		{ "h of colons", "v=1; a=rsa-sha256; d=example.org; s=r1; h=:::from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "empty name" },
		{ "no bh", "v=1; a=rsa-sha256; d=example.org; s=r1; h=from; b=AAAA", DKIM_IS_PERMERROR, "bh=" },
		{ "short bh", "v=1; a=rsa-sha256; d=example.org; s=r1; h=from; bh=AAAA; b=AAAA", DKIM_IS_PERMERROR, "bh=" },
		{ "bh of 20 octets", "v=1; a=rsa-sha256; d=example.org; s=r1; h=from; bh=2jmj7l5rSw0yVb/vlWAYkK/YBwk=; b=AAAA", DKIM_IS_PERMERROR, "bh=" },
		{ "bh of equals signs", "v=1; a=rsa-sha256; d=example.org; s=r1; h=from; bh=============================================; b=AAAA", DKIM_IS_PERMERROR, "bh=" },
		{ "no b", "v=1; a=rsa-sha256; d=example.org; s=r1; h=from; " GOOD_BH, DKIM_IS_PERMERROR, "b=" },
		{ "empty b", "v=1; a=rsa-sha256; d=example.org; s=r1; h=from; " GOOD_BH " b=", DKIM_IS_PERMERROR, "b=" },
		{ "b no base64", "v=1; a=rsa-sha256; d=example.org; s=r1; h=from; " GOOD_BH " b=!!!!", DKIM_IS_FAIL, "header" },
		{ "space before b's equals sign", "v=1; a=rsa-sha256; d=example.org; s=r1; h=from; " GOOD_BH " b =AAAA", DKIM_IS_FAIL, "header" },
		{ "a tag that ends in b", GOOD "; xb=1", DKIM_IS_FAIL, "header" },
		{ "d in UTF-8 that is none", "v=1; a=rsa-sha256; d=\xff.example; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_NEUTRAL, "ASCII" },
		{ "d of invisible letters", "v=1; a=rsa-sha256; d=\xe2\x80\x8b.example; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "domain" },
		{ "i of another domain", GOOD "; i=@example.com", DKIM_IS_PERMERROR, "i=" },
		{ "i above d", GOOD "; i=@org", DKIM_IS_PERMERROR, "i=" },
		{ "i that only ends like d", GOOD "; i=a@badexample.org", DKIM_IS_PERMERROR, "i=" },
		{ "i without at", GOOD "; i=example.org", DKIM_IS_PERMERROR, "i=" },
		{ "i of a subdomain", GOOD "; i=a@sub.example.org", DKIM_IS_FAIL, "header" },
		{ "unknown c", GOOD "; c=nowsp", DKIM_IS_PERMERROR, "c=" },
		{ "unknown body c", GOOD "; c=simple/foo", DKIM_IS_PERMERROR, "c=" },
		{ "empty l", GOOD "; l=", DKIM_IS_PERMERROR, "l=" },
		{ "negative l", GOOD "; l=-1", DKIM_IS_PERMERROR, "l=" },
		{ "huge l", GOOD "; l=18446744073709551614", DKIM_IS_PERMERROR, "l=" },
		{ "l too large", GOOD "; l=999999", DKIM_IS_FAIL, NULL },
		{ "unknown q", GOOD "; q=http", DKIM_IS_PERMERROR, "q=" },
		{ "q among others", GOOD "; q=x/y:dns/txt", DKIM_IS_FAIL, "header" },
		{ "t no number", GOOD "; t=now", DKIM_IS_PERMERROR, "t=" },
		{ "x huge", GOOD "; x=18446744073709551615", DKIM_IS_PERMERROR, "x=" },
		{ "x before t", GOOD "; t=2000000000; x=1", DKIM_IS_POLICY, NULL },
		{ "no such selector", "v=1; a=rsa-sha256; d=example.org; s=none; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "no key record" },
		{ "key of another type", "v=1; a=ed25519-sha256; d=example.org; s=r1; h=from; " GOOD_BH " b=AAAA", DKIM_IS_PERMERROR, "type" },
	};
	struct world *world = *state;

	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct signed_message out = sign(world, ctx, BASE, "x\r\n");
		size_t n;
		struct dkim_fact *facts = verify(world, ctx, mem_printf(ctx, SIGNATURE ": %s\n%s",
		    rows[i].value, out.header), "x\r\n", &n);

		assert_int_equal(n, 3);
		expect(rows[i].label, &facts[0], rows[i].result, rows[i].problem);
		/* a bad neighbour does no harm */
		expect(rows[i].label, &facts[1], DKIM_IS_PASS, NULL);
		expect(rows[i].label, &facts[2], DKIM_IS_PASS, NULL);
		talloc_free(ctx);
	}
}

/* bare_record - the record of an RSA key without SubjectPublicKeyInfo (RFC 6376 section 3.6.1) */
static char *
bare_record(TALLOC_CTX *ctx, EVP_PKEY *key)
{
	unsigned char *der = NULL, text[1024];
	int len = i2d_PublicKey(key, &der);

	assert_in_range(len, 64, 700);
	(void)EVP_EncodeBlock(text, der, len);
	OPENSSL_free(der);
	return mem_printf(ctx, "p=%s", (const char *)text);
}

/* What DNS may answer, for one RSA signature of example.org. */
static void
test_key_records(void **state)
{
	struct world *world = *state;
	char *p = strstr(world->rsa_record, "p=") + 2;
	TALLOC_CTX *texts = mem_new(NULL, char);
	char *huge = mem_array(texts, char, 1500);
	const char *name = "r1._domainkey." DOMAIN;

	memset(huge, 'A', 1400);

	const struct {
		const char *label;
		enum dns_status status;
		const char *records[4];
		enum dkim_result result;
		const char *problem;
	} rows[] = {
		{ "right", DNS_OK, { world->rsa_record }, DKIM_IS_PASS, NULL },
		{ "bare RSAPublicKey", DNS_OK, { bare_record(texts, world->rsa) }, DKIM_IS_PASS, NULL },
		{ "no key at all", DNS_OK, { "p=MAMCAQE=" }, DKIM_IS_PERMERROR, "key" },
		{ "p alone", DNS_OK, { mem_printf(texts, "p=%s", p) }, DKIM_IS_PASS, NULL },
		{ "spaces in p", DNS_OK, { mem_printf(texts, "v=DKIM1; p=%.10s \t %s ; ", p, p + 10) }, DKIM_IS_PASS, NULL },
		{ "notes and granularity", DNS_OK, { mem_printf(texts, "v=DKIM1; g=*; n=a note; p=%s", p) }, DKIM_IS_PASS, NULL },
		{ "test mode", DNS_OK, { mem_printf(texts, "v=DKIM1; t=y; p=%s", p) }, DKIM_IS_PASS, NULL },
		{ "SHA-256 allowed", DNS_OK, { mem_printf(texts, "h=sha1:sha256; p=%s", p) }, DKIM_IS_PASS, NULL },
		{ "SHA-1 only", DNS_OK, { mem_printf(texts, "h=sha1; p=%s", p) }, DKIM_IS_PERMERROR, "hash" },
		{ "unknown hash only", DNS_OK, { mem_printf(texts, "h=md5; p=%s", p) }, DKIM_IS_PERMERROR, "hash" },
		{ "for mail", DNS_OK, { mem_printf(texts, "s=foo:email; p=%s", p) }, DKIM_IS_PASS, NULL },
		{ "for something else", DNS_OK, { mem_printf(texts, "s=foo; p=%s", p) }, DKIM_IS_PERMERROR, "mail" },
		{ "other version", DNS_OK, { mem_printf(texts, "v=DKIM2; p=%s", p) }, DKIM_IS_PERMERROR, "cannot be read" },
		{ "other type", DNS_OK, { mem_printf(texts, "k=ed25519; p=%s", p) }, DKIM_IS_PERMERROR, "type" },
		{ "revoked", DNS_OK, { "v=DKIM1; p=" }, DKIM_IS_PERMERROR, "revoked" },
		{ "revoked, semicolon", DNS_OK, { "v=DKIM1; p=;" }, DKIM_IS_PERMERROR, "revoked" },
		{ "no p", DNS_OK, { "v=DKIM1; k=rsa" }, DKIM_IS_PERMERROR, "cannot be read" },
		{ "SPF record", DNS_OK, { "v=spf1 -all" }, DKIM_IS_PERMERROR, "cannot be read" },
		{ "empty record", DNS_OK, { "" }, DKIM_IS_PERMERROR, "cannot be read" },
		{ "p no base64", DNS_OK, { "p=!!!" }, DKIM_IS_PERMERROR, NULL },
		{ "p no key", DNS_OK, { "p=AAAA" }, DKIM_IS_PERMERROR, "key" },
		{ "p twice", DNS_OK, { mem_printf(texts, "p=%s; p=%s", p, p) }, DKIM_IS_PERMERROR, "cannot be read" },
		{ "too long", DNS_OK, { mem_printf(texts, "p=%s", huge) }, DKIM_IS_PERMERROR, "too long" },
		{ "several, one fits", DNS_OK, { world->ed_record, "v=spf1 -all", world->rsa_record }, DKIM_IS_PASS, NULL },
		{ "several, one revoked", DNS_OK, { "p=", world->rsa_record }, DKIM_IS_PASS, NULL },
		{ "several, none fits", DNS_OK, { world->ed_record, world->ed_record }, DKIM_IS_PERMERROR, "type" },
		{ "no such name", DNS_NXDOMAIN, { NULL }, DKIM_IS_PERMERROR, "no key record" },
		{ "no TXT", DNS_NODATA, { NULL }, DKIM_IS_PERMERROR, "no key record" },
		{ "SERVFAIL", DNS_FAILURE, { NULL }, DKIM_IS_TEMPERROR, "SERVFAIL" },
		{ "timeout", DNS_TIMEOUT, { NULL }, DKIM_IS_TEMPERROR, "timeout" },
	};

	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct signed_message out = sign(world, ctx, BASE, "x\r\n");
		size_t n;

		zone_put(&world->zone, name, rows[i].status, NULL);
		memcpy(world->zone.entries[0].records, rows[i].records, sizeof(rows[i].records));

		struct dkim_fact *facts = verify(world, ctx, out.header, "x\r\n", &n);

		assert_int_equal(n, 2);
		expect(rows[i].label, &facts[1], rows[i].result, rows[i].problem);
		expect(rows[i].label, &facts[0], DKIM_IS_PASS, NULL);
		talloc_free(ctx);
	}
	zone_put(&world->zone, name, DNS_OK, world->rsa_record);

	/* the record of the Ed25519 key in PKIX form, as some publish it by mistake */
	zone_put(&world->zone, "e1._domainkey." DOMAIN, DNS_OK, "v=DKIM1; k=ed25519; "
	    "p=MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");

	struct signed_message out = sign(world, texts, BASE, "x\r\n");
	size_t n;
	struct dkim_fact *facts = verify(world, texts, out.header, "x\r\n", &n);

	expect("Ed25519 as PKIX", &facts[0], DKIM_IS_PERMERROR, "key");
	zone_put(&world->zone, "e1._domainkey." DOMAIN, DNS_OK, world->ed_record);
	talloc_free(texts);
}

/* t=s: the signature's identity must not be below its domain. */
static void
test_strict_subdomain(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	char *header = foreign_sign(world, ctx, 0, 0, DKIM_SIGN_RSASHA256, -1, 0, 0, BASE, "x\r\n");
	size_t n;

	zone_put(&world->zone, "r1._domainkey." DOMAIN, DNS_OK,
	    mem_printf(world, "t=s; %s", strstr(world->rsa_record, "p=")));

	struct dkim_fact *facts = verify(world, ctx, header, "x\r\n", &n);

	expect("t=s, no i=", &facts[0], DKIM_IS_PASS, NULL);
	facts = verify(world, ctx,
	    mem_printf(ctx, SIGNATURE ": " GOOD "; i=@sub.example.org\n" BASE), "x\r\n", &n);
	expect("t=s, i= below", &facts[0], DKIM_IS_PERMERROR, "subdomain");
	zone_put(&world->zone, "r1._domainkey." DOMAIN, DNS_OK, world->rsa_record);
	talloc_free(ctx);
}

/* Keys that are shorter than we take. */
static void
test_short_key(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct dkim_options options = world_options(world);
	struct signed_message out = sign(world, ctx, BASE, "x\r\n");
	const char *error;
	size_t n;

	options.min_key_bits = 2049;

	struct dkim_service *service = dkim_service_new(ctx, &options, &error);
	struct dkim_fact *facts = verify_with(service, ctx, out.header, "x\r\n", NULL, 0, &n);

	expect("2048 bits where 2049 are asked for", &facts[1], DKIM_IS_POLICY, "too short");
	expect("Ed25519 is not measured in bits", &facts[0], DKIM_IS_PASS, NULL);
	talloc_free(ctx);
}

/* --- bounds of verifying ----------------------------------------------- */

/* count_results - how many facts have this result */
static size_t
count_results(const struct dkim_fact *facts, size_t n, enum dkim_result result)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += facts[i].result == result;
	return count;
}

static void
test_many_signatures(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct signed_message out =
	    sign_with(world, ctx, &world->rules, DOMAIN, "r1", BASE, "x\r\n", 0);
	char *many = mem_strdup(ctx, "");
	size_t n;

	for (int i = 0; i < 60; i++)
		many = mem_check(talloc_asprintf_append_buffer(many,
		    SIGNATURE ": v=1; a=rsa-sha256; "
			      "d=d%d.example.com; s=s%d; h=from; " GOOD_BH " b=AAAA\n",
		    i, i));
	world->zone.asked = world->zone.prefetched = 0;

	/* the author's own comes last, and is verified first */
	struct dkim_fact *facts = verify_with(world->service, ctx,
	    mem_printf(ctx, "%s%s", many, out.header), "x\r\n", "example.org", 0, &n);

	assert_int_equal(n, 61);
	expect("aligned", &facts[60], DKIM_IS_PASS, NULL);
	assert_int_equal(count_results(facts, n, DKIM_IS_POLICY), 61 - DKIM_SIGNATURES_DEFAULT);
	assert_int_equal(count_results(facts, n, DKIM_IS_PERMERROR), DKIM_SIGNATURES_DEFAULT - 1);
	assert_int_equal(world->zone.asked, DKIM_SIGNATURES_DEFAULT);
	assert_int_equal(world->zone.prefetched, DKIM_SIGNATURES_DEFAULT);

	/* even if the author's domain is below it */
	facts = verify_with(world->service, ctx, mem_printf(ctx, "%s%s", many, out.header), "x\r\n",
	    "mail.example.org", 0, &n);
	expect("aligned, below", &facts[60], DKIM_IS_PASS, NULL);

	/* without an author the order of the header holds */
	facts = verify_with(world->service, ctx, mem_printf(ctx, "%s%s", many, out.header), "x\r\n",
	    NULL, 0, &n);
	expect("too late", &facts[60], DKIM_IS_POLICY, "too many");

	/* hundreds are not even reported */
	many = mem_printf(ctx, "%s%s%s%s%s%s", many, many, many, many, many, many);
	facts = verify_with(world->service, ctx, many, "x\r\n", NULL, 0, &n);
	assert_int_equal(n, DKIM_FACTS_MAX);

	/* one key at many names is asked for once */
	many = mem_strdup(ctx, out.header);
	for (int i = 0; i < 5; i++)
		many = mem_printf(ctx, SIGNATURE ":%s\n%s", out.values[0], many);
	world->zone.asked = 0;
	facts = verify_with(world->service, ctx, many, "x\r\n", NULL, 0, &n);
	assert_int_equal(n, 6);
	assert_int_equal(count_results(facts, n, DKIM_IS_PASS), 6);
	assert_int_equal(world->zone.asked, 1);
	talloc_free(ctx);
}

/* h= that names very much, over headers that hold very much. */
static void
test_expensive(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	char *names = mem_strdup(ctx, "from"), *fields = mem_strdup(ctx, "");
	size_t n;

	for (int i = 0; i < 250; i++)
		names = mem_check(talloc_asprintf_append_buffer(names, ":x"));
	for (int i = 0; i < 9000; i++)
		fields = mem_check(talloc_asprintf_append_buffer(fields, "x: y\n"));

	char *value = mem_printf(
	    ctx, "v=1; a=rsa-sha256; d=example.org; s=r1; h=%s; " GOOD_BH " b=AAAA", names);
	struct dkim_fact *facts = verify(
	    world, ctx, mem_printf(ctx, SIGNATURE ": %s\n" BASE "%s", value, fields), "x\r\n", &n);

	expect("names times fields", &facts[0], DKIM_IS_POLICY, "too long");

	/* the same names over a header that has few such fields are no matter */
	facts = verify(world, ctx, mem_printf(ctx, SIGNATURE ": %s\n" BASE "x: y\nx: z\n", value),
	    "x\r\n", &n);
	expect("names alone", &facts[0], DKIM_IS_FAIL, "header");

	for (int i = 0; i < 10; i++)
		names = mem_check(talloc_asprintf_append_buffer(names, ":x"));
	value = mem_printf(
	    ctx, "v=1; a=rsa-sha256; d=example.org; s=r1; h=%s; " GOOD_BH " b=AAAA", names);
	facts = verify(world, ctx, mem_printf(ctx, SIGNATURE ": %s\n" BASE, value), "x\r\n", &n);
	expect("too many names", &facts[0], DKIM_IS_POLICY, "h=");

	value = mem_array(ctx, char, 20000);
	memset(value, ' ', 19000);
	facts = verify(
	    world, ctx, mem_printf(ctx, SIGNATURE ": " GOOD "%s\n" BASE, value), "x\r\n", &n);
	expect("too long", &facts[0], DKIM_IS_POLICY, "too long");
	assert_string_equal(facts[0].sdid, DOMAIN);
	talloc_free(ctx);
}

/* Every field of the message in h=, and more: here the library writes behind an array. */
static void
test_more_names_than_fields(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	size_t n;

	for (int fields = 1; fields < 12; fields++) {
		char *header = mem_strdup(ctx, "From: alice@example.org\n"),
		     *names = mem_strdup(ctx, "from");

		for (int i = 1; i < fields; i++) {
			header = mem_check(talloc_asprintf_append_buffer(header, "x: y\n"));
			names = mem_check(talloc_asprintf_append_buffer(names, ":x"));
		}

		struct dkim_fact *facts = verify(world, ctx,
		    mem_printf(ctx,
			SIGNATURE ": v=1; a=rsa-sha256; "
				  "d=example.org; s=r1; h=%s:dkim-signature:to:cc:from; " GOOD_BH
				  " b=AAAA\n%s",
			names, header),
		    "x\r\n", &n);

		expect("more names than fields", &facts[0], DKIM_IS_FAIL, "header");
	}
	talloc_free(ctx);
}

/* A signature that signs other signatures needs to see them. */
static void
test_signed_signatures(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	char *inner = foreign_sign(world, ctx, 0, 0, DKIM_SIGN_RSASHA256, -1, 0, 0, BASE, "x\r\n");
	char *outer = foreign_sign(world, ctx, 1, 1, DKIM_SIGN_RSASHA256, -1, 0, 0, inner, "x\r\n");
	size_t n;
	struct dkim_fact *facts = verify(world, ctx, outer, "x\r\n", &n);

	assert_int_equal(n, 2);
	expect("outer", &facts[0], DKIM_IS_PASS, NULL);
	expect("inner", &facts[1], DKIM_IS_PASS, NULL);

	/* a signature may cover one From field, or both: no reader knows which one it speaks of */
	facts =
	    verify(world, ctx, mem_printf(ctx, "From: ceo@bank.example\n%s", inner), "x\r\n", &n);
	expect("two From fields", &facts[0], DKIM_IS_POLICY, "several From");

	/* h= counts from the bottom: rubbish below takes the place of the signature it covers */
	facts =
	    verify(world, ctx, mem_printf(ctx, "%s" SIGNATURE ": rubbish\n", outer), "x\r\n", &n);
	assert_int_equal(n, 3);
	expect("outer, above rubbish", &facts[0], DKIM_IS_FAIL, "header");
	expect("inner, above rubbish", &facts[1], DKIM_IS_PASS, NULL);
	expect("rubbish", &facts[2], DKIM_IS_NEUTRAL, NULL);
	facts =
	    verify(world, ctx, mem_printf(ctx, SIGNATURE ": rubbish\n%s", outer), "x\r\n", &n);
	assert_int_equal(n, 3);
	expect("outer, below rubbish", &facts[1], DKIM_IS_PASS, NULL);
	talloc_free(ctx);
}

/* From fields that cannot be parsed, which must not keep signatures from being verified. */
static void
test_odd_from(void **state)
{
	static const char *const froms[] = { "", " ", "((((", "\"", "a@", "@", "<>", "<a@b",
		"a b c", ",,,", "=?utf-8?q?x?=", "\\", "(\\", "\"\\", "x:;", "<@a,@b:c@d>",
		"a@[1.2.3.4]", "\xff\xfe" };
	struct world *world = *state;

	for (size_t i = 0; i < N(froms); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		char *header = mem_printf(ctx, "From: %s\nSubject: x\n", froms[i]);
		struct signed_message out = sign(world, ctx, header, "x\r\n");
		size_t n;

		if (out.fact.outcome != OUTCOME_PASS)
			fail_msg("From \"%s\": %s", froms[i], out.fact.problem);

		struct dkim_fact *facts = verify(world, ctx, out.header, "x\r\n", &n);

		assert_int_equal(n, 2);
		expect(froms[i], &facts[1], DKIM_IS_PASS, NULL);
		talloc_free(ctx);
	}

	TALLOC_CTX *ctx = mem_new(NULL, char);
	size_t n;
	struct dkim_fact *facts = verify(world, ctx, SIGNATURE ": " GOOD "\nTo: x\n", "x\r\n", &n);

	expect("no From at all", &facts[0], DKIM_IS_FAIL, NULL);
	facts = verify(world, ctx, BASE, "x\r\n", &n);
	assert_int_equal(n, 0);
	facts = verify(world, ctx, SIGNATURE "\t: " GOOD "\n" BASE, "x\r\n", &n);
	expect("tab before the colon", &facts[0], DKIM_IS_NEUTRAL, "white space");
	talloc_free(ctx);
}

/* The body of a message that nobody can verify is not needed. */
static void
test_wants_body(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct dkim_verification *v =
	    dkim_verify_start(ctx, world->service, header_of(ctx, BASE), NULL);

	assert_false(dkim_verify_wants_body(v));
	v = dkim_verify_start(ctx, world->service, header_of(ctx, SIGNATURE ": x\n" BASE), NULL);
	assert_false(dkim_verify_wants_body(v));
	v = dkim_verify_start(
	    ctx, world->service, header_of(ctx, SIGNATURE ": " GOOD "\n" BASE), NULL);
	assert_true(dkim_verify_wants_body(v));
	talloc_free(ctx);
}

/* A body line that the library would have to keep whole. */
static void
test_endless_line(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct signed_message out = sign(world, ctx, BASE, "x\r\n");
	char *line = mem_array(ctx, char, 3 * DKIM_LINE_MAX);
	size_t n;

	memset(line, 'x', 3 * DKIM_LINE_MAX - 1);

	struct dkim_fact *facts =
	    verify_with(world->service, ctx, out.header, line, NULL, 65535, &n);

	expect("endless line", &facts[1], DKIM_IS_POLICY, "line");
	facts = verify_with(world->service, ctx, out.header, line, NULL, 0, &n);
	expect("endless line, at once", &facts[1], DKIM_IS_POLICY, "line");
	talloc_free(ctx);
}

/* --- parts ------------------------------------------------------------- */

static void
test_body_rest(void **state)
{
	static const struct {
		const char *body, *rest;
	} rows[] = {
		{ "", "" }, { "x", "\r\n" }, { "x\r\n", "" }, { "x\r", "\n" }, { "x\n", "" }, { "\r\n", "" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct dkim_body_watch watch = { 0 };

		assert_true(dkim_body_watch(&watch, rows[i].body, strlen(rows[i].body)));
		assert_string_equal(dkim_body_rest(&watch), rows[i].rest);
	}
}

/* The library objects: shared for the same list, bounded when idle. */
static void
test_pool(void **state)
{
	struct world *world = *state;
	static const char *const list[] = { "From", "To", NULL };
	struct dkim_lib_ref *first = dkim_lib_borrow(world->service, list, 0);
	struct dkim_lib_ref *second = dkim_lib_borrow(world->service, list, 0), *refs[100];

	assert_ptr_equal(first, second);
	for (int i = 0; i < 500; i++) {
		char name[20];
		const char *names[] = { "From", name, NULL };

		snprintf(name, sizeof(name), "X-%d", i);

		struct dkim_lib_ref *ref = dkim_lib_borrow(world->service, names, 0);

		assert_non_null(ref);
		assert_ptr_not_equal(ref, first);
		dkim_lib_return(world->service, ref);
	}
	/* more in use at once than are kept */
	for (int i = 0; i < 100; i++) {
		char name[20];
		const char *names[] = { "From", name, NULL };

		snprintf(name, sizeof(name), "Y-%d", i);
		refs[i] = dkim_lib_borrow(world->service, names, 0);
	}
	for (int i = 0; i < 100; i++)
		dkim_lib_return(world->service, refs[i]);
	/* ours was in use all the time */
	assert_ptr_equal(dkim_lib_borrow(world->service, list, 0), first);
	dkim_lib_return(world->service, first);
	dkim_lib_return(world->service, first);
	dkim_lib_return(world->service, second);
}

/* key_is_freed - OpenSSL calls this when the watched key goes */
static void
key_is_freed(void *parent, void *data, CRYPTO_EX_DATA *ex, int index, long argl, void *argp)
{
	(void)parent, (void)ex, (void)index, (void)argl, (void)argp;
	if (data != NULL)
		*(bool *)data = true;
}

/* Keys go with their keyring, however many signatures they made. */
static void
test_keys_are_released(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct keyring *kept = world->keyring;
	const struct keyring_domain *domain;
	bool freed[2] = { false, false };
	int index = EVP_PKEY_get_ex_new_index(0, NULL, NULL, NULL, key_is_freed);

	world->keyring = load_keys(world);
	domain = keyring_find(world->keyring, DOMAIN);
	assert_int_equal(domain->n, 2);
	for (size_t i = 0; i < 2; i++) {
		struct keyring_ready ready;
		const char *error;

		assert_int_equal(keyring_ready(ctx, &domain->keys[i], &ready, &error), 0);

		EVP_PKEY *key = key_shortcut_key(ready.handle);

		assert_non_null(key);
		assert_int_equal(EVP_PKEY_set_ex_data(key, index, &freed[i]), 1);
		EVP_PKEY_free(key);
	}
	for (int i = 0; i < 5; i++)
		assert_int_equal(sign(world, ctx, BASE, "x\r\n").fact.outcome, OUTCOME_PASS);
	assert_false(freed[0] || freed[1]);
	talloc_free(world->keyring);
	assert_true(freed[0]);
	assert_true(freed[1]);
	world->keyring = kept;
	talloc_free(ctx);
}

/* sign_and_verify - one thread's work */
static void *
sign_and_verify(void *argument)
{
	struct world *world = argument;
	uintptr_t bad = 0;

	for (int i = 0; i < 25; i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		struct signed_message out =
		    sign(world, ctx, i % 2 == 0 ? BASE : BASE "Sender: x\n", "x\r\n");
		size_t n = 0;
		struct dkim_fact *facts = verify(world, ctx, out.header, "x\r\n", &n);

		bad += out.fact.outcome != OUTCOME_PASS || n != 2 ||
		    facts[0].result != DKIM_IS_PASS || facts[1].result != DKIM_IS_PASS;
		talloc_free(ctx);
	}
	return (void *)bad;
}

static void
test_threads(void **state)
{
	pthread_t threads[4];

	for (size_t i = 0; i < N(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sign_and_verify, *state), 0);
	for (size_t i = 0; i < N(threads); i++) {
		void *bad;

		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
}

/* --- the other implementation ------------------------------------------ */

/* find_python - an interpreter that has dkimpy, or NULL */
static const char *
find_python(void)
{
	static const char *const candidates[] = { "python3", "/usr/bin/python3" };

	for (size_t i = 0; i < N(candidates); i++) {
		char command[200];

		snprintf(command, sizeof(command), "%s -c 'import dkim, nacl' >/dev/null 2>&1",
		    candidates[i]);
		if (system(command) == 0)
			return candidates[i];
	}
	return NULL;
}

/* write_text - a file of the temporary directory */
static void
write_text(struct world *world, const char *name, const char *text)
{
	char *path = mem_printf(world, "%s/%s", world->dir, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	talloc_free(path);
}

/* read_text - all of such a file */
static char *
read_text(struct world *world, TALLOC_CTX *ctx, const char *name)
{
	char *path = mem_printf(ctx, "%s/%s", world->dir, name),
	     *text = mem_array(ctx, char, 100000);
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	text[fread(text, 1, 99999, file)] = '\0';
	fclose(file);
	return text;
}

/* run_python - run a script in the temporary directory; its exit status */
static int
run_python(struct world *world, const char *python, const char *script)
{
	char *command;
	int status;

	write_text(world, "script.py", script);
	command = mem_printf(world, "cd %s && %s script.py", world->dir, python);
	status = system(command);
	talloc_free(command);
	return status;
}

/* Both scripts look keys up in the file "zone". */
#define PYTHON_ZONE \
	"import dkim, sys, glob\n" \
	"zone = dict(l.rstrip('\\n').split(' ', 1) for l in open('zone'))\n" \
	"def lookup(name, timeout=5):\n" \
	"    name = name.decode() if isinstance(name, bytes) else name\n" \
	"    return zone[name.rstrip('.')].encode()\n"

static void
write_zone(struct world *world)
{
	char *zone = mem_printf(world, "r1._domainkey." DOMAIN " %s\ne1._domainkey." DOMAIN " %s\n",
	    world->rsa_record, world->ed_record);

	write_text(world, "zone", zone);
	talloc_free(zone);
}

/* dkimpy verifies what we signed. */
static void
test_dkimpy_verifies(void **state)
{
	static const char script[] = PYTHON_ZONE
	    "bad = 0\n"
	    "for name in sorted(glob.glob('out.*')):\n"
	    "    data = open(name, 'rb').read()\n"
	    "    for i in (0, 1):\n"
	    "        try:\n"
	    "            good = dkim.DKIM(data, minkey=1024).verify(idx=i, dnsfunc=lookup)\n"
	    "        except Exception as e:\n"
	    "            good, e = False, print('#', name, i, repr(e))\n"
	    "        if not good:\n"
	    "            print('# does not verify:', name, 'signature', i); bad += 1\n"
	    "sys.exit(1 if bad else 0)\n";
	struct world *world = *state;
	const char *python = find_python();

	if (python == NULL) {
		print_message("# SKIPPED: python3-dkim and python3-nacl are not installed\n");
		skip();
	}
	write_zone(world);
	for (size_t i = 0; i < N(round_trips); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		char *body = crlf(ctx, round_trips[i].body);
		struct signed_message out = sign(world, ctx, round_trips[i].header, body);

		write_text(world, mem_printf(ctx, "out.%02zu", i),
		    mem_printf(ctx, "%s\r\n%s", crlf(ctx, out.header), body));
		talloc_free(ctx);
	}
	assert_int_equal(run_python(world, python, script), 0);
}

/* We verify what dkimpy signed. */
static void
test_dkimpy_signs(void **state)
{
	static const char script[] = PYTHON_ZONE
	    "canons = [(h, b) for h in (b'simple', b'relaxed') for b in (b'simple', b'relaxed')]\n"
	    "rsa = open('rsa.pem', 'rb').read()\n"
	    "ed = open('ed.b64', 'rb').read()\n"
	    "for name in sorted(glob.glob('in.*')):\n"
	    "    data = open(name, 'rb').read()\n"
	    "    for n, c in enumerate(canons):\n"
	    "        sig = dkim.sign(data, b'r1', b'example.org', rsa, canonicalize=c)\n"
	    "        open('signed.%s.r%d' % (name[3:], n), 'wb').write(sig)\n"
	    "        sig = dkim.sign(data, b'e1', b'example.org', ed, canonicalize=c,\n"
	    "                        signature_algorithm=b'ed25519-sha256')\n"
	    "        open('signed.%s.e%d' % (name[3:], n), 'wb').write(sig)\n";
	struct world *world = *state;
	const char *python = find_python();
	unsigned char raw[32], encoded[64];
	size_t len = sizeof(raw);

	if (python == NULL) {
		print_message("# SKIPPED: python3-dkim and python3-nacl are not installed\n");
		skip();
	}
	write_zone(world);
	write_text(world, "rsa.pem", world->rsa_pem);
	assert_int_equal(EVP_PKEY_get_raw_private_key(world->ed, raw, &len), 1);
	EVP_EncodeBlock(encoded, raw, 32);
	write_text(world, "ed.b64", (char *)encoded);
	for (size_t i = 0; i < N(round_trips); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);

		write_text(world, mem_printf(ctx, "in.%02zu", i), mem_printf(ctx, "%s\r\n%s",
		    crlf(ctx, round_trips[i].header), crlf(ctx, round_trips[i].body)));
		talloc_free(ctx);
	}
	assert_int_equal(run_python(world, python, script), 0);

	for (size_t i = 0; i < N(round_trips); i++) {
		for (int j = 0; j < 8; j++) {
			TALLOC_CTX *ctx = mem_new(NULL, char);
			char *name = mem_printf(ctx, "signed.%02zu.%c%d", i, "re"[j / 4], j % 4);
			char *signature = read_text(world, ctx, name), *out = signature;
			size_t n;

			for (char *p = signature; *p != '\0'; p++)
				if (*p != '\r')
					*out++ = *p;
			*out = '\0';

			struct dkim_fact *facts = verify(world, ctx,
			    mem_printf(ctx, "%s%s", signature, round_trips[i].header),
			    crlf(ctx, round_trips[i].body), &n);

			assert_int_equal(n, 1);
			expect(mem_printf(ctx, "%s, %s", round_trips[i].label, name), &facts[0],
			    DKIM_IS_PASS, NULL);
			talloc_free(ctx);
		}
	}
}

/*
 * Signatures that libopendkim cannot read, made by a signer of its own: blanks around "b =", a tag
 * that ends in b, UTF-8 in d=, s= and i= (RFC 8616), and DKIM-Signature in h=.
 */
static void
test_unreadable(void **state)
{
	static const char script[] =
	    "import sys, base64, hashlib, re\n"
	    "sys.path.append('/usr/lib/python3/dist-packages')\n"
	    "from dkim.crypto import parse_pem_private_key, RSASSA_PKCS1_v1_5_sign\n"
	    "import nacl.signing\n"
	    "rsa = parse_pem_private_key(open('rsa.pem', 'rb').read())\n"
	    "ed = nacl.signing.SigningKey(base64.b64decode(open('ed.b64', 'rb').read()))\n"
	    "def canon(field, relaxed):\n"
	    "    name, value = field.split(b':', 1)\n"
	    "    if not relaxed: return field.replace(b'\\n', b'\\r\\n')\n"
	    "    value = re.sub(rb'[ \\t]+', b' ', value.replace(b'\\n', b'')).strip(b' ')\n"
	    "    return name.strip(b' \\t').lower() + b':' + value\n"
	    "base = open('base', 'rb').read().rstrip(b'\\n')\n"
	    "fields = re.split(rb'\\n(?![ \\t])', base)\n"
	    "bh = base64.b64encode(hashlib.sha256(b'x\\r\\n').digest())\n"
	    "rows = [l.split(b'|') for l in open('rows', 'rb').read().split(b'\\1') if l]\n"
	    "for i, (algorithm, c, tags, blank, over) in enumerate(rows):\n"
	    "    head = [over] + fields if over else fields\n"
	    "    tags = tags.replace(b'BH', bh).replace(b'ALG', algorithm).replace(b'CANON', c)\n"
	    "    sig = b'DKIM-Signature: ' + tags + b' b' + blank\n"
	    "    data, used = b'', set()\n"
	    "    for name in re.search(rb'h=([^;]*)', tags).group(1).split(b':'):\n"
	    "        for n in range(len(head) - 1, -1, -1):\n"
	    "            mine = head[n].split(b':', 1)[0].strip().lower()\n"
	    "            if n not in used and mine == name.strip().lower():\n"
	    "                used.add(n); data += canon(head[n], c == b'relaxed') + b'\\r\\n'; break\n"
	    "    data += canon(sig, c == b'relaxed') if c == b'simple' else "
	    "canon(sig + b'X', True)[:-1].rstrip(b' ')\n"
	    "    h = hashlib.sha256(data)\n"
	    "    if algorithm == b'rsa-sha256': b = RSASSA_PKCS1_v1_5_sign(h, rsa)\n"
	    "    else: b = ed.sign(h.digest()).signature\n"
	    "    out = sig + b'\\n ' + base64.b64encode(b) + b'\\n' + b'\\n'.join(head) + b'\\n'\n"
	    "    open('odd.%d' % i, 'wb').write(out)\n";
	static const struct {
		const char *label, *algorithm, *canon, *tags, *blank, *over;
	} rows[] = {
		{ "plain", "rsa-sha256", "relaxed", "v=1; a=ALG; c=CANON; d=example.org; s=r1; h=from:subject; bh=BH;", "=", "" },
		{ "a space", "rsa-sha256", "relaxed", "v=1; a=ALG; c=CANON; d=example.org; s=r1; h=from:subject; bh=BH;", " =", "" },
		{ "a fold", "rsa-sha256", "simple", "v=1; a=ALG; c=CANON; d=example.org; s=r1; h=from:subject; bh=BH;", "\n\t =", "" },
		{ "xb", "rsa-sha256", "relaxed", "v=1; xb=1/2; a=ALG; c=CANON; d=example.org; s=r1; h=from:subject; bh=BH;", "=", "" },
		{ "xb, simple", "ed25519-sha256", "simple", "v=1; a=ALG; c=CANON; d=example.org; s=e1; h=from:subject; web =3; bh=BH;", "=", "" },
		{ "i in UTF-8", "rsa-sha256", "relaxed", "v=1; a=ALG; c=CANON; d=example.org; s=r1; i=j\xc3\xbcrgen@m\xc3\xbcller.example.org; h=from:subject; bh=BH;", "=", "" },
		{ "d and s in UTF-8", "rsa-sha256", "simple", "v=1; a=ALG; c=CANON; d=m\xc3\xbcller.example; s=\xc3\xa9t\xc3\xa9; h=from:subject; bh=BH;", "=", "" },
		{ "over a sha1 signature", "rsa-sha256", "relaxed", "v=1; a=ALG; c=CANON; d=example.org; s=r1; h=from:DKIM-Signature:subject; bh=BH;", "=", "DKIM-Signature: v=1; a=rsa-sha1; d=example.org; s=r1; h=from; bh=BH; b=AAAA" },
		{ "over rubbish", "ed25519-sha256", "simple", "v=1; a=ALG; c=CANON; d=example.org; s=e1; h=from:dkim-signature:subject; bh=BH;", "=", "DKIM-Signature: rubbish" },
	};
	struct world *world = *state;
	const char *python = find_python();
	TALLOC_CTX *ctx = mem_new(NULL, char);
	char *text = mem_strdup(ctx, "");
	unsigned char raw[32], encoded[64];
	size_t len = sizeof(raw), n;

	if (python == NULL) {
		print_message("# SKIPPED: python3-dkim and python3-nacl are not installed\n");
		skip();
	}
	zone_put(&world->zone, "xn--t-9fab._domainkey.xn--mller-kva.example", DNS_OK,
	    world->rsa_record);
	write_text(world, "rsa.pem", world->rsa_pem);
	write_text(world, "base", BASE);
	assert_int_equal(EVP_PKEY_get_raw_private_key(world->ed, raw, &len), 1);
	EVP_EncodeBlock(encoded, raw, 32);
	write_text(world, "ed.b64", (char *)encoded);
	for (size_t i = 0; i < N(rows); i++) {
		text = mem_check(talloc_asprintf_append(text, "%s|%s|%s|%s|%s\001",
		    rows[i].algorithm, rows[i].canon, rows[i].tags, rows[i].blank, rows[i].over));
	}
	write_text(world, "rows", text);
	assert_int_equal(run_python(world, python, script), 0);
	for (size_t i = 0; i < N(rows); i++) {
		char *header = read_text(world, ctx, mem_printf(ctx, "odd.%zu", i)), *subject;
		struct dkim_fact *facts = verify(world, ctx, header, "x\r\n", &n);

		expect(rows[i].label, &facts[0], DKIM_IS_PASS, NULL);
		assert_true(facts[0].key_bits >= 256);
		facts = verify(world, ctx, header, "y\r\n", &n);
		expect(rows[i].label, &facts[0], DKIM_IS_FAIL, "body");
		subject = strstr(header, "\nSubject:");
		assert_non_null(subject);
		subject[strlen("\nSubject: ")] ^= 1;
		facts = verify(world, ctx, header, "x\r\n", &n);
		expect(rows[i].label, &facts[0], DKIM_IS_FAIL, "header");
	}
	talloc_free(ctx);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_profile),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_changed_fields),
		cmocka_unit_test(test_mta_completes),
		cmocka_unit_test(test_not_signed),
		cmocka_unit_test(test_signing_bounds),
		cmocka_unit_test(test_key_went_away),
		cmocka_unit_test(test_rfc6376),
		cmocka_unit_test(test_rfc8463),
		cmocka_unit_test(test_canonicalisation),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_key_records),
		cmocka_unit_test(test_strict_subdomain),
		cmocka_unit_test(test_short_key),
		cmocka_unit_test(test_many_signatures),
		cmocka_unit_test(test_expensive),
		cmocka_unit_test(test_more_names_than_fields),
		cmocka_unit_test(test_signed_signatures),
		cmocka_unit_test(test_odd_from),
		cmocka_unit_test(test_wants_body),
		cmocka_unit_test(test_endless_line),
		cmocka_unit_test(test_body_rest),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_keys_are_released),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_dkimpy_verifies),
		cmocka_unit_test(test_dkimpy_signs),
		cmocka_unit_test(test_unreadable),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

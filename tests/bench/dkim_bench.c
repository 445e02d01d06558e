/*
 * dkim_bench.c - what a signature costs beside its cryptography
 *
 * One line a figure: NAME VALUE UNIT. "bare" is OpenSSL alone with a key that is parsed already:
 * the signature over a digest, or the check of one, and the SHA-256 of the octets that a signature
 * covers (header and body). "message" is all that sign.c or verify.c do from the end of the header
 * to the finished field or result, choosing fields and feeding the body in pieces included. Both
 * are measured in turn, in rounds, so that a busy machine is busy for both; figures are medians, in
 * CPU time of the thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "filter/dkim/sign.h"
#include "filter/dkim/verify.h"
#include "policy/base/mem.h"
#include "tests/bench/cpu.h"

#define ROUNDS		15
#define ROUND_US	30000.0	/* CPU time of a round, about */
#define PIECE		65535	/* octets of a body chunk, as MTAs send them */

/* A header as mail programs write it: 18 fields. */
static const char *const fields[][2] = {
	{ "Received", " from client.example (client.example [192.0.2.7])\n\tby mx.example.org with ESMTPSA id 4X1Y2Z;\n\tMon, 2 Nov 2026 10:00:00 +0000" },
	{ "From", " Alice Example <alice@example.org>" },
	{ "To", " Bob <bob@elsewhere.example>, Carol <carol@elsewhere.example>" },
	{ "Cc", " team@elsewhere.example" },
	{ "Subject", " Minutes of the meeting on Monday, and what is to be done until the next one" },
	{ "Date", " Mon, 02 Nov 2026 10:00:00 +0000" },
	{ "Message-ID", " <20261102100000.1234567@client.example>" },
	{ "In-Reply-To", " <20261101100000.7654321@elsewhere.example>" },
	{ "References", " <20261101100000.7654321@elsewhere.example>\n\t<20261031100000.1111111@elsewhere.example>" },
	{ "MIME-Version", " 1.0" },
	{ "Content-Type", " text/plain; charset=utf-8; format=flowed" },
	{ "Content-Transfer-Encoding", " 8bit" },
	{ "User-Agent", " Mail/1.0 (X11; Linux x86_64)" },
	{ "X-Mailer", " Mail 1.0" },
	{ "Content-Language", " en-GB" },
	{ "Organization", " Example" },
	{ "X-Priority", " 3" },
	{ "Importance", " normal" },
};

#define FIELDS	(sizeof(fields) / sizeof(fields[0]))

/* What all measurements share. */
struct world {
	EVP_PKEY *rsa, *ed;
	struct dkim_service *service;
	struct keyring *keyring;
	struct sign_profile profile;
	struct sign_request requests[2];
	struct signing_rules rules;
	struct header_list *header; /* as it is signed */
	struct header_list *signed_header; /* with the signature that is verified on top */
	char *record;		/* of the key whose signature is verified */
	char *body;
	size_t body_len;
	char *covered;		/* octets for the bare hash: a canonical header */
	size_t covered_len;
	unsigned char signature[512];
	size_t signature_len;
	EVP_PKEY *bare;		/* key of the bare measurements */
	size_t requested;	/* signatures a message, beginning with requests[first] */
	size_t first;
};

static struct dns_answer *
zone_ask(void *state, TALLOC_CTX *ctx, const char *name, size_t len, enum dns_type type,
    int64_t deadline_ms)
{
	struct world *world = state;
	struct dns_answer *answer = mem_new(ctx, struct dns_answer);

	(void)name, (void)len, (void)type, (void)deadline_ms;
	answer->status = DNS_OK;
	answer->count = 1;
	answer->records = mem_new(answer, struct dns_record);
	answer->records[0] =
	    (struct dns_record){ (const unsigned char *)world->record, strlen(world->record), 0 };
	return answer;
}

/* require - the bench itself must work */
static void
require(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "dkim_bench: %s\n", what);
	exit(EXIT_FAILURE);
}

/* --- what is measured -------------------------------------------------- */

/* hash_covered - the digest of header and body, as every signature needs it */
static void
hash_covered(const struct world *world, unsigned char digest_r[32])
{
	unsigned int n;

	require(EVP_Digest(world->body, world->body_len, digest_r, &n, EVP_sha256(), NULL) == 1 &&
		EVP_Digest(world->covered, world->covered_len, digest_r, &n, EVP_sha256(), NULL) ==
		    1,
	    "SHA-256");
}

static void
sign_bare(struct world *world)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char digest[32];

	world->signature_len = sizeof(world->signature);
	if (EVP_PKEY_get_base_id(world->bare) == EVP_PKEY_ED25519) {
		hash_covered(world, digest);
		require(EVP_DigestSignInit(md, NULL, NULL, NULL, world->bare) == 1 &&
			EVP_DigestSign(md, world->signature, &world->signature_len, digest,
			    sizeof(digest)) == 1,
		    "sign");
	} else {
		EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(world->bare, NULL);

		hash_covered(world, digest);
		require(EVP_PKEY_sign_init(ctx) == 1 &&
			EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
			EVP_PKEY_sign(ctx, world->signature, &world->signature_len, digest,
			    sizeof(digest)) == 1,
		    "sign");
		EVP_PKEY_CTX_free(ctx);
	}
	EVP_MD_CTX_free(md);
}

static void
verify_bare(struct world *world)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char digest[32];

	hash_covered(world, digest);
	if (EVP_PKEY_get_base_id(world->bare) == EVP_PKEY_ED25519) {
		require(EVP_DigestVerifyInit(md, NULL, NULL, NULL, world->bare) == 1 &&
			EVP_DigestVerify(md, world->signature, world->signature_len, digest,
			    sizeof(digest)) == 1,
		    "verify");
	} else {
		EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(world->bare, NULL);

		require(EVP_PKEY_verify_init(ctx) == 1 &&
			EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
			EVP_PKEY_verify(ctx, world->signature, world->signature_len, digest,
			    sizeof(digest)) == 1,
		    "verify");
		EVP_PKEY_CTX_free(ctx);
	}
	EVP_MD_CTX_free(md);
}

/* sign_one - a message's signatures; their values on ctx */
static const char **
sign_one(struct world *world, TALLOC_CTX *ctx)
{
	struct sign_choice choice = { .outcome = OUTCOME_PASS, .domain = "example.org",
	    .requests = world->requests + world->first, .n = world->requested };
	struct sign_plan *plan = signing_plan(ctx, &world->rules, "example.org", world->header);
	struct dkim_signing *signing =
	    dkim_sign_start(ctx, world->service, &choice, plan, world->header);
	const char **values = NULL;
	struct sign_fact fact;

	for (size_t i = 0; i < world->body_len; i += PIECE)
		dkim_sign_body(signing, world->body + i,
		    world->body_len - i < PIECE ? world->body_len - i : PIECE);
	dkim_sign_finish(signing, ctx, &fact, &values);
	require(fact.outcome == OUTCOME_PASS, fact.problem != NULL ? fact.problem : "not signed");
	return values;
}

static void
sign_message(struct world *world)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);

	(void)sign_one(world, ctx);
	talloc_free(ctx);
}

static void
verify_message(struct world *world)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct dkim_verification *v =
	    dkim_verify_start(ctx, world->service, world->signed_header, "example.org");
	struct dkim_fact *facts;
	size_t n;

	for (size_t i = 0; i < world->body_len; i += PIECE)
		dkim_verify_body(
		    v, world->body + i, world->body_len - i < PIECE ? world->body_len - i : PIECE);
	dkim_verify_finish(v, ctx, INT64_MAX, &facts, &n);
	require(n == 1 && facts[0].result == DKIM_IS_PASS,
	    n == 1 && facts[0].problem != NULL ? facts[0].problem : "no pass");
	talloc_free(ctx);
}

/* --- measuring --------------------------------------------------------- */

/* time_of - one round: CPU time of a call */
static double
time_of(struct world *world, void (*call)(struct world *), size_t calls)
{
	double start = cpu_us();

	for (size_t i = 0; i < calls; i++)
		call(world);
	return (cpu_us() - start) / (double)calls;
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* median - of ROUNDS values */
static double
median(double *values)
{
	qsort(values, ROUNDS, sizeof(values[0]), compare_doubles);
	return values[ROUNDS / 2];
}

/* calls_of - how many calls make a round */
static size_t
calls_of(struct world *world, void (*call)(struct world *))
{
	double us = time_of(world, call, 20);

	return us >= ROUND_US ? 1 : (size_t)(ROUND_US / us) + 1;
}

/* compare - a message beside the bare cryptography, in turn */
static void
compare(struct world *world, const char *name, void (*bare)(struct world *),
    void (*message)(struct world *))
{
	size_t bare_calls = calls_of(world, bare), message_calls = calls_of(world, message);
	double bares[ROUNDS], messages[ROUNDS], ratios[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++) {
		bares[i] = time_of(world, bare, bare_calls);
		messages[i] = time_of(world, message, message_calls);
		ratios[i] = messages[i] / bares[i];
	}
	printf("dkim-%s-bare %.1f us\n", name, median(bares));
	printf("dkim-%s-message %.1f us\n", name, median(messages));
	printf("dkim-%s-ratio %.2f times\n", name, median(ratios));
}

/* --- the world --------------------------------------------------------- */

/* write_key - a key file; its path */
static char *
write_key(TALLOC_CTX *ctx, const char *dir, const char *name, EVP_PKEY *key)
{
	char *path = mem_printf(ctx, "%s/%s", dir, name);
	FILE *file = fopen(path, "w");

	require(file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	    fclose(file) == 0, "no key file");
	return path;
}

/* ed_record - the record of an Ed25519 key (RFC 8463 section 4) */
static char *
ed_record(TALLOC_CTX *ctx, EVP_PKEY *key)
{
	unsigned char raw[32], text[64];
	size_t len = sizeof(raw);

	require(EVP_PKEY_get_raw_public_key(key, raw, &len) == 1, "no public key");
	EVP_EncodeBlock(text, raw, (int)len);
	return mem_printf(ctx, "v=DKIM1; k=ed25519; p=%s", (char *)text);
}

/* rsa_record - the record of an RSA key */
static char *
rsa_record(TALLOC_CTX *ctx, EVP_PKEY *key)
{
	unsigned char text[1024], *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	require(len > 0 && len < 700, "no public key");
	EVP_EncodeBlock(text, der, len);
	OPENSSL_free(der);
	return mem_printf(ctx, "v=DKIM1; k=rsa; p=%s", (char *)text);
}

/* make_world - keys, keyring, library, header; the directory of the keys is removed again */
static struct world *
make_world(void)
{
	struct world *world = mem_new(NULL, struct world);
	struct keyring_options options = { .uid = geteuid(), .gid = getegid() };
	struct dkim_options dkim = { .dns = { .ask = zone_ask, .state = world } };
	struct keyring_report report = { .ctx = world };
	char dir[] = "/tmp/dkim_bench.XXXXXX";
	const char *error = NULL;
	struct keyring_key *keys = mem_array(world, struct keyring_key, 2);

	umask(0077);
	require(mkdtemp(dir) != NULL, "no directory");
	world->rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	world->ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	char *rsa = write_key(world, dir, "rsa", world->rsa),
	     *ed = write_key(world, dir, "ed", world->ed);

	world->keyring = keyring_new(world, &options);
	keys[0] = keyring_add_file(world->keyring, "example.org", "rsa", rsa, &report);
	keys[1] = keyring_add_file(world->keyring, "example.org", "ed", ed, &report);
	require(report.errors == NULL, "a key is not taken");
	unlink(rsa);
	unlink(ed);
	rmdir(dir);
	for (size_t i = 0; i < 2; i++)
		world->requests[i] = (struct sign_request){ &keys[i], NULL, &world->profile };
	world->service = dkim_service_new(world, &dkim, &error);
	require(world->service != NULL, error);
	signing_rules_default(&world->rules);
	world->header = header_list_new(world, 1024 * 1024);
	world->covered = mem_strdup(world, "");
	for (size_t i = 0; i < FIELDS; i++) {
		header_append(world->header, fields[i][0], strlen(fields[i][0]), fields[i][1],
		    strlen(fields[i][1]));
		if (i > 0 && i < 12)
			world->covered = mem_printf(
			    world, "%s%s:%s\r\n", world->covered, fields[i][0], fields[i][1] + 1);
	}
	/* and the signature's own field */
	world->covered_len = strlen(world->covered) + 400;
	world->covered = mem_grow(world, world->covered, char, world->covered_len);
	memset(world->covered + world->covered_len - 400, 'x', 400);
	return world;
}

/* set_body - text in lines of 72 octets */
static void
set_body(struct world *world, size_t len)
{
	talloc_free(world->body);
	world->body = mem_array(world, char, len + 1);
	world->body_len = len;
	for (size_t i = 0; i < len; i++)
		world->body[i] = i % 72 == 70 ? '\r'
		    : i % 72 == 71            ? '\n'
		    : i % 9 == 8              ? ' '
					      : (char)('a' + i % 23);
	world->body[len - 2] = '\r';
	world->body[len - 1] = '\n';
}

/* use_key - which key signs and verifies: 0 RSA, 1 Ed25519 */
static void
use_key(struct world *world, size_t which)
{
	const char **values;

	world->bare = which == 0 ? world->rsa : world->ed;
	world->first = which;
	world->requested = 1;
	world->record = which == 0 ? rsa_record(world, world->rsa) : ed_record(world, world->ed);
	sign_bare(world);
	values = sign_one(world, world);
	talloc_free(world->signed_header);
	world->signed_header = header_list_new(world, 1024 * 1024);
	header_append(world->signed_header, "DKIM-Signature", 14, values[0], strlen(values[0]));
	for (size_t i = 0; i < FIELDS; i++)
		header_append(world->signed_header, fields[i][0], strlen(fields[i][0]),
		    fields[i][1], strlen(fields[i][1]));
}

int
main(int argc, char **argv)
{
	struct world *world = make_world();

	/* a name alone measures that one, for a profiler */
	const char *only = argc > 1 ? argv[1] : NULL;

	set_body(world, 4096);
	use_key(world, 0);
	if (only == NULL || strcmp(only, "sign-rsa2048") == 0)
		compare(world, "sign-rsa2048", sign_bare, sign_message);
	if (only == NULL || strcmp(only, "verify-rsa2048") == 0)
		compare(world, "verify-rsa2048", verify_bare, verify_message);
	use_key(world, 1);
	if (only == NULL || strcmp(only, "sign-ed25519") == 0)
		compare(world, "sign-ed25519", sign_bare, sign_message);
	if (only == NULL || strcmp(only, "verify-ed25519") == 0)
		compare(world, "verify-ed25519", verify_bare, verify_message);
	set_body(world, 1024 * 1024);
	use_key(world, 0);
	if (only == NULL || strcmp(only, "verify-1mb") == 0)
		compare(world, "verify-1mb", verify_bare, verify_message);
	EVP_PKEY_free(world->rsa);
	EVP_PKEY_free(world->ed);
	talloc_free(world);
	return 0;
}

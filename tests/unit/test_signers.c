/*
 * test_signers.c - which keys sign: the plain layout, the tables, what single domains want
 *
 * Each case is a configuration file, files beside it, and addresses with what
 * should become of their mail, written as "domain/selector(i=...)".
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
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "filter/config/load.h"
#include "filter/dkim/signers.h"
#include "policy/base/mem.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

/* One test's directory and keys. */
struct world {
	char *dir;
	EVP_PKEY *rsa, *ed;
	char *base64;		/* rsa, as a KeyTable has it */
};

static int
set_up(void **state)
{
	struct world *world = mem_new(NULL, struct world);
	char template[] = "/tmp/test_signers.XXXXXX";
	unsigned char *der = NULL;

	umask(0077);
	world->dir = mem_strdup(world, mkdtemp(template));
	world->rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	world->ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	int len = i2d_PrivateKey(world->rsa, &der);

	world->base64 = mem_array(world, char, (size_t)len * 2);
	EVP_EncodeBlock((unsigned char *)world->base64, der, len);
	OPENSSL_free(der);
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *world = *state;
	int status = system(mem_printf(world, "rm -rf %s", world->dir));

	EVP_PKEY_free(world->rsa);
	EVP_PKEY_free(world->ed);
	talloc_free(world);
	return status;
}

/* put - a file below the directory, with the directories it needs; text's @ is the directory */
static void
put(struct world *world, const char *name, const char *text, mode_t mode)
{
	char *path = mem_printf(world, "%s/%s", world->dir, name);
	FILE *file;

	for (char *p = strchr(path + strlen(world->dir) + 1, '/'); p != NULL;
	     p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	file = fopen(path, "w");
	assert_non_null(file);
	for (; *text != '\0'; text++)
		if (*text == '@' && text[1] == '/')
			fputs(world->dir, file);
		else
			fputc(*text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* put_key - a key file */
static void
put_key(struct world *world, const char *name, EVP_PKEY *key)
{
	FILE *file;

	put(world, name, "", 0600);
	file = fopen(mem_printf(world, "%s/%s", world->dir, name), "w");
	assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(fclose(file), 0);
}

/* fresh - an empty directory again */
static void
fresh(struct world *world)
{
	assert_int_equal(system(mem_printf(world, "rm -rf %s/*", world->dir)), 0);
}

/* load_config - the configuration in a text, in which "@/" is the directory */
static struct config *
load_config(struct world *world, TALLOC_CTX *ctx, const char *text)
{
	const char *error = NULL;
	struct config *config;

	put(world, "conf", mem_printf(world, "listen = \"inet:127.0.0.1:8891\"\n%s\n", text), 0600);
	config = config_load(ctx, mem_printf(ctx, "%s/conf", world->dir), &error);
	if (config == NULL)
		fail_msg("%s", error);
	return config;
}

/* try_load - the keys of a configuration, or NULL with the error */
static struct signers *
try_load(struct world *world, TALLOC_CTX *ctx, const char *text, const char **warnings_r,
    const char **error_r)
{
	const struct keyring_options options = { .uid = geteuid(), .gid = getegid() };
	struct config *config = load_config(world, ctx, text);

	*warnings_r = *error_r = NULL;
	return signers_load(ctx, config, &options, warnings_r, error_r);
}

static struct signers *
load(struct world *world, TALLOC_CTX *ctx, const char *text)
{
	const char *warnings, *error;
	struct signers *signers = try_load(world, ctx, text, &warnings, &error);

	if (signers == NULL)
		fail_msg("%s", error);
	return signers;
}

/* chosen - the choice in words: signatures, or "missing DOMAIN", or "none" */
static char *
chosen(TALLOC_CTX *ctx, const struct signers *signers, const char *address, const char *sign_as)
{
	struct sign_choice choice;
	char *text = mem_strdup(ctx, "");

	signers_choose(ctx, signers, address, sign_as, &choice);
	if (choice.outcome == OUTCOME_NONE)
		return mem_strdup(ctx, "none");
	if (choice.outcome == OUTCOME_FAIL) {
		assert_non_null(choice.problem);
		return mem_printf(ctx, "missing %s", choice.domain);
	}
	for (size_t i = 0; i < choice.n; i++) {
		const struct sign_request *request = &choice.requests[i];
		struct keyring_ready ready;
		const char *error = NULL;

		text = mem_printf(ctx, "%s%s%s/%s", text, i > 0 ? " " : "", request->key->domain,
		    request->key->selector);
		if (request->identity != NULL)
			text = mem_printf(ctx, "%s(i=%s)", text, request->identity);
		if (keyring_ready(ctx, request->key, &ready, &error) != 0)
			text = mem_printf(ctx, "%s!", text);
	}
	return text;
}

/* An address and what should become of its mail. */
struct expectation {
	const char *label, *address, *sign_as, *what;
};

/* check - every expectation */
static void
check(TALLOC_CTX *ctx, const struct signers *signers, const struct expectation *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *got = chosen(ctx, signers, rows[i].address, rows[i].sign_as);

		if (strcmp(got, rows[i].what) != 0)
			fail_msg("%s: %s: \"%s\" instead of \"%s\"", rows[i].label, rows[i].address,
			    got, rows[i].what);
	}
}

static void
test_plain(void **state)
{
	static const struct expectation rows[] = {
		{ "own keys", "x@a.example", NULL, "a.example/r a.example/e" },
		{ "a domain below without the option", "x@sub.a.example", NULL, "missing sub.a.example" },
		{ "a domain below with it", "x@deep.sub.b.example", NULL, "b.example/r" },
		{ "one that has keys of its own", "x@own.b.example", NULL, "own.b.example/r" },
		{ "one that only ends alike", "x@xb.example", NULL, "missing xb.example" },
		{ "no keys", "x@c.example", NULL, "missing c.example" },
		{ "sign_as itself", "x@a.example", "a.example", "a.example/r a.example/e" },
		{ "sign_as above", "x@sub.a.example", "a.example", "a.example/r a.example/e" },
		{ "sign_as another", "x@a.example", "b.example", "none" },
		{ "sign_as below", "x@b.example", "own.b.example", "none" },
		{ "sign_as without a key does not go up", "x@n.b.example", "n.b.example", "missing n.b.example" },
		{ "a literal", "x@[192.0.2.1]", NULL, "none" },
		{ "no domain", "x", NULL, "none" },
		{ "A-labels", "x@xn--mller-kva.example", NULL, "xn--mller-kva.example/r" },
		{ "i= of a domain", "joe@i.example", NULL, "i.example/r(i=@i.example)" },
		{ "i= of a domain below", "joe@x.i.example", NULL, "i.example/r(i=@x.i.example)" },
		{ "i= of an address", "joe@j.example", NULL, "j.example/r(i=joe@j.example)" },
		{ "i= of an address that cannot stand there", "\"jo e\"@j.example", NULL, "j.example/r(i=@j.example)" },
		{ "i= without ASCII", "jos\xc3\xa9@j.example", NULL, "j.example/r(i=@j.example)" },
	};
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct signers *signers;

	fresh(world);
	put_key(world, "keys/a.example/r.pem", world->rsa);
	put_key(world, "keys/a.example/e.pem", world->ed);
	put_key(world, "keys/b.example/r.pem", world->rsa);
	put_key(world, "keys/own.b.example/r.pem", world->rsa);
	put_key(world, "keys/xn--mller-kva.example/r.pem", world->rsa);
	put_key(world, "keys/i.example/r.pem", world->rsa);
	put_key(world, "keys/j.example/r.pem", world->rsa);
	signers = load(world, ctx, "keys = \"@/keys\"  dkim = { domains = (\n"
	    " { domain = \"b.example\"  subdomains = true },\n"
	    " { domain = [\"I.Example.\"]  identity = \"domain\"  subdomains = true },\n"
	    " { domain = [\"j.example\", \"k.example\"]  identity = \"address\" } ) }");
	check(ctx, signers, rows, N(rows));
	assert_true(signers_know(signers, "a.example"));
	assert_false(signers_know(signers, "c.example"));
	assert_int_equal(signers_keys(signers), 7);
	talloc_free(ctx);
}

/* What single domains want, and what all do. */
static void
test_profiles(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct sign_choice choice;
	struct signers *signers;

	fresh(world);
	for (int i = 0; i < 3; i++)
		put_key(world, mem_printf(ctx, "keys/%c.example/r.pem", 'a' + i), world->rsa);
	signers = load(world, ctx,
	    "keys = \"@/keys\"  dkim = { canonicalization = \"relaxed/simple\"\n"
	    " expire_after = \"5 days\"  domains = (\n"
	    " { domain = \"b.example\"  expire_after = \"2 hours\"  on_missing_key = \"reject\" },\n"
	    " { domain = \"c.example\"  canonicalization = \"simple\"  on_missing_key = \"tempfail\" } ) }");
	signers_choose(ctx, signers, "x@a.example", NULL, &choice);
	assert_int_equal(choice.requests[0].profile->ttl, 5 * 86400);
	assert_false(choice.requests[0].profile->simple_header);
	assert_true(choice.requests[0].profile->simple_body);
	assert_int_equal(choice.on_missing_key, -1);
	signers_choose(ctx, signers, "x@b.example", NULL, &choice);
	assert_int_equal(choice.requests[0].profile->ttl, 7200);
	assert_true(choice.requests[0].profile->simple_body);
	assert_int_equal(choice.on_missing_key, ACTION_REJECT);
	signers_choose(ctx, signers, "x@c.example", NULL, &choice);
	assert_int_equal(choice.requests[0].profile->ttl, 5 * 86400);
	assert_true(choice.requests[0].profile->simple_header);
	assert_int_equal(choice.on_missing_key, ACTION_TEMPFAIL);
	talloc_free(ctx);
}

#define TABLES	"dkim = { key_table = \"@/KeyTable\"  signing_table = \"refile:@/SigningTable\" "

static void
test_tables(void **state)
{
	static const struct expectation first[] = {
		{ "one line", "x@a.example", NULL, "a.example/r" },
		{ "the first of two", "vip@a.example", NULL, "a.example/v" },
		{ "no line", "x@none.example", NULL, "none" },
		{ "a path with %", "x@p.example", NULL, "p.example/sel" },
		{ "and without the file", "x@q.p.example", NULL, "q.p.example/sel!" },
		{ "a key in the table", "x@inline.example", NULL, "inline.example/i" },
		{ "the same for any domain", "x@sub.inline.example", NULL, "sub.inline.example/any" },
		{ "a relative path", "x@rel.example", NULL, "rel.example/rel" },
		{ "another domain's key: the administrator says so", "x@customer.example", NULL, "a.example/r" },
		{ "i= that fits", "x@id.example", NULL, "id.example/r(i=boss@id.example)" },
		{ "i= of another domain is left out", "x@wrong.example", NULL, "a.example/r" },
		{ "U-label in the table", "x@xn--mller-kva.example", NULL, "xn--mller-kva.example/r" },
		{ "sign_as the same domain", "x@a.example", "a.example", "a.example/r" },
		{ "sign_as what the table does not say", "x@customer.example", "customer.example", "none" },
		{ "sign_as another", "x@a.example", "customer.example", "none" },
		{ "a literal", "x@[192.0.2.1]", NULL, "none" },
	};
	static const struct expectation all[] = {
		{ "one line", "x@a.example", NULL, "a.example/r" },
		{ "two lines", "vip@a.example", NULL, "a.example/v a.example/r" },
	};
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);

	fresh(world);
	for (int i = 0; i < 3; i++)
		put_key(world, mem_printf(ctx, "k/%d", i), world->rsa);
	put_key(world, "by/p.example/x.pem", world->rsa);
	put(world, "KeyTable",
	    mem_printf(ctx,
		"a a.example:r:@/k/0\nv a.example:v:@/k/1\n"
		"p %%:sel:@/by/%%/x.pem\ni inline.example:i:%s\nany %%:any:%s\nrel rel.example:rel:./k/2\n"
		"id id.example:r:@/k/0\nmu m\xc3\xbcller.example:r:@/k/0\n",
		world->base64, world->base64),
	    0600);
	put(world, "SigningTable",
	    "vip@a.example v\n*@a.example a\n*@p.example p\n*@*.p.example p\n"
	    "*@inline.example i\n*@sub.inline.example any\n*@rel.example rel\n*@customer.example a\n"
	    "*@id.example id:boss@%\n*@wrong.example a:boss@%\n*@m\xc3\xbcller.example mu\n",
	    0644);
	check(ctx, load(world, ctx, TABLES "base_directory = \"@/\" }"), first, N(first));
	check(ctx, load(world, ctx, TABLES "base_directory = \"@/\"  multiple_signatures = true }"),
	    all, N(all));
	talloc_free(ctx);
}

/* What stops the start, and what does not once it is said what becomes of the mail. */
static void
test_unusable(void **state)
{
	static const struct {
		const char *label, *keys, *signing, *what;
		mode_t mode;
	} rows[] = {
		{ "no such file", "a a.example:r:@/nokey\n", "*@a.example a\n", "nokey: No such file", 0600 },
		{ "open to all", "a a.example:r:@/k/open\n", "*@a.example a\n", "k/open: mode 0644", 0600 },
		{ "rubbish", "a a.example:r:@/k/bad\n", "*@a.example a\n", "k/bad: holds no private key", 0600 },
		{ "a key in the table that is none", "a a.example:r:MIIBroken\n", "*@a.example a\n",
		    "KeyTable:1: holds no private key", 0600 },
		{ "a relative path", "a a.example:r:./k/bad\n", "*@a.example a\n", "KeyTable:1: ./k/bad is not an absolute", 0600 },
		{ "a name that is not there", "b a.example:r:@/k/0\n", "*@a.example a\n",
		    "SigningTable:1: *@a.example: the KeyTable has no key named a", 0600 },
		{ "a broken line", "a a.example:r\n", "*@a.example a\n", "KeyTable:1: a needs three values", 0600 },
	};
	struct world *world = *state;

	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = mem_new(NULL, char);
		const char *warnings, *error;
		struct signers *signers;
		struct sign_choice choice;
		struct keyring_ready ready;

		fresh(world);
		put_key(world, "k/0", world->rsa);
		put_key(world, "k/open", world->rsa);
		assert_int_equal(chmod(mem_printf(ctx, "%s/k/open", world->dir), 0644), 0);
		put(world, "k/bad", "hello\n", 0600);
		put(world, "KeyTable", rows[i].keys, rows[i].mode);
		put(world, "SigningTable", rows[i].signing, 0644);
		signers = try_load(world, ctx, TABLES "}", &warnings, &error);
		if (signers != NULL || strstr(error, rows[i].what) == NULL)
			fail_msg("%s: %s", rows[i].label, signers != NULL ? "was taken" : error);

		signers = try_load(
		    world, ctx, TABLES "on_missing_key = \"tempfail\" }", &warnings, &error);
		if (signers == NULL || warnings == NULL || strstr(warnings, rows[i].what) == NULL)
			fail_msg("%s: %s", rows[i].label,
			    signers == NULL        ? error
				: warnings == NULL ? "-"
						   : warnings);
		signers_choose(ctx, signers, "x@a.example", NULL, &choice);
		if (choice.outcome == OUTCOME_PASS)
			assert_int_equal(
			    keyring_ready(ctx, choice.requests[0].key, &ready, &error), -1);
		else
			assert_int_equal(choice.outcome, OUTCOME_FAIL);
		talloc_free(ctx);
	}
}

/* One domain may do without its key; that does not excuse the others. */
static void
test_tolerated(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	const char *warnings, *error;
	const char *text =
	    "keys = \"@/keys\"  dkim = { domains = ( { domain = \"a.example\"  on_missing_key = \"unsigned\" } ) }";

	fresh(world);
	put(world, "keys/a.example/r.pem", "hello\n", 0600);
	put_key(world, "keys/b.example/r.pem", world->rsa);
	assert_non_null(try_load(world, ctx, text, &warnings, &error));
	assert_non_null(strstr(warnings, "a.example/r.pem: holds no private key"));
	put(world, "keys/b.example/r.pem", "hello\n", 0600);
	assert_null(try_load(world, ctx, text, &warnings, &error));
	assert_non_null(strstr(error, "b.example/r.pem"));
	assert_null(strstr(error, "a.example/r.pem"));
	talloc_free(ctx);
}

/* Whoever may write to the tables may sign as anybody; whoever may read keys in them too. */
static void
test_table_files(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	const char *warnings, *error;

	fresh(world);
	put_key(world, "k/0", world->rsa);
	put(world, "KeyTable", "a a.example:r:@/k/0\n", 0644);
	put(world, "SigningTable", "*@a.example a\n", 0644);
	assert_non_null(try_load(world, ctx, TABLES "}", &warnings, &error));
	assert_int_equal(chmod(mem_printf(ctx, "%s/SigningTable", world->dir), 0646), 0);
	assert_null(
	    try_load(world, ctx, TABLES "on_missing_key = \"unsigned\" }", &warnings, &error));
	assert_non_null(
	    strstr(error, "SigningTable: others could name other keys there; run: chmod go-w"));
	assert_int_equal(unlink(mem_printf(ctx, "%s/SigningTable", world->dir)), 0);
	assert_null(
	    try_load(world, ctx, TABLES "on_missing_key = \"unsigned\" }", &warnings, &error));
	assert_non_null(strstr(error, "SigningTable: No such file"));
	put(world, "SigningTable", "*@a.example a\n", 0644);
	put(world, "KeyTable", mem_printf(ctx, "a a.example:r:%s\n", world->base64), 0644);
	assert_null(try_load(world, ctx, TABLES "}", &warnings, &error));
	assert_non_null(strstr(error, "this line holds a private key; run: chmod 0640"));
	talloc_free(ctx);
}

/* More files than are kept: each still signs, and the first is read again. */
static void
test_borrowed(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct signers *signers;

	fresh(world);
	put_key(world, "by/d0.example/x.pem", world->ed);
	put(world, "KeyTable", "p %:sel:@/by/%/x.pem\n", 0600);
	put(world, "SigningTable", "* p\n", 0644);
	signers = load(world, ctx, TABLES "}");
	assert_string_equal(chosen(ctx, signers, "x@d0.example", NULL), "d0.example/sel");
	for (int i = 1; i < KEYRING_BORROWED + 50; i++) {
		TALLOC_CTX *message = mem_new(ctx, char);
		struct sign_choice choice;

		signers_choose(
		    message, signers, mem_printf(message, "x@d%d.example", i), NULL, &choice);
		assert_int_equal(choice.outcome, OUTCOME_PASS);
		talloc_free(message);
	}
	assert_string_equal(chosen(ctx, signers, "x@d0.example", NULL), "d0.example/sel");
	/* the choices go before the keys, as a message goes before its snapshot */
	talloc_free_children(ctx);
	talloc_free(ctx);
}

/* One of several threads that sign at once. */
struct signer {
	pthread_t thread;
	const struct signers *signers;
	unsigned int seed;
	size_t bad;
};

/* sign_often - choose keys for many senders, and have each read */
static void *
sign_often(void *arg)
{
	struct signer *signer = arg;

	for (int i = 0; i < 300; i++) {
		TALLOC_CTX *message = mem_new(NULL, char);
		unsigned int which = (signer->seed + (unsigned int)i * 7) % 12;
		struct sign_choice choice;
		struct keyring_ready ready;
		const char *error;

		signers_choose(message, signer->signers,
		    mem_printf(message, "x@d%u.example", which), NULL, &choice);
		/* of the last two there is no file */
		for (size_t k = 0; k < choice.n; k++)
			signer->bad += (keyring_ready(message, choice.requests[k].key, &ready,
					    &error) == 0) != (which < 10 || k > 0);
		signer->bad += choice.n != 2;
		talloc_free(message);
	}
	return NULL;
}

/* Keys that many messages use for the first time at once: those of the table, and those by the
 * sender. */
static void
test_threads(void **state)
{
	struct world *world = *state;
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct signer signers[6] = { 0 };
	struct signers *keys;

	fresh(world);
	for (int i = 0; i < 10; i++)
		put_key(world, mem_printf(ctx, "by/d%d.example/x.pem", i), world->ed);
	put_key(world, "k/0", world->rsa);
	put(world, "KeyTable", "p %:sel:@/by/%/x.pem\nall a.example:r:@/k/0\n", 0600);
	put(world, "SigningTable", "* p\n* all\n", 0644);
	keys =
	    load(world, ctx, TABLES "multiple_signatures = true  on_missing_key = \"unsigned\" }");
	for (size_t i = 0; i < N(signers); i++) {
		signers[i].signers = keys;
		signers[i].seed = (unsigned int)i;
		assert_int_equal(
		    pthread_create(&signers[i].thread, NULL, sign_often, &signers[i]), 0);
	}
	for (size_t i = 0; i < N(signers); i++) {
		assert_int_equal(pthread_join(signers[i].thread, NULL), 0);
		assert_int_equal(signers[i].bad, 0);
	}
	talloc_free(ctx);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_unusable),
		cmocka_unit_test(test_tolerated),
		cmocka_unit_test(test_table_files),
		cmocka_unit_test(test_borrowed),
		cmocka_unit_test(test_threads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

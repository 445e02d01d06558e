/*
 * test_keyring.c - key files: found, checked, refused with the cure, used
 *
 * Runs as any user; what needs another owner's file is tried as root only, and
 * says so otherwise.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

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

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "filter/dkim/key_shortcut.h"
#include "filter/dkim/keyring.h"
#include "policy/base/mem.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

/* One test's directory and keys. */
struct world {
	char *dir;
	EVP_PKEY *rsa512, *rsa1024, *rsa2048, *ed, *ec;
	struct keyring_options options;
};

static int
set_up(void **state)
{
	struct world *world = mem_new(NULL, struct world);

	world->rsa512 = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)512);
	world->rsa1024 = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	world->rsa2048 = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	world->ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	world->ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	world->options = (struct keyring_options){ .uid = geteuid(), .gid = getegid() };
	umask(0077);
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *world = *state;

	EVP_PKEY_free(world->rsa512);
	EVP_PKEY_free(world->rsa1024);
	EVP_PKEY_free(world->rsa2048);
	EVP_PKEY_free(world->ed);
	EVP_PKEY_free(world->ec);
	talloc_free(world);
	return 0;
}

/* fresh - an empty key directory */
static void
fresh(struct world *world)
{
	char template[] = "/tmp/test_keyring.XXXXXX";

	assert_non_null(mkdtemp(template));
	world->dir = mem_strdup(world, template);
}

static void
done(struct world *world)
{
	char *command = mem_printf(world, "rm -rf %s", world->dir);

	assert_int_equal(system(command), 0);
}

/* path_of - a path below the directory; its directory is made */
static char *
path_of(struct world *world, const char *name)
{
	char *path = mem_printf(world, "%s/%s", world->dir, name), *slash = strrchr(path, '/');

	*slash = '\0';
	mkdir(path, 0700);
	*slash = '/';
	return path;
}

/* put_key - a key file of this mode */
static char *
put_key(struct world *world, const char *name, EVP_PKEY *key, mode_t mode)
{
	char *path = path_of(world, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

/* put_text - a file with this in it */
static void
put_text(struct world *world, const char *name, const char *text)
{
	FILE *file = fopen(path_of(world, name), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* load - the keyring, which must load */
static struct keyring *
load(struct world *world, const char **warnings_r)
{
	const char *error = NULL, *warnings = NULL;
	struct keyring *keyring = keyring_load(world, world->dir, &world->options,
	    warnings_r != NULL ? warnings_r : &warnings, &error);

	if (keyring == NULL)
		fail_msg("%s", error);
	return keyring;
}

/* refuse - it must not load, for a reason that holds both texts */
static void
refuse(struct world *world, const char *label, const char *what, const char *cure)
{
	const char *error = NULL, *warnings = NULL;
	struct keyring *keyring =
	    keyring_load(world, world->dir, &world->options, &warnings, &error);

	if (keyring != NULL)
		fail_msg("%s: was loaded", label);
	if (strstr(error, what) == NULL || strstr(error, cure) == NULL)
		fail_msg("%s: %s", label, error);
}

static void
test_find(void **state)
{
	struct world *world = *state;
	const struct keyring_domain *domain;
	struct keyring_ready ready;
	struct keyring *keyring;
	const char *error, *warnings;

	fresh(world);
	put_key(world, "example.org/2023.pem", world->rsa2048, 0600);
	put_key(world, "example.org/2024.pem", world->rsa2048, 0640);
	put_key(world, "example.org/ed-1.pem", world->ed, 0400);
	put_key(world, "xn--mller-kva.example/a.b_c.pem", world->rsa2048, 0440);
	put_text(world, "example.org/2023.txt", "v=DKIM1; p=...");
	put_text(world, "example.org/2022.pem.old", "rubbish");
	put_text(world, "example.org/.hidden.pem", "rubbish");
	put_text(world, "README", "not a key");
	put_text(world, "notes.txt", "not a key, though it has the name of a domain");
	assert_int_equal(mkdir(mem_printf(world, "%s/empty.example", world->dir), 0700), 0);
	assert_int_equal(mkdir(mem_printf(world, "%s/.git", world->dir), 0700), 0);

	keyring = load(world, &warnings);
	assert_null(warnings);
	assert_int_equal(keyring_keys(keyring), 4);
	assert_int_equal(keyring_domains(keyring), 2);
	domain = keyring_find(keyring, "example.org");
	assert_non_null(domain);
	assert_int_equal(domain->n, 3);
	assert_string_equal(domain->keys[0].selector, "ed-1");
	assert_string_equal(domain->keys[1].selector, "2024");
	assert_string_equal(domain->keys[2].selector, "2023");
	assert_string_equal(domain->keys[2].domain, "example.org");
	assert_int_equal(keyring_ready(world, &domain->keys[0], &ready, &error), 0);
	assert_int_equal(ready.type, KEYRING_ED25519);
	assert_int_equal(ready.bits, 256);
	assert_int_equal(keyring_ready(world, &domain->keys[1], &ready, &error), 0);
	assert_int_equal(ready.type, KEYRING_RSA);
	assert_int_equal(ready.bits, 2048);

	/* the handle is resolved to that very key */
	EVP_PKEY *key = key_shortcut_key(ready.handle);

	assert_int_equal(EVP_PKEY_eq(key, world->rsa2048), 1);
	EVP_PKEY_free(key);

	domain = keyring_find(keyring, "xn--mller-kva.example");
	assert_non_null(domain);
	assert_string_equal(domain->keys[0].selector, "a.b_c");
	assert_null(keyring_find(keyring, "example.com"));
	assert_null(keyring_find(keyring, "org"));
	assert_null(keyring_find(keyring, "EXAMPLE.org"));
	assert_null(keyring_find(keyring, ""));
	assert_null(keyring_find(keyring, "empty.example"));
	talloc_free(keyring);
	done(world);
}

/* Each file that is refused, with the words that name file and cure. */
static void
test_refused(void **state)
{
	struct world *world = *state;
	const struct {
		const char *label, *name;
		EVP_PKEY *key;		/* or NULL: text */
		const char *text;
		mode_t mode;
		const char *what, *cure;
	} rows[] = {
		{ "world-readable", "a.example/s.pem", world->rsa2048, NULL, 0644, "s.pem: mode 0644", "run: chmod 06" },
		{ "group-writable", "a.example/s.pem", world->rsa2048, NULL, 0660, "s.pem: mode 0660", "chmod" },
		{ "executable", "a.example/s.pem", world->rsa2048, NULL, 0700, "s.pem: mode 0700", "chmod" },
		{ "set-user-id", "a.example/s.pem", world->rsa2048, NULL, 04600, "s.pem: mode 4600", "chmod" },
		{ "short RSA", "a.example/s.pem", world->rsa512, NULL, 0600, "512 bits is too short", "openssl genrsa" },
		{ "EC", "a.example/s.pem", world->ec, NULL, 0600, "neither an RSA nor an Ed25519", "openssl genrsa" },
		{ "empty", "a.example/s.pem", NULL, "", 0600, "has 0 bytes", "PEM" },
		{ "rubbish", "a.example/s.pem", NULL, "hello\n", 0600, "no private key", "-----BEGIN PRIVATE KEY-----" },
		{ "truncated", "a.example/s.pem", NULL, "-----BEGIN PRIVATE KEY-----\nMIIEvQ", 0600, "no private key", "BEGIN" },
		{ "name not a selector", "a.example/s!.pem", world->rsa2048, NULL, 0600, "not a selector", "letters" },
		{ "two dots", "a.example/s..t.pem", world->rsa2048, NULL, 0600, "not a selector", "dots" },
		{ "upper-case domain", "A.Example/s.pem", world->rsa2048, NULL, 0600, "A-labels", "rename it to a.example" },
		{ "U-label domain", "m\xc3\xbcller.example/s.pem", world->rsa2048, NULL, 0600, "A-labels", "xn--mller-kva.example" },
		{ "directory no domain", "a b/s.pem", world->rsa2048, NULL, 0600, "not a domain", "a b" },
		{ "beside the domains", "s.pem", world->rsa2048, NULL, 0600, "next to", "move it to" },
	};

	for (size_t i = 0; i < N(rows); i++) {
		fresh(world);
		put_key(world, "good.example/s.pem", world->rsa2048, 0600);
		if (rows[i].key != NULL) {
			put_key(world, rows[i].name, rows[i].key, rows[i].mode);
		} else {
			put_text(world, rows[i].name, rows[i].text);
			assert_int_equal(chmod(path_of(world, rows[i].name), rows[i].mode), 0);
		}
		refuse(world, rows[i].label, rows[i].what, rows[i].cure);
		done(world);
	}
}

static void
test_refused_otherwise(void **state)
{
	struct world *world = *state;
	FILE *file;
	char *path, *text;

	fresh(world);
	done(world);
	refuse(world, "no directory", "No such file", "must be a directory");

	fresh(world);
	path = path_of(world, "a.example/s.pem");
	assert_int_equal(mkfifo(path, 0600), 0);
	refuse(world, "a FIFO, which must not hang", "not a regular file", "put the key itself");
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	refuse(world, "a directory", "not a regular file", "put the key itself");
	rmdir(path);
	assert_int_equal(symlink("/nowhere", path), 0);
	refuse(world, "a broken link", "s.pem: No such file", "mode 0640");
	unlink(path);

	file = fopen(path, "w");
	assert_int_equal(PEM_write_PrivateKey(file, world->rsa2048, EVP_aes_128_cbc(), NULL, 0,
			     NULL, (void *)(uintptr_t) "secret"),
	    1);
	fclose(file);
	refuse(world, "with a passphrase, for which nobody may be asked", "without a passphrase",
	    "s.pem");

	text = mem_array(world, char, KEYRING_FILE_MAX + 2);
	memset(text, 'x', KEYRING_FILE_MAX + 1);
	put_text(world, "a.example/s.pem", text);
	refuse(world, "huge", "bytes", "PEM");
	unlink(path);

	/* two keys of which one can be used: the file is refused whole, and all files are told
	 * of */
	put_text(world, "a.example/s.pem", "x");
	put_text(world, "b.example/t.pem", "x");
	refuse(world, "two mistakes", "a.example/s.pem", "b.example/t.pem");
	unlink(path);
	unlink(path_of(world, "b.example/t.pem"));

	assert_int_equal(chmod(mem_printf(world, "%s/a.example", world->dir), 0777), 0);
	put_key(world, "a.example/s.pem", world->rsa2048, 0600);
	refuse(world, "directory open to all", "others could put keys there", "chmod go-w");
	assert_int_equal(chmod(mem_printf(world, "%s/a.example", world->dir), 0700), 0);
	assert_int_equal(chmod(world->dir, 0722), 0);
	refuse(world, "top directory open to all", "others could put keys there", "chmod go-w");
	assert_int_equal(chmod(world->dir, 0755), 0);
	talloc_free(load(world, NULL));

	for (int i = 0; i < KEYRING_DOMAIN_KEYS; i++)
		put_key(world, mem_printf(world, "a.example/t%d.pem", i), world->ed, 0600);
	refuse(world, "too many", "8 are the most", "remove the old ones");
	done(world);

	fresh(world);
	for (int i = 0; i < 50; i++)
		put_text(world, mem_printf(world, "d%d.example/s.pem", i), "x");
	refuse(world, "fifty mistakes", "PRIVATE KEY", "(and more)");
	done(world);
}

/* Owners and groups, which only root can set. */
static void
test_owners(void **state)
{
	struct world *world = *state;
	struct keyring_options mine = world->options;
	static const struct {
		const char *label;
		uid_t owner;
		gid_t group;
		mode_t mode;
		const char *what;	/* or NULL: fine */
	} rows[] = {
		/* the daemon is user 2001, group 2002 */
		{ "root's, group may read", 0, 2002, 0640, NULL },
		{ "its own", 2001, 2002, 0600, NULL },
		{ "its own, other group, closed", 2001, 2003, 0600, NULL },
		{ "its own, other group reads", 2001, 2003, 0640, "group id 2003" },
		{ "root's alone", 0, 0, 0600, "cannot read it" },
		{ "root's, root's group", 0, 0, 0640, "cannot read it" },
		{ "root's, closed to its group", 0, 2002, 0600, "cannot read it" },
		{ "another's", 2004, 2002, 0640, "user id 2004" },
		{ "its own, not readable", 2001, 2002, 0200, "cannot read it" },
	};

	if (geteuid() != 0) {
		print_message("# SKIPPED: owners can only be set by root\n");
		skip();
	}
	fresh(world);
	world->options.uid = 2001;
	world->options.gid = 2002;
	for (size_t i = 0; i < N(rows); i++) {
		char *path = put_key(world, "a.example/s.pem", world->rsa2048, 0600);

		assert_int_equal(chown(path, rows[i].owner, rows[i].group), 0);
		assert_int_equal(chmod(path, rows[i].mode), 0);
		if (rows[i].what != NULL)
			refuse(world, rows[i].label, rows[i].what, "run: ch");
		else
			talloc_free(load(world, NULL));
		unlink(path);
	}
	assert_int_equal(chown(mem_printf(world, "%s/a.example", world->dir), 2004, 0), 0);
	put_key(world, "b.example/s.pem", world->rsa2048, 0600);
	refuse(world, "another's directory", "user id 2004", "chown root");
	world->options = mine;
	done(world);
}

static void
test_warnings(void **state)
{
	struct world *world = *state;
	const char *warnings = NULL;

	fresh(world);
	put_key(world, "a.example/s.pem", world->rsa1024, 0600);
	put_key(world, "b.example/s.pem", world->ed, 0600);
	put_key(world, "c.example/s.pem", world->rsa2048, 0600);
	put_key(world, "c.example/t.pem", world->ed, 0600);
	talloc_free(load(world, &warnings));
	assert_non_null(warnings);
	assert_non_null(strstr(warnings, "a.example/s.pem: an RSA key of 1024 bits is short"));
	assert_non_null(strstr(warnings, "b.example: has Ed25519 keys only"));
	assert_null(strstr(warnings, "c.example"));
	done(world);
}

/* More keys than are parsed at load: the rest is parsed when it is used. */
static void
test_lazy(void **state)
{
	struct world *world = *state;
	struct keyring_options options = world->options;
	struct keyring *keyring;
	struct keyring_ready ready;
	size_t n = 0;
	const char *error = NULL;

	fresh(world);
	for (int i = 0; i < 20; i++)
		put_key(world, mem_printf(world, "d%02d.example/s.pem", i), world->ed, 0600);
	put_text(world, "aa.example/s.pem", "rubbish that is only seen when it is used");
	world->options.eager = 3;
	keyring = load(world, NULL);
	world->options = options;
	assert_int_equal(keyring_keys(keyring), 21);
	for (int i = 0; i < 20; i++) {
		const struct keyring_domain *domain = keyring_find(keyring,
		    mem_printf(world, "d%02d.example", i));

		assert_non_null(domain);
		if (i == 5)
			unlink(domain->keys[0].file);
		if (keyring_ready(world, &domain->keys[0], &ready, &error) == 0)
			n++;
		else
			assert_non_null(strstr(error, "d05.example/s.pem"));
	}
	assert_int_equal(n, 19);
	assert_int_equal(
	    keyring_ready(world, &keyring_find(keyring, "aa.example")->keys[0], &ready, &error),
	    -1);
	assert_non_null(strstr(error, "no private key"));
	talloc_free(keyring);
	done(world);
}

/* No keys at all is a keyring too. */
static void
test_empty(void **state)
{
	struct world *world = *state;
	struct keyring *keyring;

	fresh(world);
	keyring = load(world, NULL);
	assert_int_equal(keyring_keys(keyring), 0);
	assert_null(keyring_find(keyring, "example.org"));
	talloc_free(keyring);
	done(world);
}

/* What is searched for in memory: octets of a prime, kept disguised so that the search does not
 * find itself. */
#define NEEDLE	24

struct needle {
	unsigned char disguised[NEEDLE];
};

/* take_needle - the low octets of the key's first prime, as the words of a BIGNUM hold them */
static void
take_needle(EVP_PKEY *key, struct needle *needle)
{
	BIGNUM *prime = NULL;
	unsigned char octets[1024];

	assert_int_equal(EVP_PKEY_get_bn_param(key, "rsa-factor1", &prime), 1);
	assert_true(BN_bn2lebinpad(prime, octets, sizeof(octets)) > 0);
	for (size_t i = 0; i < NEEDLE; i++)
		needle->disguised[i] = octets[i] ^ 0x5a;
	OPENSSL_cleanse(octets, sizeof(octets));
	BN_clear_free(prime);
}

/* count_needles - how often it is in the memory of this process that can be written to */
static size_t
count_needles(const struct needle *needle)
{
	FILE *maps = fopen("/proc/self/maps", "re"), *memory = fopen("/proc/self/mem", "re");
	unsigned char *copy = malloc(1 << 20);
	char line[512];
	size_t found = 0;

	assert_non_null(maps);
	assert_non_null(memory);
	assert_non_null(copy);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long from, to;
		char rights[8];

		if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[0] != 'r' ||
		    rights[1] != 'w')
			continue;
		for (unsigned long at = from; at < to; at += (1 << 20) - NEEDLE) {
			size_t want = to - at < 1 << 20 ? to - at : 1 << 20;

			if (fseek(memory, (long)at, SEEK_SET) != 0 ||
			    (want = fread(copy, 1, want, memory)) < NEEDLE)
				continue;
			for (size_t i = 0; i + NEEDLE <= want; i++) {
				size_t k = 0;

				while (k < NEEDLE && (copy[i + k] ^ 0x5a) == needle->disguised[k])
					k++;
				found += k == NEEDLE;
			}
			OPENSSL_cleanse(copy, 1 << 20);
		}
	}
	free(copy);
	fclose(maps);
	fclose(memory);
	return found;
}

/* A key is in memory while its keyring is, and nowhere after. */
static void
test_wiped(void **state)
{
	struct world *world = *state;
	struct needle needle;
	struct keyring *keyring;
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	struct keyring_ready ready;
	const char *error;

	if (getenv("SANITIZE") != NULL && *getenv("SANITIZE") != '\0') {
		/* nothing to find out: a sanitizer keeps freed memory aside */
		EVP_PKEY_free(key);
		return;
	}
	fresh(world);
	put_key(world, "a.example/s.pem", key, 0600);
	take_needle(key, &needle);
	assert_true(count_needles(&needle) > 0);
	EVP_PKEY_free(key);
	assert_int_equal(count_needles(&needle), 0);

	keyring = load(world, NULL);
	assert_int_equal(
	    keyring_ready(world, &keyring_find(keyring, "a.example")->keys[0], &ready, &error), 0);
	assert_true(count_needles(&needle) > 0);
	talloc_free(keyring);
	assert_int_equal(count_needles(&needle), 0);
	done(world);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_otherwise),
		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_lazy),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_wiped),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/*
 * test_key_shortcut.c - is the shortcut in effect, and does it leave everybody else alone?
 *
 * The first test fails when libopendkim no longer calls our functions, be it for the way this
 * program is linked or for a change in the library.
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
#include <string.h>

#include <cmocka.h>

/* libopendkim calls these, so this test does. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "filter/dkim/key_shortcut.h"
#include "policy/base/mem.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

/* read_text - what PEM_read_bio_PrivateKey makes of a text */
static EVP_PKEY *
read_text(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	BIO_free(bio);
	ERR_clear_error();
	return key;
}

/* public_der - a key's public half; *der_r to be freed with OPENSSL_free */
static size_t
public_der(EVP_PKEY *key, unsigned char **der_r)
{
	*der_r = NULL;

	int len = i2d_PUBKEY(key, der_r);

	assert_true(len > 0);
	return (size_t)len;
}

static void
test_selftest(void **state)
{
	const char *error = NULL;

	(void)state;
	if (key_shortcut_selftest(NULL, &error) != 0)
		fail_msg("%s", error);
}

static void
test_handle(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *found;
	char handle[KEY_SHORTCUT_HANDLE], other[KEY_SHORTCUT_HANDLE];

	(void)state;
	assert_int_equal(key_shortcut_add(key, handle), 0);
	assert_true(strncmp(handle, "-----", 5) == 0);

	found = read_text(handle);
	assert_ptr_equal(found, key);
	EVP_PKEY_free(found);

	/* a second registration is a second handle */
	assert_int_equal(key_shortcut_add(key, other), 0);
	assert_string_not_equal(handle, other);
	key_shortcut_remove(other);
	assert_null(read_text(other));
	found = read_text(handle);
	assert_ptr_equal(found, key);
	EVP_PKEY_free(found);

	/* the registry holds a reference of its own */
	EVP_PKEY_free(key);
	found = read_text(handle);
	assert_non_null(found);
	assert_int_equal(EVP_PKEY_get_base_id(found), EVP_PKEY_ED25519);
	key_shortcut_remove(handle);
	assert_null(read_text(handle));
	assert_int_equal(EVP_PKEY_get_base_id(found), EVP_PKEY_ED25519);
	EVP_PKEY_free(found);
	key_shortcut_remove(handle);
}

/* What looks like a handle, and is none. */
static void
test_no_handle(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char handle[KEY_SHORTCUT_HANDLE], text[2 * KEY_SHORTCUT_HANDLE];
	unsigned long long number;

	(void)state;
	assert_int_equal(key_shortcut_add(key, handle), 0);
	assert_int_equal(sscanf(handle, "-----countersign key %llu", &number), 1);

	snprintf(text, sizeof(text), "-----countersign key %llu", number);
	assert_null(read_text(text));		/* the number alone */
	snprintf(text, sizeof(text), "-----countersign key %llu 00000000000000000000000000000000",
	    number);
	assert_null(read_text(text));		/* a wrong secret */
	snprintf(text, sizeof(text), "%s ", handle);
	assert_null(read_text(text));		/* something behind it */
	snprintf(text, sizeof(text), " %s", handle);
	assert_null(read_text(text));		/* something before it */
	snprintf(text, sizeof(text), "%.*s", (int)strlen(handle) - 1, handle);
	assert_null(read_text(text));		/* one octet short */
	assert_null(read_text("-----"));
	assert_null(read_text("-----countersign key "));

	key_shortcut_remove(handle);
	EVP_PKEY_free(key);
}

/* Other callers get what OpenSSL gives them. */
static void
test_forwarded(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), *read, *mine = NULL;
	BIO *bio = BIO_new(BIO_s_mem());

	(void)state;
	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);

	/* two keys in one BIO, one after the other */
	read = PEM_read_bio_PrivateKey(bio, &mine, NULL, NULL);
	assert_non_null(read);
	assert_ptr_equal(read, mine);
	assert_int_equal(EVP_PKEY_eq(read, key), 1);
	EVP_PKEY_free(read);
	read = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	assert_int_equal(EVP_PKEY_eq(read, key), 1);
	EVP_PKEY_free(read);
	assert_null(PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL));
	ERR_clear_error();
	BIO_free(bio);

	/* encrypted, with its passphrase passed on */
	bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(), NULL, 0, NULL,
	    (void *)(uintptr_t)"secret"), 1);
	read = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t)"secret");
	assert_int_equal(EVP_PKEY_eq(read, key), 1);
	EVP_PKEY_free(read);
	BIO_free(bio);
	EVP_PKEY_free(key);
}

static void
test_public_cache(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024), *first, *second,
		 *third = NULL;
	struct key_shortcut_counts before, after;
	unsigned char *der, two[4096];
	size_t len = public_der(key, &der);
	BIO *bio;

	(void)state;
	key_shortcut_counts(&before);
	bio = BIO_new_mem_buf(der, (int)len);
	first = d2i_PUBKEY_bio(bio, NULL);
	BIO_free(bio);
	bio = BIO_new_mem_buf(der, (int)len);
	second = d2i_PUBKEY_bio(bio, &third);
	assert_int_equal(BIO_pending(bio), 0);	/* read to its end, as OpenSSL would */
	BIO_free(bio);
	key_shortcut_counts(&after);
	assert_ptr_equal(first, second);
	assert_ptr_equal(second, third);
	assert_int_equal(EVP_PKEY_eq(first, key), 1);
	assert_int_equal(after.public_misses - before.public_misses, 1);
	assert_int_equal(after.public_hits - before.public_hits, 1);
	EVP_PKEY_free(first);
	EVP_PKEY_free(second);

	/* two in one BIO: not ours to answer, both must come out */
	memcpy(two, der, len);
	memcpy(two + len, der, len);
	bio = BIO_new_mem_buf(two, (int)(2 * len));
	first = d2i_PUBKEY_bio(bio, NULL);
	second = d2i_PUBKEY_bio(bio, NULL);
	assert_non_null(first);
	assert_non_null(second);
	EVP_PKEY_free(first);
	EVP_PKEY_free(second);
	BIO_free(bio);

	/* one octet changed is another key, or none; never the cached one */
	der[len - 1] ^= 1;
	bio = BIO_new_mem_buf(der, (int)len);
	first = d2i_PUBKEY_bio(bio, NULL);
	assert_true(first == NULL || EVP_PKEY_eq(first, key) != 1);
	EVP_PKEY_free(first);
	BIO_free(bio);
	ERR_clear_error();
	OPENSSL_free(der);
	EVP_PKEY_free(key);
}

/* Strangers may bring as many keys as they like. */
static void
test_public_bound(void **state)
{
	struct key_shortcut_counts counts;

	(void)state;
	for (int i = 0; i < 1500; i++) {
		EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *read;
		unsigned char *der;
		size_t len = public_der(key, &der);
		BIO *bio = BIO_new_mem_buf(der, (int)len);

		read = d2i_PUBKEY_bio(bio, NULL);
		assert_int_equal(EVP_PKEY_eq(read, key), 1);
		EVP_PKEY_free(read);
		BIO_free(bio);
		OPENSSL_free(der);
		EVP_PKEY_free(key);
	}
	key_shortcut_counts(&counts);
	assert_true(counts.public_kept <= 1024);
	assert_true(counts.public_kept > 500);
}

/* What the threads of the next test share. */
struct shared {
	EVP_PKEY *key;
	char handle[KEY_SHORTCUT_HANDLE];
	unsigned char *der;
	size_t len;
};

/* use_keys - one thread: sign and verify through both ways, and register keys of its own */
static void *
use_keys(void *argument)
{
	const struct shared *shared = argument;
	uintptr_t bad = 0;

	for (int i = 0; i < 100; i++) {
		BIO *bio = BIO_new_mem_buf(shared->der, (int)shared->len);
		EVP_PKEY *private = read_text(shared->handle), *public = d2i_PUBKEY_bio(bio, NULL);
		unsigned char digest[32] = { (unsigned char)i }, signature[512];
		unsigned int len = sizeof(signature);
		char handle[KEY_SHORTCUT_HANDLE];
		RSA *signer = EVP_PKEY_get1_RSA(private), *verifier = EVP_PKEY_get1_RSA(public);

		bad += RSA_sign(NID_sha256, digest, sizeof(digest), signature, &len, signer) != 1;
		bad +=
		    RSA_verify(NID_sha256, digest, sizeof(digest), signature, len, verifier) != 1;
		bad += key_shortcut_add(private, handle) != 0;
		key_shortcut_remove(handle);
		RSA_free(signer);
		RSA_free(verifier);
		EVP_PKEY_free(private);
		EVP_PKEY_free(public);
		BIO_free(bio);
	}
	return (void *)bad;
}

static void
test_threads(void **state)
{
	struct shared shared = { .key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024) };
	pthread_t threads[4];

	(void)state;
	assert_int_equal(key_shortcut_add(shared.key, shared.handle), 0);
	shared.len = public_der(shared.key, &shared.der);
	for (size_t i = 0; i < N(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_keys, &shared), 0);
	for (size_t i = 0; i < N(threads); i++) {
		void *bad;

		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
	key_shortcut_remove(shared.handle);
	OPENSSL_free(shared.der);
	EVP_PKEY_free(shared.key);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selftest),
		cmocka_unit_test(test_handle),
		cmocka_unit_test(test_no_handle),
		cmocka_unit_test(test_forwarded),
		cmocka_unit_test(test_public_cache),
		cmocka_unit_test(test_public_bound),
		cmocka_unit_test(test_threads),
	};

#ifndef KEY_SHORTCUT
	puts("1..0 # SKIP built with --disable-key-shortcut");
	return 0;
#endif
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

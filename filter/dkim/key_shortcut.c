/*
 * key_shortcut.c - keys that libopendkim does not parse again for each message
 *
 * Why this exists. libopendkim takes a private key as PEM text and calls
 * PEM_read_bio_PrivateKey() for every signature, and d2i_PUBKEY_bio() for every
 * verification. With OpenSSL 3 that costs more than the cryptography itself:
 * signing and verifying both take about four times as long as they need.
 * The library offers no way to hand it a parsed key.
 *
 * What is done. This file defines the two functions under the same names. The
 * dynamic linker looks for a function in the program before the libraries,
 * so libopendkim calls ours. A private "key" that is one of our
 * handles is resolved to the key that was parsed once, with one more reference; a public
 * key that was seen before comes from a cache by all octets of its DER
 * form. Everything else, every other caller's keys included, is forwarded to OpenSSL's own
 * function, found with dlsym(RTLD_NEXT).
 *
 * The catch is that this depends on how the program is linked, so there is a self-test at
 * start. A handle carries 128 random bits: a stranger's text that reached some
 * PEM reader of this process could not name one of our keys by guessing.
 *
 * The public cache is filled by strangers (every signature names a key of its
 * signer's choice), so it has a fixed size: sets of four, the least recently used of
 * a set goes. Its hash is seeded, so that an attacker cannot aim at a set.
 *
 * Threads: this is process-wide state, because OpenSSL's signatures leave no room
 * for a context. The registry is behind a read-write lock, the cache behind a
 * mutex; neither is held while OpenSSL works. Keys of OpenSSL may be used by
 * many threads at once.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <opendkim/dkim.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "filter/dkim/key_shortcut.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

#define HANDLE_PREFIX	"-----countersign key "
#define BUCKETS		4096	/* of the registry */
#define SETS		256	/* of the public cache */
#define WAYS		4	/* keys of one set */
#define DER_MAX		2048	/* octets of a public key that is kept */

#ifdef KEY_SHORTCUT
typedef EVP_PKEY *(*read_private_fn)(BIO *, EVP_PKEY **, pem_password_cb *, void *);
typedef EVP_PKEY *(*read_public_fn)(BIO *, EVP_PKEY **);
#endif

/* A registered private key. */
struct entry {
	struct entry *next;
	EVP_PKEY *key;
	char handle[KEY_SHORTCUT_HANDLE];
};

#ifdef KEY_SHORTCUT
/* A public key that was parsed. */
struct cached {
	EVP_PKEY *key;		/* NULL: free */
	unsigned char *der;
	size_t len;
	uint64_t used;		/* tick of the last use */
};
#endif

static pthread_rwlock_t registry_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct entry *registry[BUCKETS];
static uint64_t registry_serial;	/* last number given out; under registry_lock */

#ifdef KEY_SHORTCUT
static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cached cache[SETS][WAYS];
static uint64_t cache_tick;		/* under cache_lock */
static uint64_t cache_kept;		/* under cache_lock */

static pthread_once_t setup_once = PTHREAD_ONCE_INIT;
static read_private_fn openssl_read_private;
static read_public_fn openssl_read_public;
static uint64_t hash_seed;

static _Atomic uint64_t private_hits, private_others, public_hits, public_misses;

/* setup - find OpenSSL's own functions, and a seed */
static void
setup(void)
{
	/* POSIX guarantees that a function fits into a void pointer, ISO C does not. */
	*(void **)&openssl_read_private = dlsym(RTLD_NEXT, "PEM_read_bio_PrivateKey");
	*(void **)&openssl_read_public = dlsym(RTLD_NEXT, "d2i_PUBKEY_bio");
	if (RAND_bytes((unsigned char *)&hash_seed, sizeof(hash_seed)) != 1)
		hash_seed = (uintptr_t)&hash_seed;
}

/* memory_of - what a memory BIO holds; 0 for any other BIO */
static size_t
memory_of(BIO *bio, const char **data_r)
{
	char *data = NULL;

	if (bio == NULL || BIO_method_type(bio) != BIO_TYPE_MEM)
		return 0;

	long len = BIO_get_mem_data(bio, &data);

	if (len <= 0 || data == NULL)
		return 0;
	*data_r = data;
	return (size_t)len;
}

#endif

/* --- private keys ------------------------------------------------------ */

/* key_shortcut_bucket_of - where a handle's number is kept */
static size_t
key_shortcut_bucket_of(const char *handle)
{
	return (size_t)(strtoull(handle + sizeof(HANDLE_PREFIX) - 1, NULL, 10) % BUCKETS);
}

int
key_shortcut_add(EVP_PKEY *key, char handle_r[KEY_SHORTCUT_HANDLE])
{
	struct entry *entry = calloc(1, sizeof(*entry));
	uint64_t secret[2];

	if (entry == NULL)
		return -1;
	if (RAND_priv_bytes((unsigned char *)secret, sizeof(secret)) != 1 ||
	    EVP_PKEY_up_ref(key) != 1) {
		free(entry);
		return -1;
	}
	entry->key = key;

	(void)pthread_rwlock_wrlock(&registry_lock);
	snprintf(entry->handle, sizeof(entry->handle), HANDLE_PREFIX "%llu %016llx%016llx",
	    (unsigned long long)++registry_serial, (unsigned long long)secret[0],
	    (unsigned long long)secret[1]);

	struct entry **bucket = &registry[key_shortcut_bucket_of(entry->handle)];

	entry->next = *bucket;
	*bucket = entry;
	memcpy(handle_r, entry->handle, sizeof(entry->handle));
	(void)pthread_rwlock_unlock(&registry_lock);
	return 0;
}

void
key_shortcut_remove(const char *handle)
{
	struct entry *found = NULL;

	if (strncmp(handle, HANDLE_PREFIX, sizeof(HANDLE_PREFIX) - 1) != 0)
		return;
	(void)pthread_rwlock_wrlock(&registry_lock);
	for (struct entry **p = &registry[key_shortcut_bucket_of(handle)]; *p != NULL;
	     p = &(*p)->next) {
		if (strcmp((*p)->handle, handle) == 0) {
			found = *p;
			*p = found->next;
			break;
		}
	}
	(void)pthread_rwlock_unlock(&registry_lock);
	if (found == NULL)
		return;
	EVP_PKEY_free(found->key);
	OPENSSL_cleanse(found, sizeof(*found));
	free(found);
}

/* key_shortcut_resolve - the key of a handle, with one more reference, or NULL */
static EVP_PKEY *
key_shortcut_resolve(const char *text, size_t len)
{
	char handle[KEY_SHORTCUT_HANDLE];
	EVP_PKEY *key = NULL;

	if (len >= sizeof(handle) || len < sizeof(HANDLE_PREFIX) ||
	    memcmp(text, HANDLE_PREFIX, sizeof(HANDLE_PREFIX) - 1) != 0)
		return NULL;
	memset(handle, 0, sizeof(handle));
	memcpy(handle, text, len);

	(void)pthread_rwlock_rdlock(&registry_lock);
	for (struct entry *e = registry[key_shortcut_bucket_of(handle)]; e != NULL; e = e->next) {
		if (CRYPTO_memcmp(e->handle, handle, sizeof(handle)) != 0)
			continue;
		if (EVP_PKEY_up_ref(e->key) == 1)
			key = e->key;
		break;
	}
	(void)pthread_rwlock_unlock(&registry_lock);
	return key;
}

EVP_PKEY *
key_shortcut_key(const char *handle)
{
	return key_shortcut_resolve(handle, strlen(handle));
}

void
key_shortcut_unref(const char *handle)
{
	EVP_PKEY *key = key_shortcut_key(handle);

	EVP_PKEY_free(key);	/* what key_shortcut_resolve() took */
	EVP_PKEY_free(key);
}

#ifdef KEY_SHORTCUT
char *
key_shortcut_text(const char *handle)
{
	return strdup(handle);
}
#else
char *
key_shortcut_text(const char *handle)
{
	EVP_PKEY *key = key_shortcut_key(handle);
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text = NULL, *data = NULL;
	long len;

	if (key != NULL && bio != NULL &&
	    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	    (len = BIO_get_mem_data(bio, &data)) > 0)
		text = strndup(data, (size_t)len);
	BIO_free(bio);
	EVP_PKEY_free(key);
	return text;
}
#endif

void
key_shortcut_text_free(char *text)
{
	if (text != NULL)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
}

#ifdef KEY_SHORTCUT
/* PEM_read_bio_PrivateKey - in OpenSSL's place: our handles, and OpenSSL for the rest */
EVP_PKEY *
PEM_read_bio_PrivateKey(BIO *bio, EVP_PKEY **key_r, pem_password_cb *callback, void *argument)
{
	const char *text = NULL;
	size_t len = memory_of(bio, &text);
	EVP_PKEY *key =
	    len > 0 && (key_r == NULL || *key_r == NULL) ? key_shortcut_resolve(text, len) : NULL;

	if (key != NULL) {
		atomic_fetch_add_explicit(&private_hits, 1, memory_order_relaxed);
		if (key_r != NULL)
			*key_r = key;
		return key;
	}
	atomic_fetch_add_explicit(&private_others, 1, memory_order_relaxed);
	(void)pthread_once(&setup_once, setup);
	return openssl_read_private == NULL ? NULL :
	    openssl_read_private(bio, key_r, callback, argument);
}

/* --- public keys ------------------------------------------------------- */

/* is_one_der - is this exactly one DER sequence? Only then may the whole stand for the key. */
static bool
is_one_der(const unsigned char *der, size_t len)
{
	if (len < 4 || len > DER_MAX || der[0] != 0x30)
		return false;
	if (der[1] < 0x80)
		return len == 2U + der[1];
	if (der[1] == 0x81)
		return len == 3U + der[2];
	return der[1] == 0x82 && len == 4U + (size_t)der[2] * 256 + der[3];
}

/* set_of - the set where a key is kept: by a seeded hash with a final mix */
static struct cached *
set_of(const unsigned char *der, size_t len)
{
	uint64_t hash = hash_octets(HASH_START ^ hash_seed, der, len);

	hash ^= hash >> 32;
	hash *= UINT64_C(0x9e3779b97f4a7c15) ^ hash_seed;
	return cache[(hash >> 40) % SETS];
}

/* cache_find - a public key with one more reference, or NULL */
static EVP_PKEY *
cache_find(const unsigned char *der, size_t len)
{
	struct cached *set = set_of(der, len);
	EVP_PKEY *key = NULL;

	(void)pthread_mutex_lock(&cache_lock);
	for (size_t i = 0; i < WAYS && key == NULL; i++) {
		if (set[i].key == NULL || set[i].len != len || memcmp(set[i].der, der, len) != 0)
			continue;
		if (EVP_PKEY_up_ref(set[i].key) != 1)
			break;
		set[i].used = ++cache_tick;
		key = set[i].key;
	}
	(void)pthread_mutex_unlock(&cache_lock);
	return key;
}

/* cache_keep - remember a parsed key in place of the least recently used of its set */
static void
cache_keep(const unsigned char *der, size_t len, EVP_PKEY *key)
{
	unsigned char *copy = malloc(len);
	struct cached *set = set_of(der, len), *victim = set;

	if (copy == NULL || EVP_PKEY_up_ref(key) != 1) {
		free(copy);
		return;
	}
	memcpy(copy, der, len);

	(void)pthread_mutex_lock(&cache_lock);
	for (size_t i = 1; i < WAYS; i++)
		if (set[i].used < victim->used)
			victim = &set[i];

	struct cached old = *victim;

	*victim = (struct cached){ .key = key, .der = copy, .len = len, .used = ++cache_tick };
	cache_kept += old.key == NULL;
	(void)pthread_mutex_unlock(&cache_lock);

	EVP_PKEY_free(old.key);
	free(old.der);
}

/* d2i_PUBKEY_bio - in OpenSSL's place: the cache, and OpenSSL for the rest */
EVP_PKEY *
d2i_PUBKEY_bio(BIO *bio, EVP_PKEY **key_r)
{
	const char *data = NULL;
	size_t len = memory_of(bio, &data);
	unsigned char der[DER_MAX];
	bool whole = len > 0 && (key_r == NULL || *key_r == NULL) &&
	    is_one_der((const unsigned char *)data, len);

	(void)pthread_once(&setup_once, setup);
	if (!whole)
		return openssl_read_public == NULL ? NULL : openssl_read_public(bio, key_r);

	memcpy(der, data, len);
	EVP_PKEY *key = cache_find(der, len);

	if (key != NULL) {
		/* The caller may go on reading: leave the BIO where parsing would have. */
		BIO_read(bio, der, (int)len);
		atomic_fetch_add_explicit(&public_hits, 1, memory_order_relaxed);
		if (key_r != NULL)
			*key_r = key;
		return key;
	}
	atomic_fetch_add_explicit(&public_misses, 1, memory_order_relaxed);
	key = openssl_read_public == NULL ? NULL : openssl_read_public(bio, key_r);
	if (key != NULL)
		cache_keep(der, len, key);
	return key;
}

void
key_shortcut_counts(struct key_shortcut_counts *counts_r)
{
	(void)pthread_mutex_lock(&cache_lock);
	counts_r->public_kept = cache_kept;
	(void)pthread_mutex_unlock(&cache_lock);
	counts_r->private_hits = atomic_load(&private_hits);
	counts_r->private_others = atomic_load(&private_others);
	counts_r->public_hits = atomic_load(&public_hits);
	counts_r->public_misses = atomic_load(&public_misses);
}

/* --- self-test --------------------------------------------------------- */

/* selftest_record - libopendkim's key lookup: the record that the message carries */
static DKIM_CBSTAT
selftest_record(DKIM *dkim, DKIM_SIGINFO *sig, unsigned char *buf, size_t size)
{
	const char *record = dkim_get_user_context(dkim);

	(void)sig;
	snprintf((char *)buf, size, "%s", record);
	return DKIM_CBSTAT_CONTINUE;
}

/* key_shortcut_feed - the message of the self-test; signature: its field, or NULL when signing */
static bool
key_shortcut_feed(DKIM *dkim, const char *signature)
{
	char from[] = "From: selftest@countersign.example";
	char body[] = "self-test\r\n";

	if (dkim_header(dkim, (unsigned char *)from, strlen(from)) != DKIM_STAT_OK)
		return false;
	if (signature != NULL) {
		char field[2048];
		int len = snprintf(field, sizeof(field), "DKIM-Signature: %s", signature);

		if (len < 0 || (size_t)len >= sizeof(field) ||
		    dkim_header(dkim, (unsigned char *)field, (size_t)len) != DKIM_STAT_OK)
			return false;
	}
	return dkim_eoh(dkim) == DKIM_STAT_OK &&
	    dkim_body(dkim, (unsigned char *)body, strlen(body)) == DKIM_STAT_OK &&
	    dkim_eom(dkim, NULL) == DKIM_STAT_OK;
}

/* sign_once - sign with a handle; the signature's value, or NULL */
static char *
sign_once(TALLOC_CTX *ctx, DKIM_LIB *lib, const char *handle)
{
	DKIM_STAT status;
	unsigned char *value = NULL;
	size_t len = 0;
	char *copy = NULL;
	char key[KEY_SHORTCUT_HANDLE];

	snprintf(key, sizeof(key), "%s", handle);

	DKIM *dkim = dkim_sign(lib, (const unsigned char *)"selftest", NULL, (dkim_sigkey_t)key,
	    (const unsigned char *)"selftest", (const unsigned char *)"countersign.example",
	    DKIM_CANON_RELAXED, DKIM_CANON_RELAXED, DKIM_SIGN_RSASHA256, -1, &status);

	if (dkim == NULL)
		return NULL;
	if (key_shortcut_feed(dkim, NULL) &&
	    dkim_getsighdr_d(dkim, 16, &value, &len) == DKIM_STAT_OK)
		copy = mem_strndup(ctx, (const char *)value, len);
	dkim_free(dkim);
	return copy;
}

/* verify_once - verify that signature */
static bool
verify_once(DKIM_LIB *lib, const char *signature, char *record)
{
	DKIM_STAT status;
	DKIM *dkim = dkim_verify(lib, (const unsigned char *)"selftest", NULL, &status);
	bool good;

	if (dkim == NULL)
		return false;
	dkim_set_user_context(dkim, record);
	good = key_shortcut_feed(dkim, signature);
	dkim_free(dkim);
	return good;
}

/* key_shortcut_record_of - the key record of a key */
static char *
key_shortcut_record_of(TALLOC_CTX *ctx, EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	if (len <= 0)
		return NULL;

	unsigned char *text = mem_array(ctx, unsigned char, (size_t)len * 2 + 8);

	EVP_EncodeBlock(text, der, len);
	OPENSSL_free(der);
	return mem_printf(ctx, "v=DKIM1; p=%s", (const char *)text);
}

/* try_both - sign and verify; NULL, or what is not in effect */
static const char *
try_both(TALLOC_CTX *ctx, DKIM_LIB *lib, EVP_PKEY *key, const char *handle)
{
	struct key_shortcut_counts before, after;
	char *record = key_shortcut_record_of(ctx, key), *signature;

	key_shortcut_counts(&before);
	signature = sign_once(ctx, lib, handle);
	key_shortcut_counts(&after);
	if (signature == NULL || after.private_hits != before.private_hits + 1)
		return "PEM_read_bio_PrivateKey";
	if (record == NULL || !verify_once(lib, signature, record) ||
	    !verify_once(lib, signature, record))
		return "d2i_PUBKEY_bio";
	key_shortcut_counts(&after);
	if (after.public_misses != before.public_misses + 1 ||
	    after.public_hits != before.public_hits + 1)
		return "d2i_PUBKEY_bio";
	return NULL;
}

int
key_shortcut_selftest(TALLOC_CTX *ctx, const char **error_r)
{
	TALLOC_CTX *scratch = mem_new(ctx, char);
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	DKIM_LIB *lib = dkim_init(NULL, NULL);
	char handle[KEY_SHORTCUT_HANDLE] = "";
	const char *missing = "OpenSSL's key generation";

	if (key != NULL && lib != NULL && key_shortcut_add(key, handle) == 0) {
		dkim_set_key_lookup(lib, selftest_record);
		missing = try_both(scratch, lib, key, handle);
	}
	if (missing != NULL)
		*error_r = mem_printf(ctx,
		    "the key shortcut is not in effect: libopendkim does not "
		    "call this program's %s; link it with -Wl,--export-dynamic, and without "
		    "anything that binds libopendkim to OpenSSL directly",
		    missing);
	key_shortcut_remove(handle);
	if (lib != NULL)
		dkim_close(lib);
	EVP_PKEY_free(key);
	talloc_free(scratch);
	return missing == NULL ? 0 : -1;
}
#else
void
key_shortcut_counts(struct key_shortcut_counts *counts_r)
{
	*counts_r = (struct key_shortcut_counts){ 0 };
}

int
key_shortcut_selftest(TALLOC_CTX *ctx, const char **error_r)
{
	(void)ctx, (void)error_r;
	return 0;
}
#endif

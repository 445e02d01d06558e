/*
 * keyring.c - the private keys of a configuration snapshot
 *
 * Parsing costs half a millisecond a key, so of very many keys only the first are parsed at load
 * and the others when they are first used. If a file went bad meanwhile, the message that uses it
 * fails with the error. Two threads may parse the same key at its first use: the work of the second
 * is thrown away, which is cheaper than a lock for each of a hundred thousand keys. For the same
 * reason small objects are cut from chunks rather than allocated one by one.
 *
 * Once parsed, a key is in OpenSSL's memory and in the registry of key_shortcut.c. key_file.c reads
 * files, keyring_directory.c the layout of their directory.
 *
 * Threads: see keyring.h. A key is published by one atomic exchange.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "filter/dkim/key_file.h"
#include "filter/dkim/key_shortcut.h"
#include "filter/dkim/keyring.h"
#include "policy/base/domain.h"
#include "policy/base/map.h"
#include "policy/base/mem.h"

#define RSA_BITS_ADVISED	2048	/* RFC 8301 section 3.2 */
#define RSA_BITS_KNOWN	4096	/* larger ones verifiers need not support, ibidem */
#define SELECTOR_MAX	200	/* octets; "._domainkey." and a domain fit into a name of 253 with it */
#define CHUNK		(64 * 1024)	/* octets that small objects are cut from */

/* A key that was parsed. */
struct parsed {
	char handle[KEY_SHORTCUT_HANDLE];
	enum keyring_type type;
	unsigned int bits;
};

/* The key of a file or a text. */
struct keyring_secret {
	_Atomic(struct parsed *) parsed; /* set once, by the first thread; malloc'ed */
	const char *text;	/* the key itself, or NULL: it is in a file */
	struct keyring *keyring;
	struct keyring_secret *next; /* of all of the keyring, for its end */
};

/* A file whose name depends on the sender. */
struct borrowed {
	struct keyring_secret secret;	/* first: return_key() finds the others by it */
	size_t users;			/* keys in use */
};

struct keyring {
	struct keyring_options options;
	struct map *domains;	/* normal form => struct keyring_domain */
	struct map *files;	/* path => struct keyring_secret * */
	size_t n_keys;
	size_t n_parsed;	/* while loading */
	struct keyring_secret *secrets; /* all that live as long as the keyring */
	char *chunk;		/* where small objects are cut from, while loading */
	size_t chunk_left;

	pthread_mutex_t lock;
	struct map *borrowed;	/* path => struct borrowed; guarded by lock; a talloc root */
};

/* keyring_append_line - one more line to a text; takes over line */
static void
keyring_append_line(TALLOC_CTX *ctx, char **text, size_t *n, char *line)
{
	++*n;
	if (*n == KEYRING_TOLD + 1) {
		talloc_free(line);
		line = mem_strdup(ctx, "(and more)");
	} else if (*n > KEYRING_TOLD) {
		talloc_free(line);
		return;
	}
	*text = *text == NULL ? mem_strdup(ctx, line) :
	    mem_check(talloc_asprintf_append_buffer(*text, "\n%s", line));
	talloc_free(line);
}

void
keyring_report_error(struct keyring_report *report, char *line)
{
	keyring_append_line(report->ctx, &report->errors, &report->n_errors, line);
}

void
keyring_report_warning(struct keyring_report *report, char *line)
{
	keyring_append_line(report->ctx, &report->warnings, &report->n_warnings, line);
}

void
keyring_report_unusable(const struct keyring *keyring, struct keyring_report *report,
    const char *domain, const char *line)
{
	const struct keyring_options *options = &keyring->options;

	if (options->tolerates != NULL && options->tolerates(options->state, domain))
		keyring_report_warning(report, mem_printf(report->ctx, "%s; nothing is signed with it", line));
	else
		keyring_report_error(report, mem_strdup(report->ctx, line));
}

/* cut - a small object that lives as long as the keyring; all zero */
static void *
cut(struct keyring *keyring, size_t size)
{
	size = (size + 15) & ~(size_t)15;
	if (size > CHUNK)
		return mem_array(keyring, char, size);
	if (keyring->chunk_left < size) {
		keyring->chunk = mem_array(keyring, char, CHUNK);
		keyring->chunk_left = CHUNK;
	}
	keyring->chunk_left -= size;
	return keyring->chunk + keyring->chunk_left;
}

/* cut_text - a copy of a string that lives as long as the keyring */
static const char *
cut_text(struct keyring *keyring, const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(cut(keyring, size), text, size);
}

/* new_secret - a key that was not read yet */
static struct keyring_secret *
new_secret(struct keyring *keyring, const char *text)
{
	struct keyring_secret *secret = cut(keyring, sizeof(*secret));

	atomic_init(&secret->parsed, NULL);
	secret->text = text;
	secret->keyring = keyring;
	secret->next = keyring->secrets;
	keyring->secrets = secret;
	return secret;
}

/* wipe_secret - the end of a key */
static void
wipe_secret(struct keyring_secret *secret)
{
	struct parsed *parsed = atomic_load(&secret->parsed);

	if (parsed == NULL)
		return;
	key_shortcut_remove(parsed->handle);
	OPENSSL_cleanse(parsed, sizeof(*parsed));
	free(parsed);
}

/* --- one key ----------------------------------------------------------- */

/* publish - make a parsed key that of a secret, unless another thread was first */
static void
publish(struct keyring_secret *secret, struct parsed *parsed)
{
	struct parsed *none = NULL;

	if (atomic_compare_exchange_strong(&secret->parsed, &none, parsed))
		return;
	key_shortcut_remove(parsed->handle);
	OPENSSL_cleanse(parsed, sizeof(*parsed));
	free(parsed);
}

/* accept_key - keep a key in the registry and as that of a secret; takes over key */
static int
accept_key(TALLOC_CTX *ctx, const char *where, EVP_PKEY *key, struct keyring_secret *secret,
    const char **error_r)
{
	struct parsed *parsed = mem_check(calloc(1, sizeof(*parsed)));
	int result = key_shortcut_add(key, parsed->handle);

	parsed->type =
	    EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? KEYRING_ED25519 : KEYRING_RSA;
	parsed->bits = parsed->type == KEYRING_ED25519 ? 256 : (unsigned int)EVP_PKEY_get_bits(key);
	EVP_PKEY_free(key);
	if (result == 0) {
		publish(secret, parsed);
		return 0;
	}
	*error_r = mem_printf(ctx, "%s: no memory or no randomness to keep the key", where);
	free(parsed);
	return -1;
}

/* parse_key - read a key that was not read yet */
static int
parse_key(TALLOC_CTX *ctx, const char *where, struct keyring_secret *secret, const char **error_r)
{
	const struct keyring_options *options = &secret->keyring->options;
	EVP_PKEY *key = secret->text != NULL ?
	    key_file_read_text(ctx, options, secret->text, where, error_r) :
	    key_file_read(ctx, options, where, error_r);

	return key == NULL ? -1 : accept_key(ctx, where, key, secret, error_r);
}

int
keyring_ready(TALLOC_CTX *ctx, const struct keyring_key *key, struct keyring_ready *ready_r,
    const char **error_r)
{
	struct keyring_secret *secret = key->secret;
	const struct parsed *parsed = atomic_load(&secret->parsed);

	if (parsed == NULL && parse_key(ctx, key->file, secret, error_r) != 0)
		return -1;
	parsed = atomic_load(&secret->parsed);
	*ready_r = (struct keyring_ready){ parsed->handle, parsed->type, parsed->bits };
	return 0;
}

bool
keyring_encode_public(TALLOC_CTX *ctx, const EVP_PKEY *key, struct keyring_public *public_r)
{
	unsigned char raw[32], *der = NULL;
	size_t raw_len = sizeof(raw);
	int len;

	public_r->bits = (unsigned int)EVP_PKEY_get_bits(key);
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
		if (EVP_PKEY_get_raw_public_key(key, raw, &raw_len) != 1)
			return false;
		public_r->type = KEYRING_ED25519;
		public_r->bits = 256;
		public_r->octets = mem_memdup(ctx, raw, raw_len);
		public_r->len = raw_len;
		return true;
	}
	len = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ? i2d_PUBKEY(key, &der) : -1;
	if (len <= 0)
		return false;
	public_r->type = KEYRING_RSA;
	public_r->octets = mem_memdup(ctx, der, (size_t)len);
	public_r->len = (size_t)len;
	OPENSSL_free(der);
	return true;
}

int
keyring_public(TALLOC_CTX *ctx, const struct keyring_key *key, struct keyring_public *public_r,
    const char **error_r)
{
	struct keyring_ready ready;
	EVP_PKEY *found;
	bool good;

	if (keyring_ready(ctx, key, &ready, error_r) != 0)
		return -1;
	found = key_shortcut_key(ready.handle);
	good = found != NULL && keyring_encode_public(ctx, found, public_r);
	EVP_PKEY_free(found);
	if (!good)
		*error_r = mem_printf(ctx, "%s: its public half cannot be derived", key->file);
	return good ? 0 : -1;
}

/* advise_key - warnings about a key that was parsed */
static void
advise_key(struct keyring_report *report, const struct keyring_key *key)
{
	const struct parsed *parsed = atomic_load(&key->secret->parsed);

	if (parsed->type != KEYRING_RSA)
		return;
	if (parsed->bits < RSA_BITS_ADVISED)
		keyring_report_warning(report, mem_printf(report->ctx, "%s: an RSA key of %u bits is short; "
		    "use %d (RFC 8301)", key->file, parsed->bits, RSA_BITS_ADVISED));
	if (parsed->bits > RSA_BITS_KNOWN)
		keyring_report_warning(report,
		    mem_printf(report->ctx,
			"%s: an RSA key of %u bits is more than verifiers "
			"need to support; use %d (RFC 8301)",
			key->file, parsed->bits, RSA_BITS_ADVISED));
}

/* keyring_check_key - look at a key while loading, and parse it if it is among the first */
static void
keyring_check_key(
    struct keyring *keyring, const struct keyring_key *key, struct keyring_report *report)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	const char *error = NULL;

	if (keyring->n_parsed < keyring->options.eager) {
		keyring->n_parsed++;
		if (parse_key(scratch, key->file, key->secret, &error) == 0)
			advise_key(report, key);
	} else if (key->secret->text == NULL) {
		/* it is opened, and looked at again, when it is first used */
		error = key_file_check(scratch, &keyring->options, key->file);
	}
	if (error != NULL)
		keyring_report_unusable(keyring, report, key->domain, error);
	talloc_free(scratch);
}

/* --- keys one by one --------------------------------------------------- */

struct keyring_key
keyring_add_file(struct keyring *keyring, const char *domain, const char *selector,
    const char *file, struct keyring_report *report)
{
	struct keyring_key key = { .domain = domain, .selector = selector };
	bool new;
	struct keyring_secret **secret = map_put(keyring->files, file, &new);

	if (new)
		*secret = new_secret(keyring, NULL);
	key.file = map_key(keyring->files, secret);
	key.secret = *secret;
	keyring->n_keys++;
	if (new)
		keyring_check_key(keyring, &key, report);
	return key;
}

struct keyring_key
keyring_add_text(struct keyring *keyring, const char *domain, const char *selector,
    const char *text, const char *where, struct keyring_report *report)
{
	struct keyring_key key = { .domain = domain, .selector = selector,
	    .file = cut_text(keyring, where), .secret = new_secret(keyring, text) };

	keyring->n_keys++;
	keyring_check_key(keyring, &key, report);
	return key;
}

struct keyring_domain *
keyring_add_domain(struct keyring *keyring, const char *name, size_t room)
{
	struct keyring_domain *domain = map_put(keyring->domains, name, NULL);

	domain->name = map_key(keyring->domains, domain);
	domain->keys = cut(keyring, room * sizeof(struct keyring_key));
	return domain;
}

void
keyring_add_key(struct keyring *keyring, struct keyring_domain *domain, const char *selector,
    const char *file, struct keyring_report *report)
{
	domain->keys[domain->n++] = keyring_add_file(
	    keyring, domain->name, cut_text(keyring, selector), file, report);
}

bool
keyring_is_ed25519(const struct keyring_key *key)
{
	const struct parsed *parsed = atomic_load(&key->secret->parsed);

	return parsed != NULL && parsed->type == KEYRING_ED25519;
}

/* may_go, gone - of a borrowed file */
static bool
borrowed_may_go(const void *value)
{
	return ((const struct borrowed *)value)->users == 0;
}

static void
borrowed_gone(void *value)
{
	wipe_secret(&((struct borrowed *)value)->secret);
}

/* return_key - destructor of a borrowed key */
static int
return_key(struct keyring_key *key)
{
	struct keyring *keyring = key->secret->keyring;
	struct borrowed *borrowed = (struct borrowed *)key->secret;

	(void)pthread_mutex_lock(&keyring->lock);
	borrowed->users--;
	(void)pthread_mutex_unlock(&keyring->lock);
	return 0;
}

struct keyring_key *
keyring_borrow(TALLOC_CTX *ctx, struct keyring *keyring, const char *domain, const char *selector,
    const char *file)
{
	struct keyring_key *key = mem_new(ctx, struct keyring_key);
	struct borrowed *found;
	bool new;

	(void)pthread_mutex_lock(&keyring->lock);
	found = map_put(keyring->borrowed, file, &new);
	map_used(keyring->borrowed, found);
	if (new)
		found->secret.keyring = keyring;
	found->users++;
	(void)pthread_mutex_unlock(&keyring->lock);
	*key = (struct keyring_key){ .domain = mem_strdup(key, domain),
		.selector = mem_strdup(key, selector),
		.file = mem_strdup(key, file),
		.secret = &found->secret };
	talloc_set_destructor(key, return_key);
	return key;
}

/* --- the whole -------------------------------------------------------- */

/* keyring_free - destructor: every key leaves the registry */
static int
keyring_free(struct keyring *keyring)
{
	for (struct keyring_secret *secret = keyring->secrets; secret != NULL;
	     secret = secret->next)
		wipe_secret(secret);
	talloc_free(keyring->borrowed);
	(void)pthread_mutex_destroy(&keyring->lock);
	return 0;
}

bool
keyring_is_selector(const char *text)
{
	return strlen(text) <= SELECTOR_MAX && domain_is_labels(text);
}

const struct keyring_domain *
keyring_find(const struct keyring *keyring, const char *domain)
{
	return map_find(keyring->domains, domain);
}

const struct keyring_options *
keyring_options_of(const struct keyring *keyring)
{
	return &keyring->options;
}

size_t
keyring_keys(const struct keyring *keyring)
{
	return keyring->n_keys;
}

size_t
keyring_domains(const struct keyring *keyring)
{
	return map_count(keyring->domains);
}

struct keyring_key *
keyring_all(TALLOC_CTX *ctx, const struct keyring *keyring, size_t *n_r)
{
	struct keyring_key *keys = mem_array(ctx, struct keyring_key, keyring->n_keys + 1);

	const struct keyring_domain *domain = NULL;

	*n_r = 0;
	while ((domain = map_next(keyring->domains, domain)) != NULL)
		for (size_t k = 0; k < domain->n; k++)
			keys[(*n_r)++] = domain->keys[k];
	return keys;
}

struct keyring *
keyring_new(TALLOC_CTX *ctx, const struct keyring_options *options)
{
	struct keyring *keyring = mem_new(ctx, struct keyring);

	keyring->options = *options;
	if (keyring->options.min_rsa_bits == 0)
		keyring->options.min_rsa_bits = 1024;
	if (keyring->options.eager == 0)
		keyring->options.eager = KEYRING_EAGER;
	(void)pthread_mutex_init(&keyring->lock, NULL);
	talloc_set_destructor(keyring, keyring_free);
	keyring->domains =
	    map_new(keyring, &(struct map_options){ .value_size = sizeof(struct keyring_domain) });
	keyring->files = map_new(
	    keyring, &(struct map_options){ .value_size = sizeof(struct keyring_secret *) });
	keyring->borrowed = map_new(NULL, &(struct map_options){
	    .value_size = sizeof(struct borrowed), .max = KEYRING_BORROWED,
	    .may_go = borrowed_may_go, .gone = borrowed_gone });
	return keyring;
}

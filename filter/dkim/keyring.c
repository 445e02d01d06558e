/*
 * keyring.c - the private keys of a configuration snapshot
 *
 * Loading looks at every file through an open descriptor, so that what is
 * checked is what is read: its kind, owner and mode, and that the user the daemon
 * ends up as can read it (a reload happens as that user). All mistakes are
 * collected and told at once, each with its cure, because who set up a hundred
 * domains does not want to hear of them one by one.
 *
 * Parsing costs half a millisecond a key, so that of very many keys
 * only the first are parsed here and the others when they are first used. A
 * file that went bad meanwhile is an error of that message, and told there. Two threads may
 * parse the same key at its first use: the second one's work is thrown away,
 * which is cheaper than a lock for each of a hundred thousand keys. For the same reason
 * small objects are cut from chunks rather than allocated one by one.
 *
 * Once parsed, a key lives in OpenSSL's memory and in the registry of
 * key_shortcut.c; its text is wiped at once.
 *
 * Threads: see keyring.h. A key is published by one atomic exchange.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "filter/dkim/key_shortcut.h"
#include "filter/dkim/keyring.h"
#include "policy/base/domain.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define RSA_BITS_ADVISED	2048	/* RFC 8301 section 3.2 */
#define RSA_BITS_KNOWN	4096	/* larger ones verifiers need not support, ibidem */
#define SELECTOR_MAX 200 /* octets; leaves room for "._domainkey." and a domain in a name of 253
			  * \ */
#define SUFFIX		".pem"
#define CHUNK		(64 * 1024)	/* octets that small objects are cut from */

/* A key that was parsed. */
struct parsed {
	char handle[KEY_SHORTCUT_HANDLE];
	enum keyring_type type;
	unsigned int bits;
};

/* The key behind a file or a text. */
struct keyring_secret {
	_Atomic(struct parsed *) parsed; /* set once, by whoever is first; malloc'ed */
	const char *text;	/* the key itself, or NULL: it is in a file */
	struct keyring *keyring;
	struct keyring_secret *next; /* of all of the keyring, for its end */
};

/* A file that was named by its path. */
struct named {
	const char *path;
	struct keyring_secret *secret;
};

/* A file whose name depends on the sender; malloc'ed. */
struct borrowed {
	struct borrowed *next;	/* of its bucket */
	char *path;
	struct keyring_secret secret;
	size_t users;		/* keys in use */
	uint64_t used;		/* tick of the last use */
};

#define BORROWED_BUCKETS	1024

struct keyring {
	struct keyring_options options;
	struct keyring_domain *domains;
	size_t n_domains;
	size_t n_keys;
	size_t n_parsed;	/* while loading */
	size_t *slots;		/* hash table: index into domains, plus 1; 0: free */
	size_t n_slots;		/* a power of two, at least twice n_domains */
	struct keyring_secret *secrets; /* all that live as long as the keyring */
	char *chunk;		/* where small objects are cut from, while loading */
	size_t chunk_left;
	struct named *named;	/* hash table by path; path NULL: free */
	size_t n_named;
	size_t named_room;	/* a power of two, or 0 */

	pthread_mutex_t lock;	/* guards the rest */
	struct borrowed *buckets[BORROWED_BUCKETS];
	size_t n_borrowed;
	uint64_t tick;
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

/* keyring_tell - an error; takes over line */
static void
keyring_tell(struct keyring_report *report, char *line)
{
	keyring_append_line(report->ctx, &report->errors, &report->n_errors, line);
}

/* advise - a warning; takes over line */
static void
advise(struct keyring_report *report, char *line)
{
	keyring_append_line(report->ctx, &report->warnings, &report->n_warnings, line);
}

void
keyring_report_unusable(const struct keyring *keyring, struct keyring_report *report,
    const char *domain, const char *line)
{
	const struct keyring_options *options = &keyring->options;

	if (options->tolerates != NULL && options->tolerates(options->state, domain))
		advise(report, mem_printf(report->ctx, "%s; nothing is signed with it", line));
	else
		keyring_tell(report, mem_strdup(report->ctx, line));
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

/* --- one file ---------------------------------------------------------- */

/* may_read - can the final user read a file of this state? */
static bool
may_read(const struct keyring_options *options, const struct stat *st)
{
	if (options->uid == 0)
		return true;
	if (st->st_uid == options->uid)
		return (st->st_mode & S_IRUSR) != 0;
	return st->st_gid == options->gid && (st->st_mode & S_IRGRP) != 0;
}

/* owner_mistake - the file or directory of a user who is neither root nor the daemon's */
static char *
owner_mistake(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path,
    uid_t owner, const char *danger)
{
	/* perhaps another user will run the daemon, who could not read root's file */
	if (options->uid == 0)
		return mem_printf(ctx,
		    "%s: belongs to user id %lu, but this is root; if the daemon runs as that user, "
		    "name it with the option user in the configuration, else run: chown root %s",
		    path, (unsigned long)owner, path);
	return mem_printf(ctx, "%s: belongs to user id %lu, who could %s; run: chown root %s", path,
	    (unsigned long)owner, danger, path);
}

/* file_mistake - what is wrong with this file's state, or NULL */
static char *
file_mistake(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path,
    const struct stat *st)
{
	unsigned int mode = (unsigned int)st->st_mode & 07777;

	if (!S_ISREG(st->st_mode))
		return mem_printf(ctx, "%s: is no regular file; put the key itself there", path);
	if (st->st_uid != 0 && st->st_uid != options->uid)
		return owner_mistake(ctx, options, path, st->st_uid, "change it");
	if ((mode & ~0640U) != 0)
		return mem_printf(ctx, "%s: mode %04o is open to others; run: chmod %s %s",
		    path, mode, st->st_uid == options->uid ? "0600" : "0640", path);
	if ((mode & 0040) != 0 && st->st_gid != options->gid && st->st_gid != 0)
		return mem_printf(ctx, "%s: mode %04o lets group id %lu read it; run: chgrp %lu %s",
		    path, mode, (unsigned long)st->st_gid, (unsigned long)options->gid, path);
	if (!may_read(options, st))
		return mem_printf(ctx, "%s: user id %lu, as whom the daemon runs, cannot read it; "
		    "run: chgrp %lu %s && chmod 0640 %s", path, (unsigned long)options->uid,
		    (unsigned long)options->gid, path, path);
	if (st->st_size == 0 || st->st_size > KEYRING_FILE_MAX)
		return mem_printf(ctx,
		    "%s: has %lld octets; a private key in PEM has some thousand", path,
		    (long long)st->st_size);
	return NULL;
}

/* cannot_open - what errno says of a key file */
static const char *
cannot_open(TALLOC_CTX *ctx, const char *path)
{
	return mem_printf(ctx, "%s: %s; give it to root and to the daemon's group, mode 0640", path,
	    strerror(errno));
}

/* open_key - open a key file and check it; its descriptor, or -1 and *error_r */
static int
open_key(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path,
    struct stat *st_r, const char **error_r)
{
	/* O_NONBLOCK: a FIFO must not hold up the start. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		*error_r = cannot_open(ctx, path);
		return -1;
	}
	if (fstat(fd, st_r) != 0)
		*error_r = mem_printf(ctx, "%s: %s", path, strerror(errno));
	else
		*error_r = file_mistake(ctx, options, path, st_r);
	if (*error_r == NULL)
		return fd;
	close(fd);
	return -1;
}

/* keyring_no_passphrase - OpenSSL would ask on the terminal */
static int
keyring_no_passphrase(char *buf, int size, int writing, void *state)
{
	(void)buf, (void)size, (void)writing, (void)state;
	return -1;
}

/* read_key - the key in a file's text, or NULL */
static EVP_PKEY *
read_key(int fd, size_t size)
{
	char *text = OPENSSL_zalloc(size);
	EVP_PKEY *key = NULL;
	size_t got = 0;

	if (text == NULL)
		return NULL;
	while (got < size) {
		ssize_t n = read(fd, text + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
	}

	BIO *bio = BIO_new_mem_buf(text, (int)got);

	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, keyring_no_passphrase, NULL);
	BIO_free(bio);
	OPENSSL_clear_free(text, size);
	ERR_clear_error();
	return key;
}

/* keyring_read_text - the key in a text: base64 of DER, perhaps between the lines of PEM; or
 * NULL */
static EVP_PKEY *
keyring_read_text(const char *text)
{
	const char *begin =
	    strncmp(text, "-----BEGIN", 10) == 0 ? strstr(text + 10, "-----") : NULL;
	const char *p = begin == NULL ? text : begin + 5;
	size_t room = strlen(p) + 4, n = 0;
	unsigned char *base64 = OPENSSL_zalloc(room), *der = OPENSSL_zalloc(room);
	EVP_PKEY *key = NULL;

	for (; base64 != NULL && *p != '\0' && strncmp(p, "-----END", 8) != 0; p++)
		if (!text_is_space(*p))
			base64[n++] = (unsigned char)*p;
	if (base64 != NULL && der != NULL && n > 0 && n % 4 == 0) {
		int len = EVP_DecodeBlock(der, base64, (int)n);
		const unsigned char *at = der;

		if (len > 0)
			key = d2i_AutoPrivateKey(NULL, &at, len);
	}
	OPENSSL_clear_free(base64, room);
	OPENSSL_clear_free(der, room);
	ERR_clear_error();
	return key;
}

/* judge_key - is this a key we sign with? Sets type and bits, or *error_r. */
static int
judge_key(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path, EVP_PKEY *key,
    struct parsed *secret, const char **error_r)
{
	int id = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);

	if (id == EVP_PKEY_ED25519) {
		secret->type = KEYRING_ED25519;
		secret->bits = 256;
		return 0;
	}
	if (id != EVP_PKEY_RSA) {
		*error_r = mem_printf(ctx,
		    "%s: is neither an RSA nor an Ed25519 key (RFC 6376, RFC 8463); "
		    "make one with: openssl genrsa -out %s 2048",
		    path, path);
		return -1;
	}
	if (bits < (int)options->min_rsa_bits) {
		*error_r = mem_printf(ctx,
		    "%s: an RSA key of %d bits is too short, %u are the least (RFC 8301); "
		    "make one with: openssl genrsa -out %s 2048",
		    path, bits, options->min_rsa_bits, path);
		return -1;
	}
	secret->type = KEYRING_RSA;
	secret->bits = (unsigned int)bits;
	return 0;
}

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

/* accept_key - judge a key and keep it; takes over key */
static int
accept_key(TALLOC_CTX *ctx, const char *where, EVP_PKEY *key, struct keyring_secret *secret,
    const char **error_r)
{
	struct parsed *parsed = mem_check(calloc(1, sizeof(*parsed)));
	int result = -1;

	if (key == NULL)
		*error_r = mem_printf(ctx, "%s: holds no private key in PEM without a passphrase; "
		    "it should begin with -----BEGIN PRIVATE KEY-----", where);
	else if (judge_key(ctx, &secret->keyring->options, where, key, parsed, error_r) == 0) {
		result = key_shortcut_add(key, parsed->handle);
		if (result != 0)
			*error_r = mem_printf(
			    ctx, "%s: no memory or no randomness to keep the key", where);
	}
	EVP_PKEY_free(key);
	if (result == 0)
		publish(secret, parsed);
	else
		free(parsed);
	return result;
}

/* parse_key - read a key that was not read yet */
static int
parse_key(TALLOC_CTX *ctx, const char *where, struct keyring_secret *secret, const char **error_r)
{
	struct stat st;
	int fd, result;

	if (secret->text != NULL)
		return accept_key(ctx, where, keyring_read_text(secret->text), secret, error_r);
	fd = open_key(ctx, &secret->keyring->options, where, &st, error_r);
	if (fd < 0)
		return -1;
	result = accept_key(ctx, where, read_key(fd, (size_t)st.st_size), secret, error_r);
	close(fd);
	return result;
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
		*error_r = mem_printf(ctx, "%s: its public half cannot be had", key->file);
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
		advise(report, mem_printf(report->ctx, "%s: an RSA key of %u bits is short; "
		    "use %d (RFC 8301)", key->file, parsed->bits, RSA_BITS_ADVISED));
	if (parsed->bits > RSA_BITS_KNOWN)
		advise(report,
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
	struct stat st;
	int result = 0;

	if (keyring->n_parsed < keyring->options.eager) {
		keyring->n_parsed++;
		result = parse_key(scratch, key->file, key->secret, &error);
		if (result == 0)
			advise_key(report, key);
	} else if (key->secret->text == NULL) {
		/* it is opened, and looked at again, when it is first used */
		error = stat(key->file, &st) != 0 ? cannot_open(scratch, key->file) :
		    file_mistake(scratch, &keyring->options, key->file, &st);
		result = error != NULL ? -1 : 0;
	}
	if (result != 0)
		keyring_report_unusable(keyring, report, key->domain, error);
	talloc_free(scratch);
}

/* --- keys one by one --------------------------------------------------- */

/* keyring_hash_of - of a name; names are the administrator's, so no seed */
static size_t
keyring_hash_of(const char *text)
{
	uint64_t hash = hash_text(HASH_START, text);

	return (size_t)(hash ^ (hash >> 32));
}

/* named_slot - where a path is, or would be; there is room */
static struct named *
named_slot(struct named *slots, size_t room, const char *path)
{
	size_t slot = keyring_hash_of(path) & (room - 1);

	while (slots[slot].path != NULL && strcmp(slots[slot].path, path) != 0)
		slot = (slot + 1) & (room - 1);
	return &slots[slot];
}

/* grow_named - make room for one more path */
static void
grow_named(struct keyring *keyring)
{
	size_t room = keyring->named_room == 0 ? 64 : keyring->named_room * 2;
	struct named *slots;

	if (2 * keyring->n_named < keyring->named_room)
		return;
	slots = mem_array(keyring, struct named, room);
	for (size_t i = 0; i < keyring->named_room; i++)
		if (keyring->named[i].path != NULL)
			*named_slot(slots, room, keyring->named[i].path) = keyring->named[i];
	talloc_free(keyring->named);
	keyring->named = slots;
	keyring->named_room = room;
}

struct keyring_key
keyring_add_file(struct keyring *keyring, const char *domain, const char *selector,
    const char *file, struct keyring_report *report)
{
	struct keyring_key key = { .domain = domain, .selector = selector };
	struct named *named;

	grow_named(keyring);
	named = named_slot(keyring->named, keyring->named_room, file);
	keyring->n_keys++;
	if (named->path != NULL) {
		key.file = named->path;
		key.secret = named->secret;
		return key;
	}
	*named = (struct named){ cut_text(keyring, file), new_secret(keyring, NULL) };
	keyring->n_named++;
	key.file = named->path;
	key.secret = named->secret;
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

/* free_borrowed - the end of a file that is out of its bucket */
static void
free_borrowed(struct borrowed *borrowed)
{
	wipe_secret(&borrowed->secret);
	free(borrowed->path);
	free(borrowed);
}

/* keyring_take_idlest - take the file that was not used for longest out of its bucket; NULL: all
 * are in use */
static struct borrowed *
keyring_take_idlest(struct keyring *keyring)
{
	struct borrowed **oldest = NULL, *taken;

	for (size_t i = 0; i < BORROWED_BUCKETS; i++)
		for (struct borrowed **p = &keyring->buckets[i]; *p != NULL; p = &(*p)->next)
			if ((*p)->users == 0 && (oldest == NULL || (*p)->used < (*oldest)->used))
				oldest = p;
	if (oldest == NULL)
		return NULL;
	taken = *oldest;
	*oldest = taken->next;
	keyring->n_borrowed--;
	return taken;
}

/* return_key - destructor of a borrowed key */
static int
return_key(struct keyring_key *key)
{
	struct keyring *keyring = key->secret->keyring;
	struct borrowed *borrowed = (struct borrowed *)(void *)((char *)key->secret -
	    offsetof(struct borrowed, secret));

	pthread_mutex_lock(&keyring->lock);
	borrowed->users--;
	pthread_mutex_unlock(&keyring->lock);
	return 0;
}

/* new_borrowed - a file that was not asked for before */
static struct borrowed *
new_borrowed(struct keyring *keyring, const char *file)
{
	struct borrowed *borrowed = mem_check(calloc(1, sizeof(*borrowed)));

	borrowed->path = mem_check(strdup(file));
	atomic_init(&borrowed->secret.parsed, NULL);
	borrowed->secret.keyring = keyring;
	return borrowed;
}

struct keyring_key *
keyring_borrow(TALLOC_CTX *ctx, struct keyring *keyring, const char *domain, const char *selector,
    const char *file)
{
	struct keyring_key *key = mem_new(ctx, struct keyring_key);
	struct borrowed **bucket = &keyring->buckets[keyring_hash_of(file) % BORROWED_BUCKETS],
			*found;
	struct borrowed *surplus = NULL;

	pthread_mutex_lock(&keyring->lock);
	for (found = *bucket; found != NULL && strcmp(found->path, file) != 0; found = found->next)
		;
	if (found == NULL) {
		if (keyring->n_borrowed >= KEYRING_BORROWED)
			surplus = keyring_take_idlest(keyring);
		found = new_borrowed(keyring, file);
		found->next = *bucket;
		*bucket = found;
		keyring->n_borrowed++;
	}
	found->users++;
	found->used = ++keyring->tick;
	pthread_mutex_unlock(&keyring->lock);
	if (surplus != NULL)
		free_borrowed(surplus);
	*key = (struct keyring_key){ .domain = mem_strdup(key, domain),
		.selector = mem_strdup(key, selector),
		.file = mem_strdup(key, file),
		.secret = &found->secret };
	talloc_set_destructor(key, return_key);
	return key;
}

/* --- the directories --------------------------------------------------- */

/* keyring_free - destructor: every key leaves the registry */
static int
keyring_free(struct keyring *keyring)
{
	for (struct keyring_secret *secret = keyring->secrets; secret != NULL;
	     secret = secret->next)
		wipe_secret(secret);
	for (size_t i = 0; i < BORROWED_BUCKETS; i++)
		while (keyring->buckets[i] != NULL) {
			struct borrowed *borrowed = keyring->buckets[i];

			keyring->buckets[i] = borrowed->next;
			free_borrowed(borrowed);
		}
	pthread_mutex_destroy(&keyring->lock);
	return 0;
}

/* open_directory - open a directory and check who may write to it; NULL after a report, or for a
 * file that may be one */
static DIR *
open_directory(struct keyring_report *report, const struct keyring_options *options,
    const char *path, bool may_be_file)
{
	DIR *dir = opendir(path);
	struct stat st;

	if (dir == NULL && errno == ENOTDIR && may_be_file)
		return NULL;
	if (dir == NULL || fstat(dirfd(dir), &st) != 0) {
		keyring_tell(report,
		    mem_printf(report->ctx,
			"%s: %s; it must be a directory that the daemon can read", path,
			strerror(errno)));
		if (dir != NULL)
			closedir(dir);
		return NULL;
	}
	if (st.st_uid != 0 && st.st_uid != options->uid)
		keyring_tell(report,
		    owner_mistake(report->ctx, options, path, st.st_uid, "put keys there"));
	if ((st.st_mode & S_IWOTH) != 0 ||
	    ((st.st_mode & S_IWGRP) != 0 && st.st_gid != options->gid && st.st_gid != 0))
		keyring_tell(report,
		    mem_printf(report->ctx, "%s: others could put keys there; run: chmod go-w %s",
			path, path));
	return dir;
}

/* compare_names - for qsort, last first */
static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)b, *(const char *const *)a);
}

/* keyring_read_names - the names in a directory that do not begin with a dot, last first */
static const char **
keyring_read_names(TALLOC_CTX *ctx, struct keyring_report *report,
    const struct keyring_options *options, const char *path, bool may_be_file, size_t *n_r)
{
	DIR *dir = open_directory(report, options, path, may_be_file);
	const char **names = NULL;
	struct dirent *entry;
	size_t room = 0;

	*n_r = 0;
	if (dir == NULL)
		return NULL;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (*n_r == room) {
			room = room == 0 ? 16 : room * 2;
			names = mem_grow(ctx, names, const char *, room);
		}
		names[(*n_r)++] = mem_strdup(ctx, entry->d_name);
	}
	closedir(dir);
	if (*n_r > 1)
		qsort(names, *n_r, sizeof(*names), compare_names);
	return names;
}

/* is_key_name - does this file name end in ".pem", with something before it? */
static bool
is_key_name(const char *name)
{
	size_t len = strlen(name), tail = sizeof(SUFFIX) - 1;

	return len > tail && strcmp(name + len - tail, SUFFIX) == 0;
}

bool
keyring_is_selector(const char *text)
{
	return strlen(text) <= SELECTOR_MAX && domain_is_labels(text);
}

/* load_key - one file of a domain's directory */
static void
load_key(struct keyring *keyring, struct keyring_domain *domain, const char *path,
    const char *selector, struct keyring_report *report)
{
	struct keyring_key *key = &domain->keys[domain->n++];

	*key = (struct keyring_key){ .domain = domain->name,
		.selector = cut_text(keyring, selector),
		.file = cut_text(keyring, path),
		.secret = new_secret(keyring, NULL) };
	keyring->n_keys++;
	keyring_check_key(keyring, key, report);
}

/* advise_domain - an Ed25519 key alone is a signature few can verify (RFC 8463 section 6) */
static void
advise_domain(struct keyring_report *report, const struct keyring_domain *domain)
{
	for (size_t i = 0; i < domain->n; i++) {
		const struct parsed *parsed = atomic_load(&domain->keys[i].secret->parsed);

		if (parsed == NULL || parsed->type == KEYRING_RSA)
			return;
	}
	if (domain->n > 0)
		advise(report,
		    mem_printf(report->ctx,
			"%s: has Ed25519 keys only, which many receivers "
			"do not know; put an RSA key beside them",
			domain->name));
}

/* keyring_load_keys - the key files among these names */
static void
keyring_load_keys(struct keyring *keyring, struct keyring_domain *domain, const char *path,
    const char **names, size_t n, struct keyring_report *report)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);

	for (size_t i = 0; i < n; i++) {
		if (!is_key_name(names[i]))
			continue;

		char *selector =
		    mem_strndup(scratch, names[i], strlen(names[i]) - (sizeof(SUFFIX) - 1));
		char *file = mem_printf(scratch, "%s/%s", path, names[i]);

		if (keyring_is_selector(selector))
			load_key(keyring, domain, file, selector, report);
		else
			keyring_tell(report,
			    mem_printf(report->ctx,
				"%s: its name is no selector; use letters, digits, "
				"hyphens and single dots before " SUFFIX,
				file));
	}
	talloc_free(scratch);
}

/* load_domain - all keys of a domain's directory */
static void
load_domain(struct keyring *keyring, const char *path, const char *name,
    struct keyring_report *report)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	struct keyring_domain *domain = &keyring->domains[keyring->n_domains];
	size_t n, keys = 0;
	const char **names = keyring_read_names(scratch, report, &keyring->options, path, true, &n);

	for (size_t i = 0; i < n; i++)
		keys += is_key_name(names[i]);
	if (keys > KEYRING_DOMAIN_KEYS)
		keyring_tell(report,
		    mem_printf(report->ctx,
			"%s: holds %zu keys, %d are the most, because each signs; "
			"remove the old ones",
			path, keys, KEYRING_DOMAIN_KEYS));
	if (keys > 0 && keys <= KEYRING_DOMAIN_KEYS) {
		*domain = (struct keyring_domain){ .name = cut_text(keyring, name),
		    .keys = cut(keyring, keys * sizeof(struct keyring_key)) };
		keyring_load_keys(keyring, domain, path, names, n, report);
		advise_domain(report, domain);
		keyring->n_domains += domain->n > 0;
	}
	talloc_free(scratch);
}

/* keyring_load_entry - one name in the top directory */
static void
keyring_load_entry(struct keyring *keyring, const char *directory, const char *name,
    struct keyring_report *report)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	char *path = mem_printf(scratch, "%s/%s", directory, name);
	const char *normal = domain_normalise(scratch, name, strlen(name), NULL);
	struct stat st;
	bool is_directory = true;

	/* what has the name of a domain is most likely its directory; opening it will tell */
	if (normal == NULL || strcmp(normal, name) != 0 || is_key_name(name)) {
		if (stat(path, &st) != 0)
			keyring_tell(report, mem_printf(report->ctx, "%s: %s", path, strerror(errno)));
		is_directory = S_ISDIR(st.st_mode);
	}
	if (is_directory && (normal == NULL || domain_is_literal(normal)))
		keyring_tell(report, mem_printf(report->ctx, "%s: its name is no domain", path));
	else if (is_directory && strcmp(normal, name) != 0)
		keyring_tell(report,
		    mem_printf(report->ctx,
			"%s: must be written in lower case and A-labels; "
			"rename it to %s",
			path, normal));
	else if (is_directory)
		load_domain(keyring, path, name, report);
	else if (is_key_name(name))
		keyring_tell(report, mem_printf(report->ctx, "%s: lies beside the domains' directories; "
		    "move it to %s/<domain>/<selector>" SUFFIX, path, directory));
	talloc_free(scratch);
}

/* --- looking up -------------------------------------------------------- */

/* build_slots - the hash table, once all domains are known */
static void
build_slots(struct keyring *keyring)
{
	talloc_free(keyring->slots);
	keyring->n_slots = 8;
	while (keyring->n_slots < 2 * keyring->n_domains)
		keyring->n_slots *= 2;
	keyring->slots = mem_array(keyring, size_t, keyring->n_slots);
	for (size_t i = 0; i < keyring->n_domains; i++) {
		size_t slot = keyring_hash_of(keyring->domains[i].name) & (keyring->n_slots - 1);

		while (keyring->slots[slot] != 0)
			slot = (slot + 1) & (keyring->n_slots - 1);
		keyring->slots[slot] = i + 1;
	}
}

const struct keyring_domain *
keyring_find(const struct keyring *keyring, const char *domain)
{
	size_t slot = keyring_hash_of(domain) & (keyring->n_slots - 1);

	for (; keyring->slots[slot] != 0; slot = (slot + 1) & (keyring->n_slots - 1)) {
		const struct keyring_domain *found = &keyring->domains[keyring->slots[slot] - 1];

		if (strcmp(found->name, domain) == 0)
			return found;
	}
	return NULL;
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
	return keyring->n_domains;
}

struct keyring_key *
keyring_all(TALLOC_CTX *ctx, const struct keyring *keyring, size_t *n_r)
{
	struct keyring_key *keys = mem_array(ctx, struct keyring_key, keyring->n_keys + 1);

	*n_r = 0;
	for (size_t i = 0; i < keyring->n_domains; i++)
		for (size_t k = 0; k < keyring->domains[i].n; k++)
			keys[(*n_r)++] = keyring->domains[i].keys[k];
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
	pthread_mutex_init(&keyring->lock, NULL);
	talloc_set_destructor(keyring, keyring_free);
	build_slots(keyring);
	return keyring;
}

struct keyring *
keyring_load(TALLOC_CTX *ctx, const char *directory, const struct keyring_options *options,
    const char **warnings_r, const char **error_r)
{
	struct keyring_report report = { .ctx = ctx };
	struct keyring *keyring = keyring_new(ctx, options);
	TALLOC_CTX *scratch = mem_new(NULL, char);
	size_t n;
	const char **names =
	    keyring_read_names(scratch, &report, &keyring->options, directory, false, &n);

	keyring->domains = mem_array(keyring, struct keyring_domain, n + 1);
	for (size_t i = 0; i < n; i++)
		keyring_load_entry(keyring, directory, names[i], &report);
	talloc_free(scratch);
	build_slots(keyring);

	*warnings_r = report.warnings;
	if (report.n_errors == 0)
		return keyring;
	*error_r = report.errors;
	talloc_free(keyring);
	return NULL;
}

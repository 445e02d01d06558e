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
 * file that went bad meanwhile is an error of that message, and told there.
 *
 * Once parsed, a key lives in OpenSSL's memory and in the registry of
 * key_shortcut.c; its text is wiped at once.
 *
 * Threads: see keyring.h. Each key has a lock of its own for its first use.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "filter/key_shortcut.h"
#include "filter/keyring.h"
#include "policy/domain.h"
#include "policy/mem.h"

#define MISTAKES_TOLD	20	/* of one load */
#define RSA_BITS_ADVISED	2048	/* RFC 8301 section 3.2 */
#define RSA_BITS_KNOWN	4096	/* larger ones verifiers need not support, ibidem */
#define SUFFIX		".pem"

/* The key behind a file. */
struct keyring_secret {
	pthread_mutex_t lock;	/* guards the rest */
	bool parsed;		/* the rest is set, and does not change any more */
	char handle[KEY_SHORTCUT_HANDLE];
	enum keyring_type type;
	unsigned int bits;
	const struct keyring *keyring;
};

struct keyring {
	struct keyring_options options;
	struct keyring_domain *domains;
	size_t n_domains;
	size_t n_keys;
	size_t *slots;		/* hash table: index into domains, plus 1; 0: free */
	size_t n_slots;		/* a power of two, at least twice n_domains */
};

/* What is to be told of a load. */
struct report {
	TALLOC_CTX *ctx;
	char *text;		/* lines so far, or NULL */
	size_t n;		/* also those that are not told */
};

/* tell - one more line; takes over line */
static void
tell(struct report *report, char *line)
{
	report->n++;
	if (report->n == MISTAKES_TOLD + 1) {
		talloc_free(line);
		line = mem_strdup(report->ctx, "(and more)");
	} else if (report->n > MISTAKES_TOLD) {
		talloc_free(line);
		return;
	}
	report->text = report->text == NULL ? mem_strdup(report->ctx, line) :
	    mem_check(talloc_asprintf_append_buffer(report->text, "\n%s", line));
	talloc_free(line);
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

/* file_mistake - what is wrong with this file's state, or NULL */
static char *
file_mistake(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path,
    const struct stat *st)
{
	unsigned int mode = (unsigned int)st->st_mode & 07777;

	if (!S_ISREG(st->st_mode))
		return mem_printf(ctx, "%s: is no regular file; put the key itself there", path);
	if (st->st_uid != 0 && st->st_uid != options->uid)
		return mem_printf(ctx, "%s: belongs to user id %lu, who could change it; run: chown root %s",
		    path, (unsigned long)st->st_uid, path);
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
		return mem_printf(ctx, "%s: has %lld octets; a private key in PEM has some thousand",
		    path, (long long)st->st_size);
	return NULL;
}

/* open_key - open a key file and check it; its descriptor, or -1 and *error_r */
static int
open_key(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path,
    struct stat *st_r, const char **error_r)
{
	/* O_NONBLOCK: a FIFO must not hold up the start. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		*error_r = mem_printf(ctx, "%s: %s; give it to root and to the daemon's group, mode 0640",
		    path, strerror(errno));
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

/* no_passphrase - OpenSSL would ask on the terminal */
static int
no_passphrase(char *buf, int size, int writing, void *state)
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
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	OPENSSL_clear_free(text, size);
	ERR_clear_error();
	return key;
}

/* judge_key - is this a key we sign with? Sets type and bits, or *error_r. */
static int
judge_key(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path, EVP_PKEY *key,
    struct keyring_secret *secret, const char **error_r)
{
	int id = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);

	if (id == EVP_PKEY_ED25519) {
		secret->type = KEYRING_ED25519;
		secret->bits = 256;
		return 0;
	}
	if (id != EVP_PKEY_RSA) {
		*error_r = mem_printf(ctx, "%s: is neither an RSA nor an Ed25519 key (RFC 6376, RFC 8463); "
		    "make one with: openssl genrsa -out %s 2048", path, path);
		return -1;
	}
	if (bits < (int)options->min_rsa_bits) {
		*error_r = mem_printf(ctx, "%s: an RSA key of %d bits is too short, %u are the least (RFC 8301); "
		    "make one with: openssl genrsa -out %s 2048", path, bits, options->min_rsa_bits, path);
		return -1;
	}
	secret->type = KEYRING_RSA;
	secret->bits = (unsigned int)bits;
	return 0;
}

/* parse_key - read a file that was opened; secret->lock is held, or nobody else knows of it */
static int
parse_key(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path, int fd,
    size_t size, struct keyring_secret *secret, const char **error_r)
{
	EVP_PKEY *key = read_key(fd, size);
	int result = -1;

	if (key == NULL) {
		*error_r = mem_printf(ctx, "%s: holds no private key in PEM without a passphrase; "
		    "it should begin with -----BEGIN PRIVATE KEY-----", path);
	} else if (judge_key(ctx, options, path, key, secret, error_r) == 0) {
		result = key_shortcut_add(key, secret->handle);
		if (result != 0)
			*error_r = mem_printf(ctx, "%s: no memory or no randomness to keep the key", path);
	}
	EVP_PKEY_free(key);
	secret->parsed = result == 0;
	return result;
}

int
keyring_ready(TALLOC_CTX *ctx, const struct keyring_key *key, struct keyring_ready *ready_r,
    const char **error_r)
{
	struct keyring_secret *secret = key->secret;
	const struct keyring_options *options = &secret->keyring->options;
	struct stat st;
	int result = 0;

	pthread_mutex_lock(&secret->lock);
	if (!secret->parsed) {
		int fd = open_key(ctx, options, key->file, &st, error_r);

		result = -1;
		if (fd >= 0) {
			result = parse_key(ctx, options, key->file, fd, (size_t)st.st_size, secret, error_r);
			close(fd);
		}
	}
	pthread_mutex_unlock(&secret->lock);
	if (result == 0)
		*ready_r = (struct keyring_ready){ secret->handle, secret->type, secret->bits };
	return result;
}

/* --- the directories --------------------------------------------------- */

/* keyring_free - destructor: every key leaves the registry */
static int
keyring_free(struct keyring *keyring)
{
	for (size_t i = 0; i < keyring->n_domains; i++) {
		for (size_t j = 0; j < keyring->domains[i].n; j++) {
			struct keyring_secret *secret = keyring->domains[i].keys[j].secret;

			if (secret->parsed)
				key_shortcut_remove(secret->handle);
			pthread_mutex_destroy(&secret->lock);
			OPENSSL_cleanse(secret->handle, sizeof(secret->handle));
		}
	}
	return 0;
}

/* open_directory - open a directory and check who may write to it; NULL after a report */
static DIR *
open_directory(struct report *report, const struct keyring_options *options, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NONBLOCK);
	struct stat st;
	DIR *dir;

	if (fd < 0 || fstat(fd, &st) != 0 || (dir = fdopendir(fd)) == NULL) {
		tell(report, mem_printf(report->ctx, "%s: %s; it must be a directory that the daemon can read",
		    path, strerror(errno)));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	if (st.st_uid != 0 && st.st_uid != options->uid)
		tell(report, mem_printf(report->ctx, "%s: belongs to user id %lu, who could put keys there; "
		    "run: chown root %s", path, (unsigned long)st.st_uid, path));
	if ((st.st_mode & S_IWOTH) != 0 || ((st.st_mode & S_IWGRP) != 0 && st.st_gid != options->gid &&
	    st.st_gid != 0))
		tell(report, mem_printf(report->ctx, "%s: others could put keys there; run: chmod go-w %s",
		    path, path));
	return dir;
}

/* compare_names - for qsort, last first */
static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)b, *(const char *const *)a);
}

/* read_names - the names in a directory that do not begin with a dot, last first */
static const char **
read_names(TALLOC_CTX *ctx, struct report *report, const struct keyring_options *options,
    const char *path, size_t *n_r)
{
	DIR *dir = open_directory(report, options, path);
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

/* is_selector - RFC 6376 section 3.1: labels with dots between, as DNS would have them */
static bool
is_selector(const char *text)
{
	size_t label = 0, len = strlen(text);

	if (len > 200)
		return false;
	for (size_t i = 0; i <= len; i++) {
		char c = text[i];

		if (c == '.' || c == '\0') {
			if (label == 0 || label > DOMAIN_LABEL_MAX)
				return false;
			label = 0;
		} else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '_') {
			label++;
		} else {
			return false;
		}
	}
	return true;
}

/* advise - warnings about a key that was parsed */
static void
advise(struct report *warnings, const struct keyring_key *key)
{
	unsigned int bits = key->secret->bits;

	if (key->secret->type != KEYRING_RSA)
		return;
	if (bits < RSA_BITS_ADVISED)
		tell(warnings, mem_printf(warnings->ctx, "%s: an RSA key of %u bits is short; "
		    "use %d (RFC 8301)", key->file, bits, RSA_BITS_ADVISED));
	if (bits > RSA_BITS_KNOWN)
		tell(warnings, mem_printf(warnings->ctx, "%s: an RSA key of %u bits is more than verifiers "
		    "need to support; use %d (RFC 8301)", key->file, bits, RSA_BITS_ADVISED));
}

/* load_key - check one file, and parse it if it is among the first */
static void
load_key(struct keyring *keyring, struct keyring_domain *domain, const char *path,
    const char *selector, struct report *errors, struct report *warnings)
{
	const struct keyring_options *options = &keyring->options;
	struct keyring_key *key = &domain->keys[domain->n];
	const char *error = NULL;
	struct stat st;
	int fd = open_key(errors->ctx, options, path, &st, &error);

	if (fd < 0) {
		tell(errors, mem_strdup(errors->ctx, error));
		return;
	}
	*key = (struct keyring_key){ .domain = domain->name, .selector = mem_strdup(domain->keys, selector),
	    .file = mem_strdup(domain->keys, path), .secret = mem_new(domain->keys, struct keyring_secret) };
	key->secret->keyring = keyring;
	pthread_mutex_init(&key->secret->lock, NULL);
	domain->n++;

	if (keyring->n_keys < options->eager) {
		if (parse_key(errors->ctx, options, path, fd, (size_t)st.st_size, key->secret, &error) != 0)
			tell(errors, mem_strdup(errors->ctx, error));
		else
			advise(warnings, key);
	}
	keyring->n_keys++;
	close(fd);
}

/* advise_domain - an Ed25519 key alone is a signature few can verify (RFC 8463 section 6) */
static void
advise_domain(struct report *warnings, const struct keyring_domain *domain)
{
	for (size_t i = 0; i < domain->n; i++)
		if (!domain->keys[i].secret->parsed || domain->keys[i].secret->type == KEYRING_RSA)
			return;
	if (domain->n > 0)
		tell(warnings, mem_printf(warnings->ctx, "%s: has Ed25519 keys only, which many receivers "
		    "do not know; put an RSA key beside them", domain->name));
}

/* load_domain - all keys of a domain's directory */
static void
load_domain(struct keyring *keyring, const char *path, const char *name, struct report *errors,
    struct report *warnings)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	struct keyring_domain *domain = &keyring->domains[keyring->n_domains];
	size_t n, keys = 0;
	const char **names = read_names(scratch, errors, &keyring->options, path, &n);

	for (size_t i = 0; i < n; i++)
		keys += is_key_name(names[i]);
	if (keys > KEYRING_DOMAIN_KEYS)
		tell(errors, mem_printf(errors->ctx, "%s: holds %zu keys, %d are the most, because each signs; "
		    "remove the old ones", path, keys, KEYRING_DOMAIN_KEYS));
	if (keys == 0 || keys > KEYRING_DOMAIN_KEYS) {
		talloc_free(scratch);
		return;
	}

	*domain = (struct keyring_domain){ .name = mem_strdup(keyring->domains, name),
	    .keys = mem_array(keyring->domains, struct keyring_key, keys) };
	for (size_t i = 0; i < n; i++) {
		if (!is_key_name(names[i]))
			continue;

		char *selector = mem_strndup(scratch, names[i], strlen(names[i]) - (sizeof(SUFFIX) - 1));
		char *file = mem_printf(scratch, "%s/%s", path, names[i]);

		if (is_selector(selector))
			load_key(keyring, domain, file, selector, errors, warnings);
		else
			tell(errors, mem_printf(errors->ctx, "%s: its name is no selector; use letters, digits, "
			    "hyphens and single dots before " SUFFIX, file));
	}
	advise_domain(warnings, domain);
	keyring->n_domains += domain->n > 0;
	talloc_free(scratch);
}

/* load_entry - one name in the top directory */
static void
load_entry(struct keyring *keyring, const char *directory, const char *name, struct report *errors,
    struct report *warnings)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	char *path = mem_printf(scratch, "%s/%s", directory, name);
	const char *normal = domain_normalise(scratch, name, strlen(name), NULL);
	struct stat st;

	if (stat(path, &st) != 0)
		tell(errors, mem_printf(errors->ctx, "%s: %s", path, strerror(errno)));
	else if (S_ISDIR(st.st_mode) && (normal == NULL || domain_is_literal(normal)))
		tell(errors, mem_printf(errors->ctx, "%s: its name is no domain", path));
	else if (S_ISDIR(st.st_mode) && strcmp(normal, name) != 0)
		tell(errors, mem_printf(errors->ctx, "%s: must be written in lower case and A-labels; "
		    "rename it to %s", path, normal));
	else if (S_ISDIR(st.st_mode))
		load_domain(keyring, path, name, errors, warnings);
	else if (is_key_name(name))
		tell(errors, mem_printf(errors->ctx, "%s: lies beside the domains' directories; "
		    "move it to %s/<domain>/<selector>" SUFFIX, path, directory));
	talloc_free(scratch);
}

/* --- looking up -------------------------------------------------------- */

/* hash_name - FNV-1a; the names are the administrator's, so no seed */
static size_t
hash_name(const char *name)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
	return (size_t)(hash ^ (hash >> 32));
}

/* build_slots - the hash table, once all domains are known */
static void
build_slots(struct keyring *keyring)
{
	keyring->n_slots = 8;
	while (keyring->n_slots < 2 * keyring->n_domains)
		keyring->n_slots *= 2;
	keyring->slots = mem_array(keyring, size_t, keyring->n_slots);
	for (size_t i = 0; i < keyring->n_domains; i++) {
		size_t slot = hash_name(keyring->domains[i].name) & (keyring->n_slots - 1);

		while (keyring->slots[slot] != 0)
			slot = (slot + 1) & (keyring->n_slots - 1);
		keyring->slots[slot] = i + 1;
	}
}

const struct keyring_domain *
keyring_find(const struct keyring *keyring, const char *domain)
{
	size_t slot = hash_name(domain) & (keyring->n_slots - 1);

	for (; keyring->slots[slot] != 0; slot = (slot + 1) & (keyring->n_slots - 1)) {
		const struct keyring_domain *found = &keyring->domains[keyring->slots[slot] - 1];

		if (strcmp(found->name, domain) == 0)
			return found;
	}
	return NULL;
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

struct keyring *
keyring_load(TALLOC_CTX *ctx, const char *directory, const struct keyring_options *options,
    const char **warnings_r, const char **error_r)
{
	struct report errors = { .ctx = ctx }, warnings = { .ctx = ctx };
	struct keyring *keyring = mem_new(ctx, struct keyring);
	TALLOC_CTX *scratch = mem_new(NULL, char);
	size_t n;

	keyring->options = *options;
	if (keyring->options.min_rsa_bits == 0)
		keyring->options.min_rsa_bits = 1024;
	if (keyring->options.eager == 0)
		keyring->options.eager = KEYRING_EAGER;
	talloc_set_destructor(keyring, keyring_free);

	const char **names = read_names(scratch, &errors, &keyring->options, directory, &n);

	keyring->domains = mem_array(keyring, struct keyring_domain, n + 1);
	for (size_t i = 0; i < n; i++)
		load_entry(keyring, directory, names[i], &errors, &warnings);
	talloc_free(scratch);
	build_slots(keyring);

	*warnings_r = warnings.text;
	if (errors.n == 0)
		return keyring;
	*error_r = errors.text;
	talloc_free(keyring);
	return NULL;
}

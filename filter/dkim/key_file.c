/*
 * key_file.c - one private key: its file checked, read and judged
 *
 * A file is looked at through an open descriptor, so that what is checked is what is read: its
 * kind, owner and mode, and that the user the daemon ends up as can read it (a reload happens as
 * that user). Its text is wiped as soon as OpenSSL has the key.
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "filter/dkim/key_file.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

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

char *
key_file_owner_error(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path,
    uid_t owner, const char *danger)
{
	/* another user may run the daemon and could not read root's file */
	if (options->uid == 0)
		return mem_printf(ctx,
		    "%s: belongs to user id %lu, but this is root; if the daemon runs as that user, "
		    "name it with the option user in the configuration, else run: chown root %s",
		    path, (unsigned long)owner, path);
	return mem_printf(ctx, "%s: belongs to user id %lu, who could %s; run: chown root %s", path,
	    (unsigned long)owner, danger, path);
}

/* file_error - what is wrong with this file's state, or NULL */
static char *
file_error(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path,
    const struct stat *st)
{
	unsigned int mode = (unsigned int)st->st_mode & 07777;

	if (!S_ISREG(st->st_mode))
		return mem_printf(ctx, "%s: is not a regular file; put the key itself there", path);
	if (st->st_uid != 0 && st->st_uid != options->uid)
		return key_file_owner_error(ctx, options, path, st->st_uid, "change it");
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
		    "%s: has %lld bytes; a private key in PEM has one to a few thousand", path,
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
		*error_r = file_error(ctx, options, path, st_r);
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

/* decode_text - the key in a text: base64 of DER, with or without the lines of PEM; or NULL */
static EVP_PKEY *
decode_text(const char *text)
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

/* judge_key - the key if countersign signs with its kind, else NULL and *error_r; takes over key */
static EVP_PKEY *
judge_key(TALLOC_CTX *ctx, const struct keyring_options *options, const char *where, EVP_PKEY *key,
    const char **error_r)
{
	if (key == NULL)
		*error_r = mem_printf(ctx, "%s: holds no private key in PEM without a passphrase; "
		    "it should begin with -----BEGIN PRIVATE KEY-----", where);
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		return key;
	else if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA)
		*error_r = mem_printf(ctx,
		    "%s: is neither an RSA nor an Ed25519 key (RFC 6376, RFC 8463); "
		    "make one with: openssl genrsa -out %s 2048", where, where);
	else if (EVP_PKEY_get_bits(key) < (int)options->min_rsa_bits)
		*error_r = mem_printf(ctx,
		    "%s: an RSA key of %d bits is too short, %u are the least (RFC 8301); "
		    "make one with: openssl genrsa -out %s 2048",
		    where, EVP_PKEY_get_bits(key), options->min_rsa_bits, where);
	else
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

EVP_PKEY *
key_file_read(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path,
    const char **error_r)
{
	struct stat st;
	EVP_PKEY *key;
	int fd = open_key(ctx, options, path, &st, error_r);

	if (fd < 0)
		return NULL;
	key = read_key(fd, (size_t)st.st_size);
	close(fd);
	return judge_key(ctx, options, path, key, error_r);
}

EVP_PKEY *
key_file_read_text(TALLOC_CTX *ctx, const struct keyring_options *options, const char *text,
    const char *where, const char **error_r)
{
	return judge_key(ctx, options, where, decode_text(text), error_r);
}

const char *
key_file_check(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path)
{
	struct stat st;

	return stat(path, &st) != 0 ? cannot_open(ctx, path) : file_error(ctx, options, path, &st);
}

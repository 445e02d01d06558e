/*
 * key_file.h - one private key: its file checked, read and judged
 *
 * Errors are one line on ctx that names the file and the cure.
 *
 * Threads: any.
 */
#ifndef FILTER_DKIM_KEY_FILE_H
#define FILTER_DKIM_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <talloc.h>

#include <openssl/evp.h>

#define KEYRING_FILE_MAX	(64 * 1024)	/* octets of a key file */

/* Users that files must be closed against, and what a key must be. */
struct keyring_options {
	uid_t uid;		/* the user the daemon finally runs as */
	gid_t gid;		/* its group; supplementary groups do not count */
	unsigned int min_rsa_bits; /* smaller RSA keys are refused; 0: 1024 (RFC 8301) */
	size_t eager;		/* keys parsed at load; 0: KEYRING_EAGER */
	/*
	 * May a domain do without a key that cannot be used? Then a warning is given and each use
	 * tries it again. domain: normal form, or NULL: not known. NULL: no domain may.
	 */
	bool (*tolerates)(const void *state, const char *domain);
	const void *state;	/* first argument of tolerates */
};

/* key_file_read - the key in a file, which the caller frees; or NULL and *error_r */
EVP_PKEY *key_file_read(TALLOC_CTX *ctx, const struct keyring_options *options, const char *path,
    const char **error_r);

/*
 * key_file_read_text - the key in a text, base64 of DER or PEM in one line; as key_file_read()
 * where: the place of the text, for errors.
 */
EVP_PKEY *key_file_read_text(TALLOC_CTX *ctx, const struct keyring_options *options,
    const char *text, const char *where, const char **error_r);

/* key_file_check - what is wrong with a file's kind, owner, mode or size, or NULL; it is not
 * opened */
const char *key_file_check(TALLOC_CTX *ctx, const struct keyring_options *options,
    const char *path);

/*
 * key_file_owner_error - the error for a file or directory of a user who is neither root nor the
 * daemon's. danger: what the owner could do.
 */
char *key_file_owner_error(TALLOC_CTX *ctx, const struct keyring_options *options,
    const char *path, uid_t owner, const char *danger);

#endif

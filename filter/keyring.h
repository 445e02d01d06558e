/*
 * keyring.h - the private keys of a configuration snapshot
 *
 * Layout: DIRECTORY/<domain>/<selector>.pem, domains by their normal form (lower
 * case, A-labels). Each file holds one private key in PEM, RSA or Ed25519,
 * without a passphrase. Names that begin with a dot or do not end in ".pem" are not
 * looked at, so a key is taken out of use by renaming it.
 *
 * Which keys sign: all of a domain (dkim_sign.c puts RSA ones first). So a change of
 * keys needs no switch: put the new file beside the old, publish its record,
 * remove the old file later; at each moment one of the signatures verifies.
 *
 * Ownership: a file must belong to root or to the user the daemon runs as, be
 * closed to others, and to its group unless that is the daemon's (0600, 0640 or
 * less); nobody else may be able to write to the two directories.
 *
 * Memory: a keyring is a talloc child of its context; freeing it releases every
 * key (OpenSSL wipes what it frees) once the last signature in flight is done.
 * Threads: loading and freeing belong to one thread; everything else may be
 * called by all threads at once. Nothing is allocated below a loaded keyring.
 */
#ifndef FILTER_KEYRING_H
#define FILTER_KEYRING_H

#include <stddef.h>
#include <sys/types.h>
#include <talloc.h>

#define KEYRING_FILE_MAX	(64 * 1024)	/* octets of a key file */
#define KEYRING_DOMAIN_KEYS	8		/* keys of one domain */
#define KEYRING_EAGER		500		/* keys parsed at load; of more, each at its first use */

struct keyring;

/* Whom the files must be closed against, and what a key must be. */
struct keyring_options {
	uid_t uid;		/* the user the daemon finally runs as */
	gid_t gid;		/* its group; supplementary groups do not count */
	unsigned int min_rsa_bits; /* smaller RSA keys are refused; 0: 1024 (RFC 8301) */
	size_t eager;		/* keys parsed at load; 0: KEYRING_EAGER */
};

/* One key file. */
struct keyring_key {
	const char *domain;	/* normal form */
	const char *selector;
	const char *file;	/* its path */
	struct keyring_secret *secret; /* the key itself; keyring.c only */
};

/* All keys of a domain, the lexically last selector first. */
struct keyring_domain {
	const char *name;	/* normal form */
	struct keyring_key *keys;
	size_t n;		/* at least 1 */
};

enum keyring_type {
	KEYRING_RSA,
	KEYRING_ED25519
};

/* A key that is ready to sign. */
struct keyring_ready {
	const char *handle;	/* what key_shortcut.h resolves; as long as the keyring lives */
	enum keyring_type type;
	unsigned int bits;	/* of the modulus; 256 for Ed25519 */
};

/*
 * keyring_load - read and check all keys below a directory
 *
 * Every file is opened and its owner and mode looked at; the first `eager` are
 * parsed. Returns NULL and *error_r on ctx: one line for each mistake (at most 20),
 * each naming the file and the cure. *warnings_r, on ctx, likewise or NULL: RSA keys
 * below 2048 bits, a domain with Ed25519 keys only (few verifiers know them).
 */
struct keyring *keyring_load(TALLOC_CTX *ctx, const char *directory,
    const struct keyring_options *options, const char **warnings_r, const char **error_r);

/* How many keys there are, and of how many domains. */
size_t keyring_keys(const struct keyring *keyring);
size_t keyring_domains(const struct keyring *keyring);

/*
 * keyring_find - the keys of a domain, or NULL where it has none
 * domain: normal form. Constant time on average.
 */
const struct keyring_domain *keyring_find(const struct keyring *keyring, const char *domain);

/*
 * keyring_ready - make sure that a key is parsed
 * Returns 0, or -1 and *error_r on ctx: the file cannot be read or parsed any more.
 */
int keyring_ready(TALLOC_CTX *ctx, const struct keyring_key *key, struct keyring_ready *ready_r,
    const char **error_r);

#endif

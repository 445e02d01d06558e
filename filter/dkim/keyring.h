/*
 * keyring.h - the private keys of a configuration snapshot
 *
 * Keys come from a directory with a fixed layout, or one by one from signers.h,
 * for OpenDKIM's KeyTable.
 *
 * Layout: DIRECTORY/<domain>/<selector>.pem, domains by their normal form (lower
 * case, A-labels). Each file holds one private key in PEM, RSA or Ed25519,
 * without a passphrase. Names that begin with a dot or do not end in ".pem" are not
 * looked at, so a key is taken out of use by renaming it.
 *
 * Which keys sign: all of a domain (sign.c puts RSA ones first). So a change of
 * keys needs no switch: put the new file next to the old, publish its record,
 * remove the old file later; at each moment one of the signatures verifies.
 *
 * Ownership: a file must belong to root or to the user the daemon runs as, be
 * closed to others, and to its group unless that is the daemon's (0600, 0640 or
 * less); no other user may write to the two directories.
 *
 * Memory: a keyring is a talloc child of its context; freeing it releases every
 * key (OpenSSL wipes what it frees) once the last signature in flight is done.
 * Threads: loading and freeing belong to one thread; everything else may be
 * called by all threads at once. Nothing is allocated below a loaded keyring but for
 * what keyring_borrow() keeps, with its own lock and outside talloc.
 */
#ifndef FILTER_DKIM_KEYRING_H
#define FILTER_DKIM_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include <openssl/evp.h>

#include "filter/dkim/key_file.h"

#define KEYRING_DOMAIN_KEYS	8		/* keys of one domain */
#define KEYRING_EAGER 500     /* keys parsed at load; of more, each at its first use */
#define KEYRING_BORROWED 4096 /* keys of files whose names depend on the sender, kept */

struct keyring;

/* What was found while keys are read: lines that name the file and the cure. */
struct keyring_report {
	TALLOC_CTX *ctx;	/* owns the texts */
	char *errors;		/* or NULL: what must be fixed before the keys are used */
	char *warnings;		/* or NULL */
	size_t n_errors;	/* also those beyond KEYRING_TOLD */
	size_t n_warnings;
};

#define KEYRING_TOLD	20	/* lines of either that are kept */

/* One key. */
struct keyring_key {
	const char *domain;	/* normal form */
	const char *selector;
	const char *file;	/* its path, or where else it stands */
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
 * each naming the file and the cure. *warnings_r, on ctx, or NULL: RSA keys
 * below 2048 bits, a domain with Ed25519 keys only (few verifiers know them).
 */
struct keyring *keyring_load(TALLOC_CTX *ctx, const char *directory,
    const struct keyring_options *options, const char **warnings_r, const char **error_r);

/* keyring_new - a keyring without keys. options are copied; their state must outlive it. */
struct keyring *keyring_new(TALLOC_CTX *ctx, const struct keyring_options *options);

/*
 * keyring_add_file, keyring_add_text - one more key, while the keyring is being made
 *
 * file: its path; checked as above. text: the key itself, base64 of DER or PEM in one line,
 * with where it stands; not copied. domain and selector are not copied either. The result lives as
 * long as the keyring; a key that cannot be used is reported and fails when used. A file that
 * is added again is read only once.
 */
struct keyring_key keyring_add_file(struct keyring *keyring, const char *domain,
    const char *selector, const char *file, struct keyring_report *report);
struct keyring_key keyring_add_text(struct keyring *keyring, const char *domain,
    const char *selector, const char *text, const char *where, struct keyring_report *report);

/*
 * keyring_add_domain, keyring_add_key - a domain with room for so many keys, and one of them
 * For keyring_directory.c. name, selector and file are copied.
 */
struct keyring_domain *keyring_add_domain(struct keyring *keyring, const char *name, size_t room);
void keyring_add_key(struct keyring *keyring, struct keyring_domain *domain, const char *selector,
    const char *file, struct keyring_report *report);

/* keyring_is_ed25519 - was the key parsed, and is it not an RSA key? */
bool keyring_is_ed25519(const struct keyring_key *key);

/* keyring_report_error, keyring_report_warning - one more line; takes over line, on report->ctx */
void keyring_report_error(struct keyring_report *report, char *line);
void keyring_report_warning(struct keyring_report *report, char *line);

/* keyring_report_unusable - report a key that cannot be used: an error, unless its domain may do
 * without */
void keyring_report_unusable(const struct keyring *keyring, struct keyring_report *report,
    const char *domain, const char *line);

/* The public half of a key, as in p= of its record. */
struct keyring_public {
	enum keyring_type type;
	unsigned int bits;
	unsigned char *octets; /* RSA: SubjectPublicKeyInfo (RFC 6376 3.6.1); Ed25519: the key
				  itself (RFC 8463 3.2) */
	size_t len;
};

/*
 * keyring_public - the public half of a key; parses it if that was not done yet
 * Returns 0 with octets on ctx, or -1 and *error_r on ctx.
 */
int keyring_public(TALLOC_CTX *ctx, const struct keyring_key *key, struct keyring_public *public_r,
    const char **error_r);

/* keyring_encode_public - the same of a key that is in no keyring; false: no memory, or another
 * type */
bool keyring_encode_public(TALLOC_CTX *ctx, const EVP_PKEY *key, struct keyring_public *public_r);

/* keyring_all - copies of all keys of the directory; *n_r of them, on ctx */
struct keyring_key *keyring_all(TALLOC_CTX *ctx, const struct keyring *keyring, size_t *n_r);

/* keyring_is_selector - RFC 6376 section 3.1: labels with dots between, as DNS would have them */
bool keyring_is_selector(const char *text);

/* The options of a keyring, defaults filled in. */
const struct keyring_options *keyring_options_of(const struct keyring *keyring);

/*
 * keyring_borrow - a key of a loaded keyring whose file's name depends on the sender
 * The result is a talloc child of ctx, which must go before the keyring does. The last
 * KEYRING_BORROWED files stay parsed. Never returns NULL; keyring_ready() returns whether it is
 * usable. Any thread.
 */
struct keyring_key *keyring_borrow(TALLOC_CTX *ctx, struct keyring *keyring, const char *domain,
    const char *selector, const char *file);

/* How many keys there are, and of how many domains. */
size_t keyring_keys(const struct keyring *keyring);
size_t keyring_domains(const struct keyring *keyring);

/*
 * keyring_find - the keys of a domain, or NULL if it has none
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

/*
 * key_shortcut.h - keys that libopendkim does not parse again for each message
 *
 * libopendkim gives a key to OpenSSL as text for every signature, which costs
 * more than the signature. So it is given a handle in place of the private
 * key, and the function it calls to parse it is ours (key_shortcut.c describes how
 * and why). THE PROGRAM MUST BE LINKED WITH -Wl,--export-dynamic, or with a
 * dynamic list that names PEM_read_bio_PrivateKey and d2i_PUBKEY_bio;
 * key_shortcut_selftest() fails if it was not. With ./configure --disable-key-shortcut handles
 * remain, libopendkim is given the key itself, and no function of OpenSSL is replaced.
 *
 * Threads: all functions may be called by any thread at any time.
 */
#ifndef FILTER_DKIM_KEY_SHORTCUT_H
#define FILTER_DKIM_KEY_SHORTCUT_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include <openssl/evp.h>

#define KEY_SHORTCUT_HANDLE	80	/* room for a handle, its NUL included */

/*
 * key_shortcut_add - register a private key
 * Takes a reference of its own on the key. Writes the handle: a line of text that
 * begins with five hyphens and that cannot be guessed. Returns 0, or -1 if
 * there is no memory or no randomness.
 */
int key_shortcut_add(EVP_PKEY *key, char handle_r[KEY_SHORTCUT_HANDLE]);

/* Forget a handle and drop the reference. Signatures in flight keep theirs. */
void key_shortcut_remove(const char *handle);

/* key_shortcut_key - the key of a handle, with a reference for the caller, or NULL */
EVP_PKEY *key_shortcut_key(const char *handle);

/*
 * key_shortcut_unref - drop a reference that the library took by this handle and never drops
 * For sign.c, which knows that there is one.
 */
void key_shortcut_unref(const char *handle);

/*
 * key_shortcut_text - what to give libopendkim as the key of a handle
 * A copy of the handle; without the shortcut (./configure --disable-key-shortcut) the key in PEM.
 * libopendkim copies it. NULL if there is no such key or no memory. To be freed with
 * key_shortcut_text_free(), which overwrites it.
 */
char *key_shortcut_text(const char *handle);
void key_shortcut_text_free(char *text);

/* What the shortcut has done so far, for metrics and tests. */
struct key_shortcut_counts {
	uint64_t private_hits;	/* handles resolved */
	uint64_t private_others; /* keys of other callers, forwarded to OpenSSL */
	uint64_t public_hits;	/* public keys found in the cache */
	uint64_t public_misses;	/* parsed by OpenSSL */
	uint64_t public_kept;	/* in the cache now; never more than its bound */
};

void key_shortcut_counts(struct key_shortcut_counts *counts_r);

/*
 * key_shortcut_selftest - is the shortcut in effect?
 * Makes libopendkim sign and verify with throw-away keys and looks whether our functions were
 * called. Returns 0, or -1 and *error_r on ctx. For start-up, before threads.
 */
int key_shortcut_selftest(TALLOC_CTX *ctx, const char **error_r);

#endif

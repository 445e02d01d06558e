/*
 * public_key.h - the p= tag of a key record as a key
 *
 * Threads: no state; any thread.
 */
#ifndef FILTER_DKIM_PUBLIC_KEY_H
#define FILTER_DKIM_PUBLIC_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include <openssl/evp.h>

#define PUBLIC_KEY_OCTETS	4096	/* longest DER looked at */

/* public_key_decode - base64 without white space; returns the octets written, 0 if it is none */
size_t public_key_decode(const char *text, unsigned char *octets_r, size_t size);

/*
 * public_key_read - the key of p=, or NULL if it is none of this type
 * p: base64 without white space. An RSA key is SubjectPublicKeyInfo or a bare RSAPublicKey
 * (RFC 6376 section 3.6.1 allows both); an Ed25519 key is bare (RFC 8463 section 4.2).
 */
EVP_PKEY *public_key_read(const char *p, bool ed25519);

/*
 * public_key_wrapped - an RSA key of either form as SubjectPublicKeyInfo, the one libopendkim reads
 * Returns p itself (not a copy) if it is wrapped already or is no RSA key, else base64 on ctx.
 */
const char *public_key_wrapped(TALLOC_CTX *ctx, const char *p);

#endif

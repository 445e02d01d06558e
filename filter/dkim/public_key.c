/*
 * public_key.c - the p= tag of a key record as a key
 *
 * Threads: see public_key.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "filter/dkim/public_key.h"
#include "policy/base/mem.h"

size_t
public_key_decode(const char *text, unsigned char *octets_r, size_t size)
{
	size_t len = strlen(text), pad = 0;
	int n;

	if (len == 0 || len % 4 != 0 || len / 4 * 3 > size)
		return 0;
	while (pad < 2 && text[len - 1 - pad] == '=')
		pad++;
	n = EVP_DecodeBlock(octets_r, (const unsigned char *)text, (int)len);
	return n < (int)pad ? 0 : (size_t)n - pad;
}

/*
 * is_bare_rsa - does this DER begin like RSAPublicKey (RFC 8017 appendix A.1.1)?
 * A sequence whose first member is an integer; that of SubjectPublicKeyInfo is a sequence.
 */
static bool
is_bare_rsa(const unsigned char *der, size_t len)
{
	size_t header = len > 1 && der[1] >= 0x80 ? 2 + (der[1] & 0x7fu) : 2;

	return len > header && der[0] == 0x30 && der[header] == 0x02;
}

EVP_PKEY *
public_key_read(const char *p, bool ed25519)
{
	unsigned char der[PUBLIC_KEY_OCTETS + 3];
	const unsigned char *at = der;
	size_t len = public_key_decode(p, der, sizeof(der));
	EVP_PKEY *key;

	if (len == 0)
		return NULL;
	if (ed25519)
		key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, der, len);
	else if (is_bare_rsa(der, len))
		key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)len);
	else
		key = d2i_PUBKEY(NULL, &at, (long)len);
	if (key != NULL && !ed25519 && EVP_PKEY_base_id(key) != EVP_PKEY_RSA) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	ERR_clear_error();
	return key;
}

const char *
public_key_wrapped(TALLOC_CTX *ctx, const char *p)
{
	unsigned char der[PUBLIC_KEY_OCTETS + 3], *wrapped = NULL;
	size_t len = public_key_decode(p, der, sizeof(der));
	EVP_PKEY *key = is_bare_rsa(der, len) ? public_key_read(p, false) : NULL;
	int n = key == NULL ? 0 : i2d_PUBKEY(key, &wrapped);

	EVP_PKEY_free(key);
	if (n <= 0)
		return p;

	unsigned char *text = mem_array(ctx, unsigned char, 4 * (((size_t)n + 2) / 3) + 1);

	(void)EVP_EncodeBlock(text, wrapped, n);
	OPENSSL_free(wrapped);
	return (const char *)text;
}

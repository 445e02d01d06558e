/*
 * keyed_mark.c - texts as 64 bits
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <openssl/evp.h>
#include <string.h>

#include "filter/base/keyed_mark.h"
#include "policy/base/mem.h"

uint64_t
keyed_mark(const void *key, size_t key_len, const char *text)
{
	unsigned char octets[EVP_MAX_MD_SIZE] = { 0 };
	EVP_MD_CTX *md = mem_check(EVP_MD_CTX_new());
	unsigned int len = 0;
	uint64_t mark = 0;

	if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(md, key, key_len) != 1 ||
	    EVP_DigestUpdate(md, text, strlen(text)) != 1 ||
	    EVP_DigestFinal_ex(md, octets, &len) != 1)
		mem_end("OpenSSL has no SHA-256");
	EVP_MD_CTX_free(md);
	for (size_t i = 0; i < sizeof(mark); i++)
		mark = mark << 8 | octets[i];
	return mark;
}

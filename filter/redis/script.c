/*
 * script.c - a Lua script that is called by its name
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <openssl/evp.h>
#include <stdio.h>

#include "filter/redis/script.h"

void
redis_script_init(struct redis_script *script, const char *text, size_t text_len)
{
	unsigned char octets[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	script->text = text;
	script->len = text_len;
	if (EVP_Digest(text, text_len, octets, &len, EVP_sha1(), NULL) != 1)
		len = 0;	/* an unknown name only means that the script is sent each time */
	script->digest[0] = '\0';
	for (unsigned int i = 0; i < len && 2 * i + 2 < REDIS_DIGEST_LEN; i++)
		(void)snprintf(script->digest + 2 * i, 3, "%02x", octets[i]);
}

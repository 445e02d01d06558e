/*
 * script.h - a Lua script that is called by its name (EVALSHA)
 *
 * Threads: set once, then only read.
 */
#ifndef FILTER_REDIS_SCRIPT_H
#define FILTER_REDIS_SCRIPT_H

#include <stddef.h>

#define REDIS_DIGEST_LEN 41	/* SHA-1 in hex, with NUL */

struct redis_script {
	const char *text;
	size_t len;
	char digest[REDIS_DIGEST_LEN];
};

/* redis_script_init - a script of len octets, which live as long; its name is their SHA-1 */
void redis_script_init(struct redis_script *script, const char *text, size_t len);

#endif

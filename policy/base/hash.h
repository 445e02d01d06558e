/*
 * hash.h - the hashes of the tables in memory; FNV-1a, also the sum of the counter file
 *
 * 64 bits, an octet at a time. Begin with HASH_START, with a secret seed mixed in if
 * strangers choose what is hashed, and go on from the result with more octets. The
 * low bits depend on few bits of each octet: fold the high half in before they select a slot.
 *
 * Threads: no state; any thread. Source: Fowler, Noll and Vo.
 */
#ifndef POLICY_BASE_HASH_H
#define POLICY_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "policy/base/text.h"

#define HASH_START	UINT64_C(14695981039346656037)

/* hash_octet - the hash with one octet more */
static inline uint64_t
hash_octet(uint64_t hash, unsigned char octet)
{
	return (hash ^ octet) * UINT64_C(1099511628211);
}

/* hash_octets - the hash with len octets more */
static inline uint64_t
hash_octets(uint64_t hash, const void *octets, size_t len)
{
	const unsigned char *at = octets;

	for (size_t i = 0; i < len; i++)
		hash = hash_octet(hash, at[i]);
	return hash;
}

/* hash_text - the hash with a text more, without its NUL */
static inline uint64_t
hash_text(uint64_t hash, const char *text)
{
	for (; *text != '\0'; text++)
		hash = hash_octet(hash, (unsigned char)*text);
	return hash;
}

/* hash_lower - the hash with len octets more, ASCII letters in lower case */
static inline uint64_t
hash_lower(uint64_t hash, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = hash_octet(hash, (unsigned char)text_lower(text[i]));
	return hash;
}


/* hash_mix - spread the bits of a number over all of it */
static inline uint64_t
hash_mix(uint64_t number)
{
	number = (number ^ number >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return number ^ number >> 32;
}

/*
 * hash_quick - another hash, eight octets at a time, all of whose bits are good
 * For what every message looks up and nothing that is kept depends on: the order of octets is the
 * machine's.
 */
static inline uint64_t
hash_quick(uint64_t seed, const char *octets, size_t len)
{
	uint64_t hash = seed ^ len, some;

	for (; len >= sizeof(some); octets += sizeof(some), len -= sizeof(some)) {
		memcpy(&some, octets, sizeof(some));
		hash = hash_mix(hash ^ some);
	}
	some = 0;
	memcpy(&some, octets, len);
	return hash_mix(hash ^ some);
}

#endif

/*
 * route.c - which node of a Redis Cluster has a key, and what redirections say
 *
 * As the Redis Cluster specification says: CRC16 (XMODEM) of the key's hash tag, modulo 16384.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/redis/route.h"
#include "policy/base/mem.h"

/* crc16 - CRC-16/XMODEM: polynomial 0x1021, from 0, highest bit first */
static uint16_t
crc16(const char *octets, size_t len)
{
	uint16_t crc = 0;

	for (size_t i = 0; i < len; i++) {
		crc = (uint16_t)(crc ^ (uint16_t)((uint8_t)octets[i] << 8));
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc;
}

/* redis_slot - the slot of a key */
unsigned int
redis_slot(const char *key, size_t len)
{
	const char *open = memchr(key, '{', len);
	const char *close = open == NULL ? NULL :
	    memchr(open + 1, '}', len - (size_t)(open + 1 - key));

	if (close != NULL && close > open + 1)
		return crc16(open + 1, (size_t)(close - open - 1)) % REDIS_SLOTS;
	return crc16(key, len) % REDIS_SLOTS;
}

/* redis_slot_of_command - the slot of a command's first key */
unsigned int
redis_slot_of_command(int argc, const char **argv, const size_t *argv_len)
{
	int key = strcasecmp(argv[0], "EVAL") == 0 || strcasecmp(argv[0], "EVALSHA") == 0 ? 3 : 1;

	return key < argc ? redis_slot(argv[key], argv_len[key]) : 0;
}

/* redis_redirect_kind - what kind of redirection an error is */
enum redis_redirect_kind
redis_redirect_kind(const char *error)
{
	if (error == NULL)
		return REDIS_REDIRECT_NONE;
	if (strncmp(error, "MOVED ", 6) == 0)
		return REDIS_REDIRECT_MOVED;
	if (strncmp(error, "ASK ", 4) == 0)
		return REDIS_REDIRECT_ASK;
	return strncmp(error, "TRYAGAIN", 8) == 0 ? REDIS_REDIRECT_TRYAGAIN : REDIS_REDIRECT_NONE;
}

/* redis_redirect_read - slot, host and port */
bool
redis_redirect_read(TALLOC_CTX *ctx, const char *error, struct redis_redirect *redirect)
{
	const char *text = strchr(error, ' '), *colon;
	char *end;
	unsigned long slot;

	redirect->kind = redis_redirect_kind(error);
	if (redirect->kind != REDIS_REDIRECT_MOVED && redirect->kind != REDIS_REDIRECT_ASK)
		return false;
	slot = strtoul(text + 1, &end, 10);
	colon = strrchr(end, ':');
	if (*end != ' ' || slot >= REDIS_SLOTS || colon == NULL || colon <= end + 1)
		return false;
	redirect->slot = (unsigned int)slot;
	redirect->host = mem_strndup(ctx, end + 1, (size_t)(colon - end - 1));
	redirect->port = mem_strndup(ctx, colon + 1, strspn(colon + 1, "0123456789"));
	return redirect->port[0] != '\0';
}

/* read_range - one entry of CLUSTER SLOTS; false when it is not of the expected shape */
static bool
read_range(TALLOC_CTX *ctx, const redisReply *entry, const char *asked, struct redis_range *range)
{
	const redisReply *node;

	if (entry->type != REDIS_REPLY_ARRAY || entry->elements < 3 ||
	    entry->element[0]->type != REDIS_REPLY_INTEGER ||
	    entry->element[1]->type != REDIS_REPLY_INTEGER || entry->element[0]->integer < 0 ||
	    entry->element[1]->integer >= REDIS_SLOTS ||
	    entry->element[0]->integer > entry->element[1]->integer)
		return false;
	node = entry->element[2];
	if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 ||
	    node->element[1]->type != REDIS_REPLY_INTEGER)
		return false;
	range->first = (unsigned int)entry->element[0]->integer;
	range->last = (unsigned int)entry->element[1]->integer;
	range->host =
	    node->element[0]->type == REDIS_REPLY_STRING && node->element[0]->str[0] != '\0'
	    ? mem_strdup(ctx, node->element[0]->str)
	    : asked;
	range->port = mem_printf(ctx, "%lld", node->element[1]->integer);
	return range->host != NULL;
}

/* redis_ranges_read - the answer to CLUSTER SLOTS */
struct redis_range *
redis_ranges_read(TALLOC_CTX *ctx, const redisReply *reply, const char *asked, size_t *n_r)
{
	size_t most = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
	struct redis_range *ranges = mem_array(ctx, struct redis_range, most + 1);

	*n_r = 0;
	for (size_t i = 0; i < most; i++)
		if (read_range(ctx, reply->element[i], asked, &ranges[*n_r]))
			(*n_r)++;
	return ranges;
}

/*
 * fuzz_milter.c - libFuzzer entry for what an MTA sends over the milter protocol
 *
 * The first octet says in what portions the rest comes. The portions must not change the answer,
 * and packets that pass are walked as libmilter walks them: a list of macros from name to name,
 * a host name to its NUL, a field to its value. Each packet is in memory of its own, so a step
 * beyond its end is seen.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filter/milter/packet.h"
#include "policy/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - end the run if something does not hold */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* walk_list - as dec_argv() of libmilter makes a list, and smfi_getsymval() looks for a name that
 * is not in it; returns how many strings there are */
static size_t
walk_list(TALLOC_CTX *ctx, char *octets, size_t len, bool pairs)
{
	size_t n = 0, seen = 0;
	char **list, **at;

	for (size_t i = 0; i < len; i++)
		n += octets[i] == '\0';
	list = mem_array(ctx, char *, n + 1);
	for (size_t i = 0, start = 0; i < len; i++) {
		if (octets[i] != '\0')
			continue;
		list[seen++] = octets + start;
		start = i + 1;
	}
	for (at = list; *at != NULL; at += pairs ? 2 : 1)
		seen += strcmp(*at, "i") == 0;
	must(at == list + n && seen >= n);
	return n;
}

/* walk_connect - as st_connectinfo() of libmilter */
static void
walk_connect(const char *octets, size_t len)
{
	size_t i = 0;

	while (octets[i] != '\0')
		i++;
	must(i + 1 < len);
	if (octets[++i] == 'U')
		return;
	must(i + 3 < len && octets[len - 1] == '\0');
	must(strlen(octets + i + 3) < len);
}

/* walk - a packet that passed */
static void
walk(TALLOC_CTX *ctx, const uint8_t *data, size_t len)
{
	/* exactly as long, so that the sanitizer sees a step beyond it */
	char *octets = len > 0 ? mem_check(malloc(len)) : NULL;

	if (len > 0)
		memcpy(octets, data, len);
	switch (data[-1]) {
	case 'D':
		must(len > 0);
		(void)walk_list(ctx, octets + 1, len - 1, true);
		break;
	case 'C':
		walk_connect(octets, len);
		break;
	case 'H':
	case 'U':
		must(strlen(octets) == len - 1);
		break;
	case 'M':
	case 'R':
		must(octets[len - 1] == '\0' && walk_list(ctx, octets, len, false) > 0);
		break;
	case 'L':
		must(octets[len - 1] == '\0' && octets[0] != '\0' && strlen(octets) + 1 < len);
		break;
	case 'O':
		must(len >= 12);
		break;
	case 'B':
		break;
	default:
		must(len == 0 && strchr("TNEAQ", data[-1]) != NULL);
	}
	free(octets);
}

/* walk_all - the packets that passed whole, of so many octets */
static void
walk_all(TALLOC_CTX *ctx, const uint8_t *data, size_t size)
{
	while (size >= PACKET_HEAD_OCTETS) {
		size_t len = (size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 |
		    data[3];

		must(len > 0);
		if (size < 4 + len)
			return;
		walk(ctx, data + PACKET_HEAD_OCTETS, len - 1);
		data += 4 + len;
		size -= 4 + len;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet_check whole = { 0 }, parts = { 0 };
	TALLOC_CTX *ctx;
	size_t good = 0, portion;

	if (size < 1)
		return 0;
	portion = 1 + data[0] % 16;
	data++;
	size--;
	/* how much of it is good, octet by octet */
	while (good < size && packet_check(&whole, data + good, 1) == NULL)
		good++;
	for (size_t at = 0; at < size; at += portion)
		(void)packet_check(&parts, data + at, size - at < portion ? size - at : portion);
	must((whole.fault == NULL) == (parts.fault == NULL));
	must(whole.fault == NULL || strcmp(whole.fault, parts.fault) == 0);
	must(packet_command(&whole)[0] != '\0');
	ctx = talloc_new(NULL);
	walk_all(ctx, data, good);
	talloc_free(ctx);
	return 0;
}

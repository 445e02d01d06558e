/*
 * dns.c - what DNS carries, as values: names and the data of records
 *
 * The octets come from strangers' name servers, by way of libunbound, which
 * vouches for the framing of an answer and not for what is in a record. So every
 * length is checked against what is there, and what does not fit makes the one
 * record malformed.
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <string.h>

#include "policy/base/dns.h"
#include "policy/base/mem.h"

bool
dns_name_ok(const char *name, size_t len)
{
	size_t i, label = 0;

	if (len == 0 || len > DNS_NAME_MAX)
		return false;
	for (i = 0; i < len; i++) {
		if (name[i] != '.') {
			if (++label > DNS_LABEL_MAX)
				return false;
			continue;
		}
		if (label == 0)
			return false;
		label = 0;
	}
	return label > 0;
}

const char *
dns_type_name(enum dns_type type)
{
	switch (type) {
	case DNS_A:
		return "A";
	case DNS_AAAA:
		return "AAAA";
	case DNS_MX:
		return "MX";
	case DNS_PTR:
		return "PTR";
	case DNS_TXT:
		return "TXT";
	}
	return "?";
}

/* read_name - an uncompressed name as raw octets with dots */
static bool
read_name(TALLOC_CTX *ctx, const unsigned char *data, size_t len, struct dns_record *record)
{
	unsigned char *name = mem_array(ctx, unsigned char, DNS_NAME_MAX + 2);
	size_t at = 0, n = 0, label;

	record->data = name;
	while (at < len && data[at] != 0) {
		label = data[at++];
		if (label > DNS_LABEL_MAX || label > len - at ||
		    n + label + (n > 0) > DNS_NAME_MAX ||
		    memchr(data + at, '.', label) != NULL ||
		    memchr(data + at, '\0', label) != NULL)
			return false;
		if (n > 0)
			name[n++] = '.';
		memcpy(name + n, data + at, label);
		n += label;
		at += label;
	}
	record->len = n;
	return at < len;
}

/* dns_read_text - join the character-strings of a TXT record */
static bool
dns_read_text(TALLOC_CTX *ctx, const unsigned char *data, size_t len, struct dns_record *record)
{
	unsigned char *text = mem_array(ctx, unsigned char, (unsigned int)len + 1);
	size_t at = 0, n = 0, part;

	record->data = text;
	while (at < len) {
		part = data[at++];
		if (part > len - at)
			return false;
		memcpy(text + n, data + at, part);
		n += part;
		at += part;
	}
	record->len = n;
	return true;
}

/* read_octets - an address, which has one length only */
static bool
read_octets(TALLOC_CTX *ctx, const unsigned char *data, size_t len, size_t expected,
    struct dns_record *record)
{
	unsigned char *copy;

	if (len != expected)
		return false;
	copy = mem_array(ctx, unsigned char, (unsigned int)len + 1);
	memcpy(copy, data, len);
	record->data = copy;
	record->len = len;
	return true;
}

bool
dns_record_read(TALLOC_CTX *ctx, enum dns_type type, const unsigned char *data, size_t len,
    struct dns_record *record_r)
{
	memset(record_r, 0, sizeof(*record_r));
	switch (type) {
	case DNS_A:
		return read_octets(ctx, data, len, 4, record_r);
	case DNS_AAAA:
		return read_octets(ctx, data, len, 16, record_r);
	case DNS_TXT:
		return dns_read_text(ctx, data, len, record_r);
	case DNS_PTR:
		return read_name(ctx, data, len, record_r);
	case DNS_MX:
		if (len < 3)
			return false;
		record_r->preference = (unsigned int)data[0] << 8 | data[1];
		return read_name(ctx, data + 2, len - 2, record_r);
	}
	return false;
}

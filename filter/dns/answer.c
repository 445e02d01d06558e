/*
 * answer.c - what a question to DNS comes back with
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <unbound.h>

#include "filter/dns/answer.h"
#include "policy/base/mem.h"

/* DNS numbers, RFC 1035 section 4.1.1. */
#define RCODE_OK		0
#define RCODE_NXDOMAIN		3

char *
dns_name_text(TALLOC_CTX *ctx, const char *name, size_t len)
{
	char *text = mem_array(ctx, char, 4 * DNS_NAME_MAX + 2);
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (name[i] != '\0' && strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.",
		    name[i]) != NULL)
			text[n++] = name[i];
		else
			n += (size_t)snprintf(text + n, 5, "\\%03u",
			    (unsigned int)(unsigned char)name[i]);
	}
	text[n++] = '.';
	text[n] = '\0';
	return text;
}

struct dns_answer *
dns_answer_new(TALLOC_CTX *ctx, enum dns_status status, const char *problem)
{
	struct dns_answer *answer = mem_new(ctx, struct dns_answer);

	answer->status = status;
	answer->problem = problem == NULL ? NULL : mem_strdup(answer, problem);
	return answer;
}

/* no_records - the answer if no record of a set could be read
 * A host name that no host can have is as good as none. Other data that is malformed says
 * that the server is in error, which is not the same as "there is none". */
static struct dns_answer *
no_records(TALLOC_CTX *ctx, enum dns_type type)
{
	if (type == DNS_MX || type == DNS_PTR)
		return dns_answer_new(ctx, DNS_NODATA, NULL);
	return dns_answer_new(ctx, DNS_FAILURE, "malformed record");
}

/* compare_records - by preference, then by name */
static int
compare_records(const void *a, const void *b)
{
	const struct dns_record *one = a, *other = b;
	size_t len = one->len < other->len ? one->len : other->len;
	int order;

	if (one->preference != other->preference)
		return one->preference < other->preference ? -1 : 1;
	order = memcmp(one->data, other->data, len);
	return order != 0 ? order : (one->len > other->len) - (one->len < other->len);
}

/* read_records - the records of a result; what is malformed is left out */
static struct dns_answer *
read_records(TALLOC_CTX *ctx, enum dns_type type, const struct ub_result *result)
{
	struct dns_answer *answer = dns_answer_new(ctx, DNS_OK, NULL);
	unsigned int n = 0;
	size_t i;

	while (result->data[n] != NULL)
		n++;
	answer->records = mem_array(answer, struct dns_record, n);
	for (i = 0; i < n; i++)
		if (result->len[i] >= 0 && dns_record_read(answer, type,
		    (const unsigned char *)result->data[i], (size_t)result->len[i],
		    &answer->records[answer->count]))
			answer->count++;
	if (answer->count > 0) {
		if (type == DNS_MX || type == DNS_PTR)
			qsort(answer->records, answer->count, sizeof(*answer->records),
			    compare_records);
		return answer;
	}
	talloc_free(answer);
	return no_records(ctx, type);
}

/* rcode_name - an error of DNS for the log */
static const char *
rcode_name(int rcode)
{
	static const char *const names[] = {
		"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
	};

	if (rcode >= 0 && (size_t)rcode < sizeof(names) / sizeof(names[0]))
		return names[rcode];
	return "DNS error";
}

/* dns_answer_is_alias - did the answer come by way of a CNAME? */
static bool
dns_answer_is_alias(const struct ub_result *result)
{
	size_t asked = strlen(result->qname), found;

	if (result->canonname == NULL)
		return false;
	found = strlen(result->canonname);
	asked -= asked > 0 && result->qname[asked - 1] == '.';
	found -= found > 0 && result->canonname[found - 1] == '.';
	return asked != found || strncasecmp(result->qname, result->canonname, asked) != 0;
}

struct dns_answer *
dns_answer_read(TALLOC_CTX *ctx, enum dns_type type, const struct ub_result *result)
{
	struct dns_answer *answer;

	if (result->bogus)
		return dns_answer_new(ctx, DNS_FAILURE,
		    result->why_bogus != NULL ? result->why_bogus : "DNSSEC validation failed");
	if (result->rcode == RCODE_NXDOMAIN)
		answer = dns_answer_new(ctx, DNS_NXDOMAIN, NULL);
	else if (result->rcode != RCODE_OK)
		answer = dns_answer_new(ctx, DNS_FAILURE, rcode_name(result->rcode));
	else if (result->havedata)
		answer = read_records(ctx, type, result);
	else
		answer = dns_answer_new(ctx, DNS_NODATA, NULL);
	answer->secure = result->secure != 0;
	answer->alias = dns_answer_is_alias(result);
	answer->ttl = result->ttl > 0 ? (uint32_t)result->ttl : 0;
	return answer;
}

size_t
dns_answer_bytes(const struct dns_answer *answer)
{
	size_t i, bytes = sizeof(*answer) + answer->count * sizeof(*answer->records);

	for (i = 0; i < answer->count; i++)
		bytes += answer->records[i].len;
	return bytes;
}

struct dns_answer *
dns_answer_copy(TALLOC_CTX *ctx, const struct dns_answer *from)
{
	struct dns_answer *to = dns_answer_new(ctx, from->status, from->problem);
	size_t i;

	to->secure = from->secure;
	to->stale = from->stale;
	to->alias = from->alias;
	to->ttl = from->ttl;
	to->count = from->count;
	if (from->count == 0)
		return to;
	to->records = mem_memdup(to, from->records, from->count * sizeof(*from->records));
	for (i = 0; i < from->count; i++)
		to->records[i].data = mem_memdup(to, from->records[i].data,
		    from->records[i].len + 1);
	return to;
}

bool
dns_answer_failed(const struct dns_answer *answer)
{
	return answer->status == DNS_TIMEOUT || answer->status == DNS_FAILURE;
}

/*
 * questions.c - the DNS queries of a check, counted and bounded (RFC 7208 section 4.6.4)
 *
 * Threads: a check belongs to one thread.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <string.h>
#include <time.h>

#include "filter/base/clock.h"
#include "filter/spf/check.h"
#include "filter/spf/questions.h"
#include "filter/spf/trace.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"

/* spf_force - fix the result; the first one stands */
void
spf_force(struct check *check, enum spf_result result, const char *problem)
{
	if (check->forced != SPF_NOT_CHECKED)
		return;
	check->forced = result;
	check->problem = problem;
}

/* spf_address_type - the record type that holds addresses of the client's family */
enum dns_type
spf_address_type(const struct check *check)
{
	return check->values.ipv6 ? DNS_AAAA : DNS_A;
}

/* made_answer - an answer that no server gave */
static struct dns_answer *
made_answer(struct check *check, enum dns_status status, const char *problem)
{
	struct dns_answer *answer = mem_new(check, struct dns_answer);

	answer->status = status;
	answer->problem = problem;
	return answer;
}

/* spf_ask_until - one question, within the budget of the check
 * A name that cannot be asked for does not exist (RFC 7208 section 4.3), and is no void
 * lookup, because it is no lookup. Returns an answer that belongs to check. */
struct dns_answer *
spf_ask_until(struct check *check, const char *name, size_t len, enum dns_type type,
    int64_t deadline_ms)
{
	struct dns_answer *answer;
	size_t i;

	if (!dns_name_ok(name, len))
		return made_answer(check, DNS_NXDOMAIN, NULL);
	if (check->counts.queries >= check->service->limits.queries) {
		spf_force(check, SPF_IS_TEMPERROR, "too many DNS queries");
		return made_answer(check, DNS_FAILURE, check->problem);
	}
	check->counts.queries++;
	answer = check->service->dns.ask(check->service->dns.state, check, name, len, type,
	    deadline_ms);
	for (i = 0; i < answer->count; i++)
		check->counts.bytes += answer->records[i].len;
	check->stale |= answer->stale;
	spf_trace_answer(check, name, len, type, answer);

	if (check->counts.bytes > check->service->limits.bytes) {
		spf_force(check, SPF_IS_TEMPERROR, "too much DNS data");
		return made_answer(check, DNS_FAILURE, check->problem);
	}
	/* One silent server is an error of its own; the end of our time is one of
	 * the whole check, even if RFC 7208 forgives errors (sections 4.6.4, 5.5). */
	if (answer->status == DNS_TIMEOUT && clock_ms() >= check->deadline_ms)
		spf_force(check, SPF_IS_TEMPERROR, "time limit");
	return answer;
}

/* spf_ask - one question that may take all the time that is left */
struct dns_answer *
spf_ask(struct check *check, const char *name, size_t len, enum dns_type type)
{
	return spf_ask_until(check, name, len, type, check->deadline_ms);
}

/* spf_half_time - the middle between now and the deadline
 * Questions whose failure is forgiven get no more than that, so that a dead
 * reverse zone cannot use up the time of what decides. */
int64_t
spf_half_time(const struct check *check)
{
	int64_t now = clock_ms();

	return now < check->deadline_ms ? now + (check->deadline_ms - now) / 2 : now;
}

/* spf_ask_ahead - start a question that will probably be asked */
void
spf_ask_ahead(struct check *check, const char *name, size_t len, enum dns_type type)
{
	const struct spf_dns *dns = &check->service->dns;

	if (dns->prefetch == NULL || !dns_name_ok(name, len) ||
	    check->prefetched >= check->service->limits.prefetch)
		return;
	check->prefetched++;
	dns->prefetch(dns->state, name, len, type);
}

/* spf_count_term - count a term that queries DNS (RFC 7208 section 4.6.4); false past the limit */
bool
spf_count_term(struct check *check)
{
	if (check->counts.terms >= check->max_terms) {
		spf_force(check, SPF_IS_PERMERROR, "too many terms that query DNS");
		return false;
	}
	check->counts.terms++;
	return true;
}

/* spf_count_void - count an answer without records; false past the limit */
bool
spf_count_void(struct check *check, bool is_void)
{
	if (!is_void)
		return true;
	if (check->counts.voids >= check->service->limits.voids) {
		spf_force(check, SPF_IS_PERMERROR, "too many DNS answers without records");
		return false;
	}
	check->counts.voids++;
	return true;
}

/* spf_answer_is_void - whether a question was asked and answered without records
 * A name that exists, only without an address of the kind that this client has, is no sign of a
 * record that makes others ask in vain; it counts if the letter of RFC 7208 is wanted. */
bool
spf_answer_is_void(const struct check *check, const struct dns_answer *answer, const char *name,
    size_t len, enum dns_type type)
{
	bool address = type == DNS_A || type == DNS_AAAA;

	if (!dns_name_ok(name, len))
		return false;
	return answer->status == DNS_NXDOMAIN || (answer->status == DNS_NODATA &&
	    (!address || check->service->limits.strict_voids));
}

/* spf_has_client - whether one of the addresses agrees with the client's in so many bits */
bool
spf_has_client(const struct check *check, const struct dns_answer *answer, unsigned int prefix)
{
	size_t i;

	for (i = 0; i < answer->count; i++)
		if (answer->records[i].len == (check->values.ipv6 ? 16 : 4) &&
		    netblock_prefix_equal(answer->records[i].data, check->values.address, prefix))
			return true;
	return false;
}

/* validate_name - keep a name of the client if it has the client's address
 * Errors mean that the name does not count (RFC 7208 section 5.5). */
static void
validate_name(struct check *check, const struct dns_record *record, int64_t deadline_ms)
{
	const char *name = (const char *)record->data;
	struct dns_answer *answer;

	answer = spf_ask_until(check, name, record->len, spf_address_type(check), deadline_ms);
	if (check->service->limits.strict_voids && !spf_count_void(check,
	    spf_answer_is_void(check, answer, name, record->len, spf_address_type(check))))
		return;
	if (answer->status == DNS_OK &&
	    spf_has_client(check, answer, check->values.ipv6 ? 128 : 32))
		check->names[check->n_names++] = mem_strndup(check, name, record->len);
	talloc_free(answer);
}

/* spf_find_names - find the validated names of the client, once per check */
void
spf_find_names(struct check *check)
{
	int64_t deadline_ms = spf_half_time(check);
	struct dns_answer *answer;
	size_t i, n;
	char *reverse;

	if (check->names_known)
		return;
	check->names_known = true;
	reverse = spf_reverse_name(check, check->values.address, check->values.ipv6);
	answer = spf_ask_until(check, reverse, strlen(reverse), DNS_PTR, deadline_ms);
	check->names_void = spf_answer_is_void(check, answer, reverse, strlen(reverse), DNS_PTR);
	n = answer->count < SPF_LIMIT_PTR ? answer->count : SPF_LIMIT_PTR;
	for (i = 1; i < n; i++)
		spf_ask_ahead(check, (const char *)answer->records[i].data, answer->records[i].len,
		    spf_address_type(check));
	for (i = 0; i < n && check->forced == SPF_NOT_CHECKED; i++)
		validate_name(check, &answer->records[i], deadline_ms);
	talloc_free(answer);
}

/* validated_name - what %{p} expands to below a domain (RFC 7208 section 7.3)
 * The domain itself, else a name below it, else any. */
static const char *
validated_name(struct check *check, const char *domain)
{
	const char *best = NULL;
	size_t i;

	spf_find_names(check);
	for (i = 0; i < check->n_names; i++) {
		if (!spf_name_within(check->names[i], domain))
			continue;
		if (strlen(check->names[i]) == strlen(domain))
			return check->names[i];
		if (best == NULL)
			best = check->names[i];
	}
	if (best == NULL && check->n_names > 0)
		best = check->names[0];
	return best == NULL ? "unknown" : best;
}

/* spf_prepare_values - set what depends on the domain whose text is expanded */
void
spf_prepare_values(struct check *check, const char *domain, struct spf_text text)
{
	check->values.domain = domain;
	if (spf_macro_uses(text.data, text.len, 'p'))
		check->values.validated = validated_name(check, domain);
}

/*
 * signature.c - the tags of one DKIM-Signature field, read strictly
 *
 * What is malformed, too weak or out of bounds has its result at once and is never shown to
 * libopendkim (RFC 6376 sections 3.5 and 6.1.1).
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/dkim/signature.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/dkim/canon.h"

#define SELECTOR_MAX	200	/* octets of s= */
#define HASH_BASE64	44	/* characters of a SHA-256 hash in base64 */

void
signature_settle(struct check *check, enum dkim_result result, const char *problem)
{
	if (!check->open)
		return;
	check->open = false;
	check->fact.result = result;
	check->fact.problem = problem;
}

/* signature_number - digits only; -1 if absent, -2 if malformed or beyond max */
static int64_t
signature_number(const char *text, int64_t max)
{
	int64_t value = 0;

	if (text == NULL)
		return -1;
	if (*text == '\0')
		return -2;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -2;
		value = value * 10 + (*text - '0');
		if (value > max)
			return -2;
	}
	return value;
}

/* read_canonicalisation - c=: simple or relaxed for header and body; false for another word */
static bool
read_canonicalisation(struct check *check, const char *text)
{
	if (text == NULL)
		return true;

	const char *slash = strchr(text, '/');
	const char *body = slash == NULL ? "simple" : slash + 1;
	struct span header =
	    text_span_of(text, slash == NULL ? strlen(text) : (size_t)(slash - text));

	check->relaxed_header = text_equal_fold(header, text_span("relaxed"));
	check->relaxed = strcasecmp(body, "relaxed") == 0;
	return (check->relaxed || strcasecmp(body, "simple") == 0) &&
	    (check->relaxed_header || text_equal_fold(header, text_span("simple")));
}

/* signature_names - h=: counts the names; a static problem, or NULL */
static const char *
signature_names(struct check *check)
{
	const struct span *value = dkim_tags_find(&check->tags, "h");
	struct span rest = value == NULL ? text_span_of(NULL, 0) : *value, name;
	bool from = false;

	check->names = rest;
	while (canon_next_name(&rest, &name)) {
		if (name.len == 0)
			return "h= holds an empty name";
		for (size_t i = 0; i < name.len; i++)
			if (text_is_space(name.at[i]))
				return "h= holds a name with a space";
		from |= text_equal_fold(name, text_span("From"));
		check->signs_signatures |= text_equal_fold(name, text_span(SIGNATURE_FIELD));
		check->n_names++;
	}
	return from ? NULL : "the From field is not signed";
}

/* signature_domain - a name in A-labels, or NULL; ASCII stays as it is */
static const char *
signature_domain(TALLOC_CTX *ctx, const char *text)
{
	if (text_is_ascii(text, strlen(text)))
		return domain_is_labels(text) ? text : NULL;
	text = domain_normalise(ctx, text, strlen(text), NULL);
	return text != NULL && domain_is_labels(text) ? text : NULL;
}

/* read_auid - i= (RFC 6376 section 3.5), its domain in A-labels; a static problem, or NULL */
static const char *
read_auid(TALLOC_CTX *ctx, struct check *check)
{
	const char *auid = check->fact.auid, *at, *below;

	if (auid == NULL)
		return dkim_tags_find(&check->tags, "i") == NULL ? NULL : "i= is too long";
	at = strrchr(auid, '@');
	if (at == NULL)
		return "i= is not an address";
	below = signature_domain(ctx, at + 1);
	if (below == NULL)
		return "i= is not below d=";
	if (!text_is_ascii(at, strlen(at)))
		check->fact.auid = mem_printf(ctx, "%.*s@%s", (int)(at - auid), auid, below);
	return domain_is_or_below(text_lower_copy(ctx, below, strlen(below)), check->fact.sdid) ?
	    NULL : "i= is not below d=";
}

/* read_identity - d=, s= and i= (RFC 6376 section 3.5, RFC 8616); a static problem, or NULL */
static const char *
read_identity(TALLOC_CTX *ctx, struct check *check)
{
	struct dkim_fact *fact = &check->fact;
	const char *domain, *selector;

	if (fact->sdid == NULL || fact->selector == NULL)
		return "d= or s= is missing or too long";
	domain = signature_domain(ctx, fact->sdid);
	selector = signature_domain(ctx, fact->selector);
	if (domain == NULL || selector == NULL)
		return "d= or s= is not a domain name";
	fact->selector = selector;
	domain = domain_normalise(ctx, domain, strlen(domain), NULL);
	if (domain == NULL || domain_is_literal(domain))
		return "d= is not a domain name";
	fact->sdid = domain;
	check->key_name = mem_printf(ctx, "%s._domainkey.%s", selector, domain);
	if (strlen(check->key_name) > DOMAIN_MAX)
		return "d= and s= are too long together";
	return read_auid(ctx, check);
}

/* read_algorithm - a=; settles the check if it is not verified */
static void
read_algorithm(struct check *check)
{
	const char *a = check->fact.algorithm;

	if (a == NULL)
		signature_settle(check, DKIM_IS_PERMERROR, "a= is missing or too long");
	else if (strcasecmp(a, "ed25519-sha256") == 0)
		check->ed25519 = true;
	else if (strcasecmp(a, "rsa-sha1") == 0)
		signature_settle(check, DKIM_IS_POLICY, "rsa-sha1 is too weak (RFC 8301)");
	else if (strcasecmp(a, "rsa-sha256") != 0)
		signature_settle(check, DKIM_IS_NEUTRAL, "the algorithm is not known");
}

/* read_hashes - v=, b= and bh=; a static problem, or NULL */
static const char *
read_hashes(TALLOC_CTX *ctx, struct check *check)
{
	const char *version = dkim_tags_text(ctx, &check->tags, "v", 8);
	const char *hash = dkim_tags_text(ctx, &check->tags, "bh", HASH_BASE64);
	const char *b = dkim_tags_text(ctx, &check->tags, "b", 2800);

	if (version == NULL || strcmp(version, "1") != 0)
		return "v= is not 1";
	if (b == NULL || *b == '\0')
		return "b= is missing or too long";
	/* libopendkim compares text, so it must be the one form that encoding gives. */
	if (hash == NULL || strlen(hash) != HASH_BASE64 || hash[HASH_BASE64 - 1] != '=' ||
	    strcspn(hash, "=") != HASH_BASE64 - 1)
		return "bh= is not a SHA-256 hash";
	return NULL;
}

/* read_options - c=, l=, q=, t= and x=; a static problem, or NULL */
static const char *
read_options(TALLOC_CTX *ctx, struct check *check)
{
	const char *query = dkim_tags_text(ctx, &check->tags, "q", 100);
	const int64_t far = INT64_C(999999999999);

	if (!read_canonicalisation(check, dkim_tags_text(ctx, &check->tags, "c", 40)))
		return "c= is not known";
	if (query != NULL && strcasestr(query, "dns/txt") == NULL)
		return "q= is not known";
	if (signature_number(dkim_tags_text(ctx, &check->tags, "t", 30), far) == -2)
		return "t= is not a time";
	if (signature_number(dkim_tags_text(ctx, &check->tags, "x", 30), far) == -2)
		return "x= is not a time";
	check->length = signature_number(dkim_tags_text(ctx, &check->tags, "l", 80), far);
	return check->length == -2 ? "l= is not a number" : NULL;
}

/* fill_fact - what is reported of a signature, whatever becomes of it */
static void
fill_fact(TALLOC_CTX *ctx, struct check *check)
{
	struct dkim_fact *fact = &check->fact;
	char *b = dkim_tags_text(ctx, &check->tags, "b", DKIM_SIGNATURE_OCTETS);

	fact->sdid = dkim_tags_text(ctx, &check->tags, "d", DOMAIN_MAX + 1);
	fact->selector = dkim_tags_text(ctx, &check->tags, "s", SELECTOR_MAX);
	fact->auid = dkim_tags_text(ctx, &check->tags, "i", 320);
	fact->algorithm = dkim_tags_text(ctx, &check->tags, "a", 40);
	if (b != NULL)
		fact->b_prefix = mem_strndup(ctx, b, 8);
}

void
signature_read(TALLOC_CTX *ctx, struct check *check, const struct header_field *field,
    bool knows_ed25519)
{
	const char *problem;

	check->open = true;
	check->length = -1;
	if (field->name_len != strlen(SIGNATURE_FIELD)) {
		signature_settle(check, DKIM_IS_NEUTRAL, "there is white space before the colon");
		return;
	}
	if (dkim_tags_read(field->value, field->value_len, &check->tags, &problem) != 0) {
		fill_fact(ctx, check);
		signature_settle(check, DKIM_IS_NEUTRAL, problem);
		return;
	}
	fill_fact(ctx, check);
	if (field->value_len > DKIM_SIGNATURE_OCTETS)
		signature_settle(check, DKIM_IS_POLICY, "the signature is too long");
	read_algorithm(check);
	if ((problem = read_hashes(ctx, check)) != NULL ||
	    (problem = read_identity(ctx, check)) != NULL ||
	    (problem = signature_names(check)) != NULL ||
	    (problem = read_options(ctx, check)) != NULL)
		signature_settle(check, DKIM_IS_PERMERROR, problem);
	if (check->n_names > DKIM_NAMES_MAX || check->names.len > DKIM_NAMES_OCTETS)
		signature_settle(check, DKIM_IS_POLICY, "h= is too long");
	if (check->ed25519 && !knows_ed25519)
		signature_settle(check, DKIM_IS_NEUTRAL, "Ed25519 is not known here");
}

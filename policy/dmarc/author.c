/*
 * author.c - the author domains of a message
 *
 * Threads: see author.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/address_display.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/dmarc/author.h"

/* add_domain - one more, unless it is there */
static void
add_domain(struct dmarc_authors *authors, const char *domain)
{
	if (*domain == '\0' || domain_is_literal(domain)) {
		authors->problem = "an address has no domain name";
		return;
	}
	for (size_t i = 0; i < authors->n; i++)
		if (domain_equal(authors->domains[i], domain))
			return;
	if (authors->n == DMARC_AUTHORS_MAX)
		authors->too_many = true;
	else
		authors->domains[authors->n++] = domain;
}

/* is_domain_octet - may this stand in a domain, as a sloppy reader sees it? */
static bool
is_domain_octet(char c)
{
	return text_is_alnum(c) || c == '-' || c == '.' || c == '_' || (c & 0x80) != 0;
}

/*
 * as_seen - a run without what no domain may hold and no reader sees: characters that are
 * invisible, dots too many, and, if ascii_only, all that is not ASCII
 */
static struct span
as_seen(TALLOC_CTX *ctx, struct span run, bool ascii_only)
{
	char *seen = mem_array(ctx, char, run.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < run.len; i++) {
		size_t invisible = text_invisible(run.at + i, run.len - i);

		if (invisible > 0)
			i += invisible - 1;
		else if ((run.at[i] != '.' || (n > 0 && seen[n - 1] != '.')) &&
		    (!ascii_only || (run.at[i] & 0x80) == 0))
			seen[n++] = run.at[i];
	}
	while (n > 0 && seen[n - 1] == '.')
		n--;
	return text_span_of(seen, n);
}

/* read_run - the domain that a reader sees in a run of octets, in normal form; or NULL */
static const char *
read_run(TALLOC_CTX *ctx, struct span run)
{
	const char *domain = domain_normalise(ctx, run.at, run.len, NULL);

	for (int ascii_only = 0; domain == NULL && ascii_only <= 1; ascii_only++) {
		struct span seen = as_seen(ctx, run, ascii_only == 1);

		domain = domain_normalise(ctx, seen.at, seen.len, NULL);
	}
	return domain;
}

/* add_runs - every domain that stands after an at sign in text that cannot be read in one way */
static void
add_runs(TALLOC_CTX *ctx, struct dmarc_authors *authors, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t start = i + address_at_sign(text + i, len - i), end;
		const char *domain;

		if (start == i)
			continue;
		while (start < len && text_is_space(text[start]))
			start++;
		for (end = start; end < len && is_domain_octet(text[end]); end++)
			if (address_at_sign(text + end, len - end) > 0)
				break;
		while (end > start && text[end - 1] == '.')
			end--;
		domain = end == start ? NULL :
		    read_run(ctx, text_span_of(text + start, end - start));
		if (domain != NULL && strchr(domain, '.') != NULL)
			add_domain(authors, domain);
	}
}

/* add_all_runs - the same of a field, as it is written and as a reader decodes it */
static void
add_all_runs(TALLOC_CTX *ctx, struct dmarc_authors *authors, const struct header_field *field)
{
	size_t len;
	const char *decoded = text_decode_words(ctx, field->value, field->value_len, &len);

	add_runs(ctx, authors, field->value, field->value_len);
	add_runs(ctx, authors, decoded, len);
}

/* author_read_field - the domains of one From field */
static void
author_read_field(TALLOC_CTX *ctx, const struct header_field *field, struct dmarc_authors *authors)
{
	const struct address_rules rules = { 0 };
	struct mailbox *mailboxes;
	const char *error;
	bool bare = false;
	size_t n;

	if (address_parse_list(
		ctx, field->value, field->value_len, &rules, &mailboxes, &n, &error) != 0) {
		authors->problem = error;
		add_all_runs(ctx, authors, field);
		return;
	}
	if (n == 0)
		authors->problem = "the From field names no mailbox";
	for (size_t i = 0; i < n; i++) {
		bare |= *mailboxes[i].address.domain == '\0';
		add_domain(authors, mailboxes[i].address.domain);
	}
	if (bare)
		add_all_runs(ctx, authors, field);
}

void
dmarc_authors_read(TALLOC_CTX *ctx, const struct header_list *list, struct dmarc_authors *authors_r)
{
	*authors_r = (struct dmarc_authors){ 0 };
	for (size_t i = 0; i < list->n; i++) {
		if (!header_is(&list->fields[i], "From"))
			continue;
		authors_r->fields++;
		author_read_field(ctx, &list->fields[i], authors_r);
	}
	if (authors_r->fields == 0)
		authors_r->problem = "there is no From field";
	else if (authors_r->fields > 1)
		authors_r->problem = "there are several From fields";
}

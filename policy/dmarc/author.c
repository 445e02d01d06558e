/*
 * author.c - the author domains of a message
 *
 * Threads: see author.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/address.h"
#include "policy/base/domain.h"
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

/* add_runs - every domain that stands behind an at sign in text that cannot be read in one way */
static void
add_runs(TALLOC_CTX *ctx, struct dmarc_authors *authors, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t start = i + 1, end;
		const char *domain;

		if (text[i] != '@')
			continue;
		while (start < len && text_is_space(text[start]))
			start++;
		for (end = start; end < len && is_domain_octet(text[end]); end++)
			;
		while (end > start && text[end - 1] == '.')
			end--;
		domain =
		    end == start ? NULL : domain_normalise(ctx, text + start, end - start, NULL);
		if (domain != NULL && strchr(domain, '.') != NULL)
			add_domain(authors, domain);
	}
}

/* author_read_field - the domains of one From field */
static void
author_read_field(TALLOC_CTX *ctx, const struct header_field *field, struct dmarc_authors *authors)
{
	const struct address_rules rules = { 0 };
	struct mailbox *mailboxes;
	const char *error;
	size_t n;

	if (address_parse_list(
		ctx, field->value, field->value_len, &rules, &mailboxes, &n, &error) != 0) {
		size_t len;
		const char *decoded =
		    text_decode_words(ctx, field->value, field->value_len, &len);

		authors->problem = error;
		add_runs(ctx, authors, field->value, field->value_len);
		add_runs(ctx, authors, decoded, len);
		return;
	}
	if (n == 0)
		authors->problem = "the From field names no mailbox";
	for (size_t i = 0; i < n; i++)
		add_domain(authors, mailboxes[i].address.domain);
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

/*
 * signing.c - which domain signs a message, and which of its fields
 *
 * Why the class of a field matters. A signature covers the fields it names, from the
 * bottom up; one name more than there are fields says "and there is no
 * further one" (RFC 6376 section 5.4.2), so that no one can add a second From
 * above the signed one and have mail programs show that. Such a name is called
 * oversigned here. It may only be given for fields that no one has reason to add
 * later: a Reply-To put in by a mailing list is meant to break the
 * signature, a Date put in by the MTA after us is not. Hence three classes,
 * and a switch for MTAs that complete the header after the filter.
 *
 * Such an MTA (Sendmail) also rewrites address fields (rewrite.h). A field that would change is
 * not signed.
 *
 * A field with a line that the MTA would break is folded before it is signed. If that cannot be
 * done it is not signed either, except From, without which there is no signature.
 *
 * A header that would need a longer list than libopendkim can hold is not
 * signed at all: to cover a part only would let the rest pass for signed.
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/dkim/fold.h"
#include "policy/dkim/rewrite.h"
#include "policy/dkim/signing.h"

/* The default. Sealed are the fields that mail programs show or obey; closed those that
 * an MTA or a list may add if they are missing; the rest is signed if there. */
static const struct signing_field default_fields[] = {
	{ "From",			SIGNING_SEALED },
	{ "Reply-To",			SIGNING_SEALED },
	{ "Subject",			SIGNING_SEALED },
	{ "To",				SIGNING_SEALED },
	{ "Cc",				SIGNING_SEALED },
	{ "Sender",			SIGNING_CLOSED },
	{ "Date",			SIGNING_CLOSED },
	{ "Message-ID",			SIGNING_CLOSED },
	{ "In-Reply-To",		SIGNING_CLOSED },
	{ "References",			SIGNING_CLOSED },
	{ "MIME-Version",		SIGNING_CLOSED },
	{ "Content-Type",		SIGNING_CLOSED },
	{ "Content-Transfer-Encoding",	SIGNING_CLOSED },
	{ "Autocrypt",			SIGNING_CLOSED },
	{ "OpenPGP",			SIGNING_CLOSED },
	{ "Resent-Date",		SIGNING_PRESENT },
	{ "Resent-From",		SIGNING_PRESENT },
	{ "Resent-Sender",		SIGNING_PRESENT },
	{ "Resent-To",			SIGNING_PRESENT },
	{ "Resent-Cc",			SIGNING_PRESENT },
	{ "Resent-Message-ID",		SIGNING_PRESENT },
	{ "List-Archive",		SIGNING_PRESENT },
	{ "List-Help",			SIGNING_PRESENT },
	{ "List-ID",			SIGNING_PRESENT },
	{ "List-Owner",			SIGNING_PRESENT },
	{ "List-Post",			SIGNING_PRESENT },
	{ "List-Subscribe",		SIGNING_PRESENT },
	{ "List-Unsubscribe",		SIGNING_PRESENT },
	{ "List-Unsubscribe-Post",	SIGNING_PRESENT },
};

#define DEFAULT_FIELDS	(sizeof(default_fields) / sizeof(default_fields[0]))

/* Trace and local fields, which change or vanish on the way. */
static const char *const forbidden[] = {
	"ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal",
	"Authentication-Results", "Bcc", "DKIM-Signature", "Delivered-To",
	"Received", "Received-SPF", "Resent-Bcc", "Return-Path", "Status", "X-Status",
};

#define FORBIDDEN	(sizeof(forbidden) / sizeof(forbidden[0]))

/* What an MTA adds after the filter, if it is missing. */
static const char *const completed[] = { "Date", "Message-ID" };

#define COMPLETED	(sizeof(completed) / sizeof(completed[0]))

/* is_among - is this name in the list? */
static bool
is_among(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(name, list[i]) == 0)
			return true;
	return false;
}

void
signing_rules_default(struct signing_rules *rules_r)
{
	*rules_r = (struct signing_rules){ .fields = default_fields, .n = DEFAULT_FIELDS };
}

bool
signing_forbidden(const char *name)
{
	return is_among(name, forbidden, FORBIDDEN);
}

/* is_field_name - RFC 5322 section 3.6.8: printable ASCII without the colon; here without ";"
 * too */
static bool
is_field_name(const char *name)
{
	if (*name == '\0' || strlen(name) > 100)
		return false;
	for (const char *p = name; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || *p == ':' || *p == ';')
			return false;
	return true;
}

/* read_word - one word of the configured list */
static int
read_word(TALLOC_CTX *ctx, const char *word, struct signing_field *field_r, const char **error_r)
{
	*field_r = (struct signing_field){ .name = word, .class = SIGNING_PRESENT };
	if (strncasecmp(word, "(o)", 3) == 0)
		*field_r = (struct signing_field){ .name = word + 3, .class = SIGNING_SEALED };
	else if (strncasecmp(word, "(x)", 3) == 0)
		*field_r = (struct signing_field){ .name = word + 3, .class = SIGNING_CLOSED };

	if (!is_field_name(field_r->name)) {
		*error_r = mem_printf(ctx, "\"%s\" is not the name of a header field; "
		    "write e.g. \"(o)Subject\", \"(x)Date\" or \"List-ID\"",
		    text_escape(ctx, word, strlen(word), 80));
		return -1;
	}
	if (signing_forbidden(field_r->name)) {
		*error_r = mem_printf(ctx,
		    "%s changes or vanishes on the way and must not be signed; "
		    "remove it from the list",
		    field_r->name);
		return -1;
	}
	return 0;
}

/* is_listed - was this name given before? */
static bool
is_listed(const struct signing_field *fields, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(fields[i].name, name) == 0)
			return true;
	return false;
}

int
signing_rules_read(TALLOC_CTX *ctx, const char *const *words, size_t n,
    struct signing_rules *rules_r, const char **error_r)
{
	struct signing_field *fields = mem_array(ctx, struct signing_field, n + 1);
	size_t used = 0;
	bool from = false;

	fields[used++] = (struct signing_field){ .name = "From", .class = SIGNING_SEALED };
	for (size_t i = 0; i < n; i++) {
		struct signing_field field;

		if (read_word(ctx, words[i], &field, error_r) != 0)
			return -1;
		if (strcasecmp(field.name, "From") == 0 && !from) {
			from = true;
			continue;
		}
		if (is_listed(fields, used, field.name)) {
			*error_r = mem_printf(ctx, "%s is listed twice; remove one", field.name);
			return -1;
		}
		field.name = mem_strdup(fields, field.name);
		fields[used++] = field;
	}
	*rules_r = (struct signing_rules){ .fields = fields, .n = used };
	return 0;
}

const struct claim *
signing_author(const struct claim *claims, size_t n)
{
	const struct claim *author = NULL;

	for (size_t i = 0; i < n; i++) {
		if (claims[i].owned != OWNED_YES)
			return NULL;
		if (claims[i].place == CLAIM_FROM && author == NULL)
			author = &claims[i];
	}
	if (author == NULL || author->domain == NULL || *author->domain == '\0' ||
	    domain_is_literal(author->domain))
		return NULL;
	return author;
}

const char *
signing_domain(const struct claim *claims, size_t n, const char *sign_as)
{
	const struct claim *author = signing_author(claims, n);

	if (author == NULL)
		return NULL;
	if (sign_as == NULL)
		return author->domain;
	return domain_is_or_below(author->domain, sign_as) ? sign_as : NULL;
}

bool
signing_identity_fits(const char *identity, const char *domain)
{
	const char *at = strrchr(identity, '@');

	if (at == NULL || strlen(identity) > 320 || !domain_is_or_below(at + 1, domain))
		return false;
	/* what would need quoting there (RFC 6376 section 3.5) is left out instead */
	for (const char *p = identity; p < at; p++)
		if (!text_is_alnum(*p) &&
		    (*p == '\0' || strchr("!#$%&'*+-/=?^_`{|}~.", *p) == NULL))
			return false;
	return true;
}

const char *
signing_identity(TALLOC_CTX *ctx, enum sign_identity kind, const char *address, const char *domain)
{
	const char *at = strrchr(address, '@');

	if (kind == SIGN_IDENTITY_NONE || at == NULL)
		return NULL;
	if (kind == SIGN_IDENTITY_ADDRESS && signing_identity_fits(address, domain))
		return mem_strdup(ctx, address);
	return signing_identity_fits(at, domain) ? mem_strdup(ctx, at) : NULL;
}

/* Fields of addresses, which an MTA that completes headers rewrites, after the filter. */
static const char *const addressed[] = {
	"Cc",
	"From",
	"Reply-To",
	"Resent-Cc",
	"Resent-From",
	"Resent-Sender",
	"Resent-To",
	"Sender",
	"To",
};

/* Fields whose parameters it shortens. */
static const char *const mime[] = {
	"Content-Disposition",
	"Content-Type",
};

#define MIME		(sizeof(mime) / sizeof(mime[0]))
#define ADDRESSED	(sizeof(addressed) / sizeof(addressed[0]))

/* fold_fields - fold the fields of one name that have too long a line; false: one cannot be */
static bool
fold_fields(struct sign_plan *plan, const struct signing_rules *rules,
    const struct header_list *list, const char *name)
{
	bool all = true;

	for (size_t i = 0; rules->line_max != 0 && i < list->n; i++) {
		const struct header_field *field = &list->fields[i];

		if (!header_is(field, name) || fold_longest(field) <= rules->line_max)
			continue;
		plan->folded[i] = fold_value(plan, field, rules->line_max);
		all = all && plan->folded[i] != NULL;
	}
	for (size_t i = 0; !all && i < list->n; i++)
		if (header_is(&list->fields[i], name))
			plan->folded[i] = NULL;
	return all;
}

/* will_change - will the MTA rewrite a field of this name after it was signed? */
static bool
will_change(const struct signing_rules *rules, const struct header_list *list, const char *name)
{
	bool (*keeps)(struct span) = is_among(name, addressed, ADDRESSED) ? rewrite_keeps :
	    is_among(name, mime, MIME) ? rewrite_keeps_mime : NULL;

	if (!rules->mta_completes || keeps == NULL)
		return false;
	for (size_t i = 0; i < list->n; i++)
		if (header_is(&list->fields[i], name) &&
		    !keeps(text_span_of(list->fields[i].value, list->fields[i].value_len)))
			return true;
	return false;
}

/* cover - add the fields of one name to the plan; returns how many there are */
static size_t
cover(struct sign_plan *plan, const struct header_list *list, const char *name, size_t *octets)
{
	size_t found = 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct header_field *field = &list->fields[i];

		if (!header_is(field, name))
			continue;
		found++;
		plan->covered[i] = true;
		plan->n_covered++;
		*octets += field->name_len + 1;
		if (memchr(field->value, '\0', field->value_len) != NULL)
			plan->problem = "a header field holds a NUL byte";
	}
	return found;
}

/* may_close - may this name be oversigned, with so many fields of it there? */
static bool
may_close(const struct signing_rules *rules, const struct signing_field *field, size_t found)
{
	if (field->class == SIGNING_PRESENT)
		return false;
	if (found > 0)
		return true;
	if (field->class == SIGNING_CLOSED)
		return false;
	return !(rules->mta_completes && is_among(field->name, completed, COMPLETED));
}

struct sign_plan *
signing_plan(TALLOC_CTX *ctx, const struct signing_rules *rules, const char *domain,
    const struct header_list *list)
{
	struct sign_plan *plan = mem_new(ctx, struct sign_plan);
	size_t octets = 0;

	plan->domain = domain;
	plan->line_max = rules->line_max;
	plan->n_fields = list->n;
	plan->covered = mem_array(plan, bool, list->n + 1);
	plan->folded = mem_array(plan, const char *, list->n + 1);
	plan->oversigned = mem_array(plan, const char *, rules->n + 1);

	for (size_t i = 0; i < rules->n; i++) {
		const struct signing_field *field = &rules->fields[i];
		const char *risk = NULL;
		size_t found;

		/* a signature without it is worth more than one that will not match */
		if (will_change(rules, list, field->name))
			risk = "rewritten-from";
		else if (!fold_fields(plan, rules, list, field->name))
			risk = "long-line";
		if (risk != NULL && strcasecmp(field->name, "From") != 0)
			continue;
		if (risk != NULL)
			plan->risk = risk;
		found = cover(plan, list, field->name, &octets);
		if (may_close(rules, field, found)) {
			plan->oversigned[plan->n_oversigned++] = field->name;
			octets += strlen(field->name) + 1;
		}
	}

	size_t from = header_count(list, "From");

	if (list->too_many || octets > SIGNING_NAMES_MAX ||
	    plan->n_covered + plan->n_oversigned > SIGNING_COVERED_MAX)
		plan->problem = "there are too many header fields to sign";
	else if (from != 1)
		plan->problem =
		    from == 0 ? "there is no From field" : "there are several From fields";
	return plan;
}

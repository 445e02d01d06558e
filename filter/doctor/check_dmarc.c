/*
 * check_dmarc.c - do the own domains say what is to be done with forged mail?
 *
 * A record is read here more strictly than receivers do, who pass over errors silently: the point
 * is to name them.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/doctor/inside.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define DMARC_TAGS_MAX	40
#define DMARC_MARK	"v=DMARC1"

/* What there is at a name. */
struct dmarc_found {
	const char *text;	/* the first record, or NULL */
	size_t n;
	bool unknown;		/* DNS did not say */
};

/* is_dmarc - does a TXT record mean to be one? */
static bool
is_dmarc(const struct dns_record *record)
{
	struct span text =
	    text_trim(text_span_of((const char *)record->data, record->len));

	return text.len >= sizeof(DMARC_MARK) - 1 &&
	    strncasecmp(text.at, DMARC_MARK, sizeof(DMARC_MARK) - 1) == 0;
}

/* find_records - at a name */
static struct dmarc_found
find_records(struct exam *exam, const char *name)
{
	const struct dns_answer *answer = exam_ask(exam, name, DNS_TXT);
	struct dmarc_found found = { .unknown =
		exam_dns_unknown(exam, "dmarc.missing", name, answer) };

	for (size_t i = 0; i < answer->count; i++)
		if (is_dmarc(&answer->records[i]) && found.n++ == 0)
			found.text = exam_text(exam, "%.*s", (int)answer->records[i].len,
			    (const char *)answer->records[i].data);
	return found;
}

/* tag_of - cut "name=value" off a record; false at the end. An empty name: it is none. */
static bool
tag_of(struct span *rest, struct span *name_r, struct span *value_r)
{
	const char *end, *equals;

	if (rest->len == 0)
		return false;
	end = memchr(rest->at, ';', rest->len);
	*value_r = text_span_of(rest->at, end != NULL ? (size_t)(end - rest->at) : rest->len);
	rest->len -= value_r->len + (end != NULL);
	rest->at += value_r->len + (end != NULL);
	equals = value_r->len > 0 ? memchr(value_r->at, '=', value_r->len) : NULL;
	*name_r = text_span_of(value_r->at, 0);
	if (equals != NULL) {
		*name_r = text_trim(text_span_of(value_r->at, (size_t)(equals - value_r->at)));
		value_r->len -= (size_t)(equals + 1 - value_r->at);
		value_r->at = equals + 1;
	}
	*value_r = text_trim(*value_r);
	return true;
}

/* is_one_of - a value from a list with blanks between */
static bool
is_one_of(struct span value, const char *list)
{
	struct span rest = text_span(list), word;

	while (text_list_next(&rest, &word))
		if (text_equal_fold(value, word))
			return true;
	return false;
}

/* A record, as far as it matters here. */
struct dmarc_read {
	const char *fault;	/* or NULL */
	bool none;		/* p=none */
	const char *rua;	/* or NULL */
};

/* dmarc_read_record - with the first fault */
static struct dmarc_read
dmarc_read_record(struct exam *exam, const char *text)
{
	struct dmarc_read read = { .fault = NULL };
	struct span rest = text_span(text), name, value;
	size_t n = 0;
	bool has_p = false;

	for (; n < DMARC_TAGS_MAX && read.fault == NULL && tag_of(&rest, &name, &value); n++) {
		const char *shown = exam_shown(exam, value.at, value.len);
		bool is_p = is_one_of(name, "p");

		if (n == 0 && !text_equal(value, text_span("DMARC1")))
			read.fault = memchr(value.at, ',', value.len) != NULL
			    ? "tags are divided by commas; semicolons are needed"
			    : exam_text(exam, "v=%s is not v=DMARC1", shown);
		else if (name.len == 0 && value.len > 0)
			read.fault = exam_text(exam, "\"%s\" is not a tag", shown);
		else if ((is_p || is_one_of(name, "sp np")) &&
		    !is_one_of(value, "none quarantine reject"))
			read.fault = exam_text(exam,
			    "%.*s=%s; known are none, quarantine and reject", (int)name.len,
			    name.at, shown);
		else if (is_p && n != 1)
			read.fault = "p= does not come right after v=DMARC1";
		else if (is_one_of(name, "adkim aspf") && !is_one_of(value, "r s"))
			read.fault = exam_text(exam, "%.*s=%s; known are r and s", (int)name.len,
			    name.at, shown);
		else if (is_one_of(name, "rua ruf") && memchr(value.at, ':', value.len) == NULL)
			read.fault = exam_text(exam, "%.*s=%s is not a URI; write mailto:%s",
			    (int)name.len, name.at, shown, shown);
		if (is_p)
			read.none = is_one_of(value, "none");
		if (is_one_of(name, "rua"))
			read.rua = exam_text(exam, "%.*s", (int)value.len, value.at);
		has_p = has_p || is_p;
	}
	if (read.fault == NULL && !has_p)
		read.fault = "p= is missing";
	return read;
}

/* last_labels - the last two labels of a name */
static const char *
last_labels(const char *name)
{
	const char *at = name + strlen(name);
	int dots = 0;

	for (; at > name; at--)
		if (at[-1] == '.' && ++dots == 2)
			break;
	return at;
}

/* same_organisation - by the last two labels, generous for lack of a list of public suffixes */
static bool
same_organisation(const char *a, const char *b)
{
	return strcasecmp(last_labels(a), last_labels(b)) == 0;
}

/* check_rua - has another organisation agreed to get the reports? RFC 7489 section 7.1 */
static void
check_rua(struct exam *exam, const char *domain, const char *rua)
{
	struct span rest = text_span(rua), uri;

	while (text_list_next(&rest, &uri)) {
		const char *at = uri.len > 0 ? memchr(uri.at, '@', uri.len) : NULL;
		const char *other, *name;
		size_t len;
		struct dmarc_found found;

		if (uri.len < 7 || strncasecmp(uri.at, "mailto:", 7) != 0 || at == NULL)
			continue;
		len = uri.len - (size_t)(at + 1 - uri.at);
		other = exam_shown(exam, at + 1, strcspn(at + 1, "!,; ") < len
			? strcspn(at + 1, "!,; ")
			: len);
		if (same_organisation(other, domain))
			continue;
		name = exam_text(exam, "%s._report._dmarc.%s", domain, other);
		found = find_records(exam, name);
		if (!found.unknown && found.n == 0)
			exam_add(exam, "dmarc.rua-unauthorised", domain,
			    exam_text(exam, "%s. IN TXT \"v=DMARC1\"", name),
			    "reports go to %s, which has not said that it wants them", other);
	}
}

/* check_record - the one of a domain */
static void
check_record(struct exam *exam, const char *domain, const struct dmarc_found *found)
{
	struct dmarc_read read = dmarc_read_record(exam, found->text);
	const char *name = exam_text(exam, "_dmarc.%s", domain);

	if (read.fault != NULL) {
		exam_add(exam, "dmarc.syntax", name,
		    exam_text(exam, "%s. IN TXT \"v=DMARC1; p=none; rua=mailto:dmarc@%s\"", name,
			domain),
		    "the DMARC record is in error: %s", read.fault);
		return;
	}
	if (read.none && read.rua == NULL)
		exam_add(exam, "dmarc.none-no-rua", name,
		    exam_text(exam, "%s. IN TXT \"v=DMARC1; p=none; rua=mailto:dmarc@%s\"", name,
			domain),
		    "the DMARC record asks for nothing and for no reports");
	if (read.rua != NULL)
		check_rua(exam, domain, read.rua);
}

/* check_domain_dmarc - its record, or that of a domain above it */
static void
check_domain_dmarc(struct exam *exam, const char *domain)
{
	struct dmarc_found found = find_records(exam, exam_text(exam, "_dmarc.%s", domain));
	struct dmarc_found misplaced;
	const char *above = domain;

	if (found.n > 1)
		exam_add(exam, "dmarc.several", exam_text(exam, "_dmarc.%s", domain),
		    "delete all but one of them",
		    "there are %zu DMARC records: receivers use none of them", found.n);
	else if (found.n == 1)
		check_record(exam, domain, &found);
	if (found.n > 0 || found.unknown)
		return;
	misplaced = find_records(exam, domain);
	if (misplaced.n > 0) {
		exam_add(exam, "dmarc.syntax", domain,
		    exam_text(exam, "_dmarc.%s. IN TXT \"%s\"", domain,
			exam_shown(exam, misplaced.text, strlen(misplaced.text))),
		    "the DMARC record stands at the domain itself; it must stand at _dmarc.%s",
		    domain);
		return;
	}
	while ((above = strchr(above, '.')) != NULL && strchr(++above, '.') != NULL) {
		found = find_records(exam, exam_text(exam, "_dmarc.%s", above));
		if (found.n > 0 || found.unknown)
			return;
	}
	exam_add(exam, "dmarc.missing", domain,
	    exam_text(exam, "_dmarc.%s. IN TXT \"v=DMARC1; p=none; rua=mailto:dmarc@%s\"", domain,
		domain),
	    "this domain has no DMARC record; big receivers want one");
}

void
examine_dmarc(struct exam *exam)
{
	const struct site *site = exam->site;

	if (site->resolver == NULL)
		return;
	for (size_t i = 0; i < site->n_domains; i++)
		exam_ahead(exam, exam_text(exam, "_dmarc.%s", site->domains[i]), DNS_TXT);
	for (size_t i = 0; i < site->n_domains; i++)
		check_domain_dmarc(exam, site->domains[i]);
}

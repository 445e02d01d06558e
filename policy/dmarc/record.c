/*
 * record.c - DMARC policy records as values
 *
 * Threads: see record.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/mem.h"
#include "policy/dmarc/address.h"
#include "policy/dmarc/record.h"

/* One tag as written. */
struct dmarc_tag {
	struct span name, value;
};

/* dmarc_tag_next - take the next tag off a record; false at its end. No "=": the name is empty, the
 * value is all of it */
static bool
dmarc_tag_next(struct span *rest, struct dmarc_tag *tag_r)
{
	if (rest->at == NULL)
		return false;

	const char *end = memchr(rest->at, ';', rest->len);
	size_t len = end == NULL ? rest->len : (size_t)(end - rest->at);
	const char *equals = memchr(rest->at, '=', len);

	*tag_r = (struct dmarc_tag){ { NULL, 0 }, text_trim(text_span_of(rest->at, len)) };
	if (equals != NULL) {
		size_t before = (size_t)(equals - rest->at);

		tag_r->name = text_trim(text_span_of(rest->at, before));
		tag_r->value = text_trim(text_span_of(equals + 1, len - before - 1));
	}
	*rest = end == NULL ? text_span_of(NULL, 0) :
	    text_span_of(end + 1, rest->len - len - 1);
	return true;
}

/* record_is_blank - white space as records have it: no line ends */
static bool
record_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* record_has_version - does the text begin "v=DMARC1", and end there or go on with a semicolon? */
static bool
record_has_version(const char *text, size_t len)
{
	static const char version[] = "DMARC1";
	size_t at = 1;

	if (len == 0 || text_lower(text[0]) != 'v')
		return false;
	while (at < len && record_is_blank(text[at]))
		at++;
	if (at == len || text[at++] != '=')
		return false;
	while (at < len && record_is_blank(text[at]))
		at++;
	if (len - at < strlen(version) || memcmp(text + at, version, strlen(version)) != 0)
		return false;
	at += strlen(version);
	while (at < len && record_is_blank(text[at]))
		at++;
	return at == len || text[at] == ';';
}

/* record_read_policy - none, quarantine or reject; false for another word */
static bool
record_read_policy(struct span value, enum dmarc_policy *policy_r)
{
	static const struct {
		const char *word;
		enum dmarc_policy policy;
	} words[] = {
		{ "none", DMARC_POLICY_NONE },
		{ "quarantine", DMARC_POLICY_QUARANTINE },
		{ "reject", DMARC_POLICY_REJECT },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!text_equal_fold(value, text_span(words[i].word)))
			continue;
		*policy_r = words[i].policy;
		return true;
	}
	return false;
}

/* read_psd - y, n, or anything else */
static enum dmarc_psd
read_psd(struct span value)
{
	return text_equal_fold(value, text_span("y")) ? DMARC_PSD_YES :
	    text_equal_fold(value, text_span("n")) ? DMARC_PSD_NO : DMARC_PSD_UNKNOWN;
}

/* copy_span - a string of ctx */
static char *
copy_span(TALLOC_CTX *ctx, struct span value)
{
	return mem_strndup(ctx, value.at != NULL ? value.at : "", value.len);
}

/* The tags that mean something, in the order of their bits in `seen`. */
static const char *const tag_names[] = { "p", "sp", "np", "adkim", "aspf", "psd", "t", "fo",
	"rua" };

enum { TAG_P, TAG_SP, TAG_NP, TAG_ADKIM, TAG_ASPF, TAG_PSD, TAG_T, TAG_FO, TAG_RUA, TAG_COUNT };

/* tag_index - which one it is, or TAG_COUNT */
static int
tag_index(struct span name)
{
	for (int i = 0; i < TAG_COUNT; i++)
		if (text_equal_fold(name, text_span(tag_names[i])))
			return i;
	return TAG_COUNT;
}

/* record_fault - note the first error */
static void
record_fault(struct dmarc_record *record, bool wrong, const char *fault)
{
	if (wrong && record->fault == NULL)
		record->fault = fault;
}

/* record_is_alignment - r or s */
static bool
record_is_alignment(struct span value)
{
	return text_equal_fold(value, text_span("r")) || text_equal_fold(value, text_span("s"));
}

/* is_address_list - does a value of rua hold a URI that is well formed? */
static bool
is_address_list(struct span rest)
{
	struct dmarc_uri uri;

	return dmarc_uri_next(&rest, &uri);
}

bool
dmarc_record_has_address(const struct dmarc_record *record)
{
	return record->rua != NULL && is_address_list(text_span(record->rua));
}

/* record_read_tag - one tag that means something, met for the first time */
static void
record_read_tag(TALLOC_CTX *ctx, struct dmarc_record *record, int index, struct span value)
{
	switch (index) {
	case TAG_P:
		record->has_p = record_read_policy(value, &record->p);
		record_fault(record, !record->has_p,
		    "p= is neither none nor quarantine nor reject");
		break;
	case TAG_SP:
		record->has_sp = record_read_policy(value, &record->sp);
		record->broken |= !record->has_sp;
		record_fault(record, !record->has_sp,
		    "sp= is neither none nor quarantine nor reject");
		break;
	case TAG_NP:
		record->has_np = record_read_policy(value, &record->np);
		record->broken |= !record->has_np;
		record_fault(record, !record->has_np,
		    "np= is neither none nor quarantine nor reject");
		break;
	case TAG_ADKIM:
		record->strict_dkim = text_equal_fold(value, text_span("s"));
		record_fault(record, !record_is_alignment(value), "adkim= is neither r nor s");
		break;
	case TAG_ASPF:
		record->strict_spf = text_equal_fold(value, text_span("s"));
		record_fault(record, !record_is_alignment(value), "aspf= is neither r nor s");
		break;
	case TAG_PSD:
		record->psd = read_psd(value);
		break;
	case TAG_T:
		record->testing = text_equal_fold(value, text_span("y"));
		break;
	case TAG_FO:
		record->fo = copy_span(ctx, value);
		break;
	case TAG_RUA:
		record->rua = copy_span(ctx, value);
		record_fault(record, !is_address_list(value),
		    "rua= holds no address; write rua=mailto:USER@DOMAIN");
		break;
	default:
		break;
	}
}

/* settle_policies - fallbacks, and what section 4.10.1 says of a record without valid policies */
static void
settle_policies(struct dmarc_record *record)
{
	record_fault(record, !record->has_p, "p= is missing");
	record->broken |= !record->has_p;
	record->usable = !record->broken || dmarc_record_has_address(record);
	if (record->broken)
		record->p = record->sp = record->np = DMARC_POLICY_NONE;
	else if (!record->has_sp)
		record->sp = record->p;
	if (!record->broken && !record->has_np)
		record->np = record->sp;
}

bool
dmarc_record_read(TALLOC_CTX *ctx, const char *text, size_t len, struct dmarc_record *record_r)
{
	struct span rest = text_span_of(text, len);
	struct dmarc_tag tag;
	unsigned int seen = 0;

	if (len > DMARC_RECORD_MAX || !record_has_version(text, len))
		return false;
	*record_r = (struct dmarc_record){ .text = mem_strndup(ctx, text, len) };
	(void)dmarc_tag_next(&rest, &tag);
	for (size_t n = 1; dmarc_tag_next(&rest, &tag); n++) {
		int index = tag.name.len == 0 ? TAG_COUNT : tag_index(tag.name);

		record_fault(record_r, tag.name.len == 0 && tag.value.len > 0,
		    "a part between semicolons has no =");
		record_fault(record_r, index == TAG_P && n > 1,
		    "p= does not come right after v=DMARC1 (RFC 7489 section 6.3)");
		if (index == TAG_COUNT || (seen & 1u << index) != 0)
			continue;
		seen |= 1u << index;
		record_read_tag(ctx, record_r, index, tag.value);
	}
	settle_policies(record_r);
	return true;
}

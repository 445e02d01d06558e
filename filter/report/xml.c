/*
 * xml.c - an aggregate report as XML, packed or not
 *
 * The order of elements is that of the schema. Strangers' texts are printable ASCII already
 * (dmarc_sums.h); the writer escapes them.
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <jansson.h>
#include <libxml/xmlwriter.h>
#include <string.h>
#include <time.h>
/* input is not changed */
#define ZLIB_CONST
#include <zlib.h>

#include "filter/report/xml.h"
#include "policy/base/mem.h"
#include "policy/dmarc/record.h"
#include "policy/verdict/reply.h"

#define DAY_S		86400
#define OCTETS(text)	((const xmlChar *)(text)) /* as libxml2 wants them */
#define NAMESPACE	"urn:ietf:params:xml:ns:dmarc-2.0"
#define GZIP_WINDOW	(MAX_WBITS + 16) /* zlib: with the header of gzip */

int64_t
report_begin(int day)
{
	struct tm tm = { .tm_year = day / 10000 - 1900, .tm_mon = day / 100 % 100 - 1,
		.tm_mday = day % 100 };
	int64_t begin = (int64_t)timegm(&tm);

	return daybook_day(begin * 1000) == day ? begin : -1;
}

char *
report_id(TALLOC_CTX *ctx, const struct report_subject *subject)
{
	return mem_printf(ctx, "%d.%s@%s", subject->day, subject->domain->domain,
	    subject->config->domain);
}

/* put - an element that holds a text */
static void
put(xmlTextWriterPtr writer, const char *name, const char *text)
{
	(void)xmlTextWriterWriteElement(writer, OCTETS(name), OCTETS(text));
}

/* xml_number - an element that holds a number */
static void
xml_number(xmlTextWriterPtr writer, const char *name, int64_t number)
{
	(void)xmlTextWriterWriteFormatElement(writer, OCTETS(name), "%" PRId64, number);
}

/* open_element, close_element - one with elements in it */
static void
open_element(xmlTextWriterPtr writer, const char *name)
{
	(void)xmlTextWriterStartElement(writer, OCTETS(name));
}

static void
close_element(xmlTextWriterPtr writer)
{
	(void)xmlTextWriterEndElement(writer);
}

/* put_metadata - who reports, and when */
static void
put_metadata(TALLOC_CTX *ctx, xmlTextWriterPtr writer, const struct report_subject *subject)
{
	const struct dmarc_report_config *config = subject->config;
	int64_t begin = report_begin(subject->day);

	open_element(writer, "report_metadata");
	put(writer, "org_name", config->org);
	put(writer, "email", config->email != NULL ? config->email : config->from);
	if (config->contact != NULL)
		put(writer, "extra_contact_info", config->contact);
	put(writer, "report_id", report_id(ctx, subject));
	open_element(writer, "date_range");
	xml_number(writer, "begin", begin);
	xml_number(writer, "end", begin + DAY_S - 1);
	close_element(writer);
	if (subject->domain->beyond > 0)
		put(writer, "error",
		    mem_printf(ctx, "not listed: %" PRIu64 " of %" PRIu64 " messages, because "
			"their sources and results are too many",
			subject->domain->beyond, subject->domain->messages));
	put(writer, "generator", PACKAGE_NAME " " PACKAGE_VERSION);
	close_element(writer);
}

/* put_policy - what the domain published, the last time it was asked */
static void
put_policy(TALLOC_CTX *ctx, xmlTextWriterPtr writer, const struct books_dmarc_domain *domain)
{
	struct dmarc_record record = { .p = DMARC_POLICY_NONE };

	(void)dmarc_record_read(ctx, domain->record, strlen(domain->record), &record);
	open_element(writer, "policy_published");
	put(writer, "domain", domain->domain);
	put(writer, "discovery_method", "treewalk");
	put(writer, "p", dmarc_policy_word(record.p));
	if (record.has_sp)
		put(writer, "sp", dmarc_policy_word(record.sp));
	if (record.has_np)
		put(writer, "np", dmarc_policy_word(record.np));
	put(writer, "adkim", record.strict_dkim ? "s" : "r");
	put(writer, "aspf", record.strict_spf ? "s" : "r");
	if (record.fo != NULL && strspn(record.fo, "01dsDS: ") == strlen(record.fo))
		put(writer, "fo", record.fo);
	put(writer, "testing", record.testing ? "y" : "n");
	close_element(writer);
}

/* xml_text - a member of a row; "" if it has none */
static const char *
xml_text(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text != NULL ? text : "";
}

/* xml_item - a text of a list; "" if it has none */
static const char *
xml_item(const json_t *list, size_t i)
{
	const char *text = json_string_value(json_array_get(list, i));

	return text != NULL ? text : "";
}

/* put_evaluated - what was made of it */
static void
put_evaluated(xmlTextWriterPtr writer, const json_t *row)
{
	const json_t *reasons = json_object_get(row, "reasons");

	open_element(writer, "policy_evaluated");
	put(writer, "disposition", xml_text(row, "disposition"));
	put(writer, "dkim", xml_text(row, "dkim"));
	put(writer, "spf", xml_text(row, "spf"));
	for (size_t i = 0; i < json_array_size(reasons); i++) {
		const json_t *reason = json_array_get(reasons, i);

		open_element(writer, "reason");
		put(writer, "type", xml_item(reason, 0));
		if (*xml_item(reason, 1) != '\0')
			put(writer, "comment", xml_item(reason, 1));
		close_element(writer);
	}
	close_element(writer);
}

/* put_results - what SPF and DKIM said, whether aligned or not */
static void
put_results(xmlTextWriterPtr writer, const json_t *row)
{
	const json_t *signatures = json_object_get(row, "dkim_results");
	const json_t *spf = json_object_get(row, "spf_result");

	open_element(writer, "auth_results");
	for (size_t i = 0; i < json_array_size(signatures); i++) {
		const json_t *signature = json_array_get(signatures, i);

		open_element(writer, "dkim");
		put(writer, "domain", xml_item(signature, 0));
		put(writer, "selector", xml_item(signature, 1));
		put(writer, "result", xml_item(signature, 2));
		close_element(writer);
	}
	if (spf != NULL) {
		open_element(writer, "spf");
		put(writer, "domain", xml_item(spf, 0));
		put(writer, "scope", "mfrom");
		put(writer, "result", xml_item(spf, 1));
		close_element(writer);
	}
	close_element(writer);
}

/* put_record - one row; false: it is none of ours */
static bool
put_record(xmlTextWriterPtr writer, const struct books_dmarc_row *text)
{
	json_t *row = json_loads(text->text, 0, NULL);

	if (row == NULL)
		return false;
	open_element(writer, "record");
	open_element(writer, "row");
	put(writer, "source_ip", xml_text(row, "ip"));
	xml_number(writer, "count", (int64_t)text->n);
	put_evaluated(writer, row);
	close_element(writer);
	open_element(writer, "identifiers");
	put(writer, "header_from", xml_text(row, "header_from"));
	put(writer, "envelope_from", xml_text(row, "envelope_from"));
	close_element(writer);
	put_results(writer, row);
	close_element(writer);
	json_decref(row);
	return true;
}

/* put_report - the document; how many rows it has */
static size_t
put_report(TALLOC_CTX *ctx, xmlTextWriterPtr writer, const struct report_subject *subject)
{
	size_t n = 0;

	(void)xmlTextWriterSetIndent(writer, 1);
	(void)xmlTextWriterStartDocument(writer, "1.0", "UTF-8", NULL);
	(void)xmlTextWriterStartElementNS(writer, NULL, OCTETS("feedback"), OCTETS(NAMESPACE));
	put(writer, "version", "1.0");
	put_metadata(ctx, writer, subject);
	put_policy(ctx, writer, subject->domain);
	for (size_t i = 0; i < subject->n; i++)
		n += put_record(writer, &subject->rows[i]);
	(void)xmlTextWriterEndDocument(writer);
	return n;
}

char *
report_xml(TALLOC_CTX *ctx, const struct report_subject *subject, size_t *len_r)
{
	xmlBufferPtr buffer = mem_check(xmlBufferCreate());
	xmlTextWriterPtr writer = mem_check(xmlNewTextWriterMemory(buffer, 0));
	TALLOC_CTX *tmp = mem_check(talloc_new(ctx));
	char *text = NULL;

	if (put_report(tmp, writer, subject) > 0) {
		(void)xmlTextWriterFlush(writer);
		*len_r = (size_t)xmlBufferLength(buffer);
		text = mem_strndup(ctx, (const char *)xmlBufferContent(buffer), *len_r);
	}
	xmlFreeTextWriter(writer);
	xmlBufferFree(buffer);
	talloc_free(tmp);
	return text;
}

uint8_t *
report_pack(TALLOC_CTX *ctx, const char *text, size_t len, size_t *len_r)
{
	z_stream stream = { .next_in = (const Bytef *)text, .avail_in = (uInt)len };
	uint8_t *packed;

	if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8,
		Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	stream.avail_out = (uInt)deflateBound(&stream, (uLong)len);
	packed = mem_array(ctx, uint8_t, stream.avail_out);
	stream.next_out = packed;
	*len_r = deflate(&stream, Z_FINISH) == Z_STREAM_END ? stream.total_out : 0;
	(void)deflateEnd(&stream);
	return *len_r > 0 ? packed : NULL;
}

/*
 * xml.h - an aggregate report as XML (RFC 9990 section 3.1 and appendix A), packed or not
 *
 * Threads: any.
 */
#ifndef FILTER_REPORT_XML_H
#define FILTER_REPORT_XML_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

#include "filter/config/configuration.h"
#include "filter/journal/books_types.h"

/* What a report is about: the mail of one day under one domain's policy. */
struct report_subject {
	const struct dmarc_report_config *config;
	int day;		/* daybook_day() */
	const struct books_dmarc_domain *domain;
	const struct books_dmarc_row *rows;
	size_t n;
};

/* report_begin - UNIX time in seconds at which a day begins; -1: there is no such day */
int64_t report_begin(int day);

/* report_id - the same whenever it is asked for: "20261128.example.com@reporter.example", on ctx */
char *report_id(TALLOC_CTX *ctx, const struct report_subject *subject);

/* report_xml - the report; NULL if there is no row to put into it. On ctx, *len_r octets and a
 * NUL. */
char *report_xml(TALLOC_CTX *ctx, const struct report_subject *subject, size_t *len_r);

/* report_pack - text as a gzip file (RFC 1952), on ctx; NULL if zlib fails */
uint8_t *report_pack(TALLOC_CTX *ctx, const char *text, size_t len, size_t *len_r);

#endif

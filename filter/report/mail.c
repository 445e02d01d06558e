/*
 * mail.c - a report as the mail that brings it
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>
#include <time.h>

#include "filter/report/mail.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

#define DAY_S		86400
#define LINE_OCTETS	57	/* 76 characters of base64 */
#define LINE_LENGTH	77	/* with its end */

/* mail_date - as in Date (RFC 5322 section 3.3); the locale is "C" */
static char *
mail_date(TALLOC_CTX *ctx, int64_t now_s)
{
	time_t seconds = (time_t)now_s;
	char text[64];
	struct tm tm;

	(void)gmtime_r(&seconds, &tm);
	(void)strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	return mem_strdup(ctx, text);
}

/* mail_base64 - in lines */
static char *
mail_base64(TALLOC_CTX *ctx, const uint8_t *octets, size_t len)
{
	size_t lines = (len + LINE_OCTETS - 1) / LINE_OCTETS;
	char *text = mem_array(ctx, char, lines * LINE_LENGTH + 2), *at = text;

	for (size_t i = 0; i < len; i += LINE_OCTETS) {
		int n = len - i < LINE_OCTETS ? (int)(len - i) : LINE_OCTETS;

		at += EVP_EncodeBlock((unsigned char *)at, octets + i, n);
		*at++ = '\n';
	}
	*at = '\0';
	return text;
}

/* mail_head - the fields; boundary divides the parts */
static char *
mail_head(TALLOC_CTX *ctx, const struct report_subject *subject, const char *to,
    const char *boundary, int64_t now_s)
{
	const struct dmarc_report_config *config = subject->config;

	return mem_printf(ctx,
	    "From: %s\n"
	    "To: %s\n"
	    "Date: %s\n"
	    "Subject: Report Domain: %s\n"
	    "  Submitter: %s\n"
	    "  Report-ID: <%s>\n"
	    "Message-ID: <%016" PRIx64 ".%d@%s>\n"
	    "Auto-Submitted: auto-generated\n"
	    "MIME-Version: 1.0\n"
	    "Content-Type: multipart/mixed; boundary=\"%s\"\n",
	    config->from, to, mail_date(ctx, now_s), subject->domain->domain, config->domain,
	    report_id(ctx, subject),
	    hash_mix(hash_text(hash_text(HASH_START, subject->domain->domain), to)),
	    subject->day, config->domain, boundary);
}

char *
report_mail(TALLOC_CTX *ctx, const struct report_subject *subject, const char *to,
    const uint8_t *packed, size_t len, int64_t now_s)
{
	const char *domain = subject->domain->domain;
	int64_t begin = report_begin(subject->day);
	/* no text of the parts begins like that: base64 has no underscore */
	const char *boundary = mem_printf(ctx, "_report_%d_", subject->day);

	return mem_printf(ctx,
	    "%s"
	    "\n"
	    "--%s\n"
	    "Content-Type: text/plain; charset=us-ascii\n"
	    "\n"
	    "This is an aggregate report of DMARC (RFC 9990) about mail of\n"
	    "%s\n"
	    "on %04d-%02d-%02d (UTC). The record of that domain requests it.\n"
	    "\n"
	    "--%s\n"
	    "Content-Type: application/gzip\n"
	    "Content-Transfer-Encoding: base64\n"
	    "Content-Disposition: attachment;\n"
	    "  filename=\"%s!%s!%" PRId64 "!%" PRId64 ".xml.gz\"\n"
	    "\n"
	    "%s"
	    "--%s--\n",
	    mail_head(ctx, subject, to, boundary, now_s), boundary, domain, subject->day / 10000,
	    subject->day / 100 % 100, subject->day % 100, boundary, subject->config->domain,
	    domain, begin, begin + DAY_S - 1, mail_base64(ctx, packed, len), boundary);
}

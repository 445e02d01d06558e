/*
 * mail.h - a report as the mail that brings it (RFC 9990 section 3.5.2)
 *
 * Threads: any.
 */
#ifndef FILTER_REPORT_MAIL_H
#define FILTER_REPORT_MAIL_H

#include "filter/report/xml.h"

/*
 * report_mail - the mail to one address, with the packed report as its attachment
 * packed: len octets of gzip. Lines end with LF, as sendmail(1) wants them. The same report makes
 * the same Subject, file name and Message-ID each time. On ctx.
 */
char *report_mail(TALLOC_CTX *ctx, const struct report_subject *subject, const char *to,
    const uint8_t *packed, size_t len, int64_t now_s);

#endif

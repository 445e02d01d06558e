/*
 * exam.c - what a check says, and whom it asks
 *
 * Thread rule: an exam belongs to one thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/plain_file.h"
#include "filter/doctor/inside.h"
#include "policy/base/dns.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define EXAM_LINES_MAX	100000	/* of a file that is looked through */
#define EXAM_SHOWN	200	/* octets of strangers' text */
#define DNS_WAIT_MS	3000	/* for one answer */

/* exam_add_text - a finding whose sentence is made */
static void
exam_add_text(struct exam *exam, enum doctor_level level, const char *id, const char *where,
    const char *cure, char *what)
{
	where = where != NULL ? where : "";
	for (size_t i = 0; i < exam->n; i++)
		if (strcmp(exam->findings[i].id, id) == 0 &&
		    strcmp(exam->findings[i].where, where) == 0)
			return;
	exam->findings = mem_grow(exam->ctx, exam->findings, struct doctor_finding, exam->n + 1);
	exam->findings[exam->n++] = (struct doctor_finding){ level, mem_strdup(exam->ctx, id),
		mem_strdup(exam->ctx, where), what,
		mem_strdup(exam->ctx, cure != NULL ? cure : "") };
}

void
exam_add(struct exam *exam, const char *id, const char *where, const char *cure, const char *format,
    ...)
{
	va_list args;

	va_start(args, format);
	exam_add_text(exam, DOCTOR_LEVELS, id, where, cure,
	    mem_check(talloc_vasprintf(exam->ctx, format, args)));
	va_end(args);
}

void
exam_add_level(struct exam *exam, enum doctor_level level, const char *id, const char *where,
    const char *cure, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	exam_add_text(exam, level, id, where, cure,
	    mem_check(talloc_vasprintf(exam->ctx, format, args)));
	va_end(args);
}

const char *
exam_text(struct exam *exam, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = mem_check(talloc_vasprintf(exam->ctx, format, args));
	va_end(args);
	return text;
}

const char *
exam_shown(struct exam *exam, const char *text, size_t len)
{
	return text_escape(exam->ctx, text, len, EXAM_SHOWN);
}

int64_t
exam_deadline(const struct exam *exam, int64_t ms)
{
	int64_t deadline = clock_ms() + ms;

	return deadline < exam->site->deadline_ms ? deadline : exam->site->deadline_ms;
}

struct dns_answer *
exam_ask(struct exam *exam, const char *name, enum dns_type type)
{
	struct dns_answer *answer;
	size_t len = strlen(name);

	if (exam->site->resolver != NULL && dns_name_ok(name, len))
		return resolver_ask(exam->site->resolver, exam->ctx, name, len, type,
		    exam_deadline(exam, DNS_WAIT_MS));
	answer = mem_new(exam->ctx, struct dns_answer);
	answer->status = exam->site->resolver == NULL ? DNS_FAILURE : DNS_NXDOMAIN;
	return answer;
}

void
exam_ahead(struct exam *exam, const char *name, enum dns_type type)
{
	if (exam->site->resolver != NULL && dns_name_ok(name, strlen(name)))
		resolver_prefetch(exam->site->resolver, name, strlen(name), type);
}

bool
exam_dns_unknown(
    struct exam *exam, const char *id, const char *name, const struct dns_answer *answer)
{
	if (answer->status != DNS_TIMEOUT && answer->status != DNS_FAILURE)
		return false;
	/* that no server answers at all is one finding: resolver.dead */
	if (exam->site->resolver != NULL)
		exam_add_level(exam, DOCTOR_UNKNOWN, id, name, NULL, "DNS gave no answer: %s",
		    answer->problem != NULL ? answer->problem : "no answer in time");
	return true;
}

const char *
exam_file_where(struct exam *exam, const char *name)
{
	const char *path = exam->site->config->file;
	FILE *file = plain_file(path);
	char *line = NULL;
	size_t size = 0;
	int found = 0;

	for (int n = 1; file != NULL && found == 0 && n < EXAM_LINES_MAX &&
	     getline(&line, &size, file) > 0; n++) {
		const char *at = line + strspn(line, " \t");

		if (strncmp(at, name, strlen(name)) == 0 && strpbrk(at, "=:") != NULL)
			found = n;
	}
	free(line);
	if (file != NULL)
		(void)fclose(file);
	return found > 0 ? exam_text(exam, "%s:%d", path, found) : path;
}

/*
 * send.c - send the report to a domain, through sendmail(1)
 *
 * Threads: see send.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/dmarc/destinations.h"
#include "filter/mta/command.h"
#include "filter/report/mail.h"
#include "filter/report/send.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/dmarc/record.h"

#define DNS_WAIT_MS	10000	/* for all questions about one domain's addresses */
#define SENDMAIL_WAIT_MS 60000	/* in which sendmail(1) must take a mail */
#define FIRST_PAUSE_S	600	/* before the second try; then twice as long each time */

/* The report to one domain, as it is sent. */
struct sending {
	TALLOC_CTX *ctx;
	const struct report_sender *sender;
	struct report_subject subject;
	int64_t now_s;
	const uint8_t *packed;
	size_t packed_len;
	json_t *to;		/* who got it, now or before */
	bool again;		/* something may work later */
	const char *why;	/* what is wrong; the last one counts */
};

/* --- state --- */

/* sending_state - as it is in the books, or an empty object; the caller's */
static json_t *
sending_state(const struct books_dmarc_domain *domain)
{
	json_t *state = domain->state == NULL ? NULL : json_loads(domain->state, 0, NULL);

	return state != NULL ? state : json_object();
}

bool
report_is_due(const struct books_dmarc_domain *domain, int64_t now_s, bool by_hand)
{
	json_t *state = sending_state(domain);
	const char *word = json_string_value(json_object_get(state, "state"));
	bool due = word == NULL ||
	    (by_hand ? strcmp(word, "sent") != 0
		     : strcmp(word, "waiting") == 0 &&
			    json_integer_value(json_object_get(state, "next")) <= now_s);

	json_decref(state);
	return due;
}

/* keep_state - what became of it */
static int
keep_state(struct sending *sending, const char **error_r)
{
	json_t *before = sending_state(sending->subject.domain), *state;
	json_int_t tries = json_integer_value(json_object_get(before, "tries")) + 1;
	bool again = sending->again && tries < REPORT_TRIES_MAX;
	const char *word = again ? "waiting" :
	    sending->again       ? "failed" :
	    json_array_size(sending->to) > 0 ? "sent" : "none";
	int64_t pause = (int64_t)FIRST_PAUSE_S << (tries < 10 ? tries - 1 : 9);
	char *text;
	int result;

	json_decref(before);
	state = json_pack("{s:s, s:O, s:s, s:I, s:I}", "state", word, "to", sending->to, "why",
	    sending->why != NULL ? sending->why : "", "tries", tries, "next",
	    again ? (json_int_t)(sending->now_s + pause) : (json_int_t)0);
	text = mem_check(json_dumps(state, JSON_COMPACT | JSON_ENSURE_ASCII));
	result = books_set_dmarc(sending->sender->books, sending->ctx, sending->subject.day,
	    sending->subject.domain->domain, text, error_r);
	free(text);
	json_decref(state);
	log_info("dmarc report: %d %s: %s%s%s", sending->subject.day,
	    sending->subject.domain->domain, word, sending->why != NULL ? ": " : "",
	    sending->why != NULL ? sending->why : "");
	return result;
}

/* --- one mail --- */

/* is_sent - did this address get it before? */
static bool
is_sent(const struct sending *sending, const char *mailbox)
{
	for (size_t i = 0; i < json_array_size(sending->to); i++) {
		const char *to = json_string_value(json_array_get(sending->to, i));

		if (to != NULL && strcmp(to, mailbox) == 0)
			return true;
	}
	return false;
}

/* said - the end of what a program printed, for the log */
static const char *
said(TALLOC_CTX *ctx, const struct command_output *output)
{
	const char *text = *output->error != '\0' ? output->error : output->out;
	struct span span = text_trim(text_span(text));

	if (span.len > 200)
		span = text_span_of(span.at + span.len - 200, 200);
	return text_escape(ctx, span.at, span.len, 200);
}

/* run_sendmail - hand a mail over; false: it did not take it, and sending->why */
static bool
run_sendmail(struct sending *sending, const char *mailbox, const char *mail, size_t len)
{
	const struct dmarc_report_config *config = sending->sender->config;
	const char *program = config->sendmail != NULL ? config->sendmail :
	    command_find(sending->ctx, "sendmail");
	const char *const argv[] = { program, "-oi", "-f", config->from, mailbox, NULL };
	struct command_output output;
	const char *error = NULL;

	if (program == NULL) {
		sending->why = "there is no sendmail(1); name it with sendmail in report = { }";
		return false;
	}
	if (command_feed(sending->ctx, argv, mail, len, clock_ms() + SENDMAIL_WAIT_MS, &output,
		&error) != 0) {
		sending->why = error;
		return false;
	}
	if (output.status == 0)
		return true;
	sending->why = mem_printf(sending->ctx, "%s ended with status %d: %s", program,
	    output.status, said(sending->ctx, &output));
	return false;
}

/* sending_may - is there room for one more report to this host of addresses? */
static bool
sending_may(const struct report_sender *sender, const char *host)
{
	size_t *n = map_put(sender->hosts, host, NULL);

	return (*n)++ < REPORT_HOST_MAX;
}

/* send_to - to one address that may get it */
static void
send_to(struct sending *sending, const struct dmarc_destination *destination)
{
	char *mail;
	size_t len;

	if (is_sent(sending, destination->mailbox))
		return;
	if (!sending_may(sending->sender, destination->host)) {
		sending->why = mem_printf(sending->ctx, "%s got %d reports already",
		    destination->host, REPORT_HOST_MAX);
		return;
	}
	mail = report_mail(sending->ctx, &sending->subject, destination->mailbox, sending->packed,
	    sending->packed_len, sending->now_s);
	len = strlen(mail);
	if (len > REPORT_MAIL_MAX || (destination->max > 0 && len > destination->max)) {
		sending->why = mem_printf(sending->ctx, "%s accepts %llu bytes, the mail has %zu",
		    destination->mailbox,
		    (unsigned long long)(destination->max > 0 ? destination->max :
			REPORT_MAIL_MAX), len);
	} else if (run_sendmail(sending, destination->mailbox, mail, len)) {
		(void)json_array_append_new(sending->to, json_string(destination->mailbox));
	} else {
		sending->again = true;
	}
	talloc_free(mail);
}

/* send_to_all - to the addresses of the record, as they are verified now */
static void
send_to_all(struct sending *sending, const char *rua)
{
	struct dmarc_asking *asking = dmarc_asking_new(
	    sending->ctx, sending->sender->resolver, clock_ms() + DNS_WAIT_MS);
	struct dmarc_destination destinations[DMARC_ADDRESSES_MAX];
	size_t n = dmarc_destinations(asking, sending->subject.domain->domain, rua, destinations);
	size_t sent = 0;

	for (size_t i = 0; i < n; i++) {
		const struct dmarc_destination *destination = &destinations[i];

		if (destination->state == DMARC_DESTINATION_OK && sent < REPORT_ADDRESSES_MAX) {
			send_to(sending, destination);
			sent++;
			continue;
		}
		sending->again |= destination->state == DMARC_DESTINATION_UNKNOWN;
		sending->why = mem_printf(sending->ctx, "%s: %s", destination->uri,
		    destination->why != NULL ? destination->why : "these are many addresses");
	}
	if (n == 0)
		sending->why = "the record names no address";
}

/* sending_make - the packed report; false: there is none, and sending->why */
static bool
sending_make(struct sending *sending)
{
	size_t len = 0;
	char *xml = report_xml(sending->ctx, &sending->subject, &len);

	if (xml == NULL) {
		sending->why = "there is no row to report";
		return false;
	}
	sending->packed = report_pack(sending->ctx, xml, len, &sending->packed_len);
	talloc_free(xml);
	if (sending->packed == NULL)
		sending->why = "the report cannot be packed";
	return sending->packed != NULL;
}

int
report_send(TALLOC_CTX *ctx, const struct report_sender *sender, int day,
    const struct books_dmarc_domain *domain, int64_t now_s, const char **error_r)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(ctx));
	struct sending sending = { .ctx = tmp,
		.sender = sender,
		.subject = { .config = sender->config, .day = day, .domain = domain },
		.now_s = now_s,
		.to = json_array() };
	struct dmarc_record record = { .rua = NULL };
	struct books_dmarc_row *rows;
	json_t *before = sending_state(domain);
	int result;

	(void)json_array_extend(sending.to, json_object_get(before, "to"));
	json_decref(before);
	result = books_dmarc_rows(
	    sender->books, tmp, day, domain->domain, &rows, &sending.subject.n, error_r);
	sending.subject.rows = rows;
	(void)dmarc_record_read(tmp, domain->record, strlen(domain->record), &record);
	if (result == 0 && sending_make(&sending))
		send_to_all(&sending, record.rua != NULL ? record.rua : "");
	if (result == 0)
		result = keep_state(&sending, error_r);
	if (result != 0 && *error_r != NULL)
		*error_r = mem_strdup(ctx, *error_r);
	json_decref(sending.to);
	talloc_free(tmp);
	return result;
}

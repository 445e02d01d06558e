/*
 * bounce.c - reading a delivery report
 *
 * A field is read when the line after it does not continue it. What a part is comes from its
 * Content-Type field, wherever that is: boundaries are not followed, because a report that is
 * shaped otherwise is as forged as any, and what it says is proved by the Message-ID alone.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/sender/bounce.h"

/* starts - the rest of text behind a word at its start, in any case; at NULL: it is not there */
static struct span
starts(struct span text, const char *word)
{
	size_t len = strlen(word);

	if (text.len < len || !text_equal_fold(text_span_of(text.at, len), text_span_of(word, len)))
		return text_span_of(NULL, 0);
	return text_span_of(text.at + len, text.len - len);
}

/* field - the value of a field of that name; at NULL: the line is another */
static struct span
field(struct span line, const char *name)
{
	struct span rest = starts(line, name);

	while (rest.at != NULL && rest.len > 0 && (rest.at[0] == ' ' || rest.at[0] == '\t'))
		rest = text_span_of(rest.at + 1, rest.len - 1);
	if (rest.at == NULL || rest.len == 0 || rest.at[0] != ':')
		return text_span_of(NULL, 0);
	return text_trim(text_span_of(rest.at + 1, rest.len - 1));
}

/* is_type - is a media type this one, whatever its parameters are? */
static bool
is_type(struct span value, const char *type)
{
	struct span rest = starts(value, type);

	return rest.at != NULL && (rest.len == 0 || strchr("; \t\r\n(", rest.at[0]) != NULL);
}

/* read_type - a part begins */
static void
read_type(struct bounce *bounce, struct span value)
{
	static const char *const returned[] = { "message/rfc822", "text/rfc822-headers",
		"message/rfc822-headers", "message/global", "message/global-headers" };

	bounce->place = is_type(value, "message/delivery-status") ||
	    is_type(value, "message/global-delivery-status") ? BOUNCE_STATUS : BOUNCE_ELSEWHERE;
	for (size_t i = 0; i < sizeof(returned) / sizeof(returned[0]); i++)
		if (is_type(value, returned[i]))
			bounce->place = BOUNCE_PART;
}

/* read_field - a line with those that continue it */
static void
bounce_read_field(struct bounce *bounce)
{
	const struct span line = text_span_of(bounce->line, bounce->len);
	struct span value;

	bounce->line[bounce->len] = '\0';
	if (bounce->place == BOUNCE_HEADER) {
		if (field(line, "Message-ID").at != NULL && bounce->id[0] == '\0') {
			value = bounce_message_id(strchr(bounce->line, ':') + 1);
			memcpy(bounce->id, value.at, value.len);
			bounce->id[value.len] = '\0';
		}
	} else if ((value = field(line, "Content-Type")).at != NULL) {
		read_type(bounce, value);
	} else if (bounce->place == BOUNCE_STATUS && (value = field(line, "Action")).at != NULL) {
		bounce->failed |= is_type(value, "failed");
	}
	bounce->len = 0;
}

/* bounce_line_end - a line is over */
static void
bounce_line_end(struct bounce *bounce)
{
	if (bounce->blank) {
		bounce_read_field(bounce);
		if (bounce->place == BOUNCE_PART)
			bounce->place = BOUNCE_HEADER;
		else if (bounce->place == BOUNCE_HEADER)
			bounce->place = BOUNCE_OVER;
	}
	bounce->fresh = bounce->blank = true;
}

/* bounce_octet - one octet that is no line end */
static void
bounce_octet(struct bounce *bounce, char c)
{
	if (bounce->fresh && c != ' ' && c != '\t')
		bounce_read_field(bounce);
	bounce->fresh = bounce->blank = false;
	if (bounce->len < BOUNCE_LINE_MAX)
		bounce->line[bounce->len++] = c;
}

/* bounce_add - the next octets of the body */
void
bounce_add(struct bounce *bounce, const char *octets, size_t len)
{
	if (bounce->octets == 0)
		bounce->fresh = bounce->blank = true;
	if (len > BOUNCE_OCTETS_MAX - bounce->octets)
		len = BOUNCE_OCTETS_MAX - bounce->octets;
	bounce->octets += len;
	for (size_t i = 0; i < len && bounce->place != BOUNCE_OVER; i++) {
		if (octets[i] == '\n')
			bounce_line_end(bounce);
		else if (octets[i] != '\r' && octets[i] != '\0')
			bounce_octet(bounce, octets[i]);
	}
}

/* bounce_end - all was read */
const char *
bounce_end(struct bounce *bounce)
{
	if (bounce->place != BOUNCE_OVER)
		bounce_read_field(bounce);
	return bounce->failed && bounce->id[0] != '\0' ? bounce->id : NULL;
}

/* bounce_is_report - is this the Content-Type of a delivery report? */
bool
bounce_is_report(const char *content_type)
{
	static const char name[] = "report-type";
	struct span rest = text_trim(text_span(content_type));

	/* a gateway may have signed it (S/MIME, OpenPGP): the report is its first part */
	if (is_type(rest, "multipart/signed"))
		return true;
	if (!is_type(rest, "multipart/report"))
		return false;
	for (; rest.len > 0; rest = text_span_of(rest.at + 1, rest.len - 1)) {
		struct span value = starts(rest, name);

		if (value.at == NULL)
			continue;
		value = text_trim(value);
		if (value.len == 0 || value.at[0] != '=')
			continue;
		value = text_trim(text_span_of(value.at + 1, value.len - 1));
		if (value.len > 0 && value.at[0] == '"')
			value = text_span_of(value.at + 1, value.len - 1);
		return starts(value, "delivery-status").at != NULL;
	}
	return false;
}

/* bounce_message_id - what is compared of a Message-ID */
struct span
bounce_message_id(const char *value)
{
	struct span id = text_trim(text_span(value));

	if (id.len > BOUNCE_LINE_MAX)
		id.len = BOUNCE_LINE_MAX;
	return id;
}

/* bounce_queue_id - the queue id in a Message-ID that an MTA made */
struct span
bounce_queue_id(const char *message_id)
{
	size_t digits = strspn(message_id + (message_id[0] == '<'), "0123456789");
	const char *dot = message_id + (message_id[0] == '<') + digits;
	size_t len;

	if (digits < 8 || *dot != '.')
		return text_span_of("", 0);
	len = strspn(dot + 1, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
	return dot[1 + len] == '@' ? text_span_of(dot + 1, len) : text_span_of("", 0);
}

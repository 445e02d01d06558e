/*
 * header.c - the header section, and who it says sent the message
 *
 * The list keeps what the MTA handed over, octet for octet: signatures are made and
 * verified over it. It is bounded because strangers write it; beyond the bound
 * fields are only counted, and the verdict hears of it, so that no field can hide
 * after ten thousand others.
 *
 * Which fields name a sender is a table. Besides the fields of just these names there
 * may be some that only other readers take for them: a name with a control character
 * in it, a line end inside another field's value with "From:" after it. No mail
 * program writes them, so they are malformed.
 *
 * From is special: none and several have
 * actions of their own in the configuration, so here they are only counted.
 *
 * Threads: one at a time per list.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/sender/header.h"

/* Addresses claimed by all sender fields of one message; more are malformed. */
#define CLAIMS_MAX	400

/* Addresses that all their display names show; more are malformed. */
#define DISPLAYS_MAX	200

/* Values of several From fields that are kept for the log. */
#define FROM_TEXTS_MAX	3
#define FROM_TEXT_MAX	256	/* octets of each */

/* header_list_new - an empty list */
struct header_list *
header_list_new(TALLOC_CTX *ctx, size_t max_octets)
{
	struct header_list *list = mem_new(ctx, struct header_list);

	list->max_octets = max_octets;
	list->room = 32;
	list->fields = mem_array(list, struct header_field, list->room);
	return list;
}

/* header_append - add a field at the end */
void
header_append(struct header_list *list, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
	struct header_field *field;
	char *copy;

	list->seen++;
	if (list->too_many || list->n == HEADER_FIELDS_MAX ||
	    name_len > list->max_octets - list->octets ||
	    value_len > list->max_octets - list->octets - name_len) {
		list->too_many = true;
		return;
	}
	if (list->n == list->room) {
		list->room *= 2;
		list->fields = mem_grow(list, list->fields, struct header_field,
		    list->room);
	}
	copy = mem_array(list, char, name_len + value_len + 2);
	if (name_len > 0)
		memcpy(copy, name, name_len);
	if (value_len > 0)
		memcpy(copy + name_len + 1, value, value_len);

	field = &list->fields[list->n++];
	field->name = copy;
	field->name_len = name_len;
	field->value = copy + name_len + 1;
	field->value_len = value_len;
	list->octets += name_len + value_len;
}

/* header_is - is this the field's name? */
bool
header_is(const struct header_field *field, const char *name)
{
	size_t len = field->name_len;

	/* asked for each field and each of thirty names: most differ in the first letter */
	if (len > 0 && text_lower(field->name[0]) != text_lower(name[0]))
		return false;
	while (len > 0 && text_is_space(field->name[len - 1]))
		len--;
	return text_equal_fold(text_span_of(field->name, len), text_span(name));
}

/* header_count - how many kept fields have this name */
size_t
header_count(const struct header_list *list, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < list->n; i++)
		count += header_is(&list->fields[i], name);
	return count;
}

/* header_find - the nth kept field of this name */
const struct header_field *
header_find(const struct header_list *list, const char *name, size_t nth)
{
	for (size_t i = 0; i < list->n; i++)
		if (header_is(&list->fields[i], name) && nth-- == 0)
			return &list->fields[i];
	return NULL;
}

/* is_visible - printable ASCII, as field names are made of (RFC 5322 section 2.2) */
static bool
is_visible(char c)
{
	return c > ' ' && c < 0x7f;
}

/* resembles - is this the field's name to a reader who passes over what cannot be seen? */
static bool
resembles(const struct header_field *field, struct span name)
{
	size_t matched = 0;

	for (size_t i = 0; i < field->name_len; i++) {
		if (!is_visible(field->name[i]))
			continue;
		if (matched == name.len ||
		    text_lower(field->name[i]) != text_lower(name.at[matched]))
			return false;
		matched++;
	}
	return matched == name.len;
}

/* The fields that name a sender, in the order in which they are read. */
static const struct sender_field {
	enum claim_place place;
	const char *name;
	bool single;		/* a second field of this name is malformed */
} sender_fields[] = {
	{ CLAIM_FROM,		"From",			true },
	{ CLAIM_SENDER,		"Sender",		true },
	{ CLAIM_RESENT_FROM,	"Resent-From",		false },
	{ CLAIM_RESENT_SENDER,	"Resent-Sender",	false },
};

#define N_SENDER_FIELDS	(sizeof(sender_fields) / sizeof(sender_fields[0]))

/* What is read of the sender fields so far. */
struct reader {
	TALLOC_CTX *ctx;
	const struct header_list *list;
	const struct address_rules *rules;
	struct header_facts *facts;
	struct claim *claims;
	size_t n_claims;
	struct header_displays *displays;	/* NULL: not wanted */
};

/* reader_malformed - note the first thing that is wrong */
static void
reader_malformed(struct reader *reader, const struct sender_field *kind,
    const struct header_field *field, const char *problem)
{
	if (reader->facts->malformed != NULL)
		return;
	reader->facts->malformed = problem;
	reader->facts->malformed_field = kind->name;
	reader->facts->malformed_text = field->value;
}

/* mailboxes_error - why a field may not name just these mailboxes, or NULL */
static const char *
mailboxes_error(const struct sender_field *kind, const struct mailbox *mailboxes,
    size_t n)
{
	bool from = kind->place == CLAIM_FROM || kind->place == CLAIM_RESENT_FROM;

	if (from)
		return n == 0 ? "the field names no mailbox" : NULL;
	for (size_t i = 1; i < n; i++)	/* one mailbox, or one group: RFC 6854 section 2.2 */
		if (mailboxes[i].group == NULL || mailboxes[i].group != mailboxes[0].group)
			return "the field names more than one sender";
	return NULL;
}

/* add_display - keep all that the display name of a mailbox shows */
static void
add_display(struct reader *reader, const struct sender_field *kind,
    const struct header_field *field, const struct mailbox *mailbox)
{
	struct header_displays *displays = reader->displays;
	struct header_display display = {
		.place = kind->place,
		.field = kind->name,
		.text = field->value,
		.display = mailbox->display,
		.address = mailbox->address.full,
	};

	if (displays == NULL || mailbox->finding == ADDRESS_DISPLAY_PLAIN)
		return;
	if (displays->n + mailbox->n_shown >= DISPLAYS_MAX) {
		reader_malformed(reader, kind, field, "its display names show too many addresses");
		return;
	}
	displays->items = mem_grow(reader->ctx, displays->items, struct header_display,
	    displays->n + mailbox->n_shown + 1);
	for (size_t i = 0; i < mailbox->n_shown; i++) {
		display.finding = mailbox->shown[i].disguised ?
		    ADDRESS_DISPLAY_MAILBOX : ADDRESS_DISPLAY_ADDRESS;
		display.shown = mailbox->shown[i].address;
		displays->items[displays->n++] = display;
	}
	if (mailbox->override) {
		display.finding = ADDRESS_DISPLAY_OVERRIDE;
		display.shown = NULL;
		displays->items[displays->n++] = display;
	}
}

/* read_field - add the claims of one field */
static void
read_field(struct reader *reader, const struct sender_field *kind,
    const struct header_field *field)
{
	struct mailbox *mailboxes;
	const char *problem = NULL;
	size_t n = 0;

	if (address_parse_list(reader->ctx, field->value, field->value_len,
	    reader->rules, &mailboxes, &n, &problem) == 0)
		problem = mailboxes_error(kind, mailboxes, n);
	if (problem == NULL && n > CLAIMS_MAX - reader->n_claims)
		problem = "the header names too many senders";
	if (problem != NULL) {
		reader_malformed(reader, kind, field, problem);
		talloc_free(mailboxes);
		return;
	}
	if (n == 0)
		return;
	reader->claims = mem_grow(reader->ctx, reader->claims, struct claim,
	    reader->n_claims + n);
	for (size_t i = 0; i < n; i++) {
		reader->claims[reader->n_claims++] = (struct claim){
			.place = kind->place,
			.address = mailboxes[i].address.full,
			.domain = mailboxes[i].address.domain,
		};
		add_display(reader, kind, field, &mailboxes[i]);
	}
}

/* from_texts - the first values of several From fields, for the log */
static const char *
from_texts(const struct reader *reader)
{
	char *all = mem_strdup(reader->ctx, "");

	for (size_t i = 0; i < FROM_TEXTS_MAX; i++) {
		const struct header_field *field = header_find(reader->list, "From", i);
		struct span text;

		if (field == NULL)
			break;
		text = text_trim(text_span(field->value));
		all = mem_printf(reader->ctx, "%s%s%.*s", all, i == 0 ? "" : " | ",
		    (int)(text.len < FROM_TEXT_MAX ? text.len : FROM_TEXT_MAX), text.at);
	}
	return all;
}

/* read_kind - read all fields of one name */
static void
read_kind(struct reader *reader, const struct sender_field *kind)
{
	const struct header_list *list = reader->list;
	size_t count = header_count(list, kind->name);

	if (kind->place == CLAIM_FROM) {
		reader->facts->from_fields = count;
		if (count > 1) {
			reader->facts->from_text = from_texts(reader);
			return;
		}
	}
	if (kind->single && count > 1) {
		reader_malformed(reader, kind, header_find(list, kind->name, 1),
		    "there is more than one of them");
		return;
	}
	for (size_t i = 0; i < list->n && count > 0; i++) {
		if (!header_is(&list->fields[i], kind->name))
			continue;
		read_field(reader, kind, &list->fields[i]);
		count--;
	}
}

/* kind_at - the sender field that a line would be whose first octets are these, or NULL */
static const struct sender_field *
kind_at(const char *at, size_t len)
{
	for (size_t i = 0; i < N_SENDER_FIELDS; i++) {
		const struct sender_field *kind = &sender_fields[i];
		struct span name = text_span(kind->name);
		size_t n = name.len;

		if (len < n || !text_equal_fold(text_span_of(at, n), name))
			continue;
		while (n < len && (at[n] == ' ' || at[n] == '\t'))
			n++;
		if (n < len && at[n] == ':')
			return kind;
	}
	return NULL;
}

/*
 * hidden_in - the sender field that hides in a value after a line end, or NULL
 *
 * A line end with white space after it is a fold; one without is what some MTAs
 * let through and some mail programs take for the end of the field.
 */
static const struct sender_field *
hidden_in(const struct header_field *field)
{
	const struct sender_field *kind = NULL;

	for (size_t i = 0; i + 1 < field->value_len && kind == NULL; i++)
		if (field->value[i] == '\r' || field->value[i] == '\n')
			kind = kind_at(field->value + i + 1, field->value_len - i - 1);
	return kind;
}

/* look_for_disguises - sender fields that only some readers see */
static void
look_for_disguises(struct reader *reader)
{
	for (size_t i = 0; i < reader->list->n; i++) {
		const struct header_field *field = &reader->list->fields[i];
		const struct sender_field *hidden = hidden_in(field);

		if (hidden != NULL)
			reader_malformed(reader, hidden, field,
			    "one is hidden inside another field");
		for (size_t j = 0; j < N_SENDER_FIELDS; j++)
			if (resembles(field, text_span(sender_fields[j].name)) &&
			    !header_is(field, sender_fields[j].name))
				reader_malformed(reader, &sender_fields[j], field,
				    "there is one with invisible characters in its name");
	}
}

/* header_read_senders - who the header says sent the message */
void
header_read_senders(TALLOC_CTX *ctx, const struct header_list *list,
    const struct address_rules *rules, struct header_facts *facts_r,
    struct claim **claims_r, size_t *n_r, struct header_displays *displays_r)
{
	struct reader reader = {
		.ctx = ctx,
		.list = list,
		.rules = rules,
		.facts = facts_r,
		.displays = displays_r,
	};

	memset(facts_r, 0, sizeof(*facts_r));
	facts_r->fields = list->seen;
	facts_r->too_many = list->too_many;
	if (displays_r != NULL)
		memset(displays_r, 0, sizeof(*displays_r));
	for (size_t i = 0; i < N_SENDER_FIELDS; i++)
		read_kind(&reader, &sender_fields[i]);
	look_for_disguises(&reader);
	*claims_r = reader.claims;
	*n_r = reader.n_claims;
}

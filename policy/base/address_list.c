/*
 * address_list.c - lists of mailboxes in header fields
 *
 * Published attacks on sender checks live in the gap between two readers: the
 * filter sees one address in a From field, the recipient's mail program shows
 * another. So this parser does not try to get an address out of whatever comes. It
 * follows the grammar, and if a field could be read in a second way, it says so
 * and reads nothing. What real mail programs write is wider than the grammar here
 * and there; each such liberty is named in address_list.h, and taken only if no
 * second reading comes with it.
 *
 * Grammar read from fields (RFC 5322 section 3.4, RFC 6854, RFC 6532), CFWS between
 * any two tokens:
 *
 *   list    = [ element ] *( "," [ element ] )
 *   element = mailbox / phrase ":" [ mailbox ] *( "," [ mailbox ] ) ";"
 *   mailbox = [ phrase ] "<" spec ">" / spec
 *   spec    = local "@" domain
 *   local   = quoted-string / 1*( atom / "." )          ; no CFWS inside
 *   domain  = "[" address "]" / atom *( "." atom )      ; CFWS after the first atom
 *   phrase  = 1*( atom / quoted-string / "." / "[" / "]" / "@" )  ; address_display_are_own
 *
 * CFWS further inside a domain is refused although RFC 5322 section 4.4 knows it:
 * "ceo@bank.example (x).attacker.example" has the bank's address in front.
 *
 * A lexer hands out tokens and skips CFWS; each element is scanned once to find out
 * what it is, and a second time to read it. So time is linear, and since comments
 * only need a counter, nothing recurses.
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/address_display.h"
#include "policy/base/address_lexer.h"
#include "policy/base/address_list.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"

/*
 * local@domain
 */

/* An address as it is written, before it is normalised. */
struct spec {
	char local[ADDRESS_LOCAL_MAX];
	size_t local_len;
	char domain[DOMAIN_INPUT_MAX];
	size_t domain_len;	/* 0: none */
};

/* spec_local - read the local part; *token is its first token, then the one after it */
static int
spec_local(struct lexer *lexer, struct token *token, struct spec *spec,
    const char **error_r)
{
	bool first = true;

	if (token->type == TOKEN_QUOTED) {
		if (token->text.len - 2 > sizeof(spec->local)) {
			*error_r = "the local part is too long";
			return -1;
		}
		address_unquote(token->text.at, token->text.len, spec->local, &spec->local_len);
		return address_lexer_next(lexer, token, error_r);
	}
	while (token->type == TOKEN_ATOM || token->special == '.') {
		if (token->gap && !first) {
			*error_r = "white space or a comment is inside an address";
			return -1;
		}
		if (token->text.len > sizeof(spec->local) - spec->local_len) {
			*error_r = "the local part is too long";
			return -1;
		}
		memcpy(spec->local + spec->local_len, token->text.at, token->text.len);
		spec->local_len += token->text.len;
		first = false;
		if (address_lexer_next(lexer, token, error_r) < 0)
			return -1;
	}
	if (first)
		*error_r = "an address has no local part";
	return first ? -1 : 0;
}

/* spec_domain_add - append a piece of the domain */
static int
spec_domain_add(struct spec *spec, struct span piece, const char **error_r)
{
	if (piece.len > sizeof(spec->domain) - spec->domain_len) {
		*error_r = "the domain is too long";
		return -1;
	}
	memcpy(spec->domain + spec->domain_len, piece.at, piece.len);
	spec->domain_len += piece.len;
	return 0;
}

/* spec_label - take one label of the domain, and the token after it */
static int
spec_label(struct lexer *lexer, struct token *token, struct spec *spec,
    const char **error_r)
{
	if (token->type != TOKEN_ATOM) {
		*error_r = spec->domain_len == 0 ? "an address has no domain" :
		    "a domain ends in a dot, or has two in a row";
		return -1;
	}
	if (spec_domain_add(spec, token->text, error_r) < 0)
		return -1;
	return address_lexer_next(lexer, token, error_r);
}

/* spec_domain - read the domain; *token is "@", then the token after the domain */
static int
spec_domain(struct lexer *lexer, struct token *token, struct spec *spec,
    const char **error_r)
{
	bool first = true;

	if (address_lexer_next(lexer, token, error_r) < 0)
		return -1;
	if (token->type == TOKEN_LITERAL) {
		if (spec_domain_add(spec, token->text, error_r) < 0)
			return -1;
		return address_lexer_next(lexer, token, error_r);
	}
	if (spec_label(lexer, token, spec, error_r) < 0)
		return -1;
	while (token->special == '.') {
		bool gap = token->gap;

		if (spec_domain_add(spec, token->text, error_r) < 0 ||
		    address_lexer_next(lexer, token, error_r) < 0)
			return -1;
		if ((gap || token->gap) && !first && token->type == TOKEN_ATOM) {
			*error_r = "white space or a comment is inside a domain";
			return -1;
		}
		if (spec_label(lexer, token, spec, error_r) < 0)
			return -1;
		first = false;
	}
	return 0;
}

/* has_encoded_word - would a generous reader decode something in these octets? */
static bool
has_encoded_word(const char *bytes, size_t len)
{
	const char *start = memmem(bytes, len, "=?", 2);

	return start != NULL &&
	    memmem(start + 2, len - (size_t)(start + 2 - bytes), "?=", 2) != NULL;
}

/*
 * spec_read - read an address; *token is its first token, then the one after it
 *
 * RFC 2047 section 5 wants no encoded words in an address, and some readers decode
 * them nevertheless: two readings.
 */
static int
spec_read(TALLOC_CTX *ctx, struct lexer *lexer, struct token *token,
    const struct address_rules *rules, struct address *address_r,
    const char **error_r)
{
	struct spec spec;

	spec.local_len = spec.domain_len = 0;
	if (spec_local(lexer, token, &spec, error_r) < 0)
		return -1;
	if (has_encoded_word(spec.local, spec.local_len)) {
		*error_r = "an address holds an encoded word";
		return -1;
	}
	if (token->special == '@') {
		if (spec_domain(lexer, token, &spec, error_r) < 0)
			return -1;
	} else if (rules->default_domain == NULL) {
		*error_r = "an address has no domain";
		return -1;
	}
	return address_normalise(ctx, spec.local, spec.local_len, spec.domain,
	    spec.domain_len, rules, address_r, error_r);
}

/*
 * Lists
 */

static const char error_too_many[] = "a display name shows too many addresses";

/* What is known between two elements of a list. */
struct parser {
	struct lexer lexer;
	const struct address_rules *rules;
	struct mailbox *mailboxes;	/* all results hang below this array */
	size_t n;
	size_t room;
	size_t groups;			/* groups seen, also empty ones */
	size_t group_first;		/* how many mailboxes stood before the group */
	bool in_group;
	const char *group;		/* its name, for the mailboxes */
	struct scan group_scan;		/* what its name shows */
};

/* One element of a list, as the first scan sees it. */
struct element {
	size_t start;		/* its first octet */
	size_t end;		/* the octet that ends it, or len */
	size_t words;		/* atoms and quoted strings */
	size_t ats;		/* unquoted at signs */
	bool empty;		/* no token at all */
	char stop;		/* what ends it: < , ; : or NUL */
};

/* element_scan - find out what an element is; stands after its end then */
static int
element_scan(struct lexer *lexer, struct element *element_r, const char **error_r)
{
	struct token token;

	memset(element_r, 0, sizeof(*element_r));
	element_r->start = lexer->pos;
	element_r->empty = true;
	for (;;) {
		if (address_lexer_next(lexer, &token, error_r) < 0)
			return -1;
		if (token.type == TOKEN_END || (token.special != '\0' &&
		    strchr("<,;:", token.special) != NULL)) {
			element_r->stop = token.special;
			element_r->end = lexer->pos - token.text.len;
			return 0;
		}
		if (token.type == TOKEN_SPECIAL && strchr("@.[]", token.special) == NULL) {
			*error_r = "a character must be quoted";
			return -1;
		}
		element_r->empty = false;
		element_r->words += token.type == TOKEN_ATOM || token.type == TOKEN_QUOTED;
		element_r->ats += token.special == '@';
	}
}

/* parser_add - a new mailbox at the end of the results, or NULL if they are too many */
static struct mailbox *
parser_add(struct parser *parser, const char **error_r)
{
	if (parser->n == ADDRESS_MAILBOXES_MAX) {
		*error_r = "the field names too many addresses";
		return NULL;
	}
	if (parser->n == parser->room) {
		parser->room *= 2;
		parser->mailboxes = mem_grow(NULL, parser->mailboxes, struct mailbox,
		    parser->room);
	}
	memset(&parser->mailboxes[parser->n], 0, sizeof(parser->mailboxes[0]));
	return &parser->mailboxes[parser->n++];
}

/* piece - the octets of the field from start to end */
static struct span
piece(const struct parser *parser, size_t start, size_t end)
{
	return text_span_of(parser->lexer.at + start, end - start);
}

/* keep_shown - copy the addresses that a scan found, but for the mailbox's own */
static void
keep_shown(TALLOC_CTX *ctx, struct mailbox *mailbox, const struct scan *scan, const char *own,
    bool disguised)
{
	struct address_shown *shown = mem_array(ctx, struct address_shown,
	    mailbox->n_shown + scan->n_shown + 1);

	if (mailbox->n_shown > 0)
		memcpy(shown, mailbox->shown, mailbox->n_shown * sizeof(*shown));
	for (size_t i = 0; i < scan->n_shown; i++) {
		if (strcmp(scan->shown[i].address, own) == 0)
			continue;
		shown[mailbox->n_shown++] = (struct address_shown){
			mem_strdup(ctx, scan->shown[i].address),
			scan->shown[i].disguised || disguised,
		};
	}
	mailbox->shown = shown;
	mailbox->override = mailbox->override || scan->override;
}

/* mailbox_finding - the gravest thing that the display name and the group's show */
static enum address_display
mailbox_finding(const struct mailbox *mailbox)
{
	for (size_t i = 0; i < mailbox->n_shown; i++)
		if (mailbox->shown[i].disguised)
			return ADDRESS_DISPLAY_MAILBOX;
	return mailbox->n_shown > 0 ? ADDRESS_DISPLAY_ADDRESS :
	    mailbox->override ? ADDRESS_DISPLAY_OVERRIDE : ADDRESS_DISPLAY_PLAIN;
}

/*
 * mailbox_display - the display name of the last mailbox
 *
 * name is what stands before "<", or empty; rest is everything else of the mailbox,
 * of which the comments are shown. unquoted_ats are the at signs in name that are
 * not quoted: each must belong to the mailbox's own address.
 */
static int
mailbox_display(struct parser *parser, struct span name, struct span rest,
    size_t unquoted_ats, const char **error_r)
{
	TALLOC_CTX *work = mem_check(talloc_new(parser->mailboxes));
	struct mailbox *mailbox = &parser->mailboxes[parser->n - 1];
	const char *own = address_folded(work, &mailbox->address);
	struct display display = { .len = 0 };
	struct span text;
	struct scan scan;
	int rc = -1;

	display.text = mem_array(work, char, 2 * (name.len + rest.len) + 2);
	address_display_add(&display, name, false);
	address_display_add(&display, rest, true);
	if (address_display_decode(work, &display, &text, error_r) == 0) {
		address_display_scan(work, text, own, &scan);
		mailbox->display_raw = address_keep(parser->mailboxes, text_trim(name));
		mailbox->display = address_display_keep(parser->mailboxes, text);
		mailbox->group = parser->in_group ? parser->group : NULL;
		keep_shown(parser->mailboxes, mailbox, &scan, own,
		    address_display_is_encoded(work, &display, own, &scan));
		/* there is no reason to call a group by an address */
		if (parser->in_group)
			keep_shown(parser->mailboxes, mailbox, &parser->group_scan, own, true);
		mailbox->finding = mailbox_finding(mailbox);
		if (unquoted_ats > 0 && !address_display_are_own(work, name, unquoted_ats, own))
			*error_r = "a display name has an unquoted at sign";
		else if (scan.too_many || (parser->in_group && parser->group_scan.too_many))
			*error_r = error_too_many;
		else
			rc = 0;
	}
	talloc_free(work);
	return rc;
}

/*
 * check_stray - refuse an address in text that belongs to no mailbox
 *
 * Comments between two commas, or the name of a group without members: readers
 * that know no comments or no groups find a mailbox there.
 */
static int
check_stray(const struct scan *scan, const char **error_r)
{
	if (scan->n_shown == 0 && !scan->override)
		return 0;
	*error_r = "an address is in a comment or in an empty group";
	return -1;
}

/* address_check_comments - the same for the comments from start to end */
static int
address_check_comments(const struct parser *parser, size_t start, size_t end, const char **error_r)
{
	struct span comments = piece(parser, start, end);
	struct display display = { .len = 0 };
	struct scan scan = { .n_shown = 0 };
	struct span text;
	TALLOC_CTX *work;
	int rc;

	if (comments.len == 0 || memchr(comments.at, '(', comments.len) == NULL)
		return 0;
	work = mem_check(talloc_new(parser->mailboxes));
	display.text = mem_array(work, char, 2 * comments.len + 2);
	address_display_add(&display, comments, true);
	rc = address_display_decode(work, &display, &text, error_r);
	if (rc == 0) {
		address_display_scan(work, text, NULL, &scan);
		rc = check_stray(&scan, error_r);
	}
	talloc_free(work);
	return rc;
}

/* read_angle - read "<" spec ">" after a display name; *token_r is the token after it */
static int
read_angle(struct parser *parser, const struct element *element,
    struct token *token_r, const char **error_r)
{
	struct mailbox *mailbox = parser_add(parser, error_r);
	size_t end;

	if (mailbox == NULL || address_lexer_next(&parser->lexer, token_r, error_r) < 0)
		return -1;
	if (token_r->special == '>' || token_r->special == '@') {
		*error_r = token_r->special == '>' ?
		    "the angle brackets hold no address" :
		    "the angle brackets hold a source route";
		return -1;
	}
	if (spec_read(parser->mailboxes, &parser->lexer, token_r, parser->rules,
	    &mailbox->address, error_r) < 0)
		return -1;
	if (token_r->special != '>') {
		*error_r = "the angle brackets hold more than an address, or do not match";
		return -1;
	}
	if (address_lexer_next(&parser->lexer, token_r, error_r) < 0)
		return -1;
	end = parser->lexer.pos - token_r->text.len;
	return mailbox_display(parser, piece(parser, element->start, element->end),
	    piece(parser, element->end, end), element->ats, error_r);
}

/* read_bare - read an address without angle brackets; *token_r is the token after it */
static int
read_bare(struct parser *parser, const struct element *element,
    struct token *token_r, const char **error_r)
{
	struct mailbox *mailbox = parser_add(parser, error_r);

	parser->lexer.pos = element->start;
	parser->lexer.after_at = false;
	if (mailbox == NULL || address_lexer_next(&parser->lexer, token_r, error_r) < 0 ||
	    spec_read(parser->mailboxes, &parser->lexer, token_r, parser->rules,
	    &mailbox->address, error_r) < 0)
		return -1;
	return mailbox_display(parser, text_span_of("", 0),
	    piece(parser, element->start, element->end), 0, error_r);
}

/* group_keep - let what the name of the group shows live as long as the mailboxes */
static void
group_keep(struct parser *parser)
{
	struct scan *scan = &parser->group_scan;
	struct address_shown *shown = mem_array(parser->mailboxes, struct address_shown,
	    scan->n_shown + 1);

	for (size_t i = 0; i < scan->n_shown; i++)
		shown[i] = (struct address_shown){
			mem_strdup(parser->mailboxes, scan->shown[i].address), true };
	scan->shown = shown;
}

/* open_group - begin a group, RFC 6854 */
static int
open_group(struct parser *parser, const struct element *element, const char **error_r)
{
	struct span name = piece(parser, element->start, element->end);
	struct display display = { .len = 0 };
	struct span text;
	TALLOC_CTX *work;

	*error_r = parser->in_group ? "a group is inside a group" :
	    element->ats > 0 ? "an address is before a colon" :
	    element->words == 0 ? "a group has no name" :
	    parser->groups == ADDRESS_MAILBOXES_MAX ? "the field names too many groups" :
	    NULL;
	if (*error_r != NULL)
		return -1;
	work = mem_check(talloc_new(parser->mailboxes));
	display.text = mem_array(work, char, 2 * name.len + 2);
	address_display_add(&display, name, false);
	if (address_display_decode(work, &display, &text, error_r) < 0)
		return -1;
	address_display_scan(work, text, NULL, &parser->group_scan);
	group_keep(parser);
	parser->group = address_display_keep(parser->mailboxes, text);
	parser->in_group = true;
	parser->group_first = parser->n;
	parser->groups++;
	talloc_free(work);
	return 0;
}

/* close_group - read what follows ";"; *token_r is a comma or the end */
static int
close_group(struct parser *parser, struct token *token_r, const char **error_r)
{
	size_t start = parser->lexer.pos;

	if (!parser->in_group) {
		*error_r = "a semicolon is outside a group";
		return -1;
	}
	parser->in_group = false;
	if (parser->n == parser->group_first &&
	    check_stray(&parser->group_scan, error_r) < 0)
		return -1;
	if (address_lexer_next(&parser->lexer, token_r, error_r) < 0 ||
	    address_check_comments(parser, start, parser->lexer.pos, error_r) < 0)
		return -1;
	if (token_r->type != TOKEN_END && token_r->special != ',') {
		*error_r = "text follows a group";
		return -1;
	}
	return 0;
}

/*
 * read_element - read one element and what divides it from the next
 *
 * Returns 1 if more may follow, 0 at the end of the field, -1 with *error_r.
 */
static int
read_element(struct parser *parser, const char **error_r)
{
	struct element element;
	struct token token;

	if (element_scan(&parser->lexer, &element, error_r) < 0)
		return -1;
	if (element.stop == ':')
		return open_group(parser, &element, error_r) < 0 ? -1 : 1;

	memset(&token, 0, sizeof(token));
	token.special = element.stop;
	token.type = element.stop == '\0' ? TOKEN_END : TOKEN_SPECIAL;
	if (element.stop == '<') {
		if (read_angle(parser, &element, &token, error_r) < 0)
			return -1;
	} else if (!element.empty) {
		if (read_bare(parser, &element, &token, error_r) < 0)
			return -1;
	} else if (address_check_comments(parser, element.start, element.end, error_r) < 0) {
		return -1;
	}
	if (token.special == ';' && close_group(parser, &token, error_r) < 0)
		return -1;
	if (token.type == TOKEN_END && !parser->in_group)
		return 0;
	if (token.special == ',')
		return 1;
	*error_r = token.type == TOKEN_END ? "a group has no end" :
	    token.special == '<' ? "two addresses have no comma between them" :
	    token.special == '@' ? "an address has more than one at sign" :
	    "text follows an address";
	return -1;
}

/* field_error - what no field value may hold at all, or NULL */
static const char *
field_error(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];
		char next = i + 1 < len ? value[i + 1] : '\0';

		if (c == '\r' && next == '\n')
			continue;
		if (c == '\n' && (next == ' ' || next == '\t'))
			continue;
		if (c == '\n')
			return "a line end is not a fold";
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return "the field holds a control character";
	}
	return NULL;
}

/* address_parse_list - read the value of a From, Sender or Resent- field */
int
address_parse_list(TALLOC_CTX *ctx, const char *value, size_t len,
    const struct address_rules *rules, struct mailbox **mailboxes_r, size_t *n_r,
    const char **error_r)
{
	const char *ignored;
	const char **problem_r = error_r == NULL ? &ignored : error_r;
	struct parser parser = {
		.lexer = { .at = value, .len = len },
		.rules = rules,
		.room = 2,
	};
	int rc;

	*mailboxes_r = NULL;
	*n_r = 0;
	*problem_r = field_error(value, len);
	if (*problem_r != NULL)
		return -1;

	parser.mailboxes = mem_array(ctx, struct mailbox, parser.room);
	do
		rc = read_element(&parser, problem_r);
	while (rc > 0);
	if (rc == 0 && parser.n == 0 && parser.groups == 0) {
		*problem_r = "the field names no address";
		rc = -1;
	}
	if (rc < 0) {
		talloc_free(parser.mailboxes);
		return -1;
	}
	*mailboxes_r = parser.mailboxes;
	*n_r = parser.n;
	return 0;
}

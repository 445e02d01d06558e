/*
 * address_display.c - what a reader sees in a display name: addresses, imitations, overrides
 *
 * Published attacks on sender checks show another address in the display name than the mailbox's
 * own. A display name is first put together as a mail program shows it, then decoded, then searched
 * for everything that an eye or a sloppy reader takes for an address.
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "policy/base/address.h"
#include "policy/base/address_display.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"

#define FULLWIDTH_AT	"\xef\xbc\xa0"	/* U+FF20, an at sign to the eye */
#define SMALL_AT	"\xef\xb9\xab"	/* U+FE6B, the same */

/* Marks in a display name while it is scanned; no field may hold these octets. */
#define SPACED_AT	'\x01'	/* an at sign between blanks */
#define IMITATION	'\x02'	/* what only looks like an at sign */
#define SPACED_IMITATION '\x03'	/* the same between blanks */
#define BREAK		'\x04'	/* a fold inside a quoted string or a comment */
#define SEAM		'\x05'	/* a quotation mark within a word */

#define OVERLONG_AT	"\xc1\x80"	/* "@" in two octets: no UTF-8, but some decoders take it */
#define OVERLONGER_AT	"\xe0\x81\x80"	/* in three */

/* How many addresses in one display name are worth a conversion. */
#define SCAN_CONVERSIONS_MAX	64

/* Octets of an address literal in a display name. */
#define LITERAL_MAX	64

/* display_put - append an octet */
static void
display_put(struct display *display, char c)
{
	display->text[display->len++] = c;
}

/* display_ends - does the text so far end in these two octets? */
static bool
display_ends(const struct display *display, const char *end)
{
	return display->len >= 2 && memcmp(display->text + display->len - 2, end, 2) == 0;
}

/*
 * display_seam - mark where a quoted string begins or ends within a word
 *
 * next: the rest of the piece. Of "ceo@bank.co"m one reader makes one word, another two.
 */
static void
display_seam(struct display *display, bool opens, struct span next)
{
	if (opens ? display->len > 0 && !text_is_space(display->text[display->len - 1]) :
	    next.len > 0 && !text_is_space(next.at[0]))
		display_put(display, SEAM);
}

/*
 * address_display_add - append what a reader shows of a piece of a field
 *
 * Quotation marks and backslashes go; a fold inside a quoted string or a comment becomes BREAK,
 * other line ends go. With only_comments nothing but the comments is taken; the parentheses stay
 * if something is before them. The piece was through the lexer, so everything in it closes.
 */
void
address_display_add(struct display *display, struct span piece, bool only_comments)
{
	size_t depth = 0;
	bool quoted = false, bare = false;

	for (size_t i = 0; i < piece.len; i++) {
		char c = piece.at[i];
		bool pair = c == '\\' && (quoted || depth > 0) && i + 1 < piece.len;

		if (pair) {
			c = piece.at[++i];
		} else if (c == '"' && depth == 0) {
			quoted = !quoted;
			if (!only_comments)
				display_seam(display, quoted,
				    text_span_of(piece.at + i + 1, piece.len - i - 1));
			continue;
		} else if (c == '(' && !quoted && depth++ == 0) {
			bare = display->len == 0;
			if (bare)
				continue;
			display_put(display, ' ');
		} else if (c == ')' && depth > 0 && --depth == 0) {
			display_put(display, bare ? ' ' : ')');
			continue;
		}
		if (depth == 0 && only_comments)
			continue;
		/* a fold between two encoded words only divides these */
		if (c != '\r' && c != '\n')
			display_put(display, c);
		else if (c == '\n' && (quoted || depth > 0) && !display_ends(display, "?="))
			display_put(display, BREAK);
	}
}

/* An address in a display name. */
struct shown {
	struct span local;
	struct span domain;
	char sign;		/* SPACED_AT, and so on */
	bool divided;		/* some readers end it here, as in a list; see is_divided */
};

/* address_at_sign - octets of an at sign, or of what passes for one, at the start of text */
size_t
address_at_sign(const char *bytes, size_t len)
{
	if (len > 0 && bytes[0] == '@')
		return 1;
	if (len >= 2 && memcmp(bytes, OVERLONG_AT, 2) == 0)
		return 2;
	if (len >= 3 && (memcmp(bytes, FULLWIDTH_AT, 3) == 0 ||
	    memcmp(bytes, SMALL_AT, 3) == 0 || memcmp(bytes, OVERLONGER_AT, 3) == 0))
		return 3;
	return 0;
}

/* blanks - how many blanks stand at the start of text from pos on */
static size_t
blanks(struct span text, size_t pos)
{
	size_t n = 0;

	while (pos + n < text.len && text_is_space(text.at[pos + n]))
		n++;
	return n;
}

/* is_gap - a blank or a fold */
static bool
is_gap(char c)
{
	return c == BREAK || text_is_space(c);
}

/* gap - the same for blanks and folds */
static size_t
gap(struct span text, size_t pos)
{
	size_t n = 0;

	while (pos + n < text.len && is_gap(text.at[pos + n]))
		n++;
	return n;
}

/*
 * is_word - is the at sign that ends at pos a word of its own, as in "Support @ Example"?
 *
 * What follows must be a plain word that no reader could take for the start of a
 * domain: no dot in it or after it, not even after blanks (RFC 5322 section 4.4).
 */
static bool
address_is_word(struct span text, size_t pos)
{
	size_t start = pos + gap(text, pos), end = start;

	while (end < text.len && (text_is_alnum(text.at[end]) ||
	    text.at[end] == '-' || text.at[end] == '_'))
		end++;
	if (end == start)
		return false;
	if (end == text.len)
		return true;
	start = end + gap(text, end);
	return start > end && (start == text.len || text_is_alnum(text.at[start]) ||
	    strchr("-|&/", text.at[start]) != NULL);
}

/*
 * scan_visible - what the eye sees of a display name
 *
 * Without invisible characters; Unicode's spaces are blanks, its line separators BREAK. split: a
 * seam is a blank, too. Other controls are blanks, because they could be taken for marks.
 */
static struct span
scan_visible(TALLOC_CTX *ctx, struct span text, bool split, struct scan *scan)
{
	char *visible = mem_array(ctx, char, text.len + 1);
	size_t n = 0, step;

	for (size_t i = 0; i < text.len; i += step) {
		const char *at = text.at + i;
		size_t left = text.len - i;
		bool ends_line = false;

		if ((step = text_wide_space(at, left, &ends_line)) > 0) {
			visible[n++] = ends_line ? BREAK : ' ';
		} else if ((step = text_invisible(at, left)) > 0) {	/* U+202D and U+202E */
			if (step == 3 && (memcmp(at, "\xe2\x80\xad", 3) == 0 ||
			    memcmp(at, "\xe2\x80\xae", 3) == 0))
				scan->override = true;
		} else {
			step = 1;
			if (*at == BREAK || (unsigned char)*at >= ' ')
				visible[n++] = *at;
			else if (*at != SEAM || split)
				visible[n++] = ' ';
		}
	}
	return text_span_of(visible, n);
}

/* put_at_sign - append an at sign in place of the blanks before it; how long the text is then */
static size_t
put_at_sign(char *plain, size_t n, bool spaced, bool imitated)
{
	while (n > 0 && is_gap(plain[n - 1])) {
		spaced = true;
		n--;
	}
	plain[n++] = spaced ? (imitated ? SPACED_IMITATION : SPACED_AT) :
	    imitated ? IMITATION : '@';
	return n;
}

/* is_at - an at sign of scan_plain */
static bool
is_at(char c)
{
	return c == '@' || c == SPACED_AT || c == IMITATION || c == SPACED_IMITATION;
}

/*
 * scan_plain - a copy of visible text in which addresses can be found
 *
 * Without blanks around at signs; each at sign and its likes as one of the marks of is_at(); those
 * that are a word of their own as a blank.
 */
static struct span
scan_plain(TALLOC_CTX *ctx, struct span text, struct scan *scan)
{
	char *plain = mem_array(ctx, char, text.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.len; ) {
		size_t sign = address_at_sign(text.at + i, text.len - i);

		if (sign == 0) {
			plain[n++] = text.at[i++];
		} else if ((n == 0 || is_gap(plain[n - 1])) && address_is_word(text, i + sign)) {
			scan->words++;
			plain[n++] = ' ';
			i += sign;
		} else {
			i += sign;
			n = put_at_sign(plain, n, gap(text, i) > 0, sign > 1);
			i += gap(text, i);
		}
	}
	return text_span_of(plain, n);
}

/* is_shown_domain - may this octet belong to a domain in running text? */
static bool
is_shown_domain(char c)
{
	return (unsigned char)c >= 0x80 || text_is_alnum(c) || c == '.' ||
	    c == '-' || c == '_';
}

/*
 * is_divided - would a sloppy reader end the address here, or take it for an element of a list?
 *
 * depth: how many parentheses are open before it. One that closes is usual: "Bob (bob@b.example)".
 */
static bool
is_divided(struct span text, size_t start, size_t end, size_t depth)
{
	while (start > 0 && text_is_space(text.at[start - 1]))
		start--;
	end += blanks(text, end);
	if (start > 0 && text.at[start - 1] == '<')
		return true;
	if (end == text.len)
		return false;
	return text.at[end] == BREAK || strchr("<>[]\",;\\", text.at[end]) != NULL ||
	    (text.at[end] == ')' && depth == 0);
}

/* quoted_start - where the quoted local part begins whose last quotation mark is before pos */
static size_t
quoted_start(struct span text, size_t pos)
{
	size_t start = pos - 1;

	while (start > 0 && pos - start < ADDRESS_LOCAL_MAX && text.at[start - 1] != '"')
		start--;
	return start > 0 && text.at[start - 1] == '"' && start < pos - 1 ? start : pos;
}

/* shown_domain_end - where the domain or address literal that begins at pos ends */
static size_t
shown_domain_end(struct span text, size_t pos)
{
	size_t end = pos;

	if (pos < text.len && text.at[pos] == '[') {
		while (end < text.len && end - pos < LITERAL_MAX && text.at[end] != ']')
			end++;
		return end < text.len && text.at[end] == ']' ? end + 1 : pos;
	}
	while (end < text.len && end - pos < DOMAIN_MAX && is_shown_domain(text.at[end]))
		end++;
	return end;
}

/* shown_at - the address around the at sign at pos, as a reader's eye takes it */
static bool
shown_at(struct span text, size_t pos, size_t depth, struct shown *shown_r)
{
	size_t start = pos, end = shown_domain_end(text, pos + 1), local_end = pos;

	shown_r->sign = text.at[pos];
	if (pos > 0 && text.at[pos - 1] == '"') {
		start = quoted_start(text, pos);
		local_end = start < pos ? pos - 1 : pos;
	}
	while (local_end == pos && start > 0 && pos - start < ADDRESS_LOCAL_MAX &&
	    address_is_dotted(text.at[start - 1]))
		start--;
	shown_r->divided = is_divided(text, start, end, depth);
	while (start < local_end && (text.at[start] == '\'' || text.at[start] == '.'))
		start++;
	while (end > pos + 1 && (text.at[end - 1] == '.' || text.at[end - 1] == '-'))
		end--;
	shown_r->local = text_span_of(text.at + start, local_end - start);
	shown_r->domain = text_span_of(text.at + pos + 1, end - pos - 1);
	return start < local_end && end > pos + 1;
}

/* shown_is - is this the address, in the very spelling of its normal form? */
static bool
shown_is(const struct shown *shown, const char *address)
{
	size_t n = shown->local.len;

	return strlen(address) == n + 1 + shown->domain.len && address[n] == '@' &&
	    text_is_ascii(shown->local.at, n) &&
	    text_is_ascii(shown->domain.at, shown->domain.len) &&
	    text_equal_fold(shown->local, text_span_of(address, n)) &&
	    text_equal_fold(shown->domain, text_span(address + n + 1));
}

/* shown_add - keep a foreign address, each once */
static void
shown_add(TALLOC_CTX *ctx, struct scan *scan, const char *address, bool disguised)
{
	for (size_t i = 0; i < scan->n_shown; i++)
		if (strcmp(scan->shown[i].address, address) == 0) {
			scan->shown[i].disguised = scan->shown[i].disguised || disguised;
			return;
		}
	if (scan->n_shown == ADDRESS_SHOWN_MAX) {
		scan->too_many = true;
		return;
	}
	scan->shown = mem_grow(ctx, scan->shown, struct address_shown, scan->n_shown + 1);
	scan->shown[scan->n_shown++] = (struct address_shown){ address, disguised };
}

/* has_dot - is there a dot, or one of the full stops that UTS 46 takes for one? */
static bool
has_dot(struct span domain)
{
	static const char *const dots[] = { ".", "\xe3\x80\x82", "\xef\xbc\x8e", "\xef\xbd\xa1" };

	for (size_t i = 0; i < sizeof(dots) / sizeof(dots[0]); i++)
		if (memmem(domain.at, domain.len, dots[i], strlen(dots[i])) != NULL)
			return true;
	return false;
}

/* scan_address - weigh one address that a display name shows */
static void
scan_address(TALLOC_CTX *ctx, const struct shown *shown, const char *own,
    struct scan *scan)
{
	static const struct address_rules rules = { .fold_local = true };
	struct address address;
	const char *name = NULL;

	if (own != NULL && shown_is(shown, own)) {
		scan->own++;
		return;
	}
	if (scan->conversions++ < SCAN_CONVERSIONS_MAX &&
	    address_normalise(ctx, shown->local.at, shown->local.len,
	    shown->domain.at, shown->domain.len, &rules, &address, NULL) == 0)
		name = address.full;
	if (name != NULL && own != NULL && strcmp(name, own) == 0) {
		scan->own++;
		return;
	}
	scan->others++;
	scan->tight += shown->sign == '@' || shown->sign == IMITATION;
	if (shown->domain.at[0] != '[' && !has_dot(shown->domain))
		return;		/* "Bob@work" is not an address to any reader */
	if (name == NULL)
		name = mem_printf(ctx, "%.*s@%.*s", (int)shown->local.len, shown->local.at,
		    (int)shown->domain.len, shown->domain.at);
	shown_add(ctx, scan, name, shown->divided || shown->sign == IMITATION ||
	    shown->sign == SPACED_IMITATION);
}

/* scan_once - look for addresses and overrides in a display name, as one or as split at seams */
static void
scan_once(TALLOC_CTX *ctx, struct span text, const char *own, bool split, struct scan *scan)
{
	struct span plain = scan_plain(ctx, scan_visible(ctx, text, split, scan), scan);
	struct shown shown;
	size_t depth = 0;

	for (size_t i = 0; i < plain.len; i++) {
		if (plain.at[i] == '(')
			depth++;
		else if (plain.at[i] == ')' && depth > 0)
			depth--;
		if (!is_at(plain.at[i]))
			continue;
		if (shown_at(plain, i, depth, &shown))
			scan_address(ctx, &shown, own, scan);
		else
			scan->others++;
	}
}

/* address_display_scan - look for addresses and overrides in a display name */
void
address_display_scan(TALLOC_CTX *ctx, struct span text, const char *own, struct scan *scan_r)
{
	memset(scan_r, 0, sizeof(*scan_r));
	scan_once(ctx, text, own, false, scan_r);
	if (text.len > 0 && memchr(text.at, SEAM, text.len) != NULL)
		scan_once(ctx, text, own, true, scan_r);
}

/* address_keep - a bounded copy that cuts no UTF-8 character */
char *
address_keep(TALLOC_CTX *ctx, struct span text)
{
	size_t n = text.len;

	if (n > ADDRESS_DISPLAY_MAX) {
		n = ADDRESS_DISPLAY_MAX;
		while (n > ADDRESS_DISPLAY_MAX - 4 && ((unsigned char)text.at[n] & 0xc0) == 0x80)
			n--;
	}
	return mem_strndup(ctx, n == 0 ? "" : text.at, n);
}

/* address_display_keep - the same of a display name, without the marks that only a scan needs */
char *
address_display_keep(TALLOC_CTX *ctx, struct span text)
{
	size_t room = text.len < 2 * ADDRESS_DISPLAY_MAX ? text.len : 2 * ADDRESS_DISPLAY_MAX;
	char *name = mem_array(ctx, char, room + 1), *kept;
	size_t n = 0;

	for (size_t i = 0; i < text.len && n < room; i++)
		if (text.at[i] != BREAK && text.at[i] != SEAM)
			name[n++] = text.at[i];
	kept = address_keep(ctx, text_trim(text_span_of(name, n)));
	talloc_free(name);
	return kept;
}

/*
 * address_display_decode - decode the words of a display name
 *
 * A reader that decodes first and parses then would end a string at a hidden NUL,
 * and a line at a hidden line end. At the end of a name a line end is only the
 * slip of a script that piped the name through base64.
 */
int
address_display_decode(TALLOC_CTX *ctx, const struct display *display, struct span *text_r,
    const char **error_r)
{
	size_t len = 0;
	char *decoded = text_decode_words(ctx, display->text, display->len, &len);

	while (len > 0 && text_is_space(decoded[len - 1]))
		len--;
	if (memchr(decoded, '\0', len) != NULL ||
	    memchr(decoded, '\n', len) != NULL || memchr(decoded, '\r', len) != NULL) {
		*error_r = "an encoded word hides a control character";
		return -1;
	}
	*text_r = text_trim(text_span_of(decoded, len));
	return 0;
}

/*
 * address_display_is_encoded - does text show an address only once its encoded words are decoded?
 *
 * Readers that decode before they parse read "ceo@bank.example <own@address>" then,
 * which is what an unquoted name may not hold. With blanks around the at sign it is
 * a name to all but the most patient of them: "Alice @ Example.com".
 */
bool
address_display_is_encoded(TALLOC_CTX *ctx, const struct display *display, const char *own,
    const struct scan *decoded)
{
	struct scan plain;

	if (decoded->n_shown == 0 ||
	    memmem(display->text, display->len, "=?", 2) == NULL)
		return false;
	address_display_scan(ctx, text_span_of(display->text, display->len), own, &plain);
	return plain.tight < decoded->tight;
}

/*
 * unquoted_part - what stands outside quoted strings and comments, with an "x" for each of these
 *
 * The "x" is what a reader without quotes would see something of: no address touches it.
 */
static struct span
unquoted_part(TALLOC_CTX *ctx, struct span name)
{
	char *text = mem_array(ctx, char, name.len + 1);
	size_t n = 0, depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];
		bool was_inside = quoted || depth > 0;

		if (was_inside && c == '\\')
			i++;
		else if (c == '"' && depth == 0)
			quoted = !quoted;
		else if (!quoted && c == '(')
			depth++;
		else if (!quoted && c == ')' && depth > 0)
			depth--;
		else if (!was_inside)
			text[n++] = c;
		if (!was_inside && (quoted || depth > 0))
			text[n++] = 'x';
	}
	return text_span_of(text, n);
}

/*
 * address_display_are_own - do all unquoted at signs belong to the mailbox's own address?
 *
 * Mail programs differ over any other one, even in "Support @ Example": some show what stands
 * around it as the sender.
 */
bool
address_display_are_own(
    TALLOC_CTX *ctx, struct span name, size_t unquoted_ats, const char *own)
{
	struct span part = unquoted_part(ctx, name), text = { NULL, 0 };
	struct scan scan;

	text.at = text_decode_words(ctx, part.at, part.len, &text.len);
	address_display_scan(ctx, text, own, &scan);
	return scan.others == 0 && scan.words == 0 && scan.own >= unquoted_ats;
}

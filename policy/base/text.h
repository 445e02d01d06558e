/*
 * text.h - spans of octets: comparing, cutting, escaping, decoding
 *
 * Mail text is octets from strangers. These functions know ASCII and UTF-8 and
 * nothing of any locale, so that two hosts never read one message differently.
 *
 * Memory: results live in the given talloc context; a span owns nothing and is
 * valid as long as the octets it points to.
 *
 * Threads: no state; any thread.
 */
#ifndef POLICY_BASE_TEXT_H
#define POLICY_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

/* A piece of somebody else's octets, not NUL-terminated. */
struct span {
	const char *at;		/* first octet; may be NULL if len is 0 */
	size_t len;		/* octets */
};

/* The span of a NUL-terminated string; of NULL, the empty span. */
struct span text_span(const char *string);

/* The span of len octets at at. */
struct span text_span_of(const char *at, size_t len);

/* ASCII classes; octets of 0x80 and above belong to none of them. */
bool text_is_space(char c);	/* space, tab, CR, LF */
bool text_is_digit(char c);	/* 0-9 */
bool text_is_alpha(char c);	/* A-Z a-z */
bool text_is_alnum(char c);	/* both */
char text_lower(char c);	/* A-Z to a-z, everything else as it is */

/* A lower-cased copy (ASCII letters only), NUL-terminated. */
char *text_lower_copy(TALLOC_CTX *ctx, const char *bytes, size_t len);

/* Equality, octet for octet; and with ASCII letters folded. */
bool text_equal(struct span a, struct span b);
bool text_equal_fold(struct span a, struct span b);

/* The span without white space (text_is_space) at its ends. */
struct span text_trim(struct span text);

/* True if every octet is below 0x80. */
bool text_is_ascii(const char *bytes, size_t len);

/* True for well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong). */
bool text_is_utf8(const char *bytes, size_t len);

/*
 * text_invisible - length of an invisible character at the start of text
 *
 * Invisible are the default-ignorable characters of Unicode (zero-width and
 * joining characters, bidirectional controls, soft hyphen, fillers, variation
 * selectors, tags). Returns its octets, or 0 if text begins otherwise.
 */
size_t text_invisible(const char *bytes, size_t len);

/*
 * text_wide_space - length of a white space character beyond ASCII at the start of text
 *
 * Returns its octets, or 0 if text begins otherwise. *ends_line_r: it is a line or paragraph
 * separator or NEL, at which some readers end a line.
 */
size_t text_wide_space(const char *bytes, size_t len, bool *ends_line_r);

/*
 * text_has_controls - does a text hold what a terminal or a log obeys instead of showing it?
 *
 * That are control characters (C0 with line breaks, DEL, C1), line and paragraph separators, the
 * bidirectional controls, by which a line reads as another one, and octets that are no UTF-8: a
 * terminal without UTF-8 takes some of them for C1.
 */
bool text_has_controls(const char *text);

/* text_replace_controls - put by in place of each octet of them; keep: a control octet that may
 * stay, such as a line break, or NUL */
void text_replace_controls(char *text, char by, char keep);

/*
 * text_has_strange - does this UTF-8 hold what no address may hold?
 *
 * True for control characters, white space beyond ASCII, invisible characters
 * (see text_invisible), characters that imitate the at sign (U+FE6B, U+FF20), and
 * those that the normal form would turn into ASCII (U+212A, U+037E, U+1FEF). ASCII space and tab
 * are not strange here. Malformed UTF-8 is.
 */
bool text_has_strange(const char *bytes, size_t len);

/*
 * text_fold_utf8 - the normal form for comparing: NFC, and lower case if asked
 *
 * Returns a NUL-terminated copy, or NULL for malformed UTF-8. Lower-casing is
 * that of Unicode without any language's exceptions; a letter is never replaced
 * by letters that differ from it in more than case.
 */
char *text_fold_utf8(TALLOC_CTX *ctx, const char *bytes, size_t len, bool lower);

/*
 * text_escape - make strangers' octets safe for one log line or SMTP reply
 *
 * Printable ASCII is kept, but for the quotation mark and the backslash; each of
 * these and every other octet becomes \xHH. At most max octets are returned (and
 * a NUL); longer text is cut between two escapes and ends in "...". A max under
 * 4 counts as 4. Percent signs are kept: who formats doubles them.
 */
char *text_escape(TALLOC_CTX *ctx, const char *bytes, size_t len, size_t max);

/*
 * text_list_next - take the next item off a list
 *
 * Items are divided by any number of commas and white space. Cuts the item off
 * rest; returns false at the end of the list.
 */
bool text_list_next(struct span *rest, struct span *item_r);

/*
 * text_decode_words - what a reader shows for text with RFC 2047 encoded words
 *
 * Decodes B and Q words wherever they stand, also where the RFC would not have
 * them (quoted strings, with raw spaces): many mail programs do, and this serves
 * to see what users see. White space between two encoded words is dropped, and so
 * are line ends (a fold keeps its white space). The Unicode charsets, US-ASCII, ISO-8859-1 and
 * Windows-1252 become UTF-8; of other charsets (ISO-2022, HZ, Big5, Shift_JIS and EBCDIC
 * among them) the ASCII part and most fullwidth signs become ASCII and the rest '?'.
 * What is no valid encoded word stays as written.
 *
 * The result is NUL-terminated, *len_r its length: it may hold NUL and other
 * controls, and malformed UTF-8. It is at most three times as long as the text.
 */
char *text_decode_words(TALLOC_CTX *ctx, const char *bytes, size_t len, size_t *len_r);

/*
 * text_distance - how many letters differ between two names (Levenshtein)
 *
 * For "did you mean". Names over 60 octets are 99 apart from everything.
 */
unsigned int text_distance(const char *a, const char *b);

/*
 * text_shell_word - a text as one word of a shell command, for who pastes it
 * NULL: it would be an option, or breaks the line. text itself or on ctx.
 */
const char *text_shell_word(TALLOC_CTX *ctx, const char *text);

/* text_s - the end of a word that counts n things: "message%s"; "" for one, else "s" */
const char *text_s(uint64_t n);

/* text_same - are two texts, each of which may be NULL, the same? */
bool text_same(const char *a, const char *b);

#endif

/*
 * text.c - spans of octets: comparing, cutting, escaping, decoding
 *
 * Everything that handles strangers' octets one by one is gathered here, so that
 * the parsers above can be about grammar. The ctype functions of libc are avoided:
 * they follow the locale. Unicode's tables come from libunistring, whose functions
 * used here take no locale either.
 *
 * Encoded words (RFC 2047) are decoded for one purpose: to see the name that users
 * see, and to notice an address in it. So decoding is generous where mail programs
 * are, and never fails; nothing decoded is ever parsed as an address to act upon.
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"

/* text_span - the span of a NUL-terminated string */
struct span
text_span(const char *string)
{
	return text_span_of(string, string == NULL ? 0 : strlen(string));
}

/* text_span_of - the span of octets */
struct span
text_span_of(const char *at, size_t len)
{
	struct span span = { at, len };

	return span;
}

/* text_is_space - white space, as a field or a list has it */
bool
text_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* text_is_digit - 0 to 9 */
bool
text_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* text_is_alpha - an ASCII letter */
bool
text_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* text_is_alnum - an ASCII letter or digit */
bool
text_is_alnum(char c)
{
	return text_is_alpha(c) || text_is_digit(c);
}

/* text_lower - an ASCII letter in lower case */
char
text_lower(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c;
}

/* text_lower_copy - a copy with ASCII letters in lower case */
char *
text_lower_copy(TALLOC_CTX *ctx, const char *bytes, size_t len)
{
	char *copy = mem_array(ctx, char, len + 1);

	for (size_t i = 0; i < len; i++)
		copy[i] = text_lower(bytes[i]);
	return copy;
}

/* text_equal - the same octets */
bool
text_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* text_equal_fold - the same octets but for the case of ASCII letters */
bool
text_equal_fold(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (text_lower(a.at[i]) != text_lower(b.at[i]))
			return false;
	return true;
}

/* text_trim - cut white space off both ends */
struct span
text_trim(struct span text)
{
	while (text.len > 0 && text_is_space(text.at[0])) {
		text.at++;
		text.len--;
	}
	while (text.len > 0 && text_is_space(text.at[text.len - 1]))
		text.len--;
	return text;
}

/* text_is_ascii - no octet above 0x7f */
bool
text_is_ascii(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)bytes[i] >= 0x80)
			return false;
	return true;
}

/* text_is_utf8 - well-formed UTF-8 */
bool
text_is_utf8(const char *bytes, size_t len)
{
	return len == 0 || u8_check((const uint8_t *)bytes, len) == NULL;
}

/* text_char - the first character of UTF-8 text; 0 octets for malformed text */
static size_t
text_char(const char *bytes, size_t len, ucs4_t *uc_r)
{
	int n;

	if (len == 0)
		return 0;
	n = u8_mbtoucr(uc_r, (const uint8_t *)bytes, len);
	return n > 0 ? (size_t)n : 0;
}

/* text_invisible - length of an invisible character at the start of text */
size_t
text_invisible(const char *bytes, size_t len)
{
	ucs4_t uc;
	size_t n;

	if (len == 0 || (unsigned char)bytes[0] < 0x80)
		return 0;
	n = text_char(bytes, len, &uc);
	if (n == 0 || !uc_is_property_default_ignorable_code_point(uc))
		return 0;
	return n;
}

/* text_wide_space - length of a white space character beyond ASCII at the start of text */
size_t
text_wide_space(const char *bytes, size_t len, bool *ends_line_r)
{
	ucs4_t uc;
	size_t n;

	if (len == 0 || (unsigned char)bytes[0] < 0x80)
		return 0;
	n = text_char(bytes, len, &uc);
	if (n == 0 || !(uc == 0x85 || uc_is_general_category_withtable(uc, UC_CATEGORY_MASK_Z)))
		return 0;
	*ends_line_r = uc == 0x85 || uc == 0x2028 || uc == 0x2029;
	return n;
}

/* text_controls - the octets of the first character of a text, and whether it is a control */
static size_t
text_controls(const char *text, bool *control_r)
{
	ucs4_t uc = (unsigned char)*text;
	size_t n = 1;

	if (uc >= 0x80) {
		n = text_char(text, strnlen(text, 4), &uc);
		*control_r = n == 0 || uc < 0xa0 || uc == 0x2028 || uc == 0x2029 ||
		    uc_is_property_bidi_control(uc);
		return n > 0 ? n : 1;
	}
	*control_r = uc < 0x20 || uc == 0x7f;
	return n;
}

/* text_has_controls - does a text hold what a terminal or a log obeys? */
bool
text_has_controls(const char *text)
{
	bool control = false;

	while (*text != '\0' && !control)
		text += text_controls(text, &control);
	return control;
}

/* text_replace_controls - put by in place of each octet of them */
void
text_replace_controls(char *text, char by, char keep)
{
	bool control;

	while (*text != '\0') {
		size_t n = text_controls(text, &control);

		if (control && *text != keep)
			memset(text, by, n);
		text += n;
	}
}

/* text_char_strange - is a character one that no address may hold? */
static bool
text_char_strange(ucs4_t uc)
{
	if (uc < 0x80)
		return (uc < 0x20 && uc != '\t') || uc == 0x7f;
	if (uc == 0xfe6b || uc == 0xff20)	/* small and fullwidth at sign */
		return true;
	/* Kelvin sign, Greek question mark and varia become k ; ` in NFC: another's name */
	if (uc == 0x212a || uc == 0x37e || uc == 0x1fef)
		return true;
	if (uc_is_general_category_withtable(uc,
	    UC_CATEGORY_MASK_Z | UC_CATEGORY_MASK_Cc))
		return true;
	return uc_is_property_default_ignorable_code_point(uc);
}

/* text_has_strange - does this UTF-8 hold what no address may hold? */
bool
text_has_strange(const char *bytes, size_t len)
{
	while (len > 0) {
		ucs4_t uc;
		size_t n = text_char(bytes, len, &uc);

		if (n == 0 || text_char_strange(uc))
			return true;
		bytes += n;
		len -= n;
	}
	return false;
}

/* text_fold_utf8 - the normal form for comparing */
char *
text_fold_utf8(TALLOC_CTX *ctx, const char *bytes, size_t len, bool lower)
{
	uint8_t *composed, *result;
	size_t n = 0;
	char *copy;

	if (text_is_ascii(bytes, len))
		return lower ? text_lower_copy(ctx, bytes, len) :
		    mem_strndup(ctx, len == 0 ? "" : bytes, len);
	if (!text_is_utf8(bytes, len))
		return NULL;

	composed = mem_check(u8_normalize(UNINORM_NFC, (const uint8_t *)bytes, len,
	    NULL, &n));
	if (!lower) {
		copy = mem_strndup(ctx, (const char *)composed, n);
		free(composed);
		return copy;
	}
	result = mem_check(u8_tolower(composed, n, NULL, UNINORM_NFC, NULL, &n));
	free(composed);
	copy = mem_strndup(ctx, (const char *)result, n);
	free(result);
	return copy;
}

/* text_is_plain - does this octet stay as it is in escaped text? */
static bool
text_is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

/* text_escape - make strangers' octets safe for a log line or an SMTP reply */
char *
text_escape(TALLOC_CTX *ctx, const char *bytes, size_t len, size_t max)
{
	static const char digits[] = "0123456789abcdef";
	static const char dots[] = "...";
	const size_t n_dots = sizeof(dots) - 1;
	size_t out = 0, fits = 0;	/* fits: where a cut leaves room for the dots */
	size_t room;
	char *copy;

	if (max < n_dots + 1)
		max = n_dots + 1;
	room = len > max / 4 ? max : 4 * len;
	copy = mem_array(ctx, char, (room > n_dots ? room : n_dots) + 1);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];
		size_t width = text_is_plain(bytes[i]) ? 1 : 4;

		if (out + width > max) {
			memcpy(copy + fits, dots, n_dots);
			copy[fits + n_dots] = '\0';
			return copy;
		}
		if (width == 1) {
			copy[out] = bytes[i];
		} else {
			copy[out] = '\\';
			copy[out + 1] = 'x';
			copy[out + 2] = digits[c >> 4];
			copy[out + 3] = digits[c & 15];
		}
		out += width;
		if (out + n_dots <= max)
			fits = out;
	}
	copy[out] = '\0';
	return copy;
}

/* text_is_divider - what stands between the items of a list */
static bool
text_is_divider(char c)
{
	return c == ',' || text_is_space(c);
}

/* text_list_next - take the next item off a list */
bool
text_list_next(struct span *rest, struct span *item_r)
{
	size_t n = 0;

	while (rest->len > 0 && text_is_divider(rest->at[0])) {
		rest->at++;
		rest->len--;
	}
	while (n < rest->len && !text_is_divider(rest->at[n]))
		n++;
	*item_r = text_span_of(rest->at, n);
	if (n > 0) {
		rest->at += n;
		rest->len -= n;
	}
	return n > 0;
}

/*
 * Encoded words, RFC 2047: "=?" charset ["*" language] "?" encoding "?" text "?="
 */

/* How the octets of a charset show ASCII, which is all that matters here. */
enum charset {
	CHARSET_UTF8,    /* ASCII is ASCII; copied */
	CHARSET_LATIN1,  /* ISO-8859-1 and its superset Windows-1252 */
	CHARSET_SINGLE,  /* ASCII is ASCII; high octets are something else */
	CHARSET_DOUBLE,  /* a high octet and any octet after it are a character */
	CHARSET_EUC_JP,  /* the same, with the signs of JIS X 0208 */
	CHARSET_BIG5,    /* the same, with signs of its own */
	CHARSET_SJIS,    /* the same, but A0 to DF stand alone */
	CHARSET_ISO2022, /* escape sequences switch ASCII off and on */
	CHARSET_HZ,      /* ~{ and ~} do, RFC 1843 */
	CHARSET_UTF7,    /* + and - do, RFC 2152 */
	CHARSET_UTF16,   /* two octets a character, the high one first unless a mark says else */
	CHARSET_UTF16LE, /* the low one first */
	CHARSET_UTF32,   /* four octets a character, the same */
	CHARSET_UTF32LE,
	CHARSET_EBCDIC /* letters in places of their own */
};

/* Names are beginnings, in lower case; what is not listed is CHARSET_SINGLE. */
static const struct {
	const char *prefix;
	enum charset charset;
} charsets[] = {
	{ "utf-8", CHARSET_UTF8 },
	{ "utf8", CHARSET_UTF8 },
	{ "us-ascii", CHARSET_UTF8 },
	{ "ascii", CHARSET_UTF8 },
	{ "iso-8859-10", CHARSET_SINGLE },
	{ "iso-8859-11", CHARSET_SINGLE },
	{ "iso-8859-13", CHARSET_SINGLE },
	{ "iso-8859-14", CHARSET_SINGLE },
	{ "iso-8859-15", CHARSET_SINGLE },
	{ "iso-8859-16", CHARSET_SINGLE },
	{ "iso-8859-1", CHARSET_LATIN1 },
	{ "latin1", CHARSET_LATIN1 },
	{ "windows-1252", CHARSET_LATIN1 },
	{ "cp1252", CHARSET_LATIN1 },
	{ "gb", CHARSET_DOUBLE },
	{ "big5", CHARSET_BIG5 },
	{ "ks_c", CHARSET_DOUBLE },
	{ "euc-kr", CHARSET_DOUBLE },
	{ "euc-cn", CHARSET_DOUBLE },
	{ "euc-jp", CHARSET_EUC_JP },
	{ "x-euc-jp", CHARSET_EUC_JP },
	{ "cp936", CHARSET_DOUBLE },
	{ "cp949", CHARSET_DOUBLE },
	{ "cp950", CHARSET_BIG5 },
	{ "windows-936", CHARSET_DOUBLE },
	{ "windows-949", CHARSET_DOUBLE },
	{ "windows-950", CHARSET_BIG5 },
	{ "shift_jis", CHARSET_SJIS },
	{ "shift-jis", CHARSET_SJIS },
	{ "sjis", CHARSET_SJIS },
	{ "x-sjis", CHARSET_SJIS },
	{ "ms_kanji", CHARSET_SJIS },
	{ "cp932", CHARSET_SJIS },
	{ "windows-31j", CHARSET_SJIS },
	{ "iso-2022", CHARSET_ISO2022 },
	{ "hz-gb", CHARSET_HZ },
	{ "utf-7", CHARSET_UTF7 },
	{ "utf7", CHARSET_UTF7 },
	{ "unicode-1-1-utf-7", CHARSET_UTF7 },
	{ "unicode-2-0-utf-7", CHARSET_UTF7 },
	{ "csunicode11utf7", CHARSET_UTF7 },
	{ "x-unicode-2-0-utf-7", CHARSET_UTF7 },
	{ "utf-16le", CHARSET_UTF16LE },
	{ "utf-16", CHARSET_UTF16 },
	{ "utf16", CHARSET_UTF16 },
	{ "unicode", CHARSET_UTF16LE },
	{ "ucs-2", CHARSET_UTF16 },
	{ "iso-10646-ucs-2", CHARSET_UTF16 },
	{ "csunicode", CHARSET_UTF16 },
	{ "utf-32le", CHARSET_UTF32LE },
	{ "utf-32", CHARSET_UTF32 },
	{ "utf32", CHARSET_UTF32 },
	{ "ucs-4", CHARSET_UTF32 },
	{ "iso-10646-ucs-4", CHARSET_UTF32 },
	{ "ibm037", CHARSET_EBCDIC },
	{ "cp037", CHARSET_EBCDIC },
	{ "ibm500", CHARSET_EBCDIC },
	{ "cp500", CHARSET_EBCDIC },
	{ "ibm1047", CHARSET_EBCDIC },
	{ "ibm01140", CHARSET_EBCDIC },
	{ "cp1140", CHARSET_EBCDIC },
	{ "ebcdic-", CHARSET_EBCDIC },
	{ "ebcdic", CHARSET_EBCDIC },
};

/* Windows-1252, 0x80 to 0x9f; 0 if nothing is assigned. */
static const uint16_t windows_1252[32] = {
	0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0,
	0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178,
};

#define CHARSET_NAME_MAX	64	/* octets of a charset's name */

/* One encoded word, cut into its parts. */
struct encoded_word {
	enum charset charset;
	bool base64;		/* else Q */
	struct span text;	/* the encoded text */
	size_t len;		/* octets of the whole word */
};

/* What is being decoded, and what came out. */
struct decoder {
	const char *in;
	size_t len;
	char *out;		/* 3 * len octets: one may become a 3-octet character */
	size_t n;		/* octets in out */
	bool no_end;		/* no "?=" follows any more: do not search again */
};

/* charset_find - what kind of charset a name means */
static enum charset
charset_find(struct span name)
{
	for (size_t i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++) {
		struct span prefix = text_span(charsets[i].prefix);

		if (name.len >= prefix.len &&
		    text_equal_fold(text_span_of(name.at, prefix.len), prefix))
			return charsets[i].charset;
	}
	return CHARSET_SINGLE;
}

/* word_head - read "=?charset?encoding?"; the length of it, or 0 */
static size_t
word_head(const char *at, size_t len, struct encoded_word *word_r)
{
	size_t name = 2, end;

	if (len < 6 || at[0] != '=' || at[1] != '?')
		return 0;
	end = name;
	while (end < len && end - name <= CHARSET_NAME_MAX && at[end] != '?') {
		if (at[end] <= ' ' || at[end] >= 0x7f)
			return 0;
		end++;
	}
	if (end == name || end + 2 >= len || at[end] != '?' || at[end + 2] != '?')
		return 0;
	word_r->charset = charset_find(text_span_of(at + name, end - name));
	word_r->base64 = text_lower(at[end + 1]) == 'b';
	if (!word_r->base64 && text_lower(at[end + 1]) != 'q')
		return 0;
	return end + 3;
}

/* word_at - is there an encoded word at this place? */
static bool
word_at(struct decoder *decoder, size_t i, struct encoded_word *word_r)
{
	const char *at = decoder->in + i;
	size_t len = decoder->len - i;
	size_t head;
	const char *end;

	if (decoder->no_end)
		return false;
	head = word_head(at, len, word_r);
	if (head == 0)
		return false;
	end = memmem(at + head, len - head, "?=", 2);
	if (end == NULL) {
		decoder->no_end = true;
		return false;
	}
	word_r->text = text_span_of(at + head, (size_t)(end - at) - head);
	word_r->len = (size_t)(end - at) + 2;
	return true;
}

/* base64_value - the six bits of a character, or -1 */
static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* base64_decode - the octets of base64 text; what is no base64 is passed over */
static size_t
base64_decode(struct span text, unsigned char *out)
{
	uint32_t bits = 0;
	unsigned int have = 0;
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		int value = base64_value(text.at[i]);

		if (text.at[i] == '=') {	/* padding: what follows starts a new group */
			have = 0;
			continue;
		}
		if (value < 0)
			continue;
		bits = (bits << 6 | (uint32_t)value) & 0xffffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (unsigned char)(bits >> have & 0xff);
		}
	}
	return n;
}

/* text_hex_value - the value of a hexadecimal digit, or -1 */
static int
text_hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = text_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* q_decode - the octets of Q text, RFC 2047 section 4.2 */
static size_t
q_decode(struct span text, unsigned char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		int high = -1, low = -1;

		if (text.at[i] == '=' && i + 2 < text.len) {
			high = text_hex_value(text.at[i + 1]);
			low = text_hex_value(text.at[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			out[n++] = (unsigned char)(high << 4 | low);
			i += 2;
		} else {
			out[n++] = (unsigned char)(text.at[i] == '_' ? ' ' :
			    text.at[i]);
		}
	}
	return n;
}

/* decoder_put - append a character as UTF-8 */
static void
decoder_put(struct decoder *decoder, uint32_t uc)
{
	uint8_t buffer[6];
	int n = u8_uctomb(buffer, uc, sizeof(buffer));

	if (n > 0) {
		memcpy(decoder->out + decoder->n, buffer, (size_t)n);
		decoder->n += (size_t)n;
	}
}

/* decoder_put_latin1 - append an octet of Windows-1252 */
static void
decoder_put_latin1(struct decoder *decoder, unsigned char c)
{
	uint32_t uc = c;

	if (c >= 0x80 && c < 0xa0 && windows_1252[c - 0x80] != 0)
		uc = windows_1252[c - 0x80];
	decoder_put(decoder, uc);
}

/* is_lead - does this octet begin a character of two octets? */
static bool
is_lead(enum charset charset, unsigned char c)
{
	if (charset == CHARSET_EUC_JP)
		return c >= 0xa1 || c == 0x8e;
	if (charset == CHARSET_DOUBLE || charset == CHARSET_BIG5)
		return c >= 0x81;
	return charset == CHARSET_SJIS && c >= 0x81 && (c < 0xa0 || c >= 0xe0);
}

/* fullwidth - the ASCII of a fullwidth sign in a set of 94 times 94 (JIS X 0208, GB 2312, KS X
 * 1001); else '?' */
static uint32_t
fullwidth(unsigned char row, unsigned char cell)
{
	if (row == 0x23 && cell > 0x20 && cell < 0x7f)
		return cell;
	if (row != 0x21)
		return '?';
	return cell == 0x77 ? '@' : cell == 0x25 ? '.' : cell == 0x24 ? ',' :
	    cell == 0x63 ? '<' : cell == 0x64 ? '>' : '?';
}

/* decoder_put_iso2022 - append the ASCII runs of ISO-2022 text, and fullwidth signs */
static void
decoder_put_iso2022(struct decoder *decoder, const unsigned char *text, size_t len)
{
	bool ascii = true, pairs = false;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == 0x1b && i + 2 < len) {	/* ESC ( B, ESC $ B, ... */
			ascii = text[i + 1] != '$' && text[i + 2] != 'I';
			pairs = text[i + 1] == '$';
			if (pairs && text[i + 2] == ')')	/* for what SO switches on */
				ascii = true;
			i += pairs && (text[i + 2] == '(' || text[i + 2] == ')') ? 3 : 2;
		} else if (text[i] == 0x0e || text[i] == 0x0f) {	/* SO, SI */
			ascii = text[i] == 0x0f;
			pairs = !ascii;
		} else if (!ascii && pairs && i + 1 < len) {
			decoder_put(decoder, fullwidth(text[i], text[i + 1]));
			i++;
		} else {
			decoder_put(decoder, ascii && text[i] < 0x80 ? text[i] : '?');
		}
	}
}

/* decoder_put_hz - append the ASCII runs of HZ text; in the others each pair is a character */
static void
decoder_put_hz(struct decoder *decoder, const unsigned char *text, size_t len)
{
	bool ascii = true;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '~' && i + 1 < len && (text[i + 1] == '{' || text[i + 1] == '}')) {
			ascii = text[++i] == '}';
		} else if (ascii && text[i] == '~' && i + 1 < len && text[i + 1] == '~') {
			decoder_put(decoder, text[++i]);
		} else if (!ascii && i + 1 < len) {
			decoder_put(decoder, fullwidth(text[i], text[i + 1]));
			i++;
		} else {
			decoder_put(decoder, ascii && text[i] < 0x80 ? text[i] : '?');
		}
	}
}

/* put_unit - append a character of a wide charset; halves of surrogate pairs become '?' */
static void
put_unit(struct decoder *decoder, uint32_t uc)
{
	if (uc == 0xfeff)	/* byte order mark */
		return;
	decoder_put(decoder, uc > 0x10ffff || (uc >= 0xd800 && uc < 0xe000) ? '?' : uc);
}

/* decoder_put_wide - append UTF-16 or UTF-32 text: octets of width, the low one first or last */
static void
decoder_put_wide(struct decoder *decoder, const unsigned char *text, size_t len,
    size_t width, bool low_first)
{
	/* without a mark, what is text shows where the high octet stands */
	if (!low_first && len >= width && text[0] != 0 && text[0] < 0x80 && text[width - 1] == 0)
		low_first = true;
	for (size_t i = 0; i + width <= len; i += width) {
		uint32_t uc = 0;

		for (size_t j = 0; j < width; j++)
			uc = uc << 8 | text[i + (low_first ? width - 1 - j : j)];
		if (i == 0 && (uc == 0xfffe || uc == 0xfffe0000)) {
			low_first = !low_first;	/* the mark stands the other way round */
			continue;
		}
		put_unit(decoder, uc);
	}
}

/* decoder_put_utf7 - append UTF-7 text: + begins base64 of UTF-16, whatever is no base64 ends it */
static void
decoder_put_utf7(struct decoder *decoder, const unsigned char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint32_t bits = 0;
		unsigned int have = 0;
		size_t start = i + 1;

		if (text[i] != '+') {
			decoder_put(decoder, text[i] < 0x80 ? text[i] : '?');
			continue;
		}
		while (i + 1 < len && base64_value((char)text[i + 1]) >= 0) {
			bits = bits << 6 | (uint32_t)base64_value((char)text[++i]);
			have += 6;
			if (have < 16)
				continue;
			have -= 16;
			put_unit(decoder, bits >> have & 0xffff);
			bits &= (1u << have) - 1;
		}
		if (i + 1 < len && text[i + 1] == '-') {
			if (++i == start)
				decoder_put(decoder, '+');	/* "+-" is a plus */
		}
	}
}

/* ebcdic_ascii - the ASCII character of an EBCDIC octet, as all variants for mail have it; else
 * '?' */
static char
ebcdic_ascii(unsigned char c)
{
	static const struct { unsigned char first, last; char ascii; } runs[] = {
		{ 0x81, 0x89, 'a' }, { 0x91, 0x99, 'j' }, { 0xa2, 0xa9, 's' },
		{ 0xc1, 0xc9, 'A' }, { 0xd1, 0xd9, 'J' }, { 0xe2, 0xe9, 'S' },
		{ 0xf0, 0xf9, '0' }, { 0x40, 0x40, ' ' }, { 0x4b, 0x4b, '.' },
		{ 0x4c, 0x4c, '<' }, { 0x4d, 0x4d, '(' }, { 0x5d, 0x5d, ')' },
		{ 0x5e, 0x5e, ';' }, { 0x60, 0x60, '-' }, { 0x6b, 0x6b, ',' },
		{ 0x6d, 0x6d, '_' }, { 0x6e, 0x6e, '>' }, { 0x7a, 0x7a, ':' },
		{ 0x7c, 0x7c, '@' }, { 0x7d, 0x7d, '\'' }, { 0x7f, 0x7f, '"' },
	};

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		if (c >= runs[i].first && c <= runs[i].last)
			return (char)(runs[i].ascii + (c - runs[i].first));
	return '?';
}

/* decoder_put_odd - append text of a charset in which ASCII does not stand as such; false: it
 * does */
static bool
decoder_put_odd(struct decoder *decoder, enum charset charset,
    const unsigned char *text, size_t len)
{
	switch (charset) {
	case CHARSET_ISO2022:
		decoder_put_iso2022(decoder, text, len);
		return true;
	case CHARSET_HZ:
		decoder_put_hz(decoder, text, len);
		return true;
	case CHARSET_UTF7:
		decoder_put_utf7(decoder, text, len);
		return true;
	case CHARSET_UTF16:
	case CHARSET_UTF16LE:
		decoder_put_wide(decoder, text, len, 2, charset == CHARSET_UTF16LE);
		return true;
	case CHARSET_UTF32:
	case CHARSET_UTF32LE:
		decoder_put_wide(decoder, text, len, 4, charset == CHARSET_UTF32LE);
		return true;
	case CHARSET_EBCDIC:
		for (size_t i = 0; i < len; i++)
			decoder_put(decoder, (unsigned char)ebcdic_ascii(text[i]));
		return true;
	case CHARSET_UTF8:
	case CHARSET_LATIN1:
	case CHARSET_SINGLE:
	case CHARSET_DOUBLE:
	case CHARSET_EUC_JP:
	case CHARSET_BIG5:
	case CHARSET_SJIS:
		break;
	}
	return false;
}

/* decoder_put_pair - append a character of two octets: a fullwidth sign as its ASCII sign, else
 * '?' */
static void
decoder_put_pair(
    struct decoder *decoder, enum charset charset, unsigned char lead, unsigned char trail)
{
	uint32_t uc = '?';

	if (charset == CHARSET_SJIS && lead == 0x81) {	/* row 1 of JIS X 0208 */
		uc = fullwidth(0x21, (unsigned char)(trail - (trail < 0x80 ? 0x1f : 0x20)));
	} else if (charset == CHARSET_SJIS && lead == 0x82 && trail >= 0x4f && trail <= 0x9a) {
		uc = trail <= 0x58  ? '0' + (trail - 0x4fu)
		    : trail < 0x60  ? '?'
		    : trail <= 0x79 ? 'A' + (trail - 0x60u)
		    : trail < 0x81  ? '?'
				    : 'a' + (trail - 0x81u);
	} else if (charset == CHARSET_EUC_JP && lead >= 0xa1) {
		uc = fullwidth(lead & 0x7f, trail & 0x7f);
	} else if (charset == CHARSET_DOUBLE && lead == 0xa3 && trail >= 0xa1) {
		uc = fullwidth(0x23, trail & 0x7f);
	} else if (charset == CHARSET_BIG5 && lead == 0xa2 && trail == 0x49) {
		uc = '@';
	} else if (charset == CHARSET_BIG5 && lead == 0xa1) {
		uc = trail == 0x44 ? '.' : trail == 0x41 ? ',' : trail == 0xd5 ? '<' :
		    trail == 0xd6 ? '>' : '?';
	}
	decoder_put(decoder, uc);
}

/* decoder_put_text - append decoded octets of a charset */
static void
decoder_put_text(struct decoder *decoder, enum charset charset,
    const unsigned char *text, size_t len)
{
	if (charset == CHARSET_UTF8) {	/* a character may be cut between two words */
		memcpy(decoder->out + decoder->n, text, len);
		decoder->n += len;
		return;
	}
	if (decoder_put_odd(decoder, charset, text, len))
		return;
	for (size_t i = 0; i < len; i++) {
		if (charset == CHARSET_LATIN1) {
			decoder_put_latin1(decoder, text[i]);
		} else if (is_lead(charset, text[i])) {
			decoder_put_pair(decoder, charset, text[i], i + 1 < len ? text[i + 1] : 0);
			i++;
		} else {
			decoder_put(decoder, text[i] < 0x80 ? text[i] : '?');
		}
	}
}

/* decoder_put_word - append an encoded word */
static void
decoder_put_word(struct decoder *decoder, const struct encoded_word *word)
{
	unsigned char *text;
	size_t len;

	if (word->text.len == 0)
		return;
	text = mem_array(decoder->out, unsigned char, word->text.len);
	len = word->base64 ? base64_decode(word->text, text) :
	    q_decode(word->text, text);
	decoder_put_text(decoder, word->charset, text, len);
	talloc_free(text);
}

/* text_decode_words - what a reader shows for text with encoded words */
char *
text_decode_words(TALLOC_CTX *ctx, const char *bytes, size_t len, size_t *len_r)
{
	struct decoder decoder = { .in = bytes, .len = len };
	bool only_space = false;	/* nothing but white space since the last word */
	size_t word_end = 0;		/* where that word ended in the output */
	size_t i = 0;

	decoder.out = mem_array(ctx, char, 3 * len + 1);
	while (i < len) {
		struct encoded_word word;

		if (bytes[i] == '=' && word_at(&decoder, i, &word)) {
			if (only_space)
				decoder.n = word_end;
			decoder_put_word(&decoder, &word);
			word_end = decoder.n;
			only_space = true;
			i += word.len;
			continue;
		}
		if (!text_is_space(bytes[i]))
			only_space = false;
		if (bytes[i] != '\r' && bytes[i] != '\n')
			decoder.out[decoder.n++] = bytes[i];
		i++;
	}
	decoder.out[decoder.n] = '\0';
	*len_r = decoder.n;
	return decoder.out;
}

/* text_distance - Levenshtein distance of two names */
unsigned int
text_distance(const char *a, const char *b)
{
	unsigned int row[64];
	size_t n = strlen(b);

	if (strlen(a) > 60 || n > 60)
		return 99;
	for (unsigned int j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned int i = 1; a[i - 1] != '\0'; i++) {
		unsigned int corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			unsigned int change = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			if (row[j] + 1 < change)
				change = row[j] + 1;
			if (row[j - 1] + 1 < change)
				change = row[j - 1] + 1;
			row[j] = change;
		}
	}
	return row[n];
}

/* text_s - the end of a word that counts n things */
const char *
text_s(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* text_same - both NULL, or equal */
bool
text_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* text_shell_word - a text as one word of a shell command */
const char *
text_shell_word(TALLOC_CTX *ctx, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789@._+=:/-";
	char *word;

	if (text[0] == '-' || text[strcspn(text, "\r\n")] != '\0')
		return NULL;
	if (text[0] != '\0' && text[strspn(text, plain)] == '\0')
		return text;
	if (strpbrk(text, "'\"$`\\!") == NULL)
		return mem_printf(ctx, "\"%s\"", text);
	word = mem_strdup(ctx, "'");
	for (; *text != '\0'; text++)
		word = *text == '\'' ? mem_check(talloc_strdup_append(word, "'\\''"))
				     : mem_check(talloc_strndup_append(word, text, 1));
	return mem_check(talloc_strdup_append(word, "'"));
}

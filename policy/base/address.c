/*
 * address.c - mail addresses: SMTP paths, lists of mailboxes, normal form
 *
 * Published attacks on sender checks live in the gap between two readers: the
 * filter sees one address in a From field, the recipient's mail program shows
 * another. So this parser does not try to get an address out of whatever comes. It
 * follows the grammar, and where a field could be read in a second way, it says so
 * and reads nothing. What real mail programs write is wider than the grammar here
 * and there; each such liberty is named in address.h, and taken only where no
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
 *   phrase  = 1*( atom / quoted-string / "." / "[" / "]" / "@" )	; see are_own
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

#include "policy/base/address.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

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

/* Octets looked at to see whether an encoded word is one; longer ones are lexed as usual. */
#define ENCODED_WORD_MAX	256

/* How many addresses in one display name are worth a conversion. */
#define SCAN_CONVERSIONS_MAX	64

/* Octets of an address literal in a display name. */
#define LITERAL_MAX	64

/*
 * Characters
 */

/* is_atext - may this octet stand in an atom? RFC 5322 section 3.2.3, RFC 6532 3.2 */
static bool
is_atext(char c)
{
	static const char others[] = "!#$%&'*+-/=?^_`{|}~";

	if ((unsigned char)c >= 0x80 || text_is_alnum(c))
		return true;
	return c != '\0' && strchr(others, c) != NULL;
}

/* address_is_dotted - may this octet stand in an unquoted local part? */
static bool
address_is_dotted(char c)
{
	return c == '.' || is_atext(c);
}

/*
 * The normal form
 */

/* local_needs_quotes - is this local part no dot-atom? */
static bool
local_needs_quotes(const char *local, size_t len)
{
	if (len == 0 || local[0] == '.' || local[len - 1] == '.')
		return true;
	for (size_t i = 0; i < len; i++) {
		if (!address_is_dotted(local[i]))
			return true;
		if (local[i] == '.' && local[i + 1] == '.')
			return true;
	}
	return false;
}

/* local_quote - a local part as it is written in an address */
static char *
local_quote(TALLOC_CTX *ctx, const char *local)
{
	size_t len = strlen(local), n = 0;
	char *quoted;

	if (!local_needs_quotes(local, len))
		return mem_strndup(ctx, local, len);
	quoted = mem_array(ctx, char, 2 * len + 3);
	quoted[n++] = '"';
	for (size_t i = 0; i < len; i++) {
		if (local[i] == '"' || local[i] == '\\')
			quoted[n++] = '\\';
		quoted[n++] = local[i];
	}
	quoted[n] = '"';
	return quoted;
}

/* address_build - put a normal local part and a normal domain together */
static void
address_build(TALLOC_CTX *ctx, const char *local, const char *domain,
    struct address *address_r)
{
	char *quoted = local_quote(ctx, local);
	size_t len = strlen(quoted);

	address_r->local = local;
	address_r->full = domain[0] == '\0' ? mem_strdup(ctx, quoted) :
	    mem_printf(ctx, "%s@%s", quoted, domain);
	address_r->domain = address_r->full + len + (domain[0] != '\0');
	talloc_free(quoted);
}

/* local_error - what is wrong with an unquoted local part, or NULL */
static const char *
local_error(const char *local, size_t len)
{
	if (len > ADDRESS_LOCAL_MAX)
		return "the local part is too long";
	if (!text_is_utf8(local, len))
		return "the local part is not valid UTF-8";
	if (text_has_strange(local, len))
		return "the local part holds a character that no address has";
	return NULL;
}

/* address_normalise - put together an address from its parts */
int
address_normalise(TALLOC_CTX *ctx, const char *local, size_t local_len,
    const char *domain, size_t domain_len, const struct address_rules *rules,
    struct address *address_r, const char **error_r)
{
	const char *ignored;
	const char **problem_r = error_r == NULL ? &ignored : error_r;
	char *folded, *normal;

	*problem_r = local_error(local, local_len);
	if (*problem_r != NULL)
		return -1;
	if (domain_len > 0)
		normal = domain_normalise(ctx, domain, domain_len, problem_r);
	else
		normal = mem_strdup(ctx, rules->default_domain == NULL ? "" :
		    rules->default_domain);
	if (normal == NULL)
		return -1;
	if (domain_len > 0 && !domain_is_plain(domain, domain_len, normal)) {
		*problem_r = "the domain is written with characters that stand for others";
		talloc_free(normal);
		return -1;
	}
	folded = mem_check(text_fold_utf8(ctx, local, local_len, rules->fold_local));
	address_build(ctx, folded, normal, address_r);
	talloc_free(normal);
	return 0;
}

/* unquote - the text of a quoted string; returns octets consumed, or 0 if it has no end */
static size_t
unquote(const char *at, size_t len, char *out, size_t *len_r)
{
	size_t n = 0;

	for (size_t i = 1; i < len; i++) {
		if (at[i] == '"') {
			*len_r = n;
			return i + 1;
		}
		if (at[i] == '\\' && ++i == len)
			break;
		if (at[i] != '\r' && at[i] != '\n')	/* unfolding, RFC 5322 2.2.3 */
			out[n++] = at[i];
	}
	return 0;
}

/* address_split - the parts of an address in normal form */
void
address_split(TALLOC_CTX *ctx, const char *full, struct address *address_r)
{
	size_t len = strlen(full), n = 0, end;
	char *local = mem_array(ctx, char, len + 1);
	char *copy = mem_strndup(ctx, full, len);

	if (full[0] == '"') {
		end = unquote(full, len, local, &n);
	} else {
		const char *at = strrchr(full, '@');

		end = at == NULL ? len : (size_t)(at - full);
		memcpy(local, full, end);
	}
	address_r->full = copy;
	address_r->local = local;
	address_r->domain = copy + end + (copy[end] == '@');
}

/* is_indivisible - is this a local part that Postfix never cuts? */
static bool
is_indivisible(const char *local, const char *delimiters)
{
	static const char *const whole[] = { "postmaster", "mailer-daemon", "double-bounce" };
	struct span text = text_span(local);
	struct span owner = text_span("owner-"), request = text_span("-request");

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (text_equal_fold(text, text_span(whole[i])))
			return true;
	if (strchr(delimiters, '-') == NULL)
		return false;
	if (text.len > owner.len &&
	    text_equal_fold(text_span_of(local, owner.len), owner))
		return true;
	return text.len > request.len &&
	    text_equal_fold(text_span(local + text.len - request.len), request);
}

/* address_base - an address without its sub-address */
char *
address_base(TALLOC_CTX *ctx, const char *full, const char *delimiters)
{
	struct address whole, base;
	TALLOC_CTX *work;
	char *result = NULL;
	size_t n;

	if (delimiters == NULL || delimiters[0] == '\0')
		return NULL;
	work = mem_check(talloc_new(ctx));
	address_split(work, full, &whole);
	n = strcspn(whole.local, delimiters);
	if (n > 0 && whole.local[n] != '\0' &&
	    !is_indivisible(whole.local, delimiters)) {
		address_build(work, mem_strndup(work, whole.local, n),
		    whole.domain, &base);
		result = mem_strdup(ctx, base.full);
	}
	talloc_free(work);
	return result;
}

/* address_is_plain - has the local part nothing that a sloppy reader takes for an address? */
bool
address_is_plain(const char *full)
{
	const char *end;

	if (full[0] != '"')
		return true;
	end = strrchr(full, '"');
	for (const char *at = full + 1; at < end; at++)
		if (strchr("@<>()[],:;\"\\", *at) != NULL)
			return false;
	return true;
}

/* inner_add - the address local@domain, both cut out of a local part, where it is one */
static size_t
inner_add(TALLOC_CTX *ctx, struct span local, struct span domain,
    const char *inner_r[ADDRESS_INNER_MAX], size_t n)
{
	static const struct address_rules rules = { .fold_local = true };
	struct address address;

	if (local.len == 0 || domain.len == 0 ||
	    address_normalise(ctx, local.at, local.len, domain.at, domain.len, &rules,
	    &address, NULL) < 0)
		return n;
	inner_r[n] = address.full;
	return n + 1;
}

/* address_inner - the addresses that an MTA may find inside a local part */
size_t
address_inner(TALLOC_CTX *ctx, const char *full, const char *inner_r[ADDRESS_INNER_MAX])
{
	struct address address;
	const char *at, *percent, *bang;
	size_t n = 0;

	address_split(ctx, full, &address);
	at = strrchr(address.local, '@');
	percent = strrchr(address.local, '%');
	bang = strchr(address.local, '!');
	if (at != NULL)
		n = inner_add(ctx, text_span_of(address.local, (size_t)(at - address.local)),
		    text_span(at + 1), inner_r, n);
	if (percent != NULL)
		n = inner_add(ctx, text_span_of(address.local, (size_t)(percent - address.local)),
		    text_span(percent + 1), inner_r, n);
	if (bang != NULL)
		n = inner_add(ctx, text_span(bang + 1),
		    text_span_of(address.local, (size_t)(bang - address.local)), inner_r, n);
	return n;
}

/*
 * SMTP paths
 */

/* path_after_route - where the mailbox begins behind a source route, or NULL */
static const char *
path_after_route(const char *path, size_t len)
{
	bool literal = false;

	for (size_t i = 0; i < len; i++) {
		if (path[i] == '[' || path[i] == ']')
			literal = path[i] == '[';
		else if (path[i] == ':' && !literal)
			return path + i + 1;
		else if (!text_is_alnum(path[i]) && (unsigned char)path[i] < 0x80 &&
		    strchr("@,.-_:", path[i]) == NULL)
			return NULL;
	}
	return NULL;
}

/* path_local - read the local part; octets consumed, or 0 with *error_r */
static size_t
path_local(const char *path, size_t len, char *local, size_t *local_len_r,
    const char **error_r)
{
	size_t n = 0;

	if (path[0] == '"') {
		n = unquote(path, len, local, local_len_r);
		if (n == 0)
			*error_r = "a quoted string has no end";
		return n;
	}
	while (n < len && address_is_dotted(path[n]))
		n++;
	if (n == 0)
		*error_r = "the address has no local part";
	memcpy(local, path, n);
	*local_len_r = n;
	return n;
}

/* path_mailbox - read local@domain */
static enum address_path
path_mailbox(TALLOC_CTX *ctx, const char *path, size_t len,
    const struct address_rules *rules, struct address *address_r,
    const char **error_r)
{
	char *local = mem_array(ctx, char, len + 1);
	size_t local_len = 0;
	size_t n = path_local(path, len, local, &local_len, error_r);
	int rc = -1;

	if (n > 0 && n < len && path[n] != '@') {
		*error_r = "the address holds a character that must be quoted";
	} else if (n > 0 && n + 1 == len) {
		*error_r = "the address has no domain";
	} else if (n > 0) {
		size_t skip = n < len ? n + 1 : n;

		rc = address_normalise(ctx, local, local_len, path + skip,
		    len - skip, rules, address_r, error_r);
	}
	talloc_free(local);
	return rc == 0 ? ADDRESS_PATH_MAILBOX : ADDRESS_PATH_MALFORMED;
}

/* address_parse_path - read the argument of MAIL FROM or RCPT TO */
enum address_path
address_parse_path(TALLOC_CTX *ctx, const char *path, size_t len,
    const struct address_rules *rules, struct address *address_r,
    const char **error_r)
{
	const char *ignored, *mailbox;
	const char **problem_r = error_r == NULL ? &ignored : error_r;

	memset(address_r, 0, sizeof(*address_r));
	*problem_r = NULL;
	if (len > 0 && path[0] == '<') {
		if (path[len - 1] != '>') {
			*problem_r = "the angle brackets do not match";
			return ADDRESS_PATH_MALFORMED;
		}
		path++;
		len -= 2;
	}
	if (len == 0) {
		address_r->full = address_r->local = address_r->domain = "";
		return ADDRESS_PATH_NULL;
	}
	if (path[0] == '@') {
		mailbox = path_after_route(path, len);
		if (mailbox == NULL || mailbox == path + len) {
			*problem_r = "the source route leads to no address";
			return ADDRESS_PATH_MALFORMED;
		}
		len -= (size_t)(mailbox - path);
		path = mailbox;
	}
	if (len > 4 * (ADDRESS_LOCAL_MAX + DOMAIN_INPUT_MAX)) {
		*problem_r = "the address is too long";
		return ADDRESS_PATH_MALFORMED;
	}
	return path_mailbox(ctx, path, len, rules, address_r, problem_r);
}

/*
 * The lexer of field values
 */

enum token_type {
	TOKEN_END,
	TOKEN_ATOM,
	TOKEN_QUOTED,		/* with its quotation marks */
	TOKEN_LITERAL,		/* with its brackets; only behind "@" */
	TOKEN_SPECIAL		/* one character */
};

struct token {
	enum token_type type;
	char special;		/* of TOKEN_SPECIAL, else NUL */
	bool gap;		/* white space or a comment before it */
	struct span text;
};

struct lexer {
	const char *at;		/* the field value */
	size_t len;
	size_t pos;		/* next octet to read */
	bool after_at;		/* the last token was "@": "[" begins a literal */
};

/* skip_pair - step over a backslash and what it quotes; 0, or -1 where that is nothing */
static int
skip_pair(struct lexer *lexer, const char **error_r)
{
	if (lexer->pos + 1 < lexer->len && lexer->at[lexer->pos + 1] != '\r' &&
	    lexer->at[lexer->pos + 1] != '\n') {
		lexer->pos += 2;
		return 0;
	}
	*error_r = "a backslash quotes nothing";
	return -1;
}

/* address_skip_comment - step over a comment and those inside it, RFC 5322 section 3.2.2 */
static int
address_skip_comment(struct lexer *lexer, const char **error_r)
{
	size_t depth = 0;

	while (lexer->pos < lexer->len) {
		char c = lexer->at[lexer->pos];

		if (c == '\\') {
			if (skip_pair(lexer, error_r) < 0)
				return -1;
			continue;
		}
		lexer->pos++;
		if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return 0;
	}
	*error_r = "a comment has no end";
	return -1;
}

/* skip_quoted - step over a quoted string, RFC 5322 section 3.2.4 */
static int
skip_quoted(struct lexer *lexer, const char **error_r)
{
	lexer->pos++;
	while (lexer->pos < lexer->len) {
		char c = lexer->at[lexer->pos];

		if (c == '\\') {
			if (skip_pair(lexer, error_r) < 0)
				return -1;
			continue;
		}
		lexer->pos++;
		if (c == '"')
			return 0;
	}
	*error_r = "a quoted string has no end";
	return -1;
}

/* skip_literal - step over a domain literal, RFC 5322 section 3.4.1 */
static int
skip_literal(struct lexer *lexer, const char **error_r)
{
	lexer->pos++;
	while (lexer->pos < lexer->len) {
		char c = lexer->at[lexer->pos++];

		if (c == ']')
			return 0;
		if (c == '[' || c == '\\' || c == '\r' || c == '\n')
			break;
	}
	*error_r = "an address literal has no end";
	return -1;
}

/* skip_gap - step over white space and comments */
static int
skip_gap(struct lexer *lexer, bool *gap_r, const char **error_r)
{
	*gap_r = false;
	while (lexer->pos < lexer->len) {
		char c = lexer->at[lexer->pos];

		if (c == '(') {
			if (address_skip_comment(lexer, error_r) < 0)
				return -1;
		} else if (text_is_space(c)) {
			lexer->pos++;
		} else {
			break;
		}
		*gap_r = true;
	}
	return 0;
}

/*
 * encoded_word_len - octets of an encoded word with dividers in it, or 0
 *
 * Sloppy encoders leave commas, colons and semicolons as they are in Q words:
 * "=?utf-8?Q?Example,_Inc.?= <x@y>". With nothing else in the word that means
 * anything in an address, no reader finds another address in it.
 */
static size_t
encoded_word_len(const char *at, size_t len)
{
	size_t marks = 0;	/* question marks so far: charset, encoding, text */

	if (len > ENCODED_WORD_MAX)
		len = ENCODED_WORD_MAX;
	for (size_t i = 1; i + 1 < len; i++) {
		if (at[i] == '?' && marks >= 3 && at[i + 1] == '=')
			return i + 2;
		if (at[i] == '?')
			marks++;
		else if (!address_is_dotted(at[i]) &&
		    (marks < 3 || strchr(",:;", at[i]) == NULL))
			return 0;
	}
	return 0;
}

/* lexer_word - step over the token that begins here, which is not the end */
static int
lexer_word(struct lexer *lexer, struct token *token_r, const char **error_r)
{
	char c = lexer->at[lexer->pos];

	if (c == '"') {
		token_r->type = TOKEN_QUOTED;
		return skip_quoted(lexer, error_r);
	}
	if (c == '[' && lexer->after_at) {
		token_r->type = TOKEN_LITERAL;
		return skip_literal(lexer, error_r);
	}
	if (!is_atext(c)) {
		token_r->type = TOKEN_SPECIAL;
		token_r->special = c;
		lexer->pos++;
		return 0;
	}
	token_r->type = TOKEN_ATOM;
	if (c == '=')
		lexer->pos += encoded_word_len(lexer->at + lexer->pos,
		    lexer->len - lexer->pos);
	while (lexer->pos < lexer->len && is_atext(lexer->at[lexer->pos]))
		lexer->pos++;
	return 0;
}

/* lexer_next - the next token; 0, or -1 with *error_r */
static int
lexer_next(struct lexer *lexer, struct token *token_r, const char **error_r)
{
	size_t start;

	memset(token_r, 0, sizeof(*token_r));
	if (skip_gap(lexer, &token_r->gap, error_r) < 0)
		return -1;
	start = lexer->pos;
	if (start < lexer->len && lexer_word(lexer, token_r, error_r) < 0)
		return -1;
	lexer->after_at = token_r->special == '@';
	token_r->text = text_span_of(lexer->at + start, lexer->pos - start);
	return 0;
}

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

/* spec_local - read the local part; *token is its first token, then the one behind it */
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
		unquote(token->text.at, token->text.len, spec->local, &spec->local_len);
		return lexer_next(lexer, token, error_r);
	}
	while (token->type == TOKEN_ATOM || token->special == '.') {
		if (token->gap && !first) {
			*error_r = "white space or a comment stands inside an address";
			return -1;
		}
		if (token->text.len > sizeof(spec->local) - spec->local_len) {
			*error_r = "the local part is too long";
			return -1;
		}
		memcpy(spec->local + spec->local_len, token->text.at, token->text.len);
		spec->local_len += token->text.len;
		first = false;
		if (lexer_next(lexer, token, error_r) < 0)
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

/* spec_label - take one label of the domain, and the token behind it */
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
	return lexer_next(lexer, token, error_r);
}

/* spec_domain - read the domain; *token is "@", then the token behind the domain */
static int
spec_domain(struct lexer *lexer, struct token *token, struct spec *spec,
    const char **error_r)
{
	bool first = true;

	if (lexer_next(lexer, token, error_r) < 0)
		return -1;
	if (token->type == TOKEN_LITERAL) {
		if (spec_domain_add(spec, token->text, error_r) < 0)
			return -1;
		return lexer_next(lexer, token, error_r);
	}
	if (spec_label(lexer, token, spec, error_r) < 0)
		return -1;
	while (token->special == '.') {
		bool gap = token->gap;

		if (spec_domain_add(spec, token->text, error_r) < 0 ||
		    lexer_next(lexer, token, error_r) < 0)
			return -1;
		if ((gap || token->gap) && !first && token->type == TOKEN_ATOM) {
			*error_r = "white space or a comment stands inside a domain";
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
 * spec_read - read an address; *token is its first token, then the one behind it
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
 * Display names
 */

/* Text of a display name under construction. */
struct display {
	char *text;
	size_t len;
};

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
 * display_add - append what a reader shows of a piece of a field
 *
 * Quotation marks and backslashes go; a fold inside a quoted string or a comment becomes BREAK,
 * other line ends go. With only_comments nothing but the comments is taken; the parentheses stay
 * where something is before them. The piece was through the lexer, so everything in it closes.
 */
static void
display_add(struct display *display, struct span piece, bool only_comments)
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

/* What a scan of a display name found. */
struct scan {
	size_t own;		/* times the mailbox's own address is shown */
	size_t words;		/* at signs that are no part of an address: "Support @ Example" */
	size_t others;		/* every other at sign */
	size_t tight;		/* those of them in an address without blanks */
	struct address_shown *shown;	/* the foreign addresses, each once */
	size_t n_shown;
	bool too_many;		/* there are more of them than are kept */
	bool override;		/* a bidirectional override */
	size_t conversions;	/* addresses converted so far */
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
 * What follows must be a plain word that nobody could take for the start of a
 * domain: no dot in it or behind it, not even behind blanks (RFC 5322 section 4.4).
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
		return;		/* "Bob@work" is no address to anybody */
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

/* scan_display - look for addresses and overrides in a display name */
static void
scan_display(TALLOC_CTX *ctx, struct span text, const char *own, struct scan *scan_r)
{
	memset(scan_r, 0, sizeof(*scan_r));
	scan_once(ctx, text, own, false, scan_r);
	if (text.len > 0 && memchr(text.at, SEAM, text.len) != NULL)
		scan_once(ctx, text, own, true, scan_r);
}

/* address_keep - a bounded copy that cuts no UTF-8 character */
static char *
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

/* keep_name - the same of a display name, without the marks that only a scan needs */
static char *
keep_name(TALLOC_CTX *ctx, struct span text)
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
 * display_decode - decode the words of a display name
 *
 * A reader that decodes first and parses then would end a string at a hidden NUL,
 * and a line at a hidden line end. At the end of a name a line end is only the
 * slip of a script that piped the name through base64.
 */
static int
display_decode(TALLOC_CTX *ctx, const struct display *display, struct span *text_r,
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

/* element_scan - find out what an element is; stands behind its end then */
static int
element_scan(struct lexer *lexer, struct element *element_r, const char **error_r)
{
	struct token token;

	memset(element_r, 0, sizeof(*element_r));
	element_r->start = lexer->pos;
	element_r->empty = true;
	for (;;) {
		if (lexer_next(lexer, &token, error_r) < 0)
			return -1;
		if (token.type == TOKEN_END || (token.special != '\0' &&
		    strchr("<,;:", token.special) != NULL)) {
			element_r->stop = token.special;
			element_r->end = lexer->pos - token.text.len;
			return 0;
		}
		if (token.type == TOKEN_SPECIAL && strchr("@.[]", token.special) == NULL) {
			*error_r = "a character stands where it must be quoted";
			return -1;
		}
		element_r->empty = false;
		element_r->words += token.type == TOKEN_ATOM || token.type == TOKEN_QUOTED;
		element_r->ats += token.special == '@';
	}
}

/* parser_add - a new mailbox at the end of the results, or NULL where they are too many */
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

/* folded_full - the address as display names are compared with it */
static const char *
folded_full(TALLOC_CTX *ctx, const struct address *address)
{
	struct address folded;
	char *local = mem_check(text_fold_utf8(ctx, address->local,
	    strlen(address->local), true));

	address_build(ctx, local, address->domain, &folded);
	return folded.full;
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
 * is_encoded - does text show an address only once its encoded words are decoded?
 *
 * Readers that decode before they parse read "ceo@bank.example <own@address>" then,
 * which is what an unquoted name may not hold. With blanks around the at sign it is
 * a name to all but the most patient of them: "Alice @ Example.com".
 */
static bool
is_encoded(TALLOC_CTX *ctx, const struct display *display, const char *own,
    const struct scan *decoded)
{
	struct scan plain;

	if (decoded->n_shown == 0 ||
	    memmem(display->text, display->len, "=?", 2) == NULL)
		return false;
	scan_display(ctx, text_span_of(display->text, display->len), own, &plain);
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
 * are_own - do all unquoted at signs of a display name belong to the mailbox's own address?
 *
 * Mail programs differ over any other one, even in "Support @ Example": some show what stands
 * around it as the sender.
 */
static bool
are_own(TALLOC_CTX *ctx, struct span name, size_t unquoted_ats, const char *own)
{
	struct span part = unquoted_part(ctx, name), text = { NULL, 0 };
	struct scan scan;

	text.at = text_decode_words(ctx, part.at, part.len, &text.len);
	scan_display(ctx, text, own, &scan);
	return scan.others == 0 && scan.words == 0 && scan.own >= unquoted_ats;
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
	const char *own = folded_full(work, &mailbox->address);
	struct display display = { .len = 0 };
	struct span text;
	struct scan scan;
	int rc = -1;

	display.text = mem_array(work, char, 2 * (name.len + rest.len) + 2);
	display_add(&display, name, false);
	display_add(&display, rest, true);
	if (display_decode(work, &display, &text, error_r) == 0) {
		scan_display(work, text, own, &scan);
		mailbox->display_raw = address_keep(parser->mailboxes, text_trim(name));
		mailbox->display = keep_name(parser->mailboxes, text);
		mailbox->group = parser->in_group ? parser->group : NULL;
		keep_shown(parser->mailboxes, mailbox, &scan, own,
		    is_encoded(work, &display, own, &scan));
		/* nobody has a reason to call a group by an address */
		if (parser->in_group)
			keep_shown(parser->mailboxes, mailbox, &parser->group_scan, own, true);
		mailbox->finding = mailbox_finding(mailbox);
		if (unquoted_ats > 0 && !are_own(work, name, unquoted_ats, own))
			*error_r = "an at sign stands unquoted in a display name";
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
	*error_r = "an address stands in a comment or a group that names nobody";
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
	display_add(&display, comments, true);
	rc = display_decode(work, &display, &text, error_r);
	if (rc == 0) {
		scan_display(work, text, NULL, &scan);
		rc = check_stray(&scan, error_r);
	}
	talloc_free(work);
	return rc;
}

/* read_angle - read "<" spec ">" behind a display name; *token_r is the token behind it */
static int
read_angle(struct parser *parser, const struct element *element,
    struct token *token_r, const char **error_r)
{
	struct mailbox *mailbox = parser_add(parser, error_r);
	size_t end;

	if (mailbox == NULL || lexer_next(&parser->lexer, token_r, error_r) < 0)
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
	if (lexer_next(&parser->lexer, token_r, error_r) < 0)
		return -1;
	end = parser->lexer.pos - token_r->text.len;
	return mailbox_display(parser, piece(parser, element->start, element->end),
	    piece(parser, element->end, end), element->ats, error_r);
}

/* read_bare - read an address without angle brackets; *token_r is the token behind it */
static int
read_bare(struct parser *parser, const struct element *element,
    struct token *token_r, const char **error_r)
{
	struct mailbox *mailbox = parser_add(parser, error_r);

	parser->lexer.pos = element->start;
	parser->lexer.after_at = false;
	if (mailbox == NULL || lexer_next(&parser->lexer, token_r, error_r) < 0 ||
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

	*error_r = parser->in_group ? "a group stands inside a group" :
	    element->ats > 0 ? "an address stands before a colon" :
	    element->words == 0 ? "a group has no name" :
	    parser->groups == ADDRESS_MAILBOXES_MAX ? "the field names too many groups" :
	    NULL;
	if (*error_r != NULL)
		return -1;
	work = mem_check(talloc_new(parser->mailboxes));
	display.text = mem_array(work, char, 2 * name.len + 2);
	display_add(&display, name, false);
	if (display_decode(work, &display, &text, error_r) < 0)
		return -1;
	scan_display(work, text, NULL, &parser->group_scan);
	group_keep(parser);
	parser->group = keep_name(parser->mailboxes, text);
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
		*error_r = "a semicolon stands outside a group";
		return -1;
	}
	parser->in_group = false;
	if (parser->n == parser->group_first &&
	    check_stray(&parser->group_scan, error_r) < 0)
		return -1;
	if (lexer_next(&parser->lexer, token_r, error_r) < 0 ||
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
 * Returns 1 where more may follow, 0 at the end of the field, -1 with *error_r.
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
	    token.special == '<' ? "two addresses stand without a comma between them" :
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
			return "a line end stands without a fold";
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

/*
 * authres.c - Authentication-Results (RFC 8601): whose a field is, and ours
 *
 * The grammar allows comments, nested ones, quoted strings, escapes and folds
 * almost everywhere, and real fields take more liberties. So the reader takes
 * the field apart into tokens first, with a counter instead of recursion for
 * nested comments, and decides on these: the first is the authserv-id, then
 * comes at most a version, then a semicolon or the end. What does not come out even
 * is not guessed at: it counts as unreadable, and then mere presence of our
 * id, looked for with all disguises removed, makes it ours. Taking away a
 * stranger's broken field costs nothing; leaving a forged one costs trust.
 *
 *   authres-payload = [CFWS] authserv-id [CFWS authres-version]
 *                     (no-result / 1*resinfo) [CFWS]
 *   authserv-id     = value            ; token or quoted-string, RFC 2045
 *   resinfo         = [CFWS] ";" methodspec [CFWS reasonspec] [CFWS 1*propspec]
 *
 * The writer builds each result as a list of words and folds between words.
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/verdict/authres.h"
#include "policy/verdict/reply.h"

#define TAB_COLUMNS		8
#define REASON_MAX		120	/* octets of a reason that are shown */

/* --- reading ----------------------------------------------------------- */

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,		/* RFC 2045 token, or octets above 0x7f */
	TOKEN_QUOTED,		/* text: without quotation marks, escapes still in */
	TOKEN_SEMICOLON,
	TOKEN_SPECIAL,		/* any other single printable character */
	TOKEN_BAD		/* a control, or a string or comment that does not end */
};

struct token {
	enum token_kind kind;
	struct span text;
};

struct lexer {
	const char *at;
	const char *end;
};

/* is_control - neither text nor white space */
static bool
is_control(char c)
{
	return ((unsigned char)c < 0x20 || c == 0x7f) && !text_is_space(c);
}

/* is_word_char - RFC 2045 section 5.1 token, and octets of UTF-8 (RFC 6532) */
static bool
is_word_char(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* authres_skip_comment - past the parenthesis that closes the one at lexer->at; false if none
 * does */
static bool
authres_skip_comment(struct lexer *lexer)
{
	size_t depth = 0;

	while (lexer->at < lexer->end) {
		char c = *lexer->at++;

		if (is_control(c))
			return false;
		if (c == '\\') {
			if (lexer->at == lexer->end || is_control(*lexer->at))
				return false;
			lexer->at++;
		} else if (c == '(') {
			depth++;
		} else if (c == ')' && --depth == 0) {
			return true;
		}
	}
	return false;
}

/* skip_cfws - past white space and comments; false for a comment that does not end */
static bool
skip_cfws(struct lexer *lexer)
{
	while (lexer->at < lexer->end) {
		if (text_is_space(*lexer->at))
			lexer->at++;
		else if (*lexer->at != '(')
			return true;
		else if (!authres_skip_comment(lexer))
			return false;
	}
	return true;
}

/* read_quoted - the quoted string at lexer->at */
static struct token
read_quoted(struct lexer *lexer)
{
	const char *start = ++lexer->at;

	while (lexer->at < lexer->end) {
		char c = *lexer->at++;

		if (c == '"')
			return (struct token){ TOKEN_QUOTED,
			    text_span_of(start, (size_t)(lexer->at - start) - 1) };
		if (c == '\\' && lexer->at < lexer->end)
			c = *lexer->at++;
		if (is_control(c))
			break;
	}
	return (struct token){ .kind = TOKEN_BAD };
}

/* next_token - the next token, white space and comments before it skipped */
static struct token
next_token(struct lexer *lexer)
{
	if (!skip_cfws(lexer))
		return (struct token){ .kind = TOKEN_BAD };
	if (lexer->at == lexer->end)
		return (struct token){ .kind = TOKEN_END };
	if (*lexer->at == '"')
		return read_quoted(lexer);

	const char *start = lexer->at;

	while (lexer->at < lexer->end && is_word_char(*lexer->at))
		lexer->at++;
	if (lexer->at > start)
		return (struct token){ TOKEN_WORD,
		    text_span_of(start, (size_t)(lexer->at - start)) };

	lexer->at++;
	if (is_control(*start) || *start == '\\' || *start == ')')
		return (struct token){ .kind = TOKEN_BAD };
	return (struct token){ *start == ';' ? TOKEN_SEMICOLON : TOKEN_SPECIAL,
	    text_span_of(start, 1) };
}

/* is_number - is this token a version? */
static bool
is_number(struct token token)
{
	if (token.kind != TOKEN_WORD)
		return false;
	for (size_t i = 0; i < token.text.len; i++)
		if (token.text.at[i] < '0' || token.text.at[i] > '9')
			return false;
	return true;
}

/* unescape - a quoted string's text: escapes resolved, line ends of folds dropped */
static char *
unescape(TALLOC_CTX *ctx, struct span quoted)
{
	char *out = mem_array(ctx, char, quoted.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < quoted.len; i++) {
		char c = quoted.at[i];

		if (c == '\\' && i + 1 < quoted.len)
			out[n++] = quoted.at[++i];
		else if (c != '\r' && c != '\n')
			out[n++] = c;
	}
	out[n] = '\0';
	return out;
}

char *
authres_read_id(TALLOC_CTX *ctx, const char *value, size_t len)
{
	struct lexer lexer = { value, value + len };
	struct token id = next_token(&lexer);
	struct token token = next_token(&lexer);

	if (id.kind != TOKEN_WORD && id.kind != TOKEN_QUOTED)
		return NULL;
	if (is_number(token))
		token = next_token(&lexer);
	if (token.kind != TOKEN_SEMICOLON && token.kind != TOKEN_END)
		return NULL;
	while (token.kind != TOKEN_END && token.kind != TOKEN_BAD)
		token = next_token(&lexer);
	if (token.kind == TOKEN_BAD)
		return NULL;
	return id.kind == TOKEN_QUOTED ? unescape(ctx, id.text) :
	    mem_strndup(ctx, id.text.at, id.text.len);
}

/* same_id - do two authserv-ids mean the same host? */
static bool
same_id(TALLOC_CTX *ctx, const char *a, const char *b)
{
	if (strcasecmp(a, b) == 0)
		return true;

	char *normal_a = domain_normalise(ctx, a, strlen(a), NULL);
	char *normal_b = domain_normalise(ctx, b, strlen(b), NULL);

	return normal_a != NULL && normal_b != NULL && domain_equal(normal_a, normal_b);
}

/* squeeze - value in lower case without spaces, quotes, escapes, and comments if asked */
static char *
squeeze(TALLOC_CTX *ctx, const char *value, size_t len, bool drop_comments, size_t *len_r)
{
	char *out = mem_array(ctx, char, len + 1);
	size_t n = 0, depth = 0;

	for (size_t i = 0; i < len; i++) {
		char c = value[i];

		if (c == '\\' || c == '"' || text_is_space(c) || is_control(c))
			continue;
		if (c == '(') {
			depth++;
			continue;
		}
		if (c == ')') {
			depth -= depth > 0;
			continue;
		}
		if (depth == 0 || !drop_comments)
			out[n++] = text_lower(c);
	}
	*len_r = n;
	return out;
}

/* authres_holds - does this text hold the id, in any of its disguises? id: lower case */
static bool
authres_holds(TALLOC_CTX *ctx, const char *value, size_t len, const char *id)
{
	size_t n;
	const char *plain = text_lower_copy(ctx, value, len);

	if (memmem(plain, len, id, strlen(id)) != NULL)
		return true;

	const char *bare = squeeze(ctx, value, len, false, &n);

	if (memmem(bare, n, id, strlen(id)) != NULL)
		return true;

	const char *uncommented = squeeze(ctx, value, len, true, &n);

	return memmem(uncommented, n, id, strlen(id)) != NULL;
}

bool
authres_is_ours(const char *value, size_t len, const char *authserv_id)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	const char *id = authres_read_id(scratch, value, len);
	bool ours;

	if (id != NULL) {
		ours = same_id(scratch, id, authserv_id);
	} else {
		const char *lower = text_lower_copy(scratch, authserv_id, strlen(authserv_id));
		const char *normal =
		    domain_normalise(scratch, authserv_id, strlen(authserv_id), NULL);

		ours = authres_holds(scratch, value, len, lower) ||
		    (normal != NULL && authres_holds(scratch, value, len, normal));
	}
	talloc_free(scratch);
	return ours;
}

/* --- writing ----------------------------------------------------------- */

/* The value on its way. Words are kept apart until they are folded. */
struct words {
	TALLOC_CTX *ctx;
	const char **items;
	size_t n;
	size_t octets;		/* of all words, and a space each */
};

/* One result of ours: method=result and its properties. */
struct result {
	struct words words;
	bool pass;
	bool written;
};

/* add_word - one more word; takes over text */
static void
add_word(struct words *words, const char *text)
{
	if (words->n % 8 == 0)
		words->items = mem_grow(words->ctx, words->items, const char *, words->n + 8);
	words->items[words->n++] = text;
	words->octets += strlen(text) + 1;
}

/* is_plain_value - may this stand unquoted: a token, or [local]@domain without oddities? */
static bool
is_plain_value(const char *text)
{
	const char *at = strchr(text, '@');

	if (*text == '\0')
		return false;
	if (at != NULL && (at[1] == '\0' || strchr(at + 1, '@') != NULL))
		return false;
	for (const char *p = text; *p != '\0'; p++)
		if (p != at && !is_word_char(*p))
			return false;
	return true;
}

/* authres_quote - text as a quoted string */
static char *
authres_quote(TALLOC_CTX *ctx, const char *text)
{
	char *out = mem_array(ctx, char, 2 * strlen(text) + 3);
	char *p = out;

	*p++ = '"';
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			*p++ = '\\';
		*p++ = *text;
	}
	*p++ = '"';
	*p = '\0';
	return out;
}

/* printable - a cut copy whose octets are all printable ASCII */
static char *
printable(TALLOC_CTX *ctx, const char *text, size_t max)
{
	char *out = mem_strndup(ctx, text, max);

	for (char *p = out; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return out;
}

/* add_property - " name=value", nothing if there is no value */
static void
add_property(struct words *words, const char *name, const char *value, size_t max)
{
	if (value == NULL || *value == '\0')
		return;

	const char *clean = printable(words->ctx, value, max);

	if (!is_plain_value(clean))
		clean = authres_quote(words->ctx, clean);
	add_word(words, mem_printf(words->ctx, "%s=%s", name, clean));
}

/*
 * add_identity - the same for who somebody is: nothing if it is not ASCII
 * With "?" in place of letters two identities would look alike.
 */
static void
add_identity(struct words *words, const char *name, const char *value, size_t max)
{
	if (value != NULL && text_is_ascii(value, strlen(value)))
		add_property(words, name, value, max);
}

/* add_reason - the reason, quoted in any case */
static void
add_reason(struct words *words, const char *reason)
{
	if (reason != NULL && *reason != '\0')
		add_word(words, mem_printf(words->ctx, "reason=%s",
		    authres_quote(words->ctx, printable(words->ctx, reason, REASON_MAX))));
}

/* spf_word - RFC 8601 section 2.7.2 */
static const char *
spf_word(enum spf_result result)
{
	switch (result) {
	case SPF_IS_NEUTRAL:
		return "neutral";
	case SPF_IS_PASS:
		return "pass";
	case SPF_IS_FAIL:
		return "fail";
	case SPF_IS_SOFTFAIL:
		return "softfail";
	case SPF_IS_TEMPERROR:
		return "temperror";
	case SPF_IS_PERMERROR:
		return "permerror";
	case SPF_IS_NONE:
	case SPF_NOT_CHECKED:
		break;
	}
	return "none";
}

/* dkim_word - RFC 8601 section 2.7.1 */
static const char *
dkim_word(enum dkim_result result)
{
	switch (result) {
	case DKIM_IS_PASS:
		return "pass";
	case DKIM_IS_FAIL:
		return "fail";
	case DKIM_IS_POLICY:
		return "policy";
	case DKIM_IS_NEUTRAL:
		return "neutral";
	case DKIM_IS_TEMPERROR:
		return "temperror";
	case DKIM_IS_PERMERROR:
		return "permerror";
	case DKIM_IS_NONE:
		break;
	}
	return "none";
}

/* mailfrom - the sender as it is shown: the address if it is ASCII, else its domain */
static const char *
mailfrom(const struct facts *facts)
{
	const struct spf_fact *fact = &facts->spf_mailfrom;
	const char *sender = fact->sender != NULL ? fact->sender : facts->sender;

	if (sender == NULL || *sender == '\0' || !text_is_ascii(sender, strlen(sender)))
		return fact->domain;
	return sender;
}

/* add_spf - one identity; property: which, value: of it */
static void
add_spf(struct result *result, const struct spf_fact *fact, const char *property, const char *value)
{
	add_word(&result->words, mem_printf(result->words.ctx, "spf=%s", spf_word(fact->result)));
	add_reason(&result->words, fact->problem != NULL ? fact->problem :
	    fact->local ? "by a record of this site" :
	    fact->stale ? "by what DNS had before it failed" : NULL);
	add_property(&result->words, property, value, 320);
}

/* add_dkim - one signature */
static void
add_dkim(struct result *result, const struct dkim_fact *fact)
{
	struct words *words = &result->words;

	result->pass = fact->result == DKIM_IS_PASS;
	add_word(words, mem_printf(words->ctx, "dkim=%s", dkim_word(fact->result)));
	if (!result->pass)
		add_reason(words,
		    fact->testing && fact->problem != NULL
			? mem_printf(words->ctx, "%s; the key is in testing mode", fact->problem)
			: fact->problem);
	else if (fact->stale)
		add_reason(words, "by the key that DNS had before it failed");
	add_property(words, "header.d", fact->sdid, 255);
	add_identity(words, "header.i", fact->auid, 320);
	add_property(words, "header.s", fact->selector, 255);
	add_property(words, "header.a", fact->algorithm, 40);
	add_property(words, "header.b", fact->b_prefix, 8);
}

/* add_dmarc - RFC 9989 section 9.1; the policy is the one before local exceptions */
static void
add_dmarc(struct result *result, const struct dmarc_fact *fact)
{
	struct words *words = &result->words;

	add_word(words, mem_printf(words->ctx, "dmarc=%s", dmarc_result_word(fact->result)));
	if (fact->exception != NULL)
		add_word(words, mem_printf(words->ctx, "(%s)", fact->exception));
	add_reason(words, fact->result == DMARC_IS_NONE ? NULL : fact->problem);
	add_property(words, "header.from", fact->domain, 255);
	if (fact->policy_domain != NULL)
		add_property(words, "policy.dmarc", dmarc_policy_word(fact->policy), 20);
}

/* same_helo - does the MAIL FROM check of a null sender say just what that of HELO says? */
static bool
same_helo(const struct facts *facts)
{
	const struct spf_fact *helo = &facts->spf_helo, *from = &facts->spf_mailfrom;

	return helo->result == from->result && helo->domain != NULL && from->domain != NULL &&
	    strcasecmp(helo->domain, from->domain) == 0;
}

/* has_domain - was there a name to check? A result without its property says nothing. */
static bool
has_domain(const struct spf_fact *fact)
{
	return fact->result != SPF_NOT_CHECKED && fact->domain != NULL && *fact->domain != '\0';
}

/* gather - all results; *n_r of them, those of dkim from *first_dkim_r up to *end_dkim_r */
static struct result *
gather(TALLOC_CTX *ctx, const struct authres_options *options, const struct facts *facts,
    size_t *n_r, size_t *first_dkim_r, size_t *end_dkim_r)
{
	struct result *results = mem_array(ctx, struct result, facts->n_dkim + 6);
	bool null_sender = facts->sender == NULL || *facts->sender == '\0';
	size_t n = 0;

	for (size_t i = 0; i < facts->n_dkim + 6; i++)
		results[i].words.ctx = results;

	if (options->show_login && facts->login != NULL) {
		add_word(&results[n].words, "auth=pass");
		add_identity(&results[n++].words, "smtp.auth", facts->login, 255);
	}
	if (facts->iprev != OUTCOME_NONE && facts->client_addr != NULL) {
		add_word(
		    &results[n].words, mem_printf(results, "iprev=%s", outcome_word(facts->iprev)));
		add_property(&results[n++].words, "policy.iprev", facts->client_addr, 64);
	}
	if (has_domain(&facts->spf_helo))
		add_spf(&results[n++], &facts->spf_helo, "smtp.helo", facts->spf_helo.domain);
	if (has_domain(&facts->spf_mailfrom) && null_sender && !same_helo(facts))
		add_spf(
		    &results[n++], &facts->spf_mailfrom, "smtp.helo", facts->spf_mailfrom.domain);
	else if (facts->spf_mailfrom.result != SPF_NOT_CHECKED && !null_sender)
		add_spf(&results[n++], &facts->spf_mailfrom, "smtp.mailfrom", mailfrom(facts));

	*first_dkim_r = n;
	for (size_t i = 0; facts->dkim_checked && i < facts->n_dkim; i++)
		add_dkim(&results[n++], &facts->dkim[i]);
	if (facts->dkim_checked && facts->n_dkim == 0)
		add_word(&results[n++].words, "dkim=none");
	*end_dkim_r = n;
	if (facts->dmarc.result != DMARC_NOT_CHECKED)
		add_dmarc(&results[n++], &facts->dmarc);
	*n_r = n;
	return results;
}

/* authres_choose - which results fit: all but dkim, then dkim that pass, then the other dkim
 * ones */
static void
authres_choose(struct result *results, size_t n, size_t first_dkim, size_t end_dkim)
{
	size_t octets = 0;

	for (size_t i = 0; i < n; i++) {
		results[i].written = i < first_dkim || i >= end_dkim;
		octets += results[i].written ? results[i].words.octets : 0;
	}
	for (int want = 1; want >= 0; want--) {
		for (size_t i = first_dkim; i < end_dkim; i++) {
			if (results[i].pass != (want == 1) ||
			    octets + results[i].words.octets > AUTHRES_MAX)
				continue;
			results[i].written = true;
			octets += results[i].words.octets;
		}
	}
}

/* append_result - one result on a line of its own, folded if it is long */
static char *
append_result(char *out, const struct words *words)
{
	size_t column = TAB_COLUMNS;

	for (size_t i = 0; i < words->n; i++) {
		size_t len = strlen(words->items[i]);
		const char *gap = " ";

		if (i == 0) {
			gap = ";\n\t";
		} else if (column + 1 + len + 1 > AUTHRES_COLUMNS) {
			gap = "\n\t";
			column = TAB_COLUMNS;
		}
		column += (*gap == ' ') + len;
		out = mem_check(talloc_asprintf_append_buffer(out, "%s%s", gap, words->items[i]));
	}
	return out;
}

char *
authres_write(TALLOC_CTX *ctx, const struct authres_options *options, const struct facts *facts)
{
	TALLOC_CTX *scratch = mem_new(NULL, char);
	size_t n, first_dkim, end_dkim, written = 0;
	struct result *results = gather(scratch, options, facts, &n, &first_dkim, &end_dkim);
	const char *id = printable(scratch, options->authserv_id, 255);

	if (!is_plain_value(id) || strchr(id, '@') != NULL)
		id = authres_quote(scratch, id);

	char *out = mem_printf(ctx, " %s", id);

	authres_choose(results, n, first_dkim, end_dkim);
	for (size_t i = 0; i < n; i++) {
		if (!results[i].written)
			continue;
		out = append_result(out, &results[i].words);
		written++;
	}
	if (written == 0)
		out = mem_check(talloc_asprintf_append_buffer(out, "; none"));
	talloc_free(scratch);
	return out;
}

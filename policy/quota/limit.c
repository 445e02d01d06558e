/*
 * limit.c - one limit as an administrator writes it
 *
 * The text is cut into at most eight tokens (numbers, words, slashes), and one
 * pass reads them from left to right. Nothing is guessed: "20k", "1,000" or "per
 * month" can each be meant in two ways, so they are refused, but every refusal
 * shows the line that was probably meant, built of the parts that could be read.
 *
 * A new unit is a row in kinds[] and its words in units[].
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <string.h>

#include "policy/base/duration.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/quota/limit.h"

#define MAX_TOKENS	8
#define MAX_TEXT	200	/* octets of a limit */
#define MAX_QUOTED	60	/* octets of it shown in an error */

/* A word for what is counted. Words are compared without case. */
struct unit_word {
	const char *word;
	enum limit_unit unit;
	uint64_t factor;	/* one of it is so many */
};

#define FOR_LIMITS	1U	/* limits may count it */
#define FOR_BLOCK_ON	2U	/* see limit_is_sign() */
#define FOR_BOTH	(FOR_LIMITS | FOR_BLOCK_ON)
#define FOR_LEVEL	4U	/* see limit_is_level() */

/* The units. */
static const struct {
	const char *name, *one;	/* plural, singular */
	char letter;		/* in store fields; never changes */
	bool distinct;		/* see limit_is_distinct() */
	unsigned int uses;	/* FOR_... */
} kinds[] = {
	[LIMIT_MESSAGES] =	{ "messages", "message", 'm', false, FOR_LIMITS },
	[LIMIT_RECIPIENTS] =	{ "recipients", "recipient", 'r', false, FOR_LIMITS },
	[LIMIT_BYTES] =		{ "bytes", "byte", 'b', false, FOR_LIMITS },
	[LIMIT_EXTERNAL] =	{ "external-recipients", "external-recipient", 'x', false, FOR_LIMITS },
	[LIMIT_NEW] =		{ "new-recipients", "new-recipient", 'n', false, FOR_BOTH },
	[LIMIT_CLIENTS] =	{ "client-addresses", "client-address", 'c', true, FOR_BOTH },
	[LIMIT_FOREIGN] =	{ "foreign-senders", "foreign-sender", 'f', false, FOR_BOTH | FOR_LEVEL },
	[LIMIT_REFUSED] =	{ "refused-recipients", "refused-recipient", 'j', true, FOR_BOTH | FOR_LEVEL },
	[LIMIT_OVER] =		{ "times", "time", 'o', true, FOR_BLOCK_ON },
	[LIMIT_COUNTRIES] =	{ "countries", "country", 'y', true, FOR_BOTH },
	[LIMIT_NETWORKS] =	{ "networks", "network", 'w', true, FOR_BOTH },
	[LIMIT_BLOCKS] =	{ "blocks", "block", 'k', false, 0 },
	[LIMIT_LOGINS] =	{ "failed-logins", "failed-login", 'l', true, FOR_BOTH | FOR_LEVEL },
	[LIMIT_DUPLICATES] =	{ "duplicates", "duplicate", 'd', true, FOR_BOTH | FOR_LEVEL },
	[LIMIT_BOUNCES] =	{ "bounces", "bounce", 'e', true, FOR_BOTH | FOR_LEVEL },
	[LIMIT_SENT] =		{ "sent messages", "sent message", 'i', true, 0 },
	[LIMIT_USUAL] =		{ "times usual", "times usual", 'u', false, FOR_BLOCK_ON },
};

#define KILO	UINT64_C(1000)
#define KIBI	UINT64_C(1024)

static const struct unit_word units[] = {
	{ "message",	LIMIT_MESSAGES,		1 },
	{ "messages",	LIMIT_MESSAGES,		1 },
	{ "recipient",	LIMIT_RECIPIENTS,	1 },
	{ "recipients",	LIMIT_RECIPIENTS,	1 },
	{ "external-recipient",	LIMIT_EXTERNAL,	1 },
	{ "external-recipients", LIMIT_EXTERNAL, 1 },
	{ "new-recipient",	LIMIT_NEW,	1 },
	{ "new-recipients",	LIMIT_NEW,	1 },
	{ "client-address",	LIMIT_CLIENTS,	1 },
	{ "client-addresses",	LIMIT_CLIENTS,	1 },
	{ "foreign-sender",	LIMIT_FOREIGN,	1 },
	{ "foreign-senders",	LIMIT_FOREIGN,	1 },
	{ "refused-recipient",	LIMIT_REFUSED,	1 },
	{ "refused-recipients",	LIMIT_REFUSED,	1 },
	{ "country",	LIMIT_COUNTRIES,	1 },
	{ "countries",	LIMIT_COUNTRIES,	1 },
	{ "network",	LIMIT_NETWORKS,		1 },
	{ "networks",	LIMIT_NETWORKS,		1 },
	{ "failed-login",	LIMIT_LOGINS,	1 },
	{ "failed-logins",	LIMIT_LOGINS,	1 },
	{ "duplicate",	LIMIT_DUPLICATES,	1 },
	{ "duplicates",	LIMIT_DUPLICATES,	1 },
	{ "bounce",	LIMIT_BOUNCES,		1 },
	{ "bounces",	LIMIT_BOUNCES,		1 },
	{ "byte",	LIMIT_BYTES,		1 },
	{ "bytes",	LIMIT_BYTES,		1 },
	{ "KB",		LIMIT_BYTES,		KILO },
	{ "MB",		LIMIT_BYTES,		KILO * KILO },
	{ "GB",		LIMIT_BYTES,		KILO * KILO * KILO },
	{ "TB",		LIMIT_BYTES,		KILO * KILO * KILO * KILO },
	{ "PB",		LIMIT_BYTES,		KILO * KILO * KILO * KILO * KILO },
	{ "KiB",	LIMIT_BYTES,		KIBI },
	{ "MiB",	LIMIT_BYTES,		KIBI * KIBI },
	{ "GiB",	LIMIT_BYTES,		KIBI * KIBI * KIBI },
	{ "TiB",	LIMIT_BYTES,		KIBI * KIBI * KIBI * KIBI },
	{ "PiB",	LIMIT_BYTES,		KIBI * KIBI * KIBI * KIBI * KIBI },
};

/* A word for a length of time. */
struct span_word {
	const char *word;
	int64_t ms;
};

#define SECOND_MS	INT64_C(1000)

static const struct span_word spans[] = {
	{ "second",	SECOND_MS },
	{ "seconds",	SECOND_MS },
	{ "minute",	60 * SECOND_MS },
	{ "minutes",	60 * SECOND_MS },
	{ "hour",	3600 * SECOND_MS },
	{ "hours",	3600 * SECOND_MS },
	{ "day",	24 * 3600 * SECOND_MS },
	{ "days",	24 * 3600 * SECOND_MS },
	{ "week",	7 * 24 * 3600 * SECOND_MS },
	{ "weeks",	7 * 24 * 3600 * SECOND_MS },
};

/* What people write instead, and the word that is understood. */
struct slip {
	const char *wrong;
	const char *right;
};

static const struct slip unit_slips[] = {
	{ "mail",	"messages" },
	{ "mails",	"messages" },
	{ "email",	"messages" },
	{ "emails",	"messages" },
	{ "msg",	"messages" },
	{ "msgs",	"messages" },
	{ "rcpt",	"recipients" },
	{ "rcpts",	"recipients" },
	{ "address",	"recipients" },
	{ "addresses",	"recipients" },
	{ "external",	"external-recipients" },
	{ "externals",	"external-recipients" },
	{ "new",	"new-recipients" },
	{ "client",	"client-addresses" },
	{ "clients",	"client-addresses" },
	{ "ip",		"client-addresses" },
	{ "ips",	"client-addresses" },
	{ "ip-addresses", "client-addresses" },
	{ "foreign",	"foreign-senders" },
	{ "refused",	"refused-recipients" },
	{ "rejected",	"refused-recipients" },
	{ "rejected-recipients", "refused-recipients" },
	{ "dead",	"refused-recipients" },
	{ "failed",	"failed-logins" },
	{ "failures",	"failed-logins" },
	{ "logins",	"failed-logins" },
	{ "passwords",	"failed-logins" },
	{ "wrong-passwords", "failed-logins" },
	{ "bounced",	"bounces" },
	{ "dsn",	"bounces" },
	{ "dsns",	"bounces" },
	{ "dup",	"duplicates" },
	{ "dups",	"duplicates" },
	{ "geo",	"countries" },
	{ "as",		"networks" },
	{ "asn",	"networks" },
	{ "asns",	"networks" },
	{ "octet",	"bytes" },
	{ "octets",	"bytes" },
	{ "b",		"bytes" },
	{ "k",		"KB" },
	{ "m",		"MB" },
	{ "g",		"GB" },
	{ "t",		"TB" },
	{ "gig",	"GB" },
	{ "gigs",	"GB" },
	{ "megs",	"MB" },
};

static const struct slip span_slips[] = {
	{ "hr",		"hour" },
	{ "hrs",	"hours" },
	{ "hourly",	"hour" },
	{ "daily",	"day" },
	{ "weekly",	"week" },
	{ "month",	"30 days" },
	{ "months",	"30 days" },
	{ "year",	"365 days" },
};

#define COUNT_OF(array)	(sizeof(array) / sizeof((array)[0]))

/* The text, cut up. */
struct tokens {
	struct span at[MAX_TOKENS];
	size_t n;
	size_t next;		/* the first not yet read */
};

/* What is being read, for errors. */
struct reading {
	TALLOC_CTX *ctx;
	const char *shown;	/* the text, escaped */
	const char **error_r;
	unsigned int use;	/* FOR_LIMITS or FOR_BLOCK_ON */
	const char *unit;	/* one for examples */
};

/* is_number_part - what may stand in a number token, right or wrong */
static bool
is_number_part(char c)
{
	return text_is_digit(c) || c == '.' || c == ',' || c == '\'' || c == '_';
}

/* is_word_part - what may stand in a word token */
static bool
is_word_part(char c)
{
	return (text_is_alnum(c) && !text_is_digit(c)) || c == '-';
}

/* token_length - how many octets the token at the start of text takes */
static size_t
token_length(struct span text)
{
	bool (*part)(char);
	size_t len = 1;

	if (text_is_digit(text.at[0]))
		part = is_number_part;
	else if (is_word_part(text.at[0]))
		part = is_word_part;
	else
		return 1;
	while (len < text.len && part(text.at[len]))
		len++;
	return len;
}

/* cut_up - text to tokens; false when there are too many */
static bool
cut_up(struct span text, struct tokens *tokens)
{
	tokens->n = 0;
	tokens->next = 0;
	while ((text = text_trim(text)).len > 0) {
		size_t len = token_length(text);

		if (tokens->n == MAX_TOKENS)
			return false;
		tokens->at[tokens->n++] = text_span_of(text.at, len);
		text = text_span_of(text.at + len, text.len - len);
	}
	return true;
}

/* peek - the next token, or an empty span at the end */
static struct span
peek(const struct tokens *tokens)
{
	return tokens->next < tokens->n ? tokens->at[tokens->next] : text_span_of("", 0);
}

/* is - whether a token is a word, in any case */
static bool
is(struct span token, const char *word)
{
	return text_equal_fold(token, text_span(word));
}

/* find_slip - the right word for a wrong one, or NULL */
static const char *
find_slip(const struct slip *slips, size_t n, struct span word)
{
	for (size_t i = 0; i < n; i++)
		if (is(word, slips[i].wrong))
			return slips[i].right;
	return NULL;
}

/* one_edit_apart - whether one letter changed, missing or too many tells a from b */
static bool
one_edit_apart(struct span a, struct span b)
{
	size_t i = 0;

	if (a.len > b.len)
		return one_edit_apart(b, a);
	if (b.len - a.len > 1 || b.len < 3)
		return false;
	while (i < a.len && text_lower(a.at[i]) == text_lower(b.at[i]))
		i++;
	if (a.len < b.len)
		return text_equal_fold(text_span_of(a.at + i, a.len - i),
		    text_span_of(b.at + i + 1, b.len - i - 1));
	return i < a.len && text_equal_fold(text_span_of(a.at + i + 1, a.len - i - 1),
	    text_span_of(b.at + i + 1, b.len - i - 1));
}

/* probable_unit - the unit meant by a word that is none, or NULL */
static const char *
probable_unit(struct span word)
{
	const char *right = find_slip(unit_slips, COUNT_OF(unit_slips), word);

	for (size_t i = 0; i < COUNT_OF(units) && right == NULL; i++)
		if (one_edit_apart(word, text_span(units[i].word)))
			right = units[i].word;
	return right;
}

/* probable_span - the time meant by a word that is none, or NULL */
static const char *
probable_span(struct span word)
{
	const char *right = find_slip(span_slips, COUNT_OF(span_slips), word);

	for (size_t i = 0; i < COUNT_OF(spans) && right == NULL; i++)
		if (one_edit_apart(word, text_span(spans[i].word)))
			right = spans[i].word;
	return right;
}

/* find_unit - the row of a unit word, or NULL */
static const struct unit_word *
find_unit(struct span word)
{
	for (size_t i = 0; i < COUNT_OF(units); i++)
		if (is(word, units[i].word))
			return &units[i];
	return NULL;
}

/* find_span - the row of a time word, or NULL */
static const struct span_word *
find_span(struct span word)
{
	long long ms = duration_unit_ms(word.at, word.len);

	for (size_t i = 0; i < COUNT_OF(spans); i++)
		if (spans[i].ms == ms)
			return &spans[i];
	return NULL;
}

/* limit_shown - a token for an error text */
static const char *
limit_shown(const struct reading *r, struct span token)
{
	return text_escape(r->ctx, token.at, token.len, MAX_QUOTED);
}

/* read_digits - a whole number; false when it is none or exceeds LIMIT_MAX_COUNT */
static bool
read_digits(struct span digits, uint64_t *value_r)
{
	uint64_t value = 0;

	if (digits.len == 0)
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		if (!text_is_digit(digits.at[i]))
			return false;
		value = value * 10 + (uint64_t)(digits.at[i] - '0');
		if (value > (uint64_t)LIMIT_MAX_COUNT)
			return false;
	}
	*value_r = value;
	return true;
}

/* without_separators - the digits of a number token, for a proposal */
static char *
without_separators(const struct reading *r, struct span number)
{
	char *digits = mem_strdup(r->ctx, "");

	for (size_t i = 0; i < number.len && i < MAX_QUOTED; i++)
		if (text_is_digit(number.at[i]))
			digits = mem_check(talloc_strndup_append(digits, &number.at[i], 1));
	return digits;
}

/* split_fraction - cut number at its point; false when it has no proper form */
static bool
split_fraction(struct span number, struct span *whole_r, struct span *fraction_r)
{
	const char *point = memchr(number.at, '.', number.len);
	uint64_t ignored;

	*whole_r = number;
	*fraction_r = text_span_of("", 0);
	if (point == NULL)
		return true;
	whole_r->len = (size_t)(point - number.at);
	*fraction_r = text_span_of(point + 1, number.len - whole_r->len - 1);
	return fraction_r->len <= 3 && read_digits(*fraction_r, &ignored);
}

/* scale - number times factor, with up to three decimals; -1 with an error */
static int
scale(const struct reading *r, struct span number, uint64_t factor, uint64_t *max_r)
{
	struct span whole, fraction;
	uint64_t value, part = 0;

	if (!split_fraction(number, &whole, &fraction)) {
		*r->error_r = mem_printf(r->ctx,
		    "\"%s\" in the limit \"%s\" is not a number; write "
		    "digits, with at most one point and three decimals",
		    limit_shown(r, number), r->shown);
		return -1;
	}
	if (fraction.len > 0 && factor == 1) {
		*r->error_r = mem_printf(r->ctx,
		    "the limit \"%s\" counts in whole numbers; write \"%s\" "
		    "without a fraction",
		    r->shown, limit_shown(r, number));
		return -1;
	}
	if (!read_digits(whole, &value) || value > (uint64_t)LIMIT_MAX_COUNT / factor) {
		*r->error_r = mem_printf(r->ctx,
		    "the limit \"%s\" is larger than can be counted (%" PRId64
		    "); write \"unlimited\" if nothing is to be limited",
		    r->shown, LIMIT_MAX_COUNT);
		return -1;
	}
	for (size_t i = 0; i < 3; i++)
		part = part * 10 + (i < fraction.len ? (uint64_t)(fraction.at[i] - '0') : 0);
	/* part < 1000 and factor < 2^51, so the product fits 64 bits. */
	value = value * factor + part * factor / 1000;
	*max_r = value > (uint64_t)LIMIT_MAX_COUNT ? (uint64_t)LIMIT_MAX_COUNT : value;
	return 0;
}

/* refuse_number - the error for a number token that is none */
static int
refuse_number(const struct reading *r, struct span number)
{
	*r->error_r = mem_printf(r->ctx,
	    "the number \"%s\" in the limit \"%s\" has separators, which "
	    "countries read differently; write \"%s\"",
	    limit_shown(r, number), r->shown, without_separators(r, number));
	return -1;
}

/* limit_read_number - the first token; -1 with an error */
static int
limit_read_number(const struct reading *r, struct tokens *tokens, struct span *number_r)
{
	struct span token = peek(tokens);

	if (token.len == 0 || !text_is_digit(token.at[0])) {
		*r->error_r = mem_printf(r->ctx,
		    "the limit \"%s\" does not begin with a number; write for "
		    "example \"100 %s per hour\"%s",
		    r->shown, r->unit, r->use == FOR_LIMITS ? ", or \"unlimited\"" : "");
		return -1;
	}
	for (size_t i = 0; i < token.len; i++)
		if (!text_is_digit(token.at[i]) && token.at[i] != '.')
			return refuse_number(r, token);
	tokens->next++;
	*number_r = token;
	return 0;
}

/* is_per - whether a token stands between the unit and the window */
static bool
is_per(struct span token)
{
	return is(token, "per") || is(token, "/");
}

/* unit_list - the units that the text may count, for an error */
static const char *
unit_list(const struct reading *r)
{
	const char *list = "";

	for (size_t i = 0; i < COUNT_OF(units); i++)
		if ((kinds[units[i].unit].uses & r->use) != 0 &&
		    strcmp(units[i].word, kinds[units[i].unit].name) == 0)
			list = mem_printf(r->ctx, "%s%s, ", list, units[i].word);
	return mem_printf(r->ctx, "%s%s", list,
	    r->use == FOR_LIMITS ? "KB, MB, GB, TB or PB" : "or \"over 20 times per hour\"");
}

/* refuse_unit - the error for a word that is no unit */
static int
refuse_unit(const struct reading *r, struct span number, struct span word)
{
	const char *right = probable_unit(word), *shown = limit_shown(r, number);
	bool over = is(word, "over") && r->use == FOR_BLOCK_ON;

	*r->error_r = mem_printf(r->ctx,
	    "\"%s\" in the limit \"%s\" is not a unit; write %s, for example \"%s%s %s per hour\"",
	    limit_shown(r, word), r->shown, unit_list(r), over ? "over " : "", shown,
	    over ? "times" : right != NULL ? right : r->unit);
	return -1;
}

/* read_unit - what is counted; -1 with an error */
static int
read_unit(const struct reading *r, struct tokens *tokens, struct span number,
    const struct unit_word **unit_r)
{
	struct span token = peek(tokens);

	if (token.len == 0 || is_per(token)) {
		*r->error_r = mem_printf(r->ctx,
		    "the limit \"%s\" does not name what is counted; write for example "
		    "\"%s %s per hour\"",
		    r->shown, limit_shown(r, number), r->unit);
		return -1;
	}
	*unit_r = find_unit(token);
	if (*unit_r == NULL)
		return refuse_unit(r, number, token);
	tokens->next++;
	return 0;
}

/* read_per - the word between unit and window; -1 with an error */
static int
read_per(const struct reading *r, struct tokens *tokens, struct span number,
    const struct unit_word *unit)
{
	struct span token = peek(tokens);

	if (is_per(token)) {
		tokens->next++;
		return 0;
	}
	if (token.len == 0)
		*r->error_r = mem_printf(r->ctx,
		    "the limit \"%s\" has no length of time; write for "
		    "example \"%s %s per hour\"",
		    r->shown, limit_shown(r, number), unit->word);
	else
		*r->error_r = mem_printf(r->ctx,
		    "\"%s\" in the limit \"%s\" is where \"per\" is expected; "
		    "write for example \"%s %s per hour\"",
		    limit_shown(r, token), r->shown, limit_shown(r, number), unit->word);
	return -1;
}

/* limit_read_count - the optional number before the time word; -1 with an error */
static int
limit_read_count(const struct reading *r, struct tokens *tokens, uint64_t *count_r)
{
	struct span token = peek(tokens);

	*count_r = 1;
	if (token.len == 0 || !text_is_digit(token.at[0]))
		return 0;
	if (!read_digits(token, count_r) || *count_r == 0) {
		*r->error_r = mem_printf(r->ctx,
		    "\"%s\" in the limit \"%s\" is not a length of time; write a whole "
		    "number, for example \"per 30 minutes\"",
		    limit_shown(r, token), r->shown);
		return -1;
	}
	tokens->next++;
	return 0;
}

/* read_window - how long; -1 with an error */
static int
read_window(const struct reading *r, struct tokens *tokens, struct span number,
    const struct unit_word *unit, int64_t *window_ms_r)
{
	const struct span_word *span;
	struct span token;
	const char *right;
	uint64_t count;

	if (limit_read_count(r, tokens, &count) < 0)
		return -1;
	token = peek(tokens);
	span = find_span(token);
	if (span == NULL) {
		right = probable_span(token);
		*r->error_r = mem_printf(r->ctx,
		    "\"%s\" in the limit \"%s\" is not a length of time; write second, "
		    "minute, hour, day or week, for example \"%s %s per %s%s\"",
		    limit_shown(r, token), r->shown, limit_shown(r, number), unit->word,
		    right != NULL && count > 1 ? mem_printf(r->ctx, "%" PRIu64 " ", count) : "",
		    right != NULL ? right : "hour");
		return -1;
	}
	tokens->next++;
	if (count > (uint64_t)(LIMIT_MAX_WINDOW_MS / span->ms)) {
		*r->error_r = mem_printf(r->ctx,
		    "the window of the limit \"%s\" is too long; write at most "
		    "\"per 366 days\"",
		    r->shown);
		return -1;
	}
	*window_ms_r = (int64_t)count * span->ms;
	return 0;
}

/* read_times - the unit of "over 3 times per day"; -1 with an error */
static int
read_times(const struct reading *r, struct tokens *tokens, struct span number,
    const struct unit_word **unit_r)
{
	static const struct unit_word times = { "times", LIMIT_OVER, 1 };

	if (!is(peek(tokens), "times") && !is(peek(tokens), "time")) {
		*r->error_r = mem_printf(r->ctx,
		    "\"over\" in the limit \"%s\" counts times; write \"over %s times per day\"",
		    r->shown, limit_shown(r, number));
		return -1;
	}
	tokens->next++;
	*unit_r = &times;
	return 0;
}

#define USUAL_MOST	1000	/* "1000 times usual" */

/* read_usual - the rest of "8 times usual"; -1 with an error */
static int
read_usual(const struct reading *r, struct tokens *tokens, struct span number, struct limit *limit)
{
	tokens->next++;
	if (!is(peek(tokens), "usual") || tokens->next + 1 < tokens->n ||
	    scale(r, number, 1, &limit->max) < 0 || limit->max < 2 || limit->max > USUAL_MOST) {
		*r->error_r = mem_printf(r->ctx,
		    "the limit \"%s\" must be a number of times from 2 to %d, as in \"8 times "
		    "usual\", or \"over %s times per day\"",
		    r->shown, USUAL_MOST, limit_shown(r, number));
		return -1;
	}
	tokens->next++;
	limit->unit = LIMIT_USUAL;
	limit->window_ms = 3600 * SECOND_MS;
	return 0;
}

/* read_counted - a limit that begins with a number, or "over"; -1 with an error */
static int
read_counted(const struct reading *r, struct tokens *tokens, struct limit *limit)
{
	const struct unit_word *unit;
	struct span number;
	bool over = is(peek(tokens), "over");

	tokens->next += over;
	if (limit_read_number(r, tokens, &number) < 0)
		return -1;
	if (tokens->n == 1 && is(number, "0")) {
		/* The window does not matter: nothing passes, so nothing is counted. */
		limit->unit = LIMIT_MESSAGES;
		limit->window_ms = 3600 * SECOND_MS;
		return 0;
	}
	if (!over && (is(peek(tokens), "times") || is(peek(tokens), "time")))
		return read_usual(r, tokens, number, limit);
	if ((over ? read_times : read_unit)(r, tokens, number, &unit) < 0 ||
	    scale(r, number, unit->factor, &limit->max) < 0 ||
	    read_per(r, tokens, number, unit) < 0 ||
	    read_window(r, tokens, number, unit, &limit->window_ms) < 0)
		return -1;
	limit->unit = unit->unit;
	if (limit_is_distinct(limit->unit) && limit->max > LIMIT_MAX_CLIENTS) {
		*r->error_r = mem_printf(r->ctx,
		    "the limit \"%s\" is too large, because every %s is kept; write "
		    "at most \"%s%d %s\"",
		    r->shown, limit->unit == LIMIT_CLIENTS ? "address" : "one",
		    over ? "over " : "", LIMIT_MAX_CLIENTS, limit_unit_name(limit->unit));
		return -1;
	}
	return 0;
}

/* expect_end - nothing may follow; -1 with an error */
static int
expect_end(const struct reading *r, const struct tokens *tokens)
{
	struct span token = peek(tokens);

	if (token.len == 0)
		return 0;
	*r->error_r = mem_printf(r->ctx,
	    "\"%s\" in the limit \"%s\" is too much; a limit ends after its "
	    "length of time, as in \"100 %s per hour\", and each limit is a text of its own",
	    limit_shown(r, token), r->shown, r->unit);
	return -1;
}

static int limit_parse_for(TALLOC_CTX *ctx, const char *text, unsigned int use,
    struct limit *limit_r, const char **error_r);

/* is_sign_alone - "over 3 times per day", "8 times usual": what only block_on may count, or an
 * attempt at it */
static bool
is_sign_alone(const struct tokens *tokens)
{
	return is(tokens->at[0], "over") || (tokens->n > 1 &&
	    (is(tokens->at[1], "times") || is(tokens->at[1], "time")));
}

/* refuse_sign - the error for such a text as a limit */
static int
refuse_sign(const struct reading *r, const char *text)
{
	const char *ignored = NULL;
	struct limit sign;

	if (limit_parse_for(r->ctx, text, FOR_BLOCK_ON, &sign, &ignored) != 0)
		*r->error_r = mem_printf(r->ctx,
		    "the limit \"%s\" counts times, which no limit does; write for example "
		    "\"100 %s per hour\"", r->shown, r->unit);
	else
		*r->error_r = mem_printf(r->ctx,
		    "\"%s\" %s, so it cannot be a limit: write block_on = \"%s\" with "
		    "block_for = \"4 hours\"", r->shown, sign.unit == LIMIT_OVER
			? "counts messages that other limits refuse"
			: "compares an hour that is sent already", r->shown);
	return -1;
}

/* limit_parse_for - read one limit for a use */
static int
limit_parse_for(TALLOC_CTX *ctx, const char *text, unsigned int use, struct limit *limit_r,
    const char **error_r)
{
	struct span trimmed = text_trim(text_span(text));
	struct reading r = { .ctx = ctx, .error_r = error_r, .use = use,
		.unit = use == FOR_LIMITS ? "recipients" : "refused-recipients" };
	struct tokens tokens;

	memset(limit_r, 0, sizeof(*limit_r));
	r.shown = text_escape(ctx, trimmed.at, trimmed.len, MAX_QUOTED);
	if (trimmed.len == 0) {
		*error_r = mem_printf(ctx,
		    "the limit is empty; write for example \"100 %s per hour\"%s",
		    r.unit, use == FOR_LIMITS ? ", or \"unlimited\"" : "");
		return -1;
	}
	if (trimmed.len > MAX_TEXT || !cut_up(trimmed, &tokens)) {
		*error_r = mem_printf(ctx,
		    "the limit \"%s\" is too long; write for example \"100 %s "
		    "per hour\", each limit as a text of its own",
		    r.shown, r.unit);
		return -1;
	}
	if (use == FOR_LIMITS && is_sign_alone(&tokens))
		return refuse_sign(&r, text);
	if (is(tokens.at[0], "unlimited")) {
		limit_r->unlimited = true;
		tokens.next = 1;
		if (tokens.n > 1) {
			*error_r = mem_printf(ctx,
			    "\"unlimited\" must be alone; write \"unlimited\" instead of "
			    "\"%s\"",
			    r.shown);
			return -1;
		}
	} else if (read_counted(&r, &tokens, limit_r) < 0)
		return -1;
	if (expect_end(&r, &tokens) < 0)
		return -1;
	limit_r->text = mem_strndup(ctx, trimmed.at, trimmed.len);
	limit_r->field = limit_field(ctx, limit_r->unit, limit_r->window_ms);
	return 0;
}

/* limit_parse - read one limit */
int
limit_parse(TALLOC_CTX *ctx, const char *text, struct limit *limit_r, const char **error_r)
{
	return limit_parse_for(ctx, text, FOR_LIMITS, limit_r, error_r);
}

/* limit_parse_sign - read one sign */
int
limit_parse_sign(TALLOC_CTX *ctx, const char *text, struct limit *limit_r, const char **error_r)
{
	return limit_parse_for(ctx, text, FOR_BLOCK_ON, limit_r, error_r);
}

/* find_size - what one of a size's unit is in bytes: also "k", "M", "G"; 0: unknown */
static uint64_t
find_size(struct span word)
{
	static const char letters[] = "kMGTP";
	const struct unit_word *unit = find_unit(word);
	uint64_t factor = 1;

	if (unit != NULL)
		return unit->unit == LIMIT_BYTES ? unit->factor : 0;
	if (word.len != 1)
		return 0;
	for (size_t i = 0; letters[i] != '\0'; i++) {
		factor *= KILO;
		if (text_lower(word.at[0]) == text_lower(letters[i]))
			return factor;
	}
	return text_lower(word.at[0]) == 'b' ? 1 : 0;
}

/* limit_parse_size - read a size */
int
limit_parse_size(TALLOC_CTX *ctx, const char *text, uint64_t *size_r, const char **error_r)
{
	struct span trimmed = text_trim(text_span(text)), number;
	struct reading r = { .ctx = ctx, .use = FOR_LIMITS, .unit = "bytes" };
	struct tokens tokens;
	const char *why = NULL;
	uint64_t factor;

	r.shown = text_escape(ctx, trimmed.at, trimmed.len, MAX_QUOTED);
	r.error_r = &why;
	if (trimmed.len > 0 && trimmed.len <= MAX_TEXT && cut_up(trimmed, &tokens) &&
	    tokens.n == 2 && limit_read_number(&r, &tokens, &number) == 0 &&
	    (factor = find_size(peek(&tokens))) != 0 && scale(&r, number, factor, size_r) == 0 &&
	    *size_r > 0)
		return 0;
	*error_r = mem_printf(ctx,
	    "\"%s\" is not a size; write a number and bytes, KB, MB or GB, for example "
	    "\"25 MB\"",
	    r.shown);
	return -1;
}

/* limit_field - the name of the counter of a unit and a window */
char *
limit_field(TALLOC_CTX *ctx, enum limit_unit unit, int64_t window_ms)
{
	/* Addresses and such are kept each with its time, all else in buckets, whose number is part
	 * of the name. */
	if (limit_is_distinct(unit))
		return mem_printf(ctx, "%c%" PRId64, limit_unit_letter(unit), window_ms);
	return mem_printf(
	    ctx, "%c%" PRId64 ".%d", limit_unit_letter(unit), window_ms, WINDOW_BUCKETS);
}

/* limit_text - a limit as one would write it */
char *
limit_text(TALLOC_CTX *ctx, enum limit_unit unit, uint64_t max, int64_t window_ms)
{
	const struct span_word *best = &spans[0];
	const char *over = unit == LIMIT_OVER ? "over " : "";
	const char *name = max == 1 ? kinds[unit].one : kinds[unit].name;
	int64_t count;

	if (unit == LIMIT_USUAL)
		return mem_printf(ctx, "%" PRIu64 " %s", max, name);
	for (size_t i = 0; i < COUNT_OF(spans); i += 2)
		if (window_ms >= spans[i].ms && window_ms % spans[i].ms == 0)
			best = &spans[i];
	count = window_ms / best->ms;
	if (count == 1)
		return mem_printf(ctx, "%s%" PRIu64 " %s per %s", over, max, name, best->word);
	return mem_printf(ctx, "%s%" PRIu64 " %s per %" PRId64 " %ss", over, max, name, count,
	    best->word);
}

/* limit_is_distinct - whether a unit counts different things */
bool
limit_is_distinct(enum limit_unit unit)
{
	return kinds[unit].distinct;
}

/* limit_is_sign - whether a unit may be in block_on */
bool
limit_is_sign(enum limit_unit unit)
{
	return (kinds[unit].uses & FOR_BLOCK_ON) != 0;
}

/* limit_is_level - whether a unit counts what happens apart from accepted messages */
bool
limit_is_level(enum limit_unit unit)
{
	return (kinds[unit].uses & FOR_LEVEL) != 0;
}

/* limit_signs - what block_on may count */
const char *
limit_signs(TALLOC_CTX *ctx)
{
	return unit_list(&(struct reading){ .ctx = ctx, .use = FOR_BLOCK_ON });
}

/* limit_unit_name - the plural name of a unit */
const char *
limit_unit_name(enum limit_unit unit)
{
	return kinds[unit].name;
}

/* limit_unit_letter - the letter that stands for a unit in store fields */
char
limit_unit_letter(enum limit_unit unit)
{
	return kinds[unit].letter;
}

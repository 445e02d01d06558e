/*
 * test_reply.c - the table of reasons, and the sentences that clients read
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/base/mem.h"
#include "policy/verdict/reply.h"
#include "policy/verdict/reply_texts.h"

#define COUNT(rows)	(sizeof(rows) / sizeof((rows)[0]))

static const enum role all_roles[] = { ROLE_SUBMISSION, ROLE_RELAY, ROLE_LOCAL, ROLE_INBOUND };

/* is_code - three digits of this class, as libmilter wants them */
static bool
is_code(const char *code, char class)
{
	return code != NULL && strlen(code) == 3 && code[0] == class &&
	    isdigit((unsigned char)code[1]) && isdigit((unsigned char)code[2]);
}

/* is_status - "5.7.28": RFC 3463 section 2, of this class */
static bool
is_status(const char *status, char class)
{
	const char *p = status;

	if (p == NULL || *p++ != class)
		return false;
	for (int part = 0; part < 2; part++) {
		size_t digits;

		if (*p++ != '.')
			return false;
		digits = strspn(p, "0123456789");
		if (digits < 1 || digits > 3 || (digits > 1 && p[0] == '0'))
			return false;
		p += digits;
	}
	return *p == '\0';
}

static void
test_codes(void **state)
{
	(void)state;
	for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
		const struct reply_row *row = reply_row(reason);

		if (row->word == NULL || row->text == NULL)
			fail_msg("reason %d has no row", (int)reason);
		if (!is_code(row->reject_code, '5') || !is_status(row->reject_status, '5'))
			fail_msg(
			    "%s: reject %s %s", row->word, row->reject_code, row->reject_status);
		if (!is_code(row->tempfail_code, '4') || !is_status(row->tempfail_status, '4'))
			fail_msg("%s: tempfail %s %s", row->word, row->tempfail_code,
			    row->tempfail_status);
	}
}

/* The codes that a standard or the guides promise. */
static void
test_promised_codes(void **state)
{
	static const struct {
		enum reason reason;
		const char *reject, *reject_status, *tempfail, *tempfail_status;
	} rows[] = {
		{ REASON_OVER, "550", "5.7.28", "450", "4.7.28" },		/* the status registered for mail floods */
		{ REASON_NEVER_FITS, "550", "5.7.28", "450", "4.7.28" },
		{ REASON_SHUTTING_DOWN, "521", "5.3.2", "421", "4.3.2" },
		{ REASON_SPF_FAIL, "550", "5.7.23", "451", "4.7.23" },		/* RFC 7372 section 3.2 */
		{ REASON_SPF_PERMERROR, "550", "5.7.24", "451", "4.7.24" },
		{ REASON_SPF_TEMPERROR, "550", "5.7.24", "451", "4.7.24" },
		{ REASON_SPF_SOFTFAIL, "550", "5.7.23", "451", "4.7.23" },
		{ REASON_SPF_HELO_FAIL, "550", "5.7.23", "451", "4.7.23" },
		{ REASON_SPF_HELO_PERMERROR, "550", "5.7.24", "451", "4.7.24" },
		{ REASON_SPF_HELO_TEMPERROR, "550", "5.7.24", "451", "4.7.24" },
		{ REASON_SPF_NONE, "550", "5.7.1", "451", "4.7.1" },		/* no SPF check that failed */
		{ REASON_SPF_HELO_NEUTRAL, "550", "5.7.1", "451", "4.7.1" },
		{ REASON_DKIM_NONE, "550", "5.7.20", "451", "4.7.20" },		/* RFC 7372 section 3.1 */
		{ REASON_DKIM_FAIL, "550", "5.7.20", "451", "4.7.20" },
		{ REASON_DKIM_UNALIGNED, "550", "5.7.22", "451", "4.7.22" },
		{ REASON_NO_LOGIN, "530", "5.7.0", "450", "4.7.0" },		/* RFC 4954 section 6 */
		{ REASON_NO_TLS, "530", "5.7.0", "450", "4.7.0" },		/* RFC 3207 section 4 */
		{ REASON_TOO_MANY_RECIPIENTS, "550", "5.5.3", "452", "4.5.3" },	/* RFC 5321 section 4.5.3.1.10 */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct reply_row *row = reply_row(rows[i].reason);

		assert_string_equal(row->reject_code, rows[i].reject);
		assert_string_equal(row->reject_status, rows[i].reject_status);
		assert_string_equal(row->tempfail_code, rows[i].tempfail);
		assert_string_equal(row->tempfail_status, rows[i].tempfail_status);
	}
}

/* Words and options are unique, one is made from the other, and the option finds its reason. */
static void
test_words(void **state)
{
	(void)state;
	for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
		const struct reply_row *row = reply_row(reason);
		char option[80] = "on_";

		for (enum reason other = REASON_NONE; other < reason; other++)
			if (strcmp(row->word, reply_row(other)->word) == 0)
				fail_msg("%s stands twice", row->word);
		if (row->option == NULL)
			continue;
		assert_true(strlen(row->word) < sizeof(option) - 3);
		strcpy(option + 3, row->word);
		for (char *p = option; *p != '\0'; p++)
			*p = *p == '-' ? '_' : *p;
		assert_string_equal(row->option, option);
		if (reply_reason_of_option(row->option) != reason)
			fail_msg("%s finds reason %d", row->option,
			    (int)reply_reason_of_option(row->option));
	}
	assert_int_equal(reply_reason_of_option("on_shutting_down"), REASON_NONE);
	assert_int_equal(reply_reason_of_option("on_store_away"), REASON_NONE);
	assert_int_equal(reply_reason_of_option("foreign-from"), REASON_NONE);
	assert_int_equal(reply_reason_of_option("ON_OVER"), REASON_NONE);
	assert_int_equal(reply_reason_of_option(""), REASON_NONE);
}

static void
test_row_out_of_range(void **state)
{
	(void)state;
	assert_ptr_equal(reply_row(REASON_COUNT), reply_row(REASON_NONE));
	assert_ptr_equal(reply_row((enum reason)9999), reply_row(REASON_NONE));
	assert_string_equal(reply_row(REASON_NONE)->word, "-");
}

static void
test_defaults(void **state)
{
	static const struct {
		enum reason reason;
		enum action submission, relay, local, inbound;
	} rows[] = {
		{ REASON_NONE, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT },
		/* never passed unchecked */
		{ REASON_NO_LISTENER, ACTION_TEMPFAIL, ACTION_TEMPFAIL, ACTION_TEMPFAIL,
		    ACTION_TEMPFAIL },
		{ REASON_SHUTTING_DOWN, ACTION_TEMPFAIL, ACTION_TEMPFAIL, ACTION_TEMPFAIL,
		    ACTION_TEMPFAIL },
		{ REASON_NO_LOGIN, ACTION_REJECT, ACTION_REJECT, ACTION_ACCEPT, ACTION_ACCEPT },
		{ REASON_NO_ACCOUNT, ACTION_REJECT, ACTION_REJECT, ACTION_ACCEPT, ACTION_ACCEPT },
		{ REASON_NO_TLS, ACTION_REJECT, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT },
		/* cron, sieve and Mailman write foreign names from this host */
		{ REASON_FOREIGN_ENVELOPE, ACTION_REJECT, ACTION_REJECT, ACTION_WARN,
		    ACTION_ACCEPT },
		{ REASON_FOREIGN_FROM, ACTION_REJECT, ACTION_REJECT, ACTION_WARN, ACTION_ACCEPT },
		{ REASON_FOREIGN_SENDER, ACTION_REJECT, ACTION_REJECT, ACTION_WARN, ACTION_ACCEPT },
		/* read receipts have it (RFC 8098 section 3) */
		{ REASON_NULL_SENDER, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT },
		{ REASON_LOOKUP_FAILURE, ACTION_TEMPFAIL, ACTION_TEMPFAIL, ACTION_WARN,
		    ACTION_TEMPFAIL },
		{ REASON_FOREIGN_DOMAIN, ACTION_REJECT, ACTION_REJECT, ACTION_WARN, ACTION_ACCEPT },
		{ REASON_FOREIGN_RESENT, ACTION_REJECT, ACTION_REJECT, ACTION_WARN, ACTION_ACCEPT },
		/* a name may show much; strangers' names are not ours to judge */
		/* written to be mistaken for a sender; but list servers and scripts know no
		 * better */
		{ REASON_DISGUISED_FROM, ACTION_REJECT, ACTION_WARN, ACTION_ACCEPT, ACTION_ACCEPT },
		{ REASON_FOREIGN_DISPLAY, ACTION_WARN, ACTION_WARN, ACTION_ACCEPT, ACTION_ACCEPT },
		{ REASON_FOREIGN_NETWORK, ACTION_REJECT, ACTION_REJECT, ACTION_ACCEPT,
		    ACTION_ACCEPT },
		{ REASON_RESTRICTED_RECIPIENT, ACTION_REJECT, ACTION_REJECT, ACTION_REJECT,
		    ACTION_REJECT },
		/* forwarders: accept and mark */
		{ REASON_SPF_FAIL, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_WARN },
		{ REASON_OVER, ACTION_TEMPFAIL, ACTION_TEMPFAIL, ACTION_REJECT, ACTION_ACCEPT },
		/* no waiting helps */
		{ REASON_NEVER_FITS, ACTION_REJECT, ACTION_REJECT, ACTION_REJECT, ACTION_ACCEPT },
		{ REASON_MISSING_KEY, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (reply_default_action(rows[i].reason, ROLE_SUBMISSION) != rows[i].submission ||
		    reply_default_action(rows[i].reason, ROLE_RELAY) != rows[i].relay ||
		    reply_default_action(rows[i].reason, ROLE_LOCAL) != rows[i].local ||
		    reply_default_action(rows[i].reason, ROLE_INBOUND) != rows[i].inbound)
			fail_msg("%s", reply_row(rows[i].reason)->word);
		assert_int_equal(
		    reply_default_action(rows[i].reason, ROLE_AUTO), rows[i].submission);
	}
}

/* A finer reason follows its coarser one if it has no word of its own. */
static void
test_heirs(void **state)
{
	(void)state;
	assert_int_equal(reply_heir(REASON_FOREIGN_DOMAIN), REASON_FOREIGN_FROM);
	assert_int_equal(reply_heir(REASON_FOREIGN_RESENT), REASON_FOREIGN_SENDER);
	assert_int_equal(reply_heir(REASON_DISGUISED_FROM), REASON_FOREIGN_DISPLAY);
	assert_int_equal(reply_heir(REASON_FOREIGN_DISPLAY), REASON_NONE);
}

/* Local mail that is tempfailed for what it is stays in maildrop and comes back every minute. */
static void
test_local_is_not_deferred(void **state)
{
	(void)state;
	for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
		if (reason == REASON_NO_LISTENER || reason == REASON_SHUTTING_DOWN ||
		    reason == REASON_BAD_LOGIN)
			continue;	/* not about the content, or not possible there */
		if (reply_default_action(reason, ROLE_LOCAL) == ACTION_TEMPFAIL)
			fail_msg("%s", reply_row(reason)->word);
		for (size_t i = 0; i < COUNT(all_roles); i++)
			assert_in_range(reply_default_action(reason, all_roles[i]), ACTION_ACCEPT,
			    ACTION_REJECT);
	}
}

/* A message with a value of its own for every item. */
static const struct facts full = {
	.role = ROLE_SUBMISSION,
	.client_addr = "192.0.2.7",
	.login = "alice",
	.account = "alice@example.org",
	.header = { .malformed_field = "Resent-From" },
	.spf_mailfrom = { .explanation = "ask example.com" },
	.spf_helo = { .explanation = "ask the host" },
	.sign = { .sdid = "example.org" },
	.quota = { .account = "pool-7", .limit = "100 recipients per hour", .used = 101, .max = 100,
	    .retry_after = 1800 },
};

static const struct reply_style tempfail = { .action = ACTION_TEMPFAIL };

static void
test_items(void **state)
{
	static const struct {
		enum reason reason;
		const char *address, *problem, *text;
	} rows[] = {
		{ REASON_NONE, NULL, NULL, "ok" },
		{ REASON_BAD_LOGIN, NULL, "it is empty",
		    "your login name cannot be used to send mail: it is empty" },
		{ REASON_MALFORMED_ENVELOPE, "a@@b", "two of them",
		    "the envelope sender <a@@b> is invalid: two of them" },
		{ REASON_FOREIGN_ENVELOPE, "bob@example.org", NULL,
		    "the envelope sender <bob@example.org> is not allowed for the login alice" },
		{ REASON_NULL_SENDER, NULL, NULL,
		    "the null sender <> is not allowed for the login alice; use one of your own addresses" },
		{ REASON_TOO_MANY_RECIPIENTS, NULL, "100",
		    "too many recipients: a message may have at most 100" },
		{ REASON_MALFORMED_FROM, NULL, "no end of the comment",
		    "the Resent-From field is malformed or ambiguous: no end of the comment" },
		{ REASON_FOREIGN_FROM, "bob@example.org", "From",
		    "the From address <bob@example.org> is not allowed for the login alice" },
		{ REASON_FOREIGN_SENDER, "bob@example.org", "Resent-Sender",
		    "the Resent-Sender address <bob@example.org> is not allowed for the login alice" },
		{ REASON_FOREIGN_RESENT, "bob@example.org", "Resent-From",
		    "the Resent-From address <bob@example.org> is not allowed for the login alice" },
		{ REASON_FOREIGN_DOMAIN, "bob@example.com", "From",
		    "the From address <bob@example.com> is not allowed for the login alice" },
		{ REASON_DISGUISED_FROM, "ceo@example.com", "From display name",
		    "the display name in the From field imitates the address ceo@example.com, which is not allowed for the login alice" },
		{ REASON_FOREIGN_DISPLAY, "ceo@example.com", "From display name",
		    "the display name in the From field contains the address ceo@example.com, which is not allowed for the login alice" },
		{ REASON_RESTRICTED_RECIPIENT, "announce@example.org", NULL,
		    "you are not allowed to send to <announce@example.org>" },
		{ REASON_LOOKUP_FAILURE, "bob@example.org", NULL,
		    "a lookup that this message needs failed" },
		{ REASON_SPF_FAIL, "x@example.com", NULL,
		    "SPF: 192.0.2.7 is not authorized to send mail as x@example.com; that domain explains: ask example.com" },
		{ REASON_SPF_HELO_FAIL, "mail.example.com", NULL,
		    "SPF: 192.0.2.7 is not authorized to use the HELO name mail.example.com; that domain explains: ask the host" },
		{ REASON_SPF_HELO_NONE, "mail.example.com", NULL,
		    "SPF: there is no SPF record for the HELO name mail.example.com; this server requires one" },
		{ REASON_SPF_NEUTRAL, "x@example.com", NULL,
		    "SPF: the record for x@example.com does not say whether 192.0.2.7 is authorized" },
		{ REASON_SPF_SOFTFAIL, "x@example.com", NULL,
		    "SPF: 192.0.2.7 is probably not authorized to send mail as x@example.com" },
		{ REASON_SPF_PERMERROR, "x@example.com", "two records",
		    "SPF: the record for x@example.com is invalid: two records" },
		{ REASON_MISSING_KEY, NULL, NULL, "mail from example.org cannot be signed: no usable DKIM key; please tell your postmaster" },
		{ REASON_OVER, NULL, NULL,
		    "this message would exceed the sending limit of pool-7 (100 recipients per hour, 101 used)" },
		{ REASON_NEVER_FITS, NULL, NULL,
		    "this message alone exceeds the sending limit of pool-7 (100 recipients per hour)" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *text =
		    reply_text(NULL, rows[i].reason, &full, rows[i].address, rows[i].problem, NULL);

		assert_string_equal(text, rows[i].text);
		talloc_free(text);
	}
}

/* What is not known reads "-" or a plain word: no sentence shows a bare item or "(null)". */
static void
test_nothing_known(void **state)
{
	static const struct facts nothing;

	(void)state;
	for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
		char *text = reply_text(NULL, reason, &nothing, NULL, NULL, NULL);

		if (text[0] == '\0' || strpbrk(text, "?%{}") != NULL ||
		    strstr(text, "null)") != NULL)
			fail_msg("%s: %s", reply_row(reason)->word, text);
		talloc_free(text);
	}
}

static void
test_fallbacks(void **state)
{
	static const struct {
		const char *label;
		struct facts facts;
		enum reason reason;
		const char *text;
	} rows[] = {
		{ "login missing: the account", { .account = "lists@example.org" },
		    REASON_FOREIGN_FROM,
		    "the From address <x@y.example> is not allowed for the account lists@example.org" },
		{ "login wins over account", { .role = ROLE_SUBMISSION, .login = "al", .account = "alice@example.org" },
		    REASON_FOREIGN_FROM,
		    "the From address <x@y.example> is not allowed for the login al" },
		{ "quota account missing: the account", { .account = "a@b.example" }, REASON_OVER,
		    "this message would exceed the sending limit of a@b.example (-, 0 used)" },
		{ "no domain", { .account = "a@b.example" }, REASON_MISSING_KEY,
		    "mail from the sender cannot be signed: no usable DKIM key; please tell your postmaster" },
		{ "no field name", { .account = "a@b.example" }, REASON_MALFORMED_FROM,
		    "the From field is malformed or ambiguous: -" },
		{ "the client of a trusted relay",
		    { .client_addr = "192.0.2.1", .spf_client = "203.0.113.9" }, REASON_SPF_FAIL,
		    "SPF: 203.0.113.9 is not authorized to send mail as x@y.example" },
		{ "no explanation", { .client_addr = "192.0.2.1" }, REASON_SPF_FAIL,
		    "SPF: 192.0.2.1 is not authorized to send mail as x@y.example" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *text =
		    reply_text(NULL, rows[i].reason, &rows[i].facts, "x@y.example", NULL, NULL);

		if (strcmp(text, rows[i].text) != 0)
			fail_msg("%s: %s", rows[i].label, text);
		talloc_free(text);
	}
}

static void
test_retry(void **state)
{
	static const struct { uint32_t seconds; const char *text; } rows[] = {
		{ 1, "in 1 second" }, { 2, "in 2 seconds" }, { 119, "in 119 seconds" },
		{ 120, "in 2 minutes" }, { 121, "in 3 minutes" }, { 7199, "in 120 minutes" },
		{ 7200, "in 2 hours" }, { 7201, "in 3 hours" }, { 86400, "in 24 hours" },
		{ 31622400, "in 8784 hours" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct facts facts = full;
		size_t len = strlen(rows[i].text);
		char *text;

		facts.quota.retry_after = rows[i].seconds;
		text = reply_text(NULL, REASON_OVER, &facts, NULL, NULL, &tempfail);
		if (strlen(text) < len || strcmp(text + strlen(text) - len, rows[i].text) != 0)
			fail_msg("%u s: %s", (unsigned int)rows[i].seconds, text);
		talloc_free(text);
	}
}

static void
test_help_url(void **state)
{
	char *text =
	    reply_text(NULL, REASON_NO_FROM, &full, NULL, NULL,
		&(struct reply_style){ .help_url = "https://example.org/why%20me" });

	(void)state;
	/* libmilter takes the text as a format, but that is for apply.c to mind */
	assert_string_equal(
	    text, "the message has no From field; see https://example.org/why%20me");
	talloc_free(text);
}

/* is_safe - one line of printable ASCII, within the bound */
static bool
is_safe(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	return len <= REPLY_TEXT_MAX;
}

static void
test_hostile_octets(void **state)
{
	static const struct { const char *label, *value, *shown; } rows[] = {
		{ "percent", "%s%n@x", "<%s%n@x>" },
		{ "line end", "a\r\n250 ok@x", "<a??250 ok@x>" },
		{ "8-bit", "j\xc3\xb6rg@x", "<j\\x{F6}rg@x>" },
		{ "beyond 16 bits", "\xf0\x9f\x8e\x81@x", "<\\x{1F381}@x>" },
		{ "A-labels stay", "a@xn--bcher-kva.example", "<a@xn--bcher-kva.example>" },
		{ "control", "a\x01\x7f\x1b[31m@x", "<a???[31m@x>" },
		{ "an item is not opened", "%{login}@x", "<%{login}@x>" },
		{ "a brace alone", "}{@x", "<}{@x>" },
		{ "high octet", "\xff\x80@x", "<\\xFF\\x80@x>" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *text =
		    reply_text(NULL, REASON_FOREIGN_FROM, &full, rows[i].value, NULL, NULL);

		if (!is_safe(text) || strstr(text, rows[i].shown) == NULL)
			fail_msg("%s: %s", rows[i].label, text);
		talloc_free(text);
	}
}

/* Every string that a stranger or an administrator fills, 10 000 octets of every value, in every
 * sentence. */
static void
test_hostile_lengths(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	char *huge = mem_array(ctx, char, 10001);
	struct facts facts = full;

	(void)state;
	for (size_t i = 0; i < 10000; i++)
		huge[i] = (char)(i % 255 + 1);
	facts.client_addr = facts.login = facts.account = huge;
	facts.header.malformed_field = facts.spf_mailfrom.explanation = facts.sign.sdid = huge;
	facts.quota.account = facts.quota.limit = huge;
	facts.quota.used = facts.quota.max = UINT64_MAX;
	for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
		char *text = reply_text(ctx, reason, &facts, huge, huge,
		    &(struct reply_style){ .action = ACTION_TEMPFAIL, .help_url = huge });

		if (!is_safe(text))
			fail_msg("%s: %zu octets", reply_row(reason)->word, strlen(text));
	}
	talloc_free(ctx);
}

/* After SMTPUTF8 an address is shown as it is, as far as it can be seen. */
static void
test_utf8(void **state)
{
	static const struct { const char *label, *value, *shown; } rows[] = {
		{ "UTF-8", "j\xc3\xb6rg@x", "<j\xc3\xb6rg@x>" },
		{ "domain", "j\xc3\xb6rg@xn--bcher-kva.example", "<j\xc3\xb6rg@b\xc3\xbc" "cher.example>" },
		{ "line separator", "a\xe2\x80\xa8@x", "<a\\x{2028}@x>" },
		{ "next line", "a\xc2\x85@x", "<a\\x{85}@x>" },
		{ "override", "a\xe2\x80\xae@x", "<a\\x{202E}@x>" },
		{ "no UTF-8", "a\xff\xc3@x", "<a\\xFF\\xC3@x>" },
		{ "control", "a\r\n@x", "<a??@x>" },
	};
	struct facts facts = full;

	(void)state;
	facts.smtputf8 = true;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *text =
		    reply_text(NULL, REASON_FOREIGN_FROM, &facts, rows[i].value, NULL, NULL);

		if (strstr(text, rows[i].shown) == NULL)
			fail_msg("%s: %s", rows[i].label, text);
		talloc_free(text);
	}
}

/* An item is cut at its own bound, so that a long address leaves room for the login and the
 * help. */
static void
test_bound(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const struct facts facts = { .role = ROLE_SUBMISSION, .login = "al" };
	const char *empty = reply_text(ctx, REASON_FOREIGN_FROM, &facts, "", NULL, NULL);
	char *address = mem_array(ctx, char, REPLY_ITEM_MAX + 10);

	(void)state;
	for (size_t len = REPLY_ITEM_MAX - 1; len <= REPLY_ITEM_MAX + 5; len++) {
		size_t kept = len < REPLY_ITEM_MAX ? len : REPLY_ITEM_MAX;
		const char *text;

		memset(address, 'a', len);
		text = reply_text(
		    ctx, REASON_FOREIGN_FROM, &facts, address, NULL,
		    &(struct reply_style){ .help_url = "https://h.example/" });
		assert_int_equal(
		    strlen(text), strlen(empty) + kept + strlen("; see https://h.example/"));
		assert_non_null(strstr(text, "login al; see https://h.example/"));
	}
	talloc_free(ctx);
}

/* lengthened - a text of so many octets */
static char *
lengthened(TALLOC_CTX *ctx, size_t len)
{
	char *text = mem_array(ctx, char, len + 1);

	memset(text, 'x', len);
	return text;
}

/* Every text of both languages with the longest items that may come: never over the bound, the help
 * and "try again" whole, nothing of English in French, and ASCII unless the client takes UTF-8. */
static void
test_both_languages(void **state)
{
	static const char *const names[] = { "en", "fr" };
	static const enum action actions[] = { ACTION_TEMPFAIL, ACTION_REJECT, ACTION_QUARANTINE };
	TALLOC_CTX *ctx = talloc_new(NULL);
	char *longest = lengthened(ctx, 400);
	char *url = mem_printf(ctx, "https://%s/", lengthened(ctx, REPLY_HELP_MAX - 9));

	(void)state;
	for (size_t i = 0; i < COUNT(names) * COUNT(actions) * 4 * REPLY_TEXTS; i++) {
		enum action action = actions[i % COUNT(actions)];
		size_t rest = i / COUNT(actions), index = rest / 8;
		struct reply_style style = { .action = action, .help_url = url,
			.texts = reply_texts_named(names[rest % 2]) };
		enum reason reason = (enum reason)(index < REASON_COUNT ? index : REASON_OVER);
		struct facts facts = full;
		const char *end = mem_printf(ctx, "%s%s",
		    rest % 2 == 0 ? "; see " : " ; voir ", url), *text;

		facts.smtputf8 = rest / 2 % 2 == 1;
		facts.client_addr = facts.login = facts.account = facts.sign.sdid = longest;
		facts.quota.account = facts.quota.limit = longest;
		facts.spf_mailfrom.explanation = facts.spf_helo.explanation = longest;
		facts.quota.subject = rest / 4 % 2 == 1 ? "pool secret" : NULL;
		facts.quota.used = facts.quota.max = UINT64_MAX;
		text = reply_text(ctx, reason, &facts, longest, longest, &style);
		if (strlen(text) > REPLY_TEXT_MAX || (!facts.smtputf8 && !is_safe(text)) ||
		    strcmp(text + strlen(text) - strlen(end), end) != 0 ||
		    strstr(text, "secret") != NULL || strstr(text, "%{") != NULL ||
		    strstr(text, "\\x{") != NULL)
			fail_msg("%s, %s: %s", names[rest % 2], reply_row(reason)->word, text);
		if (reason != REASON_NONE && reason != REASON_OVER &&
		    (strstr(text, rest % 2 == 0 ? "try again later" : "essayez plus tard") != NULL) !=
		    (action == ACTION_TEMPFAIL))
			fail_msg("%s: %s", reply_row(reason)->word, text);
		if (action != ACTION_TEMPFAIL && strstr(text, "try again") != NULL)
			fail_msg("%s: %s", reply_row(reason)->word, text);
	}
	talloc_free(ctx);
}

/* Sentences that were false, or told what is no affair of strangers. */
static void
test_what_is_said(void **state)
{
	static const struct {
		const char *label, *language;
		enum reason reason;
		enum action action;
		bool utf8;
		struct facts facts;
		const char *text;
	} rows[] = {
		{ "over", "en", REASON_OVER, ACTION_TEMPFAIL, false, { .account = "a@b.example",
		    .quota = { .limit = "100 recipients per hour", .used = 80, .max = 100,
			.retry_after = 3660 } },
		    "this message would exceed the sending limit of a@b.example (100 recipients per "
		    "hour, 80 used); try again in 61 minutes" },
		{ "rejected", "en", REASON_OVER, ACTION_REJECT, false, { .account = "a@b.example",
		    .quota = { .limit = "100 recipients per hour", .used = 80, .max = 100,
			.retry_after = 3660 } },
		    "this message would exceed the sending limit of a@b.example (100 recipients per "
		    "hour, 80 used)" },
		{ "in French", "fr", REASON_OVER, ACTION_TEMPFAIL, true, { .account = "a@b.example",
		    .quota = { .limit = "100 recipients per hour", .used = 80, .max = 100,
			.retry_after = 3660 } },
		    "ce message dépasserait la limite d'envoi de a@b.example (100 destinataires par "
		    "heure, déjà 80) ; réessayez dans 61 minutes" },
		{ "in French, ASCII", "fr", REASON_OVER, ACTION_TEMPFAIL, false,
		    { .account = "a@b.example", .quota = { .limit = "1 GB per day", .used = 8, .max = 9,
			.retry_after = 1 } },
		    "ce message depasserait la limite d'envoi de a@b.example (1 Go par jour, deja 8) ; "
		    "reessayez dans 1 seconde" },
		{ "a pool", "en", REASON_OVER, ACTION_TEMPFAIL, false, { .account = "a@b.example",
		    .quota = { .limit = "100 recipients per hour", .used = 80, .max = 100,
			.subject = "pool acme", .retry_after = 60 } },
		    "this message would exceed a sending limit of your organization; try again in 60 "
		    "seconds" },
		{ "a domain", "fr", REASON_OVER, ACTION_REJECT, false, { .account = "a@b.example",
		    .quota = { .limit = "9 messages per day", .subject = "domain b.example" } },
		    "ce message depasserait une limite d'envoi de votre domaine" },
		{ "a network", "fr", REASON_OVER, ACTION_REJECT, true, { .account = "a@b.example",
		    .quota = { .limit = "9 messages per day", .subject = "network n" } },
		    "ce message dépasserait une limite d'envoi de votre réseau" },
		{ "a level", "en", REASON_OVER, ACTION_TEMPFAIL, false, { .account = "a@b.example",
		    .quota = { .limit = "50 refused-recipients per hour", .used = 51, .max = 50,
			.level = true, .retry_after = 60 } },
		    "a limit of a@b.example is exceeded (50 refused-recipients per hour, 51 counted); "
		    "try again in 60 seconds" },
		{ "a level, held", "en", REASON_OVER, ACTION_QUARANTINE, false,
		    { .account = "a@b.example", .quota = { .limit = "2 failed-logins per day",
			.used = 3, .max = 2, .level = true, .retry_after = 60 } },
		    "a limit of a@b.example is exceeded (2 failed-logins per day, 3 counted)" },
		{ "a level in French", "fr", REASON_OVER, ACTION_TEMPFAIL, true,
		    { .account = "a@b.example", .quota = { .limit = "2 failed-logins per day",
			.used = 3, .max = 2, .level = true, .retry_after = 7200 } },
		    "une limite de a@b.example est dépassée (2 échecs de connexion par jour, compté : "
		    "3) ; réessayez dans 2 heures" },
		{ "a shared level", "fr", REASON_OVER, ACTION_REJECT, false,
		    { .account = "a@b.example", .quota = { .limit = "2 foreign-senders per day",
			.subject = "pool acme", .level = true } },
		    "une limite de votre organisation est depassee" },
		{ "a limit of 0", "en", REASON_NEVER_FITS, ACTION_REJECT, false,
		    { .account = "a@b.example", .quota = { .limit = "0" } },
		    "sending is not allowed for a@b.example (limit 0)" },
		{ "a block has no end", "en", REASON_BLOCKED, ACTION_REJECT, false,
		    { .account = "a@b.example", .quota = { .blocked = true, .retry_after = 999 } },
		    "sending is blocked for the account a@b.example" },
		{ "no macro", "en", REASON_BAD_LOGIN, ACTION_TEMPFAIL, false,
		    { .auth_without_login = true },
		    "the server could not identify your login; please try again later" },
		{ "an override", "en", REASON_DISGUISED_FROM, ACTION_REJECT, false,
		    { .header = { .override = true } },
		    "the display name in the From field contains a text-direction override character" },
		{ "a relay's client", "en", REASON_FOREIGN_FROM, ACTION_REJECT, false,
		    { .role = ROLE_RELAY, .account = "printer", .login = "x" },
		    "the From address <-> is not allowed for the account printer" },
		{ "a user", "fr", REASON_FOREIGN_FROM, ACTION_REJECT, false,
		    { .role = ROLE_SUBMISSION, .account = "a@b.example", .login = "j\xc3\xb6rg" },
		    "l'adresse From <-> n'est pas autorisee pour l'identifiant j\\x{F6}rg" },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct facts facts = rows[i].facts;
		const struct reply_style style = { .action = rows[i].action,
			.texts = reply_texts_named(rows[i].language) };
		const char *text;

		facts.smtputf8 = rows[i].utf8;
		text = reply_text(ctx, rows[i].reason, &facts, NULL, NULL, &style);
		if (strcmp(text, rows[i].text) != 0)
			fail_msg("%s: %s", rows[i].label, text);
	}
	talloc_free(ctx);
}

/* All texts that ship pass the check of a site's own; what could not be shown does not. */
static void
test_texts_check(void **state)
{
	static const struct { size_t index; const char *text, *error; } rows[] = {
		{ REASON_OVER, "", "is empty" },
		{ REASON_OVER, "go away, %{party}%{retry}", NULL },
		{ REASON_OVER, "limite dépassée", NULL },
		{ REASON_OVER, "two\nlines", "cannot show" },
		{ REASON_OVER, "\xff", "cannot show" },
		{ REASON_OVER, "\xe2\x80\xae", "cannot show" },
		{ REASON_OVER, "100% of %{limit}", NULL },
		{ REASON_OVER, "%{pool}", "unknown item %{pool}" },
		{ REASON_OVER, "%{limit", "unknown item" },
		{ REASON_OVER, "%{}", "unknown item" },
		{ REPLY_LATER, "%{limit}", "unknown item" },
		{ REPLY_MINUTES, "%{n} min", NULL },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;

	(void)state;
	for (size_t i = 0; i < REPLY_TEXTS; i++) {
		const char *french = reply_texts_get(reply_texts_named("fr"), i);

		if (!reply_texts_check(ctx, i, reply_texts_get(NULL, i), &error) ||
		    !reply_texts_check(ctx, i, french, &error))
			fail_msg("%s", error);
		if (i != REASON_NONE && i != REPLY_MINUTES && strcmp(french, reply_texts_get(NULL, i)) == 0)
			fail_msg("%s is not in French", reply_texts_option(ctx, i));
	}
	for (size_t i = 0; i < COUNT(rows); i++) {
		bool good = reply_texts_check(ctx, rows[i].index, rows[i].text, &error);

		if (good != (rows[i].error == NULL) ||
		    (!good && strstr(error, rows[i].error) == NULL))
			fail_msg("%s: %s", rows[i].text, error);
	}
	assert_false(reply_texts_check(ctx, REASON_OVER, lengthened(ctx, 201), &error));
	assert_false(reply_texts_check(ctx, REPLY_LATER, lengthened(ctx, 61), &error));
	assert_null(reply_texts_named("de"));
	talloc_free(ctx);
}

static void
test_value_words(void **state)
{
	(void)state;
	assert_string_equal(action_word(ACTION_ACCEPT), "accept");
	assert_string_equal(action_word(ACTION_WARN), "warn");
	assert_string_equal(action_word(ACTION_QUARANTINE), "quarantine");
	assert_string_equal(action_word(ACTION_TEMPFAIL), "tempfail");
	assert_string_equal(action_word(ACTION_REJECT), "reject");
	assert_string_equal(role_word(ROLE_AUTO), "auto");
	assert_string_equal(role_word(ROLE_SUBMISSION), "submission");
	assert_string_equal(role_word(ROLE_RELAY), "relay");
	assert_string_equal(role_word(ROLE_LOCAL), "local");
	assert_string_equal(role_word(ROLE_INBOUND), "inbound");
	assert_string_equal(mode_word(MODE_WATCH), "watch");
	assert_string_equal(mode_word(MODE_ENFORCE), "enforce");
	assert_string_equal(spf_result_word(SPF_NOT_CHECKED), "-");
	assert_string_equal(spf_result_word(SPF_IS_NONE), "none");
	assert_string_equal(spf_result_word(SPF_IS_NEUTRAL), "neutral");
	assert_string_equal(spf_result_word(SPF_IS_PASS), "pass");
	assert_string_equal(spf_result_word(SPF_IS_FAIL), "fail");
	assert_string_equal(spf_result_word(SPF_IS_SOFTFAIL), "softfail");
	assert_string_equal(spf_result_word(SPF_IS_TEMPERROR), "temperror");
	assert_string_equal(spf_result_word(SPF_IS_PERMERROR), "permerror");
	assert_string_equal(dkim_result_word(DKIM_IS_NONE), "none");
	assert_string_equal(dkim_result_word(DKIM_IS_PASS), "pass");
	assert_string_equal(dkim_result_word(DKIM_IS_FAIL), "fail");
	assert_string_equal(dkim_result_word(DKIM_IS_POLICY), "policy");
	assert_string_equal(dkim_result_word(DKIM_IS_NEUTRAL), "neutral");
	assert_string_equal(dkim_result_word(DKIM_IS_TEMPERROR), "temperror");
	assert_string_equal(dkim_result_word(DKIM_IS_PERMERROR), "permerror");
	assert_string_equal(outcome_word(OUTCOME_NONE), "-");
	assert_string_equal(outcome_word(OUTCOME_PASS), "pass");
	assert_string_equal(outcome_word(OUTCOME_FAIL), "fail");
	assert_string_equal(outcome_word(OUTCOME_TEMPERROR), "temperror");
	assert_string_equal(outcome_word(OUTCOME_PERMERROR), "permerror");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_promised_codes),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_row_out_of_range),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_heirs),
		cmocka_unit_test(test_local_is_not_deferred),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_nothing_known),
		cmocka_unit_test(test_fallbacks),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_help_url),
		cmocka_unit_test(test_hostile_octets),
		cmocka_unit_test(test_hostile_lengths),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_both_languages),
		cmocka_unit_test(test_what_is_said),
		cmocka_unit_test(test_texts_check),
		cmocka_unit_test(test_value_words),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_logline.c - the line of a message, whole, and with what strangers write into it
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/base/mem.h"
#include "policy/verdict/logline.h"

#define COUNT(rows)	(sizeof(rows) / sizeof((rows)[0]))

static const char *const keys[] = {
	"listener",
	"role",
	"mode",
	"account",
	"client",
	"helo",
	"tls",
	"from",
	"header_from",
	"recipients",
	"size",
	"sender",
	"spf",
	"dkim",
	"quota",
	"limit",
	"limit_of",
	"store",
	"sign",
	"action",
	"would",
	"reason",
	"address",
	"why",
};

/* line_of - facts and verdict straight to the line */
static char *
line_of(TALLOC_CTX *ctx, const struct facts *facts, enum mode mode, const struct verdict *verdict)
{
	struct logline *made = logline_make(ctx, facts, mode, verdict);
	char *line = logline_text(ctx, made);

	talloc_free(made);
	return line;
}

static void
test_accepted(void **state)
{
	struct claim claims[] = {
		{ CLAIM_ENVELOPE, "alice@example.org", "example.org", OWNED_YES, NULL, NULL },
		{ CLAIM_FROM, "alice@example.org", "example.org", OWNED_YES, NULL, NULL },
	};
	const struct facts facts = {
		.listener = "users",
		.role = ROLE_SUBMISSION,
		.client_addr = "192.0.2.7",
		.client_name = "host.example.net",
		.helo = "[192.0.2.7]",
		.tls = true,
		.login = "alice",
		.account = "alice@example.org",
		.queue_id = "4TxYz1",
		.sender = "alice@example.org",
		.recipients = 3,
		.size = 18234,
		.header = { .from_fields = 1 },
		.claims = claims,
		.n_claims = 2,
		.sign = { .outcome = OUTCOME_PASS, .sdid = "example.org", .selector = "s2024" },
		.quota = { .outcome = OUTCOME_PASS,
		    .charged = true,
		    .limit = "200 recipients per hour",
		    .used = 187,
		    .max = 200,
		    .store = "redis" },
	};
	const struct verdict verdict = { .action = ACTION_ACCEPT };
	char *line = line_of(NULL, &facts, MODE_ENFORCE, &verdict);

	(void)state;
	assert_string_equal(line,
	    "4TxYz1: listener=users role=submission mode=enforce account=alice@example.org "
	    "client=host.example.net[192.0.2.7] helo=[192.0.2.7] tls=yes from=<alice@example.org> "
	    "header_from=alice@example.org recipients=3 size=18234 sender=owned spf=- dkim=- "
	    "quota=187/200(93%) limit=\"200 recipients per hour\" limit_of=- store=redis sign=example.org/s2024 "
	    "action=accept would=accept reason=- address=- why=-");
	talloc_free(line);
}

static void
test_refused(void **state)
{
	struct claim claims[] = {
		{ CLAIM_ENVELOPE, "alice@example.org", "example.org", OWNED_YES, NULL, NULL },
		{ CLAIM_FROM, "ceo@example.com", "example.com", OWNED_NO, NULL, NULL },
	};
	const struct facts facts = {
		.listener = "users", .role = ROLE_SUBMISSION, .client_addr = "2001:db8::7",
		.helo = "laptop", .login = "alice", .account = "alice@example.org",
		.sender = "alice@example.org", .recipients = 1,
		.header = { .from_fields = 1 }, .claims = claims, .n_claims = 2,
	};
	const struct verdict verdict = {
		.action = ACTION_WARN, .would = ACTION_REJECT, .reason = REASON_FOREIGN_FROM,
		.address = "ceo@example.com", .problem = "From",
	};
	char *line = line_of(NULL, &facts, MODE_WATCH, &verdict);

	(void)state;
	assert_string_equal(line,
	    "NOQUEUE: listener=users role=submission mode=watch account=alice@example.org "
	    "client=unknown[2001:db8::7] helo=laptop tls=no from=<alice@example.org> "
	    "header_from=ceo@example.com recipients=1 size=0 sender=foreign spf=- dkim=- quota=- "
	    "limit=- limit_of=- store=- sign=- action=warn would=reject reason=foreign-from "
	    "address=ceo@example.com why=From");
	talloc_free(line);
}

static void
test_inbound(void **state)
{
	struct dkim_fact dkim[] = {
		{ .result = DKIM_IS_PASS, .sdid = "example.com" },
		{ .result = DKIM_IS_FAIL, .sdid = "list.example" },
		{ .result = DKIM_IS_NEUTRAL },
	};
	struct claim claims[] = {
		{ CLAIM_FROM, "x@example.com", "example.com", OWNED_NOT_ASKED, NULL, NULL },
	};
	const struct facts facts = {
		.listener = "mx", .role = ROLE_INBOUND, .client_addr = "203.0.113.9",
		.client_name = "mail.example.com", .helo = "mail.example.com", .queue_id = "ABC",
		.sender = "", .recipients = 2, .size = 5, .claims = claims, .n_claims = 1,
		.spf_helo = { .result = SPF_IS_PASS, .mechanism = "a", .stale = true },
		.spf_mailfrom = { .result = SPF_IS_FAIL, .mechanism = "-all" },
		.dkim = dkim, .n_dkim = 3, .dkim_checked = true,
	};
	const struct verdict verdict = {
		.action = ACTION_WARN, .would = ACTION_WARN, .reason = REASON_SPF_FAIL,
		.address = "postmaster@mail.example.com",
	};
	char *line = line_of(NULL, &facts, MODE_ENFORCE, &verdict);

	(void)state;
	assert_string_equal(line,
	    "ABC: listener=mx role=inbound mode=enforce account=- "
	    "client=mail.example.com[203.0.113.9] helo=mail.example.com tls=no from=<> "
	    "header_from=x@example.com recipients=2 size=5 sender=- spf=fail/pass "
	    "dkim=pass:example.com,fail:list.example,neutral:? quota=- limit=- limit_of=- store=- sign=- "
	    "action=warn would=warn reason=spf-fail address=postmaster@mail.example.com why=- "
	    "mechanism=-all stale=helo");
	talloc_free(line);
}

/* What a verdict says of a header field, with its text. */
static void
test_field(void **state)
{
	static const struct facts facts;
	struct verdict verdict = {
		.problem = "a display name has an unquoted at sign",
		.field = "From",
		.text = " ceo @ victim\n\t<a@x.example>\xff ",
	};
	char *line = line_of(NULL, &facts, MODE_WATCH, &verdict);

	(void)state;
	assert_non_null(strstr(line, " why=\"a display name has an unquoted at sign; "
	    "From: ceo @ victim\\x0a\\x09<a@x.example>\\xff\""));
	talloc_free(line);
	verdict.problem = NULL;
	verdict.text = " a@x.example | b@x.example";
	line = line_of(NULL, &facts, MODE_WATCH, &verdict);
	assert_non_null(strstr(line, " why=\"From: a@x.example | b@x.example\""));
	talloc_free(line);
}

/* Of nothing known, too, every key is told. */
static void
test_nothing_known(void **state)
{
	static const struct facts facts;
	static const struct verdict verdict;
	char *line = line_of(NULL, &facts, MODE_WATCH, &verdict);

	(void)state;
	assert_string_equal(line,
	    "NOQUEUE: listener=- role=auto mode=watch account=- client=- helo=- tls=no from=- "
	    "header_from=- recipients=0 size=0 sender=- spf=- dkim=- quota=- limit=- limit_of=- store=- sign=- "
	    "action=accept would=accept reason=- address=- why=-");
	talloc_free(line);
}

/* read_value - the raw value of the next key in a line, past it; NULL: another key, or badly
 * quoted */
static char *
read_value(TALLOC_CTX *ctx, const char **line, const char *key)
{
	const char *p = *line;
	size_t len = strlen(key);
	const char *begin;

	if (*p++ != ' ' || strncmp(p, key, len) != 0 || p[len] != '=')
		return NULL;
	begin = p += len + 1;
	if (*p == '"') {
		p += 1 + strcspn(p + 1, "\"");
		if (*p++ != '"')
			return NULL;
	} else {
		p += strcspn(p, " ");
	}
	*line = p;
	return p == begin ? NULL : mem_strndup(ctx, begin, (size_t)(p - begin));
}

/* check_line - every key once, in the fixed order; printable ASCII only */
static void
check_line(TALLOC_CTX *ctx, const char *label, const char *line)
{
	const char *p = strstr(line, ": listener=");

	if (p == NULL)
		fail_msg("%s: %s", label, line);
	for (size_t i = 0; line[i] != '\0'; i++)
		if (line[i] < 0x20 || line[i] > 0x7e)
			fail_msg("%s: octet %zu of %s", label, i, line);
	p++;
	for (size_t i = 0; i < COUNT(keys); i++)
		if (read_value(ctx, &p, keys[i]) == NULL)
			fail_msg("%s: %s at %s", label, keys[i], p);
	assert_string_equal(p, "");
}

/* What a stranger's HELO becomes; the line around it stays whole. */
static void
test_escaping(void **state)
{
	static const struct { const char *helo, *shown; } rows[] = {
		{ "plain.example", " helo=plain.example tls=" },
		{ "", " helo=- tls=" },
		{ "two words", " helo=\"two words\" tls=" },
		{ "a\" action=accept x=\"", " helo=\"a\\x22 action=accept x=\\x22\" tls=" },
		{ "a\nOct 1 host postfix: fake", " helo=\"a\\x0aOct 1 host postfix: fake\" tls=" },
		{ "cr\r", " helo=\"cr\\x0d\" tls=" },
		{ "back\\slash", " helo=\"back\\x5cslash\" tls=" },
		{ "tab\t", " helo=\"tab\\x09\" tls=" },
		{ "esc\x1b[2J", " helo=\"esc\\x1b[2J\" tls=" },
		{ "del\x7f", " helo=\"del\\x7f\" tls=" },
		{ "m\xc3\xbcller", " helo=\"m\\xc3\\xbcller\" tls=" },
		{ "\xff\x01", " helo=\"\\xff\\x01\" tls=" },
		{ "%s%n", " helo=%s%n tls=" },
		{ "x=y", " helo=x=y tls=" },
		{ " ", " helo=\" \" tls=" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const struct facts facts = { .helo = rows[i].helo };
		const struct verdict verdict = { .action = ACTION_ACCEPT };
		char *line = line_of(ctx, &facts, MODE_WATCH, &verdict);

		check_line(ctx, rows[i].shown, line);
		if (strstr(line, rows[i].shown) == NULL)
			fail_msg("%s: %s", rows[i].shown, line);
		talloc_free(ctx);
	}
}

/* All strings at once: 10 000 octets of every value, in every place that holds a string. */
static void
test_hostile_everywhere(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	char *huge = mem_array(ctx, char, 10001);
	struct claim claims[200];
	struct dkim_fact dkim[200];
	struct facts facts = {
		.claims = claims, .n_claims = COUNT(claims), .dkim = dkim, .n_dkim = COUNT(dkim),
		.dkim_checked = true, .size = UINT64_MAX, .recipients = SIZE_MAX,
		.quota = { .outcome = OUTCOME_FAIL, .used = UINT64_MAX, .max = 1 },
		.sign = { .outcome = OUTCOME_PASS },
	};
	struct verdict verdict = { .action = ACTION_REJECT, .would = ACTION_REJECT };
	char *line;

	(void)state;
	for (size_t i = 0; i < 10000; i++)
		huge[i] = (char)(i % 255 + 1);
	for (size_t i = 0; i < COUNT(claims); i++)
		claims[i] = (struct claim){ CLAIM_FROM, huge, huge, OWNED_NO, NULL, NULL };
	for (size_t i = 0; i < COUNT(dkim); i++)
		dkim[i] = (struct dkim_fact){ .result = DKIM_IS_FAIL, .sdid = huge };
	facts.listener = facts.daemon_name = facts.client_addr = facts.client_name = facts.helo =
	    huge;
	facts.login = facts.account = facts.queue_id = facts.sender = huge;
	facts.sign.sdid = facts.sign.selector = facts.quota.limit = facts.quota.store = huge;
	verdict.address = verdict.problem = huge;
	line = line_of(ctx, &facts, MODE_ENFORCE, &verdict);
	check_line(ctx, "hostile", line);
	/* each value is cut, and escaping makes an octet four at most */
	assert_true(strlen(line) < (COUNT(keys) + 1) * (4 * LOGLINE_VALUE_MAX + 32));
	talloc_free(ctx);
}

static void
test_length(void **state)
{
	static const struct { size_t len; bool cut; } rows[] = {
		{ LOGLINE_VALUE_MAX - 1, false }, { LOGLINE_VALUE_MAX, false },
		{ LOGLINE_VALUE_MAX + 1, true }, { 10000, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		char *helo = mem_array(ctx, char, rows[i].len + 1);
		const struct facts facts = { .helo = helo };
		const struct verdict verdict = { .action = ACTION_ACCEPT };
		const char *p;
		char *line, *value;

		memset(helo, 'h', rows[i].len);
		line = line_of(ctx, &facts, MODE_WATCH, &verdict);
		check_line(ctx, "length", line);
		p = strstr(line, " helo=");
		value = read_value(ctx, &p, "helo");
		if (rows[i].cut) {
			assert_int_equal(strlen(value), LOGLINE_VALUE_MAX + strlen("\"...\""));
			assert_string_equal(value + strlen(value) - 4, "...\"");
		} else {
			assert_string_equal(value, helo);
		}
		talloc_free(ctx);
	}
}

/* A queue id is the MTA's, and yet no end of a line comes out of it. */
static void
test_queue_id(void **state)
{
	const struct facts facts = { .queue_id = "A B\n" };
	const struct verdict verdict = { .action = ACTION_ACCEPT };
	char *line = line_of(NULL, &facts, MODE_WATCH, &verdict);

	(void)state;
	assert_int_equal(strncmp(line, "\"A B\\x0a\": listener=-", 20), 0);
	talloc_free(line);
}

static void
test_sender_word(void **state)
{
	static const struct {
		const char *label;
		enum ownership first, second;
		const char *malformed;
		const char *word;
	} rows[] = {
		{ "none asked", OWNED_NOT_ASKED, OWNED_NOT_ASKED, NULL, " sender=- " },
		{ "all owned", OWNED_YES, OWNED_YES, NULL, " sender=owned " },
		{ "foreign last", OWNED_YES, OWNED_NO, NULL, " sender=foreign " },
		{ "foreign beats temperror", OWNED_TEMPERROR, OWNED_NO, NULL, " sender=foreign " },
		{ "temperror", OWNED_YES, OWNED_TEMPERROR, NULL, " sender=temperror " },
		{ "temperror beats malformed", OWNED_TEMPERROR, OWNED_YES, "bad", " sender=temperror " },
		{ "malformed", OWNED_YES, OWNED_YES, "bad", " sender=malformed " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct claim claims[] = {
			{ CLAIM_ENVELOPE, "a@example.org", "example.org", rows[i].first, NULL, NULL },
			{ CLAIM_FROM, "b@example.org", "example.org", rows[i].second, NULL, NULL },
		};
		const struct facts facts = { .claims = claims, .n_claims = 2,
		    .header = { .malformed = rows[i].malformed } };
		const struct verdict verdict = { .action = ACTION_ACCEPT };
		char *line = line_of(NULL, &facts, MODE_WATCH, &verdict);

		if (strstr(line, rows[i].word) == NULL)
			fail_msg("%s: %s", rows[i].label, line);
		talloc_free(line);
	}
}

static void
test_quota_and_sign(void **state)
{
	static const struct {
		const char *label;
		struct quota_fact quota;
		struct sign_fact sign;
		const char *part, *part2;
	} rows[] = {
		{ "within", { .outcome = OUTCOME_PASS, .used = 1, .max = 3 }, { 0 }, " quota=1/3(33%) ", " sign=- " },
		{ "over", { .outcome = OUTCOME_FAIL, .used = 300, .max = 200 }, { 0 }, " quota=300/200(150%) ", " why=-" },
		{ "a limit of nothing", { .outcome = OUTCOME_FAIL, .used = 0, .max = 0 }, { 0 }, " quota=0/0(100%) ", "" },
		{ "store away", { .outcome = OUTCOME_TEMPERROR, .problem = "timeout" }, { 0 }, " quota=temperror ", " why=timeout" },
		{ "no limits", { .outcome = OUTCOME_NONE }, { 0 }, " quota=- ", " limit=- " },
		{ "signed", { 0 }, { .outcome = OUTCOME_PASS, .sdid = "d.example", .selector = "s" }, " sign=d.example/s ", "" },
		{ "no key", { 0 }, { .outcome = OUTCOME_FAIL, .problem = "no file" }, " sign=no-key ", " why=\"no file\"" },
		{ "bad key", { 0 }, { .outcome = OUTCOME_PERMERROR, .problem = "short" }, " sign=no-key ", " why=short" },
		{ "not computed", { 0 }, { .outcome = OUTCOME_TEMPERROR, .problem = "oom" }, " sign=temperror ", " why=oom" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct facts facts = { .quota = rows[i].quota, .sign = rows[i].sign };
		const struct verdict verdict = { .action = ACTION_ACCEPT };
		char *line = line_of(NULL, &facts, MODE_WATCH, &verdict);

		if (strstr(line, rows[i].part) == NULL || strstr(line, rows[i].part2) == NULL)
			fail_msg("%s: %s", rows[i].label, line);
		talloc_free(line);
	}
}

/* Results of checks that ran and found nothing differ from checks that did not run. */
static void
test_spf_and_dkim(void **state)
{
	static const struct {
		const char *label;
		enum spf_result mailfrom, helo;
		bool dkim_checked;
		const char *part;
	} rows[] = {
		{ "not checked", SPF_NOT_CHECKED, SPF_NOT_CHECKED, false, " spf=- dkim=- " },
		{ "checked, nothing there", SPF_IS_NONE, SPF_IS_NONE, true, " spf=none/none dkim=none " },
		{ "HELO only", SPF_NOT_CHECKED, SPF_IS_SOFTFAIL, false, " spf=-/softfail dkim=- " },
		{ "MAIL FROM only", SPF_IS_PERMERROR, SPF_NOT_CHECKED, false, " spf=permerror/- dkim=- " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct facts facts = { .spf_mailfrom = { .result = rows[i].mailfrom },
		    .spf_helo = { .result = rows[i].helo }, .dkim_checked = rows[i].dkim_checked };
		const struct verdict verdict = { .action = ACTION_ACCEPT };
		char *line = line_of(NULL, &facts, MODE_WATCH, &verdict);

		if (strstr(line, rows[i].part) == NULL)
			fail_msg("%s: %s", rows[i].label, line);
		talloc_free(line);
	}
}

/* Ten mailboxes and ten signatures are named, not more; a login without account is shown as
 * sent. */
static void
test_lists(void **state)
{
	struct claim claims[12];
	struct dkim_fact dkim[12];
	const struct facts facts = { .login = "alice", .claims = claims, .n_claims = COUNT(claims),
	    .dkim = dkim, .n_dkim = COUNT(dkim), .dkim_checked = true };
	const struct verdict verdict = { .action = ACTION_ACCEPT };
	char *line;

	(void)state;
	claims[0] = (struct claim){ CLAIM_ENVELOPE, "e@e.example", "e.example", OWNED_YES, NULL, NULL };
	for (size_t i = 1; i < COUNT(claims); i++)
		claims[i] = (struct claim){ CLAIM_FROM, "f@f.example", "f.example", OWNED_YES, NULL, NULL };
	for (size_t i = 0; i < COUNT(dkim); i++)
		dkim[i] = (struct dkim_fact){ .result = DKIM_IS_PASS, .sdid = "d" };
	line = line_of(NULL, &facts, MODE_WATCH, &verdict);
	assert_non_null(strstr(line, " header_from=f@f.example,f@f.example,f@f.example,f@f.example,"
	    "f@f.example,f@f.example,f@f.example,f@f.example,f@f.example,f@f.example recipients="));
	assert_non_null(strstr(line,
	    " dkim=pass:d,pass:d,pass:d,pass:d,pass:d,pass:d,pass:d,pass:d,"
	    "pass:d,pass:d quota="));
	assert_non_null(strstr(line, " account=alice "));
	talloc_free(line);
}

/* The same in JSON: what is not known is left out, numbers are numbers, octets stay inside
 * strings. */
static void
test_json(void **state)
{
	static const struct { const char *helo, *shown; } rows[] = {
		{ "plain.example", ",\"helo\":\"plain.example\",\"tls\"" },
		{ "a\",\"action\":\"x", ",\"helo\":\"a\\u0022,\\u0022action\\u0022:\\u0022x\",\"tls\"" },
		{ "back\\slash\n", ",\"helo\":\"back\\u005cslash\\u000a\",\"tls\"" },
		{ "m\xc3\xbcller", ",\"helo\":\"m\\u00fcller\",\"tls\"" },
		{ "\xf0\x9f\x93\xa7", ",\"helo\":\"\\ud83d\\udce7\",\"tls\"" },
		{ "\xff" "a\xc3", ",\"helo\":\"\\ufffda\\ufffd\",\"tls\"" },
		{ "\xed\xa0\x80", ",\"helo\":\"\\ufffd" },
		{ "\x7f", ",\"helo\":\"\\u007f\",\"tls\"" },
		{ "", "\"mode\":\"watch\",\"tls\":\"no\",\"recipients\":3,\"size\":12," },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct facts facts = { .helo = rows[i].helo, .recipients = 3, .size = 12 };
		const struct verdict verdict = { .action = ACTION_ACCEPT };
		struct logline *made = logline_make(NULL, &facts, MODE_WATCH, &verdict);
		char *line = logline_json(made, made);

		if (strstr(line, rows[i].shown) == NULL)
			fail_msg("%s: %s", rows[i].shown, line);
		assert_int_equal(strncmp(line, "{\"queue_id\":\"NOQUEUE\",", 22), 0);
		assert_string_equal(line + strlen(line) - 17, "\"would\":\"accept\"}");
		talloc_free(made);
	}
}

/* Of a value longer than the bound the beginning is told, in JSON as well. */
static void
test_json_length(void **state)
{
	char helo[LOGLINE_VALUE_MAX + 2];
	const struct facts facts = { .helo = helo };
	const struct verdict verdict = { .action = ACTION_ACCEPT };
	struct logline *made;

	(void)state;
	memset(helo, 'h', sizeof(helo) - 1);
	helo[sizeof(helo) - 1] = '\0';
	made = logline_make(NULL, &facts, MODE_WATCH, &verdict);
	assert_non_null(strstr(logline_json(made, made), "hhh...\",\"tls\""));
	assert_string_equal(logline_value(made, "helo"), helo);
	assert_null(logline_value(made, "spf"));
	assert_null(logline_value(made, "no such key"));
	talloc_free(made);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_inbound),
		cmocka_unit_test(test_field),
		cmocka_unit_test(test_nothing_known),
		cmocka_unit_test(test_escaping),
		cmocka_unit_test(test_hostile_everywhere),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_queue_id),
		cmocka_unit_test(test_sender_word),
		cmocka_unit_test(test_quota_and_sign),
		cmocka_unit_test(test_spf_and_dkim),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_length),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

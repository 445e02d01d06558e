/*
 * test_configuration.c - what a configuration means, and what is said of each mistake
 *
 * Every mistake must name file and line, and how to mend it. Texts are put behind one
 * line with what each file must have, so the first line of a row is line 2 of the file.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/config/effect.h"
#include "filter/config/load.h"
#include "policy/base/mem.h"

#define COUNT(rows)	(sizeof(rows) / sizeof((rows)[0]))
#define HEAD		"listen = \"inet:127.0.0.1:8891\" authserv_id = \"mx.example.org\"\n"

/*
 * libconfig 1.5 loses 64 octets if a text has no closing quotation mark; that is not ours
 * to mend. LeakSanitizer asks this function; all else that leaks is still told.
 */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\n";
}

/* Where the files are; removed after each test. */
struct place {
	char dir[64];
	char conf[80];		/* the configuration file */
	char other[80];		/* plans file, or included file */
};

static int
setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	if (place == NULL)
		return -1;
	(void)snprintf(place->dir, sizeof(place->dir), "/tmp/test_configuration.XXXXXX");
	if (mkdtemp(place->dir) == NULL)
		return -1;
	(void)snprintf(place->conf, sizeof(place->conf), "%s/conf", place->dir);
	(void)snprintf(place->other, sizeof(place->other), "%s/other", place->dir);
	*state = place;
	return 0;
}

static int
teardown(void **state)
{
	struct place *place = *state;

	(void)unlink(place->conf);
	(void)unlink(place->other);
	(void)rmdir(place->dir);
	free(place);
	return 0;
}

static void
write_octets(const char *path, const char *text, size_t len)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void
write_text(const char *path, const char *text)
{
	write_octets(path, text, strlen(text));
}

/* load_raw - the configuration that a text is; NULL with *error_r */
static struct config *
load_raw(TALLOC_CTX *ctx, const struct place *place, const char *text, const char **error_r)
{
	*error_r = NULL;
	write_text(place->conf, text);
	return config_load(ctx, place->conf, error_r);
}

/* load_text - the same, behind the line that each file must have */
static struct config *
load_text(TALLOC_CTX *ctx, const struct place *place, const char *text, const char **error_r)
{
	return load_raw(ctx, place, mem_printf(ctx, "%s%s", HEAD, text), error_r);
}

/* load_good - a text that must be taken */
static struct config *
load_good(TALLOC_CTX *ctx, const struct place *place, const char *label, const char *text)
{
	const char *error;
	struct config *config = load_text(ctx, place, text, &error);

	if (config == NULL)
		fail_msg("%s: %s", label, error);
	assert_null(error);
	return config;
}

/* says - is there a line "file:line: ... part" among the mistakes? Line 0: "file: ... part" */
static bool
says(TALLOC_CTX *ctx, const char *error, const char *file, unsigned int line, const char *part)
{
	const char *where =
	    line == 0 ? mem_printf(ctx, "%s: ", file) : mem_printf(ctx, "%s:%u: ", file, line);

	for (const char *p = error; p != NULL && *p != '\0'; p += *p == '\n') {
		size_t len = strcspn(p, "\n");

		if (strncmp(p, where, strlen(where)) == 0 &&
		    strstr(mem_strndup(ctx, p, len), part) != NULL)
			return true;
		p += len;
	}
	return false;
}

struct mistake {
	const char *text;
	unsigned int line;
	const char *part;
};

/* check_mistakes - each is refused, at its line, with its cure */
static void
check_mistakes(const struct place *place, const struct mistake *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error;

		if (load_text(ctx, place, rows[i].text, &error) != NULL)
			fail_msg("%s: taken", rows[i].text);
		if (error == NULL || !says(ctx, error, place->conf, rows[i].line, rows[i].part))
			fail_msg("%s: not at line %u: %s", rows[i].text, rows[i].line, error);
		assert_true(error[strlen(error) - 1] != '\n');
		assert_ptr_equal(talloc_parent(error), ctx);
		talloc_free(ctx);
	}
}

static void
test_unknown_options(void **state)
{
	static const struct mistake rows[] = {
		{ "mdoe = \"watch\"", 2, "unknown option \"mdoe\" in the configuration file; did you mean \"mode\"?" },
		{ "Mode = \"watch\"", 2, "did you mean \"mode\"?" },
		{ "listner = { }", 2, "did you mean \"listen\"?" },
		{ "\nlisteners_ = { }", 3, "did you mean \"listeners\"?" },
		{ "on_foreign_form = \"reject\"", 2, "did you mean \"on_foreign_from\"?" },
		{ "on_shutting_down = \"reject\"", 2, "unknown option \"on_shutting_down\" in the configuration file" },
		{ "entirely_something_else = 1", 2, "unknown option \"entirely_something_else\" in the configuration file" },
		{ "listeners = { a = { role = \"inbound\"\n rol = \"inbound\" } }", 3,
		    "unknown option \"rol\" in a listener; did you mean \"role\"?" },
		{ "listeners = { a = { role = \"inbound\"\n on_ovre = \"reject\" } }", 3, "did you mean \"on_over\"?" },
		{ "listeners = { a = { role = \"inbound\"\n listen = \"x\" } }", 3, "unknown option \"listen\" in a listener" },
		{ "accounts = ( { login = \"a@example.org\"\n\n own = \"b@example.org\" } )", 4,
		    "unknown option \"own\" in an account; did you mean \"owns\"?" },
		{ "accounts = ( { login = \"a@example.org\" on_over = \"reject\" } )", 2, "in an account" },
		{ "plans = { a = { limit = [] } }", 2, "unknown option \"limit\" in a plan; did you mean \"limits\"?" },
		{ "redis = { a = { server = \"unix:/x\" sever = \"y\" } }", 2,
		    "unknown option \"sever\" in a redis server; did you mean \"server\"?" },
		{ "dns = { server = \"127.0.0.1\" }", 2, "unknown option \"server\" in dns; did you mean \"servers\"?" },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error;

	check_mistakes(*state, rows, COUNT(rows));
	/* nothing is suggested that is not alike; nor in a group without actions an action */
	assert_null(load_text(ctx, *state, "entirely_something_else = 1", &error));
	assert_null(strstr(error, "did you mean"));
	assert_null(load_text(ctx, *state,
	    "accounts = ( { login = \"a@example.org\" on_over = \"reject\" } )", &error));
	assert_null(strstr(error, "did you mean"));
	talloc_free(ctx);
}

static void
test_wrong_types(void **state)
{
	static const struct mistake rows[] = {
		{ "mode = 1", 2, "mode must be a text in quotation marks" },
		{ "realm = true", 2, "realm must be a text in quotation marks" },
		{ "control = { }", 2, "control must be a text in quotation marks" },
		{ "keys = [\"a\"]", 2, "keys must be a text in quotation marks" },
		{ "on_over = 5", 2, "on_over must be a text in quotation marks" },
		{ "store = 6379", 2, "store must be a text in quotation marks" },
		{ "require_tls = \"yes\"", 2, "require_tls must be true or false, without quotation marks" },
		{ "require_tls = 1", 2, "require_tls must be true or false, without quotation marks" },
		{ "owners = 5", 2, "owners must be a text or a list of texts: [\"one\", \"two\"]" },
		{ "owners = [1, 2]", 2, "must be a text in quotation marks" },
		{ "owners = { a = \"b\" }", 2, "owners must be a text or a list of texts" },
		{ "listen_mode = 660", 2, "listen_mode must be a text in quotation marks" },
		{ "listen_mode = \"0999\"", 2, "must be permissions in octal, for example \"0660\"" },
		{ "listen_mode = \"rw-rw----\"", 2, "must be permissions in octal, for example \"0660\"" },
		{ "listen_mode = \"01777\"", 2, "must be permissions in octal, for example \"0660\"" },
		{ "listen_mode = \"\"", 2, "must be permissions in octal" },
		{ "listen_mode = \"-1\"", 2, "must be permissions in octal" },
		{ "accounts = { alice = { } }", 2, "accounts must be a list in parentheses: ( { login = \"alice\" }, ... )" },
		{ "accounts = [\"alice\"]", 2, "accounts must be a list in parentheses" },
		{ "accounts = ( \"alice\" )", 2, "an account must be a group in braces: { option = value }" },
		{ "listeners = ( { role = \"inbound\" } )", 2, "listeners must be a group in braces: { users = { role = \"submission\" } }" },
		{ "listeners = { a = \"inbound\" }", 2, "a listener must be a group in braces" },
		{ "listeners = { a = { role = \"inbound\" pickup = \"no\" } }", 2, "pickup must be true or false" },
		{ "listeners = { a = { role = \"inbound\" daemon = 5 } }", 2, "daemon must be a text or a list of texts" },
		{ "plans = ( )", 2, "plans must be a group in braces: { name = { limits = [...] } }" },
		{ "plans = { a = [\"100 messages per day\"] }", 2, "a plan must be a group in braces" },
		{ "redis = \"unix:/x\"", 2, "redis must be a group in braces" },
		{ "dns = \"127.0.0.1\"", 2, "dns must be a group in braces" },
		{ "dns = { cache = \"100\" }", 2, "cache must be a whole number, without quotation marks" },
		{ "dns = { cache = 1.5 }", 2, "cache must be a whole number" },
		{ "dns = { timeout = 5 }", 2, "timeout must be a text in quotation marks" },
		{ "accounts = ( { login = 5 } )", 2, "login must be a text in quotation marks" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

static void
test_bounds(void **state)
{
	static const struct mistake rows[] = {
		{ "dns = { cache = -1 }", 2, "cache = -1 must be from 0 to 10000000" },
		{ "dns = { cache = 10000001 }", 2, "must be from 0 to 10000000" },
		{ "dns = { cache = 99999999999999 }", 2, "must be from 0 to 10000000" },
		{ "redis = { a = { server = \"unix:/x\"\n database = 65536 } }", 3, "database = 65536 must be from 0 to 65535" },
		{ "drain_timeout = \"soon\"", 2, "is not a duration; write a number with its unit, "
		    "ms, s" },
		{ "drain_timeout = \"\"", 2, "is not a duration" },
		{ "drain_timeout = \"-1 s\"", 2, "is not a duration" },
		{ "drain_timeout = \"5\"", 2, "\"5\" is not a duration; write a number with its "
		    "unit" },
		{ "drain_timeout = \"5 parsecs\"", 2, "\"2h\" or \"4 hours\"" },
		{ "drain_timeout = \"2 hrs\"", 2, "for example \"200 ms\", \"5 s\", \"2h\"" },
		{ "drain_timeout = \"5 s 3\"", 2, "is not a duration" },
		{ "drain_timeout = \"11 minutes\"", 2, "must be a duration from 0 ms to 600 s" },
		{ "drain_timeout = \"2 weeks\"", 2, "with its unit: ms, s, minutes, hours, days or weeks" },
		{ "redis = { a = { server = \"unix:/x\"\n password = \"secret\" } }", 3, "password_file = \"/etc" },
		{ "redis = { a = { server = \"unix:/x\"\n requirepass = \"secret\" } }", 3, "of mode 600 and name that: password_file" },
		{ "redis = { a = { server = \"unix:/x\"\n sentinel_password = \"secret\" } }", 3, "name that: sentinel_password_file" },
		{ "drain_timeout = \"1e999 s\"", 2, "drain_timeout" },
		{ "dns = { timeout = \"99 ms\" }", 2, "must be a duration from 100 ms to 20 s" },
		{ "dns = { timeout = \"21 s\" }", 2, "must be a duration from 100 ms to 20 s" },
		{ "redis = { a = { server = \"unix:/x\"\n deadline = \"4 ms\" } }", 3, "must be a duration from 5 ms to 10 s" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

/* What strtod() takes for a number, and no administrator means. */
static void
test_duration_is_a_number(void **state)
{
	static const struct mistake rows[] = {
		{ "dns = { timeout = \"nan s\" }", 2, "is not a duration" },
		{ "drain_timeout = \"-nan s\"", 2, "is not a duration" },
		{ "drain_timeout = \"inf s\"", 2, "is not a duration" },
		{ "drain_timeout = \"0x10 s\"", 2, "is not a duration" },
		{ "drain_timeout = \"1e2 s\"", 2, "is not a duration" },
		{ "drain_timeout = \" 5 s\"", 2, "is not a duration" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

static void
test_unknown_words(void **state)
{
	static const struct mistake rows[] = {
		{ "mode = \"observe\"", 2, "mode = \"observe\" is unknown; known are: watch, enforce" },
		{ "mode = \"Watch\"", 2, "known are: watch, enforce" },
		{ "on_over = \"drop\"", 2, "on_over = \"drop\" is unknown; known are: accept, warn, quarantine, tempfail, reject" },
		{ "on_over = \"\"", 2, "known are: accept" },
		{ "on_over = \"unsigned\"", 2, "known are: accept" },
		{ "listeners = { a = { role = \"submit\" } }", 2, "known are: submission, relay, local, inbound" },
		{ "listeners = { a = { role = \"auto\" } }", 2, "known are: submission, relay, local, inbound" },
		{ "listeners = { a = { role = \"inbound\"\n mode = \"off\" } }", 3, "known are: watch, enforce" },
		{ "listeners = { a = { role = \"inbound\"\n on_spf_fail = \"discard\" } }", 3, "known are: accept, warn" },
		{ "accounts = ( { login = \"a@example.org\"\n mode = \"on\" } )", 3, "known are: watch, enforce" },
		{ "default_plan = \"a\" plans = { a = {\n not_counted_in = [\"pool\", \"vip\"] } }", 3, "not_counted_in = \"vip\" is unknown; known are: domain, pool, network" },
		{ "plans = { a = {\n on_over = \"defer\" } }", 3, "on_over = \"defer\" is unknown; known are: accept" },
		{ "redis = { main = { server = \"unix:/x\" on_away = \"open\" } }", 2,
		    "on_away of redis main must be one of: local, accept, tempfail" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

static void
test_accounts_mistakes(void **state)
{
	static const struct mistake rows[] = {
		{ "accounts = (\n { owns = \"a@example.org\" } )", 3,
		    "an account needs a login: { login = \"alice\" }" },
		{ "accounts = ( { login = \"a@example.org\" },\n { login = \"a@example.org\" } )",
		    3, "the account a@example.org is given twice" },
		{ "realm = \"example.org\"\naccounts = ( { login = \"alice\" },\n { login = \"ALICE@Example.ORG\" } )",
		    4, "the account alice@example.org is given twice" },
		{ "accounts = (\n { login = \"\" } )", 3, "login \"\": " },
		{ "accounts = (\n { login = \"a b\" } )", 3, "login \"a b\": " },
		{ "accounts = ( { login = \"a@example.org\" },\n { login = \"b@example.org\" plan = \"gold\" } )",
		    3, "plan \"gold\" is not among the plans" },
		{ "accounts = ( { login = \"a@example.org\" plan = \"gold\" } )\nplans = { silver = { } }",
		    2, "plan \"gold\" is not among the plans" },
		{ "accounts = ( { login = \"a@example.org\"\n owns = [\"info\"] } )", 2,
		    "owns \"info\": " },
		{ "accounts = ( { login = \"a@example.org\" owns = [\"b@example.org\", \"@\"] } )",
		    2, "owns \"@\": " },
		{ "accounts = ( { login = \"a@example.org\" owns = [\"example.net\"] } )", 2,
		    "write it as @example.org" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

static void
test_spf_mistakes(void **state)
{
	static const struct mistake rows[] = {
		{ "spf = \"on\"", 2, "spf must be a group in braces" },
		{ "spf = { exept = [\"10.0.0.0/8\"] }", 2, "did you mean \"exempt\"?" },
		{ "spf = {\n exempt = [\"10.0.0.1/8\"] }", 3,
		    "exempt: \"10.0.0.1/8\" has bits set after its prefix" },
		{ "spf = {\n trusted_relays = \"mx2.example.org\" }", 3,
		    "trusted_relays: \"mx2.example.org\" is not an IP address or network" },
		{ "spf = {\n trusted_relays = [\"::/0\"] }", 3, "must not hold every address" },
		{ "spf = { explain = \"no\" }", 2, "explain must be true or false" },
		{ "spf = { void_limit = 11 }", 2, "must be from 0 to 10" },
		{ "spf = { timeout = \"26 s\" }", 2, "must be a duration from 100 ms to 25 s" },
		{ "spf = { overrides = { } }", 2, "overrides must be a list in parentheses" },
		{ "spf = { overrides = ( \"v=spf1\" ) }", 2,
		    "an override must be a group in braces" },
		{ "spf = { overrides = ( { domain = \"example.com\" } ) }", 2,
		    "an override needs both" },
		{ "spf = { overrides = ( { domain = \"a..b\" record = \"v=spf1\" } ) }", 2,
		    "domain = \"a..b\": " },
		{ "spf = { overrides = ( { domain = \"a.example\" record = \"v=spf2 -all\" } ) }",
		    2, "begins with v=spf1" },
		{ "spf = { overrides = ( { domain = \"a.example\" record = \"v=spf1 \\\"a\\\"\" } ) }",
		    2, "unknown mechanism" },
		{ "spf = { overrides = (\n { domain = \"a.example\"\n record = \"v=spf1 ipv4:192.0.2.1 -all\" } ) }",
		    3, "the record for a.example: unknown mechanism in \"ipv4:192.0.2.1\"" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

/* What holds without a group spf, and what a group sets. */
static void
test_spf(void **state)
{
	static const char text[] =
	    "spf = { exempt = [\"10.0.0.0/8\"] trusted_relays = \"192.0.2.25\" explain = false\n"
	    "received_spf = false strict_voids = true void_limit = 0 timeout = \"1 s\"\n"
	    "overrides = ( { domain = \"Bank.Example\" record = \"v=spf1 -all\" },\n"
	    "  { domain = \".b\303\274cher.example\" record = \"V=SPF1 ?all\" } ) }\n"
	    "listeners = { mx = { role = \"inbound\" on_spf_fail = \"reject\" on_spf_helo_none = \"warn\" } }\n"
	    "on_spf_helo_fail = \"quarantine\" on_spf_none = \"tempfail\"";
	TALLOC_CTX *ctx = talloc_new(NULL);
	const struct config *config = load_good(ctx, *state, "defaults", "");
	const struct spf_config *spf = &config->spf;
	const enum action *actions;
	struct spf_service service;

	config_spf_service(spf, NULL, "mx.example.org", &service);
	assert_true(service.explain && !service.limits.strict_voids);
	assert_int_equal(service.limits.voids, 2);
	assert_int_equal(spf->n_exempt, 2);
	assert_int_equal(spf->n_relays + spf->n_overrides, 0);
	assert_true(spf->explain && spf->received_spf && !spf->strict_voids);
	assert_int_equal(spf->void_limit, 2);
	assert_int_equal(spf->timeout_ms, 20000);

	config = load_good(ctx, *state, "all set", text);
	spf = &config->spf;
	assert_int_equal(spf->n_exempt, 1);
	assert_int_equal(spf->n_relays, 1);
	assert_false(spf->explain || spf->received_spf || !spf->strict_voids);
	assert_int_equal(spf->void_limit, 0);
	assert_int_equal(spf->timeout_ms, 1000);
	assert_int_equal(spf->n_overrides, 2);
	assert_string_equal(spf->overrides[0].domain, "bank.example");
	assert_false(spf->overrides[0].below);
	assert_string_equal(spf->overrides[1].domain, "xn--bcher-kva.example");
	assert_true(spf->overrides[1].below);

	config_spf_service(spf, NULL, "mx.example.org", &service);
	assert_true(!service.explain && service.limits.strict_voids);
	assert_int_equal(service.limits.voids, 0);
	assert_int_equal(service.n_overrides, 2);

	/* the listener's word for both wins over a global one for HELO, as with all heirs */
	actions = config->listeners[0].actions;
	assert_int_equal(actions[REASON_SPF_FAIL], ACTION_REJECT);
	assert_int_equal(actions[REASON_SPF_HELO_FAIL], ACTION_REJECT);
	assert_int_equal(actions[REASON_SPF_NONE], ACTION_TEMPFAIL);
	assert_int_equal(actions[REASON_SPF_HELO_NONE], ACTION_WARN);
	assert_int_equal(actions[REASON_SPF_HELO_SOFTFAIL], ACTION_ACCEPT);
	talloc_free(ctx);
}

static void
test_listeners_mistakes(void **state)
{
	static const struct mistake rows[] = {
		{ "listeners = {\n users = { daemon = \"x\" } }", 3,
		    "listener users needs a role: submission, relay, local or inbound" },
		{ "listeners = {\n lists = { role = \"relay\" client = \"10.0.0.1\" } }", 3,
		    "listener lists of role relay needs account = \"...\": who answers for its mail" },
		{ "listeners = {\n mx = { role = \"inbound\" account = \"a@example.org\" } }", 3,
		    "account has no effect in listener mx of role inbound: it works on role relay" },
		{ "listeners = {\n users = { role = \"submission\" account = \"a@example.org\" } }",
		    3, "account has no effect in listener users of role submission" },
		{ "listeners = {\n lists = { role = \"relay\" account = \"a b\" } }", 3,
		    "account = \"a b\": " },
		{ "listeners = {\n php = { role = \"local\" pickup = true on_over = \"tempfail\" } }",
		    3,
		    "on_over = \"tempfail\" in listener php: mail of role local would stay in maildrop and come back "
		    "every minute; write reject or quarantine" },
		{ "listeners = {\n php = { role = \"local\" on_lookup_failure = \"tempfail\" } }",
		    3, "on_lookup_failure = \"tempfail\" in listener php" },
		{ "listeners = {\n a = { role = \"inbound\" on_no_listener = \"reject\" } }", 3,
		    "on_no_listener belongs outside the listeners" },
		{ "listeners = { a = { role = \"inbound\"\n client = [\"10.0.3.1/28\"] } }", 3,
		    "client: \"10.0.3.1/28\" has bits set after its prefix" },
		{ "listeners = { a = { role = \"inbound\"\n client = [\"10.0.0.0/8\", \"mail.example.org\"] } }",
		    3, "client: \"mail.example.org\" is not an IP address or network" },
		{ "listeners = { a = { role = \"inbound\"\n client = \"10.0.0.0/33\" } }", 3,
		    "the prefix must be 0 to 32" },
		{ "listeners = { a = { role = \"inbound\"\n client = 10 } }", 3,
		    "client must be a text or a list of texts" },
		{ "listeners = { a = { role = \"inbound\"\n port = \"587\" } }", 3,
		    "port must be a number from 1 to 65535, or a list of them: [587, 465]" },
		{ "listeners = { a = { role = \"inbound\"\n port = 0 } }", 3,
		    "port must be a number" },
		{ "listeners = { a = { role = \"inbound\"\n port = [587, 65536] } }", 3,
		    "port must be a number" },
		{ "listeners = { a = { role = \"inbound\"\n port = [\"587\"] } }", 3,
		    "port must be a number" },
		{ "listeners = { a = { role = \"inbound\" },\n a = { role = \"local\" } }", 3,
		    "duplicate" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

/* An empty list of conditions would hold for every connection: of a relay, that is an open one. */
static void
test_empty_conditions(void **state)
{
	static const struct mistake rows[] = {
		{ "listeners = { a = { role = \"relay\" account = \"a@example.org\" client = [] } }", 2, "client" },
		{ "listeners = { a = { role = \"submission\" daemon = [] } }", 2, "daemon" },
		{ "listeners = { a = { role = \"submission\" port = [] } }", 2, "port" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

static void
test_plans_mistakes(void **state)
{
	static const struct mistake rows[] = {
		{ "plans = { a = {\n limits = [\"100 rcpts per hour\"] } }", 3, "write" },
		{ "plans = { a = { limits = \"100\" } }", 2, "\"100 recipients per hour\"" },
		{ "plans = { a = { limits = [100] } }", 2, "must be a text in quotation marks" },
		{ "plans = { a = { limits = 100 } }", 2,
		    "limits must be a text or a list of texts" },
		{ "plans = { a = { max_recipients = 0 } }", 2,
		    "max_recipients must be a number from 1 on, without quotation marks" },
		{ "plans = { a = { max_recipients = -5 } }", 2,
		    "max_recipients must be a number from 1 on" },
		{ "plans = { a = { max_recipients = \"100\" } }", 2,
		    "max_recipients must be a number from 1 on" },
		{ "plans = { a = { warn_at = \"80\" } }", 2,
		    "must be a percentage such as \"80%\"" },
		{ "plans = { a = { warn_at = \"0%\" } }", 2, "must be a percentage" },
		{ "plans = { a = { warn_at = \"101%\" } }", 2, "must be a percentage" },
		{ "plans = { a = { warn_at = \"%\" } }", 2, "must be a percentage" },
		{ "plans = { a = { warn_at = \"80%%\" } }", 2, "must be a percentage" },
		{ "plans = { a = { limits = [\n\"5 messages per day\",\n\"10 mails per day\"] } }",
		    4, "\"10 messages per hour\"" },
		{ "plans = { a = { limits = [\"5 messages per day\",\n\"unlimited\"] } }", 3,
		    "\"unlimited\" must be the only limit, but this plan also has \"5 messages per "
		    "day\"" },
		{ "plans = { a = { limits = [\"Unlimited\",\n\"5 messages per day\"] } }", 3,
		    "must be the only limit, but this plan also has \"5 messages per day\"" },
		{ "plans = { a = { limits = [\"unlimited\",\n\"unlimited\"] } }", 3, "must be the only limit" },
		{ "plans = { a = { limits = [\"5 messages per hour\",\n\"9 messages / 60 minutes\"] } }", 3,
		    "limit the same unit in the same window; keep one" },
		{ "plans = { a = { limits = [\"1 MB per day\",\n\"9 GB per 24 hours\"] } }", 3,
		    "limit the same unit in the same window" },
		{ "plans = { a = { limits = [\"9 recipients per day\",\n\"0\"] } }", 3,
		    "\"0\" lets nothing pass, so \"9 recipients per day\" has no effect" },
		{ "plans = { a = { limits = [\n\"5 messages\"] } }", 3,
		    "has no length of time" },
		{ "plans = { a = { limits = [\n\"over 2 times per day\"] } }", 3,
		    "counts messages that other limits refuse, so it cannot be a limit" },
		{ "plans = { a = { limits = [\n\"8 times usual\"] } }", 3,
		    "compares an hour that is sent already, so it cannot be a limit: write block_on" },
		{ "plans = { a = { block_on = \"8 times\" } }", 2, "as in \"8 times usual\"" },
		{ "plans = { a = { limits = [\"1 message per day\", \"2 messages per day\", \"3 messages per day\", "
		  "\"4 messages per day\", \"5 messages per day\", \"6 messages per day\", \"7 messages per day\", "
		  "\"8 messages per day\", \"9 messages per day\", \"10 messages per day\", \"11 messages per day\", "
		  "\"12 messages per day\", \"13 messages per day\"] } }",
		    2, "at most 12 limits" },
		{ "plans = { a = { max_size = \"25\" } }", 2, "for example \"25 MB\"" },
		{ "plans = { a = { max_size = \"25 messages\" } }", 2, "for example \"25 MB\"" },
		{ "plans = { a = { max_size = \"0 MB\" } }", 2, "for example \"25 MB\"" },
		{ "plans = { a = { max_size = 25000 } }", 2, "max_size must be a text" },
		{ "plans = { a = { block_on = \"20 messages per hour\" } }", 2,
		    "must count a sign of a stolen password" },
		{ "plans = { a = { block_on = \"2 foreign-senders per hour\" block_for = \"1 hour\"\nblock_action = \"stop\" } }", 3,
		    "block_action = \"stop\" is unknown; known are: refuse, hold, slow" },
		{ "plans = { a = { block_on = \"2 foreign-senders per hour\" block_for = \"1 hour\"\nblock_grows = 0 } }", 3,
		    "block_grows" },
		{ "plans = { a = { block_on = [ ] } }", 2, "block_on must have 1 to 8 texts" },
		{ "plans = { a = { block_on = [\"over 2 times per day\",\n\"over 20 per hour\"] } }", 3,
		    "write \"over 20 times per day\"" },
		{ "plans = { a = { block_on = [\"20 foreign-senders per hour\",\n\"30 foreign-senders / 60 minutes\"] } }", 3,
		    "\"20 foreign-senders per hour\" and \"30 foreign-senders / 60 minutes\" count the same" },
		{ "plans = { a = { limits = \"over 2 times per day\" } }", 2,
		    "write block_on = \"over 2 times per day\"" },
		{ "plans = { a = { block_on = \"20 foreign-senders\" } }", 2,
		    "has no length of time" },
		{ "plans = { a = { warn_at = 80 } }", 2,
		    "warn_at must be a text in quotation marks" },
		{ "plans = { a = { },\n a = { } }", 3, "duplicate" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

/* What is found out after the whole file was read has a line, too. */
static void
test_late_mistakes(void **state)
{
	static const struct mistake rows[] = {
		{ "\ndefault_plan = \"gold\"", 3,
		    "default_plan = \"gold\" is not among the plans" },
		{ "\nplans = { a = { like = \"b\" } }", 3,
		    "plan \"a\" is like \"b\", but there is no plan of that name" },
		{ "\nplans = { a = { like = \"b\" }\n b = { like = \"a\" } }", 3,
		    "is like itself" },
		{ "\nplans = {\n a = { block_on = \"20 foreign-senders per hour\" } }", 4,
		    "block_for = \"4 hours\"" },
		{ "\nplans = {\n a = { block_on = \"2 countries per day\" block_for = \"1 hour\" } }", 4,
		    "nothing knows them; write country_of = \"mmdb:/" },
		{ "\nplans = {\n a = { block_on = [\"2 networks per day\"] block_for = \"1 hour\" } }", 4,
		    "nothing knows them; write asn_of = \"mmdb:/" },
		{ "\nplans = {\n a = { limits = \"2 countries per day\" } }", 4,
		    "nothing knows them; write country_of = \"mmdb:/" },
		{ "\nplans = {\n a = { limits = [\"9 messages per day\", \"2 networks per day\"] } }", 4,
		    "nothing knows them; write asn_of = \"mmdb:/" },
		{ "\nplans = {\n a = { block_for = \"1 hour\" } }", 4,
		    "block_for has no effect here: it needs a reason: block_on" },
		{ "\nplans = {\n a = { like = \"b\" }\n c = { } }", 4,
		    "there is no plan of that name" },
		{ "\npool_plan = \"a\" plans = { a = { } }", 3, "pool_of is missing" },
		{ "\nnetwork_plan_of = \"inline:{ a=a }\"", 3, "network_of is missing" },
		{ "\npool_of = \"inline:{ a=a }\"", 3, "pool_plan is missing" },
		{ "\ndomain_plan = \"gold\"", 3, "domain_plan = \"gold\" is not among the plans" },
		{ "\nstore = \"redis:main\"", 3,
		    "must be \"embedded\", \"file:/absolute/path\", or \"redis:NAME\" with NAME in the redis group" },
		{ "\nstore = \"memory\"", 3, "must be \"embedded\"" },
		{ "\nstore = \"file:counters\"", 3,
		    "must be \"embedded\", \"file:/absolute/path\"" },
		{ "redis = { main = { server = \"unix:/x\" } }\nstore = \"redis:mian\"", 3,
		    "with NAME in the redis group" },
		{ "redis = {\n main = { } }", 3,
		    "redis main needs a server: \"unix:/path\" or \"inet:host:port\"" },
		{ "redis = {\n main = { server = [\"inet:127.0.0.1:1\", \"inet:127.0.0.1:2\"] } }",
		    3, "write cluster = true" },
		{ "redis = {\n main = { server = \"inet:127.0.0.1\" } }", 3, "cannot be read" },
		{ "redis = {\n main = { sentinels = \"inet:127.0.0.1:1\" } }", 3,
		    "belong together" },
		{ "redis = {\n main = { server = \"unix:/x\"  master = \"m\" } }", 3,
		    "belong together" },
		{ "redis = {\n main = { server = \"unix:/x\"  sentinels = \"inet:127.0.0.1:1\"  master = \"m\" } }",
		    3, "keep one of" },
		{ "redis = {\n main = { sentinels = \"inet:127.0.0.1:1\"  master = \"m\"  cluster = true } }",
		    3, "has no Sentinels" },
		{ "redis = {\n main = { server = \"unix:/x\"  cluster = true  database = 1 } }", 3,
		    "has one database" },
		{ "redis = {\n main = { server = \"unix:/x\"  tls = true } }", 3,
		    "a unix socket needs no TLS" },
		{ "redis = {\n main = { server = \"inet:127.0.0.1:1\"  tls_name = \"redis.example.org\" } }",
		    3, "tls_name has no effect here: it needs tls = true" },
		{ "redis = {\n main = { server = \"inet:127.0.0.1:1\"  tls = true  tls_ca_cert_file = \"/nonexistent\" } }",
		    3, "tls_ca_cert_file /nonexistent cannot be used: No such file or directory" },
		{ "redis = {\n main = { server = \"inet:127.0.0.1:1\"  tls = true  tls_cert_file = \"/nonexistent\" } }",
		    3, "tls_cert_file and tls_key_file belong together" },
		{ "redis = {\n main = { server = \"inet:127.0.0.1:1\"  tls = true  tls_cert_file = \"/nonexistent\"  tls_key_file = \"/k\" } }",
		    3, "tls_cert_file /nonexistent cannot be used" },
		{ "redis = {\n main = { server = \"inet:127.0.0.1:1\"  tls = true  tls_name = \".example.org\" } }",
		    3, "neither a host name nor an address" },
		{ "redis = {\n main = { server = \"inet:127.0.0.1:1\"  sentinel_user = \"u\"  sentinel_password_file = \"/p\" } }",
		    3, "sentinel_user has no effect here: it is for sentinels" },
		{ "redis = {\n main = { sentinels = \"inet:127.0.0.1:1\"  master = \"m\"  sentinel_user = \"u\" } }",
		    3, "needs sentinel_password_file" },
		{ "store = \"redis:main\" redis = { main = { server = \"unix:/x\"  cluster = true } }\nplans = { p = { } } network_plan = \"p\"\n"
		  "network_of = \"cidr:/n\"",
		    4, "cannot be kept in a Redis Cluster" },
		{ "\ncontrol = \"run/control\"", 3, "must be an absolute path" },
		{ "\nhelp_url = \"https://x/%20\"", 3,
		    "must be printable ASCII without spaces and %" },
		{ "\nreplies = \"de\"", 3, "replies = \"de\" is unknown; it is \"en\", \"fr\"" },
		{ "\nreplies = { ovr = \"full\" }", 3, "there is no text \"ovr\"; did you mean over?" },
		{ "\nreplies = { over = \"%{pool} is full\" }", 3, "unknown item %{pool}" },
		{ "\nreplies = { like = \"de\" }", 3, "like = \"de\" is unknown" },
		{ "\nreplies = { over = \"a\\nb\" }", 3, "cannot show" },
		{ "\nhelp_url = \"https://x/ y\"", 3,
		    "must be printable ASCII without spaces and %" },
		{ "\nlog = \"file\"", 3, "log must be \"syslog\" or \"stderr\"" },
		{ "\nrealm = \"exa mple\"", 3, "realm = \"exa mple\": " },
		{ "\ndkim = { key_table = \"/k\" }", 3,
		    "belong together; signing_table is missing" },
		{ "\ndkim = { signing_table = \"/s\" }", 3,
		    "belong together; key_table is missing" },
		{ "\ndkim = { key_table = \"/k\"  signing_table = \"dsn:mysql://x\" }", 3,
		    "must be a file" },
		{ "keys = \"/keys\"\ndkim = { key_table = \"/k\"  signing_table = \"/s\" }", 3,
		    "keep one of the two" },
		{ "keys = \"/keys\"\ndkim = { multiple_signatures = true }", 3,
		    "multiple_signatures has no effect here: it is for key_table" },
		{ "\ndkim = { base_directory = \"keys\" }", 3, "must be an absolute path" },
		{ "\ndkim = { canonicalization = \"nowsp\" }", 3, "must be \"relaxed/relaxed\"" },
		{ "\ndkim = { canonicalization = \"relaxed/\" }", 3,
		    "must be \"relaxed/relaxed\"" },
		{ "\ndkim = { sign_headers = [\"Bcc\"] }", 3, "Bcc changes or vanishes" },
		{ "\ndkim = { expire_after = \"1 second\" }", 3, "must be a duration from" },
		{ "\ndkim = { on_missing_key = \"quarantine\" }", 3,
		    "known are: unsigned, tempfail, reject" },
		{ "on_missing_key = \"reject\"\ndkim = { on_missing_key = \"reject\" }", 2,
		    "is given in dkim as well" },
		{ "\ndkim = { domains = ( { identity = \"none\" } ) }", 3, "needs its domain" },
		{ "\ndkim = { domains = ( { domain = \"a b\" } ) }", 3, "domain = \"a b\": " },
		{ "\ndkim = { domains = ( { domain = \"a.example\" },\n { domain = \"A.example.\" } ) }",
		    4, "given twice" },
		{ "\ndkim = { max_signatures = 51 }", 3, "must be from 1 to 50" },
		{ "\ndkim = { min_key_bits = 256 }", 3, "must be from 512 to 4096" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

/* The socket's name: both spellings, and what is neither. */
static void
test_listen(void **state)
{
	static const struct { const char *listen, *spec; } rows[] = {
		{ "inet:127.0.0.1:8891", "inet:8891@127.0.0.1" },
		{ "inet:localhost:8891", "inet:8891@localhost" },
		{ "inet:8891@127.0.0.1", "inet:8891@127.0.0.1" },
		{ "inet:8891@localhost", "inet:8891@localhost" },
		{ "inet6:[::1]:8891", "inet6:8891@::1" },
		{ "inet6:::1:8891", "inet6:8891@::1" },
		{ "inet6:8891@::1", "inet6:8891@::1" },
		{ "inet6:localhost:8891", "inet6:8891@localhost" },
		{ "unix:/run/countersign/milter", "unix:/run/countersign/milter" },
		{ "local:/run/countersign/milter", "local:/run/countersign/milter" },
		{ "", NULL },
		{ "8891", NULL },
		{ "127.0.0.1:8891", NULL },
		{ "/run/countersign/milter", NULL },
		{ "unix:countersign/milter", NULL },
		{ "tcp:127.0.0.1:8891", NULL },
		{ "inet:8891", NULL },
		{ "inet::8891", NULL },
		{ "inet:", NULL },
		{ "inet:127.0.0.1", NULL },
		{ "inet:127.0.0.1:", NULL },
		{ "inet:127.0.0.1:smtp", NULL },
		{ "inet:127.0.0.1:88 91", NULL },
	};
	const struct place *place = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error;
		struct config *config = load_raw(ctx, place, mem_printf(ctx,
		    "authserv_id = \"mx.example.org\"\nlisten = \"%s\"\n", rows[i].listen), &error);

		if ((config != NULL) != (rows[i].spec != NULL))
			fail_msg("%s: %s", rows[i].listen, error);
		if (config != NULL) {
			assert_string_equal(config->listen, rows[i].listen);
			assert_string_equal(config->listen_spec, rows[i].spec);
		} else if (
		    !says(ctx, error, place->conf, 2,
			"must be \"inet:HOST:PORT\", \"inet6:[ADDRESS]:PORT\", \"unix:/path\" or \"systemd:NAME\"")) {
			fail_msg("%s: not at line 2: %s", rows[i].listen, error);
		}
		talloc_free(ctx);
	}
}

/* A port is a number that a port can be, in either spelling. */
static void
test_listen_port(void **state)
{
	static const char *const rows[] = {
		"inet:127.0.0.1:0", "inet:127.0.0.1:65536", "inet:127.0.0.1:99999999999999999999",
		"inet:smtp@127.0.0.1", "inet:@127.0.0.1", "inet:8891@", "inet:70000@127.0.0.1",
	};
	const struct place *place = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error;

		if (load_raw(ctx, place,
			mem_printf(
			    ctx, "authserv_id = \"mx.example.org\"\nlisten = \"%s\"\n", rows[i]),
			&error) != NULL)
			fail_msg("%s: taken", rows[i]);
		assert_non_null(strstr(error, rows[i]));
		talloc_free(ctx);
	}
}

static void
test_listen_missing(void **state)
{
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error;

	assert_null(load_raw(ctx, place, "authserv_id = \"mx.example.org\"\n", &error));
	assert_true(says(ctx, error, place->conf, 0,
	    "listen is missing; write for example listen = \"unix:/var/spool/postfix/countersign/milter\""));
	assert_null(load_raw(ctx, place, "", &error));
	assert_true(says(ctx, error, place->conf, 0, "listen is missing"));
	assert_null(
	    load_raw(ctx, place, "listen = \"inet:127.0.0.1:1\"\nauthserv_id = \"a b\"\n", &error));
	assert_non_null(strstr(error, "authserv_id = \"a b\" must be a host name"));
	talloc_free(ctx);
}

static void
test_syntax(void **state)
{
	static const struct mistake rows[] = {
		{ "mode = \"watch", 2, "check quotation marks" },
		{ "mode = watch", 2, "syntax error" },
		{ "mode \"watch\"", 2, "syntax error" },
		{ "\n\nmode = ", 4, "syntax error" },
		{ "plans = { a = {\n limits = [\"1 message per day\"]", 3, "syntax error" },
		{ "plans = { a = { } } }", 2, "syntax error" },
		{ "accounts = ( { login = \"a@example.org\" }", 2, "syntax error" },
		{ "mode = \"watch\"\nmode = \"enforce\"", 3, "duplicate setting name" },
		{ "mode = \"watch\"\n/* no end", 3, "this comment has no end; close it with */" },
		{ "/* no end\n\nmode = \"enforce\"", 2, "this comment has no end" },
		{ "/* one */ /* two\n*", 2, "this comment has no end" },
		{ "/* one\n\n*/\nmode = \"watch\" /*/", 5, "this comment has no end" },
		{ "# /* not this\n// nor /* this\nhelp_url = \"https://x/*\"\n/* this", 5, "this comment has no end" },
		{ "help_url = \"\\\"/* not this\" /* this", 2, "this comment has no end" },
		{ "@include \"/nonexistent/countersign\"", 2, "include" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

static void
test_comments(void **state)
{
	static const char *const rows[] = {
		"/* a */ mode = \"enforce\"",
		"/* a\n * b\n **/ mode = \"enforce\"",
		"# /* a\nmode = \"enforce\"",
		"// /* a\nmode = \"enforce\"",
		"help_url = \"https://x/*\" mode = \"enforce\"",
		"help_url = \"\\\"/*\\\\\" mode = \"enforce\"",
		"mode = \"enforce\" # /*\n",
		"mode = \"enforce\" // /*\n",
		"/* /* # \" */ mode = \"enforce\"",
		"/**/ mode = \"enforce\"",
		"/* # */ mode = \"enforce\" /* // */",
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);

		assert_int_equal(load_good(ctx, *state, rows[i], rows[i])->mode, MODE_ENFORCE);
		talloc_free(ctx);
	}
}

static void
test_files(void **state)
{
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	const size_t large = 16 * 1024 * 1024;
	char *text = mem_array(ctx, char, large);
	const char *error = NULL;

	/* not there, no file, no text, too large */
	assert_null(config_load(ctx, place->conf, &error));
	assert_true(says(ctx, error, place->conf, 0, "cannot be opened: No such file"));
	assert_null(config_load(ctx, place->dir, &error));
	assert_true(says(ctx, error, place->dir, 0, "cannot be read"));
	write_octets(place->conf, HEAD "mode = \"watch\"\0\n", sizeof(HEAD) - 1 + 16);
	assert_null(config_load(ctx, place->conf, &error));
	assert_true(says(ctx, error, place->conf, 0, "is too large or not a text file"));
	memset(text, '\n', large);
	memcpy(text, HEAD, strlen(HEAD));
	write_octets(place->conf, text, large);
	assert_null(config_load(ctx, place->conf, &error));
	assert_true(says(ctx, error, place->conf, 0, "is too large or not a text file"));
	write_octets(place->conf, "\xff\xfe\x01", 3);
	assert_null(config_load(ctx, place->conf, &error));
	assert_non_null(error);
	talloc_free(ctx);
}

/* All mistakes are told at once, twenty at most. */
static void
test_many_mistakes(void **state)
{
	static const struct { unsigned int mistakes, lines; const char *last; } rows[] = {
		{ 1, 1, "unknown option" }, { 3, 3, "unknown option" }, { 20, 20, "unknown option" },
		{ 21, 21, "and 1 more" }, { 500, 21, "and 480 more" },
	};
	const struct place *place = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		char *text = mem_strdup(ctx, "");
		unsigned int lines = 1;
		const char *error;

		for (unsigned int k = 0; k < rows[i].mistakes; k++)
			text = mem_check(
			    talloc_asprintf_append_buffer(text, "wrong_option_%u = 1\n", k));
		assert_null(load_text(ctx, place, text, &error));
		for (const char *p = error; (p = strchr(p, '\n')) != NULL; p++)
			lines++;
		assert_int_equal(lines, rows[i].lines);
		assert_true(says(ctx, error, place->conf, 2, "wrong_option_0"));
		if (strstr(lines == 1 ? error : strrchr(error, '\n'), rows[i].last) == NULL)
			fail_msg("%u: %s", rows[i].mistakes, error);
		talloc_free(ctx);
	}
}

static void
test_include(void **state)
{
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *text =
	    mem_printf(ctx, "@include \"%s\"\nhelp_url = \"https://x/\"\n", place->other);
	const char *error;
	struct config *config;

	write_text(place->other, "mode = \"enforce\"\n");
	config = load_good(ctx, place, "include", text);
	assert_int_equal(config->mode, MODE_ENFORCE);
	assert_string_equal(config->help_url, "https://x/");
	/* a mistake there is told of that file */
	write_text(place->other, "\nmdoe = \"enforce\"\n");
	assert_null(load_text(ctx, place, text, &error));
	assert_true(says(ctx, error, place->other, 2, "did you mean \"mode\"?"));
	write_text(place->other, "\nmode = enforce\n");
	assert_null(load_text(ctx, place, text, &error));
	assert_true(says(ctx, error, place->other, 2, "syntax error"));
	talloc_free(ctx);
}

/* A comment without end hides what follows in an included file as it does in the first one. */
static void
test_include_open_comment(void **state)
{
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error;

	write_text(place->other, "/* no end\nmode = \"enforce\"\n");
	assert_null(
	    load_text(ctx, place, mem_printf(ctx, "@include \"%s\"\n", place->other), &error));
	assert_true(says(ctx, error, place->other, 1, "this comment has no end"));
	talloc_free(ctx);
}

/* With next to nothing written. */
static void
test_defaults(void **state)
{
	static const enum role roles[] = { ROLE_SUBMISSION, ROLE_LOCAL, ROLE_INBOUND };
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct config *config = load_good(ctx, place, "defaults", "");

	assert_string_equal(config->file, place->conf);
	assert_int_equal(config->mode, MODE_WATCH);
	assert_int_equal(config->listen_mode, 0660);
	assert_string_equal(config->store, "embedded");
	assert_string_equal(config->log, "syslog");
	assert_string_equal(config->delimiter, "+");
	assert_string_equal(config->authserv_id, "mx.example.org");
	assert_true(config->fold_local);
	assert_null(config->realm);
	assert_null(config->help_url);
	assert_null(config->keys);
	assert_null(config->control);
	assert_null(config->user);
	assert_null(config->assign.account.plan);
	assert_int_equal(config->store_options.kind, STORE_EMBEDDED);
	assert_null(config->store_options.file);
	assert_int_equal(config->tables.n, 0);
	assert_true(config->drain_timeout_ms > 0 && config->dns_timeout_ms > 0);
	assert_int_equal(config->resolver.cache_entries, config->dns_cache);
	/* one listener a role, chosen by the connection */
	assert_true(config->auto_roles);
	assert_int_equal(config->n_listeners, COUNT(roles));
	for (size_t i = 0; i < COUNT(roles); i++) {
		const struct listener *listener = &config->listeners[i];

		assert_int_equal(listener->role, roles[i]);
		assert_string_equal(listener->name, role_word(roles[i]));
		assert_int_equal(listener->mode, MODE_WATCH);
		assert_true(listener->require_tls);
		for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++)
			assert_int_equal(
			    listener->actions[reason], reply_default_action(reason, roles[i]));
	}
	talloc_free(ctx);
}

/* The small site of the guide. */
static void
test_small_site(void **state)
{
	static const char *const text =
	    "mode         = \"watch\"\n"
	    "realm        = \"Example.ORG\"\n"
	    "keys         = \"/etc/countersign/keys\"\n"
	    "store        = \"file:/var/lib/countersign/counters\"\n"
	    "accounts     = ( { login = \"alice\"             owns = [\"Info@example.org\", \"@example.net\"] },\n"
	    "                 { login = \"form@example.org\"  plan = \"form\"  mode = \"enforce\" },\n"
	    "                 { login = \"bob\"  plan = \"large\" } )\n"
	    "default_plan = \"person\"\n"
	    "plans = { person = { limits = [\"100 recipients per hour\", \"300 recipients per day\"] }\n"
	    "          form   = { limits = [\"30 recipients per hour\"]  on_over = \"reject\" }\n"
	    "          large  = { like = \"person\"  max_recipients = 50  warn_at = \"80%\" } }\n";
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct config *config = load_good(ctx, *state, "small site", text);
	const struct account *alice = config_account(config, "alice@example.org");
	const struct account *form = config_account(config, "form@example.org");

	assert_string_equal(config->realm, "example.org");
	assert_string_equal(config->keys, "/etc/countersign/keys");
	assert_string_equal(config->store_options.file, "/var/lib/countersign/counters");
	assert_int_equal(config->n_accounts, 3);
	assert_non_null(alice);
	assert_string_equal(alice->login, "alice");
	assert_int_equal(alice->owns.n, 2);
	assert_int_equal(alice->patterns[0].kind, IDENTITY_ADDRESS);
	assert_string_equal(alice->patterns[0].text, "info@example.org");
	assert_int_equal(alice->patterns[1].kind, IDENTITY_DOMAIN);
	assert_string_equal(alice->patterns[1].text, "example.net");
	assert_null(alice->plan);
	assert_int_equal(alice->mode_set, -1);
	assert_non_null(form);
	assert_string_equal(form->plan->name, "form");
	assert_int_equal(form->plan->on_over, ACTION_REJECT);
	assert_int_equal(form->plan->n_limits, 1);
	assert_int_equal(form->mode_set, MODE_ENFORCE);
	assert_string_equal(config->assign.account.plan->name, "person");
	assert_int_equal(config->assign.account.plan->n_limits, 2);
	assert_int_equal(config->assign.account.plan->limits[1].max, 300);
	assert_int_equal(config->assign.account.plan->on_over, ACTION_TEMPFAIL);
	assert_int_equal(config->n_plans, 3);
	assert_int_equal(config->plans[2].n_limits, 2);
	assert_int_equal(config->plans[2].max_recipients, 50);
	assert_int_equal(config->plans[2].warn_at, 80);
	talloc_free(ctx);
}

static void
test_account_search(void **state)
{
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	char *text = mem_strdup(ctx, "realm = \"example.org\"\naccounts = (\n");
	struct config *config;

	for (int i = 0; i < 3000; i++)
		text = mem_check(talloc_asprintf_append_buffer(text, "%s{ login = \"User%d\" }\n",
		    i > 0 ? "," : "", i * 7 % 3000));
	config = load_good(ctx, place, "accounts", mem_printf(ctx, "%s)\n", text));
	assert_int_equal(config->n_accounts, 3000);
	for (int i = 0; i < 3000; i++) {
		const char *name = mem_printf(ctx, "user%d@example.org", i);
		const struct account *account = config_account(config, name);

		if (account == NULL || strcmp(account->name, name) != 0)
			fail_msg("%s", name);
	}
	assert_null(config_account(config, "user3000@example.org"));
	assert_null(config_account(config, "user1"));
	/* asked is the normal form only */
	assert_null(config_account(config, "User1@example.org"));
	assert_null(config_account(config, ""));
	config = load_good(ctx, place, "no accounts", "");
	assert_null(config_account(config, "user1@example.org"));
	config = load_good(ctx, place, "empty accounts", "accounts = ( )");
	assert_null(config_account(config, "user1@example.org"));
	talloc_free(ctx);
}

/* listener_named - a listener by its name */
static const struct listener *
listener_named(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (strcmp(config->listeners[i].name, name) == 0)
			return &config->listeners[i];
	fail_msg("no listener %s", name);
	return NULL;
}

static void
test_listeners(void **state)
{
	static const char *const text =
	    "listeners = {\n"
	    "  webmail = { role = \"submission\"  client = [\"10.0.3.0/28\", \"2001:db8::/32\"]  port = 587 }\n"
	    "  users   = { role = \"submission\"  daemon = \"ORIGINATING\"  port = [465, 587] }\n"
	    "  lists   = { role = \"relay\"  client = \"10.0.4.7\"  account = \"Mailman@Lists.example.ORG\" }\n"
	    "  php     = { role = \"local\"  pickup = true }\n"
	    "  mx      = { role = \"inbound\"  pickup = false }\n"
	    "}\n";
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct config *config = load_good(ctx, place, "listeners", text);
	static const char *const names[] = { "webmail", "users", "lists", "php", "mx" };
	static const enum role roles[] = {
		ROLE_SUBMISSION, ROLE_SUBMISSION, ROLE_RELAY, ROLE_LOCAL, ROLE_INBOUND,
	};

	assert_false(config->auto_roles);
	assert_int_equal(config->n_listeners, COUNT(names));
	for (size_t i = 0; i < COUNT(names); i++) {
		const struct listener *listener = &config->listeners[i];

		assert_string_equal(listener->name, names[i]);
		assert_int_equal(listener->role, roles[i]);
		assert_string_equal(listener->where, mem_printf(ctx, "%s:%zu", place->conf, i + 3));
		for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++)
			assert_int_equal(
			    listener->actions[reason], reply_default_action(reason, roles[i]));
	}
	assert_int_equal(config->listeners[0].n_clients, 2);
	assert_int_equal(config->listeners[0].clients[1].prefix, 32);
	assert_int_equal(config->listeners[0].ports.n, 1);
	assert_string_equal(config->listeners[0].ports.items[0], "587");
	assert_int_equal(config->listeners[0].daemons.n, 0);
	assert_int_equal(config->listeners[0].pickup, -1);
	assert_int_equal(config->listeners[0].login, -1);
	assert_int_equal(config->listeners[1].ports.n, 2);
	assert_string_equal(config->listeners[1].daemons.items[0], "ORIGINATING");
	assert_string_equal(config->listeners[2].account, "mailman@lists.example.org");
	assert_int_equal(config->listeners[3].pickup, 1);
	assert_int_equal(config->listeners[4].pickup, 0);
	talloc_free(ctx);
}

static void
test_inheritance(void **state)
{
	static const char *const text =
	    "mode = \"enforce\"  require_tls = false\n"
	    "on_foreign_from = \"quarantine\"  on_over = \"tempfail\"  on_lookup_failure = \"tempfail\"\n"
	    "on_no_from = \"reject\"  on_missing_key = \"unsigned\"  keys = \"/k\"  owners = \"texthash:/o\"\n"
	    "restricted_recipients = \"texthash:/r\"  default_plan = \"p\"\n"
	    "plans = { p = { limits = \"1 message per day\" } }\n"
	    "listeners = {\n"
	    "  own   = { role = \"submission\"  port = 465  mode = \"watch\"  require_tls = true  on_foreign_from = \"warn\" }\n"
	    "  heir  = { role = \"submission\"  port = 587 }\n"
	    "  php   = { role = \"local\"  pickup = true  on_foreign_from = \"reject\" }\n"
	    "  mx    = { role = \"inbound\"  on_several_from = \"accept\" }\n"
	    "}\n";
	static const struct {
		const char *listener;
		enum reason reason;
		enum action action;
	} rows[] = {
		/* its own word first */
		{ "own", REASON_FOREIGN_FROM, ACTION_WARN },
		{ "php", REASON_FOREIGN_FROM, ACTION_REJECT },
		{ "mx", REASON_SEVERAL_FROM, ACTION_ACCEPT },
		/* then the global one */
		{ "own", REASON_OVER, ACTION_TEMPFAIL },
		{ "heir", REASON_FOREIGN_FROM, ACTION_QUARANTINE },
		{ "mx", REASON_FOREIGN_FROM, ACTION_QUARANTINE },
		{ "mx", REASON_LOOKUP_FAILURE, ACTION_TEMPFAIL },
		{ "php", REASON_NO_FROM, ACTION_REJECT },
		{ "heir", REASON_MISSING_KEY, ACTION_ACCEPT },
		/* then the role's */
		{ "heir", REASON_FOREIGN_ENVELOPE, ACTION_REJECT },
		{ "php", REASON_FOREIGN_ENVELOPE, ACTION_WARN },
		{ "mx", REASON_SPF_FAIL, ACTION_WARN },
		/* a global tempfail is not meant for maildrop */
		{ "php", REASON_OVER, ACTION_REJECT },
		{ "php", REASON_LOOKUP_FAILURE, ACTION_WARN },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct config *config = load_good(ctx, *state, "inheritance", text);

	for (size_t i = 0; i < COUNT(rows); i++) {
		enum action action =
		    listener_named(config, rows[i].listener)->actions[rows[i].reason];

		if (action != rows[i].action)
			fail_msg("%s %s: %s", rows[i].listener, reply_row(rows[i].reason)->word,
			    action_word(action));
	}
	assert_int_equal(listener_named(config, "own")->mode, MODE_WATCH);
	assert_int_equal(listener_named(config, "heir")->mode, MODE_ENFORCE);
	assert_int_equal(listener_named(config, "php")->mode, MODE_ENFORCE);
	assert_true(listener_named(config, "own")->require_tls);
	assert_false(listener_named(config, "heir")->require_tls);
	/* automatic listeners inherit as well */
	config = load_good(ctx, *state, "automatic",
	    "mode = \"enforce\" on_over = \"tempfail\" on_null_sender = \"warn\" "
	    "default_plan = \"p\" plans = { p = { limits = \"1 message per day\" } }");
	assert_int_equal(listener_named(config, "local")->actions[REASON_OVER], ACTION_REJECT);
	assert_int_equal(listener_named(config, "local")->actions[REASON_NULL_SENDER], ACTION_WARN);
	assert_int_equal(listener_named(config, "inbound")->actions[REASON_OVER], ACTION_TEMPFAIL);
	assert_int_equal(listener_named(config, "submission")->mode, MODE_ENFORCE);
	talloc_free(ctx);
}

/* What every option needs to have an effect; %s: more for the listener of that role. */
#define RICH									\
	"listen_mode = \"0600\" keys = \"/k\" owners = \"mysql:/o\" restricted_recipients = \"texthash:/r\"\n" \
	"allowed_networks = \"texthash:/n\" default_plan = \"p\" control = \"/c\" event_command = \"/e\"\n" \
	"plans = { p = { limits = \"1 message per day\" max_recipients = 5 max_size = \"1 MB\" } }\n"
#define RICH_LISTENERS								\
	"listeners = {\n"							\
	" users = { role = \"submission\" daemon = \"users\" %s }\n"		\
	" apps = { role = \"relay\" daemon = \"apps\" client_accounts = \"cidr:/a\" account = \"a@example.org\" %s }\n" \
	" php = { role = \"local\" daemon = \"php\" %s }\n"			\
	" mx = { role = \"inbound\" daemon = \"mx\" %s } }\n"
#define RICH_HEAD "listen = \"unix:/run/x\" authserv_id = \"mx.example.org\" "

/* rich - a configuration with every companion and every role, and more */
static const char *
rich(TALLOC_CTX *ctx, const char *more, enum role role, const char *in_listener)
{
	/* a word of its own is a policy of one's own: both do not fit together */
	const char *policy = strstr(more, "on_dmarc_quarantine") != NULL ||
		strstr(in_listener, "on_dmarc_quarantine") != NULL ?
	    "on_dmarc_fail = \"policy\" " : "";

	return mem_printf(ctx, RICH_HEAD "%s%s\n" RICH RICH_LISTENERS, policy, more,
	    role == ROLE_SUBMISSION ? in_listener : "", role == ROLE_RELAY ? in_listener : "",
	    role == ROLE_LOCAL ? in_listener : "", role == ROLE_INBOUND ? in_listener : "");
}

/* load_rich - the same, which must be taken */
static struct config *
load_rich(TALLOC_CTX *ctx, const struct place *place, const char *more, enum role role,
    const char *in_listener)
{
	const char *error;
	struct config *config = load_raw(ctx, place, rich(ctx, more, role, in_listener), &error);

	if (config == NULL)
		fail_msg("%s %s: %s", more, in_listener, error);
	return config;
}

/* role_of - the first role on which something is done about a reason */
static enum role
role_of(enum reason reason)
{
	enum role role = ROLE_SUBMISSION;

	if (effect_roles(reason) == 0)
		fail_msg("effect.c does not say where %s works", reply_row(reason)->option);
	while ((effect_roles(reason) & 1u << role) == 0)
		role++;
	return role;
}

/* Each option of an action reaches its reason, in both places. */
static void
test_every_action(void **state)
{
	for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
		const char *option = reply_row(reason)->option;

		for (enum action action = ACTION_ACCEPT; option != NULL && action <= ACTION_REJECT;
		     action++) {
			enum role role = role_of(reason);
			bool above_only = reason == REASON_NO_LISTENER;
			TALLOC_CTX *ctx;
			struct config *config;
			const char *word;

			if (reason == REASON_INBOUND_LOGIN && action < ACTION_TEMPFAIL)
				continue;
			ctx = talloc_new(NULL);
			word = mem_printf(ctx, "%s = \"%s\"", option, action_word(action));
			config = load_rich(ctx, *state, word, ROLE_AUTO, "");
			assert_int_equal(config->set.of[reason], action);
			assert_int_equal(
			    config->listeners[role - ROLE_SUBMISSION].actions[reason], action);
			if (!above_only) {
				config = load_rich(ctx, *state, "", role, word);
				assert_int_equal(config->set.of[reason], -1);
				assert_int_equal(
				    config->listeners[role - ROLE_SUBMISSION].actions[reason], action);
			}
			talloc_free(ctx);
		}
	}
}

/* On a role where nothing is done about it, an action is refused, with the roles where it works. */
static void
test_action_without_effect(void **state)
{
	for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
		const char *option = reply_row(reason)->option;

		for (enum role role = ROLE_SUBMISSION; option != NULL && role <= ROLE_INBOUND; role++) {
			TALLOC_CTX *ctx = talloc_new(NULL);
			const char *error, *part, *text;

			if ((effect_roles(reason) & 1u << role) != 0) {
				talloc_free(ctx);
				continue;
			}
			text = rich(ctx, "", role, mem_printf(ctx, "\n%s = \"reject\"\n", option));
			part = mem_printf(ctx, "%s has no effect in listener ", option);
			assert_null(load_raw(ctx, *state, text, &error));
			if (strstr(error, part) == NULL)
				fail_msg("%s on role %s: %s", option, role_word(role), error);
			/* nor outside, if no listener has such a role */
			text = mem_printf(ctx, HEAD "\n%s = \"reject\"\nlisteners = { a = { role = \"%s\" "
			    "%s } }", option, role_word(role),
			    role == ROLE_RELAY ? "account = \"a@example.org\"" : "");
			assert_null(load_raw(ctx, *state, text, &error));
			if (!says(ctx, error, ((struct place *)*state)->conf, 3,
				mem_printf(ctx, "%s has no effect here: ", option)))
				fail_msg("%s without role %s: %s", option, role_word(role), error);
			talloc_free(ctx);
		}
	}
}

/*
 * Every option of every group, and a file in which it has no effect, with the line and the reason.
 * Without text it has one everywhere. A new option fails this test until it has a row.
 */
struct effect_row {
	const char *what;	/* of the group */
	const char *option;
	const char *text;	/* of the whole file, or NULL */
	const char *part;	/* of the error, or NULL: for accounts, whose own option has it */
};

#define INET		"listen = \"inet:127.0.0.1:1\" authserv_id = \"mx.example.org\" "
#define IN		INET "listeners = { mx = { role = \"inbound\" } }\n"
#define OUT		INET "listeners = { out = { role = \"submission\" } }\n"
#define TOP		"the configuration file"
#define ALWAYS(what, option)	{ what, option, NULL, NULL }
#define SENDS_ONLY	"it works on the roles submission, relay and local"
#define USERS_ONLY	"it works on role submission"
#define INBOUND_ONLY	"it works on role inbound"
#define REDIS_OTHER(option)							\
	INET "redis = { a = { server = \"unix:/x\"\n" option " } }\n" "owners = \"redis:a:%s\"\n"
#define PLAN(option)	INET "plans = { p = {\n" option " } } default_plan = \"p\"\n"
#define DKIM(option)	INET "dkim = {\n" option " }\n"
#define SECTION(option)	INET "dkim = { domains = ( { domain = \"a.example\"\n" option " } ) }\n"

static const struct effect_row effect_rows[] = {
	ALWAYS(TOP, "mode"),
	ALWAYS(TOP, "listen"),
	{ TOP, "listen_mode", INET "\nlisten_mode = \"0660\"", "a socket in the file system" },
	{ TOP, "listen_group", INET "\nlisten_group = \"g\"", "a socket in the file system" },
	ALWAYS(TOP, "peers"),
	ALWAYS("peers", "users"),
	{ "peers", "networks", INET "peers = { users = \"root\"\nnetworks = \"10.0.0.0/8\" }", "other hosts cannot connect" },
	ALWAYS(TOP, "control"),
	{ TOP, "control_group", INET "\ncontrol_group = \"g\"", "there is no control socket" },
	{ TOP, "control_read_group", INET "\ncontrol_read_group = \"g\"", "there is no control socket" },
	ALWAYS(TOP, "user"),
	ALWAYS(TOP, "log"),
	ALWAYS(TOP, "log_format"),
	ALWAYS(TOP, "realm"),
	ALWAYS(TOP, "recipient_delimiter"),
	ALWAYS(TOP, "authserv_id"),
	ALWAYS(TOP, "help_url"),
	ALWAYS(TOP, "replies"),
	{ TOP, "keys", IN "keys = \"/k\"", SENDS_ONLY },
	ALWAYS(TOP, "dkim"),
	{ TOP, "require_tls", IN "require_tls = true", USERS_ONLY },
	{ TOP, "owners", IN "owners = \"texthash:/o\"", SENDS_ONLY },
	{ TOP, "mailboxes", IN "mailboxes = \"texthash:/o\"", USERS_ONLY },
	{ TOP, "login_map", IN "login_map = \"texthash:/o\"", USERS_ONLY },
	{ TOP, "allowed_networks", IN "allowed_networks = \"texthash:/o\"", USERS_ONLY },
	ALWAYS(TOP, "restricted_recipients"),
	{ TOP, "accounts", IN "accounts = ( )", SENDS_ONLY },
	ALWAYS(TOP, "listeners"),
	ALWAYS(TOP, "store"),
	ALWAYS(TOP, "redis"),
	ALWAYS(TOP, "dns"),
	{ TOP, "spf", OUT "spf = { explain = false }", INBOUND_ONLY },
	{ TOP, "tables", INET "owners = \"texthash:/o\"\ntables = { timeout = \"2 s\" }", "no option names one" },
	ALWAYS(TOP, "history"),
	ALWAYS(TOP, "event_command"),
	{ TOP, "event_timeout", INET "\nevent_timeout = \"5 s\"", "there is no event_command" },
	ALWAYS(TOP, "plans_file"),
	ALWAYS(TOP, "drain_timeout"),
	{ TOP, "default_plan", IN "default_plan = \"p\" plans = { p = { } }", SENDS_ONLY },
	{ TOP, "plan_of", IN "plan_of = \"texthash:/o\"", SENDS_ONLY },
	{ TOP, "domain_plan", IN "domain_plan = \"p\" plans = { p = { } }", SENDS_ONLY },
	{ TOP, "domain_plan_of", IN "domain_plan_of = \"texthash:/o\"", SENDS_ONLY },
	{ TOP, "pool_of", IN "pool_of = \"texthash:/o\" pool_plan_of = \"texthash:/o\"", SENDS_ONLY },
	{ TOP, "pool_plan", IN "pool_plan = \"p\" pool_of = \"texthash:/o\" plans = { p = { } }", SENDS_ONLY },
	{ TOP, "pool_plan_of", IN "pool_plan_of = \"texthash:/o\" pool_of = \"texthash:/o\"", SENDS_ONLY },
	{ TOP, "network_of", IN "network_of = \"cidr:/o\" network_plan_of = \"texthash:/o\"", SENDS_ONLY },
	{ TOP, "network_plan", IN "network_plan = \"p\" network_of = \"cidr:/o\" plans = { p = { } }", SENDS_ONLY },
	{ TOP, "network_plan_of", IN "network_plan_of = \"texthash:/o\" network_of = \"cidr:/o\"", SENDS_ONLY },
	{ TOP, "country_of", INET "default_plan = \"p\" plans = { p = { } }\ncountry_of = \"cidr:/o\"", "no plan counts countries or failed-logins" },
	{ TOP, "asn_of", INET "default_plan = \"p\" plans = { p = { } }\nasn_of = \"cidr:/o\"", "no plan counts networks or failed-logins" },
	{ TOP, "plans", IN "plans = { a = { } }", SENDS_ONLY },
	ALWAYS("a listener", "role"),
	ALWAYS("a listener", "daemon"),
	ALWAYS("a listener", "port"),
	ALWAYS("a listener", "client"),
	ALWAYS("a listener", "pickup"),
	ALWAYS("a listener", "login"),
	ALWAYS("a listener", "mode"),
	{ "a listener", "require_tls", INET "listeners = { a = { role = \"local\"\nrequire_tls = true } }", USERS_ONLY },
	{ "a listener", "owners", INET "listeners = { a = { role = \"inbound\"\nowners = \"texthash:/o\" } }", SENDS_ONLY },
	{ "a listener", "mailboxes", INET "listeners = { a = { role = \"local\"\nmailboxes = \"texthash:/o\" } }", USERS_ONLY },
	{ "a listener", "account", INET "listeners = { a = { role = \"local\"\naccount = \"a@example.org\" } }", "it works on role relay" },
	{ "a listener", "client_accounts", INET "listeners = { a = { role = \"submission\"\nclient_accounts = \"cidr:/o\" } }", "it works on role relay" },
	{ "a listener", "sign_as", INET "listeners = { a = { role = \"local\"\nsign_as = \"example.org\" } }", "there are no keys" },
	{ "an account", "login", IN "accounts = ( {\nlogin = \"a@example.org\" } )", NULL },
	{ "an account", "owns", IN "accounts = ( { login = \"a@example.org\"\nowns = \"@b.example\" } )", NULL },
	{ "an account", "plan", IN "plans = { p = { } } accounts = ( { login = \"a@example.org\"\nplan = \"p\" } )", NULL },
	{ "an account", "allowed_networks", INET "listeners = { a = { role = \"local\" } } accounts = ( { login = \"a@example.org\"\nallowed_networks = \"10.0.0.1\" } )", USERS_ONLY },
	{ "an account", "mode", IN "accounts = ( { login = \"a@example.org\"\nmode = \"watch\" } )", NULL },
	{ "a redis server", "server", INET "redis = { a = {\nserver = \"unix:/x\" } }", "nothing uses this Redis" },
	{ "a redis server", "cluster", INET "redis = { a = { server = \"unix:/x\"\ncluster = true } }", "nothing uses this Redis" },
	{ "a redis server", "sentinels", INET "redis = { a = { master = \"m\"\nsentinels = \"inet:127.0.0.1:1\" } }", "nothing uses this Redis" },
	ALWAYS("a redis server", "master"),
	{ "a redis server", "sentinel_user", REDIS_OTHER("sentinel_user = \"u\" sentinel_password_file = \"/p\""), "it is for sentinels" },
	{ "a redis server", "sentinel_password_file", REDIS_OTHER("sentinel_password_file = \"/p\""), "it is for sentinels" },
	ALWAYS("a redis server", "tls"),
	{ "a redis server", "tls_ca_cert_file", REDIS_OTHER("tls_ca_cert_file = \"/c\""), "it needs tls = true" },
	{ "a redis server", "tls_cert_file", REDIS_OTHER("tls_cert_file = \"/c\""), "it needs tls = true" },
	{ "a redis server", "tls_key_file", REDIS_OTHER("tls_key_file = \"/c\""), "it needs tls = true" },
	{ "a redis server", "tls_name", REDIS_OTHER("tls_name = \"c.example\""), "it needs tls = true" },
	{ "a redis server", "user", REDIS_OTHER("user = \"u\""), "write password_file" },
	ALWAYS("a redis server", "password_file"),
	ALWAYS("a redis server", "database"),
	{ "a redis server", "prefix", REDIS_OTHER("prefix = \"p:\""), "this Redis is not the store" },
	{ "a redis server", "deadline", REDIS_OTHER("deadline = \"1 s\""), "this Redis is not the store" },
	{ "a redis server", "on_away", REDIS_OTHER("on_away = \"accept\""), "this Redis is not the store" },
	{ "a redis server", "away_file", REDIS_OTHER("away_file = \"/a\""), "this Redis is not the store" },
	ALWAYS("dns", "servers"),
	{ "dns", "timeout", OUT "dns = { timeout = \"5 s\" }", "nothing is waited for" },
	{ "dns", "cache", OUT "owners = \"texthash:/o\" keys = \"/k\" dkim = { check_dns = false } "
	    "dns = { cache = 5 }", "DNS is queried on role inbound" },
	ALWAYS("dns", "trust_anchor"),
	{ "tables", "timeout", INET "tables = {\ntimeout = \"1 s\" }", "no option names one" },
	{ "tables", "connections", INET "owners = \"cidr:/o\" tables = {\nconnections = 2 }", "no option names one" },
	{ "tables", "cache", INET "tables = {\ncache = 5 }", "no option names one" },
	{ "tables", "cache_time", INET "owners = \"mysql:/o\" tables = { cache = 0\ncache_time = \"5 s\" }", "cache = 0" },
	{ "tables", "negative_time", INET "owners = \"mysql:/o\" tables = { cache = 0\nnegative_time = \"5 s\" }", "cache = 0" },
	ALWAYS("history", "messages"),
	{ "history", "days", INET "history = { messages = 0\ndays = 5 }", "keeps no decisions" },
	ALWAYS("history", "accounts"),
	{ "dkim", "key_table", IN "dkim = { key_table = \"/k\" signing_table = \"/s\" }", SENDS_ONLY },
	{ "dkim", "signing_table", IN "dkim = { signing_table = \"/s\" key_table = \"/k\" }", SENDS_ONLY },
	{ "dkim", "base_directory", DKIM("base_directory = \"/k\""), "it is for key_table" },
	{ "dkim", "multiple_signatures", DKIM("multiple_signatures = false"), "it is for key_table" },
	{ "dkim", "check_dns", DKIM("check_dns = false"), "there are no keys" },
	{ "dkim", "sign_headers", DKIM("sign_headers = [\"Subject\"]"), "there are no keys" },
	{ "dkim", "line_length_limit", DKIM("line_length_limit = 0"), "there are no keys" },
	{ "dkim", "canonicalization", DKIM("canonicalization = \"relaxed/simple\""), "there are no keys" },
	{ "dkim", "expire_after", DKIM("expire_after = \"5 days\""), "there are no keys" },
	{ "dkim", "identity", DKIM("identity = \"none\""), "there are no keys" },
	{ "dkim", "subdomains", DKIM("subdomains = true key_table = \"/k\" signing_table = \"/s\""), "a signing table has patterns" },
	{ "dkim", "on_missing_key", DKIM("on_missing_key = \"reject\""), "there are no keys" },
	{ "dkim", "domains", DKIM("domains = ( )"), "there are no keys" },
	{ "dkim", "min_key_bits", OUT "dkim = { min_key_bits = 2048 }", INBOUND_ONLY },
	{ "dkim", "max_signatures", OUT "dkim = { max_signatures = 5 }", INBOUND_ONLY },
	{ "dkim", "clock_drift", OUT "dkim = { clock_drift = \"1 s\" }", INBOUND_ONLY },
	{ "dkim", "trust_partial_body", OUT "dkim = { trust_partial_body = false }", INBOUND_ONLY },
	{ "a domain of dkim", "domain", INET "keys = \"/k\" dkim = { domains = ( {\ndomain = \"a.example\" } ) }", "sets nothing" },
	{ "a domain of dkim", "canonicalization", SECTION("canonicalization = \"simple\""), "there are no keys" },
	{ "a domain of dkim", "expire_after", SECTION("expire_after = \"5 days\""), "there are no keys" },
	{ "a domain of dkim", "identity", SECTION("identity = \"none\""), "there are no keys" },
	{ "a domain of dkim", "subdomains", SECTION("subdomains = true"), "it is for keys" },
	{ "a domain of dkim", "on_missing_key", SECTION("on_missing_key = \"reject\""), "there are no keys" },
	{ "spf", "exempt", OUT "spf = { exempt = \"10.0.0.1\" }", INBOUND_ONLY },
	{ TOP, "dmarc", OUT "dmarc = { overrides = ( ) }", INBOUND_ONLY },
	{ TOP, "own_domains", OUT "own_domains = \"example.org\"", INBOUND_ONLY },
	{ "dmarc", "trusted_forwarders", OUT "dmarc = { trusted_forwarders = \"10.0.0.1\" }",
	    INBOUND_ONLY },
	{ "dmarc", "overrides", OUT "dmarc = { overrides = ( ) }", INBOUND_ONLY },
	{ "dmarc", "report", OUT "dmarc = { report = { from = \"a@b.example\" org = \"B\" } }",
	    INBOUND_ONLY },
	ALWAYS("report", "from"),
	ALWAYS("report", "org"),
	ALWAYS("report", "email"),
	ALWAYS("report", "extra_contact_info"),
	ALWAYS("report", "sendmail"),
	{ "an override", "client", NULL, NULL },
	{ "an override", "policy", NULL, NULL },
	{ "spf", "trusted_relays", OUT "spf = { trusted_relays = \"10.0.0.1\" }", INBOUND_ONLY },
	{ "spf", "overrides", OUT "spf = { overrides = ( ) }", INBOUND_ONLY },
	{ "spf", "explain", OUT "spf = { explain = true }", INBOUND_ONLY },
	{ "spf", "received_spf", OUT "spf = { received_spf = true }", INBOUND_ONLY },
	{ "spf", "strict_voids", OUT "spf = { strict_voids = true }", INBOUND_ONLY },
	{ "spf", "void_limit", OUT "spf = { void_limit = 2 }", INBOUND_ONLY },
	{ "spf", "timeout", OUT "spf = { timeout = \"20 s\" }", INBOUND_ONLY },
	ALWAYS("an override", "domain"),
	ALWAYS("an override", "record"),
	ALWAYS("a plan", "like"),
	ALWAYS("a plan", "limits"),
	ALWAYS("a plan", "max_recipients"),
	ALWAYS("a plan", "max_size"),
	{ "a plan", "warn_at", PLAN("warn_at = \"80%\""), "it is about limits" },
	{ "a plan", "on_over", PLAN("on_over = \"reject\" limits = \"unlimited\""), "it is about limits" },
	{ "a plan", "block_on", INET "domain_plan = \"p\" plans = { p = {\nblock_on = \"5 foreign-senders per hour\" block_for = \"1 hour\" } }", "no account has this plan" },
	{ "a plan", "not_counted_in", INET "domain_plan = \"p\" plans = { p = {\nnot_counted_in = \"pool\" } }", "no account has this plan" },
	{ "a plan", "block_for", PLAN("block_for = \"1 hour\""), "it needs a reason" },
	{ "a plan", "block_grows", PLAN("block_grows = 4"), "it needs a reason" },
	{ "a plan", "block_action", PLAN("block_action = \"hold\""), "it needs a reason" },
};

/* effect_row - the row of an option, or NULL; the plans file's options are those of the other */
static const struct effect_row *
effect_row(const char *what, const char *option)
{
	for (size_t i = 0; i < COUNT(effect_rows); i++)
		if (strcmp(effect_rows[i].option, option) == 0 &&
		    (strcmp(effect_rows[i].what, what) == 0 ||
			(strcmp(what, "the plans file") == 0 && strcmp(effect_rows[i].what, TOP) == 0)))
			return &effect_rows[i];
	return NULL;
}

static void
test_every_option_says_where_it_works(void **state)
{
	const struct option_group *const *groups = config_option_groups();
	size_t n = 0;

	(void)state;
	for (size_t g = 0; groups[g] != NULL; g++) {
		for (const struct option *option = groups[g]->rows; option->name != NULL; option++) {
			const struct effect_row *row = effect_row(groups[g]->what, option->name);

			n++;
			if (option->works == WORKS_UNSAID)
				fail_msg("%s of %s does not say where it works (options.h)", option->name,
				    groups[g]->what);
			if (row == NULL)
				fail_msg("%s of %s has no row in this test", option->name, groups[g]->what);
			if ((option->works == WORKS_ALWAYS) !=
			    (row->text == NULL && row->part == NULL))
				fail_msg("%s of %s has an effect everywhere, or not?", option->name,
				    groups[g]->what);
		}
	}
	assert_true(n > 100);
}

/* line_of - the line in which an option stands */
static unsigned int
line_of(TALLOC_CTX *ctx, const char *text, const char *option)
{
	const char *setting = mem_printf(ctx, "%s = ", option);
	const char *at = strstr(text, setting);
	unsigned int line = 1;

	while (at != NULL && at > text && strchr(" \n", at[-1]) == NULL)
		at = strstr(at + 1, setting);
	assert_non_null(at);
	for (const char *p = text; p < at; p++)
		line += *p == '\n';
	return line;
}

static void
test_options_without_effect(void **state)
{
	const struct place *place = *state;

	for (size_t i = 0; i < COUNT(effect_rows); i++) {
		const struct effect_row *row = &effect_rows[i];
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error = NULL, *start;
		unsigned int line;

		if (row->text == NULL) {
			talloc_free(ctx);
			continue;
		}
		line = line_of(ctx, row->text, row->option);
		start = mem_printf(ctx, "%s has no effect ", row->option);
		if (load_raw(ctx, place, row->text, &error) != NULL)
			fail_msg("%s of %s was taken", row->option, row->what);
		if (!says(ctx, error, place->conf, line, start) ||
		    (row->part != NULL && strstr(error, row->part) == NULL))
			fail_msg("%s of %s: %s", row->option, row->what, error);
		talloc_free(ctx);
	}
}

/* A group without options sets nothing, so it cannot be without effect. */
static void
test_empty_groups(void **state)
{
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)load_good(ctx, place, "empty groups",
	    "listeners = { out = { role = \"submission\" } }\n"
	    "spf = { }\ndmarc = { }\ndns = { }\ntables = { }\nhistory = { }\ndkim = { }");
	(void)load_good(ctx, place, "empty plans",
	    "listeners = { in = { role = \"inbound\" } }\nplans = { }");
	talloc_free(ctx);
}

/* Who may connect. */
static void
test_peers(void **state)
{
	static const struct mistake rows[] = {
		{ "peers = {\n}", 2, "peers is empty" },
		{ "peers = { users = [ ] }", 2, "peers is empty" },
		{ "peers = {\nusers = [\"root\", \"no such user\"] }", 3, "\"no such user\" is not a user of this host" },
		{ "peers = {\nusers = \"4294967295\" }", 3, "is not a user of this host" },
		{ "peers = {\nusers = \"99999999999999999999\" }", 3, "is not a user of this host" },
		{ "peers = {\nnetworks = \"10.0.0.1/8\" }", 3, "has bits set after its prefix" },
		{ "peers = \"postfix\"", 2, "peers must be a group in braces" },
	};
	static const struct {
		const char *text;
		const char *warning; /* NULL: none */
	} warned[] = {
		{ "listen = \"unix:/x\"", NULL },
		{ "listen = \"inet:127.0.0.1:1\" peers = { users = \"root\" }", NULL },
		{ "listen = \"inet:127.0.0.1:1\"", "every program of this host" },
		{ "listen = \"inet:localhost:1\"", "every program of this host" },
		{ "listen = \"inet6:[::1]:1\"", "every program of this host" },
		{ "listen = \"inet:0.0.0.0:1\"", "every host that reaches this port" },
		{ "listen = \"inet:1@192.0.2.1\"", "every host that reaches this port" },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct config *config;

	check_mistakes(*state, rows, COUNT(rows));
	config = load_good(ctx, *state, "peers", "peers = { users = [\"root\", \"4711\"] }");
	assert_true(config->peers.given);
	assert_int_equal(config->peers.n_users, 2);
	assert_int_equal(config->peers.users[0], 0);
	assert_int_equal(config->peers.users[1], 4711);
	for (size_t i = 0; i < COUNT(warned); i++) {
		const char *error = NULL;

		config = load_raw(ctx, *state, mem_printf(ctx, "authserv_id = \"mx.example.org\" %s",
		    warned[i].text), &error);
		assert_non_null(config);
		if ((config->warnings == NULL) != (warned[i].warning == NULL) ||
		    (config->warnings != NULL && strstr(config->warnings, warned[i].warning) == NULL))
			fail_msg("%s: %s", warned[i].text, config->warnings);
	}
	talloc_free(ctx);
}

/* Values without companions are refused for actions as well. */
static void
test_actions_without_companion(void **state)
{
	static const struct mistake rows[] = {
		{ "on_no_listener = \"reject\"", 2, "every connection has a listener here" },
		{ "on_inbound_login = \"reject\"", 2, "without listeners, mail with a login has role submission" },
		{ "on_dmarc_quarantine = \"warn\"", 2, "no policy is obeyed" },
		{ "on_dmarc_quarantine = \"warn\" on_dmarc_fail = \"reject\"", 2, "no policy is obeyed" },
		{ "on_no_tls = \"warn\" require_tls = false", 2, "TLS is not required" },
		{ "listeners = { a = { role = \"submission\" require_tls = false\non_no_tls = \"warn\" } }", 3, "TLS is not required" },
		{ "listeners = { a = { role = \"relay\" account = \"a@example.org\"\non_no_account = \"warn\" } }", 3, "account answers for every client" },
		{ "on_foreign_network = \"warn\"", 2, "write allowed_networks" },
		{ "on_restricted_recipient = \"warn\"", 2, "write restricted_recipients" },
		{ "on_too_many_recipients = \"warn\"", 2, "no plan has max_recipients" },
		{ "on_too_large = \"warn\"", 2, "no plan has max_size" },
		{ "on_over = \"reject\"", 2, "no plan has limits" },
		{ "on_lookup_failure = \"warn\"", 2, "no option names a table" },
		{ "owners = \"texthash:/o\" listeners = { u = { role = \"submission\" port = 587 } mx = { role = \"inbound\"\non_lookup_failure = \"warn\" } }", 3, "no option names a table" },
		{ "on_missing_key = \"reject\"", 2, "there are no keys" },
		{ "on_signing_failure = \"reject\"", 2, "there are no keys" },
		{ "listeners = { php = { role = \"local\" } }\non_foreign_from = \"tempfail\"", 3, "would stay in maildrop; write reject or quarantine" },
		{ "listeners = { out = { role = \"submission\" } }\non_no_listener = \"reject\"", 3, "every connection has a listener here" },
		{ "plans = { p = { max_recipients = 5 } }", 2, "plans has no effect here: none of these plans is used" },
		{ "accounts = ( { login = \"a@example.org\" } )\nplans = { p = { } q = { like = \"p\" } }", 3, "plans has no effect" },
		{ "listeners = { mx = { role = \"inbound\"\non_inbound_login = \"accept\" } }", 2, "must be tempfail or reject" },
		{ "listeners = { mx = { role = \"inbound\" } }\non_inbound_login = \"warn\"", 3, "must be tempfail or reject" },
	};

	check_mistakes(*state, rows, COUNT(rows));
}

/* What looks as if it had no effect, and has one. */
static void
test_options_with_effect(void **state)
{
	static const char *const texts[] = {
		"plans = { p = { warn_at = \"80%\" limits = \"1 message per day\" } } default_plan = \"p\"",
		"plans = { base = { on_over = \"reject\" } p = { like = \"base\" limits = \"1 message per day\" } } default_plan = \"p\"",
		"plans = { a = { } b = { } } plan_of = \"texthash:/o\"",
		"listeners = { mx = { role = \"inbound\" } } on_no_listener = \"reject\"",
		"listeners = { out = { role = \"submission\" port = 587 } } on_no_listener = \"reject\"",
		"listeners = { out = { role = \"submission\" client = [\"0.0.0.0/1\", \"128.0.0.0/1\"] } } on_no_listener = \"reject\"",
		"listeners = { php = { role = \"local\" pickup = true } u = { role = \"submission\" } } on_foreign_from = \"tempfail\"",
		"redis = { t = { server = \"unix:/x\" user = \"u\" password_file = \"/p\" } } owners = \"proxy:redis:t:owner:%s\"",
		"owners = \"unionmap:{texthash:/a, proxy:mysql:/o}\" tables = { cache_time = \"5 s\" }",
		"redis = { t = { server = \"unix:/x\" } } owners = \"pipemap:{texthash:/a,redis:t:%s}\"",
		"owners = \"proxy:mysql:/o\" tables = { cache_time = \"5 s\" }",
		"accounts = ( { login = \"a@example.org\" } )",
		"plans = { p = { limits = [\"2 countries per day\", \"3 networks per day\"] } } default_plan = \"p\" country_of = \"cidr:/c\" asn_of = \"cidr:/a\"",
		"plans = { p = { limits = \"9 failed-logins per day\" warn_at = \"50%\" } } default_plan = \"p\" country_of = \"cidr:/c\"",
		"plans = { p = { } spare = { block_on = \"5 foreign-senders per hour\" block_for = \"1 hour\" } } default_plan = \"p\"",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);

		(void)load_good(ctx, *state, texts[i], texts[i]);
		talloc_free(ctx);
	}
}

/* A listener behind one that takes all of its connections. */
static void
test_listeners_that_never_match(void **state)
{
#define LISTENERS(first, second)	"listeners = { mx = { role = \"inbound\" " first " }\n" \
	"users = { role = \"submission\" " second " } }"
#define FIRST	"listener users can never match: the first listener that matches takes a message, and mx ("
	static const struct mistake rows[] = {
		{ LISTENERS("", "daemon = [\"ORIGINATING\"]"), 3, FIRST },
		{ LISTENERS("", "daemon = [\"ORIGINATING\"]"), 3, "write users before mx" },
		{ LISTENERS("", ""), 3, "has the same conditions and comes first" },
		{ LISTENERS("daemon = [\"a\", \"B\"]", "daemon = \"b\" port = 587"), 3, FIRST },
		{ LISTENERS("port = [25, 587]", "port = 587"), 3, FIRST },
		{ LISTENERS("port = 25", "port = 25"), 3, "the same conditions" },
		{ LISTENERS("client = \"10.0.0.0/8\"", "client = [\"10.1.0.0/16\", \"10.2.3.4\"]"), 3, FIRST },
		{ LISTENERS("client = [\"10.0.0.0/9\", \"10.128.0.0/9\"]", "client = \"10.0.0.0/8\""), 3, "the same conditions" },
		{ LISTENERS("client = [\"::/0\"]", "client = \"2001:db8::/32\" pickup = false"), 3, FIRST },
		{ LISTENERS("client = \"127.0.0.0/8\"", "client = [\"127.0.0.1\"] pickup = true"), 3, FIRST },
		{ LISTENERS("client = [\"127.0.0.0/8\", \"::1\"]", "pickup = true"), 3, FIRST },
		{ LISTENERS("pickup = false", "client = \"10.0.0.0/8\""), 3, FIRST },
		{ LISTENERS("pickup = true", "pickup = true daemon = \"a\""), 3, FIRST },
		{ LISTENERS("", "login = true"), 3, FIRST },
		{ LISTENERS("login = true", "login = true"), 3, "the same conditions" },
		{ "listeners = { u = { role = \"local\"\n login = true pickup = true } }", 2, "has no login; remove one" },
		{ "listeners = { u = { role = \"local\"\n client = \"10.0.0.1\" pickup = true } }", 2, "is for clients on loopback" },
		/* two together take all of the third */
		{ "listeners = { php = { role = \"local\" pickup = true } mx = { role = \"inbound\" pickup = false }\n"
		  "users = { role = \"submission\" daemon = \"a\" } }", 3, "php (" },
		{ "listeners = { a = { role = \"inbound\" client = \"10.0.0.0/9\" } b = { role = \"inbound\" client = \"10.128.0.0/9\" }\n"
		  "users = { role = \"submission\" client = \"10.0.0.0/8\" } }", 3, "and b (" },
		{ "listeners = { a = { role = \"inbound\" daemon = \"x\" } b = { role = \"inbound\" port = 587 }\n"
		  "users = { role = \"submission\" daemon = [\"x\", \"y\"] port = 587 } }", 3, "users before" },
	};
	static const char *const good[] = {
		LISTENERS("daemon = \"mx\"", ""),
		LISTENERS("login = false", "login = true"),
		LISTENERS("login = false", "client = \"10.0.0.0/8\""),
		LISTENERS("daemon = \"mx\"", "daemon = [\"mx\", \"users\"]"),
		LISTENERS("port = 25", "port = 587"),
		LISTENERS("pickup = false", ""),
		LISTENERS("client = \"10.0.0.0/8\"", "client = [\"10.0.0.0/8\", \"192.0.2.1\"]"),
		LISTENERS("client = [\"0.0.0.0/0\", \"::/0\"]", ""),
		LISTENERS("client = \"10.0.0.0/9\"", "client = \"10.0.0.0/8\""),
		LISTENERS("client = \"10.128.0.0/9\"", "client = \"10.0.0.0/8\""),
		LISTENERS("client = [\"10.0.0.0/9\", \"10.129.0.0/16\"]", "client = \"10.0.0.0/8\""),
		LISTENERS("client = \"255.255.255.255\"", "client = \"255.255.255.254\""),
		LISTENERS("daemon = \"x\" port = 587", "daemon = \"x\""),
	};

	check_mistakes(*state, rows, COUNT(rows));
	for (size_t i = 0; i < COUNT(good); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);

		(void)load_good(ctx, *state, good[i], good[i]);
		talloc_free(ctx);
	}
}

static void
test_owners(void **state)
{
	static const char *const text =
	    "owners = [\"texthash:/a\", \"texthash:/b\"]\n"
	    "listeners = {\n"
	    "  one   = { role = \"submission\"  port = 1 }\n"
	    "  two   = { role = \"submission\"  port = 2  owners = [\"texthash:/c\", \"texthash:/b\"] }\n"
	    "  three = { role = \"submission\"  owners = \"texthash:/c\" }\n"
	    "}\n";
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct config *config = load_good(ctx, *state, "owners", text);
	static const char *const specs[3][2] = {
		{ "texthash:/a", "texthash:/b" }, { "texthash:/c", "texthash:/b" }, { "texthash:/c", NULL },
	};

	/* each table is opened once */
	assert_int_equal(config->tables.n, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct listener *listener = &config->listeners[i];

		assert_int_equal(listener->owner_tables.n, specs[i][1] == NULL ? 1 : 2);
		for (size_t k = 0; k < listener->owner_tables.n; k++)
			assert_string_equal(
			    config->tables.items[listener->owner_tables.indexes[k]], specs[i][k]);
	}
	talloc_free(ctx);
}

static void
test_values(void **state)
{
	static const char *const text =
	    "listen = \"unix:/run/x\" owners = \"redis:spare:%s\"\n"
	    "listen_mode = \"0600\" listen_group = \"postfix\" control = \"/run/c\" control_group = \"adm\"\n"
	    "user = \"countersign\" log = \"stderr\" recipient_delimiter = \"+-\" help_url = \"https://x/\"\n"
	    "drain_timeout = \"1.5 minutes\"\n"
	    "store = \"redis:main\"\n"
	    "redis = { spare = { server = \"inet:localhost:6379\" }\n"
	    "  main = { server = \"unix:/run/redis.sock\" user = \"u\" password_file = \"/p\" database = 3\n"
	    "    prefix = \"cs:\" deadline = \"200ms\" on_away = \"tempfail\" } }\n"
	    "dns = { servers = [\"127.0.0.1\", \"::1\"] timeout = \"5 s\" cache = 0 }\n";
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error = NULL;
	struct config *config = load_raw(ctx, *state, text, &error);

	if (config == NULL)
		fail_msg("values: %s", error);

	assert_int_equal(config->listen_mode, 0600);
	assert_string_equal(config->listen_group, "postfix");
	assert_string_equal(config->control, "/run/c");
	assert_string_equal(config->control_group, "adm");
	assert_string_equal(config->user, "countersign");
	assert_string_equal(config->log, "stderr");
	assert_string_equal(config->delimiter, "+-");
	assert_string_equal(config->help_url, "https://x/");
	assert_int_equal(config->drain_timeout_ms, 90000);
	assert_int_equal(config->store_options.kind, STORE_REDIS);
	assert_string_equal(config->store_options.redis.server, "unix:/run/redis.sock");
	assert_string_equal(config->store_options.redis.user, "u");
	assert_string_equal(config->store_options.prefix, "cs:");
	assert_int_equal(config->store_options.redis.database, 3);
	assert_int_equal(config->store_options.deadline_ms, 200);
	assert_int_equal(config->store_options.on_away, STORE_AWAY_TEMPFAIL);
	assert_string_equal(config->store_password_file, "/p");
	assert_int_equal(config->dns_timeout_ms, 5000);
	assert_int_equal(config->resolver.cache_entries, 0);
	assert_string_equal(config->resolver.servers[0], "127.0.0.1");
	assert_string_equal(config->resolver.servers[1], "::1");
	assert_null(config->resolver.servers[2]);
	talloc_free(ctx);
}

static void
test_durations(void **state)
{
	static const struct { const char *text; long ms; } rows[] = {
		{ "0 s", 0 }, { "1ms", 1 }, { "250 ms", 250 }, { "5s", 5000 }, { "5 s", 5000 },
		{ "5 seconds", 5000 }, { "1 second", 1000 }, { "2 m", 120000 }, { "2 min", 120000 },
		{ "2 mins", 120000 }, { "2 minutes", 120000 }, { "1 Minute", 60000 }, { "0.5 s", 500 },
		{ "10 minutes", 600000 }, { "0.1 hours", 360000 }, { "0.1 h", 360000 },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct config *config = load_good(ctx, *state, rows[i].text,
		    mem_printf(ctx, "drain_timeout = \"%s\"", rows[i].text));

		if (config->drain_timeout_ms != rows[i].ms)
			fail_msg("%s: %ld", rows[i].text, config->drain_timeout_ms);
		talloc_free(ctx);
	}
}

static void
test_plans_file(void **state)
{
	static const char *const plans =
	    "default_plan = \"person\"\n"
	    "plans = { person = { limits = \"100 recipients per hour\" }\n form = { like = \"person\" } }\n";
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct config *config;

	write_text(place->other, plans);
	config = load_good(ctx, place, "plans file",
	    mem_printf(ctx,
		"plans_file = \"%s\"\naccounts = ( { login = \"a@example.org\" plan = \"form\" } )",
		place->other));
	assert_string_equal(config->plans_file, place->other);
	assert_int_equal(config->n_plans, 2);
	assert_string_equal(config->assign.account.plan->name, "person");
	assert_string_equal(config_account(config, "a@example.org")->plan->name, "form");
	assert_int_equal(config_account(config, "a@example.org")->plan->n_limits, 1);
	/* the default may be named in the first file */
	write_text(place->other, strchr(plans, '\n'));
	config = load_good(ctx, place, "default elsewhere", mem_printf(ctx,
	    "plans_file = \"%s\"\ndefault_plan = \"form\"", place->other));
	assert_string_equal(config->assign.account.plan->name, "form");
	/* with what the limits need */
	write_text(place->other, "default_plan = \"p\" country_of = \"cidr:/c\" asn_of = \"cidr:/a\"\n"
	    "plans = { p = { limits = [\"3 countries per day\", \"6 networks per day\"] } }\n");
	config = load_good(ctx, place, "places", mem_printf(ctx, "plans_file = \"%s\"", place->other));
	assert_string_equal(config->country_of.items[0], "cidr:/c");
	assert_string_equal(config->asn_of.items[0], "cidr:/a");
	write_text(place->other, strchr(plans, '\n'));
	/* a path that is not absolute begins beside the first file */
	config = load_good(ctx, place, "beside", mem_printf(ctx,
	    "plans_file = \"%s\"\ndefault_plan = \"form\"\n"
	    "dkim = { key_table = \"KeyTable\" signing_table = \"refile:dkim/SigningTable\" }",
	    strrchr(place->other, '/') + 1));
	assert_string_equal(config->plans_file, place->other);
	assert_string_equal(config->dkim.key_table, mem_printf(ctx, "%s/KeyTable", place->dir));
	assert_string_equal(config->dkim.signing_table,
	    mem_printf(ctx, "refile:%s/dkim/SigningTable", place->dir));
	talloc_free(ctx);
}

static void
test_plans_file_mistakes(void **state)
{
	/* what the plans file says, and what is told of it; it cannot reopen a listener */
	static const struct { const char *plans; unsigned int line; const char *part; } rows[] = {
		{ "\nmode = \"enforce\"", 2,
		    "unknown option \"mode\" in the plans file; it is an option of the configuration file" },
		{ "listen = \"inet:0.0.0.0:1\"", 1, "unknown option \"listen\" in the plans file" },
		{ "listeners = { }", 1, "unknown option \"listeners\" in the plans file" },
		{ "accounts = ( )", 1, "unknown option \"accounts\" in the plans file" },
		{ "on_over = \"accept\"", 1, "unknown option \"on_over\" in the plans file" },
		{ "plans_file = \"/x\"", 1, "unknown option \"plans_file\" in the plans file" },
		{ "\n\nplan = { }", 3, "did you mean \"plans\"?" },
		{ "plans = { a = {\n limits = [\"many\"] } }", 2, "limit" },
		{ "plans = { a = {\n on_over = \"drop\" } }", 2, "known are: accept" },
		{ "plans = { a = { }", 1, "syntax error" },
		{ "\n/* no end", 2, "this comment has no end" },
		{ "plans = { }\nplans = { }", 2, "duplicate" },
	};
	const struct place *place = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error;

		write_text(place->other, rows[i].plans);
		if (load_text(ctx, place, mem_printf(ctx, "plans_file = \"%s\"", place->other),
			&error) != NULL)
			fail_msg("%s: taken", rows[i].plans);
		if (!says(ctx, error, place->other, rows[i].line, rows[i].part))
			fail_msg("%s: not at line %u: %s", rows[i].plans, rows[i].line, error);
		talloc_free(ctx);
	}
}

/* Plans in both files, a plans file that is not there, and mistakes of both files told at once. */
static void
test_two_files(void **state)
{
	static const char *const plans = "\nplans = { a = { } }\n";
	const struct place *place = *state;
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *error;

	write_text(place->other, plans);
	assert_null(load_text(ctx, place,
	    mem_printf(ctx, "plans_file = \"%s\"\nplans = { b = { } }", place->other), &error));
	assert_true(says(ctx, error, place->other, 2,
	    "plans are given in the configuration file already; keep one of the two"));
	assert_null(load_text(ctx, place, mem_printf(ctx, "plans_file = \"%s\"\naccounts = (\n"
	    "{ login = \"a@example.org\" plan = \"gold\" } )", place->other), &error));
	assert_true(says(ctx, error, place->conf, 4, "plan \"gold\" is not among the plans"));
	write_text(place->other, "default_plan = \"a\" plans = { a = { } }\n");
	assert_null(load_text(ctx, place,
	    mem_printf(ctx, "plans_file = \"%s\"\ndefault_plan = \"a\"", place->other), &error));
	assert_non_null(strstr(error, "default_plan is given already"));
	assert_non_null(strstr(error, "); keep one of the two"));
	write_text(place->other, "\ncountry_of = \"cidr:/c\"\n");
	assert_null(load_text(ctx, place,
	    mem_printf(ctx, "plans_file = \"%s\"\ncountry_of = \"cidr:/d\"", place->other), &error));
	assert_true(says(ctx, error, place->other, 2, "country_of is given in "));
	write_text(place->other, "frob = 1\n");
	assert_null(load_text(ctx, place, mem_printf(ctx, "plans_file = \"%s\"\naccounts = (\n"
	    "{ login = \"a@example.org\" plan = \"gold\" } )", place->other), &error));
	assert_true(says(ctx, error, place->conf, 4, "plan \"gold\" is not among the plans"));
	assert_true(says(ctx, error, place->other, 1, "unknown option \"frob\""));
	assert_int_equal(unlink(place->other), 0);
	assert_null(
	    load_text(ctx, place, mem_printf(ctx, "plans_file = \"%s\"", place->other), &error));
	assert_non_null(strstr(error, mem_printf(ctx, "%s: cannot be opened", place->other)));
	talloc_free(ctx);
}

static void
test_fixed_difference(void **state)
{
	/* whole files */
#define BASE	"authserv_id = \"mx.example.org\"\n"
#define TCP	BASE "listen = \"inet:127.0.0.1:1\"\n"
#define REDIS(more)	TCP "store = \"redis:a\" redis = { a = { server = \"unix:/x\" " more " } }"
#define UNIX	BASE "listen = \"unix:/x\"\n"
#define PLANS	"plans = { p = { limits = \"1 message per day\" } } default_plan = \"p\""
#define CONTROL	TCP "control = \"/c\""
	static const struct { const char *label, *old, *new, *option; } rows[] = {
		{ "the same", TCP, TCP, NULL },
		{ "mode", TCP, TCP "mode = \"enforce\"", NULL },
		{ "actions", TCP, TCP PLANS " on_over = \"reject\"", NULL },
		{ "listeners", TCP, TCP "listeners = { a = { role = \"inbound\" } }", NULL },
		{ "accounts and plans", TCP, TCP "accounts = ( { login = \"a@example.org\" } ) plans = { p = { } } default_plan = \"p\"", NULL },
		{ "keys", TCP "keys = \"/a\"", TCP "keys = \"/b\"", NULL },
		{ "drain", TCP, TCP "drain_timeout = \"1 s\"", NULL },
		{ "DNS timeout", TCP, TCP "dns = { timeout = \"1 s\" }", NULL },
		{ "another Redis than ours", TCP, TCP "owners = \"redis:b:%s\" redis = { b = { server = \"unix:/y\" } }", NULL },
		{ "listen", TCP, BASE "listen = \"inet:127.0.0.1:2\"", "listen" },
		{ "listen_mode", UNIX, UNIX "listen_mode = \"0600\"", "listen" },
		{ "listen_group", UNIX, UNIX "listen_group = \"g\"", "listen" },
		{ "control comes", TCP, TCP "control = \"/c\"", "control" },
		{ "control moves", TCP "control = \"/c\"", TCP "control = \"/d\"", "control" },
		{ "control_group", CONTROL, CONTROL " control_group = \"g\"", "control" },
		{ "user", TCP "user = \"a\"", TCP "user = \"b\"", "user" },
		{ "log", TCP, TCP "log = \"stderr\"", "log" },
		{ "store to a file", TCP, TCP "store = \"file:/c\"", "store" },
		{ "store to another file", TCP "store = \"file:/c\"", TCP "store = \"file:/d\"", "store" },
		{ "store to Redis", TCP, REDIS(""), "store" },
		{ "the same Redis", REDIS("database = 1"), REDIS("database = 1"), NULL },
		{ "Redis database", REDIS(""), REDIS("database = 1"), "store" },
		{ "Redis user", REDIS("password_file = \"/p\""), REDIS("user = \"u\" password_file = \"/p\""), "store" },
		{ "Redis password", REDIS(""), REDIS("password_file = \"/p\""), "store" },
		{ "Redis prefix", REDIS(""), REDIS("prefix = \"p:\""), "store" },
		{ "Redis deadline", REDIS(""), REDIS("deadline = \"1 s\""), "store" },
		{ "Redis away", REDIS(""), REDIS("on_away = \"accept\""), "store" },
		{ "its file", REDIS(""), REDIS("away_file = \"/a\""), "store" },
		{ "DNS server comes", TCP, TCP "dns = { servers = \"127.0.0.1\" }", "dns" },
		{ "DNS server changes", TCP "dns = { servers = \"127.0.0.1\" }", TCP "dns = { servers = \"127.0.0.2\" }", "dns" },
		{ "DNS cache", TCP, TCP "dns = { cache = 5 }", "dns" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *error;
		struct config *old = load_raw(ctx, *state, rows[i].old, &error);
		struct config *new =
		    old == NULL ? NULL : load_raw(ctx, *state, rows[i].new, &error);
		const char *there, *back;

		if (new == NULL)
			fail_msg("%s: %s", rows[i].label, error);
		there = config_fixed_difference(old, new);
		back = config_fixed_difference(new, old);
		if ((there == NULL) != (rows[i].option == NULL) ||
		    (there == NULL) != (back == NULL) ||
		    (there != NULL &&
			(strcmp(there, rows[i].option) != 0 || strcmp(back, rows[i].option) != 0)))
			fail_msg("%s: %s, %s", rows[i].label, there, back);
		talloc_free(ctx);
	}
}

/* The mode of an account is its own, or that of the listeners that take its mail. */
static void
test_account_mode(void **state)
{
	static const struct { const char *text; enum mode login, any; } rows[] = {
		{ "", MODE_WATCH, MODE_WATCH },
		{ "mode = \"enforce\"\n", MODE_ENFORCE, MODE_ENFORCE },
		{ "listeners = { users = { role = \"submission\"  daemon = [\"U\"]  mode = \"enforce\" }\n"
		  "mx = { role = \"inbound\"  daemon = [\"MX\"] }  mail = { role = \"submission\" } }\n",
		    MODE_ENFORCE, MODE_ENFORCE },
		{ "listeners = { users = { role = \"submission\"  daemon = [\"U\"] }\n"
		  "php = { role = \"local\"  pickup = true  mode = \"enforce\" }\n"
		  "mx = { role = \"inbound\"  mode = \"enforce\" } }\n", MODE_WATCH, MODE_ENFORCE },
		{ "mode = \"enforce\"\nlisteners = { users = { role = \"submission\"  daemon = [\"U\"]\n"
		  "mode = \"watch\" }  mx = { role = \"inbound\" } }\n", MODE_WATCH, MODE_WATCH },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const char *text = mem_printf(ctx, "%saccounts = ( { login = \"own@x.example\"  "
		    "mode = \"watch\" }, { login = \"hard@x.example\"  mode = \"enforce\" } )\n",
		    rows[i].text);
		struct config *config = load_good(ctx, *state, rows[i].text, text);

		if (config_account_mode(config, "a@x.example", ROLE_SUBMISSION) != rows[i].login ||
		    config_account_mode(config, "a@x.example", ROLE_AUTO) != rows[i].any)
			fail_msg("%s", rows[i].text);
		assert_int_equal(config_account_mode(config, "own@x.example", ROLE_AUTO), MODE_WATCH);
		assert_int_equal(
		    config_account_mode(config, "hard@x.example", ROLE_SUBMISSION), MODE_ENFORCE);
		talloc_free(ctx);
	}
}

int
main(void)
{
#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_unknown_options),
		TEST(test_wrong_types),
		TEST(test_bounds),
		TEST(test_duration_is_a_number),
		TEST(test_unknown_words),
		TEST(test_accounts_mistakes),
		TEST(test_spf_mistakes),
		TEST(test_spf),
		TEST(test_listeners_mistakes),
		TEST(test_empty_conditions),
		TEST(test_plans_mistakes),
		TEST(test_late_mistakes),
		TEST(test_account_mode),
		TEST(test_listen),
		TEST(test_listen_port),
		TEST(test_listen_missing),
		TEST(test_syntax),
		TEST(test_comments),
		TEST(test_files),
		TEST(test_many_mistakes),
		TEST(test_include),
		TEST(test_include_open_comment),
		TEST(test_defaults),
		TEST(test_small_site),
		TEST(test_account_search),
		TEST(test_listeners),
		TEST(test_inheritance),
		TEST(test_every_action),
		TEST(test_action_without_effect),
		TEST(test_every_option_says_where_it_works),
		TEST(test_options_without_effect),
		TEST(test_empty_groups),
		TEST(test_peers),
		TEST(test_actions_without_companion),
		TEST(test_options_with_effect),
		TEST(test_listeners_that_never_match),
		TEST(test_owners),
		TEST(test_values),
		TEST(test_durations),
		TEST(test_plans_file),
		TEST(test_plans_file_mistakes),
		TEST(test_two_files),
		TEST(test_fixed_difference),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

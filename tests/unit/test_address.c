/*
 * test_address.c - SMTP paths, and several hundred From values
 *
 * The tables are in two minds, as the parser must be: what mail programs write has
 * to pass, with the right address; what spoofers write has to be malformed, or to
 * yield the address that is really in it, or at least a finding.
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

#include "policy/base/address_list.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

static const struct address_rules strict = { .fold_local = true };
static const struct address_rules keep_case = { .fold_local = false };
static const struct address_rules with_default = {
	.fold_local = true,
	.default_domain = "host.example",
};

/* A From value; finding: '-' plain, 'a' address, 'm' mailbox, 'o' override. */
struct row {
	const char *label;
	const char *value;
	const char *addresses;	/* normal forms divided by blanks; NULL: malformed */
	char finding;		/* of the first mailbox; NUL counts as '-' */
	const char *text; /* of the first mailbox: what is shown, or the display name if plain;
			     NULL: not compared */
};

/* finding_letter - how a finding is written in the tables */
static char
finding_letter(enum address_display finding)
{
	return finding == ADDRESS_DISPLAY_PLAIN ? '-' :
	    finding == ADDRESS_DISPLAY_ADDRESS ? 'a' :
	    finding == ADDRESS_DISPLAY_MAILBOX ? 'm' : 'o';
}

/* joined - the addresses of all mailboxes, divided by blanks */
static char *
joined(TALLOC_CTX *ctx, const struct mailbox *mailboxes, size_t n)
{
	char *all = mem_strdup(ctx, "");

	for (size_t i = 0; i < n; i++)
		all = mem_printf(ctx, "%s%s%s", all, i == 0 ? "" : " ",
		    mailboxes[i].address.full);
	return all;
}

/* row_holds - does the parser say what the row wants? */
static bool
row_holds(TALLOC_CTX *ctx, const struct row *row, const struct address_rules *rules)
{
	struct mailbox *mailboxes;
	const char *error = NULL, *all, *text;
	char wanted = row->finding == '\0' ? '-' : row->finding;
	size_t n = 0;
	int rc = address_parse_list(ctx, row->value, strlen(row->value), rules,
	    &mailboxes, &n, &error);

	if (rc < 0) {
		if (row->addresses != NULL)
			print_error("%s: malformed: %s\n", row->label, error);
		if (error == NULL || n != 0 || mailboxes != NULL)
			print_error("%s: no error text\n", row->label);
		return row->addresses == NULL && error != NULL;
	}
	all = joined(ctx, mailboxes, n);
	if (row->addresses == NULL || strcmp(all, row->addresses) != 0) {
		print_error("%s: read as \"%s\"\n", row->label, all);
		return false;
	}
	if (n == 0)
		return true;
	text = wanted == 'a' || wanted == 'm' ? mailboxes[0].shown[0].address :
	    mailboxes[0].display;
	if (finding_letter(mailboxes[0].finding) != wanted ||
	    (row->text != NULL && strcmp(text, row->text) != 0)) {
		print_error("%s: finding %c, text \"%s\"\n", row->label,
		    finding_letter(mailboxes[0].finding), text);
		return false;
	}
	return true;
}

/* check_rows - all rows of a table */
static void
check_rows(const struct row *rows, size_t n, const struct address_rules *rules)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	size_t failed = 0;

	for (size_t i = 0; i < n; i++)
		failed += !row_holds(ctx, &rows[i], rules);
	talloc_free(ctx);
	if (failed > 0)
		fail_msg("%zu of %zu rows failed", failed, n);
}

#define ALICE	"alice@example.org"

/* What the RFCs show as examples, and what follows from their grammar. */
static const struct row rfc_rows[] = {
	{ "addr-spec", " alice@example.org", ALICE, 0, "" },
	{ "no leading space", "alice@example.org", ALICE, 0, "" },
	{ "angle address", " <alice@example.org>", ALICE, 0, "" },
	{ "name-addr", " Alice <alice@example.org>", ALICE, 0, "Alice" },
	{ "upper case", " ALICE@EXAMPLE.ORG", ALICE, 0, NULL },
	{ "RFC 5322 A.1.2 quoted name", " \"Joe Q. Public\" <john.q.public@example.com>", "john.q.public@example.com", 0, "Joe Q. Public" },
	{ "RFC 5322 A.1.2 escapes", " \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>", "sysservices@example.net", 0, "Giant; \"Big\" Box" },
	{ "RFC 5322 A.1.2 list", " Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>", "mary@x.test jdoe@example.org one@y.test", 0, "Mary Smith" },
	{ "RFC 5322 A.1.2 bare and quoted", " <boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>", "boss@nil.test sysservices@example.net", 0, NULL },
	{ "RFC 5322 A.1.3 group", " A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;", "c@a.test joe@where.test jdoe@one.test", 0, "Ed Jones" },
	{ "RFC 5322 A.1.3 empty group", " Undisclosed recipients:;", "", 0, NULL },
	{ "RFC 5322 A.5 comments", " Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "pete@silly.test", 0, NULL },
	{ "RFC 5322 A.5 group with comments", " A Group(Some people)\n     :Chris Jones <c@(Chris's host.)public.example>,\n         joe@example.org,\n  John <jdoe@one.test> (my dear friend); (the end of the group)", "c@public.example joe@example.org jdoe@one.test", 0, NULL },
	{ "RFC 5322 A.5 hidden empty group", " (Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", "", 0, NULL },
	{ "RFC 5322 A.6.1 dots in a phrase", " Joe Q. Public <john.q.public@example.com>", "john.q.public@example.com", 0, "Joe Q. Public" },
	{ "RFC 5322 A.6.1 empty element, blanks around a dot", " mary@example.net, , jdoe@test  . example", "mary@example.net jdoe@test.example", 0, NULL },
	{ "RFC 5322 A.6.3 comment in a domain", " John Doe <jdoe@machine(comment).  example>", "jdoe@machine.example", 0, NULL },
	{ "RFC 6854 group", " Managing Partners:ben@example.com,carol@example.com;", "ben@example.com carol@example.com", 0, NULL },
	{ "RFC 2047 section 8, French", " =?ISO-8859-1?Q?Patrik_F=E4ltstr=F6m?= <paf@nada.kth.se>", "paf@nada.kth.se", 0, "Patrik F\xc3\xa4ltstr\xc3\xb6m" },
	{ "RFC 2047 section 8, comment", " Nathaniel Borenstein <nsb@thumper.bellcore.com>\n (=?iso-8859-8?b?7eXs+SDv4SDs6Oj08A==?=)", "nsb@thumper.bellcore.com", 0, NULL },
	{ "fold before the address", " Alice\n <alice@example.org>", ALICE, 0, "Alice" },
	{ "fold with tab", " Alice\n\t<alice@example.org>", ALICE, 0, "Alice" },
	{ "fold with CRLF", " Alice\r\n <alice@example.org>", ALICE, 0, "Alice" },
	{ "fold right behind the colon", "\n alice@example.org", ALICE, 0, "" },
	{ "fold in a quoted name", " \"Alice\n Smith\" <alice@example.org>", ALICE, 0, "Alice Smith" },
	{ "trailing blank line of a fold", " alice@example.org\n ", ALICE, 0, "" },
	{ "blanks inside angle brackets", " Alice < alice@example.org >", ALICE, 0, "Alice" },
	{ "fold inside angle brackets", " Alice <\n alice@example.org\n >", ALICE, 0, "Alice" },
	{ "blanks around the at sign", " alice @ example.org", ALICE, 0, "" },
	{ "comment only before", " (x) alice@example.org", ALICE, 0, "x" },
	{ "comment around the at sign", " alice(a)@(b)example.org", ALICE, 0, NULL },
	{ "comment in a comment", " alice@example.org (a (b (c) d) e)", ALICE, 0, "a (b (c) d) e" },
	{ "comment holds specials", " alice@example.org (<>,;:\\)\"[)", ALICE, 0, "<>,;:)\"[" },
	{ "empty comment", " alice@example.org ()", ALICE, 0, "" },
	{ "comments on both sides", " (a) Alice (b) <alice@example.org> (c)", ALICE, 0, NULL },
	{ "quoted local part", " \"alice\"@example.org", ALICE, 0, "" },
	{ "quoted local part in brackets", " Alice <\"alice\"@example.org>", ALICE, 0, "Alice" },
	{ "quoted local part with needless escapes", " \"\\al\\ice\"@example.org", ALICE, 0, "" },
	{ "quoted local part with a blank", " \"alice smith\"@example.org", "\"alice smith\"@example.org", 0, "" },
	{ "quoted local part with a quote", " \"a\\\"b\\\\c\"@example.org", "\"a\\\"b\\\\c\"@example.org", 0, "" },
	{ "quoted local part with an at sign", " \"alice@home\"@example.org", "\"alice@home\"@example.org", 0, "" },
	{ "quoted local part with brackets", " \"<alice>\"@example.org", "\"<alice>\"@example.org", 0, "" },
	{ "empty quoted local part", " \"\"@example.org", "\"\"@example.org", 0, "" },
	{ "all of atext", " !#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~@example.org", 0, "" },
	{ "percent hack is a local part", " bob%bank.example@example.org", "bob%bank.example@example.org", 0, "" },
	{ "bang path is a local part", " bank!bob@example.org", "bank!bob@example.org", 0, "" },
	{ "sub-address", " alice+news@example.org", "alice+news@example.org", 0, "" },
	{ "IPv4 literal", " alice@[192.0.2.1]", "alice@[192.0.2.1]", 0, "" },
	{ "IPv6 literal", " Alice <alice@[IPv6:2001:db8::1]>", "alice@[ipv6:2001:db8::1]", 0, "Alice" },
	{ "IPv6 literal without brackets", " alice@[IPv6:2001:db8:0:0::1]", "alice@[ipv6:2001:db8::1]", 0, "" },
	{ "one label", " root@localhost", "root@localhost", 0, "" },
	{ "underscore in the domain", " alice@my_host.example.org", "alice@my_host.example.org", 0, "" },
	{ "trailing comma", " alice@example.org,", ALICE, 0, "" },
	{ "leading comma", " ,alice@example.org", ALICE, 0, "" },
	{ "empty elements in a group", " G: , alice@example.org, ;", ALICE, 0, "" },
	{ "group and mailbox", " G: alice@example.org;, bob@example.org", "alice@example.org bob@example.org", 0, "" },
	{ "two groups", " G: alice@example.org;, H: bob@example.org;", "alice@example.org bob@example.org", 0, "" },
	{ "quoted name of a group", " \"A; B\": alice@example.org;", ALICE, 0, "" },
	{ "word and quoted string mixed", " Alice \"A.\" Smith <alice@example.org>", ALICE, 0, "Alice A. Smith" },
	{ "quoted string next to a word", " Alice\"A\"Smith <alice@example.org>", ALICE, 0, "AliceASmith" },
	{ "no blank before the bracket", " Alice<alice@example.org>", ALICE, 0, "Alice" },
	{ "no blank behind a quote", " \"Alice\"<alice@example.org>", ALICE, 0, "Alice" },
	{ "empty quoted name", " \"\" <alice@example.org>", ALICE, 0, "" },
	{ "EAI local part", " J\xc3\xbcrgen <j\xc3\xbcrgen@example.org>", "j\xc3\xbcrgen@example.org", 0, "J\xc3\xbcrgen" },
	{ "EAI local part, upper case", " J\xc3\x9cRGEN@example.org", "j\xc3\xbcrgen@example.org", 0, "" },
	{ "EAI local part, decomposed", " ju\xcc\x88rgen@example.org", "j\xc3\xbcrgen@example.org", 0, "" },
	{ "EAI all Chinese", " \xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.example", "\xe7\x94\xa8\xe6\x88\xb7@xn--fsqu00a.example", 0, "" },
	{ "IDN as U-label", " info@m\xc3\xbcller.example", "info@xn--mller-kva.example", 0, "" },
	{ "IDN as A-label", " info@xn--mller-kva.example", "info@xn--mller-kva.example", 0, "" },
	{ "EAI quoted", " \"j\xc3\xbcrgen\"@example.org", "j\xc3\xbcrgen@example.org", 0, "" },
};

/* What mail programs, list servers, scripts and services really write. */
static const struct row real_rows[] = {
	{ "Outlook", " \"Smith, Alice\" <alice@example.org>", ALICE, 0, "Smith, Alice" },
	{ "Outlook, title", " \"Smith, Alice (IT)\" <Alice.Smith@example.org>", "alice.smith@example.org", 0, "Smith, Alice (IT)" },
	{ "Outlook, quoted own address", " \"alice@example.org\" <alice@example.org>", ALICE, 0, "alice@example.org" },
	{ "Outlook, apostrophes around own address", " \"'alice@example.org'\" <alice@example.org>", ALICE, 0, "'alice@example.org'" },
	{ "Outlook, bare apostrophes around own address", " 'alice@example.org' <alice@example.org>", ALICE, 0, NULL },
	{ "Outlook, apostrophes around a name", " 'Alice Smith' <alice@example.org>", ALICE, 0, "'Alice Smith'" },
	{ "Outlook, Latin-1 Q", " =?iso-8859-1?Q?M=FCller=2C_J=FCrgen?= <jm@example.org>", "jm@example.org", 0, "M\xc3\xbcller, J\xc3\xbcrgen" },
	{ "Outlook, Windows-1252", " =?Windows-1252?Q?Ren=E9_=96_Support?= <r@example.org>", "r@example.org", 0, "Ren\xc3\xa9 \xe2\x80\x93 Support" },
	{ "Exchange, gb2312", " =?gb2312?B?zfW6zQ==?= <wang@example.org>", "wang@example.org", 0, "??" },
	{ "Exchange, koi8-r", " =?koi8-r?B?8NXQy8nO?= <p@example.org>", "p@example.org", 0, NULL },
	{ "Exchange X.500 like local part", " IMCEAEX-_O=ORG_OU=FIRST+20ADMIN_CN=ALICE@example.org", "imceaex-_o=org_ou=first+20admin_cn=alice@example.org", 0, "" },
	{ "Gmail", " Alice Smith <alice.smith@example.org>", "alice.smith@example.org", 0, "Alice Smith" },
	{ "Gmail, quoted dot", " \"Alice B. Smith\" <alice@example.org>", ALICE, 0, "Alice B. Smith" },
	{ "Gmail, UTF-8 Q", " =?UTF-8?Q?J=C3=BCrgen_M=C3=BCller?= <jm@example.org>", "jm@example.org", 0, "J\xc3\xbcrgen M\xc3\xbcller" },
	{ "Gmail, UTF-8 B", " =?UTF-8?B?5bGx55Sw5aSq6YOO?= <yamada@example.org>", "yamada@example.org", 0, "\xe5\xb1\xb1\xe7\x94\xb0\xe5\xa4\xaa\xe9\x83\x8e" },
	{ "Gmail, no blank behind the word", " =?UTF-8?B?5bGx55Sw?=<yamada@example.org>", "yamada@example.org", 0, NULL },
	{ "Apple Mail", " Alice Smith <alice@me.example>", "alice@me.example", 0, "Alice Smith" },
	{ "Apple Mail, utf-8 lower case", " =?utf-8?Q?Andr=C3=A9_?= <andre@example.org>", "andre@example.org", 0, "Andr\xc3\xa9" },
	{ "Apple Mail, curly apostrophe", " =?utf-8?Q?Alice=E2=80=99s_iPhone?= <alice@example.org>", ALICE, 0, NULL },
	{ "Thunderbird", " Alice Smith <alice@example.org>", ALICE, 0, "Alice Smith" },
	{ "Thunderbird, quoted comma", " \"Smith, Alice\" <alice@example.org>", ALICE, 0, "Smith, Alice" },
	{ "Thunderbird, dots", " \"Dr. A. Smith\" <alice@example.org>", ALICE, 0, "Dr. A. Smith" },
	{ "mutt", " Alice Smith <alice@example.org>", ALICE, 0, "Alice Smith" },
	{ "mutt, own host", " Alice <alice@laptop>", "alice@laptop", 0, "Alice" },
	{ "pine", " Alice Smith <alice@cac.example.edu>", "alice@cac.example.edu", 0, "Alice Smith" },
	{ "cron", " root@host.example.org (Cron Daemon)", "root@host.example.org", 0, "Cron Daemon" },
	{ "cron, angle", " \"(Cron Daemon)\" <root@host.example.org>", "root@host.example.org", 0, "(Cron Daemon)" },
	{ "Postfix bounce", " MAILER-DAEMON@mail.example.org (Mail Delivery System)", "mailer-daemon@mail.example.org", 0, "Mail Delivery System" },
	{ "Postfix bounce, new", " Mail Delivery System <MAILER-DAEMON@mail.example.org>", "mailer-daemon@mail.example.org", 0, "Mail Delivery System" },
	{ "Sendmail bounce", " Mail Delivery Subsystem <MAILER-DAEMON>", NULL, 0, NULL },
	{ "Exim bounce", " Mail Delivery System <Mailer-Daemon@host.example.org>", "mailer-daemon@host.example.org", 0, NULL },
	{ "gecos name in a comment", " alice@example.org (Alice Smith)", ALICE, 0, "Alice Smith" },
	{ "gecos with commas", " alice@example.org (Alice Smith,,,)", ALICE, 0, "Alice Smith,,," },
	{ "gecos with nested comment", " alice@example.org (Alice (Ally) Smith)", ALICE, 0, "Alice (Ally) Smith" },
	{ "gecos with a quote", " alice@example.org (Alice \"Ally\" Smith)", ALICE, 0, "Alice \"Ally\" Smith" },
	{ "encoded comment", " alice@example.org (=?utf-8?Q?J=C3=BCrgen?=)", ALICE, 0, "J\xc3\xbcrgen" },
	{ "UUCP style", " alice@example.org   (Alice)", ALICE, 0, "Alice" },
	{ "Mailman, munged", " Bob via List <list@example.org>", "list@example.org", 0, "Bob via List" },
	{ "Mailman, munged and quoted", " \"Bob via List\" <list@example.org>", "list@example.org", 0, "Bob via List" },
	{ "Mailman, munged and encoded", " =?utf-8?q?J=C3=BCrgen_via_List?= <list@example.org>", "list@example.org", 0, "J\xc3\xbcrgen via List" },
	{ "Google group", " \"'Bob' via Group\" <group@example.org>", "group@example.org", 0, "'Bob' via Group" },
	{ "Google group, name is an address", " \"'bob@bank.example' via Group\" <group@example.org>", "group@example.org", 'a', "bob@bank.example" },
	{ "list, munged with the address", " \"bob@other.example via List\" <list@example.org>", "list@example.org", 'a', "bob@other.example" },
	{ "list bounces", " list-bounces+alice=example.org@lists.example.net", "list-bounces+alice=example.org@lists.example.net", 0, "" },
	{ "VERP", " <bounce-123-alice=example.org@mailer.example>", "bounce-123-alice=example.org@mailer.example", 0, "" },
	{ "SRS", " SRS0=abcd=TT=example.net=bob@example.org", "srs0=abcd=tt=example.net=bob@example.org", 0, "" },
	{ "SRS1", " <SRS1=abcd=example.net==efgh=TT=example.com=bob@example.org>", "srs1=abcd=example.net==efgh=tt=example.com=bob@example.org", 0, "" },
	{ "BATV", " <prvs=1234567890=alice@example.org>", "prvs=1234567890=alice@example.org", 0, "" },
	{ "GitHub, long local part", " Bob <reply+AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@reply.github.example>", "reply+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@reply.github.example", 0, "Bob" },
	{ "JIRA", " \"Bob (JIRA)\" <jira@example.org>", "jira@example.org", 0, "Bob (JIRA)" },
	{ "JIRA, unquoted comment", " Bob (JIRA) <jira@example.org>", "jira@example.org", 0, "Bob  (JIRA)" },
	{ "brackets in an unquoted name", " [Ticket 12] Bob <help@example.org>", "help@example.org", 0, "[Ticket 12] Bob" },
	{ "GitLab", " \"Alice (@alice)\" <gitlab@example.org>", "gitlab@example.org", 0, "Alice (@alice)" },
	{ "handle in quotes", " \"@alice\" <alice@example.org>", ALICE, 0, "@alice" },
	{ "at sign as a word, quoted", " \"Sales @ Example\" <sales@example.org>", "sales@example.org", 0, "Sales @ Example" },
	{ "at sign without dot, quoted", " \"Alice@Work\" <alice@example.org>", ALICE, 0, "Alice@Work" },
	{ "own address, blanks around the at sign", " \"sales @ example.org\" <sales@example.org>", "sales@example.org", 0, NULL },
	{ "Sales @ Acme, quoted", " \"Sales @ Acme\" <sales@example.org>", "sales@example.org", 0, "Sales @ Acme" },
	{ "parentheses in a name", " Alice (work) <alice@example.org>", ALICE, 0, "Alice  (work)" },
	{ "O'Brien", " O'Brien <obrien@example.org>", "obrien@example.org", 0, "O'Brien" },
	{ "O'Brien, quoted", " \"O'Brien, Pat\" <obrien@example.org>", "obrien@example.org", 0, "O'Brien, Pat" },
	{ "former address as name", " \"bob@old.example\" <alice@example.org>", ALICE, 'a', "bob@old.example" },
	{ "former address in parentheses", " \"Alice (formerly alice@old.example)\" <alice@example.org>", ALICE, 'a', "alice@old.example" },
	{ "former address in a comment", " Alice (formerly alice@old.example) <alice@example.org>", ALICE, 'a', "alice@old.example" },
	{ "via list, with address", " \"'bob@other.example' via List\" <list@example.org>", "list@example.org", 'a', "bob@other.example" },
	{ "on behalf of", " \"bob@other.example on behalf of Acme\" <list@example.org>", "list@example.org", 'a', "bob@other.example" },
	{ "long name folded inside the quotes", " \"Department of Long Names, Office\n of the Director\" <alice@example.org>", ALICE, 0, "Department of Long Names, Office of the Director" },
	{ "fold behind a quoted address", " \"bob@other.example\"\n <alice@example.org>", ALICE, 'a', "bob@other.example" },
	{ "own address, fold inside the quotes", " \"alice@example.org\n (work)\" <alice@example.org>", ALICE, 0, NULL },
	{ "own address in brackets and quotes", " \"Alice [alice@example.org]\" <alice@example.org>", ALICE, 0, NULL },
	{ "own address in two spellings", " \"ALICE@example.org\" <alice@example.org>", ALICE, 0, NULL },
	{ "inches", " \"Bob 24\\\" wheels\" <alice@example.org>", ALICE, 0, "Bob 24\" wheels" },
	{ "ideographic space in a name", " \"\xe5\xb1\xb1\xe7\x94\xb0\xe3\x80\x80\xe5\xa4\xaa\xe9\x83\x8e\" <y@example.jp>", "y@example.jp", 0, NULL },
	{ "capital U-label", " info@B\xc3\x9c" "CHER.example", "info@xn--bcher-kva.example", 0, "" },
	{ "sharp s", " info@stra\xc3\x9f" "e.example", "info@xn--strae-oqa.example", 0, "" },
	{ "fullwidth at sign between letters", " \xef\xbc\xa1\xef\xbc\xa0\xef\xbc\xa2 <alice@example.org>", ALICE, 0, NULL },
	{ "comment between commas", " (x), <alice@example.org>, (y)", ALICE, 0, NULL },
	{ "empty group and mailbox", " undisclosed (x):;(y), alice@example.org", ALICE, 0, NULL },
	{ "at sign and domain, encoded", " =?utf-8?Q?J=C3=BCrgen_=40_Example=2Ecom?= <j@example.org>", "j@example.org", 'a', "j\xc3\xbcrgen@example.com" },
	{ "handle that is a domain, encoded", " =?utf-8?Q?=40alice=2Ebsky=2Esocial?= <alice@example.org>", ALICE, 0, NULL },
	{ "DocuSign", " \"Bob via DocuSign\" <dse_NA3@docusign.example>", "dse_na3@docusign.example", 0, "Bob via DocuSign" },
	{ "Salesforce", " =?UTF-8?Q?Bob_at_Example=2C_Inc=2E?= <noreply@example.org>", "noreply@example.org", 0, "Bob at Example, Inc." },
	{ "web form, visitor's name and address", " \"visitor@other.example\" <form@example.org>", "form@example.org", 'a', "visitor@other.example" },
	{ "own address unquoted before the bracket", " alice@example.org <alice@example.org>", ALICE, 0, "alice@example.org" },
	{ "the same in other case", " Alice@Example.org <alice@example.org>", ALICE, 0, NULL },
	{ "the same after a name", " Alice alice@example.org <alice@example.org>", ALICE, 0, NULL },
	{ "the same in an encoded word", " =?UTF-8?Q?alice@example.org?= <alice@example.org>", ALICE, 0, "alice@example.org" },
	{ "the same, brackets", " [alice@example.org] <alice@example.org>", ALICE, 0, NULL },
	{ "encoded words joined", " =?utf-8?Q?J=C3=BCr?= =?utf-8?Q?gen?= <j@example.org>", "j@example.org", 0, "J\xc3\xbcrgen" },
	{ "encoded words folded", " =?utf-8?Q?J=C3=BCr?=\n =?utf-8?Q?gen?=\n <j@example.org>", "j@example.org", 0, "J\xc3\xbcrgen" },
	{ "encoded words and plain ones", " =?utf-8?Q?J=C3=BCrgen?= Smith <j@example.org>", "j@example.org", 0, "J\xc3\xbcrgen Smith" },
	{ "long folded Japanese name", " =?ISO-2022-JP?B?GyRCMWM2SDxURX0bKEI=?=\n\t=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?= <y@example.jp>", "y@example.jp", 0, NULL },
	{ "Japanese, Shift_JIS", " =?Shift_JIS?B?k/qWew==?= <y@example.jp>", "y@example.jp", 0, "??" },
	{ "Japanese, at sign octet inside a kanji", " =?ISO-2022-JP?B?GyRCQEBAQBsoQg==?= <y@example.jp>", "y@example.jp", 0, "??" },
	{ "Chinese, big5", " =?Big5?B?pKSk5Q==?= <w@example.tw>", "w@example.tw", 0, "??" },
	{ "Korean", " =?ks_c_5601-1987?B?sei7/A==?= <k@example.kr>", "k@example.kr", 0, NULL },
	{ "Korean, euc-kr", " =?EUC-KR?B?sei7/A==?= <k@example.kr>", "k@example.kr", 0, NULL },
	{ "Hebrew with direction mark", " =?utf-8?B?4oCP16nXnNeV150=?= <s@example.org>", "s@example.org", 0, NULL },
	{ "encoded word in quotes", " \"=?utf-8?Q?J=C3=BCrgen?=\" <j@example.org>", "j@example.org", 0, "J\xc3\xbcrgen" },
	{ "encoded word with raw blanks", " =?utf-8?Q?J=C3=BCrgen Smith?= <j@example.org>", "j@example.org", 0, "J\xc3\xbcrgen Smith" },
	{ "encoded word with raw parentheses", " =?utf-8?Q?J=C3=BCrgen_(IT)_x?= <j@example.org>", "j@example.org", 0, NULL },
	{ "encoded word with a dot", " =?utf-8?Q?Dr._J=C3=BCrgen?= <j@example.org>", "j@example.org", 0, "Dr. J\xc3\xbcrgen" },
	{ "own address shown with U-label", " \"info@m\xc3\xbcller.example\" <info@xn--mller-kva.example>", "info@xn--mller-kva.example", 0, NULL },
	{ "own address and a full stop", " \"Mail alice@example.org.\" <alice@example.org>", ALICE, 0, NULL },
	{ "encoded word with a raw comma", " =?UTF-8?Q?Example,_Inc.?= <i@example.org>", "i@example.org", 0, "Example, Inc." },
	{ "encoded word with a raw colon", " =?UTF-8?Q?Team:_Example?= <i@example.org>", "i@example.org", 0, "Team: Example" },
	{ "echo name | base64", " =?utf-8?B?QWxpY2UK?= <alice@example.org>", ALICE, 0, "Alice" },
	{ "raw UTF-8 name", " J\xc3\xbcrgen M\xc3\xbcller <j@example.org>", "j@example.org", 0, "J\xc3\xbcrgen M\xc3\xbcller" },
	{ "raw UTF-8 name, quoted", " \"M\xc3\xbcller, J\xc3\xbcrgen\" <j@example.org>", "j@example.org", 0, "M\xc3\xbcller, J\xc3\xbcrgen" },
	{ "raw Latin-1 name", " J\xfcrgen M\xfcller <j@example.org>", "j@example.org", 0, "J\xfcrgen M\xfcller" },
	{ "raw Latin-1 name, quoted", " \"M\xfcller, J\xfcrgen\" <j@example.org>", "j@example.org", 0, "M\xfcller, J\xfcrgen" },
	{ "raw Latin-1 comment", " j@example.org (J\xfcrgen)", "j@example.org", 0, "J\xfcrgen" },
	{ "raw KOI8 name", " \xf0\xd5\xd0\xcb\xc9\xce <p@example.org>", "p@example.org", 0, NULL },
	{ "no-break space before the bracket", " Alice\xc2\xa0<alice@example.org>", ALICE, 0, NULL },
	{ "emoji", " \xf0\x9f\x8e\x81 Shop <shop@example.org>", "shop@example.org", 0, NULL },
	{ "encoded emoji with variation selector", " =?UTF-8?B?4p2k77iPIFNob3A=?= <shop@example.org>", "shop@example.org", 0, NULL },
	{ "slashes, plus, amp", " R&D/QA+1 <rd@example.org>", "rd@example.org", 0, "R&D/QA+1" },
	{ "apostrophe", " Pat O'Neil <pat.o'neil@example.org>", "pat.o'neil@example.org", 0, "Pat O'Neil" },
	{ "exclamation mark", " Yahoo! Mail <m@example.org>", "m@example.org", 0, "Yahoo! Mail" },
	{ "dash at both sides", " Example - Support <s@example.org>", "s@example.org", 0, "Example - Support" },
	{ "pipe", " Alice | Example <alice@example.org>", ALICE, 0, "Alice | Example" },
	{ "Inc.", " Example Inc. <i@example.org>", "i@example.org", 0, "Example Inc." },
	{ "name is a domain", " Example.com <news@example.com>", "news@example.com", 0, "Example.com" },
	{ "name is a URL, quoted", " \"https://example.com/\" <news@example.com>", "news@example.com", 0, NULL },
	{ "name is dots", " ... <x@example.org>", "x@example.org", 0, "..." },
	{ "quoted colon", " \"Re: Alice\" <alice@example.org>", ALICE, 0, "Re: Alice" },
	{ "tabs", "\tAlice\t<alice@example.org>\t", ALICE, 0, "Alice" },
	{ "many blanks", "    Alice    <alice@example.org>    ", ALICE, 0, "Alice" },
	{ "docomo, two dots", " foo..bar@docomo.example", "\"foo..bar\"@docomo.example", 0, "" },
	{ "docomo, dot at the end", " <foo.@docomo.example>", "\"foo.\"@docomo.example", 0, "" },
	{ "docomo, quoted as it should be", " \"foo..bar\"@docomo.example", "\"foo..bar\"@docomo.example", 0, "" },
	{ "dot before the local part", " .foo@docomo.example", "\".foo\"@docomo.example", 0, "" },
	{ "local part of digits", " 4915112345678@sms.example", "4915112345678@sms.example", 0, "" },
	{ "fax gateway", " FAX=+49-1234/T=5678@fax.example", "fax=+49-1234/t=5678@fax.example", 0, "" },
	{ "long tld", " a@b.photography", "a@b.photography", 0, "" },
	{ "double-hyphen domain", " a@b--c.example", "a@b--c.example", 0, "" },
	{ "new IDN tld", " a@example.xn--p1ai", "a@example.xn--p1ai", 0, "" },
	{ "several authors", " \"Smith, Alice\" <alice@example.org>, Bob <bob@example.org>", "alice@example.org bob@example.org", 0, "Smith, Alice" },
	{ "several authors, folded", " Alice <alice@example.org>,\n Bob <bob@example.org>", "alice@example.org bob@example.org", 0, "Alice" },
	{ "same author twice", " alice@example.org, alice@example.org", "alice@example.org alice@example.org", 0, "" },
	{ "sieve redirect keeps From", " \"Bob\" <bob@other.example>", "bob@other.example", 0, "Bob" },
	{ "vacation", " \"Alice (out of office)\" <alice@example.org>", ALICE, 0, NULL },
	{ "PHP mail()", " www-data <www-data@host.example.org>", "www-data@host.example.org", 0, "www-data" },
	{ "WordPress", " WordPress <wordpress@example.org>", "wordpress@example.org", 0, "WordPress" },
	{ "logwatch", " logwatch@host.example.org", "logwatch@host.example.org", 0, "" },
	{ "scanner", " \"Scanner 2.OG\" <scanner@example.org>", "scanner@example.org", 0, "Scanner 2.OG" },
	{ "Debian bug tracker", " owner@bugs.debian.example (Debian Bug Tracking System)", "owner@bugs.debian.example", 0, "Debian Bug Tracking System" },
	{ "reportbug", " \"Debian Bug Tracking System\" <owner@bugs.debian.example>", "owner@bugs.debian.example", 0, NULL },
	{ "escaped quotes", " \"Alice \\\"Ally\\\" Smith\" <alice@example.org>", ALICE, 0, "Alice \"Ally\" Smith" },
	{ "escaped backslash at the end", " \"Alice \\\\\" <alice@example.org>", ALICE, 0, "Alice \\" },
	{ "quoted parenthesis does not open", " \"Alice (\" <alice@example.org>", ALICE, 0, "Alice (" },
	{ "quoted less-than", " \"a < b\" <alice@example.org>", ALICE, 0, "a < b" },
	{ "comment with an address", " Alice <alice@example.org> (was bob@old.example)", ALICE, 'a', "bob@old.example" },
	{ "local part is an address, list munging", " bob=other.example@dmarc.example.org", "bob=other.example@dmarc.example.org", 0, "" },
};

/* Spoofing forms: malformed, or the true address and mostly a finding. */
static const struct row spoof_rows[] = {
	{ "two angle addresses", " <ceo@bank.example> <alice@example.org>", NULL, 0, NULL },
	{ "two angle addresses, other order", " <alice@example.org> <ceo@bank.example>", NULL, 0, NULL },
	{ "two angle addresses, touching", " <alice@example.org><ceo@bank.example>", NULL, 0, NULL },
	{ "name between two angle addresses", " A <alice@example.org> B <ceo@bank.example>", NULL, 0, NULL },
	{ "unquoted foreign address as name", " ceo@bank.example <alice@example.org>", NULL, 0, NULL },
	{ "unquoted foreign address among words", " Chief ceo@bank.example <alice@example.org>", NULL, 0, NULL },
	{ "unquoted own, then foreign address", " alice@example.org ceo@bank.example <alice@example.org>", NULL, 0, NULL },
	{ "unquoted address that ends like own", " x.alice@example.org <alice@example.org>", NULL, 0, NULL },
	{ "unquoted address that begins like own", " alice@example.org.bank.example <alice@example.org>", NULL, 0, NULL },
	{ "unquoted address with blanks", " ceo @ bank.example <alice@example.org>", NULL, 0, NULL },
	{ "unquoted at sign hidden by a charset", " =?gbk?Q?ceo=81@bank.example?= <alice@example.org>", NULL, 0, NULL },
	{ "unquoted at sign with a comment", " ceo@(x)bank.example <alice@example.org>", NULL, 0, NULL },
	{ "quoted foreign address as name", " \"ceo@bank.example\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "quoted foreign mailbox as name", " \"Chief <ceo@bank.example>\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "quoted foreign address, upper case", " \"CEO@BANK.EXAMPLE\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "quoted own and foreign address", " \"alice@example.org ceo@bank.example\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "encoded foreign address as name", " =?utf-8?Q?ceo=40bank.example?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "encoded foreign address, base64", " =?utf-8?B?Y2VvQGJhbmsuZXhhbXBsZQ==?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "encoded foreign mailbox, base64", " =?utf-8?B?PGNlb0BiYW5rLmV4YW1wbGU+?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "encoded foreign address, cut in two words", " =?utf-8?Q?ceo=40ba?= =?utf-8?Q?nk=2Eexample?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "encoded foreign address in quotes", " \"=?utf-8?Q?ceo=40bank.example?=\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "encoded foreign address in a comment", " alice@example.org (=?utf-8?Q?ceo=40bank.example?=)", ALICE, 'm', "ceo@bank.example" },
	{ "encoded foreign address, odd charset", " =?koi8-r?Q?ceo=40bank.example?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "encoded foreign address, unknown charset", " =?x-none?Q?ceo=40bank.example?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "foreign address with zero width space", " =?utf-8?Q?ceo=40=E2=80=8Bbank.example?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "own address encoded, foreign one not", " \"=?utf-8?Q?alice=40example.org?= ceo@bank.example\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "encoded addresses, blanks around one at sign", " =?utf-8?Q?a_=40_b.example_ceo=40bank.example?= <alice@example.org>", ALICE, 'm', NULL },
	{ "encoded control character is no at sign", " =?utf-8?Q?ceo=01bank.example?= <alice@example.org>", ALICE, 0, NULL },
	{ "blanks in a bracket", " \"< ceo @ bank.example >\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "foreign address beside an encoded word", " \"ceo@bank.example =?utf-8?Q?J=C3=BCrgen?=\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "zero width space in a plain foreign address", " \"ceo@\xe2\x80\x8b" "bank.example\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "foreign address with fullwidth at sign", " \"ceo\xef\xbc\xa0" "bank.example\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "foreign address, escaped at sign", " \"ceo\\@bank.example\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "foreign address in the comment", " Alice (ceo@bank.example) <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "foreign address only as comment", " (ceo@bank.example) alice@example.org", ALICE, 'a', "ceo@bank.example" },
	{ "foreign address in nested comment", " alice@example.org ((ceo@bank.example))", ALICE, 'a', "ceo@bank.example" },
	{ "foreign address as group name", " \"ceo@bank.example\": alice@example.org;", ALICE, 'm', "ceo@bank.example" },
	{ "foreign address as unquoted group name", " ceo@bank.example: alice@example.org;", NULL, 0, NULL },
	{ "own and foreign address as group name", " \"alice@example.org ceo@bank.example\": alice@example.org;", ALICE, 'm', NULL },
	{ "foreign IDN address as name", " \"ceo@b\xc3\xa4nk.example\" <alice@example.org>", ALICE, 'a', "ceo@xn--bnk-qla.example" },
	{ "override in the name", " \"\xe2\x80\xaegro.elpmaxe\" <alice@example.org>", ALICE, 'o', NULL },
	{ "override in an encoded name", " =?utf-8?Q?=E2=80=AEx?= <alice@example.org>", ALICE, 'o', NULL },
	{ "NUL in an encoded word (Composition Kills)", " =?utf-8?B?Y2VvQGJhbmsuZXhhbXBsZT4AAAA=?= <alice@example.org>", NULL, 0, NULL },
	{ "NUL in a group name", " =?utf-8?Q?a=00?=: alice@example.org;", NULL, 0, NULL },
	{ "quote opens in brackets", " <\"alice@example.org>", NULL, 0, NULL },
	{ "comment opens behind brackets", " <alice@example.org> (", NULL, 0, NULL },
	{ "comment opens behind the at sign", " <alice@(example.org>", NULL, 0, NULL },
	{ "comment opens behind a group", " G: alice@example.org; (", NULL, 0, NULL },
	{ "NUL in Q", " =?utf-8?Q?ceo=40bank.example=00?= <alice@example.org>", NULL, 0, NULL },
	{ "line end in an encoded word", " =?utf-8?Q?a=0AFrom:_ceo=40bank.example?= <alice@example.org>", NULL, 0, NULL },
	{ "CR in an encoded word", " =?utf-8?Q?a=0Db?= <alice@example.org>", NULL, 0, NULL },
	{ "whole mailbox encoded", " =?utf-8?B?Q2VvIDxjZW9AYmFuay5leGFtcGxlPg==?=", NULL, 0, NULL },
	{ "address encoded, bare", " =?utf-8?Q?ceo=40bank.example?=", NULL, 0, NULL },
	{ "address encoded inside brackets", " <=?utf-8?Q?ceo=40bank.example?=>", NULL, 0, NULL },
	{ "encoded word as local part", " =?utf-8?Q?ceo?=@example.org", NULL, 0, NULL },
	{ "encoded word as local part, brackets", " X <=?utf-8?B?YWxpY2U=?=@example.org>", NULL, 0, NULL },
	{ "encoded word as quoted local part", " \"=?utf-8?Q?ceo=40bank.example?=\"@example.org", NULL, 0, NULL },
	{ "raw list in an encoded word", " =?utf-8?Q?,<ceo@bank.example>,?= <alice@example.org>", NULL, 0, NULL },
	{ "raw address between commas in an encoded word", " =?utf-8?Q?x,ceo@bank.example,y?= <alice@example.org>", NULL, 0, NULL },
	{ "encoded word with comma as local part", " =?utf-8?Q?a,b?=@example.org", NULL, 0, NULL },
	{ "encoded word with comma as domain", " alice@=?utf-8?Q?a,b?=", NULL, 0, NULL },
	{ "encoded list, then own", " =?utf-8?B?PGNlb0BiYW5rLmV4YW1wbGU+LCA=?=,<alice@example.org>", NULL, 0, NULL },
	{ "source route", " <@bank.example:alice@example.org>", NULL, 0, NULL },
	{ "source route, long", " X <@a.example,@b.example:alice@example.org>", NULL, 0, NULL },
	{ "source route, bare", " @bank.example:alice@example.org", NULL, 0, NULL },
	{ "two at signs", " ceo@bank.example@example.org", NULL, 0, NULL },
	{ "two at signs in brackets", " <ceo@bank.example@example.org>", NULL, 0, NULL },
	{ "at sign doubled", " alice@@example.org", NULL, 0, NULL },
	{ "address behind the bracket", " <alice@example.org>@bank.example", NULL, 0, NULL },
	{ "text behind the bracket", " <alice@example.org> Chief", NULL, 0, NULL },
	{ "text behind the address", " alice@example.org Chief", NULL, 0, NULL },
	{ "quoted text behind the address", " alice@example.org \"ceo@bank.example\"", NULL, 0, NULL },
	{ "angle behind the address", " alice@example.org <ceo@bank.example>", NULL, 0, NULL },
	{ "two addresses without comma", " alice@example.org ceo@bank.example", NULL, 0, NULL },
	{ "semicolon between addresses", " alice@example.org; ceo@bank.example", NULL, 0, NULL },
	{ "semicolon behind the bracket", " <alice@example.org>; <ceo@bank.example>", NULL, 0, NULL },
	{ "comma: second address is claimed", " alice@example.org, ceo@bank.example", "alice@example.org ceo@bank.example", 0, NULL },
	{ "comma: first address is claimed", " ceo@bank.example, alice@example.org", "ceo@bank.example alice@example.org", 0, NULL },
	{ "empty elements around a second", " ,,alice@example.org,,ceo@bank.example,,", "alice@example.org ceo@bank.example", 0, NULL },
	{ "group hides a second", " G: alice@example.org, ceo@bank.example;", "alice@example.org ceo@bank.example", 0, NULL },
	{ "behind a group", " G: alice@example.org; ceo@bank.example", NULL, 0, NULL },
	{ "behind an empty group", " undisclosed:; <ceo@bank.example>", NULL, 0, NULL },
	{ "group without end", " G: alice@example.org", NULL, 0, NULL },
	{ "group in a group", " G: H: alice@example.org;;", NULL, 0, NULL },
	{ "group without name", " : alice@example.org;", NULL, 0, NULL },
	{ "quoted comma is no divider, though it looks like one", " \"ceo@bank.example, x\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "quoted semicolon", " \"ceo@bank.example ; x\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "quoted bracket that only opens", " \"< ceo@bank.example\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "quoted bracket that only closes", " \"ceo@bank.example>\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "encoded address and comma", " =?utf-8?Q?ceo=40bank.example=2C?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "encoded word with raw commas", " =?utf-8?Q?a,ceo=40bank.example,b?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "encoded quotation marks around a mailbox", " \"=?utf-8?Q?=22_=3Cceo=40bank.example=3E?=\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "comment in angle brackets", " <alice@example.org(ceo@bank.example)>", ALICE, 'a', "ceo@bank.example" },
	{ "comment that ends like a list", " (<ceo@bank.example>,) <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "overlong at sign in a name", " \"ceo\xc1\x80" "bank.example\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "overlong at sign of three octets", " \"ceo\xe0\x81\x80" "bank.example\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "blanks around the at sign of a name", " \"ceo @ bank.example\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "the same, zero width", " \"ceo \xe2\x80\x8b@ \xe2\x80\x8b" "bank.example\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "unquoted at sign, blanks before a dot", " ceo @ bank .example <alice@example.org>", NULL, 0, NULL },
	{ "unquoted at sign, blank behind a dot", " ceo @ bank. example <alice@example.org>", NULL, 0, NULL },
	{ "unquoted at sign, one word on both sides", " ceo@bank <alice@example.org>", NULL, 0, NULL },
	{ "unquoted at sign, blank behind it", " ceo@ bank <alice@example.org>", NULL, 0, NULL },
	{ "unquoted at sign before a comment", " ceo @ bank(x).example <alice@example.org>", NULL, 0, NULL },
	{ "unquoted at sign before a literal", " ceo @ [192.0.2.1] <alice@example.org>", NULL, 0, NULL },
	{ "unquoted at sign, another dot", " ceo @ bank\xe3\x80\x82" "example <alice@example.org>", NULL, 0, NULL },
	{ "unquoted at sign as a word", " Support @ Example <support@example.org>", NULL, 0, NULL },
	{ "unquoted at sign as a word, more words", " Alice @ Example Ltd <alice@example.org>", NULL, 0, NULL },
	{ "unquoted handle", " @alice <alice@example.org>", NULL, 0, NULL },
	{ "unquoted handle behind a name", " Alice @alice <alice@example.org>", NULL, 0, NULL },
	{ "unquoted handle and own address", " @alice alice@example.org <alice@example.org>", NULL, 0, NULL },
	{ "at sign in a phrase, blanks around it", " ceo @ victim <alice@example.org>", NULL, 0, NULL },
	{ "the same, encoded word behind it", " ceo @ =?utf-8?q?victim?= <alice@example.org>", NULL, 0, NULL },
	{ "at sign as a word in an encoded word", " =?utf-8?q?ceo_@_victim?= <alice@example.org>", NULL, 0, NULL },
	{ "unquoted at sign beside the quoted own address", " \"alice@example.org\" Support @ Acme <alice@example.org>", NULL, 0, NULL },
	{ "unquoted own address that a quoted string touches", " \"x\"alice@example.org <alice@example.org>", NULL, 0, NULL },
	{ "break behind the address", " \"ceo@bank.example\n x\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "CRLF behind the address", " \"ceo@bank.example\r\n x\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "blank and break behind the address", " \"ceo@bank.example \n x\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "break behind the address in a comment", " alice@example.org (ceo@bank.example\n x)", ALICE, 'm', "ceo@bank.example" },
	{ "line separator behind the address", " \"ceo@bank.example\xe2\x80\xa8x\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "next line behind the address", " \"ceo@bank.example\xc2\x85x\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "break inside the address", " \"ceo@\n bank.example\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "quotation mark behind the address, encoded", " \"ceo@bank.example\" =?utf-8?q?=22?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "quotation mark behind the address", " \"ceo@bank.example\\\"\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "backslash behind the address", " \"ceo@bank.example\\\\\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "square bracket behind the address", " \"ceo@bank.example\"] <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "square bracket behind the address, quoted", " \"ceo@bank.example [x]\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "square brackets around the address", " \"[ceo@bank.example]\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "parenthesis that closes nothing", " \"ceo@bank.example) x\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "no-break spaces around the at sign", " \"ceo\xc2\xa0@\xc2\xa0" "bank.example\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "no-break space behind the address", " \"ceo@bank.example\xc2\xa0x\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "quoted local part in a name", " \"\\\"ceo\\\"@bank.example\" <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "address literal in a name", " \"ceo@[192.0.2.1]\" <alice@example.org>", ALICE, 'a', "ceo@[192.0.2.1]" },
	{ "IPv6 literal in a name", " \"ceo@[IPv6:2001:db8::1]\" <alice@example.org>", ALICE, 'a', "ceo@[ipv6:2001:db8::1]" },
	{ "address cut by a quotation mark", " \"ceo@bank.ex\"ample <alice@example.org>", ALICE, 'a', "ceo@bank.example" },
	{ "own address, but not to a reader who sees two words", " \"alice@example.or\"g <alice@example.org>", ALICE, 'a', "alice@example.or" },
	{ "own in another spelling of the domain", " alice@\xef\xbd\x85xample.org", NULL, 0, NULL },
	{ "fullwidth domain in brackets", " Alice <alice@\xef\xbd\x85\xef\xbd\x98\xef\xbd\x81\xef\xbd\x8d\xef\xbd\x90\xef\xbd\x8c\xef\xbd\x85.com>", NULL, 0, NULL },
	{ "ideographic full stop in the domain", " alice@example\xe3\x80\x82org", NULL, 0, NULL },
	{ "ligature in the domain", " alice@o\xef\xac\x83" "ce.example", NULL, 0, NULL },
	{ "fullwidth domain in a name", " \"ceo@bank.\xef\xbd\x85xample\" <alice@example.org>", ALICE, 'a', "ceo@bank.\xef\xbd\x85xample" },
	{ "unquoted at signs, one of them an address", " Support @ Example ceo@bank.example <alice@example.org>", NULL, 0, NULL },
	{ "comment between commas", " (ceo@bank.example), <alice@example.org>", NULL, 0, NULL },
	{ "comment with a mailbox between commas", " (<ceo@bank.example>),<alice@example.org>", NULL, 0, NULL },
	{ "comment behind the last comma", " <alice@example.org>, (ceo@bank.example)", NULL, 0, NULL },
	{ "override in a comment between commas", " (\xe2\x80\xaex), <alice@example.org>", NULL, 0, NULL },
	{ "NUL in a comment between commas", " (=?utf-8?Q?a=00?=), <alice@example.org>", NULL, 0, NULL },
	{ "foreign address as name of an empty group", " \"ceo@bank.example\":;, alice@example.org", NULL, 0, NULL },
	{ "the same, encoded", " =?utf-8?Q?ceo=40bank.example?=:;, <alice@example.org>", NULL, 0, NULL },
	{ "the same, behind", " alice@example.org, \"ceo@bank.example\":;", NULL, 0, NULL },
	{ "the same, in a comment", " g (ceo@bank.example):;, <alice@example.org>", NULL, 0, NULL },
	{ "comment in an empty group", " <alice@example.org>, g:(ceo@bank.example);", NULL, 0, NULL },
	{ "comment behind an empty group", " g:;(ceo@bank.example), <alice@example.org>", NULL, 0, NULL },
	{ "escaped quote does not end the name", " \"a\\\" <ceo@bank.example>, \\\"b\" <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "escaped comma between brackets", " <ceo@bank.example>\\, <alice@example.org>", NULL, 0, NULL },
	{ "backslash in an address", " <\\ceo@bank.example>", NULL, 0, NULL },
	{ "backslash before an address", " \\alice@example.org", NULL, 0, NULL },
	{ "quoted string not closed", " \"Alice <alice@example.org>", NULL, 0, NULL },
	{ "quote not opened", " Alice\" <alice@example.org>", NULL, 0, NULL },
	{ "comment not closed", " alice@example.org (ceo@bank.example", NULL, 0, NULL },
	{ "comment not opened", " alice@example.org ceo)", NULL, 0, NULL },
	{ "comment closed twice", " alice@example.org (a))", NULL, 0, NULL },
	{ "comment ends in a backslash", " alice@example.org (a\\", NULL, 0, NULL },
	{ "escaped parenthesis keeps it open", " alice@example.org (a\\)", NULL, 0, NULL },
	{ "bracket not closed", " Alice <alice@example.org", NULL, 0, NULL },
	{ "bracket not opened", " alice@example.org>", NULL, 0, NULL },
	{ "bracket closed twice", " <alice@example.org>>", NULL, 0, NULL },
	{ "bracket opened twice", " <<alice@example.org>>", NULL, 0, NULL },
	{ "bracket in brackets", " <alice@example.org <ceo@bank.example>>", NULL, 0, NULL },
	{ "list in brackets", " <alice@example.org, ceo@bank.example>", NULL, 0, NULL },
	{ "name in brackets", " <Alice alice@example.org>", NULL, 0, NULL },
	{ "name in brackets behind", " <alice@example.org Alice>", NULL, 0, NULL },
	{ "empty brackets", " Alice <>", NULL, 0, NULL },
	{ "blank brackets", " < >", NULL, 0, NULL },
	{ "address as name, empty brackets", " ceo@bank.example <>", NULL, 0, NULL },
	{ "comment in brackets", " <(x)>", NULL, 0, NULL },
	{ "comment hides part of the domain", " alice@example.org(.bank.example)", ALICE, 0, NULL },
	{ "comment in the second dot of a domain", " ceo@bank.example(x).example.org", NULL, 0, NULL },
	{ "blank in the domain", " ceo@bank.example .example.org", NULL, 0, NULL },
	{ "blank behind a dot in the domain", " ceo@bank.example. example.org", NULL, 0, NULL },
	{ "fold in the domain", " ceo@bank.example\n .example.org", NULL, 0, NULL },
	{ "fold inside a label", " alice@exam\n ple.org", NULL, 0, NULL },
	{ "fold inside the local part", " al\n ice@example.org", NULL, 0, NULL },
	{ "blank in the local part", " <al ice@example.org>", NULL, 0, NULL },
	{ "blank before a dot in the local part", " ceo .x@example.org", NULL, 0, NULL },
	{ "comment in the local part", " ceo(x).y@example.org", NULL, 0, NULL },
	{ "comment splits the local part", " al(x)ice@example.org", NULL, 0, NULL },
	{ "quoted and unquoted local part", " \"ceo@bank.example\"x@example.org", NULL, 0, NULL },
	{ "quoted word with dot", " \"ceo@bank.example\".x@example.org", NULL, 0, NULL },
	{ "dot and quoted word", " x.\"ceo\"@example.org", NULL, 0, NULL },
	{ "quoted local part is not its content", " \"ceo@bank.example\"@example.org", "\"ceo@bank.example\"@example.org", 0, NULL },
	{ "quoted local part with bracket", " \"ceo@bank.example>\"@example.org", "\"ceo@bank.example>\"@example.org", 0, NULL },
	{ "leading blank in a quoted local part", " \" alice\"@example.org", "\" alice\"@example.org", 0, NULL },
	{ "no domain", " alice", NULL, 0, NULL },
	{ "no domain in brackets", " Alice <alice>", NULL, 0, NULL },
	{ "no domain behind the at sign", " alice@", NULL, 0, NULL },
	{ "no domain behind the at sign, brackets", " <alice@>", NULL, 0, NULL },
	{ "no local part", " @example.org", NULL, 0, NULL },
	{ "no local part in brackets", " Chief <@example.org>", NULL, 0, NULL },
	{ "only a name", " Alice Smith", NULL, 0, NULL },
	{ "only a quoted name", " \"alice@example.org\"", NULL, 0, NULL },
	{ "only a comment", " (alice@example.org)", NULL, 0, NULL },
	{ "empty", "", NULL, 0, NULL },
	{ "blanks", "   ", NULL, 0, NULL },
	{ "only commas", " , ,", NULL, 0, NULL },
	{ "only a semicolon", ";", NULL, 0, NULL },
	{ "trailing dot", " alice@example.org.", NULL, 0, NULL },
	{ "trailing dot in brackets", " <alice@example.org.>", NULL, 0, NULL },
	{ "leading dot in the domain", " alice@.example.org", NULL, 0, NULL },
	{ "two dots in the domain", " alice@example..org", NULL, 0, NULL },
	{ "slash in the domain", " alice@example.org/bank.example", NULL, 0, NULL },
	{ "bang in the domain", " alice@example.org!bank.example", NULL, 0, NULL },
	{ "percent in the domain", " alice@bank.example%example.org", NULL, 0, NULL },
	{ "equals in the domain", " alice@example=org", NULL, 0, NULL },
	{ "literal that is no address", " alice@[example.org]", NULL, 0, NULL },
	{ "literal not closed", " alice@[192.0.2.1", NULL, 0, NULL },
	{ "literal and name", " alice@[192.0.2.1].example.org", NULL, 0, NULL },
	{ "literal in a literal", " alice@[[192.0.2.1]]", NULL, 0, NULL },
	{ "colon in the phrase", " Re: Alice <alice@example.org>", NULL, 0, NULL },
	{ "unquoted comma in the name", " Smith, Alice <alice@example.org>", NULL, 0, NULL },
	{ "bare line feed", " alice@example.org\nFrom: ceo@bank.example", NULL, 0, NULL },
	{ "line feed at the end", " alice@example.org\n", NULL, 0, NULL },
	{ "bare carriage return", " alice@example.org\r ceo@bank.example", NULL, 0, NULL },
	{ "escape character", " \x1b[2J <alice@example.org>", NULL, 0, NULL },
	{ "control character in a quoted name", " \"a\x01\" <alice@example.org>", NULL, 0, NULL },
	{ "delete", " alice\x7f@example.org", NULL, 0, NULL },
	{ "backspace", " ceo@bank.example\x08\x08\x08 <alice@example.org>", NULL, 0, NULL },
	{ "vertical tab", " alice@example.org\x0b", NULL, 0, NULL },
	{ "escaped line end in a name", " \"a\\\n b\" <alice@example.org>", NULL, 0, NULL },
	{ "zero width space in the local part", " ali\xe2\x80\x8b" "ce@example.org", NULL, 0, NULL },
	{ "zero width joiner in the domain", " alice@exam\xe2\x80\x8dple.org", NULL, 0, NULL },
	{ "zero width space in the domain", " alice@exam\xe2\x80\x8bple.org", NULL, 0, NULL },
	{ "soft hyphen in the domain", " alice@exam\xc2\xadple.org", NULL, 0, NULL },
	{ "override in the local part", " \xe2\x80\xae" "ecila@example.org", NULL, 0, NULL },
	{ "isolate in the domain", " alice@\xe2\x81\xa6" "example.org", NULL, 0, NULL },
	{ "override in the domain", " alice@\xe2\x80\xaegro.elpmaxe", NULL, 0, NULL },
	{ "byte order mark", " \xef\xbb\xbf" "alice@example.org", NULL, 0, NULL },
	{ "no-break space in the local part", " ceo\xc2\xa0x@example.org", NULL, 0, NULL },
	{ "fullwidth at sign in the local part", " ceo\xef\xbc\xa0" "bank.example@example.org", NULL, 0, NULL },
	{ "small at sign only", " ceo\xef\xb9\xab" "bank.example", NULL, 0, NULL },
	{ "Latin-1 in the local part", " caf\xe9@example.org", NULL, 0, NULL },
	{ "Latin-1 in the domain", " alice@caf\xe9.example", NULL, 0, NULL },
	{ "overlong at sign", " ceo\xc1\x80" "bank.example@example.org", NULL, 0, NULL },
	{ "Cyrillic letter is another address", " \xd0\xb0lice@example.org", "\xd0\xb0lice@example.org", 0, NULL },
	{ "Cyrillic letter is another domain", " alice@ex\xd0\xb0mple.org", "alice@xn--exmple-4nf.org", 0, NULL },
	{ "Kelvin sign is no k", " \xe2\x84\xaa@example.org", NULL, 0, NULL },
	{ "Greek question mark is no semicolon", " a\xcd\xbe@example.org", NULL, 0, NULL },
	{ "dotless i is no i", " al\xc4\xb1" "ce@example.org", "al\xc4\xb1" "ce@example.org", 0, NULL },
	{ "I with a dot is no i", " al\xc4\xb0" "ce@example.org", "ali\xcc\x87" "ce@example.org", 0, NULL },
	{ "long s is no s", " bo\xc5\xbf@example.org", "bo\xc5\xbf@example.org", 0, NULL },
	{ "fullwidth letters are no letters", " \xef\xbd\x81lice@example.org", "\xef\xbd\x81lice@example.org", 0, NULL },
	{ "mailto", " <mailto:alice@example.org>", NULL, 0, NULL },
	{ "HTML entity", " <alice&#64;example.org>", NULL, 0, NULL },
	{ "header in a header", " From: ceo@bank.example", NULL, 0, NULL },
	{ "foreign address in UTF-7", " =?utf-7?Q?ceo+AEA-bank.example?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "foreign mailbox in UTF-7", " =?unicode-1-1-utf-7?Q?+ADw-ceo+AEA-bank.example+AD4-?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "foreign address in UTF-16", " =?utf-16?B?/v8AYwBlAG8AQABiAGEAbgBrAC4AZQB4AGEAbQBwAGwAZQ==?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "foreign address in HZ", " =?hz-gb-2312?Q?ceo=40bank.example?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "foreign address in EBCDIC", " =?ibm037?B?g4WWfIKBlZJLhaeBlJeThQ==?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "fullwidth at sign in ISO-2022-JP", " =?iso-2022-jp?B?Y2VvGyRCIXcbKEJiYW5rLmV4YW1wbGU=?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
	{ "fullwidth at sign in Shift_JIS", " =?shift_jis?B?Y2VvgZdiYW5rLmV4YW1wbGU=?= <alice@example.org>", ALICE, 'm', "ceo@bank.example" },
};

static void
test_rfc(void **state)
{
	(void)state;
	check_rows(rfc_rows, N(rfc_rows), &strict);
}

static void
test_real(void **state)
{
	(void)state;
	check_rows(real_rows, N(real_rows), &strict);
}

static void
test_spoof(void **state)
{
	(void)state;
	check_rows(spoof_rows, N(spoof_rows), &strict);
}

/* With a default domain, one word is an address; two are not. */
static void
test_default_domain(void **state)
{
	static const struct row rows[] = {
		{ "bare", " root", "root@host.example", 0, "" },
		{ "cron", " root (Cron Daemon)", "root@host.example", 0, "Cron Daemon" },
		{ "brackets", " Mail Delivery Subsystem <MAILER-DAEMON>", "mailer-daemon@host.example", 0, NULL },
		{ "list", " root, alice@example.org", "root@host.example alice@example.org", 0, NULL },
		{ "two words", " Alice Smith", NULL, 0, NULL },
		{ "at sign without domain", " root@", NULL, 0, NULL },
		{ "quoted", " \"root\"", "root@host.example", 0, NULL },
		{ "encoded word", " =?utf-8?Q?ceo=40bank.example?=", NULL, 0, NULL },
	};

	(void)state;
	check_rows(rows, N(rows), &with_default);
}

static void
test_keep_case(void **state)
{
	static const struct row rows[] = {
		{ "local part kept, domain folded", " Alice@Example.ORG", "Alice@example.org", 0, "" },
		{ "own address in other case is still own", " alice@example.org <Alice@Example.org>", "Alice@example.org", 0, NULL },
	};

	(void)state;
	check_rows(rows, N(rows), &keep_case);
}

/* NUL octets do not fit the tables. */
static void
test_nul(void **state)
{
	static const char in_name[] = " Alice\0 <alice@example.org>";
	static const char in_domain[] = " <alice@example.org\0.bank.example>";
	struct mailbox *mailboxes;
	size_t n;

	(void)state;
	assert_int_equal(address_parse_list(NULL, in_name, sizeof(in_name) - 1,
	    &strict, &mailboxes, &n, NULL), -1);
	assert_int_equal(address_parse_list(NULL, in_domain, sizeof(in_domain) - 1,
	    &strict, &mailboxes, &n, NULL), -1);
}

static void
test_group_and_raw(void **state)
{
	static const char value[] =
	    " Team =?utf-8?Q?=C3=A9?=: \"A, B\" <a@x.example>, b@x.example;, C <c@x.example>";
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct mailbox *mailboxes;
	size_t n;

	(void)state;
	assert_int_equal(address_parse_list(ctx, value, strlen(value), &strict,
	    &mailboxes, &n, NULL), 0);
	assert_int_equal(n, 3);
	assert_string_equal(mailboxes[0].group, "Team \xc3\xa9");
	assert_string_equal(mailboxes[0].display_raw, "\"A, B\"");
	assert_string_equal(mailboxes[0].display, "A, B");
	assert_ptr_equal(mailboxes[1].group, mailboxes[0].group);
	assert_string_equal(mailboxes[1].display_raw, "");
	assert_null(mailboxes[2].group);
	assert_string_equal(mailboxes[2].address.local, "c");
	assert_string_equal(mailboxes[2].address.domain, "x.example");
	assert_ptr_equal(mailboxes[2].address.domain, mailboxes[2].address.full + 2);
	talloc_free(ctx);
}

/* Display names are cut at a character, and addresses are found beyond the cut. */
static void
test_long_display(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	char *value = mem_strdup(ctx, " \"");
	struct mailbox *mailboxes;
	size_t n;

	(void)state;
	for (int i = 0; i < 200; i++)
		value = mem_printf(ctx, "%s\xc3\xa9%s", value, i == 0 ? "x" : "");
	value = mem_printf(ctx, "%s ceo@bank.example\" <alice@example.org>", value);
	assert_int_equal(address_parse_list(ctx, value, strlen(value), &strict,
	    &mailboxes, &n, NULL), 0);
	assert_int_equal(strlen(mailboxes[0].display), ADDRESS_DISPLAY_MAX - 1);
	assert_true(text_is_utf8(mailboxes[0].display, ADDRESS_DISPLAY_MAX - 1));
	assert_int_equal(mailboxes[0].finding, ADDRESS_DISPLAY_ADDRESS);
	assert_int_equal(mailboxes[0].n_shown, 1);
	assert_string_equal(mailboxes[0].shown[0].address, "ceo@bank.example");
	talloc_free(ctx);
}

/* Every address that a field shows is found, not the first alone. */
static void
test_all_shown(void **state)
{
	static const struct {
		const char *value;
		const char *shown;	/* divided by blanks; "!" before a disguised one */
	} rows[] = {
		{ " \"alice+1@example.com CEO <ceo@bank.example>\" <alice@example.com>", "alice+1@example.com !ceo@bank.example" },
		{ " \"a@x.example a@x.example b@x.example\" <alice@example.com>", "a@x.example b@x.example" },
		{ " =?utf-8?q?alice+1=40example.com_CEO_=3Cceo=40bank.example=3E?= <alice@example.com>", "!alice+1@example.com !ceo@bank.example" },
		{ " alice@example.com (alice+1@example.com ceo@bank.example)", "alice+1@example.com ceo@bank.example" },
		{ " \"alice+1@example.com \xe2\x80\xae" "ceo@bank.example\" <alice@example.com>", "alice+1@example.com ceo@bank.example" },
		{ " \"alice+1@example.com ceo\xef\xbc\xa0" "bank.example\" <alice@example.com>", "alice+1@example.com !ceo@bank.example" },
		{ " \"alice+1@example.com ceo@bank.example\": alice@example.com;", "!alice+1@example.com !ceo@bank.example" },
		{ " \"ceo@bank.example\": \"alice+1@example.com\" <alice@example.com>;", "alice+1@example.com !ceo@bank.example" },
		{ " \"alice@example.com\": \"x@y.example\" <alice@example.com>;", "x@y.example" },
		{ " \"<ceo@bank.example> ceo@bank.example\" <alice@example.com>", "!ceo@bank.example" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		char *all = mem_strdup(ctx, "");
		struct mailbox *mailboxes;
		size_t n;

		assert_int_equal(address_parse_list(ctx, rows[i].value, strlen(rows[i].value),
		    &strict, &mailboxes, &n, NULL), 0);
		for (size_t j = 0; j < mailboxes[0].n_shown; j++)
			all = mem_printf(ctx, "%s%s%s%s", all, j == 0 ? "" : " ",
			    mailboxes[0].shown[j].disguised ? "!" : "",
			    mailboxes[0].shown[j].address);
		if (strcmp(all, rows[i].shown) != 0)
			fail_msg("%s: %s", rows[i].value, all);
		assert_true(mailboxes[0].override == (strstr(rows[i].value, "\xe2\x80\xae") != NULL));
		talloc_free(ctx);
	}
}

/* A long address is kept whole; too many in one name make the field malformed. */
static void
test_shown_bounds(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	char *value = mem_strdup(ctx, " \"");
	struct mailbox *mailboxes;
	const char *error = NULL;
	size_t n;

	(void)state;
	for (int i = 0; i < ADDRESS_SHOWN_MAX; i++)
		value = mem_printf(ctx, "%sa%d@x.example ", value, i);
	value = mem_printf(ctx, "%s%0300d@bank.example\" <alice@example.org>", value, 1);
	assert_int_equal(address_parse_list(ctx, value, strlen(value), &strict,
	    &mailboxes, &n, &error), -1);
	assert_string_equal(error, "a display name shows too many addresses");
	value = mem_printf(ctx, " \"%0300d@bank.example\" <alice@example.org>", 1);
	assert_int_equal(address_parse_list(ctx, value, strlen(value), &strict,
	    &mailboxes, &n, &error), 0);
	assert_int_equal(mailboxes[0].n_shown, 1);
	assert_int_equal(strlen(mailboxes[0].shown[0].address), 300 + strlen("@bank.example"));
	talloc_free(ctx);
}

/* repeat - prefix, then n times unit, then suffix */
static char *
repeat(TALLOC_CTX *ctx, const char *prefix, const char *unit, size_t n,
    const char *suffix)
{
	size_t at = strlen(prefix), len = strlen(unit);
	char *text = mem_array(ctx, char, at + n * len + strlen(suffix) + 1);

	memcpy(text, prefix, at);
	for (size_t i = 0; i < n; i++, at += len)
		memcpy(text + at, unit, len);
	memcpy(text + at, suffix, strlen(suffix));
	return text;
}

/*
 * Shapes that make a careless parser recurse or go quadratic. There is no clock
 * here: a quadratic reader takes hours for some of these rows, and a recursive one
 * has no stack left.
 */
static void
test_shapes(void **state)
{
	static const struct {
		const char *label;
		const char *prefix;
		const char *unit;
		size_t n;
		const char *suffix;
		int valid;
	} rows[] = {
		{ "2000 nested comments", " alice@example.org ", "(", 2000, "", 0 },
		{ "a million open comments", " alice@example.org ", "(", 1000000, "", 0 },
		{ "a million comments", " alice@example.org ", "()", 500000, "", 1 },
		{ "a long comment", " alice@example.org (", "a", 1000000, ")", 1 },
		{ "a long quoted name", " \"", "a ", 500000, "\" <alice@example.org>", 1 },
		{ "many words", " ", "a ", 500000, "<alice@example.org>", 1 },
		{ "many dots", " ", ".", 1000000, "<alice@example.org>", 1 },
		{ "many folds", " Alice", "\n ", 500000, "<alice@example.org>", 1 },
		{ "many empty elements", " alice@example.org", ",", 1000000, "", 1 },
		{ "many empty groups", " alice@example.org", ",a:;", 250000, "", 0 },
		{ "many halves of encoded words", " ", "=?a?q?_,", 120000, "<alice@example.org>", 0 },
		{ "many addresses", " ", "a@b.example,", 90000, "", 0 },
		{ "many at signs", " ", "@", 1000000, "", 0 },
		{ "many at signs, quoted", " \"", "@", 1000000, "\" <alice@example.org>", 1 },
		{ "many shown addresses", " \"", "a@b.example ", 80000, "\" <alice@example.org>", 1 },
		{ "many spellings of the own address", " \"", "\xef\xbd\x81lice@example.org ", 50000, "\" <alice@example.org>", 1 },
		{ "own address again and again", " ", "alice@example.org ", 50000, "<alice@example.org>", 1 },
		{ "many encoded words", " ", "=?utf-8?Q?a?= ", 70000, "<alice@example.org>", 1 },
		{ "many words without end", " ", "=?a?q? ", 140000, "<alice@example.org>", 1 },
		{ "many open brackets", " ", "<", 1000000, "", 0 },
		{ "many square brackets", " ", "[", 1000000, "<alice@example.org>", 1 },
		{ "a long local part", " ", "a", 1000000, "@example.org", 0 },
		{ "a long quoted local part", " \"", "a", 1000000, "\"@example.org", 0 },
		{ "a long domain", " alice@", "a.", 500000, "org", 0 },
		{ "a long literal", " alice@[", "1", 1000000, "]", 0 },
		{ "many backslashes", " \"", "\\\\", 500000, "\" <alice@example.org>", 1 },
		{ "8 bit", " ", "\xc3\xa9", 500000, " <alice@example.org>", 1 },
		{ "raw 8 bit", " ", "\xe9", 1000000, " <alice@example.org>", 1 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		char *value = repeat(ctx, rows[i].prefix, rows[i].unit, rows[i].n,
		    rows[i].suffix);
		const char *error = NULL;
		struct mailbox *mailboxes;
		size_t n;
		int rc = address_parse_list(ctx, value, strlen(value), &strict,
		    &mailboxes, &n, &error);

		if ((rc == 0) != (rows[i].valid != 0))
			fail_msg("%s: %s", rows[i].label, error == NULL ? "read" : error);
		/* what is kept does not grow with what came */
		if (rc == 0 && (n != 1 || talloc_total_size(mailboxes) > 4096))
			fail_msg("%s: %zu mailboxes, %zu octets", rows[i].label, n,
			    talloc_total_size(mailboxes));
		talloc_free(ctx);
	}
}

static void
test_nested_closed(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	char *open = repeat(ctx, " alice@example.org ", "(", 2000, "x");
	char *value = repeat(ctx, open, ")", 2000, "");
	struct mailbox *mailboxes;
	size_t n;

	(void)state;
	assert_int_equal(address_parse_list(ctx, value, strlen(value), &strict,
	    &mailboxes, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_string_equal(mailboxes[0].address.full, ALICE);
	talloc_free(ctx);
}

static void
test_many(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct mailbox *mailboxes;
	const char *error = NULL;
	char *value;
	size_t n;

	(void)state;
	value = repeat(ctx, "", "a@b.example,", ADDRESS_MAILBOXES_MAX, "");
	assert_int_equal(address_parse_list(ctx, value, strlen(value), &strict,
	    &mailboxes, &n, &error), 0);
	assert_int_equal(n, ADDRESS_MAILBOXES_MAX);
	assert_string_equal(mailboxes[n - 1].address.full, "a@b.example");
	value = repeat(ctx, "", "a@b.example,", ADDRESS_MAILBOXES_MAX + 1, "");
	assert_int_equal(address_parse_list(ctx, value, strlen(value), &strict,
	    &mailboxes, &n, &error), -1);
	assert_string_equal(error, "the field names too many addresses");
	talloc_free(ctx);
}

/* MAIL FROM and RCPT TO. */
static void
test_path(void **state)
{
	static const struct {
		const char *label;
		const char *path;
		const char *full;	/* NULL: malformed; "": the null sender */
		const struct address_rules *rules;
	} rows[] = {
		{ "SMTP", "<alice@example.org>", ALICE, &strict },
		{ "pickup", "alice@example.org", ALICE, &strict },
		{ "null sender, SMTP", "<>", "", &strict },
		{ "null sender, pickup", "", "", &strict },
		{ "upper case", "<Alice@Example.ORG>", ALICE, &strict },
		{ "upper case kept", "<Alice@Example.ORG>", "Alice@example.org", &keep_case },
		{ "quoted", "<\"alice\"@example.org>", ALICE, &strict },
		{ "quoted, escapes", "<\"\\a\\lice\"@example.org>", ALICE, &strict },
		{ "quoted blank", "<\"a b\"@example.org>", "\"a b\"@example.org", &strict },
		{ "quoted at sign", "<\"a@b\"@example.org>", "\"a@b\"@example.org", &strict },
		{ "quoted greater-than", "<\"a>\"@example.org>", "\"a>\"@example.org", &strict },
		{ "source route", "<@a.example,@b.example:alice@example.org>", ALICE, &strict },
		{ "source route, one host", "<@a.example:alice@example.org>", ALICE, &strict },
		{ "source route over a literal", "<@[IPv6:2001:db8::1]:alice@example.org>", ALICE, &strict },
		{ "source route to nowhere", "<@a.example:>", NULL, &strict },
		{ "source route to a route", "<@a.example:@b.example>", NULL, &strict },
		{ "source route without colon", "<@a.example>", NULL, &strict },
		{ "source route with odd characters", "<@a (b):alice@example.org>", NULL, &strict },
		{ "sub-address", "<alice+x@example.org>", "alice+x@example.org", &strict },
		{ "EAI", "<J\xc3\x9cRGEN@m\xc3\xbcller.example>", "j\xc3\xbcrgen@xn--mller-kva.example", &strict },
		{ "EAI decomposed", "<ju\xcc\x88rgen@example.org>", "j\xc3\xbcrgen@example.org", &strict },
		{ "Latin-1", "<j\xfcrgen@example.org>", NULL, &strict },
		{ "no domain", "root", "root", &strict },
		{ "no domain, brackets", "<postmaster>", "postmaster", &strict },
		{ "no domain, completed", "root", "root@host.example", &with_default },
		{ "no domain, not completed when there", "<alice@example.org>", ALICE, &with_default },
		{ "empty domain", "<alice@>", NULL, &strict },
		{ "empty domain, default", "<alice@>", NULL, &with_default },
		{ "empty local part", "<@>", NULL, &strict },
		{ "empty quoted local part", "<\"\"@example.org>", "\"\"@example.org", &strict },
		{ "trailing dot", "<alice@example.org.>", ALICE, &strict },
		{ "literal", "<alice@[192.0.2.1]>", "alice@[192.0.2.1]", &strict },
		{ "two dots in the local part", "<a..b@example.org>", "\"a..b\"@example.org", &strict },
		{ "percent hack", "<bob%bank.example@example.org>", "bob%bank.example@example.org", &strict },
		{ "bang path", "<bank!bob@example.org>", "bank!bob@example.org", &strict },
		{ "two at signs", "<a@b@example.org>", NULL, &strict },
		{ "blank", "<a b@example.org>", NULL, &strict },
		{ "blank behind", "<alice@example.org >", NULL, &strict },
		{ "not closed", "<alice@example.org", NULL, &strict },
		{ "not opened", "alice@example.org>", NULL, &strict },
		{ "closed twice", "<alice@example.org>>", NULL, &strict },
		{ "only opened", "<", NULL, &strict },
		{ "opened twice", "<<alice@example.org>>", NULL, &strict },
		{ "quote without end", "<\"alice@example.org>", NULL, &strict },
		{ "text behind a quote", "<\"alice\"x@example.org>", NULL, &strict },
		{ "comment", "<alice(x)@example.org>", NULL, &strict },
		{ "CVE-2020-12272", "<alice@example.net(.example.com>", NULL, &strict },
		{ "control character", "<ali\x01" "ce@example.org>", NULL, &strict },
		{ "control character, quoted", "<\"ali\x01" "ce\"@example.org>", NULL, &strict },
		{ "invisible", "<ali\xe2\x80\x8b" "ce@example.org>", NULL, &strict },
		{ "parameters", "<alice@example.org> SIZE=1", NULL, &strict },
		{ "null sender with blank", "< >", NULL, &strict },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct address address, again;
		const char *error = NULL;
		enum address_path kind = address_parse_path(ctx, rows[i].path,
		    strlen(rows[i].path), rows[i].rules, &address, &error);
		enum address_path wanted = rows[i].full == NULL ? ADDRESS_PATH_MALFORMED :
		    rows[i].full[0] == '\0' ? ADDRESS_PATH_NULL : ADDRESS_PATH_MAILBOX;

		if (kind != wanted)
			fail_msg("%s: kind %d (%s)", rows[i].label, (int)kind,
			    error == NULL ? "" : error);
		if (kind == ADDRESS_PATH_MALFORMED) {
			if (error == NULL)
				fail_msg("%s: no error", rows[i].label);
			continue;
		}
		if (strcmp(address.full, rows[i].full) != 0)
			fail_msg("%s: %s", rows[i].label, address.full);
		address_split(ctx, address.full, &again);
		if (strcmp(again.local, address.local) != 0 ||
		    strcmp(again.domain, address.domain) != 0)
			fail_msg("%s: split into %s and %s", rows[i].label,
			    again.local, again.domain);
	}
	assert_int_equal(address_parse_path(ctx, "<a\0b@example.org>", 17, &strict,
	    &(struct address){ 0 }, NULL), ADDRESS_PATH_MALFORMED);
	talloc_free(ctx);
}

static void
test_path_length(void **state)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct address address;
	char *path;

	(void)state;
	path = repeat(ctx, "<", "a", ADDRESS_LOCAL_MAX, "@example.org>");
	assert_int_equal(address_parse_path(ctx, path, strlen(path), &strict,
	    &address, NULL), ADDRESS_PATH_MAILBOX);
	path = repeat(ctx, "<", "a", ADDRESS_LOCAL_MAX + 1, "@example.org>");
	assert_int_equal(address_parse_path(ctx, path, strlen(path), &strict,
	    &address, NULL), ADDRESS_PATH_MALFORMED);
	path = repeat(ctx, "<@a:", "\"", 1000000, "@example.org>");
	assert_int_equal(address_parse_path(ctx, path, strlen(path), &strict,
	    &address, NULL), ADDRESS_PATH_MALFORMED);
	talloc_free(ctx);
}

static void
test_base(void **state)
{
	static const struct {
		const char *full;
		const char *delimiters;
		const char *base;	/* NULL: no sub-address */
	} rows[] = {
		{ "alice+x@example.org", "+", ALICE },
		{ "alice+x+y@example.org", "+", ALICE },
		{ "alice@example.org", "+", NULL },
		{ "alice+x@example.org", "", NULL },
		{ "alice+x@example.org", NULL, NULL },
		{ "alice-x@example.org", "+", NULL },
		{ "alice-x+y@example.org", "+-", ALICE },
		{ "+x@example.org", "+", NULL },
		{ "alice+@example.org", "+", ALICE },
		{ "alice+x", "+", "alice" },
		{ "\"alice+x y\"@example.org", "+", ALICE },
		{ "\"a b+x\"@example.org", "+", "\"a b\"@example.org" },
		{ "\"alice+\\\"@evil\"@example.org", "+", ALICE },
		{ "mailer-daemon@example.org", "-", NULL },
		{ "owner-list@example.org", "-", NULL },
		{ "list-request@example.org", "-", NULL },
		{ "owner+list@example.org", "+", "owner@example.org" },
		{ "list-x@example.org", "-", "list@example.org" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char *base = address_base(NULL, rows[i].full, rows[i].delimiters);

		if (rows[i].base == NULL ? base != NULL :
		    base == NULL || strcmp(base, rows[i].base) != 0)
			fail_msg("%s: %s", rows[i].full, base == NULL ? "(null)" : base);
		talloc_free(base);
	}
}

/* What MTAs find inside local parts. */
static void
test_inner(void **state)
{
	static const struct {
		const char *full;
		const char *inner;	/* divided by blanks; "": none */
	} rows[] = {
		{ "alice@example.org", "" },
		{ "alice", "" },
		{ "bob%bank.example@example.org", "bob@bank.example" },
		{ "bob%x%BANK.example@example.org", "bob%x@bank.example" },
		{ "bank.example!bob@example.org", "bob@bank.example" },
		{ "a.example!b.example!bob@example.org", "b.example!bob@a.example" },
		{ "\"bob@bank.example\"@example.org", "bob@bank.example" },
		{ "\"b o@bank.example\"@example.org", "\"b o\"@bank.example" },
		{ "a.example!bob%b.example@example.org", "a.example!bob@b.example bob%b.example@a.example" },
		{ "%bank.example@example.org", "" },
		{ "bob%@example.org", "" },
		{ "!bob@example.org", "" },
		{ "bob!@example.org", "" },
		{ "bob%no domain@example.org", "" },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const char *inner[ADDRESS_INNER_MAX];
		size_t n = address_inner(ctx, rows[i].full, inner);
		char *all = mem_strdup(ctx, "");

		for (size_t j = 0; j < n; j++)
			all = mem_printf(ctx, "%s%s%s", all, j == 0 ? "" : " ", inner[j]);
		if (strcmp(all, rows[i].inner) != 0)
			fail_msg("%s: \"%s\"", rows[i].full, all);
	}
	talloc_free(ctx);
}

/* Which local parts may be routes. */
static void
test_route(void **state)
{
	static const struct {
		const char *full;
		bool route;
	} rows[] = {
		{ "alice@example.org", false },
		{ "alice+x@example.org", false },
		{ "alice", false },
		{ "\"a b\"@example.org", false },
		{ "bob%bank.example@example.org", true },
		{ "bob+x%bank.example", true },
		{ "bank.example!bob@example.org", true },
		{ "\"bob@bank.example\"@example.org", true },
		{ "\"bob@bank.example\"", true },
		{ "bob%@example.org", true },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		if (address_may_route(rows[i].full) != rows[i].route)
			fail_msg("%s", rows[i].full);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route),
		cmocka_unit_test(test_rfc),
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_spoof),
		cmocka_unit_test(test_default_domain),
		cmocka_unit_test(test_keep_case),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_group_and_raw),
		cmocka_unit_test(test_long_display),
		cmocka_unit_test(test_all_shown),
		cmocka_unit_test(test_shown_bounds),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_nested_closed),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_path_length),
		cmocka_unit_test(test_base),
		cmocka_unit_test(test_inner),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

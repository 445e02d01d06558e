/*
 * ctl_try_print.c - a trial for people: each step in a line, with its kind in front
 *
 * Threads: there is one.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "filter/ctl/ctl_try_print.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define COLUMN	10	/* of the words in front */

/* try_line - a line of two columns; strangers' text cannot move the cursor */
static void __attribute__((format(printf, 2, 3)))
try_line(const char *name, const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	text = mem_check(talloc_vasprintf(NULL, format, args));
	va_end(args);
	text_replace_controls(text, ' ', '\n');
	(void)printf("%-*s ", COLUMN, name);
	for (const char *c = text; *c != '\0'; c++)
		if (*c == '\n')
			(void)printf("\n%-*s ", COLUMN, "");
		else
			(void)putchar(*c);
	(void)printf("\n");
	talloc_free(text);
}

/* has - is there a text that is not empty? */
static bool
has(const json_t *object, const char *name)
{
	return ctl_text(object, name)[0] != '\0';
}

/* print_steps - what was looked up */
static void
print_steps(const json_t *steps)
{
	const json_t *step;
	size_t i;

	json_array_foreach(steps, i, step)
		if (has(step, "what"))
			try_line("", "  %s: %s", ctl_text(step, "what"),
			    json_is_true(json_object_get(step, "found")) ? "yes" : "no");
		else
			try_line("", "  %s, key %s: %s%s%s", ctl_text(step, "table"),
			    ctl_text(step, "key"), ctl_text(step, "answer"),
			    has(step, "value") ? ", " : "", ctl_text(step, "value"));
}

/* print_connection - how it was found, the listener and the account */
static void
print_connection(const json_t *answer)
{
	const json_t *listener;
	size_t i;

	try_line("how", "%s, %s%s%s%s", ctl_text(answer, "used"), ctl_text(answer, "file"),
	    has(answer, "why") ? " (" : "", ctl_text(answer, "why"),
	    has(answer, "why") ? ")" : "");
	try_line("listener", "%s, role %s, mode %s, as from %s", ctl_text(answer, "listener"),
	    ctl_text(answer, "role"), ctl_text(answer, "mode"), ctl_text(answer, "mta"));
	json_array_foreach(json_object_get(answer, "listeners"), i, listener)
		try_line("", "  %s%s%s%s: %s", ctl_text(listener, "name"),
		    has(listener, "where") ? " (" : "", ctl_text(listener, "where"),
		    has(listener, "where") ? ")" : "", ctl_text(listener, "why"));
	try_line("account", "%s: %s", has(answer, "account") ? ctl_text(answer, "account") : "none",
	    ctl_text(answer, "account_from"));
	print_steps(json_object_get(answer, "account_steps"));
	print_steps(json_object_get(answer, "network_steps"));
}

/* print_addresses - claims and recipients */
static void
print_addresses(const json_t *answer)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(answer, "claims"), i, item) {
		try_line("claim", "%s%s%s %s: %s", ctl_text(item, "place"),
		    has(item, "field") ? " in " : "", ctl_text(item, "field"),
		    ctl_text(item, "address"), ctl_text(item, "owned"));
		print_steps(json_object_get(item, "steps"));
	}
	json_array_foreach(json_object_get(answer, "recipients"), i, item)
		try_line("recipient", "%s: %s", ctl_text(item, "address"),
		    has(item, "reply") ? ctl_text(item, "reply") : "accepted");
	print_steps(json_object_get(answer, "recipient_steps"));
}

/* print_spf_identity - the result for one identity */
static void
print_spf_identity(const char *identity, const json_t *spf)
{
	if (!json_is_object(spf))
		return;
	try_line("spf", "%s %s: %s%s%s%s%s", identity, ctl_text(spf, "domain"),
	    ctl_text(spf, "result"), has(spf, "mechanism") ? ", by " : "",
	    ctl_text(spf, "mechanism"), has(spf, "problem") ? ": " : "",
	    ctl_text(spf, "problem"));
}

/* print_dmarc - the evaluation */
static void
print_dmarc(const json_t *dmarc)
{
	if (!json_is_object(dmarc))
		return;
	try_line("dmarc", "%s%s%s%s%s, policy %s, disposition %s%s%s", ctl_text(dmarc, "result"),
	    has(dmarc, "domain") ? " for " : "", ctl_text(dmarc, "domain"),
	    has(dmarc, "policy_domain") ? ", record of " : "", ctl_text(dmarc, "policy_domain"),
	    ctl_text(dmarc, "policy"), ctl_text(dmarc, "disposition"),
	    has(dmarc, "problem") ? ": " : "", ctl_text(dmarc, "problem"));
	if (json_is_true(json_object_get(dmarc, "spf_aligned")) || has(dmarc, "dkim_domain"))
		try_line("", "  aligned: %s%s%s%s",
		    json_is_true(json_object_get(dmarc, "spf_aligned")) ? "SPF " : "",
		    has(dmarc, "dkim_domain") ? "DKIM (" : "", ctl_text(dmarc, "dkim_domain"),
		    has(dmarc, "dkim_domain") ? ")" : "");
	if (has(dmarc, "exception"))
		try_line("", "  local exception: %s", ctl_text(dmarc, "exception"));
}

/* print_checks - SPF, DKIM, DMARC of mail from outside */
static void
print_checks(const json_t *answer)
{
	const json_t *spf = json_object_get(answer, "spf"), *item;
	size_t i;

	print_spf_identity("MAIL FROM", json_object_get(spf, "mailfrom"));
	print_spf_identity("HELO", json_object_get(spf, "helo"));
	json_array_foreach(json_object_get(spf, "steps"), i, item)
		try_line("", "  %s", json_string_value(item));
	json_array_foreach(json_object_get(answer, "dkim"), i, item)
		try_line("dkim", "d=%s s=%s a=%s: %s%s%s", ctl_text(item, "domain"),
		    ctl_text(item, "selector"), ctl_text(item, "algorithm"),
		    ctl_text(item, "result"), has(item, "problem") ? ": " : "",
		    ctl_text(item, "problem"));
	if (json_is_array(json_object_get(answer, "dkim")) && i == 0)
		try_line("dkim", "no signature");
	print_dmarc(json_object_get(answer, "dmarc"));
	print_steps(json_object_get(answer, "own_domain_steps"));
	if (has(answer, "authentication_results"))
		try_line("results", "Authentication-Results:%s",
		    ctl_text(answer, "authentication_results"));
}

/* try_print_rules - each rule in order, with its finding */
static void
try_print_rules(const json_t *answer)
{
	const json_t *rule;
	size_t i;

	json_array_foreach(json_object_get(answer, "rules"), i, rule)
		if (!json_is_true(json_object_get(rule, "asked")))
			try_line("rule", "%s: not reached, it needs the stage %s",
			    ctl_text(rule, "reason"), ctl_text(rule, "stage"));
		else if (!json_is_true(json_object_get(rule, "found")))
			try_line("rule", "%s: no", ctl_text(rule, "reason"));
		else
			try_line("rule", "%s: found%s%s%s%s%s, %s%s", ctl_text(rule, "reason"),
			    has(rule, "address") ? " " : "", ctl_text(rule, "address"),
			    has(rule, "problem") ? " (" : "", ctl_text(rule, "problem"),
			    has(rule, "problem") ? ")" : "", ctl_text(rule, "action"),
			    json_is_true(json_object_get(rule, "decides"))
				? ": this decides" : "");
}

/* print_limits - plans, and limits before and after */
static void
print_limits(const json_t *answer)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(answer, "plans"), i, item)
		try_line("plan", "%s %s: %s%s%s", ctl_text(item, "of"), ctl_text(item, "name"),
		    has(item, "plan") ? ctl_text(item, "plan") : "none",
		    has(item, "from") ? ", from " : "", ctl_text(item, "from"));
	print_steps(json_object_get(answer, "plan_steps"));
	json_array_foreach(json_object_get(answer, "limits"), i, item)
		try_line("limit", "%s %s: %s: %lld before, %lld after, of %lld",
		    ctl_text(item, "of"), ctl_text(item, "name"), ctl_text(item, "limit"),
		    ctl_number(item, "before"), ctl_number(item, "after"),
		    ctl_number(item, "max"));
	if (has(answer, "store_problem"))
		try_line("store", "%s: %s", ctl_text(answer, "store"),
		    ctl_text(answer, "store_problem"));
}

/* print_signing - the signatures that would be made, or why there is none */
static void
print_signing(const json_t *answer)
{
	const json_t *signing = json_object_get(answer, "signing"), *item;
	size_t i;

	json_array_foreach(json_object_get(answer, "signatures"), i, item)
		try_line("signature", "DKIM-Signature:%s", json_string_value(item));
	if (i == 0 && strcmp(ctl_text(answer, "role"), "inbound") != 0)
		try_line("signature", "none%s%s", has(signing, "problem") ? ": " : "",
		    ctl_text(signing, "problem"));
	if (has(signing, "risk"))
		try_line("", "  risk: %s", ctl_text(signing, "risk"));
	json_array_foreach(json_object_get(answer, "deleted"), i, item)
		try_line("deletes", "%s, the %lldth of that name", ctl_text(item, "name"),
		    ctl_number(item, "index"));
}

/* try_print_verdict - what becomes of it, and what the other mode makes of it */
static void
try_print_verdict(const json_t *answer)
{
	const json_t *other = json_object_get(answer, "other_mode");
	size_t signatures = json_array_size(json_object_get(other, "signatures"));

	try_line("verdict", "%s, at %s%s%s", ctl_text(answer, "verdict"), ctl_text(answer, "stage"),
	    has(answer, "reason") ? ": " : "", ctl_text(answer, "reason"));
	if (has(answer, "hold_text"))
		try_line("", "  in the hold queue: %s", ctl_text(answer, "hold_text"));
	if (has(answer, "reply"))
		try_line("reply", "%s", ctl_text(answer, "reply"));
	try_line("log", "%s", ctl_text(answer, "log"));
	if (json_is_object(other))
		try_line("otherwise", "mode %s would: %s%s%s%s%s, %zu signature%s",
		    ctl_text(other, "mode"), ctl_text(other, "verdict"),
		    has(other, "reason") ? ": " : "", ctl_text(other, "reason"),
		    has(other, "reply") ? ", " : "", ctl_text(other, "reply"),
		    signatures, text_s(signatures));
}

void
ctl_try_print(const json_t *answer)
{
	print_connection(answer);
	print_addresses(answer);
	print_checks(answer);
	try_print_rules(answer);
	print_limits(answer);
	print_signing(answer);
	try_print_verdict(answer);
}

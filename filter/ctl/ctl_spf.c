/*
 * ctl_spf.c - countersignctl spf check: an SPF check explained, and mail of one's own
 *
 * Works on its own, with the configuration file and the DNS servers it names, because
 * the daemon's answer to the same question would take no other way: the same
 * service, the same limits, the same overriding records, and the verdict of each
 * listener for strangers. If there is no configuration file the defaults hold.
 *
 * Threads: one, and those of the resolver.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/interfaces.h"
#include "filter/config/load.h"
#include "filter/config/load_spf.h"
#include "filter/ctl/ctl.h"
#include "filter/spf/spf.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"
#include "policy/verdict/verdict.h"

#define OWN_MAX		64	/* addresses that --own tries */

/* What is asked for. */
struct request {
	const char *from;	/* NULL: not given */
	const char *helo;
	const char *own;	/* domain */
	const char *ips[OWN_MAX];
	size_t n_ips;
};

/* What the checks need. */
struct setting {
	struct ctl *ctl;
	const struct config *config; /* NULL: no file */
	const struct spf_config *spf;
	struct spf_service service;
	json_t *trace;		/* lines of the check that runs, with --json */
};

/* One check and what it cost. */
struct checked {
	struct spf_fact fact;
	struct spf_counts counts;
};

/* read_request - the options; ends the program if they do not fit together */
static void
read_request(const struct ctl *ctl, struct request *request)
{
	const char *ip;
	size_t at = 0;

	request->from = ctl_option(ctl, "--from");
	request->helo = ctl_option(ctl, "--helo");
	request->own = ctl_option(ctl, "--own");
	while ((ip = ctl_option_next(ctl, "--ip", &at)) != NULL) {
		if (request->n_ips == OWN_MAX)
			ctl_wrong("--ip is given more than %d times", OWN_MAX);
		request->ips[request->n_ips++] = ip;
	}
	if (request->own != NULL && (request->from != NULL || request->helo != NULL))
		ctl_misuse(ctl, "takes --own or --from and --helo");
	if (request->own != NULL)
		return;
	if (request->n_ips == 0)
		ctl_misuse(ctl, "needs --ip ADDRESS, the client's");
	if (request->n_ips > 1)
		ctl_misuse(ctl, "takes one --ip with --from or --helo");
	if (request->from == NULL && request->helo == NULL)
		ctl_misuse(ctl, "needs --from SENDER or --helo NAME");
}

/* trace - a line of the check (callback of the service) */
static void
trace(void *state, const char *text)
{
	struct setting *setting = state;

	if (setting->trace != NULL) {
		(void)json_array_append_new(setting->trace, json_string(text));
		return;
	}
	(void)printf("  ");
	ctl_safe(text);
	(void)printf("\n");
}

/* ctl_spf_load - the configuration and the resolver it describes */
static void
ctl_spf_load(struct ctl *ctl, struct setting *setting)
{
	struct resolver_options options = { .cache_entries = 1000 };
	struct resolver *resolver;
	const char *error = NULL, *receiver;
	char host[256] = "";
	struct spf_config *defaults;

	memset(setting, 0, sizeof(*setting));
	setting->ctl = ctl;
	setting->config =
	    ctl_config_if_any(ctl, "using the default settings and the DNS of this system");
	if (setting->config != NULL) {
		setting->spf = &setting->config->spf;
		options = setting->config->resolver;
		receiver = setting->config->authserv_id;
	} else {
		defaults = mem_new(ctl->memory, struct spf_config);
		config_spf_defaults(ctl->memory, defaults);
		setting->spf = defaults;
		(void)gethostname(host, sizeof(host) - 1);
		receiver = mem_strdup(ctl->memory, host[0] != '\0' ? host : "localhost");
	}
	resolver = resolver_new(ctl->memory, &options, &error);
	if (resolver == NULL)
		ctl_fail("%s", error);
	config_spf_service(setting->spf, resolver, receiver, &setting->service);
}

/* counts_json - what a check cost, with the limits */
static json_t *
counts_json(const struct setting *setting, const struct spf_counts *counts)
{
	const struct spf_limits *limits = &setting->service.limits;

	return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:I}", "terms", (int)counts->terms, "terms_max",
	    (int)limits->terms, "voids", (int)counts->voids, "voids_max", (int)limits->voids,
	    "queries", (int)counts->queries, "queries_max", (int)limits->queries, "octets",
	    (json_int_t)counts->bytes);
}

/* text_or_null - a stranger's text, which may be no UTF-8, for JSON */
static json_t *
text_or_null(const char *text)
{
	json_t *value;
	char *copy;

	if (text == NULL)
		return json_null();
	copy = mem_strdup(NULL, text);
	for (char *c = copy; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	value = json_string(copy);
	talloc_free(copy);
	return value;
}

/* outcome_json - a check as an object */
static json_t *
outcome_json(struct setting *setting, const char *identity, const struct checked *outcome)
{
	const struct spf_fact *fact = &outcome->fact;

	return json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:b,s:o}", "identity", identity, "result",
	    spf_result_word(fact->result), "domain", text_or_null(fact->domain), "sender",
	    text_or_null(fact->sender), "problem", text_or_null(fact->problem), "explanation",
	    text_or_null(fact->explanation), "by_own_record", fact->local, "counts",
	    counts_json(setting, &outcome->counts));
}

/* ctl_spf_run - one check, reported step by step */
static json_t *
ctl_spf_run(struct setting *setting, const char *identity, const struct spf_client *client,
    const char *sender, struct checked *outcome)
{
	int64_t deadline = clock_ms() + setting->spf->timeout_ms;
	json_t *object;

	setting->service.trace = trace;
	setting->service.trace_state = setting;
	if (setting->ctl->json)
		setting->trace = json_array();
	else
		(void)printf("%s %s, from %s\n", identity,
		    sender != NULL && sender[0] != '\0' ? sender
			: client->helo != NULL          ? client->helo
							: "<>",
		    client->address);
	spf_check(setting->ctl->memory, &setting->service, client, sender, deadline, &outcome->fact,
	    &outcome->counts);
	setting->service.trace = NULL;
	object = outcome_json(setting, identity, outcome);
	if (setting->trace != NULL)
		(void)json_object_set_new(object, "trace", setting->trace);
	setting->trace = NULL;
	return object;
}

/* listener_word - what a listener would do with mail of which this is known */
static json_t *
listener_word(
    const struct setting *setting, const struct listener *listener, const struct facts *facts)
{
	struct rules rules = { .mode = listener->mode, .help_url = setting->config->help_url,
		.texts = setting->config->replies };
	struct facts theirs = *facts;
	struct verdict verdict;

	theirs.listener = listener->name;
	memcpy(rules.actions, listener->actions, sizeof(rules.actions));
	verdict_decide(setting->ctl->memory, &rules, &theirs, STAGE_MAIL, &verdict);
	if (!setting->ctl->json && verdict.reply_text != NULL)
		(void)printf("listener %s: %s, %s %s %s\n", listener->name,
		    action_word(verdict.action), verdict.reply_code, verdict.reply_status,
		    verdict.reply_text);
	else if (!setting->ctl->json)
		(void)printf("listener %s: %s%s%s\n", listener->name, action_word(verdict.action),
		    verdict.would > verdict.action ? "; in mode enforce: " : "",
		    verdict.would > verdict.action ? action_word(verdict.would) : "");
	return json_pack("{s:s,s:s,s:s,s:s}", "listener", listener->name, "action",
	    action_word(verdict.action), "would", action_word(verdict.would), "reason",
	    reply_row(verdict.reason)->word);
}

/* tell_listeners - what each listener for strangers would do */
static json_t *
tell_listeners(const struct setting *setting, const struct facts *facts)
{
	json_t *list = json_array();

	for (size_t i = 0; setting->config != NULL && i < setting->config->n_listeners; i++)
		if (setting->config->listeners[i].role == ROLE_INBOUND)
			(void)json_array_append_new(list,
			    listener_word(setting, &setting->config->listeners[i], facts));
	return list;
}

/* client_note - why the daemon would not make this check at MAIL, or NULL */
static const char *
client_note(const struct setting *setting, const char *address)
{
	struct ip_address ip;

	if (!ip_address_parse(address, &ip))
		ctl_wrong("--ip %s is not an IP address", address);
	if (netblock_contains(setting->spf->relays, setting->spf->n_relays, &ip))
		return "this client is in trusted_relays: the daemon checks the client that it names in Received";
	if (netblock_contains(setting->spf->exempt, setting->spf->n_exempt, &ip))
		return "this client is in exempt: the daemon does not check it";
	return NULL;
}

/* ctl_spf_finish - print the answer if it is JSON; the exit status */
static int
ctl_spf_finish(const struct setting *setting, json_t *answer, bool good)
{
	if (setting->ctl->json) {
		char *line = mem_check(json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII));

		(void)printf("%s\n", line);
		free(line);
	}
	json_decref(answer);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* check_stranger - --ip A --from B --helo C */
static int
check_stranger(struct setting *setting, const struct request *request)
{
	const struct spf_client client = { .address = request->ips[0], .helo = request->helo };
	const char *note = client_note(setting, client.address);
	const char *from = request->from;
	struct facts facts = { .role = ROLE_INBOUND,
		.client_addr = client.address,
		.spf_client = client.address,
		.helo = client.helo,
		.spf_client_helo = client.helo,
		.header = { .from_fields = 1 } };
	json_t *checks = json_array(), *answer;
	struct checked outcome;

	if (from != NULL && strcmp(from, "<>") == 0)
		from = "";
	facts.sender = from != NULL ? from : "";
	if (from != NULL) {
		(void)json_array_append_new(
		    checks, ctl_spf_run(setting, "MAIL FROM", &client, from, &outcome));
		facts.spf_mailfrom = outcome.fact;
	}
	if (from != NULL && from[0] == '\0') {
		facts.spf_helo = facts.spf_mailfrom;
	} else if (request->helo != NULL) {
		(void)json_array_append_new(
		    checks, ctl_spf_run(setting, "HELO", &client, NULL, &outcome));
		facts.spf_helo = outcome.fact;
	}
	if (note != NULL && !setting->ctl->json)
		(void)printf("%s\n", note);
	answer =
	    json_pack("{s:b,s:o,s:o,s:o}", "ok", true, "checks", checks, "note", text_or_null(note),
		"listeners", note != NULL ? json_array() : tell_listeners(setting, &facts));
	return ctl_spf_finish(setting, answer, true);
}

/* find_own - the addresses of this host, if none were given */
static void
find_own(struct ctl *ctl, struct request *request)
{
	struct interface_address *all;
	size_t n = 0;

	if (request->n_ips > 0)
		return;
	all = interfaces_read(ctl->memory, &n);
	if (all == NULL)
		ctl_fail("the addresses of this host cannot be read: %s; name them with --ip",
		    strerror(errno));
	/* Which interface has it does not matter: addresses that a router hands to several hosts,
	 * and those of many small servers, are those of "lo". */
	for (size_t i = 0; i < n && request->n_ips < OWN_MAX; i++)
		if (!ip_address_is_inner(&all[i].ip))
			request->ips[request->n_ips++] =
			    ip_address_text(ctl->memory, &all[i].ip);
	if (request->n_ips == 0)
		ctl_fail(
		    "this host has no address but loopback; name those that others see with --ip");
}

/* own_line - the check of mail of one's own from one address */
static json_t *
own_line(struct setting *setting, const char *label, const char *address, const char *domain,
    struct checked *outcome)
{
	const struct spf_client client = { .address = address, .helo = setting->service.receiver };
	const struct spf_limits *limits = &setting->service.limits;
	struct ip_address ip;
	json_t *object;

	if (!ip_address_parse(address, &ip))
		ctl_wrong("--ip %s is not an IP address", address);
	spf_check(setting->ctl->memory, &setting->service, &client,
	    mem_printf(setting->ctl->memory, "postmaster@%s", domain),
	    clock_ms() + setting->spf->timeout_ms, &outcome->fact, &outcome->counts);
	object = outcome_json(setting, label, outcome);
	(void)json_object_set_new(object, "address", json_string(address));
	if (setting->ctl->json)
		return object;
	(void)printf("%-40s %-9s  terms %u of %u, void lookups %u of %u, queries %u%s%s%s\n", label,
	    spf_result_word(outcome->fact.result), outcome->counts.terms, limits->terms,
	    outcome->counts.voids, limits->voids, outcome->counts.queries,
	    outcome->fact.problem != NULL ? ": " : "",
	    outcome->fact.problem != NULL ? outcome->fact.problem : "",
	    ip_address_is_private(&ip) ? "  (a private address: others see another one, name it with --ip)"
			    : "");
	return object;
}

/* ctl_spf_advice - how near the limits a record is, from a client that nothing of it matches */
static const char *
ctl_spf_advice(struct ctl *ctl, const struct setting *setting, const struct checked *outcome)
{
	const struct spf_limits *limits = &setting->service.limits;
	unsigned int left = limits->terms - outcome->counts.terms;

	switch (outcome->fact.result) {
	case SPF_IS_NONE:
		return "there is no SPF record: everyone may send mail of this domain";
	case SPF_IS_PERMERROR:
		return "the record is in error: receivers may refuse mail if they evaluate that "
		    "part";
	case SPF_IS_TEMPERROR:
		return "the record could not be read to its end; try again";
	case SPF_IS_PASS:
		return "the record lets everyone pass";
	default:
		break;
	}
	if (left <= 2)
		return mem_printf(ctl->memory,
		    "%s: %u more terms that query DNS make the record an error",
		    left == 0 ? "at the limit" : "near the limit", left + 1);
	if (outcome->counts.voids >= limits->voids && limits->voids > 0)
		return "at the limit of void lookups: one more name without records makes the record an error";
	return mem_printf(
	    ctl->memory, "within the limits: room for %u more terms that query DNS", left);
}

/* check_own - --own DOMAIN: would mail of this domain pass from this host? */
static int
check_own(struct setting *setting, struct request *request)
{
	/* reserved for ever (RFC 1112, RFC 4291): no record means them */
	static const char *const nobody[] = { "255.255.255.255",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" };
	json_t *own = json_array(), *answer;
	struct checked outcome, worst, last;
	bool all = true;

	find_own(setting->ctl, request);
	/* what others would look up, not what is configured here */
	setting->service.n_overrides = 0;
	for (size_t i = 0; i < request->n_ips; i++) {
		(void)json_array_append_new(own, own_line(setting, request->ips[i], request->ips[i],
		    request->own, &outcome));
		all = all && outcome.fact.result == SPF_IS_PASS;
	}
	answer = json_pack("{s:b,s:b,s:o}", "ok", true, "all_pass", all, "own", own);
	(void)json_object_set_new(answer, "other_ipv4",
	    own_line(setting, "any other IPv4 client", nobody[0], request->own, &worst));
	(void)json_object_set_new(answer, "other_ipv6",
	    own_line(setting, "any other IPv6 client", nobody[1], request->own, &last));
	if (last.fact.result == SPF_IS_PERMERROR || last.counts.terms > worst.counts.terms)
		worst = last;
	(void)json_object_set_new(
	    answer, "advice", json_string(ctl_spf_advice(setting->ctl, setting, &worst)));
	if (!setting->ctl->json)
		(void)printf("%s\n%s\n", ctl_spf_advice(setting->ctl, setting, &worst),
		    all ? "mail from every address above passes"
			: "mail from some address above does NOT pass");
	return ctl_spf_finish(setting, answer, all);
}

/* ctl_spf_check - spf check */
int
ctl_spf_check(struct ctl *ctl, char **operands)
{
	struct request request = { .n_ips = 0 };
	struct setting setting;

	(void)operands;
	(void)operands;
	read_request(ctl, &request);
	ctl_spf_load(ctl, &setting);
	return request.own != NULL ? check_own(&setting, &request)
				   : check_stranger(&setting, &request);
}

/*
 * ctl_help.c - countersignctl help: from a task to the page, the options and the command for it
 *
 * Works on its own. tests/html.test sees that each page, option and command of the table exists.
 *
 * Threads: there is one.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filter/ctl/ctl.h"

/* What an operator wants to do. */
struct help_task {
	const char *task;	/* a verb phrase, 60 columns at most */
	const char *words;	/* other words to find it by */
	const char *page;
	const char *options;	/* "" : none */
	const char *command;	/* "" : none */
};

static const struct help_task help_tasks[] = {
	{ "set up a rented machine", "dedicated server ovh scaleway ptr dns rdns ipv6 tls"
	    " certificate sasl port warm-up",
	    "countersign-dedicated-server(7)", "", "doctor, spf check, dkim check" },
	{ "begin on a mail server that works", "way in first start install package debian",
	    "countersign-first-server(7)", "", "adopt, doctor, report" },
	{ "move from OpenDKIM, rspamd, policyd or postfwd", "migrate replace adopt cluebringer",
	    "countersign-migrate(7)", "dkim", "adopt, try" },
	{ "attach Postfix or Sendmail", "milter socket listen connect", "countersign.conf(5)",
	    "listen peers listeners", "doctor" },
	{ "watch first, then enforce", "mode would dry-run test", "countersign.conf(5)", "mode",
	    "report" },
	{ "decide which login may send as which address",
	    "owner sender alias second identity outlook sql ldap",
	    "countersign-tables(5)", "owners mailboxes accounts login_map",
	    "table get, table check" },
	{ "limit how much is sent", "quota rate plan recipients hour day", "countersign-limits(5)",
	    "plans default_plan plan_of accounts", "quota show, quota suggest" },
	{ "give limits to domains and customers", "hosting pool reseller plan",
	    "countersign-hosting(7)", "domain_plan pool_of pool_plan_of", "plan of, quota show" },
	{ "see who sends how much", "statistics volume top unusual sum hour day",
	    "countersign-watching(7)", "", "quota top, report, hours, rates" },
	{ "allow more for a while", "raise limit exception newsletter", "countersign-watching(7)",
	    "", "quota set, quota unset, quota reset" },
	{ "limit web scripts and cron on this host", "php www sendmail local vacation script",
	    "countersign-security(7)", "listeners", "try" },
	{ "count together on several hosts", "redis password sentinel cluster tls ha two filters",
	    "countersign-store(5)", "store redis", "status" },
	{ "stop a stolen account",
	    "hacked compromised phishing password spam blocked abuse hold slow country countries"
	    " unusual usual",
	    "countersign-emergencies(7)",
	    "block_on block_for block_grows block_action"
	    " allowed_networks", "stolen, block, blocked, unblock" },
	{ "empty a full queue", "mailq postqueue postsuper flood", "countersign-emergencies(7)", "",
	    "hold-queue, quota top" },
	{ "correct a reload or a start that failed", "configuration error typo restart",
	    "countersign-emergencies(7)", "", "reload, status" },
	{ "act when Redis, DNS or the filter is away", "down outage emergency bypass",
	    "countersign-emergencies(7)", "on_away", "status" },
	{ "leave a blocklist", "blacklist rbl spamhaus listed", "countersign-emergencies(7)", "",
	    "report, quota top" },
	{ "find out why a message was refused",
	    "bounce reject rejected deferred blocked reason user",
	    "countersign-watching(7)", "", "last, why, blocked, try" },
	{ "change what is refused, and the replies", "action reason text language french",
	    "countersign-reasons(5)", "replies help_url", "try" },
	{ "sign with DKIM, and change keys", "key selector rotate leak record",
	    "countersign-dkim(5)", "keys dkim", "dkim genkey, dkim check, dkim list, dkim retire" },
	{ "publish DMARC, and report to others", "dmarc policy rua p=reject",
	    "countersign-dmarc(7)", "dmarc", "dmarc check, dmarc report" },
	{ "check SPF, DKIM and DMARC of mail from outside",
	    "inbound verify forward spoof whitelist backup mx",
	    "countersign-inbound(5)", "spf dmarc own_domains", "spf check, try" },
	{ "run mailing lists, and slow them down", "list newsletter pacing moderator mailman",
	    "countersign-lists(7)", "restricted_recipients accounts", "try" },
	{ "read the log, be notified, ban guessers", "json event alert monitor fail2ban cron",
	    "countersign-watching(7)", "log_format event_command history", "events, report" },
	{ "monitor, and draw graphs", "prometheus grafana nagios zabbix health figures alert",
	    "countersign-watching(7)", "", "status, doctor, metrics" },
	{ "use a browser, let Dovecot refuse log-ins",
	    "console web http proxy login log-in token dovecot imap", "countersign-web(8)",
	    "control control_group control_read_group", "login-failed" },
	{ "back up, restore, move to another host", "backup restore disk move",
	    "countersign-backup(7)", "store history", "" },
	{ "keep others out",
	    "security update upgrade permission peers control root", "countersign-security(7)",
	    "peers control_group control_read_group user", "doctor" },
	{ "read the essentials in French", "guide rapide français commandes urgences",
	    "countersign-guide-rapide(7)", "", "" },
};

/* is_meant - does a word occur in a task? "countersign", with which each page begins, is skipped */
static bool
is_meant(const struct help_task *task, const char *word)
{
	return strcasestr(task->task, word) != NULL || strcasestr(task->words, word) != NULL ||
	    strcasestr(task->page + strlen("countersign"), word) != NULL ||
	    strcasestr(task->options, word) != NULL ||
	    strcasestr(task->command, word) != NULL;
}

static void
print_task(const struct help_task *task)
{
	(void)printf("%s\n    read      %s\n", task->task, task->page);
	if (task->options[0] != '\0')
		(void)printf("    options   %s\n", task->options);
	if (task->command[0] != '\0')
		(void)printf("    commands  %s\n", task->command);
}

static json_t *
task_json(const struct help_task *task)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "task", task->task, "page", task->page, "options",
	    task->options, "commands", task->command);
}

/* ctl_help - the tasks, or those in which a word occurs */
int
ctl_help(struct ctl *ctl, char **operands)
{
	json_t *found = json_array();
	size_t n = 0;

	for (size_t i = 0; i < sizeof(help_tasks) / sizeof(help_tasks[0]); i++) {
		const struct help_task *task = &help_tasks[i];

		if (operands[0] != NULL && !is_meant(task, operands[0]))
			continue;
		n++;
		if (ctl->json)
			(void)json_array_append_new(found, task_json(task));
		else if (operands[0] != NULL)
			print_task(task);
		else
			(void)printf("  %-52s%s\n", task->task, task->page);
	}
	if (n == 0)
		ctl_fail("no task has the word \"%s\"; countersignctl help lists them all", operands[0]);
	if (ctl->json) {
		json_t *answer = json_pack("{s:b, s:O}", "ok", 1, "tasks", found);

		(void)json_dumpf(answer, stdout, JSON_COMPACT);
		(void)printf("\n");
		json_decref(answer);
	}
	json_decref(found);
	return 0;
}

/*
 * ctl_stolen.c - countersignctl stolen: a theft on one page, and what to do about it
 *
 * The daemon answers for all filters of its books (control_stolen.c); the queue and the mail log
 * are those of this host (stolen_queue.c, stolen_log.c).
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/ctl/ctl.h"
#include "filter/ctl/stolen.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define DOMAINS_SHOWN	20
#define CLIENTS_SHOWN	20

/* print_word - a text as one word of a shell command */
static void
print_word(const char *text)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *word = text_shell_word(tmp, text);

	(void)printf("%s", word != NULL ? word : "ACCOUNT");
	talloc_free(tmp);
}

/* stolen_s - the end of a word that counts a number of an object */
static const char *
stolen_s(const json_t *object, const char *name)
{
	return text_s((uint64_t)ctl_number(object, name));
}

/* print_since - when it began, and whether it goes on */
static void
print_since(const json_t *answer)
{
	const json_t *blocked = json_object_get(answer, "blocked");

	(void)printf("%s\n\nSince     ", ctl_text(answer, "account"));
	if (ctl_number(answer, "since") > 0) {
		ctl_time(ctl_number(answer, "since"));
		(void)printf("  %s", ctl_text(answer, "sign"));
	} else
		(void)printf("no sign: nothing was refused, and no event names the account");
	(void)printf("\nState     ");
	if (blocked != NULL) {
		(void)printf("blocked since ");
		ctl_time(ctl_number(blocked, "since"));
		(void)printf(" by %s", ctl_text(blocked, "by"));
		if (ctl_text(blocked, "reason")[0] != '\0')
			(void)printf(": %s", ctl_text(blocked, "reason"));
		(void)printf("\n");
	} else
		(void)printf("not blocked\n");
	if (ctl_text(answer, "note")[0] != '\0')
		(void)printf("          %s\n", ctl_text(answer, "note"));
}

/* print_from - the addresses of clients since then, and of the day before */
static void
print_from(const json_t *answer)
{
	const json_t *clients = json_object_get(answer, "clients"), *client;
	size_t i;

	(void)printf("From      %lld address%s, with the day before\n", ctl_number(answer, "n_clients"),
	    ctl_number(answer, "n_clients") == 1 ? "" : "es");
	json_array_foreach(clients, i, client) {
		if (i == CLIENTS_SHOWN) {
			(void)printf("          ... (--json has 100)\n");
			break;
		}
		(void)printf("          %s  %lld passed (%lld recipient%s), %lld refused, last ",
		    ctl_text(client, "client"), ctl_number(client, "passed"),
		    ctl_number(client, "recipients"), stolen_s(client, "recipients"),
		    ctl_number(client, "refused"));
		ctl_time(ctl_number(client, "last"));
		(void)printf("\n");
	}
}

/* print_passed - how many, and how far the history goes */
static void
print_passed(const json_t *answer)
{
	if (ctl_number(answer, "messages") == 0)
		(void)printf("Passed    no message since then\n");
	else
		(void)printf("Passed    %lld message%s to %lld recipient%s, %lld of them held\n",
		    ctl_number(answer, "messages"), stolen_s(answer, "messages"),
		    ctl_number(answer, "recipients"), stolen_s(answer, "recipients"),
		    ctl_number(answer, "held"));
	(void)printf("          %lld refused, %lld deferred; in the day before: %lld passed\n",
	    ctl_number(answer, "refused"), ctl_number(answer, "deferred"),
	    ctl_number(answer, "before"));
	if (ctl_number(answer, "messages") == 0 && ctl_number(answer, "before") > 0)
		(void)printf("          What passed before the first refusal may be the thief's, too.\n");
	if (ctl_number(answer, "decisions") == 0) {
		(void)printf("          The history has no message of this account.\n");
		return;
	}
	(void)printf("          The history has %s%lld message%s of this account, from ",
	    json_is_true(json_object_get(answer, "all")) ? "" : "the last ",
	    ctl_number(answer, "decisions"), stolen_s(answer, "decisions"));
	ctl_time(ctl_number(answer, "oldest"));
	(void)printf(" on.\n");
}

/* total_of - the sum of a number over all domains */
static long long
total_of(json_t *domains, const char *name)
{
	const char *domain;
	json_t *counts;
	long long total = 0;

	json_object_foreach(domains, domain, counts)
		total += ctl_number(counts, name);
	return total;
}

/* A domain and its counts, to be sorted. */
struct line {
	const char *domain;
	const json_t *counts;
	long long all;
};

/* most_first_line - for qsort(3) */
static int
most_first_line(const void *a, const void *b)
{
	const struct line *first = a, *second = b;

	if (first->all != second->all)
		return first->all < second->all ? 1 : -1;
	return strcmp(first->domain, second->domain);
}

/* print_stolen_domains - the domains with most recipients */
static void
print_stolen_domains(json_t *domains)
{
	size_t n = json_object_size(domains), i = 0;
	struct line *lines = calloc(n + 1, sizeof(*lines));
	const char *domain;
	json_t *counts;

	if (lines == NULL)
		return;
	json_object_foreach(domains, domain, counts)
		lines[i++] = (struct line){ domain, counts, ctl_number(counts, "sent") +
			ctl_number(counts, "bounced") + ctl_number(counts, "queued") };
	qsort(lines, n, sizeof(*lines), most_first_line);
	for (i = 0; i < n && i < DOMAINS_SHOWN; i++) {
		(void)printf("          ");
		ctl_safe(lines[i].domain);
		(void)printf("  %lld sent, %lld bounced, %lld queued\n",
		    ctl_number(lines[i].counts, "sent"), ctl_number(lines[i].counts, "bounced"),
		    ctl_number(lines[i].counts, "queued"));
	}
	if (n > DOMAINS_SHOWN)
		(void)printf("          and %zu more (--json has all)\n", n - DOMAINS_SHOWN);
	free(lines);
}

/* print_to - to whom, as far as this host knows */
static void
print_to(const json_t *answer)
{
	const json_t *log = json_object_get(answer, "log");
	json_t *domains = json_object_get(log, "domains");
	const json_t *paths = json_object_get(log, "paths"), *path;
	size_t i;

	(void)printf("To        %zu domain%s, by the queue of this host", json_object_size(domains),
	    text_s(json_object_size(domains)));
	json_array_foreach(paths, i, path)
		(void)printf("%s %s", i == 0 ? " and" : ",", json_string_value(path));
	(void)printf("\n");
	print_stolen_domains(domains);
	if (json_array_size(paths) == 0)
		(void)printf("Bounced   not known: no mail log was read; name it with --log, also "
		    "older ones\n");
	else
		(void)printf("Bounced   %lld of %lld that ended, by these logs\n",
		    total_of(domains, "bounced"),
		    total_of(domains, "bounced") + total_of(domains, "sent"));
	(void)printf("          Not known here: mail of other hosts, and mail that has another queue "
	    "id.\n");
}

/* print_queued - what is still in the queue here, and where else to look */
static void
print_stolen_queue(const json_t *answer)
{
	json_t *queue = json_object_get(answer, "queue");
	json_t *queues = json_object_get(queue, "queues"), *n;
	json_t *filters = json_object_get(answer, "filters"), *ids;
	const char *name;

	if (json_is_null(queue))
		(void)printf("Queued    not known: neither postqueue -j (Postfix 3.1) nor mailq (Sendmail) works "
		    "here\n");
	else {
		(void)printf("Queued    %zu on this host", json_array_size(
		    json_object_get(queue, "ids")));
		json_object_foreach(queues, name, n)
			(void)printf(", %lld %s", (long long)json_integer_value(n), name);
		(void)printf("\n");
	}
	json_object_foreach(filters, name, ids)
		(void)printf("          %s let %zu of them pass\n", name, json_array_size(ids));
}

/* print_step - a numbered command with the account in it */
static void
print_step(int n, const char *before, const json_t *answer, const char *after)
{
	(void)printf("%d. %s", n, before);
	print_word(ctl_text(answer, "account"));
	(void)printf("%s\n", after);
}

/* print_selected - a pipe from the queue to postsuper; the ids that stolen found are the better
 * list, this one is for people */
static void
print_selected(const json_t *answer, const char *option)
{
	(void)printf("   countersignctl --json stolen ");
	print_word(ctl_text(answer, "account"));
	(void)printf(" | jq -r '.queue.ids[]' | postsuper %s -\n", option);
}

/* is_sendmail - is it the queue of Sendmail? */
static bool
is_sendmail(const json_t *queue)
{
	return strcmp(ctl_text(queue, "mta"), "sendmail") == 0;
}

/* print_block_step - the first step, unless the account is blocked until it is unblocked */
static int
print_block_step(int n, const json_t *answer)
{
	const json_t *blocked = json_object_get(answer, "blocked");

	if (blocked != NULL && ctl_number(blocked, "until") <= 0)
		return n;
	if (blocked != NULL) {
		(void)printf("%d. Keep it blocked beyond ", n);
		ctl_time(ctl_number(blocked, "until"));
		(void)printf(":\n   countersignctl block ");
	} else
		(void)printf("%d. countersignctl block ", n);
	print_word(ctl_text(answer, "account"));
	(void)printf(" --reason 'stolen'\n");
	return n + 1;
}

/* print_stolen_steps - what to do, in order */
static void
print_stolen_steps(const json_t *answer)
{
	int n = 1;

	(void)printf("\nDo, in this order:\n");
	n = print_block_step(n, answer);
	(void)printf("%d. Change the password where it is kept, and look for forwarding rules of the "
	    "thief.\n", n++);
	print_step(n++, "End the sessions at the IMAP server: doveadm kick ", answer, "");
	print_step(n++, "On each host, as root: countersignctl stolen ", answer, " --pull");
	if (is_sendmail(json_object_get(answer, "queue"))) {
		(void)printf("%d. Look at what is held: mailq -qQ\n", n++);
		(void)printf("%d. Release what is not spam, or delete the files of what is:\n"
		    "   sendmail -qQ -Q -qIID; sendmail -qIID\n"
		    "   rm /var/spool/mqueue/?fID\n", n++);
	} else {
		(void)printf("%d. Look at what is held: postqueue -p; postcat -q ID\n", n++);
		(void)printf("%d. Delete what is spam, or release what is not:\n", n++);
		print_selected(answer, "-d");
		print_selected(answer, "-H");
	}
	print_step(n++, "countersignctl unblock ", answer, "");
	print_step(n, "countersignctl quota reset ", answer, "");
}

/* print_extent - how much was sent, in the text for the holder; French has its plural from 2 on */
static void
print_extent(long long n, long long to, bool french)
{
	if (n == 0)
		(void)printf(french ? ", ou pour essayer.\n" : ", or tried to.\n");
	else if (french)
		(void)printf("\n  (%lld message%s, %lld destinataire%s).\n", n, n < 2 ? "" : "s", to,
		    to < 2 ? "" : "s");
	else
		(void)printf("\n  (%lld message%s, %lld recipient%s).\n", n, text_s((uint64_t)n), to,
		    text_s((uint64_t)to));
}

/* print_notice - a text for the holder of the account */
static void
print_notice(const json_t *answer)
{
	const char *account = ctl_text(answer, "account");
	long long n = ctl_number(answer, "messages"), to = ctl_number(answer, "recipients");
	bool french = strcmp(ctl_text(answer, "language"), "fr") == 0;

	(void)printf(french ? "\nTexte pour le titulaire :\n\n"
	    "  Bonjour,\n\n"
	    "  Le mot de passe de votre compte %s a été utilisé par quelqu'un d'autre\n"
	    "  pour envoyer du courrier" : "\nText for the holder:\n\n"
	    "  Hello,\n\n"
	    "  Someone else used the password of your account %s to send mail", account);
	print_extent(n, to, french);
	(void)printf("%s", french ?
	    "  L'envoi depuis ce compte est suspendu. Choisissez un nouveau mot de passe, que\n"
	    "  vous n'utilisez nulle part ailleurs, et vérifiez vos ordinateurs et téléphones.\n"
	    "  Vérifiez aussi les redirections et les filtres de votre boîte.\n"
	    "  Nous rétablirons l'envoi quand ce sera fait.\n" :
	    "  Sending from this account is stopped. Choose a new password that you use\n"
	    "  nowhere else, and check your computers and phones.\n"
	    "  Check the forwarding rules and filters of your mailbox, too.\n"
	    "  We will allow sending again when this is done.\n");
}

/* print_stolen - the page */
static void
print_stolen(const json_t *answer)
{
	print_since(answer);
	print_from(answer);
	print_passed(answer);
	print_to(answer);
	print_stolen_queue(answer);
	print_stolen_steps(answer);
	print_notice(answer);
}

/* read_logs - the mail logs that were named, else those in the usual places */
static void
read_logs(struct ctl *ctl, const json_t *answer, json_t *log)
{
	static const char *const usual[] = { "/var/log/mail.log", "/var/log/maillog" };
	json_t *paths = json_object_get(log, "paths"), *domains = json_object_get(log, "domains");
	const char *path;
	size_t at = 0;
	bool any = false;

	while ((path = ctl_option_next(ctl, "--log", &at)) != NULL) {
		if (!stolen_log(answer, path, domains))
			ctl_fail("%s cannot be read", path);
		(void)json_array_append_new(paths, json_string(path));
		any = true;
	}
	for (size_t i = 0; !any && i < sizeof(usual) / sizeof(usual[0]); i++)
		if (stolen_log(answer, usual[i], domains)) {
			(void)json_array_append_new(paths, json_string(usual[i]));
			any = true;
		}
}

/* add_queued_domains - to those of the log */
static void
add_queued_domains(json_t *domains, json_t *queue)
{
	const char *name;
	json_t *counts;

	json_object_foreach(json_object_get(queue, "domains"), name, counts) {
		if (json_object_get(domains, name) == NULL)
			(void)json_object_set_new(domains, name, json_object());
		stolen_bump(json_object_get(domains, name), "queued",
		    json_integer_value(json_object_get(counts, "queued")));
	}
}

/* read_queue - of the MTA of this host */
static json_t *
read_queue(const json_t *answer)
{
	json_t *queue = stolen_queue(answer);

	return queue != NULL ? queue : stolen_sendmail(answer);
}

/* pull - put on hold what is queued here */
static void
pull(const json_t *queue)
{
	const json_t *ids = json_object_get(queue, "ids");

	if (queue == NULL)
		ctl_fail("the queue cannot be read: neither postqueue -j nor mailq works here");
	if (json_array_size(ids) > 0 &&
	    !(is_sendmail(queue) ? stolen_sendmail_pull : stolen_pull)(ids))
		ctl_fail("%s failed; not all messages are on hold",
		    is_sendmail(queue) ? "sendmail" : "postsuper");
}

/* ctl_stolen - a theft on one page */
int
ctl_stolen(struct ctl *ctl, char **operands)
{
	json_t *request = json_pack("{s:s}", "command", "stolen"), *answer, *log, *queue;

	if (ctl_flag(ctl, "--pull") && geteuid() != 0)
		ctl_fail("--pull needs root, as postsuper does");
	ctl_set(request, "account", operands[0]);
	answer = ctl_answer(ctl, request);
	queue = read_queue(answer);
	if (ctl_flag(ctl, "--pull")) {
		pull(queue);
		json_decref(queue);
		queue = read_queue(answer);
	}
	log = json_pack("{s:[], s:{}}", "paths", "domains");
	read_logs(ctl, answer, log);
	add_queued_domains(json_object_get(log, "domains"), queue);
	(void)json_object_set_new(answer, "log", log);
	(void)json_object_set_new(answer, "queue", queue != NULL ? queue : json_null());
	if (ctl->json) {
		(void)json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		(void)printf("\n");
	} else
		print_stolen(answer);
	json_decref(answer);
	return EXIT_SUCCESS;
}

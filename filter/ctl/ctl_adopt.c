/*
 * ctl_adopt.c - countersignctl adopt: from what runs here today to countersign
 *
 * Runs filter/adopt and prints what is to be done, for people or as JSON.
 *
 * Threads: one; those of the samples stay until the end.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/adopt/adopt.h"
#include "filter/adopt/samples.h"
#include "filter/adopt/sources.h"
#include "filter/ctl/ctl.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

/* --- the command line ------------------------------------------------------ */

/* source_of - "KIND" or "KIND:FILE" */
static struct adopt_source
source_of(struct ctl *ctl, const char *text)
{
	struct adopt_source source = { .path = NULL };
	size_t len = strcspn(text, ":");

	source.kind = mem_strndup(ctl->memory, text, len);
	if (text[len] == ':')
		source.path = text + len + 1;
	if (!adopt_source_known(source.kind))
		ctl_misuse(
		    ctl, "--from %s: known are policyd, policyd-rate-limit, postfwd, rspamd", text);
	return source;
}

/* read_sources - --from; the operands are the files of those that name none, in order. If there is
 * one such kind, all files are of it. */
static void
read_sources(struct ctl *ctl, struct adopt_options *options, char **operands)
{
	struct adopt_source *list =
	    mem_array(ctl->memory, struct adopt_source, ctl->n_given + COMMAND_OPERANDS_MAX + 1);
	size_t at = 0, n_operands = 0, n = 0, bare = 0, next = 0;
	const char *text, *kind = NULL;

	while (operands[n_operands] != NULL)
		n_operands++;
	while ((text = ctl_option_next(ctl, "--from", &at)) != NULL) {
		list[n] = source_of(ctl, text);
		if (list[n].path == NULL) {
			kind = list[n].kind;
			bare++;
		}
		n++;
	}
	if (n_operands > 0 && bare != 1 && bare != n_operands)
		ctl_misuse(ctl, "takes one FILE for each --from KIND; write --from KIND:FILE");
	for (size_t i = 0; i < n && next < n_operands; i++)
		if (list[i].path == NULL)
			list[i].path = operands[next++];
	while (next < n_operands)
		list[n++] = (struct adopt_source){ kind, operands[next++] };
	options->from = list;
	options->n_from = n;
}

/* --- JSON ------------------------------------------------------------------ */

/* text_or - a text that is UTF-8 */
static json_t *
text_or(const char *text)
{
	json_t *json = json_string(text);

	return json != NULL ? json : json_string("(not UTF-8)");
}

/* texts_json - a list of texts */
static json_t *
texts_json(const struct adopt_texts *texts)
{
	json_t *array = json_array();

	for (size_t i = 0; i < texts->n; i++)
		(void)json_array_append_new(array, text_or(texts->items[i]));
	return array;
}

/* edits_json - the lines for the MTA */
static json_t *
edits_json(const struct adopt_report *report)
{
	json_t *array = json_array();

	for (size_t i = 0; i < report->n_edits; i++) {
		const struct adopt_edit *edit = &report->edits[i];
		json_t *object = json_object();

		(void)json_object_set_new(object, "file", text_or(edit->file));
		if (edit->service != NULL)
			(void)json_object_set_new(object, "service", text_or(edit->service));
		(void)json_object_set_new(object, "line", text_or(edit->line));
		(void)json_object_set_new(object, "why", text_or(edit->why));
		(void)json_array_append_new(array, object);
	}
	return array;
}

/* refusals_json - samples that would not pass */
static json_t *
refusals_json(const struct adopt_trial *trial)
{
	json_t *array = json_array();

	for (size_t i = 0; i < trial->n_refusals; i++)
		(void)json_array_append_new(array,
		    json_pack("{s:o,s:o}", "sample", text_or(trial->refusals[i].sample), "reply",
			text_or(trial->refusals[i].reply)));
	return array;
}

/* adopted_print_json - everything as one object */
static void
adopted_print_json(const struct adopt_report *report, const struct adopt_trial *trial)
{
	json_t *json = json_pack("{s:b,s:o,s:o,s:o,s:o}", "ok", trial->errors == NULL, "read",
	    texts_json(&report->read), "written", texts_json(&report->written), "not_taken",
	    texts_json(&report->missing), "notes", texts_json(&report->notes));

	(void)json_object_update_new(json,
	    json_pack("{s:o,s:o,s:o,s:o,s:o,s:o?,s:{s:I,s:I,s:I,s:o}}", "changes",
		edits_json(report), "commands", texts_json(&report->commands), "start",
		texts_json(&report->start), "then", texts_json(&report->then),
		"back", texts_json(&report->back), "errors",
		trial->errors != NULL ? text_or(trial->errors) : NULL, "samples", "tried",
		(json_int_t)trial->tried, "accepted", (json_int_t)trial->accepted, "signed",
		(json_int_t)trial->with_signature, "refused", refusals_json(trial)));
	(void)json_dumpf(json, stdout, JSON_COMPACT);
	(void)printf("\n");
	json_decref(json);
}

/* --- text ------------------------------------------------------------------ */

/* print_texts - a heading and its lines */
static void
print_texts(const char *heading, const char *indent, const struct adopt_texts *texts)
{
	if (texts->n == 0)
		return;
	(void)printf("%s\n", heading);
	for (size_t i = 0; i < texts->n; i++) {
		(void)printf("%s", indent);
		ctl_safe(texts->items[i]);
		(void)printf("\n");
	}
	(void)printf("\n");
}

/* same_heading - do two edits stand in one place? */
static bool
same_heading(const struct adopt_edit *a, const struct adopt_edit *b)
{
	return strcmp(a->file, b->file) == 0 && (a->service == NULL) == (b->service == NULL) &&
	    (a->service == NULL || strcmp(a->service, b->service) == 0);
}

/* print_edit - a line to paste; a remark stands above it, because Postfix has none after */
static void
print_edit(const struct adopt_edit *edit)
{
	if (edit->why[0] != '\0') {
		(void)printf("# ");
		ctl_safe(edit->why);
		(void)printf("\n");
	}
	ctl_safe(edit->line);
	(void)printf("\n");
}

/* print_edits - the lines for each file and service */
static void
print_edits(const struct adopt_report *report)
{
	for (size_t i = 0; i < report->n_edits; i++) {
		const struct adopt_edit *edit = &report->edits[i];
		bool first = true;

		for (size_t k = 0; k < i; k++)
			first = first && !same_heading(edit, &report->edits[k]);
		if (!first)
			continue;
		(void)printf("Change in %s", edit->file);
		if (edit->service != NULL)
			(void)printf(", service %s", edit->service);
		(void)printf(":\n");
		for (size_t k = i; k < report->n_edits; k++)
			if (same_heading(edit, &report->edits[k]))
				print_edit(&report->edits[k]);
		(void)printf("\n");
	}
}

/* adopted_print_trial - what countersign -t says, and the samples */
static void
adopted_print_trial(const struct adopt_report *report, const struct adopt_trial *trial)
{
	if (trial->errors != NULL) {
		(void)printf("countersign -t -c %s would report:\n%s\n", report->conf,
		    trial->errors);
		return;
	}
	(void)printf("%s is good.\n", report->conf);
	if (trial->tried == 0)
		(void)printf(
		    "No sample messages: no owner table is a text file. Try some senders:\n"
		    "countersignctl -c %s try --listener users --login LOGIN --from ADDRESS --rcpt "
		    "ADDRESS --tls --plain\n",
		    report->conf);
	else
		(void)printf("%zu sample sender%s: %zu accepted as before, %zu signed\n",
		    trial->tried, text_s(trial->tried), trial->accepted,
		    trial->with_signature);
	for (size_t i = 0; i < trial->n_refusals; i++) {
		(void)printf("  in mode enforce ");
		ctl_safe(trial->refusals[i].sample);
		(void)printf(" would get: ");
		ctl_safe(trial->refusals[i].reply);
		(void)printf("\n");
	}
}

/* print_text - everything for people */
static void
print_text(const struct adopt_report *report, const struct adopt_trial *trial)
{
	print_texts("Read:", "  ", &report->read);
	print_texts("Written:", "  ", &report->written);
	print_texts("Could not be taken over:", "  ", &report->missing);
	print_texts("To know:", "  ", &report->notes);
	print_texts("Run as root:", "", &report->commands);
	print_texts("Start countersign:", "", &report->start);
	print_edits(report);
	print_texts("Then:", "", &report->then);
	print_texts("The way back:", "", &report->back);
	adopted_print_trial(report, trial);
}

/* ctl_adopt - read, write, try, report */
int
ctl_adopt(struct ctl *ctl, char **operands)
{
	struct adopt_options options = { .postfix_config = ctl_option(ctl, "--postfix-config"),
		.sendmail_cf = ctl_option(ctl, "--sendmail-cf"),
		.opendkim = ctl_option(ctl, "--opendkim"),
		.output = ctl_option(ctl, "--output"),
		.force = ctl_flag(ctl, "--force") };
	const struct adopt_report *report;
	const struct adopt_trial *trial;
	const char *error = NULL;

	read_sources(ctl, &options, operands);
	report = adopt(ctl->memory, &options, &error);
	if (report == NULL)
		ctl_fail("%s", error);
	trial = adopt_try(ctl->memory, report);
	if (ctl->json)
		adopted_print_json(report, trial);
	else
		print_text(report, trial);
	(void)fflush(stdout);
	/* the threads of the resolver and the store go with the process */
	_exit(trial->errors == NULL ? EXIT_SUCCESS : EXIT_FAILURE);
}

/*
 * ctl_doctor.c - countersignctl doctor: what is wrong with this site
 *
 * Runs filter/doctor and prints what it found, for people or as JSON.
 *
 * Threads: one here; those of the checks have ended, or are left behind at the end.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/ctl/ctl.h"
#include "filter/ctl/ctl_dkim.h"
#include "filter/daemon/snapshot.h"
#include "filter/doctor/doctor.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"
#include "policy/base/text.h"

#define STATUS_WARNINGS	1
#define STATUS_ERRORS	2

/* doctor_reader - as whom the daemon reads (struct doctor_options) */
static int
doctor_reader(void *state, TALLOC_CTX *ctx, const struct config *config,
    struct keyring_options *options_r, const char **error_r)
{
	struct ctl *ctl = state;
	struct stat st;
	const char *place;

	if (snapshot_key_options(ctx, config, options_r, error_r) != 0)
		return -1;
	options_r->eager = 0;
	if (config->user != NULL && geteuid() == 0)
		return 0;
	/* the daemon's unit may name another account: then the place of the keys is made for it */
	place = config_signs(config) ? ctl_dkim_place(ctl, config) : NULL;
	if (place != NULL && stat(place, &st) == 0) {
		options_r->uid = st.st_uid;
		options_r->gid = st.st_gid;
	}
	return 0;
}

/* option_list - all values of an option; *n_r of them */
static const char **
option_list(const struct ctl *ctl, const char *name, size_t *n_r)
{
	const char **list = mem_array(ctl->memory, const char *, ctl->n_given + 1), *value;
	size_t at = 0;

	for (*n_r = 0; (value = ctl_option_next(ctl, name, &at)) != NULL;)
		list[(*n_r)++] = value;
	return list;
}

/* check_ids - only known ones */
static void
check_ids(const struct ctl *ctl, const char *option, const char *const *ids, size_t n)
{
	const char *near;

	for (size_t i = 0; i < n; i++) {
		if (doctor_known(ids[i], &near))
			continue;
		if (near != NULL)
			ctl_misuse(ctl, "%s: there is no check %s (did you mean %s?)", option,
			    ids[i], near);
		ctl_misuse(ctl, "%s: there is no check %s; countersignctl(8) lists them", option,
		    ids[i]);
	}
}

/* doctor_print_json - the report as one object */
static void
doctor_print_json(const struct doctor_report *report, bool good)
{
	json_t *findings = json_array(), *counts = json_object(), *answer;

	for (size_t i = 0; i < report->n; i++) {
		const struct doctor_finding *finding = &report->findings[i];
		const char *const texts[] = { "level", doctor_level_word(finding->level), "id",
			finding->id, "where", finding->where, "what", finding->what, "cure",
			finding->cure };
		json_t *object = json_object();

		for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k += 2) {
			json_t *text = json_string(texts[k + 1]);

			(void)json_object_set_new(object, texts[k],
			    text != NULL ? text : json_string("(not UTF-8)"));
		}
		(void)json_array_append_new(findings, object);
	}
	for (int level = DOCTOR_OK; level < DOCTOR_LEVELS; level++)
		(void)json_object_set_new(counts, doctor_level_word((enum doctor_level)level),
		    json_integer((json_int_t)report->counts[level]));
	answer = mem_check(json_pack(
	    "{s:b,s:o,s:o}", "ok", (int)good, "findings", findings, "counts", counts));
	(void)json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	(void)printf("\n");
	json_decref(answer);
}

/* doctor_print_text - for people */
static void
doctor_print_text(const struct doctor_report *report)
{
	const size_t *counts = report->counts;

	for (size_t i = 0; i < report->n; i++) {
		const struct doctor_finding *finding = &report->findings[i];

		(void)printf("%-7s  %s  ", doctor_level_word(finding->level), finding->id);
		ctl_safe(finding->where);
		(void)printf("\n         ");
		ctl_safe(finding->what);
		if (finding->cure[0] != '\0') {
			(void)printf("\n         cure: ");
			ctl_safe(finding->cure);
		}
		(void)printf("\n");
	}
	(void)printf("%zu error%s, %zu warning%s, %zu unknown\n", counts[DOCTOR_ERROR],
	    text_s(counts[DOCTOR_ERROR]), counts[DOCTOR_WARNING],
	    text_s(counts[DOCTOR_WARNING]), counts[DOCTOR_UNKNOWN]);
}

/* ctl_doctor - find what is wrong */
int
ctl_doctor(struct ctl *ctl, char **operands)
{
	struct doctor_options options = { .file = ctl->file,
		.postfix_config = ctl_option(ctl, "--postfix-config"),
		.sendmail_cf = ctl_option(ctl, "--sendmail-cf"),
		.reader = doctor_reader,
		.reader_state = ctl };
	const struct doctor_report *report;
	int status;

	(void)operands;
	options.addresses = option_list(ctl, "--ip", &options.n_addresses);
	options.only = option_list(ctl, "--only", &options.n_only);
	options.skip = option_list(ctl, "--skip", &options.n_skip);
	check_ids(ctl, "--only", options.only, options.n_only);
	check_ids(ctl, "--skip", options.skip, options.n_skip);
	for (size_t i = 0; i < options.n_addresses; i++) {
		struct ip_address ip;

		if (!ip_address_parse(options.addresses[i], &ip))
			ctl_misuse(ctl, "--ip %s: this is not an address", options.addresses[i]);
	}
	(void)signal(SIGPIPE, SIG_IGN);
	report = doctor_examine(ctl->memory, &options);
	status = report->counts[DOCTOR_ERROR] > 0	? STATUS_ERRORS
	    : report->counts[DOCTOR_WARNING] > 0	? STATUS_WARNINGS
							: EXIT_SUCCESS;
	if (ctl->json)
		doctor_print_json(report, report->counts[DOCTOR_ERROR] == 0);
	else
		doctor_print_text(report);
	(void)fflush(stdout);
	/* what still hangs in a thread must not be pulled from under it */
	_exit(status);
}

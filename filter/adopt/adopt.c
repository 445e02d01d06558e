/*
 * adopt.c - from what a host runs today to a configuration of countersign
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/adopt/adopt.h"
#include "filter/adopt/inside.h"
#include "policy/base/mem.h"

/* absolute - a path from the root on */
static const char *
absolute(TALLOC_CTX *ctx, const char *path)
{
	char here[PATH_MAX];
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	path = mem_strndup(ctx, path, len);
	if (path[0] == '/' || getcwd(here, sizeof(here)) == NULL)
		return path;
	return strcmp(path, ".") == 0 ? mem_strdup(ctx, here)
				      : mem_printf(ctx, "%s/%s", here, path);
}

/* read_mta - Postfix or Sendmail: as asked for, or what is there */
static bool
read_mta(struct adopt *adopt, const char **error_r)
{
	const struct adopt_options *options = adopt->options;

	if (options->postfix_config != NULL || options->sendmail_cf == NULL) {
		if (adopt_postfix_read(adopt, error_r))
			return true;
		if (*error_r != NULL)
			return false;
	}
	if (adopt_sendmail_read(adopt, error_r))
		return true;
	if (*error_r == NULL)
		*error_r = "neither Postfix (/etc/postfix/main.cf) nor Sendmail "
			   "(/etc/mail/sendmail.cf) was found on this host; name it with "
			   "--postfix-config DIR or --sendmail-cf FILE";
	return false;
}

/* own_keys - no other keys were found: those that countersignctl dkim genkey makes */
static void
own_keys(struct adopt *adopt)
{
	static const char place[] = SYSCONFDIR "/countersign/keys";
	glob_t found;
	size_t n = 0;

	if (access(place, F_OK) == 0)
		adopt_set(adopt, PLACE_IDENTITY, "the keys that countersignctl dkim genkey makes",
		    "keys = \"%s\"", place);
	if (glob(SYSCONFDIR "/countersign/keys/*/*.pem", GLOB_NOSORT, NULL, &found) == 0) {
		n = found.gl_pathc;
		globfree(&found);
	}
	if (n == 0)
		adopt_note(adopt,
		    "no DKIM keys were found, so nothing is signed; countersignctl dkim genkey DOMAIN "
		    "makes a key, and keys = \"%s\" uses it",
		    place);
}

/* read_all - each part notes what it finds; later ones use what earlier ones found */
static void
read_all(struct adopt *adopt)
{
	adopt_opendkim(adopt);
	adopt_sources(adopt);
	adopt_listen(adopt);
	if (adopt->n_instances > 0)
		adopt_postfix(adopt);
	else
		adopt_sendmail(adopt);
	if (adopt->signs_here)
		return;
	if (adopt->opendkim_stays != NULL || adopt->rspamd_stays != NULL)
		adopt_note(adopt, "%s goes on signing, so countersign signs nothing",
		    adopt->opendkim_stays != NULL ? "opendkim" : "rspamd");
	else
		own_keys(adopt);
}

/* instance_back - the end of the way back of an instance of Postfix */
static void
instance_back(struct adopt *adopt, const struct postfix *postfix)
{
	const char *main_cf = adopt_shell(adopt, postfix->main_cf);
	const char *master_cf = adopt_shell(adopt, postfix->master_cf);

	adopt_back(adopt,
	    "# or, if nothing else was changed in them since: "
	    "cp -p %s.before-countersign %s && cp -p %s.before-countersign %s",
	    main_cf, main_cf, master_cf, master_cf);
	adopt_back(adopt, "postfix -c %s reload", adopt_shell(adopt, postfix->directory));
}

/* next_steps - the files go to their place and countersign starts; what follows, once the lines are
 * in the files of the MTA */
static void
next_steps(struct adopt *adopt)
{
	static const char place[] = SYSCONFDIR "/countersign";
	struct adopt_texts *then = &adopt->report->then, *start = &adopt->report->start;
	char *files = mem_strdup(adopt, "");

	for (size_t i = 0; i < adopt->report->written.n; i++)
		files = mem_printf(
		    adopt, "%s%s ", files, adopt_shell(adopt, adopt->report->written.items[i]));
	if (strcmp(adopt->output, place) != 0)
		adopt_text(adopt, start, "install -m 0644 %s%s/", files, place);
	adopt_text(adopt, start,
	    "countersign -t && systemctl enable countersign && systemctl restart countersign");
	for (size_t i = 0; i < adopt->n_instances; i++)
		adopt_text(adopt, then, "postfix -c %s reload",
		    adopt_shell(adopt, adopt->instances[i]->directory));
	if (adopt->n_instances == 0)
		adopt_text(adopt, then, "make -C /etc/mail && systemctl restart sendmail");
	adopt_text(adopt, then, "countersignctl doctor");
	for (size_t i = 0; i < adopt->n_instances; i++)
		instance_back(adopt, adopt->instances[i]);
	if (adopt->opendkim && adopt->opendkim_stays == NULL)
		adopt_back(adopt, "systemctl start opendkim   # if it was stopped");
}

const struct adopt_report *
adopt(TALLOC_CTX *ctx, const struct adopt_options *options, const char **error_r)
{
	struct adopt *adopt = mem_new(ctx, struct adopt);

	*error_r = NULL;
	adopt->options = options;
	adopt->report = mem_new(adopt, struct adopt_report);
	adopt->output = absolute(adopt, options->output);
	if (!read_mta(adopt, error_r))
		return NULL;
	read_all(adopt);
	if (!adopt_write(adopt, error_r))
		return NULL;
	adopt_postfix_policies(adopt);
	next_steps(adopt);
	return adopt->report;
}

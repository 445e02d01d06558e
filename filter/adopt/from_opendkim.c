/*
 * from_opendkim.c - opendkim.conf, which countersign takes the place of
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/adopt/opendkim.h"
#include "policy/base/mem.h"

static const char *const usual[] = { "/etc/opendkim.conf", "/etc/opendkim/opendkim.conf",
	"/etc/mail/dkim-filter.conf", NULL };

/* opendkim_user_name - as whom opendkim runs */
static const char *
opendkim_user_name(struct opendkim *opendkim)
{
	const struct opendkim_setting *user = opendkim_find(opendkim, "UserID");

	return user == NULL ? "opendkim"
			    : mem_strndup(opendkim->adopt, user->value, strcspn(user->value, ":"));
}

/* debian_socket - the socket that Debian's start script may name instead */
static void
debian_socket(struct adopt *adopt)
{
	static const char path[] = "/etc/default/opendkim";
	char *text = adopt_file(adopt, path), *line;
	int number = 0;

	while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
		if (strncmp(line, "SOCKET=", 7) != 0)
			continue;
		line += 7 + strspn(line + 7, "\"'");
		line[strcspn(line, "\"' \t#")] = '\0';
		if (strchr(line, '$') == NULL && line[0] != '\0')
			adopt_text(adopt, &adopt->opendkim_sockets, "%s", line);
	}
}

/* share_keys - let opendkim go on reading keys that now belong to countersign's group. It does not
 * start if another user is in the group of a key, by default. */
static void
share_keys(struct opendkim *opendkim, const char *path)
{
	struct adopt *adopt = opendkim->adopt;
	const struct opendkim_setting *safe = opendkim_take(opendkim, "RequireSafeKeys");

	adopt_command(adopt, "adduser %s %s   # as long as opendkim uses the keys",
	    adopt_shell(adopt, opendkim_user_name(opendkim)), adopt_group());
	if (safe == NULL || opendkim_true(safe))
		adopt_command(adopt,
		    "echo 'RequireSafeKeys no' >>%s   # or opendkim does not start again",
		    adopt_shell(adopt, path));
}

void
adopt_opendkim(struct adopt *adopt)
{
	const char *path = adopt->options->opendkim;
	struct opendkim opendkim = { .adopt = adopt };
	const struct opendkim_setting *mode;
	bool verifies;
	size_t before = adopt->report->commands.n;

	if (path == NULL)
		path = adopt_first(usual);
	if (path == NULL || !opendkim_read(&opendkim, path))
		return;
	adopt->opendkim = true;
	debian_socket(adopt);
	mode = opendkim_take(&opendkim, "Mode");
	verifies = mode != NULL && strcasecmp(mode->value, "v") == 0;
	adopt->opendkim_stays = opendkim_stays(&opendkim, verifies);
	if (adopt->opendkim_stays != NULL)
		adopt_missing(
		    adopt, "opendkim stays and goes on signing: %s", adopt->opendkim_stays);
	opendkim_signing(&opendkim, verifies);
	if (mode != NULL)
		adopt_note(adopt,
		    "%s: Mode %s: roles decide here: submission, relay and local sign, inbound "
		    "verifies",
		    mode->where, mode->value);
	if (adopt->report->commands.n > before)
		share_keys(&opendkim, path);
	opendkim_others(&opendkim);
}

/*
 * places.c - whether the directories that the configuration names are there
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/daemon/places.h"
#include "policy/base/mem.h"

/* What countersign.service makes (RuntimeDirectory). */
#define RUNTIME_DIRECTORY	RUNSTATEDIR "/countersign"

/* A check of some places. */
struct places {
	TALLOC_CTX *ctx;
	const struct config *config;
	char *errors;
	char *warnings;
};

/* places_note - one more line */
static void
places_note(char **lines, char *line)
{
	*lines = *lines == NULL ? line
				: mem_check(talloc_asprintf_append_buffer(*lines, "\n%s", line));
}

/* directory_of - the directory of a path */
static char *
directory_of(TALLOC_CTX *ctx, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return mem_strdup(ctx, ".");
	return slash == path ? mem_strdup(ctx, "/") : mem_strndup(ctx, path, (size_t)(slash - path));
}

/* look_at - one place: option names it, path is the file that the daemon will make */
static void
look_at(struct places *places, const char *option, const char *path, bool by_root)
{
	const char *file = places->config->file, *directory = directory_of(places->ctx, path);
	bool systemd = strcmp(directory, RUNTIME_DIRECTORY) == 0 ||
	    strcmp(directory, PLACES_STATE_DIRECTORY) == 0;
	struct stat st;

	if (stat(directory, &st) != 0 && errno == ENOENT && systemd)
		places_note(&places->warnings,
		    mem_printf(places->ctx,
			"%s: %s: the directory %s does not exist; countersign.service makes it "
			"when it starts",
			file, option, directory));
	else if (stat(directory, &st) != 0)
		places_note(&places->errors,
		    mem_printf(places->ctx,
			"%s: %s: %s: %s; it must be a directory in which the daemon may write",
			file, option, directory, strerror(errno)));
	else if (!S_ISDIR(st.st_mode))
		places_note(&places->errors,
		    mem_printf(places->ctx, "%s: %s: %s is not a directory", file, option,
			directory));
	else if (!by_root && access(directory, W_OK | X_OK) != 0)
		places_note(&places->errors,
		    mem_printf(places->ctx,
			"%s: %s: the user who runs the daemon cannot write in %s: %s", file, option,
			directory, strerror(errno)));
}

int
places_check(TALLOC_CTX *ctx, const struct config *config, bool sockets_by_root,
    const char **warnings_r, const char **error_r)
{
	struct places places = { .ctx = ctx, .config = config };
	const char *spec = config->listen_spec;

	if (strncmp(spec, "unix:", 5) == 0 || strncmp(spec, "local:", 6) == 0)
		look_at(&places, "listen", strchr(spec, ':') + 1, sockets_by_root);
	if (config->control != NULL)
		look_at(&places, "control", config->control, sockets_by_root);
	if (config->store_options.kind != STORE_REDIS && config->store_options.file != NULL)
		look_at(&places, "store", config->store_options.file, false);
	if (config->store_options.kind == STORE_REDIS && config->store_options.away_file != NULL &&
	    strcmp(config->store_options.away_file, "none") != 0)
		look_at(&places, "away_file", config->store_options.away_file, false);
	if (places.warnings != NULL)
		*warnings_r = places.warnings;
	if (places.errors != NULL)
		*error_r = places.errors;
	return places.errors == NULL ? 0 : -1;
}

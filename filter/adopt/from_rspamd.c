/*
 * from_rspamd.c - rspamd: which files of it are read
 *
 * Settings of a module are in local.d/MODULE.conf; those of override.d/MODULE.conf win over them.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/adopt/inside.h"
#include "filter/adopt/rspamd.h"
#include "policy/base/mem.h"

/* The modules that are of interest. */
static const struct rspamd_module {
	const char *name;
	void (*take)(struct adopt *adopt, const struct rspamd_file *file);
} modules[] = {
	{ "ratelimit", rspamd_ratelimit },
	{ "dkim_signing", rspamd_dkim_signing },
	{ "arc", rspamd_arc },
};

/* module_of - the module whose settings a file has by its name, or NULL */
static const struct rspamd_module *
module_of(const char *path)
{
	const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
	size_t len = strcspn(name, ".");

	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
		if (strlen(modules[i].name) == len && memcmp(modules[i].name, name, len) == 0)
			return &modules[i];
	return NULL;
}

/* note_macros - .include and the like, which are not followed; true: there are none */
static bool
note_macros(struct adopt *adopt, const char *path, const char *text)
{
	char *copy = mem_strdup(adopt, text), *line;
	bool none = true;
	int number = 0;

	while ((line = adopt_next_line(&copy, &number)) != NULL) {
		line += strspn(line, " \t");
		if (line[0] != '.' || line[1] < 'a' || line[1] > 'z')
			continue;
		none = false;
		adopt_missing(adopt,
		    "%s:%d: %.100s: this is not followed, so settings may be missing; write them into "
		    "this file, and run adopt again",
		    path, number, line);
	}
	return none;
}

/* mark_path - note of which file a node is */
static void
mark_path(struct ucl_node *node, const char *path)
{
	for (; node != NULL; node = node->next) {
		node->path = path;
		mark_path(node->members, path);
	}
}

/* read_settings - add the settings of a module in one file; later ones win */
static void
read_settings(struct adopt *adopt, const struct rspamd_module *module, const char *path,
    struct rspamd_file *file)
{
	const char *error = NULL;
	char *text = adopt_read_file(adopt, path);
	struct ucl_node *root, *last;
	const struct ucl_node *inner;

	if (text == NULL || !note_macros(adopt, path, text))
		file->incomplete = path;
	if (text == NULL)
		return;
	root = ucl_parse(adopt, text, &error);
	if (root == NULL) {
		file->incomplete = path;
		adopt_missing(adopt, "%s:%s", path, error);
		return;
	}
	mark_path(root, path);
	/* a file outside local.d may have the module's name around its settings */
	inner = ucl_find(root, module->name);
	if (inner != NULL && inner->text == NULL)
		root->members = inner->members;
	file->path = path;
	if (file->settings.members == NULL) {
		file->settings.members = root->members;
		return;
	}
	for (last = file->settings.members; last->next != NULL; last = last->next)
		;
	last->next = root->members;
}

/* note_local - files for all modules, which are not read here */
static void
note_local(struct adopt *adopt, const char *directory)
{
	static const char *const names[] = { "rspamd.conf.local", "rspamd.conf.override" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *path = mem_printf(adopt, "%s/%s", directory, names[i]);
		char *text = adopt_file(adopt, path), *line;
		int number = 0;

		while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
			line += strspn(line, " \t");
			if (line[0] == '\0' || line[0] == '#')
				continue;
			adopt_missing(adopt,
			    "%s is not read here: if it has limits or keys, write them into local.d, and "
			    "run adopt again",
			    path);
			break;
		}
	}
}

void
adopt_rspamd(struct adopt *adopt, const char *path)
{
	static const char *const folders[] = { "local.d", "override.d" };
	struct stat st;

	if (stat(path, &st) != 0) {
		adopt_missing(adopt, "%s cannot be read: %s", path, strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		const struct rspamd_module *module = module_of(path);
		struct rspamd_file file = { .path = NULL };

		if (module == NULL) {
			adopt_missing(adopt,
			    "%s: name the directory of rspamd, or one of its files ratelimit.conf, "
			    "dkim_signing.conf, arc.conf",
			    path);
			return;
		}
		read_settings(adopt, module, path, &file);
		file.root = &file.settings;
		if (file.path != NULL)
			module->take(adopt, &file);
		return;
	}
	note_local(adopt, path);
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		struct rspamd_file file = { .path = NULL };

		for (size_t k = 0; k < sizeof(folders) / sizeof(folders[0]); k++) {
			const char *one =
			    mem_printf(adopt, "%s/%s/%s.conf", path, folders[k], modules[i].name);

			if (access(one, F_OK) == 0)
				read_settings(adopt, &modules[i], one, &file);
		}
		file.root = &file.settings;
		if (file.path != NULL)
			modules[i].take(adopt, &file);
	}
}

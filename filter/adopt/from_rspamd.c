/*
 * from_rspamd.c - rspamd: which files of it are read
 *
 * Settings of a module are in local.d/MODULE.conf, and override.d/MODULE.conf wins over it.
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

/* take_file - one file */
static void
take_file(struct adopt *adopt, const struct rspamd_module *module, const char *path)
{
	struct rspamd_file file = { .path = path };
	const char *error = NULL;
	char *text = adopt_read_file(adopt, path);
	const struct ucl_node *inner;

	if (text == NULL)
		return;
	file.root = ucl_parse(adopt, text, &error);
	if (file.root == NULL) {
		adopt_missing(adopt, "%s:%s", path, error);
		return;
	}
	/* a file outside local.d may have the module's name around its settings */
	inner = ucl_find(file.root, module->name);
	if (inner != NULL && inner->text == NULL)
		file.root = inner;
	module->take(adopt, &file);
}

void
adopt_rspamd(struct adopt *adopt, const char *path)
{
	static const char *const folders[] = { "override.d", "local.d" };
	struct stat st;

	if (stat(path, &st) != 0) {
		adopt_missing(adopt, "%s cannot be read: %s", path, strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		const struct rspamd_module *module = module_of(path);

		if (module != NULL)
			take_file(adopt, module, path);
		else
			adopt_missing(adopt,
			    "%s: name the directory of rspamd, or one of its files ratelimit.conf, "
			    "dkim_signing.conf, arc.conf",
			    path);
		return;
	}
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
		for (size_t k = 0; k < sizeof(folders) / sizeof(folders[0]); k++) {
			const char *file =
			    mem_printf(adopt, "%s/%s/%s.conf", path, folders[k], modules[i].name);

			if (access(file, F_OK) != 0)
				continue;
			take_file(adopt, &modules[i], file);
			break;
		}
}

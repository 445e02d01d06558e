/*
 * packages.c - has the distribution repaired what the version number says is broken?
 *
 * Distributions repair old versions and leave their numbers as they are. dpkg's own list says which
 * package is installed; other package managers are not read.
 *
 * Threads: no state; any thread.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/doctor/packages.h"
#include "policy/base/mem.h"

#define PACKAGES_LIST	"/var/lib/dpkg/status"

/* packages_version - of an installed package, without the epoch; NULL: there is none */
static const char *
packages_version(TALLOC_CTX *ctx, const char *name)
{
	FILE *file = fopen(PACKAGES_LIST, "re");
	char *line = NULL;
	const char *found = NULL;
	bool mine = false, installed = false;
	size_t size = 0;

	while (file != NULL && found == NULL && getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "Package: ", 9) == 0)
			mine = strncmp(line + 9, name, strlen(name)) == 0 &&
			    strstr(line, "-dev") == NULL;
		else if (strncmp(line, "Status: ", 8) == 0)
			installed = strcmp(line + 8, "install ok installed") == 0;
		else if (mine && installed && strncmp(line, "Version: ", 9) == 0)
			found = mem_strdup(ctx,
			    strchr(line + 9, ':') != NULL ? strchr(line + 9, ':') + 1 : line + 9);
	}
	free(line);
	if (file != NULL)
		(void)fclose(file);
	return found;
}

enum packages_state
packages_patched(TALLOC_CTX *ctx, const char *name, const char *fixed)
{
	const char *version = packages_version(ctx, name);

	if (version == NULL)
		return PACKAGES_UNKNOWN;
	return strverscmp(version, fixed) >= 0 ? PACKAGES_PATCHED : PACKAGES_BROKEN;
}

void
packages_report(struct exam *exam, const char *id, const char *where, const char *what,
    enum packages_state state)
{
	if (state == PACKAGES_BROKEN)
		exam_add(exam, id, where, "upgrade it, on Debian with apt upgrade", "%s", what);
	else if (state == PACKAGES_UNKNOWN)
		exam_add_level(exam, DOCTOR_UNKNOWN, id, where,
		    "upgrade it with the package manager",
		    "%s, by its number; whether the distribution has patched it is not known",
		    what);
}

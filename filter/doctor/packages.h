/*
 * packages.h - has the distribution repaired what the version number says is broken?
 */
#ifndef FILTER_DOCTOR_PACKAGES_H
#define FILTER_DOCTOR_PACKAGES_H

#include "filter/doctor/inside.h"

enum packages_state {
	PACKAGES_PATCHED,
	PACKAGES_BROKEN,	/* the package is older */
	PACKAGES_UNKNOWN	/* there is no such package, or it is not known who made it */
};

/* packages_patched - is a package of dpkg, whose name begins so, of this version at least? */
enum packages_state packages_patched(TALLOC_CTX *ctx, const char *name, const char *fixed);

/* packages_report - the finding for it: none, a warning, or unknown */
void packages_report(struct exam *exam, const char *id, const char *where, const char *what,
    enum packages_state state);

#endif

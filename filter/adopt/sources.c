/*
 * sources.c - which policy services there are, and the words they share
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/adopt/inside.h"
#include "filter/adopt/sources.h"
#include "policy/base/mem.h"

/* A kind of source, its usual places, and what reads it. */
static const struct source_kind {
	const char *name;
	const char *usual[8];
	void (*read)(struct adopt *adopt, const char *path);
} kinds[] = {
	{ "policyd",
	    { "/etc/cluebringer/cluebringer.conf", "/etc/cluebringer.conf",
		"/etc/policyd/cluebringer.conf", "/etc/cbpolicyd/cluebringer.conf",
		"/etc/policyd/policyd.conf", "/etc/cbpolicyd.conf", NULL },
	    adopt_policyd },
	{ "policyd-rate-limit",
	    { "/etc/policyd-rate-limit.yaml", "/etc/policyd-rate-limit.conf", NULL },
	    adopt_rate_limit },
	{ "postfwd",
	    { "/etc/postfwd/postfwd.cf", "/etc/postfix/postfwd.cf", "/etc/postfwd.cf",
		"/etc/postfwd/postfwd2.cf", "/etc/postfwd/postfwd3.cf", "/etc/postfwd2.cf", NULL },
	    adopt_postfwd },
	{ "rspamd", { "/etc/rspamd", NULL }, adopt_rspamd },
};

void
adopt_sources(struct adopt *adopt)
{
	const struct adopt_options *options = adopt->options;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *usual = adopt_first(kinds[i].usual);

		if (options->n_from == 0 && usual != NULL)
			kinds[i].read(adopt, usual);
		for (size_t k = 0; k < options->n_from; k++) {
			const char *path = options->from[k].path;

			if (strcmp(options->from[k].kind, kinds[i].name) != 0)
				continue;
			if (path != NULL || usual != NULL)
				kinds[i].read(adopt, path != NULL ? path : usual);
			else
				adopt_missing(adopt,
				    "%s: nothing was found in the usual places; "
				    "write --from %s:FILE",
				    kinds[i].name, kinds[i].name);
		}
	}
}

bool
adopt_source_known(const char *kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, kind) == 0)
			return true;
	return false;
}

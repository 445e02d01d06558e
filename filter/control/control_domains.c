/*
 * control_domains.c - commands about the site's own domains: domains, doctor, doctor look
 *
 * What DNS has of keys, SPF and DMARC is looked at by the daemon's rounds (filter/daemon/rounds.h);
 * here their findings are handed out, so that an answer never waits for DNS.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdlib.h>
#include <string.h>

#include "filter/control/control_asked.h"
#include "filter/dkim/signers.h"
#include "policy/base/mem.h"

#define KEYS_MAX	1000	/* in an answer */

/* domains_compare - by domain, then selector */
static int
domains_compare(const void *a, const void *b)
{
	const struct keyring_key *one = a, *other = b;
	int order = strcmp(one->domain, other->domain);

	return order != 0 ? order : strcmp(one->selector, other->selector);
}

/* control_domains - the keys that are loaded, by domain */
json_t *
control_domains(const struct asked *asked)
{
	struct snapshot *snapshot = daemon_snapshot(asked->daemon);
	struct keyring_key *keys = NULL;
	json_t *list = json_array();
	size_t n = 0;

	if (snapshot->signers != NULL)
		keys = signers_all(asked->ctx, snapshot->signers, &n);
	if (n > 0)
		qsort(keys, n, sizeof(*keys), domains_compare);
	for (size_t i = 0; i < n && i < KEYS_MAX; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "domain", keys[i].domain,
		    "selector", keys[i].selector));
	snapshot_release(snapshot);
	return json_pack("{s:b, s:I, s:o}", "ok", 1, "n_keys", (json_int_t)n, "keys", list);
}

/* control_doctor - what the daemon's own checks found last */
json_t *
control_doctor(const struct asked *asked)
{
	struct daemon *daemon = asked->daemon;
	json_t *answer;

	(void)pthread_mutex_lock(&daemon->lock);
	answer = daemon->findings != NULL ? json_deep_copy(daemon->findings)
	    : json_pack("{s:i, s:i, s:[]}", "at", 0, "more", 0, "findings");
	(void)pthread_mutex_unlock(&daemon->lock);
	json_object_set_new(answer, "ok", json_true());
	return answer;
}

/* control_doctor_look - let the daemon make its checks now; "doctor" has them in some seconds */
json_t *
control_doctor_look(const struct asked *asked)
{
	atomic_store(&asked->daemon->round_wanted, true);
	return json_pack("{s:b}", "ok", 1);
}

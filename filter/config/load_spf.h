/*
 * load_spf.h - the group spf of the configuration: how incoming mail is checked
 */
#ifndef FILTER_CONFIG_LOAD_SPF_H
#define FILTER_CONFIG_LOAD_SPF_H

#include <libconfig.h>
#include <stddef.h>

#include "filter/spf/spf.h"
#include "policy/base/netblock.h"

struct options_reader;

struct spf_config {
	struct netblock *exempt; /* clients that are not checked */
	size_t n_exempt;
	struct netblock *relays; /* hosts of ours that pass strangers' mail on */
	size_t n_relays;
	struct spf_override *overrides;
	size_t n_overrides;
	int explain;		/* the domain's own explanation in refusals */
	int received_spf;	/* write Received-SPF */
	int strict_voids;	/* count void lookups below mx and ptr, too */
	long void_limit;	/* void lookups of a check */
	long timeout_ms;	/* for both checks of a message */
};

/* config_spf_defaults - what holds unless the file says otherwise; memory on ctx */
void config_spf_defaults(TALLOC_CTX *ctx, struct spf_config *spf);

/* config_spf_read - spf = { ... }; target is a struct spf_config */
void config_spf_read(struct options_reader *reader, config_setting_t *setting, void *target);

/*
 * config_spf_service - what the checks of this configuration have in common
 * spf and receiver (our host name) must outlive the service.
 */
void config_spf_service(const struct spf_config *spf, struct resolver *resolver,
    const char *receiver, struct spf_service *service_r);

#endif

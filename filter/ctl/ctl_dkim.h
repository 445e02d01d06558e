/*
 * ctl_dkim.h - what the commands about DKIM keys share: ctl_dkim.c, ctl_dkim_check.c,
 * ctl_dkim_genkey.c, ctl_dkim_retire.c
 */
#ifndef FILTER_CTL_CTL_DKIM_H
#define FILTER_CTL_CTL_DKIM_H

#include <jansson.h>

#include "filter/config/configuration.h"
#include "filter/ctl/ctl.h"
#include "filter/dkim/keyring.h"
#include "filter/dkim/signers.h"

/*
 * ctl_dkim_reader - as whom the daemon reads the keys
 *
 * The configuration's user, else the user who runs this. If that is root, and the daemon's unit
 * names another account: the owner and the group of the keys' place, which are made for it.
 */
void ctl_dkim_reader(struct ctl *ctl, const struct config *config, const char *place,
    struct keyring_options *options_r);

/* ctl_dkim_place - the directory, or the file, that says where keys are; config signs */
const char *ctl_dkim_place(struct ctl *ctl, const struct config *config);

/* ctl_dkim_domain - a domain of the command line in its normal form; ends the program if it is
 * none */
const char *ctl_dkim_domain(struct ctl *ctl, const char *text);

/* ctl_dkim_type - "rsa" or "ed25519" */
const char *ctl_dkim_type(enum keyring_type type);

/* ctl_dkim_load - the keys of the configuration; if the daemon would not start with them, the
 * program ends */
struct signers *ctl_dkim_load(struct ctl *ctl, const struct config *config);

/* ctl_dkim_keys - the keys of one domain (normal form), or all (NULL), by domain and selector */
struct keyring_key *ctl_dkim_keys(
    struct ctl *ctl, const struct signers *signers, const char *domain, size_t *n_r);

/* ctl_dkim_finish - print an answer, if it is JSON, and free it; the exit status */
int ctl_dkim_finish(const struct ctl *ctl, json_t *answer, int status);

#endif

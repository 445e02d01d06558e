/*
 * ctl_dkim.h - what the commands about DKIM keys share: ctl_dkim.c, ctl_dkim_genkey.c
 */
#ifndef FILTER_CTL_DKIM_H
#define FILTER_CTL_DKIM_H

#include <jansson.h>

#include "filter/configuration.h"
#include "filter/ctl.h"
#include "filter/keyring.h"

/*
 * ctl_dkim_reader - as whom the daemon reads the keys
 *
 * The configuration's user; else whoever runs this; but where that is root, and the daemon's unit names
 * another account, the owner and the group of the keys' place, which are made for it.
 */
void ctl_dkim_reader(struct ctl *ctl, const struct config *config, const char *place,
    struct keyring_options *options_r);

/* ctl_dkim_domain - a domain of the command line in its normal form; ends the program where it is none */
const char *ctl_dkim_domain(struct ctl *ctl, const char *text);

/* ctl_dkim_type - "rsa" or "ed25519" */
const char *ctl_dkim_type(enum keyring_type type);

/* ctl_dkim_finish - print an answer, where it is JSON, and free it; the exit status */
int ctl_dkim_finish(const struct ctl *ctl, json_t *answer, int status);

#endif

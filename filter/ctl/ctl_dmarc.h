/*
 * ctl_dmarc.h - what ctl_dmarc_check.c and ctl_dmarc_own.c share
 */
#ifndef FILTER_CTL_CTL_DMARC_H
#define FILTER_CTL_CTL_DMARC_H

#include <jansson.h>

#include "filter/ctl/ctl.h"
#include "filter/dmarc/ask.h"

/* ctl_dmarc_shown - a stranger's text, printable; null for NULL */
json_t *ctl_dmarc_shown(TALLOC_CTX *ctx, const char *text);

/* ctl_dmarc_walk - each name of the walk, and what is there; it was asked before */
json_t *ctl_dmarc_walk(struct dmarc_asking *asking, const char *domain);

/* ctl_dmarc_print_walk - the same for people */
void ctl_dmarc_print_walk(const json_t *walk);

/* ctl_dmarc_asking - nothing asked yet, with the time for all questions */
struct dmarc_asking *ctl_dmarc_asking(struct ctl *ctl);

/* ctl_dmarc_domain - dmarc check DOMAIN; the exit status */
int ctl_dmarc_domain(struct ctl *ctl, const char *given);

#endif

/*
 * ctl_try_print.h - a trial for people; for ctl_try.c
 *
 * Threads: there is one.
 */
#ifndef FILTER_CTL_CTL_TRY_PRINT_H
#define FILTER_CTL_CTL_TRY_PRINT_H

#include <jansson.h>

#include "filter/ctl/ctl.h"

/* ctl_try_print - the answer to a trial, step by step, on standard output */
void ctl_try_print(const json_t *answer);

#endif

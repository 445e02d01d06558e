/*
 * load_replies.h - the option replies: a language, or the site's own texts
 * For load.c alone.
 */
#ifndef FILTER_CONFIG_LOAD_REPLIES_H
#define FILTER_CONFIG_LOAD_REPLIES_H

#include "filter/config/options.h"

/* load_replies - read the option; target: a const struct reply_texts * */
void load_replies(struct options_reader *reader, config_setting_t *setting, void *target);

#endif

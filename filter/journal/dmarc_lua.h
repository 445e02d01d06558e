/*
 * dmarc_lua.h - the text of filter/journal/dmarc.lua, embedded at build by filter/base/embed.sh
 */
#ifndef FILTER_JOURNAL_DMARC_LUA_H
#define FILTER_JOURNAL_DMARC_LUA_H

#include <stddef.h>

extern const char dmarc_lua[];		/* NUL-terminated */
extern const size_t dmarc_lua_len;	/* without the NUL */

#endif

/*
 * rates_lua.h - the text of filter/journal/rates.lua, embedded at build by filter/base/embed.sh
 */
#ifndef FILTER_JOURNAL_RATES_LUA_H
#define FILTER_JOURNAL_RATES_LUA_H

#include <stddef.h>

extern const char rates_lua[];		/* NUL-terminated */
extern const size_t rates_lua_len;	/* without the NUL */

#endif

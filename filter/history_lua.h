/*
 * history_lua.h - the text of filter/history.lua, embedded at build by filter/embed.sh
 */
#ifndef FILTER_HISTORY_LUA_H
#define FILTER_HISTORY_LUA_H

#include <stddef.h>

extern const char history_lua[];		/* NUL-terminated */
extern const size_t history_lua_len;	/* without the NUL */

#endif

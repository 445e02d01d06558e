/*
 * history_lua.h - the text of filter/journal/history.lua, embedded at build by filter/base/embed.sh
 */
#ifndef FILTER_JOURNAL_HISTORY_LUA_H
#define FILTER_JOURNAL_HISTORY_LUA_H

#include <stddef.h>

extern const char history_lua[];		/* NUL-terminated */
extern const size_t history_lua_len;	/* without the NUL */

#endif

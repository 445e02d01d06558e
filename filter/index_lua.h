/*
 * index_lua.h - the text of filter/index.lua, embedded at build by filter/embed.sh
 */
#ifndef FILTER_INDEX_LUA_H
#define FILTER_INDEX_LUA_H

#include <stddef.h>

extern const char index_lua[];		/* NUL-terminated */
extern const size_t index_lua_len;	/* without the NUL */

#endif

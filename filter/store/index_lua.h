/*
 * index_lua.h - the text of filter/store/index.lua, embedded at build by filter/base/embed.sh
 */
#ifndef FILTER_STORE_INDEX_LUA_H
#define FILTER_STORE_INDEX_LUA_H

#include <stddef.h>

extern const char index_lua[];		/* NUL-terminated */
extern const size_t index_lua_len;	/* without the NUL */

#endif

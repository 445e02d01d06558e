/*
 * daybook_lua.h - the text of filter/daybook.lua, embedded at build by filter/embed.sh
 */
#ifndef FILTER_DAYBOOK_LUA_H
#define FILTER_DAYBOOK_LUA_H

#include <stddef.h>

extern const char daybook_lua[];		/* NUL-terminated */
extern const size_t daybook_lua_len;	/* without the NUL */

#endif

/*
 * daybook_lua.h - the text of filter/journal/daybook.lua, embedded at build by filter/base/embed.sh
 */
#ifndef FILTER_JOURNAL_DAYBOOK_LUA_H
#define FILTER_JOURNAL_DAYBOOK_LUA_H

#include <stddef.h>

extern const char daybook_lua[];		/* NUL-terminated */
extern const size_t daybook_lua_len;	/* without the NUL */

#endif

/*
 * quota_lua.h - the text of filter/quota.lua, embedded at build by filter/embed.sh
 */
#ifndef FILTER_QUOTA_LUA_H
#define FILTER_QUOTA_LUA_H

#include <stddef.h>

extern const char quota_lua[];		/* NUL-terminated */
extern const size_t quota_lua_len;	/* without the NUL */

#endif

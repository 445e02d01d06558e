/*
 * quota_lua.h - the text of filter/store/quota.lua, embedded at build by filter/base/embed.sh
 */
#ifndef FILTER_STORE_QUOTA_LUA_H
#define FILTER_STORE_QUOTA_LUA_H

#include <stddef.h>

extern const char quota_lua[];		/* NUL-terminated */
extern const size_t quota_lua_len;	/* without the NUL */

#endif

/*
 * types.c - which Redis: options copied, compared, wiped
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/base/password_file.h"
#include "filter/redis/types.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

/* redis_options_copy - a copy with its own strings */
struct redis_options
redis_options_copy(TALLOC_CTX *ctx, const struct redis_options *options)
{
	struct redis_options copy = *options;

	copy.server = mem_strdup_or_null(ctx, options->server);
	copy.sentinels = mem_strdup_or_null(ctx, options->sentinels);
	copy.master = mem_strdup_or_null(ctx, options->master);
	copy.user = mem_strdup_or_null(ctx, options->user);
	copy.password = mem_strdup_or_null(ctx, options->password);
	copy.sentinel_user = mem_strdup_or_null(ctx, options->sentinel_user);
	copy.sentinel_password = mem_strdup_or_null(ctx, options->sentinel_password);
	copy.tls = redis_tls_options_copy(ctx, &options->tls);
	return copy;
}

/* redis_options_wipe - overwrite the passwords */
void
redis_options_wipe(struct redis_options *copy)
{
	password_wipe(copy->password);
	password_wipe(copy->sentinel_password);
}

/* redis_options_equal - do both mean the same? */
bool
redis_options_equal(const struct redis_options *a, const struct redis_options *b)
{
	return text_same(a->server, b->server) && a->cluster == b->cluster &&
	    text_same(a->sentinels, b->sentinels) && text_same(a->master, b->master) &&
	    text_same(a->user, b->user) && text_same(a->password, b->password) &&
	    text_same(a->sentinel_user, b->sentinel_user) &&
	    text_same(a->sentinel_password, b->sentinel_password) &&
	    redis_tls_options_equal(&a->tls, &b->tls) && a->database == b->database;
}

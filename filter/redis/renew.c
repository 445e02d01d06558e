/*
 * renew.c - files of TLS and passwords that have changed
 *
 * What is bad is found before anything is replaced. A new password is tried, because connections
 * that work must not be given up for one that is refused; a server that cannot be asked decides
 * nothing.
 *
 * Thread rule: that of inside.h; one renewal at a time, and only it changes the passwords.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <string.h>

#include "filter/base/clock.h"
#include "filter/redis/inside.h"
#include "filter/redis/pool.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

/* pool_takes - whether the server is content with other passwords; one that cannot be asked is */
static bool
pool_takes(struct redis_pool *pool, TALLOC_CTX *ctx, const struct redis_passwords *passwords,
    int64_t wait_ms, const char **error_r)
{
	struct redis_options options = pool->options;
	const char *error = NULL;
	struct redis_pool *trial;

	options.password = passwords->password;
	options.sentinel_password = passwords->sentinel_password;
	trial = redis_pool_new(ctx, &options, 1, error_r);
	if (trial == NULL)
		return false;
	redis_pool_hurry(trial, clock_ms() + wait_ms);
	if (redis_pool_resolve(trial, ctx, &error) == 0 && trial->n_nodes > 0)
		redis_connection_close(redis_connection_open(trial, &trial->nodes[0]->place, false,
		    ctx, clock_ms() + wait_ms, &error));
	talloc_free(trial);
	if (error == NULL || strstr(error, "AUTH was refused") == NULL)
		return true;
	*error_r = mem_printf(ctx, "Redis does not accept the new password: %s", error);
	return false;
}

/* set_passwords - from now on; whether they are others than before */
static bool
set_passwords(struct redis_pool *pool, const struct redis_passwords *passwords)
{
	struct redis_options *options = &pool->options;
	bool same;

	(void)pthread_mutex_lock(&pool->lock);
	same = text_same(options->password, passwords->password) &&
	    text_same(options->sentinel_password, passwords->sentinel_password);
	if (!same) {
		redis_options_wipe(options);
		talloc_free_children(pool->passwords);
		options->password = mem_strdup_or_null(pool->passwords, passwords->password);
		options->sentinel_password =
		    mem_strdup_or_null(pool->passwords, passwords->sentinel_password);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return !same;
}

/* redis_pool_renew - read the files of TLS again, and use these passwords */
int
redis_pool_renew(struct redis_pool *pool, TALLOC_CTX *ctx,
    const struct redis_passwords *passwords, int64_t wait_ms, const char **error_r)
{
	bool changed;

	if (!text_same(pool->options.password, passwords->password) ||
	    !text_same(pool->options.sentinel_password, passwords->sentinel_password)) {
		if (!pool_takes(pool, ctx, passwords, wait_ms, error_r))
			return -1;
	}
	if (pool->tls != NULL && redis_tls_renew(pool->tls, ctx, error_r) < 0)
		return -1;
	changed = set_passwords(pool, passwords);
	if (changed || pool->tls != NULL)
		redis_drop_all_idle(pool);
	return 0;
}

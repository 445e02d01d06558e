/*
 * table_servers.c - what tables take from the configuration
 *
 * Threads: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "filter/config/table_servers.h"
#include "policy/base/mem.h"

/* table_config_env - servers and limits */
const struct table_env *
table_config_env(TALLOC_CTX *ctx, const struct config *config)
{
	struct table_env *env = mem_new(ctx, struct table_env);
	struct table_redis *servers = mem_array(env, struct table_redis, config->n_redis + 1);

	for (size_t i = 0; i < config->n_redis; i++) {
		const struct redis_server *redis = &config->redis[i];

		servers[i] = (struct table_redis){
			.name = redis->name,
			.options = redis->options.redis,

			.password_file = redis->password_file,
			.sentinel_password_file = redis->sentinel_password_file,
		};
	}
	env->redis = servers;
	env->n_redis = config->n_redis;
	env->limits = config->table_limits;
	return env;
}

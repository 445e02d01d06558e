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
			.options = {
				.server = redis->options.server,
				.sentinels = redis->options.sentinels,
				.master = redis->options.master,
				.cluster = redis->options.cluster,
				.user = redis->options.user,
				.sentinel_user = redis->options.sentinel_user,
				.tls = redis->options.tls,
				.database = redis->options.database,
			},
			.password_file = redis->password_file,
			.sentinel_password_file = redis->sentinel_password_file,
		};
	}
	env->redis = servers;
	env->n_redis = config->n_redis;
	env->limits = config->table_limits;
	return env;
}

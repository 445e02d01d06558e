/*
 * check_redis.c - does Redis answer, keep and allow what is needed?
 *
 * It is asked with commands that change nothing. What its user may not ask is unknown.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/clock.h"
#include "filter/base/password_file.h"
#include "filter/doctor/inside.h"
#include "filter/doctor/packages.h"
#include "filter/redis/place.h"
#include "filter/redis/pool.h"
#include "policy/base/mem.h"

#define REDIS_WAIT_MS	2000
#define REDIS_TRIALS	3	/* of how long an answer takes */
#define REDIS_WORDS	40	/* of a command */
#define REDIS_SAVES_S	7200	/* a change that is not saved by then never is */
#define REDIS_OLDEST	5
#define REDIS_CLOCK_MS	2000
#define REDIS_CLOCK_OFF_MS 300000
#define REDIS_DEADLINE_MS 200	/* of struct store_options, if none is given */

/* --- Redis: asking --------------------------------------------------------- */

/* A Redis under examination. */
struct redis_case {
	struct exam *exam;
	const struct store_options *options;
	struct redis_pool *pool;
	const char *where;
	const char *error;	/* of the last call */
	const char *info;	/* what INFO says, or NULL */
	bool settings;		/* CONFIG GET may be asked */
};

/* redis_ask - one command with its words; the reply, or NULL and case->error */
static redisReply *
redis_ask(struct redis_case *one, const char *const *words)
{
	const char *argv[REDIS_WORDS];
	size_t lens[REDIS_WORDS];
	redisReply *reply = NULL;
	int n = 0;

	for (; n < REDIS_WORDS && words[n] != NULL; n++) {
		argv[n] = words[n];
		lens[n] = strlen(words[n]);
	}
	one->error = NULL;
	if (redis_pool_call(one->pool, one->exam->ctx, n, argv, lens, true,
		clock_ms() + REDIS_WAIT_MS, &reply, &one->error) == POOL_ANSWERED)
		return reply;
	if (one->error == NULL)
		one->error = "no answer";
	return NULL;
}

/* error_has - does the last error hold one of these words? */
static bool
error_has(const struct redis_case *one, const char *const *words)
{
	for (; one->error != NULL && *words != NULL; words++)
		if (strstr(one->error, *words) != NULL)
			return true;
	return false;
}

/* info - a field of INFO as text; NULL: it has none */
static const char *
info(const struct redis_case *one, const char *name)
{
	const char *at = one->info;
	size_t len = strlen(name);

	while (at != NULL && *at != '\0') {
		if (strncmp(at, name, len) == 0 && at[len] == ':')
			return mem_strndup(
			    one->exam->ctx, at + len + 1, strcspn(at + len + 1, "\r\n"));
		at = strchr(at, '\n');
		at = at != NULL ? at + 1 : NULL;
	}
	return NULL;
}

/* info_is - has a field of INFO this value? */
static bool
info_is(const struct redis_case *one, const char *name, const char *value)
{
	const char *found = info(one, name);

	return found != NULL && strcmp(found, value) == 0;
}

/* info_number - a number of INFO; 0: it has none */
static long long
info_number(const struct redis_case *one, const char *name)
{
	const char *found = info(one, name);

	return found != NULL ? strtoll(found, NULL, 10) : 0;
}

/* may_ask_settings - whether our user may use CONFIG GET. The daemon asks again and again, and what
 * is denied is in Redis's own log (ACL LOG), so it is not tried. */
static bool
may_ask_settings(struct redis_case *one)
{
	static const char script[] = "return redis.acl_check_cmd ~= nil and "
				     "redis.acl_check_cmd('config', 'get', 'save') and 1 or 0";
	const char *const words[] = { "EVAL", script, "0", NULL };
	redisReply *reply;
	bool may;

	if (!one->exam->site->options->by_daemon || one->options->redis.user == NULL)
		return true;
	reply = redis_ask(one, words);
	may = reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
	freeReplyObject(reply);
	return may;
}

/* setting - CONFIG GET; NULL: it may not be asked, or is not known */
static const char *
setting(struct redis_case *one, const char *name)
{
	const char *const words[] = { "CONFIG", "GET", name, NULL };
	redisReply *reply = one->settings ? redis_ask(one, words) : NULL;
	const char *value = NULL;

	if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2 &&
	    reply->element[1]->str != NULL)
		value = mem_strdup(one->exam->ctx, reply->element[1]->str);
	freeReplyObject(reply);
	return value;
}

/* --- Redis: checks --------------------------------------------------------- */

/* check_answer - TIME, which our user must be allowed; false: nothing more can be asked */
static bool
check_answer(struct redis_case *one)
{
	static const char *const words[] = { "TIME", NULL };
	static const char *const passwords[] = { "NOAUTH", "WRONGPASS", "invalid password", "AUTH",
		"password", NULL };
	static const char *const loading[] = { "LOADING", "MISCONF", "BUSY", NULL };
	static const char *const rights[] = { "NOPERM", NULL };
	redisReply *reply = redis_ask(one, words);
	struct exam *exam = one->exam;
	long limit = one->options->deadline_ms > 0 ? (long)one->options->deadline_ms
						   : REDIS_DEADLINE_MS;
	int64_t best = -1, theirs;

	if (reply == NULL && error_has(one, rights))
		exam_add(exam, "redis.acl", one->where,
		    "give the user the rules of countersign-store(5)", "%s", one->error);
	else if (reply == NULL && error_has(one, passwords))
		exam_add(exam, "redis.auth", one->where,
		    "password_file = \"/etc/countersign/redis-password\"", "%s", one->error);
	else if (reply == NULL && error_has(one, loading))
		exam_add(exam, "redis.refuses-writes", one->where, "redis-cli info persistence",
		    "%s", one->error);
	else if (reply == NULL)
		exam_add(exam, "redis.away", one->where, "systemctl start redis-server", "%s",
		    one->error);
	if (reply == NULL)
		return false;
	freeReplyObject(reply);
	/* The connection is there now: this is what a message waits for. The best of some, since
	 * this host may be busy, too. */
	reply = NULL;
	for (int i = 0; i < REDIS_TRIALS && (best < 0 || best > limit / 2); i++) {
		int64_t before = clock_ms();

		freeReplyObject(reply);
		reply = redis_ask(one, words);
		if (best < 0 || clock_ms() - before < best)
			best = clock_ms() - before;
	}
	if (reply != NULL && best > limit / 2)
		exam_add(exam, "redis.slow", one->where, "deadline = \"500 ms\"",
		    "an answer took %lld ms, and the deadline is %ld ms", (long long)best, limit);
	if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
		theirs = strtoll(reply->element[0]->str, NULL, 10) * 1000;
		theirs -= clock_wall_ms();
		theirs = theirs < 0 ? -theirs : theirs;
		if (theirs > REDIS_CLOCK_OFF_MS)
			exam_add(exam, "clock.off", one->where, "timedatectl set-ntp true",
			    "the clocks of this host and of Redis differ by %lld s",
			    (long long)(theirs / 1000));
		else if (theirs > REDIS_CLOCK_MS)
			exam_add(exam, "redis.clock", one->where, "timedatectl set-ntp true",
			    "the clocks of this host and of Redis differ by %lld s",
			    (long long)(theirs / 1000));
	}
	freeReplyObject(reply);
	return true;
}

/* check_memory - what happens when it is full, and whether it is */
static void
check_memory(struct redis_case *one)
{
	long long most = info_number(one, "maxmemory"), used = info_number(one, "used_memory");
	const char *policy = info(one, "maxmemory_policy");

	if (policy == NULL || (most <= 0 && strcmp(policy, "noeviction") == 0))
		return;
	if (most <= 0)
		exam_add_level(one->exam, DOCTOR_WARNING, "redis.evicts", one->where,
		    "maxmemory-policy noeviction",
		    "Redis has maxmemory-policy %s: once it has a maxmemory, it throws counters and "
		    "blocks away when it is full", policy);
	else if (strcmp(policy, "noeviction") != 0)
		exam_add(one->exam, "redis.evicts", one->where, "maxmemory-policy noeviction",
		    "Redis has maxmemory %lld and maxmemory-policy %s: it throws counters and "
		    "blocks away when it is full", most, policy);
	else if (used >= most)
		exam_add(one->exam, "redis.refuses-writes", one->where, "raise maxmemory",
		    "Redis uses %lld of %lld bytes and refuses writes (OOM)", used, most);
}

/* saves_nothing - no file is written, as far as our user may know: with the settings that Redis
 * comes with, a change is saved within an hour */
static bool
saves_nothing(struct redis_case *one, const char *save)
{
	long long age_s = clock_wall_ms() / 1000 - info_number(one, "rdb_last_save_time");

	if (!info_is(one, "aof_enabled", "0"))
		return false;
	return save != NULL ? save[0] == '\0' :
	    info_number(one, "rdb_changes_since_last_save") > 0 && age_s > REDIS_SAVES_S &&
		info_is(one, "rdb_bgsave_in_progress", "0");
}

/* check_persistence - what it keeps, and whether that fails */
static void
check_persistence(struct redis_case *one)
{
	const char *save = setting(one, "save");
	const char *stop = setting(one, "stop-writes-on-bgsave-error");

	if (info_is(one, "loading", "1"))
		exam_add(one->exam, "redis.refuses-writes", one->where, "wait until it is read",
		    "Redis is still reading its data (LOADING)");
	if ((info_is(one, "rdb_last_bgsave_status", "err") && stop != NULL &&
		strcmp(stop, "yes") == 0 && save != NULL && save[0] != '\0') ||
	    info_is(one, "aof_last_write_status", "err"))
		exam_add(one->exam, "redis.refuses-writes", one->where,
		    "look at the log of Redis: is its disk full, may it write to its directory?",
		    "the last save of Redis failed, and it refuses writes (MISCONF)");
	if (saves_nothing(one, save))
		exam_add(one->exam, "redis.forgets", one->where, "appendonly yes",
		    "Redis keeps nothing on disk: a restart empties all counters and unblocks "
		    "everybody");
}

/* check_role - a master, alone or of a Cluster, as configured */
static void
check_role(struct redis_case *one)
{
	const struct redis_options *redis = &one->options->redis;
	bool clustered = info_is(one, "cluster_enabled", "1");
	const char *replicas = setting(one, "min-replicas-to-write");
	long long major = info_number(one, "redis_version");

	if (info_is(one, "role", "slave") && redis->sentinels == NULL && !redis->cluster)
		exam_add(one->exam, "redis.replica", one->where,
		    "name the master, or the sentinels that know it",
		    "this Redis is a replica: each charge fails with READONLY");
	if (clustered != redis->cluster && info(one, "cluster_enabled") != NULL)
		exam_add(one->exam, "redis.cluster-mode", one->where,
		    clustered ? "cluster = true" : "cluster = false",
		    clustered ? "this Redis is a node of a Cluster, and cluster is not set"
			      : "cluster is set, and this Redis is not a node of a Cluster");
	if (replicas != NULL && atoi(replicas) > 0 && info(one, "min_slaves_good_slaves") != NULL &&
	    info_number(one, "min_slaves_good_slaves") < atoi(replicas))
		exam_add(one->exam, "redis.refuses-writes", one->where,
		    "start the replicas, or lower min-replicas-to-write",
		    "Redis has fewer replicas than min-replicas-to-write and refuses writes "
		    "(NOREPLICAS)");
	if (major > 0 && major < REDIS_OLDEST)
		exam_add(one->exam, "redis.version", one->where, "upgrade Redis",
		    "Redis is of version %s; 5 is the oldest that works",
		    info(one, "redis_version"));
}

/* redis_number - a version as one number; 0: none */
static long
redis_number(const char *version)
{
	int major = 0, minor = 0, patch = 0;

	if (version == NULL || sscanf(version, "%d.%d.%d", &major, &minor, &patch) < 2)
		return 0;
	return major * 10000L + minor * 100L + patch;
}

/* redis_has_hole - is a version older than the repaired one of its branch? Branches without one are
 * repaired by distributions only. */
static bool
redis_has_hole(const struct redis_case *one)
{
	static const long redis[] = { 60220, 70211, 70406, 80004, 80202 };
	static const long valkey[] = { 70211, 80006, 80104 };
	bool is_valkey = info(one, "valkey_version") != NULL;
	const long *fixed = is_valkey ? valkey : redis;
	size_t n = is_valkey ? sizeof(valkey) / sizeof(valkey[0])
			     : sizeof(redis) / sizeof(redis[0]);
	long version = redis_number(info(one, is_valkey ? "valkey_version" : "redis_version"));

	for (size_t i = 0; i < n; i++)
		if (fixed[i] / 100 == version / 100)
			return version < fixed[i];
	return version > 0 && version < fixed[n - 1];
}

/* check_hole - scripts that get out of Lua: a client that may send EVAL owns the host */
static void
check_hole(struct redis_case *one)
{
	/* what distributions still ship, and the package in which it is repaired */
	static const struct { const char *version, *debian; } shipped[] = {
		{ "5.0.7", NULL }, { "5.0.14", NULL }, { "6.0.16", "6.0.16-1+deb11u8" },
		{ "6.2.7", NULL }, { "7.0.15", "7.0.15-1~deb12u6" }, { "7.2.4", NULL },
		{ "8.0.2", "8.0.2-3+deb13u1" }, { "8.1.1", "8.1.1+dfsg1-3+deb13u1" },
	};
	const char *version = info(one, "valkey_version"), *program = info(one, "executable");
	const char *name = version != NULL ? "Valkey" : "Redis";
	enum packages_state state = PACKAGES_BROKEN;

	if (!redis_has_hole(one))
		return;
	version = version != NULL ? version : info(one, "redis_version");
	for (size_t i = 0; i < sizeof(shipped) / sizeof(shipped[0]); i++) {
		if (strcmp(version, shipped[i].version) != 0)
			continue;
		state = PACKAGES_UNKNOWN;
		if (shipped[i].debian != NULL && program != NULL &&
		    strncmp(program, "/usr/bin/", 9) == 0 && access(program, F_OK) == 0)
			state = packages_patched(one->exam->ctx,
			    strcmp(name, "Valkey") == 0 ? "valkey-server" : "redis-server",
			    shipped[i].debian);
	}
	packages_report(one->exam, "redis.lua-hole", one->where,
	    exam_text(one->exam, "%s %s has CVE-2025-49844: a script can escape from Lua", name,
		version), state);
}

/* check_rights - each command that we use, as Redis itself judges it (from 7.0 on) */
static void
check_rights(struct redis_case *one)
{
	static const char script[] =
	    "local bad = {} "
	    "if redis.acl_check_cmd == nil then return bad end "
	    "for i = 1, #ARGV do local c, ok = ARGV[i], nil "
	    "if c == 'eval' or c == 'evalsha' then ok = redis.acl_check_cmd(c, 'x', '1', KEYS[1]) "
	    "elseif c == 'del' then ok = redis.acl_check_cmd(c, KEYS[1]) "
	    "else ok = redis.acl_check_cmd(c, KEYS[1], '1', '1', '1') end "
	    "if not ok then bad[#bad + 1] = c end end return bad";
	const char *prefix =
	    one->options->prefix != NULL ? one->options->prefix : "countersign:";
	const char *const words[] = { "EVAL", script, "1",
		exam_text(one->exam, "%s{doctor}", prefix), "eval", "evalsha", "get", "set",
		"setrange", "del", "hget", "hgetall", "hmget", "hset", "hincrby", "hdel", "hlen",
		"hexists", "hscan", "pttl", "expire", "pexpire", "persist", "zadd", "zscore",
		"zcard", "zrange", "zremrangebyrank", "zremrangebyscore", "lpush", "ltrim",
		"lrange", "xadd", "xtrim", "xrevrange", NULL };
	static const char *const rights[] = { "NOPERM", "No permissions", NULL };
	static const char cure[] = "give the user the rules of countersign-store(5)";
	redisReply *reply = one->options->redis.cluster ? NULL : redis_ask(one, words);
	const char *list = NULL;

	if (reply == NULL && error_has(one, rights))
		exam_add(one->exam, "redis.acl", one->where, cure, "%s", one->error);
	for (size_t i = 0;
	     reply != NULL && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
		list = list == NULL
		    ? exam_text(one->exam, "%s", reply->element[i]->str)
		    : exam_text(one->exam, "%s, %s", list, reply->element[i]->str);
	if (list != NULL)
		exam_add(one->exam, "redis.acl", one->where, cure,
		    "the user may not do on keys \"%s*\": %s", prefix, list);
	freeReplyObject(reply);
}

/* bound_outside - does a value of bind let other hosts in? */
static bool
bound_outside(struct exam *exam, const char *bind)
{
	const char *word;
	bool any = false;

	while ((word = postfix_word(exam->ctx, &bind)) != NULL) {
		struct ip_address ip;

		any = true;
		word += *word == '-';
		if (!ip_address_parse(word, &ip) || !ip_address_is_loopback(&ip))
			return true;
	}
	return !any;
}

/* check_open - can strangers use it? */
static void
check_open(struct redis_case *one)
{
	const struct redis_options *redis = &one->options->redis;
	const char *protected = setting(one, "protected-mode"), *bind = setting(one, "bind");
	const char *password = setting(one, "requirepass"), *port = setting(one, "port");
	bool tcp = port != NULL && strcmp(port, "0") != 0;
	const char *first = redis->server != NULL ? redis->server : "", *error = NULL;
	struct redis_place place = { .text = NULL };
	struct ip_address ip;

	if (redis_place_read(one->exam->ctx,
		exam_text(one->exam, "%.*s", (int)strcspn(first, " "), first), &place,
		&error) == 0 &&
	    place.host != NULL && ip_address_parse(place.host, &ip) &&
	    !ip_address_is_loopback(&ip) && redis->password == NULL && redis->tls.cert_file == NULL)
		tcp = true;
	else if (protected == NULL || strcmp(protected, "no") != 0 || bind == NULL ||
	    !bound_outside(one->exam, bind) || password == NULL || password[0] != '\0' ||
	    redis->user != NULL)
		tcp = false;
	if (tcp)
		exam_add(one->exam, "redis.open", one->where,
		    "requirepass PASSWORD, and bind 127.0.0.1 -::1",
		    "other hosts can use this Redis without a password");
}

/* password_of - from its file; false: a finding was made */
static bool
password_of(struct exam *exam, const char *path, const char **password_r)
{
	const char *error = NULL;

	if (path == NULL)
		return true;
	*password_r = password_file_read(exam->ctx, path, &error);
	if (*password_r == NULL && geteuid() != 0 && access(path, R_OK) != 0 && errno == EACCES)
		exam_add_level(exam, DOCTOR_UNKNOWN, "redis.auth", path, "run this as root",
		    "the file cannot be read by this user");
	else if (*password_r == NULL)
		exam_add(exam, "redis.auth", path, exam_text(exam, "chmod o-rwx %s", path), "%s",
		    error);
	else if (!site_reads(exam->site, path))
		exam_add(exam, "redis.auth", path,
		    exam_text(exam, "chgrp %lu %s && chmod 640 %s",
			(unsigned long)exam->site->reader.gid, path, path),
		    "the daemon's account cannot read the password");
	return *password_r != NULL;
}

/* check_info - all that INFO says */
static void
check_info(struct redis_case *one)
{
	static const char *const words[] = { "INFO", NULL };
	redisReply *reply = redis_ask(one, words);

	if (reply != NULL && reply->type != REDIS_REPLY_ERROR && reply->str != NULL)
		one->info = mem_strdup(one->exam->ctx, reply->str);
	freeReplyObject(reply);
	if (one->info == NULL) {
		exam_add_level(one->exam, DOCTOR_UNKNOWN, "redis.evicts", one->where,
		    "+info for the user of Redis",
		    "how Redis is set up is not known: its user may not query it (%s)",
		    one->error != NULL ? one->error : "no text");
		return;
	}
	one->settings = may_ask_settings(one);
	check_memory(one);
	check_persistence(one);
	check_role(one);
	check_hole(one);
}

/* examine_redis_for - all, or only how Redis is set up now */
static void
examine_redis_for(struct exam *exam, bool all)
{
	const struct config *config = exam->site->config;
	struct redis_case one = { .exam = exam };
	struct store_options options;
	struct redis_options redis;
	const char *error = NULL;

	if (config == NULL || config->store_options.kind != STORE_REDIS)
		return;
	options = config->store_options;
	if (!password_of(exam, config->store_password_file, &options.redis.password) ||
	    !password_of(
		exam, config->store_sentinel_password_file, &options.redis.sentinel_password))
		return;
	one.options = &options;
	one.where =
	    options.redis.server != NULL ? options.redis.server : options.redis.sentinels;
	redis = options.redis;
	if (redis.cluster) { /* one node is asked, as the server that it is */
		redis.server =
		    exam_text(exam, "%.*s", (int)strcspn(redis.server, " "), redis.server);
		redis.cluster = false;
	}
	one.pool = redis_pool_new(exam->ctx, &redis, 1, &error);
	if (one.pool == NULL) {
		exam_add(exam, "redis.away", one.where, NULL, "%s", error);
		return;
	}
	(void)redis_pool_resolve(one.pool, exam->ctx, &error);
	if (check_answer(&one)) {
		check_info(&one);
		if (all && (one.info == NULL || !info_is(&one, "role", "slave")))
			check_rights(&one);
		if (all && one.info != NULL && !exam->site->options->by_daemon)
			check_open(&one);
	}
	talloc_free(one.pool);
}

void
examine_redis(struct exam *exam)
{
	examine_redis_for(exam, true);
}

void
examine_redis_state(struct exam *exam)
{
	examine_redis_for(exam, false);
}

/*
 * table.c - what is the same for all types of tables
 *
 * Keys are checked and folded. For tables that ask a server, answers are cached, and a server that
 * has failed is left alone for a moment. Tables that are files are read again when these change.
 *
 * What was read of a file is counted: a lookup holds it while it looks, so a newer content can take
 * its place at any time, and the last lookup frees the old.
 *
 * Threads: what a type opened is read-only or has locks of its own; so have cache and breaker.
 * table->lock guards the pointer to the content; the stamps belong to the thread that tends.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "filter/base/clock.h"
#include "filter/base/log.h"
#include "filter/table/breaker.h"
#include "filter/table/cache.h"
#include "filter/table/table.h"
#include "filter/table/type.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

/* What a type opened. A talloc root of its own. */
struct content {
	atomic_uint references;
	void *state;
};

/* How a file looks from outside; all zero if there is none. */
struct stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;	/* content or attributes, whichever is later */
	struct timespec modified;
};

struct table {
	const struct table_type *type;
	pthread_mutex_t lock;
	struct content *content;
	const char *spec;
	const char *argument;	/* after the colon of spec */
	const char *file; /* TABLE_FILE: its path, or NULL if the rules are in the name */
	struct stamp loaded;		/* the file as it was when it was read */
	struct stamp seen;		/* as it was at the last look */
	struct stamp refused;		/* as it was when it could not be used */
	struct table_limits limits;
	struct table_cache *cache;	/* TABLE_REMOTE */
	struct table_breaker *breaker;	/* TABLE_REMOTE */
	_Atomic int64_t told_ms;	/* when a failure was logged; 0: never */
	atomic_uint untold;		/* failures since then */
};

#define TELL_EVERY_MS	5000

/* --- content --- */

/* drop_content - one reference less; the last one frees it */
static void
drop_content(struct content *content)
{
	if (content != NULL && atomic_fetch_sub(&content->references, 1) == 1)
		talloc_free(content);
}

/* hold_content - the content in force, with a reference */
static struct content *
hold_content(struct table *table)
{
	struct content *content;

	(void)pthread_mutex_lock(&table->lock);
	content = table->content;
	atomic_fetch_add(&content->references, 1);
	(void)pthread_mutex_unlock(&table->lock);
	return content;
}

/* open_content - have the type open it; NULL and *error_r on ctx */
static struct content *
open_content(TALLOC_CTX *ctx, const struct table_type *type, const struct table_env *env,
    const char *argument, const char **error_r)
{
	struct content *content = mem_new(NULL, struct content);

	atomic_init(&content->references, 1);
	content->state = talloc_steal(content, type->open(ctx, env, argument, error_r));
	if (content->state != NULL)
		return content;
	talloc_free(content);
	return NULL;
}

/* stamp_of - how a file looks now */
static struct stamp
stamp_of(const char *path)
{
	struct stamp stamp;
	struct stat st;

	memset(&stamp, 0, sizeof(stamp));
	if (stat(path, &st) != 0)
		return stamp;
	stamp.device = st.st_dev;
	stamp.inode = st.st_ino;
	stamp.size = st.st_size;
	stamp.changed = st.st_ctim;
	stamp.modified = st.st_mtim;
	return stamp;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	    same_time(&a->changed, &b->changed) && same_time(&a->modified, &b->modified);
}

/* --- opening --- */

static int
table_free(struct table *table)
{
	drop_content(table->content);
	(void)pthread_mutex_destroy(&table->lock);
	return 0;
}

/* table_make - a table of a type */
struct table *
table_make(TALLOC_CTX *ctx, const struct table_env *env, const struct table_type *type,
    const char *spec, const char *argument, const char **error_r)
{
	struct table *table = mem_new(ctx, struct table);

	(void)pthread_mutex_init(&table->lock, NULL);
	talloc_set_destructor(table, table_free);
	table->spec = mem_strdup(table, spec);
	table->limits = env->limits;
	table->type = type;
	if (type->flags & TABLE_FILE && argument[0] != '{') {
		table->argument = mem_strdup(table, argument);
		table->file = mem_printf(
		    table, "%s%s", argument, type->flags & TABLE_CDB ? ".cdb" : "");
		table->loaded = table->seen = stamp_of(table->file);
	}
	table->content = open_content(ctx, type, env, argument, error_r);
	if (table->content == NULL) {
		talloc_free(table);
		return NULL;
	}
	if (type->flags & TABLE_REMOTE) {
		table->breaker = table_breaker_new(table);
		table->cache = table_cache_new(table, (size_t)table->limits.cache,
		    table->limits.cache_ms, table->limits.negative_ms);
	}
	return table;
}

/* table_spec - the specification it was opened with */
const char *
table_spec(const struct table *table)
{
	return table->spec;
}

/* table_type_of - its type */
const struct table_type *
table_type_of(const struct table *table)
{
	return table->type;
}

/* table_is_pattern - is it asked for whole keys only? */
bool
table_is_pattern(const struct table *table)
{
	return (table->type->flags & TABLE_PATTERN) != 0;
}

/* --- tending --- */

/* take_place - of the old content; its holders release it in time */
static void
take_place(struct table *table, struct content *new)
{
	struct content *old;

	(void)pthread_mutex_lock(&table->lock);
	old = table->content;
	table->content = new;
	(void)pthread_mutex_unlock(&table->lock);
	drop_content(old);
}

/* table_read_again - the file as it is now, unless it changes while it is read */
static void
table_read_again(struct table *table, const struct stamp *now)
{
	TALLOC_CTX *tmp = mem_check(talloc_new(NULL));
	const char *error = NULL;
	struct content *new = open_content(tmp, table->type, NULL, table->argument, &error);

	table->seen = stamp_of(table->file);
	if (!same_stamp(&table->seen, now)) {
		drop_content(new);	/* it is not finished; the next look begins again */
	} else if (new == NULL) {
		table->refused = *now;
		log_error(
		    "table %s: %s; keeping the previous contents", table->spec, error);
	} else {
		table->loaded = *now;
		take_place(table, new);
		log_info("table %s was read again after its file changed", table->spec);
	}
	talloc_free(tmp);
}

/* tend_file - has the file changed, and is it at rest? */
static void
tend_file(struct table *table)
{
	struct stamp now = stamp_of(table->file);
	bool at_rest = same_stamp(&now, &table->seen);

	table->seen = now;
	if (at_rest && !same_stamp(&now, &table->loaded) && !same_stamp(&now, &table->refused))
		table_read_again(table, &now);
}

/* table_tend - what is to be done for a table now and then */
void
table_tend(struct table *table)
{
	if (table->file != NULL)
		tend_file(table);
	if (table->type->tend != NULL)
		table->type->tend(table->content->state);
}

/* --- asking --- */

/* ask_content - ask the content in force; the answer outlives it */
static void
ask_content(struct table *table, TALLOC_CTX *ctx, const char *key, bool partial,
    int64_t deadline_ms, struct table_answer *answer)
{
	struct content *content = hold_content(table);

	(partial && table->type->get_partial != NULL ? table->type->get_partial : table->type->get)(
	    content->state, ctx, key, deadline_ms, answer);
	if (answer->value != NULL)
		answer->value = mem_strdup(ctx, answer->value);
	drop_content(content);
}

/* ask_server - ask, unless the server has just failed; note how it went */
static void
ask_server(struct table *table, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer)
{
	int64_t now_ms = clock_ms();

	if (deadline_ms == 0 || deadline_ms > now_ms + table->limits.timeout_ms)
		deadline_ms = now_ms + table->limits.timeout_ms;
	answer->outcome = TABLE_TEMPERROR;
	if (!table_breaker_may(table->breaker, ctx, now_ms, &answer->error))
		return;
	table->type->get(table->content->state, ctx, key, deadline_ms, answer);
	now_ms = clock_ms();
	if (table_breaker_report(table->breaker, now_ms, answer->away ? answer->error : NULL) &&
	    !answer->away)
		log_info("table %s answers again", table->spec);
	if (answer->outcome != TABLE_TEMPERROR)
		table_cache_put(table->cache, key,
		    answer->outcome == TABLE_FOUND ? answer->value : NULL, now_ms);
}

/* table_ask - by the cache or by the type */
static void
table_ask(struct table *table, TALLOC_CTX *ctx, const char *key, bool partial, int64_t deadline_ms,
    struct table_answer *answer)
{
	if (!(table->type->flags & TABLE_REMOTE)) {
		ask_content(table, ctx, key, partial, deadline_ms, answer);
		return;
	}
	if (!table_cache_get(table->cache, ctx, key, clock_ms(), &answer->value)) {
		ask_server(table, ctx, key, deadline_ms, answer);
		return;
	}
	answer->outcome = answer->value != NULL ? TABLE_FOUND : TABLE_NOT_FOUND;
}

/* table_folded - a key in lower case, on ctx if that changes it */
static const char *
table_folded(TALLOC_CTX *ctx, const char *key, size_t len)
{
	const char *lower;

	if (!text_is_ascii(key, len)) {
		lower = text_fold_utf8(ctx, key, len, true);
		return lower != NULL ? lower : key;
	}
	for (size_t i = 0; i < len; i++)
		if (key[i] != text_lower(key[i]))
			return text_lower_copy(ctx, key, len);
	return key;
}

/* table_do_get - look up one key, whole or partial */
static enum table_outcome
table_do_get(struct table *table, TALLOC_CTX *ctx, const char *key, bool partial,
    int64_t deadline_ms, const char **value_r, const char **error_r)
{
	struct table_answer answer = { .outcome = TABLE_NOT_FOUND };
	size_t len = strlen(key);

	if (len == 0 || !text_is_utf8(key, len) || (partial && table_is_pattern(table)))
		return TABLE_NOT_FOUND;
	if (table->type->flags & TABLE_FOLD)
		key = table_folded(ctx, key, len);
	table_ask(table, ctx, key, partial, deadline_ms, &answer);
	/* as in Postfix: who has nothing to say must say "not found" */
	if (answer.outcome == TABLE_FOUND && answer.value[0] == '\0') {
		answer.outcome = TABLE_TEMPERROR;
		answer.error = "the value is empty";
	}
	if (answer.outcome == TABLE_FOUND && table->type->flags & TABLE_REMOTE &&
	    !text_is_utf8(answer.value, strlen(answer.value))) {
		answer.outcome = TABLE_TEMPERROR;
		answer.error = "the value is not UTF-8";
	}
	if (answer.outcome == TABLE_FOUND)
		*value_r = answer.value;
	else if (answer.outcome == TABLE_TEMPERROR)
		*error_r = answer.error != NULL ? answer.error : "no reason given";
	return answer.outcome;
}

/* table_get - look up one key */
enum table_outcome
table_get(struct table *table, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    const char **value_r, const char **error_r)
{
	return table_do_get(table, ctx, key, false, deadline_ms, value_r, error_r);
}

/* table_get_partial - the same for a partial key */
enum table_outcome
table_get_partial(struct table *table, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    const char **value_r, const char **error_r)
{
	return table_do_get(table, ctx, key, true, deadline_ms, value_r, error_r);
}

/* table_log_failure - a line in the log, at most one every few seconds */
void
table_log_failure(struct table *table, const char *error)
{
	int64_t now_ms = clock_ms(), told_ms = atomic_load(&table->told_ms);
	unsigned int untold;

	if ((told_ms != 0 && now_ms - told_ms < TELL_EVERY_MS) ||
	    !atomic_compare_exchange_strong(&table->told_ms, &told_ms, now_ms)) {
		atomic_fetch_add(&table->untold, 1);
		return;
	}
	untold = atomic_exchange(&table->untold, 0);
	if (untold > 0)
		log_warning(
		    "table %s cannot be read: %s (and %u more lookup%s since this was last logged)",
		    table->spec, error, untold, text_s(untold));
	else
		log_warning("table %s cannot be read: %s", table->spec, error);
}

/*
 * cdb.c - cdb: tables
 *
 * The index that postmap(1) and cdb(1) make, FILE.cdb. It is copied into memory before it is used,
 * see private_copy.h.
 *
 * Threads: libcdb keeps the last result in its struct, so each lookup has a copy of it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <cdb.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/plain_file.h"
#include "filter/table/private_copy.h"
#include "filter/table/type.h"
#include "policy/base/mem.h"

static int
cdb_close(struct cdb *cdb)
{
	cdb_free(cdb);
	return 0;
}

static void *
cdb_open(TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	char *path = mem_printf(ctx, "%s.cdb", argument);
	int copy = private_copy(path);
	struct cdb *cdb = NULL;

	(void)env;
	if (copy < 0) {
		*error_r = mem_printf(ctx, "%s: cannot be opened: %s", path, plain_file_error(errno));
		talloc_free(path);
		return NULL;
	}
	cdb = mem_new(ctx, struct cdb);
	if (cdb_init(cdb, copy) == 0) {
		talloc_set_destructor(cdb, cdb_close);
	} else {
		*error_r = mem_printf(ctx, "%s: is not a cdb file; make it with postmap cdb:%s",
		    path, argument);
		talloc_free(cdb);
		cdb = NULL;
	}
	(void)close(copy);	/* it is mapped */
	talloc_free(path);
	return cdb;
}

/* cdb_table_get - keys are stored with or without a NUL after them, as in Postfix */
static void
cdb_table_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	struct cdb cdb = *(const struct cdb *)state;
	unsigned int len = (unsigned int)strlen(key);
	int found = cdb_find(&cdb, key, len + 1);
	const char *value;

	(void)deadline_ms;
	if (found == 0)
		found = cdb_find(&cdb, key, len);
	answer_r->outcome = TABLE_NOT_FOUND;
	if (found == 0)
		return;
	value = found < 0 ? NULL : cdb_getdata(&cdb);
	if (value == NULL) {
		answer_r->outcome = TABLE_TEMPERROR;
		answer_r->error = "the cdb file is damaged";
		return;
	}
	answer_r->outcome = TABLE_FOUND;
	answer_r->value = mem_strndup(ctx, value, strnlen(value, cdb_datalen(&cdb)));
}

const struct table_type table_cdb = {
	"cdb", TABLE_FILE | TABLE_FOLD | TABLE_CDB, cdb_open, cdb_table_get, NULL, NULL
};

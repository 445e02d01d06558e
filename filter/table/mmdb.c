/*
 * mmdb.c - mmdb: tables, what a MaxMind DB file says of an address
 *
 * Keys are addresses; anything else is not found. Of a file of countries or cities the value is the
 * country's code ("FR"), of one of networks the number of the autonomous system ("3215"). The
 * names of the fields are those that MaxMind and others write (the MaxMind DB file format
 * specification, version 2.0, leaves them to who makes the file).
 *
 * The file is copied into memory before it is used, see private_copy.h. Threads: libmaxminddb only
 * reads what it has mapped.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <inttypes.h>
#include <maxminddb.h>
#include <string.h>
#include <unistd.h>

#include "filter/base/plain_file.h"
#include "filter/table/private_copy.h"
#include "filter/table/type.h"
#include "policy/base/mem.h"

#define PATH_MAX_LEN	5	/* words of a path, NULL included */

/* Where a record may have what is looked for; the first that it has counts. */
static const char *const places[][PATH_MAX_LEN] = {
	{ "country", "iso_code" },
	{ "registered_country", "iso_code" },
	{ "country_code" },
	{ "autonomous_system_number" },
	{ "asn" },
};

static int
mmdb_close(MMDB_s *mmdb)
{
	MMDB_close(mmdb);
	return 0;
}

static void *
mmdb_open(TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	int copy = private_copy(argument), result;
	MMDB_s *mmdb;
	char *path;

	(void)env;
	if (copy < 0) {
		*error_r = mem_printf(ctx, "%s: cannot be opened: %s", argument, plain_file_error(errno));
		return NULL;
	}
	mmdb = mem_new(ctx, MMDB_s);
	path = mem_printf(ctx, "/dev/fd/%d", copy);
	result = MMDB_open(path, MMDB_MODE_MMAP, mmdb);
	talloc_free(path);
	(void)close(copy);	/* it is mapped */
	if (result == MMDB_SUCCESS) {
		talloc_set_destructor(mmdb, mmdb_close);
		return mmdb;
	}
	*error_r = mem_printf(ctx, "%s: is not a MaxMind DB file, or is damaged: %s", argument,
	    MMDB_strerror(result));
	talloc_free(mmdb);
	return NULL;
}

/* mmdb_text - a value as text on ctx, or NULL: it is neither text nor a number */
static const char *
mmdb_text(TALLOC_CTX *ctx, const MMDB_entry_data_s *data)
{
	switch (data->type) {
	case MMDB_DATA_TYPE_UTF8_STRING:
		return mem_strndup(ctx, data->utf8_string, data->data_size);
	case MMDB_DATA_TYPE_UINT16:
		return mem_printf(ctx, "%u", data->uint16);
	case MMDB_DATA_TYPE_UINT32:
		return mem_printf(ctx, "%" PRIu32, data->uint32);
	case MMDB_DATA_TYPE_UINT64:
		return mem_printf(ctx, "%" PRIu64, data->uint64);
	default:
		return NULL;
	}
}

/* mmdb_read - the first of the places that the record has */
static void
mmdb_read(MMDB_entry_s *entry, TALLOC_CTX *ctx, struct table_answer *answer)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		MMDB_entry_data_s data;
		int result = MMDB_aget_value(entry, &data, places[i]);

		if (result == MMDB_INVALID_DATA_ERROR || result == MMDB_IO_ERROR) {
			answer->outcome = TABLE_TEMPERROR;
			answer->error = "the mmdb file is damaged";
			return;
		}
		if (result != MMDB_SUCCESS || !data.has_data)
			continue;
		answer->value = mmdb_text(ctx, &data);
		if (answer->value == NULL)
			continue;
		answer->outcome = TABLE_FOUND;
		return;
	}
}

static void
mmdb_table_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	int not_address = 0, result = MMDB_SUCCESS;
	MMDB_lookup_result_s found = MMDB_lookup_string(state, key, &not_address, &result);

	(void)deadline_ms;
	answer_r->outcome = TABLE_NOT_FOUND;
	/* a file of IPv4 alone knows no address of IPv6 */
	if (not_address != 0 || result == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR)
		return;
	if (result != MMDB_SUCCESS) {
		answer_r->outcome = TABLE_TEMPERROR;
		answer_r->error = MMDB_strerror(result);
		return;
	}
	if (found.found_entry)
		mmdb_read(&found.entry, ctx, answer_r);
}

const struct table_type table_mmdb = {
	"mmdb", TABLE_FILE | TABLE_PATTERN, mmdb_open, mmdb_table_get, NULL, NULL
};

/*
 * fuzz_control.c - any octets as requests on the control socket
 *
 * Each line is a request to a daemon with the store in its memory, with plans and books. An input
 * that begins with "-" comes from a user who may only ask. Every answer must be one that can be
 * sent.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filter/base/log.h"
#include "filter/control/control.h"
#include "filter/control/control_answer.h"
#include "filter/daemon/daemon.h"
#include "policy/base/mem.h"
#include "tests/fuzz/folder.h"

#define REQUESTS_MAX	16	/* of one input */

static const char configuration[] =
    "listen = \"unix:/run/x\"\n"
    "authserv_id = \"mx.example.org\"\n"
    "log = \"syslog\"\n"
    "store = \"embedded\"\n"
    "plans = { basic = { limits = [\"100 recipients per hour\","
    " \"5 client-addresses per day\"] } }\n"
    "default_plan = \"basic\"\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char first[] = "{\"command\":\"block\",\"account\":\"z\"}";

static void ask(const char *line, size_t len, bool may_write);

static struct daemon one;

/* close_the_daemon - at the end, so that nothing is left to those who look for leaks */
static void
close_the_daemon(void)
{
	daemon_close(&one);
}

/* the_daemon - opened once */
static struct daemon *
the_daemon(void)
{
	static bool opened;
	TALLOC_CTX *ctx;
	struct snapshot *snapshot;
	const char *path, *error = "";

	if (opened)
		return &one;
	ctx = mem_check(talloc_new(NULL));
	path = folder_path(ctx, "countersign.conf");
	folder_write(path, configuration, sizeof(configuration) - 1);
	log_open(true);
	snapshot = snapshot_build_tables(ctx, path, &error);
	if (snapshot == NULL || daemon_open_store(ctx, &one, snapshot, &error) != 0) {
		log_open(false);
		log_error("%s", error);
		abort();
	}
	talloc_free(ctx);
	opened = true;
	(void)atexit(close_the_daemon);
	/* without anybody blocked, each question waits for the list of them */
	ask(first, sizeof(first) - 1, true);
	return &one;
}

/* ask - one request; its answer must be an object with "ok", as a line of text */
static void
ask(const char *line, size_t len, bool may_write)
{
	const struct asker asker = { may_write, "uid 0" };
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	json_t *answer = control_answer(the_daemon(), ctx, line, len, &asker, true);
	const json_t *ok = json_object_get(answer, "ok");
	char *text = json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII);

	if (text == NULL || !json_is_boolean(ok) || strchr(text, '\n') != NULL)
		abort();
	if (!json_is_true(ok) && !json_is_string(json_object_get(answer, "error")))
		abort();
	free(text);
	json_decref(answer);
	talloc_free(ctx);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data;
	bool may_write = size == 0 || at[0] != '-';

	at += !may_write;
	size -= !may_write;
	for (int i = 0; i < REQUESTS_MAX && size > 0; i++) {
		const char *end = memchr(at, '\n', size);
		size_t len = end != NULL ? (size_t)(end - at) : size;

		if (len <= CONTROL_REQUEST_MAX)
			ask(at, len, may_write);
		len += end != NULL;
		at += len;
		size -= len;
	}
	return 0;
}

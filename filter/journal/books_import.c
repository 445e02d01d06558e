/*
 * books_import.c - what earlier versions kept next to the counters' file, imported once
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/base/log.h"
#include "filter/journal/books_import.h"
#include "policy/base/mem.h"

#define LINE_MAX_OCTETS	65536

/* What a line came to. */
enum taken { TAKEN, SKIPPED, FAILED };

/* One of the old files. */
struct old_file {
	const char *end;	/* of its name */
	const char *what;	/* its lines are */
	enum taken (*take)(const struct books_import *to, char *line);
};

/* take_decision - {"at":...,...} */
static enum taken
take_decision(const struct books_import *to, char *line)
{
	json_t *decision = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	const json_t *at = json_object_get(decision, "at");
	const char *action = json_string_value(json_object_get(decision, "action"));
	const struct books_decision item = {
		.at_ms = json_integer_value(at),
		.account = json_string_value(json_object_get(decision, "account")),
		.queue_id = json_string_value(json_object_get(decision, "queue_id")),
		.passed = action == NULL ||
		    (strcmp(action, "tempfail") != 0 && strcmp(action, "reject") != 0),
		.text = line,
	};
	enum taken taken = SKIPPED;

	if (json_is_integer(at))
		taken = to->decision(to->arg, &item) == 0 ? TAKEN : FAILED;
	json_decref(decision);
	return taken;
}

/* take_sums - "20261122 alice@example.org 10 250 ..." */
static enum taken
take_sums(const struct books_import *to, char *line)
{
	char *account = strchr(line, ' ');
	char *text = account != NULL ? strchr(account + 1, ' ') : NULL;
	int day = atoi(line);
	struct daybook_row row;

	if (text == NULL || text == account + 1 || day < 20000000 || day > 99991231)
		return SKIPPED;
	*text = '\0';
	daybook_parse(text + 1, &row);
	return to->sums(to->arg, day, account + 1, &row) == 0 ? TAKEN : FAILED;
}

static const struct old_file old_files[] = {
	{ "history", "decisions", take_decision },
	{ "daybook", "sums of accounts", take_sums },
};
#define N_OLD_FILES	(sizeof(old_files) / sizeof(old_files[0]))

/* open_old - an old file; NULL and *error_r, or NULL alone: there is none */
static FILE *
open_old(TALLOC_CTX *ctx, const char *path, const char **error_r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	struct stat st;

	if (file == NULL && errno == ENOENT)
		return NULL;
	if (file == NULL)
		*error_r = mem_printf(ctx, "cannot import %s: %s; move it away to start without it",
		    path, strerror(errno));
	else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		*error_r = mem_printf(ctx, "cannot import %s: not a regular file", path);
	else
		return file;
	if (file != NULL)
		(void)fclose(file);
	else if (fd >= 0)
		(void)close(fd);
	return NULL;
}

/* read_old - all lines of an old file; 0 or -1 */
static int
read_old(TALLOC_CTX *ctx, const struct old_file *old, const char *path, FILE *file,
    const struct books_import *to, const char **error_r)
{
	size_t counts[] = { [TAKEN] = 0, [SKIPPED] = 0, [FAILED] = 0 };
	char *line = mem_array(ctx, char, LINE_MAX_OCTETS);

	while (counts[FAILED] == 0 && fgets(line, LINE_MAX_OCTETS, file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		counts[old->take(to, line)]++;
	}
	talloc_free(line);
	if (counts[FAILED] > 0)
		return -1;
	if (ferror(file)) {
		*error_r = mem_printf(ctx, "cannot import %s: %s", path, strerror(errno));
		return -1;
	}
	log_info("books: imported from %s: %s: %zu; unreadable lines: %zu", path, old->what,
	    counts[TAKEN], counts[SKIPPED]);
	return 0;
}

/* import_one - one kind of file next to file; nothing if there is none */
static int
import_one(TALLOC_CTX *ctx, const char *file, const struct old_file *old,
    const struct books_import *to, const char **error_r)
{
	char *path = mem_printf(NULL, "%s.%s", file, old->end);
	FILE *stream = open_old(ctx, path, error_r);
	int result = stream == NULL && *error_r != NULL ? -1 : 0;

	if (stream != NULL) {
		result = read_old(ctx, old, path, stream, to, error_r);
		(void)fclose(stream);
	}
	talloc_free(path);
	return result;
}

/* books_import - read the files next to file */
int
books_import(TALLOC_CTX *ctx, const char *file, const struct books_import *to, const char **error_r)
{
	*error_r = NULL;
	for (size_t i = 0; i < N_OLD_FILES; i++)
		if (import_one(ctx, file, &old_files[i], to, error_r) != 0)
			return -1;
	return 0;
}

/* books_import_done - rename them to .imported */
void
books_import_done(const char *file)
{
	for (size_t i = 0; i < N_OLD_FILES; i++) {
		char *path = mem_printf(NULL, "%s.%s", file, old_files[i].end);
		char *to = mem_printf(path, "%s.imported", path);

		if (rename(path, to) == 0)
			log_info("books: renamed %s to %s; it is not used any more", path, to);
		else if (errno != ENOENT)
			log_warning("books: cannot rename %s: %s; it is not used any more", path,
			    strerror(errno));
		talloc_free(path);
	}
}

/*
 * test_manual.c - the option index of countersign.conf(5) against the tables of options
 *
 * Each option of the code has one row, each row is an option, the page that a row names describes
 * it, and default and reload are what the code does.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/config/load.h"
#include "filter/config/load_dmarc.h"
#include "filter/config/load_spf.h"
#include "filter/config/options.h"
#include "policy/base/mem.h"
#include "policy/verdict/reply.h"

#define COUNT(rows)	(sizeof(rows) / sizeof((rows)[0]))
#define INDEX		".Sh OPTION INDEX\n"
#define ROW		".It Ic "
#define MAIN_PAGE	"countersign.conf"

/* A configuration in which each group has a member. */
static const char whole[] =
    "listen = \"inet:127.0.0.1:8891\"  authserv_id = \"mx.example.org\"\n"
    "store = \"redis:main\"  redis = { main = { server = \"inet:127.0.0.1:6379\" } }\n"
    "plans = { person = { limits = [\"9 messages per hour\"] } }  default_plan = \"person\"\n"
    "accounts = ( { login = \"alice@example.org\" } )\n"
    "listeners = { users = { role = \"submission\" } }\n";

/* What a group is called in the index, and its target in the configuration. */
struct manual_group {
	const char *what;
	const char *path;
	long offset;		/* of the target in struct config; -1: none is tried */
	long inner;		/* the target is an array there: of its pointer; else -1 */
};

#define AT(member)	(long)offsetof(struct config, member)
static const struct manual_group manual_groups[] = {
	{ "the configuration file", "", 0, -1 },
	{ "the plans file", "", 0, -1 },
	{ "dns", "dns.", 0, -1 },
	{ "history", "history.", 0, -1 },
	{ "dkim", "dkim.", 0, -1 },
	{ "tables", "tables.", AT(table_limits), -1 },
	{ "spf", "spf.", AT(spf), -1 },
	{ "dmarc", "dmarc.", -1, -1 },
	{ "report", "dmarc.report.", -1, -1 },
	{ "peers", "peers.", -1, -1 },
	{ "a domain of dkim", "dkim.domains.", -1, -1 },
	{ "a listener", "listeners.NAME.", -1, AT(listeners) },
	{ "an account", "accounts.", -1, AT(accounts) },
	{ "a redis server", "redis.NAME.", -1, AT(redis) },
	{ "a plan", "plans.NAME.", -1, AT(plans) },
};

/* A row of the index. */
struct manual_row {
	const char *name, *value, *reload, *page;
	bool used;
};

struct manual {
	TALLOC_CTX *ctx;
	struct manual_row *rows;
	size_t n;
	struct config *config;
};

static char *
read_page(TALLOC_CTX *ctx, const char *page)
{
	const char *top = getenv("top_srcdir");
	const char *path = mem_printf(ctx, "%s/filter/%s.5", top != NULL ? top : ".", page);
	FILE *file = fopen(path, "re");
	char *text = mem_array(ctx, char, 1 << 20);
	size_t len;

	if (file == NULL)
		fail_msg("there is no %s", path);
	len = fread(text, 1, (1 << 20) - 1, file);
	text[len] = '\0';
	assert_int_equal(fclose(file), 0);
	return text;
}

/* cut - the text up to the next " Ta ", or to its end */
static const char *
cut(char **text)
{
	char *start = *text, *end = strstr(start, " Ta ");

	if (end != NULL) {
		*end = '\0';
		*text = end + 4;
	} else {
		*text = start + strlen(start);
	}
	return strncmp(start, "\\&", 2) == 0 ? start + 2 : start;
}

static int
setup(void **state)
{
	struct manual *manual = mem_array(NULL, struct manual, 1);
	char *text, *line, *next, name[] = "/tmp/test_manual.XXXXXX";
	const char *error = NULL;
	int fd = mkstemp(name);

	manual->ctx = talloc_new(NULL);
	text = strstr(read_page(manual->ctx, MAIN_PAGE), INDEX);
	assert_non_null(text);
	manual->rows = mem_array(manual->ctx, struct manual_row, 1000);
	line = text + strlen(INDEX);
	for (; line != NULL && strncmp(line, ".Sh ", 4) != 0; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (strncmp(line, ROW, strlen(ROW)) != 0)
			continue;
		assert_true(manual->n < 1000);
		line += strlen(ROW);
		manual->rows[manual->n].name = cut(&line);
		manual->rows[manual->n].value = cut(&line);
		manual->rows[manual->n].reload = cut(&line);
		manual->rows[manual->n++].page = cut(&line);
	}
	assert_true(fd >= 0);
	assert_int_equal(write(fd, whole, strlen(whole)), (ssize_t)strlen(whole));
	(void)close(fd);
	manual->config = config_load(manual->ctx, name, &error);
	(void)unlink(name);
	if (manual->config == NULL)
		fail_msg("%s", error);
	*state = manual;
	return 0;
}

static int
teardown(void **state)
{
	struct manual *manual = *state;

	talloc_free(manual->ctx);
	talloc_free(manual);
	return 0;
}

/* group_of - the name of a group in the index */
static const struct manual_group *
group_of(const struct option_group *group)
{
	static const struct manual_group spf = { NULL, "spf.overrides.", -1, -1 };
	static const struct manual_group dmarc = { NULL, "dmarc.overrides.", -1, -1 };

	if (group == &config_spf_override_group)
		return &spf;
	if (group == &config_dmarc_override_group)
		return &dmarc;
	for (size_t i = 0; i < COUNT(manual_groups); i++)
		if (strcmp(manual_groups[i].what, group->what) == 0)
			return &manual_groups[i];
	fail_msg("\"%s\" is a new group of options: add it to this test", group->what);
	return NULL;
}

static struct manual_row *
find_row(const struct manual *manual, const char *path, const char *name)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < manual->n; i++)
		if (strncmp(manual->rows[i].name, path, len) == 0 &&
		    strcmp(manual->rows[i].name + len, name) == 0)
			return &manual->rows[i];
	fail_msg("%s%s has no row in OPTION INDEX of countersign.conf(5)", path, name);
	return NULL;
}

static void
test_rows_are_the_options(void **state)
{
	struct manual *manual = *state;
	const struct option_group *const *groups = config_option_groups();

	for (size_t g = 0; groups[g] != NULL; g++)
		for (const struct option *option = groups[g]->rows; option->name != NULL; option++)
			find_row(manual, group_of(groups[g])->path, option->name)->used = true;
	for (int reason = 1; reason < REASON_COUNT; reason++)
		if (reply_row((enum reason)reason)->option != NULL)
			find_row(manual, "", reply_row((enum reason)reason)->option)->used = true;
	for (size_t i = 0; i < manual->n; i++) {
		if (!manual->rows[i].used)
			fail_msg("the index has %s, which is not an option", manual->rows[i].name);
		if (i > 0 && strcmp(manual->rows[i - 1].name, manual->rows[i].name) >= 0)
			fail_msg("the index has %s twice or out of order", manual->rows[i].name);
	}
}

/* describes - has a page an entry of this option, or names it within the entry of its group? */
static bool
describes(const char *page, const char *option)
{
	size_t len = strlen(option);

	for (const char *at = page; (at = strstr(at, option)) != NULL; at += len) {
		const char *line = at;

		while (line > page && line[-1] != '\n')
			line--;
		if ((strncmp(line, ROW, strlen(ROW)) == 0 || strncmp(line, ".Ic ", 4) == 0) &&
		    at[-1] == ' ' &&
		    (at[len] == ' ' || at[len] == '\n'))
			return true;
	}
	return false;
}

static void
test_pages_describe_them(void **state)
{
	struct manual *manual = *state;

	for (size_t i = 0; i < manual->n; i++) {
		const struct manual_row *row = &manual->rows[i];
		TALLOC_CTX *ctx = talloc_new(NULL);
		char *name = mem_strdup(ctx, row->page), *page;
		const char *last = strrchr(row->name, '.');

		if (strcmp(name, "this page") != 0) {
			if (strncmp(name, "Xr ", 3) != 0 || strchr(name + 3, ' ') == NULL)
				fail_msg("%s: no page is \"%s\"", row->name, name);
			name += 3;
			*strchr(name, ' ') = '\0';
			page = read_page(ctx, name);
		} else {
			page = read_page(ctx, MAIN_PAGE);
			*strstr(page, INDEX) = '\0';
		}
		if (!describes(page, last != NULL ? last + 1 : row->name))
			fail_msg("%s has no entry in %s", row->name, row->page);
		talloc_free(ctx);
	}
}

/* target_of - what the options of a group are read into; NULL: none is tried */
static char *
target_of(const struct manual *manual, const struct manual_group *group)
{
	if (group->inner >= 0)
		return *(char **)((char *)manual->config + group->inner);
	return group->offset >= 0 ? (char *)manual->config + group->offset : NULL;
}

/* read_value - set an option as a file would; false: the value is refused */
static bool
read_value(const struct manual *manual, const struct option_group *group,
    const struct option *option, const char *value, char *target)
{
	struct options_reader reader = { .ctx = manual->ctx, .file = "index" };
	bool bare = option->type == OPTION_BOOL || option->type == OPTION_COUNT;
	const char *text = mem_printf(manual->ctx, bare ? "g = { %s = %s }" : "g = { %s = \"%s\" }",
	    option->name, value);
	config_t tree;

	config_init(&tree);
	assert_int_equal(config_read_string(&tree, text), CONFIG_TRUE);
	options_group(&reader, config_lookup(&tree, "g"), group, target);
	config_destroy(&tree);
	return reader.errors == NULL;
}

/* width - the bytes of an option's value; 0: it is read in a way of its own */
static size_t
width(const struct option *option)
{
	switch (option->type) {
	case OPTION_BOOL:
	case OPTION_CHOICE:
		return sizeof(int);
	case OPTION_COUNT:
	case OPTION_DURATION:
	case OPTION_OCTAL:
		return sizeof(long);
	case OPTION_STRING:
		return sizeof(char *);
	default:
		return 0;
	}
}

/* Words of the index that are no values. */
static bool
is_prose(const char *value)
{
	static const char *const words[] = {
		"any", "by MTA", "by role", "default_plan", "dkim's", "either", "from", "global",
		"group", "host name", "listener's", "loopback", "required", "see there", "system's",
	};

	for (size_t i = 0; i < COUNT(words); i++)
		if (strcmp(words[i], value) == 0)
			return true;
	return false;
}

/* is_unset - is the default filled in where it is used? */
static bool
is_unset(const struct option *option, const void *at)
{
	long number = 0;
	int word = 0;

	if (width(option) == sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		return word == -1;
	}
	if (option->type == OPTION_STRING)
		return false;
	memcpy(&number, at, sizeof(number));
	return number == -1 || (number == 0 && option->min > 0);
}

/* check_default - is a value of the index the default? Returns whether it was tried */
static bool
check_default(const struct manual *manual, const struct option_group *options,
    const struct option *option)
{
	const struct manual_group *group = group_of(options);
	const struct manual_row *row = find_row(manual, group->path, option->name);
	char *target = target_of(manual, group), *at = target + option->offset;
	char before[sizeof(long)];
	const char *text = NULL;
	size_t len = width(option);
	bool is_text = option->type == OPTION_STRING;

	/* both are given above */
	if (strcmp(option->name, "store") == 0 || strcmp(option->name, "default_plan") == 0)
		return false;
	if (target == NULL || len == 0 || is_prose(row->value) || is_unset(option, at))
		return false;
	memcpy(before, at, len);
	if (is_text)
		memcpy(&text, at, sizeof(text));
	if (strcmp(row->value, "none") == 0 && option->type != OPTION_CHOICE) {
		if (is_text && text != NULL)
			fail_msg("%s has the default \"%s\"", row->name, text);
		return is_text;
	}
	if (!read_value(manual, options, option, row->value, target))
		fail_msg("%s: its default is refused: %s", row->name, row->value);
	/* a text that is NULL is filled in where it is used */
	if (is_text ? text != NULL && strcmp(text, row->value) != 0 : memcmp(before, at, len) != 0)
		fail_msg("%s: %s is not its default", row->name, row->value);
	return true;
}

static void
test_defaults(void **state)
{
	const struct option_group *const *groups = config_option_groups();
	size_t n = 0;

	for (size_t g = 0; groups[g] != NULL; g++)
		for (const struct option *option = groups[g]->rows; option->name != NULL; option++)
			n += check_default(*state, groups[g], option);
	assert_true(n > 30);
}

/* check_reload - is the word about reload right? Returns whether it was tried */
static bool
check_reload(const struct manual *manual, const struct option_group *options,
    const struct option *option)
{
	static const char *const other = "other";
	const struct manual_group *group = group_of(options);
	const struct manual_row *row = find_row(manual, group->path, option->name);
	struct config *new = mem_array(manual->ctx, struct config, 1);
	char *at = (char *)new + group->offset + option->offset;
	bool yes = strcmp(row->reload, "yes") == 0;

	if (!yes && strcmp(row->reload, "no") != 0)
		fail_msg("%s: reload is \"%s\"", row->name, row->reload);
	/* what becomes the options of the store is compared there */
	if (strcmp(group->path, "redis.NAME.") == 0 || strcmp(row->name, "store") == 0) {
		assert_false(yes);
		return false;
	}
	if (width(option) == 0 || group->offset < 0)
		return false;
	memcpy(new, manual->config, sizeof(*new));
	if (option->type == OPTION_STRING)
		memcpy(at, &other, sizeof(other));
	else
		*at = (char)(*at ^ 1);
	if ((config_fixed_difference(manual->config, new) == NULL) != yes)
		fail_msg("%s: reload is %s, but the code disagrees", row->name, row->reload);
	return true;
}

static void
test_reload(void **state)
{
	const struct option_group *const *groups = config_option_groups();
	size_t n = 0;

	for (size_t g = 0; groups[g] != NULL; g++)
		for (const struct option *option = groups[g]->rows; option->name != NULL; option++)
			n += check_reload(*state, groups[g], option);
	assert_true(n > 30);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows_are_the_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages_describe_them, setup, teardown),
		cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * write.c - the files: countersign.conf, plans.conf, and the tables next to them
 *
 * Each file begins with a line that holds the checksum of the others, so that a file that somebody
 * has changed since is not overwritten.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "filter/adopt/inside.h"
#include "filter/base/replace_file.h"
#include "policy/base/hash.h"
#include "policy/base/mem.h"

#define MARK "# Written by countersignctl adopt; checksum "

/* A file to be written. */
struct new_file {
	const char *path;
	const char *text;
};

/* --- countersign.conf ------------------------------------------------------ */

/* write_from - a comment that says where a setting comes from, in lines that are not too long */
static void
write_from(FILE *file, const char *indent, const char *from)
{
	while (*from != '\0') {
		size_t len = strlen(from);

		if (len > 92)
			for (len = 92; len > 40 && from[len] != ' '; len--)
				;
		(void)fprintf(file, "%s# %.*s\n", indent, (int)len, from);
		from += len + strspn(from + len, " ");
	}
}

/* write_place - the settings of a place */
static size_t
write_place(struct adopt *adopt, FILE *file, enum adopt_place place, const char *indent,
    const char *between)
{
	size_t n = 0;

	for (size_t i = 0; i < adopt->n_settings; i++) {
		const struct adopt_setting *setting = &adopt->settings[i];

		if (setting->place != place)
			continue;
		if (n++ > 0 || indent[0] == '\0')
			(void)fprintf(file, "%s\n", between);
		write_from(file, indent, setting->from);
		(void)fprintf(file, "%s%s%s", indent, setting->text, between[0] == ',' ? "" : "\n");
	}
	return n;
}

/* has_place - is there a setting for it? */
static bool
has_place(const struct adopt *adopt, enum adopt_place place)
{
	for (size_t i = 0; i < adopt->n_settings; i++)
		if (adopt->settings[i].place == place)
			return true;
	return false;
}

/* write_process - what every configuration of adopt has */
static void
write_process(struct adopt *adopt, FILE *file)
{
	char date[32] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm) != NULL)
		(void)strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	(void)fprintf(file,
	    "# Adopted from what runs on this host on %s. All options are in countersign.conf(5).\n"
	    "# \"countersign -t -c FILE\" checks the file.\n"
	    "\n# Refuses nothing yet: the log shows what would be refused (would=). Read it for a\n"
	    "# week, then write \"enforce\".\nmode = \"watch\"\n",
	    date);
	(void)write_place(adopt, file, PLACE_LISTEN, "", "");
	(void)fprintf(file,
	    "\n# where countersignctl connects\ncontrol = \"/run/countersign/control\"\n"
	    "\n# counters are kept over a restart\n"
	    "store = \"file:/var/lib/countersign/counters\"\n");
	if (getpwnam("countersign") != NULL)
		(void)fprintf(file, "\n# as whom the daemon runs\nuser = \"countersign\"\n");
}

/* write_conf - the whole file */
static void
write_conf(struct adopt *adopt, FILE *file)
{
	write_process(adopt, file);
	(void)write_place(adopt, file, PLACE_IDENTITY, "", "");
	(void)write_place(adopt, file, PLACE_RESULTS, "", "");
	if (has_place(adopt, PLACE_DKIM)) {
		(void)fprintf(file, "\ndkim = {\n");
		(void)write_place(adopt, file, PLACE_DKIM, "  ", "");
		(void)fprintf(file, "}\n");
	}
	(void)fprintf(file, "\n# limits, next to this file\nplans_file = \"plans.conf\"\n");
	if (has_place(adopt, PLACE_ACCOUNTS)) {
		(void)fprintf(file, "\naccounts = (\n");
		(void)write_place(adopt, file, PLACE_ACCOUNTS, "  ", ",");
		(void)fprintf(file, "\n)\n");
	}
	if (has_place(adopt, PLACE_LISTENERS)) {
		(void)fprintf(file,
		    "\n# the first listener whose conditions all hold takes a message\n"
		    "listeners = {\n");
		(void)write_place(adopt, file, PLACE_LISTENERS, "  ", "");
		(void)fprintf(file, "}\n");
	}
}

/* --- files ----------------------------------------------------------------- */

/* render - what a function writes, as a text */
static const char *
render(struct adopt *adopt, void (*write)(struct adopt *adopt, FILE *file))
{
	char *buffer = NULL;
	const char *text;
	size_t size = 0;
	FILE *file = open_memstream(&buffer, &size);

	if (file == NULL)
		mem_end("out of memory");
	write(adopt, file);
	(void)fclose(file);
	text = mem_strdup(adopt, buffer);
	free(buffer);
	return text;
}

/* is_own - did adopt write the file, and is it as it was written? */
static bool
is_own(struct adopt *adopt, const char *path)
{
	char *text = adopt_file(adopt, path), *rest;
	uint64_t sum;

	if (text == NULL)
		return errno == ENOENT;
	rest = strchr(text, '\n');
	if (rest == NULL || strncmp(text, MARK, strlen(MARK)) != 0)
		return false;
	sum = strtoull(text + strlen(MARK), NULL, 16);
	return sum == hash_text(HASH_START, rest + 1);
}

/* put_text - for replace_file() */
static int
put_text(FILE *stream, void *arg)
{
	const struct new_file *file = arg;

	if (fprintf(stream, MARK "%016" PRIx64 "\n", hash_text(HASH_START, file->text)) < 0 ||
	    fputs(file->text, stream) < 0)
		return -1;
	return fchmod(fileno(stream), 0644);
}

/* new_file_open_directory - make it, if it is not there */
static bool
new_file_open_directory(struct adopt *adopt, const char **error_r)
{
	if (mkdir(adopt->output, 0755) == 0 || errno == EEXIST)
		return true;
	*error_r = mem_printf(adopt, "%s: %s", adopt->output, strerror(errno));
	return false;
}

bool
adopt_write(struct adopt *adopt, const char **error_r)
{
	struct new_file files[5];
	const char *plans = render(adopt, adopt_write_plans);
	size_t n = 0;

	files[n++] = (struct new_file){ "countersign.conf", render(adopt, write_conf) };
	files[n++] = (struct new_file){ "plans.conf", plans };
	if (adopt->key_table != NULL && adopt->key_table[0] != '\0') {
		files[n++] = (struct new_file){ "KeyTable", adopt->key_table };
		files[n++] = (struct new_file){ "SigningTable", adopt->signing_table };
	}
	if (adopt->plan_of != NULL)
		files[n++] = (struct new_file){ "plan_of", adopt->plan_of };
	if (!new_file_open_directory(adopt, error_r))
		return false;
	for (size_t i = 0; i < n; i++) {
		files[i].path = mem_printf(adopt, "%s/%s", adopt->output, files[i].path);
		if (!adopt->options->force && !is_own(adopt, files[i].path)) {
			*error_r = mem_printf(adopt,
			    "%s is there already, and is not as adopt wrote it; name another "
			    "directory, or overwrite it with --force",
			    files[i].path);
			return false;
		}
	}
	for (size_t i = 0; i < n; i++) {
		const char *error = NULL;

		if (replace_file(adopt, files[i].path, put_text, &files[i], &error) != 0) {
			*error_r = mem_printf(adopt, "%s: %s", files[i].path, error);
			return false;
		}
		adopt_text(adopt, &adopt->report->written, "%s", files[i].path);
	}
	adopt->report->conf = files[0].path;
	return true;
}

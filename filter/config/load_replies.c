/*
 * load_replies.c - the option replies: a language, or the site's own texts
 *
 *	replies = "fr"
 *	replies = { over = "..."  foreign_from = "..." }
 *	replies = "/etc/countersign/replies.conf"	the same without the braces
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/config/load_replies.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/verdict/reply_texts.h"

/* texts_index - the text of a name; REPLY_TEXTS: there is none */
static size_t
texts_index(TALLOC_CTX *ctx, const char *name)
{
	size_t index = REASON_NONE + 1;

	while (index < REPLY_TEXTS && strcmp(reply_texts_option(ctx, index), name) != 0)
		index++;
	return index;
}

/* nearest_text - the name most like another one */
static const char *
nearest_text(TALLOC_CTX *ctx, const char *name)
{
	size_t nearest = REASON_NONE + 1;

	for (size_t i = nearest; i < REPLY_TEXTS; i++)
		if (text_distance(name, reply_texts_option(ctx, i)) <
		    text_distance(name, reply_texts_option(ctx, nearest)))
			nearest = i;
	return reply_texts_option(ctx, nearest);
}

/* read_language - like = "fr": the texts of a language, of which some are changed */
static void
read_language(struct options_reader *reader, config_setting_t *setting, struct reply_texts *texts)
{
	const char *name = options_string(reader, setting);
	const struct reply_texts *language = name != NULL ? reply_texts_named(name) : NULL;

	if (language == NULL) {
		options_error(reader, setting, "like = \"%s\" is unknown; known are: en, fr",
		    name != NULL ? name : "");
		return;
	}
	texts->limit_words = language->limit_words;
	for (size_t i = 0; i < REPLY_TEXTS; i++)
		if (texts->text[i] == NULL)
			texts->text[i] = language->text[i];
}

/* read_texts - a group of texts */
static const struct reply_texts *
read_texts(struct options_reader *reader, config_setting_t *group)
{
	struct reply_texts *texts = mem_new(reader->ctx, struct reply_texts);

	for (int i = 0; i < config_setting_length(group); i++) {
		config_setting_t *setting = config_setting_get_elem(group, (unsigned int)i);
		const char *name = config_setting_name(setting), *text, *error = NULL;
		size_t index = texts_index(reader->ctx, name);

		if (strcmp(name, "like") == 0) {
			read_language(reader, setting, texts);
			continue;
		}
		if (index == REPLY_TEXTS) {
			options_error(reader, setting, "there is no text \"%s\"; did you mean %s?", name,
			    nearest_text(reader->ctx, name));
			continue;
		}
		text = options_string(reader, setting);
		if (text == NULL)
			continue;
		if (!reply_texts_check(reader->ctx, index, text, &error))
			options_error(reader, setting, "%s", error);
		texts->text[index] = text;
	}
	return texts;
}

/* read_texts_file - a file of texts */
static const struct reply_texts *
read_texts_file(struct options_reader *reader, const char *file)
{
	struct options_reader inner = { .ctx = reader->ctx, .file = file, .files = reader->files };
	const struct reply_texts *texts = NULL;
	config_t tree;

	config_init(&tree);
	if (options_parse_file(&inner, &tree))
		texts = read_texts(&inner, config_root_setting(&tree));
	config_destroy(&tree);
	reader->files = inner.files;
	if (inner.errors == NULL)
		return texts;
	reader->n_errors += inner.n_errors;
	reader->errors = reader->errors == NULL ? inner.errors :
	    mem_printf(reader->ctx, "%s\n%s", reader->errors, inner.errors);
	return texts;
}

/* load_replies - read the option */
void
load_replies(struct options_reader *reader, config_setting_t *setting, void *target)
{
	const struct reply_texts **replies = target;
	const char *text;

	if (config_setting_is_group(setting)) {
		*replies = read_texts(reader, setting);
		return;
	}
	text = options_string(reader, setting);
	if (text == NULL)
		return;
	*replies = text[0] == '/' ? read_texts_file(reader, text) : reply_texts_named(text);
	if (*replies == NULL && text[0] != '/')
		options_error(reader, setting, "replies = \"%s\" is unknown; it is \"en\", \"fr\", the "
		    "absolute path of a file of texts, or texts in braces: { over = \"...\" }", text);
}

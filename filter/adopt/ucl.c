/*
 * ucl.c - the configuration language of rspamd, as far as its modules' settings need it
 *
 * libucl is not packaged by Debian; rspamd contains a copy of it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <strings.h>

#include "filter/adopt/ucl.h"
#include "policy/base/mem.h"

#define DEPTH_MAX 20
#define NODES_MAX 20000
#define BLANK " \t\r\n"

/* A parse that goes on. */
struct ucl {
	TALLOC_CTX *ctx;
	const char *at;
	int line;
	int depth;
	size_t nodes;
	const char *error;
};

/* ucl_fail - note an error, the first one */
static bool
ucl_fail(struct ucl *ucl, const char *why)
{
	if (ucl->error == NULL)
		ucl->error = mem_printf(ucl->ctx, "%d: %s", ucl->line, why);
	return false;
}

/* ucl_step - go on by some octets, and count lines */
static void
ucl_step(struct ucl *ucl, size_t n)
{
	for (; n > 0 && *ucl->at != '\0'; n--, ucl->at++)
		ucl->line += *ucl->at == '\n';
}

/* ucl_comment - skip a comment between marks; comments nest */
static void
ucl_comment(struct ucl *ucl)
{
	size_t depth = 0;

	do {
		bool opens = strncmp(ucl->at, "/*", 2) == 0;
		bool closes = strncmp(ucl->at, "*/", 2) == 0;

		depth = opens ? depth + 1 : closes ? depth - 1 : depth;
		ucl_step(ucl, opens || closes ? 2 : 1);
	} while (depth > 0 && *ucl->at != '\0');
}

/* ucl_blanks - white space, comments and macros; also: further octets to skip */
static void
ucl_blanks(struct ucl *ucl, const char *also)
{
	for (;;) {
		if (*ucl->at != '\0' &&
		    (strchr(BLANK, *ucl->at) != NULL || strchr(also, *ucl->at) != NULL))
			ucl_step(ucl, 1);
		else if (*ucl->at == '#' || (*ucl->at == '.' && ucl->at[1] >= 'a'))
			ucl_step(ucl, strcspn(ucl->at, "\n"));
		else if (strncmp(ucl->at, "/*", 2) == 0)
			ucl_comment(ucl);
		else
			return;
	}
}

/* ucl_quoted - a text in quotation marks */
static char *
ucl_quoted(struct ucl *ucl)
{
	char *text = mem_array(ucl->ctx, char, strcspn(ucl->at + 1, "\n") + 2), *to = text;
	char mark = *ucl->at;

	for (ucl_step(ucl, 1); *ucl->at != mark; ucl_step(ucl, 1)) {
		if (*ucl->at == '\0' || *ucl->at == '\n') {
			(void)ucl_fail(ucl, "a quotation mark has no end");
			return text;
		}
		if (*ucl->at == '\\' && ucl->at[1] != '\0' && ucl->at[1] != '\n')
			ucl_step(ucl, 1);
		*to++ = *ucl->at;
	}
	ucl_step(ucl, 1);
	return text;
}

/* ucl_bare - a word or a text without quotation marks, up to one of some octets */
static char *
ucl_bare(struct ucl *ucl, const char *end)
{
	size_t len = strcspn(ucl->at, end), trimmed = len;
	char *text;

	while (trimmed > 0 && strchr(BLANK, ucl->at[trimmed - 1]) != NULL)
		trimmed--;
	text = mem_strndup(ucl->ctx, ucl->at, trimmed);
	ucl_step(ucl, len);
	return text;
}

/* ucl_document - a text between <<MARK and MARK */
static char *
ucl_document(struct ucl *ucl)
{
	char *mark, *end, *text;

	ucl_step(ucl, 2);
	mark = mem_printf(ucl->ctx, "\n%s", ucl_bare(ucl, "\n"));
	end = strstr(ucl->at, mark);
	if (end == NULL) {
		(void)ucl_fail(ucl, "a text that begins with << has no end");
		return mark;
	}
	text = mem_strndup(ucl->ctx, ucl->at, (size_t)(end - ucl->at));
	ucl_step(ucl, (size_t)(end - ucl->at) + strlen(mark));
	return text;
}

static bool ucl_members(struct ucl *ucl, struct ucl_node *parent, char close);

/* ucl_value - what is after a name */
static bool
ucl_value(struct ucl *ucl, struct ucl_node *node)
{
	char open = *ucl->at;
	bool good;

	if (open == '{' || open == '[') {
		if (++ucl->depth > DEPTH_MAX)
			return ucl_fail(ucl, "too many levels");
		ucl_step(ucl, 1);
		good = ucl_members(ucl, node, open == '{' ? '}' : ']');
		ucl->depth--;
		return good;
	}
	if (open == '"' || open == '\'')
		node->text = ucl_quoted(ucl);
	else if (strncmp(ucl->at, "<<", 2) == 0)
		node->text = ucl_document(ucl);
	else
		node->text = ucl_bare(ucl, ";,\n}]#");
	return ucl->error == NULL;
}

/* ucl_member - one member of an object; "a b { }" is a { b { } } */
static bool
ucl_member(struct ucl *ucl, struct ucl_node *node)
{
	node->name = *ucl->at == '"' ? ucl_quoted(ucl) : ucl_bare(ucl, BLANK "=:{[;}");
	if (node->name[0] == '\0' && ucl->error == NULL)
		return ucl_fail(ucl, "a name is missing");
	ucl->at += strspn(ucl->at, " \t");
	if (*ucl->at == '=' || *ucl->at == ':') {
		ucl_step(ucl, 1);
		ucl_blanks(ucl, "");
		return ucl_value(ucl, node);
	}
	ucl_blanks(ucl, "");
	if (*ucl->at == '{' || *ucl->at == '[')
		return ucl_value(ucl, node);
	/* a name after the name */
	if (*ucl->at != '\0' && *ucl->at != '}' && *ucl->at != ';' && ucl->depth < DEPTH_MAX) {
		struct ucl_node *inner = mem_new(ucl->ctx, struct ucl_node);
		bool good;

		inner->line = ucl->line;
		node->members = inner;
		ucl->depth++;
		good = ucl_member(ucl, inner);
		ucl->depth--;
		return good;
	}
	node->text = "";
	return ucl->error == NULL;
}

/* ucl_members - up to the brace that closes them, or to the end */
static bool
ucl_members(struct ucl *ucl, struct ucl_node *parent, char close)
{
	struct ucl_node **last = &parent->members;

	for (;;) {
		struct ucl_node *node;

		ucl_blanks(ucl, ";,");
		if (*ucl->at == '\0')
			return close == '\0' || ucl_fail(ucl, "a brace is not closed");
		if (*ucl->at == close) {
			ucl_step(ucl, 1);
			return true;
		}
		if (++ucl->nodes > NODES_MAX)
			return ucl_fail(ucl, "too many settings");
		node = mem_new(ucl->ctx, struct ucl_node);
		node->line = ucl->line;
		node->name = "";
		*last = node;
		last = &node->next;
		if (close == ']' ? !ucl_value(ucl, node) : !ucl_member(ucl, node))
			return false;
	}
}

struct ucl_node *
ucl_parse(TALLOC_CTX *ctx, const char *text, const char **error_r)
{
	struct ucl_node *root = mem_new(ctx, struct ucl_node);
	struct ucl ucl = { .ctx = ctx, .at = text, .line = 1 };

	ucl_blanks(&ucl, ";");
	if (*ucl.at == '{')
		ucl_step(&ucl, 1);
	root->name = "";
	if (ucl_members(&ucl, root, ucl.at > text && ucl.at[-1] == '{' ? '}' : '\0'))
		return root;
	*error_r = ucl.error;
	return NULL;
}

const struct ucl_node *
ucl_find(const struct ucl_node *node, const char *name)
{
	const struct ucl_node *found = NULL;

	for (const struct ucl_node *member = node != NULL ? node->members : NULL; member != NULL;
	     member = member->next)
		if (strcmp(member->name, name) == 0)
			found = member;
	return found;
}

const char *
ucl_text(const struct ucl_node *node, const char *name)
{
	const struct ucl_node *found = ucl_find(node, name);

	return found != NULL ? found->text : NULL;
}

bool
ucl_bool(const struct ucl_node *node, const char *name, bool standard)
{
	const char *text = ucl_text(node, name);

	return text == NULL ? standard
			    : strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0 ||
		strcasecmp(text, "on") == 0;
}

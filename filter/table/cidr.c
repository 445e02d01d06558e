/*
 * cidr.c - cidr: tables
 *
 * The format of Postfix's cidr_table(5): "network white-space value", ! in front of a network, if
 * and endif. The first rule that holds decides, so the order of the file counts. What cannot be
 * read is an error, whereas Postfix passes over the rule with a warning: which one is missing would
 * decide.
 *
 * Read-only after open; lookups need no lock.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "filter/table/lines.h"
#include "filter/table/type.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"
#include "policy/base/text.h"

#define MAX_DEPTH	64	/* if within if */

enum row_kind {
	ROW_VALUE,
	ROW_IF,
	ROW_ENDIF
};

struct row {
	enum row_kind kind;
	unsigned int line;
	bool negated;		/* ! in front */
	struct netblock block;
	const char *value;
	size_t endif;		/* ROW_IF: index of its endif */
};

struct rows {
	struct row *rows;
	size_t n;
	size_t open[MAX_DEPTH];	/* while reading: the ifs without their endif yet */
	size_t depth;
};

/* read_block - the network at text, with ! in front or not; what stands after it in *rest_r */
static bool
read_block(
    struct rows *rows, struct row *row, struct span text, struct span *rest_r, const char **why_r)
{
	size_t len = 0;

	for (; text.len > 0 && (text.at[0] == '!' || text_is_space(text.at[0]));
	     text.at++, text.len--)
		if (text.at[0] == '!')
			row->negated = !row->negated;
	while (len < text.len && !text_is_space(text.at[len]))
		len++;
	*rest_r = text_trim(text_span_of(text.at + len, text.len - len));
	return netblock_parse(rows, mem_strndup(rows, text.at, len), &row->block, why_r);
}

/* cidr_is_word - does the line begin with this word? */
static bool
cidr_is_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	return strncasecmp(text, word, len) == 0 && !text_is_alnum(text[len]) && text[len] != ':' &&
	    text[len] != '.';
}

/* cidr_add_if - if network */
static bool
cidr_add_if(struct rows *rows, struct row *row, const char *text, const char **why_r)
{
	struct span rest;

	row->kind = ROW_IF;
	if (!read_block(rows, row, text_span(text), &rest, why_r))
		return false;
	if (rest.len > 0)
		*why_r =
		    "nothing may follow the network of an if; the rules come on separate lines";
	else if (rows->depth == MAX_DEPTH)
		*why_r = "too many ifs within one another";
	else
		rows->open[rows->depth++] = rows->n;
	return *why_r == NULL;
}

/* cidr_add_endif - endif */
static bool
cidr_add_endif(struct rows *rows, struct row *row, const char *text, const char **why_r)
{
	row->kind = ROW_ENDIF;
	if (rows->depth == 0)
		*why_r = "endif without if";
	else if (text[strspn(text, " \t")] != '\0')
		*why_r = "nothing may follow endif";
	else
		rows->rows[rows->open[--rows->depth]].endif = rows->n;
	return *why_r == NULL;
}

/* add_value - network value */
static bool
add_value(struct rows *rows, struct row *row, const char *text, const char **why_r)
{
	struct span rest;

	if (!read_block(rows, row, text_span(text), &rest, why_r))
		return false;
	if (rest.len == 0) {
		*why_r = "the network has no value; write: network, white space, value";
		return false;
	}
	row->value = mem_strndup(rows, rest.at, rest.len);
	return true;
}

/* cidr_take_line - one rule */
static bool
cidr_take_line(void *arg, char *text, unsigned int line, const char **why_r)
{
	struct rows *rows = arg;
	struct row *row;
	bool good;

	if (rows->n % 64 == 0)
		rows->rows = mem_grow(rows, rows->rows, struct row, rows->n + 64);
	row = &rows->rows[rows->n];
	*row = (struct row){ .line = line };
	if (cidr_is_word(text, "endif"))
		good = cidr_add_endif(rows, row, text + 5, why_r);
	else if (cidr_is_word(text, "if"))
		good = cidr_add_if(rows, row, text + 2, why_r);
	else
		good = add_value(rows, row, text, why_r);
	rows->n++;
	return good;
}

static void *
cidr_open(TALLOC_CTX *ctx, const struct table_env *env, const char *argument, const char **error_r)
{
	struct rows *rows = mem_new(ctx, struct rows);
	bool good = table_lines_read(ctx, argument, cidr_take_line, rows, error_r);

	(void)env;
	if (good && rows->depth > 0) {
		*error_r = mem_printf(ctx, "%s:%u: if without endif",
		    argument[0] == '{' ? "inline" : argument,
		    rows->rows[rows->open[rows->depth - 1]].line);
		good = false;
	}
	if (good)
		return rows;
	talloc_free(rows);
	return NULL;
}

/* cidr_holds - does a rule's network say yes? One of the other address family never does, with ! or
 * without. */
static bool
cidr_holds(const struct row *row, const struct ip_address *address)
{
	return row->block.network.bits == address->bits &&
	    netblock_contains(&row->block, 1, address) != row->negated;
}

static void
cidr_get(void *state, TALLOC_CTX *ctx, const char *key, int64_t deadline_ms,
    struct table_answer *answer_r)
{
	const struct rows *rows = state;
	struct ip_address address;

	(void)ctx, (void)deadline_ms;
	answer_r->outcome = TABLE_NOT_FOUND;
	if (!ip_address_parse(key, &address))
		return;
	for (size_t i = 0; i < rows->n; i++) {
		const struct row *row = &rows->rows[i];

		if (row->kind == ROW_ENDIF)
			continue;
		if (!cidr_holds(row, &address)) {
			if (row->kind == ROW_IF)
				i = row->endif;
			continue;
		}
		if (row->kind == ROW_IF)
			continue;
		answer_r->outcome = TABLE_FOUND;
		answer_r->value = row->value;
		return;
	}
}

const struct table_type table_cidr = {
	"cidr", TABLE_FILE | TABLE_PATTERN, cidr_open, cidr_get, NULL, NULL
};

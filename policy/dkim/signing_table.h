/*
 * signing_table.h - OpenDKIM's SigningTable and KeyTable, as they stand
 *
 * The SigningTable says which keys sign mail of an address, the KeyTable what
 * a key's name stands for: a domain (d=), a selector (s=), and the key itself or its file.
 * Both are read as opendkim.conf(5) and opendkim(8) describe them for "file:" and
 * "refile:" data sets.
 *
 * Memory: a table points into the text it was read from, which the caller keeps as long;
 * reading writes NUL octets into it. What else is needed lies below the given context.
 *
 * Threads: a table does not change once it is read; any thread may look things up.
 */
#ifndef POLICY_DKIM_SIGNING_TABLE_H
#define POLICY_DKIM_SIGNING_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#define SIGNING_MATCHES_MAX	8	/* signatures of one message */

/* How the keys of a data set's lines are compared. */
enum dataset_kind {
	DATASET_FILE,		/* as they are */
	DATASET_REFILE		/* patterns in which * stands for any text */
};

/*
 * dataset_read_spec - take a data set's name apart: "file:/x", "refile:/x" or "/x"
 * Returns 0 with the path, which points into spec, or -1 and *error_r on ctx: a kind that is not
 * read here.
 */
int dataset_read_spec(TALLOC_CTX *ctx, const char *spec, enum dataset_kind *kind_r,
    const char **path_r, const char **error_r);

/* What is reported of a file while it is read: one line each, "file:line: what; cure". */
struct table_report {
	TALLOC_CTX *ctx;	/* owns the texts */
	char *errors;		/* lines that mean nothing; or NULL */
	char *missing;		/* keys that cannot be used, or are not there; or NULL */
	char *warnings;		/* lines that are used, though perhaps not as meant; or NULL */
	size_t n_errors;	/* also those beyond TABLE_REPORT_LINES */
	size_t n_missing;
	size_t n_warnings;
};

#define TABLE_REPORT_LINES	20	/* of each kind are kept */

/* One line of the KeyTable. */
struct key_row {
	const char *name;
	const char *domain;	/* d= in normal form, or "%": that of the From field */
	const char *selector;	/* s=, or "%": the same */
	const char *key;	/* a file, in which % stands for that domain, or the key itself */
	unsigned int line;
	unsigned int next;	/* index + 1 of the next row with the same hash key; 0: none */
};

struct key_table {
	struct key_row *rows;
	size_t n;
	struct table_index *index;
};

/*
 * key_table_read - read a KeyTable
 * text: len octets and a NUL, which become the table's. file: its name, for messages.
 * Never returns NULL; rows with mistakes are reported as missing keys and left out.
 */
struct key_table *key_table_read(TALLOC_CTX *ctx, enum dataset_kind kind, const char *file,
    char *text, size_t len, struct table_report *report);

/* key_table_find - the row of a name, letters folded, or NULL. The first one of several. */
const struct key_row *key_table_find(const struct key_table *table, const char *name);

/* key_row_is_file - is the third value a path, rather than the key itself? */
bool key_row_is_file(const struct key_row *row);

/* key_row_is_fixed - is it the same for every sender: no % in domain, selector or path? */
bool key_row_is_fixed(const struct key_row *row);

/* table_substitute - text with every % replaced by the domain */
char *table_substitute(TALLOC_CTX *ctx, const char *text, const char *domain);

struct signing_table;

/*
 * signing_table_read - read a SigningTable; as key_table_read()
 * keys: what its names stand for. A name that is not there is reported as a missing key, and the
 * row is kept.
 */
struct signing_table *signing_table_read(TALLOC_CTX *ctx, enum dataset_kind kind, const char *file,
    char *text, size_t len, const struct key_table *keys, struct table_report *report);

/* How many lines it has. */
size_t signing_table_rows(const struct signing_table *table);

/* signing_table_has_domain - is there a line for this very domain (normal form)? Lines for single
 * addresses may be missed. */
bool signing_table_has_domain(const struct signing_table *table, const char *domain);

/* A line that holds for an address. */
struct signing_match {
	const char *key;	/* name in the KeyTable, % replaced */
	const char *identity;	/* i=, % replaced, or NULL */
	unsigned int line;
};

/*
 * signing_table_find - which keys sign mail of an address
 *
 * address: normal form, local@domain. In a DATASET_FILE the lookups are, in this order: the
 * address, the domain, local@.parent for each parent domain, .parent for each, local@*, *.
 * In a DATASET_REFILE every pattern is tried, in the order of the file. multiple: all
 * that match (MultipleSignatures), else the first. Results are on ctx; *n_r is at most
 * SIGNING_MATCHES_MAX, *more_r is whether there were more.
 */
void signing_table_find(TALLOC_CTX *ctx, const struct signing_table *table, const char *address,
    bool multiple, struct signing_match *matches_r, size_t *n_r, bool *more_r);

#endif

/*
 * test_spf_suite.c - the RFC 7208 test suite of openspf, case by case
 *
 * The suite is YAML: several documents, each with tests and the zone data they
 * run on. Each of its tests becomes one test here, and is run twice: with and
 * without questions asked ahead. An expected explanation "DEFAULT" means that
 * the domain gives none.
 *
 * The file comes from COUNTERSIGN_SPF_SUITE, or lies beside the source tree.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <yaml.h>

#include "tests/support/spf_zone.h"

/* What the suite holds; a file with less is not the suite. */
#define SUITE_TESTS		203
#define SUITE_EXPLANATIONS	22

/* Results that a test may allow. */
#define RESULTS_MAX	4

/* One test of the suite. */
struct row {
	char *name;
	char *helo;
	char *host;
	char *mailfrom;
	char *results[RESULTS_MAX]; /* NULL behind the last one */
	char *explanation;	/* NULL: none is expected, nor forbidden */
	struct zone *zone;
};

struct suite {
	struct row *rows;
	unsigned int n;
	unsigned int explanations;
};

/* A scalar of the file: octets and their number. */
struct scalar {
	char *data;
	size_t len;
};

/* latin1 - a scalar whose code points up to U+00FF stand for octets
 * YAML writes the octet 0x80 as "\x80", and libyaml hands that over as UTF-8. */
static struct scalar
latin1(TALLOC_CTX *ctx, const yaml_node_t *node)
{
	const unsigned char *from = node->data.scalar.value;
	size_t i, len = node->data.scalar.length;
	struct scalar out = { mem_array(ctx, char, (unsigned int)len + 1), 0 };

	for (i = 0; i < len; i++) {
		if ((from[i] & 0xfc) == 0xc0 && i + 1 < len) {
			out.data[out.len++] = (char)((from[i] & 3) << 6 | (from[i + 1] & 0x3f));
			i++;
		} else {
			out.data[out.len++] = (char)from[i];
		}
	}
	out.data[out.len] = '\0';
	return out;
}

/* child - the value of a key in a mapping, or NULL */
static yaml_node_t *
child(yaml_document_t *document, const yaml_node_t *map, const char *key)
{
	const yaml_node_pair_t *pair;
	yaml_node_t *node;

	for (pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
		node = yaml_document_get_node(document, pair->key);
		if (strcmp((const char *)node->data.scalar.value, key) == 0)
			return yaml_document_get_node(document, pair->value);
	}
	return NULL;
}

/* child_text - the same as a string, or NULL */
static char *
child_text(TALLOC_CTX *ctx, yaml_document_t *document, const yaml_node_t *map, const char *key)
{
	yaml_node_t *node = child(document, map, key);

	return node == NULL ? NULL : latin1(ctx, node).data;
}

/* joined - the octets of a scalar, or of all scalars of a list */
static struct scalar
joined(TALLOC_CTX *ctx, yaml_document_t *document, const yaml_node_t *node)
{
	struct scalar all = { mem_strdup(ctx, ""), 0 }, part;
	const yaml_node_item_t *item;

	if (node->type == YAML_SCALAR_NODE)
		return latin1(ctx, node);
	for (item = node->data.sequence.items.start; item < node->data.sequence.items.top;
	    item++) {
		part = latin1(ctx, yaml_document_get_node(document, *item));
		all.data = mem_grow(ctx, all.data, char, (unsigned int)(all.len + part.len) + 1);
		memcpy(all.data + all.len, part.data, part.len + 1);
		all.len += part.len;
	}
	return all;
}

/* load_mx - an MX record: a list of preference and host */
static void
load_mx(struct zone *zone, yaml_document_t *document, const char *name,
    const yaml_node_t *value)
{
	const yaml_node_item_t *items = value->data.sequence.items.start;
	struct scalar preference = latin1(zone, yaml_document_get_node(document, items[0]));
	struct scalar host = latin1(zone, yaml_document_get_node(document, items[1]));

	zone_put(zone, name, DNS_MX, host.data, host.len,
	    (unsigned int)strtoul(preference.data, NULL, 10));
}

/* load_record - one record of a name; SPF records count as TXT if there are no TXT */
static void
load_record(struct zone *zone, yaml_document_t *document, const char *name,
    const yaml_node_pair_t *pair, bool has_txt)
{
	const yaml_node_t *value = yaml_document_get_node(document, pair->value);
	char *type = latin1(zone, yaml_document_get_node(document, pair->key)).data;
	struct scalar data;

	if (strcmp(type, "MX") == 0) {
		load_mx(zone, document, name, value);
		return;
	}
	data = joined(zone, document, value);
	if (strcmp(type, "A") == 0)
		zone_add(zone, name, DNS_A, data.data);
	else if (strcmp(type, "AAAA") == 0)
		zone_add(zone, name, DNS_AAAA, data.data);
	else if (strcmp(type, "PTR") == 0)
		zone_add(zone, name, DNS_PTR, data.data);
	else if (strcmp(type, "CNAME") == 0)
		zone_add(zone, name, ZONE_CNAME, data.data);
	else if (strcmp(type, "TXT") == 0 && strcmp(data.data, "NONE") != 0)
		zone_put(zone, name, DNS_TXT, data.data, data.len, 0);
	else if (strcmp(type, "SPF") == 0 && !has_txt)
		zone_put(zone, name, DNS_TXT, data.data, data.len, 0);
}

/* load_name - all records of a name */
static void
load_name(struct zone *zone, yaml_document_t *document, const char *name,
    const yaml_node_t *records)
{
	const yaml_node_item_t *item;
	const yaml_node_t *record;
	bool has_txt = false;

	for (item = records->data.sequence.items.start; item < records->data.sequence.items.top;
	    item++) {
		record = yaml_document_get_node(document, *item);
		if (record->type == YAML_MAPPING_NODE && child(document, record, "TXT") != NULL)
			has_txt = true;
	}
	for (item = records->data.sequence.items.start; item < records->data.sequence.items.top;
	    item++) {
		record = yaml_document_get_node(document, *item);
		if (record->type == YAML_SCALAR_NODE)
			zone_add(zone, name, ZONE_SILENT, "");
		else
			load_record(
			    zone, document, name, record->data.mapping.pairs.start, has_txt);
	}
}

/* load_zone - the zone data of a document */
static struct zone *
load_zone(TALLOC_CTX *ctx, yaml_document_t *document, const yaml_node_t *data)
{
	struct zone *zone = mem_new(ctx, struct zone);
	const yaml_node_pair_t *pair;

	for (pair = data->data.mapping.pairs.start; pair < data->data.mapping.pairs.top; pair++)
		load_name(zone, document,
		    latin1(zone, yaml_document_get_node(document, pair->key)).data,
		    yaml_document_get_node(document, pair->value));
	return zone;
}

/* load_results - the result or results that a test allows */
static void
load_results(struct row *row, TALLOC_CTX *ctx, yaml_document_t *document,
    const yaml_node_t *node)
{
	const yaml_node_item_t *item;
	size_t n = 0;

	if (node->type == YAML_SCALAR_NODE) {
		row->results[0] = latin1(ctx, node).data;
		return;
	}
	for (item = node->data.sequence.items.start;
	    item < node->data.sequence.items.top && n < RESULTS_MAX - 1; item++)
		row->results[n++] = latin1(ctx, yaml_document_get_node(document, *item)).data;
}

/* load_row - one test */
static void
load_row(struct suite *suite, yaml_document_t *document, const yaml_node_pair_t *pair,
    struct zone *zone)
{
	const yaml_node_t *test = yaml_document_get_node(document, pair->value);
	struct row *row;

	suite->rows = mem_grow(suite, suite->rows, struct row, suite->n + 1);
	row = &suite->rows[suite->n++];
	memset(row, 0, sizeof(*row));
	row->name = latin1(suite, yaml_document_get_node(document, pair->key)).data;
	row->helo = child_text(suite, document, test, "helo");
	row->host = child_text(suite, document, test, "host");
	row->mailfrom = child_text(suite, document, test, "mailfrom");
	row->explanation = child_text(suite, document, test, "explanation");
	if (row->explanation != NULL)
		suite->explanations++;
	load_results(row, suite, document, child(document, test, "result"));
	row->zone = zone;
}

/* load_document - one document; false at the end of the file */
static bool
load_document(struct suite *suite, yaml_parser_t *parser)
{
	const yaml_node_pair_t *pair;
	const yaml_node_t *root, *tests;
	yaml_document_t document;
	struct zone *zone;

	if (!yaml_parser_load(parser, &document)) {
		fprintf(stderr, "the suite is no YAML: %s\n", parser->problem);
		exit(1);
	}
	root = yaml_document_get_root_node(&document);
	if (root == NULL) {
		yaml_document_delete(&document);
		return false;
	}
	zone = load_zone(suite, &document, child(&document, root, "zonedata"));
	tests = child(&document, root, "tests");
	for (pair = tests->data.mapping.pairs.start; pair < tests->data.mapping.pairs.top; pair++)
		load_row(suite, &document, pair, zone);
	yaml_document_delete(&document);
	return true;
}

/* result_word - a result as the suite writes it */
static const char *
result_word(enum spf_result result)
{
	static const char *const words[] = {
		[SPF_NOT_CHECKED] = "not checked", [SPF_IS_NONE] = "none",
		[SPF_IS_NEUTRAL] = "neutral", [SPF_IS_PASS] = "pass", [SPF_IS_FAIL] = "fail",
		[SPF_IS_SOFTFAIL] = "softfail", [SPF_IS_TEMPERROR] = "temperror",
		[SPF_IS_PERMERROR] = "permerror",
	};

	return words[result];
}

/* run_row - run one test; ahead: with questions asked ahead */
static void
run_row(const struct row *row, bool ahead)
{
	struct spf_client client = { .address = row->host, .helo = row->helo };
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct spf_service service;
	struct spf_fact fact;
	bool allowed = false;
	size_t i;

	zone_service(row->zone, &service);
	service.dns.prefetch = ahead ? zone_ahead : NULL;
	spf_check_mailfrom(ctx, &service, &client, row->mailfrom, zone_deadline(), &fact);
	for (i = 0; row->results[i] != NULL; i++)
		if (strcmp(row->results[i], result_word(fact.result)) == 0)
			allowed = true;
	if (!allowed)
		fail_msg("%s: got %s (%s), expected %s", row->name, result_word(fact.result),
		    fact.problem != NULL ? fact.problem : "-", row->results[0]);
	if (row->explanation != NULL) {
		if (strcmp(row->explanation, "DEFAULT") == 0)
			assert_null(fact.explanation);
		else if (fact.explanation == NULL)
			fail_msg("%s: no explanation", row->name);
		else
			assert_string_equal(fact.explanation, row->explanation);
	}
	assert_int_equal(fact.problem != NULL, fact.result == SPF_IS_TEMPERROR ||
	    fact.result == SPF_IS_PERMERROR);
	talloc_free(ctx);
}

static void
test_row(void **state)
{
	run_row(*state, false);
	run_row(*state, true);
}

static void
test_suite_is_whole(void **state)
{
	const struct suite *suite = *state;

	assert_int_equal(suite->n, SUITE_TESTS);
	assert_int_equal(suite->explanations, SUITE_EXPLANATIONS);
}

/* open_suite - the file of the suite, or NULL */
static FILE *
open_suite(void)
{
	const char *path = getenv("COUNTERSIGN_SPF_SUITE");
	const char *top = getenv("top_srcdir");
	char *beside;
	FILE *file;

	if (path != NULL)
		return fopen(path, "r");
	if (top == NULL)
		top = getenv("srcdir");
	beside = mem_printf(NULL, "%s/../shared/spf/rfc7208-tests.yml", top != NULL ? top : ".");
	file = fopen(beside, "r");
	talloc_free(beside);
	return file;
}

int
main(void)
{
	struct suite *suite = mem_new(NULL, struct suite);
	struct CMUnitTest *tests;
	yaml_parser_t parser;
	FILE *file = open_suite();
	unsigned int i;
	int failed;

	if (file == NULL) {
		printf(
		    "1..0 # SKIP no RFC 7208 test suite: set COUNTERSIGN_SPF_SUITE to its file\n");
		talloc_free(suite);
		return 0;
	}
	yaml_parser_initialize(&parser);
	yaml_parser_set_input_file(&parser, file);
	while (load_document(suite, &parser))
		;
	yaml_parser_delete(&parser);
	fclose(file);

	tests = mem_array(suite, struct CMUnitTest, suite->n + 1);
	tests[0].name = "the suite is whole";
	tests[0].test_func = test_suite_is_whole;
	tests[0].initial_state = suite;
	for (i = 0; i < suite->n; i++) {
		tests[i + 1].name = suite->rows[i].name;
		tests[i + 1].test_func = test_row;
		tests[i + 1].initial_state = &suite->rows[i];
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	failed = _cmocka_run_group_tests("spf suite", tests, suite->n + 1, NULL, NULL);
	talloc_free(suite);
	return failed;
}

/*
 * plan_text.c - what a message is charged, as a line of text that outlives the process
 *
 * Words with one space between them, names as quota_encode() writes them. The first word is the
 * version of the line. It is read from a file that only the daemon writes, yet each number is held
 * to its bounds: a damaged one must end in an error, not in another count.
 *
 * Thread rule: no state.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "filter/store/plan_text.h"
#include "policy/base/mem.h"
#include "policy/quota/window.h"

#define LINE_VERSION		"2"
#define LINE_BEFORE		"1"	/* one mark for all counters, and no levels */
#define NONE		"!"	/* no name: quota_encode() gives no such word */
#define SUBJECTS_MAX	16
#define COUNTERS_MAX	1024
#define MARKS_MAX	100000
#define FIELD_MAX	15

/* --- writing --- */

/* plan_text_add - one more word */
static void
plan_text_add(char **text, const char *word)
{
	*text = mem_check(talloc_asprintf_append_buffer(*text, " %s", word));
}

/* plan_text_add_number - the same with a number */
static void
plan_text_add_number(char **text, uint64_t number)
{
	*text = mem_check(talloc_asprintf_append_buffer(*text, " %" PRIu64, number));
}

/* plan_text_add_name - the same with a text of any octets; NULL: none */
static void
plan_text_add_name(char **text, const char *name)
{
	char *encoded = name != NULL ? quota_encode(NULL, name) : mem_strdup(NULL, NONE);

	plan_text_add(text, encoded);
	talloc_free(encoded);
}

/* plan_text_add_counter - all that a charge needs of a counter */
static void
plan_text_add_counter(char **text, const struct quota_counter *counter)
{
	plan_text_add_number(text, counter->subject);
	plan_text_add(text, counter->field);
	plan_text_add_number(text, counter->unit);
	plan_text_add_number(text, (uint64_t)counter->window_ms);
	plan_text_add_number(text, (uint64_t)counter->width_ms);
	plan_text_add_number(text, counter->max);
	plan_text_add_number(text, counter->cost);
	plan_text_add_number(text, counter->one);
	plan_text_add_number(text, counter->binding);
	plan_text_add_number(text, counter->mark);
}

/* plan_text_write - all that the store needs of a plan */
char *
plan_text_write(TALLOC_CTX *ctx, const struct quota_plan *plan)
{
	char *text = mem_strdup(ctx, LINE_VERSION);

	plan_text_add_name(&text, plan->account);
	plan_text_add_name(&text, plan->home);
	plan_text_add_name(&text, plan->hand_key);
	for (size_t i = 0; i < QUOTA_ID_LEN; i++)
		plan_text_add_number(&text, plan->id[i]);
	plan_text_add_number(&text, plan->recipients);
	plan_text_add_number(&text, plan->n_subjects);
	for (size_t i = 0; i < plan->n_subjects; i++) {
		plan_text_add_number(&text, plan->subjects[i].kind);
		plan_text_add_name(&text, plan->subjects[i].key);
		plan_text_add_name(&text, plan->subjects[i].known_key);
	}
	plan_text_add_number(&text, plan->n_counters);
	for (size_t i = 0; i < plan->n_counters; i++)
		plan_text_add_counter(&text, &plan->counters[i]);
	plan_text_add_number(&text, plan->n_marks);
	for (size_t i = 0; i < plan->n_marks; i++)
		plan_text_add_number(&text, plan->marks[i]);
	return text;
}

/* --- reading --- */

/* Where reading is. */
struct reading {
	TALLOC_CTX *ctx;	/* of what is read */
	char *rest;		/* after the word that was read last */
	bool bad;		/* something was not as we wrote it; sticks */
};

/* plan_text_word - the next word; "" with bad set when there is none */
static const char *
plan_text_word(struct reading *r)
{
	char *word = strsep(&r->rest, " ");

	r->bad = r->bad || word == NULL || word[0] == '\0';
	return word != NULL ? word : "";
}

/* plan_text_number - the next word as a number up to max */
static uint64_t
plan_text_number(struct reading *r, uint64_t max)
{
	const char *word = plan_text_word(r);
	char *end = NULL;
	unsigned long long number = strtoull(word, &end, 10);

	if (word[0] < '0' || word[0] > '9' || *end != '\0' || strlen(word) > 20 || number > max)
		r->bad = true;
	return r->bad ? 0 : number;
}

/* plan_text_name - the next word as a name; NULL: none */
static const char *
plan_text_name(struct reading *r)
{
	const char *word = plan_text_word(r), *name;

	if (strcmp(word, NONE) == 0)
		return NULL;
	name = quota_decode(r->ctx, word);
	r->bad = r->bad || name == NULL;
	return name;
}

/* need_name - a name that has to be there */
static const char *
need_name(struct reading *r)
{
	const char *name = plan_text_name(r);

	r->bad = r->bad || name == NULL;
	return name != NULL ? name : "";
}

/* read_subject - a subject */
static void
read_subject(struct reading *r, struct quota_subject *subject)
{
	static const enum quota_subject_kind kinds[] = { QUOTA_ACCOUNT, QUOTA_DOMAIN, QUOTA_POOL,
		QUOTA_NETWORK, QUOTA_SIGNS };
	uint64_t kind = plan_text_number(r, UINT8_MAX);
	bool known = false;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		known = known || kind == kinds[i];
	r->bad = r->bad || !known;
	subject->kind = known ? (enum quota_subject_kind)kind : QUOTA_ACCOUNT;
	subject->key = need_name(r);
	subject->name = subject->key;
	subject->known_key = plan_text_name(r);
}

/* read_counter - a counter of one of n_subjects; before: the one mark of an older line */
static void
read_counter(struct reading *r, struct quota_counter *counter, size_t n_subjects,
    const struct quota_thing *before)
{
	counter->subject = (size_t)plan_text_number(r, n_subjects - 1);
	counter->field = mem_strdup(r->ctx, plan_text_word(r));
	r->bad = r->bad || strlen(counter->field) > FIELD_MAX;
	counter->unit = (enum limit_unit)plan_text_number(r, LIMIT_LAST);
	counter->window_ms = (int64_t)plan_text_number(r, LIMIT_MAX_WINDOW_MS);
	counter->width_ms = (int64_t)plan_text_number(r, LIMIT_MAX_WINDOW_MS);
	r->bad = r->bad || counter->width_ms == 0;
	counter->max = plan_text_number(r, LIMIT_MAX_COUNT);
	counter->cost = plan_text_number(r, LIMIT_MAX_COUNT);
	counter->one = plan_text_number(r, LIMIT_MAX_COUNT);
	counter->binding = plan_text_number(r, 1) == 1;
	counter->level = limit_is_level(counter->unit);
	counter->mark = before != NULL ? before->mark : plan_text_number(r, UINT64_MAX);
	if (before != NULL && limit_is_distinct(counter->unit) && !before->known)
		counter->cost = 0;
}

/* read_marks - the marks of recipients */
static void
read_marks(struct reading *r, struct quota_plan *plan)
{
	uint64_t *marks;

	plan->n_marks = (size_t)plan_text_number(r, MARKS_MAX);
	marks = mem_array(r->ctx, uint64_t, plan->n_marks + 1);
	for (size_t i = 0; i < plan->n_marks && !r->bad; i++)
		marks[i] = plan_text_number(r, UINT64_MAX);
	plan->marks = marks;
}

/* read_plan - the whole line after its version */
static void
read_plan(struct reading *r, struct quota_plan *plan, bool before)
{
	struct quota_thing thing = { 0 };

	plan->account = need_name(r);
	plan->home = need_name(r);
	plan->hand_key = need_name(r);
	for (size_t i = 0; i < QUOTA_ID_LEN; i++)
		plan->id[i] = (uint8_t)plan_text_number(r, UINT8_MAX);
	plan->recipients = plan_text_number(r, UINT64_MAX);
	if (before) {
		thing.known = plan_text_number(r, 1) == 1;
		thing.mark = plan_text_number(r, UINT64_MAX);
	}
	plan->n_subjects = (size_t)plan_text_number(r, SUBJECTS_MAX);
	r->bad = r->bad || plan->n_subjects == 0;
	plan->subjects = mem_array(plan, struct quota_subject, plan->n_subjects + 1);
	for (size_t i = 0; i < plan->n_subjects && !r->bad; i++)
		read_subject(r, &plan->subjects[i]);
	plan->n_counters = (size_t)plan_text_number(r, COUNTERS_MAX);
	plan->counters = mem_array(plan, struct quota_counter, plan->n_counters + 1);
	for (size_t i = 0; i < plan->n_counters && !r->bad; i++)
		read_counter(r, &plan->counters[i], plan->n_subjects, before ? &thing : NULL);
	read_marks(r, plan);
	r->bad = r->bad || r->rest != NULL;
}

/* plan_text_read - the plan that text was made of */
struct quota_plan *
plan_text_read(TALLOC_CTX *ctx, const char *text)
{
	struct quota_plan *plan = mem_new(ctx, struct quota_plan);
	char *copy = mem_strdup(NULL, text);
	struct reading r = { .ctx = plan, .rest = copy };
	const char *version;
	bool before;

	version = plan_text_word(&r);
	before = strcmp(version, LINE_BEFORE) == 0;
	r.bad = !before && strcmp(version, LINE_VERSION) != 0;
	if (!r.bad)
		read_plan(&r, plan, before);
	talloc_free(copy);
	if (!r.bad)
		return plan;
	talloc_free(plan);
	return NULL;
}

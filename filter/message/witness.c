/*
 * witness.c - what a message that is only tried leaves behind of how it was decided
 *
 * Thread rule: that of the session.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/message/witness.h"
#include "policy/base/mem.h"

/* witness_free - talloc destructor */
static int
witness_free(struct witness *witness)
{
	json_decref(witness->steps);
	json_decref(witness->spf);
	return 0;
}

struct witness *
witness_new(TALLOC_CTX *ctx)
{
	struct witness *witness = mem_new(ctx, struct witness);

	witness->memory = witness;
	witness->steps = mem_check(json_array());
	witness->spf = mem_check(json_array());
	talloc_set_destructor(witness, witness_free);
	return witness;
}

json_t *
witness_text(const char *text)
{
	json_t *value;
	char *copy;

	if (text == NULL)
		return json_null();
	value = json_string(text);
	if (value != NULL)
		return value;
	copy = mem_strdup(NULL, text);
	for (char *c = copy; *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	value = json_string(copy);
	talloc_free(copy);
	return value;
}

const char *
witness_place(enum claim_place place)
{
	static const char *const words[] = {
		[CLAIM_ENVELOPE] = "MAIL FROM", [CLAIM_FROM] = "From", [CLAIM_SENDER] = "Sender",
		[CLAIM_RESENT_FROM] = "Resent-From", [CLAIM_RESENT_SENDER] = "Resent-Sender",
		[CLAIM_DISPLAY] = "display name", [CLAIM_DISGUISE] = "disguise in a display name",
	};

	return words[place];
}

/* witness_add - one more step, with its topic */
static void
witness_add(struct witness *witness, json_t *step)
{
	if (json_array_size(witness->steps) >= WITNESS_STEPS_MAX) {
		json_decref(step);
		return;
	}
	(void)json_object_set_new(step, "of", witness_text(witness->of));
	(void)json_object_set_new(step, "about", witness_text(witness->about));
	(void)json_array_append_new(witness->steps, step);
}

void
witness_topic(struct witness *witness, const char *of, const char *about)
{
	if (witness == NULL)
		return;
	witness->of = of;
	witness->about = about;
}

void
witness_lookup(struct witness *witness, const char *table, const char *key,
    enum table_outcome outcome, const char *text)
{
	static const char *const words[] = {
		[TABLE_FOUND] = "found",
		[TABLE_NOT_FOUND] = "not found",
		[TABLE_TEMPERROR] = "failed",
	};

	if (witness == NULL)
		return;
	witness_add(witness, json_pack("{s:o, s:o, s:s, s:o}", "table", witness_text(table), "key",
	    witness_text(key), "answer", words[outcome], "value", witness_text(text)));
}

void
witness_found(struct witness *witness, const char *what, bool found)
{
	if (witness != NULL)
		witness_add(witness, json_pack("{s:s, s:b}", "what", what, "found", (int)found));
}

void
witness_spf(void *state, const char *line)
{
	struct witness *witness = state;

	if (json_array_size(witness->spf) < WITNESS_STEPS_MAX)
		(void)json_array_append_new(witness->spf, witness_text(line));
}

void
witness_charge(struct witness *witness, const struct quota_plan *plan,
    const struct quota_reply *reply)
{
	if (witness == NULL)
		return;
	witness->plan = plan;
	witness->reply = *reply;
}

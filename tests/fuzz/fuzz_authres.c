/*
 * fuzz_authres.c - any octets as an Authentication-Results field, and as what ours is made of
 *
 * Besides memory errors this looks for broken promises: a field that is written with
 * our id and not seen as ours, with a comment, a fold or a version put in or
 * letters changed; an unreadable one that holds our id and is kept; a field of ours
 * that strangers' text breaks out of.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/verdict/authres.h"

#define OURS	"mx.example.org"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* require - end here if a promise is broken */
static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* is_ours - is this text ours? */
static bool
is_ours(const char *text)
{
	return authres_is_ours(text, strlen(text), OURS);
}

/* check_reader - the octets as a field */
static void
check_reader(TALLOC_CTX *ctx, const char *text, size_t len)
{
	const char *id = authres_read_id(ctx, text, len);
	char *lower = text_lower_copy(ctx, text, len);
	bool ours = authres_is_ours(text, len, OURS);

	if (id == NULL)
		require(ours || memmem(lower, len, OURS, strlen(OURS)) == NULL);
	else
		require(ours || strcasecmp(id, OURS) != 0);
}

/* check_forged - whatever follows our id, the field is ours */
static void
check_forged(TALLOC_CTX *ctx, const char *text)
{
	require(is_ours(mem_printf(ctx, " " OURS "; %s", text)));
	require(is_ours(mem_printf(ctx, "\n\t(x(\\)))\"MX\\.Example.ORG\" (;)\n 1 ;%s", text)));
	require(is_ours(mem_printf(ctx, "((%s" OURS, text)) ||
	    authres_read_id(ctx, mem_printf(ctx, "((%s" OURS, text), strlen(text) + 16) != NULL);
}

/* check_writer - strangers' text in every place of our field */
static void
check_writer(TALLOC_CTX *ctx, const char *text)
{
	struct dkim_fact dkim[] = {
		{ .result = DKIM_IS_FAIL,
		    .sdid = text,
		    .selector = text,
		    .auid = text,
		    .algorithm = text,
		    .b_prefix = text,
		    .problem = text },
		{ .result = DKIM_IS_PASS, .sdid = text, .auid = text },
	};
	struct facts facts = { .sender = text,
		.login = text,
		.helo = text,
		.dkim = dkim,
		.n_dkim = 2,
		.dkim_checked = true,
		.spf_helo = { .result = SPF_IS_FAIL, .domain = text, .problem = text },
		.spf_mailfrom = { .result = SPF_IS_PASS, .domain = text, .sender = text } };
	struct authres_options options = { .authserv_id = OURS, .show_login = true };
	char *value = authres_write(ctx, &options, &facts);
	const char *id = authres_read_id(ctx, value, strlen(value));
	size_t results = 0;
	bool quoted = false;

	require(id != NULL && strcmp(id, OURS) == 0);
	require(strlen(value) < AUTHRES_MAX + 2000);
	for (const char *p = value; *p != '\0'; p++) {
		require((*p >= ' ' && *p <= '~') || *p == '\n' || *p == '\t');
		require(*p != '\n' || p[1] == '\t');
		if (*p == '\\' && quoted)
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (*p == ';' && !quoted)
			results++;
	}
	require(!quoted);
	require(results <= 5);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	char *text = mem_strndup(ctx, (const char *)data, size);

	check_reader(ctx, (const char *)data, size);
	check_forged(ctx, text);
	check_writer(ctx, text);
	talloc_free(ctx);
	return 0;
}

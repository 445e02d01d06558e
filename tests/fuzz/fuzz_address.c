/*
 * fuzz_address.c - any octets as SMTP path and as From value
 *
 * Besides memory errors this looks for broken promises: a normal form that is not
 * its own normal form, control characters in one, too many mailboxes, errors
 * without text. The first octet of the input chooses the rules.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/base/address_list.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"
#include "policy/sender/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* require - end here if a promise is broken */
static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* check_address - what holds for every address in normal form */
static void
check_address(TALLOC_CTX *ctx, const struct address *address, bool fold)
{
	struct address_rules rules = { .fold_local = fold };
	struct address again;
	struct identity_key keys[IDENTITY_KEYS_MAX];
	const char *inner[ADDRESS_INNER_MAX];
	char *base;

	require(!text_has_strange(address->full, strlen(address->full)));
	require(strchr(address->full, '\n') == NULL);
	require(address->domain >= address->full &&
	    address->domain <= address->full + strlen(address->full));
	require(text_is_ascii(address->domain, strlen(address->domain)));
	require(strlen(address->domain) <= DOMAIN_MAX);
	address_split(ctx, address->full, &again);
	require(strcmp(again.local, address->local) == 0);
	require(strcmp(again.domain, address->domain) == 0);
	require(address_parse_path(ctx, address->full, strlen(address->full), &rules,
	    &again, NULL) == ADDRESS_PATH_MAILBOX);
	require(strcmp(again.full, address->full) == 0);
	base = address_base(ctx, address->full, "+");
	require(base == NULL || strcmp(base, address->full) != 0);
	require(identity_owner_keys(ctx, address->full, "+-", "example.org", keys) > 0);
	require(identity_owns_itself(address->full, address->full, "+"));
	for (size_t i = address_inner(ctx, address->full, inner); i > 0; i--)
		require(strlen(inner[i - 1]) <= 2 * strlen(address->full) + DOMAIN_MAX);
}

/* check_path - the octets as the argument of MAIL FROM */
static void
check_path(TALLOC_CTX *ctx, const char *text, size_t len,
    const struct address_rules *rules)
{
	struct address address;
	const char *error = NULL;

	switch (address_parse_path(ctx, text, len, rules, &address, &error)) {
	case ADDRESS_PATH_MAILBOX:
		check_address(ctx, &address, rules->fold_local);
		break;
	case ADDRESS_PATH_NULL:
		require(address.full[0] == '\0');
		break;
	case ADDRESS_PATH_MALFORMED:
		require(error != NULL);
		break;
	}
}

/* check_list - the octets as the value of From */
static void
check_list(TALLOC_CTX *ctx, const char *text, size_t len,
    const struct address_rules *rules)
{
	struct mailbox *mailboxes;
	const char *error = NULL;
	size_t n;

	if (address_parse_list(ctx, text, len, rules, &mailboxes, &n, &error) < 0) {
		require(error != NULL && n == 0 && mailboxes == NULL);
		return;
	}
	require(n <= ADDRESS_MAILBOXES_MAX);
	for (size_t i = 0; i < n; i++) {
		const struct mailbox *mailbox = &mailboxes[i];

		check_address(ctx, &mailbox->address, rules->fold_local);
		require(mailbox->address.domain[0] != '\0');
		require(strlen(mailbox->display) <= ADDRESS_DISPLAY_MAX);
		require(strlen(mailbox->display_raw) <= ADDRESS_DISPLAY_MAX);
		require((mailbox->n_shown > 0) ==
		    (mailbox->finding == ADDRESS_DISPLAY_ADDRESS ||
		    mailbox->finding == ADDRESS_DISPLAY_MAILBOX));
		require(mailbox->n_shown <= 2 * ADDRESS_SHOWN_MAX);
		for (size_t j = 0; j < mailbox->n_shown; j++)
			require(strchr(mailbox->shown[j].address, '@') != NULL);
	}
}

/* LLVMFuzzerTestOneInput - the entry that libFuzzer calls */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct address_rules rules = { .fold_local = true };
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	char *copy;

	if (size == 0) {
		talloc_free(ctx);
		return 0;
	}
	rules.fold_local = (data[0] & 1) == 0;
	rules.default_domain = (data[0] & 2) == 0 ? NULL : "host.example";
	copy = mem_memdup(ctx, data, size);	/* exact size: overreads show */
	check_path(ctx, copy + 1, size - 1, &rules);
	check_list(ctx, copy + 1, size - 1, &rules);
	talloc_free(text_escape(ctx, copy, size, 40));
	talloc_free(ctx);
	return 0;
}

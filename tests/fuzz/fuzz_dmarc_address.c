/*
 * fuzz_dmarc_address.c - libFuzzer entry for report addresses of DMARC
 *
 * The input is the value of rua=. What comes out is a word of a command line and of a field.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/base/mem.h"
#include "policy/dmarc/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - end the run if something does not hold */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* check_mailbox - is it a word that no program and no header field reads otherwise? */
static void
check_mailbox(const char *mailbox, const char *domain)
{
	const char *at = strchr(mailbox, '@');

	must(at != NULL && at > mailbox && at + 1 == domain && strchr(domain, '@') == NULL);
	must(mailbox[0] != '-' && mailbox[0] != '|' && mailbox[0] != '/');
	must(strchr(domain, '.') != NULL && strlen(domain) <= 255);
	for (const char *c = mailbox; *c != '\0'; c++)
		must(*c > ' ' && *c <= '~' && strchr("\"(),:;<>[\\]`%", *c) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx = mem_new(NULL, char);
	struct span rest = text_span_of(
	    mem_memdup(ctx, size > 0 ? (const void *)data : "", size + (size == 0)), size);
	struct dmarc_uri uri;
	size_t n = 0;

	while (dmarc_uri_next(&rest, &uri)) {
		const char *domain = NULL, *error = NULL;
		const char *mailbox = uri.mailto.len == 0 ? NULL :
		    dmarc_mailbox(ctx, uri.mailto, &domain, &error);

		must(++n <= size);
		must((mailbox == NULL) == (uri.mailto.len == 0 || error != NULL));
		if (mailbox != NULL)
			check_mailbox(mailbox, domain);
	}
	talloc_free(ctx);
	return 0;
}

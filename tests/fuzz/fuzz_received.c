/*
 * fuzz_received.c - libFuzzer entry for Received and Received-SPF fields
 *
 * The input is the value of a field that a stranger may have written. What is read
 * as a client must be an address in its usual form; as a sender and as a HELO
 * argument the input must not break out of the field that we write.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/base/mem.h"
#include "policy/sender/received.h"
#include "policy/verdict/received_spf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - end the run if something does not hold */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* check_written - a field with this text in it: printable, folded, no line too long */
static void
check_written(TALLOC_CTX *ctx, const char *text)
{
	const struct facts facts = { .sender = text,
		.spf_client = "192.0.2.1",
		.spf_client_helo = text,
		.spf_mailfrom = {
		    .result = SPF_IS_PERMERROR, .domain = text, .sender = text, .problem = text } };
	const char *value =
	    received_spf_write(ctx, "mx.example.org", &facts, SPF_IDENTITY_MAILFROM);
	size_t column = 0;

	must(value != NULL && value[0] == ' ');
	for (; *value != '\0'; value++) {
		if (*value == '\n') {
			must(value[1] == '\t');
			column = 0;
			continue;
		}
		must(*value == '\t' || (*value >= ' ' && *value <= '~'));
		must(++column < 998);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const char *text = mem_strndup(ctx, (const char *)data, size);
	struct received_client client;
	char *exact = mem_array(ctx, char, size > 0 ? size : 1);
	struct ip_address again;

	memcpy(exact, data, size);
	if (received_read(ctx, exact, size, &client) == RECEIVED_CLIENT) {
		must(ip_address_parse(client.address, &again));
		must(again.bits == client.ip.bits &&
		    memcmp(again.octets, client.ip.octets, 16) == 0);
	}
	(void)received_spf_is_ours(exact, size, "mx.example.org");
	check_written(ctx, text);
	talloc_free(ctx);
	return 0;
}

/*
 * destinations.c - where the reports that a record asks for may go
 *
 * Threads: see destinations.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/dmarc/destinations.h"
#include "policy/base/mem.h"

/* organisation_of - by the walk, or NULL: DNS does not answer */
static const char *
organisation_of(struct dmarc_asking *asking, const char *domain)
{
	struct dmarc_walk walk;

	dmarc_ask_walk(asking, domain);
	dmarc_walk(domain, &asking->answers, &walk);
	return walk.organisation;
}

/* refuse_destination - with its reason */
static void
refuse_destination(struct dmarc_destination *destination, const char *why)
{
	destination->state = DMARC_DESTINATION_REFUSED;
	destination->why = why;
}

/* forget_destination - nothing can be said now */
static void
forget_destination(struct dmarc_destination *destination, const char *why)
{
	destination->state = DMARC_DESTINATION_UNKNOWN;
	destination->why = why;
}

/* replace_mailbox - the receiver names another address, which must be at the same host */
static void
replace_mailbox(
    struct dmarc_asking *asking, struct dmarc_destination *destination, const char *rua)
{
	struct span rest = text_span(rua);
	struct dmarc_uri uri;

	while (dmarc_uri_next(&rest, &uri)) {
		const char *host = NULL, *error = NULL;
		const char *mailbox = uri.mailto.len == 0 ? NULL :
		    dmarc_mailbox(asking, uri.mailto, &host, &error);

		if (mailbox == NULL)
			continue;
		if (strcmp(host, destination->host) != 0) {
			refuse_destination(destination, "it names an address at another host");
			return;
		}
		destination->mailbox = mailbox;
		destination->host = host;
		if (uri.max > 0)
			destination->max = uri.max;
		return;
	}
}

/* read_consent - what the receiver says in DNS */
static void
read_consent(struct dmarc_asking *asking, struct dmarc_destination *destination,
    const struct dns_answer *answer)
{
	bool wants = false;

	for (size_t i = 0; i < answer->count; i++) {
		struct dmarc_record record;

		if (!dmarc_record_read(asking, (const char *)answer->records[i].data,
			answer->records[i].len, &record))
			continue;
		if (!wants && record.rua != NULL)
			replace_mailbox(asking, destination, record.rua);
		wants = true;
	}
	if (!wants)
		refuse_destination(destination, "it has not said that it wants these reports");
}

/* ask_consent - has the receiver said that it wants reports about the domain? */
static void
ask_consent(
    struct dmarc_asking *asking, const char *domain, struct dmarc_destination *destination)
{
	const char *name = mem_printf(asking, "%s._report._dmarc.%s", domain, destination->host);
	const struct dns_answer *answer;

	destination->question = name;
	if (!dns_name_ok(name, strlen(name))) {
		refuse_destination(destination, "the name of its consent is too long for DNS");
		return;
	}
	answer = resolver_ask(asking->resolver, asking, name, strlen(name), DNS_TXT,
	    asking->deadline_ms);
	if (answer->status == DNS_TIMEOUT || answer->status == DNS_FAILURE)
		forget_destination(destination, "DNS does not answer");
	else
		read_consent(asking, destination, answer);
}

/* check_destination - one URI */
static void
check_destination(struct dmarc_asking *asking, const char *domain, const struct dmarc_uri *uri,
    struct dmarc_destination *destination)
{
	const char *error = NULL, *own, *other;

	*destination = (struct dmarc_destination){ .max = uri->max,
		.uri = mem_strndup(asking, uri->text.at, uri->text.len) };
	if (uri->mailto.len == 0) {
		refuse_destination(destination, "only mailto: is a way for reports");
		return;
	}
	destination->mailbox = dmarc_mailbox(asking, uri->mailto, &destination->host, &error);
	if (destination->mailbox == NULL) {
		refuse_destination(destination, error);
		return;
	}
	if (strcmp(domain, destination->host) == 0)
		return;
	own = organisation_of(asking, domain);
	other = organisation_of(asking, destination->host);
	if (own == NULL || other == NULL)
		forget_destination(destination, "DNS does not answer");
	else if (strcmp(own, other) != 0)
		ask_consent(asking, domain, destination);
}

size_t
dmarc_destinations(struct dmarc_asking *asking, const char *domain, const char *rua,
    struct dmarc_destination destinations_r[DMARC_ADDRESSES_MAX])
{
	struct span rest = text_span(rua);
	struct dmarc_uri uri;
	size_t n = 0;

	while (n < DMARC_ADDRESSES_MAX && dmarc_uri_next(&rest, &uri))
		check_destination(asking, domain, &uri, &destinations_r[n++]);
	return n;
}

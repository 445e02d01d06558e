/*
 * dns_question.h - one question to one DNS server, past the resolver
 *
 * The resolver hides what the doctor looks for: aliases, signatures, whether TCP works, and what
 * a server answers that is asked not to validate.
 */
#ifndef FILTER_DOCTOR_DNS_QUESTION_H
#define FILTER_DOCTOR_DNS_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define DNS_TYPE_NS	2
#define DNS_TYPE_CNAME	5
#define DNS_TYPE_DNSKEY	48
#define DNS_RCODE_SERVFAIL 2

struct dns_question {
	const char *name;	/* "" is the root */
	unsigned int type;
	unsigned int room;	/* octets that an answer by UDP may have */
	bool tcp;
	bool dnssec;		/* ask for signatures */
	bool unchecked;		/* ask the server not to validate */
};

struct dns_reply {
	unsigned int rcode;
	bool truncated;
	size_t answers;		/* records of the answer section */
	bool has_alias;		/* one of them is a CNAME */
	bool has_signature;	/* one of them is an RRSIG */
};

/*
 * dns_server_address - "ADDRESS" or "ADDRESS@PORT" as a socket address
 * Returns its length, or 0: it is none.
 */
socklen_t dns_server_address(const char *server, struct sockaddr_storage *address_r);

/*
 * dns_question_ask - ask a server, and wait until deadline_ms (clock_ms()) for its answer
 * Returns false if there is none, or none that can be read. Any thread.
 */
bool dns_question_ask(const char *server, const struct dns_question *question, int64_t deadline_ms,
    struct dns_reply *reply_r);

#endif

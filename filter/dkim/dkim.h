/*
 * dkim.h - what signing and verifying have in common
 *
 * A struct dkim_service holds the options and the objects of libopendkim for one
 * configuration snapshot. sign.h and verify.h work with it.
 *
 * The library is kept in a cage (dkim.c): it sees only signatures and key records that
 * the strict reader of tag lists below has accepted, only fields that matter, and memory
 * that belongs to the message.
 *
 * Threads: making and freeing a service belong to one thread; between, all threads
 * share it.
 */
#ifndef FILTER_DKIM_DKIM_H
#define FILTER_DKIM_DKIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <talloc.h>

#include <opendkim/dkim.h>

#include "filter/dns/resolver.h"
#include "policy/base/text.h"
#include "policy/dkim/signing.h"
#include "policy/sender/header.h"

#define DKIM_FACTS_MAX		100	/* signatures reported of one message */
#define DKIM_SIGNATURE_OCTETS	8192	/* longest DKIM-Signature looked at */
#define DKIM_NAMES_MAX		256	/* fields one h= may name */
#define DKIM_NAMES_OCTETS	3900	/* of h=, without white space: the library cuts at 4096 */
#define DKIM_WORK_MAX		1000000	/* field comparisons of one message, all signatures */
#define DKIM_KEY_OCTETS		1000	/* longest key record; the library's buffer holds 1024 */
#define DKIM_LINE_MAX		(1024 * 1024) /* octets of a body line without white space */
#define DKIM_BODY_MAX		INT64_C(2000000000) /* octets of a body */

struct dkim_service;

/* Where key records come from: the resolver, or zone data in a test. */
struct dkim_dns {
	/* As resolver_ask(): never NULL; the answer belongs to ctx. */
	struct dns_answer *(*ask)(void *state, TALLOC_CTX *ctx, const char *name,
	    size_t name_len, enum dns_type type, int64_t deadline_ms);
	/* As resolver_prefetch(); NULL: nothing is asked ahead. */
	void (*prefetch)(void *state, const char *name, size_t name_len, enum dns_type type);
	/* As resolver_ask_authority(); NULL: there is no such way. */
	struct dns_answer **(*authority)(void *state, TALLOC_CTX *ctx, const char *const *names,
	    size_t n, enum dns_type type, int64_t deadline_ms);
	void *state;		/* first argument of all */
};

/* All zero is a sensible choice, but for dns, without which nothing verifies. */
struct dkim_options {
	struct dkim_dns dns;
	unsigned int min_key_bits; /* RSA; 0: 1024 (RFC 8301 section 3.2) */
	unsigned int max_signatures; /* verified of one message; 0: DKIM_SIGNATURES_DEFAULT */
	unsigned int clock_drift; /* seconds t= and x= may be off; 0: 300 */
	bool trust_partial;	/* let a signature pass whose l= leaves body uncovered */
	uint64_t fixed_time;	/* for tests: t= of our signatures; 0: now */
};

/*
 * dkim_service_new - the library objects for these options
 * Returns NULL and *error_r on ctx if the library lacks what is needed (SHA-256), or is out of
 * memory. options is copied; dns.state must outlive the service. A talloc
 * child of ctx; to be freed when no message uses it.
 */
struct dkim_service *dkim_service_new(TALLOC_CTX *ctx, const struct dkim_options *options,
    const char **error_r);

/* The options in force, defaults filled in. */
const struct dkim_options *dkim_service_options(const struct dkim_service *service);

/* Can it sign and verify Ed25519? */
bool dkim_service_ed25519(const struct dkim_service *service);

/* Does the library keep a reference to each Ed25519 key it signed with? (dkim.c) */
bool dkim_service_ed25519_leaks(const struct dkim_service *service);

/* --- for sign.c and verify.c --- */

/*
 * dkim_lib_borrow, dkim_lib_return - the library object for a list of oversigned names
 *
 * The list is a property of the library object, and so is the time until signatures expire (ttl, in
 * seconds; 0: they do not). So there is one for each of both in use; idle ones are kept, up
 * to a bound. oversigned: NULL-terminated; NULL: the one for verifying. Returns NULL if there
 * is no memory.
 */
struct dkim_lib_ref;
struct dkim_lib_ref *dkim_lib_borrow(struct dkim_service *service, const char *const *oversigned,
    uint64_t ttl);
DKIM_LIB *dkim_lib_of(const struct dkim_lib_ref *ref);
void dkim_lib_return(struct dkim_service *service, struct dkim_lib_ref *ref);

/*
 * What the user context of a DKIM that verifies begins with: key() is called when the library wants
 * the key of a signature. record_r has room for size octets.
 */
struct dkim_asker {
	DKIM_CBSTAT (*key)(struct dkim_asker *asker, DKIM_SIGINFO *sig, unsigned char *record_r,
	    size_t size);
};

/*
 * dkim_feed_field - give one field to the library, folds as CRLF
 * scratch: a talloc context for the copy. Returns the library's status.
 */
DKIM_STAT dkim_feed_field(DKIM *dkim, TALLOC_CTX *scratch, const struct header_field *field);

/* Watches a body on its way to the library. All zero at the start. */
struct dkim_body_watch {
	int64_t octets;		/* seen */
	size_t run;		/* octets since the last white space */
	char last;		/* last octet seen */
	const char *problem;	/* why the body cannot be hashed, or NULL; static text */
};

/* Look at a chunk before it is fed. Returns false, with problem set, from the first excess on. */
bool dkim_body_watch(struct dkim_body_watch *watch, const char *bytes, size_t len);

/* What must be fed so that the body ends with CRLF: "", "\n" or "\r\n" (RFC 6376 section 3.4.3). */
const char *dkim_body_rest(const struct dkim_body_watch *watch);

/*
 * Tag lists (RFC 6376 section 3.2): signatures and key records.
 */
#define DKIM_TAGS_MAX		40	/* tags of one list */

struct dkim_tag {
	struct span name;
	struct span value;	/* without white space at its ends; folds inside stay */
	bool spaced;		/* white space before the equals sign */
};

struct dkim_tags {
	struct dkim_tag tags[DKIM_TAGS_MAX];
	size_t n;
	bool utf8;		/* d=, s= or i= is not ASCII */
};

/*
 * dkim_tags_read - read a tag list strictly
 * Values are ASCII, but those of d=, s= and i= may be UTF-8 (RFC 8616 section 4). Returns 0, or -1
 * with *error_r static text: a stray character, a name that is none, a tag twice, too many. The
 * spans point into text.
 */
int dkim_tags_read(const char *text, size_t len, struct dkim_tags *tags_r, const char **error_r);

/* The value of a tag, or NULL. Names are case-sensitive. */
const struct span *dkim_tags_find(const struct dkim_tags *tags, const char *name);

/* A tag's value without any white space, NUL-terminated; NULL if absent or longer than max. */
char *dkim_tags_text(TALLOC_CTX *ctx, const struct dkim_tags *tags, const char *name, size_t max);

/* For struct dkim_dns: the resolver. */
static inline struct dns_answer *
dkim_dns_ask_resolver(void *state, TALLOC_CTX *ctx, const char *name, size_t name_len,
    enum dns_type type, int64_t deadline_ms)
{
	return resolver_ask((struct resolver *)state, ctx, name, name_len, type, deadline_ms);
}

static inline void
dkim_dns_prefetch_resolver(void *state, const char *name, size_t name_len, enum dns_type type)
{
	resolver_prefetch((struct resolver *)state, name, name_len, type);
}

static inline struct dns_answer **
dkim_dns_authority_resolver(void *state, TALLOC_CTX *ctx, const char *const *names, size_t n,
    enum dns_type type, int64_t deadline_ms)
{
	return resolver_ask_authority((struct resolver *)state, ctx, names, n, type, deadline_ms);
}

#endif

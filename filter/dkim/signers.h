/*
 * signers.h - which keys sign mail of an address
 *
 * Either every key of the From domain, in the plain layout (keyring.h), or what
 * OpenDKIM's SigningTable and KeyTable say; and how that domain's signatures are made.
 * Who may write under that address was decided before: here no one is trusted with a
 * choice of domain but the administrator.
 *
 * Threads: loading and freeing belong to one thread, at the two ends of a
 * snapshot's life; between, any thread may choose.
 */
#ifndef FILTER_DKIM_SIGNERS_H
#define FILTER_DKIM_SIGNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/config/configuration.h"
#include "filter/dkim/keyring.h"
#include "policy/base/facts.h"
#include "policy/dkim/signing.h"

struct signers;

/* One signature to be made. */
struct sign_request {
	const struct keyring_key *key;
	const char *identity;	/* i=, or NULL */
	const struct sign_profile *profile;
};

/* What is to be made of one message. */
struct sign_choice {
	enum outcome
	    outcome; /* PASS: make them; NONE: nothing is to be signed; FAIL: there is no key */
	const char *domain;	/* d= of the first one, or that which has no key */
	const char
	    *problem; /* with FAIL why; with PASS perhaps a key that is not there; else NULL */
	struct sign_request *requests;
	size_t n;
	int on_missing_key;	/* enum action that this domain has for that, or -1 */
};

/*
 * signers_load - the keys that a configuration names, all checked
 *
 * keyring: who will read the files; its tolerates and state are set here. Returns NULL and *error_r
 * on ctx: one line for each mistake, at most some dozens. *warnings_r on ctx, or NULL. config must
 * outlive the result, which is a talloc child of ctx.
 */
struct signers *signers_load(TALLOC_CTX *ctx, const struct config *config,
    const struct keyring_options *keyring, const char **warnings_r, const char **error_r);

/* How many keys there are; those whose names depend on the sender count once a line. */
size_t signers_keys(const struct signers *signers);

/*
 * signers_all - every key, in no order; *n_r of them, on ctx
 * Of those whose file depends on the sender only what the KeyTable says is known: secret is NULL,
 * and domain and selector may hold a %.
 */
struct keyring_key *signers_all(TALLOC_CTX *ctx, const struct signers *signers, size_t *n_r);

/* Is this domain (normal form) one that we sign for? */
bool signers_know(const struct signers *signers, const char *domain);

/*
 * signers_choose - the signatures for mail of an author
 *
 * address: of the From mailbox, in normal form, owned by the account. sign_as: the only
 * domain that may stand in d=, or NULL. Results are on ctx.
 */
void signers_choose(TALLOC_CTX *ctx, const struct signers *signers, const char *address,
    const char *sign_as, struct sign_choice *choice_r);

#endif

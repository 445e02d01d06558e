/*
 * sign.c - sign one message, body streamed
 *
 * Which fields are signed was decided in policy/dkim/signing.c; only these are given to
 * libopendkim, which then signs all it was given, so that its pattern
 * matching is not needed. Each key makes a signature of its own over the same octets. RSA keys
 * come first, so that the first field and the log show the signature that everybody can verify;
 * if a domain has RSA keys and none of them works, nothing is signed, because
 * Ed25519 alone verifies at few receivers (RFC 8463 section 6).
 *
 * The private key is named to the library by its handle (key_shortcut.h). If the
 * library keeps a reference to Ed25519 keys (dkim.c), it is given back here; the
 * explicit dkim_privkey_load() returns for certain whether one was taken.
 *
 * Before an Ed25519 signature's b= the library writes a fold that it did not hash. In
 * the relaxed form that is no difference, so these signatures always have it.
 *
 * The header contains what was hashed: the value comes from the
 * library folded; only its CRLFs become LFs, as MTAs want them.
 *
 * Threads: see sign.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/dkim/key_shortcut.h"
#include "filter/dkim/sign.h"
#include "policy/base/mem.h"

#define FIELD_NAME_COLUMNS 16 /* "DKIM-Signature: ", as the library counts when it hashes */

/* One signature in the making. */
struct signature {
	DKIM *dkim;		/* NULL: given up */
	void *memory;		/* the library's, for this signature */
	const struct sign_request *request;
	struct dkim_lib_ref *lib; /* for its profile */
	struct keyring_ready ready;
	bool loaded;		/* the library has taken a reference to the key */
};

struct dkim_signing {
	struct dkim_service *service;
	struct signature *signatures;
	size_t n;
	struct dkim_body_watch watch;
	size_t line_max;	/* octets of a line that the MTA leaves whole; 0: any */
	size_t line;		/* octets of the body's line so far */
	const char *risk;	/* as struct sign_fact has it */
	enum outcome outcome;	/* PASS so far, or why nothing will be signed */
	const char *domain;	/* d= */
	const char *problem;	/* or NULL */
};

/* end_signature - give back all that a signature holds */
static void
end_signature(const struct dkim_signing *signing, struct signature *signature)
{
	if (signature->dkim != NULL)
		dkim_free(signature->dkim);
	signature->dkim = NULL;
	dkim_lib_return(signing->service, signature->lib);
	signature->lib = NULL;
	if (signature->loaded && signature->ready.type == KEYRING_ED25519 &&
	    dkim_service_ed25519_leaks(signing->service))
		key_shortcut_unref(signature->ready.handle);
	signature->loaded = false;
}

/* signing_free - destructor */
static int
signing_free(struct dkim_signing *signing)
{
	for (size_t i = 0; i < signing->n; i++)
		end_signature(signing, &signing->signatures[i]);
	return 0;
}

/* give_up - nothing will be signed */
static void
give_up(struct dkim_signing *signing, enum outcome outcome, const char *problem)
{
	if (signing->outcome != OUTCOME_PASS)
		return;
	signing->outcome = outcome;
	signing->problem = problem;
}

/* sign_add_keys - the requests whose keys are of one type and ready */
static void
sign_add_keys(struct dkim_signing *signing, const struct sign_choice *choice,
    enum keyring_type type, bool *failed_r)
{
	for (size_t i = 0; i < choice->n; i++) {
		const struct sign_request *request = &choice->requests[i];
		struct keyring_ready ready;

		if (keyring_ready(signing, request->key, &ready, &signing->problem) != 0) {
			*failed_r = true;
			continue;
		}
		if (ready.type != type)
			continue;
		if (type == KEYRING_ED25519 && !dkim_service_ed25519(signing->service)) {
			signing->problem = "this libopendkim does not know Ed25519";
			continue;
		}
		signing->signatures[signing->n++] =
		    (struct signature){ .request = request, .ready = ready };
	}
}

/* choose_keys - which keys sign, RSA first */
static void
choose_keys(struct dkim_signing *signing, const struct sign_choice *choice)
{
	bool failed = false;
	size_t rsa;

	signing->signatures = mem_array(signing, struct signature, choice->n + 1);
	sign_add_keys(signing, choice, KEYRING_RSA, &failed);
	rsa = signing->n;
	sign_add_keys(signing, choice, KEYRING_ED25519, &failed);
	if (signing->n == 0 || (rsa == 0 && failed))
		give_up(signing, OUTCOME_FAIL, signing->problem != NULL ? signing->problem :
		    mem_printf(signing, "%s has no key", choice->domain));
}

/* sign_feed_header - give the covered fields to the library */
static DKIM_STAT
sign_feed_header(struct dkim_signing *signing, DKIM *dkim, const struct sign_plan *plan,
    const struct header_list *list)
{
	for (size_t i = 0; i < list->n && i < plan->n_fields; i++) {
		if (!plan->covered[i])
			continue;

		struct header_field field = list->fields[i];

		if (plan->folded[i] != NULL) {
			field.value = plan->folded[i];
			field.value_len = strlen(field.value);
		}

		DKIM_STAT status = dkim_feed_field(dkim, signing, &field);

		if (status != DKIM_STAT_OK)
			return status;
	}
	return dkim_eoh(dkim);
}

/* library_problem - what the library says of a failure */
static const char *
library_problem(TALLOC_CTX *ctx, DKIM *dkim, DKIM_STAT status)
{
	const char *error = dkim == NULL ? NULL : dkim_geterror(dkim);

	if (error == NULL || *error == '\0')
		error = dkim_getresultstr(status);
	return mem_printf(ctx, "libopendkim: %s", error != NULL ? error : "unknown error");
}

/* set_identity - i=, which the library takes as it is */
static DKIM_STAT
set_identity(DKIM *dkim, const char *identity)
{
	return identity == NULL ? DKIM_STAT_OK
				: dkim_set_signer(dkim, (const unsigned char *)identity);
}

/* sign_begin - one signature up to the end of the header */
static void
sign_begin(struct dkim_signing *signing, struct signature *signature, const struct sign_plan *plan,
    const struct header_list *list)
{
	const struct sign_profile *profile = signature->request->profile;
	const struct keyring_key *key = signature->request->key;
	bool rsa = signature->ready.type == KEYRING_RSA;
	DKIM_STAT status = DKIM_STAT_OK;
	char *text;

	signature->lib = dkim_lib_borrow(signing->service, plan->oversigned, profile->ttl);
	if (signature->lib == NULL) {
		give_up(signing, OUTCOME_TEMPERROR, "libopendkim does not take its options");
		return;
	}
	text = mem_check(key_shortcut_text(signature->ready.handle));
	signature->memory = mem_new(signing, char);
	signature->dkim = dkim_sign(dkim_lib_of(signature->lib),
	    (const unsigned char *)"countersign", signature->memory, (dkim_sigkey_t)text,
	    (const unsigned char *)key->selector, (const unsigned char *)key->domain,
	    profile->simple_header && rsa ? DKIM_CANON_SIMPLE : DKIM_CANON_RELAXED,
	    profile->simple_body ? DKIM_CANON_SIMPLE : DKIM_CANON_RELAXED,
	    rsa ? DKIM_SIGN_RSASHA256 : DKIM_SIGN_ED25519SHA256, -1, &status);
	key_shortcut_text_free(text);
	if (signature->dkim != NULL)
		status = set_identity(signature->dkim, signature->request->identity);
	if (signature->dkim != NULL && status == DKIM_STAT_OK)
		status = sign_feed_header(signing, signature->dkim, plan, list);
	if (status != DKIM_STAT_OK)
		give_up(
		    signing, OUTCOME_TEMPERROR, library_problem(signing, signature->dkim, status));
}

struct dkim_signing *
dkim_sign_start(TALLOC_CTX *ctx, struct dkim_service *service, const struct sign_choice *choice,
    const struct sign_plan *plan, const struct header_list *list)
{
	struct dkim_signing *signing = mem_new(ctx, struct dkim_signing);

	signing->service = service;
	signing->outcome = OUTCOME_PASS;
	signing->domain = choice->domain;
	signing->problem = choice->problem;
	signing->line_max = plan->line_max;
	signing->risk = plan->risk;
	talloc_set_destructor(signing, signing_free);

	if (choice->outcome != OUTCOME_PASS)
		give_up(signing, choice->outcome, choice->problem);
	else if (plan->problem != NULL)
		give_up(signing, OUTCOME_PERMERROR, plan->problem);
	else
		choose_keys(signing, choice);
	for (size_t i = 0; i < signing->n && signing->outcome == OUTCOME_PASS; i++)
		sign_begin(signing, &signing->signatures[i], plan, list);
	return signing;
}

/* watch_lines - does the body have a line that the MTA will break? */
static void
watch_lines(struct dkim_signing *signing, const char *bytes, size_t len)
{
	while (len > 0 && signing->line_max != 0 && signing->risk == NULL) {
		const char *end = memchr(bytes, '\n', len);
		size_t piece = end == NULL ? len : (size_t)(end - bytes) + 1;

		/* with its CRLF */
		signing->line += piece;
		if (signing->line > signing->line_max + 2)
			signing->risk = "long-line";
		if (end != NULL)
			signing->line = 0;
		bytes += piece;
		len -= piece;
	}
}

/* sign_feed_body - the same octets for every signature; they were watched before */
static void
sign_feed_body(struct dkim_signing *signing, const char *bytes, size_t len)
{
	unsigned char *octets;

	watch_lines(signing, bytes, len);
	/* The library does not change them, though it asks for what is not const. */
	memcpy(&octets, &bytes, sizeof(octets));
	for (size_t i = 0; i < signing->n && len > 0; i++) {
		DKIM *dkim = signing->signatures[i].dkim;
		DKIM_STAT status = dkim_body(dkim, octets, len);

		if (status != DKIM_STAT_OK)
			give_up(signing, OUTCOME_TEMPERROR, library_problem(signing, dkim, status));
	}
}

void
dkim_sign_body(struct dkim_signing *signing, const char *bytes, size_t len)
{
	if (signing->outcome != OUTCOME_PASS)
		return;
	if (!dkim_body_watch(&signing->watch, bytes, len))
		give_up(signing, OUTCOME_PERMERROR, signing->watch.problem);
	else
		sign_feed_body(signing, bytes, len);
}

/* field_value - the library's field as the MTA takes it: leading space, LF folds */
static char *
field_value(TALLOC_CTX *ctx, const unsigned char *text, size_t len)
{
	char *value = mem_array(ctx, char, len + 2);
	size_t n = 0;

	value[n++] = ' ';
	for (size_t i = 0; i < len; i++)
		if (text[i] != '\r')
			value[n++] = (char)text[i];
	value[n] = '\0';
	return value;
}

/* complete - make one signature; its value on ctx, or NULL with a problem on the signing */
static char *
complete(struct dkim_signing *signing, struct signature *signature, TALLOC_CTX *ctx)
{
	DKIM *dkim = signature->dkim;
	unsigned char *text = NULL;
	size_t len = 0;
	DKIM_STAT status = dkim_privkey_load(dkim);

	signature->loaded = status == DKIM_STAT_OK;
	if (status == DKIM_STAT_OK)
		status = dkim_eom(dkim, NULL);
	if (status == DKIM_STAT_OK)
		status = dkim_getsighdr_d(dkim, FIELD_NAME_COLUMNS, &text, &len);
	if (status == DKIM_STAT_OK)
		return field_value(ctx, text, len);
	signing->problem = mem_printf(signing, "%s: %s", signature->request->key->file,
	    library_problem(signing, dkim, status));
	return NULL;
}

/* sign_make_all - all signatures; false if the one that matters most failed */
static bool
sign_make_all(struct dkim_signing *signing, TALLOC_CTX *ctx, struct sign_fact *fact_r,
    const char **values)
{
	size_t n = 0;
	bool rsa = false, rsa_made = false;

	for (size_t i = 0; i < signing->n; i++) {
		struct signature *signature = &signing->signatures[i];
		char *value = complete(signing, signature, ctx);

		rsa |= signature->ready.type == KEYRING_RSA;
		if (value == NULL)
			continue;
		rsa_made |= signature->ready.type == KEYRING_RSA;
		if (n == 0) {
			fact_r->sdid = mem_strdup(ctx, signature->request->key->domain);
			fact_r->selector = mem_strdup(ctx, signature->request->key->selector);
			fact_r->value = value;
		}
		values[n++] = value;
	}
	return n > 0 && rsa == rsa_made;
}

void
dkim_sign_finish(struct dkim_signing *signing, TALLOC_CTX *ctx, struct sign_fact *fact_r,
    const char ***values_r)
{
	const char *rest = dkim_body_rest(&signing->watch);
	const char **values = mem_array(ctx, const char *, signing->n + 1);

	*fact_r = (struct sign_fact){ 0 };
	if (signing->domain != NULL)
		fact_r->sdid = mem_strdup(ctx, signing->domain);
	*values_r = NULL;
	if (signing->outcome == OUTCOME_PASS)
		sign_feed_body(signing, rest, strlen(rest));
	if (signing->outcome == OUTCOME_PASS) {
		if (sign_make_all(signing, ctx, fact_r, values)) {
			*values_r = values;
			fact_r->risk = signing->risk;
		} else {
			fact_r->selector = fact_r->value = NULL;
			give_up(signing, OUTCOME_TEMPERROR, signing->problem);
		}
	}
	fact_r->outcome = signing->outcome;
	if (signing->problem != NULL)
		fact_r->problem = mem_strdup(ctx, signing->problem);
	for (size_t i = 0; i < signing->n; i++)
		end_signature(signing, &signing->signatures[i]);
}

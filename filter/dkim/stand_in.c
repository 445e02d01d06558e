/*
 * stand_in.c - verify a signature that libopendkim cannot read, through one that it can
 *
 * Threads: see stand_in.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "filter/dkim/public_key.h"
#include "filter/dkim/stand_in.h"
#include "policy/base/mem.h"
#include "policy/dkim/canon.h"

#define STAND_IN_NAME	"DKIM-Signature"
#define RAW_KEY		32	/* octets of an Ed25519 public key */
#define RAW_SIGNATURE	64	/* octets of an Ed25519 signature */
#define SIGNATURE_MAX	2100	/* octets of a signature: RSA of 16384 bits has 2048 */

struct stand_in {
	struct header_field field; /* shown to the library */
	char *key;		/* tags of its key record */
	bool ed25519;		/* the real signature */
	unsigned char digest[SHA256_DIGEST_LENGTH]; /* of the real header */
	unsigned char signature[SIGNATURE_MAX]; /* the real one */
	size_t signature_len;	/* 0: b= is not base64, or too long */
};

/* stand_in_raw - the value of a tag with all white space around it */
static struct span
stand_in_raw(const struct header_field *field, struct span value)
{
	const char *start = value.at, *end = value.at + value.len;

	while (start > field->value && start[-1] != '=')
		start--;
	while (end < field->value + field->value_len && *end != ';')
		end++;
	return text_span_of(start, (size_t)(end - start));
}

bool
stand_in_needed(const struct dkim_tags *tags)
{
	for (size_t i = 0; i < tags->n; i++) {
		struct span name = tags->tags[i].name;

		if (name.at[name.len - 1] == 'b' && (name.len > 1 || tags->tags[i].spaced))
			return true;
	}
	return tags->utf8;
}

/* stand_in_digest - SHA-256 of the octets that a signature covers */
static void
stand_in_digest(TALLOC_CTX *scratch, const struct header_list *list, struct span names,
    size_t signature, struct span b, bool relaxed, unsigned char *digest_r)
{
	size_t len;
	char *octets = canon_header(scratch, list, names, signature, b, relaxed, &len);

	(void)SHA256((const unsigned char *)octets, len, digest_r);
	talloc_free(octets);
}

/* stand_in_copy_tags - the tags that the library checks, without white space */
static char *
stand_in_copy_tags(TALLOC_CTX *ctx, const struct dkim_tags *tags)
{
	static const char *const names[] = { "q", "l", "t", "x", "bh" };
	char *text = mem_strdup(ctx, "");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = dkim_tags_text(text, tags, names[i], 100);

		if (value != NULL)
			text = mem_check(talloc_asprintf_append_buffer(
			    text, " %s=%s;", names[i], value));
	}
	return text;
}

/* stand_in_value - the plain field with an empty b=, which comes last */
static char *
stand_in_value(struct stand_in *stand_in, const struct stand_in_of *of)
{
	const char *c = dkim_tags_text(stand_in, of->tags, "c", 40);
	const char *body = c == NULL ? NULL : strchr(c, '/');
	const char *at = of->auid == NULL ? NULL : strrchr(of->auid, '@');

	/* The library shares the key of two signatures with one s= and d=, and ours has its own. */
	return mem_printf(stand_in,
	    " v=1; a=ed25519-sha256; c=relaxed%s; d=%s; s=stand-in-%zu;%s%s%s%s h=from; b=",
	    body != NULL ? body : "/simple", of->sdid, of->field, at != NULL ? " i=" : "",
	    at != NULL ? at : "", at != NULL ? ";" : "", stand_in_copy_tags(stand_in, of->tags));
}

/* stand_in_keygen - a new Ed25519 key, or NULL */
static EVP_PKEY *
stand_in_keygen(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
	EVP_PKEY *key = NULL;

	if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_keygen(ctx, &key) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* stand_in_sign - the signature over a digest and the public key that verifies it; false: failed */
static bool
stand_in_sign(const unsigned char *digest, unsigned char *signature_r, unsigned char *key_r)
{
	EVP_PKEY *key = stand_in_keygen();
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t signature_len = RAW_SIGNATURE, key_len = RAW_KEY;
	bool done = key != NULL && md != NULL &&
	    EVP_PKEY_get_raw_public_key(key, key_r, &key_len) == 1 &&
	    EVP_DigestSignInit(md, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestSign(md, signature_r, &signature_len, digest, SHA256_DIGEST_LENGTH) == 1;

	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
	return done;
}

/* stand_in_finish - sign the plain field over the last From; false: the library cannot */
static bool
stand_in_finish(struct stand_in *stand_in, const struct stand_in_of *of)
{
	unsigned char digest[SHA256_DIGEST_LENGTH], signature[RAW_SIGNATURE], key[RAW_KEY];
	unsigned char base64[4 * ((RAW_SIGNATURE + 2) / 3) + 1];
	struct header_field fields[2] = { { 0 } };
	struct header_list list = { .fields = fields, .n = 1 };
	char *value = stand_in_value(stand_in, of);

	stand_in->field.name = STAND_IN_NAME;
	stand_in->field.name_len = strlen(STAND_IN_NAME);
	stand_in->field.value = value;
	stand_in->field.value_len = strlen(value);
	for (size_t i = of->list->n; i > 0 && list.n == 1; i--)
		if (header_is(&of->list->fields[i - 1], "From"))
			fields[list.n++] = of->list->fields[i - 1];
	fields[0] = stand_in->field;
	stand_in_digest(stand_in, &list, text_span("from"), 0,
	    text_span_of(value + strlen(value), 0), true, digest);
	if (!stand_in_sign(digest, signature, key))
		return false;
	(void)EVP_EncodeBlock(base64, signature, RAW_SIGNATURE);
	value = mem_check(talloc_asprintf_append_buffer(value, "%s", (const char *)base64));
	stand_in->field.value = value;
	stand_in->field.value_len = strlen(value);
	(void)EVP_EncodeBlock(base64, key, RAW_KEY);
	stand_in->key = mem_printf(stand_in, "k=ed25519; p=%s", (const char *)base64);
	return true;
}

struct stand_in *
stand_in_new(TALLOC_CTX *ctx, const struct stand_in_of *of)
{
	struct stand_in *stand_in = mem_new(ctx, struct stand_in);
	const struct header_field *field = &of->list->fields[of->field];
	const char *b = dkim_tags_text(stand_in, of->tags, "b", 4 * SIGNATURE_MAX / 3);

	stand_in->ed25519 = of->ed25519;
	stand_in->signature_len = b == NULL ? 0 :
	    public_key_decode(b, stand_in->signature, sizeof(stand_in->signature));
	stand_in_digest(stand_in, of->list, of->names, of->field,
	    stand_in_raw(field, *dkim_tags_find(of->tags, "b")), of->relaxed_header,
	    stand_in->digest);
	if (stand_in_finish(stand_in, of))
		return stand_in;
	talloc_free(stand_in);
	return NULL;
}

const struct header_field *
stand_in_field(const struct stand_in *stand_in)
{
	return &stand_in->field;
}

const char *
stand_in_key(const struct stand_in *stand_in)
{
	return stand_in->key;
}

/* stand_in_matches - does the real signature fit the digest and a key? */
static bool
stand_in_matches(const struct stand_in *stand_in, EVP_PKEY *key)
{
	bool matches = false;

	if (stand_in->ed25519) {
		EVP_MD_CTX *md = EVP_MD_CTX_new();

		matches = md != NULL && EVP_DigestVerifyInit(md, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestVerify(md, stand_in->signature, stand_in->signature_len,
			stand_in->digest, sizeof(stand_in->digest)) == 1;
		EVP_MD_CTX_free(md);
	} else {
		EVP_PKEY_CTX *verify = EVP_PKEY_CTX_new(key, NULL);

		matches = verify != NULL && EVP_PKEY_verify_init(verify) == 1 &&
		    EVP_PKEY_CTX_set_signature_md(verify, EVP_sha256()) == 1 &&
		    EVP_PKEY_verify(verify, stand_in->signature, stand_in->signature_len,
			stand_in->digest, sizeof(stand_in->digest)) == 1;
		EVP_PKEY_CTX_free(verify);
	}
	return matches;
}

enum dkim_result
stand_in_verify(const struct stand_in *stand_in, const char *p, unsigned int min_bits,
    unsigned int *bits_r, const char **problem_r)
{
	EVP_PKEY *key = p == NULL ? NULL : public_key_read(p, stand_in->ed25519);
	enum dkim_result result = DKIM_IS_PERMERROR;

	*bits_r = 0;
	*problem_r = "the key cannot be read";
	if (key == NULL)
		return result;
	*bits_r = (unsigned int)EVP_PKEY_bits(key);
	if (stand_in->ed25519)
		*bits_r = 256;
	if (!stand_in->ed25519 && *bits_r < min_bits) {
		result = DKIM_IS_POLICY;
		*problem_r = "the key is too short";
	} else if (stand_in->signature_len == 0 || !stand_in_matches(stand_in, key)) {
		result = DKIM_IS_FAIL;
		*problem_r = "the signature does not match the header";
	} else {
		result = DKIM_IS_PASS;
		*problem_r = NULL;
	}
	EVP_PKEY_free(key);
	return result;
}

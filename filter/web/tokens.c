/*
 * tokens.c - who may ask countersign-web, by a file of tokens
 *
 * crypt(3) is slow on purpose, so a token that was good is remembered by a keyed hash as long as
 * the file has it, and wrong ones are counted (guesses.h). At most one is computed at a time. A
 * name that does not exist is treated as one that does: its secret is computed against a hash of
 * the file, always the same one, so that answers and times are alike.
 *
 * Thread rule: the lock guards what is remembered; the rest is set when the file is read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <crypt.h>
#include <libconfig.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "filter/base/keyed_mark.h"
#include "filter/base/log.h"
#include "filter/base/trusted_file.h"
#include "filter/web/tokens.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

#define SECRET_OCTETS	24
#define SECRET_MAX	128
#define TOKENS_MAX	1000
#define KEY_OCTETS	32
/* of nothing, for a file without a hash */
#define NO_HASH		"$y$j9T$bC0rkSNO1zFGXvkZaPK.K.$"

/* What is remembered of a name. */
struct tokens_state {
	bool known;
	unsigned char seen[KEY_OCTETS];	/* keyed hash of the token that was good */
};

struct tokens {
	struct token *items;
	size_t n;
	unsigned char key[KEY_OCTETS];
	pthread_mutex_t lock;
	struct tokens_state *states;	/* n */
};

static const char *const tokens_roles[] = { [TOKEN_READ] = "read", [TOKEN_OPERATOR] = "operator",
	[TOKEN_ADMIN] = "admin" };

/* --- the file --- */

/* tokens_name_ok - may a token be called that? */
static bool
tokens_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= TOKENS_NAME_MAX &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

/* tokens_role_of - a role by its word */
static bool
tokens_role_of(const char *word, enum token_role *role_r)
{
	for (size_t i = 0; word != NULL && i < sizeof(tokens_roles) / sizeof(tokens_roles[0]); i++)
		if (strcmp(word, tokens_roles[i]) == 0) {
			*role_r = (enum token_role)i;
			return true;
		}
	return false;
}

/* tokens_hash_ok - is it one that crypt(3) makes, and of a strong kind? */
static bool
tokens_hash_ok(const char *hash)
{
	return (strncmp(hash, "$y$", 3) == 0 || strncmp(hash, "$gy$", 4) == 0 ||
		strncmp(hash, "$7$", 3) == 0) && crypt_checksalt(hash) == CRYPT_SALT_OK;
}

/* tokens_domains - the domains of a token; what is wrong with them, or NULL */
static const char *
tokens_domains(TALLOC_CTX *ctx, const config_setting_t *entry, struct token *token)
{
	const config_setting_t *list = config_setting_get_member(entry, "domains");
	int n = list != NULL ? config_setting_length(list) : 0;

	if (list == NULL)
		return NULL;
	if (!config_setting_is_array(list) || n == 0)
		return "domains must be a list such as [\"example.org\"]";
	token->domains = mem_array(ctx, const char *, (size_t)n);
	for (int i = 0; i < n; i++) {
		const char *domain = config_setting_get_string_elem(list, i);

		if (domain == NULL || domain[0] == '\0' || strchr(domain, '@') != NULL)
			return "domains must be names such as \"example.org\"";
		token->domains[i] = text_lower_copy(ctx, domain, strlen(domain));
	}
	token->n_domains = (size_t)n;
	return NULL;
}

/* tokens_unknown - an option that does not exist, or NULL */
static const char *
tokens_unknown(TALLOC_CTX *ctx, const config_setting_t *entry)
{
	static const char *const known[] = { "name", "hash", "proxy", "role", "domains" };

	for (int i = 0; i < config_setting_length(entry); i++) {
		const char *name =
		    config_setting_name(config_setting_get_elem(entry, (unsigned int)i));
		bool found = false;

		for (size_t j = 0; j < sizeof(known) / sizeof(known[0]); j++)
			found = found || strcmp(name, known[j]) == 0;
		if (!found)
			return mem_printf(ctx, "unknown option \"%s\" of a token", name);
	}
	return NULL;
}

/* tokens_entry - one token; what is wrong with it, or NULL */
static const char *
tokens_entry(struct tokens *tokens, config_setting_t *entry)
{
	struct token *token = &tokens->items[tokens->n];
	const char *name = NULL, *hash = NULL, *role = NULL, *unknown;
	int proxy = 0;

	if (!config_setting_is_group(entry))
		return "a token is a group: { name = ...  hash = ...  role = ... }";
	unknown = tokens_unknown(tokens, entry);
	if (unknown != NULL)
		return unknown;
	(void)config_setting_lookup_string(entry, "name", &name);
	(void)config_setting_lookup_string(entry, "hash", &hash);
	(void)config_setting_lookup_string(entry, "role", &role);
	(void)config_setting_lookup_bool(entry, "proxy", &proxy);
	if (name == NULL || !tokens_name_ok(name))
		return "a token needs a name of letters, digits, - and _, 32 at most";
	for (size_t i = 0; i < tokens->n; i++)
		if (strcmp(tokens->items[i].name, name) == 0)
			return "this name is there already";
	if (!tokens_role_of(role, &token->role))
		return "role must be \"read\", \"operator\" or \"admin\"";
	if ((hash != NULL) == (proxy != 0))
		return "a token needs a hash, or proxy = true, and not both";
	if (hash != NULL && !tokens_hash_ok(hash))
		return "hash must be of yescrypt; countersign-web --make-token prints one";
	token->name = mem_strdup(tokens, name);
	token->hash = mem_strdup_or_null(tokens, hash);
	unknown = tokens_domains(tokens, entry, token);
	tokens->n++;
	return unknown;
}

/* tokens_take - all of a file that was parsed; what is wrong with it and where, or NULL */
static const char *
tokens_take(TALLOC_CTX *ctx, struct tokens *tokens, const config_t *tree, const char *path)
{
	config_setting_t *list = config_lookup(tree, "tokens");
	int n = list != NULL ? config_setting_length(list) : 0;

	if (list == NULL || !config_setting_is_list(list))
		return mem_printf(ctx, "%s: there is no list of tokens: tokens = ( ... )", path);
	if (n > TOKENS_MAX)
		return mem_printf(ctx, "%s: more than %d tokens", path, TOKENS_MAX);
	tokens->items = mem_array(tokens, struct token, (size_t)n);
	tokens->states = mem_array(tokens, struct tokens_state, (size_t)n);
	for (int i = 0; i < n; i++) {
		config_setting_t *entry = config_setting_get_elem(list, (unsigned int)i);
		const char *problem = tokens_entry(tokens, entry);

		if (problem != NULL)
			return mem_printf(ctx, "%s:%u: %s", path,
			    config_setting_source_line(entry), problem);
	}
	return NULL;
}

/* tokens_guarded - may others read or write it? NULL: no */
static const char *
tokens_guarded(TALLOC_CTX *ctx, const char *path)
{
	const struct trusted_by by = { geteuid(), getegid() };
	const char *problem = trusted_file_problem(ctx, path, &by);

	if (problem != NULL)
		return problem;
	return trusted_file_is_readable(path)
	    ? mem_printf(ctx, "%s: everyone can read it; chmod o-r %s", path, path)
	    : NULL;
}

static int
tokens_free(struct tokens *tokens)
{
	OPENSSL_cleanse(tokens->key, sizeof(tokens->key));
	(void)pthread_mutex_destroy(&tokens->lock);
	return 0;
}

struct tokens *
tokens_read(TALLOC_CTX *ctx, const char *path, const char **error_r)
{
	struct tokens *tokens = mem_new(ctx, struct tokens);
	config_t tree;

	(void)pthread_mutex_init(&tokens->lock, NULL);
	talloc_set_destructor(tokens, tokens_free);
	*error_r = tokens_guarded(ctx, path);
	if (*error_r == NULL && RAND_bytes(tokens->key, KEY_OCTETS) != 1)
		*error_r = "there are no random numbers";
	if (*error_r == NULL) {
		config_init(&tree);
		if (config_read_file(&tree, path) == CONFIG_TRUE)
			*error_r = tokens_take(ctx, tokens, &tree, path);
		else if (config_error_type(&tree) == CONFIG_ERR_FILE_IO)
			*error_r = mem_printf(ctx, "%s: cannot be read", path);
		else
			*error_r = mem_printf(ctx,
			    "%s:%d: %s (there must be a comma between two tokens, and none after the last)",
			    path, config_error_line(&tree), config_error_text(&tree));
		config_destroy(&tree);
	}
	if (*error_r == NULL)
		return tokens;
	talloc_free(tokens);
	return NULL;
}

void
tokens_inherit(struct tokens *tokens, struct tokens *old)
{
	(void)pthread_mutex_lock(&old->lock);
	memcpy(tokens->key, old->key, KEY_OCTETS);
	for (size_t i = 0; i < tokens->n; i++)
		for (size_t j = 0; j < old->n; j++)
			if (tokens->items[i].hash != NULL && old->items[j].hash != NULL &&
			    strcmp(tokens->items[i].name, old->items[j].name) == 0 &&
			    strcmp(tokens->items[i].hash, old->items[j].hash) == 0)
				tokens->states[i] = old->states[j];
	(void)pthread_mutex_unlock(&old->lock);
}

/* --- checking --- */

/* tokens_digest - a keyed hash of a presented token */
static void
tokens_digest(const struct tokens *tokens, const char *presented, unsigned char *digest)
{
	unsigned int len = KEY_OCTETS;

	mem_check(HMAC(EVP_sha256(), tokens->key, KEY_OCTETS, (const unsigned char *)presented,
	    strlen(presented), digest, &len));
}

/* tokens_crypt_same - does a secret have this hash? */
static bool
tokens_crypt_same(const char *secret, const char *hash)
{
	struct crypt_data *data = mem_new(NULL, struct crypt_data);
	const char *made = crypt_rn(secret, hash, data, sizeof(*data));
	bool same = made != NULL && strlen(made) == strlen(hash) &&
	    CRYPTO_memcmp(made, hash, strlen(hash)) == 0;

	OPENSSL_cleanse(data, sizeof(*data));
	talloc_free(data);
	return same;
}

/*
 * tokens_hash - what a secret for a name is computed against
 * found: its token, or NULL. A name that does not exist has the hash of one that does, as it takes
 * as long as the file's hashes take.
 */
static const char *
tokens_hash(const struct tokens *tokens, const struct token *found, const char *name)
{
	size_t first = (size_t)keyed_mark(tokens->key, KEY_OCTETS, name);

	if (found != NULL)
		return found->hash;
	for (size_t i = 0; i < tokens->n; i++)
		if (tokens->items[(first + i) % tokens->n].hash != NULL)
			return tokens->items[(first + i) % tokens->n].hash;
	return NO_HASH;
}

/* tokens_find - the token of a name that has a secret, or NULL */
static const struct token *
tokens_find(const struct tokens *tokens, const char *name)
{
	const struct token *token = tokens_named(tokens, name);

	return token != NULL && token->hash != NULL ? token : NULL;
}

/* tokens_try - as tokens_check(), of one that was not good before (lock held) */
static enum tokens_result
tokens_try(const struct tokens *tokens, const struct tokens_asked *asked, const char *name,
    const char *secret, const struct token *found)
{
	size_t len = strlen(name);

	if (!guesses_take(asked->guesses, asked->place, name, len, asked->now_ms))
		return TOKENS_TOO_MANY;
	if (tokens_crypt_same(secret, tokens_hash(tokens, found, name)) && found != NULL) {
		guesses_return(asked->guesses, asked->place, name, len, asked->now_ms);
		return TOKENS_GOOD;
	}
	log_warning("web: a wrong secret for %s from %s",
	    found != NULL ? found->name : "a name that does not exist", asked->place);
	return TOKENS_BAD;
}

enum tokens_result
tokens_check(struct tokens *tokens, const char *presented, const struct tokens_asked *asked,
    const struct token **token_r)
{
	const char *dot = strchr(presented, '.');
	size_t len = dot != NULL ? (size_t)(dot - presented) : 0;
	char name[TOKENS_NAME_MAX + 1] = "";
	unsigned char digest[KEY_OCTETS];
	enum tokens_result result = TOKENS_GOOD;
	struct tokens_state *state = NULL;
	const struct token *found;

	if (dot == NULL || len > TOKENS_NAME_MAX || strlen(dot + 1) > SECRET_MAX)
		return TOKENS_BAD;
	memcpy(name, presented, len);
	found = tokens_find(tokens, name);
	if (found != NULL)
		state = &tokens->states[found - tokens->items];
	tokens_digest(tokens, presented, digest);
	(void)pthread_mutex_lock(&tokens->lock);
	if (state == NULL || !state->known ||
	    CRYPTO_memcmp(state->seen, digest, sizeof(digest)) != 0)
		result = tokens_try(tokens, asked, name, dot + 1, found);
	if (result == TOKENS_GOOD) {
		state->known = true;
		memcpy(state->seen, digest, sizeof(digest));
		*token_r = found;
	}
	(void)pthread_mutex_unlock(&tokens->lock);
	return result;
}

const struct token *
tokens_named(const struct tokens *tokens, const char *name)
{
	for (size_t i = 0; i < tokens->n; i++)
		if (strcmp(tokens->items[i].name, name) == 0)
			return &tokens->items[i];
	return NULL;
}

const struct token *
tokens_proxied(const struct tokens *tokens, const char *name)
{
	const struct token *token = tokens_named(tokens, name);

	return token != NULL && token->hash == NULL ? token : NULL;
}

bool
tokens_have_proxied(const struct tokens *tokens)
{
	for (size_t i = 0; i < tokens->n; i++)
		if (tokens->items[i].hash == NULL)
			return true;
	return false;
}

bool
token_has_domain(const struct token *token, const char *domain)
{
	for (size_t i = 0; i < token->n_domains; i++)
		if (strcasecmp(token->domains[i], domain) == 0)
			return true;
	return token->n_domains == 0;
}

bool
token_has_account(const struct token *token, const char *account)
{
	const char *at = account != NULL ? strchr(account, '@') : NULL;

	if (token->n_domains == 0)
		return true;
	/* what could be read in a second way: quoted names, routes, pool:NAME, network:ADDRESS */
	if (at == NULL || at == account || strpbrk(account, "\"\\:%!,;<>()[] ") != NULL)
		return false;
	return strchr(at + 1, '@') == NULL && token_has_domain(token, at + 1);
}

const char *
token_role_word(enum token_role role)
{
	return tokens_roles[role];
}

/* --- making --- */

int
tokens_make(TALLOC_CTX *ctx, const char *name, const char *role, char *const *domains, size_t n,
    const char **error_r)
{
	unsigned char random[SECRET_OCTETS];
	char secret[2 * SECRET_OCTETS + 1] = "", setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data = mem_new(ctx, struct crypt_data);
	enum token_role found;
	const char *hash;

	if (!tokens_name_ok(name) || !tokens_role_of(role, &found)) {
		*error_r = "NAME is of letters, digits, - and _, 32 at most; ROLE is read, "
		    "operator or admin";
		return -1;
	}
	if (RAND_bytes(random, sizeof(random)) != 1 ||
	    crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof(setting)) == NULL) {
		*error_r = "there are no random numbers, or no yescrypt in this libcrypt";
		return -1;
	}
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(secret + 2 * i, 3, "%02x", random[i]);
	hash = crypt_rn(secret, setting, data, sizeof(*data));
	if (hash == NULL) {
		*error_r = "crypt(3) failed";
		return -1;
	}
	(void)printf("%s.%s\n  { name = \"%s\"  hash = \"%s\"  role = \"%s\"", name, secret, name,
	    hash, role);
	for (size_t i = 0; i < n; i++)
		(void)printf("%s\"%s\"", i == 0 ? "  domains = [" : ", ", domains[i]);
	(void)printf("%s }\n", n > 0 ? "]" : "");
	return 0;
}

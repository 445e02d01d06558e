/*
 * sessions.c - who is logged in to the console
 *
 * Thread rule: the lock guards the table; the key is set once.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "filter/web/sessions.h"
#include "policy/base/mem.h"

#define DIGEST	32

struct session {
	bool used;
	unsigned char id[DIGEST];	/* keyed hash of it */
	unsigned char hash[DIGEST];	/* keyed hash of that of the token */
	char name[TOKENS_NAME_MAX + 1];	/* of the token */
	int64_t since_ms, seen_ms;
};

struct sessions {
	unsigned char key[DIGEST];
	pthread_mutex_t lock;
	struct session items[SESSIONS_MAX];
};

/* sessions_digest - a keyed hash; what: of which kind of text */
static void
sessions_digest(const struct sessions *sessions, char what, const char *text,
    unsigned char digest[DIGEST])
{
	unsigned char octets[512] = { (unsigned char)what };
	size_t len = strnlen(text, sizeof(octets) - 1);
	unsigned int digest_len = DIGEST;

	memcpy(octets + 1, text, len);
	mem_check(HMAC(EVP_sha256(), sessions->key, DIGEST, octets, len + 1, digest, &digest_len));
}

/* sessions_hex - octets as text */
static void
sessions_hex(const unsigned char octets[DIGEST], char text[SESSIONS_TEXT])
{
	for (size_t i = 0; i < DIGEST; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", octets[i]);
}

static int
sessions_free(struct sessions *sessions)
{
	OPENSSL_cleanse(sessions->key, sizeof(sessions->key));
	(void)pthread_mutex_destroy(&sessions->lock);
	return 0;
}

struct sessions *
sessions_new(TALLOC_CTX *ctx)
{
	struct sessions *sessions = mem_new(ctx, struct sessions);

	(void)pthread_mutex_init(&sessions->lock, NULL);
	talloc_set_destructor(sessions, sessions_free);
	if (RAND_bytes(sessions->key, DIGEST) == 1)
		return sessions;
	talloc_free(sessions);
	return NULL;
}

/* session_over - has it been idle, or there, for too long? */
static bool
session_over(const struct session *session, int64_t now_ms)
{
	return !session->used || now_ms - session->seen_ms > SESSIONS_IDLE_S * INT64_C(1000) ||
	    now_ms - session->since_ms > SESSIONS_LIFE_S * INT64_C(1000);
}

/*
 * session_place - where a new one goes (lock held)
 * One that is over, else that of the same token which was idle longest if it has as many as it may,
 * else the one of all.
 */
static struct session *
session_place(struct sessions *sessions, const char *name, int64_t now_ms)
{
	struct session *over = NULL, *oldest = NULL, *own = NULL;
	size_t n_own = 0;

	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *session = &sessions->items[i];

		if (session_over(session, now_ms)) {
			over = session;
			continue;
		}
		if (oldest == NULL || session->seen_ms < oldest->seen_ms)
			oldest = session;
		if (strcmp(session->name, name) != 0)
			continue;
		n_own++;
		if (own == NULL || session->seen_ms < own->seen_ms)
			own = session;
	}
	if (n_own >= SESSIONS_NAME)
		return own;
	return over != NULL ? over : oldest;
}

bool
sessions_begin(struct sessions *sessions, const struct token *token, int64_t now_ms,
    char id_r[SESSIONS_TEXT])
{
	unsigned char random[DIGEST];
	struct session *session;

	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	sessions_hex(random, id_r);
	(void)pthread_mutex_lock(&sessions->lock);
	session = session_place(sessions, token->name, now_ms);
	session->used = true;
	session->since_ms = session->seen_ms = now_ms;
	(void)snprintf(session->name, sizeof(session->name), "%s", token->name);
	sessions_digest(sessions, 'i', id_r, session->id);
	sessions_digest(sessions, 'h', token->hash, session->hash);
	(void)pthread_mutex_unlock(&sessions->lock);
	return true;
}

/* session_of - by its id (lock held), or NULL */
static struct session *
session_of(struct sessions *sessions, const char *id)
{
	unsigned char digest[DIGEST];
	struct session *found = NULL;

	sessions_digest(sessions, 'i', id, digest);
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		if (sessions->items[i].used &&
		    CRYPTO_memcmp(sessions->items[i].id, digest, DIGEST) == 0)
			found = &sessions->items[i];
	return found;
}

/* session_token - the token, if it is still the one that was logged in */
static const struct token *
session_token(const struct sessions *sessions, const struct session *session,
    const struct tokens *tokens)
{
	const struct token *token = tokens_named(tokens, session->name);
	unsigned char digest[DIGEST];

	if (token == NULL || token->hash == NULL)
		return NULL;
	sessions_digest(sessions, 'h', token->hash, digest);
	return CRYPTO_memcmp(session->hash, digest, DIGEST) == 0 ? token : NULL;
}

const struct token *
sessions_find(
    struct sessions *sessions, const struct tokens *tokens, const char *id, int64_t now_ms)
{
	const struct token *token = NULL;
	struct session *session;

	(void)pthread_mutex_lock(&sessions->lock);
	session = session_of(sessions, id);
	if (session != NULL && !session_over(session, now_ms))
		token = session_token(sessions, session, tokens);
	if (token != NULL)
		session->seen_ms = now_ms;
	else if (session != NULL)
		session->used = false;
	(void)pthread_mutex_unlock(&sessions->lock);
	return token;
}

void
sessions_end(struct sessions *sessions, const char *id)
{
	struct session *session;

	(void)pthread_mutex_lock(&sessions->lock);
	session = session_of(sessions, id);
	if (session != NULL)
		session->used = false;
	(void)pthread_mutex_unlock(&sessions->lock);
}

void
sessions_proof(const struct sessions *sessions, const char *id, char proof_r[SESSIONS_TEXT])
{
	unsigned char digest[DIGEST];

	sessions_digest(sessions, 'p', id, digest);
	sessions_hex(digest, proof_r);
}

bool
sessions_proven(const struct sessions *sessions, const char *id, const char *text)
{
	char proof[SESSIONS_TEXT];

	sessions_proof(sessions, id, proof);
	return text != NULL && strlen(text) == SESSIONS_TEXT - 1 &&
	    CRYPTO_memcmp(proof, text, SESSIONS_TEXT - 1) == 0;
}

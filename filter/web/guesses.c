/*
 * guesses.c - how many wrong secrets may be tried, by the place they come from
 *
 * The tables hold what GUESSES_ALL allows in two windows, so they never overflow.
 *
 * Thread rule: the lock guards the tables; the key is set once.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#include "filter/base/keyed_mark.h"
#include "filter/base/peer.h"
#include "filter/web/guesses.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"

#define ITEMS	(2 * GUESSES_ALL)

/* Wrong secrets for one name at a place, or of a place. */
struct guess {
	uint64_t mark;
	int64_t since_ms;	/* when the first one came */
	unsigned int n;		/* 0: free */
};

struct guesses {
	unsigned char key[16];
	pthread_mutex_t lock;
	struct guess all, names[ITEMS], places[ITEMS];
};

static int
guesses_free(struct guesses *guesses)
{
	(void)pthread_mutex_destroy(&guesses->lock);
	return 0;
}

struct guesses *
guesses_new(TALLOC_CTX *ctx)
{
	struct guesses *guesses = mem_new(ctx, struct guesses);

	(void)pthread_mutex_init(&guesses->lock, NULL);
	talloc_set_destructor(guesses, guesses_free);
	if (RAND_bytes(guesses->key, sizeof(guesses->key)) == 1)
		return guesses;
	talloc_free(guesses);
	return NULL;
}

/* guess_of - the one with this mark, else a free one with it; NULL: there is no room */
static struct guess *
guess_of(struct guess *table, uint64_t mark, int64_t now_ms)
{
	struct guess *unused = NULL;

	for (size_t i = 0; i < ITEMS; i++) {
		struct guess *guess = &table[i];

		if (guess->n == 0 || now_ms - guess->since_ms > GUESSES_MS)
			unused = guess;
		else if (guess->mark == mark)
			return guess;
	}
	if (unused != NULL)
		*unused = (struct guess){ mark, now_ms, 0 };
	return unused;
}

/* guesses_count - add to the counts of a name, of a place and of all, if each is below its bound */
static bool
guesses_count(struct guesses *guesses, const char *place, const char *name, size_t len, int step,
    int64_t now_ms)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	uint64_t both = keyed_mark(guesses->key, sizeof(guesses->key),
	    mem_printf(ctx, "%s\n%s", mem_strndup(ctx, name, len), place));
	struct guess *of_name, *of_place, *all = &guesses->all;
	bool may;

	(void)pthread_mutex_lock(&guesses->lock);
	if (now_ms - all->since_ms > GUESSES_MS)
		*all = (struct guess){ 0, now_ms, 0 };
	of_name = guess_of(guesses->names, both, now_ms);
	of_place = guess_of(guesses->places,
	    keyed_mark(guesses->key, sizeof(guesses->key), place), now_ms);
	may = of_name != NULL && of_place != NULL;
	if (may && step > 0)
		may = of_name->n < GUESSES_NAME && of_place->n < GUESSES_PLACE &&
		    all->n < GUESSES_ALL;
	else if (may)
		may = of_name->n > 0 && of_place->n > 0 && all->n > 0;
	if (may) {
		of_name->n += (unsigned int)step;
		of_place->n += (unsigned int)step;
		all->n += (unsigned int)step;
	}
	(void)pthread_mutex_unlock(&guesses->lock);
	talloc_free(ctx);
	return may;
}

bool
guesses_take(struct guesses *guesses, const char *place, const char *name, size_t len,
    int64_t now_ms)
{
	return guesses_count(guesses, place, name, len, 1, now_ms);
}

void
guesses_return(struct guesses *guesses, const char *place, const char *name, size_t len,
    int64_t now_ms)
{
	(void)guesses_count(guesses, place, name, len, -1, now_ms);
}

/* place_address - the address in a piece of X-Forwarded-For, which may have a port */
static bool
place_address(TALLOC_CTX *ctx, const char *piece, struct ip_address *ip_r)
{
	const char *colon = strchr(piece, ':');
	char *text = piece[0] == '[' ? mem_strndup(ctx, piece + 1, strcspn(piece + 1, "]"))
	    : colon != NULL && strchr(colon + 1, ':') == NULL
	    ? mem_strndup(ctx, piece, (size_t)(colon - piece)) : mem_strdup(ctx, piece);

	return ip_address_parse(text, ip_r);
}

const char *
guesses_place(TALLOC_CTX *ctx, int fd, const char *forwarded)
{
	const char *comma = forwarded != NULL ? strrchr(forwarded, ',') : NULL;
	const char *last = comma != NULL ? comma + 1 : forwarded;
	struct ip_address ip;
	struct peer peer;
	char *piece;

	peer_of(fd, &peer);
	if (last == NULL)
		return mem_strdup(ctx, peer.who);
	last += strspn(last, " \t");
	piece = mem_strndup(ctx, last, strcspn(last, " \t"));
	if (!place_address(ctx, piece, &ip))
		return mem_strdup(ctx, peer.who);
	if (ip.bits == 128)
		memset(ip.octets + 8, 0, 8);
	return mem_printf(ctx, "%s for %s", peer.who, ip_address_text(ctx, &ip));
}

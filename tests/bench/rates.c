/*
 * rates.c - what the cryptography alone costs: RSA-2048 and Ed25519 of this OpenSSL
 *
 *	rates [ROUNDS]
 *
 * CPU time of one signature and one verification with keys that were parsed
 * once; the digest is made before for RSA, as libopendkim does. All processors are
 * busy meanwhile, each with the same, as they are while filters are measured: processors that share
 * a core take longer then, and comparing with the idle machine would flatter
 * nobody but this program. The median of ROUNDS rounds (9), as one line of JSON.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUND_US	40000.0		/* CPU time of a round */
#define ROUNDS_MAX	99
#define THREADS_MAX	256

/* A key, a digest and a signature of it. */
struct subject {
	EVP_PKEY *key;
	const EVP_MD *digest;		/* NULL: Ed25519 */
	unsigned char hash[32];
	unsigned char signature[512];
	size_t len;
};

/* cpu_us - CPU time of this thread */
static double
cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* sign_once - a signature with a fresh context, as for a message; 1 on success */
static int
sign_once(struct subject *subject)
{
	int good;

	subject->len = sizeof(subject->signature);
	if (subject->digest == NULL) {
		EVP_MD_CTX *md = EVP_MD_CTX_new();

		good = EVP_DigestSignInit(md, NULL, NULL, NULL, subject->key) == 1 &&
		    EVP_DigestSign(md, subject->signature, &subject->len, subject->hash,
			sizeof(subject->hash)) == 1;
		EVP_MD_CTX_free(md);
		return good;
	}

	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(subject->key, NULL);

	good = EVP_PKEY_sign_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, subject->digest) == 1 &&
	    EVP_PKEY_sign(
		ctx, subject->signature, &subject->len, subject->hash, sizeof(subject->hash)) == 1;
	EVP_PKEY_CTX_free(ctx);
	return good;
}

/* verify_once - likewise */
static int
verify_once(struct subject *subject)
{
	int good;

	if (subject->digest == NULL) {
		EVP_MD_CTX *md = EVP_MD_CTX_new();

		good = EVP_DigestVerifyInit(md, NULL, NULL, NULL, subject->key) == 1 &&
		    EVP_DigestVerify(md, subject->signature, subject->len, subject->hash,
			sizeof(subject->hash)) == 1;
		EVP_MD_CTX_free(md);
		return good;
	}

	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(subject->key, NULL);

	good = EVP_PKEY_verify_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, subject->digest) == 1 &&
	    EVP_PKEY_verify(
		ctx, subject->signature, subject->len, subject->hash, sizeof(subject->hash)) == 1;
	EVP_PKEY_CTX_free(ctx);
	return good;
}

/* What the other processors are busy with. */
struct business {
	int (*once)(struct subject *);
	struct subject subject;
	atomic_bool over;
};

/* keep_busy - a thread that does the same until it is over */
static void *
keep_busy(void *arg)
{
	struct business *business = arg;
	struct subject own = business->subject;

	while (!atomic_load_explicit(&business->over, memory_order_relaxed))
		(void)business->once(&own);
	return NULL;
}

/* compare - for qsort */
static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* measure_round - CPU time of one call */
static double
measure_round(int (*once)(struct subject *), struct subject *subject)
{
	double start = cpu_us(), now = start;
	int n = 0;

	while (now - start < ROUND_US) {
		if (once(subject) != 1) {
			fprintf(stderr, "rates: OpenSSL refused\n");
			exit(1);
		}
		n++;
		now = cpu_us();
	}
	return (now - start) / n;
}

/* measure - CPU time of one call while all processors do the same, the median of rounds */
static double
measure(int (*once)(struct subject *), struct subject *subject, int rounds)
{
	struct business business = { .once = once, .subject = *subject };
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t others[THREADS_MAX];
	double times[ROUNDS_MAX];
	int n = 0;

	while (n < processors - 1 && n < THREADS_MAX &&
	    pthread_create(&others[n], NULL, keep_busy, &business) == 0)
		n++;
	for (int i = 0; i < rounds; i++)
		times[i] = measure_round(once, subject);
	atomic_store(&business.over, true);
	while (n > 0)
		(void)pthread_join(others[--n], NULL);
	qsort(times, (size_t)rounds, sizeof(times[0]), compare);
	return times[rounds / 2];
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 9;
	struct subject rsa = { .key = EVP_RSA_gen(2048), .digest = EVP_sha256() };
	struct subject ed25519 = { .key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };

	if (rsa.key == NULL || ed25519.key == NULL || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "Usage: rates [ROUNDS], 1 to %d\n", ROUNDS_MAX);
		return 2;
	}
	memset(rsa.hash, 7, sizeof(rsa.hash));
	memset(ed25519.hash, 7, sizeof(ed25519.hash));
	/* there must be a signature before one can be verified */
	printf("{\"name\": \"openssl\", \"version\": \"%s\", \"rsa2048_sign_us\": %.2f, ",
	    OpenSSL_version(OPENSSL_VERSION), measure(sign_once, &rsa, rounds));
	printf("\"rsa2048_verify_us\": %.2f, ", measure(verify_once, &rsa, rounds));
	printf("\"ed25519_sign_us\": %.2f, ", measure(sign_once, &ed25519, rounds));
	printf("\"ed25519_verify_us\": %.2f}\n", measure(verify_once, &ed25519, rounds));
	EVP_PKEY_free(rsa.key);
	EVP_PKEY_free(ed25519.key);
	return 0;
}

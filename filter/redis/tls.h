/*
 * tls.h - TLS to Redis: what is trusted, who we are, and the handshake
 *
 * Threads: any number at once; a struct redis_tls has a lock. An SSL belongs to its connection.
 */
#ifndef FILTER_REDIS_TLS_H
#define FILTER_REDIS_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

#include "filter/redis/place.h"

struct redis_tls;

/* What was configured. Paths are of PEM files. */
struct redis_tls_options {
	bool on;		/* false: no TLS, the rest means nothing */
	const char *ca_file;	/* certificates that are trusted; NULL: those of the system */
	const char *cert_file;	/* our certificate with its chain, or NULL */
	const char
	    *key_file; /* its key, which others must not be able to read; NULL if cert_file is */
	const char *name; /* whose certificate the server must show; NULL: that of the host it is
			     reached by */
};

/*
 * redis_tls_new - read the files
 * Returns NULL and *error_r, a full sentence that names option and file, both on ctx. options are
 * copied.
 */
struct redis_tls *redis_tls_new(
    TALLOC_CTX *ctx, const struct redis_tls_options *options, const char **error_r);

/*
 * redis_tls_check - whether the files can be used, and the name be one
 * False: *error_r (on ctx) as redis_tls_new()'s. Reads the files.
 */
bool redis_tls_check(
    TALLOC_CTX *ctx, const struct redis_tls_options *options, const char **error_r);

/*
 * redis_tls_renew - read the files again; connections made from now on use what is in them
 * Returns 0, or -1 and *error_r (on ctx): what was read before is kept.
 */
int redis_tls_renew(struct redis_tls *tls, TALLOC_CTX *ctx, const char **error_r);

/* redis_tls_options_copy - a copy whose strings are on ctx */
struct redis_tls_options redis_tls_options_copy(
    TALLOC_CTX *ctx, const struct redis_tls_options *options);

/* redis_tls_options_equal - whether two configurations mean the same */
bool redis_tls_options_equal(const struct redis_tls_options *a, const struct redis_tls_options *b);

/* redis_tls_has_own - whether we have a certificate to show */
bool redis_tls_has_own(const struct redis_tls *tls);

/*
 * redis_tls_start - the client's end on a connected, non-blocking socket, before its handshake
 * It will verify the certificate for place (RFC 9525: a host name or an address). NULL: out of
 * memory, or the name is none. To be freed with SSL_free(), which leaves fd open.
 */
SSL *redis_tls_start(struct redis_tls *tls, const struct redis_place *place, int fd);

/*
 * redis_tls_why - why a call on an SSL failed, for the log
 * result is what the call returned; errno must be that of the call. Empties the thread's queue of
 * errors. The text is written to why (size octets).
 */
void redis_tls_why(const SSL *ssl, int result, char *why, size_t size);

#endif

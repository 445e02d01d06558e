/*
 * tls.c - TLS to Redis: what is trusted, who we are, and the handshake
 *
 * OpenSSL is used directly, because the parts of it that matter here are out of hiredis_ssl's
 * reach: that library does not compare the certificate with the host, tells no reason, and its
 * calls stumble over errors that other libraries left in the thread's queue (libopendkim does).
 * Besides, hiredis before 1.0 has none of it.
 *
 * The certificate is verified always, chain and name. Who has a self-signed one names it as
 * ca_file. What cannot be asked of a certificate is left out: a Cluster's nodes are announced by
 * address, so that one name for all of them may be configured.
 *
 * Thread rule: tls->lock guards the pointer to the SSL_CTX, which counts its users itself and is
 * not changed once it is there.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "filter/redis/tls.h"
#include "policy/base/mem.h"
#include "policy/base/text.h"

struct redis_tls {
	struct redis_tls_options options;
	pthread_mutex_t lock;
	SSL_CTX *ssl_ctx;
};

/* --- reading the files --- */

/* last_reason - the oldest error of the thread's queue, which is emptied, as text; NULL: there is
 * none */
static const char *
last_reason(void)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	/* System errors have no text of OpenSSL's own. */
	if (reason == NULL && code != 0)
		reason = strerror(ERR_GET_REASON(code));
	ERR_clear_error();
	return reason;
}

/* redis_tls_no_passphrase - there is no one to type it */
static int
redis_tls_no_passphrase(char *buffer, int size, int writing, void *arg)
{
	(void)writing;
	(void)arg;
	if (size > 0)
		buffer[0] = '\0';
	return -1;
}

/* load_trusted - whom to believe */
static int
load_trusted(TALLOC_CTX *ctx, SSL_CTX *ssl_ctx, const char *file, const char **error_r)
{
	if (file == NULL && SSL_CTX_set_default_verify_paths(ssl_ctx) != 1) {
		*error_r = mem_printf(ctx,
		    "the system's certificates cannot be read: %s; name a tls_ca_cert_file",
		    last_reason());
		return -1;
	}
	if (file != NULL && SSL_CTX_load_verify_locations(ssl_ctx, file, NULL) != 1) {
		*error_r = mem_printf(ctx,
		    "tls_ca_cert_file %s cannot be used: %s; it must hold certificates in PEM, "
		    "and the daemon's account must be able to read it",
		    file, last_reason());
		return -1;
	}
	return 0;
}

/* redis_tls_is_private - whether a key file is for its owner and group alone */
static bool
redis_tls_is_private(TALLOC_CTX *ctx, const char *file, const char **error_r)
{
	struct stat st;

	if (stat(file, &st) != 0)
		*error_r =
		    mem_printf(ctx, "tls_key_file %s cannot be read: %s", file, strerror(errno));
	else if ((st.st_mode & 07) != 0)
		*error_r = mem_printf(
		    ctx, "tls_key_file %s can be read by others; chmod o-rwx %s", file, file);
	else
		return true;
	return false;
}

/* load_own - who we are */
static int
load_own(TALLOC_CTX *ctx, SSL_CTX *ssl_ctx, const struct redis_tls_options *options,
    const char **error_r)
{
	if (options->cert_file == NULL)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(ssl_ctx, options->cert_file) != 1) {
		*error_r = mem_printf(ctx,
		    "tls_cert_file %s cannot be used: %s; it must hold our certificate in PEM, with "
		    "its chain",
		    options->cert_file, last_reason());
		return -1;
	}
	if (!redis_tls_is_private(ctx, options->key_file, error_r))
		return -1;
	if (SSL_CTX_use_PrivateKey_file(ssl_ctx, options->key_file, SSL_FILETYPE_PEM) != 1) {
		*error_r = mem_printf(ctx,
		    "tls_key_file %s cannot be used: %s; it must hold the key of tls_cert_file "
		    "in PEM, without a passphrase",
		    options->key_file, last_reason());
		return -1;
	}
	return 0;
}

/* redis_tls_load - all of it; NULL with an error */
static SSL_CTX *
redis_tls_load(TALLOC_CTX *ctx, const struct redis_tls_options *options, const char **error_r)
{
	SSL_CTX *ssl_ctx;

	ERR_clear_error();
	if ((options->cert_file == NULL) != (options->key_file == NULL)) {
		*error_r = "tls_cert_file and tls_key_file belong together";
		return NULL;
	}
	ssl_ctx = mem_check(SSL_CTX_new(TLS_client_method()));
	(void)SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_default_passwd_cb(ssl_ctx, redis_tls_no_passphrase);
	/* A certificate in ca_file is trusted, even if it is not that of an authority. */
	(void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl_ctx), X509_V_FLAG_PARTIAL_CHAIN);
	if (load_trusted(ctx, ssl_ctx, options->ca_file, error_r) == 0 &&
	    load_own(ctx, ssl_ctx, options, error_r) == 0)
		return ssl_ctx;
	SSL_CTX_free(ssl_ctx);
	return NULL;
}

/* --- construction and destruction --- */

/* tls_free - talloc destructor */
static int
tls_free(struct redis_tls *tls)
{
	SSL_CTX_free(tls->ssl_ctx);
	(void)pthread_mutex_destroy(&tls->lock);
	return 0;
}

/* redis_tls_options_copy - a copy with its own strings */
struct redis_tls_options
redis_tls_options_copy(TALLOC_CTX *ctx, const struct redis_tls_options *options)
{
	struct redis_tls_options copy = *options;

	copy.ca_file = mem_strdup_or_null(ctx, options->ca_file);
	copy.cert_file = mem_strdup_or_null(ctx, options->cert_file);
	copy.key_file = mem_strdup_or_null(ctx, options->key_file);
	copy.name = mem_strdup_or_null(ctx, options->name);
	return copy;
}

/* redis_tls_new - read the files */
struct redis_tls *
redis_tls_new(TALLOC_CTX *ctx, const struct redis_tls_options *options, const char **error_r)
{
	SSL_CTX *ssl_ctx = redis_tls_load(ctx, options, error_r);
	struct redis_tls *tls;

	if (ssl_ctx == NULL)
		return NULL;
	tls = mem_new(ctx, struct redis_tls);
	tls->ssl_ctx = ssl_ctx;
	tls->options = redis_tls_options_copy(tls, options);
	(void)pthread_mutex_init(&tls->lock, NULL);
	talloc_set_destructor(tls, tls_free);
	return tls;
}

/* expect - whose certificate it has to be; false if that cannot be said */
static bool
expect(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	char *copy;
	bool good;

	/* For OpenSSL no name is any name, and a dot in front stands for all names below. */
	if (name == NULL || name[0] == '\0' || name[0] == '.')
		return false;
	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return true;
	ERR_clear_error();
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	copy = mem_strdup(NULL, name);	/* the macro takes off const */
	good = X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
	    SSL_set_tlsext_host_name(ssl, copy) == 1;
	talloc_free(copy);
	return good;
}

/* redis_tls_check - whether the files can be used, and the name be one */
bool
redis_tls_check(TALLOC_CTX *ctx, const struct redis_tls_options *options, const char **error_r)
{
	SSL_CTX *ssl_ctx;
	SSL *ssl;
	bool good;

	ssl_ctx = redis_tls_load(ctx, options, error_r);
	if (ssl_ctx == NULL)
		return false;
	ssl = mem_check(SSL_new(ssl_ctx));
	good = options->name == NULL || expect(ssl, options->name);
	if (!good)
		*error_r = mem_printf(
		    ctx, "tls_name = \"%s\" is neither a host name nor an address", options->name);
	SSL_free(ssl);
	SSL_CTX_free(ssl_ctx);
	ERR_clear_error();
	return good;
}

/* redis_tls_renew - read the files again */
int
redis_tls_renew(struct redis_tls *tls, TALLOC_CTX *ctx, const char **error_r)
{
	SSL_CTX *next = redis_tls_load(ctx, &tls->options, error_r), *last;

	if (next == NULL)
		return -1;
	(void)pthread_mutex_lock(&tls->lock);
	last = tls->ssl_ctx;
	tls->ssl_ctx = next;
	(void)pthread_mutex_unlock(&tls->lock);
	SSL_CTX_free(last);
	return 0;
}

/* redis_tls_options_equal - whether two configurations mean the same */
bool
redis_tls_options_equal(const struct redis_tls_options *a, const struct redis_tls_options *b)
{
	return a->on == b->on &&
	    (!a->on ||
		(text_same(a->ca_file, b->ca_file) && text_same(a->cert_file, b->cert_file) &&
		    text_same(a->key_file, b->key_file) && text_same(a->name, b->name)));
}

/* --- one connection --- */

/* redis_tls_has_own - whether we have a certificate to show */
bool
redis_tls_has_own(const struct redis_tls *tls)
{
	return tls->options.cert_file != NULL;
}

/* redis_tls_start - the client's end on a connected socket */
SSL *
redis_tls_start(struct redis_tls *tls, const struct redis_place *place, int fd)
{
	const char *name = tls->options.name != NULL ? tls->options.name : place->host;
	SSL *ssl;

	ERR_clear_error();
	(void)pthread_mutex_lock(&tls->lock);
	ssl = SSL_new(tls->ssl_ctx);
	(void)pthread_mutex_unlock(&tls->lock);
	if (ssl == NULL)
		return NULL;
	SSL_set_connect_state(ssl);
	if (expect(ssl, name) && SSL_set_fd(ssl, fd) == 1)
		return ssl;
	SSL_free(ssl);
	ERR_clear_error();
	return NULL;
}

/* verify_hint - how to correct the most common errors of a certificate */
static const char *
verify_hint(long code)
{
	switch (code) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return " (tls_name sets another name for it)";
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return " (tls_ca_cert_file names the trusted authorities)";
	default:
		return "";
	}
}

/* redis_tls_why - why a call on an SSL failed */
void
redis_tls_why(const SSL *ssl, int result, char *why, size_t size)
{
	int saved = errno, kind = SSL_get_error(ssl, result);
	long verified = SSL_get_verify_result(ssl);
	const char *reason;

	if (verified != X509_V_OK) {
		ERR_clear_error();
		(void)snprintf(why, size, "its certificate is not accepted: %s%s",
		    X509_verify_cert_error_string(verified), verify_hint(verified));
		return;
	}
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING
	if (kind == SSL_ERROR_SSL &&
	    ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		kind = SSL_ERROR_SYSCALL;
		saved = 0;
		ERR_clear_error();
	}
#endif
	reason = last_reason();
	if (kind == SSL_ERROR_ZERO_RETURN || (kind == SSL_ERROR_SYSCALL && saved == 0))
		(void)snprintf(why, size, "Server closed the connection");
	else if (kind == SSL_ERROR_SYSCALL)
		(void)snprintf(why, size, "%s", strerror(saved));
	else
		(void)snprintf(why, size, "TLS: %s", reason != NULL ? reason : "it failed");
}

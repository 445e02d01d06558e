/*
 * certificate.c - certificates for tests, made on the spot
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/certificate.h"

#define DAY	86400L

/* must - the test cannot go on */
static void
must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

/* open_file - directory/name with an end */
static FILE *
open_file(const char *directory, const char *name, const char *end, const char *mode)
{
	char path[512];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s%s", directory, name, end);
	file = fopen(path, mode);
	must(file != NULL, path);
	return file;
}

static EVP_PKEY *
new_key(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
	EVP_PKEY *key = NULL;

	must(ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1) == 1 &&
	    EVP_PKEY_keygen(ctx, &key) == 1, "making a key");
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static void
add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, value);
	X509_EXTENSION_free(extension);
}

static X509 *
new_certificate(const char *name, EVP_PKEY *key, struct certificate_dates dates)
{
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_NAME_new();
	uint32_t serial;

	must(certificate != NULL && subject != NULL &&
		RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1,
	    "a certificate");
	must(X509_set_version(certificate, 2) == 1 &&
		ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long)(serial >> 1)) == 1 &&
		X509_gmtime_adj(X509_getm_notBefore(certificate), dates.from * DAY) != NULL &&
		X509_gmtime_adj(X509_getm_notAfter(certificate), dates.until * DAY) != NULL &&
		X509_NAME_add_entry_by_txt(
		    subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1 &&
		X509_set_subject_name(certificate, subject) == 1 &&
		X509_set_pubkey(certificate, key) == 1,
	    "a certificate's fields");
	X509_NAME_free(subject);
	return certificate;
}

static void
save(const char *directory, const char *name, X509 *certificate, EVP_PKEY *key)
{
	FILE *file = open_file(directory, name, ".pem", "w");

	must(PEM_write_X509(file, certificate) == 1, "writing a certificate");
	fclose(file);
	file = open_file(directory, name, ".key", "w");
	must(fchmod(fileno(file), 0600) == 0 &&
		PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1,
	    "writing a key");
	fclose(file);
}

void
certificate_make(const char *directory, const char *name, const char *issuer_name,
    const char *alternative, struct certificate_dates dates)
{
	EVP_PKEY *key = new_key(), *issuer_key = key;
	X509 *certificate = new_certificate(name, key, dates), *issuer = certificate;
	FILE *file;

	if (issuer_name != NULL) {
		file = open_file(directory, issuer_name, ".pem", "r");
		issuer = PEM_read_X509(file, NULL, NULL, NULL);
		fclose(file);
		file = open_file(directory, issuer_name, ".key", "r");
		issuer_key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
		fclose(file);
	}
	must(issuer != NULL && issuer_key != NULL &&
	    X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1, "the issuer");
	add_extension(certificate, issuer, NID_basic_constraints,
	    issuer_name == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
	add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
	if (alternative != NULL)
		add_extension(certificate, issuer, NID_subject_alt_name, alternative);
	must(X509_sign(certificate, issuer_key, EVP_sha256()) > 0, "signing a certificate");
	save(directory, name, certificate, key);
	if (issuer != certificate) {
		X509_free(issuer);
		EVP_PKEY_free(issuer_key);
	}
	X509_free(certificate);
	EVP_PKEY_free(key);
}

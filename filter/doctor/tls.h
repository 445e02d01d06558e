/*
 * tls.h - certificates as the checks see them
 */
#ifndef FILTER_DOCTOR_TLS_H
#define FILTER_DOCTOR_TLS_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "filter/doctor/inside.h"

#define TLS_FILES	8	/* of one service */
#define TLS_CHAIN	16	/* certificates of a file */

/* A file of certificates, the leaf first. */
struct tls_file {
	const char *cert;	/* paths; NULL: no such file */
	const char *key;
	const char *where;	/* of the setting */
	X509 *chain[TLS_CHAIN];	/* once they are read */
	size_t n;
};

/* tls_files_find - the certificates of a service of Postfix, or of Sendmail (NULL); how many */
size_t tls_files_find(struct exam *exam, const struct postfix_service *service,
    struct tls_file files[TLS_FILES]);

/* tls_file_read - read the certificates of a file; false with errno, 0 if it holds none */
bool tls_file_read(struct tls_file *file);

/* tls_file_free - and what a failed parse left behind */
void tls_file_free(struct tls_file *file);

#endif

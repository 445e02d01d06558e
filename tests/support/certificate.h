/*
 * certificate.h - certificates for tests, made on the spot
 *
 * Every function ends the test program when it cannot do its work.
 */
#ifndef TESTS_SUPPORT_CERTIFICATE_H
#define TESTS_SUPPORT_CERTIFICATE_H

/* Days from now. */
struct certificate_dates {
	int from;
	int until;
};

/*
 * certificate_make - directory/name.pem and directory/name.key (mode 0600)
 * issuer: the name of one made before in the same directory, or NULL: it signs itself and is an
 * authority. alternative: what X509v3 subjectAltName holds, e.g. "DNS:localhost,IP:127.0.0.1", or
 * NULL.
 */
void certificate_make(const char *directory, const char *name, const char *issuer,
    const char *alternative, struct certificate_dates dates);

#endif

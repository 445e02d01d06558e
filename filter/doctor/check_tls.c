/*
 * check_tls.c - can users talk to us by TLS, and is the certificate good? By settings and files
 *
 * What ports really serve is looked at in check_ports.c.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "filter/base/plain_file.h"
#include "filter/doctor/tls.h"
#include "policy/base/mem.h"

#define TLS_LINES	10000	/* of a file that is looked through */
#define TLS_SOON_S	(14 * 86400)

/* --- files ----------------------------------------------------------------- */

/* no_password - of an encrypted key: there is none */
static int
no_password(char *buffer, int size, int writing, void *arg)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

void
tls_file_free(struct tls_file *file)
{
	while (file->n > 0)
		X509_free(file->chain[--file->n]);
	ERR_clear_error();
}

bool
tls_file_read(struct tls_file *file)
{
	BIO *bio;
	X509 *one;

	errno = 0;
	bio = BIO_new_file(file->cert, "r");
	while (bio != NULL && file->n < TLS_CHAIN &&
	    (one = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL)
		file->chain[file->n++] = one;
	if (bio != NULL) {
		BIO_free(bio);
		errno = 0;
	}
	ERR_clear_error();
	return file->n > 0;
}

/* unreadable - a finding about a file; not knowing is none */
static void
unreadable(struct exam *exam, const char *path, const char *where, const char *why)
{
	if (errno == EACCES && geteuid() != 0)
		exam_add_level(exam, DOCTOR_UNKNOWN, "tls.unreadable", path, "run this as root",
		    "the file cannot be read by this user");
	else
		exam_add(exam, "tls.unreadable", path, exam_text(exam, "correct %s", where), "%s",
		    why);
}

/* read_chain - the certificates of a file; false: a finding was made */
static bool
read_chain(struct exam *exam, struct tls_file *file)
{
	if (tls_file_read(file))
		return true;
	unreadable(exam, file->cert, file->where, errno != 0
		? exam_text(exam, "the certificate cannot be read: %s", strerror(errno))
		: "the file holds no certificate in PEM");
	return false;
}

/* check_key - is it the certificate's, and closed? */
static void
check_key(struct exam *exam, const struct tls_file *file)
{
	struct stat st;
	EVP_PKEY *key;
	BIO *bio;

	errno = 0;
	bio = BIO_new_file(file->key, "r");
	if (bio == NULL) {
		unreadable(exam, file->key, file->where,
		    exam_text(exam, "the key cannot be read: %s", strerror(errno)));
		ERR_clear_error();
		return;
	}
	key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	BIO_free(bio);
	errno = 0;
	if (key == NULL)
		unreadable(exam, file->key, file->where,
		    "the file holds no key in PEM without a passphrase");
	else if (X509_check_private_key(file->chain[0], key) != 1)
		exam_add(exam, "tls.key-mismatch", file->key,
		    exam_text(exam, "correct %s", file->where),
		    "the key does not belong to the certificate %s", file->cert);
	EVP_PKEY_free(key);
	ERR_clear_error();
	if (stat(file->key, &st) == 0 && (st.st_mode & S_IROTH) != 0)
		exam_add(exam, "tls.key-open", file->key,
		    exam_text(exam, "chmod 600 %s", file->key),
		    "everyone can read the key (mode %04o)", (unsigned int)(st.st_mode & 07777));
}

/* check_dates - expired, or soon */
static void
check_dates(struct exam *exam, const struct tls_file *file)
{
	time_t now = time(NULL), soon = now + TLS_SOON_S;
	const ASN1_TIME *end = X509_get0_notAfter(file->chain[0]);

	if (X509_cmp_time(X509_get0_notBefore(file->chain[0]), &now) > 0)
		exam_add(exam, "tls.expired", file->cert, "look at the clock, or get another one",
		    "the certificate is not valid yet");
	else if (X509_cmp_time(end, &now) < 0)
		exam_add(exam, "tls.expired", file->cert, "renew it, then postfix reload",
		    "the certificate has expired");
	else if (X509_cmp_time(end, &soon) < 0)
		exam_add(exam, "tls.expires-soon", file->cert, "renew it, then postfix reload",
		    "the certificate expires within 14 days");
}

/* names - has it a name of ours? Ours are the host name and those of the MX of own domains. */
static bool
names_us(struct exam *exam, X509 *leaf, const char *host)
{
	bool found = X509_check_host(leaf, host, 0, 0, NULL) == 1;

	for (size_t i = 0; i < exam->site->n_domains && i < 20 && !found; i++) {
		const struct dns_answer *answer = exam_ask(exam, exam->site->domains[i], DNS_MX);

		for (size_t k = 0; k < answer->count && !found; k++)
			found = answer->records[k].len > 0 &&
			    X509_check_host(leaf, (const char *)answer->records[k].data,
				answer->records[k].len, 0, NULL) == 1;
	}
	return found;
}

/* issued_by_file - is the leaf's issuer in a file of certificates? */
static bool
issued_by_file(X509 *leaf, const char *path)
{
	BIO *bio = path[0] != '\0' ? BIO_new_file(path, "r") : NULL;
	bool found = false;
	X509 *one;

	while (bio != NULL && !found &&
	    (one = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
		found = X509_check_issued(one, leaf) == X509_V_OK;
		X509_free(one);
	}
	BIO_free(bio);
	ERR_clear_error();
	return found;
}

/* issued_by_root - or in the system's store of roots? */
static bool
issued_by_root(X509 *leaf)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	X509 *issuer = NULL;
	bool found = false;

	if (store != NULL && context != NULL && X509_STORE_set_default_paths(store) == 1 &&
	    X509_STORE_CTX_init(context, store, leaf, NULL) == 1)
		found = X509_STORE_CTX_get1_issuer(&issuer, context, leaf) == 1;
	X509_free(issuer);
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	ERR_clear_error();
	return found;
}

/* check_issuer - self-signed, or without the certificate that signed it */
static void
check_issuer(struct exam *exam, const char *authorities, const struct tls_file *file, bool auth)
{
	X509 *leaf = file->chain[0];
	bool found = false;

	if (X509_check_issued(leaf, leaf) == X509_V_OK) {
		if (auth)
			exam_add(exam, "tls.self-signed", file->cert,
			    "get a certificate from an authority, such as Let's Encrypt",
			    "the certificate is self-signed: mail programs of users will warn");
		return;
	}
	for (size_t i = 1; i < file->n; i++)
		found = found || X509_check_issued(file->chain[i], leaf) == X509_V_OK;
	if (found || issued_by_file(leaf, authorities) || issued_by_root(leaf))
		return;
	exam_add(exam, "tls.chain", file->cert, "use the file with the whole chain, fullchain.pem",
	    "the file does not hold the certificate of the authority that signed the first one");
}

/* --- a service ------------------------------------------------------------- */

/* is_file - a value that names one */
static bool
is_file(const char *value)
{
	return value[0] != '\0' && strcasecmp(value, "none") != 0;
}

/* find_sendmail - the certificate of sendmail.cf */
static size_t
find_sendmail(struct exam *exam, struct tls_file *file)
{
	const struct sendmail *sendmail = exam->site->sendmail;
	const struct sendmail_line *cert = sendmail_find(sendmail, 'O', "ServerCertFile");
	const struct sendmail_line *key = sendmail_find(sendmail, 'O', "ServerKeyFile");

	if (cert == NULL || cert->value[0] != '/')
		return 0;
	*file = (struct tls_file){ .cert = cert->value,
		.key = key != NULL && key->value[0] == '/' ? key->value : cert->value,
		.where = sendmail_where(exam->ctx, sendmail, cert) };
	return 1;
}

/* has_key_only - a file with a key and no certificate: that follows in the next file */
static bool
has_key_only(const char *path)
{
	FILE *file = plain_file(path);
	char *line = NULL;
	bool key = false, cert = false;
	size_t size = 0;

	for (int n = 0; file != NULL && n < TLS_LINES && getline(&line, &size, file) > 0; n++) {
		key = key || (strncmp(line, "-----BEGIN ", 11) == 0 &&
		    strstr(line, "PRIVATE KEY-----") != NULL);
		cert = cert || strncmp(line, "-----BEGIN CERTIFICATE-----", 27) == 0;
	}
	free(line);
	if (file != NULL)
		(void)fclose(file);
	return key && !cert;
}

size_t
tls_files_find(
    struct exam *exam, const struct postfix_service *service, struct tls_file files[TLS_FILES])
{
	static const char *const kinds[] = { "smtpd_tls_cert_file", "smtpd_tls_key_file",
		"smtpd_tls_eccert_file", "smtpd_tls_eckey_file" };
	const struct postfix *postfix = exam->site->postfix;
	const char *list, *path, *key = NULL; /* of the file that follows */
	size_t n = 0;

	if (service == NULL)
		return find_sendmail(exam, files);
	list = postfix_value(exam->ctx, postfix, service, "smtpd_tls_chain_files");
	while (n < TLS_FILES && (path = postfix_word(exam->ctx, &list)) != NULL) {
		if (key == NULL && has_key_only(path)) {
			key = path;
			continue;
		}
		files[n] = (struct tls_file){ .cert = path, .key = key != NULL ? key : path,
			.where = postfix_where(
			    exam->ctx, postfix, service, "smtpd_tls_chain_files") };
		key = NULL;
		n++;
	}
	for (size_t i = 0; n == 0 && i < 4; i += 2) {
		const char *cert = postfix_value(exam->ctx, postfix, service, kinds[i]);

		if (!is_file(cert))
			continue;
		key = postfix_value(exam->ctx, postfix, service, kinds[i + 1]);
		files[i / 2] = (struct tls_file){ .cert = cert, .key = is_file(key) ? key : cert,
			.where = postfix_where(exam->ctx, postfix, service, kinds[i]) };
		if (i == 2 || !is_file(postfix_value(exam->ctx, postfix, service, kinds[2])))
			return i / 2 + 1;
	}
	return n;
}

/* level_of - smtpd_tls_security_level, or what its forerunners say */
static const char *
level_of(struct exam *exam, const struct postfix_service *service)
{
	const struct postfix *postfix = exam->site->postfix;
	const char *level =
	    postfix_value(exam->ctx, postfix, service, "smtpd_tls_security_level");

	if (postfix_yes(exam->ctx, postfix, service, "smtpd_tls_wrappermode"))
		return "encrypt";
	if (level[0] != '\0')
		return level;
	if (postfix_yes(exam->ctx, postfix, service, "smtpd_enforce_tls"))
		return "encrypt";
	return postfix_yes(exam->ctx, postfix, service, "smtpd_use_tls") ? "may" : "none";
}

/* check_files - the certificates of a service, or of Sendmail (NULL) */
static void
check_files(struct exam *exam, const struct postfix_service *service, const char *host,
    const char *authorities, bool auth)
{
	struct tls_file files[TLS_FILES] = { { .n = 0 } };
	size_t n = tls_files_find(exam, service, files);

	for (size_t i = 0; i < n; i++) {
		struct tls_file *file = &files[i];

		if (file->cert == NULL || !read_chain(exam, file))
			continue;
		check_key(exam, file);
		check_dates(exam, file);
		check_issuer(exam, authorities, file, auth);
		if (!names_us(exam, file->chain[0], host))
			exam_add_level(exam, auth ? DOCTOR_ERROR : DOCTOR_WARNING, "tls.name",
			    file->cert, exam_text(exam, "get a certificate for %s", host),
			    "the certificate does not have the name %s", host);
		tls_file_free(file);
	}
}

void
examine_certificates(struct exam *exam)
{
	const struct postfix *postfix = exam->site->postfix;
	const struct sendmail *sendmail = exam->site->sendmail;
	const struct sendmail_line *authorities =
	    sendmail != NULL ? sendmail_find(sendmail, 'O', "CACertFile") : NULL;

	/* services with AUTH first: of two findings about a file theirs is the graver */
	for (int auth = 1; postfix != NULL && auth >= 0; auth--)
		for (size_t i = 0; i < postfix->n_services; i++) {
			const struct postfix_service *service = &postfix->services[i];

			if (postfix_is_smtpd(service) && service->n_broken == 0 &&
			    postfix_has_auth(exam->ctx, postfix, service) == (auth != 0) &&
			    strcasecmp(level_of(exam, service), "none") != 0)
				check_files(exam, service,
				    postfix_value(exam->ctx, postfix, service, "myhostname"),
				    postfix_value(exam->ctx, postfix, service, "smtpd_tls_CAfile"),
				    auth != 0);
		}
	if (sendmail != NULL && exam->site->helo != NULL)
		check_files(exam, NULL, exam->site->helo,
		    authorities != NULL ? authorities->value : "",
		    site_sendmail_asks(exam->ctx, sendmail));
}

/* --- settings -------------------------------------------------------------- */

/* allows_old - does a list of protocols allow TLS before 1.2? */
static bool
allows_old(struct exam *exam, const char *list)
{
	static const char *const old[] = { "SSLv3", "TLSv1", "TLSv1.1" };
	bool included = false, allowed[3] = { true, true, true };
	const char *word;

	while ((word = postfix_word(exam->ctx, &list)) != NULL) {
		if (strncmp(word, ">=", 2) == 0)
			return strcasecmp(word + 2, "TLSv1.2") != 0 &&
			    strcasecmp(word + 2, "TLSv1.3") != 0 &&
			    strcasecmp(word + 2, "0303") != 0 && strcasecmp(word + 2, "0304") != 0;
		for (size_t i = 0; i < 3; i++) {
			if (word[0] == '!' && strcasecmp(word + 1, old[i]) == 0)
				allowed[i] = false;
			if (strcasecmp(word, old[i]) == 0)
				return true;
		}
		included = included || (word[0] != '!' && word[0] != '<');
	}
	return !included && (allowed[0] || allowed[1] || allowed[2]);
}

/* check_protocols - only what the administrator has written */
static void
check_protocols(struct exam *exam, const struct postfix_service *service, const char *level)
{
	const struct postfix *postfix = exam->site->postfix;
	const char *name = strcasecmp(level, "encrypt") == 0 ? "smtpd_tls_mandatory_protocols"
							      : "smtpd_tls_protocols";
	const char *value = postfix_value(exam->ctx, postfix, service, name);

	if ((postfix_override(service, name) != NULL || postfix_set(postfix, name)) &&
	    allows_old(exam, value))
		exam_add(exam, "tls.old-protocol", postfix_where(exam->ctx, postfix, service, name),
		    exam_text(exam, "%s = >=TLSv1.2", name),
		    "%s = %s allows TLS before 1.2", name, value);
}

/* check_offered - STARTTLS, or TLS from the start; false: it is not */
static bool
check_offered(
    struct exam *exam, const struct postfix_service *service, const char *level, bool auth)
{
	struct tls_file files[TLS_FILES] = { { .n = 0 } };
	const struct postfix *postfix = exam->site->postfix;
	bool none = strcasecmp(level, "none") == 0;

	if (!none && tls_files_find(exam, service, files) > 0)
		return true;
	if (site_misspelt(exam->site, "tls"))
		return false;
	if (auth || (service->port == 25 && site_outside(exam->site, service)))
		exam_add_level(exam, auth ? DOCTOR_ERROR : DOCTOR_WARNING, "tls.not-offered",
		    none ? postfix_where(exam->ctx, postfix, service, "smtpd_tls_security_level")
			 : postfix_where(exam->ctx, postfix, service, "smtpd_tls_cert_file"),
		    none ? auth ? "-o smtpd_tls_security_level=encrypt"
				: "smtpd_tls_security_level = may"
			 : "smtpd_tls_cert_file = /etc/ssl/HOST/fullchain.pem",
		    none ? "service %s does not offer TLS" : "service %s has no certificate",
		    service->name);
	return false;
}

/* check_service_settings - one smtpd */
static void
check_service_settings(struct exam *exam, const struct postfix_service *service)
{
	const struct postfix *postfix = exam->site->postfix;
	bool auth = postfix_has_auth(exam->ctx, postfix, service);
	bool wrapped = postfix_yes(exam->ctx, postfix, service, "smtpd_tls_wrappermode");
	const char *level = level_of(exam, service);

	if (service->port == 465 && !wrapped) {
		exam_add(exam, "tls.wrapper",
		    postfix_where(exam->ctx, postfix, service, "smtpd_tls_wrappermode"),
		    "-o smtpd_tls_wrappermode=yes",
		    "service %s is on port 465, where TLS begins at once, and waits for STARTTLS",
		    service->name);
		return;
	}
	if (service->port == 587 && wrapped) {
		exam_add(exam, "tls.wrapper",
		    postfix_where(exam->ctx, postfix, service, "smtpd_tls_wrappermode"),
		    "-o smtpd_tls_wrappermode=no",
		    "service %s is on port 587, where clients begin without TLS, and waits for TLS",
		    service->name);
		return;
	}
	if (!check_offered(exam, service, level, auth))
		return;
	check_protocols(exam, service, level);
	if (auth && strcasecmp(level, "may") == 0 && site_outside(exam->site, service) &&
	    !site_misspelt(exam->site, "tls") &&
	    !postfix_yes(exam->ctx, postfix, service, "smtpd_tls_auth_only"))
		exam_add(exam, "auth.without-tls",
		    postfix_where(exam->ctx, postfix, service, "smtpd_tls_auth_only"),
		    "smtpd_tls_auth_only = yes",
		    "service %s takes passwords without TLS", service->name);
}

void
examine_tls_settings(struct exam *exam)
{
	const struct postfix *postfix = exam->site->postfix;

	for (size_t i = 0; postfix != NULL && i < postfix->n_services; i++)
		if (postfix_is_smtpd(&postfix->services[i]) &&
		    postfix->services[i].n_broken == 0)
			check_service_settings(exam, &postfix->services[i]);
}

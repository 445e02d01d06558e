/*
 * check_tls.c - can users talk to us by TLS, and do they see a certificate that is good?
 *
 * The files that Postfix names are read with OpenSSL; a port that answers under our name is asked
 * for what it serves, to notice a renewed certificate that was never loaded.
 *
 * Threads: any; the site is only read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "filter/base/clock.h"
#include "filter/base/socket.h"
#include "filter/doctor/inside.h"
#include "policy/base/mem.h"

#define TLS_SOON_S	(14 * 86400)
#define TLS_FILES	8	/* of one service */
#define TLS_CHAIN	16	/* certificates of a file */
#define TLS_WAIT_MS	1500	/* for each step of a conversation with a port of ours */

/* A file of certificates, the leaf first. */
struct tls_file {
	const char *cert;	/* paths */
	const char *key;
	const char *where;	/* of the setting */
	X509 *chain[TLS_CHAIN];
	size_t n;
};

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

/* file_free - and what a failed parse left behind */
static void
file_free(struct tls_file *file)
{
	while (file->n > 0)
		X509_free(file->chain[--file->n]);
	ERR_clear_error();
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
	BIO *bio;
	X509 *one;

	errno = 0;
	bio = BIO_new_file(file->cert, "r");
	if (bio == NULL) {
		unreadable(exam, file->cert, file->where,
		    exam_text(exam, "the certificate cannot be read: %s", strerror(errno)));
		file_free(file);
		return false;
	}
	while (file->n < TLS_CHAIN &&
	    (one = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL)
		file->chain[file->n++] = one;
	BIO_free(bio);
	errno = 0;
	if (file->n == 0)
		unreadable(exam, file->cert, file->where, "the file holds no certificate in PEM");
	ERR_clear_error();
	return file->n > 0;
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

	if (X509_cmp_time(end, &now) < 0)
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
check_issuer(struct exam *exam, const struct postfix_service *service, const struct tls_file *file,
    bool auth)
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
	if (found ||
	    issued_by_file(leaf,
		postfix_value(exam->ctx, exam->site->postfix, service, "smtpd_tls_CAfile")) ||
	    issued_by_root(leaf))
		return;
	exam_add(exam, "tls.chain", file->cert, "use the file with the whole chain, fullchain.pem",
	    "the file does not hold the certificate of the authority that signed the first one");
}

/* --- what a port serves ---------------------------------------------------- */

/* A conversation with a port of our own. */
struct tls_talk {
	int fd;
	SSL *ssl;		/* once TLS is on */
};

static ssize_t
talk_read(struct tls_talk *talk, char *buffer, size_t size)
{
	return talk->ssl != NULL ? SSL_read(talk->ssl, buffer, (int)size)
				 : recv(talk->fd, buffer, size, 0);
}

/* talk_reply - one SMTP reply; its code, or 0. The text in buffer. */
static int
talk_reply(struct tls_talk *talk, char *buffer, size_t size)
{
	size_t len = 0;

	for (;;) {
		ssize_t got = talk_read(talk, buffer + len, size - len - 1);
		const char *last;

		if (got <= 0)
			return 0;
		len += (size_t)got;
		buffer[len] = '\0';
		last = len > 1 ? memrchr(buffer, '\n', len - 1) : NULL;
		last = last != NULL ? last + 1 : buffer;
		if (buffer[len - 1] == '\n' && strlen(last) > 3 && last[3] != '-')
			return atoi(last);
		if (len + 1 >= size)
			return 0;
	}
}

/* talk_open - to where a service listens; false: nothing does */
static bool
talk_open(struct tls_talk *talk, const struct postfix_service *service)
{
	const struct timeval wait = { .tv_sec = TLS_WAIT_MS / 1000,
		.tv_usec = TLS_WAIT_MS % 1000 * 1000 };
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)service->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)service->port) };
	const char *host = service->host != NULL && strcasecmp(service->host, "localhost") != 0
	    ? service->host
	    : "127.0.0.1";

	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
		talk->fd = socket_connect((const struct sockaddr *)&v4, sizeof(v4),
		    clock_ms() + TLS_WAIT_MS);
	else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
		talk->fd = socket_connect((const struct sockaddr *)&v6, sizeof(v6),
		    clock_ms() + TLS_WAIT_MS);
	if (talk->fd < 0)
		return false;
	(void)fcntl(talk->fd, F_SETFL, 0);
	(void)setsockopt(talk->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	(void)setsockopt(talk->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	return true;
}

/* talk_tls - the handshake; the certificate that is served, or NULL */
static X509 *
talk_tls(struct tls_talk *talk, SSL_CTX *context, const char *host)
{
	char *name = mem_strdup(NULL, host); /* OpenSSL takes what is not const, and copies it */

	talk->ssl = SSL_new(context);
	if (talk->ssl != NULL)
		(void)SSL_set_tlsext_host_name(talk->ssl, name);
	talloc_free(name);
	if (talk->ssl == NULL || SSL_set_fd(talk->ssl, talk->fd) != 1)
		return NULL;
	return SSL_connect(talk->ssl) == 1 ? SSL_get1_peer_certificate(talk->ssl) : NULL;
}

/* talk_start - to the point where TLS begins; false: another host answers there, or none */
static bool
talk_start(struct tls_talk *talk, const char *host)
{
	static const char hello[] = "EHLO countersign.invalid\r\n", start[] = "STARTTLS\r\n";
	char buffer[8192];

	return talk_reply(talk, buffer, sizeof(buffer)) == 220 &&
	    strcasestr(buffer, host) != NULL &&
	    send(talk->fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL) > 0 &&
	    talk_reply(talk, buffer, sizeof(buffer)) == 250 &&
	    send(talk->fd, start, sizeof(start) - 1, MSG_NOSIGNAL) > 0 &&
	    talk_reply(talk, buffer, sizeof(buffer)) == 220;
}

/* served - the certificate of a port of ours, or NULL */
static X509 *
served(struct exam *exam, const struct postfix_service *service, const char *host)
{
	bool wrapped =
	    postfix_yes(exam->ctx, exam->site->postfix, service, "smtpd_tls_wrappermode");
	struct tls_talk talk = { .fd = -1 };
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	X509 *found = NULL;
	char buffer[8192];

	if (context != NULL && service->port > 0 && talk_open(&talk, service) &&
	    (wrapped || talk_start(&talk, host)))
		found = talk_tls(&talk, context, host);
	/* behind TLS from the start, the greeting says only now who it is */
	if (found != NULL && wrapped &&
	    (talk_reply(&talk, buffer, sizeof(buffer)) != 220 ||
		strcasestr(buffer, host) == NULL)) {
		X509_free(found);
		found = NULL;
	}
	SSL_free(talk.ssl);
	if (talk.fd >= 0)
		(void)close(talk.fd);
	SSL_CTX_free(context);
	ERR_clear_error();
	return found;
}

/* check_served - is it one of the files'? */
static void
check_served(struct exam *exam, const struct postfix_service *service, const char *host,
    const struct tls_file *files, size_t n)
{
	X509 *found = served(exam, service, host);
	bool same = found == NULL;

	for (size_t i = 0; i < n; i++)
		same = same || (files[i].n > 0 && X509_cmp(found, files[i].chain[0]) == 0);
	X509_free(found);
	if (!same)
		exam_add(exam, "tls.served-old",
		    postfix_service_where(exam->ctx, exam->site->postfix, service),
		    "postfix reload, also as deploy hook of whatever renews certificates",
		    "port %d serves another certificate than %s holds", service->port,
		    files[0].cert);
}

/* --- a service ------------------------------------------------------------- */

/* is_file - a value that names one */
static bool
is_file(const char *value)
{
	return value[0] != '\0' && strcasecmp(value, "none") != 0;
}

/* find_files - the certificates of a service; how many */
static size_t
find_files(struct exam *exam, const struct postfix_service *service, struct tls_file *files)
{
	static const char *const kinds[] = { "smtpd_tls_cert_file", "smtpd_tls_key_file",
		"smtpd_tls_eccert_file", "smtpd_tls_eckey_file" };
	const struct postfix *postfix = exam->site->postfix;
	const char *list = postfix_value(exam->ctx, postfix, service, "smtpd_tls_chain_files");
	const char *path;
	size_t n = 0;

	while (n < TLS_FILES && (path = postfix_word(exam->ctx, &list)) != NULL) {
		files[n] = (struct tls_file){ .cert = path, .key = path,
			.where = postfix_where(
			    exam->ctx, postfix, service, "smtpd_tls_chain_files") };
		n++;
	}
	for (size_t i = 0; n == 0 && i < 4; i += 2) {
		const char *cert = postfix_value(exam->ctx, postfix, service, kinds[i]);
		const char *key = postfix_value(exam->ctx, postfix, service, kinds[i + 1]);

		if (!is_file(cert))
			continue;
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

/* check_service_files - one smtpd */
static void
check_service_files(struct exam *exam, const struct postfix_service *service, bool auth)
{
	const char *host =
	    postfix_value(exam->ctx, exam->site->postfix, service, "myhostname");
	struct tls_file files[TLS_FILES] = { { .n = 0 } };
	size_t n = find_files(exam, service, files);

	for (size_t i = 0; i < n; i++) {
		struct tls_file *file = &files[i];

		if (file->cert == NULL || !read_chain(exam, file))
			continue;
		check_key(exam, file);
		check_dates(exam, file);
		check_issuer(exam, service, file, auth);
		if (!names_us(exam, file->chain[0], host))
			exam_add_level(exam, auth ? DOCTOR_ERROR : DOCTOR_WARNING, "tls.name",
			    file->cert, exam_text(exam, "get a certificate for %s", host),
			    "the certificate does not have the name %s", host);
	}
	if (auth && n > 0 && files[0].n > 0)
		check_served(exam, service, host, files, n);
	for (size_t i = 0; i < TLS_FILES; i++)
		file_free(&files[i]);
}

void
examine_certificates(struct exam *exam)
{
	const struct postfix *postfix = exam->site->postfix;

	/* services with AUTH first: of two findings about a file theirs is the graver */
	for (int auth = 1; postfix != NULL && auth >= 0; auth--)
		for (size_t i = 0; i < postfix->n_services; i++) {
			const struct postfix_service *service = &postfix->services[i];

			if (postfix_is_smtpd(service) && service->n_broken == 0 &&
			    postfix_has_auth(exam->ctx, postfix, service) == (auth != 0) &&
			    strcasecmp(level_of(exam, service), "none") != 0)
				check_service_files(exam, service, auth != 0);
		}
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

	if (!none && find_files(exam, service, files) > 0)
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

/*
 * test_redis_tls.c - TLS to Redis, and Sentinels that ask for a password, with real servers
 *
 * Certificates are made here. What no real server does on purpose (say nothing, dribble, hang up in
 * the middle of the handshake, speak an old version) a thread of the test does.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "filter/base/clock.h"
#include "filter/journal/journal_redis.h"
#include "filter/redis/pool.h"
#include "filter/redis/route.h"
#include "filter/store/store.h"
#include "policy/base/mem.h"
#include "tests/support/certificate.h"
#include "tests/support/redis_server.h"

#define PATIENCE_MS	30000
#define MASTERS		3

static const struct redis_passwords no_passwords;

struct fixture {
	TALLOC_CTX *ctx;
	struct redis_server
	    servers[MASTERS + 1]; /* the first has the certificates in its directory */
	int ports[MASTERS + 1];
	size_t n_servers;
	struct redis_options options;
	unsigned int connections;
	struct redis_pool *pool;
	char log[8192];
	pthread_mutex_t lock;	/* of log */
};

/* --- certificates and servers --- */

static const char *
path(struct fixture *f, const char *name)
{
	return mem_printf(f->ctx, "%s/%s", f->servers[0].directory, name);
}

static void
make_certificates(const char *directory)
{
	const struct certificate_dates good = { -1, 30 };

	certificate_make(directory, "ca", NULL, NULL, good);
	certificate_make(directory, "other-ca", NULL, NULL, good);
	certificate_make(
	    directory, "good", "ca", "DNS:localhost,DNS:redis.example.org,IP:127.0.0.1", good);
	certificate_make(directory, "renewed", "other-ca", "DNS:localhost,IP:127.0.0.1", good);
	certificate_make(
	    directory, "elsewhere", "ca", "DNS:elsewhere.example.org,IP:192.0.2.1", good);
	certificate_make(directory, "expired", "ca", "DNS:localhost,IP:127.0.0.1",
	    (struct certificate_dates){ -9, -2 });
	certificate_make(directory, "early", "ca", "DNS:localhost,IP:127.0.0.1",
	    (struct certificate_dates){ 2, 9 });
	certificate_make(directory, "alone", NULL, "IP:127.0.0.1", good);
	certificate_make(directory, "client", "ca", NULL, good);
	certificate_make(directory, "foreign-client", "other-ca", NULL, good);
}

/* listen_free - a listening socket on a free port of 127.0.0.1, with its bus port (10000 more) free
 * as well */
static int
listen_free(int *port_r)
{
	static unsigned int seed;

	if (seed == 0)
		seed = (unsigned int)getpid() + 7;
	for (;;) {
		int fd[2];
		bool good = true;

		*port_r = 20000 + rand_r(&seed) % 12000;
		for (int i = 0; i < 2; i++) {
			struct sockaddr_in name = { .sin_family = AF_INET,
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				.sin_port = htons((uint16_t)(*port_r + i * 10000)) };

			fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
			good = good && bind(fd[i], (struct sockaddr *)&name, sizeof(name)) == 0;
		}
		close(fd[1]);
		if (good && listen(fd[0], 8) == 0)
			return fd[0];
		close(fd[0]);
	}
}

static int
free_port(void)
{
	int port, fd = listen_free(&port);

	close(fd);
	return port;
}

/* tls_lines - what a server needs that speaks TLS only */
static const char *
tls_lines(struct fixture *f, const char *certificate, int port, const char *more)
{
	return mem_printf(f->ctx,
	    "bind 127.0.0.1\ntls-port %d\ntls-cert-file %s.pem\ntls-key-file %s.key\n"
	    "tls-ca-cert-file %s\ntls-auth-clients no\n%s",
	    port, path(f, certificate), path(f, certificate), path(f, "ca.pem"), more);
}

/* start - the first server, with a certificate */
static void
start(struct fixture *f, const char *certificate, const char *more)
{
	redis_server_kill(&f->servers[0], SIGKILL);
	f->ports[0] = free_port();
	redis_server_start(&f->servers[0], tls_lines(f, certificate, f->ports[0], more));
	f->options.server = mem_printf(f->ctx, "inet:127.0.0.1:%d", f->ports[0]);
}

static void
new_pool(struct fixture *f)
{
	const char *error = NULL;

	talloc_free(f->pool);
	f->pool = redis_pool_new(f->ctx, &f->options, f->connections, &error);
	if (f->pool == NULL)
		fail_msg("%s", error);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ctx = talloc_new(NULL);
	pthread_mutex_init(&f->lock, NULL);
	assert_true(redis_server_make(&f->servers[0]));
	f->n_servers = 1;
	make_certificates(f->servers[0].directory);
	f->connections = 4;
	f->options.tls.on = true;
	f->options.tls.ca_file = path(f, "ca.pem");
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	talloc_free(f->ctx);
	for (size_t i = f->n_servers; i-- > 0; )
		redis_server_remove(&f->servers[i]);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return 0;
}

/* --- calls --- */

/* call - one command of words; the answer as text in *text_r, or why not */
static enum pool_outcome
call(struct fixture *f, int64_t patience_ms, const char *words, const char **text_r)
{
	char *copy = mem_strdup(f->ctx, words), *save = NULL;
	const char *argv[8];
	size_t argv_len[8];
	enum pool_outcome outcome;
	redisReply *reply;
	int argc = 0;

	for (char *word = strtok_r(copy, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save)) {
		argv[argc] = word;
		argv_len[argc++] = strlen(word);
	}
	outcome = redis_pool_call(f->pool, f->ctx, argc, argv, argv_len, true,
	    clock_ms() + patience_ms, &reply, text_r);
	if (outcome == POOL_ANSWERED)
		*text_r = reply->str != NULL ? mem_strdup(f->ctx, reply->str) : "";
	freeReplyObject(reply);
	return outcome;
}

static void
expect_answer(struct fixture *f, const char *words, const char *answer)
{
	const char *text = NULL;

	if (call(f, PATIENCE_MS, words, &text) != POOL_ANSWERED)
		fail_msg("%s: %s", words, text);
	assert_string_equal(text, answer);
}

/* expect_unsent - no command gets out, and the reason has these parts */
static void
expect_unsent(struct fixture *f, int64_t patience_ms, const char *part, const char *other_part)
{
	enum pool_outcome outcome;
	const char *text = NULL;

	new_pool(f);
	outcome = call(f, patience_ms, "SET never 1", &text);
	if (outcome != POOL_NOT_SENT || strstr(text, part) == NULL ||
	    (other_part != NULL && strstr(text, other_part) == NULL))
		fail_msg("outcome %d, %s", (int)outcome, text);
}

/* expect_unknown - over the server's unix socket, which is without TLS: nothing was executed */
static void
expect_unknown(struct fixture *f, const char *key)
{
	redisContext *c = redisConnectUnix(f->servers[0].socket);
	redisReply *reply = redisCommand(c, "EXISTS %s", key);

	assert_non_null(reply);
	assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
	assert_int_equal(reply->integer, 0);
	freeReplyObject(reply);
	redisFree(c);
}

/* --- a single server --- */

static void
test_good(void **state)
{
	struct fixture *f = *state;
	const char *error;

	start(f, "good", "");
	new_pool(f);
	expect_answer(f, "SET by address", "OK");
	f->options.server = mem_printf(f->ctx, "inet:localhost:%d", f->ports[0]);
	new_pool(f);
	assert_int_equal(redis_pool_resolve(f->pool, f->ctx, &error), 0);
	expect_answer(f, "GET by", "address");
	f->options.tls.name = "redis.example.org";
	new_pool(f);
	assert_int_equal(redis_pool_resolve(f->pool, f->ctx, &error), 0);
	expect_answer(f, "GET by", "address");
}

/* Several megabytes: more than fits into records, buffers and the socket at once. */
static void
test_large(void **state)
{
	struct fixture *f = *state;
	const size_t len = 5000000;
	char *value = mem_array(f->ctx, char, len);
	const char *set[3] = { "SET", "large", value }, *get[2] = { "GET", "large" }, *error;
	const size_t set_len[3] = { 3, 5, len }, get_len[2] = { 3, 5 };
	redisReply *reply;

	for (size_t i = 0; i < len; i++)
		value[i] = (char)(i * 2654435761u >> 24);
	start(f, "good", "");
	new_pool(f);
	assert_int_equal(redis_pool_call(f->pool, f->ctx, 3, set, set_len, false,
			     clock_ms() + PATIENCE_MS, &reply, &error),
	    POOL_ANSWERED);
	freeReplyObject(reply);
	assert_int_equal(redis_pool_call(f->pool, f->ctx, 2, get, get_len, false,
			     clock_ms() + PATIENCE_MS, &reply, &error),
	    POOL_ANSWERED);
	assert_int_equal((size_t)reply->len, len);
	assert_memory_equal(reply->str, value, len);
	freeReplyObject(reply);
}

#define CALLERS	8
#define CALLS	300

struct caller {
	struct fixture *f;
	pthread_t thread;
	int number;
	int good;
};

/* leave_errors - as libraries do that fail and say nothing */
static void
leave_errors(void)
{
	BIO *bio = BIO_new_mem_buf("-----BEGIN NONSENSE", -1);

	assert_null(PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL));
	BIO_free(bio);
	assert_int_not_equal(ERR_peek_error(), 0);
}

static void *
many_calls(void *arg)
{
	struct caller *caller = arg;
	TALLOC_CTX *ctx = talloc_new(NULL);

	for (int i = 0; i < CALLS; i++) {
		char word[32];
		const char *argv[2] = { "ECHO", word }, *error;
		size_t argv_len[2] = { 4, 0 };
		redisReply *reply;

		argv_len[1] = (size_t)snprintf(word, sizeof(word), "%d-%d", caller->number, i);
		if (i % 3 == 0)
			leave_errors();
		if (redis_pool_call(caller->f->pool, ctx, 2, argv, argv_len, false,
			clock_ms() + PATIENCE_MS, &reply, &error) == POOL_ANSWERED &&
		    strcmp(reply->str, word) == 0)
			caller->good++;
		freeReplyObject(reply);
		if (i % 100 == 50 && caller->number == 0)
			(void)redis_pool_renew(
			    caller->f->pool, ctx, &no_passwords, PATIENCE_MS, &error);
	}
	ERR_clear_error();
	talloc_free(ctx);
	return NULL;
}

/* Threads with errors of others in their queues share four connections, and files are read again
 * meanwhile. */
static void
test_threads(void **state)
{
	struct fixture *f = *state;
	struct caller callers[CALLERS];

	start(f, "good", "");
	new_pool(f);
	for (int i = 0; i < CALLERS; i++) {
		callers[i] = (struct caller){ .f = f, .number = i };
		assert_int_equal(
		    pthread_create(&callers[i].thread, NULL, many_calls, &callers[i]), 0);
	}
	for (int i = 0; i < CALLERS; i++) {
		assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
		assert_int_equal(callers[i].good, CALLS);
	}
}

static void
test_certificates(void **state)
{
	static const struct {
		const char *label, *certificate, *ca, *name, *part, *other;
	} rows[] = {
		{ "another authority", "good", "other-ca.pem", NULL, "not accepted",
		    "tls_ca_cert_file" },
		{ "another address", "elsewhere", "ca.pem", NULL, "IP address mismatch",
		    "tls_name" },
		{ "another name", "good", "ca.pem", "redis.example.com", "ostname mismatch",
		    "tls_name" },
		{ "part of a name", "good", "ca.pem", "example.org", "ostname mismatch", NULL },
		{ "expired", "expired", "ca.pem", NULL, "has expired", NULL },
		{ "not valid yet", "early", "ca.pem", NULL, "not yet valid", NULL },
		{ "self-signed, unknown", "alone", "ca.pem", NULL, "self", "tls_ca_cert_file" },
		{ "named by tls_name", "elsewhere", "ca.pem", "elsewhere.example.org", NULL, NULL },
		{ "an address as tls_name", "elsewhere", "ca.pem", "192.0.2.1", NULL, NULL },
		{ "self-signed, known", "alone", "alone.pem", NULL, NULL, NULL },
		{ "known itself, its authority not", "good", "good.pem", NULL, NULL, NULL },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# %s\n", rows[i].label);
		start(f, rows[i].certificate, "");
		f->options.tls.ca_file = path(f, rows[i].ca);
		f->options.tls.name = rows[i].name;
		new_pool(f);
		if (rows[i].part == NULL) {
			expect_answer(f, "PING", "PONG");
			continue;
		}
		expect_unsent(f, PATIENCE_MS, rows[i].part, rows[i].other);
		expect_unknown(f, "never");
	}
	/* the system's certificates do not know ours */
	f->options.tls.ca_file = NULL;
	expect_unsent(f, PATIENCE_MS, "its certificate is not accepted", NULL);
}

static void
test_client_certificate(void **state)
{
	struct fixture *f = *state;

	start(f, "good", "tls-auth-clients yes");
	/* the server's alert says why, unless its end of the connection is faster */
	expect_unsent(f, PATIENCE_MS, "after the TLS handshake", "it may want a tls_cert_file");
	expect_unknown(f, "never");
	f->options.tls.cert_file = path(f, "foreign-client.pem");
	f->options.tls.key_file = path(f, "foreign-client.key");
	expect_unsent(f, PATIENCE_MS, "after the TLS handshake", "it may not accept tls_cert_file");
	expect_unknown(f, "never");
	f->options.tls.cert_file = path(f, "client.pem");
	f->options.tls.key_file = path(f, "client.key");
	new_pool(f);
	expect_answer(f, "SET known 1", "OK");
}

static void
test_password(void **state)
{
	struct fixture *f = *state;

	const char *text = NULL;

	start(f, "good", "requirepass secret\nuser filter on >other ~* +get +set");
	new_pool(f);
	assert_int_equal(call(f, PATIENCE_MS, "SET never 1", &text), POOL_REFUSED);
	assert_non_null(strstr(text, "NOAUTH"));
	f->options.password = "wrong";
	expect_unsent(f, PATIENCE_MS, "AUTH was refused", NULL);
	f->options.password = "secret";
	new_pool(f);
	expect_answer(f, "SET by password", "OK");
	/* one that may not even PING */
	f->options.user = "filter";
	f->options.password = "other";
	new_pool(f);
	expect_answer(f, "GET by", "password");
}

/* --- files --- */

static void
write_file(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fchmod(fileno(file), mode), 0);
	fclose(file);
}

static void
copy_file(struct fixture *f, const char *from, const char *to)
{
	assert_int_equal(system(mem_printf(f->ctx, "cp -p %s %s", path(f, from), path(f, to))), 0);
}

static void
test_bad_files(void **state)
{
	static const struct { const char *label, *ca, *cert, *key, *part; } rows[] = {
		{ "no such authority", "none.pem", NULL, NULL, "tls_ca_cert_file" },
		{ "an authority that is none", "nonsense", NULL, NULL, "tls_ca_cert_file" },
		{ "no such certificate", "ca.pem", "none.pem", "client.key", "tls_cert_file" },
		{ "a certificate that is none", "ca.pem", "nonsense", "client.key", "tls_cert_file" },
		{ "no such key", "ca.pem", "client.pem", "none.key", "tls_key_file" },
		{ "a key for all", "ca.pem", "client.pem", "open.key", "chmod o-rwx" },
		{ "another's key", "ca.pem", "client.pem", "good.key", "mismatch" },
		{ "a key with a passphrase", "ca.pem", "client.pem", "locked.key", "passphrase" },
		{ "a certificate without key", "ca.pem", "client.pem", NULL, "belong together" },
	};
	struct fixture *f = *state;
	FILE *file;

	write_file(path(f, "nonsense"), "this is no PEM\n", 0600);
	copy_file(f, "client.key", "open.key");
	assert_int_equal(chmod(path(f, "open.key"), 0644), 0);
	file = fopen(path(f, "client.key"), "r");
	{
		EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
		FILE *out = fopen(path(f, "locked.key"), "w");

		assert_int_equal(PEM_write_PrivateKey(out, key, EVP_aes_128_cbc(),
				     (const unsigned char *)"word", 4, NULL, NULL),
		    1);
		fchmod(fileno(out), 0600);
		fclose(out);
		EVP_PKEY_free(key);
	}
	fclose(file);
	f->options.server = "inet:127.0.0.1:1";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct redis_tls_options tls = { true, path(f, rows[i].ca),
			rows[i].cert != NULL ? path(f, rows[i].cert) : NULL,
			rows[i].key != NULL ? path(f, rows[i].key) : NULL, NULL };
		const char *error = NULL, *pool_error = NULL;

		f->options.tls = tls;
		if (redis_tls_check(f->ctx, &tls, &error) || strstr(error, rows[i].part) == NULL)
			fail_msg("%s: %s", rows[i].label, error != NULL ? error : "taken");
		assert_null(redis_pool_new(f->ctx, &f->options, f->connections, &pool_error));
		assert_string_equal(pool_error, error);
	}
}

static void
test_names(void **state)
{
	static const struct { const char *name; bool good; } rows[] = {
		{ "redis.example.org", true }, { "192.0.2.1", true }, { "2001:db8::1", true }, { "", false },
		{ ".example.org", false },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct redis_tls_options tls = {
			.on = true, .ca_file = path(f, "ca.pem"), .name = rows[i].name
		};
		const char *error = NULL;

		if (redis_tls_check(f->ctx, &tls, &error) != rows[i].good)
			fail_msg("\"%s\": %s", rows[i].name, error != NULL ? error : "taken");
	}
}

static void
test_renewal(void **state)
{
	struct fixture *f = *state;
	const char *error = NULL, *text;

	copy_file(f, "ca.pem", "trusted.pem");
	f->options.tls.ca_file = path(f, "trusted.pem");
	start(f, "good", "");
	new_pool(f);
	expect_answer(f, "PING", "PONG");

	/* the server's certificate is of another authority now */
	{
		int port = f->ports[0];

		redis_server_kill(&f->servers[0], SIGKILL);
		redis_server_start(&f->servers[0], tls_lines(f, "renewed", port, ""));
	}
	assert_int_equal(call(f, PATIENCE_MS, "PING", &text), POOL_NOT_SENT);
	assert_non_null(strstr(text, "not accepted"));
	copy_file(f, "other-ca.pem", "trusted.pem");
	assert_int_equal(call(f, PATIENCE_MS, "PING", &text), POOL_NOT_SENT);
	assert_int_equal(redis_pool_renew(f->pool, f->ctx, &no_passwords, PATIENCE_MS, &error), 0);
	expect_answer(f, "PING", "PONG");

	/* a file that is bad by then changes nothing */
	write_file(path(f, "trusted.pem"), "nothing\n", 0600);
	assert_int_equal(redis_pool_renew(f->pool, f->ctx, &no_passwords, PATIENCE_MS, &error), -1);
	assert_non_null(strstr(error, "tls_ca_cert_file"));
	redis_pool_drop_idle(f->pool, 0);
	expect_answer(f, "PING", "PONG");
}

/* --- servers that misbehave --- */

/* What a thread of the test does with the one connection it accepts. */
enum manner {
	MANNER_DRIBBLE,		/* the start of a record, octet by octet */
	MANNER_HANG_UP,		/* when it has read the first octets */
	MANNER_LISTEN,		/* reads until the client goes */
	MANNER_OLD		/* speaks TLS 1.1 */
};

struct stranger {
	struct fixture *f;
	enum manner manner;
	int listener;
	pthread_t thread;
	char heard[4096];
	size_t n_heard;
};

static void
speak_old(struct stranger *stranger, int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
	assert_int_equal(
	    SSL_CTX_use_certificate_file(ctx, path(stranger->f, "good.pem"), SSL_FILETYPE_PEM), 1);
	assert_int_equal(
	    SSL_CTX_use_PrivateKey_file(ctx, path(stranger->f, "good.key"), SSL_FILETYPE_PEM), 1);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	assert_int_not_equal(SSL_accept(ssl), 1);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

static void *
be_strange(void *arg)
{
	struct stranger *stranger = arg;
	int fd = accept(stranger->listener, NULL, NULL);
	ssize_t n = 1;

	if (stranger->manner == MANNER_OLD)
		speak_old(stranger, fd);
	if (stranger->manner == MANNER_HANG_UP)
		n = read(fd, stranger->heard, 10);
	if (stranger->manner == MANNER_LISTEN)
		while (n > 0 && stranger->n_heard < sizeof(stranger->heard)) {
			n = read(fd, stranger->heard + stranger->n_heard,
			    sizeof(stranger->heard) - stranger->n_heard);
			stranger->n_heard += n > 0 ? (size_t)n : 0;
		}
	if (stranger->manner == MANNER_DRIBBLE)
		for (size_t i = 0; n > 0; i++) {
			static const char record[] = "\x16\x03\x03\x40\x00\x02";

			usleep(10000);
			n = send(fd, i < 6 ? record + i : "", 1, MSG_NOSIGNAL);
		}
	close(fd);
	return NULL;
}

static void
begin(struct fixture *f, struct stranger *stranger, enum manner manner)
{
	int port;

	*stranger = (struct stranger){ .f = f, .manner = manner, .listener = listen_free(&port) };
	f->options.server = mem_printf(f->ctx, "inet:127.0.0.1:%d", port);
	assert_int_equal(pthread_create(&stranger->thread, NULL, be_strange, stranger), 0);
}

static void
end(struct stranger *stranger)
{
	talloc_free(stranger->f->pool);
	stranger->f->pool = NULL;
	assert_int_equal(pthread_join(stranger->thread, NULL), 0);
	close(stranger->listener);
}

static void
test_strangers(void **state)
{
	struct fixture *f = *state;
	struct stranger stranger;
	int port, silent;

	/* nobody accepts; the system does */
	silent = listen_free(&port);
	f->options.server = mem_printf(f->ctx, "inet:127.0.0.1:%d", port);
	expect_unsent(f, 200, "before the deadline", "does it speak TLS");
	close(silent);

	begin(f, &stranger, MANNER_DRIBBLE);
	expect_unsent(f, 300, "before the deadline", NULL);
	end(&stranger);

	begin(f, &stranger, MANNER_HANG_UP);
	expect_unsent(f, PATIENCE_MS, "no TLS with", NULL);
	end(&stranger);

	begin(f, &stranger, MANNER_OLD);
	expect_unsent(f, PATIENCE_MS, "protocol version", NULL);
	end(&stranger);

	/* what goes out in clear is a greeting, without the password */
	f->options.password = "this-is-the-password";
	begin(f, &stranger, MANNER_LISTEN);
	expect_unsent(f, 200, "before the deadline", NULL);
	end(&stranger);
	assert_true(stranger.n_heard > 5);
	assert_int_equal(stranger.heard[0], 0x16);
	assert_null(memmem(stranger.heard, stranger.n_heard, "password", 8));
	assert_null(memmem(stranger.heard, stranger.n_heard, "AUTH", 4));
}

static void
test_mixed_up(void **state)
{
	struct fixture *f = *state;
	int port = free_port();

	/* a plain server on a place with TLS */
	redis_server_start(&f->servers[0], mem_printf(f->ctx, "bind 127.0.0.1\nport %d", port));
	f->options.server = mem_printf(f->ctx, "inet:127.0.0.1:%d", port);
	expect_unsent(f, 500, "no TLS with", NULL);
	expect_unknown(f, "never");
	/* a server with TLS on a plain place */
	start(f, "good", "");
	f->options.tls.on = false;
	new_pool(f);
	{
		const char *text = NULL;
		enum pool_outcome outcome = call(f, PATIENCE_MS, "PING", &text);

		if (outcome != POOL_LOST || (strstr(text, "tls = true") == NULL))
			fail_msg("outcome %d, %s", (int)outcome, text);
	}
}

struct late {
	struct fixture *f;
	pthread_t thread;
	enum pool_outcome outcome;
	const char *text;
};

static void *
call_late(void *arg)
{
	struct late *late = arg;

	late->outcome = call(late->f, PATIENCE_MS, "SET never 1", &late->text);
	return NULL;
}

/* The real server stops before the handshake: it goes on, or is killed, while the caller waits. */
static void
test_stopped(void **state)
{
	struct fixture *f = *state;
	struct late late = { .f = f };

	start(f, "good", "");
	redis_server_signal(&f->servers[0], SIGSTOP);
	expect_unsent(f, 200, "before the deadline", NULL);
	redis_server_signal(&f->servers[0], SIGCONT);
	expect_answer(f, "PING", "PONG");
	expect_unknown(f, "never");

	redis_server_signal(&f->servers[0], SIGSTOP);
	new_pool(f);
	assert_int_equal(pthread_create(&late.thread, NULL, call_late, &late), 0);
	usleep(200000);
	redis_server_kill(&f->servers[0], SIGKILL);
	assert_int_equal(pthread_join(late.thread, NULL), 0);
	if (late.outcome != POOL_NOT_SENT)
		fail_msg("outcome %d, %s", (int)late.outcome, late.text);
}

/* The server is started anew between two calls: the idle connection's end is noticed. */
static void
test_restarted(void **state)
{
	struct fixture *f = *state;
	int port;

	start(f, "good", "");
	new_pool(f);
	expect_answer(f, "PING", "PONG");
	port = f->ports[0];
	redis_server_kill(&f->servers[0], SIGKILL);
	redis_server_start(&f->servers[0], tls_lines(f, "good", port, ""));
	expect_answer(f, "PING", "PONG");
}

/* --- the store --- */

static void
keep_log(void *arg, enum store_log_level level, const char *text)
{
	struct fixture *f = arg;
	size_t len;

	(void)level;
	pthread_mutex_lock(&f->lock);
	len = strlen(f->log);
	(void)snprintf(f->log + len, sizeof(f->log) - len, "%s\n", text);
	pthread_mutex_unlock(&f->lock);
}

static bool
is_logged(struct fixture *f, const char *part)
{
	bool found;

	pthread_mutex_lock(&f->lock);
	found = strstr(f->log, part) != NULL;
	pthread_mutex_unlock(&f->lock);
	return found;
}

static bool
is_away(struct store *store, struct fixture *f)
{
	struct store_status status;

	store_status(store, f->ctx, &status);
	return status.away;
}

/* The log says why the store is away, and renewed files bring it back. */
static void
test_store(void **state)
{
	struct fixture *f = *state;
	struct store_options options = {
		.kind = STORE_REDIS, .deadline_ms = 3000, .log = keep_log, .log_arg = f
	};
	struct journal_words *words = journal_words_new(f->ctx);
	struct journal_redis *journal;
	redisReply *reply;
	const char *error = NULL;
	struct store *store;
	int64_t until;

	start(f, "good", "");
	copy_file(f, "other-ca.pem", "trusted.pem");
	options.redis.server = f->options.server;
	options.redis.tls = f->options.tls;
	options.redis.tls.ca_file = path(f, "trusted.pem");
	store = store_open(f->ctx, &options, &error);
	assert_non_null(store);
	journal = journal_redis_new(f->ctx, &options, &error);
	assert_non_null(journal);
	journal_word(words, "PING");
	until = clock_ms() + PATIENCE_MS;
	while (!is_logged(f, "its certificate is not accepted") && clock_ms() < until)
		usleep(20000);
	if (!is_logged(f, "its certificate is not accepted"))
		fail_msg("the log: %s", f->log);
	assert_true(is_away(store, f));
	assert_null(journal_redis_call(journal, f->ctx, words, true, &error));

	copy_file(f, "ca.pem", "trusted.pem");
	assert_int_equal(store_renew(store, f->ctx, &no_passwords, &error), 0);
	assert_int_equal(journal_redis_renew(journal, f->ctx, &no_passwords, &error), 0);
	until = clock_ms() + PATIENCE_MS;
	while (is_away(store, f) && clock_ms() < until)
		usleep(20000);
	assert_false(is_away(store, f));
	reply = journal_redis_call(journal, f->ctx, words, true, &error);
	assert_non_null(reply);
	freeReplyObject(reply);
	store_close(store);
}

/* --- Sentinels and a Cluster --- */

/* add_server - one more, that speaks TLS; its number */
static size_t
add_server(struct fixture *f, const char *more)
{
	size_t i = f->n_servers++;

	assert_true(redis_server_make(&f->servers[i]));
	f->ports[i] = free_port();
	redis_server_start(&f->servers[i], tls_lines(f, "good", f->ports[i], more));
	return i;
}

/* add_sentinel - a Sentinel that knows the first server as "mail"; without TLS if it has a plain
 * port */
static void
add_sentinel(struct fixture *f, const char *lines)
{
	size_t i = f->n_servers++;

	assert_true(redis_server_make(&f->servers[i]));
	redis_server_start_sentinel(&f->servers[i],
	    mem_printf(f->ctx, "sentinel monitor mail 127.0.0.1 %d 1\n%s", f->ports[0], lines));
}

/* expect_found - until the pool has found the master */
static void
expect_found(struct fixture *f)
{
	int64_t until = clock_ms() + PATIENCE_MS;
	const char *error = NULL;

	new_pool(f);
	while (redis_pool_resolve(f->pool, f->ctx, &error) < 0) {
		if (clock_ms() > until)
			fail_msg("%s", error);
		usleep(50000);
	}
	expect_answer(f, "SET found 1", "OK");
}

static void
expect_not_found(struct fixture *f, const char *part)
{
	const char *error = NULL;

	new_pool(f);
	assert_int_equal(redis_pool_resolve(f->pool, f->ctx, &error), -1);
	if (strstr(error, part) == NULL)
		fail_msg("%s", error);
}

static void
test_sentinel_tls(void **state)
{
	struct fixture *f = *state;
	int port = free_port();

	start(f, "good", "tls-replication yes\nrequirepass of-the-server");
	add_sentinel(f,
	    tls_lines(f, "good", port,
		"tls-replication yes\nsentinel auth-pass mail of-the-server\n"
		"requirepass of-the-sentinel"));
	f->options.server = NULL;
	f->options.sentinels = mem_printf(f->ctx, "inet:127.0.0.1:%d", port);
	f->options.master = "mail";
	f->options.password = "of-the-server";
	f->options.sentinel_password = "of-the-sentinel";
	expect_found(f);
	f->options.tls.name = "elsewhere.example.org";
	expect_not_found(f, "ostname mismatch");
	f->options.tls.name = NULL;
	f->options.tls.on = false;
	expect_not_found(f, "no Sentinel can be used");
}

static void
test_sentinel_password(void **state)
{
	struct fixture *f = *state;
	int port = free_port(), data = free_port();

	f->options.tls.on = false;
	redis_server_start(&f->servers[0], mem_printf(f->ctx, "bind 127.0.0.1\nport %d", data));
	f->ports[0] = data;
	add_sentinel(
	    f, mem_printf(f->ctx, "bind 127.0.0.1\nport %d\nrequirepass of-the-sentinel", port));
	f->options.sentinels = mem_printf(f->ctx, "inet:127.0.0.1:%d", port);
	f->options.master = "mail";
	expect_not_found(f, "NOAUTH");
	f->options.sentinel_password = "wrong";
	expect_not_found(f, "AUTH was refused");
	f->options.sentinel_password = "of-the-sentinel";
	expect_found(f);
	/* the server's password is not for Sentinels */
	f->options.password = "of-the-sentinel";
	f->options.sentinel_password = NULL;
	expect_not_found(f, "NOAUTH");
}

static void
test_sentinel_user(void **state)
{
	struct fixture *f = *state;
	int port = free_port(), data = free_port();

	if (redis_server_before(6, 2, "users of a Sentinel"))
		return;
	f->options.tls.on = false;
	redis_server_start(&f->servers[0], mem_printf(f->ctx, "bind 127.0.0.1\nport %d", data));
	f->ports[0] = data;
	add_sentinel(f, mem_printf(f->ctx, "bind 127.0.0.1\nport %d\nuser default off\n"
	    "user filter on >of-the-filter resetchannels -@all +sentinel|get-master-addr-by-name\n"
	    "user other on >of-another resetchannels -@all +ping", port));
	f->options.sentinels = mem_printf(f->ctx, "inet:127.0.0.1:%d", port);
	f->options.master = "mail";
	expect_not_found(f, "NOAUTH");
	f->options.sentinel_user = "other";
	f->options.sentinel_password = "of-another";
	expect_not_found(f, "NOPERM");
	f->options.sentinel_user = "filter";
	f->options.sentinel_password = "of-another";
	expect_not_found(f, "AUTH was refused");
	f->options.sentinel_password = "of-the-filter";
	expect_found(f);
}

/* tell - a command to a server over its unix socket; whether the answer has part, or is no error
 * with NULL */
static bool
tell(struct fixture *f, size_t i, const char *command, const char *part)
{
	redisContext *c = redisConnectUnix(f->servers[i].socket);
	redisReply *reply = redisCommand(c, command);
	bool good = reply != NULL && reply->type != REDIS_REPLY_ERROR &&
	    (part == NULL || (reply->str != NULL && strstr(reply->str, part) != NULL));

	freeReplyObject(reply);
	redisFree(c);
	return good;
}

/* A Cluster of three masters: the first is named, the others are found, all by TLS. */
static void
test_cluster_tls(void **state)
{
	struct fixture *f = *state;
	const char *lines =
	    "cluster-enabled yes\ncluster-node-timeout 2000\ncluster-config-file nodes.conf\n"
	    "tls-cluster yes\ntls-replication yes\nrequirepass of-the-server";
	const char *error = NULL, *keys[MASTERS] = { NULL };
	int64_t until = clock_ms() + PATIENCE_MS;

	for (size_t i = 1; i <= MASTERS; i++)
		(void)add_server(f, lines);
	for (size_t i = 1; i <= MASTERS; i++) {
		redisContext *c = redisConnectUnix(f->servers[i].socket);

		freeReplyObject(redisCommand(c, "AUTH of-the-server"));
		for (int slot = (int)(i - 1) * REDIS_SLOTS / MASTERS;
		     slot < (int)i * REDIS_SLOTS / MASTERS; slot++)
			freeReplyObject(redisCommand(c, "CLUSTER ADDSLOTS %d", slot));
		freeReplyObject(redisCommand(c, "CLUSTER MEET 127.0.0.1 %d", f->ports[1]));
		freeReplyObject(redisCommand(c, "CONFIG SET requirepass %s", ""));
		redisFree(c);
	}
	for (size_t i = 1; i <= MASTERS; i++)
		while (!tell(f, i, "CLUSTER INFO", "cluster_state:ok") ||
		    !tell(f, i, "CLUSTER INFO", "cluster_known_nodes:3")) {
			if (clock_ms() > until)
				fail_msg("the Cluster does not come about");
			usleep(50000);
		}
	for (size_t i = 1; i <= MASTERS; i++)
		assert_true(tell(f, i, "CONFIG SET requirepass of-the-server", NULL));
	f->options.cluster = true;
	f->options.server = mem_printf(f->ctx, "inet:127.0.0.1:%d", f->ports[1]);
	f->options.password = "of-the-server";
	new_pool(f);
	if (redis_pool_resolve(f->pool, f->ctx, &error) < 0)
		fail_msg("%s", error);
	for (int i = 0, found = 0; found < MASTERS; i++) {
		const char *key = mem_printf(f->ctx, "key%d", i);
		unsigned int slot = redis_slot(key, strlen(key));
		size_t master = slot * MASTERS / REDIS_SLOTS;

		if (keys[master] != NULL)
			continue;
		keys[master] = key;
		found++;
		expect_answer(f, mem_printf(f->ctx, "SET %s value", key), "OK");
		expect_answer(f, mem_printf(f->ctx, "GET %s", key), "value");
	}
	f->options.tls.name = "elsewhere.example.org";
	expect_not_found(f, "ostname mismatch");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_large, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_certificates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_client_certificate, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_password, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_renewal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_strangers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mixed_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restarted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_store, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sentinel_tls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sentinel_password, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sentinel_user, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cluster_tls, set_up, tear_down),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!redis_server_exists()) {
		printf("1..0 # SKIP redis-server is not installed: apt-get install redis-server\n");
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * countersign_web.c - countersign-web: figures, health and control commands over HTTP
 *
 * A program of its own, so that the mail path stays free of HTTP: it has no keys and no socket for
 * MTAs, and knows the control socket only. This is its first thread: options, listening, signals.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter/base/log.h"
#include "filter/base/signals.h"
#include "filter/base/unix_socket.h"
#include "filter/web/http.h"
#include "filter/web/pages.h"
#include "filter/web/tokens.h"
#include "policy/base/mem.h"

#define DEFAULT_CONTROL	RUNSTATEDIR "/countersign/control"
#define DEFAULT_LISTEN	"unix:" RUNSTATEDIR "/countersign-web/http"
#define DEFAULT_CONSOLE	DATADIR "/countersign/console"
#define DEFAULT_TOKENS	SYSCONFDIR "/countersign/web-tokens"
#define BACKLOG		64
#define SOON_MS		20	/* between looks at connections that are drained */
#define USAGE		64	/* exit status of a wrong command line */

/* The command line. */
struct web_options {
	const char *control, *listen, *tokens, *console, *policy, *secret;
	bool to_syslog;
};

static void
web_usage(FILE *to)
{
	(void)fputs("usage: countersign-web [-s CONTROL] [-l LISTEN] [-t TOKENS] [-c CONSOLE] [-S]\n"
	    "                       [-p LISTEN -k FILE]\n"
	    "       countersign-web --make-token NAME ROLE [DOMAIN...]\n\n"
	    "  -s, --control FILE  control socket of the daemon\n"
	    "                      (default " DEFAULT_CONTROL ")\n"
	    "  -l, --listen WHERE  unix:FILE, or inet:ADDRESS:PORT of this host alone\n"
	    "                      (default " DEFAULT_LISTEN ")\n"
	    "  -t, --tokens FILE   the tokens of those who may use it\n"
	    "                      (default " DEFAULT_TOKENS ")\n"
	    "  -c, --console DIR   the pages of the console\n"
	    "                      (default " DEFAULT_CONSOLE ")\n"
	    "  -p, --auth-policy WHERE  listen for Dovecot, too: inet:127.0.0.1:8892\n"
	    "  -k, --auth-policy-key FILE  its first line is Dovecot's\n"
	    "                      auth_policy_server_api_header\n"
	    "  -S, --syslog        log to syslog, not to standard error\n"
	    "  --make-token        make a token; ROLE is read, operator or admin\n"
	    "  --help, --version   print this, or the version\n"
	    "See countersign-web(8).\n", to);
}

/* web_wrong - a wrong command line: say so and end */
static void
web_wrong(const char *what)
{
	(void)fprintf(stderr, "countersign-web: %s\n", what);
	web_usage(stderr);
	exit(USAGE);
}

/* web_make_token - the words after --make-token */
static int
web_make_token(int n, char **words)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	const char *error = NULL;
	int status = EXIT_SUCCESS;

	if (n < 2)
		web_wrong("--make-token needs NAME and ROLE");
	if (tokens_make(ctx, words[0], words[1], words + 2, (size_t)n - 2, &error) != 0) {
		(void)fprintf(stderr, "countersign-web: %s\n", error);
		status = EXIT_FAILURE;
	}
	talloc_free(ctx);
	return status;
}

/* web_read_options - the command line; the exit status, or -1 to go on */
static int
web_read_options(int argc, char **argv, struct web_options *options)
{
	static const struct option words[] = {
		{ "control", required_argument, NULL, 's' },
		{ "listen", required_argument, NULL, 'l' },
		{ "tokens", required_argument, NULL, 't' },
		{ "console", required_argument, NULL, 'c' },
		{ "auth-policy", required_argument, NULL, 'p' },
		{ "auth-policy-key", required_argument, NULL, 'k' },
		{ "syslog", no_argument, NULL, 'S' },
		{ "make-token", no_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "s:l:t:c:p:k:ShV", words, NULL)) != -1)
		switch (letter) {
		case 's':
			options->control = optarg;
			break;
		case 'l':
			options->listen = optarg;
			break;
		case 't':
			options->tokens = optarg;
			break;
		case 'c':
			options->console = optarg;
			break;
		case 'p':
			options->policy = optarg;
			break;
		case 'k':
			options->secret = optarg;
			break;
		case 'S':
			options->to_syslog = true;
			break;
		case 'm':
			return web_make_token(argc - optind, argv + optind);
		case 'h':
			web_usage(stdout);
			return EXIT_SUCCESS;
		case 'V':
			(void)printf("countersign-web %s\n", PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			return USAGE;
		}
	if (optind < argc)
		web_wrong("there are too many words");
	if ((options->policy == NULL) != (options->secret == NULL))
		web_wrong("--auth-policy and --auth-policy-key belong together");
	return -1;
}

/* web_bind - listen on an address of this host; or -1 and *error_r */
static int
web_bind(TALLOC_CTX *ctx, const struct sockaddr *address, socklen_t len, const char *where,
    const char **error_r)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    bind(fd, address, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	*error_r = mem_printf(ctx, "%s cannot be listened on: %s", where, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

/* web_listen_inet - "127.0.0.1:8890" or "[::1]:8890" */
static int
web_listen_inet(TALLOC_CTX *ctx, const char *text, const char **error_r)
{
	const char *colon = strrchr(text, ':');
	char *host = mem_strndup(ctx, text, colon != NULL ? (size_t)(colon - text) : 0), *end;
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	long port = colon != NULL ? strtol(colon + 1, &end, 10) : 0;

	if (colon == NULL || *end != '\0' || port < 1 || port > 65535) {
		*error_r = mem_printf(ctx, "\"inet:%s\": write inet:127.0.0.1:8890", text);
		return -1;
	}
	v4.sin_port = v6.sin6_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1 && ntohl(v4.sin_addr.s_addr) >> 24 == 127)
		return web_bind(ctx, (struct sockaddr *)&v4, sizeof(v4), text, error_r);
	if (strcmp(host, "[::1]") == 0) {
		v6.sin6_addr = in6addr_loopback;
		return web_bind(ctx, (struct sockaddr *)&v6, sizeof(v6), text, error_r);
	}
	*error_r = mem_printf(ctx, "\"inet:%s\": only 127.0.0.1 and [::1] can be listened on; let a "
	    "reverse proxy with TLS serve other hosts", text);
	return -1;
}

/* web_listen - as -l says */
static int
web_listen(TALLOC_CTX *ctx, const char *where, bool *is_unix_r, const char **error_r)
{
	*is_unix_r = strncmp(where, "unix:", 5) == 0;
	if (*is_unix_r)
		return unix_socket_listen(ctx, where + 5, 0660, NULL, error_r);
	if (strncmp(where, "inet:", 5) == 0)
		return web_listen_inet(ctx, where + 5, error_r);
	*error_r = mem_printf(ctx, "\"%s\": write unix:FILE or inet:127.0.0.1:PORT", where);
	return -1;
}

/* web_tokens - the tokens of the file, if they may be used on this socket; or NULL and *error_r */
static struct tokens *
web_tokens(TALLOC_CTX *ctx, const struct web_options *options, const char **error_r)
{
	struct tokens *tokens = tokens_read(ctx, options->tokens, error_r);

	if (tokens == NULL || strncmp(options->listen, "inet:", 5) != 0 ||
	    !tokens_have_proxied(tokens))
		return tokens;
	*error_r = mem_printf(ctx, "%s: proxy = true needs -l unix:FILE; over TCP every user "
	    "of this host could take any name", options->tokens);
	return NULL;
}

/* web_reload - read the tokens again; a file with an error changes nothing */
static void
web_reload(struct http *http, const struct web_options *options)
{
	TALLOC_CTX *ctx = mem_check(talloc_new(NULL));
	const char *error = NULL;
	struct tokens *tokens = web_tokens(ctx, options, &error);

	if (tokens == NULL)
		log_error("web: reload failed: %s; keeping the tokens that were read before", error);
	else {
		http_renew(http, tokens);
		log_info("web: the tokens were read again");
	}
	talloc_free(ctx);
}

/* web_remove - the socket of a listener that was opened */
static void
web_remove(const struct http *http, const char *where)
{
	if (http != NULL && strncmp(where, "unix:", 5) == 0)
		(void)unlink(where + 5);
}

/* web_serve - until a signal ends it */
static void
web_serve(struct http *http, struct http *policy, const struct web_options *options)
{
	struct signals_seen seen = { 0 };
	bool soon = false, soon_policy = false;

	while (!seen.stop) {
		signals_wait(soon || soon_policy ? SOON_MS : 1000, &seen);
		if (seen.reload)
			web_reload(http, options);
		soon = http_tend(http);
		soon_policy = http_tend(policy);
	}
}

/* web_console - its pages; without them, the rest is served unless they were asked for */
static bool
web_console(TALLOC_CTX *ctx, const struct web_options *options, const struct pages **files_r,
    const char **error_r)
{
	const char *error = NULL;

	*files_r = pages_read(
	    ctx, options->console != NULL ? options->console : DEFAULT_CONSOLE, &error);
	if (*files_r == NULL && options->console != NULL) {
		*error_r = error;
		return false;
	}
	if (*files_r == NULL)
		log_warning("web: %s; there will be no console", error);
	return true;
}

/* web_start - tokens, socket, threads; NULL and *error_r */
static struct http *
web_start(TALLOC_CTX *ctx, const struct web_options *options, const char **error_r)
{
	struct tokens *tokens = web_tokens(ctx, options, error_r);
	struct http_options http = { .control = options->control, .threads = HTTP_THREADS };

	if (tokens == NULL || !web_console(ctx, options, &http.files, error_r))
		return NULL;
	http.fd = web_listen(ctx, options->listen, &http.is_unix, error_r);
	if (http.fd < 0)
		return NULL;
	return http_open(ctx, &http, tokens, error_r);
}

/* web_start_policy - the second listener, if one is wanted; false and *error_r */
static bool
web_start_policy(TALLOC_CTX *ctx, const struct web_options *options, struct http **http_r,
    const char **error_r)
{
	struct http_options http = { .control = options->control, .threads = HTTP_POLICY_THREADS };

	*http_r = NULL;
	if (options->policy == NULL)
		return true;
	http.policy = auth_policy_read(ctx, options->secret, error_r);
	if (http.policy == NULL)
		return false;
	http.fd = web_listen(ctx, options->policy, &http.is_unix, error_r);
	if (http.fd >= 0)
		*http_r = http_open(ctx, &http, NULL, error_r);
	return *http_r != NULL;
}

int
main(int argc, char **argv)
{
	struct web_options options = { .control = DEFAULT_CONTROL,
		.listen = DEFAULT_LISTEN,
		.tokens = DEFAULT_TOKENS };
	int status = web_read_options(argc, argv, &options);
	TALLOC_CTX *ctx;
	const char *error = NULL;
	struct http *http, *policy = NULL;

	if (status >= 0)
		return status;
	ctx = mem_check(talloc_new(NULL));
	log_open(options.to_syslog);
	signals_begin();
	signals_block();
	http = web_start(ctx, &options, &error);
	if (http == NULL || !web_start_policy(ctx, &options, &policy, &error) ||
	    signals_receive() != 0) {
		log_error("web: %s", error != NULL ? error : "signals cannot be received");
		web_remove(policy, options.policy);
		web_remove(http, options.listen);
		talloc_free(ctx);
		return EXIT_FAILURE;
	}
	log_info("web: countersign-web %s is ready on %s", PACKAGE_VERSION, options.listen);
	if (policy != NULL)
		log_info("web: ready for Dovecot on %s", options.policy);
	web_serve(http, policy, &options);
	web_remove(policy, options.policy);
	web_remove(http, options.listen);
	http_close(policy);
	http_close(http);
	log_info("web: stopped");
	talloc_free(ctx);
	return EXIT_SUCCESS;
}

/*
 * redis_server.h - a private Redis for tests
 *
 * Runs the real redis-server, or the one that $COUNTERSIGN_REDIS_SERVER names (another version, or
 * a valkey-server), on a unix socket in a directory of its own under $TMPDIR or /tmp, without TCP.
 * Every function ends the test program when it cannot do its work.
 */
#ifndef TESTS_SUPPORT_REDIS_SERVER_H
#define TESTS_SUPPORT_REDIS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct redis_server {
	char directory[96];
	char socket[104];	/* path of the unix socket */
	char address[112];	/* the same, as "unix:PATH" */
	pid_t pid;		/* 0: not running */
};

/* redis_server_program - the server's program, for execlp() */
const char *redis_server_program(void);

/*
 * redis_server_before - whether the server is of an earlier version than that; then it is said that
 * what is not tried Where a server lacks what a test is about: CI has one that has it all.
 */
bool redis_server_before(int major, int minor, const char *what);

/* redis_server_exists - whether there is a redis-server at all */
bool redis_server_exists(void);

/* redis_server_make - the directory; nothing runs yet. False when there is no redis-server */
bool redis_server_make(struct redis_server *server);

/* redis_server_start - run it, with one more line of configuration or NULL; waits until it
 * answers */
void redis_server_start(struct redis_server *server, const char *line);

/* redis_server_start_loading - the same; waits until it answers that it loads what it kept */
void redis_server_start_loading(struct redis_server *server, const char *line);

/* redis_server_start_sentinel - run it as a Sentinel with these lines of configuration; waits until
 * it answers */
void redis_server_start_sentinel(struct redis_server *server, const char *lines);

/* redis_server_kill - end it with a signal, and wait */
void redis_server_kill(struct redis_server *server, int number);

/* redis_server_signal - SIGSTOP, SIGCONT */
void redis_server_signal(struct redis_server *server, int number);

/* redis_server_remove - end it and remove its directory */
void redis_server_remove(struct redis_server *server);

#endif

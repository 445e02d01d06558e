/*
 * load_peers.c - the group peers of the configuration: who may connect as an MTA
 *
 * Names of users become numbers here, so that a slip has its line and the path of a connection asks
 * no name service.
 *
 * Threads: as load.c.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "filter/config/load_peers.h"
#include "policy/base/mem.h"

static void peers_read_users(struct options_reader *, config_setting_t *, void *);
static void peers_read_networks(struct options_reader *, config_setting_t *, void *);

static const struct option peers_rows[] = {
	{ .name = "users", .works = WORKS_ALWAYS, .type = OPTION_CUSTOM, .read = peers_read_users },
	{ .name = "networks",
	    .works = WORKS_OPEN_SOCKET,
	    .type = OPTION_CUSTOM,
	    .read = peers_read_networks },
	{ .name = NULL },
};
const struct option_group configuration_peers_group = {
	"peers", peers_rows, -1, OPTION_SCOPE_FILE,
};

/* find_user - the number of a user, by name or as written; false: there is none */
static bool
find_user(const char *name, uid_t *uid_r)
{
	char buffer[4096];
	struct passwd entry;
	struct passwd *found = NULL;
	char *end;
	unsigned long number;

	if (name[0] != '\0' && strspn(name, "0123456789") == strlen(name)) {
		errno = 0;
		number = strtoul(name, &end, 10);
		*uid_r = (uid_t)number;
		return errno == 0 && *uid_r == number && *uid_r != (uid_t)-1;
	}
	if (getpwnam_r(name, &entry, buffer, sizeof(buffer), &found) != 0 || found == NULL)
		return false;
	*uid_r = found->pw_uid;
	return true;
}

static void
peers_read_users(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct peers *peers = target;
	struct words words = { 0 };

	options_words(reader, setting, &words);
	peers->users = mem_array(reader->ctx, uid_t, words.n + 1);
	for (size_t i = 0; i < words.n; i++) {
		if (find_user(words.items[i], &peers->users[peers->n_users]))
			peers->n_users++;
		else
			options_error(reader, setting,
			    "users: \"%s\" is not a user of this host; Postfix connects as the user "
			    "postfix, Sendmail as root",
			    words.items[i]);
	}
}

static void
peers_read_networks(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct peers *peers = target;
	struct words words = { 0 };

	options_words(reader, setting, &words);
	peers->networks = mem_array(reader->ctx, struct netblock, words.n + 1);
	for (size_t i = 0; i < words.n; i++) {
		const char *error = NULL;

		if (netblock_parse(reader->ctx, words.items[i],
			&peers->networks[peers->n_networks], &error))
			peers->n_networks++;
		else
			options_error(reader, setting, "networks: %s", error);
	}
}

void
configuration_peers_read(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct peers *peers = target;
	size_t before = reader->n_errors;

	peers->given = true;
	options_group(reader, setting, &configuration_peers_group, peers);
	if (reader->n_errors == before && peers->n_users == 0 && peers->n_networks == 0)
		options_error(reader, setting,
		    "peers is empty, so no MTA could connect; write for example "
		    "peers = { users = [\"postfix\"] }");
}

const char *
configuration_peers_warn(TALLOC_CTX *ctx, const struct config *config)
{
	bool beyond = config_listens_beyond(config);

	/* what kind of socket is inherited is seen when it is: milter_socket_open() */
	if (config->peers.given || config_listen_inherited(config) ||
	    strchr(config->listen_spec, ':')[1] == '/')
		return NULL;
	return mem_printf(ctx,
	    "%s: listen = \"%s\" without peers: %s can connect, claim any login (the macro "
	    "auth_authen), get mail signed, and have it charged to that login; write peers = { "
	    "users = [\"postfix\"] } (for Sendmail \"root\"%s), or listen on a unix socket",
	    config->file, config->listen,
	    beyond ? "every host that reaches this port, and every user of this host,"
		   : "every user and every program of this host",
	    beyond ? "; for MTAs on other hosts networks = [...]" : "");
}

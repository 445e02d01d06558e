/*
 * load_listeners.c - the group listeners of the configuration: which connection has which role
 *
 * Once the whole file is read, each listener inherits what it does not say itself.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/config/configuration.h"
#include "filter/config/load_listeners.h"
#include "filter/config/options.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"

static void read_daemons(struct options_reader *, config_setting_t *, void *);
static void read_clients(struct options_reader *, config_setting_t *, void *);
static void read_ports(struct options_reader *, config_setting_t *, void *);

const struct option_choice config_modes[] = {
	{ "watch", MODE_WATCH }, { "enforce", MODE_ENFORCE }, { NULL, 0 },
};
static const struct option_choice roles[] = {
	{ "submission", ROLE_SUBMISSION }, { "relay", ROLE_RELAY }, { "local", ROLE_LOCAL },
	{ "inbound", ROLE_INBOUND }, { NULL, 0 },
};

#define AT(type, member)	offsetof(struct type, member)

static const struct option listener_rows[] = {
	{ .name = "role",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CHOICE,
	    .offset = AT(listener, role),
	    .choices = roles },
	{ .name = "daemon", .works = WORKS_ALWAYS, .type = OPTION_CUSTOM, .read = read_daemons },
	{ .name = "port",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CUSTOM,
	    .offset = AT(listener, ports),
	    .read = read_ports },
	{ .name = "client", .works = WORKS_ALWAYS, .type = OPTION_CUSTOM, .read = read_clients },
	{ .name = "pickup",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_BOOL,
	    .offset = AT(listener, pickup) },
	{ .name = "login",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_BOOL,
	    .offset = AT(listener, login) },
	{ .name = "mode",
	    .works = WORKS_ALWAYS,
	    .type = OPTION_CHOICE,
	    .offset = AT(listener, mode_set),
	    .choices = config_modes },
	{ .name = "require_tls",
	    .works = WORKS_SUBMISSION,
	    .type = OPTION_BOOL,
	    .offset = AT(listener, require_tls_set) },
	{ .name = "owners",
	    .works = WORKS_SENDING,
	    .type = OPTION_WORDS,
	    .offset = AT(listener, owners) },
	{ .name = "mailboxes",
	    .works = WORKS_SUBMISSION,
	    .type = OPTION_WORDS,
	    .offset = AT(listener, mailboxes) },
	{ .name = "account",
	    .works = WORKS_RELAY,
	    .type = OPTION_STRING,
	    .offset = AT(listener, account) },
	{ .name = "client_accounts",
	    .works = WORKS_RELAY,
	    .type = OPTION_WORDS,
	    .offset = AT(listener, client_accounts) },
	{ .name = "sign_as",
	    .works = WORKS_KEYS,
	    .type = OPTION_STRING,
	    .offset = AT(listener, sign_as) },
	{ .name = NULL },
};
const struct option_group config_listener_group = {
	"a listener",
	listener_rows,
	(long)AT(listener, set),
	OPTION_SCOPE_LISTENER,
};

/* read_daemons - {daemon_name} values of a listener */
static void
read_daemons(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct listener *listener = target;

	options_words(reader, setting, &listener->daemons);
	if (listener->daemons.n == 0)
		options_error(reader, setting,
		    "daemon names no listener of the MTA; remove it to take every one");
}

/* read_clients - client networks of a listener */
static void
read_clients(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct listener *listener = target;
	struct words words = { 0 };

	options_words(reader, setting, &words);
	if (words.n == 0)
		options_error(
		    reader, setting, "client names no network; remove it to take every client");
	listener->clients = mem_array(reader->ctx, struct netblock, words.n + 1);
	for (size_t i = 0; i < words.n; i++) {
		const char *error = NULL;

		if (netblock_parse(reader->ctx, words.items[i], &listener->clients[i], &error))
			listener->n_clients++;
		else
			options_error(reader, setting, "client: %s", error);
	}
}

/* read_ports - listener ports: a number or numbers */
static void
read_ports(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct words *ports = target;
	int aggregate = config_setting_is_aggregate(setting);
	int n = aggregate ? config_setting_length(setting) : 1;

	if (n == 0)
		options_error(reader, setting, "port names no port; remove it to take every port");
	ports->items = mem_array(reader->ctx, const char *, (size_t)n + 1);
	for (int i = 0; i < n; i++) {
		config_setting_t *port = aggregate ?
		    config_setting_get_elem(setting, (unsigned int)i) : setting;

		if (config_setting_type(port) != CONFIG_TYPE_INT ||
		    config_setting_get_int(port) < 1 || config_setting_get_int(port) > 65535) {
			options_error(reader, setting,
			    "port must be a number from 1 to 65535, or a list of them: [587, 465]");
			return;
		}
		ports->items[ports->n++] =
		    mem_printf(reader->ctx, "%d", config_setting_get_int(port));
	}
}

/* new_listener - an empty listener at the end of the list */
static struct listener *
new_listener(
    struct options_reader *reader, struct config *config, const char *name, const char *where)
{
	struct listener *listener = &config->listeners[config->n_listeners++];

	listener->name = mem_strdup(reader->ctx, name);
	listener->where = where;
	listener->pickup = -1;
	listener->login = -1;
	listener->mode_set = -1;
	listener->require_tls_set = -1;
	memset(listener->set.of, -1, sizeof(listener->set.of));
	return listener;
}

/* config_listeners_read - listeners = { name = { role = ... } ... } */
void
config_listeners_read(struct options_reader *reader, config_setting_t *setting, void *target)
{
	struct config *config = target;
	size_t n;

	if (!config_setting_is_group(setting)) {
		options_error(reader, setting,
		    "listeners must be a group in braces: { users = { role = \"submission\" } }");
		return;
	}
	n = (size_t)config_setting_length(setting);
	config->listeners = mem_array(reader->ctx, struct listener, n + 1);
	for (size_t i = 0; i < n; i++) {
		config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);

		options_group(reader, member, &config_listener_group, new_listener(reader, config,
		    config_setting_name(member), options_where(reader, member)));
	}
}

/* auto_listeners - without a section, one listener a role */
static void
auto_listeners(struct options_reader *reader, struct config *config)
{
	config->auto_roles = true;
	config->listeners = mem_array(reader->ctx, struct listener, 4);
	new_listener(reader, config, "submission", reader->file)->role = ROLE_SUBMISSION;
	new_listener(reader, config, "local", reader->file)->role = ROLE_LOCAL;
	new_listener(reader, config, "inbound", reader->file)->role = ROLE_INBOUND;
}

/* check_local - the rules of role local: nothing may stay in maildrop for ever */
static void
check_local(struct options_reader *reader, const struct listener *listener)
{
	for (int reason = 1; reason < REASON_COUNT; reason++)
		if (listener->set.of[reason] == ACTION_TEMPFAIL)
			options_error_at(reader, listener->where,
			    "%s = \"tempfail\" in listener %s: mail of role local would stay in maildrop "
			    "and come back every minute; write reject or quarantine",
			    reply_row((enum reason)reason)->option, listener->name);
}

/* check_inbound_login - mail with a login may not pass if its sender is not checked */
static void
check_inbound_login(struct options_reader *reader, const char *where, const struct action_set *set)
{
	signed char action = set->of[REASON_INBOUND_LOGIN];

	if (action >= 0 && action < ACTION_TEMPFAIL)
		options_error_at(reader, where,
		    "on_inbound_login must be tempfail or reject: role inbound checks no user's sender; "
		    "for mail with a login add a listener of role submission before this one");
}

/* global_action - what the file says for all listeners, or -1 */
static int
global_action(const struct config *config, const struct listener *listener, enum reason reason)
{
	/* a global tempfail is not meant for maildrop */
	if (listener->role == ROLE_LOCAL && config->set.of[reason] == ACTION_TEMPFAIL)
		return -1;
	return config->set.of[reason];
}

/*
 * action_of - the action in force: what is nearest to the listener wins, first by the reason's own
 * word, then by that of the reason it is a case of (reply_heir)
 */
static enum action
action_of(const struct config *config, const struct listener *listener, enum reason reason)
{
	enum reason heir = reply_heir(reason);
	int action = listener->set.of[reason];

	if (action < 0 && heir != REASON_NONE)
		action = listener->set.of[heir];
	if (action < 0)
		action = global_action(config, listener, reason);
	if (action < 0 && heir != REASON_NONE)
		action = global_action(config, listener, heir);
	/* mail without a listener may be let in, a user among strangers not */
	if (reason == REASON_INBOUND_LOGIN && action < ACTION_TEMPFAIL)
		action = -1;
	return action >= 0 ? (enum action)action : reply_default_action(reason, listener->role);
}

/* has_self - is "self" in a list of tables? */
static bool
has_self(const struct words *words)
{
	for (size_t i = 0; i < words->n; i++)
		if (strcmp(words->items[i], "self") == 0)
			return true;
	return false;
}

/* finish_owners - who owns what: by tables, by mailboxes, by the name of the login */
static void
finish_owners(struct options_reader *reader, struct config *config, struct listener *listener)
{
	const struct words *owners = listener->owners.n > 0 ? &listener->owners : &config->owners;
	const struct words *mailboxes =
	    listener->mailboxes.n > 0 ? &listener->mailboxes : &config->mailboxes;
	struct words tables = { .items = mem_array(config, const char *, owners->n + 1),
		.where = owners->where };

	listener->own_self = has_self(owners);
	for (size_t i = 0; i < owners->n; i++)
		if (strcmp(owners->items[i], "self") != 0)
			tables.items[tables.n++] = owners->items[i];
	tables.items[tables.n] = NULL;
	config_tables(config, &tables, &listener->owner_tables);
	if (listener->role == ROLE_SUBMISSION)
		config_tables(config, mailboxes, &listener->mailbox_tables);
	if (listener->role != ROLE_SUBMISSION && has_self(&listener->owners))
		options_error_at(reader, listener->where,
		    "listener %s: \"self\" in owners is for role submission; elsewhere an account always owns its name",
		    listener->name);
}

/* finish_listener - inherit, resolve, check */
static void
finish_listener(struct options_reader *reader, struct config *config, struct listener *listener)
{
	const char *problem = NULL;

	if (listener->role == ROLE_AUTO)
		options_error_at(reader, listener->where,
		    "listener %s needs a role: submission, relay, local or inbound",
		    listener->name);
	listener->mode = listener->mode_set >= 0 ? (enum mode)listener->mode_set : config->mode;
	listener->require_tls = listener->require_tls_set >= 0 ? listener->require_tls_set :
	    config->require_tls_set;
	for (int reason = 0; reason < REASON_COUNT; reason++)
		listener->actions[reason] = action_of(config, listener, (enum reason)reason);
	listener->dmarc_by_policy =
	    (int)listener->actions[REASON_DMARC_FAIL] == ACTION_BY_POLICY;
	if (listener->dmarc_by_policy)
		listener->actions[REASON_DMARC_FAIL] = ACTION_REJECT;
	if (listener->set.of[REASON_NO_LISTENER] >= 0)
		options_error_at(reader, listener->where,
		    "on_no_listener belongs outside the listeners: it is for connections that "
		    "belong to none");
	check_inbound_login(reader, listener->where, &listener->set);
	if (listener->role == ROLE_LOCAL)
		check_local(reader, listener);
	if (listener->role == ROLE_RELAY && listener->account == NULL &&
	    listener->client_accounts.n == 0)
		options_error_at(reader, listener->where,
		    "listener %s of role relay needs account = \"...\": who answers for its mail",
		    listener->name);
	config_tables(config, &listener->client_accounts, &listener->client_tables);
	finish_owners(reader, config, listener);
	if (listener->sign_as != NULL) {
		char *domain = domain_normalise(
		    reader->ctx, listener->sign_as, strlen(listener->sign_as), &problem);

		if (domain == NULL)
			options_error_at(reader, listener->where, "sign_as = \"%s\": %s",
			    listener->sign_as, problem);
		listener->sign_as = domain;
	}
	if (listener->account != NULL) {
		const char *error = NULL;
		char *account =
		    identity_account(reader->ctx, listener->account, config->realm, &error);

		if (account == NULL)
			options_error_at(reader, listener->where, "account = \"%s\": %s",
			    listener->account, error);
		listener->account = account;
	}
}

/* config_listeners_finish - inherit, resolve, check; without listeners, one for each role */
void
config_listeners_finish(struct options_reader *reader, struct config *config, const char *where)
{
	check_inbound_login(reader, where, &config->set);
	if (config->n_listeners == 0)
		auto_listeners(reader, config);
	for (size_t i = 0; i < config->n_listeners; i++)
		finish_listener(reader, config, &config->listeners[i]);
}

/*
 * test_listener.c - which listener a connection belongs to
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "filter/config/listener.h"
#include "policy/base/mem.h"

#define COUNT(rows)	(sizeof(rows) / sizeof((rows)[0]))

/* listener_new - one more listener; the lists are divided by commas, NULL or "" is no condition */
static struct listener *
listener_new(struct config *config, const char *name, const char *daemons, const char *ports,
    const char *clients, int pickup)
{
	const char *lists[] = { daemons, ports, clients };
	struct listener *listener;

	config->listeners =
	    mem_grow(config, config->listeners, struct listener, config->n_listeners + 1);
	listener = &config->listeners[config->n_listeners++];
	memset(listener, 0, sizeof(*listener));
	listener->name = name;
	listener->role = ROLE_SUBMISSION;
	listener->pickup = pickup;
	listener->login = -1;
	listener->daemons.items = mem_array(config, const char *, 8);
	listener->ports.items = mem_array(config, const char *, 8);
	listener->clients = mem_array(config, struct netblock, 8);
	for (size_t i = 0; i < COUNT(lists); i++) {
		for (const char *p = lists[i]; p != NULL && *p != '\0'; p += *p == ',') {
			size_t len = strcspn(p, ",");
			char *word = mem_strndup(config, p, len);
			const char *error = NULL;

			p += len;
			if (i == 0)
				listener->daemons.items[listener->daemons.n++] = word;
			else if (i == 1)
				listener->ports.items[listener->ports.n++] = word;
			else if (!netblock_parse(config, word,
				     &listener->clients[listener->n_clients++], &error))
				fail_msg("%s", error);
		}
	}
	return listener;
}

/* find - the name of the listener that is found, or "none" */
static const char *
find(const struct config *config, const char *daemon, const char *port, const char *client,
    bool pickup, bool login)
{
	struct listener_traits traits = {
		.daemon_name = daemon, .daemon_port = port, .pickup = pickup, .login = login
	};
	const struct listener *found;

	if (client != NULL)
		assert_true(ip_address_parse(client, &traits.client));
	found = listener_find(config, &traits);
	return found == NULL ? "none" : found->name;
}

/* Each kind of condition alone, met and not met. */
static void
test_conditions(void **state)
{
	static const struct {
		const char *label;
		const char *daemons, *ports, *clients;
		int wants_pickup;
		const char *daemon, *port, *client;
		bool pickup, match;
	} rows[] = {
		{ "no condition: all", NULL, NULL, NULL, -1, "smtpd", "25", "192.0.2.1", false,
		    true },
		{ "no condition: pickup too", NULL, NULL, NULL, -1, NULL, NULL, "127.0.0.1", true,
		    true },
		{ "no condition: nothing known", NULL, NULL, NULL, -1, NULL, NULL, NULL, false,
		    true },
		{ "daemon", "ORIGINATING", NULL, NULL, -1, "ORIGINATING", NULL, NULL, false, true },
		{ "daemon, other case", "ORIGINATING", NULL, NULL, -1, "Originating", NULL, NULL,
		    false, true },
		{ "daemon, second of two", "a,MSA", NULL, NULL, -1, "MSA", NULL, NULL, false,
		    true },
		{ "another daemon", "ORIGINATING", NULL, NULL, -1, "mail.example.org", NULL, NULL,
		    false, false },
		{ "part of a daemon name", "ORIGINATING", NULL, NULL, -1, "ORIGIN", NULL, NULL,
		    false, false },
		{ "daemon unknown", "ORIGINATING", NULL, NULL, -1, NULL, NULL, NULL, false, false },
		{ "daemon empty", "ORIGINATING", NULL, NULL, -1, "", NULL, NULL, false, false },
		{ "port", NULL, "587", NULL, -1, NULL, "587", NULL, false, true },
		{ "second port", NULL, "465,587", NULL, -1, NULL, "587", NULL, false, true },
		{ "another port", NULL, "587", NULL, -1, NULL, "25", NULL, false, false },
		{ "longer port", NULL, "587", NULL, -1, NULL, "5870", NULL, false, false },
		{ "port unknown", NULL, "587", NULL, -1, NULL, NULL, NULL, false, false },
		{ "client", NULL, NULL, "10.0.3.0/28", -1, NULL, NULL, "10.0.3.5", false, true },
		{ "mapped client", NULL, NULL, "10.0.3.0/28", -1, NULL, NULL, "::ffff:10.0.3.5",
		    false, true },
		{ "client of the second network", NULL, NULL, "10.0.3.0/28,2001:db8::/32", -1, NULL,
		    NULL, "IPv6:2001:db8::5", false, true },
		{ "client outside", NULL, NULL, "10.0.3.0/28", -1, NULL, NULL, "10.0.3.16", false,
		    false },
		{ "client unknown", NULL, NULL, "0.0.0.0/0,::/0", -1, NULL, NULL, NULL, false,
		    false },
		{ "pickup only", NULL, NULL, NULL, 1, NULL, NULL, "127.0.0.1", true, true },
		{ "pickup only, SMTP", NULL, NULL, NULL, 1, NULL, NULL, "127.0.0.1", false, false },
		{ "never pickup", NULL, NULL, NULL, 0, NULL, NULL, "127.0.0.1", false, true },
		{ "never pickup, pickup", NULL, NULL, NULL, 0, NULL, NULL, "127.0.0.1", true,
		    false },
		{ "all hold", "MSA", "587", "10.0.0.0/8", 0, "MSA", "587", "10.1.1.1", false,
		    true },
		{ "all but the daemon", "MSA", "587", "10.0.0.0/8", 0, "MTA", "587", "10.1.1.1",
		    false, false },
		{ "all but the port", "MSA", "587", "10.0.0.0/8", 0, "MSA", "25", "10.1.1.1", false,
		    false },
		{ "all but the client", "MSA", "587", "10.0.0.0/8", 0, "MSA", "587", "11.1.1.1",
		    false, false },
		{ "all but pickup", "MSA", "587", "10.0.0.0/8", 0, "MSA", "587", "10.1.1.1", true,
		    false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config *config = mem_new(NULL, struct config);

		(void)listener_new(config, "it", rows[i].daemons, rows[i].ports, rows[i].clients,
		    rows[i].wants_pickup);
		/* a login does not choose where sections do */
		for (int login = 0; login < 2; login++)
			if ((strcmp(find(config, rows[i].daemon, rows[i].port, rows[i].client,
			    rows[i].pickup, login == 1), "it") == 0) != rows[i].match)
				fail_msg("%s", rows[i].label);
		talloc_free(config);
	}
}

/* On one port: with a login, and without. */
static void
test_login(void **state)
{
	struct config *config = mem_new(NULL, struct config);

	(void)state;
	listener_new(config, "users", NULL, "25", NULL, -1)->login = 1;
	listener_new(config, "strangers", NULL, "25", NULL, -1)->login = 0;
	assert_string_equal(find(config, NULL, "25", "192.0.2.1", false, true), "users");
	assert_string_equal(find(config, NULL, "25", "192.0.2.1", false, false), "strangers");
	assert_string_equal(find(config, NULL, "587", "192.0.2.1", false, true), "none");
	talloc_free(config);
}

/* The first whose conditions hold, in file order; none if none holds. */
static void
test_order(void **state)
{
	static const struct {
		const char *label, *daemon, *client;
		bool pickup;
		const char *name;
	} rows[] = {
		{ "first of two that hold", "ORIGINATING", "10.0.3.5", false, "webmail" },
		{ "second", "ORIGINATING", "192.0.2.1", false, "users" },
		{ "third", "smtp", "10.0.4.7", false, "lists" },
		{ "pickup", "smtp", "127.0.0.1", true, "php" },
		/* stock Postfix sends its host name for port 25 and for pickup: only pickup
		 * tells */
		{ "the same name, not pickup", "smtp", "127.0.0.1", false, "none" },
	};
	struct config *config = mem_new(NULL, struct config);

	(void)state;
	(void)listener_new(config, "webmail", NULL, NULL, "10.0.3.0/28", -1);
	(void)listener_new(config, "users", "ORIGINATING", NULL, NULL, -1);
	(void)listener_new(config, "lists", NULL, NULL, "10.0.4.7", -1);
	(void)listener_new(config, "php", NULL, NULL, NULL, 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *name =
		    find(config, rows[i].daemon, "25", rows[i].client, rows[i].pickup, false);

		if (strcmp(name, rows[i].name) != 0)
			fail_msg("%s: %s", rows[i].label, name);
	}
	(void)listener_new(config, "mx", NULL, NULL, NULL, -1);
	assert_string_equal(find(config, "smtp", "25", "127.0.0.1", false, false), "mx");
	assert_string_equal(find(config, NULL, NULL, NULL, false, false), "mx");
	assert_string_equal(find(config, "ORIGINATING", "25", "192.0.2.1", false, false), "users");
	talloc_free(config);
}

/* Without sections: a login is a user, sendmail(1) is local, everybody else a stranger. */
static void
test_automatic(void **state)
{
	static const struct { bool pickup, login; const char *name; } rows[] = {
		{ false, true, "submission" }, { true, false, "local" }, { false, false, "inbound" },
		{ true, true, "submission" },
	};
	struct config *config = mem_new(NULL, struct config);

	(void)state;
	config->auto_roles = true;
	listener_new(config, "submission", NULL, NULL, NULL, -1)->role = ROLE_SUBMISSION;
	listener_new(config, "local", NULL, NULL, NULL, -1)->role = ROLE_LOCAL;
	listener_new(config, "inbound", NULL, NULL, NULL, -1)->role = ROLE_INBOUND;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(
		    find(config, "smtp", "25", "127.0.0.1", rows[i].pickup, rows[i].login),
		    rows[i].name);
	/* a client of which nothing is known is a stranger */
	assert_string_equal(find(config, NULL, NULL, NULL, false, false), "inbound");
	talloc_free(config);
}

static void
test_no_listeners(void **state)
{
	struct config *config = mem_new(NULL, struct config);

	(void)state;
	assert_string_equal(find(config, "smtp", "25", "127.0.0.1", false, true), "none");
	talloc_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_automatic),
		cmocka_unit_test(test_no_listeners),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * configuration.h - the configuration as values
 *
 * config_load() (load.h) fills it; what is declared here looks things up in it.
 */
#ifndef FILTER_CONFIG_CONFIGURATION_H
#define FILTER_CONFIG_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <talloc.h>

#include "filter/base/log.h"
#include "filter/dns/resolver.h"
#include "filter/spf/spf.h"
#include "filter/store/types.h"
#include "filter/table/env.h"
#include "policy/base/facts.h"
#include "policy/base/netblock.h"
#include "policy/dkim/signing.h"
#include "policy/quota/quota.h"
#include "policy/sender/identity.h"
#include "policy/verdict/reply.h"

#define ACTION_BY_POLICY	(ACTION_REJECT + 1) /* on_dmarc_fail only: what the domain wants */

/* Where each reason has an action, or none was given. */
struct action_set {
	signed char of[REASON_COUNT]; /* enum action, ACTION_BY_POLICY, or -1: not set */
};

/* A list of words. */
struct words {
	const char **items;	/* NULL-terminated */
	size_t n;
	const char *where;	/* file:line of the option, or NULL: it is not in a file */
};

/* Tables in search order. */
struct table_list {
	size_t *indexes;	/* into config.tables */
	size_t n;
};

/* One listener: which connections are its own, and the rules for them. */
struct listener {
	const char *name; /* of its section; "submission", "local", "inbound" without sections */
	const char *where;	/* file:line, for messages */
	enum role role;

	/* conditions; all that are given must hold */
	struct words daemons;	/* {daemon_name} at CONNECT */
	struct words ports;	/* {daemon_port} at CONNECT */
	struct netblock *clients; /* client networks */
	size_t n_clients;
	int pickup;		/* 1: only sendmail(1), 0: never, -1: either */
	int login;		/* 1: only with a SASL login, 0: never, -1: either */

	/* rules */
	int mode_set;		/* enum mode, or -1: the global one */
	enum mode mode;
	struct action_set set;	/* as written in this section */
	enum action
	    actions[REASON_COUNT]; /* in force: section, else global, else the role's default */
	int require_tls_set;	/* 1, 0, or -1: the global one */
	bool require_tls;
	bool dmarc_by_policy;	/* on_dmarc_fail = "policy" */
	struct words owners;	/* table specifications and "self"; empty: the global ones */
	struct table_list owner_tables;
	bool own_self;		/* "self" is among them */
	struct words mailboxes;	/* table specifications; empty: the global ones */
	struct table_list mailbox_tables;
	const char *account;	/* relay: who answers for the mail */
	struct words
	    client_accounts; /* relay: tables client address -> account, before `account` */
	struct table_list client_tables;
	const char *sign_as;	/* the only domain (normal form) it may sign for, or NULL: any */
};

/* One account of the configuration file. */
struct account {
	const char *name;	/* normal form */
	const char *where;	/* file:line */
	const char *login;	/* as written */
	struct words owns;	/* as written */
	struct identity_pattern *patterns; /* the same, read */
	const char *plan_name;	/* as written, or NULL */
	const struct plan *plan; /* NULL: the default plan */
	const char *plan_from;	/* where that is said, for people */
	int mode_set;		/* enum mode, or -1 */
	struct words networks_as_written;
	struct netblock *networks; /* the only ones it may send from; none: all */
	size_t n_networks;
};

/* How the parties of one kind (policy/quota/quota.h) get their plans. */
struct party_config {
	const char *of_option;	/* name of the next option */
	struct words
	    of; /* pools, networks: tables that say which one an account or a client is in */
	struct table_list of_tables;
	const char *of_where;	/* file:line of that, or NULL */
	const char *plan_option; /* name of the next option */
	const char *plan_name;	/* the plan of all of them, or NULL: no limits */
	const struct plan *plan;
	const char *plan_where;
	const char *table_option; /* name of the next option */
	struct words plan_of;	/* tables with the plans of some of them */
	struct table_list plan_tables;
	const char *table_where;
};

/* Who has which plan. */
struct plans_config {
	struct party_config account;
	struct party_config domain;
	struct party_config pool;
	struct party_config network;
};

/* One Redis of the redis group. */
struct redis_server {
	const char *name;
	const char *where;	/* file:line */
	struct store_options options;
	const char *password_file; /* read when the store is opened */
	int cluster;		/* as written */
	const char *sentinel_password_file;
	int tls;
	long deadline_ms;	/* as written; 0: not */
	long database;
	const char *on_away;
};

/* How mail is signed for some domains; what is not given there is that of all domains. */
struct dkim_domain {
	const char *where;	/* file:line */
	struct words names;	/* as written */
	const char *canonicalization; /* as written, or NULL */
	long expire_ms;		/* as written, or -1 */
	int identity;		/* enum sign_identity, or -1 */
	int subdomains; /* 1: its keys also sign for names below that have none; 0; -1: not given */
	int on_missing_key;	/* enum action, or -1 */
	struct sign_profile profile; /* all of it, in force */
};

/* A domain's name (normal form) and its settings. */
struct dkim_name {
	const char *name;
	const struct dkim_domain *domain;
};

/* Signing and verifying. */
struct dkim_config {
	const char *key_table;	/* OpenDKIM's data set, or NULL */
	const char *signing_table; /* the same; both or none */
	const char *base_directory; /* for relative paths in key_table, or NULL */
	int multiple_signatures;    /* all lines of the signing table that match sign, not only the
				       first */
	int check_dns;		/* a key whose record is not visible does not sign */
	struct words sign_headers; /* as written */
	struct signing_rules rules; /* the same, read; or the default */
	long line_length_limit; /* octets of a line that the MTA leaves whole; -1: by the MTA */
	struct dkim_domain all;	/* for domains without settings of their own */
	struct dkim_domain *domains;
	size_t n_domains;
	struct dkim_name *names; /* sorted */
	size_t n_names;
	long min_key_bits;	/* the rest is for verifying: as struct dkim_options has them */
	long max_signatures;
	long clock_drift_ms;
	int trust_partial_body;
};

/* What is done instead of a domain's policy. */
struct dmarc_override {
	const char *domain;	/* author domain, normal form; NULL: any */
	bool below;		/* written with a dot in front: names below it */
	struct netblock *clients; /* from these clients only; none: all */
	size_t n_clients;
	int policy;		/* enum dmarc_policy, or -1 */
};

/* DMARC of mail from outside. */
/* How aggregate reports are sent. */
struct dmarc_report_config {
	const char *from;	/* their sender, normal form; NULL: none are sent */
	const char *domain;	/* its domain */
	const char *org;	/* who sends them, for people */
	const char *email;	/* whom their readers may ask; NULL: from */
	const char *contact;	/* extra_contact_info, or NULL */
	const char *sendmail;	/* path of the program, or NULL: where it usually is */
};

struct dmarc_config {
	struct netblock *forwarders; /* clients whose mail may fail */
	size_t n_forwarders;
	struct dmarc_override *overrides;
	size_t n_overrides;
	struct dmarc_report_config report;
};

/* How incoming mail is checked. */
struct spf_config {
	struct netblock *exempt; /* clients that are not checked */
	size_t n_exempt;
	struct netblock *relays; /* hosts of ours that pass strangers' mail on */
	size_t n_relays;
	struct spf_override *overrides;
	size_t n_overrides;
	int explain;		/* the domain's own explanation in refusals */
	int received_spf;	/* write Received-SPF */
	int strict_voids;	/* count void lookups below mx and ptr, too */
	long void_limit;	/* void lookups of a check */
	long timeout_ms;	/* for both checks of a message */
};

/* Who may connect as an MTA. */
struct peers {
	bool given;		/* else: everyone who can connect */
	uid_t *users;		/* of this host */
	size_t n_users;
	struct netblock *networks; /* of other hosts */
	size_t n_networks;
};

struct config {
	const char *file;	/* its path */
	struct words files;	/* of the configuration: with those it includes, and plans_file */
	const char *warnings;	/* lines for the log, or NULL */

	/* the daemon; a reload cannot change these */
	const char *listen;	/* milter socket, libmilter's or Postfix's spelling */
	const char *listen_spec; /* the same, as libmilter wants it */
	long listen_mode;	/* permissions of a unix socket */
	const char *listen_group; /* group of a unix socket, or NULL */
	const char *control;	/* path of the control socket, or NULL */
	const char *control_group; /* group that may use it, or NULL */
	const char *control_read_group; /* group that may only ask, or NULL */
	const char *user;	/* account to run as when started by root, or NULL */
	const char *log;	/* "syslog" or "stderr" */
	enum log_format log_format; /* of the line of a message */
	long history_messages;	/* verdicts kept for last and why; 0: none */
	long history_days;	/* for how long at most */
	long history_accounts;	/* with sums a day */
	const char *store;	/* "embedded", "file:PATH" or "redis:NAME" */
	struct store_options store_options; /* what store names */
	const char *store_password_file; /* or NULL */
	const char *store_sentinel_password_file; /* or NULL */
	struct resolver_options resolver;
	struct words dns_servers;

	/* the rules */
	struct peers peers;
	enum mode mode;
	const char *realm;	/* normal domain, or NULL */
	const char *delimiter;	/* recipient_delimiter, "" for none */
	bool fold_local;	/* local parts compare in lower case */
	const char *authserv_id;
	const char *help_url;	/* or NULL */
	const struct reply_texts *replies; /* of refusals; NULL: English */
	const char *keys;	/* directory of private keys, or NULL: nothing is signed */
	struct dkim_config dkim;
	int require_tls_set;
	long drain_timeout_ms;	/* how long messages in flight may take at TERM */
	long dns_timeout_ms;	/* for tables and the DNS of DKIM at one stage of a message */
	long dns_cache;		/* answers kept */
	struct spf_config spf;	/* how strangers' mail is checked */
	struct words event_command; /* program and its arguments; none: no program */
	long event_timeout_ms;	/* how long it may run */
	struct action_set set;	/* global on_ words */
	struct dmarc_config dmarc;
	bool own_set;		/* own_domains is given; else they follow from the rest */
	struct words own_domains; /* normal form, or "." and a domain: names below it */
	struct words own_words;	/* those of own_domains that are tables */
	struct table_list own_tables;
	struct words owners;	/* table specifications, here and in the next four, and "self" */
	struct words mailboxes;
	struct words login_map;
	struct words allowed_networks;
	struct words restricted_recipients;
	struct table_list login_tables;	/* login -> account */
	struct table_list network_tables; /* account -> networks it may send from */
	struct table_list restricted_tables; /* recipient -> who may post */
	struct words country_of;	/* tables, here and in the next one */
	struct words asn_of;
	struct table_list country_tables; /* client address -> country */
	struct table_list asn_tables;	/* client address -> number of its autonomous system */
	struct words
	    domains; /* domains that accounts name, sorted; with a dot in front: and all below */
	struct table_limits table_limits; /* of tables that ask a server */
	struct words tables;	/* all distinct specifications, as listeners index them */
	const char **tables_where; /* of each, the first option that names it: file:line */

	struct listener *listeners;
	size_t n_listeners;
	bool auto_roles;	/* no listeners section: the role comes from the connection */

	struct account *accounts; /* sorted by name */
	size_t n_accounts;

	const char *plans_file;	/* or NULL */
	struct plans_config assign; /* who has which plan; filter/message/plans.h carries it out */
	struct plan *plans;
	size_t n_plans;

	struct redis_server *redis;
	size_t n_redis;
};

/* config_dkim_domain - the settings that mail signed for a domain (normal form) goes by; never
 * NULL. Any thread. */
const struct dkim_domain *config_dkim_domain(const struct config *config, const char *domain);

/* config_listen_inherited - is the socket the service manager's (listen = "systemd:NAME")? Any
 * thread. */
bool config_listen_inherited(const struct config *config);

/* config_listens_beyond - can other hosts connect, or might they? Any thread. */
bool config_listens_beyond(const struct config *config);

/* config_signs - is anything to be signed? Any thread. */
bool config_signs(const struct config *config);

/* config_account - the account of that normal form, or NULL. Any thread. */
const struct account *config_account(const struct config *config, const char *name);

/*
 * config_account_mode - the mode that mail of an account meets at listeners of a role
 * name: normal form; role: ROLE_AUTO is any but inbound. Its own mode, or else enforce if one of
 * the listeners enforces. Any thread.
 */
enum mode config_account_mode(const struct config *config, const char *name, enum role role);

/* config_find_plan - the plan of that name, or NULL. Any thread. */
const struct plan *config_find_plan(const struct config *config, const char *name);

/* config_counts - does some plan count this unit, in limits or block_on? */
bool config_counts(const struct config *config, enum limit_unit unit);

/* config_has_domain - does some account of the file have or own addresses of this domain (normal
 * form)? Any thread. */
bool config_has_domain(const struct config *config, const char *domain);

/*
 * config_spf_service - what the checks of this configuration have in common
 * spf and receiver (our host name) must outlive the service.
 */
void config_spf_service(const struct spf_config *spf, struct resolver *resolver,
    const char *receiver, struct spf_service *service_r);

/* config_sort_... - put the accounts, the domains that they name, the domains of the dkim group
 * into the order in which the functions above search; for those who fill a configuration */
void config_sort_accounts(struct config *config);
void config_sort_domains(struct config *config);
void config_sort_dkim_names(struct config *config);

/* config_where - where an option that is a list of words is: "file:line", or the file */
const char *config_where(const struct config *config, const struct words *words);

/* config_tables - enter a list of table specifications into config->tables (memory on config) and
 * return their indexes; specs stay referenced. While a configuration is filled. */
void config_tables(
    struct config *config, const struct words *specs, struct table_list *list_r);

/*
 * config_fixed_difference - the option that differs between two configurations though only a
 * restart can change it, or NULL. Static text.
 */
const char *config_fixed_difference(const struct config *old, const struct config *new);

#endif

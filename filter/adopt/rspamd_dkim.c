/*
 * rspamd_dkim.c - rspamd's dkim_signing and arc: keys as a KeyTable and a SigningTable
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <glob.h>
#include <string.h>
#include <unistd.h>

#include "filter/adopt/rspamd.h"
#include "policy/base/domain.h"
#include "policy/base/mem.h"

#define KEYS_MAX 10000
#define STANDARD_PATH "/var/lib/rspamd/dkim/$domain.$selector.key"

/* The keys as they are found. */
struct rspamd_keys {
	struct adopt *adopt;
	const struct rspamd_file *file;
	struct adopt_texts files;
	struct adopt_texts lines; /* of the KeyTable, by which a key is known */
	bool below;               /* a key also signs for names below its domain */
	bool several;             /* a domain has more than one key */
	const char *left;         /* what rspamd signs with and what is not taken over, or NULL */
};

/* replace - a text with each $name replaced */
static const char *
replace(struct adopt *adopt, const char *text, const char *name, const char *by)
{
	char *out = mem_strdup(adopt, "");
	const char *found;

	while ((found = strstr(text, name)) != NULL) {
		out = mem_check(talloc_strndup_append_buffer(out, text, (size_t)(found - text)));
		out = mem_check(talloc_strdup_append_buffer(out, by));
		text = found + strlen(name);
	}
	return mem_check(talloc_strdup_append_buffer(out, text));
}

/* rspamd_keys_add_key - a key of a domain */
static void
rspamd_keys_add_key(
    struct rspamd_keys *keys, const char *domain, const char *selector, const char *path)
{
	struct adopt *adopt = keys->adopt;
	const char *error = NULL;
	const char *normal = domain_normalise(adopt, domain, strlen(domain), &error);
	const char *name;
	size_t before = keys->lines.n;

	if (normal == NULL || !domain_is_labels(normal) || !domain_is_labels(selector) ||
	    strpbrk(path, " \t\n%") != NULL || keys->lines.n == KEYS_MAX) {
		keys->left =
		    mem_printf(adopt, "%s: the key %s of %s cannot be written to a KeyTable",
			keys->file->path, path, domain);
		adopt_missing(adopt, "%s", keys->left);
		return;
	}
	name = mem_printf(adopt, "%s._domainkey.%s", selector, normal);
	adopt_text(adopt, &keys->lines, "%s %s:%s:%s", name, normal, selector, path);
	if (keys->lines.n == before)
		return;
	keys->several = keys->several ||
	    strstr(adopt->signing_table, mem_printf(adopt, "*@%s ", normal)) != NULL;
	adopt->key_table =
	    mem_check(talloc_asprintf_append(adopt->key_table, "%s\n", keys->lines.items[before]));
	adopt->signing_table =
	    mem_check(talloc_asprintf_append(adopt->signing_table, "*@%s %s\n", normal, name));
	if (keys->below)
		adopt->signing_table = mem_check(
		    talloc_asprintf_append(adopt->signing_table, "*@*.%s %s\n", normal, name));
	adopt_text(adopt, &keys->files, "%s", path);
	adopt_add_domain(adopt, normal);
}

/* rspamd_keys_add_pattern - the keys that a path with $domain leads to */
static void
rspamd_keys_add_pattern(struct rspamd_keys *keys, const char *path, const char *selector)
{
	struct adopt *adopt = keys->adopt;
	const char *mark = strstr(path, "$domain"), *before, *behind, *pattern;
	glob_t found;

	path = replace(adopt, path, "$selector", selector);
	mark = strstr(path, "$domain");
	if (mark == NULL)
		return;
	before = mem_strndup(adopt, path, (size_t)(mark - path));
	behind = mark + strlen("$domain");
	pattern = replace(adopt, path, "$domain", "*");
	if (glob(pattern, 0, NULL, &found) != 0) {
		if (keys->lines.n > 0)
			return;
		adopt_missing(adopt,
		    "%s: rspamd dkim_signing: there is no key %s; run countersignctl dkim genkey "
		    "DOMAIN for your domains, then switch dkim_signing off there",
		    keys->file->path, pattern);
		return;
	}
	for (size_t i = 0; i < found.gl_pathc && i < KEYS_MAX; i++) {
		const char *one = found.gl_pathv[i];
		size_t len = strlen(one), rest = strlen(before) + strlen(behind);

		if (len > rest)
			rspamd_keys_add_key(keys,
			    mem_strndup(adopt, one + strlen(before), len - rest), selector,
			    mem_strdup(adopt, one));
	}
	globfree(&found);
}

/* add_one - a path, with or without $domain, and a selector, for a domain or for all */
static void
add_one(struct rspamd_keys *keys, const char *domain, const char *selector, const char *path)
{
	if (domain == NULL) {
		rspamd_keys_add_pattern(keys, path, selector);
		return;
	}
	path = replace(
	    keys->adopt, replace(keys->adopt, path, "$domain", domain), "$selector", selector);
	if (access(path, F_OK) == 0)
		rspamd_keys_add_key(keys, domain, selector, path);
	else
		adopt_missing(keys->adopt,
		    "%s: rspamd dkim_signing: there is no key %s of %s; run countersignctl dkim genkey "
		    "%s",
		    keys->file->path, path, domain, domain);
}

/* rspamd_keys_add_domain - an entry of domain { } */
static void
rspamd_keys_add_domain(
    struct rspamd_keys *keys, const struct ucl_node *domain, const char *selector, const char *path)
{
	const struct ucl_node *several = ucl_find(domain, "selectors");

	selector = ucl_text(domain, "selector") != NULL ? ucl_text(domain, "selector") : selector;
	path = ucl_text(domain, "path") != NULL ? ucl_text(domain, "path") : path;
	if (several == NULL) {
		add_one(keys, domain->name, selector, path);
		return;
	}
	for (const struct ucl_node *one = several->members; one != NULL; one = one->next)
		add_one(keys, domain->name,
		    ucl_text(one, "selector") != NULL ? ucl_text(one, "selector") : selector,
		    ucl_text(one, "path") != NULL ? ucl_text(one, "path") : path);
}

/* map_value - what a map file has for a domain, or NULL; lines "DOMAIN VALUE" */
static const char *
map_value(struct adopt *adopt, const char *map, const char *domain)
{
	char *text = map != NULL && map[0] == '/' ? adopt_file(adopt, map) : NULL, *line;
	int number = 0;

	while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
		size_t len = strcspn(line, " \t");
		char *value = line + len + strspn(line + len, " \t");

		value[strcspn(value, " \t#")] = '\0';
		if (strlen(domain) == len && memcmp(domain, line, len) == 0 && value[0] != '\0')
			return value;
	}
	return NULL;
}

/* rspamd_keys_add_maps - selector_map and path_map: each domain that one of them has */
static void
rspamd_keys_add_maps(struct rspamd_keys *keys, const char *selector, const char *path)
{
	static const char *const names[] = { "selector_map", "path_map" };
	struct adopt *adopt = keys->adopt;
	const char *maps[2];

	for (int i = 0; i < 2; i++) {
		const struct ucl_node *node = ucl_find(keys->file->root, names[i]);

		maps[i] = node != NULL ? node->text : NULL;
		if (maps[i] != NULL && strncmp(maps[i], "file://", 7) == 0)
			maps[i] += 7;
		if (node != NULL && (maps[i] == NULL || maps[i][0] != '/')) {
			keys->left = mem_printf(adopt, "%s: %s is not a text file",
			    rspamd_where(adopt, keys->file, node), names[i]);
			adopt_missing(adopt, "%s", keys->left);
			maps[i] = NULL;
		}
	}
	for (int i = 0; i < 2; i++) {
		char *text = maps[i] != NULL ? adopt_read_file(adopt, maps[i]) : NULL, *line;
		int number = 0;

		if (maps[i] != NULL && text == NULL)
			keys->left =
			    mem_printf(adopt, "%s: %s cannot be read", keys->file->path, names[i]);
		while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
			const char *one, *other;

			line[strcspn(line, " \t#")] = '\0';
			if (line[0] == '\0')
				continue;
			one = map_value(adopt, maps[0], line);
			other = map_value(adopt, maps[1], line);
			add_one(
			    keys, line, one != NULL ? one : selector, other != NULL ? other : path);
		}
	}
}

/* note_rest - settings that are decided in another way here */
static void
note_rest(struct rspamd_keys *keys)
{
	struct adopt *adopt = keys->adopt;
	const struct rspamd_file *file = keys->file;
	static const char *const known[] = { "path", "selector", "domain", "selector_map",
		"path_map", "enabled", "use_esld" };

	for (const struct ucl_node *one = file->root->members; one != NULL; one = one->next) {
		bool found = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			found = found || strcmp(known[i], one->name) == 0;
		if ((strcmp(one->name, "use_redis") == 0 || strcmp(one->name, "use_vault") == 0) &&
		    ucl_bool(file->root, one->name, false)) {
			keys->left = mem_printf(adopt,
			    "%s: rspamd dkim_signing: %s: keys in there are not read; write them to "
			    "files of /etc/countersign/keys/DOMAIN/SELECTOR.pem",
			    rspamd_where(adopt, file, one), one->name);
			adopt_missing(adopt, "%s", keys->left);
		} else if (!found)
			adopt_note(adopt,
			    "%s: rspamd dkim_signing: %s: listeners and owners decide whose mail is "
			    "signed here",
			    rspamd_where(adopt, file, one), one->name);
	}
}

/* rspamd_keys_set_tables - the settings of countersign */
static void
rspamd_keys_set_tables(struct rspamd_keys *keys)
{
	struct adopt *adopt = keys->adopt;

	if (keys->left != NULL) {
		adopt->rspamd_stays = keys->left;
		adopt->key_table = adopt->signing_table = NULL;
		adopt_missing(adopt,
		    "%s: rspamd goes on signing with its dkim_signing, because not all of it is taken "
		    "over: leave it switched on",
		    keys->file->path);
		return;
	}
	if (keys->lines.n == 0)
		return;
	adopt_own_keys(adopt, &keys->files, NULL);
	adopt_note(adopt,
	    "%s: rspamd signs today; switch its dkim_signing off (enabled = false) when you change "
	    "main.cf, or both sign",
	    keys->file->path);
	if (adopt->signs_here)
		return;
	adopt->signs_here = true;
	adopt_set(adopt, PLACE_DKIM,
	    mem_printf(adopt, "%s: keys of dkim_signing", keys->file->path),
	    "key_table = \"KeyTable\"\n  signing_table = \"refile:SigningTable\"");
	if (keys->several)
		adopt_set(
		    adopt, PLACE_DKIM, "a domain has several keys", "multiple_signatures = true");
	adopt_set(adopt, PLACE_DKIM, "rspamd passes mail whose key it cannot use",
	    "on_missing_key = \"unsigned\"");
}

void
rspamd_dkim_signing(struct adopt *adopt, const struct rspamd_file *file)
{
	struct rspamd_keys keys = { .adopt = adopt, .file = file };
	const char *path = ucl_text(file->root, "path");
	const char *selector = ucl_text(file->root, "selector");
	const struct ucl_node *domains = ucl_find(file->root, "domain");

	if (!ucl_bool(file->root, "enabled", true))
		return;
	if (adopt->signs_here || adopt->opendkim_stays != NULL) {
		adopt_missing(adopt,
		    "%s: rspamd dkim_signing and opendkim both sign today; the keys of %s, those of "
		    "rspamd were not taken over, and it goes on signing with them",
		    file->path,
		    adopt->signs_here ? "opendkim were taken over" : "opendkim stay with it");
		return;
	}
	if (adopt->key_table == NULL) {
		adopt->key_table = mem_strdup(adopt, "");
		adopt->signing_table = mem_strdup(adopt, "");
	}
	keys.below = ucl_bool(file->root, "use_esld", true);
	path = path != NULL ? path : STANDARD_PATH;
	selector = selector != NULL ? selector : "dkim";
	for (const struct ucl_node *one = domains != NULL ? domains->members : NULL; one != NULL;
	     one = one->next)
		rspamd_keys_add_domain(&keys, one, selector, path);
	rspamd_keys_add_maps(&keys, selector, path);
	if (strstr(path, "$domain") == NULL && domains == NULL && keys.lines.n == 0)
		adopt_missing(adopt, "%s",
		    keys.left = mem_printf(adopt,
			"%s: rspamd dkim_signing: %s is one key for all domains; write a KeyTable with "
			"a line for each domain",
			file->path, path));
	else if (strstr(path, "$domain") != NULL &&
	    (keys.lines.n == 0 || ucl_bool(file->root, "try_fallback", true)))
		add_one(&keys, NULL, selector, path);
	note_rest(&keys);
	if (file->incomplete != NULL && keys.left == NULL)
		keys.left = mem_printf(adopt, "%s was not read whole", file->incomplete);
	rspamd_keys_set_tables(&keys);
}

void
rspamd_arc(struct adopt *adopt, const struct rspamd_file *file)
{
	if (ucl_bool(file->root, "enabled", true))
		adopt_missing(adopt, "%s: rspamd arc: ARC is not written here; it stays in rspamd",
		    file->path);
}

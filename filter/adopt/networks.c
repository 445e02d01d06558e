/*
 * networks.c - hosts that may send without a login, as a listener of role relay
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/adopt/inside.h"
#include "policy/base/mem.h"
#include "policy/base/netblock.h"

#define DEPTH_MAX 5 /* of files that name files */
#define NETWORKS_MAX 500

/* Networks as they are found. */
struct networks {
	struct adopt *adopt;
	const char *from;
	int depth;
};

/* without_brackets - "[::1]/128" as "::1/128" */
static const char *
without_brackets(struct adopt *adopt, const char *word)
{
	const char *close = strchr(word, ']');

	if (word[0] != '[' || close == NULL)
		return word;
	return mem_printf(adopt, "%.*s%s", (int)(close - word - 1), word + 1, close + 1);
}

static void add_networks(struct networks *networks, const char *list);

/* add_file - a file that holds more of them */
static void
add_file(struct networks *networks, const char *path)
{
	struct adopt *adopt = networks->adopt;
	char *text, *line;
	int number = 0;

	if (networks->depth == DEPTH_MAX) {
		adopt_missing(
		    adopt, "%s: %s: files within files go too deep", networks->from, path);
		return;
	}
	text = adopt_read_file(adopt, path);
	if (text == NULL)
		adopt_missing(adopt,
		    "%s: hosts in %s are missing in client = [...]: their mail is treated as a "
		    "stranger's",
		    networks->from, path);
	networks->depth++;
	while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
		line[strcspn(line, "#")] = '\0';
		add_networks(networks, line);
	}
	networks->depth--;
}

/* is_covered - is a network within those that were named before? Then the first one counts */
static bool
is_covered(struct adopt *adopt, const struct netblock *block)
{
	for (size_t i = 0; i < adopt->networks.n; i++) {
		const char *error = NULL;
		struct netblock other;

		if (netblock_parse(adopt, adopt->networks.items[i], &other, &error) &&
		    other.prefix <= block->prefix && netblock_contains(&other, 1, &block->network))
			return true;
	}
	return false;
}

/* add_exception - !NETWORK, which keeps hosts out of the networks that follow it */
static void
add_exception(struct networks *networks, const char *word)
{
	struct adopt *adopt = networks->adopt;
	const char *error = NULL;
	struct netblock block;

	if (netblock_parse(adopt, without_brackets(adopt, word + 1), &block, &error) &&
	    is_covered(adopt, &block))
		adopt_note(adopt,
		    "%s: the exception %s has no effect, as in Postfix: a network before it has "
		    "these hosts",
		    networks->from, word);
	else
		adopt_except(adopt, word + 1, networks->from);
}

/* add_network - one word of the list */
static void
add_network(struct networks *networks, const char *word)
{
	struct adopt *adopt = networks->adopt;
	const char *error = NULL, *text = without_brackets(adopt, word);
	struct netblock block;

	if (word[0] == '/')
		add_file(networks, word);
	else if (word[0] == '!')
		add_exception(networks, word);
	else if (!netblock_parse(adopt, text, &block, &error))
		adopt_missing(adopt,
		    "%s: %s is not a network; write the addresses into client = [...] of a listener "
		    "of role relay, or mail from there is treated as a stranger's",
		    networks->from, word);
	else if (block.prefix == 0)
		adopt_missing(adopt,
		    "%s: %s is every host: this is an open relay; name your own networks",
		    networks->from, word);
	else if (!ip_address_is_loopback(&block.network) && adopt->networks.n < NETWORKS_MAX)
		adopt_text(adopt, &adopt->networks, "%s", text);
	else if (adopt->networks.n == NETWORKS_MAX)
		adopt_missing(adopt,
		    "%s: more than %d networks; the others are missing in client = [...]",
		    networks->from, NETWORKS_MAX);
}

/* add_networks - words with commas or white space between */
static void
add_networks(struct networks *networks, const char *list)
{
	const char *word;

	while ((word = postfix_word(networks->adopt, &list)) != NULL)
		add_network(networks, word);
}

/* relay_account - the account that answers for these hosts */
static const char *
relay_account(struct adopt *adopt)
{
	return mem_printf(
	    adopt, "hosts@%s", adopt->domain != NULL ? adopt->domain : "localhost.localdomain");
}

/* owned_domains - "@domain" of each own domain */
static const char *
owned_domains(struct adopt *adopt)
{
	struct adopt_texts owned = { NULL, 0 };

	for (size_t i = 0; i < adopt->domains.n; i++)
		adopt_text(adopt, &owned, "@%s", adopt->domains.items[i]);
	return owned.n > 0 ? mem_printf(adopt, "  owns = %s", adopt_list(adopt, &owned)) : "";
}

void
adopt_networks(struct adopt *adopt, const char *value, const char *from)
{
	struct networks networks = { .adopt = adopt, .from = from };
	size_t before = adopt->networks.n;

	add_networks(&networks, value);
	if (adopt->networks.n == before ||
	    (adopt->networks_from != NULL && strstr(adopt->networks_from, from) != NULL))
		return;
	adopt->networks_from = adopt->networks_from == NULL
	    ? from
	    : mem_printf(adopt, "%s; %s", adopt->networks_from, from);
}

void
adopt_except(struct adopt *adopt, const char *network, const char *from)
{
	const char *error = NULL, *text = without_brackets(adopt, network);
	struct netblock block;

	if (netblock_parse(adopt, text, &block, &error))
		adopt_text(adopt, &adopt->excepted, "%s", text);
	else
		adopt_missing(adopt,
		    "%s: the exception !%s is not a network; name its addresses in client = [...] "
		    "of a listener of role inbound above hosts",
		    from, network);
}

void
adopt_set_networks(struct adopt *adopt)
{
	const char *account = relay_account(adopt), *from = adopt->networks_from;

	if (adopt->networks.n == 0)
		return;
	if (adopt->excepted.n > 0)
		adopt_set(adopt, PLACE_LISTENERS, mem_printf(adopt, "%s: its exceptions", from),
		    "excepted = { role = \"inbound\"  client = %s }",
		    adopt_list(adopt, &adopt->excepted));
	adopt_set(adopt, PLACE_LISTENERS,
	    mem_printf(adopt,
		"%s; so far these hosts could write as anyone, so on_foreign_ is warn", from),
	    "hosts = { role = \"relay\"  client = %s  account = %s\n"
	    "    on_foreign_envelope = \"warn\"  on_foreign_from = \"warn\"  on_foreign_sender = "
	    "\"warn\"%s }",
	    adopt_list(adopt, &adopt->networks), adopt_quoted(adopt, account),
	    adopt->n_limits > 0 ? "  on_over = \"warn\"" : "");
	adopt_set(adopt, PLACE_ACCOUNTS,
	    mem_printf(adopt, "%s: these hosts send without a login; choose what they own", from),
	    "{ login = %s%s }", adopt_quoted(adopt, account), owned_domains(adopt));
	adopt_note(adopt,
	    "%s: hosts of %s send without a login. Their mail is charged to %s, and signed if that "
	    "account owns the sender",
	    from, adopt_list(adopt, &adopt->networks), account);
	adopt_text(adopt, &adopt->report->relay_senders, "%s sample@%s", adopt->networks.items[0],
	    adopt->domain != NULL ? adopt->domain : "localhost.localdomain");
}

/*
 * from_postfwd.c - postfwd: its rules that limit logins
 *
 * A rule is items with semicolons between. Those of the form
 *	sasl_username... ; action=rate(sasl_username/MAX/SECONDS/ACTION)
 * (and rcpt, size) become limits. Every other rule is named in the report and stays.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <regex.h>
#include <string.h>
#include <strings.h>

#include "filter/adopt/inside.h"
#include "policy/base/mem.h"

#define ITEMS_MAX 200 /* of a rule */
#define MACROS_MAX 500
#define PATTERN_MAX 100 /* bytes of a regular expression */
#define RULE_MAX 65536  /* bytes of a rule with its macros */
#define MACRO_DEPTH 5
#define EXPANSIONS_MAX 20000 /* of macros, in all */

/* One item: name, operator, value. */
struct item {
	const char *name, *operator, * value;
};

/* A macro: &&NAME { ... }. */
struct macro {
	const char *name;
	const char *text;
};

/* A ruleset. */
struct ruleset {
	struct adopt *adopt;
	const char *path;
	struct macro *macros;
	size_t n_macros;
	size_t taken, left;
	size_t expansions;
};

/* A rule. */
struct rule {
	struct item items[ITEMS_MAX];
	size_t n;
	const char *id;
	const char *where; /* file:line */
	const char *odd;   /* a part of it that is no item, or NULL: it may be a condition */
};

/* --- items ----------------------------------------------------------------- */

/* cut_item - "name op value" in three; false: it is none */
static bool
cut_item(struct adopt *adopt, char *text, struct item *item_r)
{
	size_t name, op;
	char *end;

	text += strspn(text, " \t");
	for (end = text + strlen(text); end > text && strchr(" \t", end[-1]) != NULL; end--)
		end[-1] = '\0';
	name = strspn(text, "$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	op = strspn(text + name + strspn(text + name, " \t"), "=~!<>&*");
	if (name == 0 || op == 0)
		return false;
	item_r->name = mem_strndup(adopt, text, name);
	text += name + strspn(text + name, " \t");
	item_r->operator= mem_strndup(adopt, text, op);
	item_r->value = text + op + strspn(text + op, " \t");
	return true;
}

/* rule_find - the value of an item, or NULL */
static const char *
rule_find(const struct rule *rule, const char *name)
{
	for (size_t i = 0; i < rule->n; i++)
		if (strcasecmp(rule->items[i].name, name) == 0)
			return rule->items[i].value;
	return NULL;
}

/* count_items - how often an item is there */
static size_t
count_items(const struct rule *rule, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < rule->n; i++)
		n += strcasecmp(rule->items[i].name, name) == 0;
	return n;
}

/* split_rule - the items of a line */
static void
split_rule(struct ruleset *set, char *line, struct rule *rule)
{
	while (*line != '\0') {
		size_t len = strcspn(line, ";");
		char *next = line + len + (line[len] == ';'), *text = line + strspn(line, " \t");

		line[len] = '\0';
		if (rule->n == ITEMS_MAX || strstr(text, "&&") != NULL)
			rule->odd = mem_printf(set->adopt, "%.100s", text);
		else if (cut_item(set->adopt, text, &rule->items[rule->n]))
			rule->n++;
		else if (*text != '\0')
			rule->odd = mem_printf(set->adopt, "%.100s", text);
		line = next;
	}
	if (count_items(rule, "action") > 1)
		rule->odd = "a second action";
	rule->id = rule_find(rule, "id");
	if (rule->id == NULL)
		rule->id = "without an id";
}

/* --- conditions ------------------------------------------------------------ */

/* pattern_of - the regular expression of an item, without its slashes; NULL: it is none */
static const char *
pattern_of(struct adopt *adopt, const struct item *item)
{
	const char *value = item->value;
	size_t len = strlen(value);

	if (strchr(item->operator, '~') == NULL || len == 0 || len > PATTERN_MAX)
		return NULL;
	if (len > 1 && value[0] == '/' && value[len - 1] == '/')
		return mem_strndup(adopt, value + 1, len - 2);
	return value;
}

/* matches_any_login - a condition that every login meets */
static bool
matches_any_login(struct adopt *adopt, const struct item *item)
{
	static const char *const logins[] = { "alice", "u1001", "web-7_x", "bob.b@example.org",
		"info@sub.xn--bcher-kva.example" };
	const char *pattern = pattern_of(adopt, item);
	bool negated = item->operator[0] == '!', all = true;
	regex_t compiled;

	if (negated && item->value[0] == '\0')
		return true;
	/* what is repeated within repeats costs the C library much */
	if (pattern == NULL || strchr(pattern, '{') != NULL ||
	    regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB | REG_ICASE) != 0)
		return false;
	for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++)
		all = all && (regexec(&compiled, logins[i], 0, NULL, 0) == 0) != negated;
	regfree(&compiled);
	return all;
}

/* domain_of - "@example.org", if a pattern is for the logins of one domain; else NULL */
static const char *
domain_of(struct adopt *adopt, const struct item *item)
{
	const char *pattern = pattern_of(adopt, item), *at;
	char *out, *to;

	if (pattern == NULL || item->operator[0] == '!')
		return NULL;
	at = strchr(pattern, '@');
	if (at == NULL || pattern[strlen(pattern) - 1] != '$' ||
	    pattern[strspn(pattern, "^.+*()\\@")] == '\0' ||
	    strspn(pattern, "^.+*()") < (size_t)(at - pattern))
		return NULL;
	out = to = mem_strdup(adopt, at);
	for (; at[1] != '\0'; at++)
		if (*at != '\\')
			*to++ = *at;
	*to = '\0';
	return out[1 +
		   strspn(out + 1,
		       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")] ==
		    '\0' &&
		strchr(out, '.') != NULL
	    ? out
	    : NULL;
}

/* is_frame - an item that is no condition on the sender */
static bool
is_frame(const struct item *item)
{
	return strcasecmp(item->name, "id") == 0 || strcasecmp(item->name, "action") == 0 ||
	    (strcasecmp(item->name, "protocol_state") == 0 && item->operator[0] == '=');
}

/* read_conditions - the logins that a rule is for, none for all of them. Conditions of one name are
 * alternatives, except negated ones. What keeps it from being taken over in *why_r; a condition
 * that is not understood does, because the limit would hold for more logins without it */
static bool
read_conditions(
    struct adopt *adopt, const struct rule *rule, struct adopt_texts *subjects, const char **why_r)
{
	bool any = false;

	for (size_t i = 0; i < rule->n; i++) {
		const struct item *item = &rule->items[i];
		bool login = strcasecmp(item->name, "sasl_username") == 0;

		if (is_frame(item))
			continue;
		if (login && matches_any_login(adopt, item))
			any = any || item->operator[0] != '!';
		else if (login && domain_of(adopt, item) != NULL)
			adopt_text(adopt, subjects, "%s", domain_of(adopt, item));
		else if (login && strchr(item->operator, '~') == NULL &&
		    item->operator[0] == '=' && item->value[0] != '\0')
			adopt_text(adopt, subjects, "%s", item->value);
		else {
			*why_r = mem_printf(adopt, "its condition %s%s%s has no counterpart",
			    item->name, item->operator, item->value);
			return false;
		}
	}
	if (any)
		subjects->n = 0;
	if (rule->odd != NULL)
		*why_r = mem_printf(adopt, "its condition %s is not understood", rule->odd);
	return rule->odd == NULL;
}

/* --- actions --------------------------------------------------------------- */

/* The actions that count. */
static const struct {
	const char *name;
	enum limit_unit unit;
} counters[] = {
	{ "rate", LIMIT_RECIPIENTS },
	{ "rate5321", LIMIT_RECIPIENTS },
	{ "rcpt", LIMIT_RECIPIENTS },
	{ "rcpt5321", LIMIT_RECIPIENTS },
	{ "size", LIMIT_BYTES },
	{ "size5321", LIMIT_BYTES },
};

/* unit_of - what an action counts; *fields_r: after its parenthesis; false: it does not count */
static bool
unit_of(const char *action, enum limit_unit *unit_r, const char **fields_r)
{
	size_t len = strcspn(action, "( \t");

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		if (strlen(counters[i].name) == len && action[len] == '(' &&
		    strncasecmp(counters[i].name, action, len) == 0) {
			*unit_r = counters[i].unit;
			*fields_r = action + len + 1;
			return true;
		}
	return false;
}

/* counts_messages - is a rule asked once for each message? */
static bool
counts_messages(const struct rule *rule)
{
	const char *state = rule_find(rule, "protocol_state");

	return state != NULL && (strstr(state, "END-OF") != NULL || strstr(state, "DATA") != NULL);
}

/* note_unit - what is not certain of what was counted */
static void
note_unit(struct adopt *adopt, const struct rule *rule, const char *action)
{
	if (strncasecmp(action, "rate", 4) == 0 && rule_find(rule, "protocol_state") == NULL)
		adopt_note(adopt,
		    "%s: postfwd %s: rate() counts requests: one for each recipient, if postfwd is "
		    "used in smtpd_recipient_restrictions, else one for each message. Recipients "
		    "were taken; see that this is meant",
		    rule->where, rule->id);
	if (strncasecmp(action, "rcpt", 4) == 0 && !counts_messages(rule))
		adopt_note(adopt,
		    "%s: postfwd %s: rcpt() counts recipients as Postfix reports them, which it does "
		    "from DATA on only; see that the limit was in effect",
		    rule->where, rule->id);
}

/* ruleset_read_counter - item/max/seconds/action */
static bool
ruleset_read_counter(struct adopt *adopt, const struct rule *rule, const char *fields,
    struct adopt_limit *limit, const char **why_r)
{
	const char *parts[4];
	uint64_t seconds;

	for (int i = 0; i < 3; i++) {
		size_t len = strcspn(fields, "/");

		parts[i] = mem_strndup(adopt, fields, len);
		fields += len + (fields[len] == '/');
	}
	parts[3] = fields;
	parts[0] += strspn(parts[0], " $(");
	if (strncasecmp(parts[0], "sasl_username", 13) != 0 ||
	    parts[0][13 + strspn(parts[0] + 13, " )")] != '\0') {
		*why_r = mem_printf(adopt, "it counts by %s, not by login", parts[0]);
		return false;
	}
	if (!adopt_number(parts[1], LIMIT_MAX_COUNT, &limit->max) ||
	    !adopt_number(parts[2], LIMIT_MAX_WINDOW_MS / 1000, &seconds) || seconds == 0) {
		*why_r = "its number or its time cannot be read";
		return false;
	}
	limit->window_s = (int64_t)seconds;
	limit->action = adopt_action(parts[3]);
	if (limit->action == NULL) {
		*why_r = mem_printf(adopt, "its action %.60s has no counterpart", parts[3]);
		return false;
	}
	limit->from = mem_printf(adopt, "%s: postfwd %s", rule->where, rule->id);
	return true;
}

/* ruleset_add_counter - the limit of a rule, for each of its logins */
static void
ruleset_add_counter(struct ruleset *set, const struct rule *rule, struct adopt_limit *limit,
    const struct adopt_texts *subjects)
{
	const char *action = rule_find(rule, "action");
	bool all = true;

	if (limit->unit == LIMIT_RECIPIENTS && strncasecmp(action, "rate", 4) == 0 &&
	    counts_messages(rule))
		limit->unit = LIMIT_MESSAGES;
	note_unit(set->adopt, rule, action);
	if (subjects->n == 0)
		all = adopt_limit(set->adopt, limit);
	for (size_t i = 0; i < subjects->n; i++) {
		limit->subject = subjects->items[i];
		all = adopt_limit(set->adopt, limit) && all;
	}
	set->taken++;
	set->left += !all;
}

/* take_rule - one rule: a limit, or a line of the report */
static void
take_rule(struct ruleset *set, const struct rule *rule)
{
	struct adopt *adopt = set->adopt;
	const char *action = rule_find(rule, "action"), *why = "", *fields;
	struct adopt_limit limit = { .party = PARTY_ACCOUNT, .adds = true };
	struct adopt_texts subjects = { NULL, 0 };

	if (action == NULL) {
		set->left++;
		adopt_missing(adopt, "%s: postfwd %s stays in postfwd: it has no action",
		    rule->where, rule->id);
		return;
	}
	if (unit_of(action, &limit.unit, &fields) &&
	    read_conditions(adopt, rule, &subjects, &why) &&
	    ruleset_read_counter(adopt, rule, fields, &limit, &why)) {
		ruleset_add_counter(set, rule, &limit, &subjects);
		return;
	}
	set->left++;
	adopt_missing(adopt, "%s: postfwd %s (%.60s) stays in postfwd%s%s", rule->where, rule->id,
	    action, why[0] != '\0' ? ": " : "", why);
}

/* --- lines ----------------------------------------------------------------- */

/* find_macro - its text, or NULL */
static const char *
find_macro(const struct ruleset *set, const char *name, size_t len)
{
	for (size_t i = 0; i < set->n_macros; i++)
		if (strlen(set->macros[i].name) == len &&
		    memcmp(set->macros[i].name, name, len) == 0)
			return set->macros[i].text;
	return NULL;
}

/* expand_macros - a rule with its macros replaced */
static char *
expand_macros(struct ruleset *set, const char *text, int depth)
{
	char *out = mem_strdup(set->adopt, "");

	while (*text != '\0' && talloc_get_size(out) < RULE_MAX) {
		const char *mark = strstr(text, "&&"), *macro;
		size_t len;

		if (mark == NULL || depth == MACRO_DEPTH || ++set->expansions > EXPANSIONS_MAX)
			return mem_check(talloc_strdup_append_buffer(out, text));
		out = mem_check(talloc_strndup_append_buffer(out, text, (size_t)(mark - text)));
		for (len = 0; isalnum((unsigned char)mark[2 + len]) || mark[2 + len] == '_' ||
		     mark[2 + len] == '-';
		     len++)
			;
		macro = find_macro(set, mark + 2, len);
		/* one that is not known stays as it is, and is no item */
		out = mem_check(macro != NULL
			? talloc_strdup_append_buffer(out, expand_macros(set, macro, depth + 1))
			: talloc_strndup_append_buffer(out, mark, 2 + len));
		text = mark + 2 + len;
	}
	if (*text != '\0')
		out = mem_check(talloc_strdup_append_buffer(out, "; && (too long)"));
	return out;
}

/* define_macro - &&NAME { ... } */
static bool
define_macro(struct ruleset *set, char *line)
{
	char *open = strchr(line, '{'), *close = strrchr(line, '}');
	size_t len;

	if (strncmp(line, "&&", 2) != 0 || open == NULL || close == NULL || close < open)
		return false;
	if (set->n_macros == MACROS_MAX || close[1 + strspn(close + 1, " \t;")] != '\0')
		return false;
	len = strcspn(line + 2, " \t{");
	set->macros = mem_grow(set->adopt, set->macros, struct macro, set->n_macros + 1);
	set->macros[set->n_macros++] = (struct macro){ mem_strndup(set->adopt, line + 2, len),
		mem_strndup(set->adopt, open + 1, (size_t)(close - open - 1)) };
	return true;
}

/* take_line - a rule or a macro, put together from its lines */
static void
take_line(struct ruleset *set, char *line, int number)
{
	struct rule rule = { .n = 0 };

	if (line == NULL || line[strspn(line, " \t;")] == '\0' || define_macro(set, line))
		return;
	rule.where = mem_printf(set->adopt, "%s:%d", set->path, number);
	split_rule(set, expand_macros(set, line, 0), &rule);
	take_rule(set, &rule);
}

/* macro_is_open - is a macro not closed yet? */
static bool
macro_is_open(const char *line)
{
	return strncmp(line, "&&", 2) == 0 && strchr(line, '{') != NULL &&
	    strchr(line, '}') == NULL;
}

/* ruleset_read_rules - lines that end in a backslash, or begin with a blank, belong together; of
 * the latter each is an item, with a semicolon or without */
static void
ruleset_read_rules(struct ruleset *set, char *text)
{
	char *line, *whole = NULL;
	int number = 0, first = 0;
	bool goes_on = false, went_on;

	while ((line = adopt_next_line(&text, &number)) != NULL) {
		size_t len;

		line[strcspn(line, "#")] = '\0';
		for (len = strlen(line); len > 0 && strchr(" \t", line[len - 1]) != NULL; len--)
			line[len - 1] = '\0';
		if (len == 0 && !goes_on)
			continue;
		if (whole != NULL && !goes_on && !macro_is_open(whole) &&
		    ((line[0] != ' ' && line[0] != '\t') || strncmp(whole, "&&", 2) == 0)) {
			take_line(set, whole, first);
			whole = NULL;
		}
		went_on = goes_on;
		goes_on = len > 0 && line[len - 1] == '\\';
		if (goes_on)
			line[len - 1] = '\0';
		if (whole == NULL)
			first = number;
		whole = whole == NULL ? mem_strdup(set->adopt, line)
				      : mem_printf(set->adopt, "%.*s%s%s", RULE_MAX, whole,
					    went_on ? " " : ";", line);
	}
	take_line(set, whole, first);
}

/* postfwd_service - where Postfix asks it: the usual port, or that of Debian's start script */
static void
postfwd_service(struct adopt *adopt, const char *stays)
{
	char *text = adopt_file(adopt, "/etc/default/postfwd"), *line;
	const char *port = "10040", *host = "127.0.0.1";
	int number = 0;

	while (text != NULL && (line = adopt_next_line(&text, &number)) != NULL) {
		char *value = strchr(line, '=');

		if (value == NULL)
			continue;
		*value++ = '\0';
		value += strspn(value, "\"'");
		value[strcspn(value, "\"' \t#")] = '\0';
		if (strcmp(line, "PORT") == 0 && value[0] != '\0')
			port = value;
		else if (strcmp(line, "INTERFACE") == 0 && value[0] != '\0')
			host = value;
	}
	adopt_service(adopt, stays, "inet:%s:%s", host, port);
}

void
adopt_postfwd(struct adopt *adopt, const char *path)
{
	struct ruleset set = { .adopt = adopt, .path = path };
	char *text = adopt_read_file(adopt, path);

	if (text == NULL) {
		adopt->limits_unread = true;
		postfwd_service(adopt, "its file could not be read");
		return;
	}
	ruleset_read_rules(&set, text);
	postfwd_service(adopt, set.left > 0 ? mem_printf(adopt, "rules of %s", path) : NULL);
}

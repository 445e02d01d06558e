/*
 * plans.c - the limits of policy services as plans.conf
 *
 * What holds for everyone is the plan "person". A login with limits of its own gets a plan; logins
 * whose limits are the same share one. Of two limits of one unit and window, the smaller one stays,
 * because both were in effect.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/adopt/inside.h"
#include "policy/base/mem.h"
#include "policy/sender/identity.h"

#define PLAN_LIMITS_MAX 12 /* of one plan */
#define INLINE_MAX 50      /* logins in accounts; more are in a table */

/* A plan as it is put together. */
struct new_plan {
	const char *name;
	const struct adopt_limit *limits[PLAN_LIMITS_MAX];
	size_t n;
	const char *subject; /* the first login that has it, or NULL */
};

/* All of them. */
struct new_plans {
	struct adopt *adopt;
	struct new_plan *plans;
	size_t n;
	struct adopt_texts logins; /* "LOGIN PLAN" */
};

/* add_to_plan - a limit, or the smaller one of two alike */
static void
add_to_plan(struct adopt *adopt, struct new_plan *plan, const struct adopt_limit *limit)
{
	if (plan->n > 0 && (plan->limits[0]->max == 0 || limit->max == 0 || limit->unlimited) &&
	    !plan->limits[0]->unlimited) {
		/* one that lets nothing pass stands alone */
		if (limit->max == 0 && !limit->unlimited) {
			plan->limits[0] = limit;
			plan->n = 1;
		}
		return;
	}
	for (size_t i = 0; i < plan->n; i++) {
		const struct adopt_limit *other = plan->limits[i];

		if (other->unit != limit->unit || other->window_s != limit->window_s ||
		    other->unlimited || limit->unlimited)
			continue;
		if (other->max != limit->max)
			adopt_note(adopt, "%s and %s limit the same: the smaller one was taken",
			    other->from, limit->from);
		if (limit->max < other->max)
			plan->limits[i] = limit;
		return;
	}
	if (plan->n == PLAN_LIMITS_MAX) {
		adopt->limits_lost++;
		adopt_missing(adopt, "%s: a plan has at most %d limits, so this one is left out",
		    limit->from, PLAN_LIMITS_MAX);
		return;
	}
	plan->limits[plan->n++] = limit;
}

/* holds_for - does a limit hold for a login (NULL: for those without limits of their own)? */
static bool
holds_for(const struct adopt_limit *limit, const char *subject, bool adds)
{
	if (limit->party != PARTY_ACCOUNT)
		return false;
	if (limit->subject == NULL)
		return subject == NULL || adds;
	return subject != NULL && strcasecmp(limit->subject, subject) == 0;
}

/* same_plan - do two plans say the same? */
static bool
same_plan(const struct new_plan *a, const struct new_plan *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->limits[i]->unit != b->limits[i]->unit ||
		    a->limits[i]->max != b->limits[i]->max ||
		    a->limits[i]->window_s != b->limits[i]->window_s ||
		    a->limits[i]->unlimited != b->limits[i]->unlimited ||
		    strcmp(a->limits[i]->action, b->limits[i]->action) != 0)
			return false;
	return true;
}

/* plan_name - a name of letters for a login's plan, that no other plan has */
static const char *
plan_name(struct new_plans *plans, const struct new_plan *plan)
{
	char name[40];
	size_t len = 0;

	if (plan->n == 1 && plan->limits[0]->unlimited)
		return "unlimited";
	for (const char *p = plan->subject; *p != '\0' && (*p != '@' || len == 0) && len < 30; p++)
		if (isalnum((unsigned char)*p) || (len > 0 && (*p == '-' || *p == '_')))
			name[len++] = *p;
	name[len] = '\0';
	if (len == 0 || !isalpha((unsigned char)name[0]) || strcasecmp(name, "person") == 0 ||
	    strcasecmp(name, "domain") == 0 || strcasecmp(name, "unlimited") == 0)
		(void)snprintf(name, sizeof(name), "plan%zu", plans->n);
	for (size_t i = 0; i < plans->n; i++)
		if (strcasecmp(plans->plans[i].name, name) == 0)
			(void)snprintf(name, sizeof(name), "plan%zu", plans->n);
	return mem_strdup(plans->adopt, name);
}

/* new_plans_add_subject - the plan of a login */
static void
new_plans_add_subject(struct new_plans *plans, const char *subject, bool adds)
{
	struct adopt *adopt = plans->adopt;
	struct new_plan plan = { .subject = subject };

	for (size_t i = 0; i < adopt->n_limits; i++)
		if (holds_for(&adopt->limits[i], subject, adds))
			add_to_plan(adopt, &plan, &adopt->limits[i]);
	for (size_t i = 0; i < plans->n; i++)
		if (same_plan(&plans->plans[i], &plan)) {
			adopt_text(adopt, &plans->logins, "%s %s", subject, plans->plans[i].name);
			return;
		}
	plan.name = plan_name(plans, &plan);
	adopt_text(adopt, &plans->logins, "%s %s", subject, plan.name);
	plans->plans = mem_grow(adopt, plans->plans, struct new_plan, plans->n + 1);
	plans->plans[plans->n++] = plan;
}

/* seen_before - has an earlier limit the same login? */
static bool
seen_before(const struct adopt *adopt, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (adopt->limits[i].subject != NULL &&
		    strcasecmp(adopt->limits[i].subject, adopt->limits[index].subject) == 0)
			return true;
	return false;
}

/* make_plans - those of everyone and of each login */
static void
make_plans(struct new_plans *plans)
{
	struct adopt *adopt = plans->adopt;
	struct new_plan person = { .name = "person" };

	for (size_t i = 0; i < adopt->n_limits; i++)
		if (holds_for(&adopt->limits[i], NULL, false))
			add_to_plan(adopt, &person, &adopt->limits[i]);
	if (person.n > 0) {
		plans->plans = mem_grow(adopt, plans->plans, struct new_plan, plans->n + 1);
		plans->plans[plans->n++] = person;
	}
	for (size_t i = 0; i < adopt->n_limits; i++)
		if (adopt->limits[i].subject != NULL && adopt->limits[i].party == PARTY_ACCOUNT &&
		    !seen_before(adopt, i))
			new_plans_add_subject(
			    plans, adopt->limits[i].subject, adopt->limits[i].adds);
}

/* plan_action - what over does: as all of its limits say, else the mildest that defers */
static const char *
plan_action(struct adopt *adopt, const struct new_plan *plan)
{
	const char *action = plan->limits[0]->action;

	for (size_t i = 1; i < plan->n; i++)
		if (strcmp(plan->limits[i]->action, action) != 0) {
			adopt_note(adopt,
			    "the limits of plan %s had different actions (%s, %s); on_over is tempfail",
			    plan->name, action, plan->limits[i]->action);
			return "tempfail";
		}
	return action;
}

/* write_plan - a plan, with the origin of each limit */
static void
write_plan(struct adopt *adopt, FILE *file, const struct new_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		(void)fprintf(file, "  # %s\n", plan->limits[i]->from);
	(void)fprintf(file, "  %s = { limits = [", plan->name);
	for (size_t i = 0; i < plan->n; i++) {
		const struct adopt_limit *limit = plan->limits[i];

		(void)fprintf(file, "%s\"%s\"", i > 0 ? ", " : "",
		    limit->unlimited ? "unlimited"
			: limit->max == 0
			? "0"
			: limit_text(adopt, limit->unit, limit->max, limit->window_s * 1000));
	}
	(void)fprintf(file, "]");
	if (!plan->limits[0]->unlimited)
		(void)fprintf(file, "  on_over = \"%s\"", plan_action(adopt, plan));
	(void)fprintf(file, " }\n");
}

/* add_to_table - a line of an inline table */
static const char *
add_to_table(struct adopt *adopt, const char *table, const char *key, const char *plan)
{
	return mem_printf(adopt, "%s%s%s=%s", table != NULL ? table : "inline:{ ",
	    table != NULL ? ", " : "", key, plan);
}

/* is_new - is an account not listed yet, with another spelling of its login? */
static bool
is_new(struct adopt *adopt, struct adopt_texts *accounts, const char *login)
{
	const char *account = identity_account(adopt, login, adopt->realm, NULL);
	size_t before = accounts->n;

	adopt_text(adopt, accounts, "%s", account != NULL ? account : login);
	if (accounts->n == before) {
		adopt->limits_lost++;
		adopt_missing(adopt, "limits of %s: another login is the same account %s", login,
		    account != NULL ? account : login);
	}
	return accounts->n > before;
}

/* set_logins - which login has which plan: in accounts, or in a table if they are many. Returns
 * the table of those that are whole domains, or NULL */
static const char *
set_logins(struct new_plans *plans)
{
	struct adopt *adopt = plans->adopt;
	struct adopt_texts accounts = { NULL, 0 };
	const char *table = NULL;

	for (size_t i = 0; i < plans->logins.n; i++) {
		const char *line = plans->logins.items[i], *plan = strrchr(line, ' ');
		const char *login = mem_strndup(adopt, line, (size_t)(plan - line));

		if (plans->logins.n > INLINE_MAX)
			adopt->plan_of = mem_check(talloc_asprintf_append(
			    adopt->plan_of != NULL ? adopt->plan_of : mem_strdup(adopt, ""), "%s\n",
			    line));
		else if (login[0] == '@')
			table = add_to_table(adopt, table, login, plan + 1);
		else if (is_new(adopt, &accounts, login))
			adopt_set(adopt, PLACE_ACCOUNTS, "limits of its own",
			    "{ login = %s  plan = \"%s\" }", adopt_quoted(adopt, login), plan + 1);
	}
	return table != NULL ? mem_printf(adopt, "%s }", table) : NULL;
}

/* set_domains - the plans of domains: of all, and of some. Returns the table of the latter */
static const char *
set_domains(struct new_plans *plans, struct new_plan **all_r)
{
	struct adopt *adopt = plans->adopt;
	struct new_plan *all = mem_new(adopt, struct new_plan);
	const char *table = NULL;

	for (size_t i = 0; i < adopt->n_limits; i++) {
		const struct adopt_limit *limit = &adopt->limits[i];
		struct new_plan one = { .n = 0 };

		if (limit->party != PARTY_DOMAIN)
			continue;
		if (limit->subject == NULL) {
			add_to_plan(adopt, all, limit);
			continue;
		}
		if (limit->subject[0] != '@') {
			adopt->limits_lost++;
			adopt_missing(adopt, "%s: it is of a domain, and for %s only", limit->from,
			    limit->subject);
			continue;
		}
		add_to_plan(adopt, &one, limit);
		one.subject = limit->subject + 1;
		one.name = plan_name(plans, &one);
		table = add_to_table(adopt, table, limit->subject + 1, one.name);
		plans->plans = mem_grow(adopt, plans->plans, struct new_plan, plans->n + 1);
		plans->plans[plans->n++] = one;
	}
	if (all->n > 0) {
		all->name = "domain";
		*all_r = all;
	}
	return table != NULL ? mem_printf(adopt, "%s }", table) : NULL;
}

/* write_assignments - who has which plan */
static void
write_assignments(struct new_plans *plans, FILE *file)
{
	struct adopt *adopt = plans->adopt;
	const char *table = set_logins(plans), *domains;
	struct new_plan *all = NULL;

	if (plans->n > 0 && strcmp(plans->plans[0].name, "person") == 0)
		(void)fprintf(file, "\ndefault_plan = \"person\"\n");
	if (adopt->plan_of != NULL)
		table = mem_printf(adopt, "texthash:%s/plan_of", adopt->output);
	if (table != NULL)
		(void)fprintf(file, "plan_of = [%s]\n", adopt_quoted(adopt, table));
	domains = set_domains(plans, &all);
	if (all != NULL) {
		plans->plans = mem_grow(adopt, plans->plans, struct new_plan, plans->n + 1);
		plans->plans[plans->n++] = *all;
		(void)fprintf(file, "domain_plan = \"domain\"\n");
	}
	if (domains != NULL)
		(void)fprintf(file, "domain_plan_of = [%s]\n", adopt_quoted(adopt, domains));
}

void
adopt_write_plans(struct adopt *adopt, FILE *file)
{
	struct new_plans plans = { .adopt = adopt };

	make_plans(&plans);
	(void)fprintf(file,
	    "# Limits of what may be sent; see countersign-limits(5). \"countersignctl "
	    "reload\"\n# checks and loads this file.\n");
	write_assignments(&plans, file);
	if (plans.n == 0 && adopt->limits_unread) {
		(void)fprintf(file,
		    "#\n# Limits of this host could not be read, so there are none here: see what "
		    "adopt\n# printed, and run it again.\n");
		return;
	}
	if (plans.n == 0) {
		(void)fprintf(file,
		    "#\n# No limits were found on this host. After some weeks, \"countersignctl quota "
		    "suggest\"\n# proposes some from what accounts send.\n");
		return;
	}
	(void)fprintf(file, "plans = {\n");
	for (size_t i = 0; i < plans.n; i++)
		write_plan(adopt, file, &plans.plans[i]);
	(void)fprintf(file, "}\n");
}

/*
 * figures.c - what is counted of messages since the start
 *
 * The list of listeners only grows: a reload that renames one leaves the old one's figures, for
 * counters must not fall. It is read without a lock, and a place is taken by exchange.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "filter/daemon/figures.h"
#include "policy/base/mem.h"

/* figures_take_place - put a listener in a free place; the first that did is returned */
static struct figures_listener *
figures_take_place(_Atomic(struct figures_listener *) *place, const char *name, enum role role)
{
	struct figures_listener *new = mem_new(NULL, struct figures_listener), *there = NULL;

	new->name = mem_strdup(new, name);
	new->role = role;
	if (atomic_compare_exchange_strong(place, &there, new))
		return new;
	talloc_free(new);
	return there;
}

struct figures_listener *
figures_listener(struct figures *figures, const char *name, enum role role)
{
	if (name == NULL)
		name = FIGURES_UNMATCHED;
	for (size_t i = 0; i < FIGURES_LISTENERS; i++) {
		_Atomic(struct figures_listener *) *place = &figures->listeners[i];
		struct figures_listener *found = atomic_load(place);
		bool last = i == FIGURES_LISTENERS - 1;

		if (found == NULL)
			found = figures_take_place(place, last ? FIGURES_OTHER : name, role);
		if (last || (found->role == role && strcmp(found->name, name) == 0))
			return found;
	}
	return NULL;	/* not reached */
}

void
figures_message(
    struct figures *figures, const struct facts *facts, const struct verdict *verdict)
{
	struct figures_listener *listener =
	    figures_listener(figures, facts->listener, facts->role);

	figures_count(&listener->done[verdict->action][verdict->reason]);
	if (verdict->would != verdict->action)
		figures_count(&listener->would[verdict->would][verdict->reason]);
}

void
figures_free(struct figures *figures)
{
	for (size_t i = 0; i < FIGURES_LISTENERS; i++)
		talloc_free(atomic_exchange(&figures->listeners[i], NULL));
}

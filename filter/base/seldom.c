/*
 * seldom.c - log lines that strangers can cause: at most one a minute for each of them
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "filter/base/seldom.h"

/* seldom_find - the place of a cause: its own, a free or old one, or the last, which the others
 * share */
static size_t
seldom_find(const struct seldom *seldom, const char *name, int64_t now_ms)
{
	size_t free = SELDOM_CAUSES - 1;

	for (size_t i = 0; i < SELDOM_CAUSES - 1; i++) {
		if (strcmp(seldom->causes[i].name, name) == 0)
			return i;
		if (free == SELDOM_CAUSES - 1 && (seldom->causes[i].name[0] == '\0' ||
		    now_ms - seldom->causes[i].logged_ms >= SELDOM_MS))
			free = i;
	}
	return free;
}

bool
seldom_may(struct seldom *seldom, const char *cause, int64_t now_ms, unsigned long *skipped_r)
{
	char name[SELDOM_NAME];
	bool may;
	size_t i;

	(void)snprintf(name, sizeof(name), "%s", cause);
	(void)pthread_mutex_lock(&seldom->lock);
	i = seldom_find(seldom, name, now_ms);
	may = seldom->causes[i].name[0] == '\0' ||
	    now_ms - seldom->causes[i].logged_ms >= SELDOM_MS;
	if (may) {
		/* a place that changes hands starts with nothing skipped */
		*skipped_r = i == SELDOM_CAUSES - 1 || strcmp(seldom->causes[i].name, name) == 0 ?
		    seldom->causes[i].skipped : 0;
		memcpy(seldom->causes[i].name, name, sizeof(name));
		seldom->causes[i].logged_ms = now_ms;
		seldom->causes[i].skipped = 0;
	} else
		seldom->causes[i].skipped++;
	(void)pthread_mutex_unlock(&seldom->lock);
	return may;
}

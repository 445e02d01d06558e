/*
 * sources.h - the kinds of policy services whose limits adopt reads
 */
#ifndef FILTER_ADOPT_SOURCES_H
#define FILTER_ADOPT_SOURCES_H

#include <stdbool.h>

/* adopt_source_known - is it a kind of struct adopt_source? */
bool adopt_source_known(const char *kind);

#endif

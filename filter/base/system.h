/*
 * system.h - what of this system was found when the program was built
 */
#ifndef FILTER_BASE_SYSTEM_H
#define FILTER_BASE_SYSTEM_H

/* system_ways - in one line, for --version: a constant */
const char *system_ways(void);

#endif

/*
 * duration.h - a length of time as people write it
 */
#ifndef POLICY_BASE_DURATION_H
#define POLICY_BASE_DURATION_H

#include <stdbool.h>
#include <stddef.h>

/*
 * duration_unit_ms - milliseconds of a unit of time; 0 if it is unknown
 * word: len octets in any case: ms, s, sec, second, m, min, minute, h, hour, d, day, w or week;
 * words of three letters and more also with "s". Pure; any thread.
 */
long long duration_unit_ms(const char *word, size_t len);

/*
 * duration_parse - read "200 ms", "2h", "1.5 hours"
 * Digits, at most one point, a unit; white space around the unit is free. Returns false if text
 * does not begin with a number; *ms_r is -1 if its unit is missing or unknown, and may be too large
 * for an integer. Pure; any thread.
 */
bool duration_parse(const char *text, double *ms_r);

#endif

/*
 * keyed_mark.h - texts as 64 bits, for counting different ones without storing them
 */
#ifndef FILTER_BASE_KEYED_MARK_H
#define FILTER_BASE_KEYED_MARK_H

#include <stddef.h>
#include <stdint.h>

/*
 * keyed_mark - the first 64 bits of SHA-256 over a key and a text
 * Marks under different keys cannot be compared. key: key_len octets; its end must be clear, by a
 * NUL or a fixed length. Any thread.
 */
uint64_t keyed_mark(const void *key, size_t key_len, const char *text);

#endif

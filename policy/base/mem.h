/*
 * mem.h - talloc, without the NULL checks
 *
 * A milter that has no memory left cannot decide anything; it ends with a line in the log, the
 * supervisor restarts it, and the MTA defers the mail meanwhile. So these never
 * return NULL. What strangers can make us allocate is bounded by the callers.
 */
#ifndef POLICY_BASE_MEM_H
#define POLICY_BASE_MEM_H

#include <limits.h>
#include <stddef.h>
#include <talloc.h>

/* mem_on_end - what is called with the reason before mem_end() ends the process; it must not
 * allocate. Called once, before threads start. */
void mem_on_end(void (*told)(const char *why));

/* mem_end - end the process, for a reason that nothing can be done about. Any thread. */
void mem_end(const char *why) __attribute__((noreturn));

/* mem_check - pointer itself, or the end of the process when it is NULL */
static inline void *
mem_check(void *pointer)
{
	if (pointer == NULL)
		mem_end("out of memory");
	return pointer;
}

/* mem_count - a number of elements as talloc takes it; a larger one is a bug of ours */
static inline unsigned int
mem_count(size_t n)
{
	if (n > UINT_MAX)
		mem_end("an array of more elements than fit");
	return (unsigned int)n;
}

/* A zeroed object, a zeroed array, a growing array, copies and formatted text. */
#define mem_new(ctx, type)		((type *)mem_check(talloc_zero((ctx), type)))
#define mem_array(ctx, type, n) ((type *)mem_check(talloc_zero_array((ctx), type, mem_count(n))))
#define mem_grow(ctx, p, type, n) \
	((type *)mem_check(talloc_realloc((ctx), (p), type, mem_count(n))))
#define mem_strdup(ctx, s)		((char *)mem_check(talloc_strdup((ctx), (s))))
#define mem_strndup(ctx, s, n)		((char *)mem_check(talloc_strndup((ctx), (s), (n))))
#define mem_memdup(ctx, p, n)		(mem_check(talloc_memdup((ctx), (p), (n))))
#define mem_printf(ctx, ...)		((char *)mem_check(talloc_asprintf((ctx), __VA_ARGS__)))

/* mem_strdup_or_null - a copy of a text that may be NULL */
static inline char *
mem_strdup_or_null(TALLOC_CTX *ctx, const char *text)
{
	return text != NULL ? mem_strdup(ctx, text) : NULL;
}

#endif

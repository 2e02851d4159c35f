/* SPDX-License-Identifier: Apache-2.0 */
/* base/mem.h - allocation and scope cleanup.
 *
 * Small allocations abort on failure: every process must survive being killed anyway. Whatever a user can size is
 * bounded, by a limit with a name, before it is allocated. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define CLEANUP(f) __attribute__((cleanup(f)))
/* Gives the pointer away and leaves NULL, so that the scope's cleanup does nothing. */
#define TAKE(p)                           \
	({                                \
		__typeof__(p) *p_ = &(p); \
		__typeof__(p) v_ = *p_;   \
		*p_ = NULL;               \
		v_;                       \
	})
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Checked even in release builds: a failed one is a bug of ours, never bad input. */
#define MUST(cond) ((cond) ? (void)0 : mem_bug(#cond, __FILE__, __LINE__))
_Noreturn void mem_bug(const char *what, const char *file, int line);

void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
/* Grows an array of `size`-byte elements so that `need` fit; *cap is in elements. */
void *mem_grow(void *p, size_t *cap, size_t need, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
void *mem_dup(const void *p, size_t n) __attribute__((malloc, returns_nonnull));
#define MEM_NEW(type) ((type *)mem_zalloc(sizeof(type)))

/* For CLEANUP(): they take the address of the variable. */
void mem_freep(void *pp); /* any pointer from malloc: CLEANUP(mem_freep) char *s = NULL; */
void fd_closep(int *fd);  /* closes if >= 0, keeps errno */

/* An arena frees everything at once; one per request or reconcile. */
struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *a);
void arena_freep(struct arena **a);
void *arena_alloc(struct arena *a, size_t n)
	__attribute__((returns_nonnull));           /* zeroed, aligned for any type */
char *arena_strdup(struct arena *a, const char *s); /* NULL stays NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include "base/str.h"

#include <stdarg.h>
#include <string.h>

#define ARENA_BLOCK 4096
#define ARENA_BLOCK_MAX (256 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	_Alignas(max_align_t) char data[];
};

struct arena {
	struct arena_block *blocks; /* the first one is being filled */
	size_t next_size;
};

struct arena *arena_new(void)
{
	struct arena *a = MEM_NEW(struct arena);

	a->next_size = ARENA_BLOCK;
	return a;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	for (struct arena_block *b = a->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}

void arena_freep(struct arena **a)
{
	arena_free(*a);
	*a = NULL;
}

static struct arena_block *add_block(struct arena *a, size_t need)
{
	size_t size = a->next_size, bytes;

	if (need > size / 4) {
		size = need; /* its own block, so that the current one is not wasted */
	} else if (a->next_size < ARENA_BLOCK_MAX) {
		a->next_size *= 2;
	}
	MUST(!__builtin_add_overflow(size, sizeof(struct arena_block), &bytes));
	struct arena_block *b = mem_zalloc(bytes);
	b->size = size;
	if (size == need && a->blocks) {
		b->next = a->blocks->next;
		a->blocks->next = b;
	} else {
		b->next = a->blocks;
		a->blocks = b;
	}
	return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
	const size_t align = _Alignof(max_align_t);
	size_t need;

	MUST(!__builtin_add_overflow(n ? n : 1, align - 1, &need));
	need &= ~(align - 1);

	struct arena_block *b = a->blocks;
	if (!b || b->size - b->used < need)
		b = add_block(a, need);
	void *p = b->data + b->used;
	b->used += need;
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	if (!s)
		return NULL;
	size_t len = strnlen(s, n);
	char *p = arena_alloc(a, len + 1);
	memcpy(p, s, len);
	return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	struct str s = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&s, fmt, ap);
	va_end(ap);
	char *p = arena_strndup(a, str_cstr(&s), s.len);
	str_done(&s);
	return p;
}

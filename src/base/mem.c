/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

_Noreturn void mem_bug(const char *what, const char *file, int line)
{
	fprintf(stderr, "bug: %s does not hold at %s:%d\n", what, file, line);
	abort();
}

static _Noreturn void out_of_memory(size_t n)
{
	fprintf(stderr, "out of memory asking for %zu bytes\n", n);
	abort();
}

void *mem_alloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		out_of_memory(n);
	return p;
}

void *mem_zalloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		out_of_memory(n);
	return p;
}

void *mem_realloc(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);

	if (!q)
		out_of_memory(n);
	return q;
}

void *mem_grow(void *p, size_t *cap, size_t need, size_t size)
{
	if (p && need <= *cap)
		return p;

	size_t n = p ? *cap : 0, bytes;
	if (n < 8)
		n = 8;
	while (n < need) {
		MUST(n <= SIZE_MAX / 2);
		n *= 2;
	}
	MUST(!__builtin_mul_overflow(n, size, &bytes));
	p = mem_realloc(p, bytes);
	*cap = n;
	return p;
}

char *mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s) + 1);
}

char *mem_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = mem_alloc(len + 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

void *mem_dup(const void *p, size_t n)
{
	void *q = mem_alloc(n);

	if (n)
		memcpy(q, p, n);
	return q;
}

void mem_freep(void *pp)
{
	void *p;

	/* by memcpy: pp is the address of a pointer of any type */
	memcpy(&p, pp, sizeof(p));
	free(p);
}

void fd_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

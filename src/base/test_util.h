/* SPDX-License-Identifier: Apache-2.0 */
/* base/test_util.h - for the tests beside base's sources: cmocka with its prerequisites, and repeatable chance. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* xorshift64*: the same numbers in every run */
struct chance {
	uint64_t state;
};

static inline uint64_t chance_u64(struct chance *c)
{
	c->state ^= c->state >> 12;
	c->state ^= c->state << 25;
	c->state ^= c->state >> 27;
	return c->state * UINT64_C(2685821657736338717);
}

static inline unsigned chance_below(struct chance *c, unsigned n)
{
	return (unsigned)((chance_u64(c) >> 32) % n);
}

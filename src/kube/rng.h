/* SPDX-License-Identifier: Apache-2.0 */
/* kube/rng.h - cheap repeatable randomness for jitter and names of no secrecy. Secrets come from crypto_random(). */
#pragma once

#include <stdint.h>

struct rng {
	uint64_t state;
};
static inline uint64_t rng_next(struct rng *r) /* splitmix64 */
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}
/* 0 .. n-1; 0 for n 0 */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return n ? rng_next(r) % n : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzzer's entry point without a fuzzing engine: every file of a corpus, then so many mutations of them, the same in every
 * run. The smoke run of `make test`; scripts/fuzz has the engine.
 *
 *   fuzz_NAME CORPUS_DIR [ITERATIONS [SEED]] */
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/test_util.h"

#include <stdio.h>
#include <string.h>

#define INPUT_MAX 4096
#define EDITS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct corpus {
	struct {
		char *data;
		size_t len;
	} * items;
	size_t n, cap;
};

static int corpus_load(struct corpus *c, const char *dir, struct err *e)
{
	CLEANUP(strv_done) struct strv names = { 0 };

	if (file_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.len; i++) {
		CLEANUP(mem_freep) char *path = file_join(dir, names.items[i]);

		c->items = mem_grow(c->items, &c->cap, c->n + 1, sizeof(*c->items));
		if (file_read(path, 1 << 20, &c->items[c->n].data, &c->items[c->n].len, e) < 0)
			return -1;
		c->n++;
	}
	return 0;
}

static void corpus_done(struct corpus *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->items[i].data);
	free(c->items);
}

/* Input and what is past its end are told apart: every run has a buffer of its exact size. */
static void run_one(const uint8_t *data, size_t len)
{
	uint8_t *copy = mem_alloc(len > 0 ? len : 1);

	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static size_t splice(struct chance *r, const struct corpus *c, uint8_t *buf, size_t len)
{
	size_t from = chance_below(r, (unsigned)c->n), at = chance_below(r, (unsigned)len + 1), start, n;

	if (c->items[from].len == 0)
		return len;
	start = chance_below(r, (unsigned)c->items[from].len);
	n = 1 + chance_below(r, (unsigned)(c->items[from].len - start));
	if (n > INPUT_MAX - at)
		n = INPUT_MAX - at;
	memcpy(buf + at, c->items[from].data + start, n);
	return at + n > len ? at + n : len;
}

static size_t edit(struct chance *r, const struct corpus *c, uint8_t *buf, size_t len)
{
	size_t at = len > 0 ? chance_below(r, (unsigned)len) : 0, n;

	switch (chance_below(r, 6)) {
	case 0: /* one bit */
		if (len > 0)
			buf[at] ^= (uint8_t)(1u << chance_below(r, 8));
		return len;
	case 1:
		if (len > 0)
			buf[at] = (uint8_t)chance_u64(r);
		return len;
	case 2: /* cut out */
		n = len > at ? 1 + chance_below(r, (unsigned)(len - at)) : 0;
		memmove(buf + at, buf + at + n, len - at - n);
		return len - n;
	case 3: /* repeat a part */
		n = len > at ? 1 + chance_below(r, (unsigned)(len - at)) : 0;
		if (len + n > INPUT_MAX)
			return len;
		memmove(buf + at + n, buf + at, len - at);
		return len + n;
	case 4:
		return len > 0 ? at : 0; /* cut short */
	default:
		return splice(r, c, buf, len);
	}
}

int main(int argc, char **argv)
{
	struct chance r = { .state = 88172645463325252u };
	struct corpus c = { 0 };
	static uint8_t buf[INPUT_MAX];
	int64_t runs = 2000, seed = 1;
	struct err e = { 0 };

	if (argc < 2 || (argc > 2 && !str_to_i64(argv[2], 0, INT64_MAX, &runs)) ||
		(argc > 3 && !str_to_i64(argv[3], 1, INT64_MAX, &seed)) || corpus_load(&c, argv[1], &e) < 0 ||
		c.n == 0) {
		fprintf(stderr, "%s\n", e.msg[0] ? e.msg : "usage: fuzz_NAME CORPUS_DIR [ITERATIONS [SEED]]");
		return 2;
	}
	r.state ^= (uint64_t)seed * UINT64_C(0x9E3779B97F4A7C15);
	for (size_t i = 0; i < c.n; i++)
		run_one((const uint8_t *)c.items[i].data, c.items[i].len);
	for (int64_t i = 0; i < runs; i++) {
		size_t from = chance_below(&r, (unsigned)c.n), len = c.items[from].len;

		len = len > INPUT_MAX ? INPUT_MAX : len;
		memcpy(buf, c.items[from].data, len);
		for (unsigned k = 1 + chance_below(&r, EDITS_MAX); k > 0; k--)
			len = edit(&r, &c, buf, len);
		run_one(buf, len);
	}
	printf("ok 1 - %zu inputs and %lld mutations\n1..1\n", c.n, (long long)runs);
	corpus_done(&c);
	return 0;
}

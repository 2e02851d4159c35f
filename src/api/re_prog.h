/* SPDX-License-Identifier: Apache-2.0 */
/* api/re_prog.h - between the parser (re_parse.c) and the matcher (re.c): a program for a set of positions. */
#pragma once

#include <stdint.h>

#include "api/re.h"

struct re_range {
	uint32_t lo, hi;
};
enum re_op { RE_RANGES, RE_SPLIT, RE_JUMP, RE_ASSERT, RE_MATCH };
enum re_assert { RE_BEGIN, RE_END, RE_LINE_BEGIN, RE_LINE_END, RE_WORD_EDGE, RE_NO_WORD_EDGE };
struct re_inst {
	enum re_op op;
	uint32_t x, y; /* targets; of RE_RANGES: first range and count; of RE_ASSERT: the kind */
};
struct re_prog {
	struct re_inst *code;
	size_t n, cap;
	struct re_range *ranges;
	size_t n_ranges, cap_ranges;
};
int re_parse(const char *pattern, struct re_prog *ret, struct err *e);
void re_prog_done(struct re_prog *p);
/* One character; *p moves behind it. */
uint32_t re_decode(const unsigned char **p, const unsigned char *end);

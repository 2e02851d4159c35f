/* SPDX-License-Identifier: Apache-2.0 */
/* api/delta.h - a text told by what it has in common with another one: pieces of that one and what is new
 * between them. For old versions of objects, which differ from the next ones in a few bytes. */
#pragma once

#include "base/str.h"

#include <stdbool.h>

/* Appends how to make `to` of `base`. Any two texts will do; the more alike, the shorter. */
void delta_make(const char *base, size_t base_len, const char *to, size_t to_len, struct str *out);
/* Length of the text that a delta makes; false: not a delta. */
bool delta_len(const char *delta, size_t len, size_t *ret);
/* Writes exactly `out_len` bytes (delta_len()) to out. False: it is not a delta of this base; out is undefined
 * then. */
bool delta_apply(const char *base, size_t base_len, const char *delta, size_t len, char *out, size_t out_len);

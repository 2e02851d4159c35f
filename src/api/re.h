/* SPDX-License-Identifier: Apache-2.0 */
/* api/re.h - regular expressions in RE2's syntax, as schemas use them: does a text contain a match, and where. Time is
 * linear in the text, whatever the pattern. Not known: \p{..}, \Q..\E, \C; a pattern with them is refused. Immutable once
 * compiled. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define RE_PATTERN_MAX 4096
#define RE_PROGRAM_MAX 8192
/* Steps one match may take (text length times program length); a text that would need more does not match. */
#define RE_WORK_MAX (1u << 26)

struct re;
/* ERR_INVALID with the reason. */
int re_compile(const char *pattern, struct re **ret, struct err *e);
void re_free(struct re *r); /* NULL is fine */
void re_freep(struct re **r);
/* text is valid UTF-8. Anchored only where the pattern says so. */
bool re_matches(const struct re *r, const char *text, size_t len);
/* The leftmost match at or behind `from`, of those the one a backtracking engine would find first. Offsets in bytes. */
bool re_find(
	const struct re *r, const char *text, size_t len, size_t from, size_t *ret_start, size_t *ret_end);

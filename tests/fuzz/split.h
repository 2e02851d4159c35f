/* SPDX-License-Identifier: Apache-2.0 */
/* For fuzzers of more than one document: the input is cut at lines that are "---". */
#pragma once

#include "base/json.h"
#include "base/mem.h"

#include <string.h>

/* The n-th part as JSON, NULL if it is none. The caller frees. */
static inline struct json_doc *split_json(const uint8_t *data, size_t len, unsigned n)
{
	const char *at = (const char *)data, *end = at + len, *next;

	for (;; n--) {
		next = memmem(at, (size_t)(end - at), "\n---\n", 5);
		if (n == 0)
			return json_parse(at, (size_t)((next ? next : end) - at), NULL);
		if (!next)
			return NULL;
		at = next + 5;
	}
}

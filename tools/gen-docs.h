/* SPDX-License-Identifier: Apache-2.0 */
/* gen-docs.h - between gen-docs.c, which fills in pages, and the files that make blocks from tables. There are two programs,
 * as there are two trees that nothing but src/bin may join: each leaves the other's blocks alone. */
#pragma once

#include "base/str.h"

struct block {
	const char *name;                               /* NULL ends the array */
	void (*make)(struct str *out, const char *top); /* top: the source tree */
};
extern const struct block blocks[];

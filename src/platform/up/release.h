/* SPDX-License-Identifier: Apache-2.0 */
/* platform/up/release.h - the release store: programs of a version under DIR/releases/VERSION/bin, from where pods run them. Kept
 * when coracle itself is updated, so that several versions can run side by side. */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* Copies the programs (names, NULL-terminated) from a directory into the store of a version, where they are missing or differ
 * in size or time; each is replaced as a whole, running ones keep what they have. Names that are not in `from` are added to
 * missing (may be NULL). Durable when it returns. */
int release_store(const char *data_dir, const char *version, const char *from, const char *const *names,
	struct strv *missing, struct err *e);
/* Directory of this version's programs. Caller frees. */
char *release_bin(const char *data_dir, const char *version);
/* Directory that the running program is in, links resolved. Caller frees. */
char *release_own_dir(struct err *e);

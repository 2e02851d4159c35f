/* SPDX-License-Identifier: Apache-2.0 */
/* platform/up/install.h - puts what a program prints into the cluster: `PROGRAM --print-manifest` and the like print YAML streams
 * of objects, which are applied (server-side, as field manager "coracle") or only made if missing. Knows nothing of what the
 * objects mean; resource names come from the server's own discovery. */
#pragma once

#include "kube/client.h"

#define INSTALL_OUTPUT_MAX (4 << 20)
/* A kind that a manifest brings itself is served a moment after its definition is there. */
#define INSTALL_KIND_WAIT_MS 15000

struct install_source {
	char *const *argv; /* prints the objects */
	bool make_only; /* objects that are there are the user's, and one that the user deleted stays deleted */
};
struct install_spec {
	const struct install_source *sources;
	size_t n;
	/* File that remembers what was put in last: nothing is done while the programs print the
	 * same. The user's changes stay. */
	const char *mark;
};
/* n: objects written; 0: nothing had to be done. */
typedef void install_done_fn(void *arg, size_t n, const struct err *e);
struct install;
/* done() once, in a later turn, unless freed before. */
struct install *install_start(
	struct kube_client *c, const struct install_spec *spec, install_done_fn *fn, void *arg);
void install_free(struct install *i); /* NULL is fine; not from done(), after which it is gone */

/* SPDX-License-Identifier: Apache-2.0 */
/* platform/image/image_impl.h - what image.c (store and callers) and pull.c (one fetch) share. */
#pragma once

#include "base/proc.h"
#include "platform/image/image.h"

struct image_get {
	struct image_store *store;
	struct image_get *next;
	char *ref;
	enum image_policy policy;
	image_done_fn *fn;
	void *arg;
	struct loop_timer *now; /* answer without a pull */
	struct pull *pull;
};
struct pull {
	struct image_store *store;
	struct pull *next;
	char *ref, *tmp, *digest; /* digest: of the manifest as the registry serves it */
	bool always, running;
	struct proc_run *run;
	struct strv argv;
	char *id;
};
struct image_store {
	struct loop *loop;
	char *dir, *data_dir;
	struct image_get *gets;
	struct pull *pulls;
	unsigned seq;
};

/* Image as recorded for ref; NULL if none or not unpacked any more. */
struct image *store_find(const struct image_store *s, const char *ref);
int store_record(
	const struct image_store *s, const char *ref, const char *id, const char *digest, struct err *e);
char *store_image_dir(const struct image_store *s, const char *id);
/* Tells everybody who waits for the pull, and frees it. */
void store_pull_done(struct pull *p, const struct err *e);
void pull_start(struct pull *p);
void pull_free(struct pull *p);

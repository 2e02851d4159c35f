/* SPDX-License-Identifier: Apache-2.0 */
/* platform/image/image.h - images on this host.
 *
 * `coracle.dev/PROGRAM:TAG` is a program of release TAG in the release store DIR/releases/TAG/bin: nothing is fetched, the root
 * file system is the host's own. Everything else comes from a registry: skopeo fetches, umoci unpacks, once per digest,
 * under DIR/images/; shared by everybody, never written to. A registries.conf in DIR, if there is one, is skopeo's. */
#pragma once

#include "base/json.h"
#include "base/loop.h"

#define IMAGE_PULLS_MAX 3 /* at once; more wait */
#define IMAGE_PULL_TIMEOUT_MS (30 * 60 * 1000)
#define IMAGE_OWN_PREFIX "coracle.dev/"

struct image_store;
struct image_store *images_new(struct loop *l, const char *data_dir);
void images_free(struct image_store *s);

struct image {
	char *ref;               /* as asked for */
	char *id;                /* "sha256:..." of the configuration, or "release:TAG" */
	char *digest_ref;        /* name@sha256:..., for status.imageID */
	bool own;                /* coracle.dev: the host's root */
	char *rootfs;            /* unpacked; NULL if own */
	char *program, *bin_dir; /* own: name of the program; directory of the release's programs */
	struct json_doc *
		config; /* OCI image configuration ("config": {Entrypoint, Cmd, Env, User, WorkingDir}); NULL if own */
};
void image_free(struct image *i);

enum image_policy { IMAGE_ALWAYS, IMAGE_IF_NOT_PRESENT, IMAGE_NEVER };
/* From a container's imagePullPolicy (may be NULL: Always for :latest and no tag, else IfNotPresent). */
enum image_policy image_policy_from(const char *text, const char *ref);
/* pulled: something was fetched. img is taken over by the callee; NULL on failure. reason is Kubernetes' (ErrImagePull,
 * ErrImageNeverPull, InvalidImageName). */
typedef void image_done_fn(
	void *arg, struct image *img, bool pulled, const char *reason, const struct err *e);
struct image_get;
/* Calls back once, in a later turn, unless cancelled. Two who want the same share a pull. */
struct image_get *images_get(
	struct image_store *s, const char *ref, enum image_policy p, image_done_fn *fn, void *arg);
void image_get_cancel(struct image_get *g); /* NULL is fine */
/* True if images_get() will have to fetch: for the Pulling event. */
bool images_will_pull(const struct image_store *s, const char *ref, enum image_policy p);
/* Removes unpacked images that no id of `used` (NULL-terminated) names. */
int images_collect(struct image_store *s, const char *const *used, struct err *e);

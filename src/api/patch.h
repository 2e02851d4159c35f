/* SPDX-License-Identifier: Apache-2.0 */
/* api/patch.h - the patch dialects (kubernetes-api.md 3, kubevirt-api.md 1.1). Each takes the current tree and returns a new
 * document; the current one is untouched. */
#pragma once

#include "api/schema.h"
#include "base/json.h"

#define PATCH_OPS_MAX 10000
#define PATCH_REJECTED "the server rejected our request due to an error in our request"
/* RFC 6902 in the evanphx dialect. A failing operation is ERR_INVALID with the text PATCH_REJECTED; not an array is
 * ERR_BAD_REQUEST. An object stays an object. */
int patch_json(const struct json *current, const struct json *patch, struct json_doc **ret, struct err *e);
int patch_merge(const struct json *current, const struct json *patch, struct json_doc **ret,
	struct err *e); /* RFC 7386 */
/* Strategic merge with the kind's schema for the keys. */
int patch_strategic(const struct schema *s, const struct json *current, const struct json *patch,
	struct json_doc **ret, struct err *e);

/* Server-side apply. current NULL: create. force takes over. On conflict ERR_CONFLICT with causes FieldManagerConflict.
 * The result carries the new metadata.managedFields. */
struct apply_opts {
	const char *manager;
	const char *api_version;
	bool force;
	const char *
		subresource; /* "" for the main one; through "status" only status is owned, else all but it */
	int64_t now_ms;
};
int patch_apply(const struct schema *s, const struct json *current, const struct json *applied,
	const struct apply_opts *o, struct json_doc **ret, struct causes *causes, struct err *e);
/* Bookkeeping after any other write: what changed between old and new belongs to the manager as operation Update. */
void managed_fields_update(const struct schema *s, const struct json *old /* or NULL */, struct json_doc *d,
	struct json *o, const struct apply_opts *opts);
/* An RFC 6902 patch that turns a into b, with a test op before each replace/remove if tests is true. Array of ops in d. */
struct json *patch_diff(struct json_doc *d, const struct json *a, const struct json *b, bool tests);

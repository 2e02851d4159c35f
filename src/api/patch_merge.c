/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 7386. */
#include "api/patch.h"

#include "api/members.h"
#include "base/mem.h"

/* Members that are null, through objects but not through lists. */
static void strip_nulls(struct json *v)
{
	if (!json_is_obj(v))
		return;
	JSON_EACH (it, v) {
		if (json_is_null(it.val))
			json_iter_remove(&it);
		else
			strip_nulls(it.val);
	}
}

/* A patch value for a place where nothing to merge with stands: its nulls say "absent". */
static struct json *without_nulls(struct json_doc *d, const struct json *patch)
{
	struct json *v = json_copy(d, patch);

	strip_nulls(v);
	return v;
}

static int merge(struct json_doc *d, struct json *into, const struct json *patch, struct err *e)
{
	if (members_too_many(into, patch, e))
		return -1;
	JSON_EACH (it, patch) {
		struct json *old = json_getn(into, it.key, it.key_len);

		if (json_is_null(it.val)) {
			if (old)
				json_remove(into, it.key);
		} else if (json_is_obj(old) && json_is_obj(it.val)) {
			if (merge(d, old, it.val, e) < 0)
				return -1;
		} else {
			json_setn(d, into, it.key, it.key_len, without_nulls(d, it.val));
		}
	}
	return 0;
}

int patch_merge(const struct json *current, const struct json *patch, struct json_doc **ret, struct err *e)
{
	if (!json_is_obj(patch))
		return err_set(e, ERR_BAD_REQUEST, "a merge patch must be an object");
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(current);
	if (!json_is_obj(json_root(d)))
		json_set_root(d, json_new_obj(d));
	if (merge(d, json_root(d), patch, e) < 0)
		return -1;
	*ret = TAKE(d);
	return 0;
}

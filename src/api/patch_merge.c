/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 7386. */
#include "api/patch.h"

#include "base/mem.h"

static void merge(struct json_doc *d, struct json *into, const struct json *patch);

/* A patch value for a place where nothing to merge with stands: its nulls say "absent". */
static struct json *without_nulls(struct json_doc *d, const struct json *patch)
{
	if (!json_is_obj(patch))
		return json_copy(d, patch);
	struct json *v = json_new_obj(d);
	merge(d, v, patch);
	return v;
}

static void merge(struct json_doc *d, struct json *into, const struct json *patch)
{
	JSON_EACH (it, patch) {
		if (json_is_null(it.val)) {
			json_remove(into, it.key);
			continue;
		}
		struct json *old = json_get(into, it.key);
		if (json_is_obj(old) && json_is_obj(it.val))
			merge(d, old, it.val);
		else
			json_set(d, into, it.key, without_nulls(d, it.val));
	}
}

int patch_merge(const struct json *current, const struct json *patch, struct json_doc **ret, struct err *e)
{
	if (!json_is_obj(patch))
		return err_set(e, ERR_BAD_REQUEST, "a merge patch must be an object");
	struct json_doc *d = json_doc_from(current);
	if (!json_is_obj(json_root(d)))
		json_set_root(d, json_new_obj(d));
	merge(d, json_root(d), patch);
	*ret = d;
	return 0;
}

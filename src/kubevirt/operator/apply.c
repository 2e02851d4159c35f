/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/operator/apply.h"

#include "api/meta.h"
#include "base/crypto.h"
#include "base/mem.h"

bool apply_covers(const struct json *have, const struct json *want)
{
	if (json_is_obj(want)) {
		if (!json_is_obj(have))
			return json_len(want) == 0 && json_is_null(have);
		JSON_EACH (it, want)
			if (!apply_covers(json_get(have, it.key), it.val))
				return false;
		return true;
	}
	if (json_is_arr(want)) {
		if (json_len(have) != json_len(want) || (json_len(want) && !json_is_arr(have)))
			return false;
		for (size_t i = 0; i < json_len(want); i++)
			if (!apply_covers(json_item(have, i), json_item(want, i)))
				return false;
		return true;
	}
	return json_eq(have, want);
}

/* Metadata is merged (others may have labels there), everything else is as rendered: the server fills its defaults in. */
static struct json_doc *rewritten(const struct obj *old, const struct json *want)
{
	struct json_doc *d = obj_draft(old);
	struct json *o = json_root(d);

	JSON_EACH (it, json_at(want, "/metadata/labels"))
		meta_set_label(d, o, it.key, json_str(it.val));
	JSON_EACH (it, json_at(want, "/metadata/annotations"))
		meta_set_annotation(d, o, it.key, json_str(it.val));
	/* Cluster-wide objects that belong to somebody would go with him (operator.md 2.7). */
	if (str_empty(obj_namespace(old)))
		json_remove(json_get(o, "metadata"), "ownerReferences");
	JSON_EACH (it, want)
		if (!str_eq(it.key, "metadata") && !str_eq(it.key, "status"))
			json_set_copy(d, o, it.key, it.val);
	return d;
}

bool apply_one(const struct look *l, const struct rendered *item, struct plan *out)
{
	const struct obj *old = look_get(l, item->kind, item->key);
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(item->o);
	CLEANUP(mem_freep) char *text = NULL;
	char hash[41];
	size_t len;

	text = json_write(item->o, &len);
	crypto_sha1_hex(text, len, hash);
	meta_set_annotation(d, json_root(d), ANN_RENDERED, hash);
	if (!old) {
		plan_create(out, item->kind, TAKE(d));
		return false;
	}
	if (obj_deleting(old))
		return false; /* comes back once it is gone */
	if (str_eq(meta_annotation(obj_json(old), ANN_RENDERED), hash) &&
		apply_covers(obj_json(old), json_root(d)) &&
		!(str_empty(obj_namespace(old)) && json_at(obj_json(old), "/metadata/ownerReferences")))
		return true;
	plan_change(out, item->kind, old, NULL, rewritten(old, json_root(d)));
	return false;
}

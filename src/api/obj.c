/* SPDX-License-Identifier: Apache-2.0 */
#include "api/obj.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

/* Objects read back from a store may have grown past what a client may send: defaults, managed fields. */
#define OBJ_TEXT_MAX (2 * OBJ_BYTES_MAX)

struct text {
	size_t len;
	char data[];
};

/* Tree and text are made on demand by whichever thread asks first; a loser of that race frees its own copy. */
struct obj {
	_Atomic(uint32_t) refs;
	bool deleting;
	_Atomic(struct json_doc *) doc;
	_Atomic(struct text *) text;
	const char *name, *ns, *uid, *key; /* in strings[] */
	uint64_t rv;
	int64_t generation;
	char strings[];
};

static struct obj *obj_new(struct json_doc *doc)
{
	const struct json *meta = json_get(json_root(doc), "metadata");
	const char *name = json_str_or(json_get(meta, "name"), "");
	const char *ns = json_str_or(json_get(meta, "namespace"), "");
	const char *uid = json_str_or(json_get(meta, "uid"), "");
	size_t nn = strlen(name), sn = strlen(ns), un = strlen(uid);
	struct obj *o = mem_zalloc(sizeof(*o) + nn + 2 * sn + un + 4 + nn);
	char *p = o->strings;

	/* "ns/name" holds the name; the others stand behind it */
	o->key = p;
	if (sn) {
		memcpy(p, ns, sn);
		p += sn;
		*p++ = '/';
	}
	o->name = p;
	memcpy(p, name, nn + 1);
	p += nn + 1;
	o->ns = p;
	memcpy(p, ns, sn + 1);
	p += sn + 1;
	o->uid = p;
	memcpy(p, uid, un + 1);

	atomic_init(&o->refs, 1);
	atomic_init(&o->doc, doc);
	atomic_init(&o->text, NULL);
	str_to_u64(json_str_or(json_get(meta, "resourceVersion"), ""), &o->rv);
	o->generation = json_i64(json_get(meta, "generation"));
	o->deleting = !json_is_null(json_get(meta, "deletionTimestamp"));
	return o;
}

struct obj *obj_from_doc(struct json_doc *doc)
{
	return obj_new(doc);
}

struct obj *obj_from_text(const char *text, size_t len, struct err *e)
{
	if (len > OBJ_TEXT_MAX) {
		err_set(e, ERR_TOO_LARGE, "object of %zu bytes is larger than %d", len, OBJ_TEXT_MAX);
		return NULL;
	}
	struct json_doc *doc = json_parse(text, len, e);
	if (!doc)
		return NULL;
	if (!json_is_obj(json_root(doc))) {
		json_doc_free(doc);
		err_set(e, ERR_BAD_REQUEST, "not a JSON object");
		return NULL;
	}
	struct obj *o = obj_new(doc);
	struct text *t = mem_alloc(sizeof(*t) + len + 1);
	t->len = len;
	memcpy(t->data, text, len);
	t->data[len] = '\0';
	atomic_init(&o->text, t);
	return o;
}

struct obj *obj_ref(const struct obj *o)
{
	struct obj *w = (struct obj *)o;

	if (w)
		atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
	return w;
}

void obj_unref(const struct obj *o)
{
	struct obj *w = (struct obj *)o;

	if (!w)
		return;
	uint32_t before = atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel);
	MUST(before > 0);
	if (before > 1)
		return;
	json_doc_free(atomic_load(&w->doc));
	free(atomic_load(&w->text));
	free(w);
}

void obj_unrefp(struct obj **o)
{
	obj_unref(*o);
	*o = NULL;
}

const struct json *obj_json(const struct obj *o)
{
	struct obj *w = (struct obj *)o;
	struct json_doc *doc = atomic_load_explicit(&w->doc, memory_order_acquire), *none = NULL;

	if (doc)
		return json_root(doc);
	struct text *t = atomic_load_explicit(&w->text, memory_order_acquire);
	doc = json_parse(t->data, t->len, NULL);
	MUST(doc); /* it was parsed or written by us before */
	if (atomic_compare_exchange_strong(&w->doc, &none, doc))
		return json_root(doc);
	json_doc_free(doc);
	return json_root(none);
}

const char *obj_text(const struct obj *o, size_t *ret_len)
{
	struct obj *w = (struct obj *)o;
	struct text *t = atomic_load_explicit(&w->text, memory_order_acquire), *none = NULL;

	if (!t) {
		CLEANUP(str_done) struct str s = { 0 };

		json_write_to(obj_json(o), &s);
		t = mem_alloc(sizeof(*t) + s.len + 1);
		t->len = s.len;
		memcpy(t->data, str_cstr(&s), s.len + 1);
		if (!atomic_compare_exchange_strong(&w->text, &none, t)) {
			free(t);
			t = none;
		}
	}
	if (ret_len)
		*ret_len = t->len;
	return t->data;
}

struct json_doc *obj_draft(const struct obj *o)
{
	return json_doc_from(obj_json(o));
}

void obj_compact(const struct obj *o)
{
	struct obj *w = (struct obj *)o;

	if (atomic_load(&w->text))
		json_doc_free(atomic_exchange(&w->doc, NULL));
}

const char *obj_name(const struct obj *o)
{
	return o->name;
}

const char *obj_namespace(const struct obj *o)
{
	return o->ns;
}

const char *obj_uid(const struct obj *o)
{
	return o->uid;
}

const char *obj_key(const struct obj *o)
{
	return o->key;
}

uint64_t obj_rv(const struct obj *o)
{
	return o->rv;
}

int64_t obj_generation(const struct obj *o)
{
	return o->generation;
}

bool obj_deleting(const struct obj *o)
{
	return o->deleting;
}

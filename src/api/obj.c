/* SPDX-License-Identifier: Apache-2.0 */
#include "api/obj.h"

#include <stdatomic.h>
#include <string.h>

#include "api/delta.h"
#include "base/mem.h"

/* Objects read back from a store may have grown past what a client may send: defaults, managed fields. */
#define OBJ_TEXT_MAX (2 * OBJ_BYTES_MAX)
/* No name or uid is longer: kubernetes-api.md has 253. */
#define NAME_PART_MAX 16000

struct text {
	size_t len;
	char data[];
};

static struct text *text_new(const char *data, size_t len)
{
	struct text *t = mem_alloc(sizeof(*t) + len + 1);

	t->len = len;
	memcpy(t->data, data, len);
	t->data[len] = '\0';
	return t;
}

/* Name and such, the same for all versions of an object: an old version shares those of its base. */
struct names {
	_Atomic(uint32_t) refs;
	uint16_t name, ns, uid; /* where in key[], which begins with the key */
	char key[];
};

/* Tree and text are made on demand by whichever thread asks first; a loser of that race frees its own copy. A
 * packed one has a delta against the text of its base instead, and both as long as somebody wants to see them. */
struct obj {
	_Atomic(uint32_t) refs;
	uint16_t dependents; /* packed ones of which this is the base: each holds a reference */
	uint8_t version;     /* counts from one unpacked version to the next, so that chains stay short */
	bool deleting;
	_Atomic(struct json_doc *) doc;
	_Atomic(struct text *) text;
	struct names *names;
	struct obj *base; /* NULL: not packed */
	struct text *delta;
	uint64_t rv;
	int64_t generation;
};

static struct names *names_new(const struct json *meta)
{
	const char *name = json_str_or(json_get(meta, "name"), "");
	const char *ns = json_str_or(json_get(meta, "namespace"), "");
	const char *uid = json_str_or(json_get(meta, "uid"), "");
	size_t nn = strlen(name), sn = strlen(ns), un = strlen(uid);
	struct names *n;
	char *p;

	/* longer ones are no names: nothing that passed validation is lost */
	nn = nn < NAME_PART_MAX ? nn : NAME_PART_MAX;
	sn = sn < NAME_PART_MAX ? sn : NAME_PART_MAX;
	un = un < NAME_PART_MAX ? un : NAME_PART_MAX;
	n = mem_zalloc(sizeof(*n) + nn + 2 * sn + un + 4);
	atomic_init(&n->refs, 1);
	/* "ns/name" holds the name; the others stand behind it */
	p = n->key;
	if (sn) {
		memcpy(p, ns, sn);
		p += sn;
		*p++ = '/';
	}
	n->name = (uint16_t)(p - n->key);
	memcpy(p, name, nn);
	p += nn + 1;
	n->ns = (uint16_t)(p - n->key);
	memcpy(p, ns, sn);
	p += sn + 1;
	n->uid = (uint16_t)(p - n->key);
	memcpy(p, uid, un);
	return n;
}

static void names_unref(struct names *n)
{
	if (atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1)
		free(n);
}

static struct obj *obj_new(struct json_doc *doc)
{
	const struct json *meta = json_get(json_root(doc), "metadata");
	struct obj *o = MEM_NEW(struct obj);

	o->names = names_new(meta);
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
	atomic_init(&o->text, text_new(text, len));
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

	while (w) {
		uint32_t before = atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel);
		struct obj *base = w->base;

		MUST(before > 0);
		if (before > 1)
			return;
		json_doc_free(atomic_load(&w->doc));
		free(atomic_load(&w->text));
		names_unref(w->names);
		free(w->delta);
		free(w);
		if (base)
			base->dependents--;
		w = base; /* the reference it held */
	}
}

void obj_unrefp(struct obj **o)
{
	obj_unref(*o);
	*o = NULL;
}

/* Along the chain of bases to one that has its text, and back. Nothing on the way is kept. */
static struct text *text_unpack(const struct obj *o)
{
	const struct obj *chain[OBJ_CHAIN_MAX];
	const struct text *base;
	struct text *made = NULL;
	size_t n = 0;

	for (; !(base = atomic_load_explicit(&o->text, memory_order_acquire)); o = o->base) {
		MUST(n < OBJ_CHAIN_MAX && o->base);
		chain[n++] = o;
	}
	while (n > 0) {
		const struct text *d = chain[--n]->delta;
		struct text *t;
		size_t len;

		MUST(delta_len(d->data, d->len, &len));
		t = mem_alloc(sizeof(*t) + len + 1);
		MUST(delta_apply(base->data, base->len, d->data, d->len, t->data, len));
		t->data[len] = '\0';
		t->len = len;
		free(made);
		base = made = t;
	}
	return made;
}

static struct text *text_of(const struct obj *o)
{
	struct obj *w = (struct obj *)o;
	struct text *t = atomic_load_explicit(&w->text, memory_order_acquire), *none = NULL;

	if (t)
		return t;
	if (w->base) {
		t = text_unpack(o);
	} else {
		CLEANUP(str_done) struct str s = { 0 };

		json_write_to(json_root(atomic_load_explicit(&w->doc, memory_order_acquire)), &s);
		t = text_new(str_cstr(&s), s.len);
	}
	if (atomic_compare_exchange_strong(&w->text, &none, t))
		return t;
	free(t);
	return none;
}

const struct json *obj_json(const struct obj *o)
{
	struct obj *w = (struct obj *)o;
	struct json_doc *doc = atomic_load_explicit(&w->doc, memory_order_acquire), *none = NULL;
	struct text *t;

	if (doc)
		return json_root(doc);
	t = text_of(o);
	doc = json_parse(t->data, t->len, NULL);
	MUST(doc); /* it was parsed or written by us before */
	if (atomic_compare_exchange_strong(&w->doc, &none, doc))
		return json_root(doc);
	json_doc_free(doc);
	return json_root(none);
}

bool obj_parsed(const struct obj *o)
{
	return atomic_load_explicit(&((struct obj *)o)->doc, memory_order_relaxed) != NULL;
}

const char *obj_text(const struct obj *o, size_t *ret_len)
{
	const struct text *t = text_of(o);

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

	if (atomic_load(&w->text) || w->base)
		json_doc_free(atomic_exchange(&w->doc, NULL));
	if (w->base)
		free(atomic_exchange(&w->text, NULL));
}

/* Nobody but its owners and those based on it can see it. */
static bool alone(const struct obj *o, unsigned owners)
{
	return atomic_load_explicit(&o->refs, memory_order_acquire) == owners + o->dependents;
}

static void share_names(struct obj *o, struct obj *base)
{
	const struct names *a = o->names, *b = base->names;

	if (a == b || !str_eq(a->key, b->key) || !str_eq(a->key + a->uid, b->key + b->uid))
		return;
	names_unref(o->names);
	atomic_fetch_add_explicit(&base->names->refs, 1, memory_order_relaxed);
	o->names = base->names;
}

static void pack(struct obj *o, struct obj *base)
{
	CLEANUP(str_done) struct str delta = { 0 };
	const struct text *from = text_of(base), *to = text_of(o);

	delta_make(from->data, from->len, to->data, to->len, &delta);
	if (delta.len > to->len / 2 || base->dependents == UINT16_MAX)
		return;
	o->delta = text_new(delta.data, delta.len);
	o->base = obj_ref(base);
	base->dependents++;
	share_names(o, base);
}

/* Versions count up along a chain and begin anew at OBJ_CHAIN_MAX, with one that is not packed: that bounds its
 * length. */
bool obj_pack(const struct obj *o, const struct obj *base, unsigned owners)
{
	struct obj *w = (struct obj *)o, *b = (struct obj *)base;

	if (!w->base) {
		if (!b->base && b->dependents == 0)
			b->version = (uint8_t)((w->version + 1) % OBJ_CHAIN_MAX);
		if (!alone(o, owners))
			return false;
		if (b->version > w->version)
			pack(w, b);
	}
	obj_compact(o);
	return true;
}

struct obj *obj_older(
	const struct obj *newer, const char *text, size_t len, uint64_t rv, const struct obj_facts *f)
{
	const char *uid = obj_uid(newer);
	struct obj *o;

	if (strlen(uid) != f->uid_len || memcmp(uid, f->uid, f->uid_len) != 0)
		return NULL;
	o = MEM_NEW(struct obj);
	atomic_init(&o->refs, 1);
	atomic_init(&o->doc, NULL);
	atomic_init(&o->text, text_new(text, len));
	atomic_fetch_add_explicit(&newer->names->refs, 1, memory_order_relaxed);
	o->names = newer->names;
	o->rv = rv;
	o->generation = f->generation;
	o->deleting = f->deleting;
	return o;
}

/* Versions count down along the chain here. The newest one leaves room for one more on top of it. */
void obj_pack_older(const struct obj *o, const struct obj *newer)
{
	struct obj *w = (struct obj *)o, *b = (struct obj *)newer;

	if (!b->base && b->dependents == 0 && b->version == 0)
		b->version = OBJ_CHAIN_MAX - 2;
	if (b->version > 0)
		pack(w, b);
	w->version = w->base ? (uint8_t)(b->version - 1) : OBJ_CHAIN_MAX - 2;
}

void obj_be_base(const struct obj *o)
{
	struct obj *w = (struct obj *)o;

	if (!w->base)
		w->version = OBJ_CHAIN_MAX - 1;
}

void obj_add_text(const struct obj *o, struct str *out)
{
	const struct text *t = atomic_load_explicit(&((struct obj *)o)->text, memory_order_acquire);
	CLEANUP(mem_freep) struct text *made = NULL;

	if (!t && o->base)
		t = made = text_unpack(o);
	else if (!t)
		t = text_of(o);
	MUST(t);
	str_addn(out, t->data, t->len);
}

const char *obj_name(const struct obj *o)
{
	return o->names->key + o->names->name;
}

const char *obj_namespace(const struct obj *o)
{
	return o->names->key + o->names->ns;
}

const char *obj_uid(const struct obj *o)
{
	return o->names->key + o->names->uid;
}

const char *obj_key(const struct obj *o)
{
	return o->names->key;
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

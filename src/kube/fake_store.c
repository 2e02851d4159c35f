/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/fake_api.h"

#include "api/meta.h"
#include "base/time.h"
#include "kube/fake_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct fake_kind *fake_kind_of(const struct fake_api *f, const struct kind *k)
{
	for (size_t i = 0; i < f->n_kinds; i++)
		if (kind_is(f->kinds[i]->k, k))
			return f->kinds[i];
	MUST(!"a kind that was not added");
	return NULL;
}

void fake_uid(struct fake_api *f, char ret[37])
{
	const uint64_t low48 = (UINT64_C(1) << 48) - 1;
	uint64_t a = rng_next(&f->rng), b = rng_next(&f->rng);

	snprintf(ret, 37, "%08x-%04x-4%03x-%04x-%012" PRIx64, (unsigned)(a >> 32),
		(unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xfff, 0x8000 | ((unsigned)(b >> 48) & 0x3fff),
		b & low48);
}

struct obj *fake_with_rv(const struct obj *o, uint64_t rv)
{
	struct json_doc *d = obj_draft(o);
	struct json *meta = json_need_obj(d, json_root(d), "metadata");

	json_set_strf(d, meta, "resourceVersion", "%" PRIu64, rv);
	return obj_from_doc(d);
}

static void log_add(struct fake_api *f, struct fake_kind *fk, struct obj *old, struct obj *new)
{
	if (f->n_log >= FAKE_HISTORY_MAX) {
		size_t half = f->n_log / 2;

		for (size_t i = 0; i < half; i++) {
			obj_unref(f->log[i].old);
			obj_unref(f->log[i].new);
		}
		f->floor = f->log[half - 1].rv;
		memmove(f->log, f->log + half, (f->n_log - half) * sizeof(f->log[0]));
		f->n_log -= half;
	}
	f->log = mem_grow(f->log, &f->cap_log, f->n_log + 1, sizeof(f->log[0]));
	f->log[f->n_log++] = (struct fake_event){ .rv = f->rv, .kind = fk, .old = old, .new = new };
	fake_watch_notify(f, fk);
	if (f->gc)
		loop_timer_set(f->gc, 0);
}

const struct obj *fake_store(struct fake_api *f, struct fake_kind *fk, struct json_doc *d)
{
	struct json *meta = json_need_obj(d, json_root(d), "metadata");
	struct obj *o, *old;

	json_set_strf(d, meta, "resourceVersion", "%" PRIu64, ++f->rv);
	o = obj_from_doc(d);
	old = keymap_put(&fk->objs, obj_key(o), o);
	log_add(f, fk, old, obj_ref(o));
	return o;
}

void fake_erase(struct fake_api *f, struct fake_kind *fk, const char *key)
{
	struct obj *old = keymap_take(&fk->objs, key);

	MUST(old);
	f->rv++;
	log_add(f, fk, fake_with_rv(old, f->rv), NULL);
	obj_unref(old);
}

/* ---- orphans ---- */
static bool uid_exists(const struct fake_api *f, const char *uid)
{
	for (size_t i = 0; i < f->n_kinds; i++)
		for (size_t j = 0; j < f->kinds[i]->objs.len; j++)
			if (str_eq(obj_uid(f->kinds[i]->objs.items[j].val), uid))
				return true;
	return false;
}

static bool is_orphan(const struct fake_api *f, const struct obj *o)
{
	const struct json *refs = json_get(meta_of(obj_json(o)), "ownerReferences");

	if (!json_len(refs))
		return false;
	JSON_EACH (it, refs)
		if (uid_exists(f, json_str_or(json_get(it.val, "uid"), "")))
			return false;
	return true;
}

/* Dependents of an owner that is waiting for them: told to go. Returns how many are left. */
static size_t foreground_delete(struct fake_api *f, const char *uid)
{
	size_t left = 0;

	for (size_t i = 0; i < f->n_kinds; i++) {
		for (size_t j = f->kinds[i]->objs.len; j-- > 0;) {
			const struct obj *o = f->kinds[i]->objs.items[j].val;
			CLEANUP(mem_freep) char *key = mem_strdup(obj_key(o));

			if (!meta_owned_by(obj_json(o), uid))
				continue;
			left++;
			if (!obj_deleting(o))
				json_doc_free(fake_delete(f, f->kinds[i], key, NULL, NULL));
		}
	}
	return left;
}

static void foreground(struct fake_api *f, struct fake_kind *fk, const char *key)
{
	const struct obj *o = keymap_get(&fk->objs, key);
	struct json_doc *d;

	if (!o || !obj_deleting(o) || !meta_has_finalizer(obj_json(o), "foregroundDeletion") ||
		foreground_delete(f, obj_uid(o)))
		return;
	d = obj_draft(o);
	meta_set_finalizer(d, json_root(d), "foregroundDeletion", false);
	if (write_is_gone(json_root(d))) {
		json_doc_free(d);
		fake_erase(f, fk, key);
	} else {
		fake_store(f, fk, d);
	}
}

void fake_gc_run(void *arg)
{
	struct fake_api *f = arg;

	for (size_t i = 0; i < f->n_kinds; i++) {
		struct fake_kind *fk = f->kinds[i];

		for (size_t j = fk->objs.len; j-- > 0;) {
			CLEANUP(mem_freep) char *key = mem_strdup(fk->objs.items[j].key);

			if (is_orphan(f, fk->objs.items[j].val))
				json_doc_free(fake_delete(f, fk, key, NULL, NULL));
			else
				foreground(f, fk, key);
			if (j > fk->objs.len)
				j = fk->objs.len;
		}
	}
}

/* ---- direct access ---- */
const struct obj *fake_api_get(struct fake_api *f, const struct kind *k, const char *key)
{
	return keymap_get(&fake_kind_of(f, k)->objs, key);
}

const struct obj *fake_api_put(struct fake_api *f, const struct kind *k, struct json_doc *d)
{
	struct fake_kind *fk = fake_kind_of(f, k);
	struct json *root = json_root(d), *meta = json_need_obj(d, root, "metadata");
	CLEANUP(mem_freep) char *key = kind_key(meta_str(root, "namespace"), meta_str(root, "name"));
	const struct obj *old = keymap_get(&fk->objs, key);
	char uid[37], now[TIME_TEXT_MAX], version[KIND_API_VERSION_MAX];

	json_set_str(d, root, "apiVersion", kind_api_version(k, version));
	json_set_str(d, root, "kind", k->kind);
	if (!json_get(meta, "uid")) {
		fake_uid(f, uid);
		json_set_str(d, meta, "uid", old ? obj_uid(old) : uid);
	}
	if (!json_get(meta, "creationTimestamp")) {
		time_rfc3339(loop_wall_ms(f->loop), now);
		json_set_str(d, meta, "creationTimestamp",
			old ? meta_str(obj_json(old), "creationTimestamp") : now);
	}
	return fake_store(f, fk, d);
}

void fake_api_remove(struct fake_api *f, const struct kind *k, const char *key)
{
	fake_erase(f, fake_kind_of(f, k), key);
}

size_t fake_api_len(struct fake_api *f, const struct kind *k)
{
	return fake_kind_of(f, k)->objs.len;
}

const struct obj *fake_api_at(struct fake_api *f, const struct kind *k, size_t i)
{
	const struct fake_kind *fk = fake_kind_of(f, k);

	return i < fk->objs.len ? fk->objs.items[i].val : NULL;
}

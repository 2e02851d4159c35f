/* SPDX-License-Identifier: Apache-2.0 */
/* What the VM's instance type and preference come to: templates with both applied, references in the status and the revisions
 * behind them, or the VM without them where the cluster's policy says so. rollout.md 2.1, 2.3, 3.7. */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vm/vm_impl.h"

static bool names_any(const struct json *vm)
{
	return it_matcher(vm, IT_INSTANCETYPE) || it_matcher(vm, IT_PREFERENCE);
}

static void failed(struct vm_types *t, const char *reason, const struct err *e)
{
	if (t->failure)
		return;
	t->failure = reason;
	err_copy(&t->why, e);
}

/* ---- looking ---- */
/* The VM as it was started, without a status: its revision names the revisions of type and preference. */
static struct json_doc *vm_at_start(const struct vm_seen *s)
{
	struct json_doc *d = json_lit("{'metadata':{}}");

	json_put_str(d, json_root(d), "/metadata/namespace", obj_namespace(s->vm));
	json_set_copy(d, json_root(d), "spec", json_at(obj_json(s->revision), "/data/spec"));
	return d;
}

static const struct json *template_of(struct json_doc *d, const struct json *as_it_stands)
{
	return d ? json_root(d) : as_it_stands;
}

/* Policy expand took the type's place since the start: what the VM says itself now includes all defaults, so the start gets them
 * as well. */
static bool was_expanded_since(const struct vm_seen *s, const struct json *then)
{
	return names_any(then) && !names_any(obj_json(s->vm));
}

static struct json_doc *with_defaults(const struct json *template, const struct kv_config *c)
{
	const struct defaults_in in = { .config = c, .for_vm = true };
	struct json_doc *d = json_doc_from(template);

	vmi_default_spec(d, json_need_obj(d, json_root(d), "spec"), &in);
	return d;
}

static void look_start(struct vm_seen *s, struct it_lookup *l, struct vm_types *t)
{
	CLEANUP(json_doc_freep) struct json_doc *then = NULL, *whole = NULL;

	s->start = NULL;
	if (!s->revision)
		return;
	s->start = json_at(obj_json(s->revision), "/data/spec/template");
	then = vm_at_start(s);
	if (!names_any(json_root(then)))
		return;
	if (was_expanded_since(s, json_root(then))) {
		if (instancetype_expand_vm(json_root(then), s->config, l, &whole, NULL) == 0)
			t->start = json_doc_from(json_at(json_root(whole), "/spec/template"));
		t->template = with_defaults(json_at(obj_json(s->vm), "/spec/template"), s->config);
		s->template = json_root(t->template);
	} else if (instancetype_expand(json_root(then), IT_COMPARE, s->config, l, &t->start, NULL) < 0) {
		t->start = NULL;
	}
	s->start = template_of(t->start, NULL);
}

static bool is_kept(const struct json *vm)
{
	return json_at(vm, "/status/instancetypeRef/controllerRevisionRef/name") ||
	       json_at(vm, "/status/preferenceRef/controllerRevisionRef/name");
}

static bool becomes_plain(const struct vm_seen *s)
{
	enum kv_reference_policy policy = s->config->reference_policy;

	return policy == KV_POLICY_EXPAND_ALL || (policy == KV_POLICY_EXPAND && !is_kept(obj_json(s->vm)));
}

static void look_names(struct vm_seen *s, struct it_lookup *l, struct vm_types *t)
{
	const struct json *vm = obj_json(s->vm);
	struct err e;

	for (int side = 0; side < IT_SIDES; side++)
		if (it_ref_decide(vm, (enum it_side)side, l, &t->refs[side], &e) < 0)
			failed(t, IT_REASON_NOT_FOUND(side), &e);
	if (!t->failure && instancetype_expand(vm, IT_COMPARE, s->config, l, &t->template, &e) < 0)
		failed(t, VM_REFUSED, &e);
	if (!t->failure && !s->vmi && instancetype_expand(vm, IT_START, s->config, l, &t->launch, &e) < 0)
		failed(t, VM_REFUSED, &e);
	if (!t->failure && becomes_plain(s) && instancetype_expand_vm(vm, s->config, l, &t->plain, &e) < 0)
		failed(t, VM_REFUSED, &e);
	s->template = template_of(t->template, NULL);
}

void vm_types_look(struct vm_seen *s, struct it_lookup *l, struct vm_types *t)
{
	*t = (struct vm_types){ 0 };
	s->types = t;
	s->template = json_at(obj_json(s->vm), "/spec/template");
	if (names_any(obj_json(s->vm)))
		look_names(s, l, t);
	look_start(s, l, t);
}

void vm_types_done(struct vm_types *t)
{
	json_doc_free(t->template);
	json_doc_free(t->start);
	json_doc_free(t->launch);
	json_doc_free(t->plain);
	for (int side = 0; side < IT_SIDES; side++)
		it_ref_done(&t->refs[side]);
	*t = (struct vm_types){ 0 };
}

/* ---- telling ---- */
static void add_difference(
	struct str *out, const char *what, const char *field, const char *was, const char *is)
{
	str_addf(out, "%sspec.%s.%s %s%s%s -> %s%s%s", out->len ? ", " : "", what, field, was ? "\"" : "",
		was ? was : "(none)", was ? "\"" : "", is ? "\"" : "", is ? is : "(none)", is ? "\"" : "");
}

char *vm_types_because(const struct vm_seen *s)
{
	static const char *const what[IT_SIDES] = { "instancetype", "preference" };
	struct str out = { 0 };

	for (int side = 0; s->types && s->revision && side < IT_SIDES; side++) {
		const struct json *data = json_get(obj_json(s->revision), "data");
		const struct json *then = it_matcher(data, (enum it_side)side),
				  *now = it_matcher(obj_json(s->vm), (enum it_side)side);
		const struct json_doc *ref = s->types->refs[side].ref;
		const char *kept = ref ? json_at_str(json_root(ref), "/controllerRevisionRef/name") : NULL;

		if (!str_eq(json_get_str(then, "name"), json_get_str(now, "name")))
			add_difference(&out, what[side], "name", json_get_str(then, "name"),
				json_get_str(now, "name"));
		else if (kept && !str_eq(json_get_str(then, "revisionName"), kept))
			add_difference(
				&out, what[side], "revisionName", json_get_str(then, "revisionName"), kept);
	}
	return out.len ? str_take(&out) : NULL;
}

/* ---- planning ---- */
/* Its revisions hold nothing any more that the VM needs, but for what still runs. */
static void plan_drop_refs(const struct vm_seen *s, struct plan *out)
{
	struct json_doc *d = obj_draft(s->vm);
	struct json *status = json_need_obj(d, json_root(d), "status");

	for (int side = 0; side < IT_SIDES; side++)
		json_remove(status, it_ref_field((enum it_side)side));
	plan_change(out, &kind_vm, s->vm, "status", d);
}

bool vm_types_rewrite(const struct vm_seen *s, struct plan *out)
{
	struct json_doc *d;

	if (!s->types || !s->types->plain)
		return false;
	d = obj_draft(s->vm);
	meta_set_finalizer(d, json_root(d), FINALIZER_VM, true);
	json_set_copy(d, json_root(d), "spec", json_get(json_root(s->types->plain), "spec"));
	plan_change(out, &kind_vm, s->vm, NULL, d);
	plan_drop_refs(s, out);
	return true;
}

void vm_types_keep(const struct vm_seen *s, struct vm_turn *t, struct plan *out)
{
	for (int side = 0; s->types && side < IT_SIDES; side++) {
		const struct it_ref *r = &s->types->refs[side];
		const char *field = it_ref_field((enum it_side)side);

		if (r->create)
			plan_ensure(out, &kind_controllerrevision, json_doc_from(json_root(r->create)));
		if (r->ref)
			json_set_copy(t->doc, t->status, field, json_root(r->ref));
		else if (!it_matcher(obj_json(s->vm), (enum it_side)side))
			json_remove(t->status, field);
	}
}

void vm_types_forget(const struct vm_seen *s, struct plan *out)
{
	for (size_t i = 0; !names_any(obj_json(s->vm)) && i < s->n_kept; i++)
		plan_delete(out, &kind_controllerrevision, obj_key(s->kept[i]), obj_uid(s->kept[i]), -1);
}

/* ---- who has to be looked at when something appears ---- */
static char *index_value(const struct kind *k, const char *ns, const char *name)
{
	return str_printf("%s/%s/%s", k->singular, k->namespaced ? ns : "", name);
}

void vm_index_types(const struct obj *o, index_emit_fn *emit, void *emit_arg)
{
	for (int side = 0; side < IT_SIDES; side++) {
		const struct json *m = it_matcher(obj_json(o), (enum it_side)side);
		const struct kind *k = m ? it_kind(m, (enum it_side)side) : NULL;
		const char *name = json_get_str(m, "name"), *revision = json_get_str(m, "revisionName");

		if (k && !str_empty(name)) {
			CLEANUP(mem_freep) char *value = index_value(k, obj_namespace(o), name);
			emit(emit_arg, value);
		}
		if (!str_empty(revision)) {
			CLEANUP(mem_freep)
			char *value = index_value(&kind_controllerrevision, obj_namespace(o), revision);
			emit(emit_arg, value);
		}
	}
}

void vm_keys_of_type(
	const struct kind *k, const struct cache *vms, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	CLEANUP(mem_freep) char *value = index_value(k, obj_namespace(o), obj_name(o));
	const struct obj *vm;

	for (size_t i = 0; (vm = cache_index_at(vms, 0, value, i)); i++)
		emit(emit_arg, obj_key(vm));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/admission/plugins.h"

#include "api/meta.h"
#include "base/mem.h"
#include "platform/admission/limits.h"

#include <string.h>

static const char *const names[] = {
#define X(id, name) #name,
	PLUGINS(X)
#undef X
};

int plugins_parse(const char *list, unsigned *ret_off, struct err *e)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(list ? list : "");
	char *rest = copy;
	unsigned off = 0;

	while (rest) {
		const char *name = str_next(&rest, ',');
		size_t i = 0;

		if (str_empty(name))
			continue;
		while (i < PLUGIN_MAX && !str_eq(names[i], name))
			i++;
		if (i == PLUGIN_MAX)
			return err_set(e, ERR_INVALID, "unknown admission plugin '%.64s'", name);
		off |= 1U << i;
	}
	*ret_off = off;
	return 0;
}

bool plugin_on(const struct admitter *adm, enum plugin p)
{
	return !(adm->plugins_off & (1U << p));
}

/* ---- refusing ---- */
/* The object's name, or what it is going to be made of. */
static const char *name_of(const struct plugin_write *w)
{
	const struct json *meta = w->draft ? json_get(json_root(w->draft), "metadata") : NULL;
	const char *name = w->name;

	if (str_empty(name))
		name = json_get_str(meta, "name");
	if (str_empty(name))
		name = json_get_str(meta, "generateName");
	return str_empty(name) ? "Unknown" : name;
}

int plugin_refusev(const struct plugin_write *w, const char *fmt, va_list ap)
{
	CLEANUP(mem_freep) char *gr = kind_group_resource(w->res->kind);
	CLEANUP(str_done) struct str m = { 0 };

	str_addv(&m, fmt, ap);
	return err_set(w->err, ERR_FORBIDDEN, "%s \"%s\" is forbidden: %s", gr, name_of(w), m.data);
}

int plugin_refuse(const struct plugin_write *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	plugin_refusev(w, fmt, ap);
	va_end(ap);
	return -1;
}

static bool is_core(const struct plugin_write *w, const char *plural)
{
	return str_empty(w->res->kind->group) && str_eq(w->res->kind->plural, plural);
}

static const struct obj *latest(const struct plugin_write *w, const char *storage, const char *key)
{
	uint64_t rev;

	return bucket_latest(objects_bucket(w->adm->objects, storage), key, &rev);
}

/* ---- ServiceAccount ---- */
static int set_account(const struct plugin_write *w)
{
	struct json *spec = json_need_obj(w->draft, json_root(w->draft), "spec");
	const char *name = json_get_str(spec, "serviceAccountName");
	CLEANUP(mem_freep) char *key = NULL;
	const struct obj *account;

	if (str_empty(name))
		name = json_get_str(spec, "serviceAccount");
	if (str_empty(name))
		name = "default";
	key = kind_key(w->ns, name);
	account = latest(w, "serviceaccounts", key);
	if (!account)
		return plugin_refuse(
			w, "error looking up service account %s: serviceaccount \"%s\" not found", key, name);
	json_set_str(w->draft, spec, "serviceAccountName", obj_name(account));
	json_set_str(w->draft, spec, "serviceAccount", obj_name(account));
	account_mount(w->draft, obj_json(account));
	if (json_len(json_get(spec, "imagePullSecrets")) == 0 &&
		json_len(json_get(obj_json(account), "imagePullSecrets")) > 0)
		json_set_copy(
			w->draft, spec, "imagePullSecrets", json_get(obj_json(account), "imagePullSecrets"));
	return 0;
}

/* ---- Priority ---- */
static const struct obj *default_class(const struct plugin_write *w)
{
	const struct bucket *b = objects_bucket(w->adm->objects, "scheduling.k8s.io/priorityclasses");
	const struct obj *o, *best = NULL;

	for (size_t i = 0; (o = bucket_at(b, i)); i++)
		if (json_bool(json_get(obj_json(o), "globalDefault")) &&
			(!best || json_i64(json_get(obj_json(o), "value")) <
					  json_i64(json_get(obj_json(best), "value"))))
			best = o;
	return best;
}

static int set_priority(const struct plugin_write *w)
{
	struct json *spec = json_need_obj(w->draft, json_root(w->draft), "spec");
	const char *name = json_get_str(spec, "priorityClassName"), *policy, *own;
	const struct obj *class =
		str_empty(name) ? default_class(w) : latest(w, "scheduling.k8s.io/priorityclasses", name);
	int64_t value = class ? json_i64(json_get(obj_json(class), "value")) : 0;

	if (!str_empty(name) && !class)
		return plugin_refuse(w, "no PriorityClass with name %s was found", name);
	if (json_is_num(json_get(spec, "priority")) && json_i64(json_get(spec, "priority")) != value)
		return plugin_refuse(w,
			"the integer value of priority (%lld) must not be provided in pod spec; priority "
			"admission controller computed %lld from the given PriorityClass name",
			(long long)json_i64(json_get(spec, "priority")), (long long)value);
	policy = class ? json_get_str(obj_json(class), "preemptionPolicy") : NULL;
	policy = str_empty(policy) ? "PreemptLowerPriority" : policy;
	own = json_get_str(spec, "preemptionPolicy");
	if (!str_empty(own) && !str_eq(own, policy))
		return plugin_refuse(w,
			"the string value of PreemptionPolicy (%s) must not be provided in pod spec; "
			"priority "
			"admission controller computed %s from the given PriorityClass name",
			own, policy);
	if (class)
		json_set_str(w->draft, spec, "priorityClassName", obj_name(class));
	json_set_i64(w->draft, spec, "priority", value);
	json_set_str(w->draft, spec, "preemptionPolicy", policy);
	return 0;
}

/* An update that says nothing of them, a manifest once more say, does not change them. */
static void keep_priority(const struct plugin_write *w)
{
	static const char *const kept[] = { "priority", "preemptionPolicy" };
	struct json *spec = json_need_obj(w->draft, json_root(w->draft), "spec");
	const struct json *was = json_get(obj_json(w->old), "spec");

	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (!json_get(spec, kept[i]) && json_get(was, kept[i]))
			json_set_copy(w->draft, spec, kept[i], json_get(was, kept[i]));
}

static int check_default_class(const struct plugin_write *w)
{
	const struct obj *there = default_class(w);
	const char *name = json_str_or(json_at(json_root(w->draft), "/metadata/name"), "");

	if (!json_bool(json_get(json_root(w->draft), "globalDefault")) || !there ||
		str_eq(obj_name(there), name))
		return 0;
	return plugin_refuse(w, "PriorityClass %s is already marked as default. Only one default can exist",
		obj_name(there));
}

/* ---- DefaultTolerationSeconds ---- */
static bool tolerates(const struct json *spec, const char *key)
{
	JSON_EACH (it, json_get(spec, "tolerations")) {
		const char *k = json_get_str(it.val, "key"), *effect = json_get_str(it.val, "effect");

		if ((str_eq(k, key) || str_empty(k)) && (str_empty(effect) || str_eq(effect, "NoExecute")))
			return true;
	}
	return false;
}

static void add_tolerations(const struct plugin_write *w)
{
	static const char *const keys[] = { "node.kubernetes.io/not-ready",
		"node.kubernetes.io/unreachable" };
	struct json *spec = json_need_obj(w->draft, json_root(w->draft), "spec");

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct json *t;

		if (tolerates(spec, keys[i]))
			continue;
		t = json_new_obj(w->draft);
		json_set_str(w->draft, t, "key", keys[i]);
		json_set_str(w->draft, t, "operator", "Exists");
		json_set_str(w->draft, t, "effect", "NoExecute");
		json_set_i64(w->draft, t, "tolerationSeconds", 300);
		json_append(w->draft, json_need_arr(w->draft, spec, "tolerations"), t);
	}
}

/* ---- DefaultStorageClass ---- */
static bool is_default(const struct json *class)
{
	return str_eq(meta_annotation(class, "storageclass.kubernetes.io/is-default-class"), "true") ||
	       str_eq(meta_annotation(class, "storageclass.beta.kubernetes.io/is-default-class"), "true");
}

/* The newest of the default classes. */
static void set_storage_class(const struct plugin_write *w)
{
	struct json *o = json_root(w->draft), *spec = json_need_obj(w->draft, o, "spec");
	const struct bucket *b = objects_bucket(w->adm->objects, "storage.k8s.io/storageclasses");
	const struct obj *c, *best = NULL;

	if (json_get(spec, "storageClassName") ||
		meta_annotation(o, "volume.beta.kubernetes.io/storage-class"))
		return;
	for (size_t i = 0; (c = bucket_at(b, i)); i++)
		if (is_default(obj_json(c)) &&
			(!best || strcmp(meta_str(obj_json(c), "creationTimestamp"),
					  meta_str(obj_json(best), "creationTimestamp")) > 0))
			best = c;
	if (best)
		json_set_str(w->draft, spec, "storageClassName", obj_name(best));
}

/* ---- LimitRanger ---- */
typedef void range_fn(const struct plugin_write *w, const struct json *range, struct strv *texts);
static void each_range(const struct plugin_write *w, range_fn *fn, struct strv *texts)
{
	const struct bucket *b = objects_bucket(w->adm->objects, "limitranges");
	CLEANUP(mem_freep) char *prefix = str_printf("%s/", w->ns);
	const struct obj *o;

	for (size_t i = bucket_seek(b, prefix); (o = bucket_at(b, i)) && str_starts(obj_key(o), prefix); i++)
		fn(w, obj_json(o), texts);
}

static void fill_limits(const struct plugin_write *w, const struct json *range, struct strv *notes)
{
	limits_fill(range, w->draft, json_root(w->draft), notes);
}

static void check_limits(const struct plugin_write *w, const struct json *range, struct strv *why)
{
	limits_check(range, w->res->kind->plural, json_root(w->draft), why);
}

static void set_limits(const struct plugin_write *w)
{
	CLEANUP(strv_done) struct strv notes = { 0 };
	CLEANUP(mem_freep) char *joined = NULL;
	CLEANUP(mem_freep) char *text = NULL;

	each_range(w, fill_limits, &notes);
	if (notes.len == 0)
		return;
	joined = strv_join(&notes, "; ");
	text = str_printf("LimitRanger plugin set: %s", joined);
	meta_set_annotation(w->draft, json_root(w->draft), "kubernetes.io/limit-ranger", text);
}

static int obey_limits(const struct plugin_write *w)
{
	CLEANUP(strv_done) struct strv why = { 0 };
	CLEANUP(mem_freep) char *all = NULL;

	each_range(w, check_limits, &why);
	if (why.len == 0)
		return 0;
	all = strv_join(&why, ", ");
	return plugin_refuse(w, why.len > 1 ? "[%s]" : "%s", all);
}

/* ---- all of them ---- */
int plugins_mutate(const struct plugin_write *w)
{
	if (!w->draft || !str_empty(w->sub))
		return 0;
	if (!w->created && w->old && is_core(w, "pods") && plugin_on(w->adm, PLUGIN_PRIORITY))
		keep_priority(w);
	if (!w->created && is_core(w, "pods") && plugin_on(w->adm, PLUGIN_TOLERATION))
		add_tolerations(w);
	if (!w->created)
		return 0;
	if (is_core(w, "persistentvolumeclaims") && plugin_on(w->adm, PLUGIN_STORAGE_CLASS))
		set_storage_class(w);
	if (!is_core(w, "pods") || !json_is_obj(json_get(json_root(w->draft), "spec")))
		return 0;
	if (plugin_on(w->adm, PLUGIN_LIMITS))
		set_limits(w);
	if (plugin_on(w->adm, PLUGIN_ACCOUNT) && set_account(w) < 0)
		return -1;
	if (plugin_on(w->adm, PLUGIN_PRIORITY) && set_priority(w) < 0)
		return -1;
	if (plugin_on(w->adm, PLUGIN_TOLERATION))
		add_tolerations(w);
	return 0;
}

int plugins_validate(const struct plugin_write *w)
{
	bool pods = is_core(w, "pods"), claims = is_core(w, "persistentvolumeclaims");
	bool limited = (pods && (str_empty(w->sub) ? w->created : str_eq(w->sub, "resize"))) ||
		       (claims && str_empty(w->sub));

	if (!w->draft || (w->old && obj_deleting(w->old)))
		return 0;
	if (limited && plugin_on(w->adm, PLUGIN_LIMITS) && obey_limits(w) < 0)
		return -1;
	if (plugin_on(w->adm, PLUGIN_PRIORITY) && str_empty(w->sub) &&
		str_eq(w->res->kind->group, "scheduling.k8s.io") &&
		str_eq(w->res->kind->plural, "priorityclasses"))
		return check_default_class(w);
	return 0;
}

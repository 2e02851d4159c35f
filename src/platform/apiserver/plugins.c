/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/plugins.h"

#include "api/meta.h"
#include "base/mem.h"
#include "platform/apiserver/limits.h"
#include "platform/apiserver/write.h"

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

bool plugin_on(const struct apiserver *s, enum plugin p)
{
	return !(s->plugins_off & (1U << p));
}

static bool is_core(const struct op *op, const char *plural)
{
	return str_empty(op->res->kind->group) && str_eq(op->res->kind->plural, plural);
}

static const struct obj *latest(struct op *op, const char *storage, const char *key)
{
	uint64_t rev;

	return bucket_latest(objects_bucket(op->s->objects, storage), key, &rev);
}

/* ---- ServiceAccount ---- */
static int set_account(struct op *op)
{
	struct json *spec = json_need_obj(op->draft, json_root(op->draft), "spec");
	const char *name = json_get_str(spec, "serviceAccountName");
	CLEANUP(mem_freep) char *key = NULL;
	const struct obj *account;

	if (str_empty(name))
		name = json_get_str(spec, "serviceAccount");
	if (str_empty(name))
		name = "default";
	key = kind_key(op->ns, name);
	account = latest(op, "serviceaccounts", key);
	if (!account)
		return op_refuse(op, "error looking up service account %s: serviceaccount \"%s\" not found",
			key, name);
	json_set_str(op->draft, spec, "serviceAccountName", obj_name(account));
	json_set_str(op->draft, spec, "serviceAccount", obj_name(account));
	account_mount(op, obj_json(account));
	if (json_len(json_get(spec, "imagePullSecrets")) == 0 &&
		json_len(json_get(obj_json(account), "imagePullSecrets")) > 0)
		json_set_copy(
			op->draft, spec, "imagePullSecrets", json_get(obj_json(account), "imagePullSecrets"));
	return 0;
}

/* ---- Priority ---- */
static const struct obj *default_class(struct op *op)
{
	const struct bucket *b = objects_bucket(op->s->objects, "scheduling.k8s.io/priorityclasses");
	const struct obj *o, *best = NULL;

	for (size_t i = 0; (o = bucket_at(b, i)); i++)
		if (json_bool(json_get(obj_json(o), "globalDefault")) &&
			(!best || json_i64(json_get(obj_json(o), "value")) <
					  json_i64(json_get(obj_json(best), "value"))))
			best = o;
	return best;
}

static int set_priority(struct op *op)
{
	struct json *spec = json_need_obj(op->draft, json_root(op->draft), "spec");
	const char *name = json_get_str(spec, "priorityClassName"), *policy, *own;
	const struct obj *class =
		str_empty(name) ? default_class(op) : latest(op, "scheduling.k8s.io/priorityclasses", name);
	int64_t value = class ? json_i64(json_get(obj_json(class), "value")) : 0;

	if (!str_empty(name) && !class)
		return op_refuse(op, "no PriorityClass with name %s was found", name);
	if (json_is_num(json_get(spec, "priority")) && json_i64(json_get(spec, "priority")) != value)
		return op_refuse(op,
			"the integer value of priority (%lld) must not be provided in pod spec; priority "
			"admission controller computed %lld from the given PriorityClass name",
			(long long)json_i64(json_get(spec, "priority")), (long long)value);
	policy = class ? json_get_str(obj_json(class), "preemptionPolicy") : NULL;
	policy = str_empty(policy) ? "PreemptLowerPriority" : policy;
	own = json_get_str(spec, "preemptionPolicy");
	if (!str_empty(own) && !str_eq(own, policy))
		return op_refuse(op,
			"the string value of PreemptionPolicy (%s) must not be provided in pod spec; "
			"priority "
			"admission controller computed %s from the given PriorityClass name",
			own, policy);
	if (class)
		json_set_str(op->draft, spec, "priorityClassName", obj_name(class));
	json_set_i64(op->draft, spec, "priority", value);
	json_set_str(op->draft, spec, "preemptionPolicy", policy);
	return 0;
}

/* An update that says nothing of them, a manifest once more say, does not change them. */
static void keep_priority(struct op *op)
{
	static const char *const kept[] = { "priority", "preemptionPolicy" };
	struct json *spec = json_need_obj(op->draft, json_root(op->draft), "spec");
	const struct json *was = json_get(obj_json(op->seen), "spec");

	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (!json_get(spec, kept[i]) && json_get(was, kept[i]))
			json_set_copy(op->draft, spec, kept[i], json_get(was, kept[i]));
}

static int check_default_class(struct op *op)
{
	const struct obj *there = default_class(op);
	const char *name = json_str_or(json_at(json_root(op->draft), "/metadata/name"), "");

	if (!json_bool(json_get(json_root(op->draft), "globalDefault")) || !there ||
		str_eq(obj_name(there), name))
		return 0;
	return op_refuse(op, "PriorityClass %s is already marked as default. Only one default can exist",
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

static void add_tolerations(struct op *op)
{
	static const char *const keys[] = { "node.kubernetes.io/not-ready",
		"node.kubernetes.io/unreachable" };
	struct json *spec = json_need_obj(op->draft, json_root(op->draft), "spec");

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct json *t;

		if (tolerates(spec, keys[i]))
			continue;
		t = json_new_obj(op->draft);
		json_set_str(op->draft, t, "key", keys[i]);
		json_set_str(op->draft, t, "operator", "Exists");
		json_set_str(op->draft, t, "effect", "NoExecute");
		json_set_i64(op->draft, t, "tolerationSeconds", 300);
		json_append(op->draft, json_need_arr(op->draft, spec, "tolerations"), t);
	}
}

/* ---- DefaultStorageClass ---- */
static bool is_default(const struct json *class)
{
	return str_eq(meta_annotation(class, "storageclass.kubernetes.io/is-default-class"), "true") ||
	       str_eq(meta_annotation(class, "storageclass.beta.kubernetes.io/is-default-class"), "true");
}

/* The newest of the default classes. */
static void set_storage_class(struct op *op)
{
	struct json *o = json_root(op->draft), *spec = json_need_obj(op->draft, o, "spec");
	const struct bucket *b = objects_bucket(op->s->objects, "storage.k8s.io/storageclasses");
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
		json_set_str(op->draft, spec, "storageClassName", obj_name(best));
}

/* ---- LimitRanger ---- */
typedef void range_fn(struct op *op, const struct json *range, struct strv *texts);
static void each_range(struct op *op, range_fn *fn, struct strv *texts)
{
	const struct bucket *b = objects_bucket(op->s->objects, "limitranges");
	CLEANUP(mem_freep) char *prefix = str_printf("%s/", op->ns);
	const struct obj *o;

	for (size_t i = bucket_seek(b, prefix); (o = bucket_at(b, i)) && str_starts(obj_key(o), prefix); i++)
		fn(op, obj_json(o), texts);
}

static void fill_limits(struct op *op, const struct json *range, struct strv *notes)
{
	limits_fill(range, op->draft, json_root(op->draft), notes);
}

static void check_limits(struct op *op, const struct json *range, struct strv *why)
{
	limits_check(range, op->res->kind->plural, json_root(op->draft), why);
}

static void set_limits(struct op *op)
{
	CLEANUP(strv_done) struct strv notes = { 0 };
	CLEANUP(mem_freep) char *joined = NULL;
	CLEANUP(mem_freep) char *text = NULL;

	each_range(op, fill_limits, &notes);
	if (notes.len == 0)
		return;
	joined = strv_join(&notes, "; ");
	text = str_printf("LimitRanger plugin set: %s", joined);
	meta_set_annotation(op->draft, json_root(op->draft), "kubernetes.io/limit-ranger", text);
}

static int obey_limits(struct op *op)
{
	CLEANUP(strv_done) struct strv why = { 0 };
	CLEANUP(mem_freep) char *all = NULL;

	each_range(op, check_limits, &why);
	if (why.len == 0)
		return 0;
	all = strv_join(&why, ", ");
	return op_refuse(op, why.len > 1 ? "[%s]" : "%s", all);
}

/* ---- all of them ---- */
int plugins_mutate(struct op *op)
{
	if (!op->draft || !str_empty(op->sub))
		return 0;
	if (!op->created && op->seen && is_core(op, "pods") && plugin_on(op->s, PLUGIN_PRIORITY))
		keep_priority(op);
	if (!op->created && is_core(op, "pods") && plugin_on(op->s, PLUGIN_TOLERATION))
		add_tolerations(op);
	if (!op->created)
		return 0;
	if (is_core(op, "persistentvolumeclaims") && plugin_on(op->s, PLUGIN_STORAGE_CLASS))
		set_storage_class(op);
	if (!is_core(op, "pods") || !json_is_obj(json_get(json_root(op->draft), "spec")))
		return 0;
	if (plugin_on(op->s, PLUGIN_LIMITS))
		set_limits(op);
	if (plugin_on(op->s, PLUGIN_ACCOUNT) && set_account(op) < 0)
		return -1;
	if (plugin_on(op->s, PLUGIN_PRIORITY) && set_priority(op) < 0)
		return -1;
	if (plugin_on(op->s, PLUGIN_TOLERATION))
		add_tolerations(op);
	return 0;
}

int plugins_validate(struct op *op)
{
	bool pods = is_core(op, "pods"), claims = is_core(op, "persistentvolumeclaims");
	bool limited = (pods && (str_empty(op->sub) ? op->created : str_eq(op->sub, "resize"))) ||
		       (claims && str_empty(op->sub));

	if (!op->draft || (op->old && obj_deleting(op->old)))
		return 0;
	if (limited && plugin_on(op->s, PLUGIN_LIMITS) && obey_limits(op) < 0)
		return -1;
	if (plugin_on(op->s, PLUGIN_PRIORITY) && str_empty(op->sub) &&
		str_eq(op->res->kind->group, "scheduling.k8s.io") &&
		str_eq(op->res->kind->plural, "priorityclasses"))
		return check_default_class(op);
	return 0;
}

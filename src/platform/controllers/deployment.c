/* SPDX-License-Identifier: Apache-2.0 */
/* Deployments: one ReplicaSet per pod template; the newest grows and the older ones shrink within maxSurge and maxUnavailable. */
#include "platform/controllers/controllers.h"

#include "api/meta.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/controllers/pods.h"

#include <stdio.h>

#include <string.h>

#define ANN_REVISION "deployment.kubernetes.io/revision"
#define ANN_HISTORY "deployment.kubernetes.io/revision-history"
#define LABEL_HASH "pod-template-hash"
#define SETS_MAX 256

struct sets {
	const struct obj *deployment;
	const struct obj *all[SETS_MAX]; /* every ReplicaSet of it */
	size_t n;
	const struct obj *newest; /* of the present template; NULL: to be made */
	char hash[16];
	char name[280];
};

static int64_t at_int(const struct obj *o, const char *pointer)
{
	return o ? json_i64(json_at(obj_json(o), pointer)) : 0;
}

/* Whether a set is of the template, but for the label it got: whoever takes a Deployment back to it (kubectl rollout undo) need
 * not write it in the same order, which the hash would see. */
static bool is_of_template(const struct obj *rs, const struct json *template)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(json_at(obj_json(rs), "/spec/template"));

	json_remove(json_at(json_root(d), "/metadata/labels"), LABEL_HASH);
	return json_eq(json_root(d), template);
}

static void sets_collect(const struct look *l, const struct obj *deployment, struct sets *s)
{
	struct cache *all = look_cache(l, &pk_replicaset);
	const struct json *template = json_at(obj_json(deployment), "/spec/template");
	const struct obj *named = NULL; /* as a set of the template would be, were there none */

	s->deployment = deployment;
	template_hash(template, at_int(deployment, "/status/collisionCount"), s->hash);
	snprintf(s->name, sizeof(s->name), "%s-%s", obj_name(deployment), s->hash);
	for (size_t i = 0; i < cache_index_len(all, 0, obj_uid(deployment)) && s->n < SETS_MAX; i++) {
		const struct obj *rs = cache_index_at(all, 0, obj_uid(deployment), i);

		if (!str_eq(owner_uid(rs, "Deployment"), obj_uid(deployment)) || obj_deleting(rs))
			continue;
		s->all[s->n++] = rs;
		if (str_eq(meta_label(obj_json(rs), LABEL_HASH), s->hash))
			named = rs;
		if (is_of_template(rs, template) &&
			(!s->newest || strcmp(meta_str(obj_json(rs), "creationTimestamp"),
					       meta_str(obj_json(s->newest), "creationTimestamp")) < 0))
			s->newest = rs;
	}
	if (!s->newest)
		s->newest = named;
}

static int64_t revision_of(const struct obj *o)
{
	const char *text = meta_annotation(obj_json(o), ANN_REVISION);
	int64_t n = 0;

	return text && str_to_i64(text, 0, INT64_MAX, &n) ? n : 0;
}

static int64_t next_revision(const struct sets *s)
{
	int64_t max = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->all[i] != s->newest && revision_of(s->all[i]) > max)
			max = revision_of(s->all[i]);
	if (s->newest && revision_of(s->newest) > max)
		return revision_of(s->newest);
	return max + 1;
}

/* What was said of the change goes along with the set it led to (kubectl rollout history shows it). */
static void copy_annotations(const struct sets *s, struct json_doc *d, struct json *rs)
{
	static const char *const own[] = { "kubectl.kubernetes.io/last-applied-configuration", ANN_REVISION,
		ANN_HISTORY, "deprecated.deployment.rollback.to", NULL };

	JSON_EACH (it, json_at(obj_json(s->deployment), "/metadata/annotations"))
		if (!str_in(it.key, own))
			meta_set_annotation(d, rs, it.key, json_str_or(it.val, ""));
}

static struct json_doc *newest_from(const struct sets *s, int64_t replicas)
{
	const struct json *o = obj_json(s->deployment);
	struct json_doc *d = json_doc_new();
	struct json *rs = json_new_obj(d), *spec;
	char version[KIND_API_VERSION_MAX];

	json_set_root(d, rs);
	json_set_str(d, rs, "apiVersion", "apps/v1");
	json_set_str(d, rs, "kind", "ReplicaSet");
	json_set_str(d, json_need_obj(d, rs, "metadata"), "name", s->name);
	json_set_str(d, json_need_obj(d, rs, "metadata"), "namespace", obj_namespace(s->deployment));
	if (json_at(o, "/spec/template/metadata/labels"))
		json_set_copy(
			d, json_get(rs, "metadata"), "labels", json_at(o, "/spec/template/metadata/labels"));
	meta_set_label(d, rs, LABEL_HASH, s->hash);
	copy_annotations(s, d, rs);
	json_set_strf(d, json_need_obj(d, json_get(rs, "metadata"), "annotations"), ANN_REVISION, "%lld",
		(long long)next_revision(s));
	meta_add_owner(d, rs, kind_api_version(&pk_deployment, version), "Deployment",
		obj_name(s->deployment), obj_uid(s->deployment), true);
	spec = json_need_obj(d, rs, "spec");
	json_set_i64(d, spec, "replicas", replicas);
	if (json_at(o, "/spec/minReadySeconds"))
		json_set_copy(d, spec, "minReadySeconds", json_at(o, "/spec/minReadySeconds"));
	json_set_copy(d, spec, "selector", json_at(o, "/spec/selector"));
	json_set_str(d, json_need_obj(d, json_get(spec, "selector"), "matchLabels"), LABEL_HASH, s->hash);
	json_set_copy(d, spec, "template", json_at(o, "/spec/template"));
	json_set_str(d, json_need_obj(d, json_need_obj(d, json_get(spec, "template"), "metadata"), "labels"),
		LABEL_HASH, s->hash);
	return d;
}

static void plan_scale(struct plan *out, const struct obj *rs, int64_t replicas)
{
	struct json_doc *d = obj_draft(rs);

	json_put(d, json_root(d), "/spec/replicas", json_new_i64(d, replicas));
	plan_change(out, &pk_replicaset, rs, NULL, d);
}

/* The newest, which may have been so before: the revisions it had are kept. */
static void plan_newest(const struct sets *s, struct plan *out, int64_t replicas)
{
	struct json_doc *d = obj_draft(s->newest);
	int64_t revision = next_revision(s), was = revision_of(s->newest);
	const char *history = meta_annotation(obj_json(s->newest), ANN_HISTORY);
	CLEANUP(mem_freep) char *now = str_printf("%lld", (long long)revision);
	CLEANUP(mem_freep)
	char *before = str_printf("%s%s%lld", history ? history : "", history ? "," : "", (long long)was);

	json_put(d, json_root(d), "/spec/replicas", json_new_i64(d, replicas));
	if (was && was != revision)
		meta_set_annotation(d, json_root(d), ANN_HISTORY, before);
	if (was != revision)
		copy_annotations(s, d, json_root(d));
	meta_set_annotation(d, json_root(d), ANN_REVISION, now);
	plan_change(out, &pk_replicaset, s->newest, NULL, d);
}

/* The newest grows as far as maxSurge allows. */
static int64_t newest_size(const struct sets *s, int64_t want, int64_t surge)
{
	int64_t total = 0, have = at_int(s->newest, "/spec/replicas"), room;

	for (size_t i = 0; i < s->n; i++)
		total += at_int(s->all[i], "/spec/replicas");
	if (have >= want)
		return want;
	room = want + surge - total;
	if (room <= 0)
		return have;
	return have + room < want ? have + room : want;
}

/* Old sets shrink: ill pods first, then as many as maxUnavailable allows. */
static void shrink_old(const struct sets *s, int64_t want, int64_t unavailable, struct plan *out)
{
	int64_t total = 0, spare, available = 0;

	for (size_t i = 0; i < s->n; i++) {
		total += at_int(s->all[i], "/spec/replicas");
		available += at_int(s->all[i], "/status/availableReplicas");
	}
	/* pods that may go without falling below want - unavailable; those of the newest that are not yet there do not count */
	spare = total - (want - unavailable) -
		(at_int(s->newest, "/spec/replicas") - at_int(s->newest, "/status/availableReplicas"));
	for (size_t i = 0; i < s->n && spare > 0; i++) {
		int64_t have = at_int(s->all[i], "/spec/replicas"),
			ill = have - at_int(s->all[i], "/status/availableReplicas");
		int64_t cut;

		if (s->all[i] == s->newest || have == 0)
			continue;
		cut = ill > 0 ? (ill < spare ? ill : spare) : 0;
		if (available - (want - unavailable) > 0) {
			int64_t more = available - (want - unavailable);

			if (more > spare - cut)
				more = spare - cut;
			if (more > have - cut)
				more = have - cut;
			cut += more;
			available -= more;
		}
		if (cut <= 0)
			continue;
		spare -= cut;
		plan_scale(out, s->all[i], have - cut);
	}
}

static void roll(const struct sets *s, struct plan *out)
{
	const struct json *spec = json_get(obj_json(s->deployment), "spec");
	int64_t want = json_i64(json_get(spec, "replicas"));
	const struct json *rolling = json_at(spec, "/strategy/rollingUpdate");
	bool recreate = str_eq(json_at_str(spec, "/strategy/type"), "Recreate");
	int64_t surge = recreate ? 0 : int_or_percent(json_get(rolling, "maxSurge"), want, true);
	int64_t unavailable =
		recreate ? want : int_or_percent(json_get(rolling, "maxUnavailable"), want, false);
	int64_t old_pods = 0, size;

	if (surge == 0 && unavailable == 0)
		unavailable = 1;
	for (size_t i = 0; i < s->n; i++)
		if (s->all[i] != s->newest)
			old_pods += at_int(s->all[i], "/status/replicas");
	if (recreate && old_pods > 0) {
		for (size_t i = 0; i < s->n; i++)
			if (s->all[i] != s->newest && at_int(s->all[i], "/spec/replicas") > 0)
				plan_scale(out, s->all[i], 0);
		return;
	}
	size = newest_size(s, want, surge);
	if (!s->newest) {
		plan_ensure(out, &pk_replicaset, newest_from(s, size));
		return;
	}
	if (at_int(s->newest, "/spec/replicas") != size || revision_of(s->newest) != next_revision(s))
		plan_newest(s, out, size);
	shrink_old(s, want, unavailable, out);
}

/* Old, empty sets beyond the history limit go, oldest first. */
static void forget_history(const struct sets *s, struct plan *out)
{
	int64_t limit = json_i64(json_at(obj_json(s->deployment), "/spec/revisionHistoryLimit"));
	const struct obj *empty[SETS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->all[i] != s->newest && !at_int(s->all[i], "/spec/replicas") &&
			!at_int(s->all[i], "/status/replicas"))
			empty[n++] = s->all[i];
	while (n && (int64_t)n > limit) {
		size_t oldest = 0;

		for (size_t i = 1; i < n; i++)
			if (revision_of(empty[i]) < revision_of(empty[oldest]))
				oldest = i;
		plan_delete(out, &pk_replicaset, obj_key(empty[oldest]), obj_uid(empty[oldest]), -1);
		empty[oldest] = empty[--n];
	}
}

/* Not all there yet. The clock runs from the last sign of life: a new set, or a changed count. */
static void report_progress(const struct sets *s, struct json_doc *d, struct json *status, int64_t updated,
	int64_t available, int64_t now, struct plan *out)
{
	const struct json *was = cond_find(json_get(status, "conditions"), "Progressing");
	int64_t deadline = at_int(s->deployment, "/spec/progressDeadlineSeconds"), since = now;
	CLEANUP(mem_freep) char *text = str_printf("ReplicaSet \"%s\" is progressing.", s->name);
	CLEANUP(mem_freep) char *late = str_printf("ReplicaSet \"%s\" has timed out progressing.", s->name);
	char buf[TIME_TEXT_MAX];

	if (str_eq(json_get_str(was, "reason"), "ReplicaSetUpdated"))
		time_parse(json_str_or(json_get(was, "lastUpdateTime"), ""), &since);
	if (json_at(obj_json(s->deployment), "/status/updatedReplicas") &&
		(updated != at_int(s->deployment, "/status/updatedReplicas") ||
			available != at_int(s->deployment, "/status/availableReplicas")))
		since = now;
	if (str_eq(json_get_str(was, "reason"), "ProgressDeadlineExceeded") ||
		(deadline > 0 && now >= since + deadline * 1000)) {
		cond_set(d, status, "Progressing", "False", "ProgressDeadlineExceeded", late, now);
		return;
	}
	cond_set(d, status, "Progressing", "True", "ReplicaSetUpdated", text, now);
	json_set_str(d, (struct json *)cond_find(json_get(status, "conditions"), "Progressing"),
		"lastUpdateTime", time_rfc3339(since, buf));
	if (deadline > 0)
		plan_again_at(out, since + deadline * 1000);
}

static void report(const struct sets *s, int64_t now, struct plan *out)
{
	struct json_doc *d = obj_draft(s->deployment);
	struct json *status = json_need_obj(d, json_root(d), "status");
	int64_t want = at_int(s->deployment, "/spec/replicas"), total = 0, ready = 0, available = 0, min;
	const struct json *rolling = json_at(json_root(d), "/spec/strategy/rollingUpdate/maxUnavailable");
	int64_t updated = at_int(s->newest, "/status/replicas");

	for (size_t i = 0; i < s->n; i++) {
		total += at_int(s->all[i], "/status/replicas");
		ready += at_int(s->all[i], "/status/readyReplicas");
		available += at_int(s->all[i], "/status/availableReplicas");
	}
	json_set_i64(d, status, "observedGeneration", obj_generation(s->deployment));
	json_set_i64(d, status, "replicas", total);
	json_set_i64(d, status, "updatedReplicas", updated);
	json_set_i64(d, status, "readyReplicas", ready);
	json_set_i64(d, status, "availableReplicas", available);
	json_set_i64(d, status, "unavailableReplicas", want > available ? want - available : 0);
	min = want - int_or_percent(rolling, want, false);
	if (available >= min)
		cond_set(d, status, "Available", "True", "MinimumReplicasAvailable",
			"Deployment has minimum availability.", now);
	else
		cond_set(d, status, "Available", "False", "MinimumReplicasUnavailable",
			"Deployment does not have minimum availability.", now);
	if (updated == want && total == want && available == want) {
		CLEANUP(mem_freep)
		char *text = str_printf("ReplicaSet \"%s\" has successfully progressed.", s->name);

		cond_set(d, status, "Progressing", "True", "NewReplicaSetAvailable", text, now);
	} else {
		report_progress(s, d, status, updated, available, now, out);
	}
	plan_change(out, &pk_deployment, s->deployment, "status", d);
}

static void deployment_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct obj *deployment = look_get(l, &pk_deployment, key);
	struct sets s = { 0 };

	if (!deployment)
		return;
	sets_collect(l, deployment, &s);
	if (!obj_deleting(deployment)) {
		if (!json_bool(json_at(obj_json(deployment), "/spec/paused")))
			roll(&s, out);
		forget_history(&s, out);
		if (s.newest && revision_of(deployment) != next_revision(&s)) {
			struct json_doc *d = obj_draft(deployment);
			CLEANUP(mem_freep) char *text = str_printf("%lld", (long long)next_revision(&s));

			meta_set_annotation(d, json_root(d), ANN_REVISION, text);
			plan_change(out, &pk_deployment, deployment, NULL, d);
		}
	}
	report(&s, look_now(l), out);
}

const struct controller deployment_controller = {
	.name = "deployment",
	.decide = deployment_decide,
	.watches = {
		{ .kind = &pk_deployment, .keys = key_self },
		{ .kind = &pk_replicaset, .keys = key_owner_deployment, .index = index_by_owner_uid },
	},
};

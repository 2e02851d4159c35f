/* SPDX-License-Identifier: Apache-2.0 */
/* Network cards that come and go while an instance runs: which networks its pod asks for, when a card is gone for good, and when
 * only a migration can help. rollout.md 3.6, 6.85, 6.87, 6.88. */
#include "api/meta.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/nics.h"
#include "kubevirt/vmi/vmi_impl.h"

#define PENDING "AutoMigrationPending"
#define DUE "AutoMigrationDueToLiveUpdate"
#define PENDING_MS 15000 /* so long somebody may take who attaches networks to running pods */

/* ---- the pod's annotation ---- */
void vmi_plan_networks(const struct vmi_turn *t, struct plan *out)
{
	const struct obj *pod = t->s->pod;
	CLEANUP(mem_freep) char *want = NULL;
	struct json_doc *d;

	if (!pod || obj_deleting(pod) || pod_ended(pod) || t->phase > VMI_RUNNING)
		return;
	want = nic_networks_wanted(t->vmi, obj_json(pod));
	if (str_eq(want, meta_annotation(obj_json(pod), ANN_NETWORKS)))
		return;
	/* One of the user's own, on an instance without such networks, is left alone */
	if (!want && meta_annotation(t->vmi, ANN_NETWORKS))
		return;
	d = obj_draft(pod);
	meta_set_annotation(d, json_root(d), ANN_NETWORKS, want);
	plan_change(out, &kind_pod, pod, NULL, d);
}

/* ---- absent, and gone: out of the instance ---- */
static bool has_left(const void *turn, const char *name)
{
	const struct vmi_turn *t = turn;

	return !nic_named(json_get(t->status, "interfaces"), name);
}

/* ---- is a migration needed? ---- */
enum need { NEED_NONE, NEED_LATER, NEED_NOW };

/* Of one network: *why and *has, the definition the pod is attached by (NULL: none), are the caller's. */
static enum need need_of(const struct vmi_turn *t, const struct json *network, const struct json_doc *asked,
	const struct json_doc *there, char **why, char **has)
{
	const char *name = json_str_or(json_get(network, "name"), "");
	const struct json *iface = nic_interface(json_get(t->vmi, "spec"), name);
	const struct json *entry = nic_pod_entry(asked, name);
	CLEANUP(mem_freep) char *wants = NULL;

	if (!iface || nic_absent(iface) || !nic_is_secondary(network))
		return NEED_NONE;
	wants = nic_definition(network, obj_namespace(t->s->vmi));
	if (entry)
		*has = str_printf("%s/%s",
			json_str_or(json_get(entry, "namespace"), obj_namespace(t->s->vmi)),
			json_str_or(json_get(entry, "name"), ""));
	if (*has && !str_eq(*has, wants)) {
		*why = str_printf("network %s: the pod is attached to %s, not to %s", name, *has, wants);
		return NEED_NOW;
	}
	if (nic_pod_entry(there, name) || !nic_can_plug(iface, network))
		return NEED_NONE;
	*why = str_printf("network %s: the running pod is not attached to %s", name, wants);
	free(TAKE(*has)); /* asked for, not there */
	return json_is_obj(json_get(iface, "sriov")) ? NEED_NOW : NEED_LATER;
}

/* What the whole of them needs, and the lists for ANN_NICS_WAIT: of all that need something, and of those that only a migration
 * can help. */
struct needs {
	enum need most;
	char *why;
	struct str all, now;
};

static void needs_done(struct needs *n)
{
	free(n->why);
	str_done(&n->all);
	str_done(&n->now);
}

static void list_need(struct str *list, const char *name, const char *has)
{
	str_addf(list, "%s%s=%s", list->len ? " " : "", name, has ? has : "");
}

static void look_for_needs(const struct vmi_turn *t, struct needs *ret)
{
	const struct json *pod = obj_json(t->s->pod);
	CLEANUP(json_doc_freep) struct json_doc *asked = nic_annotation(pod, ANN_NETWORKS);
	CLEANUP(json_doc_freep) struct json_doc *there = nic_annotation(pod, ANN_NETWORK_STATUS);

	JSON_EACH (it, json_at(t->vmi, "/spec/networks")) {
		const char *name = json_str_or(json_get(it.val, "name"), "");
		CLEANUP(mem_freep) char *text = NULL;
		CLEANUP(mem_freep) char *has = NULL;
		enum need n = need_of(t, it.val, asked, there, &text, &has);

		if (n > ret->most) {
			ret->most = n;
			free(ret->why);
			ret->why = TAKE(text);
		}
		if (n != NEED_NONE)
			list_need(&ret->all, name, has);
		if (n == NEED_NOW)
			list_need(&ret->now, name, has);
	}
}

/* True: a migration is needed. */
static bool set_need(struct vmi_turn *t, enum need need, const char *why, struct plan *out)
{
	const struct json *c = vmi_cond(t->vmi, COND_MIGRATION_REQUIRED);
	const char *since_text = json_get_str(c, "lastTransitionTime");
	int64_t since = t->s->now;

	if (need == NEED_LATER && c) {
		/* True stays so until the need is gone: someone may be about to migrate it */
		if (str_eq(json_get_str(c, "status"), "True") ||
			(since_text && time_parse(since_text, &since) && t->s->now >= since + PENDING_MS))
			need = NEED_NOW;
	}
	if (need == NEED_NOW) {
		CLEANUP(mem_freep)
		char *text = str_printf("%s: a live migration is needed", why);
		cond_set(t->d, t->status, COND_MIGRATION_REQUIRED, "True", DUE, text, t->s->now);
		return true;
	}
	cond_set(t->d, t->status, COND_MIGRATION_REQUIRED, "False", PENDING, why, t->s->now);
	plan_again_at(out, since + PENDING_MS);
	return false;
}

void vmi_nics(struct vmi_turn *t, struct plan *out)
{
	const char *reason = json_get_str(vmi_cond(t->vmi, COND_MIGRATION_REQUIRED), "reason");
	bool ours = str_eq(reason, PENDING) || str_eq(reason, DUE);
	CLEANUP(needs_done) struct needs n = { 0 };
	const struct str *waiting = &n.now;

	if (t->phase == VMI_RUNNING)
		nic_drop_absent(json_get(t->vmi, "spec"), has_left, t);
	if (t->phase == VMI_RUNNING && t->s->pod && !pod_ended(t->s->pod) && !obj_deleting(t->s->vmi))
		look_for_needs(t, &n);
	if (reason && !ours)
		; /* it is to move for another reason already */
	else if (n.most != NEED_NONE && set_need(t, n.most, n.why, out))
		waiting = &n.all;
	else if (n.most == NEED_NONE && ours)
		cond_remove(t->d, t->status, COND_MIGRATION_REQUIRED);
	meta_set_annotation(t->d, t->vmi, ANN_NICS_WAIT, waiting->len ? str_cstr(waiting) : NULL);
}

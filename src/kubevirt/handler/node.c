/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/handler/node.h"

#include <ctype.h>
#include <string.h>

#include "api/meta.h"
#include "api/semantics.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"

void node_machines(const char *help, struct strv *ret)
{
	static const char *const families[] = { "pc", "q35", "virt", NULL };
	CLEANUP(mem_freep) char *copy = mem_strdup(help);
	char *rest = copy;

	while (rest) {
		char *line = str_next(&rest, '\n');
		char *space = strchr(line, ' ');

		if (!space)
			continue;
		*space = '\0';
		if ((str_in(line, families) || str_starts(line, "pc-q35-") ||
			    str_starts(line, "pc-i440fx-") || str_starts(line, "virt-")) &&
			name_is_dns1123_subdomain(line) && !strv_has(ret, line))
			strv_add(ret, line);
	}
	strv_sort(ret);
}

static void put_machines(const struct node_view *v, struct json_doc *d, struct json *node)
{
	static const char prefix[] = LABEL_MACHINE_TYPE_PREFIX;
	struct json *labels = json_need_obj(d, json_need_obj(d, node, "metadata"), "labels");

	if (str_eq(meta_annotation(node, ANN_NODE_SKIP_LABELS), "true"))
		return;
	for (struct json_iter it = json_iter(labels); json_next(&it);)
		if (str_starts(it.key, prefix) && !strv_has(&v->facts->machines, it.key + strlen(prefix)))
			json_iter_remove(&it);
	for (size_t i = 0; i < v->facts->machines.len; i++) {
		CLEANUP(mem_freep) char *key = str_printf("%s%s", prefix, v->facts->machines.items[i]);

		meta_set_label(d, node, key, "true");
	}
}

static void put_emulated(const struct node_view *v, struct json_doc *d, struct json *node)
{
	static const char prefix[] = LABEL_EMULATES_PREFIX;
	struct json *labels = json_need_obj(d, json_need_obj(d, node, "metadata"), "labels");

	for (struct json_iter it = json_iter(labels); json_next(&it);)
		if (str_starts(it.key, prefix) && !strv_has(&v->facts->emulates, it.key + strlen(prefix)))
			json_iter_remove(&it);
	for (size_t i = 0; i < v->facts->emulates.len; i++) {
		CLEANUP(mem_freep) char *key = str_printf("%s%s", prefix, v->facts->emulates.items[i]);

		meta_set_label(d, node, key, "true");
	}
}

/* Is it time for another sign of life? */
static bool beat_due(const struct node_view *v, int64_t *ret_next)
{
	const char *text = meta_annotation(obj_json(v->node), ANN_HEARTBEAT);
	int64_t last;

	*ret_next = v->now + NODE_BEAT_MS + (int64_t)(v->random % NODE_BEAT_SPREAD_MS);
	if (!text || !time_parse(text, &last) || last > v->now + NODE_BEAT_MS)
		return true;
	if (v->now - last >= NODE_BEAT_MS)
		return true;
	*ret_next = last + NODE_BEAT_MS + (int64_t)(v->random % NODE_BEAT_SPREAD_MS);
	return false;
}

static void plan_main(const struct node_view *v, struct plan *out)
{
	const struct node_facts *f = v->facts;
	struct json_doc *d = obj_draft(v->node);
	struct json *node = json_root(d);
	char text[TIME_TEXT_MAX];
	int64_t next = v->now;
	bool changed;

	changed = meta_set_label(d, node, LABEL_SCHEDULABLE, f->stopping ? "false" : "true");
	meta_set_label(d, node, LABEL_CPU_MANAGER, "false");
	meta_set_label(d, node, LABEL_NODE_CPU_MANAGER_OLD, "false");
	meta_set_annotation(d, node, ANN_NODE_ACCELERATOR, f->kvm.verdict == ACCEL_USABLE ? "kvm" : "tcg");
	put_emulated(v, d, node);
	put_machines(v, d, node);
	if (!f->stopping && (beat_due(v, &next) || changed))
		meta_set_annotation(d, node, ANN_HEARTBEAT, time_rfc3339(v->now, text));
	plan_change(out, &kind_node, v->node, NULL, d);
	if (!f->stopping)
		plan_again_at(out, next);
}

/* The device, as an extended resource of the node: only where guests really run with it. */
static void put_device(struct json_doc *d, struct json *status, const char *list, bool usable)
{
	if (usable)
		json_set_str(d, json_need_obj(d, status, list), RESOURCE_KVM, NODE_KVM_COUNT);
	else
		json_remove(json_get(status, list), RESOURCE_KVM);
}

static void put_condition(const struct node_view *v, struct json_doc *d, struct json *status)
{
	const struct accel_result *r = &v->facts->kvm;
	const struct json *old = cond_find(json_get(status, "conditions"), NODE_COND_KVM);
	const char *truth = r->verdict == ACCEL_USABLE ? "True" : "False";
	CLEANUP(mem_freep) char *reason = str_printf("Kvm%s", accel_name(r->verdict));

	reason[3] = (char)toupper((unsigned char)reason[3]);
	/* Each probe measures other numbers: a restart alone is no news. */
	if (!str_eq(json_get_str(old, "status"), truth) || !str_eq(json_get_str(old, "reason"), reason))
		cond_set(d, status, NODE_COND_KVM, truth, reason, r->text, v->now);
}

static void plan_status(const struct node_view *v, struct plan *out)
{
	struct json_doc *d = obj_draft(v->node);
	struct json *status = json_need_obj(d, json_root(d), "status");
	bool usable = v->facts->kvm.verdict == ACCEL_USABLE;

	put_device(d, status, "capacity", usable);
	put_device(d, status, "allocatable", usable);
	put_condition(v, d, status);
	plan_change(out, &kind_node, v->node, "status", d);
}

void node_decide(const struct node_view *v, struct plan *out)
{
	if (!v->node || !v->facts->known)
		return;
	/* What can be had there first, then that it can be used. */
	plan_status(v, out);
	plan_main(v, out);
}

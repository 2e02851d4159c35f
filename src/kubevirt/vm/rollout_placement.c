/* SPDX-License-Identifier: Apache-2.0 */
/* nodeSelector, affinity, tolerations: copied to the instance; its pod stays where it is, the next one obeys. rollout.md 3.4. */
#include "base/mem.h"
#include "kubevirt/vm/vm_impl.h"

#define MEANING "placement updated in template spec"

static const struct {
	const char *field, *busy_reason;
} fields[] = {
	{ "affinity", "AffinityChangeError" },
	{ "nodeSelector", "AffinityChangeError" },
	{ "tolerations", "TolerationsChangeError" },
};

struct placement_walk {
	struct edits *r;
	bool live, found;
};

static void on_difference(
	void *arg, const char *dotted, const char *shown, const struct json *a, const struct json *b)
{
	struct placement_walk *w = arg;
	CLEANUP(mem_freep) char *path = str_printf("spec.template.spec.%s", shown);
	struct change *c = rollout_add(w->r, path, a, b, LIVE_PLACEMENT);

	w->found = true;
	c->staged = !w->live;
	c->why = c->staged ? MEANING : NULL;
}

static void one(const struct vm_seen *s, struct edits *r, const char *field, const char *busy_reason)
{
	const struct json *vmi = obj_json(s->vmi);
	const struct json *is = json_get(json_get(s->template, "spec"), field);
	struct placement_walk w = { .r = r, .live = rollout_live(s) };

	spec_diff(field, json_get(json_get(vmi, "spec"), field), is, on_difference, &w);
	if (!w.found || !w.live)
		return;
	if (vmi_migrating(vmi)) {
		rollout_busy(r, busy_reason, "a change of placement waits for the end of a migration");
		return;
	}
	struct json *spec = json_get(rollout_vmi(s, r), "spec");
	if (json_is_null(is))
		json_remove(spec, field);
	else
		json_set_copy(r->vmi, spec, field, is);
}

void rollout_placement(const struct vm_seen *s, struct edits *r)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		one(s, r, fields[i].field, fields[i].busy_reason);
}

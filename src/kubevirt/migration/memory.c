/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/migration/memory.h"

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"
#include "kubevirt/vmi/render.h"

#define HUGEPAGES "hugepages-"
#define AT_OVERHEAD "/status/migrationState/targetMemoryOverhead"

static int64_t positive(int64_t n)
{
	return n > 0 ? n : 0;
}

void memory_handoff(struct json_doc *d, struct json *vmi, const struct obj *target_pod)
{
	const struct json *o = obj_json(target_pod);
	const struct json *requests =
		json_at(compute_in(json_at(o, "/spec/containers"), NULL), "/resources/requests");
	const char *text = meta_annotation(o, ANN_MEMORY_OVERHEAD);
	int64_t sum = positive(quantity_bytes(json_get(requests, "memory"))), overhead;
	char buf[QUANTITY_TEXT_MAX];

	JSON_EACH (it, requests)
		if (str_starts(it.key, HUGEPAGES))
			sum += positive(quantity_bytes(it.val));
	meta_set_label(d, vmi, LABEL_POD_MEMORY_REQUESTS, quantity_bytes_text(sum, buf));
	if (text && str_to_i64(text, 0, INT64_MAX, &overhead))
		json_put_str(d, vmi, AT_OVERHEAD, quantity_bytes_text(overhead, buf));
}

char *memory_handoff_short(const struct json *vmi, const struct kv_config *c)
{
	const char *label = meta_label(vmi, LABEL_POD_MEMORY_REQUESTS);
	char a[QUANTITY_TEXT_MAX], b[QUANTITY_TEXT_MAX];
	struct pod_resources r;
	struct quantity q;
	int64_t has, need;

	if (!label)
		return mem_strdup("the new pod did not say how much memory it has");
	if (quantity_parse(label, &q, NULL) < 0)
		return str_printf("the new pod says that it has \"%.64s\" of memory", label);
	has = quantity_ceil(&q);
	pod_resources_of(vmi, c, positive(quantity_bytes(json_at(vmi, AT_OVERHEAD))), &r);
	need = r.memory_request + positive(r.hugepages);
	if (has >= need)
		return NULL;
	return str_printf("the new pod has %s, %s are needed", quantity_bytes_text(has, a),
		quantity_bytes_text(need, b));
}

void memory_arrived(struct json_doc *d, struct json *vmi, const struct obj *about, const char *short_of,
	const char *refused, int64_t now, struct plan *out)
{
	struct json *status = json_need_obj(d, vmi, "status");
	char text[QUANTITY_TEXT_MAX];

	meta_set_label(d, vmi, LABEL_POD_MEMORY_REQUESTS, NULL);
	meta_set_label(d, vmi, LABEL_MEMORY_OVERHEAD_RATIO, NULL);
	if (!vmi_cond(vmi, COND_HOT_MEMORY))
		return;
	if (refused && !short_of)
		cond_set(d, status, COND_HOT_MEMORY, "False", HOT_MEMORY_FAILED, refused, now);
	else
		cond_remove(d, status, COND_HOT_MEMORY);
	if (short_of || refused)
		plan_event(out, about, true, "MemoryHotplugFailed", "failed to update guest memory: %s",
			short_of ? short_of : refused);
	else
		json_set_str(d, json_need_obj(d, status, "memory"), "guestRequested",
			quantity_bytes_text(vmi_guest_wanted(vmi), text));
}

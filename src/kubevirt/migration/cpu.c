/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/migration/cpu.h"

#include "api/meta.h"
#include "api/quantity.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/render.h"

void cpu_handoff(struct json_doc *d, struct json *vmi, const struct obj *target_pod)
{
	const struct json *c = compute_in(json_at(obj_json(target_pod), "/spec/containers"), NULL);
	int64_t milli = quantity_millis(json_at(c, "/resources/limits/cpu"));
	char text[QUANTITY_TEXT_MAX];

	if (milli > 0 && json_bool(json_at(vmi, "/spec/domain/cpu/dedicatedCpuPlacement")))
		meta_set_label(d, vmi, LABEL_POD_CPU_LIMITS, quantity_milli_text(milli, text));
}

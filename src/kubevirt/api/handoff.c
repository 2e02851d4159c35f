/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/handoff.h"

#include "api/meta.h"
#include "base/str.h"

#include <stdio.h>

int hot_cpu_failures(const struct json *vmi, int64_t sockets)
{
	const char *text = meta_annotation(vmi, ANN_HOT_CPU_FAILURES);
	long long target;
	int n;

	if (!text || sscanf(text, "%lld %d", &target, &n) != 2 || target != sockets || n < 0)
		return 0;
	return n > HOT_CPU_MIGRATIONS ? HOT_CPU_MIGRATIONS : n;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Crash-loop back-off: instances that end without ever having run are started again later and later. kubevirt-api.md 3. */
#include "kubevirt/vm/vm_impl.h"

#include "base/time.h"

#define BACKOFF_STEP_MS 10000
#define BACKOFF_MAX_MS 300000
#define FAILURES_MAX 1000000 /* counted no further */

int64_t vm_backoff_delay_ms(int64_t n, uint64_t random)
{
	int64_t delay = n >= 6 ? BACKOFF_MAX_MS : BACKOFF_STEP_MS * n * n;

	if (delay > 0)
		delay += (int64_t)(random % (uint64_t)(delay / 2 + 1));
	return delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS;
}

int64_t vm_backoff_until(const struct json *status)
{
	const char *at = json_at_str(status, "/startFailure/retryAfterTimestamp");
	int64_t ms;

	return at && time_parse(at, &ms) ? ms : 0;
}

void vm_backoff_count(const struct vm_seen *s, struct vm_turn *t)
{
	const struct json *vmi = s->vmi ? obj_json(s->vmi) : NULL;
	struct json *failure;
	int64_t n;
	char at[TIME_TEXT_MAX];

	if (t->strategy != RUN_ALWAYS && t->strategy != RUN_RERUN_ON_FAILURE && t->strategy != RUN_ONCE) {
		json_remove(t->status, "startFailure");
		return;
	}
	if (vmi_was(vmi, VMI_RUNNING)) {
		json_remove(t->status, "startFailure");
		return;
	}
	if (!vmi_is_final(vmi) ||
		str_eq(json_at_str(t->status, "/startFailure/lastFailedVMIUID"), obj_uid(s->vmi)))
		return;
	n = json_i64(json_at(t->status, "/startFailure/consecutiveFailCount"));
	n = n < 0 ? 1 : n < FAILURES_MAX ? n + 1 : n;
	failure = json_need_obj(t->doc, t->status, "startFailure");
	json_set_i64(t->doc, failure, "consecutiveFailCount", n);
	json_set_str(t->doc, failure, "lastFailedVMIUID", obj_uid(s->vmi));
	/* Whole seconds on the wire: rounded up, so that it is never too early. */
	json_set_str(t->doc, failure, "retryAfterTimestamp",
		time_rfc3339(s->now + vm_backoff_delay_ms(n, s->random) + 999, at));
}

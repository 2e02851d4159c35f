/* SPDX-License-Identifier: Apache-2.0 */
/* How a live change ends is told on the VM, once. rollout.md 5.2, 5.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/vm/vm_impl.h"

/* told: conditions of the VM; is: conditions of its running instance; current: what the guest has of 2Gi and two sockets. */
static void check(int line, const char *told, const char *is, const char *current, const char *want)
{
	CLEANUP(mem_freep)
	char *vm = str_printf("{'metadata':{'namespace':'n','name':'v'},'status':{'conditions':[%s]}}", told);
	CLEANUP(mem_freep)
	char *vmi =
		str_printf("{'metadata':{'namespace':'n','name':'v'},'spec':{'domain':{'cpu':{'sockets':2},"
			   "'memory':{'guest':'2Gi'}}},'status':{'phase':'Running','conditions':[%s],%s}}",
			is, current);
	struct vm_seen s = { .vm = obj_from_doc(json_lit(vm)), .vmi = obj_from_doc(json_lit(vmi)) };
	CLEANUP(str_done) struct str text = { 0 };
	struct plan *plan = plan_new();

	vm_outcome_events(&s, plan);
	for (size_t i = 0; i < plan_len(plan); i++)
		str_addf(&text, "%s%s: %s|", plan_at(plan, i)->warning ? "!" : "", plan_at(plan, i)->reason,
			plan_at(plan, i)->message);
	if (!str_eq(str_cstr(&text), want))
		fail_msg("line %d: \"%s\", wanted \"%s\"", line, str_cstr(&text), want);
	plan_free(plan);
	obj_unref((struct obj *)s.vm);
	obj_unref((struct obj *)s.vmi);
}
#define TELLS(told, is, current, want) check(__LINE__, told, is, current, want)
#define COND(type, status) "{'type':'" type "','status':'" status "','message':'why'}"
#define HAS(memory, sockets) \
	"'memory':{'guestCurrent':'" memory "'},'currentCPUTopology':{'sockets':" sockets "}"

static void an_end_is_told_once(void **state)
{
	TELLS("", "", HAS("2Gi", "2"), "");
	TELLS("", COND("HotMemoryChange", "True"), HAS("1Gi", "2"), "");
	TELLS(COND("HotMemoryChange", "True"), COND("HotMemoryChange", "True"), HAS("1Gi", "2"), "");
	TELLS(COND("HotMemoryChange", "True"), "", HAS("2Gi", "2"),
		"MemoryUpdated: the guest has 2Gi of memory now|");
	TELLS(COND("HotVCPUChange", "True"), "", HAS("2Gi", "2"), "CPUUpdated: the guest has 2 CPUs now|");
	TELLS(COND("HotVCPUChange", "True") "," COND("HotMemoryChange", "True"), "", HAS("2Gi", "2"),
		"CPUUpdated: the guest has 2 CPUs now|MemoryUpdated: the guest has 2Gi of memory now|");
	/* gone without having been reached: called off */
	TELLS(COND("HotMemoryChange", "True"), "", HAS("1Gi", "2"), "");
	TELLS(COND("HotVCPUChange", "True"), "", HAS("2Gi", "1"), "");
}

static void a_failure_is_told_once(void **state)
{
	TELLS(COND("HotMemoryChange", "True"), COND("HotMemoryChange", "False"), HAS("1Gi", "2"),
		"!MemoryUpdateFailed: failed to update guest memory: why|");
	TELLS("", COND("HotVCPUChange", "False"), HAS("1Gi", "2"),
		"!CPUUpdateFailed: failed to change vCPUs: why|");
	TELLS(COND("HotMemoryChange", "False"), COND("HotMemoryChange", "False"), HAS("1Gi", "2"), "");
}

static void waiting_is_told_when_it_begins(void **state)
{
	static const char *const told[] = { "", "{'type':'Failure','status':'True','reason':'FailedCreate'}",
		"{'type':'Failure','status':'True','reason':'HotPlugCPUError'}" };
	const struct edits r = { .busy_reason = "HotPlugCPUError", .busy_message = "waits" };

	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		CLEANUP(mem_freep)
		char *vm = str_printf("{'metadata':{'name':'v'},'status':{'conditions':[%s]}}", told[i]);
		struct vm_seen s = { .vm = obj_from_doc(json_lit(vm)) };
		struct plan *plan = plan_new();

		vm_busy_event(&s, &r, plan);
		vm_busy_event(&s, &(struct edits){ 0 }, plan);
		assert_int_equal(plan_len(plan), i < 2);
		if (i < 2)
			assert_string_equal(plan_at(plan, 0)->reason, "HotPlugCPUError");
		plan_free(plan);
		obj_unref((struct obj *)s.vm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_told_once),
		cmocka_unit_test(a_failure_is_told_once),
		cmocka_unit_test(waiting_is_told_when_it_begins),
	};

	return cmocka_run_group_tests_name("vm_events", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* That a live change fails is told on the VM, once. rollout.md 5.2, 5.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/vm/vm_impl.h"

/* told: conditions of the VM; is: conditions of its running instance. */
static void check(int line, const char *told, const char *is, const char *want)
{
	CLEANUP(mem_freep)
	char *vm = str_printf("{'metadata':{'namespace':'n','name':'v'},'status':{'conditions':[%s]}}", told);
	CLEANUP(mem_freep)
	char *vmi = str_printf(
		"{'metadata':{'namespace':'n','name':'v'},'status':{'phase':'Running','conditions':[%s]}}",
		is);
	struct vm_seen s = { .vm = obj_from_doc(json_lit(vm)), .vmi = obj_from_doc(json_lit(vmi)) };
	CLEANUP(str_done) struct str text = { 0 };
	struct plan *plan = plan_new();

	vm_failure_events(&s, plan);
	for (size_t i = 0; i < plan_len(plan); i++)
		str_addf(&text, "%s%s: %s|", plan_at(plan, i)->warning ? "!" : "", plan_at(plan, i)->reason,
			plan_at(plan, i)->message);
	if (!str_eq(str_cstr(&text), want))
		fail_msg("line %d: \"%s\", wanted \"%s\"", line, str_cstr(&text), want);
	plan_free(plan);
	obj_unref((struct obj *)s.vm);
	obj_unref((struct obj *)s.vmi);
}
#define TELLS(told, is, want) check(__LINE__, told, is, want)
#define COND(type, status) "{'type':'" type "','status':'" status "','message':'why'}"

static void a_failure_is_told_once(void **state)
{
	TELLS(COND("HotMemoryChange", "True"), COND("HotMemoryChange", "False"),
		"!MemoryUpdateFailed: failed to update guest memory: why|");
	TELLS("", COND("HotVCPUChange", "False"), "!CPUUpdateFailed: failed to change vCPUs: why|");
	TELLS(COND("HotMemoryChange", "False"), COND("HotMemoryChange", "False"), "");
	TELLS(COND("HotMemoryChange", "True"), "", ""); /* virt-handler tells that */
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
		cmocka_unit_test(a_failure_is_told_once),
		cmocka_unit_test(waiting_is_told_when_it_begins),
	};

	return cmocka_run_group_tests_name("vm_events", tests, NULL, NULL);
}

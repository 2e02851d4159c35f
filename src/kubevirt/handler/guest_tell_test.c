/* SPDX-License-Identifier: Apache-2.0 */
/* What has reached the guest is told on its VM, once. rollout.md 5.2. */
#include "kubevirt/handler/guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"

#define VM "{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachine','name':'vm','uid':'u0','controller':true}"
#define BOOTED "'memory':{'guestAtBoot':'1Gi','guestRequested':'1Gi','guestCurrent':'1Gi'}"
#define CPUS(n) "'currentCPUTopology':{'sockets':" n ",'cores':2,'threads':1}"
#define MEMORY(requested, current)                                                                \
	"'memory':{'guestAtBoot':'1Gi','guestRequested':'" requested "','guestCurrent':'" current \
	"'},'currentCPUTopology':{'sockets':1,'cores':2,'threads':1}"
#define HOT(status) ",'conditions':[{'type':'HotMemoryChange','status':'" status "'}]"
/* The whole of what a running guest's launcher says, of 1Gi and two sockets of two cores. */
#define STATE                                                                                                \
	"{'phase':'Running','memory':{'guestAtBoot':1073741824,'requested':1073741824,'current':1073741824," \
	"'max':4294967296,'resizing':false},'cpus':{'sockets':2,'cores':2,'threads':1,'changing':false}}"

static struct obj *vmi(const char *owner, const char *phase, const char *status)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachineInstance','metadata':{'name':'vm',"
		"'namespace':'default','uid':'u1','resourceVersion':'7','labels':{'kubevirt.io/"
		"nodeName':'n1'}"
		",'ownerReferences':[%s]},'spec':{'domain':{}},'status':{'phase':'%s','nodeName':'n1',%s}}",
		owner, phase, status);

	return obj_from_doc(json_lit(text));
}

static char *told(const struct plan *plan)
{
	struct str text = { 0 };

	for (size_t i = 0; i < plan_len(plan); i++)
		if (plan_at(plan, i)->type == INTENT_EVENT)
			str_addf(&text, "%s|", plan_at(plan, i)->message);
	return str_take(&text);
}

static void check(int line, const char *before, const char *after, const char *want)
{
	CLEANUP(obj_unrefp) struct obj *was = vmi(VM, "Running", before), *is = vmi(VM, "Running", after);
	const struct guest_view v = { .key = "default/vm", .vmi = was };
	const struct guest_news n = guest_news(&v, obj_json(is));
	CLEANUP(mem_freep) char *text = NULL;
	struct plan *plan = plan_new();

	guest_tell(&v, &n, plan);
	text = told(plan);
	if (!str_eq(text, want))
		fail_msg("line %d: \"%s\", wanted \"%s\"", line, text, want);
	plan_free(plan);
}
#define TELLS(before, after, want) check(__LINE__, before, after, want)

static void what_is_new_is_told(void **state)
{
	TELLS(BOOTED "," CPUS("1"), BOOTED "," CPUS("1"), "");
	TELLS(BOOTED "," CPUS("1"), BOOTED "," CPUS("2"), "the guest has 4 CPUs now|");
	TELLS(MEMORY("1Gi", "1Gi"), MEMORY("2Gi", "2Gi"), "the guest has 2Gi of memory now|");
	TELLS(MEMORY("1Gi", "1Gi"), MEMORY("1024Mi", "1Gi"), "");
	/* how it gets on, and that it stops half-way, is no news: virt-controller tells of failures */
	TELLS(MEMORY("1Gi", "1Gi") HOT("True"), MEMORY("1Gi", "1536Mi") HOT("True"), "");
	TELLS(MEMORY("1Gi", "1Gi") HOT("True"), MEMORY("1Gi", "1536Mi") HOT("False"), "");
	TELLS(MEMORY("1Gi", "1536Mi") HOT("True"), MEMORY("1Gi", "1Gi"), "the guest has 1Gi of memory now|");
	/* the way of a migration: it has moved with what was asked for, and takes it now */
	TELLS(MEMORY("2Gi", "1Gi"), MEMORY("2Gi", "2Gi"), "the guest has 2Gi of memory now|");
	TELLS(MEMORY("1Gi", "1Gi") HOT("True"), MEMORY("2Gi", "1Gi"), "");
}

/* One pass: sockets that came before anybody has written that they are to come. */
static struct plan *pass(const char *owner, const char *phase)
{
	CLEANUP(obj_unrefp) struct obj *was = vmi(owner, phase, BOOTED "," CPUS("1"));
	CLEANUP(json_doc_freep) struct json_doc *state = json_lit(STATE);
	const struct guest_facts facts = { .attached = true, .connected = true, .state = json_root(state) };
	struct plan *plan = plan_new();
	struct kv_config config;

	kv_config_from(NULL, &config);
	guest_decide(&(struct guest_view){ .key = "default/vm",
			     .uid = "u1",
			     .node = "n1",
			     .vmi = was,
			     .facts = &facts,
			     .config = &config,
			     .now = 1700000000000 },
		plan);
	return plan;
}

static void it_is_told_on_the_vm_and_behind_the_write(void **state)
{
	struct plan *plan = pass(VM, "Running");
	const struct intent *event = plan_at(plan, 1);

	assert_int_equal(plan_len(plan), 2);
	assert_int_equal(plan_at(plan, 0)->type, INTENT_PATCH);
	assert_int_equal(event->type, INTENT_EVENT);
	assert_false(event->warning);
	assert_string_equal(event->reason, "CPUUpdated");
	assert_string_equal(json_get_str(obj_json(event->about), "kind"), "VirtualMachine");
	assert_string_equal(json_get_str(obj_json(event->about), "apiVersion"), "kubevirt.io/v1");
	assert_string_equal(obj_key(event->about), "default/vm");
	assert_string_equal(obj_uid(event->about), "u0");
	plan_free(plan);
}

static void a_guest_that_starts_and_one_without_a_vm_have_no_news(void **state)
{
	struct plan *plan = pass(VM, "Scheduled");

	for (size_t i = 0; i < plan_len(plan); i++)
		assert_false(str_eq(plan_at(plan, i)->reason, "CPUUpdated"));
	plan_free(plan);
	plan = pass("{'apiVersion':'apps/v1','kind':'ReplicaSet','name':'vm','uid':'u0','controller':true}",
		"Running");
	assert_int_equal(plan_len(plan), 1);
	plan_free(plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_new_is_told),
		cmocka_unit_test(it_is_told_on_the_vm_and_behind_the_write),
		cmocka_unit_test(a_guest_that_starts_and_one_without_a_vm_have_no_news),
	};

	return cmocka_run_group_tests_name("guest_tell", tests, NULL, NULL);
}

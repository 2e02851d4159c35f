/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over one VM, from what is seen to what is planned: kubevirt-api.md 3, 3.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/obj.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/vm/vm_impl.h"

#define NOW 1700000000000
#define VM_UID "11111111-1111-4111-8111-111111111111"
#define VMI_UID "22222222-2222-4222-8222-222222222222"
#define OWNER "'ownerReferences':[{'kind':'VirtualMachine','name':'v','uid':'" VM_UID "','controller':true}]"

static const struct vm_env env = { 0 };

struct fixture {
	struct vm_seen seen;
	struct kv_config config;
	struct obj *vm, *vmi;
	struct plan *plan;
	char *text;
};

/* status: members of the VM's status; phase NULL: no instance. meta, vmi_status: further members, with a comma in front. */
static struct fixture pass(const char *strategy, const char *status, const char *phase, const char *vmi_meta,
	const char *vmi_status)
{
	struct fixture f = { 0 };
	CLEANUP(mem_freep)
	char *vm = str_printf("{'metadata':{'namespace':'n','name':'v','uid':'" VM_UID
			      "','generation':3,'resourceVersion':'7','finalizers':"
			      "['kubevirt.io/"
			      "virtualMachineControllerFinalize']},'spec':{'runStrategy':'%s','template':{'"
			      "spec':{'domain':{'devices':{}}}}},"
			      "'status':{%s}}",
		strategy, status);
	CLEANUP(mem_freep)
	char *vmi = str_printf("{'metadata':{'namespace':'n','name':'v','uid':'" VMI_UID
			       "','resourceVersion':'8'," OWNER
			       "%s},'spec':{'domain':{'devices':{}}},'status':{'phase':'%s'%s}}",
		vmi_meta, phase ? phase : "", vmi_status);

	kv_config_from(NULL, &f.config);
	f.vm = obj_from_doc(json_lit(vm));
	f.vmi = phase ? obj_from_doc(json_lit(vmi)) : NULL;
	f.seen = (struct vm_seen){ .vm = f.vm, .vmi = f.vmi, .env = &env, .now = NOW };
	return f;
}

static const char *decide(struct fixture *f)
{
	struct str text = { 0 };

	f->seen.config = &f->config;
	f->plan = plan_new();
	vm_decide_seen(&f->seen, f->plan);
	plan_text(f->plan, &text);
	f->text = str_take(&text);
	return f->text;
}

static void done(struct fixture *f)
{
	obj_unref(f->vm);
	obj_unref(f->vmi);
	plan_free(f->plan);
	free(f->text);
}

/* ---- the strategies ---- */
enum did { NOTHING, CREATES, DELETES };
#define RAN                                                 \
	",'phaseTransitionTimestamps':[{'phase':'Running'," \
	"'phaseTransitionTimestamp':'2023-11-14T22:00:00Z'}]"

static enum did does(const char *strategy, const char *status, const char *phase)
{
	struct fixture f = pass(strategy, status, phase, "", RAN);
	const char *text = decide(&f);
	enum did ret = strstr(text, "create virtualmachineinstances")   ? CREATES
		       : strstr(text, "delete virtualmachineinstances") ? DELETES
									: NOTHING;

	done(&f);
	return ret;
}

static void every_strategy_does_what_its_row_says(void **state)
{
	static const struct {
		const char *strategy;
		enum did none, running, succeeded, failed;
	} rows[] = {
		{ "Always", CREATES, NOTHING, DELETES, DELETES },
		{ "Halted", NOTHING, DELETES, DELETES, DELETES },
		{ "Manual", NOTHING, NOTHING, NOTHING, NOTHING },
		{ "RerunOnFailure", NOTHING, NOTHING, DELETES, DELETES },
		{ "Once", CREATES, NOTHING, NOTHING, NOTHING },
		{ "WaitAsReceiver", NOTHING, NOTHING, NOTHING, NOTHING },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep) char *status = str_printf("'runStrategy':'%s'", rows[i].strategy);

		assert_int_equal(does(rows[i].strategy, status, NULL), rows[i].none);
		assert_int_equal(does(rows[i].strategy, status, "Running"), rows[i].running);
		assert_int_equal(does(rows[i].strategy, status, "Succeeded"), rows[i].succeeded);
		assert_int_equal(does(rows[i].strategy, status, "Failed"), rows[i].failed);
	}
}

/* kubevirt-api.md 3: "create on Start, or when status.runStrategy was another". The wish is written down first, the
 * instance is made behind it. */
static void rerun_on_failure_starts_when_it_is_new(void **state)
{
	struct fixture f = pass("RerunOnFailure", "'runStrategy':'Halted'", NULL, "", "");
	const char *text = decide(&f), *request = strstr(text, "\"action\":\"Start\"");

	assert_non_null(request);
	assert_non_null(strstr(request, "create virtualmachineinstances"));
	done(&f);
	assert_int_equal(
		does("RerunOnFailure",
			"'runStrategy':'RerunOnFailure','stateChangeRequests':[{'action':'Start'}]", NULL),
		CREATES);
}

static void a_failed_instance_is_written_down_before_it_goes(void **state)
{
	struct fixture f = pass("RerunOnFailure", "'runStrategy':'RerunOnFailure'", "Failed", "", RAN);
	const char *text = decide(&f), *request = strstr(text, "\"action\":\"Start\"");

	assert_non_null(request);
	assert_non_null(strstr(request, "delete virtualmachineinstances"));
	done(&f);
}

/* It never ran: it stays to be looked at until the next attempt is due, and the VM says why as well. */
static void an_instance_that_could_not_start_stays_for_the_back_off(void **state)
{
	struct fixture f = pass("Always", "", "Failed", "",
		",'conditions':[{'type':'Synchronized','status':'False','message':'no /disk'}]");
	int64_t at;

	decide(&f);
	assert_non_null(strstr(f.text, "consecutiveFailCount"));
	assert_non_null(strstr(f.text, "CrashLoopBackOff"));
	assert_non_null(strstr(f.text, "ended before it ran: no /disk"));
	assert_null(strstr(f.text, "delete virtualmachineinstances"));
	assert_true(plan_again(f.plan, &at) && at > NOW);
	done(&f);

	f = pass("Always",
		"'startFailure':{'consecutiveFailCount':1,'lastFailedVMIUID':'" VMI_UID
		"','retryAfterTimestamp':'2023-11-14T22:13:00Z'}",
		"Failed", "", "");
	decide(&f);
	assert_non_null(strstr(f.text, "delete virtualmachineinstances"));
	assert_null(strstr(f.text, "ended before it ran"));
	done(&f);
	/* a stop that was asked for does not wait */
	f = pass("Always",
		"'stateChangeRequests':[{'action':'Stop','uid':'" VMI_UID "'}],"
		"'startFailure':{'consecutiveFailCount':1,'lastFailedVMIUID':'" VMI_UID
		"','retryAfterTimestamp':'2023-11-14T22:14:00Z'}",
		"Failed", "", "");
	assert_non_null(strstr(decide(&f), "delete virtualmachineinstances"));
	done(&f);
	/* nor does the reason go with the instance */
	f = pass("Always",
		"'conditions':[{'type':'Synchronized','status':'False','message':'no /disk'}],"
		"'startFailure':{'consecutiveFailCount':1,'lastFailedVMIUID':'x',"
		"'retryAfterTimestamp':'2023-11-14T22:14:00Z'}",
		NULL, "", "");
	assert_null(strstr(decide(&f), "\"op\":\"remove\""));
	done(&f);
}

static void only_the_first_request_counts_and_ends_with_its_effect(void **state)
{
	/* Stop of this very instance, whatever the strategy; of another one it is over */
	assert_int_equal(
		does("Always",
			"'stateChangeRequests':[{'action':'Stop','uid':'" VMI_UID "'},{'action':'Start'}]",
			"Running"),
		DELETES);
	assert_int_equal(
		does("Manual", "'stateChangeRequests':[{'action':'Stop','uid':'" VMI_UID "'}]", "Succeeded"),
		DELETES);
	assert_int_equal(
		does("Manual", "'stateChangeRequests':[{'action':'Stop','uid':'x'}]", "Running"), NOTHING);
	assert_int_equal(
		does("Manual", "'stateChangeRequests':[{'action':'Stop','uid':'x'},{'action':'Start'}]",
			NULL),
		CREATES);

	struct fixture f = pass("Manual", "'runStrategy':'Manual','stateChangeRequests':[{'action':'Start'}]",
		"Scheduling", "", "");
	assert_non_null(strstr(decide(&f), "\"op\":\"remove\",\"path\":\"/status/stateChangeRequests\""));
	done(&f);
}

/* kubevirt-api.md 3, Halted on `start` with paused */
static void a_paused_start_turns_halted_into_always(void **state)
{
	struct fixture f = pass("Halted",
		"'stateChangeRequests':[{'action':'Start','data':{'paused':'true'}}]", NULL, "", "");

	assert_non_null(strstr(decide(&f), "\"path\":\"/spec/runStrategy\",\"value\":\"Always\""));
	assert_null(strstr(f.text, "remove"));
	done(&f);
	f = pass("Always", "'stateChangeRequests':[{'action':'Start','data':{'paused':'true'}}]", NULL, "",
		"");
	decide(&f);
	for (size_t i = 0; i < plan_len(f.plan); i++)
		if (plan_at(f.plan, i)->type == INTENT_CREATE &&
			str_eq(plan_at(f.plan, i)->kind->plural, "virtualmachineinstances"))
			assert_string_equal(
				json_at_str(json_root(plan_at(f.plan, i)->doc), "/spec/startStrategy"),
				"Paused");
	done(&f);
}

/* ---- back-off ---- */
static void the_delay_grows_with_the_square(void **state)
{
	static const int64_t s[] = { 10, 40, 90, 160, 250, 300, 300 };

	for (int n = 1; n <= 7; n++) {
		assert_int_equal(vm_backoff_delay_ms(n, 0), s[n - 1] * 1000);
		for (uint64_t r = 0; r < 100; r++) {
			int64_t d = vm_backoff_delay_ms(n, r * 7919777);
			assert_true(d >= s[n - 1] * 1000 && d <= s[n - 1] * 1500 && d <= 300000);
		}
	}
}

static void an_instance_is_counted_once_and_waited_for(void **state)
{
	struct fixture f = pass("Always",
		"'startFailure':{'consecutiveFailCount':2,'lastFailedVMIUID':'" VMI_UID "',"
		"'retryAfterTimestamp':'2023-11-14T22:14:00Z'}",
		"Failed", "", "");
	assert_null(strstr(decide(&f), "consecutiveFailCount"));
	done(&f);

	/* not before its time */
	f = pass("Always",
		"'startFailure':{'consecutiveFailCount':2,'lastFailedVMIUID':'x','retryAfterTimestamp':'2023-"
		"11-14T22:14:00Z'}",
		NULL, "", "");
	int64_t at;
	assert_null(strstr(decide(&f), "create"));
	assert_true(plan_again(f.plan, &at) && at == NOW + 40000);
	assert_non_null(strstr(f.text, "CrashLoopBackOff"));
	done(&f);

	/* one that ran forgives all */
	f = pass("Always", "'startFailure':{'consecutiveFailCount':2,'lastFailedVMIUID':'x'}", "Running", "",
		"");
	assert_non_null(strstr(decide(&f), "\"op\":\"remove\",\"path\":\"/status/startFailure\""));
	done(&f);
}

/* ---- that an edit was seen ---- */
/* The status is up to date but for that: is it written now, or with the condition that is about to come? */
static bool tells_at_once(const char *domain, const char *vmi_status)
{
	CLEANUP(mem_freep)
	char *status = str_printf(
		"'runStrategy':'Always','conditions':[{'type':'Ready','status':'False','reason':"
		"'GuestNotRunning','message':'Guest VM is not reported as running','lastTransitionTime':"
		"'2023-11-14T22:13:20Z','observedGeneration':2}],'printableStatus':'%s','created':true,'"
		"desiredGeneration':2",
		strstr(vmi_status, "migrationState") ? "Migrating" : "Running");
	struct fixture f = pass("Always", status, "Running", "", vmi_status);
	CLEANUP(mem_freep) char *text = str_printf("{'domain':%s}", domain);
	CLEANUP(json_doc_freep) struct json_doc *spec = json_lit(text);
	struct json_doc *d = obj_draft(f.vmi);
	bool ret;

	json_set_copy(d, json_root(d), "spec", json_root(spec));
	obj_unref(f.vmi);
	f.vmi = obj_from_doc(d);
	f.seen.vmi = f.vmi;
	decide(&f);
	ret = strstr(f.text, "desiredGeneration") != NULL;
	done(&f);
	return ret;
}

static void an_edit_is_told_with_the_condition_that_is_to_come_and_only_then(void **state)
{
#define SIZE(guest, max) "{'memory':{'guest':'" guest "'" max "},'devices':{}}"
#define MAX ",'maxGuest':'4Gi'"
#define MEMORY ",'memory':{'guestAtBoot':'1Gi','guestCurrent':'1Gi','guestRequested':'1Gi'}"
#define CPU(n, max) "{'cpu':{'sockets':" n max "},'devices':{}}"
#define CPUS ",'currentCPUTopology':{'sockets':2}"
#define MOVES ",'migrationState':{'startTimestamp':'2023-11-14T22:13:00Z'}"
#define UNDER_WAY(type) ",'conditions':[{'type':'" type "','status':'True','reason':'InPlaceHotplug'}]"
	assert_true(tells_at_once(SIZE("1Gi", MAX), MEMORY));
	assert_false(tells_at_once(SIZE("2Gi", MAX), MEMORY));
	assert_true(tells_at_once(SIZE("2Gi", MAX), MEMORY UNDER_WAY("HotMemoryChange")));
	assert_false(tells_at_once(CPU("4", ",'maxSockets':8"), CPUS));
	assert_true(tells_at_once(CPU("4", ",'maxSockets':8"), CPUS UNDER_WAY("HotVCPUChange")));
	/* no condition comes while it moves, or where there is no room for any change */
	assert_true(tells_at_once(SIZE("2Gi", MAX), MEMORY MOVES));
	assert_true(tells_at_once(CPU("4", ",'maxSockets':8"), CPUS MOVES));
	assert_true(tells_at_once(SIZE("2Gi", ""), MEMORY));
	assert_true(tells_at_once(CPU("1", ""), CPUS));
}

/* ---- printableStatus: kubevirt-api.md 3.1 ---- */
static void the_first_matching_status_is_printed(void **state)
{
#define COND(type, status, reason) \
	",'conditions':[{'type':'" type "','status':'" status "','reason':'" reason "'}]"
#define GOING ",'deletionTimestamp':'2023-11-14T22:13:20Z'"
	static const struct {
		const char *strategy, *phase, *meta, *status, *want;
	} rows[] = {
		{ "Always", NULL, "", "", "Starting" },
		{ "Halted", NULL, "", "", "Stopped" },
		{ "Manual", "Succeeded", "", "", "Stopped" },
		{ "Always", "Pending", "", "", "Starting" },
		{ "Always", "Scheduling", "", "", "Starting" },
		{ "Always", "Scheduled", "", "", "Starting" },
		{ "Always", "Running", "", "", "Running" },
		{ "Halted", "Running", "", "", "Stopping" },
		{ "Always", "Running", GOING, "", "Stopping" },
		{ "Always", "Running", "", COND("Paused", "True", "PausedByUser"), "Paused" },
		{ "Always", "Running", "", ",'migrationState':{'startTimestamp':'2023-11-14T22:13:20Z'}",
			"Migrating" },
		{ "Always", "Scheduling", "", COND("PodScheduled", "False", "Unschedulable"),
			"ErrorUnschedulable" },
		{ "Always", "Scheduling", "", COND("Synchronized", "False", "ErrImagePull"), "ErrImagePull" },
		{ "Always", "Scheduling", "", COND("Synchronized", "False", "ImagePullBackOff"),
			"ImagePullBackOff" },
		{ "Always", "Pending", "", COND("Synchronized", "False", "FailedPvcNotFound"),
			"ErrorPvcNotFound" },
		{ "Always", "WaitingForSync", "", "", "WaitingForReceiver" },
		{ "Always", "Unknown", "", "", "Unknown" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture f = pass(rows[i].strategy, "", rows[i].phase, rows[i].meta, rows[i].status);
		CLEANUP(mem_freep)
		char *want = str_printf("/printableStatus\",\"value\":\"%s\"", rows[i].want);
		CLEANUP(mem_freep) char *whole = str_printf("\"printableStatus\":\"%s\"", rows[i].want);

		if (!strstr(decide(&f), want) && !strstr(f.text, whole))
			fail_msg("row %zu: %s is not in %s", i, rows[i].want, f.text);
		done(&f);
	}
}

/* ---- neighbours ---- */
static void a_foreign_instance_of_its_name_is_left_alone(void **state)
{
	struct fixture f = pass("Always", "", "Running", "", "");

	f.seen.foreign = f.vmi;
	f.seen.vmi = NULL;
	decide(&f);
	assert_null(strstr(f.text, "create"));
	assert_null(strstr(f.text, "delete"));
	assert_non_null(strstr(f.text, "FailedCreate"));
	done(&f);
}

static void a_finalizer_goes_with_its_vm(void **state)
{
	struct fixture f = pass("Always", "", "Failed",
		GOING ",'finalizers':['kubevirt.io/virtualMachineControllerFinalize']", "");

	f.seen.foreign = f.vmi;
	f.seen.vmi = NULL;
	f.seen.vm = NULL;
	assert_non_null(strstr(decide(&f), "\"op\":\"remove\",\"path\":\"/metadata/finalizers"));
	done(&f);
	/* virt-handler's holds: the guest may still run */
	f = pass("Always", "", "Running",
		GOING ",'finalizers':['kubevirt.io/foregroundDeleteVirtualMachine','kubevirt.io/"
		      "virtualMachineControllerFinalize']",
		"");
	assert_null(strstr(decide(&f), "finalizers"));
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_strategy_does_what_its_row_says),
		cmocka_unit_test(rerun_on_failure_starts_when_it_is_new),
		cmocka_unit_test(a_failed_instance_is_written_down_before_it_goes),
		cmocka_unit_test(an_instance_that_could_not_start_stays_for_the_back_off),
		cmocka_unit_test(only_the_first_request_counts_and_ends_with_its_effect),
		cmocka_unit_test(a_paused_start_turns_halted_into_always),
		cmocka_unit_test(the_delay_grows_with_the_square),
		cmocka_unit_test(an_instance_is_counted_once_and_waited_for),
		cmocka_unit_test(an_edit_is_told_with_the_condition_that_is_to_come_and_only_then),
		cmocka_unit_test(the_first_matching_status_is_printed),
		cmocka_unit_test(a_foreign_instance_of_its_name_is_left_alone),
		cmocka_unit_test(a_finalizer_goes_with_its_vm),
	};

	return cmocka_run_group_tests_name("vm", tests, NULL, NULL);
}

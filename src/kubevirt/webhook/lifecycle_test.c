/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt-api.md 2.1, 2.2, 2.3, 3: each verb, run strategy and state of the instance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/webhook/lifecycle.h"

/* VM spec, VM status, VMI (NULL: none), body (NULL: none) -> "202 vm [...]" or "409 text". */
struct row {
	const char *sub, *vm, *vmi, *body, *want;
};

static void describe(const struct lifecycle_out *out, struct str *s)
{
	str_addf(s, "%d", out->status);
	for (size_t i = 0; i < out->n_steps; i++) {
		size_t len;
		CLEANUP(mem_freep) char *ops = json_write(json_root(out->steps[i].ops), &len);
		str_addf(s, " %s%s%s %s", out->steps[i].kind->singular, out->steps[i].sub ? "/" : "",
			out->steps[i].sub ? out->steps[i].sub : "", ops);
	}
	if (out->handler_verb)
		str_addf(s, " handler %s", out->handler_verb);
}

static void check(const char *resource, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct lifecycle_verb *v = lifecycle_find(resource, rows[i].sub, NULL);
		CLEANUP(json_doc_freep) struct json_doc *vm = rows[i].vm ? json_lit(rows[i].vm) : NULL;
		CLEANUP(json_doc_freep) struct json_doc *vmi = rows[i].vmi ? json_lit(rows[i].vmi) : NULL;
		CLEANUP(json_doc_freep) struct json_doc *body = rows[i].body ? json_lit(rows[i].body) : NULL;
		CLEANUP(str_done) struct str got = { 0 }, want = { 0 };
		struct lifecycle_in in = { .ns = "ns",
			.name = "a",
			.vm = vm ? json_root(vm) : NULL,
			.vmi = vmi ? json_root(vmi) : NULL,
			.body = body ? json_root(body) : NULL };
		struct lifecycle_out out = { 0 };
		struct err e;
		assert_non_null(v);
		if (lifecycle_run(v, &in, &out, &e) < 0)
			str_addf(&got, "%d %s", err_http(e.code), e.msg);
		else
			describe(&out, &got);
		lifecycle_done(&out);
		for (const char *p = rows[i].want; *p; p++)
			str_addc(&want, *p == '\'' ? '"' : *p);
		if (!str_eq(str_cstr(&got), str_cstr(&want)))
			fail_msg("row %zu (%s):\n got  %s\n want %s", i, rows[i].sub, str_cstr(&got),
				str_cstr(&want));
	}
}

#define VMI(phase) "{'metadata':{'uid':'u'},'status':{'phase':'" phase "'}}"
#define VM(strategy) "{'spec':{'runStrategy':'" strategy "'},'status':{}}"
#define CONFLICT(text) "409 Operation cannot be fulfilled on virtualmachine.kubevirt.io 'a': " text
#define VMI_CONFLICT(text) \
	"409 Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io 'a': " text
#define QUEUE(old, value)                                                                           \
	"202 virtualmachine/status [{'op':'test','path':'/status/stateChangeRequests','value':" old \
	"},{'op':'add','path':'/status/stateChangeRequests','value':" value "}]"

static void start_by_strategy(void **s)
{
	static const struct row rows[] = {
		{ "start", VM("Halted"), NULL, NULL,
			"202 virtualmachine [{'op':'test','path':'/spec/runStrategy','value':'Halted'},"
			"{'op':'replace','path':'/spec/runStrategy','value':'Always'}]" },
		{ "start", "{'spec':{'running':false}}", NULL, NULL,
			"202 virtualmachine [{'op':'test','path':'/spec/running','value':false},"
			"{'op':'replace','path':'/spec/running','value':true}]" },
		{ "start", VM("Halted"), NULL, "{'paused':true}",
			QUEUE("null", "[{'action':'Start','data':{'paused':'true'}}]") },
		{ "start", VM("Halted"), VMI("Running"), NULL, CONFLICT("VM is already running") },
		{ "start", VM("Manual"), VMI("Scheduling"), NULL, CONFLICT("VM is already running") },
		{ "start", VM("Always"), NULL, NULL,
			CONFLICT("Always does not support manual start requests") },
		{ "start", VM("Once"), VMI("Succeeded"), NULL,
			CONFLICT("Once does not support manual start requests") },
		{ "start", VM("Manual"), NULL, NULL, QUEUE("null", "[{'action':'Start'}]") },
		{ "start", VM("Manual"), VMI("Failed"), NULL,
			QUEUE("null", "[{'action':'Stop','uid':'u'},{'action':'Start'}]") },
		{ "start", VM("RerunOnFailure"), VMI("Failed"), NULL,
			CONFLICT("RerunOnFailure does not support starting VM from failed state") },
		{ "start", VM("RerunOnFailure"), VMI("Succeeded"), NULL,
			QUEUE("null", "[{'action':'Stop','uid':'u'},{'action':'Start'}]") },
		{ "start",
			"{'spec':{'runStrategy':'Manual'},'status':{'stateChangeRequests':[{'action':'Start'}"
			"]}}",
			NULL, NULL, "500 unable to complete request: stop/start already underway" },
		{ "start", "{'spec':{'runStrategy':'Manual'}}", NULL, NULL,
			"202 virtualmachine/status "
			"[{'op':'test','path':'/status','value':null},{'op':'add','path':'/status','value':"
			"{'stateChangeRequests':[{'action':'Start'}]}}]" },
		{ "start",
			"{'spec':{'runStrategy':'Manual'},'status':{'startFailure':{'consecutiveFailCount':2}"
			"}}",
			NULL, NULL,
			"202 virtualmachine/status "
			"[{'op':'test','path':'/status/stateChangeRequests','value':null},{'op':'add','path':"
			"'/status/stateChangeRequests','value':[{'action':'Start'}]},{'op':'remove','path':'/"
			"status/startFailure'}]" },
	};
	check("virtualmachines", rows, ARRAY_LEN(rows));
}

static void stop_by_strategy(void **s)
{
	static const struct row rows[] = {
		{ "stop", VM("Always"), VMI("Running"), NULL,
			"202 virtualmachine [{'op':'test','path':'/spec/runStrategy','value':'Always'},"
			"{'op':'replace','path':'/spec/runStrategy','value':'Halted'}]" },
		{ "stop", "{'spec':{'running':true}}", VMI("Running"), NULL,
			"202 virtualmachine [{'op':'test','path':'/spec/running','value':true},"
			"{'op':'replace','path':'/spec/running','value':false}]" },
		{ "stop", VM("Halted"), NULL, NULL, CONFLICT("VM is not running") },
		{ "stop", VM("Halted"), VMI("Running"), NULL,
			CONFLICT("Halted only supports manual stop requests with a shorter graceperiod") },
		{ "stop", VM("Halted"), VMI("Running"), "{'gracePeriod':5}",
			"202 virtualmachineinstance "
			"[{'op':'test','path':'/spec/terminationGracePeriodSeconds','value':null},"
			"{'op':'add','path':'/spec/terminationGracePeriodSeconds','value':5}]" },
		{ "stop", VM("Manual"), NULL, NULL, CONFLICT("VM is not running") },
		{ "stop", VM("RerunOnFailure"), VMI("Succeeded"), NULL, CONFLICT("VM is not running") },
		{ "stop", VM("Manual"), VMI("Running"), NULL,
			QUEUE("null", "[{'action':'Stop','uid':'u'}]") },
		/* A lone Stop replaces what is queued. */
		{ "stop",
			"{'spec':{'runStrategy':'Manual'},'status':{'stateChangeRequests':[{'action':'Start'}"
			"]}}",
			VMI("Running"), NULL,
			QUEUE("[{'action':'Start'}]", "[{'action':'Stop','uid':'u'}]") },
		{ "stop", VM("Always"), VMI("Running"), "{'gracePeriod':-1}",
			"400 gracePeriod has to be greater or equal to 0" },
	};
	check("virtualmachines", rows, ARRAY_LEN(rows));
}

static void restart_by_strategy(void **s)
{
	static const struct row rows[] = {
		{ "restart", VM("Always"), VMI("Running"), NULL,
			QUEUE("null", "[{'action':'Stop','uid':'u'},{'action':'Start'}]") },
		{ "restart", VM("Always"), NULL, NULL, CONFLICT("VM is not running: Halted") },
		{ "restart", VM("Halted"), VMI("Running"), NULL,
			CONFLICT("RunStategy Halted does not support manual restart requests") },
		{ "restart", VM("Once"), VMI("Running"), NULL,
			CONFLICT("RunStategy Once does not support manual restart requests") },
		{ "restart", VM("Always"), VMI("Running"), "{'gracePeriodSeconds':5}",
			"400 For force restart, only gracePeriod=0 is supported for now" },
		{ "restart", VM("Manual"), VMI("Running"), "{'gracePeriodSeconds':0}",
			"202 virtualmachineinstance "
			"[{'op':'test','path':'/spec/terminationGracePeriodSeconds','value':null},"
			"{'op':'add','path':'/spec/terminationGracePeriodSeconds','value':1}] "
			"virtualmachine/status "
			"[{'op':'test','path':'/status/stateChangeRequests','value':null},{'op':'add','path':"
			"'/status/"
			"stateChangeRequests','value':[{'action':'Stop','uid':'u'},{'action':'Start'}]}]" },
		{ "migrate", VM("Always"), VMI("Scheduled"), NULL, VMI_CONFLICT("VM is not running") },
		{ "migrate", VM("Always"), NULL, NULL,
			"404 virtualmachineinstances.kubevirt.io 'a' not found" },
	};
	check("virtualmachines", rows, ARRAY_LEN(rows));
}

static void pausing(void **s)
{
	static const char paused[] =
		"{'status':{'phase':'Running','conditions':[{'type':'Paused','status':'True'}]}}";
	const struct row rows[] = {
		{ "pause", NULL, VMI("Running"), NULL, "200 handler pause" },
		{ "pause", NULL, VMI("Scheduled"), NULL, VMI_CONFLICT("VM is not running") },
		{ "pause", NULL, paused, NULL, VMI_CONFLICT("VMI is already paused") },
		{ "pause", NULL,
			"{'spec':{'livenessProbe':{'tcpSocket':{'port':1}}},'status':{'phase':'Running'}}",
			NULL,
			"403 virtualmachineinstance.kubevirt.io 'a' is forbidden: Pausing VMIs with "
			"LivenessProbe is currently not "
			"supported" },
		{ "unpause", NULL, paused, NULL, "200 handler unpause" },
		{ "unpause", NULL, VMI("Running"), NULL, VMI_CONFLICT("VMI is not paused") },
		{ "guestosinfo", NULL, VMI("Running"), NULL, "500 VMI does not have guest agent connected" },
	};
	check("virtualmachineinstances", rows, ARRAY_LEN(rows));
}

static void migration_object_is_made(void **s)
{
	CLEANUP(json_doc_freep) struct json_doc *vmi = json_lit(VMI("Running"));
	struct lifecycle_in in = { .ns = "ns", .name = "a", .vmi = json_root(vmi) };
	struct lifecycle_out out = { 0 };
	assert_int_equal(lifecycle_find("virtualmachines", "migrate", "PUT")->fn(&in, &out, NULL), 0);
	assert_true(out.steps[0].create);
	assert_string_equal(
		json_at_str(json_root(out.steps[0].ops), "/metadata/generateName"), "kubevirt-migrate-vm-");
	assert_string_equal(json_at_str(json_root(out.steps[0].ops), "/spec/vmiName"), "a");
	lifecycle_done(&out);
}

/* kubevirt-api.md 2.3: clients repeat on 400 and on nothing else */
static void console_says_not_yet_with_400_only(void **s)
{
	static const struct {
		const char *vmi;
		int code;
	} rows[] = {
		{ NULL, 404 },
		{ "{'status':{'phase':'Pending'}}", 400 },
		{ "{'status':{'phase':'Scheduled','nodeName':'n'}}", 400 },
		{ "{'status':{'phase':'Failed'}}", 409 },
		{ "{'spec':{'domain':{'devices':{'autoattachSerialConsole':false}}},'status':{'phase':'"
		  "Running','nodeName':'n'}}",
			400 },
		{ "{'status':{'phase':'Running','nodeName':'n'}}", 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(json_doc_freep) struct json_doc *vmi = rows[i].vmi ? json_lit(rows[i].vmi) : NULL;
		const char *node = NULL;
		struct err e;
		int rc = console_check(vmi ? json_root(vmi) : NULL, "a", &node, &e);
		assert_int_equal(rc < 0 ? err_http(e.code) : 0, rows[i].code);
		if (!rc)
			assert_string_equal(node, "n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_by_strategy),
		cmocka_unit_test(stop_by_strategy),
		cmocka_unit_test(restart_by_strategy),
		cmocka_unit_test(pausing),
		cmocka_unit_test(migration_object_is_made),
		cmocka_unit_test(console_says_not_yet_with_400_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

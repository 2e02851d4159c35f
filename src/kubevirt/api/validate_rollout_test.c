/* SPDX-License-Identifier: Apache-2.0 */
/* rollout.md section 4, line by line: what each rule lets through and what it refuses, under both strategies. Volumes,
 * interfaces and instance types have tests of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/validate.h"

#define INVALID "FieldValueInvalid"
#define REQUIRED "FieldValueRequired"
#define T "spec.template.spec.domain."

static const char *const strategies[] = { [ROLLOUT_STAGE] = "Stage", [ROLLOUT_LIVE_UPDATE] = "LiveUpdate" };

static void config_of(enum rollout r, struct json_doc **ret, struct kv_config *c)
{
	CLEANUP(mem_freep)
	char *text = str_printf("{'spec':{'configuration':{'vmRolloutStrategy':'%s'}}}", strategies[r]);

	*ret = json_lit(text);
	kv_config_from(json_root(*ret), c);
	assert_int_equal(c->rollout, r);
}

/* The causes for a VM with this domain (without braces and devices) under a strategy. */
static struct causes of_vm(const char *domain, enum rollout r)
{
	CLEANUP(mem_freep)
	char *text = str_printf("{'metadata':{'name':'a'},'spec':{'runStrategy':'Halted','template':{'spec':{"
				"'architecture':'amd64','domain':{'devices':{},%s}}}}}",
		domain);
	CLEANUP(json_doc_freep) struct json_doc *vm = json_lit(text), *cr = NULL;
	struct causes causes = { 0 };
	struct kv_config c;

	config_of(r, &cr, &c);
	vm_validate(json_root(vm), NULL, &c, &causes);
	return causes;
}

static struct causes of_vmi(const char *domain, enum rollout r)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("{'metadata':{'name':'a'},'spec':{'architecture':'amd64','domain':{'devices':{},"
			   "%s}}}",
			domain);
	CLEANUP(json_doc_freep) struct json_doc *vmi = json_lit(text), *cr = NULL;
	struct causes causes = { 0 };
	struct kv_config c;

	config_of(r, &cr, &c);
	vmi_validate_create(json_root(vmi), &c, false, &causes);
	return causes;
}

static void accepted(const char *domain, enum rollout r)
{
	struct causes got = of_vm(domain, r);

	if (got.len)
		fail_msg("%s under %s: %s: %s", domain, strategies[r], got.items[0].field,
			got.items[0].message);
}

/* n causes, the first of which is this one. */
static void refused(
	const char *domain, enum rollout r, size_t n, const char *reason, const char *field, const char *text)
{
	struct causes got = of_vm(domain, r);

	if (got.len != n)
		fail_msg("%s under %s: %zu causes, first: %s", domain, strategies[r], got.len,
			got.len ? got.items[0].message : "none");
	if (!str_eq(got.items[0].reason, reason) || !str_eq(got.items[0].field, field) ||
		!strstr(got.items[0].message, text))
		fail_msg("%s under %s: %s %s: %s", domain, strategies[r], got.items[0].reason,
			got.items[0].field, got.items[0].message);
	causes_done(&got);
}

#define GI "'memory':{'guest':'1Gi'}"
#define HUGE "'memory':{'guest':'1Gi','hugepages':{'pageSize':'2Mi'}}"

/* 4.1, the rules that hold under either strategy: one that passes, one that does not */
static const struct {
	const char *good, *bad, *reason, *field, *text;
} always[] = {
	{ GI ",'resources':{'requests':{'memory':'1Gi'},'limits':{'memory':'1Gi'}}",
		GI ",'resources':{'requests':{'memory':'2Gi'},'limits':{'memory':'1Gi'}}", INVALID,
		T "resources.requests.memory", "'2Gi' is greater than" },
	{ GI ",'resources':{'requests':{'cpu':'2'},'limits':{'cpu':'2'}}",
		GI ",'resources':{'requests':{'cpu':'2'},'limits':{'cpu':'1900m'}}", INVALID,
		T "resources.requests.cpu", "'2' is greater than" },
	/* huge pages: the request counts, else the guest */
	{ HUGE ",'resources':{'requests':{'memory':'2Mi'}}",
		HUGE ",'resources':{'requests':{'memory':'1536Ki'}}", INVALID, T "resources.requests.memory",
		"must be equal to or larger than page size" },
	{ HUGE ",'resources':{'requests':{'memory':'4Mi'}}",
		HUGE ",'resources':{'requests':{'memory':'3Mi'}}", INVALID, T "resources.requests.memory",
		"is not a multiple of the page size" },
	{ "'memory':{'guest':'1Gi','hugepages':{'pageSize':'1Gi'}}",
		"'memory':{'guest':'512Mi','hugepages':{'pageSize':'1Gi'}}", INVALID,
		T "resources.requests.memory", "must be equal to or larger than page size" },
	{ "'memory':{'guest':'2Gi','hugepages':{'pageSize':'1Gi'}}",
		"'memory':{'guest':'1536Mi','hugepages':{'pageSize':'1Gi'}}", INVALID,
		T "resources.requests.memory",
		"domain.memory.guest '1536Mi' is not a multiple of the page size" },
	/* dedicated CPUs */
	{ GI ",'cpu':{'cores':2,'dedicatedCpuPlacement':true},'resources':{'limits':{'cpu':'2'}}",
		GI ",'cpu':{'cores':2,'dedicatedCpuPlacement':true},'resources':{'limits':{'cpu':'3'}}",
		INVALID, T "cpu.dedicatedCpuPlacement", "must equal the number of vCPUs (2)" },
	{ GI ",'cpu':{'cores':2,'dedicatedCpuPlacement':true},'resources':{'requests':{'cpu':'2'}}",
		GI ",'cpu':{'cores':2,'dedicatedCpuPlacement':true},'resources':{'requests':{'cpu':'2500m'}}",
		INVALID, T "resources.requests.cpu", "must be an interger" },
	{ GI ",'cpu':{'threads':2,'dedicatedCpuPlacement':true}",
		GI ",'cpu':{'threads':3,'dedicatedCpuPlacement':true}", INVALID,
		T "cpu.dedicatedCpuPlacement", "Not more than two threads" },
	/* realtime */
	{ GI ",'cpu':{'realtime':{},'dedicatedCpuPlacement':true,'numa':{'guestMappingPassthrough':{}}}",
		GI ",'cpu':{'realtime':{},'numa':{'guestMappingPassthrough':{}}}", REQUIRED,
		T "cpu.dedicatedCpuPlacement", "must be set to true when" },
	{ GI, GI ",'cpu':{'realtime':{},'dedicatedCpuPlacement':true}", REQUIRED,
		T "cpu.numa.guestMappingPassthrough", "must be defined when" },
};

static void rules_of_both_strategies(void **s)
{
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		for (int r = ROLLOUT_STAGE; r <= ROLLOUT_LIVE_UPDATE; r++) {
			accepted(always[i].good, (enum rollout)r);
			refused(always[i].bad, (enum rollout)r, 1, always[i].reason, always[i].field,
				always[i].text);
		}
}

/* Requests and limits of dedicated CPUs that differ: two rules at once, for one of them differs from the vCPUs too. */
static void dedicated_cpus_want_equal_requests_and_limits(void **s)
{
	for (int r = ROLLOUT_STAGE; r <= ROLLOUT_LIVE_UPDATE; r++) {
		accepted(GI
			",'cpu':{'cores':2,'dedicatedCpuPlacement':true},'resources':{'requests':{'cpu':'2'},"
			"'limits':{'cpu':'2'}}",
			(enum rollout)r);
		refused(GI
			",'cpu':{'cores':2,'dedicatedCpuPlacement':true},'resources':{'requests':{'cpu':'2'},"
			"'limits':{'cpu':'3'}}",
			(enum rollout)r, 2, INVALID, T "cpu.dedicatedCpuPlacement", "must be equal when");
	}
}

/* 6.29; LiveUpdate says it twice. Defaults count: five sockets come from the request here. */
static void more_sockets_than_the_maximum(void **s)
{
	static const char *const good[] = { "'sockets':8,'maxSockets':8", "'sockets':16",
		"'sockets':16,'maxSockets':0" };
	static const char text[] =
		"Number of sockets in CPU topology is greater than the maximum sockets allowed";

	for (int r = ROLLOUT_STAGE; r <= ROLLOUT_LIVE_UPDATE; r++) {
		size_t n = r == ROLLOUT_LIVE_UPDATE ? 2 : 1;
		struct causes vmi = of_vmi(GI ",'cpu':{'sockets':16,'maxSockets':8}", (enum rollout)r);

		for (size_t i = 0; i < ARRAY_LEN(good); i++) {
			CLEANUP(mem_freep) char *domain = str_printf(GI ",'cpu':{%s}", good[i]);
			accepted(domain, (enum rollout)r);
		}
		refused(GI ",'cpu':{'sockets':16,'maxSockets':8}", (enum rollout)r, n, INVALID,
			T "cpu.sockets", text);
		refused(GI ",'cpu':{'maxSockets':4},'resources':{'requests':{'cpu':'5'}}", (enum rollout)r, n,
			INVALID, T "cpu.sockets", text);
		assert_int_equal(vmi.len, 1);
		assert_string_equal(vmi.items[0].field, "spec.domain.cpu.sockets");
		assert_string_equal(vmi.items[0].message, text);
		causes_done(&vmi);
	}
}

/* Only under Stage: under LiveUpdate the limit grows with the guest. */
static void guest_above_the_limit(void **s)
{
	static const char over[] = "'memory':{'guest':'2Gi'},'resources':{'limits':{'memory':'1Gi'}}";
	static const char even[] = "'memory':{'guest':'1Gi'},'resources':{'limits':{'memory':'1Gi'}}";

	accepted(even, ROLLOUT_STAGE);
	accepted(even, ROLLOUT_LIVE_UPDATE);
	accepted(over, ROLLOUT_LIVE_UPDATE);
	refused(over, ROLLOUT_STAGE, 1, INVALID, T "memory.guest",
		"must be equal to or less than the memory limit");
}

/* What one strategy let through does not keep a VM from being stopped under the other. */
static void a_template_that_is_there_is_not_judged_again(void **s)
{
	static const char fmt[] =
		"{'spec':{'runStrategy':'%s','template':{'spec':{'domain':{'devices':{},'memory':{"
		"'guest':'%s'},'resources':{'limits':{'memory':'1Gi'}}}}}}}";
	CLEANUP(mem_freep)
	char *was = str_printf(fmt, "Always", "2Gi"), *stopped = str_printf(fmt, "Halted", "2Gi"),
	     *worse = str_printf(fmt, "Halted", "3Gi"), *wrong = str_printf(fmt, "Never", "2Gi");
	CLEANUP(json_doc_freep) struct json_doc *old = json_lit(was), *cr = NULL;
	const struct {
		const char *vm;
		size_t causes;
	} rows[] = { { stopped, 0 }, { worse, 1 }, { wrong, 1 } };
	struct kv_config c;

	config_of(ROLLOUT_STAGE, &cr, &c);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(json_doc_freep) struct json_doc *new = json_lit(rows[i].vm);
		struct causes got = { 0 };

		vm_validate(json_root(new), json_root(old), &c, &got);
		assert_int_equal(got.len, rows[i].causes);
		causes_done(&got);
	}
}

/* 4.2 (6.52, 6.53; decision 8 for architectures): a maximum that the VM gives, refused under LiveUpdate alone. The VMI is not
 * asked: what Stage let through still starts. */
static void maximum_of_memory(void **s)
{
	static const char *const good[] = {
		"'memory':{'guest':'1Gi','maxGuest':'4Gi'}",
		"'memory':{'guest':'1Gi','maxGuest':'1Gi'}",
		"'memory':{'guest':'1026Mi','maxGuest':'2Gi'}",
		"'memory':{'guest':'2Gi','maxGuest':'16Gi','hugepages':{'pageSize':'1Gi'}}",
		"'memory':{'guest':'1026Mi','maxGuest':'2Gi','hugepages':{'pageSize':'2Mi'}}",
		"'memory':{'maxGuest':'4Gi'},'resources':{'requests':{'memory':'1Gi'}}",
		/* without a maximum of its own the VM is let through, and says RestartRequired when it is tried */
		"'memory':{'guest':'1041Mi'}",
		"'memory':{'guest':'512Mi'}",
		GI ",'launchSecurity':{'sev':{}}",
	};
	static const struct {
		const char *domain, *text;
	} bad[] = {
		{ "'memory':{'guest':'1Gi','maxGuest':'4Gi'},'cpu':{'realtime':{},'dedicatedCpuPlacement':"
		  "true,"
		  "'numa':{'guestMappingPassthrough':{}}}",
			"realtime VMs" },
		{ "'memory':{'guest':'1Gi','maxGuest':'4Gi'},'cpu':{'dedicatedCpuPlacement':true,"
		  "'numa':{'guestMappingPassthrough':{}}}",
			"guest mapping passthrough" },
		{ "'memory':{'guest':'1Gi','maxGuest':'4Gi'},'launchSecurity':{'sev':{}}", "encrypted VMs" },
		{ "'memory':{'guest':'2Gi','maxGuest':'1Gi'}", "greater than the configured maxGuest" },
		{ "'memory':{'guest':'1041Mi','maxGuest':'4Gi'}", "Guest memory must be 2Mi aligned" },
		{ "'memory':{'guest':'2G','maxGuest':'16Gi','hugepages':{'pageSize':'1Gi'}},'resources':{"
		  "'requests':{'memory':'1Gi'}}",
			"Guest memory must be 1Gi aligned" },
		{ "'memory':{'guest':'1Gi','maxGuest':'4097Mi'}", "MaxGuest must be 2Mi aligned" },
		{ "'memory':{'guest':'1Gi','maxGuest':'1536Mi','hugepages':{'pageSize':'1Gi'}}",
			"MaxGuest must be 1Gi aligned" },
		{ "'memory':{'guest':'512Mi','maxGuest':'4Gi'}", "at least 1Gi of guest memory" },
		/* the first failure wins */
		{ "'memory':{'guest':'511Mi','maxGuest':'1Mi'},'launchSecurity':{'sev':{}}",
			"encrypted VMs" },
		{ "'memory':{'guest':'511Mi','maxGuest':'1Mi'}", "greater than the configured maxGuest" },
		{ "'memory':{'guest':'511Mi','maxGuest':'1023Mi'}", "Guest memory must be 2Mi aligned" },
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		accepted(good[i], ROLLOUT_STAGE);
		accepted(good[i], ROLLOUT_LIVE_UPDATE);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct causes vmi = of_vmi(bad[i].domain, ROLLOUT_LIVE_UPDATE);

		accepted(bad[i].domain, ROLLOUT_STAGE);
		refused(bad[i].domain, ROLLOUT_LIVE_UPDATE, 1, INVALID, T "memory.guest", bad[i].text);
		assert_int_equal(vmi.len, 0);
	}
	/* no guest at all is another rule's as well */
	refused("'memory':{'maxGuest':'4Gi'}", ROLLOUT_STAGE, 1, REQUIRED, T "memory", "no memory requested");
	refused("'memory':{'maxGuest':'4Gi'}", ROLLOUT_LIVE_UPDATE, 2, REQUIRED, T "memory",
		"no memory requested");
}

static void architectures_with_memory_hotplug(void **s)
{
	static const struct {
		const char *arch;
		size_t causes;
	} rows[] = { { "amd64", 0 }, { "arm64", 0 }, { "s390x", 1 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep)
		char *text =
			str_printf("{'spec':{'runStrategy':'Halted','template':{'spec':{'architecture':'%s',"
				   "'domain':{'devices':{},'memory':{'guest':'1Gi','maxGuest':'2Gi'}}}}}}",
				rows[i].arch);
		CLEANUP(json_doc_freep) struct json_doc *vm = json_lit(text), *cr = NULL;
		struct causes got = { 0 };
		struct kv_config c;

		config_of(ROLLOUT_LIVE_UPDATE, &cr, &c);
		vm_validate(json_root(vm), NULL, &c, &got);
		assert_int_equal(got.len, rows[i].causes);
		if (got.len)
			assert_string_equal(got.items[0].message,
				"Memory hotplug is only available for x86_64 and arm64 VMs");
		causes_done(&got);
	}
}

/* 1.2: what the template leaves open is filled into the instance, never into the VM, so that it follows the cluster. */
static void defaults_are_the_instances(void **s)
{
	static const char *const paths[] = { "/domain/cpu", "/domain/memory/maxGuest",
		"/domain/devices/disks", "/domain/devices/interfaces", "/networks", "/evictionStrategy",
		"/domain/features" };

	for (int r = ROLLOUT_STAGE; r <= ROLLOUT_LIVE_UPDATE; r++) {
		CLEANUP(json_doc_freep)
		struct json_doc *vm = json_lit(
			"{'spec':{'runStrategy':'Always','template':{'spec':{'domain':{'devices':{},'memory':"
			"{"
			"'guest':'4096Mi'}},'volumes':[{'name':'a','emptyDisk':{'capacity':'1Gi'}}]}}}}");
		CLEANUP(json_doc_freep) struct json_doc *vmi = json_lit("{}"), *cr = NULL;
		struct kv_config c;
		const struct defaults_in in = { .config = &c, .uuid = "u", .serial = "s" };
		const struct json *template;

		config_of((enum rollout)r, &cr, &c);
		vm_default(vm, json_root(vm), true, &in);
		vm_default(vm, json_root(vm), false, &in);
		template = json_at(json_root(vm), "/spec/template/spec");
		json_set_copy(vmi, json_root(vmi), "spec", template);
		vmi_default_create(vmi, json_root(vmi), &in);
		for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
			if (json_at(template, paths[i]))
				fail_msg("%s is in the VM", paths[i]);
			if (!json_at(json_get(json_root(vmi), "spec"), paths[i]))
				fail_msg("%s is not in the instance", paths[i]);
		}
		assert_string_equal(json_at_str(template, "/domain/memory/guest"), "4096Mi");
		assert_string_equal(json_at_str(json_root(vmi), "/spec/domain/memory/guest"), "4Gi");
	}
}

/* 4.3: who may change what of an instance */
static void updates_of_an_instance(void **s)
{
	static const struct {
		const char *set, *to; /* NULL: removed */
		size_t foreign, own;  /* causes */
		const char *field;
	} rows[] = {
		{ "/metadata/labels/mine", "'x'", 0, 0, NULL },
		{ "/metadata/annotations/mine", "'x'", 0, 0, NULL },
		{ "/metadata/labels/kubevirt.io~1nodeName", "'x'", 1, 0, "metadata.labels" },
		{ "/spec/domain/cpu/sockets", "2", 1, 0, "spec" },
		{ "/spec/domain/memory/guest", "'2Gi'", 1, 0, "spec" },
		{ "/spec/nodeSelector", "{'a':'b'}", 1, 0, "spec" },
		{ "/spec/tolerations", "[{'key':'k'}]", 1, 0, "spec" },
		{ "/spec/domain/cpu/maxSockets", "8", 1, 1, "spec.domain.cpu.maxSockets" },
		{ "/spec/domain/memory/maxGuest", "'8Gi'", 1, 1, "spec.domain.memory.maxGuest" },
		{ "/spec/domain/memory/maxGuest", "'4096Mi'", 1, 0, "spec" },
		{ "/spec/domain/memory/maxGuest", NULL, 1, 0, "spec" },
	};
	CLEANUP(json_doc_freep)
	struct json_doc *old =
		json_lit("{'metadata':{'labels':{},'annotations':{}},'spec':{'domain':{'cpu':{"
			 "'sockets':1,'maxSockets':4},'memory':{'guest':'1Gi','maxGuest':'4Gi'}}}}");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(json_doc_freep) struct json_doc *new = json_doc_from(json_root(old));
		CLEANUP(json_doc_freep) struct json_doc *value = rows[i].to ? json_lit(rows[i].to) : NULL;
		struct causes foreign = { 0 }, own = { 0 };

		if (value)
			json_put(new, json_root(new), rows[i].set, json_copy(new, json_root(value)));
		else
			json_remove(json_at(json_root(new), "/spec/domain/memory"), "maxGuest");
		vmi_validate_update(json_root(new), json_root(old), false, &foreign);
		vmi_validate_update(json_root(new), json_root(old), true, &own);
		if (foreign.len != rows[i].foreign || own.len != rows[i].own)
			fail_msg("%s: %zu and %zu causes", rows[i].set, foreign.len, own.len);
		if (foreign.len) {
			assert_string_equal(foreign.items[0].reason, "FieldValueNotSupported");
			assert_int_equal(strncmp(foreign.items[0].field, "spec", 4) == 0,
				strncmp(rows[i].field, "spec", 4) == 0);
		}
		if (own.len) {
			assert_string_equal(own.items[0].reason, INVALID);
			assert_string_equal(own.items[0].field, rows[i].field);
		}
		causes_done(&foreign);
		causes_done(&own);
	}
}

/* 4.1, the last line */
static void volume_requests_wait_for_a_migration(void **s)
{
	static const char none[] = "{'status':{}}",
			  one[] = "{'status':{'volumeRequests':[{'removeVolumeOptions':{'name':'a'}}]}}",
			  two[] = "{'status':{'volumeRequests':[{'removeVolumeOptions':{'name':'a'}},"
				  "{'removeVolumeOptions':{'name':'b'}}]}}";
	static const char still[] = "{'status':{'migrationState':{}}}",
			  moving[] =
				  "{'status':{'migrationState':{'startTimestamp':'2026-01-01T00:00:00Z'}}}",
			  moved[] = "{'status':{'migrationState':{'startTimestamp':'2026-01-01T00:00:00Z',"
				    "'endTimestamp':'2026-01-01T00:00:09Z'}}}";
	static const struct {
		const char *old, *new, *vmi;
		size_t causes;
	} rows[] = {
		{ none, one, moving, 1 },
		{ one, two, moving, 1 },
		{ two, one, moving, 0 },
		{ one, one, moving, 0 },
		{ none, one, still, 0 },
		{ none, one, moved, 0 },
		{ none, one, NULL, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(json_doc_freep)
		struct json_doc *old = json_lit(rows[i].old), *new = json_lit(rows[i].new),
				*vmi = rows[i].vmi ? json_lit(rows[i].vmi) : NULL;
		struct causes got = { 0 };

		vm_validate_status(json_root(new), json_root(old), vmi ? json_root(vmi) : NULL, &got);
		assert_int_equal(got.len, rows[i].causes);
		if (got.len) {
			assert_string_equal(got.items[0].reason, "FieldValueNotSupported");
			assert_string_equal(got.items[0].field, "spec");
		}
		causes_done(&got);
	}
}

/* 1.3, 6.5 (the other half; one half is decision 2's): a gate in both lists */
static void a_gate_in_both_lists(void **s)
{
	static const struct {
		const char *developer;
		size_t causes;
	} rows[] = {
		{ "{'featureGates':['VMLiveUpdateFeatures']}", 0 },
		{ "{'disabledFeatureGates':['VMLiveUpdateFeatures']}", 0 },
		{ "{'featureGates':['VMLiveUpdateFeatures'],'disabledFeatureGates':['InPlaceHotplug']}", 0 },
		{ "{'featureGates':['VMLiveUpdateFeatures'],'disabledFeatureGates':['VMLiveUpdateFeatures']}",
			1 },
		{ "{'featureGates':['A','B'],'disabledFeatureGates':['B','A']}", 2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep)
		char *text = str_printf(
			"{'spec':{'configuration':{'developerConfiguration':%s}}}", rows[i].developer);
		CLEANUP(json_doc_freep) struct json_doc *kv = json_lit(text), *none = json_lit("{'spec':{}}");
		struct causes created = { 0 }, updated = { 0 };

		kubevirt_validate(json_root(kv), NULL, 0, &created);
		kubevirt_validate(json_root(kv), json_root(none), 1, &updated);
		assert_int_equal(created.len, rows[i].causes);
		assert_int_equal(updated.len, rows[i].causes);
		if (updated.len) {
			assert_string_equal(updated.items[0].reason, "FieldValueForbidden");
			assert_string_equal(updated.items[0].field,
				"spec.configuration.developerConfiguration.featureGates");
		}
		causes_done(&created);
		causes_done(&updated);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_of_both_strategies),
		cmocka_unit_test(dedicated_cpus_want_equal_requests_and_limits),
		cmocka_unit_test(more_sockets_than_the_maximum),
		cmocka_unit_test(guest_above_the_limit),
		cmocka_unit_test(a_template_that_is_there_is_not_judged_again),
		cmocka_unit_test(maximum_of_memory),
		cmocka_unit_test(architectures_with_memory_hotplug),
		cmocka_unit_test(defaults_are_the_instances),
		cmocka_unit_test(updates_of_an_instance),
		cmocka_unit_test(volume_requests_wait_for_a_migration),
		cmocka_unit_test(a_gate_in_both_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

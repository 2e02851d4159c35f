/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults of VMs and VMIs, and the memory hotplug check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"

#define UUID "11111111-2222-4333-8444-555555555555"
#define LIVE "'vmRolloutStrategy':'LiveUpdate'"

static const char *const empty_devices = "'devices':{}";

/* The VMI made of a spec under a configuration. */
static struct json_doc *vmi(const char *configuration, const char *arch, const char *domain)
{
	CLEANUP(mem_freep) char *conf = str_printf("{'spec':{'configuration':{%s}}}", configuration);
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'metadata':{'name':'a','namespace':'b'},'spec':{'architecture':'%s','domain':{%s%s%s}}}",
		arch, empty_devices, *domain ? "," : "", domain);
	CLEANUP(json_doc_freep) struct json_doc *cr = json_lit(conf);
	struct json_doc *d = json_lit(text);
	struct kv_config c;

	kv_config_from(json_root(cr), &c);
	const struct defaults_in in = { .config = &c, .uuid = UUID };
	vmi_default_create(d, json_root(d), &in);
	return d;
}

#define VMI(name, conf, arch, domain) CLEANUP(json_doc_freep) struct json_doc *name = vmi(conf, arch, domain)
#define AT(d, p) json_at(json_root(d), p)
#define TEXT(d, p) json_str_or(AT(d, p), "(none)")

/* rollout.md 6.23 - 6.28 */
static void sockets_get_room(void **s)
{
	VMI(two, LIVE, "amd64", "'cpu':{'sockets':2}");
	assert_int_equal(json_i64(AT(two, "/spec/domain/cpu/maxSockets")), 8);
	VMI(one, LIVE ",'liveUpdateConfiguration':{}", "amd64", "");
	assert_int_equal(json_i64(AT(one, "/spec/domain/cpu/maxSockets")), 4);
	VMI(big, LIVE, "amd64", "'cpu':{'sockets':32,'cores':2,'threads':3}");
	assert_int_equal(json_i64(AT(big, "/spec/domain/cpu/maxSockets")), 85);
	VMI(cluster, LIVE ",'liveUpdateConfiguration':{'maxCpuSockets':10,'maxHotplugRatio':2}", "amd64",
		"'cpu':{'sockets':1}");
	assert_int_equal(json_i64(AT(cluster, "/spec/domain/cpu/maxSockets")), 10);
	VMI(own, LIVE ",'liveUpdateConfiguration':{'maxCpuSockets':48}", "amd64",
		"'cpu':{'sockets':1,'maxSockets':24}");
	assert_int_equal(json_i64(AT(own, "/spec/domain/cpu/maxSockets")), 24);
	VMI(raised, LIVE ",'liveUpdateConfiguration':{'maxCpuSockets':2}", "amd64", "'cpu':{'sockets':3}");
	assert_int_equal(json_i64(AT(raised, "/spec/domain/cpu/maxSockets")), 3);
	VMI(arm, LIVE, "arm64", "'cpu':{'sockets':2}");
	assert_int_equal(json_i64(AT(arm, "/spec/domain/cpu/maxSockets")), 0);
	VMI(s390, LIVE, "s390x", "'cpu':{'sockets':2}");
	assert_int_equal(json_i64(AT(s390, "/spec/domain/cpu/maxSockets")), 8);
	VMI(request, LIVE, "amd64", "'resources':{'requests':{'cpu':'4500m'}}");
	assert_int_equal(json_i64(AT(request, "/spec/domain/cpu/sockets")), 5);
	assert_int_equal(json_i64(AT(request, "/spec/domain/cpu/maxSockets")), 20);
	/* decision 12: sockets are reserved under Stage too */
	VMI(stage, "", "amd64", "'cpu':{'sockets':2}");
	assert_int_equal(json_i64(AT(stage, "/spec/domain/cpu/maxSockets")), 8);
	/* rollout.md 2.5, last row: only a model given counts as one socket */
	VMI(model, LIVE, "amd64", "'cpu':{'model':'x'}");
	assert_int_equal(json_i64(AT(model, "/spec/domain/cpu/sockets")), 1);
}

/* rollout.md 6.49, 6.50 */
static void memory_gets_room_under_live_update(void **s)
{
	VMI(ratio, LIVE, "amd64", "'memory':{'guest':'1024Mi'}");
	assert_string_equal(TEXT(ratio, "/spec/domain/memory/maxGuest"), "4Gi");
	assert_string_equal(TEXT(ratio, "/spec/domain/memory/guest"), "1Gi");
	assert_string_equal(TEXT(ratio, "/status/memory/guestAtBoot"), "1Gi");
	assert_string_equal(TEXT(ratio, "/status/memory/guestCurrent"), "1Gi");
	assert_string_equal(TEXT(ratio, "/status/memory/guestRequested"), "1Gi");
	VMI(cluster, LIVE ",'liveUpdateConfiguration':{'maxGuest':'10Gi','maxHotplugRatio':2}", "amd64",
		"'memory':{'guest':'1Gi'}");
	assert_string_equal(TEXT(cluster, "/spec/domain/memory/maxGuest"), "10Gi");
	VMI(own, LIVE ",'liveUpdateConfiguration':{'maxGuest':'10Gi'}", "amd64",
		"'memory':{'guest':'1Gi','maxGuest':'6144Mi'}");
	assert_string_equal(TEXT(own, "/spec/domain/memory/maxGuest"), "6Gi");
	VMI(arm, LIVE, "arm64", "'memory':{'guest':'1Gi'}"); /* decision 8 */
	assert_string_equal(TEXT(arm, "/spec/domain/memory/maxGuest"), "4Gi");
	VMI(request, LIVE, "amd64", "'resources':{'requests':{'memory':'2Gi'}}");
	assert_string_equal(TEXT(request, "/spec/domain/memory/guest"), "2Gi");
	assert_string_equal(TEXT(request, "/spec/domain/memory/maxGuest"), "8Gi");
}

/* rollout.md 6.51: dropped silently, the VMI runs without */
static void room_for_memory_is_dropped_where_it_can_not_work(void **s)
{
	static const struct {
		const char *arch, *domain;
	} rows[] = {
		{ "amd64", "'memory':{'guest':'1Gi'},'cpu':{'realtime':{}}" },
		{ "amd64", "'memory':{'guest':'1Gi'},'launchSecurity':{'sev':{}}" },
		{ "amd64", "'memory':{'guest':'1Gi'},'cpu':{'numa':{'guestMappingPassthrough':{}}}" },
		{ "amd64", "'memory':{'guest':'512Mi'}" },
		{ "amd64", "'memory':{'guest':'1041Mi'}" },
		{ "amd64", "" },
		{ "s390x", "'memory':{'guest':'1Gi'}" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		VMI(d, LIVE, rows[i].arch, rows[i].domain);
		if (AT(d, "/spec/domain/memory/maxGuest"))
			fail_msg("%s", rows[i].domain);
	}
	VMI(lower, LIVE ",'liveUpdateConfiguration':{'maxGuest':'1Gi'}", "amd64", "'memory':{'guest':'2Gi'}");
	assert_null(AT(lower, "/spec/domain/memory/maxGuest"));
}

/* decision 12: under Stage room is reserved from 3GiB on, where it costs the guest nothing */
static void stage_reserves_room_only_for_large_guests(void **s)
{
	VMI(small, "", "amd64", "'memory':{'guest':'2Gi'}");
	assert_null(AT(small, "/spec/domain/memory/maxGuest"));
	VMI(large, "", "amd64", "'memory':{'guest':'3Gi'}");
	assert_string_equal(TEXT(large, "/spec/domain/memory/maxGuest"), "12Gi");
	VMI(off, LIVE ",'developerConfiguration':{'disabledFeatureGates':['VMLiveUpdateFeatures']}", "amd64",
		"'memory':{'guest':'1Gi'}"); /* decision 2 */
	assert_null(AT(off, "/spec/domain/memory/maxGuest"));
}

/* kubevirt-api.md 5 */
static void a_vmi_is_completed(void **s)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'metadata':{'name':'a'},'spec':{'architecture':'amd64','domain':{'"
				      "memory':{'guest':'1Gi'},'resources':{'limits':"
				      "{'cpu':'2'}},'devices':{'disks':[{'name':'cd','cdrom':{}}]}},'"
				      "readinessProbe':{'guestAgentPing':{}},'volumes':["
				      "{'name':'boot','containerDisk':{'image':'registry:5000/a/"
				      "b'}},{'name':'cd','containerDisk':{'image':'r:5/x:v1'}}]}}");
	struct kv_config c;
	kv_config_from(NULL, &c);
	const struct defaults_in in = { .config = &c, .uuid = UUID };
	vmi_default_create(d, json_root(d), &in);

	assert_string_equal(TEXT(d, "/metadata/finalizers/0"), "kubevirt.io/foregroundDeleteVirtualMachine");
	assert_string_equal(TEXT(d, "/status/phase"), "Pending");
	assert_int_equal(json_i64(AT(d, "/status/runtimeUser")), 107);
	assert_string_equal(TEXT(d, "/spec/domain/resources/requests/cpu"), "2");
	assert_int_equal(json_i64(AT(d, "/spec/domain/cpu/sockets")), 2);
	assert_int_equal(json_i64(AT(d, "/status/currentCPUTopology/sockets")), 2);
	assert_string_equal(TEXT(d, "/spec/domain/cpu/model"), "host-model");
	assert_string_equal(TEXT(d, "/spec/domain/machine/type"), "q35");
	assert_string_equal(TEXT(d, "/spec/domain/firmware/uuid"), UUID);
	assert_true(json_is_obj(AT(d, "/spec/domain/features/acpi")));
	assert_string_equal(TEXT(d, "/spec/networks/0/name"), "default");
	assert_true(json_is_obj(AT(d, "/spec/domain/devices/interfaces/0/bridge")));
	assert_string_equal(TEXT(d, "/spec/domain/devices/disks/0/cdrom/tray"), "closed");
	assert_true(json_bool(AT(d, "/spec/domain/devices/disks/0/cdrom/readonly")));
	assert_string_equal(TEXT(d, "/spec/domain/devices/disks/1/name"), "boot");
	assert_string_equal(TEXT(d, "/spec/domain/devices/disks/1/disk/bus"), "sata");
	assert_string_equal(TEXT(d, "/spec/volumes/0/containerDisk/imagePullPolicy"), "Always");
	assert_string_equal(TEXT(d, "/spec/volumes/1/containerDisk/imagePullPolicy"), "IfNotPresent");
	assert_string_equal(TEXT(d, "/spec/evictionStrategy"), "None");
	assert_int_equal(json_i64(AT(d, "/spec/readinessProbe/periodSeconds")), 10);

	/* A second time changes nothing. */
	CLEANUP(json_doc_freep) struct json_doc *again = json_doc_from(json_root(d));
	vmi_default_create(again, json_root(again), &in);
	assert_true(json_eq(json_root(d), json_root(again)));
}

static void a_vm_gets_its_identity_at_creation_only(void **s)
{
	static const char text[] =
		"{'metadata':{'name':'a'},'spec':{'template':{'spec':{'domain':{'devices':{}}}}}}";
	CLEANUP(json_doc_freep) struct json_doc *created = json_lit(text);
	CLEANUP(json_doc_freep) struct json_doc *updated = json_lit(text);
	CLEANUP(json_doc_freep) struct json_doc *cr = json_lit("{'status':{'defaultArchitecture':'arm64'}}");
	struct kv_config c;
	kv_config_from(json_root(cr), &c);
	const struct defaults_in in = { .config = &c, .uuid = UUID, .serial = "serial" };

	vm_default(created, json_root(created), true, &in);
	assert_string_equal(TEXT(created, "/spec/template/spec/architecture"), "arm64");
	assert_string_equal(TEXT(created, "/spec/template/spec/domain/machine/type"), "virt");
	assert_string_equal(TEXT(created, "/spec/template/spec/domain/firmware/uuid"), UUID);
	assert_string_equal(TEXT(created, "/spec/template/spec/domain/firmware/serial"), "serial");
	assert_string_equal(
		TEXT(created, "/spec/template/metadata/annotations/kubevirt.io~1pci-topology-version"), "v3");
	assert_null(AT(created, "/spec/template/spec/domain/memory"));
	vm_default(updated, json_root(updated), false, &in);
	assert_null(AT(updated, "/spec/template/spec/domain/firmware"));
	assert_string_equal(TEXT(updated, "/spec/template/spec/domain/machine/type"), "virt");
}

/* A manifest that does not have what its VM was given at its creation (kubectl replace): the guest stays who it is, and nothing
 * needs a restart. rollout.md 6.16 */
static void a_vm_keeps_its_identity_when_it_is_replaced(void **s)
{
	static const char text[] =
		"{'metadata':{'name':'a'},'spec':{'template':{'spec':{'domain':{'devices':{}}}}}}";
	static const char own[] = "{'metadata':{'name':'a'},'spec':{'template':{'metadata':{'annotations':{"
				  "'kubevirt.io/pci-topology-version':'v2'}},'spec':{'domain':{'devices':{},"
				  "'firmware':{'uuid':'mine'}}}}}}";
	CLEANUP(json_doc_freep) struct json_doc *old = json_lit(text), *bare = json_lit(text);
	CLEANUP(json_doc_freep) struct json_doc *given = json_lit(own);
	struct kv_config c;
	kv_config_from(NULL, &c);
	struct defaults_in in = { .config = &c, .uuid = UUID, .serial = "serial" };

	vm_default(old, json_root(old), true, &in);
	in = (struct defaults_in){ .config = &c, .uuid = "other", .serial = "other", .old = json_root(old) };
	vm_default(bare, json_root(bare), false, &in);
	assert_true(json_eq(json_root(bare), json_root(old)));

	vm_default(given, json_root(given), false, &in);
	assert_string_equal(TEXT(given, "/spec/template/spec/domain/firmware/uuid"), "mine");
	assert_string_equal(TEXT(given, "/spec/template/spec/domain/firmware/serial"), "serial");
	assert_string_equal(
		TEXT(given, "/spec/template/metadata/annotations/kubevirt.io~1pci-topology-version"), "v2");
}

/* rollout.md 4.2: first failure wins, in this order */
static void memory_check_answers_in_order(void **s)
{
	static const struct {
		const char *domain, *arch;
		int64_t guest, max;
		const char *text; /* NULL: allowed */
	} rows[] = {
		{ "{}", "amd64", 1LL << 30, 4LL << 30, NULL },
		{ "{}", "arm64", 1LL << 30, 4LL << 30, NULL },
		{ "{'cpu':{'realtime':{}},'launchSecurity':{}}", "amd64", -1, -1,
			"Memory hotplug is not compatible with realtime VMs" },
		{ "{'cpu':{'numa':{'guestMappingPassthrough':{}}},'launchSecurity':{}}", "amd64", 1, 1,
			"Memory hotplug is not compatible with guest mapping passthrough" },
		{ "{'launchSecurity':{}}", "s390x", -1, -1,
			"Memory hotplug is not compatible with encrypted VMs" },
		{ "{}", "amd64", -1, -1, "Guest memory must be configured when memory hotplug is enabled" },
		{ "{}", "amd64", 1LL << 30, -1,
			"Max guest memory must be configured when memory hotplug is enabled" },
		{ "{}", "amd64", 2LL << 30, 1LL << 30,
			"Guest memory is greater than the configured maxGuest memory" },
		{ "{}", "amd64", 1041LL << 20, 4LL << 30, "Guest memory must be 2Mi aligned" },
		{ "{}", "amd64", 1042LL << 20, (4LL << 30) + 1, "MaxGuest must be 2Mi aligned" },
		/* 6.53 */
		{ "{'memory':{'hugepages':{'pageSize':'1Gi'}}}", "amd64", 2000000000, 16LL << 30,
			"Guest memory must be 1Gi aligned" },
		{ "{'memory':{'hugepages':{'pageSize':'1Gi'}}}", "amd64", 2LL << 30, (16LL << 30) + (2 << 20),
			"MaxGuest must be 1Gi aligned" },
		{ "{}", "s390x", 512LL << 20, 4LL << 30,
			"Memory hotplug is only available for x86_64 and arm64 VMs" },
		{ "{}", "amd64", 512LL << 20, 4LL << 30,
			"Memory hotplug is only available for VMs with at least 1Gi of guest memory" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_lit(rows[i].domain);
		const char *got =
			memory_hotplug_check(json_root(d), rows[i].arch, rows[i].guest, rows[i].max);
		if (!str_eq(got, rows[i].text))
			fail_msg("row %zu: %s", i, got ? got : "(allowed)");
	}
}

static void vcpus_count_zero_as_one_and_do_not_overflow(void **s)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'sockets':0,'cores':2,'threads':3}");
	assert_int_equal(vcpu_count(NULL), 1);
	assert_int_equal(vcpu_count(json_root(d)), 6);
	CLEANUP(json_doc_freep)
	struct json_doc *huge = json_lit("{'sockets':4294967295,'cores':4294967295,'threads':4294967295}");
	assert_true(vcpu_count(json_root(huge)) == INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_get_room),
		cmocka_unit_test(memory_gets_room_under_live_update),
		cmocka_unit_test(room_for_memory_is_dropped_where_it_can_not_work),
		cmocka_unit_test(stage_reserves_room_only_for_large_guests),
		cmocka_unit_test(a_vmi_is_completed),
		cmocka_unit_test(a_vm_gets_its_identity_at_creation_only),
		cmocka_unit_test(a_vm_keeps_its_identity_when_it_is_replaced),
		cmocka_unit_test(memory_check_answers_in_order),
		cmocka_unit_test(vcpus_count_zero_as_one_and_do_not_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

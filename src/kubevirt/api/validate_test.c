/* SPDX-License-Identifier: Apache-2.0 */
/* What admission refuses, with the text and the field clients see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/validate.h"

#define LIVE "'vmRolloutStrategy':'LiveUpdate'"
#define OK NULL

/* A VM whose template.spec is `spec` (without braces), under a configuration; expects one cause or none. */
static void expect(const char *configuration, const char *spec, const char *field, const char *text)
{
	CLEANUP(mem_freep) char *conf = str_printf("{'spec':{'configuration':{%s}}}", configuration);
	CLEANUP(mem_freep)
	char *vm = str_printf(
		"{'metadata':{'name':'a'},'spec':{'runStrategy':'Halted','template':{'spec':{%s}}}}", spec);
	CLEANUP(json_doc_freep) struct json_doc *cr = json_lit(conf);
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(vm);
	struct causes causes = { 0 };
	struct kv_config c;

	kv_config_from(json_root(cr), &c);
	vm_validate(json_root(d), NULL, &c, &causes);
	if (!field && causes.len)
		fail_msg("%s: refused: %s: %s", spec, causes.items[0].field, causes.items[0].message);
	if (field && causes.len != 1)
		fail_msg("%s: %zu causes, first: %s", spec, causes.len,
			causes.len ? causes.items[0].message : "");
	if (field && (!str_eq(causes.items[0].field, field) || !strstr(causes.items[0].message, text)))
		fail_msg("%s: %s: %s", spec, causes.items[0].field, causes.items[0].message);
	causes_done(&causes);
}

#define DOMAIN "spec.template.spec.domain."
#define GUEST "'domain':{'devices':{},'memory':{'guest':'1Gi'}}"

static void cpus(void **s)
{
	/* rollout.md 6.29 */
	expect("", "'domain':{'devices':{},'memory':{'guest':'1Gi'},'cpu':{'sockets':16,'maxSockets':8}}",
		DOMAIN "cpu.sockets",
		"Number of sockets in CPU topology is greater than the maximum sockets allowed");
	expect("", "'domain':{'devices':{},'memory':{'guest':'1Gi'},'cpu':{'sockets':8,'maxSockets':8}}", OK,
		OK);
	expect("",
		"'domain':{'devices':{},'memory':{'guest':'1Gi'},'resources':{'requests':{'cpu':'2'},'limits'"
		":{'cpu':'1'}}}",
		DOMAIN "resources.requests.cpu",
		"is greater than spec.template.spec.domain.resources.limits.cpu '1'");
	expect("",
		"'domain':{'devices':{},'memory':{'guest':'1Gi'},'cpu':{'dedicatedCpuPlacement':true,'cores':"
		"2},"
		"'resources':{'limits':{'cpu':'3'}}}",
		DOMAIN "cpu.dedicatedCpuPlacement", "must equal the number of vCPUs (2)");
	expect("",
		"'domain':{'devices':{},'memory':{'guest':'1Gi'},'cpu':{'features':[{'name':'x','policy':'"
		"maybe'}]}}",
		DOMAIN "cpu.features[0].policy", "CPU feature x uses policy maybe that is not supported.");
}

static void memory(void **s)
{
	expect("", "'domain':{'devices':{}}", DOMAIN "memory",
		"no memory requested, at least one of 'spec.template.spec.domain.memory.guest', "
		"'spec.template.spec.domain.memory.hugepages.pageSize' or "
		"'spec.template.spec.domain.resources.requests.memory' must be set");
	expect("", "'domain':{'devices':{},'resources':{'requests':{'memory':'64Mi'}}}", OK, OK);
	expect("",
		"'domain':{'devices':{},'resources':{'requests':{'memory':'2Gi'},'limits':{'memory':'1Gi'}},'"
		"memory':{'guest':'1Gi'}}",
		DOMAIN "resources.requests.memory", "is greater than");
	/* rollout.md 4.1: guest above the limit only under Stage */
	expect("", "'domain':{'devices':{},'memory':{'guest':'2Gi'},'resources':{'limits':{'memory':'1Gi'}}}",
		DOMAIN "memory.guest",
		"'2Gi' must be equal to or less than the memory limit "
		"spec.template.spec.domain.resources.limits.memory '1Gi'");
	expect(LIVE,
		"'domain':{'devices':{},'memory':{'guest':'2Gi'},'resources':{'limits':{'memory':'1Gi'}}}",
		OK, OK);
	expect("", "'domain':{'devices':{},'memory':{'guest':'3Mi','hugepages':{'pageSize':'2Mi'}}}",
		DOMAIN "resources.requests.memory", "is not a multiple of the page size");
}

/* rollout.md 6.52, 6.53, and the paragraph below 4.1 */
static void a_given_maximum_must_be_possible_under_live_update(void **s)
{
	static const char *const bad[][2] = {
		{ "'memory':{'guest':'2Gi','maxGuest':'1Gi'}",
			"Guest memory is greater than the configured maxGuest memory" },
		{ "'memory':{'guest':'1041Mi','maxGuest':'4Gi'}", "Guest memory must be 2Mi aligned" },
		{ "'memory':{'guest':'1Gi','maxGuest':'4097Mi'}", "MaxGuest must be 2Mi aligned" },
		{ "'memory':{'guest':'512Mi','maxGuest':'4Gi'}", "at least 1Gi of guest memory" },
		{ "'memory':{'guest':'1Gi','maxGuest':'4Gi'},'launchSecurity':{'sev':{}}", "encrypted VMs" },
		{ "'memory':{'guest':'2G','maxGuest':'16Gi','hugepages':{'pageSize':'1Gi'}},'resources':{'"
		  "requests':{'memory':'1Gi'}}",
			"Guest memory must be 1Gi aligned" },
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(mem_freep)
		char *spec = str_printf("'architecture':'amd64','domain':{'devices':{},%s}", bad[i][0]);
		expect(LIVE, spec, DOMAIN "memory.guest", bad[i][1]);
		expect("", spec, OK, OK); /* Stage */
	}
	/* Without a maximum of its own the VM is accepted: the VM controller reports it (H7). */
	expect(LIVE, "'domain':{'devices':{},'memory':{'guest':'1041Mi'}}", OK, OK);
}

static void disks_and_volumes(void **s)
{
	static const char *const rows[][4] = {
		{ "{'name':'a','disk':{'bus':'virtio'}}", "{'name':'a','emptyDisk':{'capacity':'1Gi'}}", NULL,
			NULL },
		{ "{'name':'b','disk':{}}", "{'name':'a','emptyDisk':{'capacity':'1Gi'}}",
			DOMAIN "devices.disks[0].name", DOMAIN "devices.disks[0].name 'b' not found." },
		{ "{'name':'a'},{'name':'a'}", "{'name':'a','emptyDisk':{'capacity':'1Gi'}}",
			DOMAIN "devices.disks[0].name", "must not have the same Name." },
		{ "{'name':'a','disk':{'bus':'ide'}}", "{'name':'a','emptyDisk':{'capacity':'1Gi'}}",
			DOMAIN "devices.disks[0].disk.bus", "IDE bus is not supported" },
		{ "{'name':'a','disk':{'bus':'floppy'}}", "{'name':'a','emptyDisk':{'capacity':'1Gi'}}",
			DOMAIN "devices.disks[0].disk.bus", "must be one of: [virtio scsi sata usb]" },
		{ "{'name':'a','bootOrder':0}", "{'name':'a','emptyDisk':{'capacity':'1Gi'}}",
			DOMAIN "devices.disks[0].bootOrder", "must have a boot order > 0" },
		{ "{'name':'a','bootOrder':1},{'name':'b','bootOrder':1}",
			"{'name':'a','emptyDisk':{'capacity':'1Gi'}},{'name':'b','emptyDisk':{'capacity':'"
			"1Gi'}}",
			DOMAIN "devices.disks[1].bootOrder", "already set for a different device." },
		{ "{'name':'a','cache':'never'}", "{'name':'a','emptyDisk':{'capacity':'1Gi'}}",
			DOMAIN "devices.disks[0].cache", "has invalid value never" },
		{ "", "{'name':'a'}", "spec.template.spec.volumes[0]",
			"must have exactly one source type set" },
		{ "", "{'name':'a','emptyDisk':{'capacity':'1Gi'},'secret':{'secretName':'x'}}",
			"spec.template.spec.volumes[0]", "must have exactly one source type set" },
		{ "", "{'name':'a','hostDisk':{'path':'/x','type':'Disk'}}", "spec.template.spec.volumes[0]",
			"HostDisk feature gate is not enabled" },
		{ "", "{'name':'a','cloudInitNoCloud':{}}", "spec.template.spec.volumes[0].cloudInitNoCloud",
			"must have at least one userdatasource or one networkdatasource set." },
		{ "", "{'name':'a','cloudInitNoCloud':{'userDataBase64':'###'}}",
			"spec.template.spec.volumes[0].cloudInitNoCloud",
			"userDataBase64 is not a valid base64 value." },
		{ "", "{'name':'a','configMap':{}}", "spec.template.spec.volumes[0].configMap.name",
			"is a required field" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep)
		char *spec = str_printf(
			"'domain':{'memory':{'guest':'1Gi'},'devices':{'disks':[%s]}},'volumes':[%s]",
			rows[i][0], rows[i][1]);
		expect("", spec, rows[i][2], rows[i][3]);
	}
}

static void inline_cloud_init_is_bounded(void **s)
{
	char long_text[2100];
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = 0;
	CLEANUP(mem_freep)
	char *spec =
		str_printf(GUEST ",'volumes':[{'name':'a','cloudInitNoCloud':{'userData':'%s'}}]", long_text);
	expect("", spec, "spec.template.spec.volumes[0].cloudInitNoCloud",
		"userdata exceeds 2048 byte limit. Should use UserDataSecretRef for larger data.");
}

static void networks(void **s)
{
	static const char *const rows[][4] = {
		{ "{'name':'d','masquerade':{}}", "{'name':'d','pod':{}}", NULL, NULL },
		{ "{'name':'d','masquerade':{}}", "{'name':'d','multus':{'networkName':'x'}}",
			DOMAIN "devices.interfaces[0].name",
			"Masquerade interface only implemented with pod network" },
		{ "{'name':'d'}", "{'name':'d','pod':{}}", DOMAIN "devices.interfaces[0]",
			"must have exactly one binding method" },
		{ "{'name':'d','masquerade':{},'bridge':{}}", "{'name':'d','pod':{}}",
			DOMAIN "devices.interfaces[0]", "must have exactly one binding method" },
		{ "{'name':'d','masquerade':{},'macAddress':'02:00:00:00:00:00'}", "{'name':'d','pod':{}}",
			DOMAIN "devices.interfaces[0].macAddress", "reserved for the in-pod bridge" },
		{ "{'name':'d','masquerade':{},'macAddress':'nonsense'}", "{'name':'d','pod':{}}",
			DOMAIN "devices.interfaces[0].macAddress", "malformed MAC address" },
		{ "{'name':'d','masquerade':{},'model':'tulip'}", "{'name':'d','pod':{}}",
			DOMAIN "devices.interfaces[0].model", "uses model tulip that is not supported." },
		{ "{'name':'d','masquerade':{},'ports':[{'port':70000}]}", "{'name':'d','pod':{}}",
			DOMAIN "devices.interfaces[0].ports[0].port",
			"Port field must be in range 0 < x < 65536." },
		{ "{'name':'d','masquerade':{},'ports':[{'name':'a','port':1},{'name':'a','port':2}]}",
			"{'name':'d','pod':{}}", DOMAIN "devices.interfaces[0].ports[1].name",
			"Duplicate name of the port: a" },
		{ "{'name':'d','bridge':{},'state':'absent'}", "{'name':'d','multus':{'networkName':'x'}}",
			NULL, NULL },
		{ "{'name':'d','masquerade':{},'state':'down'}", "{'name':'d','pod':{}}", NULL, NULL },
		{ "{'name':'d','binding':{'name':'x'},'state':'absent'}",
			"{'name':'d','multus':{'networkName':'x'}}", DOMAIN "devices.interfaces[0].state",
			"\"d\" interface's state \"absent\" is supported only for bridge binding" },
		{ "{'name':'d','bridge':{},'state':'absent'}", "{'name':'d','pod':{}}",
			DOMAIN "devices.interfaces[0].state",
			"\"d\" interface's state \"absent\" is not supported on default networks" },
		{ "{'name':'d','sriov':{},'state':'down'}", "{'name':'d','multus':{'networkName':'x'}}",
			DOMAIN "devices.interfaces[0].state",
			"\"d\" interface's state \"down\" is not supported for SR-IOV NICs" },
		{ "{'name':'d','bridge':{},'state':'sideways'}", "{'name':'d','pod':{}}",
			DOMAIN "devices.interfaces[0].state", "state value is invalid: sideways" },
		{ "{'name':'d','masquerade':{},'pciAddress':'0000:81:00.8'}", "{'name':'d','pod':{}}",
			DOMAIN "devices.interfaces[0].pciAddress",
			"has malformed PCI address (0000:81:00.8)." },
		{ "{'name':'d','masquerade':{},'pciAddress':'0000:81:00.1'}", "{'name':'d','pod':{}}", NULL,
			NULL },
		{ "{'name':'d','bridge':{},'dhcpOptions':{'privateOptions':[{'option':223,'value':'a'}]}}",
			"{'name':'d','pod':{}}", DOMAIN "devices.interfaces[0].dhcpOptions",
			"must be in range 224 to 254" },
		{ "{'name':'d','bridge':{},'dhcpOptions':{'privateOptions':[{'option':240,'value':'a'},{'"
		  "option':240,"
		  "'value':'b'}]}}",
			"{'name':'d','pod':{}}", DOMAIN "devices.interfaces[0].dhcpOptions",
			"Found Duplicates" },
		{ "{'name':'d','bridge':{},'dhcpOptions':{'ntpServers':['time.example']}}",
			"{'name':'d','pod':{}}", DOMAIN "devices.interfaces[0].dhcpOptions.ntpServers[0]",
			"valid IPv4 addresses" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep)
		char *spec = str_printf(
			"'domain':{'memory':{'guest':'1Gi'},'devices':{'interfaces':[%s]}},'networks':[%s]",
			rows[i][0], rows[i][1]);
		expect("", spec, rows[i][2], rows[i][3]);
	}
}

static void machine_firmware_probes_and_names(void **s)
{
	expect("",
		"'architecture':'amd64','domain':{'devices':{},'memory':{'guest':'1Gi'},'machine':{'type':'"
		"pc-i440fx'}}",
		DOMAIN "machine.type",
		"spec.template.spec.domain.machine.type is not supported: pc-i440fx (allowed values: [q35* "
		"pc-q35*])");
	expect("", "'architecture':'vax'," GUEST, "spec.template.spec.architecture",
		"unsupported architecture: vax");
	expect("",
		"'domain':{'devices':{},'memory':{'guest':'1Gi'},'firmware':{'bootloader':{'bios':{},'efi':{'"
		"secureBoot':false}}}}",
		DOMAIN "firmware.bootloader", "mutually exclusive");
	expect("", "'domain':{'devices':{},'memory':{'guest':'1Gi'},'firmware':{'bootloader':{'efi':{}}}}",
		DOMAIN "firmware", "SecureBoot requires SMM, which is currently disabled.");
	expect("", "'domain':{'devices':{'inputs':[{'name':'a','type':'mouse'}]},'memory':{'guest':'1Gi'}}",
		DOMAIN "devices.inputs[0]", "Input device can have only tablet type.");
	expect("", GUEST ",'readinessProbe':{'exec':{},'guestAgentPing':{}}",
		"spec.template.spec.readinessProbe", "must have exactly one probe type set");
	expect("", GUEST ",'evictionStrategy':'Perhaps'", "spec.template.spec.evictionStrategy",
		"spec.template.spec.evictionStrategy is set with an unrecognized option: Perhaps");
	expect("", GUEST ",'hostname':'Not_A_Label'", "spec.template.spec.hostname", "DNS_LABEL");
	expect("", GUEST ",'terminationGracePeriodSeconds':-1",
		"spec.template.spec.terminationGracePeriodSeconds", "greater than");
}

static void vm_case(const char *spec, const char *field, const char *text)
{
	CLEANUP(mem_freep) char *vm = str_printf("{'metadata':{'name':'a'},'spec':{%s}}", spec);
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(vm);
	struct causes causes = { 0 };
	struct kv_config c;
	kv_config_from(NULL, &c);
	vm_validate(json_root(d), NULL, &c, &causes);
	assert_int_equal(causes.len, field ? 1 : 0);
	if (field) {
		assert_string_equal(causes.items[0].field, field);
		assert_string_equal(causes.items[0].message, text);
	}
	causes_done(&causes);
}

/* What would be refused in the pod of the next start, if it were let through here (rollout.md 3.4). */
static void placement_that_no_pod_can_have(void **s)
{
#define AT "spec.template.spec."
#define REQUIRED "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED "preferredDuringSchedulingIgnoredDuringExecution"
#define NODES(terms) GUEST ",'affinity':{'nodeAffinity':{'" REQUIRED "':{'nodeSelectorTerms':[" terms "]}}}"
#define DEMAND(key, op, values) "{'matchExpressions':[{'key':'" key "','operator':'" op "'" values "}]}"
#define NODE_TERMS AT "affinity.nodeAffinity." REQUIRED ".nodeSelectorTerms"
#define PODS(part, term) GUEST ",'affinity':{'" part "':{'" REQUIRED "':[" term "]}}"
#define TOLERATES(what) GUEST ",'tolerations':[{" what "}]"
#define SPREADS(what) GUEST ",'topologySpreadConstraints':[{" what "}]"
	static const struct {
		const char *spec, *field, *text;
	} rows[] = {
		{ GUEST ",'nodeSelector':{'a.b/c':'d','e':''}", OK, OK },
		{ GUEST ",'nodeSelector':{'a b':'c'}", AT "nodeSelector",
			"'a b', which is no valid label key" },
		{ GUEST ",'nodeSelector':{'a':'b c'}", AT "nodeSelector",
			"'b c', which is no valid label value" },
		{ GUEST ",'affinity':{'nodeAffinity':{},'podAffinity':null}", OK, OK },
		{ NODES(DEMAND("a", "In", ",'values':['b']") "," DEMAND("a", "Gt", ",'values':['1']")), OK,
			OK },
		{ NODES("{'matchFields':[{'key':'metadata.name','operator':'In','values':['n']}]}"), OK, OK },
		{ NODES(""), NODE_TERMS, "must have at least one node selector term" },
		{ NODES(DEMAND("a", "Bar", "")), NODE_TERMS "[0].matchExpressions[0].operator",
			"'Bar' is not a valid selector operator" },
		{ NODES(DEMAND("a", "In", "")), NODE_TERMS "[0].matchExpressions[0].values",
			"must be specified when `operator` is 'In' or 'NotIn'" },
		{ NODES(DEMAND("a", "Exists", ",'values':['b']")),
			NODE_TERMS "[0].matchExpressions[0].values", "may not be specified" },
		{ NODES(DEMAND("a", "Lt", ",'values':['1','2']")),
			NODE_TERMS "[0].matchExpressions[0].values", "single value" },
		{ NODES(DEMAND("", "Exists", "")), NODE_TERMS "[0].matchExpressions[0].key",
			"no valid label key" },
		{ GUEST ",'affinity':{'nodeAffinity':{'" PREFERRED
			"':[{'weight':0,'preference':" DEMAND("a", "Exists", "") "}]}}",
			AT "affinity.nodeAffinity." PREFERRED "[0].weight", "must be in the range 1-100" },
		{ PODS("podAffinity", "{'topologyKey':'kubernetes.io/hostname'}"), OK, OK },
		{ PODS("podAntiAffinity", "{'topologyKey':''}"),
			AT "affinity.podAntiAffinity." REQUIRED "[0].topologyKey", "can not be empty" },
		{ PODS("podAffinity",
			  "{'topologyKey':'z','labelSelector':" DEMAND("a", "Gt", ",'values':['1']") "}"),
			AT "affinity.podAffinity." REQUIRED "[0].labelSelector.matchExpressions[0].operator",
			"'Gt' is not a valid selector operator" },
		{ GUEST ",'affinity':{'podAffinity':{'" PREFERRED
			"':[{'weight':1,'podAffinityTerm':{'topologyKey':'a b'}}]}}",
			AT "affinity.podAffinity." PREFERRED "[0].podAffinityTerm.topologyKey",
			"no valid label key" },
		{ TOLERATES("'operator':'Exists'"), OK, OK },
		{ TOLERATES("'key':'a','value':'b','effect':'NoExecute','tolerationSeconds':5"), OK, OK },
		{ TOLERATES("'key':'a','operator':'Foo'"), AT "tolerations[0].operator",
			"neither Equal nor Exists" },
		{ TOLERATES("'value':'a'"), AT "tolerations[0].operator",
			"must be Exists when `key` is empty" },
		{ TOLERATES("'key':'a','operator':'Exists','value':'b'"), AT "tolerations[0].operator",
			"goes with an empty `value` only" },
		{ TOLERATES("'key':'a','effect':'Never'"), AT "tolerations[0].effect", "'Never' is none of" },
		{ TOLERATES("'key':'a','effect':'NoSchedule','tolerationSeconds':5"),
			AT "tolerations[0].effect", "must be 'NoExecute'" },
		{ SPREADS("'maxSkew':1,'topologyKey':'zone','whenUnsatisfiable':'ScheduleAnyway'"), OK, OK },
		{ SPREADS("'maxSkew':0,'topologyKey':'zone','whenUnsatisfiable':'ScheduleAnyway'"),
			AT "topologySpreadConstraints[0].maxSkew", "must be greater than zero" },
		{ SPREADS("'maxSkew':1,'topologyKey':'zone','whenUnsatisfiable':'Perhaps'"),
			AT "topologySpreadConstraints[0].whenUnsatisfiable", "'Perhaps' is neither" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect("", rows[i].spec, rows[i].field, rows[i].text);
}

static void run_strategy_is_given_once(void **s)
{
	vm_case("'running':true,'template':{'spec':{" GUEST "}}", NULL, NULL);
	vm_case("'running':true,'runStrategy':'Always','template':{'spec':{" GUEST "}}", "spec.running",
		"Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use "
		"RunStrategy instead");
	vm_case("'template':{'spec':{" GUEST "}}", "spec.running", "RunStrategy must be specified");
	vm_case("'runStrategy':'Often','template':{'spec':{" GUEST "}}", "spec.runStrategy",
		"Invalid RunStrategy (Often)");
	vm_case("'runStrategy':'Always','template':{'metadata':{'labels':{'a':1}},'spec':{" GUEST "}}",
		"spec.template.metadata.labels",
		"spec.template.metadata.labels must be an object of strings");
	vm_case("'runStrategy':'Always'", "spec.template", "missing virtual machine template.");
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'spec':{'running':false}}");
	struct strv w = { 0 };
	vm_warnings(json_root(d), &w);
	assert_string_equal(w.items[0], "spec.running is deprecated, please use spec.runStrategy instead.");
	strv_done(&w);
}

static void annotations_that_will_do_nothing_draw_a_warning(void **s)
{
	static const struct {
		const char *annotations, *part;
	} rows[] = {
		{ "'coracle.dev/memory-floor':'1Gi','coracle.dev/memory-room':'8Gi'", NULL },
		{ "'coracle.dev/memory-floor':'512Mi'", "memory-floor has no effect" },
		{ "'coracle.dev/memory-floor':'1025Mi'", "memory-floor has no effect" },
		{ "'coracle.dev/memory-floor':'2Gi'", "memory-floor has no effect" },
		{ "'coracle.dev/memory-room':'4Gi'", "memory-room has no effect" },
		{ "'coracle.dev/memory-room':'much'", "memory-room has no effect" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(strv_done) struct strv w = { 0 };
		CLEANUP(mem_freep)
		char *text =
			str_printf("{'spec':{'template':{'metadata':{'annotations':{%s}},'spec':{'domain':{"
				   "'memory':{'guest':'2Gi','maxGuest':'4Gi'}}}}}}",
				rows[i].annotations);
		CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);

		vm_warnings(json_root(d), &w);
		assert_int_equal(w.len, rows[i].part ? 1 : 0);
		if (rows[i].part)
			assert_non_null(strstr(w.items[0], rows[i].part));
	}
}

static void an_object_on_its_way_out_is_let_go(void **s)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit(
		"{'metadata':{'name':'a','deletionTimestamp':'2026-01-01T00:00:00Z'},'spec':{'running':1}}");
	CLEANUP(json_doc_freep) struct json_doc *old = json_lit("{'metadata':{'name':'a'},'spec':{}}");
	struct causes causes = { 0 };
	struct kv_config c;
	kv_config_from(NULL, &c);
	vm_validate(json_root(d), json_root(old), &c, &causes);
	assert_int_equal(causes.len, 0);
}

/* rollout.md 4.3 */
static void vmi_updates_are_restricted(void **s)
{
	static const char text[] =
		"{'metadata':{'labels':{}},'spec':{'domain':{'cpu':{'maxSockets':4},'memory':{'guest':'1Gi',"
		"'maxGuest':'4Gi'}}}}";
	CLEANUP(json_doc_freep) struct json_doc *old = json_lit(text);
	CLEANUP(json_doc_freep) struct json_doc *grown = json_lit(text);
	CLEANUP(json_doc_freep) struct json_doc *maxima = json_lit(text);
	CLEANUP(json_doc_freep) struct json_doc *label = json_lit(text);
	struct causes c = { 0 };

	json_put_str(grown, json_root(grown), "/spec/domain/memory/guest", "2Gi");
	vmi_validate_update(json_root(grown), json_root(old), false, &c);
	assert_int_equal(c.len, 1);
	assert_string_equal(c.items[0].message, "update of VMI object is restricted");
	assert_string_equal(c.items[0].reason, "FieldValueNotSupported");
	causes_done(&c);
	vmi_validate_update(json_root(grown), json_root(old), true, &c);
	assert_int_equal(c.len, 0);
	json_put_str(maxima, json_root(maxima), "/spec/domain/memory/maxGuest", "8Gi");
	json_put(maxima, json_root(maxima), "/spec/domain/cpu/maxSockets", json_new_i64(maxima, 8));
	vmi_validate_update(json_root(maxima), json_root(old), true, &c);
	assert_int_equal(c.len, 2);
	assert_string_equal(c.items[0].message, "CPU topology maxSockets changed");
	assert_string_equal(c.items[1].message, "Memory maxGuest changed");
	causes_done(&c);
	/* The same amount written otherwise is no change. */
	json_put_str(maxima, json_root(maxima), "/spec/domain/memory/maxGuest", "4096Mi");
	json_put(maxima, json_root(maxima), "/spec/domain/cpu/maxSockets", json_new_i64(maxima, 4));
	vmi_validate_update(json_root(maxima), json_root(old), true, &c);
	assert_int_equal(c.len, 0);
	json_put_str(label, json_root(label), "/metadata/labels/kubevirt.io~1nodeName", "x");
	vmi_validate_update(json_root(label), json_root(old), false, &c);
	assert_int_equal(c.len, 1);
	causes_done(&c);
}

static void migrations_are_checked_against_the_instance(void **s)
{
	CLEANUP(json_doc_freep)
	struct json_doc *m =
		json_lit("{'metadata':{'name':'m','namespace':'ns','uid':'1'},'spec':{'vmiName':'vmi'}}");
	CLEANUP(json_doc_freep) struct json_doc *running = json_lit("{'status':{'phase':'Running'}}");
	CLEANUP(json_doc_freep) struct json_doc *done = json_lit("{'status':{'phase':'Failed'}}");
	CLEANUP(json_doc_freep)
	struct json_doc *stuck = json_lit("{'status':{'phase':'Running','conditions':[{'type':'"
					  "LiveMigratable','status':'False','reason':'R','message':'M'}]}}");
	CLEANUP(json_doc_freep)
	struct json_doc *others =
		json_lit("[{'metadata':{'uid':'7'},'spec':{'vmiName':'vmi'},'status':{'phase':'Succeeded'}},"
			 "{'metadata':{'uid':'8'},'spec':{'vmiName':'vmi'},'status':{'phase':'Running'}}]");
	struct causes c = { 0 };

	CLEANUP(json_doc_freep)
	struct json_doc *moves = json_lit(
		"{'status':{'phase':'Running','conditions':[{'type':'LiveMigratable','status':'False',"
		"'reason':'DisksNotLiveMigratable'},{'type':'VolumesChange','status':'True'}]}}");

	vmim_validate_create(json_root(m), json_root(running), NULL, &c);
	assert_int_equal(c.len, 0);
	vmim_validate_create(json_root(m), json_root(moves), NULL, &c); /* rollout.md 3.1 */
	assert_int_equal(c.len, 0);
	vmim_validate_create(json_root(m), NULL, NULL, &c);
	vmim_validate_create(json_root(m), json_root(done), NULL, &c);
	vmim_validate_create(json_root(m), json_root(stuck), NULL, &c);
	vmim_validate_create(json_root(m), json_root(running), json_root(others), &c);
	assert_int_equal(c.len, 4);
	assert_string_equal(c.items[0].message, "the VMI \"ns/vmi\" does not exist");
	assert_string_equal(c.items[1].message, "Cannot migrate VMI in finalized state.");
	assert_string_equal(c.items[2].message, "Cannot migrate VMI, Reason: R, Message: M");
	assert_string_equal(c.items[3].message, "in-flight migration detected. Active migration job (8) is "
						"currently already in progress for VMI vmi.");
	causes_done(&c);
}

static void accounts_of_kubevirt_are_known(void **s)
{
	assert_true(is_kubevirt_account("system:serviceaccount:kubevirt:kubevirt-controller", "kubevirt"));
	assert_false(is_kubevirt_account("system:serviceaccount:kubevirt2:kubevirt-controller", "kubevirt"));
	assert_false(is_kubevirt_account("system:serviceaccount:default:default", "kubevirt"));
	assert_false(is_kubevirt_account("kubevirt-controller", "kubevirt"));
}

/* ---- any type anywhere: mutating admission sees objects before the schema does ---- */

static void try_everything(const struct json *vm)
{
	struct kv_config c;
	const struct defaults_in in = { .config = &c, .uuid = "u", .serial = "s" };
	struct causes causes = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *as_vm = json_doc_from(vm);
	CLEANUP(json_doc_freep) struct json_doc *as_vmi = json_doc_new();
	struct json *vmi = json_new_obj(as_vmi);

	kv_config_from(NULL, &c);
	vm_validate(vm, NULL, &c, &causes);
	vm_default(as_vm, json_root(as_vm), true, &in);
	json_set_root(as_vmi, vmi);
	json_set_copy(as_vmi, vmi, "spec", json_at(vm, "/spec/template/spec"));
	vmi_validate_create(vmi, &c, false, &causes);
	vmi_default_create(as_vmi, vmi, &in);
	causes_done(&causes);
}

/* The value put in place of another is still there after defaulting: a wrong type is the schema's to refuse. */
static void still_there(const struct json *vm, const char *pointer, const struct json *value)
{
	struct kv_config c;
	const struct defaults_in in = { .config = &c, .uuid = "u", .serial = "s" };
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(vm);

	kv_config_from(NULL, &c);
	vm_default(d, json_root(d), true, &in);
	if (json_is_obj(json_at(json_root(d), "/spec/template/spec")))
		vmi_default_spec(d, json_at(json_root(d), "/spec/template/spec"), &in);
	if (!json_eq(json_at(json_root(d), pointer), value))
		fail_msg("%s was replaced", pointer);
}

static void substitute(
	const struct json *vm, const struct json *at, struct str *pointer, const struct json *values)
{
	JSON_EACH (v, values) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(vm);
		if (!pointer->len)
			break;
		json_put(d, json_root(d), pointer->data, json_copy(d, v.val));
		try_everything(json_root(d));
		if (str_eq(json_str(v.val), "x") && str_starts(pointer->data, "/spec"))
			still_there(json_root(d), pointer->data, v.val);
	}
	JSON_EACH (it, at) {
		size_t before = pointer->len;
		if (it.key)
			json_pointer_add(pointer, it.key);
		else
			str_addf(pointer, "/%zu", it.i);
		substitute(vm, it.val, pointer, values);
		pointer->len = before;
		pointer->data[before] = 0;
	}
}

static void any_type_anywhere_is_survived_and_kept(void **s)
{
	CLEANUP(json_doc_freep)
	struct json_doc *values = json_lit("[null,true,-7,4.5,'x','',[],{},['x'],[null],[[{}]],{'x':1},{'"
					   "name':[]},9223372036854775807]");
	CLEANUP(json_doc_freep)
	struct json_doc *vm = json_lit(
		"{'metadata':{'name':'a','labels':{'x':'y'}},'spec':{'runStrategy':'Always','"
		"dataVolumeTemplates':[{'metadata':{'name':'d'}}],"
		"'template':{'metadata':{'annotations':{}},'spec':{'architecture':'amd64','evictionStrategy':"
		"'None','hostname':'h','dnsPolicy':'None',"
		"'dnsConfig':{'nameservers':['1.1.1.1']},'livenessProbe':{'httpGet':{'port':1},'"
		"periodSeconds':3},'readinessProbe':{'exec':{}},"
		"'networks':[{'name':'default','pod':{}},{'name':'m','multus':{'networkName':'n'}}],'volumes'"
		":[{'name':'a','containerDisk':"
		"{'image':'x'}},{'name':'b','cloudInitNoCloud':{'userData':'x'}},{'name':'e','emptyDisk':{'"
		"capacity':'1Gi'}},"
		"{'name':'h','hostDisk':{'path':'/"
		"x','type':'Disk'}}],'domain':{'machine':{'type':'q35'},'cpu':{'sockets':1,'cores':1,"
		"'threads':1,'maxSockets':2,'model':'x','features':[{'name':'f','policy':'require'}],'"
		"dedicatedCpuPlacement':true,'numa':{},"
		"'realtime':{}},'memory':{'guest':'1Gi','maxGuest':'2Gi','hugepages':{'pageSize':'2Mi'}},'"
		"resources':{'requests':{'cpu':'1',"
		"'memory':'1Gi'},'limits':{'cpu':'1','memory':'1Gi'}},'ioThreadsPolicy':'auto','features':{'"
		"acpi':{},'smm':{'enabled':true}},"
		"'firmware':{'uuid':'u','serial':'s','bootloader':{'efi':{'secureBoot':true}},'kernelBoot':{'"
		"kernelArgs':'x','container':"
		"{'image':'x','kernelPath':'/"
		"x'}}},'devices':{'autoattachInputDevice':true,'disks':[{'name':'a','disk':{'bus':'virtio'},"
		"'bootOrder':1,'serial':'x','cache':'none'},{'name':'c','cdrom':{'bus':'sata','tray':'open'}}"
		",{'name':'l','lun':{'bus':'scsi'}}],"
		"'interfaces':[{'name':'default','masquerade':{},'macAddress':'02:00:00:00:00:01','ports':[{'"
		"port':1}]}],'inputs':[{'name':'i',"
		"'type':'tablet','bus':'usb'}],'watchdog':{'name':'w','i6300esb':{'action':'reset'}},'"
		"filesystems':[{'name':'b','virtiofs':{}}],"
		"'sound':{'name':'s'},'video':{}}}}}}}");
	CLEANUP(str_done) struct str pointer = { 0 };
	substitute(json_root(vm), json_root(vm), &pointer, json_root(values));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cpus),
		cmocka_unit_test(memory),
		cmocka_unit_test(a_given_maximum_must_be_possible_under_live_update),
		cmocka_unit_test(disks_and_volumes),
		cmocka_unit_test(inline_cloud_init_is_bounded),
		cmocka_unit_test(networks),
		cmocka_unit_test(machine_firmware_probes_and_names),
		cmocka_unit_test(placement_that_no_pod_can_have),
		cmocka_unit_test(run_strategy_is_given_once),
		cmocka_unit_test(annotations_that_will_do_nothing_draw_a_warning),
		cmocka_unit_test(an_object_on_its_way_out_is_let_go),
		cmocka_unit_test(vmi_updates_are_restricted),
		cmocka_unit_test(migrations_are_checked_against_the_instance),
		cmocka_unit_test(accounts_of_kubevirt_are_known),
		cmocka_unit_test(any_type_anywhere_is_survived_and_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind's table is sound, and what is made from it is what KubeVirt's clients expect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "api/fields.h"
#include "api/schema.h"
#include "base/mem.h"
#include "kubevirt/api/crd.h"
#include "kubevirt/api/gates.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/live.h"
#include "kubevirt/api/tables.h"

static void every_table_is_sound(void **s)
{
	for (size_t i = 0; kinds_own[i]; i++) {
		CLEANUP(str_done) struct str problems = { 0 };
		if (!fields_check(kinds_own[i]->fields, &problems))
			fail_msg("%s: %s", kinds_own[i]->kind, str_cstr(&problems));
	}
}

static void kinds_are_distinct_and_found(void **s)
{
	for (size_t i = 0; kinds_all[i]; i++) {
		assert_ptr_equal(kinds_find(kinds_all[i]->group, kinds_all[i]->kind), kinds_all[i]);
		assert_ptr_equal(kinds_find_plural(kinds_all[i]->group, kinds_all[i]->plural), kinds_all[i]);
	}
	assert_null(kinds_find("kubevirt.io", "Boat"));
}

static void every_crd_compiles(void **s)
{
	for (size_t i = 0; kinds_own[i]; i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
		struct json *crd = crd_render(d, kinds_own[i]);
		JSON_EACH (it, json_at(crd, "/spec/versions")) {
			struct schema *schema = NULL;
			struct causes causes = { 0 };
			struct err e;
			if (schema_compile(json_at(it.val, "/schema/openAPIV3Schema"), "schema", &schema,
				    &causes, &e) < 0)
				fail_msg("%s: %s (%s)", kinds_own[i]->kind, e.msg,
					causes.len ? causes.items[0].message : "");
			schema_free(schema);
			causes_done(&causes);
		}
	}
}

/* kubevirt-api.md 1 */
static void vm_crd_has_names_versions_and_columns(void **s)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *crd = crd_render(d, &kind_vm);

	assert_string_equal(json_at_str(crd, "/metadata/name"), "virtualmachines.kubevirt.io");
	assert_string_equal(json_at_str(crd, "/metadata/labels/kubevirt.io"), "");
	assert_string_equal(json_at_str(crd, "/spec/names/shortNames/0"), "vm");
	assert_string_equal(json_at_str(crd, "/spec/names/categories/0"), "all");
	assert_true(json_bool(json_at(crd, "/spec/versions/0/storage")));
	assert_string_equal(json_at_str(crd, "/spec/versions/1/name"), "v1alpha3");
	assert_string_equal(json_at_str(crd, "/spec/versions/1/deprecationWarning"),
		"kubevirt.io/v1alpha3 is now deprecated and will be removed in a future release.");
	assert_string_equal(json_at_str(crd, "/spec/versions/0/additionalPrinterColumns/1/jsonPath"),
		".status.printableStatus");
	assert_non_null(json_at(crd, "/spec/versions/0/subresources/status"));
	/* the narrow form of kubectl get vm is KubeVirt's; ours comes only with -o wide */
	static const char *const narrow[] = { "Age", "Status", "Ready" };
	const struct json *columns = json_at(crd, "/spec/versions/0/additionalPrinterColumns");
	size_t shown = 0;
	JSON_EACH (it, columns) {
		if (json_i64(json_get(it.val, "priority")))
			continue;
		assert_true(shown < ARRAY_LEN(narrow));
		assert_string_equal(json_get_str(it.val, "name"), narrow[shown++]);
	}
	assert_int_equal(shown, ARRAY_LEN(narrow));
	assert_string_equal(json_at_str(columns, "/3/name"), "RestartRequired");
	assert_int_equal(json_i64(json_at(columns, "/3/priority")), 1);
	CLEANUP(json_doc_freep) struct json_doc *d2 = json_doc_new();
	assert_null(json_at(crd_render(d2, &kind_vmi), "/spec/versions/0/subresources"));
	/* rollout.md 6.4 */
	CLEANUP(json_doc_freep) struct json_doc *d3 = json_doc_new();
	const struct json *strategy = json_at(crd_render(d3, &kind_kubevirt),
		"/spec/versions/0/schema/openAPIV3Schema"
		"/properties/spec/properties/configuration/properties/vmRolloutStrategy");
	assert_true(json_bool(json_get(strategy, "nullable")));
	assert_int_equal(json_len(json_get(strategy, "enum")), 2);
}

static struct schema *schema_of(const struct kind *k)
{
	CLEANUP(json_doc_freep) struct json_doc *d = fields_kind_schema(k->fields);
	struct schema *schema = NULL;
	struct err e;
	if (schema_compile(json_root(d), "", &schema, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	return schema;
}

/* A user's field is never pruned: the machine of KubeVirt's guide with about everything one writes. */
static void what_users_write_is_kept(void **s)
{
	struct schema *schema = schema_of(&kind_vm);
	struct strv unknown = { 0 };
	struct causes causes = { 0 };
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit(
		"{'apiVersion':'kubevirt.io/"
		"v1','kind':'VirtualMachine','metadata':{'name':'a'},'spec':{'runStrategy':'Always',"
		"'dataVolumeTemplates':[{'metadata':{'name':'dv'},'spec':{'storage':{'resources':{'requests':"
		"{'storage':'1Gi'}}},"
		"'source':{'http':{'url':'http://x'}}}}],"
		"'template':{'metadata':{'creationTimestamp':null,'labels':{'a':'b'}},'spec':{"
		"'architecture':'amd64','hostname':'h','subdomain':'s','terminationGracePeriodSeconds':0,'"
		"evictionStrategy':'LiveMigrate',"
		"'nodeSelector':{'a':'b'},'tolerations':[{'key':'k','operator':'Exists','effect':'NoSchedule'"
		"}],"
		"'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'"
		"nodeSelectorTerms':[{'matchExpressions':"
		"[{'key':'k','operator':'In','values':['v']}]}]}},'podAntiAffinity':{'"
		"preferredDuringSchedulingIgnoredDuringExecution':"
		"[{'weight':1,'podAffinityTerm':{'topologyKey':'t','labelSelector':{'matchLabels':{'a':'b'}}}"
		"}]}},"
		"'readinessProbe':{'httpGet':{'port':80},'initialDelaySeconds':120},'livenessProbe':{'"
		"guestAgentPing':{},'failureThreshold':10},"
		"'accessCredentials':[{'sshPublicKey':{'source':{'secret':{'secretName':'k'}},'"
		"propagationMethod':{'noCloud':{}}}}],"
		"'dnsPolicy':'None','dnsConfig':{'nameservers':['1.1.1.1'],'searches':['x'],'options':[{'"
		"name':'ndots','value':'2'}]},"
		"'networks':[{'name':'default','pod':{'vmNetworkCIDR':'10.0.3.0/"
		"24'}},{'name':'m','multus':{'networkName':'n'}}],"
		"'volumes':[{'name':'c','containerDisk':{'image':'i','imagePullPolicy':'Always','path':'/"
		"disk/x.img'}},"
		"{'name':'ci','cloudInitNoCloud':{'userData':'#cloud-config','networkDataSecretRef':{'name':'"
		"n'}}},"
		"{'name':'p','persistentVolumeClaim':{'claimName':'p','hotpluggable':true}},{'name':'d','"
		"dataVolume':{'name':'d'}},"
		"{'name':'e','emptyDisk':{'capacity':'2Gi'}},{'name':'h','hostDisk':{'path':'/"
		"x','type':'DiskOrCreate','capacity':'1Gi'}},"
		"{'name':'cm','configMap':{'name':'x','volumeLabel':'l'}},{'name':'s','secret':{'secretName':"
		"'x'}},"
		"{'name':'sa','serviceAccount':{'serviceAccountName':'x'}},{'name':'sy','sysprep':{'"
		"configMap':{'name':'x'}}},"
		"{'name':'da','downwardAPI':{'fields':[{'path':'l','fieldRef':{'fieldPath':'metadata.labels'}"
		"}]}},"
		"{'name':'ep','ephemeral':{'persistentVolumeClaim':{'claimName':'x'}}}],"
		"'domain':{'ioThreadsPolicy':'auto','machine':{'type':'q35'},'chassis':{'sku':'x'},"
		"'cpu':{'sockets':1,'cores':2,'threads':1,'maxSockets':8,'model':'host-model','features':[{'"
		"name':'x','policy':'require'}],"
		"'dedicatedCpuPlacement':true,'numa':{'guestMappingPassthrough':{}},'realtime':{'mask':'0'}},"
		"'memory':{'guest':1073741824,'maxGuest':'4Gi','hugepages':{'pageSize':'2Mi'}},"
		"'resources':{'requests':{'memory':'1Gi','cpu':1},'limits':{'cpu':'1500m'},'"
		"overcommitGuestOverhead':true},"
		"'firmware':{'uuid':'u','bootloader':{'efi':{'secureBoot':true}},'kernelBoot':{'container':{'"
		"image':'i','kernelPath':'/k'}}},"
		"'clock':{'utc':{'offsetSeconds':1},'timer':{'hpet':{'present':false},'pit':{'tickPolicy':'"
		"delay'},'rtc':{'track':'guest'},'hyperv':{}}},"
		"'features':{'acpi':{'enabled':true},'smm':{'enabled':true},'apic':{'endOfInterrupt':true},'"
		"kvm':{'hidden':true},"
		"'hyperv':{'relaxed':{},'vapic':{},'spinlocks':{'spinlocks':8191},'synictimer':{'direct':{}},"
		"'vendorid':{'vendorid':'x'}}},"
		"'devices':{'rng':{},'tpm':{'persistent':true},'watchdog':{'name':'w','i6300esb':{'action':'"
		"poweroff'}},"
		"'inputs':[{'type':'tablet','bus':'virtio','name':'t'}],'gpus':[{'name':'g','deviceName':'"
		"nvidia.com/X'}],"
		"'hostDevices':[{'name':'g','deviceName':'x'}],'filesystems':[{'name':'cm','virtiofs':{}}],'"
		"sound':{'name':'s'},"
		"'autoattachGraphicsDevice':false,'networkInterfaceMultiqueue':true,'blockMultiQueue':true,'"
		"useVirtioTransitional':true,"
		"'disks':[{'name':'c','disk':{'bus':'virtio'},'bootOrder':1,'serial':'S','cache':'none','io':"
		"'native','dedicatedIOThread':true,"
		"'blockSize':{'custom':{'logical':4096,'physical':4096}}},{'name':'d','cdrom':{'bus':'sata','"
		"tray':'open'}}],"
		"'interfaces':[{'name':'default','masquerade':{},'model':'virtio','macAddress':'02:00:00:00:"
		"00:01','acpiIndex':3,"
		"'ports':[{'name':'http','port':80,'protocol':'TCP'}],'dhcpOptions':{'ntpServers':['1.1.1.1']"
		",'privateOptions':"
		"[{'option':240,'value':'x'}]},'state':'up','tag':'t'},{'name':'m','bridge':{}}]}}}}}}");

	schema_prune(schema, json_root(d), &unknown);
	if (unknown.len)
		fail_msg("pruned: %s", strv_join(&unknown, ", "));
	schema_validate(schema, json_root(d), NULL, &causes);
	if (causes.len)
		fail_msg("refused: %s: %s", causes.items[0].field, causes.items[0].message);
	strv_done(&unknown);
	causes_done(&causes);
	schema_free(schema);
}

static void kubevirt_cr_takes_both_batch_spellings_and_null_strategy(void **s)
{
	struct schema *schema = schema_of(&kind_kubevirt);
	struct strv unknown = { 0 };
	struct causes causes = { 0 };
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit(
		"{'apiVersion':'kubevirt.io/v1','kind':'KubeVirt','metadata':{'name':'kubevirt'},'spec':{"
		"'workloadUpdateStrategy':{'batchEvictSize':1,'batchEvictInterval':'1m','batchEvictionSize':"
		"2,'workloadUpdateMethods':[]},"
		"'configuration':{'vmRolloutStrategy':null,'developerConfiguration':{'featureGates':['A'],'"
		"useEmulation':true},"
		"'network':{'binding':{'passt':{'sidecarImage':'x','computeResourceOverhead':{'requests':{'"
		"memory':'1Mi'}}}}}}}}");

	schema_prune(schema, json_root(d), &unknown);
	assert_int_equal(unknown.len, 0);
	schema_validate(schema, json_root(d), NULL, &causes);
	if (causes.len)
		fail_msg("%s: %s", causes.items[0].field, causes.items[0].message);
	json_put_str(d, json_root(d), "/spec/configuration/vmRolloutStrategy", "Foo"); /* rollout.md 6.4 */
	schema_validate(schema, json_root(d), NULL, &causes);
	assert_int_equal(causes.len, 1);
	strv_done(&unknown);
	causes_done(&causes);
	schema_free(schema);
}

/* rollout.md 2.6: what has no row of its own is staged. */
static void live_class_is_that_of_the_nearest_row(void **s)
{
	static const struct {
		const char *path;
		enum live_class class;
	} rows[] = {
		{ "domain.memory.guest", LIVE_MEMORY },
		{ "domain.memory", LIVE_RESTART },
		{ "domain.memory.maxGuest", LIVE_MEMORY_MAX },
		{ "domain.cpu.sockets", LIVE_CPU_SOCKETS },
		{ "domain.cpu.cores", LIVE_RESTART },
		{ "domain.resources.requests.memory", LIVE_RESTART },
		{ "nodeSelector", LIVE_PLACEMENT },
		{ "nodeSelector.zone", LIVE_PLACEMENT },
		{ "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", LIVE_PLACEMENT },
		{ "tolerations.0.key", LIVE_PLACEMENT },
		{ "volumes.1.persistentVolumeClaim.claimName", LIVE_VOLUMES },
		{ "domain.devices.disks.0.disk.bus", LIVE_DISKS },
		{ "domain.devices.interfaces.0.state", LIVE_NICS },
		{ "networks.0.multus.networkName", LIVE_NICS },
		{ "domain.firmware.uuid", LIVE_NEUTRAL_UUID },
		{ "hostname", LIVE_RESTART },
		{ "unheard.of", LIVE_RESTART },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (live_class(rows[i].path) != rows[i].class)
			fail_msg("%s: %s", rows[i].path, live_class_name(live_class(rows[i].path)));
}

static void every_class_is_described(void **s)
{
	for (int c = 0; c <= LIVE_CLASS_MAX; c++) {
		const struct live_text *t = live_class_text((enum live_class)c);
		assert_true(t->by && *t->by && t->limits && t->otherwise && *t->otherwise);
	}
}

static void gate_names_are_distinct(void **s)
{
	for (int g = 0; g < GATE_MAX; g++) {
		enum gate found;
		assert_true(gate_find(gate_name((enum gate)g), &found));
		assert_int_equal(found, g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_table_is_sound),
		cmocka_unit_test(kinds_are_distinct_and_found),
		cmocka_unit_test(every_crd_compiles),
		cmocka_unit_test(vm_crd_has_names_versions_and_columns),
		cmocka_unit_test(what_users_write_is_kept),
		cmocka_unit_test(kubevirt_cr_takes_both_batch_spellings_and_null_strategy),
		cmocka_unit_test(live_class_is_that_of_the_nearest_row),
		cmocka_unit_test(every_class_is_described),
		cmocka_unit_test(gate_names_are_distinct),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

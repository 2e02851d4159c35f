/* SPDX-License-Identifier: Apache-2.0 */
/* What instance types and preferences make of a template. rollout.md 3.7; the numbers are those of its section 6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/instancetype/test_lookup.h"

#define TYPE(more) "{'cpu':{'guest':2},'memory':{'guest':'1Gi'}" more "}"
#define AT "spec.template.spec"

static struct json_doc *apply(
	const char *template, const char *type, const char *preference, struct strv *conflicts)
{
	struct json_doc *d = json_lit(template);
	CLEANUP(json_doc_freep) struct json_doc *t = type ? json_lit(type) : NULL;
	CLEANUP(json_doc_freep) struct json_doc *p = preference ? json_lit(preference) : NULL;

	it_apply(d, json_root(d), AT, t ? json_root(t) : NULL, p ? json_root(p) : NULL, conflicts);
	return d;
}

static void assert_applied(
	const char *template, const char *type, const char *preference, const char *pointer, const char *want)
{
	CLEANUP(strv_done) struct strv conflicts = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = apply(template, type, preference, &conflicts);
	CLEANUP(json_doc_freep) struct json_doc *w = json_lit(want);

	if (conflicts.len)
		fail_msg("%s conflicts", conflicts.items[0]);
	if (!json_eq(json_at(json_root(d), pointer), json_root(w))) {
		CLEANUP(mem_freep) char *text = json_write(json_at(json_root(d), pointer), NULL);
		fail_msg("%s is %s, not %s", pointer, text, want);
	}
}

static void the_type_says_how_large_the_guest_is(void **state)
{
	static const char type[] =
		"{'cpu':{'guest':2,'model':'Nehalem','dedicatedCPUPlacement':true,"
		"'isolateEmulatorThread':true,'maxSockets':4,'numa':{'guestMappingPassthrough':{}},"
		"'realtime':{'mask':'0-3'}},'memory':{'guest':'1Gi','maxGuest':'4Gi',"
		"'hugepages':{'pageSize':'2Mi'}},'nodeSelector':{'a':'b'},'schedulerName':'s',"
		"'ioThreadsPolicy':'auto','ioThreads':{'supplementalPoolThreadCount':2},"
		"'gpus':[{'name':'g'}],'hostDevices':[{'name':'h'}],'annotations':{'x':'y'},"
		"'launchSecurity':{'sev':{}}}";

	assert_applied("{'metadata':{'annotations':{'k':'v'}},'spec':{'domain':{'devices':{}}}}", type, NULL,
		"",
		"{'metadata':{'annotations':{'k':'v','x':'y'}},'spec':{'domain':{'devices':{'gpus':[{'name':'"
		"g'}],"
		"'hostDevices':[{'name':'h'}]},"
		"'cpu':{'model':'Nehalem','dedicatedCpuPlacement':true,'isolateEmulatorThread':true,"
		"'numa':{'guestMappingPassthrough':{}},'realtime':{'mask':'0-3'},'maxSockets':4,'sockets':2,"
		"'cores':1,'threads':1},'memory':{'guest':'1Gi','maxGuest':'4Gi','hugepages':{'pageSize':'"
		"2Mi'}},"
		"'ioThreadsPolicy':'auto','ioThreads':{'supplementalPoolThreadCount':2},"
		"'launchSecurity':{'sev':{}}},'nodeSelector':{'a':'b'},'schedulerName':'s'}}");
}

static void vcpus_are_laid_out_as_preferred(void **state)
{
	static const struct {
		int guest;
		const char *preference, *want;
	} rows[] = {
		{ 4, "{}", "{'sockets':4,'cores':1,'threads':1}" },
		{ 4, "{'cpu':{'preferredCPUTopology':'sockets'}}", "{'sockets':4,'cores':1,'threads':1}" },
		{ 4, "{'cpu':{'preferredCPUTopology':'preferCores'}}",
			"{'sockets':1,'cores':4,'threads':1}" },
		{ 4, "{'cpu':{'preferredCPUTopology':'cores'}}", "{'sockets':1,'cores':4,'threads':1}" },
		{ 4, "{'cpu':{'preferredCPUTopology':'threads'}}", "{'sockets':1,'cores':1,'threads':4}" },
		{ 4, "{'cpu':{'preferredCPUTopology':'any'}}", "{'sockets':4,'cores':1,'threads':1}" },
		{ 6, "{'cpu':{'preferredCPUTopology':'spread'}}", "{'sockets':3,'cores':2,'threads':1}" },
		{ 6, "{'preferSpreadSocketToCoreRatio':3,'cpu':{'preferredCPUTopology':'spread'}}",
			"{'sockets':2,'cores':3,'threads':1}" },
		{ 8,
			"{'preferSpreadSocketToCoreRatio':3,'cpu':{'preferredCPUTopology':'spread','"
			"spreadOptions':{"
			"'ratio':4}}}",
			"{'sockets':2,'cores':4,'threads':1}" },
		{ 8, "{'cpu':{'preferredCPUTopology':'spread','spreadOptions':{'across':'CoresThreads'}}}",
			"{'sockets':1,'cores':4,'threads':2}" },
		{ 12,
			"{'cpu':{'preferredCPUTopology':'preferSpread','spreadOptions':{'across':'"
			"SocketsCoresThreads',"
			"'ratio':3}}}",
			"{'sockets':2,'cores':3,'threads':2}" },
		{ 1, "{'cpu':{'preferredCPUTopology':'cores'}}", "{'sockets':1,'cores':1,'threads':1}" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep)
		char *type = str_printf("{'cpu':{'guest':%d},'memory':{'guest':'1Gi'}}", rows[i].guest);
		assert_applied("{'spec':{'domain':{'devices':{}}}}", type, rows[i].preference,
			"/spec/domain/cpu", rows[i].want);
	}
}

/* 90: what overcommitting asks of the node is a request, which is no live field */
static void an_overcommitted_type_asks_for_less(void **state)
{
	static const char t[] = "{'spec':{'domain':{'devices':{}}}}";

	assert_applied(t, "{'cpu':{'guest':1},'memory':{'guest':'1Gi','overcommitPercent':50}}", NULL,
		"/spec/domain/resources", "{'requests':{'memory':'512Mi'}}");
	assert_applied(t, "{'cpu':{'guest':1},'memory':{'guest':'128Mi','overcommitPercent':15}}", NULL,
		"/spec/domain/resources", "{'requests':{'memory':'114085072'}}");
	assert_applied(t, "{'cpu':{'guest':1},'memory':{'guest':'1G','overcommitPercent':50}}", NULL,
		"/spec/domain/resources", "{'requests':{'memory':'500M'}}");
	assert_applied(t, TYPE(""), NULL, "/spec/domain/resources", "null");
}

static void what_both_give_conflicts_by_path(void **state)
{
	static const struct {
		const char *template, *type, *want;
	} rows[] = {
		{ "{'spec':{'domain':{'cpu':{'sockets':1}}}}", TYPE(""), AT ".domain.cpu.sockets" },
		{ "{'spec':{'domain':{'cpu':{'sockets':1,'cores':2,'threads':1}}}}", TYPE(""),
			AT ".domain.cpu.sockets " AT ".domain.cpu.cores " AT ".domain.cpu.threads" },
		{ "{'spec':{'domain':{'cpu':{'sockets':0}}}}", TYPE(""), "" },
		{ "{'spec':{'domain':{'cpu':{'model':'a'}}}}", TYPE(""), "" },
		{ "{'spec':{'domain':{'cpu':{'dedicatedCpuPlacement':true}}}}",
			"{'cpu':{'guest':1,'dedicatedCPUPlacement':false},'memory':{'guest':'1Gi'}}",
			AT ".domain.cpu.dedicatedCPUPlacement" },
		{ "{'spec':{'domain':{'resources':{'requests':{'cpu':'1'},'limits':{'cpu':'1'}}}}}", TYPE(""),
			AT ".domain.resources.requests.cpu " AT ".domain.resources.limits.cpu" },
		{ "{'spec':{'domain':{'memory':{'guest':'1Gi'}}}}", TYPE(""), AT ".domain.memory.guest" },
		{ "{'spec':{'domain':{'memory':{'maxGuest':'1Gi'}}}}", TYPE(""), "" },
		{ "{'spec':{'domain':{'memory':{'maxGuest':'1Gi'}}}}",
			"{'cpu':{'guest':1},'memory':{'guest':'1Gi','maxGuest':'2Gi'}}",
			AT ".domain.memory.maxGuest" },
		{ "{'spec':{'domain':{'resources':{'requests':{'memory':'1Gi'}}}}}", TYPE(""),
			AT ".domain.resources.requests.memory" },
		{ "{'spec':{'nodeSelector':{'a':'b'},'schedulerName':'x','domain':{}}}",
			TYPE(",'nodeSelector':{'c':'d'},'schedulerName':'y'"),
			AT ".nodeSelector " AT ".schedulerName" },
		{ "{'spec':{'domain':{'devices':{'gpus':[{'name':'a'}],'hostDevices':[]}}}}",
			TYPE(",'gpus':[{'name':'b'}],'hostDevices':[{'name':'c'}]"),
			AT ".domain.devices.gpus" },
		{ "{'spec':{'domain':{'ioThreadsPolicy':'auto','launchSecurity':{},'ioThreads':{"
		  "'supplementalPoolThreadCount':1}}}}",
			TYPE(",'ioThreadsPolicy':'shared','launchSecurity':{},'ioThreads':{"
			     "'supplementalPoolThreadCount':2}"),
			AT ".domain.ioThreads.supplementalPoolThreadCount " AT ".domain.ioThreadsPolicy " AT
			   ".domain.launchSecurity" },
		{ "{'metadata':{'annotations':{'a':'1','b':'2'}},'spec':{'domain':{}}}",
			TYPE(",'annotations':{'a':'1','b':'3','c':'4'}"), "annotations.b" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(strv_done) struct strv conflicts = { 0 };
		CLEANUP(json_doc_freep)
		struct json_doc *d = apply(rows[i].template, rows[i].type, NULL, &conflicts);
		CLEANUP(mem_freep) char *text = strv_join(&conflicts, " ");
		assert_non_null(d);
		assert_string_equal(text, rows[i].want);
	}
}

static void preferences_fill_in_what_is_open(void **state)
{
	static const char p[] =
		"{'devices':{'preferredDiskBus':'virtio','preferredCdromBus':'scsi','preferredLunBus':'scsi',"
		"'preferredDiskCache':'none','preferredDiskIO':'native','preferredDiskDedicatedIoThread':"
		"true,"
		"'preferredDiskBlockSize':{'matchVolume':{}},'preferredInterfaceModel':'e1000',"
		"'preferredInterfaceMasquerade':{},'preferredInputBus':'virtio','preferredInputType':'tablet'"
		","
		"'preferredVideoType':'vga','preferredTPM':{},'preferredRng':{},'preferredSoundModel':'ac97',"
		"'preferredPanicDeviceModel':'isa','preferredNetworkInterfaceMultiQueue':true,"
		"'preferredBlockMultiQueue':true,'preferredAutoattachGraphicsDevice':false,"
		"'preferredDisableHotplug':true}}";

	assert_applied(
		"{'spec':{'networks':[{'name':'a','pod':{}},{'name':'b','multus':{'networkName':'n'}}],"
		"'domain':{'devices':{'disableHotplug':false,'blockMultiQueue':false,'sound':{'name':'s'},"
		"'disks':[{'name':'d'},{'name':'e','disk':{'bus':'sata'},'cache':'writeback'},"
		"{'name':'f','cdrom':{}},{'name':'g','lun':{}}],'inputs':[{'name':'i','bus':'usb'}],"
		"'interfaces':[{'name':'a'},{'name':'b','model':'virtio'},{'name':'c','bridge':{}}]}}}}",
		NULL, p, "/spec/domain/devices",
		"{'disableHotplug':true,'blockMultiQueue':false,'networkInterfaceMultiqueue':true,'rng':{},'"
		"tpm':{},"
		"'autoattachGraphicsDevice':false,'video':{'type':'vga'},'sound':{'name':'s','model':'ac97'},"
		"'disks':[{'name':'d','disk':{'bus':'virtio'},'blockSize':{'matchVolume':{}},'cache':'none',"
		"'io':'native','dedicatedIOThread':true},"
		"{'name':'e','disk':{'bus':'sata'},'cache':'writeback','io':'native','blockSize':{'"
		"matchVolume':{}}},"
		"{'name':'f','cdrom':{'bus':'scsi'}},{'name':'g','lun':{'bus':'scsi'}}],"
		"'inputs':[{'name':'i','bus':'usb','type':'tablet'}],"
		"'interfaces':[{'name':'a','model':'e1000','masquerade':{}},{'name':'b','model':'virtio'},"
		"{'name':'c','model':'e1000','bridge':{}}],'panicDevices':[{'model':'isa'}]}");
}

static void preferences_of_machine_and_firmware(void **state)
{
	static const char p[] =
		"{'machine':{'preferredMachineType':'pc-q35-7.2'},'firmware':{'preferredUseEfi':true,"
		"'preferredUseSecureBoot':true},'features':{'preferredSmm':{},'preferredAcpi':{'enabled':"
		"true},"
		"'preferredHyperv':{'relaxed':{},'spinlocks':{'spinlocks':8191}}},"
		"'clock':{'preferredClockOffset':{'utc':{}},'preferredTimer':{'hpet':{'present':false}}},"
		"'cpu':{'preferredCPUFeatures':[{'name':'vmx','policy':'require'},{'name':'x','policy':'"
		"disable'}]},"
		"'preferredSubdomain':'sub','preferredTerminationGracePeriodSeconds':15,"
		"'preferredArchitecture':'arm64','annotations':{'a':'1','b':'2'},'preferredLaunchSecurity':{'"
		"sev':{}}}";

	assert_applied("{'metadata':{'annotations':{'a':'0'}},'spec':{'architecture':'amd64','domain':{"
		       "'features':{'acpi':{'enabled':false},'hyperv':{'relaxed':{'enabled':false}}},"
		       "'cpu':{'features':[{'name':'vmx','policy':'disable'}]}}}}",
		NULL, p, "",
		"{'metadata':{'annotations':{'a':'0','b':'2'}},'spec':{'architecture':'amd64','subdomain':'"
		"sub',"
		"'terminationGracePeriodSeconds':15,'domain':{'launchSecurity':{'sev':{}},"
		"'features':{'acpi':{'enabled':true},'smm':{},'hyperv':{'relaxed':{'enabled':false},"
		"'spinlocks':{'spinlocks':8191}}},"
		"'cpu':{'features':[{'name':'vmx','policy':'disable'},{'name':'x','policy':'disable'}]},"
		"'firmware':{'bootloader':{'efi':{'secureBoot':true}}},'machine':{'type':'pc-q35-7.2'},"
		"'clock':{'utc':{},'timer':{'hpet':{'present':false}}}}}}");
	assert_applied(
		"{'spec':{'domain':{'firmware':{'bootloader':{'bios':{}}},'clock':{'timezone':'UTC'}}}}",
		NULL,
		"{'firmware':{'preferredEfi':{'secureBoot':false},'preferredUseBiosSerial':true},"
		"'clock':{'preferredClockOffset':{'utc':{}}}}",
		"/spec/domain",
		"{'firmware':{'bootloader':{'bios':{'useSerial':true}}},'clock':{'timezone':'UTC'}}");
	assert_applied("{'spec':{'domain':{}}}", NULL, "{'firmware':{'preferredEfi':{'secureBoot':false}}}",
		"/spec/domain/firmware/bootloader", "{'efi':{'secureBoot':false}}");
}

static void vcpus_that_can_not_be_spread_are_told(void **state)
{
#define SPREAD(options) "{'cpu':{'preferredCPUTopology':'spread'" options "}}"
	static const struct {
		int guest;
		const char *preference, *want;
	} rows[] = {
		{ 3, "{}", NULL },
		{ 4, SPREAD(""), NULL },
		{ 3, SPREAD(""),
			"3 vCPUs provided by the instance type are not divisible by the "
			"Spec.PreferSpreadSocketToCoreRatio or Spec.CPU.PreferSpreadOptions.Ratio of 2" },
		{ 5, SPREAD(",'spreadOptions':{'across':'CoresThreads'}"),
			"not divisible by the number of threads per core 2" },
		{ 6, SPREAD(",'spreadOptions':{'across':'SocketsCoresThreads'}"),
			"threads per core 2 and Spec.PreferSpreadSocketToCoreRatio" },
		{ 8, SPREAD(",'spreadOptions':{'across':'SocketsCoresThreads'}"), NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep) char *type = str_printf("{'cpu':{'guest':%d}}", rows[i].guest);
		CLEANUP(json_doc_freep) struct json_doc *t = json_lit(type);
		CLEANUP(json_doc_freep) struct json_doc *p = json_lit(rows[i].preference);
		CLEANUP(mem_freep) char *text = it_spread_problem(json_root(t), json_root(p));
		if (!rows[i].want ? text != NULL : !text || !strstr(text, rows[i].want))
			fail_msg("row %zu: %s", i, text ? text : "(none)");
	}
}

/* 91 */
static void what_a_preference_requires_is_counted(void **state)
{
#define CPU_PATH AT ".domain.cpu"
#define LACKS "insufficient CPU resources of "
	static const struct {
		const char *type, *preference, *spec, *fields, *want;
	} rows[] = {
		{ NULL, "{}", "{}", "", NULL },
		{ TYPE(""), "{'requirements':{'cpu':{'guest':2},'memory':{'guest':'1Gi'}}}", "{}", "", NULL },
		{ TYPE(""), "{'requirements':{'cpu':{'guest':3}}}", "{}", "spec.instancetype",
			LACKS "2 vCPU provided by instance type, preference requires 3 vCPU" },
		{ TYPE(""), "{'requirements':{'memory':{'guest':'2Gi'}}}", "{}", "spec.instancetype",
			"insufficient Memory resources of 1Gi provided by instance type, preference requires "
			"2Gi" },
		{ NULL, "{'requirements':{'cpu':{'guest':2}}}", "{'domain':{}}", CPU_PATH,
			"no CPU resources provided by VirtualMachine, preference requires 2 vCPU" },
		{ NULL, "{'requirements':{'cpu':{'guest':2}}}", "{'domain':{'cpu':{'sockets':1,'cores':2}}}",
			CPU_PATH ".sockets",
			LACKS
			"1 vCPU provided by VirtualMachine, preference requires 2 vCPU provided as sockets" },
		{ NULL, "{'requirements':{'cpu':{'guest':4}},'cpu':{'preferredCPUTopology':'any'}}",
			"{'domain':{'cpu':{'sockets':2,'cores':2,'threads':1}}}", "", NULL },
		{ NULL, "{'requirements':{'cpu':{'guest':5}},'cpu':{'preferredCPUTopology':'spread'}}",
			"{'domain':{'cpu':{'sockets':2,'cores':2,'threads':2}}}",
			CPU_PATH ".sockets, " CPU_PATH ".cores", LACKS "4 vCPU" },
		{ NULL, "{'requirements':{'memory':{'guest':'1Gi'}}}",
			"{'domain':{'memory':{'guest':'512Mi'}}}", AT ".domain.memory",
			"insufficient Memory resources of 512Mi provided by VirtualMachine, preference "
			"requires 1Gi" },
		{ NULL, "{'requirements':{'memory':{'guest':'1Gi'}}}", "{'domain':{}}", AT ".domain.memory",
			"insufficient Memory resources of 0 " },
		{ NULL, "{'requirements':{'architecture':'arm64'}}", "{'architecture':'amd64'}",
			AT ".architecture",
			"preference requires architecture arm64 but amd64 is being requested" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(json_doc_freep) struct json_doc *t = json_lit(rows[i].type ? rows[i].type : "{}");
		CLEANUP(json_doc_freep) struct json_doc *p = json_lit(rows[i].preference);
		CLEANUP(json_doc_freep) struct json_doc *v = json_lit(rows[i].spec);
		CLEANUP(str_done) struct str fields = { 0 };
		CLEANUP(mem_freep)
		char *text = it_requirements_problem(
			rows[i].type ? json_root(t) : NULL, json_root(p), json_root(v), &fields);
		if (!rows[i].want ? text != NULL : !text || !strstr(text, rows[i].want))
			fail_msg("row %zu: %s", i, text ? text : "(none)");
		assert_string_equal(str_cstr(&fields), rows[i].fields);
	}
}

/* ---- whole VMs ---- */
#define REV(name, kind, obj, spec)                                                    \
	"{'kind':'ControllerRevision','metadata':{'name':'" name                      \
	"','namespace':'n','labels':{'instancetype.kubevirt.io/object-name':'" obj    \
	"','instancetype.kubevirt.io/object-kind':'" kind "'}},'data':{'kind':'" kind \
	"','metadata':{'name':'" obj "'},'spec':" spec "}}"
#define OBJECTS                                                                                              \
	"[{'kind':'VirtualMachineClusterInstancetype','metadata':{'name':'small','uid':'u1','generation':2," \
	"'resourceVersion':'9','labels':{'a':'b'},'managedFields':[]},'spec':" TYPE(                         \
		"") "},"                                                                                     \
		    "{'kind':'VirtualMachineInstancetype','metadata':{'name':'small','namespace':'n','uid':" \
		    "'u2',"                                                                                  \
		    "'generation':1},'spec':{'cpu':{'guest':8},'memory':{'guest':'8Gi'}}},"                  \
		    "{'kind':'VirtualMachineClusterPreference','metadata':{'name':'p','uid':'u3','"          \
		    "generation':1},"                                                                        \
		    "'spec':{'devices':{'preferredDiskBus':'virtio','preferredInterfaceModel':'e1000'}}}"    \
		    "," REV("r-old", "VirtualMachineClusterInstancetype", "small",                           \
			    "{'cpu':{'guest':1},'memory':{'guest':'512Mi'}}") "," REV("r-bad", "Pod",        \
			    "small", "{}") "]"

static struct json_doc *vm_with(const char *spec, const char *status)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("{'metadata':{'name':'v','namespace':'n','uid':'vu'},'spec':{%s,'template':{"
			   "'spec':{'domain':{'devices':{}},'volumes':[{'name':'d','containerDisk':{}}]}}},"
			   "'status':{%s}}",
			spec, status);
	return json_lit(text);
}

static void the_revision_in_force_goes_before_the_object(void **state)
{
#define CLUSTER "'instancetype':{'name':'small'}"
#define KEPT(name) "'instancetypeRef':{'name':'small','controllerRevisionRef':{'name':'" name "'}}"
	static const struct {
		const char *spec, *status;
		int guest; /* 0: an error */
		const char *error;
	} rows[] = {
		{ CLUSTER, "", 2, NULL },
		{ "'instancetype':{'name':'small','kind':'virtualMachineInstancetypes'}", "", 8, NULL },
		{ "'instancetype':{'name':'small','kind':'VirtualMachineClusterInstancetype'}", "", 2, NULL },
		{ CLUSTER, KEPT("r-old"), 1, NULL },
		{ "'instancetype':{'name':'other'}", KEPT("r-old"), 0,
			"virtualmachineclusterinstancetypes.instancetype.kubevirt.io \"other\" not found" },
		/* of another kind: not what is meant any more */
		{ "'instancetype':{'name':'small','kind':'VirtualMachineInstancetype'}", KEPT("r-old"), 8,
			NULL },
		{ "'instancetype':{'name':'small','revisionName':'r-old'}", "", 1, NULL },
		{ "'instancetype':{'name':'small','revisionName':'gone'}", "", 0,
			"controllerrevisions.apps \"gone\" not found" },
		{ CLUSTER, KEPT("gone"), 0, "controllerrevisions.apps \"gone\" not found" },
		{ "'instancetype':{'name':'small','revisionName':'r-bad'}", "", 0,
			"unexpected type in ControllerRevision r-bad: Pod" },
		{ "'instancetype':{'name':'small','kind':'Frob'}", "", 0,
			"got unexpected kind in InstancetypeMatcher: Frob" },
		/* 89: a revisionName that was taken out asks for what the type is now */
		{ CLUSTER, "'instancetypeRef':{'pinned':true,'controllerRevisionRef':{'name':'r-old'}}", 2,
			NULL },
	};
	CLEANUP(json_doc_freep) struct json_doc *objects = json_lit(OBJECTS);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct it_lookup l = test_lookup(objects);
		CLEANUP(json_doc_freep) struct json_doc *vm = vm_with(rows[i].spec, rows[i].status);
		struct it_found found;
		struct err e;

		if (it_find(json_root(vm), IT_INSTANCETYPE, &l, &found, &e) < 0) {
			if (rows[i].guest || !strstr(e.msg, rows[i].error))
				fail_msg("row %zu: %s", i, e.msg);
			continue;
		}
		assert_int_equal(json_i64(json_at(found.spec, "/cpu/guest")), rows[i].guest);
	}
}

static void a_fresh_revision_is_named_after_all_that_it_is_of(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *objects = json_lit(OBJECTS);
	struct it_lookup l = test_lookup(objects);
	CLEANUP(json_doc_freep) struct json_doc *vm = vm_with(CLUSTER, "");
	struct it_ref r;
	struct err e;

	assert_int_equal(it_ref_decide(json_root(vm), IT_INSTANCETYPE, &l, &r, &e), 0);
	CLEANUP(json_doc_freep)
	struct json_doc *want = json_lit(
		"{'apiVersion':'apps/v1','kind':'ControllerRevision','revision':0,'metadata':{'name':"
		"'v-small-v1beta1-u1-2','namespace':'n','labels':{"
		"'instancetype.kubevirt.io/object-generation':'2',"
		"'instancetype.kubevirt.io/object-kind':'VirtualMachineClusterInstancetype',"
		"'instancetype.kubevirt.io/object-name':'small','instancetype.kubevirt.io/object-uid':'u1',"
		"'instancetype.kubevirt.io/object-version':'v1beta1'},'ownerReferences':[{"
		"'apiVersion':'kubevirt.io/"
		"v1','kind':'VirtualMachine','name':'v','uid':'vu','controller':true,"
		"'blockOwnerDeletion':true}]},'data':{'apiVersion':'instancetype.kubevirt.io/v1beta1','kind':"
		"'VirtualMachineClusterInstancetype','metadata':{'name':'small','uid':'u1','generation':2,"
		"'resourceVersion':'9'},'spec':" TYPE("") "}}");
	if (!json_eq(json_root(r.create), json_root(want)))
		fail_msg("%s", json_write(json_root(r.create), NULL));
	CLEANUP(json_doc_freep)
	struct json_doc *ref =
		json_lit("{'name':'small','controllerRevisionRef':{'name':'v-small-v1beta1-u1-2'}}");
	assert_true(json_eq(json_root(r.ref), json_root(ref)));
	it_ref_done(&r);

	/* one that the spec names is pinned, and there */
	CLEANUP(json_doc_freep)
	struct json_doc *pinned = vm_with("'instancetype':{'name':'small','revisionName':'r-old'}", "");
	assert_int_equal(it_ref_decide(json_root(pinned), IT_INSTANCETYPE, &l, &r, &e), 0);
	assert_null(r.create);
	assert_true(json_bool(json_get(json_root(r.ref), "pinned")));
	it_ref_done(&r);
	/* who names nothing refers to nothing */
	assert_int_equal(it_ref_decide(json_root(pinned), IT_PREFERENCE, &l, &r, &e), 0);
	assert_null(r.ref);
}

static void preferences_reach_what_is_added_at_start(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *objects = json_lit(OBJECTS);
	struct it_lookup l = test_lookup(objects);
	CLEANUP(json_doc_freep) struct json_doc *vm = vm_with(CLUSTER ",'preference':{'name':'p'}", "");
	struct json_doc *d;
	struct kv_config c;
	struct err e;

	kv_config_from(NULL, &c);
	assert_int_equal(instancetype_expand(json_root(vm), IT_START, &c, &l, &d, &e), 0);
	assert_string_equal(json_at_str(json_root(d), "/spec/domain/devices/disks/0/disk/bus"), "virtio");
	assert_string_equal(json_at_str(json_root(d), "/spec/domain/devices/interfaces/0/model"), "e1000");
	json_doc_free(d);
	assert_int_equal(instancetype_expand(json_root(vm), IT_COMPARE, &c, &l, &d, &e), 0);
	assert_null(json_at(json_root(d), "/spec/domain/devices/disks"));
	assert_int_equal(json_i64(json_at(json_root(d), "/spec/domain/cpu/sockets")), 2);
	json_doc_free(d);
	CLEANUP(json_doc_freep) struct json_doc *plain = vm_with("'runStrategy':'Always'", "");
	assert_int_equal(instancetype_expand(json_root(plain), IT_START, &c, &l, &d, &e), 0);
	assert_null(d);
}

/* rollout.md 1.2: maxima are never written to a VM */
static void an_expanded_vm_stands_on_its_own(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *objects = json_lit(OBJECTS);
	struct it_lookup l = test_lookup(objects);
	CLEANUP(json_doc_freep)
	struct json_doc *vm = vm_with(CLUSTER ",'preference':{'name':'p'},'runStrategy':'Always'",
		"'created':true,'instancetypeRef':{'name':'small'}");
	struct json_doc *d;
	struct kv_config c;
	struct err e;

	kv_config_from(NULL, &c);
	assert_int_equal(instancetype_expand_vm(json_root(vm), &c, &l, &d, &e), 0);
	const struct json *o = json_root(d), *domain = json_at(o, "/spec/template/spec/domain");
	assert_null(json_at(o, "/spec/instancetype"));
	assert_null(json_at(o, "/spec/preference"));
	assert_null(json_at(o, "/status/instancetypeRef"));
	assert_string_equal(json_at_str(o, "/spec/runStrategy"), "Always");
	assert_string_equal(json_at_str(domain, "/memory/guest"), "1Gi");
	assert_null(json_at(domain, "/memory/maxGuest"));
	assert_null(json_at(domain, "/cpu/maxSockets"));
	assert_string_equal(json_at_str(domain, "/machine/type"), c.machine_type[KV_ARCH_AMD64]);
	json_doc_free(d);
}

static void instances_tell_what_they_were_made_from(void **state)
{
	CLEANUP(json_doc_freep)
	struct json_doc *vm =
		vm_with(CLUSTER ",'preference':{'name':'p','kind':'VirtualMachinePreference'}", "");
	CLEANUP(json_doc_freep) struct json_doc *vmi = json_lit("{'metadata':{}}");
	CLEANUP(json_doc_freep)
	struct json_doc *want =
		json_lit("{'metadata':{'annotations':{'kubevirt.io/cluster-instancetype-name':"
			 "'small','kubevirt.io/preference-name':'p'}}}");
	it_annotate(vmi, json_root(vmi), json_root(vm));
	assert_true(json_eq(json_root(vmi), json_root(want)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_type_says_how_large_the_guest_is),
		cmocka_unit_test(vcpus_are_laid_out_as_preferred),
		cmocka_unit_test(an_overcommitted_type_asks_for_less),
		cmocka_unit_test(what_both_give_conflicts_by_path),
		cmocka_unit_test(preferences_fill_in_what_is_open),
		cmocka_unit_test(preferences_of_machine_and_firmware),
		cmocka_unit_test(vcpus_that_can_not_be_spread_are_told),
		cmocka_unit_test(what_a_preference_requires_is_counted),
		cmocka_unit_test(the_revision_in_force_goes_before_the_object),
		cmocka_unit_test(a_fresh_revision_is_named_after_all_that_it_is_of),
		cmocka_unit_test(preferences_reach_what_is_added_at_start),
		cmocka_unit_test(an_expanded_vm_stands_on_its_own),
		cmocka_unit_test(instances_tell_what_they_were_made_from),
	};

	return cmocka_run_group_tests_name("instancetype", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Instance types and preferences in the simulated world: rollout.md 2.1, 3.7; the numbers are those of its section 6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/log.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"
#include "world.h"

#define SOON 2000
#define T1 "a non-live-updatable field was changed in the template spec"

static int setup(void **state)
{
	struct world *w = MEM_NEW(struct world);

	world_init(w, 1, true);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	assert_string_equal(str_cstr(&w->broken), "");
	world_done(w);
	free(w);
	return 0;
}

static void put(struct world *w, const struct kind *k, const char *name, int generation, const char *spec)
{
	CLEANUP(mem_freep)
	char *text = str_printf("{'apiVersion':'instancetype.kubevirt.io/v1beta1','kind':'%s','metadata':{"
				"'name':'%s','uid':'uid-%s','generation':%d},'spec':%s}",
		k->kind, name, name, generation, spec);

	fake_api_put(w->api, k, json_lit(text));
}

static void put_type(struct world *w, const char *name, const char *cpu, const char *memory)
{
	CLEANUP(mem_freep) char *spec = str_printf("{'cpu':{%s},'memory':{%s}}", cpu, memory);

	put(w, &kind_clusterinstancetype, name, 1, spec);
}

static void vm_of(struct world *w, const char *spec)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachine','metadata':{'name':'v0'},"
		"'spec':{'runStrategy':'Always',%s,'template':{'spec':{'domain':{'devices':{}}}}}}",
		spec);
	struct err e = { 0 };

	if (user_create(w, &kind_vm, text, &e) < 0)
		fail_msg("%s", e.msg);
	world_run(w, SOON);
}

static void edit(struct world *w, const char *spec)
{
	CLEANUP(mem_freep) char *text = str_printf("{'spec':%s}", spec);

	assert_int_equal(user_merge(w, &kind_vm, "v0", NULL, text), 0);
	world_run(w, SOON);
}

static void run_small(struct world *w, const char *more)
{
	CLEANUP(mem_freep) char *spec = str_printf("'instancetype':{'name':'small'}%s", more);

	put_type(w, "small", "'guest':1", "'guest':'1Gi'");
	vm_of(w, spec);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
}

static const char *vm_text(struct world *w, const char *at)
{
	return json_str_or(json_at(world_vm(w, "v0"), at), "(none)");
}

static const char *vmi_text(struct world *w, const char *at)
{
	return json_str_or(json_at(world_vmi(w, "v0"), at), "(none)");
}
#define assert_vmi(w, at, text) assert_string_equal(vmi_text(w, at), text)

static int64_t vmi_number(struct world *w, const char *at)
{
	return json_i64(json_at(world_vmi(w, "v0"), at));
}

static const char *condition(struct world *w, const char *type, const char *field)
{
	return json_get_str(cond_find(json_at(world_vm(w, "v0"), "/status/conditions"), type), field);
}

static void assert_rr(struct world *w, const char *want)
{
	const char *have = condition(w, COND_RESTART_REQUIRED, "message");

	if (!have || !strstr(have, want))
		fail_msg("\"%s\" is not in \"%s\"", want, have ? have : "(no RestartRequired)");
}

static void assert_no_rr(struct world *w)
{
	const char *have = condition(w, COND_RESTART_REQUIRED, "message");

	if (have)
		fail_msg("unexpected RestartRequired: %s", have);
}

static void restart(struct world *w)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'status':{'stateChangeRequests':[{'action':'Stop','uid':'%s'},{'action':'Start'}]}}",
		meta_str(world_vmi(w, "v0"), "uid"));

	assert_int_equal(user_merge(w, &kind_vm, "v0", "status", text), 0);
	world_run(w, 10000);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
}

static const struct json *revision(struct world *w, const char *name)
{
	CLEANUP(mem_freep) char *key = str_printf("default/%s", name);
	const struct obj *o = fake_api_get(w->api, &kind_controllerrevision, key);

	return o ? obj_json(o) : NULL;
}

#define REF "/status/instancetypeRef/controllerRevisionRef/name"

/* 18; 2.1 */
static void what_a_vm_got_is_kept_in_revisions(void **state)
{
	struct world *w = *state;
	const struct json *start;

	put(w, &kind_clusterpreference, "p", 3, "{'devices':{'preferredDiskBus':'virtio'}}");
	run_small(w, ",'preference':{'name':'p'}");
	assert_string_equal(vm_text(w, REF), "v0-small-v1beta1-uid-small-1");
	assert_string_equal(
		vm_text(w, "/status/preferenceRef/controllerRevisionRef/name"), "v0-p-v1beta1-uid-p-3");
	assert_null(json_at(world_vm(w, "v0"), "/spec/instancetype/revisionName"));
	start = revision(w, vmi_text(w, "/status/virtualMachineRevisionName"));
	if (!start)
		fail_msg("no %s", vmi_text(w, "/status/virtualMachineRevisionName"));
	assert_string_equal(
		json_at_str(start, "/data/spec/instancetype/revisionName"), "v0-small-v1beta1-uid-small-1");
	assert_string_equal(json_at_str(start, "/data/spec/preference/revisionName"), "v0-p-v1beta1-uid-p-3");
	assert_string_equal(json_at_str(revision(w, vm_text(w, REF)), "/data/spec/memory/guest"), "1Gi");

	assert_vmi(w, "/spec/domain/memory/guest", "1Gi");
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 1);
	assert_string_equal(
		meta_annotation(world_vmi(w, "v0"), "kubevirt.io/cluster-instancetype-name"), "small");
	assert_string_equal(meta_annotation(world_vmi(w, "v0"), "kubevirt.io/cluster-preference-name"), "p");
	assert_no_rr(w);
	/* A later edit of the type is for later VMs. */
	put(w, &kind_clusterinstancetype, "small", 2, "{'cpu':{'guest':2},'memory':{'guest':'2Gi'}}");
	world_run(w, SOON);
	assert_no_rr(w);
	assert_vmi(w, "/spec/domain/memory/guest", "1Gi");
	restart(w);
	assert_vmi(w, "/spec/domain/memory/guest", "1Gi");
	assert_true(world_quiet(w, 600000));
}

/* 89: both grow live, and the memory at start stands */
static void a_larger_type_is_brought_to_the_guest(void **state)
{
	static const char *const maxima[][2] = { { "", "" }, { ",'maxSockets':4", ",'maxGuest':'4Gi'" } };
	struct world *w = *state;

	for (size_t i = 0; i < 2; i++) {
		CLEANUP(mem_freep) char *cpu1 = str_printf("'guest':1%s", maxima[i][0]);
		CLEANUP(mem_freep) char *cpu2 = str_printf("'guest':2%s", maxima[i][0]);
		CLEANUP(mem_freep) char *memory1 = str_printf("'guest':'1Gi'%s", maxima[i][1]);
		CLEANUP(mem_freep) char *memory2 = str_printf("'guest':'1152Mi'%s", maxima[i][1]);

		put_type(w, "small", cpu1, memory1);
		put_type(w, "large", cpu2, memory2);
		vm_of(w, "'instancetype':{'name':'small'}");
		assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
		edit(w, "{'instancetype':{'name':'large'}}");
		assert_no_rr(w);
		assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 2);
		assert_vmi(w, "/spec/domain/memory/guest", "1152Mi");
		assert_vmi(w, "/status/memory/guestAtBoot", "1Gi");
		assert_vmi(w, "/status/memory/guestCurrent", "1152Mi");
		assert_int_equal(
			world_guest(w, meta_str(world_vmi(w, "v0"), "uid"))->memory, 1152LL * 1024 * 1024);
		assert_string_equal(vm_text(w, REF), "v0-large-v1beta1-uid-large-1");
		assert_non_null(revision(w, "v0-small-v1beta1-uid-small-1")); /* what it was started with */
		assert_int_equal(user_delete(w, &kind_vm, "v0"), 0);
		world_run(w, 10000);
		assert_null(world_vm(w, "v0"));
	}
}

/* 89: a type that has changed since is taken afresh by letting go of the revision that was named */
static void a_revision_that_is_let_go_makes_room_for_what_the_type_is_now(void **state)
{
	struct world *w = *state;

	run_small(w, "");
	edit(w, "{'instancetype':{'revisionName':'v0-small-v1beta1-uid-small-1'}}");
	put(w, &kind_clusterinstancetype, "small", 2, "{'cpu':{'guest':1},'memory':{'guest':'2Gi'}}");
	world_run(w, SOON);
	assert_vmi(w, "/spec/domain/memory/guest", "1Gi");
	edit(w, "{'instancetype':{'revisionName':null}}");
	assert_string_equal(vm_text(w, REF), "v0-small-v1beta1-uid-small-2");
	assert_vmi(w, "/status/memory/guestCurrent", "2Gi");
	assert_no_rr(w);
	/* and back, by naming the old one again */
	edit(w, "{'instancetype':{'revisionName':'v0-small-v1beta1-uid-small-1'}}");
	assert_vmi(w, "/status/memory/guestCurrent", "1Gi");
	assert_true(world_quiet(w, 600000));
}

/* 90 */
static void what_is_not_live_needs_a_restart(void **state)
{
	struct world *w = *state;

	put_type(w, "dedicated", "'guest':1,'dedicatedCPUPlacement':true", "'guest':'1Gi'");
	put_type(w, "large", "'guest':4", "'guest':'2Gi'");
	put_type(w, "lean", "'guest':1", "'guest':'2Gi','overcommitPercent':50");
	put(w, &kind_clusterpreference, "cores", 1, "{'cpu':{'preferredCPUTopology':'cores'}}");
	run_small(w, ",'preference':{'name':'cores'}");
	edit(w, "{'instancetype':{'name':'dedicated'}}");
	assert_rr(w, T1 ": spec.template.spec.domain.cpu.dedicatedCpuPlacement (none) -> true");
	edit(w, "{'instancetype':{'name':'small'}}");
	assert_no_rr(w);
	edit(w, "{'instancetype':{'name':'lean'}}");
	assert_rr(w, T1 ": spec.template.spec.domain.resources.requests.memory (none) -> \"1Gi\"");
	assert_rr(w, "spec.template.spec.domain.memory.guest \"1Gi\" -> \"2Gi\"");
	assert_rr(w, "; from spec.instancetype.name \"small\" -> \"lean\"");
	assert_vmi(w, "/status/memory/guestCurrent", "1Gi");
	edit(w, "{'instancetype':{'name':'large'}}");
	assert_rr(w, T1 ": spec.template.spec.domain.cpu.cores 1 -> 4");
	restart(w);
	assert_no_rr(w);
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/cores"), 4);
	assert_vmi(w, "/spec/domain/memory/guest", "2Gi");
}

/* decision 4: under Stage another type waits as a whole, and a start takes it */
static void under_stage_another_type_waits(void **state)
{
	struct world *w = *state;

	user_config(w, "{'spec':{'configuration':{'vmRolloutStrategy':'Stage'}}}");
	put(w, &kind_clusterinstancetype, "large", 1,
		"{'cpu':{'guest':2},'memory':{'guest':'2Gi'},'nodeSelector':{'zone':'a'},'annotations':{'a':'"
		"b'}}");
	run_small(w, "");
	edit(w, "{'instancetype':{'name':'large'}}");
	assert_rr(w, "spec.template.spec.domain.cpu.sockets 1 -> 2");
	assert_rr(w, "spec.template.spec.domain.memory.guest \"1Gi\" -> \"2Gi\"");
	assert_rr(w, "spec.template.spec.nodeSelector");
	assert_rr(w, "spec.template.metadata.annotations");
	assert_rr(w, "; from spec.instancetype.name \"small\" -> \"large\"");
	assert_vmi(w, "/spec/domain/memory/guest", "1Gi");
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 1);
	edit(w, "{'instancetype':{'name':'small'}}");
	assert_no_rr(w);
	/* one that differs in name alone is no difference */
	put_type(w, "other", "'guest':1", "'guest':'1024Mi'");
	edit(w, "{'instancetype':{'name':'other'}}");
	assert_no_rr(w);
	edit(w, "{'instancetype':{'name':'large'}}");
	fake_api_put(w->api, &kind_node,
		json_lit("{'metadata':{'name':'" WORLD_NODE
			 "','labels':{'kubevirt.io/schedulable':'true','zone':'a'}}}"));
	restart(w);
	assert_no_rr(w);
	assert_vmi(w, "/spec/domain/memory/guest", "2Gi");
	assert_string_equal(meta_annotation(world_vmi(w, "v0"), "a"), "b");
}

/* 3.4 */
static void the_node_selector_of_a_type_follows(void **state)
{
	struct world *w = *state;

	put(w, &kind_clusterinstancetype, "zoned", 1,
		"{'cpu':{'guest':1},'memory':{'guest':'1Gi'},'nodeSelector':{'zone':'a'}}");
	run_small(w, "");
	edit(w, "{'instancetype':{'name':'zoned'}}");
	assert_no_rr(w);
	assert_vmi(w, "/spec/nodeSelector/zone", "a");
	edit(w, "{'instancetype':{'name':'small'}}");
	assert_vmi(w, "/spec/nodeSelector/zone", "(none)");
}

/* As kubevirt issue 18955 for cards: what is plugged comes with the preferences applied, so it does not differ afterwards. */
static void plugged_devices_have_the_preferences(void **state)
{
	struct world *w = *state;
	const struct json *devices;

	put(w, &kind_clusterpreference, "p", 1,
		"{'devices':{'preferredDiskBus':'virtio','preferredDiskCache':'none',"
		"'preferredInterfaceModel':'e1000'}}");
	put_type(w, "small", "'guest':1", "'guest':'1Gi'");
	struct err e = { 0 };
	assert_int_equal(
		user_create(w, &kind_vm,
			"{'apiVersion':'kubevirt.io/"
			"v1','kind':'VirtualMachine','metadata':{'name':'v0'},'spec':{"
			"'runStrategy':'Always','instancetype':{'name':'small'},'preference':{'name':'p'},"
			"'template':{'spec':{'networks':[{'name':'default','pod':{}}],'domain':{'devices':{"
			"'interfaces':[{'name':'default','masquerade':{}}]}}}}}}",
			&e),
		0);
	world_run(w, SOON);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
	edit(w, "{'template':{'spec':{'networks':[{'name':'default','pod':{}},{'name':'red','multus':{"
		"'networkName':'red'}}],'volumes':[{'name':'data','persistentVolumeClaim':{'claimName':'c',"
		"'hotpluggable':true}}],'domain':{'devices':{'disks':[{'name':'data'}],'interfaces':["
		"{'name':'default','masquerade':{}},{'name':'red','bridge':{}}]}}}}}");
	assert_no_rr(w);
	devices = json_at(world_vmi(w, "v0"), "/spec/domain/devices");
	assert_string_equal(json_at_str(devices, "/interfaces/1/name"), "red");
	assert_string_equal(json_at_str(devices, "/interfaces/1/model"), "e1000");
	assert_string_equal(json_at_str(devices, "/disks/0/name"), "data");
	assert_string_equal(json_at_str(devices, "/disks/0/disk/bus"), "virtio");
	assert_string_equal(json_at_str(devices, "/disks/0/cache"), "none");
	edit(w, "{'template':{'metadata':{'labels':{'a':'b'}}}}"); /* looked at once more */
	assert_no_rr(w);
}

static void a_type_that_is_not_there_is_waited_for(void **state)
{
	struct world *w = *state;

	vm_of(w, "'instancetype':{'name':'small'}");
	assert_null(world_vmi(w, "v0"));
	assert_string_equal(condition(w, COND_FAILURE, "reason"), "FailedFindInstancetype");
	assert_string_equal(condition(w, COND_FAILURE, "message"),
		"virtualmachineclusterinstancetypes.instancetype.kubevirt.io \"small\" not found");
	assert_string_equal(vm_text(w, "/status/printableStatus"), "Stopped");
	assert_true(world_quiet(w, 600000));
	put_type(w, "small", "'guest':1", "'guest':'1Gi'");
	world_run(w, SOON);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
	assert_null(condition(w, COND_FAILURE, "reason"));
	/* one that runs goes on, and can be stopped */
	edit(w, "{'preference':{'name':'gone'}}");
	assert_string_equal(condition(w, COND_FAILURE, "reason"), "FailedFindPreference");
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
	edit(w, "{'runStrategy':'Halted'}");
	world_run(w, 10000);
	assert_null(world_vmi(w, "v0"));
}

static void a_type_that_conflicts_is_told(void **state)
{
	struct world *w = *state;

	put_type(w, "small", "'guest':1", "'guest':'1Gi'");
	struct err e = { 0 };
	assert_int_equal(
		user_create(w, &kind_vm,
			"{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachine','metadata':{'name':'v0'},"
			"'spec':{'runStrategy':'Always','instancetype':{'name':'small'},'template':{'spec':{"
			"'domain':{'devices':{},'cpu':{'sockets':2}}}}}}",
			&e),
		0);
	world_run(w, SOON);
	assert_null(world_vmi(w, "v0"));
	assert_string_equal(condition(w, COND_FAILURE, "reason"), "FailedCreate");
	assert_string_equal(condition(w, COND_FAILURE, "message"),
		"VM field(s) spec.template.spec.domain.cpu.sockets conflicts with selected instance type");
}

static void a_vm_that_names_nothing_any_more_refers_to_nothing(void **state)
{
	struct world *w = *state;

	run_small(w, "");
	edit(w, "{'runStrategy':'Halted'}");
	world_run(w, 10000);
	edit(w, "{'instancetype':null,'template':{'spec':{'domain':{'memory':{'guest':'1Gi'}}}}}");
	assert_null(json_at(world_vm(w, "v0"), "/status/instancetypeRef"));
}

#define POLICY(p) "{'spec':{'configuration':{'instancetype':{'referencePolicy':'" p "'}}}}"

/* 3.7: the same rules hold for a VM that was made plain */
static void a_policy_makes_vms_plain(void **state)
{
	struct world *w = *state;

	put(w, &kind_clusterpreference, "p", 1, "{'devices':{'preferredDiskBus':'virtio'}}");
	user_config(w, POLICY("expand"));
	put_type(w, "small", "'guest':1", "'guest':'1Gi'");
	vm_of(w, "'instancetype':{'name':'small'},'preference':{'name':'p'}");
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
	assert_null(json_at(world_vm(w, "v0"), "/spec/instancetype"));
	assert_null(json_at(world_vm(w, "v0"), "/spec/preference"));
	assert_null(json_at(world_vm(w, "v0"), "/status/instancetypeRef"));
	assert_string_equal(vm_text(w, "/spec/template/spec/domain/memory/guest"), "1Gi");
	assert_no_rr(w);
	edit(w, "{'template':{'spec':{'domain':{'memory':{'guest':'2Gi'},'cpu':{'sockets':2}}}}}");
	assert_no_rr(w);
	assert_vmi(w, "/status/memory/guestCurrent", "2Gi");
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 2);
}

static void expand_leaves_those_that_have_revisions_and_expand_all_does_not(void **state)
{
	struct world *w = *state;

	run_small(w, "");
	user_config(w, POLICY("expand"));
	world_run(w, SOON);
	assert_string_equal(vm_text(w, "/spec/instancetype/name"), "small");
	user_config(w, POLICY("expandAll"));
	world_run(w, SOON);
	assert_null(json_at(world_vm(w, "v0"), "/spec/instancetype"));
	assert_string_equal(vm_text(w, "/spec/template/spec/domain/memory/guest"), "1Gi");
	assert_non_null(revision(w, "v0-small-v1beta1-uid-small-1")); /* of what runs */
	/* what runs is what the VM says: nothing to restart for */
	assert_no_rr(w);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
	edit(w, "{'template':{'spec':{'domain':{'memory':{'guest':'2Gi'}}}}}");
	assert_no_rr(w);
	assert_vmi(w, "/status/memory/guestCurrent", "2Gi");
	edit(w, "{'template':{'spec':{'hostname':'b'}}}");
	assert_rr(w, T1 ": spec.template.spec.hostname (none) -> \"b\"");
	assert_true(world_quiet(w, 600000));
	restart(w);
	assert_null(revision(w, "v0-small-v1beta1-uid-small-1"));
	assert_no_rr(w);
}

/* ---- random people: whatever they do to types and names, the guest has what its revision says or it is told ---- */
#define SEEDS 200
#define SETTLE_MS 1200000

static const char *const names[] = { "a", "b", "c" };

static const char *some(struct world *w, const char *const *list, size_t n)
{
	return list[rng_below(&w->rng, n)];
}
#define PICK(w, list) some(w, list, ARRAY_LEN(list))

static void do_write_type(struct world *w, int turn)
{
	static const char *const sizes[] = { "1Gi", "2Gi", "3Gi" }, *const cpus[] = { "1", "2", "4" },
				 *const zones[] = { "", ",'nodeSelector':{'zone':'a'}" };
	CLEANUP(mem_freep)
	char *spec = str_printf("{'cpu':{'guest':%s},'memory':{'guest':'%s'}%s}", PICK(w, cpus),
		PICK(w, sizes), PICK(w, zones));

	put(w, &kind_clusterinstancetype, PICK(w, names), turn, spec);
}

static void do_remove_type(struct world *w, int turn)
{
	const char *name = PICK(w, names);

	if (fake_api_get(w->api, &kind_clusterinstancetype, name))
		fake_api_remove(w->api, &kind_clusterinstancetype, name);
}

/* revision NULL: let go of the one that is held */
static void patch(struct world *w, const char *name, const char *revision)
{
	CLEANUP(str_done) struct str text = { 0 };

	str_add(&text, "{'spec':{'instancetype':{");
	if (name)
		str_addf(&text, "'name':'%s',", name);
	if (revision)
		str_addf(&text, "'revisionName':'%s'}}}", revision);
	else
		str_add(&text, "'revisionName':null}}}");
	user_merge(w, &kind_vm, "v0", NULL, text.data);
}

static void do_name(struct world *w, int turn)
{
	patch(w, PICK(w, names), NULL);
}

static void do_hold(struct world *w, int turn)
{
	const char *kept = json_at_str(world_vm(w, "v0"), REF);

	if (kept)
		patch(w, NULL, kept);
}

static void do_let_go(struct world *w, int turn)
{
	patch(w, NULL, NULL);
}

static void do_rollout(struct world *w, int turn)
{
	static const char *const list[] = { "{'spec':{'configuration':{'vmRolloutStrategy':'LiveUpdate'}}}",
		"{'spec':{'configuration':{'vmRolloutStrategy':'Stage'}}}" };
	user_config(w, PICK(w, list));
}

static void do_kill(struct world *w, int turn)
{
	world_kill(w);
	world_run(w, (int64_t)rng_below(&w->rng, 1000));
	world_start(w);
}

static void do_restart(struct world *w, int turn)
{
	const struct json *vmi = world_vmi(w, "v0");
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'status':{'stateChangeRequests':[{'action':'Stop','uid':'%s'},{'action':'Start'}]}}",
		vmi ? meta_str(vmi, "uid") : "");

	if (vmi)
		user_merge(w, &kind_vm, "v0", "status", text);
}

/* By its own reading of the revision that the status names. */
static void check_guest(struct world *w)
{
	const struct json *vm = world_vm(w, "v0"), *vmi = world_vmi(w, "v0");
	const char *kept = json_at_str(vm, REF), *failure = condition(w, COND_FAILURE, "reason");
	const char *told = json_str_or(
		json_get(cond_find(json_at(vm, "/status/conditions"), COND_RESTART_REQUIRED), "message"), "");
	const struct json *type = kept ? json_at(revision(w, kept), "/data/spec") : NULL;
	const char *named = json_at_str(vm, "/spec/instancetype/name");

	if (str_eq(failure, "FailedFindInstancetype")) {
		if (fake_api_get(w->api, &kind_clusterinstancetype, named))
			world_broken(w, "%s is there and was not found", named);
		return;
	}
	if (!type) {
		world_broken(w, "no revision %s", kept ? kept : "in the status");
		return;
	}
	if (!json_at(vm, "/spec/instancetype/revisionName") && /* who names one gets it, whatever it is of */
		!str_eq(meta_label(revision(w, kept), "instancetype.kubevirt.io/object-name"), named))
		world_broken(w, "%s is no revision of %s", kept, named);
	if (!vmi || vmi_phase(vmi) != VMI_RUNNING) {
		world_broken(w, "it does not run");
		return;
	}
	const struct guest *g = world_guest(w, meta_str(vmi, "uid"));
	bool memory = quantity_bytes(json_at(type, "/memory/guest")) != g->memory;
	bool sockets = json_i64(json_at(type, "/cpu/guest")) != g->sockets;
	bool placed = !json_eq(json_get(type, "nodeSelector"), json_at(vmi, "/spec/nodeSelector"));

	if (memory != (strstr(told, "domain.memory.guest") != NULL) ||
		sockets != (strstr(told, "domain.cpu.sockets") != NULL) ||
		placed != (strstr(told, "spec.nodeSelector") != NULL))
		world_broken(
			w, "memory %d sockets %d place %d differ, told: %s", memory, sockets, placed, told);
}

static void random_edits_of_types_and_names_settle(void **state)
{
	static void (*const acts[])(struct world * w, int turn) = { do_write_type, do_write_type, do_name,
		do_name, do_name, do_hold, do_let_go, do_remove_type, do_rollout, do_kill, do_restart };

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world w;
		struct fake_faults f = { .seed = seed,
			.latency_max_ms = 30,
			.fail_request = 20,
			.lose_answer = 20,
			.conflict = 20,
			.drop_watch = 20,
			.repeat_event = 50 };

		world_init(&w, seed, false);
		fake_api_put(w.api, &kind_node,
			json_lit("{'metadata':{'name':'" WORLD_NODE
				 "','labels':{'kubevirt.io/schedulable':'true','zone':'a'}}}"));
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			put_type(&w, names[i], "'guest':1", "'guest':'1Gi'");
		vm_of(&w, "'instancetype':{'name':'a'}");
		fake_api_faults(w.api, &f);
		for (int i = 0; i < 12; i++) {
			acts[rng_below(&w.rng, ARRAY_LEN(acts))](&w, i + 2);
			world_run(&w, (int64_t)rng_below(&w.rng, 1500));
		}
		fake_api_faults(w.api, &(struct fake_faults){ .seed = ~seed });
		if (!world_settle(&w, SETTLE_MS) || !world_quiet(&w, 3600000))
			world_broken(&w, "it does not come to rest");
		check_guest(&w);
		if (w.broken.len)
			fail_msg("seed %d: %s", (int)seed, w.broken.data);
		world_done(&w);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_a_vm_got_is_kept_in_revisions),
		T(a_larger_type_is_brought_to_the_guest),
		T(a_revision_that_is_let_go_makes_room_for_what_the_type_is_now),
		T(what_is_not_live_needs_a_restart),
		T(under_stage_another_type_waits),
		T(the_node_selector_of_a_type_follows),
		T(plugged_devices_have_the_preferences),
		T(a_type_that_is_not_there_is_waited_for),
		T(a_type_that_conflicts_is_told),
		T(a_vm_that_names_nothing_any_more_refers_to_nothing),
		T(a_policy_makes_vms_plain),
		cmocka_unit_test(random_edits_of_types_and_names_settle),
		T(expand_leaves_those_that_have_revisions_and_expand_all_does_not),
	};

	log_init("instancetype_test", LOG_ERROR);
	return cmocka_run_group_tests_name("instance types", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of network cards against a running instance: rollout.md 3.6, behaviours 84 to 87, decision 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/nics.h"
#include "kubevirt/vm/vm_impl.h"

#define POD_NIC "{'name':'default','masquerade':{}}"
#define POD_NET "{'name':'default','pod':{}}"
#define RED "{'name':'red','bridge':{}}"
#define RED_DOWN "{'name':'red','bridge':{},'state':'down'}"
#define RED_UP "{'name':'red','bridge':{},'state':'up'}"
#define RED_ABSENT "{'name':'red','bridge':{},'state':'absent'}"
#define RED_NET "{'name':'red','multus':{'networkName':'nad'}}"
#define BLUE_NET "{'name':'blue','multus':{'networkName':'nad'}}"
#define MIGRATABLE ",'conditions':[{'type':'LiveMigratable','status':'True'}]"

struct given {
	bool stage, moves; /* moves: LiveMigrate stands in workloadUpdateMethods */
	const char *waits; /* ANN_NICS_WAIT */
	/* interfaces and networks, in front of them the pod's own unless they begin with "!" */
	const char *start_nics, *start_nets, *vmi_nics, *vmi_nets, *nics, *nets;
	const char *vmi_status; /* with a comma in front */
};

static char *list(const char *own, const char *more)
{
	if (more && *more == '!')
		return mem_strdup(more + 1);
	return str_printf("%s%s%s", own, more && *more ? "," : "", more ? more : "");
}

static char *spec_text(const char *nics, const char *nets)
{
	CLEANUP(mem_freep) char *a = list(POD_NIC, nics);
	CLEANUP(mem_freep) char *b = list(POD_NET, nets);

	return str_printf("{'domain':{'devices':{'interfaces':[%s]}},'networks':[%s]}", a, b);
}

struct outcome {
	struct edits r;
	struct obj *vm, *vmi;
	struct json_doc *start;
	char *message; /* of RestartRequired; NULL */
};

static struct outcome look(struct given g)
{
	CLEANUP(mem_freep) char *vm_spec = spec_text(g.nics, g.nets);
	CLEANUP(mem_freep) char *vmi_spec = spec_text(g.vmi_nics, g.vmi_nets);
	CLEANUP(mem_freep) char *start_spec = spec_text(g.start_nics, g.start_nets);
	CLEANUP(mem_freep)
	char *vm = str_printf("{'metadata':{'namespace':'n','name':'v','uid':'u','generation':2,"
			      "'resourceVersion':'1'},'spec':{'template':{'spec':%s}}}",
		vm_spec);
	CLEANUP(mem_freep)
	char *vmi = str_printf("{'metadata':{'namespace':'n','name':'v','uid':'i','resourceVersion':'2',"
			       "'annotations':{'" ANN_NICS_WAIT "':'%s'}},"
			       "'spec':%s,'status':{'phase':'Running'%s}}",
		g.waits ? g.waits : "", vmi_spec, g.vmi_status ? g.vmi_status : "");
	CLEANUP(mem_freep) char *start = str_printf("{'spec':%s}", start_spec);
	struct outcome o = {
		.vm = obj_from_doc(json_lit(vm)), .vmi = obj_from_doc(json_lit(vmi)), .start = json_lit(start)
	};
	static const struct vm_env env = { 0 };
	struct kv_config config;
	struct vm_seen s = { .vm = o.vm, .vmi = o.vmi, .config = &config, .env = &env };

	kv_config_from(NULL, &config);
	config.rollout = g.stage ? ROLLOUT_STAGE : ROLLOUT_LIVE_UPDATE;
	config.workload_methods = g.moves ? KV_UPDATE_LIVE_MIGRATE : 0;
	s.template = json_at(obj_json(o.vm), "/spec/template");
	s.start = json_root(o.start);
	rollout_compute(&s, &o.r);
	o.message = o.r.staged ? rollout_message(&o.r, NULL) : NULL;
	return o;
}

static void outcome_done(struct outcome *o)
{
	rollout_done(&o->r);
	obj_unref(o->vm);
	obj_unref(o->vmi);
	json_doc_free(o->start);
	free(o->message);
}

/* live: the card of the instance afterwards (NULL: the instance stays as it is); staged: a path in the message; NULL */
static void check(int line, const char *live, const char *staged, struct given g)
{
	struct outcome o = look(g);
	CLEANUP(json_doc_freep) struct json_doc *want = live && *live ? json_lit(live) : NULL;
	const struct json *spec = o.r.vmi ? json_get(json_root(o.r.vmi), "spec") : NULL;

	if (staged ? !o.message || !strstr(o.message, staged) : o.message != NULL)
		fail_msg("line %d: RestartRequired: %s", line, o.message ? o.message : "(none)");
	if (!live && o.r.vmi && !json_eq(spec, json_get(obj_json(o.vmi), "spec")))
		fail_msg("line %d: the instance is changed: %s", line, json_write(spec, NULL));
	if (live && !o.r.vmi)
		fail_msg("line %d: the instance is not changed", line);
	if (want) {
		const struct json *nic = nic_interface(spec, json_get_str(json_root(want), "name"));

		if (!json_eq(nic, json_root(want)))
			fail_msg("line %d: %s", line, json_write(nic, NULL));
		assert_non_null(nic_network(spec, json_get_str(json_root(want), "name")));
	}
	outcome_done(&o);
}
#define LIVE(nic, ...) check(__LINE__, nic, NULL, (struct given){ __VA_ARGS__ })
#define STAGED(path, ...) check(__LINE__, NULL, path, (struct given){ __VA_ARGS__ })
#define NOTHING(...) check(__LINE__, NULL, NULL, (struct given){ __VA_ARGS__ })
#define NIC(rest) "spec.template.spec.domain.devices.interfaces[" rest
#define NET(rest) "spec.template.spec.networks[" rest
/* red is there, since the start or later */
#define RUNNING_RED .vmi_nics = RED, .vmi_nets = RED_NET
#define STARTED_RED RUNNING_RED, .start_nics = RED, .start_nets = RED_NET

/* 84 */
static void a_new_card_goes_to_the_instance_if_it_can_be_plugged(void **state)
{
	LIVE(RED, .nics = RED, .nets = RED_NET);
	LIVE("{'name':'blue','sriov':{}}", .nics = "{'name':'blue','sriov':{}}", .nets = BLUE_NET);
	/* in any place of the list */
	LIVE(RED, .nics = "!" RED "," POD_NIC, .nets = "!" RED_NET "," POD_NET);
	/* other bindings: not on the instance; said, not swallowed (7.15) */
	STAGED(NIC("blue]"), .nics = "{'name':'blue','binding':{'name':'x'}}", .nets = BLUE_NET);
	/* one that is absent from the beginning is none */
	NOTHING(.nics = RED_ABSENT, .nets = RED_NET);
	NOTHING(.nics = RED, .nets = RED_NET, RUNNING_RED);
	NOTHING(.nics = RED, .nets = RED_NET, STARTED_RED);
	/* an instance that got its card by itself */
	NOTHING(.nics = "!", .nets = "!", .start_nics = "!", .start_nets = "!");
	STAGED(NIC("default]"), .nics = "!" RED, .nets = "!" RED_NET, .start_nics = "!", .start_nets = "!");
}

/* 85 */
static void the_state_follows_and_absent_is_not_revived(void **state)
{
	LIVE(RED_DOWN, .nics = RED_DOWN, .nets = RED_NET, STARTED_RED);
	LIVE(RED_DOWN, .nics = RED_DOWN, .nets = RED_NET, RUNNING_RED);
	LIVE(RED, .nics = RED, .nets = RED_NET, .vmi_nics = RED_DOWN, .vmi_nets = RED_NET);
	LIVE(RED_UP, .nics = RED_UP, .nets = RED_NET, .vmi_nics = RED_DOWN, .vmi_nets = RED_NET,
		.start_nics = RED_DOWN, .start_nets = RED_NET);
	NOTHING(.nics = RED_UP, .nets = RED_NET, STARTED_RED); /* up is what nothing means */
	LIVE("{'name':'default','masquerade':{},'state':'down'}",
		.nics = "!{'name':'default','masquerade':{},'state':'down'}");
	LIVE(RED_ABSENT, .nics = RED_ABSENT, .nets = RED_NET, STARTED_RED);
	NOTHING(.nics = RED, .nets = RED_NET, .vmi_nics = RED_ABSENT, .vmi_nets = RED_NET);
	NOTHING(.nics = RED_DOWN, .nets = RED_NET, .vmi_nics = RED_ABSENT, .vmi_nets = RED_NET);
	NOTHING(.vmi_nics = RED_ABSENT, .vmi_nets = RED_NET);
	/* it has left the instance: out of the template it is no change, and in again it is new */
	NOTHING(.start_nics = RED, .start_nets = RED_NET);
	LIVE("{'name':'red','bridge':{},'model':'e1000'}",
		.nics = "{'name':'red','bridge':{},'model':'e1000'}", .nets = RED_NET, .start_nics = RED,
		.start_nets = RED_NET);
	STAGED(NIC("default].state"), .nics = "!{'name':'default','masquerade':{},'state':'absent'}");
}

/* 86 */
static void what_only_a_restart_can_do(void **state)
{
	STAGED(NIC("red]"), STARTED_RED);
	STAGED(NIC("red].bridge"), .nics = "{'name':'red','binding':{'name':'x'}}", .nets = RED_NET,
		STARTED_RED);
	STAGED(NIC("red].model"), .nics = "{'name':'red','bridge':{},'model':'e1000'}", .nets = RED_NET,
		RUNNING_RED);
	STAGED(NIC("red].macAddress"), .nics = "{'name':'red','bridge':{},'macAddress':'02:00:00:00:00:01'}",
		.nets = RED_NET, STARTED_RED);
	STAGED(NET("red].pod"), .nics = RED, .nets = "{'name':'red','pod':{}}", STARTED_RED);
	STAGED(NET("default].multus"), .nets = "!{'name':'default','multus':{'networkName':'x'}}");
	STAGED(NIC("default].ports"), .nics = "!{'name':'default','masquerade':{},'ports':[{'port':80}]}");
	STAGED(NIC("pod2]"), .nics = "{'name':'pod2','masquerade':{}}", .nets = "{'name':'pod2','pod':{}}");
	/* what an instance has by default is no difference */
	NOTHING(.vmi_nics = "!{'name':'default','masquerade':{},'model':'virtio'}");
	/* decision 6: nothing else goes live meanwhile */
	STAGED(NIC("blue]"), .nics = "{'name':'red','bridge':{},'model':'e1000'},{'name':'blue','bridge':{}}",
		.nets = RED_NET "," BLUE_NET, STARTED_RED);
}

/* 87 */
static void another_network_goes_to_a_vm_that_can_migrate(void **state)
{
	struct given g = { .nics = RED,
		.nets = "{'name':'red','multus':{'networkName':'other'}}",
		STARTED_RED,
		.vmi_status = MIGRATABLE };
	struct outcome o = look(g);

	assert_null(o.message);
	assert_non_null(o.r.vmi);
	assert_string_equal(
		json_at_str(nic_network(json_get(json_root(o.r.vmi), "spec"), "red"), "/multus/networkName"),
		"other");
	outcome_done(&o);
	STAGED(NET("red].multus.networkName"), .nics = RED,
		.nets = "{'name':'red','multus':{'networkName':'other'}}", STARTED_RED);
	STAGED(NET("red].multus.default"), .nics = RED,
		.nets = "{'name':'red','multus':{'networkName':'nad','default':true}}", STARTED_RED,
		.vmi_status = MIGRATABLE);
}

#define OTHER_NET "{'name':'red','multus':{'networkName':'other'}}"
#define OTHER_ASKED .vmi_nics = RED, .vmi_nets = OTHER_NET, .start_nics = RED, .start_nets = RED_NET
#define NOT_MIGRATABLE ",'conditions':[{'type':'LiveMigratable','status':'False'}]"

/* 87, decision 19: the instance is asked, and where nothing may move it the VM says what waits for a restart */
static void another_network_without_live_migrate_needs_a_restart(void **state)
{
	STAGED(NET("red].multus.networkName \"n/nad\" -> \"other\""), OTHER_ASKED, .nics = RED,
		.nets = OTHER_NET, .waits = "red=n/nad", .vmi_status = MIGRATABLE);
	NOTHING(OTHER_ASKED, .nics = RED, .nets = OTHER_NET, .waits = "red=n/nad", .vmi_status = MIGRATABLE,
		.moves = true);
	STAGED(NET("red].multus.networkName"), OTHER_ASKED, .nics = RED, .nets = OTHER_NET,
		.waits = "blue=n/x red=n/nad", .vmi_status = NOT_MIGRATABLE, .moves = true);
	NOTHING(OTHER_ASKED, .nics = RED, .nets = OTHER_NET, .waits = "blue=n/x", .vmi_status = MIGRATABLE);
}

/* 88, decision 19: a card that the running pod can not be attached to in place, a virtual function at once */
static void a_card_that_can_not_come_in_place_needs_a_restart(void **state)
{
	STAGED(NIC("red] (none) -> {"), RUNNING_RED, .nics = RED, .nets = RED_NET,
		.waits = "red=", .vmi_status = MIGRATABLE);
	STAGED(NIC("blue] (none) -> {"), .vmi_nics = "{'name':'blue','sriov':{}}", .vmi_nets = BLUE_NET,
		.nics = "{'name':'blue','sriov':{}}", .nets = BLUE_NET,
		.waits = "blue=", .vmi_status = MIGRATABLE);
	NOTHING(RUNNING_RED, .nics = RED, .nets = RED_NET, .waits = "red=", .vmi_status = MIGRATABLE,
		.moves = true);
	/* nobody wants it any more */
	LIVE(RED_ABSENT, RUNNING_RED, .nics = RED_ABSENT, .nets = RED_NET,
		.waits = "red=", .vmi_status = MIGRATABLE);
}

/* Decisions 5 and 6: the network that the pod still has is no change, whatever else is staged */
static void the_network_of_the_pod_is_taken_back(void **state)
{
	LIVE(RED, OTHER_ASKED, .nics = RED, .nets = RED_NET, .waits = "red=n/nad", .vmi_status = MIGRATABLE);
	LIVE(RED, OTHER_ASKED, .nics = RED, .nets = RED_NET, .waits = "red=n/nad",
		.vmi_status = NOT_MIGRATABLE);
	LIVE(RED, OTHER_ASKED, .stage = true, .nics = RED, .nets = RED_NET, .waits = "red=n/nad");
	check(__LINE__, RED, NIC("default].model"),
		(struct given){ OTHER_ASKED,
			.nics = "!{'name':'default','masquerade':{},'model':'e1000'}," RED, .nets = RED_NET,
			.waits = "red=n/nad" });
}

#define WITHOUT_RED(...) without_red(__LINE__, (struct given){ __VA_ARGS__ })
static void without_red(int line, struct given g)
{
	struct outcome o = look(g);
	const struct json *spec = o.r.vmi ? json_get(json_root(o.r.vmi), "spec") : NULL;

	if (!spec || nic_interface(spec, "red") || nic_network(spec, "red"))
		fail_msg("line %d: it is still in the instance", line);
	assert_int_equal(!o.message || !strstr(o.message, "red"), true);
	outcome_done(&o);
}

/* Decision 5: a card that the guest never got leaves as it came. SR-IOV ones can not be absent. */
static void a_card_that_never_came_is_taken_back(void **state)
{
#define GUEST_HAS_RED ",'interfaces':[{'name':'default'},{'name':'red'}]"
	WITHOUT_RED(RUNNING_RED, .waits = "red=");
	WITHOUT_RED(RUNNING_RED, .stage = true);
	WITHOUT_RED(.vmi_nics = "{'name':'red','sriov':{}}", .vmi_nets = RED_NET,
		.waits = "red=", .moves = true);
	/* whatever else is staged */
	WITHOUT_RED(RUNNING_RED, .nics = "!{'name':'default','masquerade':{},'model':'e1000'}");
	STAGED(NIC("red]"), RUNNING_RED, .vmi_status = GUEST_HAS_RED);
	STAGED(NET("red] {"), RUNNING_RED, .vmi_status = GUEST_HAS_RED);
	STAGED(NIC("red]"), STARTED_RED);
	NOTHING(RUNNING_RED, .vmi_status = ",'migrationState':{'startTimestamp':'2023-11-14T22:00:00Z'}");
}

/* Decision 4, kubevirt issue 17328 */
static void under_stage_everything_waits(void **state)
{
	STAGED(NIC("red]"), .stage = true, .nics = RED, .nets = RED_NET);
	STAGED(NIC("red].state"), .stage = true, .nics = RED_DOWN, .nets = RED_NET, STARTED_RED);
	STAGED(NIC("red].state"), .stage = true, .nics = RED_ABSENT, .nets = RED_NET, STARTED_RED);
	STAGED(NET("red].multus.networkName"), .stage = true, .nics = RED,
		.nets = "{'name':'red','multus':{'networkName':'other'}}", STARTED_RED,
		.vmi_status = MIGRATABLE);
	NOTHING(.stage = true, .nics = RED, .nets = RED_NET, STARTED_RED);
}

/* kubevirt issue 18955: a preference sets the model. Template and start come with it applied, and so does the copy. */
static void a_preferred_model_is_no_difference(void **state)
{
	const char *const own = "!{'name':'default','masquerade':{},'model':'e1000'}";
	const char *const both = "!{'name':'default','masquerade':{},'model':'e1000'},{'name':'red','bridge':"
				 "{},'model':'e1000'}";

	LIVE("{'name':'red','bridge':{},'model':'e1000'}", .start_nics = own, .vmi_nics = own, .nics = both,
		.nets = RED_NET);
	NOTHING(.start_nics = own, .vmi_nics = both, .vmi_nets = RED_NET, .nics = both, .nets = RED_NET);
}

static void a_change_waits_for_the_end_of_a_migration(void **state)
{
	struct given g = { .nics = RED,
		.nets = RED_NET,
		.vmi_status = ",'migrationState':{'startTimestamp':'2023-11-14T22:00:00Z'}" };
	struct outcome o = look(g);

	assert_null(o.message);
	assert_string_equal(o.r.busy_reason, "HotPlugNetworkInterfaceError");
	assert_true(!o.r.vmi || !nic_interface(json_get(json_root(o.r.vmi), "spec"), "red"));
	outcome_done(&o);
	g.stage = true;
	o = look(g);
	assert_non_null(o.message);
	outcome_done(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_card_goes_to_the_instance_if_it_can_be_plugged),
		cmocka_unit_test(the_state_follows_and_absent_is_not_revived),
		cmocka_unit_test(what_only_a_restart_can_do),
		cmocka_unit_test(another_network_goes_to_a_vm_that_can_migrate),
		cmocka_unit_test(another_network_without_live_migrate_needs_a_restart),
		cmocka_unit_test(a_card_that_can_not_come_in_place_needs_a_restart),
		cmocka_unit_test(the_network_of_the_pod_is_taken_back),
		cmocka_unit_test(a_card_that_never_came_is_taken_back),
		cmocka_unit_test(under_stage_everything_waits),
		cmocka_unit_test(a_preferred_model_is_no_difference),
		cmocka_unit_test(a_change_waits_for_the_end_of_a_migration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What virt-handler does about network cards: decisions only. rollout.md 3.6, 84, 85. */
#include "kubevirt/handler/guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/nics.h"

#define NOW 1767323045000
#define RED_IF "podb1f51a511f1"
#define DEFAULT_TOLD \
	"{'name':'default','mac':'02:00:00:00:00:01','backend':'slirp','link':'up','leaving':false}"
#define RED_TOLD(link) \
	",{'name':'red','mac':'02:00:00:00:00:02','backend':'tap','link':'" link "','leaving':false}"
#define RED(more) ",{'name':'red','bridge':{}" more "}"
#define RED_NET ",{'name':'red','multus':{'networkName':'nad'}}"
#define ATTACHED "[{'name':'n/nad','interface':'" RED_IF "','mac':'02:00:00:00:00:02'}]"

struct given {
	const char *nics, *nets; /* of the spec, behind the default one */
	const char *told;        /* likewise */
	const char *status;      /* the VMI's interfaces */
	const char *attached;    /* the pod's network-status; NULL: none */
	const char *phase;       /* of the launcher; NULL: Running */
	bool young;              /* not booted */
	struct guest_nic nic;
};
struct outcome {
	struct obj *vmi, *pod;
	struct json_doc *state, *after;
	struct plan *plan;
	char *text;
};

static const char * or (const char *s, const char *other)
{
	return s ? s : other;
}

static struct outcome look(struct given g)
{
	CLEANUP(mem_freep)
	char *vmi = str_printf(
		"{'metadata':{'name':'vm','namespace':'n','uid':'u1','resourceVersion':'7'},'spec':{"
		"'domain':{'devices':{'interfaces':[{'name':'default','masquerade':{}}%s]}},'networks':"
		"[{'name':'default','pod':{}}%s]},'status':{'phase':'Running','nodeName':'n1','interfaces':"
		"[%s]}}",
		or (g.nics, ""), or (g.nets, ""), or (g.status, ""));
	CLEANUP(mem_freep)
	char *state =
		str_printf("{'phase':'%s','startedAtMs':%lld,'guest':{'booted':%s},'interfaces':[%s%s]}",
			or (g.phase, "Running"), (long long)NOW - 1000, g.young ? "false" : "true",
			DEFAULT_TOLD, or (g.told, ""));
	struct outcome o = {
		.vmi = obj_from_doc(json_lit(vmi)), .state = json_lit(state), .plan = plan_new()
	};
	struct json_doc *pod =
		json_lit("{'metadata':{'name':'p','namespace':'n'},'status':{'podIP':'10.44.0.9'}}");
	struct guest_facts f = {
		.attached = true, .connected = true, .state = json_root(o.state), .nic = g.nic
	};
	struct kv_config config;
	struct guest_view v = { .key = "n/vm",
		.uid = "u1",
		.node = "n1",
		.vmi = o.vmi,
		.facts = &f,
		.config = &config,
		.now = NOW };
	struct str text = { 0 };

	if (g.attached) {
		CLEANUP(json_doc_freep) struct json_doc *list = json_lit(g.attached);
		CLEANUP(mem_freep) char *value = json_write(json_root(list), NULL);

		meta_set_annotation(pod, json_root(pod), ANN_NETWORK_STATUS, value);
	}
	o.pod = obj_from_doc(pod);
	v.pod = o.pod;
	kv_config_from(NULL, &config);
	guest_nics(&v, obj_json(o.vmi), o.plan);
	o.after = obj_draft(o.vmi);
	guest_nic_status(&v, o.after, json_root(o.after));
	plan_text(o.plan, &text);
	o.text = str_take(&text);
	return o;
}

static void outcome_done(struct outcome *o)
{
	obj_unref(o->vmi);
	obj_unref(o->pod);
	json_doc_free(o->state);
	json_doc_free(o->after);
	plan_free(o->plan);
	free(o->text);
}

static void check(int line, const char *action, struct given g)
{
	struct outcome o = look(g);
	const struct intent *i = plan_len(o.plan) ? plan_at(o.plan, 0) : NULL;

	if (action ? !i || i->type != INTENT_ACTION || strcmp(i->action, action) : i != NULL)
		fail_msg("line %d: %s", line, o.text);
	outcome_done(&o);
}
#define DOES(action, ...) check(__LINE__, action, (struct given){ __VA_ARGS__ })

/* 84 */
static void a_card_is_plugged_when_the_pod_is_attached(void **state)
{
	DOES(NULL);
	DOES(NULL, .nics = RED(""), .nets = RED_NET);
	DOES(NULL, .nics = RED(""), .nets = RED_NET, .attached = "[{'interface':'net1'}]");
	DOES(GUEST_PLUG_NIC, .nics = RED(""), .nets = RED_NET, .attached = ATTACHED);
	DOES(GUEST_PLUG_NIC, .nics = RED(""), .nets = RED_NET, .attached = ATTACHED, .young = true);
	DOES(NULL, .nics = RED(""), .nets = RED_NET, .attached = ATTACHED, .told = RED_TOLD("up"));
	/* a virtual function is not this program's to give */
	DOES(NULL, .nics = ",{'name':'red','sriov':{}}", .nets = RED_NET, .attached = ATTACHED);
	/* one after the other, and not again at once */
	DOES(NULL, .nics = RED(""), .nets = RED_NET, .attached = ATTACHED,
		.nic = { .busy = true, .name = "x" });
	DOES(NULL, .nics = RED(""), .nets = RED_NET, .attached = ATTACHED, .nic = { .retry_at = NOW + 1 });
	DOES(GUEST_NIC_SEEN, .nics = RED(""), .nets = RED_NET, .attached = ATTACHED,
		.nic = { .done = true, .name = "red", .error = "no free PCIe port" });
}

/* 85 */
static void a_card_is_unplugged_when_the_guest_can_hear_it(void **state)
{
	DOES(GUEST_UNPLUG_NIC, .nics = RED(",'state':'absent'"), .nets = RED_NET, .attached = ATTACHED,
		.told = RED_TOLD("up"));
	DOES(GUEST_UNPLUG_NIC, .told = RED_TOLD("up")); /* not in the spec at all */
	DOES(NULL, .nics = RED(",'state':'absent'"), .nets = RED_NET, .told = RED_TOLD("up"), .young = true);
	DOES(NULL, .nics = RED(",'state':'absent'"), .nets = RED_NET, .told = RED_TOLD("up"),
		.phase = "Paused");
	DOES(NULL, .nics = RED(",'state':'absent'"), .nets = RED_NET, .attached = ATTACHED);
}

static void links_follow_the_state(void **state)
{
	struct outcome o = look((struct given){ .nics = RED(",'state':'down'"),
		.nets = RED_NET,
		.attached = ATTACHED,
		.told = RED_TOLD("up") });
	const struct json *args = json_root(plan_at(o.plan, 0)->doc);

	assert_string_equal(json_get_str(args, "uid"), "u1");
	assert_string_equal(json_get_str(args, "name"), "red");
	assert_string_equal(json_get_str(args, "state"), "down");
	outcome_done(&o);
	DOES(GUEST_SET_LINK, .nics = RED(",'state':'down'"), .nets = RED_NET, .attached = ATTACHED,
		.told = RED_TOLD("up"));
	DOES(GUEST_SET_LINK, .nics = RED(""), .nets = RED_NET, .attached = ATTACHED,
		.told = RED_TOLD("down"));
	DOES(NULL, .nics = RED(",'state':'down'"), .nets = RED_NET, .attached = ATTACHED,
		.told = RED_TOLD("down"));
	DOES(NULL, .nics = RED(",'state':'up'"), .nets = RED_NET, .attached = ATTACHED,
		.told = RED_TOLD("up"));
}

static const char *told(const struct outcome *o, const char *name, const char *key)
{
	return json_str_or(
		json_get(nic_named(json_at(json_root(o->after), "/status/interfaces"), name), key), "");
}

static void the_status_tells_who_has_what(void **state)
{
	struct outcome o = look((struct given){ .nics = RED(""), .nets = RED_NET, .attached = ATTACHED });

	assert_string_equal(told(&o, "red", "infoSource"), "multus-status");
	assert_string_equal(told(&o, "red", "podInterfaceName"), RED_IF);
	assert_string_equal(told(&o, "red", "mac"), "");
	assert_string_equal(told(&o, "default", "ipAddress"), "10.44.0.9");
	outcome_done(&o);
	o = look((struct given){ .nics = RED(""),
		.nets = RED_NET,
		.attached = ATTACHED,
		.told = RED_TOLD("down"),
		.status = "{'name':'red','infoSource':'multus-status','x':'kept'},{'name':'old'}" });
	assert_string_equal(told(&o, "red", "infoSource"), "domain, multus-status");
	assert_string_equal(told(&o, "red", "linkState"), "down");
	assert_string_equal(told(&o, "red", "mac"), "02:00:00:00:00:02");
	assert_string_equal(told(&o, "red", "ipAddress"), "");
	assert_string_equal(told(&o, "red", "x"), "kept");
	/* the pod network's first, whatever stood there; and nothing that is not there */
	assert_string_equal(json_at_str(json_root(o.after), "/status/interfaces/0/name"), "default");
	assert_int_equal(json_len(json_at(json_root(o.after), "/status/interfaces")), 2);
	outcome_done(&o);
	/* unplugged, the pod still attached; then that too is over */
	o = look((struct given){ .nics = RED(",'state':'absent'"),
		.nets = RED_NET,
		.attached = ATTACHED,
		.status = "{'name':'red','mac':'m','infoSource':'domain, multus-status'}" });
	assert_string_equal(told(&o, "red", "infoSource"), "multus-status");
	assert_string_equal(told(&o, "red", "mac"), "");
	outcome_done(&o);
	o = look((struct given){ .nics = RED(",'state':'absent'"),
		.nets = RED_NET,
		.status = "{'name':'red','infoSource':'multus-status'}" });
	assert_int_equal(json_len(json_at(json_root(o.after), "/status/interfaces")), 1);
	outcome_done(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_card_is_plugged_when_the_pod_is_attached),
		cmocka_unit_test(a_card_is_unplugged_when_the_guest_can_hear_it),
		cmocka_unit_test(links_follow_the_state),
		cmocka_unit_test(the_status_tells_who_has_what),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

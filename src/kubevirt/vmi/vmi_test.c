/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over one instance, from what is seen to what is planned: kubevirt-api.md 4, handoff.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/vmi/vmi_impl.h"

#define NOW 1700000000000
#define VMI_UID "22222222-2222-4222-8222-222222222222"
#define FINALIZER "'kubevirt.io/foregroundDeleteVirtualMachine'"
#define GOING ",'deletionTimestamp':'2023-11-14T22:13:20Z'"
#define SCHEDULED "'nodeName':'n1',"

static const struct vmi_env env = { "coracle.dev/virt-launcher:v1", "/var/run/kubevirt" };

struct given {
	const char *meta, *spec, *status; /* of the instance; meta with a comma in front */
	const char *pod_meta;             /* NULL: no pod; with a comma in front */
	const char *pod_spec, *pod_status;
	const char *configuration;
};
struct result {
	struct plan *plan;
	struct obj *vmi, *pod;
	char *text;
};

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static struct result pass(struct given g)
{
	CLEANUP(mem_freep)
	char *vmi = str_printf("{'metadata':{'namespace':'n','name':'v','uid':'" VMI_UID
			       "','resourceVersion':'5','finalizers':[" FINALIZER
			       "]%s},'spec':{'architecture':'amd64',%s},'status':{%s}}",
		or_empty(g.meta), g.spec ? g.spec : "'domain':{'memory':{'guest':'1Gi','maxGuest':'4Gi'}}",
		or_empty(g.status));
	CLEANUP(mem_freep)
	char *pod = str_printf(
		"{'metadata':{'namespace':'n','name':'p','uid':'pod-uid','resourceVersion':'6','annotations':"
		"{"
		"'kubevirt.io/"
		"memory-overhead-bytes':'301989888'}%s},'spec':{%s'containers':[{'name':'compute','image':"
		"'coracle.dev/"
		"virt-launcher:v1','resources':{'requests':{'memory':'1312Mi'}}}]},'status':{%s}}",
		or_empty(g.pod_meta), or_empty(g.pod_spec), or_empty(g.pod_status));
	CLEANUP(mem_freep)
	char *conf = str_printf("{'spec':{'configuration':{%s}}}", or_empty(g.configuration));
	CLEANUP(json_doc_freep) struct json_doc *cr = json_lit(conf);
	struct result r = {
		.plan = plan_new(), .vmi = obj_from_doc(json_lit(vmi)), .pod = obj_from_doc(json_lit(pod))
	};
	struct kv_config config;
	struct vmi_seen s = { .vmi = r.vmi, .config = &config, .env = &env, .now = NOW };
	struct str text = { 0 };

	kv_config_from(json_root(cr), &config);
	if (g.pod_meta) {
		s.pods[s.n_pods++] = r.pod;
		s.pod = r.pod;
	}
	vmi_decide_seen(&s, r.plan);
	plan_text(r.plan, &text);
	r.text = str_take(&text);
	return r;
}

static void done(struct result *r)
{
	plan_free(r->plan);
	obj_unref(r->vmi);
	obj_unref(r->pod);
	free(r->text);
}

static void check(int line, struct given g, const char *has, const char *lacks)
{
	struct result r = pass(g);

	if ((has && !strstr(r.text, has)) || (lacks && strstr(r.text, lacks)))
		fail_msg("line %d: %s", line, r.text);
	done(&r);
}
#define HAS(text, ...) check(__LINE__, (struct given){ __VA_ARGS__ }, text, NULL)
#define LACKS(text, ...) check(__LINE__, (struct given){ __VA_ARGS__ }, NULL, text)

#define PHASE(p) "\"path\":\"/status/phase\",\"value\":\"" p "\""
#define POD_RUNS "'phase':'Running','containerStatuses':[{'name':'compute','state':{'running':{}}}]"

/* kubevirt-api.md 4, "phase": every row, and what is not in it */
static void phases_move_along_drawn_arrows(void **state)
{
	HAS("create pods n/virt-launcher-v-", .status = "'phase':'Pending'");
	LACKS("create pods", .meta = GOING, .status = "'phase':'Pending'");
	HAS(PHASE("Failed"), .meta = GOING, .status = "'phase':'Pending'");
	HAS(PHASE("Scheduling"), .status = "'phase':'Pending'", .pod_meta = "");
	/* bound but not running yet */
	LACKS("/status/phase\"", .status = "'phase':'Scheduling'", .pod_meta = "", .pod_spec = SCHEDULED,
		.pod_status = "'phase':'Pending'");
	HAS(PHASE("Scheduled"), .status = "'phase':'Scheduling'", .pod_meta = "", .pod_spec = SCHEDULED,
		.pod_status = POD_RUNS);
	LACKS(PHASE("Scheduled"), .status = "'phase':'Scheduling'", .pod_meta = GOING, .pod_spec = SCHEDULED,
		.pod_status = POD_RUNS);
	HAS(PHASE("Failed"), .status = "'phase':'Scheduling'");
	HAS(PHASE("Failed"), .status = "'phase':'Scheduling'", .pod_meta = "",
		.pod_status = "'phase':'Failed'");
	/* from here on it is virt-handler's, as long as there is a pod */
	LACKS("/status/phase\"", .status = "'phase':'Scheduled'", .pod_meta = "", .pod_spec = SCHEDULED,
		.pod_status = POD_RUNS);
	HAS(PHASE("Failed"), .status = "'phase':'Running'");
	HAS(PHASE("Failed"), .status = "'phase':'Running'", .pod_meta = "", .pod_status = "'phase':'Failed'");
	HAS(PHASE("Succeeded"), .status = "'phase':'Running'", .pod_meta = "",
		.pod_status = "'phase':'Succeeded'");
	/* final is final */
	LACKS("/status/phase\"", .status = "'phase':'Succeeded'");
	LACKS("create pods", .status = "'phase':'Failed'");
}

/* handoff.h: one patch, everything that virt-handler needs */
static void the_hand_over_is_one_patch(void **state)
{
	struct result r = pass((struct given){ .status = "'phase':'Scheduling'",
		.spec = "'domain':{'memory':{'guest':'1Gi'},'devices':{'interfaces':[{'name':'default','"
			"masquerade':{}}]}},"
			"'volumes':[{'name':'root','containerDisk':{'image':'x'}}]",
		.pod_meta = "",
		.pod_spec = SCHEDULED,
		.pod_status = POD_RUNS ",'qosClass':'Burstable'" });
	size_t patches = 0;

	for (size_t i = 0; i < plan_len(r.plan); i++)
		patches += plan_at(r.plan, i)->type == INTENT_PATCH &&
			   str_eq(plan_at(r.plan, i)->kind->kind, "VirtualMachineInstance");
	assert_int_equal(patches, 1);
	assert_non_null(strstr(r.text, "kubevirt.io~1nodeName\",\"value\":\"n1\"")
				? r.text
				: strstr(r.text, "\"kubevirt.io/nodeName\":\"n1\""));
	assert_non_null(strstr(r.text, "\"path\":\"/status/nodeName\",\"value\":\"n1\""));
	assert_non_null(strstr(r.text, "\"path\":\"/status/activePods\",\"value\":{\"pod-uid\":\"n1\"}"));
	assert_non_null(strstr(r.text, "\"path\":\"/status/interfaces\""));
	assert_non_null(strstr(r.text, "\"path\":\"/status/volumeStatus\""));
	done(&r);
}

/* kubevirt-api.md 4, conditions */
static void ready_follows_the_pod_and_says_why_not(void **state)
{
	HAS("\"reason\":\"PodNotExists\"", .status = "'phase':'Pending'");
	HAS("\"reason\":\"PodTerminating\"", .status = "'phase':'Running'", .pod_meta = GOING,
		.pod_spec = SCHEDULED, .pod_status = POD_RUNS);
	HAS("\"reason\":\"GuestNotRunning\"", .status = "'phase':'Scheduled'", .pod_meta = "",
		.pod_spec = SCHEDULED, .pod_status = POD_RUNS);
	HAS("\"reason\":\"PodConditionMissing\"", .status = "'phase':'Running'", .pod_meta = "",
		.pod_spec = SCHEDULED, .pod_status = POD_RUNS);
	HAS("\"type\":\"Ready\",\"status\":\"True\"", .status = "'phase':'Running'", .pod_meta = "",
		.pod_spec = SCHEDULED,
		.pod_status = POD_RUNS ",'conditions':[{'type':'Ready','status':'True'}]");
}

static void trouble_is_repeated_with_an_event(void **state)
{
	const struct given g = { .status = "'phase':'Scheduling'",
		.pod_meta = "",
		.pod_spec = SCHEDULED,
		.pod_status = "'phase':'Pending','containerStatuses':[{'name':'compute','state':{'waiting':{'"
			      "reason':'ImagePullBackOff',"
			      "'message':'no such image'}}}]" };

	check(__LINE__, g, "\"type\":\"Synchronized\",\"status\":\"False\"", NULL);
	check(__LINE__, g, "event n/v Warning ImagePullBackOff: no such image", NULL);
	LACKS("Synchronized", .status = "'phase':'Scheduling'", .pod_meta = "", .pod_spec = SCHEDULED,
		.pod_status = "'phase':'Pending','containerStatuses':[{'name':'compute','state':{'waiting':{'"
			      "reason':'ContainerCreating'}}}]");
}

/* "cannot migrate ...": the first obstacle */
static void what_can_not_move_says_why(void **state)
{
#define AT_WORK .status = "'phase':'Running'", .pod_meta = "", .pod_spec = SCHEDULED, .pod_status = POD_RUNS
	HAS("InterfaceNotLiveMigratable", AT_WORK,
		.spec = "'domain':{'devices':{'interfaces':[{'name':'a','bridge':{}}]}},'networks':[{'name':'"
			"a','pod':{}}],"
			"'volumes':[{'name':'d','hostDisk':{'path':'/x'}}]");
	HAS("DisksNotLiveMigratable", AT_WORK,
		.spec = "'domain':{'devices':{}},'volumes':[{'name':'d','hostDisk':{'path':'/x'}}]");
	HAS("\"type\":\"LiveMigratable\",\"status\":\"True\"", AT_WORK, .spec = "'domain':{'devices':{}}");
	HAS("\"path\":\"/status/migrationMethod\",\"value\":\"LiveMigration\"", AT_WORK,
		.spec = "'domain':{'devices':{}}");
}

/* rollout.md 3.3, 7.4; handoff.h 2 */
#define GUEST(wanted, requested, more)                                                         \
	.spec = "'domain':{'memory':{'guest':'" wanted "','maxGuest':'4Gi'}}",                 \
	.status = "'phase':'Running','memory':{'guestAtBoot':'1Gi','guestCurrent':'" requested \
		  "','guestRequested':'" requested "'}" more,                                  \
	.pod_meta = "", .pod_spec = SCHEDULED
#define GAVE                                                                                             \
	"'phase':'Running','containerStatuses':[{'name':'compute','state':{'running':{}},'resources':{'" \
	"requests':{'memory':'1312Mi'}}}]"
#define RESIZE_2GI "patch pods n/p resize"

static void first_the_pod_grows_then_the_guest(void **state)
{
	HAS(RESIZE_2GI, GUEST("2Gi", "1Gi", ""), .pod_status = GAVE);
	HAS("\"value\":\"2336Mi\"", GUEST("2Gi", "1Gi", ""), .pod_status = GAVE);
	HAS("\"reason\":\"InPlaceHotplug\"", GUEST("2Gi", "1Gi", ""), .pod_status = GAVE);
	HAS("hot-memory-target\":\"2147483648\"", GUEST("2Gi", "1Gi", ""), .pod_status = GAVE);
	/* a node that fails is quoted */
	HAS("\"message\":\"no such cgroup\"", GUEST("2Gi", "1Gi", ""),
		.pod_status = GAVE ",'conditions':[{'type':'PodResizeInProgress','status':'True','reason':'"
				   "Error','message':'no such cgroup'}]");
	/* not while it starts, not while it moves */
	LACKS("HotMemoryChange",
		GUEST("2Gi", "1Gi", ",'migrationState':{'startTimestamp':'2023-11-14T22:13:20Z'}"),
		.pod_status = GAVE);
	LACKS("resize", GUEST("1Gi", "1Gi", ""), .pod_status = GAVE);
}

static void first_the_guest_shrinks_then_the_pod(void **state)
{
	/* 512Mi less are wanted than the pod has room for */
	LACKS("resize",
		.spec = "'domain':{'memory':{'guest':'1Gi','maxGuest':'4Gi'},'resources':{'requests':{'"
			"memory':'512Mi'}}}",
		.status = "'phase':'Running','memory':{'guestAtBoot':'1Gi','guestCurrent':'2Gi','"
			  "guestRequested':'2Gi'}",
		.pod_meta = "", .pod_spec = SCHEDULED, .pod_status = GAVE);
	HAS("resize",
		.spec = "'domain':{'memory':{'guest':'1Gi','maxGuest':'4Gi'},'resources':{'requests':{'"
			"memory':'512Mi'}}}",
		.status = "'phase':'Running','memory':{'guestAtBoot':'1Gi','guestCurrent':'1Gi','"
			  "guestRequested':'1Gi'}",
		.pod_meta = "", .pod_spec = SCHEDULED, .pod_status = GAVE);
}

#define COND(status, reason) \
	",'conditions':[{'type':'HotMemoryChange','status':'" status "','reason':'" reason "'}]"
#define TARGET(bytes) .meta = ",'annotations':{'coracle.dev/hot-memory-target':'" bytes "'}"

static void what_can_not_be_done_here_waits_for_a_migration(void **state)
{
	HAS("LiveMigrationRequired", GUEST("2Gi", "1Gi", ""), .pod_status = GAVE,
		.configuration =
			"'developerConfiguration':{'disabledFeatureGates':['InPlaceHotplug']}"); /* decision 11 */
	LACKS("resize", GUEST("2Gi", "1Gi", ""), .pod_status = GAVE,
		.configuration = "'developerConfiguration':{'disabledFeatureGates':['InPlaceHotplug']}");
	/* taken back: what the guest has needs no move; virt-handler knows whether it is at something */
	HAS("\"path\":\"/status/conditions/0/reason\",\"value\":\"InPlaceHotplug\"", TARGET("2147483648"),
		GUEST("1Gi", "1Gi", COND("True", "LiveMigrationRequired")), .pod_status = GAVE,
		.configuration = "'developerConfiguration':{'disabledFeatureGates':['InPlaceHotplug']}");
}

/* H4, limit 12 */
static void a_failed_value_is_left_and_another_one_tried(void **state)
{
	LACKS("HotMemoryChange", TARGET("2147483648"),
		GUEST("2Gi", "1Gi", COND("False", "Memory Hotplug Failed")), .pod_status = GAVE);
	LACKS("resize", TARGET("2147483648"), GUEST("2Gi", "1Gi", COND("False", "Memory Hotplug Failed")),
		.pod_status = GAVE);
	HAS("resize", TARGET("2147483648"), GUEST("3Gi", "1Gi", COND("False", "Memory Hotplug Failed")),
		.pod_status = GAVE);
	/* back to what it has: virt-handler has to take back what the guest took */
	HAS("\"value\":\"InPlaceHotplug\"", TARGET("2147483648"),
		GUEST("1Gi", "1Gi", COND("False", "Memory Hotplug Failed")), .pod_status = GAVE);
}

/* handoff.h: finalizers go when the guest has ended and no pod is left */
static void the_finalizer_outlives_the_guest_only(void **state)
{
	LACKS("finalizers", .meta = GOING, .status = "'phase':'Running'", .pod_meta = "",
		.pod_spec = SCHEDULED, .pod_status = POD_RUNS);
	LACKS("finalizers", .meta = GOING, .status = "'phase':'Succeeded'", .pod_meta = "",
		.pod_status = "'phase':'Succeeded'");
	HAS("delete pods n/p", .meta = GOING, .status = "'phase':'Succeeded'", .pod_meta = "",
		.pod_status = "'phase':'Succeeded'");
	HAS("finalizers", .meta = GOING, .status = "'phase':'Succeeded'");
}

/* ---- network cards ---- */
#define RUNNING "'phase':'Running','nodeName':'n1'"
#define RED(state) "{'name':'red','bridge':{}" state "}"
#define SPEC(nics, nets)                                                                                 \
	"'domain':{'memory':{'guest':'1Gi'},'firmware':{'uuid':'5d307ca9-b3ef-428c-8861-06e72d69f223'}," \
	"'devices':{'interfaces':[{'name':'default','masquerade':{}}," nics                              \
	"]}},'networks':[{'name':'default'"                                                              \
	",'pod':{}}," nets "]"
#define RED_NET "{'name':'red','multus':{'networkName':'nad'}}"
#define POD_WITH(networks, status)                                                                      \
	.pod_meta = ",'annotations':{'k8s.v1.cni.cncf.io/networks':'" networks "','k8s.v1.cni.cncf.io/" \
		    "network-status':'" status "'}",                                                    \
	.pod_spec = SCHEDULED, .pod_status = POD_RUNS
/* escaped as json_lit() needs it */
#define ASKED(name)                                                                            \
	"[{\\u0022name\\u0022:\\u0022" name "\\u0022,\\u0022namespace\\u0022:\\u0022n\\u0022," \
	"\\u0022interface\\u0022:\\u0022podb1f51a511f1\\u0022}]"
#define PENDING "AutoMigrationPending"
#define DUE "AutoMigrationDueToLiveUpdate"
#define NICS_WAIT "coracle.dev/nics-wait"

/* 84 */
static void the_pod_is_attached_to_what_the_instance_has(void **state)
{
	HAS("k8s.v1.cni.cncf.io~1networks", .spec = SPEC(RED(""), RED_NET), .status = RUNNING, .pod_meta = "",
		.pod_spec = SCHEDULED, .pod_status = POD_RUNS);
	/* 85: not before the guest has let go */
	LACKS("patch pods n/p [", .spec = SPEC(RED(",'state':'absent'"), RED_NET),
		.status = RUNNING ",'interfaces':[{'name':'red','infoSource':'domain, multus-status'}]",
		POD_WITH(ASKED("nad"), ASKED("nad")));
	HAS("{\"op\":\"remove\",\"path\":\"/metadata/annotations/k8s.v1.cni.cncf.io~1networks\"",
		.spec = SPEC(RED(",'state':'absent'"), RED_NET),
		.status = RUNNING ",'interfaces':[{'name':'red','infoSource':'multus-status'}]",
		POD_WITH(ASKED("nad"), ASKED("nad")));
}

/* 85 */
static void an_absent_card_leaves_the_spec_when_it_has_gone(void **state)
{
	LACKS("/spec/networks", .spec = SPEC(RED(",'state':'absent'"), RED_NET),
		.status = RUNNING ",'interfaces':[{'name':'red','infoSource':'multus-status'}]",
		POD_WITH(ASKED("nad"), ASKED("nad")));
	HAS("/spec/networks", .spec = SPEC(RED(",'state':'absent'"), RED_NET),
		.status = RUNNING ",'interfaces':[{'name':'default'}]", POD_WITH("[]", "[]"));
	HAS("/spec/domain/devices/interfaces", .spec = SPEC(RED(",'state':'absent'"), RED_NET),
		.status = RUNNING ",'interfaces':[{'name':'default'}]", POD_WITH("[]", "[]"));
	LACKS("/spec/networks", .spec = SPEC(RED(""), RED_NET),
		.status = RUNNING ",'interfaces':[{'name':'default'}]", POD_WITH(ASKED("nad"), "[]"));
}

/* 88; NOW is 22:13:20 */
static void a_migration_is_due_when_nobody_attaches_the_pod(void **state)
{
	/* in place, and nothing is needed */
	LACKS("MigrationRequired", .spec = SPEC(RED(""), RED_NET), .status = RUNNING,
		POD_WITH(ASKED("nad"), ASKED("nad")));
	HAS("\"status\":\"False\",\"lastTransitionTime\":\"2023-11-14T22:13:20Z\",\"reason\":\"" PENDING,
		.spec = SPEC(RED(""), RED_NET), .status = RUNNING, POD_WITH(ASKED("nad"), "[]"));
	/* 10 s later, 20 s later */
	LACKS("AutoMigration", .spec = SPEC(RED(""), RED_NET),
		.status = RUNNING
		",'conditions':[{'type':'MigrationRequired','status':'False','reason':'" PENDING
		"','message':'network red: the running pod is not attached to n/nad',"
		"'lastTransitionTime':'2023-11-14T22:13:10Z'}]",
		POD_WITH(ASKED("nad"), "[]"));
	HAS("\"" DUE "\"", .spec = SPEC(RED(""), RED_NET),
		.status = RUNNING
		",'conditions':[{'type':'MigrationRequired','status':'False','reason':'" PENDING
		"','message':'m','lastTransitionTime':'2023-11-14T22:13:00Z'}]",
		POD_WITH(ASKED("nad"), "[]"));
	/* attached after all: the need is gone */
	HAS("\"op\":\"remove\",\"path\":\"/status/conditions", .spec = SPEC(RED(""), RED_NET),
		.status = RUNNING ",'conditions':[{'type':'MigrationRequired','status':'True','reason':'" DUE
				  "','message':'m','lastTransitionTime':'2023-11-14T22:13:00Z'},"
				  "{'type':'LiveMigratable','status':'True'}]",
		POD_WITH(ASKED("nad"), ASKED("nad")));
	/* SR-IOV at once; another definition at once (87) */
	HAS("\"" DUE "\"", .spec = SPEC("{'name':'red','sriov':{}}", RED_NET), .status = RUNNING,
		POD_WITH("[]", "[]"));
	HAS("\"" DUE "\"", .spec = SPEC(RED(""), RED_NET), .status = RUNNING,
		POD_WITH(ASKED("old"), ASKED("old")));
	/* decision 19: the VM controller is told which, and what the pod has; while one may still come none */
	HAS("\"/metadata/annotations\",\"value\":{\"" NICS_WAIT "\":\"red=n/old\"}",
		.spec = SPEC(RED(""), RED_NET), .status = RUNNING, POD_WITH(ASKED("old"), ASKED("old")));
	HAS("\"" NICS_WAIT "\":\"red=\"", .spec = SPEC("{'name':'red','sriov':{}}", RED_NET),
		.status = RUNNING, POD_WITH("[]", "[]"));
	HAS("\"" NICS_WAIT "\":\"red=\"", .spec = SPEC(RED(""), RED_NET),
		.status = RUNNING
		",'conditions':[{'type':'MigrationRequired','status':'False','reason':'" PENDING
		"','message':'m','lastTransitionTime':'2023-11-14T22:13:00Z'}]",
		POD_WITH(ASKED("nad"), "[]"));
	LACKS("nics-wait", .spec = SPEC(RED(""), RED_NET), .status = RUNNING, POD_WITH(ASKED("nad"), "[]"));
	/* who is on the way out needs nothing */
	LACKS("AutoMigration", .spec = SPEC(RED(",'state':'absent'"), RED_NET), .status = RUNNING,
		POD_WITH(ASKED("old"), ASKED("old")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(phases_move_along_drawn_arrows),
		cmocka_unit_test(the_hand_over_is_one_patch),
		cmocka_unit_test(ready_follows_the_pod_and_says_why_not),
		cmocka_unit_test(trouble_is_repeated_with_an_event),
		cmocka_unit_test(what_can_not_move_says_why),
		cmocka_unit_test(first_the_pod_grows_then_the_guest),
		cmocka_unit_test(first_the_guest_shrinks_then_the_pod),
		cmocka_unit_test(what_can_not_be_done_here_waits_for_a_migration),
		cmocka_unit_test(a_failed_value_is_left_and_another_one_tried),
		cmocka_unit_test(the_finalizer_outlives_the_guest_only),
		cmocka_unit_test(the_pod_is_attached_to_what_the_instance_has),
		cmocka_unit_test(an_absent_card_leaves_the_spec_when_it_has_gone),
		cmocka_unit_test(a_migration_is_due_when_nobody_attaches_the_pod),
	};

	return cmocka_run_group_tests_name("vmi", tests, NULL, NULL);
}

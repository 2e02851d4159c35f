/* SPDX-License-Identifier: Apache-2.0 */
/* Attachment pods and volumeStatus of volumes that come and go: handoff.h, rollout.md 3.5; and what launcher pods have
 * of volumes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "api/patch.h"
#include "base/mem.h"
#include "kubevirt/vmi/vmi_impl.h"

#define NOW 1700000000000
#define VMI_UID "22222222-2222-4222-8222-222222222222"
#define HOT "{'name':'hot','persistentVolumeClaim':{'claimName':'a','hotpluggable':true}}"

static const struct vmi_env env = { "coracle.dev/virt-launcher:v1", "/var/run/kubevirt" };

struct scene {
	struct obj *vmi, *pod, *claim, *attachment;
	struct kv_config config;
	struct vmi_seen seen;
	struct plan *plan;
	struct str text;
};

static const struct obj *find_claim(const void *arg, const char *name)
{
	const struct scene *s = arg;

	return s->claim && str_eq(obj_name(s->claim), name) ? s->claim : NULL;
}

static void set_vmi(struct scene *s, const char *volumes, const char *status)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'metadata':{'namespace':'n','name':'v','uid':'" VMI_UID
		"','resourceVersion':'5','finalizers':['kubevirt.io/"
		"foregroundDeleteVirtualMachine']},'spec':{"
		"'architecture':'amd64','domain':{'memory':{'guest':'1Gi'}},'volumes':[%s]},'status':{%s}}",
		volumes, status);

	obj_unref(s->vmi);
	s->vmi = obj_from_doc(json_lit(text));
	s->seen.vmi = s->vmi;
}

static void scene_init(struct scene *s, const char *volumes, const char *entry)
{
	CLEANUP(mem_freep)
	char *status = str_printf("'phase':'Running','volumeStatus':[%s]", entry);

	*s = (struct scene){ 0 };
	kv_config_from(NULL, &s->config);
	s->pod = obj_from_doc(json_lit("{'metadata':{'namespace':'n','name':'p','uid':'pod-uid','"
				       "resourceVersion':'6'},'spec':{'nodeName':'n1',"
				       "'containers':[{'name':'compute'}]},'status':{'phase':'Running','"
				       "containerStatuses':[{'name':'compute',"
				       "'state':{'running':{}}}]}}"));
	s->claim = obj_from_doc(json_lit(
		"{'metadata':{'namespace':'n','name':'a'},'spec':{'volumeMode':'Filesystem','accessModes':["
		"'ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}},'status':{'phase':'Bound'}}"));
	s->seen = (struct vmi_seen){
		.config = &s->config, .env = &env, .now = NOW, .claim = find_claim, .claim_arg = s
	};
	s->seen.pods[s->seen.n_pods++] = s->pod;
	s->seen.pod = s->pod;
	set_vmi(s, volumes, status);
}

static void scene_done(struct scene *s)
{
	obj_unref(s->vmi);
	obj_unref(s->pod);
	obj_unref(s->claim);
	obj_unref(s->attachment);
	plan_free(s->plan);
	str_done(&s->text);
}

static void set_attachment(struct scene *s, const char *meta, const char *status)
{
	CLEANUP(json_doc_freep) struct json_doc *volume = json_lit(HOT);
	CLEANUP(mem_freep) char *name = attachment_pod_name(s->vmi, json_root(volume));
	CLEANUP(mem_freep)
	char *text = str_printf("{'metadata':{'namespace':'n','name':'%s','uid':'hp-uid'%s},'status':{%s}}",
		name, meta, status);

	obj_unref(s->attachment);
	s->attachment = obj_from_doc(json_lit(text));
	s->seen.attachments[0] = s->attachment;
	s->seen.n_attachments = 1;
}
#define RUNS "'containerStatuses':[{'state':{'running':{}}}]"

/* A pass; the instance is then as it was written. */
static const char *pass(struct scene *s)
{
	struct err e;

	plan_free(s->plan);
	s->plan = plan_new();
	str_clear(&s->text);
	vmi_decide_seen(&s->seen, s->plan);
	plan_text(s->plan, &s->text);
	for (size_t i = 0; i < plan_len(s->plan); i++) {
		const struct intent *it = plan_at(s->plan, i);
		struct json_doc *next;

		if (it->type != INTENT_PATCH || !str_eq(it->kind->kind, "VirtualMachineInstance"))
			continue;
		assert_int_equal(patch_json(obj_json(s->vmi), json_root(it->doc), &next, &e), 0);
		obj_unref(s->vmi);
		s->vmi = obj_from_doc(next);
		s->seen.vmi = s->vmi;
	}
	return str_cstr(&s->text);
}

static const char *phase(const struct scene *s)
{
	return json_str_or(json_at(obj_json(s->vmi), "/status/volumeStatus/0/phase"), "none");
}

static void handler_says(struct scene *s, const char *to)
{
	struct json_doc *d = obj_draft(s->vmi);

	json_put_str(d, json_root(d), "/status/volumeStatus/0/phase", to);
	obj_unref(s->vmi);
	s->vmi = obj_from_doc(d);
	s->seen.vmi = s->vmi;
}

static void drop_from_spec(struct scene *s)
{
	struct json_doc *d = obj_draft(s->vmi);

	json_clear(json_at(json_root(d), "/spec/volumes"));
	obj_unref(s->vmi);
	s->vmi = obj_from_doc(d);
	s->seen.vmi = s->vmi;
}

static void a_volume_comes_step_by_step(void **state)
{
	struct scene s;

	scene_init(&s, HOT, "");
	struct obj *claim = TAKE(s.claim);
	pass(&s);
	assert_string_equal(phase(&s), "Pending");
	assert_string_equal(json_at_str(obj_json(s.vmi), "/status/volumeStatus/0/reason"), "PVCNotReady");
	assert_null(strstr(s.text.data, "create pods"));
	s.claim = claim;
	assert_non_null(strstr(pass(&s), "create pods n/hp-volume-"));
	assert_string_equal(phase(&s), "Bound");
	/* before its pod is seen: the same again, and it is there already */
	pass(&s);
	assert_string_equal(phase(&s), "Bound");
	set_attachment(&s, "",
		"'conditions':[{'type':'PodScheduled','status':'False','reason':'Unschedulable',"
		"'message':'no room'}]");
	pass(&s);
	assert_string_equal(json_at_str(obj_json(s.vmi), "/status/volumeStatus/0/message"), "no room");
	set_attachment(&s, "", RUNS);
	assert_null(strstr(pass(&s), "create pods"));
	assert_string_equal(phase(&s), "AttachedToNode");
	assert_string_equal(
		json_at_str(obj_json(s.vmi), "/status/volumeStatus/0/hotplugVolume/attachPodUID"), "hp-uid");
	assert_string_equal(
		json_at_str(obj_json(s.vmi), "/status/volumeStatus/0/persistentVolumeClaimInfo/claimName"),
		"a");
	/* from here on virt-handler's */
	handler_says(&s, "Ready");
	pass(&s);
	assert_string_equal(phase(&s), "Ready");
	scene_done(&s);
}

static void a_volume_goes_when_the_guest_has_let_go(void **state)
{
	struct scene s;

	scene_init(&s, HOT, "");
	pass(&s);
	set_attachment(&s, "", RUNS);
	pass(&s);
	handler_says(&s, "Ready");
	drop_from_spec(&s);
	assert_null(strstr(pass(&s), "delete pods"));
	assert_string_equal(phase(&s), "Detaching");
	assert_null(strstr(pass(&s), "delete pods"));
	handler_says(&s, "UnMountedFromPod");
	assert_non_null(strstr(pass(&s), "delete pods"));
	assert_string_equal(phase(&s), "UnMountedFromPod");
	set_attachment(&s, ",'deletionTimestamp':'2023-11-14T22:13:20Z'", RUNS);
	assert_null(strstr(pass(&s), "delete pods"));
	s.seen.n_attachments = 0;
	pass(&s);
	assert_string_equal(phase(&s), "none");
	scene_done(&s);
}

/* rollout.md 81: one of the same name is brought when nothing of the former is left */
static void another_of_the_same_name_waits(void **state)
{
	struct scene s;

	scene_init(&s, HOT, "");
	pass(&s);
	set_attachment(&s, "", RUNS);
	pass(&s);
	handler_says(&s, "Ready");
	struct json_doc *d = obj_draft(s.vmi);
	json_put_str(d, json_root(d), "/spec/volumes/0/persistentVolumeClaim/claimName", "b");
	obj_unref(s.vmi);
	s.vmi = obj_from_doc(d);
	s.seen.vmi = s.vmi;
	assert_null(strstr(pass(&s), "create pods"));
	assert_string_equal(phase(&s), "Detaching");
	handler_says(&s, "UnMountedFromPod");
	pass(&s);
	s.seen.n_attachments = 0;
	pass(&s);
	assert_true(!str_eq(phase(&s), "UnMountedFromPod"));
	scene_done(&s);
}

static void a_volume_that_nobody_had_goes_at_once(void **state)
{
	struct scene s;

	scene_init(&s, HOT, "");
	pass(&s);
	set_attachment(&s, "", "");
	drop_from_spec(&s);
	assert_non_null(strstr(pass(&s), "delete pods"));
	s.seen.n_attachments = 0;
	pass(&s);
	assert_string_equal(phase(&s), "none");
	scene_done(&s);
}

/* Its entry was never written: the program died between pod and status. */
static void a_stray_pod_is_deleted(void **state)
{
	struct scene s;

	scene_init(&s, "", "");
	set_attachment(&s, "", RUNS);
	assert_non_null(strstr(pass(&s), "delete pods"));
	scene_done(&s);
}

/* Its pod was made, and the write of its entry was lost: virt-handler finds volumes by the name of their pods. */
static void a_pod_whose_entry_was_not_written_is_taken_up(void **state)
{
	struct scene s;

	scene_init(&s, HOT, "");
	set_attachment(&s, "", RUNS);
	assert_null(strstr(pass(&s), "create pods"));
	assert_string_equal(phase(&s), "AttachedToNode");
	assert_string_equal(
		json_at_str(obj_json(s.vmi), "/status/volumeStatus/0/hotplugVolume/attachPodName"),
		obj_name(s.attachment));
	scene_done(&s);
}

/* Nobody plugged it, so nobody would say that it is unplugged. */
static void an_entry_without_a_pod_goes_at_once(void **state)
{
	static const char *const phases[] = { "AttachedToNode", "Detaching" };

	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		CLEANUP(mem_freep)
		char *entry = str_printf("{'name':'hot','target':'','phase':'%s','hotplugVolume':{"
					 "'attachPodUID':'hp-uid'}}",
			phases[i]);
		struct scene s;

		scene_init(&s, "", entry);
		set_attachment(&s, "", RUNS);
		assert_non_null(strstr(pass(&s), "delete pods"));
		assert_string_equal(phase(&s), "none");
		scene_done(&s);
	}
}

static void a_lost_pod_is_made_again_and_the_guest_keeps_its_disk(void **state)
{
	struct scene s;

	scene_init(&s, HOT, "");
	pass(&s);
	set_attachment(&s, "", RUNS);
	pass(&s);
	handler_says(&s, "Ready");
	s.seen.n_attachments = 0;
	assert_non_null(strstr(pass(&s), "create pods"));
	assert_string_equal(phase(&s), "Ready");
	scene_done(&s);
}

static void pods_go_with_the_instance(void **state)
{
	struct scene s;

	scene_init(&s, HOT, "");
	set_attachment(&s, "", RUNS);
	set_vmi(&s, HOT, "'phase':'Failed'");
	assert_non_null(strstr(pass(&s), "delete pods n/hp-volume-"));
	scene_done(&s);
}

/* ---- launcher pods ---- */
static void a_missing_claim_keeps_the_launcher_back_and_says_so(void **state)
{
	struct scene s;

	scene_init(&s, "{'name':'x','persistentVolumeClaim':{'claimName':'nope'}}", "");
	s.seen.n_pods = 0;
	s.seen.pod = NULL;
	set_vmi(&s, "{'name':'x','persistentVolumeClaim':{'claimName':'nope'}}", "'phase':'Pending'");
	assert_null(strstr(pass(&s), "create pods"));
	assert_non_null(strstr(s.text.data, "FailedPvcNotFound"));
	set_vmi(&s, "{'name':'x','persistentVolumeClaim':{'claimName':'a'}}", "'phase':'Pending'");
	assert_non_null(strstr(pass(&s), "create pods"));
	scene_done(&s);
}

static struct json_doc *launcher(struct scene *s, const char *volumes)
{
	scene_init(s, volumes, "");
	const struct render_pod_in in = vmi_render_in(&s->seen);
	return launcher_pod_render(&in);
}

static void a_claim_is_mounted_and_its_image_prepared(void **state)
{
	struct scene s;
	CLEANUP(json_doc_freep)
	struct json_doc *d = launcher(&s, "{'name':'x','persistentVolumeClaim':{'claimName':'a'}}," HOT);
	const struct json *pod = json_get(json_root(d), "spec"), *init = json_at(pod, "/initContainers/0");

	assert_string_equal(json_at_str(pod, "/volumes/1/persistentVolumeClaim/claimName"), "a");
	assert_string_equal(json_at_str(pod, "/containers/0/volumeMounts/1/mountPath"),
		"/var/run/kubevirt-private/vmi-disks/x");
	assert_string_equal(json_at_str(init, "/command/1"), "--place");
	assert_string_equal(
		json_at_str(init, "/command/2"), "/var/run/kubevirt-private/vmi-disks/x/disk.img");
	assert_string_equal(json_at_str(init, "/command/3"), "1073741824");
	assert_int_equal(json_i64(json_at(init, "/securityContext/runAsUser")), 0);
	/* what can be plugged never comes with the launcher */
	assert_int_equal(json_len(json_get(pod, "volumes")), 2);
	scene_done(&s);
}

static void a_block_claim_is_a_device(void **state)
{
	struct scene s;
	struct json_doc *claim;

	scene_init(&s, "{'name':'x','persistentVolumeClaim':{'claimName':'a'}}", "");
	claim = obj_draft(s.claim);
	json_put_str(claim, json_root(claim), "/spec/volumeMode", "Block");
	obj_unref(s.claim);
	s.claim = obj_from_doc(claim);
	const struct render_pod_in in = vmi_render_in(&s.seen);
	CLEANUP(json_doc_freep) struct json_doc *d = launcher_pod_render(&in);
	assert_string_equal(
		json_at_str(json_root(d), "/spec/containers/0/volumeDevices/0/devicePath"), "/dev/vmi-x");
	assert_null(json_at(json_root(d), "/spec/initContainers"));
	scene_done(&s);
}

static void files_come_as_kubernetes_has_them(void **state)
{
	struct scene s;
	CLEANUP(json_doc_freep)
	struct json_doc *d = launcher(&s,
		"{'name':'c','configMap':{'name':'m','volumeLabel':'l'}},{'name':'s','secret':{"
		"'secretName':'t'}},{'name':'d','downwardAPI':{'fields':[{'path':'p'}]}},"
		"{'name':'h','hostDisk':{'path':'/d/x.img','type':'DiskOrCreate','capacity':'1Mi'"
		"}},{'name':'a','serviceAccount':{'serviceAccountName':'sa'}}");
	const struct json *pod = json_get(json_root(d), "spec");

	assert_string_equal(json_at_str(pod, "/volumes/1/configMap/name"), "m");
	assert_null(json_at(pod, "/volumes/1/configMap/volumeLabel"));
	assert_string_equal(json_at_str(pod, "/volumes/2/secret/secretName"), "t");
	assert_string_equal(json_at_str(pod, "/volumes/3/downwardAPI/items/0/path"), "p");
	assert_string_equal(json_at_str(pod, "/volumes/4/hostPath/path"), "/d");
	assert_string_equal(json_at_str(pod, "/initContainers/0/command/2"),
		"/var/run/kubevirt-private/vmi-disks/h/x.img");
	assert_string_equal(json_at_str(pod, "/serviceAccountName"), "sa");
	assert_int_equal(json_len(json_at(pod, "/volumes/5/projected/sources")), 3);
	scene_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_volume_comes_step_by_step),
		cmocka_unit_test(a_volume_goes_when_the_guest_has_let_go),
		cmocka_unit_test(another_of_the_same_name_waits),
		cmocka_unit_test(a_volume_that_nobody_had_goes_at_once),
		cmocka_unit_test(a_stray_pod_is_deleted),
		cmocka_unit_test(a_pod_whose_entry_was_not_written_is_taken_up),
		cmocka_unit_test(an_entry_without_a_pod_goes_at_once),
		cmocka_unit_test(a_lost_pod_is_made_again_and_the_guest_keeps_its_disk),
		cmocka_unit_test(pods_go_with_the_instance),
		cmocka_unit_test(a_missing_claim_keeps_the_launcher_back_and_says_so),
		cmocka_unit_test(a_claim_is_mounted_and_its_image_prepared),
		cmocka_unit_test(a_block_claim_is_a_device),
		cmocka_unit_test(files_come_as_kubernetes_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

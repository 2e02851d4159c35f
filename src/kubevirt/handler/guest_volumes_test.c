/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes that come and go, as virt-handler sees them: kubevirt/api/handoff.h, rollout.md 3.5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/patch.h"
#include "base/mem.h"
#include "kubevirt/handler/guest.h"

#define NOW 1767323045000
#define VMI(phase) VMI_WITH(phase, "'target':''", "")
/* with which nothing is left to write, if that is the phase */
#define AT_REST(phase)                                                                                       \
	VMI_WITH(phase, "'target':'sda','size':1048576",                                                     \
		"'phaseTransitionTimestamps':[{'phase':'Running','phaseTransitionTimestamp':'2026-01-02T03:" \
		"04:05Z'}],")
#define VMI_WITH(phase, entry, status)                                                                       \
	"{'apiVersion':'kubevirt.io/"                                                                        \
	"v1','kind':'VirtualMachineInstance','metadata':{'name':'vm','namespace':"                           \
	"'default','uid':'u1','resourceVersion':'7'},'spec':{'domain':{'memory':{'guest':'1Gi'},'devices':{" \
	"'disks':[{'name':'a','serial':'S','disk':{'bus':'scsi'}}]}}},'status':{'phase':'Running'," status   \
	"'nodeName':"                                                                                        \
	"'n1','memory':{'guestAtBoot':'1Gi','guestRequested':'1Gi','guestCurrent':'1Gi'},'volumeStatus':[{"  \
	"'name':'a'," entry ",'phase':'" phase "','hotplugVolume':{'attachPodName':'hp-1'}}]}}"
#define STATE(volumes) \
	"{'phase':'Running','disks':[],'interfaces':[],'guest':{'agent':false},'volumes':[" volumes "]}"
#define VOLUME(phase, error) \
	"{'id':'hp-1','name':'a','phase':'" phase "','target':'sda','size':1048576,'error':'" error "'}"

/* What it plans, and the entry afterwards. */
static void check(int line, const char *vmi_text, const char *state_text, const char *has, const char *lacks,
	const char *phase, const char *message)
{
	struct obj *vmi = obj_from_doc(json_lit(vmi_text));
	CLEANUP(json_doc_freep) struct json_doc *state = json_lit(state_text), *after = obj_draft(vmi);
	struct guest_facts facts = { .attached = true, .connected = true, .state = json_root(state) };
	struct kv_config config;
	struct plan *plan = plan_new();
	CLEANUP(str_done) struct str text = { 0 };
	const struct json *entry;
	struct err e;

	kv_config_from(NULL, &config);
	guest_decide(&(struct guest_view){ .key = "default/vm",
			     .uid = "u1",
			     .node = "n1",
			     .vmi = vmi,
			     .facts = &facts,
			     .config = &config,
			     .now = NOW },
		plan);
	plan_text(plan, &text);
	for (size_t i = 0; i < plan_len(plan); i++) {
		struct json_doc *next;

		if (plan_at(plan, i)->type != INTENT_PATCH)
			continue;
		assert_int_equal(
			patch_json(json_root(after), json_root(plan_at(plan, i)->doc), &next, &e), 0);
		json_doc_free(after);
		after = next;
	}
	entry = json_at(json_root(after), "/status/volumeStatus/0");
	if ((has && !strstr(str_cstr(&text), has)) || (lacks && strstr(str_cstr(&text), lacks)) ||
		!str_eq(json_get_str(entry, "phase"), phase) ||
		(message && !str_eq(json_get_str(entry, "message"), message)))
		fail_msg("line %d: %s\n%s", line, str_cstr(&text), json_write(entry, NULL));
	plan_free(plan);
	obj_unref(vmi);
}
#define CHECK(...) check(__LINE__, __VA_ARGS__)

static void a_volume_comes(void **state)
{
	/* its attachment pod runs, but has not offered it */
	CHECK(VMI("AttachedToNode"), STATE(""), NULL, "plug-disk", "AttachedToNode", NULL);
	CHECK(VMI("AttachedToNode"), STATE(VOLUME("offered", "")), "plug-disk", NULL, "MountedToPod",
		"Volume a has been mounted in virt-launcher pod");
	CHECK(VMI("MountedToPod"), STATE(VOLUME("plugging", "")), NULL, "plug-disk", "MountedToPod", NULL);
	CHECK(VMI("MountedToPod"), STATE(VOLUME("ready", "")), "VolumeReady", "plug-disk", "Ready",
		"Successfully attach hotplugged volume a to VM");
	/* at rest nothing is written or said */
	CHECK(VMI("Ready"), STATE(VOLUME("ready", "")), NULL, "event", "Ready", NULL);
}

/* The launcher tries again by itself, when its error has gone. */
static void trouble_is_told(void **state)
{
	CHECK(VMI("MountedToPod"), STATE(VOLUME("offered", "no free PCIe port")), "VolumeAttachFailed",
		"plug-disk", "MountedToPod", "no free PCIe port");
	CHECK(VMI("Detaching"), STATE(VOLUME("unplugging", "the guest holds it")), "VolumeDetachPending",
		"unplug-disk", "Detaching", "the guest holds it");
}

static void a_volume_goes(void **state)
{
	CHECK(VMI("Detaching"), STATE(VOLUME("ready", "")), "unplug-disk", NULL, "Detaching", NULL);
	CHECK(VMI("Detaching"), STATE(VOLUME("unplugging", "")), NULL, "unplug-disk", "Detaching", NULL);
	CHECK(VMI("Detaching"), STATE(""), "VolumeUnMountedFromPod", NULL, "UnMountedFromPod",
		"Volume a has been unmounted from virt-launcher pod");
	/* offered again by a pod that was restarted on its way out */
	CHECK(VMI("UnMountedFromPod"), STATE(VOLUME("offered", "")), "unplug-disk", NULL, "UnMountedFromPod",
		NULL);
}

/* What a pod offered before it was given up; found by the simulator. Not while the volume it is about may be on its way. */
static void a_stray_offer_is_sent_away(void **state)
{
#define OTHER "{'id':'hp-2','name':'','phase':'offered','target':'','size':1,'error':''}"
#define WANTS \
	"'spec':{'volumes':[{'name':'b','persistentVolumeClaim':{'claimName':'c','hotpluggable':true}}],"
	CLEANUP(str_done) struct str more = { 0 };

	CHECK(VMI("Ready"), STATE(VOLUME("ready", "") "," OTHER), "unplug-disk", NULL, "Ready", NULL);
	for (const char *p = VMI("Ready"); *p; p++) {
		if (str_starts(p, "'spec':{")) {
			str_add(&more, WANTS);
			p += sizeof("'spec':{") - 2;
		} else {
			str_addc(&more, *p);
		}
	}
	CHECK(str_cstr(&more), STATE(VOLUME("ready", "") "," OTHER), NULL, "unplug-disk", "Ready", NULL);
}

/* The simulator's find: the watch was behind, the volume of the offer had come to the spec since, and its pod never offered it
 * again. So the server is asked whether the VMI is still the one that was seen; a plan ends at what fails. */
static void an_offer_is_sent_away_for_a_vmi_as_it_is_now(void **state)
{
#define CONFIRMED                                                             \
	"patch virtualmachineinstances default/vm "                           \
	"[{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":" \
	"\"7\"}]\naction unplug-disk"

	CHECK(AT_REST("Ready"), STATE(VOLUME("ready", "") "," OTHER), CONFIRMED, NULL, "Ready", NULL);
	CHECK(AT_REST("Detaching"), STATE(VOLUME("offered", "")), CONFIRMED, NULL, "Detaching", NULL);
	CHECK(AT_REST("UnMountedFromPod"), STATE(VOLUME("offered", "")), CONFIRMED, NULL, "UnMountedFromPod",
		NULL);
	/* a write does as well */
	CHECK(VMI("MountedToPod"), STATE(VOLUME("ready", "") "," OTHER), "unplug-disk", "\"value\":\"7\"}]",
		"Ready", NULL);
	/* and coming needs neither: a plug is taken back */
	CHECK(AT_REST("MountedToPod"), STATE(VOLUME("offered", "")), "plug-disk", "patch", "MountedToPod",
		NULL);
}

/* Phases of virt-controller's are left alone. */
static void others_phases_are_left_alone(void **state)
{
	CHECK(VMI("Bound"), STATE(VOLUME("offered", "")), NULL, "plug-disk", "Bound", NULL);
	CHECK(VMI("Pending"), STATE(""), NULL, "plug-disk", "Pending", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_volume_comes),
		cmocka_unit_test(trouble_is_told),
		cmocka_unit_test(a_volume_goes),
		cmocka_unit_test(a_stray_offer_is_sent_away),
		cmocka_unit_test(an_offer_is_sent_away_for_a_vmi_as_it_is_now),
		cmocka_unit_test(others_phases_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes and disks of a running VM, behaviours 77 to 83 of rollout.md and decision 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vm/vm_impl.h"

#define NOW 1700000000000
#define ROOT_V "{'name':'root','containerDisk':{'image':'i'}}"
#define ROOT_D "{'name':'root','disk':{'bus':'virtio'}}"
#define HOT_V "{'name':'hot','persistentVolumeClaim':{'claimName':'a','hotpluggable':true}}"
#define HOT_D "{'name':'hot','disk':{'bus':'scsi'}}"
#define OTHER_V "{'name':'hot','persistentVolumeClaim':{'claimName':'b','hotpluggable':true}}"
#define COLD_V "{'name':'cold','persistentVolumeClaim':{'claimName':'c'}}"
#define COLD2_V "{'name':'cold','persistentVolumeClaim':{'claimName':'d'}}"
#define COLD_D "{'name':'cold','disk':{'bus':'virtio'}}"
#define CD_D "{'name':'cd','cdrom':{'bus':'scsi'}}"
#define CD_V "{'name':'cd','persistentVolumeClaim':{'claimName':'iso','hotpluggable':true}}"
#define CD2_V "{'name':'cd','persistentVolumeClaim':{'claimName':'iso2','hotpluggable':true}}"
#define SPEC(volumes, disks) "{'domain':{'devices':{'disks':[" disks "]}},'volumes':[" volumes "]}"
#define BASE SPEC(ROOT_V, ROOT_D)
#define WITH_HOT SPEC(ROOT_V "," HOT_V, ROOT_D "," HOT_D)
#define WITH_COLD SPEC(ROOT_V "," COLD_V, ROOT_D "," COLD_D)

/* Who has what; NULL: as the row above it. */
struct given {
	const char *start, *want, *have; /* specs of the start, the template, the instance */
	const char *status;              /* of the instance, with a comma in front */
	const char *config;              /* NULL: LiveUpdate */
	const char *vm_meta, *vm_spec;   /* with a comma in front */
	bool no_claims, nobody_moves;
};
struct result {
	struct obj *vm, *vmi;
	struct json_doc *start, *want;
	struct kv_config config;
	struct edits edits;
	char *left, *message;
	const struct json *spec; /* the instance's afterwards */
};

static const struct vm_env env = { 0 };

static const struct obj *no_claim(const void *arg, const char *name)
{
	return NULL;
}

static const char * or (const char *s, const char *deflt)
{
	return s ? s : deflt;
}

static struct result look(struct given g)
{
	CLEANUP(mem_freep)
	char *conf = str_printf(
		"{'spec':{'configuration':{%s},'workloadUpdateStrategy':{'workloadUpdateMethods':[%s]}}}",
		or (g.config, "'vmRolloutStrategy':'LiveUpdate'"), g.nobody_moves ? "" : "'LiveMigrate'");
	CLEANUP(mem_freep)
	char *vm = str_printf(
		"{'metadata':{'namespace':'n','name':'v','uid':'u','generation':2%s},'spec':{'template':{"
		"'spec':{}}%s}}",
		or (g.vm_meta, ""), or (g.vm_spec, ""));
	CLEANUP(mem_freep)
	char *vmi = str_printf(
		"{'metadata':{'namespace':'n','name':'v','uid':'i','resourceVersion':'8'},'spec':%s,"
		"'status':{'phase':'Running'%s}}",
		g.have ? g.have : g.start, or (g.status, ""));
	CLEANUP(json_doc_freep) struct json_doc *cr = json_lit(conf);
	struct result r = { .vm = obj_from_doc(json_lit(vm)), .vmi = obj_from_doc(json_lit(vmi)) };
	struct vm_seen s = { .vm = r.vm, .vmi = r.vmi, .config = &r.config, .env = &env, .now = NOW };

	r.start = json_lit("{}");
	r.want = json_lit("{}");
	CLEANUP(json_doc_freep) struct json_doc *start = json_lit(g.start), *want = json_lit(g.want);
	json_set_copy(r.start, json_root(r.start), "spec", json_root(start));
	json_set_copy(r.want, json_root(r.want), "spec", json_root(want));
	s.start = json_root(r.start);
	s.template = json_root(r.want);
	s.claim = g.no_claims ? no_claim : NULL;
	kv_config_from(json_root(cr), &r.config);
	rollout_compute(&s, &r.edits);
	r.left = rollout_volumes_left(&s);
	r.message = r.edits.staged ? rollout_message(&r.edits, NULL) : NULL;
	r.spec = json_get(r.edits.vmi ? json_root(r.edits.vmi) : obj_json(r.vmi), "spec");
	return r;
}

static void done(struct result *r)
{
	rollout_done(&r->edits);
	obj_unref(r->vm);
	obj_unref(r->vmi);
	json_doc_free(r->start);
	json_doc_free(r->want);
	free(r->left);
	free(r->message);
}

/* Goes live; the instance then has this spec. */
static void live(int line, struct given g, const char *spec)
{
	struct result r = look(g);
	CLEANUP(json_doc_freep) struct json_doc *want = json_lit(spec);

	if (r.edits.staged)
		fail_msg("line %d: staged: %s", line, r.message);
	if (!spec_same("", r.spec, json_root(want)))
		fail_msg("line %d: %s", line, json_write(r.spec, NULL));
	done(&r);
}
#define LIVE(spec, ...) live(__LINE__, (struct given){ __VA_ARGS__ }, spec)

/* Waits; the instance stays as it is. */
static void staged(int line, struct given g, const char *part)
{
	struct result r = look(g);

	if (!r.edits.staged || !strstr(r.message, part))
		fail_msg("line %d: %s", line, or (r.message, "not staged"));
	assert_null(r.edits.vmi);
	done(&r);
}
#define STAGED(part, ...) staged(__LINE__, (struct given){ __VA_ARGS__ }, part)

/* 77 */
static void hotpluggable_volumes_come_and_go(void **state)
{
	LIVE(WITH_HOT, BASE, WITH_HOT);
	LIVE(SPEC(ROOT_V "," HOT_V, ROOT_D "," HOT_D), BASE, SPEC(HOT_V "," ROOT_V, HOT_D "," ROOT_D));
	LIVE(BASE, WITH_HOT, BASE);
	LIVE(WITH_HOT, WITH_HOT, WITH_HOT);
	/* one without a disk of its own gets one */
	LIVE(WITH_HOT, BASE, SPEC(ROOT_V "," HOT_V, ROOT_D));
	/* a disk of the node is Coracle's own */
	LIVE(SPEC(ROOT_V ",{'name':'hot','hostDisk':{'path':'/x','type':'Disk','hotpluggable':true}}",
		     ROOT_D "," HOT_D),
		BASE,
		SPEC(ROOT_V ",{'name':'hot','hostDisk':{'path':'/x','type':'Disk','hotpluggable':true}}",
			ROOT_D "," HOT_D));
}

/* 81 */
static void a_changed_one_goes_first_and_comes_when_nothing_is_left(void **state)
{
#define ENTRY ",'volumeStatus':[{'name':'hot','phase':'Detaching','hotplugVolume':{'attachPodName':'p'}}]"
	const char *other = SPEC(ROOT_V "," OTHER_V, ROOT_D "," HOT_D);

	LIVE(BASE, WITH_HOT, other);
	LIVE(BASE, WITH_HOT, other, BASE, ENTRY);
	LIVE(other, WITH_HOT, other, BASE, ",'volumeStatus':[]");
	/* another serial number is another disk */
	LIVE(BASE, WITH_HOT,
		SPEC(ROOT_V "," HOT_V, ROOT_D ",{'name':'hot','serial':'s','disk':{'bus':'scsi'}}"));
}

/* 78, 79 */
static void all_others_wait(void **state)
{
	STAGED("volumes[cold]", BASE, WITH_COLD);
	STAGED("volumes[cold]", WITH_COLD, BASE);
	STAGED("volumes[cold]", BASE, SPEC(ROOT_V "," HOT_V "," COLD_V, ROOT_D "," HOT_D "," COLD_D));
	STAGED("claimName", WITH_COLD, SPEC(ROOT_V "," COLD2_V, ROOT_D "," COLD_D));
	STAGED("image", BASE, SPEC("{'name':'root','containerDisk':{'image':'j'}}", ROOT_D));
	/* what a running machine has no place for */
	STAGED("disks[hot]", BASE, SPEC(ROOT_V "," HOT_V, ROOT_D ",{'name':'hot','disk':{'bus':'sata'}}"));
	STAGED("disks[cd]", BASE, SPEC(ROOT_V "," CD_V, ROOT_D "," CD_D));
}

/* 80 */
static void discs_of_a_drive_change_but_the_drive_stays(void **state)
{
	const char *empty = SPEC(ROOT_V, ROOT_D "," CD_D), *full = SPEC(ROOT_V "," CD_V, ROOT_D "," CD_D),
		   *other = SPEC(ROOT_V "," CD2_V, ROOT_D "," CD_D);

	LIVE(full, empty, full);
	LIVE(empty, full, empty);
	LIVE(empty, full, other);
	LIVE(other, full, other, empty);
	STAGED("disks[cd]", empty, BASE);
	STAGED("disks[cd]", full, BASE);
}

/* Decision 4: Stage stages what the template says, and nothing of what was asked for directly. */
static void stage_stages_edits_but_no_requests(void **state)
{
#define AT_ONCE(names) ",'annotations':{'" ANN_VOLUMES_AT_ONCE "':'" names "'}"
#define STAGE "'vmRolloutStrategy':'Stage'"
	struct result r;

	STAGED("volumes[hot]", BASE, WITH_HOT, .config = STAGE);
	STAGED("volumes[hot]", WITH_HOT, BASE, .config = STAGE);
	LIVE(WITH_HOT, BASE, WITH_HOT, .config = STAGE, .vm_meta = AT_ONCE("hot"));
	LIVE(BASE, WITH_HOT, BASE, .config = STAGE, .vm_meta = AT_ONCE("x,hot"));
	/* beside something that is staged, also under LiveUpdate (decision 6) */
	r = look((struct given){ BASE, SPEC(ROOT_V "," HOT_V "," COLD_V, ROOT_D "," HOT_D "," COLD_D),
		.vm_meta = AT_ONCE("hot") });
	assert_true(r.edits.staged);
	assert_null(strstr(r.message, "[hot]"));
	assert_non_null(r.edits.vmi);
	assert_int_equal(json_len(json_get(r.spec, "volumes")), 2);
	assert_string_equal(r.left, "hot");
	done(&r);
	/* it says so itself when that has been done, or can not be */
	r = look((struct given){ BASE, WITH_HOT, WITH_HOT, .config = STAGE, .vm_meta = AT_ONCE("hot") });
	assert_null(r.left);
	assert_false(r.edits.staged);
	done(&r);
	r = look((struct given){ BASE, WITH_COLD, .config = STAGE, .vm_meta = AT_ONCE("cold") });
	assert_null(r.left);
	assert_true(r.edits.staged);
	done(&r);
}

/* Seen as a volume that stood twice in the instance, and as a drive in it that no guest had and nothing took away. */
static void a_request_is_carried_out_once_and_only_if_it_can_be(void **state)
{
	struct result r;

	LIVE(WITH_HOT, BASE, WITH_HOT, .vm_meta = AT_ONCE("hot,hot"));
	LIVE(BASE, WITH_HOT, BASE, .vm_meta = AT_ONCE("hot,hot"));
	r = look((struct given){ BASE, WITH_HOT, .vm_meta = AT_ONCE("hot,hot") });
	assert_string_equal(r.left, "hot");
	done(&r);
	r = look((struct given){
		BASE, SPEC(ROOT_V "," CD_V, ROOT_D "," CD_D), .vm_meta = AT_ONCE("cd"), .config = STAGE });
	assert_true(r.edits.staged);
	assert_non_null(strstr(r.message, "disks[cd]"));
	assert_null(r.edits.vmi);
	assert_null(r.left);
	done(&r);
	LIVE(BASE, BASE, BASE, SPEC(ROOT_V "," CD_V, ROOT_D "," CD_D));
}

static void what_only_the_instance_has_goes_but_in_the_imperative_mode(void **state)
{
	LIVE(BASE, BASE, BASE, WITH_HOT);
	LIVE(WITH_HOT, BASE, BASE, WITH_HOT,
		.config = "'vmRolloutStrategy':'LiveUpdate','developerConfiguration':{'featureGates':['"
			  "HotplugVolumes']}");
}

static void a_migration_is_waited_for(void **state)
{
	struct result r = look((struct given){
		BASE, WITH_HOT, .status = ",'migrationState':{'startTimestamp':'2023-11-14T22:00:00Z'}" });

	assert_string_equal(r.edits.busy_reason, "HotPlugVolumeError");
	assert_null(r.edits.vmi);
	done(&r);
}

#define MIGRATION ",'updateVolumesStrategy':'Migration'"
/* 82 */
static void what_no_migration_can_copy_is_staged(void **state)
{
	STAGED("invalid volumes to update with migration: shareable: [cold]",
		SPEC(ROOT_V "," COLD_V, ROOT_D ",{'name':'cold','shareable':true,'disk':{'bus':'virtio'}}"),
		SPEC(ROOT_V "," COLD2_V, ROOT_D ",{'name':'cold','shareable':true,'disk':{'bus':'virtio'}}"),
		.vm_spec = MIGRATION);
	STAGED("luns: [cold]", SPEC(ROOT_V "," COLD_V, ROOT_D ",{'name':'cold','lun':{'bus':'scsi'}}"),
		SPEC(ROOT_V "," COLD2_V, ROOT_D ",{'name':'cold','lun':{'bus':'scsi'}}"),
		.vm_spec = MIGRATION);
	STAGED("filesystems: [cold]",
		"{'domain':{'devices':{'disks':[" ROOT_D
		"],'filesystems':[{'name':'cold','virtiofs':{}}]}},'volumes':[" ROOT_V "," COLD_V "]}",
		"{'domain':{'devices':{'disks':[" ROOT_D
		"],'filesystems':[{'name':'cold','virtiofs':{}}]}},'volumes':[" ROOT_V "," COLD2_V "]}",
		.vm_spec = MIGRATION);
#define STAYS ",{'name':'stays','persistentVolumeClaim':{'claimName':'s'}}"
	STAGED("volume stays is RWO", SPEC(ROOT_V "," COLD_V STAYS, ROOT_D "," COLD_D),
		SPEC(ROOT_V "," COLD2_V STAYS, ROOT_D "," COLD_D), .vm_spec = MIGRATION);
}

/* Decision 19, H11: what keeps the guest where it is besides its disks, or nobody who may move it */
static void what_nobody_moves_is_staged(void **state)
{
	const char *moved = SPEC(ROOT_V "," COLD2_V, ROOT_D "," COLD_D);
#define NOT_MIGRATABLE(reason) \
	",'conditions':[{'type':'LiveMigratable','status':'False','reason':'" reason "','message':'m'}]"

	STAGED("has no LiveMigrate", WITH_COLD, moved, .vm_spec = MIGRATION, .nobody_moves = true);
	STAGED("can not be migrated: m", WITH_COLD, moved, .vm_spec = MIGRATION,
		.status = NOT_MIGRATABLE("HostDeviceNotLiveMigratable"));
	LIVE(WITH_COLD, WITH_COLD, moved, .vm_spec = MIGRATION,
		.status = NOT_MIGRATABLE("DisksNotLiveMigratable"));
#define ON_HOST ",{'name':'host','hostDisk':{'path':'/x','type':'Disk'}}"
	STAGED("volume host is on its host", SPEC(ROOT_V "," COLD_V ON_HOST, ROOT_D "," COLD_D),
		SPEC(ROOT_V "," COLD2_V ON_HOST, ROOT_D "," COLD_D), .vm_spec = MIGRATION);
}

static void condition_is(const struct result *r, const char *status, const char *reason)
{
	const struct json *c =
		cond_find(json_at(json_root(r->edits.vmi), "/status/conditions"), COND_VOLUMES_CHANGE);

	assert_string_equal(json_get_str(c, "status"), status);
	assert_string_equal(json_get_str(c, "reason"), reason);
}

/* 83; and what waits for a migration says so */
static void without_its_destination_nothing_happens(void **state)
{
	const char *moved = SPEC(ROOT_V "," COLD2_V, ROOT_D "," COLD_D);
	struct result r = look((struct given){ WITH_COLD, moved, .vm_spec = MIGRATION, .no_claims = true });

	assert_false(r.edits.staged);
	condition_is(&r, "False", "FailedPvcNotFound");
	assert_true(spec_same("", r.spec, json_get(obj_json(r.vmi), "spec")));
	done(&r);
	r = look((struct given){ WITH_COLD, moved, .vm_spec = MIGRATION });
	assert_false(r.edits.staged);
	condition_is(&r, "True", "LiveMigrationRequired");
	assert_string_equal(
		json_at_str(json_root(r.edits.vmi), "/status/migratedVolumes/0/destinationPVCInfo/claimName"),
		"d");
	done(&r);
	/* under Stage it is staged like all else, and not silently (rollout.md 7.15) */
	STAGED("volumes[cold]", WITH_COLD, moved, .vm_spec = MIGRATION, .config = STAGE);
	/* taken back */
	r = look((struct given){ WITH_COLD, WITH_COLD, .vm_spec = MIGRATION,
		.status = ",'conditions':[{'type':'VolumesChange','status':'False'}]" });
	assert_int_equal(json_len(json_at(json_root(r.edits.vmi), "/status/conditions")), 0);
	done(&r);
}

static const struct obj *any_claim(const void *arg, const char *name)
{
	return arg;
}

/* kubevirt-api.md 3.1 */
static void a_start_that_waits_for_storage_says_so(void **state)
{
	static const struct {
		const char *phase, *claim, *volume, *want;
	} rows[] = {
		{ "Scheduling", "Pending", COLD_V, "WaitingForVolumeBinding" },
		{ "Scheduling", "Bound", COLD_V, "Starting" },
		{ "Scheduling", "Pending", HOT_V, "Starting" },
		{ "Running", "Pending", COLD_V, "Running" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep)
		char *claim = str_printf("{'metadata':{'name':'c'},'status':{'phase':'%s'}}", rows[i].claim);
		CLEANUP(mem_freep)
		char *vmi = str_printf(
			"{'metadata':{'name':'v'},'spec':{'volumes':[%s]},'status':{'phase':'%s'}}",
			rows[i].volume, rows[i].phase);
		struct obj *c = obj_from_doc(json_lit(claim)), *v = obj_from_doc(json_lit(vmi)),
			   *vm = obj_from_doc(json_lit("{'metadata':{'name':'v'}}"));
		struct vm_seen s = { .vm = vm, .vmi = v, .claim = any_claim, .claim_arg = c };
		struct vm_turn t = { 0 };

		assert_string_equal(vm_printable_status(&s, &t), rows[i].want);
		obj_unref(c);
		obj_unref(v);
		obj_unref(vm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hotpluggable_volumes_come_and_go),
		cmocka_unit_test(a_changed_one_goes_first_and_comes_when_nothing_is_left),
		cmocka_unit_test(all_others_wait),
		cmocka_unit_test(discs_of_a_drive_change_but_the_drive_stays),
		cmocka_unit_test(stage_stages_edits_but_no_requests),
		cmocka_unit_test(a_request_is_carried_out_once_and_only_if_it_can_be),
		cmocka_unit_test(what_only_the_instance_has_goes_but_in_the_imperative_mode),
		cmocka_unit_test(a_migration_is_waited_for),
		cmocka_unit_test(what_no_migration_can_copy_is_staged),
		cmocka_unit_test(a_start_that_waits_for_storage_says_so),
		cmocka_unit_test(what_nobody_moves_is_staged),
		cmocka_unit_test(without_its_destination_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which guests are to be moved: rollout.md 3.1 and the numbers of its section 6; decisions 11, 19. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/migration/migration.h"

#define NOW 1700000000000 /* 2023-11-14T22:13:20Z */
#define LONG_AGO "'lastTransitionTime':'2023-11-14T22:10:00Z'"
#define WAITS "{'type':'HotMemoryChange','status':'True','reason':'LiveMigrationRequired'," LONG_AGO "}"
#define IN_PLACE "{'type':'HotMemoryChange','status':'True','reason':'InPlaceHotplug'," LONG_AGO "}"
#define MOVABLE "{'type':'LiveMigratable','status':'True'}"
#define VMIM_UID "33333333-3333-4333-8333-333333333333"

struct fixture {
	struct updater_seen seen;
	struct kv_config config;
	struct obj *vmi, *vmim;
	char *text;
};

static struct obj *parsed(const char *text)
{
	return obj_from_doc(json_lit(text));
}

/* conditions; members of the VMI's metadata and status with a comma in front; vmim: the one that is there, NULL: none */
static struct fixture fixture(const char *conditions, const char *meta, const char *status, const char *vmim)
{
	struct fixture f = { 0 };
	CLEANUP(mem_freep)
	char *vmi = str_printf("{'metadata':{'namespace':'n','name':'v','uid':'u'%s},'status':{'phase':'"
			       "Running','conditions':[%s]%s}}",
		meta, conditions, status);

	f.vmi = parsed(vmi);
	f.vmim = vmim ? parsed(vmim) : NULL;
	kv_config_from(NULL, &f.config);
	f.config.workload_methods = KV_UPDATE_LIVE_MIGRATE;
	f.seen = (struct updater_seen){ .vmi = f.vmi, .deployed = true, .now = NOW };
	if (f.vmim)
		f.seen.migrations[f.seen.n_migrations++] = f.vmim;
	return f;
}

static const char *decide(struct fixture *f, int64_t *ret_again)
{
	struct plan *p = plan_new();
	struct str text = { 0 };

	f->seen.config = &f->config;
	free(f->text);
	updater_decide_seen(&f->seen, p);
	plan_text(p, &text);
	if (!ret_again || !plan_again(p, ret_again))
		ret_again = NULL;
	plan_free(p);
	f->text = str_take(&text);
	return f->text;
}

static void done(struct fixture *f)
{
	obj_unref(f->vmi);
	obj_unref(f->vmim);
	free(f->text);
}

static void check(int line, const char *conditions, const char *meta, const char *status, bool want)
{
	struct fixture f = fixture(conditions, meta, status, NULL);
	bool have = strstr(decide(&f, NULL), "create virtualmachineinstancemigrations") != NULL;

	if (have != want)
		fail_msg("line %d: %s", line, f.text);
	done(&f);
}
#define MOVES(conditions, meta, status) check(__LINE__, conditions, meta, status, true)
#define STAYS(conditions, meta, status) check(__LINE__, conditions, meta, status, false)

static void what_can_not_be_done_in_place_is_a_reason(void **state)
{
	MOVES(WAITS "," MOVABLE, "", "");
	MOVES("{'type':'HotVCPUChange','status':'True','reason':'LiveMigrationRequired'}," MOVABLE, "", "");
	MOVES("{'type':'MigrationRequired','status':'True','reason':'PlacementNotSatisfied'}," MOVABLE, "",
		"");
	STAYS("{'type':'MigrationRequired','status':'False','reason':'AutoMigrationPending'}," MOVABLE, "",
		"");
	STAYS(IN_PLACE "," MOVABLE, "", ""); /* decision 11 */
	STAYS("{'type':'HotMemoryChange','status':'False','reason':'Memory Hotplug Failed'}," MOVABLE, "",
		"");
	STAYS(MOVABLE, "", "");
	STAYS(WAITS ",{'type':'LiveMigratable','status':'False'}", "", "");
	/* 3.1: disks that one node has alone move along with the guest */
	MOVES("{'type':'VolumesChange','status':'True'},{'type':'LiveMigratable','status':'False','reason':"
	      "'DisksNotLiveMigratable'}",
		"", "");
	STAYS("{'type':'VolumesChange','status':'True'},{'type':'LiveMigratable','status':'False','reason':"
	      "'HostDeviceNotLiveMigratable'}",
		"", "");
	STAYS("{'type':'VolumesChange','status':'False'}," MOVABLE, "", "");
	STAYS(WAITS "," MOVABLE, ",'deletionTimestamp':'2023-11-14T22:13:20Z'", "");
	STAYS(WAITS "," MOVABLE, "", ",'migrationState':{'startTimestamp':'2023-11-14T22:13:20Z'}");
	/* 44 */
	STAYS(WAITS "," MOVABLE, ",'annotations':{'kubevirt.io/testWorkloadUpdateMigrationAbortion':''}", "");
}

/* 38 */
static void the_migration_is_as_kubevirt_would_make_it(void **state)
{
	struct fixture f = fixture(WAITS "," MOVABLE, "", "", NULL);
	struct plan *p = plan_new();
	const struct json *o;

	f.seen.config = &f.config;
	updater_decide_seen(&f.seen, p);
	assert_int_equal(plan_len(p), 2);
	o = json_root(plan_at(p, 0)->doc);
	assert_string_equal(json_at_str(o, "/metadata/generateName"), "kubevirt-workload-update-");
	assert_string_equal(json_at_str(o, "/metadata/namespace"), "n");
	assert_string_equal(json_at_str(o, "/metadata/annotations/kubevirt.io~1workloadUpdateMigration"), "");
	assert_string_equal(json_at_str(o, "/spec/vmiName"), "v");
	assert_string_equal(json_at_str(o, "/spec/priority"), "user-triggered");
	assert_string_equal(plan_at(p, 1)->reason, "SuccessfulCreate");
	plan_free(p);
	done(&f);
}

static void one_for_volumes_says_so(void **state)
{
	struct fixture f = fixture("{'type':'VolumesChange','status':'True'}," MOVABLE, "", "", NULL);
	struct plan *p = plan_new();

	f.seen.config = &f.config;
	updater_decide_seen(&f.seen, p);
	assert_string_equal(json_at_str(json_root(plan_at(p, 0)->doc),
				    "/metadata/labels/kubevirt.io~1volume-update-migration"),
		"v");
	plan_free(p);
	done(&f);
}

static void a_reason_has_to_last_and_the_cluster_to_allow_it(void **state)
{
	struct fixture f =
		fixture("{'type':'HotMemoryChange','status':'True','reason':'LiveMigrationRequired','"
			"lastTransitionTime':'2023-11-14T22:13:18Z'}," MOVABLE,
			"", "", NULL);
	int64_t again = 0;

	assert_string_equal(decide(&f, &again), "");
	assert_int_equal(again, NOW + 3000);
	f.seen.now = NOW + 3000;
	assert_non_null(strstr(decide(&f, NULL), "create"));
	f.seen.deployed = false;
	assert_string_equal(decide(&f, NULL), "");
	f.seen.deployed = true;
	f.seen.running = 5; /* parallelMigrationsPerCluster */
	assert_string_equal(decide(&f, NULL), "");
	f.seen.running = 4;
	assert_non_null(strstr(decide(&f, NULL), "create"));
	/* 46: no method; decision 19: to evict is none for this */
	f.config.workload_methods = 0;
	assert_string_equal(decide(&f, NULL), "");
	f.config.workload_methods = KV_UPDATE_EVICT;
	assert_string_equal(decide(&f, NULL), "");
	done(&f);
}

#define AUTOMATED(phase)                                                                            \
	"{'metadata':{'namespace':'n','name':'m','uid':'" VMIM_UID "','annotations':{'kubevirt.io/" \
	"workloadUpdateMigration':''}},'spec':{'vmiName':'v'},'status':{'phase':'" phase "'}}"

/* 44, 45 */
static void what_is_not_wanted_any_more_is_taken_back(void **state)
{
	struct fixture f = fixture(WAITS "," MOVABLE, "", "", AUTOMATED("Running"));

	assert_string_equal(decide(&f, NULL), ""); /* one is enough */
	done(&f);
	f = fixture(MOVABLE, "", "", AUTOMATED("Running"));
	assert_non_null(strstr(decide(&f, NULL), "delete virtualmachineinstancemigrations n/m"));
	assert_non_null(strstr(f.text, "SuccessfulChangeAbortion"));
	done(&f);
	f = fixture(MOVABLE, "",
		",'migrationState':{'migrationUid':'" VMIM_UID
		"','targetNodeDomainReadyTimestamp':'2023-11-14T22:13:20Z'}",
		AUTOMATED("Running"));
	assert_string_equal(decide(&f, NULL), "");
	done(&f);
	/* that was the move before */
	f = fixture(MOVABLE, "",
		",'migrationState':{'migrationUid':'x','targetNodeDomainReadyTimestamp':'2023-11-14T22:13:"
		"20Z'}",
		AUTOMATED("Pending"));
	assert_non_null(strstr(decide(&f, NULL), "delete"));
	done(&f);
	/* a person's is the person's */
	f = fixture(MOVABLE, "", "",
		"{'metadata':{'namespace':'n','name':'m','uid':'" VMIM_UID
		"'},'spec':{'vmiName':'v'},'status':{'phase':'Running'}}");
	assert_string_equal(decide(&f, NULL), "");
	done(&f);
	/* one that is over stands in nobody's way */
	f = fixture(WAITS "," MOVABLE, "", "", AUTOMATED("Failed"));
	assert_non_null(strstr(decide(&f, NULL), "create"));
	done(&f);
}

/* ---- migrations ---- */
static char *vmim_pass(const char *vmim, const char *vmi, const struct obj *const *others, size_t n)
{
	struct obj *m = parsed(vmim), *v = vmi ? parsed(vmi) : NULL;
	struct vmim_seen s = { .vmim = m, .vmi = v, .now = NOW, .n_others = n };
	struct plan *p = plan_new();
	struct str text = { 0 };

	for (size_t i = 0; i < n; i++)
		s.others[i] = others[i];
	vmim_decide_seen(&s, p);
	plan_text(p, &text);
	plan_free(p);
	obj_unref(m);
	obj_unref(v);
	return str_take(&text);
}

static void phase_is(int line, const char *vmim, const char *vmi, const char *want)
{
	CLEANUP(mem_freep) char *text = vmim_pass(vmim, vmi, NULL, 0);
	CLEANUP(mem_freep) char *phase = str_printf("/status/phase\",\"value\":\"%s\"", want);
	CLEANUP(mem_freep) char *whole = str_printf("\"phase\":\"%s\"", want);

	if (want[0] ? !strstr(text, phase) && !strstr(text, whole) : strstr(text, "/status/phase\"") != NULL)
		fail_msg("line %d: %s", line, text);
}
#define PHASE(vmim, vmi, want) phase_is(__LINE__, vmim, vmi, want)
#define VMI_WITH(state, conditions)                                                                    \
	"{'metadata':{'namespace':'n','name':'v','uid':'u'},'status':{'phase':'Running','conditions':" \
	"[" conditions "],'migrationState':{" state "}}}"
#define OVER                        \
	"'migrationUid':'" VMIM_UID \
	"','startTimestamp':'2023-11-14T22:13:00Z','endTimestamp':'2023-11-14T22:13:15Z'"

static void a_migration_follows_its_guest(void **state)
{
	PHASE("{'metadata':{'namespace':'n','name':'m','uid':'" VMIM_UID "'},'spec':{'vmiName':'v'}}",
		VMI_WITH("", ""), "Pending");
	PHASE(AUTOMATED("Running"), VMI_WITH(OVER, ""), "Succeeded");
	PHASE(AUTOMATED("Running"), VMI_WITH(OVER ",'failed':true", ""), "Failed");
	PHASE(AUTOMATED("Running"), VMI_WITH("'migrationUid':'" VMIM_UID "'", ""), "");
	PHASE(AUTOMATED("Running"),
		VMI_WITH("'migrationUid':'another','endTimestamp':'2023-11-14T22:13:15Z'", ""), "");
	PHASE(AUTOMATED("Running"), NULL, "Failed");
	/* 43 */
	PHASE(AUTOMATED("Running"), VMI_WITH(OVER, "{'type':'HotVCPUChange','status':'False'}"), "");
	PHASE(AUTOMATED("Running"), VMI_WITH(OVER, "{'type':'HotMemoryChange','status':'True'}"), "");
	/* what began to wait afterwards is for the next one */
	PHASE(AUTOMATED("Running"),
		VMI_WITH(OVER, "{'type':'HotVCPUChange','status':'True','lastTransitionTime':'2023-11-14T22:"
			       "13:17Z'}"),
		"Succeeded");
	PHASE(AUTOMATED("Running"),
		VMI_WITH(OVER, "{'type':'HotVCPUChange','status':'True','lastTransitionTime':'2023-11-14T22:"
			       "13:08Z'}"),
		"");
	/* nor is the last one waited for without end */
	PHASE(AUTOMATED("Running"),
		VMI_WITH("'migrationUid':'" VMIM_UID "','endTimestamp':'2023-11-14T22:13:09Z'",
			"{'type':'HotVCPUChange','status':'True'}"),
		"Succeeded");
	/* a failed change is reported: the move itself is over (67) */
	PHASE(AUTOMATED("Running"), VMI_WITH(OVER, "{'type':'HotMemoryChange','status':'False'}"),
		"Succeeded");
}

/* Nobody saw how it ended: it would stand in the way of the next one for ever (sim, seed 33012846 of the time). */
static void a_migration_that_was_overtaken_has_failed(void **state)
{
	static const char running[] =
		"{'metadata':{'namespace':'n','name':'m','uid':'" VMIM_UID
		"'},'spec':{'vmiName':'v'},'status':{'phase':'Running','phaseTransitionTimestamps':[{'phase':"
		"'Running','phaseTransitionTimestamp':'2023-11-14T22:13:05Z'}]}}";

	PHASE(running, VMI_WITH("'migrationUid':'another','startTimestamp':'2023-11-14T22:13:06Z'", ""),
		"Failed");
	/* the one before, from a cache that is behind */
	PHASE(running, VMI_WITH("'migrationUid':'another','startTimestamp':'2023-11-14T22:13:05Z'", ""), "");
	PHASE(running, VMI_WITH("'migrationUid':'" VMIM_UID "','startTimestamp':'2023-11-14T22:13:06Z'", ""),
		"");
	PHASE(running, "{'metadata':{'name':'v','creationTimestamp':'2023-11-14T22:13:06Z'}}", "Failed");
	PHASE(running, "{'metadata':{'name':'v','creationTimestamp':'2023-11-14T22:12:00Z'}}", "");
}

/* It waits, and says that it does; who deletes it has nobody to wait for. */
static void a_migration_that_nobody_takes_says_so(void **state)
{
	CLEANUP(mem_freep) char *text = vmim_pass(AUTOMATED("Pending"), VMI_WITH("", ""), NULL, 0);

	assert_non_null(strstr(text, "NotCarriedOut"));
	free(text);
	text = vmim_pass(
		"{'metadata':{'namespace':'n','name':'m','uid':'x','deletionTimestamp':'2023-11-14T22:13:20Z'"
		","
		"'finalizers':['kubevirt.io/migrationJobFinalize']},'spec':{'vmiName':'v'},'status':{'phase':"
		"'Pending'}}",
		VMI_WITH("", ""), NULL, 0);
	assert_non_null(strstr(text, "\"op\":\"remove\",\"path\":\"/metadata/finalizers"));
}

static struct obj *over(int i, const char *phase, const char *at)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'metadata':{'namespace':'n','name':'m%d','resourceVersion':'%d'},'spec':{'vmiName':'v'},"
		"'status':{'phase':'%s','phaseTransitionTimestamps':[{'phase':'%s',"
		"'phaseTransitionTimestamp':'2023-11-14T22:%s'}]}}",
		i, i + 1, phase, phase, at);

	return parsed(text);
}

/* 47 */
static void failures_in_a_row_make_the_next_one_wait_longer(void **state)
{
	struct obj *list[] = { over(0, "Failed", "10:00Z"), over(1, "Failed", "13:10Z"),
		over(2, "Succeeded", "05:00Z"), over(3, "Failed", "04:00Z") };
	const struct obj *others[] = { list[0], list[1], list[2], list[3] };
	struct obj *next = parsed(AUTOMATED("Pending"));
	int64_t newest;

	assert_true(time_parse("2023-11-14T22:13:10Z", &newest));
	assert_int_equal(vmim_not_before(next, others, 0), 0);
	assert_int_equal(vmim_not_before(next, others, 4), newest + 40000); /* two since the success */
	others[0] = list[1];
	others[1] = list[2];
	assert_int_equal(vmim_not_before(next, others, 2), newest + 20000);
	others[0] = list[0];
	others[1] = list[1];
	CLEANUP(mem_freep) char *text = vmim_pass(AUTOMATED("Pending"), VMI_WITH("", ""), others, 2);
	assert_non_null(strstr(text, "MigrationBackoff"));
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		obj_unref(list[i]);
	obj_unref(next);
}

static void five_that_are_over_are_kept(void **state)
{
	const struct obj *others[MIGRATION_KEPT];
	struct obj *list[MIGRATION_KEPT];

	for (int i = 0; i < MIGRATION_KEPT; i++)
		others[i] = list[i] = over(i, "Succeeded", "12:00Z");
	CLEANUP(mem_freep) char *text = vmim_pass(AUTOMATED("Failed"), NULL, others, MIGRATION_KEPT);
	assert_non_null(strstr(text, "delete virtualmachineinstancemigrations n/m"));
	free(text);
	text = vmim_pass(AUTOMATED("Failed"), NULL, others, MIGRATION_KEPT - 1);
	assert_string_equal(text, "");
	for (int i = 0; i < MIGRATION_KEPT; i++)
		obj_unref(list[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_can_not_be_done_in_place_is_a_reason),
		cmocka_unit_test(the_migration_is_as_kubevirt_would_make_it),
		cmocka_unit_test(one_for_volumes_says_so),
		cmocka_unit_test(a_reason_has_to_last_and_the_cluster_to_allow_it),
		cmocka_unit_test(what_is_not_wanted_any_more_is_taken_back),
		cmocka_unit_test(a_migration_follows_its_guest),
		cmocka_unit_test(a_migration_that_was_overtaken_has_failed),
		cmocka_unit_test(a_migration_that_nobody_takes_says_so),
		cmocka_unit_test(failures_in_a_row_make_the_next_one_wait_longer),
		cmocka_unit_test(five_that_are_over_are_kept),
	};

	return cmocka_run_group_tests_name("migration", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Changes in flight: several at once, newer ones before older ones are done, the way back, moves, and programs that die at any
 * write. rollout.md 7.11 and 7.12: the newest spec wins, and nothing goes on for ever. Numbers are those of its section 6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"
#include "world.h"

#define NO_IN_PLACE \
	"{'spec':{'configuration':{'developerConfiguration':{'disabledFeatureGates':['InPlaceHotplug']}}}}"
#define IN_PLACE "{'spec':{'configuration':{'developerConfiguration':{'disabledFeatureGates':null}}}}"
#define MIGRATE "{'spec':{'workloadUpdateStrategy':{'workloadUpdateMethods':['LiveMigrate']}}}"
#define SOON 2000
#define A_WHILE 30000
#define HOUR 3600000
#define DEATHS 24 /* more writes than a change takes */

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

/* ---- shorthands; the VM is v0: 1 socket, 1Gi ---- */
static void run(struct world *w)
{
	user_vm_with(w, "v0", "Always", "1Gi", "'cpu':{'sockets':1,'cores':1,'threads':1},");
	world_run(w, SOON);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
}

static void size(struct world *w, int sockets, const char *memory)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'spec':{'template':{'spec':{'domain':{'cpu':{'sockets':%d},'memory':{'guest':'%s'}}}}}}",
		sockets, memory);

	assert_int_equal(user_merge(w, &kind_vm, "v0", NULL, text), 0);
}

static struct guest *guest(struct world *w)
{
	return world_guest(w, meta_str(world_vmi(w, "v0"), "uid"));
}

static const struct json *condition(struct world *w, const char *type)
{
	return cond_find(json_at(world_vm(w, "v0"), "/status/conditions"), type);
}

/* The guest has it, and nothing is left to tell. */
static void settled_at(struct world *w, int line, int64_t sockets, int64_t memory)
{
	static const char *const none[] = { COND_HOT_MEMORY, COND_HOT_CPU, COND_MIGRATION_REQUIRED,
		COND_RESTART_REQUIRED, COND_FAILURE };

	if (guest(w)->sockets != sockets || guest(w)->memory != memory)
		fail_msg("line %d: the guest has %d sockets and %d MiB", line, (int)guest(w)->sockets,
			(int)(guest(w)->memory >> 20));
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		if (condition(w, none[i]))
			fail_msg("line %d: %s is left: %s", line, none[i],
				json_str_or(json_get(condition(w, none[i]), "message"), ""));
	check_settled(w);
	assert_true(world_quiet(w, HOUR));
}
#define SETTLED_AT(w, sockets, memory) settled_at(w, __LINE__, sockets, memory)

static size_t moves(struct world *w, const char *phase)
{
	const struct obj *o;
	size_t n = 0;

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_vmim, i)); i++)
		n += !phase || str_eq(json_at_str(obj_json(o), "/status/phase"), phase);
	return n;
}

static size_t events(struct world *w, const char *reason)
{
	const struct obj *o;
	size_t n = 0;

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_event, i)); i++)
		n += str_eq(json_get_str(obj_json(o), "reason"), reason);
	return n;
}

/* ---- in place ---- */
/* 71 */
static void both_at_once_arrive_once(void **state)
{
	struct world *w = *state;

	run(w);
	size(w, 3, "2Gi");
	world_run(w, SOON);
	SETTLED_AT(w, 3, 2 * GI);
	assert_int_equal(guest(w)->set_memory_calls, 1);
	assert_int_equal(guest(w)->set_cpus_calls, 1);
}

static void reverted_half_way_nothing_is_left(void **state)
{
	struct world *w = *state;

	run(w);
	w->faults.slow = 1000; /* the guest has been told and takes its time */
	size(w, 2, "3Gi");
	world_run(w, SOON);
	assert_int_equal(guest(w)->memory, GI);
	size(w, 1, "1Gi");
	world_run(w, SOON);
	w->faults.slow = 0;
	world_run(w, A_WHILE);
	/* Memory goes back; a socket that the guest took meanwhile stays, by decision 20, and is told. */
	assert_int_equal(guest(w)->memory, GI);
	if (guest(w)->sockets == 1) {
		SETTLED_AT(w, 1, GI);
	} else {
		assert_non_null(condition(w, COND_RESTART_REQUIRED));
		check_settled(w);
	}
}

static void of_many_edits_the_last_one_counts(void **state)
{
	static const char *const sizes[] = { "2Gi", "3Gi", "1536Mi", "4Gi", "2Gi", "3Gi" };
	struct world *w = *state;

	run(w);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size(w, 1 + (int)(i >= 3) + (int)(i >= 4), sizes[i]);
		world_run(w, 60 * (int64_t)i);
	}
	world_run(w, A_WHILE);
	SETTLED_AT(w, 3, 3 * GI);
}

/* Whoever dies after whichever write: the others hold what has to be known. */
static void nobody_is_needed_to_remember(void **state)
{
	for (int handler = 0; handler < 2; handler++)
		for (int n = 1; n <= DEATHS; n++) {
			struct world w;

			world_init(&w, (uint64_t)n, false);
			run(&w);
			w.die_in = n;
			w.die_handler = handler;
			size(&w, 2, "2Gi");
			world_run(&w, SOON);
			size(&w, 3, "3Gi");
			world_run(&w, A_WHILE);
			w.die_in = 0;
			SETTLED_AT(&w, 3, 3 * GI);
			if (w.broken.len)
				fail_msg("dead after write %d: %s", n, w.broken.data);
			/* Told again only by a virt-handler that has forgotten that it told. */
			if (guest(&w)->set_memory_calls > 2 + handler ||
				guest(&w)->set_cpus_calls > 2 + handler)
				fail_msg("dead after write %d: told %d and %d times", n,
					guest(&w)->set_memory_calls, guest(&w)->set_cpus_calls);
			world_done(&w);
		}
}

/* ---- by migration ---- */
/* 38, 43; decision 11: without in place exactly one move, and what it was for is there when it is over */
static void without_in_place_a_move_brings_both(void **state)
{
	struct world *w = *state;

	user_config(w, NO_IN_PLACE);
	user_config(w, MIGRATE);
	w->migrates = true;
	run(w);
	size(w, 2, "2Gi");
	world_run(w, SOON);
	assert_int_equal(guest(w)->memory, GI);
	assert_non_null(condition(w, COND_HOT_MEMORY));
	world_run(w, A_WHILE);
	SETTLED_AT(w, 2, 2 * GI);
	assert_int_equal(moves(w, "Succeeded"), 1);
	assert_int_equal(moves(w, NULL), 1);
	assert_int_equal(guest(w)->set_memory_calls, 0);
}

/* 44, 45 with limit 11: taken back before the guest was touched, and the move with it */
static void reverted_in_time_nobody_moves(void **state)
{
	struct world *w = *state;

	user_config(w, NO_IN_PLACE);
	user_config(w, MIGRATE);
	run(w); /* and nobody carries moves out */
	size(w, 2, "2Gi");
	world_run(w, 10000);
	assert_int_equal(moves(w, "Pending"), 1);
	size(w, 1, "1Gi");
	world_run(w, SOON);
	assert_int_equal(moves(w, NULL), 0);
	assert_int_equal(events(w, "SuccessfulChangeAbortion"), 1);
	SETTLED_AT(w, 1, GI);
}

/* 36, 61: while it moves a newer value waits, and says so; then it comes */
static void edited_on_the_way_the_newest_comes_after(void **state)
{
	struct world *w = *state;

	user_config(w, NO_IN_PLACE);
	user_config(w, MIGRATE);
	run(w);
	size(w, 1, "2Gi");
	world_run(w, 10000);
	w->migrates = true;
	for (int i = 0; i < 100 && !vmi_migrating(world_vmi(w, "v0")); i++)
		world_run(w, 50);
	assert_true(vmi_migrating(world_vmi(w, "v0")));
	size(w, 2, "3Gi");
	world_run(w, 150);
	if (vmi_migrating(world_vmi(w, "v0")))
		assert_non_null(condition(w, COND_FAILURE));
	world_run(w, 2 * A_WHILE);
	SETTLED_AT(w, 2, 3 * GI);
	assert_int_equal(moves(w, "Failed"), 0);
}

/* 47: in vain for ever is not for ever in a row */
static void moves_in_vain_come_less_and_less_often(void **state)
{
	struct world *w = *state;

	user_config(w, NO_IN_PLACE);
	user_config(w, MIGRATE);
	w->migrates = true;
	w->faults.fail_move = 1000;
	run(w);
	size(w, 1, "2Gi");
	world_run(w, 200000);
	/* at about 5, 27, 70, 153 s */
	assert_in_range(moves(w, "Failed"), 3, 4);
	assert_true(events(w, "MigrationBackoff") >= 1);
	world_run(w, HOUR);
	assert_int_equal(moves(w, "Failed"), MIGRATION_KEPT);
	assert_in_range(events(w, "FailedMigration"), 12, 18); /* 320 s apart in the end */
	assert_int_equal(guest(w)->memory, GI);
	w->faults.fail_move = 0;
	world_run(w, 700000);
	SETTLED_AT(w, 1, 2 * GI);
}

/* The guest takes in place what it was told before that was switched off; the way back is a way, too. */
static void what_was_taken_late_can_be_given_back(void **state)
{
	struct world *w = *state;

	run(w);
	w->faults.slow = 1000;
	size(w, 1, "3Gi");
	world_run(w, SOON);
	user_config(w, NO_IN_PLACE);
	world_run(w, SOON);
	assert_string_equal(
		json_get_str(condition(w, COND_HOT_MEMORY), "reason"), HOT_MEMORY_NEEDS_MIGRATION);
	w->faults.slow = 0;
	world_run(w, SOON);
	SETTLED_AT(w, 1, 3 * GI);
	user_config(w, MIGRATE);
	size(w, 1, "1Gi");
	world_run(w, SOON);
	assert_string_equal(
		json_get_str(condition(w, COND_HOT_MEMORY), "reason"), HOT_MEMORY_NEEDS_MIGRATION);
	w->migrates = true;
	world_run(w, A_WHILE);
	SETTLED_AT(w, 1, GI);
}

/* Reverted while the guest is at it, in place being off by then: what comes late is taken back (sim, seed 3036617 then). */
static void what_comes_late_is_taken_back(void **state)
{
	struct world *w = *state;

	run(w);
	w->faults.slow = 1000;
	size(w, 1, "2Gi");
	world_run(w, SOON);
	user_config(w, NO_IN_PLACE);
	size(w, 1, "1Gi");
	world_run(w, SOON);
	assert_string_equal(json_get_str(condition(w, COND_HOT_MEMORY), "reason"), HOT_MEMORY_IN_PLACE);
	w->faults.slow = 0;
	world_run(w, A_WHILE);
	SETTLED_AT(w, 1, GI);
	/* the guest does not give it back: said, and not asked for ever */
	w->faults.slow = 1000;
	user_config(w, IN_PLACE);
	size(w, 1, "2Gi");
	world_run(w, SOON);
	user_config(w, NO_IN_PLACE);
	size(w, 1, "1Gi");
	world_run(w, SOON);
	w->faults.slow = 0;
	world_run(w, 150);
	w->faults.refuse = 1000;
	world_run(w, A_WHILE);
	assert_in_range(guest(w)->set_memory_calls, 4, 6);
	check_settled(w);
	assert_true(world_quiet(w, HOUR));
}

/* Room on the node again, or the gate on again: in place, and the move that waited is taken back. */
static void in_place_again_the_move_is_taken_back(void **state)
{
	struct world *w = *state;

	user_config(w, MIGRATE);
	w->faults.no_room = true;
	run(w);
	size(w, 1, "2Gi");
	world_run(w, 10000);
	assert_int_equal(moves(w, "Pending"), 1);
	w->faults.no_room = false;
	world_run(w, SOON);
	assert_int_equal(moves(w, NULL), 0);
	SETTLED_AT(w, 1, 2 * GI);
}

/* Sockets and memory in one patch, which the node has no room for: both stand in RestartRequired. Less memory is another attempt
 * for both; the sockets, which only the memory was in the way of, do not hold it back. */
static void less_memory_lets_the_sockets_in_too(void **state)
{
	struct world *w = *state;

	w->faults.room = 3 * GI;
	run(w);
	size(w, 2, "3Gi");
	world_run(w, SOON);
	assert_non_null(condition(w, COND_RESTART_REQUIRED));
	size(w, 2, "2Gi");
	world_run(w, SOON);
	SETTLED_AT(w, 2, 2 * GI);

	size(w, 3, "3Gi");
	world_run(w, SOON);
	size(w, 4, "3Gi"); /* what is wanted no more is not asked for any longer */
	world_run(w, SOON);
	assert_int_equal(json_i64(json_at(world_vmi(w, "v0"), "/spec/domain/cpu/sockets")), 2);
	assert_non_null(condition(w, COND_RESTART_REQUIRED));
	size(w, 4, "2Gi");
	world_run(w, SOON);
	SETTLED_AT(w, 4, 2 * GI);
}

/* rollout.md 7.14, decision 14: it goes where the rules are satisfied, and stays where no node does better */
static void enforced_placement_moves_once(void **state)
{
	struct world *w = *state;

	fake_api_put(w->api, &kind_node,
		json_lit(
			"{'metadata':{'name':'n2','labels':{'kubevirt.io/schedulable':'true','zone':'b'}}}"));
	user_config(w, MIGRATE);
	w->migrates = true;
	run(w);
	user_merge(w, &kind_vm, "v0", NULL,
		"{'metadata':{'annotations':{'coracle.dev/enforce-placement':'true'}},"
		"'spec':{'template':{'spec':{'nodeSelector':{'zone':'b'}}}}}");
	world_run(w, A_WHILE);
	assert_string_equal(json_at_str(world_vmi(w, "v0"), "/status/nodeName"), "n2");
	SETTLED_AT(w, 1, GI);
	assert_int_equal(moves(w, "Succeeded"), 1);
}

/* ---- without end ---- */
/* limit 12: a guest that refuses for ever is asked a few times for a value, and left alone */
static void a_guest_that_refuses_is_left_alone(void **state)
{
	struct world *w = *state;

	run(w);
	w->faults.refuse = 1000;
	size(w, 2, "2Gi");
	world_run(w, HOUR);
	assert_in_range(guest(w)->set_memory_calls, 1, 5);
	assert_in_range(guest(w)->set_cpus_calls, 1, 5);
	assert_true(world_quiet(w, HOUR));
	check_settled(w);
	w->faults.refuse = 0;
	size(w, 3, "3Gi");
	world_run(w, A_WHILE);
	SETTLED_AT(w, 3, 3 * GI);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(both_at_once_arrive_once),
		T(reverted_half_way_nothing_is_left),
		T(of_many_edits_the_last_one_counts),
		T(nobody_is_needed_to_remember),
		T(without_in_place_a_move_brings_both),
		T(reverted_in_time_nobody_moves),
		T(edited_on_the_way_the_newest_comes_after),
		T(moves_in_vain_come_less_and_less_often),
		T(what_was_taken_late_can_be_given_back),
		T(what_comes_late_is_taken_back),
		T(in_place_again_the_move_is_taken_back),
		T(less_memory_lets_the_sockets_in_too),
		T(enforced_placement_moves_once),
		T(a_guest_that_refuses_is_left_alone),
	};

	return cmocka_run_group_tests_name("flight", tests, NULL, NULL);
}

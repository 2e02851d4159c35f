/* SPDX-License-Identifier: Apache-2.0 */
/* sim - random people, nodes and networks against virt-controller, seed by seed; every finding names its seed, which
 * plays again the same way: sim --seed N --trace. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "kubevirt/api/kinds.h"
#include "world.h"

#define SEEDS_DEFAULT 2000
#define SCHEMA_EVERY 50 /* the real schemas take a while to compile */
#define SETTLE_MS 1200000
#define FAILURES_MAX 10

static const char *pick(struct world *w, const char *const *list, size_t n)
{
	return list[rng_below(&w->rng, n)];
}
#define PICK(w, ...) \
	pick(w, (const char *const[]){ __VA_ARGS__ }, ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))

static void edit(struct world *w, const char *vm, const char *fmt, const char *value)
{
	struct str text = { 0 };

	for (const char *p = fmt; *p; p++)
		if (*p == '$')
			str_add(&text, value);
		else
			str_addc(&text, *p);
	user_merge(w, &kind_vm, vm, NULL, str_cstr(&text));
	str_done(&text);
}

static void sim_vm(struct world *w, const char *name, const char *strategy, const char *memory)
{
	user_vm_with(w, name, strategy, memory, "'cpu':{'sockets':1,'cores':1,'threads':1},");
}

/* Two of them; one can be chosen by its zone alone, the other by not being that. */
static void put_nodes(struct world *w)
{
	fake_api_put(w->api, &kind_node,
		json_lit("{'metadata':{'name':'" WORLD_NODE
			 "','labels':{'kubevirt.io/schedulable':'true','zone':'a'}}}"));
	fake_api_put(w->api, &kind_node,
		json_lit(
			"{'metadata':{'name':'n2','labels':{'kubevirt.io/schedulable':'true','zone':'b'}}}"));
}

/* ---- what people and nodes do ---- */
static void do_memory(struct world *w, const char *vm)
{
	user_memory(w, vm, PICK(w, "1Gi", "2Gi", "3Gi", "1536Mi", "1024Mi", "2048Mi"));
}
static void do_bad_memory(struct world *w, const char *vm)
{
	user_memory(w, vm, PICK(w, "1041Mi", "8Gi", "512Mi", "5Gi"));
}
static void do_labels(struct world *w, const char *vm)
{
	edit(w, vm, "{'spec':{'template':{'metadata':{'labels':{'app':'$'}}}}}", PICK(w, "x", "y"));
}
static void do_static(struct world *w, const char *vm)
{
	edit_static(w, vm);
}
static void do_placement(struct world *w, const char *vm)
{
	edit_placement(w, vm);
}
static void do_volumes(struct world *w, const char *vm)
{
	edit_volumes(w, vm);
}
static void do_nics(struct world *w, const char *vm)
{
	edit_nics(w, vm);
}
static void do_plugged(struct world *w, const char *vm)
{
	edit_plugged(w, vm);
}
static void do_revert(struct world *w, const char *vm)
{
	edit_revert(w, vm);
}
static void do_sockets(struct world *w, const char *vm)
{
	edit(w, vm, "{'spec':{'template':{'spec':{'domain':{'cpu':{'sockets':$}}}}}}",
		PICK(w, "1", "2", "3", "4", "9"));
}
/* Both in one patch. */
static void do_size(struct world *w, const char *vm)
{
	edit(w, vm, "{'spec':{'template':{'spec':{'domain':$}}}}",
		PICK(w, "{'cpu':{'sockets':1},'memory':{'guest':'1Gi'}}",
			"{'cpu':{'sockets':2},'memory':{'guest':'2Gi'}}",
			"{'cpu':{'sockets':4},'memory':{'guest':'3Gi'}}"));
}
static void do_descheduler(struct world *w, const char *vm)
{
	edit(w, vm,
		"{'spec':{'template':{'metadata':{'annotations':{'descheduler.alpha.kubernetes.io/"
		"evict':$}}}}}",
		PICK(w, "'true'", "null"));
}
static void do_opt(struct world *w, const char *vm)
{
	edit(w, vm, "{'metadata':{'annotations':{$}}}",
		PICK(w, "'coracle.dev/rollout-configuration':'true'",
			"'coracle.dev/rollout-configuration':null", "'coracle.dev/enforce-placement':'true'",
			"'coracle.dev/enforce-placement':null"));
}
static void do_defaults(struct world *w, const char *vm)
{
	user_config(w, PICK(w, "{'spec':{'configuration':{'liveUpdateConfiguration':{'maxHotplugRatio':2}}}}",
			       "{'spec':{'configuration':{'liveUpdateConfiguration':{'maxGuest':'3Gi'}}}}",
			       "{'spec':{'configuration':{'liveUpdateConfiguration':{'maxCpuSockets':6}}}}",
			       "{'spec':{'configuration':{'evictionStrategy':'LiveMigrate'}}}",
			       "{'spec':{'configuration':{'evictionStrategy':null}}}",
			       "{'spec':{'configuration':{'liveUpdateConfiguration':null}}}"));
}
static void do_move(struct world *w, const char *vm)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachineInstanceMigration','metadata':{"
		"'generateName':'move-'},'spec':{'vmiName':'%s'}}",
		vm);

	user_create(w, &kind_vmim, text, NULL);
}
/* Programs die between two writes, too. */
static void do_die(struct world *w, const char *vm)
{
	w->die_in = 1 + (int)rng_below(&w->rng, 8);
	w->die_handler = world_chance(w, 400);
}
static void do_kill_handler(struct world *w, const char *vm)
{
	handler_kill(w);
}
static void do_strategy(struct world *w, const char *vm)
{
	edit(w, vm, "{'spec':{'runStrategy':'$'}}",
		PICK(w, "Always", "Always", "Halted", "Manual", "RerunOnFailure", "Once"));
}
static void do_restart(struct world *w, const char *vm)
{
	const struct json *vmi = world_vmi(w, vm);
	CLEANUP(mem_freep) char *text = NULL;

	if (!vmi)
		return;
	text = str_printf(
		"{'status':{'stateChangeRequests':[{'action':'Stop','uid':'%s'},{'action':'Start'}]}}",
		json_str_or(json_at(vmi, "/metadata/uid"), ""));
	user_merge(w, &kind_vm, vm, "status", text);
}
static void do_start(struct world *w, const char *vm)
{
	user_merge(w, &kind_vm, vm, "status", "{'status':{'stateChangeRequests':[{'action':'Start'}]}}");
}
static void do_delete_vmi(struct world *w, const char *vm)
{
	user_delete(w, &kind_vmi, vm);
}
static void do_delete(struct world *w, const char *vm)
{
	user_delete(w, &kind_vm, vm);
	if (world_chance(w, 500))
		world_run(w, (int64_t)rng_below(&w->rng, 3000));
	sim_vm(w, vm, PICK(w, "Always", "Manual", "Halted"), "1Gi");
}
/* Finalizers cut off by hand: what was below the VM must not stay. */
static void do_force(struct world *w, const char *vm)
{
	user_delete(w, &kind_vm, vm);
	user_merge(w, &kind_vm, vm, NULL, "{'metadata':{'finalizers':null}}");
	world_run(w, (int64_t)rng_below(&w->rng, 500));
	if (world_chance(w, 700))
		sim_vm(w, vm, "Always", "1Gi");
}
static void do_rollout(struct world *w, const char *vm)
{
	user_config(w, PICK(w, "{'spec':{'configuration':{'vmRolloutStrategy':'LiveUpdate'}}}",
			       "{'spec':{'configuration':{'vmRolloutStrategy':'LiveUpdate'}}}",
			       "{'spec':{'configuration':{'vmRolloutStrategy':null}}}"));
}
static void do_gate(struct world *w, const char *vm)
{
	user_config(w,
		PICK(w,
			"{'spec':{'configuration':{'developerConfiguration':{'disabledFeatureGates':['"
			"InPlaceHotplug']}}}}",
			"{'spec':{'configuration':{'developerConfiguration':{'disabledFeatureGates':null}}}}",
			"{'spec':{'configuration':{'developerConfiguration':{'featureGates':['CPUHotUnplug']}"
			"}"
			"}}",
			"{'spec':{'configuration':{'developerConfiguration':{'featureGates':null}}}}",
			"{'spec':{'workloadUpdateStrategy':{'workloadUpdateMethods':['LiveMigrate']}}}",
			"{'spec':{'workloadUpdateStrategy':{'workloadUpdateMethods':null}}}"));
}
static void do_kill(struct world *w, const char *vm)
{
	world_kill(w);
	if (world_chance(w, 500))
		world_run(w, (int64_t)rng_below(&w->rng, 5000));
	world_start(w);
}
static void do_guest_ends(struct world *w, const char *vm)
{
	const struct json *vmi = world_vmi(w, vm);
	struct guest *g = vmi ? world_guest(w, json_str_or(json_at(vmi, "/metadata/uid"), "")) : NULL;

	if (!g || g->state != GUEST_RUNS)
		return;
	g->state = world_chance(w, 500) ? GUEST_CRASHED : GUEST_SHUT_DOWN;
	g->ended_ms = loop_wall_ms(w->loop);
}
static void do_node(struct world *w, const char *vm)
{
	w->faults.no_room = world_chance(w, 300);
	w->faults.no_resize = world_chance(w, 100);
	w->faults.unschedulable = world_chance(w, 100);
	w->faults.image_error = world_chance(w, 100);
	w->faults.handler_down = world_chance(w, 150);
	w->faults.refuse_vmis = world_chance(w, 50);
	w->faults.refuse_pods = world_chance(w, 50);
}

static const struct {
	int weight;
	void (*act)(struct world *w, const char *vm);
} acts[] = {
	{ 10, do_memory },
	{ 3, do_bad_memory },
	{ 4, do_sockets },
	{ 4, do_size },
	{ 6, do_static },
	{ 2, do_volumes },
	{ 5, do_nics },
	{ 6, do_plugged },
	{ 4, do_revert },
	{ 2, do_labels },
	{ 1, do_descheduler },
	{ 4, do_placement },
	{ 2, do_opt },
	{ 2, do_defaults },
	{ 2, do_move },
	{ 4, do_die },
	{ 2, do_kill_handler },
	{ 3, do_strategy },
	{ 2, do_restart },
	{ 1, do_start },
	{ 1, do_delete_vmi },
	{ 1, do_delete },
	{ 1, do_force },
	{ 2, do_rollout },
	{ 2, do_gate },
	{ 3, do_kill },
	{ 2, do_guest_ends },
	{ 3, do_node },
};

static void act(struct world *w)
{
	uint64_t total = 0, at;
	const char *vm = PICK(w, "v0", "v1");

	for (size_t i = 0; i < ARRAY_LEN(acts); i++)
		total += (uint64_t)acts[i].weight;
	at = rng_below(&w->rng, total);
	for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
		if (at < (uint64_t)acts[i].weight) {
			acts[i].act(w, vm);
			return;
		}
		at -= (uint64_t)acts[i].weight;
	}
}

static struct fake_faults network(struct world *w, uint64_t seed)
{
	struct fake_faults f = { .seed = seed, .latency_max_ms = (int)rng_below(&w->rng, 60) };

	if (world_chance(w, 300))
		return f; /* sometimes only the timing is bad */
	w->lossy = true;
	f.fail_request = 30;
	f.lose_answer = 20;
	f.conflict = 30;
	f.drop_watch = 20;
	f.expire_watch = 10;
	f.repeat_event = 50;
	return f;
}

/* true: nothing to complain about */
static bool run_seed(uint64_t seed, bool trace)
{
	struct world w;
	struct fake_faults f;
	int n;
	bool ok;

	world_init(&w, seed, seed % SCHEMA_EVERY == 0);
	w.trace = trace;
	w.removable_cpus = seed % 3 == 0;
	f = network(&w, seed);
	fake_api_faults(w.api, &f);
	w.faults = (struct node_faults){
		.fail_start = 50, .partial = 100, .refuse = 100, .slow = 200, .fail_move = 300, .lost = 100
	};
	w.migrates = true;
	put_nodes(&w);
	sim_vm(&w, "v0", "Always", "1Gi");
	if (world_chance(&w, 300))
		sim_vm(&w, "v1", PICK(&w, "Manual", "RerunOnFailure", "Once", "Halted"), "2Gi");
	world_run(&w, (int64_t)rng_below(&w.rng, 3000));
	n = 4 + (int)rng_below(&w.rng, 16);
	for (int i = 0; i < n; i++) {
		act(&w);
		world_run(&w, world_chance(&w, 300) ? 0 : (int64_t)rng_below(&w.rng, 2000));
	}
	/* The weather clears up; a node without room may stay that way. */
	/* Another seed: the server's uids come from it too, and none may come twice. */
	fake_api_faults(w.api, &(struct fake_faults){ .seed = ~seed });
	w.faults = (struct node_faults){ .no_room = w.faults.no_room };
	w.die_in = 0;
	if (!world_settle(&w, SETTLE_MS))
		world_broken(&w, "it does not come to rest");
	else if (!world_quiet(&w, 3600000))
		world_broken(&w, "a quiet world was written to");
	check_settled(&w);
	ok = !w.broken.len;
	if (!ok)
		printf("# seed %" PRIu64 ":\n%s", seed, w.broken.data);
	world_done(&w);
	return ok;
}

int main(int argc, char **argv)
{
	uint64_t from = 1, n = SEEDS_DEFAULT, failed = 0;
	bool trace = false;

	for (int i = 1; i < argc; i++) {
		if (str_eq(argv[i], "--trace")) {
			trace = true;
		} else if (i + 1 < argc && str_eq(argv[i], "--seed") && str_to_u64(argv[i + 1], &from)) {
			n = 1;
			i++;
		} else if (i + 1 < argc && str_eq(argv[i], "--from") && str_to_u64(argv[i + 1], &from)) {
			i++;
		} else if (i + 1 < argc && str_eq(argv[i], "--seeds") && str_to_u64(argv[i + 1], &n)) {
			i++;
		} else {
			fprintf(stderr, "usage: sim [--seeds N] [--from SEED] [--seed SEED] [--trace]\n");
			return 2;
		}
	}
	log_init("sim", trace ? LOG_DEBUG : LOG_ERROR);
	for (uint64_t seed = from; seed < from + n && failed < FAILURES_MAX; seed++)
		failed += !run_seed(seed, trace);
	printf("%s 1 - %" PRIu64 " seeds from %" PRIu64 "%s\n", failed ? "not ok" : "ok", n, from,
		failed ? "; play one again with --seed N --trace" : "");
	return failed != 0;
}

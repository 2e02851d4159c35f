/* SPDX-License-Identifier: Apache-2.0 */
/* status.outdatedVirtualMachineInstanceWorkloads: rollout.md 3.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "kube/fake_api.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/vmi/outdated.h"

struct world {
	struct loop *loop;
	struct fake_api *api;
	struct kube_client *client;
	struct cache *vmis, *kubevirts;
	struct outdated *outdated;
};

static void put_kubevirt(struct world *w, const char *phase, const char *observed)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'metadata':{'name':'kubevirt','namespace':'kubevirt'},'spec':{},'status':{'phase':'%s',"
		"'observedDeploymentID':'%s','targetDeploymentID':'a'}}",
		phase, observed);

	fake_api_put(w->api, &kind_kubevirt, json_lit(text));
}

static void put_vmi(struct world *w, const char *name, const char *conditions)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'metadata':{'name':'%s','namespace':'n'},'status':{'phase':'Running','conditions':"
		"[%s]}}",
		name, conditions);

	fake_api_put(w->api, &kind_vmi, json_lit(text));
}
#define HOT "{'type':'HotVCPUChange','status':'True'}"

static int setup(void **state)
{
	struct world *w = MEM_NEW(struct world);
	struct kube_transport t;

	w->loop = loop_new_sim(1700000000000);
	w->api = fake_api_new(w->loop);
	fake_api_add_kind(w->api, &kind_vmi);
	fake_api_add_kind(w->api, &kind_kubevirt);
	t = fake_api_transport(w->api, "controller");
	w->client = kube_client_new_transport(w->loop, &t);
	w->vmis = cache_new(w->client, &kind_vmi, NULL);
	w->kubevirts = cache_new(w->client, &kind_kubevirt, NULL);
	w->outdated = outdated_new(w->client, w->vmis, w->kubevirts);
	cache_start(w->vmis);
	cache_start(w->kubevirts);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	cache_free(w->vmis);
	cache_free(w->kubevirts);
	outdated_free(w->outdated);
	kube_client_free(w->client);
	fake_api_free(w->api);
	loop_free(w->loop);
	free(w);
	return 0;
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void run(struct world *w, int64_t ms)
{
	struct loop_timer *t = loop_timer_new(w->loop, stop, w->loop);

	loop_timer_set(t, ms);
	loop_run(w->loop);
	loop_timer_free(t);
}

static int64_t told(struct world *w)
{
	const struct obj *kv = fake_api_get(w->api, &kind_kubevirt, "kubevirt/kubevirt");
	const struct json *n = json_at(obj_json(kv), "/status/outdatedVirtualMachineInstanceWorkloads");

	return n ? json_i64(n) : -1;
}

static void what_lasts_is_counted(void **state)
{
	struct world *w = *state;

	put_kubevirt(w, "Deployed", "a");
	put_vmi(w, "x", "");
	put_vmi(w, "y", HOT);
	run(w, 4000);
	assert_int_equal(told(w), -1);
	run(w, 3000);
	assert_int_equal(told(w), 1);
	put_vmi(w, "x", HOT);
	run(w, 7000);
	assert_int_equal(told(w), 2);
	put_vmi(w, "x", "");
	fake_api_remove(w->api, &kind_vmi, "n/y");
	run(w, 7000);
	assert_int_equal(told(w), 0);
}

static void what_passes_costs_no_write(void **state)
{
	struct world *w = *state;
	uint64_t writes;

	put_kubevirt(w, "Deployed", "a");
	put_vmi(w, "x", "");
	run(w, 7000);
	assert_int_equal(told(w), 0);
	writes = fake_api_writes(w->api);
	for (int i = 0; i < 20; i++) {
		put_vmi(w, "x", HOT);
		run(w, 500);
		put_vmi(w, "x", "");
		run(w, 700);
	}
	run(w, 60000);
	assert_int_equal(told(w), 0);
	assert_int_equal(fake_api_writes(w->api), writes);
}

static void what_never_rests_is_told_at_last(void **state)
{
	struct world *w = *state;

	put_kubevirt(w, "Deployed", "a");
	put_vmi(w, "x", HOT);
	for (int i = 0; i < 50; i++) {
		put_vmi(w, "y", i % 2 ? HOT : "");
		run(w, 1500);
	}
	assert_true(told(w) > 0);
}

static void nothing_is_told_in_the_middle_of_an_installation(void **state)
{
	struct world *w = *state;

	put_vmi(w, "x", HOT);
	put_kubevirt(w, "Deploying", "a");
	run(w, 20000);
	put_kubevirt(w, "Deployed", "older");
	run(w, 20000);
	assert_int_equal(told(w), -1);
	put_kubevirt(w, "Deployed", "a");
	run(w, 7000);
	assert_int_equal(told(w), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_lasts_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(what_passes_costs_no_write, setup, teardown),
		cmocka_unit_test_setup_teardown(what_never_rests_is_told_at_last, setup, teardown),
		cmocka_unit_test_setup_teardown(
			nothing_is_told_in_the_middle_of_an_installation, setup, teardown),
	};

	log_init("outdated_test", LOG_ERROR);
	return cmocka_run_group_tests_name("outdated", tests, NULL, NULL);
}

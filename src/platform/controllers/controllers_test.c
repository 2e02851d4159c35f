/* SPDX-License-Identifier: Apache-2.0 */
/* Scheduler and workload controllers together against the fake API on virtual time. The node agent's part (pods become ready, go
 * when deleted) is played by the test. */
#include "platform/controllers/controllers.h"

#include "api/meta.h"
#include "base/mem.h"
#include "base/test_util.h"
#include "base/time.h"
#include "kube/fake_api.h"
#include "platform/clients/kinds.h"
#include "platform/scheduler/scheduler.h"

static const struct kind *const served[] = { &pk_pod, &pk_node, &pk_namespace, &pk_configmap,
	&pk_serviceaccount, &pk_service, &pk_endpoints, &pk_endpointslice, &pk_deployment, &pk_replicaset,
	&pk_daemonset, &pk_pdb, &pk_event, &pk_pv, &pk_pvc, &pk_storageclass };
static const struct controller *const all[] = { &scheduler_controller, &deployment_controller,
	&replicaset_controller, &daemonset_controller, &endpoints_controller, &pdb_controller };

struct world {
	struct loop *loop;
	struct fake_api *api;
	struct kube_client *client;
	struct controller_set *set;
	struct platform_env env;
};

static void world_init(struct world *w)
{
	struct kube_transport t;

	*w = (struct world){ 0 };
	w->loop = loop_new_sim(1767323045000);
	w->api = fake_api_new(w->loop);
	for (size_t i = 0; i < ARRAY_LEN(served); i++)
		fake_api_add_kind(w->api, served[i]);
	fake_api_put(w->api, &pk_node,
		json_lit("{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1','labels':{'kubernetes.io/"
			 "hostname':'n1'}},'status':"
			 "{'allocatable':{'cpu':'4','memory':'8Gi','pods':'100'}}}"));
	t = fake_api_transport(w->api, "controllers");
	w->client = kube_client_new_transport(w->loop, &t);
	w->set = controllers_new(w->client, "coracle");
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		controllers_add(w->set, all[i], &w->env);
	controllers_start(w->set);
}

static void world_done(struct world *w)
{
	controllers_free(w->set);
	kube_client_free(w->client);
	fake_api_free(w->api);
	loop_free(w->loop);
}

/* The node agent: bound pods get an address and become ready; deleted ones go. */
static void play_agent(struct world *w)
{
	for (size_t i = 0; i < fake_api_len(w->api, &pk_pod); i++) {
		const struct obj *pod = fake_api_at(w->api, &pk_pod, i);
		struct json_doc *d;

		if (obj_deleting(pod)) {
			fake_api_remove(w->api, &pk_pod, obj_key(pod));
			i--;
			continue;
		}
		if (str_empty(json_at_str(obj_json(pod), "/spec/nodeName")) ||
			json_at(obj_json(pod), "/status/podIP"))
			continue;
		d = obj_draft(pod);
		json_put(d, json_root(d), "/status/phase", json_new_str(d, "Running"));
		json_put(d, json_root(d), "/status/podIP", json_new_strf(d, "10.40.0.%zu", i + 2));
		cond_set(d, json_get(json_root(d), "status"), "Ready", "True", "", "", loop_wall_ms(w->loop));
		fake_api_put(w->api, &pk_pod, d);
	}
}

static void run(struct world *w, int rounds)
{
	for (int r = 0; r < rounds; r++) {
		int64_t until = loop_mono_ms(w->loop) + 1000;

		while (loop_mono_ms(w->loop) < until && loop_step(w->loop, 0))
			;
		play_agent(w);
	}
}

static void put_deployment(struct world *w, int replicas, const char *image)
{
	const struct obj *old = fake_api_get(w->api, &pk_deployment, "d/web");
	struct json_doc *d =
		old ? obj_draft(old)
		    : json_lit("{'apiVersion':'apps/"
			       "v1','kind':'Deployment','metadata':{'name':'web','namespace':'d'},"
			       "'spec':{'revisionHistoryLimit':2,'selector':{'matchLabels':{'app':'web'}},'"
			       "strategy':{'type':"
			       "'RollingUpdate','rollingUpdate':{'maxSurge':1,'maxUnavailable':0}},'template'"
			       ":{'metadata':{"
			       "'labels':{'app':'web'}},'spec':{'schedulerName':'default-scheduler','"
			       "containers':[{'name':'c'}]}}}}");

	json_put(d, json_root(d), "/spec/replicas", json_new_i64(d, replicas));
	json_put(d, json_root(d), "/spec/template/spec/containers/0/image", json_new_str(d, image));
	fake_api_put(w->api, &pk_deployment, d);
}

static int64_t deployment_int(struct world *w, const char *pointer)
{
	return json_i64(json_at(obj_json(fake_api_get(w->api, &pk_deployment, "d/web")), pointer));
}

static void a_deployment_becomes_scheduled_ready_pods(void **state)
{
	struct world w;

	world_init(&w);
	put_deployment(&w, 3, "i:1");
	run(&w, 10);
	assert_int_equal(fake_api_len(w.api, &pk_pod), 3);
	assert_int_equal(deployment_int(&w, "/status/readyReplicas"), 3);
	assert_int_equal(deployment_int(&w, "/status/updatedReplicas"), 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(
			json_at_str(obj_json(fake_api_at(w.api, &pk_pod, i)), "/spec/nodeName"), "n1");
	world_done(&w);
}

/* kubectl rollout history and undo: revisions of a set that came back, and what was said of a change */
static void a_template_that_comes_back_keeps_its_revisions(void **state)
{
	static const char *const images[] = { "i:1", "i:2", "i:1", "i:2", "i:1" };
	static const char cause[] = "kubernetes.io/change-cause";
	const struct json *annotations = NULL;
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < ARRAY_LEN(images); i++) {
		put_deployment(&w, 1, images[i]);
		struct json_doc *d = obj_draft(fake_api_get(w.api, &pk_deployment, "d/web"));

		meta_set_annotation(d, json_root(d), cause, images[i]);
		/* kubectl rollout undo writes members in an order of its own */
		if (i % 2) {
			struct json *c = json_at(json_root(d), "/spec/template/spec/containers/0");

			json_remove(c, "image");
			json_set_str(d, c, "image", images[i]);
			json_remove(c, "name");
			json_set_str(d, c, "name", "c");
		}
		fake_api_put(w.api, &pk_deployment, d);
		run(&w, 20);
	}
	assert_int_equal(fake_api_len(w.api, &pk_replicaset), 2);
	for (size_t i = 0; i < fake_api_len(w.api, &pk_replicaset); i++) {
		const struct json *o = obj_json(fake_api_at(w.api, &pk_replicaset, i));

		if (str_eq(json_at_str(o, "/spec/template/spec/containers/0/image"), "i:1"))
			annotations = json_at(o, "/metadata/annotations");
	}
	assert_string_equal(json_get_str(annotations, "deployment.kubernetes.io/revision"), "5");
	assert_string_equal(json_get_str(annotations, "deployment.kubernetes.io/revision-history"), "1,3");
	assert_string_equal(json_get_str(annotations, cause), "i:1");
	world_done(&w);
}

static void a_new_template_rolls_over_and_never_has_fewer(void **state)
{
	struct world w;

	world_init(&w);
	put_deployment(&w, 3, "i:1");
	run(&w, 10);
	put_deployment(&w, 3, "i:2");
	for (int i = 0; i < 30; i++) {
		run(&w, 1);
		assert_true(deployment_int(&w, "/status/availableReplicas") >= 3);
		assert_true(fake_api_len(w.api, &pk_pod) <= 4);
	}
	assert_int_equal(fake_api_len(w.api, &pk_pod), 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(
			json_at_str(obj_json(fake_api_at(w.api, &pk_pod, i)), "/spec/containers/0/image"),
			"i:2");
	world_done(&w);
}

static void scaling_down_deletes(void **state)
{
	struct world w;

	world_init(&w);
	put_deployment(&w, 3, "i:1");
	run(&w, 10);
	put_deployment(&w, 1, "i:1");
	run(&w, 10);
	assert_int_equal(fake_api_len(w.api, &pk_pod), 1);
	world_done(&w);
}

static void a_daemonset_has_one_pod_a_node_and_rolls(void **state)
{
	struct world w;
	struct json_doc *d;

	world_init(&w);
	fake_api_put(w.api, &pk_daemonset,
		json_lit("{'apiVersion':'apps/"
			 "v1','kind':'DaemonSet','metadata':{'name':'ds','namespace':'d'},'spec':{'selector':"
			 "{'matchLabels':"
			 "{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':{'schedulerName':'"
			 "default-scheduler','containers':"
			 "[{'name':'c','image':'i:1'}]}}}}"));
	run(&w, 10);
	assert_int_equal(fake_api_len(w.api, &pk_pod), 1);
	assert_int_equal(json_i64(json_at(obj_json(fake_api_get(w.api, &pk_daemonset, "d/ds")),
				 "/status/numberReady")),
		1);
	d = obj_draft(fake_api_get(w.api, &pk_daemonset, "d/ds"));
	json_put(d, json_root(d), "/spec/template/spec/containers/0/image", json_new_str(d, "i:2"));
	fake_api_put(w.api, &pk_daemonset, d);
	run(&w, 10);
	assert_int_equal(fake_api_len(w.api, &pk_pod), 1);
	assert_string_equal(
		json_at_str(obj_json(fake_api_at(w.api, &pk_pod, 0)), "/spec/containers/0/image"), "i:2");
	assert_int_equal(json_i64(json_at(obj_json(fake_api_get(w.api, &pk_daemonset, "d/ds")),
				 "/status/updatedNumberScheduled")),
		1);
	world_done(&w);
}

static void endpoints_follow_ready_pods(void **state)
{
	struct world w;
	const struct json *slice;

	world_init(&w);
	fake_api_put(w.api, &pk_service,
		json_lit("{'apiVersion':'v1','kind':'Service','metadata':{'name':'s','namespace':'d'},'spec':"
			 "{'selector':{'app':'web'},'ports':"
			 "[{'port':443,'targetPort':8443,'protocol':'TCP'}]}}"));
	put_deployment(&w, 2, "i:1");
	run(&w, 10);
	slice = obj_json(fake_api_get(w.api, &pk_endpointslice, "d/s"));
	assert_int_equal(json_len(json_get(slice, "endpoints")), 2);
	assert_int_equal(json_i64(json_at(slice, "/ports/0/port")), 8443);
	assert_true(json_bool(json_at(slice, "/endpoints/0/conditions/ready")));
	put_deployment(&w, 0, "i:1");
	run(&w, 10);
	slice = obj_json(fake_api_get(w.api, &pk_endpointslice, "d/s"));
	assert_int_equal(json_len(json_get(slice, "endpoints")), 0);
	world_done(&w);
}

static void a_pod_without_room_says_so_and_is_placed_when_there_is(void **state)
{
	struct world w;
	const struct obj *pod;
	struct json_doc *d;

	world_init(&w);
	fake_api_put(w.api, &pk_pod,
		json_lit("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'big','namespace':'d'},'spec':{'"
			 "schedulerName':'default-scheduler',"
			 "'containers':[{'name':'c','resources':{'requests':{'memory':'100Gi'}}}]}}"));
	run(&w, 3);
	pod = fake_api_get(w.api, &pk_pod, "d/big");
	assert_string_equal(json_at_str(obj_json(pod), "/status/conditions/0/message"),
		"0/1 nodes are available: 1 Insufficient memory.");
	d = obj_draft(fake_api_get(w.api, &pk_node, "n1"));
	json_put(d, json_root(d), "/status/allocatable/memory", json_new_str(d, "200Gi"));
	fake_api_put(w.api, &pk_node, d);
	run(&w, 3);
	assert_string_equal(
		json_at_str(obj_json(fake_api_get(w.api, &pk_pod, "d/big")), "/spec/nodeName"), "n1");
	world_done(&w);
}

static void put_budget(struct world *w, const char *rule, const char *evicted)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("{'apiVersion':'policy/v1','kind':'PodDisruptionBudget','metadata':{'name':'b',"
			   "'namespace':'d'},'spec':{%s,'selector':{'matchLabels':{'app':'web'}}}}",
			rule);
	struct json_doc *d = json_lit(text);
	char now[TIME_TEXT_MAX];

	if (evicted)
		json_set_str(d, json_need_obj(d, json_need_obj(d, json_root(d), "status"), "disruptedPods"),
			evicted, time_rfc3339(loop_wall_ms(w->loop), now));
	fake_api_put(w->api, &pk_pdb, d);
}

static int64_t budget_int(struct world *w, const char *key)
{
	return json_i64(json_get(json_get(obj_json(fake_api_get(w->api, &pk_pdb, "d/b")), "status"), key));
}

/* kubernetes-api.md 8.97 */
static void a_budget_is_a_part_of_what_there_ought_to_be(void **state)
{
	struct world w;

	world_init(&w);
	put_deployment(&w, 5, "i:1");
	run(&w, 10);
	put_budget(&w, "'maxUnavailable':'25%'", NULL);
	run(&w, 2);
	assert_int_equal(budget_int(&w, "expectedPods"), 5);
	assert_int_equal(
		budget_int(&w, "desiredHealthy"), 3); /* two of five may be missing: 1.25 rounded up */
	assert_int_equal(budget_int(&w, "disruptionsAllowed"), 2);
	fake_api_remove(w.api, &pk_pdb, "d/b");
	put_budget(&w, "'minAvailable':'50%'", NULL);
	run(&w, 2);
	assert_int_equal(budget_int(&w, "desiredHealthy"), 3);
	fake_api_remove(w.api, &pk_pdb, "d/b");
	put_budget(&w, "'minAvailable':4", NULL);
	run(&w, 2);
	assert_int_equal(budget_int(&w, "disruptionsAllowed"), 1);
	world_done(&w);
}

static void an_evicted_pod_counts_again_if_it_stays(void **state)
{
	struct world w;

	world_init(&w);
	put_deployment(&w, 2, "i:1");
	run(&w, 10);
	put_budget(&w, "'minAvailable':1", obj_name(fake_api_at(w.api, &pk_pod, 0)));
	run(&w, 2);
	assert_int_equal(budget_int(&w, "currentHealthy"), 1);
	assert_int_equal(budget_int(&w, "disruptionsAllowed"), 0);
	run(&w, 130);
	assert_int_equal(budget_int(&w, "currentHealthy"), 2);
	assert_int_equal(budget_int(&w, "disruptionsAllowed"), 1);
	assert_null(json_at(obj_json(fake_api_get(w.api, &pk_pdb, "d/b")), "/status/disruptedPods"));
	world_done(&w);
}

static void a_quiet_world_writes_nothing(void **state)
{
	struct world w;
	uint64_t before;

	world_init(&w);
	put_deployment(&w, 2, "i:1");
	run(&w, 20);
	before = fake_api_writes(w.api);
	run(&w, 1000);
	assert_int_equal(fake_api_writes(w.api), before);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deployment_becomes_scheduled_ready_pods),
		cmocka_unit_test(a_new_template_rolls_over_and_never_has_fewer),
		cmocka_unit_test(a_template_that_comes_back_keeps_its_revisions),
		cmocka_unit_test(scaling_down_deletes),
		cmocka_unit_test(a_daemonset_has_one_pod_a_node_and_rolls),
		cmocka_unit_test(endpoints_follow_ready_pods),
		cmocka_unit_test(a_pod_without_room_says_so_and_is_placed_when_there_is),
		cmocka_unit_test(a_budget_is_a_part_of_what_there_ought_to_be),
		cmocka_unit_test(an_evicted_pod_counts_again_if_it_stays),
		cmocka_unit_test(a_quiet_world_writes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

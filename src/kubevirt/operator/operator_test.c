/* SPDX-License-Identifier: Apache-2.0 */
/* The operator against the fake API on virtual time; Deployments and DaemonSets become ready when the test says so. */
#include "base/mem.h"
#include "base/test_util.h"
#include "kube/fake_api.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/operator/apply.h"
#include "kubevirt/operator/install.h"

#define START_MS 1767323045000

struct world {
	struct loop *loop;
	struct fake_api *api;
	struct kube_client *client;
	struct controller_set *set;
	struct operator_settings s;
};

static void world_init(struct world *w)
{
	struct kube_transport t;

	*w = (struct world){ 0 };
	w->s.ns = mem_strdup("kubevirt");
	w->s.version = mem_strdup("v0.1.0");
	w->s.host_dir = mem_strdup("/var/run/kubevirt");
	w->s.images[COMPONENT_OPERATOR] = mem_strdup("coracle.dev/virt-operator:v0.1.0");
	w->loop = loop_new_sim(START_MS);
	w->api = fake_api_new(w->loop);
	for (size_t i = 0; kinds_all[i]; i++)
		fake_api_add_kind(w->api, kinds_all[i]);
	fake_api_put(
		w->api, &kind_node, json_lit("{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1'}}"));
	t = fake_api_transport(w->api, "operator");
	w->client = kube_client_new_transport(w->loop, &t);
	w->set = controllers_new(w->client, KV_VIRT_OPERATOR);
	controllers_add(w->set, &operator_controller, &w->s);
	controllers_start(w->set);
}

static void world_done(struct world *w)
{
	controllers_free(w->set);
	kube_client_free(w->client);
	fake_api_free(w->api);
	loop_free(w->loop);
	free(w->s.ns);
	free(w->s.version);
	free(w->s.host_dir);
	for (int i = 0; i < COMPONENT_MAX; i++)
		free(w->s.images[i]);
}

static void run(struct world *w, int64_t ms)
{
	int64_t until = loop_mono_ms(w->loop) + ms;

	while (loop_mono_ms(w->loop) < until && loop_step(w->loop, 0))
		;
}

static void apply_cr(struct world *w, const char *spec)
{
	const struct obj *old = fake_api_get(w->api, &kind_kubevirt, "kubevirt/kubevirt");
	struct json_doc *d = old ? obj_draft(old)
				 : json_lit("{'apiVersion':'kubevirt.io/v1','kind':'KubeVirt','metadata':"
					    "{'name':'kubevirt','namespace':'kubevirt'}}");
	struct json_doc *s = json_lit(spec);

	json_set_copy(d, json_root(d), "spec", json_root(s));
	json_doc_free(s);
	fake_api_put(w->api, &kind_kubevirt, d);
}

static const struct json *status(struct world *w, const char *pointer)
{
	const struct obj *kv = fake_api_get(w->api, &kind_kubevirt, "kubevirt/kubevirt");

	return kv ? json_at(json_get(obj_json(kv), "status"), pointer) : NULL;
}

static const char *condition(struct world *w, const char *type)
{
	const struct json *list = status(w, "/conditions");

	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "type"), type))
			return json_get_str(it.val, "status");
	return "absent";
}

/* What the platform's controllers and node agents would do. */
static void make_ready(struct world *w, const struct kind *k, const char *key)
{
	const struct obj *o = fake_api_get(w->api, k, key);
	struct json_doc *d;
	int64_t n;

	assert_non_null(o);
	d = obj_draft(o);
	n = json_i64(json_at(obj_json(o), "/spec/replicas"));
	json_put(d, json_root(d), "/status/observedGeneration", json_new_i64(d, obj_generation(o)));
	if (k == &kind_deployment) {
		json_put(d, json_root(d), "/status/replicas", json_new_i64(d, n));
		json_put(d, json_root(d), "/status/updatedReplicas", json_new_i64(d, n));
		json_put(d, json_root(d), "/status/readyReplicas", json_new_i64(d, n));
	} else {
		json_put(d, json_root(d), "/status/desiredNumberScheduled", json_new_i64(d, 1));
		json_put(d, json_root(d), "/status/updatedNumberScheduled", json_new_i64(d, 1));
		json_put(d, json_root(d), "/status/numberReady", json_new_i64(d, 1));
	}
	fake_api_put(w->api, k, d);
	run(w, 20000);
}

static void install_all(struct world *w)
{
	apply_cr(w, "{'configuration':{'developerConfiguration':{}},'workloadUpdateStrategy':{}}");
	run(w, 20000);
	make_ready(w, &kind_deployment, "kubevirt/virt-api");
	make_ready(w, &kind_deployment, "kubevirt/virt-controller");
	make_ready(w, &kind_daemonset, "kubevirt/virt-handler");
}

/* operator.md 6.1, 6.3 */
static void a_fresh_install_brings_virt_api_first_and_says_it_is_deploying(void **state)
{
	struct world w;

	world_init(&w);
	apply_cr(&w, "{}");
	run(&w, 20000);
	assert_string_equal(json_str(status(&w, "/phase")), "Deploying");
	assert_string_equal(json_str(status(&w, "/targetKubeVirtVersion")), "v0.1.0");
	assert_string_equal(condition(&w, "Available"), "False");
	assert_string_equal(condition(&w, "Progressing"), "True");
	assert_non_null(fake_api_get(w.api, &kind_deployment, "kubevirt/virt-api"));
	assert_null(fake_api_get(w.api, &kind_deployment, "kubevirt/virt-controller"));
	assert_null(fake_api_get(w.api, &kind_daemonset, "kubevirt/virt-handler"));
	assert_non_null(fake_api_get(w.api, &kind_crd, "virtualmachines.kubevirt.io"));
	world_done(&w);
}

/* operator.md 6.2, 6.7 */
static void when_all_is_ready_it_is_deployed_and_available(void **state)
{
	struct world w;

	world_init(&w);
	install_all(&w);
	assert_string_equal(json_str(status(&w, "/phase")), "Deployed");
	assert_string_equal(condition(&w, "Created"), "True");
	assert_string_equal(condition(&w, "Available"), "True");
	assert_string_equal(condition(&w, "Progressing"), "False");
	assert_string_equal(condition(&w, "Degraded"), "False");
	assert_string_equal(
		json_str(status(&w, "/observedDeploymentID")), json_str(status(&w, "/targetDeploymentID")));
	assert_int_equal(json_i64(status(&w, "/observedGeneration")),
		obj_generation(fake_api_get(w.api, &kind_kubevirt, "kubevirt/kubevirt")));
	assert_null(fake_api_get(w.api, &kind_pdb, "kubevirt/virt-api-pdb"));
	world_done(&w);
}

static void a_quiet_world_writes_nothing(void **state)
{
	struct world w;
	uint64_t before;

	world_init(&w);
	install_all(&w);
	before = fake_api_writes(w.api);
	controllers_kick(w.set, "kubevirt", "kubevirt/kubevirt");
	run(&w, 3600 * 1000);
	assert_int_equal(fake_api_writes(w.api), before);
	world_done(&w);
}

/* operator.md 6.9 */
static void a_hand_edited_object_is_put_right(void **state)
{
	struct world w;
	struct json_doc *d;

	world_init(&w);
	install_all(&w);
	d = obj_draft(fake_api_get(w.api, &kind_deployment, "kubevirt/virt-controller"));
	json_put(d, json_root(d), "/spec/template/spec/containers/0/image",
		json_new_str(d, "elsewhere/virt-controller:v9"));
	fake_api_put(w.api, &kind_deployment, d);
	run(&w, 20000);
	assert_string_equal(
		json_at_str(obj_json(fake_api_get(w.api, &kind_deployment, "kubevirt/virt-controller")),
			"/spec/template/spec/containers/0/image"),
		"coracle.dev/virt-controller:v0.1.0");
	world_done(&w);
}

/* operator.md 6.15, 6.18; decision 18 */
static void an_update_shows_for_two_seconds_and_goes_handler_controller_api(void **state)
{
	struct world w;

	world_init(&w);
	install_all(&w);
	apply_cr(&w, "{'imageTag':'v0.2.0'}");
	run(&w, 20000);
	assert_string_equal(condition(&w, "Available"), "True");
	assert_string_equal(condition(&w, "Progressing"), "True");
	assert_string_equal(condition(&w, "Degraded"), "True");
	assert_string_equal(
		json_at_str(obj_json(fake_api_get(w.api, &kind_daemonset, "kubevirt/virt-handler")),
			"/spec/template/spec/containers/0/image"),
		"coracle.dev/virt-handler:v0.2.0");
	assert_string_equal(json_at_str(obj_json(fake_api_get(w.api, &kind_deployment, "kubevirt/virt-api")),
				    "/spec/template/spec/containers/0/image"),
		"coracle.dev/virt-api:v0.1.0");
	make_ready(&w, &kind_daemonset, "kubevirt/virt-handler");
	make_ready(&w, &kind_deployment, "kubevirt/virt-controller");
	make_ready(&w, &kind_deployment, "kubevirt/virt-api");
	assert_string_equal(condition(&w, "Degraded"), "False");
	assert_string_equal(json_str(status(&w, "/observedKubeVirtVersion")), "v0.2.0");
	world_done(&w);
}

/* operator.md 6.6 */
static void a_kubevirt_elsewhere_is_told_and_nothing_else_happens(void **state)
{
	struct world w;
	const struct obj *kv;

	world_init(&w);
	fake_api_put(w.api, &kind_kubevirt,
		json_lit("{'apiVersion':'kubevirt.io/"
			 "v1','kind':'KubeVirt','metadata':{'name':'kv','namespace':'other'},'spec':{}}"));
	run(&w, 20000);
	kv = fake_api_get(w.api, &kind_kubevirt, "other/kv");
	assert_string_equal(json_at_str(obj_json(kv), "/status/conditions/0/reason"), "ExistingDeployment");
	assert_int_equal(fake_api_len(w.api, &kind_deployment), 0);
	world_done(&w);
}

/* operator.md 6.34, 6.36, 6.37 */
static void deletion_takes_everything_back_node_keys_last(void **state)
{
	struct world w;
	struct json_doc *d;
	const struct obj *node;

	world_init(&w);
	install_all(&w);
	d = obj_draft(fake_api_get(w.api, &kind_node, "n1"));
	json_put(d, json_root(d), "/metadata/labels/kubevirt.io~1schedulable", json_new_str(d, "true"));
	json_put(d, json_root(d), "/metadata/labels/machine-type.node.kubevirt.io~1q35",
		json_new_str(d, "true"));
	json_put(d, json_root(d), "/metadata/labels/zone", json_new_str(d, "a"));
	fake_api_put(w.api, &kind_node, d);
	d = obj_draft(fake_api_get(w.api, &kind_kubevirt, "kubevirt/kubevirt"));
	json_put(d, json_root(d), "/metadata/deletionTimestamp", json_new_str(d, "2026-01-02T03:04:05Z"));
	fake_api_put(w.api, &kind_kubevirt, d);
	run(&w, 60000);
	assert_null(fake_api_get(w.api, &kind_kubevirt, "kubevirt/kubevirt"));
	assert_int_equal(fake_api_len(w.api, &kind_deployment), 0);
	assert_int_equal(fake_api_len(w.api, &kind_crd), 0);
	assert_int_equal(fake_api_len(w.api, &kind_clusterrole), 0);
	assert_int_equal(fake_api_len(w.api, &kind_secret), 0);
	assert_int_equal(fake_api_len(w.api, &kind_apiservice), 0);
	node = fake_api_get(w.api, &kind_node, "n1");
	assert_int_equal(json_len(json_at(obj_json(node), "/metadata/labels")), 1);
	world_done(&w);
}

/* A tag goes into pod specs as it is: what is none is refused by name. */
static void a_bad_tag_is_refused(void **state)
{
	struct world w;

	world_init(&w);
	apply_cr(&w, "{'imageTag':'a b'}");
	run(&w, 20000);
	assert_string_equal(condition(&w, "Degraded"), "True");
	assert_int_equal(fake_api_len(w.api, &kind_deployment), 0);
	world_done(&w);
}

static void covering_ignores_the_servers_defaults(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *have = json_lit("{'a':1,'b':[{'x':1,'y':2}],'c':'d'}");
	CLEANUP(json_doc_freep) struct json_doc *want = json_lit("{'b':[{'x':1}],'e':{}}");
	CLEANUP(json_doc_freep) struct json_doc *other = json_lit("{'b':[{'x':1},{'x':2}]}");

	assert_true(apply_covers(json_root(have), json_root(want)));
	assert_false(apply_covers(json_root(have), json_root(other)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fresh_install_brings_virt_api_first_and_says_it_is_deploying),
		cmocka_unit_test(when_all_is_ready_it_is_deployed_and_available),
		cmocka_unit_test(a_quiet_world_writes_nothing),
		cmocka_unit_test(a_hand_edited_object_is_put_right),
		cmocka_unit_test(an_update_shows_for_two_seconds_and_goes_handler_controller_api),
		cmocka_unit_test(a_kubevirt_elsewhere_is_told_and_nothing_else_happens),
		cmocka_unit_test(deletion_takes_everything_back_node_keys_last),
		cmocka_unit_test(a_bad_tag_is_refused),
		cmocka_unit_test(covering_ignores_the_servers_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

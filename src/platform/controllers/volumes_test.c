/* SPDX-License-Identifier: Apache-2.0 */
/* Claims, volumes and the pods that have them, against the fake API on virtual time: kubernetes' rules of persistent volumes as
 * far as one host needs them. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/meta.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/test_util.h"
#include "kube/fake_api.h"
#include "platform/controllers/claim_match.h"
#include "platform/controllers/controllers.h"
#include "platform/clients/kinds.h"
#include "platform/scheduler/scheduler.h"

static const struct kind *const served[] = { &pk_pod, &pk_node, &pk_namespace, &pk_event, &pk_pv, &pk_pvc,
	&pk_storageclass };

struct world {
	struct loop *loop;
	struct fake_api *api;
	struct kube_client *client;
	struct controller_set *set;
	struct platform_env env;
	char dir[64];
};

static void world_init(struct world *w)
{
	struct kube_transport t;

	*w = (struct world){ 0 };
	str_copy(w->dir, sizeof(w->dir), "/tmp/volumes_test.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->loop = loop_new_sim(1767323045000);
	w->api = fake_api_new(w->loop);
	for (size_t i = 0; i < ARRAY_LEN(served); i++)
		fake_api_add_kind(w->api, served[i]);
	fake_api_put(w->api, &pk_node,
		json_lit("{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1','labels':{'kubernetes.io/"
			 "hostname':'host-1'}},'status':"
			 "{'allocatable':{'cpu':'4','memory':'8Gi','pods':'100'}}}"));
	fake_api_put(w->api, &pk_namespace,
		json_lit("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'kube-system'}}"));
	w->env.data_dir = w->dir;
	t = fake_api_transport(w->api, "controllers");
	w->client = kube_client_new_transport(w->loop, &t);
	w->set = controllers_new(w->client, "coracle");
	controllers_add(w->set, &scheduler_controller, &w->env);
	controllers_add(w->set, &volumes_controller, &w->env);
	controllers_start(w->set);
}

static void run(struct world *w)
{
	int64_t until = loop_mono_ms(w->loop) + 3000;

	while (loop_mono_ms(w->loop) < until && loop_step(w->loop, 0))
		;
}

static void world_done(struct world *w)
{
	controllers_free(w->set);
	kube_client_free(w->client);
	fake_api_free(w->api);
	loop_free(w->loop);
	file_remove_tree(w->dir, NULL);
}

static void deleted(void *arg, const struct obj *o, const struct err *e)
{
	assert_null(e);
}

static void put_claim(struct world *w, const char *name, const char *class)
{
	struct json_doc *d = json_lit("{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{"
				      "'namespace':'d'},'spec':{'accessModes':['ReadWriteOnce'],'resources':{"
				      "'requests':{'storage':'1Gi'}},'volumeMode':'Filesystem'},'status':{"
				      "'phase':'Pending'}}");

	json_put_str(d, json_root(d), "/metadata/name", name);
	json_put_str(d, json_root(d), "/spec/storageClassName", class);
	fake_api_put(w->api, &pk_pvc, d);
}

static void put_volume(struct world *w, const char *name, const char *size, const char *claim)
{
	struct json_doc *d =
		json_lit("{'apiVersion':'v1','kind':'PersistentVolume','metadata':{},'spec':{'accessModes':["
			 "'ReadWriteOnce','ReadOnlyMany'],'capacity':{},'volumeMode':'Filesystem',"
			 "'storageClassName':'manual','persistentVolumeReclaimPolicy':'Retain','hostPath':{'"
			 "path':'/x'}}}");

	json_put_str(d, json_root(d), "/metadata/name", name);
	json_put_str(d, json_root(d), "/spec/capacity/storage", size);
	if (claim) {
		json_put_str(d, json_root(d), "/spec/claimRef/name", claim);
		json_put_str(d, json_root(d), "/spec/claimRef/namespace", "d");
	}
	fake_api_put(w->api, &pk_pv, d);
}

static void put_pod(struct world *w, const char *name, const char *claim)
{
	struct json_doc *d = json_lit(
		"{'apiVersion':'v1','kind':'Pod','metadata':{'namespace':'d'},'spec':{'schedulerName':"
		"'default-scheduler','containers':[{'name':'c'}],'volumes':[{'name':'v',"
		"'persistentVolumeClaim':{}}]}}");

	json_put_str(d, json_root(d), "/metadata/name", name);
	json_put_str(d, json_root(d), "/spec/volumes/0/persistentVolumeClaim/claimName", claim);
	fake_api_put(w->api, &pk_pod, d);
}

static const char *claim_at(struct world *w, const char *name, const char *pointer)
{
	CLEANUP(mem_freep) char *key = kind_key("d", name);
	const struct obj *o = fake_api_get(w->api, &pk_pvc, key);

	return o ? json_str_or(json_at(obj_json(o), pointer), "") : "gone";
}

static const char *volume_at(struct world *w, const char *name, const char *pointer)
{
	const struct obj *o = fake_api_get(w->api, &pk_pv, name);

	return o ? json_str_or(json_at(obj_json(o), pointer), "") : "gone";
}

static void a_claim_of_the_default_class_gets_a_directory_with_its_first_pod(void **state)
{
	CLEANUP(mem_freep) char *path = NULL;
	struct world w;
	struct stat st;

	world_init(&w);
	run(&w);
	assert_non_null(fake_api_get(w.api, &pk_storageclass, STORAGE_CLASS_LOCAL));
	put_claim(&w, "c", NULL);
	run(&w);
	assert_string_equal(claim_at(&w, "c", "/spec/storageClassName"), STORAGE_CLASS_LOCAL);
	assert_string_equal(claim_at(&w, "c", "/status/phase"), "Pending");
	assert_int_equal(fake_api_len(w.api, &pk_pv), 0);
	put_pod(&w, "p", "c");
	run(&w);
	assert_string_equal(claim_at(&w, "c", "/status/phase"), "Bound");
	assert_string_equal(claim_at(&w, "c", "/status/capacity/storage"), "1Gi");
	const char *pv = claim_at(&w, "c", "/spec/volumeName");
	assert_string_equal(volume_at(&w, pv, "/status/phase"), "Bound");
	assert_string_equal(
		volume_at(&w, pv,
			"/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values/0"),
		"host-1");
	path = str_printf("%s/volumes/%s", w.dir, pv);
	assert_string_equal(volume_at(&w, pv, "/spec/hostPath/path"), path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0777);
	world_done(&w);
}

/* A directory is no device: it stays pending and says so. */
static void a_claim_of_mode_block_is_not_made_from_a_directory(void **state)
{
	struct json_doc *d =
		json_lit("{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'b',"
			 "'namespace':'d'},'spec':{'accessModes':['ReadWriteOnce'],'resources':{"
			 "'requests':{'storage':'1Gi'}},'volumeMode':'Block'},'status':{"
			 "'phase':'Pending'}}");
	struct world w;

	world_init(&w);
	run(&w);
	fake_api_put(w.api, &pk_pvc, d);
	put_pod(&w, "p", "b");
	run(&w);
	assert_string_equal(claim_at(&w, "b", "/status/phase"), "Pending");
	assert_int_equal(fake_api_len(w.api, &pk_pv), 0);
	world_done(&w);
}

static void a_claim_in_use_stays_and_takes_its_directory_along(void **state)
{
	CLEANUP(mem_freep) char *path = NULL, *pv = NULL;
	struct world w;

	world_init(&w);
	run(&w);
	put_claim(&w, "c", NULL);
	put_pod(&w, "p", "c");
	run(&w);
	pv = mem_strdup(claim_at(&w, "c", "/spec/volumeName"));
	path = str_printf("%s/volumes/%s", w.dir, pv);
	assert_true(file_exists(path));
	kube_delete(w.client, &pk_pvc, "d", "c", NULL, deleted, NULL);
	run(&w);
	assert_string_equal(claim_at(&w, "c", "/metadata/finalizers/0"), FINALIZER_PVC);
	assert_true(file_exists(path));
	fake_api_remove(w.api, &pk_pod, "d/p");
	run(&w);
	assert_string_equal(claim_at(&w, "c", "/metadata/name"), "gone");
	assert_string_equal(volume_at(&w, pv, "/metadata/name"), "gone");
	assert_false(file_exists(path));
	world_done(&w);
}

static void the_smallest_volume_that_suits_is_bound(void **state)
{
	struct world w;

	world_init(&w);
	put_volume(&w, "small", "512Mi", NULL);
	put_volume(&w, "large", "5Gi", NULL);
	put_volume(&w, "right", "1Gi", NULL);
	put_volume(&w, "kept", "1Gi", "other");
	run(&w);
	assert_string_equal(volume_at(&w, "small", "/status/phase"), "Available");
	put_claim(&w, "c", "manual");
	run(&w);
	assert_string_equal(claim_at(&w, "c", "/spec/volumeName"), "right");
	assert_string_equal(claim_at(&w, "c", "/status/phase"), "Bound");
	put_claim(&w, "other", "manual");
	run(&w);
	assert_string_equal(claim_at(&w, "other", "/spec/volumeName"), "kept");
	put_claim(&w, "third", "manual");
	put_claim(&w, "fourth", "manual");
	run(&w);
	assert_string_equal(claim_at(&w, "third", "/status/phase"),
		str_eq(claim_at(&w, "fourth", "/status/phase"), "Bound") ? "Pending" : "Bound");
	put_volume(&w, "late", "1Gi", NULL);
	run(&w);
	assert_string_equal(claim_at(&w, "third", "/status/phase"), "Bound");
	assert_string_equal(claim_at(&w, "fourth", "/status/phase"), "Bound");
	world_done(&w);
}

static void a_retained_volume_is_released_and_stays(void **state)
{
	struct world w;

	world_init(&w);
	put_volume(&w, "v", "1Gi", NULL);
	put_claim(&w, "c", "manual");
	run(&w);
	kube_delete(w.client, &pk_pvc, "d", "c", NULL, deleted, NULL);
	run(&w);
	assert_string_equal(claim_at(&w, "c", "/metadata/name"), "gone");
	assert_string_equal(volume_at(&w, "v", "/status/phase"), "Released");
	/* not given to the next one of that name */
	put_claim(&w, "c", "manual");
	run(&w);
	assert_string_equal(claim_at(&w, "c", "/status/phase"), "Pending");
	world_done(&w);
}

static void a_pod_waits_for_claims_that_are_bound_at_once(void **state)
{
	const struct obj *pod;
	struct world w;

	world_init(&w);
	put_pod(&w, "p", "c");
	run(&w);
	pod = fake_api_get(w.api, &pk_pod, "d/p");
	assert_string_equal(json_at_str(obj_json(pod), "/status/conditions/0/message"),
		"0/1 nodes are available: 1 persistentvolumeclaim \"c\" not found.");
	put_claim(&w, "c", "manual");
	run(&w);
	pod = fake_api_get(w.api, &pk_pod, "d/p");
	assert_string_equal(json_at_str(obj_json(pod), "/status/conditions/0/message"),
		"0/1 nodes are available: 1 pod has unbound immediate PersistentVolumeClaims.");
	put_volume(&w, "v", "1Gi", NULL);
	run(&w);
	pod = fake_api_get(w.api, &pk_pod, "d/p");
	assert_string_equal(json_at_str(obj_json(pod), "/spec/nodeName"), "n1");
	world_done(&w);
}

static void a_claim_whose_volume_vanished_is_lost(void **state)
{
	struct world w;

	world_init(&w);
	put_volume(&w, "v", "1Gi", NULL);
	put_claim(&w, "c", "manual");
	run(&w);
	assert_string_equal(claim_at(&w, "c", "/status/phase"), "Bound");
	fake_api_remove(w.api, &pk_pv, "v");
	run(&w);
	assert_string_equal(claim_at(&w, "c", "/status/phase"), "Lost");
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_claim_of_the_default_class_gets_a_directory_with_its_first_pod),
		cmocka_unit_test(a_claim_of_mode_block_is_not_made_from_a_directory),
		cmocka_unit_test(a_claim_in_use_stays_and_takes_its_directory_along),
		cmocka_unit_test(the_smallest_volume_that_suits_is_bound),
		cmocka_unit_test(a_retained_volume_is_released_and_stays),
		cmocka_unit_test(a_pod_waits_for_claims_that_are_bound_at_once),
		cmocka_unit_test(a_claim_whose_volume_vanished_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

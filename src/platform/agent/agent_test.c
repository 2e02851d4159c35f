/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's parts that need no containers: environment, projected files, limits, status. A pod of the fake API on virtual
 * time; its volumes in a temporary directory. */
#include "platform/agent/impl.h"

#include "api/meta.h"
#include "base/test_util.h"
#include "kube/fake_api.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
	struct loop *loop;
	struct fake_api *api;
	struct kube_client *client;
	struct agent a;
	char dir[64];
};

/* A watch never ends: as many callbacks as a change needs, and more. */
static void turn(struct world *w)
{
	for (int i = 0; i < 200 && loop_step(w->loop, 0); i++)
		;
}

static void world_init(struct world *w)
{
	struct kube_transport t;

	memset(w, 0, sizeof(*w));
	str_copy(w->dir, sizeof(w->dir), "/tmp/coracle-agent-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->loop = loop_new_sim(1767323045000);
	w->api = fake_api_new(w->loop);
	fake_api_add_kind(w->api, &pk_configmap);
	fake_api_add_kind(w->api, &pk_secret);
	fake_api_add_kind(w->api, &pk_pod);
	fake_api_put(w->api, &pk_configmap,
		json_lit("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'cm','namespace':'ns'},'"
			 "data':{'a':'1','b':'2'}}"));
	fake_api_put(w->api, &pk_secret,
		json_lit("{'apiVersion':'v1','kind':'Secret','metadata':{'name':'s','namespace':'ns'},'data':"
			 "{'k':'AAEC'}}"));
	t = fake_api_transport(w->api, "agent");
	w->client = kube_client_new_transport(w->loop, &t);
	w->a.loop = w->loop;
	w->a.client = w->client;
	w->a.dir = w->dir;
	w->a.node_name = (char *)"n1";
	w->a.api_host = (char *)"10.40.0.1";
	w->a.api_port = 6443;
	w->a.cpu_millis = 2000;
	w->a.memory_bytes = 1 << 30;
	w->a.configmaps = cache_new(w->client, &pk_configmap, NULL);
	w->a.secrets = cache_new(w->client, &pk_secret, NULL);
	cache_start(w->a.configmaps);
	cache_start(w->a.secrets);
	turn(w);
}

static void world_done(struct world *w)
{
	cache_free(w->a.configmaps);
	cache_free(w->a.secrets);
	kube_client_free(w->client);
	fake_api_free(w->api);
	loop_free(w->loop);
	assert_int_equal(file_remove_tree(w->dir, NULL), 0);
}

static struct pod *make_pod(struct world *w, const char *spec)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','namespace':'ns','uid':'u-1',"
		"'labels':{'app':'x'},'annotations':{'n/q':'say \\\"hi\\\"'}},'spec':%s}",
		spec);
	CLEANUP(obj_unrefp) struct obj *o = obj_from_doc(json_lit(text));

	return pod_new(&w->a, o);
}

/* ---- environment ---- */
static void references_are_expanded_as_kubernetes_does(void **state)
{
	struct strv env = { 0 };
	static const char *const cases[][2] = { { "$(A)-$(B)", "1-two" }, { "$$(A)", "$(A)" },
		{ "$(NONE)", "$(NONE)" }, { "$(A", "$(A" }, { "a$b", "a$b" }, { "$$$(A)", "$1" },
		{ "", "" } };

	strv_add(&env, "A=1");
	strv_add(&env, "B=two");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(mem_freep) char *got = env_expand(cases[i][0], &env);

		assert_string_equal(got, cases[i][1]);
	}
	strv_done(&env);
}

static const char *env_of(const struct strv *env, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < env->len; i++)
		if (strncmp(env->items[i], name, n) == 0 && env->items[i][n] == '=')
			return env->items[i] + n + 1;
	return NULL;
}

static void variables_come_from_everywhere(void **state)
{
	struct world w;
	struct strv env = { 0 };
	struct err e = { 0 };
	CLEANUP(mem_freep) char *label = NULL;
	struct pod *p;

	world_init(&w);
	p = make_pod(&w,
		"{'serviceAccountName':'sa','containers':[{'name':'c','image':'coracle.dev/"
		"x:v','resources':{'limits':{'memory':'64Mi'},"
		"'requests':{'cpu':'250m'}},'envFrom':[{'prefix':'P_','configMapRef':{'name':'cm'}}],"
		"'env':[{'name':'X','value':'v'},{'name':'Y','value':'$(X)$(P_a)'},"
		"{'name':'N','valueFrom':{'fieldRef':{'fieldPath':'spec.nodeName'}}},"
		"{'name':'M','valueFrom':{'resourceFieldRef':{'resource':'limits.memory','divisor':'1Mi'}}},"
		"{'name':'C','valueFrom':{'resourceFieldRef':{'resource':'limits.cpu'}}},"
		"{'name':'R','valueFrom':{'resourceFieldRef':{'resource':'requests.cpu','divisor':'1m'}}},"
		"{'name':'K','valueFrom':{'configMapKeyRef':{'name':'cm','key':'b'}}},"
		"{'name':'O','valueFrom':{'secretKeyRef':{'name':'none','key':'b','optional':true}}}]}]}");
	p->ctrs[0]->image = MEM_NEW(struct image);
	p->ctrs[0]->image->own = true;
	assert_int_equal(env_build(p->ctrs[0], ctr_spec(p->ctrs[0]), &env, &e), 0);
	assert_string_equal(env_of(&env, "Y"), "v1");
	label = field_value(p, "metadata.labels['app']");
	assert_string_equal(label, "x");
	assert_null(field_value(p, "metadata.labels[app]"));
	assert_string_equal(env_of(&env, "N"), "n1");
	assert_string_equal(env_of(&env, "M"), "64");
	assert_string_equal(env_of(&env, "C"), "2"); /* no limit: the node's */
	assert_string_equal(env_of(&env, "R"), "250");
	assert_string_equal(env_of(&env, "K"), "2");
	assert_string_equal(env_of(&env, "P_b"), "2");
	assert_null(env_of(&env, "O"));
	assert_string_equal(env_of(&env, "KUBERNETES_SERVICE_HOST"), "10.40.0.1");
	strv_done(&env);
	pod_free(p);
	world_done(&w);
}

static void a_missing_source_is_named(void **state)
{
	struct world w;
	struct strv env = { 0 };
	struct err e = { 0 };
	struct pod *p;

	world_init(&w);
	p = make_pod(&w, "{'containers':[{'name':'c','env':[{'name':'A','valueFrom':{'configMapKeyRef':{'"
			 "name':'cm','key':'zz'}}}]}]}");
	p->ctrs[0]->image = MEM_NEW(struct image);
	assert_int_equal(env_build(p->ctrs[0], ctr_spec(p->ctrs[0]), &env, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "couldn't find key zz in ConfigMap ns/cm");
	pod_free(p);
	world_done(&w);
}

/* ---- projected files ---- */
static char *content(const struct world *w, const char *name)
{
	CLEANUP(mem_freep) char *path = str_printf("%s/pods/u-1/mem/v/%s", w->dir, name);
	char *text = NULL;

	file_read(path, 4096, &text, NULL, NULL);
	return text;
}

static void expect(const struct world *w, const char *name, const char *want)
{
	CLEANUP(mem_freep) char *got = content(w, name);

	if (!want) {
		assert_null(got);
		return;
	}
	assert_non_null(got);
	assert_string_equal(got, want);
}

static void a_projection_changes_as_a_whole(void **state)
{
	struct world w;
	struct err e = { 0 };
	struct pod *p;
	const struct json *spec;
	CLEANUP(mem_freep) char *before = NULL;
	CLEANUP(mem_freep) char *after = NULL;

	world_init(&w);
	p = make_pod(&w,
		"{'containers':[],'volumes':[{'name':'v','projected':{'sources':[{'configMap':{'name':'cm'}},"
		"{'secret':{'name':'s','items':[{'key':'k','path':'deep/er/k','mode':256}]}},"
		"{'downwardAPI':{'items':[{'path':'l','fieldRef':{'fieldPath':'metadata.annotations'}}]}}]}}]"
		"}");
	spec = json_at(pod_spec(p), "/volumes/0");
	assert_int_equal(project_volume(p, &p->vols[0], spec, &e), 0);
	expect(&w, "a", "1");
	expect(&w, "l", "n/q=\"say \\\"hi\\\"\"");
	{
		CLEANUP(mem_freep) char *path = str_printf("%s/pods/u-1/mem/v/deep/er/k", w.dir);
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, 3);
		assert_int_equal(st.st_mode & 0777, 0400);
	}
	before = content(&w, "..data/b");
	assert_string_equal(before, "2");
	fake_api_put(w.api, &pk_configmap,
		json_lit("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'cm','namespace':'ns'},'"
			 "data':{'a':'9','z':'new'}}"));
	turn(&w);
	assert_int_equal(project_volume(p, &p->vols[0], spec, &e), 0);
	expect(&w, "a", "9");
	expect(&w, "z", "new");
	expect(&w, "b", NULL);
	expect(&w, "..v1/a", NULL); /* the old ones are gone */
	after = content(&w, "..v2/a");
	assert_string_equal(after, "9");
	/* nothing changed: nothing is written */
	assert_int_equal(project_volume(p, &p->vols[0], spec, &e), 0);
	expect(&w, "..v3/a", NULL);
	pod_free(p);
	world_done(&w);
}

static void paths_may_not_leave_the_volume(void **state)
{
	static const char *const bad[] = { "../x", "/etc/x", "a/../../x", "..data", "" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct world w;
		struct err e = { 0 };
		struct pod *p;
		CLEANUP(mem_freep)
		char *text = str_printf(
			"{'containers':[],'volumes':[{'name':'v','configMap':{'name':'cm','items':["
			"{'key':'a','path':'%s'}]}}]}",
			bad[i]);

		world_init(&w);
		p = make_pod(&w, text);
		assert_int_equal(project_volume(p, &p->vols[0], json_at(pod_spec(p), "/volumes/0"), &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
		pod_free(p);
		world_done(&w);
	}
}

static void an_optional_source_may_be_absent(void **state)
{
	struct world w;
	struct err e = { 0 };
	struct pod *p;

	world_init(&w);
	p = make_pod(&w,
		"{'containers':[],'volumes':[{'name':'v','secret':{'secretName':'no','optional':true}},"
		"{'name':'u','secret':{'secretName':'no'}}]}");
	assert_int_equal(project_volume(p, &p->vols[0], json_at(pod_spec(p), "/volumes/0"), &e), 0);
	assert_int_equal(project_volume(p, &p->vols[1], json_at(pod_spec(p), "/volumes/1"), &e), -1);
	assert_string_equal(e.msg, "secret \"no\" not found");
	pod_free(p);
	world_done(&w);
}

/* ---- numbers ---- */
static void limits_become_cgroup_values(void **state)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit(
		"{'limits':{'cpu':'1500m','memory':'128Mi'},'requests':{'cpu':'250m','memory':'64Mi'}}");
	struct cgroup_limits l = limits_of(json_root(d)), none = limits_of(NULL);

	assert_int_equal(l.memory, 128 << 20);
	assert_int_equal(cgroup_shares(l.cpu_request), 256);
	assert_int_equal(cgroup_quota(l.cpu_limit), 150000);
	assert_int_equal(none.memory, -1);
	assert_int_equal(cgroup_shares(none.cpu_request), 2);
	assert_int_equal(cgroup_quota(none.cpu_limit), -1);
	assert_int_equal(cgroup_quota(1), 1000);
}

static void waits_double_up_to_the_limit(void **state)
{
	assert_int_equal(back_off_ms(1, 10000, 300000), 10000);
	assert_int_equal(back_off_ms(2, 10000, 300000), 20000);
	assert_int_equal(back_off_ms(6, 10000, 300000), 300000);
	assert_int_equal(back_off_ms(1000, 10000, 300000), 300000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_are_expanded_as_kubernetes_does),
		cmocka_unit_test(variables_come_from_everywhere),
		cmocka_unit_test(a_missing_source_is_named),
		cmocka_unit_test(a_projection_changes_as_a_whole),
		cmocka_unit_test(paths_may_not_leave_the_volume),
		cmocka_unit_test(an_optional_source_may_be_absent),
		cmocka_unit_test(limits_become_cgroup_values),
		cmocka_unit_test(waits_double_up_to_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

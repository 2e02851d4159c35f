/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of `coracle up`: who runs where, the release store, what is installed, what down ends. */
#include "platform/up/up.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/fake_api.h"
#include "platform/apiserver/apiserver.h"
#include "platform/clients/kinds.h"
#include "platform/up/drain.h"
#include "platform/up/install.h"
#include "platform/up/instance.h"
#include "platform/up/release.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char dir[64];
	struct loop *loop;
	struct store *store;
	struct apiserver *server;
	struct kube_client *client;
	size_t written;
	bool done;
	struct err err;
};

static int set_up(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	str_copy(f->dir, sizeof(f->dir), "/tmp/up-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->client)
		kube_client_free(f->client);
	apiserver_free(f->server);
	store_free(f->store);
	loop_free(f->loop);
	file_remove_tree(f->dir, NULL);
	free(f);
	return 0;
}

static char *in_dir(const struct fixture *f, const char *name)
{
	return file_join(f->dir, name);
}

static void write_text(const struct fixture *f, const char *name, const char *text)
{
	CLEANUP(mem_freep) char *path = in_dir(f, name);

	assert_int_equal(file_write(path, text, strlen(text), 0755, NULL), 0);
}

/* ---- instances ---- */
static void a_path_is_made_absolute_and_plain(void **state)
{
	static const char *const cases[][2] = { { "/a/b", "/a/b" }, { "/a//b/./c/", "/a/b/c" },
		{ "/a/../b", "/b" }, { "/..", "/" }, { "/", "/" }, { "/a/b/../../..", "/" } };
	CLEANUP(mem_freep) char *cwd = getcwd(NULL, 0);
	CLEANUP(mem_freep) char *want = file_join(cwd, "x");
	CLEANUP(mem_freep) char *relative = instance_path("./x");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(mem_freep) char *got = instance_path(cases[i][0]);

		assert_string_equal(got, cases[i][1]);
	}
	assert_string_equal(relative, want);
}

static void one_directory_has_one_owner(void **state)
{
	struct fixture *f = *state;
	CLEANUP(fd_closep) int first = -1;
	int second = -1;
	struct instance i;
	struct err e = { 0 };

	instance_look(f->dir, &i);
	assert_false(i.running);
	assert_int_equal(instance_lock(f->dir, &first, &e), 0);
	assert_int_equal(instance_tell(first, 6443, "v1", &e), 0);
	assert_int_equal(instance_lock(f->dir, &second, &e), -1);
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_non_null(strstr(e.msg, "port 6443"));
	instance_look(f->dir, &i);
	assert_true(i.running);
	assert_int_equal(i.pid, getpid());
	assert_int_equal(i.port, 6443);
	assert_string_equal(i.version, "v1");
	assert_int_equal(instance_signal(&i, 0, &e), 0);
	fd_closep(&first);
	first = -1;
	assert_true(instance_wait_gone(f->dir, 1000));
	/* What it told is still there for `down`, which starts it on the same port. */
	instance_look(f->dir, &i);
	assert_int_equal(i.port, 6443);
}

static void a_pid_that_is_another_process_by_now_is_not_signalled(void **state)
{
	struct instance i = { .pid = getpid(), .start = 1 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(instance_signal(&i, SIGKILL, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void foreign_directories_are_not_ours(void **state)
{
	struct fixture *f = *state;

	assert_false(instance_is_ours(f->dir));
	assert_false(instance_is_ours("/"));
	write_text(f, "state.db", "");
	assert_true(instance_is_ours(f->dir));
}

static void what_is_not_ours_is_not_removed_with_what_is(void **state)
{
	struct fixture *f = *state;
	CLEANUP(mem_freep) char *logs = file_join(f->dir, "logs"), *theirs = file_join(f->dir, "precious");
	struct err e = { 0 };

	assert_int_equal(instance_remove("/nowhere/at/all", &e), 0);
	write_text(f, "precious", "");
	assert_int_equal(file_mkdirs(logs, 0700, &e), 0);
	assert_int_equal(instance_remove(f->dir, &e), 0);
	assert_false(file_exists(logs));
	assert_true(file_exists(theirs));
	write_text(f, "state.db", "");
	assert_int_equal(instance_remove(f->dir, &e), 0);
	assert_false(file_exists(f->dir));
	assert_int_equal(file_mkdirs(logs, 0700, &e), 0);
	assert_int_equal(instance_remove(f->dir, &e), 0);
	assert_false(file_exists(f->dir));
	assert_int_equal(file_mkdirs(f->dir, 0700, &e), 0);
}

/* ---- the release store ---- */
static ino_t inode(const struct fixture *f, const char *name)
{
	CLEANUP(mem_freep) char *path = str_printf("%s/releases/v1/bin/%s", f->dir, name);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void a_release_is_copied_when_it_differs(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = { "a", "b", "c", NULL };
	CLEANUP(strv_done) struct strv missing = { 0 };
	struct err e = { 0 };
	ino_t a, b;

	write_text(f, "a", "one");
	write_text(f, "b", "two");
	assert_int_equal(release_store(f->dir, "v1", f->dir, names, &missing, &e), 0);
	assert_int_equal(missing.len, 1);
	assert_string_equal(missing.items[0], "c");
	a = inode(f, "a");
	b = inode(f, "b");
	write_text(f, "b", "changed");
	assert_int_equal(release_store(f->dir, "v1", f->dir, names, NULL, &e), 0);
	assert_int_equal(inode(f, "a"), a);
	assert_int_not_equal(inode(f, "b"), b); /* replaced, not written into: somebody may run it */
}

static void a_program_that_was_stored_once_is_not_missing(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = { "a", NULL };
	CLEANUP(strv_done) struct strv missing = { 0 };
	CLEANUP(mem_freep) char *path = in_dir(f, "a");

	write_text(f, "a", "one");
	assert_int_equal(release_store(f->dir, "v1", f->dir, names, &missing, NULL), 0);
	unlink(path);
	assert_int_equal(release_store(f->dir, "v1", f->dir, names, &missing, NULL), 0);
	assert_int_equal(missing.len, 0);
}

/* ---- what is installed ---- */
static void on_installed(void *arg, size_t n, const struct err *e)
{
	struct fixture *f = arg;

	f->written = n;
	err_clear(&f->err);
	if (e)
		err_copy(&f->err, e);
	f->done = true;
}

static void need_server(struct fixture *f)
{
	struct apiserver_spec spec = { .data_dir = f->dir, .bare = true };
	struct kube_transport t;
	struct err e = { 0 };

	if (f->server)
		return;
	f->loop = loop_new();
	f->store = spec.store = store_mem_new(f->loop);
	f->server = apiserver_new(f->loop, &spec, &e);
	assert_non_null(f->server);
	t = apiserver_transport(f->server, "admin", NULL);
	f->client = kube_client_new_transport(f->loop, &t);
}

/* As `PROGRAM --print-manifest` and `--print-cr`: the texts come from two files. */
static void put_in(struct fixture *f, const char *manifest, const char *once)
{
	CLEANUP(mem_freep) char *a = in_dir(f, "manifest.yaml");
	CLEANUP(mem_freep) char *b = in_dir(f, "once.yaml");
	CLEANUP(mem_freep) char *mark = in_dir(f, "installed");
	struct install_source sources[] = { { .argv = (char *const[]){ "cat", a, NULL } },
		{ .argv = (char *const[]){ "cat", b, NULL }, .make_only = true } };

	need_server(f);
	write_text(f, "manifest.yaml", manifest);
	write_text(f, "once.yaml", once);
	f->done = false;
	install_start(f->client, &(struct install_spec){ sources, 2, mark }, on_installed, f);
	while (!f->done)
		loop_step(f->loop, -1);
}

/* want NULL: there is no such object */
static bool value_is(struct fixture *f, const char *name, const char *want)
{
	CLEANUP(obj_unrefp) struct obj *o = NULL;

	if (kube_get_wait(f->client, &pk_configmap, "default", name, &o, NULL) < 0)
		return !want;
	return str_eq(json_at_str(obj_json(o), "/data/v"), want);
}

#define MAP(name, v)                                                                                     \
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " name ", namespace: default}\ndata: {v: '" v \
	"'}\n"

static void manifests_are_put_in_once_per_version(void **state)
{
	struct fixture *f = *state;

	put_in(f, MAP("m", "1"), MAP("cr", "1"));
	assert_int_equal(f->err.code, ERR_NONE);
	assert_int_equal(f->written, 2);
	assert_true(value_is(f, "m", "1"));
	put_in(f, MAP("m", "1"), MAP("cr", "1"));
	assert_int_equal(f->written, 0);
	put_in(f, MAP("m", "2"), MAP("cr", "2"));
	assert_int_equal(f->written, 1);
	assert_true(value_is(f, "m", "2"));
	assert_true(value_is(f, "cr", "1")); /* the user's by now */
}

static void what_the_user_deleted_is_not_made_again(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	put_in(f, MAP("m", "1"), MAP("cr", "1"));
	assert_int_equal(kube_delete_wait(f->client, &pk_configmap, "default", "cr", NULL, &e), 0);
	put_in(f, MAP("m", "2"), MAP("cr", "1"));
	assert_true(value_is(f, "cr", NULL));
}

static void what_was_there_before_is_left_alone(void **state)
{
	struct fixture *f = *state;

	put_in(f, MAP("m", "1"), MAP("m", "other"));
	assert_int_equal(f->err.code, ERR_NONE);
	assert_true(value_is(f, "m", "1"));
}

static void a_kind_that_the_manifest_brings_is_waited_for(void **state)
{
	struct fixture *f = *state;

	put_in(f,
		"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: "
		"boats.example.org}\n"
		"spec:\n  group: example.org\n  scope: Namespaced\n  names: {plural: boats, singular: boat, "
		"kind: Boat, listKind: BoatList}\n"
		"  versions:\n  - name: v1\n    served: true\n    storage: true\n"
		"    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}\n",
		"apiVersion: example.org/v1\nkind: Boat\nmetadata: {name: coracle, namespace: default}\n");
	assert_int_equal(f->err.code, ERR_NONE);
	assert_int_equal(f->written, 2);
}

static void a_broken_manifest_is_told_and_tried_again(void **state)
{
	struct fixture *f = *state;

	put_in(f, MAP("m", "1") "---\nkind: ConfigMap\n", MAP("cr", "1"));
	assert_int_equal(f->err.code, ERR_INVALID);
	put_in(f, "a: [", MAP("cr", "1"));
	assert_int_equal(f->err.code, ERR_BAD_REQUEST);
	put_in(f, "", MAP("cr", "1"));
	assert_int_equal(f->err.code, ERR_INTERNAL);
	put_in(f, MAP("m", "1"), MAP("cr", "1"));
	assert_int_equal(f->err.code, ERR_NONE);
	assert_true(value_is(f, "cr", "1"));
}

static void a_program_that_fails_is_quoted(void **state)
{
	struct fixture *f = *state;
	struct install_source s = { .argv = (char *const[]){
					    "sh", "-c", "echo no such thing >&2; exit 3", NULL } };
	CLEANUP(mem_freep) char *mark = in_dir(f, "installed");

	need_server(f);
	install_start(f->client, &(struct install_spec){ &s, 1, mark }, on_installed, f);
	while (!f->done)
		loop_step(f->loop, -1);
	assert_non_null(strstr(f->err.msg, "no such thing"));
	assert_false(file_exists(mark));
}

/* ---- down ---- */
static const struct obj *pod_of(const char *text)
{
	return obj_from_doc(json_lit(text));
}

#define OWNER \
	"'ownerReferences':[{'apiVersion':'x/v1','kind':'Owner','name':'o','uid':'u','controller':true}]"
#define OWN "{'name':'c','image':'coracle.dev/virt-api:v1'}"
#define OTHER "{'name':'d','image':'nginx'}"
#define POD(policy, owner, node, containers)                                             \
	"{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','namespace':'n'" owner   \
	"},'spec':{'restartPolicy':'" policy "','terminationGracePeriodSeconds':20" node \
	",'containers':[" containers "]}}"
#define BOUND ",'nodeName':'a'"

static void it_is_known_what_stops_with_the_control_plane(void **state)
{
	static const struct {
		const char *pod;
		bool ours, deleted;
	} cases[] = {
		{ POD("Always", "", BOUND, OWN), true, false },           /* virt-api and so on */
		{ POD("Always", "," OWNER, BOUND, OWN), true, false },    /* they have owners, too */
		{ POD("Always", "," OWNER, BOUND, OTHER), false, false }, /* a user's Deployment */
		{ POD("Always", "", BOUND, OWN "," OTHER), false, false },
		{ POD("Never", "," OWNER, BOUND, OWN), false, true }, /* a launcher */
		{ POD("OnFailure", "," OWNER, BOUND, OTHER), false, true },
		{ POD("Never", "", BOUND, OTHER), false, false },   /* nobody would make it again */
		{ POD("Never", "," OWNER, "", OWN), false, false }, /* waits for a node */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(obj_unrefp) struct obj *o = (struct obj *)pod_of(cases[i].pod);

		assert_int_equal(drain_is_ours(o), cases[i].ours);
		assert_int_equal(drain_deletes(o), cases[i].deleted);
	}
}

struct drained {
	struct fake_api *api;
	struct loop_timer *end;
	int lines;
};

static void count_line(void *arg, const char *line)
{
	struct drained *d = arg;

	d->lines++;
	if (d->end && !loop_timer_armed(d->end))
		loop_timer_set(d->end, 3000);
}

static void pod_ends(void *arg)
{
	struct drained *d = arg;

	fake_api_remove(d->api, &pk_pod, "n/p");
}

static int drain_once(struct fixture *f, struct drained *d, bool ends, struct err *e)
{
	struct kube_transport t;

	f->loop = loop_new_sim(1000000);
	d->api = fake_api_new(f->loop);
	fake_api_add_kind(d->api, &pk_pod);
	fake_api_add_kind(d->api, &pk_node);
	fake_api_put(d->api, &pk_node,
		json_lit("{'apiVersion':'v1','kind':'Node','metadata':{'name':'a'},'spec':{}}"));
	fake_api_put(d->api, &pk_pod, json_lit(POD("Never", "," OWNER, BOUND, OWN)));
	t = fake_api_transport(d->api, "down");
	f->client = kube_client_new_transport(f->loop, &t);
	if (ends)
		d->end = loop_timer_new(f->loop, pod_ends, d);
	return drain_wait(f->client, count_line, d, e);
}

static void drained_done(struct fixture *f, struct drained *d)
{
	loop_timer_free(d->end);
	kube_client_free(TAKE(f->client));
	fake_api_free(d->api);
}

static void down_closes_the_node_and_waits_for_the_pods(void **state)
{
	struct fixture *f = *state;
	struct drained d = { 0 };
	struct err e = { 0 };
	const struct obj *node;

	assert_int_equal(drain_once(f, &d, true, &e), 0);
	assert_int_equal(d.lines, 1);
	node = fake_api_get(d.api, &pk_node, "a");
	assert_true(drain_marked(node));
	assert_true(json_bool(json_at(obj_json(node), "/spec/unschedulable")));
	assert_true(loop_wall_ms(f->loop) >= 1003000);
	drained_done(f, &d);
}

static void down_gives_up_on_a_pod_that_does_not_end(void **state)
{
	struct fixture *f = *state;
	struct drained d = { 0 };
	struct err e = { 0 };

	assert_int_equal(drain_once(f, &d, false, &e), -1);
	assert_int_equal(e.code, ERR_TIMEOUT);
	/* not before its own grace is over */
	assert_true(loop_wall_ms(f->loop) >= 1000000 + 20000 + DRAIN_EXTRA_MS);
	assert_true(obj_deleting(fake_api_get(d.api, &pk_pod, "n/p")));
	drained_done(f, &d);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_path_is_made_absolute_and_plain),
		T(one_directory_has_one_owner),
		T(a_pid_that_is_another_process_by_now_is_not_signalled),
		T(foreign_directories_are_not_ours),
		T(what_is_not_ours_is_not_removed_with_what_is),
		T(a_release_is_copied_when_it_differs),
		T(a_program_that_was_stored_once_is_not_missing),
		T(manifests_are_put_in_once_per_version),
		T(what_the_user_deleted_is_not_made_again),
		T(what_was_there_before_is_left_alone),
		T(a_kind_that_the_manifest_brings_is_waited_for),
		T(a_broken_manifest_is_told_and_tried_again),
		T(a_program_that_fails_is_quoted),
		T(it_is_known_what_stops_with_the_control_plane),
		T(down_closes_the_node_and_waits_for_the_pods),
		T(down_gives_up_on_a_pod_that_does_not_end),
	};

	log_init("up_test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

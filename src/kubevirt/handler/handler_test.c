/* SPDX-License-Identifier: Apache-2.0 */
/* virt-handler as a whole: the fake API server on one side, a launcher that speaks the true wire on the
 * other, true TLS for virt-api's requests. */
#include "kubevirt/handler/handler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/http.h"
#include "base/mem.h"
#include "kube/fake_api.h"
#include "kubevirt/api/handler_api.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/wire/server.h"

#define PATIENCE_MS 20000
#define FIRST_UID "6f1d7c1e-0000-4000-8000-000000000001"
#define GI (1LL << 30)

/* ---- the world ---- */
struct launcher {
	struct world *w;
	struct wire_server *server;
	enum wire_phase phase;
	int64_t current, requested;
	int starts, shutdowns, kills, releases, resets, memory_calls;
	int64_t grace, asked;
	int64_t sockets, sockets_asked;
	int cpu_calls, fail_cpus; /* so many times, before it does what it is told */
	bool refuse_start, hold_memory, hold_stats;
	struct wire_call *held, *held_stats;
	char *user_data, *accelerator;
	int console_fd;
};
struct world {
	struct loop *loop;
	char dir[64];
	const char *uid;       /* of the VMI */
	const char *elsewhere; /* the launcher listens there; NULL: where it should */
	struct fake_api *api;
	struct kube_client *client;
	struct handler *handler;
	struct launcher launcher;
	struct key_pair ca, server, api_cert, other_cert;
	int port, health_port;
	/* last answer */
	bool done;
	int status;
	struct str body;
	struct http_stream *stream;
	bool stream_closed;
};

static void run_until(struct world *w, bool (*fn)(struct world *w))
{
	int64_t end = loop_mono_ms(w->loop) + PATIENCE_MS;

	while (!fn(w) && loop_mono_ms(w->loop) < end)
		loop_step(w->loop, 50);
	assert_true(fn(w));
}

/* Long enough for whatever is under way. */
static void run_for(struct world *w, int ms)
{
	int64_t end = loop_mono_ms(w->loop) + ms;

	while (loop_mono_ms(w->loop) < end)
		loop_step(w->loop, 10);
}

/* ---- the launcher ---- */
static struct json_doc *launcher_state(const struct launcher *l)
{
	struct json_doc *d = json_lit(
		"{'protocol':1,'machine':'pc-q35-7.2','memory':{'guestAtBoot':1073741824,'max':4294967296,"
		"'resizing':false},'cpus':{'sockets':1,'cores':1,'threads':1},'guest':{'agent':false},"
		"'interfaces':[{'name':'default','mac':'02:00:00:00:00:01'}],'disks':[]}");

	json_set_str(d, json_root(d), "phase", wire_phase_name(l->phase));
	json_put(d, json_root(d), "/cpus/sockets", json_new_i64(d, l->sockets));
	json_put(d, json_root(d), "/memory/current", json_new_i64(d, l->current));
	json_put(d, json_root(d), "/memory/requested", json_new_i64(d, l->requested));
	if (l->phase == WIRE_PHASE_FAILED)
		json_set_str(d, json_root(d), "reason", "GuestPanicked");
	return d;
}

static void launcher_says(struct launcher *l, enum wire_phase p)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	l->phase = p;
	d = launcher_state(l);
	wire_server_event(l->server, "state", json_root(d));
}

static enum wire_phase launcher_phase(void *arg)
{
	return ((struct launcher *)arg)->phase;
}

static void launcher_stats(struct wire_call *call)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d =
		json_lit("{'vcpus':[{'id':0,'ms':1230},{'id':1,'ms':7}],'userMs':1500,'systemMs':250,"
			 "'resident':4096,'balloon':1073741824,'guestTotal':5,'guestAvailable':4}");

	wire_call_ok(call, json_root(d));
}

static void launcher_hello(struct launcher *l, struct wire_call *call)
{
	CLEANUP(json_doc_freep) struct json_doc *d = launcher_state(l);

	wire_call_subscribe(call);
	wire_call_ok(call, json_root(d));
}

static void launcher_start(struct launcher *l, const struct json *args, struct wire_call *call)
{
	struct err e;

	l->starts++;
	free(l->user_data);
	free(l->accelerator);
	l->user_data = mem_strdup(json_str_or(json_at(args, "/host/files/ci/userdata"), ""));
	l->accelerator = mem_strdup(json_str_or(json_at(args, "/host/accelerator"), ""));
	if (l->refuse_start) {
		err_set(&e, ERR_INVALID, "volumes of type sysprep are not supported");
		wire_call_fail(call, &e);
		return;
	}
	wire_call_ok(call, NULL);
	launcher_says(l, WIRE_PHASE_RUNNING);
}

static void launcher_memory_answer(struct launcher *l)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	l->current = l->requested = l->asked;
	json_set_i64(d, o, "requested", l->requested);
	json_set_i64(d, o, "current", l->current);
	json_set_bool(d, o, "complete", true);
	wire_call_ok(TAKE(l->held), o);
}

static void launcher_cpus(struct launcher *l, const struct json *args, struct wire_call *call)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct err e;

	l->cpu_calls++;
	l->sockets_asked = json_i64(json_get(args, "sockets"));
	if (l->fail_cpus-- > 0) {
		err_set(&e, ERR_UNAVAILABLE, "QEMU does not answer");
		wire_call_fail(call, &e);
		return;
	}
	l->sockets = l->sockets_asked;
	json_set_root(d, json_new_obj(d));
	json_set_i64(d, json_root(d), "sockets", l->sockets);
	wire_call_ok(call, json_root(d));
}

static void launcher_verb(void *arg, enum wire_verb v, const struct json *args, struct wire_call *call)
{
	struct launcher *l = arg;
	struct str rest = { 0 };

	switch (v) {
	case WIRE_hello:
		launcher_hello(l, call);
		return;
	case WIRE_start:
		launcher_start(l, args, call);
		return;
	case WIRE_set_memory:
		l->memory_calls++;
		l->asked = json_i64(json_get(args, "bytes"));
		l->held = call;
		if (!l->hold_memory)
			launcher_memory_answer(l);
		return;
	case WIRE_set_cpus:
		launcher_cpus(l, args, call);
		return;
	case WIRE_stats:
		if (l->hold_stats)
			l->held_stats = call;
		else
			launcher_stats(call);
		return;
	case WIRE_pause:
		launcher_says(l, WIRE_PHASE_PAUSED);
		break;
	case WIRE_unpause:
		launcher_says(l, WIRE_PHASE_RUNNING);
		break;
	case WIRE_console:
		l->console_fd = wire_call_take_fd(call, &rest);
		str_done(&rest);
		assert_true(send(l->console_fd, "login: ", 7, 0) == 7);
		return;
	case WIRE_shutdown:
		l->shutdowns++;
		l->grace = json_i64(json_get(args, "graceSeconds"));
		break;
	case WIRE_kill:
		l->kills++;
		break;
	case WIRE_release:
		l->releases++;
		break;
	default:
		l->resets++;
	}
	wire_call_ok(call, NULL);
}

static void launcher_open(struct world *w)
{
	static const struct wire_server_ops ops = { launcher_phase, launcher_verb };
	CLEANUP(mem_freep) char *path = str_printf("%s/vms/%s/" WIRE_SOCKET, w->dir, w->uid);
	struct err e;

	if (wire_server_new(w->loop, w->elsewhere ? w->elsewhere : path, &ops, &w->launcher,
		    &w->launcher.server, &e) < 0)
		fail_msg("%s", e.msg);
}

static void launcher_close(struct world *w)
{
	wire_server_free(TAKE(w->launcher.server));
	if (w->launcher.held)
		wire_call_ok(TAKE(w->launcher.held), NULL);
}

/* ---- objects ---- */
#define POD "default/virt-launcher-vm-x"
#define VMI "default/vm"

static void put_pod(struct world *w, const char *spec, const char *status)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'apiVersion':'v1','kind':'Pod','metadata':{'name':'virt-launcher-vm-x','namespace':'"
		"default','labels':{'kubevirt.io':"
		"'virt-launcher','kubevirt.io/"
		"created-by':'%s'},'ownerReferences':[{'apiVersion':'kubevirt.io/v1','kind':"
		"'VirtualMachineInstance','name':'vm','uid':'%s','controller':true}],'annotations':"
		"{'kubevirt.io/"
		"memory-overhead-bytes':'268435456'}},'spec':{'nodeName':'n1','containers':[{'name':'compute'"
		",'image':'i',"
		"'resources':{'requests':{'memory':'%s'}}}]},'status':{'phase':'Running','podIP':'10.44.0.9',"
		"'containerStatuses':"
		"[{'name':'compute','state':{'running':{}},'resources':{'requests':{'memory':'%s'}}}]}}",
		w->uid, w->uid, spec, status);

	fake_api_put(w->api, &kind_pod, json_lit(text));
}

static struct json_doc *vmi_doc(struct world *w, const char *volumes)
{
	CLEANUP(mem_freep)
	char *text = str_printf("{'apiVersion':'kubevirt.io/"
				"v1','kind':'VirtualMachineInstance','metadata':{'name':'vm','namespace':'"
				"default','uid':'%s',"
				"'finalizers':['" FINALIZER_VMI
				"'],'labels':{'kubevirt.io/nodeName':'n1'}},'spec':{'domain':{'devices':{},"
				"'memory':{'guest':'1Gi','maxGuest':'4Gi'}},'volumes':%s},'status':{'phase':'"
				"Scheduled','nodeName':'n1'}}",
		w->uid, volumes);

	return json_lit(text);
}

static const char *vmi_at(struct world *w, const char *pointer)
{
	const struct obj *o = fake_api_get(w->api, &kind_vmi, VMI);

	return json_str_or(json_at(o ? obj_json(o) : NULL, pointer), "");
}

/* As another program would: on top of what is there. */
static struct json_doc *vmi_draft(struct world *w)
{
	return obj_draft(fake_api_get(w->api, &kind_vmi, VMI));
}

static bool is_running(struct world *w)
{
	return str_eq(vmi_at(w, "/status/phase"), "Running");
}

static bool is_failed(struct world *w)
{
	return str_eq(vmi_at(w, "/status/phase"), "Failed");
}

/* ---- the beginning and the end ---- */
static void make_cert(const struct key_pair *ca, const char *cn, const char *dns, struct key_pair *ret)
{
	const char *names[] = { dns, NULL };
	const struct cert_spec spec = { .common_name = cn,
		.dns_names = dns ? names : NULL,
		.is_ca = !ca,
		.server = dns,
		.client = ca && !dns,
		.not_before_ms = 1600000000000,
		.not_after_ms = 4000000000000 };
	struct err e;

	if (cert_make(&spec, ca, ret, &e) < 0)
		fail_msg("%s", e.msg);
}

static void put_certs(struct world *w)
{
	CLEANUP(str_done) struct str cert = { 0 }, key = { 0 };
	struct json_doc *d = json_lit("{'apiVersion':'v1','kind':'Secret','metadata':{'namespace':'kubevirt',"
				      "'name':'" KV_SECRET_HANDLER_SERVER "'},'data':{}}");

	make_cert(NULL, "ca", NULL, &w->ca);
	make_cert(&w->ca, KV_CN_HANDLER_SERVER, KV_CN_HANDLER_SERVER, &w->server);
	make_cert(&w->ca, KV_CN_HANDLER_CLIENT, NULL, &w->api_cert);
	make_cert(&w->ca, "somebody", NULL, &w->other_cert);
	b64_encode(w->server.cert_pem, strlen(w->server.cert_pem), false, &cert);
	b64_encode(w->server.key_pem, strlen(w->server.key_pem), false, &key);
	json_put_str(d, json_root(d), "/data/tls.crt", cert.data);
	json_put_str(d, json_root(d), "/data/tls.key", key.data);
	fake_api_put(w->api, &kind_secret, d);
	d = json_lit("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'namespace':'kubevirt','name':"
		     "'" KV_CONFIGMAP_CA "'},'data':{}}");
	json_put_str(d, json_root(d), "/data/" KV_CA_BUNDLE_KEY, w->ca.cert_pem);
	fake_api_put(w->api, &kind_configmap, d);
}

static void measure_slow(const char *path, struct accel_sample *ret)
{
	*ret = (struct accel_sample){ .exit_reason = -1, .done = 27000, .ns = 30000000 };
}

static void on_listening(void *arg, const char *which, int port, const struct err *e)
{
	struct world *w = arg;

	if (e)
		fail_msg("%s", e->msg);
	if (str_eq(which, "console"))
		w->port = port;
	else
		w->health_port = port;
}

static bool listens(struct world *w)
{
	return w->port && w->health_port;
}

static void handler_open(struct world *w)
{
	const struct handler_spec spec = { .loop = w->loop,
		.client = w->client,
		.node = "n1",
		.ns = "kubevirt",
		.host_dir = w->dir,
		.launcher_uid = -1,
		.host = "127.0.0.1",
		.kvm = "/dev/null",
		.qemu = "/bin/true",
		.measure = measure_slow,
		.listening = on_listening,
		.arg = w };
	struct err e;

	w->port = w->health_port = 0;
	if (handler_new(&spec, &w->handler, &e) < 0)
		fail_msg("%s", e.msg);
	run_until(w, listens);
}

static int open_world(void **state)
{
	static const struct kind *const kinds[] = { &kind_vmi, &kind_pod, &kind_node, &kind_kubevirt,
		&kind_secret, &kind_configmap, &kind_event };
	struct world *w = MEM_NEW(struct world);
	struct kube_transport t;

	w->loop = loop_new();
	w->uid = FIRST_UID;
	snprintf(w->dir, sizeof(w->dir), "/tmp/handler-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->launcher =
		(struct launcher){ .w = w, .current = GI, .requested = GI, .sockets = 1, .console_fd = -1 };
	w->api = fake_api_new(w->loop);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		fake_api_add_kind(w->api, kinds[i]);
	t = fake_api_transport(w->api, "handler");
	w->client = kube_client_new_transport(w->loop, &t);
	fake_api_put(w->api, &kind_node,
		json_lit("{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1'},'status':{}}"));
	fake_api_put(w->api, &kind_kubevirt,
		json_lit("{'apiVersion':'kubevirt.io/v1','kind':'KubeVirt','metadata':{'name':'kubevirt',"
			 "'namespace':'kubevirt'},'spec':{}}"));
	put_certs(w);
	handler_open(w);
	*state = w;
	return 0;
}

static int close_world(void **state)
{
	struct world *w = *state;
	struct err e;

	if (w->stream && !w->stream_closed)
		http_stream_close(w->stream);
	if (w->launcher.console_fd >= 0)
		close(w->launcher.console_fd);
	run_for(w, 50); /* the other ends notice */
	handler_free(w->handler);
	launcher_close(w);
	run_for(w, 20);
	kube_client_free(w->client);
	fake_api_free(w->api);
	key_pair_done(&w->ca);
	key_pair_done(&w->server);
	key_pair_done(&w->api_cert);
	key_pair_done(&w->other_cert);
	free(w->launcher.user_data);
	free(w->launcher.accelerator);
	str_done(&w->body);
	loop_free(w->loop);
	assert_int_equal(file_remove_tree(w->dir, &e), 0);
	free(w);
	return 0;
}

static bool dir_made(struct world *w)
{
	CLEANUP(mem_freep) char *path = str_printf("%s/vms/%s", w->dir, w->uid);

	return file_exists(path);
}

static bool dir_gone(struct world *w)
{
	return !dir_made(w);
}

/* Pod, launcher, VMI: until it runs. */
static void bring_up(struct world *w)
{
	put_pod(w, "1280Mi", "1280Mi");
	run_until(w, dir_made);
	launcher_open(w);
	fake_api_put(w->api, &kind_vmi, vmi_doc(w, "[]"));
	run_until(w, is_running);
}

/* ---- tests ---- */
static void a_guest_is_started_and_reported(void **state)
{
	struct world *w = *state;
	struct stat st;
	CLEANUP(mem_freep) char *path = str_printf("%s/vms/%s", w->dir, w->uid);

	bring_up(w);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(w->launcher.starts, 1);
	assert_string_equal(w->launcher.accelerator, "tcg");
	assert_string_equal(vmi_at(w, "/status/memory/guestCurrent"), "1Gi");
	assert_string_equal(vmi_at(w, "/status/interfaces/0/ipAddress"), "10.44.0.9");
	/* quiet from now on */
	run_for(w, 200);
	uint64_t writes = fake_api_writes(w->api);
	run_for(w, 200);
	assert_int_equal(fake_api_writes(w->api), writes);
}

static bool memory_asked(struct world *w)
{
	return w->launcher.memory_calls > 0;
}

static bool memory_changed(struct world *w)
{
	return str_eq(vmi_at(w, "/status/memory/guestCurrent"), "2Gi");
}

static void want_memory(struct world *w, const char *guest)
{
	struct json_doc *d = vmi_draft(w);

	json_put_str(d, json_root(d), "/spec/domain/memory/guest", guest);
	cond_set(d, json_get(json_root(d), "status"), COND_HOT_MEMORY, "True", HOT_MEMORY_IN_PLACE, NULL,
		loop_wall_ms(w->loop));
	fake_api_put(w->api, &kind_vmi, d);
}

/* rollout.md 3.3 by handoff.h: the pod's room first, then the guest, then the status. */
static void memory_grows_in_place(void **state)
{
	struct world *w = *state;
	const struct obj *o;

	bring_up(w);
	want_memory(w, "2Gi");
	run_for(w, 100);
	assert_int_equal(w->launcher.memory_calls, 0);
	put_pod(w, "2304Mi", "1280Mi");
	run_for(w, 100);
	assert_int_equal(w->launcher.memory_calls, 0);
	put_pod(w, "2304Mi", "2304Mi");
	run_until(w, memory_changed);
	assert_int_equal(w->launcher.memory_calls, 1);
	assert_int_equal(w->launcher.asked, 2 * GI);
	assert_string_equal(vmi_at(w, "/status/memory/guestRequested"), "2Gi");
	assert_string_equal(vmi_at(w, "/status/memory/guestAtBoot"), "1Gi");
	o = fake_api_get(w->api, &kind_vmi, VMI);
	assert_null(cond_find(json_at(obj_json(o), "/status/conditions"), COND_HOT_MEMORY));
	run_for(w, 200);
	assert_true(memory_changed(w)); /* no way back by a state that came late */
	assert_int_equal(w->launcher.memory_calls, 1);
}

static bool sockets_changed(struct world *w)
{
	const struct obj *o = fake_api_get(w->api, &kind_vmi, VMI);

	return json_i64(json_at(obj_json(o), "/status/currentCPUTopology/sockets")) == 3 &&
	       !cond_find(json_at(obj_json(o), "/status/conditions"), COND_HOT_CPU);
}

static bool sockets_asked(struct world *w)
{
	return w->launcher.cpu_calls > 0;
}

/* rollout.md 3.2 and 7.12 by handoff.h: the pod first; tried again when it was in vain */
static void sockets_are_added_in_place(void **state)
{
	struct world *w = *state;
	struct json_doc *d;

	bring_up(w);
	w->launcher.fail_cpus = 1;
	d = vmi_draft(w);
	json_put(d, json_root(d), "/spec/domain/cpu/sockets", json_new_i64(d, 3));
	cond_set(d, json_get(json_root(d), "status"), COND_HOT_CPU, "True", HOT_CPU_IN_PLACE, NULL,
		loop_wall_ms(w->loop));
	fake_api_put(w->api, &kind_vmi, d);
	run_for(w, 100);
	assert_int_equal(w->launcher.cpu_calls, 0); /* its pod has no room for them */
	d = obj_draft(fake_api_get(w->api, &kind_pod, POD));
	json_put_str(d, json_item(json_at(json_root(d), "/spec/containers"), 0), "/resources/requests/cpu",
		"300m");
	json_put_str(d, json_item(json_at(json_root(d), "/status/containerStatuses"), 0),
		"/resources/requests/cpu", "300m");
	fake_api_put(w->api, &kind_pod, d);
	run_until(w, sockets_asked);
	run_for(w, 200);
	assert_int_equal(w->launcher.cpu_calls, 1); /* not at once again */
	run_until(w, sockets_changed);
	assert_int_equal(w->launcher.cpu_calls, 2);
	assert_int_equal(w->launcher.sockets_asked, 3);
	run_for(w, 200);
	assert_true(sockets_changed(w)); /* no way back by a state that came late */
}

/* kill -9 of virt-handler: nothing of it is left but the world. */
static void another_handler_takes_over_in_the_middle(void **state)
{
	struct world *w = *state;

	bring_up(w);
	w->launcher.hold_memory = true;
	want_memory(w, "2Gi");
	put_pod(w, "2304Mi", "2304Mi");
	run_until(w, memory_asked);
	handler_free(TAKE(w->handler));
	run_for(w, 50);
	assert_true(is_running(w));
	assert_non_null(w->launcher.held);
	launcher_memory_answer(&w->launcher); /* to nobody */
	handler_open(w);
	run_until(w, memory_changed);
	assert_int_equal(w->launcher.starts, 1);
	assert_int_equal(w->launcher.memory_calls, 1);
	assert_int_equal(w->launcher.shutdowns + w->launcher.kills, 0);
}

static bool memory_settled(struct world *w)
{
	const struct obj *o = fake_api_get(w->api, &kind_vmi, VMI);
	const struct json *vmi = obj_json(o);

	return !cond_find(json_at(vmi, "/status/conditions"), COND_HOT_MEMORY) &&
	       quantity_bytes(json_at(vmi, "/status/memory/guestCurrent")) == w->launcher.current &&
	       quantity_bytes(json_at(vmi, "/spec/domain/memory/guest")) == w->launcher.current;
}

/* At the handler's next write of the VMI the launcher gives up what it is at. */
static int fail_meanwhile(void *arg, const struct kind *k, const char *sub, struct json_doc *d,
	struct json *o, const struct json *old, struct causes *c, struct err *ret)
{
	struct world *w = arg;
	struct err e;

	if (!kind_is(k, &kind_vmi) || !w->launcher.held)
		return 0;
	err_set(&e, ERR_INVALID, "QEMU refused");
	wire_call_fail(TAKE(w->launcher.held), &e);
	return 0;
}

/* Between the decision to take a change back and saying so lies a write, and the change may fail meanwhile: then the guest has
 * what is wanted, and is not told so. */
static void what_failed_meanwhile_is_not_taken_back(void **state)
{
	struct world *w = *state;
	struct json_doc *d;

	bring_up(w);
	w->launcher.hold_memory = true;
	want_memory(w, "2Gi");
	put_pod(w, "2304Mi", "2304Mi");
	run_until(w, memory_asked);
	fake_api_admit(w->api, fail_meanwhile, w);
	fake_api_faults(w->api, &(struct fake_faults){ .seed = 7, .latency_max_ms = 200 });
	d = vmi_draft(w);
	json_put_str(d, json_root(d), "/spec/domain/memory/guest", "1Gi");
	json_remove(json_get(json_root(d), "status"), "machine"); /* which is written again */
	fake_api_put(w->api, &kind_vmi, d);
	run_until(w, memory_settled);
	assert_null(w->launcher.held);
	assert_int_equal(w->launcher.memory_calls, 1);
}

static void a_launcher_that_hung_up_is_dialled_again(void **state)
{
	struct world *w = *state;

	bring_up(w);
	launcher_close(w);
	run_for(w, 100);
	assert_true(is_running(w)); /* not a word about the guest */
	launcher_open(w);
	want_memory(w, "2Gi");
	put_pod(w, "2304Mi", "2304Mi");
	run_until(w, memory_changed);
	assert_int_equal(w->launcher.starts, 1);
}

static bool second_runs(struct world *w)
{
	return is_running(w) && w->launcher.starts == 2;
}

/* A crashed VM is started again under its old name; nothing of the first one stays. */
static void an_instance_is_replaced_by_another_of_its_name(void **state)
{
	static const char second[] = "6f1d7c1e-0000-4000-8000-000000000002";
	struct world *w = *state;
	struct json_doc *d;

	bring_up(w);
	launcher_close(w);
	d = vmi_draft(w);
	json_put_str(d, json_root(d), "/status/phase", "Failed"); /* by virt-controller */
	fake_api_put(w->api, &kind_vmi, d);
	d = obj_draft(fake_api_get(w->api, &kind_pod, POD));
	json_put_str(d, json_root(d), "/status/phase", "Failed");
	fake_api_put(w->api, &kind_pod, d);
	run_for(w, 100);
	assert_true(dir_made(w)); /* with console.log, as long as there is the instance */
	fake_api_remove(w->api, &kind_vmi, VMI);
	fake_api_remove(w->api, &kind_pod, POD);
	run_until(w, dir_gone);
	w->launcher.phase = WIRE_PHASE_IDLE;
	w->uid = second;
	bring_up(w);
	assert_true(second_runs(w));
}

/* The launcher ended before anybody had listened; its last state is on disk. */
static void last_words_count(void **state)
{
	struct world *w = *state;
	CLEANUP(mem_freep)
	char *path = str_printf("%s/vms/%s/" WIRE_STATE_FILE, w->dir, w->uid), *text = NULL;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	size_t len;
	struct err e;

	bring_up(w);
	w->launcher.phase = WIRE_PHASE_FAILED;
	d = launcher_state(&w->launcher);
	text = json_write(json_root(d), &len);
	assert_int_equal(file_write(path, text, len, 0600, &e), 0);
	launcher_close(w);
	run_until(w, is_failed);
	assert_string_equal(vmi_at(w, "/status/reason"), "GuestPanicked");
}

/* The directory belongs to the launcher's user: what is in there may be anything. */
static void links_and_pipes_in_the_directory_are_not_opened(void **state)
{
	struct world *w = *state;
	CLEANUP(mem_freep) char *file = str_printf("%s/vms/%s/" WIRE_STATE_FILE, w->dir, w->uid);
	CLEANUP(mem_freep) char *socket = str_printf("%s/vms/%s/" WIRE_SOCKET, w->dir, w->uid);
	CLEANUP(mem_freep) char *elsewhere = str_printf("%s/elsewhere", w->dir);

	put_pod(w, "1280Mi", "1280Mi");
	fake_api_put(w->api, &kind_vmi, vmi_doc(w, "[]"));
	run_until(w, dir_made);
	w->elsewhere = elsewhere;
	launcher_open(w);
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_int_equal(symlink(elsewhere, socket), 0);
	run_for(w, 200);
	assert_int_equal(w->launcher.starts, 0);
	launcher_close(w);
	w->elsewhere = NULL;
	assert_int_equal(unlink(socket) | unlink(file), 0);
	launcher_open(w); /* the true one */
	run_until(w, is_running);
}

static void a_refused_start_fails_the_instance(void **state)
{
	struct world *w = *state;
	const struct json *c;

	w->launcher.refuse_start = true;
	put_pod(w, "1280Mi", "1280Mi");
	run_until(w, dir_made);
	launcher_open(w);
	fake_api_put(w->api, &kind_vmi, vmi_doc(w, "[]"));
	run_until(w, is_failed);
	c = cond_find(json_at(obj_json(fake_api_get(w->api, &kind_vmi, VMI)), "/status/conditions"),
		COND_SYNCHRONIZED);
	assert_string_equal(json_get_str(c, "message"), "volumes of type sysprep are not supported");
	assert_int_equal(w->launcher.starts, 1);
}

static bool started(struct world *w)
{
	return w->launcher.starts > 0;
}

static void texts_of_secrets_go_along(void **state)
{
	struct world *w = *state;

	put_pod(w, "1280Mi", "1280Mi");
	run_until(w, dir_made);
	launcher_open(w);
	fake_api_put(w->api, &kind_vmi,
		vmi_doc(w, "[{'name':'ci','cloudInitNoCloud':{'secretRef':{'name':'s'}}}]"));
	run_for(w, 150);
	assert_int_equal(w->launcher.starts, 0); /* there is no such Secret yet */
	fake_api_put(w->api, &kind_secret,
		json_lit("{'apiVersion':'v1','kind':'Secret','metadata':{'name':'s','namespace':'default'},"
			 "'data':{'userdata':'I2Nsb3VkLWNvbmZpZw=='}}"));
	run_until(w, started);
	assert_string_equal(w->launcher.user_data, "#cloud-config");
}

static bool stop_asked(struct world *w)
{
	return w->launcher.shutdowns > 0;
}

static bool released(struct world *w)
{
	return w->launcher.releases > 0;
}

static void deletion_ends_in_order(void **state)
{
	struct world *w = *state;
	struct json_doc *d;
	struct err e;

	bring_up(w);
	if (kube_delete_wait(w->client, &kind_vmi, "default", "vm", NULL, &e) < 0)
		fail_msg("%s", e.msg);
	run_until(w, stop_asked);
	assert_in_range(w->launcher.grace, 29, 30);
	launcher_says(&w->launcher, WIRE_PHASE_STOPPING);
	run_for(w, 50);
	assert_int_equal(w->launcher.shutdowns, 1);
	launcher_says(&w->launcher, WIRE_PHASE_SUCCEEDED);
	run_until(w, released);
	assert_string_equal(vmi_at(w, "/status/phase"), "Succeeded");
	launcher_close(w);
	fake_api_remove(w->api, &kind_pod, POD);
	d = vmi_draft(w);
	meta_set_finalizer(d, json_root(d), FINALIZER_VMI, false);
	json_doc_free(d);
	fake_api_remove(w->api, &kind_vmi, VMI); /* virt-controller let it go */
	run_until(w, dir_gone);
}

/* ---- a server that fails, loses answers and watches ---- */
static void faults_change_nothing_in_the_end(void **state)
{
	static const char *const sizes[] = { "2Gi", "1Gi", "3Gi", "2Gi", "4Gi", "1Gi" };
	struct world *w = *state;
	struct fake_faults faults = { .seed = 7,
		.fail_request = 150,
		.lose_answer = 150,
		.conflict = 150,
		.drop_watch = 50,
		.expire_watch = 20,
		.repeat_event = 100,
		.latency_max_ms = 5 };

	fake_api_faults(w->api, &faults);
	bring_up(w);
	assert_int_equal(w->launcher.starts, 1);
	put_pod(w, "4352Mi", "4352Mi");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		want_memory(w, sizes[i]);
		if (i % 2)
			launcher_says(&w->launcher, i == 3 ? WIRE_PHASE_PAUSED : WIRE_PHASE_RUNNING);
		run_for(w, 30);
		launcher_says(&w->launcher, WIRE_PHASE_RUNNING);
		run_until(w, memory_settled);
	}
	assert_int_equal(w->launcher.kills + w->launcher.shutdowns, 0);
	assert_int_equal(w->launcher.starts, 1);
	fake_api_faults(w->api, &(struct fake_faults){ 0 });
}

/* ---- what virt-api asks ---- */
static void on_answer(void *arg, const struct http_response *r, const struct err *e)
{
	struct world *w = arg;

	w->done = true;
	w->status = e ? -1 : r->status;
	str_clear(&w->body);
	if (!e)
		str_addn(&w->body, r->body ? r->body : "", r->len);
}

static void on_data(void *arg, const void *data, size_t len)
{
	str_addn(&((struct world *)arg)->body, data, len);
}

static void on_closed(void *arg, const struct err *e)
{
	((struct world *)arg)->stream_closed = true;
}

static void on_upgraded(void *arg, const struct http_response *r, struct http_stream *s)
{
	static const struct http_stream_ops ops = { .data = on_data, .closed = on_closed };
	struct world *w = arg;

	w->done = true;
	w->status = r->status;
	w->stream = s;
	w->stream_closed = false;
	str_clear(&w->body);
	http_stream_start(s, &ops, w);
}

static bool answered(struct world *w)
{
	return w->done;
}

static struct http_client *ask_begin(
	struct world *w, const struct key_pair *cert, const char *method, const char *path, bool upgrade)
{
	static const struct http_header headers[] = { { "Connection", "Upgrade" },
		{ "Upgrade", HANDLER_CONSOLE_PROTO } };
	const struct tls_client_spec tls = { .ca_pem = w->ca.cert_pem,
		.cert_pem = cert ? cert->cert_pem : NULL,
		.key_pem = cert ? cert->key_pem : NULL,
		.server_name = KV_CN_HANDLER_SERVER };
	CLEANUP(tls_unrefp) struct tls_ctx *ctx = tls_client_new(&tls, NULL);
	const struct http_client_spec spec = {
		.host = "127.0.0.1", .port = str_starts(path, "/v1") ? w->port : w->health_port, .tls = ctx
	};
	struct http_client *c = http_client_new(w->loop, &spec);
	const struct http_call_spec call = { .method = method,
		.path = path,
		.headers = headers,
		.n_headers = upgrade ? 2 : 0,
		.done = on_answer,
		.upgraded = upgrade ? on_upgraded : NULL,
		.arg = w };

	w->done = false;
	http_client_call(c, &call);
	return c;
}

static struct http_client *ask(
	struct world *w, const struct key_pair *cert, const char *method, const char *path, bool upgrade)
{
	struct http_client *c = ask_begin(w, cert, method, path, upgrade);

	run_until(w, answered);
	return c;
}

static int status_of(struct world *w, const struct key_pair *cert, const char *method, const char *path)
{
	http_client_free(ask(w, cert, method, path, false));
	return w->status;
}

#define PATH "/v1/namespaces/default/virtualmachineinstances/"

static bool is_paused(struct world *w)
{
	const struct obj *o = fake_api_get(w->api, &kind_vmi, VMI);

	return cond_is(json_at(obj_json(o), "/status/conditions"), COND_PAUSED, "True");
}

static bool is_not_paused(struct world *w)
{
	return !is_paused(w);
}

/* handler_api.h */
static void only_virt_api_is_served(void **state)
{
	struct world *w = *state;

	assert_int_equal(status_of(w, &w->other_cert, "PUT", PATH "vm/pause"), 401);
	assert_int_equal(status_of(w, NULL, "PUT", PATH "vm/pause"), 401);
	assert_int_equal(status_of(w, &w->api_cert, "PUT", PATH "vm/pause"), 404);
	assert_non_null(strstr(w->body.data, "\"kind\":\"Status\""));
	assert_int_equal(status_of(w, &w->api_cert, "GET", PATH "vm/nonsense"), 404);
	bring_up(w);
	assert_int_equal(status_of(w, &w->api_cert, "GET", PATH "vm/pause"), 405);
	assert_int_equal(status_of(w, &w->api_cert, "PUT", PATH "vm/pause"), 200);
	run_until(w, is_paused);
	assert_int_equal(status_of(w, &w->api_cert, "PUT", PATH "vm/unpause"), 200);
	run_until(w, is_not_paused);
	assert_int_equal(status_of(w, &w->api_cert, "PUT", PATH "vm/reset"), 200);
	assert_int_equal(w->launcher.resets, 1);
	w->launcher.phase = WIRE_PHASE_STOPPING;
	launcher_says(&w->launcher, WIRE_PHASE_STOPPING);
	run_for(w, 50);
	assert_int_equal(status_of(w, &w->api_cert, "PUT", PATH "vm/pause"), 409);
	launcher_close(w);
	run_for(w, 50);
	assert_int_equal(status_of(w, &w->api_cert, "PUT", PATH "vm/pause"), 503);
}

static bool greeted(struct world *w)
{
	return w->body.len >= 7;
}

static bool stream_over(struct world *w)
{
	return w->stream_closed;
}

static void the_console_is_passed_through(void **state)
{
	struct world *w = *state;
	struct http_client *c;
	char buf[16] = "";

	bring_up(w);
	assert_int_equal(status_of(w, &w->api_cert, "GET", PATH "vm/console"), 400); /* no upgrade */
	c = ask(w, &w->api_cert, "GET", PATH "vm/console", true);
	assert_int_equal(w->status, 101);
	run_until(w, greeted);
	assert_string_equal(w->body.data, "login: ");
	http_stream_write(w->stream, "root\n", 5);
	for (int i = 0; i < 200 && recv(w->launcher.console_fd, buf, sizeof(buf) - 1, MSG_DONTWAIT) <= 0; i++)
		run_for(w, 10);
	assert_string_equal(buf, "root\n");
	/* taken over: the launcher hangs up */
	close(w->launcher.console_fd);
	w->launcher.console_fd = -1;
	run_until(w, stream_over);
	http_client_free(c);
}

static void health_and_metrics_are_served(void **state)
{
	struct world *w = *state;

	bring_up(w);
	/* the fake knows no /version: not connected, and it says so */
	status_of(w, NULL, "GET", "/healthz");
	assert_non_null(strstr(w->body.data, "\"config-resource-version\":\""));
	assert_null(strstr(w->body.data, "\"config-resource-version\":\"\""));
	assert_int_equal(status_of(w, NULL, "GET", "/metrics"), 200);
	/* rollout.md 5.1: from the launcher's last STATE, and from what it answers to the question */
	static const char *const values[][2] = { { "kubevirt_vmi_memory_domain_bytes", "1073741824" },
		{ "kubevirt_vmi_memory_available_bytes", "5" }, { "kubevirt_vmi_memory_usable_bytes", "4" },
		{ "kubevirt_vmi_memory_actual_balloon_bytes", "1073741824" },
		{ "kubevirt_vmi_memory_resident_bytes", "4096" },
		{ "kubevirt_vmi_cpu_usage_seconds_total", "1.750" },
		{ "kubevirt_vmi_cpu_user_usage_seconds_total", "1.500" },
		{ "kubevirt_vmi_cpu_system_usage_seconds_total", "0.250" } };
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		CLEANUP(mem_freep)
		char *line = str_printf("\n%s{node=\"n1\",namespace=\"default\",name=\"vm\"} %s\n",
			values[i][0], values[i][1]);
		if (!strstr(w->body.data, line))
			fail_msg("no%sin\n%s", line, w->body.data);
	}
	assert_non_null(
		strstr(w->body.data, "\nkubevirt_vmi_vcpu_seconds_total{node=\"n1\",namespace=\"default\","
				     "name=\"vm\",id=\"1\",state=\"running\"} 0.007\n"));
	assert_int_equal(status_of(w, NULL, "GET", "/other"), 404);
}

static bool is_asked(struct world *w)
{
	return w->launcher.held_stats != NULL;
}

/* A launcher that does not answer costs its own numbers and no more; neither does a scrape that is given up. */
static void a_silent_launcher_holds_no_scrape_up(void **state)
{
	struct world *w = *state;
	struct http_client *c;

	bring_up(w);
	w->launcher.hold_stats = true;
	assert_int_equal(status_of(w, NULL, "GET", "/metrics"), 200);
	assert_non_null(strstr(w->body.data, "kubevirt_vmi_memory_domain_bytes{"));
	assert_null(strstr(w->body.data, "kubevirt_vmi_vcpu_seconds_total{"));
	launcher_stats(TAKE(w->launcher.held_stats));
	run_for(w, 50);

	c = ask_begin(w, NULL, "GET", "/metrics", false);
	run_until(w, is_asked);
	http_client_free(c);
	run_for(w, 50);
	launcher_stats(TAKE(w->launcher.held_stats));
	run_for(w, 50);
	w->launcher.hold_stats = false;
	assert_int_equal(status_of(w, NULL, "GET", "/metrics"), 200);
	assert_non_null(strstr(w->body.data, "kubevirt_vmi_vcpu_seconds_total{"));

	/* virt-handler ends while one is under way */
	w->launcher.hold_stats = true;
	c = ask_begin(w, NULL, "GET", "/metrics", false);
	run_until(w, is_asked);
	handler_free(TAKE(w->handler));
	http_client_free(c);
	launcher_stats(TAKE(w->launcher.held_stats));
}

/* ---- the node ---- */
static const char *node_label(struct world *w)
{
	return json_str_or(
		json_get(json_at(obj_json(fake_api_get(w->api, &kind_node, "n1")), "/metadata/labels"),
			LABEL_SCHEDULABLE),
		"");
}

static bool schedulable(struct world *w)
{
	return str_eq(node_label(w), "true");
}

static void set_done(void *arg)
{
	((struct world *)arg)->done = true;
}

static void the_node_takes_vms_while_there_is_a_handler(void **state)
{
	struct world *w = *state;

	run_until(w, schedulable);
	w->done = false;
	handler_stop(w->handler, set_done, w);
	run_until(w, answered);
	assert_string_equal(node_label(w), "false");
	run_for(w, 100);
	assert_string_equal(node_label(w), "false");
	handler_free(TAKE(w->handler));
	handler_open(w);
	run_until(w, schedulable);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, open_world, close_world)
	const struct CMUnitTest tests[] = {
		T(a_guest_is_started_and_reported),
		T(memory_grows_in_place),
		T(sockets_are_added_in_place),
		T(another_handler_takes_over_in_the_middle),
		T(what_failed_meanwhile_is_not_taken_back),
		T(a_launcher_that_hung_up_is_dialled_again),
		T(an_instance_is_replaced_by_another_of_its_name),
		T(last_words_count),
		T(links_and_pipes_in_the_directory_are_not_opened),
		T(a_refused_start_fails_the_instance),
		T(texts_of_secrets_go_along),
		T(deletion_ends_in_order),
		T(faults_change_nothing_in_the_end),
		T(only_virt_api_is_served),
		T(the_console_is_passed_through),
		T(health_and_metrics_are_served),
		T(a_silent_launcher_holds_no_scrape_up),
		T(the_node_takes_vms_while_there_is_a_handler),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* virtctl rollout: what people and scripts see of a VM's edits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kube/fake_api.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/virtctl/rollout.h"
#include "kubevirt/virtctl/virtctl.h"

#define VM_UID "11111111-1111-4111-8111-111111111111"

struct story {
	struct obj *vm, *vmi, *revision;
	struct kv_config config;
	struct edits edits;
	struct rollout_view view;
};

static struct obj *made(const char *text)
{
	return obj_from_doc(json_lit(text));
}

/* Templates as JSON; instance: its spec and status, NULL: the VM does not run. */
static void tell(
	struct story *s, const char *strategy, const char *start, const char *now, const char *instance)
{
	CLEANUP(mem_freep)
	char *vm = str_printf("{'metadata':{'name':'v','namespace':'n','uid':'" VM_UID
			      "','generation':2},'spec':{'template':{'spec':%s}},"
			      "'status':{'printableStatus':'%s'}}",
		now, instance ? "Running" : "Stopped");
	CLEANUP(mem_freep)
	char *revision = str_printf("{'metadata':{'name':'revision-start-vm-" VM_UID
				    "-1','namespace':'n'},'data':{'spec':{'template':{'spec':%s}}}}",
		start);
	CLEANUP(mem_freep)
	char *vmi = str_printf("{'metadata':{'name':'v','namespace':'n','uid':'u','annotations':{"
			       "'kubevirt.io/vm-generation':'1'}},%s}",
		instance ? instance : "'spec':{}");
	CLEANUP(mem_freep)
	char *kv = str_printf("{'spec':{'configuration':{'vmRolloutStrategy':'%s'}}}", strategy);
	CLEANUP(json_doc_freep) struct json_doc *cr = json_lit(kv);

	*s = (struct story){ .vm = made(vm), .revision = made(revision) };
	if (instance)
		s->vmi = made(vmi);
	kv_config_from(json_root(cr), &s->config);
	rollout_list(&(struct rollout_in){ .vm = s->vm,
			     .vmi = s->vmi,
			     .revision = s->vmi ? s->revision : NULL,
			     .config = &s->config },
		&s->edits);
	s->view =
		(struct rollout_view){ .vm = s->vm, .vmi = s->vmi, .config = &s->config, .edits = &s->edits };
}

static void forget(struct story *s)
{
	rollout_done(&s->edits);
	obj_unref(s->vm);
	obj_unref(s->vmi);
	obj_unref(s->revision);
}

#define LIVE "LiveUpdate"
#define MEMORY(size, more) "{" more "'domain':{'memory':{'guest':'" size "'}}}"
#define STARTED "'virtualMachineRevisionName':'revision-start-vm-" VM_UID "-1','phase':'Running'"
#define GUEST(spec, current, requested, more)                                                        \
	"'spec':{'domain':{'memory':{'guest':'" spec "','maxGuest':'8Gi'}},'architecture':'amd64'}," \
	"'status':{" STARTED ",'memory':{'guestAtBoot':'1Gi','guestCurrent':'" current               \
	"','guestRequested':'" requested "'}" more "}"
#define P "spec.template.spec."

static void shows(struct story *s, enum rollout_result result, const char *text, const char *diff)
{
	CLEANUP(str_done) struct str have = { 0 }, changes = { 0 };

	rollout_text(&s->view, &have);
	assert_string_equal(str_cstr(&have), text);
	assert_int_equal(rollout_result(&s->view), result);
	assert_int_equal(rollout_diff(&s->view, &changes), diff != NULL);
	assert_string_equal(str_cstr(&changes), diff ? diff : "");
	forget(s);
}

#define HEAD(strategy) "VirtualMachine n/v: Running, vmRolloutStrategy " strategy "\n"
#define DIFF_HEAD "--- VirtualMachineInstance n/v, generation 1\n+++ VirtualMachine n/v, generation 2\n"

static void nothing_was_edited(void **state)
{
	struct story s;

	tell(&s, LIVE, MEMORY("1Gi", ""), MEMORY("1024Mi", ""), GUEST("1Gi", "1Gi", "1Gi", ""));
	shows(&s, ROLLOUT_DONE, HEAD(LIVE) "the guest has what the template asks for\n", NULL);
}

static void it_does_not_run(void **state)
{
	struct story s;

	tell(&s, LIVE, MEMORY("1Gi", ""), MEMORY("2Gi", ""), NULL);
	shows(&s, ROLLOUT_DONE,
		"VirtualMachine n/v: Stopped, vmRolloutStrategy LiveUpdate\n"
		"it does not run: its next start has what the template says\n",
		NULL);
}

static void an_edit_that_is_not_live_is_staged(void **state)
{
	struct story s;

	tell(&s, LIVE, MEMORY("1Gi", "'hostname':'a',"),
		MEMORY("1Gi", "'hostname':'b','dnsConfig':{'nameservers':['1.1.1.1']},"),
		GUEST("1Gi", "1Gi", "1Gi", ""));
	shows(&s, ROLLOUT_STAGED,
		HEAD(LIVE) "staged, needs a restart or has to be put back:\n"
			   "  " P "hostname                   a -> b\n"
			   "  " P "dnsConfig.nameservers      (none) -> [\"1.1.1.1\"]\n"
			   "      a non-live-updatable field was changed in the template spec\n",
		DIFF_HEAD "@@ " P "hostname @@ staged\n-a\n+b\n"
			  "@@ " P "dnsConfig.nameservers @@ staged\n+[\n+  \"1.1.1.1\"\n+]\n");
}

/* rollout.md 6.2 */
static void everything_is_staged_under_stage(void **state)
{
	struct story s;

	tell(&s, "Stage", MEMORY("1Gi", ""), MEMORY("2Gi", ""), GUEST("1Gi", "1Gi", "1Gi", ""));
	shows(&s, ROLLOUT_STAGED,
		HEAD("Stage") "staged, needs a restart or has to be put back:\n"
			      "  " P "domain.memory.guest        1Gi -> 2Gi\n"
			      "      memory updated in template spec\n",
		DIFF_HEAD "@@ " P "domain.memory.guest @@ staged\n-1Gi\n+2Gi\n");
}

static void memory_on_its_way_has_a_bar(void **state)
{
	struct story s;

	tell(&s, LIVE, MEMORY("1Gi", ""), MEMORY("3Gi", ""), GUEST("3Gi", "1536Mi", "1Gi", ""));
	CLEANUP(str_done) struct str line = { 0 };
	rollout_line(&s.view, &line);
	assert_string_equal(str_cstr(&line), "guest 3Gi [#####---------------]  25%");
	shows(&s, ROLLOUT_PENDING,
		HEAD(LIVE) "being applied:\n"
			   "  " P "domain.memory.guest        1Gi -> 3Gi  [#####---------------]  25%\n",
		DIFF_HEAD "@@ " P "domain.memory.guest @@ applying\n-1Gi\n+3Gi\n");
}

/* From what it was last, not from its start */
static void a_shrinking_guest_is_told_as_such(void **state)
{
	struct story s;

	tell(&s, LIVE, MEMORY("1Gi", ""), MEMORY("2Gi", ""), GUEST("2Gi", "2560Mi", "3Gi", ""));
	shows(&s, ROLLOUT_PENDING,
		HEAD(LIVE) "being applied:\n"
			   "  " P "domain.memory.guest        3Gi -> 2Gi  [##########----------]  50%\n",
		DIFF_HEAD "@@ " P "domain.memory.guest @@ applying\n-3Gi\n+2Gi\n");
	/* back to the start likewise */
	tell(&s, LIVE, MEMORY("1Gi", ""), MEMORY("1Gi", ""), GUEST("1Gi", "2Gi", "3Gi", ""));
	shows(&s, ROLLOUT_PENDING,
		HEAD(LIVE) "being applied:\n"
			   "  " P "domain.memory.guest        3Gi -> 1Gi  [##########----------]  50%\n",
		DIFF_HEAD "@@ " P "domain.memory.guest @@ applying\n-3Gi\n+1Gi\n");
	/* and from half a growth that failed */
	tell(&s, LIVE, MEMORY("1Gi", ""), MEMORY("1Gi", ""), GUEST("1Gi", "2Gi", "1Gi", ""));
	shows(&s, ROLLOUT_PENDING,
		HEAD(LIVE) "being applied:\n"
			   "  " P "domain.memory.guest        2Gi -> 1Gi\n",
		DIFF_HEAD "@@ " P "domain.memory.guest @@ applying\n-2Gi\n+1Gi\n");
}

static void what_it_waits_for_is_said(void **state)
{
	struct story s;

	tell(&s, LIVE, MEMORY("1Gi", ""), MEMORY("2Gi", ""),
		GUEST("2Gi", "1Gi", "1Gi",
			",'conditions':[{'type':'HotMemoryChange','status':'True','reason':"
			"'LiveMigrationRequired','message':'the node has no room'}]"));
	s.config.workload_methods = KV_UPDATE_LIVE_MIGRATE;
	rollout_done(&s.edits);
	rollout_list(
		&(struct rollout_in){ .vm = s.vm, .vmi = s.vmi, .revision = s.revision, .config = &s.config },
		&s.edits);
	shows(&s, ROLLOUT_PENDING,
		HEAD(LIVE) "being applied:\n"
			   "  " P "domain.memory.guest        1Gi -> 2Gi  [--------------------]   0%\n"
			   "      LiveMigrationRequired: the node has no room\n",
		DIFF_HEAD "@@ " P "domain.memory.guest @@ applying\n-1Gi\n+2Gi\n");
}

static void what_the_guest_has_is_no_difference(void **state)
{
	struct story s;

	tell(&s, LIVE, MEMORY("1Gi", ""), MEMORY("2Gi", ""), GUEST("2Gi", "2Gi", "2Gi", ""));
	shows(&s, ROLLOUT_DONE,
		HEAD(LIVE) "live, the guest has it:\n  " P "domain.memory.guest        1Gi -> 2Gi\n", NULL);
}

static void an_edit_that_was_not_seen_yet_is_pending(void **state)
{
	struct story s;

	tell(&s, LIVE, MEMORY("1Gi", ""), MEMORY("2Gi", ""), GUEST("1Gi", "1Gi", "1Gi", ""));
	CLEANUP(str_done) struct str line = { 0 };
	rollout_line(&s.view, &line);
	assert_string_equal(str_cstr(&line), "guest 2Gi waits");
	shows(&s, ROLLOUT_PENDING,
		HEAD(LIVE) "to be applied:\n  " P "domain.memory.guest        1Gi -> 2Gi\n",
		DIFF_HEAD "@@ " P "domain.memory.guest @@ going\n-1Gi\n+2Gi\n");
}

static void programs_get_json(void **state)
{
	struct story s;

	tell(&s, LIVE, MEMORY("1Gi", ""), MEMORY("3Gi", ""), GUEST("3Gi", "1536Mi", "1Gi", ""));
	CLEANUP(json_doc_freep) struct json_doc *d = rollout_json(&s.view);
	CLEANUP(mem_freep) char *text = json_write(json_root(d), NULL);
	assert_string_equal(text,
		"{\"namespace\":\"n\",\"name\":\"v\",\"strategy\":\"LiveUpdate\",\"running\":true,"
		"\"result\":\"pending\",\"changes\":[{\"path\":\"" P "domain.memory.guest\","
		"\"state\":\"applying\",\"class\":\"memory\",\"was\":\"1Gi\",\"is\":\"3Gi\",\"percent\":25}]"
		"}");
	forget(&s);
}

/* ---- against a server ---- */
struct server {
	struct loop *loop;
	struct fake_api *api;
	struct loop_timer *timer;
	struct virtctl v;
	struct kube_transport real;
	struct kube_request refused; /* a list of kubevirts */
	bool forbidden;
};

static void on_refused(void *arg, int status, const void *body, size_t len, const struct err *e)
{
	static const char text[] = "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"code\":403}";
	struct server *s = arg;

	s->refused.done(s->refused.arg, 403, text, sizeof(text) - 1, NULL);
}

static void *server_call(void *self, const struct kube_request *r)
{
	struct server *s = self;
	struct kube_request mine = *r;

	if (s->forbidden && strstr(r->path, "/kubevirts")) {
		s->refused = *r;
		mine.done = on_refused;
		mine.arg = s;
	}
	return s->real.call(s->real.self, &mine);
}

static void server_cancel(void *self, void *handle)
{
	struct server *s = self;

	s->real.cancel(s->real.self, handle);
}

static void server_free(void *self)
{
	struct server *s = self;

	if (s->real.free)
		s->real.free(s->real.self);
}

static int server_up(void **state)
{
	static const struct kind *const kinds[] = { &kind_vm, &kind_vmi, &kind_kubevirt,
		&kind_controllerrevision };
	struct server *s = MEM_NEW(struct server);
	struct kube_transport t;

	s->loop = loop_new();
	s->api = fake_api_new(s->loop);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		fake_api_add_kind(s->api, kinds[i]);
	s->real = fake_api_transport(s->api, "kate");
	t = (struct kube_transport){ s, server_call, server_cancel, server_free };
	s->v = (struct virtctl){ .loop = s->loop,
		.client = kube_client_new_transport(s->loop, &t),
		.ns = "n",
		.command = "rollout",
		.args = { "status", "v" },
		.n_args = 2 };
	fake_api_put(s->api, &kind_kubevirt,
		json_lit("{'metadata':{'name':'kubevirt','namespace':'kubevirt'},'spec':{'configuration':{"
			 "'vmRolloutStrategy':'LiveUpdate'}}}"));
	*state = s;
	return 0;
}

static int server_down(void **state)
{
	struct server *s = *state;

	loop_timer_free(s->timer);
	kube_client_free(s->v.client);
	fake_api_free(s->api);
	loop_free(s->loop);
	free(s);
	return 0;
}

static void put(struct server *s, const struct kind *k, const char *fmt, const char *text)
{
	CLEANUP(str_done) struct str out = { 0 };

	for (const char *p = fmt; *p; p++)
		if (*p == '$')
			str_add(&out, text);
		else
			str_addc(&out, *p);
	fake_api_put(s->api, k, json_lit(str_cstr(&out)));
}

static void put_vm(struct server *s, const char *spec)
{
	put(s, &kind_vm,
		"{'metadata':{'name':'v','namespace':'n','uid':'" VM_UID "'},'spec':{'template':{'spec':$}}}",
		spec);
	put(s, &kind_controllerrevision,
		"{'metadata':{'name':'revision-start-vm-" VM_UID
		"-1','namespace':'n'},'data':{'spec':{'template':{'spec':$}}}}",
		MEMORY("1Gi", ""));
}

static void put_vmi(struct server *s, const char *uid, const char *rest)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("{'metadata':{'name':'v','namespace':'n','uid':'u','ownerReferences':[{'kind':"
			   "'VirtualMachine','name':'v','uid':'%s','controller':true}]},%s}",
			uid, rest);

	fake_api_put(s->api, &kind_vmi, json_lit(text));
}

static int run(struct server *s, const char *verb)
{
	struct err e;
	int rc;

	s->v.args[0] = verb;
	rc = rollout_run(&s->v, &e);
	return rc < 0 && s->v.trouble ? s->v.trouble : rc;
}

static void exit_statuses(void **state)
{
	struct server *s = *state;

	assert_int_equal(run(s, "status"), -1);
	assert_int_equal(run(s, "diff"), 2);
	s->v.trouble = 0;
	put_vm(s, MEMORY("1Gi", "'hostname':'x',"));
	assert_int_equal(run(s, "status"), ROLLOUT_DONE); /* it does not run */
	put_vmi(s, "other", GUEST("1Gi", "1Gi", "1Gi", ""));
	assert_int_equal(run(s, "status"), ROLLOUT_DONE); /* what runs under its name is not its own */
	put_vmi(s, VM_UID, GUEST("1Gi", "1Gi", "1Gi", ""));
	assert_int_equal(run(s, "status"), ROLLOUT_STAGED);
	assert_int_equal(run(s, "diff"), 1);
	put_vm(s, MEMORY("1Gi", ""));
	assert_int_equal(run(s, "status"), ROLLOUT_DONE);
	assert_int_equal(run(s, "diff"), 0);
	put_vm(s, MEMORY("2Gi", ""));
	assert_int_equal(run(s, "status"), ROLLOUT_PENDING);
}

static void guest_grows(void *arg)
{
	put_vmi(arg, VM_UID, GUEST("2Gi", "2Gi", "2Gi", ""));
}

/* Somebody with rights in a namespace: the strategy is guessed from what the VM says. */
static void without_the_kubevirt_object_the_vm_is_asked(void **state)
{
	static const char required[] = "{'metadata':{'name':'v','namespace':'n','uid':'" VM_UID
				       "'},'spec':{'template':{'spec':$}},'status':{'conditions':[{'type':"
				       "'RestartRequired','status':'True'}]}}";
	struct server *s = *state;

	s->forbidden = true;
	put_vm(s, MEMORY("2Gi", ""));
	put_vmi(s, VM_UID, GUEST("1Gi", "1Gi", "1Gi", ""));
	assert_int_equal(run(s, "status"), ROLLOUT_PENDING);
	put_vmi(s, VM_UID, GUEST("2Gi", "2Gi", "2Gi", ""));
	assert_int_equal(run(s, "status"), ROLLOUT_DONE);
	put_vmi(s, VM_UID, GUEST("1Gi", "1Gi", "1Gi", ""));
	put(s, &kind_vm, required, MEMORY("2Gi", "")); /* it is Stage, then */
	assert_int_equal(run(s, "status"), ROLLOUT_STAGED);
	assert_int_equal(run(s, "diff"), 1);
	put(s, &kind_vm, required, MEMORY("2Gi", "'hostname':'x',"));
	assert_int_equal(run(s, "status"), ROLLOUT_STAGED);
}

static void watching_ends_when_the_guest_has_it(void **state)
{
	struct server *s = *state;

	put_vm(s, MEMORY("2Gi", ""));
	put_vmi(s, VM_UID, GUEST("2Gi", "1Gi", "1Gi", ""));
	s->v.watch = s->v.timeout_given = true;
	s->v.timeout_minutes = 0.002;
	assert_int_equal(run(s, "status"), ROLLOUT_PENDING); /* time is up */
	s->v.timeout_minutes = 1;
	s->timer = loop_timer_new(s->loop, guest_grows, s);
	loop_timer_set(s->timer, 100);
	assert_int_equal(run(s, "status"), ROLLOUT_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_was_edited),
		cmocka_unit_test(it_does_not_run),
		cmocka_unit_test(an_edit_that_is_not_live_is_staged),
		cmocka_unit_test(everything_is_staged_under_stage),
		cmocka_unit_test(memory_on_its_way_has_a_bar),
		cmocka_unit_test(a_shrinking_guest_is_told_as_such),
		cmocka_unit_test(what_it_waits_for_is_said),
		cmocka_unit_test(what_the_guest_has_is_no_difference),
		cmocka_unit_test(an_edit_that_was_not_seen_yet_is_pending),
		cmocka_unit_test(programs_get_json),
		cmocka_unit_test_setup_teardown(exit_statuses, server_up, server_down),
		cmocka_unit_test_setup_teardown(
			without_the_kubevirt_object_the_vm_is_asked, server_up, server_down),
		cmocka_unit_test_setup_teardown(watching_ends_when_the_guest_has_it, server_up, server_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt-api.md 8, "node lost". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/obj.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/node/node_impl.h"

#define NOW 1700000000000

struct given {
	bool no_node, no_heartbeat, handler;
	int64_t silent_ms, started_ago_ms;
	const char *label, *phase;
};

/* What is planned, as text. Caller frees. */
static char *plan_for(const struct given *g, int64_t *ret_again)
{
	char at[TIME_TEXT_MAX];
	CLEANUP(mem_freep)
	char *node = str_printf(
		"{'metadata':{'name':'n1','resourceVersion':'3','labels':{'kubevirt.io/schedulable':'%s'},"
		"'annotations':{'%s':'%s'}}}",
		g->label ? g->label : "true", g->no_heartbeat ? "x" : "kubevirt.io/heartbeat",
		time_rfc3339(NOW - g->silent_ms, at));
	CLEANUP(mem_freep)
	char *vmi = str_printf(
		"{'metadata':{'namespace':'n','name':'v','uid':'u','resourceVersion':'4'},'status':{"
		"'nodeName':'n1','phase':'%s'}}",
		g->phase ? g->phase : "Running");
	CLEANUP(obj_unrefp) struct obj *o = obj_from_doc(json_lit(node));
	CLEANUP(obj_unrefp) struct obj *i = obj_from_doc(json_lit(vmi));
	const struct obj *const list[] = { i };
	const struct node_seen seen = { .name = "n1",
		.node = g->no_node ? NULL : o,
		.vmis = list,
		.n_vmis = 1,
		.handler = g->handler,
		.started_ms = NOW - (g->started_ago_ms ? g->started_ago_ms : 3600000),
		.now = NOW };
	struct plan *p = plan_new();
	struct str text = { 0 };

	node_decide_seen(&seen, p);
	plan_text(p, &text);
	*ret_again = 0;
	plan_again(p, ret_again);
	plan_free(p);
	return str_take(&text);
}

static void check(int line, struct given g, bool unschedulable, bool failed, int64_t again)
{
	int64_t at;
	CLEANUP(mem_freep) char *text = plan_for(&g, &at);

	if ((strstr(text, "kubevirt.io~1schedulable\",\"value\":\"false\"") != NULL) != unschedulable ||
		(strstr(text, "NodeUnresponsive\"") != NULL) != failed || at != again)
		fail_msg("line %d: %s", line, text);
}
#define CHECK(unschedulable, failed, again, ...) \
	check(__LINE__, (struct given){ __VA_ARGS__ }, unschedulable, failed, again)

static void a_living_node_is_looked_at_when_it_could_be_dead(void **state)
{
	CHECK(false, false, NOW + 240000, .silent_ms = 60000);
	CHECK(false, false, 0, .no_heartbeat = true); /* never had a virt-handler: not ours */
}

static void a_silent_node_takes_no_new_instances(void **state)
{
	CHECK(true, false, 0, .silent_ms = 300000, .handler = true);
	CHECK(false, false, 0, .silent_ms = 300000, .handler = true, .label = "false"); /* once */
}

static void without_a_virt_handler_its_instances_are_given_up(void **state)
{
	CHECK(true, true, 0, .silent_ms = 300000);
	CHECK(true, false, 0, .silent_ms = 300000, .phase = "Succeeded");
	CHECK(false, true, 0, .no_node = true);
}

/* The control plane was away for an hour, the guests were not. */
static void silence_from_before_our_time_does_not_count(void **state)
{
	CHECK(false, false, NOW + 299000, .silent_ms = 3600000, .started_ago_ms = 1000);
	CHECK(false, false, NOW + 299000, .no_node = true, .started_ago_ms = 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_living_node_is_looked_at_when_it_could_be_dead),
		cmocka_unit_test(a_silent_node_takes_no_new_instances),
		cmocka_unit_test(without_a_virt_handler_its_instances_are_given_up),
		cmocka_unit_test(silence_from_before_our_time_does_not_count),
	};

	return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}

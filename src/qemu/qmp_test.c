/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu/qmp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"
#include "qemu/fake_qmp.h"
#include "qemu/lines.h"
#include "qemu/qmp_cmds.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEPS_MAX 200000

struct rig {
	struct loop *loop;
	struct fake_qmp *fake;
	struct qmp *qmp;
	int ready, closed, events, replies, failures;
	enum err_code closed_code, last_code;
	char last_event[64], last_error[256];
	uint64_t last_number;
	bool free_on_reply;
};

static void on_ready(void *arg)
{
	((struct rig *)arg)->ready++;
}

static void on_event(void *arg, const char *name, const struct json *data)
{
	struct rig *r = arg;

	r->events++;
	str_copy(r->last_event, sizeof(r->last_event), name);
	assert_true(json_is_obj(data));
}

static void on_closed(void *arg, const struct err *e)
{
	struct rig *r = arg;

	r->closed++;
	r->closed_code = e->code;
}

static void on_reply(void *arg, const struct json *ret, const struct err *e)
{
	struct rig *r = arg;

	r->replies++;
	if (e) {
		r->failures++;
		r->last_code = e->code;
		str_copy(r->last_error, sizeof(r->last_error), e->msg);
	} else {
		r->last_number = json_u64(ret);
	}
	if (r->free_on_reply)
		qmp_free(TAKE(r->qmp));
}

static const char *answer(void *arg, const char *cmd, const struct json *args, struct fake_answer *ret)
{
	if (!strcmp(cmd, "qom-get"))
		return "18446744073709551615";
	if (!strcmp(cmd, "device_del"))
		ret->error = "Device 'x' not found";
	if (!strcmp(cmd, "query-block"))
		ret->silent = true;
	if (!strcmp(cmd, "qom-set")) {
		assert_string_equal(json_get_str(args, "path"), "/machine/peripheral/vmem");
		assert_int_equal(json_u64(json_get(args, "value")), 1 << 30);
	}
	return NULL;
}

static void rig_open(struct rig *r, int greeting_ms)
{
	static const struct qmp_ops ops = { on_ready, on_event, on_closed };
	int pair[2];

	memset(r, 0, sizeof(*r));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	r->loop = loop_new();
	r->fake = fake_qmp_new(r->loop, pair[0], answer, r);
	r->qmp = qmp_new(r->loop, pair[1], greeting_ms, &ops, r);
}

static void rig_close(struct rig *r)
{
	qmp_free(r->qmp);
	fake_qmp_free(r->fake);
	loop_free(r->loop);
}

static void step_until(struct rig *r, const int *what, int reaches)
{
	for (int i = 0; *what < reaches && i < STEPS_MAX; i++)
		loop_step(r->loop, 10);
	assert_int_equal(*what, reaches);
}

static void ready_after_greeting_and_first_reply(void **state)
{
	struct rig r;

	rig_open(&r, 0);
	qmp_send_cont(r.qmp, NULL, on_reply, &r); /* waits */
	for (int i = 0; i < 5; i++)
		loop_step(r.loop, 1);
	assert_int_equal(r.replies, 0);
	fake_qmp_greet(r.fake);
	step_until(&r, &r.ready, 1);
	step_until(&r, &r.replies, 1);
	assert_int_equal(r.failures, 0);
	rig_close(&r);
}

/* qemu.md 16.9 */
static void single_bytes_and_the_largest_integer_parse(void **state)
{
	struct rig r;

	rig_open(&r, 0);
	fake_qmp_split(r.fake);
	fake_qmp_greet(r.fake);
	step_until(&r, &r.ready, 1);
	qmp_send_qom_get(r.qmp,
		&(struct qmp_qom_get){ .path = "/machine/peripheral/balloon0", .property = "x" }, on_reply,
		&r);
	fake_qmp_event(r.fake, "STOP", NULL);
	step_until(&r, &r.replies, 1);
	assert_true(r.last_number == UINT64_MAX);
	step_until(&r, &r.events, 1);
	rig_close(&r);
}

/* qemu.md 16.9: several events and a reply arrive in one piece */
static void merged_messages_parse(void **state)
{
	static const char text[] = "{\"event\":\"RESET\",\"data\":{\"guest\":true},\"timestamp\":{}}\r\n"
				   "{\"event\":\"RESUME\",\"timestamp\":{}}\r\n"
				   "{\"return\":7,\"id\":3}\r\n{\"event\":\"LAST\",\"timestamp\":{}}\r\n";
	struct rig r;

	rig_open(&r, 0);
	fake_qmp_greet(r.fake);
	step_until(&r, &r.ready, 1);
	qmp_send_query_block(r.qmp, NULL, on_reply, &r); /* id 3, answered by the text */
	fake_qmp_raw(r.fake, text, sizeof(text) - 1);
	step_until(&r, &r.events, 3);
	assert_int_equal(r.replies, 1);
	assert_int_equal(r.last_number, 7);
	assert_string_equal(r.last_event, "LAST");
	rig_close(&r);
}

/* qemu.md 16.10 */
static void a_burst_of_events_delays_no_reply_and_leaves_no_memory(void **state)
{
	struct rig r;
	size_t before;

	rig_open(&r, 0);
	fake_qmp_greet(r.fake);
	step_until(&r, &r.ready, 1);
	before = mallinfo2().uordblks;
	for (int round = 0; round < 5; round++) {
		int events = r.events, replies = r.replies;

		for (int i = 0; i < 1000; i++)
			fake_qmp_event(r.fake, "MEMORY_DEVICE_SIZE_CHANGE",
				"{'id':'vmem','size':134217728,'qom-path':'/m/p/vmem'}");
		qmp_send_cont(r.qmp, NULL, on_reply, &r);
		step_until(&r, &r.replies, replies + 1);
		step_until(&r, &r.events, events + 1000);
	}
	assert_true(mallinfo2().uordblks < before + 64 * 1024);
	rig_close(&r);
}

/* qemu.md 16.8: somebody else holds the monitor */
static void no_greeting_is_busy_not_dead(void **state)
{
	struct rig r;

	rig_open(&r, 30);
	qmp_send_cont(r.qmp, NULL, on_reply, &r);
	step_until(&r, &r.closed, 1);
	assert_int_equal(r.closed_code, ERR_CONFLICT);
	assert_int_equal(r.replies, 1);
	assert_int_equal(r.last_code, ERR_CONFLICT);
	rig_close(&r);
}

static void a_lost_monitor_fails_every_pending_call_once(void **state)
{
	struct rig r;

	rig_open(&r, 0);
	fake_qmp_greet(r.fake);
	step_until(&r, &r.ready, 1);
	qmp_send_query_block(r.qmp, NULL, on_reply, &r);
	qmp_send_query_block(r.qmp, NULL, on_reply, &r);
	loop_step(r.loop, 1);
	fake_qmp_free(TAKE(r.fake));
	step_until(&r, &r.closed, 1);
	assert_int_equal(r.replies, 2);
	assert_int_equal(r.failures, 2);
	assert_int_equal(r.last_code, ERR_UNREACHABLE);
	qmp_send_cont(r.qmp, NULL, on_reply, &r); /* too late: told, but not from inside the call */
	assert_int_equal(r.replies, 2);
	step_until(&r, &r.replies, 3);
	assert_int_equal(r.last_code, ERR_UNREACHABLE);
	rig_close(&r);
}

static void refusals_carry_the_command_and_qemus_words(void **state)
{
	struct rig r;

	rig_open(&r, 0);
	fake_qmp_greet(r.fake);
	step_until(&r, &r.ready, 1);
	qmp_send_device_del(r.qmp, &(struct qmp_device_del){ .id = "x" }, on_reply, &r);
	step_until(&r, &r.replies, 1);
	assert_int_equal(r.last_code, ERR_INVALID);
	assert_string_equal(r.last_error, "device_del: Device 'x' not found");
	qmp_send(r.qmp, "no-such-command", NULL, 1000, on_reply, &r);
	step_until(&r, &r.replies, 2);
	assert_int_equal(r.last_code, ERR_NOT_IMPLEMENTED);
	rig_close(&r);
}

static void a_silent_qemu_ends_the_call_at_its_limit(void **state)
{
	struct rig r;

	rig_open(&r, 0);
	fake_qmp_greet(r.fake);
	step_until(&r, &r.ready, 1);
	qmp_send(r.qmp, "query-block", NULL, 20, on_reply, &r);
	qmp_send_cont(r.qmp, NULL, on_reply, &r);
	step_until(&r, &r.replies, 1); /* cont is not held up */
	assert_int_equal(r.failures, 0);
	step_until(&r, &r.replies, 2);
	assert_int_equal(r.last_code, ERR_TIMEOUT);
	rig_close(&r);
}

static void typed_arguments_reach_qemu(void **state)
{
	struct rig r;

	rig_open(&r, 0);
	fake_qmp_greet(r.fake);
	step_until(&r, &r.ready, 1);
	qmp_send_qom_set(r.qmp,
		&(struct qmp_qom_set){
			.path = "/machine/peripheral/vmem", .property = "requested-size", .value = 1 << 30 },
		on_reply, &r);
	step_until(&r, &r.replies, 1);
	assert_int_equal(r.failures, 0);
	rig_close(&r);
}

static void freeing_inside_a_reply_is_allowed(void **state)
{
	struct rig r;

	rig_open(&r, 0);
	fake_qmp_greet(r.fake);
	step_until(&r, &r.ready, 1);
	r.free_on_reply = true;
	qmp_send_cont(r.qmp, NULL, on_reply, &r);
	qmp_send_cont(r.qmp, NULL, on_reply, &r);
	step_until(&r, &r.replies, 1);
	for (int i = 0; i < 5; i++)
		loop_step(r.loop, 1);
	assert_int_equal(r.replies, 1);
	rig_close(&r);
}

static void an_endless_line_ends_the_connection(void **state)
{
	struct rig r;
	char *junk = mem_alloc(1 << 20);

	memset(junk, 'x', 1 << 20);
	rig_open(&r, 0);
	for (int i = 0; i < 9 && !r.closed; i++) {
		fake_qmp_raw(r.fake, junk, 1 << 20);
		for (int k = 0; k < 200; k++)
			loop_step(r.loop, 0);
	}
	step_until(&r, &r.closed, 1);
	assert_int_equal(r.closed_code, ERR_TOO_LARGE);
	free(junk);
	rig_close(&r);
}

static void what_is_not_json_ends_the_connection(void **state)
{
	struct rig r;

	rig_open(&r, 0);
	fake_qmp_raw(r.fake, "SSH-2.0-x\r\n", 11);
	step_until(&r, &r.closed, 1);
	assert_int_equal(r.closed_code, ERR_BAD_REQUEST);
	rig_close(&r);
}

static void the_command_table_is_unique_and_round_trips(void **state)
{
	for (int i = 0; i < QMP_CMD_MAX; i++) {
		enum qmp_cmd back;

		assert_true(qmp_cmds[i].limit_ms > 0);
		assert_true(qmp_cmd_parse(qmp_cmds[i].wire, &back));
		assert_int_equal(back, i);
	}
}

/* qemu.md 16.5 */
static void sockets_are_private_from_the_first_moment(void **state)
{
	char path[64];
	struct stat st;
	struct err e;
	int fd, to;

	snprintf(path, sizeof(path), "/tmp/qmp-test-%d.sock", (int)getpid());
	assert_int_equal(unix_connect(path, &to, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(unix_listen(path, 0600, 1, &fd, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(unix_connect(path, &to, &e), 0);
	close(to);
	close(fd);
	assert_int_equal(unix_connect(path, &to, &e), -1);
	assert_int_equal(e.code, ERR_UNREACHABLE);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ready_after_greeting_and_first_reply),
		cmocka_unit_test(single_bytes_and_the_largest_integer_parse),
		cmocka_unit_test(merged_messages_parse),
		cmocka_unit_test(a_burst_of_events_delays_no_reply_and_leaves_no_memory),
		cmocka_unit_test(no_greeting_is_busy_not_dead),
		cmocka_unit_test(a_lost_monitor_fails_every_pending_call_once),
		cmocka_unit_test(refusals_carry_the_command_and_qemus_words),
		cmocka_unit_test(a_silent_qemu_ends_the_call_at_its_limit),
		cmocka_unit_test(typed_arguments_reach_qemu),
		cmocka_unit_test(freeing_inside_a_reply_is_allowed),
		cmocka_unit_test(an_endless_line_ends_the_connection),
		cmocka_unit_test(what_is_not_json_ends_the_connection),
		cmocka_unit_test(the_command_table_is_unique_and_round_trips),
		cmocka_unit_test(sockets_are_private_from_the_first_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

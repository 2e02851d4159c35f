/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/wire/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/wire/server.h"
#include "qemu/lines.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEPS_MAX 100000

struct rig {
	struct loop *loop;
	char path[64];
	struct wire_server *server;
	struct wire_client *client;
	enum wire_phase phase;
	int replies, failures, events, lost, consoles;
	enum err_code code;
	char text[256], event[64];
	struct wire_call *held; /* set-memory is answered later */
	int server_fd, client_fd;
};

static enum wire_phase phase_of(void *arg)
{
	return ((struct rig *)arg)->phase;
}

static void on_verb(void *arg, enum wire_verb v, const struct json *args, struct wire_call *call)
{
	struct rig *r = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'phase':'Running'}");
	CLEANUP(str_done) struct str rest = { 0 };

	switch (v) {
	case WIRE_hello:
		wire_call_subscribe(call);
		wire_call_ok(call, json_root(d));
		break;
	case WIRE_set_memory:
		r->held = call;
		break;
	case WIRE_set_link:
		r->server_fd = wire_call_file(call);
		wire_call_ok(call, NULL);
		break;
	case WIRE_console:
		r->server_fd = wire_call_take_fd(call, &rest);
		assert_true(send(r->server_fd, "login: ", 7, 0) == 7);
		break;
	default:
		wire_call_ok(call, NULL);
	}
}

static void on_event(void *arg, const char *event, const struct json *data)
{
	struct rig *r = arg;

	r->events++;
	str_copy(r->event, sizeof(r->event), event);
}

static void on_lost(void *arg, const struct err *why)
{
	struct rig *r = arg;

	r->lost++;
	wire_client_free(TAKE(r->client)); /* allowed inside */
}

static void on_reply(void *arg, const struct json *ok, const struct err *e)
{
	struct rig *r = arg;

	r->replies++;
	if (e) {
		r->failures++;
		r->code = e->code;
		str_copy(r->text, sizeof(r->text), e->msg);
	} else {
		str_copy(r->text, sizeof(r->text), json_str_or(json_get(ok, "phase"), ""));
	}
}

static void on_console(void *arg, int fd, const struct str *first, const struct err *e)
{
	struct rig *r = arg;

	r->consoles++;
	r->client_fd = fd;
	if (e)
		r->code = e->code;
	else
		str_copy(r->text, sizeof(r->text), str_cstr(first));
}

static void rig_open(struct rig *r)
{
	static const struct wire_server_ops sops = { phase_of, on_verb };
	static const struct wire_client_ops cops = { on_event, on_lost };
	struct err e;

	memset(r, 0, sizeof(*r));
	r->server_fd = r->client_fd = -1;
	snprintf(r->path, sizeof(r->path), "/tmp/wire-test-%d.sock", (int)getpid());
	r->loop = loop_new();
	r->phase = WIRE_PHASE_RUNNING;
	assert_int_equal(wire_server_new(r->loop, r->path, &sops, r, &r->server, &e), 0);
	r->client = wire_client_new(r->loop, r->path, &cops, r, &e);
	assert_non_null(r->client);
}

static void rig_close(struct rig *r)
{
	wire_client_free(r->client);
	wire_server_free(r->server);
	if (r->server_fd >= 0)
		close(r->server_fd);
	if (r->client_fd >= 0)
		close(r->client_fd);
	loop_free(r->loop);
	assert_int_equal(access(r->path, F_OK), -1); /* no socket is left behind */
}

static void step_until(struct rig *r, const int *what, int reaches)
{
	for (int i = 0; *what < reaches && i < STEPS_MAX; i++)
		loop_step(r->loop, 10);
	assert_int_equal(*what, reaches);
}

static void spin(struct rig *r)
{
	for (int i = 0; i < 20; i++)
		loop_step(r->loop, 1);
}

static void call(struct rig *r, enum wire_verb v, const char *args)
{
	CLEANUP(json_doc_freep) struct json_doc *d = args ? json_lit(args) : NULL;

	wire_client_call(r->client, v, args ? json_root(d) : NULL, on_reply, r);
}

static void hello_answers_and_subscribes(void **state)
{
	struct rig r;

	rig_open(&r);
	wire_server_event(r.server, "state", NULL); /* before hello: not for us */
	call(&r, WIRE_hello, NULL);
	step_until(&r, &r.replies, 1);
	assert_string_equal(r.text, "Running");
	assert_int_equal(r.events, 0);
	wire_server_event(r.server, "guest-reboot", NULL);
	step_until(&r, &r.events, 1);
	assert_string_equal(r.event, "guest-reboot");
	rig_close(&r);
}

static void a_slow_verb_does_not_hold_up_others(void **state)
{
	struct rig r;

	rig_open(&r);
	call(&r, WIRE_set_memory, "{'bytes':2147483648}");
	call(&r, WIRE_pause, NULL);
	step_until(&r, &r.replies, 1);
	assert_non_null(r.held);
	wire_call_ok(r.held, NULL);
	step_until(&r, &r.replies, 2);
	assert_int_equal(r.failures, 0);
	rig_close(&r);
}

static void an_answer_to_a_peer_that_left_is_no_harm(void **state)
{
	struct rig r;

	rig_open(&r);
	call(&r, WIRE_set_memory, "{'bytes':1}");
	spin(&r);
	assert_non_null(r.held);
	wire_client_free(TAKE(r.client));
	spin(&r);
	wire_call_ok(r.held, NULL);
	rig_close(&r);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void descriptors_come_with_a_request(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'name':'a','state':'up'}");
	struct rig r;
	int pipes[2], files[2], before;
	char c = 0;

	rig_open(&r);
	call(&r, WIRE_hello, NULL);
	step_until(&r, &r.replies, 1);
	before = open_fds();
	assert_int_equal(pipe(pipes), 0);
	files[0] = pipes[1];
	files[1] = dup(pipes[1]);
	wire_client_call_files(r.client, WIRE_set_link, json_root(d), files, 2, on_reply, &r);
	wire_client_call(r.client, WIRE_set_memory, NULL, on_reply, &r); /* refused; has none */
	step_until(&r, &r.replies, 3);
	assert_int_equal(r.failures, 1);
	assert_true(r.server_fd >= 0);
	assert_int_equal(write(r.server_fd, "x", 1), 1);
	assert_int_equal(read(pipes[0], &c, 1), 1);
	assert_int_equal(c, 'x');
	close(r.server_fd);
	r.server_fd = -1;
	/* the one that nobody took, and ours, are closed: the pipe has no writer any more */
	assert_int_equal(read(pipes[0], &c, 1), 0);
	close(pipes[0]);
	assert_int_equal(open_fds(), before);
	rig_close(&r);
}

static void refused(struct rig *r, enum wire_verb v, const char *args, enum err_code code, const char *part)
{
	int n = r->replies;

	call(r, v, args);
	step_until(r, &r->replies, n + 1);
	assert_int_equal(r->code, code);
	if (!strstr(r->text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, r->text);
	r->code = ERR_NONE;
}

static void phases_and_arguments_are_checked_by_the_table(void **state)
{
	struct rig r;

	rig_open(&r);
	refused(&r, WIRE_set_memory, NULL, ERR_BAD_REQUEST, "needs the argument \"bytes\"");
	refused(&r, WIRE_set_memory, "{'bytes':'2Gi'}", ERR_BAD_REQUEST, "must be a whole number");
	refused(&r, WIRE_set_memory, "{'bytes':-1}", ERR_BAD_REQUEST, "must be a whole number");
	refused(&r, WIRE_pause, "{'now':true}", ERR_BAD_REQUEST, "no argument \"now\"");
	refused(&r, WIRE_release, NULL, ERR_CONFLICT, "release is not possible in phase Running");
	r.phase = WIRE_PHASE_IDLE;
	refused(&r, WIRE_pause, NULL, ERR_CONFLICT, "pause is not possible in phase Idle");
	r.phase = WIRE_PHASE_SUCCEEDED;
	call(&r, WIRE_release, NULL);
	step_until(&r, &r.replies, 6 + 1);
	rig_close(&r);
}

static void garbage_is_answered_not_fatal(void **state)
{
	static const char text[] =
		"hello\n{\"id\":5,\"verb\":\"nonsense\"}\n[]\n{\"id\":6,\"verb\":\"pause\",\"args\":7}\n";
	struct rig r;
	char buf[2048] = "";
	size_t have = 0;
	int fd;
	struct err e;

	rig_open(&r);
	assert_int_equal(unix_connect(r.path, &fd, &e), 0);
	assert_true(send(fd, text, sizeof(text) - 1, 0) == (ssize_t)sizeof(text) - 1);
	for (int i = 0; i < 1000 && have < sizeof(buf) - 1; i++) {
		ssize_t n;

		loop_step(r.loop, 1);
		n = recv(fd, buf + have, sizeof(buf) - 1 - have, MSG_DONTWAIT);
		if (n > 0)
			have += (size_t)n;
	}
	buf[have] = '\0';
	assert_non_null(strstr(buf, "no verb \\\"nonsense\\\""));
	assert_non_null(strstr(buf, "\"id\":6,\"error\""));
	close(fd);
	call(&r, WIRE_pause, NULL);
	step_until(&r, &r.replies, 1);
	rig_close(&r);
}

static void a_lost_launcher_fails_calls_then_says_so(void **state)
{
	struct rig r;

	rig_open(&r);
	call(&r, WIRE_set_memory, "{'bytes':1}");
	spin(&r);
	wire_server_free(TAKE(r.server));
	step_until(&r, &r.lost, 1);
	assert_int_equal(r.replies, 1);
	assert_int_equal(r.code, ERR_UNREACHABLE);
	assert_null(r.client);
	wire_call_ok(r.held, NULL);
	rig_close(&r);
}

static void a_console_is_raw_from_its_answer_on(void **state)
{
	struct rig r;
	struct err e;
	char buf[16] = "";
	struct wire_console_call *c;

	rig_open(&r);
	c = wire_console_open(r.loop, r.path, NULL, on_console, &r, &e);
	assert_non_null(c);
	step_until(&r, &r.consoles, 1);
	assert_true(r.client_fd >= 0);
	if (!r.text[0])
		assert_int_equal(recv(r.client_fd, r.text, sizeof(r.text) - 1, 0), 7);
	assert_string_equal(r.text, "login: ");
	assert_int_equal(send(r.client_fd, "root\n", 5, 0), 5);
	assert_int_equal(recv(r.server_fd, buf, sizeof(buf), 0), 5);
	assert_string_equal(buf, "root\n");
	rig_close(&r);
}

static void a_console_without_a_guest_is_refused(void **state)
{
	struct rig r;
	struct err e;

	rig_open(&r);
	r.phase = WIRE_PHASE_IDLE;
	assert_non_null(wire_console_open(r.loop, r.path, NULL, on_console, &r, &e));
	step_until(&r, &r.consoles, 1);
	assert_int_equal(r.client_fd, -1);
	assert_int_equal(r.code, ERR_CONFLICT);
	rig_close(&r);
}

static void a_peer_that_reads_nothing_is_dropped(void **state)
{
	static const char hello[] = "{\"id\":1,\"verb\":\"hello\"}\n";
	struct rig r;
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	char *big = mem_alloc(100001);
	int fd;
	struct err e;

	rig_open(&r);
	memset(big, 'x', 100000);
	big[100000] = '\0';
	assert_int_equal(unix_connect(r.path, &fd, &e), 0);
	assert_true(send(fd, hello, strlen(hello), 0) == (ssize_t)strlen(hello));
	spin(&r);
	for (int i = 0; i < 40; i++) {
		wire_server_event(r.server, "state", json_new_str(d, big));
		loop_step(r.loop, 0);
	}
	spin(&r);
	free(big);
	for (ssize_t n = 1; n > 0;) {
		char sink[65536];

		n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
		if (n < 0)
			fail_msg("still connected");
	}
	close(fd);
	rig_close(&r);
}

static void names_round_trip(void **state)
{
	for (int i = 0; i < WIRE_VERB_MAX; i++) {
		enum wire_verb v;

		assert_true(wire_verb_parse(wire_verbs[i].name, &v));
		assert_int_equal(v, i);
		assert_true(wire_verbs[i].limit_ms > 0 && wire_verbs[i].phases);
	}
	for (int i = 0; i < WIRE_PHASE_MAX; i++) {
		enum wire_phase p;

		assert_true(wire_phase_parse(wire_phase_name((enum wire_phase)i), &p));
		assert_int_equal(p, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_answers_and_subscribes),
		cmocka_unit_test(a_slow_verb_does_not_hold_up_others),
		cmocka_unit_test(an_answer_to_a_peer_that_left_is_no_harm),
		cmocka_unit_test(descriptors_come_with_a_request),
		cmocka_unit_test(phases_and_arguments_are_checked_by_the_table),
		cmocka_unit_test(garbage_is_answered_not_fatal),
		cmocka_unit_test(a_lost_launcher_fails_calls_then_says_so),
		cmocka_unit_test(a_console_is_raw_from_its_answer_on),
		cmocka_unit_test(a_console_without_a_guest_is_refused),
		cmocka_unit_test(a_peer_that_reads_nothing_is_dropped),
		cmocka_unit_test(names_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

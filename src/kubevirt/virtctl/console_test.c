/* SPDX-License-Identifier: Apache-2.0 */
/* The true virtctl against a stand-in for the API server: waiting, pipes, a terminal, and how it ends. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/ws.h"
#include "kube/config.h"

#define PATIENCE_MS 30000
#define PATH "/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/a/console"
#define VM_PATH "/apis/kubevirt.io/v1/namespaces/default/virtualmachines/a"

struct world {
	struct loop *loop;
	struct http_server *http;
	char *kubeconfig;
	int port;
	/* how the server behaves */
	int refusals; /* so many 400 first */
	int refusal_status;
	const char *vm; /* JSON text; NULL: there is none */
	bool close_after_echo;
	int asked;
	struct ws *ws;
	struct str typed; /* what reached the "guest" */
	/* the program */
	pid_t pid;
	bool ended;
	int wait_status;
	int out_fd, err_fd, in_fd;
	struct str out, err;
	struct loop_fd *out_watch, *err_watch;
	struct loop_child *child;
};

static const char *program; /* set by main() from its argument, then constant */

/* ---- server ---- */

static void on_message(void *arg, enum ws_kind kind, const void *data, size_t len)
{
	struct world *w = arg;
	assert_int_equal(kind, WS_BINARY);
	str_addn(&w->typed, data, len);
	ws_send(w->ws, WS_BINARY, data, len);
	if (w->close_after_echo) {
		ws_close(w->ws, 1000);
		w->ws = NULL;
	}
}

static void on_closed(void *arg, const struct err *e)
{
	struct world *w = arg;
	w->ws = NULL;
}

static void serve(void *arg, struct http_req *r)
{
	static const struct ws_ops ops = { on_message, on_closed, NULL };
	static const char *const protocols[] = { "plain.kubevirt.io", NULL };
	struct world *w = arg;
	const char *protocol = NULL;
	struct err e;

	if (w->vm && str_eq(http_req_path(r), VM_PATH)) {
		http_req_reply(r, 200, "application/json", w->vm, strlen(w->vm));
		return;
	}
	if (!str_eq(http_req_path(r), PATH)) { /* after a failure it asks for the server's version */
		http_req_reply(r, 404, NULL, NULL, 0);
		return;
	}
	assert_string_equal(http_req_header(r, "Authorization"), "Bearer secret");
	if (w->asked++ < w->refusals) {
		CLEANUP(mem_freep)
		char *body = str_printf(
			"{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"VMI is not running\","
			"\"code\":%d}",
			w->refusal_status);
		http_req_reply(r, w->refusal_status, "application/json", body, strlen(body));
		return;
	}
	w->ws = ws_accept(r, protocols, &protocol, &e);
	assert_non_null(w->ws);
	assert_string_equal(protocol, "plain.kubevirt.io");
	ws_start(w->ws, &ops, w);
	ws_send(w->ws, WS_BINARY, "login: ", 7);
}

/* ---- program ---- */

static void collect(int fd, struct str *to, struct loop_fd **watch)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));
	if (n > 0) {
		str_addn(to, buf, (size_t)n);
	} else {
		loop_fd_free(*watch);
		*watch = NULL;
	}
}

static void on_out(void *arg, int what)
{
	struct world *w = arg;
	collect(w->out_fd, &w->out, &w->out_watch);
}

static void on_err(void *arg, int what)
{
	struct world *w = arg;
	collect(w->err_fd, &w->err, &w->err_watch);
}

static void on_exit_(void *arg, pid_t pid, int status)
{
	struct world *w = arg;
	w->ended = true;
	w->wait_status = status;
}

/* stdin_fd is taken. */
static void run(struct world *w, int stdin_fd, const char *timeout)
{
	char *argv[] = { (char *)program, "console", "a", "--kubeconfig", w->kubeconfig, "--timeout",
		(char *)timeout, NULL };
	int out[2], err[2];
	struct err e;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	struct proc_spec spec = PROC_SPEC_INIT;
	spec.argv = argv;
	spec.stdin_fd = stdin_fd;
	spec.stdout_fd = out[1];
	spec.stderr_fd = err[1];
	spec.die_with_parent = true;
	if (proc_spawn(&spec, &w->pid, &e) < 0)
		fail_msg("%s", e.msg);
	close(out[1]);
	close(err[1]);
	close(stdin_fd);
	w->out_fd = out[0];
	w->err_fd = err[0];
	w->out_watch = loop_fd_new(w->loop, out[0], LOOP_READ, on_out, w);
	w->err_watch = loop_fd_new(w->loop, err[0], LOOP_READ, on_err, w);
	w->child = loop_child_new(w->loop, w->pid, on_exit_, w);
}

static bool has(const struct str *s, const char *text)
{
	return strstr(str_cstr(s), text) != NULL;
}

static void wait_for(struct world *w, const struct str *s, const char *text)
{
	for (int64_t end = loop_mono_ms(w->loop) + PATIENCE_MS; !has(s, text) && loop_mono_ms(w->loop) < end;)
		loop_step(w->loop, 50);
	if (!has(s, text))
		fail_msg("no %s in: %s", text, str_cstr(s));
}

static int exit_status(struct world *w)
{
	for (int64_t end = loop_mono_ms(w->loop) + PATIENCE_MS;
		(!w->ended || w->out_watch || w->err_watch) && loop_mono_ms(w->loop) < end;)
		loop_step(w->loop, 50);
	assert_true(w->ended);
	assert_true(WIFEXITED(w->wait_status));
	if (WEXITSTATUS(w->wait_status) > 1)
		fail_msg("%s", str_cstr(&w->err)); /* a sanitizer's report */
	return WEXITSTATUS(w->wait_status);
}

static int setup(void **state)
{
	struct world *w = MEM_NEW(struct world);
	const char *ips[] = { "127.0.0.1", NULL };
	const struct cert_spec cert = { .common_name = "server",
		.ip_addrs = ips,
		.server = true,
		.not_before_ms = 1600000000000,
		.not_after_ms = 4000000000000 };
	struct key_pair kp = { 0 };
	char path[] = "/tmp/virtctl-test-XXXXXX";
	struct err e;

	w->loop = loop_new();
	w->refusal_status = 400;
	w->out_fd = w->err_fd = w->in_fd = -1;
	assert_int_equal(cert_make(&cert, NULL, &kp, &e), 0);
	const struct tls_server_spec tls = { .cert_pem = kp.cert_pem, .key_pem = kp.key_pem };
	struct tls_ctx *ctx = tls_server_new(&tls, &e);
	assert_non_null(ctx);
	const struct http_server_spec spec = { .tls = ctx, .handler = serve, .arg = w };
	w->http = http_server_new(w->loop, &spec);
	assert_int_equal(http_server_listen(w->http, NULL, 0, &w->port, &e), 0);
	tls_unref(ctx);
	struct kube_config config = { .host = "127.0.0.1",
		.port = w->port,
		.ca_pem = kp.cert_pem,
		.token = "secret",
		.namespace = "default" };
	CLEANUP(mem_freep) char *text = kube_config_text(&config, "test");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	w->kubeconfig = mem_strdup(path);
	key_pair_done(&kp);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	if (w->pid && !w->ended)
		kill(w->pid, SIGKILL);
	loop_child_free(w->child);
	loop_fd_free(w->out_watch);
	loop_fd_free(w->err_watch);
	fd_closep(&w->out_fd);
	fd_closep(&w->err_fd);
	fd_closep(&w->in_fd);
	if (w->ws)
		ws_close(w->ws, 1000);
	http_server_free(w->http);
	for (int i = 0; i < 5; i++)
		loop_step(w->loop, 10);
	loop_free(w->loop);
	unlink(w->kubeconfig);
	free(w->kubeconfig);
	str_done(&w->typed);
	str_done(&w->out);
	str_done(&w->err);
	free(w);
	return 0;
}

static int pipe_stdin(struct world *w)
{
	int in[2];
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	w->in_fd = in[1];
	return in[0];
}

static void type_in(struct world *w, const char *text)
{
	assert_int_equal(write(w->in_fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* ---- tests ---- */

static void it_waits_shows_it_and_talks_over_pipes(void **state)
{
	struct world *w = *state;
	w->refusals = 2;
	run(w, pipe_stdin(w), "1");
	wait_for(w, &w->out, "login: ");
	assert_true(has(&w->err, "Waiting for a: VMI is not running"));
	assert_true(has(&w->err, "Successfully connected to a console."));
	type_in(w, "root\n");
	wait_for(w, &w->out, "root\n");
	assert_string_equal(str_cstr(&w->typed), "root\n");
	fd_closep(&w->in_fd); /* end of input: it ends by itself once the guest is quiet */
	assert_int_equal(exit_status(w), 0);
	assert_int_equal(w->asked, 3);
}

static void what_is_final_is_not_repeated(void **state)
{
	struct world *w = *state;
	w->refusals = 1;
	w->refusal_status = 404;
	run(w, open("/dev/null", O_RDONLY | O_CLOEXEC), "1");
	assert_int_equal(exit_status(w), 1);
	assert_int_equal(w->asked, 1);
	assert_true(has(&w->err, "Can't access VMI a: VMI is not running"));
}

/* start && console: the instance is not there yet, but will be */
static void a_vm_that_is_to_run_is_waited_for(void **state)
{
	struct world *w = *state;
	w->refusals = 1;
	w->refusal_status = 404;
	w->vm = "{\"kind\":\"VirtualMachine\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"runStrategy\":"
		"\"Always\"}}";
	run(w, pipe_stdin(w), "1");
	wait_for(w, &w->out, "login: ");
	assert_true(has(&w->err, "Waiting for a: VM is not started yet"));
	kill(w->pid, SIGTERM);
	assert_int_equal(exit_status(w), 0);
}

static void a_halted_vm_is_not_waited_for(void **state)
{
	struct world *w = *state;
	w->refusals = 1;
	w->refusal_status = 404;
	w->vm = "{\"kind\":\"VirtualMachine\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"runStrategy\":"
		"\"Halted\"}}";
	run(w, open("/dev/null", O_RDONLY | O_CLOEXEC), "1");
	assert_int_equal(exit_status(w), 1);
	assert_true(has(&w->err, "VM is halted; virtctl start a starts it"));
}

static void patience_ends(void **state)
{
	struct world *w = *state;
	w->refusals = 100;
	run(w, open("/dev/null", O_RDONLY | O_CLOEXEC), "0.03");
	assert_int_equal(exit_status(w), 1);
	assert_true(w->asked >= 2 && w->asked <= 3);
	assert_true(has(&w->err, "no console within 0.03 minutes"));
}

static void the_servers_end_is_the_end(void **state)
{
	struct world *w = *state;
	w->close_after_echo = true;
	run(w, pipe_stdin(w), "1");
	type_in(w, "x");
	if (exit_status(w) != 0)
		fail_msg("%s", str_cstr(&w->err));
	assert_true(has(&w->err, "The console was closed"));
}

/* A file is no pipe: the loop can not wait for it. */
static void input_may_be_a_file(void **state)
{
	struct world *w = *state;
	char path[] = "/tmp/virtctl-test-XXXXXX";
	int fd = mkstemp(path);
	assert_int_equal(write(fd, "abc\n", 4), 4);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	unlink(path);
	run(w, fd, "1");
	assert_int_equal(exit_status(w), 0);
	assert_string_equal(str_cstr(&w->typed), "abc\n");
	assert_true(has(&w->out, "abc"));
}

static void the_escape_character_ends_it_on_a_terminal(void **state)
{
	struct world *w = *state;
	w->in_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(w->in_fd >= 0);
	assert_int_equal(grantpt(w->in_fd), 0);
	assert_int_equal(unlockpt(w->in_fd), 0);
	int tty = open(ptsname(w->in_fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(tty >= 0);
	run(w, tty, "1");
	wait_for(w, &w->out, "login: ");
	assert_true(has(&w->err, "The escape sequence is ^]"));
	type_in(w, "ab\x03\x04"); /* control characters reach the guest */
	wait_for(w, &w->typed, "ab\x03\x04");
	type_in(w, "c\x1d"
		   "never");
	assert_int_equal(exit_status(w), 0);
	assert_string_equal(str_cstr(&w->typed), "ab\x03\x04"
						 "c");
}

int main(int argc, char **argv)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(it_waits_shows_it_and_talks_over_pipes),
		CASE(what_is_final_is_not_repeated),
		CASE(a_vm_that_is_to_run_is_waited_for),
		CASE(a_halted_vm_is_not_waited_for),
		CASE(patience_ends),
		CASE(the_servers_end_is_the_end),
		CASE(input_may_be_a_file),
		CASE(the_escape_character_ends_it_on_a_terminal),
	};
	if (argc < 2) {
		fprintf(stderr, "usage: console_test VIRTCTL\n");
		return 2;
	}
	program = argv[1];
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

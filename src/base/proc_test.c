/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/test_util.h"
#include "base/time.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SH(script) ((char *const[]){ "sh", "-c", script, NULL })

struct seen {
	struct loop *loop;
	struct proc_run *run;
	int calls, status;
	bool ok;
	char *out, *err;
	struct err e;
};

static void seen_done(struct seen *s)
{
	loop_free(s->loop);
	free(s->out);
	free(s->err);
}

static void on_done(void *arg, const struct proc_result *r)
{
	struct seen *s = arg;

	s->calls++;
	s->status = r->wait_status;
	s->ok = proc_ok(r);
	s->out = mem_strdup(r->out);
	s->err = mem_strdup(r->err);
	err_copy(&s->e, r->e);
	proc_run_free(s->run); /* in its own callback */
	s->run = NULL;
	loop_stop(s->loop);
}

#define SEEN(name) CLEANUP(seen_done) struct seen name = { .loop = loop_new() }

static void a_run_collects_output_and_status(void **state)
{
	SEEN(s);

	(void)state;
	s.run = proc_run(s.loop, SH("cat; echo oops >&2; exit 3"), "input", 0, on_done, &s);
	assert_int_equal(s.calls, 0);
	loop_run(s.loop);
	assert_int_equal(s.calls, 1);
	assert_false(s.ok);
	assert_int_equal(WEXITSTATUS(s.status), 3);
	assert_string_equal(s.out, "input");
	assert_string_equal(s.err, "oops\n");
	assert_int_equal(s.e.code, ERR_NONE);
}

static void much_output_on_both_sides_is_bounded_and_does_not_block(void **state)
{
	SEEN(s);

	(void)state;
	s.run = proc_run(s.loop,
		SH("head -c 3000000 /dev/zero | tr '\\0' e >&2; head -c 3000000 /dev/zero | tr '\\0' o"),
		NULL, 0, on_done, &s);
	loop_run(s.loop);
	assert_true(s.ok);
	assert_int_equal(strlen(s.out), PROC_OUTPUT_MAX);
	assert_int_equal(strlen(s.err), PROC_OUTPUT_MAX);
}

static void large_input_to_one_that_does_not_read_it(void **state)
{
	SEEN(s);
	CLEANUP(str_done) struct str big = { 0 };

	(void)state;
	for (int i = 0; i < 300000; i++)
		str_addc(&big, 'x');
	s.run = proc_run(s.loop, SH("true"), big.data, 0, on_done, &s);
	loop_run(s.loop);
	assert_true(s.ok);
}

static void a_program_that_is_not_there_is_told_later(void **state)
{
	SEEN(s);
	char *const argv[] = { "no-such-program-anywhere", NULL };

	(void)state;
	s.run = proc_run(s.loop, argv, NULL, 0, on_done, &s);
	assert_int_equal(s.calls, 0);
	loop_run(s.loop);
	assert_int_equal(s.status, -1);
	assert_int_equal(s.e.code, ERR_NOT_FOUND);
	assert_non_null(strstr(s.e.msg, "no-such-program-anywhere"));
}

static void time_up_kills(void **state)
{
	SEEN(s);

	(void)state;
	s.run = proc_run(s.loop, SH("exec sleep 60"), NULL, 50, on_done, &s);
	loop_run(s.loop);
	assert_int_equal(s.e.code, ERR_TIMEOUT);
	assert_true(WIFSIGNALED(s.status));
	assert_false(s.ok);
}

static void a_grandchild_with_the_pipes_is_not_waited_for(void **state)
{
	SEEN(s);
	int64_t t0 = time_mono_now(), pid;

	(void)state;
	s.run = proc_run(s.loop, SH("sleep 30 & echo $!"), NULL, 0, on_done, &s);
	loop_run(s.loop);
	assert_true(s.ok);
	assert_true(time_mono_now() - t0 < 20000);
	s.out[strlen(s.out) - 1] = '\0';
	assert_true(str_to_i64(s.out, 2, INT32_MAX, &pid));
	kill((pid_t)pid, SIGKILL);
}

static void freeing_kills_reaps_and_is_silent(void **state)
{
	SEEN(s);

	(void)state;
	proc_run_free(proc_run(s.loop, SH("exec sleep 60"), NULL, 1000, on_done, &s));
	char *const missing[] = { "/no/such", NULL };
	proc_run_free(proc_run(s.loop, missing, NULL, 0, on_done, &s));
	/* one that has ended meanwhile, but was not looked at */
	struct proc_run *r = proc_run(s.loop, SH("true"), NULL, 0, on_done, &s);
	usleep(20000);
	proc_run_free(r);
	siginfo_t si;
	for (int i = 0; i < 200 && waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0; i++)
		loop_step(s.loop, 20);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
	assert_int_equal(s.calls, 0);
}

static void spawn_failures_are_errors(void **state)
{
	struct proc_spec spec = PROC_SPEC_INIT;
	char *const dir[] = { "/", NULL }, *const ok[] = { "true", NULL };
	struct err e = { 0 };
	pid_t pid = 0;

	(void)state;
	spec.argv = dir;
	assert_int_equal(proc_spawn(&spec, &pid, &e), -1);
	assert_int_equal(e.code, ERR_SYSTEM);
	spec.argv = ok;
	spec.dir = "/no/such/dir";
	assert_int_equal(proc_spawn(&spec, &pid, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(pid, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static char *read_to_end(int fd)
{
	struct str s = { 0 };
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		str_addn(&s, buf, (size_t)n);
	return str_take(&s);
}

static void a_child_gets_its_descriptors_and_no_others(void **state)
{
	struct proc_spec spec = PROC_SPEC_INIT;
	int out[2], a[2], b[2];
	struct err e = { 0 };
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(out) | pipe(a) | pipe(b), 0); /* not CLOEXEC: must be closed all the same */
	assert_int_equal(write(a[1], "A", 1) + write(b[1], "B", 1), 2);
	/* ours already have the numbers the child wants: the second passed one is at the first's place */
	assert_int_equal(dup2(b[0], PROC_FD_BASE), PROC_FD_BASE);
	assert_int_equal(dup2(a[0], PROC_FD_BASE + 1), PROC_FD_BASE + 1);
	spec.argv = SH("head -c1 /proc/self/fd/10; head -c1 /proc/self/fd/11; "
		       "for f in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 26 27 28 29 30; do "
		       "test -e /proc/$$/fd/$f && echo -n \" $f\"; done; echo \" $V $PWD\"");
	spec.env = (char *const[]){ "V=value", "PATH=/usr/bin:/bin", NULL };
	spec.dir = "/usr";
	spec.stdout_fd = out[1];
	spec.fds[0] = PROC_FD_BASE + 1;
	spec.fds[1] = PROC_FD_BASE;
	spec.n_fds = 2;
	assert_int_equal(proc_spawn(&spec, &pid, &e), 0);
	close(out[1]);
	CLEANUP(mem_freep) char *text = read_to_end(out[0]);
	assert_string_equal(text, "AB 0 1 2 10 11 value /usr\n");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
		close(PROC_FD_BASE + i);
	}
	close(out[0]);
}

static void a_child_has_default_signals(void **state)
{
	CLEANUP(str_done) struct str out = { 0 };
	struct err e = { 0 };

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(proc_wait(SH("sed -n 's/^Sig[BI][lg][kn]:.//p' /proc/self/status"), &out, &e), 0);
	char *end;
	assert_true(strtoull(out.data, &end, 16) == 0);
	/* 32 and 33 are glibc's own: its posix_spawn(), as make uses it, leaves them ignored. */
	assert_true((strtoull(end, NULL, 16) & ~UINT64_C(0x180000000)) == 0);
}

static void wait_quotes_the_last_line_of_stderr(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(proc_wait(SH("echo first >&2; echo it broke >&2; exit 4"), NULL, &e), -1);
	assert_string_equal(e.msg, "sh exited with 4: it broke");
	assert_int_equal(proc_wait(SH("kill -9 $$"), NULL, &e), -1);
	assert_string_equal(e.msg, "sh was killed by signal 9");
}

static void dying_with_the_parent(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid_t parent = fork();
	if (parent == 0) {
		struct proc_spec spec = PROC_SPEC_INIT;
		pid_t pid;

		spec.argv = SH("exec sleep 60");
		spec.stdout_fd = p[1];
		spec.die_with_parent = true;
		_exit(proc_spawn(&spec, &pid, NULL) ? 1 : 0);
	}
	close(p[1]);
	CLEANUP(mem_freep) char *text = read_to_end(p[0]); /* ends only when the grandchild is dead */
	assert_string_equal(text, "");
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	close(p[0]);
}

static void start_time_names_a_process(void **state)
{
	(void)state;
	assert_true(proc_start_time(getpid()) > 0);
	assert_true(proc_start_time(getpid()) == proc_start_time(getpid()));
	assert_true(proc_start_time(1) <= proc_start_time(getpid()));
	assert_true(proc_start_time(-5) == 0);
	assert_true(proc_start_time(0x7ffffff0) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_collects_output_and_status),
		cmocka_unit_test(much_output_on_both_sides_is_bounded_and_does_not_block),
		cmocka_unit_test(large_input_to_one_that_does_not_read_it),
		cmocka_unit_test(a_program_that_is_not_there_is_told_later),
		cmocka_unit_test(time_up_kills),
		cmocka_unit_test(a_grandchild_with_the_pipes_is_not_waited_for),
		cmocka_unit_test(freeing_kills_reaps_and_is_silent),
		cmocka_unit_test(spawn_failures_are_errors),
		cmocka_unit_test(a_child_gets_its_descriptors_and_no_others),
		cmocka_unit_test(a_child_has_default_signals),
		cmocka_unit_test(wait_quotes_the_last_line_of_stderr),
		cmocka_unit_test(dying_with_the_parent),
		cmocka_unit_test(start_time_names_a_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

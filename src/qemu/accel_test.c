/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu/accel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/time.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void judged(struct accel_sample s, enum accel_verdict want, const char *part)
{
	struct accel_result r;

	accel_judge(&s, &r);
	assert_string_equal(accel_name(r.verdict), accel_name(want));
	if (!strstr(r.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, r.text);
}

/* qemu.md 1, 16.1, 16.2: the message shows the rate */
static void verdicts_follow_the_measurement(void **state)
{
	judged((struct accel_sample){ .step = ACCEL_STEP_OPEN, .sys = ENOENT }, ACCEL_ABSENT, "No such file");
	judged((struct accel_sample){ .step = ACCEL_STEP_OPEN, .sys = EACCES }, ACCEL_DENIED,
		"Permission denied");
	judged((struct accel_sample){ .step = ACCEL_STEP_SETUP, .sys = EINVAL }, ACCEL_BROKEN, "make a vCPU");
	judged((struct accel_sample){ .exit_reason = KVM_EXIT_IO,
		       .port = 0x3f8,
		       .value = 'K',
		       .done = 200000,
		       .ns = 400000 },
		ACCEL_USABLE, "500 million");
	judged((struct accel_sample){ .exit_reason = KVM_EXIT_IO,
		       .port = 0x3f8,
		       .value = 'K',
		       .done = 200000,
		       .ns = 224000000 },
		ACCEL_SLOW, "0.9 million");
	judged((struct accel_sample){ .exit_reason = -1, .done = 27000, .ns = 30000000 }, ACCEL_SLOW,
		"27000 of 200000");
	judged((struct accel_sample){ .exit_reason = KVM_EXIT_INTERNAL_ERROR }, ACCEL_BROKEN,
		"exit reason 17");
	judged(
		(struct accel_sample){
			.exit_reason = KVM_EXIT_IO, .port = 0x3f8, .value = 'X', .done = 200000, .ns = 1 },
		ACCEL_BROKEN, "exit reason 2");
}

static void hang(const char *path, struct accel_sample *ret)
{
	for (;;)
		pause();
}

static void die(const char *path, struct accel_sample *ret)
{
	_exit(9);
}

static void fast(const char *path, struct accel_sample *ret)
{
	*ret = (struct accel_sample){
		.exit_reason = KVM_EXIT_IO, .port = 0x3f8, .value = 'K', .done = 200000, .ns = 400000
	};
}

struct got {
	struct loop *loop;
	int n;
	struct accel_result r;
};

static void on_done(void *arg, const struct accel_result *r)
{
	struct got *g = arg;

	g->n++;
	g->r = *r;
	loop_stop(g->loop);
}

static struct accel_result probe(const char *path, accel_measure_fn *measure)
{
	struct got g = { .loop = loop_new() };
	struct accel_probe *p = accel_probe_new(g.loop, path, measure, on_done, &g);
	int64_t start = time_mono_now();

	loop_run(g.loop);
	assert_in_range(time_mono_now() - start, 0, 600);
	assert_int_equal(g.n, 1);
	accel_probe_free(p);
	loop_free(g.loop);
	return g.r;
}

/* qemu.md 16.1 */
static void every_kind_of_host_is_told_within_600_ms(void **state)
{
	assert_int_equal(probe("/nonexistent/kvm", NULL).verdict, ACCEL_ABSENT);
	assert_int_equal(probe("/dev/null", NULL).verdict, ACCEL_BROKEN); /* opens, but is no KVM */
	assert_int_equal(probe("/dev/kvm", hang).verdict, ACCEL_HUNG);
	assert_int_equal(probe("/dev/kvm", die).verdict, ACCEL_BROKEN);
	assert_int_equal(probe("/dev/kvm", fast).verdict, ACCEL_USABLE);
}

static void the_waiting_form_says_the_same(void **state)
{
	struct accel_result r;

	accel_probe_wait("/nonexistent/kvm", NULL, &r);
	assert_int_equal(r.verdict, ACCEL_ABSENT);
	accel_probe_wait("/dev/kvm", hang, &r);
	assert_int_equal(r.verdict, ACCEL_HUNG);
}

/* Whatever this host is, the real probe ends in time and explains itself. */
static void the_real_device_gets_a_verdict(void **state)
{
	struct accel_result r = probe("/dev/kvm", NULL);

	print_message("this host: %s, %s\n", accel_name(r.verdict), r.text);
	assert_true(r.text[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts_follow_the_measurement),
		cmocka_unit_test(every_kind_of_host_is_told_within_600_ms),
		cmocka_unit_test(the_waiting_form_says_the_same),
		cmocka_unit_test(the_real_device_gets_a_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

struct fixture {
	char dir[32];
	char *path;
};

static int setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	str_copy(f->dir, sizeof(f->dir), "/tmp/kube-config-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->path = file_join(f->dir, "config");
	unsetenv("KUBECONFIG");
	unsetenv("KUBERNETES_SERVICE_HOST");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	file_remove_tree(f->dir, NULL);
	free(f->path);
	free(f);
	return 0;
}

static void put(const char *path, const char *text)
{
	struct err e;

	assert_int_equal(file_write(path, text, strlen(text), 0600, &e), 0);
}

static const char sample[] =
	"apiVersion: v1\nkind: Config\ncurrent-context: b\n"
	"clusters:\n"
	"- name: c\n  cluster: {server: 'https://10.0.0.1:6443', certificate-authority-data: Q0E=}\n"
	"contexts:\n"
	"- name: a\n  context: {cluster: other, user: u}\n"
	"- name: b\n  context: {cluster: c, user: u, namespace: team}\n"
	"users:\n"
	"- name: u\n  user: {client-certificate: cert.pem, client-key-data: S0VZ, token: t0}\n";

static void reads_the_current_context(void **state)
{
	struct fixture *f = *state;
	struct kube_config c;
	struct err e;
	CLEANUP(mem_freep) char *cert = file_join(f->dir, "cert.pem");

	put(f->path, sample);
	put(cert, "CERT");
	assert_int_equal(kube_config_load(f->path, &c, &e), 0);
	assert_string_equal(c.host, "10.0.0.1");
	assert_int_equal(c.port, 6443);
	assert_string_equal(c.ca_pem, "CA");
	assert_string_equal(c.cert_pem, "CERT"); /* relative to the kubeconfig */
	assert_string_equal(c.key_pem, "KEY");
	assert_string_equal(c.token, "t0");
	assert_string_equal(c.namespace, "team");
	assert_false(c.insecure);
	kube_config_done(&c);
}

static void the_environment_names_the_file(void **state)
{
	struct fixture *f = *state;
	CLEANUP(mem_freep) char *cert = file_join(f->dir, "cert.pem");
	struct kube_config c;
	struct err e;

	put(f->path, sample);
	put(cert, "CERT");
	setenv("KUBECONFIG", f->path, 1);
	assert_int_equal(kube_config_load(NULL, &c, &e), 0);
	assert_string_equal(c.host, "10.0.0.1");
	kube_config_done(&c);
}

static void says_what_is_wrong(void **state)
{
	struct fixture *f = *state;
	struct kube_config c;
	struct err e;

	assert_int_equal(kube_config_load(f->path, &c, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	put(f->path, "current-context: x\ncontexts: []\n");
	assert_int_equal(kube_config_load(f->path, &c, &e), -1);
	assert_non_null(strstr(e.msg, "no context \"x\""));
	assert_non_null(strstr(e.msg, f->path));
	put(f->path, sample); /* its certificate file is not there */
	assert_int_equal(kube_config_load(f->path, &c, &e), -1);
	assert_non_null(strstr(e.msg, "cert.pem"));
}

static void what_is_written_reads_back(void **state)
{
	struct fixture *f = *state;
	struct kube_config in = { .host = "fd00::1",
		.port = 7443,
		.ca_pem = "CA",
		.cert_pem = "C\n",
		.key_pem = "K",
		.namespace = "n" };
	struct kube_config out;
	CLEANUP(mem_freep) char *text = kube_config_text(&in, "coracle");
	struct err e;

	put(f->path, text);
	assert_int_equal(kube_config_load(f->path, &out, &e), 0);
	assert_string_equal(out.host, "fd00::1");
	assert_int_equal(out.port, 7443);
	assert_string_equal(out.ca_pem, "CA");
	assert_string_equal(out.cert_pem, "C\n");
	assert_string_equal(out.key_pem, "K");
	assert_string_equal(out.namespace, "n");
	assert_null(out.token);
	kube_config_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_the_current_context, setup, teardown),
		cmocka_unit_test_setup_teardown(the_environment_names_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(says_what_is_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_written_reads_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

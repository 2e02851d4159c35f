/* SPDX-License-Identifier: Apache-2.0 */
/* The API server alone, for developing what talks to it; `coracle server` takes its place.
 *
 *   coracle-apiserver-dev DATA_DIR [PORT] [--bare] [--audit-log=FILE] [--max-requests-inflight=N]
 *     [--disable-admission-plugins=A,B] [--store=mem|etcd:URLS] [--etcd-ca=F] [--etcd-cert=F] [--etcd-key=F]
 *     [--etcd-prefix=P] */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/apiserver/apiserver.h"
#include "platform/admission/plugins.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stop(void *arg)
{
	loop_stop(arg);
}

static bool takes_store(const char *arg, struct store_choice *c)
{
	const struct {
		const char *name, **value;
	} options[] = { { "--store=", &c->store }, { "--etcd-ca=", &c->etcd_ca },
		{ "--etcd-cert=", &c->etcd_cert }, { "--etcd-key=", &c->etcd_key },
		{ "--etcd-prefix=", &c->etcd_prefix } };

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (!str_starts(arg, options[i].name))
			continue;
		*options[i].value = arg + strlen(options[i].name);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	struct store_choice choice = { 0 };
	struct apiserver_spec spec = { 0 };
	struct apiserver *s;
	struct loop_signal *term, *intr;
	struct err e = { 0 };
	int64_t port = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: coracle-apiserver-dev DATA_DIR [PORT] [--bare]\n");
		return 2;
	}
	log_init("apiserver", LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 2; i < argc; i++)
		if (str_eq(argv[i], "--bare"))
			spec.bare = true;
		else if (str_starts(argv[i], "--audit-log="))
			spec.audit_log = argv[i] + strlen("--audit-log=");
		else if (str_starts(argv[i], "--max-requests-inflight="))
			spec.max_inflight = (unsigned)strtoul(strchr(argv[i], '=') + 1, NULL, 10);
		else if (str_starts(argv[i], "--disable-admission-plugins=")) {
			if (plugins_parse(strchr(argv[i], '=') + 1, &spec.plugins_off, &e) < 0) {
				fprintf(stderr, "coracle-apiserver-dev: %s\n", e.msg);
				return 2;
			}
		} else if (!takes_store(argv[i], &choice) && !str_to_i64(argv[i], 0, 65535, &port))
			return 2;
	l = loop_new();
	spec.data_dir = argv[1];
	spec.port = (int)port;
	if (file_mkdirs(argv[1], 0700, &e) < 0 || !(spec.store = store_open(l, argv[1], &choice, &e)) ||
		!(s = apiserver_new(l, &spec, &e))) {
		log_error("%s", e.msg);
		return 1;
	}
	/* before the word that it is ready: who waits for that may end it at once */
	term = loop_signal_new(l, SIGTERM, stop, l);
	intr = loop_signal_new(l, SIGINT, stop, l);
	printf("%s\n", apiserver_kubeconfig(s));
	fflush(stdout);
	loop_run(l);
	loop_signal_free(term);
	loop_signal_free(intr);
	apiserver_free(s);
	store_free(spec.store);
	return 0;
}

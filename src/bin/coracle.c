/* SPDX-License-Identifier: Apache-2.0 */
/* coracle: a single-host Kubernetes that brings KubeVirt's API. Verbs and options. */
#include "bin/coracle.h"

#include "base/log.h"
#include "base/mem.h"
#include "platform/admission/plugins.h"
#include "platform/up/instance.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DEFAULT 6443
#define ALL_BUT_VERSION (VERB_BIT(VERB_MAX) - 1 - VERB_BIT(VERB_VERSION))
#define RUNS (VERB_BIT(VERB_UP) | VERB_BIT(VERB_SERVER))

static const struct verb_def {
	const char *name, *help;
	cmd_fn *fn;
} verbs[] = {
#define X(id, name, help, fn) [VERB_##id] = { #name, help, fn },
	VERBS(X)
#undef X
};

enum option_id {
	OPT_DATA_DIR,
	OPT_PORT,
	OPT_FOREGROUND,
	OPT_VERBOSE,
	OPT_BARE,
	OPT_YES,
	OPT_AUDIT,
	OPT_INFLIGHT,
	OPT_PLUGINS,
	OPT_LISTEN,
	OPT_STORE,
	OPT_ETCD_CA,
	OPT_ETCD_CERT,
	OPT_ETCD_KEY,
	OPT_ETCD_PREFIX
};
static const struct option_def {
	const char *name, *value, *help;
	unsigned verbs;
} options[] = {
	[OPT_DATA_DIR] = { "--data-dir", "DIR",
		"where everything is kept; one instance each (" INSTANCE_DIR_DEFAULT ")", ALL_BUT_VERSION },
	[OPT_PORT] = { "--port", "N", "port of the API server; 0 takes a free one (6443)",
		RUNS | VERB_BIT(VERB_DOCTOR) },
	[OPT_FOREGROUND] = { "--foreground", NULL, "stay in the foreground, which is what it does anyway",
		RUNS },
	[OPT_VERBOSE] = { "--verbose", NULL, "log more", RUNS },
	[OPT_BARE] = { "--bare", NULL, "the API server alone: no controllers, no service accounts",
		VERB_BIT(VERB_SERVER) },
	[OPT_AUDIT] = { "--audit-log", "FILE", "append a JSON line for every request answered", RUNS },
	[OPT_INFLIGHT] = { "--max-requests-inflight", "N",
		"requests of one user at work at a time; more wait their turn (400)", RUNS },
	[OPT_PLUGINS] = { "--disable-admission-plugins", "LIST",
		"built-in admission to do without, by Kubernetes' names: LimitRanger,ResourceQuota,...",
		RUNS },
	[OPT_LISTEN] = { "--listen", "ADDRESS", "serve on this address, too, not on 127.0.0.1 alone",
		VERB_BIT(VERB_SERVER) },
	[OPT_STORE] = { "--store", "STORE", "sqlite, mem, or etcd:https://HOST:PORT,... (sqlite)",
		VERB_BIT(VERB_SERVER) },
	[OPT_ETCD_CA] = { "--etcd-ca", "FILE", "CA of etcd's members", VERB_BIT(VERB_SERVER) },
	[OPT_ETCD_CERT] = { "--etcd-cert", "FILE", "client certificate for etcd", VERB_BIT(VERB_SERVER) },
	[OPT_ETCD_KEY] = { "--etcd-key", "FILE", "and its key", VERB_BIT(VERB_SERVER) },
	[OPT_ETCD_PREFIX] = { "--etcd-prefix", "KEY", "what keys in etcd begin with (/registry)",
		VERB_BIT(VERB_SERVER) },
	[OPT_YES] = { "--yes", NULL, "do not ask", VERB_BIT(VERB_UNINSTALL) },
};

int complain(const char *fmt, ...)
{
	va_list ap;

	fputs("coracle: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return 1;
}

static void print_option(const struct option_def *o)
{
	CLEANUP(mem_freep)
	char *left = str_printf("%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");

	printf("  %-16s %s\n", left, o->help);
}

void print_usage(void)
{
	printf("usage: coracle VERB [OPTION]...\n\n");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		printf("  %-16s %s\n", verbs[i].name, verbs[i].help);
	printf("\noptions:\n");
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		print_option(&options[i]);
	printf("  %-16s this text; after a verb, that verb's options\n", "--help");
}

static void print_verb(const struct verb_def *v)
{
	unsigned bit = VERB_BIT(v - verbs);

	printf("usage: coracle %s [OPTION]...\n  %s\n", v->name, v->help);
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (options[i].verbs & bit)
			print_option(&options[i]);
}

static const struct verb_def *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (str_eq(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static const char **store_option(struct args *a, enum option_id id)
{
	switch (id) {
	case OPT_ETCD_CA:
		return &a->store.etcd_ca;
	case OPT_ETCD_CERT:
		return &a->store.etcd_cert;
	case OPT_ETCD_KEY:
		return &a->store.etcd_key;
	case OPT_ETCD_PREFIX:
		return &a->store.etcd_prefix;
	default:
		return &a->store.store;
	}
}

/* 0, or -1 with the complaint made */
static int take(struct args *a, enum option_id id, const char *value)
{
	struct err e = { 0 };
	int64_t n;

	switch (id) {
	case OPT_DATA_DIR:
		free(a->data_dir);
		a->data_dir = *value ? instance_path(value) : NULL;
		if (!a->data_dir || str_eq(a->data_dir, "/"))
			return complain("--data-dir: '%s' can not be used", value), -1;
		return 0;
	case OPT_PORT:
		if (!str_to_i64(value, 0, 65535, &n))
			return complain("--port: '%s' is no port number", value), -1;
		a->port = (int)n;
		return 0;
	case OPT_FOREGROUND:
		return 0;
	case OPT_VERBOSE:
		a->verbose = true;
		return 0;
	case OPT_BARE:
		a->bare = true;
		return 0;
	case OPT_YES:
		a->yes = true;
		return 0;
	case OPT_AUDIT:
		if (!*value)
			return complain("--audit-log: it needs the name of a file"), -1;
		a->audit_log = value;
		return 0;
	case OPT_INFLIGHT:
		if (!str_to_i64(value, 1, 100000, &n))
			return complain("--max-requests-inflight: '%s' is no number from 1 to 100000", value),
			       -1;
		a->max_inflight = (unsigned)n;
		return 0;
	case OPT_PLUGINS:
		if (plugins_parse(value, &a->plugins_off, &e) < 0)
			return complain("--disable-admission-plugins: %s", e.msg), -1;
		return 0;
	case OPT_LISTEN:
		a->listen = value;
		return 0;
	default:
		*store_option(a, id) = value;
		return 0;
	}
}

static int option(struct args *a, const struct verb_def *v, char **argv, int *at)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct option_def *o = &options[i];
		size_t len = strlen(o->name);
		const char *arg = argv[*at], *value = NULL;

		if (strncmp(arg, o->name, len) != 0 || (arg[len] && arg[len] != '='))
			continue;
		if (!(o->verbs & VERB_BIT(v - verbs)))
			return complain("%s: %s has no such option; see coracle %s --help", v->name, o->name,
				       v->name),
			       -1;
		if (o->value)
			value = arg[len] ? arg + len + 1 : argv[++*at];
		if (!o->value && arg[len])
			return complain("%s takes no value", o->name), -1;
		if (o->value && !value)
			return complain("%s needs a value: %s", o->name, o->value), -1;
		return take(a, (enum option_id)i, value);
	}
	return complain("%s: what is '%s'? See coracle %s --help", v->name, argv[*at], v->name), -1;
}

static bool is_help(const char *word)
{
	return str_eq(word, "--help") || str_eq(word, "-h") || str_eq(word, "help");
}

int main(int argc, char **argv)
{
	CLEANUP(mem_freep) char *dir = NULL;
	struct args a = { .port = PORT_DEFAULT };
	const struct verb_def *v;
	int status;

	log_init("coracle", LOG_ERROR);
	if (argc < 2 || is_help(argv[1])) {
		print_usage();
		return argc < 2 ? 2 : 0;
	}
	v = find_verb(str_eq(argv[1], "--version") ? "version" : argv[1]);
	if (!v) {
		complain("there is no verb '%s'; see coracle --help", argv[1]);
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		if (is_help(argv[i])) {
			print_verb(v);
			free(a.data_dir);
			return 0;
		}
		if (option(&a, v, argv, &i) < 0) {
			free(a.data_dir);
			return 2;
		}
	}
	a.verb = (enum verb)(v - verbs);
	if (!a.data_dir)
		a.data_dir = mem_strdup(INSTANCE_DIR_DEFAULT);
	a.default_dir = str_eq(a.data_dir, INSTANCE_DIR_DEFAULT);
	dir = a.data_dir;
	status = v->fn(&a);
	return status;
}

int cmd_version(const struct args *a)
{
	(void)a;
	puts(CORACLE_VERSION);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/virtctl/virtctl.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

static const struct command {
	const char *name, *args;
	size_t min_args, max_args;
	virtctl_fn *fn;
	const char *help;
	const char *first; /* what args[0] may be, by |; NULL: a name */
} commands[] = {
	{ "start", "VM", 1, 1, verbs_run, "start a virtual machine" },
	{ "stop", "VM", 1, 1, verbs_run, "stop a virtual machine" },
	{ "restart", "VM", 1, 1, verbs_run, "restart a virtual machine" },
	{ "migrate", "VM", 1, 1, verbs_run, "move a running virtual machine" },
	{ "pause", "vm|vmi NAME", 2, 2, verbs_run, "hold a guest", "vm|vmi" },
	{ "unpause", "vm|vmi NAME", 2, 2, verbs_run, "let a held guest go on", "vm|vmi" },
	{ "console", "VM", 1, 1, console_run, "connect to the serial console; ^] ends" },
	{ "addvolume", "VM", 1, 1, volumes_run, "plug a claim or DataVolume into a guest" },
	{ "removevolume", "VM", 1, 1, volumes_run, "unplug a volume" },
	{ "rollout", "status|diff VM", 2, 2, rollout_run, "what of its edits a running guest has",
		"status|diff" },
	{ "expand", "", 0, 0, expand_run, "a VM with its instance type and preference applied" },
	{ "version", "", 0, 0, version_run, "versions of virtctl and of the server" },
	{ NULL },
};

static const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (str_eq(c->name, name))
			return c;
	return NULL;
}

static void usage(FILE *to)
{
	fputs("virtctl controls virtual machines.\n\nusage: virtctl [-n NAMESPACE] [--kubeconfig FILE] "
	      "COMMAND ...\n\n",
		to);
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "  %-12s %-14s %s\n", c->name, c->args, c->help);
	fputs("\noptions:\n"
	      "  -n, --namespace NS     namespace; that of the kubeconfig unless given\n"
	      "      --kubeconfig FILE  how to reach the server; $KUBECONFIG unless given\n"
	      "      --paused           start: hold the guest before its first instruction\n"
	      "      --force            restart, stop: with --grace-period\n"
	      "      --grace-period N   seconds the guest may take to shut down\n"
	      "      --addedNodeSelector K=V  migrate: labels that the target node must have\n"
	      "      --timeout MINUTES  or a duration like 90s. console: how long to wait for the guest "
	      "(5);\n"
	      "                         rollout status --watch: how long to wait at all\n"
	      "  -w, --watch            rollout status: wait until nothing is on its way\n"
	      "  -o, --output json      rollout: for programs; expand: json or yaml (yaml)\n"
	      "      --vm VM            expand: one that is there\n"
	      "  -f, --file FILE        expand: one that is not; - is standard input\n"
	      "      --volume-name NAME addvolume, removevolume: claim or DataVolume, and name of the "
	      "volume\n"
	      "      --disk-name NAME   addvolume: another name of volume and disk; of a CD-ROM drive, to "
	      "insert it\n"
	      "      --disk-type TYPE   addvolume: disk (unless given), lun or cdrom\n"
	      "      --bus BUS          addvolume: scsi (unless given) or virtio\n"
	      "      --serial TEXT      addvolume: serial number the guest sees; the volume's name unless "
	      "given\n"
	      "      --cache MODE       addvolume: none, writethrough, writeback, directsync or default\n"
	      "      --persist          addvolume, removevolume: no difference; what a VM has is in its "
	      "template\n"
	      "      --dry-run          check only\n"
	      "  -c, --client           version: virtctl's own\n",
		to);
}

enum {
	OPT_KUBECONFIG = 256,
	OPT_PAUSED,
	OPT_FORCE,
	OPT_GRACE,
	OPT_TIMEOUT,
	OPT_DRY_RUN,
	OPT_SELECTOR,
	OPT_VM,
	OPT_PERSIST,
	OPT_TEXT /* and up: texts[] */
};

static const struct {
	size_t at; /* in struct virtctl */
	const char *name, *choices;
} texts[] = {
	{ offsetof(struct virtctl, volume), "volume-name" },
	{ offsetof(struct virtctl, disk_name), "disk-name" },
	{ offsetof(struct virtctl, serial), "serial" },
	{ offsetof(struct virtctl, cache), "cache", "default|none|writethrough|writeback|directsync" },
	{ offsetof(struct virtctl, disk_type), "disk-type", "disk|lun|cdrom" },
	{ offsetof(struct virtctl, bus), "bus", "scsi|virtio|sata" },
};

static const struct option longs[] = { { "namespace", required_argument, NULL, 'n' },
	{ "kubeconfig", required_argument, NULL, OPT_KUBECONFIG },
	{ "paused", no_argument, NULL, OPT_PAUSED }, { "force", no_argument, NULL, OPT_FORCE },
	{ "grace-period", required_argument, NULL, OPT_GRACE },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT }, { "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "addedNodeSelector", required_argument, NULL, OPT_SELECTOR }, { "client", no_argument, NULL, 'c' },
	{ "watch", no_argument, NULL, 'w' }, { "output", required_argument, NULL, 'o' },
	{ "vm", required_argument, NULL, OPT_VM }, { "file", required_argument, NULL, 'f' },
	{ "persist", no_argument, NULL, OPT_PERSIST }, { "volume-name", required_argument, NULL, OPT_TEXT },
	{ "disk-name", required_argument, NULL, OPT_TEXT + 1 },
	{ "serial", required_argument, NULL, OPT_TEXT + 2 },
	{ "cache", required_argument, NULL, OPT_TEXT + 3 },
	{ "disk-type", required_argument, NULL, OPT_TEXT + 4 },
	{ "bus", required_argument, NULL, OPT_TEXT + 5 }, { "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 } };

/* KubeVirt's virtctl takes minutes, kubectl a duration. */
static bool read_timeout(const char *text, double *ret_minutes)
{
	char *end;
	double minutes = strtod(text, &end);
	int64_t ms;

	if (!*text || *end) {
		if (!time_parse_duration(text, &ms))
			return false;
		minutes = (double)ms / 60000;
	}
	if (!(minutes >= 0 && minutes <= 1e6))
		return false;
	*ret_minutes = minutes;
	return true;
}

static int bad(const char *text, const char *what)
{
	fprintf(stderr, "virtctl: %s: %s\n", text, what);
	return -1;
}

static bool one_of(const char *word, const char *list)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(list);
	char *rest = copy;

	for (char *item; (item = str_next(&rest, '|'));)
		if (str_eq(item, word))
			return true;
	return false;
}

/* An option that is a text of its own. */
static int text_option(struct virtctl *v, size_t i)
{
	CLEANUP(mem_freep)
	char *what = str_printf("--%s can be %s", texts[i].name, texts[i].choices ? texts[i].choices : "");

	*(const char **)((char *)v + texts[i].at) = optarg;
	return !texts[i].choices || one_of(optarg, texts[i].choices) ? 0 : bad(what, optarg);
}

static int option(struct virtctl *v, int o)
{
	if (o >= OPT_TEXT && o < OPT_TEXT + (int)ARRAY_LEN(texts))
		return text_option(v, (size_t)(o - OPT_TEXT));
	switch (o) {
	case OPT_PERSIST:
		v->persist = true;
		return 0;
	case 'n':
		v->ns = optarg;
		return 0;
	case 'c':
		v->client_only = true;
		return 0;
	case 'w':
		v->watch = true;
		return 0;
	case 'o':
		v->output = optarg;
		return str_eq(optarg, "json") || str_eq(optarg, "yaml")
			       ? 0
			       : bad("--output can be json or yaml", optarg);
	case 'f':
		v->file = optarg;
		return 0;
	case OPT_VM:
		v->vm = optarg;
		return 0;
	case OPT_KUBECONFIG:
		v->kubeconfig = optarg;
		return 0;
	case OPT_PAUSED:
		v->paused = true;
		return 0;
	case OPT_FORCE:
		v->force = true;
		return 0;
	case OPT_DRY_RUN:
		v->dry_run = true;
		return 0;
	case OPT_SELECTOR:
		v->node_selector = optarg;
		return 0;
	case OPT_GRACE:
		if (!str_to_i64(optarg, 0, INT32_MAX, &v->grace_seconds))
			return bad("--grace-period is not a number of seconds", optarg);
		return 0;
	case OPT_TIMEOUT:
		v->timeout_given = true;
		if (!read_timeout(optarg, &v->timeout_minutes))
			return bad(
				"--timeout is neither a number of minutes nor a duration like 90s", optarg);
		return 0;
	default:
		fputs("try virtctl --help\n", stderr);
		return -1;
	}
}

static int check(struct virtctl *v)
{
	const struct command *c = command_find(v->command);

	if (!c)
		return bad("unknown command", v->command);
	if (v->n_args < c->min_args || v->n_args > c->max_args) {
		fprintf(stderr, "usage: virtctl %s %s\n", c->name, c->args);
		return -1;
	}
	if (c->first && !one_of(v->args[0], c->first)) {
		CLEANUP(mem_freep) char *text = str_printf("%s is expected before the name, not", c->first);
		return bad(text, v->args[0]);
	}
	if (str_eq(v->command, "expand") && !v->vm == !v->file)
		return bad("either --vm or --file is needed", v->command);
	if (str_eq(v->output, "yaml") && !str_eq(v->command, "expand"))
		return bad("--output can be json", v->output);
	if (c->fn == volumes_run && str_empty(v->volume))
		return bad("--volume-name is needed", v->command);
	/* KubeVirt's virtctl takes both or none. */
	if (v->force != (v->grace_seconds >= 0))
		return bad("--force and --grace-period go together", v->command);
	return 0;
}

int virtctl_parse(int argc, char **argv, struct virtctl *v)
{
	*v = (struct virtctl){ .grace_seconds = -1, .timeout_minutes = VIRTCTL_CONSOLE_TIMEOUT_MIN };
	optind = 0; /* start afresh: tests parse many command lines */
	for (int o; (o = getopt_long(argc, argv, "n:cwo:f:h", longs, NULL)) != -1;) {
		if (o == 'h') {
			usage(stdout);
			return 1;
		}
		if (option(v, o) < 0)
			return -1;
	}
	if (optind == argc) {
		usage(stderr);
		return -1;
	}
	v->command = argv[optind++];
	if (str_eq(v->command, "help")) {
		usage(stdout);
		return 1;
	}
	for (; optind < argc; optind++) {
		if (v->n_args == ARRAY_LEN(v->args))
			return bad("too many arguments", argv[optind]);
		v->args[v->n_args++] = argv[optind];
	}
	return check(v);
}

static int connect_server(struct virtctl *v, struct err *e)
{
	if (v->client_only)
		return 0;
	/* Where none is set up: that of the instance on this host, as `coracle up` leaves it. */
	bool fall_back = !v->kubeconfig && file_exists(VIRTCTL_HOST_KUBECONFIG);
	if (kube_config_load(v->kubeconfig, &v->config, e) < 0 &&
		(!fall_back || kube_config_load(VIRTCTL_HOST_KUBECONFIG, &v->config, e) < 0))
		return -1;
	if (!v->ns)
		v->ns = v->config.namespace;
	v->loop = loop_new();
	v->client = kube_client_new(v->loop, &v->config, e);
	return v->client ? 0 : -1;
}

int virtctl_main(int argc, char **argv)
{
	struct virtctl v;
	struct err e;
	int rc = virtctl_parse(argc, argv, &v);

	if (rc)
		return rc < 0 ? 2 : 0;
	log_init("virtctl", LOG_WARN);
	signal(SIGPIPE, SIG_IGN);
	rc = connect_server(&v, &e);
	if (rc == 0)
		rc = command_find(v.command)->fn(&v, &e);
	if (rc < 0) {
		fprintf(stderr, "%s\n", e.msg);
		if (v.client && e.code != ERR_UNREACHABLE)
			version_compare(&v);
	}
	kube_client_free(v.client);
	loop_free(v.loop);
	kube_config_done(&v.config);
	return rc >= 0 ? rc : v.trouble ? v.trouble : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* coracle kubeconfig, down, uninstall: what is done to an instance from outside. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/time.h"
#include "bin/coracle.h"
#include "kube/client.h"
#include "platform/agent/agent.h"
#include "platform/net/net.h"
#include "platform/up/drain.h"
#include "platform/up/instance.h"
#include "platform/up/release.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KUBECONFIG_MAX (256 * 1024)
#define ANSWER_WAIT_MS 20000
#define ANSWER_AGAIN_MS 50 /* another process is being waited for: there is no event */
#define STOP_WAIT_MS 60000 /* then SIGKILL; guests do not mind */
#define KILL_WAIT_MS 5000

int cmd_kubeconfig(const struct args *a)
{
	CLEANUP(mem_freep) char *path = file_join(a->data_dir, "kubeconfig");
	CLEANUP(mem_freep) char *text = NULL;
	struct err e = { 0 };

	if (file_read(path, KUBECONFIG_MAX, &text, NULL, &e) < 0)
		return complain("%s; is there an instance in %s?", e.msg, a->data_dir);
	fputs(text, stdout);
	return 0;
}

static void say_line(void *arg, const char *line)
{
	puts(line);
}

/* Asked to stop, then made to. */
static int stop_process(const char *data_dir, struct err *e)
{
	struct instance i;
	struct err gone = { 0 };

	instance_look(data_dir, &i);
	if (!i.running)
		return 0;
	if (instance_signal(&i, SIGTERM, &gone) < 0 && gone.code != ERR_NOT_FOUND) {
		err_copy(e, &gone);
		return -1;
	}
	if (instance_wait_gone(data_dir, STOP_WAIT_MS))
		return 0;
	instance_signal(&i, SIGKILL, NULL);
	if (!instance_wait_gone(data_dir, KILL_WAIT_MS))
		return err_set(e, ERR_TIMEOUT, "process %d does not end", (int)i.pid);
	return 0;
}

/* ---- down ---- */
static int wait_answer(struct kube_client *c, struct err *e)
{
	int64_t until = time_mono_now() + ANSWER_WAIT_MS;

	for (;;) {
		CLEANUP(str_done) struct str body = { 0 };
		int status = 0;

		err_clear(e);
		if (kube_raw_wait(c, "GET", "/readyz", NULL, NULL, 0, &status, &body, e) == 0 &&
			status == 200)
			return 0;
		if (time_mono_now() >= until)
			return e->code ? -1 : err_set(e, ERR_TIMEOUT, "the API server does not answer");
		poll(NULL, 0, ANSWER_AGAIN_MS);
	}
}

static struct kube_client *connect_to(struct loop *l, const char *data_dir, struct err *e)
{
	CLEANUP(mem_freep) char *path = file_join(data_dir, "kubeconfig");
	struct kube_config config = { 0 };
	struct kube_client *c = NULL;

	if (kube_config_load(path, &config, e) == 0)
		c = kube_client_new(l, &config, e);
	kube_config_done(&config);
	return c;
}

static int drain(const char *data_dir, struct err *e)
{
	struct loop *l = loop_new();
	struct kube_client *c = connect_to(l, data_dir, e);
	int r = -1;

	if (c) {
		r = wait_answer(c, e);
		if (r == 0)
			r = drain_wait(c, say_line, NULL, e);
		kube_client_free(c);
	}
	loop_free(l);
	return r;
}

/* Virtual machines that outlived their control plane are stopped through it like any other. */
static int start_again(const struct args *a, const struct instance *last, struct err *e)
{
	CLEANUP(mem_freep) char *own = release_own_dir(e);
	CLEANUP(mem_freep) char *program = own ? file_join(own, "coracle") : NULL;
	CLEANUP(mem_freep) char *port = str_printf("%d", last->port ? last->port : a->port);
	struct proc_spec spec = PROC_SPEC_INIT;
	struct instance i;
	pid_t pid;
	int64_t until = time_mono_now() + ANSWER_WAIT_MS;

	if (!own)
		return -1;
	spec.argv = (char *const[]){ program, "up", "--data-dir", a->data_dir, "--port", port, NULL };
	spec.new_session = true;
	if (proc_spawn(&spec, &pid, e) < 0)
		return -1;
	do {
		poll(NULL, 0, ANSWER_AGAIN_MS);
		instance_look(a->data_dir, &i);
		if (i.running && i.pid == pid)
			return 0;
	} while (time_mono_now() < until);
	return err_set(e, ERR_TIMEOUT, "coracle up does not start; see %s/logs/coracle.log", a->data_dir);
}

static bool has_pods(const char *data_dir)
{
	CLEANUP(mem_freep) char *dir = file_join(data_dir, "pods");
	CLEANUP(strv_done) struct strv names = { 0 };

	return file_list(dir, &names, NULL) == 0 && names.len > 0;
}

int cmd_down(const struct args *a)
{
	CLEANUP(mem_freep) char *mark = file_join(a->data_dir, DRAIN_ALL_MARK);
	struct instance i;
	struct err e = { 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	instance_look(a->data_dir, &i);
	if (!i.running && !has_pods(a->data_dir)) {
		printf("Nothing runs in %s.\n", a->data_dir);
		return 0;
	}
	if (!i.running && start_again(a, &i, &e) < 0)
		return complain("%s", e.msg);
	printf("Stopping virtual machines ...\n");
	if (drain(a->data_dir, &e) < 0)
		return complain("%s; the control plane was left running, its node closed for new pods "
				"(kubectl uncordon opens it)",
			e.msg);
	printf("Stopping the control plane ...\n");
	if (file_write(mark, "", 0, 0600, &e) < 0 || stop_process(a->data_dir, &e) < 0)
		return complain("%s", e.msg);
	printf("Everything has stopped; the next up starts it again.\n");
	return 0;
}

/* ---- uninstall ---- */
static bool confirmed(const struct args *a)
{
	char answer[16] = "";

	if (a->yes)
		return true;
	if (!isatty(STDIN_FILENO)) {
		complain("uninstall: there is nobody to ask; say --yes");
		return false;
	}
	printf("This kills every virtual machine of %s and removes all of it, disks included. Type yes: ",
		a->data_dir);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && str_eq(answer, "yes\n");
}

/* What several instances share goes with the last one. */
static void remove_shared(const struct args *a)
{
	if (a->default_dir) {
		unlink(INSTANCE_ETC_DIR "/kubeconfig");
		rmdir(INSTANCE_ETC_DIR);
	}
	rmdir("/run/coracle/net");
	rmdir("/run/coracle");
}

int cmd_uninstall(const struct args *a)
{
	bool there = file_exists(a->data_dir), ours = there && instance_is_ours(a->data_dir);
	/* What somebody began to delete by hand: processes and network can be found without it. */
	bool ran = net_claimed(a->data_dir) >= 0;
	struct err e = { 0 };

	if (!there && !ran) {
		remove_shared(a);
		printf("There is nothing in %s.\n", a->data_dir);
		return 0;
	}
	if (!ours && !ran)
		return complain("%s does not look like ours: not removed", a->data_dir);
	if (!confirmed(a))
		return 1;
	if ((there && stop_process(a->data_dir, &e) < 0) || agent_remove_all(a->data_dir, &e) < 0 ||
		instance_remove(a->data_dir, &e) < 0)
		return complain("%s", e.msg);
	remove_shared(a);
	if (file_exists(a->data_dir))
		printf("All that ran in %s is removed. What is in it now does not look like ours: left "
		       "there.\n",
			a->data_dir);
	else
		printf("%s and all that ran there is removed.\n", a->data_dir);
	return 0;
}

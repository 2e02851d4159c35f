/* SPDX-License-Identifier: Apache-2.0 */
/* Secondary interfaces of pods: a veth pair each, the host's end on a bridge. As the reference plugin "bridge" without address
 * management does it. */
#include "platform/net/net_impl.h"

#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void hash_of(const char *pod_uid, const char *ifname, char ret[SHA256_HEX_LEN + 1])
{
	CLEANUP(mem_freep) char *text = str_printf("%s/%s", pod_uid, ifname);

	crypto_sha256_hex(text, strlen(text), ret);
}

/* Of a pod's first interface it is cvN- and 8 digits: remove_links() finds both. */
static void host_end(const struct net *n, const char *pod_uid, const char *ifname, char ret[IFNAMSIZ])
{
	char hex[SHA256_HEX_LEN + 1];

	hash_of(pod_uid, ifname, hex);
	snprintf(ret, IFNAMSIZ, "cv%d-%.9s", n->n, hex);
}

void net_make_mac(const char *pod_uid, const char *ifname, char ret[18])
{
	char hex[SHA256_HEX_LEN + 1];

	hash_of(pod_uid, ifname, hex);
	snprintf(ret, 18, "02:%.2s:%.2s:%.2s:%.2s:%.2s", hex, hex + 2, hex + 4, hex + 6, hex + 8);
}

/* ---- bridges ---- */
static char *made_dir(int instance)
{
	return str_printf("%s/%d.bridges", NET_CLAIM_DIR, instance);
}

static int set_up(const char *name, struct err *e)
{
	CLEANUP(fd_closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { 0 };

	str_copy(r.ifr_name, sizeof(r.ifr_name), name);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r) < 0)
		return err_sys(e, "flags of %s", name);
	r.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		return err_sys(e, "taking %s up", name);
	return 0;
}

/* Noted before it is made: what is found at the end and is not noted is somebody else's. */
static int bridge_ready(const struct net *n, const char *name, struct err *e)
{
	CLEANUP(mem_freep) char *sys = str_printf("/sys/class/net/%s", name);
	CLEANUP(mem_freep) char *type = str_printf("%s/bridge", sys);
	CLEANUP(mem_freep) char *dir = made_dir(n->n);
	CLEANUP(mem_freep) char *note = file_join(dir, name);
	CLEANUP(fd_closep) int fd = -1;

	if (file_exists(sys)) {
		if (!file_exists(type))
			return err_set(e, ERR_INVALID, "%s is there and is no bridge", name);
		return set_up(name, e);
	}
	if (file_mkdirs(dir, 0755, e) < 0 || file_write(note, "", 0, 0644, e) < 0)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || (ioctl(fd, SIOCBRADDBR, name) < 0 && errno != EEXIST))
		return err_sys(e, "making bridge %s", name);
	return set_up(name, e);
}

void net_remove_bridges(int instance)
{
	CLEANUP(mem_freep) char *dir = made_dir(instance);
	CLEANUP(strv_done) struct strv names = { 0 };

	file_list(dir, &names, NULL);
	for (size_t i = 0; i < names.len; i++) {
		CLEANUP(mem_freep) char *ports = str_printf("/sys/class/net/%s/brif", names.items[i]);
		CLEANUP(strv_done) struct strv in = { 0 };

		file_list(ports, &in, NULL);
		if (file_exists(ports) && !in.len)
			proc_wait((char *const[]){ "ip", "link", "del", names.items[i], NULL }, NULL, NULL);
	}
	file_remove_tree(dir, NULL);
}

/* ---- links ---- */
static void finish(struct net_job *j, const struct err *why)
{
	net_done_fn *fn = j->fn;
	void *arg = j->arg;
	struct err e = { 0 };

	if (why)
		err_copy(&e, why);
	net_job_free(j);
	fn(arg, why ? &e : NULL);
}

static void plugged(void *arg, const struct proc_result *r)
{
	struct net_job *j = arg;
	struct err e = { 0 };

	j->run = NULL;
	if (r->e && r->e->code)
		err_copy(&e, r->e);
	else if (!proc_ok(r))
		err_set(&e, ERR_INTERNAL, "%.*s", (int)(r->err_len < 400 ? r->err_len : 400), r->err);
	else
		net_join_bridge(j, &e);
	finish(j, e.code ? &e : NULL);
}

static void plug(void *arg, const struct proc_result *before)
{
	struct net_job *j = arg;
	CLEANUP(mem_freep) char *opt = str_printf("--net=%s", j->path);
	struct err e;

	(void)before; /* that it was not there is as good */
	j->run = NULL;
	if (bridge_ready(j->net, j->bridge, &e) < 0) {
		finish(j, &e);
		return;
	}
	j->run = proc_run(j->net->loop, (char *const[]){ "nsenter", opt, "ip", "-batch", "-", NULL },
		j->batch, NET_ATTACH_TIMEOUT_MS, plugged, j);
}

struct net_job *net_plug(struct net *n, const char *pod_uid, const char *path, const struct net_link *l,
	net_done_fn *fn, void *arg)
{
	struct net_job *j = MEM_NEW(struct net_job);
	struct str in = { 0 };

	j->net = n;
	j->fn = fn;
	j->arg = arg;
	j->path = mem_strdup(path);
	str_copy(j->bridge, sizeof(j->bridge), l->bridge);
	host_end(n, pod_uid, l->ifname, j->veth);
	str_addf(&in, "link add %s address %s", l->ifname, l->mac);
	if (l->mtu)
		str_addf(&in, " mtu %d", l->mtu);
	str_addf(&in, " type veth peer name %s", j->veth);
	if (l->mtu)
		str_addf(&in, " mtu %d", l->mtu);
	str_addf(&in, " netns %d\nlink set %s up\n", (int)getpid(), l->ifname);
	j->batch = str_take(&in);
	/* Of an attempt that was interrupted; also the way to call back in a later turn only. */
	j->run = proc_run(n->loop, (char *const[]){ "ip", "link", "del", j->veth, NULL }, NULL,
		NET_ATTACH_TIMEOUT_MS, plug, j);
	return j;
}

static void unplugged(void *arg, const struct proc_result *r)
{
	struct net_job *j = arg;
	CLEANUP(mem_freep) char *sys = str_printf("/sys/class/net/%s", j->veth);
	struct err e;

	j->run = NULL;
	err_set(&e, ERR_INTERNAL, "removing %s: %.*s", j->veth, (int)(r->err_len < 400 ? r->err_len : 400),
		r->err ? r->err : "");
	finish(j, file_exists(sys) ? &e : NULL);
}

static void link_gone(void *arg, const struct proc_result *r)
{
}

struct net_job *net_unplug(struct net *n, const char *pod_uid, const char *ifname, net_done_fn *fn, void *arg)
{
	struct net_job *j;
	char veth[IFNAMSIZ];
	char *argv[] = { "ip", "link", "del", veth, NULL };

	host_end(n, pod_uid, ifname, veth);
	if (!fn) {
		proc_run_forget(proc_run(n->loop, argv, NULL, NET_ATTACH_TIMEOUT_MS, link_gone, NULL));
		return NULL;
	}
	j = MEM_NEW(struct net_job);
	j->net = n;
	j->fn = fn;
	j->arg = arg;
	str_copy(j->veth, sizeof(j->veth), veth);
	j->run = proc_run(n->loop, argv, NULL, NET_ATTACH_TIMEOUT_MS, unplugged, j);
	return j;
}

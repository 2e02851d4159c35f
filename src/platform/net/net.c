/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/net/net.h"

#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "platform/net/net_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NET_HOSTS 65533 /* .0.2 onwards */
#define CLAIM_MAX 4096

/* ---- which N ---- */
static char *claim_path(int n)
{
	return str_printf("%s/%d", NET_CLAIM_DIR, n);
}

static bool claimed_by(int n, const char *data_dir, bool *ret_taken)
{
	CLEANUP(mem_freep) char *path = claim_path(n);
	CLEANUP(mem_freep) char *text = NULL;

	*ret_taken = file_read(path, CLAIM_MAX, &text, NULL, NULL) == 0;
	return *ret_taken && str_eq(text, data_dir);
}

static int claim(const char *data_dir, int *ret, struct err *e)
{
	bool taken;

	if (file_mkdirs(NET_CLAIM_DIR, 0755, e) < 0)
		return -1;
	for (int i = 0; i < NET_INSTANCES_MAX; i++)
		if (claimed_by(i, data_dir, &taken)) {
			*ret = i;
			return 0;
		}
	for (int i = 0; i < NET_INSTANCES_MAX; i++) {
		CLEANUP(mem_freep) char *path = claim_path(i);
		CLEANUP(mem_freep) char *sys = str_printf("/sys/class/net/cor%d", i);
		CLEANUP(fd_closep) int fd = -1;

		if (file_exists(sys))
			continue;
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0)
			continue;
		if (write(fd, data_dir, strlen(data_dir)) != (ssize_t)strlen(data_dir))
			return err_sys(e, "writing %s", path);
		*ret = i;
		return 0;
	}
	return err_set(e, ERR_UNAVAILABLE, "all %d pod networks of this host are taken; see %s",
		NET_INSTANCES_MAX, NET_CLAIM_DIR);
}

/* ---- bridge and masquerading ---- */
/* Both programs want a file; one in memory is not left behind if we are killed. */
static int run_with_input(const char *const *argv, const char *input, struct err *e)
{
	CLEANUP(fd_closep) int fd = memfd_create("input", MFD_CLOEXEC);
	CLEANUP(mem_freep) char *path = str_printf("/proc/%d/fd/%d", (int)getpid(), fd);
	struct strv v = { 0 };
	int r;

	if (fd < 0 || write(fd, input, strlen(input)) != (ssize_t)strlen(input))
		return err_sys(e, "input of %s", argv[0]);
	for (size_t i = 0; argv[i]; i++)
		strv_add(&v, argv[i]);
	strv_add(&v, path);
	r = proc_wait(strv_argv(&v), NULL, e);
	strv_done(&v);
	return r;
}

static int bridge_up(struct net *n, struct err *e)
{
	CLEANUP(mem_freep) char *sys = str_printf("/sys/class/net/%s", n->bridge);
	CLEANUP(str_done) struct str in = { 0 };

	if (!file_exists(sys))
		/* Without one of its own a bridge takes the lowest of its ports' addresses: pods that
		 * come and go would change the gateway's, and the others send into the void for seconds. */
		str_addf(&in, "link add %s address 02:00:0a:%02x:00:01 type bridge\n", n->bridge,
			(unsigned)(40 + n->n));
	str_addf(&in, "addr replace %s/16 dev %s\nlink set %s up\n", n->bridge_ip, n->bridge, n->bridge);
	if (run_with_input((const char *[]){ "ip", "-batch", NULL }, in.data, e) < 0)
		return err_wrap(e, "bridge %s", n->bridge);
	if (file_exists("/proc/sys/net/ipv4/ip_forward")) {
		CLEANUP(fd_closep) int fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "1", 1) != 1)
			log_warn("ip_forward can not be set; pods will not reach other hosts");
	}
	str_clear(&in);
	str_addf(&in,
		"table ip coracle%d\ndelete table ip coracle%d\ntable ip coracle%d {\n"
		"\tchain post {\n\t\ttype nat hook postrouting priority srcnat;\n"
		"\t\tip saddr 10.%d.0.0/16 ip daddr != 10.%d.0.0/16 masquerade\n\t}\n}\n",
		n->n, n->n, n->n, 40 + n->n, 40 + n->n);
	if (run_with_input((const char *[]){ "nft", "-f", NULL }, in.data, e) < 0) {
		log_warn("no masquerading, pods reach this host only: %s", e ? e->msg : "");
		err_clear(e);
	}
	return 0;
}

/* The source address that a packet to the outside would have; nothing is sent. */
static void find_host_ip(struct net *n)
{
	CLEANUP(fd_closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) }, me;
	socklen_t len = sizeof(me);

	str_copy(n->host_ip, sizeof(n->host_ip), n->bridge_ip);
	inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
		getsockname(fd, (struct sockaddr *)&me, &len) < 0)
		return;
	inet_ntop(AF_INET, &me.sin_addr, n->host_ip, sizeof(n->host_ip));
}

struct net *net_new(struct loop *l, const char *data_dir, struct err *e)
{
	struct net *n = MEM_NEW(struct net);

	n->loop = l;
	n->taken = mem_zalloc(NET_HOSTS * sizeof(char *));
	if (claim(data_dir, &n->n, e) < 0)
		goto fail;
	snprintf(n->bridge, sizeof(n->bridge), "cor%d", n->n);
	snprintf(n->bridge_ip, sizeof(n->bridge_ip), "10.%hhu.0.1", (unsigned char)(40 + n->n));
	if (bridge_up(n, e) < 0)
		goto fail;
	find_host_ip(n);
	return n;
fail:
	net_free(n);
	return NULL;
}

void net_free(struct net *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < NET_HOSTS; i++)
		free(n->taken[i]);
	free(n->taken);
	free(n);
}

int net_instance(const struct net *n)
{
	return n->n;
}

const char *net_bridge_ip(const struct net *n)
{
	return n->bridge_ip;
}

const char *net_host_ip(const struct net *n)
{
	return n->host_ip;
}

/* ---- addresses ---- */
bool net_alloc(struct net *n, const char *pod_uid, char ret_ip[INET_ADDRSTRLEN])
{
	size_t found = NET_HOSTS;

	for (size_t i = 0; i < NET_HOSTS; i++)
		if (n->taken[i] && str_eq(n->taken[i], pod_uid))
			found = i;
	/* Round and round, so that an address rests as long as possible before it is somebody else's. */
	for (size_t i = 0; found == NET_HOSTS && i < NET_HOSTS; i++)
		if (!n->taken[(n->next + i) % NET_HOSTS])
			found = (n->next + i) % NET_HOSTS;
	if (found == NET_HOSTS)
		return false;
	if (!n->taken[found]) {
		n->taken[found] = mem_strdup(pod_uid);
		n->next = (found + 1) % NET_HOSTS;
	}
	snprintf(ret_ip, INET_ADDRSTRLEN, "10.%hhu.%hhu.%hhu", (unsigned char)(40 + n->n),
		(unsigned char)((found + 2) >> 8), (unsigned char)(found + 2));
	return true;
}

void net_take(struct net *n, const char *pod_uid, const char *ip)
{
	struct in_addr a;
	size_t host;

	if (inet_pton(AF_INET, ip, &a) != 1)
		return;
	host = ntohl(a.s_addr) & 0xffff;
	if (host < 2 || host - 2 >= NET_HOSTS)
		return;
	free(n->taken[host - 2]);
	n->taken[host - 2] = mem_strdup(pod_uid);
	if (host - 1 > n->next)
		n->next = (host - 1) % NET_HOSTS;
}

/* ---- pods ---- */
static void veth_name(const struct net *n, const char *uid, char ret[IFNAMSIZ])
{
	char hex[SHA256_HEX_LEN + 1];

	crypto_sha256_hex(uid, strlen(uid), hex);
	snprintf(ret, IFNAMSIZ, "cv%d-%.8s", n->n, hex);
}

/* The host's end: onto the bridge and up. */
int net_join_bridge(const struct net_job *j, struct err *e)
{
	CLEANUP(fd_closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { 0 };
	unsigned index = if_nametoindex(j->veth);

	if (fd < 0 || !index)
		return err_sys(e, "interface %s", j->veth);
	str_copy(r.ifr_name, sizeof(r.ifr_name), j->bridge);
	r.ifr_ifindex = (int)index;
	if (ioctl(fd, SIOCBRADDIF, &r) < 0 && errno != EBUSY)
		return err_sys(e, "putting %s on bridge %s", j->veth, j->bridge);
	memset(&r, 0, sizeof(r));
	str_copy(r.ifr_name, sizeof(r.ifr_name), j->veth);
	if (ioctl(fd, SIOCGIFFLAGS, &r) < 0)
		return err_sys(e, "flags of %s", j->veth);
	r.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		return err_sys(e, "taking %s up", j->veth);
	return 0;
}

static void attach_done(void *arg, const struct proc_result *r)
{
	struct net_job *j = arg;
	struct err e = { 0 };
	net_done_fn *fn = j->fn;
	void *fn_arg = j->arg;

	j->run = NULL;
	if (r->e && r->e->code)
		err_copy(&e, r->e);
	else if (!proc_ok(r))
		err_set(&e, ERR_INTERNAL, "pod network: %.*s", (int)(r->err_len < 400 ? r->err_len : 400),
			r->err);
	else
		net_join_bridge(j, &e);
	net_job_free(j);
	fn(fn_arg, e.code ? &e : NULL);
}

struct net_job *net_attach(
	struct net *n, const char *pod_uid, const char *path, const char *ip, net_done_fn *fn, void *arg)
{
	struct net_job *j = MEM_NEW(struct net_job);
	CLEANUP(mem_freep) char *opt = str_printf("--net=%s", path);
	CLEANUP(str_done) struct str in = { 0 };
	int fd;

	j->net = n;
	str_copy(j->bridge, sizeof(j->bridge), n->bridge);
	j->fn = fn;
	j->arg = arg;
	j->path = mem_strdup(path);
	veth_name(n, pod_uid, j->veth);
	fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	fd_closep(&fd);
	str_addf(&in, "link add eth0 type veth peer name %s netns %d\n", j->veth, (int)getpid());
	str_addf(&in, "addr add %s/16 dev eth0\nlink set lo up\nlink set eth0 up\nroute add default via %s\n",
		ip, n->bridge_ip);
	j->run = proc_run(n->loop, (char *const[]){ "unshare", opt, "ip", "-batch", "-", NULL }, in.data,
		NET_ATTACH_TIMEOUT_MS, attach_done, j);
	return j;
}

void net_job_free(struct net_job *j)
{
	if (!j)
		return;
	proc_run_free(j->run);
	free(j->path);
	free(j->batch);
	free(j);
}

/* Failing means that the namespace's end was faster. */
static void link_gone(void *arg, const struct proc_result *r)
{
}

void net_detach(struct net *n, const char *pod_uid, const char *path)
{
	char veth[IFNAMSIZ];
	CLEANUP(mem_freep) char *sys = NULL;

	umount2(path, MNT_DETACH);
	unlink(path);
	/* The pair goes with the namespace, but only when its last process is gone: do not wait for that. */
	veth_name(n, pod_uid, veth);
	sys = str_printf("/sys/class/net/%s", veth);
	if (file_exists(sys))
		proc_run_forget(proc_run(n->loop, (char *const[]){ "ip", "link", "del", veth, NULL }, NULL,
			NET_ATTACH_TIMEOUT_MS, link_gone, NULL));
	for (size_t i = 0; i < NET_HOSTS; i++)
		if (n->taken[i] && str_eq(n->taken[i], pod_uid)) {
			free(n->taken[i]);
			n->taken[i] = NULL;
		}
}

int net_socket_in(const char *path, int family, struct err *e)
{
	CLEANUP(fd_closep) int home = -1;
	CLEANUP(fd_closep) int there = -1;
	int fd, why;

	if (path) {
		home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		there = open(path, O_RDONLY | O_CLOEXEC);
		if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
			return err_sys(e, "entering network namespace %s", path);
	}
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	why = errno;
	/* Going on in a pod's network would be worse than not going on. */
	MUST(!path || setns(home, CLONE_NEWNET) == 0);
	errno = why;
	return fd < 0 ? err_sys(e, "socket") : fd;
}

int net_claimed(const char *data_dir)
{
	bool taken;

	for (int i = 0; i < NET_INSTANCES_MAX; i++)
		if (claimed_by(i, data_dir, &taken))
			return i;
	return -1;
}

/* The host's ends of the pods' links: they would go with the pods' namespaces, but the kernel takes its time with those. */
static void remove_links(int instance)
{
	CLEANUP(mem_freep) char *prefix = str_printf("cv%d-", instance);
	CLEANUP(strv_done) struct strv links = { 0 };

	file_list("/sys/class/net", &links, NULL);
	for (size_t i = 0; i < links.len; i++)
		if (str_starts(links.items[i], prefix)) /* gone meanwhile is as good */
			proc_wait((char *const[]){ "ip", "link", "del", links.items[i], NULL }, NULL, NULL);
}

int net_remove_all(const char *data_dir, struct err *e)
{
	bool taken;

	for (int i = 0; i < NET_INSTANCES_MAX; i++) {
		CLEANUP(mem_freep) char *path = claim_path(i);
		CLEANUP(mem_freep) char *bridge = str_printf("cor%d", i);
		CLEANUP(mem_freep) char *table = str_printf("coracle%d", i);
		CLEANUP(mem_freep) char *sys = str_printf("/sys/class/net/cor%d", i);

		if (!claimed_by(i, data_dir, &taken))
			continue;
		remove_links(i);
		net_remove_bridges(i);
		if (file_exists(sys) &&
			proc_wait((char *const[]){ "ip", "link", "del", bridge, NULL }, NULL, e) < 0)
			return -1;
		proc_wait((char *const[]){ "nft", "delete", "table", "ip", table, NULL }, NULL, NULL);
		unlink(path);
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/handler/tap.h"

#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "pod"
#define MAC_BYTES 6

/* ---- in the pod's namespace, and back ---- */
struct inside {
	int home;
};

static int enter(pid_t pid, struct inside *ret, struct err *e)
{
	CLEANUP(mem_freep) char *path = str_printf("/proc/%lld/ns/net", (long long)pid);
	CLEANUP(fd_closep) int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	CLEANUP(fd_closep) int there = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct stat a, b;

	if (pid <= 0)
		return err_set(e, ERR_UNREACHABLE, "the launcher's process is not to be seen from here");
	if (home < 0 || there < 0 || fstat(home, &a) < 0 || fstat(there, &b) < 0)
		return err_sys(e, "the pod's network namespace %s", path);
	if (a.st_ino == b.st_ino && a.st_dev == b.st_dev)
		return err_set(e, ERR_INVALID, "the launcher has no network namespace of its own");
	if (setns(there, CLONE_NEWNET) < 0)
		return err_sys(e, "entering %s", path);
	ret->home = home;
	home = -1;
	return 0;
}

/* Going on in a pod's network would be worse than not going on. */
static void leave(struct inside *i)
{
	MUST(setns(i->home, CLONE_NEWNET) == 0);
	fd_closep(&i->home);
}

/* ---- pieces ---- */
static struct ifreq request(const char *name)
{
	struct ifreq r;

	memset(&r, 0, sizeof(r));
	str_copy(r.ifr_name, sizeof(r.ifr_name), name);
	return r;
}

static int up(int s, const char *name, bool yes, struct err *e)
{
	struct ifreq r = request(name);

	if (ioctl(s, SIOCGIFFLAGS, &r) < 0)
		return err_sys(e, "interface %s", name);
	r.ifr_flags = (short)(yes ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
	if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
		return err_sys(e, "taking %s up", name);
	return 0;
}

/* The pod itself has no business on this network. */
static void no_addresses(int s, const char *name)
{
	CLEANUP(mem_freep) char *path = str_printf("/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
	struct ifreq r = request(name);

	if (fd >= 0 && write(fd, "1", 1) != 1)
		log_debug("%s: %s", path, strerror(errno));
	r.ifr_addr.sa_family = AF_INET; /* 0.0.0.0 removes it; one that has none says so */
	ioctl(s, SIOCSIFADDR, &r);
}

static int bridge_port(int s, const char *bridge, const char *port, struct err *e)
{
	struct ifreq r = request(bridge);

	r.ifr_ifindex = (int)if_nametoindex(port);
	if (!r.ifr_ifindex || (ioctl(s, SIOCBRADDIF, &r) < 0 && errno != EBUSY))
		return err_sys(e, "putting %s on %s", port, bridge);
	return 0;
}

static bool mac_parse(const char *text, unsigned char ret[MAC_BYTES])
{
	unsigned b[MAC_BYTES];
	char end;

	if (!text || sscanf(text, "%2x%*[:-]%2x%*[:-]%2x%*[:-]%2x%*[:-]%2x%*[:-]%2x%c", &b[0], &b[1], &b[2],
			     &b[3], &b[4], &b[5], &end) != MAC_BYTES)
		return false;
	for (int i = 0; i < MAC_BYTES; i++)
		ret[i] = (unsigned char)b[i];
	return true;
}

/* An address that nobody else has, in place of the guest's. */
static int another_address(int s, const char *pod_interface, const char *guest_mac, struct err *e)
{
	CLEANUP(mem_freep) char *text = str_printf("%s of the pod of %s", pod_interface, guest_mac);
	struct ifreq r = request(pod_interface);
	unsigned char guest[MAC_BYTES];
	char hex[SHA256_HEX_LEN + 1];

	if (!mac_parse(guest_mac, guest))
		return err_set(e, ERR_INVALID, "\"%s\" is no MAC address", guest_mac ? guest_mac : "");
	if (ioctl(s, SIOCGIFHWADDR, &r) < 0)
		return err_sys(e, "interface %s", pod_interface);
	if (memcmp(r.ifr_hwaddr.sa_data, guest, MAC_BYTES) != 0)
		return 0;
	crypto_sha256_hex(text, strlen(text), hex);
	CLEANUP(mem_freep)
	char *mac = str_printf("02:%.2s:%.2s:%.2s:%.2s:%.2s", hex, hex + 2, hex + 4, hex + 6, hex + 8);
	MUST(mac_parse(mac, guest));
	memcpy(r.ifr_hwaddr.sa_data, guest, MAC_BYTES);
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	if (ioctl(s, SIOCSIFHWADDR, &r) < 0)
		return err_sys(e, "giving %s another address", pod_interface);
	return 0;
}

/* ---- the whole ---- */
static int open_tun(const char *name, int *ret, struct err *e)
{
	CLEANUP(fd_closep) int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	struct ifreq r = request(name);

	r.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (fd < 0)
		return err_sys(e, "/dev/net/tun");
	if (ioctl(fd, TUNSETIFF, &r) < 0 && errno == EBUSY)
		return err_set(e, ERR_CONFLICT, "tap device %s is in use", name);
	if (ioctl(fd, TUNGETIFF, &r) < 0)
		return err_sys(e, "making tap device %s", name);
	*ret = fd;
	fd = -1;
	return 0;
}

static int connect_tap(int s, const char *pod_interface, const char *guest_mac, int *ret, struct err *e)
{
	CLEANUP(mem_freep) char *bridge = str_printf("k6t-%s", pod_interface + strlen(PREFIX));
	CLEANUP(mem_freep) char *tap = str_printf("tap%s", pod_interface + strlen(PREFIX));
	struct ifreq mtu = request(pod_interface), r;
	char name[IFNAMSIZ] = "";
	CLEANUP(fd_closep) int fd = -1;

	if (ioctl(s, SIOCGIFMTU, &mtu) < 0)
		return err_set(e, ERR_NOT_FOUND, "the pod has no interface %s", pod_interface);
	str_copy(name, sizeof(name), bridge);
	if (ioctl(s, SIOCBRADDBR, name) < 0 && errno != EEXIST)
		return err_sys(e, "making bridge %s", bridge);
	no_addresses(s, bridge);
	no_addresses(s, pod_interface);
	if (another_address(s, pod_interface, guest_mac, e) < 0 ||
		bridge_port(s, bridge, pod_interface, e) < 0 || open_tun(tap, &fd, e) < 0)
		return -1;
	no_addresses(s, tap);
	r = request(tap);
	r.ifr_mtu = mtu.ifr_mtu;
	if (ioctl(s, SIOCSIFMTU, &r) < 0)
		return err_sys(e, "mtu of %s", tap);
	if (bridge_port(s, bridge, tap, e) < 0 || up(s, pod_interface, true, e) < 0 ||
		up(s, tap, true, e) < 0 || up(s, bridge, true, e) < 0)
		return -1;
	*ret = fd;
	fd = -1;
	return 0;
}

/* It becomes part of names. */
static bool name_ok(const char *pod_interface)
{
	return str_starts(pod_interface, PREFIX) && strlen(pod_interface) < IFNAMSIZ &&
	       strlen(pod_interface) > strlen(PREFIX);
}

int tap_open(pid_t pid, const char *pod_interface, const char *guest_mac, int *ret_fd, struct err *e)
{
	CLEANUP(fd_closep) int s = -1;
	struct inside i = { -1 };
	int r = -1;

	if (!pod_interface || !name_ok(pod_interface))
		return err_set(e, ERR_INVALID, "interface name \"%s\"", pod_interface ? pod_interface : "");
	if (enter(pid, &i, e) < 0)
		return -1;
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		err_sys(e, "socket");
	else
		r = connect_tap(s, pod_interface, guest_mac, ret_fd, e);
	leave(&i);
	return r;
}

void tap_close(pid_t pid, const char *pod_interface)
{
	CLEANUP(fd_closep) int s = -1;
	char name[IFNAMSIZ] = "";
	struct inside i = { -1 };
	struct err e;

	if (!pod_interface || !name_ok(pod_interface) || enter(pid, &i, &e) < 0)
		return;
	snprintf(name, sizeof(name), "k6t-%s", pod_interface + strlen(PREFIX));
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s >= 0 && up(s, name, false, &e) == 0 && ioctl(s, SIOCBRDELBR, name) < 0)
		log_warn("removing bridge %s: %s", name, strerror(errno));
	leave(&i);
}

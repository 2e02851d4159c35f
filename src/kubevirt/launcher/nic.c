/* SPDX-License-Identifier: Apache-2.0 */
/* Network cards of a running guest: plugged onto a free root port, taken away when the guest has let go, links up and down.
 * qemu.md 9. A job per request is passed along the answers of QEMU; jobs end with the QMP client at the latest (nic_end). */
#include "kubevirt/launcher/launcher_impl.h"

#include "base/log.h"
#include "qemu/qmp_cmds.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define UNPLUG_LIMIT_MS 30000 /* qemu.md 8 */
#define MTU_USUAL 1500
#define ID_MAX (VM_NAME_MAX + 8)

struct nic_job {
	struct nic_job *next;
	struct launcher *l;
	struct wire_call *call;   /* NULL: nobody waits any more */
	struct loop_timer *limit; /* of an unplug */
	struct domain_nic nic;    /* of a plug; name of all */
	char device[ID_MAX], netdev[ID_MAX];
	int port, mtu;
	bool unplug, up; /* up: of a link */
	struct err why;  /* a plug that is being taken back */
};

static struct nic_job *job_new(struct launcher *l, const char *name, struct wire_call *call)
{
	struct nic_job *j = MEM_NEW(struct nic_job);

	j->l = l;
	j->call = call;
	j->next = l->nic_jobs;
	l->nic_jobs = j;
	j->nic.name = name;
	j->nic.fd = -1;
	j->port = -1;
	snprintf(j->device, sizeof(j->device), "nic-%s", name);
	snprintf(j->netdev, sizeof(j->netdev), "net-%s", name);
	return j;
}

static void job_answer(struct nic_job *j, const struct err *e)
{
	struct wire_call *call = TAKE(j->call);

	if (call && e)
		wire_call_fail(call, e);
	else if (call)
		wire_call_ok(call, NULL);
}

static void job_end(struct nic_job *j, const struct err *e)
{
	for (struct nic_job **at = &j->l->nic_jobs; *at; at = &(*at)->next)
		if (*at == j) {
			*at = j->next;
			break;
		}
	job_answer(j, e);
	loop_timer_free(j->limit);
	fd_closep(&j->nic.fd);
	free(j);
}

static struct nic_job *job_of(struct launcher *l, const char *name)
{
	for (struct nic_job *j = l->nic_jobs; j; j = j->next)
		if (str_eq(j->nic.name, name))
			return j;
	return NULL;
}

void nic_end(struct launcher *l)
{
	struct err e;

	err_set(&e, ERR_UNAVAILABLE, "the guest ended");
	while (l->nic_jobs)
		job_end(l->nic_jobs, &e);
}

static void refuse(struct wire_call *call, const struct err *e)
{
	wire_call_fail(call, e);
}

/* ---- plug: getfd, netdev_add, device_add, set_link ---- */

static void on_taken_back(void *arg, const struct json *ret, const struct err *e)
{
	struct nic_job *j = arg;
	struct err why;

	(void)ret;
	(void)e;
	err_copy(&why, &j->why);
	vm_port_give(j->l->ports, "nic", j->nic.name);
	job_end(j, &why);
}

static void on_linked(void *arg, const struct json *ret, const struct err *e)
{
	struct nic_job *j = arg;
	struct domain_nic *n = domain_nic_find(j->l->domain, j->nic.name);

	(void)ret;
	if (!e && n)
		n->down = !j->up;
	state_push_due(j->l); /* before the answer: who hears it looks there next */
	job_end(j, e);
}

static void on_device(void *arg, const struct json *ret, const struct err *e)
{
	struct nic_job *j = arg;
	struct launcher *l = j->l;

	(void)ret;
	if (e) {
		err_copy(&j->why, e);
		qmp_send_netdev_del(l->qmp, &(struct qmp_netdev_del){ .id = j->netdev }, on_taken_back, j);
		return;
	}
	log_info("interface %s: plugged at root port %d", j->nic.name, j->port);
	j->up = !j->nic.down;
	j->nic.down = false; /* as QEMU makes it */
	l->domain->nics[l->domain->n_nics++] = j->nic;
	state_push_due(l);
	if (j->up)
		job_end(j, NULL);
	else
		qmp_send_set_link(
			l->qmp, &(struct qmp_set_link){ .name = j->device, .up = false }, on_linked, j);
}

static void on_netdev(void *arg, const struct json *ret, const struct err *e)
{
	struct nic_job *j = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const struct vm_nic card = {
		.name = j->nic.name, .mac = j->nic.mac, .model = j->nic.model, .mtu = j->mtu
	};
	char bus[16];

	(void)ret;
	if (e) {
		err_copy(&j->why, e);
		qmp_send_closefd(j->l->qmp, &(struct qmp_closefd){ .fdname = j->netdev }, on_taken_back, j);
		return;
	}
	d = json_doc_new();
	snprintf(bus, sizeof(bus), "rp%d", j->port);
	qmp_send_device_add(
		j->l->qmp, &(struct qmp_device_add){ .device = vm_nic_device(d, &card, bus) }, on_device, j);
}

static void on_file(void *arg, const struct json *ret, const struct err *e)
{
	struct nic_job *j = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct json *o;

	(void)ret;
	if (e) {
		err_copy(&j->why, e);
		on_taken_back(j, NULL, NULL);
		return;
	}
	d = json_doc_new();
	o = json_new_obj(d);
	json_set_str(d, o, "type", "tap");
	json_set_str(d, o, "id", j->netdev);
	json_set_str(d, o, "fd", j->netdev); /* the name that getfd gave it */
	qmp_send_netdev_add(j->l->qmp, &(struct qmp_netdev_add){ .netdev = o }, on_netdev, j);
}

/* Can it be plugged? 1: it is there already. */
static int plug_check(struct launcher *l, const struct domain_nic *n, struct err *e)
{
	const struct domain_nic *has = domain_nic_find(l->domain, n->name);
	const struct vm_nic card = { .name = n->name, .mac = n->mac, .model = n->model };

	if (!l->qmp)
		return err_set(e, ERR_UNAVAILABLE, "QEMU does not answer");
	if (vm_nic_check(&card, e) < 0)
		return -1;
	if (job_of(l, n->name) || (has && has->leaving))
		return err_set(e, ERR_CONFLICT, "interface \"%s\" is being changed", n->name);
	if (has)
		return 1;
	if (l->domain->n_nics >= VM_NICS_MAX)
		return err_set(e, ERR_INVALID, "more than %d interfaces", VM_NICS_MAX);
	return 0;
}

void nic_plug(struct launcher *l, const struct json *args, struct wire_call *call)
{
	CLEANUP(fd_closep) int fd = wire_call_file(call);
	struct domain_nic n;
	struct nic_job *j;
	struct err e;
	int there;

	if (domain_read_tap_nic(l->domain, json_get(args, "interface"), json_get(args, "network"),
		    json_get_str(args, "mac"), &n, &e) < 0 ||
		(there = plug_check(l, &n, &e)) < 0) {
		refuse(call, &e);
		return;
	}
	if (there) {
		wire_call_ok(call, NULL);
		return;
	}
	if (fd < 0) {
		err_set(&e, ERR_BAD_REQUEST, "plug-nic: no tap device came with it");
		refuse(call, &e);
		return;
	}
	j = job_new(l, n.name, NULL);
	j->nic = n;
	j->port = vm_port_take(l->ports, "nic", n.name);
	if (j->port < 0) {
		err_set(&e, ERR_UNAVAILABLE,
			"no free PCIe port: all that were reserved when the guest started are taken");
		job_end(j, NULL);
		refuse(call, &e);
		return;
	}
	j->call = call;
	j->mtu = nic_mtu(fd);
	qmp_send_file(l->qmp, j->netdev, fd, on_file, j);
	fd = -1; /* gone */
}

/* ---- unplug: device_del, DEVICE_DELETED, netdev_del ---- */

static void on_netdev_gone(void *arg, const struct json *ret, const struct err *e)
{
	struct nic_job *j = arg;
	struct launcher *l = j->l;

	(void)ret;
	if (e)
		log_warn("interface %s: %s", j->nic.name, e->msg);
	log_info("interface %s: the guest has let go of it", j->nic.name);
	vm_port_give(l->ports, "nic", j->nic.name);
	domain_nic_remove(l->domain, j->nic.name);
	state_push_due(l);
	job_end(j, NULL);
}

void nic_device_deleted(struct launcher *l, const char *id)
{
	const char *name = str_starts(id, "nic-") ? id + 4 : NULL;
	struct domain_nic *n = name ? domain_nic_find(l->domain, name) : NULL;
	struct nic_job *j;

	if (!n || !l->qmp)
		return;
	j = job_of(l, name);
	if (!j || !j->unplug) /* later than anybody waited for it */
		j = job_new(l, n->name, NULL);
	loop_timer_free(TAKE(j->limit));
	qmp_send_netdev_del(l->qmp, &(struct qmp_netdev_del){ .id = j->netdev }, on_netdev_gone, j);
}

static void unplug_late(void *arg)
{
	struct nic_job *j = arg;
	struct err e;

	err_set(&e, ERR_TIMEOUT, "the guest did not let go of interface \"%s\" within %d s", j->nic.name,
		UNPLUG_LIMIT_MS / 1000);
	job_end(j, &e);
}

static void on_del(void *arg, const struct json *ret, const struct err *e)
{
	struct launcher *l = arg;

	(void)ret;
	/* "already in the process of unplug": of an earlier request; the event still comes */
	if (e && e->code != ERR_UNREACHABLE)
		log_info("%s", e->msg);
	state_changed(l);
}

void nic_unplug(struct launcher *l, const struct json *args, struct wire_call *call)
{
	const char *name = json_get_str(args, "name");
	struct domain_nic *n = domain_nic_find(l->domain, name);
	struct nic_job *j;
	struct err e;

	if (!n) {
		wire_call_ok(call, NULL);
		return;
	}
	if (!l->qmp)
		err_set(&e, ERR_UNAVAILABLE, "QEMU does not answer");
	else if (!n->tap)
		err_set(&e, ERR_INVALID, "interface \"%s\" is not on a secondary network", name);
	else if (job_of(l, name))
		err_set(&e, ERR_CONFLICT, "interface \"%s\" is being changed", name);
	else if (!l->booted && loop_wall_ms(l->loop) - l->started_wall < NIC_BOOT_MS)
		/* Lost on a guest that does not listen yet, and then refused until it resets (qemu.md 8) */
		err_set(&e, ERR_CONFLICT, "the guest has not booted yet");
	else
		e.code = ERR_NONE;
	if (e.code != ERR_NONE) {
		refuse(call, &e);
		return;
	}
	n->leaving = true;
	j = job_new(l, n->name, call);
	j->unplug = true;
	j->limit = loop_timer_new(l->loop, unplug_late, j);
	loop_timer_set(j->limit, UNPLUG_LIMIT_MS);
	qmp_send_device_del(l->qmp, &(struct qmp_device_del){ .id = j->device }, on_del, l);
	state_changed(l);
}

/* ---- links ---- */

void nic_set_link(struct launcher *l, const struct json *args, struct wire_call *call)
{
	const char *name = json_get_str(args, "name"), *state = json_get_str(args, "state");
	struct domain_nic *n = domain_nic_find(l->domain, name);
	struct nic_job *j;
	struct err e;

	if (!n) {
		err_set(&e, ERR_NOT_FOUND, "no interface \"%s\"", name);
		refuse(call, &e);
		return;
	}
	if (!str_eq(state, "up") && !str_eq(state, "down"))
		err_set(&e, ERR_BAD_REQUEST, "set-link: state must be up or down");
	else if (!l->qmp)
		err_set(&e, ERR_UNAVAILABLE, "QEMU does not answer");
	else if (job_of(l, name) || n->leaving)
		err_set(&e, ERR_CONFLICT, "interface \"%s\" is being changed", name);
	else
		e.code = ERR_NONE;
	if (e.code != ERR_NONE) {
		refuse(call, &e);
		return;
	}
	j = job_new(l, n->name, call);
	j->up = str_eq(state, "up");
	qmp_send_set_link(l->qmp, &(struct qmp_set_link){ .name = j->device, .up = j->up }, on_linked, j);
}

void nic_links_down(struct launcher *l)
{
	for (size_t i = 0; i < l->domain->n_nics; i++) {
		char id[ID_MAX];

		if (!l->domain->nics[i].down)
			continue;
		snprintf(id, sizeof(id), "nic-%s", l->domain->nics[i].name);
		qmp_send_set_link(l->qmp, &(struct qmp_set_link){ .name = id, .up = false }, NULL, NULL);
	}
}

/* ---- descriptors ---- */

int nic_mtu(int tap_fd)
{
	CLEANUP(fd_closep) int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r;

	/* Its name, and by that (it is in our network namespace) the rest */
	memset(&r, 0, sizeof(r));
	if (s < 0 || ioctl(tap_fd, TUNGETIFF, &r) < 0 || ioctl(s, SIOCGIFMTU, &r) < 0 ||
		r.ifr_mtu == MTU_USUAL)
		return 0;
	return r.ifr_mtu;
}

int nic_take_files(struct domain *d, const struct json *host, struct wire_call *call, struct err *e)
{
	JSON_EACH (it, json_get(host, "taps")) {
		struct domain_nic *n = domain_nic_find(d, json_str_or(it.val, ""));
		int fd = wire_call_file(call);

		if (!n || !n->tap || n->fd >= 0)
			fd_closep(&fd);
		else
			n->fd = fd;
	}
	for (size_t i = 0; i < d->n_nics; i++)
		if (d->nics[i].tap && d->nics[i].fd < 0)
			return err_set(
				e, ERR_INVALID, "no tap device came for interface \"%s\"", d->nics[i].name);
	return 0;
}

void nic_close_files(struct launcher *l)
{
	for (size_t i = 0; i < l->domain->n_nics; i++)
		fd_closep(&l->domain->nics[i].fd);
}

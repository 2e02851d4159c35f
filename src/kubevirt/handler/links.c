/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/handler/links.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/handler/links_impl.h"

#define SWEEP_AGE_MS 60000 /* a pod may have been bound just now */
#define INOTIFY_BUF 4096

struct link *link_find(const struct links *l, const char *uid)
{
	return uid ? keymap_get(&l->by_uid, uid) : NULL;
}

void link_changed(struct link *k)
{
	k->all->spec.changed(k->all->spec.arg, k->key);
}

static void set_state(struct link *k, const struct json *state)
{
	json_doc_free(k->state);
	k->state = json_doc_from(state);
	k->facts.state = json_root(k->state);
}

/* What a guest does with its memory from second to second is for metrics; no decision hangs on it. */
static bool passing(const char *key)
{
	static const char *const list[] = { "guestTotal", "guestAvailable", NULL };

	return str_in(key, list);
}

static size_t lasting(const struct json *o)
{
	size_t n = 0;

	JSON_EACH (it, o)
		n += !passing(it.key);
	return n;
}

static bool same_memory(const struct json *a, const struct json *b)
{
	if (lasting(a) != lasting(b))
		return false;
	JSON_EACH (it, a)
		if (!passing(it.key) && !json_eq(it.val, json_get(b, it.key)))
			return false;
	return true;
}

static bool same_state(const struct json *a, const struct json *b)
{
	if (!a || json_len(a) != json_len(b))
		return false;
	JSON_EACH (it, a) {
		const struct json *other = json_get(b, it.key);

		if (str_eq(it.key, "memory") ? !same_memory(it.val, other) : !json_eq(it.val, other))
			return false;
	}
	return true;
}

/* ---- connecting ---- */
/* The launcher's user owns what is in there, and a guest may have taken that user over: no links are followed, nothing is opened
 * that could block us or answer in somebody else's name. path (LINK_PATH_MAX) can be used while the descriptor is open. */
static int pin(const struct link *k, const char *name, mode_t type, char *path, struct err *e)
{
	CLEANUP(fd_closep) int fd = openat(k->dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int owner = k->all->spec.uid, ret = fd;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "there is no %s in %s", name, k->dir);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "opening %s in %s", name, k->dir);
	if ((st.st_mode & S_IFMT) != type || (owner >= 0 && st.st_uid != (uid_t)owner))
		return err_set(e, ERR_INVALID, "%s in %s is not what a launcher makes", name, k->dir);
	snprintf(path, LINK_PATH_MAX, "/proc/self/fd/%d", fd);
	fd = -1;
	return ret;
}

static void read_last_words(struct link *k)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(fd_closep) int fd = -1;
	char path[LINK_PATH_MAX];
	size_t len;
	struct err e;

	fd = pin(k, WIRE_STATE_FILE, S_IFREG, path, &e);
	if (fd < 0 || file_read(path, LINK_STATE_FILE_MAX, &text, &len, &e) < 0) {
		if (e.code != ERR_NOT_FOUND)
			log_warn("%s: %s", k->key, e.msg);
		return;
	}
	d = json_parse(text, len, &e);
	if (d && json_is_obj(json_root(d)) && !json_eq(json_root(d), k->facts.state)) {
		set_state(k, json_root(d));
		link_changed(k);
	}
}

pid_t link_launcher(const struct link *k)
{
	return k->client ? wire_client_peer(k->client) : -1;
}

static void try_later(struct link *k)
{
	loop_timer_set(k->retry, k->wait_ms);
	k->wait_ms = k->wait_ms * 2 > LINK_RETRY_MAX_MS ? LINK_RETRY_MAX_MS : k->wait_ms * 2;
}

static void hang_up(struct link *k)
{
	struct err e;

	wire_client_free(TAKE(k->client));
	err_set(&e, ERR_UNREACHABLE, "the launcher has hung up");
	while (k->asks)
		ask_end(k->asks, NULL, &e);
}

void link_lost(void *arg, const struct err *why)
{
	struct link *k = arg;

	hang_up(k);
	if (k->facts.connected)
		log_info("%s: the launcher has hung up: %s", k->key, why->msg);
	k->facts.connected = false;
	if (k->facts.start == GUEST_START_ASKED)
		k->facts.start = GUEST_START_NO; /* it says itself whether it has begun */
	k->facts.stop_asked = k->facts.kill_asked = k->facts.release_asked = false;
	read_last_words(k);
	link_changed(k);
	try_later(k);
}

static void on_event(void *arg, const char *event, const struct json *data)
{
	struct link *k = arg;

	if (str_eq(event, "state")) {
		bool same = same_state(k->facts.state, data);

		set_state(k, data);
		if (!same)
			link_changed(k);
	} else {
		log_info("%s: %s", k->key, event);
	}
}

static void on_hello(void *arg, const struct json *ok, const struct err *e)
{
	struct link *k = arg;

	if (e) {
		if (e->code != ERR_UNREACHABLE)
			link_lost(k, e); /* silent: dialled anew */
		return;
	}
	if (json_i64(json_get(ok, "protocol")) != WIRE_PROTOCOL)
		log_warn("%s: the launcher speaks protocol %lld, not %d", k->key,
			(long long)json_i64(json_get(ok, "protocol")), WIRE_PROTOCOL);
	set_state(k, ok);
	k->facts.connected = true;
	k->wait_ms = LINK_RETRY_MIN_MS;
	log_info("%s: connected to its launcher, %s", k->key, json_str_or(json_get(ok, "phase"), "?"));
	link_changed(k);
}

static void dial(void *arg)
{
	static const struct wire_client_ops ops = { .event = on_event, .lost = link_lost };
	struct link *k = arg;
	CLEANUP(fd_closep) int fd = -1;
	char path[LINK_PATH_MAX];
	struct err e;

	if (k->client || k->facts.detached)
		return;
	fd = pin(k, WIRE_SOCKET, S_IFSOCK, path, &e);
	if (fd >= 0)
		k->client = wire_client_new(k->all->spec.loop, path, &ops, k, &e);
	if (k->client) {
		wire_client_call(k->client, WIRE_hello, NULL, on_hello, k);
		return;
	}
	/* No socket: inotify tells when there is one. A socket that nobody serves: not yet, or not any more. */
	read_last_words(k);
	if (e.code != ERR_NOT_FOUND)
		try_later(k);
}

static void on_inotify(void *arg, int what)
{
	struct links *l = arg;
	char buf[INOTIFY_BUF] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(l->inotify, buf, sizeof(buf));

	for (ssize_t at = 0; n > 0 && at < n;) {
		const struct inotify_event *ev = (const struct inotify_event *)(buf + at);

		at += (ssize_t)(sizeof(*ev) + ev->len);
		for (size_t i = 0; i < l->by_uid.len; i++) {
			struct link *k = l->by_uid.items[i].val;

			if (k->watch == ev->wd && ev->len && str_eq(ev->name, WIRE_SOCKET) && !k->client)
				loop_timer_set(k->retry, 0);
		}
	}
}

/* ---- the VM's directory ---- */
static int dir_prepare(struct link *k, struct err *e)
{
	int owner = k->all->spec.uid;

	if (file_mkdirs(k->dir, 0700, e) < 0)
		return -1;
	k->dir_fd = open(k->dir, O_DIRECTORY | O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (k->dir_fd < 0)
		return err_sys(e, "opening %s", k->dir);
	/* Owner first: from then on the launcher may use it, whatever the mode was. */
	if (owner >= 0 && chown(k->dir, (uid_t)owner, (gid_t)owner) < 0)
		return err_sys(e, "giving %s to user %d", k->dir, owner);
	if (chmod(k->dir, 0700) < 0)
		return err_sys(e, "chmod %s", k->dir);
	k->watch = inotify_add_watch(k->all->inotify, k->dir, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
	if (k->watch < 0)
		return err_sys(e, "watching %s", k->dir);
	return 0;
}

static void let_go(struct link *k)
{
	hang_up(k);
	loop_timer_stop(k->retry);
	if (k->watch >= 0)
		inotify_rm_watch(k->all->inotify, k->watch);
	k->watch = -1;
	fd_closep(&k->dir_fd);
	k->dir_fd = -1;
}

static void link_free(void *p)
{
	struct link *k = p;

	let_go(k);
	loop_timer_free(k->retry);
	json_doc_free(k->state);
	free(k->start_error);
	free(k->memory_error);
	free(k->cpus_error);
	free(k->nic_name);
	free(k->nic_error);
	free(k->uid);
	free(k->key);
	free(k->dir);
	free(k);
}

/* A uid becomes part of a path. */
static bool uid_ok(const char *uid)
{
	return !str_empty(uid) &&
	       strspn(uid, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") == strlen(uid);
}

int links_attach(struct links *l, const char *uid, const char *key, struct err *e)
{
	struct link *k;

	if (link_find(l, uid))
		return 0;
	if (!uid_ok(uid))
		return err_set(e, ERR_INVALID, "\"%s\" is no uid", uid ? uid : "");
	k = MEM_NEW(struct link);
	k->all = l;
	k->uid = mem_strdup(uid);
	k->key = mem_strdup(key);
	k->dir = str_printf(HANDOFF_VM_DIR_FMT, l->host_dir, uid);
	k->dir_fd = k->watch = -1;
	k->wait_ms = LINK_RETRY_MIN_MS;
	k->retry = loop_timer_new(l->spec.loop, dial, k);
	keymap_put(&l->by_uid, uid, k);
	k->facts.attached = true;
	if (dir_prepare(k, e) < 0) {
		link_free(keymap_take(&l->by_uid, uid));
		return -1;
	}
	loop_timer_set(k->retry, 0);
	return 0;
}

void links_detach(struct links *l, const char *uid)
{
	struct link *k = link_find(l, uid);

	if (!k)
		return;
	let_go(k);
	k->facts.detached = true;
	k->facts.connected = false;
}

void links_forget(struct links *l, const char *uid)
{
	struct link *k = uid ? keymap_take(&l->by_uid, uid) : NULL;
	CLEANUP(mem_freep) char *dir = NULL;
	struct err e;

	if (!k)
		return;
	dir = mem_strdup(k->dir);
	link_free(k);
	if (file_remove_tree(dir, &e) < 0)
		log_warn("%s", e.msg);
}

void links_sweep(struct links *l, bool (*wanted)(void *arg, const char *uid), void *arg)
{
	CLEANUP(mem_freep) char *vms = file_join(l->host_dir, "vms");
	CLEANUP(strv_done) struct strv names = { 0 };
	struct err e;

	if (file_list(vms, &names, &e) < 0) {
		log_warn("%s", e.msg);
		return;
	}
	for (size_t i = 0; i < names.len; i++) {
		CLEANUP(mem_freep) char *path = file_join(vms, names.items[i]);
		struct stat st;

		if (link_find(l, names.items[i]) || wanted(arg, names.items[i]) || lstat(path, &st) < 0 ||
			!S_ISDIR(st.st_mode))
			continue;
		if (loop_wall_ms(l->spec.loop) - (int64_t)st.st_ctim.tv_sec * 1000 < SWEEP_AGE_MS)
			continue;
		log_info("removing what VMI %s left behind", names.items[i]);
		if (file_remove_tree(path, &e) < 0)
			log_warn("%s", e.msg);
	}
}

/* ---- all of them ---- */
const struct guest_facts *links_facts(const struct links *l, const char *uid)
{
	const struct link *k = link_find(l, uid);

	return k ? &k->facts : NULL;
}

const char *links_of(const struct links *l, const char *key, size_t i)
{
	for (size_t at = 0; at < l->by_uid.len; at++) {
		const struct link *k = l->by_uid.items[at].val;

		if (str_eq(k->key, key) && i-- == 0)
			return k->uid;
	}
	return NULL;
}

size_t links_len(const struct links *l)
{
	return l->by_uid.len;
}

int links_socket(const struct links *l, const char *uid, char ret_path[LINK_PATH_MAX], struct err *e)
{
	const struct link *k = link_find(l, uid);

	if (!k || k->dir_fd < 0)
		return err_set(e, ERR_NOT_FOUND, "there is no launcher");
	return pin(k, WIRE_SOCKET, S_IFSOCK, ret_path, e);
}

int links_new(const struct links_spec *spec, struct links **ret, struct err *e)
{
	CLEANUP(mem_freep) char *vms = file_join(spec->host_dir, "vms");
	CLEANUP(fd_closep) int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct links *l;

	if (fd < 0)
		return err_sys(e, "inotify");
	if (file_mkdirs(vms, 0755, e) < 0)
		return -1;
	l = MEM_NEW(struct links);
	l->spec = *spec;
	l->host_dir = mem_strdup(spec->host_dir);
	l->inotify = fd;
	fd = -1;
	l->inotify_fd = loop_fd_new(spec->loop, l->inotify, LOOP_READ, on_inotify, l);
	*ret = l;
	return 0;
}

void links_free(struct links *l)
{
	if (!l)
		return;
	keymap_done(&l->by_uid, link_free);
	loop_fd_free(l->inotify_fd);
	close(l->inotify);
	free(l->host_dir);
	free(l);
}

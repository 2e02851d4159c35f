/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/agent/bundle.h"

#include "api/quantity.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PASSWD_MAX (1 << 20)
#define NOFILE_LIMIT 1048576
#define OOM_SCORE_TEXT_MAX 64

/* The kernel's order: an index is the capability's number. */
static const char *const cap_names[] = { "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
	"KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST",
	"NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE",
	"MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE" };
/* What container engines give by default */
static const char *const cap_default[] = { "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID",
	"SETUID", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP", NULL };

/* A field of the container's securityContext, else of the pod's. */
static const struct json *security(const struct bundle *b, const char *field)
{
	const struct json *v = json_get(json_get(b->spec, "securityContext"), field);

	return json_is_null(v) ? json_get(json_get(pod_spec(b->c->pod), "securityContext"), field) : v;
}

/* ---- user ---- */
static bool passwd_find(
	const struct bundle *b, const char *file, const char *name, int64_t *ret_id, int64_t *ret_gid)
{
	CLEANUP(mem_freep)
	char *path = b->c->image->own ? str_printf("/etc/%s", file)
				      : str_printf("%s/etc/%s", b->c->image->rootfs, file);
	CLEANUP(mem_freep) char *text = NULL;
	int64_t id;

	if (file_read(path, PASSWD_MAX, &text, NULL, NULL) < 0)
		return false;
	for (char *rest = text; rest;) {
		char *line = str_next(&rest, '\n'), *fields = line, *user = str_next(&fields, ':');

		if (!fields)
			continue;
		str_next(&fields, ':');
		char *number = fields ? str_next(&fields, ':') : NULL,
		     *group = fields ? str_next(&fields, ':') : NULL;

		if (!str_to_i64(number, 0, UINT32_MAX, &id) || !(str_eq(user, name) || str_eq(number, name)))
			continue;
		*ret_id = id;
		if (ret_gid)
			str_to_i64(group, 0, UINT32_MAX, ret_gid);
		return true;
	}
	return false;
}

static int image_user(struct bundle *b, struct err *e)
{
	const char *user =
		b->c->image->config ? json_at_str(json_root(b->c->image->config), "/config/User") : NULL;
	CLEANUP(mem_freep) char *text = mem_strdup(user ? user : "");
	char *rest = text, *name = str_next(&rest, ':');

	if (!*name)
		return 0;
	if (!passwd_find(b, "passwd", name, &b->uid, &b->gid) && !str_to_i64(name, 0, UINT32_MAX, &b->uid))
		return err_set(e, ERR_INVALID, "the image's user %s is not in its /etc/passwd", name);
	if (rest && !str_to_i64(rest, 0, UINT32_MAX, &b->gid) &&
		!passwd_find(b, "group", rest, &b->gid, NULL))
		return err_set(e, ERR_INVALID, "the image's group %s is not in its /etc/group", rest);
	return 0;
}

static int put_user(struct bundle *b, struct json *process, struct err *e)
{
	const struct json *uid = security(b, "runAsUser"), *gid = security(b, "runAsGroup");
	const struct json *pod_ctx = json_get(pod_spec(b->c->pod), "securityContext"),
			  *fs = json_get(pod_ctx, "fsGroup");
	struct json *user = json_need_obj(b->d, process, "user"),
		    *more = json_need_arr(b->d, user, "additionalGids");

	if (image_user(b, e) < 0)
		return -1;
	if (json_is_int(uid)) {
		CLEANUP(mem_freep) char *text = str_printf("%" PRId64, json_i64(uid));

		b->uid = json_i64(uid);
		b->gid = 0;
		passwd_find(b, "passwd", text, &b->uid, &b->gid);
	}
	if (json_is_int(gid))
		b->gid = json_i64(gid);
	if (json_bool(security(b, "runAsNonRoot")) && b->uid == 0)
		return err_set(e, ERR_INVALID,
			"container has runAsNonRoot and image will run as root (container: %s)", b->c->name);
	json_set_i64(b->d, user, "uid", b->uid);
	json_set_i64(b->d, user, "gid", b->gid);
	if (json_is_int(fs))
		json_append(b->d, more, json_new_i64(b->d, json_i64(fs)));
	JSON_EACH (it, json_get(pod_ctx, "supplementalGroups"))
		json_append(b->d, more, json_new_i64(b->d, json_i64(it.val)));
	return 0;
}

/* ---- capabilities ---- */
static bool names_cap(const struct json *list, const char *cap)
{
	JSON_EACH (it, list) {
		const char *s = json_str_or(it.val, "");

		if (str_eq(s, "ALL") || str_eq(s, cap) || (str_starts(s, "CAP_") && str_eq(s + 4, cap)))
			return true;
	}
	return false;
}

/* What the kernel has and we may give: our own bounding set. In a container of our own that is not everything. */
static uint64_t may_give(void)
{
	CLEANUP(mem_freep) char *text = NULL;
	const char *at;

	if (file_read("/proc/self/status", PASSWD_MAX, &text, NULL, NULL) < 0 ||
		!(at = strstr(text, "CapBnd:")))
		return ~(uint64_t)0;
	return strtoull(at + 7, NULL, 16);
}

static void put_capabilities(struct bundle *b, struct json *process)
{
	static const char *const sets[] = { "bounding", "effective", "permitted", NULL };
	const struct json *caps = json_at(b->spec, "/securityContext/capabilities");
	struct json *o = json_need_obj(b->d, process, "capabilities");
	uint64_t ours = may_give();

	for (size_t s = 0; sets[s]; s++)
		json_need_arr(b->d, o, sets[s]);
	for (size_t i = 0; i < ARRAY_LEN(cap_names); i++) {
		bool added = names_cap(json_get(caps, "add"), cap_names[i]);
		bool on = b->privileged || added ||
			  (str_in(cap_names[i], cap_default) &&
				  !names_cap(json_get(caps, "drop"), cap_names[i]));

		if (!on || !(ours >> i & 1))
			continue;
		for (size_t s = 0; sets[s]; s++)
			json_append(b->d, json_get(o, sets[s]), json_new_strf(b->d, "CAP_%s", cap_names[i]));
	}
}

/* ---- process ---- */
static int put_args(struct bundle *b, struct json *process, struct err *e)
{
	const struct json *command = json_get(b->spec, "command"), *args = json_get(b->spec, "args");
	const struct json *config =
		b->c->image->config ? json_at(json_root(b->c->image->config), "/config") : NULL;
	struct json *list = json_need_arr(b->d, process, "args");

	if (json_len(command)) {
		JSON_EACH (it, command) {
			CLEANUP(mem_freep) char *text = env_expand(json_str_or(it.val, ""), &b->env);

			json_append_str(b->d, list, text);
		}
	} else if (b->c->image->own) {
		json_append(b->d, list, json_new_strf(b->d, "/usr/libexec/coracle/%s", b->c->image->program));
	} else {
		JSON_EACH (it, json_get(config, "Entrypoint"))
			json_append(b->d, list, json_copy(b->d, it.val));
	}
	JSON_EACH (it, args) {
		CLEANUP(mem_freep) char *text = env_expand(json_str_or(it.val, ""), &b->env);

		json_append_str(b->d, list, text);
	}
	if (!json_len(command) && !json_len(args))
		JSON_EACH (it, json_get(config, "Cmd"))
			json_append(b->d, list, json_copy(b->d, it.val));
	if (!json_len(list))
		return err_set(e, ERR_INVALID, "no command specified");
	return 0;
}

/* Going below our own score takes a capability that root in a container may lack; the runtime fails then, with nothing that says
 * why. */
static int64_t least_oom_score(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };
	CLEANUP(mem_freep) char *own = NULL;
	int64_t score;

	if (syscall(SYS_capget, &header, caps) == 0 && caps[0].effective & 1U << CAP_SYS_RESOURCE)
		return INT64_MIN;
	if (file_read("/proc/self/oom_score_adj", OOM_SCORE_TEXT_MAX, &own, NULL, NULL) < 0)
		return INT64_MIN;
	own[strcspn(own, "\n")] = '\0';
	return str_to_i64(own, -1000, 1000, &score) ? score : INT64_MIN;
}

static int64_t oom_score(const struct bundle *b)
{
	const char *qos = json_at_str(obj_json(b->c->pod->obj), "/status/qosClass");
	int64_t score = str_eq(qos, "Guaranteed") ? -997 : str_eq(qos, "Burstable") ? 500 : 1000;
	int64_t least = score < 0 ? least_oom_score() : score;

	return score < least ? least : score;
}

/* Where we may not raise it, ours is the most there is. */
static int64_t nofile_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_max > NOFILE_LIMIT)
		return NOFILE_LIMIT;
	return (int64_t)l.rlim_max;
}

int bundle_process(struct bundle *b, struct err *e)
{
	struct json *process = json_need_obj(b->d, b->root, "process"), *env, *limits = json_new_arr(b->d),
		    *nofile;
	const char *dir = json_get_str(b->spec, "workingDir");
	const struct json *escalation = json_at(b->spec, "/securityContext/allowPrivilegeEscalation");
	bool has_term = false;

	if (put_user(b, process, e) < 0 || put_args(b, process, e) < 0)
		return -1;
	if (!dir && b->c->image->config)
		dir = json_at_str(json_root(b->c->image->config), "/config/WorkingDir");
	json_set_str(b->d, process, "cwd", str_empty(dir) ? "/" : dir);
	env = json_need_arr(b->d, process, "env");
	for (size_t i = 0; i < b->env.len; i++) {
		json_append_str(b->d, env, b->env.items[i]);
		has_term |= str_starts(b->env.items[i], "TERM=");
	}
	if (ctr_has_terminal(b->c) && !has_term)
		json_append_str(b->d, env, "TERM=xterm");
	put_capabilities(b, process);
	nofile = json_new_obj(b->d);
	json_set_str(b->d, nofile, "type", "RLIMIT_NOFILE");
	json_set_i64(b->d, nofile, "hard", nofile_limit());
	json_set_i64(b->d, nofile, "soft", nofile_limit());
	json_append(b->d, limits, nofile);
	json_set(b->d, process, "rlimits", limits);
	json_set_bool(b->d, process, "noNewPrivileges", json_is_bool(escalation) && !json_bool(escalation));
	json_set_i64(b->d, process, "oomScoreAdj", oom_score(b));
	json_set_bool(b->d, process, "terminal", ctr_has_terminal(b->c));
	return 0;
}

/* ---- namespaces, devices, limits ---- */
static void put_namespace(struct bundle *b, struct json *list, const char *type, const char *path)
{
	struct json *n = json_new_obj(b->d);

	json_set_str(b->d, n, "type", type);
	json_set_str(b->d, n, "path", path);
	json_append(b->d, list, n);
}

/* The process namespace of the container that a debugging one is aimed at; NULL: none. Caller frees. */
static int target_namespace(const struct bundle *b, char **ret, struct err *e)
{
	const char *name = json_get_str(b->spec, "targetContainerName");
	const struct pod *p = b->c->pod;

	*ret = NULL;
	if (b->c->class != CTR_EPHEMERAL || str_empty(name))
		return 0;
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (str_eq(p->ctrs[i]->name, name) && p->ctrs[i]->state == CTR_RUNNING) {
			*ret = str_printf("/proc/%d/ns/pid", (int)p->ctrs[i]->main);
			return 0;
		}
	return err_set(e, ERR_NOT_FOUND, "the target container %s does not run", name);
}

static int put_namespaces(struct bundle *b, struct json *linux_part, struct err *e)
{
	struct pod *p = b->c->pod;
	struct json *list = json_need_arr(b->d, linux_part, "namespaces");
	CLEANUP(mem_freep) char *net = file_join(p->dir, "netns");
	CLEANUP(mem_freep) char *target = NULL;

	if (target_namespace(b, &target, e) < 0)
		return -1;
	put_namespace(b, list, "mount", NULL);
	if (!json_bool(json_get(pod_spec(p), "hostPID")))
		put_namespace(b, list, "pid", target);
	if (!json_bool(json_get(pod_spec(p), "hostIPC")))
		put_namespace(b, list, "ipc", NULL);
	if (pod_host_network(p))
		return 0;
	put_namespace(b, list, "uts", NULL);
	put_namespace(b, list, "network", net);
	json_set_str(
		b->d, b->root, "hostname", json_str_or(json_get(pod_spec(p), "hostname"), obj_name(p->obj)));
	return 0;
}

static void allow_device(struct bundle *b, struct json *rules, bool allow, const char *type, int64_t major_no,
	int64_t minor_no)
{
	struct json *r = json_new_obj(b->d);

	json_set_bool(b->d, r, "allow", allow);
	json_set_str(b->d, r, "access", "rwm");
	if (type) {
		json_set_str(b->d, r, "type", type);
		json_set_i64(b->d, r, "major", major_no);
		json_set_i64(b->d, r, "minor", minor_no);
	}
	json_append(b->d, rules, r);
}

/* Device files behind the extended resources that the container asks for; its user may use them. */
static void put_devices(struct bundle *b, struct json *linux_part, struct json *rules)
{
	struct json *list = json_need_arr(b->d, linux_part, "devices");

	JSON_EACH (it, json_at(b->spec, "/resources/limits")) {
		CLEANUP(mem_freep) char *resource = mem_strndup(it.key, it.key_len);
		const char *path = device_path(resource);
		struct json *dev;
		struct stat st;

		if (!path || stat(path, &st) < 0 || !S_ISCHR(st.st_mode))
			continue;
		allow_device(b, rules, true, "c", major(st.st_rdev), minor(st.st_rdev));
		if (b->privileged)
			continue;
		dev = json_new_obj(b->d);
		json_set_str(b->d, dev, "path", path);
		json_set_str(b->d, dev, "type", "c");
		json_set_i64(b->d, dev, "major", major(st.st_rdev));
		json_set_i64(b->d, dev, "minor", minor(st.st_rdev));
		json_set_i64(b->d, dev, "fileMode", 0660);
		json_set_i64(b->d, dev, "uid", b->uid);
		json_set_i64(b->d, dev, "gid", b->gid);
		json_append(b->d, list, dev);
	}
}

static int put_block(
	struct bundle *b, struct json *list, struct json *rules, const struct json *given, struct err *e)
{
	const char *name = json_str_or(json_get(given, "name"), "");
	const struct vol *v = volume_get(b->c->pod, name);
	struct json *dev, *rule;
	struct stat st;

	if (!v || !v->path)
		return err_set(e, ERR_NOT_FOUND, "volumeDevices: volume \"%s\" not found", name);
	if (!v->block)
		return err_set(e, ERR_INVALID,
			"volume \"%s\" has volumeMode Filesystem, but is specified in volumeDevices", name);
	if (b->privileged) /* its /dev is the host's */
		return err_set(e, ERR_NOT_IMPLEMENTED, "volumeDevices of a privileged container");
	if (stat(v->path, &st) < 0 || !S_ISBLK(st.st_mode))
		return err_set(e, ERR_NOT_FOUND, "%s is not a block device any more", v->path);
	allow_device(b, rules, true, "b", major(st.st_rdev), minor(st.st_rdev));
	rule = json_item(rules, json_len(rules) - 1);
	json_set_str(b->d, rule, "access", v->read_only ? "rm" : "rwm");
	dev = json_new_obj(b->d);
	json_set_str(b->d, dev, "path", json_str_or(json_get(given, "devicePath"), ""));
	json_set_str(b->d, dev, "type", "b");
	json_set_i64(b->d, dev, "major", major(st.st_rdev));
	json_set_i64(b->d, dev, "minor", minor(st.st_rdev));
	json_set_i64(b->d, dev, "fileMode", v->read_only ? 0440 : 0660);
	json_set_i64(b->d, dev, "uid", b->uid);
	json_set_i64(b->d, dev, "gid", b->gid);
	json_append(b->d, list, dev);
	return 0;
}

/* Claims of volumeMode Block, as files of its /dev that its user may use. */
static int put_blocks(struct bundle *b, struct json *linux_part, struct json *rules, struct err *e)
{
	JSON_EACH (it, json_get(b->spec, "volumeDevices"))
		if (put_block(b, json_need_arr(b->d, linux_part, "devices"), rules, it.val, e) < 0)
			return -1;
	return 0;
}

static void put_limits(struct bundle *b, struct json *resources)
{
	struct cgroup_limits l = limits_of(json_get(b->spec, "resources"));
	struct json *cpu = json_need_obj(b->d, resources, "cpu");
	int64_t quota = cgroup_quota(l.cpu_limit);

	if (l.memory >= 0)
		json_put(b->d, resources, "/memory/limit", json_new_i64(b->d, l.memory));
	json_set_i64(b->d, cpu, "shares", cgroup_shares(l.cpu_request));
	json_set_i64(b->d, cpu, "period", CGROUP_CPU_PERIOD);
	if (quota > 0)
		json_set_i64(b->d, cpu, "quota", quota);
}

int bundle_linux(struct bundle *b, struct err *e)
{
	static const char *const masked[] = { "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
		"/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
		"/sys/firmware", "/proc/scsi", NULL };
	static const char *const read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
		"/proc/sysrq-trigger", NULL };
	struct json *linux_part = json_need_obj(b->d, b->root, "linux");
	struct json *resources = json_need_obj(b->d, linux_part, "resources");
	struct json *rules = json_need_arr(b->d, resources, "devices");
	CLEANUP(mem_freep) char *cgroup = ctr_cgroup(b->c);

	json_set_str(b->d, linux_part, "cgroupsPath", cgroup);
	if (put_namespaces(b, linux_part, e) < 0)
		return -1;
	allow_device(b, rules, b->privileged, NULL, 0, 0);
	put_devices(b, linux_part, rules);
	if (put_blocks(b, linux_part, rules, e) < 0)
		return -1;
	put_limits(b, resources);
	if (b->privileged) {
		json_set_str(b->d, linux_part, "rootfsPropagation", "rslave");
		return 0;
	}
	for (size_t i = 0; masked[i]; i++)
		json_append_str(b->d, json_need_arr(b->d, linux_part, "maskedPaths"), masked[i]);
	for (size_t i = 0; read_only[i]; i++)
		json_append_str(b->d, json_need_arr(b->d, linux_part, "readonlyPaths"), read_only[i]);
	return 0;
}

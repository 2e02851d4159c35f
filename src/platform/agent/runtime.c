/* SPDX-License-Identifier: Apache-2.0 */
/* Which OCI runtime works here: found out by running something, because version and configuration
 * do not tell (crun 1.8 refuses hosts
 * with both cgroup versions). The answer is kept in DIR/runtime with the program's size and time. */
#include "platform/agent/impl.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KNOWN_MAX 16384

static const char *const candidates[] = { "crun", "runc", NULL };
static const char *const path_dirs[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin",
	"/sbin", "/bin", NULL };

static const char trial_config[] =
	"{'ociVersion':'1.0.2','process':{'terminal':false,'user':{'uid':0,'gid':0},'args':['/bin/true'],"
	"'env':['PATH=/usr/bin:/bin'],'cwd':'/'},'root':{'path':'rootfs','readonly':true},"
	"'mounts':[{'destination':'/proc','type':'proc','source':'proc'},"
	"{'destination':'/usr','type':'bind','source':'/usr','options':['rbind','ro']},"
	"{'destination':'/bin','type':'bind','source':'/bin','options':['rbind','ro']},"
	"{'destination':'/lib','type':'bind','source':'/lib','options':['rbind','ro']}%s],"
	"'linux':{'cgroupsPath':'/"
	"coracle-trial-%d','namespaces':[{'type':'pid'},{'type':'mount'},{'type':'ipc'},"
	"{'type':'uts'}],'resources':{'memory':{'limit':67108864}}}}";

static char *find_program(const char *name, struct stat *ret_st)
{
	for (size_t i = 0; path_dirs[i]; i++) {
		CLEANUP(mem_freep) char *path = file_join(path_dirs[i], name);

		if (access(path, X_OK) == 0 && stat(path, ret_st) == 0)
			return TAKE(path);
	}
	return NULL;
}

static int try_one(const char *path, bool crun, const char *data_dir, struct err *e)
{
	static const char lib64[] =
		",{'destination':'/lib64','type':'bind','source':'/lib64','options':['rbind','ro']}";
	CLEANUP(mem_freep) char *dir = str_printf("%s/run/trial", data_dir);
	CLEANUP(mem_freep) char *rootfs = file_join(dir, "rootfs");
	CLEANUP(mem_freep) char *state = file_join(dir, "state");
	CLEANUP(mem_freep) char *config = file_join(dir, "config.json");
	CLEANUP(mem_freep) char *id = str_printf("coracle-trial-%d", (int)getpid());
	CLEANUP(mem_freep)
	char *text = str_printf(trial_config, file_exists("/lib64") ? lib64 : "", (int)getpid());
	struct strv argv = { 0 };
	int r;

	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	if (file_mkdirs(rootfs, 0755, e) < 0 || file_mkdirs(state, 0700, e) < 0 ||
		file_write(config, text, strlen(text), 0600, e) < 0)
		return -1;
	strv_add(&argv, path);
	strv_addf(&argv, "--root=%s", state);
	if (crun)
		strv_add(&argv, "--cgroup-manager=cgroupfs");
	strv_add(&argv, "run");
	strv_addf(&argv, "--bundle=%s", dir);
	strv_add(&argv, id);
	r = proc_wait(strv_argv(&argv), NULL, e);
	strv_done(&argv);
	file_remove_tree(dir, NULL);
	return r;
}

static char *stamp(const char *path, const struct stat *st)
{
	return str_printf("%s %lld %lld", path, (long long)st->st_size, (long long)st->st_mtime);
}

/* What an earlier start found out: lines of a program's stamp and "ok" or why not. */
static const char *known_verdict(const char *known, const char *mark)
{
	const char *at = known ? strstr(known, mark) : NULL;

	return at && at[strlen(mark)] == ' ' ? at + strlen(mark) : NULL;
}

static void choose(struct runtime *ret, const char *name, const char *path, const char *data_dir)
{
	ret->name = mem_strdup(name);
	ret->path = mem_strdup(path);
	ret->crun = str_eq(name, "crun");
	ret->root = str_printf("%s/run/%s", data_dir, name);
}

int runtime_find(struct runtime *ret, const char *data_dir, struct err *e)
{
	CLEANUP(mem_freep) char *file = file_join(data_dir, "runtime");
	CLEANUP(mem_freep) char *known = NULL;
	CLEANUP(str_done) struct str now = { 0 };
	CLEANUP(str_done) struct str why = { 0 };
	bool found = false;

	file_read(file, KNOWN_MAX, &known, NULL, NULL);
	for (size_t i = 0; candidates[i] && !found; i++) {
		struct stat st;
		CLEANUP(mem_freep) char *path = find_program(candidates[i], &st);
		CLEANUP(mem_freep) char *mark = path ? stamp(path, &st) : NULL;
		const char *verdict = path ? known_verdict(known, mark) : NULL;
		struct err trial = { 0 };

		if (!path) {
			str_addf(&why, "%s%s is not installed", why.len ? "; " : "", candidates[i]);
			continue;
		}
		if (verdict)
			found = str_starts(verdict, " ok");
		else
			found = try_one(path, str_eq(candidates[i], "crun"), data_dir, &trial) == 0;
		if (!found)
			str_addf(&why, "%s%s does not work: %.*s", why.len ? "; " : "", path,
				(int)strcspn(verdict ? verdict + 1 : trial.msg, "\n"),
				verdict ? verdict + 1 : trial.msg);
		str_addf(&now, "%s %.*s\n", mark,
			(int)strcspn(found     ? "ok"
				     : verdict ? verdict + 1
					       : trial.msg,
				"\n"),
			found     ? "ok"
			: verdict ? verdict + 1
				  : trial.msg);
		if (found)
			choose(ret, candidates[i], path, data_dir);
	}
	if (!found)
		return err_set(e, ERR_UNAVAILABLE, "no usable OCI runtime: %s", str_cstr(&why));
	if (!str_eq(known, str_cstr(&now))) {
		log_info("OCI runtime: %s%s%s%s", ret->path, why.len ? " (" : "", str_cstr(&why),
			why.len ? ")" : "");
		file_write(file, str_cstr(&now), now.len, 0644, NULL);
	}
	return file_mkdirs(ret->root, 0700, e);
}

void runtime_done(struct runtime *r)
{
	free(r->name);
	free(r->path);
	free(r->root);
	memset(r, 0, sizeof(*r));
}

int agent_runtime_try(const char *dir, char **ret_program, struct err *e)
{
	struct runtime rt = { 0 };

	if (runtime_find(&rt, dir, e) < 0)
		return -1;
	*ret_program = mem_strdup(rt.path);
	runtime_done(&rt);
	return 0;
}

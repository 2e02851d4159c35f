/* SPDX-License-Identifier: Apache-2.0 */
/* kubernetes-api.md 8, 98: a process that writes under load is killed (SIGKILL) at random points; every write it told us was
 * acknowledged is there, with its value, and the revision never goes back.
 *
 *   store_kill_test [ROUNDS [SEED]] */
#include "store/store.h"

#include "base/crypto.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 200
#define KEYS 200
#define IN_FLIGHT 32
#define RUN_MAX_US 30000

/* What the child says about each acknowledged write, through a pipe: short enough to be written in one piece. */
struct said {
	uint32_t key;
	uint32_t deleted;
	uint64_t rev;
};

/* ---- the child: IN_FLIGHT writes at a time, for ever ---- */
struct slot {
	struct writer *w;
	struct said said;
};
struct writer {
	struct loop *loop;
	struct store *store;
	int pipe;
	uint64_t revs[KEYS]; /* as queued */
	uint32_t random;
	struct slot slots[IN_FLIGHT];
};

static uint32_t key_number(const char *key)
{
	int64_t n = 0;

	str_to_i64(strrchr(key, '/') + 1, 0, KEYS - 1, &n);
	return (uint32_t)n;
}

static uint32_t next_random(uint32_t *r)
{
	*r ^= *r << 13;
	*r ^= *r >> 17;
	*r ^= *r << 5;
	return *r;
}

static void value_of(uint32_t key, uint64_t rev, struct str *out)
{
	str_addf(out, "{\"key\":%u,\"rev\":%llu,\"pad\":\"", key, (unsigned long long)rev);
	for (uint64_t i = 0; i < (rev * 37 + key) % 3000; i++)
		str_addc(out, 'x');
	str_add(out, "\"}");
}

static void start_write(struct slot *s);
static void child_acknowledged(void *arg, uint64_t rev, const struct err *e)
{
	struct slot *s = arg;

	if (e || rev != s->said.rev || write(s->w->pipe, &s->said, sizeof(s->said)) != sizeof(s->said))
		_exit(3);
	start_write(s);
}

static void start_write(struct slot *s)
{
	struct writer *w = s->w;
	uint32_t key = next_random(&w->random) % KEYS;
	bool delete = w->revs[key] && next_random(&w->random) % 5 == 0;
	CLEANUP(str_done) struct str name = { 0 }, value = { 0 };
	uint64_t rev = store_next(w->store);

	str_addf(&name, "/registry/test/%u", key);
	value_of(key, rev, &value);
	s->said = (struct said){ key, delete, rev };
	store_write(w->store, &(struct store_write){ .key = name.data,
				      .value = delete ? NULL : value.data,
				      .len = value.len,
				      .expect = w->revs[key],
				      .done = child_acknowledged,
				      .arg = s });
	w->revs[key] = delete ? 0 : rev;
}

static int child_row(void *arg, const struct store_row *r, struct err *e)
{
	struct writer *w = arg;

	w->revs[key_number(r->key)] = r->rev;
	return 0;
}

static int child_change(void *arg, const struct store_change *c, struct err *e)
{
	return 0;
}

static _Noreturn void child(const char *path, int pipe, uint32_t seed)
{
	static const struct store_load_ops ops = { child_row, child_change };
	struct writer w = { .pipe = pipe, .random = seed | 1 };
	struct err e = { 0 };

	w.loop = loop_new();
	w.store = store_sqlite_open(w.loop, path, &e);
	if (!w.store || store_load(w.store, &ops, &w, &e) < 0) {
		fprintf(stderr, "child: %s\n", e.msg);
		_exit(2);
	}
	for (size_t i = 0; i < IN_FLIGHT; i++) {
		w.slots[i].w = &w;
		start_write(&w.slots[i]);
	}
	loop_run(w.loop);
	_exit(4);
}

/* ---- the judge ---- */
struct judge {
	uint64_t acked[KEYS]; /* revision of the last acknowledged write of a key */
	bool deleted[KEYS];
	uint64_t highest, writes;
	uint64_t found[KEYS];
	int wrong;
};

static int judge_row(void *arg, const struct store_row *r, struct err *e)
{
	struct judge *j = arg;
	uint32_t key = key_number(r->key);
	CLEANUP(str_done) struct str want = { 0 };

	value_of(key, r->rev, &want);
	if (key >= KEYS || r->len != want.len || memcmp(r->value, want.data, want.len) != 0) {
		fprintf(stderr, "key %s at %llu has another value than was written\n", r->key,
			(unsigned long long)r->rev);
		j->wrong++;
	}
	if (key < KEYS)
		j->found[key] = r->rev;
	return 0;
}

static int judge_change(void *arg, const struct store_change *c, struct err *e)
{
	return 0;
}

/* Later than the last acknowledged write is fine: written, but killed before it could say so. */
static void judge_store(struct judge *j, const char *path, int round)
{
	static const struct store_load_ops ops = { judge_row, judge_change };
	struct loop *l = loop_new();
	struct err e = { 0 };
	struct store *s = store_sqlite_open(l, path, &e);

	memset(j->found, 0, sizeof(j->found));
	if (!s || store_load(s, &ops, j, &e) < 0) {
		fprintf(stderr, "round %d: %s\n", round, e.msg);
		exit(1);
	}
	if (store_revision(s) < j->highest) {
		fprintf(stderr, "round %d: revision went back from %llu to %llu\n", round,
			(unsigned long long)j->highest, (unsigned long long)store_revision(s));
		j->wrong++;
	}
	for (uint32_t k = 0; k < KEYS; k++) {
		/* gone is fine only if a later deletion may have been written without word of it */
		bool lost = j->found[k] ? j->found[k] < j->acked[k]
					: !j->deleted[k] && j->acked[k] && store_revision(s) <= j->highest;

		if (!lost)
			continue;
		fprintf(stderr, "round %d: key %u: acknowledged %s at %llu, found %llu\n", round, k,
			j->deleted[k] ? "deletion" : "value", (unsigned long long)j->acked[k],
			(unsigned long long)j->found[k]);
		j->wrong++;
	}
	/* what was written without word of it counts from now on */
	for (uint32_t k = 0; k < KEYS; k++) {
		j->acked[k] = j->found[k];
		j->deleted[k] = false;
	}
	j->highest = store_revision(s);
	store_free(s);
	loop_free(l);
}

static void listen_to(struct judge *j, int fd)
{
	struct said s;

	while (read(fd, &s, sizeof(s)) == sizeof(s)) {
		j->acked[s.key] = s.rev;
		j->deleted[s.key] = s.deleted;
		j->writes++;
		if (s.rev > j->highest)
			j->highest = s.rev;
	}
}

static void one_round(struct judge *j, const char *path, int round, uint32_t *random)
{
	uint32_t us = next_random(random) % RUN_MAX_US, seed = next_random(random);
	struct timespec pause = { 0, us * 1000L };
	int fds[2], status;
	pid_t pid;

	/* large enough for everything a child says before anybody listens */
	if (pipe(fds) < 0 || fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) < 0) {
		perror("pipe");
		exit(1);
	}
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		child(path, fds[1], seed);
	}
	close(fds[1]);
	/* the clock starts with the first acknowledgement, so that there is a load to kill */
	poll(&(struct pollfd){ fds[0], POLLIN, 0 }, 1, 5000);
	nanosleep(&pause, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status)) {
		fprintf(stderr, "round %d: the child ended by itself: %d\n", round, WEXITSTATUS(status));
		exit(1);
	}
	listen_to(j, fds[0]);
	close(fds[0]);
	judge_store(j, path, round);
}

int main(int argc, char **argv)
{
	struct judge j = { 0 };
	char dir[] = "/tmp/store-kill-XXXXXX";
	int64_t rounds = ROUNDS, seed = 0;
	CLEANUP(mem_freep) char *path = NULL;
	uint32_t random;

	crypto_random(&random, sizeof(random));
	if (argc > 1)
		str_to_i64(argv[1], 1, 1000000, &rounds);
	if (argc > 2 && str_to_i64(argv[2], 1, UINT32_MAX, &seed))
		random = (uint32_t)seed;
	printf("seed %u\n", random);
	if (!mkdtemp(dir))
		return 1;
	path = file_join(dir, "state.db");
	for (int i = 0; i < rounds && j.wrong == 0; i++)
		one_round(&j, path, i, &random);
	printf("%llu acknowledged writes over %lld kills, %d wrong\n", (unsigned long long)j.writes,
		(long long)rounds, j.wrong);
	file_remove_tree(dir, NULL);
	return j.wrong || j.writes == 0 ? 1 : 0;
}

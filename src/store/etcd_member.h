/* SPDX-License-Identifier: Apache-2.0 */
/* store/etcd_member.h - for tests: an etcd of one member with its data in a temporary directory, on loopback, without TLS. */
#pragma once

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ETCD_PROGRAM "/usr/bin/etcd"
#define ETCD_START_MS 20000

struct etcd_member {
	pid_t pid; /* 0: there is none */
	char *dir, *url;
};

/* A port nobody listens at; 0: none. */
static inline int etcd_free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	CLEANUP(fd_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return 0;
	return ntohs(a.sin_port);
}

static inline bool etcd_listens(const char *url)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CLEANUP(fd_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t port = 0;

	str_to_i64(strrchr(url, ':') + 1, 1, 65535, &port);
	a.sin_port = htons((uint16_t)port);
	return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

static inline void etcd_member_stop(struct etcd_member *m)
{
	if (m->pid > 0) {
		kill(m->pid, SIGKILL);
		waitpid(m->pid, NULL, 0);
	}
	if (m->dir)
		file_remove_tree(m->dir, NULL);
	free(m->dir);
	free(m->url);
	*m = (struct etcd_member){ 0 };
}

/* false: etcd is not installed or does not start. The ports are free when looked for, so another try may help. */
static inline bool etcd_member_start(struct etcd_member *m)
{
	char dir[] = "/tmp/etcd-member-XXXXXX";

	for (int tries = 0; access(ETCD_PROGRAM, X_OK) == 0 && tries < 3; tries++) {
		CLEANUP(mem_freep) char *peer = str_printf("http://127.0.0.1:%d", etcd_free_port());
		CLEANUP(mem_freep) char *cluster = str_printf("default=%s", peer);
		struct proc_spec spec = PROC_SPEC_INIT;

		memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
		if (!mkdtemp(dir))
			return false;
		m->dir = mem_strdup(dir);
		m->url = str_printf("http://127.0.0.1:%d", etcd_free_port());
		spec.argv = (char *const[]){ (char *)ETCD_PROGRAM, (char *)"--data-dir", m->dir,
			(char *)"--listen-client-urls", m->url, (char *)"--advertise-client-urls", m->url,
			(char *)"--listen-peer-urls", peer, (char *)"--initial-advertise-peer-urls", peer,
			(char *)"--initial-cluster", cluster, NULL };
		spec.die_with_parent = true;
		if (proc_spawn(&spec, &m->pid, NULL) < 0) {
			spec.argv = NULL;
			m->pid = 0;
		}
		for (int ms = 0; m->pid > 0 && ms < ETCD_START_MS; ms += 20) {
			if (etcd_listens(m->url))
				return true;
			if (waitpid(m->pid, NULL, WNOHANG) != 0) {
				m->pid = 0;
				break;
			}
			poll(NULL, 0, 20);
		}
		etcd_member_stop(m);
	}
	return false;
}

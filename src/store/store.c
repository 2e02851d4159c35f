/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include "base/crypto.h"
#include "base/file.h"
#include "base/mem.h"

#include <string.h>

#define PEM_FILE_MAX (1024 * 1024)
#define ID_MAX 64
#define OWN_KEYS "/registry"

int store_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	struct store_past past = { 0 };

	if (store_load_rows(s, ops, arg, &past.more, e) < 0)
		return -1;
	while (past.more)
		if (store_load_past(s, SIZE_MAX, ops, arg, &past, e) < 0)
			return -1;
	return 0;
}

int store_load_rows(
	struct store *s, const struct store_load_ops *ops, void *arg, bool *ret_more, struct err *e)
{
	*ret_more = s->ops->past != NULL;
	return s->ops->load(s, ops, arg, e);
}

int store_load_past(struct store *s, size_t max, const struct store_load_ops *ops, void *arg,
	struct store_past *ret, struct err *e)
{
	return s->ops->past(s, max, ops, arg, ret, e);
}

uint64_t store_revision(const struct store *s)
{
	return s->revision;
}

uint64_t store_compacted(const struct store *s)
{
	return s->compacted;
}

uint64_t store_next(const struct store *s)
{
	return s->next;
}

void store_write(struct store *s, const struct store_write *w)
{
	s->ops->write(s, w);
}

void store_follow(struct store *s, const struct store_follow_ops *ops, void *arg)
{
	s->follow = ops;
	s->follow_arg = arg;
}

struct store_wait *store_sync(struct store *s, store_sync_fn *fn, void *arg)
{
	return s->ops->sync ? s->ops->sync(s, fn, arg) : NULL;
}

void store_sync_cancel(struct store *s, struct store_wait *w)
{
	if (w)
		s->ops->sync_cancel(s, w);
}

void store_compact(struct store *s, uint64_t before)
{
	s->ops->compact(s, before);
}

const struct err *store_trouble(const struct store *s)
{
	return s->trouble.code == ERR_NONE ? NULL : &s->trouble;
}

void store_free(struct store *s)
{
	if (s)
		s->ops->free(s);
}

/* ---- choosing ---- */
static int read_pem(const char *path, char **ret, struct err *e)
{
	return path ? file_read(path, PEM_FILE_MAX, ret, NULL, e) : 0;
}

/* The same after a restart: a server that comes back voids what its last life left behind. */
static int server_id(const char *data_dir, char **ret, struct err *e)
{
	CLEANUP(mem_freep) char *path = file_join(data_dir, "server-id");
	char id[37];

	if (file_read(path, ID_MAX, ret, NULL, NULL) == 0)
		return 0;
	crypto_uuid(id);
	*ret = mem_strdup(id);
	return file_write_atomic(path, id, strlen(id), 0600, e);
}

static struct store *open_etcd(struct loop *l, const char *data_dir, const struct store_choice *c,
	const char *endpoints, struct err *e)
{
	CLEANUP(mem_freep) char *ca = NULL;
	CLEANUP(mem_freep) char *cert = NULL;
	CLEANUP(mem_freep) char *key = NULL;
	CLEANUP(mem_freep) char *id = NULL;

	if (!c->etcd_cert != !c->etcd_key) {
		err_set(e, ERR_BAD_REQUEST, "etcd: a client certificate and its key come together");
		return NULL;
	}
	if (read_pem(c->etcd_ca, &ca, e) < 0 || read_pem(c->etcd_cert, &cert, e) < 0 ||
		read_pem(c->etcd_key, &key, e) < 0 || server_id(data_dir, &id, e) < 0)
		return NULL;
	return store_etcd_open(l,
		&(struct store_etcd_spec){ .endpoints = endpoints,
			.ca_pem = ca,
			.cert_pem = cert,
			.key_pem = key,
			.own = OWN_KEYS,
			.prefix = c->etcd_prefix ? c->etcd_prefix : OWN_KEYS,
			.id = id },
		e);
}

struct store *store_open(struct loop *l, const char *data_dir, const struct store_choice *c, struct err *e)
{
	CLEANUP(mem_freep) char *db = NULL;

	if (c->store && str_starts(c->store, "etcd:"))
		return open_etcd(l, data_dir, c, c->store + strlen("etcd:"), e);
	if (str_eq(c->store, "mem"))
		return store_mem_new(l);
	if (c->store && !str_eq(c->store, "sqlite")) {
		err_set(e, ERR_BAD_REQUEST, "'%s' is no store: sqlite, mem or etcd:ENDPOINTS", c->store);
		return NULL;
	}
	db = file_join(data_dir, "state.db");
	return store_sqlite_open(l, db, e);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/shared_pki.h"

#include "base/file.h"
#include "base/mem.h"

#include <string.h>
#include <unistd.h>

#define SHARED_PKI_KEY "/registry/coracle.dev/pki"
#define PEM_MAX (256 * 1024)
#define TRIES_MAX 3 /* the second one finds what a faster server has put there */

static const struct {
	const char *member, *file;
	int mode;
	bool authority; /* what it signed is void if it changes */
} parts[] = {
	{ "ca.crt", "ca.crt", 0644, true },
	{ "ca.key", "ca.key", 0600, true },
	{ "front-proxy-ca.crt", "front-proxy-ca.crt", 0644, true },
	{ "front-proxy-ca.key", "front-proxy-ca.key", 0600, true },
	{ "sa.key", "sa.key", 0600, false },
};
static const char *const signed_files[] = { "apiserver.crt", "admin.crt", "front-proxy-client.crt" };

bool shared_pki_is(const char *store_key)
{
	return str_eq(store_key, SHARED_PKI_KEY);
}

bool shared_pki_take(struct apiserver *s, const char *store_key, const char *value, size_t len)
{
	if (!shared_pki_is(store_key))
		return false;
	if (value && !s->shared_pki)
		s->shared_pki = mem_strndup(value, len);
	return true;
}

static int put_files(const char *text, const char *dir, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(text, strlen(text), e);
	bool changed = false;

	if (!d)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		CLEANUP(mem_freep) char *path = file_join(dir, parts[i].file);
		CLEANUP(mem_freep) char *have = NULL;
		const char *want = json_get_str(json_root(d), parts[i].member);

		if (!want)
			return err_set(e, ERR_INTERNAL, "the shared authorities lack %s", parts[i].member);
		if (file_read(path, PEM_MAX, &have, NULL, NULL) == 0 && str_eq(have, want))
			continue;
		changed |= parts[i].authority;
		if (file_write_atomic(path, want, strlen(want), (mode_t)parts[i].mode, e) < 0)
			return -1;
	}
	for (size_t i = 0; changed && i < ARRAY_LEN(signed_files); i++) {
		CLEANUP(mem_freep) char *path = file_join(dir, signed_files[i]);

		unlink(path);
	}
	return 0;
}

struct offer {
	bool done;
	struct err err;
};

static void offered(void *arg, uint64_t rev, const struct err *e)
{
	struct offer *o = arg;

	(void)rev;
	o->done = true;
	if (e)
		err_copy(&o->err, e);
}

/* A conflict is fine: then another server's are there. */
static int offer_own(struct apiserver *s, const char *dir, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(str_done) struct str text = { 0 };
	struct pki own = { 0 };
	struct offer o = { 0 };

	if (pki_load(&own, dir, NULL, loop_wall_ms(s->loop), e) < 0) {
		pki_done(&own);
		return -1;
	}
	json_set_root(d, json_new_obj(d));
	json_set_str(d, json_root(d), "ca.crt", own.ca.cert_pem);
	json_set_str(d, json_root(d), "ca.key", own.ca.key_pem);
	json_set_str(d, json_root(d), "front-proxy-ca.crt", own.front_ca.cert_pem);
	json_set_str(d, json_root(d), "front-proxy-ca.key", own.front_ca.key_pem);
	json_set_str(d, json_root(d), "sa.key", own.sa_key);
	json_write_to(json_root(d), &text);
	pki_done(&own);
	store_write(s->objects->store, &(struct store_write){ .key = SHARED_PKI_KEY,
					       .value = text.data,
					       .len = text.len,
					       .done = offered,
					       .arg = &o });
	while (!o.done)
		loop_step(s->loop, -1);
	if (o.err.code == ERR_NONE)
		s->shared_pki = str_take(&text);
	if (o.err.code == ERR_NONE || o.err.code == ERR_CONFLICT)
		return 0;
	err_copy(e, &o.err);
	return -1;
}

int shared_pki_sync(struct apiserver *s, const char *dir, struct err *e)
{
	if (!store_shared(s->objects->store))
		return 0;
	if (file_mkdirs(dir, 0700, e) < 0)
		return -1;
	for (int i = 0; !s->shared_pki && i < TRIES_MAX; i++)
		if (offer_own(s, dir, e) < 0)
			return err_wrap(e, "share the certificate authorities");
	if (!s->shared_pki)
		return err_set(e, ERR_INTERNAL, "the shared certificate authorities can not be read");
	return put_files(s->shared_pki, dir, e);
}

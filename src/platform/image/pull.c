/* SPDX-License-Identifier: Apache-2.0 */
/* One fetch: ask the registry for the manifest (which digest is it now?), fetch, unpack, move into place, record. */
#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/image/image_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DIGEST_LEN (7 + SHA256_HEX_LEN)
#define BLOB_MAX (4 << 20)

void pull_free(struct pull *p)
{
	if (!p)
		return;
	proc_run_free(p->run);
	strv_done(&p->argv);
	if (p->tmp)
		file_remove_tree(p->tmp, NULL);
	free(p->tmp);
	free(p->ref);
	free(p->digest);
	free(p->id);
	free(p);
}

static void skopeo(struct pull *p, const char *verb)
{
	CLEANUP(mem_freep) char *conf = file_join(p->store->data_dir, "registries.conf");

	strv_done(&p->argv);
	strv_add(&p->argv, "skopeo");
	if (!file_exists("/etc/containers/policy.json"))
		strv_add(&p->argv, "--insecure-policy");
	if (file_exists(conf)) {
		strv_add(&p->argv, "--registries-conf");
		strv_add(&p->argv, conf);
	}
	strv_add(&p->argv, verb);
}

/* The last line of stderr, without skopeo's decoration: time="..." level=fatal msg="...". */
static int tool_failed(const struct pull *p, const char *what, const struct proc_result *r, struct err *e)
{
	size_t end = r->err_len, start;
	const char *msg;
	CLEANUP(mem_freep) char *line = NULL;
	CLEANUP(str_done) struct str text = { 0 };

	if (r->e && r->e->code)
		return err_set(e, r->e->code, "%s %s: %s", what, p->ref, r->e->msg);
	while (end > 0 && r->err[end - 1] == '\n')
		end--;
	for (start = end; start > 0 && r->err[start - 1] != '\n'; start--)
		;
	line = mem_strndup(r->err + start, end - start);
	msg = strstr(line, "msg=\"");
	for (const char *s = msg ? msg + 5 : line; *s && !(msg && *s == '"'); s++) {
		if (msg && *s == '\\' && s[1])
			s++;
		str_addc(&text, *s);
	}
	return err_set(e, ERR_UNAVAILABLE, "%s %s: %.700s", what, p->ref, str_cstr(&text));
}

static void fail(struct pull *p, const struct err *e)
{
	store_pull_done(p, e);
}

/* What the image's configuration says goes beside its files; both appear under their final name at once. */
static int put_in_place(struct pull *p, struct err *e)
{
	CLEANUP(mem_freep) char *dir = store_image_dir(p->store, p->id);
	CLEANUP(mem_freep) char *blob = str_printf("%s/oci/blobs/sha256/%s", p->tmp, p->id + 7);
	CLEANUP(mem_freep) char *unpacked = file_join(p->tmp, "image");
	CLEANUP(mem_freep) char *config = file_join(unpacked, "config.json");
	CLEANUP(fd_closep) int fd = -1;

	if (file_exists(dir))
		return 0;
	if (file_copy(blob, config, 0600, e) < 0)
		return -1;
	fd = open(unpacked, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || syncfs(fd) < 0)
		return err_sys(e, "syncing %s", unpacked);
	if (rename(unpacked, dir) < 0)
		return err_sys(e, "moving %s to %s", unpacked, dir);
	return 0;
}

static void finish(struct pull *p)
{
	struct err e = { 0 };

	if (put_in_place(p, &e) < 0 || store_record(p->store, p->ref, p->id, p->digest, &e) < 0)
		fail(p, &e);
	else
		store_pull_done(p, NULL);
}

static void unpacked(void *arg, const struct proc_result *r)
{
	struct pull *p = arg;
	struct err e = { 0 };

	p->run = NULL;
	if (proc_ok(r)) {
		finish(p);
		return;
	}
	tool_failed(p, "unpacking", r, &e);
	fail(p, &e);
}

static char *blob_digest(struct pull *p, const char *file, const char *pointer, struct err *e)
{
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const char *digest;
	size_t len;

	if (file_read(file, BLOB_MAX, &text, &len, e) < 0 || !(d = json_parse(text, len, e)))
		return NULL;
	digest = json_at_str(json_root(d), pointer);
	if (!digest || strlen(digest) != DIGEST_LEN || !str_starts(digest, "sha256:") ||
		strspn(digest + 7, "0123456789abcdef") != SHA256_HEX_LEN) {
		err_set(e, ERR_INVALID, "%s: no sha256 digest at %s", p->ref, pointer);
		return NULL;
	}
	return mem_strdup(digest);
}

static int find_id(struct pull *p, struct err *e)
{
	CLEANUP(mem_freep) char *index = str_printf("%s/oci/index.json", p->tmp);
	CLEANUP(mem_freep) char *manifest = blob_digest(p, index, "/manifests/0/digest", e);
	CLEANUP(mem_freep)
	char *blob = manifest ? str_printf("%s/oci/blobs/sha256/%s", p->tmp, manifest + 7) : NULL;

	if (blob)
		p->id = blob_digest(p, blob, "/config/digest", e);
	return p->id ? 0 : err_wrap(e, "image %s", p->ref);
}

static void fetched(void *arg, const struct proc_result *r)
{
	struct pull *p = arg;
	struct err e = { 0 };
	CLEANUP(mem_freep) char *dir = NULL;

	p->run = NULL;
	if (!proc_ok(r)) {
		tool_failed(p, "pulling image", r, &e);
		fail(p, &e);
		return;
	}
	if (find_id(p, &e) < 0) {
		fail(p, &e);
		return;
	}
	dir = store_image_dir(p->store, p->id);
	if (file_exists(dir)) { /* the same content under another name */
		finish(p);
		return;
	}
	strv_done(&p->argv);
	strv_add(&p->argv, "umoci");
	strv_add(&p->argv, "raw");
	strv_add(&p->argv, "unpack");
	strv_add(&p->argv, "--image");
	strv_addf(&p->argv, "%s/oci:img", p->tmp);
	strv_addf(&p->argv, "%s/image/rootfs", p->tmp);
	p->run = proc_run(p->store->loop, strv_argv(&p->argv), NULL, IMAGE_PULL_TIMEOUT_MS, unpacked, p);
}

static void inspected(void *arg, const struct proc_result *r)
{
	struct pull *p = arg;
	struct err e = { 0 };
	struct image *have;
	char hex[SHA256_HEX_LEN + 1];
	CLEANUP(mem_freep) char *image_dir = file_join(p->tmp, "image");
	bool same;

	p->run = NULL;
	if (!proc_ok(r)) {
		tool_failed(p, "pulling image", r, &e);
		fail(p, &e);
		return;
	}
	crypto_sha256_hex(r->out, r->out_len, hex);
	p->digest = str_printf("sha256:%s", hex);
	have = store_find(p->store, p->ref);
	same = have && str_ends(have->digest_ref, p->digest);
	image_free(have);
	if (same) {
		store_pull_done(p, NULL);
		return;
	}
	if (file_mkdirs(image_dir, 0755, &e) < 0) {
		fail(p, &e);
		return;
	}
	skopeo(p, "copy");
	strv_add(&p->argv, "-q");
	strv_addf(&p->argv, "docker://%s", p->ref);
	strv_addf(&p->argv, "oci:%s/oci:img", p->tmp);
	p->run = proc_run(p->store->loop, strv_argv(&p->argv), NULL, IMAGE_PULL_TIMEOUT_MS, fetched, p);
}

void pull_start(struct pull *p)
{
	skopeo(p, "inspect");
	strv_add(&p->argv, "--raw");
	strv_addf(&p->argv, "docker://%s", p->ref);
	p->run = proc_run(p->store->loop, strv_argv(&p->argv), NULL, IMAGE_PULL_TIMEOUT_MS, inspected, p);
}

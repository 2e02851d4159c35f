/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/image/image.h"

#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/image/image_impl.h"

#include <string.h>

#define CONFIG_MAX (4 << 20)
#define REF_MAX 1024

struct image_store *images_new(struct loop *l, const char *data_dir)
{
	struct image_store *s = MEM_NEW(struct image_store);
	CLEANUP(mem_freep) char *tmp = NULL;

	s->loop = l;
	s->data_dir = mem_strdup(data_dir);
	s->dir = file_join(data_dir, "images");
	tmp = file_join(s->dir, "tmp");
	/* What an earlier run was about to fetch */
	file_remove_tree(tmp, NULL);
	return s;
}

void images_free(struct image_store *s)
{
	if (!s)
		return;
	while (s->gets)
		image_get_cancel(s->gets);
	while (s->pulls) {
		struct pull *p = s->pulls;

		s->pulls = p->next;
		pull_free(p);
	}
	free(s->data_dir);
	free(s->dir);
	free(s);
}

void image_free(struct image *i)
{
	if (!i)
		return;
	free(i->ref);
	free(i->id);
	free(i->digest_ref);
	free(i->rootfs);
	free(i->program);
	free(i->bin_dir);
	json_doc_free(i->config);
	free(i);
}

static const char *tag_of(const char *ref)
{
	const char *slash = strrchr(ref, '/'), *colon = strchr(slash ? slash : ref, ':');

	return colon && !strchr(ref, '@') ? colon + 1 : NULL;
}

enum image_policy image_policy_from(const char *text, const char *ref)
{
	const char *tag = tag_of(ref);

	if (str_eq(text, "Always"))
		return IMAGE_ALWAYS;
	if (str_eq(text, "Never"))
		return IMAGE_NEVER;
	if (str_eq(text, "IfNotPresent") || strchr(ref, '@') || (tag && !str_eq(tag, "latest")))
		return IMAGE_IF_NOT_PRESENT;
	return IMAGE_ALWAYS;
}

/* ---- the release store ---- */
static int own_image(const struct image_store *s, const char *ref, struct image **ret, struct err *e)
{
	const char *name = ref + strlen(IMAGE_OWN_PREFIX), *tag = tag_of(ref);
	CLEANUP(mem_freep)
	char *program = tag ? mem_strndup(name, (size_t)(tag - 1 - name)) : mem_strdup(name);
	CLEANUP(mem_freep) char *bin = NULL;
	CLEANUP(mem_freep) char *path = NULL;
	struct image *i;

	if (!tag || !*tag || strchr(tag, '/') || str_starts(tag, ".") || !*program || strchr(program, '/'))
		return err_set(e, ERR_NOT_FOUND, "%s: not of the form %sPROGRAM:TAG", ref, IMAGE_OWN_PREFIX);
	bin = str_printf("%s/releases/%s/bin", s->data_dir, tag);
	if (!file_exists(bin))
		return err_set(e, ERR_NOT_FOUND, "%s: release %s is not in the release store %s/releases",
			ref, tag, s->data_dir);
	path = file_join(bin, program);
	if (!file_exists(path))
		return err_set(e, ERR_NOT_FOUND, "%s: release %s has no program %s", ref, tag, program);
	i = MEM_NEW(struct image);
	i->own = true;
	i->ref = mem_strdup(ref);
	i->id = str_printf("release:%s", tag);
	i->digest_ref = mem_strdup(ref);
	i->program = TAKE(program);
	i->bin_dir = TAKE(bin);
	*ret = i;
	return 0;
}

/* ---- fetched ones: DIR/images/sha256-HEX/{rootfs,config.json}, DIR/images/refs/HASH = "id digest" ---- */
char *store_image_dir(const struct image_store *s, const char *id)
{
	char *dir = str_printf("%s/%s", s->dir, id), *colon = strrchr(dir, ':');

	if (colon)
		*colon = '-';
	return dir;
}

static char *ref_path(const struct image_store *s, const char *ref)
{
	char hex[SHA256_HEX_LEN + 1];

	crypto_sha256_hex(ref, strlen(ref), hex);
	return str_printf("%s/refs/%s", s->dir, hex);
}

int store_record(
	const struct image_store *s, const char *ref, const char *id, const char *digest, struct err *e)
{
	CLEANUP(mem_freep) char *path = ref_path(s, ref);
	CLEANUP(mem_freep) char *dir = file_join(s->dir, "refs");
	CLEANUP(mem_freep) char *text = str_printf("%s %s %s", id, digest, ref);

	if (file_mkdirs(dir, 0700, e) < 0)
		return -1;
	return file_write_atomic(path, text, strlen(text), 0600, e);
}

static char *name_of(const char *ref)
{
	const char *tag = tag_of(ref), *at = strchr(ref, '@');

	return mem_strndup(ref, tag ? (size_t)(tag - 1 - ref) : at ? (size_t)(at - ref) : strlen(ref));
}

struct image *store_find(const struct image_store *s, const char *ref)
{
	CLEANUP(mem_freep) char *path = ref_path(s, ref);
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(mem_freep) char *dir = NULL;
	CLEANUP(mem_freep) char *config = NULL;
	CLEANUP(mem_freep) char *json = NULL;
	CLEANUP(mem_freep) char *name = name_of(ref);
	char *rest, *id, *digest;
	size_t len;
	struct json_doc *d;
	struct image *i;

	if (file_read(path, REF_MAX * 2, &text, NULL, NULL) < 0)
		return NULL;
	rest = text;
	id = str_next(&rest, ' ');
	digest = rest ? str_next(&rest, ' ') : NULL;
	if (!digest)
		return NULL;
	dir = store_image_dir(s, id);
	config = file_join(dir, "config.json");
	if (file_read(config, CONFIG_MAX, &json, &len, NULL) < 0 || !(d = json_parse(json, len, NULL)))
		return NULL;
	i = MEM_NEW(struct image);
	i->ref = mem_strdup(ref);
	i->id = mem_strdup(id);
	i->digest_ref = str_printf("%s@%s", name, digest);
	i->rootfs = file_join(dir, "rootfs");
	i->config = d;
	return i;
}

bool images_will_pull(const struct image_store *s, const char *ref, enum image_policy p)
{
	struct image *i;

	if (str_starts(ref, IMAGE_OWN_PREFIX) || p == IMAGE_NEVER)
		return false;
	if (p == IMAGE_ALWAYS)
		return true;
	i = store_find(s, ref);
	image_free(i);
	return !i;
}

/* ---- callers ---- */
static void get_unlink(struct image_get *g)
{
	for (struct image_get **at = &g->store->gets; *at; at = &(*at)->next)
		if (*at == g) {
			*at = g->next;
			return;
		}
}

void image_get_cancel(struct image_get *g)
{
	if (!g)
		return;
	get_unlink(g);
	loop_timer_free(g->now);
	free(g->ref);
	free(g);
}

static void get_answer(
	struct image_get *g, struct image *img, bool pulled, const char *reason, const struct err *e)
{
	image_done_fn *fn = g->fn;
	void *arg = g->arg;

	image_get_cancel(g);
	fn(arg, img, pulled, reason, e);
}

static bool ref_is_sane(const char *ref)
{
	size_t n = strlen(ref);

	if (!n || n > REF_MAX || ref[0] == '-' || ref[0] == '/')
		return false;
	return strspn(ref, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@[]") == n;
}

static void get_now(void *arg)
{
	struct image_get *g = arg;
	struct image *img = NULL;
	struct err e = { 0 };

	if (!ref_is_sane(g->ref)) {
		err_set(&e, ERR_INVALID, "couldn't parse image name \"%s\": invalid reference format",
			g->ref);
		get_answer(g, NULL, false, "InvalidImageName", &e);
	} else if (str_starts(g->ref, IMAGE_OWN_PREFIX)) {
		if (own_image(g->store, g->ref, &img, &e) < 0)
			get_answer(g, NULL, false, "ErrImagePull", &e);
		else
			get_answer(g, img, false, NULL, NULL);
	} else if ((img = store_find(g->store, g->ref))) {
		get_answer(g, img, false, NULL, NULL);
	} else {
		err_set(&e, ERR_NOT_FOUND, "Container image \"%s\" is not present with pull policy of Never",
			g->ref);
		get_answer(g, NULL, false, "ErrImageNeverPull", &e);
	}
}

static void pulls_pump(struct image_store *s)
{
	int running = 0;

	for (struct pull *p = s->pulls; p; p = p->next)
		running += p->running;
	for (struct pull *p = s->pulls; p && running < IMAGE_PULLS_MAX; p = p->next)
		if (!p->running) {
			p->running = true;
			running++;
			pull_start(p);
		}
}

void store_pull_done(struct pull *p, const struct err *e)
{
	struct image_store *s = p->store;
	struct image_get *g;

	for (struct pull **at = &s->pulls; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
	/* A callback may ask or cancel: begin again each time. */
	for (;;) {
		struct image *img = NULL;
		struct err missing = { 0 };

		for (g = s->gets; g && g->pull != p; g = g->next)
			;
		if (!g)
			break;
		g->pull = NULL;
		if (!e && !(img = store_find(s, g->ref)))
			err_set(&missing, ERR_INTERNAL, "%s vanished after it was fetched", g->ref);
		get_answer(g, img, true, img ? NULL : "ErrImagePull", img ? NULL : e ? e : &missing);
	}
	pull_free(p);
	pulls_pump(s);
}

struct image_get *images_get(
	struct image_store *s, const char *ref, enum image_policy policy, image_done_fn *fn, void *arg)
{
	struct image_get *g = MEM_NEW(struct image_get);
	struct pull *p;

	g->store = s;
	g->next = s->gets;
	s->gets = g;
	g->ref = mem_strdup(ref);
	g->policy = policy;
	g->fn = fn;
	g->arg = arg;
	if (!ref_is_sane(ref) || !images_will_pull(s, ref, policy)) {
		g->now = loop_timer_new(s->loop, get_now, g);
		loop_timer_set(g->now, 0);
		return g;
	}
	for (p = s->pulls; p && !str_eq(p->ref, ref); p = p->next)
		;
	if (!p) {
		struct pull **end = &s->pulls;

		p = MEM_NEW(struct pull);
		p->store = s;
		p->ref = mem_strdup(ref);
		p->tmp = str_printf("%s/tmp/%u", s->dir, ++s->seq);
		while (*end)
			end = &(*end)->next;
		*end = p;
	}
	g->pull = p;
	pulls_pump(s);
	return g;
}

int images_collect(struct image_store *s, const char *const *used, struct err *e)
{
	struct strv names = { 0 };
	int r = 0;

	if (s->pulls) /* one of them may be about to need it */
		return 0;
	if (file_list(s->dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.len && r == 0; i++) {
		CLEANUP(mem_freep) char *path = file_join(s->dir, names.items[i]);
		bool keep = !str_starts(names.items[i], "sha256-");

		for (size_t j = 0; !keep && used[j]; j++) {
			CLEANUP(mem_freep) char *dir = store_image_dir(s, used[j]);

			keep = str_eq(dir, path);
		}
		if (!keep)
			r = file_remove_tree(path, e);
	}
	strv_done(&names);
	return r;
}

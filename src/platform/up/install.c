/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/up/install.h"

#include "api/meta.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/yaml.h"

#include <string.h>

#define PRINT_TIMEOUT_MS 10000
#define KIND_AGAIN_MS 20
#define MARK_MAX 1024

struct item {
	struct json_doc *doc;
	bool make_only;
};
/* A group version's resources as the server described them. */
struct known {
	char *gv;
	struct json_doc *resources;
};
struct install {
	struct loop *loop;
	struct kube_client *client;
	char *mark, *old_mark;
	install_done_fn *fn;
	void *arg;
	/* printing */
	struct strv *argv; /* by source */
	bool *make_only;
	size_t n_sources, source;
	struct proc_run *run;
	struct str text; /* of all sources, for the mark */
	/* putting */
	struct item *items;
	size_t n_items, cap_items, at, written;
	struct known *known;
	size_t n_known, cap_known;
	struct kube_call *call;
	struct loop_timer *again;
	int64_t waiting_since; /* for the kind of item `at`; 0: not */
	struct err failure;
};

static void next_source(struct install *i);
static void next_item(void *arg);

static void forget_known(struct install *i)
{
	for (size_t k = 0; k < i->n_known; k++) {
		free(i->known[k].gv);
		json_doc_free(i->known[k].resources);
	}
	i->n_known = 0;
}

void install_free(struct install *i)
{
	if (!i)
		return;
	proc_run_free(i->run);
	kube_call_cancel(i->call);
	loop_timer_free(i->again);
	for (size_t k = 0; k < i->n_sources; k++)
		strv_done(&i->argv[k]);
	for (size_t k = 0; k < i->n_items; k++)
		json_doc_free(i->items[k].doc);
	forget_known(i);
	free(i->known);
	free(i->argv);
	free(i->make_only);
	free(i->items);
	free(i->mark);
	free(i->old_mark);
	str_done(&i->text);
	free(i);
}

static void finish(struct install *i, const struct err *e)
{
	install_done_fn *fn = i->fn;
	void *arg = i->arg;
	size_t n = i->written;
	struct err copy = { 0 };

	if (e)
		err_copy(&copy, e);
	install_free(i);
	fn(arg, n, copy.code ? &copy : NULL);
}

static void mark_of(const struct install *i, char ret[SHA256_HEX_LEN + 1])
{
	crypto_sha256_hex(str_cstr(&i->text), i->text.len, ret);
}

static void all_done(struct install *i)
{
	char hex[SHA256_HEX_LEN + 1];
	struct err e = { 0 };

	mark_of(i, hex);
	if (file_write_atomic(i->mark, hex, strlen(hex), 0644, &e) < 0)
		finish(i, &e);
	else
		finish(i, NULL);
}

/* ---- which resource an object belongs to ---- */
static const struct json *resource_of(
	const struct install *i, const char *gv, const char *kind, bool *ret_known)
{
	*ret_known = false;
	for (size_t k = 0; k < i->n_known; k++) {
		if (!str_eq(i->known[k].gv, gv))
			continue;
		*ret_known = true;
		JSON_EACH (it, json_get(json_root(i->known[k].resources), "resources"))
			if (str_eq(json_get_str(it.val, "kind"), kind) &&
				!strchr(json_str_or(json_get(it.val, "name"), "/"), '/'))
				return it.val;
	}
	return NULL;
}

static void got_resources(void *arg, int status, const void *body, size_t len, const struct err *e)
{
	struct install *i = arg;
	const char *gv = json_get_str(json_root(i->items[i->at].doc), "apiVersion");
	struct json_doc *d;

	i->call = NULL;
	if (e && e->code != ERR_NOT_FOUND && e->code != ERR_UNAVAILABLE) {
		finish(i, e);
		return;
	}
	d = !e && status == 200 ? json_parse(body, len, NULL) : json_doc_new();
	if (!d)
		d = json_doc_new();
	i->known = mem_grow(i->known, &i->cap_known, i->n_known + 1, sizeof(*i->known));
	i->known[i->n_known++] = (struct known){ .gv = mem_strdup(gv), .resources = d };
	next_item(i);
}

static void ask_resources(struct install *i, const char *gv)
{
	CLEANUP(mem_freep) char *path = str_printf(strchr(gv, '/') ? "/apis/%s" : "/api/%s", gv);

	i->call = kube_raw(i->client, "GET", path, NULL, NULL, 0, got_resources, i);
}

static void wait_for_kind(struct install *i, const char *gv, const char *kind)
{
	int64_t now = loop_mono_ms(i->loop);

	if (!i->waiting_since)
		i->waiting_since = now;
	if (now - i->waiting_since > INSTALL_KIND_WAIT_MS) {
		err_set(&i->failure, ERR_NOT_FOUND, "the API server does not serve %s of %s", kind, gv);
		finish(i, &i->failure);
		return;
	}
	forget_known(i);
	loop_timer_set(i->again, KIND_AGAIN_MS);
}

/* ---- writing ---- */
static void written(void *arg, const struct obj *o, const struct err *e)
{
	struct install *i = arg;
	const struct item *it = &i->items[i->at];

	i->call = NULL;
	if (e && !(it->make_only && e->code == ERR_EXISTS)) {
		err_copy(&i->failure, e);
		err_wrap(&i->failure, "%s %s", json_get_str(json_root(it->doc), "kind"),
			json_at_str(json_root(it->doc), "/metadata/name"));
		finish(i, &i->failure);
		return;
	}
	if (!e)
		i->written++;
	i->at++;
	i->waiting_since = 0;
	next_item(i);
}

static void put(struct install *i, const struct json *o, const char *gv, const struct json *resource)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(gv);
	char *slash = strchr(copy, '/');
	struct kind k = { .kind = json_get_str(resource, "kind"),
		.plural = json_get_str(resource, "name"),
		.namespaced = json_bool(json_get(resource, "namespaced")) };
	const char *ns = k.namespaced ? json_str_or(json_at(o, "/metadata/namespace"), "default") : NULL;

	if (slash)
		*slash = 0;
	k.group = slash ? copy : "";
	k.version = slash ? slash + 1 : copy;
	if (i->items[i->at].make_only)
		i->call = kube_create(i->client, &k, ns, o, written, i);
	else
		i->call = kube_patch(i->client, &k, ns, json_at_str(o, "/metadata/name"), NULL,
			KUBE_PATCH_APPLY, o, written, i);
}

static void next_item(void *arg)
{
	struct install *i = arg;
	const struct json *o, *resource;
	const char *gv, *kind;
	bool known;

	/* What is only made once is not made again after the user removed it. */
	while (i->at < i->n_items && i->items[i->at].make_only && i->old_mark)
		i->at++;
	if (i->at == i->n_items) {
		all_done(i);
		return;
	}
	o = json_root(i->items[i->at].doc);
	gv = json_get_str(o, "apiVersion");
	kind = json_get_str(o, "kind");
	if (!gv || !kind || !json_at_str(o, "/metadata/name")) {
		err_set(&i->failure, ERR_INVALID,
			"object %zu of the manifests has no apiVersion, kind or name", i->at);
		finish(i, &i->failure);
		return;
	}
	resource = resource_of(i, gv, kind, &known);
	if (!known)
		ask_resources(i, gv);
	else if (!resource)
		wait_for_kind(i, gv, kind);
	else
		put(i, o, gv, resource);
}

/* ---- printing ---- */
static int add_item(void *arg, struct json_doc *doc, struct err *e)
{
	struct install *i = arg;

	(void)e;
	i->items = mem_grow(i->items, &i->cap_items, i->n_items + 1, sizeof(*i->items));
	i->items[i->n_items++] = (struct item){ .doc = doc, .make_only = i->make_only[i->source] };
	return 0;
}

static void printed(void *arg, const struct proc_result *r)
{
	struct install *i = arg;
	const char *program = i->argv[i->source].items[0];
	struct err e = { 0 };

	i->run = NULL;
	if (r->e && r->e->code)
		err_copy(&e, r->e);
	else if (!proc_ok(r))
		err_set(&e, ERR_INTERNAL, "%s failed: %.*s", program,
			(int)(r->err_len < 400 ? r->err_len : 400), r->err);
	else if (r->out_len > INSTALL_OUTPUT_MAX || !r->out_len)
		err_set(&e, ERR_INTERNAL, "%s printed %zu bytes", program, r->out_len);
	if (!e.code) {
		str_addn(&i->text, r->out, r->out_len);
		yaml_parse_all(r->out, r->out_len, add_item, i, &e);
	}
	if (e.code) {
		finish(i, &e);
		return;
	}
	i->source++;
	next_source(i);
}

static void next_source(struct install *i)
{
	char hex[SHA256_HEX_LEN + 1];

	if (i->source < i->n_sources) {
		i->run =
			proc_run(i->loop, strv_argv(&i->argv[i->source]), NULL, PRINT_TIMEOUT_MS, printed, i);
		return;
	}
	mark_of(i, hex);
	if (str_eq(hex, i->old_mark))
		finish(i, NULL);
	else
		next_item(i);
}

struct install *install_start(
	struct kube_client *c, const struct install_spec *spec, install_done_fn *fn, void *arg)
{
	struct install *i = MEM_NEW(struct install);

	i->loop = kube_client_loop(c);
	i->client = c;
	i->fn = fn;
	i->arg = arg;
	i->mark = mem_strdup(spec->mark);
	file_read(spec->mark, MARK_MAX, &i->old_mark, NULL, NULL);
	i->again = loop_timer_new(i->loop, next_item, i);
	i->n_sources = spec->n;
	i->argv = mem_zalloc(spec->n * sizeof(*i->argv));
	i->make_only = mem_zalloc(spec->n * sizeof(*i->make_only));
	for (size_t k = 0; k < spec->n; k++) {
		for (char *const *a = spec->sources[k].argv; *a; a++)
			strv_add(&i->argv[k], *a);
		i->make_only[k] = spec->sources[k].make_only;
	}
	next_source(i);
	return i;
}

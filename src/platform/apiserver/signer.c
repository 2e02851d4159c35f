/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/signer.h"

#include "api/meta.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/apiserver/write.h"

#include <string.h>

#define STORAGE "certificates.k8s.io/certificatesigningrequests"
#define DAY_MS (24LL * 3600 * 1000)
#define CLOCKS_DIFFER_MS (5LL * 60 * 1000)
#define REQUEST_MAX (64 * 1024)
#define USAGES_MAX 4

struct signer {
	struct apiserver *s;
	struct bucket_watch watch;
	struct strv queue; /* keys to look at */
	struct loop_timer *timer;
};

/* ---- who signs what ---- */
struct rule {
	const char *name;
	const char *must;             /* usage that has to be there */
	const char *may[USAGES_MAX];  /* the others */
	bool node;                    /* of a node: its CN and O are given */
	bool names, names_only_hosts; /* alternative names: allowed (else none), and needed */
	bool server, client;
};
static const struct rule rules[] = {
	{ SIGNER_CLIENT, "client auth", { "digital signature", "key encipherment" }, .names = true,
		.client = true },
	{ "kubernetes.io/kube-apiserver-client-kubelet", "client auth",
		{ "digital signature", "key encipherment" }, .node = true, .client = true },
	{ "kubernetes.io/kubelet-serving", "server auth", { "digital signature", "key encipherment" },
		.node = true, .names = true, .names_only_hosts = true, .server = true },
};

static const struct rule *rule_of(const struct json *csr)
{
	const char *name = json_at_str(csr, "/spec/signerName");

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (str_eq(rules[i].name, name))
			return &rules[i];
	return NULL;
}

static bool may_use(const struct rule *r, const char *usage)
{
	if (str_eq(usage, r->must))
		return true;
	for (size_t i = 0; i < USAGES_MAX && r->may[i]; i++)
		if (str_eq(usage, r->may[i]))
			return true;
	return false;
}

static const char *wrong_usages(const struct rule *r, const struct json *usages)
{
	bool must = false;

	JSON_EACH (it, usages) {
		if (!may_use(r, json_str(it.val)))
			return "usages did not match the signer's";
		must |= str_eq(json_str(it.val), r->must);
	}
	return must ? NULL : "usages did not match the signer's";
}

/* NULL: fine. */
static const char *wrong(const struct rule *r, const struct json *csr, const struct csr_info *i)
{
	if (r->node && !(i->orgs.len == 1 && str_eq(i->orgs.items[0], "system:nodes")))
		return "organization in the certificate request must be exactly [system:nodes]";
	if (r->node && !str_starts(i->common_name, "system:node:"))
		return "subject common name does not begin with system:node:";
	if (!r->names && i->hosts + i->others > 0)
		return "subjectAltNames are not allowed";
	if (r->names_only_hosts && i->others > 0)
		return "only DNS and IP subjectAltNames are allowed";
	if (r->names_only_hosts && i->hosts == 0)
		return "at least one DNS or IP subjectAltName is required";
	return wrong_usages(r, json_at(csr, "/spec/usages"));
}

/* ---- requests ---- */
static char *request_of(const struct json *csr)
{
	const char *b64 = json_at_str(csr, "/spec/request");
	struct str pem = { 0 };

	if (!b64 || strlen(b64) > REQUEST_MAX || b64_decode(b64, strlen(b64), false, &pem, NULL) < 0 ||
		memchr(str_cstr(&pem), 0, pem.len)) {
		str_done(&pem);
		return mem_strdup("");
	}
	return str_take(&pem);
}

static bool signer_named(const char *name)
{
	const char *slash = name ? strchr(name, '/') : NULL;

	return slash && slash > name && slash[1] && memchr(name, '.', (size_t)(slash - name));
}

int signer_check(struct op *op)
{
	const struct json *o = json_root(op->draft), *spec = json_get(o, "spec");
	const struct json *seconds = json_get(spec, "expirationSeconds");
	CLEANUP(mem_freep) char *pem = request_of(o);
	CLEANUP(csr_info_done) struct csr_info i = { 0 };
	struct err e = { 0 };

	if (csr_info(pem, &i, &e) < 0)
		cause_invalid(&op->causes, "spec.request", json_get(spec, "request"), "%s", e.msg);
	if (str_empty(json_get_str(spec, "signerName")))
		cause_required(&op->causes, "spec.signerName", "");
	else if (!signer_named(json_get_str(spec, "signerName")))
		cause_invalid(&op->causes, "spec.signerName", json_get(spec, "signerName"),
			"must be a fully qualified domain and path of the form 'example.com/signer-name'");
	if (json_len(json_get(spec, "usages")) == 0)
		cause_required(&op->causes, "spec.usages", "usages are required");
	if (seconds && !json_is_null(seconds) && json_i64(seconds) < SIGNER_EXPIRATION_MIN_S)
		cause_invalid(&op->causes, "spec.expirationSeconds", seconds,
			"may not specify a duration less than %d seconds", SIGNER_EXPIRATION_MIN_S);
	if (op->causes.len > 0)
		return causes_to_err(&op->causes, op->res->kind, meta_str(o, "name"), &op->err);
	if (str_eq(json_get_str(spec, "signerName"), SIGNER_CLIENT) && strv_has(&i.orgs, "system:masters"))
		return op_refuse(
			op, "use of " SIGNER_CLIENT " signer with system:masters group is not allowed");
	return 0;
}

/* ---- signing ---- */
static bool is_due(const struct obj *o)
{
	const struct json *csr = obj_json(o), *conds = json_at(csr, "/status/conditions");

	return rule_of(csr) && cond_is(conds, "Approved", "True") && !cond_find(conds, "Denied") &&
	       !cond_find(conds, "Failed") && str_empty(json_at_str(csr, "/status/certificate"));
}

static void set_failed(struct apiserver *s, struct json_doc *d, const char *why)
{
	struct json *status = json_need_obj(d, json_root(d), "status");
	char text[TIME_TEXT_MAX];
	struct json *c = json_new_obj(d);

	time_rfc3339(loop_wall_ms(s->loop), text);
	json_set_str(d, c, "type", "Failed");
	json_set_str(d, c, "status", "True");
	json_set_str(d, c, "reason", "SignerValidationFailure");
	json_set_str(d, c, "message", why);
	json_set_str(d, c, "lastUpdateTime", text);
	json_set_str(d, c, "lastTransitionTime", text);
	json_append(d, json_need_arr(d, status, "conditions"), c);
}

static int certificate(struct apiserver *s, const struct rule *r, const struct json *csr, const char *pem,
	char **ret, struct err *e)
{
	CLEANUP(cert_info_done) struct cert_info ca = { 0 };
	int64_t now = loop_wall_ms(s->loop),
		wanted = json_i64(json_at(csr, "/spec/expirationSeconds")) * 1000;
	struct cert_spec spec = {
		.server = r->server, .client = r->client, .not_before_ms = now - CLOCKS_DIFFER_MS
	};

	if (cert_info(s->pki.ca.cert_pem, &ca, e) < 0)
		return -1;
	if (wanted <= 0 || wanted > SIGNER_DAYS * DAY_MS)
		wanted = SIGNER_DAYS * DAY_MS;
	/* nothing outlives who vouches for it */
	spec.not_after_ms = now + wanted < ca.not_after_ms ? now + wanted : ca.not_after_ms;
	return csr_sign(pem, &spec, &s->pki.ca, ret, e);
}

static void sign(struct apiserver *s, struct bucket *b, const struct obj *o, uint64_t rev)
{
	const struct json *csr = obj_json(o);
	const struct rule *r = rule_of(csr);
	CLEANUP(mem_freep) char *pem = request_of(csr);
	CLEANUP(mem_freep) char *made = NULL;
	CLEANUP(csr_info_done) struct csr_info i = { 0 };
	CLEANUP(str_done) struct str b64 = { 0 };
	struct json_doc *d = obj_draft(o);
	struct err e = { 0 };
	const char *why;

	if (csr_info(pem, &i, &e) < 0)
		set_failed(s, d, e.msg);
	else if ((why = wrong(r, csr, &i)))
		set_failed(s, d, why);
	else if (certificate(s, r, csr, pem, &made, &e) < 0)
		set_failed(s, d, e.msg);
	if (made) {
		b64_encode(made, strlen(made), false, &b64);
		json_set_str(d, json_need_obj(d, json_root(d), "status"), "certificate", str_cstr(&b64));
		log_info("apiserver: signed '%s' for %s: CN '%s'", obj_name(o), r->name, i.common_name);
	}
	objects_put(s->objects, b, d, rev, NULL, NULL);
}

static void work(void *arg)
{
	struct signer *g = arg;
	CLEANUP(strv_done) struct strv queue = g->queue;
	struct bucket *b = objects_bucket(g->s->objects, STORAGE);

	g->queue = (struct strv){ 0 };
	for (size_t i = 0; !g->s->objects->stopping && i < queue.len; i++) {
		uint64_t rev;
		const struct obj *o = bucket_latest(b, queue.items[i], &rev);

		if (o && !obj_deleting(o) && is_due(o))
			sign(g->s, b, o, rev);
	}
}

static void enqueue(struct signer *g, const struct obj *o)
{
	if (strv_has(&g->queue, obj_key(o)) || !is_due(o))
		return;
	strv_add(&g->queue, obj_key(o));
	if (!loop_timer_armed(g->timer))
		loop_timer_set(g->timer, 0);
}

static void changed(struct bucket_watch *w, const struct bucket_change *c)
{
	if (c->type != BUCKET_DELETED)
		enqueue(CONTAINER_OF(w, struct signer, watch), c->obj);
}

static void never_gone(struct bucket_watch *w)
{
	(void)w;
}

struct signer *signer_new(struct apiserver *s)
{
	struct signer *g = MEM_NEW(struct signer);
	struct bucket *b = objects_bucket(s->objects, STORAGE);
	const struct obj *o;

	g->s = s;
	g->timer = loop_timer_new(s->loop, work, g);
	g->watch.change = changed;
	g->watch.gone = never_gone;
	bucket_watch_add(b, &g->watch, "");
	for (size_t i = 0; (o = bucket_at(b, i)); i++)
		enqueue(g, o);
	return g;
}

void signer_free(struct signer *g)
{
	if (!g)
		return;
	bucket_watch_remove(&g->watch);
	loop_timer_free(g->timer);
	strv_done(&g->queue);
	free(g);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Secondary networks of a pod. What is wanted stands in an annotation, what they are in NetworkAttachmentDefinitions, what is
 * there in DIR/pods/UID/networks.json, written before it is made: so the next agent finds it. One step at a time: one removal
 * or one addition, then the pod looks again. What has been done is told in another annotation. */
#include "platform/agent/impl.h"

#include "api/meta.h"
#include "platform/net/nad.h"

#include <string.h>

#define FILE_MAX (256 << 10)
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 30000

struct link {
	char *name; /* "ns/name" of its definition */
	struct net_link l;
	bool asked_mac; /* somebody asked for this address */
	bool there;
};

/* A network that could not be added, by its interface: the others do not wait for it. */
struct trouble {
	char ifname[NET_IFNAME_MAX];
	int failures;
	int64_t retry; /* mono ms */
};

struct pod_nets {
	struct link links[NAD_REQUESTS_MAX];
	size_t n;
	bool settled; /* a new pod has had them all once */
	bool stopped;
	/* under way */
	struct net_job *job;
	struct kube_call *get, *write;
	size_t leaving;          /* index of the link that `job` removes */
	struct nad_request next; /* what `get` and `job` are about; names owned */
	struct trouble troubles[NAD_REQUESTS_MAX];
	size_t n_troubles;
	int64_t retry; /* of a removal, mono ms */
	char *told;    /* the last failure, so that it is told once */
};

static char *nets_path(const struct pod *p)
{
	return file_join(p->dir, "networks.json");
}

static void drop(struct pod_nets *x, size_t i)
{
	free(x->links[i].name);
	x->n--;
	memmove(&x->links[i], &x->links[i + 1], (x->n - i) * sizeof(x->links[0]));
}

/* ---- on disk ---- */
static int save(struct pod *p, struct err *e)
{
	struct pod_nets *x = p->nets;
	CLEANUP(mem_freep) char *path = nets_path(p);
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d), *list = json_need_arr(d, o, "links");
	CLEANUP(mem_freep) char *text = NULL;
	size_t len;

	json_set_bool(d, o, "settled", x->settled);
	for (size_t i = 0; i < x->n; i++) {
		const struct link *k = &x->links[i];
		struct json *l = json_new_obj(d);

		json_set_str(d, l, "name", k->name);
		json_set_str(d, l, "interface", k->l.ifname);
		json_set_str(d, l, "bridge", k->l.bridge);
		json_set_str(d, l, "mac", k->l.mac);
		json_set_i64(d, l, "mtu", k->l.mtu);
		json_set_bool(d, l, "asked", k->asked_mac);
		json_set_bool(d, l, "there", k->there);
		json_append(d, list, l);
	}
	text = json_write(o, &len);
	return file_write_atomic(path, text, len, 0600, e);
}

static void load(struct pod *p)
{
	struct pod_nets *x = p->nets;
	CLEANUP(mem_freep) char *path = nets_path(p);
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	size_t len;

	if (file_read(path, FILE_MAX, &text, &len, NULL) < 0 || !(d = json_parse(text, len, NULL)))
		return;
	x->settled = json_bool(json_get(json_root(d), "settled"));
	JSON_EACH (it, json_get(json_root(d), "links")) {
		struct link *k = &x->links[x->n];

		if (x->n >= NAD_REQUESTS_MAX)
			break;
		k->name = mem_strdup(json_str_or(json_get(it.val, "name"), ""));
		str_copy(k->l.ifname, sizeof(k->l.ifname), json_str_or(json_get(it.val, "interface"), ""));
		str_copy(k->l.bridge, sizeof(k->l.bridge), json_str_or(json_get(it.val, "bridge"), ""));
		str_copy(k->l.mac, sizeof(k->l.mac), json_str_or(json_get(it.val, "mac"), ""));
		k->l.mtu = (int)json_i64(json_get(it.val, "mtu"));
		k->asked_mac = json_bool(json_get(it.val, "asked"));
		k->there = json_bool(json_get(it.val, "there"));
		x->n++;
	}
}

void networks_init(struct pod *p)
{
	p->nets = MEM_NEW(struct pod_nets);
	load(p);
}

static void next_done(struct pod_nets *x)
{
	nad_requests_done(&x->next, 1);
	x->next = (struct nad_request){ 0 };
}

void networks_done(struct pod *p)
{
	struct pod_nets *x = TAKE(p->nets);

	net_job_free(x->job);
	kube_call_cancel(x->get);
	kube_call_cancel(x->write);
	while (x->n)
		drop(x, x->n - 1);
	next_done(x);
	free(x->told);
	free(x);
}

void networks_stop(struct pod *p)
{
	p->nets->stopped = true;
	net_job_free(TAKE(p->nets->job));
	kube_call_cancel(TAKE(p->nets->get));
}

void networks_release(struct pod *p)
{
	networks_stop(p);
	for (size_t i = 0; i < p->nets->n; i++)
		net_unplug(p->agent->net, p->uid, p->nets->links[i].l.ifname, NULL, NULL);
}

/* ---- trouble ---- */
static struct trouble *trouble_of(struct pod_nets *x, const char *ifname, bool make)
{
	for (size_t i = 0; i < x->n_troubles; i++)
		if (str_eq(x->troubles[i].ifname, ifname))
			return &x->troubles[i];
	if (!make)
		return NULL;
	if (x->n_troubles == NAD_REQUESTS_MAX) /* of such as are not wanted any more */
		x->n_troubles = 0;
	x->troubles[x->n_troubles] = (struct trouble){ 0 };
	str_copy(x->troubles[x->n_troubles].ifname, NET_IFNAME_MAX, ifname);
	return &x->troubles[x->n_troubles++];
}

static void over(struct pod_nets *x, const char *ifname)
{
	struct trouble *t = trouble_of(x, ifname, false);

	if (t)
		*t = x->troubles[--x->n_troubles];
}

static void tell_failure(struct pod *p, const struct err *e)
{
	struct pod_nets *x = p->nets;

	if (str_eq(x->told, e->msg))
		return;
	free(x->told);
	x->told = mem_strdup(e->msg);
	if (x->settled)
		pod_event(p, true, "FailedAddingInterface", "Failed to add network: %s", e->msg);
	else
		pod_event(p, true, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", e->msg);
}

static void failed_at(struct pod *p, struct err *e)
{
	struct pod_nets *x = p->nets;
	struct trouble *t = trouble_of(x, x->next.ifname, true);

	t->retry = loop_mono_ms(p->agent->loop) + back_off_ms(++t->failures, RETRY_MIN_MS, RETRY_MAX_MS);
	err_wrap(e, "network %s/%s", x->next.ns, x->next.name);
	tell_failure(p, e);
	next_done(x);
	pod_kick(p);
}

/* ---- adding ---- */
static void plugged(void *arg, const struct err *e)
{
	struct pod *p = arg;
	struct pod_nets *x = p->nets;
	struct link *k = &x->links[x->n - 1];
	struct err mine;

	x->job = NULL;
	if (e) {
		err_copy(&mine, e);
		drop(x, x->n - 1);
		failed_at(p, &mine);
		return;
	}
	k->there = true;
	pod_event(p, false, "AddedInterface", "Add %s [] from %s", k->l.ifname, k->name);
	over(x, x->next.ifname);
	next_done(x);
	if (save(p, &mine) < 0)
		log_warn("%s", mine.msg); /* plugged anew by the next agent */
	pod_kick(p);
}

static void got_definition(void *arg, const struct obj *o, const struct err *e)
{
	struct pod *p = arg;
	struct pod_nets *x = p->nets;
	CLEANUP(mem_freep) char *ns = file_join(p->dir, "netns");
	struct link *k = &x->links[x->n];
	struct err mine;

	x->get = NULL;
	if (e) {
		err_copy(&mine, e);
		failed_at(p, &mine);
		return;
	}
	*k = (struct link){ .asked_mac = x->next.mac[0] != 0 };
	if (nad_config_parse(json_at_str(obj_json(o), "/spec/config"), &k->l, &mine) < 0) {
		failed_at(p, &mine);
		return;
	}
	k->name = str_printf("%s/%s", x->next.ns, x->next.name);
	str_copy(k->l.ifname, sizeof(k->l.ifname), x->next.ifname);
	str_copy(k->l.mac, sizeof(k->l.mac), x->next.mac);
	if (!k->asked_mac)
		net_make_mac(p->uid, k->l.ifname, k->l.mac);
	x->n++;
	if (save(p, &mine) < 0) {
		drop(x, x->n - 1);
		failed_at(p, &mine);
		return;
	}
	x->job = net_plug(p->agent->net, p->uid, ns, &k->l, plugged, p);
}

static void add(struct pod *p, const struct nad_request *r)
{
	struct pod_nets *x = p->nets;

	x->next = (struct nad_request){ .ns = mem_strdup(r->ns), .name = mem_strdup(r->name) };
	str_copy(x->next.ifname, sizeof(x->next.ifname), r->ifname);
	str_copy(x->next.mac, sizeof(x->next.mac), r->mac);
	x->get = kube_get(p->agent->client, &nad_kind, r->ns, r->name, got_definition, p);
}

/* ---- what is there against what is wanted ---- */
static bool serves(const struct link *k, const struct nad_request *r)
{
	CLEANUP(mem_freep) char *name = str_printf("%s/%s", r->ns, r->name);

	return k->there && str_eq(k->l.ifname, r->ifname) && str_eq(k->name, name) &&
	       (r->mac[0] ? str_eq(k->l.mac, r->mac) : !k->asked_mac);
}

static void unplugged(void *arg, const struct err *e)
{
	struct pod *p = arg;
	struct pod_nets *x = p->nets;
	struct link *k = &x->links[x->leaving];
	struct err mine;

	x->job = NULL;
	if (e) {
		log_warn("%s: %s", p->key, e->msg);
		x->retry = loop_mono_ms(p->agent->loop) + RETRY_MIN_MS;
		pod_kick_at(p, x->retry);
		return;
	}
	if (k->there)
		pod_event(p, false, "RemovedInterface", "Remove %s from %s", k->l.ifname, k->name);
	drop(x, x->leaving);
	if (save(p, &mine) < 0)
		log_warn("%s", mine.msg); /* unplugged once more by the next agent */
	pod_kick(p);
}

static void remove_link(struct pod *p, size_t i)
{
	struct pod_nets *x = p->nets;

	if (loop_mono_ms(p->agent->loop) < x->retry) {
		pod_kick_at(p, x->retry);
		return;
	}
	x->leaving = i;
	x->job = net_unplug(p->agent->net, p->uid, x->links[i].l.ifname, unplugged, p);
}

/* True: nothing is left to do. */
static bool step(struct pod *p, const struct nad_request *want, size_t n)
{
	struct pod_nets *x = p->nets;
	bool all = true;

	for (size_t i = 0; i < x->n; i++) {
		bool wanted = false;

		for (size_t k = 0; k < n; k++)
			wanted |= serves(&x->links[i], &want[k]);
		if (!wanted) {
			remove_link(p, i);
			return false;
		}
	}
	for (size_t k = 0; k < n; k++) {
		const struct trouble *t = trouble_of(x, want[k].ifname, false);
		bool there = false;

		for (size_t i = 0; i < x->n; i++)
			there |= serves(&x->links[i], &want[k]);
		all = all && there;
		if (there)
			continue;
		if (t && loop_mono_ms(p->agent->loop) < t->retry) {
			pod_kick_at(p, t->retry);
			continue;
		}
		add(p, &want[k]);
		return false;
	}
	return all;
}

/* ---- telling ---- */
static void written(void *arg, const struct obj *o, const struct err *e)
{
	struct pod *p = arg;

	p->nets->write = NULL;
	if (e) {
		log_debug("networks of %s: %s", p->key, e->msg);
		pod_kick_at(p, loop_mono_ms(p->agent->loop) + RETRY_MIN_MS);
		return;
	}
	pod_set_obj(p, o);
	pod_kick(p);
}

static char *status_text(const struct pod *p)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *list = json_new_arr(d), *o = json_new_obj(d);

	json_set_str(d, o, "name", "coracle");
	json_set_str(d, o, "interface", "eth0");
	json_append_str(d, json_need_arr(d, o, "ips"), pod_ip(p));
	json_set_bool(d, o, "default", true);
	json_set(d, o, "dns", json_new_obj(d));
	json_append(d, list, o);
	for (size_t i = 0; i < p->nets->n; i++) {
		const struct link *k = &p->nets->links[i];

		if (!k->there)
			continue;
		o = json_new_obj(d);
		json_set_str(d, o, "name", k->name);
		json_set_str(d, o, "interface", k->l.ifname);
		json_set_str(d, o, "mac", k->l.mac);
		json_set(d, o, "dns", json_new_obj(d));
		json_append(d, list, o);
	}
	return json_write(list, NULL);
}

/* For pods that have, or had, secondary networks. */
static void tell(struct pod *p, size_t wanted)
{
	struct pod_nets *x = p->nets;
	const char *now = meta_annotation(obj_json(p->obj), NAD_STATUS_ANNOTATION);
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct json *meta;

	if (x->write || (!wanted && !x->n && !now))
		return;
	text = status_text(p);
	if (str_eq(now, text))
		return;
	d = json_doc_new();
	json_set_root(d, json_new_obj(d));
	meta = json_need_obj(d, json_root(d), "metadata");
	json_set_str(d, meta, "uid", p->uid); /* not its successor's of the same name */
	json_set_str(d, json_need_obj(d, meta, "annotations"), NAD_STATUS_ANNOTATION, text);
	x->write = kube_patch(p->agent->client, &pk_pod, obj_namespace(p->obj), obj_name(p->obj), NULL,
		KUBE_PATCH_MERGE, json_root(d), written, p);
}

bool networks_ready(struct pod *p)
{
	struct pod_nets *x = p->nets;
	const char *text = meta_annotation(obj_json(p->obj), NAD_ANNOTATION);
	struct nad_request want[NAD_REQUESTS_MAX];
	struct err e;
	size_t n = 0;

	if (pod_host_network(p) || x->stopped || x->job || x->get)
		return x->settled || pod_host_network(p);
	if (nad_requests_parse(text, obj_namespace(p->obj), want, &n, &e) < 0) {
		err_wrap(&e, "annotation %s", NAD_ANNOTATION);
		tell_failure(p, &e); /* nothing to try again until it is another one */
		return x->settled;
	}
	if (step(p, want, n) && !x->settled) {
		x->settled = true;
		if (n && save(p, &e) < 0)
			log_warn("%s", e.msg);
	}
	if (!x->job && !x->get)
		tell(p, n);
	nad_requests_done(want, n);
	return x->settled;
}

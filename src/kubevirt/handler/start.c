/* SPDX-License-Identifier: Apache-2.0 */
/* The start request to a launcher: the VMI, and what it does not hold (HOST in kubevirt/wire/wire.h).
 * Launchers have no access to the API, so the texts of Secrets that volumes name are fetched here; they
 * are handed over the socket and kept nowhere. */
#include <string.h>

#include "api/quantity.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "kube/events.h"
#include "kubevirt/handler/handler_impl.h"
#include "kubevirt/wire/wire.h"

#define REQUEST_MAX (WIRE_LINE_MAX - 4096) /* room for the envelope */

/* A Secret that a volume names, and what it is good for. */
static const struct {
	const char *source, *ref, *keys[2], *file;
} secret_uses[] = {
	{ "cloudInitNoCloud", "secretRef", { "userdata", "userData" }, "userdata" },
	{ "cloudInitNoCloud", "networkDataSecretRef", { "networkdata", "networkData" }, "networkdata" },
	{ "cloudInitConfigDrive", "secretRef", { "userdata", "userData" }, "userdata" },
	{ "cloudInitConfigDrive", "networkDataSecretRef", { "networkdata", "networkData" }, "networkdata" },
};

struct start_job {
	struct handler *handler;
	struct start_job *next;
	struct obj *vmi;
	char *uid;
	struct json_doc *doc; /* the request */
	struct json *host;
	struct json_doc *taps; /* NULL: none */
	/* the next Secret to look at: of this volume, for this use */
	size_t volume, use;
	struct kube_call *call;
	void (*done)(void *arg, const struct err *e);
	void *arg;
};

static void job_free(struct start_job *j)
{
	for (struct start_job **at = &j->handler->jobs; *at; at = &(*at)->next)
		if (*at == j) {
			*at = j->next;
			break;
		}
	kube_call_cancel(j->call);
	obj_unref(j->vmi);
	json_doc_free(j->doc);
	json_doc_free(j->taps);
	free(j->uid);
	free(j);
}

void start_jobs_free(struct handler *h)
{
	while (h->jobs)
		job_free(h->jobs);
}

/* Not now: the launcher is as before, the pass is repeated with back-off. */
static void job_put_off(struct start_job *j, const struct err *why)
{
	void (*done)(void *arg, const struct err *e) = j->done;
	void *arg = j->arg;
	struct err e;

	err_set(&e, ERR_UNAVAILABLE, "%s", why->msg);
	events_record(controllers_events(j->handler->controllers), j->vmi, true, "SyncFailed", e.msg);
	links_starting(j->handler->links, j->uid, false);
	job_free(j);
	done(arg, &e);
}

static void job_send(struct start_job *j)
{
	void (*done)(void *arg, const struct err *e) = j->done;
	void *arg = j->arg;
	CLEANUP(mem_freep) char *text = NULL;
	size_t len;
	struct err e;

	text = json_write(json_root(j->doc), &len);
	if (len > REQUEST_MAX) {
		err_set(&e, ERR_TOO_LARGE,
			"the VMI and its cloud-init data are %zu bytes, at most %d are possible", len,
			REQUEST_MAX);
		links_start_failed(j->handler->links, j->uid, &e);
	} else {
		links_start(
			j->handler->links, j->uid, json_root(j->doc), j->taps ? json_root(j->taps) : NULL);
	}
	job_free(j);
	done(arg, NULL);
}

/* ---- Secrets ---- */
static int take_secret(struct start_job *j, const struct obj *secret, const char *volume, struct err *e)
{
	const struct json *data = json_get(obj_json(secret), "data");
	CLEANUP(str_done) struct str text = { 0 };
	const char *b64 = NULL;

	for (size_t i = 0; i < 2 && !b64; i++)
		b64 = json_get_str(data, secret_uses[j->use].keys[i]);
	if (!b64)
		return err_set(e, ERR_NOT_FOUND, "Secret %s of volume %s has no key %s", obj_name(secret),
			volume, secret_uses[j->use].keys[0]);
	if (b64_decode(b64, strlen(b64), false, &text, e) < 0)
		return err_wrap(e, "Secret %s", obj_name(secret));
	struct json *files = json_need_obj(j->doc, json_need_obj(j->doc, j->host, "files"), volume);
	json_set_str(j->doc, files, secret_uses[j->use].file, str_cstr(&text));
	return 0;
}

static void job_step(struct start_job *j);

static void got_secret(void *arg, const struct obj *o, const struct err *e)
{
	struct start_job *j = arg;
	const struct json *volume = json_item(json_at(obj_json(j->vmi), "/spec/volumes"), j->volume);
	const char *name = json_str_or(json_get(volume, "name"), "");
	struct err mine;

	j->call = NULL;
	if (e) {
		err_copy(&mine, e);
		err_wrap(&mine, "volume %s", name);
		job_put_off(j, &mine);
	} else if (take_secret(j, o, name, &mine) < 0) {
		job_put_off(j, &mine);
	} else {
		j->use++;
		job_step(j);
	}
}

static void job_step(struct start_job *j)
{
	const struct json *volumes = json_at(obj_json(j->vmi), "/spec/volumes");

	for (; j->volume < json_len(volumes); j->volume++, j->use = 0) {
		const struct json *volume = json_item(volumes, j->volume);

		for (; j->use < ARRAY_LEN(secret_uses); j->use++) {
			const struct json *source = json_get(volume, secret_uses[j->use].source);
			const char *name = json_get_str(json_get(source, secret_uses[j->use].ref), "name");

			if (str_empty(name))
				continue;
			j->call = kube_get(j->handler->spec.client, &kind_secret, obj_namespace(j->vmi), name,
				got_secret, j);
			return;
		}
	}
	job_send(j);
}

/* ---- the request ---- */
static void fill(struct start_job *j, const struct json *args)
{
	struct json *o = json_new_obj(j->doc), *vmi = json_copy(j->doc, obj_json(j->vmi));
	char text[QUANTITY_TEXT_MAX];

	json_set_root(j->doc, o);
	json_remove(json_get(vmi, "metadata"), "managedFields");
	if (json_get(args, "bytes"))
		json_put_str(j->doc, vmi, "/spec/domain/memory/guest",
			quantity_bytes_text(json_i64(json_get(args, "bytes")), text));
	json_set(j->doc, o, "vmi", vmi);
	j->host = json_need_obj(j->doc, o, "host");
	json_set_bool(j->doc, j->host, "allowEmulation", json_bool(json_get(args, "allowEmulation")));
	if (json_bool(json_get(args, "emulate")))
		json_set_str(j->doc, j->host, "accelerator", "tcg");
}

void start_guest(struct handler *h, const char *key, const struct json *args,
	void (*done)(void *arg, const struct err *e), void *arg)
{
	const struct obj *vmi = handler_vmi(h, key);
	const char *uid = json_get_str(args, "uid");
	struct start_job *j;

	if (!vmi || !str_eq(obj_uid(vmi), uid)) {
		done(arg, NULL);
		return;
	}
	j = MEM_NEW(struct start_job);
	*j = (struct start_job){ .handler = h, .next = h->jobs, .done = done, .arg = arg };
	h->jobs = j;
	j->vmi = obj_ref(vmi);
	j->uid = mem_strdup(uid);
	j->doc = json_doc_new();
	if (json_get(args, "taps"))
		j->taps = json_doc_from(json_get(args, "taps"));
	fill(j, args);
	links_starting(h->links, uid, true);
	job_step(j);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Everybody who is asked: the two kinds of webhooks and the policies one after the other, where no object is written; and
 * the life of all of them together. */
#include "platform/admission/admission.h"

#include "base/mem.h"
#include "platform/admission/plugins.h"
#include "platform/admission/policy.h"
#include "platform/admission/quota.h"
#include "platform/admission/webhook.h"

#include <string.h>

/* ---- both kinds, one after the other ---- */
struct admit {
	struct admitter *adm;
	struct admission *now;
	struct admission_in in;
	struct resource *res;
	char *sub, *ns, *name;
	struct user user;
	struct json_doc *object;
	struct strv *warnings;
	bool validating;
	admit_fn *fn;
	void *arg;
};

static void admit_free(struct admit *a)
{
	admission_cancel(a->now);
	resource_unref(a->res);
	user_done(&a->user);
	json_doc_free(a->object);
	free(a->sub);
	free(a->ns);
	free(a->name);
	free(a);
}

void admit_cancel(struct admit *a)
{
	if (a)
		admit_free(a);
}

static void admit_end(struct admit *a, struct json_doc *status)
{
	admit_fn *fn = a->fn;
	void *arg = a->arg;
	CLEANUP(json_doc_freep) struct json_doc *object = TAKE(a->object);

	admit_free(a);
	fn(arg, status, object ? json_root(object) : NULL);
	json_doc_free(status);
}

static bool admit_ask(struct admit *a);

/* The Status of a policy that denies it, or NULL. */
static struct json_doc *admit_policies(struct admit *a)
{
	struct json_doc *status = NULL;

	a->in.object = a->object ? json_root(a->object) : NULL;
	if (plugin_on(a->adm, PLUGIN_POLICY))
		(void)policies_ask(a->adm->policies, &a->in, a->warnings, &status);
	return status;
}

static void admit_answered(void *arg, struct json_doc *status, struct json_doc *object)
{
	struct admit *a = arg;

	a->now = NULL;
	if (object) {
		json_doc_free(a->object);
		a->object = object;
	}
	if (status || a->validating) {
		admit_end(a, status);
		return;
	}
	a->validating = true;
	status = admit_policies(a);
	if (status || !admit_ask(a))
		admit_end(a, status);
}

static bool admit_ask(struct admit *a)
{
	if (!plugin_on(a->adm, a->validating ? PLUGIN_VALIDATING : PLUGIN_MUTATING))
		return false;
	a->in.object = a->object ? json_root(a->object) : NULL;
	a->now = admission_start(a->adm, !a->validating, &a->in, a->warnings, admit_answered, a);
	return a->now != NULL;
}

struct admit *admit_start(
	struct admitter *adm, const struct admission_in *in, struct strv *warnings, admit_fn *fn, void *arg)
{
	struct admit *a = MEM_NEW(struct admit);
	struct json_doc *status;

	*a = (struct admit){ .adm = adm, .in = *in, .warnings = warnings, .fn = fn, .arg = arg };
	a->in.res = a->res = resource_ref(in->res);
	a->in.sub = a->sub = mem_strdup(in->sub);
	a->in.ns = a->ns = mem_strdup(in->ns);
	a->in.name = a->name = mem_strdup(in->name);
	user_copy(&a->user, in->user);
	a->in.user = &a->user;
	a->in.old = NULL;
	a->object = in->object ? json_doc_from(in->object) : NULL;
	if (admit_ask(a))
		return a;
	a->validating = true;
	status = admit_policies(a);
	if (!status && admit_ask(a))
		return a;
	admit_end(a, status);
	return NULL;
}

/* ---- everybody ---- */
struct admitter *admitter_new(
	struct objects *objects, struct auth *auth, struct callouts *callouts, unsigned plugins_off)
{
	struct admitter *adm = MEM_NEW(struct admitter);

	*adm = (struct admitter){
		.objects = objects, .auth = auth, .callouts = callouts, .plugins_off = plugins_off
	};
	return adm;
}

void admitter_follow(struct admitter *adm)
{
	adm->webhooks = webhooks_new(adm);
	adm->policies = policies_new(adm);
	if (plugin_on(adm, PLUGIN_QUOTA))
		adm->quotas = quotas_new(adm);
}

void admitter_end(struct admitter *adm)
{
	webhooks_free(TAKE(adm->webhooks));
	policies_free(TAKE(adm->policies));
	quotas_free(TAKE(adm->quotas));
}

void admitter_free(struct admitter *adm)
{
	if (adm)
		admitter_end(adm);
	free(adm);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Service-account tokens of projected volumes: asked for with the TokenRequest API, bound to the pod, renewed at four fifths of
 * their life. */
#include "platform/agent/impl.h"

#include "api/meta.h"

#include <string.h>

#define TOKEN_SECONDS_DEFAULT 3600
#define TOKEN_RETRY_MS 1000

static void token_ask(void *arg);

static void token_done(void *arg, const struct obj *o, const struct err *e)
{
	struct token *t = arg;
	const char *value = o ? json_at_str(obj_json(o), "/status/token") : NULL;

	t->call = NULL;
	free(TAKE(t->error));
	if (value) {
		free(t->value);
		t->value = mem_strdup(value);
		loop_timer_set(t->renew, t->seconds * 800);
	} else {
		t->error = str_printf("token for service account: %s", e ? e->msg : "the answer holds none");
		loop_timer_set(t->renew, TOKEN_RETRY_MS);
	}
	pod_kick(t->pod);
}

static void token_ask(void *arg)
{
	struct token *t = arg;
	struct pod *p = t->pod;
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit(
		"{'apiVersion':'authentication.k8s.io/v1','kind':'TokenRequest',"
		"'metadata':{},'spec':{'audiences':[],'boundObjectRef':{'apiVersion':'v1','kind':'Pod'}}}");
	struct json *spec = json_get(json_root(d), "spec");
	const char *account = json_get_str(pod_spec(p), "serviceAccountName");

	if (t->call || pod_terminating(p) || p->finished)
		return;
	json_set_i64(d, spec, "expirationSeconds", t->seconds);
	if (*t->audience)
		json_append_str(d, json_get(spec, "audiences"), t->audience);
	json_put_str(d, spec, "/boundObjectRef/name", obj_name(p->obj));
	json_put_str(d, spec, "/boundObjectRef/uid", p->uid);
	t->call = kube_create_sub(p->agent->client, &pk_serviceaccount, obj_namespace(p->obj),
		account ? account : "default", "token", json_root(d), token_done, t);
}

void tokens_init(struct pod *p)
{
	size_t n = 0;

	JSON_EACH (v, json_get(pod_spec(p), "volumes"))
		n += json_len(json_at(v.val, "/projected/sources"));
	p->tokens = mem_zalloc((n + 1) * sizeof(p->tokens[0]));
	JSON_EACH (v, json_get(pod_spec(p), "volumes"))
		JSON_EACH (s, json_at(v.val, "/projected/sources")) {
			const struct json *spec = json_get(s.val, "serviceAccountToken"),
					  *seconds = json_get(spec, "expirationSeconds");
			struct token *t = &p->tokens[p->n_tokens];

			if (!spec)
				continue;
			p->n_tokens++;
			t->pod = p;
			t->volume = mem_strdup(json_str_or(json_get(v.val, "name"), ""));
			t->audience = mem_strdup(json_str_or(json_get(spec, "audience"), ""));
			t->seconds = json_is_int(seconds) ? json_i64(seconds) : TOKEN_SECONDS_DEFAULT;
			t->renew = loop_timer_new(p->agent->loop, token_ask, t);
		}
}

void tokens_done(struct pod *p)
{
	for (size_t i = 0; i < p->n_tokens; i++) {
		struct token *t = &p->tokens[i];

		kube_call_cancel(t->call);
		loop_timer_free(t->renew);
		free(t->volume);
		free(t->audience);
		free(t->value);
		free(t->error);
	}
	free(p->tokens);
	p->tokens = NULL;
	p->n_tokens = 0;
}

const char *token_get(struct pod *p, const char *volume, const char *audience, const char **ret_error)
{
	for (size_t i = 0; i < p->n_tokens; i++) {
		struct token *t = &p->tokens[i];

		if (!str_eq(t->volume, volume) || !str_eq(t->audience, audience))
			continue;
		if (!t->value && !t->call && !loop_timer_armed(t->renew))
			token_ask(t);
		*ret_error = t->error;
		return t->value;
	}
	*ret_error = "no such token in the pod's spec";
	return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/operator/target.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <string.h>

static const char *const names[COMPONENT_MAX] = {
#define X(id, name, env) name,
	COMPONENTS(X)
#undef X
};

const char *component_name(enum component c)
{
	return names[c];
}

static bool image_text_ok(const char *s)
{
	return s && *s && strlen(s) < IMAGE_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/@") == strlen(s);
}

/* REGISTRY/PREFIXvirt-operator[:TAG|@DIGEST] */
static int split_operator_image(const char *image, struct target *t, char **ret_tag, struct err *e)
{
	const char *at = strstr(image, names[COMPONENT_OPERATOR]);
	const char *slash;
	const char *suffix;

	if (!at || !image_text_ok(image))
		return err_set(e, ERR_INVALID, "image '%s' is not one of virt-operator", image);
	suffix = at + strlen(names[COMPONENT_OPERATOR]);
	slash = at;
	while (slash > image && slash[-1] != '/')
		slash--;
	t->registry = slash > image ? mem_strndup(image, (size_t)(slash - image - 1)) : mem_strdup("");
	t->prefix = mem_strndup(slash, (size_t)(at - slash));
	*ret_tag = *suffix == ':' ? mem_strdup(suffix + 1) : NULL;
	return 0;
}

static void compute_id(const struct operator_settings *s, const struct json *cr, struct target *t)
{
	static const char *const spec_fields[] = { "imagePullPolicy", "imageRegistry", "imageTag",
		"monitorAccount", "monitorNamespace", "productComponent", "productName", "productVersion",
		"serviceMonitorNamespace" };
	CLEANUP(str_done) struct str text = { 0 };

	str_addf(&text, "%s\n%s\n%s\n%s\n%s\n", s->ns, t->registry, t->prefix, t->version,
		s->host_dir ? s->host_dir : "");
	for (int i = 0; i < COMPONENT_MAX; i++)
		str_addf(&text, "%s\n", t->images[i]);
	for (size_t i = 0; i < s->extra_env.len; i++)
		str_addf(&text, "env %s\n", s->extra_env.items[i]);
	for (size_t i = 0; i < ARRAY_LEN(spec_fields); i++) {
		const char *v = json_get_str(json_get(cr, "spec"), spec_fields[i]);

		/* imageTag and imageRegistry count through what they lead to */
		if (!str_empty(v) && !str_starts(spec_fields[i], "image"))
			str_addf(&text, "%s=%s\n", spec_fields[i], v);
		else if (!str_empty(v) && str_eq(spec_fields[i], "imagePullPolicy"))
			str_addf(&text, "pull=%s\n", v);
	}
	JSON_EACH (it, json_at(cr, "/spec/imagePullSecrets"))
		str_addf(&text, "secret=%s\n", json_str_or(json_get(it.val, "name"), ""));
	crypto_sha1_hex(text.data, text.len, t->id);
}

static char *component_image(
	const struct operator_settings *s, const struct target *t, enum component c, bool overridden)
{
	const char *slash = *t->registry ? "/" : "";

	if (s->images[c] && !overridden)
		return mem_strdup(s->images[c]);
	return str_printf("%s%s%s%s:%s", t->registry, slash, t->prefix, names[c], t->version);
}

int target_compute(
	const struct operator_settings *s, const struct json *cr, struct target *ret, struct err *e)
{
	CLEANUP(target_done) struct target t = { 0 };
	CLEANUP(mem_freep) char *tag = NULL;
	const char *want_tag = json_at_str(cr, "/spec/imageTag");
	const char *want_registry = json_at_str(cr, "/spec/imageRegistry");
	bool overridden = !str_empty(want_tag) || !str_empty(want_registry);

	if (str_empty(s->images[COMPONENT_OPERATOR]))
		return err_set(e, ERR_INVALID,
			"VIRT_OPERATOR_IMAGE is not set: the operator must know its own image");
	if (split_operator_image(s->images[COMPONENT_OPERATOR], &t, &tag, e) < 0)
		return -1;
	if (!str_empty(want_tag) && (!image_text_ok(want_tag) || strpbrk(want_tag, "/@:")))
		return err_set(e, ERR_INVALID, "spec.imageTag '%s' is not a tag", want_tag);
	if (!str_empty(want_registry) && !image_text_ok(want_registry))
		return err_set(e, ERR_INVALID, "spec.imageRegistry '%s' is not a registry", want_registry);
	t.version = mem_strdup(!str_empty(want_tag)     ? want_tag
			       : tag                    ? tag
			       : !str_empty(s->version) ? s->version
							: "latest");
	if (!str_empty(want_registry)) {
		free(t.registry);
		t.registry = mem_strdup(want_registry);
	}
	for (int c = 0; c < COMPONENT_MAX; c++)
		t.images[c] = component_image(s, &t, c, overridden);
	compute_id(s, cr, &t);
	*ret = t;
	t = (struct target){ 0 };
	return 0;
}

void target_done(struct target *t)
{
	free(t->registry);
	free(t->prefix);
	free(t->version);
	for (int i = 0; i < COMPONENT_MAX; i++)
		free(t->images[i]);
	*t = (struct target){ 0 };
}

char *target_config_text(const struct target *t, const char *ns)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	json_set_root(d, o);
	json_set_str(d, o, "id", t->id);
	json_set_str(d, o, "namespace", ns);
	json_set_str(d, o, "registry", t->registry);
	json_set_str(d, o, "imagePrefix", t->prefix);
	json_set_str(d, o, "kubeVirtVersion", t->version);
	for (int i = 0; i < COMPONENT_MAX; i++) {
		/* "virtApiImage", as KubeVirt spells its keys */
		CLEANUP(str_done) struct str key = { 0 };
		bool upper = false;

		for (const char *p = names[i]; *p; p++) {
			if (*p == '-')
				upper = true;
			else
				str_addc(&key, upper && *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p);
			if (*p != '-')
				upper = false;
		}
		str_add(&key, "Image");
		json_set_str(d, o, key.data, t->images[i]);
	}
	json_set(d, o, "additionalProperties", json_new_obj(d));
	json_set(d, o, "passthroughEnvVars", json_new_obj(d));
	return json_write(o, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Serving discovery and /version (kubernetes-api.md 1.2, 1.3). */
#include "platform/describe/discovery.h"

#include "base/mem.h"
#include "platform/describe/documents.h"
#include "platform/describe/describe.h"

#include <string.h>

/* Aggregated documents are asked for by every client at every start: kept until the registry changes. */
struct kept {
	uint64_t changes; /* 0: not made yet */
	struct str text;
	char tag[DOCUMENT_TAG_MAX];
};
enum form { FORM_LEGACY, FORM_V2, FORM_V2BETA1, FORM_MAX };
struct discovery {
	struct registry *registry;
	struct kept kept[2][FORM_MAX]; /* of /apis and /api */
};

static const char *const form_types[FORM_MAX] = {
	[FORM_LEGACY] = "application/json",
	[FORM_V2] = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
	[FORM_V2BETA1] = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
};

struct discovery *discovery_new(struct registry *g)
{
	struct discovery *d = MEM_NEW(struct discovery);

	d->registry = g;
	return d;
}

void discovery_free(struct discovery *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < ARRAY_LEN(d->kept); i++)
		for (size_t f = 0; f < FORM_MAX; f++)
			str_done(&d->kept[i][f].text);
	free(d);
}

static void reply_legacy(struct request *r, struct json_doc *doc)
{
	request_add_header(r, "Cache-Control", "no-cache, private");
	request_reply_json(r, 200, json_root(doc));
}

static void reply_aggregated(struct discovery *d, struct request *r, bool core, enum form form)
{
	struct kept *k = &d->kept[core][form];

	if (k->changes != registry_changes(d->registry)) {
		CLEANUP(json_doc_freep)
		struct json_doc *doc =
			discovery_aggregated(d->registry, core, form == FORM_V2 ? "v2" : "v2beta1");

		str_clear(&k->text);
		json_write_to(json_root(doc), &k->text);
		str_addc(&k->text, '\n');
		document_tag(k->text.data, k->text.len, k->tag);
		k->changes = registry_changes(d->registry);
	}
	document_reply(r, form_types[form], k->tag, "public", k->text.data, k->text.len);
}

/* {"versions":["v1"]}: an answer even if no core resource is served (1.1). */
static struct json_doc *core_versions(const struct request *r)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d =
		json_lit("{'kind':'APIVersions','versions':['v1'],"
			 "'serverAddressByClientCIDRs':[{'clientCIDR':'0.0.0.0/0','serverAddress':''}]}");
	const char *host = request_header(r, "Host");

	if (host)
		json_put_str(d, json_root(d), "/serverAddressByClientCIDRs/0/serverAddress", host);
	return TAKE(d);
}

static void serve_root(struct discovery *d, struct request *r, bool core)
{
	int form = request_accept(r, form_types, FORM_MAX);

	if (form < 0) {
		request_fail_accept(r, form_types, FORM_MAX);
		return;
	}
	if (form != FORM_LEGACY) {
		reply_aggregated(d, r, core, (enum form)form);
		return;
	}
	CLEANUP(json_doc_freep)
	struct json_doc *doc = core ? core_versions(r) : discovery_group_list(d->registry);
	request_add_header(r, "Vary", "Accept");
	reply_legacy(r, doc);
}

static bool serve_group(struct discovery *d, struct request *r, const char *group)
{
	CLEANUP(json_doc_freep)
	struct json_doc *doc = str_empty(group) ? NULL : discovery_group(d->registry, group);

	if (doc && document_method_ok(r))
		reply_legacy(r, doc);
	return doc != NULL;
}

static bool serve_version(struct discovery *d, struct request *r, const char *group, const char *version)
{
	const struct group_version *gv = registry_gv(d->registry, group, version);

	if (!gv || gv->remote)
		return false;
	if (document_method_ok(r)) {
		CLEANUP(json_doc_freep) struct json_doc *doc = discovery_resource_list(gv);

		reply_legacy(r, doc);
	}
	return true;
}

#if defined(__x86_64__)
#define PLATFORM "linux/amd64"
#elif defined(__aarch64__)
#define PLATFORM "linux/arm64"
#else
#define PLATFORM "linux/unknown"
#endif

static void serve_server_version(struct request *r)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit(
		"{'major':'" DOCUMENT_KUBE_MAJOR "','minor':'" DOCUMENT_KUBE_MINOR
		"','gitVersion':'" DOCUMENT_GIT_VERSION "','gitCommit':'" CORACLE_VERSION
		"','gitTreeState':'clean',"
		"'buildDate':'1970-01-01T00:00:00Z','goVersion':'','compiler':'cc','platform':'" PLATFORM
		"'}");

	reply_legacy(r, d);
}

/* "/apis/G" and "/apis/G/V"; deeper paths are resources. */
static bool serve_below_apis(struct discovery *d, struct request *r, const char *rest)
{
	size_t group = strcspn(rest, "/");
	CLEANUP(mem_freep) char *name = mem_strndup(rest, group);
	const char *version = rest[group] ? rest + group + 1 : NULL;
	CLEANUP(mem_freep) char *trimmed = version ? mem_strndup(version, strcspn(version, "/")) : NULL;

	if (str_empty(trimmed))
		return serve_group(d, r, name);
	if (version[strlen(trimmed)] && version[strlen(trimmed) + 1])
		return false;
	return !str_empty(name) && serve_version(d, r, name, trimmed);
}

bool discovery_serve(struct discovery *d, struct request *r)
{
	const char *path = request_path(r);
	bool core = str_eq(path, "/api") || str_eq(path, "/api/");

	if (core || str_eq(path, "/apis") || str_eq(path, "/apis/")) {
		if (document_method_ok(r))
			serve_root(d, r, core);
		return true;
	}
	if (str_eq(path, "/version") || str_eq(path, "/version/")) {
		if (document_method_ok(r))
			serve_server_version(r);
		return true;
	}
	if (str_eq(path, "/api/v1") || str_eq(path, "/api/v1/"))
		return serve_version(d, r, "", "v1");
	return str_starts(path, "/apis/") && serve_below_apis(d, r, path + strlen("/apis/"));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt-api.md 7. Other than KubeVirt's pod it has one container and no helpers, and the VM's directory of the node
 * is mounted into it (handoff.h). */
#include "kubevirt/vmi/render.h"

#include <inttypes.h>
#include <string.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/nics.h"

#define GRACE_DEFAULT_S 30
#define GRACE_EXTRA_S 30
#define LABEL_VALUE_MAX 63
#define ID_HEAD 54 /* of a name too long for a label */
#define POD_NAME_MAX 253

char *launcher_pod_name(const struct obj *vmi)
{
	char hash[41];

	crypto_sha1_hex(obj_uid(vmi), strlen(obj_uid(vmi)), hash);
	return str_printf("virt-launcher-%.*s-%.5s", POD_NAME_MAX - 20, obj_name(vmi), hash);
}

const struct json *compute_in(const struct json *list, size_t *ret_i)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), POD_CONTAINER_COMPUTE)) {
			if (ret_i)
				*ret_i = it.i;
			return it.val;
		}
	return NULL;
}

struct pod_draft {
	const struct render_pod_in *in;
	const struct json *vmi, *spec; /* of the instance */
	struct json_doc *d;
	struct json *root, *pod, *compute;
};

/* ---- metadata ---- */
static void set_id_label(struct pod_draft *p)
{
	const char *name = obj_name(p->in->vmi);
	char hash[41];

	if (strlen(name) <= LABEL_VALUE_MAX) {
		meta_set_label(p->d, p->root, LABEL_VMI_ID, name);
		return;
	}
	crypto_sha1_hex(name, strlen(name), hash);
	CLEANUP(mem_freep) char *id = str_printf("%.*s-%.8s", ID_HEAD, name, hash);
	meta_set_label(p->d, p->root, LABEL_VMI_ID, id);
}

static char *host_name(const struct pod_draft *p)
{
	const char *name = json_get_str(p->spec, "hostname");

	if (str_empty(name))
		name = obj_name(p->in->vmi);
	size_t n = strcspn(name, ".");
	return mem_strndup(name, n < LABEL_VALUE_MAX ? n : LABEL_VALUE_MAX);
}

static void metadata(struct pod_draft *p, const struct pod_resources *r)
{
	CLEANUP(mem_freep) char *name = launcher_pod_name(p->in->vmi);
	CLEANUP(mem_freep) char *host = host_name(p);
	CLEANUP(mem_freep) char *overhead = str_printf("%" PRId64, r->overhead);
	CLEANUP(mem_freep)
	char *vcpus = str_printf("%" PRId64, vcpu_count(json_at(p->vmi, "/spec/domain/cpu")));
	CLEANUP(mem_freep) char *ratio = str_printf("%" PRId64, p->in->config->cpu_allocation_ratio);
	CLEANUP(mem_freep) char *networks = nic_networks_wanted(p->vmi, NULL);

	json_put_str(p->d, p->root, "/metadata/name", name);
	json_put_str(p->d, p->root, "/metadata/namespace", obj_namespace(p->in->vmi));
	JSON_EACH (it, json_at(p->vmi, "/metadata/labels"))
		meta_set_label(p->d, p->root, it.key, json_str(it.val));
	JSON_EACH (it, json_at(p->vmi, "/metadata/annotations"))
		if (!strstr(it.key, "kubectl.kubernetes.io/"))
			meta_set_annotation(p->d, p->root, it.key, json_str(it.val));
	meta_set_label(p->d, p->root, LABEL_APP, KV_VIRT_LAUNCHER);
	meta_set_label(p->d, p->root, LABEL_CREATED_BY, obj_uid(p->in->vmi));
	meta_set_label(p->d, p->root, LABEL_VM_NAME, host);
	set_id_label(p);
	meta_set_annotation(p->d, p->root, ANN_DOMAIN, obj_name(p->in->vmi));
	meta_set_annotation(p->d, p->root, ANN_DEFAULT_CONTAINER, POD_CONTAINER_COMPUTE);
	meta_set_annotation(p->d, p->root, ANN_MIGRATION_TRANSPORT_UNIX, "true");
	meta_set_annotation(p->d, p->root, ANN_MEMORY_OVERHEAD, overhead);
	meta_set_annotation(p->d, p->root, ANN_CPU_RATIO, ratio);
	meta_set_annotation(p->d, p->root, ANN_POD_VCPUS, vcpus);
	if (networks)
		meta_set_annotation(p->d, p->root, ANN_NETWORKS, networks);
	meta_add_owner(p->d, p->root, KV_API_VERSION, "VirtualMachineInstance", obj_name(p->in->vmi),
		obj_uid(p->in->vmi), true);
}

/* ---- containers ---- */
static void set_resource(struct pod_draft *p, const char *which, const char *name, const char *text)
{
	struct json *r = json_need_obj(p->d, p->compute, "resources");

	json_set_str(p->d, json_need_obj(p->d, r, which), name, text);
}

static void set_bytes(struct pod_draft *p, const char *which, const char *name, int64_t bytes)
{
	char text[QUANTITY_TEXT_MAX];

	if (bytes >= 0)
		set_resource(p, which, name, quantity_bytes_text(bytes, text));
}

static void set_millis(struct pod_draft *p, const char *which, int64_t milli)
{
	char text[QUANTITY_TEXT_MAX];

	if (milli >= 0)
		set_resource(p, which, "cpu", quantity_milli_text(milli, text));
}

static void resources(struct pod_draft *p, const struct pod_resources *r)
{
	set_millis(p, "requests", r->cpu_request);
	set_millis(p, "limits", r->cpu_limit);
	set_bytes(p, "requests", "memory", r->memory_request);
	set_bytes(p, "limits", "memory",
		r->memory_limit < 0 && p->in->auto_limit > 0
			? (int64_t)((double)r->memory_request * p->in->auto_limit)
			: r->memory_limit);
	set_resource(p, "requests", "ephemeral-storage", "50M");
	if (r->hugepage_size) {
		CLEANUP(mem_freep) char *name = str_printf("hugepages-%s", r->hugepage_size);
		set_bytes(p, "requests", name, r->hugepages);
		set_bytes(p, "limits", name, r->hugepages);
	}
	/* Without it anywhere, and with emulation, the guest runs under TCG (handoff.h). */
	if (p->in->kvm && !p->in->foreign && !p->in->config->use_emulation) {
		set_resource(p, "requests", RESOURCE_KVM, "1");
		set_resource(p, "limits", RESOURCE_KVM, "1");
	}
}

static void probe(struct pod_draft *p, const char *from, const char *to)
{
	const struct json *given = json_get(p->spec, from);

	/* What asks inside the guest is virt-handler's to do. */
	if (json_get(given, "httpGet") || json_get(given, "tcpSocket"))
		json_set_copy(p->d, p->compute, to, given);
}

static void containers(struct pod_draft *p, const struct pod_resources *r)
{
	struct json *list = json_need_arr(p->d, p->pod, "containers");
	const char *pull = p->in->config->image_pull_policy;
	CLEANUP(json_doc_freep)
	struct json_doc *compute =
		json_lit("{'name':'compute','command':['" RENDER_LAUNCHER "','--dir','" KV_VM_DIR "'],"
			 "'securityContext':{'runAsUser':107,'runAsGroup':107,'runAsNonRoot':true,'"
			 "allowPrivilegeEscalation':false,"
			 "'capabilities':{'drop':['ALL']}},'volumeMounts':[{'name':'" RENDER_VM_DIR_VOLUME
			 "','mountPath':'" KV_VM_DIR "'}]}");
	json_append(p->d, list, json_copy(p->d, json_root(compute)));
	p->compute = json_item(list, 0);
	json_set_str(p->d, p->compute, "image", p->in->launcher_image);
	json_set_str(p->d, p->compute, "imagePullPolicy", pull);
	resources(p, r);
	probe(p, "readinessProbe", "readinessProbe");
	probe(p, "livenessProbe", "livenessProbe");
}

/* ---- placement and the rest ---- */
static void copy(struct pod_draft *p, const char *field)
{
	if (!json_is_null(json_get(p->spec, field)))
		json_set_copy(p->d, p->pod, field, json_get(p->spec, field));
}

static void node_selector(struct pod_draft *p)
{
	struct json *s = json_need_obj(p->d, p->pod, "nodeSelector");
	const char *machine = json_at_str(p->spec, "/domain/machine/type"),
		   *arch = json_get_str(p->spec, "architecture");

	JSON_EACH (it, p->in->config->node_selectors)
		json_set_copy(p->d, s, it.key, it.val);
	JSON_EACH (it, json_get(p->spec, "nodeSelector"))
		json_set_copy(p->d, s, it.key, it.val);
	json_set_str(p->d, s, LABEL_SCHEDULABLE, "true");
	if (!str_empty(machine)) {
		CLEANUP(mem_freep) char *key = str_printf("%s%s", LABEL_MACHINE_TYPE_PREFIX, machine);
		json_set_str(p->d, s, key, "true");
	}
	if (arch && p->in->foreign) {
		CLEANUP(mem_freep) char *key = str_printf("%s%s", LABEL_EMULATES_PREFIX, arch);
		json_set_str(p->d, s, key, "true");
	} else if (arch) {
		json_set_str(p->d, s, LABEL_ARCH, arch);
	}
	if (json_bool(json_at(p->spec, "/domain/cpu/dedicatedCpuPlacement")))
		json_set_str(p->d, s, LABEL_CPU_MANAGER, "true");
}

static void pod_spec(struct pod_draft *p)
{
	static const char *const copied[] = { "affinity", "tolerations", "topologySpreadConstraints",
		"schedulerName", "priorityClassName", "subdomain", "dnsPolicy", "dnsConfig",
		"serviceAccountName" };
	const struct json *grace = json_get(p->spec, "terminationGracePeriodSeconds");
	CLEANUP(mem_freep) char *host = host_name(p);

	json_set_str(p->d, p->pod, "hostname", host);
	json_set_str(p->d, p->pod, "restartPolicy", "Never");
	json_set_i64(p->d, p->pod, "terminationGracePeriodSeconds",
		(json_is_int(grace) ? json_i64(grace) : GRACE_DEFAULT_S) + GRACE_EXTRA_S);
	json_set_bool(p->d, p->pod, "enableServiceLinks", false);
	json_set_bool(p->d, p->pod, "automountServiceAccountToken", false);
	if (p->in->config->runtime_class)
		json_set_str(p->d, p->pod, "runtimeClassName", p->in->config->runtime_class);
	for (size_t i = 0; i < ARRAY_LEN(copied); i++)
		copy(p, copied[i]);
	node_selector(p);
}

struct json_doc *launcher_pod_render(const struct render_pod_in *in)
{
	struct json_doc *d = json_lit("{'apiVersion':'v1','kind':'Pod','metadata':{},'spec':{"
				      "'securityContext':{'fsGroup':107},"
				      "'readinessGates':[{'conditionType':'" POD_GATE_UNPAUSED "'}]}}");
	struct pod_draft p = { .in = in, .vmi = obj_json(in->vmi), .d = d, .root = json_root(d) };
	struct pod_resources r;

	p.spec = json_get(p.vmi, "spec");
	p.pod = json_get(p.root, "spec");
	pod_resources_of(p.vmi, in->config, -1, &r);
	metadata(&p, &r);
	pod_spec(&p);
	containers(&p, &r);
	render_volumes(in, d, p.pod, p.compute);
	return d;
}

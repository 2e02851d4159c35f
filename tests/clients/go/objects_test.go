// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"
)

// what an event recorder knows of
var schemeForEvents = scheme.Scheme

// typedSink is what record.EventSink wants, over the typed client.
type typedSink struct{ events typedcore.EventInterface }

func (s *typedSink) Create(e *corev1.Event) (*corev1.Event, error) {
	return s.events.CreateWithEventNamespace(e)
}
func (s *typedSink) Update(e *corev1.Event) (*corev1.Event, error) {
	return s.events.UpdateWithEventNamespace(e)
}
func (s *typedSink) Patch(e *corev1.Event, data []byte) (*corev1.Event, error) {
	return s.events.PatchWithEventNamespace(e, data)
}

func eachItem(list runtime.Object, fn func()) error {
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	var l struct{ Items []json.RawMessage }
	if err := json.Unmarshal(raw, &l); err != nil {
		return err
	}
	for range l.Items {
		fn()
	}
	return nil
}

const group = "clients.coracle.dev"

// installGadgets makes the kind that these tests use, with everything a schema can say; whoever comes second finds it.
func installGadgets(t *testing.T) {
	t.Helper()
	ctx := ctxOf(t)
	crds := apiextensionsclient.NewForConfigOrDie(config(t)).CustomResourceDefinitions()
	str := apiextensionsv1.JSONSchemaProps{Type: "string"}
	num := apiextensionsv1.JSONSchemaProps{Type: "integer", Format: "int32"}
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "gadgets." + group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "gadgets", Kind: "Gadget", ShortNames: []string{"gdg"},
				Categories: []string{"toys"}},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{
						"spec": {Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{
							"color": {Type: "string", Enum: []apiextensionsv1.JSON{{Raw: []byte(`"red"`)}, {Raw: []byte(`"blue"`)}},
								Default: &apiextensionsv1.JSON{Raw: []byte(`"red"`)}},
							"replicas": {Type: "integer", Format: "int32", Minimum: ptr.To(0.0)},
							"parts": {Type: "array", XListType: ptr.To("map"), XListMapKeys: []string{"name"},
								Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &apiextensionsv1.JSONSchemaProps{
									Type: "object", Required: []string{"name"},
									Properties: map[string]apiextensionsv1.JSONSchemaProps{"name": str, "size": num}}}},
						}},
						"status": {Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{
							"replicas": num, "selector": str, "phase": str}},
					}}},
				Subresources: &apiextensionsv1.CustomResourceSubresources{
					Status: &apiextensionsv1.CustomResourceSubresourceStatus{},
					Scale: &apiextensionsv1.CustomResourceSubresourceScale{SpecReplicasPath: ".spec.replicas",
						StatusReplicasPath: ".status.replicas", LabelSelectorPath: ptr.To(".status.selector")}},
				SelectableFields: []apiextensionsv1.SelectableField{{JSONPath: ".spec.color"}},
				AdditionalPrinterColumns: []apiextensionsv1.CustomResourceColumnDefinition{
					{Name: "Color", Type: "string", JSONPath: ".spec.color"}},
			}},
		},
	}
	got, err := crds.Create(ctx, crd, metav1.CreateOptions{})
	if err != nil {
		wantReason(t, err, metav1.StatusReasonAlreadyExists)
		return
	}
	equal(t, "listKind", got.Spec.Names.ListKind, "GadgetList")
}

func gadget(name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": group + "/v1", "kind": "Gadget",
		"metadata": map[string]any{"name": name}, "spec": spec}}
}

// What the server prints is what Go would print of the same object: no member more or less, down to empty structs. A program
// that compares an object of the dynamic client with a converted typed one sees a difference otherwise.
func TestJSONIsAsGoPrintsIt(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	labels := map[string]string{"app": "x"}
	template := map[string]any{"metadata": map[string]any{"labels": labels}, "spec": podSpec()}
	never := podSpec()
	never.RestartPolicy = corev1.RestartPolicyNever
	selector := map[string]any{"matchLabels": labels}
	for _, c := range []struct {
		gv, resource, kind string
		clusterwide        bool
		body               map[string]any
	}{
		{"v1", "pods", "Pod", false, map[string]any{"spec": podSpec()}},
		{"v1", "configmaps", "ConfigMap", false, map[string]any{"data": labels}},
		{"v1", "secrets", "Secret", false, map[string]any{"stringData": labels}},
		{"v1", "services", "Service", false, map[string]any{"spec": map[string]any{"ports": []any{map[string]any{"port": 80}}}}},
		{"v1", "endpoints", "Endpoints", false, map[string]any{"subsets": []any{map[string]any{
			"addresses": []any{map[string]any{"ip": "10.1.1.1"}}, "ports": []any{map[string]any{"port": 80}}}}}},
		{"v1", "serviceaccounts", "ServiceAccount", false, map[string]any{}},
		{"v1", "persistentvolumeclaims", "PersistentVolumeClaim", false, map[string]any{"spec": map[string]any{
			"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}}}}},
		{"v1", "persistentvolumes", "PersistentVolume", true, map[string]any{"spec": map[string]any{"accessModes": []any{"ReadWriteOnce"},
			"capacity": map[string]any{"storage": "1Gi"}, "hostPath": map[string]any{"path": "/x"}}}},
		{"v1", "resourcequotas", "ResourceQuota", false, map[string]any{"spec": map[string]any{"hard": map[string]any{"pods": "100"}}}},
		{"v1", "limitranges", "LimitRange", false, map[string]any{"spec": map[string]any{"limits": []any{map[string]any{"type": "Container",
			"max": map[string]any{"cpu": "64"}}}}}},
		{"v1", "nodes", "Node", true, map[string]any{}},
		{"v1", "namespaces", "Namespace", true, map[string]any{}},
		{"v1", "events", "Event", false, map[string]any{"involvedObject": map[string]any{"namespace": ns, "name": "x", "kind": "Pod"}, "reason": "Because"}},
		{"apps/v1", "deployments", "Deployment", false, map[string]any{"spec": map[string]any{"selector": selector, "template": template}}},
		{"apps/v1", "replicasets", "ReplicaSet", false, map[string]any{"spec": map[string]any{"selector": selector, "template": template}}},
		{"apps/v1", "daemonsets", "DaemonSet", false, map[string]any{"spec": map[string]any{"selector": selector, "template": template}}},
		{"apps/v1", "statefulsets", "StatefulSet", false, map[string]any{"spec": map[string]any{"serviceName": "x", "selector": selector, "template": template}}},
		{"apps/v1", "controllerrevisions", "ControllerRevision", false, map[string]any{"revision": 1, "data": map[string]any{"a": "b"}}},
		{"batch/v1", "jobs", "Job", false, map[string]any{"spec": map[string]any{"template": map[string]any{"spec": never}}}},
		{"rbac.authorization.k8s.io/v1", "roles", "Role", false, map[string]any{"rules": []any{map[string]any{"verbs": []any{"get"},
			"apiGroups": []any{""}, "resources": []any{"pods"}}}}},
		{"rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", false, map[string]any{"roleRef": map[string]any{"kind": "Role", "name": "x",
			"apiGroup": "rbac.authorization.k8s.io"}, "subjects": []any{map[string]any{"kind": "User", "name": "u"}}}},
		{"coordination.k8s.io/v1", "leases", "Lease", false, map[string]any{"spec": map[string]any{"holderIdentity": "me",
			"renewTime": "2024-01-01T00:00:00.000000Z"}}},
		{"policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", false, map[string]any{"spec": map[string]any{"minAvailable": 1, "selector": selector}}},
		{"scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", true, map[string]any{"value": 5}},
		{"storage.k8s.io/v1", "storageclasses", "StorageClass", true, map[string]any{"provisioner": "x.invalid"}},
		{"discovery.k8s.io/v1", "endpointslices", "EndpointSlice", false, map[string]any{"addressType": "IPv4", "endpoints": []any{map[string]any{
			"addresses": []any{"10.1.1.1"}}}}},
		{"networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", false, map[string]any{"spec": map[string]any{"podSelector": map[string]any{}}}},
		{"networking.k8s.io/v1", "ingresses", "Ingress", false, map[string]any{"spec": map[string]any{"defaultBackend": map[string]any{
			"service": map[string]any{"name": "x", "port": map[string]any{"number": 80}}}}}},
		{"admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", true, map[string]any{"webhooks": []any{
			map[string]any{"name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": []any{"v1"},
				"clientConfig": map[string]any{"url": "https://127.0.0.1:1/x"}}}}},
		{"apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", true, map[string]any{"metadata": map[string]any{
			"name": "things." + ns + ".dev"}, "spec": map[string]any{"group": ns + ".dev", "scope": "Namespaced",
			"names":    map[string]any{"plural": "things", "kind": "Thing"},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}}}}}}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			base := "/api/" + c.gv
			if c.gv != "v1" {
				base = "/apis/" + c.gv
			}
			if !c.clusterwide {
				base += "/namespaces/" + ns
			}
			c.body["apiVersion"], c.body["kind"] = c.gv, c.kind
			if c.body["metadata"] == nil {
				c.body["metadata"] = map[string]any{"generateName": "go-"}
			}
			raw, err := json.Marshal(c.body)
			must(t, err)
			made, err := k.CoreV1().RESTClient().Post().AbsPath(base, c.resource).SetHeader("Content-Type", "application/json").Body(raw).Do(ctx).Raw()
			must(t, err)
			var meta metav1.PartialObjectMetadata
			must(t, json.Unmarshal(made, &meta))
			at := base + "/" + c.resource + "/" + meta.Name
			defer k.CoreV1().RESTClient().Delete().AbsPath(at).Do(ctx)
			raw, err = k.CoreV1().RESTClient().Get().AbsPath(at).Do(ctx).Raw()
			must(t, err)
			printed := goPrints(t, raw)
			var a, b any
			must(t, json.Unmarshal(raw, &a))
			must(t, json.Unmarshal(printed, &b))
			for _, d := range differences("", a, b) {
				t.Error(d)
			}
		})
	}
}

func goPrints(t *testing.T, raw []byte) []byte {
	t.Helper()
	var tm runtime.TypeMeta
	must(t, json.Unmarshal(raw, &tm))
	s := runtime.NewScheme()
	must(t, scheme.AddToScheme(s))
	must(t, apiextensionsv1.AddToScheme(s))
	obj, err := s.New(tm.GroupVersionKind())
	must(t, err)
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	must(t, dec.Decode(obj))
	out, err := json.Marshal(obj)
	must(t, err)
	return out
}

// An explicit null and none are one here.
func differences(at string, server, golang any) (out []string) {
	a, aok := server.(map[string]any)
	b, bok := golang.(map[string]any)
	if aok && bok {
		for k := range a {
			if _, ok := b[k]; !ok && a[k] != nil {
				out = append(out, fmt.Sprintf("%s.%s: Go prints none, the server %v", at, k, a[k]))
			} else {
				out = append(out, differences(at+"."+k, a[k], b[k])...)
			}
		}
		for k := range b {
			if _, ok := a[k]; !ok && b[k] != nil {
				out = append(out, fmt.Sprintf("%s.%s: the server prints none, Go %v", at, k, b[k]))
			}
		}
		return out
	}
	x, xok := server.([]any)
	y, yok := golang.([]any)
	if xok && yok && len(x) == len(y) {
		for i := range x {
			out = append(out, differences(fmt.Sprintf("%s[%d]", at, i), x[i], y[i])...)
		}
		return out
	}
	if fmt.Sprint(server) != fmt.Sprint(golang) {
		out = append(out, fmt.Sprintf("%s: the server prints %v, Go %v", at, server, golang))
	}
	return out
}

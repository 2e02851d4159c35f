// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/openapi3"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	apiregv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	apireg "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/typed/apiregistration/v1"
)

var gadgets = schema.GroupVersionResource{Group: group, Version: "v1", Resource: "gadgets"}

// kubernetes-api.md 1-3, 5
func TestDiscovery(t *testing.T) {
	for _, c := range []struct {
		name   string
		legacy bool
	}{{"aggregated", false}, {"legacy", true}} {
		t.Run(c.name, func(t *testing.T) {
			installGadgets(t)
			cfg := config(t)
			w := watchWire(cfg)
			d := discovery.NewDiscoveryClientForConfigOrDie(cfg)
			d.UseLegacyDiscovery = c.legacy
			groups, lists, err := d.ServerGroupsAndResources()
			must(t, err)
			byName := map[string]*metav1.APIGroup{}
			for _, g := range groups {
				byName[g.Name] = g
			}
			for _, want := range []string{"", "apps", "batch", "rbac.authorization.k8s.io", "apiextensions.k8s.io", group} {
				if byName[want] == nil {
					t.Errorf("no group %q", want)
				}
			}
			found := map[string]metav1.APIResource{}
			for _, l := range lists {
				for _, r := range l.APIResources {
					found[l.GroupVersion+"/"+r.Name] = r
				}
			}
			g := found[group+"/v1/gadgets"]
			equal(t, "kind", g.Kind, "Gadget")
			equal(t, "names", fmt.Sprint(g.SingularName, " ", g.ShortNames, g.Categories, g.Namespaced), "gadget [gdg] [toys] true")
			if _, ok := found[group+"/v1/gadgets/status"]; !ok {
				t.Error("no gadgets/status")
			}
			equal(t, "scale", found[group+"/v1/gadgets/scale"].Kind, "Scale")
			equal(t, "eviction", found["v1/pods/eviction"].Group, "policy")
			if n := w.count("GET"); !c.legacy && n != 2 || c.legacy && n < 10 {
				t.Errorf("%d requests:\n%s", n, w)
			}
			preferred, err := d.ServerPreferredResources()
			must(t, err)
			if len(preferred) < 10 {
				t.Errorf("%d preferred lists", len(preferred))
			}
		})
	}
	d := clientset(t).Discovery()
	v, err := d.ServerVersion()
	must(t, err)
	if _, err := utilversion.ParseSemantic(v.GitVersion); err != nil {
		t.Error(err)
	}
}

func TestRESTMapper(t *testing.T) {
	installGadgets(t)
	cached := memory.NewMemCacheClient(clientset(t).Discovery())
	m := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
	for short, want := range map[string]string{"gdg": "gadgets", "deploy": "deployments", "po": "pods", "cm": "configmaps",
		"crd": "customresourcedefinitions", "pvc": "persistentvolumeclaims", "sts": "statefulsets", "ev": "events", "no": "nodes"} {
		r, err := m.ResourceFor(schema.GroupVersionResource{Resource: short})
		must(t, err)
		equal(t, short, r.Resource, want)
	}
	mapping, err := m.RESTMapping(schema.GroupKind{Group: group, Kind: "Gadget"})
	must(t, err)
	equal(t, "scope", mapping.Scope.Name(), meta.RESTScopeNameNamespace)
	mapping, err = m.RESTMapping(schema.GroupKind{Kind: "Node"}, "v1")
	must(t, err)
	equal(t, "scope", mapping.Scope.Name(), meta.RESTScopeNameRoot)
	if _, err = m.RESTMapping(schema.GroupKind{Group: group, Kind: "Nothing"}); !meta.IsNoMatchError(err) {
		t.Errorf("got %v", err)
	}
	p, err := restmapper.GetAPIGroupResources(clientset(t).Discovery())
	must(t, err)
	if len(p) < 10 {
		t.Errorf("%d groups", len(p))
	}
}

// kubernetes-api.md 4, 8: the documents parse and know the new kind
func TestOpenAPI(t *testing.T) {
	installGadgets(t)
	d := clientset(t).Discovery()
	v2, err := d.OpenAPISchema()
	must(t, err)
	found := false
	for _, def := range v2.Definitions.AdditionalProperties {
		found = found || strings.HasSuffix(def.Name, ".Gadget")
	}
	if !found {
		t.Error("no Gadget in OpenAPI v2")
	}
	root := openapi3.NewRoot(d.OpenAPIV3())
	gvs, err := root.GroupVersions()
	must(t, err)
	for _, gv := range gvs {
		spec, err := root.GVSpec(gv)
		if err != nil {
			t.Errorf("%s: %v", gv, err)
			continue
		}
		if gv.Group == group && (len(spec.Components.Schemas) == 0 || len(spec.Paths.Paths) == 0) {
			t.Errorf("nothing in %s", gv)
		}
	}
	if len(gvs) < 15 {
		t.Errorf("group versions %v", gvs)
	}
}

// kubernetes-api.md 24, 25, 34, 75-78, 84: a custom resource through the dynamic client, right after its definition
func TestCustomResources(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	name := "widgets." + ns + ".dev"
	crds := apiextensionsclient.NewForConfigOrDie(protobufConfig(t)).CustomResourceDefinitions()
	preserve := true
	_, err := crds.Create(ctx, &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{Group: ns + ".dev", Scope: apiextensionsv1.ClusterScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Singular: "widget", Kind: "Widget", ListKind: "WidgetList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: &preserve}}}}}}, metav1.CreateOptions{})
	must(t, err)
	dyn := dynamic.NewForConfigOrDie(config(t))
	widgets := dyn.Resource(schema.GroupVersionResource{Group: ns + ".dev", Version: "v1", Resource: "widgets"})
	_, err = widgets.Create(ctx, &unstructured.Unstructured{Object: map[string]any{"apiVersion": ns + ".dev/v1", "kind": "Widget",
		"metadata": map[string]any{"name": "w"}, "anything": map[string]any{"goes": []any{int64(1), 2.5, nil, map[string]any{}}}}}, metav1.CreateOptions{})
	must(t, err)
	w, err := widgets.Get(ctx, "w", metav1.GetOptions{})
	must(t, err)
	equal(t, "kept", fmt.Sprint(w.Object["anything"]), "map[goes:[1 2.5 <nil> map[]]]")
	crd, err := crds.Get(ctx, name, metav1.GetOptions{})
	must(t, err)
	for _, c := range crd.Status.Conditions {
		equal(t, string(c.Type), c.Status, apiextensionsv1.ConditionTrue)
	}
	must(t, crds.Delete(ctx, name, metav1.DeleteOptions{}))
	eventually(t, "the kind to go with its objects", func() bool {
		_, err := crds.Get(ctx, name, metav1.GetOptions{})
		return err != nil
	})

	installGadgets(t)
	g := dyn.Resource(gadgets).Namespace(ns)
	made, err := g.Create(ctx, gadget("a", map[string]any{"replicas": int64(1), "unknown": "x"}), metav1.CreateOptions{})
	must(t, err)
	equal(t, "defaulted and pruned", fmt.Sprint(made.Object["spec"]), "map[color:red replicas:1]")
	_, err = g.Create(ctx, gadget("b", map[string]any{"color": "green", "replicas": int64(-1)}), metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonInvalid)
	if !strings.Contains(err.Error(), "spec.color: Unsupported value") || !strings.Contains(err.Error(), "spec.replicas: Invalid value: -1") {
		t.Error(err)
	}
	st, err := g.Patch(ctx, "a", types.MergePatchType, []byte(`{"spec":{"replicas":9},"status":{"phase":"Up","replicas":1,"selector":"a=b"}}`),
		metav1.PatchOptions{}, "status")
	must(t, err)
	replicas, _, _ := unstructured.NestedInt64(st.Object, "spec", "replicas")
	equal(t, "spec through status", replicas, 1)
	equal(t, "generation", st.GetGeneration(), 1)
	_, err = g.Patch(ctx, "a", types.StrategicMergePatchType, []byte(`{}`), metav1.PatchOptions{})
	wantReason(t, err, metav1.StatusReasonUnsupportedMediaType)
	applied, err := g.Apply(ctx, "a", gadget("a", map[string]any{"parts": []any{map[string]any{"name": "x", "size": int64(1)}}}),
		metav1.ApplyOptions{FieldManager: "one"})
	must(t, err)
	_, err = g.Apply(ctx, "a", gadget("a", map[string]any{"parts": []any{map[string]any{"name": "y"}}}), metav1.ApplyOptions{FieldManager: "two"})
	must(t, err)
	_, err = g.Apply(ctx, "a", gadget("a", map[string]any{"parts": []any{map[string]any{"name": "x", "size": int64(2)}}}),
		metav1.ApplyOptions{FieldManager: "two"})
	wantReason(t, err, metav1.StatusReasonConflict)
	applied, err = g.Get(ctx, "a", metav1.GetOptions{})
	must(t, err)
	parts, _, _ := unstructured.NestedSlice(applied.Object, "spec", "parts")
	equal(t, "parts of two managers", len(parts), 2)
	_, err = g.Create(ctx, gadget("c", map[string]any{"color": "blue"}), metav1.CreateOptions{})
	must(t, err)
	blue, err := g.List(ctx, metav1.ListOptions{FieldSelector: "spec.color=blue"})
	must(t, err)
	equal(t, "selectable field", len(blue.Items), 1)
	equal(t, "kind of the items", blue.Items[0].GetKind(), "Gadget")
	must(t, g.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	none, err := g.List(ctx, metav1.ListOptions{})
	must(t, err)
	equal(t, "left", len(none.Items), 0)
}

func TestScaleClient(t *testing.T) {
	installGadgets(t)
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	_, err := dynamic.NewForConfigOrDie(config(t)).Resource(gadgets).Namespace(ns).Create(ctx, gadget("a", map[string]any{"replicas": int64(2)}), metav1.CreateOptions{})
	must(t, err)
	_, err = k.AppsV1().Deployments(ns).Create(ctx, deployment("a"), metav1.CreateOptions{})
	must(t, err)
	cached := memory.NewMemCacheClient(k.Discovery())
	scales, err := scale.NewForConfig(config(t), restmapper.NewDeferredDiscoveryRESTMapper(cached), dynamic.LegacyAPIPathResolverFunc,
		scale.NewDiscoveryScaleKindResolver(k.Discovery()))
	must(t, err)
	for _, gr := range []schema.GroupResource{gadgets.GroupResource(), {Group: "apps", Resource: "deployments"}} {
		s, err := scales.Scales(ns).Get(ctx, gr, "a", metav1.GetOptions{})
		must(t, err)
		equal(t, gr.String(), s.Spec.Replicas, 2)
		s.Spec.Replicas = 3
		s, err = scales.Scales(ns).Update(ctx, gr, s, metav1.UpdateOptions{})
		must(t, err)
		equal(t, gr.String(), s.Spec.Replicas, 3)
		s, err = scales.Scales(ns).Patch(ctx, gr.WithVersion("v1"), "a", types.MergePatchType, []byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{})
		must(t, err)
		equal(t, gr.String(), s.Spec.Replicas, 4)
	}
}

// kubernetes-api.md 73
func TestMetadataClient(t *testing.T) {
	installGadgets(t)
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	_, err := k.CoreV1().ConfigMaps(ns).Create(ctx, configMap("cm", map[string]string{"a": "b"}), metav1.CreateOptions{})
	must(t, err)
	_, err = dynamic.NewForConfigOrDie(config(t)).Resource(gadgets).Namespace(ns).Create(ctx, gadget("cm", map[string]any{}), metav1.CreateOptions{})
	must(t, err)
	m := metadata.NewForConfigOrDie(config(t))
	for _, r := range []schema.GroupVersionResource{{Version: "v1", Resource: "configmaps"}, gadgets} {
		one, err := m.Resource(r).Namespace(ns).Get(ctx, "cm", metav1.GetOptions{})
		must(t, err)
		equal(t, "name", one.Name, "cm")
		w, err := m.Resource(r).Namespace(ns).Watch(ctx, metav1.ListOptions{})
		must(t, err)
		_, err = m.Resource(r).Namespace(ns).Patch(ctx, "cm", types.MergePatchType, []byte(`{"metadata":{"labels":{"x":"y"}}}`), metav1.PatchOptions{})
		must(t, err)
		list, err := m.Resource(r).Namespace(ns).List(ctx, metav1.ListOptions{LabelSelector: "x=y"})
		must(t, err)
		equal(t, "listed", len(list.Items), 1)
		for e := range w.ResultChan() {
			if o, ok := e.Object.(*metav1.PartialObjectMetadata); !ok {
				t.Fatalf("watched %T", e.Object)
			} else if o.Labels["x"] == "y" {
				w.Stop()
				break
			}
		}
		must(t, m.Resource(r).Namespace(ns).Delete(ctx, "cm", metav1.DeleteOptions{}))
	}
}

// kubernetes-api.md 95: an APIService whose backend is not there
func TestAPIServices(t *testing.T) {
	ctx := ctxOf(t)
	services := apireg.NewForConfigOrDie(protobufConfig(t)).APIServices()
	name := "v1.missing.clients.coracle.dev"
	_, err := services.Create(ctx, &apiregv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: apiregv1.APIServiceSpec{
		Group: "missing.clients.coracle.dev", Version: "v1", GroupPriorityMinimum: 1000, VersionPriority: 10, InsecureSkipTLSVerify: true,
		Service: &apiregv1.ServiceReference{Namespace: "default", Name: "missing"}}}, metav1.CreateOptions{})
	must(t, err)
	defer func() { must(t, services.Delete(context.Background(), name, metav1.DeleteOptions{})) }()
	eventually(t, "Available False", func() bool {
		s, err := services.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false
		}
		for _, c := range s.Status.Conditions {
			if c.Type == apiregv1.Available && c.Status == apiregv1.ConditionFalse && c.Reason == "ServiceNotFound" {
				return true
			}
		}
		return false
	})
	d := discovery.NewDiscoveryClientForConfigOrDie(config(t))
	_, _, err = d.ServerGroupsAndResources()
	if !discovery.IsGroupDiscoveryFailedError(err) {
		t.Errorf("a stale group is no discovery failure: %v", err)
	}
	local, err := services.Get(ctx, "v1.apps", metav1.GetOptions{})
	must(t, err)
	if local.Spec.Service != nil {
		t.Error("v1.apps is not local")
	}
	_, err = clientset(t).CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	must(t, err)
}

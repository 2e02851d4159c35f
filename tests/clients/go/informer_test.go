// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	watchtools "k8s.io/client-go/tools/watch"
)

// The run script runs this file's tests twice: with client-go's own choice, which is to stream the initial list, and with
// KUBE_FEATURE_WatchListClient=false, which is how clients before 1.35 start.
func streams() bool { return os.Getenv("KUBE_FEATURE_WatchListClient") != "false" }

// seen is what an informer's handler was told, by name.
type seen struct {
	mu                      sync.Mutex
	value                   map[string]string
	added, updated, deleted int
	resyncs                 int
}

func (s *seen) handler() cache.ResourceEventHandler {
	s.value = map[string]string{}
	put := func(o any) {
		cm := o.(*corev1.ConfigMap)
		s.value[cm.Name] = cm.Data["v"]
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.added++
			put(o)
		},
		UpdateFunc: func(old, o any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if old.(*corev1.ConfigMap).ResourceVersion == o.(*corev1.ConfigMap).ResourceVersion {
				s.resyncs++
				return
			}
			s.updated++
			put(o)
		},
		DeleteFunc: func(o any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.deleted++
			if d, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = d.Obj
			}
			delete(s.value, o.(*corev1.ConfigMap).Name)
		},
	}
}

func (s *seen) get(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value[name]
}

func (s *seen) counts() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.added, s.updated, s.deleted)
}

// kubernetes-api.md 63, 64, 68: a shared informer from its start, resyncs included
func TestInformer(t *testing.T) {
	k := clientset(t)
	ns := namespace(t, k)
	ctx := ctxOf(t)
	for i := range 3 {
		_, err := k.CoreV1().ConfigMaps(ns).Create(ctx, configMap(fmt.Sprint("old-", i), map[string]string{"v": "1"}), metav1.CreateOptions{})
		must(t, err)
	}
	cfg := protobufConfig(t)
	w := watchWire(cfg)
	f := informers.NewSharedInformerFactoryWithOptions(kubernetes.NewForConfigOrDie(cfg), time.Second, informers.WithNamespace(ns))
	inf := f.Core().V1().ConfigMaps()
	var s seen
	reg, err := inf.Informer().AddEventHandler(s.handler())
	must(t, err)
	f.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), inf.Informer().HasSynced, reg.HasSynced) {
		t.Fatal("not synced")
	}
	before := s.added
	if before < 3 {
		t.Fatalf("%d objects", before)
	}
	if streams() {
		equal(t, "streamed lists", w.count("GET", "sendInitialEvents=true"), 1)
		equal(t, "lists", w.count("GET", "!watch=true"), 0)
	} else {
		equal(t, "streamed lists", w.count("GET", "sendInitialEvents=true"), 0)
		equal(t, "lists", w.count("GET", "!watch=true"), 1)
	}
	_, err = k.CoreV1().ConfigMaps(ns).Create(ctx, configMap("new", map[string]string{"v": "1"}), metav1.CreateOptions{})
	must(t, err)
	_, err = k.CoreV1().ConfigMaps(ns).Update(ctx, configMap("new", map[string]string{"v": "2"}), metav1.UpdateOptions{})
	must(t, err)
	must(t, k.CoreV1().ConfigMaps(ns).Delete(ctx, "old-0", metav1.DeleteOptions{}))
	eventually(t, "the events", func() bool { return s.counts() == fmt.Sprint(before+1, 1, 1) })
	equal(t, "value", s.get("new"), "2")
	list, err := inf.Lister().ConfigMaps(ns).List(labels.Everything())
	must(t, err)
	equal(t, "listed from the cache", len(list), before)
	eventually(t, "a resync", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.resyncs >= 3
	})
	equal(t, "what a resync changes", s.counts(), fmt.Sprint(before+1, 1, 1))
}

// Every kind that client-go has an informer for here starts, in one process at once.
func TestInformersOfManyKinds(t *testing.T) {
	k := clientset(t)
	f := informers.NewSharedInformerFactory(k, 0)
	all := map[string]cache.SharedIndexInformer{
		"pods": f.Core().V1().Pods().Informer(), "nodes": f.Core().V1().Nodes().Informer(), "services": f.Core().V1().Services().Informer(),
		"endpoints": f.Core().V1().Endpoints().Informer(), "secrets": f.Core().V1().Secrets().Informer(),
		"serviceaccounts": f.Core().V1().ServiceAccounts().Informer(), "namespaces": f.Core().V1().Namespaces().Informer(),
		"events": f.Core().V1().Events().Informer(), "pv": f.Core().V1().PersistentVolumes().Informer(),
		"pvc": f.Core().V1().PersistentVolumeClaims().Informer(), "quotas": f.Core().V1().ResourceQuotas().Informer(),
		"limits": f.Core().V1().LimitRanges().Informer(), "deployments": f.Apps().V1().Deployments().Informer(),
		"replicasets": f.Apps().V1().ReplicaSets().Informer(), "daemonsets": f.Apps().V1().DaemonSets().Informer(),
		"statefulsets": f.Apps().V1().StatefulSets().Informer(), "revisions": f.Apps().V1().ControllerRevisions().Informer(),
		"jobs": f.Batch().V1().Jobs().Informer(), "roles": f.Rbac().V1().Roles().Informer(),
		"clusterroles": f.Rbac().V1().ClusterRoles().Informer(), "rolebindings": f.Rbac().V1().RoleBindings().Informer(),
		"clusterrolebindings": f.Rbac().V1().ClusterRoleBindings().Informer(), "leases": f.Coordination().V1().Leases().Informer(),
		"events.k8s.io": f.Events().V1().Events().Informer(), "pdbs": f.Policy().V1().PodDisruptionBudgets().Informer(),
		"priorities": f.Scheduling().V1().PriorityClasses().Informer(), "storageclasses": f.Storage().V1().StorageClasses().Informer(),
		"slices": f.Discovery().V1().EndpointSlices().Informer(), "policies": f.Networking().V1().NetworkPolicies().Informer(),
		"ingresses": f.Networking().V1().Ingresses().Informer(), "csrs": f.Certificates().V1().CertificateSigningRequests().Informer(),
		"mutating":   f.Admissionregistration().V1().MutatingWebhookConfigurations().Informer(),
		"validating": f.Admissionregistration().V1().ValidatingWebhookConfigurations().Informer(),
		"vaps":       f.Admissionregistration().V1().ValidatingAdmissionPolicies().Informer(),
	}
	ctx := ctxOf(t)
	f.Start(ctx.Done())
	for name, inf := range all {
		eventually(t, name+" to sync", inf.HasSynced)
	}
	if len(all["clusterroles"].GetStore().ListKeys()) == 0 || len(all["namespaces"].GetStore().ListKeys()) == 0 {
		t.Error("empty caches")
	}
}

func TestDynamicAndMetadataInformers(t *testing.T) {
	installGadgets(t)
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	dyn := dynamic.NewForConfigOrDie(config(t))
	_, err := dyn.Resource(gadgets).Namespace(ns).Create(ctx, gadget("a", map[string]any{"color": "blue"}), metav1.CreateOptions{})
	must(t, err)
	df := dynamicinformer.NewFilteredDynamicSharedInformerFactory(dyn, 0, ns, nil)
	mf := metadatainformer.NewFilteredSharedInformerFactory(metadata.NewForConfigOrDie(config(t)), 0, ns, nil)
	d, m := df.ForResource(gadgets), mf.ForResource(gadgets)
	cms := mf.ForResource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"})
	_ = cms.Informer()
	_, _ = d.Informer(), m.Informer()
	df.Start(ctx.Done())
	mf.Start(ctx.Done())
	df.WaitForCacheSync(ctx.Done())
	mf.WaitForCacheSync(ctx.Done())
	o, err := d.Lister().ByNamespace(ns).Get("a")
	must(t, err)
	color, _, _ := unstructured.NestedString(o.(*unstructured.Unstructured).Object, "spec", "color")
	equal(t, "color", color, "blue")
	mo, err := m.Lister().ByNamespace(ns).Get("a")
	must(t, err)
	equal(t, "metadata", mo.(*metav1.PartialObjectMetadata).Name, "a")
	must(t, dyn.Resource(gadgets).Namespace(ns).Delete(ctx, "a", metav1.DeleteOptions{}))
	eventually(t, "both to see it go", func() bool {
		_, e1 := d.Lister().ByNamespace(ns).Get("a")
		_, e2 := m.Lister().ByNamespace(ns).Get("a")
		return e1 != nil && e2 != nil
	})
}

// kubernetes-api.md 65: an object that leaves the selector leaves the cache, and comes back
func TestInformerWithSelector(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	f := informers.NewSharedInformerFactoryWithOptions(k, 0, informers.WithNamespace(ns),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "in=yes" }))
	inf := f.Core().V1().ConfigMaps()
	has := func() bool {
		_, err := inf.Lister().ConfigMaps(ns).Get("cm")
		return err == nil
	}
	_ = inf.Informer()
	f.Start(ctx.Done())
	f.WaitForCacheSync(ctx.Done())
	label := func(v string) {
		cm := configMap("cm", nil)
		cm.Labels = map[string]string{"in": v}
		_, err := k.CoreV1().ConfigMaps(ns).Update(ctx, cm, metav1.UpdateOptions{})
		must(t, err)
	}
	_, err := k.CoreV1().ConfigMaps(ns).Create(ctx, configMap("cm", nil), metav1.CreateOptions{})
	must(t, err)
	label("yes")
	eventually(t, "it to be there", has)
	label("no")
	eventually(t, "it to leave", func() bool { return !has() })
	label("yes")
	eventually(t, "it to come back", has)
}

// kubernetes-api.md 69, 99: over a restart the watch goes on from its resourceVersion, without a new list
func TestInformerOverRestart(t *testing.T) {
	restart(t, false)
}

// kubernetes-api.md 66: too old a resourceVersion makes an informer list anew, and it misses nothing
func TestInformerAfterExpiry(t *testing.T) {
	restart(t, true)
}

func restart(t *testing.T, forget bool) {
	srv := newServer(t)
	cfg := loadConfig(t, srv.kubeconfig())
	k := kubernetes.NewForConfigOrDie(loadConfig(t, srv.kubeconfig()))
	w := watchWire(cfg)
	ctx := ctxOf(t)
	cms := func() interface {
		Create(context.Context, *corev1.ConfigMap, metav1.CreateOptions) (*corev1.ConfigMap, error)
		Update(context.Context, *corev1.ConfigMap, metav1.UpdateOptions) (*corev1.ConfigMap, error)
		Delete(context.Context, string, metav1.DeleteOptions) error
	} {
		return k.CoreV1().ConfigMaps("default")
	}
	for _, n := range []string{"stays", "changes", "goes"} {
		_, err := cms().Create(ctx, configMap(n, map[string]string{"v": "1"}), metav1.CreateOptions{})
		must(t, err)
	}
	f := informers.NewSharedInformerFactoryWithOptions(kubernetes.NewForConfigOrDie(cfg), 0, informers.WithNamespace("default"))
	inf := f.Core().V1().ConfigMaps().Informer()
	var s seen
	_, err := inf.AddEventHandler(s.handler())
	must(t, err)
	f.Start(ctx.Done())
	f.WaitForCacheSync(ctx.Done())
	eventually(t, "the first three", func() bool { return s.get("goes") == "1" && s.get("stays") == "1" })
	lists := func() int { return w.count("GET", "!watch=true") + w.count("GET", "sendInitialEvents=true") }
	first := lists()
	port := srv.port()
	time.Sleep(1100 * time.Millisecond) // client-go takes a watch of less than a second for a fault and lists anew
	srv.stop()
	// while the informer knocks in vain, another server's clients write
	srv.start("0")
	k = kubernetes.NewForConfigOrDie(loadConfig(t, srv.kubeconfig()))
	_, err = cms().Update(ctx, configMap("changes", map[string]string{"v": "2"}), metav1.UpdateOptions{})
	must(t, err)
	must(t, cms().Delete(ctx, "goes", metav1.DeleteOptions{}))
	_, err = cms().Create(ctx, configMap("comes", map[string]string{"v": "1"}), metav1.CreateOptions{})
	must(t, err)
	srv.stop()
	if forget {
		srv.forgetHistory()
	}
	srv.start(port)
	eventually(t, "the informer to catch up", func() bool {
		return s.get("changes") == "2" && s.get("comes") == "1" && s.get("goes") == "" && s.get("stays") == "1"
	})
	k = kubernetes.NewForConfigOrDie(loadConfig(t, srv.kubeconfig()))
	_, err = cms().Update(ctx, configMap("stays", map[string]string{"v": "3"}), metav1.UpdateOptions{})
	must(t, err)
	eventually(t, "live events", func() bool { return s.get("stays") == "3" })
	if again := lists() - first; forget && again == 0 {
		t.Errorf("recovered without a list:\n%s", w)
	} else if !forget && again != 0 {
		t.Errorf("listed again:\n%s", w)
	}
}

// kubernetes-api.md 67: a bookmark moves an idle watch's resourceVersion on while others write
func TestBookmarks(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	l, err := k.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{})
	must(t, err)
	seconds := int64(5) // one is due 2 s before the end
	w, err := k.CoreV1().Secrets(ns).Watch(ctx, metav1.ListOptions{ResourceVersion: l.ResourceVersion, AllowWatchBookmarks: true, TimeoutSeconds: &seconds})
	must(t, err)
	cm, err := k.CoreV1().ConfigMaps(ns).Create(ctx, configMap("other", nil), metav1.CreateOptions{})
	must(t, err)
	last := ""
	for e := range w.ResultChan() {
		equal(t, "event", e.Type, watch.Bookmark)
		last = e.Object.(*corev1.Secret).ResourceVersion
	}
	if len(last) < len(cm.ResourceVersion) || len(last) == len(cm.ResourceVersion) && last < cm.ResourceVersion {
		t.Errorf("last bookmark %q, the write %q", last, cm.ResourceVersion)
	}
}

// kubernetes-api.md 69: RetryWatcher reads on over watches that end by their timeout
func TestRetryWatcher(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	l, err := k.CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{})
	must(t, err)
	var watches atomic.Int32
	rw, err := watchtools.NewRetryWatcherWithContext(ctx, l.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			watches.Add(1)
			one := int64(1)
			o.TimeoutSeconds = &one
			return k.CoreV1().ConfigMaps(ns).Watch(ctx, o)
		}})
	must(t, err)
	defer rw.Stop()
	go func() {
		for i := range 8 {
			_, _ = k.CoreV1().ConfigMaps(ns).Create(ctx, configMap(fmt.Sprint("cm-", i), nil), metav1.CreateOptions{})
			time.Sleep(400 * time.Millisecond)
		}
	}()
	next := 0
	for e := range rw.ResultChan() {
		if e.Type == watch.Bookmark {
			continue
		}
		equal(t, "event", fmt.Sprint(e.Type, " ", e.Object.(*corev1.ConfigMap).Name), fmt.Sprint("ADDED cm-", next))
		if next++; next == 8 {
			break
		}
	}
	if watches.Load() < 3 {
		t.Errorf("%d watches", watches.Load())
	}
}

func TestUntilWithSync(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	go func() {
		time.Sleep(200 * time.Millisecond)
		_, _ = k.CoreV1().ConfigMaps(ns).Create(ctx, configMap("awaited", nil), metav1.CreateOptions{})
	}()
	lw := cache.NewListWatchFromClient(k.CoreV1().RESTClient(), "configmaps", ns, fields.Everything())
	e, err := watchtools.UntilWithSync(ctx, lw, &corev1.ConfigMap{}, nil, func(e watch.Event) (bool, error) {
		return e.Object.(*corev1.ConfigMap).Name == "awaited", nil
	})
	must(t, err)
	equal(t, "event", e.Type, watch.Added)
}

// Lease-based leader election: one leads, hands over when it ends, and the Lease counts the transitions
func TestLeaderElection(t *testing.T) {
	k := kubernetes.NewForConfigOrDie(protobufConfig(t))
	ns := namespace(t, k)
	ctx := ctxOf(t)
	leading := make(chan string, 10)
	candidate := func(id string) (stop func()) {
		ctx, cancel := context.WithCancel(ctx)
		lock, err := resourcelock.New(resourcelock.LeasesResourceLock, ns, "lead", k.CoreV1(), k.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: id})
		must(t, err)
		done := make(chan bool)
		go func() {
			defer close(done)
			leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{Lock: lock, ReleaseOnCancel: true,
				LeaseDuration: 5 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 200 * time.Millisecond,
				Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leading <- id }, OnStoppedLeading: func() {}}})
		}()
		return func() { cancel(); <-done }
	}
	stopA := candidate("a")
	equal(t, "leader", <-leading, "a")
	stopB := candidate("b")
	time.Sleep(time.Second)
	l, err := k.CoordinationV1().Leases(ns).Get(ctx, "lead", metav1.GetOptions{})
	must(t, err)
	equal(t, "holder", *l.Spec.HolderIdentity, "a")
	if !l.Spec.RenewTime.After(l.Spec.AcquireTime.Time) {
		t.Errorf("not renewed: %v", l.Spec)
	}
	stopA()
	equal(t, "leader", <-leading, "b")
	l, err = k.CoordinationV1().Leases(ns).Get(ctx, "lead", metav1.GetOptions{})
	must(t, err)
	equal(t, "holder", *l.Spec.HolderIdentity, "b")
	equal(t, "transitions", *l.Spec.LeaseTransitions, 1)
	stopB()
}

// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

func newGadget() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(group + "/v1")
	u.SetKind("Gadget")
	return u
}

func newManager(t *testing.T, ns string, change func(*manager.Options)) manager.Manager {
	t.Helper()
	opts := manager.Options{Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{ns: {}}},
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)}}
	if change != nil {
		change(&opts)
	}
	m, err := ctrl.NewManager(config(t), opts)
	must(t, err)
	return m
}

func run(t *testing.T, m manager.Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Start(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

const finalizer = "clients.coracle.dev/reconciler"

// gadgeteer keeps a ConfigMap for each Gadget, tells the phase in its status, and cleans up by a finalizer.
type gadgeteer struct {
	client.Client
	cleaned atomic.Int32
	runs    atomic.Int32
}

func (g *gadgeteer) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	g.runs.Add(1)
	u := newGadget()
	if err := g.Get(ctx, req.NamespacedName, u); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if u.GetDeletionTimestamp() != nil {
		if controllerutil.RemoveFinalizer(u, finalizer) {
			g.cleaned.Add(1)
			return reconcile.Result{}, g.Update(ctx, u)
		}
		return reconcile.Result{}, nil
	}
	if controllerutil.AddFinalizer(u, finalizer) {
		if err := g.Update(ctx, u); err != nil {
			return reconcile.Result{}, err
		}
	}
	color, _, _ := unstructured.NestedString(u.Object, "spec", "color")
	cm := configMap(u.GetName(), nil)
	cm.Namespace = u.GetNamespace()
	if _, err := controllerutil.CreateOrUpdate(ctx, g.Client, cm, func() error {
		cm.Data = map[string]string{"color": color}
		return controllerutil.SetControllerReference(u, cm, g.Scheme())
	}); err != nil {
		return reconcile.Result{}, err
	}
	base := u.DeepCopy()
	if err := unstructured.SetNestedField(u.Object, "Painted "+color, "status", "phase"); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, g.Status().Patch(ctx, u, client.MergeFrom(base))
}

// A controller as people write them: For, Owns, Watches, finalizer, status patch, cached reads by a field index
func TestController(t *testing.T) {
	installGadgets(t)
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	m := newManager(t, ns, nil)
	g := &gadgeteer{Client: m.GetClient()}
	must(t, m.GetFieldIndexer().IndexField(ctx, &corev1.ConfigMap{}, "data.color", func(o client.Object) []string {
		return []string{o.(*corev1.ConfigMap).Data["color"]}
	}))
	must(t, ctrl.NewControllerManagedBy(m).Named("gadgets").For(newGadget()).Owns(&corev1.ConfigMap{}).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: ns, Name: o.GetName()}}}
		})).Complete(g))
	stop := run(t, m)
	c := m.GetClient()
	for i := range 10 {
		u := gadget(fmt.Sprint("g-", i), map[string]any{"color": []string{"red", "blue"}[i%2]})
		u.SetNamespace(ns)
		must(t, c.Create(ctx, u))
	}
	phase := func(name string) string {
		u := newGadget()
		if c.Get(ctx, types.NamespacedName{Namespace: ns, Name: name}, u) != nil {
			return ""
		}
		p, _, _ := unstructured.NestedString(u.Object, "status", "phase")
		return p
	}
	for i := range 10 {
		eventually(t, "all to be painted", func() bool { return phase(fmt.Sprint("g-", i)) != "" })
	}
	eventually(t, "the index to have all blue ones", func() bool {
		var l corev1.ConfigMapList
		must(t, c.List(ctx, &l, client.InNamespace(ns), client.MatchingFields{"data.color": "blue"}))
		return len(l.Items) == 5
	})
	must(t, k.CoreV1().ConfigMaps(ns).Delete(ctx, "g-0", metav1.DeleteOptions{}))
	eventually(t, "what was deleted to be made again", func() bool {
		_, err := k.CoreV1().ConfigMaps(ns).Get(ctx, "g-0", metav1.GetOptions{})
		return err == nil
	})
	u := newGadget()
	must(t, c.Get(ctx, types.NamespacedName{Namespace: ns, Name: "g-0"}, u))
	must(t, c.Patch(ctx, u, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"color":"blue"}}`))))
	eventually(t, "the new colour", func() bool { return phase("g-0") == "Painted blue" })
	before := g.runs.Load()
	must(t, c.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "g-1"}}))
	eventually(t, "a watched Secret to wake it", func() bool { return g.runs.Load() > before })
	must(t, c.Delete(ctx, u))
	eventually(t, "the finalizer to be served", func() bool {
		return apierrors.IsNotFound(m.GetAPIReader().Get(ctx, types.NamespacedName{Namespace: ns, Name: "g-0"}, newGadget()))
	})
	equal(t, "cleaned up", g.cleaned.Load(), 1)
	// a quiet world is left alone
	time.Sleep(500 * time.Millisecond)
	before = g.runs.Load()
	time.Sleep(time.Second)
	equal(t, "runs while nothing happens", g.runs.Load(), before)
	stop()
	none := newGadget()
	none.SetNamespace(ns)
	direct, err := client.New(config(t), client.Options{})
	must(t, err)
	for i := range 10 {
		n := gadget(fmt.Sprint("g-", i), map[string]any{})
		n.SetNamespace(ns)
		_ = direct.Patch(ctx, n, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
	}
	must(t, direct.DeleteAllOf(ctx, none, client.InNamespace(ns)))
}

// controller-runtime's client without a cache: optimistic locks, patches, apply, subresources, dry run
func TestRuntimeClient(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	c, err := client.New(config(t), client.Options{})
	must(t, err)
	d := deployment("d")
	d.Namespace = ns
	must(t, c.Create(ctx, d, client.FieldOwner("maker")))
	stale := d.DeepCopy()
	base := d.DeepCopy()
	d.Spec.Paused = true
	must(t, c.Patch(ctx, d, client.StrategicMergeFrom(base, client.MergeFromWithOptimisticLock{})))
	stale.Spec.Replicas = ptr.To[int32](9)
	err = c.Patch(ctx, stale, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	wantReason(t, err, metav1.StatusReasonConflict)
	d.Status.Replicas = 2
	must(t, c.Status().Update(ctx, d))
	must(t, c.Get(ctx, client.ObjectKeyFromObject(d), d))
	equal(t, "status", fmt.Sprint(d.Status.Replicas, d.Spec.Paused), "2 true")
	cm := applycore.ConfigMap("applied", ns).WithData(map[string]string{"a": "1"})
	must(t, c.Apply(ctx, cm, client.FieldOwner("one")))
	other := applycore.ConfigMap("applied", ns).WithData(map[string]string{"a": "2"})
	wantReason(t, c.Apply(ctx, other, client.FieldOwner("two")), metav1.StatusReasonConflict)
	must(t, c.Apply(ctx, other, client.FieldOwner("two"), client.ForceOwnership))
	dry := client.NewDryRunClient(c)
	must(t, dry.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "dry"}}))
	if err := c.Get(ctx, types.NamespacedName{Namespace: ns, Name: "dry"}, &corev1.Secret{}); !apierrors.IsNotFound(err) {
		t.Errorf("a dry run left something: %v", err)
	}
	must(t, c.DeleteAllOf(ctx, d, client.InNamespace(ns), client.MatchingLabels{"app": "d"}))
	p := pod("p")
	p.Namespace = ns
	must(t, c.Create(ctx, p, client.FieldValidation("Strict")))
	must(t, c.SubResource("eviction").Create(ctx, p, &policyv1.Eviction{}))
}

// Two managers of one election: the second works only after the first has gone
func TestManagerLeaderElection(t *testing.T) {
	ns := namespace(t, clientset(t))
	elect := func(o *manager.Options) {
		o.LeaderElection, o.LeaderElectionID, o.LeaderElectionNamespace, o.LeaderElectionReleaseOnCancel = true, "managers.clients.coracle.dev", ns, true
		o.RetryPeriod, o.RenewDeadline, o.LeaseDuration = ptr.To(200*time.Millisecond), ptr.To(3*time.Second), ptr.To(5*time.Second)
	}
	a, b := newManager(t, ns, elect), newManager(t, ns, elect)
	stopA := run(t, a)
	<-a.Elected()
	run(t, b)
	select {
	case <-b.Elected():
		t.Fatal("two leaders")
	case <-time.After(time.Second):
	}
	stopA()
	select {
	case <-b.Elected():
	case <-time.After(patience):
		t.Fatal("no second leader")
	}
}

// certificate makes one for 127.0.0.1 that signs itself, in dir/tls.crt and dir/tls.key, and answers it as a PEM bundle.
func certificate(t *testing.T, dir string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "webhook"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	must(t, err)
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "tls.crt"), crt, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	return crt
}

type defaulter struct{}

func (defaulter) Default(_ context.Context, o *corev1.ConfigMap) error {
	if o.Data == nil {
		o.Data = map[string]string{}
	}
	o.Data["defaulted"] = "yes"
	return nil
}

type validator struct{}

func check(o *corev1.ConfigMap) (admission.Warnings, error) {
	if o.Data["bad"] != "" {
		return nil, fmt.Errorf("bad is %s", o.Data["bad"])
	}
	if o.Data["odd"] != "" {
		return admission.Warnings{"that is odd"}, nil
	}
	return nil, nil
}

func (validator) ValidateCreate(_ context.Context, o *corev1.ConfigMap) (admission.Warnings, error) {
	return check(o)
}
func (validator) ValidateUpdate(_ context.Context, _, o *corev1.ConfigMap) (admission.Warnings, error) {
	return check(o)
}
func (validator) ValidateDelete(_ context.Context, o *corev1.ConfigMap) (admission.Warnings, error) {
	if o.Data["precious"] != "" {
		return nil, fmt.Errorf("it is precious")
	}
	return nil, nil
}

// kubernetes-api.md 92-94: controller-runtime's webhook server, by URL and caBundle
func TestWebhooks(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	dir := t.TempDir()
	ca := certificate(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	must(t, l.Close())
	m := newManager(t, ns, func(o *manager.Options) {
		o.WebhookServer = webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: dir})
	})
	must(t, ctrl.NewWebhookManagedBy(m, &corev1.ConfigMap{}).WithDefaulter(defaulter{}).WithValidator(validator{}).Complete())
	run(t, m)
	eventually(t, "the webhook server", func() bool {
		return m.GetWebhookServer().StartedChecker()(&http.Request{}) == nil
	})
	url := func(path string) admissionv1.WebhookClientConfig {
		return admissionv1.WebhookClientConfig{URL: ptr.To(fmt.Sprintf("https://127.0.0.1:%d/%s", port, path)), CABundle: ca}
	}
	// two slashes, as envtest makes it: kube-apiserver joins them
	rules := func(ops ...admissionv1.OperationType) []admissionv1.RuleWithOperations {
		return []admissionv1.RuleWithOperations{{Operations: ops, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}}}}
	}
	here := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}}
	none := ptr.To(admissionv1.SideEffectClassNone)
	mw, err := k.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(ctx, &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ns}, Webhooks: []admissionv1.MutatingWebhook{{Name: "default." + group, ClientConfig: url("/mutate--v1-configmap"),
			Rules: rules("CREATE"), NamespaceSelector: here, SideEffects: none, AdmissionReviewVersions: []string{"v1"}}}}, metav1.CreateOptions{})
	must(t, err)
	defer func() {
		must(t, k.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(ctx, mw.Name, metav1.DeleteOptions{}))
	}()
	vw, err := k.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ns}, Webhooks: []admissionv1.ValidatingWebhook{{Name: "check." + group, ClientConfig: url("validate--v1-configmap"),
			Rules: rules("CREATE", "UPDATE", "DELETE"), NamespaceSelector: here, SideEffects: none, AdmissionReviewVersions: []string{"v1"}}}}, metav1.CreateOptions{})
	must(t, err)
	defer func() {
		must(t, k.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, vw.Name, metav1.DeleteOptions{}))
	}()
	warnings := &collector{}
	cfg := protobufConfig(t)
	cfg.WarningHandler = warnings
	cms := kubernetes.NewForConfigOrDie(cfg).CoreV1().ConfigMaps(ns)
	cm, err := cms.Create(ctx, configMap("good", map[string]string{"odd": "1", "precious": "1"}), metav1.CreateOptions{})
	must(t, err)
	equal(t, "defaulted", cm.Data["defaulted"], "yes")
	equal(t, "warnings", strings.Join(warnings.texts, ";"), "that is odd")
	_, err = cms.Create(ctx, configMap("evil", map[string]string{"bad": "worse"}), metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonForbidden)
	equal(t, "text", err.Error(), `admission webhook "check.`+group+`" denied the request: bad is worse`)
	_, err = cms.Patch(ctx, "good", types.MergePatchType, []byte(`{"data":{"bad":"again"}}`), metav1.PatchOptions{})
	wantReason(t, err, metav1.StatusReasonForbidden)
	wantReason(t, cms.Delete(ctx, "good", metav1.DeleteOptions{}), metav1.StatusReasonForbidden)
	_, err = cms.Patch(ctx, "good", types.MergePatchType, []byte(`{"data":{"precious":null}}`), metav1.PatchOptions{})
	must(t, err)
	must(t, cms.Delete(ctx, "good", metav1.DeleteOptions{}))
}

// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	applyapps "k8s.io/client-go/applyconfigurations/apps/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	applymeta "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
)

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		Containers: []corev1.Container{{
			Name: "main", Image: "registry.invalid/main:1",
			Env:   []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}},
			Ports: []corev1.ContainerPort{{ContainerPort: 80, Name: "web"}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceMemory: resource.MustParse("64Mi"), corev1.ResourceCPU: resource.MustParse("100m")}},
			VolumeMounts: []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}},
			LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
				HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("web")}}},
		}},
		Volumes: []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
	}
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}, Spec: podSpec()}
}

func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](2),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxSurge: ptr.To(intstr.FromString("50%")), MaxUnavailable: ptr.To(intstr.FromInt32(0))}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec()},
		},
	}
}

// kubernetes-api.md 12, 13: what a typed client writes in protobuf, another reads in JSON as the same object.
func TestProtobufAndJSONAgree(t *testing.T) {
	cfg := protobufConfig(t)
	w := watchWire(cfg)
	p, j := kubernetes.NewForConfigOrDie(cfg), clientset(t)
	ctx, ns := ctxOf(t), namespace(t, j)
	same := func(t *testing.T, got, read any, err error) {
		t.Helper()
		must(t, err)
		if !reflect.DeepEqual(got, read) {
			a, _ := json.MarshalIndent(got, "", " ")
			b, _ := json.MarshalIndent(read, "", " ")
			t.Fatalf("the answer to the create is\n%s\nbut read again it is\n%s", a, b)
		}
	}
	create, get := metav1.CreateOptions{}, metav1.GetOptions{}
	t.Run("ConfigMap", func(t *testing.T) {
		in := configMap("cm", map[string]string{"a": "1", "b.c": "ü line\n\"quoted\" 🦀"})
		in.BinaryData = map[string][]byte{"b": {0, 1, 255}}
		in.Immutable = ptr.To(false)
		a, err := p.CoreV1().ConfigMaps(ns).Create(ctx, in, create)
		must(t, err)
		equal(t, "binary data", string(a.BinaryData["b"]), "\x00\x01\xff")
		b, err := j.CoreV1().ConfigMaps(ns).Get(ctx, "cm", get)
		same(t, a, b, err)
	})
	t.Run("Secret", func(t *testing.T) {
		a, err := p.CoreV1().Secrets(ns).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"},
			StringData: map[string]string{"user": "me"}, Data: map[string][]byte{"raw": []byte("x")}}, create)
		must(t, err)
		equal(t, "stringData merged", string(a.Data["user"]), "me")
		equal(t, "type", a.Type, corev1.SecretTypeOpaque)
		b, err := j.CoreV1().Secrets(ns).Get(ctx, "s", get)
		same(t, a, b, err)
	})
	t.Run("Pod", func(t *testing.T) {
		a, err := p.CoreV1().Pods(ns).Create(ctx, pod("p"), create)
		must(t, err)
		equal(t, "dnsPolicy", a.Spec.DNSPolicy, corev1.DNSClusterFirst)
		equal(t, "restartPolicy", a.Spec.RestartPolicy, corev1.RestartPolicyAlways)
		equal(t, "phase", a.Status.Phase, corev1.PodPending)
		equal(t, "qosClass", a.Status.QOSClass, corev1.PodQOSBurstable)
		equal(t, "probe period", a.Spec.Containers[0].LivenessProbe.PeriodSeconds, 10)
		b, err := j.CoreV1().Pods(ns).Get(ctx, "p", get)
		same(t, a, b, err)
	})
	t.Run("Deployment", func(t *testing.T) {
		a, err := p.AppsV1().Deployments(ns).Create(ctx, deployment("d"), create)
		must(t, err)
		equal(t, "generation", a.Generation, 1)
		equal(t, "strategy", a.Spec.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
		equal(t, "history", *a.Spec.RevisionHistoryLimit, 10)
		b, err := j.AppsV1().Deployments(ns).Get(ctx, "d", get)
		same(t, a, b, err)
	})
	t.Run("Service", func(t *testing.T) {
		a, err := p.CoreV1().Services(ns).Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "svc"},
			Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "p"}, Ports: []corev1.ServicePort{
				{Name: "a", Port: 80, TargetPort: intstr.FromString("web")}, {Name: "b", Port: 81}}}}, create)
		must(t, err)
		if a.Spec.ClusterIP == "" || a.Spec.ClusterIPs[0] != a.Spec.ClusterIP {
			t.Fatalf("no cluster IP: %+v", a.Spec)
		}
		equal(t, "target port", a.Spec.Ports[1].TargetPort.IntValue(), 81)
		b, err := j.CoreV1().Services(ns).Get(ctx, "svc", get)
		same(t, a, b, err)
	})
	t.Run("Job", func(t *testing.T) {
		tmpl := corev1.PodTemplateSpec{Spec: podSpec()}
		tmpl.Spec.RestartPolicy = corev1.RestartPolicyNever
		a, err := p.BatchV1().Jobs(ns).Create(ctx, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "j"},
			Spec: batchv1.JobSpec{Template: tmpl, BackoffLimit: ptr.To[int32](0)}}, create)
		must(t, err)
		b, err := j.BatchV1().Jobs(ns).Get(ctx, "j", get)
		same(t, a, b, err)
	})
	t.Run("Role", func(t *testing.T) {
		a, err := p.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "r"},
			Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}}, create)
		must(t, err)
		b, err := j.RbacV1().Roles(ns).Get(ctx, "r", get)
		same(t, a, b, err)
	})
	t.Run("PersistentVolumeClaim", func(t *testing.T) {
		a, err := p.CoreV1().PersistentVolumeClaims(ns).Create(ctx, &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1.5Gi")}}}}, create)
		must(t, err)
		equal(t, "phase", a.Status.Phase, corev1.ClaimPending)
		b, err := j.CoreV1().PersistentVolumeClaims(ns).Get(ctx, "c", get)
		same(t, a, b, err)
	})
	t.Run("StorageClass", func(t *testing.T) {
		a, err := p.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "go-"}, Provisioner: "none.invalid"}, create)
		must(t, err)
		defer func() { _ = j.StorageV1().StorageClasses().Delete(ctx, a.Name, metav1.DeleteOptions{}) }()
		equal(t, "reclaim policy", *a.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
		b, err := j.StorageV1().StorageClasses().Get(ctx, a.Name, get)
		same(t, a, b, err)
	})
	if w.count("POST", "application/vnd.kubernetes.protobuf") < 9 {
		t.Errorf("not protobuf:\n%s", w)
	}
}

// kubernetes-api.md 20, 21, 23, 24: update, its conflict, and generations
func TestUpdate(t *testing.T) {
	k := kubernetes.NewForConfigOrDie(protobufConfig(t))
	ctx, ns := ctxOf(t), namespace(t, k)
	d, err := k.AppsV1().Deployments(ns).Create(ctx, deployment("d"), metav1.CreateOptions{})
	must(t, err)
	stale := d.DeepCopy()
	d.Labels["x"] = "y"
	d, err = k.AppsV1().Deployments(ns).Update(ctx, d, metav1.UpdateOptions{})
	must(t, err)
	equal(t, "generation after labels", d.Generation, 1)
	d.Spec.Replicas = ptr.To[int32](3)
	d, err = k.AppsV1().Deployments(ns).Update(ctx, d, metav1.UpdateOptions{})
	must(t, err)
	equal(t, "generation after spec", d.Generation, 2)
	same, err := k.AppsV1().Deployments(ns).Update(ctx, d, metav1.UpdateOptions{})
	must(t, err)
	equal(t, "resourceVersion after nothing", same.ResourceVersion, d.ResourceVersion)
	_, err = k.AppsV1().Deployments(ns).Update(ctx, stale, metav1.UpdateOptions{})
	wantReason(t, err, metav1.StatusReasonConflict)
	d.Status.Replicas, d.Spec.Replicas = 1, ptr.To[int32](9)
	d, err = k.AppsV1().Deployments(ns).UpdateStatus(ctx, d, metav1.UpdateOptions{})
	must(t, err)
	equal(t, "status", d.Status.Replicas, 1)
	equal(t, "spec", *d.Spec.Replicas, 3)
	must(t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		stale.Annotations = map[string]string{"a": "b"}
		_, err := k.AppsV1().Deployments(ns).Update(ctx, stale, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			stale, _ = k.AppsV1().Deployments(ns).Get(ctx, "d", metav1.GetOptions{})
		}
		return err
	}))
	_, err = k.CoreV1().ConfigMaps(ns).Update(ctx, configMap("missing", nil), metav1.UpdateOptions{})
	wantReason(t, err, metav1.StatusReasonNotFound)
}

// kubernetes-api.md 31-37
func TestPatchTypes(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	_, err := k.AppsV1().Deployments(ns).Create(ctx, deployment("d"), metav1.CreateOptions{})
	must(t, err)
	patch := func(kind types.PatchType, body string) *appsv1.Deployment {
		t.Helper()
		d, err := k.AppsV1().Deployments(ns).Patch(ctx, "d", kind, []byte(body), metav1.PatchOptions{})
		must(t, err)
		return d
	}
	d := patch(types.JSONPatchType, `[{"op":"test","path":"/spec/replicas","value":2},{"op":"replace","path":"/spec/replicas","value":4},
		{"op":"add","path":"/metadata/labels/a~1b","value":"c"}]`)
	equal(t, "JSON patch", fmt.Sprint(*d.Spec.Replicas, " ", d.Labels["a/b"]), "4 c")
	d = patch(types.MergePatchType, `{"metadata":{"labels":{"a/b":null}},"spec":{"minReadySeconds":5}}`)
	equal(t, "merge patch", fmt.Sprint(len(d.Labels), d.Spec.MinReadySeconds), "1 5")
	d = patch(types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"registry.invalid/side"},
		{"name":"main","env":[{"name":"A","$patch":"delete"},{"name":"C","value":"3"}]}]}}}}`)
	env := map[string]string{}
	for _, c := range d.Spec.Template.Spec.Containers {
		for _, e := range c.Env {
			env[e.Name] = e.Value
		}
	}
	equal(t, "strategic patch", fmt.Sprint(len(d.Spec.Template.Spec.Containers), env), "2 map[B:2 C:3]")
	_, err = k.AppsV1().Deployments(ns).Patch(ctx, "d", types.JSONPatchType,
		[]byte(`[{"op":"test","path":"/spec/replicas","value":7}]`), metav1.PatchOptions{})
	wantReason(t, err, metav1.StatusReasonInvalid)
	_, err = k.AppsV1().Deployments(ns).Patch(ctx, "d", types.MergePatchType,
		[]byte(`{"metadata":{"resourceVersion":"1"}}`), metav1.PatchOptions{})
	wantReason(t, err, metav1.StatusReasonConflict)
}

// kubernetes-api.md 38-43, with typed apply configurations
func TestServerSideApply(t *testing.T) {
	k := kubernetes.NewForConfigOrDie(protobufConfig(t))
	ctx, ns := ctxOf(t), namespace(t, k)
	as := func(manager string) metav1.ApplyOptions { return metav1.ApplyOptions{FieldManager: manager} }
	tmpl := applycore.PodTemplateSpec().WithLabels(map[string]string{"app": "d"}).WithSpec(applycore.PodSpec().WithContainers(
		applycore.Container().WithName("main").WithImage("registry.invalid/main:1").
			WithPorts(applycore.ContainerPort().WithContainerPort(80).WithName("web"))))
	body := applyapps.Deployment("d", ns).WithSpec(applyapps.DeploymentSpec().WithReplicas(1).
		WithSelector(applymeta.LabelSelector().WithMatchLabels(map[string]string{"app": "d"})).WithTemplate(tmpl))
	deployments := k.AppsV1().Deployments(ns)
	d, err := deployments.Apply(ctx, body, as("one"))
	must(t, err)
	equal(t, "replicas", *d.Spec.Replicas, 1)
	again, err := deployments.Apply(ctx, body, as("one"))
	must(t, err)
	equal(t, "resourceVersion of the repetition", again.ResourceVersion, d.ResourceVersion)

	two := applyapps.Deployment("d", ns).WithSpec(applyapps.DeploymentSpec().WithReplicas(5))
	_, err = deployments.Apply(ctx, two, as("two"))
	wantReason(t, err, metav1.StatusReasonConflict)
	status := err.(apierrors.APIStatus).Status()
	cause := status.Details.Causes[0]
	equal(t, "cause", cause.Type, metav1.CauseTypeFieldManagerConflict)
	equal(t, "field", cause.Field, ".spec.replicas")
	if !strings.Contains(cause.Message, `conflict with "one"`) {
		t.Errorf("message %q", cause.Message)
	}
	force := as("two")
	force.Force = true
	d, err = deployments.Apply(ctx, two, force)
	must(t, err)
	equal(t, "replicas by force", *d.Spec.Replicas, 5)

	// extracted, changed and applied again, as operators do it
	mine, err := applyapps.ExtractDeployment(d, "two")
	must(t, err)
	equal(t, "extracted replicas", *mine.Spec.Replicas, 5)
	if mine.Spec.Template != nil {
		t.Errorf("two owns the template: %+v", mine.Spec.Template)
	}
	mine.WithLabels(map[string]string{"by": "two"})
	d, err = deployments.Apply(ctx, mine, as("two"))
	must(t, err)
	equal(t, "label", d.Labels["by"], "two")
	d, err = deployments.Apply(ctx, applyapps.Deployment("d", ns).WithSpec(applyapps.DeploymentSpec().WithReplicas(5)), as("two"))
	must(t, err)
	if _, ok := d.Labels["by"]; ok {
		t.Error("a label that its only owner gave up is still there")
	}
	// the status is a manager's ground of its own
	d, err = deployments.ApplyStatus(ctx, applyapps.Deployment("d", ns).WithStatus(applyapps.DeploymentStatus().WithReplicas(3).
		WithConditions(applyapps.DeploymentCondition().WithType("Available").WithStatus("True").WithReason("Yes"))), as("status"))
	must(t, err)
	equal(t, "status", fmt.Sprint(d.Status.Replicas, len(d.Status.Conditions)), "3 1")
	found := false
	for _, f := range d.ManagedFields {
		found = found || f.Manager == "status" && f.Subresource == "status" && f.Operation == metav1.ManagedFieldsOperationApply
	}
	if !found {
		t.Errorf("managedFields %+v", d.ManagedFields)
	}
	cm, err := k.CoreV1().ConfigMaps(ns).Apply(ctx, applycore.ConfigMap("cm", ns).WithData(map[string]string{"a": "1"}), as("one"))
	must(t, err)
	equal(t, "data", cm.Data["a"], "1")
	_, err = k.CoreV1().ConfigMaps(ns).Apply(ctx, applycore.ConfigMap("cm", ns), metav1.ApplyOptions{})
	if err == nil {
		t.Error("applied without a manager")
	}
}

// kubernetes-api.md 26, 27
func TestDryRunAndFieldValidation(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	cm, err := k.CoreV1().ConfigMaps(ns).Create(ctx, configMap("cm", nil), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	must(t, err)
	equal(t, "resourceVersion of a dry run", cm.ResourceVersion, "")
	_, err = k.CoreV1().ConfigMaps(ns).Get(ctx, "cm", metav1.GetOptions{})
	wantReason(t, err, metav1.StatusReasonNotFound)

	warnings := &collector{}
	cfg := config(t)
	cfg.WarningHandler = warnings
	w := kubernetes.NewForConfigOrDie(cfg)
	body := []byte(`{"metadata":{"name":"cm"},"datum":{},"data":{"a":"1"}}`)
	post := func(mode string) error {
		return w.CoreV1().RESTClient().Post().Namespace(ns).Resource("configmaps").Param("fieldValidation", mode).
			Param("dryRun", "All").SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
	}
	err = post("Strict")
	wantReason(t, err, metav1.StatusReasonBadRequest)
	if !strings.Contains(err.Error(), `unknown field "datum"`) {
		t.Error(err)
	}
	must(t, post("Ignore"))
	equal(t, "warnings", len(warnings.texts), 0)
	must(t, post("Warn"))
	equal(t, "warnings", strings.Join(warnings.texts, ";"), `unknown field "datum"`)
}

type collector struct{ texts []string }

func (c *collector) HandleWarningHeader(_ int, _ string, text string) {
	c.texts = append(c.texts, text)
}

// kubernetes-api.md 45-48, 53
func TestDeletion(t *testing.T) {
	k := kubernetes.NewForConfigOrDie(protobufConfig(t))
	ctx, ns := ctxOf(t), namespace(t, k)
	cms := k.CoreV1().ConfigMaps(ns)
	for i := range 5 {
		cm := configMap(fmt.Sprintf("cm-%d", i), nil)
		cm.Labels = map[string]string{"odd": fmt.Sprint(i % 2)}
		_, err := cms.Create(ctx, cm, metav1.CreateOptions{})
		must(t, err)
	}
	must(t, cms.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "odd=1"}))
	left, err := cms.List(ctx, metav1.ListOptions{LabelSelector: "odd"})
	must(t, err)
	equal(t, "left", len(left.Items), 3)
	err = cms.Delete(ctx, "cm-0", metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions("other")})
	wantReason(t, err, metav1.StatusReasonConflict)
	err = cms.Delete(ctx, "cm-0", metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(left.Items[0].UID)),
		PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)})
	must(t, err)
	_, err = cms.Get(ctx, "cm-0", metav1.GetOptions{})
	wantReason(t, err, metav1.StatusReasonNotFound)

	held := configMap("held", nil)
	held.Finalizers = []string{"clients.coracle.dev/hold"}
	_, err = cms.Create(ctx, held, metav1.CreateOptions{})
	must(t, err)
	w, err := cms.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=held"})
	must(t, err)
	defer w.Stop()
	must(t, cms.Delete(ctx, "held", metav1.DeleteOptions{}))
	got, err := cms.Get(ctx, "held", metav1.GetOptions{})
	must(t, err)
	if got.DeletionTimestamp == nil {
		t.Fatal("no deletionTimestamp")
	}
	got.Finalizers = append(got.Finalizers, "clients.coracle.dev/more")
	_, err = cms.Update(ctx, got, metav1.UpdateOptions{})
	wantReason(t, err, metav1.StatusReasonInvalid)
	_, err = cms.Create(ctx, configMap("held", nil), metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonAlreadyExists)
	got.Finalizers = nil
	_, err = cms.Update(ctx, got, metav1.UpdateOptions{})
	must(t, err)
	_, err = cms.Get(ctx, "held", metav1.GetOptions{})
	wantReason(t, err, metav1.StatusReasonNotFound)
	var seen []string
	for e := range w.ResultChan() {
		seen = append(seen, string(e.Type))
		if e.Type == watch.Deleted {
			break
		}
	}
	equal(t, "events", strings.Join(seen, " "), "ADDED MODIFIED DELETED")
}

// kubernetes-api.md 97
func TestEviction(t *testing.T) {
	k := kubernetes.NewForConfigOrDie(protobufConfig(t))
	ctx, ns := ctxOf(t), namespace(t, k)
	pdb, err := k.PolicyV1().PodDisruptionBudgets(ns).Create(ctx, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "guard"}, Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: ptr.To(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "p"}}}},
		metav1.CreateOptions{})
	must(t, err)
	pdb.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: pdb.Generation, DesiredHealthy: 1, CurrentHealthy: 1, ExpectedPods: 1}
	_, err = k.PolicyV1().PodDisruptionBudgets(ns).UpdateStatus(ctx, pdb, metav1.UpdateOptions{})
	must(t, err)
	p, err := k.CoreV1().Pods(ns).Create(ctx, pod("p"), metav1.CreateOptions{})
	must(t, err)
	must(t, k.CoreV1().Pods(ns).Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Target: corev1.ObjectReference{Kind: "Node", Name: "nowhere"}}, metav1.CreateOptions{}))
	p, err = k.CoreV1().Pods(ns).Get(ctx, "p", metav1.GetOptions{})
	must(t, err)
	equal(t, "node", p.Spec.NodeName, "nowhere")
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	_, err = k.CoreV1().Pods(ns).UpdateStatus(ctx, p, metav1.UpdateOptions{})
	must(t, err)
	evict := func(dry ...string) error {
		return k.PolicyV1().Evictions(ns).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: ns},
			DeleteOptions: &metav1.DeleteOptions{DryRun: dry, GracePeriodSeconds: ptr.To[int64](0)}})
	}
	err = evict()
	wantReason(t, err, metav1.StatusReasonTooManyRequests)
	if !apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause) {
		t.Errorf("no cause DisruptionBudget in %+v", err)
	}
	must(t, k.PolicyV1().PodDisruptionBudgets(ns).Delete(ctx, "guard", metav1.DeleteOptions{}))
	must(t, evict(metav1.DryRunAll))
	_, err = k.CoreV1().Pods(ns).Get(ctx, "p", metav1.GetOptions{})
	must(t, err)
	must(t, evict())
	_, err = k.CoreV1().Pods(ns).Get(ctx, "p", metav1.GetOptions{})
	wantReason(t, err, metav1.StatusReasonNotFound)
}

func TestTypedScale(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	_, err := k.AppsV1().Deployments(ns).Create(ctx, deployment("d"), metav1.CreateOptions{})
	must(t, err)
	s, err := k.AppsV1().Deployments(ns).GetScale(ctx, "d", metav1.GetOptions{})
	must(t, err)
	equal(t, "selector", s.Status.Selector, "app=d")
	s.Spec = autoscalingv1.ScaleSpec{Replicas: 7}
	s, err = k.AppsV1().Deployments(ns).UpdateScale(ctx, "d", s, metav1.UpdateOptions{})
	must(t, err)
	equal(t, "scaled", s.Spec.Replicas, 7)
	d, err := k.AppsV1().Deployments(ns).Get(ctx, "d", metav1.GetOptions{})
	must(t, err)
	equal(t, "replicas", *d.Spec.Replicas, 7)
}

// kubernetes-api.md 86, 87, 89-91: a program with a service account's token
func TestTokens(t *testing.T) {
	k := kubernetes.NewForConfigOrDie(protobufConfig(t))
	ctx, ns := ctxOf(t), namespace(t, k)
	_, err := k.CoreV1().ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "bot"}}, metav1.CreateOptions{})
	must(t, err)
	tok, err := k.CoreV1().ServiceAccounts(ns).CreateToken(ctx, "bot", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](600)}}, metav1.CreateOptions{})
	must(t, err)
	if d := time.Until(tok.Status.ExpirationTimestamp.Time); d < 9*time.Minute || d > 11*time.Minute {
		t.Errorf("expires in %s", d)
	}
	cfg := rest.AnonymousClientConfig(config(t))
	cfg.BearerToken = tok.Status.Token
	bot := kubernetes.NewForConfigOrDie(cfg)
	user := "system:serviceaccount:" + ns + ":bot"
	me, err := bot.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	must(t, err)
	equal(t, "who", me.Status.UserInfo.Username, user)
	review, err := k.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: tok.Status.Token}}, metav1.CreateOptions{})
	must(t, err)
	equal(t, "reviewed", review.Status.User.Username, user)

	_, err = bot.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{})
	wantReason(t, err, metav1.StatusReasonForbidden)
	want := fmt.Sprintf(`secrets is forbidden: User %q cannot list resource "secrets" in API group "" in the namespace %q`, user, ns)
	equal(t, "text", err.Error(), want)
	_, err = k.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "read"}, Rules: []rbacv1.PolicyRule{
		{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"secrets"}}}}, metav1.CreateOptions{})
	must(t, err)
	_, err = k.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "read"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "read"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "bot", Namespace: ns}}}, metav1.CreateOptions{})
	must(t, err)
	eventually(t, "the binding to count", func() bool {
		_, err = bot.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{})
		return err == nil
	})
	for verb, allowed := range map[string]bool{"list": true, "delete": false} {
		r, err := bot.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: ns, Verb: verb, Resource: "secrets"}}}, metav1.CreateOptions{})
		must(t, err)
		equal(t, verb, r.Status.Allowed, allowed)
		s, err := k.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: ns, Verb: verb, Resource: "secrets"}}}, metav1.CreateOptions{})
		must(t, err)
		equal(t, verb+" by another", s.Status.Allowed, allowed)
	}
	// the administrator in the bot's clothes
	icfg := config(t)
	icfg.Impersonate = rest.ImpersonationConfig{UserName: user}
	_, err = kubernetes.NewForConfigOrDie(icfg).CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{})
	must(t, err)
	_, err = kubernetes.NewForConfigOrDie(icfg).CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{})
	wantReason(t, err, metav1.StatusReasonForbidden)

	must(t, k.CoreV1().ServiceAccounts(ns).Delete(ctx, "bot", metav1.DeleteOptions{}))
	eventually(t, "the token to die with its account", func() bool {
		_, err = bot.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{})
		return apierrors.IsUnauthorized(err)
	})
}

// kubernetes-api.md 72: what kubectl prints is made by the server
func TestTable(t *testing.T) {
	k := clientset(t)
	ctx, ns := ctxOf(t), namespace(t, k)
	_, err := k.AppsV1().Deployments(ns).Create(ctx, deployment("d"), metav1.CreateOptions{})
	must(t, err)
	raw, err := k.AppsV1().RESTClient().Get().Namespace(ns).Resource("deployments").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(ctx).Raw()
	must(t, err)
	var table metav1.Table
	must(t, json.Unmarshal(raw, &table))
	equal(t, "kind", table.Kind, "Table")
	var names []string
	for _, c := range table.ColumnDefinitions {
		if c.Priority == 0 {
			names = append(names, c.Name)
		}
	}
	equal(t, "columns", strings.Join(names, ","), "Name,Ready,Up-to-date,Available,Age")
	equal(t, "cells", fmt.Sprint(table.Rows[0].Cells[:4]), "[d 0/2 0 0]")
	var meta metav1.PartialObjectMetadata
	must(t, json.Unmarshal(table.Rows[0].Object.Raw, &meta))
	equal(t, "object", meta.Name, "d")
}

// kubernetes-api.md 55: client-go's pager over a list that changes meanwhile
func TestPager(t *testing.T) {
	k := kubernetes.NewForConfigOrDie(protobufConfig(t))
	ctx, ns := ctxOf(t), namespace(t, k)
	for i := range 25 {
		_, err := k.CoreV1().ConfigMaps(ns).Create(ctx, configMap(fmt.Sprintf("cm-%02d", i), nil), metav1.CreateOptions{})
		must(t, err)
	}
	pages := 0
	p := pager.New(func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
		opts.LabelSelector = "!excluded"
		if pages++; pages > 1 {
			_ = k.CoreV1().ConfigMaps(ns).Delete(ctx, fmt.Sprintf("cm-%02d", 24-pages), metav1.DeleteOptions{})
		}
		return k.CoreV1().ConfigMaps(ns).List(ctx, opts)
	})
	p.PageSize = 10
	all, _, err := p.List(ctx, metav1.ListOptions{})
	must(t, err)
	n := 0
	must(t, eachItem(all, func() { n++ }))
	equal(t, "pages", pages, 3)
	equal(t, "items of one snapshot", n, 25)
}

// kubernetes-api.md 101: an event recorder, which creates, then patches counts
func TestEventRecorder(t *testing.T) {
	k := kubernetes.NewForConfigOrDie(protobufConfig(t))
	ctx, ns := ctxOf(t), namespace(t, k)
	cm, err := k.CoreV1().ConfigMaps(ns).Create(ctx, configMap("cm", nil), metav1.CreateOptions{})
	must(t, err)
	b := record.NewBroadcaster()
	defer b.Shutdown()
	b.StartRecordingToSink(&typedSink{k.CoreV1().Events(ns)})
	r := b.NewRecorder(schemeForEvents, corev1.EventSource{Component: "clients"})
	cm.APIVersion, cm.Kind = "v1", "ConfigMap"
	for range 3 {
		r.Event(cm, corev1.EventTypeNormal, "Seen", "seen by the test")
	}
	eventually(t, "one event counted three times", func() bool {
		l, err := k.CoreV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(cm.UID) + ",reason=Seen"})
		return err == nil && len(l.Items) == 1 && l.Items[0].Count == 3
	})
	// the same, seen through the newer group
	l, err := k.EventsV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "reason=Seen"})
	must(t, err)
	equal(t, "events.k8s.io", fmt.Sprint(len(l.Items), " ", l.Items[0].Note, " ", l.Items[0].DeprecatedCount), "1 seen by the test 3")
}

// The recorder of events.k8s.io, which controller-runtime's managers use; a cluster-scoped object's event is in default
func TestEventsRecorder(t *testing.T) {
	k := kubernetes.NewForConfigOrDie(protobufConfig(t))
	ctx := ctxOf(t)
	b := events.NewBroadcaster(&events.EventSinkImpl{Interface: k.EventsV1()})
	defer b.Shutdown()
	must(t, b.StartRecordingToSinkWithContext(ctx))
	r := b.NewRecorder(schemeForEvents, "clients")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace(t, k)}}
	for range 3 {
		r.Eventf(ns, nil, corev1.EventTypeWarning, "Danced", "dance", "yeah %d", 1)
	}
	eventually(t, "the event", func() bool {
		l, err := k.EventsV1().Events("").List(ctx, metav1.ListOptions{FieldSelector: "regarding.name=" + ns.Name})
		return err == nil && len(l.Items) == 1 && l.Items[0].Note == "yeah 1" && l.Items[0].ReportingController == "clients"
	})
	l, err := k.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + ns.Name})
	must(t, err)
	equal(t, "in the older group", fmt.Sprint(len(l.Items), " ", l.Items[0].Message), "1 yeah 1")
}

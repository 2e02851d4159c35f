#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# One kubectl, named by KUBECTL, against a server of its own: what users type, on a custom resource, a ConfigMap, a Namespace and
# a Deployment (kubernetes-api.md 3, 8.44, 8.54). Prints TAP.
set -uo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/e2e/lib/tap.sh
. "$HERE/../e2e/lib/tap.sh"
APISERVER=${APISERVER:-$HERE/../../build/bin/coracle-apiserver-dev}
DIR=$(mktemp -d /tmp/coracle-kubectl-XXXXXX)
SERVER=
# shellcheck disable=SC2317
cleanup() {
	[ -z "$SERVER" ] || kill "$SERVER" 2>/dev/null
	[ -z "$SERVER" ] || wait "$SERVER" 2>/dev/null
	rm -rf "$DIR"
}
trap cleanup EXIT

"$APISERVER" "$DIR/data" 0 >"$DIR/out" 2>"$DIR/log" &
SERVER=$!
for _ in $(seq 100); do
	[ -s "$DIR/out" ] && break
	sleep 0.05
done
export KUBECONFIG=$DIR/data/kubeconfig HOME=$DIR
cd "$DIR" || exit 1

k() {
	"$KUBECTL" "$@"
}
# as k, for failures: the text of the error, and success if there was one
k_fails() {
	! "$KUBECTL" "$@" 2>&1
}
NAME=$("$KUBECTL" version --client 2>/dev/null | grep -o 'v1\.[0-9]*' | head -1)
t() {
	local name=$1
	shift
	t_ok "kubectl $NAME: $name" "$@"
}
is() {
	t_is "kubectl $NAME: $1" "$2" "$3"
}

cat >crd.yaml <<'E'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.kubectl.coracle.dev}
spec:
  group: kubectl.coracle.dev
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat, shortNames: [bt], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.oars, statusReplicasPath: .status.oars}
    additionalPrinterColumns:
    - {name: Size, type: string, jsonPath: .spec.size}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What the boat shall be.
            properties:
              size: {type: string, default: small, enum: [small, big], description: How big it is.}
              oars: {type: integer, minimum: 0}
              color: {type: string}
          status:
            type: object
            properties: {oars: {type: integer}, phase: {type: string}}
E
cat >boat.yaml <<'E'
apiVersion: kubectl.coracle.dev/v1
kind: Boat
metadata: {name: b1}
spec: {color: red, oars: 2}
E

t 'version' k version
t 'create -f a definition' k create -f crd.yaml
t 'create -f an object of it at once' k create -f boat.yaml
is 'get prints its columns' "$(k get bt)" "$(printf 'NAME   SIZE\nb1     small')"
t 'get -o yaml' k get boat b1 -o yaml
t 'apply over create' k apply -f boat.yaml
sed s/red/blue/ boat.yaml >boat2.yaml
t 'apply a change' k apply -f boat2.yaml
is 'the change is there' "$(k get bt b1 -o 'jsonpath={.spec.color}')" blue
is 'apply again changes nothing' "$(k apply -f boat2.yaml)" 'boat.kubectl.coracle.dev/b1 unchanged'
t 'diff tells a difference' bash -c '"$0" diff -f boat.yaml; [ $? -eq 1 ]' "$KUBECTL"
t 'diff tells none' k diff -f boat2.yaml
t 'apply --server-side --dry-run=server' k apply --server-side --dry-run=server --force-conflicts -f boat.yaml
t 'apply --server-side takes over' k apply --server-side --force-conflicts -f boat.yaml
t 'patch --type=json' k patch bt b1 --type=json -p='[{"op":"replace","path":"/spec/color","value":"green"}]'
t 'patch --type=merge' k patch bt b1 --type=merge -p='{"spec":{"size":"big"}}'
t 'a strategic patch of a custom resource is refused' k_fails patch bt b1 -p='{"spec":{"size":"big"}}'
is 'a json patch that does not apply' \
	"$(k_fails patch bt b1 --type=json -p='[{"op":"test","path":"/spec/color","value":"no"}]' | cut -c-22)" \
	'The request is invalid'
is 'a value that is not allowed' "$(k_fails patch bt b1 --type=merge -p='{"spec":{"size":"huge"}}')" \
	'The Boat "b1" is invalid: spec.size: Unsupported value: "huge": supported values: "small", "big"'
is 'an unknown field is warned about' "$(k patch bt b1 --type=merge -p='{"spec":{"zip":1}}' 2>&1 | head -1)" \
	'Warning: unknown field "spec.zip"'
t 'scale' k scale bt b1 --replicas=5
is 'scale reached the spec' "$(k get bt b1 -o 'jsonpath={.spec.oars}')" 5
t 'label' k label bt b1 a=b
t 'annotate' k annotate bt b1 c=d
EDITOR='sed -i s/green/pink/' t 'edit' k edit bt b1
is 'edit reached the spec' "$(k get bt b1 -o 'jsonpath={.spec.color}')" pink
k get bt b1 -o json >b1.json
sed -i 's/"pink"/"gray"/' b1.json
t 'replace' k replace -f b1.json
is 'a stale replace is a conflict' "$(k_fails replace -f b1.json | grep -c 'the object has been modified')" 1
is 'explain reads the schema' "$(k explain boat.spec | grep -c 'How big it is.')" 1
is 'explain --recursive of a pod' "$(k explain pod --recursive 2>/dev/null | grep -c containerPort)" 3
is 'get all finds the category' "$(k get all -o name | grep boat)" boat.kubectl.coracle.dev/b1
is 'api-resources lists it' "$(k api-resources --api-group=kubectl.coracle.dev -o name)" boats.kubectl.coracle.dev
t 'describe' k describe bt b1

k get bt b1 -w -o name >watch.out 2>&1 &
WATCH=$!
sleep 0.5
k label bt b1 watched=yes >/dev/null
for _ in $(seq 40); do
	[ "$(wc -l <watch.out)" -ge 2 ] && break
	sleep 0.1
done
kill $WATCH 2>/dev/null
wait $WATCH 2>/dev/null
is 'get NAME -w prints the first change' "$(wc -l <watch.out)" 2

(
	sleep 0.5
	k patch crd boats.kubectl.coracle.dev --type=merge -p='{"metadata":{"labels":{"x":"y"}}}'
	k delete bt b1
) >/dev/null 2>&1 &
t 'wait --for=condition' k wait --for=condition=Established crd/boats.kubectl.coracle.dev --timeout=5s
t 'wait --for=delete' k wait --for=delete bt/b1 --timeout=10s
wait $! 2>/dev/null
k create -f boat.yaml >/dev/null
k patch bt b1 --type=merge -p='{"metadata":{"finalizers":["a.b/c"]}}' >/dev/null
(
	sleep 1
	k patch bt b1 --type=merge -p='{"metadata":{"finalizers":null}}'
) >/dev/null &
BEFORE=$SECONDS
t 'delete waits for finalizers' k delete bt b1 --timeout=20s
is 'and was not early' "$((SECONDS - BEFORE >= 1))" 1
wait $! 2>/dev/null

t 'create configmap' k create configmap c1 --from-literal=a=b
t 'a strategic patch' k patch configmap c1 -p '{"data":{"x":"y"}}'
is 'both are there' "$(k get cm c1 -o 'jsonpath={.data.a}{.data.x}')" by
t 'apply --server-side' bash -c 'printf "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c2}\ndata: {a: b}\n" |
	"$0" apply --server-side -f -' "$KUBECTL"
t 'create secret' k create secret generic s1 --from-literal=p=q
is 'the secret is encoded' "$(k get secret s1 -o 'jsonpath={.data.p}')" cQ==
t 'create serviceaccount' k create serviceaccount sa1
t 'create deployment' k create deployment d1 --image=nginx
t 'set image' k set image deployment/d1 nginx=other
is 'the image is set' "$(k get deploy d1 -o 'jsonpath={.spec.template.spec.containers[0].image}')" other
t 'scale a deployment' k scale deployment d1 --replicas=0
t 'create clusterrole' k create clusterrole cr1 --verb=get --resource=pods
is 'auth can-i' "$(k auth can-i create pods)" yes
is 'auth can-i --as' "$(k auth can-i create pods --as=bob)" no
t 'create namespace' k create namespace n1
t 'delete several' k delete cm/c1 cm/c2 secret/s1 deploy/d1
t 'an object that is not there' k_fails get cm c1
printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c3"},"data":' >broken.json
t 'a broken file is refused' k_fails create -f broken.json

# --- 44 on a built-in kind, 54, 71; what people do with Deployments, nodes and directories ---
cat >d2.yaml <<'E'
apiVersion: apps/v1
kind: Deployment
metadata: {name: d2, labels: {app: d2}}
spec:
  replicas: 1
  selector: {matchLabels: {app: d2}}
  template:
    metadata: {labels: {app: d2}}
    spec:
      containers:
      - {name: a, image: "registry.invalid/a:1", env: [{name: X, value: "1"}], ports: [{containerPort: 80}]}
      - {name: b, image: "registry.invalid/b:1"}
E
t 'apply a Deployment' k apply -f d2.yaml
is 'again changes nothing' "$(k apply -f d2.yaml)" 'deployment.apps/d2 unchanged'
t 'diff of a Deployment tells none' k diff -f d2.yaml
k get deploy d2 -w -o name >watch.out 2>&1 &
WATCH=$!
for _ in $(seq 100); do
	[ "$(wc -l <watch.out)" -ge 1 ] && break
	sleep 0.1
done
sleep 0.5
sed -i 's/a:1/a:2/; /name: b,/d' d2.yaml
t 'diff of a Deployment tells a difference' bash -c '"$0" diff -f d2.yaml; [ $? -eq 1 ]' "$KUBECTL"
t 'apply drops a container' k apply -f d2.yaml
is 'it is dropped' "$(k get deploy d2 -o 'jsonpath={.spec.template.spec.containers[*].image}')" registry.invalid/a:2
for _ in $(seq 100); do
	[ "$(wc -l <watch.out)" -ge 2 ] && break
	sleep 0.1
done
kill $WATCH 2>/dev/null
wait $WATCH 2>/dev/null
is 'get NAME -w of a built-in kind prints the first change' "$(wc -l <watch.out)" 2
t 'set env' k set env deployment/d2 Y=2
t 'set resources' k set resources deployment/d2 --limits=cpu=200m
t 'apply after others set something' k apply -f d2.yaml
is 'keeps it' "$(k get deploy d2 -o 'jsonpath={.spec.template.spec.containers[0].env[*].name}')" 'X Y'
t 'label a Deployment' k label deployment d2 a=b
t 'annotate it' k annotate deployment d2 c=d
is 'labels and a selector' "$(k get deploy -l 'a=b,app!=x' -o name)" deployment.apps/d2
EDITOR="sed -i s/a:2/a:3/" t 'edit a Deployment' k edit deployment d2
is 'edit reached it' "$(k get deploy d2 -o 'jsonpath={.spec.template.spec.containers[0].image}')" registry.invalid/a:3
k get deploy d2 -o json | sed 's/a:3/a:4/' >d2.json
t 'replace a Deployment' k replace -f d2.json
sed -i 's/a:4/a:6/' d2.json
is 'a stale replace of it is a conflict' "$(k_fails replace -f d2.json | grep -c 'the object has been modified')" 1
sed -i 's/a:2/a:5/' d2.yaml
# replace wrote its own note of what was last applied: what stands is what that says, and apply may go over it
t 'apply --server-side goes over what replace noted' k apply --server-side --dry-run=server -f d2.yaml
t 'another sets it' k patch deployment d2 --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.invalid/a:7"}]'
is 'apply --server-side conflicts with the others' "$(k_fails apply --server-side -f d2.yaml | grep -c 'Apply failed with')" 1
t 'apply --server-side --force-conflicts of it' k apply --server-side --force-conflicts -f d2.yaml
is 'it is applied' "$(k get deploy d2 -o 'jsonpath={.spec.template.spec.containers[0].image}')" registry.invalid/a:5
t 'rollout restart' k rollout restart deployment/d2
t 'rollout pause' k rollout pause deployment/d2
t 'rollout resume' k rollout resume deployment/d2
t 'scale with a precondition' k scale deployment d2 --current-replicas=1 --replicas=2
t 'scale with a wrong one' k_fails scale deployment d2 --current-replicas=7 --replicas=2
t 'expose' k expose deployment d2 --port=80
is 'exposed' "$(k get svc d2 -o 'jsonpath={.spec.ports[0].targetPort} {.spec.selector.app}')" '80 d2'
t 'describe a Deployment' k describe deployment d2
t 'describe a Service' k describe svc d2
k patch deployment d2 --type=merge -p='{"metadata":{"finalizers":["a.b/c"]}}' >/dev/null
(
	sleep 1
	k patch deployment d2 --type=merge -p='{"metadata":{"finalizers":null}}'
) >/dev/null &
BEFORE=$SECONDS
t 'delete of a Deployment waits for finalizers' k delete deployment d2 --wait --timeout=20s
is 'and was not early either' "$((SECONDS - BEFORE >= 1))" 1
wait $! 2>/dev/null
t 'run' k run p1 --image=registry.invalid/p --restart=Never --labels=a=b
is 'get pods -o wide' "$(k get pods -o wide --no-headers | awk '{print $1, $2, $3}')" 'p1 0/1 Pending'
t 'delete without waiting' k delete pod p1 --wait=false
mkdir -p kust
cat >kust/kustomization.yaml <<'E'
namePrefix: pre-
commonLabels: {set: "one"}
generatorOptions: {disableNameSuffixHash: true}
configMapGenerator: [{name: gen, literals: [a=b]}]
E
t 'apply -k' k apply -k kust
is 'what kustomize made' "$(k get cm -l set=one -o name)" configmap/pre-gen
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept, labels: {set: one}}\n' >kept.yaml
PRUNE=--prune-allowlist
[ "$NAME" != v1.20 ] || PRUNE=--prune-whitelist
t 'apply --prune' k apply --prune -l set=one $PRUNE=core/v1/ConfigMap -f kept.yaml
is 'pruned' "$(k get cm -l set=one -o name)" configmap/kept
k create role r1 -n default --verb=get --resource=pods --dry-run=client -o yaml >role.yaml
t 'auth reconcile' k auth reconcile -f role.yaml
t 'create quota' k create quota q1 --hard=pods=5
# 1.20 makes it in policy/v1beta1, which Kubernetes has left behind
[ "$NAME" = v1.20 ] || t 'create poddisruptionbudget' k create poddisruptionbudget b1 --selector=a=b --min-available=1
t 'create priorityclass' k create priorityclass pc1 --value=7
t 'create job' k create job j1 --image=registry.invalid/j
t 'api-versions' k api-versions
t 'cluster-info' k cluster-info
printf 'apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n' | k create -f - >/dev/null
t 'cordon' k cordon n1
t 'taint' k taint node n1 a=b:NoSchedule
is 'tainted' "$(k get node n1 -o 'jsonpath={.spec.taints[?(@.key=="a")].effect} {.spec.unschedulable}')" 'NoSchedule true'
t 'uncordon' k uncordon n1
t 'drain' k drain n1 --ignore-daemonsets --force --timeout=10s
t 'describe a node' k describe node n1
t 'delete by selector over kinds' k delete cm,svc,pdb,quota,job,role -l set=one

t 'delete the definition' k delete -f crd.yaml
t 'and it is gone' k_fails get boats
kill "$SERVER"
rc=0
wait "$SERVER" || rc=$?
SERVER=
is 'the server ended cleanly' "$rc $(grep -c -e error -e Sanitizer "$DIR/log")" '0 0'
t_end

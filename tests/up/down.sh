#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# down stops everything in its own time and nothing is lost by it.
. "$(dirname "$0")/lib.bash"
C=$CORACLE_BIN/coracle
trap cluster_remove EXIT

owned() { # a pod as virt-controller or a job makes it
	local uid
	uid=$(k create configmap owner -o 'jsonpath={.metadata.uid}') || return 1
	pod owned | sed "s|^metadata: .*|metadata: {name: owned, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: $uid, controller: true}]}|" | k apply -f -
}
apply_pod() { pod "$@" | k apply -f -; }
log_of() { cat "$DATA"/logs/pods/default_"$1"_*/c/0.log; }
no_process() { ! grep -l "/pod$1/" /proc/[0-9]*/cgroup 2>/dev/null; }
uid_of() { k get pod "$1" -o 'jsonpath={.metadata.uid}'; }
closed() { [ -n "$(k get nodes -o 'jsonpath={.items[*].spec.unschedulable}')" ]; }

t_need "the control plane comes up" start_in "$(new_dir)" "$(free_port)"
t_need "a pod with an owner is made" owned
t_need "and one that stands alone" apply_pod alone
t_need "and one that is always restarted" apply_pod always Always
for p in owned alone always; do t_need "$p runs" wait_until 15 pod_phase_is $p Running; done
owned=$(uid_of owned) alone=$(uid_of alone) always=$(uid_of always)

t_ok "down" timeout 60 "$C" down --data-dir "$DATA"
t_ok "the control plane has ended" wait_until 5 never kill -0 "$UP_PID"
for p in $owned $alone $always; do t_ok "no process of pod $p is left" no_process "$p"; done
t_ok "they were asked to end: SIGTERM came first" bash -c "$(declare -f log_of); DATA=$DATA; log_of alone | grep -q bye"
t_ok "down again has nothing to do" bash -c "timeout 60 '$C' down --data-dir '$DATA'"

t_need "it comes up again" cluster_again
t_ok "the node takes pods again" wait_until 10 never closed
t_ok "the owned pod is gone: its owner would have made another" never k get pod owned
t_ok "the one that stood alone has ended and is kept" wait_until 10 pod_phase_is alone Succeeded
t_ok "the third runs again" wait_until 15 pod_phase_is always Running
t_is "in place" "$(uid_of always)" "$always"
t_end

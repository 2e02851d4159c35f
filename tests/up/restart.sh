#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The control plane stops, is killed, and comes back; what can not be started again in place runs on
# all the while (a guest is such a pod: restartPolicy Never).
. "$(dirname "$0")/lib.bash"
trap cluster_remove EXIT

gone() { ! kill -0 "$1" 2>/dev/null; }
operator_runs() { [ -n "$(component_pids virt-operator)" ]; }
components_run() { for c in virt-operator virt-api virt-controller virt-handler; do [ -n "$(component_pids $c)" ] || return 1; done; }
killed() { kill -9 "$UP_PID" && wait "$UP_PID" 2>/dev/null; UP_PID=''; true; }
terminated() { timeout 15 tail --pid="$UP_PID" -f /dev/null & local t=$!; kill "$UP_PID"; wait $t; }

t_need "the control plane comes up" start_in "$(new_dir)" "$(free_port)"
t_need "KubeVirt becomes Available" cluster_available
t_ok "it says when" grep -q 'KubeVirt is Available after' "$DATA/up.log"
t_need "a pod is accepted" bash -c "$(declare -f pod); VERSION=$VERSION; pod one | $KUBECTL apply -f -"
t_need "it runs" wait_until 15 pod_phase_is one Running
pids=$(pids_of one)
# how many of them are there still
alive() { local p n=0; for p in $pids; do [ ! -e "/proc/$p" ] || n=$((n + 1)); done; echo $n; }
t_ok "it has processes" test -n "$pids"
operator=$(component_pids virt-operator)
k create configmap before --from-literal=a=b >/dev/null

t_ok "SIGTERM ends it" terminated
UP_PID=''
t_ok "it says what runs on" grep -q 'run.* on' "$DATA/up.log"
t_is "the pod's processes are the same" "$(alive)" "$(wc -w <<<"$pids")"
t_ok "virt-operator has stopped with it" gone "$operator"

t_need "it comes up again" cluster_again
t_is "with what was written before" "$(k get configmap before -o 'jsonpath={.data.a}')" b
t_ok "the pod is Running" wait_until 10 pod_phase_is one Running
t_is "with the same processes" "$(pids_of one)" "$pids"
t_is "never restarted" "$(k get pod one -o 'jsonpath={.status.containerStatuses[0].restartCount}')" 0
t_ok "virt's programs are started again" wait_until 15 components_run
t_ok "KubeVirt becomes Available again" cluster_available

operator=$(component_pids virt-operator)
handler=$(component_pids virt-handler)
k create configmap before-kill --from-literal=a=b >/dev/null
t_ok "kill -9" killed
t_is "the pod's processes are the same" "$(alive)" "$(wc -w <<<"$pids")"
t_need "it comes up again" cluster_again
t_is "with what was written before the kill" "$(k get configmap before-kill -o 'jsonpath={.data.a}')" b
t_is "virt-operator was not touched" "$(component_pids virt-operator)" "$operator"
t_is "nor virt-handler" "$(component_pids virt-handler)" "$handler"
t_is "nor the pod" "$(pids_of one)" "$pids"

# Whatever moment it is killed at, the next one goes on
for ms in 5 15 30 50 80 120 200 350; do
	killed
	"$CORACLE_BIN/coracle" up --data-dir "$DATA" --port "$PORT" >>"$DATA/up.log" 2>&1 </dev/null &
	UP_PID=$!
	sleep "0.$(printf %03d $ms)"
done
killed
# SIGTERM in the middle of it is no kill: it ends by itself, and says so
begun() { [ "$(stat -c %s "$DATA/logs/coracle.log")" -gt "$1" ]; }
for ms in 0 10 20 40 80 150; do
	: >"$DATA/up.log"
	size=$(stat -c %s "$DATA/logs/coracle.log")
	"$CORACLE_BIN/coracle" up --data-dir "$DATA" --port "$PORT" >>"$DATA/up.log" 2>&1 </dev/null &
	UP_PID=$!
	for ((i = 0; i < 1000; i++)); do ! begun "$size" || break; sleep 0.005; done
	sleep "0.$(printf %03d $ms)"
	kill "$UP_PID"
	rc=0
	wait "$UP_PID" || rc=$?
	t_is "SIGTERM $ms ms after it has begun ends it" "$rc" 0
	t_ok "and not before its time" grep -qE "^Stopped|^The control plane has stopped" "$DATA/up.log"
done
UP_PID=''
t_need "after kills at eight moments of its start it comes up" cluster_again
t_is "the pod is still the same" "$(pids_of one)" "$pids"
t_ok "it can be deleted" k delete pod one --timeout=20s
t_ok "and its processes go" wait_until 5 gone "${pids%%$'\n'*}"
t_end

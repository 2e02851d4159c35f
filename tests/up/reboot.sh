#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# After a reboot nothing is left but the data directory: no process, mount, network, control group. It
# is played by taking all of that away behind coracle's back.
. "$(dirname "$0")/lib.bash"
trap cluster_remove EXIT

apply_pod() { pod "$@" | k apply -f -; }
reboot() {
	local n procs
	n=$(grep -lx "$DATA" /run/coracle/net/* | sed 's|.*/||')
	[ -n "$n" ] || return 1
	kill -9 "$UP_PID"
	wait "$UP_PID" 2>/dev/null
	procs=$(find /sys/fs/cgroup -path "*/coracle$n/*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u)
	# shellcheck disable=SC2086
	kill -9 $procs 2>/dev/null
	for p in /proc/[0-9]*; do
		if tr '\0' ' ' <"$p/cmdline" 2>/dev/null | grep -q "coracle-shim $DATA/"; then kill -9 "${p#/proc/}"; fi
	done 2>/dev/null
	awk -v d="$DATA/" 'index($2, d) == 1 { print $2 }' /proc/self/mounts | tac | xargs -r -n1 umount -l
	ip link del "cor$n"
	nft delete table ip "coracle$n"
	rm "/run/coracle/net/$n"
	wait_until 5 no_groups "$n"
}
no_groups() {
	find /sys/fs/cgroup -depth -type d \( -path "*/coracle$1/*" -o -name "coracle$1" \) -exec rmdir {} + 2>/dev/null
	[ -z "$(find /sys/fs/cgroup -type d -name "coracle$1")" ]
}

t_need "the control plane comes up" start_in "$(new_dir)" "$(free_port)"
t_need "KubeVirt becomes Available" cluster_available
t_need "a pod is made" apply_pod once Never
t_need "and one that is always restarted" apply_pod always Always
for p in once always; do t_need "$p runs" wait_until 15 pod_phase_is $p Running; done
uid=$(k get pod always -o 'jsonpath={.metadata.uid}')

t_need "the host is rebooted" reboot
t_need "the control plane comes up" cluster_again
t_ok "the pod that is not restarted has failed" wait_until 15 pod_phase_is once Failed
t_ok "the other one runs again" wait_until 20 pids_of always
t_is "as the same pod" "$(k get pod always -o 'jsonpath={.metadata.uid}')" "$uid"
for c in virt-operator virt-api virt-controller virt-handler; do
	t_ok "$c runs" wait_until 20 component_pids $c
done
t_ok "KubeVirt is Available" cluster_available
t_ok "virt-api answers through the API server" wait_until 20 k get --raw /apis/subresources.kubevirt.io/v1/version
t_end

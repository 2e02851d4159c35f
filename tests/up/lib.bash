# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of `coracle` share, on top of tests/e2e/lib.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$TOP/scripts/lib/say.sh"
. "$TOP/scripts/lib/console.sh"
. "$TOP/tests/e2e/lib/tap.sh"
. "$TOP/tests/e2e/lib/cluster.sh"

VERSION=$("$CORACLE_BIN/coracle" version)
[ -x "$KUBECTL" ] || KUBECTL=$(command -v kubectl)

if [ "$(id -u)" != 0 ]; then
	echo "1..0 # SKIP not root"
	exit 0
fi

# start_in DIR PORT: coracle up there, in the background; sets UP_PID, DATA, PORT, KUBECONFIG
start_in() {
	DATA=$1 PORT=$2
	export KUBECONFIG=$DATA/kubeconfig
	mkdir -p "$DATA"
	cluster_again
}
new_dir() {
	local dir
	dir=$(mktemp -d /tmp/cor.XXXXXX)
	chmod 755 "$dir"
	echo "$dir"
}
uninstall() { timeout 60 "$CORACLE_BIN/coracle" uninstall --yes --data-dir "$1"; }
# fails_with WORD CMD...: CMD ends with an error that has WORD in its text
fails_with() {
	local word=$1 out
	shift
	if out=$(timeout 20 "$@" 2>&1 </dev/null); then
		echo "succeeded: $out"
		return 1
	fi
	echo "$out"
	[[ $out == *"$word"* ]]
}
never() { ! "$@"; }

# pod NAME [RESTART_POLICY]: a pod that runs the host's own sleep, as no image has to be fetched for it
pod() {
	cat <<-MANIFEST
		apiVersion: v1
		kind: Pod
		metadata: {name: $1}
		spec:
		  restartPolicy: ${2:-Never}
		  automountServiceAccountToken: false
		  terminationGracePeriodSeconds: 5
		  containers:
		  - name: c
		    image: coracle.dev/virt-operator:$VERSION
		    command: [sh, -c, 'trap "echo bye; exit 0" TERM; echo started; sleep 1000 & wait']
	MANIFEST
}
pod_phase_is() { [ "$(k get pod "$1" -o 'jsonpath={.status.phase}')" = "$2" ]; }
# pids_of POD: of its containers, by the cgroup that has the pod's uid in its name
pids_of() {
	local uid
	uid=$(k get pod "$1" -o 'jsonpath={.metadata.uid}') && [ -n "$uid" ] || return 1
	grep -l "/pod$uid/" /proc/[0-9]*/cgroup 2>/dev/null | sed 's|/proc/\(.*\)/cgroup|\1|' | sort -n | grep .
}
component_pids() { # COMPONENT: main process of its pod in this instance
	local uid
	uid=$(k -n kubevirt get pod -l "kubevirt.io=$1" -o 'jsonpath={.items[0].metadata.uid}') || return 1
	grep -l "/pod$uid/" /proc/[0-9]*/cgroup 2>/dev/null | sed 's|/proc/\(.*\)/cgroup|\1|' | sort -n | head -n 1 | grep .
}

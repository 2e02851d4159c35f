# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# A control plane of one's own for a test: own data directory, own port, nothing of another instance
# touched, everything gone at the end. Sourced after say.sh, console.sh and tap.sh; needs $TOP.
#
#   cluster_up              start `coracle up`, wait until kubectl is answered; sets KUBECONFIG, DATA
#   cluster_available       wait until KubeVirt is Available
#   cluster_live_updates    the three patches of the user guide
#   cluster_stop            SIGTERM: the control plane goes, VMs stay
#   cluster_again           start it on the same data directory
#   cluster_remove          uninstall; to be called by the test's EXIT trap
#   k ARGS...               kubectl, 1.32 unless KUBECTL says otherwise
#   vm_manifest NAME MEMORY [STRATEGY [IMAGE]]     prints a VirtualMachine
#   wait_until SECONDS CMD...        until CMD succeeds; 1 when time is up
#   vm_status NAME, vmi_memory NAME  printableStatus; "guestAtBoot guestCurrent guestRequested"
#   vm_login NAME           opens the console and logs in; then console_run (console.sh)
#   guest_mem, guest_boot_id         of the guest logged in to

CORACLE_BIN=${CORACLE_BIN:-$TOP/build/bin}
KUBECTL=${KUBECTL:-$TOP/build/tools/kubectl-1.32/kubectl}
PATH=$CORACLE_BIN:$PATH
DATA='' PORT='' UP_PID=''

k() { "$KUBECTL" --request-timeout=30s "$@"; }

wait_until() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $until ] || {
			echo "not within the time: $*"
			return 1
		}
		sleep 0.1
	done
}

free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 12000))
		[ -n "$(ss -Htln "sport = :$port")" ] || break
	done
	echo $port
}

cluster_answers() {
	if ! kill -0 "$UP_PID" 2>/dev/null; then return 0; fi # no use in waiting
	[ -s "$DATA/kubeconfig" ] && k get --raw /readyz
}

cluster_again() {
	"$CORACLE_BIN/coracle" up --data-dir "$DATA" --port "$PORT" >>"$DATA/up.log" 2>&1 </dev/null &
	UP_PID=$!
	wait_until 30 cluster_answers && kill -0 "$UP_PID" && return 0
	tail -n 20 "$DATA/up.log"
	return 1
}

cluster_up() {
	# A short path, for the sockets below it; open, for the VM's user has to get through
	DATA=$(mktemp -d /tmp/cor.XXXXXX)
	chmod 755 "$DATA"
	PORT=$(free_port)
	export KUBECONFIG=$DATA/kubeconfig
	"$TOP/scripts/registry" start --conf "$DATA/registries.conf" >/dev/null 2>&1 || return 1
	cluster_again
}

cluster_stop() {
	[ -n "$UP_PID" ] || return 0
	kill "$UP_PID" 2>/dev/null
	wait "$UP_PID" 2>/dev/null
	UP_PID=''
}

cluster_remove() {
	console_close
	[ -n "$DATA" ] || return 0
	if [ "${T_FAILED:-0}" -ne 0 ]; then
		mkdir -p "$TOP/build/test-logs/e2e"
		rm -rf "$TOP/build/test-logs/e2e/${0##*/}"
		cp -r "$DATA/logs" "$TOP/build/test-logs/e2e/${0##*/}" 2>/dev/null ||
			mkdir -p "$TOP/build/test-logs/e2e/${0##*/}"
		cp "$DATA/up.log" "$TOP/build/test-logs/e2e/${0##*/}/" 2>/dev/null
	fi
	timeout 60 "$CORACLE_BIN/coracle" uninstall --yes --data-dir "$DATA" >/dev/null 2>&1
	cluster_stop
	rm -rf "$DATA"
}

cluster_available() {
	wait_until 60 k get kv kubevirt -n kubevirt &&
		k -n kubevirt wait kv kubevirt --for condition=Available --timeout=120s
}

cluster_live_updates() {
	local path value
	while read -r path value; do
		k -n kubevirt patch kv kubevirt --type=json \
			-p="[{\"op\": \"add\", \"path\": \"$path\", \"value\": $value}]" || return 1
	done <<-'EOF'
		/spec/configuration/developerConfiguration/featureGates ["VMLiveUpdateFeatures"]
		/spec/configuration/vmRolloutStrategy "LiveUpdate"
		/spec/workloadUpdateStrategy/workloadUpdateMethods ["LiveMigrate"]
	EOF
}

vm_manifest() {
	local name=$1 memory=$2 strategy=${3:-Always}
	local image=${4:-registry:5000/kubevirt/alpine-container-disk-demo:devel}
	sed -e "s|vm-alpine|$name|" -e "s|guest: 1Gi|guest: $memory|" \
		-e "s|runStrategy: Always|runStrategy: $strategy|" -e "s|image: .*|image: $image|" \
		"$TOP/deploy/examples/vm-alpine.yaml"
}

vm_status() { k get vm "$1" -o 'jsonpath={.status.printableStatus}'; }
vm_status_is() { [ "$(vm_status "$1")" = "$2" ]; }
vm_condition() { k get vm "$1" -o "jsonpath={.status.conditions[?(@.type==\"$2\")].status}"; }
vmi_memory() {
	k get vmi "$1" -o json |
		jq -r '.status.memory | "\(.guestAtBoot) \(.guestCurrent) \(.guestRequested)"'
}
vmi_memory_is() { [ "$(vmi_memory "$1")" = "$2" ]; }
vm_set_memory() {
	k patch vm "$1" --type=json \
		-p="[{\"op\": \"replace\", \"path\": \"/spec/template/spec/domain/memory/guest\", \"value\": \"$2\"}]"
}

vm_login() {
	console_close
	console_open "$CORACLE_BIN/virtctl" console "$1"
	console_login 90
}
guest_mem() {
	console_run 'grep MemTotal /proc/meminfo' && [[ $CONSOLE_OUT =~ ([0-9]+) ]] &&
		echo "${BASH_REMATCH[1]}"
}
guest_mem_is() { [ "$(guest_mem)" = "$1" ]; }
guest_boot_id() { console_run 'cat /proc/sys/kernel/random/boot_id' && echo "$CONSOLE_OUT"; }

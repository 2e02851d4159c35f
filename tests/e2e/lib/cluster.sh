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
#   cluster_killed          kill -9 of coracle itself
#   k ARGS...               kubectl, 1.32 unless KUBECTL says otherwise; never longer than 45 s
#   vm_manifest NAME MEMORY [STRATEGY [IMAGE]]     prints a VirtualMachine
#   wait_until SECONDS CMD...        until CMD succeeds; 1 when time is up
#   vm_is SECONDS NAME STATUS        until printableStatus is STATUS (a watch, no polling)
#   vm_status NAME, vmi_memory NAME  printableStatus; "guestAtBoot guestCurrent guestRequested"
#   vm_required NAME, vm_not_required NAME   until RestartRequired is (not) there; a watch as well
#   vmi_field NAME JSONPATH, vm_field NAME JSONPATH
#   component_pid NAME      main process of a component's pod; launcher_pid VM, qemu_pid VM likewise
#   vm_login NAME           opens the console and logs in; then console_run (console.sh)
#   guest_mem, guest_boot_id         of the guest logged in to

CORACLE_BIN=${CORACLE_BIN:-$TOP/build/bin}
KUBECTL=${KUBECTL:-$TOP/build/tools/kubectl-1.32/kubectl}
PATH=$CORACLE_BIN:$PATH
DATA='' PORT='' UP_PID=''

# Nothing here may hang for ever: a server that is killed in the middle of an answer is what is tested
k() { timeout 45 "$KUBECTL" --request-timeout=30s "$@"; }
v() { timeout 45 "$CORACLE_BIN/virtctl" "$@"; }
# k_wait SECONDS ARGS...: kubectl wait
k_wait() {
	local seconds=$1
	shift
	timeout $((seconds + 5)) "$KUBECTL" wait --timeout="${seconds}s" "$@"
}
never() { ! "$@"; }

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

cluster_killed() {
	kill -9 "$UP_PID" || return 1
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
		k_wait 120 -n kubevirt kv kubevirt --for condition=Available
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

vm_create() { vm_manifest "$@" | k apply -f -; }
vm_field() { k get vm "$1" -o "jsonpath=$2"; }
vmi_field() { k get vmi "$1" -o "jsonpath=$2"; }
# vm_is SECONDS NAME STATUS, vmi_gone SECONDS NAME
vm_is() {
	k_wait "$1" "vm/$2" --for="jsonpath={.status.printableStatus}=$3" && return 0
	k describe vm "$2" | sed -n '/^Status:/,$p'
	return 1
}
vmi_gone() { k_wait "$1" "vmi/$2" --for=delete; }
vm_required() { k_wait 20 "vm/$1" --for=condition=RestartRequired; }
is_not_required() { [ "$(vm_condition "$1" RestartRequired)" != True ]; }
vm_not_required() { wait_until 20 is_not_required "$1"; }
vm_reason() { vm_field "$1" '{.status.conditions[?(@.type=="RestartRequired")].message}'; }

# Processes, by the cgroup that has their pod's uid in its name; a pod's own main process is the oldest
pod_pids() { grep -l "/pod$1/" /proc/[0-9]*/cgroup 2>/dev/null | sed 's|/proc/\(.*\)/cgroup|\1|' | sort -n; }
pid_named() { # POD_UID PROGRAM
	local pid
	for pid in $(pod_pids "$1"); do
		case $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in
		*"$2"\ *) echo "$pid" && return 0 ;;
		esac
	done
	return 1
}
component_pid() {
	local uid
	for uid in $(k -n kubevirt get pods -l "kubevirt.io=$1" -o 'jsonpath={.items[*].metadata.uid}'); do
		pid_named "$uid" "$1" && return 0
	done
	return 1
}
launcher_pod() { # VM: uid of its launcher's pod
	k get pods -l kubevirt.io=virt-launcher -o json | jq -r --arg vm "$1" \
		'.items[] | select(.metadata.ownerReferences[0].name == $vm and .metadata.deletionTimestamp == null
			and (.status.phase == "Running" or .status.phase == "Pending")) | .metadata.uid'
}
launcher_pid() { pid_named "$(launcher_pod "$1")" virt-launcher; }
qemu_pid() { pid_named "$(launcher_pod "$1")" qemu-system-x86_64; }
shim_of() { ps -o ppid= -p "$1" | tr -d ' '; }

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
guest_uptime() { console_run 'cat /proc/uptime' && echo "${CONSOLE_OUT%%.*}"; }
guest_boot_id() { console_run 'cat /proc/sys/kernel/random/boot_id' && echo "$CONSOLE_OUT"; }

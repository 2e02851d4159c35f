#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two instances side by side; one is removed without a trace, the other does not notice.
. "$(dirname "$0")/lib.bash"
A=$(new_dir) B=$(new_dir)
A_PORT=$(free_port)
B_PORT=$(free_port)
[ "$A_PORT" != "$B_PORT" ] || B_PORT=$((B_PORT + 1))
A_PID='' B_PID=''
cleanup() {
	for d in "$A" "$B"; do [ ! -d "$d" ] || uninstall "$d" >/dev/null 2>&1; done
	[ -z "$A_PID$B_PID" ] || wait $A_PID $B_PID 2>/dev/null
	rm -rf "$A" "$B"
}
trap cleanup EXIT

claim() { grep -lx "$1" /run/coracle/net/* 2>/dev/null | sed 's|.*/||'; }
# wipe PATH...: what a mount holds goes, too
wipe() {
	for d in "$@"; do awk -v d="$d/" 'index($2, d) == 1 { print $2 }' /proc/self/mounts; done | tac | xargs -r -n1 umount -l
	rm -rf "$@"
}
claimed() { [ -n "$(claim "$1")" ]; }
apply_pod() { pod "$@" | k apply -f -; }
in_a() { KUBECONFIG=$A/kubeconfig "$@"; }
in_b() { KUBECONFIG=$B/kubeconfig "$@"; }

# Everything on this host that belongs to instance N in directory DIR, a line each
traces() {
	local dir=$1 n=$2
	awk -v d="$dir/" 'index($2, d) == 1 { print "mount " $2 }' /proc/self/mounts
	ip -o link 2>/dev/null | grep -oE "cor$n:|cv$n-[0-9a-f]+" | sed 's/^/link /'
	nft list tables 2>/dev/null | grep -w "coracle$n" | sed 's/^/nft /'
	find /sys/fs/cgroup -maxdepth 3 -type d -name "coracle$n" | sed 's/^/cgroup /'
	ip route show | grep -w "cor$n" | sed 's/^/route /'
	lsns -n -t net -o NSFS 2>/dev/null | grep "^$dir/" | sed 's/^/netns /'
	local p
	for p in /proc/[0-9]*; do
		if tr '\0' ' ' <"$p/cmdline" 2>/dev/null | grep -q -- "$dir" && [ "${p#/proc/}" != $$ ] ||
			grep -q "/coracle$n/" "$p/cgroup" 2>/dev/null; then
			echo "process ${p#/proc/} $(tr '\0' ' ' <"$p/cmdline" | cut -c1-60)"
		fi
	done 2>/dev/null
	[ ! -e "$dir" ] || echo "directory $dir"
	grep -lx "$dir" /run/coracle/net/* 2>/dev/null | sed 's/^/claim /'
}

t_need "one instance starts" start_in "$A" "$A_PORT"
A_PID=$UP_PID
t_need "another starts beside it" start_in "$B" "$B_PORT"
B_PID=$UP_PID
t_need "KubeVirt is Available in the first" in_a cluster_available
t_need "and in the second" in_b cluster_available
na=$(claim "$A") nb=$(claim "$B")
t_ok "they have networks of their own" test -n "$na" -a -n "$nb" -a "$na" != "$nb"
in_a apply_pod here >/dev/null && in_b apply_pod there >/dev/null
t_ok "a pod runs in the first" in_a wait_until 15 pod_phase_is here Running
t_ok "a pod runs in the second" in_b wait_until 15 pod_phase_is there Running
t_ok "the first does not see the second's" in_a never k get pod there

before=$(traces "$A" "$na")
for what in mount link nft cgroup netns process directory claim; do
	t_ok "there is a $what to be found" grep -q "^$what " <<<"$before"
done
t_ok "uninstall of the first, with all of it running" uninstall "$A"
wait "$A_PID" 2>/dev/null
A_PID=''
t_is "nothing of it is left" "$(traces "$A" "$na")" ""
t_ok "the second's server answers" in_b k get --raw /readyz
t_ok "its pod runs" in_b pod_phase_is there Running
t_ok "its KubeVirt is Available" in_b cluster_available
t_ok "uninstall when it is gone already" uninstall "$A"

kill -9 "$B_PID"
wait "$B_PID" 2>/dev/null
B_PID=''
# As somebody leaves it who deletes the directory by hand
wipe "$B"/{lock,state.db*,pki,pods}
mkdir -p "$B/releases"
t_ok "the second, killed and half deleted, has left processes and a network" grep -q "^process \|^link " <<<"$(traces "$B" "$nb")"
t_ok "uninstall of what is left of it" uninstall "$B"
t_is "nothing of it is left" "$(traces "$B" "$nb")" ""

t_need "another one starts" start_in "$A" "$A_PORT"
A_PID=$UP_PID
t_need "and has a network" wait_until 10 claimed "$A"
na=$(claim "$A")
kill -9 "$A_PID"
wait "$A_PID" 2>/dev/null
A_PID=''
wipe "$A" && mkdir "$A" && touch "$A/precious"
t_ok "uninstall where something else is in the directory by now" uninstall "$A"
t_is "leaves that, and nothing besides" "$(traces "$A" "$na")" "directory $A"
t_ok "with what is in it" rm "$A/precious"
t_need "once more" start_in "$A" "$A_PORT"
A_PID=$UP_PID
t_need "and has a network" wait_until 10 claimed "$A"
na=$(claim "$A")
kill -9 "$A_PID"
wait "$A_PID" 2>/dev/null
A_PID=''
wipe "$A"
t_ok "uninstall when the directory is gone, and its network is not" uninstall "$A"
t_is "nothing of it is left" "$(traces "$A" "$na")" ""
t_end

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a user may get wrong is told, and changes nothing.
. "$(dirname "$0")/lib.bash"
C=$CORACLE_BIN/coracle
trap 'cluster_remove; rm -rf "$OTHER"' EXIT
OTHER=$(new_dir)

t_ok "no verb: usage, not success" never "$C"
t_ok "an unknown verb is named" fails_with "'frobnicate'" "$C" frobnicate
t_ok "an unknown option is named" fails_with "'--frobnicate'" "$C" up --frobnicate
t_ok "an option of another verb is refused" fails_with "has no such option" "$C" status --port 1
t_ok "a port that is none is refused" fails_with "no port number" "$C" up --port 70000
t_ok "an option without its value is refused" fails_with "needs a value" "$C" up --data-dir
t_ok "the root directory is refused" fails_with "can not be used" "$C" up --data-dir /tmp/..
t_ok "a directory that can not be made is refused" fails_with "/proc/no" "$C" up --data-dir /proc/no
t_ok "kubeconfig of no instance" fails_with "is there an instance" "$C" kubeconfig --data-dir "$OTHER"
t_ok "status of no instance" fails_with "No control plane" "$C" status --data-dir "$OTHER"
t_ok "down of no instance is done at once" "$C" down --data-dir "$OTHER"
touch "$OTHER/precious"
t_ok "uninstall of a directory that is not ours is refused" fails_with "not look like ours" "$C" uninstall --yes --data-dir "$OTHER"
t_ok "and leaves it" test -e "$OTHER/precious"

t_need "an instance starts" start_in "$(new_dir)" "$(free_port)"
t_ok "a second up in its directory is refused, naming the first" fails_with "pid $UP_PID" "$C" up --data-dir "$DATA" --port 0
t_ok "a taken port is refused" fails_with "$PORT" "$C" up --data-dir "$OTHER/new" --port "$PORT"
t_ok "the instance has not noticed" k get --raw /readyz
t_ok "uninstall without anybody to ask is refused" fails_with --yes "$C" uninstall --data-dir "$DATA"
t_ok "and nothing is gone" k get ns kubevirt
t_ok "status says which process" bash -c "'$C' status --data-dir '$DATA' | grep -q 'pid $UP_PID'"
t_is "kubeconfig prints the file" "$("$C" kubeconfig --data-dir "$DATA")" "$(cat "$DATA/kubeconfig")"
t_is "the kubeconfig is nobody else's to read" "$(stat -c %a "$DATA/kubeconfig")" 600
t_end

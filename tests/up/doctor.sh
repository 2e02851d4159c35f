#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# doctor tells what is there, what is missing, and what to do about it.
. "$(dirname "$0")/lib.bash"
C=$CORACLE_BIN/coracle
D=$(mktemp -d)
trap 'rm -rf "$D"; [ -z "${L:-}" ] || kill $L' EXIT
OUT=$("$C" doctor --data-dir "$D/new" --port "$(free_port)" 2>&1)
rc=$?
has() { grep -qE "$1" <<<"$OUT"; }

t_is "it finds this host usable" "$rc" 0
for what in user KVM QEMU cgroups 'OCI runtime' skopeo umoci qemu-img ip nft port disk memory; do
	t_ok "it looks at $what" has "^(ok  |warn|FAIL)  $what "
done
t_ok "KVM's verdict is one of the probe's" has '^(ok  |warn)  KVM +(usable|slow|broken|absent|denied|hung): '
t_ok "every warning says what to do" bash -c '! grep -A1 "^\(warn\|FAIL\)" <<<"$1" | grep -v "^\(warn\|FAIL\|--\)" | grep -qv -- "->"' - "$OUT"
t_ok "it has left nothing behind" test ! -e "$D/new"

PORT=$(free_port)
python3 -c "import socket,time; s=socket.socket(); s.bind(('127.0.0.1',$PORT)); s.listen(); time.sleep(60)" &
L=$!
wait_until 5 bash -c "ss -Htln 'sport = :$PORT' | grep -q ."
OUT=$("$C" doctor --data-dir "$D/new" --port "$PORT" 2>&1)
t_is "a taken port is a failure" $? 1
t_ok "that says so" has "^FAIL  port +$PORT: "

mkdir "$D/bin"
for p in runc crun ip nft unshare qemu-img qemu-system-x86_64; do
	path=$(command -v $p) && ln -s "$path" "$D/bin/"
done
OUT=$(PATH=$D/bin "$C" doctor --data-dir "$D/new" --port 0 2>&1)
t_ok "a missing program is a warning, with its package" bash -c 'grep -A1 "^warn  skopeo" <<<"$1" | grep -q "install skopeo"' - "$OUT"
t_end

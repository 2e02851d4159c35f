#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A release's life with $HELM against $KUBECONFIG, looked at with $KUBECTL: install, upgrade, rollback, a failed upgrade, uninstall,
# with hooks and --wait. Prints TAP lines.
set -uo pipefail

CHART=$(cd "$(dirname "$0")/chart" && pwd)
NS=helm-life
helm() { timeout 120 "$HELM" -n $NS "$@"; }
try() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		echo "ok - helm: $name"
	else
		printf 'not ok - helm: %s\n%s\n' "$name" "$(sed 's/^/# /' <<<"$out")"
	fi
}
is() {
	if [ "$2" = "$3" ]; then
		echo "ok - helm: $1"
	else
		printf 'not ok - helm: %s\n# got  %s\n# want %s\n' "$1" "$2" "$3"
	fi
}
color() { timeout 20 "$KUBECTL" -n $NS get "$1" one -o 'jsonpath={.data.color}{.spec.color}' 2>&1; }
state() { helm list -a -o json | jq -r '.[] | "\(.revision) \(.status)"'; }

try 'install waits until the Deployment is there' helm install one "$CHART" --create-namespace --wait --timeout 60s
is 'the CRD of the chart is usable in the same install' "$(color helmets)" red
try 'upgrade' helm upgrade one "$CHART" --set color=blue --wait --timeout 60s
is 'it changes a built-in kind' "$(color configmaps)" blue
is 'and a custom one' "$(color helmets)" blue
is 'hooks ran' "$(timeout 20 "$KUBECTL" -n $NS get cm -l hook=yes -o name | wc -l)" 4
try 'rollback' helm rollback one 1 --wait --timeout 60s
is 'everything is as it was' "$(color configmaps) $(color helmets)" 'red red'
is 'three revisions' "$(state)" '3 deployed'
is 'an upgrade that the schema refuses fails' "$(helm upgrade one "$CHART" --set color=green 2>&1 | grep -c 'Unsupported value')" 1
is 'and is kept as failed' "$(state)" '4 failed'
try 'upgrade by --force replaces' helm upgrade one "$CHART" --force --set color=blue --wait --timeout 60s
try 'a dry run on the server' helm install two "$CHART" --dry-run=server
try 'the release tells its manifest' helm get all one
try 'uninstall waits' helm uninstall one --wait --timeout 60s
is 'nothing of the release is left' "$(timeout 20 "$KUBECTL" -n $NS get deploy,svc,role,helmets,secret -o name)" ''

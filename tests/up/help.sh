#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# --help and the man page say the same: every verb and every option is in both.
. "$(dirname "$0")/lib.bash"

help_words() {
	"$CORACLE_BIN/coracle" --help |
		sed -n -e 's/^  \(--[a-z-]*\) .*/\1/p' -e 's/^  \([a-z][a-z]*\)  .*/\1/p' | sort
}
man_words() {
	# The word after each .TP, without its formatting
	sed -n '/^\.TP/{n;p}' "$TOP/docs/man/coracle.8" |
		sed -e 's/\\-/-/g' -e 's/\\f[BIR]//g' -e 's/^\.[BI]* *//' -e 's/["=].*//' |
		awk '{ print $1 }' | grep -E '^(--)?[a-z][a-z-]*$' | sort
}
verb_options() { "$CORACLE_BIN/coracle" "$1" --help | grep -o -- '--[a-z-]*' | sort -u; }

t_is "the man page has the verbs and options of --help, and no others" "$(man_words)" "$(help_words)"
t_ok "there is more than a handful of them" test "$(help_words | wc -l)" -gt 10
for verb in up server status doctor kubeconfig down uninstall version; do
	t_ok "$verb --help shows what $verb takes" bash -c "'$CORACLE_BIN/coracle' $verb --help | grep -q '^usage: coracle $verb'"
done
t_ok "an option of another verb is not shown" never grep -q -- --bare <(verb_options up)
t_end

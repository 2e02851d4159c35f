# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Fetching Debian packages without installing them, from this machine's release or from another one.
# Another release is reached through the mirrors this machine is already configured with: its sources
# (deb822 or one-line) are read, the release's name is replaced, and the result is kept in an apt
# directory of our own under build/apt. The system's sources, lists and pins are never touched.
#
# Packages of another architecture likewise: apt_arch ARCH makes what follows look at ARCH's lists only.
#
# Sourced after say.sh; needs $TOP.

APT_ROOT=${APT_ROOT:-$TOP/build/apt}
APT_ARCH=''

apt_arch() {
	APT_ARCH=$1
	[ "$APT_ARCH" != "$(dpkg --print-architecture)" ] || APT_ARCH=''
}
# Where the lists of SUITE are kept; empty: the system's own
apt_dir() {
	[ "$1$APT_ARCH" = "$(own_suite)" ] || echo "$APT_ROOT/$1${APT_ARCH:+-$APT_ARCH}"
}

own_suite() (. /etc/os-release && printf '%s\n' "${VERSION_CODENAME:-}")

# derive_sources ETC_APT FROM TO: the sources under ETC_APT that serve release FROM, rewritten as a
# one-line list of TO's component main.
derive_sources() {
	local etc=$1 from=$2 to=$3 f
	for f in "$etc"/sources.list "$etc"/sources.list.d/*.list; do
		[ -r "$f" ] || continue
		awk -v from="$from" -v to="$to" '
			$1 != "deb" { next }
			{
				options = ""; i = 2
				if ($2 ~ /^\[/) {
					for (; i <= NF; i++) {
						options = options (options == "" ? "" : " ") $i
						if ($i ~ /\]$/) { i++; break }
					}
				}
				if ($i ~ /^cdrom:/ || $(i + 1) != from) next
				print "deb " (options == "" ? "" : options " ") $i " " to " main"
			}' "$f"
	done
	for f in "$etc"/sources.list.d/*.sources; do
		[ -r "$f" ] || continue
		awk -v from="$from" -v to="$to" '
			function flush(  n, u, i, s, k, ok) {
				k = split(field["suites"], s, " "); ok = 0
				for (i = 1; i <= k; i++) if (s[i] == from) ok = 1
				if (tolower(field["enabled"]) ~ /^(no|false|0)$/) ok = 0
				if (field["types"] !~ /(^| )deb( |$)/) ok = 0
				if (ok) {
					n = split(field["uris"], u, " ")
					key = field["signed-by"]
					for (i = 1; i <= n; i++)
						print "deb " (key ~ /^\// ? "[signed-by=" key "] " : "") u[i] " " to " main"
				}
				delete field; name = ""
			}
			/^#/ { next }
			/^[ \t]*$/ { flush(); next }
			/^[ \t]/ { if (name != "") field[name] = field[name] " " $0; next }
			{
				name = tolower($1); sub(/:.*/, "", name)
				value = $0; sub(/^[^:]*:[ \t]*/, "", value)
				field[name] = value
			}
			END { flush() }' "$f"
	done | sed 's/[ \t]*$//'
}

# apt_in SUITE CMD...: apt-get (or apt-cache) looking at SUITE only. The own release is looked at
# through the system's own lists.
apt_in() {
	local suite=$1 tool=$2 d
	shift 2
	d=$(apt_dir "$suite")
	if [ -z "$d" ]; then
		"$tool" "$@"
		return
	fi
	set -- ${APT_ARCH:+-o "APT::Architecture=$APT_ARCH" -o "APT::Architectures=$APT_ARCH"} "$@"
	# The sandbox user could not enter a source tree under /root; packages are verified by signature
	"$tool" -o Dir::Etc::sourcelist="$d/sources.list" -o Dir::Etc::sourceparts="$d/none" \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$d/none" \
		-o Dir::State::status=/dev/null -o Dir::State::lists="$d/lists" -o Dir::Cache="$d/cache" \
		-o APT::Default-Release="$suite" -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

# apt_update SUITE: fetch its lists
apt_update() {
	local suite=$1 d try
	d=$(apt_dir "$suite")
	if [ -n "$d" ]; then
		mkdir -p "$d/none" "$d/lists/partial" "$d/cache/archives/partial"
		derive_sources /etc/apt "$(own_suite)" "$suite" | sort -u >"$d/sources.list"
		[ -s "$d/sources.list" ] || die "no configured package source serves $(own_suite)" \
			"looked in /etc/apt/sources.list and /etc/apt/sources.list.d"
	fi
	# Another apt may be at work: the lists' lock has no waiting option of its own
	for try in 1 2 3 4 5 6; do
		apt_in "$suite" apt-get -q update && return 0
		[ "$try" = 6 ] || sleep 5
	done
	return 1
}

apt_have_lists() {
	local d
	d=$(apt_dir "$1")
	compgen -G "${d:-/var/lib/apt}/lists/*_Packages*" >/dev/null
}

# apt_fetch SUITE DIR PKG...: leave SUITE's newest .deb of each PKG in DIR, whatever is installed. Lists that are missing, or too
# old for the mirror, are fetched anew once.
apt_fetch() {
	local suite=$1 dir=$2
	shift 2
	mkdir -p "$dir"
	apt_have_lists "$suite" || apt_update "$suite" || return 1
	(cd "$dir" && apt_in "$suite" apt-get -q -o APT::Sandbox::User=root download "$@") && return 0
	apt_update "$suite" || return 1
	(cd "$dir" && apt_in "$suite" apt-get -q -o APT::Sandbox::User=root download "$@")
}

#!/bin/sh
# Records anew what real servers answer to the checks and second questions of internal/diagnose/testdata: starts each one,
# asks it, and rewrites its file. What is not installed is listed, and its recordings stay as they are.
#
#   sh e2e/capture.sh             all recordings
#   sh e2e/capture.sh nginx-.*    those with such names
#   sh e2e/capture.sh --install   first installs what is missing, from Debian's packages and from npm
#
# Servers and checks have a network and a folder /srv of their own for the time (Linux's namespaces), so that addresses,
# ports and paths are the same on all machines, and nothing outside is reached: a loopback interface with 10.0.1.5 and
# fd00:1::5; 10.0.2.0/24, where all is lost; 10.0.4.0/24, where this machine itself lets nobody go; and 10.0.5.0/24, a wire
# with no other machine.
set -eu
cd "$(dirname "$0")/.."
folders="internal/diagnose/testdata/recorded internal/diagnose/testdata/heldout"

# The words behind a key in the heads of all recordings.
words() {
	for folder in $folders; do
		for file in "$folder"/*.txtar; do [ ! -e "$file" ] || sed -n "/^-- /q; s/^$1: //p" "$file"; done
	done | tr ' ' '\n' | sort -u
}

missing=
for package in $(words debian); do
	dpkg-query -W "$package" >/dev/null 2>&1 || missing="$missing $package"
done
modules=
for module in $(words npm); do
	[ -d ".cache/capture/node_modules/$module" ] || modules="$modules $module"
done

if [ "${1:-}" = --install ]; then
	shift
	# shellcheck disable=SC2086 # lists of words
	[ -z "$missing" ] || RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends install $missing
	# shellcheck disable=SC2086
	[ -z "$modules" ] || npm install --no-audit --no-fund --prefix .cache/capture $modules
elif [ -n "$missing$modules" ]; then
	echo "capture: not installed:$missing$modules" >&2
	echo "capture: their recordings stay as they are; sh e2e/capture.sh --install installs them" >&2
fi

if [ "$(id -u)" != 0 ]; then
	echo "capture: a network of its own takes root" >&2
	exit 1
fi
mkdir -p .cache
go test -c -o .cache/capture.test ./e2e
GOCACHE=$(go env GOCACHE)
if python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null); then # behind a version manager's shim
	PATH=$(dirname "$python"):$PATH
fi
only=${1:-.*}
export GOCACHE only
exec unshare --net --mount sh -c '
	mount -t tmpfs none /srv && mkdir /srv/node_modules
	[ ! -d .cache/capture/node_modules ] || mount --bind .cache/capture/node_modules /srv/node_modules
	ip link set lo up
	ip addr add 10.0.1.5/32 dev lo
	ip addr add fd00:1::5/128 dev lo nodad
	ip link add lost type veth peer name end0 && ip addr add 10.0.2.1/24 dev lost && ip link set lost up && ip link set end0 up
	ip neigh add 10.0.2.9 lladdr 02:00:00:00:00:01 dev lost
	ip route add prohibit 10.0.4.0/24
	ip link add wire type veth peer name end1 && ip addr add 10.0.5.1/24 dev wire && ip link set wire up && ip link set end1 up
	cd e2e && TRIAGE_CAPTURE=/srv exec ../.cache/capture.test -test.run "^TestCapture\$/^($only)\$" -test.v -test.timeout 30m'

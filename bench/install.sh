#!/bin/sh
# Installs the peers that the benchmark measures beside triage: HAProxy and
# Caddy from Debian's packages. Quick, and silent towards the network, when both
# are there.
#
#   sh bench/install.sh           install what is missing; where that is not
#                                 possible, say what to type
#   sh bench/install.sh --check   only list what is missing (exit 1 if anything is)
set -eu

# The Debian packages that are missing, one per line.
missing_packages() {
	for peer in haproxy caddy; do
		PATH=$PATH:/usr/sbin command -v "$peer" >/dev/null 2>&1 || echo "$peer"
	done
}

packages=$(missing_packages | tr '\n' ' ')
packages=${packages% }

if [ "${1:-}" = --check ]; then
	for package in $packages; do echo "$package (Debian package)"; done
	[ -z "$packages" ]
	exit
fi
[ -n "$packages" ] || exit 0

# A missing peer leaves its row of the table empty; it does not stop triage from
# being measured.
by_hand="sudo apt-get install --no-install-recommends $packages"
give_up() {
	echo "bench: $1" >&2
	echo "bench: type this, then measure again: $by_hand" >&2
	exit 0
}

# Debian starts a server as soon as its package is installed. Ours are started
# by the benchmark on ports of their own, so for the time of the installation a
# policy (invoke-rc.d reads it) forbids starting any. It goes away again; one
# that was there stays.
install_packages() {
	$sudo env DEBIAN_FRONTEND=noninteractive sh -c '
		set -u
		policy=/usr/sbin/policy-rc.d made=
		trap "rm -f \$made" EXIT
		trap "exit 1" HUP INT TERM
		if [ ! -e "$policy" ]; then
			made=$policy
			printf "#!/bin/sh\nexit 101\n" >"$policy" && chmod 755 "$policy" || exit 1
		fi
		apt-get -q update || echo "bench: apt-get update did not work; going on with the lists at hand" >&2
		apt-get -q install -y --no-install-recommends "$@"
	' sh "$@" </dev/null
}

command -v apt-get >/dev/null 2>&1 || give_up "missing: $packages (names of Debian's packages), and there is no apt-get here"
sudo=
if [ "$(id -u)" != 0 ]; then
	sudo="sudo -n"
	$sudo true 2>/dev/null || give_up "missing: $packages, and only root may install"
fi
echo "bench: installing $packages"
# shellcheck disable=SC2086 # a list of words
install_packages $packages || give_up "apt-get could not install: $packages"
packages=$(missing_packages | tr '\n' ' ')
[ -z "$packages" ] || give_up "still missing after the installation: $packages"

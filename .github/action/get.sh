#!/bin/sh
# Finds the ghdeploy of this very version of the action and writes its path to the output `binary`:
#
#   1. GHDEPLOY_BINARY, if it is set: a path, or a name on PATH;
#   2. the release of this version, if .github/action/sha256sums has its digest;
#   3. built from the sources beside this script.
#
# What was downloaded or built is kept in the runner's tool cache, which a runner of one's own keeps for the next run.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
sums=$top/.github/action/sha256sums
# Where releases are: another place serves the same files, for their digests are known.
releases=${GHDEPLOY_RELEASES:-https://github.com/ghdeploy/ghdeploy/releases/download}

die() {
  echo "::error::$1"
  exit 1
}
found() {
  echo "ghdeploy: $1 ($2)"
  echo "binary=$1" >>"$GITHUB_OUTPUT"
  exit 0
}
sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1
}

if [ -n "${GHDEPLOY_BINARY:-}" ]; then
  binary=$(command -v "$GHDEPLOY_BINARY") || die "GHDEPLOY_BINARY names no program: $GHDEPLOY_BINARY"
  found "$binary" "given by GHDEPLOY_BINARY"
fi

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$top/Cargo.toml" | head -n 1)
case $(uname -s)-$(uname -m) in
  Linux-x86_64)  target=x86_64-unknown-linux-musl ;;
  Linux-aarch64) target=aarch64-unknown-linux-musl ;;
  Darwin-arm64)  target=aarch64-apple-darwin ;;
  Darwin-x86_64) target=x86_64-apple-darwin ;;
  *)             target=none ;;
esac
cache=${RUNNER_TOOL_CACHE:-}
if [ -z "$cache" ] || ! mkdir -p "$cache/ghdeploy" 2>/dev/null; then cache=$RUNNER_TEMP; fi
mkdir -p "$cache/ghdeploy"

archive=ghdeploy-$version-$target.tar.gz
digest=$(sed -n "s/^\([0-9a-f]\{64\}\)  $archive\$/\1/p" "$sums" | head -n 1)
if [ -n "$digest" ]; then
  home=$cache/ghdeploy/$version-$digest
  if [ ! -x "$home/ghdeploy" ]; then
    # In a folder of its own until it is whole: other jobs may do the same.
    work=$(mktemp -d "$cache/ghdeploy/new.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "ghdeploy: downloading $archive"
    curl --fail --silent --show-error --location --proto-redir =https --retry 3 --max-time 120 \
      --output "$work/archive" "$releases/v$version/$archive" ||
      die "the release $version cannot be downloaded: try again, or set GHDEPLOY_BINARY to a program of your own"
    [ "$(sha256 <"$work/archive")" = "$digest" ] ||
      die "$archive is not what this version of the action was released with: its digest differs. Nothing of it was run."
    tar -xzf "$work/archive" -C "$work" ghdeploy
    mkdir -p "$home"
    mv -f "$work/ghdeploy" "$home/ghdeploy"
  fi
  found "$home/ghdeploy" "release $version, its sha256 is the one that the action carries"
fi

# By what it is built from: a cache of another commit is another one.
sources=$(cd "$top" && find Cargo.toml Cargo.lock src -type f | LC_ALL=C sort | while IFS= read -r file; do
  printf '%s %s\n' "$(sha256 <"$file")" "$file"
done | sha256)
home=$cache/ghdeploy/$version-$sources
if [ ! -x "$home/ghdeploy" ]; then
  command -v cargo >/dev/null ||
    die "there is no release of ghdeploy $version for $(uname -s) $(uname -m), and no cargo to build it: install Rust, or set GHDEPLOY_BINARY"
  echo "::group::building ghdeploy $version"
  cargo build --release --locked --bin ghdeploy --manifest-path "$top/Cargo.toml" --target-dir "$cache/ghdeploy/target"
  echo "::endgroup::"
  mkdir -p "$home"
  cp "$cache/ghdeploy/target/release/ghdeploy" "$home/new.$$"
  mv -f "$home/new.$$" "$home/ghdeploy"
fi
found "$home/ghdeploy" "built from the sources of the action"

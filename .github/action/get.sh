#!/bin/sh
# Finds the ghdeploy binary for exactly this version of the action and writes its path to the output `binary`:
#
#   get.sh           finds it, or builds it
#   get.sh find      finds it; if it has to be built, writes the outputs `path` and `key`, by which GitHub's cache
#                    may have a binary that was built before
#
# It is the first of these:
#
#   1. GHDEPLOY_BINARY, if it is set: a path, or a name on PATH;
#   2. the release of this version, if .github/action/sha256sums has its digest;
#   3. a build of the sources next to this script.
#
# A downloaded or built binary stays in the runner's tool cache, which self-hosted runners keep between runs. After a
# build, the output `built` is true.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
sums=$top/.github/action/sha256sums
# A mirror can serve the releases, because their digests are checked.
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
    # In a separate folder until it is complete, because other jobs may do the same at the same time.
    work=$(mktemp -d "$cache/ghdeploy/new.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "ghdeploy: downloading $archive"
    curl --fail --silent --show-error --location --proto-redir =https --retry 3 --max-time 120 \
      --output "$work/archive" "$releases/v$version/$archive" ||
      die "cannot download release $version: try again, or set GHDEPLOY_BINARY to a binary on the runner"
    [ "$(sha256 <"$work/archive")" = "$digest" ] ||
      die "the digest of $archive is not the one that this version of the action was released with: it was not run"
    tar -xzf "$work/archive" -C "$work" ghdeploy
    mkdir -p "$home"
    mv -f "$work/ghdeploy" "$home/ghdeploy"
  fi
  found "$home/ghdeploy" "release $version, sha256 verified"
fi

# The cache key is the digest of the sources, so that another commit gets another binary.
sources=$(cd "$top" && find Cargo.toml Cargo.lock src -type f | LC_ALL=C sort | while IFS= read -r file; do
  printf '%s %s\n' "$(sha256 <"$file")" "$file"
done | sha256)
home=$cache/ghdeploy/$version-$sources
# Another system's C library may have been restored with the cache.
if ! "$home/ghdeploy" --version >/dev/null 2>&1; then
  if [ "${1:-}" = find ]; then
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null | tr ' ' -) || libc=''
    echo "path=$home" >>"$GITHUB_OUTPUT"
    echo "key=ghdeploy-$version-$(uname -s)-$(uname -m)-${libc:-other}-$sources" >>"$GITHUB_OUTPUT"
    exit 0
  fi
  command -v cargo >/dev/null ||
    die "ghdeploy $version has no release for $(uname -s) $(uname -m), and cargo is not installed: install Rust, or set GHDEPLOY_BINARY"
  echo "::group::building ghdeploy $version"
  cargo build --release --locked --bin ghdeploy --manifest-path "$top/Cargo.toml" --target-dir "$cache/ghdeploy/target"
  echo "::endgroup::"
  mkdir -p "$home"
  cp "$cache/ghdeploy/target/release/ghdeploy" "$home/new.$$"
  mv -f "$home/new.$$" "$home/ghdeploy"
  echo "built=true" >>"$GITHUB_OUTPUT"
fi
found "$home/ghdeploy" "built from the action's sources"

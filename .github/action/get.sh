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
# The tool cache, which self-hosted runners keep between runs, holds the archive of a release and the binary of a
# build. An archive is verified each time. A build is used only if it comes from this user, from root, or from the user
# of the runner. After a build, the output `built` is true.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
sums=$top/.github/action/sha256sums
# A mirror can serve the releases, because their digests are checked.
releases=${GHDEPLOY_RELEASES:-https://github.com/ghdeploy/ghdeploy/releases/download}
outputs=${GITHUB_OUTPUT:-/dev/null}

die() {
  echo "::error::$1"
  exit 1
}
found() {
  echo "ghdeploy: $1 ($2)"
  echo "binary=$1" >>"$outputs"
  exit 0
}
has() {
  command -v "$1" >/dev/null 2>&1
}
# Whether a folder comes from somebody who is trusted anyway: the digest of a build is not known. The job's own folder
# belongs to the user of the runner, who may be another one than that of a container.
is_ours() {
  # shellcheck disable=SC2012 # the options of stat differ between systems
  runner=$(ls -ldn "$temp" 2>/dev/null | { read -r _ _ owner _ && echo "$owner"; }) || runner=0
  [ -n "$(find "$1" -prune \( -user 0 -o -user "$(id -u)" -o -user "$runner" \) 2>/dev/null)" ]
}
# A program for another processor or another C library does not start.
runs() {
  "$1" --version >/dev/null 2>&1 </dev/null
}
sha256() {
  if has sha256sum; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1
}

system=$(uname -s)-$(uname -m)
case $system in
  MINGW* | MSYS* | CYGWIN* | Windows*)
    die "ghdeploy does not run on Windows: use a Linux runner for this job (runs-on: ubuntu-24.04); what it deploys to does not matter" ;;
  Linux-x86_64 | Linux-amd64)  target=x86_64-unknown-linux-musl ;;
  Linux-aarch64 | Linux-arm64) target=aarch64-unknown-linux-musl ;;
  Darwin-arm64)                target=aarch64-apple-darwin ;;
  Darwin-x86_64)               target=x86_64-apple-darwin ;;
  *)                           target=none ;;
esac

if [ -n "${GHDEPLOY_BINARY:-}" ]; then
  binary=$(command -v "$GHDEPLOY_BINARY") || die "GHDEPLOY_BINARY names no program: $GHDEPLOY_BINARY"
  runs "$binary" ||
    die "GHDEPLOY_BINARY names a program that does not run here: $binary. Check its processor ($system) and its C library"
  found "$binary" "given by GHDEPLOY_BINARY"
fi

has sha256sum || has shasum || die "sha256sum is not installed on this runner: install coreutils, or set GHDEPLOY_BINARY"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$top/Cargo.toml" | head -n 1)

# The folder of this job alone, and the one that stays between jobs.
temp=${RUNNER_TEMP:-}
if [ -z "$temp" ] || ! mkdir -p "$temp" 2>/dev/null || [ ! -w "$temp/" ]; then temp=$(mktemp -d); fi
kept=${RUNNER_TOOL_CACHE:-$temp}

# Makes a new folder, `work`, in a folder that can be written: the tool cache may belong to another user, or be
# read-only. `cache` is the parent. What is made there is moved away once it is complete, because other jobs may do the
# same at the same time. $1 is the name that it gets then, which must not be another user's.
work=
workspace() {
  for cache in "$kept/ghdeploy" "$temp/ghdeploy"; do
    mkdir -p "$cache" 2>/dev/null || continue
    if [ -e "$cache/$1" ] && { ! is_ours "$cache/$1" || [ ! -w "$cache/$1" ]; }; then continue; fi
    work=$(mktemp -d "$cache/new.XXXXXX" 2>/dev/null) || continue
    trap 'rm -rf "$work"' EXIT
    return
  done
  die "neither the tool cache nor RUNNER_TEMP can be written ($kept, $temp): check their owner and the free space"
}

archive=ghdeploy-$version-$target.tar.gz
digest=$(sed -n "s/^\([0-9a-f]\{64\}\)  $archive\$/\1/p" "$sums" | head -n 1)
if [ -n "$digest" ]; then
  from=
  for cache in "$kept/ghdeploy" "$temp/ghdeploy"; do
    if [ -r "$cache/$digest.tar.gz" ] && [ "$(sha256 <"$cache/$digest.tar.gz")" = "$digest" ]; then
      from=$cache/$digest.tar.gz
      break
    fi
  done
  if [ -z "$from" ]; then
    workspace "$digest.tar.gz"
    echo "ghdeploy: downloading $archive"
    url=$releases/v$version/$archive
    if has curl; then
      curl --fail --silent --show-error --location --proto-redir =https --retry 3 --max-time 120 \
        --output "$work/archive" "$url" 2>"$work/said"
    elif has wget; then
      wget -T 60 -O "$work/archive" "$url" 2>"$work/said"
    else
      die "neither curl nor wget is installed on this runner: install one of them, or set GHDEPLOY_BINARY to a binary on the runner"
    fi || {
      cat "$work/said"
      # Both programs name the status in their words.
      if grep -q '[^0-9]404\([^0-9]\|$\)' "$work/said"; then
        die "cannot download release $version: there is no $archive at $url. The release v$version is not out, was withdrawn, or has no binary for $target: pin the commit of another release, or set GHDEPLOY_BINARY to a binary on the runner"
      fi
      die "cannot download release $version: try again, or set GHDEPLOY_BINARY to a binary on the runner"
    }
    [ "$(sha256 <"$work/archive")" = "$digest" ] ||
      die "the digest of $archive is not the one that this version of the action was released with: it was not run"
    from=$cache/$digest.tar.gz
    mv -f "$work/archive" "$from"
  fi
  # Others may write to the tool cache, so the binary that runs is a fresh copy in the folder of this job.
  home=$(mktemp -d "$temp/ghdeploy.XXXXXX")
  tar -xzf "$from" -C "$home" ghdeploy ||
    die "cannot unpack $archive: check that tar and gzip are installed, and the free space in $temp"
  runs "$home/ghdeploy" || die "the release does not run here ($system): set GHDEPLOY_BINARY to a binary that does"
  found "$home/ghdeploy" "release $version, sha256 verified"
fi

# The name holds the digest of the sources, so that another commit gets another binary, and the system, because runners
# of several kinds may share a cache.
sources=$(cd "$top" && find Cargo.toml Cargo.lock src -type f | LC_ALL=C sort | while IFS= read -r file; do
  printf '%s %s\n' "$(sha256 <"$file")" "$file"
done | sha256)
# The loader of musl is also on a system with glibc that cross-compiles.
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null | tr ' ' -) || libc=
[ -n "$libc" ] || for loader in /lib/ld-musl-*; do [ ! -e "$loader" ] || libc=musl; done
name=$version-$sources-$system${libc:+-$libc}
for cache in "$kept/ghdeploy" "$temp/ghdeploy"; do
  binary=$cache/$name/ghdeploy
  [ -x "$binary" ] || continue
  if ! is_ours "$cache/$name"; then
    echo "ghdeploy: $binary is not used: another user has put it there"
  elif runs "$binary"; then
    found "$binary" "built from the action's sources"
  fi
done
if [ "${1:-}" = find ]; then
  workspace "$name"
  echo "path=$cache/$name" >>"$outputs"
  echo "key=ghdeploy-$version-$system-${libc:-other}-$sources" >>"$outputs"
  exit 0
fi
has cargo ||
  die "ghdeploy $version has no release for $(uname -s) $(uname -m), and cargo is not installed: install Rust, or set GHDEPLOY_BINARY"
has cc || has gcc || has clang ||
  die "ghdeploy $version has no release for $(uname -s) $(uname -m), and a build needs a C compiler: install gcc, or set GHDEPLOY_BINARY"
workspace "$name"
# The work of the last build saves time, if this user can go on with it.
built=$cache/target
if [ -e "$built" ] && [ ! -w "$built/" ]; then built=$work/target; fi
echo "::group::building ghdeploy $version"
status=0
cargo build --release --locked --bin ghdeploy --manifest-path "$top/Cargo.toml" --target-dir "$built" || status=$?
echo "::endgroup::"
rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$top/Cargo.toml")
[ "$status" = 0 ] ||
  die "ghdeploy $version cannot be built here (cargo exited with $status; the log says why): a build needs Rust${rust:+ $rust or newer} (rustup default stable), a C compiler, and crates.io; or set GHDEPLOY_BINARY"
cp "$built/release/ghdeploy" "$work/ghdeploy"
mkdir -p "$cache/$name"
mv -f "$work/ghdeploy" "$cache/$name/ghdeploy"
echo "built=true" >>"$outputs"
found "$cache/$name/ghdeploy" "built from the action's sources"

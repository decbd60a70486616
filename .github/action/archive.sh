#!/bin/sh
# Builds the archive of a release: archive.sh TARGET DIR
#
# The binary is static if its system supports that. The same binary always gives the same archive.
set -eu

target=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
rustup target add "$target"
case $target in
  *-musl) command -v musl-gcc >/dev/null || { as_root apt-get update -qq && as_root apt-get install -qq -y musl-tools; } ;;
esac
cargo build --release --locked --bin ghdeploy --target "$target"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "${CARGO_TARGET_DIR:-target}/$target/release/ghdeploy" README.md LICENSE-MIT LICENSE-APACHE "$work"
# Skipped for the macOS binary that is cross-compiled for the other processor.
[ "$target" = x86_64-apple-darwin ] || "$work/ghdeploy" --version
# The bsdtar of macOS has none of the GNU options that make an archive reproducible.
case $(tar --version) in
  *GNU*) set -- --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner ;;
  *)     set -- --uid 0 --gid 0 --uname '' --gname '' ;;
esac
tar -C "$work" "$@" -cf - ghdeploy README.md LICENSE-MIT LICENSE-APACHE | gzip -9n >"$out/ghdeploy-$version-$target.tar.gz"

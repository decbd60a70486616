#!/usr/bin/env bash
# Everything that must be green before a change is done: tools, format, lints, examples, tests, demo.
# Stops at the first gate that fails. .ci/run calls this and nothing else.
#
#   tests/run.sh        as root, or as a user of the group `docker` with sudo
set -euo pipefail

cd "$(dirname "$0")/.."
export SETUP_TOOLS=${SETUP_TOOLS:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ghdeploy-tools}
PATH=$SETUP_TOOLS/bin:${HOME:-/root}/.cargo/bin:$PATH:/usr/sbin:/sbin

GATE=''
gate() { GATE=$*; printf '\n======== %s\n' "$GATE"; }
die()  { printf '%s\n' "$*" >&2; exit 1; }
WORK=$(mktemp -d)
# shellcheck disable=SC2317,SC2329  # called by trap
finish() {
  local rc=$?
  rm -rf "$WORK"
  if [ "$rc" = 0 ]; then printf '\n======== all gates passed\n'
  else printf '\n======== FAILED: %s\n' "$GATE" >&2
  fi
}
trap finish EXIT

shell_files() { # by name, or by their first line
  local file first
  while IFS= read -r -d '' file; do
    first=''
    case $file in
      *.sh) ;;
      *) { IFS= read -r first <"$file"; } 2>/dev/null || true
         [[ $first =~ ^#!.*[/\ ](ba|da)?sh( |$) ]] || continue ;;
    esac
    printf '%s\0' "$file"
  done < <(find .ci .github src tests services \( -path tests/fuzz/corpus -o -path tests/fuzz/target \) -prune -o -type f -print0)
}

# Each example must be valid as its reader would use it: beside its siblings, with the documented example
# variables, and with nothing else from this machine's environment. Compose only warns of an unset
# variable, so a warning fails too.
check_examples() {
  local example dir said projects=0
  cp -R services "$WORK/services"
  while IFS= read -r -d '' example; do
    cp "$example" "${example%.example}"
  done < <(find "$WORK/services" -name .env.example -print0)
  for dir in "$WORK"/services/*/; do
    compgen -G "$dir*compose*.y*ml" >/dev/null || continue     # shared files, no project
    projects=$((projects + 1))
    if said=$(cd "$dir" && env -i PATH="$PATH" HOME="$WORK" docker compose config -q 2>&1) && [ -z "$said" ]; then
      echo "services/$(basename "$dir"): ok"
    else
      die "services/$(basename "$dir"): ${said:-docker compose config failed}"
    fi
  done
  [ "$projects" -gt 0 ] || die "there is no project below services/: the examples are part of the product"
}

gate "setup: what the gates need"
tests/setup.sh all
tests/images.sh

gate "format: cargo fmt --check"
cargo fmt --check

gate "lints: cargo clippy"
cargo clippy --all-targets --locked -- -D warnings

gate "dependencies: cargo deny"
cargo deny --locked --config .cargo/deny.toml check licenses bans sources

gate "shell: shellcheck"
mapfile -d '' files < <(shell_files | sort -z)
printf '%s\n' "${files[@]}"
shellcheck -x "${files[@]}"

gate "examples: docker compose config"
check_examples

gate "workflows: actionlint"
# What the README tells people to copy is a workflow like any other.
mkdir -p "$WORK/readme/.github/workflows"
awk '/^```/ { if (text ~ /\njobs:/) printf "%s", text; text = ""; on = ($0 == "```yaml"); next } on { text = text $0 "\n" }' \
  README.md >"$WORK/readme/.github/workflows/deploy.yml"
[ -s "$WORK/readme/.github/workflows/deploy.yml" ] || die "the README has no workflow to copy"
actionlint
(cd "$WORK/readme" && actionlint)

gate "workflows: zizmor"
zizmor --offline --no-progress --pedantic action.yml .github/workflows "$WORK/readme/.github/workflows"

# Most tests wait for something most of the time.
gate "tests: cargo test"
RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))} cargo test --locked

gate "demo: tests/demo.sh"
# With the binary that the tests were run with: another build of it would take a minute and show nothing more.
DEMO_BINARY=${CARGO_TARGET_DIR:-target}/debug/ghdeploy tests/demo.sh

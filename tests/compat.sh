#!/usr/bin/env bash
# Runs the tests in which Docker Compose takes part against other versions of it, which are compiled with Go, and what
# works with Podman against that. The reader is compared with the JSON schema of the newest compose-go, too: a key that it
# does not know yet is a failure.
#
#   tests/compat.sh [VERSION|podman]...     such as 5.5.0; by default, the newest that ghdeploy claims to be tested with,
#                                           and podman
#
# COMPAT_TESTS names the tests of e2e to run, by parts of their names; by default, all of them, or those for Podman.
set -euo pipefail

cd "$(dirname "$0")/.."
export SETUP_TOOLS=${SETUP_TOOLS:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ghdeploy-tools}
PATH=$SETUP_TOOLS/bin:${HOME:-/root}/.cargo/bin:$PATH:/usr/sbin:/sbin
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))}

[ $# -gt 0 ] || set -- 5.5.0 podman
read -ra ONLY <<<"${COMPAT_TESTS:-}"

# The tests of what the README says about Podman. The others of these modules need what it lacks: healthchecks (they run by
# timers of systemd), builds (Compose has them done by BuildKit), and an answer for a container that is paused. The one
# about every change of a definition did not end there, for a reason that is not known.
PODMAN=(containers:: content:: definitions:: hooks:: idle:: layouts:: links:: names:: reactions:: renames:: rollback::
  services:: setbacks::
  --skip build --skip paused --skip healthcheck --skip restores_a_moved_tag --skip in_a_namespace --skip a_hooks_container
  --skip a_changed_definition_recreates)

tests/setup.sh demo buildx shells network registry engines act stack
cargo test --locked --no-run --test e2e --test compose_differential --test replay --test plans
failed=()
newest=$(cd / && go mod download -json github.com/compose-spec/compose-go/v2@latest)
value() { sed -n "s/^.*\"$1\": \"\(.*\)\",*\$/\1/p" <<<"$newest"; }
printf '\n======== schema of compose-go %s\n' "$(value Version)"
COMPOSE_SPEC=$(value Dir)/schema/compose-spec.json cargo test --locked --offline --test plans compose_spec:: ||
  failed+=("schema of compose-go $(value Version)")
for version; do
  case $version in podman) stack=podman ;; *) stack=compose-$version ;; esac
  with() { tests/stack.sh run "$stack" "$@"; }
  printf '\n======== %s\n' "$(with docker compose version)"
  with tests/images.sh
  if [ "$version" = podman ]; then
    [ ${#ONLY[@]} -gt 0 ] && tests=("${ONLY[@]}") || tests=("${PODMAN[@]}")
    with cargo test --locked --offline --test e2e -- "${tests[@]}" || failed+=("$version")
  else
    with cargo test --locked --offline --test compose_differential --test replay --no-fail-fast &&
      with cargo test --locked --offline --test e2e -- "${ONLY[@]}" || failed+=("$version")
  fi
  tests/stack.sh down "$stack"
done
[ ${#failed[@]} -eq 0 ] || { printf '\n======== FAILED: %s\n' "${failed[*]}" >&2; exit 1; }
printf '\n======== passed: %s\n' "$*"

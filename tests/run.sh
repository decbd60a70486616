#!/usr/bin/env bash
# Runs the gates: everything that must pass before a change is done. CI runs this script and nothing else.
# It stops at the first gate that fails.
#
#   tests/run.sh                all gates, as root or as a user in the group `docker` with sudo
#   tests/run.sh fmt clippy     only these gates
#   tests/run.sh lints          only the quick ones; `suites`: only the tests
#   tests/run.sh --list         the gates, one per line
#
# Every run installs what its gates need and this machine lacks (tests/setup.sh), and ends with a table of
# durations. A full run executes `test` and `compose`, which need no Docker Engine, beside `e2e`: most of
# the time, that one waits for containers. GATES_SERIAL=1 runs one gate after the other.
set -euo pipefail

cd "$(dirname "$0")/.."
export SETUP_TOOLS=${SETUP_TOOLS:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ghdeploy-tools}
PATH=$SETUP_TOOLS/bin:${HOME:-/root}/.cargo/bin:$PATH:/usr/sbin:/sbin

# In the order of a full run; after the name, what the gate checks. The first paragraph is the group `lints`,
# the second one the group `suites`. CI runs the two as separate jobs.
# shellcheck disable=SC2016  # a table, not code
GATES='
fmt         formatting (cargo fmt --check)
clippy      lints, warnings are errors (cargo clippy)
deny        licences and sources of the dependencies (cargo deny)
shellcheck  every shell script
actionlint  the workflows, and those that the README tells users to copy
zizmor      the security of the action and of the workflows
examples    each folder of services/, as Compose reads it

test        unit tests, and the suites that need neither Docker nor sshd
compose     the compose reader, against `docker compose config`
e2e         the binary, against a real sshd, Docker Engine and Compose; the workflows, through act
old         the part of e2e where the age of Docker matters, against Docker 20.10 and Compose 2.26
faults      syncs that are killed at random points
demo        tests/demo.sh
'
# Not among all: the answer of the first changes without a commit, and it fetches RustSec's database; the second repeats
# what `test` does. A scheduled workflow runs them.
# shellcheck disable=SC2016  # a table, not code
OTHERS='
advisories  dependencies with known vulnerabilities, unmaintained or withdrawn ones (cargo deny)
shells      every test of the driver under every shell: `test` runs each under two
'

# The integration tests (tests/NAME.rs and tests/NAME/main.rs) that are not part of `test`.
COMPOSE_SUITES='compose_differential replay'
ENGINE_SUITES='e2e faults'

# The modules of e2e that also run against the old Docker: what each change does to containers, how they heal, are
# rolled back, hooks, and which list a run with nothing to do asks for.
OLD='containers definitions hooks idle reactions rollback setbacks'

gate_needs() { # GATE: the items of tests/setup.sh
  case $1 in
    fmt)      echo rustfmt ;;
    advisories) echo deny ;;
    examples) echo compose ;;
    test)     echo rust tools busybox shells ssh act ;;
    shells)   echo rust busybox shells ssh ;;
    compose)  echo rust tools modern ;;
    e2e)      echo demo buildx shells network registry engines act modern ;;
    old)      echo demo buildx network registry old ;;
    faults|demo) echo demo modern ;;
    *)        echo "$1" ;;
  esac
}

die() { printf '%s\n' "$*" >&2; exit 1; }

# ------------------------------------------------------------------------------------------- gates

gate_fmt()    { cargo fmt --check; }
gate_clippy() { cargo clippy --all-targets --locked -- -D warnings; }
gate_deny()   { cargo deny --locked --config .cargo/deny.toml check licenses bans sources; }
gate_advisories() { cargo deny --locked --config .cargo/deny.toml check advisories; }

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
  done < <(find .ci .github bench src tests services \
    \( -path tests/fuzz/corpus -o -path tests/fuzz/target -o -path src/host/driver \) -prune -o -type f -print0)
}

# The parts of the driver use each other's variables, so they are checked as one script, in the order in which
# src/host/script.rs joins them. A script that sources them makes shellcheck name the part and its line.
driver_script() {
  local parts
  parts=$(sed -n 's/^ *include_str!("driver\/\(.*\)"),$/. src\/host\/driver\/\1/p' src/host/script.rs)
  [ "$(wc -l <<<"$parts")" = "$(find src/host/driver -type f | wc -l)" ] ||
    die "src/host/script.rs does not list the files of src/host/driver"
  printf '# shellcheck shell=sh\n%s\n' "$parts"
}

gate_shellcheck() {
  local files
  mapfile -d '' files < <(shell_files | sort -z)
  printf '%s\n' "${files[@]}"
  shellcheck -x "${files[@]}"
  driver_script >"$WORK/driver.sh"
  shellcheck -x -a "$WORK/driver.sh"
}

readme_workflows() { # writes them where the linters look for workflows, and prints the directory
  local to=$WORK/readme/.github/workflows
  mkdir -p "$to"
  awk -v to="$to" '/^```/ {
      if (text ~ /\njobs:/) printf "%s", text >(to "/" ++count ".yml")
      text = ""; inside = ($0 == "```yaml"); next
    }
    inside { text = text $0 "\n" }' README.md
  [ "$(find "$to" -type f | wc -l)" -ge 4 ] || die "the README lacks workflows to copy: one with a job, and one for each workflow to call"
  echo "$WORK/readme"
}

gate_actionlint() {
  local readme
  readme=$(readme_workflows)
  actionlint
  (cd "$readme" && actionlint)
}

gate_zizmor() {
  local readme
  readme=$(readme_workflows)
  zizmor --offline --no-progress --pedantic action.yml .github/workflows .github/dependabot.yml "$readme/.github/workflows"
}

# Each example must be valid the way its user has it: beside its siblings, with the documented example
# variables, and with nothing else from this machine's environment. Compose only warns about an unset
# variable, so a warning is a failure too.
gate_examples() {
  local example dir said projects=0
  rm -rf "$WORK/services"
  cp -R services "$WORK/services"
  while IFS= read -r -d '' example; do
    cp "$example" "${example%.example}"
  done < <(find "$WORK/services" -name .env.example -print0)
  for dir in "$WORK"/services/*/; do
    compgen -G "$dir*compose*.y*ml" >/dev/null || continue     # shared files, not a project
    projects=$((projects + 1))
    if said=$(cd "$dir" && env -i PATH="$PATH" HOME="$WORK" docker compose config -q 2>&1) && [ -z "$said" ]; then
      echo "services/$(basename "$dir"): ok"
    else
      die "services/$(basename "$dir"): ${said:-docker compose config failed}"
    fi
  done
  [ "$projects" -gt 0 ] || die "there is no project below services/: the examples are part of the product"
}

# Most tests wait for something most of the time, so twice as many as processors run at once.
cargo_test() { RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))} cargo test --locked "$@"; }

# The same where the modern or the old Docker is the machine's. There is no network to compile.
cargo_test_with() { # STACK OPTION... [-- NAME...]
  local stack=$1 options=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  cargo test --locked --no-run "${options[@]}"
  RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))} \
    tests/stack.sh run "$stack" cargo test --locked --offline "${options[@]}" "$@"
}

suites() { # NAME...: the options of `cargo test` that select these integration tests
  printf -- '--test\n%s\n' "$@"
}

other_suites() { # every integration test that no other gate runs, so that a new one is never left out
  local file name
  for file in tests/*.rs tests/*/main.rs; do
    name=${file#tests/}
    name=${name%.rs}
    name=${name%/main}
    case " $COMPOSE_SUITES $ENGINE_SUITES " in *" $name "*) ;; *) suites "$name" ;; esac
  done
}

# The tests of the driver flush files thousands of times, which need not be on a disk.
in_memory() { # COMMAND...: with temporary files in memory, if there is room for them and programs may run there
  local memory=/dev/shm/${WORK##*/}
  if [ "$(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 2000000 ] 2>/dev/null && mkdir -p "$memory" &&
    printf '#!/bin/sh\n' >"$memory/runs" && chmod +x "$memory/runs" && "$memory/runs"; then
    TMPDIR=$memory "$@"
  else "$@"
  fi
}

gate_shells() {
  local shell
  for shell in dash bash mksh busybox; do DRIVER_SHELL=$shell in_memory cargo_test --test driver another; done
}

gate_test() {
  local options
  mapfile -t options < <(other_suites)
  in_memory cargo_test --lib --bins "${options[@]}"
  cargo_test --doc
}

gate_compose() {
  local options
  # shellcheck disable=SC2086  # a list
  mapfile -t options < <(suites $COMPOSE_SUITES)
  cargo_test_with modern "${options[@]}"
}

gate_e2e()    { tests/stack.sh run modern tests/images.sh; cargo_test_with modern --test e2e; }
gate_faults() { tests/stack.sh run modern tests/images.sh; cargo_test_with modern --test faults; }
gate_old() {
  local modules
  # shellcheck disable=SC2086  # a list
  mapfile -t modules < <(printf '%s::\n' $OLD)
  tests/stack.sh run old tests/images.sh
  cargo_test_with old --test e2e -- "${modules[@]}"
  cargo_test_with old --test compose_differential
}

gate_demo() { # with the binary of the tests: another build takes a minute and shows nothing more
  cargo test --locked --no-run --test faults
  DEMO_BINARY=${CARGO_TARGET_DIR:-$PWD/target}/debug/ghdeploy tests/stack.sh run modern tests/demo.sh
}

# --------------------------------------------------------------------------------------- selection

names() { awk 'NF { print $1 }' <<<"$GATES"; }
group() { awk -v RS= -v paragraph="$1" 'NR == paragraph' <<<"$GATES" | awk '{ print $1 }'; }
list()  { sed '/^$/d; s/^/  /' <<<"$GATES$OTHERS"; }

CHOSEN=()
for argument; do
  case $argument in
    -h|--help) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; printf 'Gates:\n'; list; exit ;;
    -l|--list) list; exit ;;
    lints)     mapfile -t -O ${#CHOSEN[@]} CHOSEN < <(group 1) ;;
    suites)    mapfile -t -O ${#CHOSEN[@]} CHOSEN < <(group 2) ;;
    *)
      { names; GATES=$OTHERS names; } | grep -x -e "$argument" >/dev/null ||
        { printf 'there is no gate named %s; the gates are:\n' "$argument"; list; exit 2; } >&2
      CHOSEN+=("$argument") ;;
  esac
done
[ ${#CHOSEN[@]} -gt 0 ] || mapfile -t CHOSEN < <(names)
chosen() { [[ " ${CHOSEN[*]} " == *" $1 "* ]]; }

# --------------------------------------------------------------------------------------------- run

now() { local micro=${EPOCHREALTIME/[.,]/}; echo $((micro / 1000)); }

WORK=$(mktemp -d)
BEGIN=$(now)
GATE='' BESIDE=''
# shellcheck disable=SC2317,SC2329  # called by trap
finish() {
  local rc=$?
  if [ -n "$BESIDE" ]; then kill -- "-$BESIDE" 2>/dev/null || true; fi
  if [ -s "$WORK/durations" ]; then
    printf '\n======== durations\n'
    printf 'total %s\n' $(($(now) - BEGIN)) >>"$WORK/durations"
    awk '{ printf "%-12s %5d.%d s\n", $1, $2 / 1000, $2 % 1000 / 100 }' "$WORK/durations"
  fi
  rm -rf "$WORK" "/dev/shm/${WORK##*/}"
  if [ "$rc" = 0 ] && [ "${CHOSEN[*]}" = "$(names | xargs)" ]; then printf '\n======== all gates passed\n'
  elif [ "$rc" = 0 ]; then printf '\n======== passed: %s\n' "${CHOSEN[*]}"
  else printf '\n======== FAILED: %s\n' "$GATE" >&2
  fi
}
trap finish EXIT

run_gate() { # NAME COMMAND...: runs it, with a heading and its duration
  local name=$1 begin
  GATE=$name
  shift
  printf '\n======== %s\n' "$name"
  begin=$(now)
  "$@"
  printf '%s %s\n' "$name" $(($(now) - begin)) | tee -a "$WORK/durations" |
    awk '{ printf "-------- %s: %d.%d s\n", $1, $2 / 1000, $2 % 1000 / 100 }'
}

setup() {
  local needs
  # shellcheck disable=SC2046  # lists of words
  mapfile -t needs < <(printf '%s\n' $(for gate in "${CHOSEN[@]}"; do gate_needs "$gate"; done) | sort -u)
  tests/setup.sh "${needs[@]}"
}
run_gate setup setup

# `test` and `compose` beside `e2e`, if it is chosen too: everything is compiled first, and they yield the
# processors to it. Most of the time both sides wait for something, so each runs its usual number of tests at once.
beside() { for gate in test compose; do if chosen "$gate"; then run_gate "$gate" "gate_$gate"; fi; done; }
start_beside() {
  run_gate build cargo test --locked --no-run
  set -m # a process group of its own, to end all of it when a gate fails
  (
    trap - EXIT
    set +m
    renice -n 5 -p $BASHPID >/dev/null
    beside
  ) >"$WORK/beside" 2>&1 </dev/null &
  BESIDE=$!
  set +m
}
await_beside() {
  local rc=0
  wait "$BESIDE" || rc=$?
  BESIDE=''
  cat "$WORK/beside"
  GATE="$(sed -n 's/^======== //p' "$WORK/beside" | tail -n 1)"
  return "$rc"
}

for gate in "${CHOSEN[@]}"; do
  case $gate in
    test|compose)
      if [ -z "${GATES_SERIAL:-}" ] && chosen e2e; then continue; fi ;;
    e2e)
      if [ -z "${GATES_SERIAL:-}" ] && { chosen test || chosen compose; }; then start_beside; fi ;;
  esac
  run_gate "$gate" "gate_$gate"
  if [ "$gate" = e2e ] && [ -n "$BESIDE" ]; then await_beside; fi
done

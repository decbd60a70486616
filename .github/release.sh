#!/usr/bin/env bash
# Makes a release: release.yml runs this script and, where it may write or sign, nothing else of this repository.
#
#   release.sh check          refuses a commit that must not be released, with the reason; changes nothing
#   release.sh notes          prints the notes: the version's section of CHANGELOG.md
#   release.sh assemble DIR   checks that DIR holds the archive of every target and nothing else; adds the digests, the
#                             bill of materials and the notes
#   release.sh publish DIR    tags and publishes what is in DIR, then moves the tags vMAJOR and vMAJOR.MINOR. With
#                             DRY_RUN=true it says what it would push and publish
#   release.sh pin REVISION   commits that the workflows and the README name this commit of the action
#   release.sh readme         gives the README the versions of other actions that the workflows have
#   release.sh pins           fails unless they name what the last release made, or before the first one this action
#
# Version and changelog are those of the checked-out commit. `check` and `publish` need gh with a token that may read
# the runs of the repository, and git's remote `origin`.
set -euo pipefail

cd "$(dirname "$0")/.."
# One binary each; get.sh asks for these names, and the matrix of release.yml builds them.
TARGETS='x86_64-unknown-linux-musl aarch64-unknown-linux-musl x86_64-apple-darwin aarch64-apple-darwin'
# The workflows that others call, whose pins therefore matter outside of this repository.
REUSABLE='.github/workflows/build.yml .github/workflows/deploy.yml .github/workflows/plan.yml'
REPOSITORY=${GITHUB_REPOSITORY:-ghdeploy/ghdeploy}
VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)

die() { printf '%srelease: %s\n' "${GITHUB_ACTIONS:+::error::}" "$*" >&2; exit 1; }

notes() { # the lines between the heading of the version and the next heading
  local text
  text=$(awk -v version="$VERSION" '
    /^## / { inside = ($2 == version || $2 == "v" version); next }
    inside { print }' CHANGELOG.md | sed -e '/./,$!d')
  [ -n "$text" ] || die "CHANGELOG.md has no section \"## $VERSION\" with text: rename \"## Unreleased\""
  printf '%s\n' "$text"
}

# ------------------------------------------------------------------------------------------- check

released() { # the versions that have a tag, oldest first
  git ls-remote --tags origin 'v*.*.*' | sed -n 's|.*refs/tags/v\([0-9]*\.[0-9]*\.[0-9]*\)$|\1|p' | sort -V
}

check() {
  local locked newest run
  [[ $VERSION =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] ||
    die "Cargo.toml has the version \"$VERSION\", which is not of the form 1.2.3"
  [ "${WANTED:-$VERSION}" = "$VERSION" ] ||
    die "the release of $WANTED was asked for, but Cargo.toml says $VERSION: change one of them"
  locked=$(awk '/^name = "ghdeploy"$/ { getline; gsub(/[^0-9.]/, ""); print }' Cargo.lock)
  [ "$locked" = "$VERSION" ] || die "Cargo.lock has version $locked, Cargo.toml $VERSION: run cargo check and commit"
  [ -z "$(git status --porcelain)" ] || die "the working tree differs from its commit"
  COMMIT=$(git rev-parse HEAD)
  [ "${GITHUB_SHA:-$COMMIT}" = "$COMMIT" ] || die "commit $COMMIT is checked out, not $GITHUB_SHA of this run"
  git fetch --quiet origin main || die "main cannot be fetched from origin: try again"
  git merge-base --is-ancestor "$COMMIT" FETCH_HEAD || die "commit ${COMMIT:0:10} is not on main"
  newest=$(released | tail -n 1)
  if released | grep -qxF "$VERSION"; then
    die "the tag v$VERSION exists: raise the version in Cargo.toml (if its release was never published, delete the tag)"
  fi
  [ "$(printf '%s\n' "$newest" "$VERSION" | sort -V | tail -n 1)" = "$VERSION" ] ||
    die "version $VERSION is older than the newest release $newest"
  notes >/dev/null
  # The newest run counts, whatever an earlier one said. A run that was re-run has the result of its last attempt.
  run=$(gh api "repos/$REPOSITORY/actions/workflows/ci.yml/runs?head_sha=$COMMIT&event=push&per_page=100") ||
    die "GitHub does not say whether CI of ${COMMIT:0:10} was green: try again"
  run=$(jq -r --arg sha "$COMMIT" '[.workflow_runs[] | select(.head_sha == $sha and .event == "push")]
    | max_by(.run_number) | if . == null then "absent" elif .status != "completed" then .status else .conclusion end' <<<"$run")
  [ "$run" = success ] || die "CI of commit ${COMMIT:0:10} is not green, but $run: release.yml needs a success"
  printf 'version %s at commit %s can be released\n' "$VERSION" "$COMMIT"
}

# ---------------------------------------------------------------------------------------- assemble

archives() { for target in $TARGETS; do echo "ghdeploy-$VERSION-$target.tar.gz"; done; }

# CycloneDX, from what cargo itself resolves for the targets: nothing is compiled. Without a date and a serial number,
# the same sources give the same text.
sbom() {
  local filters=() target
  for target in $TARGETS; do filters+=(--filter-platform "$target"); done
  cargo metadata --locked --format-version 1 "${filters[@]}" >"$WORK/metadata"
  awk -F'"' '/^name = /     { name = $2 }
             /^version = /  { version = $2 }
             /^checksum = / { printf "%s@%s\t%s\n", name, version, $2 }' Cargo.lock >"$WORK/checksums"
  jq --rawfile checksums "$WORK/checksums" '
    ($checksums | split("\n") | map(select(. != "") | split("\t") | {key: .[0], value: .[1]}) | from_entries) as $sha256
    | (.packages | map({key: .id, value: .}) | from_entries) as $package
    # Without what only tests use.
    | (.resolve.nodes | map({key: .id, value: [.deps[] | select(any(.dep_kinds[]; .kind != "dev")) | .pkg]})
        | from_entries) as $needs
    | def closure: . as $found | ([.[], (.[] | $needs[.][])] | unique) as $more
        | if $more == $found then $found else $more | closure end;
      def purl: $package[.] | "pkg:cargo/\(.name)@\(.version)";
      def component: . as $id | $package[.] | {
          type: "library", "bom-ref": ($id | purl), name, version, purl: ($id | purl),
          licenses: [select(.license) | {expression: (.license | gsub("/"; " OR "))}],
          hashes: [$sha256["\(.name)@\(.version)"] // empty | {alg: "SHA-256", content: .}]
        } | with_entries(select(.value != []));
      .resolve.root as $root
    | ([$root] | closure) as $all
    | {
        bomFormat: "CycloneDX", specVersion: "1.6", version: 1,
        metadata: {component: ($root | component | .type = "application")},
        components: [$all[] | select(. != $root) | component],
        dependencies: [$all[] | {ref: purl, dependsOn: ([$needs[.][] | purl] | unique)}]
      }' "$WORK/metadata"
}

assemble() {
  local dir=$1 wanted found content
  wanted=$(archives | sort)
  found=$(cd "$dir" && find . -mindepth 1 -printf '%P\n' | sort)
  [ "$found" = "$wanted" ] || die "$dir should hold exactly these archives:"$'\n'"$wanted"$'\n'"but holds:"$'\n'"$found"
  for archive in $wanted; do
    content=$(tar -tzf "$dir/$archive" | sort | xargs)
    [ "$content" = "LICENSE-APACHE LICENSE-MIT README.md ghdeploy" ] || die "$archive holds: $content"
  done
  sbom >"$dir/ghdeploy-$VERSION.cdx.json"
  notes >"$dir/notes.md"
  # shellcheck disable=SC2046  # names without spaces
  (cd "$dir" && sha256sum $(archives) "ghdeploy-$VERSION.cdx.json" >SHA256SUMS)
  cat "$dir/SHA256SUMS"
}

# ----------------------------------------------------------------------------------------- publish

outwards() { # COMMAND…: does what others can see
  if [ "${DRY_RUN:-false}" = true ]; then printf 'would run: %s\n' "$*"; else "$@"; fi
}

publish() {
  local dir tagged draft
  dir=$(cd "$1" && pwd)
  check
  (cd "$dir" && sha256sum --check --strict SHA256SUMS) || die "an archive is not the one that SHA256SUMS has the digest of"
  [ "$(cut -d' ' -f3 "$dir/SHA256SUMS" | sort)" = "$( (archives; echo "ghdeploy-$VERSION.cdx.json") | sort)" ] ||
    die "SHA256SUMS does not list exactly the archives and the bill of materials of $VERSION"

  # The tagged commit differs from the one that was built only in the digests of its binaries.
  git worktree add --quiet --detach "$WORK/tree" HEAD
  grep '\.tar\.gz$' "$dir/SHA256SUMS" >>"$WORK/tree/.github/action/sha256sums"
  git -C "$WORK/tree" -c user.name='github-actions[bot]' \
    -c user.email='41898282+github-actions[bot]@users.noreply.github.com' -c commit.gpgSign=false \
    commit --quiet --all --message "release: ghdeploy $VERSION"
  tagged=$(git -C "$WORK/tree" rev-parse HEAD)

  # First everything that nobody sees yet. A draft that an earlier attempt has left behind is replaced.
  draft=$(gh release view "v$VERSION" --json isDraft 2>/dev/null) || draft=''
  case $draft in
    *true*) outwards gh release delete "v$VERSION" --yes ;;
    *false*) die "the release v$VERSION is published already" ;;
  esac
  (
    cd "$dir"
    # shellcheck disable=SC2046  # names without spaces
    outwards gh release create "v$VERSION" --repo "$REPOSITORY" --draft --title "ghdeploy $VERSION" \
      --notes-file notes.md $(archives) "ghdeploy-$VERSION.cdx.json" SHA256SUMS
  )
  outwards git push --quiet origin "$tagged:refs/tags/v$VERSION"
  outwards gh release edit "v$VERSION" --repo "$REPOSITORY" --draft=false --verify-tag
  # Last, because the action at these tags downloads the archives at once.
  outwards git push --quiet --force origin "$tagged:refs/tags/v${VERSION%%.*}" "$tagged:refs/tags/v${VERSION%.*}"
  printf 'released %s as commit %s\nnow, on a branch of main: .github/release.sh pin v%s\n' "$VERSION" "$tagged" "$VERSION"
}

# -------------------------------------------------------------------------------------------- pins

# An action is named as OWNER/NAME@COMMIT # VERSION, a workflow as OWNER/NAME/.github/workflows/FILE@COMMIT # VERSION.
named() { # PATTERN FILE…: the commits and versions that the files name
  local pattern=$1
  shift
  sed -nE "s|.*uses: ghdeploy/ghdeploy$pattern@([0-9a-f]+) # (v[0-9.]+).*|\1 \2|p" "$@" | sort -u
}
name_instead() { # PATTERN COMMIT VERSION FILE…
  local pattern=$1 commit=$2 version=$3
  shift 3
  sed -i -E "s|(uses: ghdeploy/ghdeploy$pattern)@[0-9a-f]+ # v[0-9.]+|\1@$commit # $version|" "$@"
}
WORKFLOW='/\.github/workflows/[a-z]+\.yml'

pin() {
  local commit version
  [ -z "$(git status --porcelain)" ] || die "commit or stash your changes first"
  commit=$(git rev-parse --verify --quiet "$1^{commit}") || die "there is no commit $1: git fetch --tags"
  version=v$(git show "$commit:Cargo.toml" | sed -n 's/^version = "\(.*\)"$/\1/p' | head -n 1)
  name_instead '' "$commit" "$version" README.md .github/workflows/*.yml
  git diff --quiet || git commit --quiet --all --message "pins: the action is $version at ${commit:0:10}"
  # The README names the workflows, which cannot contain their own commit: the one that was just made.
  # shellcheck disable=SC2086  # a list
  name_instead "$WORKFLOW" "$(git log -1 --format=%H -- $REUSABLE)" "$version" README.md
  git diff --quiet || git commit --quiet --all --message "pins: the workflows to call are those of $version"
  pins
}

readme() {
  local action commit version
  sed -nE 's|.*uses: (actions/[a-z-]+)@([0-9a-f]+) # (v[0-9.]+).*|\1 \2 \3|p' .github/workflows/*.yml | sort -u |
    while read -r action commit version; do
      sed -i -E "s|(uses: $action)@[0-9a-f]+ # v[0-9.]+|\1@$commit # $version|" README.md
    done
}

pins() {
  local action commit version workflows
  action=$(named '' README.md .github/workflows/*.yml)
  [ "$(wc -l <<<"$action")" = 1 ] || die "different commits of the action are named:"$'\n'"$action"
  read -r commit version <<<"$action"
  git cat-file -e "$commit^{commit}" 2>/dev/null ||
    die "commit $commit of the action is not in this clone: it needs the whole history and the tags"
  if git rev-parse --verify --quiet "refs/tags/$version" >/dev/null; then
    [ "$(git rev-parse "$version^{commit}")" = "$commit" ] ||
      die "$version is not commit ${commit:0:10}: run .github/release.sh pin $version"
  else
    git diff --quiet "$commit" -- action.yml .github/action ||
      die "there is no release yet, and the action has changed since ${commit:0:10}: run .github/release.sh pin HEAD"
  fi
  workflows=$(named "$WORKFLOW" README.md)
  [ "$(wc -l <<<"$workflows")" = 1 ] || die "README.md names different commits of the workflows:"$'\n'"$workflows"
  read -r commit _ <<<"$workflows"
  git cat-file -e "$commit^{commit}" 2>/dev/null || die "commit $commit of the workflows is not in this clone"
  # shellcheck disable=SC2086  # a list
  git diff --quiet "$commit" -- $REUSABLE ||
    die "the workflows have changed since ${commit:0:10}, which README.md names: run .github/release.sh pin $version"
  printf 'the action is %s at %s\n' "$version" "${action%% *}"
}

WORK=$(mktemp -d)
# shellcheck disable=SC2317,SC2329  # called by trap
clean() {
  git worktree remove --force "$WORK/tree" 2>/dev/null || true
  rm -rf "$WORK"
}
trap clean EXIT

case ${1:-} in
  check|notes|readme|pins) [ $# = 1 ] && "$1" ;;
  assemble|publish|pin) [ $# = 2 ] && "$1" "$2" ;;
  *) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac

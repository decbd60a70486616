# shellcheck shell=sh
# The stage: files on their way to the live tree, not one of them live yet. Each run has one of its own,
# STAGE/PID; that of a dead run is removed under the lock.
#
# A unit's folder in the stage, $staged, holds files/ and inplace/ (staged files; the latter will be written
# in place) and lists of manifest lines or path lines. src/apply/stage.rs, which makes them, says what each
# list is.

# receive few|many, followed by a gzipped tar of as many files in pieces: takes it as the new stage. All that
# touches it is started by this driver and holds the lock. A stop request ends it at once, because it may be
# waiting for a client that has gone.
receive() {
  [ -n "$locked" ] || make_scratch || { pieces >/dev/null; return 1; }
  exec 7<&0
  # In the background, because only `wait` lets a stop request in.
  (out=$(pieces <&7 | unpack "$1" 2>&1); rc=$?; output "$out"; exit $rc) & upload=$!
  # The request may have come before that was known.
  [ -z "$ended" ] || stop_upload
  wait "$upload"; rc=$?
  [ -z "$ended" ] || { wait "$upload" 2>/dev/null; rc=1; }
  exec 7<&-
  upload=
  # An upload that is not complete makes room again, also what earlier runs have left.
  [ $rc = 0 ] || [ -z "$locked" ] || { rm -rf "$data/stage"; collect 1000000; }
  return $rc
}
# make_scratch: makes a stage for a driver that only looks: a private folder outside of the root, which goes
# with the driver.
make_scratch() {
  [ -z "$scratch" ] || return 0
  stage=${TMPDIR:-/tmp}/$mark
  out=$(mkdir -- "$stage" 2>&1) || { output "$out"; return 1; }
  scratch=$stage prints=$stage/print.lock
}
# stop_upload: ends the upload that is under way, if there is one.
stop_upload() {
  # shellcheck disable=SC2046 # a list of ids
  [ -z "$upload" ] || kill -9 $(family "$upload") 2>/dev/null || :
}
# pieces: prints the pieces, each of which follows a line with its size, up to the line "end". An empty piece
# is a heartbeat.
pieces() {
  while heartbeat idle && IFS= read -r size && [ "$size" != end ]; do
    [ "$size" = 0 ] || dd bs="$size" count=1 iflag=fullblock status=none
  done
  heartbeat busy
}
# unpack few|many < a gzipped tar: makes the stage. What will be renamed into place (files and manifests) is
# on the disk afterwards. For many files it is faster to flush the whole filesystem.
unpack() (
  { [ -n "$scratch" ] || { rm -rf "$data/stage" && mkdir -p "$stage"; }; } && cd "$stage" && {
    # Folders keep their mode when they are renamed into place.
    umask 022
    tar -xzpmof - && copy_kept && make_manifests
  }
  rc=$?
  # The pieces come to their end, whatever became of the first of them.
  cat >/dev/null
  [ $rc = 0 ] || exit $rc
  [ -z "$scratch" ] || exit 0
  if [ "$1" = many ]; then sync -f . 2>/dev/null || :
  else
    flush_found . '(' -path './*/files/*' -o -path './*/inplace/*' -o -path './*/new' -o -path './*/old' ')'
  fi
)

# copy_kept: copies the staged files in the list +copies, lines "SHA256 p PATH", to +objects.
copy_kept() {
  [ -e +copies ] || return 0
  make_folder +objects || return 1
  while IFS= read -r line; do
    hash=${line%% *} line=${line#* }
    parse_path
    cp -- "./$path" "+objects/$hash" || return 1
  done <+copies
}

# make_manifests: makes the lists old and new of units that have changes instead: how the recorded manifest
# becomes the new one, lines "=COUNT" (so many lines stay), "-" (a line goes) and "+LINE".
make_manifests() {
  set +f
  for file in */changes; do
    [ -f "$file" ] || continue
    unit=${file%/*}
    (cd "./$unit" && cp -- "$data/manifest/$unit" old && awk '
      function old_line() { return (getline line <"old") > 0 }
      /^=/ { for (n = substr($0, 2) + 0; n > 0 && old_line(); n--) print line; next }
      /^-/ { old_line(); next }
      { print substr($0, 2) }' changes >new && sha256sum -c sums >/dev/null 2>&1) ||
      { print "the record of $unit could not be brought to its new state"; return 1; }
  done
}

# arrived: whether every staged file is as it was sent.
arrived() {
  [ -d "$staged" ] || { print 'nothing is staged'; return 1; }
  bad=
  for list in put:files in_place:inplace; do
    from=$staged/${list%:*}
    [ -s "$from" ] || continue
    bad=$bad$(cd "$staged/${list#*:}" || exit
      if sums <"$from" | sha256sum -c >/dev/null 2>&1; then sed '/^f /d' "$from"; else cat -- "$from"; fi |
        each print_found) || bad=none
  done
  [ -z "$bad" ] || { printf 'staged files did not arrive as they were sent:\n%s\n' "$bad"; return 1; }
}

# candidate UNIT: links the files that Compose reads into STAGE/UNIT/candidate, as they will be after the
# swap: staged files over live ones. A relative link stays one, so that it leads to its target in there; the
# list has its target, too.
candidate() {
  staged=$stage/$1 to=$stage/$1/candidate inside='' linked=''
  know_movable "$1"
  arrived && make_folder "$to" || return 1
  while IFS= read -r line; do
    parse_path
    file=$to/$path
    ! is_behind_link "$path" || continue
    make_folder "${file%/*}" || return 1
    for from in "$staged/files/$path" "$staged/inplace/$path" "$stage/+shared/files/$path" "$root/$path"; do
      [ -e "$from" ] || [ -L "$from" ] || continue
      if [ "$from" = "$root/$path" ]; then
        ! grep -qxF -- "$line" "$staged/removed" 2>/dev/null || continue
        # Files that only the host has may lie behind links.
        go_beside "$path" 2>/dev/null || ! cat -- "$staged/new" "$data/manifest/+shared" 2>/dev/null |
          grep -qF -- " $name" || go_beside "$path" || return 1
      fi
      value=$(readlink -- "$from" && print .) value=${value%??}
      case $value in
        '' | /*) ln -sf -- "$from" "$file" || return 1 ;;
        *) ln -s -- "$value" "$file" && linked=$linked$line$nl || return 1 ;;
      esac
      break
    done
  done <"$staged/reads"
  print "$linked" | link_targets
}
# link_targets < path lines of links in the candidate: links what they lead to, if only the host has it.
link_targets() {
  while IFS= read -r line; do
    parse_path
    [ -z "$path" ] || [ -e "$to/$path" ] || [ ! -e "$root/$path" ] ||
      ln -sfn -- "$root/$path" "$to/$path" || return 1
  done
}
# is_behind_link PATH: whether a folder that leads to PATH in the candidate is a link. Its target is in the
# list.
is_behind_link() {
  at=$1
  while :; do
    case $at in */*) at=${at%/*} ;; *) return 1 ;; esac
    [ ! -L "$to/$at" ] || return 0
  done
}

# stage_kept UNIT: stages the files of the lists put and in_place out of the objects.
stage_kept() {
  umask 022
  staged=$stage/$1 bad=
  for list in put:files in_place:inplace; do
    to=$staged/${list#*:}
    bad=$bad$(each take_kept <"$staged/${list%:*}") || return 1
  done
  [ -z "$bad" ] || { print "no longer on the host: $bad"; return 1; }
}
# take_kept KIND MODE SHA256 PATH NAME: stages one; prints NAME if there is no such object.
take_kept() {
  if object "$3"; then copy_object "$to" chmod '' "$@"; else print "$5"; fi
}
# copy_object FOLDER chmod|fit OPTION KIND MODE SHA256 PATH: makes FOLDER/PATH out of an object, with OPTION
# for cp, if it is not empty, and sets the mode.
copy_object() {
  file=$1/$7
  object "$6" && make_folder "${file%/*}" || return 1
  case $4 in
    [lL]) value=$(cat -- "$from" && printf .) && ln -s -- "${value%.}" "$file" ;;
    *) out=$(cp ${3:+"$3"} -- "$from" "$file" 2>&1) || place_link "$from" "$file" ||
        { print "$out"; return 1; }
      "$2" "$5" "$file" ;;
  esac
}

# place_link OBJECT FILE: for a full disk, which has no room for a copy.
place_link() { rm -f -- "$2" && ln -- "$1" "$2" 2>/dev/null; }

# flush FILE…: brings files to the disk. Where sync takes no files, a crash of the host may lose them.
flush() { sync -- "$@" 2>/dev/null || :; }
# flush_found FIND-ARGUMENT…: the same for all files that find finds.
flush_found() { find "$@" -type f -print0 | xargs -0 -r sync -- 2>/dev/null || :; }
# make_folder PATH
make_folder() { [ -d "$1" ] || mkdir -p -- "$1"; }

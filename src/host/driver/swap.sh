# shellcheck shell=sh
# The swap: staged files replace live ones, and what is replaced goes to objects/ first. The working directory
# is the root.

# swap UNIT: the only moment at which live files change. It works on the lists keep, delete, sweep, added,
# in_place, put and new.
swap() {
  staged=$stage/$1 copies='' copied=0 folders=$stage/$1/made
  [ -d "$staged/candidate" ] || arrived || return 1
  make_folder "$staged/kept" && each keep <"$staged/keep" && store &&
    claim "$1" new && printf '' >"$staged/begun" || return 1
  umask 022
  { [ ! -s "$staged/delete" ] || delete <"$staged/delete"; } &&
    sweep <"$staged/sweep" && is_vacant <"$staged/added" && each write_staged <"$staged/in_place" &&
    { [ ! -s "$staged/put" ] || place "$staged/files" .; } && record "$1" new || return 1
  printf '' >"$staged/complete" || :
}

# keep KIND MODE SHA256 PATH NAME: copies what lies at PATH; store makes objects of the copies. If it is no
# longer what the plan was made for, somebody is editing it, and nothing is replaced.
keep() {
  case " $copies " in *" $3 "*) ! differs "$@" || changed "$5"; return ;; esac
  if [ -L "./$4" ]; then kind=l; elif [ -f "./$4" ]; then kind=f; else kind=o; fi
  case $kind$1 in
    l[lL]) readlink -n "./$4" >"$staged/kept/$3" || return 1 ;;
    f[fF]) cp -p -- "./$4" "$staged/kept/$3" || return 1 ;;
    *) changed "$5"; return ;;
  esac
  copies="$copies $3" copied=$((copied + 1))
  # 500 digests are well below the limits of an argument list.
  [ "$copied" -lt 500 ] || store
}
# changed NAME: says so, and fails.
changed() { print "changed before it could be replaced: $1"; return 1; }
# store: the copies become objects once their content is proven to have the digest that they are named by.
store() {
  [ "$copied" -gt 0 ] || return 0
  cd "$staged/kept" || return 1
  # shellcheck disable=SC2046,SC2086 # digests
  set -- $(sha256sum -- $copies)
  while [ $# -gt 1 ] && [ "$1" = "$2" ]; do shift 2; copied=$((copied - 1)); done
  [ "$copied" = 0 ] || { changed "$(sed -n "s/^[^ ]* [^ ]* [^ ]* ${2-} //p" "$staged/keep")"; return 1; }
  # Objects of this run are noted for its release before they exist, for nothing else may refer to them.
  # shellcheck disable=SC2086
  print $copies | cat >>"$data/kept" && flush $copies && mv -f -- $copies "$data/objects/" && cd "$root" ||
    return 1
  copies=
}

# claim UNIT new|old: from now on the files of that manifest may be on the host and are ours, until it is
# recorded. What an interrupted run has claimed stays claimed. UNIT+last is a second change of UNIT.
claim() {
  claimed=''
  set -- "${1%+last}" "$2"
  if [ -e "$data/pending/$1" ]; then cat -- "$data/pending/$1" "$staged/$2" >"$staged/claim"
  elif ln -- "$staged/$2" "$data/pending/$1" 2>/dev/null; then claimed=1; return 0
  else cp -- "$staged/$2" "$staged/claim"; fi &&
    flush "$staged/claim" && mv -f -- "$staged/claim" "$data/pending/$1"
}
# record UNIT new|old: that manifest is what is deployed, and nothing is pending any more.
record() {
  set -- "${1%+last}" "$2"
  if [ ! -s "$staged/$2" ]; then rm -f -- "$data/manifest/$1" "$data/pending/$1"
  elif [ -n "$claimed" ]; then mv -f -- "$data/pending/$1" "$data/manifest/$1"
  else mv -f -- "$staged/$2" "$data/manifest/$1" && rm -f -- "$data/pending/$1"; fi
}

# place FROM DIR: renames what is in FROM/DIR into DIR, a folder below the root. A folder that is not there
# yet is renamed as a whole, and noted in $folders, so that a rollback can remove it.
place() (
  set +f
  from=$1 dir=$2
  set --
  for entry in "$from/$dir"/* "$from/$dir"/.[!.]* "$from/$dir"/..?*; do
    at=$dir/${entry##*/}
    if [ -L "$entry" ] || [ ! -d "$entry" ]; then [ -L "$entry" ] || [ -e "$entry" ] || continue
    elif [ -d "$at" ]; then place "$from" "$at" || exit 1; continue
    else (cd "$from" && find "$at" -depth -type d -print0) >>"$folders" || exit 1; fi
    set -- "$@" "$entry"
    [ $# -lt 200 ] || { mv -f -- "$@" "$dir/" || exit 1; set --; }
  done
  [ $# = 0 ] || mv -f -- "$@" "$dir/"
)
# write CONTENT MODE PATH: replaces the content of the file at PATH, not the file, by that of the file
# CONTENT.
write() { { [ -e "./$3" ] || printf '' >"./$3"; } && fit "$2" "./$3" && cat -- "$1" >"./$3" && flush "./$3"; }
# fit MODE FILE: sets the mode. Only the executable bit counts, unless MODE is private.
fit() {
  case $1 in
    ?00) chmod "$1" "$2" ;;
    7*) [ -x "$2" ] || chmod "$1" "$2" ;;
    *) [ ! -x "$2" ] || chmod "$1" "$2" ;;
  esac
}
# write_staged, write_kept KIND MODE SHA256 PATH NAME: the staged file, or the object, is written in place.
write_staged() { write "$staged/inplace/$4" "$2" "$4"; }
write_kept() { write "$data/objects/$3" "$2" "$4"; }

# is_vacant < manifest lines: whether no file that will be added would overwrite one that is not ours.
is_vacant() {
  all=$(cat)
  [ -n "$all" ] || return 0
  all=$(print "$all" | plain_paths | with_lines stat -c '%f %n' 2>/dev/null | sed -n '/^4/d; s/^[^ ]* \.\///p'
    print "$all" | sed -n '/^[FL]/p' | each print_occupied)
  [ -z "$all" ] || { print "appeared while the files were being put in place: $all"; return 1; }
}
# print_occupied, remove KIND MODE SHA256 PATH NAME
print_occupied() { if [ -L "./$4" ] || { [ -e "./$4" ] && [ ! -d "./$4" ]; }; then print "$5"; fi; }
remove() { rm -f -- "./$4"; }
# delete < manifest lines: removes those files. sweep < path lines: removes those folders that are empty by
# now: rmdir refuses all others.
delete() {
  all=$(cat)
  [ -n "$all" ] || return 0
  print "$all" | plain_paths | with_lines rm -f -- || return 1
  print "$all" | sed -n '/^[FL]/p' | each remove
}
sweep() { while IFS= read -r line; do parse_path; rmdir -- "./$path" 2>/dev/null || :; done; }

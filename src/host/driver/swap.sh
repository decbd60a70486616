# shellcheck shell=sh
# The swap: staged files replace live ones, and what is replaced goes to objects/ first.

# swap UNIT: the only moment at which live files change. It works on the lists keep, delete, sweep, added,
# in_place, put and new.
swap() {
  staged=$stage/$1 copies='' copied=0
  know_movable "$1"
  [ -d "$staged/candidate" ] || arrived || return 1
  { [ ! -s "$staged/keep" ] || { make_folder "$staged/kept" && each_in keep <"$staged/keep" && store; }; } &&
    claim "$1" new && printf '' >"$staged/begun" || return 1
  umask 022
  { [ ! -s "$staged/delete" ] || delete <"$staged/delete"; } && sweep <"$staged/sweep" &&
    { [ ! -s "$staged/added" ] || is_new "$1" || is_vacant <"$staged/added"; } &&
    each_in write_staged <"$staged/in_place" &&
    { [ ! -s "$staged/put" ] || { inherit files undo put && place "$staged/files" .; }; } &&
    record "$1" new || return 1
  printf '' >"$staged/complete" || :
}

# keep KIND MODE SHA256 PATH NAME: copies what lies at PATH; store makes objects of the copies. If it is no
# longer what the plan was made for, somebody is editing it, and nothing is replaced. The copy of a link that
# is put there at this moment is a link.
keep() {
  [ "$absent" != barred ] || return 1
  case " $copies " in *" $3 "*) ! differs "$@" || changed "$5"; return ;; esac
  if [ -n "$absent" ]; then kind=m
  elif [ -L "./$4" ]; then kind=l
  elif [ -f "./$4" ]; then kind=f
  else kind=o; fi
  case $kind$1 in
    l[lL]) readlink -n "./$4" | cat >"$staged/kept/$3" || return 1 ;;
    f[fF])
      if ! out=$(cp -P -p -- "./$4" "$staged/kept/$3" 2>&1); then
        rm -f -- "$staged/kept/$3"
        # The disk may be full.
        if is_kept "$3"; then
          ! differs "$@" || { changed "$5"; return; }
          print "$3" >>"$data/kept"
          return
        fi
        keep_by_link "$3" "./$4" || return 1
      fi
      [ ! -L "$staged/kept/$3" ] || { changed "$5"; return; } ;;
    *) changed "$5"; return ;;
  esac
  copies="$copies $3" copied=$((copied + 1))
  # 500 digests are well below the limits of an argument list.
  [ "$copied" -lt 500 ] || store
}
# is_kept SHA256: whether there is such an object, and its content is as its name says.
is_kept() { object "$1" && [ "$(sha256sum <"$from")" = "$1  -" ]; }
# keep_by_link SHA256 FILE: for a full disk, which has no room for a copy. A file that will be written in
# place needs one. `out` is why there is none.
keep_by_link() {
  rm -f -- "$data/objects/$1"
  if grep -qxF -- "$line" "$staged/undo_in_place" || ! ln -- "$2" "$staged/kept/$1" 2>/dev/null; then
    print "$out"
    return 1
  fi
}
# changed NAME: says so, and fails.
changed() { print "changed before it could be replaced: $1"; return 1; }
# store: the copies become objects once their content is proven to have the digest that they are named by.
store() {
  [ "$copied" -gt 0 ] || return 0
  # shellcheck disable=SC2046,SC2086 # digests
  set -- $(cd "$staged/kept" && sha256sum -- $copies)
  while [ $# -gt 1 ] && [ "$1" = "$2" ]; do shift 2; copied=$((copied - 1)); done
  [ "$copied" = 0 ] || { changed "$(sed -n "s/^[^ ]* [^ ]* [^ ]* ${2-} //p" "$staged/keep")"; return 1; }
  # Objects of this run are noted for its release before they exist, for nothing else may refer to them.
  # shellcheck disable=SC2086
  print_lines $copies >>"$data/kept" &&
    (cd "$staged/kept" && flush $copies && mv -f -- $copies "$data/objects/") || return 1
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
    flush "$staged/claim" && rename "$staged/claim" "$data/pending/$1"
}
# record UNIT new|old: that manifest is what is deployed, and nothing is pending any more.
record() {
  set -- "${1%+last}" "$2"
  if [ ! -s "$staged/$2" ]; then rm -f -- "$data/manifest/$1" "$data/pending/$1"
  elif [ -n "$claimed" ]; then rename "$data/pending/$1" "$data/manifest/$1"
  else rename "$staged/$2" "$data/manifest/$1" && rm -f -- "$data/pending/$1"; fi
}
# rename FILE TO: renames a file of ours. `mv` would move it into a directory, also one that a link leads to.
rename() { [ ! -d "$2" ] && mv -f -- "$1" "$2"; }

# inherit FOLDER BEFORE AFTER: gives the staged files in FOLDER, which are those of the list AFTER, the owner,
# the mode and, where cp can, the labels of those that they replace, which are in the list BEFORE: a container
# may have made a file its own. Only the executable bit is that of the list, unless the file is or was
# private.
inherit() {
  ready=$staged/$1
  replaced=$(awk '
    { name = $0; sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, "", name) }
    !/^[fF]/ { next }
    k == "u" { before[name] = $2; next }
    name in before {
      if ($2 ~ /00$/ || before[name] ~ /00$/) sub(/^[fF] [0-7]*/, "&!")
      print
    }' k=u "$staged/$2" k=p "$staged/$3")
  [ -n "$replaced" ] || return 0
  inside=''
  print "$replaced" | {
    set --
    while IFS= read -r line; do
      parse_entry
      case $path in */*) dir=${path%/*} ;; *) dir=. ;; esac
      [ $# = 0 ] || { [ "$dir" = "$inside" ] && [ $# -lt 200 ]; } || { copy_owner "$@"; set --; }
      go_beside "$path" || exit 1
      # cp would make one that is not there.
      [ -n "$absent" ] || [ ! -f "$ready/$path" ] || set -- "$@" "./${path##*/}"
    done
    [ $# = 0 ] || copy_owner "$@"
  } || return 1
  print "$replaced" | each fit_inherited
}
# copy_owner ./FILE…: for files of the folder $inside, which is the working directory.
copy_owner() {
  to=$ready/$inside
  ! cp -P --attributes-only --preserve=all --no-preserve=timestamps -- "$@" "$to/" 2>/dev/null || return 0
  # This cp cannot do that.
  out=$(stat -c '%u:%g %a %n' -- "$@")
  [ "$out" != "$(cd "$to" && stat -c '%u:%g %a %n' -- "$@")" ] || return 0
  print "$out" | while IFS= read -r line; do
    file=$to/${line#* * } line=${line%" ${line#* * }"}
    [ ! -f "$file" ] || { chown -- "${line% *}" "$file"; chmod -- "${line#* }" "$file"; } 2>/dev/null || :
  done
}
# fit_inherited KIND MODE SHA256 PATH NAME: sets the executable bit of the staged file; all of a MODE with
# "!".
fit_inherited() {
  file=$ready/$4
  [ -f "$file" ] || return 0
  case $2 in
    *!) chmod -- "${2%!}" "$file" ;;
    7*) [ -x "$file" ] || chmod -- "$(stat -c %a -- "$file" | tr 46 57)" "$file" ;;
    *) [ ! -x "$file" ] || chmod -- a-x "$file" ;;
  esac
}

# place FROM FOLDER: renames what is in FROM/FOLDER into FOLDER, which is a path below the root. A folder that
# is not there yet is renamed as a whole.
place() (
  above=$1 folder=$2
  set -f
  enter "$folder" && [ -z "$absent" ] || exit 1
  set +f
  set --
  for entry in "$above/$folder"/* "$above/$folder"/.[!.]* "$above/$folder"/..?*; do
    if [ -L "$entry" ] || [ ! -d "$entry" ]; then [ -L "$entry" ] || [ -e "$entry" ] || continue
    elif [ -d "./${entry##*/}" ]; then
      at=${entry##*/}
      [ "$folder" = . ] || at=$folder/$at
      place "$above" "$at" || exit 1
      continue
    fi
    set -- "$@" "$entry"
    [ $# -lt 200 ] || { mv -f -- "$@" ./ || exit 1; set --; }
  done
  [ $# = 0 ] || mv -f -- "$@" ./
)
# write CONTENT MODE FILE: replaces the content of FILE, in the working directory, by that of the file
# CONTENT. FILE stays the same file.
write() {
  [ -z "$absent" ] || { changed "$3"; return; }
  { [ -e "./$3" ] || [ -L "./$3" ] || (set -C; printf '' >"./$3"); } && write_open "$@" 7<"./$3"
}
write_open() {
  is_open "$3" || { changed "$3"; return; }
  fit "$2" /proc/self/fd/7 && cat -- "$1" >/proc/self/fd/7 && flush "./$3"
}
# fit MODE FILE: sets the mode. Only the executable bit counts, unless MODE is private.
fit() {
  case $1 in
    ?00) chmod "$1" "$2" ;;
    7*) [ -x "$2" ] || chmod "$1" "$2" ;;
    *) [ ! -x "$2" ] || chmod "$1" "$2" ;;
  esac
}
# write_staged, write_kept KIND MODE SHA256 PATH NAME: the staged file, or the object, is written in place.
write_staged() { write "$staged/inplace/$path" "$2" "$4"; }
write_kept() { object "$3" && write "$from" "$2" "$4"; }
# object SHA256: sets from to the object, if there is one.
object() { from=$data/objects/$1; [ -f "$from" ] && [ ! -L "$from" ]; }

# is_new UNIT: whether nothing lies where its folder will be, for a folder that is named as its unit is.
is_new() { case $1 in *[%+*]*) return 1 ;; esac; [ ! -e "$root/$1" ] && [ ! -L "$root/$1" ]; }
# is_vacant < manifest lines: whether no file that will be added would overwrite one that is not ours.
is_vacant() {
  all=$(cat)
  cd "$root" || return 1
  all=$(print "$all" | plain_paths | with_lines stat -c '%f %n' 2>/dev/null | sed -n '/^4/d; s/^[^ ]* \.\///p'
    print "$all" | sed -n '/^[FL]/p' | each_in print_occupied)
  [ -z "$all" ] || { print "appeared while the files were being put in place: $all"; return 1; }
}
# print_occupied KIND MODE SHA256 PATH NAME
print_occupied() {
  [ -z "$absent" ] || return 0
  if [ -L "./$4" ] || { [ -e "./$4" ] && [ ! -d "./$4" ]; }; then print "$5"; fi
}
# delete < manifest lines: removes those files. sweep < path lines: removes those folders that are empty by
# now: rmdir refuses all others.
delete() {
  inside=
  set --
  while IFS= read -r line; do
    parse_entry
    case $path in */*) dir=${path%/*} ;; *) dir=. ;; esac
    if [ $# -gt 0 ] && { [ "$dir" != "$inside" ] || [ $# -ge 200 ]; }; then
      rm -f -- "$@" || return 1
      set --
    fi
    go_beside "$path" || return 1
    [ -n "$absent" ] || set -- "$@" "./${path##*/}"
  done
  [ $# = 0 ] || rm -f -- "$@"
}
sweep() {
  inside=
  while IFS= read -r line; do
    parse_path
    ! go_beside "$path" 2>/dev/null || [ -n "$absent" ] || rmdir -- "./${path##*/}" 2>/dev/null || :
  done
}

# shellcheck shell=sh
# The rollback of a swap's files.

# restore UNIT: undoes a swap, also half of one, with the lists undo, undo_in_place, added and old. It writes
# no more than it frees, because the disk may be full.
#
# restore UNIT well-: brings back another version than the one before the swap, with the lists well-undo and
# so on: the last one that was well, if the version before the swap was left by a run that was cut off.
restore() {
  staged=$stage/$1 well=${2-} copies='' copied=0 claimed='' before=put
  [ -z "$well" ] || before=${well}over
  [ -n "$well" ] || [ -e "$staged/begun" ] || return 0
  know_movable "$1"
  [ -z "$well" ] || {
    gone=$(each_in print_gone <"$staged/${well}undo")
    [ -z "$gone" ] || { print "no longer on the host: $gone"; return 1; }
    make_folder "$staged/kept" && each_in keep_changed <"$staged/${well}over" && store || return 1
  }
  # Services may have written to the new files since; that is not lost, either.
  if [ -e "$staged/complete" ]; then
    each_in keep_changed <"$staged/put" && each_in keep_changed <"$staged/in_place" && store || return 1
  fi
  # While a swap is pending, the recorded manifest is still the old one.
  [ -e "$data/pending/${1%+last}" ] || claim "$1" "${well}old" || return 1
  umask 022
  each_in print_wanted <"$staged/${well}undo_in_place" | each_in write_kept || return 1
  each print_arrived <"$staged/${well}added" | delete || return 1
  if [ -n "$well" ]; then sweep <"$staged/${well}sweep"; else print_made <"$staged/added" | sweep; fi
  lost=$(each_in print_lost <"$staged/${well}undo")
  [ -z "$lost" ] ||
    { print "$lost" | each bring_back && inherit back "$before" "${well}undo" &&
      flush_found "$staged/back" && place "$staged/back" .; } || return 1
  record "$1" "${well}old"
}
# print_gone KIND MODE SHA256 PATH NAME: prints NAME if the content has to come back and is not there.
print_gone() { ! differs "$@" || object "$3" || print "$5"; }
# keep_changed KIND MODE SHA256 PATH NAME: keeps the file at PATH if it is not the one that was put there.
keep_changed() {
  differs "$@" || return 0
  case $found in [fFlL]*) value=${found#* * * }; keep "${found%% *}" - "${value%% *}" "$4" "$5" ;; esac
}
# print_arrived KIND MODE SHA256 PATH NAME: prints the line if the swap has put that file at PATH: then it is
# no longer in the stage. Anything else at PATH is not ours.
print_arrived() { [ -e "$staged/files/$4" ] || [ -L "$staged/files/$4" ] || print "$line"; }
# print_made < manifest lines: the folders of these files that the swap has put there as a whole, the deepest
# first. They are no longer in the stage.
print_made() {
  movable=$nl
  ways | awk '{ all[NR] = $0 } END { for (; NR > 0; NR--) print all[NR] }' | while IFS= read -r line; do
    parse_path
    [ -d "$staged/files/$path" ] || print "$line"
  done
}
# print_lost KIND MODE SHA256 PATH NAME: prints the line if that file is no longer at PATH, unless it was
# written in place.
print_lost() { [ -e "$staged/inplace/$path" ] || print_wanted "$@"; }
# bring_back KIND MODE SHA256 PATH NAME: makes that file in the stage, out of the objects, with the mode that
# it had.
bring_back() { copy_object "$staged/back" fit -p "$@"; }

# shellcheck shell=sh
# Drift: whether the managed files are those that were deployed last.
#
# Owns names.0, names.1 (the managed files, in two halves if there are many), folders (those that lead there),
# listing (how the files looked after the last run) and proof.0, proof.1 (digests of the two halves of the
# listing; the first also covers the manifests).

# hash_manifests: sets digests.
hash_manifests() { digests=$(cd "$data/manifest" 2>/dev/null && set +f && sha256sum -- * 2>/dev/null); }
# names [PARTS PART]: the managed files of every unit, or of one part of the units, each followed by a NUL.
# Names with escapes are left out: they are looked at one by one.
names() {
  (set +f; awk -v parts="${1-1}" -v part="${2-0}" '
    FNR == 1 { unit++ }
    unit % parts == part && /^[fl]/ { sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, ""); print "./" $0 }
  ' "$data/manifest"/* 2>/dev/null) | tr '\n' '\0'
}
# listing < names: inode, size, type and mode, mtime and ctime in nanoseconds, name. No write and no rename
# leaves the ctime as it was.
listing() { xargs -0 -r stat -c '%i %s %f %.9Y %.9Z %n' 2>/dev/null; }

# is_clean, is_rest_clean: whether the host provably has, byte for byte, what was deployed last. Each proves
# one half.
is_clean() {
  { print "$digests"; listing <"$data/names.0"; } | proves 0
} 2>/dev/null
is_rest_clean() { [ ! -s "$data/names.1" ] || { listing <"$data/names.1" | proves 1; }; } 2>/dev/null
# proves PART < what proof.PART has the digest of
proves() { [ -s "$data/proof.$1" ] && sha256sum -c "$data/proof.$1" >/dev/null 2>&1; }

# deviations [LISTING…]: a manifest line for each managed file that is not what was deployed last. It works on
# these files with a listing, or on a new listing. Only a file that looks as it did after the last run is not
# hashed.
deviations() {
  known=$data/listing; [ -r "$known" ] || known=/dev/null
  # "h LINE" is a plain file of the right mode, so its content decides. "x LINE" has to be looked at.
  lines=$(if [ $# -gt 0 ]; then cat -- "$@"; else names | listing; fi | (set +f; awk '
    function name(l) { sub(/^[^ ]* [^ ]* [^ ]* [^ ]* [^ ]* \.\//, "", l); return l }
    k == "s" { seen[name($0)] = $0; next }
    k == "n" { path = name($0); now[path] = $0; type[path] = $3; next }
    !/^[fFlL] [0-7]+ [0-9]+ [0-9a-f]+ ./ { next }
    { path = $0; sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, "", path) }
    /^[fl]/ && path in now && path in seen && seen[path] == now[path] { next }
    /^f/ && path in now && type[path] ~ /^8/ {
      runs = index("4567cdef", substr(type[path], length(type[path]) - 1, 1)) > 0
      if (runs == ($2 ~ /^7/)) { print "h " $0; next }
    }
    { print "x " $0 }' k=s "$known" k=n - k=m "$data/manifest"/*)) || return 1
  [ -z "$way" ] || lines=$(print "$lines" | reachable "$way")
  [ -n "$lines" ] || return 0
  { print "$lines" | sed -n 's/^x //p'; print "$lines" | sed -n 's/^h //p' | unproven; } | each_in print_found
}
# unproven < manifest lines of plain files: those whose content is not proven to be as recorded.
unproven() {
  all=$(cat)
  {
    print "$all" | sums | sha256sum -c 2>/dev/null | sed -n 's/^\.\/\(.*\): OK$/g \1/p'
    print "$all" | sed 's/^/m /'
  } | awk '
    { l = substr($0, 3); path = l }
    $1 == "g" { good[l]; next }
    { sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, "", path) }
    l != "" && !(path in good) { print l }'
}

# seal: makes the listing, so that the next run can prove that nothing has changed since. A file that is not
# as recorded is left out, so the next run hashes it again.
seal() {
  unsealed=
  hash_manifests
  rm -f "$data/proof.0"
  [ -n "$digests" ] || return 0
  know_movable
  (set +f; cat "$data/manifest"/*) | ways >"$data/folders.new" &&
    mv -f "$data/folders.new" "$data/folders" || return 0
  # What is behind a link is not ours, so there is nothing to prove.
  way=$(links <"$data/folders")
  [ -z "$way" ] || return 0
  parts=1
  [ "$(set +f; awk 'END { print NR }' "$data/manifest"/*)" -lt 2000 ] || parts=2
  for part in 1 0; do
    names $parts $part >"$data/names.new" && mv -f "$data/names.new" "$data/names.$part" || return 0
  done
  at=$(stat -c %.9Z "$data/names.0" 2>/dev/null)
  # Without nanoseconds there is no proof.
  case $at in *.?????????) ;; *) return 0 ;; esac
  # Past the tick of the clock in which the last write was, so that any later write has another ctime.
  sleep 0.02 2>/dev/null || sleep 1
  for part in 0 1; do listing <"$data/names.$part" >"$data/listing.$part"; done
  deviations "$data/listing.0" "$data/listing.1" >"$data/listing.bad" || return 0
  # A file that was written after names.0 is too fresh: a later write could have the same ctime. The listing
  # proves something only if it is complete.
  if (set +f; awk -v at="$at" '
    k == "b" { sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, ""); bad["./" $0]; less = 1; next }
    k == "m" { sub(/^[fl] [^ ]* [^ ]* [^ ]* /, "./"); if (!($0 in good)) less = 1; next }
    { path = $0; sub(/^[^ ]* [^ ]* [^ ]* [^ ]* [^ ]* /, "", path) }
    path in bad || ($5 "") > (at "") { less = 1; next }
    { good[path]; print }
    END { exit less }
  ' k=b "$data/listing.bad" k=n "$data/listing.0" "$data/listing.1" k=m "$data/manifest"/*) \
    >"$data/listing.new"; then
    value=$(sha256sum <"$data/listing.1") && print "$value" >"$data/proof.1" &&
      value=$({ print "$digests"; cat -- "$data/listing.0"; } | sha256sum) && print "$value" >"$data/proof.0"
  fi
  mv -f "$data/listing.new" "$data/listing"
  rm -f "$data/listing.0" "$data/listing.1" "$data/listing.bad"
}

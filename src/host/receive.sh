# shellcheck shell=sh
# The other end of an upload: takes a gzipped tar, up to the end of stdin, as the new stage.
#
# Before it come two lines: the root, with the escapes of printf %b, and "few" or "many" for how many
# files there are.
set -u
umask 077
IFS= read -r root && IFS= read -r files && root=$(printf '%b.' "$root") && st=${root%.}/.ghdeploy/stage || exit 1
rm -rf "$st" && mkdir -m 700 "$st" && cd "$st" || exit 1
# What is put into place is on the disk before. Many files are there sooner with all that the
# filesystem holds. Where sync takes no files, a crash of the host may lose what is new.
flush() { case $files in few) find . -type f -print0 | xargs -0 -r sync -- ;; *) sync -f . ;; esac 2>/dev/null || :; }
# Folders are renamed into place as they come out of it.
umask 022
tar -xzpmof - && flush && exit 0
# What has not come in full makes room again.
rc=$?
cd / && rm -rf "$st"
exit "$rc"

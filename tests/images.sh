#!/usr/bin/env bash
# Builds the images that the demo and the tests use, from the machine's own static busybox, without a
# registry. Images that this version of the script has already built are left alone.
#
#   ghdeploy-test/busybox:1     busybox and its applets, CMD sh
#   ghdeploy-test/web:1, :2     busybox httpd on 8080 serving /www, with a healthcheck every second. They
#                               differ in one byte of /www/index.html, so that a test can change an image
set -euo pipefail

die() { printf 'images: %s\n' "$*" >&2; exit 1; }

RECIPE=$(cksum <"$0" | cut -d' ' -f1)
current() { # IMAGE
  [ "$(docker image inspect --format '{{index .Config.Labels "ghdeploy-test.recipe"}}' "$1" 2>/dev/null)" = "$RECIPE" ]
}
if current ghdeploy-test/busybox:1 && current ghdeploy-test/web:1 && current ghdeploy-test/web:2; then exit 0; fi

docker version >/dev/null 2>&1 || die "this user cannot reach Docker Engine: run tests/setup.sh demo"
busybox=$(command -v busybox) || die "busybox is missing: run tests/setup.sh demo"
if ldd "$busybox" >/dev/null 2>&1; then die "$busybox is not statically linked: run tests/setup.sh demo"; fi
for applet in sh httpd wget nc crond sleep cat sha256sum; do
  "$busybox" --list | grep -x "$applet" >/dev/null || die "$busybox was built without the applet '$applet'"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --- busybox: a root file system with one binary and links to it
mkdir -p "$work/root/"{bin,dev,etc,proc,root,sys,tmp,www}
chmod 1777 "$work/root/tmp"
cp "$busybox" "$work/root/bin/busybox"
"$busybox" --list | while read -r applet; do
  [ "$applet" = busybox ] || ln -s busybox "$work/root/bin/$applet"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$work/root/etc/passwd"
echo 'root:x:0:' >"$work/root/etc/group"
tar -C "$work/root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c . |
  docker import -c 'CMD ["sh"]' -c 'ENV PATH=/bin' -c "LABEL ghdeploy-test.recipe=$RECIPE" - ghdeploy-test/busybox:1 >/dev/null
echo "images: built ghdeploy-test/busybox:1"

# --- web. STOPSIGNAL, because httpd as process 1 ignores SIGTERM, and every stop would take 10 s.
cat >"$work/Dockerfile" <<'D'
FROM ghdeploy-test/busybox:1
ARG VERSION
RUN echo "version $VERSION" > /www/index.html
HEALTHCHECK --interval=1s --timeout=10s --retries=30 --start-period=1s \
  CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"]
STOPSIGNAL SIGKILL
EXPOSE 8080
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
D
for version in 1 2; do
  build=(docker build -q -t "ghdeploy-test/web:$version" --build-arg "VERSION=$version" -)
  # The classic builder needs no buildx and never contacts a registry for the base image. The fallback is for
  # engines that have dropped it.
  DOCKER_BUILDKIT=0 "${build[@]}" <"$work/Dockerfile" >/dev/null 2>&1 || "${build[@]}" <"$work/Dockerfile" >/dev/null
  echo "images: built ghdeploy-test/web:$version"
done

# shellcheck shell=sh
# Facts about the user, the tools of Docker and its engine, one per line: "KEY VALUE".
print "user $(id -un 2>/dev/null || id -u)" "path ${PATH-}" "clock $(date +%s)"
at=$(command -v docker) && print "docker $at"
for at in /usr/local/bin /usr/bin /bin /snap/bin /opt/bin ~/bin ~/.local/bin; do
  [ ! -x "$at/docker" ] || { print "elsewhere $at"; break; }
done
at=$(command -v docker-compose) && print "standalone $("$at" version --short 2>/dev/null | head -n 1)"
if [ -S /var/run/docker.sock ]; then
  at=$(stat -L -c %G /var/run/docker.sock)
  print "socket_group $at"
  ! grep "^$at:" /etc/group 2>/dev/null | grep -q "[:,]$(id -un)\(,\|\$\)" || print "member $at"
fi
for at in docker.sock podman/podman.sock; do
  at=/run/user/$(id -u)/$at
  [ ! -S "$at" ] || print "rootless $at"
done
[ ! -e /sbin/apk ] || print 'system alpine'

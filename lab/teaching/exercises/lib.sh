# shellcheck shell=bash
#
# What the scripts of the exercises share. `lab` sends it to a node together with an exercise's script and the values that
# were drawn, on standard input: nothing of it is ever a file there, or an argument of a process.
#
#   option FILE SECTION NAME VALUE   set an option; the file stays the same file, with its owner and mode
#   sql [DATABASE] <<<STATEMENTS     ask MariaDB; rows without a head
#   batch <<<LINES                   `openstack` commands, one in a line, in one process
#   restart UNIT…                    restart services, and do not wait for those that will not come
#   disconnect ACCOUNT               end the database connections of an account: new rights count for new connections
#   leaving_no_trace FUNCTION        run a function, and give every file the time stamps that it had

LAB_DIR=${LAB_DIR:-/opt/lab}

option() {
  local copy
  copy=$(mktemp -p /run)
  cat -- "$1" >"$copy"
  crudini --merge "$copy" <<EOF
[$2]
$3 = $4
EOF
  cat -- "$copy" >"$1"
  rm -f -- "$copy"
}

# change FILE COMMAND…: the file gets what the command makes of its content; it stays the same file.
change() {
  local file=$1 text
  shift
  text=$("$@" <"$file")
  printf '%s\n' "$text" >"$file"
}

sql() {
  mariadb --batch --skip-column-names "$@"
}

batch() {
  "$LAB_DIR/lib/openstack-batch" >/dev/null
}

restart() {
  systemctl reset-failed "$@" 2>/dev/null || true
  systemctl restart --no-block "$@"
}

disconnect() {
  mariadb <<<"KILL CONNECTION USER '$1';" 2>/dev/null || true
}

# The second pass touches every file, also those that did not change: else the time of the change of the inode, which
# cannot be set, would name the file. A new file gets the time of its directory.
TIMES='
import json, os, sys
roots = ["/etc", "/root", "/srv", "/usr/local", "/var/backups", "/var/cache", "/var/lib/nova", "/var/lib/glance",
         "/var/lib/misc", "/var/local", "/var/mail", "/var/opt", "/var/spool"]
def paths():
    for root in roots:
        yield root
        for top, directories, files in os.walk(root):
            directories[:] = [name for name in directories if name != "instances"]
            yield from (os.path.join(top, name) for name in (*directories, *files))
kept = sys.argv[2]
if sys.argv[1] == "keep":
    times = {path: os.lstat(path).st_mtime_ns for path in paths() if os.path.lexists(path)}
    with open(kept, "w") as file:
        json.dump(times, file)
else:
    with open(kept) as file:
        times = json.load(file)
    for path in sorted(paths(), key=len, reverse=True):
        found = times.get(path, times.get(os.path.dirname(path)))
        if found is not None and os.path.lexists(path):
            os.utime(path, ns=(found, found), follow_symlinks=False)
'

leaving_no_trace() {
  local kept code
  kept=$(mktemp -p /run)
  python3 -I -S -c "$TIMES" keep "$kept"
  set +e
  (
    set -e
    "$1"
  )
  code=$?
  set -e
  python3 -I -S -c "$TIMES" give-back "$kept"
  rm -f -- "$kept"
  return "$code"
}

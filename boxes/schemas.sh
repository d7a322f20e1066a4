#!/usr/bin/env bash
#
# schemas.sh TREE OUT - make the schemas of the services' databases, as dumps
#
# Runs on the host, as root, in mount and process namespaces of its own, after all packages of the box are installed in
# TREE: what it mounts and starts ends with it, however it ends.
# Does:     runs the steps' own commands in TREE, against TREE's MariaDB; writes OUT/DATABASE.sql.gz for each of them.
# Does not: change TREE, which is read-only here: the directories that programs write are copies in memory; listen on
#           any network; use a password, or keep one.
# Environment:
#   BOX_SCHEMAS   file with the steps' lines: `put_file` of the database's configuration, and each `sync_schema`
set -euo pipefail

readonly TREE=$1
readonly OUT=$2
readonly SOCKET=/run/mysqld/mysqld.sock
export MANAGEMENT_INTERFACE_IP_ADDRESS=127.0.0.1 # named in the configuration; nothing listens there
server=

mount_tree() {
  local directory

  mount --bind "$TREE" "$TREE"
  mount -o remount,bind,ro "$TREE"
  mount -t tmpfs -o mode=0755 tmpfs "$TREE/mnt"
  for directory in etc run tmp var; do
    cp -a "$TREE/$directory" "$TREE/mnt/"
    mount --bind "$TREE/mnt/$directory" "$TREE/$directory"
  done
  mount --rbind /dev "$TREE/dev"
  mount --rbind /proc "$TREE/proc"
  # eventlet wants to read which name server there is; nothing asks it.
  rm -f "$TREE/etc/resolv.conf"
  printf 'nameserver 127.0.0.1\n' >"$TREE/etc/resolv.conf"
}

# The database has no accounts then: every connection is root's.
start_server() {
  local tries

  chroot "$TREE" install -d -o mysql -g mysql "${SOCKET%/*}"
  chroot "$TREE" mariadbd --user=mysql --socket="$SOCKET" --skip-networking --skip-grant-tables &
  server=$!
  trap stop_server EXIT
  for ((tries = 0; tries < 300; tries++)); do
    chroot "$TREE" mariadb --execute 'SELECT 1' >/dev/null 2>&1 && return
    kill -0 "$server" || return
    sleep 0.2
  done
  printf 'schemas.sh: MariaDB does not answer\n' >&2
  return 1
}

stop_server() {
  kill "$server" 2>/dev/null || return 0
  wait "$server" || true
}

# The steps' words, as they are meant here.

# put_file PATH <<EOF
put_file() {
  cat >"$TREE$1"
}

# sync_schema "DATABASE…" PACKAGE COMMAND [ARG…]: the databases of one command have the same schema: one is made.
sync_schema() {
  local database=${1%% *}
  local url="mysql+pymysql://root@localhost/%s?unix_socket=$SOCKET"

  shift 2
  [[ $1 != loaded ]] || set -- su -s /bin/sh -c "${*:3}" "$2"
  [[ -n $server ]] || start_server
  chroot "$TREE" mariadb --execute "CREATE DATABASE $database"
  # oslo.config takes an option from OS_GROUP__OPTION before it looks into the service's file.
  # shellcheck disable=SC2059
  chroot "$TREE" env \
    OS_DATABASE__CONNECTION="$(printf "$url" "$database")" \
    OS_API_DATABASE__CONNECTION="$(printf "$url" nova_api)" \
    OS_PLACEMENT_DATABASE__CONNECTION="$(printf "$url" placement)" \
    "$@"
  chroot "$TREE" mariadb-dump --skip-comments --skip-add-drop-table --skip-add-locks --skip-disable-keys "$database" |
    gzip -9n >"$OUT/$database.sql.gz"
}

mkdir -p "$OUT"
mount_tree
# shellcheck source=/dev/null
source "$BOX_SCHEMAS"

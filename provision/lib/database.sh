# shellcheck shell=bash
#
# Schemas.

# sync_schema "DATABASE…" PACKAGE COMMAND [ARG…]: bring the schema of each DATABASE to PACKAGE's version with one
# COMMAND.
#
# COMMAND is a program, or `loaded` with its arguments. The migrations of several services run at the same time: those
# that nobody waits for give way to the Identity service's (`nice`). Where one COMMAND has several databases, they get
# the same schema.
#
# Deviation: an `installed` box has the schemas that the same commands made when it was built (boxes/schemas.sh). An empty
# database gets its schema from there, and COMMAND has nothing left to do, or only what a newer PACKAGE adds.
#
# Skipped when the same version of PACKAGE did it before and the tables are those that it left. A first migration that
# was cut short (a power cut, a kill) leaves half the tables, from which a migration cannot continue. Nothing
# has used such a database yet, so it is emptied and filled again.
sync_schema() {
  local databases=$1 package=$2
  local stamp=$LAB_STATE/schema/${1// /+} begun=$LAB_STATE/schema/${1// /+}.begun
  local version
  shift 2
  mkdir -p "$LAB_STATE/schema"
  version=$(dpkg-query --show --showformat '${Version}' "$package")
  if [[ -f $stamp && $(cat "$stamp") == "$version $(schema_shape "$databases")" ]]; then
    say "schema of $databases: as $package $version made it"
    return 0
  fi
  if [[ -f $begun && ! -s $stamp ]]; then
    say "schema of $databases: an earlier first migration was cut short; starting again from an empty database"
    empty_databases "$databases"
  fi
  touch "$begun"
  sync -f "$begun"
  load_schema "$databases"
  "$@" || return
  # The database keeps its last second in memory (20-database); the stamp must not be older than what it tells of.
  mariadb --execute 'FLUSH ENGINE LOGS'
  printf '%s %s\n' "$version" "$(schema_shape "$databases")" >"$stamp.new"
  sync "$stamp.new"
  mv "$stamp.new" "$stamp"
  sync -f "$stamp"
  rm -f "$begun"
  say "schema of $databases: at the head of $package $version"
}

# load_schema "DATABASE…": the schema that the box has of them, if it has one, into each that has no table.
load_schema() {
  local dump=${LAB_SCHEMAS:-/usr/share/compute-lab/schemas}/${1%% *}.sql.gz
  local database
  [[ -f $dump ]] || return 0
  for database in $1; do
    [[ -z $(mariadb --batch --skip-column-names <<<"SHOW TABLES FROM $database") ]] || continue
    if gzip --decompress --stdout "$dump" | mariadb "$database"; then
      say "schema of $database: loaded from the box, which has $dump"
    else
      say "schema of $database: $dump cannot be loaded; it is made from the first migration on"
      empty_databases "$database"
    fi
  done
}

# empty_databases "DATABASE…": made again, without a table; the grants stay.
empty_databases() {
  local database
  for database in $1; do
    printf 'DROP DATABASE IF EXISTS %s; CREATE DATABASE %s;\n' "$database" "$database"
  done | mariadb
}

# schema_shape "DATABASE…": a checksum of the names of their tables and columns.
schema_shape() {
  local list=${1// /\', \'}
  mariadb --batch --skip-column-names <<EOF | sha256sum | cut -c 1-16
SELECT table_schema, table_name, column_name FROM information_schema.columns
 WHERE table_schema IN ('$list') ORDER BY 1, 2, 3;
EOF
}

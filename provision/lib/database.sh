# shellcheck shell=bash
#
# Schemas.

# sync_schema DATABASE PACKAGE COMMAND [ARG…]: bring DATABASE's schema to PACKAGE's version with COMMAND.
#
# Skipped when the same version of PACKAGE did it before and the tables are those that it left. A first migration that was
# cut short (a power cut, a kill) leaves half the tables, over which a migration cannot go on: nothing has used such a
# database yet, so it is emptied and made anew.
sync_schema() {
  local database=$1 package=$2
  local stamp=$LAB_STATE/schema/$database begun=$LAB_STATE/schema/$database.begun
  local version
  shift 2
  mkdir -p "$LAB_STATE/schema"
  version=$(dpkg-query --show --showformat '${Version}' "$package")
  if [[ -f $stamp && $(cat "$stamp") == "$version $(schema_shape "$database")" ]]; then
    say "schema of $database: as $package $version made it"
    return 0
  fi
  if [[ -f $begun && ! -f $stamp ]]; then
    say "schema of $database: an earlier first migration was cut short; starting again from an empty database"
    mariadb <<EOF
DROP DATABASE IF EXISTS $database;
CREATE DATABASE $database;
EOF
  fi
  touch "$begun"
  sync -f "$begun"
  "$@"
  printf '%s %s\n' "$version" "$(schema_shape "$database")" >"$stamp"
  rm -f "$begun"
  say "schema of $database: at the head of $package $version"
}

# schema_shape DATABASE: a checksum of its tables' and columns' names, and its migration's version.
schema_shape() {
  local database=$1
  {
    mariadb --batch --skip-column-names <<EOF
SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = '$database' ORDER BY 1, 2;
EOF
    mariadb --batch --skip-column-names "$database" <<<'SELECT version_num FROM alembic_version;' 2>/dev/null || true
  } | sha256sum | cut -c 1-16
}

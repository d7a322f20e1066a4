#!/usr/bin/env bats
# sync_schema with the schemas that a box has

load helpers

setup() {
  setup_lab
  set -o pipefail
  export SERVER=$BATS_TEST_TMPDIR/server CALLS=$BATS_TEST_TMPDIR/calls
  mkdir -p "$SERVER" "$LAB_SCHEMAS"
  : >"$CALLS"
  for database in glance nova nova_cell0; do : >"$SERVER/$database"; done
  # A database server of one file per database, whose lines are its tables.
  stand_in mariadb <<'EOF'
[[ $* == *FLUSH* ]] && exit
sql=$(cat)
case $sql in
SHOW*) cat "$SERVER/${sql##* }" ;;
SELECT*) cat "$SERVER"/* ;;
DROP*) while read -r line; do name=${line##* }; : >"$SERVER/${name%;}"; done <<<"$sql" ;;
*)
  printf 'load %s\n' "$1" >>"$CALLS"
  printf '%s\n' "$sql" >>"$SERVER/$1"
  [[ $sql != *wrong* ]]
  ;;
esac
EOF
  stand_in dpkg-query <<<"printf '26.2.2-1'"
  stand_in migrate <<<'echo "migrate $(cat "$SERVER/nova")" >>"$CALLS"; echo new >>"$SERVER/nova"'
  source "$PROVISION/lib/common.sh"
}

# box_has DATABASE TABLE
box_has() {
  gzip -c <<<"$2" >"$LAB_SCHEMAS/$1.sql.gz"
}

@test "an empty database gets the box's schema before the command runs, and the log says so" {
  box_has nova instances
  run sync_schema nova nova-common migrate
  [ "$status" = 0 ]
  [ "$(cat "$CALLS")" = 'load nova
migrate instances' ]
  [[ $output == *"schema of nova: loaded from the box, which has $LAB_SCHEMAS/nova.sql.gz"* ]]
}

@test "the databases of one command get the same schema" {
  box_has nova instances
  sync_schema 'nova nova_cell0' nova-common migrate
  [ "$(cat "$SERVER/nova_cell0")" = instances ]
  [ "$(cat "$CALLS")" = 'load nova
load nova_cell0
migrate instances' ]
}

@test "a box without the schema: the command makes it" {
  box_has glance images
  sync_schema nova nova-common migrate
  [ "$(cat "$CALLS")" = 'migrate ' ]
}

@test "a box without any schema, and without the directory" {
  rmdir "$LAB_SCHEMAS"
  sync_schema nova nova-common migrate
  [ "$(cat "$CALLS")" = 'migrate ' ]
}

@test "nothing is loaded into a database that has a table" {
  box_has nova instances
  echo a_table >"$SERVER/nova"
  sync_schema 'nova nova_cell0' nova-common migrate
  [ "$(cat "$CALLS")" = 'load nova_cell0
migrate a_table' ]
}

@test "what was loaded once is not loaded again" {
  box_has nova instances
  sync_schema nova nova-common migrate
  sync_schema nova nova-common migrate
  [ "$(grep -c load "$CALLS")" = 1 ]
}

@test "a first run that was cut short begins again with an empty database and the box's schema" {
  box_has nova instances
  mkdir -p "$LAB_STATE/schema"
  touch "$LAB_STATE/schema/nova.begun"
  echo half >"$SERVER/nova"
  sync_schema nova nova-common migrate
  [ "$(cat "$CALLS")" = 'load nova
migrate instances' ]
}

@test "a schema that the server refuses is taken away, and the command makes it" {
  box_has nova wrong
  run sync_schema nova nova-common migrate
  [ "$status" = 0 ]
  [[ $output == *"nova.sql.gz cannot be loaded"* ]]
  [ "$(cat "$CALLS")" = 'load nova
migrate ' ]
}

@test "a damaged file is as good as none" {
  head -c 10 /dev/urandom >"$LAB_SCHEMAS/nova.sql.gz"
  run sync_schema nova nova-common migrate
  [ "$status" = 0 ]
  [ "$(cat "$SERVER/nova")" = new ]
}

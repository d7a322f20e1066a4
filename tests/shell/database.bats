#!/usr/bin/env bats
# sync_schema

load helpers

setup() {
  setup_lab
  export TABLES=$BATS_TEST_TMPDIR/tables CALLS=$BATS_TEST_TMPDIR/calls
  : >"$TABLES"
  : >"$CALLS"
  # A database server of one file: a query prints it, a DROP empties it.
  stand_in mariadb <<'EOF'
[[ $* == *FLUSH* ]] && exit
sql=$(cat)
case $sql in
*DROP*) printf '%s\n' "$sql" >>"$CALLS"; : >"$TABLES" ;;
*) cat "$TABLES" ;;
esac
EOF
  stand_in dpkg-query <<'EOF'
printf '26.2.2-1'
EOF
  source "$PROVISION/lib/common.sh"
  stand_in migrate <<<'echo migrate >>"$CALLS"; echo instances >>"$TABLES"'
  stand_in cut_short <<<'echo half >>"$TABLES"; exit 1'
}

@test "a schema is migrated once" {
  sync_schema nova nova-common migrate
  sync_schema nova nova-common migrate
  [ "$(cat "$CALLS")" = migrate ]
}

@test "a table that went is noticed" {
  sync_schema nova nova-common migrate
  : >"$TABLES"
  sync_schema nova nova-common migrate
  [ "$(cat "$CALLS")" = 'migrate
migrate' ]
}

@test "a new version of the package migrates again" {
  sync_schema nova nova-common migrate
  stand_in dpkg-query <<<"printf '27.0.0-1'"
  sync_schema nova nova-common migrate
  [ "$(grep -c migrate "$CALLS")" = 2 ]
}

@test "a first migration that was cut short begins again with empty databases" {
  run ! sync_schema 'nova nova_cell0' nova-common cut_short
  sync_schema 'nova nova_cell0' nova-common migrate
  [ "$(cat "$CALLS")" = 'DROP DATABASE IF EXISTS nova; CREATE DATABASE nova;
DROP DATABASE IF EXISTS nova_cell0; CREATE DATABASE nova_cell0;
migrate' ]
}

@test "a later migration that fails never empties a database" {
  sync_schema nova nova-common migrate
  stand_in dpkg-query <<<"printf '27.0.0-1'"
  run ! sync_schema nova nova-common cut_short
  sync_schema nova nova-common migrate
  run ! grep -q DROP "$CALLS"
}

@test "a stamp that a power cut emptied is no stamp: the first migration begins again" {
  mkdir -p "$LAB_STATE/schema"
  : >"$LAB_STATE/schema/nova"
  touch "$LAB_STATE/schema/nova.begun"
  sync_schema nova nova-common migrate
  grep -q DROP "$CALLS"
  [ -s "$LAB_STATE/schema/nova" ]
}

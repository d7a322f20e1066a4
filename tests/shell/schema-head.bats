#!/usr/bin/env bats
# schema-head.sh

load helpers

setup() {
  setup_lab
  export PYTHON_PACKAGES=$BATS_TEST_TMPDIR/python RECORDED=$BATS_TEST_TMPDIR/recorded
  mkdir -p "$PYTHON_PACKAGES/nova/db/versions/deep"
  stand_in mariadb <<<'cat "$RECORDED"'
  revision one.py "revision = 'aaa111'" 'down_revision = None'
  revision deep/two.py 'revision: str = "bbb222"' 'down_revision = "aaa111"'
}

revision() {
  local file=$1
  shift
  printf '%s\n' "$@" >"$PYTHON_PACKAGES/nova/db/versions/$file"
}

@test "at the head" {
  echo bbb222 >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/db
  [ "$status" = 0 ]
  [ "$output" = 'nova: bbb222 (head)' ]
}

@test "behind the head" {
  echo aaa111 >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/db
  [ "$status" = 1 ]
  [ "$output" = 'nova: at aaa111; the newest is bbb222' ]
}

@test "never migrated" {
  : >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/db
  [ "$status" = 1 ]
  [ "$output" = 'nova: at (nothing); the newest is bbb222' ]
}

@test "a merge of two lines, over several text lines, and a revision that another depends on" {
  revision three.py "revision = 'ccc333'" 'down_revision = "aaa111"'
  revision four.py "revision = 'ddd444'" 'down_revision = (' '    "bbb222",' "    'ccc333'," ')'
  revision five.py "revision = 'eee555'" "down_revision = 'aaa111'" "depends_on = ('ddd444',)"
  echo eee555 >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/db
  [ "$output" = 'nova: eee555 (head)' ]
}

@test "two lines, and the service names the one that its command follows" {
  revision other.py "revision = 'ccc333'" 'down_revision = "aaa111"'
  echo "LATEST_REVISION = 'bbb222'" >"$PYTHON_PACKAGES/nova/db/migration.py"
  echo bbb222 >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/db
  [ "$output" = 'nova: bbb222 (head)' ]
  echo aaa111 >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/db
  [ "$status" = 1 ]
}

@test "a name that no script has is not the head" {
  echo "LATEST_REVISION = 'zzz999'" >"$PYTHON_PACKAGES/nova/db/migration.py"
  echo zzz999 >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/db
  [ "$status" = 1 ]
}

@test "no migrations there: never the head" {
  : >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/nowhere
  [ "$status" = 1 ]
}

repository() {
  local path=$PYTHON_PACKAGES/$1 name=$2
  shift 2
  mkdir -p "$path/versions"
  printf '[db_settings]\nrepository_id=%s\nversion_table=migrate_version\n' "$name" >"$path/migrate.cfg"
  touch "${@/#/$path/versions/}" "$path/versions/__init__.py"
}

@test "numbered schemas: the highest number, and it is asked from its own table" {
  stand_in mariadb <<<'[[ $* == *"FROM migrate_version"* ]] && cat "$RECORDED"'
  repository nova/old nova 216_havana.py 099_early.py 412_placeholder.py
  echo nova:412 >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/old
  [ "$status" = 0 ]
  [ "$output" = 'nova: nova:412 (head)' ]
  echo nova:411 >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/old
  [ "$status" = 1 ]
  [ "$output" = 'nova: at nova:411; the newest is nova:412' ]
}

@test "numbered schemas: several repositories of one service" {
  repository keystone/sql/expand_repo keystone_expand 077_placeholder.py 078_placeholder.py
  repository keystone/sql/migrate_repo keystone 109_add_column.py
  printf '%s\n' keystone:109 keystone_expand:078 >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" keystone keystone/sql
  [ "$status" = 1 ]
  printf '%s\n' keystone_expand:78 keystone:109 >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" keystone keystone/sql
  [ "$status" = 0 ]
  [ "$output" = 'keystone: keystone:109 keystone_expand:78 (head)' ]
}

@test "alembic's scripts beside a migrate.cfg, and with digits before their names" {
  touch "$PYTHON_PACKAGES/nova/db/migrate.cfg"
  revision 2023_1_expand01.py "revision = 'ccc333'" 'down_revision = "bbb222"'
  revision 611cd6dffd7b_block.py "revision = '611cd6dffd7b'" 'down_revision = "ccc333"'
  echo 611cd6dffd7b >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/db
  [ "$output" = 'nova: 611cd6dffd7b (head)' ]
}

@test "numbered scripts kept beside the newer ones do not count" {
  repository nova/db/legacy nova 402_train.py
  stand_in mariadb <<<'[[ $* == *"FROM alembic_version"* ]] && cat "$RECORDED"'
  echo bbb222 >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/db
  [ "$output" = 'nova: bbb222 (head)' ]
}

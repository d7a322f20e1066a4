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

@test "no migrations there: never the head" {
  : >"$RECORDED"
  run bash "$PROVISION/lib/schema-head.sh" nova nova/nowhere
  [ "$status" = 1 ]
}

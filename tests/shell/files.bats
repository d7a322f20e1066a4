#!/usr/bin/env bats
# put_file, set_line, trim_empty

load helpers

setup() {
  setup_lab
  source "$PROVISION/lib/common.sh"
  F=$BATS_TEST_TMPDIR/file
  OWNER=$(id -un):$(id -gn)
}

@test "put_file writes any text exactly" {
  for text in "${NASTY[@]}"; do
    put_file "$F" 0644 "$OWNER" <<<"$text"
    [ "$(cat "$F"; printf x)" = "$text"$'\nx' ]
  done
}

@test "put_file leaves a file alone that is right" {
  put_file "$F" 0640 "$OWNER" <<<same
  before=$(stat --format='%i %.Z' "$F")
  put_file "$F" 0640 "$OWNER" <<<same
  [ "$(stat --format='%i %.Z' "$F")" = "$before" ]
}

@test "put_file repairs a mode" {
  put_file "$F" 0600 "$OWNER" <<<secret
  chmod 0644 "$F"
  put_file "$F" 0600 "$OWNER" <<<secret
  [ "$(stat --format=%a "$F")" = 600 ]
}

@test "put_file leaves no temporary file behind" {
  put_file "$F" 0644 "$OWNER" <<<one
  put_file "$F" 0644 "$OWNER" <<<one
  put_file "$F" 0644 "$OWNER" <<<two
  [ "$(find "$BATS_TEST_TMPDIR" -name 'file.*' | wc -l)" = 0 ]
}

@test "set_line puts any text in the place of the line that matches" {
  for text in "${NASTY[@]}"; do
    printf 'first\n-l 127.0.0.1\nlast\n' >"$F"
    set_line "$F" '^-l ' "-l $text"
    [ "$(cat "$F")" = "first
-l $text
last" ]
  done
}

@test "set_line appends where no line matches" {
  printf '#key=old\n' >"$F"
  set_line "$F" '^key=' 'key=new'
  [ "$(cat "$F")" = "#key=old
key=new" ]
}

@test "set_line keeps mode and inode, and does not touch a file that is right" {
  printf 'a=1\n' >"$F"
  chmod 0640 "$F"
  set_line "$F" '^a=' 'a=2'
  [ "$(stat --format=%a "$F")" = 640 ]
  before=$(stat --format='%i %.Z' "$F")
  set_line "$F" '^a=' 'a=2'
  [ "$(stat --format='%i %.Z' "$F")" = "$before" ]
}

@test "trim_empty takes the space of an empty option away, and touches nothing else" {
  printf '[DEFAULT]\nplugins = \n# note = \nname = value \nkey =\n' >"$F"
  trim_empty "$F"
  [ "$(cat "$F")" = $'[DEFAULT]\nplugins =\n# note = \nname = value \nkey =' ]
  before=$(stat --format='%i %.Z' "$F")
  trim_empty "$F"
  [ "$(stat --format='%i %.Z' "$F")" = "$before" ]
}

@test "what an interrupted run left beside a file is gone after the next" {
  echo half >"$BATS_TEST_TMPDIR/a.conf.lab-new"
  put_file "$BATS_TEST_TMPDIR/a.conf" 0644 "$(id -un):$(id -gn)" <<<whole
  [ "$(cat "$BATS_TEST_TMPDIR/a.conf")" = whole ]
  [ ! -e "$BATS_TEST_TMPDIR/a.conf.lab-new" ]
}

@test "set_line puts a whole file in the place of the old one, with its mode" {
  printf 'a = 1\n' >"$BATS_TEST_TMPDIR/b.conf"
  chmod 640 "$BATS_TEST_TMPDIR/b.conf"
  exec {old}<"$BATS_TEST_TMPDIR/b.conf"
  set_line "$BATS_TEST_TMPDIR/b.conf" '^a = ' 'a = 2'
  [ "$(cat "$BATS_TEST_TMPDIR/b.conf")" = 'a = 2' ]
  [ "$(stat --format=%a "$BATS_TEST_TMPDIR/b.conf")" = 640 ]
  [ "$(cat <&"$old")" = 'a = 1' ]
}

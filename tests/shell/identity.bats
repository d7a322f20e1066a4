#!/usr/bin/env bats
# 30-identity: keys_are_whole

load helpers

setup() {
  KEYS=$BATS_TEST_TMPDIR/keys
  mkdir "$KEYS"
  # Here the keys are the tester's own.
  source <(sed -n '/^keys_are_whole()/,/^}/p' "$PROVISION/30-identity.sh" | sed "s/-user keystone/-user $(id -un)/")
}

key() { printf '%044d' 0 >"$KEYS/$1"; }

@test "two keys are complete" {
  key 0
  key 1
  keys_are_whole "$KEYS"
}

@test "a set-up that was cut short is not: no directory, one key, an empty one, a temporary file" {
  run ! keys_are_whole "$KEYS/none"
  run ! keys_are_whole "$KEYS"
  key 0
  run ! keys_are_whole "$KEYS"
  : >"$KEYS/1"
  run ! keys_are_whole "$KEYS"
  key 1
  key 0.tmp
  rm "$KEYS/0"
  key 2
  keys_are_whole "$KEYS"
  : >"$KEYS/0.tmp"
  run ! keys_are_whole "$KEYS"
}

#!/usr/bin/env bats
# queue_user

load helpers

setup() {
  setup_lab
  export CALLS=$BATS_TEST_TMPDIR/calls
  source "$LAB_DIR/lib/common.sh"
  stand_in rabbitmqctl <<'EOF'
echo "$* $(cat)" >>"$CALLS"
[[ $1 == "$WORKS" ]]
EOF
}

@test "an account that is missing is added, with its password on stdin" {
  WORKS=add_user queue_user openstack 's3cret word'
  [ "$(cat "$CALLS")" = 'add_user openstack s3cret word' ]
}

@test "the password of an account that is there is changed only where it is another one" {
  WORKS=authenticate_user queue_user openstack s3cret
  [ "$(cut -d' ' -f1 "$CALLS" | paste -sd' ')" = 'add_user authenticate_user' ]
  WORKS=change_password queue_user openstack s3cret
  [ "$(tail -n 1 "$CALLS")" = 'change_password openstack s3cret' ]
}

@test "a broker that refuses ends the step" {
  WORKS=nothing run bash -euo pipefail -c 'source "$LAB_DIR/lib/common.sh"; queue_user openstack s3cret'
  [ "$status" -ne 0 ]
  [ "$(wc -l <"$CALLS")" -eq 3 ]
}

#!/usr/bin/env bats
# guide_commands

load helpers

setup() {
  setup_lab
  export LAB_DIR=$BATS_TEST_TMPDIR/lab CALLS=$BATS_TEST_TMPDIR/calls
  mkdir -p "$LAB_DIR"
  cp -r "$PROVISION/lib" "$LAB_DIR/"
  : >"$CALLS"
  printf '#!/usr/bin/env bash\nprintf "%%s arguments\\n" "$#" >>"$CALLS"\ncat >>"$CALLS"\n' >"$LAB_DIR/lib/openstack-batch"
  source "$LAB_DIR/lib/common.sh"
}

@test "the guide's commands go to one client, through its stdin" {
  guide_commands <<'EOF'
openstack user create --domain default --password "a b" nova
openstack role add --project service --user nova admin
openstack endpoint create --region RegionOne compute public http://controller:8774/v2.1/%\(tenant_id\)s
openstack compute service list
EOF
  [ "$(cat "$CALLS")" = '0 arguments
ensure user create --domain default --password "a b" nova
ensure role add --project service --user nova admin
ensure endpoint create --region RegionOne compute public http://controller:8774/v2.1/%\(tenant_id\)s
compute service list' ]
}

@test "a command that fails ends the step" {
  printf '#!/usr/bin/env bash\nexit 7\n' >"$LAB_DIR/lib/openstack-batch"
  run guide_commands <<<'openstack compute service list'
  [ "$status" -eq 7 ]
}

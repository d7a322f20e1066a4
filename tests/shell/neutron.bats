#!/usr/bin/env bats
# enable_agents, restart_layer2_agent_if_running

load helpers

setup() {
  setup_lab
  export LAB_DIR=$BATS_TEST_TMPDIR/lab CALLS=$BATS_TEST_TMPDIR/calls
  mkdir -p "$LAB_DIR"
  cp -r "$PROVISION/lib" "$LAB_DIR/"
  : >"$CALLS"
  printf '#!/usr/bin/env bash\ncat >>"$CALLS"\n' >"$LAB_DIR/lib/openstack-batch"
  source "$LAB_DIR/lib/common.sh"
}

@test "agents of the lab that are off are switched on" {
  stand_in mariadb <<'EOF'
[[ $* == *"admin_state_up = 0 AND host REGEXP '^(controller|compute[0-9]+)\$'"* ]] || exit 1
printf 'network agent set --enable a1\nnetwork agent set --enable a2\n'
EOF
  enable_agents
  [ "$(cat "$CALLS")" = $'network agent set --enable a1\nnetwork agent set --enable a2' ]
}

@test "the client is not loaded where none is off" {
  stand_in mariadb <<<'exit 0'
  enable_agents
  [ ! -s "$CALLS" ]
}

@test "a database that does not answer is an error" {
  stand_in mariadb <<<'exit 1'
  run enable_agents
  [ "$status" != 0 ]
}

# layer2_agent STATE: an agent of that state, and restart_if_changed to be seen.
layer2_agent() {
  export STATE=$1 MECHANISM_DRIVER=openvswitch
  stand_in systemctl <<'EOF'
[[ $* == *is-active*neutron-openvswitch-agent && $STATE == running ]]
EOF
  restart_if_changed() {
    printf '%s\n' "$*" >>"$CALLS"
  }
}

@test "a layer-2 agent that runs reads a changed neutron.conf" {
  layer2_agent running
  restart_layer2_agent_if_running
  [ "$(cat "$CALLS")" = 'neutron-openvswitch-agent /etc/neutron/neutron.conf /etc/neutron/plugins/ml2/openvswitch_agent.ini' ]
}

@test "one that is not configured yet is not started" {
  layer2_agent stopped
  restart_layer2_agent_if_running
  [ ! -s "$CALLS" ]
}

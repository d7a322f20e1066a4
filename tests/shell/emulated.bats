#!/usr/bin/env bats
# long_turns, calm_agents, calm_queue

load helpers

setup() {
  setup_lab
  export CALLS=$BATS_TEST_TMPDIR/calls LAB_SYSTEMD=$BATS_TEST_TMPDIR/systemd LAB_AGENTS=$BATS_TEST_TMPDIR/agents
  : >"$CALLS"
  source "$LAB_DIR/lib/common.sh"
}

@test "a processor that is not emulated keeps its turns" {
  stand_in systemd-tmpfiles <<<'echo "$*" >>"$CALLS"'
  LAB_ACCELERATOR=kvm long_turns
  [ ! -s "$CALLS" ]
}

@test "agents on an emulated processor read the module" {
  export LAB_ACCELERATOR=qemu
  calm_agents neutron-dhcp-agent neutron-l3-agent
  calm_agents neutron-dhcp-agent neutron-l3-agent
  cmp "$LAB_AGENTS/sitecustomize.py" "$PROVISION/lib/agents/sitecustomize.py"
  [ "$(stat --format=%a "$LAB_AGENTS/sitecustomize.py")" = 644 ]
  for unit in neutron-dhcp-agent neutron-l3-agent; do
    grep -qx "Environment=PYTHONPATH=$LAB_AGENTS" "$LAB_SYSTEMD/$unit.service.d/lab-calm.conf"
  done
}

@test "a broker on an emulated processor ends its watch when it has started" {
  stand_in systemctl <<<'echo "$*" >>"$CALLS"'
  LAB_ACCELERATOR=qemu calm_queue
  [ "$(cat "$CALLS")" = daemon-reload ]
  line=$(sed -n 's/^ExecStartPost=-//p' "$LAB_SYSTEMD/rabbitmq-server.service.d/lab-calm.conf")
  eval "words=($line)"
  [ "${#words[@]}" -eq 5 ]
  [ "${words[4]}" = 'supervisor terminate_child [rabbit_sup,rabbit_epmd_monitor_sup]' ]
}

@test "other processors leave them as they are" {
  LAB_ACCELERATOR=kvm calm_agents neutron-dhcp-agent
  LAB_ACCELERATOR=kvm calm_queue
  [ ! -e "$LAB_AGENTS" ]
  [ ! -e "$LAB_SYSTEMD" ]
}

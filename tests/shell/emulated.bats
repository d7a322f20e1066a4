#!/usr/bin/env bats
# long_turns, calm_agents

load helpers

setup() {
  setup_lab
  export CALLS=$BATS_TEST_TMPDIR/calls LAB_SYSTEMD=$BATS_TEST_TMPDIR/systemd LAB_AGENTS=$BATS_TEST_TMPDIR/agents
  : >"$CALLS"
  stand_in systemctl <<<'echo "$*" >>"$CALLS"'
  source "$LAB_DIR/lib/common.sh"
}

@test "a processor that is not emulated keeps its turns" {
  stand_in systemd-tmpfiles <<<'echo "$*" >>"$CALLS"'
  LAB_ACCELERATOR=kvm long_turns
  [ ! -s "$CALLS" ]
}

@test "agents on an emulated processor read the module, and systemd is told once" {
  export LAB_ACCELERATOR=qemu
  calm_agents neutron-dhcp-agent neutron-l3-agent
  calm_agents neutron-dhcp-agent neutron-l3-agent
  [ "$(cat "$CALLS")" = daemon-reload ]
  cmp "$LAB_AGENTS/sitecustomize.py" "$PROVISION/lib/agents/sitecustomize.py"
  [ "$(stat --format=%a "$LAB_AGENTS/sitecustomize.py")" = 644 ]
  for unit in neutron-dhcp-agent neutron-l3-agent; do
    grep -qx "Environment=PYTHONPATH=$LAB_AGENTS" "$LAB_SYSTEMD/$unit.service.d/lab-calm.conf"
  done
}

@test "other processors leave them as they are" {
  LAB_ACCELERATOR=kvm calm_agents neutron-dhcp-agent
  [ ! -e "$LAB_AGENTS" ]
  [ ! -e "$LAB_SYSTEMD" ]
  [ ! -s "$CALLS" ]
}

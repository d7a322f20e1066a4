# shellcheck shell=bash
#
# What several steps ask of the Networking service. Questions go to its database: the `openstack` client takes ten seconds
# to load on an emulated processor.

# enable_agents: the agents of the lab's nodes that somebody switched off work again; nobody waits for one that may not.
enable_agents() {
  local lines
  lines=$(mariadb --batch --skip-column-names neutron --execute "SELECT CONCAT('network agent set --enable ', id)
    FROM agents WHERE admin_state_up = 0 AND host REGEXP '^(controller|compute[0-9]+)\$'") || return 1
  [[ -n $lines ]] || return 0
  "$LAB_DIR/lib/openstack-batch" <<<"$lines"
}

# restart_layer2_agent: the node's layer-2 agent runs, and has read its files as they are now.
restart_layer2_agent() {
  restart_if_changed "neutron-$MECHANISM_DRIVER-agent" /etc/neutron/neutron.conf \
    "/etc/neutron/plugins/ml2/${MECHANISM_DRIVER}_agent.ini"
}

# restart_layer2_agent_if_running: for the steps that write neutron.conf, before the agent is configured and after.
restart_layer2_agent_if_running() {
  if systemctl --quiet is-active "neutron-$MECHANISM_DRIVER-agent"; then
    restart_layer2_agent
  fi
}

# provider_network: the id of the flat network on the physical network `provider`, of which there is only one.
provider_network() {
  mariadb --batch --skip-column-names neutron --execute "SELECT network_id FROM networksegments
    WHERE physical_network = 'provider' AND network_type = 'flat'"
}

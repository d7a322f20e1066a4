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

# provider_network: the id of the flat network on the physical network `provider`, of which there is only one.
provider_network() {
  mariadb --batch --skip-column-names neutron --execute "SELECT network_id FROM networksegments
    WHERE physical_network = 'provider' AND network_type = 'flat'"
}

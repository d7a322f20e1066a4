#!/usr/bin/env bash
#
# Networking service on a compute node: the Open vSwitch agent, which connects instances to the provider network and
# applies their security groups.
#
# Guide: Networking service Installation Tutorial, "Install and configure compute node", networking option 1;
# with the chapter self-service, option 2.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

heading 'Configure the common component'
# Deviation: [keystone_authtoken] region_name and rpc_response_timeout as on the controller (60-network-controller).
crudini --merge /etc/neutron/neutron.conf <<EOF
[DEFAULT]
core_plugin = ml2
service_plugins =
auth_strategy = keystone
transport_url = rabbit://openstack:$RABBIT_PASS@controller
rpc_response_timeout = 180

[agent]
root_helper = sudo neutron-rootwrap /etc/neutron/rootwrap.conf

[keystone_authtoken]
www_authenticate_uri = http://controller:5000
auth_url = http://controller:5000
memcached_servers = controller:11211
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = service
username = neutron
password = $NEUTRON_PASS
region_name = RegionOne

[oslo_concurrency]
lock_path = /var/lib/neutron/tmp
EOF
# The guide: in [database], comment out any connection options, because compute nodes do not access the database.
if grep -q '^connection *=' /etc/neutron/neutron.conf; then
  crudini --del /etc/neutron/neutron.conf database connection
fi
trim_empty /etc/neutron/neutron.conf
repair_mode /etc/neutron/neutron.conf 0660 root:neutron

heading 'Configure the Open vSwitch agent'
crudini --merge /etc/neutron/plugins/ml2/openvswitch_agent.ini <<EOF
[ovs]
bridge_mappings = provider:br-provider

[securitygroup]
enable_security_group = true
firewall_driver = openvswitch
EOF
# Deviation: no tunnels without self-service networks, because Debian's file turns on VXLAN, which provider networks do
# not use.
if ((LAB_HAS_SELF_SERVICE)); then
  crudini --merge /etc/neutron/plugins/ml2/openvswitch_agent.ini <<EOF
[ovs]
local_ip = $MANAGEMENT_INTERFACE_IP_ADDRESS

[agent]
tunnel_types = vxlan
l2_population = true
EOF
else
  crudini --merge /etc/neutron/plugins/ml2/openvswitch_agent.ini <<EOF
[agent]
tunnel_types =
l2_population = false
EOF
fi
trim_empty /etc/neutron/plugins/ml2/openvswitch_agent.ini

heading 'Create the provider bridge'
start_if_stopped openvswitch-switch
ovs-vsctl --may-exist add-br br-provider -- --may-exist add-port br-provider "$PROVIDER_INTERFACE"

heading 'Finalize installation: start the Open vSwitch agent'
# shellcheck disable=SC2086
enable_units $LAB_UNITS
# The agent asks the Networking service for its work, and logs errors while nobody answers.
# Deviation: so it waits for it at boot too.
start_behind neutron-openvswitch-agent http://controller:9696/
wait_for 'the Networking API' 90 http_answers http://controller:9696/ 200
restart_if_changed neutron-openvswitch-agent /etc/neutron/neutron.conf /etc/neutron/plugins/ml2/openvswitch_agent.ini
agent_is_ready() {
  ovs-vsctl port-to-br int-br-provider
}
wait_for 'the agent to connect the provider bridge' 20 agent_is_ready

#!/usr/bin/env bash
#
# Networking service on every node: the layer-2 agent. It connects the instances of a compute node, and the DHCP servers
# of the controller, to the provider network, and applies security groups: by Open vSwitch or, with the chapter
# linuxbridge, by Linux bridges.
#
# Guide: Networking service Installation Tutorial, "Install and configure controller node" and "Install and configure
# compute node", networking option 1: Configure the Open vSwitch agent, or the Linux bridge agent; with the chapter
# self-service, option 2. The guide describes it for each of the two kinds of nodes, with the same options.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

heading 'Configure the layer-2 agent'
# Deviation: no tunnels without self-service networks, because Debian's file for Open vSwitch turns on VXLAN, which
# provider networks do not use.
if ((LAB_HAS_LINUXBRIDGE)); then
  crudini --merge /etc/neutron/plugins/ml2/linuxbridge_agent.ini <<EOF
[linux_bridge]
physical_interface_mappings = provider:$PROVIDER_INTERFACE

[securitygroup]
enable_security_group = true
firewall_driver = neutron.agent.linux.iptables_firewall.IptablesFirewallDriver
EOF
  if ((LAB_HAS_SELF_SERVICE)); then
    crudini --merge /etc/neutron/plugins/ml2/linuxbridge_agent.ini <<EOF
[vxlan]
enable_vxlan = true
local_ip = $MANAGEMENT_INTERFACE_IP_ADDRESS
l2_population = true
EOF
  else
    crudini --merge /etc/neutron/plugins/ml2/linuxbridge_agent.ini <<EOF
[vxlan]
enable_vxlan = false
EOF
  fi
else
  crudini --merge /etc/neutron/plugins/ml2/openvswitch_agent.ini <<EOF
[ovs]
bridge_mappings = provider:br-provider

[securitygroup]
enable_security_group = true
firewall_driver = openvswitch
EOF
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
fi
trim_empty "/etc/neutron/plugins/ml2/${MECHANISM_DRIVER}_agent.ini"

heading 'Connect the provider network'
if ((LAB_HAS_LINUXBRIDGE)); then # the agent makes a bridge for each network; packets on it pass iptables
  printf 'br_netfilter\n' | put_file /etc/modules-load.d/lab-bridges.conf
  modprobe br_netfilter
else
  start_if_stopped openvswitch-switch
  ovs-vsctl --may-exist add-br br-provider -- --may-exist add-port br-provider "$PROVIDER_INTERFACE"
fi

heading 'Finalize installation: start the layer-2 agent'
# shellcheck disable=SC2086
enable_units $LAB_UNITS
# The agent asks the Networking service for its work, and logs errors while nobody answers.
# Deviation: so it waits for it at boot too.
calm_agents "neutron-$MECHANISM_DRIVER-agent"
start_behind "neutron-$MECHANISM_DRIVER-agent" http://controller:9696/
wait_for 'the Networking API' 90 http_answers http://controller:9696/ 200
restart_layer2_agent
if ((! LAB_HAS_LINUXBRIDGE)); then
  agent_is_ready() {
    ovs-vsctl port-to-br int-br-provider
  }
  wait_for 'the agent to connect the provider bridge' 20 agent_is_ready
fi

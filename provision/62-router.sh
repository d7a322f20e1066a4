#!/usr/bin/env bash
#
# The layer-3 agent: routers between self-service networks and the provider network, and floating IP addresses.
#
# Guide: Networking service Installation Tutorial, "Networking Option 2: Self-service networks", Configure the layer-3
# agent. The rest of option 2 (the service plug-in, VXLAN, the agents' tunnels) is in 60-network-controller and
# 66-layer-2-agent, which configure it in a lab with this chapter.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the component'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

heading 'Configure the layer-3 agent'
crudini --merge /etc/neutron/l3_agent.ini <<EOF
[DEFAULT]
interface_driver = $MECHANISM_DRIVER
EOF

heading 'Finalize installation'
# shellcheck disable=SC2086
enable_units $LAB_UNITS
calm_agents neutron-l3-agent
start_behind neutron-l3-agent http://controller:9696/ # deviation: as the other agents
wait_for 'the Networking API' 90 http_answers http://controller:9696/ 200
restart_if_changed neutron-l3-agent /etc/neutron/neutron.conf /etc/neutron/l3_agent.ini

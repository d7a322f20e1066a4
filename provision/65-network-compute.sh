#!/usr/bin/env bash
#
# Networking service on a compute node: what its agents have in common. The one that runs here is the layer-2 agent
# (66-layer-2-agent).
#
# Guide: Networking service Installation Tutorial, "Install and configure compute node": Configure the common component.
# Deviation: it installs only neutron-common, which has the file; the agent's step installs the agent.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

heading 'Configure the common component'
# Deviation: [keystone_authtoken] region_name, rpc_response_timeout, heartbeat_timeout_threshold and report_interval as
# on the controller (60-network-controller).
source "$LAB_DIR/blocks/neutron-conf.sh"
crudini --merge /etc/neutron/neutron.conf <<EOF
[DEFAULT]
service_plugins =
EOF
# The guide: in [database], comment out any connection options, because compute nodes do not access the database.
if grep -q '^connection *=' /etc/neutron/neutron.conf; then
  crudini --del /etc/neutron/neutron.conf database connection
fi
trim_empty /etc/neutron/neutron.conf
repair_mode /etc/neutron/neutron.conf 0660 root:neutron

heading 'Let the layer-2 agent read it'
# 66-layer-2-agent starts the agent; one that runs already has read the file as it was.
restart_layer2_agent_if_running

#!/usr/bin/env bash
#
# Networking service on a compute node, to the letter of the guide: the Linux bridge agent.
#
# Guide: Networking service, "Install and configure compute node", networking option 1 (provider networks).

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# shellcheck disable=SC2086
enable_units $LAB_UNITS

heading 'Configure the common component'
crudini --merge /etc/neutron/neutron.conf <<EOF
[DEFAULT]
core_plugin = ml2
rpc_backend = rabbit
auth_strategy = keystone

[oslo_messaging_rabbit]
rabbit_host = controller
rabbit_userid = openstack
rabbit_password = $RABBIT_PASS

[keystone_authtoken]
auth_uri = http://controller:5000
auth_url = http://controller:35357
memcached_servers = controller:11211
auth_type = password
project_domain_name = default
user_domain_name = default
project_name = service
username = neutron
password = $NEUTRON_PASS
EOF
# The guide: in [database], comment out any connection options, because compute nodes do not access the database.
crudini --del /etc/neutron/neutron.conf database connection

heading 'Configure the Linux bridge agent'
crudini --merge /etc/neutron/plugins/ml2/linuxbridge_agent.ini <<EOF
[linux_bridge]
physical_interface_mappings = provider:$PROVIDER_INTERFACE

[vxlan]
enable_vxlan = False

[securitygroup]
enable_security_group = True
firewall_driver = neutron.agent.linux.iptables_firewall.IptablesFirewallDriver
EOF

heading 'Configure Compute to use Networking'
crudini --merge /etc/nova/nova.conf <<EOF
[neutron]
url = http://controller:9696
auth_url = http://controller:35357
auth_type = password
project_domain_name = default
user_domain_name = default
region_name = RegionOne
project_name = service
username = neutron
password = $NEUTRON_PASS
EOF

heading 'Finalize installation'
service nova-compute restart
# Deviation: as the controller's agents.
if ((LAB_HAS_VIRTUALENVS)); then
  start_behind neutron-linuxbridge-agent http://controller:9696/
fi
service neutron-linuxbridge-agent restart

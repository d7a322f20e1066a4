#!/usr/bin/env bash
#
# nova-network on a compute node, multi-host: each compute node serves its own instances with DHCP, a gateway and, by
# nova-api-metadata, with their metadata. It takes the place of neutron. Deprecated in this release.
#
# Guide: Legacy networking (nova-network), "Configure compute node". The last edition that has this chapter is Kilo's:
# its network_api_class and security_group_api are now use_neutron, in 50-compute-controller and 55-compute-node.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install legacy networking components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# shellcheck disable=SC2086
enable_units $LAB_UNITS

heading 'Configure legacy networking'
crudini --merge /etc/nova/nova.conf <<EOF
[DEFAULT]
network_manager = nova.network.manager.FlatDHCPManager
network_size = 254
allow_same_net_traffic = False
multi_host = True
send_arp_for_ha = True
share_dhcp_address = True
force_dhcp_release = True
flat_network_bridge = br100
flat_interface = $PROVIDER_INTERFACE
public_interface = $PROVIDER_INTERFACE
EOF

heading 'Finalize installation'
service nova-network restart
service nova-api-metadata restart

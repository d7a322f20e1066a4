#!/usr/bin/env bash
#
# nova-xvpvncproxy on the controller node: VNC consoles for OpenStack's own Java client, in addition to those of noVNC.
#
# Guide: Compute service overview, "nova-xvpvncproxy daemon"; Configuration Reference, "Configure remote console
# access".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install and configure the component'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# shellcheck disable=SC2086
enable_units $LAB_UNITS
crudini --merge /etc/nova/nova.conf <<EOF
[vnc]
xvpvncproxy_host = 0.0.0.0
xvpvncproxy_port = 6081
EOF

heading 'Finalize installation'
service nova-xvpvncproxy restart

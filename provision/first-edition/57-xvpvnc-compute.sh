#!/usr/bin/env bash
#
# nova-xvpvncproxy, as a compute node knows it: the address that a user is given for an instance's console.
#
# Guide: Compute service overview, "nova-xvpvncproxy daemon"; Configuration Reference, "Configure remote console
# access".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Configure the address of the console proxy'
crudini --merge /etc/nova/nova.conf <<EOF
[vnc]
xvpvncproxy_base_url = http://controller:6081/console
EOF

heading 'Finalize installation'
service nova-compute restart

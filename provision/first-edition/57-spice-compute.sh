#!/usr/bin/env bash
#
# SPICE on a compute node: each instance gets a SPICE server beside that of VNC.
#
# Guide: Compute service overview, "nova-spicehtml5proxy daemon"; Configuration Reference, "Configure remote console
# access".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Configure SPICE'
# Deviation: server_listen is not 0.0.0.0. A console asks for no password, and only its proxy has to reach it, which
# does so at the management address; at 0.0.0.0 it would listen on the access network too.
crudini --merge /etc/nova/nova.conf <<EOF
[spice]
enabled = True
agent_enabled = False
server_listen = \$my_ip
server_proxyclient_address = \$my_ip
html5proxy_base_url = http://controller:6082/spice_auto.html
EOF

heading 'Finalize installation'
service nova-compute restart

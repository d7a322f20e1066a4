#!/usr/bin/env bash
#
# nova-spicehtml5proxy on the controller node: SPICE consoles in a browser, in addition to those of noVNC.
#
# Guide: Compute service overview, "nova-spicehtml5proxy daemon"; Configuration Reference, "Configure remote console
# access".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install and configure the component'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# shellcheck disable=SC2086
enable_units $LAB_UNITS
crudini --merge /etc/nova/nova.conf <<EOF
[spice]
html5proxy_host = 0.0.0.0
html5proxy_port = 6082
EOF

heading 'Finalize installation'
service nova-spicehtml5proxy restart
wait_for 'the console proxy' 40 http_answers http://controller:6082/spice_auto.html 200

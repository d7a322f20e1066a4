#!/usr/bin/env bash
set -euo pipefail
crudini --merge /etc/nova/nova.conf <<EOF
[vnc]
server_listen = 0.0.0.0
EOF

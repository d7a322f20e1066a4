#!/usr/bin/env bash
set -euo pipefail
crudini --merge /etc/nova/nova.conf <<EOF
[DEFAULT]
my_ip = $MY_IP
EOF

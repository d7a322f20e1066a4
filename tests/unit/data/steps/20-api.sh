#!/usr/bin/env bash
set -euo pipefail
# shellcheck disable=SC2154
crudini --merge /etc/nova/nova.conf <<EOF
[DEFAULT]
my_ip = $MANAGEMENT_INTERFACE_IP_ADDRESS
transport_url = rabbit://openstack:${RABBIT_PASS}@controller:5672/

[vnc]
server_listen = \$my_ip

[cell]
uuid = $uuid
EOF
if [[ $LAB_HAS_SERVICE_USER == 1 ]]; then
  crudini --merge /etc/nova/nova.conf <<EOF
[service_user]
send_service_user_token = true
EOF
fi

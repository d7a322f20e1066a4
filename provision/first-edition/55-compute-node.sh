#!/usr/bin/env bash
#
# Compute service on a compute node, to the letter of the guide: nova-compute.
#
# Guide: Compute service, "Install and configure a compute node".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
crudini --merge /etc/nova/nova.conf <<EOF
[DEFAULT]
rpc_backend = rabbit
auth_strategy = keystone
my_ip = $MANAGEMENT_INTERFACE_IP_ADDRESS
use_neutron = True
firewall_driver = nova.virt.firewall.NoopFirewallDriver

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
username = nova
password = $NOVA_PASS

[vnc]
enabled = True
vncserver_listen = 0.0.0.0
vncserver_proxyclient_address = \$my_ip
novncproxy_base_url = http://controller:6080/vnc_auto.html

[glance]
api_servers = http://controller:9292

[oslo_concurrency]
lock_path = /var/lib/nova/tmp
EOF
# With the chapter nova-network, that is the network of the instances instead of neutron.
if ((LAB_HAS_NOVA_NETWORK)); then
  crudini --merge /etc/nova/nova.conf <<EOF
[DEFAULT]
use_neutron = False
firewall_driver = nova.virt.libvirt.firewall.IptablesFirewallDriver
EOF
fi
# The guide's note: due to a packaging bug, remove the log_dir option from the [DEFAULT] section.
crudini --del /etc/nova/nova.conf DEFAULT log_dir

heading 'Finalize installation'
# One or greater: the node supports hardware acceleration. Zero: libvirt must use QEMU instead of KVM.
# shellcheck disable=SC2196
count=$(egrep -c '(vmx|svm)' /proc/cpuinfo || true)
say "hardware acceleration: $count"
if ((count == 0)); then
  crudini --merge /etc/nova/nova-compute.conf <<EOF
[libvirt]
virt_type = qemu
EOF
fi
service nova-compute restart

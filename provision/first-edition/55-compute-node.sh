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
# shellcheck disable=SC2086
enable_units $LAB_UNITS
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
# Deviation: nova-compute of a release whose nova has the Placement API in it does not start without these options.
if ((LAB_HAS_NOVA_PLACEMENT)); then
  crudini --merge /etc/nova/nova.conf <<EOF
[placement]
os_region_name = RegionOne
project_domain_name = default
user_domain_name = default
project_name = service
auth_type = password
username = placement
password = $PLACEMENT_PASS
auth_url = http://controller:35357/v3
EOF
fi
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
# Deviation: the guide takes KVM's module for loaded; here the step loads it, and the node at each boot.
modprobe kvm_amd 2>/dev/null || modprobe kvm_intel 2>/dev/null || true
put_file /etc/modules-load.d/lab-kvm.conf < <(lsmod | awk '$1 ~ /^kvm_/ { print $1 }')
# Deviation: when the node shuts down, nova-compute ends before the instances do (systemd stops in the reverse order of
# starting). It would take their end for a user's wish, and not start them again at boot.
mkdir -p /etc/systemd/system/machine-.scope.d
put_file /etc/systemd/system/machine-.scope.d/lab.conf <<EOF
[Unit]
Before=nova-compute.service
EOF
# libvirt's unit is libvirt-bin on Ubuntu 16.04, libvirtd on Debian 11.
start_if_stopped "${LAB_UNITS%% *}"
ask_qemu
# Deviation: nova-compute of a release that runs for real waits at boot for the services that it asks first.
if ((LAB_HAS_VIRTUALENVS)); then
  start_behind nova-compute http://controller:35357/v3 http://controller:8774/
fi
service nova-compute restart

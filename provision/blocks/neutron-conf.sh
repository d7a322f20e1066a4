# shellcheck shell=bash
#
# What neutron.conf says on the controller and on the compute nodes alike: 60-network-controller, 65-network-compute.
# Deviation: root_helper_daemon. Without it, agents start a Python program for each command of theirs that needs root,
# which takes seconds on an emulated machine, some hundred times for a network; the daemon is started once.

crudini --merge /etc/neutron/neutron.conf <<EOF
[DEFAULT]
core_plugin = ml2
auth_strategy = keystone
transport_url = rabbit://openstack:$RABBIT_PASS@controller
rpc_response_timeout = 180

[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 180

[agent]
root_helper = sudo neutron-rootwrap /etc/neutron/rootwrap.conf
root_helper_daemon = sudo neutron-rootwrap-daemon /etc/neutron/rootwrap.conf
report_interval = 20

[keystone_authtoken]
www_authenticate_uri = http://controller:5000
auth_url = http://controller:5000
memcached_servers = controller:11211
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = service
username = neutron
password = $NEUTRON_PASS
region_name = RegionOne

[oslo_concurrency]
lock_path = /var/lib/neutron/tmp
EOF

# shellcheck shell=bash
#
# What nova.conf says on the controller and on the compute nodes alike: 50-compute-controller, 55-compute-node.
# Deviation: services report themselves every 20 s instead of every 10. Each report is a change of the database, for
# nova-compute by way of the queue and nova-conductor.

crudini --merge /etc/nova/nova.conf <<EOF
[DEFAULT]
state_path = /var/lib/nova
my_ip = $MANAGEMENT_INTERFACE_IP_ADDRESS
transport_url = rabbit://openstack:$RABBIT_PASS@controller:5672/
report_interval = 20
service_down_time = 180
rpc_response_timeout = 180

[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 180

[api]
auth_strategy = keystone

[keystone_authtoken]
www_authenticate_uri = http://controller:5000/
auth_url = http://controller:5000/
memcached_servers = controller:11211
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = service
username = nova
password = $NOVA_PASS
region_name = RegionOne

[service_user]
send_service_user_token = true
auth_url = http://controller:5000/
auth_type = password
project_domain_name = Default
project_name = service
user_domain_name = Default
username = nova
password = $NOVA_PASS

[glance]
api_servers = http://controller:9292

[oslo_concurrency]
lock_path = /var/lib/nova/tmp

[placement]
region_name = RegionOne
project_domain_name = Default
project_name = service
auth_type = password
user_domain_name = Default
auth_url = http://controller:5000/v3
username = placement
password = $PLACEMENT_PASS

[neutron]
auth_url = http://controller:5000
auth_type = password
project_domain_name = Default
user_domain_name = Default
region_name = RegionOne
project_name = service
username = neutron
password = $NEUTRON_PASS
EOF

#!/usr/bin/env bash
#
# Compute service on the controller node, to the letter of the guide: nova-api, nova-conductor, nova-consoleauth,
# nova-novncproxy, nova-scheduler.
#
# Guide: Compute service, "Install and configure controller node".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Prerequisites: databases and grants'
# Deviation: the guide's `mysql -u root -p` asks for a password; root needs none on the machine itself.
[[ -d /var/lib/mysql/nova_api ]] || mysql -u root <<EOF
CREATE DATABASE nova_api;
EOF
[[ -d /var/lib/mysql/nova ]] || mysql -u root <<EOF
CREATE DATABASE nova;
EOF
mysql -u root <<EOF
GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'localhost' IDENTIFIED BY '$NOVA_DBPASS';
GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'%' IDENTIFIED BY '$NOVA_DBPASS';
GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'localhost' IDENTIFIED BY '$NOVA_DBPASS';
GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'%' IDENTIFIED BY '$NOVA_DBPASS';
EOF

heading 'Prerequisites: service credentials and API endpoints'
cd /root
# shellcheck disable=SC1091
. admin-openrc
guide_commands <<EOF
openstack user create --domain default --password $NOVA_PASS nova
openstack role add --project service --user nova admin
openstack service create --name nova --description "OpenStack Compute" compute
openstack endpoint create --region RegionOne compute public http://controller:8774/v2.1/%\(tenant_id\)s
openstack endpoint create --region RegionOne compute internal http://controller:8774/v2.1/%\(tenant_id\)s
openstack endpoint create --region RegionOne compute admin http://controller:8774/v2.1/%\(tenant_id\)s
EOF

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# shellcheck disable=SC2086
enable_units $LAB_UNITS
crudini --merge /etc/nova/nova.conf <<EOF
[DEFAULT]
enabled_apis = osapi_compute,metadata
rpc_backend = rabbit
auth_strategy = keystone
my_ip = $MANAGEMENT_INTERFACE_IP_ADDRESS
use_neutron = True
firewall_driver = nova.virt.firewall.NoopFirewallDriver

[api_database]
connection = mysql+pymysql://nova:$NOVA_DBPASS@controller/nova_api

[database]
connection = mysql+pymysql://nova:$NOVA_DBPASS@controller/nova

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
vncserver_listen = \$my_ip
vncserver_proxyclient_address = \$my_ip

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
EOF
fi
# The guide's note: due to a packaging bug, remove the log_dir option from the [DEFAULT] section.
crudini --del /etc/nova/nova.conf DEFAULT log_dir
su -s /bin/sh -c "nova-manage api_db sync" nova
su -s /bin/sh -c "nova-manage db sync" nova

heading 'Finalize installation'
service nova-api restart
service nova-consoleauth restart
service nova-scheduler restart
service nova-conductor restart
service nova-novncproxy restart
wait_for 'the Compute API' 40 http_answers http://controller:8774/ 200
guide_commands <<EOF
openstack compute service list
EOF

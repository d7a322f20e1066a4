#!/usr/bin/env bash
#
# Networking service on the controller node, to the letter of the guide: neutron-server, the Linux bridge agent, DHCP
# and metadata.
#
# Guide: Networking service, "Install and configure controller node", networking option 1 (provider networks).

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Prerequisites: databases and grants'
# Deviation: the guide's `mysql -u root -p` asks for a password; root needs none on the machine itself.
[[ -d /var/lib/mysql/neutron ]] || mysql -u root <<EOF
CREATE DATABASE neutron;
EOF
mysql -u root <<EOF
GRANT ALL PRIVILEGES ON neutron.* TO 'neutron'@'localhost' IDENTIFIED BY '$NEUTRON_DBPASS';
GRANT ALL PRIVILEGES ON neutron.* TO 'neutron'@'%' IDENTIFIED BY '$NEUTRON_DBPASS';
EOF

heading 'Prerequisites: service credentials and API endpoints'
cd /root
# shellcheck disable=SC1091
. admin-openrc
guide_commands <<EOF
openstack user create --domain default --password $NEUTRON_PASS neutron
openstack role add --project service --user neutron admin
openstack service create --name neutron --description "OpenStack Networking" network
openstack endpoint create --region RegionOne network public http://controller:9696
openstack endpoint create --region RegionOne network internal http://controller:9696
openstack endpoint create --region RegionOne network admin http://controller:9696
EOF

heading 'Install the components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# shellcheck disable=SC2086
enable_units $LAB_UNITS

heading 'Configure the server component'
crudini --merge /etc/neutron/neutron.conf <<EOF
[DEFAULT]
core_plugin = ml2
service_plugins =
rpc_backend = rabbit
auth_strategy = keystone
notify_nova_on_port_status_changes = True
notify_nova_on_port_data_changes = True

[database]
connection = mysql+pymysql://neutron:$NEUTRON_DBPASS@controller/neutron

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
username = neutron
password = $NEUTRON_PASS

[nova]
auth_url = http://controller:35357
auth_type = password
project_domain_name = default
user_domain_name = default
region_name = RegionOne
project_name = service
username = nova
password = $NOVA_PASS
EOF

heading 'Configure the Modular Layer 2 (ML2) plug-in'
crudini --merge /etc/neutron/plugins/ml2/ml2_conf.ini <<EOF
[ml2]
type_drivers = flat,vlan
tenant_network_types =
mechanism_drivers = linuxbridge
extension_drivers = port_security

[ml2_type_flat]
flat_networks = provider

[securitygroup]
enable_ipset = True
EOF

heading 'Configure the Linux bridge agent'
crudini --merge /etc/neutron/plugins/ml2/linuxbridge_agent.ini <<EOF
[linux_bridge]
physical_interface_mappings = provider:$PROVIDER_INTERFACE

[vxlan]
enable_vxlan = False

[securitygroup]
enable_security_group = True
firewall_driver = neutron.agent.linux.iptables_firewall.IptablesFirewallDriver
EOF

heading 'Configure the DHCP agent'
crudini --merge /etc/neutron/dhcp_agent.ini <<EOF
[DEFAULT]
interface_driver = neutron.agent.linux.interface.BridgeInterfaceDriver
dhcp_driver = neutron.agent.linux.dhcp.Dnsmasq
enable_isolated_metadata = True
EOF

heading 'Configure the metadata agent'
crudini --merge /etc/neutron/metadata_agent.ini <<EOF
[DEFAULT]
nova_metadata_ip = controller
metadata_proxy_shared_secret = $METADATA_SECRET
EOF

heading 'Configure Compute to use Networking'
crudini --merge /etc/nova/nova.conf <<EOF
[neutron]
url = http://controller:9696
auth_url = http://controller:35357
auth_type = password
project_domain_name = default
user_domain_name = default
region_name = RegionOne
project_name = service
username = neutron
password = $NEUTRON_PASS
service_metadata_proxy = True
metadata_proxy_shared_secret = $METADATA_SECRET
EOF

heading 'Finalize installation'
su -s /bin/sh -c "neutron-db-manage --config-file /etc/neutron/neutron.conf \
  --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade head" neutron
service nova-api restart
service neutron-server restart
# Deviation: the agents of a release that runs for real wait for the server, here and at boot. What one reports before
# the server has its queue is lost, and on an emulated machine the agent waits for the answer for three minutes.
if ((LAB_HAS_VIRTUALENVS)); then
  start_behind neutron-linuxbridge-agent neutron-dhcp-agent neutron-metadata-agent http://controller:9696/
fi
service neutron-linuxbridge-agent restart
service neutron-dhcp-agent restart
service neutron-metadata-agent restart
wait_for 'the Networking API' 20 http_answers http://controller:9696/ 200

#!/usr/bin/env bash
#
# Networking service on the controller node: neutron's API, DHCP and metadata. The layer-2 agent, which runs on every
# node, has a step of its own: 66-layer-2-agent.
#
# Guide: Networking service Installation Tutorial, "Install and configure controller node", networking option 1
# (provider networks); with the chapter self-service, option 2. On Debian neutron-server is two units, neutron-api
# (uwsgi) and neutron-rpc-server.
# Deviation: the database comes before the registration with the Identity service, so that several services' schemas
# are made at the same time; the step waits for the Identity service where it needs it.
# Deviation: the Open vSwitch mechanism, because the guide's Linux bridge is experimental since Zed and removed in
# 2025.1; the chapter linuxbridge chooses the guide's. MECHANISM_DRIVER names the one of the two, and its agent.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Prerequisites: database and grants'
mariadb <<EOF
CREATE DATABASE IF NOT EXISTS neutron;
GRANT ALL PRIVILEGES ON neutron.* TO 'neutron'@'localhost' IDENTIFIED BY '$NEUTRON_DBPASS';
GRANT ALL PRIVILEGES ON neutron.* TO 'neutron'@'%' IDENTIFIED BY '$NEUTRON_DBPASS';
EOF

heading 'Install the components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

heading 'Configure the server component'
# Deviation: [keystone_authtoken] region_name, because Debian's file has a region that the guide does not create;
# one RPC worker, and patience (agent_down_time, rpc_response_timeout, heartbeat_timeout_threshold), for a small or
# emulated machine; and agents that report themselves every 20 s, as nova's services do, instead of every 30, so that a
# lab that was restored or resumed is known to be well sooner.
source "$LAB_DIR/blocks/neutron-conf.sh"
crudini --merge /etc/neutron/neutron.conf <<EOF
[DEFAULT]
notify_nova_on_port_status_changes = true
notify_nova_on_port_data_changes = true
rpc_workers = 1
rpc_state_report_workers = 0
agent_down_time = 180

[database]
connection = mysql+pymysql://neutron:$NEUTRON_DBPASS@controller/neutron

[nova]
auth_url = http://controller:5000
auth_type = password
project_domain_name = Default
user_domain_name = Default
region_name = RegionOne
project_name = service
username = nova
password = $NOVA_PASS
EOF
if ((LAB_HAS_SELF_SERVICE)); then
  crudini --merge /etc/neutron/neutron.conf <<EOF
[DEFAULT]
service_plugins = router
EOF
else
  crudini --merge /etc/neutron/neutron.conf <<EOF
[DEFAULT]
service_plugins =
EOF
fi
trim_empty /etc/neutron/neutron.conf
# Deviation: the server refuses the driver without it.
if ((LAB_HAS_LINUXBRIDGE_EXPERIMENTAL)); then
  crudini --merge /etc/neutron/neutron.conf <<EOF
[experimental]
linuxbridge = true
EOF
fi
repair_mode /etc/neutron/neutron.conf 0660 root:neutron

heading 'Configure the Modular Layer 2 (ML2) plug-in'
crudini --merge /etc/neutron/plugins/ml2/ml2_conf.ini <<EOF
[ml2]
extension_drivers = port_security

[ml2_type_flat]
flat_networks = provider

[securitygroup]
enable_ipset = true
EOF
if ((LAB_HAS_SELF_SERVICE)); then
  crudini --merge /etc/neutron/plugins/ml2/ml2_conf.ini <<EOF
[ml2]
type_drivers = flat,vlan,vxlan
tenant_network_types = vxlan
mechanism_drivers = $MECHANISM_DRIVER,l2population

[ml2_type_vxlan]
vni_ranges = 1:1000
EOF
else
  crudini --merge /etc/neutron/plugins/ml2/ml2_conf.ini <<EOF
[ml2]
type_drivers = flat,vlan
tenant_network_types =
mechanism_drivers = $MECHANISM_DRIVER
EOF
fi
trim_empty /etc/neutron/plugins/ml2/ml2_conf.ini

heading 'Configure the DHCP agent'
crudini --merge /etc/neutron/dhcp_agent.ini <<EOF
[DEFAULT]
interface_driver = $MECHANISM_DRIVER
dhcp_driver = neutron.agent.linux.dhcp.Dnsmasq
enable_isolated_metadata = true
EOF

heading 'Configure the metadata agent'
crudini --merge /etc/neutron/metadata_agent.ini <<EOF
[DEFAULT]
nova_metadata_host = controller
metadata_proxy_shared_secret = $METADATA_SECRET
metadata_workers = 1
EOF
repair_mode /etc/neutron/metadata_agent.ini 0640 neutron:neutron

# Deviation: one process of one thread instead of eight with 32: each process loads the whole application, and eventlet,
# which neutron's messages go through, cannot switch between threads and says so in the log with a traceback. Slow
# clients are not cut off after four seconds. The body of a request is read first, as the Identity service's step
# explains.
set_line /etc/neutron/neutron-api-uwsgi.ini '^processes = ' 'processes = 1'
set_line /etc/neutron/neutron-api-uwsgi.ini '^threads = ' 'threads = 1'
set_line /etc/neutron/neutron-api-uwsgi.ini '^socket-timeout' 'socket-timeout = 120'
set_line /etc/neutron/neutron-api-uwsgi.ini '^post-buffering' 'post-buffering = 65535'

heading 'Populate the database'
sync_schema neutron neutron-common nice su -s /bin/sh -c "neutron-db-manage --config-file /etc/neutron/neutron.conf \
  --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade head" neutron

wait_for_step 30-identity 60

heading 'Prerequisites: service credentials and API endpoints'
"$LAB_DIR/lib/openstack-batch" <<EOF
ensure user create --domain default --password $NEUTRON_PASS neutron
ensure role add --project service --user neutron admin
ensure role add --project service --user neutron service
ensure service create --name neutron --description "OpenStack Networking" network
ensure endpoint create --region RegionOne network public http://controller:9696
ensure endpoint create --region RegionOne network internal http://controller:9696
ensure endpoint create --region RegionOne network admin http://controller:9696
EOF

heading 'Finalize installation: start the Networking services'
# shellcheck disable=SC2086
enable_units $LAB_UNITS
neutron=/etc/neutron/neutron.conf
restart_if_changed neutron-api neutron-rpc-server "$neutron" /etc/neutron/plugins/ml2/ml2_conf.ini \
  /etc/neutron/neutron-api-uwsgi.ini
# The agents ask the server for their work, and log errors while nobody answers.
# Deviation: so they wait for it at boot too.
calm_agents neutron-dhcp-agent
start_behind neutron-dhcp-agent neutron-metadata-agent http://controller:9696/
wait_for 'the Networking API' 90 http_answers http://controller:9696/ 200
restart_if_changed neutron-dhcp-agent "$neutron" /etc/neutron/dhcp_agent.ini
restart_if_changed neutron-metadata-agent "$neutron" /etc/neutron/metadata_agent.ini
# Agents of later steps read neutron.conf too.
restart_layer2_agent_if_running
restart_if_running neutron-l3-agent "$neutron" /etc/neutron/l3_agent.ini

heading 'Agents that were switched off'
enable_agents

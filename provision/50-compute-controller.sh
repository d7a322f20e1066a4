#!/usr/bin/env bash
#
# Compute service on the controller node: nova-api, nova-conductor, nova-scheduler, nova-api-metadata, and the proxy of
# the instances' consoles: nova-novncproxy or, with the chapter spice, nova-spicehtml5proxy.
#
# Guide: Compute service, "Install and configure controller node".
# Deviation: databases and nova.conf come before the registration with the Identity service, so that several services'
# schemas are made at the same time; the step waits for the Identity service where it needs it.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Prerequisites: databases and grants'
# Deviation: a third database, nova_cell0, which the guide's later editions add with Cells v2: it holds the instances
# for which no compute node was found.
mariadb <<EOF
CREATE DATABASE IF NOT EXISTS nova_api;
CREATE DATABASE IF NOT EXISTS nova;
CREATE DATABASE IF NOT EXISTS nova_cell0;
GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'localhost' IDENTIFIED BY '$NOVA_DBPASS';
GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'%' IDENTIFIED BY '$NOVA_DBPASS';
GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'localhost' IDENTIFIED BY '$NOVA_DBPASS';
GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'%' IDENTIFIED BY '$NOVA_DBPASS';
GRANT ALL PRIVILEGES ON nova_cell0.* TO 'nova'@'localhost' IDENTIFIED BY '$NOVA_DBPASS';
GRANT ALL PRIVILEGES ON nova_cell0.* TO 'nova'@'%' IDENTIFIED BY '$NOVA_DBPASS';
EOF

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

# Against the guide's first edition:
# Deviation: transport_url instead of rpc_backend and [oslo_messaging_rabbit], www_authenticate_uri instead of
# auth_uri, port 5000 instead of 35357, server_listen instead of vncserver_listen, because the old names are ignored
# now; no use_neutron, firewall_driver and enabled_apis, because what they chose is the only way left.
# Deviation: [placement], [service_user] and [neutron], which later editions add. [keystone_authtoken] region_name and
# [neutron] service_metadata_proxy correct the file of Debian's package.
# Deviation: one worker each, and patience (service_down_time, rpc_response_timeout, heartbeat_timeout_threshold), for a
# small or emulated machine.
source "$LAB_DIR/blocks/nova-conf.sh"
crudini --merge /etc/nova/nova.conf <<EOF
[api_database]
connection = mysql+pymysql://nova:$NOVA_DBPASS@controller/nova_api

[database]
connection = mysql+pymysql://nova:$NOVA_DBPASS@controller/nova

[neutron]
service_metadata_proxy = true
metadata_proxy_shared_secret = $METADATA_SECRET

[conductor]
workers = 1

[scheduler]
workers = 1
EOF

# The consoles of the instances: one of the two. Debian's nova.conf turns SPICE on, and its console proxy serves SPICE,
# unless they are told otherwise.
if ((LAB_HAS_SPICE)); then
  crudini --merge /etc/nova/nova.conf <<EOF
[vnc]
enabled = false

[spice]
enabled = true
EOF
  proxy=spicehtml5 console=http://controller:6082/spice_auto.html
else
  crudini --merge /etc/nova/nova.conf <<EOF
[vnc]
enabled = true
server_listen = \$my_ip
server_proxyclient_address = \$my_ip

[spice]
enabled = false
EOF
  proxy=novnc console=http://controller:6080/vnc_auto.html
fi
if ((LAB_HAS_SERIAL)); then serial=true; else serial=false; fi
put_file /etc/default/nova-consoleproxy <<EOF
NOVA_CONSOLE_PROXY_TYPE=$proxy
NOVA_SERIAL_PROXY_START=$serial
EOF
repair_mode /etc/nova/nova.conf 0640 root:nova

# Deviation: the compute API and the metadata API run under uwsgi; one process each instead of 16 and 8, and a busy
# machine's slow clients are not cut off after four seconds. The body of a request is read first, as the Identity
# service's step explains.
for ini in /etc/nova/nova-api-uwsgi.ini /etc/nova/nova-api-metadata-uwsgi.ini; do
  set_line "$ini" '^processes = ' 'processes = 1'
  set_line "$ini" '^threads = ' 'threads = 1'
  set_line "$ini" '^socket-timeout' 'socket-timeout = 120'
  set_line "$ini" '^post-buffering' 'post-buffering = 65535'
done

heading 'Populate the nova-api and Compute databases'
# Deviation: cell0 and cell1, which the guide's later editions add: since Cells v2 every instance is in a cell.
# Deviation: `nova-manage` is loaded once for all its commands, which takes twenty seconds on an emulated processor.
# cell_row NAME COLUMN: of the mapping of cell NAME; empty when there is no such cell.
cell_row() {
  mariadb --batch --skip-column-names nova_api --execute "SELECT $2 FROM cell_mappings WHERE name = '$1'"
}
sync_schema nova_api nova-common loaded nova nova-manage api_db sync
[[ -n $(cell_row cell0 uuid) ]] || loaded nova nova-manage cell_v2 map_cell0
[[ -n $(cell_row cell1 uuid) ]] || loaded nova nova-manage cell_v2 create_cell --name=cell1 --verbose
# The mappings hold the passwords of the day they were made; should one have changed since, they follow.
mariadb nova_api <<EOF
UPDATE cell_mappings SET database_connection = 'mysql+pymysql://nova:$NOVA_DBPASS@controller/nova_cell0?charset=utf8'
 WHERE name = 'cell0' AND database_connection NOT LIKE 'mysql+pymysql://nova:$NOVA_DBPASS@controller/nova_cell0%';
UPDATE cell_mappings SET database_connection = 'mysql+pymysql://nova:$NOVA_DBPASS@controller/nova',
 transport_url = 'rabbit://openstack:$RABBIT_PASS@controller:5672/'
 WHERE name = 'cell1';
EOF
# `db sync` makes the schema in both cells.
sync_schema "nova nova_cell0" nova-common loaded nova nova-manage db sync

heading 'Verify that cell0 and cell1 are registered'
# Deviation: asked from the database, because `nova-manage cell_v2 list_cells` takes twenty seconds to start here.
mariadb --table nova_api <<<'SELECT name, uuid, disabled FROM cell_mappings;'

wait_for_step 30-identity 60

heading 'Prerequisites: service credentials and API endpoints'
# Deviation: the URL is without %(tenant_id)s, which the guide dropped when the API stopped needing it.
"$LAB_DIR/lib/openstack-batch" <<EOF
ensure user create --domain default --password $NOVA_PASS nova
ensure role add --project service --user nova admin
ensure role add --project service --user nova service
ensure service create --name nova --description "OpenStack Compute" compute
ensure endpoint create --region RegionOne compute public http://controller:8774/v2.1
ensure endpoint create --region RegionOne compute internal http://controller:8774/v2.1
ensure endpoint create --region RegionOne compute admin http://controller:8774/v2.1
EOF

heading 'Finalize installation: restart the Compute services'
# The conductor and the scheduler ask the Placement service at their start, and end when it does not know them yet.
wait_for_step 45-placement 60

# nova-consoleauth is gone: the consoles' tokens are in the cell's database. The other console proxies are not used.
# shellcheck disable=SC2086
disable_units $LAB_UNITS_OFF
# Deviation: ten minutes to start instead of 90 seconds, because these units say themselves when they are ready.
start_limit nova-
# Deviation: at boot the scheduler waits for what it asks first; without that it ends, and is started again and again.
start_behind nova-scheduler http://controller:5000/v3 http://controller:8778/
# shellcheck disable=SC2086
enable_units $LAB_UNITS
# shellcheck disable=SC2086
restart_if_changed $LAB_UNITS \
  /etc/nova/nova.conf /etc/default/nova-consoleproxy /etc/nova/nova-api-uwsgi.ini /etc/nova/nova-api-metadata-uwsgi.ini
restart_if_running nova-serialproxy /etc/nova/nova.conf /etc/default/nova-consoleproxy # of a later step
wait_for 'the Compute API' 40 http_answers http://controller:8774/ 200
wait_for 'the metadata API' 40 http_answers http://controller:8775/ 200
wait_for 'the console proxy' 40 http_answers "$console" 200

heading 'Services that were disabled'
# The guide disables none; should somebody have done so, instances would be scheduled no more.
lines=$(mariadb --batch --skip-column-names nova --execute "SELECT CONCAT('compute service set --enable ', host, ' ',
  \`binary\`) FROM services WHERE deleted = 0 AND disabled AND host = 'controller'")
if [[ -n $lines ]]; then
  "$LAB_DIR/lib/openstack-batch" <<<"$lines"
fi

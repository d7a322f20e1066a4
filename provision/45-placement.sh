#!/usr/bin/env bash
#
# Placement service: what each compute node has, and how much of it is taken.
#
# Guide: Placement service Installation Tutorial, "Install and configure Placement".
# Deviation: the database comes before the registration with the Identity service, so that several services' schemas
# are made at the same time; the step waits for the Identity service where it needs it.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Prerequisites: database and grants'
mariadb <<EOF
CREATE DATABASE IF NOT EXISTS placement;
GRANT ALL PRIVILEGES ON placement.* TO 'placement'@'localhost' IDENTIFIED BY '$PLACEMENT_DBPASS';
GRANT ALL PRIVILEGES ON placement.* TO 'placement'@'%' IDENTIFIED BY '$PLACEMENT_DBPASS';
EOF

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

# Deviation: [keystone_authtoken] region_name, because Debian's file has a region that the guide does not create.
crudini --merge /etc/placement/placement.conf <<EOF
[placement_database]
connection = mysql+pymysql://placement:$PLACEMENT_DBPASS@controller/placement

[api]
auth_strategy = keystone

[keystone_authtoken]
www_authenticate_uri = http://controller:5000
auth_url = http://controller:5000
memcached_servers = controller:11211
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = service
username = placement
password = $PLACEMENT_PASS
region_name = RegionOne
EOF
repair_mode /etc/placement/placement.conf 0640 root:placement

# Deviation: one process with four threads instead of eight with 32, for a small machine; its slow
# clients are not cut off after four seconds. The body of a request is read first, as the Identity service's step
# explains.
set_line /etc/placement/placement-api-uwsgi.ini '^processes = ' 'processes = 1'
set_line /etc/placement/placement-api-uwsgi.ini '^threads = ' 'threads = 4'
set_line /etc/placement/placement-api-uwsgi.ini '^socket-timeout' 'socket-timeout = 120'
set_line /etc/placement/placement-api-uwsgi.ini '^post-buffering' 'post-buffering = 65535'

heading 'Populate the placement database'
sync_schema placement placement-common nice su -s /bin/sh -c "placement-manage db sync" placement

wait_for_step 30-identity 60

heading 'Prerequisites: service user and API endpoints'
"$LAB_DIR/lib/openstack-batch" <<EOF
ensure user create --domain default --password $PLACEMENT_PASS placement
ensure role add --project service --user placement admin
ensure role add --project service --user placement service
ensure service create --name placement --description "Placement API" placement
ensure endpoint create --region RegionOne placement public http://controller:8778
ensure endpoint create --region RegionOne placement internal http://controller:8778
ensure endpoint create --region RegionOne placement admin http://controller:8778
EOF

heading 'Finalize installation: restart the Placement service'
enable_units placement-api
restart_if_changed placement-api /etc/placement/placement.conf /etc/placement/placement-api-uwsgi.ini
wait_for 'the Placement API' 40 http_answers http://controller:8778/ 200

#!/usr/bin/env bash
#
# Image service: glance, from which nova-compute takes the disks of instances.
#
# Guide: Image service Installation Tutorial, "Install and configure".
# Deviation: the database comes before the registration with the Identity service, so that both services' schemas are
# made at the same time; the step waits for the Identity service where it needs it.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Prerequisites: database and grants'
mariadb <<EOF
CREATE DATABASE IF NOT EXISTS glance;
GRANT ALL PRIVILEGES ON glance.* TO 'glance'@'localhost' IDENTIFIED BY '$GLANCE_DBPASS';
GRANT ALL PRIVILEGES ON glance.* TO 'glance'@'%' IDENTIFIED BY '$GLANCE_DBPASS';
EOF

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

# Deviation: [keystone_authtoken] region_name, because Debian's file has a region that the guide does not create;
# [DEFAULT] workers is 0, for a small machine: the service itself answers, because a parent of workers looks after them
# a hundred times a second; lock_path is a directory that outlives a restart of the unit.
crudini --merge /etc/glance/glance-api.conf <<EOF
[DEFAULT]
workers = 0

[database]
connection = mysql+pymysql://glance:$GLANCE_DBPASS@controller/glance

[keystone_authtoken]
www_authenticate_uri = http://controller:5000
auth_url = http://controller:5000
memcached_servers = controller:11211
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = service
username = glance
password = $GLANCE_PASS
region_name = RegionOne

[paste_deploy]
flavor = keystone

[oslo_concurrency]
lock_path = /var/lib/glance/tmp
EOF
if ((LAB_HAS_GLANCE_BACKENDS)); then
  crudini --merge /etc/glance/glance-api.conf <<EOF
[DEFAULT]
enabled_backends = fs:file

[glance_store]
default_backend = fs

[fs]
filesystem_store_datadir = /var/lib/glance/images/
EOF
else
  crudini --merge /etc/glance/glance-api.conf <<EOF
[glance_store]
stores = file,http
default_store = file
filesystem_store_datadir = /var/lib/glance/images/
EOF
fi
repair_mode /etc/glance/glance-api.conf 0640 root:glance
install -d -o glance -g glance -m 0755 /var/lib/glance/tmp

glance_files=(/etc/glance/glance-api.conf)
if ((LAB_HAS_GLANCE_UWSGI)); then
  # Deviation: one process with four threads instead of eight with 32, for a small machine; its slow clients are not cut
  # off after ten seconds. Unlike elsewhere, bodies are not read first: they are images, and would be kept twice.
  set_line /etc/glance/glance-api-uwsgi.ini '^processes = ' 'processes = 1'
  set_line /etc/glance/glance-api-uwsgi.ini '^threads = ' 'threads = 4'
  set_line /etc/glance/glance-api-uwsgi.ini '^socket-timeout' 'socket-timeout = 120'
  glance_files+=(/etc/glance/glance-api-uwsgi.ini)
fi

heading 'Populate the Image service database'
sync_schema glance glance-common nice su -s /bin/sh -c "glance-manage db_sync" glance

wait_for_step 30-identity 60

heading 'Prerequisites: service credentials and API endpoints'
"$LAB_DIR/lib/openstack-batch" <<EOF
ensure user create --domain default --password $GLANCE_PASS glance
ensure role add --project service --user glance admin
ensure role add --project service --user glance service
ensure service create --name glance --description "OpenStack Image" image
ensure endpoint create --region RegionOne image public http://controller:9292
ensure endpoint create --region RegionOne image internal http://controller:9292
ensure endpoint create --region RegionOne image admin http://controller:9292
EOF

heading 'Finalize installation: restart the Image service'
enable_units glance-api
restart_if_changed glance-api "${glance_files[@]}"
wait_for 'the Image API' 40 http_answers http://controller:9292/versions 200

#!/usr/bin/env bash
#
# Image service, to the letter of the guide: glance-api and glance-registry.
#
# Guide: Image service, "Install and configure".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Prerequisites: databases and grants'
# Deviation: the guide's `mysql -u root -p` asks for a password; root needs none on the machine itself.
[[ -d /var/lib/mysql/glance ]] || mysql -u root <<EOF
CREATE DATABASE glance;
EOF
mysql -u root <<EOF
GRANT ALL PRIVILEGES ON glance.* TO 'glance'@'localhost' IDENTIFIED BY '$GLANCE_DBPASS';
GRANT ALL PRIVILEGES ON glance.* TO 'glance'@'%' IDENTIFIED BY '$GLANCE_DBPASS';
EOF

heading 'Prerequisites: service credentials and API endpoints'
cd /root
# shellcheck disable=SC1091
. admin-openrc
guide_commands <<EOF
openstack user create --domain default --password $GLANCE_PASS glance
openstack role add --project service --user glance admin
openstack service create --name glance --description "OpenStack Image" image
openstack endpoint create --region RegionOne image public http://controller:9292
openstack endpoint create --region RegionOne image internal http://controller:9292
openstack endpoint create --region RegionOne image admin http://controller:9292
EOF

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# shellcheck disable=SC2086
enable_units $LAB_UNITS
crudini --merge /etc/glance/glance-api.conf <<EOF
[database]
connection = mysql+pymysql://glance:$GLANCE_DBPASS@controller/glance

[keystone_authtoken]
auth_uri = http://controller:5000
auth_url = http://controller:35357
memcached_servers = controller:11211
auth_type = password
project_domain_name = default
user_domain_name = default
project_name = service
username = glance
password = $GLANCE_PASS

[paste_deploy]
flavor = keystone

[glance_store]
stores = file,http
default_store = file
filesystem_store_datadir = /var/lib/glance/images/
EOF
crudini --merge /etc/glance/glance-registry.conf <<EOF
[database]
connection = mysql+pymysql://glance:$GLANCE_DBPASS@controller/glance

[keystone_authtoken]
auth_uri = http://controller:5000
auth_url = http://controller:35357
memcached_servers = controller:11211
auth_type = password
project_domain_name = default
user_domain_name = default
project_name = service
username = glance
password = $GLANCE_PASS

[paste_deploy]
flavor = keystone
EOF
su -s /bin/sh -c "glance-manage db_sync" glance

heading 'Finalize installation'
service glance-registry restart
service glance-api restart
wait_for 'the Image API' 40 http_answers http://controller:9292/versions 200

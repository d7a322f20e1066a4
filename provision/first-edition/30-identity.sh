#!/usr/bin/env bash
#
# Identity service, to the letter of the guide: keystone on ports 5000 and 35357.
#
# Guide: Identity service, "Install and configure"; "Create a domain, projects, users, and roles"; "Create OpenStack
# client environment scripts".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Prerequisites: databases and grants'
# Deviation: the guide's `mysql -u root -p` asks for a password; root needs none on the machine itself.
[[ -d /var/lib/mysql/keystone ]] || mysql -u root <<EOF
CREATE DATABASE keystone;
EOF
mysql -u root <<EOF
GRANT ALL PRIVILEGES ON keystone.* TO 'keystone'@'localhost' IDENTIFIED BY '$KEYSTONE_DBPASS';
GRANT ALL PRIVILEGES ON keystone.* TO 'keystone'@'%' IDENTIFIED BY '$KEYSTONE_DBPASS';
EOF

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# shellcheck disable=SC2086
enable_units $LAB_UNITS
crudini --merge /etc/keystone/keystone.conf <<EOF
[database]
connection = mysql+pymysql://keystone:$KEYSTONE_DBPASS@controller/keystone

[token]
provider = fernet
EOF
su -s /bin/sh -c "keystone-manage db_sync" keystone
keystone-manage fernet_setup --keystone-user keystone --keystone-group keystone
keystone-manage credential_setup --keystone-user keystone --keystone-group keystone
# Deviation: the password comes from OS_BOOTSTRAP_PASSWORD instead of --bootstrap-password.
OS_BOOTSTRAP_PASSWORD=$ADMIN_PASS keystone-manage bootstrap \
  --bootstrap-admin-url http://controller:35357/v3/ \
  --bootstrap-internal-url http://controller:35357/v3/ \
  --bootstrap-public-url http://controller:5000/v3/ \
  --bootstrap-region-id RegionOne

heading 'Configure the Apache HTTP server'
# Deviation: with packages of virtualenvs uWSGI serves both ports instead of Apache, whose module for Python 2 is gone.
if ((! LAB_HAS_VIRTUALENVS)); then
  set_line /etc/apache2/apache2.conf '^ServerName ' 'ServerName controller'
fi

heading 'Finalize the installation'
# The unit is apache2, or keystone where uWSGI serves it.
service "$LAB_UNITS" restart
rm -f /var/lib/keystone/keystone.db
wait_for 'the Identity API' 40 http_answers http://controller:5000/v3 200
wait_for 'its port for administrators' 40 http_answers http://controller:35357/v3 200

heading 'Client environment script: /root/admin-openrc'
put_file /root/admin-openrc 0600 <<EOF
export OS_PROJECT_DOMAIN_NAME=Default
export OS_USER_DOMAIN_NAME=Default
export OS_PROJECT_NAME=admin
export OS_USERNAME=admin
export OS_PASSWORD=$ADMIN_PASS
export OS_AUTH_URL=http://controller:35357/v3
export OS_IDENTITY_API_VERSION=3
export OS_IMAGE_API_VERSION=2
EOF

heading 'Create the service project'
# Deviation: no project, user and role for demonstrations, which no later step uses.
cd /root
# shellcheck disable=SC1091
. admin-openrc
guide_commands <<EOF
openstack project create --domain default --description "Service Project" service
EOF

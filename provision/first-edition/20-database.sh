#!/usr/bin/env bash
#
# SQL database, to the letter of the guide: MariaDB, in which every service keeps its state.
#
# Guide: Installation Guide, "Environment: SQL database".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
put_file /etc/mysql/mariadb.conf.d/99-openstack.cnf <<EOF
[mysqld]
bind-address = $MANAGEMENT_INTERFACE_IP_ADDRESS

default-storage-engine = innodb
innodb_file_per_table
max_connections = 4096
collation-server = utf8_general_ci
character-set-server = utf8
EOF

heading 'Finalize installation'
service mysql restart
# Deviation: no mysql_secure_installation, which asks questions; Ubuntu's package lets root in through the socket only.

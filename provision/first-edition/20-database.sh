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
# shellcheck disable=SC2086
enable_units $LAB_UNITS
# Deviation: the last three lines are not the guide's. A lab's database need not survive a power cut to the last
# transaction, and the schema migrations wait for the disk at each of theirs.
put_file /etc/mysql/mariadb.conf.d/99-openstack.cnf <<EOF
[mysqld]
bind-address = $MANAGEMENT_INTERFACE_IP_ADDRESS

default-storage-engine = innodb
innodb_file_per_table
max_connections = 4096
collation-server = utf8_general_ci
character-set-server = utf8

innodb_flush_log_at_trx_commit = 0
innodb_doublewrite = 0
performance_schema = off
EOF

heading 'Finalize installation'
# The unit is mysql on Ubuntu 16.04, mariadb on Debian 11.
service "$LAB_UNITS" restart
wait_for 'the database' 20 mysql --execute 'SELECT 1'
# Deviation: no mysql_secure_installation, which asks questions; the package lets root in through the socket only.

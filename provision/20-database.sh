#!/usr/bin/env bash
#
# SQL database: MariaDB, in which every service keeps its state.
#
# Guide: Installation Guide, "Environment: SQL database". It runs on the controller node and answers on the management
# address only. Each service's own database and its grants are made in that service's chapter.
# Deviation: a box in which the packages are installed also has the databases' schemas, which the services' own commands
# made when it was built. Each service's step loads its schema into the empty database before it runs the command, which
# then has nothing left to do: on an emulated processor, the migrations of all services take about five minutes.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the packages'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

heading 'Configure: /etc/mysql/mariadb.conf.d/99-openstack.cnf'
# Deviation: the last three lines are not the guide's. A lab's database need not survive a power cut to the last
# transaction, and the schema migrations wait for the disk at each of theirs; 4096 connections never come.
put_file /etc/mysql/mariadb.conf.d/99-openstack.cnf <<EOF
[mysqld]
bind-address = $MANAGEMENT_INTERFACE_IP_ADDRESS

default-storage-engine = innodb
innodb_file_per_table = on
max_connections = 4096
collation-server = utf8_general_ci
character-set-server = utf8

innodb_flush_log_at_trx_commit = 0
innodb_doublewrite = 0
performance_schema = off
EOF

heading 'Restart the database service'
enable_units mariadb
restart_if_changed mariadb /etc/mysql/mariadb.conf.d/99-openstack.cnf
wait_for 'the database' 10 mariadb --execute 'SELECT 1'

# The guide runs mysql_secure_installation. Debian's package already leaves no anonymous account and no test database,
# and lets root in through the socket only; the step makes sure of it.
heading 'Secure the database service'
mariadb <<EOF
DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host NOT IN ('localhost', '127.0.0.1', '::1'));
DROP DATABASE IF EXISTS test;
FLUSH PRIVILEGES;
EOF

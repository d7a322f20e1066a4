#!/usr/bin/env bash
#
# Cells v2 on the controller node: cell0, which holds the instances for which no compute node was found, and cell1 for
# all others. Every release after the guide's own has them, and starts no instance without them.
#
# Guide: the next edition's Compute service, "Install and configure controller node".
# Deviation: all of this step; the first edition has none of it.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Prerequisites: database and grants'
[[ -d /var/lib/mysql/nova_cell0 ]] || mysql -u root <<EOF
CREATE DATABASE nova_cell0;
EOF
mysql -u root <<EOF
GRANT ALL PRIVILEGES ON nova_cell0.* TO 'nova'@'localhost' IDENTIFIED BY '$NOVA_DBPASS';
GRANT ALL PRIVILEGES ON nova_cell0.* TO 'nova'@'%' IDENTIFIED BY '$NOVA_DBPASS';
EOF

heading 'Register cell0 and cell1'
# cell_row NAME: the mapping of cell NAME; empty when there is no such cell.
cell_row() {
  mysql --batch --skip-column-names nova_api --execute "SELECT uuid FROM cell_mappings WHERE name = '$1'"
}
# create_cell takes the queue's address from [DEFAULT] transport_url, which the guide's nova.conf does not have. It
# reads a file of its own for it; as an argument, everybody on the machine could read the password.
put_file /etc/nova/nova-cells.conf 0640 root:nova <<EOF
[DEFAULT]
transport_url = rabbit://openstack:$RABBIT_PASS@controller:5672/
EOF
[[ -n $(cell_row cell0) ]] || su -s /bin/sh -c "nova-manage cell_v2 map_cell0" nova
[[ -n $(cell_row cell1) ]] ||
  su -s /bin/sh -c "nova-manage --config-file /etc/nova/nova.conf --config-file /etc/nova/nova-cells.conf \
    cell_v2 create_cell --name=cell1 --verbose" nova
# The mappings hold the passwords of the day they were made; should one have changed since, they follow.
mysql nova_api <<EOF
UPDATE cell_mappings SET database_connection = 'mysql+pymysql://nova:$NOVA_DBPASS@controller/nova_cell0'
 WHERE name = 'cell0';
UPDATE cell_mappings SET database_connection = 'mysql+pymysql://nova:$NOVA_DBPASS@controller/nova',
 transport_url = 'rabbit://openstack:$RABBIT_PASS@controller:5672/' WHERE name = 'cell1';
EOF
# The step before this one made the schema of cell1, when there was no cell0 yet. cell0 has the same: a copy takes
# seconds, and making it once more from the first migration on takes minutes on an emulated machine. The version comes
# last: without it the copy was cut short, and is made again.
[[ -n $(mysql --batch --skip-column-names nova_cell0 --execute 'SELECT version FROM migrate_version' 2>/dev/null) ]] ||
  { mysqldump --no-data nova && mysqldump --no-create-info nova migrate_version; } | mysql nova_cell0
su -s /bin/sh -c "nova-manage db sync" nova

heading 'Verify that cell0 and cell1 are registered'
# Deviation: asked from the database, because `nova-manage cell_v2 list_cells` takes twenty seconds to start here.
mysql --table nova_api <<<'SELECT name, uuid FROM cell_mappings;'

#!/usr/bin/env bash
#
# The Placement API, which is still a part of nova: it counts what the compute nodes have and what is taken. The
# scheduler asks it for compute nodes, and nova-compute tells it what there is.
#
# Guide: the next edition's Compute service, "Install and configure controller node".
# Deviation: all of this step; the first edition has none of it.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Prerequisites: service credentials and API endpoints'
cd /root
# shellcheck disable=SC1091
. admin-openrc
guide_commands <<EOF
openstack user create --domain default --password $PLACEMENT_PASS placement
openstack role add --project service --user placement admin
openstack service create --name placement --description "Placement API" placement
openstack endpoint create --region RegionOne placement public http://controller:8778
openstack endpoint create --region RegionOne placement internal http://controller:8778
openstack endpoint create --region RegionOne placement admin http://controller:8778
EOF

heading 'Install and configure components'
# python3-osc-placement, with which remove-compute asks the Placement API, is newer than the release.
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# shellcheck disable=SC2086
enable_units $LAB_UNITS
crudini --merge /etc/nova/nova.conf <<EOF
[placement]
os_region_name = RegionOne
project_domain_name = default
user_domain_name = default
project_name = service
auth_type = password
username = placement
password = $PLACEMENT_PASS
auth_url = http://controller:35357/v3
EOF

heading 'Finalize installation'
service nova-placement-api restart
service nova-api restart
service nova-scheduler restart
wait_for 'the Placement API' 40 http_answers http://controller:8778/ 401
wait_for 'the Compute API' 40 http_answers http://controller:8774/ 200

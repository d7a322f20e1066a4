#!/usr/bin/env bash
#
# Verify operation of the Compute service, to the letter of the guide.
#
# Guide: Compute service, "Verify operation".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

cd /root
# shellcheck disable=SC1091
. admin-openrc
guide_commands <<EOF
openstack compute service list
EOF

#!/usr/bin/env bash
#
# The nova client: the command `nova`, which users had before `openstack`.
#
# Guide: Compute service overview, "nova client".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the client'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

heading 'Ask the Compute service'
cd /root
# shellcheck disable=SC1091
. admin-openrc
nova service-list
nova list

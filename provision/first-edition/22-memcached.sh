#!/usr/bin/env bash
#
# Memcached, to the letter of the guide: it caches the tokens of the Identity service.
#
# Guide: Installation Guide, "Environment: Memcached".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install and configure components'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# shellcheck disable=SC2086
enable_units $LAB_UNITS
set_line /etc/memcached.conf '^-l ' "-l $MANAGEMENT_INTERFACE_IP_ADDRESS"

heading 'Finalize installation'
service memcached restart

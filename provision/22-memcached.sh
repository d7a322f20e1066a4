#!/usr/bin/env bash
#
# Memcached: the Identity service's authentication mechanism for the services caches tokens in it.
#
# Guide: Installation Guide, "Environment: Memcached". It listens on the controller's management address.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the packages'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

heading 'Configure: /etc/memcached.conf'
set_line /etc/memcached.conf '^-l ' "-l $MANAGEMENT_INTERFACE_IP_ADDRESS"

heading 'Restart the Memcached service'
enable_units memcached
restart_if_changed memcached /etc/memcached.conf

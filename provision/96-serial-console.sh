#!/usr/bin/env bash
#
# Serial consoles: a shell on the serial port of each instance, through nova-serialproxy.
#
# Guide: Compute service administration, "Configure remote console access", Serial console. The options are those of
# 55-compute-node, which turns the serial ports into sockets in a lab with this chapter; the proxy needs nothing beyond
# the controller's nova.conf.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Start the serial proxy'
# shellcheck disable=SC2086
enable_units $LAB_UNITS
restart_if_changed nova-serialproxy /etc/nova/nova.conf /etc/default/nova-consoleproxy
# proxy_listens: on its port.
proxy_listens() {
  ss --no-header --listening --tcp --numeric 'sport = :6083' | grep -q .
}
wait_for 'the serial proxy' 20 proxy_listens

heading 'Show the address of each console'
# An instance that was launched before the chapter has no such socket; a hard reboot creates its domain again, with one.
for compute in $LAB_COMPUTES; do
  printf 'console url show --serial {server:instance-%s} || server reboot --hard {server:instance-%s}\n' \
    "$compute" "$compute"
  printf 'await 60 ACTIVE server show --format value --column status {server:instance-%s}\n' "$compute"
  printf 'await 20 "^ws://" console url show --serial --format value --column url {server:instance-%s}\n' "$compute"
done | "$LAB_DIR/lib/openstack-batch"

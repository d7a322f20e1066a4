#!/usr/bin/env bash
#
# SPICE consoles: each instance has one, which is reached through nova-spicehtml5proxy.
#
# Guide: Compute service overview, "nova-spicehtml5proxy". The proxy and its options are those of 50-compute-controller
# and 55-compute-node, which configure SPICE instead of VNC in a lab with this chapter.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Show the address of each console'
# An instance that was launched before the chapter has no SPICE server; a hard reboot creates its domain again, with
# one.
for compute in $LAB_COMPUTES; do
  printf 'console url show --spice {server:instance-%s} || server reboot --hard {server:instance-%s}\n' \
    "$compute" "$compute"
  printf 'await 60 ACTIVE server show --format value --column status {server:instance-%s}\n' "$compute"
  printf 'await 20 "^http://" console url show --spice --format value --column url {server:instance-%s}\n' "$compute"
done | "$LAB_DIR/lib/openstack-batch"

#!/usr/bin/env bash
#
# The compute nodes come into cell1, where the scheduler finds them.
#
# Guide: the next edition's Compute service, "Install and configure a compute node: Add the compute node to the cell
# database".
# Deviation: all of this step; the first edition has none of it.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

# all_computes TABLE: each compute node of the lab is in it, by its column host.
all_computes() {
  local known compute missing=()
  known=$(mysql --batch --skip-column-names --execute "SELECT host FROM $1")
  for compute in $LAB_COMPUTES; do
    grep --quiet --line-regexp "$compute" <<<"$known" || missing+=("$compute")
  done
  ((${#missing[@]})) || return 0
  printf 'not in %s: %s\n' "$1" "${missing[*]}"
  return 1
}

heading 'Wait for the compute nodes to report themselves'
wait_for "the records of: $LAB_COMPUTES" 30 all_computes nova.compute_nodes

heading 'Discover compute hosts'
if ! all_computes nova_api.host_mappings >/dev/null; then
  su -s /bin/sh -c "nova-manage cell_v2 discover_hosts --verbose" nova
fi
wait_for "the mappings of: $LAB_COMPUTES" 5 all_computes nova_api.host_mappings

heading 'Verify operation'
# A compute node that a student disabled is enabled again.
for compute in $LAB_COMPUTES; do
  printf 'compute service set --enable %s nova-compute\n' "$compute"
  printf 'await 20 "^up$" compute service list --host %s --service nova-compute --format value --column State\n' \
    "$compute"
done | {
  cat
  printf 'compute service list\n'
  printf 'hypervisor list\n'
} | "$LAB_DIR/lib/openstack-batch"

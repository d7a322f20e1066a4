#!/usr/bin/env bash
#
# Compute service: add the compute nodes to the cell database, and verify operation.
#
# Guide: Compute service, "Install and configure a compute node: Add the compute node to the cell database", and
# "Verify operation". It runs on the controller, once for all compute nodes.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

# hosts_in TABLE [CONDITION]: the names in column host, one per line.
hosts_in() {
  mariadb --batch --skip-column-names --execute "SELECT DISTINCT host FROM $1 WHERE ${2:-TRUE}"
}
# all_computes TABLE [CONDITION]: every compute node of the lab is among them.
all_computes() {
  local found compute missing=()
  found=$(hosts_in "$@")
  for compute in $LAB_COMPUTES; do
    grep -qx -- "$compute" <<<"$found" || missing+=("$compute")
  done
  ((${#missing[@]} == 0)) && return 0
  printf 'not in %s: %s\n' "$1" "${missing[*]}"
  return 1
}

heading 'Wait for the compute nodes to report themselves'
wait_for "the records of: $LAB_COMPUTES" 30 all_computes nova.compute_nodes 'deleted = 0'

heading 'Discover compute hosts'
# Deviation: skipped when every host is mapped, because it takes twenty seconds to start here.
if all_computes nova_api.host_mappings >/dev/null; then
  say "mapped already: $LAB_COMPUTES"
else
  su -s /bin/sh -c "nova-manage cell_v2 discover_hosts --verbose" nova
fi
wait_for "the mappings of: $LAB_COMPUTES" 5 all_computes nova_api.host_mappings

heading 'Verify operation'
# A compute node that a student disabled, or said to be down, is enabled again.
# Deviation: a newer version of the API than the client's own choice, for --up.
export OS_COMPUTE_API_VERSION=2.53
for compute in $LAB_COMPUTES; do
  printf 'compute service set --enable --up %s nova-compute\n' "$compute"
  printf 'await 20 "^up$" compute service list --host %s --service nova-compute --format value --column State\n' \
    "$compute"
done | {
  cat
  printf 'compute service list\n'
  printf 'hypervisor list\n'
} | "$LAB_DIR/lib/openstack-batch"

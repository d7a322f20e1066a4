#!/usr/bin/env bash
#
# The compute nodes come into cell1, where the scheduler finds them.
#
# Guide: the next edition's Compute service, "Install and configure a compute node: Add the compute node to the cell
# database".
# Deviation: all of this step; the first edition has none of it.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

# all_computes TABLE [CONDITION]: each compute node of the lab is in it, by its column host.
all_computes() {
  local known compute missing=()
  known=$(mysql --batch --skip-column-names --execute "SELECT host FROM $1 WHERE ${2:-TRUE}")
  for compute in $LAB_COMPUTES; do
    grep --quiet --line-regexp "$compute" <<<"$known" || missing+=("$compute")
  done
  ((${#missing[@]})) || return 0
  printf 'not in %s: %s\n' "$1" "${missing[*]}"
  return 1
}

heading 'Wait for the compute nodes to report themselves'
wait_for "the records of: $LAB_COMPUTES" 30 all_computes nova.compute_nodes 'deleted = 0'

heading 'Discover compute hosts'
if ! all_computes nova_api.host_mappings >/dev/null; then
  su -s /bin/sh -c "nova-manage cell_v2 discover_hosts --verbose" nova
fi
wait_for "the mappings of: $LAB_COMPUTES" 5 all_computes nova_api.host_mappings

heading 'Verify operation'
# kept_back: host and name of each service that a student disabled, or said to be down.
kept_back() {
  mysql --batch --skip-column-names nova --execute "SELECT host, \`binary\` FROM services
    WHERE deleted = 0 AND (disabled OR forced_down) AND (host = 'controller' OR host REGEXP '^compute[0-9]+$')"
}
# Deviation: a newer version of the API than the client's own choice, for --up.
export OS_COMPUTE_API_VERSION=2.11
{
  kept_back | sed 's/^/compute service set --enable --up /'
  for compute in $LAB_COMPUTES; do
    printf 'await 20 "^up$" compute service list --host %s --service nova-compute --format value --column State\n' \
      "$compute"
  done
  printf 'compute service list\n'
  printf 'hypervisor list\n'
} | "$LAB_DIR/lib/openstack-batch"

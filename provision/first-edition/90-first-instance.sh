#!/usr/bin/env bash
#
# The first instances: one on each compute node, to prove that the lab works.
#
# Guide: Installation Guide, "Launch an instance on the provider network".
# The instances are the lab's own: one that was stopped, paused, suspended, shelved, rescued or resized is brought back,
# one in ERROR is deleted and launched again. Other instances with these names are not touched.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Launch the instances, and check that they booted'
# Deviation: --availability-zone names the compute node, so that each has one.
# Deviation: {image:tiny} is the id of the lab's own image of that name, should a user have made another; so {server:…}.
# Deviation: a higher quota, so that the user can still have the default ten instances, besides these.
#
# With nova-network there is one network, which each instance gets.
network='--network {network:provider} '
if ((LAB_HAS_NOVA_NETWORK)); then
  network=
fi
# The console shows the address of the lease and the instance-id from the metadata service, then BOOT OK.
{
  if ((! LAB_HAS_NOVA_NETWORK)); then
    printf 'ensure quota set --instances %d --cores %d admin\n' $((LAB_COMPUTE_COUNT + 12)) $((LAB_COMPUTE_COUNT + 12))
  fi
  for compute in $LAB_COMPUTES; do
    printf 'ensure server create --flavor m1.nano --image {image:tiny} %s--availability-zone nova:%s instance-%s\n' \
      "$network" "$compute" "$compute"
  done
  for compute in $LAB_COMPUTES; do
    printf 'await 60 ACTIVE server show --format value --column status {server:instance-%s}\n' "$compute"
    printf 'booted 60 "TINY: ip=[0-9.]+/.* instance-id=i-" {server:instance-%s}\n' "$compute"
  done
  printf 'server list --long --fit-width\n'
} | "$LAB_DIR/lib/openstack-batch"

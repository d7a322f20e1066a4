#!/usr/bin/env bash
#
# The first instances: one on each compute node, to prove that the lab works.
#
# Guide: Installation Guide, "Launch an instance on the provider network".
# An instance that is there is left alone; one that was stopped is started; one in ERROR is deleted and launched
# again.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Launch the instances, and check that they booted'
# Deviation: --availability-zone names the compute node, so that each has one.
# The console shows the address of the lease and the instance-id from the metadata service, then BOOT OK.
{
  for compute in $LAB_COMPUTES; do
    printf 'ensure server create --flavor m1.nano --image tiny --network provider --availability-zone nova:%s instance-%s\n' \
      "$compute" "$compute"
  done
  for compute in $LAB_COMPUTES; do
    printf 'await 60 ACTIVE server show --format value --column status instance-%s\n' "$compute"
    printf 'await 60 "^TINY: ip=[0-9.]+/.* instance-id=i-" console log show instance-%s\n' "$compute"
  done
  printf 'server list --long --fit-width\n'
} | "$LAB_DIR/lib/openstack-batch"

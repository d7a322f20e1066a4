#!/usr/bin/env bash
#
# The initial network of nova-network, for all projects.
#
# Guide: Legacy networking (nova-network), "Create initial network".
# Deviation: nova-manage instead of the guide's `nova network-create`, because the nova client is not installed.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Create the network'
if [[ -z $(mysql -NBe "SELECT id FROM nova.networks WHERE label = 'demo-net' AND deleted = 0") ]]; then
  su -s /bin/sh -c "nova-manage network create --label demo-net --bridge br100 --multi_host T \
    --fixed_range_v4 $PROVIDER_CIDR" nova
fi

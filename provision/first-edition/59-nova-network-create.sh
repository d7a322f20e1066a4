#!/usr/bin/env bash
#
# The initial network of nova-network, for all projects.
#
# Guide: Legacy networking (nova-network), "Create initial network".
# Deviation: the gateway, which each compute node is for its own instances, is the first of the instances' addresses. By
# default it would be the network's first address, which is the host's here. For the same reason there is a first and a
# last address that instances may have.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Install the client'
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

heading 'Wait for nova-network'
# Deviation: a nova-network makes the network; what it is told before it listens is lost.
network_listens() {
  [[ -n $(mysql -NBe "SELECT id FROM nova.services WHERE topic = 'network' AND deleted = 0 AND report_count > 0") ]]
}
wait_for 'the first report of nova-network' 60 network_listens

heading 'Create the network'
cd /root
# shellcheck disable=SC1091
. admin-openrc
# The client has no such command for newer versions of the API.
export OS_COMPUTE_API_VERSION=2.35
if [[ -z $(mysql -NBe "SELECT id FROM nova.networks WHERE label = 'demo-net' AND deleted = 0") ]]; then
  nova network-create demo-net --bridge br100 --multi-host T --fixed-range-v4 "$PROVIDER_CIDR" \
    --gateway "$PROVIDER_POOL_START" --allowed-start "$PROVIDER_POOL_START" --allowed-end "$PROVIDER_POOL_END"
fi

#!/usr/bin/env bash
#
# The metadata service in depth: an instance with user data and a property of its own, which nova-api-metadata tells to
# whoever signs with the shared secret, as neutron-metadata-agent does, and to nobody else.
#
# Guide: Compute service administration, "Metadata service". The service and the secret are those of
# 50-compute-controller and 60-network-controller; every instance asks it for its instance-id.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Launch an instance with user data'
user_data=/usr/local/share/lab-user-data
put_file "$user_data" <<EOF
#!/bin/sh
echo 'hello from user-data'
EOF
"$LAB_DIR/lib/openstack-batch" <<EOF
ensure server create --flavor m1.nano --image {image:tiny} --network {network:provider} --user-data $user_data --property chapter=metadata metadata-instance
await 60 ACTIVE server show --format value --column status {server:metadata-instance}
booted 60 "TINY: ip=[0-9.]+/.* instance-id=i-" {server:metadata-instance}
EOF

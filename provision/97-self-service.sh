#!/usr/bin/env bash
#
# A self-service network: a VXLAN of the users' own, a router to the provider network, and an instance that is reached
# by a floating IP address.
#
# Guide: Installation Guide, "Launch an instance": Self-service network; Launch an instance on the self-service network.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'Create the self-service network, the router and the instance'
# floating_ip: the address that an earlier run made for the instance; empty when there is none.
floating_ip() {
  mariadb --batch --skip-column-names neutron --execute "SELECT f.floating_ip_address FROM floatingips f
    JOIN standardattributes s ON s.id = f.standard_attr_id WHERE s.description = 'selfservice-instance' LIMIT 1"
}
# Deviation: no --dns-nameserver, because nothing leaves the lab.
# Deviation: the floating IP address has a description, by which a second run finds it.
{
  cat <<EOF
ensure network create selfservice
ensure subnet create --network {network:selfservice} --gateway 172.16.1.1 --subnet-range 172.16.1.0/24 selfservice
ensure router create router
ensure router add subnet {router:router} {subnet:selfservice}
router set --external-gateway {network:provider} {router:router}
ensure server create --flavor m1.nano --image {image:tiny} --network {network:selfservice} selfservice-instance
await 60 ACTIVE server show --format value --column status {server:selfservice-instance}
EOF
  if [[ -z $(floating_ip) ]]; then
    printf 'floating ip create --description selfservice-instance {network:provider}\n'
  fi
  printf 'booted 60 "TINY: ip=172[.]16[.]1[.][0-9]+/.* instance-id=i-" {server:selfservice-instance}\n'
} | "$LAB_DIR/lib/openstack-batch"

heading 'Reach the instance by its floating IP address'
address=$(floating_ip)
"$LAB_DIR/lib/openstack-batch" <<EOF
server add floating ip {server:selfservice-instance} $address
EOF
# Asked from the namespace of the provider network's DHCP server: the controller itself has no address there.
provider=$(provider_network)
instance_answers() {
  ip netns exec "qdhcp-$provider" curl --silent --show-error --max-time 20 "http://$address/"
}
wait_for "the page of the instance at $address" 30 instance_answers

#!/usr/bin/env bash
#
# What instances need: a flavor, an image, security group rules that let them answer, and the provider network.
#
# Guide: Installation Guide, "Launch an instance": Create virtual networks (Provider network), Create m1.nano flavor,
# Add security group rules.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

tiny=/usr/share/compute-lab/tiny

heading 'Flavor and image'
# Deviation: m1.nano has 128 MB, because Debian's kernel does not start in the guide's 64.
# Deviation: instead of CirrOS, which no distribution packages, an image of Debian's kernel and busybox, as kernel,
# ramdisk and an empty root disk. It prints its address and its instance-id on the console, and serves a page on port
# 80: for that page there is a third rule.
"$LAB_DIR/lib/openstack-batch" <<EOF
ensure flavor create --id 0 --vcpus 1 --ram 128 --disk 1 m1.nano
let kernel = ensure image create --disk-format aki --container-format aki --public --file $tiny/vmlinuz tiny-kernel
let ramdisk = ensure image create --disk-format ari --container-format ari --public --file $tiny/initrd.gz tiny-ramdisk
ensure image create --disk-format raw --container-format bare --public --file $tiny/root.raw --property kernel_id={kernel} --property ramdisk_id={ramdisk} tiny
EOF

# nova_rule PROTOCOL PORT: the database's row of such a rule of nova's own security groups.
nova_rule() {
  mysql --batch --skip-column-names nova --execute "SELECT id FROM security_group_rules
    WHERE deleted = 0 AND protocol = '$1' AND from_port = $2"
}

if ((LAB_HAS_NOVA_NETWORK)); then
  heading 'Security group rules, of nova itself'
  # The network is there already: 59-nova-network-create.
  {
    [[ -n $(nova_rule icmp -1) ]] || printf 'security group rule create --proto icmp default\n'
    for port in 22 80; do
      [[ -n $(nova_rule tcp "$port") ]] ||
        printf 'security group rule create --proto tcp --dst-port %d default\n' "$port"
    done
  } | "$LAB_DIR/lib/openstack-batch"
else
  heading 'Security group rules, network, subnet'
  # Deviation: no --dns-nameserver, because nothing leaves the lab.
  # Deviation: the network comes when the controller's agents have reported themselves. It is given to a DHCP agent when
  # its subnet is made: to one that is alive.
  enable_agents
  "$LAB_DIR/lib/openstack-batch" <<EOF
ensure security group rule create --proto icmp default
ensure security group rule create --proto tcp --dst-port 22 default
ensure security group rule create --proto tcp --dst-port 80 default
await 60 True network agent list --host controller --agent-type dhcp --format value --column Alive
await 60 True network agent list --host controller --agent-type linux-bridge --format value --column Alive
let network = ensure network create --share --external --provider-physical-network provider --provider-network-type flat provider
ensure subnet create --network {network} --allocation-pool start=$PROVIDER_POOL_START,end=$PROVIDER_POOL_END --gateway $PROVIDER_GATEWAY --subnet-range $PROVIDER_CIDR provider
EOF
  network=$(provider_network)
  # dhcp_serves: the agent has started dnsmasq.
  dhcp_serves() {
    pgrep --full -- "--pid-file=/var/lib/neutron/dhcp/$network/" >/dev/null
  }
  wait_for "the network's DHCP server" 60 dhcp_serves
fi

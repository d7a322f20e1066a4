#!/usr/bin/env bash
#
# What instances need: a provider network, a flavor, an image, and a security group that lets their answers out.
#
# Guide: Installation Guide, "Launch an instance": Create virtual networks (Provider network), Create m1.nano flavor,
# Add security group rules; Image service, "Verify operation".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

tiny=/usr/share/compute-lab/tiny

heading 'Flavor, image, security group rules, network, subnet'
# Deviation: no --dns-nameserver, because nothing leaves the lab.
# Deviation: m1.nano has 128 MB, because Debian's kernel does not start in the guide's 64.
# Deviation: instead of CirrOS, which no distribution packages, an image of Debian's kernel and busybox, as kernel,
# ramdisk and an empty root disk. It prints its address and its instance-id on the console, and serves a page on port
# 80: for that page there is a third rule.
# Deviation: the network comes last, when the controller's agents have reported themselves. A network is given to a DHCP
# agent when its subnet is made: to one that is alive, on a host whose layer-2 agent is known to reach the network.
# Without one it has no DHCP server until its first port, or until the agent is restarted.
wait_for_step 66-layer-2-agent 120
enable_agents
layer2=open-vswitch
if ((LAB_HAS_LINUXBRIDGE)); then layer2=linux-bridge; fi
"$LAB_DIR/lib/openstack-batch" <<EOF
ensure flavor create --id 0 --vcpus 1 --ram 128 --disk 1 m1.nano
let kernel = ensure image create --disk-format aki --container-format aki --public --file $tiny/vmlinuz tiny-kernel
let ramdisk = ensure image create --disk-format ari --container-format ari --public --file $tiny/initrd.gz tiny-ramdisk
ensure image create --disk-format raw --container-format bare --public --file $tiny/root.raw --property kernel_id={kernel} --property ramdisk_id={ramdisk} tiny
ensure security group rule create --proto icmp default
ensure security group rule create --proto tcp --dst-port 22 default
ensure security group rule create --proto tcp --dst-port 80 default
await 60 True network agent list --host controller --agent-type dhcp --format value --column Alive
await 60 True network agent list --host controller --agent-type $layer2 --format value --column Alive
let network = ensure network create --share --external --provider-physical-network provider --provider-network-type flat provider
ensure subnet create --network {network} --allocation-pool start=$PROVIDER_POOL_START,end=$PROVIDER_POOL_END --gateway $PROVIDER_GATEWAY --subnet-range $PROVIDER_CIDR provider
EOF

heading "Wait for the network's DHCP server"
network=$(provider_network)
# Somebody may have taken the network away from the agent: then nobody would come.
ask_neutron() {
  mariadb --batch --skip-column-names neutron --execute "$1"
}
if [[ -z $(ask_neutron "SELECT dhcp_agent_id FROM networkdhcpagentbindings WHERE network_id = '$network'") ]]; then
  agent=$(ask_neutron "SELECT id FROM agents WHERE host = 'controller' AND \`binary\` = 'neutron-dhcp-agent'")
  printf 'network agent add network --dhcp %s %s\n' "$agent" "$network" | "$LAB_DIR/lib/openstack-batch"
fi
# dhcp_serves: the agent has started dnsmasq.
dhcp_serves() {
  pgrep --full -- "--pid-file=/var/lib/neutron/dhcp/$network/" >/dev/null
}
# Deviation: the guide lets it come up by itself. The agent gives up after 300 s, and asks again only when it is
# restarted. A busy emulated machine needs that time just to start the agent's privileged helpers.
for attempt in 1 2 3; do
  if wait_for "the network's DHCP server (attempt $attempt of 3)" 35 dhcp_serves; then
    break
  fi
  if ((attempt == 3)); then
    fail 'neutron-dhcp-agent did not start dnsmasq; see /var/log/neutron/neutron-dhcp-agent.log'
  fi
  systemctl restart neutron-dhcp-agent
done
